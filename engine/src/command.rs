//! What can be asked of the engine. A command is plain data of bounded size; its bytes are in [`crate::codec`].
//!
//! A command's authority is part of it: who asks (`SignedCommand`, `AdminCommand`) and with what kind of evidence.
//! The evidence itself, signed bytes and signatures, stands behind the command in the journal record and never gets here.

use alloc::boxed::Box;

use crate::ids::{AccountId, AssetId, KeyId, Reason, Sequence};
use crate::units::{Atoms, Timestamp};

pub use crate::account_request::{DisconnectMode, EvidenceAllowance, KeyLimits, KeyScope, Transfer};
pub use crate::admin_request::{AccountBlock, AdminAction, AdminAuthority, AdminCommand, RegisterKey, RestartMode};
pub use crate::order_request::{
    AmendMode, AmendOrder, CancelAll, CancelOrder, CancelRestriction, OrderReference, OrderType, PlaceOrder, Quote,
    QuoteSide, ReplaceMode, ReplaceOrder, SelfTradeMode, Side, TimeInForce,
};

/// One input of the state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The first record of a journal: what the exchange is.
    Genesis(Genesis),
    /// A start of the node. The first one ends the genesis phase.
    Epoch(Epoch),
    /// Lets time pass: expiries and timers that are due fire. Inserted by the sequencer when
    /// [`Engine::next_deadline`](crate::Engine::next_deadline) has come.
    AdvanceTime,
    /// Works off the next bounded part of the agenda. Inserted by the sequencer while there is one.
    Continue,
    /// An operator's decision.
    Admin(AdminCommand),
    /// Money that an account starts with; only before the first epoch.
    Deposit(Deposit),
    /// The next entry of the settlement contract's queue.
    ChainEntry(ChainEntry),
    /// A trader's request.
    Signed(SignedCommand),
    /// A settlement batch of records that is decided on.
    BatchSealed(BatchSealed),
    /// A trader's operations under one signature.
    Frame(FrameCommand),
    /// The last session of an account ended; its orders go if it has asked for that.
    SessionEnded {
        /// Whose.
        account: AccountId,
    },
}

/// Whether the exchange is a demonstration or real.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// `lakh dev`: well-known keys are welcome.
    Dev = 0,
    /// `lakh run`: a dev journal and well-known keys are refused.
    Run = 1,
}

/// The first record: identity, bounds and the operators' keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// Random identity of this exchange; in every journal segment too.
    pub exchange_id: [u8; 16],
    /// First 16 bytes of keccak256(chain id ‖ settlement contract); in front of each api key.
    pub venue_tag: [u8; 16],
    /// Demonstration or real.
    pub mode: Mode,
    /// Random seed of the engine's hash tables, so that nobody can choose ids that collide.
    pub hash_seed: u64,
    /// Bounds of the shard's tables.
    pub capacities: Capacities,
    /// Ed25519 keys of the operators, by role number, each another; zeroes where there is none.
    pub role_keys: [[u8; 32]; Genesis::ROLES],
    /// Notice in seconds before any fee rises: at most 366 days; of a real venue a day at least.
    pub fee_notice_s: u32,
    /// Nobody holds more than one part in so many of a table that all share: 1 ..= 1,024; 64 in a venue for
    /// many, 1 where there is nobody to share with.
    pub share_parts: u16,
    /// The contract that holds the traders' money. Where there is one, `venue_tag` follows from it.
    pub settlement: SettlementBinding,
}

impl Genesis {
    /// Operators' keys that a genesis may name.
    pub const ROLES: usize = 4;
    /// The shortest notice of a real venue before a fee rises, in seconds.
    pub const MIN_FEE_NOTICE_S: u32 = 86_400;
    /// The longest.
    pub const MAX_FEE_NOTICE_S: u32 = 366 * 86_400;
    /// The smallest part that an owner may be bounded to.
    pub const MAX_SHARE_PARTS: u16 = 1_024;
}

/// One contract on one chain. Its queue is the only one that the exchange takes entries from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettlementBinding {
    /// The chain's id.
    pub chain_id: u64,
    /// The contract's address; zeroes where the exchange has no chain.
    pub contract: [u8; 20],
}

impl SettlementBinding {
    /// No chain: entries of a queue and batches are refused.
    pub const NONE: Self = Self { chain_id: 0, contract: [0; 20] };
}

/// Bounds of the shard's tables. Memory is taken for all of it at the start and never more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacities {
    /// Accounts, the venue's own included: 2 ..= 2^24.
    pub accounts: u32,
    /// Assets: 2 ..= 64.
    pub assets: u16,
    /// Markets: 1 ..= 1,024.
    pub markets: u16,
    /// Trading keys over all time: 1 ..= 2^24.
    pub keys: u32,
    /// Payload digests remembered at once, over all keys: 1 ..= 2^26.
    pub digests: u32,
    /// Operations that stand in the agenda at once: 1 ..= 2^20.
    pub agenda: u32,
    /// Digests that a key reserves which is registered through the chain, where nobody can name a number:
    /// 1 ..= `digests`.
    pub digests_per_key: u32,
}

