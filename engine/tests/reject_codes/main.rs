//! Every reject code is reached by a named case, and of several rules broken at once the lowest number is answered.

#[path = "../support/mod.rs"]
mod support;

mod precedence;

use lakh_engine::command::{
    AccountBlock, AdminAction, AdminAuthority, AdminCommand, BatchSealed, CancelOrder, CancelRestriction, Capacities,
    ChainEntry, Command, Epoch, EvidenceGrade, KeyLimits, KeyScope, MarketState, Operation, OrderReference,
    RegisterKey, ReplaceOrder, ReplayGuard, SignedCommand, Transfer,
};
use lakh_engine::ids::{AccountId, AssetId, KeyId, MarketId, OrderId, Reason, Sequence};
use lakh_engine::market_spec::MarketSpec;
use lakh_engine::reject::RejectCode;
use lakh_engine::units::{Atoms, Lots, Timestamp};

use support::venue::{
    SECOND, START, assets, deposit_entry, genesis, markets, public_key, refusal, rejection, replacing,
};
use support::{A, B, BTC, BTCUSD, Options, USD, Venue, ask, bid, market_buy};

/// A code, and what reaches it.
type Case = (RejectCode, fn() -> Option<RejectCode>);

/// Cases of the journal's own commands and of keys.
const KEY_CASES: &[Case] = &[
    (RejectCode::AgendaPending, || {
        let mut venue = crowded();
        venue.cancel_all(A, None, None);
        rejection(&venue.place(B, bid(100, 1)))
    }),
    (RejectCode::NotConfigured, || rejection(&Venue::bare().apply(Command::AdvanceTime))),
    (RejectCode::GenesisOver, || {
        rejection(&Venue::new().apply(Command::Genesis(genesis(Options::default().capacities))))
    }),
    (RejectCode::WrongEpoch, || {
        rejection(&Venue::new().apply(Command::Epoch(Epoch { epoch: 7, software: Reason::EMPTY })))
    }),
    (RejectCode::NothingToContinue, || rejection(&Venue::new().apply(Command::Continue))),
    (RejectCode::KeyUnknown, || {
        let mut venue = Venue::new();
        let signed = SignedCommand { key: KeyId(9), ..venue.signed(A, Operation::Logon) };
        rejection(&venue.apply(Command::Signed(signed)))
    }),
    (RejectCode::KeyRevoked, || {
        let mut venue = Venue::new();
        venue.send(A, Operation::RevokeKey);
        rejection(&venue.send(A, Operation::Logon))
    }),
    (RejectCode::KeyExpired, || {
        let mut venue = Venue::new();
        let key = second_key(&mut venue, Timestamp(START.0 + SECOND));
        venue.wait(SECOND);
        let signed = SignedCommand { key, ..venue.signed(A, Operation::ActivateKey) };
        rejection(&venue.apply(Command::Signed(signed)))
    }),
    (RejectCode::KeyPending, || {
        let mut venue = Venue::new();
        let key = second_key(&mut venue, Timestamp::ZERO);
        let signed = SignedCommand { key, ..venue.signed(A, Operation::Logon) };
        rejection(&venue.apply(Command::Signed(signed)))
    }),
    (RejectCode::KeyOfOtherAccount, || {
        let mut venue = Venue::new();
        let signed = SignedCommand { account: B, ..venue.signed(A, Operation::Logon) };
        rejection(&venue.apply(Command::Signed(signed)))
    }),
    (RejectCode::TimestampOutsideWindow, || {
        rejection(&Venue::new().apply(by_digest(1, Timestamp(START.0 - 6 * SECOND))))
    }),
    (RejectCode::NonceTooHigh, || by_nonces(&[(1 << 20) + 1])),
    (RejectCode::NonceTooLow, || by_nonces(&[1_024, 0])),
    (RejectCode::Duplicate, || by_nonces(&[1, 1])),
    (RejectCode::DigestTableFull, || {
        let mut venue = Venue::new();
        (0..6).for_each(|number| drop(venue.must(by_digest(number, START))));
        rejection(&venue.apply(by_digest(8, START)))
    }),
    (RejectCode::AccountUnknown, || {
        let action = AdminAction::SetAccountPolicy { account: AccountId(7), minimum_grade: EvidenceGrade::Native };
        rejection(&Venue::new().admin(action))
    }),
    (RejectCode::EvidenceTooWeak, || {
        let mut venue = Venue::new();
        let signed = SignedCommand { grade: EvidenceGrade::HeaderKeyed, ..venue.signed(A, Operation::Logon) };
        rejection(&venue.apply(Command::Signed(signed)))
    }),
    (RejectCode::ValidUntilPassed, || {
        let mut venue = Venue::new();
        let signed = SignedCommand { valid_until: START, ..venue.signed(A, Operation::Logon) };
        rejection(&venue.apply(Command::Signed(signed)))
    }),
    (RejectCode::BadFrame, || rejection(&Venue::new().frame(A, &[]))),
    (RejectCode::KeyAlreadyLive, || rejection(&Venue::new().send(A, Operation::ActivateKey))),
];

