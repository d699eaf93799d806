//! A hash table from what stands in a read model's records to their places.
//!
//! It keeps 32 bits of each hash beside the place, eight entries to a line of the cache, so a look-up reads one line of it
//! and then the record that is wanted, and growing reads no record. Linear probing; a removal moves later entries of its
//! run back, so there are no tombstones to be swept. It is divided into [`SHARDS`] tables that grow one by one, each a
//! few thousand entries at a time: one table of all orders held the publisher up for milliseconds whenever it grew.
//!
//! Bounds: as many entries as there ever were at once, at most half of the room full: beyond that the runs, which every
//! look-up for something new goes through to their end, soon grow long. Whoever asks compares the
//! records themselves: two of one hash are two entries.

use prefetch_index::prefetch_index;

use crate::slots::Place;

/// Tables; a power of two. The highest bits of a hash name one.
const SHARDS: usize = 1 << SHARD_BITS;
const SHARD_BITS: u32 = 6;
/// Entries of a table at first; a power of two.
const FIRST_CAPACITY: usize = 8;
/// No place: an empty entry.
const EMPTY: Entry = Entry { hash: 0, place: Place::MAX };

/// See the module.
#[derive(Debug)]
pub(crate) struct PlaceTable {
    shards: Vec<Shard>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    hash: u32,
    place: Place,
}

#[derive(Clone, Debug, Default)]
struct Shard {
    /// None, or a power of two of them, of which some are empty.
    entries: Vec<Entry>,
    len: usize,
}

impl Default for PlaceTable {
    fn default() -> Self {
        Self { shards: vec![Shard::default(); SHARDS] }
    }
}

impl PlaceTable {
    /// Entries that there are.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.len).sum()
    }

    /// All of them, in no order.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        let entries = self.shards.iter().flat_map(|shard| &shard.entries);
        entries.map(|entry| entry.place).filter(|place| *place != EMPTY.place)
    }

    /// The place with this hash that is the wanted one, as `is_wanted` says.
    pub(crate) fn find(&self, hash: u32, is_wanted: impl FnMut(Place) -> bool) -> Option<Place> {
        let shard = &self.shards[shard_of(hash)];
        shard.position(hash, is_wanted).map(|position| shard.entries[position].place)
    }

    /// Asks for the line where a place with this hash stands or will stand, and does not wait for it.
    pub(crate) fn prefetch(&self, hash: u32) {
        let entries = &self.shards[shard_of(hash)].entries;
        prefetch_index(entries, hash as usize & entries.len().wrapping_sub(1));
    }

    /// A place with this hash, which is most probably the wanted one: to ask for what lies there.
    pub(crate) fn candidate(&self, hash: u32) -> Option<Place> {
        self.find(hash, |_| true)
    }

    /// Adds a place.
    pub(crate) fn insert(&mut self, hash: u32, place: Place) {
        self.shards[shard_of(hash)].insert(Entry { hash, place });
    }

    /// Puts `place` where the place with this hash stands that `is_same` says is the same, or adds it.
    pub(crate) fn replace(&mut self, hash: u32, place: Place, is_same: impl FnMut(Place) -> bool) {
        let shard = &mut self.shards[shard_of(hash)];
        match shard.position(hash, is_same) {
            Some(position) => shard.entries[position].place = place,
            None => shard.insert(Entry { hash, place }),
        }
    }

    /// Takes a place out, if it is there.
    pub(crate) fn remove(&mut self, hash: u32, place: Place) {
        self.shards[shard_of(hash)].remove(hash, place);
    }
}

const fn shard_of(hash: u32) -> usize {
    (hash >> (u32::BITS - SHARD_BITS)) as usize
}

impl Shard {
    /// Where the entry of this hash stands that is the wanted one.
    fn position(&self, hash: u32, mut is_wanted: impl FnMut(Place) -> bool) -> Option<usize> {
        let mask = self.entries.len().checked_sub(1)?;
        let mut position = hash as usize & mask;
        loop {
            let entry = self.entries[position];
            if entry.place == EMPTY.place {
                return None;
            }
            if entry.hash == hash && is_wanted(entry.place) {
                return Some(position);
            }
            position = (position + 1) & mask;
        }
    }

    fn insert(&mut self, entry: Entry) {
        if (self.len + 1) * 2 > self.entries.len() {
            let room = (self.entries.len() * 2).max(FIRST_CAPACITY);
            let entries = std::mem::replace(&mut self.entries, vec![EMPTY; room]);
            entries.into_iter().filter(|entry| entry.place != EMPTY.place).for_each(|entry| self.put(entry));
        }
        self.put(entry);
        self.len += 1;
    }

    /// Puts an entry into the first empty place of its run; there is room.
    fn put(&mut self, entry: Entry) {
        let mask = self.entries.len() - 1;
        let mut position = entry.hash as usize & mask;
        while self.entries[position].place != EMPTY.place {
            position = (position + 1) & mask;
        }
        self.entries[position] = entry;
    }

    fn remove(&mut self, hash: u32, place: Place) {
        let Some(mut hole) = self.position(hash, |other| other == place) else { return };
        self.len -= 1;
        let mask = self.entries.len() - 1;
        let mut position = hole;
        loop {
            position = (position + 1) & mask;
            let entry = self.entries[position];
            if entry.place == EMPTY.place {
                break;
            }
            // An entry may move back as far as where it belongs.
            let (from_home, from_hole) = (position.wrapping_sub(entry.hash as usize), position.wrapping_sub(hole));
            if from_home & mask >= from_hole & mask {
                self.entries[hole] = entry;
                hole = position;
            }
        }
        self.entries[hole] = EMPTY;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against the standard map, with hashes so alike that runs are long and go round the end.
        #[test]
        fn it_has_what_was_put_in_and_not_taken_out(
            steps in prop::collection::vec((any::<bool>(), 0..4_u32, 0..40_u32), 1..2_000),
        ) {
            let hash_of = |shard: u32, key: u32| (shard << 30) | (0xfffc + (key & 7));
            let mut table = PlaceTable::default();
            let mut model: HashMap<(u32, u32), Place> = HashMap::new();
            for (step, (comes, shard, key)) in steps.into_iter().enumerate() {
                let (hash, place) = (hash_of(shard, key), Place::try_from(step).unwrap());
                let known = model.get(&(shard, key)).copied();
                prop_assert_eq!(table.find(hash, |other| Some(other) == known), known);
                match (comes, known) {
                    (true, Some(_)) => table.replace(hash, place, |other| Some(other) == known),
                    (true, None) => table.insert(hash, place),
                    (false, Some(known)) => table.remove(hash, known),
                    (false, None) => table.remove(hash, place),
                }
                if comes { model.insert((shard, key), place); } else { model.remove(&(shard, key)); }
                prop_assert_eq!(table.len(), model.len());
            }
            for ((shard, key), place) in &model {
                prop_assert_eq!(table.find(hash_of(*shard, *key), |other| other == *place), Some(*place));
            }
        }
    }

    #[test]
    fn growing_keeps_everything() {
        let mut table = PlaceTable::default();
        let hash = |place: Place| place.wrapping_mul(0x9e37_79b9);
        (0..100_000).for_each(|place| table.insert(hash(place), place));
        assert!((0..100_000).all(|place| table.find(hash(place), |other| other == place) == Some(place)));
        (0..100_000).step_by(2).for_each(|place| table.remove(hash(place), place));
        assert_eq!(table.len(), 50_000);
        assert!(
            (0..100_000).all(|place| table.find(hash(place), |other| other == place).is_some() == (place % 2 == 1))
        );
    }
}
