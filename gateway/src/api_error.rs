//! What a client is told when a request fails: a stable number, a text, an HTTP-like status.
//!
//! The numbers are those that the public API's clients know. Every reject of the engine has one.

use std::borrow::Cow;

use bytes::Bytes;
use lakh_engine::reject::RejectCode;

/// An error as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// 400, 401, 403, 409, 410, 416, 418, 429, 500 or 503.
    pub status: u16,
    /// The stable number, negative.
    pub code: i32,
    /// One sentence.
    pub message: Cow<'static, str>,
    /// More about it, as a JSON value.
    pub data: Option<Bytes>,
    /// In how many milliseconds the request may be tried again; 0 for no advice.
    pub retry_after_ms: u32,
}

impl ApiError {
    /// An error with a fixed text and status 400.
    pub const fn bad_request(code: i32, message: &'static str) -> Self {
        Self { status: 400, code, message: Cow::Borrowed(message), data: None, retry_after_ms: 0 }
    }

    /// What a client is told of an engine's reject.
    pub fn from_reject(code: RejectCode) -> Self {
        use RejectCode as Code;
        let (number, message) = match code {
            Code::TimestampOutsideWindow => (-1021, "Timestamp for this request is outside of the recvWindow."),
            Code::ValidUntilPassed => (-1021, "validUntil of this request has passed."),
            Code::DigestTableFull => {
                (-1015, "Too many new orders; the key has as many requests outstanding as it may.")
            }
            Code::KeyUnknown | Code::KeyRevoked | Code::KeyExpired | Code::KeyPending | Code::KeyOfOtherAccount => {
                (-2015, "Invalid API-key, IP, or permissions for action.")
            }
            Code::OutOfScope => (-2015, "The key may not do this."),
            Code::AccountBlocked => (-2010, "This account may not place or cancel orders."),
            Code::ExpiryPassed => (-2010, "goodTillDate of this order has passed."),
            Code::PriceOutsideBand => (-1013, "Filter failure: PERCENT_PRICE"),
            Code::WouldTrigger => (-2010, "Order would trigger immediately."),
            Code::TriggersFull => (-1013, "Filter failure: MAX_NUM_ALGO_ORDERS"),
            Code::RestrictionNotMet => (-2011, "Order was not canceled due to cancel restrictions."),
            Code::GroupNotConsented => (-2010, "The self-trade group has not agreed to this account."),
            Code::KeyAlreadyLive => (-2010, "The key is live already."),
            Code::EvidenceTooWeak => (-2015, "The account asks for a signature on each request."),
            Code::Duplicate => (-2010, "Duplicate order sent."),
            Code::MarketUnknown => (-1121, "Invalid symbol."),
            Code::MarketClosed => (-2010, "Market is closed."),
            Code::BadCombination => (-1106, "Type, time in force, price and quantity do not go together."),
            Code::PriceOutOfRange => (-1013, "Filter failure: PRICE_FILTER"),
            Code::QuantityOutOfRange => (-1013, "Filter failure: LOT_SIZE"),
            Code::NotionalTooSmall => (-1013, "Filter failure: NOTIONAL"),
            Code::ClientOrderLive => (-2010, "Duplicate order sent."),
            Code::ClientIdInUse => (-2010, "A live order has this client id and other content."),
            Code::OrderUnknown => (-2011, "Unknown order sent."),
            Code::AmendNotSmaller => {
                (-2038, "The new quantity must be above the executed and below the order's quantity.")
            }
            Code::TableShareTaken => (-1008, "The owner has a fair share of the book already."),
            Code::KeyLimitReached => (-2010, "The key's own limit is reached."),
            Code::TooManyOpenOrders => (-1013, "Filter failure: MAX_NUM_ORDERS"),
            Code::BookFull | Code::LevelsFull => (-1008, "The book is full."),
            Code::NoLiquidity => (-2010, "There is nothing to trade with."),
            Code::WouldTrade => (-2010, "Order would immediately match and take."),
            Code::InsufficientBalance => (-2010, "Account has insufficient balance for requested action."),
            Code::AgendaPending | Code::AgendaFull => (-1008, "Server is currently overloaded; try again."),
            _ => {
                return Self { message: Cow::Owned(code.name().to_owned()), ..Self::bad_request(-2010, "") };
            }
        };
        Self::bad_request(number, message)
    }
}
