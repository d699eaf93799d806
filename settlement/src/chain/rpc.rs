//! A chain behind a node's JSON-RPC, over plain HTTP: any EVM node on this machine or behind a proxy that ends TLS.
//!
//! Blocking on purpose: poster and watcher are one thread each, ask one question at a time and have nothing else to do.
//! No attempt is repeated here; only the caller knows whether a repetition is safe.
//!
//! Invariants: what a node says is checked against the question (heights, addresses, topics, order, hashes) before it is
//! handed on; no redirect is followed, no proxy of the environment used.
//!
//! Bounds: [`MAX_RESPONSE_BYTES`] an answer, [`RpcOptions::timeout`] a question in all, one idle connection kept.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};

use super::beacon::Beacon;
use super::hex::{self, Bytes, Fixed, Quantity};
use super::transaction::hash_of;
use super::{
    Address, Block, BlockTag, Call, Chain, ChainError, Fees, Log, LogFilter, NonceAt, Receipt, Sent, TransactionStatus,
    printable,
};
use crate::blobs::Blob;
use crate::commitment::Stamp;
use crate::keccak::Hash;

/// Bytes of the longest answer that is read.
pub const MAX_RESPONSE_BYTES: u64 = 16 * 1024 * 1024;

/// How a node is reached.
#[derive(Clone, Debug)]
pub struct RpcOptions {
    /// Where; begins with `http://`.
    pub url: String,
    /// Where blobs are asked for: the consensus node's HTTP API. `None` for `url`, which is right for
    /// development chains only. Begins with `http://`.
    pub blobs_url: Option<String>,
    /// How long a question may take, from connecting to the answer's last byte; at least 1 ms.
    pub timeout: Duration,
}

/// A chain behind a node.
pub struct RpcChain {
    agent: ureq::Agent,
    url: String,
    next_id: AtomicU64,
    beacon: Beacon,
}

impl core::fmt::Debug for RpcChain {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RpcChain").finish_non_exhaustive()
    }
}

impl RpcChain {
    /// For a node; it is not asked anything yet.
    ///
    /// # Errors
    /// [`ChainError::Unusable`] for a URL without `http://` or a timeout of 0.
    pub fn new(options: &RpcOptions) -> Result<Self, ChainError> {
        let unusable = |reason: &str| ChainError::Unusable { reason: reason.to_owned() };
        let blobs_url = options.blobs_url.as_ref().unwrap_or(&options.url);
        if !options.url.starts_with("http://") || !blobs_url.starts_with("http://") {
            return Err(unusable("the node's URL must begin with http://; for TLS put a proxy in front"));
        }
        if options.timeout < Duration::from_millis(1) {
            return Err(unusable("a node needs at least a millisecond to answer"));
        }
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(options.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(1)
            .proxy(None)
            .build();
        let beacon = Beacon::new(blobs_url);
        Ok(Self { agent: config.into(), url: options.url.clone(), next_id: AtomicU64::new(1), beacon })
    }

    /// Asks; `None` where the node answers `null`.
    fn ask<T: DeserializeOwned>(&self, method: &'static str, parameters: &Value) -> Result<Option<T>, ChainError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let question = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": parameters });
        let (status, body) = self.exchange(method, &question)?;
        // A node that says "too many requests" has not looked at the question, whatever its body says.
        if status == 429 {
            return Err(ChainError::no_answer("HTTP status 429, too many requests"));
        }
        let reply: Reply<T> = match serde_json::from_slice(&body) {
            Ok(reply) => reply,
            Err(_) if status != 200 => return Err(ChainError::no_answer(format!("HTTP status {status}"))),
            Err(error) => return Err(ChainError::malformed(method, printable(&error.to_string()))),
        };
        if let Some(error) = reply.error {
            let data = error.data.unwrap_or_default().0;
            return Err(ChainError::Refused { code: error.code, message: printable(&error.message), data });
        }
        if reply.id != Some(id) {
            return Err(ChainError::malformed(method, "an answer to another question"));
        }
        Ok(reply.result)
    }

    /// Asks for something that cannot be missing.
    fn require<T: DeserializeOwned>(&self, method: &'static str, parameters: &Value) -> Result<T, ChainError> {
        self.ask(method, parameters)?.ok_or_else(|| ChainError::malformed(method, "nothing where something must be"))
    }

    fn require_u64(&self, method: &'static str, parameters: &Value) -> Result<u64, ChainError> {
        let number: Quantity = self.require(method, parameters)?;
        number.as_u64().ok_or_else(|| ChainError::malformed(method, "a number over 64 bits"))
    }

    fn exchange(&self, method: &'static str, question: &Value) -> Result<(u16, Vec<u8>), ChainError> {
        let request = self.agent.post(&self.url).header("content-type", "application/json");
        let response = request.send(question.to_string().as_bytes()).map_err(|error| no_answer(&error))?;
        read(method, response)
    }
}

/// Status and body of an answer.
pub(super) fn read(
    method: &'static str,
    mut response: ureq::http::Response<ureq::Body>,
) -> Result<(u16, Vec<u8>), ChainError> {
    let body = response.body_mut().with_config().limit(MAX_RESPONSE_BYTES).read_to_vec();
    match body {
        Ok(body) => Ok((response.status().as_u16(), body)),
        Err(ureq::Error::BodyExceedsLimit(_)) => {
            Err(ChainError::malformed(method, format!("more than {MAX_RESPONSE_BYTES} bytes")))
        }
        Err(error) => Err(no_answer(&error)),
    }
}

/// Without the URL, which ureq's own words may contain.
pub(super) fn no_answer(error: &ureq::Error) -> ChainError {
    let reason = match error {
        ureq::Error::Timeout(_) => "it took too long".to_owned(),
        ureq::Error::Io(error) => error.kind().to_string(),
        ureq::Error::HostNotFound => "its host is not known".to_owned(),
        ureq::Error::ConnectionFailed => "no connection".to_owned(),
        _ => "no HTTP answer".to_owned(),
    };
    ChainError::NoAnswer { reason }
}

impl Chain for RpcChain {
    fn chain_id(&self) -> Result<u64, ChainError> {
        self.require_u64("eth_chainId", &json!([]))
    }

