//! Matching: the incoming order meets the book, in price-time priority, at the resting orders' prices.
//!
//! The loop is short: look at the order that is next, decide how much, trade. Money moves inside [`Shard::settle`].

use crate::command::{PlaceOrder, SelfTradeMode, Side, TimeInForce};
use crate::emitter::Emitter;
use crate::engine::{Moment, Reject, Shard};
use crate::event::{CancelReason, Event, OrderAccepted, OrderCanceled, OrderRested, Trade, TradeParty};
use crate::ids::{AccountId, MarketId, OrderId};
use crate::order::{Order, Standing};
use crate::order_arena::RestingOrder;
use crate::taker::{Stop, Taker, Wanted};
use crate::trading::{VENUE, order_id};
use crate::units::{Atoms, FeeRate, Lots, Ticks, Timestamp};
use crate::validate::{NewOrder, Terms, hold};

impl Shard {
    /// Takes a new order: accepted as a whole, then traded, then its rest put on the book or dropped.
    #[inline(never)]
    pub(crate) fn place_order(
        &mut self,
        moment: Moment,
        account: AccountId,
        request: &PlaceOrder,
        events: &mut Emitter<'_>,
    ) -> Result<(), Reject> {
        self.place(order_id(moment), NewOrder::new(moment, account, request), events)
    }

    /// The same for one that [is plain](PlaceOrder::is_plain), by a key that nothing bounds and on its own footing: nearly
    /// every one. What these leave out is left out of the code.
    #[inline(never)]
    pub(crate) fn place_plain(
        &mut self,
        id: OrderId,
        account: AccountId,
        request: &PlaceOrder,
        events: &mut Emitter<'_>,
    ) -> Result<(), Reject> {
        self.place(id, NewOrder::plain(account, request), events)
    }

    #[inline(always)]
    fn place(&mut self, id: OrderId, new: NewOrder<'_>, events: &mut Emitter<'_>) -> Result<(), Reject> {
        let terms = self.validate_order(new)?;
        self.take_in(id, new, terms, events);
        Ok(())
    }

    /// Takes in an order that has passed every check.
    #[inline(always)]
    pub(crate) fn accept(&mut self, id: OrderId, new: NewOrder<'_>, terms: Terms, events: &mut Emitter<'_>) {
        let report_sequence = self.accounts.next_report(new.account);
        events.push(Event::OrderAccepted(accepted((id, report_sequence), new, terms)));
        let mut taker = Taker::new((id, new.account), (new.request, new.options), terms);
        match taker.options.order_type.waits() {
            true => self.wait(taker),
            false => self.execute(&mut taker, events),
        }
        self.run_triggers(taker.request.market, events);
    }

    /// Trades an order whose turn it is; its rest goes on the book or is dropped.
    #[inline(always)]
    pub(crate) fn execute(&mut self, taker: &mut Taker<'_>, events: &mut Emitter<'_>) {
        if taker.request.time_in_force == TimeInForce::FillOrKill && !self.can_fill(*taker) {
            self.drop_rest(*taker, CancelReason::FillOrKill, events);
            return;
        }
        let wanted_before = taker.wanted;
        let stop = self.match_taker(taker, events);
        // A budget is spent when it traded and does not reach for another lot.
        if stop == Stop::Done && taker.wanted != wanted_before {
            self.leave(*taker);
            return;
        }
        match taker.end_of_rest(stop) {
            Some(reason) => self.drop_rest(*taker, reason, events),
            None if self.lacks_level(taker) => self.drop_rest(*taker, CancelReason::LevelsFull, events),
            None => self.rest(taker, events),
        }
    }

    /// Whether the rest of an order that has waited finds no room for its price any more.
    #[inline(always)]
    fn lacks_level(&self, taker: &Taker<'_>) -> bool {
        let book = &self.markets[usize::from(taker.request.market.0)].book;
        taker.waited_in.is_some() && book.lacks_level_for(taker.request.side, taker.terms.limit)
    }

    /// Gives back the slot of an order that has waited and is through.
    #[inline(always)]
    fn leave(&mut self, taker: Taker<'_>) {
        let Some(slot) = taker.waited_in else { return };
        let market = &mut self.markets[usize::from(taker.request.market.0)];
        let order = market.book.order(slot);
        market.remove(slot);
        if order.expires_at != Timestamp::ZERO {
            self.note_deadline(taker.request.market);
        }
    }

