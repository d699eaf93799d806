//! Seeded randomness, and random commands that a venue may or may not like.
//!
//! Every randomised test takes its seed from [`seed`], which prints it; `LAKH_TEST_SEED` sets another one.

use lakh_engine::command::{
    AccountBlock, AdminAction, AdminAuthority, AdminCommand, AmendMode, AmendOrder, BatchSealed, CancelAll,
    CancelOrder, CancelRestriction, ChainEntry, Command, Deposit, DisconnectMode, Epoch, EvidenceAllowance,
    EvidenceGrade, FrameCommand, FrameOperation, KeyLimits, KeyScope, MarketState, Operation, OrderReference,
    OrderType, PlaceOrder, Quote, QuoteSide, RegisterKey, ReplaceMode, ReplaceOrder, ReplayGuard, RestartMode,
    SelfTradeMode, Side, SignedCommand, TimeInForce, Transfer,
};
use lakh_engine::ids::{AccountId, AssetId, ClientId, FeeTier, KeyId, MarketId, OrderId, Reason, Sequence};
use lakh_engine::market_spec::FeeTable;
use lakh_engine::units::{Atoms, FeeRate, Lots, Ticks, Timestamp};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::venue::{Venue, deposit_entry, owner, padded, public_key, register_entry, revoke_entry, withdrawal_entry};

/// SplitMix64.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// One of the choices.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).expect("an index")]
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// The seed of a test, printed.
pub(crate) fn seed(test: &str) -> u64 {
    let seed = match std::env::var("LAKH_TEST_SEED") {
        Ok(text) => text.parse().expect("LAKH_TEST_SEED is a whole number"),
        Err(_) => 20_260_726,
    };
    println!("{test}: seed {seed} (set LAKH_TEST_SEED for another)");
    seed
}

/// A proptest runner with a printed seed.
pub(crate) fn runner(test: &str, cases: u32) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed(test).to_le_bytes());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// Client ids that random orders use: few, so that they meet.
const CLIENT_IDS: [&str; 5] = ["", "", "one", "two", "three"];

/// A command for the venue's next sequence, mostly legal.
pub(crate) fn command(random: &mut Random, venue: &Venue) -> Command {
    if venue.engine.agenda_pending() && !random.once_in(4) {
        return Command::Continue;
    }
    // The sequencer lets time pass as soon as something is due; mostly that is what happens here too.
    if venue.engine.next_deadline().is_some_and(|deadline| deadline <= venue.now) && !random.once_in(4) {
        return Command::AdvanceTime;
    }
    match random.below(100) {
        0..4 => Command::Frame(frame(random, venue)),
        4..82 => Command::Signed(signed(random, venue)),
        82..90 if closed_market(venue).is_some() => Command::Admin(admin(random, venue)),
        82..90 => Command::Signed(signed(random, venue)),
        90..96 => chain_command(random, venue),
        96..98 => Command::Admin(admin(random, venue)),
        98 if random.once_in(3) => Command::SessionEnded { account: other(random) },
        98 if random.once_in(2) => Command::AdvanceTime,
        98 => Command::Continue,
        _ => Command::Epoch(Epoch {
            epoch: venue.engine.epoch() + u32::try_from(random.below(2)).expect("small"),
            software: Reason::EMPTY,
        }),
    }
}

fn account(random: &mut Random) -> AccountId {
    AccountId(1 + u32::try_from(random.below(3)).expect("small"))
}

/// An account that there is, most of the time.
fn other(random: &mut Random) -> AccountId {
    let bound = if random.once_in(10) { 9 } else { 4 };
    AccountId(u32::try_from(random.below(bound)).expect("small"))
}

fn asset(random: &mut Random) -> AssetId {
    AssetId(u16::try_from(if random.once_in(20) { 3 } else { random.below(3) }).expect("small"))
}

fn market(random: &mut Random) -> MarketId {
    MarketId(u16::try_from(if random.once_in(40) { 2 } else { random.below(2) }).expect("small"))
}

