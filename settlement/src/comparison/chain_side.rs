//! The contract as a comparison sees it: its state at one moment, and every event up to then.

use std::collections::BTreeMap;

use lakh_engine::command::ChainEntry;

use super::Finding;
use crate::chain::{Address, Block, BlockTag, Call, Chain, ChainError};
use crate::commitment::Stamp;
use crate::commits::stamp_of;
use crate::contract::answer::{self, BATCH_COMMITTED, BatchCommitted, Counts, QUEUED, Tip, decode_queued};
use crate::contract::{self, exits};
use crate::follower::Venue;
use crate::keccak::Hash;
use crate::log_ranges::LogRanges;

/// How often a state that changes while it is read is read again.
const STATE_TRIALS: usize = 8;

/// A batch by its event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommittedBatch {
    pub(crate) batch_id: u64,
    pub(crate) header_hash: Hash,
    /// `None` where the contract stores another hash than that of header and block.
    pub(crate) stamp: Option<Stamp>,
    /// The transaction that committed it.
    pub(crate) transaction_hash: Hash,
}

/// What the contract says of itself.
struct State {
    tip: Tip,
    root: Hash,
    counts: Counts,
    head: Block,
}

/// Everything that is compared with the journal.
pub(crate) struct ChainSide {
    pub(super) block_number: u64,
    pub(crate) tip: Tip,
    /// The balances root of the tip.
    pub(super) root: Hash,
    /// Entry 1 first, without gaps; ends where the events stop fitting together.
    pub(crate) entries: Vec<ChainEntry>,
    /// Batch 1 first, without gaps; ends where the events stop fitting together.
    pub(crate) batches: Vec<CommittedBatch>,
    /// Where the chain contradicts itself.
    pub(crate) findings: Vec<Finding>,
}

impl ChainSide {
    pub(crate) fn read(chain: &dyn Chain, venue: Venue, first_block: u64) -> Result<Self, ChainError> {
        let contract = venue.contract;
        let State { tip, root, counts, head } = state(chain, contract)?;
        let (entries, batches) = (Vec::new(), Vec::new());
        let mut side = Self { block_number: head.number, tip, root, entries, batches, findings: Vec::new() };
        side.read_queue(chain, venue, first_block)?;
        if (side.entries.len() as u64) < counts.queue_length && side.findings.is_empty() {
            let detail = format!("{} entries by its events, {} by its count", side.entries.len(), counts.queue_length);
            side.findings.push(Finding::QueueBroken { detail });
        }
        side.read_batches(chain, contract, first_block)?;
        Ok(side)
    }

    fn read_queue(&mut self, chain: &dyn Chain, venue: Venue, first_block: u64) -> Result<(), ChainError> {
        let contract = venue.contract;
        let mut ranges = LogRanges::new(contract, vec![vec![answer::topic(QUEUED)]], (first_block, self.block_number));
        let mut prefix = venue.queue_origin().0;
        while let Some(logs) = ranges.next(chain)? {
            for log in &logs {
                let expected = self.entries.len() as u64 + 1;
                let entry = decode_queued(log).ok_or_else(|| malformed("a strange event of a queue entry"))?;
                if entry.queue_id != expected {
                    let detail = format!("entry {} where entry {expected} should be", entry.queue_id);
                    self.findings.push(Finding::QueueBroken { detail });
                    return Ok(());
                }
                if entry.prefix_after(&prefix) != entry.prefix {
                    let detail = format!("entry {expected} does not hash to its prefix");
                    self.findings.push(Finding::QueueBroken { detail });
                    return Ok(());
                }
                prefix = entry.prefix;
                self.entries.push(entry);
            }
        }
        let last = self.entries.len() as u64;
        let stored = answer::hash(&ask(chain, contract, contract::queue_prefix(last))?);
        if stored != Some(Hash(prefix)) {
            let detail = format!("it stores another prefix hash of entry {last} than the events come to");
            self.findings.push(Finding::QueueBroken { detail });
        }
        Ok(())
    }

