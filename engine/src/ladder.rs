//! The price levels of one side by rank, of which the highest is the best: an array over a window of ticks, and two
//! sorted stacks for what lies outside of it.
//!
//! In the window a level stands at its rank's low bits, so finding it is one masked index, and a bitmap
//! ([`Occupancy`]) finds the next one. Outside, the levels below the window are sorted upwards and those above it
//! downwards, so that what is next to the window is at the end of both. An order knows its price alone, so a level can
//! move between window and stack without one of its orders being touched.
//!
//! The window follows the best level, which it wants a quarter below its top. It never moves for its own sake: when a
//! level is opened or closed and the best one is far from there, it takes one step, which moves at most one block (64
//! levels) out of the window and one in, over whatever gap lies between. A market that jumped is caught up with in as
//! many such commands as it has occupied blocks on the way; until then levels are found in the stacks by binary search.
//!
//! Bounds: `max_levels` levels. The window holds the next power of two of ticks, 4,096 at least and 262,144 at most, 24
//! bytes each; the two stacks 32 bytes for each level that there can be, of which each has an order. One level opened or closed outside of the window moves at most
//! `max_levels` entries of a stack.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::occupancy::{BLOCK_TICKS, MAX_BLOCKS, Occupancy, highest, lowest};
use crate::price_level::PriceLevel;

/// The fewest blocks of a window that [`Ladder::new`] makes.
const MIN_BLOCKS: usize = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct Ladder {
    /// The window: the level of `rank` at `rank % levels.len()`.
    levels: Box<[PriceLevel]>,
    occupancy: Occupancy,
    /// The lowest rank of the window, a multiple of [`BLOCK_TICKS`].
    base: u64,
    /// The highest rank that has orders; 0 when there is none.
    best: u64,
    count: u32,
    max_levels: u32,
    /// Elsewhere, so that all that is always needed of a side lies on two cache lines and its place is a shift.
    stacks: Box<Stacks>,
}

/// The levels outside of the window.
#[derive(Debug)]
struct Stacks {
    /// Ascending: the end is next to the window.
    below: Vec<OutsideLevel>,
    /// Descending: the end is next to the window.
    above: Vec<OutsideLevel>,
}

/// A level outside of the window.
#[derive(Clone, Copy, Debug)]
struct OutsideLevel {
    rank: u64,
    level: PriceLevel,
}

impl Ladder {
    /// A ladder for the levels of at most `max_orders` orders.
    pub(crate) fn new(max_levels: u32, max_orders: u32) -> Self {
        let blocks = (max_levels as usize).div_ceil(64).clamp(MIN_BLOCKS, MAX_BLOCKS).next_power_of_two();
        Self::with_window(blocks, max_levels.min(max_orders))
    }

    /// A ladder with a window of `blocks` × 64 ticks.
    pub(crate) fn with_window(blocks: usize, max_levels: u32) -> Self {
        // An empty level is all zeros, and a compiler that knows it asks the system for zeros: memory that is only there once
        // a command writes to it. So it must not know.
        let empty = core::hint::black_box(PriceLevel::EMPTY);
        Self {
            levels: vec![empty; blocks * 64].into_boxed_slice(),
            occupancy: Occupancy::new(blocks),
            base: 0,
            best: 0,
            count: 0,
            max_levels,
            stacks: Box::new(Stacks {
                below: Vec::with_capacity(max_levels as usize),
                above: Vec::with_capacity(max_levels as usize),
            }),
        }
    }

    /// Levels that there are.
    pub(crate) const fn count(&self) -> u32 {
        self.count
    }

    /// The best rank, 0 when there is no level.
    #[inline]
    pub(crate) const fn best(&self) -> u64 {
        self.best
    }

    /// True when a level at `rank` would be one too many.
    #[inline(always)]
    pub(crate) fn lacks_room_for(&self, rank: u64) -> bool {
        self.count == self.max_levels && self.level(rank).is_none_or(PriceLevel::is_empty)
    }

    /// The level at `rank`; in the window there is one for each rank, which may be empty.
    #[inline(always)]
    pub(crate) fn level(&self, rank: u64) -> Option<&PriceLevel> {
        if self.is_in_window(rank) {
            return Some(&self.levels[self.index(rank)]);
        }
        self.outside(rank)
    }

    /// The level at `rank`, if that is in the window, where a look costs one line at most.
    #[inline(always)]
    pub(crate) fn level_in_window(&self, rank: u64) -> Option<&PriceLevel> {
        if self.is_in_window(rank) { self.levels.get(self.index(rank)) } else { None }
    }

