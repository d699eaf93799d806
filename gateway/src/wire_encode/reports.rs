//! Private reports: what a user data stream tells its account.
//!
//! Each carries `seq`, the journal sequence, and `reportSeq`: the account's private count without gaps, so that a client
//! sees whether it missed one, and can say behind which one it wants to be told again. `outboundAccountPosition` is not
//! counted by itself: it carries the count of the report that it stands behind. Events that the public API does not have
//! are counted, too; stock clients pass over event names that they do not know.

use std::sync::Arc;

use lakh_engine::event::{CancelReason, Rejected};
use lakh_engine::ids::{AssetId, MarketId};
use lakh_engine::market_spec::AssetSpec;
use lakh_engine::reject::RejectCode;
use lakh_engine::units::{Atoms, Lots, Ticks};

use crate::account_trades::TradeRole;
use crate::api_error::ApiError;
use crate::directory::MarketEntry;
use crate::order_state::OrderRecord;
use crate::reports::{AccountReport, AssetBalance, Execution, FundsDirection, ReportBody, Stamp};
use crate::wire_encode::json::{JsonWriter, Sign, write_number};
use crate::wire_encode::names;

/// The markets and assets that reports name by number.
#[derive(Clone, Copy, Debug)]
pub struct Units<'a> {
    /// All markets, in the order of their numbers.
    pub markets: &'a [Arc<MarketEntry>],
    /// All assets, in the order of their numbers.
    pub assets: &'a [AssetSpec],
}

impl<'a> Units<'a> {
    fn market(self, market: MarketId) -> &'a MarketEntry {
        self.markets.get(usize::from(market.0)).expect("the engine lists a market before anything happens in it")
    }

    fn asset(self, asset: AssetId) -> &'a AssetSpec {
        self.assets.get(usize::from(asset.0)).expect("the engine lists an asset before anybody has of it")
    }
}

/// Writes a report, without its position.
pub fn report(report: &AccountReport<'_>, units: Units<'_>, out: &mut Vec<u8>) {
    match &report.body {
        ReportBody::Order { order, execution } => {
            execution_report(units.market(order.market), order, execution, (report.report_sequence, report.stamp), out);
        }
        ReportBody::Rejected(rejected) => request_rejected(rejected, report, units, out),
        ReportBody::Funds { asset, amount, direction } => {
            let sign = match direction {
                FundsDirection::In => Sign::Positive,
                FundsDirection::Out => Sign::Negative,
            };
            let asset = units.asset(*asset);
            write_event("balanceUpdate", report, out, |json| {
                json.key("a").text(asset.symbol.as_str()).key("d").signed_amount(asset, sign, *amount);
                json.key("T").number(report.stamp.timestamp.milliseconds());
            });
        }
        ReportBody::CancelAllAccepted { market } => write_event("cancelAllAccepted", report, out, |json| {
            write_symbol(market.map(|market| units.market(market)), json);
        }),
        ReportBody::ReplaceAnswered { market, cancel_refused, order_refused } => {
            write_event("cancelReplaceAnswered", report, out, |json| {
                write_symbol(Some(units.market(*market)), json);
                json.key("cancelResult").text(half(*cancel_refused)).key("newOrderResult").text(half(*order_refused));
            });
        }
        ReportBody::FrameAccepted { operations } => write_event("frameAccepted", report, out, |json| {
            json.key("operations").number(u64::from(*operations));
        }),
        ReportBody::OperationDone { origin, index, refused, .. } => {
            write_event("operationDone", report, out, |json| {
                json.key("frameSeq").number(origin.0).key("index").number(u64::from(*index));
                if let Some(code) = refused {
                    write_reject(*code, json);
                }
            });
        }
        ReportBody::QuoteSet(quote) => write_event("quoteSet", report, out, |json| {
            write_symbol(Some(units.market(quote.market)), json);
            json.key("slot").number(u64::from(quote.slot));
            let sides = [("bid", quote.bid, quote.bid_refused), ("ask", quote.ask, quote.ask_refused)];
            for (side, order, refused) in sides {
                json.key(side).text(half(refused));
                json.key(if side == "bid" { "bidOrderId" } else { "askOrderId" }).number(order.0);
            }
        }),
        ReportBody::CancelAllTimerSet { at } => write_event("cancelAllTimer", report, out, |json| {
            json.key("triggerTime").number(at.milliseconds());
        }),
    }
}

/// `executionReport`: the order as this execution left it.
pub fn execution_report(
    market: &MarketEntry,
    order: &OrderRecord,
    execution: &Execution,
    (report_sequence, stamp): (u64, Stamp),
    out: &mut Vec<u8>,
) {
    let time = stamp.timestamp.milliseconds();
    let client_id = order.shown_client_id();
    let mut json = JsonWriter::new(out);
    json.begin_object().key("e").text("executionReport").key("E").number(time);
    json.key("s").text(market.spec.symbol.as_str()).key("c").text(client_id.as_str());
    json.key("S").text(names::side(order.side)).key("o").text(names::order_type(order.order_type));
    json.key("f").text(names::time_in_force(order.time_in_force));
    json.key("q").quantity(market, order.shown_quantity()).key("p").price(market, order.shown_price());
    json.key("P").price(market, order.trigger_price).key("F").quantity(market, order.display_quantity);
    json.key("g").signed(-1);
    json.key("C").text(if is_canceled_by_owner(execution) { client_id.as_str() } else { "" });
    json.key("x").text(names::execution_type(execution)).key("X").text(names::order_status(order.status));
    json.key("r").text("NONE").key("i").number(order.order.0);
    write_last_fill(&mut json, market, order, execution);
    json.key("T").number(time);
    write_trade_id(&mut json, market, order, execution);
    json.key("I").number(report_sequence).key("w").truth(order.is_working());
    json.key("m").truth(is_maker(execution)).key("M").no();
    json.key("O").number(order.accepted_at.milliseconds());
    json.key("Z").amount(&market.quote, order.cumulative_quote);
    json.key("Y").amount(&market.quote, last_quote(execution)).key("Q").amount(&market.quote, order.quote_budget);
    if !order.working_at.is_zero() {
        json.key("W").number(order.working_at.milliseconds());
    }
    json.key("V").text(names::self_trade_mode(order.self_trade_mode));
    if let Some(reason) = order.cancel_reason.and_then(names::expiry_reason) {
        json.key("eR").text(reason);
    }
    if !order.expires_at.is_zero() {
        json.key("goodTillDate").number(order.expires_at.milliseconds());
    }
    json.key("seq").number(stamp.sequence.0).key("reportSeq").number(report_sequence).end_object();
}

