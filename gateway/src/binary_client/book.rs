//! A market's book by order as the feed tells it: a snapshot, then each change exactly once.

use std::collections::HashMap;

use super::Message;
use crate::wire::sbe::enums::{Channel, WireEnum};
use crate::wire::sbe::market::OrderEntry;

/// Why a message does not follow on what the book has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// A change is missing, or came twice.
    #[error("change {found} follows on {last}")]
    Gap {
        /// The last change in the book.
        last: u64,
        /// The one that came.
        found: u64,
    },
    /// A change of an order that is not there, or an order that is there already.
    #[error("change {feed_sequence} names an order that is not as it says")]
    Order {
        /// The change.
        feed_sequence: u64,
    },
    /// A snapshot had another number of orders than it said.
    #[error("a snapshot had {found} orders and said {expected}")]
    Snapshot {
        /// What it said.
        expected: usize,
        /// What it had.
        found: usize,
    },
}

/// An order of the book, and where it stands among those of its price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Order {
    side: u8,
    price: u64,
    quantity: u64,
    place: u64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct PublicBook {
    orders: HashMap<u64, Order>,
    feed_sequence: u64,
    next_place: u64,
    /// Orders that the snapshot that is being read has said; `None` between snapshots.
    snapshot: Option<usize>,
}

impl PublicBook {
    /// The last change that is in the book.
    pub const fn feed_sequence(&self) -> u64 {
        self.feed_sequence
    }

    /// How many orders there are.
    pub fn len(&self) -> usize {
        self.orders.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// Whether a snapshot has begun and not ended: what is here is not the book.
    pub const fn is_incomplete(&self) -> bool {
        self.snapshot.is_some()
    }

    /// The orders as (name, side, price, quantity): bids, then asks, best price first, then first come first.
    pub fn sorted(&self) -> Vec<(u64, u8, u64, u64)> {
        let mut orders: Vec<_> = self.orders.iter().collect();
        orders.sort_unstable_by_key(|(_, order)| {
            (order.side, if order.side == 0 { u64::MAX - order.price } else { order.price }, order.place)
        });
        orders.into_iter().map(|(name, order)| (*name, order.side, order.price, order.quantity)).collect()
    }

    /// Takes in a message of the channel [`Channel::Orders`] of the market; others change nothing.
    ///
    /// # Errors
    /// See [`BookError`]: ask for the missing changes, or for a snapshot.
    pub fn apply(&mut self, message: &Message) -> Result<(), BookError> {
        match message {
            Message::SnapshotBegin(begin) if begin.channel == Channel::Orders.wire() => {
                *self = Self { feed_sequence: begin.feed_sequence.get(), ..Self::default() };
                self.snapshot = Some(begin.entries.get() as usize);
                Ok(())
            }
            Message::SnapshotOrders(_, entries) => entries.iter().try_for_each(|entry| self.insert(entry)),
            Message::SnapshotEnd(end) if end.channel == Channel::Orders.wire() => {
                let (expected, found) = (self.snapshot.take().unwrap_or(0), self.orders.len());
                if expected == found { Ok(()) } else { Err(BookError::Snapshot { expected, found }) }
            }
            Message::OrderAdded(added) => {
                self.follow(added.feed_sequence.get())?;
                let (public_order_id, price, quantity) = (added.public_order_id, added.price, added.quantity);
                self.insert(&OrderEntry { public_order_id, price, quantity, side: added.side })
            }
            Message::OrderExecuted(executed) => {
                self.follow(executed.feed_sequence.get())?;
                let (by, left) = (executed.quantity.get(), executed.remaining.get());
                self.shrink(executed.public_order_id.get(), by, left)
            }
            Message::OrderReduced(reduced) => {
                self.follow(reduced.feed_sequence.get())?;
                self.shrink(reduced.public_order_id.get(), reduced.quantity.get(), reduced.remaining.get())
            }
            Message::OrderDeleted(deleted) => {
                self.follow(deleted.feed_sequence.get())?;
                self.shrink(deleted.public_order_id.get(), deleted.quantity.get(), 0)
            }
            Message::MarketStatus(status) => self.follow(status.feed_sequence.get()),
            _ => Ok(()),
        }
    }

    const fn follow(&mut self, found: u64) -> Result<(), BookError> {
        if found != self.feed_sequence + 1 {
            return Err(BookError::Gap { last: self.feed_sequence, found });
        }
        self.feed_sequence = found;
        Ok(())
    }

    fn insert(&mut self, entry: &OrderEntry) -> Result<(), BookError> {
        let place = self.next_place;
        self.next_place += 1;
        let (price, quantity) = (entry.price.get(), entry.quantity.get());
        let before =
            self.orders.insert(entry.public_order_id.get(), Order { side: entry.side, price, quantity, place });
        if before.is_none() { Ok(()) } else { Err(BookError::Order { feed_sequence: self.feed_sequence }) }
    }

    fn shrink(&mut self, name: u64, by: u64, left: u64) -> Result<(), BookError> {
        let wrong = BookError::Order { feed_sequence: self.feed_sequence };
        let order = self.orders.get_mut(&name).ok_or(wrong)?;
        if order.quantity.checked_sub(by) != Some(left) {
            return Err(wrong);
        }
        order.quantity = left;
        if left == 0 {
            self.orders.remove(&name);
        }
        Ok(())
    }
}
