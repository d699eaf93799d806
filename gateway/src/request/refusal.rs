//! The errors of requests that never get as far as the engine, in one place, so that each number has one text.

use std::borrow::Cow;

use bytes::Bytes;
use lakh_engine::units::Timestamp;

use crate::api_error::ApiError;
use crate::wire_encode::json::JsonWriter;

fn error(status: u16, code: i32, message: impl Into<Cow<'static, str>>) -> ApiError {
    ApiError { status, code, message: message.into(), data: None, retry_after_ms: 0 }
}

/// -1003: more requests than the connection or the address may send.
pub(crate) fn too_many_requests() -> ApiError {
    error(429, TOO_MANY_REQUESTS, "Too many requests; try again in a second.")
}

/// Says when to try again, in the error's data as clients of the public API read it.
pub(crate) fn retry_after(mut error: ApiError, now: Timestamp, wait_ns: u64) -> ApiError {
    let (now_ms, retry_ms) = (now.milliseconds(), Timestamp(now.0.saturating_add(wait_ns)).milliseconds() + 1);
    error.data = Some(Bytes::from(format!("{{\"serverTime\":{now_ms},\"retryAfter\":{retry_ms}}}")));
    error.retry_after_ms = milliseconds(wait_ns);
    error
}

/// Nanoseconds as whole milliseconds, at least one.
pub(crate) fn milliseconds(wait_ns: u64) -> u32 {
    u32::try_from(wait_ns / 1_000_000 + 1).unwrap_or(u32::MAX)
}

/// The number of [`too_many_requests`].
pub(crate) const TOO_MANY_REQUESTS: i32 = -1003;

/// -1007: nobody knows (yet) what became of the request.
pub(crate) fn timeout() -> ApiError {
    error(503, -1007, "Timeout waiting for the engine. Send status unknown; execution status unknown.")
}

/// -1008: a queue is full; nothing of the request was taken.
pub(crate) fn overloaded() -> ApiError {
    let error = error(503, OVERLOADED, "Server is currently overloaded; nothing was done. Try again in 100 ms.");
    ApiError { retry_after_ms: OVERLOADED_RETRY_MS, ..error }
}

/// When a request may be tried again that was shed for load.
pub(crate) const OVERLOADED_RETRY_MS: u32 = 100;

/// The number of [`overloaded`]: it says nothing of a signature.
pub(crate) const OVERLOADED: i32 = -1008;

/// -1008: the gateway is about to stop.
pub(crate) fn shutting_down() -> ApiError {
    error(503, -1008, "Server is shutting down; nothing was done. Connect again.")
}

/// -1015: more new orders than the key may send.
pub(crate) fn too_many_orders() -> ApiError {
    error(429, -1015, "Too many new orders.")
}

/// -1015: more new orders than the key may send in a day.
pub(crate) fn too_many_orders_today() -> ApiError {
    error(429, -1015, "Too many new orders today.")
}

/// -1015: more cancels than the key's live orders and its allowance.
pub(crate) fn too_many_cancels() -> ApiError {
    error(429, -1015, "Too many cancels; there are not that many orders.")
}

/// -1015: more requests without an answer than the session may have.
pub(crate) fn too_many_in_flight() -> ApiError {
    error(429, -1015, "Too many requests without an answer on this connection.")
}

/// -1015: more subscriptions than the connection may have.
pub(crate) fn too_many_subscriptions() -> ApiError {
    error(429, -1015, "Too many subscriptions on this connection.")
}

/// -1013: price, quantity or mode is outside of what the market can represent.
pub(crate) fn filter(name: &str) -> ApiError {
    error(400, -1013, format!("Filter failure: {name}"))
}

/// -1013: a self-trade mode that the venue does not have.
pub(crate) fn self_trade_mode() -> ApiError {
    error(400, -1013, "This symbol does not allow the specified self-trade prevention mode.")
}

/// -1020: no such method here.
pub(crate) fn unsupported_operation() -> ApiError {
    error(400, -1020, "This operation is not supported.")
}

/// -1021: outside of the window.
pub(crate) fn timestamp() -> ApiError {
    error(400, -1021, "Timestamp for this request is outside of the recvWindow.")
}

/// -1021: stamped before this gateway started, whose memory of used reads begins there.
pub(crate) fn before_start() -> ApiError {
    error(400, -1021, "Timestamp for this request is before the start of the server.")
}

/// -1022: the signature is not accepted.
pub(crate) fn signature() -> ApiError {
    error(400, BAD_SIGNATURE, "Signature for this request is not valid.")
}

/// The number of [`signature`]: sessions count these.
pub(crate) const BAD_SIGNATURE: i32 = -1022;

/// -1100: characters that this parameter cannot have.
pub(crate) fn illegal_characters(name: &str) -> ApiError {
    error(400, -1100, format!("Illegal characters found in parameter '{name}'."))
}

/// -1100: characters, somewhere, that would make the signed text ambiguous.
pub(crate) fn ambiguous_text() -> ApiError {
    error(400, -1100, "Illegal characters found in a parameter: no '&', '=' or control character may be signed.")
}

/// -1100: not what a form or a query looks like.
pub(crate) fn not_form_encoded() -> ApiError {
    error(400, -1100, "Illegal characters found in a parameter: not percent-encoded UTF-8.")
}

/// -1100: more signed text than may be journaled.
pub(crate) fn text_too_long() -> ApiError {
    error(400, -1100, "The signed text is longer than 2048 bytes.")
}

