//! Whether journal and chain say the same: every queue entry, every batch, the balances root.
//!
//! What an auditor does who trusts neither operator nor node further than hashes go. The journal is replayed from its
//! first record, the contract's events are read from its first block, and then they are held against each other.
//!
//! | compared | a finding | no finding |
//! |---|---|---|
//! | queue entries, field by field and by prefix hash | another one, or one that the chain does not have | the chain has more: they wait for the journal |
//! | batches, by the hash over the whole header (id, range, times, roots, data hash …), whose data may be in blobs | another header, or a batch that the journal never decided on | the journal has more: they wait for the chain |
//! | each batch's stamp | the contract stores another hash than that of header and block | |
//! | tip and balances root | not those of the journal's batch | |
//! | the events among themselves | entries that do not hash to what is stored, batches missing, twice or out of order | |
//!
//! Invariants: it only reads; the chain is read before the journal, so that a venue that goes on meanwhile never looks
//! like a chain that is ahead. A journal that cannot be read is an error, one whose batches do not follow from its records
//! a finding. What a reorganisation changes while it reads may be a finding, which the next comparison does not have.
//!
//! Bounds: about 120 bytes for each queue entry twice and 120 for each batch twice; [`FINDINGS_KEPT`] findings.

mod chain_side;
mod journal_side;

use core::fmt;
use std::path::PathBuf;

use lakh_engine::command::ChainEntry;
use lakh_journal::JournalError;
use serde::{Serialize, Serializer};

pub(crate) use self::chain_side::{ChainSide, CommittedBatch};
use self::journal_side::{DecidedBatch, JournalSide};
use crate::chain::{Chain, ChainError};
use crate::follower::{FollowError, Venue};
use crate::keccak::Hash;

/// Findings that are spelled out; the others are counted.
pub const FINDINGS_KEPT: usize = 100;

/// What is compared.
#[derive(Clone, Debug)]
pub struct ComparisonOptions {
    /// The journal's directory.
    pub journal_directory: PathBuf,
    /// The contract that the journal's genesis names, see [`Venue::of_binding`].
    pub venue: Venue,
    /// The contract was created in this block or later.
    pub first_block: u64,
}

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComparisonError {
    /// The chain gives no usable answer.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The chain is another one.
    #[error("the chain's id is {found}, and the journal is bound to chain {expected}")]
    OtherChain {
        /// What it says.
        found: u64,
        /// What the journal says.
        expected: u64,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal cannot be followed, or is another venue's.
    #[error(transparent)]
    Follow(FollowError),
}

/// One thing that journal and chain contradict each other in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Finding {
    /// A queue entry is another one.
    #[error("queue entry {queue_id}: {detail}")]
    EntryDiffers {
        /// Which.
        queue_id: u64,
        /// What differs.
        detail: String,
    },
    /// Queue entries that the chain does not have.
    #[error("queue entries {first} to {last} are in the journal and not on the chain")]
    EntriesUnknown {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// The chain's own queue events do not fit together.
    #[error("the chain's queue events contradict the contract: {detail}")]
    QueueBroken {
        /// What is wrong.
        detail: String,
    },
    /// A batch has another header.
    #[error(
        "batch {batch_id} (records {first_sequence} to {last_sequence}) has header {journal} by the journal and {chain} on the chain"
    )]
    BatchDiffers {
        /// Which.
        batch_id: u64,
        /// Its first record by the journal.
        first_sequence: u64,
        /// Its last record by the journal.
        last_sequence: u64,
        /// Its header's hash by the journal.
        journal: Hash,
        /// Its header's hash on the chain.
        chain: Hash,
    },
    /// The chain has batches that the journal never decided on.
    #[error("the chain has batches {first} to {last}, which the journal never decided on")]
    BatchesUnknown {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// The contract stores of a batch something else than its event and block say.
    #[error(
        "the contract stores another hash of batch {batch_id} than that of its header and its block {block_number}"
    )]
    StampDiffers {
        /// Which.
        batch_id: u64,
        /// The block of its event.
        block_number: u64,
    },
    /// The chain's batch events are not one for each batch in order.
    #[error("the chain's batch events contradict the contract: {detail}")]
    BatchesBroken {
        /// What is wrong.
        detail: String,
    },
    /// The chain's tip is not what the journal's batch leads to.
    #[error("after batch {batch_id} the {what} is {journal} by the journal and {chain} on the chain")]
    TipDiffers {
        /// The tip.
        batch_id: u64,
        /// What differs.
        what: &'static str,
        /// By the journal.
        journal: String,
        /// On the chain.
        chain: String,
    },
    /// The journal's decisions do not follow from its records.
    #[error("the journal contradicts itself: {detail}")]
    JournalBroken {
        /// How.
        detail: String,
    },
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a comparison came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The chain.
    pub chain_id: u64,
    /// The contract.
    pub contract: String,
    /// The chain was read up to this block.
    pub block_number: u64,
    /// Queue entries that the journal consumed.
    pub journal_entries: u64,
    /// Queue entries on the chain.
    pub chain_entries: u64,
    /// Queue entries on the chain that the journal did not consume yet.
    pub entries_waiting: u64,
    /// Batches that the journal decided on.
    pub journal_batches: u64,
    /// Batches on the chain.
    pub chain_batches: u64,
    /// Batches that wait for the chain.
    pub batches_waiting: u64,
    /// The last batch that is final on the chain.
    pub final_batch: u64,
    /// Records of the journal.
    pub records: u64,
    /// The last record that the chain settled.
    pub records_settled: u64,
    /// The balances root on the chain.
    pub balances_root: String,
    /// The first [`FINDINGS_KEPT`]; empty when journal and chain say the same.
    pub findings: Vec<Finding>,
    /// All findings.
    pub finding_count: u64,
}

