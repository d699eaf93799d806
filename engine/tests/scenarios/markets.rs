//! Market states, restarts, operators and what they may do.

use lakh_engine::command::{
    AdminAction, AdminAuthority, AdminCommand, AmendOrder, CancelAll, CancelOrder, Command, Epoch, MarketState,
    Operation, OrderReference, RegisterKey,
};
use lakh_engine::event::Event;
use lakh_engine::ids::{AssetId, MarketId, OrderId, Reason, Symbol};
use lakh_engine::market_spec::{AssetSpec, FeeTable, MarketSpec};
use lakh_engine::reject::RejectCode::{
    AlreadyListed, BadSpecification, GenesisOver, MarketClosed, MarketUnknown, NotAuthorised, TableFull,
    WrongAdminNonce, WrongEpoch,
};
use lakh_engine::units::{FeeRate, Lots, Ticks, Timestamp};

use crate::support::venue::{assets, markets, public_key, rejection};
use crate::support::{A, B, BTCUSD, Draft, ETHUSD, Options, Venue, ask, bid, buy_for, check, market_buy, told};

/// Every operation of a trader that names a market.
fn operations(live: OrderId) -> Vec<(&'static str, Operation)> {
    let target = OrderReference::OrderId(live);
    let place = |order: Draft| Operation::PlaceOrder(order.0);
    vec![
        ("limit", place(bid(90, 1))),
        ("limit ioc", place(bid(90, 1).ioc())),
        ("limit fok", place(bid(90, 1).fok())),
        ("market", place(market_buy(1))),
        ("market by budget", place(buy_for(100))),
        ("post-only", place(bid(90, 1).post_only())),
        ("amend", Operation::AmendOrder(AmendOrder::less(BTCUSD, target, Lots(4)))),
        ("cancel", Operation::CancelOrder(CancelOrder { market: BTCUSD, target })),
        ("mass cancel", Operation::CancelAll(CancelAll { market: Some(BTCUSD), side: None })),
    ]
}

#[test]
fn each_state_allows_what_its_table_says() {
    const ALL: &[&str] = &[
        "limit",
        "limit ioc",
        "limit fok",
        "market",
        "market by budget",
        "post-only",
        "amend",
        "cancel",
        "mass cancel",
    ];
    let table: [(MarketState, &[&str]); 5] = [
        (MarketState::PreOpen, &["cancel", "mass cancel"]),
        (MarketState::PostOnly, &["post-only", "amend", "cancel", "mass cancel"]),
        (MarketState::Open, ALL),
        (MarketState::CancelOnly, &["cancel", "mass cancel"]),
        (MarketState::Halt, &[]),
    ];
    for (state, allowed) in table {
        for index in 0..ALL.len() {
            let mut venue = Venue::new();
            let live = venue.placed(A, bid(91, 5));
            venue.placed(B, ask(110, 5));
            venue.set_state(BTCUSD, state);
            let (name, operation) = operations(live)[index];
            let expected = if allowed.contains(&name) { None } else { Some(MarketClosed) };
            assert_eq!(rejection(&venue.send(A, operation)), expected, "{name} in {state:?}");
            let elsewhere = Operation::PlaceOrder(bid(90, 2).in_market(ETHUSD).0);
            assert_eq!(rejection(&venue.send(A, elsewhere)), None, "the other market is open");
        }
    }
}

#[test]
fn states_say_nothing_about_sessions_and_keys() {
    for state in [MarketState::PreOpen, MarketState::Halt] {
        let mut venue = Venue::new();
        venue.set_state(BTCUSD, state);
        assert_eq!(told(&venue.send(A, Operation::Logon)), "logged on");
        assert_eq!(told(&venue.send(A, Operation::RevokeKey)), "key 1 Revoked");
    }
}

