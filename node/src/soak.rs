//! `lakh soak`: a venue of its own under thousands of idle connections, under subscribers that never read, beside those who
//! mirror its journal, with one order at a time, or started on a long journal.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use lakh_loadtest::scratch_venue::{ScratchVenue, VenueOptions};
use lakh_loadtest::soak::{self, FanOutReport, Traffic};

use crate::open_files;
use crate::run::runtime;
use crate::soak_latency::{self, LatencyArguments};
use crate::soak_start::{self, StartArguments};
use crate::soak_watchers::{self, WatchersArguments};

/// What may wait for one reader of the soaked venue.
const OUTBOX_BYTES: u32 = 64 << 10;

/// What the system may hold for it beside that.
const SEND_BUFFER_BYTES: u32 = 16 << 10;

/// What is soaked.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum SoakCommand {
    /// Idle connections beside active ones: memory for each, and what trading costs alone and beside them.
    Idle(IdleArguments),
    /// An order's way to its report over the binary port, beside a bare TCP echo.
    Latency(LatencyArguments),
    /// Starts on a long journal: from the first record, and from a snapshot and what follows it.
    Start(StartArguments),
    /// Subscribers of a busy market with and without some that never read: how late the others are told.
    Subscribers(SubscribersArguments),
    /// Trading alone, beside mirrors of the journal, and beside readers of it that never read.
    Watchers(WatchersArguments),
}

/// The load meanwhile.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct TrafficArguments {
    /// Orders and cancels a second.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) rate: u64,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct IdleArguments {
    /// Idle connections.
    #[arg(long, default_value_t = 10_000)]
    idle: u32,
    /// Active connections.
    #[arg(long, default_value_t = 100)]
    active: u32,
    #[command(flatten)]
    traffic: TrafficArguments,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SubscribersArguments {
    /// Subscribers that read.
    #[arg(long, default_value_t = 900)]
    readers: u32,
    /// Subscribers that never do.
    #[arg(long, default_value_t = 100)]
    silent: u32,
    #[command(flatten)]
    traffic: TrafficArguments,
}

/// `lakh soak`. Prints one JSON object, and no figure when something went wrong.
pub(crate) fn run(command: &SoakCommand) -> Result<()> {
    let report = match command {
        SoakCommand::Idle(arguments) => run_idle(arguments)?,
        SoakCommand::Latency(arguments) => soak_latency::run(arguments)?,
        SoakCommand::Start(arguments) => soak_start::run(arguments)?,
        SoakCommand::Subscribers(arguments) => run_subscribers(arguments)?,
        SoakCommand::Watchers(arguments) => soak_watchers::run(arguments)?,
    };
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

fn run_idle(arguments: &IdleArguments) -> Result<serde_json::Value> {
    open_files::allow(u64::from(arguments.idle) + u64::from(arguments.active))?;
    let TrafficArguments { rate, seconds } = arguments.traffic;
    let traffic = Traffic { rate, seconds, connections: arguments.active };
    let report = with_venue(arguments.active, async |options, venue| {
        Ok(soak::idle(arguments.idle as usize, traffic, venue, &options.traders()).await?)
    })?;
    Ok(serde_json::to_value(report)?)
}

fn run_subscribers(arguments: &SubscribersArguments) -> Result<serde_json::Value> {
    const ACTIVE: u32 = 4;
    open_files::allow(u64::from(arguments.readers) + u64::from(arguments.silent))?;
    let TrafficArguments { rate, seconds } = arguments.traffic;
    let traffic = Traffic { rate, seconds, connections: ACTIVE };
    let measure = |silent: u32| -> Result<FanOutReport> {
        with_venue(ACTIVE, async |options, venue| {
            let subscribers = (arguments.readers as usize, silent as usize);
            Ok(soak::fan_out(subscribers, traffic, venue, &options.traders()).await?)
        })
    };
    let (alone, beside) = (measure(0)?, measure(arguments.silent)?);
    ensure!(alone.delivered > 0 && beside.delivered > 0, "nothing was delivered");
    ensure!(
        beside.silent_ended == u64::from(arguments.silent),
        "{} of {} silent subscribers were let go: the soak was too short or too slow to show it",
        beside.silent_ended,
        arguments.silent
    );
    let ratio = beside.delay_us.p99 as f64 / alone.delay_us.p99 as f64;
    let mut report =
        BTreeMap::from([("without", serde_json::to_value(alone)?), ("with", serde_json::to_value(beside)?)]);
    report.insert("p99_ratio", ratio.into());
    Ok(serde_json::to_value(report)?)
}

/// Runs `measure` against a new venue in a temporary folder, and stops that.
fn with_venue<T>(keys: u32, measure: impl AsyncFnOnce(&VenueOptions, &ScratchVenue) -> Result<T>) -> Result<T> {
    let scratch = tempfile::Builder::new().prefix("lakh-soak-").tempdir()?;
    let mut options = VenueOptions::new(&std::env::current_exe()?, scratch.path());
    options.keys = keys;
    options.units = 1_000_000_000;
    options.digest_capacity = 32_768;
    // Little, so that whoever reads nothing is let go within a soak.
    options.outbox_bytes = OUTBOX_BYTES;
    options.send_buffer_bytes = SEND_BUFFER_BYTES;
    let venue = options.start()?;
    let measured = runtime()?.block_on(measure(&options, &venue))?;
    venue.stop()?;
    Ok(measured)
}
