//! Where a read model's records lie, and the two lists that each may be on.
//!
//! A record never moves, and has links to its neighbours on a list of its account's and on one of everybody's. So a record
//! that comes, changes lists and is forgotten costs no search and no allocation, whatever else there is. Growing adds a
//! chunk and copies nothing: it must not hold the publisher up.
//!
//! Links stand apart from the records, with a key: what it takes to forget a record. By then it has long left every cache,
//! and so have its neighbours, whose links change with its own: reading them in the midst of records of hundreds of bytes
//! was the largest part of what the publisher cost in frames.
//! Bounds: memory for as many records as there ever were at once. Invariant: a place is given out again only once its
//! record is on no list.

use std::iter::FusedIterator;

use prefetch_index::prefetch_index;

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
struct Node<K> {
    key: K,
    own: Links,
    all: Links,
}

impl<K> Node<K> {
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
pub(crate) struct Slots<K, T> {
    nodes: Chunks<Node<K>>,
    records: Chunks<T>,
    free: Vec<Place>,
}

impl<K, T> Default for Slots<K, T> {
    fn default() -> Self {
        Self { nodes: Chunks(Vec::new()), records: Chunks(Vec::new()), free: Vec::new() }
    }
}

/// Values that never move.
#[derive(Debug)]
struct Chunks<V>(Vec<Vec<V>>);

impl<V> Chunks<V> {
    #[inline(always)]
    fn push(&mut self, value: V) -> Place {
        if self.0.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.0.push(Vec::with_capacity(CHUNK));
        }
        let full = (self.0.len() - 1) * CHUNK;
        let chunk = self.0.last_mut().expect("one was pushed where there was none");
        let place = Place::try_from(full + chunk.len()).expect("every read model is bounded far below 2^32 records");
        chunk.push(value);
        place
    }

    fn at(&self, place: Place) -> &V {
        &self.0[place as usize / CHUNK][place as usize % CHUNK]
    }

    /// Asks for the line where a value begins, and does not wait for it.
    fn prefetch(&self, place: Place) {
        if let Some(chunk) = self.0.get(place as usize / CHUNK) {
            prefetch_index(chunk, place as usize % CHUNK);
        }
    }

    #[inline]
    fn at_mut(&mut self, place: Place) -> &mut V {
        &mut self.0[place as usize / CHUNK][place as usize % CHUNK]
    }
}

impl<K, T> Slots<K, T> {
    /// Takes a record in, on no list. In line, so that it is written where it stays: that is memory which no cache has, and
    /// whoever copied the record from where its fields were just written would wait for it.
    #[inline(always)]
    pub(crate) fn insert(&mut self, key: K, record: T) -> Place {
        let node = Node { key, own: Links::NONE, all: Links::NONE };
        if let Some(place) = self.free.pop() {
            *self.nodes.at_mut(place) = node;
            *self.records.at_mut(place) = record;
            return place;
        }
        self.nodes.push(node);
        self.records.push(record)
    }

    /// Gives back the place of a record, which has been taken off every list.
    pub(crate) fn remove(&mut self, place: Place) {
        self.free.push(place);
    }

    /// The places of the next records, as far as they have had one before.
    pub(crate) fn next_places(&self, count: usize) -> impl Iterator<Item = Place> {
        self.free.iter().rev().take(count).copied()
    }

    /// The record at a place.
    pub(crate) fn get(&self, place: Place) -> &T {
        self.records.at(place)
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, place: Place) -> &mut T {
        self.records.at_mut(place)
    }

    /// Reads the neighbours of a record on a list, as [`Self::unlink`] will.
    pub(crate) fn read_ahead(&self, place: Place, chain: Chain) {
        let Links { before, after } = self.nodes.at(place).links(chain);
        self.nodes.prefetch(before);
        self.nodes.prefetch(after);
    }

    /// Asks for the lines of a record, and does not wait for them: of its key and links, its own first one and its last.
    pub(crate) fn prefetch(&self, place: Place) {
        self.nodes.prefetch(place);
        self.records.prefetch(place);
        self.records.prefetch(place.wrapping_add(1));
    }

    /// Asks for the line of a record's key and links, and does not wait for it.
    pub(crate) fn prefetch_node(&self, place: Place) {
        self.nodes.prefetch(place);
    }

    /// The key of the record at a place.
    pub(crate) fn key(&self, place: Place) -> &K {
        &self.nodes.at(place).key
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

    /// The records of a list with their keys, oldest first.
    pub(crate) fn iter<'s>(&'s self, list: &List) -> Iter<'s, K, T> {
        Iter { slots: self, list: *list }
    }

    fn links_mut(&mut self, place: Place, chain: Chain) -> &mut Links {
        let node = self.nodes.at_mut(place);
        match chain {
            Chain::Own => &mut node.own,
            Chain::All => &mut node.all,
        }
    }
}

/// The records of a list from both ends.
#[derive(Debug)]
pub(crate) struct Iter<'s, K, T> {
    slots: &'s Slots<K, T>,
    /// What is left of it.
    list: List,
}

impl<'s, K, T> Iterator for Iter<'s, K, T> {
    type Item = (&'s K, &'s T);

    fn next(&mut self) -> Option<Self::Item> {
        self.list.len = self.list.len.checked_sub(1)?;
        let place = self.list.first;
        let node = self.slots.nodes.at(place);
        self.list.first = node.links(self.list.chain).after;
        Some((&node.key, self.slots.records.at(place)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.list.len, Some(self.list.len))
    }
}

impl<K, T> DoubleEndedIterator for Iter<'_, K, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.list.len = self.list.len.checked_sub(1)?;
        let place = self.list.last;
        let node = self.slots.nodes.at(place);
        self.list.last = node.links(self.list.chain).before;
        Some((&node.key, self.slots.records.at(place)))
    }
}

impl<K, T> ExactSizeIterator for Iter<'_, K, T> {}
impl<K, T> FusedIterator for Iter<'_, K, T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_from_both_ends_and_its_places_are_given_out_again() {
        let mut slots = Slots::default();
        let mut list = List::new(Chain::Own);
        for round in 0..3_u64 {
            let places: Vec<Place> = (0..5_000).map(|number| slots.insert(number, round * 10_000 + number)).collect();
            places.iter().for_each(|place| slots.push_back(&mut list, *place));
            for place in places.iter().skip(1).step_by(2) {
                slots.unlink(&mut list, *place);
                slots.remove(*place);
            }
            assert_eq!(list.len(), 2_500);
            let mut iter = slots.iter(&list).map(|(_, record)| record);
            assert_eq!(
                (iter.next(), iter.next_back(), iter.len()),
                (Some(&(round * 10_000)), Some(&(round * 10_000 + 4_998)), 2_498)
            );
            assert!(iter.is_sorted());
            while let Some(first) = list.first() {
                slots.unlink(&mut list, first);
                slots.remove(first);
            }
            assert!(slots.iter(&list).next().is_none() && slots.iter(&list).next_back().is_none());
            assert_eq!(slots.records.0.len(), 5, "as many as were there at once");
        }
    }
}
