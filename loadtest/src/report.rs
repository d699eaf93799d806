//! What a load came to, with the conditions without which its numbers mean nothing.
//!
//! [`Measured`] is what the client saw, [`LoadReport`] what is printed. Both exist only for a run in which every check
//! held: see [`crate::load::run_load`].

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::cpu::UseSample;
use crate::load::HostileReport;
use crate::recorder::Recorder;

/// What the client's process and its thread that sends and reads are called.
pub(crate) const GENERATOR: &str = "generator";

/// Latencies in microseconds, from the intended send time to the answer, of acknowledged operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LatencyMicroseconds {
    /// Half of the operations were faster.
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

/// A point of the latency's curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LatencyPoint {
    /// The share of operations that took longer: 1 for all, 0.001 for one in a thousand.
    pub above: f64,
    /// How long the others took at most.
    pub us: u64,
}

/// What was seen in one interval of a load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Interval {
    /// Milliseconds after the start at its end.
    pub end_ms: u64,
    /// Operations taken in it.
    pub acknowledged: u64,
    /// Operations refused in it.
    pub rejected: u64,
    /// Latencies of those that were taken in it.
    pub latency_us: LatencyMicroseconds,
}

/// How large the venue's books were at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BookSize {
    /// Price levels of all markets.
    pub levels: u64,
    /// Resting orders of all markets.
    pub orders: u64,
}

/// What signing checkpoints took the venue: the hash of its whole state each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CheckpointUse {
    /// How many there were.
    pub taken: u64,
    /// Processor time of their state hashes, in seconds.
    pub cpu_seconds: f64,
}

impl CheckpointUse {
    /// What came after `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self { taken: self.taken.saturating_sub(before.taken), cpu_seconds: self.cpu_seconds - before.cpu_seconds }
    }
}

/// The same beside what else was done meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CheckpointShare {
    /// What they took.
    #[serde(flatten)]
    pub used: CheckpointUse,
    /// Of the processor time of the thread that takes them, which follows the journal beside the live engine.
    pub percent_of_keeper: f64,
    /// Of the processor time of the venue's whole process.
    pub percent_of_venue: f64,
}

/// Whether a long load ended as it went on: from the second fifth of its time, when all is warm, to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// Median of the seconds' 99th percentiles, in microseconds, in the second fifth and in the last.
    pub p99_us: (u64, u64),
    /// Median of the looks at the venue's memory in the second fifth and in the last: it goes up and down with what is
    /// kept for a second or so, so a single look says little.
    pub resident_bytes: (u64, u64),
    /// The most that it was in either.
    pub resident_bytes_max: (u64, u64),
}

/// Seconds that a load has to last for its drift to be told.
const DRIFT_SECONDS: usize = 50;

/// What the client saw of a load in which its checks held.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Operations sent; every one was answered once.
    pub sent: u64,
    /// What was looked at.
    pub checks: Vec<&'static str>,
    /// The books at the end, where they could be seen.
    pub book: Option<BookSize>,
    /// What became of those who sign badly, where there were any.
    pub hostile: Option<HostileReport>,
    /// What the venue's checkpoints took, where it tells.
    pub checkpoints: Option<CheckpointUse>,
    /// Processor time and memory meanwhile.
    pub uses: Vec<UseSample>,
    /// Processor time of the thread that sends and reads.
    pub generator_cpu: Duration,
    /// Everything that was answered.
    pub recorder: Recorder,
}

impl Measured {
    /// Acknowledged operations a second, from the first intended send time to the last answer.
    pub fn orders_per_second(&self) -> u64 {
        let elapsed_ns = self.recorder.last_answer().as_nanos().max(1);
        let per_second = u128::from(self.recorder.acknowledged()) * 1_000_000_000 / elapsed_ns;
        u64::try_from(per_second).unwrap_or(u64::MAX)
    }

    /// Nanoseconds of processor time that sending an operation and reading its answer took the client.
    pub fn generator_ns_per_operation(&self) -> u64 {
        u64::try_from(self.generator_cpu.as_nanos() / u128::from(self.sent.max(1))).unwrap_or(u64::MAX)
    }

