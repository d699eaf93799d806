//! `lakh dev`: a whole exchange on this machine with nothing else running: markets, makers, takers, funded keys.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lakh_config::{Config, well_known};

use crate::keys::hex;
use crate::pipeline::Node;
use crate::run::{AskedToStop, print_closed, print_ready, ready, runtime, wait_for_end};
use crate::{demo_traders, keys};

/// Runs a demonstration.
#[derive(Debug, clap::Args)]
pub(crate) struct DevArguments {
    /// Keep everything in this directory across restarts; without it, a temporary one that is removed at the end.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Stop after this time, such as 30s or 5m.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    time: Option<Duration>,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// No demo makers and takers.
    #[arg(long)]
    no_traders: bool,
    /// Print one JSON object when ready and one when stopped.
    #[arg(long)]
    json: bool,
}

/// `lakh dev`.
pub(crate) fn run(arguments: &DevArguments) -> Result<()> {
    let temporary = tempfile::Builder::new().prefix("lakh-dev-").tempdir()?;
    let mut config = Config::dev();
    config.journal.directory = arguments.data.clone().unwrap_or_else(|| temporary.path().to_owned());
    config.operators.control_socket = config.journal.directory.join("ctl.sock");
    if let Some(listen) = arguments.listen {
        config.gateway.listen = listen;
        config.operators.listen.set_port(0);
    }
    demo_traders::add_accounts(&mut config);
    runtime()?.block_on(async {
        let asked = AskedToStop::listen()?;
        let node = Node::start(&config).await?;
        let ready = ready(&node, &config);
        print_ready(&ready, arguments.json)?;
        if !arguments.json {
            print_key(&config);
        }
        let traders = match arguments.no_traders {
            true => None,
            false => Some(demo_traders::start(&ready.websocket, config.exchange.venue_tag)),
        };
        let ended = wait_for_end(&node, asked, arguments.time).await;
        if let Some(mut traders) = traders {
            traders.shutdown().await;
        }
        let closed = node.stop().await?;
        ended?;
        print_closed(&closed, arguments.json)
    })
}

/// Says with which key a visitor may trade at once.
fn print_key(config: &Config) {
    let key = well_known::KEYS[0];
    let seed = keys::unhex(key.secret_key_hex).expect("the table's secrets are 32 bytes");
    println!("api key     {}{}", hex(&config.exchange.venue_tag), key.public_key_hex);
    println!("secret      {} ({}; everybody has it)", key.secret_key_hex, key.name);
    print!("{}", keys::to_pem(&seed));
    println!("demo makers and takers trade BTCUSDT and ETHUSDT; Ctrl-C stops");
}

/// A whole number with its unit: `ms`, `s`, `m` or `h`.
fn parse_duration(text: &str) -> Result<Duration> {
    let digits = text.len() - text.trim_start_matches(|character: char| character.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().with_context(|| format!("{text} is not a time such as 30s"))?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" | "" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => anyhow::bail!("{text} is not a time such as 30s"),
    };
    Ok(Duration::from_millis(number.saturating_mul(milliseconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(parse_duration("30s").unwrap(), Duration::from_secs(30));
        assert_eq!(parse_duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(parse_duration("2m").unwrap(), Duration::from_secs(120));
        assert!(parse_duration("s").is_err());
        assert!(parse_duration("3 days").is_err());
    }
}