fn signed(random: &mut Random, venue: &Venue) -> SignedCommand {
    let mut account = account(random);
    let mut key = KeyId(account.0);
    // What its owner's key does for a sub-account, where there is one.
    let sub_accounts: Vec<AccountId> =
        venue.engine.accounts().filter(|other| venue.engine.parent(*other) == Some(account)).collect();
    if !sub_accounts.is_empty() && random.once_in(4) {
        account = random.pick(&sub_accounts);
    }
    if random.once_in(50) {
        key = KeyId(u32::try_from(random.below(7)).expect("small"));
    }
    // Nonces near the sequence: mostly new, sometimes used, sometimes far off.
    let sequence = venue.engine.sequence().0;
    let nonce = match random.below(60) {
        0 => sequence.saturating_sub(random.below(40)),
        1 => sequence + (2 << 20),
        2 => sequence.saturating_sub(5_000),
        _ => sequence + 1,
    };
    let mut digest = [0; 16];
    digest[..8].copy_from_slice(&(sequence - random.below(5).min(sequence)).to_le_bytes());
    let signed_at = Timestamp(venue.now.0 - random.below(6_000_000_000));
    let (replay_guard, mut grade) = match random.below(10) {
        0 => (ReplayGuard::Digest { digest, signed_at, receive_window_ms: 5_000 }, EvidenceGrade::Signed),
        1 => (ReplayGuard::Session { signed_at, receive_window_ms: 5_000 }, EvidenceGrade::Delegated),
        _ => (ReplayGuard::Nonce { nonce }, EvidenceGrade::Native),
    };
    if random.once_in(60) {
        grade = EvidenceGrade::HeaderKeyed;
    }
    let valid_until = if random.once_in(40) { venue.now } else { Timestamp::ZERO };
    let operation = match operation(random, venue, account) {
        // The traders' first keys stay, or nobody could trade on.
        Operation::RevokeKey if key.0 <= 3 => Operation::Logon,
        operation => operation,
    };
    SignedCommand { account, key, grade, replay_guard, valid_until, operation }
}

fn operation(random: &mut Random, venue: &Venue, account: AccountId) -> Operation {
    let market = market(random);
    match random.below(100) {
        0..8 => Operation::ReplaceOrder(replace(random, venue, (account, market))),
        8..66 => Operation::PlaceOrder(place(random, market, venue.now)),
        66..82 => Operation::CancelOrder(CancelOrder { market, target: target(random, venue, (account, market)) }),
        82..89 => Operation::AmendOrder(AmendOrder {
            market,
            target: target(random, venue, (account, market)),
            new_quantity: Lots(random.below(25)),
            new_price: Ticks(if random.once_in(2) { 95 + random.below(11) } else { 0 }),
            mode: random.pick(&[AmendMode::KeepPriority, AmendMode::MayLosePriority]),
        }),
        89..94 => Operation::Quote(quote(random, market)),
        94..97 => Operation::CancelAll(CancelAll {
            market: random.pick(&[None, Some(market)]),
            side: random.pick(&[None, Some(Side::Bid), Some(Side::Ask)]),
        }),
        97 if random.once_in(2) => Operation::CancelAllAfter { timeout_ms: random.pick(&[0, 100, 2_000]) },
        97 => random.pick(&[
            Operation::Logon,
            Operation::ActivateKey,
            Operation::SetDisconnectMode { mode: DisconnectMode::Keep },
            Operation::SetDisconnectMode { mode: DisconnectMode::CancelAll },
        ]),
        // The traders' first keys keep what they may do.
        98 if random.once_in(3) => Operation::NarrowKey {
            key: KeyId(4 + u32::try_from(random.below(4)).expect("small")),
            scope: KeyScope {
                operations: random.pick(&[15, KeyScope::CANCEL, KeyScope::PLACE]),
                market: random.pick(&[None, Some(market)]),
                account: random.pick(&[None, None, Some(account)]),
            },
        },
        98 if random.once_in(2) => of_the_owner(random, account),
        98 if random.once_in(2) => Operation::SetSelfTradeGroup { group: other(random) },
        98 => Operation::InviteToSelfTradeGroup { invited: other(random) },
        _ => Operation::RevokeKey,
    }
}

