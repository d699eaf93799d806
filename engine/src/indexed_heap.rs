//! What comes next by key: a binary heap of (key, tie-break, slot) that also finds an entry by its slot.
//!
//! Deadlines, trigger prices and timers are all of this kind: the smallest key is looked at all the time, any entry may
//! leave at any time because its order was cancelled. A position a slot makes leaving as cheap as popping. The order in
//! which entries come out depends on (key, tie-break) alone, which no two entries share, so a heap that was rebuilt
//! from a snapshot says the same. Memory: 28 bytes a slot, taken at the start; no allocation later.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::index_table::NONE;

/// One entry. `key` decides; of two alike the lower `tie_break`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) key: u64,
    pub(crate) tie_break: u64,
    pub(crate) slot: u32,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct IndexedHeap {
    entries: Vec<Entry>,
    /// By slot: where its entry stands, or [`NONE`].
    positions: Box<[u32]>,
}

impl IndexedHeap {
    /// A heap over the slots below `slots`.
    pub(crate) fn new(slots: u32) -> Self {
        let entries = Vec::with_capacity(slots as usize);
        Self { entries, positions: vec![NONE; slots as usize].into_boxed_slice() }
    }

    /// The entry that comes next.
    pub(crate) fn first(&self) -> Option<Entry> {
        self.entries.first().copied()
    }

    /// Entries that there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The slots that have an entry, in no order that means anything.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().map(|entry| entry.slot)
    }

    /// Adds the entry, or moves the one of its slot to the new key.
    pub(crate) fn set(&mut self, entry: Entry) {
        self.remove(entry.slot);
        self.entries.push(entry);
        self.rise(self.entries.len() - 1);
    }

    /// Takes the slot's entry out, if it has one.
    pub(crate) fn remove(&mut self, slot: u32) {
        let at = self.positions[slot as usize];
        if at == NONE {
            return;
        }
        self.positions[slot as usize] = NONE;
        let at = at as usize;
        let last = self.entries.pop().expect("an entry that has a position is there");
        if at == self.entries.len() {
            return;
        }
        self.entries[at] = last;
        self.sink(at);
        self.rise(at);
    }

    /// Moves the entry at `at` towards the front until its parent comes before it.
    fn rise(&mut self, mut at: usize) {
        let entry = self.entries[at];
        while at > 0 && entry < self.entries[(at - 1) / 2] {
            self.place(self.entries[(at - 1) / 2], at);
            at = (at - 1) / 2;
        }
        self.place(entry, at);
    }

    /// Moves the entry at `at` towards the back until it comes before its children.
    fn sink(&mut self, mut at: usize) {
        let entry = self.entries[at];
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let child = match self.entries.get(right) {
                Some(other) if *other < self.entries[left] => right,
                _ => left,
            };
            match self.entries.get(child) {
                Some(next) if *next < entry => {
                    self.place(*next, at);
                    at = child;
                }
                _ => break,
            }
        }
        self.place(entry, at);
    }

    fn place(&mut self, entry: Entry, at: usize) {
        self.entries[at] = entry;
        self.positions[entry.slot as usize] = u32::try_from(at).expect("fewer entries than slots, a u32");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Many random sets and removals against a sorted set.
    #[test]
    fn behaves_like_a_sorted_set() {
        let seed = 0x5eed_u64;
        println!("seed {seed}");
        let mut state = seed;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        let mut heap = IndexedHeap::new(64);
        let mut model = std::collections::BTreeSet::new();
        for _ in 0..100_000 {
            let slot = u32::try_from(random(64)).expect("small");
            model.retain(|entry: &Entry| entry.slot != slot);
            if random(3) == 0 {
                heap.remove(slot);
            } else {
                let entry = Entry { key: random(10), tie_break: random(5), slot };
                heap.set(entry);
                model.insert(entry);
            }
            assert_eq!((heap.first(), heap.len()), (model.first().copied(), model.len()));
        }
        while let Some(entry) = heap.first() {
            assert_eq!(model.pop_first(), Some(entry), "they leave in order");
            heap.remove(entry.slot);
        }
        assert!(model.is_empty());
    }
}
