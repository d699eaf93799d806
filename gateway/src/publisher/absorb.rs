//! Events into read models, and what is to be told of each of them.
//!
//! A report shows the order as it is right behind its event, so reports are written event by event; what they go
//! out behind (the command's answer) needs the state behind the last event.

use bytes::Bytes;
use lakh_engine::event::{CancelReason, Event, OrderAccepted, OrderCanceled, OrderReduced, Trade};
use lakh_engine::ids::{AccountId, MarketId, OrderId};
use lakh_engine::units::Atoms;

use crate::account_state::Balance;
use crate::account_trades::TradeRole;
use crate::api_error::ApiError;
use crate::hand_over::{RequestHandle, Stream, StreamKind};
use crate::market_data::book::{BookChange, Level, LevelKey};
use crate::market_data::tape::{Aggregation, Extended, PublicTrade};
use crate::order_state::{BudgetProgress, Reduction};
use crate::publisher::private::fill;
use crate::publisher::{Company, Publisher, entry, history};
use crate::reports::{Execution, Stamp};
use crate::wire_encode::answers;
use crate::wire_encode::market as encode;
use crate::wire_encode::public;

/// Events of one command from which on it is looked ahead within it; those of smaller ones are looked at with their neighbours'.
const READ_AHEAD_MIN: usize = 16;

/// Answers of mass cancels that are complete.
pub(super) type FinishedMassCancels = Vec<(RequestHandle, Result<Bytes, ApiError>)>;

impl Publisher {
    /// Takes in all events of one command, and collects what is to be told of them.
    pub(super) fn absorb_all(&mut self, stamp: Stamp, events: &[Event]) -> FinishedMassCancels {
        let mut finished = FinishedMassCancels::new();
        self.latest = stamp.timestamp;
        if events.len() >= READ_AHEAD_MIN {
            self.read_ahead(events.iter());
        }
        // What makes an order smaller: while an order trades, its group; otherwise its owner.
        let mut reduction = Reduction::Amended;
        for (index, event) in events.iter().enumerate() {
            if !is_of_trading(event) {
                self.absorb_listing(event);
            }
            let level = self.absorb_book(event, stamp);
            match event {
                Event::Trade(trade) => self.absorb_trade(trade, budget_progress(trade, &events[index + 1..]), stamp),
                Event::AgendaProgress { origin, finished: completion, .. } => {
                    finished.extend(self.mass_cancels.progress(*origin, *completion));
                }
                Event::OrderReduced(reduced) => self.absorb_reduced(reduced, reduction, stamp),
                _ => self.absorb_order(event, stamp),
            }
            match event {
                Event::OrderAccepted(_) | Event::OrderTriggered { .. } => reduction = Reduction::Prevented,
                Event::OperationDone { .. } => reduction = Reduction::Amended,
                _ => {}
            }
            self.binary.absorb(event, level, stamp);
        }
        for event in events {
            // Any other order that is through says so in an event.
            if let Event::OrderAccepted(accepted) = event
                && accepted.quantity.is_zero()
            {
                self.orders.end_unless_resting(accepted.order);
            }
        }
        self.tell_live_orders(events);
        self.close_aggregate();
        self.tell_positions(stamp);
        self.collect_tickers();
        finished
    }

