//! The HTTP face: public questions, signed requests, and the upgrade of connections to WebSocket, on one port.
//!
//! A request over HTTP takes the same way as one over WebSocket, through the verifier and the ring, and is answered by
//! the publisher: nothing is shown that is not durable. Each reply tells what of the address's budget is used.
//! Bounds: heads and bodies by the server's options, one answer each, a time for it.

mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, RawQuery, Request};
use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method as Verb, StatusCode};
use axum::response::Response;
use axum::routing::{get, post, put};
use bytes::Bytes;
use lakh_engine::ids::KeyId;
use tokio::time::timeout;

use crate::api_error::ApiError;
use crate::auth::rest_text::{RestText, method_of};
use crate::hand_over::{SessionHandle, ToSession};
use crate::key_budgets::Errand;
use crate::limits::Charge;
use crate::request::refusal::{self, BAD_SIGNATURE};
use crate::request::{Fields, Method, exchange_info_symbols};
use crate::server::Peer;
use crate::session::{HttpRequest, Submission, public_read, signed_request, text_error};
use crate::verifier::Job;
use crate::wire::json::response::{OrderBudgets, error_body, number_object, push_string};

/// How long a request over HTTP may take to be answered.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a body may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest body, in bytes: a signed text and its signature.
const MAX_BODY: usize = 4_096;
/// The header that the api key stands in.
const API_KEY: &str = "x-mbx-apikey";
/// The header that tells what of the budget is used.
const USED_WEIGHT: &str = "x-mbx-used-weight";

/// The routes of one connection.
pub(crate) fn router(peer: Arc<Peer>) -> Router {
    let mut router = Router::new()
        .route("/ws-api/v3", get(upgrade::open_api))
        .route("/ws", get(upgrade::open_streams_later))
        .route("/ws/{*names}", get(upgrade::open_streams))
        .route("/stream", get(upgrade::open_combined))
        .route("/api/v3/ping", get(ping))
        .route("/api/v3/time", get(time))
        .route("/api/v3/exchangeInfo", get(exchange_info))
        .route("/api/v3/order", get(signed).post(signed).delete(signed))
        .route("/api/v3/order/cancelReplace", post(signed))
        .route("/api/v3/order/amend/keepPriority", put(signed))
        .route("/api/v3/openOrders", get(signed).delete(signed))
        .route("/api/v3/openOrders/cancelAllAfter", post(signed))
        .route("/api/v3/subAccount", get(signed).post(signed))
        .route("/api/v3/subAccount/transfer", post(signed))
        .route("/api/v3/userDataStream", post(listen_key).put(listen_key).delete(listen_key));
    for path in ["account", "account/proof", "receipt", "allOrders", "myTrades", "rateLimit/order"] {
        router = router.route(&format!("/api/v3/{path}"), get(signed));
    }
    router = router.route("/sapi/v1/asset/tradeFee", get(signed));
    for path in NOTHING_THERE {
        router = router.route(path, get(nothing));
    }
    for (path, method) in PUBLIC {
        let ask = move |peer, query| public(peer, query, method);
        router = router.route(&format!("/api/v3/{path}"), get(ask));
    }
    router.fallback(not_found).method_not_allowed_fallback(not_found).layer(Extension(peer))
}

/// Questions to the read models that anybody may ask.
const PUBLIC: [(&str, Method); 8] = [
    ("depth", Method::Depth),
    ("trades", Method::TradesRecent),
    ("aggTrades", Method::TradesAggregate),
    ("klines", Method::Klines),
    ("uiKlines", Method::Klines),
    ("ticker/bookTicker", Method::TickerBook),
    ("ticker/price", Method::TickerPrice),
    ("ticker/24hr", Method::TickerDay),
];

/// Lists that one client asks for before anything else: margin pairs, and coins that could be moved through this API. There
/// are none of either: nothing is lent here, and money moves on the chain.
const NOTHING_THERE: [&str; 3] =
    ["/sapi/v1/margin/allPairs", "/sapi/v1/margin/isolated/allPairs", "/sapi/v1/capital/config/getall"];

async fn nothing(Extension(peer): Extension<Arc<Peer>>) -> Response {
    json(&peer, peer.charge().map(|()| Bytes::from_static(b"[]")))
}

async fn ping(Extension(peer): Extension<Arc<Peer>>) -> Response {
    json(&peer, peer.charge().map(|()| Bytes::from_static(b"{}")))
}

async fn time(Extension(peer): Extension<Arc<Peer>>) -> Response {
    json(&peer, peer.charge().map(|()| number_object("serverTime", peer.now().milliseconds())))
}

async fn exchange_info(Extension(peer): Extension<Arc<Peer>>, RawQuery(query): RawQuery) -> Response {
    let answer = || {
        peer.charge()?;
        let taken = RestText::new(query.as_deref().unwrap_or(""), "").map_err(text_error)?;
        let context = peer.sessions();
        let symbols = exchange_info_symbols(Fields::new(&taken.parameters), &context.directory)?;
        Ok(context.exchange_info(symbols.as_deref(), peer.now().milliseconds()))
    };
    json(&peer, answer())
}

