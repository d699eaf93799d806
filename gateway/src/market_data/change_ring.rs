//! The latest changes of one market's book, so that whoever missed some can have them again.
//!
//! In pieces of equal length, of which the oldest becomes the newest when all of it is too old: a change is written once
//! and never moved, and nothing is copied while the ring fills, which held the publisher up for a millisecond a market.
//! Bounds: the number that it was made for; memory for one piece more.

use std::collections::VecDeque;

use crate::market_data::public_orders::Change;

/// Changes of one piece.
const PIECE: usize = 1_024;

/// See the module.
#[derive(Debug)]
pub(super) struct ChangeRing {
    /// Each but the last is full.
    pieces: VecDeque<Vec<Change>>,
    /// How many of the first piece's are too old.
    skipped: usize,
    len: usize,
    len_max: usize,
}

impl ChangeRing {
    /// An empty ring for `len_max` changes.
    pub(super) const fn new(len_max: usize) -> Self {
        Self { pieces: VecDeque::new(), skipped: 0, len: 0, len_max }
    }

    /// Changes that are in it.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The last change; there for as long as no other comes, also where none is remembered.
    pub(super) fn last(&self) -> Option<&Change> {
        self.pieces.back()?.last()
    }

    /// Adds a change, and forgets the oldest where there is no room. In line, so that it is written where it stays: this is
    /// memory that no cache has, and whoever copied the change from somewhere else would wait for it.
    #[inline(always)]
    pub(super) fn push(&mut self, change: Change) {
        self.make_room().push(change);
    }

    fn make_room(&mut self) -> &mut Vec<Change> {
        if self.len_max == 0 {
            if self.pieces.is_empty() {
                self.pieces.push_back(Vec::with_capacity(1));
            }
            let only = self.pieces.back_mut().expect("there is one now");
            only.clear();
            return only;
        }
        let mut spare = None;
        if self.len == self.len_max {
            self.skipped += 1;
            self.len -= 1;
            if self.skipped == PIECE {
                self.skipped = 0;
                spare = self.pieces.pop_front();
            }
        }
        let has_room = |piece: &Vec<Change>| piece.len() < PIECE;
        if !self.pieces.back().is_some_and(has_room) {
            let mut piece = spare.take().unwrap_or_else(|| Vec::with_capacity(PIECE));
            piece.clear();
            self.pieces.push_back(piece);
        }
        self.len += 1;
        self.pieces.back_mut().expect("there is one with room now")
    }

    /// `count` changes behind the first `skipped`.
    pub(super) fn range(&self, skipped: usize, count: usize) -> impl Iterator<Item = &Change> {
        let first = self.skipped + skipped;
        let (piece, within) = (first / PIECE, first % PIECE);
        self.pieces.iter().skip(piece).flatten().skip(within).take(count)
    }
}

#[cfg(test)]
mod tests {
    use lakh_engine::command::MarketState;
    use lakh_engine::ids::Sequence;
    use lakh_engine::units::Timestamp;

    use super::*;
    use crate::market_data::public_orders::ChangeKind;
    use crate::reports::Stamp;

    fn change(feed_sequence: u64) -> Change {
        let stamp = Stamp { sequence: Sequence(feed_sequence), timestamp: Timestamp(1) };
        Change { feed_sequence, stamp, kind: ChangeKind::Status(MarketState::Open), level: None }
    }

    #[test]
    fn it_has_the_latest_in_their_order() {
        for len_max in [1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7] {
            let mut ring = ChangeRing::new(len_max);
            for number in 0..7_000_u64 {
                ring.push(change(number));
                assert_eq!(ring.len() as u64, (number + 1).min(len_max as u64));
            }
            let all: Vec<u64> = ring.range(0, ring.len()).map(|change| change.feed_sequence).collect();
            assert_eq!(all, (7_000 - len_max as u64..7_000).collect::<Vec<_>>());
            let some: Vec<u64> = ring.range(len_max / 2, 1).map(|change| change.feed_sequence).collect();
            assert_eq!(some, [7_000 - len_max as u64 + len_max as u64 / 2]);
            assert!(ring.pieces.len() <= len_max.div_ceil(PIECE) + 1, "pieces are used again");
        }
        let mut none = ChangeRing::new(0);
        for number in 1..=2_000 {
            none.push(change(number));
            assert_eq!(none.last(), Some(&change(number)));
        }
        assert_eq!((none.len(), none.range(0, 0).count(), none.pieces[0].capacity()), (0, 0, 1));
    }
}
