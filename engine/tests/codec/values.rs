//! Arbitrary values of every command and event, legal for the engine or not: any value has bytes.

use lakh_engine::command::{
    AccountBlock, AdminAction, AdminAuthority, AdminCommand, AmendOrder, BatchSealed, CancelAll, CancelOrder,
    CancelRestriction, Capacities, ChainEntry, ChainEntryKind, Command, Deposit, DisconnectMode, Epoch, EvidenceGrade,
    FrameCommand, FrameOperation, Genesis, KeyScope, MarketState, Mode, Operation, OrderReference, OrderType,
    PlaceOrder, RegisterKey, ReplaceMode, ReplaceOrder, ReplayGuard, RestartMode, SelfTradeMode, SettlementBinding,
    Side, SignedCommand, TimeInForce,
};
use lakh_engine::event::{
    CancelReason, Completion, Duplicate, Event, KeyEnd, OrderAccepted, OrderCanceled, OrderReduced, OrderRested,
    Rejected, Trade, TradeParty,
};
use lakh_engine::ids::{AccountId, AssetId, KeyId, MarketId, OrderId, Sequence, ShortText, TradeId};
use lakh_engine::market_spec::{AssetSpec, MarketSpec};
use lakh_engine::reject::RejectCode;
use lakh_engine::units::{Atoms, FeeRate, Lots, Ticks, Timestamp};

use crate::support::random::Random;

/// Kinds of commands that [`command`] makes: each variant, each action and operation of the nested ones.
pub(crate) const COMMANDS: usize = 9 + ACTIONS + OPERATIONS;
const ACTIONS: usize = 10;
const OPERATIONS: usize = 13;
/// Kinds of events that [`event`] makes.
pub(crate) const EVENTS: usize = 38;

/// A number of a width that is drawn too, so that small, large and extreme ones all come.
fn number(random: &mut Random) -> u64 {
    let bits = random.below(65);
    match bits {
        0 => 0,
        bits => random.next() >> (64 - bits),
    }
}

/// A number of at most `bits` bits.
fn small<T: TryFrom<u64>>(random: &mut Random, bits: u32) -> T {
    T::try_from(number(random) & (u64::MAX >> (64 - bits))).unwrap_or_else(|_| unreachable!("masked to its width"))
}

fn text<const MAX: usize>(random: &mut Random) -> ShortText<MAX> {
    let length = random.below(MAX as u64 + 1);
    let bytes: Vec<u8> = (0..length).map(|_| b' ' + small::<u8>(random, 6)).collect();
    ShortText::from_bytes(&bytes).expect("printable and short")
}

fn bytes<const N: usize>(random: &mut Random) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.iter_mut().for_each(|byte| *byte = small(random, 8));
    bytes
}

fn account(random: &mut Random) -> AccountId {
    AccountId(small(random, 32))
}

fn market(random: &mut Random) -> MarketId {
    MarketId(small(random, 16))
}

fn asset(random: &mut Random) -> AssetId {
    AssetId(small(random, 16))
}

fn key(random: &mut Random) -> KeyId {
    KeyId(small(random, 32))
}

fn order_id(random: &mut Random) -> OrderId {
    OrderId(number(random))
}

fn atoms(random: &mut Random) -> Atoms {
    Atoms(number(random))
}

fn lots(random: &mut Random) -> Lots {
    Lots(number(random))
}

fn ticks(random: &mut Random) -> Ticks {
    Ticks(number(random))
}

fn timestamp(random: &mut Random) -> Timestamp {
    Timestamp(number(random))
}

fn fee(random: &mut Random) -> FeeRate {
    FeeRate(small::<u32>(random, 32).cast_signed())
}

fn side(random: &mut Random) -> Side {
    random.pick(&[Side::Bid, Side::Ask])
}

fn state(random: &mut Random) -> MarketState {
    use MarketState::{CancelOnly, Halt, Open, PostOnly, PreOpen};
    random.pick(&[PreOpen, PostOnly, Open, CancelOnly, Halt])
}

fn grade(random: &mut Random) -> EvidenceGrade {
    use EvidenceGrade::{Delegated, HeaderKeyed, Native, Signed};
    random.pick(&[Delegated, HeaderKeyed, Signed, Native])
}

