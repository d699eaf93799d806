//! Quotes: both sides of a market maker's price, set anew by one operation as often as he likes.
//!
//! What stands by the quote's number and is not asked for again goes first, both sides of it, so that a price that moves by
//! more than its own spread never meets itself; then what is asked for comes, the buying side first, each side for itself:
//! a stale price never stays because a new one was refused. A frame of such operations is a mass quote. The sides are
//! orders like others, found again by client ids that only quotes have, so that a quote needs no table of its own.

use crate::command::{MarketState, OrderReference, OrderType, PlaceOrder, Quote, QuoteSide, Side};
use crate::emitter::Emitter;
use crate::engine::{Moment, Reject, Shard};
use crate::event::{CancelReason, Event, QuoteSet};
use crate::ids::{AccountId, ClientId, OrderId};
use crate::order::{Order, Standing};
use crate::reject::RejectCode;
use crate::trading::order_id;
use crate::validate::NewOrder;

/// What has become of one side.
type Outcome = Result<OrderId, RejectCode>;

impl Shard {
    /// Sets both sides of one of the account's quotes.
    #[inline(never)]
    pub(crate) fn set_quote(
        &mut self,
        moment: Moment,
        account: AccountId,
        quote: &Quote,
        events: &mut Emitter<'_>,
    ) -> Result<(), Reject> {
        let market = self.market(quote.market)?;
        if market.state == MarketState::Halt {
            return Err(RejectCode::MarketClosed.into());
        }
        check_quote(quote)?;
        // Its two cancels are not looked for in the book, but they make events like any order touched.
        self.work = self.work.saturating_sub(2);
        let kept = [Side::Bid, Side::Ask].map(|side| self.clear_side(account, quote, side, events));
        let mut outcomes = kept.map(|order| Ok(order.unwrap_or(OrderId(0))));
        for (side, outcome) in [Side::Bid, Side::Ask].into_iter().zip(&mut outcomes) {
            if *outcome == Ok(OrderId(0)) && !quote.side(side).quantity.is_zero() {
                // A cascade that the first side has set off is not through: nothing comes between its parts.
                if !self.agenda.is_empty() {
                    *outcome = Err(RejectCode::AgendaPending);
                    continue;
                }
                let moment = Moment { operation: moment.operation + side as u64, ..moment };
                *outcome = self.place_side(moment, account, quote, (side, events));
            }
        }
        let report_sequence = self.accounts.next_report(account);
        let [bid, ask] = outcomes;
        events.push(Event::QuoteSet(QuoteSet {
            account,
            report_sequence,
            market: quote.market,
            slot: quote.slot,
            bid: bid.unwrap_or(OrderId(0)),
            ask: ask.unwrap_or(OrderId(0)),
            bid_refused: bid.err(),
            ask_refused: ask.err(),
        }));
        Ok(())
    }

    /// Takes off what stands on a side, unless it is what is asked for, which is told.
    fn clear_side(
        &mut self,
        account: AccountId,
        quote: &Quote,
        side: Side,
        events: &mut Emitter<'_>,
    ) -> Option<OrderId> {
        let book = &self.markets[usize::from(quote.market.0)].book;
        let slot = book.find(account, OrderReference::ClientId(ClientId::of_quote(quote.slot, side)))?;
        let order = book.order(slot);
        if book.standing(slot) == Standing::Resting && is_asked_for(&order, quote) {
            return Some(order.id);
        }
        self.take_off(quote.market, slot, CancelReason::Requoted, events);
        None
    }

    /// Places one side.
    fn place_side(
        &mut self,
        moment: Moment,
        account: AccountId,
        quote: &Quote,
        (side, events): (Side, &mut Emitter<'_>),
    ) -> Outcome {
        let QuoteSide { price, quantity } = quote.side(side);
        let request = PlaceOrder {
            order_type: quote.order_type,
            self_trade_mode: quote.self_trade_mode,
            client_id: ClientId::of_quote(quote.slot, side),
            ..PlaceOrder::limit(quote.market, side, price, quantity)
        };
        let new = NewOrder::by_engine(moment, account, &request);
        match self.validate_order(new) {
            Ok(terms) => {
                self.take_in(order_id(moment), new, terms, events);
                Ok(order_id(moment))
            }
            Err(reject) => Err(reject.code),
        }
    }
}

/// Whether the quote's own fields go together.
fn check_quote(quote: &Quote) -> Result<(), RejectCode> {
    let plain = matches!(quote.order_type, OrderType::Limit | OrderType::LimitMaker | OrderType::LimitMakerSlide);
    let two_sided = !quote.bid.quantity.is_zero() && !quote.ask.quantity.is_zero();
    let priced = |side: QuoteSide| !side.quantity.is_zero() || side.price.is_zero();
    let crossed = two_sided && quote.bid.price >= quote.ask.price;
    match plain && priced(quote.bid) && priced(quote.ask) && !crossed {
        true => Ok(()),
        false => Err(RejectCode::BadCombination),
    }
}

/// Whether the order is the side of the quote that is asked for, nothing of it traded and nothing else about it changed.
fn is_asked_for(order: &Order, quote: &Quote) -> bool {
    let QuoteSide { price, quantity } = quote.side(order.side);
    (order.price, order.left()) == (price, quantity)
        && (order.order_type, order.self_trade_mode) == (quote.order_type, quote.self_trade_mode)
}
