//! The gateway as a whole: one listening socket, its connections, and the verifiers behind them.
//!
//! Bounds: connections in all and of one address, time for a handshake, size of everything that a connection queues.
//! A stop is announced to every session, waits for requests in flight, and then ends the verifiers, so that nothing
//! that was acknowledged to the sequencer's ring is lost.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use lakh_engine::units::Timestamp;
use rtrb::Producer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::binary;
use crate::counters::Counters;
use crate::directory::Directory;
use crate::hand_over::{Input, Signal};
use crate::limits::{AddressBook, AddressLimits, AddressPermit, Rate, TokenBucket};
use crate::presence::Presence;
use crate::rest;
use crate::session::{SessionContext, SessionOptions, Standing};
use crate::verifier::{ReadDigests, Verifier, VerifierOptions, VerifierQueue, VerifierWiring};

/// How long a stop waits for connections to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// Largest head of an HTTP request, in bytes.
const MAX_HTTP_HEAD: usize = 16 * 1_024;
/// How long is waited after the operating system had no socket to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a gateway is set up.
#[derive(Clone, Copy, Debug)]
pub struct GatewayOptions {
    /// Where it listens; port 0 for any.
    pub listen: SocketAddr,
    /// Connections at once, of all addresses together.
    pub connections: usize,
    /// Limits of one address.
    pub address: AddressLimits,
    /// Time for an HTTP request's head, and so for a handshake.
    pub handshake_timeout: Duration,
    /// Messages that wait for one client before it is dropped as too slow.
    pub outbox: usize,
    /// Bounds of each session.
    pub session: SessionOptions,
    /// Bounds of each verifier.
    pub verifier: VerifierOptions,
    /// Digests of signed questions remembered in about a minute.
    pub read_digests: usize,
    /// Where the binary face listens, if at all; port 0 for any.
    pub binary_listen: Option<SocketAddr>,
    /// Bytes that wait for one client of the binary face before it is dropped as too slow.
    pub binary_outbox_bytes: usize,
    /// Tells the time.
    pub clock: fn() -> Timestamp,
}

impl GatewayOptions {
    /// Generous bounds, listening at `listen`.
    pub fn new(listen: SocketAddr) -> Self {
        let requests = Rate { per_second: 500_000, burst: 500_000 };
        Self {
            listen,
            connections: 4_096,
            address: AddressLimits { connections: 1_024, requests, addresses: 65_536 },
            handshake_timeout: Duration::from_secs(10),
            outbox: 4_096,
            session: SessionOptions::default(),
            verifier: VerifierOptions::default(),
            read_digests: 262_144,
            binary_listen: None,
            binary_outbox_bytes: 16 << 20,
            clock: system_time,
        }
    }
}

/// What a gateway is connected to.
#[derive(Debug)]
pub struct Wiring {
    /// One ring for each verifier: at least one.
    pub to_sequencer: Vec<Producer<Input>>,
    /// What wakes the sequencer.
    pub sequencer_signal: Arc<Signal>,
    /// Markets and keys.
    pub directory: Arc<Directory>,
    /// What is counted.
    pub counters: Arc<Counters>,
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// The address is taken, or is none of this machine's.
    #[error("cannot listen at {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// No thread for a verifier.
    #[error("cannot start a verifier")]
    Thread(#[source] std::io::Error),
    /// No randomness for a verifier.
    #[error("the operating system has no randomness: {0}")]
    Randomness(getrandom::Error),
    /// No ring to the sequencer.
    #[error("a gateway needs a ring to the sequencer")]
    NoRing,
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    binary_address: Option<SocketAddr>,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    accepting: Vec<tokio::task::JoinHandle<()>>,
    verifiers: Vec<JoinHandle<()>>,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    options: GatewayOptions,
    sessions: Arc<SessionContext>,
    addresses: AddressBook,
    connections: Arc<Semaphore>,
    next_verifier: AtomicUsize,
    counters: Arc<Counters>,
    stop: watch::Receiver<bool>,
}

/// One connection, for as long as any request or session of it lives.
#[derive(Debug)]
pub(crate) struct Peer {
    shared: Arc<Shared>,
    verifier: VerifierQueue,
    address: AddressPermit,
    /// Of requests over HTTP; a session counts its own.
    bad_signatures: AtomicU32,
    /// Whether a signature over HTTP was accepted.
    proven: AtomicBool,
    _counted: OwnedSemaphorePermit,
}

impl Peer {
    pub(crate) fn sessions(&self) -> Arc<SessionContext> {
        Arc::clone(&self.shared.sessions)
    }

