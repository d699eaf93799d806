//! Hostile clients over real loopback sockets: what they get is stable, and honest ones trade on meanwhile.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic, its helpers included")]

mod common;

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::venue::{Venue, http};
use common::{Random, api_key_of, now, signing_key};
use ed25519_dalek::Signer as _;
use lakh_gateway::client::{Client, sign_params};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

/// Nothing that is waited for here takes long; a test that hangs says so.
const PATIENCE: Duration = Duration::from_secs(20);

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server ends it");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_ended() {
    let venue = Venue::start(|options| options.handshake_timeout = Duration::from_millis(50)).await;
    for opening in ["", "GET /ws-api/v3 HT", "GET /ws-api/v3 HTTP/1.1\r\nhost: x\r\nx: "] {
        let mut stream = TcpStream::connect(venue.gateway.address()).await.unwrap();
        stream.write_all(opening.as_bytes()).await.unwrap();
        let answer = read_to_end(stream).await;
        assert!(!answer.contains("200 OK") && !answer.contains("101"), "{answer}");
    }
    venue.end().await;
}

#[tokio::test]
async fn the_third_bad_signature_over_http_ends_the_connection() {
    let venue = Venue::start(|_| {}).await;
    let mut stream = TcpStream::connect(venue.gateway.address()).await.unwrap();
    let key = api_key_of(&signing_key());
    let request = |signature: &str| {
        let query = format!("symbol=BTCUSDT&orderId=1&timestamp={}&signature={signature}", now().milliseconds());
        format!("DELETE /api/v3/order?{query} HTTP/1.1\r\nhost: x\r\nx-mbx-apikey: {key}\r\n\r\n")
    };
    let forged = STANDARD.encode(signing_key().sign(b"something else").to_bytes());
    let forged = forged.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    for _ in 0..4 {
        stream.write_all(request(&forged).as_bytes()).await.unwrap();
    }
    let answers = read_to_end(stream).await;
    assert_eq!(answers.matches("\"code\":-1022").count(), 3, "{answers}");
    assert!(answers.contains("connection: close"), "{answers}");
    let counters = venue.gateway.counters();
    assert_eq!(counters.signatures_refused.value(), 3);
    assert!(venue.end().await.is_empty(), "nothing of it went on");
}

