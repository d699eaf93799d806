//! Attacks on a venue: each does as much harm as one order may, and no more.
//!
//! However much is asked for, one command does bounded work and says a bounded number of things, and nothing comes in
//! between the parts of what was asked for.

use lakh_engine::Engine;
use lakh_engine::command::{
    AdminAction, Capacities, Command, FrameOperation, MarketState, Operation, ReplayGuard, SelfTradeMode, SignedCommand,
};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, MarketId, Symbol};
use lakh_engine::market_spec::{FeeTable, MarketSpec};
use lakh_engine::reject::RejectCode;
use lakh_engine::units::FeeRate;

use crate::support::venue::{SECOND, markets, rejection};
use crate::support::{A, B, BTCUSD, C, Options, USD, Venue, ask, bid, check, market_sell, told};

/// Continues until nothing is left; each command must stay within its bounds. Tells how many it took.
fn drain_bounded(venue: &mut Venue) -> usize {
    let mut commands = 0;
    while venue.engine.agenda_pending() {
        let events = venue.apply(Command::Continue);
        assert!(events.len() <= Engine::MAX_EVENTS, "{} events", events.len());
        let touched = events.iter().filter(|event| matches!(event, Event::OrderCanceled(_) | Event::Trade(_)));
        assert!(touched.count() <= lakh_engine::MAX_TOUCHED_ORDERS as usize);
        commands += 1;
        assert!(commands < 10_000, "an agenda comes to its end");
    }
    commands
}

/// 245 markets in which a has 4,096 orders each, more than a million in all, are worked off 1,024 at a time.
#[test]
fn a_mass_cancel_of_a_million_orders() {
    const MARKETS: u16 = 245;
    let mut options = Options { max_orders: 4_096, max_levels: 16, traders: 2, ..Options::default() };
    options.capacities.markets = MARKETS;
    options.deposit = 1 << 50;
    let mut venue = Venue::with(options);
    for market in 2..MARKETS {
        let symbol = Symbol::new(&format!("M{market}")).expect("short");
        let spec = MarketSpec { market: MarketId(market), symbol, ..markets(&options)[0] };
        venue.must_admin(AdminAction::ListMarket(spec));
        venue.set_state(MarketId(market), MarketState::Open);
    }
    let mut placed = 0_u64;
    for market in 0..MARKETS {
        let order = FrameOperation::PlaceOrder(bid(10, 2).in_market(MarketId(market)).0);
        for _ in 0..64 {
            let events = venue.frame(A, &[order; 64]);
            placed += events.iter().filter(|event| matches!(event, Event::OrderRested(_))).count() as u64;
        }
        venue.journal.clear();
    }
    assert_eq!(placed, u64::from(MARKETS) * 4_096);
    let events = venue.cancel_all(A, None, None);
    assert!(events.len() <= Engine::MAX_EVENTS);
    assert_eq!(rejection(&venue.place(B, bid(10, 2))), Some(RejectCode::AgendaPending), "nothing comes in between");
    assert_eq!(drain_bounded(&mut venue) as u64, placed / 1_024, "the last one finds nothing more");
    assert_eq!(venue.funds(A, USD), (1 << 50, 0));
    for market in (0..MARKETS).map(MarketId) {
        assert_eq!(venue.engine.book(market).expect("listed").order_count(), 0);
    }
}

/// Five thousand orders of one lot in the way of one large order.
#[test]
fn a_dust_sweep() {
    let mut venue = Venue::with(Options { max_orders: 8_192, ..Options::default() });
    for index in 0..5_000 {
        venue.placed(if index % 2 == 0 { A } else { B }, ask(100, 1));
    }
    let events = venue.place(C, bid(100, 5_000));
    let trades = events.iter().filter(|event| matches!(event, Event::Trade(_))).count();
    assert_eq!(trades, 1_024);
    assert!(told(&events).ends_with("canceled 3976c MaxFills"), "what is left does not rest in front of the dust");
    assert!(events.len() <= Engine::MAX_EVENTS && !venue.engine.agenda_pending());
    assert_eq!(told(&venue.place(C, bid(100, 5_000).fok())), "accepted, canceled 5000c FillOrKill");
}

/// Orders that show one lot at a time, as many parts as they may have, each of which is an order touched.
#[test]
fn an_iceberg_of_one_lot_parts() {
    let mut venue = Venue::with(Options { max_orders: 64, ..Options::default() });
    assert_eq!(told(&venue.place(A, ask(100, 101).showing(1))), "rejected QuantityOutOfRange");
    for _ in 0..20 {
        venue.placed(A, ask(100, 100).showing(1));
    }
    let events = venue.place(C, bid(100, 2_000));
    let trades = events.iter().filter(|event| matches!(event, Event::Trade(_))).count();
    assert_eq!(trades, 1_024);
    assert!(told(&events).ends_with("canceled 976c MaxFills"));
    assert!(events.len() <= Engine::MAX_EVENTS);
}

/// Each stop sets off the next one: one trade, and three thousand follow.
#[test]
fn a_stop_cascade() {
    let mut venue = Venue::with(Options { max_orders: 16_384, max_levels: 4_096, ..Options::default() });
    venue.placed(B, ask(5_000, 1));
    venue.placed(C, bid(5_000, 1));
    for step in 0..3_000 {
        venue.placed(B, bid(4_999 - step, 1));
        venue.placed(A, market_sell(1).at(10).stop(4_999 - step));
    }
    let events = venue.place(C, ask(4_999, 1));
    assert!(events.len() <= Engine::MAX_EVENTS && venue.engine.agenda_pending());
    assert_eq!(rejection(&venue.place(C, bid(4_000, 1))), Some(RejectCode::AgendaPending));
    let continues = drain_bounded(&mut venue);
    assert!((2..=12).contains(&continues), "{continues} more commands");
    let book = venue.engine.book(BTCUSD).expect("listed");
    assert_eq!(book.last_price().map(|price| price.0), Some(2_000), "to the last step, in the order of their triggers");
    assert_eq!(book.waiting().len(), 0, "the last one was set off and found nobody");
}

