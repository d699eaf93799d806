//! The latest trades of one market, one by one and put together by taker and price.
//!
//! Nothing here knows an account or an order: an aggregate is closed by whoever sees that the next trade has another
//! taker. Bounds: a number of each kind, an option.

use std::collections::VecDeque;

use lakh_engine::command::Side;
use lakh_engine::event::Trade;
use lakh_engine::ids::{OrderId, TradeId};
use lakh_engine::units::{Atoms, Lots, Ticks, Timestamp};
use lakh_engine::wire::{DecodeError, Wire, wire_struct};

use crate::saved::{put_each, take_each};

wire_struct!(PublicTrade { trade, price, quantity, quote, timestamp, taker_side });
wire_struct!(AggregateTrade { number, price, quantity, first, last, timestamp, taker_side });

/// A trade as everybody may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicTrade {
    /// Its number.
    pub trade: TradeId,
    /// Price.
    pub price: Ticks,
    /// Quantity.
    pub quantity: Lots,
    /// Price × quantity in quote atoms.
    pub quote: Atoms,
    /// When.
    pub timestamp: Timestamp,
    /// The side of who came second.
    pub taker_side: Side,
}

/// What one incoming order traded at one price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AggregateTrade {
    /// Its number in its market, from 1, without gaps.
    pub number: u64,
    /// Price.
    pub price: Ticks,
    /// Quantity of all its trades.
    pub quantity: Lots,
    /// The first of them.
    pub first: TradeId,
    /// The last of them.
    pub last: TradeId,
    /// When.
    pub timestamp: Timestamp,
    /// The side of who came second.
    pub taker_side: Side,
}

/// Puts consecutive trades of one order at one price together.
#[derive(Clone, Copy, Debug)]
pub struct Aggregation {
    taker: OrderId,
    aggregate: AggregateTrade,
}

impl Aggregation {
    /// Begins with a trade; the number is given when it is recorded.
    pub const fn begin(trade: &Trade, timestamp: Timestamp) -> Self {
        let aggregate = AggregateTrade {
            number: 0,
            price: trade.price,
            quantity: trade.quantity,
            first: trade.trade,
            last: trade.trade,
            timestamp,
            taker_side: trade.taker_side,
        };
        Self { taker: trade.taker.order, aggregate }
    }

    /// Takes the trade in if it belongs to it. An order's id is of one market, so the market need not be compared.
    pub fn extend(&mut self, trade: &Trade) -> Extended {
        if trade.taker.order != self.taker || trade.price != self.aggregate.price {
            return Extended::No;
        }
        self.aggregate.quantity += trade.quantity;
        self.aggregate.last = trade.trade;
        Extended::Yes
    }
}

/// Whether a trade belonged to an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extended {
    /// It did, and is in it.
    Yes,
    /// It did not.
    No,
}

/// One market's latest trades, oldest first.
#[derive(Debug)]
pub struct Tape {
    trades: VecDeque<PublicTrade>,
    aggregates: VecDeque<AggregateTrade>,
    entries_max: usize,
    aggregate_count: u64,
}

impl Tape {
    /// Nothing yet; at most `entries_max` of each kind.
    pub fn new(entries_max: usize) -> Self {
        let entries_max = entries_max.max(1);
        Self { trades: VecDeque::new(), aggregates: VecDeque::new(), entries_max, aggregate_count: 0 }
    }

    /// Takes in a trade.
    pub fn record(&mut self, trade: PublicTrade) {
        if self.trades.len() == self.entries_max {
            self.trades.pop_front();
        }
        self.trades.push_back(trade);
    }

    /// Takes in an aggregate that is closed, and numbers it.
    pub fn record_aggregate(&mut self, closed: Aggregation) -> AggregateTrade {
        self.aggregate_count += 1;
        let aggregate = AggregateTrade { number: self.aggregate_count, ..closed.aggregate };
        if self.aggregates.len() == self.entries_max {
            self.aggregates.pop_front();
        }
        self.aggregates.push_back(aggregate);
        aggregate
    }

    /// Appends all of it, for a snapshot.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        let Self { trades, aggregates, entries_max: _, aggregate_count } = self;
        aggregate_count.encode(out);
        put_each(trades.iter(), out, Wire::encode);
        put_each(aggregates.iter(), out, Wire::encode);
    }

    /// Reads what [`Self::save`] wrote.
    pub(crate) fn load(entries_max: usize, input: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut tape = Self { aggregate_count: Wire::decode(input)?, ..Self::new(entries_max) };
        tape.trades = newest(take_each(input, Wire::decode)?, tape.entries_max);
        tape.aggregates = newest(take_each(input, Wire::decode)?, tape.entries_max);
        Ok(tape)
    }

    /// The latest trades, oldest first.
    pub const fn trades(&self) -> &VecDeque<PublicTrade> {
        &self.trades
    }

    /// The latest aggregates, oldest first.
    pub const fn aggregates(&self) -> &VecDeque<AggregateTrade> {
        &self.aggregates
    }
}

/// The last `count` of `entries`.
pub(super) fn newest<T>(mut entries: Vec<T>, count: usize) -> VecDeque<T> {
    entries.drain(..entries.len().saturating_sub(count));
    entries.into()
}
