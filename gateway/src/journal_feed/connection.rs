//! One connection of a reader: who it is by now, and whether it still makes progress.
//!
//! A connection begins among the newcomers and gets a place as a watcher or as one of the public with its first request.
//! Progress is a request, or a piece that the socket has taken; without any for as long as the options say it ends, so
//! nobody holds a place by not reading.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::admission::{Reader, Seat};
use super::{PIECE_BYTES, Shared, answers};
use crate::api_error::ApiError;
use crate::auth::rest_text::RestText;
use crate::limits::{AddressPermit, Charge};
use crate::request::refusal;
use crate::tls::Transport;

/// Time for a TLS handshake, and for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) shared: Arc<Shared>,
    remote: SocketAddr,
    address: AddressPermit,
    seat: Mutex<Seat>,
    begun: Instant,
    /// Milliseconds from the beginning to the last progress.
    progress_ms: AtomicU64,
}

impl Peer {
    /// Counts a connection among the newcomers and for its address; `None` when there are too many.
    pub(super) fn admit(shared: &Arc<Shared>, remote: SocketAddr) -> Option<Arc<Self>> {
        let address = shared.addresses.admit(remote.ip())?;
        let seat = Mutex::new(shared.readers.newcomer()?);
        let (begun, progress_ms) = (Instant::now(), AtomicU64::new(0));
        Some(Arc::new(Self { shared: Arc::clone(shared), remote, address, seat, begun, progress_ms }))
    }

    /// The connection has done something.
    pub(super) fn note_progress(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.progress_ms.store(now, Ordering::Relaxed);
    }

    fn is_stuck(&self) -> bool {
        let since =
            self.begun.elapsed().saturating_sub(Duration::from_millis(self.progress_ms.load(Ordering::Relaxed)));
        since > self.shared.options.patience
    }

    /// Charges the address, finds out who asks, and gives him a place if he has none.
    pub(super) fn take_request(&self, method: &str, query: &str) -> Result<(Reader, RestText), ApiError> {
        self.note_progress();
        let Shared { options, readers, counters, .. } = &*self.shared;
        counters.requests.count();
        let (budget, now) = (self.address.requests(), (options.clock)());
        if budget.charge(1, now) == Charge::Refused {
            return Err(refusal::retry_after(refusal::too_many_requests(), now, budget.wait_ns(now)));
        }
        let (reader, taken) = readers.identify(options, (method, query))?;
        let mut seat = self.seat.lock();
        if !matches!(&*seat, Seat::Reader { who, .. } if *who == reader) {
            *seat = readers.seat(reader, self.remote.ip())?;
        }
        Ok((reader, taken))
    }

    /// Whether the connection has got a place.
    pub(super) fn is_seated(&self) -> bool {
        matches!(&*self.seat.lock(), Seat::Reader { .. })
    }
}

/// Serves a connection until it ends or gets stuck.
pub(super) async fn serve(stream: TcpStream, transport: Transport, peer: Arc<Peer>) {
    let Ok(socket) = transport.accept(stream, HEAD_TIMEOUT).await else { return };
    let service = TowerToHyperService::new(answers::router(Arc::clone(&peer)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(PIECE_BYTES)
        .serve_connection(TokioIo::new(socket), service);
    let mut connection = pin!(connection);
    let look = peer.shared.options.patience / 4;
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = tokio::time::sleep(look) => {}
        }
        if peer.is_stuck() {
            peer.shared.counters.readers_let_go.count();
            tracing::debug!(address = %peer.remote, "a reader of the journal made no progress");
            return;
        }
    }
}
