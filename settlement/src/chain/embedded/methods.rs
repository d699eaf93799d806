//! The embedded chain's JSON-RPC: from a request's bytes to an answer's, without a socket.
//!
//! As much of Ethereum's methods as poster, watcher, escape and the usual tools call. Prices and gas in a call are not
//! looked at: a call runs at no price in [`CALL_GAS_LIMIT`](super::CALL_GAS_LIMIT).
//!
//! | code | meaning |
//! |---|---|
//! | -32700 | no JSON |
//! | -32600 | no request, or a batch that is empty or too large |
//! | -32601 | no such method |
//! | -32602 | parameters that do not fit the method |
//! | -32603 | a fault of the chain's own, its file among them |
//! | -32000 | a transaction or question that the chain refuses, in the words of mainnet's nodes |
//! | -32005 | an answer that would be too long, a chain that is full |
//! | 3 | a call reverted; `data` is what it reverted with |
//!
//! Invariants: any bytes get an answer or, for notifications, none; never a panic.
//!
//! Bounds: [`MAX_BATCH`] requests, and after 16 MiB of answers the others of a batch are refused unread.

use serde_json::{Value, json};

use super::super::hex::{self, encode, quantity};
use super::super::{Address, BlockTag, Call, Chain as _, ChainError, NonceAt, WRONG_PARAMETERS, check_range};
use super::answers::{self, Transactions};
use super::blocks::LogQuery;
use super::{
    BASE_FEE_WEI, BLOB_BASE_FEE_WEI, BLOCK_GAS_LIMIT, EmbeddedChain, INTERNAL_ERROR, LIMIT_EXCEEDED, PRIORITY_FEE_WEI,
    TRANSACTION_REFUSED,
};
use crate::keccak::Hash;

/// Requests in a batch, at most.
pub const MAX_BATCH: usize = 100;

const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
const MAX_FEE_HISTORY_BLOCKS: u64 = 1024;
const MAX_PERCENTILES: usize = 100;

const NO_JSON: i64 = -32_700;
const NO_REQUEST: i64 = -32_600;
const NO_METHOD: i64 = -32_601;

/// Answers a request or a batch; `None` where nothing is to be answered.
pub(super) fn answer(chain: &EmbeddedChain, body: &[u8]) -> Option<String> {
    match serde_json::from_slice(body) {
        Err(_) => Some(fault(&Value::Null, &ChainError::refused(NO_JSON, "no JSON")).to_string()),
        Ok(Value::Array(requests)) if requests.is_empty() || requests.len() > MAX_BATCH => {
            let error = ChainError::refused(NO_REQUEST, &format!("a batch has 1 to {MAX_BATCH} requests"));
            Some(fault(&Value::Null, &error).to_string())
        }
        Ok(Value::Array(requests)) => answer_batch(chain, &requests),
        Ok(request) => answer_one(chain, &request).map(|answer| answer.to_string()),
    }
}

fn answer_batch(chain: &EmbeddedChain, requests: &[Value]) -> Option<String> {
    let mut answers = String::new();
    for request in requests {
        let answer = if answers.len() < MAX_ANSWER_BYTES {
            answer_one(chain, request)
        } else {
            Some(fault(&request["id"], &ChainError::refused(LIMIT_EXCEEDED, "the batch's answer is too long")))
        };
        if let Some(answer) = answer {
            answers.push(if answers.is_empty() { '[' } else { ',' });
            answers.push_str(&answer.to_string());
        }
    }
    if answers.is_empty() {
        return None;
    }
    answers.push(']');
    Some(answers)
}

fn answer_one(chain: &EmbeddedChain, request: &Value) -> Option<Value> {
    let id = match request.get("id") {
        Some(id @ (Value::Null | Value::Number(_) | Value::String(_))) => Some(id),
        None if request.is_object() => None,
        _ => return Some(fault(&Value::Null, &ChainError::refused(NO_REQUEST, "no request"))),
    };
    let none = Value::Array(Vec::new());
    let (Some(method), Value::Array(parameters)) =
        (request["method"].as_str(), request.get("params").filter(|given| !given.is_null()).unwrap_or(&none))
    else {
        return Some(fault(id.unwrap_or(&Value::Null), &ChainError::refused(NO_REQUEST, "no request")));
    };
    let result = dispatch(chain, method, &Parameters(parameters));
    let id = id?;
    Some(match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => fault(id, &error),
    })
}

