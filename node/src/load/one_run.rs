//! One run: a venue is started, loaded, stopped, replayed, and everything has to agree.
//!
//! What the client checks while it loads and on the books afterwards is `lakh_loadtest::load`'s; here the venue's journal
//! is replayed to the state hash that the venue named at its stop, and the balances of that state are added up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use lakh_config::{Durability, Scenario, Scheduling};
use lakh_engine::Engine;
use lakh_engine::ids::AssetId;
use lakh_journal::verify;
use lakh_loadtest::client::Trader;
use lakh_loadtest::load::{
    Books, Bunches, Grouping, HOSTILE_MEMBERS, LiveCounters, LoadOptions, Transport, recorded_orders, run_load,
};
use lakh_loadtest::market_text::MarketText;
use lakh_loadtest::report::{Conditions, LoadReport, Measured};
use lakh_loadtest::scratch_venue::{VENUE_TAG, VenueOptions};
use lakh_loadtest::workload::{LoadOrder, WorkloadOptions};
use serde_json::{Value, json};

use super::machine;
use super::null::NullServer;
use crate::keys::{hex, new_key};
use crate::{history, open_files, progress, scheduling};

/// Whole units of each asset that each account starts with.
const UNITS: u64 = 1_000_000_000;
/// Atoms of a unit of the quote asset; the other assets have no decimals.
const QUOTE_ATOMS: u64 = 100;
/// Digests that a key needs at least.
const DIGESTS_MIN: u64 = 64;
/// For how long digests are remembered: the receive window and a second, in seconds.
const DIGEST_SECONDS: u64 = 6;
/// Requests of recorded flow that may be under way: what the engine's table for one key holds.
const RECORDED_DIGESTS: u64 = 1 << 20;

/// What stands at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Against {
    /// A venue in a process of its own.
    Venue,
    /// A server that only answers.
    Null,
}

/// What is run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The scenario's name or path.
    pub(super) name: String,
    pub(super) scenario: Scenario,
    pub(super) transport: Transport,
    pub(super) against: Against,
    /// Where the venue lives; nothing for a temporary folder.
    pub(super) data: Option<PathBuf>,
    /// The orders of a recorded flow.
    pub(super) recorded: Option<Arc<Vec<LoadOrder>>>,
    /// Where the venue's stages run, as its configuration says it.
    pub(super) stages: &'static str,
    /// How the venue's threads get processors, and the client's.
    pub(super) scheduling: Scheduling,
    /// Whether nothing but the result is to be shown.
    pub(super) quiet: bool,
}

impl Plan {
    /// Reads the recording that the scenario names, and sets rate and length by it. Why it is skipped where there is none.
    pub(super) fn read_recording(&mut self, speed: Option<u64>, seconds: Option<u64>) -> Result<Option<String>> {
        let Some(flow) = &self.scenario.flow else { return Ok(None) };
        if !flow.file.exists() {
            return Ok(Some(format!("there is no {}", flow.file.display())));
        }
        let orders = recorded_orders(&flow.file)?;
        let count = orders.len() as u64;
        if let Some(speed) = speed {
            self.scenario.rate = (count * speed).div_ceil(flow.recorded_seconds).max(1);
        }
        // As far as the time goes; the whole recording where none is said.
        self.scenario.seconds = seconds.unwrap_or_else(|| count.div_ceil(self.scenario.rate)).max(1);
        self.recorded = Some(Arc::new(orders));
        Ok(None)
    }

    /// Whether the transport has what the scenario asks for.
    pub(super) fn check(&self) -> Result<()> {
        self.scenario.check(&self.name)?;
        match self.transport {
            Transport::WebSocket => self.scenario.check_websocket(&self.name)?,
            Transport::Binary => self.scenario.check_binary(&self.name)?,
        }
        Ok(())
    }

