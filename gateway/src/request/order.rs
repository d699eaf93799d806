//! Requests that change orders: place, cancel, replace, amend, cancel all.

use lakh_engine::command::{
    AmendOrder, CancelAll, CancelOrder, CancelRestriction, Operation, OrderReference, OrderType, PlaceOrder,
    ReplaceMode, ReplaceOrder, SelfTradeMode, TimeInForce,
};
use lakh_engine::units::{Atoms, Lots, Ticks};

use super::{Fields, Intent, refusal};
use crate::api_error::ApiError;
use crate::decimal::{self, DecimalError};
use crate::directory::{Directory, MarketEntry};
use crate::hand_over::AnswerShape;

/// Parameters of the public API that would change what an order does and that the venue does not offer (yet). To
/// ignore one, as unknown parameters are, would make another order than the one that was meant.
const NOT_OFFERED: [&str; 7] =
    ["stopPrice", "icebergQty", "trailingDelta", "goodTillDate", "pegPriceType", "pegOffsetType", "pegOffsetValue"];

/// What type, time in force and amounts make of an order.
struct Terms {
    order_type: OrderType,
    time_in_force: TimeInForce,
    price: Ticks,
    quantity: Lots,
    quote_budget: Atoms,
}

/// `order.place`.
pub(super) fn place(fields: Fields<'_>, directory: &Directory) -> Result<Intent, ApiError> {
    let (placed, shape) = new_order(fields, directory)?;
    Ok(Intent::operation(Operation::PlaceOrder(placed), fields.valid_until()?, shape))
}

/// `order.cancelReplace`. The canceled order keeps its client id, so `cancelNewClientOrderId` says nothing.
pub(super) fn replace(fields: Fields<'_>, directory: &Directory) -> Result<Intent, ApiError> {
    let mode = match fields.required("cancelReplaceMode")? {
        "STOP_ON_FAILURE" => ReplaceMode::StopOnFailure,
        "ALLOW_FAILURE" => ReplaceMode::AllowFailure,
        _ => return Err(refusal::invalid_value("cancelReplaceMode")),
    };
    let restriction = match fields.text("cancelRestrictions") {
        None => CancelRestriction::None,
        Some("ONLY_NEW") => CancelRestriction::OnlyNew,
        Some("ONLY_PARTIALLY_FILLED") => CancelRestriction::OnlyPartiallyFilled,
        Some(_) => return Err(refusal::invalid_value("cancelRestrictions")),
    };
    let target = fields.target_of("cancelOrderId", "cancelOrigClientOrderId")?;
    let (order, shape) = new_order(fields, directory)?;
    let shape = match shape {
        AnswerShape::OrderAck => AnswerShape::ReplacedAck,
        AnswerShape::OrderResult => AnswerShape::ReplacedResult,
        _ => AnswerShape::ReplacedFull,
    };
    let replaced = ReplaceOrder { target, restriction, mode, order };
    Ok(Intent::operation(Operation::ReplaceOrder(replaced), fields.valid_until()?, shape))
}

fn new_order(fields: Fields<'_>, directory: &Directory) -> Result<(PlaceOrder, AnswerShape), ApiError> {
    let market = fields.market(directory)?;
    let side = fields.side()?.ok_or_else(|| refusal::missing("side"))?;
    let order_type = order_type(fields.required("type")?)?;
    fields.refuse(&NOT_OFFERED)?;
    let terms = match order_type {
        OrderType::Limit => limit(fields, &market)?,
        OrderType::LimitMaker => limit_maker(fields, &market)?,
        OrderType::Market => at_market(fields, &market)?,
        _ => return Err(refusal::order_type()),
    };
    let placed = PlaceOrder {
        order_type: terms.order_type,
        time_in_force: terms.time_in_force,
        quote_budget: terms.quote_budget,
        self_trade_mode: self_trade_mode(fields)?,
        client_id: fields.new_client_id()?,
        ..PlaceOrder::limit(market.spec.market, side, terms.price, terms.quantity)
    };
    Ok((placed, response_shape(fields, order_type)?))
}

fn limit(fields: Fields<'_>, market: &MarketEntry) -> Result<Terms, ApiError> {
    let time_in_force = match fields.required("timeInForce")? {
        "GTC" => TimeInForce::GoodTillCancel,
        "IOC" => TimeInForce::ImmediateOrCancel,
        "FOK" => TimeInForce::FillOrKill,
        _ => return Err(refusal::time_in_force()),
    };
    fields.refuse(&["quoteOrderQty"])?;
    let (price, quantity) = price_and_quantity(fields, market)?;
    Ok(Terms { order_type: OrderType::Limit, time_in_force, price, quantity, quote_budget: Atoms::ZERO })
}