    fn block(&self, at: BlockTag) -> Result<Option<Block>, ChainError> {
        let method = "eth_getBlockByNumber";
        let answer: Option<BlockAnswer> = self.ask(method, &json!([tag(at), false]))?;
        let Some(answer) = answer else { return Ok(None) };
        let block = answer.check().map_err(|reason| ChainError::malformed(method, reason))?;
        if let BlockTag::Number(number) = at
            && block.number != number
        {
            return Err(ChainError::malformed(method, format!("block {} for block {number}", block.number)));
        }
        Ok(Some(block))
    }

    fn logs(&self, filter: &LogFilter) -> Result<Vec<Log>, ChainError> {
        // Some nodes answer a range that ends before it begins with nothing, which would pass for "no logs".
        filter.check()?;
        let method = "eth_getLogs";
        let hashes = |place: &Vec<Hash>| place.iter().map(Hash::to_string).collect::<Vec<_>>();
        // An empty list would be "nothing fits" to some nodes and "anything" to others; `null` is "anything" to all.
        let place = |place: &Vec<Hash>| if place.is_empty() { Value::Null } else { json!(hashes(place)) };
        let parameters = json!([{
            "address": filter.address.to_string(),
            "fromBlock": hex::quantity(filter.from_block.into()),
            "toBlock": hex::quantity(filter.to_block.into()),
            "topics": filter.topics.iter().map(place).collect::<Vec<_>>(),
        }]);
        let answers: Vec<LogAnswer> = self.require(method, &parameters)?;
        let logs: Result<Vec<Log>, String> = answers.into_iter().map(LogAnswer::check).collect();
        let logs = logs.map_err(|reason| ChainError::malformed(method, reason))?;
        if !logs.iter().all(|log| filter.wants(log.address, log.block_number, &log.topics)) {
            return Err(ChainError::malformed(method, "a log that was not asked for"));
        }
        if !in_order(&logs) {
            return Err(ChainError::malformed(method, "logs out of order"));
        }
        Ok(logs)
    }

    fn call(&self, call: &Call, at: BlockTag) -> Result<Vec<u8>, ChainError> {
        let bytes: Bytes = self.require("eth_call", &json!([parameter(call), tag(at)]))?;
        Ok(bytes.0)
    }

    fn estimate_gas(&self, call: &Call) -> Result<u64, ChainError> {
        self.require_u64("eth_estimateGas", &json!([parameter(call)]))
    }

    fn nonce(&self, address: Address, at: NonceAt) -> Result<u64, ChainError> {
        let tag = match at {
            NonceAt::Latest => "latest",
            NonceAt::Pending => "pending",
        };
        self.require_u64("eth_getTransactionCount", &json!([address.to_string(), tag]))
    }