/// An order of any kind around a price of 100, sometimes of no legal kind.
pub(crate) fn place(random: &mut Random, market: MarketId, now: Timestamp) -> PlaceOrder {
    let order_type = match random.below(20) {
        0..10 => OrderType::Limit,
        10..12 => OrderType::LimitMaker,
        12 => OrderType::LimitMakerSlide,
        13..16 => OrderType::Market,
        16 => OrderType::StopLoss,
        17 => OrderType::StopLossLimit,
        18 => OrderType::TakeProfit,
        _ => OrderType::TakeProfitLimit,
    };
    let by_budget = order_type == OrderType::Market && random.once_in(2);
    let time_in_force = match order_type {
        OrderType::Market | OrderType::StopLoss | OrderType::TakeProfit if random.once_in(4) => TimeInForce::FillOrKill,
        OrderType::Market | OrderType::StopLoss | OrderType::TakeProfit => TimeInForce::ImmediateOrCancel,
        OrderType::Limit | OrderType::StopLossLimit | OrderType::TakeProfitLimit => random.pick(&[
            TimeInForce::GoodTillCancel,
            TimeInForce::GoodTillCancel,
            TimeInForce::ImmediateOrCancel,
            TimeInForce::FillOrKill,
            TimeInForce::GoodTillDate,
        ]),
        OrderType::LimitMaker | OrderType::LimitMakerSlide => {
            random.pick(&[TimeInForce::GoodTillCancel, TimeInForce::GoodTillDate])
        }
    };
    let price = match order_type {
        OrderType::Market | OrderType::StopLoss | OrderType::TakeProfit if random.once_in(2) => 0,
        _ => 95 + random.below(11),
    };
    let quantity = if by_budget { 0 } else { 1 + random.below(20) };
    let may_hide = time_in_force.rests() && !order_type.waits();
    let mut order = PlaceOrder {
        market,
        side: random.pick(&[Side::Bid, Side::Ask]),
        order_type,
        time_in_force,
        price: Ticks(price),
        trigger_price: Ticks(if order_type.waits() { 92 + random.below(17) } else { 0 }),
        quantity: Lots(quantity),
        display_quantity: Lots(if may_hide && random.once_in(3) { 1 + random.below(quantity) } else { 0 }),
        quote_budget: Atoms(if by_budget { 1 + random.below(20_000) } else { 0 }),
        self_trade_mode: random.pick(&[
            SelfTradeMode::None,
            SelfTradeMode::ExpireTaker,
            SelfTradeMode::ExpireMaker,
            SelfTradeMode::ExpireBoth,
            SelfTradeMode::Decrement,
        ]),
        expires_at: match time_in_force {
            TimeInForce::GoodTillDate => Timestamp(now.0 + random.below(20_000_000_000)),
            _ => Timestamp::ZERO,
        },
        client_id: ClientId::new(random.pick(&CLIENT_IDS)).expect("short"),
    };
    match random.below(60) {
        4 => order.trigger_price = Ticks(random.pick(&[0, 100, 100_001, u64::MAX])),
        0 => order.price = Ticks(random.pick(&[0, 1, 100_000, 100_001, u64::MAX])),
        1 => order.quantity = Lots(random.pick(&[0, 1, 10_000, 10_001, u64::MAX])),
        2 => order.quote_budget = Atoms(random.pick(&[0, 1, 1 << 40, u64::MAX])),
        3 => order.time_in_force = TimeInForce::GoodTillCancel,
        _ => {}
    }
    order
}

/// What an owner asks for about his accounts and keys.
fn of_the_owner(random: &mut Random, account: AccountId) -> Operation {
    match random.below(5) {
        4 => Operation::AllowEvidence(EvidenceAllowance {
            grade: random.pick(&[EvidenceGrade::Delegated, EvidenceGrade::HeaderKeyed, EvidenceGrade::Native]),
            until: Timestamp(random.pick(&[0, 1 << 60, 1_700_000_100_000_000_000])),
            quote: AssetId(1),
            notional: Atoms(random.below(9_000)),
        }),
        0 => Operation::OpenSubAccount,
        1 => Operation::LimitKey {
            key: KeyId(4 + u32::try_from(random.below(4)).expect("small")),
            limits: KeyLimits {
                notional_per_day: Atoms(random.below(9_000)),
                quote: AssetId(1),
                price_band: random.pick(&[0, 20_000]),
            },
        },
        _ => Operation::Transfer(Transfer {
            to: random.pick(&[AccountId(7), AccountId(6), AccountId(5), account, AccountId(1)]),
            asset: asset(random),
            amount: Atoms(random.below(30_000)),
        }),
    }
}

/// A quote around a price of 100, sometimes of one side, sometimes crossed.
pub(crate) fn quote(random: &mut Random, market: MarketId) -> Quote {
    let price = 96 + random.below(6);
    let quantity = |random: &mut Random| if random.once_in(5) { 0 } else { 2 + random.below(12) };
    let side = |price: u64, quantity: u64| QuoteSide {
        price: Ticks(if quantity == 0 { 0 } else { price }),
        quantity: Lots(quantity),
    };
    Quote {
        market,
        slot: u8::try_from(random.below(3)).expect("small"),
        order_type: random.pick(&[OrderType::Limit, OrderType::LimitMaker, OrderType::LimitMakerSlide]),
        self_trade_mode: random.pick(&[SelfTradeMode::None, SelfTradeMode::ExpireMaker, SelfTradeMode::Decrement]),
        bid: side(price, quantity(random)),
        ask: side(price + random.below(6), quantity(random)),
    }
}

