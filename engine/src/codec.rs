//! Bytes of commands, events and snapshots: little-endian, fields in the order of their declaration, no padding.
//!
//! Which fields, which tags; how each becomes bytes is decided in `wire`. Format 0: the bytes may still change until the
//! format is frozen.
//!
//! A journal record's payload is `u16 length ‖ command ‖ evidence`; see [`encode_payload`] and [`split_payload`].

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::command::{
    AccountBlock, AdminAction, AdminAuthority, AdminCommand, AmendMode, AmendOrder, BatchSealed, CancelAll,
    CancelOrder, CancelRestriction, Capacities, ChainEntry, ChainEntryKind, Command, Deposit, DisconnectMode, Epoch,
    EvidenceAllowance, EvidenceGrade, FrameCommand, FrameOperation, Genesis, KeyLimits, KeyScope, MarketState, Mode,
    Operation, OrderReference, OrderType, PlaceOrder, Quote, QuoteSide, RegisterKey, ReplaceMode, ReplaceOrder,
    ReplayGuard, RestartMode, SelfTradeMode, SettlementBinding, Side, SignedCommand, TimeInForce, Transfer,
};
use crate::event::{
    CancelReason, Completion, Duplicate, Event, KeyEnd, OrderAccepted, OrderCanceled, OrderReduced, OrderRested,
    QuoteSet, Rejected, Trade, TradeParty, Transferred,
};
use crate::ids::OrderId;
use crate::market_spec::{AssetSpec, FeeRates, FeeTable, MarketSpec};
use crate::reject::RejectCode;
pub use crate::wire::DecodeError;
use crate::wire::{FLAT_BYTES, Flat, Wire, append_flat, wire_byte_enum, wire_enum, wire_flat_struct, wire_struct};

/// The operations of a frame: their count in one byte, then each. More than 64 are no frame.
impl Wire for Box<[FrameOperation]> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::try_from(self.len()).expect("a frame that is made holds at most 64 operations"));
        self.iter().for_each(|operation| operation.encode(out));
    }
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let count = u8::decode(input)?;
        if u64::from(count) > OrderId::PER_SEQUENCE {
            return Err(DecodeError::BadValue);
        }
        (0..count).map(|_| Wire::decode(input)).collect()
    }
}

impl Flat for FeeTable {
    #[inline]
    fn put(&self, space: &mut [u8; FLAT_BYTES], at: usize) -> usize {
        self.rates.iter().fold(at, |at, rates| rates.put(space, at))
    }
}

/// Every row, the first one first.
impl Wire for FeeTable {
    fn encode(&self, out: &mut Vec<u8>) {
        append_flat(out, |space| self.put(space, 0));
    }
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut rates = [FeeRates::default(); Self::TIERS as usize];
        for row in &mut rates {
            *row = Wire::decode(input)?;
        }
        Ok(Self { rates })
    }
}

impl Flat for RejectCode {
    #[inline]
    fn put(&self, space: &mut [u8; FLAT_BYTES], at: usize) -> usize {
        (*self as u16).put(space, at)
    }
}

impl Wire for RejectCode {
    fn encode(&self, out: &mut Vec<u8>) {
        (*self as u16).encode(out);
    }
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        Self::from_number(u16::decode(input)?).ok_or(DecodeError::BadValue)
    }
}

wire_byte_enum!(Mode { Dev, Run });
wire_byte_enum!(MarketState { PreOpen, PostOnly, Open, CancelOnly, Halt });
wire_byte_enum!(EvidenceGrade { Delegated, HeaderKeyed, Signed, Native });
wire_byte_enum!(Side { Bid, Ask });
wire_byte_enum!(OrderType {
    Limit,
    LimitMaker,
    Market,
    StopLoss,
    StopLossLimit,
    TakeProfit,
    TakeProfitLimit,
    LimitMakerSlide
});
wire_byte_enum!(TimeInForce { GoodTillCancel, ImmediateOrCancel, FillOrKill, GoodTillDate });
wire_byte_enum!(SelfTradeMode { None, ExpireTaker, ExpireMaker, ExpireBoth, Decrement });
wire_byte_enum!(Completion { Pending, Finished });
wire_byte_enum!(KeyEnd { Revoked, Expired });
wire_byte_enum!(ChainEntryKind { Deposit, RegisterKey, RevokeKey, Withdrawal, ForcedWithdrawal });
wire_byte_enum!(CancelReason {
    Requested,
    MassCancel,
    NotFilled,
    FillOrKill,
    SelfTrade,
    MaxFills,
    Expired,
    LevelsFull,
    Amended,
    Requoted
});

