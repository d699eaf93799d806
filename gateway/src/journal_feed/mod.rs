//! The journal given out, so that anyone can check every fill: to watchers at once, to the public later.
//!
//! A port of its own over HTTP: which segments there are, and their bytes in order, up to a horizon for each of the two
//! audiences. Watchers sign each request with a key that the venue's operator has listed; who has none is shown what the
//! public may see by now. A reader asks again behind what it has, so the venue keeps nothing for it, and an interruption
//! costs one request.
//!
//! ```text
//! journal's files ◀── horizons ◀── durable and stable sequence, final sequence, clock
//!        └──▶ segments, bytes ──▶ pace ──▶ sockets
//! ```
//!
//! Invariants: nothing is sent that is not durable and on stable storage, so no power cut makes a mirror contradict the
//! journal; nothing of it is asked of the threads that trade, and everything runs as tasks of whichever thread polls
//! [`JournalFeed::serve`]. Bounds: [`NEWCOMERS`] connections that have not said who they are, so many of each watcher and
//! of the public as the options say; of each connection one piece of [`PIECE_BYTES`] and the socket's buffer; bytes a
//! second by watcher and of the public as a whole; a reader without progress is let go.

mod admission;
mod answers;
mod connection;
mod refused;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lakh_engine::command::Mode;
use lakh_engine::units::Timestamp;
use lakh_journal::JournalError;
use lakh_journal::horizon::{Horizon, Limit};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use self::refused::{REFUSAL_BYTES, Refused};

use self::admission::{Audience, Readers};
use crate::auth::signature::VerifyingKey;
use crate::counters::Counter;
use crate::limits::{AddressBook, AddressLimits, Rate};
use crate::server::SecureListener;
use crate::tls::Transport;

/// Connections that have not said yet who they are.
pub const NEWCOMERS: usize = 64;
/// Bytes that are read and handed to a socket at once.
pub const PIECE_BYTES: usize = 64 * 1_024;
/// Bytes of one answer at most; a reader asks again.
const ANSWER_BYTES: u64 = 8 << 20;
/// Connections of one address, whoever they are.
pub const CONNECTIONS_PER_ADDRESS: u32 = 32;
/// Requests of one address: one that follows asks some tens of times a second.
const REQUESTS_PER_ADDRESS: Rate = Rate { per_second: 200, burst: 400 };
/// Addresses that are remembered.
const ADDRESSES: usize = 4_096;
/// Connections that the system holds until they are taken.
const BACKLOG: u32 = 64;
/// Bytes of a connection that the system may hold on their way.
const SEND_BUFFER_BYTES: u32 = 256 * 1_024;
/// How long is waited after the operating system had no socket to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// When the public is shown a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicAccess {
    /// Never.
    Never,
    /// When the batch that covers it is final on the chain.
    WhenFinal,
    /// So long after its block was sealed.
    Delayed(Duration),
}

/// How the journal is given out.
#[derive(Debug)]
pub struct FeedOptions {
    /// The journal's directory.
    pub directory: PathBuf,
    /// In front of each api key.
    pub venue_tag: [u8; 16],
    /// Whether bare keys will do.
    pub mode: Mode,
    /// Who may have it at once: name and key.
    pub watchers: Vec<(String, VerifyingKey)>,
    /// Connections of each watcher; from one address at most [`CONNECTIONS_PER_ADDRESS`].
    pub connections_per_watcher: usize,
    /// Bytes a second of each watcher: 65,536 ..= 2^30.
    pub bytes_per_second_per_watcher: u32,
    /// When others may have it.
    pub public: PublicAccess,
    /// Connections of all others together.
    pub public_connections: usize,
    /// Connections of others from one address.
    pub public_connections_per_address: u32,
    /// Bytes a second of all others together: 65,536 ..= 2^30.
    pub public_bytes_per_second: u32,
    /// How long a reader may make no progress.
    pub patience: Duration,
    /// Tells the time.
    pub clock: fn() -> Timestamp,
}

/// How far the journal has come.
pub struct Progress {
    /// The last record that may leave the process.
    pub durable: Box<dyn Fn() -> u64 + Send + Sync>,
    /// The last record of the last batch that is final; 0 without any.
    pub last_final: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Progress").finish_non_exhaustive()
    }
}

/// Why the journal cannot be given out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The address is taken, or is none of this machine's.
    #[error("watchers cannot be listened for at {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// What was given out so far.
#[derive(Debug, Default)]
pub struct FeedCounters {
    /// Connections over a limit, ended without a word.
    pub connections_refused: Counter,
    /// Requests.
    pub requests: Counter,
    /// Requests that were refused.
    pub requests_refused: Counter,
    /// Readers that made no progress and were let go.
    pub readers_let_go: Counter,
    /// Bytes of the journal that went to watchers.
    pub watcher_bytes: Counter,
    /// Bytes of the journal that went to others.
    pub public_bytes: Counter,
}