fn limit_maker(fields: Fields<'_>, market: &MarketEntry) -> Result<Terms, ApiError> {
    fields.refuse(&["timeInForce", "quoteOrderQty"])?;
    let (price, quantity) = price_and_quantity(fields, market)?;
    let time_in_force = TimeInForce::GoodTillCancel;
    Ok(Terms { order_type: OrderType::LimitMaker, time_in_force, price, quantity, quote_budget: Atoms::ZERO })
}

fn at_market(fields: Fields<'_>, market: &MarketEntry) -> Result<Terms, ApiError> {
    fields.refuse(&["timeInForce", "price"])?;
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
    let time_in_force = TimeInForce::ImmediateOrCancel;
    Ok(Terms { order_type: OrderType::Market, time_in_force, price: Ticks::ZERO, quantity, quote_budget })
}

fn price_and_quantity(fields: Fields<'_>, market: &MarketEntry) -> Result<(Ticks, Lots), ApiError> {
    let price_text = fields.required("price")?;
    let quantity_text = fields.required("quantity")?;
    let price = market.parse_price(price_text).map_err(|error| match error {
        DecimalError::NotANumber => refusal::illegal_characters("price"),
        // Nothing has a price finer than 10^-8; what lies between two ticks is the market's own filter.
        DecimalError::TooPrecise if decimal::parse(price_text, 8).is_err() => refusal::precision("price"),
        DecimalError::TooPrecise | DecimalError::OutOfRange => refusal::filter("PRICE_FILTER"),
    })?;
    Ok((price, quantity("quantity", quantity_text, market)?))
}

/// A quantity above zero: zero means something else to the engine's market orders.
fn quantity(name: &str, text: &str, market: &MarketEntry) -> Result<Lots, ApiError> {
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
        _ => Err(refusal::order_type()),
    }
}

/// Who names no mode has the resting order expire, as `exchangeInfo` says: the incoming order is the newer decision.
fn self_trade_mode(fields: Fields<'_>) -> Result<SelfTradeMode, ApiError> {
    match fields.text("selfTradePreventionMode") {
        None | Some("EXPIRE_MAKER") => Ok(SelfTradeMode::ExpireMaker),
        Some("EXPIRE_TAKER") => Ok(SelfTradeMode::ExpireTaker),
        Some("NONE") => Ok(SelfTradeMode::None),
        Some(_) => Err(refusal::self_trade_mode()),
    }
}

/// Orders that may trade at once are answered with their fills, unless the client wants less.
fn response_shape(fields: Fields<'_>, order_type: OrderType) -> Result<AnswerShape, ApiError> {
    match (fields.text("newOrderRespType"), order_type) {
        (Some("ACK"), _) | (None, OrderType::LimitMaker) => Ok(AnswerShape::OrderAck),
        (Some("RESULT"), _) => Ok(AnswerShape::OrderResult),
        (Some("FULL"), _) | (None, _) => Ok(AnswerShape::OrderFull),
        (Some(_), _) => Err(refusal::invalid_value("newOrderRespType")),
    }
}

/// `order.cancel`.
pub(super) fn cancel(fields: Fields<'_>, directory: &Directory) -> Result<Intent, ApiError> {
    let market = fields.market(directory)?;
    let target = fields.target()?;
    fields.refuse(&["cancelRestrictions"])?;
    let canceled = CancelOrder { market: market.spec.market, target };
    Ok(Intent::operation(Operation::CancelOrder(canceled), fields.valid_until()?, AnswerShape::OrderCanceled))
}

/// `order.amend.keepPriority`. An order keeps its client id here, so no other one may be asked for.
pub(super) fn amend(fields: Fields<'_>, directory: &Directory) -> Result<Intent, ApiError> {
    let market = fields.market(directory)?;
    let target = fields.target()?;
    let new_client_id = fields.new_client_id()?;
    if !new_client_id.is_empty() && target != OrderReference::ClientId(new_client_id) {
        return Err(refusal::not_required("newClientOrderId"));
    }
    let new_quantity = quantity("newQty", fields.required("newQty")?, &market)?;
    let amended = AmendOrder::less(market.spec.market, target, new_quantity);
    Ok(Intent::operation(Operation::AmendOrder(amended), fields.valid_until()?, AnswerShape::OrderAmended))
}

/// `openOrders.cancelAll`. A text without a symbol is as good as empty, so it must say itself what it asks: the text
/// of a question would otherwise do for it.
pub(super) fn cancel_all(fields: Fields<'_>, directory: &Directory) -> Result<Intent, ApiError> {
    let market = fields.optional_market(directory)?;
    if market.is_none() && fields.text("method").is_none() {
        return Err(refusal::missing_either("symbol", "method"));
    }
    let canceled = CancelAll { market: market.map(|market| market.spec.market), side: fields.side()? };
    Ok(Intent::operation(Operation::CancelAll(canceled), fields.valid_until()?, AnswerShape::OrdersCanceled))
}
