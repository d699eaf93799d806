//! One side of a book: its ladder of price levels, in which a higher rank is a better price.
//!
//! A bid's rank is its price, an ask's the complement of its price. With that both sides are the same code, and nothing
//! behind here branches on the side: which side an order is on is a coin toss to the processor, and a wrong guess costs
//! as much as a third of a command. A side that is a type's parameter has no branch in its own code, but needs one to be
//! chosen, which is that same guess.
//!
//! Bounds: the ladder's.

use crate::command::Side;
use crate::ladder::Ladder;
use crate::order_arena::{OrderEntry, RestingOrder};
use crate::prefetch::ask_for;
use crate::price_level::PriceLevel;
use crate::units::{Lots, Ticks};

/// See the module. Aligned so that both sides are a power of two apart.
#[derive(Debug)]
#[repr(align(64))]
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

    /// Asks memory for the level at `price`.
    #[inline]
    pub(crate) fn prefetch_level(&self, price: Ticks) {
        ask_for(self.ladder.level_in_window(self.rank(price)));
    }

    /// Asks memory for the best level, if its price is `limit` or better.
    #[inline]
    pub(crate) fn prefetch_within(&self, limit: Ticks) {
        let best = self.ladder.best();
        if best >= self.rank(limit) {
            ask_for(self.ladder.level_in_window(best));
        }
    }

    /// The last order at `price`, if there is one and the ladder's window has it.
    #[inline]
    pub(crate) fn last_at(&self, price: Ticks) -> Option<u32> {
        self.ladder.level_in_window(self.rank(price)).filter(|level| !level.is_empty()).map(|level| level.tail)
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
    #[inline(always)]
    pub(crate) fn lacks_room_for(&self, price: Ticks) -> bool {
        self.ladder.lacks_room_for(self.rank(price))
    }

    /// Orders at `price`.
    pub(crate) fn count_at(&self, price: Ticks) -> u32 {
        self.ladder.level(self.rank(price)).map_or(0, |level| level.count)
    }

    /// Puts the order in `slot` behind all others of its price. The caller has checked for room.
    #[inline(always)]
    pub(crate) fn push_back<E: OrderEntry>(&mut self, entries: &mut [E], slot: u32) {
        let rank = self.rank(entries[slot as usize].order().price());
        self.ladder.level_to_join(rank).push_back(entries, slot);
    }

    /// Takes an order out of its level.
    #[inline(always)]
    pub(crate) fn unlink<E: OrderEntry>(&mut self, entries: &mut [E], order: &RestingOrder) {
        let rank = self.rank(order.price());
        self.ladder.level_mut(rank).unlink(entries, order);
        if order.is_alone() {
            self.ladder.close(rank);
        }
    }

    /// Takes `quantity`, less than what remains, off an order, which keeps its place.
    #[inline]
    pub(crate) fn reduce(&mut self, order: &mut RestingOrder, quantity: Lots) {
        order.remaining -= quantity;
        let rank = self.rank(order.price());
        self.ladder.level_mut(rank).total -= quantity;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, VecDeque};

    use proptest::prelude::{Strategy, any, prop, prop_oneof};
    use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

    use super::*;
    use crate::ids::AccountId;
    use crate::order_arena::{NOBODY, OrderArena};

    /// A side with a window of 256 ticks beside what it has to be: a sorted map of queues.
    struct Pair {
        side: Side,
        book: BookSide,
        arena: OrderArena<RestingOrder>,
        /// By rank; the best is last.
        model: BTreeMap<u64, VecDeque<(u32, u64)>>,
    }

    /// The most levels of a pair, few enough to run out of.
    const MAX_LEVELS: u32 = 96;

    impl Pair {
        fn new(side: Side) -> Self {
            let book = BookSide::with_ladder(side, Ladder::with_window(4, MAX_LEVELS));
            Self { side, book, arena: OrderArena::new(512), model: BTreeMap::new() }
        }

        fn place(&mut self, price: u64, quantity: u64) -> Option<u32> {
            let rank = self.book.rank(Ticks(price));
            let has_room = self.model.contains_key(&rank) || self.model.len() < MAX_LEVELS as usize;
            assert_eq!(self.book.lacks_room_for(Ticks(price)), !has_room);
            if !has_room || self.arena.is_full() {
                return None;
            }
            let (slot, entries) = self.arena.insert(self.side, Ticks(price), Lots(quantity), AccountId(1));
            self.book.push_back(entries, slot);
            self.model.entry(rank).or_default().push_back((slot, quantity));
            self.check();
            Some(slot)
        }

        fn remove(&mut self, slot: u32) {
            let rank = self.book.rank(self.arena.order(slot).price());
            let (order, entries) = self.arena.remove(slot);
            self.book.unlink(entries, &order);
            let queue = self.model.get_mut(&rank).expect("it was placed");
            queue.retain(|(other, _)| *other != slot);
            if queue.is_empty() {
                self.model.remove(&rank);
            }
            self.check();
        }

        /// Takes one lot off, if more remain.
        fn reduce(&mut self, slot: u32) {
            if self.arena.order(slot).remaining() == Lots(1) {
                return;
            }
            let rank = self.book.rank(self.arena.order(slot).price());
            self.book.reduce(self.arena.order_mut(slot), Lots(1));
            let queue = self.model.get_mut(&rank).expect("it was placed");
            queue.iter_mut().filter(|(other, _)| *other == slot).for_each(|(_, left)| *left -= 1);
            self.check();
        }

        fn slots(&self) -> Vec<u32> {
            self.model.values().flatten().map(|(slot, _)| *slot).collect()
        }

        /// Best, levels, totals, and the orders of each level with what is left of them.
        fn check(&self) {
            let price = |rank: u64| Ticks(rank ^ self.book.mask);
            let best = self.model.last_key_value();
            assert_eq!(self.book.best_price(), best.map(|(rank, _)| price(*rank)));
            let first = best.and_then(|(_, queue)| queue.front()).map(|(slot, _)| *slot);
            if let Some(best) = self.book.best_price() {
                assert_eq!(self.book.first_within(best), first);
                assert_eq!(
                    self.book.first_within(price(self.book.rank(best) + 1)),
                    None,
                    "a better limit reaches none"
                );
            }
            assert_eq!(self.book.count() as usize, self.model.len());
            let mut levels = self.book.levels();
            for (rank, queue) in self.model.iter().rev() {
                let (found, level) = levels.next().expect("as many levels");
                assert_eq!((found, level.count as usize), (price(*rank), queue.len()));
                assert_eq!(level.total.0, queue.iter().map(|(_, left)| left).sum::<u64>());
                let mut slot = level.head;
                for (expected, left) in queue {
                    assert_eq!((slot, self.arena.order(slot).remaining()), (*expected, Lots(*left)));
                    slot = self.arena.order(slot).next;
                }
                assert_eq!(slot, NOBODY);
            }
            assert!(levels.next().is_none());
        }
    }

    /// Prices near a market that may be anywhere, and far from it.
    fn price() -> impl Strategy<Value = u64> {
        prop_oneof![
            8 => 9_900_u64..10_100,
            3 => 9_000_u64..11_000,
            1 => 1_u64..300,
            1 => u64::MAX - 300..u64::MAX,
            1 => 1..u64::MAX,
        ]
    }

    #[test]
    fn agrees_with_a_sorted_map() {
        let actions = prop::collection::vec((0_u8..10, price(), 1_u64..4, any::<prop::sample::Index>()), 1..400);
        let config = Config { failure_persistence: None, ..Config::with_cases(300) };
        for side in [Side::Bid, Side::Ask] {
            let seed = [0x51; 32];
            println!("{side:?}, seed {seed:?}");
            let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
            let mut runner = TestRunner::new_with_rng(config.clone(), random);
            let result = runner.run(&actions, |actions| {
                let mut pair = Pair::new(side);
                for (action, price, quantity, which) in actions {
                    let slots = pair.slots();
                    match action {
                        0..6 => drop(pair.place(price, quantity)),
                        6 if !slots.is_empty() => pair.reduce(slots[which.index(slots.len())]),
                        // The best order goes, as it does when it trades.
                        7..9 if !slots.is_empty() => {
                            let best = pair.book.best_price().expect("there are orders");
                            pair.remove(pair.book.first_within(best).expect("the best level has orders"));
                        }
                        _ if !slots.is_empty() => pair.remove(slots[which.index(slots.len())]),
                        _ => {}
                    }
                }
                Ok(())
            });
            if let Err(TestError::Fail(reason, actions)) = result {
                panic!("{side:?}: {reason}\n{actions:?}");
            }
            result.expect("the strategy makes values");
        }
    }

    /// The window follows a market that walks both ways and jumps, with levels left behind on both sides of it.
    #[test]
    fn the_window_follows_the_best_price() {
        for side in [Side::Bid, Side::Ask] {
            let mut pair = Pair::new(side);
            let mut placed = VecDeque::new();
            let up = (0..60_u64).map(|step| 100_000 + step * 17);
            let down = (0..60_u64).map(|step| 101_000 - step * 23);
            let jumps = [1, u64::MAX - 1, 50_000, 1 << 40, 64, 63, 127, 128].into_iter();
            for price in up.chain(jumps.clone()).chain(down).chain(jumps) {
                placed.extend(pair.place(price, 2));
                if placed.len() > 40 {
                    pair.remove(placed.pop_front().expect("more than 40"));
                }
            }
            while let Some(slot) = placed.pop_back() {
                pair.remove(slot);
            }
            assert_eq!((pair.book.count(), pair.book.best_price()), (0, None));
        }
    }

    #[test]
    fn the_best_price_is_not_stale_after_a_cancel() {
        let mut pair = Pair::new(Side::Ask);
        let best = pair.place(100, 5).expect("room");
        pair.place(10_000, 5).expect("room");
        let second = pair.place(103, 5).expect("room");
        pair.remove(best);
        assert_eq!(pair.book.best_price(), Some(Ticks(103)));
        pair.remove(second);
        assert_eq!(pair.book.best_price(), Some(Ticks(10_000)), "outside of the window");
        pair.place(101, 1).expect("room");
        assert_eq!(pair.book.best_price(), Some(Ticks(101)));
    }
}
