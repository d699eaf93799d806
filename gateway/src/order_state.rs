//! Orders by id: a read model fed by events only, from which order status and reports are made.
//!
//! Invariants: an order of another account is as unknown as one that never was; a client id names the latest order that
//! used it in its account and market; an order that is not live never trades again.
//! Bounds: live orders by the engine's own tables. Ended orders are kept up to a number in all and a number for each
//! account, so that a busy account pushes out its own past and not a quiet one's; after that they are unknown.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::hint::black_box;

use lakh_engine::command::OrderReference;
use lakh_engine::event::{CancelReason, OrderAccepted, OrderCanceled, OrderReduced, OrderRested, Trade};
use lakh_engine::ids::{AccountId, ClientId, MarketId, OrderId};
use lakh_engine::units::{Atoms, Lots, Timestamp};
use zerocopy::IntoBytes;

use crate::id_map::IdMap;
use crate::place_table::PlaceTable;
use crate::slots::{Chain, List, Place, Slots};

pub use self::record::{OrderRecord, OrderStatus, auto_client_id, auto_client_id_target};

mod record;
mod saved;
#[cfg(test)]
mod tests;

/// Bounds of what is remembered of ended orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderStateOptions {
    /// Ended orders of all accounts.
    pub ended_orders_max: usize,
    /// Ended orders of one account.
    pub ended_orders_per_account_max: usize,
}

impl Default for OrderStateOptions {
    /// 65,536 in all, and one sixty-fourth of that for an account.
    fn default() -> Self {
        Self { ended_orders_max: 65_536, ended_orders_per_account_max: 1_024 }
    }
}

/// Whether a trade was the last of an order by quote budget, whose `remaining` cannot say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BudgetProgress {
    /// More follows: another trade, or the end of what is left.
    Open,
    /// The budget is used up.
    Spent,
}

/// Why an order became smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Its owner asked.
    Amended,
    /// It met its own group, and both became smaller.
    Prevented,
}

/// All orders that are live or recently ended.
#[derive(Debug)]
pub struct OrderState {
    options: OrderStateOptions,
    slots: Slots<Key, Entry>,
    by_order: PlaceTable,
    by_client_id: PlaceTable,
    /// Clients choose their ids, so nobody may know which of them collide.
    client_ids: RandomState,
    /// An account that had an order once keeps its entry: most have another one soon.
    accounts: IdMap<AccountId, AccountOrders>,
    /// What has ended, oldest first.
    ended: List,
    /// Ended since the last [`OrderState::forget_oldest`].
    just_ended: Vec<Place>,
    /// Came since the last [`OrderState::forget_oldest`], with the hashes of their client ids.
    just_named: Vec<(u32, Place)>,
    /// On no list any more and still in the tables; empty but within [`OrderState::forget_oldest`].
    forgotten: Vec<(Place, Key)>,
    /// The order of this command that was last found or added: most events are about the one of the event before.
    latest: Option<(OrderId, Place)>,
}

/// What finds an order, so that it can be forgotten without a look at it.
#[derive(Clone, Copy, Debug)]
struct Key {
    order: OrderId,
    account: AccountId,
    /// Of account, market and client id; 0 where there is no client id.
    client_hash: u32,
}

impl Key {
    /// The hash of an order's id, which nobody chooses.
    const fn order_hash(&self) -> u32 {
        order_hash(self.order)
    }
}

const fn order_hash(order: OrderId) -> u32 {
    // Of the golden ratio. The upper half of the product depends on every bit; ids that follow each other shall not lie at
    // equal distances.
    let product = order.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((product ^ product >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) as u32
}

/// An order with what lists it is on.
#[derive(Debug)]
struct Entry {
    record: OrderRecord,
    standing: Standing,
}

impl Entry {
    /// Reads something of each line of the cache that it lies in.
    fn read_ahead(&self) {
        let Self { record, standing } = self;
        let OrderRecord { order, account, executed, updated_at, client_id, .. } = record;
        black_box((*standing, order.0, account.0, executed.0, updated_at.0, client_id.is_empty()));
    }
}

/// What lists an order is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// On none: it has just come.
    Apart,
    /// On its account's list of what rests or waits in its market.
    Open,
    /// On none any more: it has just ended.
    Ending,
    /// On its account's list of what has ended, and on everybody's.
    Ended,
}

