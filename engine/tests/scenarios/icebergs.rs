//! Orders that show only a part of themselves, and post-only orders that slide.

use lakh_engine::command::{MarketState, OrderReference, OrderType, PlaceOrder, SelfTradeMode};
use lakh_engine::event::Event;
use lakh_engine::ids::ClientId;

use crate::support::{A, B, BTC, BTCUSD, C, Draft, Options, USD, Venue, ask, bid, check, market_buy, told};

/// Post-only, one tick behind the best opposite price where it would trade.
fn sliding(order: Draft) -> Draft {
    Draft(PlaceOrder { order_type: OrderType::LimitMakerSlide, ..order.0 })
}

#[test]
fn only_a_part_is_shown_and_all_of_it_is_held() {
    let mut venue = Venue::new();
    assert_eq!(told(&venue.place(A, ask(100, 10).showing(3))), "accepted, rests 3");
    check(&venue, "| 100 | 3a");
    assert_eq!(venue.funds(A, BTC), (1_000_000_000 - 10, 10));
}

#[test]
fn the_next_part_comes_behind_all_others_of_the_price() {
    let mut venue = Venue::new();
    venue.placed(A, ask(100, 10).showing(3));
    venue.placed(B, ask(100, 4));
    let events = venue.place(C, bid(100, 2));
    assert_eq!(told(&events), "accepted, trade 2 @ 100 with a", "a part of a part keeps its place");
    check(&venue, "| 100 | 1a 4b");
    let events = venue.place(C, bid(100, 1));
    assert_eq!(told(&events), "accepted, trade 1 @ 100 with a, rests 3");
    check(&venue, "| 100 | 4b 3a");
    let events = venue.place(C, bid(100, 12));
    let expected = "accepted, trade 4 @ 100 with b, trade 3 @ 100 with a, rests 3, trade 3 @ 100 with a, rests 1, \
                    trade 1 @ 100 with a, rests 1";
    assert_eq!(told(&events), expected, "the last part is what is left; then c's own rest");
    check(&venue, "1c | 100 |");
    assert_eq!(venue.funds(A, BTC).1, 0);
}

#[test]
fn who_counts_public_events_always_has_the_book() {
    let mut venue = Venue::new();
    venue.placed(A, ask(100, 10).showing(3));
    venue.placed(B, ask(100, 5).showing(5));
    let events = venue.place(C, bid(100, 9));
    let trades: Vec<(u64, u64)> = events
        .iter()
        .filter_map(|event| match event {
            Event::Trade(trade) => Some((trade.maker.remaining.0, trade.maker_displayed.0)),
            _ => None,
        })
        .collect();
    assert_eq!(trades, [(7, 0), (0, 0), (6, 2)], "all that is left, and what of it stands there");
    check(&venue, "| 100 | 2a");
}

#[test]
fn a_cancel_takes_what_is_hidden_too() {
    let mut venue = Venue::new();
    venue.placed(A, bid(100, 10).showing(3).id("x"));
    let target = OrderReference::ClientId(ClientId::new("x").expect("short"));
    let events = venue.cancel_by(A, target);
    assert_eq!(told(&events), "canceled 10a Requested");
    let Some(Event::OrderCanceled(canceled)) = events.first() else { panic!("{events:?}") };
    assert_eq!(canceled.displayed.0, 3, "what leaves the public book");
    assert_eq!(venue.funds(A, USD).1, 0);
}

#[test]
fn an_amendment_takes_what_is_hidden_first() {
    let mut venue = Venue::new();
    let order = venue.placed(A, ask(100, 10).showing(3));
    let feed = |venue: &Venue| venue.engine.book(BTCUSD).expect("listed").feed_sequence();
    let before = feed(&venue);
    assert_eq!(told(&venue.amend(A, order, 4)), "reduced to 4");
    assert_eq!(feed(&venue), before, "nothing to see");
    check(&venue, "| 100 | 3a");
    assert_eq!(told(&venue.amend(A, order, 2)), "reduced to 3, reduced to 2");
    assert_eq!(feed(&venue), before + 1);
    check(&venue, "| 100 | 2a");
    assert_eq!(venue.funds(A, BTC), (1_000_000_000 - 2, 2));
}

