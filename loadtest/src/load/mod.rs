//! The load generator: open loop, pre-signed, every answer accounted for.
//!
//! Everything that costs time is done before the clock starts: orders are made from a seed, signed on all processors
//! and framed as text (`plan`). Then each connection has a task that sends what is due and a task that reads answers
//! (`run`). A request is due at a fixed time whatever the venue does, and its latency counts from then.
//!
//! A run in which a request was lost, answered twice or refused for an unexpected reason gives an error and no number.
//! Bounds: at most [`MAX_REQUESTS`] requests of about 450 bytes are held in memory.

mod plan;
mod run;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::client::Trader;
use crate::error::LoadtestError;
use crate::market_text::MarketText;
use crate::report::{Conditions, LoadReport};
use crate::workload::WorkloadOptions;

/// Most requests of one run.
pub const MAX_REQUESTS: u64 = 4_000_000;
/// Longest [`LoadOptions::run`] in bytes; key and order numbers follow it in a client id of 36.
pub const MAX_RUN_BYTES: usize = 8;

/// What load to make.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// The venue's WebSocket API, such as `ws://127.0.0.1:9000/ws-api/v3`.
    pub url: String,
    /// The market and how its numbers are written.
    pub market: MarketText,
    /// Requests in all: 1 ..= [`MAX_REQUESTS`].
    pub requests: u64,
    /// Requests a second in all, at least 1.
    pub requests_per_second: u64,
    /// Connections, at least 1 and at most as many as there are keys, which are dealt out to them in turn.
    pub connections: u32,
    /// Seed of the workload.
    pub seed: u64,
    /// In front of every client id, so that two runs against one venue do not clash: letters and digits.
    pub run: String,
    /// Mix, prices and quantities.
    pub workload: WorkloadOptions,
    /// How long a signature is good, in milliseconds: 1 ..= 60,000.
    pub receive_window_ms: u32,
    /// How often the senders look what is due.
    pub pacing: Duration,
    /// How long answers may take after the last request.
    pub drain: Duration,
    /// Error numbers that do not spoil the run; they are counted. -2011 belongs to the mix: a late cancel.
    pub tolerated_codes: Vec<i64>,
    /// What only the caller knows, for the report: machine, commit, durability level, where the venue runs.
    pub notes: BTreeMap<String, String>,
}

impl LoadOptions {
    /// 100,000 requests at 10,000 a second over 4 connections to `market` at `url`.
    pub fn new(url: &str, market: MarketText) -> Self {
        Self {
            url: url.to_owned(),
            market,
            requests: 100_000,
            requests_per_second: 10_000,
            connections: 4,
            seed: 1,
            run: "a".to_owned(),
            workload: WorkloadOptions::default(),
            receive_window_ms: 5_000,
            pacing: Duration::from_micros(500),
            drain: Duration::from_secs(10),
            tolerated_codes: vec![-2011],
            notes: BTreeMap::new(),
        }
    }

    fn validate(&self, traders: &[Trader]) -> Result<(), LoadtestError> {
        self.workload.validate()?;
        let run_is_plain = !self.run.is_empty()
            && self.run.len() <= MAX_RUN_BYTES
            && self.run.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let fault = if !(1..=MAX_REQUESTS).contains(&self.requests) {
            format!("requests must be 1 to {MAX_REQUESTS}")
        } else if !(1..=1_000_000_000).contains(&self.requests_per_second) {
            "requests a second must be 1 to a thousand million".to_owned()
        } else if self.connections == 0 || self.connections as usize > traders.len() {
            format!("connections must be 1 to the number of keys, {}", traders.len())
        } else if u64::from(self.connections) > self.requests {
            "each connection needs a request".to_owned()
        } else if !run_is_plain {
            format!("the run's name must be 1 to {MAX_RUN_BYTES} letters and digits")
        } else if !(1..=60_000).contains(&self.receive_window_ms) {
            "the receive window must be 1 to 60000 ms".to_owned()
        } else if self.pacing.is_zero() {
            "pacing must be above zero".to_owned()
        } else {
            return Ok(());
        };
        Err(LoadtestError::Options(fault))
    }

