//! Every limit of the gateway, each by what is told to whoever goes beyond it: budgets stepped by hand, sockets for real.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic, its helpers included")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::bench::{Bench, frame, limit_with};
use common::venue::Venue;
use common::{now, signing_key};
use lakh_engine::command::Mode;
use lakh_engine::ids::AccountId;
use lakh_gateway::client::Client;
use lakh_gateway::hand_over::{Delivery, OutboxLimits, SessionHandle, ToSession};
use lakh_gateway::key_budgets::KeyLimits;
use lakh_gateway::limits::Rate;
use lakh_gateway::session::SessionOptions;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Nothing that is waited for here takes long; a test that hangs says so.
const PATIENCE: Duration = Duration::from_secs(20);

fn place(number: usize) -> String {
    frame("order.place", &limit_with(&[("newClientOrderId", &format!("l{number}"))]))
}

fn cancel(number: usize) -> String {
    frame("order.cancel", &[("symbol", "BTCUSDT"), ("orderId", &number.to_string())])
}

/// Number and retry time of a refusal.
fn refusal(sent: &[Value]) -> (i64, bool) {
    let error = &sent[0]["error"];
    let data = &error["data"];
    let waits = data["retryAfter"].as_u64().zip(data["serverTime"].as_u64()).is_some_and(|(at, now)| at > now);
    (error["code"].as_i64().unwrap(), waits)
}

