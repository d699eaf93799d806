//! One market's public book by order (L3) and its latest changes, so that whoever missed some can have them again.
//!
//! An order's public name is a keyed permutation of the feed sequence with which it came onto the book: nothing of the
//! owner, the account or the private order id is in it, the part of an iceberg that comes next has another name, and the
//! same journal gives the same names after a restart. Bounded: orders by the engine's book, changes by a number.

use std::hint::black_box;

use lakh_engine::command::{MarketState, Side};
use lakh_engine::event::Event;
use lakh_engine::ids::{MarketId, OrderId, TradeId};
use lakh_engine::units::{Lots, Ticks};
use lakh_engine::wire::{DecodeError, Wire};

use crate::id_map::SplitMap;
use crate::market_data::book::{Level, LevelKey};
use crate::market_data::change_ring::ChangeRing;
use crate::reports::Stamp;
use crate::saved::{put_each, take_each};

/// The keyed permutation that names orders in public: six rounds of a balanced Feistel network over 64 bits. What goes
/// into it is public already, so nothing depends on its strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicNames([u64; 6]);

impl PublicNames {
    /// A permutation from 32 bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        let derived = blake3::derive_key("lakh 2026 public order names", key);
        let mut rounds = [0; 6];
        for (index, round) in rounds.iter_mut().enumerate() {
            let hash = blake3::hash(&[&derived[..], &[u8::try_from(index).expect("six")]].concat());
            *round = u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"));
        }
        Self(rounds)
    }

    /// The name of what came onto a market's book with this change; never 0.
    pub fn name(&self, market: MarketId, feed_sequence: u64) -> u64 {
        let name = self.permuted(u64::from(market.0) << 48 ^ feed_sequence);
        // Nothing comes with change 0 of market 0, so its place is free.
        if name == 0 { self.permuted(0) } else { name }
    }

    fn permuted(&self, number: u64) -> u64 {
        let (mut left, mut right) = ((number >> 32) as u32, number as u32);
        for key in self.0 {
            let mixed = (u64::from(right) ^ key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (left, right) = (right, left ^ (mixed >> 32) as u32);
        }
        u64::from(left) << 32 | u64::from(right)
    }
}

/// An order as everybody sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicOrder {
    /// Its name.
    pub name: u64,
    /// Side.
    pub side: Side,
    /// Price.
    pub price: Ticks,
    /// What is shown of it.
    pub quantity: Lots,
    /// The change with which it came: its place among those of its price.
    pub added_at: u64,
}

/// One change of the public book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its number in the market.
    pub feed_sequence: u64,
    /// The command that caused it.
    pub stamp: Stamp,
    /// What.
    pub kind: ChangeKind,
    /// The price level that it changed, as it is now.
    pub level: Option<(LevelKey, Level)>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// An order came.
    Added(PublicOrder),
    /// An order traded.
    Executed {
        /// The order, with what is still shown.
        order: PublicOrder,
        /// How much.
        quantity: Lots,
        /// The trade.
        trade: TradeId,
    },
    /// An order became smaller.
    Reduced {
        /// The order, with what is still shown.
        order: PublicOrder,
        /// By how much.
        quantity: Lots,
    },
    /// An order went.
    Deleted(PublicOrder),
    /// The market's state changed.
    Status(MarketState),
}

/// See the module.
#[derive(Debug)]
pub struct PublicOrders {
    market: MarketId,
    names: PublicNames,
    orders: SplitMap<PublicOrder>,
    changes: ChangeRing,
    feed_sequence: u64,
    latest: Stamp,
    state: MarketState,
}

impl PublicOrders {
    /// An empty book that remembers `changes_max` changes.
    pub fn new(market: MarketId, names: PublicNames, changes_max: usize, stamp: Stamp) -> Self {
        Self {
            market,
            names,
            orders: SplitMap::default(),
            changes: ChangeRing::new(changes_max),
            feed_sequence: 0,
            latest: stamp,
            state: MarketState::PreOpen,
        }
    }

