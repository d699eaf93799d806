//! A hash table from keys that live elsewhere to their `u32` index: fixed capacity, no allocation after start.
//!
//! Six entries to a chunk of half a cache line. Its first word tells all that most searches need: a byte of the hash for
//! each entry, 0 where there is none, and in the two highest bytes how many entries of this chunk had to go on to a later
//! one. So a key that is not there is mostly refused without a look at the owner's keys, and what is then inserted stands
//! on the line that was just read. As the count goes down again when entries go, there are no tombstones and never a
//! rehash: an insert costs the same in the millionth hour. The hash is keyed by the journal's own seed, since clients
//! choose ids and digests. Iteration does not exist: no order to leak.
//!
//! Bounds: four entries of capacity to a chunk of 32 bytes, their number rounded up to a power of two.

use crate::ids::ClientId;

/// No index.
pub(crate) const NONE: u32 = u32::MAX;

/// Entries of a chunk.
const ENTRIES: usize = 6;
/// Entries of capacity for which there is a chunk.
const CAPACITY_OF_CHUNK: usize = 4;
/// The count of entries that went on to a later chunk: above all entries' bytes.
const OVERFLOW_SHIFT: u32 = 48;
/// A count that is never lowered again, since it may have been higher.
const OVERFLOW_STUCK: u64 = 0xffff;
/// 1 in each entry's byte.
const LOW_BITS: u64 = 0x0000_0101_0101_0101;
/// The highest bit of each entry's byte.
const HIGH_BITS: u64 = 0x0000_8080_8080_8080;

/// See the module.
#[derive(Debug)]
pub(crate) struct IndexTable {
    chunks: Box<[Chunk]>,
    count: u32,
    capacity: u32,
}

/// Aligned to its size, so that none lies on two cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
struct Chunk {
    /// The entries' bytes and the overflow count.
    tags: u64,
    indices: [u32; ENTRIES],
}

impl IndexTable {
    /// A table for at most `capacity` entries.
    pub(crate) fn new(capacity: u32) -> Self {
        let chunks = (capacity as usize).div_ceil(CAPACITY_OF_CHUNK).next_power_of_two();
        Self {
            chunks: vec![Chunk { tags: 0, indices: [NONE; ENTRIES] }; chunks].into_boxed_slice(),
            count: 0,
            capacity,
        }
    }

    /// The index with this hash for which `is_it` holds.
    #[inline]
    pub(crate) fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.entry(hash, is_it).map(|(chunk, at)| self.chunks[chunk].indices[at])
    }

    /// Where the entry with this hash stands for whose index `is_it` holds.
    #[inline]
    fn entry(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<(usize, usize)> {
        let tag = tag(hash);
        let mut chunk = self.home(hash);
        // An entry is never further away than there are chunks; the counts end the search long before.
        for _ in 0..self.chunks.len() {
            let Chunk { tags: word, indices } = &self.chunks[chunk];
            let mut candidates = zero_bytes(word ^ (tag * LOW_BITS));
            while candidates != 0 {
                let at = candidates.trailing_zeros() as usize / 8;
                if is_it(indices[at]) {
                    return Some((chunk, at));
                }
                candidates &= candidates - 1;
            }
            if word >> OVERFLOW_SHIFT == 0 {
                return None;
            }
            chunk = self.behind(chunk);
        }
        None
    }

    /// Adds `index`, which must not be there. The caller keeps the capacity.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u32, index: u32) {
        assert!(self.count < self.capacity, "the owner of a table checks for room first");
        self.count += 1;
        let mut chunk = self.home(hash);
        loop {
            let Chunk { tags, indices } = &mut self.chunks[chunk];
            let vacant = zero_bytes(*tags);
            if vacant != 0 {
                let at = vacant.trailing_zeros() as usize / 8;
                *tags |= tag(hash) << (8 * at);
                indices[at] = index;
                return;
            }
            if *tags >> OVERFLOW_SHIFT != OVERFLOW_STUCK {
                *tags += 1 << OVERFLOW_SHIFT;
            }
            chunk = self.behind(chunk);
        }
    }

    /// Removes `index`, which must be there under this hash.
    #[inline]
    pub(crate) fn remove(&mut self, hash: u32, index: u32) {
        let entry = self.entry(hash, |other| other == index);
        let (found, at) = entry.expect("only what was inserted is removed");
        self.count -= 1;
        self.chunks[found].tags &= !(0xff << (8 * at));
        self.chunks[found].indices[at] = NONE;
        let mut chunk = self.home(hash);
        while chunk != found {
            let tags = &mut self.chunks[chunk].tags;
            if *tags >> OVERFLOW_SHIFT != OVERFLOW_STUCK {
                *tags -= 1 << OVERFLOW_SHIFT;
            }
            chunk = self.behind(chunk);
        }
    }

    /// The chunk where a search begins.
    #[inline]
    const fn home(&self, hash: u32) -> usize {
        hash as usize & (self.chunks.len() - 1)
    }

    #[inline]
    const fn behind(&self, chunk: usize) -> usize {
        (chunk + 1) & (self.chunks.len() - 1)
    }
}