fn fault(id: &Value, error: &ChainError) -> Value {
    let error = match error {
        ChainError::Refused { code, message, data } if data.is_empty() => json!({ "code": code, "message": message }),
        ChainError::Refused { code, message, data } => {
            json!({ "code": code, "message": message, "data": encode(data) })
        }
        other => json!({ "code": INTERNAL_ERROR, "message": other.to_string() }),
    };
    json!({ "jsonrpc": "2.0", "id": id, "error": error })
}

fn dispatch(chain: &EmbeddedChain, method: &str, parameters: &Parameters<'_>) -> Result<Value, ChainError> {
    Ok(match method {
        "eth_chainId" => quantity(chain.chain_id()?.into()).into(),
        "net_version" => chain.chain_id()?.to_string().into(),
        "web3_clientVersion" => concat!("lakh/", env!("CARGO_PKG_VERSION"), "/embedded").into(),
        "eth_blockNumber" => quantity(chain.block_number(BlockTag::Latest)?.into()).into(),
        "eth_gasPrice" => quantity((BASE_FEE_WEI + PRIORITY_FEE_WEI).into()).into(),
        "eth_maxPriorityFeePerGas" => quantity(PRIORITY_FEE_WEI.into()).into(),
        "eth_blobBaseFee" => quantity(BLOB_BASE_FEE_WEI).into(),
        "eth_feeHistory" => fee_history(chain, parameters)?,
        "eth_getBlockByNumber" => {
            let height = height(parameters.tag(0)?, chain)?;
            block(chain, Some(height), parameters)?
        }
        "eth_getBlockByHash" => block(chain, chain.height_of(parameters.hash(0)?), parameters)?,
        "eth_call" => {
            if parameters.0.get(2).is_some_and(|overrides| !overrides.is_null()) {
                return Err(wrong("no state overrides are taken"));
            }
            encode(&chain.call(&parameters.call(0)?, parameters.tag(1)?)?).into()
        }
        "eth_estimateGas" => {
            newest(chain, parameters.tag(1)?)?;
            quantity(chain.estimate_gas(&parameters.call(0)?)?.into()).into()
        }
        "eth_sendRawTransaction" => chain.send_raw_transaction(&parameters.bytes(0)?)?.to_string().into(),
        "eth_getTransactionReceipt" => {
            chain.transaction(parameters.hash(0)?).as_ref().map_or(Value::Null, answers::receipt)
        }
        "eth_getTransactionByHash" => {
            chain.transaction(parameters.hash(0)?).as_ref().map_or(Value::Null, answers::transaction)
        }
        "eth_getLogs" => answers::logs(&chain.find_logs(&log_query(chain, parameters)?)?),
        "eth_getTransactionCount" => {
            newest(chain, parameters.tag(1)?)?;
            quantity(chain.nonce(parameters.address(0)?, NonceAt::Latest)?.into()).into()
        }
        "eth_getBalance" => {
            newest(chain, parameters.tag(1)?)?;
            quantity(chain.balance(parameters.address(0)?)?).into()
        }
        "eth_getCode" => {
            newest(chain, parameters.tag(1)?)?;
            encode(&chain.code(parameters.address(0)?)?).into()
        }
        _ => return Err(ChainError::refused(NO_METHOD, &format!("no method {method}"))),
    })
}

fn wrong(message: &str) -> ChainError {
    ChainError::refused(WRONG_PARAMETERS, message)
}

/// The state is known of the newest block only.
fn newest(chain: &EmbeddedChain, at: BlockTag) -> Result<(), ChainError> {
    match at {
        BlockTag::Number(number) if number != chain.block_number(BlockTag::Latest)? => {
            Err(ChainError::refused(TRANSACTION_REFUSED, "only the newest state is kept"))
        }
        _ => Ok(()),
    }
}

fn height(at: BlockTag, chain: &EmbeddedChain) -> Result<u64, ChainError> {
    match at {
        BlockTag::Number(number) => Ok(number),
        BlockTag::Latest | BlockTag::Finalized => chain.block_number(at),
    }
}

fn block<H: TryInto<usize>>(
    chain: &EmbeddedChain,
    height: Option<H>,
    parameters: &Parameters<'_>,
) -> Result<Value, ChainError> {
    let transactions = match parameters.0.get(1) {
        Some(Value::Bool(true)) => Transactions::Whole,
        None | Some(Value::Bool(false) | Value::Null) => Transactions::Hashes,
        Some(_) => return Err(wrong("the second parameter is no boolean")),
    };
    let mined = height.and_then(|height| height.try_into().ok()).and_then(|height| chain.mined(height));
    Ok(mined.map_or(Value::Null, |mined| answers::block(&mined, transactions)))
}

