//! A resting order as the whole of the engine knows it: what a snapshot holds, what a cancel gives back.
//!
//! This is a value to pass around. A book keeps an order in parts, so that what matching and a cancel read stays small:
//! its [`OrderLine`], which is one cache line, the client's id and, for the few that have any, [`OrderExtras`], each in an
//! array of its own by the order's slot.

use crate::command::{OrderType, PlaceOrder, SelfTradeMode, Side, TimeInForce};
use crate::ids::{AccountId, ClientId, MarketId, OrderId};
use crate::order_arena::{OrderEntry, RestingOrder};
use crate::units::{Atoms, FeeRate, Lots, Ticks, Timestamp};
use crate::validate::Terms;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) id: OrderId,
    pub(crate) price: Ticks,
    /// What is left of it and stands in the book.
    pub(crate) remaining: Lots,
    /// What is left of it and not shown yet.
    pub(crate) reserve: Lots,
    /// How much is shown at a time; 0 for all.
    pub(crate) display: Lots,
    /// What it was placed with, less what amendments took.
    pub(crate) quantity: Lots,
    /// What each remaining lot holds back: quote atoms for a bid, base atoms for an ask.
    pub(crate) hold_per_lot: Atoms,
    pub(crate) account: AccountId,
    /// The fee rate of its fills, fixed when it was accepted.
    pub(crate) maker_fee: FeeRate,
    /// The same as a taker, for an order that waits or has waited; else 0.
    pub(crate) taker_fee: FeeRate,
    pub(crate) side: Side,
    pub(crate) order_type: OrderType,
    pub(crate) time_in_force: TimeInForce,
    pub(crate) self_trade_mode: SelfTradeMode,
    /// The last price for which it waits or has waited; 0 for none.
    pub(crate) trigger_price: Ticks,
    /// When it ends by itself; 0 for never.
    pub(crate) expires_at: Timestamp,
    pub(crate) client_id: ClientId,
}

impl Order {
    /// What it holds back: quote atoms for a bid, base atoms for an ask.
    pub(crate) const fn held(&self) -> Atoms {
        Atoms(self.hold_per_lot.0 * self.left().0)
    }

    /// All that is left of it, shown or not.
    pub(crate) const fn left(&self) -> Lots {
        Lots(self.remaining.0 + self.reserve.0)
    }

    /// What was asked for when it was placed, at the price that bounds it.
    pub(crate) const fn request(&self, market: MarketId) -> PlaceOrder {
        PlaceOrder {
            market,
            side: self.side,
            order_type: self.order_type,
            time_in_force: self.time_in_force,
            price: self.price,
            trigger_price: self.trigger_price,
            quantity: self.quantity,
            display_quantity: self.display,
            quote_budget: Atoms::ZERO,
            self_trade_mode: self.self_trade_mode,
            expires_at: self.expires_at,
            client_id: self.client_id,
        }
    }

    /// On which terms it was accepted. Its client id has its place already.
    pub(crate) const fn terms(&self) -> Terms {
        Terms {
            limit: self.price,
            hold_per_lot: self.hold_per_lot,
            maker_fee: self.maker_fee,
            taker_fee: self.taker_fee,
            client_hash: 0,
        }
    }

    /// Parts that it will still be shown in, behind the one that is.
    pub(crate) fn parts_left(&self) -> u64 {
        if self.reserve.is_zero() { 0 } else { self.reserve.0.div_ceil(self.display.0) }
    }
}

/// Whether an order is in the book, or waits for its trigger price outside of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Resting,
    Waiting,
}

/// All of an order that is read when it trades or goes: one cache line, since each line that is not in the nearest caches
/// costs more than the work on it.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct OrderLine {
    pub(crate) resting: RestingOrder,
    pub(crate) details: OrderDetails,
}

impl OrderEntry for OrderLine {
    const VACANT: Self = Self { resting: RestingOrder::VACANT, details: OrderDetails::VACANT };

