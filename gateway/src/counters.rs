//! What the gateway has done so far, in numbers for whoever watches it. They only rise, and nothing is decided by them.

use std::sync::atomic::{AtomicU64, Ordering};

/// Declares the counters once: fields, names, and all of them as a list.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters of one gateway.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: Counter,)*
        }

        impl Counters {
            /// Each counter with its name and its value.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.value()),)*]
            }
        }
    };
}

counters! {
    /// Connections that were taken.
    connections_accepted,
    /// Connections over a limit, ended without a word.
    connections_refused,
    /// Sessions that ended because their clients read too slowly.
    slow_consumers_dropped,
    /// Accounts whose orders went with their last session.
    sessions_ended,
    /// Connections that ended because of their bad signatures.
    bad_signature_disconnects,
    /// Signatures that hold.
    signatures_accepted,
    /// Signatures that do not.
    signatures_refused,
    /// Batches that did not hold as a whole and were checked one by one.
    batches_failed,
    /// Requests of those who are not trusted yet, or no longer, whose share of the processor was used up.
    untrusted_shed,
    /// New orders over a key's budget.
    orders_over_budget,
    /// Requests that found no room in the ring.
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
