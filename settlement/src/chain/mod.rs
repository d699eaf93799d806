//! The chain that the contracts live on, behind one small interface with two implementations.
//!
//! Poster, watcher and escape need a dozen questions answered, and the answers must mean the same on a public network and
//! in `lakh dev`. So they speak to [`Chain`]: [`rpc::RpcChain`] asks any EVM node by JSON-RPC, and
//! [`embedded::EmbeddedChain`] runs the EVM in this process and needs no other program. One set of tests runs over both.
//!
//! Invariants: an answer is hostile until checked, so its size is bounded, its numbers fit their types, and a log that does
//! not fit the question is no log but an error; a caller can always tell "nobody knows whether it happened"
//! ([`ChainError::NoAnswer`]) from "it was refused" ([`ChainError::Refused`]); nothing here keeps a key but
//! [`transaction::TransactionSigner`], and no error names the node's URL, which may hold a secret.
//!
//! Bounds: a raw transaction has at most [`MAX_TRANSACTION_BYTES`], with blobs [`MAX_BLOB_TRANSACTION_BYTES`]; amounts in wei fit 128 bits, which is 10²⁰ ether.

mod beacon;
pub mod embedded;
pub(crate) mod hex;
pub mod rpc;
#[cfg(test)]
mod tests;
pub mod transaction;

use core::fmt;
use std::path::PathBuf;

use crate::blobs::Blob;
use crate::commitment::Stamp;
use crate::keccak::Hash;

/// Bytes of the largest raw transaction: what the pools of public nodes take, so that nothing works here only.
pub const MAX_TRANSACTION_BYTES: usize = 128 * 1024;

/// Bytes of the largest raw transaction together with its blobs, commitments and proofs: 6 of 137,264 bytes, and the rest.
pub const MAX_BLOB_TRANSACTION_BYTES: usize = 1024 * 1024;

/// The JSON-RPC code with which nodes say that a call reverted.
pub const REVERTED: i64 = 3;

/// The JSON-RPC code for parameters that do not fit the method.
const WRONG_PARAMETERS: i64 = -32_602;

/// Characters kept of a message that another program wrote.
const MAX_MESSAGE_CHARACTERS: usize = 512;

/// Bytes as `0x` and two hexadecimal digits each.
pub fn encode_hex(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

/// Bytes from `0x` and two hexadecimal digits each; `None` for anything else.
pub fn decode_hex(text: &str) -> Option<Vec<u8>> {
    hex::decode(text)
}

/// An account or a contract: the last 20 bytes of a keccak-256 hash.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; 20]);

impl Address {
    /// From `0x` and 40 hexadecimal digits; `None` for anything else. The checksum in the digits' case is not looked at.
    pub fn from_hex(text: &str) -> Option<Self> {
        hex::decode_array(text).map(Self)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which block a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockTag {
    /// The newest.
    Latest,
    /// The newest that cannot be reorganised away.
    Finalized,
    /// This one; the genesis block is 0.
    Number(u64),
}

/// Which transactions of an account count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceAt {
    /// Those in blocks.
    Latest,
    /// Those that wait in the node's pool as well.
    Pending,
}

/// What a block says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its height; the genesis block is 0.
    pub number: u64,
    /// Its hash.
    pub hash: Hash,
    /// The hash of the block before it.
    pub parent_hash: Hash,
    /// Seconds since the Unix epoch.
    pub timestamp_s: u64,
    /// What each unit of gas in it cost at least, in wei.
    pub base_fee_wei: u128,
}

/// What a contract said while a transaction ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The contract.
    pub address: Address,
    /// The event's signature and its indexed fields; at most 4.
    pub topics: Vec<Hash>,
    /// The other fields.
    pub data: Vec<u8>,
    /// The block's height.
    pub block_number: u64,
    /// The block's hash.
    pub block_hash: Hash,
    /// The transaction's hash.
    pub transaction_hash: Hash,
    /// Its place among the block's logs, from 0.
    pub log_index: u64,
}

/// Which logs are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter {
    /// Of this contract.
    pub address: Address,
    /// From this height on.
    pub from_block: u64,
    /// Up to this height, which is included; at least `from_block`.
    pub to_block: u64,
    /// What may stand at each place of the topics; an empty place takes anything. At most 4 places.
    pub topics: Vec<Vec<Hash>>,
}

impl LogFilter {
    fn check(&self) -> Result<(), ChainError> {
        check_range(self.from_block, self.to_block, self.topics.len())
    }

