//! What one connection saw: each request answered once, how fast, and with what.
//!
//! Latency runs from the *intended* send time to the moment the answer is read, so that a stall is paid by every
//! request that should have been sent during it (no coordinated omission). Only acknowledged requests enter the
//! histogram: a refusal is cheap and would flatter it. Memory: a bit's worth a request, and a histogram of fixed size.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::report::LatencyMicroseconds;
use crate::scan::ResponseHead;

/// Longest latency that is told apart; longer ones count as this.
const LONGEST_NS: u64 = 120_000_000_000;
/// Faults kept in full a connection; all are counted.
const KEPT_FAULTS: usize = 4;

/// The answers of one connection, or of several together.
#[derive(Clone, Debug)]
pub struct Recorder {
    latency_ns: Histogram<u64>,
    answered: Vec<bool>,
    answered_count: u64,
    acknowledged: u64,
    filled: u64,
    reject_codes: BTreeMap<i64, u64>,
    faults: Vec<String>,
    fault_count: u64,
    /// From the start of the load to the last answer.
    last_answer: Duration,
    /// The most that a request left this process after its intended time.
    send_lag_max: Duration,
}

impl Recorder {
    /// For `requests` requests, numbered from 0.
    pub fn new(requests: usize) -> Self {
        let latency_ns = Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("constant bounds that the type allows");
        Self {
            latency_ns,
            answered: vec![false; requests],
            answered_count: 0,
            acknowledged: 0,
            filled: 0,
            reject_codes: BTreeMap::new(),
            faults: Vec::new(),
            fault_count: 0,
            last_answer: Duration::ZERO,
            send_lag_max: Duration::ZERO,
        }
    }

    /// An answer, read at `at` after the start of the load, to a request that was due at `intended`.
    pub fn answer(&mut self, head: ResponseHead, intended: Duration, at: Duration) {
        let index = usize::try_from(head.id).unwrap_or(usize::MAX);
        match self.answered.get_mut(index) {
            None => return self.fault(format!("an answer to request {}, which was not sent", head.id)),
            Some(true) => return self.fault(format!("request {} was answered twice", head.id)),
            Some(answered) => *answered = true,
        }
        self.answered_count += 1;
        self.last_answer = self.last_answer.max(at);
        if head.status != 200 {
            *self.reject_codes.entry(head.code).or_default() += 1;
            return;
        }
        self.acknowledged += 1;
        // An answer before its intended time is impossible for the sender; a clock that says so is a fault.
        match at.checked_sub(intended) {
            Some(latency) => {
                self.latency_ns.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(LONGEST_NS));
            }
            None => self.fault(format!("request {} was answered before it was due", head.id)),
        }
    }

    /// The order whose answer came last traded at once.
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

    /// Adds what another connection saw.
    pub fn merge(&mut self, other: &Self) {
        self.latency_ns.add(&other.latency_ns).expect("both have the same bounds");
        self.answered.extend_from_slice(&other.answered);
        self.answered_count += other.answered_count;
        self.acknowledged += other.acknowledged;
        self.filled += other.filled;
        for (code, count) in &other.reject_codes {
            *self.reject_codes.entry(*code).or_default() += count;
        }
        self.faults.extend_from_slice(&other.faults);
        self.fault_count += other.fault_count;
        self.last_answer = self.last_answer.max(other.last_answer);
        self.send_lag_max = self.send_lag_max.max(other.send_lag_max);
    }

    /// Every check that failed; refusals count unless their code is among `tolerated_codes`.
    pub fn failed_checks(&self, tolerated_codes: &[i64]) -> Vec<String> {
        let mut failed = self.faults.clone();
        let more = self.fault_count - self.faults.len() as u64;
        if more > 0 {
            failed.push(format!("{more} more of these"));
        }
        let lost = self.answered.len() as u64 - self.answered_count;
        if lost > 0 {
            failed.push(format!("{lost} requests were never answered"));
        }
        for (code, count) in &self.reject_codes {
            if !tolerated_codes.contains(code) {
                failed.push(format!("{count} requests were refused with {code}"));
            }
        }
        failed
    }

    /// Requests that the venue took.
    pub const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Orders whose answer says that they traded at once.
    pub const fn filled(&self) -> u64 {
        self.filled
    }

    /// Refusals by the API's error number.
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

    /// The latencies of acknowledged requests, each rounded up to a whole microsecond.
    pub fn latency_us(&self) -> LatencyMicroseconds {
        let at = |quantile| self.latency_ns.value_at_quantile(quantile).div_ceil(1_000);
        LatencyMicroseconds {
            p50: at(0.5),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: self.latency_ns.max().div_ceil(1_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(id: u64, status: u16, code: i64) -> ResponseHead {
        ResponseHead { id, status, code }
    }

    fn us(microseconds: u64) -> Duration {
        Duration::from_micros(microseconds)
    }

    #[test]
    fn counts_and_percentiles_over_two_connections() {
        let mut all = Recorder::new(0);
        for connection in 0..2 {
            let mut one = Recorder::new(100);
            for id in 0..100 {
                one.answer(head(id, 200, 0), us(id), us(id + 10 + connection * 100));
            }
            one.fill();
            one.sent(us(connection));
            all.merge(&one);
        }
        assert!(all.failed_checks(&[]).is_empty());
        assert_eq!((all.acknowledged(), all.filled()), (200, 2));
        assert_eq!((all.last_answer(), all.send_lag_max()), (us(209), us(1)));
        let latency = all.latency_us();
        assert!((10..=11).contains(&latency.p50), "{latency:?}");
        assert!((110..=111).contains(&latency.max) && latency.p99 <= latency.max, "{latency:?}");
    }

    #[test]
    fn each_request_is_answered_exactly_once() {
        let mut recorder = Recorder::new(3);
        recorder.answer(head(0, 200, 0), us(0), us(5));
        recorder.answer(head(0, 200, 0), us(0), us(6));
        recorder.answer(head(9, 200, 0), us(0), us(6));
        recorder.answer(head(1, 200, 0), us(9), us(8));
        let failed = recorder.failed_checks(&[]);
        let expected = [
            "request 0 was answered twice",
            "an answer to request 9, which was not sent",
            "request 1 was answered before it was due",
            "1 requests were never answered",
        ];
        assert_eq!(failed, expected);
    }

    #[test]
    fn refusals_are_counted_by_code_and_keep_out_of_the_latency() {
        let mut recorder = Recorder::new(3);
        recorder.answer(head(0, 400, -2011), us(0), us(9_000));
        recorder.answer(head(1, 503, -1008), us(0), us(9_000));
        recorder.answer(head(2, 200, 0), us(0), us(3));
        assert_eq!(recorder.reject_codes().iter().collect::<Vec<_>>(), [(&-2011, &1), (&-1008, &1)]);
        assert!(recorder.latency_us().max <= 4);
        assert_eq!(recorder.failed_checks(&[-2011]), ["1 requests were refused with -1008"]);
        assert!(recorder.failed_checks(&[-2011, -1008]).is_empty());
    }

    #[test]
    fn faults_are_bounded_and_all_counted() {
        let mut recorder = Recorder::new(0);
        for id in 0..10 {
            recorder.answer(head(id, 200, 0), us(0), us(1));
        }
        assert_eq!(recorder.failed_checks(&[]).last().map(String::as_str), Some("6 more of these"));
    }
}
