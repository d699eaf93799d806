//! Opens the connections of a load: WebSocket or binary, each ready to be driven without a runtime.
//!
//! Sockets block while they are opened and never again. A binary session is opened in two passes, all logons first and
//! their answers then, since each is journaled before it is answered.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use lakh_gateway::binary_client::{Incoming, LogonOptions, Message, Requests, now};
use lakh_gateway::wire::sbe::session::LogonAccepted;
use tokio_tungstenite::tungstenite;

use crate::client::{Trader, host_and_path};
use crate::error::LoadtestError;
use crate::load::binary_answers::BinaryAnswers;
use crate::load::connection::{Answers, Connection, Ledger};
use crate::load::websocket_answers::WebSocketAnswers;
use crate::market_text::MarketText;

/// How long the venue may take to open a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest silence of a session, in milliseconds: the longest that the venue allows.
const HEARTBEAT_MS: u32 = 60_000;

/// How requests travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Signed JSON over the WebSocket API; many keys on one connection.
    WebSocket,
    /// SBE messages; each key has a session of its own.
    Binary,
}

pub(crate) fn open_socket(address: SocketAddr) -> Result<TcpStream, LoadtestError> {
    let failed = |error| LoadtestError::connection("connecting", error);
    let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    stream.set_read_timeout(Some(CONNECT_TIMEOUT)).map_err(failed)?;
    Ok(stream)
}

/// A socket that has shaken hands and still blocks.
pub(crate) fn open_websocket(url: &str) -> Result<TcpStream, LoadtestError> {
    let stream = open_socket(host_and_path(url)?.0)?;
    match tungstenite::client(url, stream) {
        Ok((socket, _)) => Ok(socket.into_inner()),
        Err(error) => Err(LoadtestError::connection("connecting", error)),
    }
}

/// A WebSocket connection that is driven from now on.
pub(crate) fn websocket_connection(
    url: &str,
    markets: &[MarketText],
    ledger: Ledger,
) -> Result<Connection, LoadtestError> {
    let stream = open_websocket(url)?;
    stream.set_nonblocking(true).map_err(|error| LoadtestError::connection("connecting", error))?;
    Ok(Connection::new(stream, Answers::WebSocket(WebSocketAnswers::new(markets.to_vec())), ledger))
}

/// A binary session that waits for the answer to its logon.
pub(crate) struct OpeningSession {
    stream: TcpStream,
    account: u32,
}

impl OpeningSession {
    /// Connects and asks for a trading session of `trader`, whose account is `account`.
    pub(crate) fn begin(
        address: SocketAddr,
        venue_tag: [u8; 16],
        (trader, account): (&Trader, u32),
    ) -> Result<Self, LoadtestError> {
        let mut stream = open_socket(address)?;
        let sender = format!("load-{account}");
        let options = LogonOptions { sender, heartbeat_ms: HEARTBEAT_MS, ..LogonOptions::new(venue_tag) };
        let mut requests = Requests::new(trader.signing_key().clone());
        requests.log_on(&options, now());
        stream.write_all(requests.bytes()).map_err(|error| LoadtestError::connection("logging on", error))?;
        Ok(Self { stream, account })
    }

    /// Waits for the venue's answer.
    pub(crate) fn finish(mut self) -> Result<OpenSession, LoadtestError> {
        let mut incoming = Incoming::new();
        // Shorter than the answer can never be overrun by what follows on it: nothing does before the first request.
        let mut buffer = [0; 512];
        loop {
            let message = incoming.next_message().map_err(|error| LoadtestError::connection("logging on", error))?;
            match message {
                Some(Message::LogonAccepted(accepted)) if accepted.account_id.get() == self.account => {
                    return Ok(OpenSession { stream: self.stream, incoming, accepted });
                }
                Some(other) => {
                    let account = self.account;
                    return Err(LoadtestError::Protocol(format!("the logon of account {account} got {other:?}")));
                }
                None => {}
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(LoadtestError::connection("logging on", "the venue closed it")),
                Ok(count) => incoming.feed(&buffer[..count]),
                Err(error) => return Err(LoadtestError::connection("logging on", error)),
            }
        }
    }
}

/// An open session that still blocks.
pub(crate) struct OpenSession {
    pub(crate) stream: TcpStream,
    pub(crate) incoming: Incoming,
    pub(crate) accepted: LogonAccepted,
}

impl OpenSession {
    /// The session as a connection that is driven from now on.
    pub(crate) fn into_connection(self, ledger: Ledger) -> Result<Connection, LoadtestError> {
        let failed = |error| LoadtestError::connection("connecting", error);
        self.stream.set_nonblocking(true).map_err(failed)?;
        let answers = BinaryAnswers::new(self.incoming, self.accepted.last_account_sequence.get());
        Ok(Connection::new(self.stream, Answers::Binary(Box::new(answers)), ledger))
    }
}

/// Opens a session of each of these keys, whose accounts are numbered from `first_account`.
pub(crate) fn open_sessions(
    address: SocketAddr,
    venue_tag: [u8; 16],
    traders: &[Trader],
) -> Result<Vec<OpenSession>, LoadtestError> {
    let begun =
        (1..).zip(traders).map(|(account, trader)| OpeningSession::begin(address, venue_tag, (trader, account)));
    let begun: Vec<OpeningSession> = begun.collect::<Result<_, _>>()?;
    begun.into_iter().map(OpeningSession::finish).collect()
}
