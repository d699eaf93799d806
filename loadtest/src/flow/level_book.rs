//! The public book of one market, kept from events alone: what a market-data consumer would see.
//!
//! It exists so that `B` and `D` lines judge what the exchange *tells*, not what the engine holds inside. Every event
//! is checked against the book on the way: a trade with an order that does not rest, a quantity that does not add up,
//! or a gap in the feed sequence is a fault. Bounded by the engine's own book.

use std::collections::{BTreeMap, HashMap};

use lakh_engine::command::Side;
use lakh_engine::event::Event;
use lakh_engine::ids::{MarketId, OrderId};
use lakh_engine::units::{Lots, Ticks};

use crate::flow::judge::{BookDigest, Depth};

/// A resting order as the events told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Resting {
    side: Side,
    price: Ticks,
    remaining: Lots,
}

/// Price levels of both sides and the orders behind them.
#[derive(Debug)]
pub struct LevelBook {
    market: MarketId,
    bids: BTreeMap<Ticks, Lots>,
    asks: BTreeMap<Ticks, Lots>,
    orders: HashMap<OrderId, Resting>,
    feed_sequence: u64,
}

impl LevelBook {
    /// An empty book of `market`.
    pub fn new(market: MarketId) -> Self {
        Self { market, bids: BTreeMap::new(), asks: BTreeMap::new(), orders: HashMap::new(), feed_sequence: 0 }
    }

    /// Takes in an event; those of other markets and those that do not touch the public book are passed over.
    ///
    /// # Errors
    /// What contradicts the events before. The book goes on with what the event says as far as it can.
    pub fn apply(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::OrderRested(rested) if rested.market == self.market => {
                self.advance(rested.feed_sequence)?;
                let resting = Resting { side: rested.side, price: rested.price, remaining: rested.remaining };
                if rested.remaining.is_zero() || self.orders.insert(rested.order, resting).is_some() {
                    return Err(format!("order {} rested with nothing left, or twice", rested.order));
                }
                *self.levels(rested.side).entry(rested.price).or_default() += rested.remaining;
                Ok(())
            }
            Event::Trade(trade) if trade.market == self.market => {
                self.advance(trade.feed_sequence)?;
                let maker = self.take(trade.maker.order, trade.quantity, trade.maker_displayed)?;
                if maker.price != trade.price || maker.side == trade.taker_side {
                    return Err(format!("trade {} is not at its maker's price and side", trade.trade));
                }
                Ok(())
            }
            Event::OrderCanceled(canceled) if canceled.market == self.market && canceled.feed_sequence != 0 => {
                self.advance(canceled.feed_sequence)?;
                self.take(canceled.order, canceled.displayed, Lots::ZERO).map(|_| ())
            }
            Event::OrderReduced(reduced) if reduced.market == self.market && reduced.feed_sequence != 0 => {
                self.advance(reduced.feed_sequence)?;
                self.take(reduced.order, reduced.reduced_by, reduced.remaining).map(|_| ())
            }
            Event::MarketStateChanged { market, feed_sequence, .. } if *market == self.market => {
                self.advance(*feed_sequence)
            }
            _ => Ok(()),
        }
    }

    /// The `count` best levels of each side.
    pub fn depth(&self, count: usize) -> Depth {
        let pair = |(price, quantity): (&Ticks, &Lots)| (*price, *quantity);
        Depth {
            bids: self.bids.iter().rev().take(count).map(pair).collect(),
            asks: self.asks.iter().take(count).map(pair).collect(),
        }
    }

    /// The whole book in five numbers.
    pub fn digest(&self) -> BookDigest {
        let lots = |side: &BTreeMap<Ticks, Lots>| side.values().map(|quantity| quantity.raw()).sum();
        BookDigest {
            orders: self.orders.len() as u64,
            bid_levels: self.bids.len() as u64,
            ask_levels: self.asks.len() as u64,
            bid_lots: lots(&self.bids),
            ask_lots: lots(&self.asks),
        }
    }

    /// Orders that rest.
    pub fn order_count(&self) -> usize {
        self.orders.len()
    }

    /// Removes `quantity` of a resting order, which must leave `remaining`; gives what it was before.
    fn take(&mut self, order: OrderId, quantity: Lots, remaining: Lots) -> Result<Resting, String> {
        let Some(resting) = self.orders.get_mut(&order) else {
            return Err(format!("order {order} does not rest"));
        };
        let before = *resting;
        if quantity.is_zero() || before.remaining.checked_sub(quantity) != Some(remaining) {
            return Err(format!("order {order}: {quantity} off {} does not leave {remaining}", before.remaining));
        }
        resting.remaining = remaining;
        if remaining.is_zero() {
            self.orders.remove(&order);
        }
        let levels = self.levels(before.side);
        let level = levels.get_mut(&before.price).expect("the level of an order that rests exists");
        *level -= quantity;
        if level.is_zero() {
            levels.remove(&before.price);
        }
        Ok(before)
    }

    fn levels(&mut self, side: Side) -> &mut BTreeMap<Ticks, Lots> {
        match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        }
    }

    /// The feed sequence counts without gaps from 1.
    fn advance(&mut self, feed_sequence: u64) -> Result<(), String> {
        let expected = self.feed_sequence + 1;
        self.feed_sequence = feed_sequence;
        if feed_sequence == expected {
            Ok(())
        } else {
            Err(format!("feed sequence {feed_sequence} where {expected} was due"))
        }
    }
}