    pub(crate) fn verifier(&self) -> VerifierQueue {
        self.verifier.clone()
    }

    pub(crate) fn address_budget(&self) -> Arc<TokenBucket> {
        self.address.requests()
    }

    pub(crate) fn shutdown(&self) -> watch::Receiver<bool> {
        self.shared.stop.clone()
    }

    pub(crate) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }

    pub(crate) fn clock(&self) -> fn() -> Timestamp {
        self.shared.options.clock
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.shared.options.clock)()
    }

    /// Counts a signature that was not accepted; true when the connection has had its last.
    pub(crate) fn note_bad_signature(&self) -> bool {
        let before = self.bad_signatures.fetch_add(1, Ordering::Relaxed);
        before.saturating_add(1) >= self.shared.options.session.bad_signatures
    }

    /// Whether the connection's signatures may share a batch with others.
    pub(crate) fn standing(&self) -> Standing {
        match (self.bad_signatures.load(Ordering::Relaxed), self.proven.load(Ordering::Relaxed)) {
            (0, false) => Standing::Unproven,
            (0, true) => Standing::Good,
            _ => Standing::Suspect,
        }
    }

    /// A signature over HTTP was accepted.
    pub(crate) fn note_good_signature(&self) {
        self.proven.store(true, Ordering::Relaxed);
    }

    pub(crate) fn binary_outbox_bytes(&self) -> usize {
        self.shared.options.binary_outbox_bytes
    }

    pub(crate) fn outbox_capacity(&self) -> usize {
        self.shared.options.outbox.max(1)
    }
}

impl Gateway {
    /// Binds, starts the verifiers, and serves on the current tokio runtime.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn start(options: GatewayOptions, wiring: Wiring) -> Result<Self, GatewayError> {
        let (listener, address) = bind(options.listen).await?;
        let binary = match options.binary_listen {
            Some(listen) => Some(bind(listen).await?),
            None => None,
        };
        let counters = wiring.counters;
        let (queues, verifiers) = start_verifiers(&options, wiring.to_sequencer, &wiring.sequencer_signal, &counters)?;
        let (stop, stopped) = watch::channel(false);
        // What sessions tell of it is what the verifiers keep.
        let session = SessionOptions { orders_per_key: options.verifier.orders_per_key, ..options.session };
        let presence = Arc::new(Presence::default());
        let directory = wiring.directory;
        let sessions = SessionContext { directory, options: session, presence, started_at: (options.clock)() };
        let shared = Arc::new(Shared {
            options,
            sessions: Arc::new(sessions),
            addresses: AddressBook::new(options.address),
            connections: Arc::new(Semaphore::new(options.connections.min(Semaphore::MAX_PERMITS))),
            next_verifier: AtomicUsize::new(0),
            counters,
            stop: stopped,
        });
        let binary_address = binary.as_ref().map(|(_, address)| *address);
        let faces = [(Face::Http, Some(listener)), (Face::Binary, binary.map(|(listener, _)| listener))];
        let accepting = faces.into_iter().filter_map(|(face, listener)| {
            Some(tokio::spawn(accept((face, listener?), Arc::clone(&shared), queues.clone())))
        });
        let accepting = accepting.collect();
        Ok(Self { address, binary_address, shared, stop, accepting, verifiers })
    }

    /// Where the binary face listens, if it does.
    pub const fn binary_address(&self) -> Option<SocketAddr> {
        self.binary_address
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has done so far.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }

    /// Connections right now.
    pub fn connections(&self) -> usize {
        self.shared.options.connections.saturating_sub(self.shared.connections.available_permits())
    }

    /// Tells every session that the server stops, takes no more connections or requests, waits for answers in flight
    /// (at most 15 seconds), and ends the verifiers.
    pub async fn shutdown(self) {
        let Self { shared, stop, accepting, verifiers, .. } = self;
        let _ = stop.send(true);
        for task in accepting {
            let _ = task.await;
        }
        let all = u32::try_from(shared.options.connections).unwrap_or(u32::MAX);
        let drained = tokio::time::timeout(STOP_TIMEOUT, shared.connections.acquire_many(all)).await;
        if drained.is_err() {
            // The verifiers end with the last session, which the runtime drops.
            tracing::warn!("connections did not end in time");
            return;
        }
        let joined = tokio::task::spawn_blocking(move || verifiers.into_iter().for_each(|one| drop(one.join())));
        let _ = joined.await;
    }
}

