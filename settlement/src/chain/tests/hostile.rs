//! Nodes that lie, babble or say nothing: each answer is refused for what it is, and none is believed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::rpc::MAX_RESPONSE_BYTES;
use super::super::{BlockTag, Call, ChainError, LogFilter, NonceAt};
use super::*;
use crate::blobs::{Blob, pack, versioned_hash};
use crate::commitment::Stamp;

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
    let call =
        Call { from: an_address(), to: Some(an_address()), data: Vec::new(), value_wei: 0, blob_hashes: Vec::new() };
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

/// A node for blobs that answers each path with what it was told to, and everything else with 404.
fn blob_node(answers: Vec<(&'static str, &'static str, String)>, asked: usize) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let mut paths = Vec::new();
        for _ in 0..asked {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
            let path = head.next().unwrap().split(' ').nth(1).unwrap().to_owned();
            head.find(String::is_empty).unwrap();
            let found = answers.iter().find(|(begin, _, _)| path.starts_with(begin));
            let (status, body) = found.map_or(("404 Not Found", ""), |(_, status, body)| (*status, body.as_str()));
            let length = body.len();
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").unwrap();
            paths.push(path);
        }
        paths
    });
    (url, thread)
}

#[test]
fn blobs_are_asked_for_by_slot_and_only_the_right_one_is_taken() {
    const BLOBS: &str = "/eth/v1/beacon/blobs/";
    let blobs: Vec<Blob> = [&b"one"[..], b"other"].iter().map(|data| pack(data).unwrap()[0]).collect();
    let hash = versioned_hash(&blobs[1]).unwrap();
    let text =
        |blobs: &[Blob]| json!({ "data": blobs.iter().map(|blob| hex::encode(blob.as_slice())).collect::<Vec<_>>() });
    let spec = json!({ "data": { "SECONDS_PER_SLOT": "12", "OTHER": "0x1" } }).to_string();
    let genesis = json!({ "data": { "genesis_time": "1000" } }).to_string();
    let real = |blobs: String, status: &'static str| {
        vec![
            ("/eth/v1/config/spec", "200 OK", spec.clone()),
            ("/eth/v1/beacon/genesis", "200 OK", genesis.clone()),
            (BLOBS, status, blobs),
        ]
    };
    let ask = |answers: Vec<_>, asked| {
        let (blobs_url, thread) = blob_node(answers, asked);
        let options = RpcOptions {
            url: "http://127.0.0.1:1".to_owned(),
            blobs_url: Some(blobs_url),
            timeout: Duration::from_secs(20),
        };
        let chain = RpcChain::new(&options).unwrap();
        let found = chain.blob(hash, &Stamp { time_seconds: 1_000 + 12 * 77 + 3, block_number: 5 });
        (found, thread.join().unwrap())
    };
    let (found, asked) = ask(real(text(&blobs).to_string(), "200 OK"), 3);
    assert!(found.unwrap() == Some(blobs[1]), "the one of the hash, among all of the slot");
    assert_eq!(asked[2], format!("{BLOBS}77?versioned_hashes={hash}"));
    let (found, asked) = ask(vec![(BLOBS, "200 OK", text(&blobs).to_string())], 2);
    assert!(
        found.unwrap().is_some() && asked[1].starts_with(&format!("{BLOBS}5?")),
        "a development chain's: {asked:?}"
    );
    for (what, body, status) in [
        ("another blob", text(&blobs[..1]).to_string(), "200 OK"),
        ("none", text(&[]).to_string(), "200 OK"),
        ("no such slot", String::new(), "404 Not Found"),
        ("too short", json!({ "data": ["0x00"] }).to_string(), "200 OK"),
    ] {
        assert!(ask(real(body, status), 3).0.unwrap().is_none(), "{what}");
    }
    assert_malformed(ask(real(json!({ "data": "0x" }).to_string(), "200 OK"), 3).0, "no list");
    let (found, _) = ask(real(String::new(), "503 Service Unavailable"), 3);
    assert!(matches!(found, Err(ChainError::NoAnswer { .. })), "{found:?}");
    let bad = vec![("/eth/v1/config/spec", "200 OK", json!({ "data": { "SECONDS_PER_SLOT": "0" } }).to_string())];
    let bad = [bad, vec![("/eth/v1/beacon/genesis", "200 OK", genesis.clone())]].concat();
    assert_malformed(ask(bad, 2).0, "slots without a length");
}

#[test]
fn a_node_that_is_silent_or_gone_is_no_answer_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/secret-key", listener.local_addr().unwrap());
    let options = RpcOptions { url, blobs_url: None, timeout: Duration::from_millis(50) };
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
        let options = RpcOptions { url: url.to_owned(), blobs_url: None, timeout: Duration::from_millis(millis) };
        assert!(matches!(RpcChain::new(&options), Err(ChainError::Unusable { .. })), "{url}");
    }
}
