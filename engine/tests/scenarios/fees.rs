//! Fees: who pays what, which rate counts, and that a rebate never costs the venue.

use lakh_engine::ids::AccountId;
use lakh_engine::reject::RejectCode;

use crate::support::venue::rejection;
use crate::support::{A, B, BTC, BTCUSD, ETH, ETHUSD, USD, Venue, ask, bid, told};

const VENUE: AccountId = AccountId(0);
const START: u64 = 1_000_000_000;

#[test]
fn both_sides_pay_in_quote() {
    let mut venue = Venue::new();
    venue.placed(A, ask(100, 10));
    venue.placed(B, bid(100, 10));
    assert_eq!(venue.funds(A, USD), (START + 1_000 - 10, 0), "1 % of the maker");
    assert_eq!(venue.funds(B, USD), (START - 1_000 - 20, 0), "2 % of the taker");
    assert_eq!(venue.funds(VENUE, USD), (30, 0));
    assert_eq!(venue.funds(A, BTC), (START - 10, 0));
    assert_eq!(venue.funds(B, BTC), (START + 10, 0));
}

#[test]
fn each_fill_rounds_in_the_venues_favour() {
    let mut venue = Venue::new();
    venue.placed(A, ask(33, 1));
    venue.placed(A, ask(33, 1));
    venue.placed(B, bid(33, 2));
    // 0.33 and 0.66 an order, rounded up each time.
    assert_eq!(venue.funds(VENUE, USD), (4, 0));
}

#[test]
fn a_maker_gets_a_rebate_out_of_the_takers_fee() {
    let mut venue = Venue::new();
    venue.placed(A, ask(100, 2).in_market(ETHUSD));
    venue.placed(B, bid(100, 2).in_market(ETHUSD));
    // 2 lots at 100 are 2,000 quote atoms and 10 base atoms; 0.15 % and −0.1 %.
    assert_eq!(venue.funds(A, USD), (START + 2_000 + 2, 0));
    assert_eq!(venue.funds(B, USD), (START - 2_000 - 3, 0));
    assert_eq!(venue.funds(VENUE, USD), (1, 0));
    assert_eq!(venue.funds(B, ETH), (START + 10, 0));
}

#[test]
fn a_resting_order_keeps_the_rate_that_it_was_accepted_with() {
    let mut venue = Venue::new();
    venue.placed(A, bid(100, 10));
    assert_eq!(told(&venue.set_fees(BTCUSD, 40_000, 50_000)), "fees");
    venue.placed(A, bid(100, 10));
    assert_eq!(venue.funds(A, USD), (START - 1_020 - 1_050, 1_020 + 1_050));
    venue.placed(B, ask(100, 10));
    assert_eq!(venue.funds(A, USD), (START - 1_000 - 10 - 1_050, 1_050), "1 % as when it came");
    assert_eq!(venue.funds(B, USD), (START + 1_000 - 50, 0), "5 % as now");
    venue.placed(B, ask(100, 10));
    assert_eq!(venue.funds(A, USD), (START - 1_010 - 1_040, 0), "4 %");
    venue.placed(A, bid(100, 10));
    venue.set_fees(BTCUSD, 0, 0);
    let order = venue.placed(A, bid(99, 10));
    assert_eq!(venue.funds(A, USD).1, 1_050 + 990);
    venue.cancel(A, order);
    assert_eq!(venue.funds(A, USD).1, 1_050, "a hold is freed as it was made");
}

#[test]
fn a_rebate_is_at_most_the_fee_of_the_same_fill() {
    let mut venue = Venue::new();
    venue.set_fees(BTCUSD, -20_000, 20_000);
    venue.placed(A, ask(100, 10));
    venue.placed(A, ask(100, 10));
    venue.set_fees(BTCUSD, 0, 5_000);
    venue.placed(B, bid(100, 10));
    assert_eq!(venue.funds(A, USD), (START + 1_000 + 5, 0), "2 % were promised, the taker paid 0.5 %");
    venue.set_fees(BTCUSD, 0, 0);
    venue.placed(B, bid(100, 10));
    assert_eq!(venue.funds(A, USD), (START + 2_000 + 5, 0), "nothing was paid");
    assert_eq!(venue.funds(VENUE, USD), (0, 0), "and the venue lost nothing");
}

#[test]
fn fees_that_would_pay_traders_for_trading_are_refused() {
    let mut venue = Venue::new();
    for (maker, taker) in [(-20_001, 20_000), (0, -1), (100_001, 0), (0, 100_001)] {
        assert_eq!(rejection(&venue.set_fees(BTCUSD, maker, taker)), Some(RejectCode::BadSpecification));
    }
    for (maker, taker) in [(-20_000, 20_000), (100_000, 100_000), (0, 0)] {
        assert_eq!(rejection(&venue.set_fees(BTCUSD, maker, taker)), None);
    }
}
