//! The reference client of the binary face: what a market maker's program needs, and nothing that the protocol's document
//! does not say.
//!
//! [`Requests`] signs and writes, [`Incoming`] reads and checks, both without a socket; [`BinaryClient`] puts them on a
//! tokio connection. Requests are collected and sent by [`BinaryClient::flush`], so that many leave with one call of the
//! system. [`PublicBook`] is a market's book by order as the feed tells it.
//! Bounds: a frame is at most [`crate::wire::sbe::MAX_FRAME_BYTES`]; nothing is kept but what the socket gave.

mod book;
mod message;
mod requests;

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use lakh_engine::units::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

pub use self::book::{BookError, PublicBook};
pub use self::message::{Incoming, Message};
pub use self::requests::{LogonOptions, Requests};

use crate::wire::sbe::encode::name_of;
use crate::wire::sbe::enums::Code;
use crate::wire::sbe::session::LogonAccepted;

/// How long the venue may take to answer a logon.
const LOGON_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes that are read at once.
const READ_BYTES: usize = 256 * 1_024;

/// Why a client cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BinaryClientError {
    /// The connection failed.
    #[error("the connection failed")]
    Connection(#[from] std::io::Error),
    /// The venue closed the connection without a word.
    #[error("the venue closed the connection")]
    Closed,
    /// The venue said goodbye, or did not take a message.
    #[error("the venue ended the session: {code} {}", name_of(*.code))]
    Ended {
        /// Why, 0 for no trouble.
        code: u16,
    },
    /// What the venue sent cannot be read.
    #[error("the venue sent what is no message: {}", .0.name())]
    Unreadable(Code),
    /// A message of the venue is missing.
    #[error("message {found} of the venue follows on {last}")]
    Gap {
        /// The last message.
        last: u64,
        /// The one that came.
        found: u64,
    },
    /// No answer in time.
    #[error("the venue did not answer in time")]
    TimedOut,
}

/// A client with its connection.
#[derive(Debug)]
pub struct BinaryClient {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    requests: Requests,
    incoming: Incoming,
    buffer: Vec<u8>,
}

impl BinaryClient {
    /// Connects and logs on.
    ///
    /// # Errors
    /// See [`BinaryClientError`]; [`BinaryClientError::Ended`] when the logon is refused.
    pub async fn connect(
        address: SocketAddr,
        key: &SigningKey,
        options: &LogonOptions,
    ) -> Result<(Self, LogonAccepted), BinaryClientError> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let mut requests = Requests::new(key.clone());
        requests.log_on(options, now());
        let buffer = vec![0; READ_BYTES];
        let mut client = Self { reader, writer, requests, incoming: Incoming::new(), buffer };
        client.flush().await?;
        let answer = timeout(LOGON_TIMEOUT, client.next()).await.map_err(|_| BinaryClientError::TimedOut)??;
        match answer {
            Message::LogonAccepted(accepted) => {
                client.requests.logged_on(&accepted);
                Ok((client, accepted))
            }
            _ => Err(BinaryClientError::Unreadable(Code::NotLoggedOn)),
        }
    }

    /// What is to be sent with the next flush.
    pub const fn requests(&mut self) -> &mut Requests {
        &mut self.requests
    }

    /// Sends what is collected.
    ///
    /// # Errors
    /// [`BinaryClientError::Connection`].
    pub async fn flush(&mut self) -> Result<(), BinaryClientError> {
        self.writer.write_all(self.requests.bytes()).await?;
        self.requests.clear();
        Ok(())
    }

    /// The next message. What keeps the session alive is answered on the way; to be called at least once within the
    /// heartbeat interval.
    ///
    /// # Errors
    /// See [`BinaryClientError`]; [`BinaryClientError::Ended`] with the reason when the venue ends the session.
    pub async fn next(&mut self) -> Result<Message, BinaryClientError> {
        loop {
            if let Some(message) = self.incoming.next()? {
                match message {
                    Message::Heartbeat(_) => self.requests.heartbeat(0, now()),
                    Message::TestRequest(test) => self.requests.heartbeat(test.test_id.get(), now()),
                    Message::Logout(logout) => return Err(BinaryClientError::Ended { code: logout.code.get() }),
                    Message::Reject(reject) => return Err(BinaryClientError::Ended { code: reject.code.get() }),
                    message => return Ok(message),
                }
                self.flush().await?;
                continue;
            }
            match self.reader.read(&mut self.buffer).await? {
                0 => return Err(BinaryClientError::Closed),
                count => self.incoming.feed(&self.buffer[..count]),
            }
        }
    }

    /// The next message that is there already.
    ///
    /// # Errors
    /// As [`BinaryClient::next`].
    pub fn ready(&mut self) -> Result<Option<Message>, BinaryClientError> {
        self.incoming.next()
    }
}

/// The machine's clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