/// Orders of one account.
#[derive(Debug, Default)]
struct AccountOrders {
    /// On the book, or waiting for a trigger price; by market.
    open: Vec<(MarketId, List)>,
    /// What has ended, oldest first, as on everybody's list: whichever bound is reached, an account's oldest goes. So these
    /// need no links, and which ones are next is known without reading what the caches have lost.
    ended: VecDeque<Place>,
}

impl AccountOrders {
    /// Those that are open in a market.
    fn open_in(&mut self, market: MarketId) -> &mut List {
        let index = match self.open.binary_search_by_key(&market, |(market, _)| *market) {
            Ok(index) => index,
            Err(index) => {
                self.open.insert(index, (market, List::new(Chain::Own)));
                index
            }
        };
        &mut self.open[index].1
    }
}

impl OrderState {
    /// No orders.
    pub fn new(options: OrderStateOptions) -> Self {
        Self {
            options,
            slots: Slots::default(),
            by_order: PlaceTable::default(),
            by_client_id: PlaceTable::default(),
            client_ids: RandomState::new(),
            accounts: IdMap::default(),
            ended: List::new(Chain::All),
            just_ended: Vec::new(),
            just_named: Vec::new(),
            forgotten: Vec::new(),
            latest: None,
        }
    }

    /// The order with this id, whosever it is: for the publisher's own use, never for an answer.
    pub fn record(&self, order: OrderId) -> Option<&OrderRecord> {
        self.place_of(order).map(|place| &self.slots.get(place).record)
    }

    /// The account's order in this market; `None` for one that is unknown, forgotten, or another account's.
    pub fn find(&self, account: AccountId, market: MarketId, target: &OrderReference) -> Option<&OrderRecord> {
        let record = match target {
            OrderReference::OrderId(order) => self.record(*order)?,
            OrderReference::ClientId(client_id) => match self.place_named((account, market, client_id)) {
                Some(place) => &self.slots.get(place).record,
                None => self
                    .record(auto_client_id_target(client_id.as_str())?)
                    .filter(|record| record.client_id.is_empty())?,
            },
        };
        (record.account == account && record.market == market).then_some(record)
    }

    /// The account's order with this id in any market.
    pub fn find_own(&self, account: AccountId, order: OrderId) -> Option<&OrderRecord> {
        self.record(order).filter(|record| record.account == account)
    }

    /// The account's orders that rest or wait, by market and then by id: in one market, or in all.
    pub fn open_orders(&self, account: AccountId, market: Option<MarketId>) -> impl Iterator<Item = &OrderRecord> {
        let lists = self.accounts.get(&account).into_iter().flat_map(|own| &own.open);
        let lists = lists.filter(move |(listed, _)| market.is_none_or(|market| market == *listed));
        // An order comes onto its list when it is accepted, and ids rise.
        lists.flat_map(|(_, list)| self.slots.iter(list)).map(|(_, entry)| &entry.record)
    }

    /// How many live orders the account has.
    pub fn open_order_count(&self, account: AccountId) -> usize {
        self.accounts.get(&account).map_or(0, |own| own.open.iter().map(|(_, list)| list.len()).sum())
    }

    /// The account's orders in a market, live and ended, by id.
    pub fn orders(&self, account: AccountId, market: MarketId) -> Vec<&OrderRecord> {
        let ended = self.accounts.get(&account).into_iter().flat_map(|own| &own.ended);
        let ended = ended.map(|place| &self.slots.get(*place).record);
        let mut orders: Vec<_> = ended.filter(|order| order.market == market).collect();
        orders.extend(self.open_orders(account, Some(market)));
        orders.sort_unstable_by_key(|order| order.order);
        orders
    }

    /// Live and ended orders that are remembered.
    pub fn record_count(&self) -> usize {
        self.by_order.len()
    }

    /// An order passed every check.
    pub fn accept(&mut self, event: &OrderAccepted, timestamp: Timestamp) -> &OrderRecord {
        let place = match self.place_of(event.order) {
            Some(known) => known,
            None => self.accept_new(event, timestamp),
        };
        if event.order_type.waits() {
            self.open(place);
        }
        &self.slots.get(place).record
    }

