//! The orders of one book, in slots that are taken and given back last-in first-out; no allocation after start.
//!
//! An order stands in two intrusive lists at once: its price level's, in time priority, and its account's, by id.
//! Bounds: `capacity` orders, 196 bytes each (id tables of the book add 32).

use crate::command::{OrderType, SelfTradeMode, Side, TimeInForce};
use crate::ids::{AccountId, ClientId, OrderId};
use crate::index_table::NONE;
use crate::units::{Atoms, FeeRate, Lots, Ticks, Timestamp};

/// A resting order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) id: OrderId,
    pub(crate) price: Ticks,
    /// What is left of it and stands in the book.
    pub(crate) remaining: Lots,
    /// What is left of it and not shown yet.
    pub(crate) reserve: Lots,
    /// How much is shown at a time; 0 for all.
    pub(crate) display: Lots,
    /// What it was placed with, less what amendments took.
    pub(crate) quantity: Lots,
    /// What each remaining lot holds back: quote atoms for a bid, base atoms for an ask.
    pub(crate) hold_per_lot: Atoms,
    pub(crate) account: AccountId,
    /// The fee rates of its fills, fixed when it was accepted; as a taker only an order that waited trades once more.
    pub(crate) maker_fee: FeeRate,
    pub(crate) taker_fee: FeeRate,
    /// Its level in the book side's arena; [`NONE`] while it waits for its trigger price.
    pub(crate) level: u32,
    pub(crate) level_links: Links,
    pub(crate) account_links: Links,
    pub(crate) side: Side,
    pub(crate) order_type: OrderType,
    pub(crate) time_in_force: TimeInForce,
    pub(crate) self_trade_mode: SelfTradeMode,
    /// The last price for which it waits or has waited; 0 for none.
    pub(crate) trigger_price: Ticks,
    /// When it ends by itself; 0 for never.
    pub(crate) expires_at: Timestamp,
    pub(crate) client_id: ClientId,
}

impl Order {
    /// Whether it waits for its trigger price: it has an id and an account, but no place in the book yet.
    pub(crate) const fn is_waiting(&self) -> bool {
        self.level == NONE
    }

    /// What it holds back: quote atoms for a bid, base atoms for an ask.
    pub(crate) const fn held(&self) -> Atoms {
        Atoms(self.hold_per_lot.0 * self.left().0)
    }

    /// All that is left of it, shown or not.
    pub(crate) const fn left(&self) -> Lots {
        Lots(self.remaining.0 + self.reserve.0)
    }

    /// Parts that it will still be shown in, behind the one that is.
    pub(crate) fn parts_left(&self) -> u64 {
        if self.reserve.is_zero() { 0 } else { self.reserve.0.div_ceil(self.display.0) }
    }
}

/// Neighbours in an intrusive list; [`NONE`] at its ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links {
    pub(crate) previous: u32,
    pub(crate) next: u32,
}

impl Links {
    pub(crate) const ALONE: Self = Self { previous: NONE, next: NONE };
}

/// See the module.
#[derive(Debug)]
pub(crate) struct OrderArena {
    orders: Vec<Order>,
    free: Vec<u32>,
    capacity: u32,
}

impl OrderArena {
    pub(crate) fn new(capacity: u32) -> Self {
        Self { orders: Vec::with_capacity(capacity as usize), free: Vec::with_capacity(capacity as usize), capacity }
    }

    /// Orders that there are.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.orders.len() - self.free.len()).expect("at most `capacity`, a u32")
    }

    pub(crate) fn is_full(&self) -> bool {
        self.free.is_empty() && self.orders.len() == self.capacity as usize
    }

    /// Stores an order and tells its slot. The caller has checked for room.
    pub(crate) fn insert(&mut self, order: Order) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.orders[slot as usize] = order;
            return slot;
        }
        assert!(self.orders.len() < self.capacity as usize, "the book checks for room first");
        self.orders.push(order);
        u32::try_from(self.orders.len() - 1).expect("below `capacity`, a u32")
    }

    /// Gives the slot back.
    pub(crate) fn remove(&mut self, slot: u32) {
        self.free.push(slot);
    }

    pub(crate) fn order(&self, slot: u32) -> &Order {
        &self.orders[slot as usize]
    }

    pub(crate) fn order_mut(&mut self, slot: u32) -> &mut Order {
        &mut self.orders[slot as usize]
    }
}
