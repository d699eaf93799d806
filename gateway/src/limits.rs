//! Token buckets in integers: how much a connection, an address or a key may ask for.
//!
//! A bucket is one number, the time at which it would be full again, so that one shared by many connections needs no
//! lock. Before a signature is verified only connection and address are charged: api keys are public, and whoever
//! could charge a key with unsigned requests could silence its owner.
//! Bounds: a bucket is 24 bytes; [`AddressBook`] keeps at most [`AddressLimits::addresses`] of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use lakh_engine::units::Timestamp;
use parking_lot::Mutex;

use crate::wire::json::response::Budget;

const SECOND_NS: u64 = 1_000_000_000;

/// How fast a bucket fills and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that come back in a second: 1 ..= 10^9.
    pub per_second: u64,
    /// Tokens that it holds: at least 1.
    pub burst: u64,
}

/// Whether there was enough in a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// There was, and it has been taken out.
    Paid,
    /// There was not, and nothing has been taken out.
    Refused,
}

/// A token bucket. Thread-safe; the clock is the caller's and may run backwards without harm.
#[derive(Debug)]
pub struct TokenBucket {
    /// When the bucket is full again, in nanoseconds.
    full_at_ns: AtomicU64,
    token_ns: u64,
    burst: u64,
}

impl TokenBucket {
    /// A full bucket.
    ///
    /// # Panics
    /// For a rate outside of its range: limits come from the configuration, never from outside.
    pub fn new(rate: Rate) -> Self {
        assert!((1..=SECOND_NS).contains(&rate.per_second), "a rate is 1 to 10^9 tokens a second");
        assert!((1..=SECOND_NS).contains(&rate.burst), "a burst is 1 to 10^9 tokens");
        Self { full_at_ns: AtomicU64::new(0), token_ns: SECOND_NS / rate.per_second, burst: rate.burst }
    }

    /// Takes `tokens` out if they are there.
    pub fn charge(&self, tokens: u64, now: Timestamp) -> Charge {
        self.charge_up_to(self.burst, tokens, now)
    }

    /// Takes the price of a cancel out, if need be of a third more than the bucket holds: a quarter of it all is for
    /// cancels alone, so that whoever has asked for too much can still take back what he asked for.
    pub fn charge_cancel(&self, now: Timestamp) -> Charge {
        self.charge_up_to(self.burst + self.burst.div_ceil(3), 1, now)
    }

    /// Nanoseconds until there is a token again; 0 where there is one.
    pub fn wait_ns(&self, now: Timestamp) -> u64 {
        let full_at = self.full_at_ns.load(Ordering::Relaxed).saturating_add(self.token_ns);
        full_at.saturating_sub(now.0.saturating_add(self.burst * self.token_ns))
    }

    fn charge_up_to(&self, most: u64, tokens: u64, now: Timestamp) -> Charge {
        let cost = tokens.saturating_mul(self.token_ns);
        let latest = now.0.saturating_add(most.saturating_mul(self.token_ns));
        let taken = self.full_at_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            let next = full_at.max(now.0).saturating_add(cost);
            (next <= latest).then_some(next)
        });
        if taken.is_ok() { Charge::Paid } else { Charge::Refused }
    }

    /// What is left of it, as responses tell it.
    pub fn budget(&self, now: Timestamp) -> Budget {
        let missing_ns = self.full_at_ns.load(Ordering::Relaxed).saturating_sub(now.0);
        let interval_s = (self.burst * self.token_ns).div_ceil(SECOND_NS).max(1);
        Budget { limit: self.burst, used: missing_ns.div_ceil(self.token_ns).min(self.burst), interval_s }
    }
}

/// Limits of each address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressLimits {
    /// Connections at once.
    pub connections: u32,
    /// Requests of all its connections together.
    pub requests: Rate,
    /// Addresses that are remembered at once.
    pub addresses: usize,
}

/// What each address has open and has used up.
#[derive(Debug)]
pub struct AddressBook {
    limits: AddressLimits,
    addresses: Mutex<HashMap<IpAddr, Arc<Address>>>,
}

/// One address.
#[derive(Debug)]
struct Address {
    connections: AtomicU32,
    requests: Arc<TokenBucket>,
}

/// A connection that counts for its address until this is dropped.
#[derive(Debug)]
pub struct AddressPermit(Arc<Address>);