    fn venue_options(&self, directory: &Path) -> Result<VenueOptions> {
        let scenario = &self.scenario;
        let mut options = VenueOptions::new(&std::env::current_exe()?, directory);
        durability_text(scenario.durability).clone_into(&mut options.durability);
        options.markets = markets(scenario).into_iter().map(|market| market.symbol).collect();
        options.keys = scenario.keys + if scenario.bad_signature_percent > 0 { HOSTILE_MEMBERS } else { 0 };
        options.units = UNITS;
        let per_key = scenario.rate * DIGEST_SECONDS * 2 / u64::from(scenario.keys);
        let digests = match (&self.recorded, self.transport) {
            (Some(_), _) => RECORDED_DIGESTS,
            (None, Transport::WebSocket) => per_key.max(DIGESTS_MIN),
            (None, Transport::Binary) => DIGESTS_MIN,
        };
        options.digest_capacity = u32::try_from(digests).context("too many requests of one key")?;
        let open = u64::from(scenario.keys) * u64::from(scenario.prices.max_open_orders) + scenario.resting_orders;
        let quotes = 2 * u64::from(scenario.quotes_per_message * scenario.keys);
        // Twice as many as there are on the average, since markets are drawn.
        let orders = (2 * open / u64::from(scenario.markets) + quotes + 4_096).next_power_of_two();
        options.max_orders = u32::try_from(orders).context("too many open orders")?.clamp(1 << 16, 1 << 26);
        options.stages = self.stages;
        options.scheduling = scheduling_text(self.scheduling);
        Ok(options)
    }

    fn load_options(&self, (url, binary): (&str, std::net::SocketAddr), live: &Arc<LiveCounters>) -> LoadOptions {
        let scenario = &self.scenario;
        let honest = scenario.rate * (100 - scenario.bad_signature_percent) / 100;
        let markets = markets(scenario);
        let mut options = LoadOptions::new(url, markets[0].clone());
        options.transport = self.transport;
        options.binary = Some(binary);
        options.venue_tag = VENUE_TAG;
        options.markets = markets;
        options.operations_per_second = honest.max(1);
        options.operations = honest.max(1) * scenario.seconds;
        if let Some(recorded) = &self.recorded {
            options.operations = options.operations.min(recorded.len() as u64);
        }
        options.grouping = match (scenario.quotes_per_message, scenario.operations_per_frame) {
            (0, 1) => Grouping::Single,
            (0, operations) => Grouping::Frames(operations as usize),
            (quotes, _) => Grouping::Quotes(quotes as usize),
        };
        options.bunches = scenario.burst.map(|burst| Bunches {
            requests: burst.messages,
            within: Duration::from_micros(burst.within_us),
            every: Duration::from_millis(burst.every_ms),
        });
        options.connections = scenario.connections;
        options.consecutive = scenario.consecutive;
        options.seed = scenario.seed;
        options.workload = self.workload();
        options.recorded.clone_from(&self.recorded);
        options.resting_orders = scenario.resting_orders;
        options.bad_signatures_per_second = scenario.rate - honest;
        options.books = if self.against == Against::Null { Books::None } else { Books::Kept };
        options.pacing = Duration::from_micros(scenario.pacing_us);
        options.live = Arc::clone(live);
        options.thread_start = scheduling::at_start(self.scheduling);
        options
    }

    fn workload(&self) -> WorkloadOptions {
        let Scenario { mix, prices, .. } = &self.scenario;
        // A server that takes everything refuses no post-only order.
        let (add_weight, post_only_weight) = match self.against {
            Against::Null => (mix.add + mix.post_only_reject, 0),
            Against::Venue => (mix.add, mix.post_only_reject),
        };
        WorkloadOptions {
            markets: self.scenario.markets,
            mid_ticks: prices.mid_ticks,
            depth_ticks: prices.depth_ticks,
            max_quantity_lots: prices.max_quantity_lots,
            add_weight,
            cancel_weight: mix.cancel,
            replace_weight: mix.replace,
            take_weight: mix.take,
            post_only_weight,
            max_open_orders: prices.max_open_orders,
        }
    }