/// Every good-till-date order of the venue ends in the same nanosecond.
#[test]
fn all_dates_at_once() {
    let mut venue = Venue::with(Options { max_orders: 8_192, ..Options::default() });
    for index in 0..6_000 {
        venue.placed(if index % 2 == 0 { A } else { B }, ask(100 + index % 9, 1).until(1));
    }
    venue.wait(SECOND);
    let events = venue.must(Command::AdvanceTime);
    assert!(events.len() <= Engine::MAX_EVENTS);
    assert_eq!(told(&venue.place(C, bid(110, 1))), "rejected AgendaPending", "nobody trades with what is over");
    assert_eq!(drain_bounded(&mut venue), 5);
    check(&venue, "");
}

/// A request with the highest nonce that there is would leave its key no other.
#[test]
fn a_nonce_wedge() {
    let mut venue = Venue::new();
    let with = |venue: &Venue, nonce| {
        let replay_guard = ReplayGuard::Nonce { nonce };
        Command::Signed(SignedCommand { replay_guard, ..venue.signed(A, Operation::PlaceOrder(bid(100, 1).0)) })
    };
    for nonce in [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 20) + 4_096] {
        let command = with(&venue, nonce);
        assert_eq!(rejection(&venue.apply(command)), Some(RejectCode::NonceTooHigh), "{nonce}");
    }
    let command = with(&venue, 1);
    assert_eq!(told(&venue.apply(command)), "accepted, rests 1", "none of them was used up");
    let furthest = with(&venue, 1 + (1 << 20));
    assert_eq!(told(&venue.apply(furthest)), "accepted, rests 1");
    let next = with(&venue, 2 + (1 << 20));
    assert_eq!(told(&venue.apply(next)), "accepted, rests 1", "and however far it jumps there is a next one");
}

/// Two accounts of one attacker trade with each other, the maker in the tier with the largest rebate, the taker in the
/// one with the lowest fee; fees change in between.
#[test]
fn a_wash_trade_against_a_rebate() {
    let mut venue = Venue::new();
    let mut fees = FeeTable::flat(FeeRate(0), FeeRate(20_000));
    fees.rates[1].maker = FeeRate(-10_000);
    fees.rates[2].taker = FeeRate(10_000);
    assert_eq!(told(&venue.admin(AdminAction::SetFees { market: BTCUSD, fees })), "fees");
    for (account, tier) in [(A, 1), (B, 2)] {
        venue.admin(AdminAction::SetFeeTier { account, tier: lakh_engine::ids::FeeTier(tier) });
    }
    let wealth = |venue: &Venue| [A, B].map(|trader| venue.funds(trader, USD).0 + venue.funds(trader, USD).1);
    let before: u64 = wealth(&venue).iter().sum();
    for round in 0..200 {
        let quantity = 1 + round % 37;
        venue.placed(A, ask(97, quantity));
        venue.placed(B, bid(97, quantity).on_self_trade(SelfTradeMode::None));
        venue.placed(B, ask(97, quantity));
        venue.placed(A, bid(97, quantity));
    }
    // A rebate that was promised outlives the fee that was to pay for it.
    venue.placed(A, ask(97, 1_000));
    venue.admin(AdminAction::SetFees { market: BTCUSD, fees: FeeTable::flat(FeeRate(0), FeeRate(0)) });
    venue.placed(B, bid(97, 1_000));
    let after: u64 = wealth(&venue).iter().sum();
    assert!(after <= before, "trading with oneself earned {}", after - before);
    assert!(venue.funds(AccountId(0), USD).0 == before - after, "and what it cost is the venue's");
}

/// Sixty owners of a few orders each fill three quarters of a book: none of them gets more, who comes later still does.
#[test]
fn a_table_filled_by_many_small_owners() {
    const OWNERS: u32 = 60;
    let capacities = Capacities { accounts: 80, keys: 80, digests: 80, ..Options::default().capacities };
    let options =
        Options { traders: 64, max_orders: 640, share_parts: 64, digest_capacity: 1, capacities, ..Options::default() };
    let mut venue = Venue::with(options);
    for owner in (1..=OWNERS).map(AccountId) {
        for _ in 0..8 {
            venue.placed(owner, bid(50, 1));
        }
    }
    assert_eq!(venue.engine.book(BTCUSD).expect("listed").order_count(), 480, "three quarters of 640");
    let mut more = 0;
    for owner in (1..=OWNERS).map(AccountId).cycle().take(600) {
        more += u32::from(rejection(&venue.place(owner, bid(50, 1))).is_none());
    }
    assert_eq!(more, 2 * OWNERS, "up to the fair share of ten, with 40 left");
    for newcomer in [61, 62, 63, 64].map(AccountId) {
        for _ in 0..9 {
            assert_eq!(told(&venue.place(newcomer, bid(51, 1))), "accepted, rests 1");
        }
    }
    assert_eq!(rejection(&venue.place(A, bid(51, 1))), Some(RejectCode::TableShareTaken));
}