/// Cases of orders.
const ORDER_CASES: &[Case] = &[
    (RejectCode::MarketUnknown, || rejection(&Venue::new().place(A, bid(100, 1).in_market(MarketId(9))))),
    (RejectCode::MarketClosed, || {
        let mut venue = Venue::new();
        venue.set_state(BTCUSD, MarketState::CancelOnly);
        rejection(&venue.place(A, bid(100, 1)))
    }),
    (RejectCode::ExpiryPassed, || rejection(&Venue::new().place(A, bid(100, 1).until(0)))),
    (RejectCode::PriceOutsideBand, || {
        let mut venue = Venue::new();
        venue.admin(AdminAction::SetPriceBand { market: BTCUSD, band: 100_000 });
        venue.placed(A, ask(100, 1));
        rejection(&venue.place(B, bid(111, 1)))
    }),
    (RejectCode::BadCombination, || rejection(&Venue::new().place(A, bid(100, 1).ioc().post_only()))),
    (RejectCode::PriceOutOfRange, || rejection(&Venue::new().place(A, bid(0, 1)))),
    (RejectCode::QuantityOutOfRange, || rejection(&Venue::new().place(A, bid(100, 10_001)))),
    (RejectCode::NotionalTooSmall, || rejection(&Venue::new().place(A, bid(9, 1)))),
    (RejectCode::ClientOrderLive, || {
        let mut venue = Venue::new();
        venue.placed(A, bid(100, 1).id("x"));
        rejection(&venue.place(A, bid(100, 1).id("x")))
    }),
    (RejectCode::ClientIdInUse, || {
        let mut venue = Venue::new();
        venue.placed(A, bid(100, 1).id("x"));
        rejection(&venue.place(A, bid(100, 2).id("x")))
    }),
    (RejectCode::OrderUnknown, || {
        let target = OrderReference::OrderId(OrderId(64));
        rejection(&Venue::new().send(A, Operation::CancelOrder(CancelOrder { market: BTCUSD, target })))
    }),
    (RejectCode::AmendNotSmaller, || {
        let mut venue = Venue::new();
        let order = venue.placed(A, bid(100, 2));
        rejection(&venue.amend(A, order, 2))
    }),
    (RejectCode::TooManyOpenOrders, || {
        let mut venue = Venue::with(Options { max_orders: 5_000, ..Options::default() });
        (0..4_096).for_each(|_| drop(venue.place(A, bid(10, 1))));
        rejection(&venue.place(A, bid(10, 1)))
    }),
    (RejectCode::BookFull, || {
        let mut venue = Venue::new();
        (0..64).for_each(|_| drop(venue.place(A, bid(10, 1))));
        rejection(&venue.place(B, bid(10, 1)))
    }),
    (RejectCode::LevelsFull, || {
        let mut venue = Venue::new();
        (0..32).for_each(|level| drop(venue.place(A, bid(10 + level, 1))));
        rejection(&venue.place(A, bid(9, 2)))
    }),
    (RejectCode::NoLiquidity, || rejection(&Venue::new().place(A, market_buy(1)))),
    (RejectCode::WouldTrade, || {
        let mut venue = Venue::new();
        venue.placed(A, ask(100, 1));
        rejection(&venue.place(B, bid(100, 1).post_only()))
    }),
    (RejectCode::InsufficientBalance, || {
        let mut venue = Venue::with(Options { deposit: 0, ..Options::default() });
        rejection(&venue.place(A, bid(100, 1)))
    }),
    (RejectCode::WouldTrigger, || {
        let mut venue = Venue::new();
        venue.placed(A, ask(100, 1));
        venue.placed(B, bid(100, 1));
        rejection(&venue.place(A, bid(100, 1).stop(100)))
    }),
    (RejectCode::RestrictionNotMet, || {
        let mut venue = Venue::new();
        let order = venue.placed(A, bid(100, 1));
        let restriction = CancelRestriction::OnlyPartiallyFilled;
        let replace = ReplaceOrder { restriction, ..replacing(order, bid(99, 1)) };
        rejection(&venue.send(A, Operation::ReplaceOrder(replace)))
    }),
    (RejectCode::TriggersFull, || {
        let mut venue = Venue::new();
        (0..16).for_each(|_| drop(venue.place(A, bid(100, 1).stop(100))));
        rejection(&venue.place(A, bid(100, 1).stop(100)))
    }),
];

