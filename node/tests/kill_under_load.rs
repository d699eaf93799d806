//! `kill -9` under load: nothing that was acknowledged is missing afterwards, and the state is the same for everybody.
//!
//! A client that remembers every acknowledgement floods a venue of its own with signed orders; the venue is killed at a
//! random instant, ten times over on the same journal. After each kill the journal must hold every acknowledged order
//! at the sequence that its id names; after each restart and clean stop the venue's state hash must be the replay's.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::collections::HashMap;
use std::path::Path;
use std::process::Command as Process;
use std::time::Duration;

use lakh_engine::codec::split_payload;
use lakh_engine::command::{Command, Operation, SignedCommand};
use lakh_journal::JournalReader;
use lakh_loadtest::client::{Trader, Value, connect, now_us, signed_request};
use lakh_loadtest::random::SplitMix64;
use lakh_loadtest::scratch_venue::VenueOptions;
use serde_json::Value as Json;

const ROUNDS: u64 = 10;
const PROGRAM: &str = env!("CARGO_BIN_EXE_lakh");

#[test]
fn nothing_acknowledged_is_missing_after_kill_9() {
    for durability in ["async", "sync"] {
        let seed = 0x6b69_6c6c;
        println!("seed {seed}, {durability}");
        let scratch = tempfile::tempdir().unwrap();
        let mut options = VenueOptions::new(Path::new(PROGRAM), scratch.path());
        options.durability = durability.to_owned();
        options.segment_bytes = 1 << 20;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut random = SplitMix64::stream(seed, 1);
        let mut acknowledged = HashMap::new();
        for round in 0..ROUNDS {
            let venue = options.start().unwrap();
            let pause = Duration::from_micros(5_000 + random.below(150_000));
            let url = venue.websocket().to_owned();
            let trader = options.traders().remove(0);
            let flood = runtime.spawn(async move { flood(&url, &trader, round).await });
            runtime.block_on(async { tokio::time::sleep(pause).await });
            venue.kill();
            let orders = runtime.block_on(flood).unwrap();
            println!("round {round}: killed after {pause:?} with {} acknowledged", orders.len());
            acknowledged.extend(orders);
            assert_all_journaled(&options.journal(), &acknowledged);

            let again = options.start().unwrap();
            let closed = again.stop().unwrap();
            let replayed = replay(&options.journal());
            assert_eq!(replayed["state_hash"], closed["stateHash"], "round {round}");
            assert_eq!(replayed["event_digest"], closed["eventDigest"], "round {round}");
        }
        assert!(
            acknowledged.len() > 100,
            "only {} orders were acknowledged: the test shows nothing",
            acknowledged.len()
        );
    }
}

/// Sends orders as fast as 64 in flight allow, until the venue is gone; what was acknowledged, by order id.
async fn flood(url: &str, trader: &Trader, round: u64) -> HashMap<u64, String> {
    let mut acknowledged = HashMap::new();
    let Ok((mut outgoing, mut incoming)) = connect(url).await else { return acknowledged };
    let mut next = 0_u64;
    let mut in_flight = 0;
    loop {
        while in_flight < 64 {
            let client_id = format!("k{round}-{next}");
            if outgoing.feed(order(trader, next, &client_id).into()).await.is_err() {
                return acknowledged;
            }
            next += 1;
            in_flight += 1;
        }
        if outgoing.flush().await.is_err() {
            return acknowledged;
        }
        let Ok(answer) = incoming.next().await else { return acknowledged };
        in_flight -= 1;
        let answer: Json = serde_json::from_str(&answer).unwrap();
        if answer["status"] == 200 {
            let result = &answer["result"];
            acknowledged
                .insert(result["orderId"].as_u64().unwrap(), result["clientOrderId"].as_str().unwrap().to_owned());
        }
    }
}

/// An order that rests, or trades with one of the same account: both change the state. Never more than a few rest.
fn order(trader: &Trader, number: u64, client_id: &str) -> String {
    let side = if number.is_multiple_of(2) { "BUY" } else { "SELL" };
    let params = [
        ("symbol", Value::Text("UNITCASH")),
        ("side", Value::Text(side)),
        ("type", Value::Text("LIMIT")),
        ("timeInForce", Value::Text("GTC")),
        ("price", Value::Text("100.00")),
        ("quantity", Value::Text("3")),
        ("newClientOrderId", Value::Text(client_id)),
        ("selfTradePreventionMode", Value::Text("NONE")),
        ("newOrderRespType", Value::Text("ACK")),
        ("timestamp", Value::Number(now_us())),
    ];
    signed_request(number, "order.place", trader, &params)
}

/// Every acknowledged order is in the journal, at the sequence that its id names, with its client id.
fn assert_all_journaled(journal: &Path, acknowledged: &HashMap<u64, String>) {
    let mut found = HashMap::new();
    let mut reader = JournalReader::open(journal).unwrap();
    while let Some(record) = reader.next().unwrap() {
        let (command, _) = split_payload(record.payload).unwrap();
        if let Command::Signed(SignedCommand { operation: Operation::PlaceOrder(order), .. }) = command {
            found.insert(record.header.sequence * 64, order.client_id.as_str().to_owned());
        }
    }
    for (order, client_id) in acknowledged {
        assert_eq!(found.get(order), Some(client_id), "order {order} was acknowledged and is not in the journal");
    }
}

fn replay(journal: &Path) -> Json {
    let output = Process::new(PROGRAM).args(["replay", "--json"]).arg(journal).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
