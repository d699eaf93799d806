//! From what the engine and the read models say to frames: nothing in between, no allocation.

use lakh_engine::event::{Event, OrderCanceled, OrderReduced, Rejected, Trade, TradeParty};
use lakh_engine::ids::{AccountId, AssetId, ClientId, MarketId, TradeId};
use lakh_engine::reject::RejectCode;
use lakh_engine::units::{Atoms, Lots, Ticks};

use super::enums::{ALL_MARKETS, Code, Direction, ExecutionType, Finality, NO_CANCEL_REASON, TradeRole, WireEnum};
use super::reports::{
    BusinessReject, CancelTimerSet, ExecutionReport, FrameAccepted, FundsChanged, MassCancelAccepted, OperationResult,
    ReplaceResult, RequestRejected,
};
use super::{padded, put};
use crate::order_state::OrderRecord;
use crate::wire_encode::answers::Stamp;

/// Advice for a request that was shed for load, in milliseconds.
const RETRY_AFTER_MS: u32 = 100;

/// A report's place: whose, its number, and the command that caused it.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Whose.
    pub account: AccountId,
    /// The account's private count.
    pub report_sequence: u64,
    /// The command.
    pub stamp: Stamp,
}

/// Fills the fields that each report begins with; the number of the request is stamped for the session that asked, and
/// those of the session when it is sent.
macro_rules! report {
    ($name:ident, $place:expr, { $($field:ident: $value:expr,)* }) => {
        $name {
            sequence_number: 0.into(),
            sending_time: 0.into(),
            request_sequence: 0.into(),
            account_sequence: $place.report_sequence.into(),
            journal_sequence: $place.stamp.sequence.0.into(),
            transact_time: $place.stamp.timestamp.0.into(),
            account_id: $place.account.0.into(),
            $($field: $value.into(),)*
        }
    };
}

/// What happened to an order.
#[derive(Clone, Copy, Debug)]
pub enum Happening<'a> {
    /// It was accepted.
    New,
    /// It traded.
    Trade {
        /// The trade.
        trade: &'a Trade,
        /// The order's side of it.
        party: &'a TradeParty,
        /// Which side that is.
        role: TradeRole,
    },
    /// What was left is gone.
    Canceled(&'a OrderCanceled),
    /// It is smaller.
    Reduced(&'a OrderReduced),
    /// Its trigger price was reached.
    Triggered(Ticks),
}

/// The last price, quantity, fee and trade, and what is left of the order.
struct Last {
    kind: ExecutionType,
    role: TradeRole,
    price: Ticks,
    quantity: Lots,
    remaining: Lots,
    fee: i64,
    trade: TradeId,
}

impl Happening<'_> {
    fn last(&self, order: &OrderRecord) -> Last {
        let base = Last {
            kind: ExecutionType::New,
            role: TradeRole::None,
            price: Ticks::ZERO,
            quantity: Lots::ZERO,
            remaining: Lots(order.quantity.0.saturating_sub(order.executed.0)),
            fee: 0,
            trade: TradeId(0),
        };
        match self {
            Self::New => base,
            Self::Trade { trade, party, role } => Last {
                kind: ExecutionType::Trade,
                role: *role,
                price: trade.price,
                quantity: trade.quantity,
                remaining: party.remaining,
                fee: party.fee,
                trade: trade.trade,
            },
            Self::Canceled(canceled) => {
                Last { kind: ExecutionType::Canceled, quantity: canceled.remaining, remaining: Lots::ZERO, ..base }
            }
            Self::Reduced(reduced) => Last {
                kind: ExecutionType::Reduced,
                quantity: reduced.reduced_by,
                remaining: reduced.remaining,
                ..base
            },
            Self::Triggered(price) => Last { kind: ExecutionType::Triggered, price: *price, ..base },
        }
    }
}

/// Appends the report of what happened to an order, which is as it was left by that.
pub fn execution_report(order: &OrderRecord, happening: &Happening<'_>, place: Place, out: &mut Vec<u8>) {
    let last = happening.last(order);
    let cancel_reason = match happening {
        Happening::Canceled(canceled) => canceled.reason.wire(),
        _ => NO_CANCEL_REASON,
    };
    let report = report!(ExecutionReport, place, {
        market_id: order.market.0,
        execution_type: last.kind.wire(),
        order_status: order.status.wire(),
        side: order.side.wire(),
        order_type: order.order_type.wire(),
        time_in_force: order.time_in_force.wire(),
        self_trade_mode: order.self_trade_mode.wire(),
        role: last.role.wire(),
        cancel_reason: cancel_reason,
        finality: Finality::Durable.wire(),
        order_id: order.order.0,
        price: order.price.0,
        quantity: order.quantity.0,
        last_price: last.price.0,
        last_quantity: last.quantity.0,
        remaining: last.remaining.0,
        executed: order.executed.0,
        cumulative_quote: order.cumulative_quote.0,
        fee: last.fee,
        trade_id: last.trade.0,
        client_order_id: client_id(&order.client_id),
    });
    put(out, &report);
}

