//! The text that an HTTP client signs: query and body exactly as sent, one behind the other, without `signature`.
//!
//! There is nothing between the two, so where the query ends is kept beside the text, and where there are both the body
//! begins with a parameter that is known: nobody can move the end of one value into the name of the next. The key stands
//! in a header and so outside of the text: evidence of this kind is not bound to a venue.
//! Bounds: [`MAX_TEXT`] bytes, [`MAX_PARAMETERS`] parameters.

use super::canonical::{MAX_TEXT, form_decode};
use crate::request::{MAX_PARAMETERS, Method, Parameter, ValueKind};

/// The name that stands outside of the signed text.
const SIGNATURE: &str = "signature";

/// Parameters that a body may begin with where there is a query as well.
const KNOWN: [&str; 39] = [
    "symbol",
    "side",
    "type",
    "timeInForce",
    "price",
    "quantity",
    "quoteOrderQty",
    "newClientOrderId",
    "newOrderRespType",
    "selfTradePreventionMode",
    "orderId",
    "origClientOrderId",
    "newQty",
    "validUntil",
    "method",
    "timestamp",
    "recvWindow",
    "limit",
    "omitZeroBalances",
    "cancelOrderId",
    "cancelOrigClientOrderId",
    "cancelReplaceMode",
    "cancelRestrictions",
    "stopPrice",
    "icebergQty",
    "goodTillDate",
    "postOnlySlide",
    "worstPrice",
    "countdownTime",
    "startTime",
    "endTime",
    "fromId",
    "returnRateLimits",
    "strategyId",
    "strategyType",
    "subAccount",
    "toSubAccount",
    "asset",
    "amount",
];

/// Why query and body are no signed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestTextError {
    /// Not form-encoded UTF-8.
    NotEncoded,
    /// Longer than [`MAX_TEXT`], or more than [`MAX_PARAMETERS`] parameters.
    TooLong,
    /// A parameter stands twice.
    SentTwice(String),
    /// The body begins with a parameter that nobody knows, behind a query.
    UnknownFirst,
}

/// A request taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestText {
    /// What was signed, if it was.
    pub text: Vec<u8>,
    /// How much of it is the query.
    pub query_length: u16,
    /// The parameters, decoded, without the signature.
    pub parameters: Vec<Parameter<'static>>,
    /// The signature, decoded from its percent-encoding.
    pub signature: Option<String>,
}

impl RestText {
    /// Takes query and body apart.
    ///
    /// # Errors
    /// See [`RestTextError`].
    pub fn new(query: &str, body: &str) -> Result<Self, RestTextError> {
        if query.len() + body.len() > MAX_TEXT + 256 {
            return Err(RestTextError::TooLong);
        }
        let mut taken = Self {
            text: Vec::with_capacity(query.len() + body.len()),
            query_length: 0,
            parameters: Vec::new(),
            signature: None,
        };
        taken.part(query)?;
        taken.query_length = u16::try_from(taken.text.len()).map_err(|_| RestTextError::TooLong)?;
        taken.part(body)?;
        // What the text has of the body, not the body: a signature in front of it is in no text.
        let signed = &taken.text[usize::from(taken.query_length)..];
        if taken.query_length > 0 && !signed.is_empty() {
            let first = signed.split(|byte| matches!(byte, b'=' | b'&')).next().unwrap_or_default();
            if !KNOWN.iter().any(|name| name.as_bytes() == first) {
                return Err(RestTextError::UnknownFirst);
            }
        }
        if taken.text.len() > MAX_TEXT { Err(RestTextError::TooLong) } else { Ok(taken) }
    }

    /// Takes a signed text apart again, as the audit does. `None` for one that [`RestText::new`] could not have made.
    pub fn read_back(text: &[u8], query_length: u16) -> Option<Vec<Parameter<'static>>> {
        let text = std::str::from_utf8(text).ok()?;
        let (query, body) = text.split_at_checked(usize::from(query_length))?;
        let taken = Self::new(query, body).ok()?;
        (taken.text == text.as_bytes() && taken.query_length == query_length && taken.signature.is_none())
            .then_some(taken.parameters)
    }

    fn part(&mut self, part: &str) -> Result<(), RestTextError> {
        let start = self.text.len();
        for pair in part.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text| form_decode(text).ok_or(RestTextError::NotEncoded);
            let (name, value) = (decode(name)?, decode(value)?);
            let is_signature = name == SIGNATURE;
            if (is_signature && self.signature.is_some()) || self.parameters.iter().any(|one| one.name == name) {
                return Err(RestTextError::SentTwice(name));
            }
            if is_signature {
                self.signature = Some(value);
                continue;
            }
            if self.parameters.len() == MAX_PARAMETERS {
                return Err(RestTextError::TooLong);
            }
            if self.text.len() > start {
                self.text.push(b'&');
            }
            self.text.extend_from_slice(pair.as_bytes());
            self.parameters.push(Parameter { name: name.into(), value: value.into(), kind: ValueKind::Text });
        }
        Ok(())
    }
}

