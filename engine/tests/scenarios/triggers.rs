//! Stop-loss and take-profit orders: what they wait for, what they hold, and how one sets off the next.

use lakh_engine::command::{Command, MarketState, OrderReference, Side};
use lakh_engine::event::Event;
use lakh_engine::ids::ClientId;

use crate::support::venue::SECOND;
use crate::support::{
    A, B, BTC, BTCUSD, C, Draft, Options, USD, Venue, ask, bid, buy_for, check, market_buy, market_sell, told,
};

/// A venue whose last price is 100; 9 lots of b rest at each of 95, 96, 104 and 105.
fn venue() -> Venue {
    let mut venue = Venue::with(Options { max_orders: 256, ..Options::default() });
    trade_at(&mut venue, 100);
    for order in [bid(95, 9), bid(96, 9), ask(104, 9), ask(105, 9)] {
        venue.placed(B, order);
    }
    venue
}

/// One lot between b and c, so that this is the last price; whatever is nearer is in the way.
fn trade_at(venue: &mut Venue, price: u64) -> String {
    venue.placed(B, ask(price, 1));
    told(&venue.place(C, bid(price, 1)))
}

/// How many orders wait.
fn waiting(venue: &Venue) -> usize {
    venue.engine.book(BTCUSD).expect("listed").waiting().len()
}

#[test]
fn a_stop_loss_sells_when_the_price_has_fallen_to_it() {
    let mut venue = venue();
    assert_eq!(told(&venue.place(A, market_sell(3).stop(98))), "accepted", "it waits");
    assert_eq!(venue.funds(A, BTC), (1_000_000_000 - 3, 3), "and holds what it will sell");
    assert_eq!(trade_at(&mut venue, 99), "accepted, trade 1 @ 99 with b", "not yet");
    let expected = "accepted, trade 1 @ 98 with b, a triggered at 98, trade 3 @ 96 with b";
    assert_eq!(trade_at(&mut venue, 98), expected);
    assert_eq!(waiting(&venue), 0);
    assert_eq!(venue.funds(A, BTC), (1_000_000_000 - 3, 0));
}

#[test]
fn a_stop_loss_buys_when_the_price_has_risen_to_it() {
    let mut venue = venue();
    venue.placed(A, market_buy(2).stop(101));
    // The worst price is 5 % above 101, so each lot holds 106 and ⌈2.12⌉ for the fee.
    assert_eq!(venue.funds(A, USD).1, 2 * 109);
    let expected = "accepted, trade 1 @ 101 with b, a triggered at 101, trade 2 @ 104 with b";
    assert_eq!(trade_at(&mut venue, 101), expected);
    assert_eq!(venue.funds(A, USD), (1_000_000_000 - 208 - 5, 0), "what was not needed is free");
}

#[test]
fn a_take_profit_waits_for_the_other_direction() {
    let mut venue = venue();
    venue.placed(A, market_sell(1).profit(102));
    venue.placed(A, market_buy(1).profit(97));
    assert_eq!(trade_at(&mut venue, 101), "accepted, trade 1 @ 101 with b");
    let expected = "accepted, trade 1 @ 102 with b, a triggered at 102, canceled 1a NotFilled";
    assert_eq!(trade_at(&mut venue, 102), expected, "96 is more than 5 % below its trigger price");
    let expected = "accepted, trade 1 @ 97 with b, a triggered at 97, canceled 1a NotFilled";
    assert_eq!(trade_at(&mut venue, 97), expected, "104 is more than 5 % above");
    assert_eq!(venue.funds(A, USD).1 + venue.funds(A, BTC).1, 0);
}

#[test]
fn a_stop_loss_with_a_worst_price_trades_up_to_it() {
    let mut venue = venue();
    let with_worst = |price| {
        let stop = market_sell(12).stop(98);
        Draft(lakh_engine::command::PlaceOrder { price: lakh_engine::units::Ticks(price), ..stop.0 })
    };
    venue.placed(A, with_worst(96));
    venue.placed(C, with_worst(95));
    let expected = "accepted, trade 1 @ 98 with b, a triggered at 98, trade 9 @ 96 with b, canceled 3a NotFilled, \
                    c triggered at 96, trade 9 @ 95 with b, canceled 3c NotFilled";
    assert_eq!(trade_at(&mut venue, 98), expected);
}

#[test]
fn a_stop_limit_rests_at_its_limit_when_nothing_is_there() {
    let mut venue = venue();
    venue.placed(A, ask(99, 4).stop(98).id("stop"));
    assert_eq!(trade_at(&mut venue, 98), "accepted, trade 1 @ 98 with b, a triggered at 98, rests 4");
    check(
        &venue,
        "   | 105 | 9b
            | 104 | 9b
            | 99  | 4a
         9b | 96  |
         9b | 95  |",
    );
    let target = OrderReference::ClientId(ClientId::new("stop").expect("short"));
    assert_eq!(told(&venue.cancel_by(A, target)), "canceled 4a Requested");
    assert_eq!(venue.funds(A, BTC), (1_000_000_000, 0));
}