impl AddressPermit {
    /// The bucket that all connections of the address share.
    pub fn requests(&self) -> Arc<TokenBucket> {
        Arc::clone(&self.0.requests)
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

impl AddressBook {
    /// An empty book.
    pub fn new(limits: AddressLimits) -> Self {
        Self { limits, addresses: Mutex::default() }
    }

    /// Counts one more connection of an address; `None` when it has as many as it may, or the book is full of
    /// addresses that are connected. Who is not connected is forgotten once the book is full.
    pub fn admit(&self, address: IpAddr) -> Option<AddressPermit> {
        let mut addresses = self.addresses.lock();
        if addresses.len() >= self.limits.addresses && !addresses.contains_key(&address) {
            addresses.retain(|_, one| one.connections.load(Ordering::Acquire) > 0);
            if addresses.len() >= self.limits.addresses {
                return None;
            }
        }
        let entry = addresses.entry(address).or_insert_with(|| {
            let requests = Arc::new(TokenBucket::new(self.limits.requests));
            Arc::new(Address { connections: AtomicU32::new(0), requests })
        });
        if entry.connections.load(Ordering::Acquire) >= self.limits.connections {
            return None;
        }
        entry.connections.fetch_add(1, Ordering::AcqRel);
        Some(AddressPermit(Arc::clone(entry)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_burst_and_fills_at_its_rate() {
        let bucket = TokenBucket::new(Rate { per_second: 10, burst: 3 });
        let now = Timestamp(5 * SECOND_NS);
        assert_eq!(bucket.charge(4, now), Charge::Refused);
        for used in 1..=3 {
            assert_eq!(bucket.charge(1, now), Charge::Paid);
            assert_eq!(bucket.budget(now), Budget { limit: 3, used, interval_s: 1 });
        }
        assert_eq!(bucket.charge(1, now), Charge::Refused);
        assert_eq!(bucket.charge(1, Timestamp(now.0 + 99_999_999)), Charge::Refused);
        assert_eq!(bucket.charge(1, Timestamp(now.0 + 100_000_000)), Charge::Paid);
        assert_eq!(bucket.charge(1, Timestamp(0)), Charge::Refused, "a clock that went back gives nothing");
        assert_eq!(bucket.charge(u64::MAX, now), Charge::Refused);
    }

    #[test]
    fn cancels_may_overdraw_by_a_third() {
        let bucket = TokenBucket::new(Rate { per_second: 1, burst: 6 });
        let now = Timestamp(5 * SECOND_NS);
        (0..6).for_each(|_| assert_eq!(bucket.charge(1, now), Charge::Paid));
        assert_eq!((bucket.charge(1, now), bucket.wait_ns(now)), (Charge::Refused, SECOND_NS));
        assert_eq!([bucket.charge_cancel(now), bucket.charge_cancel(now)], [Charge::Paid; 2]);
        assert_eq!((bucket.charge_cancel(now), bucket.budget(now).used), (Charge::Refused, 6));
        assert_eq!(bucket.charge(1, Timestamp(now.0 + 2 * SECOND_NS)), Charge::Refused, "it is paid back");
        assert_eq!(bucket.wait_ns(Timestamp(now.0 + 2 * SECOND_NS)), SECOND_NS);
        assert_eq!(bucket.charge(1, Timestamp(now.0 + 3 * SECOND_NS)), Charge::Paid);
    }

    #[test]
    fn an_address_gets_its_connections_and_no_more() {
        let requests = Rate { per_second: 1, burst: 1 };
        let book = AddressBook::new(AddressLimits { connections: 2, requests, addresses: 2 });
        let address = |last| IpAddr::from([127, 0, 0, last]);
        let first = book.admit(address(1)).unwrap();
        let second = book.admit(address(1)).unwrap();
        assert!(book.admit(address(1)).is_none());
        assert_eq!(first.requests().charge(1, Timestamp(0)), Charge::Paid);
        assert_eq!(second.requests().charge(1, Timestamp(0)), Charge::Refused, "they share one bucket");
        drop(second);
        let _again = book.admit(address(1)).unwrap();
        let other = book.admit(address(2)).unwrap();
        assert!(book.admit(address(3)).is_none(), "the book is full of connected addresses");
        drop(other);
        assert!(book.admit(address(3)).is_some(), "who is gone is forgotten");
    }
}
