//! What type, time in force, prices and amounts make of an order: which of them go together, and what each means here.
//!
//! Beside the public API's parameters there are three of this venue: `goodTillDate` (when the order ends by itself),
//! `postOnlySlide` (a post-only order that would trade rests one tick behind the best opposite price instead of being
//! refused) and `worstPrice` (how far an order without a price may trade; without it the market's own band holds).

use lakh_engine::command::{OrderType, PlaceOrder, TimeInForce};
use lakh_engine::units::{Atoms, Lots, Ticks, Timestamp};

use super::fields::instant;
use super::{Fields, refusal};
use crate::api_error::ApiError;
use crate::decimal::{self, DecimalError};
use crate::directory::MarketEntry;

/// Parameters of the public API that would change what an order does and that the venue does not offer. To ignore one, as
/// unknown parameters are, would make another order than the one that was meant.
const NOT_OFFERED: [&str; 4] = ["trailingDelta", "pegPriceType", "pegOffsetType", "pegOffsetValue"];

/// The terms of an order.
pub(super) struct Terms {
    pub(super) order_type: OrderType,
    pub(super) time_in_force: TimeInForce,
    pub(super) price: Ticks,
    pub(super) trigger_price: Ticks,
    pub(super) quantity: Lots,
    pub(super) display_quantity: Lots,
    pub(super) quote_budget: Atoms,
    pub(super) expires_at: Timestamp,
}

/// The terms that a request names.
pub(super) fn terms(fields: Fields<'_>, market: &MarketEntry) -> Result<Terms, ApiError> {
    let order_type = order_type(fields.required("type")?)?;
    fields.refuse(&NOT_OFFERED)?;
    match order_type {
        OrderType::Limit => {
            fields.refuse(&["quoteOrderQty", "stopPrice", "postOnlySlide", "worstPrice"])?;
            let (time_in_force, expires_at) = time_in_force(fields)?;
            let resting = resting(fields, order_type, market)?;
            let display_quantity = iceberg(fields, resting.quantity, market)?;
            if !display_quantity.is_zero() && !time_in_force.rests() {
                return Err(refusal::not_required("icebergQty"));
            }
            Ok(Terms { time_in_force, expires_at, display_quantity, ..resting })
        }
        OrderType::LimitMaker => {
            fields.refuse(&["timeInForce", "quoteOrderQty", "stopPrice", "worstPrice"])?;
            let (time_in_force, expires_at) = good_till(fields)?;
            let slides = fields.boolean("postOnlySlide")?.unwrap_or(false);
            let order_type = if slides { OrderType::LimitMakerSlide } else { order_type };
            let resting = resting(fields, order_type, market)?;
            let display_quantity = iceberg(fields, resting.quantity, market)?;
            Ok(Terms { time_in_force, expires_at, display_quantity, ..resting })
        }
        OrderType::Market => {
            fields.refuse(&["timeInForce", "price", "stopPrice", "icebergQty", "goodTillDate", "postOnlySlide"])?;
            at_market(fields, market)
        }
        OrderType::StopLossLimit | OrderType::TakeProfitLimit => {
            fields.refuse(&["quoteOrderQty", "icebergQty", "postOnlySlide", "worstPrice"])?;
            let (time_in_force, expires_at) = time_in_force(fields)?;
            let trigger_price = required_price("stopPrice", fields, market)?;
            Ok(Terms { time_in_force, expires_at, trigger_price, ..resting(fields, order_type, market)? })
        }
        _ => {
            fields.refuse(&["timeInForce", "price", "quoteOrderQty", "icebergQty", "goodTillDate", "postOnlySlide"])?;
            let trigger_price = required_price("stopPrice", fields, market)?;
            let quantity = quantity("quantity", fields.required("quantity")?, market)?;
            let price = worst_price(fields, market)?;
            Ok(Terms { price, trigger_price, quantity, ..immediate(order_type) })
        }
    }
}

/// An order that trades at once when its turn comes.
const fn immediate(order_type: OrderType) -> Terms {
    Terms {
        order_type,
        time_in_force: TimeInForce::ImmediateOrCancel,
        price: Ticks::ZERO,
        trigger_price: Ticks::ZERO,
        quantity: Lots::ZERO,
        display_quantity: Lots::ZERO,
        quote_budget: Atoms::ZERO,
        expires_at: Timestamp::ZERO,
    }
}

/// An order with a price of its own.
fn resting(fields: Fields<'_>, order_type: OrderType, market: &MarketEntry) -> Result<Terms, ApiError> {
    let price = required_price("price", fields, market)?;
    let quantity = quantity("quantity", fields.required("quantity")?, market)?;
    Ok(Terms { price, quantity, ..immediate(order_type) })
}