async fn public(Extension(peer): Extension<Arc<Peer>>, RawQuery(query): RawQuery, method: Method) -> Response {
    let asked = peer.charge().and_then(|()| public_read(&peer.sessions(), method, query.as_deref().unwrap_or("")));
    let outcome = match asked {
        Ok(submission) => answer(&peer, submission).await,
        Err(error) => Err(error),
    };
    json(&peer, outcome)
}

async fn signed(Extension(peer): Extension<Arc<Peer>>, request: Request) -> Response {
    let errand = if request.method() == Verb::DELETE { Errand::Cancel } else { Errand::Other };
    let mut ordering_key = None;
    let outcome = match peer.charge_for(errand) {
        Ok(()) => signed_outcome(&peer, request, &mut ordering_key).await,
        Err(error) => Err(error),
    };
    let bad_signature = matches!(&outcome, Err(error) if error.code == BAD_SIGNATURE);
    if outcome.is_ok() {
        peer.note_good_signature();
    }
    let ordering_key = ordering_key.filter(|_| outcome.is_ok());
    let mut response = json(&peer, outcome);
    if let Some(key) = ordering_key {
        tell_orders(peer.order_budgets(key), response.headers_mut());
    }
    if bad_signature && peer.note_bad_signature() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn signed_outcome(peer: &Peer, request: Request, ordering_key: &mut Option<KeyId>) -> Result<Bytes, ApiError> {
    let (head, body) = request.into_parts();
    let method = method_of(head.method.as_str(), head.uri.path()).ok_or_else(refusal::unsupported_operation)?;
    let body = timeout(BODY_TIMEOUT, axum::body::to_bytes(body, MAX_BODY)).await;
    let body = body.map_err(|_| refusal::timeout())?.map_err(|_| refusal::text_too_long())?;
    let body = std::str::from_utf8(&body).map_err(|_| refusal::not_form_encoded())?;
    let http = HttpRequest {
        method,
        api_key: head.headers.get(API_KEY).and_then(|value| value.to_str().ok()),
        query: head.uri.query().unwrap_or(""),
        body,
    };
    let submission = signed_request(&peer.sessions(), http, peer.standing(), peer.now())?;
    *ordering_key = submission.ordering_key();
    answer(peer, submission).await
}

/// Asks the verifier, and waits as a session that lives for one answer.
async fn answer(peer: &Peer, submission: Submission) -> Result<Bytes, ApiError> {
    let (session, mut outbox) = SessionHandle::new(1);
    peer.verifier().submit(Job { submission, session })?;
    match timeout(ANSWER_TIMEOUT, outbox.recv()).await {
        Ok(Some(ToSession::Answer { outcome, .. })) => outcome,
        _ => Err(refusal::timeout()),
    }
}

/// Listen keys, which one client still asks for. They open a connection, and nothing private comes over it: api keys
/// are public, so whoever could listen with one could listen to everybody. Private events need a signature.
async fn listen_key(Extension(peer): Extension<Arc<Peer>>, request: Request) -> Response {
    if let Err(error) = peer.charge() {
        return json(&peer, Err(error));
    }
    if request.method() != Verb::POST {
        return json(&peer, Ok(Bytes::from_static(b"{}")));
    }
    let mut body = b"{\"listenKey\":".to_vec();
    push_string("events-need-userDataStream.subscribe.signature", &mut body);
    body.push(b'}');
    json(&peer, Ok(Bytes::from(body)))
}

async fn not_found(Extension(peer): Extension<Arc<Peer>>) -> Response {
    let mut response = json(&peer, Err(refusal::unsupported_operation()));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

fn json(peer: &Peer, outcome: Result<Bytes, ApiError>) -> Response {
    let (status, body) = match outcome {
        Ok(body) => (StatusCode::OK, body),
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, error_body(&error))
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USED_WEIGHT, HeaderValue::from(peer.address_budget().budget(peer.now()).used));
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Tells of an order's reply what of the key's budget is used, as WebSocket responses do in `rateLimits`.
fn tell_orders(budgets: OrderBudgets, headers: &mut HeaderMap) {
    let moment = format!("x-mbx-order-count-{}s", budgets.moment.interval_s);
    let moment = HeaderName::from_bytes(moment.as_bytes()).expect("letters, digits and hyphens");
    headers.insert(moment, HeaderValue::from(budgets.moment.used));
    headers.insert("x-mbx-order-count-1d", HeaderValue::from(budgets.day.used));
}

impl Peer {
    /// Charges the address for one request over HTTP.
    fn charge(&self) -> Result<(), ApiError> {
        self.charge_for(Errand::Other)
    }

    fn charge_for(&self, errand: Errand) -> Result<(), ApiError> {
        let (budget, now) = (self.address_budget(), self.now());
        if errand.charge(&budget, now) == Charge::Paid {
            return Ok(());
        }
        self.counters().requests_over_budget.count();
        Err(refusal::retry_after(refusal::too_many_requests(), now, budget.wait_ns(now)))
    }
}