impl Comparison {
    fn find(&mut self, finding: Finding) {
        self.finding_count += 1;
        if self.findings.len() < FINDINGS_KEPT {
            self.findings.push(finding);
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "contract            {} on chain {}", self.contract, self.chain_id)?;
        writeln!(f, "read up to block    {}", self.block_number)?;
        writeln!(
            f,
            "queue entries       {} in the journal, {} on the chain ({} wait for the journal)",
            self.journal_entries, self.chain_entries, self.entries_waiting
        )?;
        writeln!(
            f,
            "batches             {} in the journal, {} on the chain ({} wait for the chain), final up to {}",
            self.journal_batches, self.chain_batches, self.batches_waiting, self.final_batch
        )?;
        writeln!(f, "records settled     {} of {}", self.records_settled, self.records)?;
        writeln!(f, "balances root       {}", self.balances_root)?;
        write!(f, "chain findings      {}", self.finding_count)?;
        self.findings.iter().try_for_each(|finding| write!(f, "\n  {finding}"))
    }
}

/// Reads the chain, replays the journal, and compares. `on_records` is told after each chunk how many records are replayed.
///
/// # Errors
/// See [`ComparisonError`]. What contradicts is no error but a [`Finding`].
pub fn compare(
    options: &ComparisonOptions,
    chain: &dyn Chain,
    on_records: &mut dyn FnMut(u64),
) -> Result<Comparison, ComparisonError> {
    let (found, expected) = (chain.chain_id()?, options.venue.chain_id);
    if found != expected {
        return Err(ComparisonError::OtherChain { found, expected });
    }
    let chain_side = ChainSide::read(chain, options.venue, options.first_block)?;
    let committed = chain_side.batches.iter().map(|batch| (batch.batch_id, batch.header_hash)).collect();
    let journal_side = JournalSide::read(&options.journal_directory, options.venue, &committed, on_records)?;
    Ok(contradictions(options.venue, chain_side, &journal_side))
}

