//! Where a read model's records lie, and the two lists that each may be on.
//!
//! A record never moves, and has links to its neighbours on a list of its account's and on one of everybody's. So a record
//! that comes, changes lists and is forgotten costs no search and no allocation, whatever else there is. Growing adds a
//! chunk and copies nothing: it must not hold the publisher up.
//! Bounds: memory for as many records as there ever were at once. Invariant: a place is given out again only once its
//! record is on no list.

use std::iter::FusedIterator;

/// Where a record lies.
pub(crate) type Place = u32;

/// No place.
const NOWHERE: Place = Place::MAX;
/// Records of one chunk; a power of two.
const CHUNK: usize = 1_024;

/// Which of a record's two pairs of links a list uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chain {
    /// Its account's.
    Own,
    /// Everybody's.
    All,
}

/// A record's neighbours on a list.
#[derive(Clone, Copy, Debug)]
struct Links {
    before: Place,
    after: Place,
}

impl Links {
    const NONE: Self = Self { before: NOWHERE, after: NOWHERE };
}

#[derive(Debug)]
struct Slot<T> {
    record: T,
    own: Links,
    all: Links,
}

impl<T> Slot<T> {
    const fn links(&self, chain: Chain) -> Links {
        match chain {
            Chain::Own => self.own,
            Chain::All => self.all,
        }
    }
}

/// A list of records, oldest first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    chain: Chain,
    first: Place,
    last: Place,
    len: usize,
}

impl List {
    /// Nothing, to be linked by these links.
    pub(crate) const fn new(chain: Chain) -> Self {
        Self { chain, first: NOWHERE, last: NOWHERE, len: 0 }
    }

    /// Records on it.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The oldest.
    pub(crate) const fn first(&self) -> Option<Place> {
        if self.first == NOWHERE { None } else { Some(self.first) }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    chunks: Vec<Vec<Slot<T>>>,
    free: Vec<Place>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slots<T> {
    /// Takes a record in, on no list.
    pub(crate) fn insert(&mut self, record: T) -> Place {
        let slot = Slot { record, own: Links::NONE, all: Links::NONE };
        if let Some(place) = self.free.pop() {
            *self.slot_mut(place) = slot;
            return place;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let full = (self.chunks.len() - 1) * CHUNK;
        let chunk = self.chunks.last_mut().expect("one was pushed where there was none");
        let place = Place::try_from(full + chunk.len()).expect("every read model is bounded far below 2^32 records");
        chunk.push(slot);
        place
    }

    /// Gives back the place of a record, which has been taken off every list.
    pub(crate) fn remove(&mut self, place: Place) {
        self.free.push(place);
    }

    /// The record at a place.
    pub(crate) fn get(&self, place: Place) -> &T {
        &self.slot(place).record
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, place: Place) -> &mut T {
        &mut self.slot_mut(place).record
    }

    /// Puts a record behind all others on a list.
    pub(crate) fn push_back(&mut self, list: &mut List, place: Place) {
        *self.links_mut(place, list.chain) = Links { before: list.last, after: NOWHERE };
        match list.last {
            NOWHERE => list.first = place,
            last => self.links_mut(last, list.chain).after = place,
        }
        list.last = place;
        list.len += 1;
    }

    /// Takes a record off the list that it is on.
    pub(crate) fn unlink(&mut self, list: &mut List, place: Place) {
        let Links { before, after } = std::mem::replace(self.links_mut(place, list.chain), Links::NONE);
        match before {
            NOWHERE => list.first = after,
            before => self.links_mut(before, list.chain).after = after,
        }
        match after {
            NOWHERE => list.last = before,
            after => self.links_mut(after, list.chain).before = before,
        }
        list.len -= 1;
    }

    /// The records of a list, oldest first.
    pub(crate) fn iter<'s>(&'s self, list: &List) -> Iter<'s, T> {
        Iter { slots: self, list: *list }
    }

    fn links_mut(&mut self, place: Place, chain: Chain) -> &mut Links {
        let slot = self.slot_mut(place);
        match chain {
            Chain::Own => &mut slot.own,
            Chain::All => &mut slot.all,
        }
    }

    fn slot(&self, place: Place) -> &Slot<T> {
        &self.chunks[place as usize / CHUNK][place as usize % CHUNK]
    }

    fn slot_mut(&mut self, place: Place) -> &mut Slot<T> {
        &mut self.chunks[place as usize / CHUNK][place as usize % CHUNK]
    }
}

/// The records of a list from both ends.
#[derive(Debug)]
pub(crate) struct Iter<'s, T> {
    slots: &'s Slots<T>,
    /// What is left of it.
    list: List,
}

impl<'s, T> Iterator for Iter<'s, T> {
    type Item = &'s T;

    fn next(&mut self) -> Option<&'s T> {
        self.list.len = self.list.len.checked_sub(1)?;
        let slot = self.slots.slot(self.list.first);
        self.list.first = slot.links(self.list.chain).after;
        Some(&slot.record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.list.len, Some(self.list.len))
    }
}

impl<T> DoubleEndedIterator for Iter<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.list.len = self.list.len.checked_sub(1)?;
        let slot = self.slots.slot(self.list.last);
        self.list.last = slot.links(self.list.chain).before;
        Some(&slot.record)
    }
}

impl<T> ExactSizeIterator for Iter<'_, T> {}
impl<T> FusedIterator for Iter<'_, T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_from_both_ends_and_its_places_are_given_out_again() {
        let mut slots = Slots::default();
        let mut list = List::new(Chain::Own);
        for round in 0..3_u64 {
            let places: Vec<Place> = (0..5_000).map(|number| slots.insert(round * 10_000 + number)).collect();
            places.iter().for_each(|place| slots.push_back(&mut list, *place));
            for place in places.iter().skip(1).step_by(2) {
                slots.unlink(&mut list, *place);
                slots.remove(*place);
            }
            assert_eq!(list.len(), 2_500);
            let mut iter = slots.iter(&list);
            assert_eq!(
                (iter.next(), iter.next_back(), iter.len()),
                (Some(&(round * 10_000)), Some(&(round * 10_000 + 4_998)), 2_498)
            );
            assert!(iter.is_sorted());
            while let Some(first) = list.first() {
                slots.unlink(&mut list, first);
                slots.remove(first);
            }
            assert_eq!((slots.iter(&list).next(), slots.iter(&list).next_back()), (None, None));
            assert_eq!(slots.chunks.len(), 5, "as many as were there at once");
        }
    }
}
