//! `lakh dev`: a whole exchange on this machine with nothing else running: chain, contracts, markets, makers, takers,
//! keys funded by real deposits.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lakh_config::{Config, TlsConfig, well_known};
use serde::Serialize;

use crate::dev_chain::{ChainReady, DevChain};
use crate::keys::hex;
use crate::notary::NotaryPlan;
use crate::pipeline::{Node, StartOptions};
use crate::run::{AskedToStop, Ready, print_closed, print_ready, ready, venue_runtime, wait_for_end};
use crate::settlement::{SettlementMode, SettlementPlan};
use crate::{demo_traders, dev_accounts, dev_chain, keys};

/// Where the chain listens unless the gateway was told where to.
const CHAIN_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9_082);

/// Runs a demonstration.
#[derive(Debug, clap::Args)]
pub(crate) struct DevArguments {
    /// Keep everything in this directory across restarts; without it, a temporary one that is removed at the end.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Give up records that may have been acknowledged, from this one on: only where a start has refused the journal and
    /// named exactly this record. The journal keeps that it was done.
    #[arg(long, value_name = "SEQUENCE", requires = "data")]
    truncate_at: Option<u64>,
    /// Stop after this time, such as 30s or 5m.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    time: Option<Duration>,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where to listen with TLS besides; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", requires_all = ["tls_certificate", "tls_key"])]
    tls_listen: Option<SocketAddr>,
    /// PEM file of the certificates that are shown there.
    #[arg(long, value_name = "FILE", requires = "tls_listen")]
    tls_certificate: Option<PathBuf>,
    /// PEM file of their private key, readable by nobody but its owner.
    #[arg(long, value_name = "FILE", requires = "tls_listen")]
    tls_key: Option<PathBuf>,
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
    listen_where_told(&mut config, arguments)?;
    demo_traders::add_accounts(&mut config);
    let chain_listen = match arguments.listen {
        Some(_) => SocketAddr::from(([127, 0, 0, 1], 0)),
        None => CHAIN_LISTEN,
    };
    venue_runtime(config.gateway.scheduling)?.block_on(async {
        let asked = AskedToStop::listen()?;
        let chain = DevChain::start(&config, &config.journal.directory.join("chain"), chain_listen).await?;
        let accounts = std::mem::take(&mut config.accounts);
        chain.fund(&config, &accounts)?;
        let settlement = chain.settlement_config();
        config.exchange.venue_tag = settlement.binding.venue_tag();
        let embedded = Box::new(chain.chain.clone());
        let plan = SettlementPlan::over(&settlement, &config.journal.directory, embedded, dev_chain::keys());
        let notary = NotaryPlan::over(&settlement, dev_chain::keys().header);
        config.settlement = Some(settlement);
        let options = StartOptions {
            settlement: Some(SettlementMode::Here(Box::new(plan))),
            notary: Some(notary),
            truncate_at: arguments.truncate_at,
        };
        let node = Node::start(&config, options).await?;
        let url = ready(&node, &config).websocket;
        dev_accounts::activate(&node, &config.operators.control_socket, &url, &accounts).await?;
        let ready = DevReady { node: ready(&node, &config), chain: chain.ready(&config)? };
        print_dev_ready(&ready, &config, arguments.json)?;
        let traders = match arguments.no_traders {
            true => None,
            false => Some(demo_traders::start(&ready.node.websocket, config.exchange.venue_tag)),
        };
        let ended = wait_for_end(&node, asked, arguments.time).await;
        if let Some(mut traders) = traders {
            traders.shutdown().await;
        }
        let closed = node.stop().await?;
        chain.stop().await?;
        ended?;
        print_closed(&closed, arguments.json)
    })
}

/// Everybody has a demonstration's keys, so nobody but this machine may reach it, with TLS or without.
fn listen_where_told(config: &mut Config, arguments: &DevArguments) -> Result<()> {
    for address in [arguments.listen, arguments.tls_listen].into_iter().flatten() {
        ensure!(address.ip().is_loopback(), "{address} is not loopback, and a demonstration's keys are everybody's");
    }
    if let Some(listen) = arguments.listen {
        config.gateway.listen = listen;
        config.gateway.binary_listen = SocketAddr::new(listen.ip(), 0);
        config.operators.listen.set_port(0);
        config.watchers.iter_mut().for_each(|watchers| watchers.listen.set_port(0));
    }
    if let (Some(certificate_file), Some(private_key_file)) = (&arguments.tls_certificate, &arguments.tls_key) {
        let (certificate_file, private_key_file) = (certificate_file.clone(), private_key_file.clone());
        config.gateway.tls_listen = arguments.tls_listen;
        config.tls = Some(TlsConfig { certificate_file, private_key_file });
    }
    Ok(())
}

/// What is printed once everybody can trade.
#[derive(Serialize)]
struct DevReady {
    #[serde(flatten)]
    node: Ready,
    chain: ChainReady,
}

/// Says where everything is and with which key a visitor may trade at once.
fn print_dev_ready(ready: &DevReady, config: &Config, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(ready)?);
        return Ok(());
    }
    print_ready(&ready.node, false)?;
    let chain = &ready.chain;
    println!("chain       {} (id {})", chain.url, chain.chain_id);
    println!("settlement  {}", chain.settlement);
    println!("vault       {}", chain.vault);
    for (symbol, token) in &chain.tokens {
        println!("{symbol:<11} {token}");
    }
    let key = well_known::KEYS[0];
    let seed = keys::unhex(key.secret_key_hex).expect("the table's secrets are 32 bytes");
    println!("api key     {}{}", hex(&config.exchange.venue_tag), key.public_key_hex);
    println!("secret      {} ({}; everybody has it)", key.secret_key_hex, key.name);
    print!("{}", keys::to_pem(&seed));
    println!("owner       {} (account 1's key on the chain)", chain.owner_secret);
    println!("demo makers and takers trade BTCUSDT and ETHUSDT; Ctrl-C stops");
    Ok(())
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
