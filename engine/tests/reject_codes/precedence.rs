//! Pairs of rules broken at once, table-driven.
//!
//! A [`Rule`] breaks one thing about a request that was fine. Rules that need the same part of the request (its key,
//! its price) cannot be broken together; their slots say so. Rules that need orders on the book are broken before the
//! book is full, and the market is closed last: see [`turn`].

use lakh_engine::command::{
    AccountBlock, AdminAction, AdminAuthority, AdminCommand, AmendOrder, CancelOrder, ChainEntry, Command, Deposit,
    EvidenceGrade, Genesis, KeyScope, MarketState, Operation, OrderReference, OrderType, PlaceOrder, RegisterKey,
    ReplayGuard, SettlementBinding, SignedCommand, TimeInForce,
};
use lakh_engine::ids::{AccountId, AssetId, KeyId, MarketId, OrderId, Reason, Symbol};
use lakh_engine::market_spec::MarketSpec;
use lakh_engine::reject::RejectCode;
use lakh_engine::units::{Atoms, Lots, Ticks, Timestamp};

use crate::support::venue::{
    OPERATOR, SECOND, START, deposit_entry, genesis, markets, padded, public_key, refusal, rejection,
};
use crate::support::{A, B, BTC, BTCUSD, C, Draft, ETHUSD, Options, USD, Venue, ask, bid};

/// A venue and a request that it would accept, until rules are broken.
struct Request {
    venue: Venue,
    signed: SignedCommand,
}

/// One way to break a request.
struct Rule {
    code: RejectCode,
    /// The parts of the request that it needs for itself.
    slots: &'static [&'static str],
    break_it: fn(&mut Request),
}

const fn rule(code: RejectCode, slots: &'static [&'static str], break_it: fn(&mut Request)) -> Rule {
    Rule { code, slots, break_it }
}

const REVOKED: KeyId = KeyId(4);
const EXPIRING: KeyId = KeyId(5);
const PENDING: KeyId = KeyId(6);

impl Request {
    /// A limit buy of the first market, whose book has room for 8 orders on 4 levels a side.
    fn new() -> Self {
        let options = Options { deposit: 1_000_000, max_orders: 8, max_levels: 4, ..Options::default() };
        let mut venue = Venue::with(options);
        for (number, expires_at) in [(20, Timestamp::ZERO), (21, Timestamp(START.0 + SECOND)), (22, Timestamp::ZERO)] {
            let (account, epoch) = (A, number - 18);
            let public_key = public_key(number);
            let key = RegisterKey { account, public_key, epoch, expires_at, digest_capacity: 1 };
            venue.register_key(key).expect("a new key");
        }
        venue.admin(AdminAction::RevokeKey { key: REVOKED });
        let activate = SignedCommand { key: EXPIRING, ..venue.signed(A, Operation::ActivateKey) };
        venue.must(Command::Signed(activate));
        venue.wait(2 * SECOND);
        // A nonce of its own, far from those of what the rules send before it.
        let replay_guard = ReplayGuard::Nonce { nonce: 500 };
        let signed = SignedCommand { replay_guard, ..venue.signed(A, Operation::PlaceOrder(bid(100, 10).0)) };
        Self { venue, signed }
    }

    fn order(&mut self) -> &mut PlaceOrder {
        match &mut self.signed.operation {
            Operation::PlaceOrder(order) => order,
            other => panic!("not an order: {other:?}"),
        }
    }

    fn by_digest(&mut self, number: u8, signed_at: Timestamp) -> SignedCommand {
        let replay_guard = ReplayGuard::Digest { digest: [number; 16], signed_at, receive_window_ms: 5_000 };
        SignedCommand { replay_guard, ..self.signed }
    }
}

/// A log-on of account a that nothing stands against, with the replay guard of another request.
fn logon(like: SignedCommand) -> Command {
    let (operation, grade, valid_until) = (Operation::Logon, EvidenceGrade::Native, Timestamp::ZERO);
    Command::Signed(SignedCommand { account: A, operation, grade, valid_until, ..like })
}