    /// Reads the resting orders that events are about to change: they have mostly left the caches, and their reads then wait
    /// for memory together and not one after the other. First where they stand, then the orders. Changes nothing.
    pub(super) fn read_ahead<'a>(&self, events: impl Iterator<Item = &'a Event> + Clone) {
        let mut new = 0;
        for event in events.clone() {
            if let Event::OrderAccepted(accepted) = event {
                new += 1;
                self.orders.prefetch_place(accepted.order);
            } else if let Some((market, order)) = resting_order(event) {
                self.orders.prefetch_place(order);
                self.binary.read_ahead(market, order);
            }
        }
        for (_, order) in events.clone().filter_map(resting_order) {
            self.orders.prefetch_record(order);
        }
        for (account, market) in events.clone().filter_map(changed_list) {
            self.orders.read_list_ahead(account, market);
        }
        for (_, order) in events.filter_map(resting_order) {
            self.orders.read_ahead(order);
        }
        self.orders.read_free_ahead(new);
    }

    /// Whoever limits cancels has to know how many orders there are to be cancelled.
    fn tell_live_orders(&self, events: &[Event]) {
        if self.company == Company::Nobody {
            return;
        }
        // Most events of a command are one account's: the first few accounts are told of once.
        let mut told = [None; 4];
        for event in events {
            let account = match event {
                Event::OrderAccepted(accepted) => accepted.account,
                Event::OrderRested(rested) => rested.account,
                Event::OrderCanceled(canceled) => canceled.account,
                Event::Trade(trade) => trade.maker.account,
                _ => continue,
            };
            if !told.contains(&Some(account)) {
                self.directory.live_orders().set(account, self.orders.open_order_count(account));
                if let Some(free) = told.iter_mut().find(|place| place.is_none()) {
                    *free = Some(account);
                }
            }
        }
    }

    /// Markets, assets and keys.
    fn absorb_listing(&mut self, event: &Event) {
        self.directory.apply(event);
        match event {
            Event::MarketListed(spec) => {
                self.market_data.list(spec.market);
                self.markets = self.directory.markets();
            }
            Event::AssetListed(_) => self.assets = self.directory.assets(),
            Event::MarketStateChanged { .. } | Event::FeesChanged { .. } | Event::PriceBandChanged { .. } => {
                self.markets = self.directory.markets();
            }
            Event::BatchSealed { batch_id, last_sequence, .. } => self.sealed.seal(*batch_id, *last_sequence),
            _ => {}
        }
    }

    /// The public book. Tells which level is another now, and what rests there.
    fn absorb_book(&mut self, event: &Event, stamp: Stamp) -> Option<(LevelKey, Level)> {
        let (market, change) = BookChange::of(event)?;
        if self.subscriptions.has_stream(Stream { market, kind: StreamKind::BookTicker })
            && let Some(feed) = self.market_data.feed(market)
        {
            self.outgoing.note_top(market, || feed.book().top());
        }
        self.market_data.change(market, &change, stamp.timestamp)
    }

    /// Everything that is about one order or one account, trades and agenda aside.
    fn absorb_order(&mut self, event: &Event, stamp: Stamp) {
        match event {
            Event::OrderAccepted(accepted) => self.absorb_accepted(accepted, stamp),
            Event::OrderRested(rested) => self.orders.rest(rested),
            Event::OrderTriggered { order, report_sequence, .. } => {
                self.orders.trigger(*order, stamp.timestamp);
                self.tell_execution(*order, Execution::Triggered, (*report_sequence, stamp));
            }
            Event::OrderCanceled(canceled) => self.absorb_canceled(canceled, stamp),
            Event::BalanceChanged { account, asset, available, held } => {
                let balance = Balance { available: *available, held: *held };
                self.accounts.change(*account, *asset, balance, stamp.timestamp);
                self.outgoing.changed_balances.push((*account, *asset));
            }
            other => self.tell_of(other, stamp),
        }
    }

    fn absorb_accepted(&mut self, accepted: &OrderAccepted, stamp: Stamp) {
        self.orders.accept(accepted, stamp.timestamp);
        self.tell_execution(accepted.order, Execution::New, (accepted.report_sequence, stamp));
    }

    /// A trade: the maker's report, then the taker's, then the public.
    fn absorb_trade(&mut self, trade: &Trade, budget: BudgetProgress, stamp: Stamp) {
        let quote = entry(&self.markets, trade.market).spec.notional(trade.price, trade.quantity);
        self.orders.fill_maker(trade, quote, stamp.timestamp);
        let place = (trade.maker.report_sequence, stamp);
        self.tell_execution(trade.maker.order, fill(trade, TradeRole::Maker, quote), place);
        self.orders.fill_taker(trade, quote, budget, stamp.timestamp);
        let place = (trade.taker.report_sequence, stamp);
        self.tell_execution(trade.taker.order, fill(trade, TradeRole::Taker, quote), place);
        self.account_trades.record(trade.maker.account, history::own_trade(trade, TradeRole::Maker, quote, stamp));
        self.account_trades.record(trade.taker.account, history::own_trade(trade, TradeRole::Taker, quote, stamp));
        let stream = Stream { market: trade.market, kind: StreamKind::Trade };
        if self.subscriptions.has_stream(stream) {
            let market = entry(&self.markets, trade.market);
            self.outgoing.public(stream, |out| public::trade(market, trade, stamp.timestamp, out));
        }
        self.absorb_public_trade(trade, quote, stamp);
    }

    /// A trade for tape and candles; it closes the aggregate in front of it unless it belongs to that.
    fn absorb_public_trade(&mut self, trade: &Trade, quote: Atoms, stamp: Stamp) {
        let Trade { trade: number, price, quantity, taker_side, .. } = *trade;
        if let Some(feed) = self.market_data.feed_mut(trade.market) {
            let timestamp = stamp.timestamp;
            feed.record_trade(PublicTrade { trade: number, price, quantity, quote, timestamp, taker_side });
        }
        if let Some((_, aggregation)) = &mut self.aggregation
            && aggregation.extend(trade) == Extended::Yes
        {
            return;
        }
        self.close_aggregate();
        self.aggregation = Some((trade.market, Aggregation::begin(trade, stamp.timestamp)));
    }

    /// The open aggregate gets its number and is told.
    fn close_aggregate(&mut self) {
        let Some((market, aggregation)) = self.aggregation.take() else { return };
        let Some(feed) = self.market_data.feed_mut(market) else { return };
        let aggregate = feed.tape_mut().record_aggregate(aggregation);
        let stream = Stream { market, kind: StreamKind::AggregateTrade };
        if self.subscriptions.has_stream(stream) {
            let entry = entry(&self.markets, market);
            self.outgoing.public(stream, |out| encode::aggregate_message(entry, &aggregate, out));
        }
    }

    fn absorb_canceled(&mut self, canceled: &OrderCanceled, stamp: Stamp) {
        let Some(order) = self.orders.cancel(canceled, stamp.timestamp) else { return };
        let market = entry(&self.markets, order.market);
        if canceled.reason == CancelReason::MassCancel
            && let Some(element) = self.mass_cancels.next_element()
        {
            answers::order_canceled(market, order, stamp, element);
            self.mass_cancels.end_element();
        }
        let execution = Execution::Canceled { reason: canceled.reason, remaining: canceled.remaining };
        self.tell_execution(canceled.order, execution, (canceled.report_sequence, stamp));
    }

    fn absorb_reduced(&mut self, reduced: &OrderReduced, cause: Reduction, stamp: Stamp) {
        self.orders.reduce(reduced, cause, stamp.timestamp);
        let execution = match cause {
            Reduction::Amended => Execution::Reduced { by: reduced.reduced_by },
            Reduction::Prevented => Execution::Prevented { by: reduced.reduced_by },
        };
        self.tell_execution(reduced.order, execution, (reduced.report_sequence, stamp));
    }

    /// One message for each market whose best prices are others than before the command.
    fn collect_tickers(&mut self) {
        let mut tops = std::mem::take(&mut self.outgoing.tops_before);
        for (market, before) in tops.drain(..) {
            let Some(feed) = self.market_data.feed(market) else { continue };
            if feed.book().top() != before {
                let stream = Stream { market, kind: StreamKind::BookTicker };
                self.outgoing.public(stream, |out| public::book_ticker(entry(&self.markets, market), feed.book(), out));
            }
        }
        self.outgoing.tops_before = tops;
    }
}

