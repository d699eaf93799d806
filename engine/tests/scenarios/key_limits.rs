//! What a key may do at most: so much notional a day, and no price too far on the wrong side.

use lakh_engine::command::{Command, FrameCommand, FrameOperation, KeyLimits, Operation};
use lakh_engine::ids::{AssetId, KeyId};
use lakh_engine::reject::RejectCode::{AssetUnknown, BadSpecification, OutOfScope};
use lakh_engine::units::Atoms;

use crate::support::venue::{SECOND, register_second_key, rejection};
use crate::support::{A, B, BTC, Draft, ETHUSD, USD, Venue, ask, bid, buy_for, market_buy, told};

const DAY: u64 = 86_400 * SECOND;

/// A venue where a has a second key with these limits.
fn venue(limits: KeyLimits) -> (Venue, KeyId) {
    let mut venue = Venue::new();
    let key = register_second_key(&mut venue, A, 20);
    assert_eq!(told(&venue.send(A, Operation::LimitKey { key, limits })), format!("key {key} limited"));
    (venue, key)
}

fn daily(notional: u64) -> KeyLimits {
    KeyLimits { notional_per_day: Atoms(notional), quote: USD, ..KeyLimits::NONE }
}

fn place(venue: &mut Venue, key: KeyId, order: Draft) -> String {
    let request = venue.signed_by(key, A, Operation::PlaceOrder(order.0));
    told(&venue.apply(request))
}

#[test]
fn a_days_notional_is_used_up_by_what_is_accepted() {
    let (mut venue, key) = venue(daily(1_000));
    assert_eq!(place(&mut venue, key, bid(100, 6)), "accepted, rests 6");
    assert_eq!(place(&mut venue, key, bid(101, 4)), "rejected KeyLimitReached", "600 and 404");
    assert_eq!(place(&mut venue, key, ask(400, 1)), "accepted, rests 1", "either side counts");
    assert_eq!(place(&mut venue, key, bid(10, 1)), "rejected KeyLimitReached", "all is used up");
    assert_eq!(told(&venue.place(A, bid(101, 40))), "accepted, rests 40", "the first key has no limit");
    venue.cancel_all(A, None, None);
    assert_eq!(place(&mut venue, key, bid(10, 1)), "rejected KeyLimitReached", "what is cancelled counts too");
}

#[test]
fn the_next_day_begins_anew() {
    let (mut venue, key) = venue(daily(1_000));
    place(&mut venue, key, bid(100, 10));
    let midnight = DAY - venue.now.0 % DAY;
    venue.wait(midnight - 1);
    assert_eq!(place(&mut venue, key, bid(10, 1)), "rejected KeyLimitReached", "a nanosecond before midnight");
    venue.wait(1);
    assert_eq!(place(&mut venue, key, bid(100, 10)), "accepted, rests 10");
    assert_eq!(place(&mut venue, key, bid(10, 1)), "rejected KeyLimitReached");
}

#[test]
fn market_orders_count_what_they_can_come_to() {
    let (mut venue, key) = venue(daily(1_000));
    venue.placed(B, ask(100, 50));
    assert_eq!(place(&mut venue, key, market_buy(10)), "rejected KeyLimitReached", "up to 105 each");
    assert_eq!(place(&mut venue, key, buy_for(900)), "accepted, trade 9 @ 100 with b");
    assert_eq!(place(&mut venue, key, buy_for(101)), "rejected KeyLimitReached");
}

#[test]
fn a_notional_in_one_quote_asset_keeps_the_key_in_its_markets() {
    let limits = KeyLimits { quote: BTC, ..daily(1_000_000) };
    let (mut venue, key) = venue(limits);
    assert_eq!(place(&mut venue, key, bid(100, 1)), "rejected KeyLimitReached", "this one is paid in dollars");
}

#[test]
fn no_price_may_be_too_far_on_the_wrong_side() {
    let (mut venue, key) = venue(KeyLimits { price_band: 50_000, ..KeyLimits::NONE });
    assert_eq!(place(&mut venue, key, bid(100, 1)), "rejected KeyLimitReached", "nothing says what the price is");
    venue.placed(B, ask(200, 1));
    assert_eq!(
        place(&mut venue, key, bid(210, 1).post_only()),
        "rejected WouldTrade",
        "before the first trade the best"
    );
    venue.place(B, bid(100, 1));
    venue.place(B, ask(100, 1));
    assert_eq!(place(&mut venue, key, bid(105, 1)), "accepted, rests 1", "5 % above the last price");
    assert_eq!(place(&mut venue, key, bid(106, 1)), "rejected KeyLimitReached");
    assert_eq!(place(&mut venue, key, bid(10, 1)), "accepted, rests 1", "a bargain is no harm");
    assert_eq!(place(&mut venue, key, ask(94, 1)), "rejected KeyLimitReached");
    assert_eq!(place(&mut venue, key, ask(95, 1).in_market(ETHUSD)), "rejected QuantityOutOfRange");
    assert_eq!(told(&venue.place(A, ask(300, 1))), "accepted, rests 1");
}

#[test]
fn every_way_to_an_order_is_counted() {
    let (mut venue, key) = venue(daily(1_000));
    let operations = [FrameOperation::PlaceOrder(bid(100, 6).0), FrameOperation::PlaceOrder(bid(101, 6).0)];
    let frame = FrameCommand { key, ..venue.framed(A, &operations) };
    let expected = "frame of 2, accepted, rests 6, 0 done, 1 refused KeyLimitReached";
    assert_eq!(told(&venue.apply(Command::Frame(frame))), expected);
    let order = venue.placed(A, bid(99, 1));
    let replace = Operation::ReplaceOrder(crate::support::venue::replacing(order, bid(100, 5)));
    let request = venue.signed_by(key, A, replace);
    assert_eq!(told(&venue.apply(request)), "rejected KeyLimitReached");
    let amend = lakh_engine::command::AmendOrder {
        new_price: lakh_engine::units::Ticks(100),
        mode: lakh_engine::command::AmendMode::MayLosePriority,
        ..crate::support::venue::amendment(
            lakh_engine::command::OrderReference::OrderId(order),
            lakh_engine::units::Lots(5),
        )
    };
    let request = venue.signed_by(key, A, Operation::AmendOrder(amend));
    assert_eq!(told(&venue.apply(request)), "rejected KeyLimitReached");
}

#[test]
fn a_limited_key_changes_no_limits() {
    let (mut venue, key) = venue(daily(1_000));
    let limit = |venue: &mut Venue, by: KeyId, key: KeyId, limits: KeyLimits| {
        let request = venue.signed_by(by, A, Operation::LimitKey { key, limits });
        rejection(&venue.apply(request))
    };
    assert_eq!(limit(&mut venue, key, key, KeyLimits::NONE), Some(OutOfScope));
    assert_eq!(limit(&mut venue, key, KeyId(1), daily(1)), Some(OutOfScope), "nor those of others");
    assert_eq!(limit(&mut venue, KeyId(1), KeyId(2), daily(1)), Some(OutOfScope), "b's key is b's");
    assert_eq!(limit(&mut venue, KeyId(1), key, KeyLimits { quote: AssetId(9), ..daily(1) }), Some(AssetUnknown));
    let wide = KeyLimits { price_band: 1_000_001, ..KeyLimits::NONE };
    assert_eq!(limit(&mut venue, KeyId(1), key, wide), Some(BadSpecification));
    assert_eq!(limit(&mut venue, KeyId(1), key, KeyLimits::NONE), None, "a key without limits frees it");
    assert_eq!(place(&mut venue, key, bid(100, 60)), "accepted, rests 60");
}