    fn accept_new(&mut self, event: &OrderAccepted, timestamp: Timestamp) -> Place {
        let record = OrderRecord {
            account: event.account,
            market: event.market,
            order: event.order,
            client_id: event.client_id,
            side: event.side,
            order_type: event.order_type,
            time_in_force: event.time_in_force,
            self_trade_mode: event.self_trade_mode,
            price: event.price,
            trigger_price: event.trigger_price,
            quantity: event.quantity,
            display_quantity: event.display_quantity,
            quote_budget: event.quote_budget,
            executed: Lots::ZERO,
            cumulative_quote: Atoms::ZERO,
            prevented: Lots::ZERO,
            status: OrderStatus::New,
            cancel_reason: None,
            accepted_at: timestamp,
            updated_at: timestamp,
            working_at: if event.order_type.waits() { Timestamp::ZERO } else { timestamp },
            expires_at: event.expires_at,
        };
        self.add(record)
    }

    /// Asks for where an order stands, or will stand that is about to come; [`Self::prefetch_record`] comes behind it.
    pub(crate) fn prefetch_place(&self, order: OrderId) {
        self.by_order.prefetch(order_hash(order));
    }

    /// Asks for what lies there; [`Self::read_ahead`] comes behind it.
    pub(crate) fn prefetch_record(&self, order: OrderId) {
        if let Some(place) = self.by_order.candidate(order_hash(order)) {
            self.slots.prefetch(place);
        }
    }

    /// Reads what is about to be changed of an order, so that the reads of many orders wait for memory together and not one
    /// after the other. Changes nothing.
    pub(crate) fn read_ahead(&self, order: OrderId) {
        if let Some(place) = self.place_of(order) {
            self.slots.read_ahead(place, Chain::Own);
            self.slots.get(place).read_ahead();
        }
    }

    /// Reads an account's list of open orders in a market, as it is about to be changed; see [`Self::read_ahead`].
    pub(crate) fn read_list_ahead(&self, account: AccountId, market: MarketId) {
        if let Some(own) = self.accounts.get(&account) {
            let index = own.open.partition_point(|(listed, _)| *listed < market);
            black_box(own.open.get(index).map(|(_, list)| list.len()));
        }
    }

    /// Reads where the records of the next `count` new orders will lie: each is written where one has been forgotten, and
    /// read again at once.
    pub(crate) fn read_free_ahead(&self, count: usize) {
        self.slots.next_places(count).for_each(|place| self.slots.prefetch(place));
        self.slots.next_places(count).for_each(|place| self.slots.get(place).read_ahead());
    }

    /// What is left of an order is on the book.
    pub fn rest(&mut self, event: &OrderRested) {
        if let Some(place) = self.place_of(event.order) {
            self.open(place);
        }
    }

    /// The resting order of a trade traded for `quote` atoms. `None` for an order that was never accepted.
    pub fn fill_maker(&mut self, trade: &Trade, quote: Atoms, timestamp: Timestamp) -> Option<&OrderRecord> {
        let status = status_after_fill(trade.maker.remaining);
        self.fill(trade.maker.order, Fill { quantity: trade.quantity, quote, status, timestamp })
    }

    /// The incoming order of a trade traded for `quote` atoms. `None` for an order that was never accepted.
    pub fn fill_taker(
        &mut self,
        trade: &Trade,
        quote: Atoms,
        budget: BudgetProgress,
        timestamp: Timestamp,
    ) -> Option<&OrderRecord> {
        let by_budget = self.record(trade.taker.order)?.quantity.is_zero();
        let status = match (by_budget, budget) {
            (false, _) => status_after_fill(trade.taker.remaining),
            (true, BudgetProgress::Spent) => OrderStatus::Filled,
            (true, BudgetProgress::Open) => OrderStatus::PartiallyFilled,
        };
        self.fill(trade.taker.order, Fill { quantity: trade.quantity, quote, status, timestamp })
    }

    /// What was left of an order is gone.
    pub fn cancel(&mut self, event: &OrderCanceled, timestamp: Timestamp) -> Option<&OrderRecord> {
        let place = self.place_to_change(event.order)?;
        let record = &mut self.slots.get_mut(place).record;
        record.updated_at = timestamp;
        record.cancel_reason = Some(event.reason);
        record.status = match event.reason {
            reason if reason.is_owners_word() => OrderStatus::Canceled,
            CancelReason::SelfTrade => OrderStatus::ExpiredInMatch,
            _ => OrderStatus::Expired,
        };
        if event.reason == CancelReason::SelfTrade {
            record.prevented += event.remaining;
        }
        self.end(place);
        Some(&self.slots.get(place).record)
    }

