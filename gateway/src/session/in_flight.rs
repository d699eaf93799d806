//! Requests that wait for their answers, in a table of fixed size.
//!
//! A request's number is its slot and how often the slot was used, so that an answer that comes after its request was
//! given up finds nothing instead of another request. An answer costs one array access.

use lakh_engine::units::Timestamp;

/// Bits of a request's number that are its slot.
const SLOT_BITS: u32 = 14;
/// Uses after which a slot's count begins again; keeps [`super::NOBODY`] out of reach.
const USES: u32 = (1 << 18) - 1;

/// Requests without an answer; `T` is what the session keeps of each.
#[derive(Debug)]
pub(super) struct InFlight<T> {
    capacity: usize,
    /// As many as were ever needed at once: most sessions need few, and there may be ten thousand of them.
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot<T> {
    uses: u32,
    waiting: Option<(T, Timestamp)>,
}

impl<T> InFlight<T> {
    /// Room for `capacity` requests: 1 ..= 16,384.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.clamp(1, 1 << SLOT_BITS), slots: Vec::new(), free: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Keeps a request until `deadline`; its number, or `None` when there is no room.
    pub(super) fn insert(&mut self, waiting: T, deadline: Timestamp) -> Option<u32> {
        if self.free.is_empty() && self.slots.len() < self.capacity {
            self.free.push(u32::try_from(self.slots.len()).expect("at most 16,384"));
            self.slots.push(Slot { uses: 0, waiting: None });
        }
        let index = self.free.pop()?;
        let slot = &mut self.slots[index as usize];
        slot.uses = (slot.uses + 1) % USES;
        slot.waiting = Some((waiting, deadline));
        Some(slot.uses << SLOT_BITS | index)
    }

    /// Takes the request with this number out; `None` when it is not (any more) waiting.
    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let index = number & ((1 << SLOT_BITS) - 1);
        let slot = self.slots.get_mut(index as usize)?;
        if slot.uses != number >> SLOT_BITS {
            return None;
        }
        let (waiting, _) = slot.waiting.take()?;
        self.free.push(index);
        Some(waiting)
    }

    /// Takes out what has waited past its deadline, one after the other.
    pub(super) fn pop_expired(&mut self, now: Timestamp) -> Option<T> {
        let index =
            self.slots.iter().position(|slot| slot.waiting.as_ref().is_some_and(|(_, deadline)| *deadline <= now))?;
        let (waiting, _) = self.slots[index].waiting.take()?;
        self.free.push(u32::try_from(index).expect("a slot's index is below 16,384"));
        Some(waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_good_for_one_answer() {
        let mut table = InFlight::new(2);
        let first = table.insert('a', Timestamp(10)).unwrap();
        let second = table.insert('b', Timestamp(20)).unwrap();
        assert!(table.len() == 2 && table.insert('c', Timestamp(30)).is_none());
        assert_eq!(table.remove(first), Some('a'));
        assert_eq!(table.remove(first), None);
        let third = table.insert('c', Timestamp(30)).unwrap();
        assert_ne!(third, first, "the slot is the same, the number is not");
        assert_eq!(table.remove(first), None);
        assert_eq!(table.pop_expired(Timestamp(19)), None);
        assert_eq!(table.pop_expired(Timestamp(20)), Some('b'));
        assert_eq!(table.remove(second), None);
        assert_eq!(table.len(), 1);
        assert_eq!(table.remove(super::super::NOBODY), None);
    }
}