fn order_type(random: &mut Random) -> OrderType {
    use OrderType::{Limit, LimitMaker, LimitMakerSlide, Market};
    use OrderType::{StopLoss, StopLossLimit, TakeProfit, TakeProfitLimit};
    random.pick(&[Limit, LimitMaker, Market, StopLoss, StopLossLimit, TakeProfit, TakeProfitLimit, LimitMakerSlide])
}

fn time_in_force(random: &mut Random) -> TimeInForce {
    use TimeInForce::{FillOrKill, GoodTillCancel, GoodTillDate, ImmediateOrCancel};
    random.pick(&[GoodTillCancel, ImmediateOrCancel, FillOrKill, GoodTillDate])
}

fn self_trade_mode(random: &mut Random) -> SelfTradeMode {
    use SelfTradeMode::{Decrement, ExpireBoth, ExpireMaker, ExpireTaker, None};
    random.pick(&[None, ExpireTaker, ExpireMaker, ExpireBoth, Decrement])
}

fn entry_kind(random: &mut Random) -> ChainEntryKind {
    use ChainEntryKind::{Deposit, RegisterKey, RevokeKey, Withdrawal};
    random.pick(&[Deposit, RegisterKey, RevokeKey, Withdrawal])
}

fn target(random: &mut Random) -> OrderReference {
    match random.below(2) {
        0 => OrderReference::OrderId(order_id(random)),
        _ => OrderReference::ClientId(text(random)),
    }
}

fn asset_spec(random: &mut Random) -> AssetSpec {
    AssetSpec {
        asset: asset(random),
        symbol: text(random),
        decimals: small(random, 8),
        chain_units_per_atom: number(random),
    }
}

fn market_spec(random: &mut Random) -> MarketSpec {
    MarketSpec {
        market: market(random),
        symbol: text(random),
        base: asset(random),
        quote: asset(random),
        tick_size_e8: number(random),
        base_atoms_per_lot: number(random),
        quote_atoms_per_tick_lot: number(random),
        max_price: ticks(random),
        min_quantity: lots(random),
        max_quantity: lots(random),
        min_notional: atoms(random),
        market_order_band: small(random, 32),
        maker_fee: fee(random),
        taker_fee: fee(random),
        max_orders: small(random, 32),
        max_levels: small(random, 32),
    }
}

fn genesis(random: &mut Random) -> Genesis {
    Genesis {
        exchange_id: bytes(random),
        venue_tag: bytes(random),
        mode: random.pick(&[Mode::Dev, Mode::Run]),
        hash_seed: number(random),
        capacities: Capacities {
            accounts: small(random, 32),
            assets: small(random, 16),
            markets: small(random, 16),
            keys: small(random, 32),
            digests: small(random, 32),
            agenda: small(random, 32),
            digests_per_key: small(random, 32),
        },
        role_keys: [bytes(random), bytes(random), bytes(random), bytes(random)],
        settlement: SettlementBinding { chain_id: number(random), contract: bytes(random) },
    }
}

fn action(kind: usize, random: &mut Random) -> AdminAction {
    match kind {
        0 => AdminAction::ListAsset(asset_spec(random)),
        1 => AdminAction::ListMarket(market_spec(random)),
        2 => AdminAction::SetMarketState { market: market(random), state: state(random) },
        3 => AdminAction::SetFees { market: market(random), maker_fee: fee(random), taker_fee: fee(random) },
        4 => AdminAction::RegisterKey(RegisterKey {
            account: account(random),
            public_key: bytes(random),
            epoch: small(random, 32),
            expires_at: timestamp(random),
            digest_capacity: small(random, 32),
        }),
        5 => AdminAction::RevokeKey { key: key(random) },
        8 => AdminAction::SetRestartMode {
            market: market(random),
            mode: random.pick(&[RestartMode::Stay, RestartMode::Guarded]),
        },
        7 => AdminAction::SetPriceBand { market: market(random), band: small(random, 32) },
        6 => AdminAction::BlockAccount {
            account: account(random),
            block: random.pick(&[AccountBlock::None, AccountBlock::Blocked]),
        },
        _ => AdminAction::SetAccountPolicy { account: account(random), minimum_grade: grade(random) },
    }
}