    fn conditions(&self) -> Conditions {
        let scenario = &self.scenario;
        let mix = match (&scenario.flow, scenario.quotes_per_message) {
            (Some(flow), _) => json!({ "recorded": flow.file }),
            (None, 0) => json!({ "weights": scenario.mix, "prices": scenario.prices, "bursts": scenario.burst }),
            (None, quotes) => json!({ "quotes_per_message": quotes, "prices": scenario.prices }),
        };
        let against = match self.against {
            Against::Venue => "a venue in a process of its own on the same machine",
            Against::Null => "a server that only answers, in a process of its own on the same machine",
        };
        Conditions {
            machine: machine::machine(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            commit: machine::commit(),
            scenario: self.name.clone(),
            about: scenario.about.clone(),
            transport: self.transport,
            against: against.to_owned(),
            r#loop: "open",
            latency: "from the intended send time to the answer read, acknowledged operations only",
            mix,
            keys: scenario.keys,
            markets: scenario.markets,
            connections: match self.transport {
                Transport::WebSocket => u64::from(scenario.connections),
                Transport::Binary => u64::from(scenario.keys),
            },
            consecutive: scenario.consecutive,
            operations_per_request: u64::from(scenario.operations_per_request()),
            offered_per_second: scenario.rate,
            seconds: scenario.seconds,
            seed: scenario.seed,
            pacing_us: scenario.pacing_us,
            resting_orders: scenario.resting_orders,
            book: None,
            durability: durability_text(scenario.durability).to_owned(),
            stages: self.stages,
            scheduling: scheduling_text(self.scheduling),
            excluded: "making and signing the requests, connecting, filling the books; no stream is subscribed",
            cpu_seconds: BTreeMap::new(),
            checkpoints: None,
            generator_ns_per_operation: 0,
            client_lag_us_max: 0,
            elapsed_ms: 0,
            reject_codes: BTreeMap::new(),
            hostile: None,
            drift: None,
            checks: Vec::new(),
            journal_bytes_per_operation: None,
        }
    }
}

const fn scheduling_text(scheduling: Scheduling) -> &'static str {
    match scheduling {
        Scheduling::Normal => "normal",
        Scheduling::RealTime => "real_time",
    }
}

const fn durability_text(durability: Durability) -> &'static str {
    match durability {
        Durability::Sync => "sync",
        Durability::Async => "async",
    }
}

fn markets(scenario: &Scenario) -> Vec<MarketText> {
    (0..scenario.markets).map(|market| MarketText::cents_and_units(&format!("M{market}CASH"))).collect()
}

/// Runs it.
///
/// # Errors
/// When anything fails on the way, and when a check does not hold.
pub(super) fn run(plan: &Plan) -> Result<(LoadReport, Measured)> {
    open_files::allow(u64::from(plan.scenario.keys.max(plan.scenario.connections)))?;
    match plan.against {
        Against::Venue => against_venue(plan),
        Against::Null => against_null(plan),
    }
}

fn against_null(plan: &Plan) -> Result<(LoadReport, Measured)> {
    let server = NullServer::start()?;
    let live = Arc::<LiveCounters>::default();
    let mut options = plan.load_options((server.websocket(), server.binary()), &live);
    options.venue_process = Some(server.process_id());
    options.bad_signatures_per_second = 0;
    let traders = Trader::from_seed(1, plan.scenario.keys, Some(VENUE_TAG));
    let measured = watched(plan, &live, &options, || Ok(run_load(&options, &traders)?))?;
    Ok((LoadReport::new(&measured, plan.conditions()), measured))
}

fn against_venue(plan: &Plan) -> Result<(LoadReport, Measured)> {
    let scratch = tempfile::Builder::new().prefix("lakh-load-").tempdir()?;
    let directory = plan.data.as_deref().unwrap_or_else(|| scratch.path());
    std::fs::create_dir_all(directory)?;
    ensure!(!directory.join("journal").exists(), "{} holds a journal already", directory.display());
    let mut venue_options = plan.venue_options(directory)?;
    // As a venue that somebody relies on: it signs checkpoints, and what that costs is in the figures.
    let key = directory.join("node.pem");
    if !key.exists() {
        new_key(&key)?;
    }
    venue_options.journal_keys = format!("checkpoint_key_file = {key:?}\n");
    let mut traders = venue_options.traders();
    let venue = venue_options.start()?;
    let live = Arc::<LiveCounters>::default();
    let binary = venue.binary().parse().context("the venue named no binary port")?;
    let mut options = plan.load_options((venue.websocket(), binary), &live);
    options.venue_process = Some(venue.process_id());
    options.health = Some(venue.health().to_owned());
    let others = traders.split_off(plan.scenario.keys as usize);
    options.hostile = others.into_iter().zip(plan.scenario.keys + 1..).collect();
    let journal = venue_options.journal();
    // Accounts and their money are journaled before the first order.
    let set_up_bytes = journal_bytes(&journal)?;
    let measured = watched(plan, &live, &options, || Ok(run_load(&options, &traders)?))?;
    let closed = venue.stop()?;
    let engine = replayed(plan, &journal, &closed)?;
    check_balances(&engine, u64::from(venue_options.keys))?;
    let mut conditions = plan.conditions();
    conditions.checks = ["replay of the journal in the venue's own state", "balances conserved to the atom"]
        .map(str::to_owned)
        .to_vec();
    let bytes = journal_bytes(&journal)?.saturating_sub(set_up_bytes);
    // What rests before is placed by the load, and would be counted with what it measures.
    conditions.journal_bytes_per_operation = (plan.scenario.resting_orders == 0).then(|| bytes / measured.sent.max(1));
    Ok((LoadReport::new(&measured, conditions), measured))
}

