//! The books of the package registry, each through its own plainest interface, without owners, fees or accounts.
//!
//! What a book needs that is not the flow's (identifiers of its own, decimals) is made inside the measured time only where
//! the book asks for it with every call. Fills are taken from what each call returns.

use lobster::{OrderEvent, OrderType as LobsterOrder};
use matchcore::{
    CancelCmd, Command, CommandKind, CommandMeta, CommandOutcome, CommandReport, LimitOrder, NewOrder, OrderFlags,
    OrderId, OrderKind, Price, Quantity, QuantityPolicy, SequenceNumber, SubmitCmd, Timestamp,
};
use orderbook_rs::{Id, TimeInForce};
use rust_ob::Decimal;

use crate::flow::{Fills, Flow, Kind, Side, Step};
use crate::measure::{Cost, measure};

/// A book: its name and how to play the flow once on a new one.
pub(crate) type Peer = (&'static str, fn(&Flow) -> (Fills, Cost));

/// All of them but [`play_matchcore`].
pub(crate) const PEERS: [Peer; 3] =
    [("orderbook-rs 0.15.3", play_orderbook_rs), ("lobster 0.7.0", play_lobster), ("rust_ob 2.5.3", play_rust_ob)];

fn play_orderbook_rs(flow: &Flow) -> (Fills, Cost) {
    let book = orderbook_rs::OrderBook::<()>::new("FLOW");
    let side = |side| if side == Side::Bid { orderbook_rs::Side::Buy } else { orderbook_rs::Side::Sell };
    let number = |id| if let Id::Sequential(number) = id { number } else { 0 };
    measure(|| {
        let mut fills = Fills::default();
        for step in &flow.steps {
            let id = Id::from_u64(u64::from(step.id));
            if step.kind == Kind::Cancel {
                book.cancel_order(id).expect("a cancel is taken");
                continue;
            }
            let (price, quantity) = (u128::from(step.price), u64::from(step.quantity));
            let placed = book.add_limit_order_with_result(id, price, quantity, side(step.side), TimeInForce::Gtc, None);
            let (_, result) = placed.expect("an order is taken");
            for trade in result.iter().flat_map(|result| result.match_result.trades().as_vec()) {
                let orders = (number(trade.maker_order_id()), number(trade.taker_order_id()));
                let price = u64::try_from(trade.price().as_u128()).expect("a price of the flow");
                fills.add(orders, price, trade.quantity().as_u64());
            }
        }
        fills
    })
}

fn play_lobster(flow: &Flow) -> (Fills, Cost) {
    let mut book = lobster::OrderBook::new(flow.resting as usize * 2, 16, false);
    let side = |side| if side == Side::Bid { lobster::Side::Bid } else { lobster::Side::Ask };
    measure(|| {
        let mut fills = Fills::default();
        for step in &flow.steps {
            let id = u128::from(step.id);
            let order = match step.kind {
                Kind::Cancel => LobsterOrder::Cancel { id },
                Kind::Place => LobsterOrder::Limit {
                    id,
                    side: side(step.side),
                    qty: u64::from(step.quantity),
                    price: u64::from(step.price),
                },
            };
            if let OrderEvent::Filled { fills: all, .. } | OrderEvent::PartiallyFilled { fills: all, .. } =
                book.execute(order)
            {
                for fill in all {
                    fills.add((fill.order_2 as u64, fill.order_1 as u64), fill.price, fill.qty);
                }
            }
        }
        fills
    })
}

fn play_rust_ob(flow: &Flow) -> (Fills, Cost) {
    let mut book = rust_ob::OrderBook::new();
    let side = |side| if side == Side::Bid { rust_ob::Side::Buy } else { rust_ob::Side::Sell };
    let whole = |number: Decimal| u64::try_from(number).expect("a whole number of the flow");
    measure(|| {
        let mut fills = Fills::default();
        for step in &flow.steps {
            if step.kind == Kind::Cancel {
                book.cancel_order(step.id).expect("a cancel is taken");
                continue;
            }
            let (price, quantity) = (Decimal::from(step.price), Decimal::from(step.quantity));
            let matches = book.process_limit_order(step.id, side(step.side), price, quantity);
            let matches = matches.expect("an order is taken");
            // The last is the incoming order itself.
            for fill in matches.split_last().map_or(&[][..], |(_, makers)| makers) {
                let price = whole((fill.cost / fill.quantity).abs());
                fills.add((u64::from(fill.order), u64::from(step.id)), price, whole(fill.quantity));
            }
        }
        fills
    })
}

/// Its ids are the sequence numbers of their commands, and so have to be the flow's: a table from one to the other would
/// be this program's and no part of the book.
pub(crate) fn play_matchcore(flow: &Flow) -> (Fills, Cost) {
    let mut book = matchcore::OrderBook::new("FLOW");
    measure(|| {
        let mut fills = Fills::default();
        for (sequence, step) in (0..).zip(&flow.steps) {
            let meta = CommandMeta { sequence_number: SequenceNumber(sequence), timestamp: Timestamp(1) };
            let kind = match step.kind {
                Kind::Place => CommandKind::Submit(SubmitCmd { order: limit_order(step) }),
                Kind::Cancel => CommandKind::Cancel(CancelCmd {
                    order_id: OrderId(u64::from(step.id)),
                    order_kind: OrderKind::Limit,
                }),
            };
            let outcome = book.execute(&Command { meta, kind });
            // Where it traded otherwise than the flow, a cancel may find nothing; its fills are not the flow's then.
            let CommandOutcome::Applied(CommandReport::Submit(effects)) = outcome else { continue };
            for trade in effects.target_order().match_result().map_or(&[][..], |result| result.trades()) {
                let orders = (trade.maker_order_id().0, u64::from(step.id));
                fills.add(orders, trade.price().0, trade.quantity().0);
            }
        }
        fills
    })
}

fn limit_order(step: &Step) -> NewOrder {
    let side = if step.side == Side::Bid { matchcore::Side::Buy } else { matchcore::Side::Sell };
    NewOrder::Limit(LimitOrder::new(
        Price(u64::from(step.price)),
        QuantityPolicy::Standard { quantity: Quantity(u64::from(step.quantity)) },
        OrderFlags::new(side, false, matchcore::TimeInForce::Gtc),
    ))
}
