//! What users told the contract, on its way into the journal.
//!
//! The watcher reads `Queued` events of final blocks only, in order, and hashes each entry itself onto the prefix before
//! it. An entry that does not hash to what the contract stored is not handed on, so a node that forgets, repeats or
//! alters events is found out here; the engine hashes once more.
//!
//! Invariants: entries come in the order of their numbers, none skipped, none twice; nothing of a block that can still be
//! reorganised away is seen. It keeps no file: where it was, the journal knows ([`Engine::last_queue_id`],
//! [`Engine::last_queue_prefix`], the entry's time), and the block is found by bisecting the blocks' times.
//!
//! Bounds: one range of at most [`MAX_RANGE_BLOCKS`] blocks a call, which is halved while a node finds it too much;
//! [`MAX_WAITING`] entries read ahead and what one range adds to them.
//!
//! [`Engine::last_queue_id`]: lakh_engine::Engine::last_queue_id
//! [`Engine::last_queue_prefix`]: lakh_engine::Engine::last_queue_prefix

use std::collections::VecDeque;

use lakh_engine::command::ChainEntry;

use crate::chain::{Address, BlockTag, Call, Chain, ChainError, LogFilter};
use crate::contract::answer::{QUEUED, decode_queued, hash, topic};
use crate::contract::queue_prefix;
use crate::keccak::Hash;
pub use crate::log_ranges::MAX_RANGE_BLOCKS;

/// Entries that wait for the journal before reading stops.
pub const MAX_WAITING: usize = 1_024;

/// Where the journal is with the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuePosition {
    /// The last entry consumed; 0 for none.
    pub queue_id: u64,
    /// The prefix hash there; at 0 the queue's origin.
    pub prefix: Hash,
    /// The entry's time, in seconds since the Unix epoch; 0 for none.
    pub time_seconds: u64,
}

/// Why no entry can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The chain gave no usable answer. Trying again later is right.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// An event that the contract cannot have made, or a number that is not the next one. The node is not to be trusted,
    /// or is behind itself; trying again later may help.
    #[error("the chain's queue events cannot be right: {detail}")]
    Malformed {
        /// What is wrong.
        detail: String,
    },
    /// The contract's queue is not the one that the journal consumed. Nothing can be settled on it.
    #[error("queue entry {queue_id} is another one on the chain than in the journal")]
    Contradiction {
        /// Up to which entry they were compared.
        queue_id: u64,
    },
}

/// See the module.
#[derive(Debug)]
pub struct Watcher {
    contract: Address,
    /// No event is in an earlier block.
    first_block: u64,
    /// The next block to be read; `None` until the journal's place was found on the chain.
    next_block: Option<u64>,
    range_blocks: u64,
    /// The last entry that was read, consumed or waiting.
    last: (u64, Hash),
    waiting: VecDeque<ChainEntry>,
}

impl Watcher {
    /// For a contract that was created in `first_block` or later, and a journal that is at `position`.
    pub const fn new(contract: Address, first_block: u64, position: QueuePosition) -> Self {
        Self {
            contract,
            first_block,
            next_block: None,
            range_blocks: MAX_RANGE_BLOCKS,
            last: (position.queue_id, position.prefix),
            waiting: VecDeque::new(),
        }
    }

