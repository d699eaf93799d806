//! Taking orders off: one, all, and a part of one.

use crate::agenda::{AgendaItem, CancelAllProgress};
use crate::command::{AmendMode, AmendOrder, CancelAll, CancelOrder, CancelRestriction, OrderReference};
use crate::emitter::Emitter;
use crate::engine::{Moment, Reject, Shard};
use crate::event::{CancelReason, Completion, Event, OrderReduced};
use crate::ids::{AccountId, MarketId, Sequence};
use crate::market::{takes_amendments, takes_cancels};
use crate::order::Standing;
use crate::reject::RejectCode;
use crate::units::Lots;
use crate::validate::hold;

impl Shard {
    /// Takes one order off.
    #[inline(always)]
    pub(crate) fn cancel_order(
        &mut self,
        account: AccountId,
        cancel: &CancelOrder,
        events: &mut Emitter<'_>,
    ) -> Result<(), Reject> {
        let slot = self.check_cancel(account, cancel, CancelRestriction::None)?;
        self.take_off(cancel.market, slot, CancelReason::Requested, events);
        Ok(())
    }

    /// Whether the account may cancel the order that is named; tells its slot.
    #[inline(always)]
    pub(crate) fn check_cancel(
        &self,
        account: AccountId,
        cancel: &CancelOrder,
        restriction: CancelRestriction,
    ) -> Result<u32, RejectCode> {
        let market = self.market(cancel.market)?;
        if !takes_cancels(market.state) {
            return Err(RejectCode::MarketClosed);
        }
        let slot = market.book.find(account, cancel.target).ok_or(RejectCode::OrderUnknown)?;
        if restriction == CancelRestriction::None {
            return Ok(slot);
        }
        let order = market.book.order(slot);
        let is_new = order.left() == order.quantity;
        if is_new == (restriction == CancelRestriction::OnlyNew) {
            Ok(slot)
        } else {
            Err(RejectCode::RestrictionNotMet)
        }
    }

    /// Changes one order: less of it at the same price leaves it in its place, else another one takes its place.
    #[inline(never)]
    pub(crate) fn amend_order(
        &mut self,
        moment: Moment,
        account: AccountId,
        amend: &AmendOrder,
        events: &mut Emitter<'_>,
    ) -> Result<(), Reject> {
        let market = self.market(amend.market)?;
        if !takes_amendments(market.state) {
            return Err(RejectCode::MarketClosed.into());
        }
        let slot = market.book.find(account, amend.target).ok_or(RejectCode::OrderUnknown)?;
        let before = market.book.order(slot);
        let filled = before.quantity - before.left();
        let same_price = amend.new_price.is_zero() || amend.new_price == before.price;
        let keeps_place = same_price && amend.new_quantity < before.quantity;
        let changes = !same_price || amend.new_quantity != before.quantity;
        let may = keeps_place || (changes && amend.mode == AmendMode::MayLosePriority);
        if amend.new_quantity <= filled || !may {
            return Err(RejectCode::AmendNotSmaller.into());
        }
        if !keeps_place {
            return self.amend_by_new_order(moment, (account, slot), amend, events);
        }
        self.reduce(amend.market, slot, before.quantity - amend.new_quantity, events);
        Ok(())
    }

    /// Makes an order smaller, frees what that held and says so: first what it does not show, which is nobody else's
    /// business, then what it shows.
    pub(crate) fn reduce(&mut self, market: MarketId, slot: u32, reduced_by: Lots, events: &mut Emitter<'_>) {
        let entry = &mut self.markets[usize::from(market.0)];
        let hidden = reduced_by.min(entry.book.order(slot).reserve);
        if !hidden.is_zero() {
            entry.book.reduce_reserve(slot, hidden);
            self.say_reduced((market, slot), hidden, 0, events);
        }
        if hidden != reduced_by {
            let shown = reduced_by - hidden;
            let entry = &mut self.markets[usize::from(market.0)];
            entry.book.reduce(slot, shown);
            let is_public = entry.book.standing(slot) == Standing::Resting;
            let feed_sequence = if is_public { entry.next_feed() } else { 0 };
            self.say_reduced((market, slot), shown, feed_sequence, events);
        }
    }

    /// Frees what an order held that has become smaller by `reduced_by`, and says so: to its owner alone where the
    /// feed's count is 0.
    fn say_reduced(
        &mut self,
        (market, slot): (MarketId, u32),
        reduced_by: Lots,
        feed_sequence: u64,
        events: &mut Emitter<'_>,
    ) {
        let entry = &self.markets[usize::from(market.0)];
        let order = entry.book.order(slot);
        let asset = entry.spec.held_asset(order.side);
        self.balances.release(order.account, asset, hold(order.hold_per_lot, reduced_by));
        events.push(Event::OrderReduced(OrderReduced {
            account: order.account,
            report_sequence: self.accounts.next_report(order.account),
            market,
            order: order.id,
            side: order.side,
            price: order.price,
            quantity: order.quantity,
            remaining: order.left(),
            reduced_by,
            feed_sequence,
        }));
    }