/// Rules of admission: they hold for every request.
const ADMISSION: &[Rule] = &[
    rule(RejectCode::KeyUnknown, &["key"], |request| request.signed.key = KeyId(99)),
    rule(RejectCode::KeyRevoked, &["key"], |request| request.signed.key = REVOKED),
    rule(RejectCode::KeyExpired, &["key"], |request| request.signed.key = EXPIRING),
    rule(RejectCode::KeyPending, &["key"], |request| request.signed.key = PENDING),
    rule(RejectCode::KeyOfOtherAccount, &["account", "client", "balance"], |request| request.signed.account = B),
    rule(RejectCode::TimestampOutsideWindow, &["guard"], |request| {
        request.signed = request.by_digest(1, Timestamp(START.0 - 10 * SECOND));
    }),
    rule(RejectCode::NonceTooHigh, &["guard"], |request| {
        request.signed.replay_guard = ReplayGuard::Nonce { nonce: 2 << 20 };
    }),
    rule(RejectCode::NonceTooLow, &["guard", "key"], |request| {
        let far = SignedCommand { replay_guard: ReplayGuard::Nonce { nonce: 5_000 }, ..request.signed };
        request.venue.must(logon(far));
        request.signed.replay_guard = ReplayGuard::Nonce { nonce: 1 };
    }),
    rule(RejectCode::Duplicate, &["guard", "key"], |request| {
        request.venue.must(logon(request.signed));
    }),
    rule(RejectCode::DigestTableFull, &["guard", "key"], |request| {
        for number in 0..6 {
            let now = request.venue.now;
            let first = logon(request.by_digest(number, now));
            request.venue.must(first);
        }
        let now = request.venue.now;
        request.signed = request.by_digest(99, now);
    }),
    rule(RejectCode::EvidenceTooWeak, &["grade"], |request| request.signed.grade = EvidenceGrade::HeaderKeyed),
    rule(RejectCode::ValidUntilPassed, &["valid until"], |request| request.signed.valid_until = request.venue.now),
];

/// Rules of new orders.
const ORDERS: &[Rule] = &[
    rule(RejectCode::AccountBlocked, &["client", "trigger"], |request| {
        request.venue.admin(AdminAction::BlockAccount { account: A, block: AccountBlock::Blocked });
    }),
    rule(RejectCode::OutOfScope, &["key", "client", "trigger", "account"], |request| {
        let scope = KeyScope { operations: KeyScope::CANCEL, market: None, account: None };
        let narrow = Operation::NarrowKey { key: KeyId(1), scope };
        request.venue.send(A, narrow);
    }),
    rule(RejectCode::MarketUnknown, &["market"], |request| request.order().market = MarketId(9)),
    rule(RejectCode::MarketClosed, &["state"], |request| request.venue.set_state(BTCUSD, MarketState::CancelOnly)),
    rule(RejectCode::ExpiryPassed, &["expiry", "client"], |request| request.order().expires_at = START),
    rule(RejectCode::PriceOutsideBand, &["price", "client", "trigger", "levels", "room", "type"], |request| {
        request.venue.placed(B, ask(200, 1));
        request.venue.admin(AdminAction::SetPriceBand { market: BTCUSD, band: 100_000 });
    }),
    rule(RejectCode::BadCombination, &["budget"], |request| request.order().quote_budget = Atoms(1)),
    rule(RejectCode::PriceOutOfRange, &["price"], |request| request.order().price = Ticks(100_001)),
    rule(RejectCode::QuantityOutOfRange, &["quantity"], |request| request.order().quantity = Lots(10_001)),
    rule(RejectCode::NotionalTooSmall, &["price", "quantity"], |request| {
        request.order().price = Ticks(1);
        request.order().quantity = Lots(9);
    }),
    // The live order is the request itself, so nothing about the request may change afterwards.
    rule(RejectCode::ClientOrderLive, &["client", "price", "quantity", "type", "budget"], |request| {
        request.venue.placed(A, bid(100, 10).id("x"));
        *request.order() = bid(100, 10).id("x").0;
    }),
    rule(RejectCode::ClientIdInUse, &["client"], |request| {
        request.venue.placed(A, bid(60, 1).id("x"));
        request.order().client_id = bid(1, 1).id("x").0.client_id;
    }),
    rule(RejectCode::BookFull, &["room"], |request| {
        while rejection(&request.venue.place(B, ask(200, 1))) != Some(RejectCode::BookFull) {}
    }),
    rule(RejectCode::LevelsFull, &["price", "levels"], |request| {
        for price in 60..64 {
            request.venue.placed(B, bid(price, 1));
        }
        request.order().price = Ticks(65);
    }),
    rule(RejectCode::NoLiquidity, &["type", "price", "levels", "room"], |request| {
        request.order().order_type = OrderType::Market;
        request.order().time_in_force = TimeInForce::ImmediateOrCancel;
    }),
    rule(RejectCode::WouldTrade, &["type"], |request| {
        request.venue.placed(B, ask(70, 10));
        request.order().order_type = OrderType::LimitMaker;
    }),
    rule(RejectCode::InsufficientBalance, &["quantity", "balance"], |request| {
        let needed = request.venue.funds(A, USD).0 - 100_000;
        assert_eq!(rejection(&request.venue.withdraw(A, USD, needed)), None);
        request.order().quantity = Lots(10_000);
    }),
    rule(RejectCode::WouldTrigger, &["type", "trigger", "levels", "client"], |request| {
        request.venue.placed(B, ask(80, 1));
        request.venue.placed(C, bid(80, 1));
        *request.order() = Draft(*request.order()).stop(80).0;
    }),
    rule(RejectCode::TriggersFull, &["type", "trigger", "levels", "client", "room"], |request| {
        request.venue.placed(B, bid(80, 1).stop(90));
        request.venue.placed(B, bid(80, 1).stop(90));
        *request.order() = Draft(*request.order()).stop(90).0;
    }),
];

