//! The orders of one book as matching sees them, in slots that are taken and given back last-in first-out.
//!
//! 32 bytes each, two to a cache line. Who needs more of an order puts it into the same entry, so that one line has it
//! all; what is seldom needed is kept by the slot's number elsewhere. The slot given back last is taken first, while its
//! line is still in the nearest cache.
//!
//! Slots are numbered from 1. Slot 0 is [`NOBODY`]'s: it stands for the neighbour of an order that has none on that side, and
//! what is written to that neighbour goes there. Whether there is one is a coin toss to the processor, and to ask costs more
//! than to write.
//!
//! Bounds: `capacity` orders; all memory is touched at the start, and none is taken later.

use alloc::boxed::Box;

use crate::command::Side;
use crate::ids::AccountId;
use crate::prefetch::ask_for;
use crate::units::{Lots, Ticks};

/// The slot of no order.
pub(crate) const NOBODY: u32 = 0;

/// A resting order as matching sees it.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 8 | what is left |
/// | 8 | 8 | limit price |
/// | 16 | 8 | neighbours in the price level |
/// | 24 | 4 | owner (31 bits) and side |
/// | 28 | 4 | generation of the slot |
///
/// Aligned to its size: an array begins 16 bytes into a page otherwise, and every other order would lie on two lines.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
pub struct RestingOrder {
    /// What is left.
    pub(crate) remaining: Lots,
    price: Ticks,
    /// The order behind it in its level, or [`NOBODY`]. In a free slot the next free one.
    pub(crate) next: u32,
    /// The order before it in its level, or [`NOBODY`].
    pub(crate) previous: u32,
    owner_and_side: u32,
    generation: u32,
}

/// What an arena keeps for an order: the order as matching sees it, alone or with what its user wants on the same line.
pub trait OrderEntry: Copy {
    /// What a slot holds at first.
    const VACANT: Self;

    /// The order as matching sees it.
    fn order(&self) -> &RestingOrder;

    /// The same to change.
    fn order_mut(&mut self) -> &mut RestingOrder;
}

impl OrderEntry for RestingOrder {
    const VACANT: Self = Self {
        remaining: Lots::ZERO,
        price: Ticks::ZERO,
        next: NOBODY,
        previous: NOBODY,
        owner_and_side: 0,
        generation: 0,
    };

    #[inline]
    fn order(&self) -> &Self {
        self
    }

    #[inline]
    fn order_mut(&mut self) -> &mut Self {
        self
    }
}

/// Bit of the side in `owner_and_side`.
const SIDE_BIT: u32 = 31;

impl RestingOrder {
    /// What is left of it.
    #[inline]
    pub const fn remaining(&self) -> Lots {
        self.remaining
    }

    /// Its limit price.
    #[inline]
    pub const fn price(&self) -> Ticks {
        self.price
    }

    /// Whether it is the only one of its level: asked at once, since each half by itself is a coin toss to the processor.
    #[inline]
    pub(crate) const fn is_alone(&self) -> bool {
        self.previous | self.next == NOBODY
    }

    /// Whose it is.
    #[inline]
    pub const fn owner(&self) -> AccountId {
        AccountId(self.owner_and_side & !(1 << SIDE_BIT))
    }

    /// Its side.
    #[inline]
    pub const fn side(&self) -> Side {
        if self.owner_and_side >> SIDE_BIT == 0 { Side::Bid } else { Side::Ask }
    }
}

/// Names one order for as long as it rests. A handle that is kept for longer names nothing, until its slot has been
/// taken 2^32 more times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderHandle {
    slot: u32,
    generation: u32,
}

/// See the module. An entry is a [`RestingOrder`] or has one.
#[derive(Debug)]
pub(crate) struct OrderArena<Entry> {
    /// By slot; the first is nobody's.
    entries: Box<[Entry]>,
    /// The slot that is taken next, [`NOBODY`] when there is none.
    free: u32,
    count: u32,
}

impl<Entry: OrderEntry> OrderArena<Entry> {
    pub(crate) fn new(capacity: u32) -> Self {
        let free = |slot: u32| {
            let mut entry = Entry::VACANT;
            entry.order_mut().next = if slot == capacity { NOBODY } else { slot + 1 };
            entry
        };
        let entries: Box<[Entry]> = (0..=capacity).map(free).collect();
        Self { free: entries[NOBODY as usize].order().next, entries, count: 0 }
    }

