//! The incoming order while it trades: what is left to do, and by what it is bounded.

use crate::command::{PlaceOrder, Side};
use crate::event::CancelReason;
use crate::ids::{AccountId, OrderId};
use crate::order_request::OrderOptions;
use crate::units::{Atoms, Lots, Ticks};
use crate::validate::Terms;

/// See the module. What was asked for stays where it is; what seldom happens to it takes it by value, so that it need not
/// be in memory for all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taker<'a> {
    pub(crate) order: OrderId,
    pub(crate) account: AccountId,
    pub(crate) request: &'a PlaceOrder,
    /// The request's.
    pub(crate) options: OrderOptions,
    pub(crate) terms: Terms,
    pub(crate) wanted: Wanted,
    /// What it was placed with, less what its own group kept from trading; 0 for a quote budget.
    pub(crate) quantity: Lots,
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

impl<'a> Taker<'a> {
    /// The order that a checked request of an account makes.
    #[inline(always)]
    pub(crate) fn new(
        (order, account): (OrderId, AccountId),
        (request, options): (&'a PlaceOrder, OrderOptions),
        terms: Terms,
    ) -> Self {
        let quantity = request.quantity;
        let wanted = match options.quote_budget {
            Atoms::ZERO => Wanted::Quantity(quantity),
            budget => Wanted::QuoteBudget(budget),
        };
        Self { order, account, request, options, terms, wanted, quantity, waited_in: None }
    }

    /// What an order that waited becomes when its turn has come; it stands in `slot` until it is through.
    pub(crate) fn triggered(self, slot: u32, remaining: Lots) -> Self {
        Self { wanted: Wanted::Quantity(remaining), waited_in: Some(slot), ..self }
    }

    /// Whether it trades at `price`.
    #[inline(always)]
    pub(crate) fn reaches(&self, price: Ticks) -> bool {
        match self.request.side {
            Side::Bid => price <= self.terms.limit,
            Side::Ask => price >= self.terms.limit,
        }
    }

    /// What is shown of its rest.
    #[inline(always)]
    pub(crate) fn shown(&self) -> Lots {
        match self.options.display_quantity {
            Lots::ZERO => self.remaining(),
            display => self.remaining().min(display),
        }
    }

    /// What is left in lots; nothing for a budget, which never rests.
    #[inline(always)]
    pub(crate) const fn remaining(&self) -> Lots {
        match self.wanted {
            Wanted::Quantity(quantity) => quantity,
            Wanted::QuoteBudget(_) => Lots::ZERO,
        }
    }

    /// Whether it wants nothing more.
    #[inline(always)]
    pub(crate) const fn is_done(&self) -> bool {
        match self.wanted {
            Wanted::Quantity(quantity) => quantity.is_zero(),
            Wanted::QuoteBudget(budget) => budget.is_zero(),
        }
    }

    /// Takes off what a fill gave.
    #[inline(always)]
    pub(crate) fn fill(&mut self, quantity: Lots, notional: Atoms) {
        match &mut self.wanted {
            Wanted::Quantity(left) => *left -= quantity,
            Wanted::QuoteBudget(left) => *left -= notional,
        }
    }

    /// What becomes of what is left, or `None` when it rests.
    #[inline(always)]
    pub(crate) fn end_of_rest(&self, stop: Stop) -> Option<CancelReason> {
        match (stop, self.request.time_in_force) {
            (Stop::SelfTrade, _) => Some(CancelReason::SelfTrade),
            (Stop::MaxFills, _) => Some(CancelReason::MaxFills),
            (_, time_in_force) if time_in_force.rests() => None,
            _ => Some(CancelReason::NotFilled),
        }
    }
}