/// Fees stand still, so that their history is short.
fn fee_history(chain: &EmbeddedChain, parameters: &Parameters<'_>) -> Result<Value, ChainError> {
    let asked = match parameters.0.first() {
        Some(Value::Number(number)) => number.as_u64().ok_or_else(|| wrong("no number of blocks"))?,
        _ => parameters.quantity(0)?,
    };
    let newest = height(parameters.tag(1)?, chain)?.min(chain.block_number(BlockTag::Latest)?);
    let count = asked.min(MAX_FEE_HISTORY_BLOCKS).min(newest + 1);
    let percentiles = parameters.0.get(2).and_then(Value::as_array).map_or(0, Vec::len);
    if percentiles > MAX_PERCENTILES {
        return Err(wrong("more than 100 percentiles"));
    }
    let base_fee = quantity(BASE_FEE_WEI.into());
    let oldest = newest + 1 - count;
    let ratio = |height: u64| {
        let gas_used =
            usize::try_from(height).ok().and_then(|height| chain.mined(height)).map_or(0, |it| it.gas_used());
        // Both are below 2³², so that the quotient, which only tools show, is as near as it can be.
        let (used, limit) = (u32::try_from(gas_used), u32::try_from(BLOCK_GAS_LIMIT));
        used.ok().zip(limit.ok()).map_or(0.0, |(used, limit)| f64::from(used) / f64::from(limit))
    };
    let ratios: Vec<f64> = (oldest..=newest).take(usize::try_from(count).unwrap_or(0)).map(ratio).collect();
    let mut history = json!({
        "oldestBlock": quantity(oldest.into()),
        "baseFeePerGas": vec![base_fee; ratios.len() + 1],
        "gasUsedRatio": ratios,
    });
    if percentiles > 0 {
        history["reward"] = vec![vec![quantity(PRIORITY_FEE_WEI.into()); percentiles]; ratios.len()].into();
    }
    Ok(history)
}

fn log_query(chain: &EmbeddedChain, parameters: &Parameters<'_>) -> Result<LogQuery, ChainError> {
    let filter = parameters.0.first().filter(|filter| filter.is_object()).ok_or_else(|| wrong("no filter"))?;
    let addresses = one_or_more(&filter["address"], hex::decode_array::<20>)?.into_iter().map(Address).collect();
    let topics: Vec<Vec<Hash>> = match &filter["topics"] {
        Value::Null => Vec::new(),
        Value::Array(places) => places.iter().map(topic_place).collect::<Result<_, _>>()?,
        _ => return Err(wrong("topics are no array")),
    };
    let (from_block, to_block) = if filter["blockHash"].is_null() {
        (height(tag(&filter["fromBlock"])?, chain)?, height(tag(&filter["toBlock"])?, chain)?)
    } else {
        let hash = text(&filter["blockHash"], hex::decode_array).map(Hash)?;
        let found = chain.height_of(hash).ok_or_else(|| ChainError::refused(TRANSACTION_REFUSED, "unknown block"))?;
        (found as u64, found as u64)
    };
    check_range(from_block, to_block, topics.len())?;
    Ok(LogQuery { addresses, from_block, to_block, topics })
}

fn topic_place(place: &Value) -> Result<Vec<Hash>, ChainError> {
    Ok(one_or_more(place, hex::decode_array::<32>)?.into_iter().map(Hash).collect())
}

/// Nothing for `null`, else one or a list of them.
fn one_or_more<T>(value: &Value, parse: fn(&str) -> Option<T>) -> Result<Vec<T>, ChainError> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(values) => values.iter().map(|value| text(value, parse)).collect(),
        value => Ok(vec![text(value, parse)?]),
    }
}

fn text<T>(value: &Value, parse: impl Fn(&str) -> Option<T>) -> Result<T, ChainError> {
    value.as_str().and_then(parse).ok_or_else(|| wrong("a parameter is missing or is no such hexadecimal text"))
}

fn tag(value: &Value) -> Result<BlockTag, ChainError> {
    match value.as_str() {
        None if value.is_null() => Ok(BlockTag::Latest),
        Some("latest" | "pending") => Ok(BlockTag::Latest),
        Some("finalized" | "safe") => Ok(BlockTag::Finalized),
        Some("earliest") => Ok(BlockTag::Number(0)),
        _ => {
            let number = text(value, hex::parse_quantity)?;
            u64::try_from(number).map(BlockTag::Number).map_err(|_| wrong("a height over 64 bits"))
        }
    }
}

/// What stands in a request's `params`.
struct Parameters<'a>(&'a [Value]);

