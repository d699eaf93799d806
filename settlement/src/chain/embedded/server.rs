//! The embedded chain as JSON-RPC on loopback, so that audit, escape and the usual tools reach it as any other node; on the same
//! port, for the blobs, the one path of a consensus node that is needed for them.
//!
//! Anyone on this machine may read it and hand in signed transactions, as with a public node; it holds no key, so there is
//! nothing that a web page could make it do. The EVM runs on tokio's blocking threads: no handler holds up the runtime.
//!
//! Bounds: a body of [`MAX_BODY_BYTES`], [`MAX_CONNECTIONS`] connections (more wait to be accepted), as many requests at
//! work as connections, each with the limits of `methods`.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, to_bytes};
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::Listener;
use axum::{Json, Router};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::super::{MAX_BLOB_TRANSACTION_BYTES, hex};
use super::EmbeddedChain;
pub use super::methods::MAX_BATCH;
use super::methods::answer;
use crate::keccak::Hash;

/// Bytes of the longest request or batch: room for the hexadecimal text of the largest transaction with blobs.
pub const MAX_BODY_BYTES: usize = 2 * MAX_BLOB_TRANSACTION_BYTES + 1024;

/// Blobs that one request may name.
const MAX_NAMED_BLOBS: usize = 32;

/// Connections at a time.
pub const MAX_CONNECTIONS: usize = 64;

/// A chain that is being served. Dropping it ends the service too, but does not wait for that.
#[derive(Debug)]
pub struct EmbeddedServer {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<Result<()>>,
}

impl EmbeddedServer {
    /// Serves on the current tokio runtime; port 0 takes a free one.
    ///
    /// # Errors
    /// The socket's; [`ErrorKind::InvalidInput`] for an address that is not loopback.
    pub async fn start(chain: EmbeddedChain, listen: SocketAddr) -> Result<Self> {
        if !listen.ip().is_loopback() {
            return Err(Error::new(ErrorKind::InvalidInput, "the embedded chain is served on loopback only"));
        }
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let listener = Counted { listener, connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)) };
        let router = Router::new()
            .route("/", post(handle))
            .route("/eth/v1/beacon/blobs/{slot}", get(handle_blobs))
            .with_state(chain);
        let (stop, stopped) = oneshot::channel();
        let until = async move {
            // An error says that the other end was dropped, which means the same.
            let _ = stopped.await;
        };
        let serving = tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(until).into_future());
        Ok(Self { address, stop, serving })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as clients write it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes no more requests, answers those at work and ends.
    ///
    /// # Errors
    /// The listening socket's.
    pub async fn stop(self) -> Result<()> {
        // The other end is gone where serving has ended by itself, which its result tells.
        let _ = self.stop.send(());
        self.serving.await.map_err(Error::other)?
    }
}

async fn handle(State(chain): State<EmbeddedChain>, body: Body) -> Response {
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    match tokio::task::spawn_blocking(move || answer(&chain, &body)).await {
        Ok(Some(answer)) => ([(header::CONTENT_TYPE, "application/json")], answer).into_response(),
        Ok(None) => StatusCode::NO_CONTENT.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The consensus node's part: the blobs that the query names, of those that there are. Slots are not looked at.
async fn handle_blobs(State(chain): State<EmbeddedChain>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let named = query.split('&').filter_map(|pair| pair.strip_prefix("versioned_hashes=")).flat_map(|it| it.split(','));
    let hashes: Option<Vec<Hash>> = named.map(|text| hex::decode_array(text).map(Hash)).collect();
    let Some(hashes) = hashes.filter(|hashes| (1..=MAX_NAMED_BLOBS).contains(&hashes.len())) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let found = tokio::task::spawn_blocking(move || chain.blobs_as_text(&hashes)).await;
    found.map_or_else(
        |_| StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        |data| Json(json!({ "data": data })).into_response(),
    )
}

/// A listener that accepts no more than so many connections at a time.
struct Counted {
    listener: TcpListener,
    connections: Arc<Semaphore>,
}

impl Listener for Counted {
    type Io = CountedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (CountedStream, SocketAddr) {
        let connections = Arc::clone(&self.connections);
        let counted = connections.acquire_owned().await.expect("the semaphore is never closed");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (CountedStream { stream, _counted: counted }, address)
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that counts for as long as it lives.
struct CountedStream {
    stream: TcpStream,
    _counted: OwnedSemaphorePermit,
}

impl AsyncRead for CountedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
