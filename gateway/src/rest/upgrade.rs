//! From HTTP to WebSocket: the handshake, and the task that a connection becomes.
//!
//! The upgrade is done through hyper and not by axum's own feature, which brings a second copy of the WebSocket
//! library. Compression is offered by all clients and declined: responses are small and latency matters more.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, RawQuery, Request};
use axum::http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::json;
use crate::api_error::ApiError;
use crate::auth::rest_text::RestText;
use crate::hand_over::{SessionHandle, StreamWrapping};
use crate::request::Fields;
use crate::server::Peer;
use crate::session::{Session, text_error};
use crate::tls::Socket;
use crate::websocket::{Connection, socket_options};

pub(super) async fn open_api(Extension(peer): Extension<Arc<Peer>>, request: Request) -> Response {
    upgrade(peer, request, Opening::Api)
}

pub(super) async fn open_streams_later(Extension(peer): Extension<Arc<Peer>>, request: Request) -> Response {
    upgrade(peer, request, Opening::Streams { wrapping: StreamWrapping::Raw, names: String::new() })
}

pub(super) async fn open_streams(
    Extension(peer): Extension<Arc<Peer>>,
    Path(names): Path<String>,
    request: Request,
) -> Response {
    upgrade(peer, request, Opening::Streams { wrapping: StreamWrapping::Raw, names })
}

pub(super) async fn open_combined(
    Extension(peer): Extension<Arc<Peer>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let names = match RestText::new(query.as_deref().unwrap_or(""), "") {
        Ok(taken) => Fields::new(&taken.parameters).text("streams").unwrap_or("").to_owned(),
        Err(error) => return json(&peer, Err(text_error(error))),
    };
    upgrade(peer, request, Opening::Streams { wrapping: StreamWrapping::Combined, names })
}

/// What a connection becomes.
enum Opening {
    Api,
    Streams { wrapping: StreamWrapping, names: String },
}

/// Answers the handshake and goes on as WebSocket in a task of its own.
fn upgrade(peer: Arc<Peer>, mut request: Request, opening: Opening) -> Response {
    if let Err(error) = peer.charge() {
        return json(&peer, Err(error));
    }
    let Some(accept) = accept_key(request.headers()) else {
        return json(&peer, Err(ApiError::bad_request(-1135, "This address is for WebSocket connections.")));
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(serve(peer, upgraded, opening));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// The answer to a WebSocket handshake, if it is one.
fn accept_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let has = |name, token: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok())?;
        value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token)).then_some(())
    };
    has(CONNECTION, "upgrade")?;
    has(UPGRADE, "websocket")?;
    has(SEC_WEBSOCKET_VERSION, "13")?;
    let key = headers.get(SEC_WEBSOCKET_KEY)?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()
}

async fn serve(peer: Arc<Peer>, upgraded: OnUpgrade, opening: Opening) {
    let Ok(upgraded) = upgraded.await else { return };
    // The socket itself again, without the layers that HTTP put around it.
    let Ok(parts) = upgraded.downcast::<TokioIo<Socket>>() else { return };
    let (stream, read) = (parts.io.into_inner(), parts.read_buf.to_vec());
    let limits = peer.socket_limits();
    let socket =
        WebSocketStream::from_partially_read(stream, read, Role::Server, Some(socket_options(limits.frame_bytes)))
            .await;
    let (handle, outbox) = SessionHandle::bounded(limits.outbox);
    let mut first = Vec::new();
    let now = peer.now();
    let session = match opening {
        Opening::Api => Session::api(peer.sessions(), peer.address_budget(), now),
        Opening::Streams { wrapping, names } => Session::streams(peer.sessions(), wrapping, &names, now, &mut first),
    };
    let connection = Connection {
        session,
        handle,
        outbox,
        verifier: peer.verifier(),
        shutdown: peer.shutdown(),
        clock: peer.clock(),
        counters: peer.counters(),
        write_timeout: limits.write_timeout,
        address: peer.remote(),
    };
    connection.serve(socket, first).await;
}