/// When a rule is broken: one that prepares the book has to come before one that keeps it from being changed.
const fn turn(code: RejectCode) -> u8 {
    match code {
        RejectCode::ClientOrderLive | RejectCode::ClientIdInUse => 0,
        RejectCode::PriceOutsideBand => 3,
        RejectCode::WouldTrade | RejectCode::LevelsFull | RejectCode::WouldTrigger | RejectCode::TriggersFull => 1,
        RejectCode::BookFull => 2,
        RejectCode::InsufficientBalance => 3,
        RejectCode::MarketClosed | RejectCode::AccountBlocked | RejectCode::OutOfScope => 5,
        code if (code as u16) < RejectCode::MarketUnknown as u16 => 6,
        _ => 4,
    }
}

/// Breaks each pair of rules that go together and asserts that the lower number is answered; tells how many there were.
fn check_pairs(rules: &[&Rule]) -> usize {
    let mut pairs = 0;
    for (index, lower) in rules.iter().enumerate() {
        let mut alone = Request::new();
        (lower.break_it)(&mut alone);
        assert_eq!(rejection(&alone.venue.apply(Command::Signed(alone.signed))), Some(lower.code), "alone");
        for higher in &rules[index + 1..] {
            if lower.slots.iter().any(|slot| higher.slots.contains(slot)) {
                continue;
            }
            let mut both = Request::new();
            let mut pair = [lower, higher];
            pair.sort_by_key(|rule| turn(rule.code));
            pair.iter().for_each(|rule| (rule.break_it)(&mut both));
            let answer = rejection(&both.venue.apply(Command::Signed(both.signed)));
            assert_eq!(answer, Some(lower.code), "{:?} and {:?}", lower.code, higher.code);
            pairs += 1;
        }
    }
    pairs
}

#[test]
fn a_request_that_is_not_broken_is_taken() {
    let mut request = Request::new();
    assert_eq!(rejection(&request.venue.apply(Command::Signed(request.signed))), None);
}

#[test]
fn of_two_broken_rules_of_an_order_the_lower_number_is_answered() {
    let rules: Vec<&Rule> = ADMISSION.iter().chain(ORDERS).collect();
    assert!(rules.windows(2).all(|pair| pair[0].code < pair[1].code), "the table stands in the codes' order");
    let pairs = check_pairs(&rules);
    assert!(pairs > 200, "only {pairs} pairs");
}