fn place_order(random: &mut Random) -> PlaceOrder {
    PlaceOrder {
        market: market(random),
        side: side(random),
        order_type: order_type(random),
        time_in_force: time_in_force(random),
        price: ticks(random),
        trigger_price: ticks(random),
        quantity: lots(random),
        display_quantity: lots(random),
        quote_budget: atoms(random),
        self_trade_mode: self_trade_mode(random),
        expires_at: timestamp(random),
        client_id: text(random),
    }
}

fn operation(kind: usize, random: &mut Random) -> Operation {
    match kind {
        0 => Operation::PlaceOrder(place_order(random)),
        1 => Operation::CancelOrder(CancelOrder { market: market(random), target: target(random) }),
        2 => Operation::AmendOrder(AmendOrder {
            market: market(random),
            target: target(random),
            new_quantity: lots(random),
        }),
        3 => Operation::CancelAll(CancelAll {
            market: random.pick(&[None, Some(MarketId(513))]),
            side: random.pick(&[None, Some(Side::Bid), Some(Side::Ask)]),
        }),
        4 => Operation::Logon,
        5 => Operation::ActivateKey,
        6 => Operation::RevokeKey,
        7 => Operation::SetSelfTradeGroup { group: account(random) },
        10 => Operation::CancelAllAfter { timeout_ms: small(random, 32) },
        11 => Operation::SetDisconnectMode { mode: random.pick(&[DisconnectMode::Keep, DisconnectMode::CancelAll]) },
        12 => Operation::NarrowKey { key: key(random), scope: scope(random) },
        9 => Operation::ReplaceOrder(ReplaceOrder {
            target: target(random),
            restriction: random.pick(&[
                CancelRestriction::None,
                CancelRestriction::OnlyNew,
                CancelRestriction::OnlyPartiallyFilled,
            ]),
            mode: random.pick(&[ReplaceMode::StopOnFailure, ReplaceMode::AllowFailure]),
            order: place_order(random),
        }),
        _ => Operation::InviteToSelfTradeGroup { invited: account(random) },
    }
}

/// A frame of any length that has bytes; each operation is one that may also come alone.
fn frame(random: &mut Random) -> FrameCommand {
    let one = |random: &mut Random| match (random.below(4), target(random)) {
        (0, _) => FrameOperation::PlaceOrder(place_order(random)),
        (1, target) => FrameOperation::CancelOrder(CancelOrder { market: market(random), target }),
        (2, target) => {
            FrameOperation::AmendOrder(AmendOrder { market: market(random), target, new_quantity: lots(random) })
        }
        (_, target) => FrameOperation::ReplaceOrder(ReplaceOrder {
            target,
            restriction: CancelRestriction::None,
            mode: ReplaceMode::AllowFailure,
            order: place_order(random),
        }),
    };
    let operations = random.pick(&[0, 1, 2, 3, 64]);
    FrameCommand {
        account: account(random),
        key: key(random),
        grade: grade(random),
        replay_guard: replay_guard(random),
        valid_until: timestamp(random),
        operations: (0..operations).map(|_| one(random)).collect(),
    }
}

fn replay_guard(random: &mut Random) -> ReplayGuard {
    let (signed_at, receive_window_ms) = (timestamp(random), small(random, 32));
    match random.below(3) {
        0 => ReplayGuard::Digest { digest: bytes(random), signed_at, receive_window_ms },
        1 => ReplayGuard::Nonce { nonce: number(random) },
        _ => ReplayGuard::Session { signed_at, receive_window_ms },
    }
}

