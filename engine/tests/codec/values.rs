//! Arbitrary values of every command and event, legal for the engine or not: any value has bytes.

use lakh_engine::command::{
    AccountBlock, AdminAction, AdminAuthority, AdminCommand, AmendMode, AmendOrder, BatchSealed, CancelAll,
    CancelOrder, CancelRestriction, Capacities, ChainEntry, ChainEntryKind, Command, Deposit, DisconnectMode, Epoch,
    EvidenceAllowance, EvidenceGrade, FrameCommand, FrameOperation, Genesis, KeyLimits, KeyScope, MarketState, Mode,
    Operation, OrderReference, OrderType, PlaceOrder, Quote, QuoteSide, RegisterKey, ReplaceMode, ReplaceOrder,
    ReplayGuard, RestartMode, SelfTradeMode, SettlementBinding, Side, SignedCommand, TimeInForce, Transfer,
};
use lakh_engine::ids::{AccountId, AssetId, FeeTier, KeyId, MarketId, OrderId, Sequence, ShortText};
use lakh_engine::market_spec::{AssetSpec, FeeRates, FeeTable, MarketSpec};
use lakh_engine::units::{Atoms, FeeRate, Lots, Ticks, Timestamp};

use crate::support::random::Random;

/// Kinds of commands that [`command`] makes: each variant, each action and operation of the nested ones.
pub(crate) const COMMANDS: usize = 9 + ACTIONS + OPERATIONS;
const ACTIONS: usize = 12;
const OPERATIONS: usize = 18;

/// A number of a width that is drawn too, so that small, large and extreme ones all come.
pub(crate) fn number(random: &mut Random) -> u64 {
    let bits = random.below(65);
    match bits {
        0 => 0,
        bits => random.next() >> (64 - bits),
    }
}

/// A number of at most `bits` bits.
pub(crate) fn small<T: TryFrom<u64>>(random: &mut Random, bits: u32) -> T {
    T::try_from(number(random) & (u64::MAX >> (64 - bits))).unwrap_or_else(|_| unreachable!("masked to its width"))
}

pub(crate) fn text<const MAX: usize>(random: &mut Random) -> ShortText<MAX> {
    let length = random.below(MAX as u64 + 1);
    let bytes: Vec<u8> = (0..length).map(|_| b' ' + small::<u8>(random, 6)).collect();
    ShortText::from_bytes(&bytes).expect("printable and short")
}

pub(crate) fn bytes<const N: usize>(random: &mut Random) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.iter_mut().for_each(|byte| *byte = small(random, 8));
    bytes
}

pub(crate) fn account(random: &mut Random) -> AccountId {
    AccountId(small(random, 32))
}

pub(crate) fn market(random: &mut Random) -> MarketId {
    MarketId(small(random, 16))
}

pub(crate) fn asset(random: &mut Random) -> AssetId {
    AssetId(small(random, 16))
}

pub(crate) fn key(random: &mut Random) -> KeyId {
    KeyId(small(random, 32))
}

pub(crate) fn order_id(random: &mut Random) -> OrderId {
    OrderId(number(random))
}

pub(crate) fn atoms(random: &mut Random) -> Atoms {
    Atoms(number(random))
}

pub(crate) fn lots(random: &mut Random) -> Lots {
    Lots(number(random))
}

pub(crate) fn ticks(random: &mut Random) -> Ticks {
    Ticks(number(random))
}

pub(crate) fn timestamp(random: &mut Random) -> Timestamp {
    Timestamp(number(random))
}

pub(crate) fn fee(random: &mut Random) -> FeeRate {
    FeeRate(small::<u32>(random, 32).cast_signed())
}

pub(crate) fn side(random: &mut Random) -> Side {
    random.pick(&[Side::Bid, Side::Ask])
}

pub(crate) fn state(random: &mut Random) -> MarketState {
    use MarketState::{CancelOnly, Halt, Open, PostOnly, PreOpen};
    random.pick(&[PreOpen, PostOnly, Open, CancelOnly, Halt])
}

pub(crate) fn grade(random: &mut Random) -> EvidenceGrade {
    use EvidenceGrade::{Delegated, HeaderKeyed, Native, Signed};
    random.pick(&[Delegated, HeaderKeyed, Signed, Native])
}

