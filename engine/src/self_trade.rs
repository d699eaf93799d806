//! Orders that would trade with their own group: who belongs together, and what then becomes of them.
//!
//! An account belongs to itself. A group is named after the account that it began with; others join it by their own
//! signed word, and by the owner's or the founding account's as well: else one could put a rival into a group of one's
//! own and expire his orders. The group counts at the moment of matching, the incoming order's mode decides.

use crate::command::SelfTradeMode;
use crate::emitter::Emitter;
use crate::engine::{Reject, Shard};
use crate::event::{CancelReason, Event, OrderReduced};
use crate::ids::AccountId;
use crate::order_arena::RestingOrder;
use crate::reject::RejectCode;
use crate::taker::{Stop, Taker, Wanted};
use crate::units::Lots;

impl Shard {
    /// What the taker's mode says of this maker; `None` when they are not of one group.
    #[inline(always)]
    pub(crate) fn self_trade(&self, taker: &Taker<'_>, maker: &RestingOrder) -> SelfTradeMode {
        if maker.owner() == taker.account {
            return taker.request.self_trade_mode;
        }
        if taker.request.self_trade_mode == SelfTradeMode::None {
            return SelfTradeMode::None;
        }
        // Nearly every account is alone, and then the maker's need not be looked up.
        match self.accounts.self_trade_group(taker.account) {
            AccountId(0) => SelfTradeMode::None,
            group if self.accounts.self_trade_group(maker.owner()) == group => taker.request.self_trade_mode,
            _ => SelfTradeMode::None,
        }
    }

    /// Takes off both orders what would have traded. Tells what the taker still wants, what it counts as placed with, and why
    /// it goes no further, if it does not: an order of which all was prevented ends with what it had, it is not reduced to
    /// nothing.
    pub(crate) fn decrement(
        &mut self,
        mut taker: Taker<'_>,
        slot: u32,
        events: &mut Emitter<'_>,
    ) -> (Wanted, Lots, Option<Stop>) {
        let maker = self.markets[usize::from(taker.request.market.0)].book.order(slot);
        // All of an iceberg is its owner's, whatever the book shows of it.
        let quantity = self.fill_quantity(&taker, maker.price, maker.left());
        if quantity.is_zero() {
            return (taker.wanted, taker.quantity, Some(Stop::Done));
        }
        if quantity == maker.left() {
            self.take_off(taker.request.market, slot, CancelReason::SelfTrade, events);
        } else {
            self.reduce(taker.request.market, slot, quantity, events);
        }
        if taker.wanted == Wanted::Quantity(quantity) {
            return (taker.wanted, taker.quantity, Some(Stop::SelfTrade));
        }
        let notional = self.markets[usize::from(taker.request.market.0)].spec.notional(maker.price, quantity);
        taker.fill(quantity, notional);
        if let Wanted::Quantity(_) = taker.wanted {
            taker.quantity -= quantity;
        }
        events.push(Event::OrderReduced(OrderReduced {
            account: taker.account,
            report_sequence: self.accounts.next_report(taker.account),
            market: taker.request.market,
            order: taker.order,
            side: taker.request.side,
            price: taker.terms.limit,
            quantity: taker.quantity,
            remaining: taker.remaining(),
            reduced_by: quantity,
            feed_sequence: 0,
        }));
        (taker.wanted, taker.quantity, taker.is_done().then_some(Stop::SelfTrade))
    }

    /// Puts an account into a group; its own number takes it out of any other.
    #[inline(never)]
    pub(crate) fn set_self_trade_group(
        &mut self,
        account: AccountId,
        group: AccountId,
        events: &mut Emitter<'_>,
    ) -> Result<(), Reject> {
        let founder =
            *self.accounts.account(group).filter(|_| group != AccountId(0)).ok_or(RejectCode::AccountUnknown)?;
        let joining = *self.accounts.account(account).ok_or(RejectCode::AccountUnknown)?;
        let consented = joining.owner == founder.owner || joining.invited_by == group;
        let founds = founder.self_trade_group == AccountId(0) || founder.self_trade_group == group;
        if group != account && !(consented && founds) {
            return Err(RejectCode::GroupNotConsented.into());
        }
        self.accounts.account_mut(group).self_trade_group = group;
        self.accounts.account_mut(account).self_trade_group = group;
        events.push(Event::SelfTradeGroupChanged { account, group });
        Ok(())
    }

    /// Notes that another account may join this one's group.
    #[inline(never)]
    pub(crate) fn invite(
        &mut self,
        account: AccountId,
        invited: AccountId,
        events: &mut Emitter<'_>,
    ) -> Result<(), Reject> {
        self.accounts.account(invited).filter(|_| invited != AccountId(0)).ok_or(RejectCode::AccountUnknown)?;
        self.accounts.account_mut(invited).invited_by = account;
        events.push(Event::SelfTradeGroupInvited { account, invited });
        Ok(())
    }
}