    /// Whether it ended as it went on; nothing for a short one.
    pub fn drift(&self) -> Option<Drift> {
        let intervals = self.recorder.intervals();
        let fifth = intervals.len() / 5;
        if intervals.len() < DRIFT_SECONDS {
            return None;
        }
        let median = |part: &[Interval]| {
            let mut p99: Vec<u64> = part.iter().map(|interval| interval.latency_us.p99).collect();
            p99.sort_unstable();
            p99[p99.len() / 2]
        };
        let looks = self.uses.len() / 5;
        let resident = |part: &[UseSample]| {
            let of_venue = |look: &UseSample| look.processes.get("venue").map(|used| used.resident_bytes);
            let mut bytes: Vec<u64> = part.iter().filter_map(of_venue).collect();
            bytes.sort_unstable();
            Some((*bytes.get(bytes.len() / 2)?, *bytes.last()?))
        };
        let (early, early_max) = resident(self.uses.get(looks..2 * looks)?)?;
        let (late, late_max) = resident(&self.uses[self.uses.len() - looks..])?;
        Some(Drift {
            p99_us: (median(&intervals[fifth..2 * fifth]), median(&intervals[intervals.len() - fifth..])),
            resident_bytes: (early, late),
            resident_bytes_max: (early_max, late_max),
        })
    }

    /// What the venue's checkpoints took of the time of its keeper and of all its threads.
    pub fn checkpoint_share(&self) -> Option<CheckpointShare> {
        let used = self.checkpoints?;
        let cpu_ns = &self.uses.last()?.processes.get("venue")?.cpu_ns;
        let percent_of = |ns: u64| if ns == 0 { 0.0 } else { used.cpu_seconds * 1e11 / ns as f64 };
        Some(CheckpointShare {
            used,
            percent_of_keeper: percent_of(cpu_ns.get("keeper").copied().unwrap_or(0)),
            percent_of_venue: percent_of(cpu_ns.values().sum()),
        })
    }

    /// Seconds of processor time by process and thread, in whole milliseconds.
    pub fn cpu_seconds(&self) -> BTreeMap<&'static str, BTreeMap<String, f64>> {
        let Some(last) = self.uses.last() else { return BTreeMap::new() };
        let seconds = |ns: u64| (ns / 1_000_000) as f64 / 1_000.0;
        let of = |cpu_ns: &BTreeMap<String, u64>| {
            cpu_ns.iter().filter(|(_, ns)| **ns >= 1_000_000).map(|(name, ns)| (name.clone(), seconds(*ns))).collect()
        };
        let mut seconds: BTreeMap<_, BTreeMap<_, _>> =
            last.processes.iter().map(|(label, used)| (*label, of(&used.cpu_ns))).collect();
        // It ends before the last look, and knows its own time.
        let own = u64::try_from(self.generator_cpu.as_millis()).unwrap_or(u64::MAX) as f64 / 1_000.0;
        seconds.entry(GENERATOR).or_default().insert(GENERATOR.to_owned(), own);
        seconds
    }
}

/// Under what conditions the numbers were taken.
#[derive(Clone, Debug, Serialize)]
pub struct Conditions {
    /// Processor and system.
    pub machine: String,
    /// Processors that this process may use; the venue shares them.
    pub processors: usize,
    /// Of the program's source.
    pub commit: String,
    /// The scenario's name, and what it is about.
    pub scenario: String,
    /// The same.
    pub about: String,
    /// How requests travelled.
    pub transport: crate::load::Transport,
    /// What stood at the other end.
    pub against: String,
    /// Always `open`: requests are sent when they are due, whatever the answers do.
    pub r#loop: &'static str,
    /// What a latency is.
    pub latency: &'static str,
    /// What the requests were.
    pub mix: serde_json::Value,
    /// Trading keys, each request signed by one.
    pub keys: u32,
    /// Markets.
    pub markets: u16,
    /// Connections.
    pub connections: u64,
    /// Requests of one connection in a row.
    pub consecutive: u32,
    /// Operations under one signature.
    pub operations_per_request: u64,
    /// Operations a second that were offered.
    pub offered_per_second: u64,
    /// For so many seconds.
    pub seconds: u64,
    /// Seed of everything random.
    pub seed: u64,
    /// How often the client looked what is due and what came, in microseconds; up to this is in every latency, twice.
    pub pacing_us: u64,
    /// Orders that rested before the start.
    pub resting_orders: u64,
    /// The books at the end.
    pub book: Option<BookSize>,
    /// Level of the venue's journal.
    pub durability: String,
    /// Where the venue's stages ran, as its configuration says it.
    pub stages: &'static str,
    /// How the venue's threads and the client's got processors: `normal` or `real_time`.
    pub scheduling: &'static str,
    /// What is left out.
    pub excluded: &'static str,
    /// Processor time by process and thread, of the load alone.
    pub cpu_seconds: BTreeMap<&'static str, BTreeMap<String, f64>>,
    /// What the venue's checkpoints took of it.
    pub checkpoints: Option<CheckpointShare>,
    /// Nanoseconds of processor time of the client's thread for each operation.
    pub generator_ns_per_operation: u64,
    /// The most that the client itself was late with a request, in microseconds: part of the latencies.
    pub client_lag_us_max: u64,
    /// From the first intended send time to the last answer, in milliseconds.
    pub elapsed_ms: u64,
    /// Refusals by the protocol's number.
    pub reject_codes: BTreeMap<i64, u64>,
    /// Those who signed badly; the figures above are of the others.
    pub hostile: Option<HostileReport>,
    /// Whether a long load ended as it went on.
    pub drift: Option<Drift>,
    /// What was checked, and held.
    pub checks: Vec<String>,
    /// Bytes of the journal for each operation that was sent.
    pub journal_bytes_per_operation: Option<u64>,
}

