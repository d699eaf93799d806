//! The gateway as a whole: its listening sockets, their connections, and the verifiers behind them.
//!
//! Bounds: connections in all and of one address, time for a handshake, size of everything that a connection queues.
//! A stop is announced to every session, waits for requests in flight, and then ends the verifiers that have threads of
//! their own, so that nothing that was acknowledged to the sequencer's ring is lost.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use lakh_engine::ids::KeyId;
use lakh_engine::units::Timestamp;
use rtrb::Producer;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::binary;
use crate::counters::Counters;
use crate::directory::Directory;
use crate::hand_over::{Input, OutboxLimits, Signal};
use crate::key_budgets::{KeyBudgets, KeyLimits};
use crate::limits::{AddressBook, AddressLimits, AddressPermit, Rate, TokenBucket};
use crate::presence::Presence;
use crate::rest;
use crate::session::{SessionContext, SessionOptions, Standing};
use crate::signal::alone;
use crate::tls::{Socket, Tls, Transport};
use crate::verifier::{ReadDigests, Verifier, VerifierOptions, VerifierQueue, VerifierStage, VerifierWiring};
use crate::websocket::SocketLimits;
use crate::wire::json::envelope::MAX_FRAME;
use crate::wire::json::response::OrderBudgets;

/// How long a stop waits for connections to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// Largest head of an HTTP request, in bytes.
const MAX_HTTP_HEAD: usize = 16 * 1_024;
/// Connections that the system holds until they are taken.
const BACKLOG: u32 = 1_024;
/// How long is waited after the operating system had no socket to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a gateway is set up.
#[derive(Clone, Copy, Debug)]
pub struct GatewayOptions {
    /// Where it listens in plain text, which is for loopback; port 0 for any.
    pub listen: SocketAddr,
    /// Connections at once, of all addresses together.
    pub connections: usize,
    /// Limits of one address.
    pub address: AddressLimits,
    /// Time for an HTTP request's head, and so for a handshake.
    pub handshake_timeout: Duration,
    /// What waits for one client at most before it is dropped as too slow.
    pub outbox: OutboxLimits,
    /// Longest WebSocket message of a client, in bytes: 1 ..= [`MAX_FRAME`].
    pub frame_bytes: usize,
    /// How long a client may take to read what is sent.
    pub write_timeout: Duration,
    /// Bytes of a connection that the system may hold on their way to the client; without a bound it takes megabytes of
    /// what a silent client does not read.
    pub send_buffer_bytes: u32,
    /// What each key may ask for.
    pub keys: KeyLimits,
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
    /// What each thread that the gateway starts does first.
    pub thread_start: fn(),
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
            outbox: OutboxLimits { messages: 4_096, bytes: 4 << 20 },
            frame_bytes: MAX_FRAME,
            write_timeout: Duration::from_secs(10),
            send_buffer_bytes: 256 << 10,
            keys: KeyLimits::default(),
            session: SessionOptions::default(),
            verifier: VerifierOptions::default(),
            read_digests: 262_144,
            binary_listen: None,
            binary_outbox_bytes: 16 << 20,
            clock: system_time,
            thread_start: || (),
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
    /// Where it listens with TLS besides, if it does.
    pub secure: Option<SecureListener>,
    /// Where the binary face does.
    pub secure_binary: Option<SecureListener>,
}

/// Who runs the verifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verifying {
    /// Threads of their own.
    Threads,
    /// The caller, on the sequencer's signal.
    Caller,
}

/// A listener with TLS.
#[derive(Clone, Debug)]
pub struct SecureListener {
    /// Where; port 0 for any.
    pub listen: SocketAddr,
    /// With which certificate.
    pub tls: Tls,
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
    secure_address: Option<SocketAddr>,
    binary_address: Option<SocketAddr>,
    secure_binary_address: Option<SocketAddr>,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    accepting: tokio::task::JoinSet<()>,
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
    remote: SocketAddr,
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

    /// Where the client is.
    pub(crate) const fn remote(&self) -> SocketAddr {
        self.remote
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

    /// What the connection's WebSocket has to keep to.
    pub(crate) fn socket_limits(&self) -> SocketLimits {
        let GatewayOptions { outbox, frame_bytes, write_timeout, .. } = self.shared.options;
        SocketLimits { outbox, frame_bytes, write_timeout }
    }

    /// What a key has used of its orders' budget.
    pub(crate) fn order_budgets(&self, key: KeyId) -> OrderBudgets {
        self.shared.sessions.key_budgets.order_budgets(key, self.now())
    }

    pub(crate) fn binary_outbox_bytes(&self) -> usize {
        self.shared.options.binary_outbox_bytes
    }
}

impl Gateway {
    /// Binds, starts the verifiers on threads of their own, and serves on the current tokio runtime.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn start(options: GatewayOptions, wiring: Wiring) -> Result<Self, GatewayError> {
        let thread_start = options.thread_start;
        let (mut gateway, stages) = Self::open(options, wiring, Verifying::Threads).await?;
        for stage in stages {
            let thread = std::thread::Builder::new().name("verifier".to_owned()).spawn(move || {
                thread_start();
                alone(stage.run());
            });
            gateway.verifiers.push(thread.map_err(GatewayError::Thread)?);
        }
        Ok(gateway)
    }

