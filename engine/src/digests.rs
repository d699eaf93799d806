//! The payload digests that were used and can still be replayed: each is kept until its receive window is over + 1 s.
//!
//! One store for the shard, in which each key has a quota that it reserved when it was registered, so that no key can
//! fill the store for another. Entries stand in time buckets of one second; each new entry frees up to four whose time
//! is over, so the work is bounded and the store never lags for long. Memory: 72 bytes a digest; no allocation later.

use alloc::vec;
use alloc::vec::Vec;

use crate::ids::{KeyId, Sequence};
use crate::index_table::{IndexTable, NONE, hash_words};
use crate::reject::RejectCode;
use crate::units::Timestamp;

/// Seconds that the buckets span: more than the longest window (60 s) + 1 s ahead + 1 s behind.
const BUCKETS: u64 = 128;
/// Entries freed for each one added.
const PURGE_STEP: usize = 4;

/// A digest in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DigestEntry {
    pub(crate) digest: [u8; 16],
    pub(crate) key: KeyId,
    /// First second at which a replay is refused for its time alone.
    pub(crate) expires_second: u64,
    /// The command that used it.
    pub(crate) sequence: Sequence,
    /// How that ended: `None` when it was accepted.
    pub(crate) rejected: Option<RejectCode>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct DigestStore {
    entries: Vec<(DigestEntry, u32)>,
    free: Vec<u32>,
    table: IndexTable,
    /// Each second's list, first added first: a bucket comes round again after 128 s, and what then still stands in it
    /// has to go before what is new, or a burst would keep its key's quota for another round.
    buckets: Vec<Bucket>,
    /// The earliest second that may hold entries.
    oldest_second: u64,
    capacity: u32,
    hash_seed: u64,
}

/// A list of entries, [`NONE`] at both ends when it is empty.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    head: u32,
    tail: u32,
}

impl DigestStore {
    pub(crate) fn new(capacity: u32, hash_seed: u64) -> Self {
        Self {
            entries: Vec::with_capacity(capacity as usize),
            free: Vec::with_capacity(capacity as usize),
            table: IndexTable::new(capacity),
            buckets: vec![Bucket { head: NONE, tail: NONE }; BUCKETS as usize],
            oldest_second: 0,
            capacity,
            hash_seed,
        }
    }

    pub(crate) const fn capacity(&self) -> u32 {
        self.capacity
    }

    pub(crate) const fn oldest_second(&self) -> u64 {
        self.oldest_second
    }

    /// The entry that used this digest with this key.
    pub(crate) fn find(&self, key: KeyId, digest: &[u8; 16]) -> Option<&DigestEntry> {
        let index = self.table.find(self.hash(key, digest), |index| {
            let entry = &self.entries[index as usize].0;
            entry.key == key && entry.digest == *digest
        })?;
        Some(&self.entries[index as usize].0)
    }

    /// Asks memory for where a digest stands or will stand.
    #[inline]
    pub(crate) fn prefetch(&self, key: KeyId, digest: &[u8; 16]) {
        self.table.prefetch(self.hash(key, digest));
    }

    /// The entries of a second's bucket in their order, which is that in which they go.
    fn in_bucket(&self, second: u64) -> impl Iterator<Item = &DigestEntry> {
        let mut index = self.buckets[(second % BUCKETS) as usize].head;
        core::iter::from_fn(move || {
            let (entry, next) = self.entries.get(index as usize)?;
            index = *next;
            Some(entry)
        })
    }

    /// Asks memory for where the next `count` entries stand that go, one for each that comes.
    pub(crate) fn prefetch_oldest(&self, count: usize) {
        self.in_bucket(self.oldest_second).take(count).for_each(|entry| self.prefetch(entry.key, &entry.digest));
    }

    /// Frees up to four entries whose time is over; `freed` is told each one's key.
    pub(crate) fn purge(&mut self, now: Timestamp, mut freed: impl FnMut(KeyId)) {
        let now_second = now.0 / 1_000_000_000;
        // After a pause longer than the span every bucket is due, and walking each once is enough.
        self.oldest_second = self.oldest_second.max(now_second.saturating_sub(BUCKETS));
        let mut left = PURGE_STEP;
        while self.oldest_second < now_second && left > 0 {
            let bucket = (self.oldest_second % BUCKETS) as usize;
            match self.buckets[bucket].head {
                NONE => self.oldest_second += 1,
                // Only what was added for the second that comes round next is left.
                index if self.entries[index as usize].0.expires_second >= now_second => self.oldest_second += 1,
                index => {
                    let (entry, next) = self.entries[index as usize];
                    self.buckets[bucket].head = next;
                    if next == NONE {
                        self.buckets[bucket].tail = NONE;
                    }
                    self.table.remove(self.hash(entry.key, &entry.digest), index);
                    self.free.push(index);
                    freed(entry.key);
                    left -= 1;
                }
            }
        }
    }

    /// Adds an entry and tells where. The quotas of the keys keep the capacity.
    pub(crate) fn insert(&mut self, entry: DigestEntry) -> u32 {
        let stored = (entry, NONE);
        let index = match self.free.pop() {
            Some(index) => {
                self.entries[index as usize] = stored;
                index
            }
            None => {
                assert!(self.entries.len() < self.capacity as usize, "the keys' quotas add up to the capacity");
                self.entries.push(stored);
                u32::try_from(self.entries.len() - 1).expect("below the capacity, a u32")
            }
        };
        let bucket = &mut self.buckets[(entry.expires_second % BUCKETS) as usize];
        match bucket.tail {
            NONE => bucket.head = index,
            tail => self.entries[tail as usize].1 = index,
        }
        bucket.tail = index;
        self.table.insert(self.hash(entry.key, &entry.digest), index);
        index
    }

    /// Notes how the command that used the digest ended.
    pub(crate) fn note_reject(&mut self, index: u32, code: RejectCode) {
        self.entries[index as usize].0.rejected = Some(code);
    }

    /// Every entry, oldest second first, in the order in which [`Self::insert`] rebuilds the same store.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &DigestEntry> {
        let seconds = self.oldest_second..self.oldest_second + BUCKETS;
        seconds.flat_map(|second| self.in_bucket(second))
    }

    /// Begins a restore: entries are inserted afterwards.
    pub(crate) fn restore_oldest(&mut self, second: u64) {
        self.oldest_second = second;
    }

    /// Entries that there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    fn hash(&self, key: KeyId, digest: &[u8; 16]) -> u32 {
        let (low, high) = digest.split_first_chunk::<8>().expect("16 bytes");
        let mut last = [0; 8];
        last.copy_from_slice(high);
        hash_words(self.hash_seed ^ u64::from(key.0), u64::from_le_bytes(*low), u64::from_le_bytes(last))
    }
}