#[test]
fn a_keys_own_rules_go_before_each_other_too() {
    // An expired key is expired, whether it is pending as well or speaks for somebody else.
    let mut request = Request::new();
    let key = RegisterKey {
        account: A,
        public_key: public_key(30),
        epoch: 5,
        expires_at: Timestamp(request.venue.now.0 + 1),
        digest_capacity: 1,
    };
    request.signed.key = request.venue.register_key(key).expect("a new key");
    request.venue.wait(1);
    let answer = rejection(&request.venue.apply(Command::Signed(request.signed)));
    assert_eq!(answer, Some(RejectCode::KeyExpired), "pending and over");
    request.venue.admin(AdminAction::RevokeKey { key: request.signed.key });
    let answer = rejection(&request.venue.apply(Command::Signed(request.signed)));
    assert_eq!(answer, Some(RejectCode::KeyRevoked), "revoked, pending and over");
}

/// Asks for a cancel and an amendment of a market and an order; both must be answered alike.
fn cancel_and_amend(venue: &mut Venue, market: MarketId, order: OrderId) -> Option<RejectCode> {
    let target = OrderReference::OrderId(order);
    let cancel = rejection(&venue.send(A, Operation::CancelOrder(CancelOrder { market, target })));
    let amend = AmendOrder::less(market, target, Lots(0));
    assert_eq!(rejection(&venue.send(A, Operation::AmendOrder(amend))), cancel);
    cancel
}

#[test]
fn cancels_and_amendments_look_for_the_market_its_state_and_the_order() {
    let mut venue = Venue::new();
    let live = venue.placed(A, bid(100, 5));
    assert_eq!(cancel_and_amend(&mut venue, ETHUSD, live), Some(RejectCode::OrderUnknown), "of another market");
    venue.set_state(BTCUSD, MarketState::Halt);
    assert_eq!(cancel_and_amend(&mut venue, MarketId(9), live), Some(RejectCode::MarketUnknown));
    assert_eq!(cancel_and_amend(&mut venue, BTCUSD, OrderId(1)), Some(RejectCode::MarketClosed));
    venue.set_state(BTCUSD, MarketState::Open);
    assert_eq!(cancel_and_amend(&mut venue, BTCUSD, OrderId(1)), Some(RejectCode::OrderUnknown));
    assert_eq!(rejection(&venue.amend(A, live, 5)), Some(RejectCode::AmendNotSmaller));
}

/// A deposit or withdrawal as a row: account, owner, asset, amount.
type Movement = (u32, u8, u16, u64);

/// The rows that a deposit is refused with where the account table is full, with 7 of 8 accounts' owners as usual.
const DEPOSITS: [(Movement, RejectCode); 6] = [
    ((1, 9, 9, 0), RejectCode::AssetUnknown),
    ((8, 8, 9, 0), RejectCode::AssetUnknown),
    ((9, 9, 1, 0), RejectCode::TableFull),
    ((0, 0, 1, 0), RejectCode::WrongAccount),
    ((1, 9, 1, 0), RejectCode::WrongAccount),
    ((1, 1, 1, 0), RejectCode::AmountOutOfRange),
];

#[test]
fn deposits_answer_the_lowest_number() {
    let mut venue = Venue::in_genesis(Options::default());
    (4..8).for_each(|account| drop(venue.deposit(AccountId(account), BTC, 1)));
    let mut over = Venue::new();
    for ((account, owner, asset, amount), code) in DEPOSITS {
        let (account, owner, asset, amount) = (AccountId(account), [owner; 20], AssetId(asset), Atoms(amount));
        let entry = ChainEntry { extra: padded(owner), ..deposit_entry(account, asset, amount.0) };
        assert_eq!(refusal(&venue.enter(entry)), Some(code), "{entry:?}");
        let deposit = Command::Deposit(Deposit { account, owner, asset, amount });
        assert_eq!(rejection(&venue.apply(&deposit)), Some(code), "{deposit:?}");
        assert_eq!(rejection(&over.apply(&deposit)), Some(RejectCode::GenesisOver), "before anything else");
    }
}

#[test]
fn withdrawals_answer_the_lowest_number_and_look_for_money_last() {
    let mut venue = Venue::new();
    for (account, asset, amount, code) in [
        (0, 9, 0, RejectCode::AssetUnknown),
        (0, 1, 0, RejectCode::WrongAccount),
        (9, 1, u64::MAX, RejectCode::WrongAccount),
        (1, 1, 0, RejectCode::AmountOutOfRange),
        (1, 1, u64::MAX, RejectCode::InsufficientBalance),
    ] {
        let events = venue.withdraw(AccountId(account), AssetId(asset), amount);
        assert_eq!(refusal(&events), Some(code), "{amount} of {asset} for {account}");
    }
}