/// Trap 7: one client still asks for listen keys before anything else, and gives a request one second.
#[tokio::test]
async fn bodies_are_bounded_and_listen_keys_tell_nothing() {
    let venue = Venue::start(|_| {}).await;
    let address = venue.gateway.address();
    let ask = async |verb: &str, path: &str, body: &str| {
        let length = body.len();
        let head =
            format!("{verb} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        http(address, &format!("{head}{body}")).await
    };
    let long = "a".repeat(5_000);
    assert!(ask("POST", "/api/v3/order", &long).await.contains("\"code\":-1100"));
    assert!(ask("POST", "/api/v3/order", "symbol=%zz").await.contains("\"code\":-1100"));
    assert!(ask("PUT", "/api/v3/order", "").await.contains("\"code\":-1020"), "no such verb");
    let asked = std::time::Instant::now();
    let key = ask("POST", "/api/v3/userDataStream", "").await;
    assert!(asked.elapsed() < std::time::Duration::from_secs(1), "the client would have given up");
    assert!(key.contains("\"listenKey\":"), "{key}");
    for verb in ["PUT", "DELETE"] {
        assert!(ask(verb, "/api/v3/userDataStream", "listenKey=x").await.ends_with("{}"));
    }
    assert!(venue.end().await.is_empty(), "nobody is told of anything");
}

#[tokio::test]
async fn who_closes_his_half_gets_his_answers() {
    let venue = Venue::start(|_| {}).await;
    let mut stream = TcpStream::connect(venue.gateway.address()).await.unwrap();
    stream
        .write_all(b"GET /api/v3/depth?symbol=BTCUSDT HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    let answer = read_to_end(stream).await;
    assert!(
        answer.is_empty() || answer.contains("{\"canned\":true}"),
        "an answer or none, never half of one: {answer}"
    );
    venue.end().await;
}

/// Sends what is no request, or is badly signed, for as long as the server takes it.
async fn attack(venue: std::net::SocketAddr, seed: u64) {
    let mut random = Random(seed);
    let mut bytes = vec![0_u8; 2_000];
    for round in 0..20 {
        let Ok(mut client) = Client::connect(venue).await else { continue };
        let forged = sign_params(
            &signing_key(),
            &api_key_of(&signing_key()),
            &[("timestamp", "1"), ("symbol", "BTCUSDT"), ("orderId", "7")],
        );
        let time = now().milliseconds().to_string();
        for _ in 0..10 {
            bytes.iter_mut().for_each(|byte| *byte = b' ' + u8::try_from(random.below(95)).unwrap());
            let noise = String::from_utf8(bytes.clone()).unwrap();
            let bad = forged.replace("\"timestamp\":\"1\"", &format!("\"timestamp\":\"{time}\""));
            let frame = match random.below(4) {
                0 => noise,
                1 => format!("{{\"id\":1,\"method\":\"order.cancel\",\"params\":{bad}}}"),
                2 => "[".repeat(10_000),
                _ => format!(
                    "{{\"id\":1,\"method\":\"order.place\",\"params\":{{\"a\":1,\"a\":2,\"b\":\"{}\"}}}}",
                    "x".repeat(1_000)
                ),
            };
            if client.send(frame).await.is_err() || client.flush().await.is_err() {
                break;
            }
        }
        if round % 2 == 0 {
            let _ = client.send_message(Message::binary(vec![0xff_u8; 100])).await;
            let _ = client.flush().await;
        }
    }
}

/// The head that opens a WebSocket by hand.
const OFFER: &str = "GET /ws-api/v3 HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                     sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A masked client frame: its first byte, the length that it claims, and what really follows.
fn raw_frame(first: u8, claimed: u16, payload: &[u8]) -> Vec<u8> {
    let [high, low] = claimed.to_be_bytes();
    [&[first, 0xfe, high, low, 0, 0, 0, 0], payload].concat()
}

/// What no WebSocket library sends: broken frames, text that is none, halves of connections, handshakes without an end.
async fn attack_raw(venue: std::net::SocketAddr, seed: u64) {
    let mut random = Random(seed);
    let mut unfinished = Vec::new();
    for _ in 0..60 {
        let Ok(mut stream) = TcpStream::connect(venue).await else { continue };
        let kind = random.below(8);
        if kind == 0 {
            // Begins a handshake and leaves it at that, with the connection kept open.
            let _ = stream.write_all(&OFFER.as_bytes()[..random.below(OFFER.len())]).await;
            unfinished.push(stream);
            continue;
        }
        if stream.write_all(OFFER.as_bytes()).await.is_err() {
            continue;
        }
        let frame = match kind {
            1 => raw_frame(0x81, 60_000, b"cut off"),
            2 => raw_frame(0x81, 4, &[0xff, 0xfe, 0x80, 0xc0]),
            3 => [&[0x81, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat(),
            4 => raw_frame(0xf3, 3, b"abc"),
            5 => vec![0x81, 3, b'a', b'b', b'c'],
            6 => raw_frame(0x01, 2, b"{}").repeat(40),
            _ => raw_frame(0x89, 200, &[b'p'; 200]),
        };
        let _ = stream.write_all(&frame).await;
        if random.below(2) == 0 {
            let _ = stream.shutdown().await;
        }
        let mut some = [0; 512];
        let _ = tokio::time::timeout(Duration::from_millis(5), stream.read(&mut some)).await;
    }
}

/// Sends again what somebody else has signed, as it was and for another purpose; the numbers that it is answered with.
async fn replay(venue: std::net::SocketAddr, overheard: String) -> Vec<i64> {
    let Ok(mut client) = Client::connect(venue).await else { return Vec::new() };
    let mut codes = Vec::new();
    for _ in 0..200 {
        match client.request("order.cancel", &overheard).await {
            Ok(response) => codes.push(response.code()),
            Err(_) => break,
        }
    }
    codes
}

/// The memory of this process that is in use, in bytes.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_clients_trade_on_while_others_attack() {
    let venue = Venue::start(|options| options.handshake_timeout = Duration::from_millis(300)).await;
    let address = venue.gateway.address();
    let seed = now().0;
    println!("seed {seed}");
    let mut honest = Client::connect(address).await.unwrap();
    let time = now().milliseconds().to_string();
    let question = [("symbol", "BTCUSDT"), ("orderId", "7"), ("timestamp", time.as_str())];
    let overheard = sign_params(&signing_key(), &api_key_of(&signing_key()), &question);
    assert_eq!(honest.request("order.status", &overheard).await.unwrap().status, 200);
    let before = resident_bytes();
    let attackers: Vec<_> = (0..20).map(|number| tokio::spawn(attack(address, seed + number))).collect();
    let raw: Vec<_> = (20..30).map(|number| tokio::spawn(attack_raw(address, seed + number))).collect();
    let replays: Vec<_> = (0..3).map(|_| tokio::spawn(replay(address, overheard.clone()))).collect();
    let mut latencies = Vec::new();
    for number in 0..500_u64 {
        let (time, order) = (now().milliseconds().to_string(), (64 + number).to_string());
        let cancel = [("symbol", "BTCUSDT"), ("orderId", order.as_str()), ("timestamp", time.as_str())];
        let params = sign_params(&signing_key(), &api_key_of(&signing_key()), &cancel);
        let sent = Instant::now();
        let response = honest.request("order.cancel", &params).await.unwrap();
        latencies.push(sent.elapsed());
        assert_eq!(response.status, 200, "{response:?}");
    }
    for attacker in attackers.into_iter().chain(raw) {
        attacker.await.unwrap();
    }
    for replay in replays {
        let codes = replay.await.unwrap();
        assert!(
            codes.len() == 200 && codes.iter().all(|code| *code == -2010),
            "a text is good for one purpose: {codes:?}"
        );
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 128 << 20, "{grown} bytes for some thirty attackers at a time");
    latencies.sort_unstable();
    println!(
        "honest: p50 {:?}, p99 {:?} of {}; memory +{grown} bytes",
        latencies[250],
        latencies[495],
        latencies.len()
    );
    let counters = venue.gateway.counters();
    println!("{:?}", counters.all());
    assert!(counters.signatures_refused.value() > 0 && counters.frames_refused.value() > 0);
    assert_eq!(counters.slow_consumers_dropped.value(), 0);
    let seen = venue.end().await;
    let commands = seen.iter().filter(|one| *one == "command").count();
    assert_eq!(
        (commands, seen.len()),
        (500, 501),
        "nothing of an attacker went on: an attacker's key is the honest one's"
    );
}