#[test]
fn only_what_rests_is_hidden() {
    let mut venue = Venue::new();
    venue.placed(B, ask(100, 4));
    let events = venue.place(A, bid(100, 10).showing(5));
    assert_eq!(told(&events), "accepted, trade 4 @ 100 with b, rests 5");
    check(&venue, "5a | 100 |");
    assert_eq!(venue.funds(A, USD).1, 6 * 102);
}

#[test]
fn fill_or_kill_counts_what_is_hidden() {
    let mut venue = Venue::new();
    venue.placed(A, ask(100, 10).showing(3));
    venue.placed(B, ask(100, 2));
    venue.placed(B, ask(101, 2));
    assert_eq!(told(&venue.place(C, bid(101, 15).fok())), "accepted, canceled 15c FillOrKill");
    let events = venue.place(C, bid(100, 12).fok());
    assert_eq!(told(&events).matches("trade").count(), 5);
    check(&venue, "| 101 | 2b");
}

#[test]
fn fill_or_kill_promises_nothing_beyond_its_work() {
    let mut venue = Venue::with(Options { max_orders: 64, ..Options::default() });
    for _ in 0..11 {
        venue.placed(A, ask(100, 100).showing(1));
    }
    assert_eq!(told(&venue.place(C, bid(100, 1_050).fok())), "accepted, canceled 1050c FillOrKill");
    let events = venue.place(C, bid(100, 1_050));
    assert!(told(&events).ends_with("canceled 26c MaxFills"), "each part is an order touched");
}

#[test]
fn own_orders_are_prevented_as_a_whole() {
    let mut venue = Venue::new();
    venue.placed(A, ask(100, 10).showing(3));
    let events = venue.place(A, bid(100, 4).on_self_trade(SelfTradeMode::Decrement));
    assert_eq!(told(&events), "accepted, reduced to 6, canceled 4a SelfTrade");
    check(&venue, "| 100 | 3a");
    let events = venue.place(A, bid(100, 7).on_self_trade(SelfTradeMode::Decrement));
    assert_eq!(told(&events), "accepted, canceled 6a SelfTrade, reduced to 1, rests 1");
    venue.placed(B, ask(101, 10).showing(3));
    let events = venue.place(B, bid(101, 1).on_self_trade(SelfTradeMode::ExpireMaker));
    assert_eq!(told(&events), "accepted, canceled 10b SelfTrade, rests 1");
}

#[test]
fn at_most_a_hundred_parts_and_only_of_what_rests() {
    let mut venue = Venue::new();
    assert_eq!(told(&venue.place(A, ask(100, 301).showing(3))), "rejected QuantityOutOfRange");
    assert_eq!(told(&venue.place(A, ask(100, 300).showing(3))), "accepted, rests 3");
    assert_eq!(told(&venue.place(A, ask(100, 3).showing(4))), "rejected QuantityOutOfRange");
    for order in [ask(100, 3).showing(1).ioc(), market_buy(3).showing(1), ask(90, 3).showing(1).stop(80)] {
        assert_eq!(told(&venue.place(A, order)), "rejected BadCombination");
    }
    assert_eq!(told(&venue.place(A, ask(100, 9).showing(3).post_only())), "accepted, rests 3");
}

#[test]
fn a_post_only_order_slides_one_tick_behind_the_best_price() {
    let mut venue = Venue::new();
    venue.placed(B, ask(105, 2));
    let events = venue.place(A, sliding(bid(107, 3)));
    assert_eq!(told(&events), "accepted, rests 3");
    check(
        &venue,
        "   | 105 | 2b
         3a | 104 |",
    );
    assert_eq!(venue.funds(A, USD).1, 3 * 107, "104 and ⌈2.08⌉ a lot: what it holds follows its price");
    assert_eq!(told(&venue.place(B, sliding(ask(90, 1)))), "accepted, rests 1");
    assert_eq!(
        told(&venue.place(A, sliding(bid(100, 1)))),
        "accepted, rests 1",
        "where nothing is in the way it stays"
    );
    check(
        &venue,
        "   | 105 | 2b 1b
         3a | 104 |
         1a | 100 |",
    );
    venue.set_state(BTCUSD, MarketState::PostOnly);
    assert_eq!(told(&venue.place(A, sliding(bid(110, 1)))), "accepted, rests 1");
}

#[test]
fn nothing_slides_below_the_first_tick() {
    let mut venue = Venue::new();
    venue.placed(B, ask(1, 20));
    assert_eq!(told(&venue.place(A, sliding(bid(1, 20)))), "rejected PriceOutOfRange");
}