/// A few operations under one signature, sometimes none.
fn frame(random: &mut Random, venue: &Venue) -> FrameCommand {
    let SignedCommand { account, key, grade, replay_guard, valid_until, .. } = signed(random, venue);
    let one = |random: &mut Random| loop {
        match operation(random, venue, account) {
            Operation::PlaceOrder(order) => return FrameOperation::PlaceOrder(order),
            Operation::CancelOrder(cancel) => return FrameOperation::CancelOrder(cancel),
            Operation::AmendOrder(amend) => return FrameOperation::AmendOrder(amend),
            Operation::ReplaceOrder(replace) => return FrameOperation::ReplaceOrder(replace),
            Operation::Quote(quote) => return FrameOperation::Quote(quote),
            _ => {}
        }
    };
    let operations = (0..random.below(7)).map(|_| one(random)).collect();
    FrameCommand { account, key, grade, replay_guard, valid_until, operations }
}

/// A cancel-replace of any kind.
fn replace(random: &mut Random, venue: &Venue, (account, market): (AccountId, MarketId)) -> ReplaceOrder {
    use CancelRestriction::{OnlyNew, OnlyPartiallyFilled};
    ReplaceOrder {
        target: target(random, venue, (account, market)),
        restriction: random.pick(&[CancelRestriction::None, CancelRestriction::None, OnlyNew, OnlyPartiallyFilled]),
        mode: random.pick(&[ReplaceMode::StopOnFailure, ReplaceMode::AllowFailure]),
        order: place(random, market, venue.now),
    }
}

/// A live order of the account, or whatever else.
fn target(random: &mut Random, venue: &Venue, (account, market): (AccountId, MarketId)) -> OrderReference {
    if random.once_in(5) {
        return OrderReference::ClientId(ClientId::new(random.pick(&CLIENT_IDS)).expect("short"));
    }
    let live: Vec<OrderId> = match venue.engine.book(market) {
        Some(book) => [Side::Bid, Side::Ask]
            .into_iter()
            .flat_map(|side| book.orders(side))
            .filter(|order| order.account == account || random.0.is_multiple_of(7))
            .map(|order| order.order)
            .chain(book.waiting().into_iter().map(|(_, order)| order.order))
            .collect(),
        None => Vec::new(),
    };
    match live.is_empty() || random.once_in(20) {
        true => OrderReference::OrderId(OrderId(random.below(1_000) * 64)),
        false => OrderReference::OrderId(random.pick(&live)),
    }
}

/// What comes from the chain: mostly the queue's next entry, sometimes another or an altered one; and batches.
fn chain_command(random: &mut Random, venue: &Venue) -> Command {
    let plain = match random.below(20) {
        0 => return Command::BatchSealed(batch(random, venue)),
        1 => {
            let ChainEntry { account, asset, amount, .. } = deposit(random);
            return Command::Deposit(Deposit { account, owner: owner(account), asset, amount });
        }
        2 => key_entry(random, venue),
        3..12 => deposit(random),
        _ => withdrawal(random),
    };
    let mut entry = venue.next_entry(plain);
    match random.below(40) {
        0 => entry.queue_id = random.below(1_000),
        1 => entry.prefix[0] ^= 1,
        2 => entry.amount.0 ^= 1,
        _ => {}
    }
    Command::ChainEntry(entry)
}

fn deposit(random: &mut Random) -> ChainEntry {
    let mut account = account(random);
    let amount = match random.below(20) {
        0 => 0,
        1 => u64::MAX,
        _ => random.below(50_000),
    };
    if random.once_in(20) {
        account.0 = u32::try_from(random.below(9)).expect("small");
    }
    let entry = deposit_entry(account, asset(random), amount);
    if random.once_in(20) { ChainEntry { extra: padded([0xee; 20]), ..entry } } else { entry }
}

fn withdrawal(random: &mut Random) -> ChainEntry {
    let mut account = account(random);
    if random.once_in(10) {
        account.0 = u32::try_from(random.below(9)).expect("small");
    }
    let most = if random.once_in(5) { 1 << 40 } else { 20_000 };
    let asset = asset(random);
    withdrawal_entry(account, asset, random.below(most))
}

