//! The `result` values of order requests and order queries.
//!
//! `seq` is the journal sequence of the command that the answer is about; with it and the journal anybody can check
//! the answer.

use lakh_engine::command::OrderType;
use lakh_engine::event::Trade;
use lakh_engine::ids::{OrderId, Sequence};
use lakh_engine::reject::RejectCode;
use lakh_engine::units::{Atoms, Timestamp};

use crate::api_error::ApiError;
use crate::directory::MarketEntry;
use crate::order_state::OrderRecord;
use crate::reports::Stamp;
use crate::wire_encode::json::JsonWriter;
use crate::wire_encode::names;

/// `order.place`, `ACK`: that the order was accepted.
pub fn order_ack(market: &MarketEntry, order: &OrderRecord, stamp: Stamp, out: &mut Vec<u8>) {
    let mut json = JsonWriter::new(out);
    json.begin_object();
    write_ack_fields(&mut json, market, order, stamp);
    json.key("seq").number(stamp.sequence.0).end_object();
}

/// `order.place`, `RESULT`: the order as the command left it.
pub fn order_result(market: &MarketEntry, order: &OrderRecord, stamp: Stamp, out: &mut Vec<u8>) {
    let mut json = JsonWriter::new(out);
    json.begin_object();
    write_ack_fields(&mut json, market, order, stamp);
    write_result_fields(&mut json, market, order);
    json.key("seq").number(stamp.sequence.0).end_object();
}

/// `order.place`, `FULL`: `RESULT` with the trades that filled the order at once.
pub fn order_full<'a>(
    market: &MarketEntry,
    order: &OrderRecord,
    fills: impl Iterator<Item = &'a Trade>,
    stamp: Stamp,
    out: &mut Vec<u8>,
) {
    let mut json = JsonWriter::new(out);
    json.begin_object();
    write_ack_fields(&mut json, market, order, stamp);
    write_result_fields(&mut json, market, order);
    json.key("fills").begin_array();
    for trade in fills {
        json.begin_object().key("price").price(market, trade.price).key("qty").quantity(market, trade.quantity);
        json.key("commission").fee(&market.quote, trade.taker.fee);
        json.key("commissionAsset").text(market.quote.symbol.as_str());
        json.key("tradeId").number(trade.trade.0).end_object();
    }
    json.end_array().key("seq").number(stamp.sequence.0).end_object();
}

/// `order.cancel`, and one element of `openOrders.cancelAll`: the order that was taken off.
///
/// The order keeps its client id, so `origClientOrderId` and `clientOrderId` are the same.
pub fn order_canceled(market: &MarketEntry, order: &OrderRecord, stamp: Stamp, out: &mut Vec<u8>) {
    let client_id = order.shown_client_id();
    let mut json = JsonWriter::new(out);
    json.begin_object().key("symbol").text(market.spec.symbol.as_str());
    json.key("origClientOrderId").text(client_id.as_str());
    json.key("orderId").number(order.order.0).key("orderListId").signed(-1);
    json.key("clientOrderId").text(client_id.as_str());
    json.key("transactTime").number(stamp.timestamp.milliseconds());
    write_quantities(&mut json, market, order);
    write_terms(&mut json, order);
    write_conditions(&mut json, market, order);
    json.key("selfTradePreventionMode").text(names::self_trade_mode(order.self_trade_mode));
    json.key("seq").number(stamp.sequence.0).end_object();
}

/// `order.amend.keepPriority`: the order as it is now.
pub fn order_amended(market: &MarketEntry, order: &OrderRecord, report_sequence: u64, stamp: Stamp, out: &mut Vec<u8>) {
    let client_id = order.shown_client_id();
    let mut json = JsonWriter::new(out);
    json.begin_object().key("transactTime").number(stamp.timestamp.milliseconds());
    json.key("executionId").number(report_sequence);
    json.key("amendedOrder").begin_object().key("symbol").text(market.spec.symbol.as_str());
    json.key("orderId").number(order.order.0).key("orderListId").signed(-1);
    json.key("origClientOrderId").text(client_id.as_str()).key("clientOrderId").text(client_id.as_str());
    json.key("price").price(market, order.shown_price()).key("qty").quantity(market, order.quantity);
    json.key("executedQty").quantity(market, order.executed);
    json.key("preventedQty").quantity(market, order.prevented);
    json.key("quoteOrderQty").amount(&market.quote, Atoms::ZERO);
    json.key("cumulativeQuoteQty").amount(&market.quote, order.cumulative_quote);
    write_terms(&mut json, order);
    write_conditions(&mut json, market, order);
    write_working_time(&mut json, order);
    json.key("selfTradePreventionMode").text(names::self_trade_mode(order.self_trade_mode)).end_object();
    json.key("seq").number(stamp.sequence.0).end_object();
}