    /// Whether a log of a contract at a height is wanted.
    fn wants(&self, address: Address, block_number: u64, topics: &[Hash]) -> bool {
        self.address == address
            && (self.from_block..=self.to_block).contains(&block_number)
            && topics_fit(&self.topics, topics)
    }
}

/// Refuses what no query for logs may ask.
fn check_range(from_block: u64, to_block: u64, topics: usize) -> Result<(), ChainError> {
    if from_block > to_block {
        return Err(ChainError::refused(WRONG_PARAMETERS, "the range ends before it begins"));
    }
    if topics > 4 {
        return Err(ChainError::refused(WRONG_PARAMETERS, "a log has at most 4 topics"));
    }
    Ok(())
}

/// Whether a log's topics are among those wanted at each place.
fn topics_fit(wanted: &[Vec<Hash>], topics: &[Hash]) -> bool {
    let fits = |(wanted, topic): (&Vec<Hash>, &Hash)| wanted.is_empty() || wanted.contains(topic);
    wanted.len() <= topics.len() && wanted.iter().zip(topics).all(fits)
}

/// What would be sent, to be tried without sending it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// By whom.
    pub from: Address,
    /// To whom; `None` creates a contract, whose code comes back.
    pub to: Option<Address>,
    /// Selector and arguments, or the creation code.
    pub data: Vec<u8>,
    /// What goes with it, in wei.
    pub value_wei: u128,
    /// The versioned hashes of the blobs that would go along; empty for a transaction without.
    pub blob_hashes: Vec<Hash>,
}

impl Call {
    /// A question to a contract, by nobody.
    pub fn question(to: Address, data: Vec<u8>) -> Self {
        Self { from: Address::default(), to: Some(to), data, value_wei: 0, blob_hashes: Vec::new() }
    }
}

/// A transaction as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Selector and arguments, or the creation code.
    pub data: Vec<u8>,
    /// The versioned hashes of its blobs; empty for none.
    pub blob_hashes: Vec<Hash>,
}

/// How a transaction in a block ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// It did what it was to do.
    Succeeded,
    /// It changed nothing but its sender's nonce and balance.
    Reverted,
}

/// What became of a transaction that is in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its hash.
    pub transaction_hash: Hash,
    /// The block's height.
    pub block_number: u64,
    /// The block's hash.
    pub block_hash: Hash,
    /// How it ended.
    pub status: TransactionStatus,
    /// What it used, in units of gas.
    pub gas_used: u64,
    /// What it paid for each unit of gas, in wei.
    pub effective_gas_price_wei: u128,
    /// The contract it created.
    pub contract_address: Option<Address>,
    /// What the contracts said.
    pub logs: Vec<Log>,
}

