//! Parameters by name, each read by the character set and range that it may have.

use lakh_engine::command::{OrderReference, Side};
use lakh_engine::ids::{ClientId, OrderId};
use lakh_engine::market_spec::AssetSpec;
use lakh_engine::units::Timestamp;

use super::{Method, Parameter, refusal};
use crate::api_error::ApiError;
use crate::decimal::{self, DecimalError};
use crate::directory::{Directory, MarketEntry};
use crate::hand_over::FromPosition;

use std::sync::Arc;

/// From here on a timestamp is in microseconds; as milliseconds it would be in the year 5138.
const FIRST_MICROSECONDS: u64 = 100_000_000_000_000;
/// The window of a request that names none, in milliseconds.
const DEFAULT_RECEIVE_WINDOW_MS: u32 = 5_000;
/// The longest window, in milliseconds.
const MAX_RECEIVE_WINDOW_MS: u64 = 60_000;
/// How far a client's clock may be ahead, in nanoseconds.
const MAX_AHEAD_NS: u64 = 1_000_000_000;
/// In front of the ids that the venue shows for orders without a client id.
const SERVER_MADE_ID: &str = "auto-";

/// A request's parameters, looked up by name. Names are unique: the parser sees to it.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'p>(&'p [Parameter<'p>]);

/// When a request was made and for how long it is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// When the client made it.
    pub signed_at: Timestamp,
    /// For how long it is good, in milliseconds: 1 ..= 60,000.
    pub receive_window_ms: u32,
}

impl Timing {
    /// Checks `timestamp < now + 1000 ms` and `now − timestamp ≤ recvWindow`; the engine does it again.
    ///
    /// # Errors
    /// -1021 outside of the window.
    pub fn check(&self, now: Timestamp) -> Result<(), ApiError> {
        let ahead = self.signed_at.0.saturating_sub(now.0);
        let behind = now.0.saturating_sub(self.signed_at.0);
        if ahead >= MAX_AHEAD_NS || behind > u64::from(self.receive_window_ms) * 1_000_000 {
            return Err(refusal::timestamp());
        }
        Ok(())
    }
}

impl<'p> Fields<'p> {
    /// A view of these parameters.
    pub const fn new(parameters: &'p [Parameter<'p>]) -> Self {
        Self(parameters)
    }

    /// The raw text of a parameter; `None` when it was not sent or is empty.
    pub fn text(self, name: &str) -> Option<&'p str> {
        self.0.iter().find(|one| one.name == name).map(|one| one.value.as_ref()).filter(|value| !value.is_empty())
    }

    /// The raw text of a parameter that must be there.
    ///
    /// # Errors
    /// -1102 when it is not.
    pub fn required(self, name: &str) -> Result<&'p str, ApiError> {
        self.text(name).ok_or_else(|| refusal::missing(name))
    }

    /// A whole number, if it is there.
    ///
    /// # Errors
    /// -1100 for what is no number, -1130 beyond 64 bits.
    pub(crate) fn number(self, name: &str) -> Result<Option<u64>, ApiError> {
        self.text(name).map(|text| integer(name, text)).transpose()
    }

    /// Refuses parameters that would change what is meant but that this method does not offer.
    ///
    /// # Errors
    /// -1106 for the first of `names` that was sent.
    pub(crate) fn refuse(self, names: &[&str]) -> Result<(), ApiError> {
        match names.iter().find(|name| self.text(name).is_some()) {
            Some(name) => Err(refusal::not_required(name)),
            None => Ok(()),
        }
    }

    /// The method is not part of the signed text unless the client puts it there; then it must be the right one.
    ///
    /// # Errors
    /// -1130 when it is another.
    pub(crate) fn check_method(self, method: Method) -> Result<(), ApiError> {
        match self.text("method") {
            Some(text) if Method::from_name(text) != Some(method) => Err(refusal::invalid_value("method")),
            _ => Ok(()),
        }
    }

    /// `timestamp` and `recvWindow`, as numbers or strings.
    ///
    /// # Errors
    /// -1102 without a timestamp, -1100 for what is no number, -1131 for a window out of range.
    pub fn timing(self) -> Result<Timing, ApiError> {
        let signed_at = instant("timestamp", self.required("timestamp")?)?;
        let receive_window_ms = match self.text("recvWindow") {
            None => DEFAULT_RECEIVE_WINDOW_MS,
            Some(text) => match whole_milliseconds(text)? {
                window @ 1..=MAX_RECEIVE_WINDOW_MS => u32::try_from(window).expect("at most 60,000"),
                _ => return Err(refusal::receive_window()),
            },
        };
        Ok(Timing { signed_at, receive_window_ms })
    }

    /// `validUntil`, or 0.
    pub(crate) fn valid_until(self) -> Result<Timestamp, ApiError> {
        self.text("validUntil").map_or(Ok(Timestamp::ZERO), |text| match instant("validUntil", text)? {
            Timestamp::ZERO => Err(refusal::invalid_value("validUntil")),
            time => Ok(time),
        })
    }

    /// `fromSeq`, the count of the last private event that was seen, and whether the position behind it was, which
    /// `positionSeq`, the count of the last position that was seen, says.
    pub(crate) fn resume_from(self) -> Result<(u64, FromPosition), ApiError> {
        let from = integer("fromSeq", self.required("fromSeq")?)?;
        let seen = self.text("positionSeq").map(|text| integer("positionSeq", text)).transpose()?;
        let position = if seen.is_some_and(|seen| seen >= from) { FromPosition::Seen } else { FromPosition::Wanted };
        Ok((from, position))
    }

    /// The market that `symbol` names.
    pub(crate) fn market(self, directory: &Directory) -> Result<Arc<MarketEntry>, ApiError> {
        market("symbol", self.required("symbol")?, directory)
    }

    /// The market that `symbol` names, if it is there.
    pub(crate) fn optional_market(self, directory: &Directory) -> Result<Option<Arc<MarketEntry>>, ApiError> {
        self.text("symbol").map(|text| market("symbol", text, directory)).transpose()
    }

    /// `side`, if it is there.
    pub(crate) fn side(self) -> Result<Option<Side>, ApiError> {
        match self.text("side") {
            None => Ok(None),
            Some("BUY") => Ok(Some(Side::Bid)),
            Some("SELL") => Ok(Some(Side::Ask)),
            Some(_) => Err(refusal::side()),
        }
    }

    /// The order that `orderId` or `origClientOrderId` names; exactly one of them.
    pub(crate) fn target(self) -> Result<OrderReference, ApiError> {
        self.target_of("orderId", "origClientOrderId")
    }

    /// The order that one of these two parameters names; exactly one of them.
    pub(crate) fn target_of(self, by_order: &str, by_client: &str) -> Result<OrderReference, ApiError> {
        match (self.text(by_order), self.text(by_client)) {
            (Some(_), Some(_)) => Err(refusal::combination(by_order, by_client)),
            (None, None) => Err(refusal::missing_either(by_client, by_order)),
            (Some(id), None) => Ok(OrderReference::OrderId(OrderId(integer(by_order, id)?))),
            (None, Some(id)) => {
                let client_id = client_id(by_client, id)?;
                let server_made = id.strip_prefix(SERVER_MADE_ID).and_then(|number| number.parse().ok());
                Ok(server_made.map_or(OrderReference::ClientId(client_id), |id| OrderReference::OrderId(OrderId(id))))
            }
        }
    }

    /// `newClientOrderId`, or the empty id.
    pub(crate) fn new_client_id(self) -> Result<ClientId, ApiError> {
        match self.text("newClientOrderId") {
            None => Ok(ClientId::EMPTY),
            // It would be taken for the id of an order that has none.
            Some(id) if id.starts_with(SERVER_MADE_ID) => Err(refusal::invalid_value("newClientOrderId")),
            Some(id) => client_id("newClientOrderId", id),
        }
    }

    /// A boolean as JSON spells it or as Python does.
    pub(crate) fn boolean(self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.text(name) {
            None => Ok(None),
            Some("true" | "True") => Ok(Some(true)),
            Some("false" | "False") => Ok(Some(false)),
            Some(_) => Err(refusal::invalid_value(name)),
        }
    }
}