fn at_market(fields: Fields<'_>, market: &MarketEntry) -> Result<Terms, ApiError> {
    let (quantity, quote_budget) = match (fields.text("quantity"), fields.text("quoteOrderQty")) {
        (Some(_), Some(_)) => return Err(refusal::combination("quantity", "quoteOrderQty")),
        (None, None) => return Err(refusal::missing_either("quantity", "quoteOrderQty")),
        (Some(text), None) => (quantity("quantity", text, market)?, Atoms::ZERO),
        (None, Some(text)) => {
            let budget = decimal::parse(text, market.quote.decimals).map_err(|error| match error {
                DecimalError::NotANumber => refusal::illegal_characters("quoteOrderQty"),
                DecimalError::TooPrecise => refusal::precision("quoteOrderQty"),
                DecimalError::OutOfRange => refusal::filter("NOTIONAL"),
            })?;
            if budget == 0 {
                return Err(refusal::filter("NOTIONAL"));
            }
            (Lots::ZERO, Atoms(budget))
        }
    };
    let price = worst_price(fields, market)?;
    Ok(Terms { price, quantity, quote_budget, ..immediate(OrderType::Market) })
}

/// `timeInForce`, and when the order ends: `GTD` needs a `goodTillDate`, and `GTC` with one is the same, for clients that
/// know no other word.
fn time_in_force(fields: Fields<'_>) -> Result<(TimeInForce, Timestamp), ApiError> {
    let immediate = |time_in_force| {
        fields.refuse(&["goodTillDate"])?;
        Ok((time_in_force, Timestamp::ZERO))
    };
    match fields.required("timeInForce")? {
        "GTC" => good_till(fields),
        "GTD" if fields.text("goodTillDate").is_none() => Err(refusal::missing("goodTillDate")),
        "GTD" => good_till(fields),
        "IOC" => immediate(TimeInForce::ImmediateOrCancel),
        "FOK" => immediate(TimeInForce::FillOrKill),
        _ => Err(refusal::time_in_force()),
    }
}

fn good_till(fields: Fields<'_>) -> Result<(TimeInForce, Timestamp), ApiError> {
    match fields.text("goodTillDate").map(|text| instant("goodTillDate", text)).transpose()? {
        None => Ok((TimeInForce::GoodTillCancel, Timestamp::ZERO)),
        Some(Timestamp::ZERO) => Err(refusal::invalid_value("goodTillDate")),
        Some(expires_at) => Ok((TimeInForce::GoodTillDate, expires_at)),
    }
}

/// `icebergQty`; 0 for an order that hides nothing.
fn iceberg(fields: Fields<'_>, whole: Lots, market: &MarketEntry) -> Result<Lots, ApiError> {
    let Some(text) = fields.text("icebergQty") else { return Ok(Lots::ZERO) };
    let shown = quantity("icebergQty", text, market)?;
    if shown > whole || whole.0.div_ceil(shown.0) > PlaceOrder::MAX_PARTS {
        return Err(refusal::filter("ICEBERG_PARTS"));
    }
    Ok(shown)
}

fn worst_price(fields: Fields<'_>, market: &MarketEntry) -> Result<Ticks, ApiError> {
    match fields.text("worstPrice") {
        None => Ok(Ticks::ZERO),
        Some(_) => required_price("worstPrice", fields, market),
    }
}

/// A price above zero: zero means something else to the engine.
fn required_price(name: &str, fields: Fields<'_>, market: &MarketEntry) -> Result<Ticks, ApiError> {
    let text = fields.required(name)?;
    let price = market.parse_price(text).map_err(|error| match error {
        DecimalError::NotANumber => refusal::illegal_characters(name),
        // Nothing has a price finer than 10^-8; what lies between two ticks is the market's own filter.
        DecimalError::TooPrecise if decimal::parse(text, 8).is_err() => refusal::precision(name),
        DecimalError::TooPrecise | DecimalError::OutOfRange => refusal::filter("PRICE_FILTER"),
    })?;
    if price.is_zero() { Err(refusal::filter("PRICE_FILTER")) } else { Ok(price) }
}

/// A quantity above zero: zero means something else to the engine's market orders.
pub(super) fn quantity(name: &str, text: &str, market: &MarketEntry) -> Result<Lots, ApiError> {
    let lots = market.parse_quantity(text).map_err(|error| match error {
        DecimalError::NotANumber => refusal::illegal_characters(name),
        DecimalError::TooPrecise if decimal::parse(text, market.base.decimals).is_err() => refusal::precision(name),
        DecimalError::TooPrecise | DecimalError::OutOfRange => refusal::filter("LOT_SIZE"),
    })?;
    if lots.is_zero() {
        return Err(refusal::filter("LOT_SIZE"));
    }
    Ok(lots)
}

fn order_type(text: &str) -> Result<OrderType, ApiError> {
    match text {
        "LIMIT" => Ok(OrderType::Limit),
        "LIMIT_MAKER" => Ok(OrderType::LimitMaker),
        "MARKET" => Ok(OrderType::Market),
        "STOP_LOSS" => Ok(OrderType::StopLoss),
        "STOP_LOSS_LIMIT" => Ok(OrderType::StopLossLimit),
        "TAKE_PROFIT" => Ok(OrderType::TakeProfit),
        "TAKE_PROFIT_LIMIT" => Ok(OrderType::TakeProfitLimit),
        _ => Err(refusal::order_type()),
    }
}