wire_struct!(AssetSpec { asset, symbol, decimals, chain_units_per_atom });
wire_struct!(MarketSpec {
    market,
    symbol,
    base,
    quote,
    tick_size_e8,
    base_atoms_per_lot,
    quote_atoms_per_tick_lot,
    max_price,
    min_quantity,
    max_quantity,
    min_notional,
    market_order_band,
    maker_fee,
    taker_fee,
    max_orders,
    max_levels,
});
wire_flat_struct!(FeeRates { maker, taker });
wire_struct!(Capacities { accounts, assets, markets, keys, digests, agenda, digests_per_key });
wire_struct!(SettlementBinding { chain_id, contract });
wire_struct!(Genesis {
    exchange_id,
    venue_tag,
    mode,
    hash_seed,
    capacities,
    role_keys,
    fee_notice_s,
    share_parts,
    settlement
});
wire_struct!(Epoch { epoch, software });
wire_struct!(AdminCommand { authority, action, reason });
wire_struct!(RegisterKey { account, public_key, epoch, expires_at, digest_capacity });
wire_struct!(Deposit { account, owner, asset, amount });
wire_struct!(ChainEntry { queue_id, kind, account, asset, amount, extra, time_seconds, prefix });
wire_struct!(BatchSealed { batch_id, first_sequence, last_sequence, new_root, data_hash });
wire_struct!(SignedCommand { account, key, grade, replay_guard, valid_until, operation });
wire_struct!(PlaceOrder {
    market,
    side,
    order_type,
    time_in_force,
    price,
    trigger_price,
    quantity,
    display_quantity,
    quote_budget,
    self_trade_mode,
    expires_at,
    client_id,
});
wire_struct!(CancelOrder { market, target });
wire_struct!(AmendOrder { market, target, new_quantity, new_price, mode });
wire_byte_enum!(AmendMode { KeepPriority, MayLosePriority });
wire_struct!(Quote { market, slot, order_type, self_trade_mode, bid, ask });
wire_struct!(QuoteSide { price, quantity });
wire_struct!(Transfer { to, asset, amount });
wire_struct!(FrameCommand { account, key, grade, replay_guard, valid_until, operations });
wire_struct!(CancelAll { market, side });
wire_struct!(ReplaceOrder { target, restriction, mode, order });
wire_byte_enum!(CancelRestriction { None, OnlyNew, OnlyPartiallyFilled });
wire_byte_enum!(AccountBlock { None, Blocked });
wire_byte_enum!(DisconnectMode { Keep, CancelAll });
wire_byte_enum!(RestartMode { Stay, Guarded });
wire_flat_struct!(KeyScope { operations, market, account });
wire_flat_struct!(KeyLimits { notional_per_day, quote, price_band });
wire_flat_struct!(EvidenceAllowance { grade, until, quote, notional });
wire_byte_enum!(ReplaceMode { StopOnFailure, AllowFailure });