/// What a unit of gas costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fees {
    /// The newest block's base fee, in wei.
    pub base_fee_wei: u128,
    /// What the node advises to pay on top, in wei.
    pub priority_fee_wei: u128,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// Nobody answered in time, or not as a node does. Whether a sent transaction arrived is not known.
    #[error("the chain does not answer: {reason}")]
    NoAnswer {
        /// What went wrong.
        reason: String,
    },
    /// The node took the question and said no.
    #[error("the chain refuses with {code}: {message}")]
    Refused {
        /// The JSON-RPC code; [`REVERTED`] where a call reverted.
        code: i64,
        /// The node's words, cut to 512 characters.
        message: String,
        /// What the contract reverted with: selector and arguments of its error. Empty for other refusals.
        data: Vec<u8>,
    },
    /// The answer cannot be right.
    #[error("the chain's answer to {method} is malformed: {reason}")]
    Malformed {
        /// What was asked.
        method: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The embedded chain's directory cannot be read or written.
    #[error("cannot use {path}")]
    Storage {
        /// What cannot be used.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The embedded chain's log is damaged before its end, or does not lead to the same blocks again.
    #[error("{path} is damaged at byte {offset}: {reason}")]
    Corrupt {
        /// The log.
        path: PathBuf,
        /// Where the first bad record begins.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The embedded chain's log belongs to another genesis.
    #[error("{path} was begun with another genesis: other accounts, balances or chain id")]
    OtherGenesis {
        /// The log.
        path: PathBuf,
    },
    /// No chain can begin like this, or no node be reached like this.
    #[error("{reason}")]
    Unusable {
        /// What is wrong with the options.
        reason: String,
    },
}

impl ChainError {
    /// What a call reverted with; `None` where it did not revert.
    pub fn revert_data(&self) -> Option<&[u8]> {
        match self {
            Self::Refused { code: REVERTED, data, .. } => Some(data),
            _ => None,
        }
    }

    fn no_answer(reason: impl Into<String>) -> Self {
        Self::NoAnswer { reason: reason.into() }
    }

    fn refused(code: i64, message: &str) -> Self {
        Self::Refused { code, message: printable(message), data: Vec::new() }
    }

    fn malformed(method: &'static str, reason: impl Into<String>) -> Self {
        Self::Malformed { method, reason: reason.into() }
    }
}

/// Another program's words, fit for a terminal: short, and without control characters.
fn printable(message: &str) -> String {
    let shown = |character: char| if character.is_control() { ' ' } else { character };
    message.chars().take(MAX_MESSAGE_CHARACTERS).map(shown).collect()
}

/// What the venue asks a chain. Every answer is checked before it is handed on; see [`ChainError`] for what can go wrong.
pub trait Chain: Send + Sync {
    /// Which chain this is.
    ///
    /// # Errors
    /// See [`ChainError`].
    fn chain_id(&self) -> Result<u64, ChainError>;

    /// A block; `None` where there is none of that height.
    ///
    /// # Errors
    /// See [`ChainError`].
    fn block(&self, at: BlockTag) -> Result<Option<Block>, ChainError>;

    /// Logs in the chain's order. A node may refuse a range that holds too many: ask for less.
    ///
    /// # Errors
    /// See [`ChainError`].
    fn logs(&self, filter: &LogFilter) -> Result<Vec<Log>, ChainError>;

    /// What a call would give back, without sending it. The embedded chain knows the newest state only.
    ///
    /// # Errors
    /// See [`ChainError`]; [`ChainError::revert_data`] where the contract refuses.
    fn call(&self, call: &Call, at: BlockTag) -> Result<Vec<u8>, ChainError>;

    /// Gas that suffices for a call at the moment; what it will use may differ once it is in a block.
    ///
    /// # Errors
    /// See [`ChainError`]; [`ChainError::revert_data`] where the contract refuses.
    fn estimate_gas(&self, call: &Call) -> Result<u64, ChainError>;

    /// The nonce of an account's next transaction.
    ///
    /// # Errors
    /// See [`ChainError`].
    fn nonce(&self, address: Address, at: NonceAt) -> Result<u64, ChainError>;

    /// Hands in a signed transaction and gives its hash. That it was taken does not say that it ends in a block.
    ///
    /// # Errors
    /// See [`ChainError`]; after [`ChainError::NoAnswer`] or [`ChainError::Malformed`] it may have been taken all the same.
    fn send_raw_transaction(&self, raw: &[u8]) -> Result<Hash, ChainError>;

    /// What became of a transaction; `None` while it is in no block that the node knows.
    ///
    /// # Errors
    /// See [`ChainError`].
    fn receipt(&self, transaction_hash: Hash) -> Result<Option<Receipt>, ChainError>;

    /// What a transaction was sent with; `None` while the node knows none of that hash.
    ///
    /// # Errors
    /// See [`ChainError`].
    fn sent(&self, transaction_hash: Hash) -> Result<Option<Sent>, ChainError>;

    /// A blob by its versioned hash, which it has really; `None` where it is not kept, or not any more. `block` and its time
    /// are those of its transaction.
    ///
    /// # Errors
    /// See [`ChainError`].
    fn blob(&self, versioned_hash: Hash, block: &Stamp) -> Result<Option<Blob>, ChainError>;

    /// What a unit of blob gas costs now, in wei; `None` on a chain without blobs.
    ///
    /// # Errors
    /// See [`ChainError`].
    fn blob_base_fee(&self) -> Result<Option<u128>, ChainError>;

    /// What gas costs now.
    ///
    /// # Errors
    /// See [`ChainError`].
    fn fees(&self) -> Result<Fees, ChainError>;

    /// An account's ether, in wei.
    ///
    /// # Errors
    /// See [`ChainError`].
    fn balance(&self, address: Address) -> Result<u128, ChainError>;

    /// A contract's code; empty where there is none.
    ///
    /// # Errors
    /// See [`ChainError`].
    fn code(&self, address: Address) -> Result<Vec<u8>, ChainError>;

    /// The height of the newest or the newest final block.
    ///
    /// # Errors
    /// See [`ChainError`].
    fn block_number(&self, at: BlockTag) -> Result<u64, ChainError> {
        let block = self.block(at)?;
        block.map(|block| block.number).ok_or_else(|| ChainError::malformed("eth_getBlockByNumber", "no such block"))
    }
}
