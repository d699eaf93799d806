//! What is refused, over a real socket of a real venue: each with its stable error, and with what it leaves behind.
//!
//! What the gateway can decide never reaches the journal. An engine's reject does, and changes no balance, order or book.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::path::Path;

use lakh_engine::Engine;
use lakh_engine::codec::split_payload;
use lakh_engine::command::{Command, Operation, SignedCommand};
use lakh_engine::event::Event;
use lakh_engine::ids::Sequence;
use lakh_engine::units::Timestamp;
use lakh_journal::JournalReader;
use lakh_loadtest::client::{Incoming, Outgoing, Trader, Value, connect, now_us, plain_request, signed_request};
use lakh_loadtest::scratch_venue::VenueOptions;
use serde_json::Value as Json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_lakh");

#[test]
fn each_refusal_has_its_stable_error_and_leaves_nothing_behind() {
    let scratch = tempfile::tempdir().unwrap();
    let mut options = VenueOptions::new(Path::new(PROGRAM), scratch.path());
    options.units = 1_000;
    let trader = options.traders().remove(0);
    let venue = options.start().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let url = venue.websocket().to_owned();
    runtime.block_on(async {
        let mut client = Client::connect(&url, trader.clone()).await;
        let accepted = client.order("good-1", "5.00", "10").await;
        assert_eq!(accepted["status"], 200, "{accepted}");

        // What the gateway decides.
        client.expect(&client.bad_signature(), -1022).await;
        client.expect(&client.signed("order.place", &[("symbol", Value::Text("NOSUCH"))]), -1121).await;
        client.expect("{\"id\":1,\"method\":\"order.place\",\"params\":", -1135).await;
        client.expect(&plain_request(2, "order.fly", &[]), -1020).await;
        client.expect(&client.place("tick", "5.001", "10"), -1013).await;
        client.expect(&client.stale("old", "5.00", "10"), -1021).await;
        client.expect(&client.unknown_key(), -2015).await;

        // What the engine decides.
        let first = client.place("good-2", "6.00", "10");
        assert_eq!(client.send(&first).await["status"], 200);
        let again = client.send(&first).await;
        assert_eq!((again["error"]["code"].as_i64(), again["status"].as_i64()), (Some(-2010), Some(400)), "{again}");
        assert_eq!(again["error"]["msg"], "Duplicate order sent.");
        let poor = client.order("poor", "99.00", "5000").await;
        assert_eq!(poor["error"]["code"], -2010, "{poor}");
        assert_eq!(poor["error"]["msg"], "Account has insufficient balance for requested action.");

        oversized(&url).await;
    });
    venue.stop().unwrap();
    let journaled = journaled_orders(&options.journal());
    assert_eq!(journaled, ["good-1", "good-2", "good-2", "poor"], "the gateway's refusals are not in the journal");
    rejects_change_nothing(&options.journal());
}

/// A frame above the limit ends the connection with a reason and reaches nobody.
async fn oversized(url: &str) {
    let (mut outgoing, mut incoming) = connect(url).await.unwrap();
    let frame = format!("{{\"id\":1,\"method\":\"ping\",\"params\":{{\"x\":\"{}\"}}}}", "y".repeat(70_000));
    outgoing.feed(frame.into()).await.unwrap();
    let _ = outgoing.flush().await;
    let mut answered = 0;
    while let Ok(answer) = incoming.next().await {
        let answer: Json = serde_json::from_str(&answer).unwrap();
        assert_ne!(answer["status"], 200, "an oversized frame was served");
        answered += 1;
    }
    assert!(answered <= 1, "the connection ends after at most one error");
}

/// One connection that asks and waits.
struct Client {
    outgoing: Outgoing,
    incoming: Incoming,
    trader: Trader,
}

impl Client {
    async fn connect(url: &str, trader: Trader) -> Self {
        let (outgoing, incoming) = connect(url).await.unwrap();
        Self { outgoing, incoming, trader }
    }