    /// An order became smaller: its owner wanted it, or its own group kept a part of it from trading.
    pub fn reduce(&mut self, event: &OrderReduced, cause: Reduction, timestamp: Timestamp) -> Option<&OrderRecord> {
        let record = self.record_mut(event.order)?;
        if cause == Reduction::Prevented {
            record.prevented += event.reduced_by;
        }
        record.quantity = event.quantity + record.prevented;
        record.updated_at = timestamp;
        Some(record)
    }

    /// The price for which an order waited has come.
    pub fn trigger(&mut self, order: OrderId, timestamp: Timestamp) -> Option<&OrderRecord> {
        let record = self.record_mut(order)?;
        record.working_at = timestamp;
        record.updated_at = timestamp;
        Some(record)
    }

    /// Ends an order of the command that is through, if it is live and does not rest: one by quote budget whose budget
    /// reaches for no other lot ends without an event of its own.
    pub fn end_unless_resting(&mut self, order: OrderId) {
        let Some(place) = self.place_of(order) else { return };
        let rests = self.slots.get(place).standing == Standing::Open;
        let record = &mut self.slots.get_mut(place).record;
        if record.status.is_live() && !rests {
            record.status = if record.executed.is_zero() { OrderStatus::Expired } else { OrderStatus::Filled };
            self.end(place);
        }
    }

    /// Forgets the oldest ended orders beyond the bounds, and lets new ones be found by their client ids. Called once after
    /// each command, when its answer is made: until then every order that the command touched is here, however many they
    /// are, and none is asked for by client id.
    pub fn forget_oldest(&mut self) {
        self.name_added();
        self.latest = None;
        self.read_oldest_ahead();
        for index in 0..self.just_ended.len() {
            let place = self.just_ended[index];
            self.slots.get_mut(place).standing = Standing::Ended;
            self.slots.push_back(&mut self.ended, place);
            let own = self.accounts.entry(self.slots.key(place).account).or_default();
            own.ended.push_back(place);
            if own.ended.len() > self.options.ended_orders_per_account_max
                && let Some(oldest) = own.ended.pop_front()
            {
                self.slots.unlink(&mut self.ended, oldest);
                self.forgotten.push((oldest, *self.slots.key(oldest)));
            }
            if self.ended.len() > self.options.ended_orders_max
                && let Some(oldest) = self.ended.first()
            {
                self.slots.unlink(&mut self.ended, oldest);
                let key = *self.slots.key(oldest);
                let own = self.accounts.get_mut(&key.account).and_then(|own| own.ended.pop_front());
                assert_eq!(own, Some(oldest), "everybody's oldest is its account's oldest");
                self.forgotten.push((oldest, key));
            }
        }
        self.just_ended.clear();
        // Behind all of them: so the tables' lines are waited for together.
        for (_, key) in &self.forgotten {
            self.by_order.prefetch(key.order_hash());
            self.by_client_id.prefetch(key.client_hash);
        }
        for (place, key) in self.forgotten.drain(..) {
            self.by_order.remove(key.order_hash(), place);
            // Unless a later order goes by that client id.
            self.by_client_id.remove(key.client_hash, place);
            self.slots.remove(place);
        }
    }

    /// Reads the neighbours of what an account that has ended many orders is about to lose; see [`Self::read_ahead`].
    fn read_oldest_ahead(&self) {
        let Some(place) = self.just_ended.first() else { return };
        let Some(own) = self.accounts.get(&self.slots.key(*place).account) else { return };
        let beyond =
            (own.ended.len() + self.just_ended.len()).saturating_sub(self.options.ended_orders_per_account_max);
        own.ended.iter().take(beyond).for_each(|place| self.slots.prefetch_node(*place));
        own.ended.iter().take(beyond).for_each(|place| self.slots.read_ahead(*place, Chain::All));
    }

    fn record_mut(&mut self, order: OrderId) -> Option<&mut OrderRecord> {
        self.place_to_change(order).map(|place| &mut self.slots.get_mut(place).record)
    }

    fn place_of(&self, order: OrderId) -> Option<Place> {
        match self.latest {
            Some((latest, place)) if latest == order => Some(place),
            _ => self.by_order.find(order_hash(order), |place| self.slots.key(place).order == order),
        }
    }

