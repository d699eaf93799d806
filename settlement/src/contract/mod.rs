//! How the contracts are spoken to: the calls that the venue makes, as bytes.
//!
//! Written by hand over fixed layouts, since there are twenty of them and a code generator would bring a compiler's worth
//! of dependencies; each selector is tested against what the Solidity compiler lists. What comes back is in [`answer`],
//! and what brings the contracts onto a chain in [`deploy`].
//!
//! The layout is the EVM's: 4 bytes of selector (the first of the signature's keccak-256), then words of 32 bytes. A
//! value of changing length stands behind the others; in its place stands its offset from the first word.
//!
//! Invariants: encoding never fails; a decoder takes any bytes and answers with a value or `None`.

pub mod answer;
pub mod committed;
pub mod deploy;

use lakh_engine::ids::{AccountId, AssetId};

use crate::batch::SealedBatch;
use crate::chain::Address;
use crate::commitment::{AssetChange, AssetLine, HEADER_VERSION, Header, Stamp};
use crate::keccak::{Hash, keccak256};
use crate::sum_tree::Node;
use crate::typed_data::CompactSignature;
use crate::words::{WORD, number};

/// A header's type in signatures.
macro_rules! header_type {
    () => {
        "(uint64,uint64,uint64,uint64,uint64,uint64,uint64,uint64,bytes32,bytes32,bytes32,bytes32,bytes32,bytes32,bytes32,bytes32)"
    };
}

// Behind the macro, which it uses.
pub mod exits;

/// Signature of `commitBatch`.
pub const COMMIT_BATCH: &str = concat!(
    "commitBatch((uint16,bytes32,uint128,bytes32)[],bytes,",
    "(uint256,uint256,bytes32,bytes32,bytes32,bytes32,(bytes32,bytes32)),(bytes32,bytes32)[])"
);
/// Signature of `commitBatchBlobs`.
pub const COMMIT_BATCH_BLOBS: &str = concat!(
    "commitBatchBlobs(bytes32,(bytes32,bytes32)[],",
    "(uint256,uint256,bytes32,bytes32,bytes32,bytes32,(bytes32,bytes32)),(uint16,bytes32,uint128,bytes32)[])"
);
/// Signature of `finalize`.
pub const FINALIZE: &str = concat!("finalize(", header_type!(), ",(uint64,uint64))");
/// Signature of `claimFromBatch`.
pub const CLAIM_FROM_BATCH: &str = concat!(
    "claimFromBatch(",
    header_type!(),
    ",(uint64,uint64),(uint16,bytes32,uint128)[],(uint16,uint32,uint32,uint128),(bytes32,uint128)[])"
);

/// Bytes of a selector.
const SELECTOR: usize = 4;
/// Words of a header.
const HEADER_WORDS: usize = 16;
/// Words before the values of changing length in a commit: two, the claim in the same place with data and with blobs, one.
const COMMIT_WORDS: usize = 11;

/// The four bytes that choose a function or an error.
pub fn selector(signature: &str) -> [u8; 4] {
    let [a, b, c, d, ..] = keccak256(signature.as_bytes()).0;
    [a, b, c, d]
}

/// A call's bytes while they come together: words in their places, and what changes in length behind them.
struct Encoder {
    bytes: Vec<u8>,
    tail: Vec<u8>,
    head_words: usize,
}

impl Encoder {
    /// For a function with `head_words` words before the values of changing length.
    fn new(signature: &str, head_words: usize) -> Self {
        Self { bytes: selector(signature).to_vec(), tail: Vec::new(), head_words }
    }

    fn word(mut self, word: [u8; WORD]) -> Self {
        self.bytes.extend_from_slice(&word);
        self
    }

    fn number(self, value: impl Into<u128>) -> Self {
        self.word(number(value.into()))
    }

    fn hash(self, hash: Hash) -> Self {
        self.word(hash.0)
    }

    fn address(self, address: Address) -> Self {
        self.word(address_word(address))
    }

    fn header(mut self, header: &Header) -> Self {
        self.bytes.extend_from_slice(&header.encode());
        self
    }

    /// What a commit claims, signed.
    fn claim(self, batch: &SealedBatch, header: &Header, signature: CompactSignature) -> Self {
        self.word(range_word(header, batch.previous_lines))
            .word(moment_word(header))
            .hash(header.journal_hash)
            .hash(header.journal_root)
            .hash(header.queue_prefix)
            .hash(batch.previous_trees)
            .word(signature.r)
            .word(signature.vs)
    }

    fn lines(self, lines: &[AssetLine]) -> Self {
        self.list(lines.len(), lines.iter().flat_map(line_words))
    }

    fn changes(self, batch: &SealedBatch) -> Self {
        self.list(batch.changes.len(), batch.changes.iter().flat_map(change_words))
    }

    fn stamp(self, stamp: Stamp) -> Self {
        self.number(stamp.time_seconds).number(stamp.block_number)
    }

    /// The offset of what the tail gets next.
    fn offset(self) -> Self {
        let offset = self.head_words * WORD + self.tail.len();
        self.number(offset as u128)
    }