    /// The match loop.
    #[inline(always)]
    fn match_taker(&mut self, taker: &mut Taker<'_>, events: &mut Emitter<'_>) -> Stop {
        loop {
            if taker.is_done() {
                return Stop::Done;
            }
            // Looked at before the work is, so that who has run out of both is told what the book says.
            let Some(slot) = self.next_maker(taker) else { return Stop::NothingInReach };
            if self.work == 0 {
                return Stop::MaxFills;
            }
            self.work -= 1;
            match self.self_trade(taker, self.maker(taker, slot)) {
                SelfTradeMode::None => {}
                SelfTradeMode::ExpireTaker => return Stop::SelfTrade,
                SelfTradeMode::ExpireMaker => {
                    self.take_off(taker.request.market, slot, CancelReason::SelfTrade, events);
                    continue;
                }
                SelfTradeMode::ExpireBoth => {
                    self.take_off(taker.request.market, slot, CancelReason::SelfTrade, events);
                    return Stop::SelfTrade;
                }
                SelfTradeMode::Decrement => {
                    let stop;
                    // Not as a whole: what else is known of the taker stays known.
                    (taker.wanted, taker.quantity, stop) = self.decrement(*taker, slot, events);
                    match stop {
                        Some(stop) => return stop,
                        None => continue,
                    }
                }
            }
            let maker = self.maker(taker, slot);
            let quantity = self.fill_quantity(taker, maker.price(), maker.remaining());
            if quantity.is_zero() {
                return Stop::Done;
            }
            taker.wanted = self.trade_with(*taker, slot, quantity, events);
        }
    }

    /// The slot of the order that trades next with the taker, if one is within its limit.
    #[inline(always)]
    fn next_maker(&self, taker: &Taker<'_>) -> Option<u32> {
        self.markets[usize::from(taker.request.market.0)]
            .book
            .first_within(taker.request.side.opposite(), taker.terms.limit)
    }

    /// The resting order in a slot of the taker's market.
    #[inline(always)]
    pub(crate) fn maker(&self, taker: &Taker<'_>, slot: u32) -> &RestingOrder {
        self.markets[usize::from(taker.request.market.0)].book.resting_order(slot)
    }

    /// How much trades with `remaining` lots at `price`: what both have, and for a budget what it reaches for.
    #[inline(always)]
    pub(crate) fn fill_quantity(&self, taker: &Taker<'_>, price: Ticks, remaining: Lots) -> Lots {
        let budget = match taker.wanted {
            Wanted::Quantity(quantity) => return quantity.min(remaining),
            Wanted::QuoteBudget(budget) => budget,
        };
        let spec = &self.markets[usize::from(taker.request.market.0)].spec;
        let price_of_lot = spec.notional(price, Lots(1));
        let affordable = match taker.request.side {
            Side::Bid => {
                let available = self.balances.balance(taker.account, spec.quote).available;
                taker.terms.taker_fee.most_before_fee(available).0 / price_of_lot.0
            }
            Side::Ask => self.balances.balance(taker.account, spec.base).available.0 / spec.base_atoms_per_lot,
        };
        Lots(affordable).min(Lots(budget.0 / price_of_lot.0)).min(remaining)
    }

    /// One fill: money, book, events. Tells what the taker still wants.
    #[inline(never)]
    fn trade_with(&mut self, mut taker: Taker<'_>, slot: u32, quantity: Lots, events: &mut Emitter<'_>) -> Wanted {
        let market = &mut self.markets[usize::from(taker.request.market.0)];
        let Order { id, account, price, hold_per_lot, maker_fee, remaining, reserve, expires_at, .. } =
            market.book.order(slot);
        let displayed = remaining - quantity;
        let remaining = displayed + reserve;
        if remaining.is_zero() {
            market.remove(slot);
        } else if !displayed.is_zero() {
            market.book.fill(slot, quantity);
        }
        let (trade, feed_sequence) = (market.next_trade(), market.next_feed());
        market.note_price(price);
        let notional = market.spec.notional(price, quantity);
        taker.fill(quantity, notional);
        let taker_fee = taker.terms.taker_fee.fee_on(notional);
        // A rebate is at most the fee of the same fill, so that two accounts can never trade money out of the venue.
        let maker_fee = maker_fee.fee_on(notional).max(-taker_fee);
        if remaining.is_zero() && expires_at != Timestamp::ZERO {
            self.note_deadline(taker.request.market);
        }
        let freed = hold(hold_per_lot, quantity);
        self.settle(&taker, &Fill { maker: account, freed, quantity, notional, taker_fee, maker_fee });
        events.push(Event::Trade(Trade {
            market: taker.request.market,
            trade,
            feed_sequence,
            taker_side: taker.request.side,
            price,
            quantity,
            maker_displayed: displayed,
            maker: TradeParty {
                account,
                order: id,
                report_sequence: self.accounts.next_report(account),
                remaining,
                fee: maker_fee,
            },
            taker: TradeParty {
                account: taker.account,
                order: taker.order,
                report_sequence: self.accounts.next_report(taker.account),
                remaining: taker.remaining(),
                fee: taker_fee,
            },
        }));
        if displayed.is_zero() && !remaining.is_zero() {
            self.refill(taker.request.market, slot, events);
        }
        taker.wanted
    }

