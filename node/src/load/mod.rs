//! `lakh load`: signed requests by a scenario against a venue of its own, measured from the time at which each was due.
//!
//! One run ([`one_run`]), a search for the highest rate that keeps a latency ([`ramp`]), or a table of how cost grows
//! ([`scaling`]). Prints no figure when a check failed.

mod machine;
mod null;
mod one_run;
mod ramp;
mod scaling;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use lakh_config::{Durability, Scenario, Scheduling};
use lakh_loadtest::html;
use lakh_loadtest::load::Transport;
use lakh_loadtest::report::{LoadReport, Measured};
use serde_json::json;

use self::one_run::{Against, Plan};
use crate::scheduling;

/// Loads a venue of its own, which it starts in a temporary directory, with signed requests.
#[derive(Debug, clap::Args)]
pub(crate) struct LoadArguments {
    /// What load: headline, frames, makers, burst, deep, soak, hostile, aapl, amzn, or the path of a file like
    /// config/scenarios/headline.toml.
    #[arg(long, default_value = "headline")]
    scenario: String,
    /// How requests travel. Frames and quotes are of the binary protocol.
    #[arg(long, value_enum, default_value_t = TransportArgument::Websocket)]
    transport: TransportArgument,
    #[command(flatten)]
    changes: Changes,
    /// Where the venue's stages run: its `gateway.stages`.
    #[arg(long, value_enum, default_value_t = StagesArgument::Automatic)]
    stages: StagesArgument,
    /// The venue's threads and the client's get processors in front of all that are not real-time: its
    /// `gateway.scheduling`. Needs CAP_SYS_NICE.
    #[arg(long)]
    real_time: bool,
    /// Keep the venue's journal here.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The same again against a server that only answers, in a process of its own.
    #[arg(long, conflicts_with_all = ["find_rate", "table"])]
    beside_null: bool,
    /// Against that server alone: what the load generator itself costs.
    #[arg(long, conflicts_with_all = ["find_rate", "table", "beside_null"])]
    against_null: bool,
    /// Be that server.
    #[arg(long, hide = true)]
    serve_null: bool,
    /// Look for the highest rate whose 99th percentile stays at or below --p99-us, in runs of --seconds each.
    #[arg(long)]
    find_rate: bool,
    /// The bound of --find-rate, in microseconds.
    #[arg(long, default_value_t = 1_000, requires = "find_rate")]
    p99_us: u64,
    /// Print how cost grows with one thing, the others as the scenario has them.
    #[arg(long, value_enum, conflicts_with = "find_rate")]
    table: Option<scaling::Table>,
    /// Write a page with plots here, and the figures as JSON beside it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["find_rate", "table"])]
    report: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What is not as the scenario has it.
#[derive(Clone, Debug, clap::Args)]
struct Changes {
    /// Operations a second, offered whatever the venue does.
    #[arg(long)]
    rate: Option<u64>,
    /// Seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Times the speed at which a recorded flow was recorded.
    #[arg(long, conflicts_with = "rate")]
    speed: Option<u64>,
    /// Keys, each with an account of its own.
    #[arg(long)]
    keys: Option<u32>,
    /// Markets.
    #[arg(long)]
    markets: Option<u16>,
    /// WebSocket connections that the keys are dealt out to.
    #[arg(long)]
    connections: Option<u32>,
    /// Orders that rest before the clock starts.
    #[arg(long)]
    resting_orders: Option<u64>,
    /// Durability of the venue: `sync` or `async`.
    #[arg(long, value_parser = durability)]
    durability: Option<Durability>,
    /// Microseconds between two looks of the client.
    #[arg(long)]
    pacing_us: Option<u64>,
    /// Seed of everything random.
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TransportArgument {
    Websocket,
    Binary,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StagesArgument {
    Automatic,
    OwnThreads,
    Shared,
}

impl StagesArgument {
    /// As the configuration spells it.
    const fn text(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::OwnThreads => "own_threads",
            Self::Shared => "shared",
        }
    }
}

fn durability(text: &str) -> Result<Durability, String> {
    match text {
        "sync" => Ok(Durability::Sync),
        "async" => Ok(Durability::Async),
        other => Err(format!("{other} is neither sync nor async")),
    }
}

impl Changes {
    /// The scenario with these changes. The rate of a recorded flow follows from its speed.
    fn apply(&self, scenario: &mut Scenario) {
        let set = |to: &mut u64, from: Option<u64>| *to = from.unwrap_or(*to);
        set(&mut scenario.rate, self.rate);
        set(&mut scenario.seconds, self.seconds);
        set(&mut scenario.resting_orders, self.resting_orders);
        set(&mut scenario.pacing_us, self.pacing_us);
        set(&mut scenario.seed, self.seed);
        scenario.keys = self.keys.unwrap_or(scenario.keys);
        scenario.markets = self.markets.unwrap_or(scenario.markets);
        scenario.connections = self.connections.unwrap_or(scenario.connections).min(scenario.keys);
        scenario.durability = self.durability.unwrap_or(scenario.durability);
    }
}

/// `lakh load`.
pub(crate) fn run(arguments: &LoadArguments) -> Result<()> {
    if arguments.serve_null {
        return null::serve();
    }
    let mut scenario = Scenario::load(&arguments.scenario)?;
    arguments.changes.apply(&mut scenario);
    scenario.check(&arguments.scenario)?;
    let transport = match arguments.transport {
        TransportArgument::Websocket => Transport::WebSocket,
        TransportArgument::Binary => Transport::Binary,
    };
    let against = if arguments.against_null { Against::Null } else { Against::Venue };
    let mut plan = Plan {
        name: arguments.scenario.clone(),
        scenario,
        transport,
        against,
        data: arguments.data.clone(),
        recorded: None,
        stages: arguments.stages.text(),
        scheduling: if arguments.real_time { Scheduling::RealTime } else { Scheduling::Normal },
        quiet: arguments.json,
    };
    if let Some(skipped) = plan.read_recording(arguments.changes.speed, arguments.changes.seconds)? {
        if arguments.json {
            println!("{}", json!({ "skipped": skipped }));
        } else {
            println!("skipped: {skipped}");
        }
        return Ok(());
    }
    plan.check()?;
    scheduling::check(plan.scheduling).context("--real-time")?;
    if let Some(table) = arguments.table {
        return scaling::print(table, &plan, arguments.json);
    }
    if arguments.find_rate {
        return ramp::find(&plan, arguments.p99_us, arguments.json);
    }
    let (report, measured) = one_run::run(&plan)?;
    if let Some(file) = &arguments.report {
        write_report(file, &report, &measured)?;
    }
    if arguments.beside_null {
        let (bare, _) = one_run::run(&Plan { against: Against::Null, ..plan })?;
        let ratio = report.latency_us.p50 as f64 / bare.latency_us.p50.max(1) as f64;
        println!("{}", json!({ "venue": report, "null": bare, "p50_ratio": ratio }));
    } else if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}

/// Writes the page, and the figures with their course over time as JSON beside it.
fn write_report(file: &std::path::Path, report: &LoadReport, measured: &Measured) -> Result<()> {
    let write = |path: &std::path::Path, text: String| {
        std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
    };
    let mut value = serde_json::to_value(report)?;
    value["intervals"] = json!(measured.recorder.intervals());
    value["latency_curve"] = json!(measured.recorder.latency_curve());
    value["uses"] = json!(measured.uses);
    write(file, html::page(report, measured))?;
    write(&file.with_extension("json"), serde_json::to_string_pretty(&value)?)
}