#[test]
fn a_restart_counts_epochs_and_keeps_the_books() {
    let mut venue = Venue::new();
    venue.placed(A, bid(100, 5));
    let epoch = |epoch| Command::Epoch(Epoch { epoch, software: Reason::EMPTY });
    for wrong in [0, 1, 3] {
        assert_eq!(rejection(&venue.apply(epoch(wrong))), Some(WrongEpoch));
    }
    assert_eq!(told(&venue.apply(epoch(2))), "epoch 2");
    assert_eq!(venue.engine.epoch(), 2);
    check(&venue, "5a | 100 |");
    // A restart passes CANCEL_ONLY → POST_ONLY → OPEN; the node can only do the first step by itself.
    assert_eq!(rejection(&node(&mut venue, BTCUSD, MarketState::CancelOnly)), None);
    assert_eq!(told(&venue.place(B, ask(100, 5))), "rejected MarketClosed");
    venue.set_state(BTCUSD, MarketState::PostOnly);
    assert_eq!(told(&venue.place(B, ask(100, 5).post_only())), "rejected WouldTrade");
    assert_eq!(told(&venue.place(B, ask(101, 5).post_only())), "accepted, rests 5");
    venue.set_state(BTCUSD, MarketState::Open);
    assert_eq!(told(&venue.place(B, ask(100, 5))), "accepted, trade 5 @ 100 with a");
}

/// Sets a state on the node's own authority.
fn node(venue: &mut Venue, market: MarketId, state: MarketState) -> Vec<Event> {
    let action = AdminAction::SetMarketState { market, state };
    let authority = AdminAuthority::Node;
    venue.apply(Command::Admin(AdminCommand { authority, action, reason: Reason::EMPTY }))
}

#[test]
fn the_node_may_only_close() {
    use MarketState::{CancelOnly, Halt, Open, PostOnly, PreOpen};
    let mut venue = Venue::new();
    for from in [PreOpen, PostOnly, Open, CancelOnly, Halt] {
        for to in [PreOpen, PostOnly, Open, CancelOnly, Halt] {
            venue.set_state(BTCUSD, from);
            let closes = matches!((from, to), (PreOpen | PostOnly | Open, CancelOnly | Halt) | (CancelOnly, Halt));
            let expected = if closes { None } else { Some(NotAuthorised) };
            assert_eq!(rejection(&node(&mut venue, BTCUSD, to)), expected, "{from:?} to {to:?}");
            let state = venue.engine.book(BTCUSD).expect("listed").state();
            assert_eq!(state, if closes { to } else { from });
        }
    }
    assert_eq!(rejection(&node(&mut venue, MarketId(9), Halt)), Some(MarketUnknown));
    venue.set_state(BTCUSD, Open);
    for action in every_action() {
        let is_state = matches!(action, AdminAction::SetMarketState { .. });
        let command = AdminCommand { authority: AdminAuthority::Node, action, reason: Reason::EMPTY };
        let expected = if is_state { None } else { Some(NotAuthorised) };
        assert_eq!(rejection(&venue.apply(Command::Admin(command))), expected, "{action:?}");
    }
}

/// One legal action of each kind.
fn every_action() -> Vec<AdminAction> {
    let asset = AssetSpec { asset: AssetId(3), symbol: Symbol::new("NEW").expect("short"), ..assets()[0] };
    let market = MarketSpec {
        market: MarketId(2),
        symbol: Symbol::new("NEWUSD").expect("short"),
        ..markets(&Options::default())[0]
    };
    vec![
        AdminAction::ListAsset(asset),
        AdminAction::ListMarket(market),
        AdminAction::SetMarketState { market: BTCUSD, state: MarketState::CancelOnly },
        AdminAction::SetFees { market: BTCUSD, fees: FeeTable::flat(FeeRate(0), FeeRate(0)) },
        AdminAction::RegisterKey(RegisterKey {
            account: A,
            public_key: public_key(9),
            epoch: 2,
            expires_at: Timestamp::ZERO,
            digest_capacity: 1,
        }),
        AdminAction::RevokeKey { key: lakh_engine::ids::KeyId(1) },
        AdminAction::SetAccountPolicy { account: A, minimum_grade: lakh_engine::command::EvidenceGrade::Native },
    ]
}

