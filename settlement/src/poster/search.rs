//! The chain's batches held against the journal's: each header compared once, each stamp found and kept right.
//!
//! The events are looked through from the head backwards, since what is new is what matters, in ranges that the node
//! answers. Nothing is posted on top of a tip that was not compared.

use super::{Contradiction, Held, JournalRead, Poster, SEARCH_RANGES, Trouble, View, malformed};
use crate::chain::{BlockTag, Chain, ChainError, LogFilter};
use crate::commitment::batch_hash;
use crate::commits::stamp_of;
use crate::contract;
use crate::contract::answer::{self, BATCH_COMMITTED, BatchCommitted, indexed};

/// Blocks of the narrowest range: a node that refuses even that refuses for another reason.
const MIN_SEARCH_BLOCKS: u64 = 16;
/// Batches looked for at once.
const SEARCH_BATCHES: usize = 64;

/// What became of a range of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Searched {
    Through,
    /// It was too wide; the next one is narrower.
    Refused,
}

impl Poster {
    /// Compares the chain's batches with the journal's.
    pub(super) fn compare(&mut self, chain: &dyn Chain, view: &View) -> Result<(), Trouble> {
        let tip = view.tip.batch_id;
        if self.journal_read == JournalRead::Wholly && tip > self.journaled {
            return Err(Contradiction::TipAhead { chain: tip, journal: self.journaled }.into());
        }
        if tip < self.confirmed.batch_id {
            return Err(Contradiction::Rewound { batch_id: tip + 1 }.into());
        }
        self.check_tip_stamp(chain, tip)?;
        let unseen = |(batch_id, held): (&u64, &Held)| held.on_chain.is_none().then_some(*batch_id);
        let wanted: Vec<u64> = self.batches.range(..=tip).rev().filter_map(unseen).take(SEARCH_BATCHES).collect();
        if wanted.is_empty() {
            self.search_below = None;
            return Ok(());
        }
        let (mut below, is_resumed) = (self.search_below.unwrap_or(view.head.number + 1), self.search_below.is_some());
        for _ in 0..SEARCH_RANGES {
            let from_block = below.saturating_sub(self.search_blocks).max(self.options.first_block);
            if below <= from_block {
                self.search_below = None;
                // What came while others were looked for is looked for from the head.
                return if is_resumed { Ok(()) } else { Err(malformed("the tip's batch is in no block").into()) };
            }
            if self.search(chain, &wanted, from_block, below - 1)? == Searched::Refused {
                continue;
            }
            if wanted.iter().all(|batch_id| self.on_chain(*batch_id).is_some()) {
                self.search_below = None;
                return Ok(());
            }
            below = from_block;
            self.search_below = Some(below);
        }
        Ok(())
    }

    /// Forgets stamps that a reorganisation may have changed. It takes away blocks from the newest on, so while the tip's
    /// batch is in its block, those before it are too.
    fn check_tip_stamp(&mut self, chain: &dyn Chain, tip: u64) -> Result<(), Trouble> {
        let confirmed = self.confirmed.batch_id;
        let Some((header, stamp)) = self.batches.get(&tip).and_then(|held| held.on_chain) else {
            return Ok(());
        };
        if tip <= confirmed {
            return Ok(());
        }
        let stored = self.ask(chain, contract::batch_hash(tip), BlockTag::Latest)?;
        if answer::hash(&stored) != Some(batch_hash(header.hash(), stamp)) {
            self.batches.range_mut(confirmed + 1..).for_each(|(_, held)| held.on_chain = None);
        }
        Ok(())
    }

    /// Looks for batches in a range of blocks and notes their stamps.
    fn search(
        &mut self,
        chain: &dyn Chain,
        wanted: &[u64],
        from_block: u64,
        to_block: u64,
    ) -> Result<Searched, Trouble> {
        let ids = wanted.iter().map(|batch_id| indexed(*batch_id)).collect();
        let topics = vec![vec![answer::topic(BATCH_COMMITTED)], ids];
        let address = self.options.venue.contract;
        let logs = match chain.logs(&LogFilter { address, from_block, to_block, topics }) {
            Ok(logs) => logs,
            // Nodes bound ranges differently and say so differently; what one refused once, it will always refuse.
            Err(ChainError::Refused { .. } | ChainError::Malformed { .. })
                if self.search_blocks > MIN_SEARCH_BLOCKS =>
            {
                self.search_blocks = (self.search_blocks / 2).max(MIN_SEARCH_BLOCKS);
                return Ok(Searched::Refused);
            }
            Err(error) => return Err(error.into()),
        };
        for log in &logs {
            let committed = BatchCommitted::decode(log).ok_or_else(|| malformed("a strange event of a batch"))?;
            let batch_id = committed.batch_id;
            let Some(held) = self.batches.get(&batch_id) else { continue };
            let Some(header) = held.header_as_committed(committed.header_hash) else {
                let (chain, journal) = (committed.header_hash, held.header.hash());
                return Err(Contradiction::HeaderDiffers { batch_id, chain, journal }.into());
            };
            let stamp = stamp_of(chain, address, log, &committed)?;
            let stamp = stamp.ok_or_else(|| malformed("a batch is stored otherwise than its event says"))?;
            self.batches.entry(batch_id).and_modify(|held| held.on_chain = Some((header, stamp)));
        }
        Ok(Searched::Through)
    }
}
