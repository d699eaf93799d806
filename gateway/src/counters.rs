//! What the gateway has done so far, in numbers for whoever watches it. They only rise, and nothing is decided by them.
//!
//! Each is an atomic that nobody waits for; whoever asks reads them all, off every path that a request takes.

use std::sync::atomic::{AtomicU64, Ordering};

/// Declares the counters once: fields, names, what they mean, and all of them as a list.
macro_rules! counters {
    ($($(#[doc = $meaning:literal])* $name:ident,)*) => {
        /// The counters of one gateway.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $meaning])* pub $name: Counter,)*
            /// From a request's arrival to its answer, over WebSocket.
            pub answer_time: Histogram,
            /// Processor and waiting time of the verifiers, in nanoseconds.
            pub verifying_ns: Counter,
        }

        impl Counters {
            /// Each counter with its name, what it means, and its value.
            pub fn all(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((stringify!($name), concat!($($meaning),*).trim_ascii(), self.$name.value()),)*]
            }
        }
    };
}

counters! {
    /// Connections that were taken.
    connections_accepted,
    /// Connections over a limit, ended without a word.
    connections_refused,
    /// Connections that ended without a whole TLS handshake.
    handshakes_failed,
    /// Sessions that ended because their clients read too slowly.
    slow_consumers_dropped,
    /// Sessions that ended because nothing was heard of their clients.
    idle_disconnects,
    /// Accounts whose orders went with their last session.
    sessions_ended,
    /// Connections that ended because of their bad signatures.
    bad_signature_disconnects,
    /// Frames that were longer than a frame may be, or no text.
    frames_refused,
    /// Requests over the budget of their connection or address.
    requests_over_budget,
    /// Requests over the number that a connection may have unanswered.
    requests_over_in_flight,
    /// Requests whose answer did not come in time.
    requests_timed_out,
    /// Signatures that hold.
    signatures_accepted,
    /// Signatures that do not.
    signatures_refused,
    /// Batches of signatures, single ones included.
    batches,
    /// Batches that did not hold as a whole and were checked one by one.
    batches_failed,
    /// Requests of those who are not trusted yet, or no longer, whose share of the processor was used up.
    untrusted_shed,
    /// Signed requests over a key's budget.
    keys_over_budget,
    /// New orders over a key's budget.
    orders_over_budget,
    /// Cancels beyond a key's live orders and its allowance.
    cancels_over_budget,
    /// Requests that found no room in a queue or ring.
    requests_shed,
    /// Pages of reports that clients were told again.
    report_pages,
    /// Reports that the report log did not take: what is before them cannot be asked for any more.
    reports_dropped,
}

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn count(&self) {
        self.add(1);
    }

    /// Some more.
    pub fn add(&self, more: u64) {
        // Nobody concludes anything about other memory from it.
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often times of each length occurred. A time is put away with two additions and no lock.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; Self::BUCKETS],
    sum_ns: AtomicU64,
}

impl Histogram {
    /// Each bucket ends at twice the one before: from 16,384 ns to 16 s, and one for what is longer.
    const BUCKETS: usize = 22;
    const SHORTEST_BITS: u32 = 14;

    /// Takes in a time.
    pub fn record(&self, ns: u64) {
        let bits = u64::BITS - ns.saturating_sub(1).leading_zeros();
        let index = (bits.saturating_sub(Self::SHORTEST_BITS) as usize).min(Self::BUCKETS - 1);
        self.buckets[index].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// Each bucket's end in nanoseconds, the last one's `u64::MAX`, and how many times fell into it.
    pub fn buckets(&self) -> Vec<(u64, u64)> {
        let end = |index: usize| {
            if index + 1 == Self::BUCKETS { u64::MAX } else { 1 << (Self::SHORTEST_BITS as usize + index) }
        };
        self.buckets.iter().enumerate().map(|(index, count)| (end(index), count.load(Ordering::Relaxed))).collect()
    }

    /// All times together, in nanoseconds.
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_the_bucket_that_ends_behind_them() {
        let times = Histogram::default();
        for ns in [0, 1, 16_384, 16_385, 32_768, 1_000_000_000, u64::MAX >> 1] {
            times.record(ns);
        }
        let filled: Vec<_> = times.buckets().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(16_384, 3), (32_768, 2), (1 << 30, 1), (u64::MAX, 1)]);
        let all = Counters::default().all();
        assert_eq!(all[0], ("connections_accepted", "Connections that were taken.", 0));
    }
}
