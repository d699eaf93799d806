//! Nodes that lie, babble or say nothing: each answer is refused for what it is, and none is believed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::rpc::MAX_RESPONSE_BYTES;
use super::super::{BlockTag, Call, ChainError, LogFilter, NonceAt};
use super::*;

/// A node that answers one request with what it was told to.
struct Liar {
    rpc: RpcChain,
    thread: JoinHandle<()>,
}

impl Liar {
    fn start(status: &'static str, body: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let mut stream = reader.into_inner();
            stream.write_all(head.as_bytes()).unwrap();
            // A client that has read enough hangs up, which is right.
            let _ = stream.write_all(&body);
        });
        Self { rpc: rpc(url), thread }
    }

    /// Asks it, and waits until it is done.
    fn ask<T>(self, question: impl Fn(&RpcChain) -> Result<T, ChainError>) -> Result<T, ChainError> {
        let result = question(&self.rpc);
        self.thread.join().unwrap();
        result
    }
}

fn says(result: Value) -> Liar {
    Liar::start("200 OK", json!({ "jsonrpc": "2.0", "id": 1, "result": result }).to_string().into_bytes())
}

fn assert_malformed<T: std::fmt::Debug>(result: Result<T, ChainError>, what: &str) {
    assert!(matches!(result, Err(ChainError::Malformed { .. })), "{what}: {result:?}");
}

fn an_address() -> Address {
    Address([9; 20])
}

#[test]
fn numbers_and_bytes_that_are_none_are_malformed() {
    for wrong in
        [json!(null), json!(5), json!("5"), json!("0x"), json!("0x-1"), json!("0x10000000000000000"), json!({})]
    {
        assert_malformed(says(wrong.clone()).ask(Chain::chain_id), "chain id");
        assert_malformed(says(wrong).ask(|rpc| rpc.nonce(an_address(), NonceAt::Latest)), "nonce");
    }
    let too_large = json!(format!("0x1{}", "0".repeat(32)));
    assert_malformed(says(too_large).ask(|rpc| rpc.balance(an_address())), "balance");
    for wrong in [json!("0x0"), json!("00"), json!(null), json!([])] {
        assert_malformed(says(wrong).ask(|rpc| rpc.code(an_address())), "code");
    }
    assert_malformed(says(json!(Hash([1; 32]).to_string())).ask(|rpc| rpc.send_raw_transaction(&[1, 2, 3])), "hash");
}

fn a_block() -> Value {
    let hash = Hash([1; 32]).to_string();
    json!({ "number": "0x5", "hash": hash, "parentHash": hash, "timestamp": "0x5", "baseFeePerGas": "0x7", "x": [{}] })
}

#[test]
fn blocks_that_do_not_fit_the_question_are_malformed() {
    let block = says(a_block()).ask(|rpc| rpc.block(BlockTag::Number(5))).unwrap().unwrap();
    assert_eq!((block.number, block.base_fee_wei), (5, 7));
    assert_eq!(says(Value::Null).ask(|rpc| rpc.block(BlockTag::Number(5))).unwrap(), None);
    assert_malformed(says(a_block()).ask(|rpc| rpc.block(BlockTag::Number(6))), "another height");
    for field in ["number", "hash", "parentHash", "timestamp", "baseFeePerGas"] {
        for wrong in [Value::Null, json!(1), json!("0x123456789123456789123456789123456789")] {
            let mut block = a_block();
            block[field] = wrong.clone();
            assert_malformed(says(block).ask(|rpc| rpc.block(BlockTag::Latest)), field);
        }
    }
}

fn a_log() -> Value {
    let hash = Hash([1; 32]).to_string();
    json!({ "address": an_address().to_string(), "topics": [COUNTED.to_string()], "data": "0x", "blockNumber": "0x5",
        "blockHash": hash, "transactionHash": hash, "logIndex": "0x3" })
}

fn changed(mut value: Value, field: &str, new: Value) -> Value {
    value[field] = new;
    value
}

#[test]
fn logs_that_were_not_asked_for_are_malformed() {
    let filter = LogFilter { address: an_address(), from_block: 4, to_block: 6, topics: vec![vec![COUNTED]] };
    let ask = |logs: Value| says(logs).ask(|rpc| rpc.logs(&filter));
    let later = changed(a_log(), "logIndex", json!("0x4"));
    assert_eq!(ask(json!([a_log(), later])).unwrap().len(), 2);
    let wrong = [
        ("another contract", changed(a_log(), "address", json!(Address::default().to_string()))),
        ("another event", changed(a_log(), "topics", json!([Hash::ZERO.to_string()]))),
        ("no topic", changed(a_log(), "topics", json!([]))),
        ("too many topics", changed(a_log(), "topics", json!(vec![COUNTED.to_string(); 5]))),
        ("too early", changed(a_log(), "blockNumber", json!("0x3"))),
        ("too late", changed(a_log(), "blockNumber", json!("0x7"))),
        ("in no block", changed(a_log(), "blockNumber", Value::Null)),
        ("reorganised away", changed(a_log(), "removed", json!(true))),
        ("bad data", changed(a_log(), "data", json!("0x1"))),
    ];
    for (what, log) in wrong {
        assert_malformed(ask(json!([log])), what);
    }
    assert_malformed(ask(json!([later, a_log()])), "out of order");
    assert_malformed(ask(json!([a_log(), a_log()])), "twice");
    assert_malformed(ask(Value::Null), "nothing");
}