    /// The level at `rank`, which has orders.
    #[inline(always)]
    pub(crate) fn level_mut(&mut self, rank: u64) -> &mut PriceLevel {
        if self.is_in_window(rank) {
            let index = self.index(rank);
            return &mut self.levels[index];
        }
        self.outside_mut(rank)
    }

    /// The level at `rank`, which is opened if it has no orders; the caller has checked for room and adds one.
    #[inline(always)]
    pub(crate) fn level_to_join(&mut self, rank: u64) -> &mut PriceLevel {
        if self.is_in_window(rank) {
            let index = self.index(rank);
            if !self.levels[index].is_empty() {
                return &mut self.levels[index];
            }
        }
        self.level_to_open(rank)
    }

    /// The same for a level that has no orders yet or is outside of the window.
    #[cold]
    #[inline(never)]
    fn level_to_open(&mut self, rank: u64) -> &mut PriceLevel {
        if self.level(rank).is_none_or(PriceLevel::is_empty) {
            self.open(rank);
        }
        self.level_mut(rank)
    }

    /// Puts a level in.
    fn open(&mut self, rank: u64) {
        assert!(rank != 0 && self.count < self.max_levels, "validation checks price and room first");
        if self.count == 0 {
            self.base = self.base_for(rank);
        }
        self.count += 1;
        if self.is_in_window(rank) {
            self.occupancy.set(self.index(rank));
            if rank > self.best {
                self.best = rank;
                self.follow_best();
            }
        } else {
            self.open_outside(rank);
        }
    }

    /// Takes out the level at `rank`, whose last order is gone.
    #[inline]
    pub(crate) fn close(&mut self, rank: u64) {
        self.count -= 1;
        if self.is_in_window(rank) {
            self.occupancy.clear(self.index(rank));
        } else {
            self.close_outside(rank);
        }
        if rank == self.best {
            self.best = self.highest();
            self.follow_best();
        }
    }