/// Appends the report that a request was refused.
pub fn request_rejected(rejected: &Rejected, place: Place, out: &mut Vec<u8>) {
    let report = report!(RequestRejected, place, {
        market_id: market(rejected.market),
        code: rejected.code as u16,
        order_id: rejected.order.0,
        client_order_id: client_id(&rejected.client_id),
    });
    put(out, &report);
}

/// Appends the report of an event that is about an account and no order, if it is one; whose it is and its number. The
/// orders' own events have [`execution_report`].
pub fn account_event(event: &Event, stamp: Stamp, out: &mut Vec<u8>) -> Option<(AccountId, u64)> {
    let place = |account: &AccountId, report_sequence: &u64| Place {
        account: *account,
        report_sequence: *report_sequence,
        stamp,
    };
    let place = match event {
        Event::Rejected(rejected) if rejected.report_sequence != 0 => {
            let place = place(&rejected.account, &rejected.report_sequence);
            request_rejected(rejected, place, out);
            place
        }
        Event::CancelAllAccepted { account, market: of, report_sequence } => {
            let place = place(account, report_sequence);
            put(out, &report!(MassCancelAccepted, place, { market_id: market(*of), }));
            place
        }
        Event::DepositCredited { account, asset, amount, report_sequence } => {
            let place = place(account, report_sequence);
            funds_changed((*asset, *amount), Direction::In, place, out);
            place
        }
        Event::Withdrawn { account, asset, amount, report_sequence } => {
            let place = place(account, report_sequence);
            funds_changed((*asset, *amount), Direction::Out, place, out);
            place
        }
        Event::ReplaceAnswered { account, report_sequence, market, cancel_refused, order_refused } => {
            let place = place(account, report_sequence);
            let report = report!(ReplaceResult, place, {
                market_id: market.0,
                cancel_code: reject_number(*cancel_refused),
                order_code: reject_number(*order_refused),
            });
            put(out, &report);
            place
        }
        Event::FrameAccepted { account, report_sequence, operations } => {
            let place = place(account, report_sequence);
            put(out, &report!(FrameAccepted, place, { operations: *operations, }));
            place
        }
        Event::OperationDone { account, report_sequence, origin, index, refused, order } => {
            let place = place(account, report_sequence);
            let report = report!(OperationResult, place, {
                frame_sequence: origin.0,
                order_id: order.0,
                code: reject_number(*refused),
                index: *index,
            });
            put(out, &report);
            place
        }
        Event::CancelAllTimerSet { account, report_sequence, at } => {
            let place = place(account, report_sequence);
            put(out, &report!(CancelTimerSet, place, { cancel_at: at.0, }));
            place
        }
        _ => return None,
    };
    Some((place.account, place.report_sequence))
}

fn funds_changed((asset, amount): (AssetId, Atoms), direction: Direction, place: Place, out: &mut Vec<u8>) {
    let report = report!(FundsChanged, place, {
        asset_id: asset.0,
        direction: direction.wire(),
        amount: amount.0,
    });
    put(out, &report);
}

/// Appends that the gateway refused a request, or that the engine did without a report.
pub fn business_reject(request: u32, code: u16, out: &mut Vec<u8>) {
    let retry_after = if code == Code::Overloaded.number() { RETRY_AFTER_MS } else { 0 };
    put(
        out,
        &BusinessReject {
            sequence_number: 0.into(),
            sending_time: 0.into(),
            request_sequence: u64::from(request).into(),
            code: code.into(),
            retry_after: retry_after.into(),
            text: padded(name_of(code).as_bytes()),
        },
    );
}

/// The name of a code of either kind; empty for a number that is none.
pub fn name_of(code: u16) -> &'static str {
    Code::from_number(code)
        .map(Code::name)
        .or_else(|| RejectCode::from_number(code).map(RejectCode::name))
        .unwrap_or_default()
}

fn reject_number(refused: Option<RejectCode>) -> u16 {
    refused.map_or(0, |code| code as u16)
}

fn market(market: Option<MarketId>) -> u16 {
    market.map_or(ALL_MARKETS, |market| market.0)
}

fn client_id(client_id: &ClientId) -> [u8; 36] {
    padded(client_id.as_bytes())
}
