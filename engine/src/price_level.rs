//! One price of one side: a first-in first-out list of orders and its total, so that depth needs no walk.
//!
//! 24 bytes. A level without orders begins and ends with [`NOBODY`].

use core::hint::select_unpredictable;

use crate::order_arena::{NOBODY, OrderEntry, RestingOrder};
use crate::units::Lots;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PriceLevel {
    pub(crate) total: Lots,
    pub(crate) head: u32,
    pub(crate) tail: u32,
    pub(crate) count: u32,
}

impl PriceLevel {
    pub(crate) const EMPTY: Self = Self { total: Lots::ZERO, head: NOBODY, tail: NOBODY, count: 0 };

    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds the order in `slot` behind all others.
    #[inline(always)]
    pub(crate) fn push_back<E: OrderEntry>(&mut self, entries: &mut [E], slot: u32) {
        let previous = core::mem::replace(&mut self.tail, slot);
        let order = entries[slot as usize].order_mut();
        self.total += order.remaining;
        self.count += 1;
        (order.previous, order.next) = (previous, NOBODY);
        entries[previous as usize].order_mut().next = slot;
        // Whether there are others is a coin toss to the processor.
        self.head = select_unpredictable(previous == NOBODY, slot, self.head);
    }

    /// Takes an order out, wherever it stands. What is in its slot is not looked at.
    #[inline(always)]
    pub(crate) fn unlink<E: OrderEntry>(&mut self, entries: &mut [E], order: &RestingOrder) {
        let RestingOrder { previous, next, remaining, .. } = *order;
        self.total -= remaining;
        self.count -= 1;
        entries[previous as usize].order_mut().next = next;
        entries[next as usize].order_mut().previous = previous;
        self.head = select_unpredictable(previous == NOBODY, next, self.head);
        self.tail = select_unpredictable(next == NOBODY, previous, self.tail);
    }
}
