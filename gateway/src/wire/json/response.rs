//! Writes what a session says: responses around a result that is JSON already, errors, and a few small results.
//!
//! Nothing is built in memory first: each message is one buffer, written from front to back.

use bytes::Bytes;

use crate::api_error::ApiError;
use crate::key_budgets::KeyLimits;
use crate::limits::Rate;

/// What a response says of the budget that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Requests that may be sent at once.
    pub limit: u64,
    /// How many of them are used up.
    pub used: u64,
    /// Seconds in which all of it comes back: at least 1.
    pub interval_s: u64,
}

/// What a response says of a key's new orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderBudgets {
    /// Of the next seconds.
    pub moment: Budget,
    /// Of the day.
    pub day: Budget,
}

impl OrderBudgets {
    /// Those of a key that has asked for nothing.
    pub fn unused(limits: &KeyLimits) -> Self {
        let moment = unused(limits.orders);
        Self { moment, day: Budget { limit: u64::from(limits.orders_per_day), used: 0, interval_s: DAY_S } }
    }
}

/// The budgets that a response tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// The connection's requests.
    pub requests: Budget,
    /// The key's orders, where the request was one.
    pub orders: Option<OrderBudgets>,
}

const DAY_S: u64 = 86_400;

fn unused(rate: Rate) -> Budget {
    Budget { limit: rate.burst, used: 0, interval_s: rate.burst.div_ceil(rate.per_second).max(1) }
}

/// The response of the WebSocket API to a request; without `rateLimits` where there is no budget to tell.
pub fn response(id: &str, outcome: &Result<Bytes, ApiError>, budgets: Option<Budgets>) -> Bytes {
    let length = outcome.as_ref().map_or(160, Bytes::len);
    let mut out = Vec::with_capacity(length + id.len() + 160);
    out.extend_from_slice(b"{\"id\":");
    out.extend_from_slice(id.as_bytes());
    match outcome {
        Ok(result) => {
            out.extend_from_slice(b",\"status\":200,\"result\":");
            out.extend_from_slice(result);
        }
        Err(error) => {
            out.extend_from_slice(b",\"status\":");
            push_integer(i64::from(error.status), &mut out);
            out.extend_from_slice(b",\"error\":");
            push_error(error, &mut out);
        }
    }
    if let Some(budgets) = budgets {
        push_budgets(&budgets, &mut out);
    }
    out.push(b'}');
    Bytes::from(out)
}

/// The response of a stream connection to a control message.
pub fn stream_response(id: &str, outcome: &Result<Bytes, ApiError>) -> Bytes {
    let mut out = Vec::with_capacity(64);
    match outcome {
        Ok(result) => {
            out.extend_from_slice(b"{\"result\":");
            out.extend_from_slice(result);
        }
        Err(error) => {
            out.extend_from_slice(b"{\"error\":");
            push_error(error, &mut out);
        }
    }
    out.extend_from_slice(b",\"id\":");
    out.extend_from_slice(id.as_bytes());
    out.push(b'}');
    Bytes::from(out)
}

/// An error as REST shows it.
pub fn error_body(error: &ApiError) -> Bytes {
    let mut out = Vec::with_capacity(96);
    push_error(error, &mut out);
    Bytes::from(out)
}

/// Who is logged on, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionState<'a> {
    /// The api key and the time in milliseconds at which it logged on.
    pub authorized: Option<(&'a str, u64)>,
    /// When the connection began, in milliseconds.
    pub connected_since_ms: u64,
    /// Whether responses tell the budget.
    pub return_rate_limits: bool,
    /// The time, in milliseconds.
    pub server_time_ms: u64,
    /// Whether private events are subscribed.
    pub user_data_stream: bool,
}

impl SessionState<'_> {
    /// The result of `session.logon`, `session.status` and `session.logout`.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(b"{\"apiKey\":");
        match self.authorized {
            Some((api_key, since)) => {
                push_string(api_key, &mut out);
                out.extend_from_slice(b",\"authorizedSince\":");
                push_unsigned(since, &mut out);
            }
            None => out.extend_from_slice(b"null,\"authorizedSince\":null"),
        }
        out.extend_from_slice(b",\"connectedSince\":");
        push_unsigned(self.connected_since_ms, &mut out);
        out.extend_from_slice(b",\"returnRateLimits\":");
        push_boolean(self.return_rate_limits, &mut out);
        out.extend_from_slice(b",\"serverTime\":");
        push_unsigned(self.server_time_ms, &mut out);
        out.extend_from_slice(b",\"userDataStream\":");
        push_boolean(self.user_data_stream, &mut out);
        out.push(b'}');
        Bytes::from(out)
    }
}

/// An object with one whole number.
pub fn number_object(name: &str, value: u64) -> Bytes {
    let mut out = Vec::with_capacity(name.len() + 26);
    out.push(b'{');
    push_string(name, &mut out);
    out.push(b':');
    push_unsigned(value, &mut out);
    out.push(b'}');
    Bytes::from(out)
}

/// The result of `session.subscriptions`.
pub fn subscription_list(numbers: impl Iterator<Item = u32>) -> Bytes {
    let mut out = vec![b'['];
    for (index, number) in numbers.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"subscriptionId\":");
        push_unsigned(u64::from(number), &mut out);
        out.push(b'}');
    }
    out.push(b']');
    Bytes::from(out)
}

