//! From what the engine and the read models say to frames: nothing in between, no allocation.

use std::hint::black_box;

use lakh_engine::ids::{ClientId, MarketId, TradeId};
use lakh_engine::reject::RejectCode;
use lakh_engine::units::{Lots, Ticks};

use super::enums::{ALL_MARKETS, Code, Direction, ExecutionType, Finality, NO_CANCEL_REASON, TradeRole, WireEnum};
use super::reports::{
    BusinessReject, CancelTimerSet, ExecutionReport, FrameAccepted, FundsChanged, MassCancelAccepted, OperationResult,
    QuoteResult, ReplaceResult, RequestRejected,
};
use super::{padded, put, put_in_place};
use crate::account_trades::TradeRole as Role;
use crate::order_state::OrderRecord;
use crate::reports::{AccountReport, Execution, Fill, FundsDirection, ReportBody};

/// Fills the fields that each report begins with; the number of the request is stamped for the session that asked, and
/// those of the session when it is sent.
macro_rules! put_report {
    ($name:ident, $report:expr, $out:expr, { $($field:ident: $value:expr,)* }) => {
        put_in_place($out, |block: &mut $name| {
            // None is forgotten.
            let $name {
                sequence_number: _,
                sending_time: _,
                request_sequence: _,
                account_sequence: _,
                journal_sequence: _,
                transact_time: _,
                account_id: _,
                $($field: _,)*
            } = block;
            block.account_sequence = apart($report.report_sequence).into();
            block.journal_sequence = apart($report.stamp.sequence.0).into();
            block.transact_time = $report.stamp.timestamp.0.into();
            block.account_id = $report.account.0.into();
            $(block.$field = $value.into();)*
        })
    };
}

/// A number that is read by itself. The compiler reads two that lie beside each other in one piece, and where they were just
/// written in two, that piece waits for everything written before: four fifths of what a report cost.
#[inline(always)]
fn apart(number: u64) -> u64 {
    black_box(number)
}

/// Appends a report as the account is told it, live or again.
pub fn report(report: &AccountReport<'_>, out: &mut Vec<u8>) {
    match &report.body {
        ReportBody::Order { order, execution } => execution_report(report, order, execution, out),
        ReportBody::Rejected(rejected) => put_report!(RequestRejected, report, out, {
            market_id: market(rejected.market),
            code: rejected.code as u16,
            order_id: rejected.order.0,
            client_order_id: client_id(&rejected.client_id),
        }),
        ReportBody::CancelAllAccepted { market: of } => {
            put_report!(MassCancelAccepted, report, out, { market_id: market(*of), });
        }
        ReportBody::Funds { asset, amount, direction } => {
            let direction = match direction {
                FundsDirection::In => Direction::In,
                FundsDirection::Out => Direction::Out,
            };
            put_report!(FundsChanged, report, out, {
                asset_id: asset.0,
                direction: direction.wire(),
                amount: amount.0,
            });
        }
        ReportBody::ReplaceAnswered { market, cancel_refused, order_refused } => {
            put_report!(ReplaceResult, report, out, {
                market_id: market.0,
                cancel_code: reject_number(*cancel_refused),
                order_code: reject_number(*order_refused),
            });
        }
        ReportBody::FrameAccepted { operations } => {
            put_report!(FrameAccepted, report, out, { operations: *operations, });
        }
        ReportBody::OperationDone { origin, index, refused, order } => {
            put_report!(OperationResult, report, out, {
                frame_sequence: origin.0,
                order_id: order.0,
                code: reject_number(*refused),
                index: *index,
            });
        }
        // Only quotes have it, and this face takes none yet.
        ReportBody::QuoteSet(quote) => put_report!(QuoteResult, report, out, {
            market_id: quote.market.0,
            bid_order_id: quote.bid.0,
            ask_order_id: quote.ask.0,
            bid_code: reject_number(quote.bid_refused),
            ask_code: reject_number(quote.ask_refused),
            slot: quote.slot,
        }),
        ReportBody::CancelAllTimerSet { at } => put_report!(CancelTimerSet, report, out, { cancel_at: at.0, }),
    }
}

/// What an execution says beside the order as it left it.
struct Last {
    kind: ExecutionType,
    role: TradeRole,
    cancel_reason: u8,
    price: Ticks,
    quantity: Lots,
    remaining: Lots,
    fee: i64,
    trade: TradeId,
}

impl Last {
    fn of(order: &OrderRecord, execution: &Execution) -> Self {
        let base = Self {
            kind: ExecutionType::New,
            role: TradeRole::None,
            cancel_reason: NO_CANCEL_REASON,
            price: Ticks::ZERO,
            quantity: Lots::ZERO,
            remaining: Lots(order.quantity.0.saturating_sub(order.executed.0)),
            fee: 0,
            trade: TradeId(0),
        };
        match *execution {
            Execution::New => base,
            Execution::Triggered => Self { kind: ExecutionType::Triggered, ..base },
            Execution::Trade(Fill { trade, price, quantity, fee, role, .. }) => {
                let role = match role {
                    Role::Maker => TradeRole::Maker,
                    Role::Taker => TradeRole::Taker,
                };
                Self { kind: ExecutionType::Trade, role, price, quantity, fee, trade, ..base }
            }
            Execution::Canceled { reason, remaining } => Self {
                kind: ExecutionType::Canceled,
                cancel_reason: reason.wire(),
                quantity: remaining,
                remaining: Lots::ZERO,
                ..base
            },
            Execution::Reduced { by } | Execution::Prevented { by } => {
                Self { kind: ExecutionType::Reduced, quantity: by, ..base }
            }
        }
    }
}

fn execution_report(report: &AccountReport<'_>, order: &OrderRecord, execution: &Execution, out: &mut Vec<u8>) {
    let last = Last::of(order, execution);
    put_report!(ExecutionReport, report, out, {
        market_id: order.market.0,
        execution_type: last.kind.wire(),
        order_status: order.status.wire(),
        side: order.side.wire(),
        order_type: order.order_type.wire(),
        time_in_force: order.time_in_force.wire(),
        self_trade_mode: order.self_trade_mode.wire(),
        role: last.role.wire(),
        cancel_reason: last.cancel_reason,
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
}

/// Appends that the gateway refused a request, or that the engine did without a report, and when it may be tried again.
pub fn business_reject(request: u32, (code, retry_after_ms): (u16, u32), out: &mut Vec<u8>) {
    put(
        out,
        &BusinessReject {
            sequence_number: 0.into(),
            sending_time: 0.into(),
            request_sequence: u64::from(request).into(),
            code: code.into(),
            retry_after: retry_after_ms.into(),
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

/// Of a fixed length. A copy of as many bytes as the id has is read again in other pieces than it was written in, which
/// waits until everything written before it has reached the cache: that was nine tenths of what a report cost.
fn client_id(client_id: &ClientId) -> [u8; 36] {
    *client_id.padded_bytes()
}
