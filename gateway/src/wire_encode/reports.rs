//! Private reports: what a user data stream tells its account.
//!
//! Each carries `seq`, the journal sequence, and those that the engine counts carry `reportSeq`: the account's private
//! count without gaps, so that a client sees whether it missed one. `requestRejected` and `cancelAllAccepted` are
//! counted, too; stock clients pass over event names that they do not know.

use lakh_engine::event::{CancelReason, OrderCanceled, OrderReduced, Rejected, Trade, TradeParty};
use lakh_engine::ids::ClientId;
use lakh_engine::market_spec::AssetSpec;
use lakh_engine::units::{Atoms, Lots, Ticks};

use crate::account_state::Balance;
use crate::api_error::ApiError;
use crate::directory::MarketEntry;
use crate::order_state::OrderRecord;
use crate::wire_encode::answers::Stamp;
use crate::wire_encode::json::{JsonWriter, Sign, write_number};
use crate::wire_encode::names;

/// What an execution report is about.
#[derive(Clone, Copy, Debug)]
pub enum Execution<'a> {
    /// The order was accepted.
    New {
        /// Private count.
        report_sequence: u64,
    },
    /// The order traded.
    Trade {
        /// The trade.
        trade: &'a Trade,
        /// The order's side of it.
        party: &'a TradeParty,
        /// What traded in quote atoms.
        quote: Atoms,
    },
    /// What was left of the order is gone.
    Canceled(&'a OrderCanceled),
    /// The order became smaller.
    Reduced(&'a OrderReduced),
}

impl Execution<'_> {
    /// The account's private count of the report.
    pub const fn report_sequence(&self) -> u64 {
        match self {
            Self::New { report_sequence } => *report_sequence,
            Self::Trade { party, .. } => party.report_sequence,
            Self::Canceled(event) => event.report_sequence,
            Self::Reduced(event) => event.report_sequence,
        }
    }

    const fn execution_type(&self) -> &'static str {
        match self {
            Self::New { .. } => "NEW",
            Self::Trade { .. } => "TRADE",
            Self::Canceled(event) => match event.reason {
                reason if reason.is_owners_word() => "CANCELED",
                CancelReason::SelfTrade => "TRADE_PREVENTION",
                _ => "EXPIRED",
            },
            Self::Reduced(_) => "REPLACED",
        }
    }
}

/// `executionReport`: the order as this execution left it.
pub fn execution_report(
    market: &MarketEntry,
    order: &OrderRecord,
    execution: &Execution<'_>,
    stamp: Stamp,
    out: &mut Vec<u8>,
) {
    let time = stamp.timestamp.milliseconds();
    let client_id = order.shown_client_id();
    let canceled_client_id = if is_canceled_by_owner(execution) { client_id } else { ClientId::EMPTY };
    let mut json = JsonWriter::new(out);
    json.begin_object().key("e").text("executionReport").key("E").number(time);
    json.key("s").text(market.spec.symbol.as_str()).key("c").text(client_id.as_str());
    json.key("S").text(names::side(order.side)).key("o").text(names::order_type(order.order_type));
    json.key("f").text(names::time_in_force(order.time_in_force));
    json.key("q").quantity(market, order.shown_quantity()).key("p").price(market, order.shown_price());
    json.key("P").price(market, Ticks::ZERO).key("F").quantity(market, Lots::ZERO).key("g").signed(-1);
    json.key("C").text(canceled_client_id.as_str());
    json.key("x").text(execution.execution_type()).key("X").text(names::order_status(order.status));
    json.key("r").text("NONE").key("i").number(order.order.0);
    write_last_fill(&mut json, market, order, execution);
    json.key("T").number(time);
    write_trade_id(&mut json, market, order, execution);
    json.key("I").number(execution.report_sequence());
    json.key("w").truth(order.status.is_live());
    json.key("m").truth(is_maker(execution)).key("M").no();
    json.key("O").number(order.accepted_at.milliseconds());
    json.key("Z").amount(&market.quote, order.cumulative_quote);
    json.key("Y").amount(&market.quote, last_quote(execution)).key("Q").amount(&market.quote, order.quote_budget);
    json.key("W").number(order.accepted_at.milliseconds());
    json.key("V").text(names::self_trade_mode(order.self_trade_mode));
    if let Some(reason) = order.cancel_reason.and_then(names::expiry_reason) {
        json.key("eR").text(reason);
    }
    json.key("seq").number(stamp.sequence.0).key("reportSeq").number(execution.report_sequence()).end_object();
}