    /// The same for an order that is about to be changed, and then told of.
    fn place_to_change(&mut self, order: OrderId) -> Option<Place> {
        let place = self.place_of(order)?;
        self.latest = Some((order, place));
        Some(place)
    }

    /// The latest order by this client id.
    fn place_named(&self, name: Name<'_>) -> Option<Place> {
        self.by_client_id.find(self.client_hash(name), |place| is_named(&self.slots, place, name))
    }

    fn client_hash(&self, (account, market, client_id): Name<'_>) -> u32 {
        // In one piece: each piece would cost as much as what is in it. In words, as the hash reads them.
        let ([first, second, third, fourth], end) = client_id.words();
        let owner = u64::from(account.0) | u64::from(market.0) << 32;
        let words = [owner, first, second, third, fourth, u64::from(end)];
        let mut hasher = self.client_ids.build_hasher();
        hasher.write(words.as_bytes());
        hasher.finish() as u32
    }

    /// Takes in an order that is not known yet. It is found by its client id from [`Self::name_added`] on.
    #[inline(always)]
    fn add(&mut self, record: OrderRecord) -> Place {
        // Copied: the record itself is to be nowhere but in its place.
        let OrderRecord { account, market, order, client_id, .. } = record;
        let is_named = !client_id.is_empty();
        let client_hash = if is_named { self.client_hash((account, market, &client_id)) } else { 0 };
        let key = Key { order, account, client_hash };
        let place = self.slots.insert(key, Entry { record, standing: Standing::Apart });
        self.by_order.insert(key.order_hash(), place);
        if is_named {
            self.just_named.push((client_hash, place));
        }
        self.latest = Some((order, place));
        place
    }

    /// Lets orders be found by their client ids, and no earlier ones by the same: all that came since the last time, behind
    /// each other, so that the table's lines are waited for together.
    fn name_added(&mut self) {
        let slots = &self.slots;
        self.just_named.iter().for_each(|(client_hash, _)| self.by_client_id.prefetch(*client_hash));
        for (client_hash, place) in self.just_named.drain(..) {
            let OrderRecord { account, market, client_id, .. } = &slots.get(place).record;
            let name = (*account, *market, client_id);
            self.by_client_id.replace(client_hash, place, |other| is_named(slots, other, name));
        }
    }

    fn fill(&mut self, order: OrderId, fill: Fill) -> Option<&OrderRecord> {
        let place = self.place_to_change(order)?;
        let record = &mut self.slots.get_mut(place).record;
        record.executed += fill.quantity;
        record.cumulative_quote += fill.quote;
        record.status = fill.status;
        record.updated_at = fill.timestamp;
        if !fill.status.is_live() {
            self.end(place);
        }
        Some(&self.slots.get(place).record)
    }

    /// An order is open, if it was not before.
    fn open(&mut self, place: Place) {
        if self.slots.get(place).standing == Standing::Apart {
            let OrderRecord { account, market, .. } = self.slots.get(place).record;
            let list = self.accounts.entry(account).or_default().open_in(market);
            self.slots.push_back(list, place);
            self.slots.get_mut(place).standing = Standing::Open;
        }
    }

    /// An order is open no more; it is still here until [`OrderState::forget_oldest`] at least.
    fn end(&mut self, place: Place) {
        match self.slots.get(place).standing {
            Standing::Apart => {}
            Standing::Open => {
                let OrderRecord { account, market, .. } = self.slots.get(place).record;
                let list = self.accounts.entry(account).or_default().open_in(market);
                self.slots.unlink(list, place);
            }
            Standing::Ending | Standing::Ended => return,
        }
        self.slots.get_mut(place).standing = Standing::Ending;
        self.just_ended.push(place);
    }
}

/// Whose order, where, and its client id, which is not empty.
type Name<'a> = (AccountId, MarketId, &'a ClientId);

fn is_named(slots: &Slots<Key, Entry>, place: Place, (account, market, client_id): Name<'_>) -> bool {
    let record = &slots.get(place).record;
    (record.account, record.market) == (account, market) && record.client_id == *client_id
}

/// What one trade does to one order.
struct Fill {
    quantity: Lots,
    quote: Atoms,
    status: OrderStatus,
    timestamp: Timestamp,
}

fn status_after_fill(remaining: Lots) -> OrderStatus {
    if remaining.is_zero() { OrderStatus::Filled } else { OrderStatus::PartiallyFilled }
}
