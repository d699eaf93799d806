//! What the embedded chain promises beyond what every chain does: it survives, repeats itself, and says no in time.

use std::path::Path;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::super::embedded::server::{MAX_BATCH, MAX_BODY_BYTES};
use super::super::embedded::{Recovery, TRANSACTION_REFUSED};
use super::super::transaction::Blobs;
use super::super::{Block, BlockTag, Call, ChainError};
use super::*;
use crate::blobs::{BLOB_LIFE_SECONDS, Packed, unpack};
use crate::commitment::Stamp;

fn blocks(chain: &dyn Chain) -> Vec<Block> {
    let head = chain.block_number(BlockTag::Latest).unwrap();
    (0..=head).map(|height| chain.block(BlockTag::Number(height)).unwrap().unwrap()).collect()
}

fn counted(chain: &dyn Chain, counter: Address) -> Vec<u8> {
    let call = Call { from: Address([9; 20]), ..Call::question(counter, count()) };
    chain.call(&call, BlockTag::Latest).unwrap()
}

fn open(directory: &Path) -> Result<EmbeddedChain, ChainError> {
    EmbeddedChain::open(Some(directory), &genesis(), clock().1)
}

/// The code and the words of a refusal.
fn refusal(error: ChainError) -> (i64, String) {
    match error {
        ChainError::Refused { code, message, .. } => (code, message),
        other => panic!("no refusal: {other:?}"),
    }
}

#[test]
fn direct_and_over_json_rpc_it_is_the_same_chain() {
    let direct = in_memory();
    let outcome = suite::every_question(&direct);
    let served = Served::start(in_memory());
    assert_eq!(suite::every_question(&served.rpc), outcome);
    let gas_used = suite::blobs(&direct, outcome.counter);
    assert_eq!(suite::blobs(&served.rpc, outcome.counter), gas_used);
    assert_eq!(blocks(&direct), blocks(&served.rpc), "the same transactions give the same hashes");
}

#[test]
fn blobs_survive_a_restart_and_not_their_life() {
    let directory = tempfile::tempdir().unwrap();
    let (seconds, manual) = clock();
    let chain = EmbeddedChain::open(Some(directory.path()), &genesis(), manual.clone()).unwrap();
    let sidecar = Arc::new(Packed::of(b"some data").unwrap().sidecar());
    let (hash, blobs) = (sidecar.hashes()[0], Some(Blobs { max_fee_per_blob_gas_wei: 1, sidecar }));
    send(&chain, &Transaction { blobs, ..transaction(0, Some(Address([9; 20])), Vec::new()) });
    let before = blocks(&chain);
    drop(chain);
    let chain = EmbeddedChain::open(Some(directory.path()), &genesis(), manual).unwrap();
    assert_eq!(blocks(&chain), before);
    let stamp = Stamp { time_seconds: NOW_S, block_number: 1 };
    let blob = |chain: &EmbeddedChain| chain.blob(hash, &stamp).unwrap();
    assert!(unpack(&[blob(&chain).unwrap()]).unwrap() == b"some data");
    seconds.fetch_add(BLOB_LIFE_SECONDS + 1, Ordering::SeqCst);
    assert!(blob(&chain).is_none(), "it is too old");
    chain.mine_empty(NOW_S + BLOB_LIFE_SECONDS + 1).unwrap();
    assert_eq!(std::fs::read_dir(directory.path().join("blobs")).unwrap().count(), 0, "and deleted");
    assert_eq!(blocks(&chain)[..2], before, "the blocks stay what they are");
}

#[test]
fn refusals_have_the_same_codes_and_words_over_json_rpc() {
    let direct = in_memory();
    let served = Served::start(in_memory());
    let good = transaction(0, Some(Address([9; 20])), Vec::new());
    let cases = [
        (Transaction { nonce: 1, ..good.clone() }, "nonce too high"),
        (
            Transaction { max_fee_per_gas_wei: 999_999_999, max_priority_fee_per_gas_wei: 0, ..good.clone() },
            "max fee per",
        ),
        (Transaction { value_wei: 2 * TEN_THOUSAND_ETHER, ..good.clone() }, "insufficient funds"),
        (Transaction { chain_id: 1, ..good.clone() }, "invalid chain id"),
        (Transaction { gas_limit: 20_999, ..good.clone() }, "intrinsic gas too low"),
        (Transaction { data: vec![1; 200_000], ..good.clone() }, "a transaction of 200"),
    ];
    for (transaction, words) in cases {
        let raw = signer().sign(&transaction).raw;
        let (code, message) = refusal(direct.send_raw_transaction(&raw).unwrap_err());
        assert!(code == TRANSACTION_REFUSED && message.starts_with(words), "{code} {message}");
        assert_eq!(refusal(served.rpc.send_raw_transaction(&raw).unwrap_err()), (code, message));
    }
    for chain in [&direct as &dyn Chain, &served.rpc] {
        send(chain, &good);
        let (code, message) = refusal(chain.send_raw_transaction(&signer().sign(&good).raw).unwrap_err());
        assert!(code == TRANSACTION_REFUSED && message.starts_with("nonce too low"), "{code} {message}");
        let call = Call { from: Address([9; 20]), to: None, data: Vec::new(), value_wei: 0, blob_hashes: Vec::new() };
        let (code, message) = refusal(chain.call(&call, BlockTag::Number(0)).unwrap_err());
        assert_eq!((code, &message[..]), (TRANSACTION_REFUSED, "only the newest state is kept"));
        assert_eq!(chain.block(BlockTag::Finalized).unwrap(), chain.block(BlockTag::Latest).unwrap());
    }
}

