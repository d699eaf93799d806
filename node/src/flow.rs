//! `lakh flow`: recorded order flow and conformance workloads against the engine, or flow against a whole venue
//! over its socket; and the engine as a candidate of a public differential tester.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;
use lakh_loadtest::client::Trader;
use lakh_loadtest::flow::adapter;
use lakh_loadtest::flow::check::{CheckOptions, check_direct};
use lakh_loadtest::flow::conformance::{HashOptions, hash_workload};
use lakh_loadtest::flow::judge::FlowReport;
use lakh_loadtest::flow::through::{ThroughOptions, check_through};
use lakh_loadtest::flow::through_binary::{BinaryOptions, check_through_binary};
use lakh_loadtest::market_text::MarketText;
use lakh_loadtest::scratch_venue::{self, ScratchVenue, VenueOptions};

use crate::run::runtime;
use crate::{audit, replay};

/// What to do with recorded flow.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum FlowCommand {
    /// Executes a recorded flow and checks each recorded fill, reject, best price and depth line.
    Check(CheckArguments),
    /// Executes a published conformance workload and hashes everything that the engine reports.
    Hash(HashArguments),
    /// Speaks the protocol of `tracebook-conformance`, a differential tester, on standard input and output.
    Adapter,
}

/// Hashes the reports of a conformance workload.
#[derive(Debug, clap::Args)]
pub(crate) struct HashArguments {
    /// The workload, `.bin.zst`; where its name is known, the hash has to be the published one.
    file: PathBuf,
    /// Write the report stream here.
    #[arg(long, value_name = "FILE")]
    reports: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Checks a recorded flow.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArguments {
    /// The flow, `.l3c` or `.l3c.gz`.
    file: PathBuf,
    /// Where the commands go.
    #[arg(long, value_enum, default_value_t = Through::Engine)]
    through: Through,
    /// Write each fill as a line `taker-client-id maker-client-id side quantity price` (lots, ticks).
    #[arg(long, value_name = "FILE")]
    fills: Option<PathBuf>,
    /// Durability of the venue that `--through gateway` and `binary` start: `sync` or `async`.
    #[arg(long, default_value = "async")]
    durability: String,
    /// Keep the venue of `--through gateway` and `binary` here; its journal is in `journal`.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Through {
    /// Straight into an engine in this process.
    Engine,
    /// As signed orders over a WebSocket into a venue of its own, which is then replayed and audited.
    Gateway,
    /// As signed messages through the binary port of such a venue.
    Binary,
}

/// `lakh flow`.
pub(crate) fn run(command: &FlowCommand) -> Result<()> {
    match command {
        FlowCommand::Check(arguments) => check(arguments),
        FlowCommand::Hash(arguments) => hash(arguments),
        FlowCommand::Adapter => Ok(adapter::serve(std::io::stdin().lock(), std::io::stdout().lock())?),
    }
}

fn hash(arguments: &HashArguments) -> Result<()> {
    let report = hash_workload(&arguments.file, &HashOptions { reports: arguments.reports.clone() })?;
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    ensure!(report.passed(), "the reports differ from the published ones");
    Ok(())
}

fn check(arguments: &CheckArguments) -> Result<()> {
    let report = match arguments.through {
        Through::Engine => check_direct(&arguments.file, &CheckOptions { fills: arguments.fills.clone() })?,
        Through::Gateway | Through::Binary => through_venue(arguments)?,
    };
    print(&report, arguments.json)?;
    if !report.passed() {
        bail!("{} bad line(s)", report.bad_lines);
    }
    Ok(())
}

fn print(report: &FlowReport, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}

/// Sends the flow through a venue's socket, then holds its journal against the engine: same fills, same state, and a
/// signature behind every command.
fn through_venue(arguments: &CheckArguments) -> Result<FlowReport> {
    let scratch = tempfile::Builder::new().prefix("lakh-flow-").tempdir()?;
    let directory = arguments.data.as_deref().unwrap_or_else(|| scratch.path());
    std::fs::create_dir_all(directory)?;
    ensure!(!directory.join("journal").exists(), "{} holds a journal already", directory.display());
    let mut options = VenueOptions::new(&std::env::current_exe()?, directory);
    options.durability.clone_from(&arguments.durability);
    let traders = options.traders();
    let venue = options.start()?;
    let report = send(arguments, &venue, &traders[0])?;
    let closed = venue.stop()?;

    let direct = scratch.path().join("direct.fills");
    let replayed_fills = scratch.path().join("replayed.fills");
    check_direct(&arguments.file, &CheckOptions { fills: Some(direct.clone()) })?;
    let replayed = replay::replay(&options.journal(), Some(&replayed_fills), arguments.json)?;
    same_bytes(&direct, &replayed_fills)?;
    let live_hash = closed["stateHash"].as_str().context("the venue named no state hash")?;
    ensure!(replayed.state_hash == live_hash, "the replay's state hash differs from the venue's, {live_hash}");
    let audited = audit::audit(&options.journal(), arguments.json)?;
    if !arguments.json {
        println!("fills of the replay equal those of the engine alone, byte for byte");
        println!("state hash of the replay equals the venue's: {live_hash}");
        audit::print_report(&audited);
    }
    ensure!(audited.finding_count == 0, "the audit has {} finding(s)", audited.finding_count);
    Ok(report)
}

/// Sends the flow the way that was asked for.
fn send(arguments: &CheckArguments, venue: &ScratchVenue, trader: &Trader) -> Result<FlowReport> {
    if arguments.through == Through::Binary {
        let address = venue.binary().parse().context("the venue named no binary port")?;
        let options = BinaryOptions { address, venue_tag: scratch_venue::VENUE_TAG, window: 64 };
        let (key, fills) = (trader.signing_key(), arguments.fills.as_deref());
        return Ok(runtime()?.block_on(check_through_binary(&options, key, &arguments.file, fills))?);
    }
    let mut through = ThroughOptions::new(MarketText::cents_and_units("UNITCASH"));
    through.fills.clone_from(&arguments.fills);
    Ok(runtime()?.block_on(check_through(venue.websocket(), trader, &arguments.file, &through))?)
}

fn same_bytes(left: &Path, right: &Path) -> Result<()> {
    ensure!(std::fs::read(left)? == std::fs::read(right)?, "the replay's fills differ from the engine's");
    Ok(())
}
