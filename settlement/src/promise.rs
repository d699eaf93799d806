//! Whether the venue kept what a receipt promised: held against the batch on the chain that covers the record, or against
//! another receipt; and where it did not, the call that freezes the venue.
//!
//! | held against | found | judgement |
//! |---|---|---|
//! | batch and journal | the promised record stands there | [`Judgement::Kept`] |
//! | batch and journal | another one does | [`Judgement::Broken`], by `Proofs.proveReceiptViolated` |
//! | batch | none covers the record yet | [`Judgement::NotSettled`] |
//! | batch and journal | the journal does not come to the batch's root | [`Judgement::OtherJournal`] |
//! | another receipt | of the same place, and another record | [`Judgement::Broken`], by `Proofs.proveEquivocation` |
//!
//! A batch commits one root over its records, so showing what stands in it takes the records: the journal that the batch was made
//! of, which watchers and the public mirror. An operator who shows that to nobody cannot be convicted by a receipt and a batch;
//! watchers then veto, since they cannot make the batch again.
//!
//! Invariants: nothing that a node says is believed but what the contract's own hash confirms; no call is given that the
//! contract would refuse. Bounds: an event for each batch of the chain, and one hash for each record of one batch.

use std::collections::BTreeMap;
use std::path::Path;

use lakh_engine::ids::Sequence;
use lakh_journal::JournalError;

use crate::chain::{Address, BlockTag, Call, Chain, ChainError, Log};
use crate::commitment::{Header, Stamp};
use crate::commits::stamp_of;
use crate::contract::answer::{self, BATCH_COMMITTED, BatchCommitted, Tip};
use crate::contract::{self, exits};
use crate::follower::Venue;
use crate::inclusion::JournalProof;
use crate::keccak::Hash;
use crate::log_ranges::LogRanges;
use crate::published::{Commit, Published};
use crate::receipt::Receipt;

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromiseError {
    /// The chain gives no usable answer.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The receipt's path or signature is not whole.
    #[error("the receipt of record {sequence} is not whole")]
    NotWhole {
        /// Which.
        sequence: u64,
    },
    /// It is no promise of this venue's, or of a key that was rotated away too long ago.
    #[error("the receipt of record {sequence} is signed by {signer}, which is no header key of the venue that counts")]
    NotSigned {
        /// Which.
        sequence: u64,
        /// Whose signature it is.
        signer: Address,
    },
    /// Two receipts are of two places.
    #[error("the receipts are of records {one} and {other}, or of two shards: that is no contradiction")]
    TwoPlaces {
        /// The first one's.
        one: u64,
        /// The other one's.
        other: u64,
    },
    /// A batch that the contract has is hidden by the node.
    #[error("the node does not show what committed batch {batch_id}")]
    Hidden {
        /// Which.
        batch_id: u64,
    },
}

/// A promise that was broken, and the call that shows it: whoever sends it freezes the venue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The record's place.
    pub sequence: Sequence,
    /// What was promised to stand there.
    pub promised: Hash,
    /// What stands there, or was promised another time.
    pub instead: Hash,
    /// The contract that takes the call, without ether.
    pub to: Address,
    /// Selector and arguments.
    pub call: Vec<u8>,
}

/// What became of a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It was kept, as far as it was looked at.
    Kept,
    /// It was broken.
    Broken(Box<Breach>),
    /// No batch on the chain covers the record.
    NotSettled {
        /// The last record that one covers.
        last: Sequence,
    },
    /// The journal is not the one that the batch was made of.
    OtherJournal {
        /// Which batch.
        batch_id: u64,
    },
}

/// Where a venue is found on its chain.
#[derive(Clone, Copy)]
pub struct OnChain<'a> {
    /// A node of the chain.
    pub chain: &'a dyn Chain,
    /// The venue.
    pub venue: Venue,
    /// The contract was created in this block or later.
    pub first_block: u64,
}

impl core::fmt::Debug for OnChain<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("OnChain").field("venue", &self.venue).finish_non_exhaustive()
    }
}

/// Holds a receipt against the batch that covers its record, by a copy of the journal that the batch was made of.
///
/// # Errors
/// See [`PromiseError`].
pub fn judge(venue: OnChain<'_>, receipt: &Receipt, journal: &Path) -> Result<Judgement, PromiseError> {
    venue.require_signed(receipt)?;
    let tip = venue.tip()?;
    if receipt.sequence > Sequence(tip.last_sequence) || receipt.sequence.0 == 0 {
        return Ok(Judgement::NotSettled { last: Sequence(tip.last_sequence) });
    }
    let (header, stamp) = venue.batch_of(receipt.sequence, &tip)?;
    let range = (header.first_sequence, header.last_sequence);
    let proof = match JournalProof::read(journal, range, receipt.sequence) {
        Err(JournalError::NoRecord { .. }) => return Ok(Judgement::OtherJournal { batch_id: header.batch_id }),
        found => found?,
    };
    if proof.root() != Some(header.journal_root) {
        return Ok(Judgement::OtherJournal { batch_id: header.batch_id });
    }
    if proof.record_hash == receipt.record_hash {
        return Ok(Judgement::Kept);
    }
    Ok(Judgement::Broken(Box::new(Breach {
        sequence: receipt.sequence,
        promised: receipt.record_hash,
        instead: proof.record_hash,
        to: venue.proofs()?,
        call: exits::prove_receipt_violated(receipt, &header, stamp, &proof),
    })))
}

