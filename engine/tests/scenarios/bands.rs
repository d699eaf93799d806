//! Price bands: how far an order's price may be from the market's.

use lakh_engine::command::AdminAction;
use lakh_engine::ids::MarketId;

use crate::support::{A, B, BTCUSD, C, Venue, ask, bid, check, market_buy, told};

/// A venue where prices may be 10 % from the market's.
fn venue() -> Venue {
    let mut venue = Venue::new();
    assert_eq!(band(&mut venue, BTCUSD, 100_000), "band 100000");
    venue
}

fn band(venue: &mut Venue, market: MarketId, band: u32) -> String {
    told(&venue.admin(AdminAction::SetPriceBand { market, band }))
}

#[test]
fn before_the_first_trade_the_best_opposite_price_is_the_markets() {
    let mut venue = venue();
    assert_eq!(told(&venue.place(A, ask(100, 1))), "accepted, rests 1", "nobody is there");
    for (price, told_as) in [(89, "rejected PriceOutsideBand"), (90, "accepted, rests 1")] {
        assert_eq!(told(&venue.place(B, bid(price, 1))), told_as);
    }
    assert_eq!(told(&venue.place(B, bid(111, 1))), "rejected PriceOutsideBand");
    assert_eq!(told(&venue.place(B, bid(110, 1))), "accepted, trade 1 @ 100 with a");
}

#[test]
fn behind_a_trade_the_last_price_is_the_markets() {
    let mut venue = venue();
    venue.placed(A, ask(100, 2));
    venue.placed(B, bid(100, 1));
    venue.placed(C, ask(105, 1));
    for price in [89, 111] {
        assert_eq!(told(&venue.place(C, bid(price, 1))), "rejected PriceOutsideBand");
        assert_eq!(told(&venue.place(C, ask(price, 1))), "rejected PriceOutsideBand");
    }
    assert_eq!(told(&venue.place(C, market_buy(1).at(111))), "rejected PriceOutsideBand", "a worst price too");
    assert_eq!(told(&venue.place(C, market_buy(1))), "accepted, trade 1 @ 100 with a", "no price, no band but its own");
    assert_eq!(told(&venue.place(C, ask(110, 1))), "accepted, rests 1");
    check(
        &venue,
        "| 110 | 1c
         | 105 | 1c",
    );
}

#[test]
fn an_order_that_waits_stays_near_its_trigger_price() {
    let mut venue = venue();
    venue.placed(A, ask(100, 1));
    venue.placed(B, bid(100, 1));
    assert_eq!(told(&venue.place(C, ask(80, 1).stop(90))), "rejected PriceOutsideBand");
    assert_eq!(told(&venue.place(C, ask(81, 1).stop(90))), "accepted");
}

#[test]
fn a_band_may_be_lifted_and_is_never_wider_than_the_price() {
    let mut venue = venue();
    venue.placed(A, ask(100, 1));
    assert_eq!(band(&mut venue, BTCUSD, 1_000_001), "rejected BadSpecification");
    assert_eq!(band(&mut venue, MarketId(9), 1_000_001), "rejected MarketUnknown");
    assert_eq!(band(&mut venue, BTCUSD, 0), "band 0");
    assert_eq!(told(&venue.place(B, bid(10, 1))), "accepted, rests 1");
}
