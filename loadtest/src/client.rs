//! The client's side of the public WebSocket API: keys, signed requests, and a connection that batches its writes.
//!
//! Written against the public protocol alone and sharing no code with the venue's decoder, so that a misreading of the
//! signature rule shows as refused orders instead of cancelling itself out. The only file here that knows the socket
//! library. A request's signed text is its parameters sorted by name, `k=v` joined by `&`; Ed25519; base64.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::error::LoadtestError;
use crate::random::SplitMix64;

/// How long the venue may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A key that trades.
#[derive(Clone)]
pub struct Trader {
    signing_key: SigningKey,
    api_key: String,
}

impl std::fmt::Debug for Trader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trader").field("api_key", &self.api_key).finish_non_exhaustive()
    }
}

impl Trader {
    /// From the secret's 32 bytes and the venue's tag, which together give the API key. Without a tag the API key is
    /// the bare public key, which only a venue in dev mode accepts.
    pub fn new(secret: &[u8; 32], venue_tag: Option<[u8; 16]>) -> Self {
        let signing_key = SigningKey::from_bytes(secret);
        let mut api_key = String::with_capacity(96);
        let tag = venue_tag.as_ref().map_or(&[][..], |tag| &tag[..]);
        for byte in tag.iter().chain(signing_key.verifying_key().as_bytes()) {
            write!(api_key, "{byte:02x}").expect("writing to a string cannot fail");
        }
        Self { signing_key, api_key }
    }

    /// Somebody who knows the API key of `victim` and not its secret: signatures of another key.
    pub fn impostor(victim: &Self, secret: &[u8; 32]) -> Self {
        Self { signing_key: SigningKey::from_bytes(secret), api_key: victim.api_key.clone() }
    }

    /// `count` keys that follow from `seed`, which anybody may know: for tests and demonstrations only.
    pub fn from_seed(seed: u64, count: u32, venue_tag: Option<[u8; 16]>) -> Vec<Self> {
        let secret = |index| SplitMix64::stream(seed, u64::from(index)).bytes_32();
        (0..count).map(|index| Self::new(&secret(index), venue_tag)).collect()
    }

    /// What the venue knows the key by.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// The key itself.
    pub const fn signing_key(&self) -> &SigningKey {
        &self.signing_key
    }

    /// The public key's bytes, as a venue's configuration names them.
    pub fn public_key(&self) -> [u8; 32] {
        self.signing_key.verifying_key().to_bytes()
    }

    /// The signature under `text`, in base64.
    pub fn sign(&self, text: &str) -> String {
        STANDARD.encode(self.signing_key.sign(text.as_bytes()).to_bytes())
    }
}

/// A parameter's value as it stands in the signed text: text, or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Text without `"`, `\`, `&`, `=` and control characters.
    Text(&'a str),
    /// A whole number.
    Number(u64),
}