/// Holds two receipts against each other.
///
/// # Errors
/// See [`PromiseError`].
pub fn compare(venue: OnChain<'_>, one: &Receipt, other: &Receipt) -> Result<Judgement, PromiseError> {
    venue.require_signed(one)?;
    venue.require_signed(other)?;
    if (one.shard, one.sequence) != (other.shard, other.sequence) {
        return Err(PromiseError::TwoPlaces { one: one.sequence.0, other: other.sequence.0 });
    }
    if one.record_hash == other.record_hash {
        return Ok(Judgement::Kept);
    }
    Ok(Judgement::Broken(Box::new(Breach {
        sequence: one.sequence,
        promised: one.record_hash,
        instead: other.record_hash,
        to: venue.proofs()?,
        call: exits::prove_equivocation(one, other),
    })))
}

impl OnChain<'_> {
    fn ask(&self, to: Address, data: Vec<u8>) -> Result<Vec<u8>, ChainError> {
        self.chain.call(&Call::question(to, data), BlockTag::Latest)
    }

    fn tip(&self) -> Result<Tip, ChainError> {
        Tip::decode(&self.ask(self.venue.contract, contract::tip())?).ok_or_else(|| malformed("tip"))
    }

    fn proofs(&self) -> Result<Address, ChainError> {
        let answer = self.ask(self.venue.contract, exits::proofs_contract())?;
        answer::address(&answer).ok_or_else(|| malformed("proofs"))
    }

    /// As `Proofs` asks before it takes a receipt.
    fn require_signed(&self, receipt: &Receipt) -> Result<(), PromiseError> {
        let sequence = receipt.sequence.0;
        let signer = receipt.signer(self.venue).ok_or(PromiseError::NotWhole { sequence })?;
        let keys = self.ask(self.venue.contract, exits::keys_contract())?;
        let keys = answer::address(&keys).ok_or_else(|| malformed("keys"))?;
        let until = self.ask(keys, exits::signer_until(signer))?;
        let until = answer::number(&until).ok_or_else(|| malformed("signerUntil"))?;
        let now = self.chain.block(BlockTag::Latest)?.ok_or_else(|| malformed("the last block"))?.timestamp_s;
        if now < until { Ok(()) } else { Err(PromiseError::NotSigned { sequence, signer }) }
    }

    /// The batch that covers a record, which there is.
    fn batch_of(&self, sequence: Sequence, tip: &Tip) -> Result<(Header, Stamp), PromiseError> {
        let commits = self.commits(tip)?;
        // The first batch that ends at the record or behind it.
        let (mut low, mut high) = (1, tip.batch_id);
        while low < high {
            let middle = low + (high - low) / 2;
            let (header, _) = self.batch(&commits, middle)?;
            if header.last_sequence >= sequence { high = middle } else { low = middle + 1 }
        }
        let (header, stamp) = self.batch(&commits, low)?;
        let covers = (header.first_sequence..=header.last_sequence).contains(&sequence);
        if covers { Ok((header, stamp)) } else { Err(malformed("ranges that tile").into()) }
    }

    /// What committed each batch that counts; of one that was committed again, each time.
    fn commits(&self, tip: &Tip) -> Result<BTreeMap<u64, Vec<Log>>, ChainError> {
        let head = self.chain.block_number(BlockTag::Latest)?;
        let topics = vec![vec![answer::topic(BATCH_COMMITTED)]];
        let mut ranges = LogRanges::new(self.venue.contract, topics, (self.first_block, head));
        let mut commits: BTreeMap<u64, Vec<Log>> = BTreeMap::new();
        while let Some(logs) = ranges.next(self.chain)? {
            for log in logs {
                let committed = BatchCommitted::decode(&log).filter(|committed| committed.batch_id <= tip.batch_id);
                if let Some(committed) = committed {
                    commits.entry(committed.batch_id).or_default().push(log);
                }
            }
        }
        Ok(commits)
    }

    /// A batch as the contract confirms it.
    fn batch(&self, commits: &BTreeMap<u64, Vec<Log>>, batch_id: u64) -> Result<(Header, Stamp), PromiseError> {
        // One that was dropped and committed again is the last one; the others are not confirmed.
        for log in commits.get(&batch_id).into_iter().flatten().rev() {
            let Some(committed) = BatchCommitted::decode(log) else { continue };
            let Some(stamp) = stamp_of(self.chain, self.venue.contract, log, &committed)? else { continue };
            let (header_hash, transaction_hash) = (committed.header_hash, log.transaction_hash);
            let commit = Commit { header_hash, transaction_hash, stamp };
            if let Some(published) = Published::read(self.chain, &commit)? {
                return Ok((published.header, stamp));
            }
        }
        Err(PromiseError::Hidden { batch_id })
    }
}

fn malformed(what: &str) -> ChainError {
    ChainError::Malformed { method: "the settlement contract", reason: format!("{what} is missing") }
}

#[cfg(test)]
#[path = "promise_tests.rs"]
mod tests;