/// A command of the given kind, below [`COMMANDS`].
pub(crate) fn command(kind: usize, random: &mut Random) -> Command {
    match kind {
        0 => Command::Genesis(genesis(random)),
        1 => Command::Epoch(Epoch { epoch: small(random, 32), software: text(random) }),
        2 => Command::AdvanceTime,
        3 => Command::Continue,
        4 => Command::Deposit(Deposit {
            account: account(random),
            owner: bytes(random),
            asset: asset(random),
            amount: atoms(random),
        }),
        5 => Command::ChainEntry(ChainEntry {
            queue_id: number(random),
            kind: entry_kind(random),
            account: account(random),
            asset: asset(random),
            amount: atoms(random),
            extra: bytes(random),
            time_seconds: number(random),
            prefix: bytes(random),
        }),
        _ if kind == COMMANDS - 3 => Command::SessionEnded { account: account(random) },
        _ if kind == COMMANDS - 2 => Command::Frame(frame(random)),
        _ if kind == COMMANDS - 1 => Command::BatchSealed(BatchSealed {
            batch_id: number(random),
            first_sequence: Sequence(number(random)),
            last_sequence: Sequence(number(random)),
            new_root: bytes(random),
            data_hash: bytes(random),
        }),
        kind if (6..6 + ACTIONS).contains(&kind) => Command::Admin(AdminCommand {
            authority: match random.below(3) {
                0 => AdminAuthority::Genesis,
                1 => AdminAuthority::Role { role: small(random, 8), nonce: number(random) },
                _ => AdminAuthority::Node,
            },
            action: action(kind - 6, random),
            reason: text(random),
        }),
        _ => Command::Signed(SignedCommand {
            account: account(random),
            key: key(random),
            grade: grade(random),
            replay_guard: replay_guard(random),
            valid_until: timestamp(random),
            operation: operation(kind - 6 - ACTIONS, random),
        }),
    }
}

fn party(random: &mut Random) -> TradeParty {
    TradeParty {
        account: account(random),
        order: order_id(random),
        report_sequence: number(random),
        remaining: lots(random),
        fee: number(random).cast_signed(),
    }
}

fn cancel_reason(random: &mut Random) -> CancelReason {
    use CancelReason::{Expired, FillOrKill, LevelsFull, MassCancel, MaxFills, NotFilled, Requested, SelfTrade};
    random.pick(&[Requested, MassCancel, NotFilled, FillOrKill, SelfTrade, MaxFills, Expired, LevelsFull])
}

/// An event of the given kind, below [`EVENTS`].
pub(crate) fn event(kind: usize, random: &mut Random) -> Event {
    match kind {
        0..8 => order_event(kind, random),
        8 => Event::AgendaProgress {
            account: account(random),
            origin: Sequence(number(random)),
            canceled: small(random, 32),
            finished: random.pick(&[Completion::Pending, Completion::Finished]),
        },
        9 => Event::BalanceChanged {
            account: account(random),
            asset: asset(random),
            available: atoms(random),
            held: atoms(random),
        },
        10 => Event::MarketStateChanged {
            market: market(random),
            state: state(random),
            reason: text(random),
            feed_sequence: number(random),
        },
        11 => Event::FeesChanged { market: market(random), maker_fee: fee(random), taker_fee: fee(random) },
        12 => Event::AssetListed(asset_spec(random)),
        13 => Event::MarketListed(market_spec(random)),
        14 => Event::AccountOpened { account: account(random), owner: bytes(random) },
        15 => Event::DepositCredited {
            account: account(random),
            asset: asset(random),
            amount: atoms(random),
            report_sequence: number(random),
        },
        16 => Event::Withdrawn {
            account: account(random),
            asset: asset(random),
            amount: atoms(random),
            report_sequence: number(random),
        },
        17 => Event::KeyRegistered {
            key: key(random),
            account: account(random),
            public_key: bytes(random),
            expires_at: timestamp(random),
        },
        18 => Event::KeyActivated { key: key(random) },
        19 => Event::KeyEnded { key: key(random), cause: random.pick(&[KeyEnd::Revoked, KeyEnd::Expired]) },
        20 => Event::LoggedOn { account: account(random), key: key(random) },
        21 => Event::AccountPolicyChanged { account: account(random), minimum_grade: grade(random) },
        22 => Event::EpochStarted { epoch: small(random, 32) },
        23 => Event::DepositReturned {
            queue_id: number(random),
            account: account(random),
            asset: asset(random),
            amount: atoms(random),
            code: random.pick(RejectCode::ALL),
        },
        24 => Event::ChainEntryConsumed {
            queue_id: number(random),
            refused: random.pick(&[None, Some(RejectCode::AssetUnknown), Some(RejectCode::InsufficientBalance)]),
        },
        26.. => newer_event(kind, random),
        _ => Event::BatchSealed {
            batch_id: number(random),
            first_sequence: Sequence(number(random)),
            last_sequence: Sequence(number(random)),
            new_root: bytes(random),
        },
    }
}

fn scope(random: &mut Random) -> KeyScope {
    KeyScope { operations: small(random, 8), market: random.pick(&[None, Some(MarketId(3))]) }
}

