//! A contract's events over any number of blocks, asked for in ranges that the node answers.
//!
//! Nodes bound ranges and answers differently and say so differently, so a range that is refused is halved and asked for
//! again, down to one block; one that was answered lets the next grow. A node that says nothing is not asked twice.
//!
//! Invariants: each block is covered once, in order, none skipped. Bounds: [`MAX_RANGE_BLOCKS`] blocks a question.

use crate::chain::{Address, Chain, ChainError, Log, LogFilter};
use crate::keccak::Hash;

/// Blocks of the widest range that is asked for at once.
pub const MAX_RANGE_BLOCKS: u64 = 2_000;

/// See the module.
pub(crate) struct LogRanges {
    contract: Address,
    topics: Vec<Vec<Hash>>,
    next_block: u64,
    last_block: u64,
    range_blocks: u64,
}

impl LogRanges {
    /// The logs of `contract` from `first_block` to `last_block`, both included, whose topics are among those wanted.
    pub(crate) const fn new(contract: Address, topics: Vec<Vec<Hash>>, (first_block, last_block): (u64, u64)) -> Self {
        Self { contract, topics, next_block: first_block, last_block, range_blocks: MAX_RANGE_BLOCKS }
    }

    /// The first block that was not asked for yet.
    pub(crate) const fn next_block(&self) -> u64 {
        self.next_block
    }

    /// The logs of the next range; `None` behind the last block.
    ///
    /// # Errors
    /// What the node says to a single block; the same range is asked for again next time.
    pub(crate) fn next(&mut self, chain: &dyn Chain) -> Result<Option<Vec<Log>>, ChainError> {
        while self.next_block <= self.last_block {
            let to_block = self.last_block.min(self.next_block.saturating_add(self.range_blocks - 1));
            let (address, from_block, topics) = (self.contract, self.next_block, self.topics.clone());
            match chain.logs(&LogFilter { address, from_block, to_block, topics }) {
                Ok(logs) => {
                    self.next_block = to_block + 1;
                    self.range_blocks = (self.range_blocks * 2).min(MAX_RANGE_BLOCKS);
                    return Ok(Some(logs));
                }
                Err(error @ ChainError::NoAnswer { .. }) => return Err(error),
                Err(error) if self.range_blocks == 1 => return Err(error),
                Err(_) => self.range_blocks /= 2,
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::Blob;
    use crate::chain::{Block, BlockTag, Call, Fees, NonceAt, Receipt, Sent};
    use crate::commitment::Stamp;

    /// A node that answers for so many blocks at once, and notes which it was asked for.
    struct Stingy {
        most: u64,
        asked: parking_lot::Mutex<Vec<(u64, u64)>>,
    }

    fn no() -> ChainError {
        ChainError::Refused { code: -32_005, message: "too many blocks".to_owned(), data: Vec::new() }
    }

    impl Chain for Stingy {
        fn chain_id(&self) -> Result<u64, ChainError> {
            Err(no())
        }
        fn block(&self, _: BlockTag) -> Result<Option<Block>, ChainError> {
            Err(no())
        }
        fn logs(&self, filter: &LogFilter) -> Result<Vec<Log>, ChainError> {
            if filter.to_block - filter.from_block >= self.most {
                return Err(no());
            }
            self.asked.lock().push((filter.from_block, filter.to_block));
            Ok(Vec::new())
        }
        fn call(&self, _: &Call, _: BlockTag) -> Result<Vec<u8>, ChainError> {
            Err(no())
        }
        fn estimate_gas(&self, _: &Call) -> Result<u64, ChainError> {
            Err(no())
        }
        fn nonce(&self, _: Address, _: NonceAt) -> Result<u64, ChainError> {
            Err(no())
        }
        fn send_raw_transaction(&self, _: &[u8]) -> Result<Hash, ChainError> {
            Err(no())
        }
        fn receipt(&self, _: Hash) -> Result<Option<Receipt>, ChainError> {
            Err(no())
        }
        fn sent(&self, _: Hash) -> Result<Option<Sent>, ChainError> {
            Err(no())
        }
        fn blob(&self, _: Hash, _: &Stamp) -> Result<Option<Blob>, ChainError> {
            Err(no())
        }
        fn blob_base_fee(&self) -> Result<Option<u128>, ChainError> {
            Err(no())
        }
        fn fees(&self) -> Result<Fees, ChainError> {
            Err(no())
        }
        fn balance(&self, _: Address) -> Result<u128, ChainError> {
            Err(no())
        }
        fn code(&self, _: Address) -> Result<Vec<u8>, ChainError> {
            Err(no())
        }
    }

    #[test]
    fn each_block_is_asked_for_once_whatever_the_node_allows() {
        for most in [1, 2, 3, 7, 64, 5_000] {
            let node = Stingy { most, asked: parking_lot::Mutex::default() };
            let mut ranges = LogRanges::new(Address::default(), Vec::new(), (5, 305));
            while ranges.next(&node).unwrap().is_some() {}
            let mut next = 5;
            for (from, to) in node.asked.into_inner() {
                assert_eq!(from, next, "at most {most}");
                next = to + 1;
            }
            assert_eq!(next, 306, "at most {most}");
        }
        let node = Stingy { most: 0, asked: parking_lot::Mutex::default() };
        let mut ranges = LogRanges::new(Address::default(), Vec::new(), (5, 305));
        assert!(ranges.next(&node).is_err(), "a node that refuses single blocks");
        assert_eq!(ranges.next_block(), 5);
        assert!(LogRanges::new(Address::default(), Vec::new(), (6, 5)).next(&node).unwrap().is_none());
    }
}
