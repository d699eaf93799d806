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

use alloc::boxed::Box;
use alloc::vec;

use crate::ids::ClientId;
use crate::prefetch::ask_for;

/// No index.
pub(crate) const NONE: u32 = u32::MAX;

/// Entries of a chunk.
const ENTRIES: usize = 6;
/// Entries of capacity for which there is a chunk.
const CAPACITY_OF_CHUNK: u32 = 4;
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
    /// Chunks less one: the bits of a hash that say where its search begins.
    mask: u32,
}

/// Aligned to its size, so that none lies on two cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
struct Chunk {
    /// The entries' bytes and the overflow count.
    tags: u64,
    indices: [u32; ENTRIES],
}

/// Where an entry stands: entries never move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u32);

impl Place {
    /// Of something that is in no table.
    pub(crate) const NOWHERE: Self = Self(u32::MAX);
    /// Set for an entry that is not in the first chunk of its search.
    const AWAY: u32 = 1 << 31;

    #[inline]
    fn new(chunk: usize, at: usize, is_away: bool) -> Self {
        // At most 2^24 chunks: a table has at most 2^26 entries.
        Self((chunk as u32) << 3 | at as u32 | if is_away { Self::AWAY } else { 0 })
    }

    #[inline]
    const fn position(self) -> (usize, usize) {
        ((self.0 & !Self::AWAY) as usize >> 3, (self.0 & 7) as usize)
    }

    #[inline]
    const fn is_away(self) -> bool {
        self.0 & Self::AWAY != 0
    }
}

impl IndexTable {
    /// The most entries that a table can have.
    pub(crate) const MAX_CAPACITY: u32 = 1 << 26;

    /// A table for at most `capacity` entries.
    pub(crate) fn new(capacity: u32) -> Self {
        assert!(capacity <= Self::MAX_CAPACITY, "the genesis and each market's specification are checked for that");
        let chunks = capacity.div_ceil(CAPACITY_OF_CHUNK).next_power_of_two();
        let vacant = Chunk { tags: 0, indices: [NONE; ENTRIES] };
        Self { chunks: vec![vacant; chunks as usize].into_boxed_slice(), mask: chunks - 1 }
    }

    /// Whether a search for this hash has anything to look at: mostly not where the key is not there.
    #[inline(always)]
    pub(crate) fn may_have(&self, hash: u32) -> bool {
        let word = self.chunks[self.home(hash)].tags;
        zero_bytes(word ^ (tag(hash) * LOW_BITS)) != 0 || word >> OVERFLOW_SHIFT != 0
    }

    /// Asks memory for where a search for this hash begins.
    #[inline(always)]
    pub(crate) fn prefetch(&self, hash: u32) {
        ask_for(self.chunks.get(self.home(hash)));
    }

    /// An index with this hash from where its search begins, which is most probably the one: to ask for what it names.
    #[inline(always)]
    pub(crate) fn candidate(&self, hash: u32) -> Option<u32> {
        let Chunk { tags, indices } = self.chunks.get(self.home(hash))?;
        let candidates = zero_bytes(tags ^ (tag(hash) * LOW_BITS));
        (candidates != 0).then(|| indices[candidates.trailing_zeros() as usize / 8])
    }

    /// The index with this hash for which `is_it` holds. What a search meets first is mostly what it is for, so that is
    /// looked at in line.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let Chunk { tags, indices } = &self.chunks[self.home(hash)];
        let candidates = zero_bytes(tags ^ (tag(hash) * LOW_BITS));
        if candidates != 0 {
            let index = indices[candidates.trailing_zeros() as usize / 8];
            if is_it(index) {
                return Some(index);
            }
        }
        self.search(hash, is_it)
    }

    #[cold]
    fn search(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.entry(hash, is_it).map(|(chunk, at)| self.chunks[chunk].indices[at])
    }

    /// Where the entry with this hash stands for whose index `is_it` holds.
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

    /// Adds `index`, which must not be there, and tells where it stands until it is removed. The owner of a table keeps its
    /// capacity: it counts what it has, and that is not done twice.
    #[inline(always)]
    pub(crate) fn insert(&mut self, hash: u32, index: u32) -> Place {
        let home = self.home(hash);
        match self.put(home, hash, index) {
            Some(at) => Place::new(home, at, false),
            None => self.insert_behind(home, hash, index),
        }
    }

    /// Puts an index into the first chunk behind `full`, which is, that has room.
    #[cold]
    fn insert_behind(&mut self, full: usize, hash: u32, index: u32) -> Place {
        let mut chunk = full;
        for _ in 1..self.chunks.len() {
            let tags = &mut self.chunks[chunk].tags;
            if *tags >> OVERFLOW_SHIFT != OVERFLOW_STUCK {
                *tags += 1 << OVERFLOW_SHIFT;
            }
            chunk = self.behind(chunk);
            if let Some(at) = self.put(chunk, hash, index) {
                return Place::new(chunk, at, true);
            }
        }
        panic!("the owner of a table checks for room first");
    }

    /// Puts an index into a chunk, if that has room, and tells where.
    #[inline(always)]
    fn put(&mut self, chunk: usize, hash: u32, index: u32) -> Option<usize> {
        let Chunk { tags, indices } = &mut self.chunks[chunk];
        let vacant = zero_bytes(*tags);
        if vacant == 0 {
            return None;
        }
        let at = vacant.trailing_zeros() as usize / 8;
        *tags |= tag(hash) << (8 * at);
        indices[at] = index;
        Some(at)
    }

    /// Removes `index`, which must be there under this hash.
    pub(crate) fn remove(&mut self, hash: u32, index: u32) {
        let entry = self.entry(hash, |other| other == index);
        let (chunk, at) = entry.expect("only what was inserted is removed");
        self.vacate(chunk, at);
        self.count_back(hash, chunk);
    }

    /// Removes `index`, which stands at `place`, without a search. Only for one that went on to a later chunk is `hash`
    /// asked for.
    #[inline(always)]
    pub(crate) fn remove_at(&mut self, place: Place, index: u32, hash: impl FnOnce() -> u32) {
        let (chunk, at) = place.position();
        assert!(self.chunks[chunk].indices[at] == index, "an entry stays where it was put");
        self.vacate(chunk, at);
        if place.is_away() {
            self.count_back(hash(), chunk);
        }
    }

    #[inline(always)]
    fn vacate(&mut self, chunk: usize, at: usize) {
        let Chunk { tags, indices } = &mut self.chunks[chunk];
        *tags &= !(0xff << (8 * at));
        indices[at] = NONE;
    }

    /// Counts an entry with this hash out of the chunks that it passed on its way to `found`.
    #[cold]
    fn count_back(&mut self, hash: u32, found: usize) {
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
    #[inline(always)]
    const fn home(&self, hash: u32) -> usize {
        (hash & self.mask) as usize
    }

    #[inline(always)]
    const fn behind(&self, chunk: usize) -> usize {
        (chunk + 1) & self.mask as usize
    }
}

