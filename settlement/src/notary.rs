//! The notary: signs every record of the journal that is on stable storage, a few milliseconds' worth at a time, and
//! makes receipts of what it signed.
//!
//! Its owner follows the journal and hands it the records in their order ([`Notary::note`]), tells it from time to time
//! how far stable storage has come ([`Notary::sign_if_due`]), and asks it for receipts. What it has forgotten, or what an
//! earlier start had signed, is read from the journal again and signed anew ([`Notary::rebuild`]): the same record in
//! another interval is no second promise, since a promise is of a record at its place.
//!
//! Invariants: no record is signed before its block was written and synced, whatever the journal's level, or a power cut
//! could make an honest venue break its word; a record that a journal cannot have lost is never signed in two versions.
//! Bounds: [`KEPT_RECORDS`] records of about 120 bytes, [`REBUILT_INTERVALS`] intervals of [`REBUILT_RECORDS`]; one
//! signature (about 50 µs) each [`INTERVAL_NS`] of traffic.

use std::collections::VecDeque;
use std::path::Path;

use lakh_engine::ids::{AccountId, Sequence};
use lakh_engine::units::Timestamp;
use lakh_journal::{JournalError, JournalReader, Record};

use crate::chain::transaction::TransactionSigner;
use crate::follower::Venue;
use crate::journal_root::{GATHERED, RecordHashes};
use crate::keccak::Hash;
use crate::receipt::{Interval, MAX_INTERVAL_RECORDS, Receipt, SignedInterval};

/// Traffic of one interval, in nanoseconds.
pub const INTERVAL_NS: u64 = 8_000_000;
/// Records whose receipts are made from memory: at 100,000 a second some seconds.
pub const KEPT_RECORDS: usize = 1 << 18;
/// Intervals that were signed anew for somebody who asked late.
pub const REBUILT_INTERVALS: usize = 16;
/// Records of such an interval.
pub const REBUILT_RECORDS: u64 = 256;

/// Whose notary it is.
#[derive(Debug)]
pub struct NotaryOptions {
    /// The venue.
    pub venue: Venue,
    /// The engine whose journal it is.
    pub shard: u16,
    /// The start of the node that signs.
    pub epoch: u64,
    /// The header key.
    pub key: TransactionSigner,
    /// The first record that [`Notary::note`] gets comes behind this one.
    pub behind: Sequence,
}

/// What there is of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Its receipt.
    Receipt(Box<Receipt>),
    /// It is not signed yet: it is too young, or not on stable storage.
    NotYet,
    /// It is not in memory any more: [`Notary::rebuild`] has to read it.
    Forgotten,
    /// Nobody's, or somebody else's.
    NotYours,
}

/// A record that came in.
#[derive(Clone, Copy, Debug)]
struct Noted {
    sequence: Sequence,
    account: AccountId,
    at: Timestamp,
}

/// An interval with whose its records are.
#[derive(Debug)]
struct Kept {
    first: Sequence,
    accounts: Vec<AccountId>,
    interval: SignedInterval,
}

impl Kept {
    fn find(&self, account: AccountId, sequence: Sequence) -> Option<Found> {
        let index = usize::try_from(sequence.0.checked_sub(self.first.0)?).ok()?;
        let owner = *self.accounts.get(index)?;
        if owner != account {
            return Some(Found::NotYours);
        }
        self.interval.receipt(sequence).map(|receipt| Found::Receipt(Box::new(receipt)))
    }
}

/// See the module.
#[derive(Debug)]
pub struct Notary {
    options: NotaryOptions,
    /// Not signed yet, without gaps.
    waiting: VecDeque<Noted>,
    /// Hashes of the first ones of them; the rest is gathered.
    hashes: VecDeque<Hash>,
    gathered: RecordHashes,
    /// The last record that came in.
    last: Sequence,
    /// Signed, the oldest first, without gaps.
    kept: VecDeque<Kept>,
    kept_records: usize,
    /// Signed anew, the oldest use first.
    rebuilt: VecDeque<Kept>,
}

impl Notary {
    /// Before the first record.
    pub fn new(options: NotaryOptions) -> Self {
        Self {
            last: options.behind,
            options,
            waiting: VecDeque::new(),
            hashes: VecDeque::new(),
            gathered: RecordHashes::default(),
            kept: VecDeque::new(),
            kept_records: 0,
            rebuilt: VecDeque::new(),
        }
    }

