//! The price levels of one side, best last, in one sorted array of (rank, level).
//!
//! The best price is the array's end, so the matching loop and the usual cancel near the top move nothing; a new level
//! deep in the book shifts the array's tail, 16 bytes a level. No allocation after start; at most `capacity` levels.

use crate::command::Side;
use crate::price_level::PriceLevel;
use crate::units::Ticks;

/// See the module.
#[derive(Debug)]
pub(crate) struct BookSide {
    side: Side,
    /// Ascending by rank, so that the best is last.
    ladder: Vec<Rung>,
    levels: Vec<PriceLevel>,
    free: Vec<u32>,
    capacity: u32,
}

#[derive(Clone, Copy, Debug)]
struct Rung {
    rank: u64,
    level: u32,
}

impl BookSide {
    pub(crate) fn new(side: Side, capacity: u32) -> Self {
        let room = capacity as usize;
        Self {
            side,
            ladder: Vec::with_capacity(room),
            levels: Vec::with_capacity(room),
            free: Vec::with_capacity(room),
            capacity,
        }
    }

    /// Higher is better: the price for bids, its complement for asks.
    const fn rank(&self, price: Ticks) -> u64 {
        match self.side {
            Side::Bid => price.0,
            Side::Ask => u64::MAX - price.0,
        }
    }

    /// The best level's number.
    pub(crate) fn best(&self) -> Option<u32> {
        self.ladder.last().map(|rung| rung.level)
    }

    pub(crate) fn level(&self, level: u32) -> &PriceLevel {
        &self.levels[level as usize]
    }

    pub(crate) fn level_mut(&mut self, level: u32) -> &mut PriceLevel {
        &mut self.levels[level as usize]
    }

    /// Levels from the best on.
    pub(crate) fn levels(&self) -> impl Iterator<Item = &PriceLevel> {
        self.ladder.iter().rev().map(|rung| self.level(rung.level))
    }

    /// Levels that there are.
    pub(crate) fn count(&self) -> usize {
        self.ladder.len()
    }

    /// True when an order at `price` would need a level for which there is no room.
    pub(crate) fn lacks_room_for(&self, price: Ticks) -> bool {
        self.ladder.len() == self.capacity as usize && self.find(price).is_err()
    }

    /// The number of the level at `price`, which is made if there is none. The caller has checked for room.
    pub(crate) fn level_at(&mut self, price: Ticks) -> u32 {
        let at = match self.find(price) {
            Ok(at) => return self.ladder[at].level,
            Err(at) => at,
        };
        let level = match self.free.pop() {
            Some(level) => {
                self.levels[level as usize] = PriceLevel::new(price);
                level
            }
            None => {
                assert!(self.levels.len() < self.capacity as usize, "validation checks for room first");
                self.levels.push(PriceLevel::new(price));
                u32::try_from(self.levels.len() - 1).expect("below `capacity`, a u32")
            }
        };
        self.ladder.insert(at, Rung { rank: self.rank(price), level });
        level
    }

    /// Drops the level, which must be empty.
    pub(crate) fn remove_level(&mut self, level: u32) {
        let price = self.level(level).price;
        let at = self.find(price).expect("a level in use is on the ladder");
        self.ladder.remove(at);
        self.free.push(level);
    }

    /// Where the price is on the ladder, or where it belongs.
    fn find(&self, price: Ticks) -> Result<usize, usize> {
        let rank = self.rank(price);
        self.ladder.binary_search_by_key(&rank, |rung| rung.rank)
    }
}