    /// A list whose elements have a fixed number of words.
    fn list(self, length: usize, elements: impl IntoIterator<Item = [u8; WORD]>) -> Self {
        let mut encoder = self.offset();
        encoder.tail.extend_from_slice(&number(length as u128));
        encoder.tail.extend(elements.into_iter().flatten());
        encoder
    }

    /// Bytes, filled up with zeroes to whole words.
    fn bytes(self, bytes: &[u8]) -> Self {
        let mut encoder = self.offset();
        encoder.tail.extend_from_slice(&number(bytes.len() as u128));
        encoder.tail.extend_from_slice(bytes);
        let padding = bytes.len().next_multiple_of(WORD) - bytes.len();
        encoder.tail.extend_from_slice(&[0; WORD][..padding]);
        encoder
    }

    fn finish(mut self) -> Vec<u8> {
        debug_assert_eq!(self.bytes.len() % WORD, SELECTOR % WORD, "heads are whole words");
        self.bytes.append(&mut self.tail);
        self.bytes
    }
}

/// An address' word.
pub(crate) fn address_word(address: Address) -> [u8; WORD] {
    let mut word = [0; WORD];
    word[12..].copy_from_slice(&address.0);
    word
}

/// An asset's line as words.
fn line_words(line: &AssetLine) -> [[u8; WORD]; 2] {
    [line.tree.hash.0, line.totals().0]
}

/// A change as words.
fn change_words(change: &AssetChange) -> [[u8; WORD]; 4] {
    let withdrawals = change.withdrawals;
    [number(change.asset.0.into()), change.totals_before().0, number(withdrawals.sum), withdrawals.hash.0]
}

/// What a batch covers as a word: version and the last batch's lines, 4 bytes each, then batch and records, 8 bytes each.
fn range_word(header: &Header, previous_lines: u32) -> [u8; WORD] {
    let version = u32::try_from(HEADER_VERSION).expect("the version is 1");
    let numbers = [header.batch_id, header.first_sequence.0, header.last_sequence.0];
    let mut word = [0; WORD];
    word[..4].copy_from_slice(&version.to_be_bytes());
    word[4..8].copy_from_slice(&previous_lines.to_be_bytes());
    word[8..].copy_from_slice(&numbers.map(u64::to_be_bytes).concat());
    word
}

/// When a batch was, and how much of the queue it consumes, as a word of four numbers.
fn moment_word(header: &Header) -> [u8; WORD] {
    let numbers = [header.first_time_seconds, header.last_time_seconds, header.queue_up_to, header.fills];
    let mut word = [0; WORD];
    word.copy_from_slice(&numbers.map(u64::to_be_bytes).concat());
    word
}

/// `commitBatch`: the operator's next batch with its data, signed by the header key. Of the header it tells only what the
/// contract does not work out from the rest; all of it follows from the call, see [`committed::CommitCall`].
pub fn commit_batch(batch: &SealedBatch, signature: CompactSignature) -> Vec<u8> {
    let encoder = Encoder::new(COMMIT_BATCH, COMMIT_WORDS).changes(batch).bytes(&batch.data);
    encoder.claim(batch, &batch.header, signature).lines(&batch.lines).finish()
}

/// `commitBatchBlobs`: the same with the data in the transaction's blobs, which `header` names.
pub fn commit_batch_blobs(batch: &SealedBatch, header: &Header, signature: CompactSignature) -> Vec<u8> {
    let encoder = Encoder::new(COMMIT_BATCH_BLOBS, COMMIT_WORDS).hash(header.data_hash).lines(&batch.lines);
    encoder.claim(batch, header, signature).changes(batch).finish()
}

/// `finalize`: the batch and all before it become final.
pub fn finalize(header: &Header, stamp: Stamp) -> Vec<u8> {
    Encoder::new(FINALIZE, HEADER_WORDS + 2).header(header).stamp(stamp).finish()
}

/// What proves one withdrawal of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithdrawalClaim {
    /// The batch's header.
    pub header: Header,
    /// The roots of the batch's withdrawal trees, in the order of their assets.
    pub trees: Vec<(AssetId, Node)>,
    /// Of what.
    pub asset: AssetId,
    /// Its place among the asset's withdrawals in the batch.
    pub index: u32,
    /// Whose.
    pub account: AccountId,
    /// How much, in atoms.
    pub amount: u64,
    /// The siblings from the leaf upwards.
    pub path: Vec<Node>,
}

/// `claimFromBatch`: pays a withdrawal of a final batch, which was committed at `stamp`.
pub fn claim_from_batch(claim: &WithdrawalClaim, stamp: Stamp) -> Vec<u8> {
    let line = |(asset, tree): &(AssetId, Node)| [number(asset.0.into()), tree.hash.0, number(tree.sum)];
    let step = |node: &Node| [node.hash.0, number(node.sum)];
    Encoder::new(CLAIM_FROM_BATCH, HEADER_WORDS + 8)
        .header(&claim.header)
        .stamp(stamp)
        .list(claim.trees.len(), claim.trees.iter().flat_map(line))
        .number(claim.asset.0)
        .number(claim.index)
        .number(claim.account.0)
        .number(claim.amount)
        .list(claim.path.len(), claim.path.iter().flat_map(step))
        .finish()
}