#[test]
fn an_entrys_place_is_looked_at_before_what_it_asks_for() {
    let mut venue = Venue::new();
    let good = venue.next_entry(deposit_entry(AccountId(0), AssetId(9), 0));
    for (entry, code) in [
        (ChainEntry { queue_id: 2, prefix: [0; 32], ..good }, RejectCode::WrongQueueId),
        (ChainEntry { prefix: [0; 32], ..good }, RejectCode::WrongQueuePrefix),
    ] {
        assert_eq!(rejection(&venue.apply(Command::ChainEntry(entry))), Some(code));
    }
    assert_eq!(refusal(&venue.enter(good)), Some(RejectCode::AssetUnknown));
    let mut unbound = Venue::bare();
    let settlement = SettlementBinding::NONE;
    unbound.must(Command::Genesis(Genesis { settlement, ..genesis(Options::default().capacities) }));
    let entry = Command::ChainEntry(ChainEntry { queue_id: 2, prefix: [0; 32], ..good });
    assert_eq!(rejection(&unbound.apply(entry)), Some(RejectCode::NotAuthorised));
}

#[test]
fn registrations_answer_the_lowest_number() {
    let rows = [
        ((9, 1, 9, 999), RejectCode::AccountUnknown),
        ((1, 1, 9, 999), RejectCode::TableFull),
        ((1, 20, 9, 999), RejectCode::TableFull),
        ((1, 1, 9, 1), RejectCode::KeyBoundBefore),
        ((1, 20, 9, 1), RejectCode::WrongKeyEpoch),
    ];
    let mut venue = Venue::new();
    for ((account, number, epoch, digest_capacity), code) in rows {
        let (account, public_key) = (AccountId(account), public_key(number));
        let key = RegisterKey { account, public_key, epoch, expires_at: Timestamp::ZERO, digest_capacity };
        assert_eq!(venue.register_key(key), Err(code), "{key:?}");
    }
}

#[test]
fn listings_answer_the_lowest_number() {
    let good = MarketSpec {
        market: MarketId(2),
        symbol: Symbol::new("NEW").expect("short"),
        ..markets(&Options::default())[0]
    };
    let mut venue = Venue::new();
    let bad = MarketSpec { max_orders: 0, ..good };
    let rows = [
        (MarketSpec { market: BTCUSD, base: AssetId(9), ..bad }, RejectCode::AlreadyListed),
        (MarketSpec { base: AssetId(9), ..bad }, RejectCode::AssetUnknown),
        (bad, RejectCode::BadSpecification),
    ];
    for (spec, code) in rows {
        assert_eq!(rejection(&venue.admin(AdminAction::ListMarket(spec))), Some(code), "{spec:?}");
    }
    assert_eq!(rejection(&venue.admin(AdminAction::ListMarket(good))), None);
    let full = MarketSpec { market: MarketId(3), symbol: Symbol::new("NEWER").expect("short"), ..bad };
    assert_eq!(rejection(&venue.admin(AdminAction::ListMarket(full))), Some(RejectCode::BadSpecification));
    let full = MarketSpec { max_orders: 1, ..full };
    assert_eq!(rejection(&venue.admin(AdminAction::ListMarket(full))), Some(RejectCode::TableFull));
}

#[test]
fn an_operators_authority_is_looked_at_before_anything_else() {
    let mut venue = Venue::new();
    assert_eq!(venue.engine.genesis().expect("there is one").role_keys[0], OPERATOR);
    let action = AdminAction::RevokeKey { key: KeyId(99) };
    for (authority, code) in [
        (AdminAuthority::Genesis, RejectCode::GenesisOver),
        (AdminAuthority::Node, RejectCode::NotAuthorised),
        (AdminAuthority::Role { role: 1, nonce: 9 }, RejectCode::NotAuthorised),
        (AdminAuthority::Role { role: 0, nonce: 9 }, RejectCode::WrongAdminNonce),
        (AdminAuthority::Role { role: 0, nonce: 1 }, RejectCode::KeyUnknown),
    ] {
        let admin = AdminCommand { authority, action, reason: Reason::EMPTY };
        assert_eq!(rejection(&venue.apply(Command::Admin(admin))), Some(code), "{authority:?}");
    }
}
