//! A small client of the WebSocket API and the streams: for tests, load generators and demonstration traders.
//!
//! Requests can be sent one at a time ([`Client::request`]) or pipelined ([`Client::send`], [`Client::flush`],
//! [`Client::next`]); frames that were built and signed before are sent as they are. It never reconnects by itself.
//! Bounds: events that come between request and response are kept, at most [`MAX_EVENTS`] of them.

use std::collections::VecDeque;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::wire::json::response::push_string;

/// Events kept while a response is waited for.
pub const MAX_EVENTS: usize = 65_536;

/// Why a client cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No connection.
    #[error("cannot connect")]
    Connect(#[from] std::io::Error),
    /// The WebSocket failed.
    #[error("the connection failed")]
    Socket(#[from] tungstenite::Error),
    /// The server ended the connection.
    #[error("the server ended the connection")]
    Closed,
    /// A message is no JSON, or a response is none.
    #[error("the server sent what is no response: {0}")]
    NotAResponse(String),
    /// More than [`MAX_EVENTS`] events came in front of a response.
    #[error("too many events in front of a response")]
    TooManyEvents,
}

/// A response of the WebSocket API.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The request's id.
    pub id: Value,
    /// 200, or what kind of error it is.
    pub status: u16,
    /// The result; null for an error.
    pub result: Value,
    /// The error.
    pub error: Option<ResponseError>,
    /// What is left of the budget; null where it was not to be told.
    pub rate_limits: Value,
}

/// An error in a response.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseError {
    /// The stable number, negative.
    pub code: i64,
    /// One sentence.
    pub message: String,
    /// More about it; null where there is no more.
    pub data: Value,
}

impl Response {
    /// Reads a response; `None` for a message without status.
    pub fn parse(text: &str) -> Option<Self> {
        let mut value: Value = serde_json::from_str(text).ok()?;
        let status = u16::try_from(value.get("status")?.as_u64()?).ok()?;
        let mut take = |name: &str| value.get_mut(name).map_or(Value::Null, Value::take);
        let mut error = take("error");
        let error = error.get("code").and_then(Value::as_i64).map(|code| ResponseError {
            code,
            message: error["msg"].as_str().unwrap_or_default().to_owned(),
            data: error.get_mut("data").map_or(Value::Null, Value::take),
        });
        Some(Self { id: take("id"), status, result: take("result"), error, rate_limits: take("rateLimits") })
    }

    /// The error's number; 0 for none.
    pub fn code(&self) -> i64 {
        self.error.as_ref().map_or(0, |error| error.code)
    }
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    socket: WebSocketStream<TcpStream>,
    events: VecDeque<Utf8Bytes>,
    next_id: u64,
}

impl Client {
    /// Connects to the WebSocket API.
    ///
    /// # Errors
    /// When there is no connection or the handshake fails.
    pub async fn connect(address: SocketAddr) -> Result<Self, ClientError> {
        Self::connect_path(address, "/ws-api/v3").await
    }

    /// Connects to streams: `path` is `/ws/<name>[/<name>…]` or `/stream?streams=<name>[/<name>…]`.
    ///
    /// # Errors
    /// When there is no connection or the handshake fails.
    pub async fn connect_path(address: SocketAddr, path: &str) -> Result<Self, ClientError> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (socket, _) = client_async(format!("ws://{address}{path}"), stream).await?;
        Ok(Self { socket, events: VecDeque::new(), next_id: 1 })
    }

    /// Sends a request and waits for its response; what else comes meanwhile is kept for [`Client::next`].
    /// `params` is a JSON object, as [`sign_params`] or [`params`] build it.
    ///
    /// # Errors
    /// When the connection fails or ends.
    pub async fn request(&mut self, method: &str, params: &str) -> Result<Response, ClientError> {
        let id = self.next_id;
        self.next_id += 1;
        self.send(request_frame(id, method, params)).await?;
        self.flush().await?;
        loop {
            let message = self.receive().await?.ok_or(ClientError::Closed)?;
            match Response::parse(&message) {
                Some(response) if response.id.as_u64() == Some(id) => return Ok(response),
                _ if self.events.len() == MAX_EVENTS => return Err(ClientError::TooManyEvents),
                _ => self.events.push_back(message),
            }
        }
    }

    /// Queues a frame; [`Client::flush`] sends all queued frames with as few system calls as possible.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn send(&mut self, frame: impl Into<Utf8Bytes>) -> Result<(), ClientError> {
        Ok(self.socket.feed(Message::Text(frame.into())).await?)
    }

    /// Queues any WebSocket message.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn send_message(&mut self, message: Message) -> Result<(), ClientError> {
        Ok(self.socket.feed(message).await?)
    }

    /// Sends what is queued.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn flush(&mut self) -> Result<(), ClientError> {
        Ok(self.socket.flush().await?)
    }

    /// The next text message, events that were kept first; `None` once the server has ended the connection.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn next(&mut self) -> Result<Option<Utf8Bytes>, ClientError> {
        match self.events.pop_front() {
            Some(event) => Ok(Some(event)),
            None => self.receive().await,
        }
    }

    /// The socket itself, for those who want to split it into its two directions.
    pub fn into_inner(self) -> WebSocketStream<TcpStream> {
        self.socket
    }

    /// Ends the connection.
    ///
    /// # Errors
    /// When it has failed before.
    pub async fn close(mut self) -> Result<(), ClientError> {
        Ok(self.socket.close(None).await?)
    }

    async fn receive(&mut self) -> Result<Option<Utf8Bytes>, ClientError> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(Some(text)),
                Some(Ok(Message::Close(_))) | None => return Ok(None),
                // Pings are answered by the library as soon as something is sent or read.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }
}

/// A request as text.
pub fn request_frame(id: u64, method: &str, params: &str) -> String {
    format!("{{\"id\":{id},\"method\":\"{method}\",\"params\":{params}}}")
}

/// Unsigned parameters as a JSON object, all values as strings.
pub fn params(params: &[(&str, &str)]) -> String {
    object(params.iter().copied())
}

/// Parameters with api key and signature as a JSON object, all values as strings. `params` must hold the `timestamp`.
pub fn sign_params(key: &SigningKey, api_key: &str, params: &[(&str, &str)]) -> String {
    let mut sorted: Vec<(&str, &str)> = params.to_vec();
    sorted.push(("apiKey", api_key));
    sorted.sort_unstable();
    let mut text = String::with_capacity(384);
    for (index, (name, value)) in sorted.iter().enumerate() {
        if index > 0 {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    }
    let signature = STANDARD.encode(key.sign(text.as_bytes()).to_bytes());
    object(sorted.iter().copied().chain([("signature", signature.as_str())]))
}

fn object<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = vec![b'{'];
    for (index, (name, value)) in pairs.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_string(name, &mut out);
        out.push(b':');
        push_string(value, &mut out);
    }
    out.push(b'}');
    String::from_utf8(out).expect("strings and ASCII are UTF-8")
}
