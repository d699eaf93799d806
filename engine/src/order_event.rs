//! What became of orders: the plain data of the events that tell of placing, trading, changing and taking them off.
//!
//! Part of [`crate::event`], where every name of this file stands too.

use crate::command::{OrderType, SelfTradeMode, Side, TimeInForce};
use crate::ids::{AccountId, ClientId, MarketId, OrderId, TradeId};
use crate::reject::RejectCode;
use crate::units::{Atoms, Lots, Ticks, Timestamp};

/// An order passed every check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderAccepted {
    /// Whose.
    pub account: AccountId,
    /// Private count.
    pub report_sequence: u64,
    /// Where.
    pub market: MarketId,
    /// Its id.
    pub order: OrderId,
    /// The client's id, or empty.
    pub client_id: ClientId,
    /// Side.
    pub side: Side,
    /// Type.
    pub order_type: OrderType,
    /// Time in force.
    pub time_in_force: TimeInForce,
    /// What happens when it meets its own group.
    pub self_trade_mode: SelfTradeMode,
    /// Limit price; for a market order the bound that applies.
    pub price: Ticks,
    /// The last price for which the order waits; 0 where it does not.
    pub trigger_price: Ticks,
    /// Quantity; 0 for a market order by quote budget.
    pub quantity: Lots,
    /// How much of it the book shows at a time; 0 for all.
    pub display_quantity: Lots,
    /// Quote budget; 0 where there is a quantity.
    pub quote_budget: Atoms,
    /// When it ends by itself; 0 for never.
    pub expires_at: Timestamp,
}

/// Two orders traded, at the maker's price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade {
    /// Where.
    pub market: MarketId,
    /// Number of the trade in its market.
    pub trade: TradeId,
    /// Public count.
    pub feed_sequence: u64,
    /// The taker's side.
    pub taker_side: Side,
    /// The maker's price.
    pub price: Ticks,
    /// How much.
    pub quantity: Lots,
    /// What of the resting order still stands at its place. When nothing does but something is left, the next part of it
    /// is shown, which an [`Event::OrderRested`] says.
    pub maker_displayed: Lots,
    /// The resting order.
    pub maker: TradeParty,
    /// The incoming order.
    pub taker: TradeParty,
}

/// One side of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TradeParty {
    /// Whose.
    pub account: AccountId,
    /// Which order.
    pub order: OrderId,
    /// Private count.
    pub report_sequence: u64,
    /// What is left of the order; for a market order by quote budget 0.
    pub remaining: Lots,
    /// Quote atoms paid (positive) or received (negative).
    pub fee: i64,
}

/// What is left of an order, or its next part, is on the book now, behind all others of its price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderRested {
    /// Whose.
    pub account: AccountId,
    /// Where.
    pub market: MarketId,
    /// Its id.
    pub order: OrderId,
    /// Side.
    pub side: Side,
    /// Limit price.
    pub price: Ticks,
    /// How much is shown.
    pub remaining: Lots,
    /// Public count.
    pub feed_sequence: u64,
}

/// What was left of an order is gone without trading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderCanceled {
    /// Whose.
    pub account: AccountId,
    /// Private count.
    pub report_sequence: u64,
    /// Where.
    pub market: MarketId,
    /// Its id.
    pub order: OrderId,
    /// Side.
    pub side: Side,
    /// Limit price.
    pub price: Ticks,
    /// What was left.
    pub remaining: Lots,
    /// What of that stood in the public book.
    pub displayed: Lots,
    /// Why.
    pub reason: CancelReason,
    /// Public count; 0 when the order never was on the book.
    pub feed_sequence: u64,
}

/// Why an order went without trading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CancelReason {
    /// Its owner asked.
    Requested = 0,
    /// Its owner asked for all.
    MassCancel = 1,
    /// Immediate-or-cancel, or a market order: nothing more to trade with.
    NotFilled = 2,
    /// Fill-or-kill that could not be filled.
    FillOrKill = 3,
    /// Its own group's incoming order took it off, or it was the incoming one.
    SelfTrade = 4,
    /// It has traded with as many orders as one command may.
    MaxFills = 5,
    /// Its own time has come.
    Expired = 6,
    /// When it was triggered the book side had no room for another price level.
    LevelsFull = 7,
    /// Its owner changed its price or made it larger: another order comes in its place.
    Amended = 8,
    /// Its owner set the quote anew.
    Requoted = 9,
}

impl CancelReason {
    /// Whether its owner asked for it, as opposed to what the order's own terms or other orders brought about.
    pub const fn is_owners_word(self) -> bool {
        matches!(self, Self::Requested | Self::MassCancel | Self::Amended | Self::Requoted)
    }
}

/// An order became smaller and kept its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderReduced {
    /// Whose.
    pub account: AccountId,
    /// Private count.
    pub report_sequence: u64,
    /// Where.
    pub market: MarketId,
    /// Its id.
    pub order: OrderId,
    /// Side.
    pub side: Side,
    /// Limit price.
    pub price: Ticks,
    /// Its whole quantity now, what has traded included.
    pub quantity: Lots,
    /// What is left now.
    pub remaining: Lots,
    /// By how much it became smaller.
    pub reduced_by: Lots,
    /// Public count; 0 for an incoming order, which self-trade prevention made smaller before it came to the book.
    pub feed_sequence: u64,
}

/// What became of a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuoteSet {
    /// Whose.
    pub account: AccountId,
    /// Private count.
    pub report_sequence: u64,
    /// Where.
    pub market: MarketId,
    /// Which of the account's quotes.
    pub slot: u8,
    /// The order of the buying side, which may have traded already; 0 for none.
    pub bid: OrderId,
    /// The order of the selling side.
    pub ask: OrderId,
    /// Why there is no buying side though one was asked for.
    pub bid_refused: Option<RejectCode>,
    /// Why there is no selling side though one was asked for.
    pub ask_refused: Option<RejectCode>,
}