pub(crate) fn order_type(random: &mut Random) -> OrderType {
    use OrderType::{Limit, LimitMaker, LimitMakerSlide, Market};
    use OrderType::{StopLoss, StopLossLimit, TakeProfit, TakeProfitLimit};
    random.pick(&[Limit, LimitMaker, Market, StopLoss, StopLossLimit, TakeProfit, TakeProfitLimit, LimitMakerSlide])
}

pub(crate) fn time_in_force(random: &mut Random) -> TimeInForce {
    use TimeInForce::{FillOrKill, GoodTillCancel, GoodTillDate, ImmediateOrCancel};
    random.pick(&[GoodTillCancel, ImmediateOrCancel, FillOrKill, GoodTillDate])
}

pub(crate) fn self_trade_mode(random: &mut Random) -> SelfTradeMode {
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

pub(crate) fn asset_spec(random: &mut Random) -> AssetSpec {
    AssetSpec {
        asset: asset(random),
        symbol: text(random),
        decimals: small(random, 8),
        chain_units_per_atom: number(random),
    }
}

pub(crate) fn market_spec(random: &mut Random) -> MarketSpec {
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
        fee_notice_s: small(random, 32),
        share_parts: small(random, 16),
        settlement: SettlementBinding { chain_id: number(random), contract: bytes(random) },
    }
}

fn action(kind: usize, random: &mut Random) -> AdminAction {
    match kind {
        0 => AdminAction::ListAsset(asset_spec(random)),
        1 => AdminAction::ListMarket(market_spec(random)),
        2 => AdminAction::SetMarketState { market: market(random), state: state(random) },
        3 => AdminAction::SetFees { market: market(random), fees: fee_table(random) },
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
        10 => AdminAction::SetFeeTier { account: account(random), tier: FeeTier(small(random, 8)) },
        11 => AdminAction::Quarantine { sequence: Sequence(number(random)) },
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
        2 => Operation::AmendOrder(amend(random)),
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
        13 => Operation::Quote(quote(random)),
        14 => Operation::OpenSubAccount,
        15 => Operation::Transfer(Transfer { to: account(random), asset: asset(random), amount: atoms(random) }),
        16 => Operation::LimitKey { key: key(random), limits: limits(random) },
        17 => Operation::AllowEvidence(allowance(random)),
        _ => Operation::InviteToSelfTradeGroup { invited: account(random) },
    }
}

/// A frame of any length that has bytes; each operation is one that may also come alone.
fn frame(random: &mut Random) -> FrameCommand {
    let one = |random: &mut Random| match (random.below(5), target(random)) {
        (4, _) => FrameOperation::Quote(quote(random)),
        (0, _) => FrameOperation::PlaceOrder(place_order(random)),
        (1, target) => FrameOperation::CancelOrder(CancelOrder { market: market(random), target }),
        (2, _) => FrameOperation::AmendOrder(amend(random)),
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

fn amend(random: &mut Random) -> AmendOrder {
    let (market, target) = (market(random), target(random));
    let mode = random.pick(&[AmendMode::KeepPriority, AmendMode::MayLosePriority]);
    AmendOrder { market, target, new_quantity: lots(random), new_price: ticks(random), mode }
}

fn quote(random: &mut Random) -> Quote {
    let side = |random: &mut Random| QuoteSide { price: ticks(random), quantity: lots(random) };
    Quote {
        market: market(random),
        slot: small(random, 8),
        order_type: order_type(random),
        self_trade_mode: self_trade_mode(random),
        bid: side(random),
        ask: side(random),
    }
}

pub(crate) fn limits(random: &mut Random) -> KeyLimits {
    KeyLimits { notional_per_day: atoms(random), quote: asset(random), price_band: small(random, 32) }
}

pub(crate) fn allowance(random: &mut Random) -> EvidenceAllowance {
    let (grade, until) = (grade(random), timestamp(random));
    EvidenceAllowance { grade, until, quote: asset(random), notional: atoms(random) }
}

pub(crate) fn fee_table(random: &mut Random) -> FeeTable {
    let mut table = FeeTable::flat(fee(random), fee(random));
    for rates in &mut table.rates {
        *rates = FeeRates { maker: fee(random), taker: fee(random) };
    }
    table
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

pub(crate) fn scope(random: &mut Random) -> KeyScope {
    KeyScope { operations: small(random, 8), market: random.pick(&[None, Some(MarketId(3))]), account: None }
}
