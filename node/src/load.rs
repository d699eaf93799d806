//! `lakh load`: signed orders at a fixed rate against a venue, measured from the time at which each was due.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use lakh_loadtest::client::Trader;
use lakh_loadtest::echo;
use lakh_loadtest::load::{LoadOptions, run_load};
use lakh_loadtest::market_text::MarketText;
use lakh_loadtest::report::LoadReport;
use lakh_loadtest::scratch_venue::VenueOptions;

use crate::run::runtime;

/// Loads a venue of its own, which it starts in a temporary directory, with individually signed orders.
#[derive(Debug, clap::Args)]
pub(crate) struct LoadArguments {
    /// Orders and cancels a second, offered whatever the venue does.
    #[arg(long, default_value_t = 10_000)]
    rate: u64,
    /// Seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Keys, each with an account of its own.
    #[arg(long, default_value_t = 64)]
    keys: u32,
    /// Connections that the keys are dealt out to.
    #[arg(long, default_value_t = 4)]
    connections: u32,
    /// Durability of the venue: `sync` or `async`.
    #[arg(long, default_value = "async")]
    durability: String,
    /// Seed of the workload.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep the venue's journal here.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The same again against a bare WebSocket echo with answers of the same size, in a process of its own.
    #[arg(long)]
    beside_echo: bool,
    /// Be that echo.
    #[arg(long, hide = true)]
    serve_echo: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// `lakh load`. Prints no figure when a check failed.
pub(crate) fn run(arguments: &LoadArguments) -> Result<()> {
    if arguments.serve_echo {
        return serve_echo();
    }
    let scratch = tempfile::Builder::new().prefix("lakh-load-").tempdir()?;
    let directory = arguments.data.as_deref().unwrap_or_else(|| scratch.path());
    std::fs::create_dir_all(directory)?;
    let mut venue_options = VenueOptions::new(&std::env::current_exe()?, directory);
    venue_options.durability.clone_from(&arguments.durability);
    venue_options.keys = arguments.keys;
    venue_options.units = 1_000_000_000;
    venue_options.digest_capacity = 32_768;
    let traders = venue_options.traders();
    let venue = venue_options.start()?;
    let mut options = LoadOptions::new(venue.websocket(), MarketText::cents_and_units("UNITCASH"));
    options.requests = arguments.rate.saturating_mul(arguments.seconds);
    options.requests_per_second = arguments.rate;
    options.connections = arguments.connections;
    options.seed = arguments.seed;
    options.notes = BTreeMap::from([
        ("durability".to_owned(), arguments.durability.clone()),
        ("venue".to_owned(), "its own process on the same machine, load generator included".to_owned()),
        ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    let report = runtime()?.block_on(run_load(&options, &traders))?;
    let closed = venue.stop()?;
    if arguments.beside_echo {
        let echo = load_echo(options, &traders)?;
        let ratio = report.latency_us.p50 as f64 / echo.latency_us.p50 as f64;
        println!("{}", serde_json::json!({ "venue": report, "echo": echo, "p50_ratio": ratio }));
        return Ok(());
    }
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{}", serde_json::to_string_pretty(&report)?);
        println!("venue stopped at sequence {}, state hash {}", closed["sequence"], closed["stateHash"]);
    }
    Ok(())
}

/// The same load against the echo, in a process of its own as the venue was.
fn load_echo(mut options: LoadOptions, traders: &[Trader]) -> Result<LoadReport> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["load", "--serve-echo"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut echo = command.spawn().context("the echo does not start")?;
    let loaded = (|| {
        let mut url = String::new();
        let said = echo.stdout.as_mut().context("its output was asked for")?;
        BufReader::new(said).read_line(&mut url)?;
        url.trim().clone_into(&mut options.url);
        anyhow::Ok(runtime()?.block_on(run_load(&options, traders))?)
    })();
    echo.kill()?;
    echo.wait()?;
    loaded
}

fn serve_echo() -> Result<()> {
    runtime()?.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("ws://{}/", listener.local_addr()?);
        Ok(echo::serve(listener).await?)
    })
}
