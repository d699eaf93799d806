//! What the contracts answer: results, events, and reasons for a refusal.
//!
//! Every decoder is total: bytes of another length, a number that does not fit or a padding that is not zero give `None`.

use lakh_engine::command::{ChainEntry, ChainEntryKind};
use lakh_engine::ids::{AccountId, AssetId};
use lakh_engine::units::Atoms;

use crate::chain::{Address, Log};
use crate::keccak::{Hash, keccak256};
use crate::words::{WORD, read_u64};

use super::{SELECTOR, selector};

/// Signature of the event that tells of a queue entry.
pub const QUEUED: &str = "Queued(uint64,uint32,uint8,uint16,uint64,bytes32,uint64,bytes32)";
/// Signature of the event that tells of a batch.
pub const BATCH_COMMITTED: &str = "BatchCommitted(uint64,bytes32)";
/// Signature of the event that tells that a batch is final.
pub const BATCH_FINAL: &str = "BatchFinal(uint64)";

/// Most words of a reason that are shown.
const REASON_WORDS: usize = 4;

/// What the contract can refuse with.
const ERRORS: [&str; 81] = [
    "AboveCap(uint256,uint64)",
    "AlreadyClaimed(uint64,uint16,uint32)",
    "AlreadyEscaped(uint32,uint16)",
    "AlreadyFinal(uint64)",
    "AlreadyReclaimed(uint64)",
    "AlreadyRolledBack()",
    "AmountOutOfRange(uint256)",
    "BadListing()",
    "BadSetup()",
    "BadWatchers()",
    "ClockRunning(uint64)",
    "ForcedWithdrawalOpen(uint64)",
    "Frozen()",
    "InQuarantine(uint256)",
    "Insolvent(uint256)",
    "KeyExpired(uint64)",
    "NoAccount(address)",
    "NoBlobs()",
    "NoBond()",
    "NoContradiction()",
    "NoKey()",
    "NotAMultiple(uint256,uint64)",
    "NotAdministrator(address)",
    "NotAnnounced()",
    "NotConsumed(uint64)",
    "NotDecided()",
    "NotExits(address)",
    "NotFinal(uint64)",
    "NotForced(uint64)",
    "NotFrozen()",
    "NotInsolvent(uint256)",
    "NotKeys(address)",
    "NotOldest(uint64,uint64)",
    "NotOperator(address)",
    "NotPaid(address)",
    "NotProofs(address)",
    "NotReclaimable(uint64)",
    "NotRolledBack()",
    "NotSigned(address)",
    "NotWatcher(address)",
    "NotWatchers(address)",
    "NothingAnnounced()",
    "NothingToClaim(address)",
    "NoticeRunning(uint64)",
    "OutflowDelayed(uint64)",
    "QueueEmpty()",
    "Served()",
    "TooEarly(uint64)",
    "TooFewBlocks(uint64)",
    "UnknownAccount(uint32)",
    "UnknownAsset(uint256)",
    "UnknownBatch(uint64)",
    "VetoedBefore(address)",
    "WindowOpen(uint64)",
    "WindowOver(uint64)",
    "WrongBatch(uint64,uint64)",
    "WrongBond(uint256,uint256)",
    "WrongChange(uint256)",
    "WrongCredit(uint256)",
    "WrongData(bytes32,bytes32)",
    "WrongEntry(uint64)",
    "WrongEpoch(uint64,uint64)",
    "WrongFee(uint256,uint256)",
    "WrongLineCount(uint256)",
    "WrongLines()",
    "WrongLines(bytes32,bytes32)",
    "WrongPath()",
    "WrongPredecessor(uint64)",
    "WrongProof()",
    "WrongQueue(uint64,bytes32)",
    "WrongRoot(bytes32,bytes32)",
    "WrongSequence(uint64)",
    "WrongSequence(uint64,uint64,uint64)",
    "WrongSignature(bytes32)",
    "WrongSum(uint256)",
    "WrongTime(uint64,uint64)",
    "WrongTotals(bytes32,bytes32)",
    "WrongVersion(uint64,uint64)",
    "WrongWithdrawals(bytes32,bytes32)",
    "WrongWithdrawn(uint256)",
    "ZeroKey()",
];

/// The topic that an event's logs begin with.
pub fn topic(signature: &str) -> Hash {
    keccak256(signature.as_bytes())
}

/// A number as an event's indexed field, to look for it.
pub fn indexed(number: u64) -> Hash {
    Hash(crate::words::number(u128::from(number)))
}

/// The words of an answer that has exactly so many.
fn words<const COUNT: usize>(bytes: &[u8]) -> Option<[[u8; WORD]; COUNT]> {
    let (words, rest) = bytes.as_chunks::<WORD>();
    if !rest.is_empty() {
        return None;
    }
    words.try_into().ok()
}

fn read_address(word: &[u8; WORD]) -> Option<Address> {
    let (padding, address) = word.split_at(12);
    if padding != [0; 12] {
        return None;
    }
    address.try_into().ok().map(Address)
}

fn read_u16(word: &[u8; WORD]) -> Option<u16> {
    u16::try_from(read_u64(word)?).ok()
}

fn read_u32(word: &[u8; WORD]) -> Option<u32> {
    u32::try_from(read_u64(word)?).ok()
}

/// An answer of one number.
pub fn number(bytes: &[u8]) -> Option<u64> {
    read_u64(&words::<1>(bytes)?[0])
}