    #[inline]
    fn order(&self) -> &RestingOrder {
        &self.resting
    }

    #[inline]
    fn order_mut(&mut self) -> &mut RestingOrder {
        &mut self.resting
    }
}

impl OrderLine {
    /// The whole order from its parts.
    #[inline(always)]
    pub(crate) fn join(&self, extras: &OrderExtras, client_id: &ClientId) -> Order {
        let Self { resting, details } = self;
        Order {
            id: details.id,
            price: resting.price(),
            remaining: resting.remaining(),
            reserve: extras.reserve,
            display: extras.display,
            quantity: details.quantity,
            hold_per_lot: details.hold_per_lot,
            account: resting.owner(),
            maker_fee: details.maker_fee,
            taker_fee: extras.taker_fee,
            side: resting.side(),
            order_type: details.order_type,
            time_in_force: details.time_in_force,
            self_trade_mode: details.self_trade_mode,
            trigger_price: extras.trigger_price,
            expires_at: extras.expires_at,
            client_id: *client_id,
        }
    }
}

/// What the engine adds to an order as matching sees it, on the same line.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(crate) struct OrderDetails {
    pub(crate) id: OrderId,
    pub(crate) quantity: Lots,
    pub(crate) hold_per_lot: Atoms,
    pub(crate) maker_fee: FeeRate,
    pub(crate) order_type: OrderType,
    pub(crate) time_in_force: TimeInForce,
    pub(crate) self_trade_mode: SelfTradeMode,
    pub(crate) flags: OrderFlags,
}

/// What a book has to look at beside an order's details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OrderFlags(u8);

impl OrderFlags {
    pub(crate) const NONE: Self = Self(0);
    /// The client gave an id.
    pub(crate) const CLIENT_ID: Self = Self(1);
    /// Its [`OrderExtras`] mean something.
    pub(crate) const EXTRAS: Self = Self(2);
    /// It is in no level yet.
    pub(crate) const WAITING: Self = Self(4);

    #[inline]
    pub(crate) const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    #[inline]
    const fn with(self, flag: Self) -> Self {
        Self(self.0 | flag.0)
    }

    #[inline]
    pub(crate) const fn without(self, flag: Self) -> Self {
        Self(self.0 & !flag.0)
    }
}

/// What few orders have: parts that are not shown, a trigger price, an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OrderExtras {
    pub(crate) reserve: Lots,
    pub(crate) display: Lots,
    pub(crate) trigger_price: Ticks,
    pub(crate) expires_at: Timestamp,
    pub(crate) taker_fee: FeeRate,
}

impl OrderExtras {
    pub(crate) const NONE: Self = Self {
        reserve: Lots::ZERO,
        display: Lots::ZERO,
        trigger_price: Ticks::ZERO,
        expires_at: Timestamp::ZERO,
        taker_fee: FeeRate(0),
    };

    #[inline]
    pub(crate) fn of(order: &Order) -> Self {
        let Order { reserve, display, trigger_price, expires_at, taker_fee, .. } = *order;
        Self { reserve, display, trigger_price, expires_at, taker_fee }
    }
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
        flags: OrderFlags::NONE,
    };

    #[inline]
    pub(crate) fn of(order: &Order, standing: Standing) -> Self {
        let mut flags = OrderFlags::NONE;
        if !order.client_id.is_empty() {
            flags = flags.with(OrderFlags::CLIENT_ID);
        }
        if OrderExtras::of(order) != OrderExtras::NONE {
            flags = flags.with(OrderFlags::EXTRAS);
        }
        if standing == Standing::Waiting {
            flags = flags.with(OrderFlags::WAITING);
        }
        Self {
            id: order.id,
            quantity: order.quantity,
            hold_per_lot: order.hold_per_lot,
            maker_fee: order.maker_fee,
            order_type: order.order_type,
            time_in_force: order.time_in_force,
            self_trade_mode: order.self_trade_mode,
            flags,
        }
    }
}
