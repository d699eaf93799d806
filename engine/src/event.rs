//! What a command caused. Events are the engine's only output: every report, feed and read model is made from them.
//!
//! The caller knows the sequence and the time of the command that it applied; they stand in front of its events
//! wherever events are kept. `report_sequence` counts the private events of one account without gaps, `feed_sequence`
//! the changes of one market's public book without gaps; both start at 1.

use crate::command::{
    AccountBlock, DisconnectMode, EvidenceAllowance, EvidenceGrade, KeyLimits, KeyScope, MarketState, RestartMode,
};
use crate::ids::{AccountId, AssetId, ClientId, FeeTier, KeyId, MarketId, OrderId, Reason, Sequence};
use crate::market_spec::{AssetSpec, FeeTable, MarketSpec};
use crate::reject::RejectCode;
use crate::units::{Atoms, Ticks, Timestamp};

pub use crate::order_event::{
    CancelReason, OrderAccepted, OrderCanceled, OrderReduced, OrderRested, QuoteSet, Trade, TradeParty,
};

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A command was refused.
    Rejected(Rejected),
    /// The same signed bytes were used before.
    Duplicate(Duplicate),
    /// An order passed every check. What it trades follows; an order that waits for its trigger price does nothing yet.
    OrderAccepted(OrderAccepted),
    /// Two orders traded.
    Trade(Trade),
    /// What is left of an order is on the book now.
    OrderRested(OrderRested),
    /// What was left of an order is gone without trading.
    OrderCanceled(OrderCanceled),
    /// An order became smaller without trading and kept its place.
    OrderReduced(OrderReduced),
    /// A mass cancel was taken on; the orders' own events follow, in this command and in `Continue`s.
    CancelAllAccepted {
        /// Whose.
        account: AccountId,
        /// In one market, or in all.
        market: Option<MarketId>,
        /// Private count.
        report_sequence: u64,
    },
    /// A part of the agenda's work on one operation is done.
    AgendaProgress {
        /// Whose operation.
        account: AccountId,
        /// The command that began it.
        origin: Sequence,
        /// Orders taken off by this command.
        canceled: u32,
        /// Whether the operation is finished.
        finished: Completion,
    },
    /// A balance has this value after the command; once for each balance that changed.
    BalanceChanged {
        /// Whose.
        account: AccountId,
        /// Of what.
        asset: AssetId,
        /// Free to use.
        available: Atoms,
        /// Held for open orders.
        held: Atoms,
    },
    /// A market's state changed.
    MarketStateChanged {
        /// Which.
        market: MarketId,
        /// To what.
        state: MarketState,
        /// Why.
        reason: Reason,
        /// Public count.
        feed_sequence: u64,
    },
    /// A market's fees changed for orders accepted from here on.
    FeesChanged {
        /// Which.
        market: MarketId,
        /// All of its tiers.
        fees: FeeTable,
    },
    /// An asset was listed.
    AssetListed(AssetSpec),
    /// A market was listed.
    MarketListed(MarketSpec),
    /// An account was opened.
    AccountOpened {
        /// Its number.
        account: AccountId,
        /// Its owner on the chain.
        owner: [u8; 20],
    },
    /// Money arrived.
    DepositCredited {
        /// For whom.
        account: AccountId,
        /// Of what.
        asset: AssetId,
        /// How much.
        amount: Atoms,
        /// Private count.
        report_sequence: u64,
    },
    /// Money left.
    Withdrawn {
        /// Whose.
        account: AccountId,
        /// Of what.
        asset: AssetId,
        /// How much.
        amount: Atoms,
        /// Private count.
        report_sequence: u64,
    },
    /// A key was registered; it is live at once only in the genesis phase.
    KeyRegistered {
        /// Its number.
        key: KeyId,
        /// The account that it may trade for.
        account: AccountId,
        /// The Ed25519 public key.
        public_key: [u8; 32],
        /// When it ends; 0 for never.
        expires_at: Timestamp,
    },
    /// A key may be used from here on.
    KeyActivated {
        /// Which.
        key: KeyId,
    },
    /// A key may never be used again.
    KeyEnded {
        /// Which.
        key: KeyId,
        /// Why.
        cause: KeyEnd,
    },
    /// A key opened a session.
    LoggedOn {
        /// The account.
        account: AccountId,
        /// The key.
        key: KeyId,
    },
    /// What evidence an account's requests need.
    AccountPolicyChanged {
        /// Whose.
        account: AccountId,
        /// The weakest evidence that is enough.
        minimum_grade: EvidenceGrade,
    },
    /// The node started.
    EpochStarted {
        /// Its number.
        epoch: u32,
    },
    /// Money of a queue entry could not be credited and belongs to its owner again, outside of the exchange: it is in
    /// no balance and no supply, and its batch has to pay it back.
    DepositReturned {
        /// The entry.
        queue_id: u64,
        /// For whom it was.
        account: AccountId,
        /// Of what.
        asset: AssetId,
        /// How much.
        amount: Atoms,
        /// Why.
        code: RejectCode,
    },
    /// An entry of the settlement contract's queue is used up; the last event of its command.
    ChainEntryConsumed {
        /// Which.
        queue_id: u64,
        /// Why it came to nothing; `None` where it was carried out.
        refused: Option<RejectCode>,
    },
    /// A settlement batch was sealed.
    BatchSealed {
        /// Its number.
        batch_id: u64,
        /// Its first record.
        first_sequence: Sequence,
        /// Its last record.
        last_sequence: Sequence,
        /// Root of the balances behind its last record.
        new_root: [u8; 32],
    },
    /// The last price has reached the trigger price of an order that waited. What it trades follows.
    OrderTriggered {
        /// Whose.
        account: AccountId,
        /// Private count.
        report_sequence: u64,
        /// Where.
        market: MarketId,
        /// Its id.
        order: OrderId,
        /// The last price.
        last_price: Ticks,
    },
    /// A cancel-replace of which at least one half was carried out; its events stand around this one.
    ReplaceAnswered {
        /// Whose.
        account: AccountId,
        /// Private count.
        report_sequence: u64,
        /// Where.
        market: MarketId,
        /// Why the cancel came to nothing.
        cancel_refused: Option<RejectCode>,
        /// Why the new order came to nothing.
        order_refused: Option<RejectCode>,
    },
    /// A frame was taken on; each operation's events and result follow, in this command and in `Continue`s.
    FrameAccepted {
        /// Whose.
        account: AccountId,
        /// Private count.
        report_sequence: u64,
        /// How many operations it holds.
        operations: u8,
    },
    /// An operation of a frame is done; its own events stand before this one.
    OperationDone {
        /// Whose.
        account: AccountId,
        /// Private count.
        report_sequence: u64,
        /// The frame.
        origin: Sequence,
        /// Which operation, from 0.
        index: u8,
        /// Why it came to nothing; `None` where it was carried out.
        refused: Option<RejectCode>,
        /// For [`RejectCode::ClientOrderLive`] and [`RejectCode::ClientIdInUse`]: the live order. Else 0.
        order: OrderId,
    },
    /// An account's dead-man timer was set, or taken off.
    CancelAllTimerSet {
        /// Whose.
        account: AccountId,
        /// Private count.
        report_sequence: u64,
        /// When its orders go; 0 for never.
        at: Timestamp,
    },
    /// How far an order's price may be from the market's from here on.
    PriceBandChanged {
        /// Which market.
        market: MarketId,
        /// In millionths; 0 for any price.
        band: u32,
    },
    /// What a start of the node does to a market from here on.
    RestartModeChanged {
        /// Which market.
        market: MarketId,
        /// What.
        mode: RestartMode,
    },
    /// A key may do less from here on.
    KeyNarrowed {
        /// Which.
        key: KeyId,
        /// What it may still do.
        scope: KeyScope,
    },
    /// An account may trade no more, or again.
    AccountBlockChanged {
        /// Whose.
        account: AccountId,
        /// Whether it may trade.
        block: AccountBlock,
    },
    /// What becomes of an account's orders when it is not connected any more.
    DisconnectModeChanged {
        /// Whose.
        account: AccountId,
        /// What.
        mode: DisconnectMode,
    },
    /// An account is in a self-trade group from here on.
    SelfTradeGroupChanged {
        /// Which.
        account: AccountId,
        /// The group.
        group: AccountId,
    },
    /// An account may join the self-trade group of another one.
    SelfTradeGroupInvited {
        /// Whose group.
        account: AccountId,
        /// Who may join.
        invited: AccountId,
    },
    /// A market's fees will change, unless something else is decided before.
    FeesAnnounced {
        /// Which.
        market: MarketId,
        /// All of its tiers.
        fees: FeeTable,
        /// When.
        from: Timestamp,
    },
    /// An account's tier changed for orders accepted from here on.
    FeeTierChanged {
        /// Whose, and its sub-accounts'.
        account: AccountId,
        /// Which.
        tier: FeeTier,
    },
    /// An account's tier will change, unless something else is decided before.
    FeeTierAnnounced {
        /// Whose, and its sub-accounts'.
        account: AccountId,
        /// Which.
        tier: FeeTier,
        /// When.
        from: Timestamp,
    },
    /// A sub-account was opened. On the chain its money is its owner's account's.
    SubAccountOpened {
        /// Its number.
        account: AccountId,
        /// The account that it is under.
        parent: AccountId,
    },
    /// Money was moved between two accounts of one owner.
    Transferred(Transferred),
    /// What a key may do in a day and how far from the market, from here on.
    KeyLimited {
        /// Which.
        key: KeyId,
        /// How much.
        limits: KeyLimits,
    },
    /// What may be asked for an owner's accounts on weaker evidence than they demand, from here on.
    EvidenceAllowed {
        /// The owner's account.
        account: AccountId,
        /// What.
        allowance: EvidenceAllowance,
    },
    /// A quote was set; its orders' events stand in front of this one.
    QuoteSet(QuoteSet),
    /// The record in front of this command's is no command, as operators have decided.
    Quarantined {
        /// That record.
        sequence: Sequence,
    },
}