impl Parameters<'_> {
    fn at(&self, place: usize) -> &Value {
        self.0.get(place).unwrap_or(&Value::Null)
    }

    fn address(&self, place: usize) -> Result<Address, ChainError> {
        text(self.at(place), hex::decode_array).map(Address)
    }

    fn hash(&self, place: usize) -> Result<Hash, ChainError> {
        text(self.at(place), hex::decode_array).map(Hash)
    }

    fn bytes(&self, place: usize) -> Result<Vec<u8>, ChainError> {
        text(self.at(place), hex::decode)
    }

    fn quantity(&self, place: usize) -> Result<u64, ChainError> {
        let number = text(self.at(place), hex::parse_quantity)?;
        u64::try_from(number).map_err(|_| wrong("a number over 64 bits"))
    }

    fn tag(&self, place: usize) -> Result<BlockTag, ChainError> {
        tag(self.at(place))
    }

    fn call(&self, place: usize) -> Result<Call, ChainError> {
        let call = self.at(place);
        if !call.is_object() {
            return Err(wrong("no call"));
        }
        let optional = |name: &str| Some(&call[name]).filter(|value| !value.is_null());
        let address = |name| optional(name).map(|value| text(value, hex::decode_array).map(Address)).transpose();
        let bytes = |name| optional(name).map(|value| text(value, hex::decode)).transpose();
        // The specification's name is `input`; older clients say `data`, some say both.
        let data = match (bytes("input")?, bytes("data")?) {
            (Some(input), Some(data)) if input != data => return Err(wrong("input and data differ")),
            (input, data) => input.or(data).unwrap_or_default(),
        };
        let value_wei = optional("value").map(|value| text(value, hex::parse_quantity)).transpose()?.unwrap_or(0);
        let blob_hashes = one_or_more(&call["blobVersionedHashes"], hex::decode_array)?.into_iter().map(Hash).collect();
        Ok(Call { from: address("from")?.unwrap_or_default(), to: address("to")?, data, value_wei, blob_hashes })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{BlockClock, Genesis};
    use super::*;
    use crate::testing::random_cases;

    const METHODS: &[&str] = &[
        "eth_blobBaseFee",
        "eth_blockNumber",
        "eth_call",
        "eth_chainId",
        "eth_estimateGas",
        "eth_feeHistory",
        "eth_gasPrice",
        "eth_getBalance",
        "eth_getBlockByHash",
        "eth_getBlockByNumber",
        "eth_getCode",
        "eth_getLogs",
        "eth_getTransactionByHash",
        "eth_getTransactionCount",
        "eth_getTransactionReceipt",
        "eth_maxPriorityFeePerGas",
        "eth_sendRawTransaction",
        "net_version",
        "web3_clientVersion",
    ];

    fn chain() -> EmbeddedChain {
        let chain =
            EmbeddedChain::open(None, &Genesis { chain_id: 5, accounts: Vec::new() }, BlockClock::System).unwrap();
        chain.mine_empty(1).unwrap();
        chain
    }

    /// Values that fit some parameter of some method, and neighbours that fit none.
    fn parameter() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            prop_oneof!["latest", "finalized", "earliest", "0x[0-2]", "0x[0-9a-f]{0,40}", ".{0,5}"]
                .prop_map(Value::from),
            any::<[u8; 20]>().prop_map(|bytes| encode(&bytes).into()),
            any::<[u8; 32]>().prop_map(|bytes| encode(&bytes).into()),
        ];
        let names = "data|input|to|from|value|fromBlock|toBlock|topics|address|blockHash";
        leaf.prop_recursive(3, 12, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(names, inner, 0..4).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #![proptest_config(random_cases(2_000))]

        #[test]
        fn every_request_gets_one_answer(
            method in prop::sample::select(METHODS),
            parameters in prop::collection::vec(parameter(), 0..4),
        ) {
            let body = json!({ "id": "x", "method": method, "params": parameters }).to_string();
            let answer: Value = serde_json::from_str(&answer(&chain(), body.as_bytes()).unwrap()).unwrap();
            prop_assert_eq!(&answer["id"], "x");
            let code = answer["error"]["code"].as_i64();
            prop_assert!(answer.get("result").is_some() != code.is_some());
            prop_assert!(code != Some(NO_METHOD) && code != Some(INTERNAL_ERROR), "{}", answer);
        }

        #[test]
        fn any_bytes_get_json_or_nothing(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(answer) = answer(&chain(), &bytes) {
                prop_assert!(serde_json::from_str::<Value>(&answer).is_ok());
            }
        }
    }
}