#[test]
fn a_triggered_order_comes_behind_those_that_rested_before_it() {
    let mut venue = venue();
    venue.placed(A, ask(99, 1).stop(98));
    venue.placed(C, ask(99, 2));
    assert_eq!(trade_at(&mut venue, 98), "accepted, trade 1 @ 98 with b, a triggered at 98, rests 1");
    let events = venue.place(B, bid(99, 2));
    assert_eq!(told(&events), "accepted, trade 2 @ 99 with c", "its id is older, its place is not");
}

#[test]
fn waiting_orders_are_not_in_the_public_book_and_count_as_open() {
    let mut venue = venue();
    let book = |venue: &Venue| venue.engine.book(BTCUSD).expect("listed").order_count();
    let before = (book(&venue), venue.engine.book(BTCUSD).expect("listed").feed_sequence());
    let order = venue.placed(A, ask(99, 4).stop(98).id("x"));
    let after = (book(&venue), venue.engine.book(BTCUSD).expect("listed").feed_sequence());
    assert_eq!(before, after, "nobody sees it");
    assert_eq!(told(&venue.place(A, ask(99, 4).stop(98).id("x"))), "rejected ClientOrderLive");
    assert_eq!(told(&venue.place(A, ask(99, 4).stop(97).id("x"))), "rejected ClientIdInUse");
    assert_eq!(told(&venue.amend(A, order, 3)), "reduced to 3");
    assert_eq!(venue.funds(A, BTC), (1_000_000_000 - 3, 3));
    let after = venue.engine.book(BTCUSD).expect("listed").feed_sequence();
    assert_eq!(before.1, after, "that neither");
    assert_eq!(told(&venue.cancel(B, order)), "rejected OrderUnknown");
    assert_eq!(told(&venue.cancel(A, order)), "canceled 3a Requested");
    assert_eq!(waiting(&venue), 0);
}

#[test]
fn mass_cancels_and_ends_take_waiting_orders_too() {
    let mut venue = venue();
    venue.placed(A, ask(99, 4).stop(98));
    venue.placed(A, bid(101, 4).stop(102));
    venue.placed(A, bid(94, 1));
    let events = venue.cancel_all(A, Some(BTCUSD), Some(Side::Bid));
    assert_eq!(told(&events), "mass cancel, canceled 4a MassCancel, canceled 1a MassCancel, progress 2 Finished");
    assert_eq!(told(&venue.cancel_all(A, None, None)), "mass cancel, canceled 4a MassCancel, progress 1 Finished");
    venue.placed(A, ask(99, 4).stop(98).until(5));
    venue.wait(5 * SECOND);
    assert_eq!(told(&venue.must(Command::AdvanceTime)), "canceled 4a Expired");
    assert_eq!(trade_at(&mut venue, 98), "accepted, trade 1 @ 98 with b", "nobody waits any more");
    assert_eq!(venue.funds(A, USD).1 + venue.funds(A, BTC).1, 0);
}

#[test]
fn a_trigger_that_is_reached_already_is_refused() {
    let mut venue = venue();
    for order in [market_sell(1).stop(100), market_sell(1).profit(100), market_buy(1).stop(99), bid(9, 2).profit(101)] {
        assert_eq!(told(&venue.place(A, order)), "rejected WouldTrigger", "{order:?}");
    }
    let mut fresh = Venue::new();
    assert_eq!(told(&fresh.place(A, market_sell(1).stop(100))), "accepted", "there is no last price yet");
}

#[test]
fn a_cascade_goes_by_price_then_by_age_rising_before_falling() {
    let mut venue = Venue::with(Options { max_orders: 256, ..Options::default() });
    venue.placed(B, bid(80, 100));
    venue.placed(B, ask(120, 100));
    trade_at(&mut venue, 100);
    let far = |order: Draft, price| Draft(lakh_engine::command::PlaceOrder { price: bid(price, 1).0.price, ..order.0 });
    // Each sells or buys all the way out, so that its trade triggers all of its direction.
    let orders = [
        (C, far(market_sell(1), 80).stop(90)),
        (A, far(market_sell(2), 80).stop(98)),
        (C, far(market_sell(3), 80).stop(98)),
        (A, far(market_buy(4), 120).stop(115)),
        (C, far(market_buy(5), 120).stop(110)),
    ];
    for (account, order) in orders {
        venue.placed(account, order);
    }
    let events = trade_at(&mut venue, 98);
    let expected = "accepted, trade 1 @ 98 with b, a triggered at 98, trade 2 @ 80 with b, \
                    c triggered at 80, trade 3 @ 80 with b, c triggered at 80, trade 1 @ 80 with b";
    assert_eq!(events, expected);
    let events = told(&venue.place(A, far(market_buy(1), 120)));
    let expected = "accepted, trade 1 @ 120 with b, c triggered at 120, trade 5 @ 120 with b, \
                    a triggered at 120, trade 4 @ 120 with b";
    assert_eq!(events, expected);
}

