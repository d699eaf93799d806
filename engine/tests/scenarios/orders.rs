//! Limit, post-only, immediate-or-cancel, fill-or-kill and market orders.

use lakh_engine::reject::RejectCode;

use crate::support::venue::rejection;
use crate::support::{
    A, B, BTC, C, Options, USD, Venue, ask, bid, buy_for, check, market_buy, market_sell, sell_for, told,
};

#[test]
fn a_limit_order_rests_where_nothing_crosses() {
    let mut venue = Venue::new();
    assert_eq!(told(&venue.place(A, bid(100, 5))), "accepted, rests 5");
    assert_eq!(told(&venue.place(B, ask(101, 7))), "accepted, rests 7");
    check(
        &venue,
        "     | 101 | 7b
                     5a | 100 |      ",
    );
}

#[test]
fn a_crossing_order_trades_at_the_resting_price_and_rests_with_what_is_left() {
    let mut venue = Venue::new();
    venue.placed(A, ask(100, 5));
    venue.placed(B, ask(101, 5));
    let events = venue.place(C, bid(103, 12));
    assert_eq!(told(&events), "accepted, trade 5 @ 100 with a, trade 5 @ 101 with b, rests 2");
    check(&venue, "2c | 103 |");
}

#[test]
fn a_partial_fill_leaves_the_resting_order_at_the_head() {
    let mut venue = Venue::new();
    venue.placed(A, ask(100, 5));
    venue.placed(B, ask(100, 5));
    assert_eq!(told(&venue.place(C, bid(100, 3))), "accepted, trade 3 @ 100 with a");
    check(&venue, "| 100 | 2a 5b");
    assert_eq!(told(&venue.place(C, bid(100, 4))), "accepted, trade 2 @ 100 with a, trade 2 @ 100 with b");
    check(&venue, "| 100 | 3b");
}

#[test]
fn price_goes_before_time() {
    let mut venue = Venue::new();
    venue.placed(A, bid(99, 1));
    venue.placed(B, bid(101, 1));
    venue.placed(C, bid(100, 1));
    venue.placed(A, bid(101, 2));
    check(
        &venue,
        "1b 2a | 101 |
                   1c    | 100 |
                   1a    | 99  |",
    );
    let events = venue.place(C, ask(99, 5));
    let expected = "accepted, trade 1 @ 101 with b, trade 2 @ 101 with a, trade 1 @ 100 with c, trade 1 @ 99 with a";
    assert_eq!(told(&events), expected);
    check(&venue, "");
}

#[test]
fn an_amendment_keeps_the_place_even_after_a_fill() {
    let mut venue = Venue::new();
    let first = venue.placed(A, ask(100, 8));
    venue.placed(B, ask(100, 5));
    venue.placed(C, bid(100, 2));
    assert_eq!(told(&venue.amend(A, first, 5)), "reduced to 3");
    check(&venue, "| 100 | 3a 5b");
    assert_eq!(told(&venue.amend(A, first, 5)), "rejected AmendNotSmaller", "as it is");
    assert_eq!(told(&venue.amend(A, first, 2)), "rejected AmendNotSmaller", "2 have traded");
    assert_eq!(told(&venue.amend(A, first, 3)), "reduced to 1");
    let events = venue.place(C, bid(100, 2));
    assert_eq!(told(&events), "accepted, trade 1 @ 100 with a, trade 1 @ 100 with b");
}

#[test]
fn post_only_rests_or_is_refused() {
    let mut venue = Venue::new();
    venue.placed(A, ask(101, 5));
    assert_eq!(told(&venue.place(B, bid(101, 1).post_only())), "rejected WouldTrade");
    assert_eq!(told(&venue.place(B, bid(100, 1).post_only())), "accepted, rests 1");
    assert_eq!(told(&venue.place(A, ask(100, 1).post_only())), "rejected WouldTrade");
    check(
        &venue,
        "     | 101 | 5a
                     1b | 100 |",
    );
}

#[test]
fn immediate_or_cancel_never_rests() {
    let mut venue = Venue::new();
    venue.placed(A, ask(100, 5));
    assert_eq!(told(&venue.place(B, bid(100, 8).ioc())), "accepted, trade 5 @ 100 with a, canceled 3b NotFilled");
    assert_eq!(told(&venue.place(B, bid(100, 8).ioc())), "accepted, canceled 8b NotFilled");
    check(&venue, "");
    assert_eq!(venue.funds(B, USD).1, 0, "nothing stays held");
}

#[test]
fn fill_or_kill_takes_all_or_nothing() {
    let mut venue = Venue::new();
    venue.placed(A, ask(100, 5));
    venue.placed(C, ask(101, 5));
    venue.placed(C, ask(102, 5));
    assert_eq!(told(&venue.place(B, bid(101, 11).fok())), "accepted, canceled 11b FillOrKill");
    check(
        &venue,
        "| 102 | 5c
                   | 101 | 5c
                   | 100 | 5a",
    );
    assert_eq!(told(&venue.place(B, bid(101, 8).fok())), "accepted, trade 5 @ 100 with a, trade 3 @ 101 with c");
    check(
        &venue,
        "| 102 | 5c
                   | 101 | 2c",
    );
}