#[test]
fn a_restart_gives_the_identical_chain_and_it_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let chain = open(directory.path()).unwrap();
    assert_eq!(chain.recovery(), Recovery::default());
    let counter = suite::every_question(&chain).counter;
    chain.mine_empty(NOW_S + 86_400).unwrap();
    let before = blocks(&chain);
    let receipts: Vec<_> = (0..5).map(|nonce| transaction_receipt(&chain, counter, nonce)).collect();
    drop(chain);
    for nonce in 4..7 {
        let chain = open(directory.path()).unwrap();
        assert_eq!(chain.recovery().blocks, nonce + 1);
        assert_eq!(blocks(&chain)[..6], before);
        assert_eq!((0..5).map(|nonce| transaction_receipt(&chain, counter, nonce)).collect::<Vec<_>>(), receipts);
        assert_eq!(counted(&chain, counter), word(10 + nonce - 4));
        send(&chain, &transaction(nonce, Some(counter), add(1)));
        // The clock stands before the empty block: time does not go back.
        assert_eq!(chain.block(BlockTag::Latest).unwrap().unwrap().timestamp_s, NOW_S + 86_400);
    }
}

/// The receipt of the transaction that the suite sent with this nonce.
fn transaction_receipt(chain: &dyn Chain, counter: Address, nonce: u64) -> Option<super::super::Receipt> {
    let data = [3, 7, 11].map(add);
    let sent = match usize::try_from(nonce).unwrap() {
        place @ 1..4 => transaction(nonce, Some(counter), data[place - 1].clone()),
        _ => return None,
    };
    let receipt = chain.receipt(signer().sign(&sent).hash).unwrap();
    assert!(receipt.is_some(), "nonce {nonce}");
    receipt
}

#[test]
fn a_torn_record_is_cut_and_its_transaction_can_be_sent_again() {
    let directory = tempfile::tempdir().unwrap();
    let chain = open(directory.path()).unwrap();
    let counter = suite::every_question(&chain).counter;
    let whole = blocks(&chain);
    let lost = transaction(4, Some(counter), add(5));
    send(&chain, &lost);
    drop(chain);
    let path = directory.path().join("chain.log");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let chain = open(directory.path()).unwrap();
    assert_eq!(chain.recovery().blocks, 4);
    assert!(chain.recovery().cut_bytes > 100);
    assert_eq!(blocks(&chain), whole);
    send(&chain, &lost);
    assert_eq!(counted(&chain, counter), word(15));
    drop(chain);
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "the same block again, byte for byte");
}

#[test]
fn a_chain_that_comes_out_differently_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    suite::every_question(&open(directory.path()).unwrap());
    let mut other = genesis();
    other.accounts[0].1 += 1;
    let error = EmbeddedChain::open(Some(directory.path()), &other, clock().1).unwrap_err();
    assert!(matches!(error, ChainError::OtherGenesis { .. }), "{error}");
    // The second record without the first: whole, but its nonce is too high.
    let path = directory.path().join("chain.log");
    let bytes = std::fs::read(&path).unwrap();
    let first = 12 + usize::try_from(u32::from_le_bytes(bytes[44..48].try_into().unwrap())).unwrap();
    std::fs::write(&path, [&bytes[..44], &bytes[44 + first..]].concat()).unwrap();
    let error = open(directory.path()).unwrap_err();
    assert!(matches!(&error, ChainError::Corrupt { offset: 44, reason, .. } if reason.contains("nonce")), "{error}");
}

