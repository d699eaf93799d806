//! Bugs that a neutral flow found in well-known engines: none of them is to be ours.

use lakh_engine::command::{Operation, OrderReference, SelfTradeMode};
use lakh_engine::event::Event;
use lakh_engine::ids::ClientId;
use lakh_engine::units::Ticks;

use crate::support::{A, B, C, Options, Venue, ask, bid, check, market_buy, told};

#[test]
fn trades_are_priced_by_the_maker() {
    let mut venue = Venue::new();
    venue.placed(A, bid(100, 1));
    assert_eq!(told(&venue.place(B, ask(90, 1))), "accepted, trade 1 @ 100 with a");
    venue.placed(A, ask(100, 1));
    assert_eq!(told(&venue.place(B, bid(110, 1))), "accepted, trade 1 @ 100 with a");
}

#[test]
fn a_partial_fill_does_not_lose_its_place() {
    let mut venue = Venue::new();
    venue.placed(A, bid(100, 3));
    venue.placed(B, bid(100, 3));
    for _ in 0..2 {
        assert_eq!(told(&venue.place(C, ask(100, 1))), "accepted, trade 1 @ 100 with a");
    }
    check(&venue, "1a 3b | 100 |");
}

#[test]
fn a_cancel_of_the_best_moves_the_best() {
    let mut venue = Venue::new();
    let best = venue.placed(A, ask(100, 1));
    venue.placed(B, ask(103, 1));
    venue.cancel(A, best);
    assert_eq!(told(&venue.place(C, bid(102, 1))), "accepted, rests 1", "100 is gone, 103 too dear");
    assert_eq!(told(&venue.place(C, market_buy(1))), "accepted, trade 1 @ 103 with b");
    check(&venue, "1c | 102 |");
}

#[test]
fn the_new_head_can_be_cancelled_after_the_head_was_filled() {
    let mut venue = Venue::new();
    venue.placed(A, ask(100, 1));
    let second = venue.placed(B, ask(100, 2));
    venue.placed(A, ask(100, 3));
    venue.placed(C, bid(100, 1));
    assert_eq!(told(&venue.cancel(B, second)), "canceled 2b Requested");
    check(&venue, "| 100 | 3a");
    assert_eq!(told(&venue.place(C, bid(100, 3))), "accepted, trade 3 @ 100 with a");
    check(&venue, "");
    assert_eq!(told(&venue.place(C, bid(100, 3))), "accepted, rests 3", "the emptied level is really gone");
}

#[test]
fn id_tables_are_cleaned_by_every_way_out() {
    // Room for four orders and ids only: each way out must give all of it back, again and again.
    let mut venue = Venue::with(Options { max_orders: 4, max_levels: 4, ..Options::default() });
    for round in 0..50 {
        let orders = ["p", "q", "r", "s"].map(|id| venue.placed(A, ask(100 + round % 3, 1).id(id)));
        match round % 4 {
            0 => orders.iter().for_each(|order| drop(venue.cancel(A, *order))),
            1 => drop(venue.cancel_all(A, None, None)),
            2 => drop(venue.place(B, bid(110, 4).ioc())),
            _ => drop(venue.place(A, bid(110, 4).ioc().on_self_trade(SelfTradeMode::ExpireMaker))),
        }
        check(&venue, "");
        for (order, id) in orders.iter().zip(["p", "q", "r", "s"]) {
            assert_eq!(told(&venue.cancel(A, *order)), "rejected OrderUnknown");
            let client_id = OrderReference::ClientId(ClientId::new(id).expect("short"));
            assert_eq!(told(&venue.cancel_by(A, client_id)), "rejected OrderUnknown");
        }
    }
}

#[test]
fn an_amendment_that_crosses_trades() {
    let mut venue = Venue::new();
    let order = venue.placed(A, bid(100, 5));
    venue.placed(B, ask(101, 5));
    assert_eq!(told(&venue.amend(A, order, 4)), "reduced to 4");
    let told_of_price = told(&venue.reprice(A, order, (6, 101)));
    assert_eq!(told_of_price, "canceled 4a Amended, accepted, trade 5 @ 101 with b, rests 1", "no crossed book");
    check(&venue, "1a | 101 |");
}

#[test]
fn a_limit_still_binds_once_the_order_crosses() {
    let mut venue = Venue::new();
    for price in [100, 101, 102, 103] {
        venue.placed(A, ask(price, 1));
    }
    let events = venue.place(B, bid(101, 4));
    assert_eq!(told(&events), "accepted, trade 1 @ 100 with a, trade 1 @ 101 with a, rests 2");
    check(
        &venue,
        "     | 103 | 1a
                        | 102 | 1a
                     2b | 101 |",
    );
}

#[test]
fn a_refused_duplicate_never_trades_first() {
    let mut venue = Venue::new();
    venue.placed(A, bid(90, 1).id("x"));
    venue.placed(B, ask(100, 1));
    assert_eq!(told(&venue.place(A, bid(100, 1).id("x"))), "rejected ClientIdInUse");
    check(
        &venue,
        "     | 100 | 1b
                     1a | 90  |",
    );
}

#[test]
fn both_sides_are_told_of_a_trade_with_what_is_left() {
    let mut venue = Venue::new();
    let maker = venue.placed(A, ask(100, 5));
    let events = venue.send(B, Operation::PlaceOrder(bid(100, 3).0));
    let trade = events.iter().find_map(|event| match event {
        Event::Trade(trade) => Some(*trade),
        _ => None,
    });
    let trade = trade.expect("they trade");
    assert_eq!((trade.maker.order, trade.maker.account, trade.maker.remaining.0), (maker, A, 2));
    assert_eq!((trade.taker.account, trade.taker.remaining.0), (B, 0));
    assert_eq!((trade.price, trade.maker.fee, trade.taker.fee), (Ticks(100), 3, 6));
}