/// An entry's byte, which is never 0: the bits of the hash that a table's size does not use, folded.
#[inline]
const fn tag(hash: u32) -> u64 {
    let folded = (hash >> 24) as u64;
    if folded == 0 { 1 } else { folded }
}

/// The highest bit of each entry's byte that is 0, exactly: the shorter form of this takes a 1 above a 0 for another one,
/// and what stands there may be no entry at all.
#[inline]
const fn zero_bytes(word: u64) -> u64 {
    let low_bits_of_each = HIGH_BITS - LOW_BITS;
    !(((word & low_bits_of_each) + low_bits_of_each) | word) & HIGH_BITS
}

/// Hashes two words under a seed.
#[inline]
pub(crate) fn hash_words(seed: u64, first: u64, second: u64) -> u32 {
    fold(mix(seed, first, second))
}

/// Hashes an order id under a seed, so that four neighbouring sequences share a chunk of a table and eight a cache line
/// of it, and 32 four lines that follow one another: orders that were placed together are mostly looked for together, and soon.
#[inline]
pub(crate) fn hash_sequence(seed: u64, order_id: u64) -> u32 {
    let (sequence, operation) = (order_id / 64, order_id % 64);
    let chunk = sequence / 4 + operation / 4;
    let line = mix(seed, chunk / 8, operation / 4);
    let low = ((line >> 32) as u32 & !7) | (chunk % 8) as u32;
    // The highest byte tells the chunk's entries apart, so it comes from the whole id.
    (low & 0x00ff_ffff) | (order_id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56 << 24) as u32
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
pub(crate) fn hash_bytes(seed: u64, prefix: u64, bytes: &[u8]) -> u32 {
    let mut hash = mix(seed, prefix, bytes.len() as u64);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = mix(seed, hash, u64::from_le_bytes(word));
    }
    fold(hash)
}

/// Hashes an account's client id under a seed: all of its words at once, since what stands behind the text is zeroes, so
/// neither a loop nor a branch waits for its length.
#[inline]
pub(crate) fn hash_client_id(seed: u64, account: u32, client_id: &ClientId) -> u32 {
    let ([first, second, third, fourth], last) = client_id.words();
    let end = u64::from(last) | (client_id.length() as u64) << 32;
    let (front, back) = (mix(seed, first, second), mix(!seed, third, fourth));
    fold(mix(seed ^ front, back ^ u64::from(account), end))
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
        let bad_hash = |index: u32| (index % 7) | ((index % 3) << 24);
        let mut table = IndexTable::new(64);
        let mut model = std::collections::BTreeSet::new();
        for _ in 0..200_000 {
            let index = random() % 100;
            let found = table.find(bad_hash(index), |other| {
                assert_ne!(other, NONE, "only entries are asked about");
                other == index
            });
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

    /// Client ids that differ in one byte, in their length or in their account have hashes of their own.
    #[test]
    fn hashes_of_similar_client_ids_differ() {
        let mut hashes = std::collections::BTreeSet::new();
        let mut count = 0;
        let mut add = |account, text: &str| {
            let client_id = ClientId::new(text).expect("fits");
            count += 1;
            hashes.insert(hash_client_id(42, account, &client_id));
        };
        for length in 1..=36 {
            let text = "a".repeat(length);
            (0..4).for_each(|account| add(account, &text));
            for at in 0..length {
                for other in ["b", "c", " ", "~"] {
                    add(1, &format!("{}{other}{}", &text[..at], &text[at + 1..]));
                }
            }
        }
        assert_eq!(hashes.len(), count, "of {count} hashes of 32 bits none is expected to be the same");
    }
}
