//! Cancel-replace: one order goes and another comes, with nothing in between.
//!
//! With [`ReplaceMode::StopOnFailure`] both happen or neither: the new order is checked as if the old one were gone, its
//! money, its client id, its room and its place in the book included, before anything changes. With
//! [`ReplaceMode::AllowFailure`] the cancel comes first and each half is for itself; only when both are refused is the
//! request. An amendment that asks for another price or for more is such a cancel-replace of the order with itself. It gets
//! a new id: an id stands for one place in one queue, and for what was signed to get there.

use crate::command::{AmendOrder, CancelOrder, PlaceOrder, ReplaceMode, ReplaceOrder};
use crate::emitter::Emitter;
use crate::engine::{Moment, Reject, Shard};
use crate::event::{CancelReason, Event};
use crate::ids::{AccountId, OrderId};
use crate::order::Order;
use crate::reject::RejectCode;
use crate::trading::order_id;
use crate::validate::{NewOrder, Terms};

impl Shard {
    /// Takes one order off and places another one.
    #[inline(never)]
    pub(crate) fn replace_order(
        &mut self,
        moment: Moment,
        account: AccountId,
        replace: &ReplaceOrder,
        events: &mut Emitter<'_>,
    ) -> Result<(), Reject> {
        let market = replace.order.market;
        let cancel = CancelOrder { market, target: replace.target };
        let canceled = self.check_cancel(account, &cancel, replace.restriction);
        let new = NewOrder::new(moment, account, &replace.order);
        let placed = match canceled {
            Ok(slot) => {
                let old: Order = self.markets[usize::from(market.0)].book.order(slot);
                self.validate_order(new.instead_of(&old))
            }
            Err(_) => self.validate_order(new),
        };
        let refused = refusal(canceled, &placed);
        let both = canceled.is_ok() && placed.is_ok();
        let neither = canceled.is_err() && placed.is_err();
        if neither || (replace.mode == ReplaceMode::StopOnFailure && !both) {
            return Err(refused.expect("a half that failed has a code"));
        }
        if let Ok(slot) = canceled {
            self.take_off(market, slot, CancelReason::Requested, events);
        }
        let report_sequence = self.accounts.next_report(account);
        let (cancel_refused, order_refused) = (canceled.err(), placed.as_ref().err().map(|reject| reject.code));
        events.push(Event::ReplaceAnswered { account, report_sequence, market, cancel_refused, order_refused });
        if let Ok(terms) = placed {
            self.take_in(order_id(moment), new, terms, events);
        }
        Ok(())
    }

    /// Takes the order in `slot` off and places what the amendment makes of it, both or neither.
    pub(crate) fn amend_by_new_order(
        &mut self,
        moment: Moment,
        (account, slot): (AccountId, u32),
        amend: &AmendOrder,
        events: &mut Emitter<'_>,
    ) -> Result<(), Reject> {
        let old = self.markets[usize::from(amend.market.0)].book.order(slot);
        let request = amended(&old, amend);
        let new = NewOrder::by_engine(moment, account, &request).instead_of(&old);
        let terms = self.validate_order(new)?;
        self.take_off(amend.market, slot, CancelReason::Amended, events);
        self.take_in(order_id(moment), new, terms, events);
        Ok(())
    }
}

/// What is left of an order by its new numbers, alike in everything else.
fn amended(old: &Order, amend: &AmendOrder) -> PlaceOrder {
    let filled = old.quantity - old.left();
    let price = if amend.new_price.is_zero() { old.price } else { amend.new_price };
    let quantity = amend.new_quantity - filled;
    // What would be shown at once may be more than there is now.
    let display_quantity = old.display.min(quantity);
    PlaceOrder { price, quantity, display_quantity, ..old.request(amend.market) }
}

/// The reject with the lowest number of both halves.
fn refusal(canceled: Result<u32, RejectCode>, placed: &Result<Terms, Reject>) -> Option<Reject> {
    let canceled = canceled.err().map(|code| Reject { code, order: OrderId(0) });
    let placed = placed.as_ref().err().copied();
    canceled.into_iter().chain(placed).min_by_key(|reject| reject.code)
}