    /// Takes the next record. `now` is the wall clock.
    ///
    /// # Panics
    /// For a record that is not the next one: journals have no gaps, and their followers see to that.
    pub fn note(&mut self, record: &Record<'_>, now: Timestamp) {
        let sequence = Sequence(record.header.sequence);
        assert_eq!(sequence.0, self.last.0 + 1, "a follower of a journal skips no record");
        self.last = sequence;
        let account = AccountId(record.header.account);
        self.waiting.push_back(Noted { sequence, account, at: now });
        if self.gathered.push(record) {
            self.hash_gathered();
        }
    }

    fn hash_gathered(&mut self) {
        let mut hashes = Vec::with_capacity(GATHERED);
        self.gathered.take(&mut hashes);
        self.hashes.extend(hashes);
    }

    /// Signs what has waited for long enough and is on stable storage, which has come up to `stable`. Says whether it did.
    pub fn sign_if_due(&mut self, stable: Sequence, now: Timestamp) -> bool {
        let Some(oldest) = self.waiting.front() else { return false };
        let is_due = now.0.saturating_sub(oldest.at.0) >= INTERVAL_NS || self.waiting.len() >= MAX_INTERVAL_RECORDS;
        if !is_due || oldest.sequence > stable {
            return false;
        }
        let count = self.waiting.partition_point(|noted| noted.sequence <= stable).min(MAX_INTERVAL_RECORDS);
        if self.hashes.len() < count {
            self.hash_gathered();
        }
        let records: Vec<Noted> = self.waiting.drain(..count).collect();
        let hashes: Vec<Hash> = self.hashes.drain(..count).collect();
        let kept = self.sign(&records, &hashes);
        self.kept_records += count;
        self.kept.push_back(kept);
        while self.kept_records > KEPT_RECORDS
            && let Some(oldest) = self.kept.pop_front()
        {
            self.kept_records -= oldest.accounts.len();
        }
        true
    }

    /// The last record that came in.
    pub const fn last(&self) -> Sequence {
        self.last
    }

    /// Records that came in and are not signed yet.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The receipt of an account's own record. A record of somebody else's and one that there cannot be look alike.
    pub fn receipt(&self, account: AccountId, sequence: Sequence) -> Found {
        if sequence.0 == 0 {
            return Found::NotYours;
        }
        let signed_behind = self.waiting.front().map_or(self.last.0 + 1, |noted| noted.sequence.0);
        if sequence.0 >= signed_behind {
            return Found::NotYet;
        }
        let first_behind = self.kept.partition_point(|kept| kept.first <= sequence);
        let kept = first_behind.checked_sub(1).and_then(|index| self.kept.get(index));
        kept.into_iter().chain(&self.rebuilt).find_map(|kept| kept.find(account, sequence)).unwrap_or(Found::Forgotten)
    }

    /// Reads the records around `sequence` again and signs them; [`Self::receipt`] knows them afterwards. Records behind
    /// `stable` are left out.
    ///
    /// # Errors
    /// A journal that cannot be read, or that does not hold the record any more.
    pub fn rebuild(&mut self, journal: &Path, sequence: Sequence, stable: Sequence) -> Result<(), JournalError> {
        let before = (sequence.0.saturating_sub(1)) / REBUILT_RECORDS * REBUILT_RECORDS;
        let last = stable.0.min(before + REBUILT_RECORDS);
        let mut reader = JournalReader::open_behind(journal, before)?;
        let (mut records, mut gathered, mut hashes) = (Vec::new(), RecordHashes::default(), Vec::new());
        while let Some(record) = reader.next()? {
            let sequence = Sequence(record.header.sequence);
            if sequence.0 > last {
                break;
            }
            let account = AccountId(record.header.account);
            records.push(Noted { sequence, account, at: Timestamp::ZERO });
            if gathered.push(&record) {
                gathered.take(&mut hashes);
            }
        }
        gathered.take(&mut hashes);
        if !records.iter().any(|noted| noted.sequence == sequence) {
            return Err(JournalError::NoRecord { directory: journal.to_path_buf(), sequence: sequence.0 });
        }
        let kept = self.sign(&records, &hashes);
        self.rebuilt.push_back(kept);
        if self.rebuilt.len() > REBUILT_INTERVALS {
            self.rebuilt.pop_front();
        }
        Ok(())
    }

    /// Signs records that follow each other.
    fn sign(&self, records: &[Noted], hashes: &[Hash]) -> Kept {
        let mut interval = Interval::new(self.options.shard, self.options.epoch);
        for (noted, hash) in records.iter().zip(hashes) {
            assert!(interval.push(noted.sequence, *hash), "no more records than an interval has room for");
        }
        let interval = interval.sign(self.options.venue, &self.options.key).expect("there is a record");
        let accounts = records.iter().map(|noted| noted.account).collect();
        Kept { first: records[0].sequence, accounts, interval }
    }
}

#[cfg(test)]
#[path = "notary_tests.rs"]
mod tests;
