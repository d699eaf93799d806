//! What ends by itself: good-till-date orders, and requests that come too late.

use lakh_engine::command::{Command, MarketState, Operation, SignedCommand};
use lakh_engine::event::{CancelReason, Event};
use lakh_engine::ids::OrderId;
use lakh_engine::units::Timestamp;

use crate::support::venue::{SECOND, START};
use crate::support::{A, B, BTC, BTCUSD, C, ETHUSD, Options, USD, Venue, ask, bid, buy_for, check, market_buy, told};

/// A moment so many seconds behind the venue's start.
fn after(seconds: u64) -> Timestamp {
    Timestamp(START.0 + seconds * SECOND)
}

#[test]
fn a_request_that_comes_too_late_is_never_carried_out() {
    let mut venue = Venue::new();
    let operation = Operation::PlaceOrder(bid(100, 5).0);
    let in_time = SignedCommand { valid_until: after(1), ..venue.signed(A, operation) };
    venue.wait(SECOND - 1);
    assert_eq!(told(&venue.apply(Command::Signed(in_time))), "accepted, rests 5", "one nanosecond is left");
    let late = SignedCommand { valid_until: after(1), ..venue.signed(A, operation) };
    venue.wait(1);
    assert_eq!(told(&venue.apply(Command::Signed(late))), "rejected ValidUntilPassed");
    assert_eq!(told(&venue.apply(Command::Signed(late))), "duplicate of 0", "and its nonce is used up");
    check(&venue, "5a | 100 |");
}

#[test]
fn a_good_till_date_order_trades_until_its_time_and_then_goes() {
    let mut venue = Venue::new();
    assert_eq!(told(&venue.place(A, bid(100, 5).until(10))), "accepted, rests 5");
    assert_eq!(venue.engine.next_deadline(), Some(after(10)));
    venue.wait(9 * SECOND);
    assert_eq!(told(&venue.must(Command::AdvanceTime)), "", "not yet");
    assert_eq!(told(&venue.place(B, ask(100, 2))), "accepted, trade 2 @ 100 with a");
    venue.wait(SECOND);
    assert_eq!(told(&venue.must(Command::AdvanceTime)), "canceled 3a Expired");
    check(&venue, "");
    assert_eq!(venue.engine.next_deadline(), None);
    assert_eq!(venue.funds(A, USD).1, 0, "what it held is free");
}

#[test]
fn until_time_is_advanced_an_order_past_its_end_still_trades() {
    // In every replay alike: the record that ends it has its own place in the journal.
    let mut venue = Venue::new();
    venue.placed(A, bid(100, 5).until(1));
    venue.wait(2 * SECOND);
    assert_eq!(told(&venue.place(B, ask(100, 2))), "accepted, trade 2 @ 100 with a");
    assert_eq!(told(&venue.must(Command::AdvanceTime)), "canceled 3a Expired");
}

#[test]
fn orders_go_by_their_end_then_by_market_then_by_age() {
    let mut venue = Venue::new();
    let third = venue.placed(A, bid(100, 1).until(3));
    let first = venue.placed(A, bid(101, 2).until(1).in_market(ETHUSD));
    let second = venue.placed(B, ask(110, 1).until(2));
    let fourth = venue.placed(B, ask(110, 1).until(3));
    let fifth = venue.placed(B, bid(101, 2).until(3).in_market(ETHUSD));
    venue.wait(9 * SECOND);
    let events = venue.must(Command::AdvanceTime);
    let gone: Vec<OrderId> = events
        .iter()
        .filter_map(|event| match event {
            Event::OrderCanceled(gone) => {
                assert_eq!(gone.reason, CancelReason::Expired);
                Some(gone.order)
            }
            _ => None,
        })
        .collect();
    assert_eq!(gone, [first, second, third, fourth, fifth]);
}