    fn send_raw_transaction(&self, raw: &[u8]) -> Result<Hash, ChainError> {
        let method = "eth_sendRawTransaction";
        let hash: Fixed<32> = self.require(method, &json!([hex::encode(raw)]))?;
        if hash_of(raw) != Some(Hash(hash.0)) {
            return Err(ChainError::malformed(method, "another transaction's hash"));
        }
        Ok(Hash(hash.0))
    }

    fn receipt(&self, transaction_hash: Hash) -> Result<Option<Receipt>, ChainError> {
        let method = "eth_getTransactionReceipt";
        let answer: Option<ReceiptAnswer> = self.ask(method, &json!([transaction_hash.to_string()]))?;
        let Some(answer) = answer else { return Ok(None) };
        let receipt = answer.check().map_err(|reason| ChainError::malformed(method, reason))?;
        if receipt.transaction_hash != transaction_hash {
            return Err(ChainError::malformed(method, "another transaction's receipt"));
        }
        let of_it = |log: &Log| log.transaction_hash == transaction_hash && log.block_hash == receipt.block_hash;
        if !receipt.logs.iter().all(of_it) || !in_order(&receipt.logs) {
            return Err(ChainError::malformed(method, "logs that are not the transaction's"));
        }
        Ok(Some(receipt))
    }

    fn sent(&self, transaction_hash: Hash) -> Result<Option<Sent>, ChainError> {
        let method = "eth_getTransactionByHash";
        let answer: Option<TransactionAnswer> = self.ask(method, &json!([transaction_hash.to_string()]))?;
        let Some(answer) = answer else { return Ok(None) };
        if answer.hash.0 != transaction_hash.0 {
            return Err(ChainError::malformed(method, "another transaction"));
        }
        let blob_hashes = answer.blob_versioned_hashes.unwrap_or_default().iter().map(|hash| Hash(hash.0)).collect();
        Ok(Some(Sent { data: answer.input.0, blob_hashes }))
    }

    fn blob(&self, versioned_hash: Hash, block: &Stamp) -> Result<Option<Blob>, ChainError> {
        self.beacon.blob(&self.agent, versioned_hash, block)
    }

    fn blob_base_fee(&self) -> Result<Option<u128>, ChainError> {
        match self.ask::<Quantity>("eth_blobBaseFee", &json!([])) {
            Ok(fee) => Ok(fee.map(|fee| fee.0)),
            // A node that does not know the question is one of a chain without blobs.
            Err(ChainError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn fees(&self) -> Result<Fees, ChainError> {
        let method = "eth_getBlockByNumber";
        let block = self.block(BlockTag::Latest)?.ok_or_else(|| ChainError::malformed(method, "no newest block"))?;
        let priority: Quantity = self.require("eth_maxPriorityFeePerGas", &json!([]))?;
        Ok(Fees { base_fee_wei: block.base_fee_wei, priority_fee_wei: priority.0 })
    }

    fn balance(&self, address: Address) -> Result<u128, ChainError> {
        let balance: Quantity = self.require("eth_getBalance", &json!([address.to_string(), "latest"]))?;
        Ok(balance.0)
    }

    fn code(&self, address: Address) -> Result<Vec<u8>, ChainError> {
        let code: Bytes = self.require("eth_getCode", &json!([address.to_string(), "latest"]))?;
        Ok(code.0)
    }
}

fn tag(at: BlockTag) -> String {
    match at {
        BlockTag::Latest => "latest".to_owned(),
        BlockTag::Finalized => "finalized".to_owned(),
        BlockTag::Number(number) => hex::quantity(number.into()),
    }
}

fn parameter(call: &Call) -> Value {
    let mut parameter = json!({
        "from": call.from.to_string(),
        "data": hex::encode(&call.data),
        "value": hex::quantity(call.value_wei),
    });
    if let Some(to) = call.to {
        parameter["to"] = to.to_string().into();
    }
    if !call.blob_hashes.is_empty() {
        parameter["blobVersionedHashes"] = call.blob_hashes.iter().map(Hash::to_string).collect();
    }
    parameter
}

/// Whether each log stands after the one before it.
fn in_order(logs: &[Log]) -> bool {
    let place = |log: &Log| (log.block_number, log.log_index);
    logs.is_sorted_by(|earlier, later| place(earlier) < place(later))
}

/// What a node answers, with what it must hold. Fields that nobody asks for are skipped unread.
#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Reply<T> {
    id: Option<u64>,
    result: Option<T>,
    error: Option<ReplyError>,
}

#[derive(Deserialize)]
struct ReplyError {
    code: i64,
    #[serde(default)]
    message: String,
    data: Option<RevertData>,
}

/// The bytes in an error's `data`, which is a string to most nodes, an object around one to some, and prose to others.
#[derive(Default)]
struct RevertData(Vec<u8>);

impl<'de> Deserialize<'de> for RevertData {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RevertDataVisitor)
    }
}

struct RevertDataVisitor;

impl<'de> Visitor<'de> for RevertDataVisitor {
    type Value = RevertData;

    fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("an error's data")
    }

    fn visit_str<E>(self, text: &str) -> Result<RevertData, E> {
        Ok(RevertData(hex::decode(text).unwrap_or_default()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RevertData, A::Error> {
        let mut found = RevertData::default();
        while let Some(key) = map.next_key::<String>()? {
            if key == "data" {
                found = map.next_value()?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<RevertData, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(RevertData::default())
    }

    fn visit_unit<E>(self) -> Result<RevertData, E> {
        Ok(RevertData::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<RevertData, E> {
        Ok(RevertData::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<RevertData, E> {
        Ok(RevertData::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<RevertData, E> {
        Ok(RevertData::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<RevertData, E> {
        Ok(RevertData::default())
    }
}

/// Numbers that must fit 64 bits.
fn fits(number: Quantity, what: &str) -> Result<u64, String> {
    number.as_u64().ok_or_else(|| format!("a {what} over 64 bits"))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockAnswer {
    number: Quantity,
    hash: Fixed<32>,
    parent_hash: Fixed<32>,
    timestamp: Quantity,
    base_fee_per_gas: Quantity,
}

impl BlockAnswer {
    fn check(self) -> Result<Block, String> {
        Ok(Block {
            number: fits(self.number, "height")?,
            hash: Hash(self.hash.0),
            parent_hash: Hash(self.parent_hash.0),
            timestamp_s: fits(self.timestamp, "time")?,
            base_fee_wei: self.base_fee_per_gas.0,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogAnswer {
    address: Fixed<20>,
    topics: Vec<Fixed<32>>,
    data: Bytes,
    block_number: Quantity,
    block_hash: Fixed<32>,
    transaction_hash: Fixed<32>,
    log_index: Quantity,
    #[serde(default)]
    removed: bool,
}

impl LogAnswer {
    fn check(self) -> Result<Log, String> {
        if self.topics.len() > 4 {
            return Err(format!("a log with {} topics", self.topics.len()));
        }
        if self.removed {
            return Err("a log that was reorganised away".to_owned());
        }
        Ok(Log {
            address: Address(self.address.0),
            topics: self.topics.iter().map(|topic| Hash(topic.0)).collect(),
            data: self.data.0,
            block_number: fits(self.block_number, "height")?,
            block_hash: Hash(self.block_hash.0),
            transaction_hash: Hash(self.transaction_hash.0),
            log_index: fits(self.log_index, "log index")?,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TransactionAnswer {
    hash: Fixed<32>,
    input: Bytes,
    blob_versioned_hashes: Option<Vec<Fixed<32>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptAnswer {
    transaction_hash: Fixed<32>,
    block_number: Quantity,
    block_hash: Fixed<32>,
    status: Quantity,
    gas_used: Quantity,
    effective_gas_price: Quantity,
    contract_address: Option<Fixed<20>>,
    logs: Vec<LogAnswer>,
}

impl ReceiptAnswer {
    fn check(self) -> Result<Receipt, String> {
        let status = match self.status.0 {
            0 => TransactionStatus::Reverted,
            1 => TransactionStatus::Succeeded,
            other => return Err(format!("status {other}")),
        };
        let logs: Result<Vec<Log>, String> = self.logs.into_iter().map(LogAnswer::check).collect();
        Ok(Receipt {
            transaction_hash: Hash(self.transaction_hash.0),
            block_number: fits(self.block_number, "height")?,
            block_hash: Hash(self.block_hash.0),
            status,
            gas_used: fits(self.gas_used, "amount of gas")?,
            effective_gas_price_wei: self.effective_gas_price.0,
            contract_address: self.contract_address.map(|address| Address(address.0)),
            logs: logs?,
        })
    }
}