/// The limits that `exchangeInfo` tells: requests of a connection, new orders of a key.
pub fn rate_limits(requests: Rate, keys: &KeyLimits) -> Vec<u8> {
    let mut out = vec![b'['];
    let orders = OrderBudgets::unused(keys);
    for (kind, budget) in [("REQUEST_WEIGHT", unused(requests)), ("ORDERS", orders.moment), ("ORDERS", orders.day)] {
        if out.len() > 1 {
            out.push(b',');
        }
        push_limit(kind, budget, &mut out);
        out.push(b'}');
    }
    out.push(b']');
    out
}

/// The result of `account.rateLimits.orders`.
pub fn order_budget(budgets: OrderBudgets) -> Bytes {
    let mut out = vec![b'['];
    push_used_limit("ORDERS", budgets.moment, &mut out);
    out.push(b',');
    push_used_limit("ORDERS", budgets.day, &mut out);
    out.push(b']');
    Bytes::from(out)
}

/// A list of strings.
pub fn string_list<'a>(items: impl Iterator<Item = &'a str>) -> Bytes {
    let mut out = vec![b'['];
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_string(item, &mut out);
    }
    out.push(b']');
    Bytes::from(out)
}

/// The message in front of a stop, as streams have it.
pub fn server_shutdown(now_ms: u64) -> Bytes {
    Bytes::from(format!("{{\"e\":\"serverShutdown\",\"E\":{now_ms}}}"))
}

/// The message in front of a stop, as an event of the WebSocket API.
pub fn server_shutdown_event(now_ms: u64) -> Bytes {
    Bytes::from(format!("{{\"event\":{{\"e\":\"serverShutdown\",\"E\":{now_ms}}}}}"))
}

fn push_error(error: &ApiError, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"code\":");
    push_integer(i64::from(error.code), out);
    out.extend_from_slice(b",\"msg\":");
    push_string(&error.message, out);
    if let Some(data) = &error.data {
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(data);
    }
    out.push(b'}');
}

fn push_budgets(budgets: &Budgets, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"rateLimits\":[");
    push_used_limit("REQUEST_WEIGHT", budgets.requests, out);
    if let Some(orders) = budgets.orders {
        for budget in [orders.moment, orders.day] {
            out.push(b',');
            push_used_limit("ORDERS", budget, out);
        }
    }
    out.push(b']');
}

fn push_used_limit(kind: &str, budget: Budget, out: &mut Vec<u8>) {
    push_limit(kind, budget, out);
    out.extend_from_slice(b",\"count\":");
    push_unsigned(budget.used, out);
    out.push(b'}');
}

/// A limit without what is used of it, not closed.
fn push_limit(kind: &str, budget: Budget, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"rateLimitType\":");
    push_string(kind, out);
    if budget.interval_s == DAY_S {
        out.extend_from_slice(b",\"interval\":\"DAY\",\"intervalNum\":1");
    } else {
        out.extend_from_slice(b",\"interval\":\"SECOND\",\"intervalNum\":");
        push_unsigned(budget.interval_s, out);
    }
    out.extend_from_slice(b",\"limit\":");
    push_unsigned(budget.limit, out);
}

fn push_boolean(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

fn push_integer(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    push_unsigned(value.unsigned_abs(), out);
}

fn push_unsigned(value: u64, out: &mut Vec<u8>) {
    crate::decimal::write(u128::from(value), 0, out);
}

/// A JSON string: quotes, backslashes and control characters escaped.
pub fn push_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_written_as_clients_read_them() {
        let ok = Ok(Bytes::from_static(b"{}"));
        assert_eq!(response("\"a\"", &ok, None), r#"{"id":"a","status":200,"result":{}}"#);
        let requests = Budget { limit: 10, used: 3, interval_s: 1 };
        assert_eq!(
            response("7", &ok, Some(Budgets { requests, orders: None })),
            "{\"id\":7,\"status\":200,\"result\":{},\"rateLimits\":[{\"rateLimitType\":\"REQUEST_WEIGHT\",\
             \"interval\":\"SECOND\",\"intervalNum\":1,\"limit\":10,\"count\":3}]}"
        );
        let day = Budget { limit: 100, used: 9, interval_s: DAY_S };
        let told = response("7", &ok, Some(Budgets { requests, orders: Some(OrderBudgets { moment: requests, day }) }));
        assert!(
            told.ends_with(
                b"\"count\":3},{\"rateLimitType\":\"ORDERS\",\"interval\":\"DAY\",\"intervalNum\":1,\"limit\":100,\"count\":9}]}"
            ),
            "{told:?}"
        );
        let mut error = ApiError::bad_request(-1121, "Invalid \"symbol\".");
        error.data = Some(Bytes::from_static(b"{\"a\":1}"));
        assert_eq!(
            response("null", &Err(error.clone()), None),
            r#"{"id":null,"status":400,"error":{"code":-1121,"msg":"Invalid \"symbol\".","data":{"a":1}}}"#
        );
        assert_eq!(stream_response("1", &Ok(Bytes::from_static(b"null"))), r#"{"result":null,"id":1}"#);
        error.data = None;
        assert_eq!(stream_response("1", &Err(error)), r#"{"error":{"code":-1121,"msg":"Invalid \"symbol\"."},"id":1}"#);
    }

    #[test]
    fn strings_are_escaped() {
        let mut out = Vec::new();
        push_string("a\"b\\c\n\u{e9}", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\\\"b\\\\c\\u000aé\"");
    }
}
