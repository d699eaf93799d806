//! A resting order as the whole of the engine knows it: what a snapshot holds, what a cancel gives back.
//!
//! This is a value to pass around. A book keeps an order in parts, so that what matching reads stays small: what
//! [`PriceTimeBook`](crate::price_time_book::PriceTimeBook) keeps, [`OrderDetails`] and the client's id, each in an array
//! of its own by the order's slot.

use crate::command::{OrderType, SelfTradeMode, Side, TimeInForce};
use crate::ids::{AccountId, ClientId, OrderId};
use crate::order_arena::RestingOrder;
use crate::units::{Atoms, FeeRate, Lots, Ticks};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) id: OrderId,
    pub(crate) price: Ticks,
    pub(crate) remaining: Lots,
    /// What it was placed with, less what amendments took.
    pub(crate) quantity: Lots,
    /// What each remaining lot holds back: quote atoms for a bid, base atoms for an ask.
    pub(crate) hold_per_lot: Atoms,
    pub(crate) account: AccountId,
    /// The fee rate of its fills, fixed when it was accepted.
    pub(crate) maker_fee: FeeRate,
    pub(crate) side: Side,
    pub(crate) order_type: OrderType,
    pub(crate) time_in_force: TimeInForce,
    pub(crate) self_trade_mode: SelfTradeMode,
    pub(crate) client_id: ClientId,
}

/// What else belongs to an order, read when it trades or goes. 32 bytes: what is read less often than that goes elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OrderDetails {
    pub(crate) id: OrderId,
    pub(crate) quantity: Lots,
    pub(crate) hold_per_lot: Atoms,
    pub(crate) maker_fee: FeeRate,
    pub(crate) order_type: OrderType,
    pub(crate) time_in_force: TimeInForce,
    pub(crate) self_trade_mode: SelfTradeMode,
    pub(crate) client_id_given: ClientIdGiven,
}

/// Whether the client gave an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientIdGiven {
    No,
    Yes,
}

impl OrderDetails {
    pub(crate) const VACANT: Self = Self {
        id: OrderId(0),
        quantity: Lots::ZERO,
        hold_per_lot: Atoms::ZERO,
        maker_fee: FeeRate(0),
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::GoodTillCancel,
        self_trade_mode: SelfTradeMode::None,
        client_id_given: ClientIdGiven::No,
    };

    #[inline]
    pub(crate) fn of(order: &Order) -> Self {
        Self {
            id: order.id,
            quantity: order.quantity,
            hold_per_lot: order.hold_per_lot,
            maker_fee: order.maker_fee,
            order_type: order.order_type,
            time_in_force: order.time_in_force,
            self_trade_mode: order.self_trade_mode,
            client_id_given: if order.client_id.is_empty() { ClientIdGiven::No } else { ClientIdGiven::Yes },
        }
    }

    /// The whole order from its parts.
    #[inline]
    pub(crate) fn join(&self, resting: &RestingOrder, client_id: &ClientId) -> Order {
        Order {
            id: self.id,
            price: resting.price(),
            remaining: resting.remaining(),
            quantity: self.quantity,
            hold_per_lot: self.hold_per_lot,
            account: resting.owner(),
            maker_fee: self.maker_fee,
            side: resting.side(),
            order_type: self.order_type,
            time_in_force: self.time_in_force,
            self_trade_mode: self.self_trade_mode,
            client_id: *client_id,
        }
    }
}
