//! What a load came to, with the conditions without which its numbers mean nothing.
//!
//! Exists only for a run in which every check held: see [`crate::load::run_load`].

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::workload::WorkloadOptions;

/// Latencies in microseconds, from the intended send time to the answer, of acknowledged requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LatencyMicroseconds {
    /// Half of the requests were faster.
    pub p50: u64,
    /// 99 of 100.
    pub p99: u64,
    /// 999 of 1,000.
    pub p99_9: u64,
    /// 9,999 of 10,000.
    pub p99_99: u64,
    /// The slowest.
    pub max: u64,
}

/// Under what conditions the numbers were taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conditions {
    /// Always `open`: requests are sent when they are due, whatever the answers do.
    pub r#loop: &'static str,
    /// What a latency is.
    pub latency: &'static str,
    /// What is left out.
    pub left_out: &'static str,
    /// Requests a second that were offered, evenly spaced.
    pub offered_per_second: u64,
    /// WebSocket connections.
    pub connections: u32,
    /// Trading keys, each request signed by one.
    pub keys: u32,
    /// Seed of the workload.
    pub seed: u64,
    /// Mix, prices and quantities.
    pub workload: WorkloadOptions,
    /// How long a signature is good, in milliseconds.
    pub receive_window_ms: u32,
    /// How often the client looks what is due, in microseconds; up to this is in every latency.
    pub pacing_us: u64,
    /// Processors that this process may use; the venue may share them.
    pub processors: usize,
    /// What only the caller knows: machine, commit, durability level, where the venue runs.
    pub notes: BTreeMap<String, String>,
}

/// What a load came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoadReport {
    /// Acknowledged requests a second, from the first intended send time to the last answer.
    pub orders_per_second: u64,
    /// How long they took.
    pub latency_us: LatencyMicroseconds,
    /// Requests sent; every one was answered once.
    pub sent: u64,
    /// Requests that the venue took.
    pub acknowledged: u64,
    /// Immediate-or-cancel orders that traded.
    pub filled: u64,
    /// Requests that it refused.
    pub rejected: u64,
    /// The same by the API's error number.
    pub reject_codes: BTreeMap<i64, u64>,
    /// From the first intended send time to the last answer, in milliseconds.
    pub elapsed_ms: u64,
    /// The most that this client itself was late with a request, in microseconds: part of the latencies.
    pub client_lag_us_max: u64,
    /// Under what conditions.
    pub conditions: Conditions,
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { latency_us, conditions, .. } = self;
        writeln!(
            f,
            "{} acknowledged/s ({} offered/s), {} sent, {} acknowledged, {} filled, {} rejected {:?}",
            self.orders_per_second,
            conditions.offered_per_second,
            self.sent,
            self.acknowledged,
            self.filled,
            self.rejected,
            self.reject_codes
        )?;
        let LatencyMicroseconds { p50, p99, p99_9, p99_99, max } = latency_us;
        writeln!(f, "latency µs: p50 {p50}, p99 {p99}, p99.9 {p99_9}, p99.99 {p99_99}, max {max}")?;
        writeln!(f, "client itself late by at most {} µs", self.client_lag_us_max)?;
        write!(
            f,
            "{} loop, {} connections, {} keys, seed {}, {} processors; latency {}; left out: {}",
            conditions.r#loop,
            conditions.connections,
            conditions.keys,
            conditions.seed,
            conditions.processors,
            conditions.latency,
            conditions.left_out
        )
    }
}
