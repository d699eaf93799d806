//! The embedded chain's answers as JSON, with the fields that other tools' readers insist on.
//!
//! What this chain does not have (roots, uncles, difficulty) is zero or empty; nothing is invented.

use alloy_consensus::Transaction as _;
use alloy_eips::Typed2718 as _;
use alloy_primitives::{Bloom, BloomInput};
use serde_json::{Value, json};

use super::super::hex::{encode, quantity};
use super::super::transaction::Envelope;
use super::super::{Log, Receipt, TransactionStatus};
use super::blocks::{Mined, MinedTransaction};
use super::{BASE_FEE_WEI, BLOB_BASE_FEE_WEI, BLOCK_GAS_LIMIT};
use crate::keccak::{Hash, keccak256};

/// Whether a block is shown with its transaction or with its hash only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transactions {
    Hashes,
    Whole,
}

pub(super) fn block(mined: &Mined, transactions: Transactions) -> Value {
    let shown = mined.transaction.iter().map(|transaction| match transactions {
        Transactions::Hashes => transaction.decoded.hash.to_string().into(),
        Transactions::Whole => self::transaction(transaction),
    });
    let no_uncles = keccak256(&[0xc0]);
    json!({
        "number": quantity(mined.block.number.into()),
        "hash": mined.block.hash.to_string(),
        "parentHash": mined.block.parent_hash.to_string(),
        "timestamp": quantity(mined.block.timestamp_s.into()),
        "baseFeePerGas": quantity(mined.block.base_fee_wei),
        "gasLimit": quantity(BLOCK_GAS_LIMIT.into()),
        "gasUsed": quantity(mined.gas_used().into()),
        "logsBloom": bloom(mined.logs()),
        "transactions": shown.collect::<Vec<Value>>(),
        "miner": encode(&[0; 20]),
        "nonce": encode(&[0; 8]),
        "mixHash": mined.block.parent_hash.to_string(),
        "difficulty": "0x0",
        "totalDifficulty": "0x0",
        "extraData": "0x",
        "size": "0x0",
        "sha3Uncles": no_uncles.to_string(),
        "uncles": [],
        "stateRoot": Hash::ZERO.to_string(),
        "transactionsRoot": Hash::ZERO.to_string(),
        "receiptsRoot": Hash::ZERO.to_string(),
    })
}

pub(super) fn transaction(transaction: &MinedTransaction) -> Value {
    let envelope = &transaction.decoded.envelope;
    let signature = match envelope {
        Envelope::Legacy(signed) => signed.signature(),
        Envelope::Eip2930(signed) => signed.signature(),
        Envelope::Eip1559(signed) => signed.signature(),
        Envelope::Eip4844(signed) => signed.signature(),
        Envelope::Eip7702(signed) => signed.signature(),
    };
    let parity = u128::from(signature.v());
    let legacy_v = u128::from(envelope.chain_id().unwrap_or_default()) * 2 + 35 + parity;
    let mut shown = json!({
        "hash": transaction.decoded.hash.to_string(),
        "type": quantity(envelope.ty().into()),
        "chainId": envelope.chain_id().map(|id| quantity(id.into())),
        "nonce": quantity(envelope.nonce().into()),
        "from": transaction.decoded.sender.to_string(),
        "to": envelope.to().map(|to| encode(to.as_slice())),
        "value": format!("{:#x}", envelope.value()),
        "input": encode(envelope.input()),
        "gas": quantity(envelope.gas_limit().into()),
        "gasPrice": quantity(envelope.effective_gas_price(Some(BASE_FEE_WEI))),
        "blockNumber": quantity(transaction.receipt.block_number.into()),
        "blockHash": transaction.receipt.block_hash.to_string(),
        "transactionIndex": "0x0",
        "r": format!("{:#x}", signature.r()),
        "s": format!("{:#x}", signature.s()),
        "v": quantity(if envelope.is_legacy() { legacy_v } else { parity }),
    });
    if !envelope.is_legacy() {
        shown["yParity"] = quantity(parity).into();
        shown["accessList"] = access_list(envelope);
    }
    if let Some(priority) = envelope.max_priority_fee_per_gas() {
        shown["maxFeePerGas"] = quantity(envelope.max_fee_per_gas()).into();
        shown["maxPriorityFeePerGas"] = quantity(priority).into();
    }
    if let Some(hashes) = envelope.blob_versioned_hashes() {
        shown["maxFeePerBlobGas"] = quantity(envelope.max_fee_per_blob_gas().unwrap_or_default()).into();
        shown["blobVersionedHashes"] = hashes.iter().map(|hash| encode(hash.as_slice())).collect();
    }
    shown
}

fn access_list(envelope: &Envelope) -> Value {
    let items = envelope.access_list().map_or(&[][..], |list| &list.0);
    let shown = items.iter().map(|item| {
        let keys: Vec<String> = item.storage_keys.iter().map(|key| encode(key.as_slice())).collect();
        json!({ "address": encode(item.address.as_slice()), "storageKeys": keys })
    });
    shown.collect()
}

pub(super) fn receipt(transaction: &MinedTransaction) -> Value {
    let Receipt { status, gas_used, effective_gas_price_wei, contract_address, logs, .. } = &transaction.receipt;
    let envelope = &transaction.decoded.envelope;
    let mut shown = json!({
        "transactionHash": transaction.decoded.hash.to_string(),
        "transactionIndex": "0x0",
        "type": quantity(envelope.ty().into()),
        "blockNumber": quantity(transaction.receipt.block_number.into()),
        "blockHash": transaction.receipt.block_hash.to_string(),
        "from": transaction.decoded.sender.to_string(),
        "to": envelope.to().map(|to| encode(to.as_slice())),
        "status": quantity(u128::from(*status == TransactionStatus::Succeeded)),
        "gasUsed": quantity((*gas_used).into()),
        "cumulativeGasUsed": quantity((*gas_used).into()),
        "effectiveGasPrice": quantity(*effective_gas_price_wei),
        "contractAddress": contract_address.map(|address| address.to_string()),
        "logs": self::logs(logs),
        "logsBloom": bloom(logs),
    });
    if let Some(gas) = envelope.blob_gas_used() {
        shown["blobGasUsed"] = quantity(gas.into()).into();
        shown["blobGasPrice"] = quantity(BLOB_BASE_FEE_WEI).into();
    }
    shown
}

pub(super) fn logs(logs: &[Log]) -> Value {
    let shown = logs.iter().map(|log| {
        json!({
            "address": log.address.to_string(),
            "topics": log.topics.iter().map(Hash::to_string).collect::<Vec<_>>(),
            "data": encode(&log.data),
            "blockNumber": quantity(log.block_number.into()),
            "blockHash": log.block_hash.to_string(),
            "transactionHash": log.transaction_hash.to_string(),
            "transactionIndex": "0x0",
            "logIndex": quantity(log.log_index.into()),
            "removed": false,
        })
    });
    shown.collect()
}

fn bloom(logs: &[Log]) -> String {
    let mut bloom = Bloom::ZERO;
    for log in logs {
        bloom.accrue(BloomInput::Raw(&log.address.0));
        for topic in &log.topics {
            bloom.accrue(BloomInput::Raw(&topic.0));
        }
    }
    encode(bloom.as_slice())
}