/// An entry's byte, which is never 0: the bits of the hash that a table's size does not use, folded.
#[inline(always)]
const fn tag(hash: u32) -> u64 {
    let folded = (hash >> 24) as u64;
    if folded == 0 { 1 } else { folded }
}

/// The highest bit of each entry's byte that is 0, exactly: the shorter form of this takes a 1 above a 0 for another one,
/// and what stands there may be no entry at all.
#[inline(always)]
const fn zero_bytes(word: u64) -> u64 {
    let low_bits_of_each = HIGH_BITS - LOW_BITS;
    !(((word & low_bits_of_each) + low_bits_of_each) | word) & HIGH_BITS
}

/// Hashes two words under a seed.
#[inline]
pub(crate) fn hash_words(seed: u64, first: u64, second: u64) -> u32 {
    fold(mix(seed, first, second))
}

/// Hashes an order id under secret words, so that four neighbouring sequences share a chunk of a table and eight a cache line
/// of it, and 32 four lines that follow one another: orders that were placed together are mostly looked for together, and soon.
#[inline(always)]
pub(crate) fn hash_sequence(seeds: &Seeds, order_id: u64) -> u32 {
    let chunk = order_id / 256 + order_id % 64 / 4;
    let line = seeds.product((0, chunk / 8), (1, 0));
    let low = (line as u32 & !7) | (chunk % 8) as u32;
    // The highest byte tells the chunk's entries apart, so it comes from the whole id.
    (low & 0x00ff_ffff) | (order_id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56 << 24) as u32
}

/// Secret words of a table's own, from its seed: each word of a key meets another one.
#[derive(Debug)]
pub(crate) struct Seeds([u64; 6]);

impl Seeds {
    pub(crate) fn new(seed: u64) -> Self {
        Self([1, 2, 3, 4, 5, 6].map(|number| mix(seed, number, !number) | 1))
    }

    /// Both halves of the product of two words, each mixed with the secret word of its number first.
    #[inline(always)]
    const fn product(&self, (one, first): (usize, u64), (other, second): (usize, u64)) -> u64 {
        let product = (first ^ self.0[one]) as u128 * (second ^ self.0[other]) as u128;
        (product >> 64) as u64 ^ product as u64
    }
}

/// The part of the hash that is kept.
#[inline(always)]
const fn fold(hash: u64) -> u32 {
    (hash >> 32) as u32 ^ hash as u32
}

/// One 64 × 64 → 128 multiplication, both halves mixed.
#[inline(always)]
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

/// Hashes an account's client id under secret words: all of its words at once, since what stands behind the text is zeroes, so
/// neither a loop nor a branch waits for its length.
#[inline(always)]
pub(crate) fn hash_client_id(seeds: &Seeds, account: u32, client_id: &ClientId) -> u32 {
    let ([first, second, third, fourth], last) = client_id.words();
    let end = u64::from(last) | u64::from(account) << 32;
    let (front, back) = (seeds.product((0, first), (1, second)), seeds.product((2, third), (3, fourth)));
    fold(seeds.product((4, front ^ end), (5, back ^ client_id.length() as u64)))
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
        let mut model = std::collections::BTreeMap::new();
        for _ in 0..200_000 {
            let index = random() % 100;
            let found = table.find(bad_hash(index), |other| {
                assert_ne!(other, NONE, "only entries are asked about");
                other == index
            });
            assert_eq!(found.is_some(), model.contains_key(&index));
            match model.remove(&index) {
                Some(place) if random() % 2 == 0 => table.remove_at(place, index, || bad_hash(index)),
                Some(_) => table.remove(bad_hash(index), index),
                None if model.len() < 64 => drop(model.insert(index, table.insert(bad_hash(index), index))),
                None => {}
            }
        }
        for index in 0..100 {
            assert_eq!(table.find(bad_hash(index), |other| other == index).is_some(), model.contains_key(&index));
        }
    }

    /// Client ids that differ in one byte, in their length or in their account have hashes of their own.
    #[test]
    fn hashes_of_similar_client_ids_differ() {
        let seeds = Seeds::new(42);
        let mut hashes = std::collections::BTreeSet::new();
        let mut count = 0;
        let mut add = |account, text: &str| {
            let client_id = ClientId::new(text).expect("fits");
            count += 1;
            hashes.insert(hash_client_id(&seeds, account, &client_id));
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
