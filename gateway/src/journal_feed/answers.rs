//! The two questions: which segments may be seen, and what stands in one from an offset on.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, RawQuery};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use futures_util::stream;
use lakh_journal::JournalError;
use lakh_journal::horizon::{Piece, PieceBytes, Position, ShownSegment};
use serde_json::json;
use tokio::time::Instant;

use super::admission::{Audience, Pace, Reader};
use super::connection::Peer;
use super::{ANSWER_BYTES, PIECE_BYTES, Shared};
use crate::api_error::ApiError;
use crate::auth::hex;
use crate::request::{Fields, refusal};
use crate::wire::json::response::error_body;

/// Segments that one answer lists.
const SEGMENTS_LISTED: usize = 256;
/// What offsets are multiples of: a block is whole pages.
const PAGE: u64 = 4_096;
/// Between two looks at the journal for whoever waits for more of it.
const LOOK: Duration = Duration::from_millis(20);
/// Between two looks whether a reader may have its next piece.
const PAUSE: Duration = Duration::from_millis(5);

/// The routes of one connection.
pub(super) fn router(peer: Arc<Peer>) -> Router {
    Router::new()
        .route("/journal/segments", get(segments))
        .route("/journal/bytes", get(bytes))
        .fallback(not_found)
        .method_not_allowed_fallback(not_found)
        .layer(Extension(peer))
}

async fn not_found(Extension(peer): Extension<Arc<Peer>>) -> Response {
    let mut response = refused(&peer, &refusal::unsupported_operation());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

async fn segments(Extension(peer): Extension<Arc<Peer>>, RawQuery(query): RawQuery) -> Response {
    answer(&peer, list(&peer, query.as_deref().unwrap_or("")).await)
}

async fn bytes(Extension(peer): Extension<Arc<Peer>>, RawQuery(query): RawQuery) -> Response {
    answer(&peer, read(&peer, query.as_deref().unwrap_or("")).await)
}

/// From the oldest or the one that `segment` names on.
async fn list(peer: &Peer, query: &str) -> Result<Response, ApiError> {
    let (reader, taken) = peer.take_request("journal.segments", query)?;
    let from = Fields::new(&taken.parameters).number("segment")?.unwrap_or(0);
    let shared = &peer.shared;
    shared.look_again(reader.audience()).await.map_err(|error| unreadable(&error))?;
    let horizon = shared.horizons[reader.audience() as usize].lock();
    let listed = horizon.segments(from, SEGMENTS_LISTED).map_err(|error| unreadable(&error))?;
    let at = horizon.position();
    let value = json!({
        "exchange": hex(&horizon.exchange_id()),
        "shard": horizon.shard(),
        "lastSequence": horizon.last_sequence(),
        "end": { "segment": at.segment, "offset": at.offset },
        "segments": listed.iter().map(shown).collect::<Vec<_>>(),
    });
    let mut response = Response::new(Body::from(value.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn shown(segment: &ShownSegment) -> serde_json::Value {
    json!({
        "segment": segment.index,
        "state": if segment.is_sealed { "SEALED" } else { "LIVE" },
        "bytes": segment.segment_bytes,
        "endOffset": segment.end_offset,
        "firstBlock": segment.first_block,
        "firstSequence": segment.first_sequence,
        "lastSequence": segment.last_sequence,
        "lastBlockHash": hex(&segment.last_block_hash),
    })
}

/// What stands in `segment` from `offset` on; waits up to `wait` milliseconds where that is nothing yet.
async fn read(peer: &Arc<Peer>, query: &str) -> Result<Response, ApiError> {
    let (reader, taken) = peer.take_request("journal.bytes", query)?;
    let fields = Fields::new(&taken.parameters);
    let required = |name: &str| fields.number(name)?.ok_or_else(|| refusal::missing(name));
    let at = Position { segment: required("segment")?, offset: required("offset")? };
    if !at.offset.is_multiple_of(PAGE) {
        return Err(refusal::invalid_value("offset"));
    }
    let shared = &peer.shared;
    let wait = Duration::from_millis(fields.number("wait")?.unwrap_or(0)).min(shared.options.patience / 2);
    let deadline = Instant::now() + wait;
    loop {
        if let Some(piece) = find(shared, reader.audience(), at).await? {
            return Ok(sent(peer, reader, piece));
        }
        if Instant::now() >= deadline {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            return Ok(response);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The bytes there; `None` where there are none yet.
async fn find(shared: &Shared, audience: Audience, at: Position) -> Result<Option<PieceBytes>, ApiError> {
    shared.look_again(audience).await.map_err(|error| unreadable(&error))?;
    let horizon = shared.horizons[audience as usize].lock();
    match horizon.piece(at, ANSWER_BYTES).map_err(|error| unreadable(&error))? {
        Piece::Bytes(piece) => Ok(Some(piece)),
        Piece::NotYet => Ok(None),
        Piece::Gone { oldest } => Err(refusal::segment_gone(oldest)),
        Piece::Beyond => {
            let Position { segment, offset } = horizon.position();
            Err(refusal::beyond_end(segment, offset))
        }
    }
}

/// Reads and hands over a piece whenever the socket has room and the reader's pace allows it.
fn sent(peer: &Arc<Peer>, reader: Reader, piece: PieceBytes) -> Response {
    let length = piece.remaining();
    let sending = Sending { peer: Arc::clone(peer), pace: peer.shared.readers.pace(reader), reader, piece };
    let body = Body::from_stream(stream::unfold(sending, |mut sending| async {
        let next = sending.next().await?;
        Some((next, sending))
    }));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

struct Sending {
    peer: Arc<Peer>,
    pace: Arc<Pace>,
    reader: Reader,
    piece: PieceBytes,
}

impl Sending {
    async fn next(&mut self) -> Option<std::io::Result<Bytes>> {
        let Shared { options, counters, .. } = &*self.peer.shared;
        // Asked for the next piece, so the one before is on its way.
        self.peer.note_progress();
        let size = usize::try_from(self.piece.remaining()).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        if size == 0 {
            return None;
        }
        while !self.pace.allows(size, (options.clock)()) {
            // That the venue lets a reader wait is not the reader's doing.
            self.peer.note_progress();
            tokio::time::sleep(PAUSE).await;
        }
        let read = self.piece.next(size).map(Bytes::from);
        let counter = match self.reader {
            Reader::Watcher(_) => &counters.watcher_bytes,
            Reader::Public => &counters.public_bytes,
        };
        counter.add(size as u64);
        Some(read)
    }
}

fn answer(peer: &Peer, outcome: Result<Response, ApiError>) -> Response {
    outcome.unwrap_or_else(|error| refused(peer, &error))
}

/// Tells why not. Who has no place by then is disconnected: the next newcomer may have one.
fn refused(peer: &Peer, error: &ApiError) -> Response {
    peer.shared.counters.requests_refused.count();
    let mut response = Response::new(Body::from(error_body(error)));
    *response.status_mut() = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let status = response.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if !peer.is_seated() {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A journal that cannot be read is the operators' business, and no reader's.
fn unreadable(error: &JournalError) -> ApiError {
    tracing::error!("the journal cannot be given out: {error}");
    refusal::internal()
}