/// -1102: something is missing.
pub(crate) fn missing(name: &str) -> ApiError {
    error(400, -1102, format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed."))
}

/// -1102: neither of two, one of which is needed.
pub(crate) fn missing_either(first: &str, second: &str) -> ApiError {
    error(400, -1102, format!("Param '{first}' or '{second}' must be sent, but both were empty/null!"))
}

/// -1104: a JSON key stands twice.
pub(crate) fn sent_twice(name: &str) -> ApiError {
    error(400, -1104, format!("Not all sent parameters were read; '{name}' was sent more than once."))
}

/// -1106: a parameter that does not go with the others, or that the venue does not offer.
pub(crate) fn not_required(name: &str) -> ApiError {
    error(400, -1106, format!("Parameter '{name}' sent when not required."))
}

/// -1111: finer than the asset itself.
pub(crate) fn precision(name: &str) -> ApiError {
    error(400, -1111, format!("Parameter '{name}' has too much precision."))
}

/// -1115: unknown time in force.
pub(crate) fn time_in_force() -> ApiError {
    error(400, -1115, "Invalid timeInForce.")
}

/// -1116: unknown order type.
pub(crate) fn order_type() -> ApiError {
    error(400, -1116, "Invalid orderType.")
}

/// -1117: unknown side.
pub(crate) fn side() -> ApiError {
    error(400, -1117, "Invalid side.")
}

/// -1120: unknown length of candles.
pub(crate) fn interval() -> ApiError {
    error(400, -1120, "Invalid interval.")
}

/// -1121: unknown market.
pub(crate) fn symbol() -> ApiError {
    error(400, -1121, "Invalid symbol.")
}

/// -1128: two parameters that contradict each other.
pub(crate) fn combination(first: &str, second: &str) -> ApiError {
    error(400, -1128, format!("Combination of optional parameters invalid: send '{first}' or '{second}', not both."))
}

/// -1130: a value that this parameter cannot have.
pub(crate) fn invalid_value(name: &str) -> ApiError {
    error(400, -1130, format!("Data sent for parameter '{name}' is not valid."))
}

/// -1131: the window is out of range.
pub(crate) fn receive_window() -> ApiError {
    error(400, -1131, "recvWindow must be at least 1 and at most 60000.")
}

/// -1135: not a request at all.
pub(crate) fn malformed(reason: &'static str) -> ApiError {
    error(400, -1135, format!("Invalid JSON Request: {reason}"))
}

/// -2010: the same text already answered a question, and may not change anything after that.
pub(crate) fn used_by_a_read() -> ApiError {
    error(400, -2010, "Duplicate order sent.")
}

/// -2036: the subscription has ended before it could be answered.
pub(crate) fn subscription_inactive() -> ApiError {
    error(400, -2036, "User Data Stream subscription not active.")
}

/// -2101: reports from there on are not kept any more. `data` says from where on they are, and where the others are.
pub(crate) fn resume_too_old(floor: u64, archive: &str) -> ApiError {
    let mut data = Vec::with_capacity(64 + archive.len());
    let mut json = JsonWriter::new(&mut data);
    json.begin_object().key("floor").number(floor).key("archive").text(archive).end_object();
    let error = error(410, -2101, "RESUME_TOO_OLD: reports behind 'fromSeq' are not kept any more.");
    ApiError { data: Some(Bytes::from(data)), ..error }
}

/// -2102: the record is not signed yet: it is milliseconds old, or not on stable storage.
pub(crate) fn receipt_not_yet() -> ApiError {
    error(503, -2102, "RECEIPT_NOT_YET: the record is not on stable storage yet; ask again.")
}

/// -2103: nobody's record, or somebody else's.
pub(crate) fn no_such_record() -> ApiError {
    error(400, -2103, "NO_SUCH_RECORD: the account has no record there.")
}

/// -2104: nothing can be proved of a batch that is not final.
pub(crate) fn no_final_batch() -> ApiError {
    error(503, -2104, "NO_FINAL_BATCH: no final batch's balances are at hand yet; ask again.")
}

/// -2105: the venue does not have this part of the journal any more. `data` says which segment is its oldest.
pub(crate) fn segment_gone(oldest: u64) -> ApiError {
    let error = error(410, -2105, "SEGMENT_GONE: the segment is not kept here any more; it stands in the archive.");
    ApiError { data: Some(Bytes::from(format!("{{\"oldest\":{oldest}}}"))), ..error }
}

/// -2106: asked for what the reader is not shown, or not yet. `data` says where what it is shown ends.
pub(crate) fn beyond_end(segment: u64, offset: u64) -> ApiError {
    let error = error(416, -2106, "BEYOND_END: the journal is not shown that far.");
    ApiError { data: Some(Bytes::from(format!("{{\"segment\":{segment},\"offset\":{offset}}}"))), ..error }
}

/// -2107: everybody who may read at once does.
pub(crate) fn too_many_readers() -> ApiError {
    error(429, -2107, "TOO_MANY_READERS: there are as many readers of the journal as there may be; try again later.")
}

/// -1000: the venue itself failed.
pub(crate) fn internal() -> ApiError {
    error(500, -1000, "An unknown error occurred while processing the request.")
}

/// -2014: no api key of this venue.
pub(crate) fn api_key_format() -> ApiError {
    error(401, -2014, "API-key format invalid.")
}

/// -2015: no such key, or it may not do this, or nobody is logged on.
pub(crate) fn not_permitted() -> ApiError {
    error(401, -2015, "Invalid API-key, IP, or permissions for action.")
}