#[cfg(test)]
mod tests {
    use lakh_engine::event::{CancelReason, OrderCanceled, OrderReduced, OrderRested, Trade, TradeParty};
    use lakh_engine::ids::{AccountId, TradeId};

    use super::*;

    const MARKET: MarketId = MarketId(0);

    fn rested(order: u64, side: Side, price: u64, remaining: u64, feed_sequence: u64) -> Event {
        Event::OrderRested(OrderRested {
            account: AccountId(1),
            market: MARKET,
            order: OrderId(order),
            side,
            price: Ticks(price),
            remaining: Lots(remaining),
            feed_sequence,
        })
    }

    fn trade(maker: u64, quantity: u64, left: u64, feed_sequence: u64) -> Event {
        let party = |order, remaining| TradeParty {
            account: AccountId(1),
            order: OrderId(order),
            report_sequence: 1,
            remaining: Lots(remaining),
            fee: 0,
        };
        Event::Trade(Trade {
            market: MARKET,
            trade: TradeId(1),
            feed_sequence,
            taker_side: Side::Ask,
            price: Ticks(10),
            quantity: Lots(quantity),
            maker_displayed: Lots(left),
            maker: party(maker, left),
            taker: party(99, 0),
        })
    }

    fn canceled(order: u64, remaining: u64, feed_sequence: u64) -> Event {
        Event::OrderCanceled(OrderCanceled {
            account: AccountId(1),
            report_sequence: 1,
            market: MARKET,
            order: OrderId(order),
            side: Side::Bid,
            price: Ticks(10),
            remaining: Lots(remaining),
            displayed: Lots(remaining),
            reason: CancelReason::Requested,
            feed_sequence,
        })
    }

    fn reduced(order: u64, reduced_by: u64, remaining: u64, feed_sequence: u64) -> Event {
        Event::OrderReduced(OrderReduced {
            account: AccountId(1),
            report_sequence: 1,
            market: MARKET,
            order: OrderId(order),
            side: Side::Bid,
            price: Ticks(10),
            quantity: Lots(5),
            remaining: Lots(remaining),
            reduced_by: Lots(reduced_by),
            feed_sequence,
        })
    }

    #[test]
    fn levels_follow_the_events() {
        let mut book = LevelBook::new(MARKET);
        let events = [
            rested(1, Side::Bid, 10, 5, 1),
            rested(2, Side::Bid, 10, 6, 2),
            rested(3, Side::Bid, 9, 1, 3),
            rested(4, Side::Ask, 12, 4, 4),
            trade(1, 2, 3, 5),
            reduced(2, 1, 5, 6),
            canceled(50, 9, 0), // never was on the book
        ];
        for event in &events {
            book.apply(event).expect("consistent");
        }
        assert_eq!(book.depth(1), Depth { bids: vec![(Ticks(10), Lots(8))], asks: vec![(Ticks(12), Lots(4))] });
        assert_eq!(book.depth(5).bids, [(Ticks(10), Lots(8)), (Ticks(9), Lots(1))]);
        book.apply(&trade(1, 3, 0, 7)).expect("consistent");
        book.apply(&canceled(2, 5, 8)).expect("consistent");
        assert_eq!(book.digest().to_string(), "(2, 1, 1, 1, 4)");
        assert_eq!(book.order_count(), 2);
    }

    #[test]
    fn contradictions_are_faults() {
        let cases = [
            (rested(1, Side::Bid, 10, 5, 2), "rested with nothing left, or twice"),
            (rested(2, Side::Bid, 10, 0, 2), "rested with nothing left, or twice"),
            (rested(2, Side::Bid, 10, 5, 3), "feed sequence 3 where 2 was due"),
            (trade(7, 1, 1, 2), "order 7 does not rest"),
            (trade(1, 1, 3, 2), "1 off 5 does not leave 3"),
            (trade(1, 6, 0, 2), "6 off 5 does not leave 0"),
            (canceled(1, 4, 2), "4 off 5 does not leave 0"),
            (reduced(1, 0, 5, 2), "0 off 5 does not leave 5"),
        ];
        for (event, expected) in cases {
            let mut book = LevelBook::new(MARKET);
            book.apply(&rested(1, Side::Bid, 10, 5, 1)).expect("consistent");
            let fault = book.apply(&event).expect_err("a contradiction");
            assert!(fault.contains(expected), "{fault} / {expected}");
        }
    }

    #[test]
    fn a_trade_off_the_makers_price_is_a_fault() {
        let mut book = LevelBook::new(MARKET);
        book.apply(&rested(1, Side::Bid, 11, 5, 1)).expect("consistent");
        assert!(book.apply(&trade(1, 1, 4, 2)).is_err());
    }
}