fn contradictions(venue: Venue, chain: ChainSide, journal: &JournalSide) -> Comparison {
    let mut comparison = Comparison {
        chain_id: venue.chain_id,
        contract: venue.contract.to_string(),
        block_number: chain.block_number,
        journal_entries: journal.entries.len() as u64,
        chain_entries: chain.entries.len() as u64,
        entries_waiting: (chain.entries.len() as u64).saturating_sub(journal.entries.len() as u64),
        journal_batches: journal.batches.len() as u64,
        chain_batches: chain.tip.batch_id,
        batches_waiting: (journal.batches.len() as u64).saturating_sub(chain.tip.batch_id),
        final_batch: chain.tip.final_batch,
        records: journal.records,
        records_settled: chain.tip.last_sequence,
        balances_root: chain.root.to_string(),
        findings: Vec::new(),
        finding_count: 0,
    };
    journal.broken.iter().for_each(|detail| comparison.find(Finding::JournalBroken { detail: detail.clone() }));
    chain.findings.iter().for_each(|finding| comparison.find(finding.clone()));
    compare_entries(&mut comparison, &chain.entries, &journal.entries);
    compare_batches(&mut comparison, &chain.batches, &journal.batches);
    compare_tip(&mut comparison, &chain, journal);
    comparison
}

fn compare_entries(comparison: &mut Comparison, chain: &[ChainEntry], journal: &[ChainEntry]) {
    for (chain, journal) in chain.iter().zip(journal).filter(|(chain, journal)| chain != journal) {
        let mut details = Vec::new();
        let mut field = |name: &str, journal: String, chain: String| {
            if journal != chain {
                details.push(format!("{name} {journal} in the journal, {chain} on the chain"));
            }
        };
        field("kind", format!("{:?}", journal.kind), format!("{:?}", chain.kind));
        field("account", journal.account.to_string(), chain.account.to_string());
        field("asset", journal.asset.to_string(), chain.asset.to_string());
        field("amount", journal.amount.raw().to_string(), chain.amount.raw().to_string());
        field("key or owner", Hash(journal.extra).to_string(), Hash(chain.extra).to_string());
        field("time", journal.time_seconds.to_string(), chain.time_seconds.to_string());
        if details.is_empty() {
            // An earlier entry differs, which was told, and from there on every hash does.
            continue;
        }
        comparison.find(Finding::EntryDiffers { queue_id: journal.queue_id, detail: details.join("; ") });
    }
    if journal.len() > chain.len() {
        comparison.find(Finding::EntriesUnknown { first: chain.len() as u64 + 1, last: journal.len() as u64 });
    }
}

fn compare_batches(comparison: &mut Comparison, chain: &[CommittedBatch], journal: &[DecidedBatch]) {
    for committed in chain {
        let batch_id = committed.batch_id;
        let decided = batch_id.checked_sub(1).and_then(|index| journal.get(usize::try_from(index).ok()?));
        let Some(decided) = decided else { continue };
        if decided.header_hash != committed.header_hash {
            comparison.find(Finding::BatchDiffers {
                batch_id,
                first_sequence: decided.first_sequence,
                last_sequence: decided.last_sequence,
                journal: decided.header_hash,
                chain: committed.header_hash,
            });
        }
    }
    let (last_journal, last_chain) = (journal.len() as u64, chain.last().map_or(0, |batch| batch.batch_id));
    if last_chain > last_journal {
        comparison.find(Finding::BatchesUnknown { first: last_journal + 1, last: last_chain });
    }
}

fn compare_tip(comparison: &mut Comparison, chain: &ChainSide, journal: &JournalSide) {
    let tip = chain.tip;
    let decided = match tip.batch_id.checked_sub(1) {
        None => DecidedBatch::before_the_first(),
        Some(index) => match usize::try_from(index).ok().and_then(|index| journal.batches.get(index)) {
            Some(decided) => *decided,
            // Told as batches that the journal never decided on.
            None => return,
        },
    };
    let rows = [
        ("last record", decided.last_sequence.to_string(), tip.last_sequence.to_string()),
        ("last queue entry", decided.queue_up_to.to_string(), tip.queue_up_to.to_string()),
        ("time of the last record", decided.last_time_seconds.to_string(), tip.last_time_seconds.to_string()),
        ("balances root", decided.new_root.to_string(), chain.root.to_string()),
    ];
    for (what, journal, chain) in rows {
        if journal != chain {
            comparison.find(Finding::TipDiffers { batch_id: tip.batch_id, what, journal, chain });
        }
    }
}

#[cfg(test)]
mod tests;