/// A function without arguments.
fn plain(signature: &str) -> Vec<u8> {
    Encoder::new(signature, 0).finish()
}

/// `tip`: where the batches stand; the answer is [`answer::Tip`].
pub fn tip() -> Vec<u8> {
    plain("tip()")
}

/// `counts`: how much there is of what is counted; the answer is [`answer::Counts`].
pub fn counts() -> Vec<u8> {
    plain("counts()")
}

/// `windowSeconds`: how long a batch waits until it can be final.
pub fn window_seconds() -> Vec<u8> {
    plain("windowSeconds()")
}

/// `windowBlocks`: how many blocks a batch waits until it can be final.
pub fn window_blocks() -> Vec<u8> {
    plain("windowBlocks()")
}

/// `operator`: who may commit batches.
pub fn operator() -> Vec<u8> {
    plain("operator()")
}

/// `vault`: the contract that holds the tokens and that depositors approve.
pub fn vault() -> Vec<u8> {
    plain("vault()")
}

/// `queuePrefix`: the prefix hash of a queue entry, at 0 the origin.
pub fn queue_prefix(queue_id: u64) -> Vec<u8> {
    Encoder::new("queuePrefix(uint256)", 1).number(queue_id).finish()
}

/// `withdrawable`: what waits for an owner because a token had refused to pay it, in atoms.
pub fn withdrawable(asset: AssetId, owner: Address) -> Vec<u8> {
    Encoder::new("withdrawable(uint256,address)", 2).number(asset.0).address(owner).finish()
}

/// `claim`: pays what is [`withdrawable`].
pub fn claim(asset: AssetId, owner: Address) -> Vec<u8> {
    Encoder::new("claim(uint16,address)", 2).number(asset.0).address(owner).finish()
}

/// `batchHash`: what is stored of a batch; see [`crate::commitment::batch_hash`].
pub fn batch_hash(batch_id: u64) -> Vec<u8> {
    Encoder::new("batchHash(uint256)", 1).number(batch_id).finish()
}

/// `tipRoot`: the balances root of the last batch.
pub fn tip_root() -> Vec<u8> {
    plain("tipRoot()")
}

/// `isClaimed`: whether a withdrawal was claimed; the answer is 1 or 0.
pub fn is_claimed(batch_id: u64, asset: AssetId, index: u32) -> Vec<u8> {
    Encoder::new("isClaimed(uint64,uint16,uint32)", 3).number(batch_id).number(asset.0).number(index).finish()
}

/// `assetInfo`: what an asset is; the answer is [`answer::AssetInfo`].
pub fn asset_info(asset: AssetId) -> Vec<u8> {
    Encoder::new("assetInfo(uint16)", 1).number(asset.0).finish()
}

/// `accountOf`: an owner's account; 0 for none.
pub fn account_of(owner: Address) -> Vec<u8> {
    Encoder::new("accountOf(address)", 1).address(owner).finish()
}

/// `listAsset`: a token, its units in an atom, the smallest deposit and the most held, both in atoms.
pub fn list_asset(token: Address, scale: u64, minimum: u64, cap: u64) -> Vec<u8> {
    let encoder = Encoder::new("listAsset(address,uint64,uint64,uint64)", 4);
    encoder.address(token).number(scale).number(minimum).number(cap).finish()
}

/// `deposit`: `amount` in the token's units.
pub fn deposit(asset: AssetId, amount: u128) -> Vec<u8> {
    Encoder::new("deposit(uint16,uint256)", 2).number(asset.0).number(amount).finish()
}

/// `registerKey`: an Ed25519 public key.
pub fn register_key(key: [u8; 32]) -> Vec<u8> {
    Encoder::new("registerKey(bytes32)", 1).word(key).finish()
}

/// `revokeKey`: an Ed25519 public key.
pub fn revoke_key(key: [u8; 32]) -> Vec<u8> {
    Encoder::new("revokeKey(bytes32)", 1).word(key).finish()
}

/// `requestWithdrawal`: `amount` in the token's units.
pub fn request_withdrawal(asset: AssetId, amount: u128) -> Vec<u8> {
    Encoder::new("requestWithdrawal(uint16,uint256)", 2).number(asset.0).number(amount).finish()
}

/// A token's `approve`: `spender` may take `amount` of the caller's.
pub fn approve(spender: Address, amount: u128) -> Vec<u8> {
    Encoder::new("approve(address,uint256)", 2).address(spender).number(amount).finish()
}

/// A token's `balanceOf`.
pub fn balance_of(owner: Address) -> Vec<u8> {
    Encoder::new("balanceOf(address)", 1).address(owner).finish()
}

/// A demo token's `mint`.
pub fn mint(to: Address, amount: u128) -> Vec<u8> {
    Encoder::new("mint(address,uint256)", 2).address(to).number(amount).finish()
}

#[cfg(test)]
mod tests;
