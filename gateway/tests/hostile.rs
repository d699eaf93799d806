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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_clients_trade_on_while_others_attack() {
    let venue = Venue::start(|_| {}).await;
    let address = venue.gateway.address();
    let seed = now().0;
    println!("seed {seed}");
    let attackers: Vec<_> = (0..20).map(|number| tokio::spawn(attack(address, seed + number))).collect();
    let mut honest = Client::connect(address).await.unwrap();
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
    for attacker in attackers {
        attacker.await.unwrap();
    }
    latencies.sort_unstable();
    println!("honest: p50 {:?}, p99 {:?} of {}", latencies[250], latencies[495], latencies.len());
    let counters = venue.gateway.counters();
    println!("{:?}", counters.all());
    assert_eq!(counters.signatures_accepted.value(), 500, "an attacker's key is the honest one's, and harms it not");
    assert!(counters.signatures_refused.value() > 0);
    let seen = venue.end().await;
    assert_eq!(seen, vec!["command"; 500], "nothing of an attacker went on");
}
