//! One side of a book: its ladder of price levels, in which a higher rank is a better price.
//!
//! A bid's rank is its price, an ask's the complement of its price. With that both sides are the same code, and nothing
//! behind here branches on the side: which side an order is on is a coin toss to the processor, and a wrong guess costs
//! as much as a third of a command. Measured against a side that is a type's parameter, whose one branch is that guess.
//!
//! Bounds: the ladder's.

use crate::command::Side;
use crate::ladder::Ladder;
use crate::order_arena::OrderArena;
use crate::price_level::PriceLevel;
use crate::units::{Lots, Ticks};

/// See the module.
#[derive(Debug)]
pub(crate) struct BookSide {
    /// Exclusive-or'ed with a price gives its rank.
    mask: u64,
    ladder: Ladder,
}

impl BookSide {
    pub(crate) fn new(side: Side, max_levels: u32, max_orders: u32) -> Self {
        Self::with_ladder(side, Ladder::new(max_levels, max_orders))
    }

    fn with_ladder(side: Side, ladder: Ladder) -> Self {
        let mask = match side {
            Side::Bid => 0,
            Side::Ask => u64::MAX,
        };
        Self { mask, ladder }
    }

    #[inline]
    const fn rank(&self, price: Ticks) -> u64 {
        price.0 ^ self.mask
    }

    /// The best price.
    #[inline]
    pub(crate) fn best_price(&self) -> Option<Ticks> {
        let best = self.ladder.best();
        (best != 0).then_some(Ticks(best ^ self.mask))
    }

    /// The first order of the best level, if that level's price is `limit` or better.
    #[inline]
    pub(crate) fn first_within(&self, limit: Ticks) -> Option<u32> {
        let best = self.ladder.best();
        if best < self.rank(limit) {
            return None;
        }
        self.ladder.level(best).filter(|level| !level.is_empty()).map(|level| level.head)
    }

    /// Levels from the best on, with their prices.
    pub(crate) fn levels(&self) -> impl Iterator<Item = (Ticks, &PriceLevel)> {
        self.ladder.ranks().map(|rank| {
            let level = self.ladder.level(rank).expect("a rank that is listed has a level");
            (Ticks(rank ^ self.mask), level)
        })
    }

    /// Levels that there are.
    pub(crate) const fn count(&self) -> u32 {
        self.ladder.count()
    }

    /// True when an order at `price` would need a level for which there is no room.
    #[inline]
    pub(crate) fn lacks_room_for(&self, price: Ticks) -> bool {
        self.ladder.lacks_room_for(self.rank(price))
    }

    /// Puts the order in `slot` behind all others of its price. The caller has checked for room.
    #[inline]
    pub(crate) fn push_back(&mut self, arena: &mut OrderArena, slot: u32) {
        let rank = self.rank(arena.order(slot).price());
        self.ladder.level_to_join(rank).push_back(arena, slot);
    }

    /// Takes the order in `slot` out of its level.
    #[inline]
    pub(crate) fn unlink(&mut self, arena: &mut OrderArena, slot: u32) {
        let rank = self.rank(arena.order(slot).price());
        let level = self.ladder.level_mut(rank);
        level.unlink(arena, slot);
        if level.is_empty() {
            self.ladder.close(rank);
        }
    }

    /// Takes `quantity`, less than what remains, off the order in `slot`, which keeps its place.
    #[inline]
    pub(crate) fn reduce(&mut self, arena: &mut OrderArena, slot: u32, quantity: Lots) {
        let order = arena.order_mut(slot);
        order.remaining -= quantity;
        let rank = self.rank(order.price());
        self.ladder.level_mut(rank).total -= quantity;
    }
}
