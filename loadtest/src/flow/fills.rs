//! The fills of a journal as text, one a line: the form in which two runs of one flow are compared byte by byte.
//!
//! ```text
//! taker_client_id maker_client_id B|S quantity price        the taker's side; lots; ticks
//! ```
//! Written from events alone, so that a flow driven straight into an engine and a journal that came over a socket and
//! is replayed give the same bytes. Order ids differ between the two, which is why client ids name the orders; an
//! order without one is `#` and its order id. Memory: the client ids of the orders that rest.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};

use lakh_engine::command::Side;
use lakh_engine::event::{Event, Trade};
use lakh_engine::ids::{ClientId, OrderId, Sequence};
use lakh_engine::units::{Lots, Ticks};

/// Writes a line for every trade that it is shown.
#[derive(Debug)]
pub struct FillWriter<W: Write> {
    out: W,
    /// Of the orders that rest.
    resting: HashMap<OrderId, ClientId>,
    /// Of the orders that the current command brought; most never rest, or only after their trades.
    incoming: Vec<(OrderId, ClientId)>,
    current: Sequence,
    count: u64,
}

impl<W: Write> FillWriter<W> {
    /// A writer that has seen nothing; give it a buffered `out`.
    pub fn new(out: W) -> Self {
        Self { out, resting: HashMap::new(), incoming: Vec::new(), current: Sequence(0), count: 0 }
    }

    /// Takes in the next event of the journal, which the command at `sequence` caused.
    ///
    /// # Errors
    /// What writing a line gives.
    pub fn observe(&mut self, sequence: Sequence, event: &Event) -> io::Result<()> {
        if sequence != self.current {
            self.current = sequence;
            self.incoming.clear();
        }
        match event {
            Event::OrderAccepted(accepted) => self.incoming.push((accepted.order, accepted.client_id)),
            Event::OrderRested(rested) => {
                let client_id = self.client_id(rested.order);
                self.resting.insert(rested.order, client_id);
            }
            Event::OrderCanceled(canceled) => {
                self.resting.remove(&canceled.order);
            }
            Event::Trade(trade) => {
                self.write(trade)?;
                if trade.maker.remaining.is_zero() {
                    self.resting.remove(&trade.maker.order);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Fills written so far.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Flushes and gives back what was written to.
    ///
    /// # Errors
    /// What flushing gives.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn client_id(&self, order: OrderId) -> ClientId {
        let incoming = self.incoming.iter().find(|(candidate, _)| *candidate == order).map(|(_, client_id)| *client_id);
        let known = incoming.or_else(|| self.resting.get(&order).copied()).unwrap_or_default();
        if known.is_empty() {
            ClientId::new(&format!("#{order}")).expect("at most 21 printable characters")
        } else {
            known
        }
    }

    fn write(&mut self, trade: &Trade) -> io::Result<()> {
        self.count += 1;
        let (taker, maker) = (self.client_id(trade.taker.order), self.client_id(trade.maker.order));
        let line =
            FillLine { taker, maker, taker_side: trade.taker_side, quantity: trade.quantity, price: trade.price };
        writeln!(self.out, "{line}")
    }
}

/// One line of the file; the ids are client ids, or what is known of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FillLine<Id> {
    pub(crate) taker: Id,
    pub(crate) maker: Id,
    pub(crate) taker_side: Side,
    pub(crate) quantity: Lots,
    pub(crate) price: Ticks,
}

impl<Id: fmt::Display> fmt::Display for FillLine<Id> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { taker, maker, taker_side, quantity, price } = self;
        let side = match taker_side {
            Side::Bid => 'B',
            Side::Ask => 'S',
        };
        write!(f, "{taker} {maker} {side} {quantity} {price}")
    }
}

#[cfg(test)]
mod tests {
    use lakh_engine::command::{OrderType, SelfTradeMode, TimeInForce};
    use lakh_engine::event::{CancelReason, OrderAccepted, OrderCanceled, OrderRested, TradeParty};
    use lakh_engine::ids::{AccountId, MarketId, TradeId};
    use lakh_engine::units::{Atoms, Timestamp};

    use super::*;

    fn accepted(order: u64, client_id: &str) -> Event {
        Event::OrderAccepted(OrderAccepted {
            account: AccountId(1),
            report_sequence: 1,
            market: MarketId(0),
            order: OrderId(order),
            client_id: ClientId::new(client_id).unwrap(),
            side: Side::Bid,
            order_type: OrderType::Limit,
            time_in_force: TimeInForce::GoodTillCancel,
            self_trade_mode: SelfTradeMode::None,
            price: Ticks(10),
            quantity: Lots(5),
            display_quantity: Lots(0),
            quote_budget: Atoms(0),
            trigger_price: Ticks(0),
            expires_at: Timestamp::ZERO,
        })
    }

    fn rested(order: u64) -> Event {
        Event::OrderRested(OrderRested {
            account: AccountId(1),
            market: MarketId(0),
            order: OrderId(order),
            side: Side::Bid,
            price: Ticks(10),
            remaining: Lots(5),
            feed_sequence: 1,
        })
    }

    fn canceled(order: u64) -> Event {
        Event::OrderCanceled(OrderCanceled {
            account: AccountId(1),
            report_sequence: 1,
            market: MarketId(0),
            order: OrderId(order),
            side: Side::Bid,
            price: Ticks(10),
            remaining: Lots(5),
            displayed: Lots(5),
            reason: CancelReason::Requested,
            feed_sequence: 1,
        })
    }

    fn trade(taker: u64, maker: u64, taker_side: Side, maker_left: u64) -> Event {
        let party = |order, remaining| TradeParty {
            account: AccountId(1),
            order: OrderId(order),
            report_sequence: 1,
            remaining: Lots(remaining),
            fee: 0,
        };
        Event::Trade(Trade {
            market: MarketId(0),
            trade: TradeId(1),
            feed_sequence: 1,
            taker_side,
            price: Ticks(10),
            quantity: Lots(2),
            maker_displayed: Lots(maker_left),
            maker: party(maker, maker_left),
            // A market order by quote budget says 0 although it goes on.
            taker: party(taker, 0),
        })
    }

    #[test]
    fn lines_name_client_ids_and_ended_orders_are_dropped() {
        let script: [(u64, Vec<Event>); 6] = [
            (1, vec![accepted(64, "a"), rested(64)]),
            (2, vec![accepted(128, ""), rested(128)]),
            (3, vec![accepted(192, "t"), trade(192, 64, Side::Ask, 0), trade(192, 128, Side::Ask, 1), canceled(192)]),
            (4, vec![accepted(256, "u"), trade(256, 128, Side::Bid, 1), rested(256)]),
            (5, vec![canceled(128)]),
            (6, vec![accepted(384, "v"), trade(384, 256, Side::Ask, 3)]),
        ];
        let mut writer = FillWriter::new(Vec::new());
        for (sequence, events) in &script {
            for event in events {
                writer.observe(Sequence(*sequence), event).unwrap();
            }
        }
        assert_eq!(writer.count(), 4);
        assert_eq!(writer.resting.keys().copied().collect::<Vec<_>>(), [OrderId(256)]);
        let text = String::from_utf8(writer.finish().unwrap()).unwrap();
        assert_eq!(text, "t a S 2 10\nt #128 S 2 10\nu #128 B 2 10\nv u S 2 10\n");
    }

    #[test]
    fn a_failing_file_is_an_error() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut writer = FillWriter::new(Full);
        writer.observe(Sequence(1), &accepted(64, "a")).unwrap();
        assert!(writer.observe(Sequence(1), &trade(64, 1, Side::Bid, 0)).is_err());
    }
}
