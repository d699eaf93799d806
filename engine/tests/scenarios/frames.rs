//! Several operations under one signature, each with a result of its own.

use lakh_engine::command::{AmendOrder, CancelOrder, Command, FrameCommand, FrameOperation, OrderReference};
use lakh_engine::event::Event;
use lakh_engine::ids::{KeyId, OrderId, Sequence};
use lakh_engine::units::{Lots, Timestamp};

use crate::support::venue::{SECOND, START, replacing};
use crate::support::{A, B, BTC, BTCUSD, Draft, Options, USD, Venue, ask, bid, check, market_sell, told};

fn place(order: Draft) -> FrameOperation {
    FrameOperation::PlaceOrder(order.0)
}

fn cancel(order: OrderId) -> FrameOperation {
    FrameOperation::CancelOrder(CancelOrder { market: BTCUSD, target: OrderReference::OrderId(order) })
}

#[test]
fn each_operation_has_its_result_and_its_order_id() {
    let mut venue = Venue::new();
    let old = venue.placed(A, bid(90, 1));
    let sequence = Sequence(venue.engine.sequence().0 + 1);
    let amend = AmendOrder::less(BTCUSD, OrderReference::OrderId(OrderId::new(sequence, 1)), Lots(2));
    let operations = [
        cancel(old),
        place(bid(100, 5)),
        place(bid(0, 1)),
        FrameOperation::AmendOrder(amend),
        FrameOperation::ReplaceOrder(replacing(OrderId::new(sequence, 1), bid(101, 3))),
        place(ask(102, 4)),
    ];
    let expected = "frame of 6, canceled 1a Requested, 0 done, accepted, rests 5, 1 done, 2 refused PriceOutOfRange, \
                    reduced to 2, 3 done, canceled 2a Requested, replaced, accepted, rests 3, 4 done, \
                    accepted, rests 4, 5 done";
    let events = venue.frame(A, &operations);
    assert_eq!(told(&events), expected);
    check(
        &venue,
        "   | 102 | 4a
         3a | 101 |",
    );
    let orders: Vec<OrderId> = events
        .iter()
        .filter_map(|event| match event {
            Event::OrderRested(rested) => Some(rested.order),
            _ => None,
        })
        .collect();
    assert_eq!(orders, [1, 4, 5].map(|index| OrderId::new(sequence, index)));
    assert_eq!(told(&venue.cancel(A, orders[2])), "canceled 4a Requested");
}

#[test]
fn a_frame_is_used_up_as_a_whole() {
    let mut venue = Venue::new();
    let frame = Command::Frame(venue.framed(A, &[place(bid(100, 5)), place(bid(0, 1))]));
    venue.must(&frame);
    assert_eq!(told(&venue.apply(&frame)), "duplicate of 0");
    let late = FrameCommand { valid_until: Timestamp(START.0 + SECOND), ..venue.framed(A, &[place(bid(100, 5))]) };
    venue.wait(SECOND);
    assert_eq!(told(&venue.apply(Command::Frame(late))), "rejected ValidUntilPassed");
    let foreign = FrameCommand { key: KeyId(2), ..venue.framed(A, &[place(bid(100, 5))]) };
    assert_eq!(told(&venue.apply(Command::Frame(foreign))), "rejected KeyOfOtherAccount");
    check(&venue, "5a | 100 |");
}

#[test]
fn a_frame_holds_one_to_64_operations() {
    let mut venue = Venue::with(Options { max_orders: 256, ..Options::default() });
    assert_eq!(told(&venue.frame(A, &[])), "rejected BadFrame");
    assert_eq!(told(&venue.frame(A, &[place(bid(100, 1)); 65])), "rejected BadFrame");
    assert!(told(&venue.frame(A, &[place(bid(100, 1)); 64])).ends_with("63 done"));
}

#[test]
fn operations_share_the_work_of_one_command_and_the_rest_comes_in_continues() {
    let mut venue = Venue::with(Options { max_orders: 4_096, ..Options::default() });
    for _ in 0..2_400 {
        venue.placed(B, ask(100, 1));
    }
    let events = venue.frame(A, &[place(bid(100, 500)); 5]);
    let done = |events: &[Event]| events.iter().filter(|e| matches!(e, Event::OperationDone { .. })).count();
    assert_eq!(done(&events), 2, "what is left is too little for a taker");
    assert!(venue.engine.agenda_pending());
    assert_eq!(told(&venue.place(B, ask(101, 1))), "rejected AgendaPending");
    let events = venue.drain();
    assert_eq!(done(&events), 3);
    assert!(told(&events).ends_with("rests 100, 4 done"), "each had its 500, the last one what there was");
    check(&venue, "100a | 100 |");
}

#[test]
fn an_operation_may_be_cut_short_where_little_work_is_left() {
    let mut venue = Venue::with(Options { max_orders: 4_096, ..Options::default() });
    for _ in 0..1_500 {
        venue.placed(B, ask(100, 1));
    }
    let events = venue.frame(A, &[place(bid(100, 700)), place(bid(100, 700)), place(bid(99, 1))]);
    // 1,024 less one for each operation and 700 for the first: 322 are left for the second.
    assert!(told(&events).contains("canceled 378a MaxFills, 1 done"), "{}", told(&events));
    assert!(told(&venue.drain()).ends_with("rests 1, 2 done"));
}

#[test]
fn a_cascade_comes_before_the_next_operation() {
    let mut venue = Venue::new();
    venue.placed(B, bid(98, 1));
    venue.placed(B, bid(97, 1));
    venue.placed(B, market_sell(1).stop(98));
    let events = venue.frame(A, &[place(ask(98, 1)), place(ask(97, 1))]);
    let expected = "frame of 2, accepted, trade 1 @ 98 with b, b triggered at 98, trade 1 @ 97 with b, 0 done, \
                    accepted, rests 1, 1 done";
    assert_eq!(told(&events), expected);
}

#[test]
fn a_long_cascade_stands_in_front_of_the_rest_of_its_frame() {
    let mut venue = Venue::with(Options { max_orders: 8_192, ..Options::default() });
    venue.placed(B, bid(90, 10_000));
    for _ in 0..2_000 {
        venue.placed(B, ask(90, 1).stop(95));
    }
    let events = venue.frame(A, &[place(ask(90, 1)), place(ask(91, 7))]);
    assert!(told(&events).ends_with("0 done") && venue.engine.agenda_pending());
    let events = told(&venue.drain());
    assert!(events.ends_with("accepted, rests 7, 1 done"), "only behind the last of them");
    assert_eq!(events.matches("rests").count(), 1);
    assert_eq!(venue.funds(A, BTC).1, 7);
    assert_eq!(venue.funds(A, USD).1, 0);
}