    /// The same with verifiers that the caller turns: the sequencer's signal tells of their work too. They have to be
    /// turned for as long as the gateway lives.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub async fn start_with_verifiers(
        options: GatewayOptions,
        wiring: Wiring,
    ) -> Result<(Self, Vec<VerifierStage>), GatewayError> {
        Self::open(options, wiring, Verifying::Caller).await
    }

    async fn open(
        options: GatewayOptions,
        wiring: Wiring,
        verifying: Verifying,
    ) -> Result<(Self, Vec<VerifierStage>), GatewayError> {
        let buffer = options.send_buffer_bytes;
        let plain = Some(bind(options.listen, Face::Http, buffer)?);
        let secure = bind_secure(wiring.secure, Face::Http, buffer)?;
        let binary = options.binary_listen.map(|listen| bind(listen, Face::Binary, buffer)).transpose()?;
        let secure_binary = bind_secure(wiring.secure_binary, Face::Binary, buffer)?;
        let counters = wiring.counters;
        let sessions = SessionContext {
            directory: wiring.directory,
            options: options.session,
            key_budgets: Arc::new(KeyBudgets::new(options.keys)),
            counters: Arc::clone(&counters),
            presence: Arc::new(Presence::default()),
            started_at: (options.clock)(),
        };
        let rings = (wiring.to_sequencer, &wiring.sequencer_signal);
        let (queues, stages) = verifiers(&options, rings, &sessions, verifying)?;
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared {
            options,
            sessions: Arc::new(sessions),
            addresses: AddressBook::new(options.address),
            connections: Arc::new(Semaphore::new(options.connections.min(Semaphore::MAX_PERMITS))),
            next_verifier: AtomicUsize::new(0),
            counters,
            stop: stopped,
        });
        let mut accepting = tokio::task::JoinSet::new();
        let mut open = |bound: Option<Bound>| {
            let Bound { door, listener, address } = bound?;
            accepting.spawn(accept(listener, door, Arc::clone(&shared), queues.clone()));
            Some(address)
        };
        let address = open(plain).expect("it was bound above");
        let (secure_address, binary_address, secure_binary_address) = (open(secure), open(binary), open(secure_binary));
        let verifiers = Vec::with_capacity(stages.len());
        let gateway =
            Self { address, secure_address, binary_address, secure_binary_address, shared, stop, accepting, verifiers };
        Ok((gateway, stages))
    }

    /// Where the binary face listens with TLS, if it does.
    pub const fn secure_binary_address(&self) -> Option<SocketAddr> {
        self.secure_binary_address
    }

    /// Where the binary face listens, if it does.
    pub const fn binary_address(&self) -> Option<SocketAddr> {
        self.binary_address
    }

    /// Where it listens in plain text.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens with TLS, if it does.
    pub const fn secure_address(&self) -> Option<SocketAddr> {
        self.secure_address
    }

    /// What it has done so far.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }

    /// Connections right now.
    pub fn connections(&self) -> usize {
        self.watch().connections()
    }

    /// What can be seen of it from outside, also by whoever outlives it.
    pub fn watch(&self) -> GatewayWatch {
        GatewayWatch(Arc::clone(&self.shared))
    }

    /// Tells every session that the server stops, takes no more connections or requests, waits for answers in flight
    /// (at most 15 seconds), and ends the verifiers.
    pub async fn shutdown(self) {
        let Self { shared, stop, mut accepting, verifiers, .. } = self;
        let _ = stop.send(true);
        while accepting.join_next().await.is_some() {}
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

/// A view of a gateway for whoever watches it.
#[derive(Clone, Debug)]
pub struct GatewayWatch(Arc<Shared>);

impl GatewayWatch {
    /// What it has done so far.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Connections right now.
    pub fn connections(&self) -> usize {
        self.0.options.connections.saturating_sub(self.0.connections.available_permits())
    }

    /// Connections at most.
    pub fn connections_max(&self) -> usize {
        self.0.options.connections
    }
}

/// A listener that nobody is taken from yet.
struct Bound {
    door: Door,
    listener: TcpListener,
    address: SocketAddr,
}

/// In plain text. Connections have the listener's send buffer.
fn bind(address: SocketAddr, face: Face, send_buffer_bytes: u32) -> Result<Bound, GatewayError> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A start behind a crash must not wait until the system has forgotten the connections before it.
        socket.set_reuseaddr(true)?;
        socket.set_send_buffer_size(send_buffer_bytes)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        Ok((listener.local_addr()?, listener))
    };
    let (address, listener) = listen().map_err(|source| GatewayError::Listen { address, source })?;
    Ok(Bound { door: Door { face, transport: Transport::Plain }, listener, address })
}

