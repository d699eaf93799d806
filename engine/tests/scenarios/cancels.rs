//! Cancels, amendments by either id, mass cancels and the agenda.

use lakh_engine::command::{AmendOrder, Command, MarketState, Operation, OrderReference, Side};
use lakh_engine::event::{Event, Rejected};
use lakh_engine::ids::{ClientId, OrderId};
use lakh_engine::reject::RejectCode;
use lakh_engine::units::Lots;

use crate::support::venue::{deposit_entry, rejection};
use crate::support::{A, B, BTC, BTCUSD, ETHUSD, Options, USD, Venue, ask, bid, check, told};

fn by_client_id(client_id: &str) -> OrderReference {
    OrderReference::ClientId(ClientId::new(client_id).expect("short"))
}

fn rejected(events: &[Event]) -> Rejected {
    match events {
        [Event::Rejected(rejected)] => *rejected,
        other => panic!("not one reject: {other:?}"),
    }
}

#[test]
fn a_cancel_frees_what_was_held() {
    let mut venue = Venue::new();
    let order = venue.placed(A, bid(100, 5));
    assert_eq!(venue.funds(A, USD), (1_000_000_000 - 510, 510));
    assert_eq!(told(&venue.cancel(B, order)), "rejected OrderUnknown", "another's order");
    assert_eq!(told(&venue.cancel(A, order)), "canceled 5a Requested");
    assert_eq!(venue.funds(A, USD), (1_000_000_000, 0));
    assert_eq!(told(&venue.cancel(A, order)), "rejected OrderUnknown", "gone");
    assert_eq!(told(&venue.cancel(A, OrderId(0))), "rejected OrderUnknown");
    check(&venue, "");
}

#[test]
fn orders_are_found_by_client_id() {
    let mut venue = Venue::new();
    venue.placed(A, bid(100, 5).id("mine"));
    venue.placed(B, bid(100, 5).id("mine"));
    let amend = AmendOrder::less(BTCUSD, by_client_id("mine"), Lots(3));
    assert_eq!(told(&venue.send(A, Operation::AmendOrder(amend))), "reduced to 3");
    assert_eq!(told(&venue.cancel_by(B, by_client_id("mine"))), "canceled 5b Requested");
    check(&venue, "3a | 100 |");
    let refused = rejected(&venue.cancel_by(B, by_client_id("mine")));
    assert_eq!((refused.code, refused.client_id.as_str()), (RejectCode::OrderUnknown, "mine"));
    let nobody = OrderReference::ClientId(ClientId::EMPTY);
    assert_eq!(told(&venue.cancel_by(A, nobody)), "rejected OrderUnknown", "no id names no order");
}

#[test]
fn a_client_id_is_free_again_when_its_order_is_gone() {
    let mut venue = Venue::new();
    let order = venue.placed(A, bid(100, 5).id("x"));
    let again = rejected(&venue.place(A, bid(100, 5).id("x")));
    assert_eq!((again.code, again.order), (RejectCode::ClientOrderLive, order), "the same order again");
    let other = rejected(&venue.place(A, bid(100, 6).id("x")));
    assert_eq!((other.code, other.order), (RejectCode::ClientIdInUse, order), "another order");
    assert_eq!(told(&venue.place(B, ask(101, 6).id("x"))), "accepted, rests 6", "ids are each account's own");
    assert_eq!(told(&venue.place(A, bid(50, 6).id("x").in_market(ETHUSD))), "accepted, rests 6", "and each market's");
    venue.cancel(A, order);
    let order = venue.placed(A, bid(100, 5).id("x"));
    venue.placed(B, ask(100, 5));
    assert_eq!(told(&venue.cancel(A, order)), "rejected OrderUnknown", "filled");
    assert_eq!(told(&venue.place(A, bid(100, 5).id("x"))), "accepted, rests 5");
    assert_eq!(told(&venue.place(A, bid(100, 5).id("y").ioc())), "accepted, canceled 5a NotFilled");
    assert_eq!(told(&venue.place(A, bid(100, 5).id("y"))), "accepted, rests 5", "it never was live");
}

