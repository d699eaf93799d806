//! Events into read models, and what is to be told of each of them.
//!
//! A report shows the order as it is right behind its event, so reports are written event by event; what they go
//! out behind (the command's answer) needs the state behind the last event.

use bytes::Bytes;
use lakh_engine::event::{
    CancelReason, Event, OrderAccepted, OrderCanceled, OrderReduced, Rejected, Trade, TradeParty,
};
use lakh_engine::ids::{AccountId, AssetId, MarketId};
use lakh_engine::units::Atoms;

use crate::account_state::Balance;
use crate::account_trades::TradeRole;
use crate::api_error::ApiError;
use crate::directory::MarketEntry;
use crate::hand_over::{RequestHandle, Stream, StreamKind};
use crate::market_data::book::BookChange;
use crate::market_data::tape::{Aggregation, Extended, PublicTrade};
use crate::order_state::{BudgetProgress, OrderRecord};
use crate::publisher::{Publisher, entry, history};
use crate::wire_encode::answers::{self, Stamp};
use crate::wire_encode::json::Sign;
use crate::wire_encode::market as encode;
use crate::wire_encode::public;
use crate::wire_encode::reports::{self, Execution, FundsMovement};

/// Answers of mass cancels that are complete.
pub(super) type FinishedMassCancels = Vec<(RequestHandle, Result<Bytes, ApiError>)>;