/// Whether it is one of those that nearly all events are, and lists nothing.
const fn is_of_trading(event: &Event) -> bool {
    matches!(
        event,
        Event::OrderAccepted(_)
            | Event::OrderRested(_)
            | Event::OrderCanceled(_)
            | Event::OrderReduced(_)
            | Event::Trade(_)
            | Event::BalanceChanged { .. }
            | Event::OperationDone { .. }
    )
}

/// The resting order that an event changes.
fn resting_order(event: &Event) -> Option<(MarketId, OrderId)> {
    match event {
        Event::OrderCanceled(canceled) => Some((canceled.market, canceled.order)),
        Event::Trade(trade) => Some((trade.market, trade.maker.order)),
        Event::OrderReduced(reduced) => Some((reduced.market, reduced.order)),
        _ => None,
    }
}

/// Whose open orders an event changes, and where.
fn changed_list(event: &Event) -> Option<(AccountId, MarketId)> {
    match event {
        Event::OrderRested(rested) => Some((rested.account, rested.market)),
        Event::OrderCanceled(canceled) => Some((canceled.account, canceled.market)),
        Event::Trade(trade) => Some((trade.maker.account, trade.market)),
        _ => None,
    }
}

/// Whether the taker of `trade` has another event behind it. It is looked for only where it can matter: while the
/// taker has something left in lots, `remaining` says it.
fn budget_progress(trade: &Trade, rest: &[Event]) -> BudgetProgress {
    if !trade.taker.remaining.is_zero() {
        return BudgetProgress::Open;
    }
    let follows = rest.iter().any(|event| match event {
        Event::Trade(next) => next.taker.order == trade.taker.order,
        Event::OrderCanceled(canceled) => canceled.order == trade.taker.order,
        _ => false,
    });
    if follows { BudgetProgress::Open } else { BudgetProgress::Spent }
}