/// What a load came to.
#[derive(Clone, Debug, Serialize)]
pub struct LoadReport {
    /// Acknowledged operations a second, from the first intended send time to the last answer.
    pub orders_per_second: u64,
    /// How long they took.
    pub latency_us: LatencyMicroseconds,
    /// Operations sent; every one was answered once.
    pub sent: u64,
    /// Operations that the venue took.
    pub acknowledged: u64,
    /// Orders that traded on arrival.
    pub filled: u64,
    /// Operations that it refused.
    pub rejected: u64,
    /// Under what conditions.
    pub conditions: Conditions,
}

impl LoadReport {
    /// The numbers of `measured` under `conditions`, which are completed with what was measured.
    pub fn new(measured: &Measured, conditions: Conditions) -> Self {
        let recorder = &measured.recorder;
        let us = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let checks = measured.checks.iter().map(|check| (*check).to_owned()).chain(conditions.checks);
        let conditions = Conditions {
            book: measured.book,
            cpu_seconds: measured.cpu_seconds(),
            checkpoints: measured.checkpoint_share(),
            generator_ns_per_operation: measured.generator_ns_per_operation(),
            client_lag_us_max: us(recorder.send_lag_max()),
            elapsed_ms: us(recorder.last_answer()) / 1_000,
            reject_codes: recorder.reject_codes().clone(),
            hostile: measured.hostile.clone(),
            drift: measured.drift(),
            checks: checks.collect(),
            ..conditions
        };
        Self {
            orders_per_second: measured.orders_per_second(),
            latency_us: recorder.latency_us(),
            sent: measured.sent,
            acknowledged: recorder.acknowledged(),
            filled: recorder.filled(),
            rejected: recorder.rejected(),
            conditions,
        }
    }
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
            conditions.reject_codes
        )?;
        let LatencyMicroseconds { p50, p99, p99_9, p99_99, max } = latency_us;
        writeln!(f, "latency µs: p50 {p50}, p99 {p99}, p99.9 {p99_9}, p99.99 {p99_99}, max {max}")?;
        let lag = conditions.client_lag_us_max;
        let cost = conditions.generator_ns_per_operation;
        writeln!(f, "client itself late by at most {lag} µs, {cost} ns of its thread for an operation")?;
        for (process, threads) in &conditions.cpu_seconds {
            let threads: Vec<String> = threads.iter().map(|(name, seconds)| format!("{name} {seconds:.2}")).collect();
            writeln!(f, "processor seconds of {process}: {}", threads.join(", "))?;
        }
        if let Some(CheckpointShare { used, percent_of_keeper, percent_of_venue }) = &conditions.checkpoints {
            let CheckpointUse { taken, cpu_seconds } = used;
            writeln!(
                f,
                "{taken} checkpoints, {cpu_seconds:.3} processor seconds: {percent_of_keeper:.2} % of the keeper's, \
                 {percent_of_venue:.2} % of the venue's"
            )?;
        }
        if let Some(hostile) = &conditions.hostile {
            let (sent, refused, ended) = (hostile.sent, hostile.refused, hostile.disconnected);
            writeln!(f, "beside it {sent} bad signatures: {refused} refused, {ended} connections ended")?;
        }
        if let Some(Drift { p99_us, resident_bytes, resident_bytes_max }) = &conditions.drift {
            let megabytes = |bytes: &(u64, u64)| (bytes.0 / 1_000_000, bytes.1 / 1_000_000);
            let ((early, late), (early_max, late_max)) = (megabytes(resident_bytes), megabytes(resident_bytes_max));
            writeln!(
                f,
                "from the second fifth to the last: p99 {} to {} µs, memory {early} to {late} MB, at most {early_max} to \
                 {late_max} MB",
                p99_us.0, p99_us.1
            )?;
        }
        if let Some(book) = &conditions.book {
            writeln!(f, "books at the end: {} orders on {} levels", book.orders, book.levels)?;
        }
        writeln!(f, "checked: {}", conditions.checks.join("; "))?;
        write!(
            f,
            "{} over {:?} against {}, {} loop, {} connections, {} keys, {} markets, durability {}, scheduling {}, seed {}; \
             {}, {} processors, commit {}; latency {}; left out: {}",
            conditions.scenario,
            conditions.transport,
            conditions.against,
            conditions.r#loop,
            conditions.connections,
            conditions.keys,
            conditions.markets,
            conditions.durability,
            conditions.scheduling,
            conditions.seed,
            conditions.machine,
            conditions.processors,
            conditions.commit,
            conditions.latency,
            conditions.excluded
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::ProcessUse;

    /// A load of so many seconds in which p99 and memory are what `at` says of each second.
    fn load(seconds: u64, at: fn(u64) -> (u64, u64)) -> Measured {
        let mut recorder = Recorder::new();
        let mut uses = Vec::new();
        for second in 0..seconds {
            let (us, resident_bytes) = at(second);
            recorder.acknowledge(Duration::from_secs(second), Duration::from_secs(second) + Duration::from_micros(us));
            recorder.end_interval(Duration::from_secs(second + 1));
            let processes = BTreeMap::from([("venue", ProcessUse { resident_bytes, ..ProcessUse::default() })]);
            uses.push(UseSample { at_ms: second * 1_000, processes });
        }
        let (checks, generator_cpu) = (Vec::new(), Duration::from_millis(3));
        let (book, hostile, checkpoints) = (None, None, None);
        Measured { sent: seconds, checks, book, hostile, checkpoints, uses, generator_cpu, recorder }
    }

    #[test]
    fn drift_shows_growth_and_not_the_warm_up() {
        let steady = load(100, |second| if second < 15 { (9_000, 10 + second) } else { (1_000, 50) });
        let Drift { p99_us, resident_bytes, .. } = steady.drift().expect("a long load");
        assert!(p99_us.0.abs_diff(p99_us.1) <= 1 && p99_us.0.abs_diff(1_000) <= 1, "{p99_us:?}");
        assert_eq!(resident_bytes, (50, 50));
        let growing = load(100, |second| (1_000 + second * 100, second)).drift().expect("a long load");
        assert!(growing.p99_us.1 > 2 * growing.p99_us.0, "{growing:?}");
        assert_eq!((growing.resident_bytes, growing.resident_bytes_max), ((30, 90), (39, 99)));
        // One look at a moment in which a buffer is full is no growth.
        let peak = load(100, |second| (1_000, if second == 99 { 90 } else { 50 })).drift().expect("a long load");
        assert_eq!((peak.resident_bytes, peak.resident_bytes_max), ((50, 50), (50, 90)));
        assert_eq!(load(10, |_| (1, 1)).drift(), None);
    }

    #[test]
    fn figures_follow_from_what_was_measured() {
        let measured = load(10, |_| (500_000, 1));
        assert_eq!((measured.orders_per_second(), measured.generator_ns_per_operation()), (1, 300_000));
        let seconds = measured.cpu_seconds();
        assert!((seconds[GENERATOR][GENERATOR] - 0.003).abs() < 1e-9, "{seconds:?}");
    }

    #[test]
    fn checkpoints_are_told_as_a_share_of_their_thread_and_of_all() {
        let mut measured = load(2, |_| (1, 1));
        assert_eq!(measured.checkpoint_share(), None, "the venue tells nothing");
        let (before, after) =
            (CheckpointUse { taken: 3, cpu_seconds: 0.5 }, CheckpointUse { taken: 5, cpu_seconds: 0.6 });
        measured.checkpoints = Some(after.since(before));
        let venue = measured.uses[1].processes.get_mut("venue").expect("it is watched");
        venue.cpu_ns =
            BTreeMap::from([("keeper", 2), ("lakh", 8)].map(|(name, s)| (name.to_owned(), s * 1_000_000_000)));
        let share = measured.checkpoint_share().expect("told");
        assert_eq!(share.used.taken, 2);
        assert!(
            (share.percent_of_keeper - 5.0).abs() < 1e-6 && (share.percent_of_venue - 1.0).abs() < 1e-6,
            "{share:?}"
        );
    }
}
