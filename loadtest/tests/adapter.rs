//! The adapter of `tracebook-conformance` over streams in memory; the tester itself runs in `cargo xtask ci`.
#![expect(clippy::unwrap_used, reason = "a helper that fails ends its test")]

use lakh_loadtest::flow::adapter::{MAX_LINE, serve};
use serde_json::{Value, json};

fn hello() -> Value {
    let config = json!({"matching_algorithm": "fifo", "tick_size": "0.01", "self_trade_policy": "NONE",
        "quantity_decimal_places": 12});
    json!({"type": "hello", "protocol": "tracebook.conformance", "protocol_version": 1, "config": config})
}

/// Sends the lines and gives the answers, and why the session ended where it did not end well.
fn converse(lines: &[Value]) -> (Vec<Value>, Option<String>) {
    let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
    converse_text(&input)
}

fn converse_text(input: &str) -> (Vec<Value>, Option<String>) {
    let mut output = Vec::new();
    let ended = serve(input.as_bytes(), &mut output).err().map(|error| error.to_string());
    let answers = String::from_utf8(output).unwrap();
    (answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), ended)
}

/// A whole session of these events with a snapshot at the end; gives the observations and the snapshot's books.
fn session(events: &[Value]) -> (Vec<Value>, Value) {
    let numbered =
        events.iter().zip(1..).map(|(event, index)| json!({"type": "event", "index": index, "event": event}));
    let mut lines = vec![hello()];
    lines.extend(numbered);
    lines.push(json!({"type": "snapshot", "index": events.len()}));
    lines.push(json!({"type": "finish", "event_count": events.len()}));
    let (mut answers, ended) = converse(&lines);
    assert_eq!(ended, None, "{answers:?}");
    assert_eq!(answers.pop().unwrap(), json!({"type": "complete", "event_count": events.len()}));
    let snapshot = answers.pop().unwrap();
    assert_eq!(answers.remove(0)["engine"]["name"], "lakh");
    (answers, snapshot["state"]["books"].clone())
}

fn new(id: u64, side: &str, order_type: &str, price: f64, quantity: f64) -> Value {
    json!({"op": "new", "symbol": "A", "order_id": id, "side": side, "order_type": order_type, "price": price,
        "quantity": quantity, "owner": 7})
}

fn reasons(observations: &[Value]) -> Vec<Option<&str>> {
    observations.iter().map(|observation| observation["outcome"]["reason"].as_str()).collect()
}

#[test]
fn orders_trade_and_rest_in_their_priority() {
    let (observations, books) = session(&[
        new(1, "SELL", "LIMIT", 100.0, 2.0),
        new(2, "SELL", "LIMIT", 100.004, 0.5),
        json!({"op": "reduce", "symbol": "A", "order_id": 1, "quantity": 0.5}),
        json!({"op": "replace", "symbol": "A", "order_id": 1, "price": null, "quantity": 1.25}),
        new(3, "BUY", "IOC", 101.0, 1.0),
        new(4, "BUY", "FOK", 100.0, 5.0),
        new(5, "BUY", "LIMIT", 99.99, 3.0),
    ]);
    assert_eq!(reasons(&observations), [None; 7]);
    let trades = json!([
        {"symbol": "A", "buy_order_id": 3, "sell_order_id": 2, "price": "100", "quantity": "0.5"},
        {"symbol": "A", "buy_order_id": 3, "sell_order_id": 1, "price": "100", "quantity": "0.5"},
    ]);
    assert_eq!(observations[4]["trades"], trades);
    assert_eq!(observations[5]["trades"], json!([]), "not all of it is there");
    let order = |id: u64, price: &str, remaining: &str| json!({"order_id": id, "order_type": "LIMIT", "owner": 7, "price": price, "remaining_quantity": remaining});
    assert_eq!(books, json!([{"asks": [order(1, "100", "0.75")], "bids": [order(5, "99.99", "3")], "symbol": "A"}]));
}