    /// Takes all of an account's orders off: as many as one command may at once, the rest by the agenda.
    #[inline(never)]
    pub(crate) fn cancel_all(
        &mut self,
        origin: Sequence,
        account: AccountId,
        cancel: &CancelAll,
        events: &mut Emitter<'_>,
    ) -> Result<(), Reject> {
        if let Some(market) = cancel.market
            && !takes_cancels(self.market(market)?.state)
        {
            return Err(RejectCode::MarketClosed.into());
        }
        if self.agenda.is_full() {
            return Err(RejectCode::AgendaFull.into());
        }
        self.start_cancel_all(origin, account, cancel, events);
        Ok(())
    }

    /// Begins a mass cancel that nothing stands against.
    pub(crate) fn start_cancel_all(
        &mut self,
        origin: Sequence,
        account: AccountId,
        cancel: &CancelAll,
        events: &mut Emitter<'_>,
    ) {
        let report_sequence = self.accounts.next_report(account);
        events.push(Event::CancelAllAccepted { account, market: cancel.market, report_sequence });
        let progress = CancelAllProgress {
            account,
            origin,
            market: cancel.market.unwrap_or(MarketId(0)),
            all_markets: u8::from(cancel.market.is_none()),
            side: cancel.side,
            after: None,
        };
        self.work_on_cancel_all(progress, events);
    }

    /// Works off the next part of the agenda.
    #[inline(never)]
    pub(crate) fn continue_agenda(&mut self, moment: Moment, events: &mut Emitter<'_>) -> Result<(), RejectCode> {
        match self.agenda.pop().ok_or(RejectCode::NothingToContinue)? {
            AgendaItem::CancelAll(progress) => self.work_on_cancel_all(progress, events),
            AgendaItem::AdvanceTime(until) => self.advance_time(moment.sequence, until, events),
            AgendaItem::Triggers(market) => self.run_triggers(market, events),
            AgendaItem::Disconnected(next) => self.cancel_disconnected(moment.sequence, next, events),
            AgendaItem::Family(progress) => self.cancel_family(moment.sequence, progress, events),
            AgendaItem::Frame => self.work_on_frame(moment, events),
            AgendaItem::Forced(progress) => self.work_on_forced(progress, events),
        }
        Ok(())
    }

    /// Looks at as many orders as the command may touch and puts what is left back in front of the agenda.
    fn work_on_cancel_all(&mut self, mut progress: CancelAllProgress, events: &mut Emitter<'_>) {
        let mut canceled = 0;
        let mut finished = Completion::Pending;
        while self.work > 0 {
            self.work -= 1;
            match self.next_to_cancel(&mut progress) {
                None => {
                    finished = Completion::Finished;
                    break;
                }
                Some(NextOrder::OtherSide) => {}
                Some(NextOrder::Cancel(slot)) => {
                    self.take_off(progress.market, slot, CancelReason::MassCancel, events);
                    canceled += 1;
                }
            }
        }
        let CancelAllProgress { account, origin, .. } = progress;
        events.push(Event::AgendaProgress { account, origin, canceled, finished });
        if finished == Completion::Pending {
            self.agenda.push_front(AgendaItem::CancelAll(progress));
        }
    }

    /// The next order of the mass cancel, moving on to the next market where one is through; `None` at the end.
    fn next_to_cancel(&self, progress: &mut CancelAllProgress) -> Option<NextOrder> {
        loop {
            let market = self.markets.get(usize::from(progress.market.0))?;
            let after = progress.after.map(|id| {
                let slot = market.book.find(progress.account, OrderReference::OrderId(id));
                slot.expect("nothing comes between the parts of a mass cancel, so the order it left alone is there")
            });
            let next = match takes_cancels(market.state) {
                true => market.book.account_order_after(progress.account, after),
                false => None,
            };
            match next {
                Some(slot) => {
                    let order = market.book.order(slot);
                    if progress.side.is_none_or(|side| side == order.side) {
                        return Some(NextOrder::Cancel(slot));
                    }
                    progress.after = Some(order.id);
                    return Some(NextOrder::OtherSide);
                }
                None if progress.all_markets == 0 => return None,
                None => {
                    progress.market.0 += 1;
                    progress.after = None;
                }
            }
        }
    }
}

/// What a mass cancel looks at next.
enum NextOrder {
    Cancel(u32),
    OtherSide,
}