#[test]
fn a_role_counts_its_nonces_and_uses_them_up() {
    let mut venue = Venue::new();
    let role = |venue: &mut Venue, role, nonce, action| {
        let authority = AdminAuthority::Role { role, nonce };
        rejection(&venue.apply(Command::Admin(AdminCommand { authority, action, reason: Reason::EMPTY })))
    };
    let halt = AdminAction::SetMarketState { market: BTCUSD, state: MarketState::Halt };
    let nowhere = AdminAction::SetMarketState { market: MarketId(9), state: MarketState::Halt };
    for (who, nonce, action, expected) in [
        (0, 0, halt, Some(WrongAdminNonce)),
        (0, 2, halt, Some(WrongAdminNonce)),
        (0, 1, halt, None),
        (0, 1, halt, Some(WrongAdminNonce)),
        (0, 2, nowhere, Some(MarketUnknown)),
        (0, 2, halt, Some(WrongAdminNonce)),
        (0, 3, halt, None),
        (1, 1, halt, Some(NotAuthorised)),
        (4, 1, halt, Some(NotAuthorised)),
        (255, 1, halt, Some(NotAuthorised)),
    ] {
        assert_eq!(role(&mut venue, who, nonce, action), expected, "role {who} with {nonce}");
    }
    assert_eq!(venue.engine.role_nonce(0), Some(3));
    assert_eq!(venue.engine.role_nonce(1), Some(0));
    for (number, action) in (4..).zip(every_action()) {
        assert_eq!(role(&mut venue, 0, number, action), None, "{action:?}");
    }
}

#[test]
fn the_genesis_authority_ends_with_the_first_epoch() {
    let mut venue = Venue::new();
    for action in every_action() {
        let command = AdminCommand { authority: AdminAuthority::Genesis, action, reason: Reason::EMPTY };
        assert_eq!(rejection(&venue.apply(Command::Admin(command))), Some(GenesisOver));
    }
    let genesis = *venue.engine.genesis().expect("there is one");
    assert_eq!(rejection(&venue.apply(Command::Genesis(genesis))), Some(GenesisOver));
}

#[test]
fn a_market_is_refused_when_its_numbers_do_not_fit() {
    let good = every_action()[1];
    let AdminAction::ListMarket(good) = good else { panic!("the second action lists a market") };
    type Spoil = fn(&mut MarketSpec);
    let spoilt: [(&str, Spoil); 15] = [
        ("value of a tick and lot", |spec| spec.quote_atoms_per_tick_lot = 2),
        ("tick no whole number of atoms", |spec| spec.tick_size_e8 = 100_000_001),
        ("same asset", |spec| spec.quote = spec.base),
        ("no price", |spec| spec.max_price = Ticks(0)),
        ("no quantity", |spec| spec.min_quantity = Lots(0)),
        ("minimum above maximum", |spec| spec.min_quantity = Lots(10_001)),
        ("no band", |spec| spec.market_order_band = 0),
        ("band above the price", |spec| spec.market_order_band = 1_000_001),
        ("no orders", |spec| spec.max_orders = 0),
        ("no levels", |spec| spec.max_levels = 0),
        ("too many orders", |spec| spec.max_orders = (1 << 26) + 1),
        ("rebate above the fee", |spec| spec.maker_fee = FeeRate(-20_001)),
        ("rebate for takers", |spec| spec.taker_fee = FeeRate(-1)),
        ("dearest order too dear", |spec| spec.max_quantity = Lots(1 << 43)),
        ("no name", |spec| spec.symbol = Symbol::EMPTY),
    ];
    let mut venue = Venue::new();
    for (name, spoil) in spoilt {
        let mut spec = good;
        spoil(&mut spec);
        assert_eq!(rejection(&venue.admin(AdminAction::ListMarket(spec))), Some(BadSpecification), "{name}");
    }
    let taken = MarketSpec { symbol: Symbol::new("BTCUSD").expect("short"), ..good };
    assert_eq!(rejection(&venue.admin(AdminAction::ListMarket(taken))), Some(AlreadyListed));
    assert_eq!(told(&venue.admin(AdminAction::ListMarket(good))), "listed");
    assert_eq!(told(&venue.place(A, bid(100, 1).in_market(MarketId(2)))), "rejected MarketClosed", "not open yet");
    let fourth = MarketSpec { market: MarketId(3), symbol: Symbol::new("MORE").expect("short"), ..good };
    assert_eq!(rejection(&venue.admin(AdminAction::ListMarket(fourth))), Some(TableFull));
}
