//! What a load saw: how many requests were taken and refused, how fast, and what must not have happened.
//!
//! Latency runs from the *intended* send time to the moment the answer is read, so that a stall is paid by every
//! request that should have been sent during it (no coordinated omission). Only acknowledged operations enter the
//! histogram: a refusal is cheap and would flatter it. That each request is answered exactly once is kept where the
//! requests are ([`crate::load`]). Memory: two histograms of fixed size, and a few numbers for each interval.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::report::{Interval, LatencyMicroseconds, LatencyPoint};

/// Longest latency that is told apart; longer ones count as this.
const LONGEST_NS: u64 = 120_000_000_000;
/// Faults kept in full; all are counted.
const KEPT_FAULTS: usize = 8;
/// Points of the latency's curve between each two powers of ten of what is left above.
const POINTS_PER_DECADE: u32 = 8;

/// See the module.
#[derive(Clone)]
pub struct Recorder {
    latency_ns: Histogram<u64>,
    /// Of the interval that goes on.
    interval_ns: Histogram<u64>,
    interval: Interval,
    intervals: Vec<Interval>,
    acknowledged: u64,
    filled: u64,
    rejected: u64,
    reject_codes: BTreeMap<i64, u64>,
    faults: Vec<String>,
    fault_count: u64,
    /// From the start of the load to the last answer.
    last_answer: Duration,
    /// The most that a request left this process after its intended time.
    send_lag_max: Duration,
}

impl std::fmt::Debug for Recorder {
    /// Without the histograms, which have some ten thousand numbers.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder")
            .field("latency_us", &self.latency_us())
            .field("acknowledged", &self.acknowledged)
            .field("rejected", &self.reject_codes)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// Nothing seen yet.
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("constant bounds that the type allows");
        Self {
            latency_ns: histogram.clone(),
            interval_ns: histogram,
            interval: Interval::default(),
            intervals: Vec::new(),
            acknowledged: 0,
            filled: 0,
            rejected: 0,
            reject_codes: BTreeMap::new(),
            faults: Vec::new(),
            fault_count: 0,
            last_answer: Duration::ZERO,
            send_lag_max: Duration::ZERO,
        }
    }

    /// An operation was taken: read at `at` after the start of the load, due at `intended`.
    pub fn acknowledge(&mut self, intended: Duration, at: Duration) {
        self.acknowledged += 1;
        self.interval.acknowledged += 1;
        self.last_answer = self.last_answer.max(at);
        // An answer before its intended time is impossible for the sender; a clock that says so is a fault.
        match at.checked_sub(intended) {
            Some(latency) => {
                let latency_ns = u64::try_from(latency.as_nanos()).unwrap_or(LONGEST_NS);
                self.latency_ns.saturating_record(latency_ns);
                self.interval_ns.saturating_record(latency_ns);
            }
            None => self.fault("a request was answered before it was due".to_owned()),
        }
    }

    /// `operations` were refused with `code`, read at `at`.
    pub fn reject(&mut self, code: i64, operations: u64, at: Duration) {
        self.rejected += operations;
        self.interval.rejected += operations;
        self.last_answer = self.last_answer.max(at);
        *self.reject_codes.entry(code).or_default() += operations;
    }

    /// An order traded on arrival.
    pub fn fill(&mut self) {
        self.filled += 1;
    }

    /// Something that must not happen.
    pub fn fault(&mut self, message: String) {
        self.fault_count += 1;
        if self.faults.len() < KEPT_FAULTS {
            self.faults.push(message);
        }
    }

    /// A request left `lag` after its intended time.
    pub fn sent(&mut self, lag: Duration) {
        self.send_lag_max = self.send_lag_max.max(lag);
    }

    /// An interval ends at `at` after the start; the next one begins.
    pub fn end_interval(&mut self, at: Duration) {
        let latency_us = percentiles(&self.interval_ns);
        let end_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        self.intervals.push(Interval { end_ms, latency_us, ..self.interval.clone() });
        self.interval = Interval::default();
        self.interval_ns.reset();
    }

    /// Every check that failed, and refusals whose code is not among `tolerated_codes`.
    pub fn failed_checks(&self, tolerated_codes: &[i64]) -> FailedChecks {
        let mut faults = self.faults.clone();
        let more = self.fault_count - self.faults.len() as u64;
        if more > 0 {
            faults.push(format!("{more} more of these"));
        }
        let untolerated = self.reject_codes.iter().filter(|(code, _)| !tolerated_codes.contains(code));
        let refusals = untolerated.map(|(code, count)| format!("{count} requests were refused with {code}"));
        FailedChecks { faults, refusals: refusals.collect() }
    }

    /// Operations that the venue took.
    pub const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Orders that traded on arrival.
    pub const fn filled(&self) -> u64 {
        self.filled
    }

    /// Operations that it refused.
    pub const fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Refusals by the protocol's number.
    pub const fn reject_codes(&self) -> &BTreeMap<i64, u64> {
        &self.reject_codes
    }

    /// From the start of the load to the last answer.
    pub const fn last_answer(&self) -> Duration {
        self.last_answer
    }

    /// The most that a request left this process after its intended time.
    pub const fn send_lag_max(&self) -> Duration {
        self.send_lag_max
    }

    /// What was seen in each interval.
    pub fn intervals(&self) -> &[Interval] {
        &self.intervals
    }

    /// The latencies of acknowledged operations, each rounded up to a whole microsecond.
    pub fn latency_us(&self) -> LatencyMicroseconds {
        percentiles(&self.latency_ns)
    }

    /// The same as a curve: up to the last operation but one, more densely towards the end.
    pub fn latency_curve(&self) -> Vec<LatencyPoint> {
        let steps = (0..).map(|step: u32| f64::from(step) / f64::from(POINTS_PER_DECADE));
        let above =
            steps.map(|decades| 10_f64.powf(-decades)).take_while(|above| above * self.latency_ns.len() as f64 >= 1.0);
        above
            .map(|above| LatencyPoint { above, us: self.latency_ns.value_at_quantile(1.0 - above).div_ceil(1_000) })
            .collect()
    }
}