    /// Shows the next part of an order.
    fn refill(&mut self, market: MarketId, slot: u32, events: &mut Emitter<'_>) {
        let entry = &mut self.markets[usize::from(market.0)];
        entry.book.refill(slot);
        let order = entry.book.order(slot);
        events.push(Event::OrderRested(OrderRested {
            account: order.account,
            market,
            order: order.id,
            side: order.side,
            price: order.price,
            remaining: order.remaining,
            feed_sequence: entry.next_feed(),
        }));
    }

    /// Moves the money of one fill. The maker's hold is freed first, so that both sides pay from what is available:
    /// the taker's was checked when it was accepted, the maker's hold is never less than the fill and its fee.
    fn settle(&mut self, taker: &Taker<'_>, fill: &Fill) {
        let spec = &self.markets[usize::from(taker.request.market.0)].spec;
        let base_amount = spec.base_atoms(fill.quantity);
        let (bidder, asker, held_asset) = match taker.request.side {
            Side::Bid => (taker.account, fill.maker, spec.base),
            Side::Ask => (fill.maker, taker.account, spec.quote),
        };
        let balances = &mut self.balances;
        balances.release(fill.maker, held_asset, fill.freed);
        balances.transfer(bidder, asker, spec.quote, fill.notional);
        balances.transfer(asker, bidder, spec.base, base_amount);
        // The taker pays first, so the venue has what the maker's rebate takes.
        for (account, fee) in [(taker.account, fill.taker_fee), (fill.maker, fill.maker_fee)] {
            let amount = Atoms(fee.unsigned_abs());
            match fee {
                0 => {}
                1.. => balances.transfer(account, VENUE, spec.quote, amount),
                _ => balances.transfer(VENUE, account, spec.quote, amount),
            }
        }
    }

    /// Whether a fill-or-kill order finds all of its quantity within the command's work.
    fn can_fill(&self, taker: Taker<'_>) -> bool {
        let book = &self.markets[usize::from(taker.request.market.0)].book;
        let mut search =
            Search { left: taker.remaining(), work: u64::from(self.work), price: Ticks::ZERO, hidden: (Lots::ZERO, 0) };
        let slots = book.resting().slots(taker.request.side.opposite());
        for slot in slots.take_while(|slot| taker.reaches(book.resting_order(*slot).price())) {
            let maker = book.resting_order(slot);
            if maker.price() != search.price && search.ends_with_hidden() {
                return true;
            }
            search.price = maker.price();
            if search.work == 0 {
                return false;
            }
            search.work -= 1;
            match self.self_trade(&taker, maker) {
                SelfTradeMode::None => search.count(&book.order(slot)),
                SelfTradeMode::ExpireTaker | SelfTradeMode::ExpireBoth | SelfTradeMode::Decrement => return false,
                SelfTradeMode::ExpireMaker => {}
            }
            if search.left.is_zero() {
                return true;
            }
        }
        search.ends_with_hidden()
    }

    /// Puts what is left on the book and holds what it needs.
    #[inline(always)]
    fn rest(&mut self, taker: &Taker<'_>, events: &mut Emitter<'_>) {
        let market = &mut self.markets[usize::from(taker.request.market.0)];
        let remaining = taker.remaining();
        let asset = market.spec.held_asset(taker.request.side);
        self.balances.hold(taker.account, asset, hold(taker.terms.hold_per_lot, remaining));
        match taker.waited_in {
            None => market.insert(&resting(taker), taker.terms.client_hash),
            Some(slot) => {
                market.book.set_waiting(slot, taker.quantity, remaining);
                market.book.rest_waiting(slot);
            }
        }
        events.push(Event::OrderRested(OrderRested {
            account: taker.account,
            market: taker.request.market,
            order: taker.order,
            side: taker.request.side,
            price: taker.terms.limit,
            remaining: taker.shown(),
            feed_sequence: market.next_feed(),
        }));
        if taker.options.expires_at != Timestamp::ZERO {
            self.note_deadline(taker.request.market);
        }
    }