    /// Reads the next range of final blocks, if there is one. `position` is where the journal is now.
    ///
    /// # Errors
    /// See [`WatchError`]; nothing is lost, the same range is read again next time.
    pub fn poll(&mut self, chain: &dyn Chain, position: QueuePosition) -> Result<(), WatchError> {
        self.consume(position)?;
        if self.waiting.len() >= MAX_WAITING {
            return Ok(());
        }
        let final_block = chain.block_number(BlockTag::Finalized)?;
        let from_block = match self.next_block {
            Some(block) => block,
            None => self.find_place(chain, position, final_block)?,
        };
        self.next_block = Some(from_block);
        if from_block > final_block {
            return Ok(());
        }
        let to_block = final_block.min(from_block.saturating_add(self.range_blocks - 1));
        let filter = LogFilter { address: self.contract, from_block, to_block, topics: vec![vec![topic(QUEUED)]] };
        let logs = match chain.logs(&filter) {
            Ok(logs) => logs,
            Err(error) => {
                // Nodes bound ranges and answers differently, and say so differently.
                self.range_blocks = (self.range_blocks / 2).max(1);
                return Err(error.into());
            }
        };
        let mut read = Vec::with_capacity(logs.len());
        let mut last = self.last;
        for log in &logs {
            let malformed = || WatchError::Malformed { detail: format!("an event in block {}", log.block_number) };
            let entry = decode_queued(log).ok_or_else(malformed)?;
            if entry.queue_id <= last.0 {
                // The first block that is read again after a start holds entries from before it.
                continue;
            }
            last = follow(last, &entry)?;
            read.push(entry);
        }
        self.waiting.extend(read);
        self.last = last;
        self.next_block = Some(to_block + 1);
        self.range_blocks = (self.range_blocks * 2).min(MAX_RANGE_BLOCKS);
        Ok(())
    }

    /// The entries that the journal has not consumed yet, in order.
    pub fn waiting(&self) -> impl Iterator<Item = &ChainEntry> {
        self.waiting.iter()
    }

    /// Forgets what the journal has consumed.
    ///
    /// # Errors
    /// [`WatchError::Contradiction`] where it consumed something else.
    pub fn consume(&mut self, position: QueuePosition) -> Result<(), WatchError> {
        while let Some(entry) = self.waiting.pop_front_if(|entry| entry.queue_id <= position.queue_id) {
            if entry.queue_id == position.queue_id && entry.prefix != position.prefix.0 {
                return Err(WatchError::Contradiction { queue_id: entry.queue_id });
            }
        }
        if position.queue_id > self.last.0 {
            // Somebody else brought entries in that were not read here yet.
            self.last = (position.queue_id, position.prefix);
        }
        Ok(())
    }

    /// The block from which to read on: the first one whose time is the last consumed entry's, or the contract's first.
    fn find_place(&mut self, chain: &dyn Chain, position: QueuePosition, final_block: u64) -> Result<u64, WatchError> {
        let call = Call::question(self.contract, queue_prefix(position.queue_id));
        let answer = chain.call(&call, BlockTag::Finalized)?;
        let malformed =
            || WatchError::Malformed { detail: "no contract answers there as of the final block".to_owned() };
        let found = hash(&answer).ok_or_else(malformed)?;
        if found == Hash::ZERO {
            let detail = format!("it has no final entry {} yet, which the journal has", position.queue_id);
            return Err(WatchError::Malformed { detail });
        }
        if found != position.prefix {
            return Err(WatchError::Contradiction { queue_id: position.queue_id });
        }
        if position.queue_id == 0 {
            return Ok(self.first_block);
        }
        let (mut before, mut found) = (self.first_block, final_block);
        while before < found {
            let middle = before + (found - before) / 2;
            let missing = || WatchError::Malformed { detail: format!("there is no block {middle}") };
            let block = chain.block(BlockTag::Number(middle))?.ok_or_else(missing)?;
            if block.timestamp_s < position.time_seconds {
                before = middle + 1;
            } else {
                found = middle;
            }
        }
        Ok(found)
    }
}

/// The place behind this entry, if it is the next one and hashes to what it should.
fn follow(last: (u64, Hash), entry: &ChainEntry) -> Result<(u64, Hash), WatchError> {
    if entry.queue_id != last.0 + 1 {
        let detail = format!("entry {} follows entry {}", entry.queue_id, last.0);
        return Err(WatchError::Malformed { detail });
    }
    if entry.prefix_after(&last.1.0) != entry.prefix {
        let detail = format!("entry {} does not hash to its prefix", entry.queue_id);
        return Err(WatchError::Malformed { detail });
    }
    Ok((entry.queue_id, Hash(entry.prefix)))
}

#[cfg(test)]
#[path = "watcher_tests.rs"]
mod tests;
