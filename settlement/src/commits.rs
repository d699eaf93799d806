//! When batches came to the chain: the contract's `BatchCommitted` events, and the stamps that claims need.
//!
//! The contract stores of a batch one hash over its header and its stamp. Whoever finalizes or claims has to name both,
//! and the stamp stands nowhere but in the block of the event; so it is read from there and checked against the hash.
//!
//! [`CommitStamps`] keeps the stamps of final batches for as long as somebody may claim from them. It needs no file: what
//! it does not know, a restart asks the chain for.
//!
//! Invariants: a stamp is given only if the contract's hash confirms it together with the journal's own header; only final
//! batches are looked for, so that no reorganisation can make a stamp wrong.
//!
//! Bounds: [`MAX_WANTED`] batches, of which [`SEARCH_BATCHES`] are looked for at once, through [`SEARCH_RANGES`] ranges of blocks a step.

use std::collections::BTreeMap;

use crate::chain::{Address, BlockTag, Call, Chain, ChainError, Log};
use crate::commitment::{Header, Stamp, batch_hash};
use crate::contract;
use crate::contract::answer::{self, BATCH_COMMITTED, BatchCommitted, indexed};
use crate::contract::committed::CommitCall;
use crate::log_ranges::LogRanges;

/// Batches whose stamps are wanted; the oldest are forgotten first.
pub(crate) const MAX_WANTED: usize = 1_024;
/// Batches looked for at once.
const SEARCH_BATCHES: usize = 64;
/// Ranges of blocks that a step looks through.
const SEARCH_RANGES: usize = 8;

/// The stamp of a batch that an event tells of: its block's number and time. `None` where the contract stores something
/// else of the batch than this header with this stamp.
///
/// # Errors
/// See [`ChainError`].
pub(crate) fn stamp_of(
    chain: &dyn Chain,
    contract: Address,
    log: &Log,
    committed: &BatchCommitted,
) -> Result<Option<Stamp>, ChainError> {
    let malformed =
        || ChainError::Malformed { method: "the settlement contract", reason: "a block is missing".to_owned() };
    let block = chain.block(BlockTag::Number(log.block_number))?.ok_or_else(malformed)?;
    let stamp = Stamp { time_seconds: block.timestamp_s, block_number: block.number };
    let data = contract::batch_hash(committed.batch_id);
    let call = Call::question(contract, data);
    let stored = answer::hash(&chain.call(&call, BlockTag::Latest)?);
    Ok((stored == Some(batch_hash(committed.header_hash, stamp))).then_some(stamp))
}

/// The header under which the chain has a batch: the journal's, or the same with its data in blobs. `None` where it has
/// another batch.
fn header_of(
    chain: &dyn Chain,
    journal: &Header,
    log: &Log,
    committed: &BatchCommitted,
) -> Result<Option<Header>, ChainError> {
    if committed.header_hash == journal.hash() {
        return Ok(Some(*journal));
    }
    let call = chain.sent(log.transaction_hash)?.and_then(|sent| CommitCall::decode(&sent.data));
    // That the blobs are the batch's data, the poster and every watcher have seen to: nobody claims from them.
    let header = call.map(|call| call.header).filter(|header| header.hash() == committed.header_hash);
    Ok(header.filter(|header| header.is_same_batch(journal)))
}

/// Headers and stamps of batches as the chain has them, by the journal's headers. Those that it does not have are missing.
///
/// # Errors
/// See [`ChainError`].
pub(crate) fn stamps_of(
    chain: &dyn Chain,
    contract: Address,
    first_block: u64,
    wanted: &BTreeMap<u64, Header>,
) -> Result<BTreeMap<u64, (Header, Stamp)>, ChainError> {
    let mut found = BTreeMap::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    let head = chain.block_number(BlockTag::Latest)?;
    let topics = vec![vec![answer::topic(BATCH_COMMITTED)]];
    let mut ranges = LogRanges::new(contract, topics, (first_block, head));
    while found.len() < wanted.len()
        && let Some(logs) = ranges.next(chain)?
    {
        for log in &logs {
            let Some(committed) = BatchCommitted::decode(log) else { continue };
            if let Some(journal) = wanted.get(&committed.batch_id)
                && let Some(header) = header_of(chain, journal, log, &committed)?
                && let Some(stamp) = stamp_of(chain, contract, log, &committed)?
            {
                found.insert(committed.batch_id, (header, stamp));
            }
        }
    }
    Ok(found)
}

/// A batch whose stamp somebody may need.
#[derive(Debug)]
struct Wanted {
    /// The journal's.
    header: Header,
    /// As the chain has it.
    on_chain: Option<(Header, Stamp)>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct CommitStamps {
    contract: Address,
    first_block: u64,
    batches: BTreeMap<u64, Wanted>,
    search: Option<Search>,
}

/// A walk through the blocks.
struct Search {
    ranges: LogRanges,
    /// Batches up to this one are looked for.
    up_to: u64,
}

impl core::fmt::Debug for Search {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Search").field("next_block", &self.ranges.next_block()).finish_non_exhaustive()
    }
}

impl CommitStamps {
    /// For a contract that was created in `first_block` or later.
    pub(crate) const fn new(contract: Address, first_block: u64) -> Self {
        Self { contract, first_block, batches: BTreeMap::new(), search: None }
    }

    /// From now on this batch's stamp is wanted. Again after a replay began anew, with the same header.
    pub(crate) fn want(&mut self, header: Header) {
        self.batches.entry(header.batch_id).or_insert(Wanted { header, on_chain: None });
        while self.batches.len() > MAX_WANTED {
            self.batches.pop_first();
        }
    }