/// A market by name.
pub(super) fn market(name: &str, text: &str, directory: &Directory) -> Result<Arc<MarketEntry>, ApiError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !text.bytes().all(legal) {
        return Err(refusal::illegal_characters(name));
    }
    directory.market_by_symbol(text).ok_or_else(refusal::symbol)
}

/// An asset by name.
pub(super) fn asset(name: &str, text: &str, directory: &Directory) -> Result<AssetSpec, ApiError> {
    let named = directory.assets().into_iter().find(|asset| asset.symbol.as_str() == text);
    named.ok_or_else(|| refusal::invalid_value(name))
}

/// A decimal number in units of its last place.
pub(super) fn amount(name: &str, text: &str, decimals: u8) -> Result<u64, ApiError> {
    decimal::parse(text, decimals).map_err(|error| match error {
        DecimalError::NotANumber => refusal::illegal_characters(name),
        DecimalError::TooPrecise => refusal::precision(name),
        DecimalError::OutOfRange => refusal::invalid_value(name),
    })
}

/// A number of decimal digits only.
pub(super) fn integer(name: &str, text: &str) -> Result<u64, ApiError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refusal::illegal_characters(name));
    }
    text.parse().map_err(|_| refusal::invalid_value(name))
}

/// A window in milliseconds with up to three decimals, which are cut off: a request is never good for longer than its
/// client says.
fn whole_milliseconds(text: &str) -> Result<u64, ApiError> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    if decimals.len() > 3 {
        return Err(refusal::illegal_characters("recvWindow"));
    }
    integer("recvWindow", decimals)?;
    integer("recvWindow", whole)
}

/// A time in milliseconds, or from 10^14 on in microseconds.
pub(super) fn instant(name: &str, text: &str) -> Result<Timestamp, ApiError> {
    let number = integer(name, text)?;
    let unit_ns = if number >= FIRST_MICROSECONDS { 1_000 } else { 1_000_000 };
    number.checked_mul(unit_ns).map(Timestamp).ok_or_else(|| refusal::invalid_value(name))
}

fn client_id(name: &str, text: &str) -> Result<ClientId, ApiError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'/' | b'-');
    if !text.bytes().all(legal) {
        return Err(refusal::illegal_characters(name));
    }
    ClientId::new(text).ok_or_else(|| refusal::illegal_characters(name))
}