/// Cases of what accounts are to each other and to the operators.
const ACCOUNT_CASES: &[Case] = &[
    (RejectCode::GroupNotConsented, || rejection(&Venue::new().send(A, Operation::SetSelfTradeGroup { group: B }))),
    (RejectCode::OutOfScope, || {
        let mut venue = Venue::new();
        let scope = KeyScope { operations: KeyScope::CANCEL, market: None, account: None };
        venue.send(A, Operation::NarrowKey { key: KeyId(1), scope });
        rejection(&venue.place(A, bid(100, 1)))
    }),
    (RejectCode::TableShareTaken, || {
        let mut venue = Venue::with(Options { share_parts: 64, ..Options::default() });
        venue.placed(A, bid(100, 1));
        rejection(&venue.place(A, bid(100, 1)))
    }),
    (RejectCode::KeyLimitReached, || {
        let mut venue = Venue::new();
        let limits = KeyLimits { notional_per_day: Atoms(99), quote: USD, price_band: 0 };
        venue.send(A, Operation::LimitKey { key: KeyId(1), limits });
        rejection(&venue.place(A, bid(100, 1)))
    }),
    (RejectCode::OtherOwner, || {
        let transfer = Transfer { to: B, asset: USD, amount: Atoms(1) };
        rejection(&Venue::new().send(A, Operation::Transfer(transfer)))
    }),
    (RejectCode::TooManySubAccounts, || {
        let capacities = Capacities { accounts: 64, ..Options::default().capacities };
        let mut venue = Venue::with(Options { capacities, ..Options::default() });
        (0..16).for_each(|_| drop(venue.send(A, Operation::OpenSubAccount)));
        rejection(&venue.send(A, Operation::OpenSubAccount))
    }),
    (RejectCode::AccountBlocked, || {
        let mut venue = Venue::new();
        venue.admin(AdminAction::BlockAccount { account: A, block: AccountBlock::Blocked });
        rejection(&venue.place(A, bid(100, 1)))
    }),
];

/// Cases of operators and of money.
const ADMIN_CASES: &[Case] = &[
    (RejectCode::NotAuthorised, || {
        let action = AdminAction::SetMarketState { market: BTCUSD, state: MarketState::Open };
        let admin = AdminCommand { authority: AdminAuthority::Node, action, reason: Reason::EMPTY };
        rejection(&Venue::new().apply(Command::Admin(admin)))
    }),
    (RejectCode::WrongAdminNonce, || {
        let action = AdminAction::SetMarketState { market: BTCUSD, state: MarketState::Open };
        let authority = AdminAuthority::Role { role: 0, nonce: 9 };
        rejection(&Venue::new().apply(Command::Admin(AdminCommand { authority, action, reason: Reason::EMPTY })))
    }),
    (RejectCode::SecondRoleNeeded, || {
        let mut venue = Venue::with(Options { roles: 2, ..Options::default() });
        rejection(&venue.set_fees(BTCUSD, 0, 0))
    }),
    (RejectCode::NotQuarantined, || {
        let mut venue = Venue::new();
        let sequence = venue.engine.sequence();
        rejection(&venue.admin(AdminAction::Quarantine { sequence }))
    }),
    (RejectCode::AlreadyListed, || rejection(&Venue::new().admin(AdminAction::ListAsset(assets()[0])))),
    (RejectCode::AssetUnknown, || {
        let spec = MarketSpec { market: MarketId(2), base: AssetId(3), ..markets(&Options::default())[0] };
        let spec = MarketSpec { symbol: lakh_engine::ids::Symbol::new("X").expect("short"), ..spec };
        rejection(&Venue::new().admin(AdminAction::ListMarket(spec)))
    }),
    (RejectCode::BadSpecification, || {
        let capacities = Capacities { accounts: 1, ..Options::default().capacities };
        rejection(&Venue::bare().apply(Command::Genesis(genesis(capacities))))
    }),
    (RejectCode::TableFull, || {
        let mut venue = Venue::new();
        let mut last = None;
        for account in 4..9 {
            last = refusal(&venue.deposit(AccountId(account), USD, 1));
        }
        last
    }),
    (RejectCode::KeyBoundBefore, || Venue::new().register_key(registration(1, 2)).err()),
    (RejectCode::WrongKeyEpoch, || Venue::new().register_key(registration(20, 3)).err()),
    (RejectCode::WrongAccount, || refusal(&Venue::new().withdraw(AccountId(0), USD, 1))),
    (RejectCode::WrongQueueId, || {
        let mut venue = Venue::new();
        let entry = ChainEntry { queue_id: 2, ..venue.next_entry(deposit_entry(A, BTC, 1)) };
        rejection(&venue.apply(Command::ChainEntry(entry)))
    }),
    (RejectCode::AmountOutOfRange, || refusal(&Venue::new().withdraw(A, BTC, 0))),
    (RejectCode::WrongQueuePrefix, || {
        let mut venue = Venue::new();
        let entry = ChainEntry { prefix: [0; 32], ..venue.next_entry(deposit_entry(A, BTC, 1)) };
        rejection(&venue.apply(Command::ChainEntry(entry)))
    }),
    (RejectCode::WrongBatch, || {
        let mut venue = Venue::new();
        let batch = BatchSealed { batch_id: 2, ..venue.next_batch(Sequence(1)) };
        rejection(&venue.apply(Command::BatchSealed(batch)))
    }),
];