    /// Stores an order that is in no level yet; tells its slot, and gives all entries to go on with. The caller has checked
    /// for room.
    #[inline(always)]
    pub(crate) fn insert(
        &mut self,
        side: Side,
        price: Ticks,
        remaining: Lots,
        owner: AccountId,
    ) -> (u32, &mut [Entry]) {
        assert!(
            self.free != NOBODY && owner.0 >> SIDE_BIT == 0,
            "the book checks for room first; accounts are 24 bits"
        );
        let slot = self.free;
        let order = self.entries[slot as usize].order_mut();
        self.free = order.next;
        // It never wraps: so many are slots that are taken.
        self.count = self.count.wrapping_add(1);
        order.remaining = remaining;
        order.price = price;
        order.owner_and_side = owner.0 | (side as u32) << SIDE_BIT;
        (slot, &mut self.entries)
    }

    /// Gives the slot back; handles to it name nothing from here on. Tells what was in it, and gives all entries to go on
    /// with.
    #[inline(always)]
    pub(crate) fn remove(&mut self, slot: u32) -> (RestingOrder, &mut [Entry]) {
        let order = self.entries[slot as usize].order_mut();
        let removed = *order;
        assert!(!removed.remaining.is_zero(), "only an order that is there can be removed");
        order.generation = order.generation.wrapping_add(1);
        order.remaining = Lots::ZERO;
        order.next = self.free;
        self.free = slot;
        self.count = self.count.wrapping_sub(1);
        (removed, &mut self.entries)
    }

    #[inline]
    pub(crate) fn order(&self, slot: u32) -> &RestingOrder {
        self.entries[slot as usize].order()
    }

    #[inline]
    pub(crate) fn order_mut(&mut self, slot: u32) -> &mut RestingOrder {
        self.entries[slot as usize].order_mut()
    }

    /// All entries by slot.
    #[inline]
    pub(crate) fn entries_mut(&mut self) -> &mut [Entry] {
        &mut self.entries
    }

    #[inline]
    pub(crate) fn entry(&self, slot: u32) -> &Entry {
        &self.entries[slot as usize]
    }

    #[inline]
    pub(crate) fn entry_mut(&mut self, slot: u32) -> &mut Entry {
        &mut self.entries[slot as usize]
    }

    /// A handle for the order in the slot.
    #[inline]
    pub(crate) fn handle(&self, slot: u32) -> OrderHandle {
        OrderHandle::new(slot, self.order(slot))
    }

    /// The slot of the order that the handle names, if it still rests.
    #[inline]
    pub(crate) fn slot(&self, handle: OrderHandle) -> Option<u32> {
        let order = self.entries.get(handle.slot as usize)?.order();
        (order.generation == handle.generation && !order.remaining.is_zero()).then_some(handle.slot)
    }
}

impl OrderHandle {
    /// Of the order in a slot.
    #[inline]
    pub(crate) const fn new(slot: u32, order: &RestingOrder) -> Self {
        Self { slot, generation: order.generation }
    }

    /// The slot that the order has for as long as it rests.
    #[inline]
    pub const fn slot(self) -> u32 {
        self.slot
    }
}

impl<Entry> OrderArena<Entry> {
    /// Orders that there are.
    pub(crate) const fn count(&self) -> u32 {
        self.count
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.free == NOBODY
    }

    /// The slot that is taken next, [`NOBODY`] for none.
    pub(crate) const fn next_free(&self) -> u32 {
        self.free
    }

    /// Asks memory for a slot's entry.
    #[inline(always)]
    pub(crate) fn prefetch(&self, slot: u32) {
        ask_for(self.entries.get(slot as usize));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_the_documented_one() {
        assert_eq!((size_of::<RestingOrder>(), align_of::<RestingOrder>()), (32, 32));
        assert_eq!(core::mem::offset_of!(RestingOrder, price), 8);
        assert_eq!(core::mem::offset_of!(RestingOrder, next), 16);
        assert_eq!(core::mem::offset_of!(RestingOrder, owner_and_side), 24);
        assert_eq!(core::mem::offset_of!(RestingOrder, generation), 28);
    }

    #[test]
    fn a_handle_ends_with_its_order() {
        let mut arena = OrderArena::<RestingOrder>::new(2);
        let place = |arena: &mut OrderArena<RestingOrder>| arena.insert(Side::Ask, Ticks(7), Lots(1), AccountId(3)).0;
        let first = place(&mut arena);
        let handle = arena.handle(first);
        assert_eq!(arena.slot(handle), Some(first));
        let order = arena.order(first);
        assert_eq!((order.side(), order.owner(), order.price()), (Side::Ask, AccountId(3), Ticks(7)));
        arena.remove(first);
        assert_eq!(arena.slot(handle), None);
        assert_eq!(place(&mut arena), first, "last in, first out");
        assert_eq!(arena.slot(handle), None, "the slot's next order is another one");
        place(&mut arena);
        assert!(arena.is_full());
    }
}
