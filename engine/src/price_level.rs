//! One price of one side: a first-in first-out list of orders and its total, so that depth needs no walk.

use crate::index_table::NONE;
use crate::order_arena::{Links, OrderArena};
use crate::units::{Lots, Ticks};

/// See the module. Never empty while the book side lists it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PriceLevel {
    pub(crate) price: Ticks,
    pub(crate) total: Lots,
    pub(crate) count: u32,
    pub(crate) head: u32,
    tail: u32,
}

impl PriceLevel {
    pub(crate) const fn new(price: Ticks) -> Self {
        Self { price, total: Lots::ZERO, count: 0, head: NONE, tail: NONE }
    }

    /// Adds the order in `slot` behind all others.
    pub(crate) fn push_back(&mut self, arena: &mut OrderArena, slot: u32) {
        let order = arena.order_mut(slot);
        order.level_links = Links { previous: self.tail, next: NONE };
        self.total += order.remaining;
        self.count += 1;
        match self.tail {
            NONE => self.head = slot,
            tail => arena.order_mut(tail).level_links.next = slot,
        }
        self.tail = slot;
    }

    /// Takes the order in `slot` out, wherever it stands.
    pub(crate) fn unlink(&mut self, arena: &mut OrderArena, slot: u32) {
        let order = arena.order(slot);
        let Links { previous, next } = order.level_links;
        self.total -= order.remaining;
        self.count -= 1;
        match previous {
            NONE => self.head = next,
            previous => arena.order_mut(previous).level_links.next = next,
        }
        match next {
            NONE => self.tail = previous,
            next => arena.order_mut(next).level_links.previous = previous,
        }
    }
}