    /// The ranks that have orders, from the best on.
    pub(crate) fn ranks(&self) -> impl Iterator<Item = u64> + use<'_> {
        let above = self.stacks.above.iter().map(|outside| outside.rank);
        let below = self.stacks.below.iter().rev().map(|outside| outside.rank);
        above.chain(self.ranks_in_window()).chain(below)
    }

    fn ranks_in_window(&self) -> impl Iterator<Item = u64> + use<'_> {
        let last = self.blocks() - 1;
        core::iter::successors(self.highest_block(last), |block| self.highest_block(block.checked_sub(1)?)).flat_map(
            move |block| {
                let mut ticks = self.occupancy.block(self.block_index(self.base + block as u64 * BLOCK_TICKS));
                core::iter::from_fn(move || {
                    let tick = (ticks != 0).then(|| highest(ticks))?;
                    ticks &= !(1 << tick);
                    Some(self.base + block as u64 * BLOCK_TICKS + tick as u64)
                })
            },
        )
    }

    #[inline(always)]
    const fn is_in_window(&self, rank: u64) -> bool {
        rank.wrapping_sub(self.base) < self.levels.len() as u64
    }

    /// Where a rank of the window stands.
    #[inline]
    const fn index(&self, rank: u64) -> usize {
        rank as usize & (self.levels.len() - 1)
    }

    const fn blocks(&self) -> usize {
        self.levels.len() / 64
    }

    /// The block of a rank of the window.
    const fn block_index(&self, rank: u64) -> usize {
        self.index(rank) / 64
    }

    /// The highest occupied block at or below the window's block `from`, both counted from the window's base.
    fn highest_block(&self, from: usize) -> Option<usize> {
        let found = self.occupancy.previous_block(self.block_index(self.base + from as u64 * BLOCK_TICKS))?;
        let from_base = found.wrapping_sub(self.block_index(self.base)) & (self.blocks() - 1);
        // Behind the window's base the search goes on at its top, where what it finds is none of what was asked for.
        (from_base <= from).then_some(from_base)
    }

    /// The lowest occupied rank's block, as its first rank.
    fn lowest_occupied(&self) -> Option<u64> {
        let base = self.block_index(self.base);
        let block = self.occupancy.next_block(base)?;
        Some(self.base + (block.wrapping_sub(base) & (self.blocks() - 1)) as u64 * BLOCK_TICKS)
    }

    /// The highest rank that has orders.
    fn highest(&self) -> u64 {
        if let Some(outside) = self.stacks.above.first() {
            return outside.rank;
        }
        match self.highest_block(self.blocks() - 1) {
            Some(block) => {
                let first = self.base + block as u64 * BLOCK_TICKS;
                first + highest(self.occupancy.block(self.block_index(first))) as u64
            }
            None => self.stacks.below.last().map_or(0, |outside| outside.rank),
        }
    }

    /// Where the window should begin for `rank` to stand a quarter below its top.
    fn base_for(&self, rank: u64) -> u64 {
        let ticks = self.levels.len() as u64;
        let base = (rank - rank % BLOCK_TICKS).saturating_sub(ticks / 4 * 3);
        base.min(0_u64.wrapping_sub(ticks))
    }

    /// Takes a step if the best level is not in the upper half of the window, or is near its top.
    #[inline]
    fn follow_best(&mut self) {
        let ticks = self.levels.len() as u64;
        let offset = self.best.wrapping_sub(self.base);
        let is_well_placed = offset >= ticks / 2 && offset < ticks - ticks / 8;
        if !is_well_placed && self.best != 0 {
            self.step_to(self.base_for(self.best));
        }
    }

    /// One step of the window towards `target`; see the module.
    #[cold]
    fn step_to(&mut self, target: u64) {
        if target > self.base {
            self.step_up(target);
        } else if target < self.base {
            self.step_down(target);
        }
    }

    fn step_up(&mut self, target: u64) {
        let last_block = self.levels.len() as u64 - BLOCK_TICKS;
        // No further than to where the next block above comes in, and then no further than to where the second lowest
        // block would go out. What goes out is below the new base for certain only when both are known.
        let next = self.stacks.above.last().map(|outside| outside.rank - outside.rank % BLOCK_TICKS);
        let mut base = next.map_or(target, |next| target.min(next - last_block));
        if let Some(first) = self.lowest_occupied().filter(|first| *first < base) {
            self.move_out_below(first);
            base = self.lowest_occupied().map_or(base, |second| second.min(base));
        }
        self.base = base;
        while let Some(outside) = self.stacks.above.pop_if(|outside| outside.rank - base < last_block + BLOCK_TICKS) {
            self.move_in(outside);
        }
    }

    /// Nothing is above the best level, which the target still covers, so nothing has to go.
    fn step_down(&mut self, target: u64) {
        let next = self.stacks.below.last().map_or(0, |outside| outside.rank - outside.rank % BLOCK_TICKS);
        self.base = target.max(next);
        let base = self.base;
        while let Some(outside) = self.stacks.below.pop_if(|outside| outside.rank >= base) {
            self.move_in(outside);
        }
    }

    fn move_in(&mut self, outside: OutsideLevel) {
        let index = self.index(outside.rank);
        self.levels[index] = outside.level;
        self.occupancy.set(index);
    }

    /// Moves the block that begins at the rank `first`, the lowest that is occupied, to the stack below.
    fn move_out_below(&mut self, first: u64) {
        let mut ticks = self.occupancy.block(self.block_index(first));
        while ticks != 0 {
            let rank = first + lowest(ticks) as u64;
            ticks &= ticks - 1;
            let index = self.index(rank);
            self.stacks.below.push(OutsideLevel { rank, level: self.levels[index] });
            self.levels[index] = PriceLevel::EMPTY;
            self.occupancy.clear(index);
        }
    }

    #[cold]
    fn outside(&self, rank: u64) -> Option<&PriceLevel> {
        if rank < self.base {
            find_below(&self.stacks.below, rank).ok().map(|at| &self.stacks.below[at].level)
        } else {
            find_above(&self.stacks.above, rank).ok().map(|at| &self.stacks.above[at].level)
        }
    }

    #[cold]
    fn outside_mut(&mut self, rank: u64) -> &mut PriceLevel {
        let known = "a level that has orders is in the window or in a stack";
        if rank < self.base {
            let at = find_below(&self.stacks.below, rank).expect(known);
            &mut self.stacks.below[at].level
        } else {
            let at = find_above(&self.stacks.above, rank).expect(known);
            &mut self.stacks.above[at].level
        }
    }

    #[cold]
    fn open_outside(&mut self, rank: u64) {
        let outside = OutsideLevel { rank, level: PriceLevel::EMPTY };
        let is_new = "it was looked for";
        if rank < self.base {
            let at = find_below(&self.stacks.below, rank).expect_err(is_new);
            self.stacks.below.insert(at, outside);
        } else {
            let at = find_above(&self.stacks.above, rank).expect_err(is_new);
            self.stacks.above.insert(at, outside);
        }
        self.best = self.best.max(rank);
        self.follow_best();
    }

    #[cold]
    fn close_outside(&mut self, rank: u64) {
        let known = "a level that is closed was open";
        if rank < self.base {
            self.stacks.below.remove(find_below(&self.stacks.below, rank).expect(known));
        } else {
            self.stacks.above.remove(find_above(&self.stacks.above, rank).expect(known));
        }
    }
}