/// What a signed request over HTTP asks, by its verb and path; `None` where there is no such thing.
pub fn method_of(verb: &str, path: &str) -> Option<Method> {
    match (verb, path) {
        ("GET", "/api/v3/account") => Some(Method::AccountStatus),
        ("GET", "/api/v3/openOrders") => Some(Method::OpenOrdersStatus),
        ("GET", "/api/v3/order") => Some(Method::OrderStatus),
        ("GET", "/api/v3/allOrders") => Some(Method::AllOrders),
        ("GET", "/api/v3/myTrades") => Some(Method::MyTrades),
        ("GET", "/api/v3/rateLimit/order") => Some(Method::AccountRateLimitsOrders),
        ("GET", "/api/v3/receipt") => Some(Method::Receipt),
        ("GET", "/api/v3/account/proof") => Some(Method::AccountProof),
        ("GET", "/sapi/v1/asset/tradeFee") => Some(Method::AccountTradeFees),
        ("POST", "/api/v3/order") => Some(Method::OrderPlace),
        ("POST", "/api/v3/order/cancelReplace") => Some(Method::OrderCancelReplace),
        ("DELETE", "/api/v3/order") => Some(Method::OrderCancel),
        ("PUT", "/api/v3/order/amend/keepPriority") => Some(Method::OrderAmendKeepPriority),
        ("POST", "/api/v3/openOrders/cancelAllAfter") => Some(Method::OpenOrdersCancelAllAfter),
        ("POST", "/api/v3/subAccount") => Some(Method::SubAccountCreate),
        ("GET", "/api/v3/subAccount") => Some(Method::SubAccountList),
        ("POST", "/api/v3/subAccount/transfer") => Some(Method::SubAccountTransfer),
        ("DELETE", "/api/v3/openOrders") => Some(Method::OpenOrdersCancelAll),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(taken: &[Parameter<'_>]) -> String {
        taken.iter().map(|one| format!("{}:{} ", one.name, one.value)).collect()
    }

    #[test]
    fn the_signature_stands_anywhere_and_in_no_text() {
        for (query, body) in [
            ("symbol=A&signature=x%2By%3D&price=1%2E5", ""),
            ("signature=x+y%3D&symbol=A&price=1%2E5", ""),
            ("", "symbol=A&price=1%2E5&signature=x%2By%3D"),
            ("&symbol=A&&price=1%2E5&signature=x%2By%3D&", ""),
        ] {
            let taken = RestText::new(query, body).unwrap();
            assert_eq!(taken.text, b"symbol=A&price=1%2E5", "{query} {body}");
            assert_eq!(values(&taken.parameters), "symbol:A price:1.5 ");
            assert!(matches!(taken.signature.as_deref(), Some("x+y=" | "x y=")));
            let again = RestText::read_back(&taken.text, taken.query_length).unwrap();
            assert_eq!(again, taken.parameters);
        }
    }

    #[test]
    fn nobody_moves_the_end_of_the_query() {
        let taken = RestText::new("timestamp=1", "symbol=A&signature=s").unwrap();
        assert_eq!((taken.text.as_slice(), taken.query_length), (b"timestamp=1symbol=A".as_slice(), 11));
        assert_eq!(values(&RestText::read_back(&taken.text, 11).unwrap()), "timestamp:1 symbol:A ");
        for other in [0, 10, 12, 20] {
            let moved = RestText::read_back(&taken.text, other);
            assert!(moved.is_none_or(|moved| moved.len() < 2), "{other}");
        }
        assert_eq!(RestText::new("timestamp=1", "1symbol=A"), Err(RestTextError::UnknownFirst));
        let hidden = RestText::new("timestamp=1", "signature=s&1symbol=A");
        assert_eq!(hidden, Err(RestTextError::UnknownFirst), "a signature in front of it changes nothing");
        let alone = RestText::new("timestamp=1&symbol=A", "signature=s").unwrap();
        assert_eq!(RestText::read_back(&alone.text, alone.query_length), Some(alone.parameters));
    }

    #[test]
    fn what_is_ambiguous_is_refused() {
        assert_eq!(RestText::new("a=1", "symbol=2&a=1"), Err(RestTextError::SentTwice("a".to_owned())));
        assert_eq!(RestText::new("a=1&%61=2", ""), Err(RestTextError::SentTwice("a".to_owned())));
        assert_eq!(RestText::new("a=%ff", ""), Err(RestTextError::NotEncoded));
        assert_eq!(RestText::new("a=%4", ""), Err(RestTextError::NotEncoded));
        assert_eq!(RestText::new(&"a=1&".repeat(600), ""), Err(RestTextError::TooLong));
        let many: String = (0..=MAX_PARAMETERS).map(|number| format!("p{number}=1&")).collect();
        assert_eq!(RestText::new(&many, ""), Err(RestTextError::TooLong));
    }
}
