//! What must hold after every command, whatever it was: money, holds, priority, counters.
//!
//! The auditor learns only from events and from the engine's public views, so it is a second opinion on both. It knows
//! for each order the rates at the moment when it was accepted, since fees may change afterwards.

use std::collections::BTreeMap;

use lakh_engine::command::{MarketState, Side};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, AssetId, MarketId, OrderId};
use lakh_engine::market_spec::FeeRates;
use lakh_engine::units::{Atoms, Lots, Ticks};
use lakh_engine::{Balance, Engine, LevelView, OrderView};

/// Everything that a rejected command must leave alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    balances: BTreeMap<(AccountId, AssetId), Balance>,
    supplies: Vec<Atoms>,
    books: Vec<[Vec<OrderView>; 2]>,
    waiting: Vec<Vec<(Side, OrderView)>>,
    levels: Vec<[Vec<LevelView>; 2]>,
}

impl View {
    /// What the engine shows now.
    pub(crate) fn of(engine: &Engine) -> Self {
        let mut view = Self::default();
        for spec in engine.assets() {
            view.supplies.push(engine.supply(spec.asset).expect("listed"));
            for account in engine.accounts() {
                let balance = engine.balance(account, spec.asset).expect("both are known");
                view.balances.insert((account, spec.asset), balance);
            }
        }
        for spec in engine.market_specs() {
            let book = engine.book(spec.market).expect("listed");
            view.books.push([Side::Bid, Side::Ask].map(|side| book.orders(side).collect()));
            view.waiting.push(book.waiting());
            view.levels.push([Side::Bid, Side::Ask].map(|side| book.levels(side).collect()));
        }
        view
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Auditor {
    view: View,
    /// The rates in force when each order was accepted.
    accepted_under: BTreeMap<OrderId, FeeRates>,
    /// The how-manieth order came to rest, for each that did.
    rested: BTreeMap<OrderId, usize>,
    rests: usize,
    reports: BTreeMap<AccountId, u64>,
    feeds: BTreeMap<MarketId, u64>,
    /// Deposits minus withdrawals, by the events; money that was returned is in neither.
    flows: BTreeMap<AssetId, i128>,
    /// Queue entries used up, and how many of them came to nothing.
    pub(crate) consumed: u64,
    pub(crate) refused: u64,
    accounts_opened: usize,
}

impl Auditor {
    /// Checks everything after a command that caused `events`.
    pub(crate) fn check(&mut self, engine: &Engine, events: &[Event]) {
        let view = View::of(engine);
        assert!(events.len() <= Engine::MAX_EVENTS);
        self.learn(engine, events);
        if let Some(Event::Rejected(_) | Event::Duplicate(_)) = events.first() {
            assert_eq!(events.len(), 1, "a refused command causes nothing else");
            assert_eq!(view, self.view, "a refused command changes no balance, order or book");
        }
        if let Some(Event::ChainEntryConsumed { refused: Some(_), .. }) = events.last() {
            self.refused += 1;
            let mut without_new_accounts = view.clone();
            without_new_accounts.balances.retain(|key, _| self.view.balances.contains_key(key));
            assert_eq!(without_new_accounts, self.view, "an entry that came to nothing moves nothing");
        }
        assert_eq!(engine.last_queue_id(), self.consumed, "each entry that was used up is told");
        assert_eq!(engine.account_count(), 1 + self.accounts_opened, "each account that was opened is told");
        self.check_conservation(&view);
        self.check_holds(engine, &view);
        self.check_books(engine, &view);
        self.check_reported_balances(&view, events);
        self.view = view;
    }

    /// Takes in the counters and the flows that the events tell.
    fn learn(&mut self, engine: &Engine, events: &[Event]) {
        for event in events {
            for (account, number) in reports(event) {
                let last = self.reports.entry(account).or_default();
                *last += 1;
                assert_eq!(number, *last, "report sequence of account {account}: {event:?}");
            }
            if let Some((market, number)) = feed(event) {
                let last = self.feeds.entry(market).or_default();
                *last += 1;
                assert_eq!(number, *last, "feed sequence of market {market}: {event:?}");
            }
            match *event {
                Event::DepositCredited { asset, amount, .. } => {
                    *self.flows.entry(asset).or_default() += i128::from(amount.0);
                }
                Event::Withdrawn { asset, amount, .. } => {
                    *self.flows.entry(asset).or_default() -= i128::from(amount.0);
                }
                Event::ChainEntryConsumed { queue_id, .. } => {
                    self.consumed += 1;
                    assert_eq!(queue_id, self.consumed, "entries are used up in order");
                }
                Event::AccountOpened { .. } => self.accounts_opened += 1,
                Event::OrderAccepted(accepted) => {
                    let rates = engine.fee_rates(accepted.account, accepted.market).expect("both are known");
                    self.accepted_under.insert(accepted.order, rates);
                }
                Event::OrderRested(rested) => {
                    self.rests += 1;
                    self.rested.insert(rested.order, self.rests);
                }
                _ => {}
            }
        }
        for spec in engine.market_specs() {
            let told = self.feeds.get(&spec.market).copied().unwrap_or_default();
            assert_eq!(engine.book(spec.market).expect("listed").feed_sequence(), told);
        }
    }

    /// Σ balances = supply = Σ deposits − Σ withdrawals, for each asset.
    fn check_conservation(&self, view: &View) {
        for (index, supply) in view.supplies.iter().enumerate() {
            let asset = AssetId(u16::try_from(index).expect("few assets"));
            let of_asset = view.balances.iter().filter(|((_, of), _)| *of == asset);
            let sum: u128 =
                of_asset.map(|(_, balance)| u128::from(balance.available.0) + u128::from(balance.held.0)).sum();
            assert_eq!(sum, u128::from(supply.0), "asset {asset} is conserved");
            let flows = self.flows.get(&asset).copied().unwrap_or_default();
            assert_eq!(flows, i128::from(supply.0), "asset {asset} is what came minus what went");
        }
    }

    /// What is held is what the open orders need, to the atom.
    fn check_holds(&self, engine: &Engine, view: &View) {
        let mut needed: BTreeMap<(AccountId, AssetId), u128> = BTreeMap::new();
        for ((spec, sides), waiting) in engine.market_specs().zip(&view.books).zip(&view.waiting) {
            let waiting = waiting.iter().map(|(side, order)| (*side, order));
            let resting = [Side::Bid, Side::Ask].into_iter().zip(sides);
            let resting = resting.flat_map(|(side, orders)| orders.iter().map(move |order| (side, order)));
            for (side, order) in resting.chain(waiting) {
                let then = self.accepted_under.get(&order.order).expect("its OrderAccepted came by");
                let worst_fee = then.maker.max(then.taker);
                let (asset, per_lot) = match side {
                    Side::Bid => (spec.quote, spec.bid_hold_per_lot(order.price, worst_fee)),
                    Side::Ask => (spec.base, Atoms(spec.base_atoms_per_lot)),
                };
                *needed.entry((order.account, asset)).or_default() +=
                    u128::from(per_lot.0) * u128::from(order.remaining.0 + order.reserve.0);
            }
        }
        for (key, balance) in &view.balances {
            let needed = needed.get(key).copied().unwrap_or_default();
            assert_eq!(u128::from(balance.held.0), needed, "held by account {} of asset {}", key.0, key.1);
        }
    }

    /// Levels are sorted and sum up their orders, orders stand by arrival, and an open market is not crossed.
    fn check_books(&self, engine: &Engine, view: &View) {
        for (spec, (sides, levels)) in engine.market_specs().zip(view.books.iter().zip(&view.levels)) {
            let best = |orders: &[OrderView]| orders.first().map(|order| order.price);
            if engine.book(spec.market).expect("listed").state() == MarketState::Open
                && let (Some(bid), Some(ask)) = (best(&sides[0]), best(&sides[1]))
            {
                assert!(bid < ask, "market {} is crossed: {bid} and {ask}", spec.market);
            }
            for (orders, levels) in sides.iter().zip(levels) {
                let mut rebuilt: Vec<LevelView> = Vec::new();
                for order in orders {
                    assert!(order.remaining > Lots::ZERO && order.remaining <= order.quantity, "{order:?}");
                    match rebuilt.last_mut() {
                        Some(level) if level.price == order.price => {
                            level.total += order.remaining;
                            level.orders += 1;
                        }
                        _ => rebuilt.push(LevelView { price: order.price, total: order.remaining, orders: 1 }),
                    }
                }
                assert_eq!(&rebuilt, levels, "a level is the sum of its orders");
                let in_order = |pair: &[OrderView]| {
                    pair[0].price != pair[1].price || self.rested[&pair[0].order] < self.rested[&pair[1].order]
                };
                assert!(orders.windows(2).all(in_order), "first come, first served");
            }
            let prices = |levels: &[LevelView]| levels.iter().map(|level| level.price).collect::<Vec<Ticks>>();
            assert!(prices(&levels[0]).is_sorted_by(|a, b| a > b), "bids fall");
            assert!(prices(&levels[1]).is_sorted_by(|a, b| a < b), "asks rise");
        }
    }

    /// Each balance that changed is told once, as it is now; one that did not change may be told too.
    fn check_reported_balances(&self, view: &View, events: &[Event]) {
        let mut told = BTreeMap::new();
        for event in events {
            if let Event::BalanceChanged { account, asset, available, held } = *event {
                let balance = Balance { available, held };
                assert_eq!(told.insert((account, asset), balance), None, "told once");
                assert_eq!(view.balances[&(account, asset)], balance, "as it is");
            }
        }
        for (key, balance) in &view.balances {
            let before = self.view.balances.get(key).copied().unwrap_or_default();
            assert!(before == *balance || told.contains_key(key), "the change of {key:?} is not told");
        }
    }
}

/// The private counts in an event, in the order in which they were given.
fn reports(event: &Event) -> Vec<(AccountId, u64)> {
    match event {
        Event::Rejected(rejected) if rejected.account == AccountId(0) => {
            assert_eq!(rejected.report_sequence, 0);
            Vec::new()
        }
        Event::Rejected(rejected) => vec![(rejected.account, rejected.report_sequence)],
        Event::OrderAccepted(accepted) => vec![(accepted.account, accepted.report_sequence)],
        Event::Trade(trade) => [trade.maker, trade.taker].map(|p| (p.account, p.report_sequence)).to_vec(),
        Event::OrderCanceled(canceled) => vec![(canceled.account, canceled.report_sequence)],
        Event::OrderReduced(reduced) => vec![(reduced.account, reduced.report_sequence)],
        Event::Transferred(moved) => {
            vec![(moved.from, moved.from_report_sequence), (moved.to, moved.to_report_sequence)]
        }
        Event::QuoteSet(quote) => vec![(quote.account, quote.report_sequence)],
        Event::CancelAllAccepted { account, report_sequence, .. }
        | Event::OrderTriggered { account, report_sequence, .. }
        | Event::FrameAccepted { account, report_sequence, .. }
        | Event::CancelAllTimerSet { account, report_sequence, .. }
        | Event::OperationDone { account, report_sequence, .. }
        | Event::ReplaceAnswered { account, report_sequence, .. }
        | Event::DepositCredited { account, report_sequence, .. }
        | Event::Withdrawn { account, report_sequence, .. } => vec![(*account, *report_sequence)],
        _ => Vec::new(),
    }
}

/// The public count in an event.
fn feed(event: &Event) -> Option<(MarketId, u64)> {
    match event {
        Event::Trade(trade) => Some((trade.market, trade.feed_sequence)),
        Event::OrderRested(rested) => Some((rested.market, rested.feed_sequence)),
        Event::OrderCanceled(canceled) if canceled.feed_sequence != 0 => {
            Some((canceled.market, canceled.feed_sequence))
        }
        Event::OrderReduced(reduced) if reduced.feed_sequence != 0 => Some((reduced.market, reduced.feed_sequence)),
        Event::MarketStateChanged { market, feed_sequence, .. } => Some((*market, *feed_sequence)),
        _ => None,
    }
}
