//! Private reports as plain data, each with its place in its account's own count: what every face of the gateway tells an
//! account, live and again.
//!
//! The publisher makes one [`AccountReport`] of each event that the engine counts for an account (its
//! `report_sequence`), once the event's command is durable. Who listens is told at once, in the form that its connection
//! speaks; all of them go to the report log ([`log::ReportLog`]), which answers a client that lost its connection: every
//! report behind the last that it saw, each once ([`log::ReportLog::page`]). Nothing here knows JSON or SBE, and nothing
//! of an account's counterparty is in a report.
//!
//! Bounds: a report has at most [`bytes::MAX_REPORT`] bytes; balances by the engine's assets (at most 64).

pub mod bytes;
pub mod follower;
pub mod log;
#[cfg(test)]
mod log_tests;
mod segment;

use std::borrow::Cow;

use lakh_engine::event::{CancelReason, QuoteSet, Rejected};
use lakh_engine::ids::{AccountId, AssetId, MarketId, OrderId, Sequence, TradeId};
use lakh_engine::reject::RejectCode;
use lakh_engine::units::{Atoms, Lots, Ticks, Timestamp};

use crate::account_state::Balance;
use crate::account_trades::TradeRole;
use crate::order_state::OrderRecord;

/// Where in the journal the command of an answer or a report stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The command's place.
    pub sequence: Sequence,
    /// The command's time.
    pub timestamp: Timestamp,
}

/// One private report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountReport<'a> {
    /// Whose.
    pub account: AccountId,
    /// The account's private count, from 1 without gaps.
    pub report_sequence: u64,
    /// The command that caused it.
    pub stamp: Stamp,
    /// What happened.
    pub body: ReportBody<'a>,
    /// The balances that the command changed, with their new values: behind the account's last report of the command.
    pub position: Vec<AssetBalance>,
}

impl AccountReport<'_> {
    /// The market that it names, if it names one.
    pub fn market(&self) -> Option<MarketId> {
        match &self.body {
            ReportBody::Order { order, .. } => Some(order.market),
            ReportBody::Rejected(rejected) => rejected.market,
            ReportBody::CancelAllAccepted { market } => *market,
            ReportBody::ReplaceAnswered { market, .. } => Some(*market),
            ReportBody::QuoteSet(quote) => Some(quote.market),
            ReportBody::Funds { .. }
            | ReportBody::FrameAccepted { .. }
            | ReportBody::OperationDone { .. }
            | ReportBody::CancelAllTimerSet { .. } => None,
        }
    }
}

/// What an account has of one asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssetBalance {
    /// Of what.
    pub asset: AssetId,
    /// How much.
    pub balance: Balance,
}

/// What a report is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportBody<'a> {
    /// Something happened to an order of the account.
    Order {
        /// The order as this left it.
        order: Cow<'a, OrderRecord>,
        /// What.
        execution: Execution,
    },
    /// A request was refused.
    Rejected(Rejected),
    /// A mass cancel was taken on; its orders' own reports follow.
    CancelAllAccepted {
        /// In one market, or in all.
        market: Option<MarketId>,
    },
    /// Money came or went.
    Funds {
        /// Of what.
        asset: AssetId,
        /// How much.
        amount: Atoms,
        /// Which way.
        direction: FundsDirection,
    },
    /// A cancel-replace of which at least one half was carried out.
    ReplaceAnswered {
        /// Where.
        market: MarketId,
        /// Why the cancel came to nothing.
        cancel_refused: Option<RejectCode>,
        /// Why the new order came to nothing.
        order_refused: Option<RejectCode>,
    },
    /// A frame was taken on; its operations' own reports follow.
    FrameAccepted {
        /// How many operations it holds.
        operations: u8,
    },
    /// An operation of a frame is done.
    OperationDone {
        /// The frame.
        origin: Sequence,
        /// Which operation, from 0.
        index: u8,
        /// Why it came to nothing.
        refused: Option<RejectCode>,
        /// The live order that stands in the way, or 0.
        order: OrderId,
    },
    /// A quote was set; its orders' own reports stand in front of this one.
    QuoteSet(QuoteSet),
    /// The dead-man timer was set, or taken off.
    CancelAllTimerSet {
        /// When the account's orders go; 0 for never.
        at: Timestamp,
    },
}

/// Whether money came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FundsDirection {
    /// It came.
    In,
    /// It went.
    Out,
}

/// What happened to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    /// It was accepted.
    New,
    /// The price for which it waited has come.
    Triggered,
    /// It traded.
    Trade(Fill),
    /// What was left of it is gone.
    Canceled {
        /// Why.
        reason: CancelReason,
        /// What was left.
        remaining: Lots,
    },
    /// Its owner made it smaller.
    Reduced {
        /// By how much.
        by: Lots,
    },
    /// It met its own group and became smaller.
    Prevented {
        /// By how much.
        by: Lots,
    },
}

/// One side of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Number of the trade in its market.
    pub trade: TradeId,
    /// At which price.
    pub price: Ticks,
    /// How much.
    pub quantity: Lots,
    /// Price × quantity in quote atoms.
    pub quote: Atoms,
    /// Quote atoms paid, or received where it is below zero.
    pub fee: i64,
    /// Whether the order came first or second.
    pub role: TradeRole,
}