#[test]
fn each_refusal_has_the_testers_code_and_changes_nothing() {
    let (observations, books) = session(&[
        json!({"op": "cancel", "symbol": "A", "order_id": 1}),
        new(1, "BUY", "LIMIT", 100.0, 1.0),
        new(1, "BUY", "LIMIT", 100.0, 1.0),
        new(2, "BUY", "LIMIT", 0.004, 1.0),
        new(2, "BUY", "LIMIT", 5.0, -1.0),
        new(2, "BUY", "LIMIT", 1e9, 1.0),
        json!({"op": "reduce", "symbol": "A", "order_id": 1, "quantity": 2}),
        json!({"op": "replace", "symbol": "A", "order_id": 1, "price": 0, "quantity": 1}),
        json!({"op": "replace", "symbol": "A", "order_id": 9, "price": 5, "quantity": 1}),
        new(3, "BUY", "MARKET", 0.0, 1.0),
    ]);
    let expected = [
        Some("ORDER_NOT_ACTIVE"),
        None,
        Some("DUPLICATE_ORDER_ID"),
        Some("INVALID_ORDER"),
        Some("INVALID_ORDER"),
        Some("INVALID_ORDER"),
        Some("INVALID_ORDER"),
        Some("INVALID_REPLACEMENT"),
        Some("ORDER_NOT_ACTIVE"),
        None,
    ];
    assert_eq!(reasons(&observations), expected);
    assert_eq!(books[0]["bids"].as_array().unwrap().len(), 1);
    let hash = &observations[1]["state_hash"];
    assert!(observations[2..].iter().all(|observation| observation["state_hash"] == *hash));
}

#[test]
fn a_clear_empties_one_symbol_only() {
    let other = json!({"op": "new", "symbol": "B", "order_id": 1, "side": "SELL", "price": 5, "quantity": 1});
    let mut events: Vec<Value> = (1..20).map(|id| new(id, "BUY", "LIMIT", 10.0, 1.0)).collect();
    events.extend([other, json!({"op": "clear", "symbol": "A"}), new(1, "SELL", "LIMIT", 9.0, 1.0)]);
    let (observations, books) = session(&events);
    let counts: Vec<u64> =
        observations[18..].iter().map(|seen| seen["resting_order_count"].as_u64().unwrap()).collect();
    assert_eq!(counts, [19, 20, 1, 2]);
    assert_eq!((&books[0]["symbol"], &books[1]["symbol"]), (&json!("A"), &json!("B")));
}

#[test]
fn whatever_breaks_the_protocol_is_told_and_ends_the_session() {
    let event = |index: u64, event: Value| json!({"type": "event", "index": index, "event": event});
    let config = |name: &str, value: Value| {
        let mut hello = hello();
        hello["config"][name] = value;
        vec![hello]
    };
    let sessions = [
        (vec![], "ended before its finish"),
        (vec![json!({"type": "event"})], "missing field"),
        (config("matching_algorithm", json!("pro_rata")), "only fifo, NONE"),
        (config("self_trade_policy", json!("CANCEL_RESTING")), "only fifo, NONE"),
        (config("tick_size", json!("0")), "tick size 0"),
        (config("quantity_decimal_places", json!(2)), "not rounded to 2"),
        (vec![hello()], "ended before its finish"),
        (vec![hello(), event(2, json!({"op": "clear", "symbol": "A"}))], "event 2 behind event 0"),
        (vec![hello(), event(1, json!({"op": "dance", "symbol": "A"}))], "unknown operation"),
        (vec![hello(), event(1, json!({"op": "clear", "symbol": " "}))], "a symbol of 0 bytes"),
        (vec![hello(), event(1, new(0, "BUY", "LIMIT", 1.0, 1.0))], "without an order id"),
        (vec![hello(), event(1, new(1, "UP", "LIMIT", 1.0, 1.0))], "side"),
        (vec![hello(), event(1, new(1, "BUY", "STOP", 1.0, 1.0))], "order type"),
        (vec![hello(), json!({"type": "finish", "event_count": 1})], "index 1 behind event 0"),
    ];
    for (lines, expected) in sessions {
        let (answers, ended) = converse(&lines);
        let ended = ended.unwrap_or_default();
        assert!(ended.contains(expected), "{lines:?}: {ended}");
        assert_eq!(answers.last().unwrap()["type"], "error", "{lines:?}");
    }
    let symbols = (1..=9).map(|index| event(index, json!({"op": "clear", "symbol": format!("S{index}")})));
    let lines: Vec<Value> = [hello()].into_iter().chain(symbols).collect();
    assert!(converse(&lines).1.unwrap().contains("more than 8 symbols"));
    assert!(converse_text(&"x".repeat(MAX_LINE as usize + 1)).1.unwrap().contains("a line of more than"));
}
