//! The journal as a comparison sees it: the queue entries that it consumed, and the batches that its replay makes.

use std::collections::BTreeMap;
use std::path::Path;

use lakh_engine::codec;
use lakh_engine::command::{ChainEntry, ChainEntryKind, Command};
use lakh_engine::ids::{AccountId, AssetId};
use lakh_engine::units::Atoms;
use lakh_journal::JournalReader;

use super::ComparisonError;
use crate::batch::SealedBatch;
use crate::blobs::header_as_committed;
use crate::commitment::balances_root;
use crate::follower::{FollowError, Progress, Replica, Venue};
use crate::keccak::Hash;

/// Records replayed between two reports of progress.
const CHUNK_RECORDS: usize = 4_096;

/// What a batch comes to by the journal.
#[derive(Clone, Copy, Debug)]
pub(super) struct DecidedBatch {
    pub(super) header_hash: Hash,
    pub(super) first_sequence: u64,
    pub(super) last_sequence: u64,
    pub(super) last_time_seconds: u64,
    pub(super) queue_up_to: u64,
    pub(super) new_root: Hash,
}

impl DecidedBatch {
    /// What the contract starts with.
    pub(super) fn before_the_first() -> Self {
        Self {
            header_hash: Hash::ZERO,
            first_sequence: 0,
            last_sequence: 0,
            last_time_seconds: 0,
            queue_up_to: 0,
            new_root: balances_root(&[]),
        }
    }
}

/// Everything that is compared with the chain.
pub(super) struct JournalSide {
    pub(super) records: u64,
    /// Entry 1 first, without gaps.
    pub(super) entries: Vec<ChainEntry>,
    /// Batch 1 first, without gaps.
    pub(super) batches: Vec<DecidedBatch>,
    /// Why the replay ended before the journal did.
    pub(super) broken: Option<String>,
}

impl JournalSide {
    pub(super) fn read(
        directory: &Path,
        venue: Venue,
        committed: &BTreeMap<u64, Hash>,
        on_records: &mut dyn FnMut(u64),
    ) -> Result<Self, ComparisonError> {
        let mut replica = Replica::open(directory, venue).map_err(follow)?;
        let (mut batches, mut sealed) = (Vec::new(), Vec::new());
        let broken = loop {
            let progress = replica.advance(CHUNK_RECORDS, &mut sealed);
            batches.extend(sealed.drain(..).map(|batch| DecidedBatch {
                header_hash: header_hash(&batch, committed.get(&batch.header.batch_id)),
                first_sequence: batch.header.first_sequence.0,
                last_sequence: batch.header.last_sequence.0,
                last_time_seconds: batch.header.last_time_seconds,
                queue_up_to: batch.header.queue_up_to,
                new_root: batch.header.new_root,
            }));
            let records = replica.engine().sequence().0;
            on_records(records);
            match progress {
                Ok(Progress::Behind) => {}
                Ok(Progress::CaughtUp) => break None,
                Err(error @ (FollowError::Journal(_) | FollowError::OtherVenue { .. })) => return Err(follow(error)),
                Err(error) => break Some(error.to_string()),
            }
        };
        let engine = replica.engine();
        let entries = consumed(directory, venue, engine.last_queue_id())?;
        Ok(Self { records: engine.sequence().0, entries, batches, broken })
    }
}

/// The batch's header as the chain has it, where the chain has this batch; else as the journal decided on it.
fn header_hash(batch: &SealedBatch, committed: Option<&Hash>) -> Hash {
    let header = committed.and_then(|committed| header_as_committed(&batch.header, &batch.data, *committed));
    header.unwrap_or(batch.header).hash()
}

/// A journal's own error stays what it is.
fn follow(error: FollowError) -> ComparisonError {
    match error {
        FollowError::Journal(error) => ComparisonError::Journal(error),
        other => ComparisonError::Follow(other),
    }
}

/// The entries that the engine took, up to the last one that the replay took: those that are next by number and by hash.
/// Read apart, because the ledger keeps no entry.
fn consumed(directory: &Path, venue: Venue, last: u64) -> Result<Vec<ChainEntry>, ComparisonError> {
    let mut reader = JournalReader::open(directory)?;
    let mut prefix = venue.queue_origin().0;
    let mut entries: Vec<ChainEntry> = Vec::new();
    let kind = any_entry().kind();
    while (entries.len() as u64) < last
        && let Some(record) = reader.next()?
    {
        if record.header.kind != kind {
            continue;
        }
        let Ok((Command::ChainEntry(entry), _)) = codec::split_payload(record.payload) else { continue };
        if entry.queue_id == entries.len() as u64 + 1 && entry.prefix_after(&prefix) == entry.prefix {
            prefix = entry.prefix;
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// Only for its kind's number.
fn any_entry() -> Command {
    Command::ChainEntry(ChainEntry {
        queue_id: 0,
        kind: ChainEntryKind::Deposit,
        account: AccountId(0),
        asset: AssetId(0),
        amount: Atoms(0),
        extra: [0; 32],
        time_seconds: 0,
        prefix: [0; 32],
    })
}
