//! The incoming order while it trades: what is left to do, and by what it is bounded.

use crate::command::{OrderType, PlaceOrder, SelfTradeMode, Side, TimeInForce};
use crate::event::CancelReason;
use crate::ids::{AccountId, ClientId, MarketId, OrderId};
use crate::order::Order;
use crate::units::{Atoms, FeeRate, Lots, Ticks, Timestamp};
use crate::validate::Terms;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taker {
    pub(crate) order: OrderId,
    pub(crate) account: AccountId,
    pub(crate) market: MarketId,
    pub(crate) side: Side,
    /// The worst price that it trades at.
    pub(crate) limit: Ticks,
    pub(crate) wanted: Wanted,
    pub(crate) order_type: OrderType,
    pub(crate) time_in_force: TimeInForce,
    pub(crate) self_trade_mode: SelfTradeMode,
    /// The account's self-trade group; 0 where it is alone.
    pub(crate) self_trade_group: AccountId,
    /// When its rest ends by itself; 0 for never.
    pub(crate) expires_at: Timestamp,
    pub(crate) client_id: ClientId,
    /// Where its client id will stand in the book's table.
    pub(crate) client_hash: u32,
    /// What it was placed with; 0 for a quote budget.
    pub(crate) quantity: Lots,
    /// How much of its rest is shown at a time; 0 for all.
    pub(crate) display: Lots,
    pub(crate) maker_fee: FeeRate,
    pub(crate) taker_fee: FeeRate,
    /// What each lot that rests holds back.
    pub(crate) hold_per_lot: Atoms,
    /// For an order that waits: its trigger price, else 0.
    pub(crate) trigger_price: Ticks,
    /// Where an order that has waited stands in the book, outside of every level.
    pub(crate) waited_in: Option<u32>,
}

/// How much an incoming order still wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// So many lots.
    Quantity(Lots),
    /// As many lots as so much quote money trades for, before fees.
    QuoteBudget(Atoms),
}

/// Why an incoming order trades no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It has all that it wants, or its budget does not reach for another lot.
    Done,
    /// Nothing on the other side is within its limit.
    NothingInReach,
    /// It met its own group.
    SelfTrade,
    /// It has touched as many orders as one command may.
    MaxFills,
}

impl Taker {
    /// The order that a checked request of an account in this self-trade group makes.
    #[inline(always)]
    pub(crate) fn new(
        order: OrderId,
        (account, self_trade_group): (AccountId, AccountId),
        request: &PlaceOrder,
        terms: &Terms,
    ) -> Self {
        let wanted = match request.quantity {
            Lots::ZERO => Wanted::QuoteBudget(request.quote_budget),
            quantity => Wanted::Quantity(quantity),
        };
        Self {
            order,
            account,
            market: request.market,
            side: request.side,
            limit: terms.limit,
            wanted,
            order_type: request.order_type,
            time_in_force: request.time_in_force,
            self_trade_mode: request.self_trade_mode,
            self_trade_group,
            expires_at: request.expires_at,
            client_id: request.client_id,
            client_hash: terms.client_hash,
            quantity: request.quantity,
            display: request.display_quantity,
            maker_fee: terms.maker_fee,
            taker_fee: terms.taker_fee,
            hold_per_lot: terms.hold_per_lot,
            trigger_price: request.trigger_price,
            waited_in: None,
        }
    }

    /// What an order of this self-trade group becomes whose trigger price was reached; it stands in `slot` until it is
    /// through, its client id with it.
    pub(crate) fn triggered(market: MarketId, slot: u32, order: &Order, self_trade_group: AccountId) -> Self {
        Self {
            order: order.id,
            account: order.account,
            market,
            side: order.side,
            limit: order.price,
            wanted: Wanted::Quantity(order.remaining),
            order_type: order.order_type,
            time_in_force: order.time_in_force,
            self_trade_mode: order.self_trade_mode,
            self_trade_group,
            expires_at: order.expires_at,
            client_id: order.client_id,
            client_hash: 0,
            quantity: order.quantity,
            display: order.display,
            maker_fee: order.maker_fee,
            taker_fee: order.taker_fee,
            hold_per_lot: order.hold_per_lot,
            trigger_price: order.trigger_price,
            waited_in: Some(slot),
        }
    }

    /// Whether it trades at `price`.
    pub(crate) fn reaches(&self, price: Ticks) -> bool {
        match self.side {
            Side::Bid => price <= self.limit,
            Side::Ask => price >= self.limit,
        }
    }

    /// What is shown of its rest.
    pub(crate) fn shown(&self) -> Lots {
        if self.display.is_zero() { self.remaining() } else { self.remaining().min(self.display) }
    }

    /// What is left in lots; nothing for a budget, which never rests.
    pub(crate) const fn remaining(&self) -> Lots {
        match self.wanted {
            Wanted::Quantity(quantity) => quantity,
            Wanted::QuoteBudget(_) => Lots::ZERO,
        }
    }

    /// Whether it wants nothing more.
    pub(crate) const fn is_done(&self) -> bool {
        match self.wanted {
            Wanted::Quantity(quantity) => quantity.is_zero(),
            Wanted::QuoteBudget(budget) => budget.is_zero(),
        }
    }

    /// Takes off what a fill gave.
    pub(crate) fn fill(&mut self, quantity: Lots, notional: Atoms) {
        match &mut self.wanted {
            Wanted::Quantity(left) => *left -= quantity,
            Wanted::QuoteBudget(left) => *left -= notional,
        }
    }

    /// What becomes of what is left, or `None` when it rests.
    pub(crate) fn end_of_rest(&self, stop: Stop) -> Option<CancelReason> {
        match (stop, self.time_in_force) {
            (Stop::SelfTrade, _) => Some(CancelReason::SelfTrade),
            (Stop::MaxFills, _) => Some(CancelReason::MaxFills),
            (_, time_in_force) if time_in_force.rests() => None,
            _ => Some(CancelReason::NotFilled),
        }
    }
}
