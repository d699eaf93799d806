//! Blocks of the embedded chain: what one is made of, how it is hashed, and how logs are found in many.
//!
//! A block's hash is not that of an Ethereum header, since most of such a header would be made up here. It covers what
//! decides the future: parent, height, time, transaction, outcome, logs and each changed account. So two chains with one
//! head hash have one history and one state.
//!
//! Bounds: a block has at most one transaction; a query gives at most [`MAX_LOGS`] logs with [`MAX_LOG_BYTES`] of data.

use alloy_consensus::Transaction as _;

use super::super::transaction::Decoded;
use super::super::{Address, Block, ChainError, Log, Receipt, TransactionStatus, topics_fit};
use super::evm::{Executed, Place, changes_hash};
use super::{BASE_FEE_WEI, Genesis, LIMIT_EXCEEDED};
use crate::keccak::{Hash, keccak256};

/// Logs that one query gives at most, as with public nodes.
pub const MAX_LOGS: usize = 10_000;

/// Bytes of data in the logs that one query gives at most: as text, and with the rest of the logs, it stays readable for a
/// client that reads [`MAX_RESPONSE_BYTES`](crate::chain::rpc::MAX_RESPONSE_BYTES).
pub const MAX_LOG_BYTES: usize = 2 * 1024 * 1024;

/// A block, with what happened in it.
#[derive(Clone, Debug)]
pub(super) struct Mined {
    pub(super) block: Block,
    pub(super) transaction: Option<MinedTransaction>,
}

/// A transaction in a block.
#[derive(Clone, Debug)]
pub(super) struct MinedTransaction {
    pub(super) decoded: Decoded,
    pub(super) receipt: Receipt,
}

/// Which logs are wanted; empty lists take anything.
pub(super) struct LogQuery {
    pub(super) addresses: Vec<Address>,
    pub(super) from_block: u64,
    pub(super) to_block: u64,
    pub(super) topics: Vec<Vec<Hash>>,
}

impl Mined {
    pub(super) fn genesis(genesis: &Genesis) -> Self {
        let place = Place { number: 0, timestamp_s: 0, parent_hash: Hash::ZERO };
        Self { block: block(place, genesis.hash()), transaction: None }
    }

    /// A block in which nothing happens.
    pub(super) fn empty(place: Place) -> Self {
        Self { block: block(place, hash(place, &[])), transaction: None }
    }

    /// A block with one transaction.
    pub(super) fn with_transaction(place: Place, decoded: Decoded, executed: &Executed) -> Self {
        let status =
            if executed.result.is_success() { TransactionStatus::Succeeded } else { TransactionStatus::Reverted };
        // What a transaction said before it reverted is not said.
        let logs = if executed.result.is_success() { executed.result.logs() } else { &[] };
        let mut receipt = Receipt {
            transaction_hash: decoded.hash,
            block_number: place.number,
            block_hash: Hash::ZERO,
            status,
            gas_used: executed.result.tx_gas_used(),
            effective_gas_price_wei: decoded.envelope.effective_gas_price(Some(BASE_FEE_WEI)),
            contract_address: executed.result.created_address().map(|address| Address(address.into_array())),
            logs: logs.iter().zip(0..).map(|(log, index)| own_log(log, index, place.number, decoded.hash)).collect(),
        };
        let block = block(place, hash(place, &outcome(&receipt, executed)));
        receipt.block_hash = block.hash;
        for log in &mut receipt.logs {
            log.block_hash = block.hash;
        }
        Self { block, transaction: Some(MinedTransaction { decoded, receipt }) }
    }

    /// Gas that was used in it.
    pub(super) fn gas_used(&self) -> u64 {
        self.transaction.as_ref().map_or(0, |transaction| transaction.receipt.gas_used)
    }

    /// What was said in it.
    pub(super) fn logs(&self) -> &[Log] {
        self.transaction.as_ref().map_or(&[], |transaction| &transaction.receipt.logs)
    }
}

fn block(place: Place, hash: Hash) -> Block {
    Block {
        number: place.number,
        hash,
        parent_hash: place.parent_hash,
        timestamp_s: place.timestamp_s,
        base_fee_wei: BASE_FEE_WEI.into(),
    }
}

fn own_log(log: &alloy_primitives::Log, log_index: u64, block_number: u64, transaction_hash: Hash) -> Log {
    Log {
        address: Address(log.address.into_array()),
        topics: log.topics().iter().map(|topic| Hash(topic.0)).collect(),
        data: log.data.data.to_vec(),
        block_number,
        block_hash: Hash::ZERO,
        transaction_hash,
        log_index,
    }
}

fn hash(place: Place, outcome: &[u8]) -> Hash {
    let mut bytes = b"lakh block".to_vec();
    bytes.extend(place.parent_hash.0);
    bytes.extend(place.number.to_be_bytes());
    bytes.extend(place.timestamp_s.to_be_bytes());
    bytes.extend(outcome);
    keccak256(&bytes)
}

/// What a transaction did, unambiguously: fixed sizes, and a count before what varies.
fn outcome(receipt: &Receipt, executed: &Executed) -> Vec<u8> {
    let mut bytes = receipt.transaction_hash.0.to_vec();
    bytes.push(u8::from(receipt.status == TransactionStatus::Succeeded));
    bytes.extend(receipt.gas_used.to_be_bytes());
    bytes.extend(changes_hash(&executed.changes).0);
    for log in &receipt.logs {
        bytes.extend(log.address.0);
        bytes.extend((log.topics.len() as u64).to_be_bytes());
        bytes.extend(log.topics.iter().flat_map(|topic| topic.0));
        bytes.extend(keccak256(&log.data).0);
    }
    bytes
}

/// The logs wanted, in the chain's order. `blocks` begins with the genesis block.
pub(super) fn find_logs(blocks: &[Mined], query: &LogQuery) -> Result<Vec<Log>, ChainError> {
    let index = |height: u64| usize::try_from(height).unwrap_or(usize::MAX);
    let end = index(query.to_block).saturating_add(1).min(blocks.len());
    let wanted = blocks.get(index(query.from_block)..end).unwrap_or_default().iter().flat_map(Mined::logs);
    let from = |log: &Log| query.addresses.is_empty() || query.addresses.contains(&log.address);
    let mut found = Vec::new();
    let mut bytes = 0;
    for log in wanted.filter(|log| from(log) && topics_fit(&query.topics, &log.topics)) {
        bytes += log.data.len();
        if found.len() == MAX_LOGS || bytes > MAX_LOG_BYTES {
            return Err(ChainError::refused(LIMIT_EXCEEDED, "query returned more than 10000 results or 2 MiB"));
        }
        found.push(log.clone());
    }
    Ok(found)
}