    /// Says that what is left of an incoming order is gone.
    fn drop_rest(&mut self, taker: Taker<'_>, reason: CancelReason, events: &mut Emitter<'_>) {
        self.leave(taker);
        events.push(Event::OrderCanceled(OrderCanceled {
            account: taker.account,
            report_sequence: self.accounts.next_report(taker.account),
            market: taker.request.market,
            order: taker.order,
            side: taker.request.side,
            price: taker.terms.limit,
            remaining: taker.remaining(),
            displayed: Lots::ZERO,
            reason,
            feed_sequence: 0,
        }));
    }

    /// Takes a resting order off the book, frees what it held and says so.
    #[inline]
    pub(crate) fn take_off(&mut self, market: MarketId, slot: u32, reason: CancelReason, events: &mut Emitter<'_>) {
        let entry = &mut self.markets[usize::from(market.0)];
        let (order, standing) = (entry.book.order(slot), entry.book.standing(slot));
        entry.remove(slot);
        let asset = entry.spec.held_asset(order.side);
        self.balances.release(order.account, asset, order.held());
        events.push(Event::OrderCanceled(OrderCanceled {
            account: order.account,
            report_sequence: self.accounts.next_report(order.account),
            market,
            order: order.id,
            side: order.side,
            price: order.price,
            remaining: order.left(),
            displayed: if standing == Standing::Waiting { Lots::ZERO } else { order.remaining },
            reason,
            feed_sequence: if standing == Standing::Waiting { 0 } else { entry.next_feed() },
        }));
        if order.expires_at != Timestamp::ZERO {
            self.note_deadline(market);
        }
    }
}

/// How far a fill-or-kill order has come in looking for its quantity.
struct Search {
    left: Lots,
    /// Orders that may still be touched.
    work: u64,
    /// The level that is looked at.
    price: Ticks,
    /// What its orders do not show, and in how many parts: it trades only behind all that they show.
    hidden: (Lots, u64),
}

impl Search {
    /// Counts what the order shows, and notes what it does not.
    fn count(&mut self, maker: &Order) {
        self.left -= self.left.min(maker.remaining);
        self.hidden = (self.hidden.0 + maker.reserve, self.hidden.1 + maker.parts_left());
    }

    /// The level is through: whether what it hides is enough. All of its parts are counted, though the last ones may not
    /// be needed: too many refuse the order, too few would break its promise.
    fn ends_with_hidden(&mut self) -> bool {
        let (hidden, parts) = core::mem::take(&mut self.hidden);
        if parts > self.work {
            self.work = 0;
            return false;
        }
        self.work -= parts;
        self.left -= self.left.min(hidden);
        self.left.is_zero()
    }
}

/// One fill's amounts.
struct Fill {
    maker: AccountId,
    /// What the maker held for the quantity.
    freed: Atoms,
    quantity: Lots,
    notional: Atoms,
    taker_fee: i64,
    maker_fee: i64,
}

/// What is said of an order with this id, account and report sequence that was taken in.
#[inline(always)]
fn accepted(
    (order, report_sequence): (OrderId, u64),
    NewOrder { account, request, options, .. }: NewOrder<'_>,
    terms: Terms,
) -> OrderAccepted {
    OrderAccepted {
        account,
        report_sequence,
        market: request.market,
        order,
        client_id: request.client_id,
        side: request.side,
        order_type: options.order_type,
        time_in_force: request.time_in_force,
        self_trade_mode: request.self_trade_mode,
        price: terms.limit,
        trigger_price: options.trigger_price,
        quantity: request.quantity,
        display_quantity: options.display_quantity,
        quote_budget: options.quote_budget,
        expires_at: options.expires_at,
    }
}

#[inline(always)]
pub(crate) fn resting(taker: &Taker<'_>) -> Order {
    Order {
        id: taker.order,
        price: taker.terms.limit,
        remaining: taker.shown(),
        reserve: taker.remaining() - taker.shown(),
        display: taker.options.display_quantity,
        quantity: taker.quantity,
        hold_per_lot: taker.terms.hold_per_lot,
        account: taker.account,
        maker_fee: taker.terms.maker_fee,
        // Only who waits trades as a taker once more.
        taker_fee: if taker.options.order_type.waits() { taker.terms.taker_fee } else { FeeRate(0) },
        side: taker.request.side,
        order_type: taker.options.order_type,
        time_in_force: taker.request.time_in_force,
        self_trade_mode: taker.request.self_trade_mode,
        trigger_price: taker.options.trigger_price,
        expires_at: taker.options.expires_at,
        client_id: taker.request.client_id,
    }
}