/// `order.status`, and one element of `openOrders.status`.
pub fn order_status(market: &MarketEntry, order: &OrderRecord, out: &mut Vec<u8>) {
    let mut json = JsonWriter::new(out);
    json.begin_object().key("symbol").text(market.spec.symbol.as_str());
    json.key("orderId").number(order.order.0).key("orderListId").signed(-1);
    json.key("clientOrderId").text(order.shown_client_id().as_str());
    write_quantities(&mut json, market, order);
    write_terms(&mut json, order);
    json.key("stopPrice").price(market, order.trigger_price).key("icebergQty").quantity(market, order.display_quantity);
    write_extensions(&mut json, order);
    json.key("time").number(order.accepted_at.milliseconds());
    json.key("updateTime").number(order.updated_at.milliseconds());
    json.key("isWorking").truth(!order.working_at.is_zero());
    write_working_time(&mut json, order);
    json.key("selfTradePreventionMode").text(names::self_trade_mode(order.self_trade_mode));
    write_end(&mut json, market, order);
    json.key("seq").number(order.order.sequence().0).end_object();
}

/// `error.data` of a request whose order is there already but no longer remembered: its id and its place.
pub fn known_order(order: OrderId, out: &mut Vec<u8>) {
    let mut json = JsonWriter::new(out);
    json.begin_object().key("orderId").number(order.0).key("seq").number(order.sequence().0).end_object();
}

/// `openOrders.cancelAllAfter`: when the orders go, 0 for never.
pub fn timer_set(at: Timestamp, stamp: Stamp, out: &mut Vec<u8>) {
    let countdown_ns = at.0.saturating_sub(stamp.timestamp.0);
    let mut json = JsonWriter::new(out);
    json.begin_object().key("countdownTime").number(countdown_ns / 1_000_000);
    json.key("triggerTime").number(at.milliseconds()).key("seq").number(stamp.sequence.0).end_object();
}

/// The place of a command: the answer to one that says nothing else, and `error.data` of a repeated one that was
/// accepted.
pub fn known_command(original: Sequence, out: &mut Vec<u8>) {
    JsonWriter::new(out).begin_object().key("seq").number(original.0).end_object();
}

/// `error.data` of a repeated request that was refused: its place and why.
pub fn known_reject(original: Sequence, code: RejectCode, out: &mut Vec<u8>) {
    let error = ApiError::from_reject(code);
    let mut json = JsonWriter::new(out);
    json.begin_object().key("seq").number(original.0).key("error").begin_object();
    json.key("code").signed(i64::from(error.code)).key("msg").text(&error.message);
    json.key("reject").text(code.name()).end_object().end_object();
}

fn write_ack_fields(json: &mut JsonWriter<'_>, market: &MarketEntry, order: &OrderRecord, stamp: Stamp) {
    json.key("symbol").text(market.spec.symbol.as_str());
    json.key("orderId").number(order.order.0).key("orderListId").signed(-1);
    json.key("clientOrderId").text(order.shown_client_id().as_str());
    json.key("transactTime").number(stamp.timestamp.milliseconds());
}

fn write_result_fields(json: &mut JsonWriter<'_>, market: &MarketEntry, order: &OrderRecord) {
    write_quantities(json, market, order);
    write_terms(json, order);
    write_conditions(json, market, order);
    write_working_time(json, order);
    json.key("selfTradePreventionMode").text(names::self_trade_mode(order.self_trade_mode));
    write_end(json, market, order);
}

fn write_quantities(json: &mut JsonWriter<'_>, market: &MarketEntry, order: &OrderRecord) {
    json.key("price").price(market, order.shown_price());
    json.key("origQty").quantity(market, order.shown_quantity());
    json.key("executedQty").quantity(market, order.executed);
    json.key("origQuoteOrderQty").amount(&market.quote, order.quote_budget);
    json.key("cummulativeQuoteQty").amount(&market.quote, order.cumulative_quote);
}

fn write_terms(json: &mut JsonWriter<'_>, order: &OrderRecord) {
    json.key("status").text(names::order_status(order.status));
    json.key("timeInForce").text(names::time_in_force(order.time_in_force));
    json.key("type").text(names::order_type(order.order_type));
    json.key("side").text(names::side(order.side));
}

/// Fields that only an order has that waits for a price, hides a part, or asks for what only this venue offers.
fn write_conditions(json: &mut JsonWriter<'_>, market: &MarketEntry, order: &OrderRecord) {
    if !order.trigger_price.is_zero() {
        json.key("stopPrice").price(market, order.trigger_price);
    }
    if !order.display_quantity.is_zero() {
        json.key("icebergQty").quantity(market, order.display_quantity);
    }
    write_extensions(json, order);
}

fn write_extensions(json: &mut JsonWriter<'_>, order: &OrderRecord) {
    if !order.expires_at.is_zero() {
        json.key("goodTillDate").number(order.expires_at.milliseconds());
    }
    if order.order_type == OrderType::LimitMakerSlide {
        json.key("postOnlySlide").yes();
    }
}

/// When the order came to the book; -1 while it waits for its trigger price.
fn write_working_time(json: &mut JsonWriter<'_>, order: &OrderRecord) {
    match order.working_at.is_zero() {
        true => json.key("workingTime").signed(-1),
        false => json.key("workingTime").number(order.working_at.milliseconds()),
    };
}

/// Fields that only an order has that ended by its terms or by its own group.
fn write_end(json: &mut JsonWriter<'_>, market: &MarketEntry, order: &OrderRecord) {
    if !order.prevented.is_zero() {
        json.key("preventedQuantity").quantity(market, order.prevented);
    }
    if let Some(reason) = order.cancel_reason.and_then(names::expiry_reason) {
        json.key("expiryReason").text(reason);
    }
}