    /// A batch's header on the chain and when it came there, once that is known for good.
    pub(crate) fn on_chain(&self, batch_id: u64) -> Option<(Header, Stamp)> {
        self.batches.get(&batch_id)?.on_chain
    }

    /// Looks on. `final_batch` is the last batch that can never change any more.
    ///
    /// # Errors
    /// See [`ChainError`]; the same range is looked through again next time.
    pub(crate) fn step(&mut self, chain: &dyn Chain, final_batch: u64) -> Result<(), ChainError> {
        if self.search.is_none() {
            let missing = |(batch_id, wanted): (&u64, &Wanted)| wanted.on_chain.is_none().then_some(*batch_id);
            let ids: Vec<u64> = self.batches.range(..=final_batch).filter_map(missing).take(SEARCH_BATCHES).collect();
            let Some(up_to) = ids.last().copied() else { return Ok(()) };
            // Batches come to the chain in their order: what is missing is behind what is known.
            let before = self.batches.range(..ids[0]).next_back().and_then(|(_, wanted)| wanted.on_chain);
            let from = before.map_or(self.first_block, |(_, stamp)| stamp.block_number.max(self.first_block));
            let topics = vec![vec![answer::topic(BATCH_COMMITTED)], ids.iter().map(|id| indexed(*id)).collect()];
            let head = chain.block_number(BlockTag::Latest)?;
            self.search = Some(Search { ranges: LogRanges::new(self.contract, topics, (from, head)), up_to });
        }
        for _ in 0..SEARCH_RANGES {
            let Some(search) = &mut self.search else { break };
            let (logs, up_to) = (search.ranges.next(chain)?, search.up_to);
            let Some(logs) = logs else {
                // The node knows fewer events than batches. The next walk begins where the stamps end.
                self.search = None;
                break;
            };
            let noted = self.note(chain, &logs);
            let is_over = self.batches.range(..=up_to).all(|(_, wanted)| wanted.on_chain.is_some());
            // A range that was not noted to its end must be walked through again.
            if is_over || noted.is_err() {
                self.search = None;
            }
            noted?;
        }
        Ok(())
    }

    fn note(&mut self, chain: &dyn Chain, logs: &[Log]) -> Result<(), ChainError> {
        for log in logs {
            let Some(committed) = BatchCommitted::decode(log) else { continue };
            let Some(wanted) = self.batches.get_mut(&committed.batch_id) else { continue };
            // Another header is the poster's to tell of; here it only gives no stamp.
            if let Some(header) = header_of(chain, &wanted.header, log, &committed)? {
                let stamp = stamp_of(chain, self.contract, log, &committed)?;
                wanted.on_chain = stamp.map(|stamp| (header, stamp));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poster::Poster;
    use crate::test_venue::{Liar, TestChain, keys, sealed_batches};

    /// A chain with three committed batches, and their headers.
    fn committed() -> (TestChain, Vec<Header>) {
        let test = TestChain::new();
        let directory = tempfile::tempdir().unwrap();
        let batches = sealed_batches(test.venue, 3);
        let mut poster = Poster::open(test.poster_options(directory.path()), keys()).unwrap();
        batches.iter().for_each(|batch| poster.add(batch));
        while test.tip().batch_id < 3 {
            test.pass(7);
            poster.step(&test.chain, test.now());
        }
        (test, batches.iter().map(|batch| batch.header).collect())
    }

    #[test]
    fn stamps_of_final_batches_are_found_and_no_others() {
        let (test, headers) = committed();
        let mut stamps = CommitStamps::new(test.venue.contract, 0);
        headers.iter().for_each(|header| stamps.want(*header));
        stamps.step(&test.chain, 2).unwrap();
        let found = [1, 2, 3].map(|batch_id| stamps.on_chain(batch_id).map(|(_, stamp)| stamp.time_seconds));
        assert!(found[0] < found[1] && found[0].is_some() && found[2].is_none(), "{found:?}");
        stamps.step(&test.chain, 3).unwrap();
        assert!(stamps.on_chain(3).is_some());
        let wanted = (1..).zip(headers).collect();
        let all = stamps_of(&test.chain, test.venue.contract, 0, &wanted).unwrap();
        assert_eq!(
            [1, 2, 3].map(|batch_id| stamps.on_chain(batch_id)),
            [1, 2, 3].map(|batch_id| all.get(&batch_id).copied())
        );
    }

    #[test]
    fn a_lying_node_gives_no_stamp_and_an_honest_one_heals_it() {
        let (test, headers) = committed();
        let mut stamps = CommitStamps::new(test.venue.contract, 0);
        stamps.want(Header { fills: 9, ..headers[0] });
        stamps.want(headers[1]);
        let lies: [fn(&mut Vec<Log>); 2] = [Vec::clear, |logs| logs.iter_mut().for_each(|log| log.block_number -= 1)];
        for change in lies {
            for _ in 0..3 {
                stamps.step(&Liar { chain: &test.chain, change: Box::new(change), without_blob: None }, 3).unwrap();
            }
            assert_eq!(stamps.on_chain(2), None);
        }
        for _ in 0..3 {
            stamps.step(&test.chain, 3).unwrap();
        }
        assert!(stamps.on_chain(2).is_some());
        assert_eq!(stamps.on_chain(1), None, "another header than the journal's");
    }
}
