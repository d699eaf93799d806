//! Orders that meet their own account's orders: the incoming order's mode decides.

use lakh_engine::command::SelfTradeMode::{ExpireMaker, ExpireTaker, None as Nothing};

use crate::support::{A, B, BTC, Options, USD, Venue, ask, bid, buy_for, check, told};

/// 2a and 3b at 100, 4a at 101.
fn venue() -> Venue {
    let mut venue = Venue::new();
    venue.placed(A, ask(100, 2));
    venue.placed(B, ask(100, 3));
    venue.placed(A, ask(101, 4));
    venue
}

#[test]
fn without_a_mode_they_trade() {
    let mut venue = venue();
    let events = venue.place(A, bid(100, 4).on_self_trade(Nothing));
    assert_eq!(told(&events), "accepted, trade 2 @ 100 with a, trade 2 @ 100 with b");
    // Both fees of the trade with oneself, 4 and 2, and 200 + 4 for b's lots.
    assert_eq!(venue.funds(A, USD), (1_000_000_000 - 6 - 204, 0));
    assert_eq!(venue.funds(A, BTC), (1_000_000_002 - 4, 4));
}

#[test]
fn expire_taker_drops_what_is_left() {
    let mut venue = venue();
    let events = venue.place(A, bid(100, 4).on_self_trade(ExpireTaker));
    assert_eq!(told(&events), "accepted, canceled 4a SelfTrade");
    let events = venue.place(B, bid(101, 4).on_self_trade(ExpireTaker));
    assert_eq!(told(&events), "accepted, trade 2 @ 100 with a, canceled 2b SelfTrade");
    check(
        &venue,
        "| 101 | 4a
                   | 100 | 3b",
    );
    assert_eq!(venue.funds(B, USD).1, 0);
}

#[test]
fn expire_maker_drops_the_resting_order_and_goes_on() {
    let mut venue = venue();
    let events = venue.place(A, bid(101, 5).on_self_trade(ExpireMaker));
    let expected = "accepted, canceled 2a SelfTrade, trade 3 @ 100 with b, canceled 4a SelfTrade, rests 2";
    assert_eq!(told(&events), expected);
    check(&venue, "2a | 101 |");
    assert_eq!(venue.funds(A, BTC), (1_000_000_003, 0), "what the dropped orders held is free");
}

#[test]
fn the_takers_mode_decides_not_the_makers() {
    let mut venue = Venue::new();
    venue.placed(A, ask(100, 2).on_self_trade(ExpireMaker));
    let events = venue.place(A, bid(100, 2).on_self_trade(Nothing));
    assert_eq!(told(&events), "accepted, trade 2 @ 100 with a");
}

#[test]
fn fill_or_kill_does_not_count_on_its_own_orders() {
    let mut first = venue();
    let events = first.place(A, bid(101, 4).fok().on_self_trade(ExpireMaker));
    assert_eq!(told(&events), "accepted, canceled 4a FillOrKill", "b has only 3");
    check(
        &first,
        "| 101 | 4a
                   | 100 | 2a 3b",
    );
    let events = first.place(A, bid(101, 3).fok().on_self_trade(ExpireMaker));
    assert_eq!(told(&events), "accepted, canceled 2a SelfTrade, trade 3 @ 100 with b");
    let mut second = venue();
    let events = second.place(A, bid(101, 1).fok().on_self_trade(ExpireTaker));
    assert_eq!(told(&events), "accepted, canceled 1a FillOrKill", "its own order is first in the way");
    let events = second.place(A, bid(101, 9).fok().on_self_trade(Nothing));
    assert_eq!(told(&events), "accepted, trade 2 @ 100 with a, trade 3 @ 100 with b, trade 4 @ 101 with a");
}

#[test]
fn a_budget_that_only_took_its_own_orders_off_still_ends() {
    let mut venue = Venue::with(Options::default());
    venue.placed(A, ask(100, 2));
    venue.placed(B, ask(104, 2));
    let events = venue.place(A, buy_for(103).on_self_trade(ExpireMaker));
    assert_eq!(told(&events), "accepted, canceled 2a SelfTrade, canceled 0a NotFilled", "104 is dearer than 103");
}

#[test]
fn self_trades_count_as_touched_orders() {
    let mut venue = Venue::with(Options { max_orders: 2_048, ..Options::default() });
    for _ in 0..1_025 {
        venue.placed(A, ask(100, 1));
    }
    venue.placed(B, ask(100, 1));
    let events = venue.place(A, bid(100, 1).on_self_trade(ExpireMaker));
    assert!(told(&events).ends_with("canceled 1a SelfTrade, canceled 1a MaxFills"));
    let events = venue.place(A, bid(100, 1).on_self_trade(ExpireMaker));
    assert_eq!(told(&events), "accepted, canceled 1a SelfTrade, trade 1 @ 100 with b");
}