/// `outboundAccountPosition`: the balances of one account that a command changed, behind the report that has this count.
pub fn account_position<'a>(
    position: impl Iterator<Item = &'a AssetBalance>,
    assets: &[AssetSpec],
    (report_sequence, stamp): (u64, Stamp),
    out: &mut Vec<u8>,
) {
    let time = stamp.timestamp.milliseconds();
    let mut json = JsonWriter::new(out);
    json.begin_object().key("e").text("outboundAccountPosition").key("E").number(time).key("u").number(time);
    json.key("B").begin_array();
    for AssetBalance { asset, balance } in position {
        let asset = &assets[usize::from(asset.0)];
        json.begin_object().key("a").text(asset.symbol.as_str());
        json.key("f").amount(asset, balance.available).key("l").amount(asset, balance.held).end_object();
    }
    json.end_array().key("seq").number(stamp.sequence.0).key("reportSeq").number(report_sequence).end_object();
}

/// Wraps a report for one subscription: `{"subscriptionId":n,"event":…}`.
pub fn wrap_for_subscription(subscription: u32, event: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"subscriptionId\":");
    write_number(u64::from(subscription), out);
    out.extend_from_slice(b",\"event\":");
    out.extend_from_slice(event);
    out.push(b'}');
}

/// An event with its time in front and its place behind.
fn write_event(
    name: &'static str,
    report: &AccountReport<'_>,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut JsonWriter<'_>),
) {
    let mut json = JsonWriter::new(out);
    json.begin_object().key("e").text(name).key("E").number(report.stamp.timestamp.milliseconds());
    write(&mut json);
    json.key("seq").number(report.stamp.sequence.0).key("reportSeq").number(report.report_sequence).end_object();
}

/// `requestRejected`: a request of the account was refused.
fn request_rejected(rejected: &Rejected, report: &AccountReport<'_>, units: Units<'_>, out: &mut Vec<u8>) {
    // A market that is named and does not exist is a reason for the refusal.
    let market = rejected.market.and_then(|market| units.markets.get(usize::from(market.0)));
    write_event("requestRejected", report, out, |json| {
        write_symbol(market.map(AsRef::as_ref), json);
        if !rejected.client_id.is_empty() {
            json.key("c").text(rejected.client_id.as_str());
        }
        write_reject(rejected.code, json);
    });
}

fn write_symbol(market: Option<&MarketEntry>, json: &mut JsonWriter<'_>) {
    if let Some(market) = market {
        json.key("s").text(market.spec.symbol.as_str());
    }
}

fn write_reject(code: RejectCode, json: &mut JsonWriter<'_>) {
    let error = ApiError::from_reject(code);
    json.key("code").signed(i64::from(error.code)).key("msg").text(&error.message).key("r").text(code.name());
}

const fn half(refused: Option<RejectCode>) -> &'static str {
    if refused.is_some() { "FAILURE" } else { "SUCCESS" }
}

/// True where the report is about the owner's own cancel: only there `C` names the order that was canceled.
const fn is_canceled_by_owner(execution: &Execution) -> bool {
    matches!(execution, Execution::Canceled { reason, .. } if reason.is_owners_word())
}

fn is_maker(execution: &Execution) -> bool {
    matches!(execution, Execution::Trade(fill) if fill.role == TradeRole::Maker)
}

const fn last_quote(execution: &Execution) -> Atoms {
    match execution {
        Execution::Trade(fill) => fill.quote,
        _ => Atoms::ZERO,
    }
}

fn write_last_fill(json: &mut JsonWriter<'_>, market: &MarketEntry, order: &OrderRecord, execution: &Execution) {
    let (quantity, price) = match execution {
        Execution::Trade(fill) => (fill.quantity, fill.price),
        _ => (Lots::ZERO, Ticks::ZERO),
    };
    json.key("l").quantity(market, quantity).key("z").quantity(market, order.executed);
    json.key("L").price(market, price);
    match execution {
        Execution::Trade(fill) => {
            json.key("n").fee(&market.quote, fill.fee).key("N").text(market.quote.symbol.as_str());
        }
        _ => {
            json.key("n").text("0").key("N").null();
        }
    }
}

fn write_trade_id(json: &mut JsonWriter<'_>, market: &MarketEntry, order: &OrderRecord, execution: &Execution) {
    match execution {
        Execution::Trade(fill) => {
            json.key("t").number(fill.trade.0);
        }
        _ => {
            json.key("t").signed(-1);
        }
    }
    if !order.prevented.is_zero() {
        let last = match execution {
            Execution::Canceled { reason: CancelReason::SelfTrade, remaining } => *remaining,
            Execution::Prevented { by } => *by,
            _ => Lots::ZERO,
        };
        json.key("A").quantity(market, order.prevented).key("B").quantity(market, last);
    }
}