#[test]
fn receipts_of_other_transactions_are_malformed() {
    let hash = Hash([1; 32]);
    let receipt = json!({ "transactionHash": hash.to_string(), "blockNumber": "0x5", "blockHash": hash.to_string(),
        "status": "0x1", "gasUsed": "0x5208", "effectiveGasPrice": "0x7", "contractAddress": null, "logs": [a_log()] });
    let ask = |receipt: Value| says(receipt).ask(|rpc| rpc.receipt(hash));
    assert_eq!(ask(receipt.clone()).unwrap().unwrap().logs.len(), 1);
    let other = json!(Hash([2; 32]).to_string());
    let wrong = [
        ("another transaction", changed(receipt.clone(), "transactionHash", other.clone())),
        ("neither success nor failure", changed(receipt.clone(), "status", json!("0x2"))),
        (
            "another's log",
            changed(receipt.clone(), "logs", json!([changed(a_log(), "transactionHash", other.clone())])),
        ),
        ("another block's log", changed(receipt.clone(), "logs", json!([changed(a_log(), "blockHash", other)]))),
        ("no status", changed(receipt.clone(), "status", Value::Null)),
        ("too much gas", changed(receipt, "gasUsed", json!("0x10000000000000000"))),
    ];
    for (what, receipt) in wrong {
        assert_malformed(ask(receipt), what);
    }
}

#[test]
fn refusals_keep_code_words_and_data_whatever_their_shape() {
    let call = Call { from: an_address(), to: Some(an_address()), data: Vec::new(), value_wei: 0 };
    let cases = [
        (json!("0x0102"), vec![1, 2]),
        (json!({ "txHash": "0x00", "data": "0x0102", "more": [1] }), vec![1, 2]),
        (json!("Reverted 0x0102"), vec![]),
        (json!([1, {}]), vec![]),
        (json!(null), vec![]),
        (json!(1.5), vec![]),
        (json!(true), vec![]),
    ];
    for (data, expected) in cases {
        let message = format!("no\u{1b}[31m{}", "x".repeat(1000));
        let error = json!({ "code": 3, "message": message, "data": data });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "error": error }).to_string();
        let result = Liar::start("200 OK", body.into_bytes()).ask(|rpc| rpc.call(&call, BlockTag::Latest));
        let error = result.unwrap_err();
        assert_eq!(error.revert_data(), Some(&expected[..]), "{data}");
        let ChainError::Refused { message, .. } = error else { unreachable!("it has revert data") };
        assert!(message.starts_with("no [31m") && message.chars().count() == 512, "{message}");
    }
}

#[test]
fn a_node_that_does_not_speak_as_one_is_no_answer_or_malformed() {
    let no_answer =
        |result: Result<u64, ChainError>| assert!(matches!(result, Err(ChainError::NoAnswer { .. })), "{result:?}");
    let refused = json!({ "id": null, "error": { "code": -32_005, "message": "slow down" } }).to_string();
    no_answer(Liar::start("503 Service Unavailable", b"<html>".to_vec()).ask(Chain::chain_id));
    no_answer(Liar::start("302 Found", Vec::new()).ask(Chain::chain_id));
    no_answer(Liar::start("429 Too Many Requests", refused.clone().into_bytes()).ask(Chain::chain_id));
    let result = Liar::start("400 Bad Request", refused.into_bytes()).ask(Chain::chain_id);
    assert!(matches!(result, Err(ChainError::Refused { code: -32_005, .. })), "{result:?}");
    assert_malformed(Liar::start("200 OK", b"<html>".to_vec()).ask(Chain::chain_id), "HTML");
    let other = json!({ "id": 2, "result": "0x1" }).to_string();
    assert_malformed(Liar::start("200 OK", other.into_bytes()).ask(Chain::chain_id), "another question's answer");
    let huge = vec![b' '; usize::try_from(MAX_RESPONSE_BYTES).unwrap() + 1];
    assert_malformed(Liar::start("200 OK", huge).ask(Chain::chain_id), "too long");
    let deep = "[".repeat(1_000_000).into_bytes();
    assert_malformed(Liar::start("200 OK", deep).ask(Chain::chain_id), "too deep");
}

#[test]
fn a_node_that_is_silent_or_gone_is_no_answer_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/secret-key", listener.local_addr().unwrap());
    let options = RpcOptions { url, timeout: Duration::from_millis(50) };
    let ask = |what: &str| {
        let error = RpcChain::new(&options).unwrap().chain_id().unwrap_err();
        assert!(matches!(error, ChainError::NoAnswer { .. }), "{what}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("secret-key"), "{error:?}");
    };
    // A connection waits in the backlog for as long as there is a listener; then there is nobody at all.
    ask("silent");
    drop(listener);
    ask("gone");
    for (url, millis) in [("https://127.0.0.1", 50), ("127.0.0.1", 50), ("http://127.0.0.1", 0)] {
        let options = RpcOptions { url: url.to_owned(), timeout: Duration::from_millis(millis) };
        assert!(matches!(RpcChain::new(&options), Err(ChainError::Unusable { .. })), "{url}");
    }
}