/// Codes that no command can reach today, with the reason.
///
/// `AgendaFull`: a mass cancel looks for room, but it only gets that far while the agenda is empty, and every agenda
/// has room for one operation. It stays as the check that later operations of the agenda need.
const UNREACHABLE: &[RejectCode] = &[RejectCode::AgendaFull];

fn crowded() -> Venue {
    let mut venue = Venue::with(Options { max_orders: 2_048, ..Options::default() });
    (0..1_025).for_each(|_| drop(venue.place(A, bid(10, 1))));
    venue
}

fn registration(number: u32, epoch: u32) -> RegisterKey {
    let expires_at = Timestamp::ZERO;
    RegisterKey { account: A, public_key: public_key(number), epoch, expires_at, digest_capacity: 1 }
}

/// One more key of a, pending.
fn second_key(venue: &mut Venue, expires_at: Timestamp) -> KeyId {
    venue.register_key(RegisterKey { expires_at, ..registration(20, 2) }).expect("a new key")
}

/// A request of a by digest, with a receive window of 5 s.
fn by_digest(number: u8, signed_at: Timestamp) -> Command {
    Command::Signed(SignedCommand {
        account: A,
        key: KeyId(1),
        grade: EvidenceGrade::Signed,
        replay_guard: ReplayGuard::Digest { digest: [number; 16], signed_at, receive_window_ms: 5_000 },
        valid_until: Timestamp::ZERO,
        operation: Operation::Logon,
    })
}

/// The answer to the last of requests with these nonces.
fn by_nonces(nonces: &[u64]) -> Option<RejectCode> {
    let mut venue = Venue::new();
    let mut last = None;
    for nonce in nonces {
        let replay_guard = ReplayGuard::Nonce { nonce: *nonce };
        let signed = SignedCommand { replay_guard, ..venue.signed(A, Operation::Logon) };
        last = rejection(&venue.apply(Command::Signed(signed)));
    }
    last
}

#[test]
fn every_code_is_reached() {
    let mut missing: Vec<RejectCode> = RejectCode::ALL.to_vec();
    for (code, reach) in KEY_CASES.iter().chain(ORDER_CASES).chain(ACCOUNT_CASES).chain(ADMIN_CASES) {
        assert_eq!(reach(), Some(*code));
        missing.retain(|other| other != code);
    }
    assert_eq!(missing, UNREACHABLE);
}

#[test]
fn an_amendment_of_nothing_is_refused() {
    let mut venue = Venue::new();
    let order = venue.placed(A, bid(100, 2));
    for quantity in [0, 2, 3, u64::MAX] {
        assert_eq!(rejection(&venue.amend(A, order, quantity)), Some(RejectCode::AmendNotSmaller));
    }
    assert_eq!(rejection(&venue.reprice(A, order, (2, 100))), Some(RejectCode::AmendNotSmaller));
    assert_eq!(rejection(&venue.reprice(A, order, (u64::MAX, 100))), Some(RejectCode::QuantityOutOfRange));
    assert_eq!(venue.engine.book(BTCUSD).expect("listed").orders(lakh_engine::command::Side::Bid).count(), 1);
    assert_eq!(rejection(&venue.amend(A, order, Lots(1).0)), None);
}
