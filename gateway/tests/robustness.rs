//! The gateway over real loopback sockets, with a small thread in place of the sequencer: hostile and clumsy clients.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic, its helpers included")]

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use common::venue::{Venue, http};
use common::{api_key_of, directory, json, now, signing_key};
use lakh_engine::command::Mode;
use lakh_gateway::client::{Client, ClientError, Response, params, sign_params};
use lakh_gateway::counters::Counters;
use lakh_gateway::hand_over::Signal;
use lakh_gateway::limits::Rate;
use lakh_gateway::server::{Gateway, GatewayError, GatewayOptions, Wiring};
use rtrb::RingBuffer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

fn signed(params: &[(&str, &str)]) -> String {
    let time = now().milliseconds().to_string();
    let mut all = params.to_vec();
    all.push(("timestamp", &time));
    sign_params(&signing_key(), &api_key_of(&signing_key()), &all)
}

const CANCEL: [(&str, &str); 2] = [("symbol", "BTCUSDT"), ("orderId", "64")];

async fn next(client: &mut Client) -> Response {
    let text = client.next().await.unwrap().unwrap();
    Response::parse(&text).unwrap()
}

#[tokio::test]
async fn clumsy_and_hostile_frames_get_their_numbers_and_the_connection_lives() {
    let venue = Venue::start(|options| options.session.bad_signatures = 10).await;
    let mut client = venue.client().await;
    let good = signed(&CANCEL);
    assert_eq!(client.request("order.cancel", &good).await.unwrap().result["canned"], true);
    let forged = good.replace("\"orderId\":\"64\"", "\"orderId\":\"65\"");
    assert_eq!(client.request("order.cancel", &forged).await.unwrap().code(), -1022);
    let status = signed(&[]);
    assert_eq!(client.request("account.status", &status).await.unwrap().status, 200);
    assert_eq!(client.request("session.logon", &status).await.unwrap().code(), -2010, "a question's text replayed");
    let unknown_market = params(&[("symbol", "NOPE")]);
    assert_eq!(client.request("depth", &unknown_market).await.unwrap().code(), -1121);
    assert_eq!(client.request("order.test", "{}").await.unwrap().code(), -1020);
    assert_eq!(client.request("order.place", &signed(&[])).await.unwrap().code(), -1102);
    let frames = [
        ("", "null", -1135),
        ("{\"id\":3,\"method\":", "3", -1135),
        ("[1,2]", "null", -1135),
        (r#"{"id":"s","id":"t","method":"ping"}"#, "\"t\"", -1104),
        (r#"{"id":4,"method":"ping","params":{"a":1,"a":2}}"#, "4", -1104),
        (r#"{"id":5,"method":"ping","params":{"a":{"b":1}}}"#, "5", -1135),
        (r#"{"id":6,"method":7}"#, "6", -1135),
    ];
    for (frame, id, code) in frames {
        client.send(frame).await.unwrap();
        client.flush().await.unwrap();
        let response = next(&mut client).await;
        assert_eq!((response.id.to_string().as_str(), response.code()), (id, code), "{frame}");
    }
    for id in ["-3", "\"text\"", "null"] {
        client.send(format!(r#"{{"id":{id},"method":"v3/ping"}}"#)).await.unwrap();
        client.flush().await.unwrap();
        assert_eq!(next(&mut client).await.id.to_string(), id);
    }
    client.send_message(Message::Pong(Bytes::from_static(b"nobody asked"))).await.unwrap();
    assert_eq!(client.request("ping", "{}").await.unwrap().status, 200);
    let seen = venue.end().await;
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[tokio::test]
async fn what_is_no_text_ends_the_connection() {
    let venue = Venue::start(|_| {}).await;
    let oversized = format!(r#"{{"id":1,"method":"ping","x":"{}"}}"#, "y".repeat(65 * 1_024));
    for message in [Message::Binary(Bytes::from_static(b"{}")), Message::Text(oversized.into())] {
        let mut client = venue.client().await;
        assert_eq!(client.request("ping", "{}").await.unwrap().status, 200);
        client.send_message(message).await.unwrap();
        // The server may close before all of an oversized frame is written.
        let _ = client.flush().await;
        assert!(matches!(client.next().await, Ok(None) | Err(ClientError::Socket(_))));
    }
    let mut client = venue.client().await;
    for _ in 0..2 {
        let forged = signed(&CANCEL).replace("\"orderId\":\"", "\"orderId\":\"1");
        assert_eq!(client.request("order.cancel", &forged).await.unwrap().code(), -1022);
    }
    let forged = signed(&CANCEL).replace("\"orderId\":\"", "\"orderId\":\"2");
    assert_eq!(client.request("order.cancel", &forged).await.unwrap().code(), -1022);
    assert!(matches!(client.next().await, Ok(None) | Err(_)), "the third bad signature ends it");
    venue.end().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let venue = Venue::start(|_| {}).await;
    let mut client = venue.client().await;
    for index in 0..200 {
        let params =
            if index % 2 == 0 { signed(&[CANCEL[0], ("orderId", &index.to_string())]) } else { params(&CANCEL[..1]) };
        let method = if index % 2 == 0 { "order.cancel" } else { "depth" };
        client.send(lakh_gateway::client::request_frame(index, method, &params)).await.unwrap();
    }
    client.flush().await.unwrap();
    for index in 0..200 {
        let response = next(&mut client).await;
        assert_eq!((response.id.as_u64(), response.status), (Some(index), 200));
    }
    venue.end().await;
}

#[tokio::test]
async fn a_connection_over_its_rate_is_told_so() {
    let venue = Venue::start(|options| options.session.requests = Rate { per_second: 1, burst: 3 }).await;
    let mut client = venue.client().await;
    for used in 1..=3 {
        let response = client.request("ping", "{}").await.unwrap();
        assert_eq!((response.status, response.rate_limits[0]["count"].as_u64()), (200, Some(used)));
    }
    assert_eq!(client.request("ping", "{}").await.unwrap().code(), -1003);
    venue.end().await;
}

/// Trap 5: addresses that name no stream must open.
#[tokio::test]
async fn streams_open_and_are_controlled() {
    let venue = Venue::start(|_| {}).await;
    let address = venue.gateway.address();
    for path in ["/ws", "/ws/0", "/stream?streams=", "/stream"] {
        let mut client = Client::connect_path(address, path).await.unwrap();
        // Some libraries send pongs that nobody asked for.
        client.send_message(Message::Pong(bytes::Bytes::from_static(b"unasked"))).await.unwrap();
        for (frame, expected) in [
            (r#"{"id":"l","method":"LIST_SUBSCRIPTIONS"}"#, r#"{"result":[],"id":"l"}"#),
            (r#"{"method":"SUBSCRIBE","params":["btcusdt@depth"],"id":2}"#, r#"{"result":null,"id":2}"#),
            ("", r#"{"stream":"message"}"#),
            (r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#, r#"{"result":["btcusdt@depth"],"id":3}"#),
            (r#"{"method":"UNSUBSCRIBE","params":["btcusdt@depth"],"id":4}"#, r#"{"result":null,"id":4}"#),
            (r#"{"method":"LIST_SUBSCRIPTIONS","id":5}"#, r#"{"result":[],"id":5}"#),
        ] {
            if !frame.is_empty() {
                client.send(frame).await.unwrap();
                client.flush().await.unwrap();
            }
            assert_eq!(client.next().await.unwrap().unwrap().as_str(), expected, "{path}");
        }
        for (frame, code) in [
            (r#"{"method":"SUBSCRIBE","params":["nope@trade"],"id":6}"#, -1130),
            (r#"{"method":"JOIN","id":7}"#, -1020),
            ("{", -1135),
        ] {
            client.send(frame).await.unwrap();
            client.flush().await.unwrap();
            let message = client.next().await.unwrap().unwrap();
            assert_eq!(json(message.as_bytes())["error"]["code"], code);
        }
    }
    let mut client = Client::connect_path(address, "/stream?streams=btcusdt@trade/x/btcusdt@bookTicker").await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap().as_str(), r#"{"stream":"message"}"#);
    let mut client = Client::connect_path(address, "/ws/btcusdt@depth@100ms/btcusdt@trade").await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap().as_str(), r#"{"stream":"message"}"#);
    venue.end().await;
}

#[tokio::test]
async fn rest_answers_questions() {
    let venue = Venue::start(|_| {}).await;
    let address = venue.gateway.address();
    let long = format!("/api/v3/depth?symbol={}", "A".repeat(3_000));
    let cases = [
        ("/api/v3/ping", "200 OK", "{}"),
        ("/api/v3/time", "200 OK", "\"serverTime\":"),
        ("/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22%5D", "200 OK", "\"symbol\":\"BTCUSDT\""),
        ("/api/v3/exchangeInfo?symbol=NOPE", "400 Bad Request", "\"code\":-1121"),
        ("/api/v3/depth?symbol=BTCUSDT&limit=5", "200 OK", "{\"canned\":true}"),
        ("/api/v3/depth", "400 Bad Request", "\"code\":-1102"),
        ("/api/v3/depth?symbol=A&symbol=B", "400 Bad Request", "\"code\":-1104"),
        ("/api/v3/depth?symbol=%FF", "400 Bad Request", "\"code\":-1100"),
        (&long, "400 Bad Request", "\"code\":-1100"),
        ("/api/v3/account", "401 Unauthorized", "\"code\":-2014"),
        ("/api/v3/nothing", "404 Not Found", "\"code\":-1020"),
        ("/api/v3/klines?symbol=BTCUSDT&interval=1m", "200 OK", "{\"canned\":true}"),
        ("/api/v3/klines?symbol=BTCUSDT&interval=2m", "400 Bad Request", "\"code\":-1120"),
        ("/api/v3/ticker/24hr?symbols=%5B%22BTCUSDT%22%5D", "200 OK", "x-mbx-used-weight: "),
        ("/api/v3/aggTrades?symbol=BTCUSDT&limit=0", "400 Bad Request", "\"code\":-1130"),
        ("/sapi/v1/margin/allPairs?timestamp=1&signature=x", "200 OK", "[]"),
        ("/sapi/v1/margin/isolated/allPairs", "200 OK", "[]"),
        ("/sapi/v1/capital/config/getall", "200 OK", "[]"),
        ("/ws-api/v3", "400 Bad Request", "\"code\":-1135"),
    ];
    for (path, status, body) in cases {
        let answer = http(address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(body), "{path}: {answer}");
    }
    let offer = "GET /ws-api/v3 HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                 sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(offer.as_bytes()).await.unwrap();
    let mut head = vec![0; 4_096];
    let length = stream.read(&mut head).await.unwrap();
    let head = String::from_utf8_lossy(&head[..length]).to_lowercase();
    assert!(head.starts_with("http/1.1 101") && head.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    assert!(!head.contains("permessage-deflate"), "compression is declined");
    drop(stream);
    let garbage = http(address, "\0\0\0\r\n\r\n").await;
    assert!(garbage.is_empty() || garbage.starts_with("HTTP/1.1 400"), "{garbage}");
    let seen = venue.end().await;
    assert!(["Depth", "Candles", "DayStatistics"].iter().zip(&seen).all(|(kind, one)| one.starts_with(kind)));
}

#[tokio::test]
async fn connections_are_counted_and_let_go() {
    let venue = Venue::start(|options| options.address.connections = 2).await;
    let first = venue.client().await;
    let mut second = venue.client().await;
    assert!(Client::connect(venue.gateway.address()).await.is_err());
    assert_eq!(venue.gateway.connections(), 2);
    first.close().await.unwrap();
    // The place is free once the server has seen the end, which the client cannot see: try until then.
    let mut third = loop {
        match Client::connect(venue.gateway.address()).await {
            Ok(client) => break client,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert_eq!(third.request("ping", "{}").await.unwrap().status, 200);
    assert_eq!(second.request("ping", "{}").await.unwrap().status, 200);
    venue.end().await;
}

#[tokio::test]
async fn a_stop_is_announced_and_waits_for_answers() {
    let venue = Venue::start(|_| {}).await;
    let mut client = venue.client().await;
    let mut streams = Client::connect_path(venue.gateway.address(), "/ws").await.unwrap();
    assert_eq!(client.request("ping", "{}").await.unwrap().status, 200);
    let ended = tokio::spawn(venue.end());
    let message = client.next().await.unwrap().unwrap();
    assert_eq!(json(message.as_bytes())["event"]["e"], "serverShutdown");
    let message = streams.next().await.unwrap().unwrap();
    assert_eq!(json(message.as_bytes())["e"], "serverShutdown");
    assert_eq!(client.next().await.unwrap(), None);
    assert_eq!(streams.next().await.unwrap(), None);
    ended.await.unwrap();
}

#[tokio::test]
async fn a_gateway_says_why_it_does_not_start() {
    let venue = Venue::start(|_| {}).await;
    let wiring = |rings| Wiring {
        to_sequencer: rings,
        sequencer_signal: Arc::new(Signal::new()),
        directory: directory(Mode::Run),
        secure: None,
        secure_binary: None,
        counters: Arc::new(Counters::default()),
    };
    let taken = GatewayOptions::new(venue.gateway.address());
    let error = Gateway::start(taken, wiring(vec![RingBuffer::new(8).0])).await.unwrap_err();
    assert!(matches!(error, GatewayError::Listen { .. }));
    let free = GatewayOptions::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    assert!(matches!(Gateway::start(free, wiring(vec![])).await.unwrap_err(), GatewayError::NoRing));
    venue.end().await;
}