/// What can be seen of a feed from outside.
#[derive(Clone, Debug)]
pub struct FeedWatch(Arc<Shared>);

impl FeedWatch {
    /// What it has done so far.
    pub fn counters(&self) -> &FeedCounters {
        &self.0.counters
    }

    /// Readers right now: watchers, and others.
    pub fn readers(&self) -> (usize, usize) {
        self.0.readers.now()
    }
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    options: FeedOptions,
    progress: Progress,
    readers: Readers,
    addresses: AddressBook,
    /// For watchers, and for others.
    horizons: [Mutex<Horizon>; 2],
    counters: FeedCounters,
    stop: watch::Receiver<bool>,
}

impl Shared {
    /// Moves an audience's horizon as far as it may stand now. Long ways take several turns, between which others are
    /// served.
    async fn look_again(&self, audience: Audience) -> Result<(), JournalError> {
        while self.horizons[audience as usize].lock().advance(self.limit(audience))? {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn limit(&self, audience: Audience) -> Limit {
        let through_sequence = (self.progress.durable)();
        let durable = Limit { through_sequence, sealed_through_ns: u64::MAX };
        match (audience, self.options.public) {
            (Audience::Watchers, _) => durable,
            (Audience::Public, PublicAccess::Never) => Limit { through_sequence: 0, sealed_through_ns: 0 },
            (Audience::Public, PublicAccess::WhenFinal) => {
                Limit { through_sequence: through_sequence.min((self.progress.last_final)()), ..durable }
            }
            (Audience::Public, PublicAccess::Delayed(delay)) => {
                let delay = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
                Limit { sealed_through_ns: (self.options.clock)().0.saturating_sub(delay), ..durable }
            }
        }
    }
}

/// A feed that listens.
#[derive(Debug)]
pub struct JournalFeed {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    doors: Vec<(TcpListener, Transport)>,
    address: SocketAddr,
    secure_address: Option<SocketAddr>,
}

impl JournalFeed {
    /// Binds on the current tokio runtime. The journal must have been opened, and what a start wrote be durable.
    ///
    /// # Errors
    /// See [`FeedError`].
    pub fn bind(
        options: FeedOptions,
        progress: Progress,
        listen: SocketAddr,
        secure: Option<SecureListener>,
    ) -> Result<Self, FeedError> {
        let horizon = || Ok::<_, JournalError>(Mutex::new(Horizon::open(&options.directory)?));
        let horizons = [horizon()?, horizon()?];
        let (plain, address) = bind(listen)?;
        let mut doors = vec![(plain, Transport::Plain)];
        let mut secure_address = None;
        if let Some(SecureListener { listen, tls }) = secure {
            let (listener, address) = bind(listen)?;
            doors.push((listener, Transport::Tls(tls)));
            secure_address = Some(address);
        }
        let (stop, stopped) = watch::channel(false);
        let addresses = AddressBook::new(AddressLimits {
            connections: CONNECTIONS_PER_ADDRESS,
            requests: REQUESTS_PER_ADDRESS,
            addresses: ADDRESSES,
        });
        let readers = Readers::new(&options);
        let counters = FeedCounters::default();
        let shared = Shared { options, progress, readers, addresses, horizons, counters, stop: stopped };
        Ok(Self { shared: Arc::new(shared), stop, doors, address, secure_address })
    }

    /// Where it listens in plain text.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens with TLS, if it does.
    pub const fn secure_address(&self) -> Option<SocketAddr> {
        self.secure_address
    }

    /// What can be seen of it while it runs.
    pub fn watch(&self) -> FeedWatch {
        FeedWatch(Arc::clone(&self.shared))
    }

    /// Serves until `end`; then every connection ends, wherever it is: readers go on behind what they have.
    pub async fn serve(self, end: impl Future<Output = ()>) {
        let Self { shared, stop, doors, .. } = self;
        let mut accepting = JoinSet::new();
        for (listener, transport) in doors {
            accepting.spawn(accept(listener, transport, Arc::clone(&shared)));
        }
        end.await;
        let _ = stop.send(true);
        while accepting.join_next().await.is_some() {}
    }
}

fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), FeedError> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    listen().map_err(|source| FeedError::Listen { address, source })
}

/// Takes connections until the stop, and ends those that are left. Who is over a limit is disconnected without a word.
async fn accept(listener: TcpListener, transport: Transport, shared: Arc<Shared>) {
    let mut stop = shared.stop.clone();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Ok((stream, remote)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        match connection::Peer::admit(&shared, remote) {
            Some(peer) => drop(connections.spawn(connection::serve(stream, transport.clone(), peer))),
            None => shared.counters.connections_refused.count(),
        }
    }
}

#[cfg(test)]
mod tests;
