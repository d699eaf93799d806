//! Amendments that ask for another price or for more: the order loses its place and keeps everything else.

use lakh_engine::command::{AmendMode, AmendOrder, KeyScope, Operation, OrderReference, TimeInForce};
use lakh_engine::event::Event;
use lakh_engine::ids::ClientId;
use lakh_engine::units::{Lots, Ticks};

use crate::support::venue::{SECOND, START, amendment, register_second_key};
use crate::support::{A, B, BTC, Options, USD, Venue, ask, bid, check, told};

const MONEY: u64 = 1_000_000_000;

#[test]
fn more_of_an_order_goes_behind_all_others_of_its_price() {
    let mut venue = Venue::new();
    let order = venue.placed(A, ask(100, 5));
    venue.placed(B, ask(100, 7));
    assert_eq!(told(&venue.reprice(A, order, (6, 100))), "canceled 5a Amended, accepted, rests 6");
    check(&venue, "| 100 | 7b 6a");
    assert_eq!(venue.funds(A, BTC), (MONEY - 6, 6));
    assert_eq!(told(&venue.cancel(A, order)), "rejected OrderUnknown", "it has another id now");
}

#[test]
fn another_price_trades_where_it_crosses() {
    let mut venue = Venue::new();
    let order = venue.placed(A, bid(90, 5));
    venue.placed(B, ask(100, 3));
    let expected = "canceled 5a Amended, accepted, trade 3 @ 100 with b, rests 2";
    assert_eq!(told(&venue.reprice(A, order, (5, 101))), expected);
    check(&venue, "2a | 101 |");
}

#[test]
fn what_has_traded_counts_against_the_new_quantity() {
    let mut venue = Venue::new();
    let order = venue.placed(A, ask(100, 8));
    venue.placed(B, bid(100, 3));
    assert_eq!(told(&venue.reprice(A, order, (3, 101))), "rejected AmendNotSmaller", "3 have traded");
    assert_eq!(told(&venue.reprice(A, order, (10, 101))), "canceled 5a Amended, accepted, rests 7");
    check(&venue, "| 101 | 7a");
}

#[test]
fn less_at_the_same_price_keeps_its_place_either_way() {
    let mut venue = Venue::new();
    let order = venue.placed(A, ask(100, 8));
    venue.placed(B, ask(100, 1));
    assert_eq!(told(&venue.reprice(A, order, (6, 100))), "reduced to 6");
    assert_eq!(told(&venue.reprice(A, order, (4, 0))), "reduced to 4", "no price is the one that it has");
    check(&venue, "| 100 | 4a 1b");
}

#[test]
fn who_wants_to_keep_the_place_gets_nothing_else() {
    let mut venue = Venue::new();
    let order = venue.placed(A, ask(100, 8));
    assert_eq!(told(&venue.amend(A, order, 9)), "rejected AmendNotSmaller");
    let target = OrderReference::OrderId(order);
    let cheaper = AmendOrder { new_price: Ticks(99), ..amendment(target, Lots(8)) };
    assert_eq!(told(&venue.send(A, Operation::AmendOrder(cheaper))), "rejected AmendNotSmaller");
}

#[test]
fn everything_else_stays_as_it_was() {
    let mut venue = Venue::new();
    let order = venue.placed(A, bid(100, 9).showing(3).until(60).id("mine"));
    let events = venue.reprice(A, order, (12, 101));
    let Some(Event::OrderAccepted(accepted)) = events.get(1) else { panic!("{events:?}") };
    assert_eq!(accepted.client_id, ClientId::new("mine").expect("short"));
    assert_eq!((accepted.display_quantity, accepted.quantity), (Lots(3), Lots(12)));
    assert_eq!((accepted.time_in_force, accepted.expires_at.0), (TimeInForce::GoodTillDate, START.0 + 60 * SECOND));
    check(&venue, "3a | 101 |");
    assert_eq!(venue.funds(A, USD).1, 12 * 104);
}

#[test]
fn an_order_that_waits_waits_on() {
    let mut venue = Venue::new();
    venue.placed(A, ask(100, 1));
    venue.placed(B, bid(100, 1));
    let order = venue.placed(A, ask(95, 5).stop(98));
    assert_eq!(told(&venue.reprice(A, order, (7, 96))), "canceled 5a Amended, accepted");
    assert_eq!(venue.funds(A, BTC).1, 7);
    let waiting = venue.engine.book(crate::support::BTCUSD).expect("listed").waiting();
    assert_eq!((waiting.len(), waiting[0].1.price), (1, Ticks(96)));
}

#[test]
fn a_refused_amendment_leaves_the_order_alone() {
    let mut venue = Venue::with(Options { deposit: 1_000, ..Options::default() });
    let order = venue.placed(A, bid(100, 5));
    venue.placed(B, ask(103, 1));
    assert_eq!(told(&venue.reprice(A, order, (50, 100))), "rejected InsufficientBalance");
    assert_eq!(
        told(&venue.reprice(A, order, (9, 100))),
        "canceled 5a Amended, accepted, rests 9",
        "its own money counts"
    );
    let post_only = venue.placed(B, ask(105, 2).post_only());
    assert_eq!(told(&venue.reprice(B, post_only, (2, 100))), "rejected WouldTrade");
    check(
        &venue,
        "   | 105 | 2b
            | 103 | 1b
         9a | 100 |",
    );
}

#[test]
fn a_key_that_may_only_make_less_makes_nothing_more() {
    let mut venue = Venue::new();
    let key = register_second_key(&mut venue, A, 20);
    let scope = KeyScope { operations: KeyScope::AMEND, ..KeyScope::EVERYTHING };
    venue.send(A, Operation::NarrowKey { key, scope });
    let order = OrderReference::OrderId(venue.placed(A, bid(100, 5)));
    let more = AmendOrder { mode: AmendMode::MayLosePriority, ..amendment(order, Lots(6)) };
    let request = venue.signed_by(key, A, Operation::AmendOrder(more));
    assert_eq!(told(&venue.apply(request)), "rejected OutOfScope");
    let request = venue.signed_by(key, A, Operation::AmendOrder(amendment(order, Lots(4))));
    assert_eq!(told(&venue.apply(request)), "reduced to 4");
}