wire_enum!(AdminAuthority {
    0 => Genesis,
    1 => Role { role, nonce },
    2 => Node,
    3 => TwoRoles { role, nonce, second_role, second_nonce },
});
wire_enum!(AdminAction {
    0 => ListAsset(spec),
    1 => ListMarket(spec),
    2 => SetMarketState { market, state },
    3 => SetFees { market, fees },
    4 => RegisterKey(key),
    5 => RevokeKey { key },
    6 => SetAccountPolicy { account, minimum_grade },
    7 => BlockAccount { account, block },
    8 => SetPriceBand { market, band },
    9 => SetRestartMode { market, mode },
    10 => SetFeeTier { account, tier },
    11 => Quarantine { sequence },
});
wire_enum!(ReplayGuard {
    0 => Digest { digest, signed_at, receive_window_ms },
    1 => Nonce { nonce },
    2 => Session { signed_at, receive_window_ms },
});
wire_enum!(OrderReference {
    0 => OrderId(order),
    1 => ClientId(client_id),
});
wire_enum!(Operation {
    0 => PlaceOrder(order),
    1 => CancelOrder(cancel),
    2 => AmendOrder(amend),
    3 => CancelAll(cancel),
    4 => Logon,
    5 => ActivateKey,
    6 => RevokeKey,
    7 => SetSelfTradeGroup { group },
    8 => InviteToSelfTradeGroup { invited },
    9 => ReplaceOrder(replace),
    10 => CancelAllAfter { timeout_ms },
    11 => SetDisconnectMode { mode },
    12 => NarrowKey { key, scope },
    13 => Quote(quote),
    14 => OpenSubAccount,
    15 => Transfer(transfer),
    16 => LimitKey { key, limits },
    17 => AllowEvidence(allowance),
});
wire_enum!(FrameOperation {
    0 => PlaceOrder(order),
    1 => CancelOrder(cancel),
    2 => AmendOrder(amend),
    3 => ReplaceOrder(replace),
    4 => Quote(quote),
});
wire_enum!(Command {
    1 => Genesis(genesis),
    2 => Epoch(epoch),
    3 => AdvanceTime,
    4 => Continue,
    5 => Admin(admin),
    6 => Deposit(deposit),
    7 => ChainEntry(entry),
    8 => Signed(signed),
    9 => BatchSealed(batch),
    10 => Frame(frame),
    11 => SessionEnded { account },
});

wire_flat_struct!(Rejected { account, report_sequence, code, market, client_id, order });
wire_struct!(Duplicate { account, original, rejected });
wire_flat_struct!(OrderAccepted {
    account,
    report_sequence,
    market,
    order,
    client_id,
    side,
    order_type,
    time_in_force,
    self_trade_mode,
    price,
    trigger_price,
    quantity,
    display_quantity,
    quote_budget,
    expires_at,
});
wire_flat_struct!(Trade { market, trade, feed_sequence, taker_side, price, quantity, maker_displayed, maker, taker });
wire_flat_struct!(TradeParty { account, order, report_sequence, remaining, fee });
wire_flat_struct!(OrderRested { account, market, order, side, price, remaining, feed_sequence });
wire_flat_struct!(OrderCanceled {
    account,
    report_sequence,
    market,
    order,
    side,
    price,
    remaining,
    displayed,
    reason,
    feed_sequence
});
wire_flat_struct!(Transferred { from, to, asset, amount, from_report_sequence, to_report_sequence });
wire_flat_struct!(QuoteSet { account, report_sequence, market, slot, bid, ask, bid_refused, ask_refused });
wire_flat_struct!(OrderReduced {
    account,
    report_sequence,
    market,
    order,
    side,
    price,
    quantity,
    remaining,
    reduced_by,
    feed_sequence,
});
wire_enum!(Event {
    1 => Rejected(rejected),
    2 => Duplicate(duplicate),
    3 => OrderAccepted(accepted),
    4 => Trade(trade),
    5 => OrderRested(rested),
    6 => OrderCanceled(canceled),
    7 => OrderReduced(reduced),
    8 => CancelAllAccepted { account, market, report_sequence },
    9 => AgendaProgress { account, origin, canceled, finished },
    10 => BalanceChanged { account, asset, available, held },
    11 => MarketStateChanged { market, state, reason, feed_sequence },
    12 => FeesChanged { market, fees },
    13 => AssetListed(spec),
    14 => MarketListed(spec),
    15 => AccountOpened { account, owner },
    16 => DepositCredited { account, asset, amount, report_sequence },
    17 => Withdrawn { account, asset, amount, report_sequence },
    18 => KeyRegistered { key, account, public_key, expires_at },
    19 => KeyActivated { key },
    20 => KeyEnded { key, cause },
    21 => LoggedOn { account, key },
    22 => AccountPolicyChanged { account, minimum_grade },
    23 => EpochStarted { epoch },
    24 => DepositReturned { queue_id, account, asset, amount, code },
    25 => ChainEntryConsumed { queue_id, refused },
    26 => BatchSealed { batch_id, first_sequence, last_sequence, new_root },
    27 => SelfTradeGroupChanged { account, group },
    28 => SelfTradeGroupInvited { account, invited },
    29 => OrderTriggered { account, report_sequence, market, order, last_price },
    30 => ReplaceAnswered { account, report_sequence, market, cancel_refused, order_refused },
    31 => FrameAccepted { account, report_sequence, operations },
    32 => OperationDone { account, report_sequence, origin, index, refused, order },
    33 => CancelAllTimerSet { account, report_sequence, at },
    34 => AccountBlockChanged { account, block },
    35 => DisconnectModeChanged { account, mode },
    36 => PriceBandChanged { market, band },
    37 => RestartModeChanged { market, mode },
    38 => KeyNarrowed { key, scope },
    39 => FeesAnnounced { market, fees, from },
    40 => FeeTierChanged { account, tier },
    41 => FeeTierAnnounced { account, tier, from },
    42 => SubAccountOpened { account, parent },
    43 => Transferred(transferred),
    44 => KeyLimited { key, limits },
    45 => QuoteSet(quote),
    46 => Quarantined { sequence },
    47 => EvidenceAllowed { account, allowance },
});