#[test]
fn a_connection_s_budget_is_told_and_its_end_says_when_to_come_back() {
    let requests = Rate { per_second: 1, burst: 3 };
    let mut bench = Bench::with(Mode::Run, SessionOptions { requests, ..SessionOptions::default() }, 64);
    for used in 1..=3 {
        let sent = bench.send(r#"{"id":1,"method":"ping"}"#);
        assert_eq!((&sent[0]["rateLimits"][0]["count"], &sent[0]["status"]), (&used.into(), &200.into()));
    }
    assert_eq!(refusal(&bench.send(r#"{"id":1,"method":"ping"}"#)), (-1003, true));
    assert_eq!(bench.code(&cancel(1)), 0, "a cancel may overdraw by a third");
    assert_eq!(refusal(&bench.send(&cancel(2))), (-1003, true));
    assert_eq!(bench.counters.requests_over_budget.value(), 2);
}

#[test]
fn a_key_s_orders_are_counted_told_and_limited_and_its_cancels_last() {
    let keys = KeyLimits {
        orders: Rate { per_second: 1, burst: 2 },
        orders_per_day: 100,
        cancel_allowance: 3,
        ..KeyLimits::default()
    };
    let mut bench = Bench::with_keys(keys);
    for used in 1..=2 {
        assert_eq!(bench.code(&place(used)), 0);
        let (_, _, handle) = bench.pop_command();
        let outcome = Ok(Bytes::from_static(b"{}"));
        let sent = bench.answer(ToSession::Answer { request: handle.request, outcome });
        let limits = sent[0]["rateLimits"].as_array().unwrap();
        let told: Vec<_> = limits.iter().map(|one| (one["rateLimitType"].as_str().unwrap(), &one["count"])).collect();
        assert_eq!(told[1..], [("ORDERS", &used.into()), ("ORDERS", &used.into())]);
        assert_eq!((&limits[2]["interval"], &limits[2]["limit"]), (&"DAY".into(), &100.into()));
    }
    assert_eq!(refusal(&bench.send(&place(3))), (-1015, true));
    let budget = bench.send(&frame("account.rateLimits.orders", &[]));
    assert_eq!((&budget[0]["result"][0]["count"], &budget[0]["result"][1]["count"]), (&2.into(), &2.into()));
    bench.directory.live_orders().set(AccountId(5), 1);
    let codes: Vec<i64> = (1..=7).map(|number| bench.code(&cancel(number))).collect();
    assert_eq!(codes, [0, 0, 0, 0, 0, 0, -1015], "one live, two placed, three allowed");
    let counters = &bench.counters;
    assert_eq!((counters.orders_over_budget.value(), counters.cancels_over_budget.value()), (1, 1));
}

#[test]
fn a_day_of_orders_ends_and_other_requests_go_on() {
    let mut bench = Bench::with_keys(KeyLimits { orders_per_day: 1, ..KeyLimits::default() });
    assert_eq!(bench.code(&place(1)), 0);
    assert_eq!(refusal(&bench.send(&place(2))), (-1015, true));
    assert_eq!(bench.code(&frame("account.status", &[])), 0);
    let mut bench = Bench::with_keys(KeyLimits { requests: Rate { per_second: 1, burst: 1 }, ..KeyLimits::default() });
    assert_eq!(bench.code(&frame("account.status", &[])), 0);
    assert_eq!(refusal(&bench.send(&frame("openOrders.status", &[]))), (-1003, true));
    assert_eq!(bench.code(&cancel(1)), 0);
    assert_eq!(bench.counters.keys_over_budget.value(), 1);
}

#[test]
fn only_signatures_that_hold_move_a_key_s_budget() {
    let mut bench = Bench::with_keys(KeyLimits { orders: Rate { per_second: 1, burst: 1 }, ..KeyLimits::default() });
    let forged = place(1).replace("70000.1", "70000.2");
    assert_eq!((bench.code(&forged), bench.code(&forged)), (-1022, -1022));
    assert_eq!(bench.code(&place(1)), 0, "its owner has all of it");
}

#[test]
fn what_finds_no_room_is_shed_before_its_signature_is_looked_at() {
    let mut bench = Bench::with(Mode::Run, SessionOptions::default(), 4);
    assert_eq!([1, 2, 3].map(|number| bench.code(&place(number))), [0; 3]);
    let accepted = bench.counters.signatures_accepted.value();
    assert_eq!(bench.code(&place(4)), -1008);
    assert_eq!(bench.code(&place(5).replace("70000.1", "70000.2")), -1008, "a bad one costs as little");
    assert_eq!(bench.counters.signatures_accepted.value(), accepted);
    assert_eq!((bench.counters.signatures_refused.value(), bench.counters.requests_shed.value()), (0, 2));
    assert_eq!(bench.code(&cancel(1)), 0, "the last quarter is for cancels");
}

#[test]
fn cancels_find_room_among_requests_without_an_answer() {
    let options = SessionOptions { in_flight: 3, ..SessionOptions::default() };
    let mut bench = Bench::with(Mode::Run, options, 64);
    assert_eq!([1, 2, 3, 4].map(|number| bench.code(&place(number))), [0, 0, 0, -1015]);
    assert_eq!((bench.code(&cancel(1)), bench.code(&cancel(2))), (0, -1015));
    assert_eq!(bench.counters.requests_over_in_flight.value(), 2);
}

#[test]
fn subscriptions_of_a_connection_are_counted() {
    let options = SessionOptions { subscriptions: 1, ..SessionOptions::default() };
    let mut bench = Bench::with(Mode::Run, options, 64);
    assert_eq!(bench.code(&frame("userDataStream.subscribe.signature", &[])), 0);
    let (_, handle) = bench.pop_read();
    bench.answer(ToSession::Answer { request: handle.request, outcome: Ok(Bytes::from_static(b"{}")) });
    assert_eq!(bench.code(&frame("userDataStream.subscribe.signature", &[("a", "1")])), -1015);
}

#[test]
fn an_outbox_is_bounded_in_messages_and_in_bytes() {
    let message = |size| ToSession::Message(Bytes::from(vec![b'x'; size]));
    let (handle, mut outbox) = SessionHandle::bounded(OutboxLimits { messages: 3, bytes: 100 });
    assert_eq!([handle.deliver(message(60)), handle.deliver(message(40))], [Delivery::Delivered; 2]);
    handle.taken(outbox.try_recv().unwrap().size());
    assert_eq!(handle.deliver(message(60)), Delivery::Delivered, "what was taken out makes room");
    assert!(!handle.overflowed());
    assert_eq!(handle.deliver(message(1)), Delivery::Ended);
    assert!(handle.overflowed(), "a client that missed something is let go");
    let (handle, _outbox) = SessionHandle::bounded(OutboxLimits { messages: 1, bytes: 100 });
    assert_eq!([handle.deliver(message(1)), handle.deliver(message(1))], [Delivery::Delivered, Delivery::Ended]);
}

#[tokio::test]
async fn streams_of_a_connection_are_counted() {
    let venue = Venue::start(|options| options.session.streams = 2).await;
    let mut client = Client::connect_path(venue.gateway.address(), "/ws/btcusdt@trade").await.unwrap();
    let subscribe = |names: &str| format!(r#"{{"method":"SUBSCRIBE","params":[{names}],"id":1}}"#);
    client.send(subscribe(r#""btcusdt@depth","btcusdt@bookTicker""#)).await.unwrap();
    client.flush().await.unwrap();
    let refused = loop {
        let message = client.next().await.unwrap().unwrap();
        if message.contains("error") {
            break message;
        }
    };
    assert!(refused.contains("-1015"), "{refused}");
    venue.end().await;
}

#[tokio::test]
async fn connections_of_all_addresses_are_counted() {
    let venue = Venue::start(|options| options.connections = 1).await;
    let _first = venue.client().await;
    assert!(Client::connect(venue.gateway.address()).await.is_err());
    assert_eq!(venue.gateway.counters().connections_refused.value(), 1);
    venue.end().await;
}

#[tokio::test]
async fn an_address_pays_for_all_its_connections_over_http_too() {
    let venue = Venue::start(|options| options.address.requests = Rate { per_second: 1, burst: 3 }).await;
    let get = async || {
        let head = "GET /api/v3/ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        common::venue::http(venue.gateway.address(), head).await
    };
    for used in 1..=3 {
        assert!(get().await.contains(&format!("x-mbx-used-weight: {used}")));
    }
    let refused = get().await;
    assert!(refused.starts_with("HTTP/1.1 429") && refused.contains("retry-after: "), "{refused}");
    assert!(refused.contains("\"code\":-1003") && refused.contains("\"retryAfter\":"), "{refused}");
    venue.end().await;
}

#[tokio::test]
async fn an_order_over_http_tells_what_is_used_of_its_key_s_budget() {
    let venue = Venue::start(|_| {}).await;
    let time = now().milliseconds();
    let text =
        format!("symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=GTC&price=70000.1&quantity=0.01&timestamp={time}");
    let signature = {
        use base64::Engine as _;
        use ed25519_dalek::Signer as _;
        base64::engine::general_purpose::STANDARD.encode(signing_key().sign(text.as_bytes()).to_bytes())
    };
    let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let head = format!(
        "POST /api/v3/order?{text}&signature={signature} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-mbx-apikey: {}\r\n\r\n",
        common::api_key_of(&signing_key())
    );
    let answer = common::venue::http(venue.gateway.address(), &head).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("x-mbx-order-count-1s: ") && answer.contains("x-mbx-order-count-1d: 1"), "{answer}");
    venue.end().await;
}

/// What the server says before it ends a connection that sent this WebSocket frame.
async fn end_of(venue: &Venue, frame: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(venue.gateway.address()).await.unwrap();
    let offer = "GET /ws-api/v3 HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(offer.as_bytes()).await.unwrap();
    stream.write_all(frame).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server ends it");
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    answer.split_off(head)
}

#[tokio::test]
async fn a_message_longer_than_the_configured_bound_ends_its_connection() {
    let venue = Venue::start(|options| options.frame_bytes = 1_024).await;
    let mut client = venue.client().await;
    let padded = |size: usize| format!(r#"{{"id":1,"method":"ping","params":{{"x":"{}"}}}}"#, "y".repeat(size));
    assert_eq!(client.request("ping", &format!(r#"{{"x":"{}"}}"#, "y".repeat(900))).await.unwrap().status, 200);
    client.send(padded(1_000)).await.unwrap();
    client.flush().await.unwrap();
    assert!(client.next().await.map_or(true, |message| message.is_none()));
    // A head that promises 4 GiB is believed by nobody.
    let end = end_of(&venue, &[0x81, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4]).await;
    assert!(end.starts_with(&[0x88]) && end[2..4] == 1_009_u16.to_be_bytes(), "{end:?}");
    assert_eq!(venue.gateway.counters().frames_refused.value(), 2);
    venue.end().await;
}

#[tokio::test]
async fn who_says_nothing_is_pinged_and_then_let_go() {
    let change = |options: &mut lakh_gateway::server::GatewayOptions| {
        options.session.ping_interval_ns = 1_000_000;
        options.session.idle_timeout_ns = 1_500_000_000;
    };
    let venue = Venue::start(change).await;
    // Nothing is read of the pings, so nothing answers them.
    let end = end_of(&venue, &[]).await;
    assert!(end.starts_with(&[0x89, 0]), "a ping first: {end:?}");
    assert!(end.windows(2).any(|bytes| bytes == 1_008_u16.to_be_bytes()), "then the end, with its reason: {end:?}");
    assert_eq!(venue.gateway.counters().idle_disconnects.value(), 1);
    venue.end().await;
}

/// A client that asks and never reads: what the systems between hold of the answers is bounded, and then it ends.
#[tokio::test]
async fn who_does_not_read_is_let_go() {
    let venue = Venue::start(|options| {
        options.write_timeout = Duration::from_millis(300);
        options.send_buffer_bytes = 4_096;
    })
    .await;
    let counters = venue.gateway.counters();
    let mut client = venue.client().await;
    let began = std::time::Instant::now();
    while counters.slow_consumers_dropped.value() == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "nobody was let go");
        let ask = async {
            client.send(r#"{"id":1,"method":"exchangeInfo"}"#).await?;
            client.flush().await
        };
        if let Ok(Err(_)) = tokio::time::timeout(Duration::from_millis(20), ask).await {
            break;
        }
    }
    drop(client);
    while venue.gateway.connections() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(counters.slow_consumers_dropped.value(), 1);
    venue.end().await;
}