#[test]
fn calls_see_the_time_of_the_next_block() {
    let (seconds, clock) = clock();
    let chain = EmbeddedChain::open(None, &genesis(), clock).unwrap();
    // TIMESTAMP PUSH0 MSTORE PUSH1 32 PUSH0 RETURN, as creation code: what it gives back is the time.
    let code = hex::decode("0x425f5260205ff3").unwrap();
    let time = || {
        let call =
            Call { from: signer().address(), to: None, data: code.clone(), value_wei: 0, blob_hashes: Vec::new() };
        chain.call(&call, BlockTag::Latest).unwrap()
    };
    assert_eq!(time(), word(NOW_S));
    seconds.store(NOW_S + 60, Ordering::SeqCst);
    assert_eq!(time(), word(NOW_S + 60), "no block is needed for time to pass");
    let block = chain.mine_empty(NOW_S + 100).unwrap();
    assert_eq!((block.number, block.timestamp_s), (1, NOW_S + 100));
    assert_eq!(time(), word(NOW_S + 100), "but it never goes back");
    assert_eq!(chain.mine_empty(0).unwrap().timestamp_s, NOW_S + 100);
}

#[test]
fn contracts_see_the_hashes_of_256_blocks() {
    let chain = in_memory();
    let mut hashes = vec![chain.block(BlockTag::Number(0)).unwrap().unwrap().hash];
    hashes.extend((0..300).map(|_| chain.mine_empty(NOW_S).unwrap().hash));
    for (height, expected) in [(300, hashes[300]), (45, hashes[45]), (44, Hash::ZERO), (301, Hash::ZERO)] {
        // PUSH2 height BLOCKHASH PUSH0 MSTORE PUSH1 32 PUSH0 RETURN
        let code = hex::decode(&format!("0x61{height:04x}405f5260205ff3")).unwrap();
        let call = Call { from: signer().address(), to: None, data: code, value_wei: 0, blob_hashes: Vec::new() };
        assert_eq!(chain.call(&call, BlockTag::Latest).unwrap(), expected.0, "height {height}");
    }
}

#[test]
fn a_genesis_that_cannot_be_is_refused() {
    let address = Address([1; 20]);
    let cases = [
        Genesis { chain_id: 0, accounts: Vec::new() },
        Genesis { chain_id: 1, accounts: vec![(address, 1), (address, 1)] },
        Genesis { chain_id: 1, accounts: vec![(address, u128::MAX), (Address([2; 20]), 1)] },
    ];
    for genesis in cases {
        let error = EmbeddedChain::open(None, &genesis, clock().1).unwrap_err();
        assert!(matches!(error, ChainError::Unusable { .. }), "{genesis:?}: {error}");
    }
}

/// Posts a body as it is; the status and the answer's text.
fn post(url: &str, body: &str) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut response = agent.post(url).send(body).unwrap();
    let limited = response.body_mut().with_config().limit(64 << 20).read_to_string().unwrap();
    (response.status().as_u16(), limited)
}

/// The code of an error answer, or 0.
fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or(0)
}

#[test]
fn requests_that_are_none_have_stable_codes() {
    let served = Served::start(in_memory());
    let ask = |method: &str, parameters: Value| json!({ "id": 1, "method": method, "params": parameters }).to_string();
    let address = "0x0909090909090909090909090909090909090909";
    let cases = [
        ("{".to_owned(), -32_700),
        ("[]".to_owned(), -32_600),
        ("1".to_owned(), -32_600),
        (json!({ "id": {}, "method": "eth_chainId" }).to_string(), -32_600),
        (json!({ "id": 1, "method": 1 }).to_string(), -32_600),
        (json!({ "id": 1, "method": "eth_chainId", "params": {} }).to_string(), -32_600),
        (ask("eth_accounts", json!([])), -32_601),
        (ask("eth_getBalance", json!([])), -32_602),
        (ask("eth_getBalance", json!(["0x09"])), -32_602),
        (ask("eth_getBalance", json!([address, "newest"])), -32_602),
        (ask("eth_getBalance", json!([address, "0x5"])), -32_000),
        (ask("eth_getBlockByNumber", json!(["0x10000000000000000", false])), -32_602),
        (ask("eth_getBlockByNumber", json!(["latest", 1])), -32_602),
        (ask("eth_call", json!([{ "data": "0x01", "input": "0x02" }])), -32_602),
        (ask("eth_call", json!([{}, "latest", {}])), -32_602),
        (ask("eth_getLogs", json!([{ "topics": [[], [], [], [], []] }])), -32_602),
        (ask("eth_getLogs", json!([{ "fromBlock": "0x2", "toBlock": "0x1" }])), -32_602),
        (ask("eth_getLogs", json!([{ "blockHash": Hash::ZERO.to_string() }])), -32_000),
        (ask("eth_feeHistory", json!(["0x1", "latest", vec![1; 101]])), -32_602),
        (ask("eth_sendRawTransaction", json!(["0x03"])), -32_000),
        (ask("eth_chainId", json!([])), 0),
    ];
    for (body, expected) in cases {
        let (status, answer) = post(&served.url(), &body);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((status, code(&answer)), (200, expected), "{body}: {answer}");
    }
    let deep = "[".repeat(500_000);
    assert_eq!(code(&serde_json::from_str(&post(&served.url(), &deep).1).unwrap()), -32_700);
    assert_eq!(post(&served.url(), &" ".repeat(MAX_BODY_BYTES + 1)).0, 413);
}