fn find_below(stack: &[OutsideLevel], rank: u64) -> Result<usize, usize> {
    stack.binary_search_by(|outside| outside.rank.cmp(&rank))
}

fn find_above(stack: &[OutsideLevel], rank: u64) -> Result<usize, usize> {
    stack.binary_search_by(|outside| rank.cmp(&outside.rank))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens a level and marks it by its total.
    fn open(ladder: &mut Ladder, rank: u64) {
        let level = ladder.level_to_join(rank);
        assert!(level.is_empty());
        (level.count, level.total.0) = (1, rank);
    }

    fn close(ladder: &mut Ladder, rank: u64) {
        ladder.level_mut(rank).count = 0;
        ladder.close(rank);
    }

    fn check(ladder: &Ladder, expected: &[u64]) {
        assert!(ladder.ranks().eq(expected.iter().copied()), "{:?}", ladder.ranks().collect::<Vec<_>>());
        assert!(expected.iter().all(|rank| ladder.level(*rank).is_some_and(|level| level.total.0 == *rank)));
        assert_eq!(ladder.best(), expected.first().copied().unwrap_or(0));
    }

    #[test]
    fn a_level_keeps_its_orders_when_the_window_moves_over_it() {
        let mut ladder = Ladder::with_window(4, 16);
        open(&mut ladder, 1_000);
        assert!(ladder.is_in_window(1_000) && ladder.base == 960 - 192);
        // Out of the window, which then steps up: the old level is left below.
        open(&mut ladder, 1_500);
        check(&ladder, &[1_500, 1_000]);
        open(&mut ladder, 1_501);
        assert!(ladder.is_in_window(1_501) && !ladder.is_in_window(1_000), "base {}", ladder.base);
        assert_eq!((ladder.stacks.below.len(), ladder.stacks.above.len()), (1, 0));
        check(&ladder, &[1_501, 1_500, 1_000]);
        // Down again, with the level below coming in.
        close(&mut ladder, 1_501);
        close(&mut ladder, 1_500);
        assert!(ladder.is_in_window(1_000) && ladder.stacks.below.is_empty());
        check(&ladder, &[1_000]);
    }

    #[test]
    fn one_step_moves_no_more_than_a_block_each_way() {
        let mut ladder = Ladder::with_window(4, 1_024);
        (0..256).for_each(|rank| open(&mut ladder, 10_048 - rank));
        let below = ladder.stacks.below.len();
        let mut left = below;
        for rank in (10_500..10_800).rev() {
            open(&mut ladder, rank);
            let moved = ladder.stacks.below.len() - left;
            assert!(moved <= 64, "{moved} levels at once");
            left = ladder.stacks.below.len();
        }
        let mut expected: Vec<u64> = (10_500..10_800).rev().collect();
        expected.extend((0..256).map(|rank| 10_048 - rank));
        check(&ladder, &expected);
        assert!(ladder.is_in_window(10_799), "the window has caught up, base {}", ladder.base);
    }

    #[test]
    fn the_ends_of_all_prices_fit() {
        let mut ladder = Ladder::with_window(2, 8);
        for rank in [1, u64::MAX, u64::MAX - 1, 2, 1 << 63] {
            open(&mut ladder, rank);
        }
        check(&ladder, &[u64::MAX, u64::MAX - 1, 1 << 63, 2, 1]);
        for rank in [u64::MAX, u64::MAX - 1, 1 << 63] {
            close(&mut ladder, rank);
        }
        check(&ladder, &[2, 1]);
    }

    #[test]
    #[should_panic(expected = "validation checks price and room first")]
    fn one_level_too_many_is_refused() {
        let mut ladder = Ladder::with_window(1, 2);
        (1..=3).for_each(|rank| open(&mut ladder, rank));
    }
}
