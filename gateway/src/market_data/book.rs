//! One market's book by price level: price → lots and orders, on each side.
//!
//! Invariants, asserted: the feed sequence has no gap; no level falls below zero; a level without orders has no lots
//! and is gone. Bounded by the engine's book.

use std::collections::BTreeMap;

use lakh_engine::command::Side;
use lakh_engine::event::Event;
use lakh_engine::ids::MarketId;
use lakh_engine::units::{Lots, Ticks};
use lakh_engine::wire::{DecodeError, Wire, wire_struct};

use crate::saved::{put_each, take_each};

wire_struct!(Level { quantity, order_count });

/// What rests at one price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// All orders' quantities.
    pub quantity: Lots,
    /// How many orders.
    pub order_count: u32,
}

/// The best price of a side and what rests there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Price.
    pub price: Ticks,
    /// Quantity.
    pub quantity: Lots,
}

/// The best of both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopOfBook {
    /// The highest bid, if there is one.
    pub bid: Option<Quote>,
    /// The lowest ask, if there is one.
    pub ask: Option<Quote>,
}

/// One price of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LevelKey {
    /// Side.
    pub side: Side,
    /// Price.
    pub price: Ticks,
}

/// What an event does to the public book: nothing private is left in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookChange {
    feed_sequence: u64,
    level: Option<(LevelKey, LevelChange)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LevelChange {
    /// An order came.
    Add(Lots),
    /// An order became smaller and stays.
    Reduce(Lots),
    /// An order went with this much.
    Remove(Lots),
}

impl BookChange {
    /// What `event` does to which market's book; `None` for nothing. In line, and so never in memory: written in fields
    /// and read again in one piece it had to wait for all that was written before it.
    #[inline(always)]
    pub fn of(event: &Event) -> Option<(MarketId, Self)> {
        let change = |side, price, feed_sequence, change| {
            Some(Self { feed_sequence, level: Some((LevelKey { side, price }, change)) })
        };
        match event {
            Event::OrderRested(rested) => Some(rested.market).zip(change(
                rested.side,
                rested.price,
                rested.feed_sequence,
                LevelChange::Add(rested.remaining),
            )),
            Event::Trade(trade) => {
                let kind = if trade.maker_displayed.is_zero() { LevelChange::Remove } else { LevelChange::Reduce };
                let side = trade.taker_side.opposite();
                Some(trade.market).zip(change(side, trade.price, trade.feed_sequence, kind(trade.quantity)))
            }
            Event::OrderCanceled(canceled) if canceled.feed_sequence != 0 => {
                let kind = LevelChange::Remove(canceled.displayed);
                Some(canceled.market).zip(change(canceled.side, canceled.price, canceled.feed_sequence, kind))
            }
            Event::OrderReduced(reduced) if reduced.feed_sequence != 0 => {
                let kind = LevelChange::Reduce(reduced.reduced_by);
                Some(reduced.market).zip(change(reduced.side, reduced.price, reduced.feed_sequence, kind))
            }
            Event::MarketStateChanged { market, feed_sequence, .. } => {
                Some((*market, Self { feed_sequence: *feed_sequence, level: None }))
            }
            _ => None,
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    bids: BTreeMap<Ticks, Level>,
    asks: BTreeMap<Ticks, Level>,
    feed_sequence: u64,
}

impl Book {
    /// The last change that is in the book; 0 before the first.
    pub const fn feed_sequence(&self) -> u64 {
        self.feed_sequence
    }

    /// The best of both sides.
    pub fn top(&self) -> TopOfBook {
        let quote = |entry: Option<(&Ticks, &Level)>| {
            entry.map(|(price, level)| Quote { price: *price, quantity: level.quantity })
        };
        TopOfBook { bid: quote(self.bids.last_key_value()), ask: quote(self.asks.first_key_value()) }
    }

    /// What rests at a price; nothing where there is no level.
    pub fn level(&self, key: LevelKey) -> Level {
        self.side(key.side).get(&key.price).copied().unwrap_or_default()
    }

    /// The levels of the bid side, best first.
    pub fn bids(&self) -> impl Iterator<Item = (Ticks, Level)> {
        self.bids.iter().rev().map(|(price, level)| (*price, *level))
    }

    /// The levels of the ask side, best first.
    pub fn asks(&self) -> impl Iterator<Item = (Ticks, Level)> {
        self.asks.iter().map(|(price, level)| (*price, *level))
    }

    /// Takes a change in; tells which level is another now, and what rests there.
    #[inline]
    pub fn apply(&mut self, change: &BookChange) -> Option<(LevelKey, Level)> {
        assert_eq!(change.feed_sequence, self.feed_sequence + 1, "the engine counts a market's changes without gaps");
        self.feed_sequence = change.feed_sequence;
        let (key, change) = change.level?;
        let levels = self.side_mut(key.side);
        if let LevelChange::Add(quantity) = change {
            let level = levels.entry(key.price).or_default();
            level.quantity += quantity;
            level.order_count += 1;
            return Some((key, *level));
        }
        let level = levels.get_mut(&key.price).expect("only what rests can trade, shrink or go");
        match change {
            LevelChange::Add(_) => unreachable!("added above"),
            LevelChange::Reduce(quantity) => level.quantity -= quantity,
            LevelChange::Remove(quantity) => {
                level.quantity -= quantity;
                level.order_count -= 1;
            }
        }
        let level = *level;
        if level.order_count == 0 {
            assert!(level.quantity.is_zero(), "a level's quantity is that of its orders");
            levels.remove(&key.price);
        }
        Some((key, level))
    }

    /// Appends all of it, for a snapshot.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        let Self { bids, asks, feed_sequence } = self;
        feed_sequence.encode(out);
        for levels in [bids, asks] {
            put_each(levels.iter(), out, |(price, level), out| (*price, *level).encode(out));
        }
    }

    /// Reads what [`Self::save`] wrote.
    pub(crate) fn load(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let feed_sequence = u64::decode(input)?;
        let mut levels = || Ok(take_each(input, <(Ticks, Level)>::decode)?.into_iter().collect());
        Ok(Self { bids: levels()?, asks: levels()?, feed_sequence })
    }

    const fn side(&self, side: Side) -> &BTreeMap<Ticks, Level> {
        match side {
            Side::Bid => &self.bids,
            Side::Ask => &self.asks,
        }
    }

    const fn side_mut(&mut self, side: Side) -> &mut BTreeMap<Ticks, Level> {
        match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        }
    }
}