    async fn send(&mut self, frame: &str) -> Json {
        self.outgoing.feed(frame.to_owned().into()).await.unwrap();
        self.outgoing.flush().await.unwrap();
        serde_json::from_str(&self.incoming.next().await.unwrap()).unwrap()
    }

    async fn expect(&mut self, frame: &str, code: i64) {
        let answer = self.send(frame).await;
        assert_eq!(answer["error"]["code"].as_i64(), Some(code), "{frame}\n{answer}");
    }

    async fn order(&mut self, client_id: &str, price: &str, quantity: &str) -> Json {
        let frame = self.place(client_id, price, quantity);
        self.send(&frame).await
    }

    fn signed(&self, method: &str, params: &[(&str, Value<'_>)]) -> String {
        let mut params = params.to_vec();
        for (name, value) in [("side", "BUY"), ("type", "LIMIT"), ("timeInForce", "GTC"), ("price", "5.00")] {
            if !params.iter().any(|(known, _)| *known == name) {
                params.push((name, Value::Text(value)));
            }
        }
        if !params.iter().any(|(known, _)| *known == "quantity") {
            params.push(("quantity", Value::Text("1")));
        }
        if !params.iter().any(|(known, _)| *known == "timestamp") {
            params.push(("timestamp", Value::Number(now_us())));
        }
        signed_request(7, method, &self.trader, &params)
    }

    fn place(&self, client_id: &str, price: &str, quantity: &str) -> String {
        let named = [("symbol", "UNITCASH"), ("newClientOrderId", client_id), ("price", price), ("quantity", quantity)];
        self.signed("order.place", &named.map(|(name, value)| (name, Value::Text(value))))
    }

    fn stale(&self, client_id: &str, price: &str, quantity: &str) -> String {
        let named = [("symbol", "UNITCASH"), ("newClientOrderId", client_id), ("price", price), ("quantity", quantity)];
        let mut params = named.map(|(name, value)| (name, Value::Text(value))).to_vec();
        params.push(("timestamp", Value::Number(now_us() - 60_000_000)));
        self.signed("order.place", &params)
    }

    /// A good order whose text was changed after it was signed.
    fn bad_signature(&self) -> String {
        self.place("forged", "5.00", "10").replace("\"quantity\":\"10\"", "\"quantity\":\"11\"")
    }

    /// Well signed, by a key that nobody registered.
    fn unknown_key(&self) -> String {
        let stranger = Trader::new(&[9; 32], Some(lakh_loadtest::scratch_venue::VENUE_TAG));
        let client = [("symbol", Value::Text("UNITCASH")), ("timestamp", Value::Number(now_us()))];
        signed_request(8, "order.place", &stranger, &client)
    }
}

/// The client ids of all orders in the journal.
fn journaled_orders(journal: &Path) -> Vec<String> {
    let mut orders = Vec::new();
    let mut reader = JournalReader::open(journal).unwrap();
    while let Some(record) = reader.next().unwrap() {
        let (command, _) = split_payload(record.payload).unwrap();
        if let Command::Signed(SignedCommand { operation: Operation::PlaceOrder(order), .. }) = command {
            orders.push(order.client_id.as_str().to_owned());
        }
    }
    orders
}

/// Every record whose outcome is a reject or a duplicate has no other event.
fn rejects_change_nothing(journal: &Path) {
    let mut engine = Engine::new();
    let mut events = Vec::new();
    let mut refused = 0;
    let mut reader = JournalReader::open(journal).unwrap();
    while let Some(record) = reader.next().unwrap() {
        let (command, _) = split_payload(record.payload).unwrap();
        let (sequence, timestamp) = (Sequence(record.header.sequence), Timestamp(record.header.timestamp_ns));
        engine.apply(sequence, timestamp, &command, &mut events);
        if matches!(events[..], [Event::Rejected(_) | Event::Duplicate(_), ..]) {
            assert_eq!(events.len(), 1, "{events:?}");
            refused += 1;
        }
    }
    assert_eq!(refused, 2, "one duplicate, one without the money");
}