/// An answer of one number of at most 128 bits.
pub fn large_number(bytes: &[u8]) -> Option<u128> {
    let [word] = words::<1>(bytes)?;
    let (high, low) = word.split_at(16);
    if high != [0; 16] {
        return None;
    }
    low.try_into().ok().map(u128::from_be_bytes)
}

/// An answer of one hash.
pub fn hash(bytes: &[u8]) -> Option<Hash> {
    Some(Hash(words::<1>(bytes)?[0]))
}

/// An answer of one address.
pub fn address(bytes: &[u8]) -> Option<Address> {
    read_address(&words::<1>(bytes)?[0])
}

/// Where the batches stand on the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tip {
    /// The last batch; 0 for none.
    pub batch_id: u64,
    /// The last journal record that is settled; 0 for none.
    pub last_sequence: u64,
    /// The last queue entry that is consumed; 0 for none.
    pub queue_up_to: u64,
    /// Time of the last record, in seconds since the Unix epoch.
    pub last_time_seconds: u64,
    /// The last batch that is final; 0 for none.
    pub final_batch: u64,
}

impl Tip {
    /// From the answer to [`super::tip`].
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let [batch_id, last_sequence, queue_up_to, last_time, final_batch] = words::<5>(bytes)?;
        Some(Self {
            batch_id: read_u64(&batch_id)?,
            last_sequence: read_u64(&last_sequence)?,
            queue_up_to: read_u64(&queue_up_to)?,
            last_time_seconds: read_u64(&last_time)?,
            final_batch: read_u64(&final_batch)?,
        })
    }
}

/// How much there is of what the contract counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Listed assets.
    pub assets: u64,
    /// Accounts, the venue's not included.
    pub accounts: u64,
    /// Queue entries.
    pub queue_length: u64,
}

impl Counts {
    /// From the answer to [`super::counts`].
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let [assets, accounts, queue_length] = words::<3>(bytes)?;
        Some(Self {
            assets: read_u64(&assets)?,
            accounts: read_u64(&accounts)?,
            queue_length: read_u64(&queue_length)?,
        })
    }
}

/// What an asset is to the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssetInfo {
    /// Its token.
    pub token: Address,
    /// Units of the token in one atom.
    pub scale: u64,
    /// Smallest deposit, in atoms.
    pub minimum: u64,
    /// Most that the venue may hold, in atoms.
    pub cap: u64,
}

impl AssetInfo {
    /// From the answer to [`super::asset_info`].
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let [token, scale, minimum, cap] = words::<4>(bytes)?;
        Some(Self {
            token: read_address(&token)?,
            scale: read_u64(&scale)?,
            minimum: read_u64(&minimum)?,
            cap: read_u64(&cap)?,
        })
    }
}

/// A queue entry as the contract tells of it; `None` for another event, or for one that this contract cannot have made.
/// That its prefix hash is the entry's has still to be checked ([`ChainEntry::prefix_after`]).
pub fn decode_queued(log: &Log) -> Option<ChainEntry> {
    let [signature, queue_id, account] = log.topics.as_slice() else { return None };
    if *signature != topic(QUEUED) {
        return None;
    }
    let [kind, asset, amount, extra, time, prefix] = words::<6>(&log.data)?;
    Some(ChainEntry {
        queue_id: read_u64(&queue_id.0)?,
        kind: ChainEntryKind::from_number(u8::try_from(read_u64(&kind)?).ok()?)?,
        account: AccountId(read_u32(&account.0)?),
        asset: AssetId(read_u16(&asset)?),
        amount: Atoms(read_u64(&amount)?),
        extra,
        time_seconds: read_u64(&time)?,
        prefix,
    })
}

/// That a batch was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchCommitted {
    /// Which.
    pub batch_id: u64,
    /// Its header's hash.
    pub header_hash: Hash,
}

impl BatchCommitted {
    /// From a log; `None` for another event.
    pub fn decode(log: &Log) -> Option<Self> {
        let [signature, batch_id] = log.topics.as_slice() else { return None };
        if *signature != topic(BATCH_COMMITTED) {
            return None;
        }
        Some(Self { batch_id: read_u64(&batch_id.0)?, header_hash: hash(&log.data)? })
    }
}

/// The batch that a log says is final; `None` for another event.
pub fn decode_batch_final(log: &Log) -> Option<u64> {
    let [signature, batch_id] = log.topics.as_slice() else { return None };
    if *signature != topic(BATCH_FINAL) || !log.data.is_empty() {
        return None;
    }
    read_u64(&batch_id.0)
}

/// Whether the contract refused with this error, given by its signature.
pub fn is_error(revert_data: &[u8], signature: &str) -> bool {
    revert_data.get(..SELECTOR).is_some_and(|found| found == selector(signature))
}

/// A refusal in words: the error's name and what it carries. Never long, whatever the bytes are.
pub fn reason(revert_data: &[u8]) -> String {
    let Some((found, arguments)) = revert_data.split_first_chunk::<SELECTOR>() else {
        return "no reason given".to_owned();
    };
    let known = ERRORS.iter().find(|signature| selector(signature) == *found);
    let name = known.and_then(|signature| signature.split('(').next());
    let shown = |word: &[u8; WORD]| read_u64(word).map_or_else(|| Hash(*word).to_string(), |number| number.to_string());
    let words: Vec<String> = arguments.as_chunks::<WORD>().0.iter().take(REASON_WORDS).map(shown).collect();
    match name {
        Some(name) => format!("{name}({})", words.join(", ")),
        None => format!("unknown error 0x{:08x}({})", u32::from_be_bytes(*found), words.join(", ")),
    }
}