type Verifiers = (Vec<VerifierQueue>, Vec<JoinHandle<()>>);

fn start_verifiers(
    options: &GatewayOptions,
    rings: Vec<Producer<Input>>,
    signal: &Arc<Signal>,
    counters: &Arc<Counters>,
) -> Result<Verifiers, GatewayError> {
    if rings.is_empty() {
        return Err(GatewayError::NoRing);
    }
    let read_digests = Arc::new(ReadDigests::new(options.read_digests));
    let mut queues = Vec::with_capacity(rings.len());
    let mut threads = Vec::with_capacity(rings.len());
    for to_sequencer in rings {
        let wiring = VerifierWiring {
            to_sequencer,
            sequencer_signal: Arc::clone(signal),
            read_digests: Arc::clone(&read_digests),
            clock: options.clock,
            counters: Arc::clone(counters),
        };
        let verifier = Verifier::new(options.verifier, wiring).map_err(GatewayError::Randomness)?;
        let (queue, thread) = verifier.spawn().map_err(GatewayError::Thread)?;
        queues.push(queue);
        threads.push(thread);
    }
    Ok((queues, threads))
}

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Face {
    /// HTTP and WebSocket.
    Http,
    /// SBE messages in SOFH frames.
    Binary,
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), GatewayError> {
    let failed = |source| GatewayError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Takes connections until the stop. Who is over a limit is disconnected without a word: words cost.
async fn accept((face, listener): (Face, TcpListener), shared: Arc<Shared>, queues: Vec<VerifierQueue>) {
    let mut stop = shared.stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Ok((stream, remote)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let counted = Arc::clone(&shared.connections).try_acquire_owned().ok();
        let admitted = counted.and_then(|counted| Some((counted, shared.addresses.admit(remote.ip())?)));
        let Some((counted, address)) = admitted else {
            shared.counters.connections_refused.count();
            continue;
        };
        shared.counters.connections_accepted.count();
        let next = shared.next_verifier.fetch_add(1, Ordering::Relaxed) % queues.len();
        let verifier = queues[next].clone();
        let (bad_signatures, proven) = (AtomicU32::new(0), AtomicBool::new(false));
        let peer = Peer { shared: Arc::clone(&shared), verifier, address, bad_signatures, proven, _counted: counted };
        match face {
            Face::Http => tokio::spawn(serve(stream, Arc::new(peer))),
            Face::Binary => tokio::spawn(serve_binary(stream, Arc::new(peer))),
        };
    }
}

/// Serves the binary face on a connection until it ends.
async fn serve_binary(stream: TcpStream, peer: Arc<Peer>) {
    // Without it a report would wait for the acknowledgement of the one before.
    if stream.set_nodelay(true).is_ok() {
        binary::serve(stream, peer).await;
    }
}

/// Serves HTTP on a connection until it ends or becomes a WebSocket.
async fn serve(stream: TcpStream, peer: Arc<Peer>) {
    // Without it an answer would wait for the acknowledgement of the one before.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut stop = peer.shutdown();
    let timeout = peer.shared.options.handshake_timeout;
    let service = TowerToHyperService::new(rest::router(peer));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeout)
        .max_buf_size(MAX_HTTP_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// The machine's clock.
fn system_time() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
