//! Cancel-replace: one order goes and another comes, both or neither, or each for itself.

use lakh_engine::command::{CancelRestriction, MarketState, Operation, ReplaceMode, ReplaceOrder};
use lakh_engine::ids::OrderId;

use crate::support::venue::replacing;
use crate::support::{A, B, BTC, BTCUSD, Options, USD, Venue, ask, bid, check, market_buy, told};

#[test]
fn the_old_order_goes_and_the_new_one_comes() {
    let mut venue = Venue::new();
    let order = venue.placed(A, bid(100, 5).id("x"));
    let events = venue.replace(A, order, bid(101, 6).id("x"));
    assert_eq!(told(&events), "canceled 5a Requested, replaced, accepted, rests 6");
    check(&venue, "6a | 101 |");
    assert_eq!(told(&venue.replace(A, order, bid(102, 6))), "rejected OrderUnknown", "it is gone");
    check(&venue, "6a | 101 |");
}

#[test]
fn the_new_order_stands_behind_all_others() {
    let mut venue = Venue::new();
    let order = venue.placed(A, bid(100, 5));
    venue.placed(B, bid(100, 4));
    venue.replace(A, order, bid(100, 5));
    check(&venue, "4b 5a | 100 |");
}

#[test]
fn the_new_order_may_trade_at_once() {
    let mut venue = Venue::new();
    let order = venue.placed(A, bid(100, 5));
    venue.placed(B, ask(101, 2));
    let events = venue.replace(A, order, market_buy(2));
    assert_eq!(told(&events), "canceled 5a Requested, replaced, accepted, trade 2 @ 101 with b");
}

#[test]
fn both_or_neither() {
    let mut venue = Venue::new();
    let order = venue.placed(A, bid(100, 5));
    venue.placed(B, ask(101, 2));
    for (new, code) in [
        (bid(101, 1).post_only(), "WouldTrade"),
        (bid(100, 10_001), "QuantityOutOfRange"),
        (bid(100_000, 10_000), "InsufficientBalance"),
        (bid(100, 1).until(0), "ExpiryPassed"),
    ] {
        let mut poor = Venue::with(Options { deposit: 1_000, ..Options::default() });
        let same = poor.placed(A, bid(100, 5));
        poor.placed(B, ask(101, 2));
        assert_eq!(same, order);
        assert_eq!(told(&poor.replace(A, same, new)), format!("rejected {code}"));
        check(
            &poor,
            "   | 101 | 2b
             5a | 100 |",
        );
    }
    assert_eq!(told(&venue.replace(B, order, bid(99, 1))), "rejected OrderUnknown", "another's order");
    venue.set_state(BTCUSD, MarketState::CancelOnly);
    assert_eq!(told(&venue.replace(A, order, bid(99, 1))), "rejected MarketClosed");
    check(
        &venue,
        "   | 101 | 2b
         5a | 100 |",
    );
}

#[test]
fn the_new_order_pays_with_what_the_old_one_held() {
    let mut venue = Venue::with(Options { deposit: 1_020, ..Options::default() });
    let order = venue.placed(A, bid(100, 10));
    assert_eq!(venue.funds(A, USD), (0, 1_020));
    assert_eq!(told(&venue.replace(A, order, bid(101, 10))), "rejected InsufficientBalance");
    assert_eq!(told(&venue.replace(A, order, bid(99, 10))), "canceled 10a Requested, replaced, accepted, rests 10");
    let sell = venue.placed(B, ask(200, 1_020));
    let events = venue.replace(B, sell, bid(150, 7));
    assert_eq!(told(&events), "rejected InsufficientBalance", "base is no quote");
    assert_eq!(venue.funds(B, BTC), (0, 1_020));
}

#[test]
fn the_new_order_takes_the_old_ones_room() {
    let options = Options { max_orders: 2, max_levels: 1, ..Options::default() };
    let mut venue = Venue::with(options);
    let order = venue.placed(A, bid(100, 5));
    venue.placed(B, ask(200, 5));
    assert_eq!(told(&venue.place(A, bid(100, 1))), "rejected BookFull");
    let events = venue.replace(A, order, bid(90, 1));
    assert_eq!(told(&events), "canceled 5a Requested, replaced, accepted, rests 1", "a slot and a level");
}

#[test]
fn an_order_is_not_in_its_successors_way() {
    let mut venue = Venue::new();
    let order = venue.placed(A, ask(100, 5));
    let events = venue.replace(A, order, bid(100, 5).post_only());
    assert_eq!(told(&events), "canceled 5a Requested, replaced, accepted, rests 5");
    let order = venue.placed(B, ask(105, 5));
    assert_eq!(told(&venue.replace(B, order, market_buy(1))), "rejected NoLiquidity", "with itself it cannot trade");
    let waiting = venue.placed(A, bid(90, 5).stop(120));
    let events = venue.replace(A, waiting, bid(90, 5).stop(121));
    assert_eq!(told(&events), "canceled 5a Requested, replaced, accepted", "orders that wait too");
}

#[test]
fn each_for_itself_when_failure_is_allowed() {
    let mut venue = Venue::new();
    let order = venue.placed(A, bid(100, 5));
    let allow = |target, order| {
        Operation::ReplaceOrder(ReplaceOrder { mode: ReplaceMode::AllowFailure, ..replacing(target, order) })
    };
    let events = venue.send(A, allow(OrderId(64), bid(99, 1)));
    assert_eq!(told(&events), "replaced but OrderUnknown, accepted, rests 1");
    let events = venue.send(A, allow(order, bid(0, 1)));
    assert_eq!(told(&events), "canceled 5a Requested, not replaced PriceOutOfRange");
    assert_eq!(told(&venue.send(A, allow(order, bid(99, 0)))), "rejected BadCombination");
    check(&venue, "1a | 99 |");
}

#[test]
fn an_order_can_be_replaced_only_while_new_or_only_once_it_has_traded() {
    let mut venue = Venue::new();
    let order = venue.placed(A, bid(100, 5));
    let only = |restriction| Operation::ReplaceOrder(ReplaceOrder { restriction, ..replacing(order, bid(99, 1)) });
    assert_eq!(told(&venue.send(A, only(CancelRestriction::OnlyPartiallyFilled))), "rejected RestrictionNotMet");
    venue.amend(A, order, 4);
    venue.placed(B, ask(100, 1));
    assert_eq!(told(&venue.send(A, only(CancelRestriction::OnlyNew))), "rejected RestrictionNotMet");
    let events = venue.send(A, only(CancelRestriction::OnlyPartiallyFilled));
    assert_eq!(told(&events), "canceled 3a Requested, replaced, accepted, rests 1");
}

#[test]
fn of_both_halves_the_lower_code_is_answered() {
    let mut venue = Venue::new();
    let nobody = OrderId(64);
    assert_eq!(told(&venue.replace(A, nobody, bid(0, 1))), "rejected PriceOutOfRange");
    assert_eq!(told(&venue.replace(A, nobody, market_buy(1))), "rejected OrderUnknown");
}