/// Bytes of the journal that are written.
fn journal_bytes(journal: &Path) -> Result<u64> {
    Ok(verify::overview(journal)?.segments.iter().map(|segment| segment.used_bytes).sum())
}

/// Replays the journal to the state that the venue said it stopped in.
fn replayed(plan: &Plan, journal: &Path, closed: &Value) -> Result<Engine> {
    let bar = progress::counter("replaying", plan.quiet);
    let replay = history::replay(journal, |_| {
        bar.inc(1);
        Ok(())
    })?;
    bar.finish_and_clear();
    let live_hash = closed["stateHash"].as_str().context("the venue named no state hash")?;
    let found = hex(&replay.engine.state_hash());
    ensure!(found == live_hash, "no figure: the replay comes to state {found}, and the venue stopped in {live_hash}");
    Ok(replay.engine)
}

/// Every atom that was there at the start is there at the end, and no other.
fn check_balances(engine: &Engine, accounts: u64) -> Result<()> {
    for (index, asset) in engine.assets().iter().enumerate() {
        let id = AssetId(u16::try_from(index).context("an asset's number")?);
        let balances = engine.accounts().filter_map(|account| engine.balance(account, id));
        let sum: u128 = balances.map(|balance| u128::from(balance.available.0) + u128::from(balance.held.0)).sum();
        let atoms = if asset.decimals == 0 { 1 } else { QUOTE_ATOMS };
        let began = u128::from(UNITS) * u128::from(atoms) * u128::from(accounts);
        if sum != began {
            bail!("no figure: there are {sum} atoms of {}, and at the start there were {began}", asset.symbol.as_str());
        }
    }
    Ok(())
}

/// Does the work and shows on a terminal how far it is.
fn watched<T>(
    plan: &Plan,
    live: &Arc<LiveCounters>,
    options: &LoadOptions,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let bar = progress::counter("", plan.quiet);
    if bar.is_hidden() {
        return work();
    }
    bar.set_length(options.operations);
    let style = "{msg} {bar:30} {human_pos} of {human_len} due, {eta} left";
    bar.set_style(ProgressStyle::with_template(style).context("the template is fixed")?);
    bar.set_message("signing");
    let over = Arc::<AtomicBool>::default();
    let (shown, ended, counters) = (bar.clone(), Arc::clone(&over), Arc::clone(live));
    let show = std::thread::spawn(move || {
        while !ended.load(Ordering::Relaxed) {
            show(&shown, &counters);
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let outcome = work();
    over.store(true, Ordering::Relaxed);
    // It only shows; there is nothing to be said when that failed.
    let _ = show.join();
    bar.finish_and_clear();
    outcome
}

fn show(bar: &ProgressBar, live: &LiveCounters) {
    let due = live.due.load(Ordering::Relaxed);
    if due == 0 {
        return;
    }
    let (acknowledged, rejected) = (live.acknowledged.load(Ordering::Relaxed), live.rejected.load(Ordering::Relaxed));
    bar.set_position(due);
    bar.set_message(format!(
        "{acknowledged} acknowledged, {rejected} rejected, {} open",
        due.saturating_sub(acknowledged + rejected)
    ));
}
