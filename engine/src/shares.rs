//! Tables that all owners share, and how much of one each may have.
//!
//! Nobody holds more than the part of a table that the genesis says, a 64th in a venue for many; and once three quarters
//! of it are taken, only who has less than a fair share gets more: an equal part for each owner that holds anything. So
//! one owner fills no table, and many small ones leave the last quarter to those who come later. What the part comes to in
//! a table that is very small is one entry at least. A genesis that says one part says that there are no others to share
//! with, and neither rule holds.

/// A table with so much room, of which so much is taken, and nobody may have more than one part in `parts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SharedTable {
    pub(crate) capacity: u32,
    pub(crate) used: u32,
    pub(crate) parts: u16,
}

impl SharedTable {
    /// Whether an owner may come to hold `mine` entries, one of `holders` who then hold any. That there is room is looked at
    /// elsewhere.
    #[inline]
    pub(crate) fn has_room_for(self, mine: u32, holders: u32) -> bool {
        self.parts == 1 || (mine <= self.most_of_one() && self.has_room_for_at_most(mine, holders))
    }

    /// The same for a table in which what one owner holds is not counted, only bounded by `at_most`: then nobody is kept out
    /// before it is crowded.
    #[inline]
    pub(crate) fn has_room_for_at_most(self, at_most: u32, holders: u32) -> bool {
        self.parts == 1 || !self.is_crowded() || at_most <= self.fair_share(holders)
    }

    /// What one owner may have.
    fn most_of_one(self) -> u32 {
        (self.capacity / u32::from(self.parts)).max(1)
    }

    /// Whether three quarters are taken.
    fn is_crowded(self) -> bool {
        u64::from(self.used) * 4 >= u64::from(self.capacity) * 3
    }

    /// An equal part for each holder, one entry at least.
    fn fair_share(self, holders: u32) -> u32 {
        (self.capacity / holders.max(1)).max(1)
    }
}

/// Up to where in a market no rule of a shared table stands against an order, worked out once: what nearly every order
/// is answered with, in three comparisons.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FreeRoom {
    /// Orders of one owner below which he may have one more.
    own: u32,
    /// Orders of all below which the book is not crowded.
    orders: u32,
    /// Levels of a side below which it is not crowded.
    levels: u32,
}

impl FreeRoom {
    /// Of a market with room for so many orders and levels a side.
    pub(crate) fn new(max_orders: u32, max_levels: u32, parts: u16) -> Self {
        let uncrowded = |capacity: u32| capacity - capacity / 4;
        let table = SharedTable { capacity: max_orders, used: 0, parts };
        Self { own: table.most_of_one(), orders: uncrowded(max_orders), levels: uncrowded(max_levels) }
    }

    /// Whether an owner of `own` orders, the only ones of his, may have one more.
    #[inline(always)]
    pub(crate) const fn has(self, own: u32, orders: u32, levels: u32) -> bool {
        own < self.own && orders < self.orders && levels < self.levels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_holds_more_than_a_64th() {
        let table = SharedTable { capacity: 65_536, used: 0, parts: 64 };
        assert!(table.has_room_for(1_024, 1) && !table.has_room_for(1_025, 1));
        let small = SharedTable { capacity: 63, used: 0, parts: 64 };
        assert!(small.has_room_for(1, 1) && !small.has_room_for(2, 1));
        let alone = SharedTable { capacity: 63, used: 62, parts: 1 };
        assert!(alone.has_room_for(63, 9));
    }

    /// Where it says yes, the rules say yes.
    #[test]
    fn free_room_is_room_by_the_rules() {
        for (max_orders, max_levels, parts) in [(64, 5, 64), (63, 7, 64), (1_000, 100, 16), (6, 3, 2), (1, 1, 1_024)] {
            let room = FreeRoom::new(max_orders, max_levels, parts);
            for (own, others, levels) in
                (0..20).flat_map(|own| (0..1_000).map(move |others| (own, others, others % 101)))
            {
                let orders = SharedTable { capacity: max_orders, used: own + others, parts };
                let side = SharedTable { capacity: max_levels, used: levels, parts };
                let by_rules = orders.has_room_for(own + 1, 9) && side.has_room_for_at_most(own + 1, 9);
                assert!(by_rules || !room.has(own, own + others, levels), "{max_orders} {own} {others} {levels}");
            }
        }
        assert!(FreeRoom::new(6_400, 100, 64).has(99, 4_799, 74) && !FreeRoom::new(6_400, 100, 64).has(99, 4_800, 74));
    }

    #[test]
    fn in_a_crowded_table_only_who_has_less_than_a_fair_share_gets_more() {
        let table = |used| SharedTable { capacity: 6_400, used, parts: 64 };
        assert!(table(4_799).has_room_for(100, 128), "not crowded yet");
        assert!(table(4_800).has_room_for(50, 128) && !table(4_800).has_room_for(51, 128));
        assert!(table(4_800).has_room_for(1, 1 << 20), "who has nothing gets one");
        assert!(table(4_799).has_room_for_at_most(6_000, 128) && !table(4_800).has_room_for_at_most(51, 128));
    }
}
