//! Requests that change orders: place, cancel, replace, amend, cancel all.

use lakh_engine::command::{
    AmendOrder, CancelAll, CancelOrder, CancelRestriction, Operation, OrderReference, OrderType, PlaceOrder,
    ReplaceMode, ReplaceOrder, SelfTradeMode,
};

use super::terms::{quantity, terms};
use super::{Fields, Intent, refusal};
use crate::api_error::ApiError;
use crate::directory::Directory;
use crate::hand_over::AnswerShape;

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
    let terms = terms(fields, &market)?;
    let placed = PlaceOrder {
        market: market.spec.market,
        side,
        order_type: terms.order_type,
        time_in_force: terms.time_in_force,
        price: terms.price,
        trigger_price: terms.trigger_price,
        quantity: terms.quantity,
        display_quantity: terms.display_quantity,
        quote_budget: terms.quote_budget,
        self_trade_mode: self_trade_mode(fields)?,
        expires_at: terms.expires_at,
        client_id: fields.new_client_id()?,
    };
    Ok((placed, response_shape(fields, terms.order_type)?))
}

/// Who names no mode has the resting order expire, as `exchangeInfo` says: the incoming order is the newer decision.
fn self_trade_mode(fields: Fields<'_>) -> Result<SelfTradeMode, ApiError> {
    match fields.text("selfTradePreventionMode") {
        None | Some("EXPIRE_MAKER") => Ok(SelfTradeMode::ExpireMaker),
        Some("EXPIRE_TAKER") => Ok(SelfTradeMode::ExpireTaker),
        Some("EXPIRE_BOTH") => Ok(SelfTradeMode::ExpireBoth),
        Some("DECREMENT") => Ok(SelfTradeMode::Decrement),
        Some("NONE") => Ok(SelfTradeMode::None),
        Some(_) => Err(refusal::self_trade_mode()),
    }
}

/// Orders that may trade at once are answered with their fills, unless the client wants less.
fn response_shape(fields: Fields<'_>, order_type: OrderType) -> Result<AnswerShape, ApiError> {
    match (fields.text("newOrderRespType"), order_type) {
        (Some("RESULT"), _) => Ok(AnswerShape::OrderResult),
        (Some("FULL"), _) | (None, OrderType::Limit | OrderType::Market) => Ok(AnswerShape::OrderFull),
        (Some("ACK"), _) | (None, _) => Ok(AnswerShape::OrderAck),
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
