//! The HTTP face: four public questions, and the upgrade of connections to WebSocket, on one port.
//!
//! The upgrade is done through hyper and not by axum's own feature, which brings a second copy of the WebSocket
//! library. Compression is offered by all clients and declined: responses are small and latency matters more.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, RawQuery, Request};
use axum::http::header::{
    CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::api_error::ApiError;
use crate::hand_over::{AnswerShape, SessionHandle, StreamWrapping, ToSession};
use crate::limits::Charge;
use crate::request::{Fields, Parameter, ValueKind, exchange_info_symbols, parse_depth, refusal};
use crate::server::Peer;
use crate::session::{Session, Standing, Submission, Work};
use crate::verifier::Job;
use crate::websocket::{Connection, socket_options};
use crate::wire::json::response::{error_body, number_object};

/// How long a question over HTTP may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest query that is looked at, in bytes.
const MAX_QUERY: usize = 2_048;

/// The routes of one connection.
pub(crate) fn router(peer: Arc<Peer>) -> Router {
    Router::new()
        .route("/ws-api/v3", get(open_api))
        .route("/ws", get(open_streams_later))
        .route("/ws/{*names}", get(open_streams))
        .route("/stream", get(open_combined))
        .route("/api/v3/ping", get(ping))
        .route("/api/v3/time", get(time))
        .route("/api/v3/exchangeInfo", get(exchange_info))
        .route("/api/v3/depth", get(depth))
        .fallback(not_found)
        .layer(Extension(peer))
}

async fn ping(Extension(peer): Extension<Arc<Peer>>) -> Response {
    json(peer.charge().map(|()| Bytes::from_static(b"{}")))
}

async fn time(Extension(peer): Extension<Arc<Peer>>) -> Response {
    json(peer.charge().map(|()| number_object("serverTime", peer.now().milliseconds())))
}

async fn exchange_info(Extension(peer): Extension<Arc<Peer>>, RawQuery(query): RawQuery) -> Response {
    let answer = || {
        peer.charge()?;
        let parameters = parse_query(query.as_deref().unwrap_or(""))?;
        let context = peer.sessions();
        let symbols = exchange_info_symbols(Fields::new(&parameters), &context.directory)?;
        let now_ms = peer.now().milliseconds();
        Ok(Bytes::from(crate::exchange_info::exchange_info(&context.directory, symbols.as_deref(), now_ms)))
    };
    json(answer())
}

async fn depth(Extension(peer): Extension<Arc<Peer>>, RawQuery(query): RawQuery) -> Response {
    let read = peer.charge().and_then(|()| {
        let parameters = parse_query(query.as_deref().unwrap_or(""))?;
        parse_depth(Fields::new(&parameters), &peer.sessions().directory)
    });
    let read = match read {
        Ok(read) => read,
        Err(error) => return json(Err(error)),
    };
    // A session that lives for one answer.
    let (session, mut outbox) = SessionHandle::new(1);
    let submission =
        Submission { request: 0, shape: AnswerShape::Empty, work: Work::Read(read), standing: Standing::Good };
    if let Err(error) = peer.verifier().submit(Job { submission, session }) {
        return json(Err(error));
    }
    match tokio::time::timeout(ANSWER_TIMEOUT, outbox.recv()).await {
        Ok(Some(ToSession::Answer { outcome, .. })) => json(outcome),
        _ => json(Err(refusal::timeout())),
    }
}

async fn not_found() -> Response {
    let body = error_body(&refusal::unsupported_operation());
    response(StatusCode::NOT_FOUND, body)
}

fn json(outcome: Result<Bytes, ApiError>) -> Response {
    match outcome {
        Ok(body) => response(StatusCode::OK, body),
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            response(status, error_body(&error))
        }
    }
}

fn response(status: StatusCode, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The parameters of a query, percent-decoded.
fn parse_query(query: &str) -> Result<Vec<Parameter<'static>>, ApiError> {
    if query.len() > MAX_QUERY {
        return Err(refusal::text_too_long());
    }
    let mut parameters: Vec<Parameter<'static>> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()).take(crate::request::MAX_PARAMETERS) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode = |text: &str| crate::auth::canonical::form_decode(text).ok_or_else(refusal::ambiguous_text);
        let (name, value) = (decode(name)?, decode(value)?);
        if parameters.iter().any(|one| one.name == name) {
            return Err(refusal::sent_twice(&name));
        }
        parameters.push(Parameter { name: name.into(), value: value.into(), kind: ValueKind::Text });
    }
    Ok(parameters)
}

async fn open_api(Extension(peer): Extension<Arc<Peer>>, request: Request) -> Response {
    upgrade(peer, request, Opening::Api)
}

async fn open_streams_later(Extension(peer): Extension<Arc<Peer>>, request: Request) -> Response {
    upgrade(peer, request, Opening::Streams { wrapping: StreamWrapping::Raw, names: String::new() })
}

async fn open_streams(Extension(peer): Extension<Arc<Peer>>, Path(names): Path<String>, request: Request) -> Response {
    upgrade(peer, request, Opening::Streams { wrapping: StreamWrapping::Raw, names })
}

async fn open_combined(Extension(peer): Extension<Arc<Peer>>, RawQuery(query): RawQuery, request: Request) -> Response {
    let names = match parse_query(query.as_deref().unwrap_or("")) {
        Ok(parameters) => Fields::new(&parameters).text("streams").unwrap_or("").to_owned(),
        Err(error) => return json(Err(error)),
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
        return json(Err(error));
    }
    let Some(accept) = accept_key(request.headers()) else {
        return json(Err(ApiError::bad_request(-1135, "This address is for WebSocket connections.")));
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
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else { return };
    let (stream, read) = (parts.io.into_inner(), parts.read_buf.to_vec());
    let socket = WebSocketStream::from_partially_read(stream, read, Role::Server, Some(socket_options())).await;
    let (handle, outbox) = SessionHandle::new(peer.outbox_capacity());
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
    };
    connection.serve(socket, first).await;
}

impl Peer {
    /// Charges the address for one request over HTTP.
    fn charge(&self) -> Result<(), ApiError> {
        match self.address_budget().charge(1, self.now()) {
            Charge::Paid => Ok(()),
            Charge::Refused => Err(refusal::too_many_requests()),
        }
    }
}