fn refusal(random: &mut Random) -> Option<RejectCode> {
    random.pick(&[None, Some(RejectCode::OrderUnknown), Some(RejectCode::InsufficientBalance)])
}

/// The events that came after the first ones.
fn newer_event(kind: usize, random: &mut Random) -> Event {
    let (account, market, order) = (account(random), market(random), order_id(random));
    let report_sequence = number(random);
    match kind {
        26 => Event::SelfTradeGroupChanged { account, group: AccountId(small(random, 32)) },
        27 => Event::SelfTradeGroupInvited { account, invited: AccountId(small(random, 32)) },
        36 => Event::RestartModeChanged { market, mode: random.pick(&[RestartMode::Stay, RestartMode::Guarded]) },
        37 => Event::KeyNarrowed { key: key(random), scope: scope(random) },
        35 => Event::PriceBandChanged { market, band: small(random, 32) },
        32 => Event::CancelAllTimerSet { account, report_sequence, at: timestamp(random) },
        33 => Event::AccountBlockChanged { account, block: random.pick(&[AccountBlock::None, AccountBlock::Blocked]) },
        34 => Event::DisconnectModeChanged {
            account,
            mode: random.pick(&[DisconnectMode::Keep, DisconnectMode::CancelAll]),
        },
        30 => Event::FrameAccepted { account, report_sequence, operations: small(random, 8) },
        31 => Event::OperationDone {
            account,
            report_sequence,
            origin: Sequence(number(random)),
            index: small(random, 8),
            refused: refusal(random),
            order,
        },
        29 => Event::ReplaceAnswered {
            account,
            report_sequence,
            market,
            cancel_refused: refusal(random),
            order_refused: refusal(random),
        },
        _ => Event::OrderTriggered { account, report_sequence, market, order, last_price: ticks(random) },
    }
}

/// The events of orders.
fn order_event(kind: usize, random: &mut Random) -> Event {
    let (account, market, order) = (account(random), market(random), order_id(random));
    let (report_sequence, feed_sequence) = (number(random), number(random));
    let (side, price, remaining, quantity) = (side(random), ticks(random), lots(random), lots(random));
    match kind {
        0 => Event::Rejected(Rejected {
            account,
            report_sequence,
            code: random.pick(RejectCode::ALL),
            market: random.pick(&[None, Some(market)]),
            client_id: text(random),
            order,
        }),
        1 => Event::Duplicate(Duplicate {
            account,
            original: Sequence(number(random)),
            rejected: random.pick(&[None, Some(RejectCode::BookFull), Some(RejectCode::KeyUnknown)]),
        }),
        2 => Event::OrderAccepted(accepted(random)),
        3 => Event::Trade(Trade {
            market,
            trade: TradeId(number(random)),
            feed_sequence,
            taker_side: side,
            price,
            quantity,
            maker_displayed: lots(random),
            maker: party(random),
            taker: party(random),
        }),
        4 => Event::OrderRested(OrderRested { account, market, order, side, price, remaining, feed_sequence }),
        5 => {
            let reason = cancel_reason(random);
            let canceled = OrderCanceled {
                account,
                report_sequence,
                market,
                order,
                side,
                price,
                remaining,
                displayed: lots(random),
                reason,
                feed_sequence,
            };
            Event::OrderCanceled(canceled)
        }
        6 => Event::OrderReduced(OrderReduced {
            account,
            report_sequence,
            market,
            order,
            side,
            price,
            quantity,
            remaining,
            reduced_by: lots(random),
            feed_sequence,
        }),
        _ => Event::CancelAllAccepted { account, market: random.pick(&[None, Some(market)]), report_sequence },
    }
}

fn accepted(random: &mut Random) -> OrderAccepted {
    OrderAccepted {
        account: account(random),
        report_sequence: number(random),
        market: market(random),
        order: order_id(random),
        client_id: text(random),
        side: side(random),
        order_type: order_type(random),
        time_in_force: time_in_force(random),
        self_trade_mode: self_trade_mode(random),
        price: ticks(random),
        trigger_price: ticks(random),
        quantity: lots(random),
        display_quantity: lots(random),
        quote_budget: atoms(random),
        expires_at: timestamp(random),
    }
}
