//! A hash table from keys that live elsewhere to their `u32` index: fixed capacity, no allocation after start.
//!
//! Linear probing with the hash kept beside the index, so that a probe touches one array only, and deletion by shifting
//! back, so that there are no tombstones and never a rehash: an insert costs the same in the millionth hour. The hash is
//! keyed by the journal's own seed, since clients choose ids and digests. Iteration does not exist: no order to leak.

/// No index.
pub(crate) const NONE: u32 = u32::MAX;

/// See the module.
#[derive(Debug)]
pub(crate) struct IndexTable {
    slots: Box<[Slot]>,
    mask: usize,
    count: u32,
    capacity: u32,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    index: u32,
}

const VACANT: Slot = Slot { hash: 0, index: NONE };

impl IndexTable {
    /// A table for at most `capacity` entries; it is never more than half full.
    pub(crate) fn new(capacity: u32) -> Self {
        let slots = (capacity as usize * 2).next_power_of_two().max(2);
        Self { slots: vec![VACANT; slots].into_boxed_slice(), mask: slots - 1, count: 0, capacity }
    }

    /// The index with this hash for which `is_it` holds.
    #[inline]
    pub(crate) fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = hash as usize & self.mask;
        loop {
            let slot = self.slots[at];
            if slot.index == NONE {
                return None;
            }
            if slot.hash == hash && is_it(slot.index) {
                return Some(slot.index);
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Adds `index`, which must not be there. The caller keeps the capacity.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u32, index: u32) {
        assert!(self.count < self.capacity, "the owner of a table checks for room first");
        let mut at = hash as usize & self.mask;
        while self.slots[at].index != NONE {
            at = (at + 1) & self.mask;
        }
        self.slots[at] = Slot { hash, index };
        self.count += 1;
    }

    /// Removes `index`, which must be there under this hash.
    #[inline]
    pub(crate) fn remove(&mut self, hash: u32, index: u32) {
        let mut at = hash as usize & self.mask;
        while self.slots[at].index != index {
            assert!(self.slots[at].index != NONE, "only what was inserted is removed");
            at = (at + 1) & self.mask;
        }
        // Close the gap: whatever stands behind it and would be found earlier moves up.
        let mut gap = at;
        loop {
            at = (at + 1) & self.mask;
            let slot = self.slots[at];
            if slot.index == NONE {
                break;
            }
            let home = slot.hash as usize & self.mask;
            if (at.wrapping_sub(home) & self.mask) >= (at.wrapping_sub(gap) & self.mask) {
                self.slots[gap] = slot;
                gap = at;
            }
        }
        self.slots[gap] = VACANT;
        self.count -= 1;
    }
}

/// Hashes two words under a seed.
#[inline]
pub(crate) fn hash_words(seed: u64, first: u64, second: u64) -> u32 {
    fold(mix(seed, first, second))
}

/// Hashes an order id under a seed, so that eight neighbouring sequences stand in one cache line of a table: orders that
/// were placed together are mostly looked for together, and soon. Their lines are spread like any other key's.
#[inline]
pub(crate) fn hash_sequence(seed: u64, order_id: u64) -> u32 {
    let (sequence, operation) = (order_id / 64, order_id % 64);
    let line = (sequence / 8 * 8 + operation / 8) ^ seed;
    let mixed = (line.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32;
    (mixed & !7) | ((sequence + operation) % 8) as u32
}

/// The part of the hash that is kept.
#[inline]
const fn fold(hash: u64) -> u32 {
    (hash >> 32) as u32 ^ hash as u32
}

/// One 64 × 64 → 128 multiplication, both halves mixed.
#[inline]
fn mix(seed: u64, first: u64, second: u64) -> u64 {
    let product = u128::from(first ^ seed) * u128::from(second ^ seed.rotate_left(32) ^ 0x9e37_79b9_7f4a_7c15);
    let mixed = (product >> 64) as u64 ^ product as u64;
    (mixed ^ first.rotate_left(17) ^ second).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

/// Hashes bytes under a seed, eight at a time.
#[inline]
pub(crate) fn hash_bytes(seed: u64, prefix: u64, bytes: &[u8]) -> u32 {
    let mut hash = mix(seed, prefix, bytes.len() as u64);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = mix(seed, hash, u64::from_le_bytes(word));
    }
    fold(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million random inserts and removals against a plain map, with hashes bad enough to collide all the time.
    #[test]
    fn behaves_like_a_map_under_collisions() {
        let seed = 0x5eed_u64;
        println!("seed {seed}");
        let mut state = seed;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u32
        };
        let bad_hash = |index: u32| index % 7;
        let mut table = IndexTable::new(64);
        let mut model = std::collections::BTreeSet::new();
        for _ in 0..200_000 {
            let index = random() % 100;
            let found = table.find(bad_hash(index), |other| other == index);
            assert_eq!(found.is_some(), model.contains(&index));
            if model.remove(&index) {
                table.remove(bad_hash(index), index);
            } else if model.len() < 64 {
                model.insert(index);
                table.insert(bad_hash(index), index);
            }
        }
        for index in 0..100 {
            assert_eq!(table.find(bad_hash(index), |other| other == index).is_some(), model.contains(&index));
        }
    }
}
