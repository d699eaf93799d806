//! The operators' port: whether the node is well (`/health`) and how much it does (`/metrics`), for whoever watches it.
//! Plain text on loopback, and with TLS anywhere.
//!
//! Bounds: so many connections at once, a time for each handshake and each request's head; beyond that connections end
//! without a word. Nothing here is asked of the matching thread.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use lakh_gateway::journal_feed::FeedWatch;
use lakh_gateway::server::{GatewayWatch, SecureListener};
use lakh_gateway::tls::Transport;
use lakh_journal::DurabilityWatch;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::archiver::ArchiverStatus;
use crate::keeper::KeeperStatus;
use crate::metrics::{self, Metrics};
use crate::settlement::SettlementStatus;

/// Connections of each listener at once.
const CONNECTIONS_MAX: usize = 64;
/// Time for a handshake, and for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long is waited after the operating system had no socket to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where the port listens.
#[derive(Debug)]
pub(crate) struct OperatorsListeners {
    /// In plain text.
    pub(crate) plain: SocketAddr,
    /// With TLS besides.
    pub(crate) secure: Option<SecureListener>,
}

/// What the port tells of.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) journal: DurabilityWatch,
    pub(crate) gateway: GatewayWatch,
    pub(crate) keeper: Arc<Mutex<KeeperStatus>>,
    pub(crate) archiver: Option<Arc<Mutex<ArchiverStatus>>>,
    pub(crate) settlement: Option<Arc<Mutex<SettlementStatus>>>,
    /// Where there is one.
    pub(crate) feed: Option<FeedWatch>,
    /// The last record under a signed receipt's interval.
    pub(crate) notary: Option<Arc<AtomicU64>>,
}

/// Serves `/health` and `/metrics` on the current runtime and tells where.
pub(crate) async fn start(listeners: OperatorsListeners, watched: Watched) -> Result<SocketAddr> {
    let watched = Arc::new(watched);
    let metrics = Arc::new(Metrics::new(Arc::clone(&watched)));
    let router = Router::new()
        .route("/health", get(move || async move { health(&watched) }))
        .route("/metrics", get(move || async move { ([(CONTENT_TYPE, metrics::CONTENT)], metrics.encode()) }));
    let (listener, address) = bind(listeners.plain).await?;
    tokio::spawn(serve(listener, Transport::Plain, router.clone()));
    if let Some(SecureListener { listen, tls }) = listeners.secure {
        let (listener, _) = bind(listen).await?;
        tokio::spawn(serve(listener, Transport::Tls(tls), router));
    }
    Ok(address)
}

async fn bind(listen: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(listen).await;
    let listener = listener.with_context(|| format!("the operators' port cannot listen at {listen}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Takes connections for as long as the runtime lives.
async fn serve(listener: TcpListener, transport: Transport, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (transport, router) = (transport.clone(), router.clone());
        tokio::spawn(async move {
            serve_one(stream, &transport, router).await;
            drop(place);
        });
    }
}

async fn serve_one(stream: TcpStream, transport: &Transport, router: Router) {
    let Ok(socket) = transport.accept(stream, HEAD_TIMEOUT).await else { return };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(router));
    if let Err(error) = connection.await {
        tracing::debug!("a connection to the operators' port failed: {error}");
    }
}

/// 200 while the journal takes records and says what the engine does, 503 once it has stopped or the keeper has found
/// otherwise. Settlement that waits or has stopped is said and is no reason for 503: trading goes on without it, or has
/// been closed for good with the reason journaled.
fn health(watched: &Watched) -> (StatusCode, String) {
    let durable_sequence = watched.journal.durable_sequence();
    let (mut status, journal) = match watched.journal.stopped() {
        None => (StatusCode::OK, "running".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
    };
    let keeper = watched.keeper.lock().clone();
    if keeper.has_diverged {
        status = StatusCode::SERVICE_UNAVAILABLE;
    }
    let mut answer = serde_json::json!({ "journal": journal, "durableSequence": durable_sequence, "keeper": keeper });
    if let Some(archiver) = &watched.archiver {
        answer["archiver"] = serde_json::json!(*archiver.lock());
    }
    if let Some(settlement) = &watched.settlement {
        answer["settlement"] = serde_json::json!(settlement.lock().current());
    }
    (status, format!("{answer}\n"))
}