/// What spoils a run, by what it says about the venue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedChecks {
    /// The venue, or this client, did what must not happen.
    pub faults: Vec<String>,
    /// It had too much to do, or was asked for what it does not take.
    pub refusals: Vec<String>,
}

fn percentiles(latency_ns: &Histogram<u64>) -> LatencyMicroseconds {
    let at = |quantile| latency_ns.value_at_quantile(quantile).div_ceil(1_000);
    LatencyMicroseconds {
        p50: at(0.5),
        p99: at(0.99),
        p99_9: at(0.999),
        p99_99: at(0.9999),
        max: latency_ns.max().div_ceil(1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(microseconds: u64) -> Duration {
        Duration::from_micros(microseconds)
    }

    #[test]
    fn counts_percentiles_and_intervals() {
        let mut recorder = Recorder::new();
        for round in 0..2 {
            for id in 0..100 {
                recorder.acknowledge(us(id), us(id + 10 + round * 100));
            }
            recorder.fill();
            recorder.sent(us(round));
            recorder.end_interval(us((round + 1) * 1_000_000));
        }
        assert_eq!(recorder.failed_checks(&[]), FailedChecks::default());
        assert_eq!((recorder.acknowledged(), recorder.filled(), recorder.rejected()), (200, 2, 0));
        assert_eq!((recorder.last_answer(), recorder.send_lag_max()), (us(209), us(1)));
        let latency = recorder.latency_us();
        assert!((10..=11).contains(&latency.p50), "{latency:?}");
        assert!((110..=111).contains(&latency.max) && latency.p99 <= latency.max, "{latency:?}");
        let [first, second] = recorder.intervals() else { panic!("{:?}", recorder.intervals()) };
        assert_eq!((first.end_ms, first.acknowledged, second.end_ms, second.acknowledged), (1_000, 100, 2_000, 100));
        assert!(first.latency_us.max <= 11 && second.latency_us.p50 >= 110, "{first:?} {second:?}");
    }

    #[test]
    fn the_curve_goes_up_and_ends_where_single_operations_begin() {
        let mut recorder = Recorder::new();
        (0..1_000).for_each(|id| recorder.acknowledge(us(0), us(id + 1)));
        let curve = recorder.latency_curve();
        assert!(curve.iter().is_sorted_by(|left, right| left.us <= right.us && left.above > right.above), "{curve:?}");
        let last = curve.last().expect("a thousand operations have a curve");
        assert!(last.above > 0.0009 && last.above < 0.0011 && last.us >= 990, "{last:?}");
        assert!(Recorder::new().latency_curve().is_empty());
    }

    #[test]
    fn refusals_are_counted_by_code_and_keep_out_of_the_latency() {
        let mut recorder = Recorder::new();
        recorder.reject(-2011, 1, us(9_000));
        recorder.reject(-1008, 64, us(9_000));
        recorder.acknowledge(us(0), us(3));
        assert_eq!(recorder.reject_codes().iter().collect::<Vec<_>>(), [(&-2011, &1), (&-1008, &64)]);
        assert_eq!(recorder.rejected(), 65);
        assert!(recorder.latency_us().max <= 4);
        assert_eq!(recorder.failed_checks(&[-2011]).refusals, ["64 requests were refused with -1008"]);
        assert_eq!(recorder.failed_checks(&[-2011, -1008]), FailedChecks::default());
    }

    #[test]
    fn faults_are_bounded_and_all_counted() {
        let mut recorder = Recorder::new();
        recorder.acknowledge(us(9), us(8));
        (0..10).for_each(|id| recorder.fault(format!("request {id} was answered twice")));
        let faults = recorder.failed_checks(&[]).faults;
        assert_eq!(faults[..2], ["a request was answered before it was due", "request 0 was answered twice"]);
        assert_eq!(faults.last().map(String::as_str), Some("3 more of these"));
    }
}
