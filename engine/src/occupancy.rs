//! Which price levels hold orders: a bitmap over a window of ticks, with two summaries above it.
//!
//! A block is 64 neighbouring ticks, one word. A bit of the first summary says that its block holds anything, a bit of
//! the second that its word of the first does, so the next occupied level in either direction is found by looking at no
//! more than six words, however far away it is. The bits stand for price levels, never for orders.
//!
//! Invariant: a summary's bit is set exactly when what it stands for is not zero. Bounds: at most [`MAX_BLOCKS`] blocks,
//! a power of two; 8 bytes and an eighth for each.

use alloc::boxed::Box;
use alloc::vec;

/// Ticks in one block.
pub(crate) const BLOCK_TICKS: u64 = 64;
/// The most blocks: 64 × 64, what two summaries reach.
pub(crate) const MAX_BLOCKS: usize = 4_096;

/// See the module.
#[derive(Debug)]
pub(crate) struct Occupancy {
    /// One word a block.
    blocks: Box<[u64]>,
    /// One bit a block.
    summary: Box<[u64]>,
    /// One bit a word of `summary`.
    top: u64,
}

impl Occupancy {
    /// Nothing is occupied in any of `blocks`.
    pub(crate) fn new(blocks: usize) -> Self {
        assert!(blocks.is_power_of_two() && blocks <= MAX_BLOCKS, "a window is a power of two of at most 4,096 blocks");
        Self {
            blocks: vec![0; blocks].into_boxed_slice(),
            summary: vec![0; blocks.div_ceil(64)].into_boxed_slice(),
            top: 0,
        }
    }

    /// The ticks of a block, the lowest in bit 0.
    pub(crate) fn block(&self, block: usize) -> u64 {
        self.blocks[block]
    }

    /// Marks a tick.
    pub(crate) fn set(&mut self, tick: usize) {
        let (block, word) = (tick / 64, tick / 4_096);
        self.blocks[block] |= bit(tick);
        self.summary[word] |= bit(block);
        self.top |= bit(word);
    }

    /// Clears a tick.
    pub(crate) fn clear(&mut self, tick: usize) {
        let (block, word) = (tick / 64, tick / 4_096);
        self.blocks[block] &= !bit(tick);
        if self.blocks[block] == 0 {
            self.summary[word] &= !bit(block);
            if self.summary[word] == 0 {
                self.top &= !bit(word);
            }
        }
    }

    /// The first occupied block at `from` or behind it, then from the window's other end on; `None` when there is none.
    pub(crate) fn next_block(&self, from: usize) -> Option<usize> {
        let word = from / 64;
        let near = self.summary[word] & (u64::MAX << (from % 64));
        if near != 0 {
            return Some(word * 64 + lowest(near));
        }
        let behind = self.top & (u64::MAX << word) & !bit(word);
        let word = lowest_of(behind).or_else(|| lowest_of(self.top))?;
        Some(word * 64 + lowest(self.summary[word]))
    }

    /// The first occupied block at `from` or before it, then from the window's other end back; `None` when there is none.
    pub(crate) fn previous_block(&self, from: usize) -> Option<usize> {
        let word = from / 64;
        let near = self.summary[word] & (u64::MAX >> (63 - from % 64));
        if near != 0 {
            return Some(word * 64 + highest(near));
        }
        let before = self.top & (u64::MAX >> (63 - word)) & !bit(word);
        let word = highest_of(before).or_else(|| highest_of(self.top))?;
        Some(word * 64 + highest(self.summary[word]))
    }
}

/// The bit of a word that stands for `index`.
const fn bit(index: usize) -> u64 {
    1 << (index % 64)
}

/// The lowest bit of a word that is not zero.
pub(crate) const fn lowest(word: u64) -> usize {
    word.trailing_zeros() as usize
}

/// The highest bit of a word that is not zero.
pub(crate) const fn highest(word: u64) -> usize {
    63 - word.leading_zeros() as usize
}

fn lowest_of(word: u64) -> Option<usize> {
    (word != 0).then(|| lowest(word))
}

fn highest_of(word: u64) -> Option<usize> {
    (word != 0).then(|| highest(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a walk over every block finds.
    fn walk(blocks: usize, occupied: impl Fn(usize) -> bool, order: impl Fn(usize) -> usize) -> Option<usize> {
        (0..blocks).map(order).find(|block| occupied(*block))
    }

    #[test]
    fn edges_of_words_and_window_are_found_in_both_directions() {
        for blocks in [1, 2, 64, 128, 4_096] {
            for block in [0, 1, 63, 64, 65, blocks / 2, blocks - 1].into_iter().filter(|block| *block < blocks) {
                let mut occupancy = Occupancy::new(blocks);
                assert_eq!((occupancy.next_block(block), occupancy.previous_block(block)), (None, None));
                for tick in [block * 64, block * 64 + 63] {
                    occupancy.set(tick);
                    for from in [0, block, blocks - 1] {
                        assert_eq!(occupancy.next_block(from), Some(block), "{blocks} blocks from {from}");
                        assert_eq!(occupancy.previous_block(from), Some(block), "{blocks} blocks from {from}");
                    }
                }
                assert_eq!(occupancy.block(block), 1 | 1 << 63);
                occupancy.clear(block * 64);
                assert_eq!(occupancy.next_block(0), Some(block), "the other tick is still there");
                occupancy.clear(block * 64 + 63);
                assert_eq!((occupancy.next_block(0), occupancy.top), (None, 0), "no summary is left behind");
            }
        }
    }

    #[test]
    fn agrees_with_a_walk_on_random_ticks() {
        let mut state = 0x0cc0_u64;
        println!("seed {state}");
        let mut random = move |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for blocks in [2, 32, 256] {
            let mut occupancy = Occupancy::new(blocks);
            let mut model = vec![0_u64; blocks];
            for _ in 0..4_000 {
                let tick = random(blocks * 64);
                // Mostly empty, so that the search has somewhere to go.
                if random(4) == 0 {
                    occupancy.set(tick);
                    model[tick / 64] |= 1 << (tick % 64);
                } else {
                    let near = random(blocks) * 64..blocks * 64;
                    for tick in near.take(2_048) {
                        occupancy.clear(tick);
                        model[tick / 64] &= !(1 << (tick % 64));
                    }
                }
                let from = random(blocks);
                let occupied = |block: usize| model[block] != 0;
                let (up, down) = (|step| (from + step) % blocks, |step| (from + blocks - step) % blocks);
                assert_eq!(occupancy.next_block(from), walk(blocks, occupied, up));
                assert_eq!(occupancy.previous_block(from), walk(blocks, occupied, down));
            }
        }
    }
}
