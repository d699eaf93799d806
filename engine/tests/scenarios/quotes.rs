//! Quotes: both sides of a market maker's price by one operation, many of them under one signature.

use lakh_engine::command::{
    CancelOrder, FrameOperation, MarketState, Operation, OrderReference, OrderType, Quote, QuoteSide, SelfTradeMode,
};
use lakh_engine::event::{Event, QuoteSet};
use lakh_engine::ids::{ClientId, OrderId, Sequence};
use lakh_engine::reject::RejectCode;
use lakh_engine::units::{Lots, Ticks};

use crate::support::venue::rejection;
use crate::support::{A, B, BTC, BTCUSD, Options, USD, Venue, ask, bid, check, told};

const START: u64 = 1_000_000_000;

fn side(price: u64, quantity: u64) -> QuoteSide {
    QuoteSide { price: Ticks(price), quantity: Lots(quantity) }
}

/// A quote of number 1, post-only.
fn quote(bid: (u64, u64), ask: (u64, u64)) -> Quote {
    Quote {
        market: BTCUSD,
        slot: 1,
        order_type: OrderType::LimitMaker,
        self_trade_mode: SelfTradeMode::ExpireTaker,
        bid: side(bid.0, bid.1),
        ask: side(ask.0, ask.1),
    }
}

fn set(venue: &mut Venue, quote: Quote) -> String {
    told(&venue.send(A, Operation::Quote(quote)))
}

fn answered(events: &[Event]) -> QuoteSet {
    let answer = events.iter().find_map(|event| match event {
        Event::QuoteSet(quote) => Some(*quote),
        _ => None,
    });
    answer.expect("a quote is answered")
}

#[test]
fn both_sides_come_at_once_and_go_at_once() {
    let mut venue = Venue::new();
    let expected = "accepted, rests 5, accepted, rests 4, quote 1";
    assert_eq!(set(&mut venue, quote((99, 5), (101, 4))), expected);
    check(
        &venue,
        "   | 101 | 4a
         5a |  99 |",
    );
    let expected = "canceled 5a Requoted, canceled 4a Requoted, accepted, rests 5, accepted, rests 4, quote 1";
    assert_eq!(set(&mut venue, quote((103, 5), (105, 4))), expected, "it never meets itself on its way");
    check(
        &venue,
        "   | 105 | 4a
         5a | 103 |",
    );
    assert_eq!(set(&mut venue, quote((0, 0), (0, 0))), "canceled 5a Requoted, canceled 4a Requoted, quote 1");
    check(&venue, "");
    assert_eq!((venue.funds(A, USD), venue.funds(A, BTC)), ((START, 0), (START, 0)));
}

#[test]
fn a_side_that_stays_keeps_its_place() {
    let mut venue = Venue::new();
    set(&mut venue, quote((99, 5), (101, 4)));
    venue.placed(B, bid(99, 7));
    assert_eq!(set(&mut venue, quote((99, 5), (102, 4))), "canceled 4a Requoted, accepted, rests 4, quote 1");
    check(
        &venue,
        "      | 102 | 4a
         5a 7b |  99 |",
    );
    venue.placed(B, ask(99, 2));
    assert_eq!(
        set(&mut venue, quote((99, 5), (102, 4))),
        "canceled 3a Requoted, accepted, rests 5, quote 1",
        "what has traded is made good, behind the others"
    );
    check(
        &venue,
        "      | 102 | 4a
         7b 5a |  99 |",
    );
}

#[test]
fn a_stale_side_goes_even_where_the_new_one_is_refused() {
    let mut venue = Venue::new();
    set(&mut venue, quote((99, 5), (101, 4)));
    venue.placed(B, ask(100, 1));
    let events = venue.send(A, Operation::Quote(quote((100, 5), (102, 4))));
    let expected =
        "canceled 5a Requoted, canceled 4a Requoted, accepted, rests 4, quote 1 refused Some(WouldTrade) None";
    assert_eq!(told(&events), expected);
    let answer = answered(&events);
    assert_eq!((answer.bid, answer.bid_refused), (OrderId(0), Some(RejectCode::WouldTrade)));
    assert_eq!(answer.ask, OrderId::new(venue.engine.sequence(), 1), "the second id of its command");
    check(
        &venue,
        "| 102 | 4a
         | 100 | 1b",
    );
}