/// Whether an operation has more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Completion {
    /// More follows in `Continue`s.
    Pending = 0,
    /// That was all.
    Finished = 1,
}

/// Why a key ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum KeyEnd {
    /// Revoked by its owner, itself or an operator.
    Revoked = 0,
    /// Its time is over.
    Expired = 1,
}

/// A command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Who asked; 0 for an operator or an unknown key.
    pub account: AccountId,
    /// Private count; 0 where the account is not known.
    pub report_sequence: u64,
    /// Why.
    pub code: RejectCode,
    /// The market that was named, if one was.
    pub market: Option<MarketId>,
    /// The client id that was named, or empty.
    pub client_id: ClientId,
    /// For [`RejectCode::ClientOrderLive`] and [`RejectCode::ClientIdInUse`]: the live order. Else 0.
    pub order: OrderId,
}

/// The same signed bytes were used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Who asked.
    pub account: AccountId,
    /// The first use.
    pub original: Sequence,
    /// How the first use ended: `None` when it was accepted. A new order's id follows from `original`.
    pub rejected: Option<RejectCode>,
}

/// Money was moved between two accounts of one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transferred {
    /// From which.
    pub from: AccountId,
    /// To which.
    pub to: AccountId,
    /// Of what.
    pub asset: AssetId,
    /// How much.
    pub amount: Atoms,
    /// The giving account's private count.
    pub from_report_sequence: u64,
    /// The receiving account's private count.
    pub to_report_sequence: u64,
}