    /// Appends the book as it is, for a snapshot; the latest changes are not in it.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        let Self { market: _, names: _, orders, changes: _, feed_sequence, latest, state } = self;
        feed_sequence.encode(out);
        (latest.sequence, latest.timestamp).encode(out);
        state.encode(out);
        put_each(orders.sorted().into_iter(), out, |(order, public), out| {
            let PublicOrder { name: _, side, price, quantity, added_at } = *public;
            (order, (side, (price, (quantity, added_at)))).encode(out);
        });
    }

    /// Reads what [`Self::save`] wrote into a book that is empty yet.
    pub(crate) fn load(self, input: &mut &[u8]) -> Result<Self, DecodeError> {
        let feed_sequence = u64::decode(input)?;
        let (sequence, timestamp) = Wire::decode(input)?;
        let state = MarketState::decode(input)?;
        let mut orders = SplitMap::default();
        for (order, public) in take_each(input, <(OrderId, (Side, (Ticks, (Lots, u64))))>::decode)? {
            let (side, (price, (quantity, added_at))) = public;
            let name = self.names.name(self.market, added_at);
            orders.insert(order, PublicOrder { name, side, price, quantity, added_at });
        }
        Ok(Self { orders, feed_sequence, latest: Stamp { sequence, timestamp }, state, ..self })
    }

    /// The last change that is in the book.
    pub const fn feed_sequence(&self) -> u64 {
        self.feed_sequence
    }

    /// The command that caused it.
    pub const fn latest(&self) -> Stamp {
        self.latest
    }

    /// The market's state.
    pub const fn state(&self) -> MarketState {
        self.state
    }

    /// All orders: bids, then asks, best price first, then first come first.
    pub fn sorted(&self) -> Vec<PublicOrder> {
        let mut orders: Vec<PublicOrder> = self.orders.values().copied().collect();
        let rank = |order: &PublicOrder| match order.side {
            Side::Bid => (0, u64::MAX - order.price.0, order.added_at),
            Side::Ask => (1, order.price.0, order.added_at),
        };
        orders.sort_unstable_by_key(rank);
        orders
    }

    /// The changes from `first` to `last`, if all of them are remembered.
    pub fn changes(&self, first: u64, last: u64) -> Option<impl Iterator<Item = &Change>> {
        let floor = self.feed_sequence + 1 - self.changes.len() as u64;
        if first < floor || last > self.feed_sequence || first > last + 1 {
            return None;
        }
        let skipped = usize::try_from(first - floor).expect("at most the number of changes");
        let count = usize::try_from(last + 1 - first).expect("at most the number of changes");
        Some(self.changes.range(skipped, count))
    }

    /// The last change since the start, if there was one.
    pub fn last_change(&self) -> Option<&Change> {
        self.changes.last()
    }

    /// Takes in what an event does to the book. `level` is the price level that it changed, as it is now.
    /// Whether there was a change, which is then the [`Self::last_change`].
    pub fn apply(&mut self, event: &Event, level: Option<(LevelKey, Level)>, stamp: Stamp) -> bool {
        let (feed_sequence, kind) = match event {
            Event::OrderRested(rested) => {
                let order = PublicOrder {
                    name: self.names.name(self.market, rested.feed_sequence),
                    side: rested.side,
                    price: rested.price,
                    quantity: rested.remaining,
                    added_at: rested.feed_sequence,
                };
                self.orders.insert(rested.order, order);
                (rested.feed_sequence, ChangeKind::Added(order))
            }
            Event::Trade(trade) => {
                let order = self.shrink(trade.maker.order, trade.maker_displayed);
                (trade.feed_sequence, ChangeKind::Executed { order, quantity: trade.quantity, trade: trade.trade })
            }
            Event::OrderReduced(reduced) if reduced.feed_sequence != 0 => {
                let shown = self.order(reduced.order).quantity;
                let order = self.shrink(reduced.order, shown - reduced.reduced_by);
                (reduced.feed_sequence, ChangeKind::Reduced { order, quantity: reduced.reduced_by })
            }
            Event::OrderCanceled(canceled) if canceled.feed_sequence != 0 => {
                let order = self.orders.remove(canceled.order).expect("only what rests can go");
                (canceled.feed_sequence, ChangeKind::Deleted(order))
            }
            Event::MarketStateChanged { state, feed_sequence, .. } => {
                self.state = *state;
                (*feed_sequence, ChangeKind::Status(*state))
            }
            _ => return false,
        };
        assert_eq!(feed_sequence, self.feed_sequence + 1, "the engine counts a market's changes without gaps");
        (self.feed_sequence, self.latest) = (feed_sequence, stamp);
        self.changes.push(Change { feed_sequence, stamp, kind, level });
        true
    }

    /// Reads an order that is about to be changed, so that the reads of many wait for memory together. Changes nothing.
    pub(crate) fn read_ahead(&self, order: OrderId) {
        black_box(self.orders.get(order).map(|public| public.quantity));
    }

    fn order(&self, order: OrderId) -> PublicOrder {
        *self.orders.get(order).expect("only what rests can trade, shrink or go")
    }

    /// What is shown of an order is this much from here on; nothing takes it off.
    fn shrink(&mut self, order: OrderId, shown: Lots) -> PublicOrder {
        let public = self.orders.get_mut(order).expect("only what rests can trade, shrink or go");
        public.quantity = shown;
        let public = *public;
        if shown.is_zero() {
            self.orders.remove(order);
        }
        public
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_between_changes_markets_and_keys() {
        let names = PublicNames::new(&[1; 32]);
        let mut seen = std::collections::HashSet::new();
        for market in 0..4 {
            for change in 1..20_000 {
                assert!(seen.insert(names.name(MarketId(market), change)));
            }
        }
        assert!(!seen.contains(&0));
        assert_ne!(names.name(MarketId(0), 1), PublicNames::new(&[2; 32]).name(MarketId(0), 1));
        assert_eq!(names.name(MarketId(0), 1), PublicNames::new(&[1; 32]).name(MarketId(0), 1));
    }
}