    fn read_batches(&mut self, chain: &dyn Chain, contract: Address, first_block: u64) -> Result<(), ChainError> {
        let topics = vec![vec![answer::topic(BATCH_COMMITTED)]];
        let mut ranges = LogRanges::new(contract, topics, (first_block, self.block_number));
        let number = |call| Ok::<_, ChainError>(answer::number(&ask(chain, contract, call)?));
        let malformed_number = || malformed("a number that is none");
        let vetoes = number(exits::vetoes())?.ok_or_else(malformed_number)?;
        // A frozen venue goes back to its last final batch.
        let dropped = vetoes + number(exits::rolled_back())?.ok_or_else(malformed_number)?;
        let mut blocks = BTreeMap::new();
        while let Some(logs) = ranges.next(chain)? {
            for log in &logs {
                let expected = self.batches.len() as u64 + 1;
                let committed = BatchCommitted::decode(log).ok_or_else(|| malformed("a strange event of a batch"))?;
                let BatchCommitted { batch_id, header_hash } = committed;
                if (1..expected).contains(&batch_id) && dropped > 0 {
                    // Watchers had dropped it and those after it; this is what came in its place.
                    self.batches.truncate(usize::try_from(batch_id - 1).expect("fewer than there are in memory"));
                } else if batch_id != expected {
                    let detail = format!("batch {batch_id} where batch {expected} should be");
                    self.findings.push(Finding::BatchesBroken { detail });
                    return Ok(());
                }
                let stamp = stamp_of(chain, contract, log, &committed)?;
                let transaction_hash = log.transaction_hash;
                self.batches.push(CommittedBatch { batch_id, header_hash, stamp, transaction_hash });
                blocks.insert(batch_id, log.block_number);
            }
        }
        if dropped > 0 {
            // What was dropped and did not come again.
            self.batches.truncate(usize::try_from(self.tip.batch_id).unwrap_or(usize::MAX));
        }
        for batch in self.batches.iter().filter(|batch| batch.stamp.is_none()) {
            let (batch_id, block_number) = (batch.batch_id, blocks[&batch.batch_id]);
            self.findings.push(Finding::StampDiffers { batch_id, block_number });
        }
        let count = self.batches.len() as u64;
        if count != self.tip.batch_id {
            let detail = format!("{count} batches by its events, {} by its tip", self.tip.batch_id);
            self.findings.push(Finding::BatchesBroken { detail });
        }
        Ok(())
    }
}

/// Tip and root of one moment, and a block that was the newest then.
fn state(chain: &dyn Chain, contract: Address) -> Result<State, ChainError> {
    for _ in 0..STATE_TRIALS {
        let before = tip(chain, contract)?;
        let root = answer::hash(&ask(chain, contract, contract::tip_root())?).ok_or_else(|| malformed("no root"))?;
        let counts =
            Counts::decode(&ask(chain, contract, contract::counts())?).ok_or_else(|| malformed("no counts"))?;
        let head = chain.block(BlockTag::Latest)?.ok_or_else(|| malformed("no newest block"))?;
        if tip(chain, contract)? == before {
            return Ok(State { tip: before, root, counts, head });
        }
    }
    Err(malformed("its tip changes faster than it can be read"))
}

fn tip(chain: &dyn Chain, contract: Address) -> Result<Tip, ChainError> {
    let answer = ask(chain, contract, contract::tip())?;
    Tip::decode(&answer).ok_or_else(|| malformed("no settlement contract answers there"))
}

fn ask(chain: &dyn Chain, contract: Address, data: Vec<u8>) -> Result<Vec<u8>, ChainError> {
    let call = Call::question(contract, data);
    chain.call(&call, BlockTag::Latest)
}

fn malformed(reason: &str) -> ChainError {
    ChainError::Malformed { method: "the settlement contract", reason: reason.to_owned() }
}