    fn conditions(&self, keys: usize) -> Conditions {
        Conditions {
            r#loop: "open",
            latency: "from the intended send time to the answer read, acknowledged requests only",
            left_out: "making and signing the requests, connecting; no stream is subscribed",
            offered_per_second: self.requests_per_second,
            connections: self.connections,
            keys: u32::try_from(keys).unwrap_or(u32::MAX),
            seed: self.seed,
            workload: self.workload.clone(),
            receive_window_ms: self.receive_window_ms,
            pacing_us: u64::try_from(self.pacing.as_micros()).unwrap_or(u64::MAX),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            notes: self.notes.clone(),
        }
    }
}

/// When each request is due: evenly spaced over all connections, in turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    connections: u64,
    requests_per_second: u64,
}

impl Schedule {
    fn new(options: &LoadOptions) -> Self {
        Self { connections: u64::from(options.connections), requests_per_second: options.requests_per_second }
    }

    /// After the start, for request `index` of connection `connection`.
    pub(crate) fn due(self, connection: u64, index: u64) -> Duration {
        let position = u128::from(index * self.connections + connection);
        let ns = position * 1_000_000_000 / u128::from(self.requests_per_second);
        Duration::from_nanos(u64::try_from(ns).expect("at most MAX_REQUESTS seconds"))
    }
}

/// Makes the load and reports what came of it.
///
/// Runs on the current tokio runtime, which needs more than one thread to read while it writes.
///
/// # Errors
/// [`LoadtestError::Options`]; [`LoadtestError::Connection`] when the venue is not there;
/// [`LoadtestError::ChecksFailed`] when a request was lost, answered twice, or refused with a code not tolerated.
pub async fn run_load(options: &LoadOptions, traders: &[Trader]) -> Result<LoadReport, LoadtestError> {
    options.validate(traders)?;
    let ready = run::prepare(options, traders).await?;
    let seen = run::drive(options, ready).await;
    let failed = seen.failed_checks(&options.tolerated_codes);
    if !failed.is_empty() {
        return Err(LoadtestError::ChecksFailed(failed));
    }
    let elapsed = seen.last_answer();
    let elapsed_ns = elapsed.as_nanos().max(1);
    let per_second = u128::from(seen.acknowledged()) * 1_000_000_000 / elapsed_ns;
    Ok(LoadReport {
        orders_per_second: u64::try_from(per_second).unwrap_or(u64::MAX),
        latency_us: seen.latency_us(),
        sent: options.requests,
        acknowledged: seen.acknowledged(),
        filled: seen.filled(),
        rejected: options.requests - seen.acknowledged(),
        reject_codes: seen.reject_codes().clone(),
        elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        client_lag_us_max: u64::try_from(seen.send_lag_max().as_micros()).unwrap_or(u64::MAX),
        conditions: options.conditions(traders.len()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_evenly_spaced_over_all_connections() {
        let mut options = LoadOptions::new("ws://127.0.0.1:1", MarketText::cents_and_units("A"));
        options.connections = 4;
        options.requests_per_second = 2_000;
        let schedule = Schedule::new(&options);
        let mut due: Vec<u128> = (0..4)
            .flat_map(|connection| (0..3).map(move |index| schedule.due(connection, index).as_micros()))
            .collect();
        due.sort_unstable();
        assert_eq!(due, (0..12).map(|position| position * 500).collect::<Vec<_>>());
    }

    #[test]
    fn impossible_options_are_refused() {
        let traders = Trader::from_seed(1, 4, None);
        let good = LoadOptions::new("ws://127.0.0.1:1", MarketText::cents_and_units("A"));
        good.validate(&traders).expect("the defaults are possible");
        let edit = |change: fn(&mut LoadOptions)| {
            let mut options = good.clone();
            change(&mut options);
            options
        };
        let cases = [
            edit(|options| options.requests = 0),
            edit(|options| options.requests = MAX_REQUESTS + 1),
            edit(|options| options.requests = 3),
            edit(|options| options.requests_per_second = 0),
            edit(|options| options.connections = 0),
            edit(|options| options.connections = 5),
            edit(|options| options.run = "a b".to_owned()),
            edit(|options| options.run = String::new()),
            edit(|options| options.run = "ninechars".to_owned()),
            edit(|options| options.receive_window_ms = 60_001),
            edit(|options| options.pacing = Duration::ZERO),
            edit(|options| options.workload.depth_ticks = 0),
        ];
        for options in cases {
            assert!(matches!(options.validate(&traders), Err(LoadtestError::Options(_))), "{options:?}");
        }
    }
}