/// With TLS, where it is asked for.
fn bind_secure(
    wanted: Option<SecureListener>,
    face: Face,
    send_buffer_bytes: u32,
) -> Result<Option<Bound>, GatewayError> {
    let Some(SecureListener { listen, tls }) = wanted else { return Ok(None) };
    let bound = bind(listen, face, send_buffer_bytes)?;
    Ok(Some(Bound { door: Door { face, transport: Transport::Tls(tls) }, ..bound }))
}

/// A verifier for each ring, and the queues into them.
fn verifiers(
    options: &GatewayOptions,
    (rings, sequencer_signal): (Vec<Producer<Input>>, &Arc<Signal>),
    sessions: &SessionContext,
    verifying: Verifying,
) -> Result<(Vec<VerifierQueue>, Vec<VerifierStage>), GatewayError> {
    if rings.is_empty() {
        return Err(GatewayError::NoRing);
    }
    let read_digests = Arc::new(ReadDigests::new(options.read_digests));
    let mut made = (Vec::with_capacity(rings.len()), Vec::with_capacity(rings.len()));
    for to_sequencer in rings {
        let wiring = VerifierWiring {
            to_sequencer,
            sequencer_signal: Arc::clone(sequencer_signal),
            read_digests: Arc::clone(&read_digests),
            key_budgets: Arc::clone(&sessions.key_budgets),
            directory: Arc::clone(&sessions.directory),
            clock: options.clock,
            counters: Arc::clone(&sessions.counters),
        };
        let verifier = Verifier::new(options.verifier, wiring).map_err(GatewayError::Randomness)?;
        let signal = match verifying {
            Verifying::Threads => Arc::new(Signal::new()),
            Verifying::Caller => Arc::clone(sequencer_signal),
        };
        let (queue, stage) = VerifierStage::new(verifier, signal);
        made.0.push(queue);
        made.1.push(stage);
    }
    Ok(made)
}

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Face {
    /// HTTP and WebSocket.
    Http,
    /// SBE messages in SOFH frames.
    Binary,
}

/// Takes connections until the stop. Who is over a limit is disconnected without a word: words cost.
async fn accept(listener: TcpListener, door: Door, shared: Arc<Shared>, queues: Vec<VerifierQueue>) {
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
            tracing::debug!(address = %remote, "not taken: there are as many connections as there may be");
            continue;
        };
        shared.counters.connections_accepted.count();
        let next = shared.next_verifier.fetch_add(1, Ordering::Relaxed) % queues.len();
        let verifier = queues[next].clone();
        let (bad_signatures, proven) = (AtomicU32::new(0), AtomicBool::new(false));
        let shared = Arc::clone(&shared);
        let peer = Peer { shared, verifier, address, remote, bad_signatures, proven, _counted: counted };
        tokio::spawn(open(stream, door.clone(), Arc::new(peer)));
    }
}

/// What a listener's connections speak, and inside of what.
#[derive(Clone, Debug)]
struct Door {
    face: Face,
    transport: Transport,
}

/// Begins a connection as its door says, and serves it until it ends.
async fn open(stream: TcpStream, door: Door, peer: Arc<Peer>) {
    let mut stop = peer.shutdown();
    let timeout = peer.shared.options.handshake_timeout;
    let socket = tokio::select! {
        socket = door.transport.accept(stream, timeout) => socket,
        _ = stop.wait_for(|stop| *stop) => return,
    };
    match (door.face, socket) {
        (_, Err(_)) => peer.shared.counters.handshakes_failed.count(),
        (Face::Http, Ok(socket)) => serve(socket, peer).await,
        (Face::Binary, Ok(socket)) => binary::serve(socket, peer).await,
    }
}

/// Serves HTTP on a connection until it ends or becomes a WebSocket.
async fn serve(socket: Socket, peer: Arc<Peer>) {
    let mut stop = peer.shutdown();
    let timeout = peer.shared.options.handshake_timeout;
    let service = TowerToHyperService::new(rest::router(peer));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeout)
        .max_buf_size(MAX_HTTP_HEAD)
        .serve_connection(TokioIo::new(socket), service)
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
