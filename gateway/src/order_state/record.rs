//! One order as its owner sees it, and the client ids that the venue makes up for orders without one.

use lakh_engine::command::{OrderType, SelfTradeMode, Side, TimeInForce};
use lakh_engine::event::CancelReason;
use lakh_engine::ids::{AccountId, ClientId, MarketId, OrderId};
use lakh_engine::units::{Atoms, Lots, Ticks, Timestamp};
use lakh_engine::wire::wire_struct;

use crate::saved::saved_enum;

/// In front of the order id in a client id that the venue made up.
const AUTO_CLIENT_ID_PREFIX: &str = "auto-";

/// How far an order has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderStatus {
    /// Accepted, nothing traded.
    New,
    /// Some of it traded, the rest may.
    PartiallyFilled,
    /// All of it traded.
    Filled,
    /// Its owner took off what was left.
    Canceled,
    /// What was left went by the order's own terms.
    Expired,
    /// What was left went because it met its own group.
    ExpiredInMatch,
}

impl OrderStatus {
    /// True while the order can still trade.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::New | Self::PartiallyFilled)
    }
}

/// One order as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRecord {
    /// Whose.
    pub account: AccountId,
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
    /// Limit price; for a market order the bound that applied.
    pub price: Ticks,
    /// The last price for which the order waits, or waited; 0 where it never did.
    pub trigger_price: Ticks,
    /// Whole quantity, after amendments; 0 for an order by quote budget. What its own group kept from trading is in it.
    pub quantity: Lots,
    /// How much of it the book shows at a time; 0 for all.
    pub display_quantity: Lots,
    /// Quote budget; 0 where there is a quantity.
    pub quote_budget: Atoms,
    /// What has traded.
    pub executed: Lots,
    /// Quote atoms that traded, before fees.
    pub cumulative_quote: Atoms,
    /// What its own group kept from trading.
    pub prevented: Lots,
    /// How far it has come.
    pub status: OrderStatus,
    /// Why it ended without trading, if it did.
    pub cancel_reason: Option<CancelReason>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it came to the book: when it was accepted, or triggered; 0 while it waits for its trigger price.
    pub working_at: Timestamp,
    /// When it ends by itself; 0 for never.
    pub expires_at: Timestamp,
}

impl OrderRecord {
    /// True where it is the book's business: live, and not waiting for its trigger price.
    pub const fn is_working(&self) -> bool {
        self.status.is_live() && !self.working_at.is_zero()
    }

    /// The client's id, or `auto-<order id>` where none was given.
    pub fn shown_client_id(&self) -> ClientId {
        if self.client_id.is_empty() { auto_client_id(self.order) } else { self.client_id }
    }

    /// The quantity to show: the order's own, or what has traded of an order by quote budget.
    pub fn shown_quantity(&self) -> Lots {
        if self.quantity.is_zero() { self.executed } else { self.quantity }
    }

    /// The price to show: 0 for a market order, whose bound is not a price that its owner named.
    pub fn shown_price(&self) -> Ticks {
        match self.order_type {
            OrderType::Market | OrderType::StopLoss | OrderType::TakeProfit => Ticks::ZERO,
            _ => self.price,
        }
    }
}

/// The client id that is shown for an order without one.
pub fn auto_client_id(order: OrderId) -> ClientId {
    ClientId::new(&format!("{AUTO_CLIENT_ID_PREFIX}{order}")).expect("five letters and at most 20 digits fit 36 bytes")
}

/// The order that a client id of [`auto_client_id`] names; `None` for any other text.
pub fn auto_client_id_target(client_id: &str) -> Option<OrderId> {
    let digits = client_id.strip_prefix(AUTO_CLIENT_ID_PREFIX)?;
    let is_canonical = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_canonical { digits.parse().ok().map(OrderId) } else { None }
}

saved_enum!(OrderStatus { New, PartiallyFilled, Filled, Canceled, Expired, ExpiredInMatch });
wire_struct!(OrderRecord {
    account,
    market,
    order,
    client_id,
    side,
    order_type,
    time_in_force,
    self_trade_mode,
    price,
    trigger_price,
    quantity,
    display_quantity,
    quote_budget,
    executed,
    cumulative_quote,
    prevented,
    status,
    cancel_reason,
    accepted_at,
    working_at,
    expires_at,
    updated_at,
});