#[test]
fn batches_are_answered_in_order_and_bounded() {
    let chain = in_memory();
    let counter = suite::every_question(&chain).counter;
    let served = Served::start(chain);
    let request = |id: usize, method: &str| json!({ "jsonrpc": "2.0", "id": id, "method": method });
    let notification = json!({ "jsonrpc": "2.0", "method": "eth_chainId" });
    let batch = json!([request(7, "eth_chainId"), notification, 5, request(8, "net_version")]).to_string();
    let answers: Value = serde_json::from_str(&post(&served.url(), &batch).1).unwrap();
    let expected = json!([
        { "jsonrpc": "2.0", "id": 7, "result": "0x7a69" },
        { "jsonrpc": "2.0", "id": null, "error": { "code": -32_600, "message": "no request" } },
        { "jsonrpc": "2.0", "id": 8, "result": "31337" },
    ]);
    assert_eq!(answers, expected);
    assert_eq!(post(&served.url(), &json!([notification]).to_string()), (204, String::new()));
    let too_many: Vec<Value> = (0..=MAX_BATCH).map(|id| request(id, "eth_chainId")).collect();
    assert_eq!(code(&serde_json::from_str(&post(&served.url(), &json!(too_many).to_string()).1).unwrap()), -32_600);
    let filter = json!([{ "address": [counter.to_string()], "fromBlock": "earliest", "topics": [null, []] }]);
    let logs = json!({ "id": 1, "method": "eth_getLogs", "params": filter }).to_string();
    let answer: Value = serde_json::from_str(&post(&served.url(), &logs).1).unwrap();
    assert_eq!(answer["result"].as_array().unwrap().len(), 2);
}

#[test]
fn the_answers_to_tools_agree_with_each_other() {
    let chain = in_memory();
    let counter = suite::every_question(&chain).counter;
    let served = Served::start(chain.clone());
    let ask = |method: &str, parameters: Value| {
        let body = json!({ "id": 1, "method": method, "params": parameters }).to_string();
        let answer: Value = serde_json::from_str(&post(&served.url(), &body).1).unwrap();
        answer["result"].clone()
    };
    let by_number = ask("eth_getBlockByNumber", json!(["0x2", true]));
    assert_eq!(ask("eth_getBlockByHash", json!([by_number["hash"], true])), by_number);
    assert_eq!(ask("eth_getBlockByHash", json!([Hash::ZERO.to_string(), true])), Value::Null);
    let transaction = &by_number["transactions"][0];
    let hash = &transaction["hash"];
    assert_eq!(ask("eth_getTransactionByHash", json!([hash])), *transaction);
    assert_eq!(transaction["to"], counter.to_string());
    assert_eq!(transaction["input"], hex::encode(&add(3)));
    assert_eq!(transaction["type"], "0x2");
    assert_eq!(ask("eth_getBlockByNumber", json!(["0x2"]))["transactions"], json!([hash]));
    let receipt = ask("eth_getTransactionReceipt", json!([hash]));
    assert_eq!(receipt["logs"], ask("eth_getLogs", json!([{ "blockHash": by_number["hash"] }])));
    assert_eq!(receipt["gasUsed"], by_number["gasUsed"]);
    assert_eq!(receipt["logsBloom"], by_number["logsBloom"]);
    assert_ne!(receipt["logsBloom"], hex::encode(&[0; 256]));
    let history = ask("eth_feeHistory", json!(["0xa", "latest", [50]]));
    assert_eq!(history["oldestBlock"], "0x0");
    assert_eq!(history["baseFeePerGas"].as_array().unwrap().len(), 6);
    assert_eq!((history["reward"].as_array().unwrap().len(), &history["gasUsedRatio"][0]), (5, &json!(0.0)));
}

#[test]
fn it_is_served_on_loopback_only() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(EmbeddedServer::start(in_memory(), ([0, 0, 0, 0], 0).into())).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}