impl Publisher {
    /// Takes in all events of one command, and collects what is to be told of them.
    pub(super) fn absorb_all(&mut self, stamp: Stamp, events: &[Event]) -> FinishedMassCancels {
        let mut finished = FinishedMassCancels::new();
        self.latest = stamp.timestamp;
        for (index, event) in events.iter().enumerate() {
            self.absorb_listing(event);
            self.absorb_book(event, stamp);
            match event {
                Event::Trade(trade) => self.absorb_trade(trade, budget_progress(trade, &events[index + 1..]), stamp),
                Event::AgendaProgress { origin, finished: completion, .. } => {
                    finished.extend(self.mass_cancels.progress(*origin, *completion));
                }
                _ => self.absorb_order(event, stamp),
            }
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
        self.collect_positions(stamp);
        self.collect_tickers();
        finished
    }

    /// Whoever limits cancels has to know how many orders there are to be cancelled.
    fn tell_live_orders(&self, events: &[Event]) {
        let tell = |account| self.directory.live_orders().set(account, self.orders.open_order_count(account));
        for event in events {
            match event {
                Event::OrderRested(rested) => tell(rested.account),
                Event::OrderCanceled(canceled) => tell(canceled.account),
                Event::Trade(trade) => tell(trade.maker.account),
                _ => {}
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
            Event::MarketStateChanged { .. } | Event::FeesChanged { .. } => self.markets = self.directory.markets(),
            _ => {}
        }
    }

    /// The public book.
    fn absorb_book(&mut self, event: &Event, stamp: Stamp) {
        let Some((market, _)) = BookChange::of(event) else { return };
        if self.subscriptions.has_stream(Stream { market, kind: StreamKind::BookTicker })
            && let Some(feed) = self.market_data.feed(market)
        {
            self.outgoing.note_top(market, || feed.book().top());
        }
        self.market_data.apply(event, stamp.timestamp);
    }

    /// Everything that is about one order or one account, trades and agenda aside.
    fn absorb_order(&mut self, event: &Event, stamp: Stamp) {
        match event {
            Event::OrderAccepted(accepted) => self.absorb_accepted(accepted, stamp),
            Event::OrderRested(rested) => self.orders.rest(rested),
            Event::OrderCanceled(canceled) => self.absorb_canceled(canceled, stamp),
            Event::OrderReduced(reduced) => self.absorb_reduced(reduced, stamp),
            Event::BalanceChanged { account, asset, available, held } => {
                let balance = Balance { available: *available, held: *held };
                self.accounts.change(*account, *asset, balance, stamp.timestamp);
                if self.subscriptions.has_account(*account) {
                    self.outgoing.changed_balances.push((*account, *asset));
                }
            }
            Event::Rejected(rejected) => self.report_rejected(rejected, stamp),
            Event::CancelAllAccepted { account, market, report_sequence } => {
                self.report_cancel_all(*account, *market, *report_sequence, stamp);
            }
            Event::DepositCredited { account, asset, amount, report_sequence } => {
                let funds = Funds { asset: *asset, direction: Sign::Positive, amount: *amount };
                self.report_funds(*account, &funds, *report_sequence, stamp);
            }
            Event::Withdrawn { account, asset, amount, report_sequence } => {
                let funds = Funds { asset: *asset, direction: Sign::Negative, amount: *amount };
                self.report_funds(*account, &funds, *report_sequence, stamp);
            }
            _ => {}
        }
    }

    fn absorb_accepted(&mut self, accepted: &OrderAccepted, stamp: Stamp) {
        let order = self.orders.accept(accepted, stamp.timestamp);
        if self.subscriptions.has_account(order.account) {
            let market = entry(&self.markets, order.market);
            let execution = Execution::New { report_sequence: accepted.report_sequence };
            self.outgoing.report(order.account, |out| {
                reports::execution_report(market, order, &execution, stamp, out);
            });
        }
    }

    /// A trade: the maker's report, then the taker's, then the public.
    fn absorb_trade(&mut self, trade: &Trade, budget: BudgetProgress, stamp: Stamp) {
        let market = entry(&self.markets, trade.market);
        let quote = market.spec.notional(trade.price, trade.quantity);
        if let Some(maker) = self.orders.fill_maker(trade, quote, stamp.timestamp)
            && self.subscriptions.has_account(maker.account)
        {
            let fill = PartyFill { trade, party: &trade.maker, quote };
            self.outgoing.report(maker.account, |out| fill.write(market, maker, stamp, out));
        }
        if let Some(taker) = self.orders.fill_taker(trade, quote, budget, stamp.timestamp)
            && self.subscriptions.has_account(taker.account)
        {
            let fill = PartyFill { trade, party: &trade.taker, quote };
            self.outgoing.report(taker.account, |out| fill.write(market, taker, stamp, out));
        }
        self.account_trades
            .record(trade.maker.account, history::own_trade(trade, TradeRole::Maker, quote, stamp.timestamp));
        self.account_trades
            .record(trade.taker.account, history::own_trade(trade, TradeRole::Taker, quote, stamp.timestamp));
        let stream = Stream { market: trade.market, kind: StreamKind::Trade };
        if self.subscriptions.has_stream(stream) {
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
        if self.subscriptions.has_account(order.account) {
            self.outgoing.report(order.account, |out| {
                reports::execution_report(market, order, &Execution::Canceled(canceled), stamp, out);
            });
        }
    }

    fn absorb_reduced(&mut self, reduced: &OrderReduced, stamp: Stamp) {
        let Some(order) = self.orders.reduce(reduced, stamp.timestamp) else { return };
        if self.subscriptions.has_account(order.account) {
            let market = entry(&self.markets, order.market);
            self.outgoing.report(order.account, |out| {
                reports::execution_report(market, order, &Execution::Reduced(reduced), stamp, out);
            });
        }
    }

    fn report_rejected(&mut self, rejected: &Rejected, stamp: Stamp) {
        // Without a private count the account is not known: whoever stands there did not ask.
        if rejected.report_sequence != 0 && self.subscriptions.has_account(rejected.account) {
            let market = rejected.market.and_then(|market| self.markets.get(usize::from(market.0)));
            self.outgoing.report(rejected.account, |out| {
                reports::request_rejected(market.map(AsRef::as_ref), rejected, stamp, out);
            });
        }
    }

    fn report_cancel_all(&mut self, account: AccountId, market: Option<MarketId>, report_sequence: u64, stamp: Stamp) {
        if self.subscriptions.has_account(account) {
            let market = market.map(|market| entry(&self.markets, market));
            self.outgoing.report(account, |out| {
                reports::cancel_all_accepted(market, report_sequence, stamp, out);
            });
        }
    }

    fn report_funds(&mut self, account: AccountId, funds: &Funds, report_sequence: u64, stamp: Stamp) {
        if self.subscriptions.has_account(account)
            && let Some(asset) = self.directory.asset(funds.asset)
        {
            let Funds { direction, amount, .. } = *funds;
            let movement = FundsMovement { asset: &asset, direction, amount, report_sequence };
            self.outgoing.report(account, |out| reports::balance_update(&movement, stamp, out));
        }
    }

    /// One position report for each account that listens and whose balances changed, behind its other reports.
    fn collect_positions(&mut self, stamp: Stamp) {
        let mut changed = std::mem::take(&mut self.outgoing.changed_balances);
        changed.sort_unstable();
        changed.dedup();
        for of_account in changed.chunk_by(|left, right| left.0 == right.0) {
            let account = of_account[0].0;
            let balances = of_account.iter().filter_map(|(account, asset)| {
                Some((self.directory.asset(*asset)?, self.accounts.balance(*account, *asset)))
            });
            self.outgoing.report(account, |out| reports::account_position(balances, stamp, out));
        }
        changed.clear();
        self.outgoing.changed_balances = changed;
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

/// Money of one asset that came or went.
struct Funds {
    asset: AssetId,
    direction: Sign,
    amount: Atoms,
}

/// One side of a trade, to be reported.
struct PartyFill<'a> {
    trade: &'a Trade,
    party: &'a TradeParty,
    quote: Atoms,
}

impl PartyFill<'_> {
    fn write(&self, market: &MarketEntry, order: &OrderRecord, stamp: Stamp, out: &mut Vec<u8>) {
        let execution = Execution::Trade { trade: self.trade, party: self.party, quote: self.quote };
        reports::execution_report(market, order, &execution, stamp, out);
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