impl Command {
    /// The record type under which the journal files it; the same number as the tag byte of its bytes.
    pub const fn kind(&self) -> u16 {
        match self {
            Self::Genesis(_) => 1,
            Self::Epoch(_) => 2,
            Self::AdvanceTime => 3,
            Self::Continue => 4,
            Self::Admin(_) => 5,
            Self::Deposit(_) => 6,
            Self::ChainEntry(_) => 7,
            Self::Signed(_) => 8,
            Self::BatchSealed(_) => 9,
            Self::Frame(_) => 10,
            Self::SessionEnded { .. } => 11,
        }
    }
}

/// The largest encoded command in bytes: a frame of 64 cancel-replaces.
pub const MAX_COMMAND_BYTES: usize = 8_704;

/// The schema version in each record's header.
pub const SCHEMA_VERSION: u8 = 1;

/// Appends the bytes of `command`.
pub fn encode_command(command: &Command, out: &mut Vec<u8>) {
    command.encode(out);
}

/// Reads one command that fills `bytes`.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode_command(bytes: &[u8]) -> Result<Command, DecodeError> {
    decode_all(bytes)
}

/// Appends the bytes of `event`.
pub fn encode_event(event: &Event, out: &mut Vec<u8>) {
    event.encode(out);
}

/// Reads one event that fills `bytes`.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode_event(bytes: &[u8]) -> Result<Event, DecodeError> {
    decode_all(bytes)
}

/// Appends a journal record's payload: `u16 length ‖ command ‖ evidence`.
pub fn encode_payload(command: &Command, evidence: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 2]);
    command.encode(out);
    let length = u16::try_from(out.len() - start - 2).expect("a command is at most 8,704 bytes");
    out[start..start + 2].copy_from_slice(&length.to_le_bytes());
    out.extend_from_slice(evidence);
}

/// Splits a journal record's payload into the command and its evidence.
///
/// # Errors
/// See [`DecodeError`]; the command must fill its stated length.
pub fn split_payload(payload: &[u8]) -> Result<(Command, &[u8]), DecodeError> {
    let mut rest = payload;
    let length = usize::from(u16::decode(&mut rest)?);
    let (command, evidence) = rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
    Ok((decode_command(command)?, evidence))
}

/// Reads one value that fills `bytes`.
fn decode_all<T: Wire>(mut bytes: &[u8]) -> Result<T, DecodeError> {
    let value = T::decode(&mut bytes)?;
    if bytes.is_empty() { Ok(value) } else { Err(DecodeError::TrailingBytes) }
}