#[test]
fn a_sweep_triggers_what_its_first_trade_reached_too() {
    let mut venue = Venue::with(Options { max_orders: 256, ..Options::default() });
    trade_at(&mut venue, 110);
    for order in [ask(100, 1), ask(105, 1)] {
        venue.placed(B, order);
    }
    venue.placed(A, ask(130, 1).stop(101));
    let events = venue.place(C, bid(105, 2));
    let expected = "accepted, trade 1 @ 100 with b, trade 1 @ 105 with b, a triggered at 105, rests 1";
    assert_eq!(told(&events), expected, "100 was below 101, though the sweep ended at 105");
}

#[test]
fn a_long_cascade_is_worked_off_in_parts_and_nothing_comes_between() {
    let mut venue = Venue::with(Options { max_orders: 8_192, ..Options::default() });
    venue.placed(B, bid(90, 10_000));
    trade_at(&mut venue, 100);
    for _ in 0..2_000 {
        venue.placed(A, ask(90, 1).stop(95));
    }
    let events = venue.place(C, ask(90, 1));
    let triggered = |events: &[Event]| events.iter().filter(|e| matches!(e, Event::OrderTriggered { .. })).count();
    let first = triggered(&events);
    assert!((300..=1_024).contains(&first), "{first} at once");
    assert!(venue.engine.agenda_pending());
    assert_eq!(told(&venue.place(C, bid(91, 1))), "rejected AgendaPending");
    assert_eq!(first + triggered(&venue.drain()), 2_000);
    check(&venue, "7999b | 90 |");
    assert_eq!(venue.funds(A, BTC).1, 0);
}

#[test]
fn fees_are_those_of_the_day_on_which_it_was_placed() {
    let mut venue = venue();
    venue.placed(A, market_sell(9).stop(98));
    venue.set_fees(BTCUSD, 0, 100_000);
    trade_at(&mut venue, 98);
    // 9 × 96 less 2 %, rounded up.
    assert_eq!(venue.funds(A, USD).0, 1_000_000_000 + 864 - 18);
}

#[test]
fn fill_or_kill_counts_when_its_turn_has_come() {
    let mut venue = venue();
    venue.placed(A, ask(95, 19).fok().stop(98));
    venue.placed(A, ask(95, 18).fok().stop(98));
    let expected = "accepted, trade 1 @ 98 with b, a triggered at 98, canceled 19a FillOrKill, \
                    a triggered at 98, trade 9 @ 96 with b, trade 9 @ 95 with b";
    assert_eq!(trade_at(&mut venue, 98), expected);
}

#[test]
fn what_does_not_go_together_with_a_trigger_is_refused() {
    let mut venue = venue();
    let mut without = market_sell(1).stop(98);
    without.0.trigger_price.0 = 0;
    let mut with = bid(90, 1);
    with.0.trigger_price.0 = 98;
    let mut resting = market_sell(1).stop(98);
    resting.0.time_in_force = bid(1, 1).0.time_in_force;
    for order in [without, with, resting, buy_for(100).stop(104), bid(0, 1).profit(90)] {
        assert_eq!(told(&venue.place(A, order)), "rejected BadCombination", "{order:?}");
    }
    assert_eq!(told(&venue.place(A, bid(90, 1).stop(100_001))), "rejected PriceOutOfRange");
    venue.set_state(BTCUSD, MarketState::PostOnly);
    assert_eq!(told(&venue.place(A, bid(90, 1).stop(104))), "rejected MarketClosed");
}

#[test]
fn a_quarter_of_the_book_may_wait() {
    let mut venue = Venue::new();
    for _ in 0..16 {
        venue.placed(A, bid(90, 1).stop(104));
    }
    assert_eq!(told(&venue.place(A, bid(90, 1).stop(104))), "rejected TriggersFull");
    assert_eq!(told(&venue.place(A, bid(90, 1))), "accepted, rests 1", "others have room");
}

#[test]
fn without_room_for_its_price_a_triggered_order_goes() {
    let mut venue = Venue::with(Options { max_levels: 4, ..Options::default() });
    venue.placed(B, bid(80, 9));
    trade_at(&mut venue, 100);
    venue.placed(A, ask(104, 1).stop(99));
    for price in 110..114 {
        venue.placed(B, ask(price, 1));
    }
    let events = venue.place(C, ask(80, 1).ioc());
    assert_eq!(told(&events), "accepted, trade 1 @ 80 with b, a triggered at 80, canceled 1a LevelsFull");
    assert_eq!(venue.funds(A, BTC), (1_000_000_000, 0));
}