#[test]
fn a_mass_cancel_takes_a_market_a_side_or_all() {
    let mut venue = Venue::new();
    let place_all = |venue: &mut Venue| {
        for order in [bid(100, 1), bid(99, 2), ask(110, 3)] {
            venue.placed(A, order);
        }
        for order in [bid(99, 2), ask(110, 3)] {
            venue.placed(A, order.in_market(ETHUSD));
        }
        venue.placed(B, bid(98, 9));
    };
    place_all(&mut venue);
    let count = |venue: &Venue, market| venue.engine.book(market).expect("listed").order_count();
    let events = venue.cancel_all(A, Some(BTCUSD), Some(Side::Bid));
    let expected = "mass cancel, canceled 1a MassCancel, canceled 2a MassCancel, progress 2 Finished";
    assert_eq!(told(&events), expected);
    assert_eq!(count(&venue, ETHUSD), 2, "the other market is left alone");
    let events = venue.cancel_all(A, None, Some(Side::Ask));
    let expected = "mass cancel, canceled 3a MassCancel, canceled 3a MassCancel, progress 2 Finished";
    assert_eq!(told(&events), expected);
    check(&venue, "9b | 98 |");
    assert_eq!(told(&venue.cancel_all(A, None, None)), "mass cancel, canceled 2a MassCancel, progress 1 Finished");
    assert_eq!(told(&venue.cancel_all(A, None, None)), "mass cancel, progress 0 Finished", "nothing is left");
    assert_eq!(venue.funds(A, USD).1 + venue.funds(A, BTC).1, 0);
}

#[test]
fn a_mass_cancel_leaves_halted_markets_alone() {
    let mut venue = Venue::new();
    venue.placed(A, bid(100, 1));
    venue.placed(A, bid(100, 2).in_market(ETHUSD));
    venue.set_state(BTCUSD, MarketState::Halt);
    assert_eq!(told(&venue.cancel_all(A, Some(BTCUSD), None)), "rejected MarketClosed");
    assert_eq!(told(&venue.cancel_all(A, None, None)), "mass cancel, canceled 2a MassCancel, progress 1 Finished");
    check(&venue, "1a | 100 |");
}

/// A venue where a has 1,500 bids and 700 asks, b one bid among them.
fn crowded() -> Venue {
    let mut venue = Venue::with(Options { max_orders: 4_096, ..Options::default() });
    for index in 0..1_500 {
        venue.placed(A, bid(90 + index % 5, 1));
        if index < 700 {
            venue.placed(A, ask(100 + index % 5, 1));
        }
    }
    venue.placed(B, bid(90, 7));
    venue
}

#[test]
fn a_large_mass_cancel_is_worked_off_by_continues() {
    let mut venue = crowded();
    let events = venue.cancel_all(A, None, None);
    assert!(told(&events).ends_with("progress 1024 Pending"));
    assert!(venue.engine.agenda_pending());
    assert_eq!(rejection(&venue.place(B, bid(100, 1))), Some(RejectCode::AgendaPending));
    let entry = Command::ChainEntry(venue.next_entry(deposit_entry(B, USD, 1)));
    assert_eq!(rejection(&venue.apply(entry)), Some(RejectCode::AgendaPending));
    assert_eq!(venue.engine.last_queue_id(), 0, "the entry waits");
    assert_eq!(rejection(&venue.apply(Command::AdvanceTime)), Some(RejectCode::AgendaPending));
    let events = venue.apply(Command::Continue);
    assert!(told(&events).ends_with("progress 1024 Pending"));
    let events = venue.apply(Command::Continue);
    assert!(told(&events).ends_with("progress 152 Finished"), "{}", told(&events));
    assert_eq!(rejection(&venue.apply(Command::Continue)), Some(RejectCode::NothingToContinue));
    check(&venue, "7b | 90 |");
    assert_eq!(venue.funds(A, USD), (1_000_000_000, 0));
}

#[test]
fn a_large_mass_cancel_of_one_side_skips_the_other() {
    let mut venue = crowded();
    let events = venue.cancel_all(A, Some(BTCUSD), Some(Side::Ask));
    // Bids and asks stand in turn at first, so the first 1,024 orders are half and half.
    assert!(told(&events).ends_with("progress 512 Pending"), "bounded by what it looks at");
    let events = venue.drain();
    assert!(told(&events).ends_with("Finished"));
    assert_eq!(venue.engine.book(BTCUSD).expect("listed").order_count(), 1_501);
    assert_eq!(venue.funds(A, BTC), (1_000_000_000, 0));
}

#[test]
fn a_mass_cancel_goes_by_age_not_by_any_table() {
    let mut venue = Venue::new();
    let ids: Vec<OrderId> = [103, 101, 105, 102].map(|price| venue.placed(A, ask(price, 1))).to_vec();
    let canceled: Vec<OrderId> = venue
        .cancel_all(A, None, None)
        .iter()
        .filter_map(|event| match event {
            Event::OrderCanceled(canceled) => Some(canceled.order),
            _ => None,
        })
        .collect();
    assert_eq!(canceled, ids);
}