/// `requestRejected`: a request of the account was refused.
pub fn request_rejected(market: Option<&MarketEntry>, rejected: &Rejected, stamp: Stamp, out: &mut Vec<u8>) {
    let error = ApiError::from_reject(rejected.code);
    let mut json = JsonWriter::new(out);
    json.begin_object().key("e").text("requestRejected").key("E").number(stamp.timestamp.milliseconds());
    if let Some(market) = market {
        json.key("s").text(market.spec.symbol.as_str());
    }
    if !rejected.client_id.is_empty() {
        json.key("c").text(rejected.client_id.as_str());
    }
    json.key("code").signed(i64::from(error.code)).key("msg").text(&error.message);
    json.key("r").text(rejected.code.name());
    json.key("seq").number(stamp.sequence.0).key("reportSeq").number(rejected.report_sequence).end_object();
}

/// `cancelAllAccepted`: a mass cancel was taken on; the orders' own reports follow.
pub fn cancel_all_accepted(market: Option<&MarketEntry>, report_sequence: u64, stamp: Stamp, out: &mut Vec<u8>) {
    let mut json = JsonWriter::new(out);
    json.begin_object().key("e").text("cancelAllAccepted").key("E").number(stamp.timestamp.milliseconds());
    if let Some(market) = market {
        json.key("s").text(market.spec.symbol.as_str());
    }
    json.key("seq").number(stamp.sequence.0).key("reportSeq").number(report_sequence).end_object();
}

/// Money that came or went.
#[derive(Clone, Copy, Debug)]
pub struct FundsMovement<'a> {
    /// Of what.
    pub asset: &'a AssetSpec,
    /// Positive for money that came, negative for money that went.
    pub direction: Sign,
    /// How much.
    pub amount: Atoms,
    /// Private count.
    pub report_sequence: u64,
}

/// `balanceUpdate`: money came or went.
pub fn balance_update(movement: &FundsMovement<'_>, stamp: Stamp, out: &mut Vec<u8>) {
    let time = stamp.timestamp.milliseconds();
    let mut json = JsonWriter::new(out);
    json.begin_object().key("e").text("balanceUpdate").key("E").number(time);
    json.key("a").text(movement.asset.symbol.as_str());
    json.key("d").signed_amount(movement.asset, movement.direction, movement.amount).key("T").number(time);
    json.key("seq").number(stamp.sequence.0).key("reportSeq").number(movement.report_sequence).end_object();
}

/// `outboundAccountPosition`: the balances of one account that a command changed.
pub fn account_position(balances: impl Iterator<Item = (AssetSpec, Balance)>, stamp: Stamp, out: &mut Vec<u8>) {
    let time = stamp.timestamp.milliseconds();
    let mut json = JsonWriter::new(out);
    json.begin_object().key("e").text("outboundAccountPosition").key("E").number(time).key("u").number(time);
    json.key("B").begin_array();
    for (asset, balance) in balances {
        json.begin_object().key("a").text(asset.symbol.as_str());
        json.key("f").amount(&asset, balance.available).key("l").amount(&asset, balance.held).end_object();
    }
    json.end_array().key("seq").number(stamp.sequence.0).end_object();
}

/// Wraps a report for one subscription: `{"subscriptionId":n,"event":…}`.
pub fn wrap_for_subscription(subscription: u32, event: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"subscriptionId\":");
    write_number(u64::from(subscription), out);
    out.extend_from_slice(b",\"event\":");
    out.extend_from_slice(event);
    out.push(b'}');
}

/// True where the report is about the owner's own cancel: only there `C` names the order that was canceled.
const fn is_canceled_by_owner(execution: &Execution<'_>) -> bool {
    match execution {
        Execution::Canceled(event) => event.reason.is_owners_word(),
        _ => false,
    }
}

fn is_maker(execution: &Execution<'_>) -> bool {
    match execution {
        Execution::Trade { trade, party, .. } => party.order == trade.maker.order,
        _ => false,
    }
}

const fn last_quote(execution: &Execution<'_>) -> Atoms {
    match execution {
        Execution::Trade { quote, .. } => *quote,
        _ => Atoms::ZERO,
    }
}

fn write_last_fill(json: &mut JsonWriter<'_>, market: &MarketEntry, order: &OrderRecord, execution: &Execution<'_>) {
    let (quantity, price) = match execution {
        Execution::Trade { trade, .. } => (trade.quantity, trade.price),
        _ => (Lots::ZERO, Ticks::ZERO),
    };
    json.key("l").quantity(market, quantity).key("z").quantity(market, order.executed);
    json.key("L").price(market, price);
    match execution {
        Execution::Trade { party, .. } => {
            json.key("n").fee(&market.quote, party.fee).key("N").text(market.quote.symbol.as_str());
        }
        _ => {
            json.key("n").text("0").key("N").null();
        }
    }
}

fn write_trade_id(json: &mut JsonWriter<'_>, market: &MarketEntry, order: &OrderRecord, execution: &Execution<'_>) {
    match execution {
        Execution::Trade { trade, .. } => {
            json.key("t").number(trade.trade.0);
        }
        _ => {
            json.key("t").signed(-1);
        }
    }
    if !order.prevented.is_zero() {
        json.key("A").quantity(market, order.prevented).key("B").quantity(market, order.prevented);
    }
}