#[test]
fn a_quote_that_may_trade_trades() {
    let mut venue = Venue::new();
    venue.placed(B, ask(100, 2));
    let taking = Quote { order_type: OrderType::Limit, ..quote((100, 5), (103, 4)) };
    assert_eq!(set(&mut venue, taking), "accepted, trade 2 @ 100 with b, rests 3, accepted, rests 4, quote 1");
}

#[test]
fn many_quotes_stand_side_by_side_and_share_a_frame() {
    let mut venue = Venue::new();
    let quotes: Vec<FrameOperation> =
        (0..32).map(|slot| FrameOperation::Quote(Quote { slot, ..quote((99, 1), (101, 1)) })).collect();
    let sequence = Sequence(venue.engine.sequence().0 + 1);
    let mut venue_of_many = Venue::with(Options { max_orders: 128, ..Options::default() });
    let events = venue_of_many.frame(A, &quotes);
    assert!(told(&events).ends_with("quote 31, 31 done"), "{}", told(&events));
    let ids: Vec<OrderId> = events
        .iter()
        .filter_map(|event| match event {
            Event::QuoteSet(quote) => Some([quote.bid, quote.ask]),
            _ => None,
        })
        .flatten()
        .collect();
    let expected: Vec<OrderId> = (0..64).map(|index| OrderId::new(sequence, index)).collect();
    assert_eq!(ids, expected, "two ids each");
    let mut one_more = quotes;
    one_more.push(FrameOperation::PlaceOrder(bid(90, 1).0));
    assert_eq!(rejection(&venue.frame(A, &one_more)), Some(RejectCode::BadFrame), "65 orders");
}

#[test]
fn a_side_is_an_order_with_an_id_of_its_own() {
    let mut venue = Venue::new();
    set(&mut venue, quote((99, 5), (101, 4)));
    let target = OrderReference::ClientId(ClientId::of_quote(1, lakh_engine::command::Side::Bid));
    let cancel = Operation::CancelOrder(CancelOrder { market: BTCUSD, target });
    assert_eq!(told(&venue.send(A, cancel)), "canceled 5a Requested");
    let usurped = bid(98, 1).id("~1a");
    assert_eq!(told(&venue.place(A, usurped)), "rejected BadCombination", "or the quote would take it off");
    let replace = Operation::ReplaceOrder(crate::support::venue::replacing(OrderId(64), bid(98, 1).id("~1a")));
    assert_eq!(rejection(&venue.send(A, replace)), Some(RejectCode::BadCombination));
}

#[test]
fn what_is_no_quote_is_refused_as_a_whole() {
    let mut venue = Venue::new();
    set(&mut venue, quote((99, 5), (101, 4)));
    for wrong in [
        quote((101, 1), (101, 1)),
        quote((102, 1), (101, 1)),
        quote((99, 0), (101, 1)),
        Quote { order_type: OrderType::Market, ..quote((99, 1), (101, 1)) },
        Quote { order_type: OrderType::StopLoss, ..quote((99, 1), (101, 1)) },
    ] {
        assert_eq!(set(&mut venue, wrong), "rejected BadCombination");
    }
    check(
        &venue,
        "   | 101 | 4a
         5a |  99 |",
    );
}

#[test]
fn where_no_order_is_taken_a_quote_only_goes() {
    let mut venue = Venue::new();
    set(&mut venue, quote((99, 5), (101, 4)));
    venue.set_state(BTCUSD, MarketState::CancelOnly);
    let expected = "canceled 5a Requoted, canceled 4a Requoted, \
                    quote 1 refused Some(MarketClosed) Some(MarketClosed)";
    assert_eq!(set(&mut venue, quote((98, 5), (102, 4))), expected);
    venue.set_state(BTCUSD, MarketState::Halt);
    assert_eq!(set(&mut venue, quote((0, 0), (0, 0))), "rejected MarketClosed");
}