/// A start of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// 1 for the first start, then one more each time.
    pub epoch: u32,
    /// The software that starts.
    pub software: Reason,
}

/// What may be traded how, right now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum MarketState {
    /// Listed, takes no orders yet.
    #[default]
    PreOpen = 0,
    /// Orders that rest, cancels and amendments; nothing trades.
    PostOnly = 1,
    /// Everything.
    Open = 2,
    /// Cancels only.
    CancelOnly = 3,
    /// Nothing.
    Halt = 4,
}

/// How well a request is evidenced, weakest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum EvidenceGrade {
    /// Unsigned, in a session that the key opened.
    Delegated = 0,
    /// Signed, but the key stands outside of the signed text (REST).
    HeaderKeyed = 1,
    /// Signed with the key and the venue inside the text (WebSocket).
    #[default]
    Signed = 2,
    /// Signed over the binary message with contract and chain.
    Native = 3,
}

/// Money that an account starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// For whom. The next unused number opens an account.
    pub account: AccountId,
    /// The address on the chain that owns the account.
    pub owner: [u8; 20],
    /// Of what.
    pub asset: AssetId,
    /// How much: at least 1.
    pub amount: Atoms,
}

/// One entry of the settlement contract's queue, as the contract hashed it. What it means: `chain_queue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainEntry {
    /// Its number: the last one that was used up + 1; the first is 1.
    pub queue_id: u64,
    /// What it asks for.
    pub kind: ChainEntryKind,
    /// Whose it is.
    pub account: AccountId,
    /// Of what; 0 for keys.
    pub asset: AssetId,
    /// How much; for [`ChainEntryKind::RegisterKey`] when the key ends, in seconds since the Unix epoch, 0 for never.
    pub amount: Atoms,
    /// A deposit's owner behind 12 zeroes; a key's bytes; else zeroes.
    pub extra: [u8; 32],
    /// The block's time in seconds since the Unix epoch; only hashed.
    pub time_seconds: u64,
    /// The contract's hash of this entry and all before it.
    pub prefix: [u8; 32],
}

/// What an entry of the queue asks for. The numbers are the contract's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ChainEntryKind {
    /// Money that arrived.
    Deposit = 1,
    /// A trading key to be bound once it has itself signed.
    RegisterKey = 2,
    /// A trading key to be ended.
    RevokeKey = 3,
    /// Money that its owner wants back.
    Withdrawal = 4,
    /// All of an asset that its owner wants back, whatever orders it is in; see `forced_withdrawal`.
    ForcedWithdrawal = 5,
}

/// A settlement batch: from here on it is decided what the contract is told about these records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSealed {
    /// Its number: the last one + 1; the first is 1.
    pub batch_id: u64,
    /// Its first record: the one behind the last batch; of the first batch 1.
    pub first_sequence: Sequence,
    /// Its last record: not before the first, and before this command's own.
    pub last_sequence: Sequence,
    /// Root of the balances behind `last_sequence`. The engine keeps it for the chain and does not check it.
    pub new_root: [u8; 32],
    /// Hash of the data that goes to the chain. The engine does not check it.
    pub data_hash: [u8; 32],
}

/// A trader's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedCommand {
    /// Who trades.
    pub account: AccountId,
    /// With which key.
    pub key: KeyId,
    /// How well it is evidenced.
    pub grade: EvidenceGrade,
    /// What keeps it from being used twice.
    pub replay_guard: ReplayGuard,
    /// Refused once this time has come; 0 for no limit.
    pub valid_until: Timestamp,
    /// What is asked.
    pub operation: Operation,
}

/// A trader's operations under one signature: carried out in their order, each with a result of its own, one budget of
/// work for all. Operation number i makes the order `sequence × 64 + i`, and one more for each quote in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameCommand {
    /// Who trades.
    pub account: AccountId,
    /// With which key.
    pub key: KeyId,
    /// How well it is evidenced.
    pub grade: EvidenceGrade,
    /// What keeps it from being used twice.
    pub replay_guard: ReplayGuard,
    /// Refused once this time has come; 0 for no limit.
    pub valid_until: Timestamp,
    /// What is asked: 1 ..= 64 operations, of which a quote counts as two. On the heap, so that every other command stays small.
    pub operations: Box<[FrameOperation]>,
}