/// A request's JSON text without a signature.
pub fn plain_request(id: u64, method: &str, params: &[(&str, Value<'_>)]) -> String {
    let mut json = open_request(id, method);
    push_params(&mut json, params);
    json.push_str("}}");
    json
}

/// A signed request's JSON text. Adds `apiKey` and `signature`; `timestamp` and `recvWindow` are among `params`.
pub fn signed_request(id: u64, method: &str, trader: &Trader, params: &[(&str, Value<'_>)]) -> String {
    let mut sorted = Vec::with_capacity(params.len() + 1);
    sorted.extend_from_slice(params);
    sorted.push(("apiKey", Value::Text(&trader.api_key)));
    sorted.sort_unstable_by_key(|(name, _)| *name);
    let mut text = String::with_capacity(320);
    for (name, value) in &sorted {
        if !text.is_empty() {
            text.push('&');
        }
        match value {
            Value::Text(value) => write!(text, "{name}={value}"),
            Value::Number(value) => write!(text, "{name}={value}"),
        }
        .expect("writing to a string cannot fail");
    }
    let mut json = open_request(id, method);
    push_params(&mut json, &sorted);
    json.push_str(",\"signature\":\"");
    json.push_str(&trader.sign(&text));
    json.push_str("\"}}");
    json
}

fn open_request(id: u64, method: &str) -> String {
    let mut json = String::with_capacity(512);
    write!(json, "{{\"id\":{id},\"method\":\"{method}\",\"params\":{{").expect("writing to a string cannot fail");
    json
}

fn push_params(json: &mut String, params: &[(&str, Value<'_>)]) {
    for (index, (name, value)) in params.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        match value {
            Value::Text(value) => {
                debug_assert!(!value.contains(['"', '\\', '&', '=']) && !value.contains(char::is_control), "{value:?}");
                write!(json, "\"{name}\":\"{value}\"")
            }
            Value::Number(value) => write!(json, "\"{name}\":{value}"),
        }
        .expect("writing to a string cannot fail");
    }
}

/// Microseconds since the Unix epoch by this machine's clock.
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).expect("the clock stands before the year 500,000")
}

pub(crate) fn host_and_path(url: &str) -> Result<(SocketAddr, &str), LoadtestError> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let address = host.parse().map_err(|error| LoadtestError::Options(format!("{url}: {error}")))?;
    Ok((address, path))
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The writing half of a connection.
#[derive(Debug)]
pub struct Outgoing(SplitSink<Socket, Message>);

/// The reading half of a connection.
#[derive(Debug)]
pub struct Incoming(SplitStream<Socket>);

/// Connects to a `ws://` URL. Small writes are not held back by the socket; [`Outgoing`] batches them instead.
///
/// # Errors
/// [`LoadtestError::Connection`], [`LoadtestError::TimedOut`].
pub async fn connect(url: &str) -> Result<(Outgoing, Incoming), LoadtestError> {
    connect_with(url, WebSocketConfig::default()).await
}

/// Connects with buffers of a few kilobytes, for programs that hold thousands of connections.
///
/// # Errors
/// As [`connect`].
pub async fn connect_small(url: &str) -> Result<(Outgoing, Incoming), LoadtestError> {
    connect_with(url, WebSocketConfig::default().read_buffer_size(4_096).write_buffer_size(4_096)).await
}

async fn connect_with(url: &str, config: WebSocketConfig) -> Result<(Outgoing, Incoming), LoadtestError> {
    let connecting = tokio_tungstenite::connect_async_with_config(url, Some(config), true);
    let Ok(connected) = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await else {
        return Err(LoadtestError::TimedOut { seconds: CONNECT_TIMEOUT.as_secs() });
    };
    let (socket, _) = connected.map_err(|error| LoadtestError::connection("connecting", error))?;
    let (sink, stream) = socket.split();
    Ok((Outgoing(sink), Incoming(stream)))
}

impl Outgoing {
    /// Puts a frame into the write buffer, which goes out when it is full or at [`Outgoing::flush`].
    ///
    /// # Errors
    /// [`LoadtestError::Connection`].
    pub async fn feed(&mut self, text: Utf8Bytes) -> Result<(), LoadtestError> {
        self.0.feed(Message::Text(text)).await.map_err(|error| LoadtestError::connection("writing", error))
    }

    /// Hands everything to the socket.
    ///
    /// # Errors
    /// [`LoadtestError::Connection`].
    pub async fn flush(&mut self) -> Result<(), LoadtestError> {
        self.0.flush().await.map_err(|error| LoadtestError::connection("writing", error))
    }

    /// Says goodbye. Errors do not matter any more.
    pub async fn close(&mut self) {
        let _ = self.0.close().await;
    }
}

impl Incoming {
    /// The next text message.
    ///
    /// # Errors
    /// [`LoadtestError::Connection`], also when the venue closes.
    pub async fn next(&mut self) -> Result<Utf8Bytes, LoadtestError> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Close(_))) | None => {
                    return Err(LoadtestError::connection("reading", "the venue closed it"));
                }
                // The library answers pings by itself.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(LoadtestError::connection("reading", error)),
            }
        }
    }

    /// The next text message, within `limit`.
    ///
    /// # Errors
    /// As [`Incoming::next`], and [`LoadtestError::TimedOut`].
    pub async fn next_within(&mut self, limit: Duration) -> Result<Utf8Bytes, LoadtestError> {
        match tokio::time::timeout(limit, self.next()).await {
            Ok(message) => message,
            Err(_) => Err(LoadtestError::TimedOut { seconds: limit.as_secs() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret key of the first test vector of RFC 8032.
    const SECRET: [u8; 32] = [
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
        0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
    ];

    #[test]
    fn api_key_is_tag_and_public_key_in_hex() {
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(Trader::new(&SECRET, None).api_key(), public);
        let tagged = Trader::new(&SECRET, Some([0xab; 16]));
        assert_eq!(tagged.api_key(), format!("{}{public}", "ab".repeat(16)));
        assert!(!format!("{tagged:?}").contains("9d61"), "a secret in a log");
    }

    #[test]
    fn signed_text_is_sorted_and_the_signature_verifies() {
        let trader = Trader::new(&SECRET, None);
        let params =
            [("symbol", Value::Text("BTCUSDT")), ("timestamp", Value::Number(5)), ("side", Value::Text("BUY"))];
        let json = signed_request(3, "order.place", &trader, &params);
        let value: serde_json::Value = serde_json::from_str(&json).expect("good JSON");
        assert_eq!(value["id"], 3);
        assert_eq!(value["method"], "order.place");
        assert_eq!(value["params"]["timestamp"], 5);
        let signed = format!("apiKey={}&side=BUY&symbol=BTCUSDT&timestamp=5", trader.api_key());
        let signature = STANDARD.decode(value["params"]["signature"].as_str().unwrap()).unwrap();
        let signature = ed25519_dalek::Signature::from_slice(&signature).unwrap();
        trader.signing_key.verifying_key().verify_strict(signed.as_bytes(), &signature).expect("verifies");
    }

    #[test]
    fn a_plain_request_is_json() {
        let json = plain_request(1, "depth", &[("symbol", Value::Text("A")), ("limit", Value::Number(5))]);
        assert_eq!(json, r#"{"id":1,"method":"depth","params":{"symbol":"A","limit":5}}"#);
        assert_eq!(plain_request(2, "time", &[]), r#"{"id":2,"method":"time","params":{}}"#);
    }

    #[test]
    fn keys_of_one_seed_are_the_same_again_and_differ_among_each_other() {
        let keys = |seed| Trader::from_seed(seed, 3, None).iter().map(Trader::public_key).collect::<Vec<_>>();
        assert_eq!(keys(1), keys(1));
        assert_ne!(keys(1), keys(2));
        assert_ne!(keys(1)[0], keys(1)[1]);
    }
}