#[test]
fn a_market_order_by_quantity_stays_within_the_band() {
    let mut venue = Venue::new();
    for (price, quantity) in [(100, 2), (105, 2), (106, 2)] {
        venue.placed(A, ask(price, quantity));
    }
    // 5 % above the best ask of 100 is 105.
    let expected = "accepted, trade 2 @ 100 with a, trade 2 @ 105 with a, canceled 2b NotFilled";
    assert_eq!(told(&venue.place(B, market_buy(6))), expected);
    check(&venue, "| 106 | 2a");
    venue.placed(A, bid(100, 2));
    venue.placed(A, bid(94, 2));
    let expected = "accepted, trade 2 @ 100 with a, canceled 1b NotFilled";
    assert_eq!(told(&venue.place(B, market_sell(3))), expected, "94 is below 5 % under 100");
    assert_eq!(told(&venue.place(B, market_sell(3).at(94))), "accepted, trade 2 @ 94 with a, canceled 1b NotFilled");
}

#[test]
fn a_market_order_can_be_all_or_nothing() {
    let mut venue = Venue::new();
    venue.placed(A, ask(100, 2));
    assert_eq!(told(&venue.place(B, market_buy(3).fok())), "accepted, canceled 3b FillOrKill");
    assert_eq!(told(&venue.place(B, market_buy(2).fok())), "accepted, trade 2 @ 100 with a");
}

#[test]
fn a_market_order_needs_somebody_on_the_other_side() {
    let mut venue = Venue::new();
    venue.placed(A, bid(100, 2));
    for order in [market_buy(1), market_buy(1).at(200), buy_for(1_000)] {
        assert_eq!(told(&venue.place(B, order)), "rejected NoLiquidity");
    }
    assert_eq!(told(&venue.place(B, market_sell(1).at(101))), "accepted, canceled 1b NotFilled", "out of its reach");
}

#[test]
fn a_buy_by_budget_spends_what_whole_lots_take() {
    let mut venue = Venue::new();
    venue.placed(A, ask(100, 3));
    venue.placed(A, ask(101, 9));
    let events = venue.place(B, buy_for(550));
    assert_eq!(told(&events), "accepted, trade 3 @ 100 with a, trade 2 @ 101 with a");
    // 502 for the lots, fees of 6 and ⌈4.04⌉.
    assert_eq!(venue.funds(B, USD), (1_000_000_000 - 502 - 6 - 5, 0));
    assert_eq!(venue.funds(B, BTC), (1_000_000_005, 0));
    assert_eq!(told(&venue.place(B, buy_for(100))), "accepted, canceled 0b NotFilled", "no lot is that cheap");
    let rest = "accepted, trade 7 @ 101 with a, canceled 0b NotFilled";
    assert_eq!(told(&venue.place(B, buy_for(100_000))), rest, "nothing is left to buy");
}

#[test]
fn a_sell_by_budget_stops_at_what_it_asks_for() {
    let mut venue = Venue::new();
    venue.placed(A, bid(100, 3));
    venue.placed(A, bid(99, 9));
    assert_eq!(told(&venue.place(B, sell_for(550))), "accepted, trade 3 @ 100 with a, trade 2 @ 99 with a");
    check(&venue, "7a | 99 |");
}

#[test]
fn a_budget_trades_once_with_each_resting_order() {
    let funded = |amount| {
        let mut venue = Venue::with(Options { deposit: 0, ..Options::default() });
        venue.deposit(A, BTC, 1_000);
        venue.deposit(B, USD, amount);
        venue.placed(A, ask(1, 1_000));
        venue
    };
    // A lot costs one atom and its fee by itself another; on all of it the fee of 2 % is 2.
    let mut venue = funded(102);
    assert_eq!(told(&venue.place(B, buy_for(100))), "accepted, trade 100 @ 1 with a");
    assert_eq!(venue.funds(B, USD), (0, 0));
    let mut venue = funded(101);
    assert_eq!(rejection(&venue.place(B, buy_for(100))), Some(RejectCode::InsufficientBalance));
}

#[test]
fn a_taker_stops_after_1024_orders() {
    let mut venue = Venue::with(Options { max_orders: 2_048, ..Options::default() });
    for _ in 0..1_030 {
        venue.placed(A, ask(100, 1));
    }
    assert_eq!(told(&venue.place(B, bid(100, 1_025).fok())), "accepted, canceled 1025b FillOrKill");
    let events = venue.place(B, bid(100, 1_030));
    assert!(told(&events).ends_with("canceled 6b MaxFills"), "{}", told(&events));
    check(&venue, "| 100 | 1a 1a 1a 1a 1a 1a");
    for _ in 0..1_018 {
        venue.placed(A, ask(100, 1));
    }
    let events = venue.place(B, bid(100, 1_024).fok());
    assert!(told(&events).ends_with("trade 1 @ 100 with a"), "exactly as many as one command may");
    check(&venue, "");
}

#[test]
fn an_order_needs_its_worst_cost() {
    let mut venue = Venue::with(Options { deposit: 0, ..Options::default() });
    venue.deposit(A, USD, 1_019);
    venue.deposit(B, BTC, 9);
    assert_eq!(rejection(&venue.place(A, bid(100, 10))), Some(RejectCode::InsufficientBalance), "1,000 and 2 %");
    assert_eq!(rejection(&venue.place(B, ask(100, 10))), Some(RejectCode::InsufficientBalance));
    venue.deposit(A, USD, 1);
    assert_eq!(told(&venue.place(A, bid(100, 10))), "accepted, rests 10");
    assert_eq!(venue.funds(A, USD), (0, 1_020));
    assert_eq!(told(&venue.place(B, ask(100, 9))), "accepted, trade 9 @ 100 with a");
    // The maker paid 900 and 1 %; what is held is still the worst for one lot.
    assert_eq!(venue.funds(A, USD), (1_020 - 900 - 9 - 102, 102));
    assert_eq!(venue.funds(B, USD), (900 - 18, 0));
}