/// One operation of a frame. No mass cancel: its work would be the frame's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameOperation {
    /// A new order.
    PlaceOrder(PlaceOrder),
    /// Takes one order off the book.
    CancelOrder(CancelOrder),
    /// Changes one order's quantity or price.
    AmendOrder(AmendOrder),
    /// Takes one order off and places another one.
    ReplaceOrder(ReplaceOrder),
    /// Sets both sides of one of the account's quotes.
    Quote(Quote),
}

impl FrameOperation {
    /// Orders that it can make, and so order ids that it takes of its frame's 64.
    pub const fn order_ids(&self) -> u64 {
        match self {
            Self::Quote(_) => 2,
            Self::PlaceOrder(_) | Self::CancelOrder(_) | Self::AmendOrder(_) | Self::ReplaceOrder(_) => 1,
        }
    }
}

/// What keeps a request from being used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayGuard {
    /// Signed JSON: its payload's digest is used up.
    Digest {
        /// First 16 bytes of BLAKE3 of the signed bytes.
        digest: [u8; 16],
        /// When the client signed it.
        signed_at: Timestamp,
        /// For how long it is good, in milliseconds: 1 ..= 60,000.
        receive_window_ms: u32,
    },
    /// Signed binary: the key's nonce is used up.
    Nonce {
        /// Inside the key's window of 1,024, or up to 2^20 above its highest.
        nonce: u64,
    },
    /// Unsigned, in a session: nothing to use twice, but it can be late.
    Session {
        /// When the client sent it.
        signed_at: Timestamp,
        /// For how long it is good, in milliseconds: 1 ..= 60,000.
        receive_window_ms: u32,
    },
}

/// What a trader can ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new order.
    PlaceOrder(PlaceOrder),
    /// Takes one order off the book.
    CancelOrder(CancelOrder),
    /// Changes one order's quantity or price.
    AmendOrder(AmendOrder),
    /// Takes all of the account's orders off.
    CancelAll(CancelAll),
    /// Takes one order off and places another one.
    ReplaceOrder(ReplaceOrder),
    /// Opens a session. Only uses up its digest.
    Logon,
    /// The pending key says itself that it belongs to the account.
    ActivateKey,
    /// The key ends itself.
    RevokeKey,
    /// Puts the account into a self-trade group, which is named after the account that it began with: an account of
    /// the same owner, or one that has invited this account. The account itself leaves the group that it is in.
    SetSelfTradeGroup {
        /// The group.
        group: AccountId,
    },
    /// The dead-man timer: all of the account's orders go when so much time has passed, unless it is set anew.
    CancelAllAfter {
        /// In how many milliseconds; 0 takes the timer off.
        timeout_ms: u32,
    },
    /// Sets what becomes of the account's orders when it is not connected any more.
    SetDisconnectMode {
        /// What.
        mode: DisconnectMode,
    },
    /// Gives a key of the account less to do; never more than it has. No key can ever move money out.
    NarrowKey {
        /// Which.
        key: KeyId,
        /// What it may do from here on.
        scope: KeyScope,
    },
    /// Lets another account into the group that is named after the asking one.
    InviteToSelfTradeGroup {
        /// Whom.
        invited: AccountId,
    },
    /// Sets both sides of one of the account's quotes.
    Quote(Quote),
    /// Opens another account of the same owner, under the asking one.
    OpenSubAccount,
    /// Moves money to another account of the same owner.
    Transfer(Transfer),
    /// Sets how much a key of the account may do in a day and how far from the market. Asked for by a key that has no such
    /// limits itself.
    LimitKey {
        /// Which.
        key: KeyId,
        /// How much.
        limits: KeyLimits,
    },
    /// Lets requests of the owner's accounts stand on weaker evidence than they demand, for a time and up to a sum; or
    /// takes that back. Needs a signature of full strength itself.
    AllowEvidence(EvidenceAllowance),
}

impl Command {
    /// The account that asks, 0 where nobody does; stands in the record's header for who reads the journal.
    pub const fn account(&self) -> AccountId {
        match self {
            Self::Deposit(deposit) => deposit.account,
            Self::ChainEntry(entry) => entry.account,
            Self::Signed(signed) => signed.account,
            Self::Frame(frame) => frame.account,
            Self::SessionEnded { account } => *account,
            Self::Genesis(_)
            | Self::Epoch(_)
            | Self::AdvanceTime
            | Self::Continue
            | Self::Admin(_)
            | Self::BatchSealed(_) => AccountId(0),
        }
    }

    /// True for a request that only takes orders off the book: the last thing to be refused for load.
    pub fn is_cancel(&self) -> bool {
        match self {
            Self::Signed(signed) => matches!(signed.operation, Operation::CancelOrder(_) | Operation::CancelAll(_)),
            Self::Frame(frame) => frame.operations.iter().all(|one| matches!(one, FrameOperation::CancelOrder(_))),
            Self::SessionEnded { .. } => true,
            _ => false,
        }
    }
}