#[test]
fn an_end_needs_a_date_and_a_date_an_end() {
    let mut venue = Venue::new();
    assert_eq!(told(&venue.place(A, bid(100, 5).until(0))), "rejected ExpiryPassed");
    let mut dated = bid(100, 5).until(9);
    dated.0.time_in_force = lakh_engine::command::TimeInForce::GoodTillCancel;
    assert_eq!(told(&venue.place(A, dated)), "rejected BadCombination");
    let mut undated = bid(100, 5).until(9);
    undated.0.expires_at = Timestamp::ZERO;
    assert_eq!(told(&venue.place(A, undated)), "rejected BadCombination");
    venue.placed(B, ask(110, 5));
    for order in [market_buy(1).until(9), buy_for(200).until(9)] {
        assert_eq!(told(&venue.place(A, order)), "rejected BadCombination", "a market order never rests");
    }
    assert_eq!(told(&venue.place(A, bid(100, 5).post_only().until(9))), "accepted, rests 5");
}

#[test]
fn the_same_order_with_another_end_is_another_order() {
    let mut venue = Venue::new();
    venue.placed(A, bid(100, 5).id("x").until(9));
    assert_eq!(told(&venue.place(A, bid(100, 5).id("x").until(9))), "rejected ClientOrderLive");
    assert_eq!(told(&venue.place(A, bid(100, 5).id("x").until(8))), "rejected ClientIdInUse");
}

#[test]
fn orders_end_in_a_halted_market_too() {
    let mut venue = Venue::new();
    venue.placed(A, bid(100, 5).until(1));
    venue.set_state(BTCUSD, MarketState::Halt);
    venue.wait(SECOND);
    assert_eq!(told(&venue.must(Command::AdvanceTime)), "canceled 5a Expired");
}

#[test]
fn what_was_canceled_or_filled_has_no_end_any_more() {
    let mut venue = Venue::new();
    let canceled = venue.placed(A, bid(100, 5).until(1));
    venue.placed(A, bid(100, 5).until(2));
    venue.cancel(A, canceled);
    assert_eq!(venue.engine.next_deadline(), Some(after(2)));
    venue.placed(B, ask(100, 5));
    assert_eq!(venue.engine.next_deadline(), None);
    venue.wait(9 * SECOND);
    // The slots of both are used again by orders without an end.
    venue.placed(C, bid(99, 1));
    venue.placed(C, bid(98, 1));
    assert_eq!(told(&venue.must(Command::AdvanceTime)), "");
}

#[test]
fn all_ends_at_once_are_worked_off_in_parts() {
    let mut venue = Venue::with(Options { max_orders: 4_096, ..Options::default() });
    for index in 0..2_500 {
        venue.placed(A, ask(100 + index % 5, 1).until(1 + index % 3));
    }
    venue.placed(A, ask(100, 1));
    venue.wait(9 * SECOND);
    let events = venue.must(Command::AdvanceTime);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::OrderCanceled(_))).count(), 1_024);
    assert!(venue.engine.agenda_pending());
    assert_eq!(told(&venue.place(B, bid(100, 1))), "rejected AgendaPending", "nothing trades with what is over");
    venue.drain();
    check(&venue, "| 100 | 1a");
    assert_eq!(venue.funds(A, BTC), (1_000_000_000 - 1, 1));
}

#[test]
fn a_book_may_be_full_of_orders_that_end_and_of_orders_that_wait() {
    let mut venue = Venue::with(Options { max_orders: 4, ..Options::default() });
    for quantity in 1..=4 {
        venue.placed(A, bid(100, quantity).until(10));
    }
    assert_eq!(told(&venue.place(A, bid(100, 5))), "rejected BookFull");
    venue.wait(10 * SECOND);
    assert_eq!(told(&venue.must(Command::AdvanceTime)).matches("Expired").count(), 4);
    // The slot that was given back last is taken first: each has its turn as the last that is free.
    for _ in 1..=4 {
        let stop = venue.placed(A, bid(100, 1).stop(105).until(20));
        venue.cancel(A, stop);
        venue.placed(A, bid(99, 1));
    }
    assert_eq!(told(&venue.place(A, bid(100, 5))), "rejected BookFull");
}
