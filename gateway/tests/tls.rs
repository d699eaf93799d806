//! TLS on the gateway's second listener: what clients see of it, and what becomes of those who do not speak it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic, its helpers included")]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use common::exchange::{Exchange, MARKET, key, logon};
use common::now;
use common::venue::Venue;
use futures_util::{SinkExt as _, StreamExt as _};
use lakh_engine::command::{PlaceOrder, Side};
use lakh_engine::units::{Lots, Ticks};
use lakh_gateway::binary_client::{Incoming, Message as BinaryMessage, Requests};
use lakh_gateway::tls::{Tls, TlsError};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

/// Nothing that is waited for here takes long; a test that hangs says so.
const PATIENCE: Duration = Duration::from_secs(20);

/// An authority that only its test trusts.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Certificate and key of a venue with this name, as PEM.
    fn certificate(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// A connection that trusts this authority only.
    async fn connect(&self, address: SocketAddr, name: &'static str) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.0.pem().as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name).unwrap(), stream).await
    }
}

fn tls(pem: &(String, String)) -> Tls {
    Tls::from_pem(pem.0.as_bytes(), pem.1.as_bytes()).unwrap()
}

async fn read_to_end(mut stream: impl AsyncRead + Unpin) -> (Vec<u8>, std::io::Result<()>) {
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server ends it");
    (answer, ended.map(drop))
}

#[tokio::test]
async fn http_and_websocket_work_behind_it_as_without() {
    let authority = Authority::new();
    let tls = tls(&authority.certificate("venue.test"));
    let venue = Venue::start_with(|_| {}, Some(tls)).await;
    let address = venue.gateway.secure_address().unwrap();
    let mut stream = authority.connect(address, "venue.test").await.unwrap();
    stream.write_all(b"GET /api/v3/ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let (answer, ended) = read_to_end(stream).await;
    assert!(answer.starts_with(b"HTTP/1.1 200 OK") && answer.ends_with(b"{}"), "{}", String::from_utf8_lossy(&answer));
    ended.expect("the end is said, not cut off");

    let stream = authority.connect(address, "venue.test").await.unwrap();
    let (mut socket, _) = client_async("wss://venue.test/ws-api/v3", stream).await.unwrap();
    socket.send(Message::text(r#"{"id":1,"method":"ping"}"#)).await.unwrap();
    let answer = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(answer.starts_with(r#"{"id":1,"status":200,"result":{}"#), "{answer}");
    socket.close(None).await.unwrap();
    while let Some(message) = socket.next().await {
        message.expect("nothing but the close frame");
    }
    read_to_end(socket.into_inner()).await.1.expect("the end is said, not cut off");

    let plain = Venue::start(|_| {}).await;
    assert_eq!(plain.gateway.secure_address(), None);
    plain.end().await;
    assert!(venue.client().await.request("ping", "{}").await.is_ok(), "loopback stays plain");
    venue.end().await;
}

/// The next message of the binary face over any stream.
async fn next_message(stream: &mut TlsStream<TcpStream>, incoming: &mut Incoming) -> BinaryMessage {
    let mut buffer = vec![0; 1 << 16];
    loop {
        if let Some(message) = incoming.next_message().unwrap() {
            return message;
        }
        let count = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await.expect("the venue answers").unwrap();
        assert!(count > 0, "the venue is there");
        incoming.feed(&buffer[..count]);
    }
}

#[tokio::test]
async fn a_market_maker_trades_behind_it_as_without() {
    let authority = Authority::new();
    let exchange = Exchange::with_tls(tls(&authority.certificate("venue.test"))).await;
    let address = exchange.gateway.secure_binary_address().unwrap();
    let mut stream = authority.connect(address, "venue.test").await.unwrap();
    let (mut requests, mut incoming) = (Requests::new(key(1)), Incoming::new());
    requests.log_on(&logon(), now());
    stream.write_all(requests.bytes()).await.unwrap();
    requests.clear();
    match next_message(&mut stream, &mut incoming).await {
        BinaryMessage::LogonAccepted(accepted) => requests.logged_on(&accepted),
        other => panic!("{other:?}"),
    }
    requests.place(&PlaceOrder::limit(MARKET, Side::Bid, Ticks(7_000_000), Lots(100)), now());
    stream.write_all(requests.bytes()).await.unwrap();
    let report = next_message(&mut stream, &mut incoming).await;
    assert!(matches!(report, BinaryMessage::ExecutionReport(_)), "{report:?}");
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(requests.bytes()).await.unwrap();
    assert!(read_to_end(plain).await.0.len() < 10, "an alert at most: plain text has the other port");
    drop(stream);
    exchange.client(2).await;
    exchange.end().await;
}

#[tokio::test]
async fn who_does_not_speak_it_is_let_go() {
    let authority = Authority::new();
    let tls = tls(&authority.certificate("venue.test"));
    let change = |options: &mut lakh_gateway::server::GatewayOptions| {
        options.handshake_timeout = Duration::from_millis(100);
    };
    let venue = Venue::start_with(change, Some(tls)).await;
    let address = venue.gateway.secure_address().unwrap();
    for opening in [&b""[..], b"GET /api/v3/ping HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05\x01\x00", &[0xff; 600]] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(opening).await.unwrap();
        let answer = read_to_end(stream).await.0;
        assert!(answer.len() < 10, "an alert at most: {answer:?}");
    }
    assert!(Authority::new().connect(address, "venue.test").await.is_err(), "whom nobody vouches for");
    assert!(authority.connect(address, "other.test").await.is_err(), "another name");
    while venue.gateway.connections() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(venue.gateway.counters().handshakes_failed.value() >= 4);
    venue.end().await;
}

#[tokio::test]
async fn another_certificate_takes_the_place_of_the_first() {
    let (before, after) = (Authority::new(), Authority::new());
    let tls = tls(&before.certificate("venue.test"));
    let venue = Venue::start_with(|_| {}, Some(tls.clone())).await;
    let address = venue.gateway.secure_address().unwrap();
    let stream = before.connect(address, "venue.test").await.unwrap();
    let (certificates, key) = after.certificate("venue.test");
    let mixed = tls.replace(certificates.as_bytes(), before.certificate("venue.test").1.as_bytes());
    assert!(matches!(mixed, Err(TlsError::Unusable(_))), "{mixed:?}");
    before.connect(address, "venue.test").await.expect("nothing has changed");
    tls.replace(certificates.as_bytes(), key.as_bytes()).unwrap();
    after.connect(address, "venue.test").await.unwrap();
    assert!(before.connect(address, "venue.test").await.is_err());
    let (mut socket, _) = client_async("wss://venue.test/ws-api/v3", stream).await.expect("who was there stays");
    socket.close(None).await.unwrap();
    venue.end().await;
}

#[test]
fn what_is_no_certificate_is_refused_with_its_reason() {
    let (certificate, key) = Authority::new().certificate("venue.test");
    let refused = |certificate: &str, key: &str| {
        let error = Tls::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(key.lines().nth(1).unwrap_or("\0")), "no key in a message");
        error
    };
    assert!(matches!(refused("", &key), TlsError::NoCertificate));
    assert!(matches!(refused(&key, &key), TlsError::NoCertificate));
    assert!(matches!(refused(&certificate, ""), TlsError::PrivateKey(_)));
    assert!(matches!(refused(&certificate, &certificate), TlsError::PrivateKey(_)));
    assert!(matches!(refused(&certificate.replace('M', "!"), &key), TlsError::Certificates(_)));
    let tls = tls(&(certificate, key.clone()));
    assert!(!format!("{tls:?}").contains(key.lines().nth(1).unwrap()));
}
