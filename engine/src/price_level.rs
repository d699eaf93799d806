//! One price of one side: a first-in first-out list of orders and its total, so that depth needs no walk.
//!
//! 24 bytes. A level without orders has the ends of [`PriceLevel::EMPTY`].

use core::hint::select_unpredictable;

use crate::index_table::NONE;
use crate::order_arena::{OrderArena, OrderEntry};
use crate::units::Lots;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PriceLevel {
    pub(crate) total: Lots,
    pub(crate) head: u32,
    tail: u32,
    pub(crate) count: u32,
}

impl PriceLevel {
    pub(crate) const EMPTY: Self = Self { total: Lots::ZERO, head: NONE, tail: NONE, count: 0 };

    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds the order in `slot` behind all others.
    #[inline(always)]
    pub(crate) fn push_back<E: OrderEntry>(&mut self, arena: &mut OrderArena<E>, slot: u32) {
        let order = arena.order_mut(slot);
        self.total += order.remaining;
        self.count += 1;
        // Whether there are others is a coin toss to the processor; an empty level's tail is nobody.
        let previous = core::mem::replace(&mut self.tail, slot);
        (order.previous, order.next) = (previous, NONE);
        arena.neighbour_mut(previous).next = slot;
        self.head = select_unpredictable(previous == NONE, slot, self.head);
    }

    /// Takes the order in `slot` out, wherever it stands.
    #[inline(always)]
    pub(crate) fn unlink<E: OrderEntry>(&mut self, arena: &mut OrderArena<E>, slot: u32) {
        let order = arena.order(slot);
        let (previous, next) = (order.previous, order.next);
        self.total -= order.remaining;
        self.count -= 1;
        arena.neighbour_mut(previous).next = next;
        arena.neighbour_mut(next).previous = previous;
        self.head = select_unpredictable(previous == NONE, next, self.head);
        self.tail = select_unpredictable(next == NONE, previous, self.tail);
    }
}