/// A registration or a revocation; the traders' first keys stay, or nobody could trade on.
fn key_entry(random: &mut Random, venue: &Venue) -> ChainEntry {
    let (account, number) = (account(random), 10 + u32::try_from(random.below(10)).expect("small"));
    let seconds = venue.now.0 / 1_000_000_000 + random.below(3);
    if random.once_in(2) { register_entry(account, number, seconds) } else { revoke_entry(account, number) }
}

/// The next batch, or one that does not follow.
fn batch(random: &mut Random, venue: &Venue) -> BatchSealed {
    let last = venue.engine.sequence().0 + 1;
    let mut batch = venue.next_batch(Sequence(last.saturating_sub(random.below(4))));
    match random.below(10) {
        0 => batch.batch_id += 1,
        1 => batch.first_sequence.0 += 1,
        _ => {}
    }
    batch
}

fn admin(random: &mut Random, venue: &Venue) -> AdminCommand {
    let nonce = venue.engine.role_nonce(0).expect("there is a genesis") + u64::from(!random.once_in(8));
    let authority = match random.below(12) {
        0 => AdminAuthority::Genesis,
        1 => AdminAuthority::Node,
        2 => AdminAuthority::Role { role: 1, nonce },
        _ => AdminAuthority::Role { role: 0, nonce },
    };
    let mut market = market(random);
    // A market that is closed is looked at first, so that days do not go by without a trade.
    if let Some(closed) = closed_market(venue) {
        market = closed;
    }
    let action = match random.below(20) {
        0 => AdminAction::SetPriceBand { market, band: random.pick(&[0, 0, 20_000, 50_000, 1_000_001]) },
        1 => AdminAction::SetRestartMode { market, mode: random.pick(&[RestartMode::Stay, RestartMode::Guarded]) },
        2..6 => AdminAction::SetFees { market, fees: fees(random) },
        6 => AdminAction::SetFeeTier {
            account: other(random),
            tier: FeeTier(u8::try_from(random.below(3)).expect("small")),
        },
        7..10 if closed_market(venue).is_some() => AdminAction::SetMarketState { market, state: MarketState::Open },
        7..14 => AdminAction::SetMarketState {
            market,
            state: random.pick(&[
                MarketState::Open,
                MarketState::Open,
                MarketState::Open,
                MarketState::PostOnly,
                MarketState::CancelOnly,
                MarketState::Halt,
            ]),
        },
        14..17 => AdminAction::SetAccountPolicy {
            account: account(random),
            minimum_grade: random.pick(&[EvidenceGrade::Delegated, EvidenceGrade::Signed]),
        },
        17 if random.once_in(2) => AdminAction::BlockAccount {
            account: other(random),
            block: if random.once_in(8) { AccountBlock::Blocked } else { AccountBlock::None },
        },
        17 => AdminAction::RevokeKey { key: KeyId(4 + u32::try_from(random.below(4)).expect("small")) },
        _ => AdminAction::RegisterKey(RegisterKey {
            account: account(random),
            public_key: public_key(10 + u32::try_from(random.below(10)).expect("small")),
            epoch: 2 + u32::try_from(random.below(2)).expect("small"),
            expires_at: Timestamp(venue.now.0 + random.below(1_000_000_000)),
            digest_capacity: 2,
        }),
    };
    AdminCommand { authority, action, reason: Reason::EMPTY }
}

/// A table whose first tiers differ, sometimes one that would pay for trades.
fn fees(random: &mut Random) -> FeeTable {
    let mut table = FeeTable::flat(FeeRate(500), FeeRate(1_500));
    for rates in &mut table.rates[..3] {
        rates.maker = FeeRate(random.pick(&[-1_000, 0, 500, 10_000]));
        rates.taker = FeeRate(random.pick(&[1_000, 1_000, 1_500, 30_000]));
    }
    if random.once_in(10) {
        table.rates[1].maker = FeeRate(random.pick(&[200_000, -2_000]));
    }
    table
}

/// The first market that is not open.
fn closed_market(venue: &Venue) -> Option<MarketId> {
    let is_open = |market: &MarketId| venue.engine.book(*market).is_some_and(|book| book.state() == MarketState::Open);
    venue.engine.market_specs().map(|spec| spec.market).find(|market| !is_open(market))
}
