//! Orders that wait for the last price to reach their trigger price, and what happens when it does.
//!
//! Until then such an order is in the book's tables, so that ids, cancels and bounds see it like any other, but in no
//! level; what it can cost is held from the start, so that it cannot fail for money when its turn comes. Triggered
//! orders trade one after the other, rising ones first by the lowest trigger price and then by id, falling ones by the
//! highest and then by id; each may move the price and trigger more. A command does so while it has work left for a
//! taker, the rest stands in the agenda: nothing else comes in between, however long a cascade is. At most a quarter of
//! a market's orders may wait.

use crate::agenda::AgendaItem;
use crate::command::{OrderType, Side};
use crate::emitter::Emitter;
use crate::engine::Shard;
use crate::event::Event;
use crate::ids::MarketId;
use crate::indexed_heap::{Entry, IndexedHeap};
use crate::matching::resting;
use crate::order::Order;
use crate::order_request::OrderOptions;
use crate::taker::Taker;
use crate::units::{Ticks, Timestamp};

/// Orders that a triggered order, or an operation of a frame, may at least touch: with less left in the command its turn
/// comes in the next one, or whoever is late in a cascade would be cut short for what others did.
pub(crate) const LEAST_WORK: u32 = 256;

/// Which way the last price has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Rising,
    Falling,
}

impl Direction {
    /// Of an order that waits.
    pub(crate) const fn of(order_type: OrderType, side: Side) -> Self {
        let is_stop = matches!(order_type, OrderType::StopLoss | OrderType::StopLossLimit);
        match (is_stop, side) {
            (true, Side::Bid) | (false, Side::Ask) => Self::Rising,
            (true, Side::Ask) | (false, Side::Bid) => Self::Falling,
        }
    }

    /// Whether a trade at `price` reaches `trigger_price`.
    pub(crate) fn is_reached(self, trigger_price: Ticks, price: Ticks) -> bool {
        match self {
            Self::Rising => trigger_price <= price,
            Self::Falling => trigger_price >= price,
        }
    }
}

/// Prices at which there were trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PriceRange {
    pub(crate) low: Ticks,
    pub(crate) high: Ticks,
}

/// One market's waiting orders, by slot of the book.
#[derive(Debug)]
pub(crate) struct Triggers {
    /// By trigger price.
    rising: IndexedHeap,
    /// By the trigger price's complement.
    falling: IndexedHeap,
    /// Prices of the trades since nothing was left to trigger; a sweep may reach further than its last trade tells.
    pub(crate) reached: Option<PriceRange>,
    capacity: u32,
}

impl Triggers {
    pub(crate) fn new(max_orders: u32) -> Self {
        // The book's slots begin with 1.
        let heap = || IndexedHeap::new(max_orders + 1);
        Self { rising: heap(), falling: heap(), reached: None, capacity: max_orders.div_ceil(4) }
    }

    pub(crate) const fn capacity(&self) -> u32 {
        self.capacity
    }

    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.rising.len() + self.falling.len()).expect("at most the book's capacity, a u32")
    }

    pub(crate) fn is_full(&self) -> bool {
        self.count() >= self.capacity
    }

    /// The slots of all that wait, in no order.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        self.rising.slots().chain(self.falling.slots())
    }

    pub(crate) fn insert(&mut self, slot: u32, order: &Order) {
        let tie_break = order.id.0;
        match Direction::of(order.order_type, order.side) {
            Direction::Rising => self.rising.set(Entry { key: order.trigger_price.0, tie_break, slot }),
            Direction::Falling => self.falling.set(Entry { key: u64::MAX - order.trigger_price.0, tie_break, slot }),
        }
    }

    pub(crate) fn remove(&mut self, slot: u32) {
        self.rising.remove(slot);
        self.falling.remove(slot);
    }

    /// Notes the price of a trade, if anybody waits for one.
    pub(crate) fn note_price(&mut self, price: Ticks) {
        if self.rising.len() + self.falling.len() == 0 {
            return;
        }
        let PriceRange { low, high } = self.reached.unwrap_or(PriceRange { low: price, high: price });
        self.reached = Some(PriceRange { low: low.min(price), high: high.max(price) });
    }

    /// The order that is triggered next, if one is.
    fn next(&self) -> Option<u32> {
        let PriceRange { low, high } = self.reached?;
        let rising = self.rising.first().filter(|entry| Direction::Rising.is_reached(Ticks(entry.key), high));
        let falling =
            || self.falling.first().filter(|entry| Direction::Falling.is_reached(Ticks(u64::MAX - entry.key), low));
        rising.or_else(falling).map(|entry| entry.slot)
    }
}

impl Shard {
    /// Takes in an order that waits, and holds what it can cost.
    pub(crate) fn wait(&mut self, taker: Taker<'_>) {
        let market = &mut self.markets[usize::from(taker.request.market.0)];
        let order = resting(&taker);
        let asset = market.spec.held_asset(taker.request.side);
        self.balances.hold(taker.account, asset, order.held());
        market.insert_waiting(&order, taker.terms.client_hash);
        if order.expires_at != Timestamp::ZERO {
            self.note_deadline(taker.request.market);
        }
    }

    /// Lets the orders trade that the last trades have triggered, and those that their trades trigger.
    #[inline(always)]
    pub(crate) fn run_triggers(&mut self, market: MarketId, events: &mut Emitter<'_>) {
        // Set by trades alone, and only while somebody waits for one.
        if self.markets[usize::from(market.0)].triggers.reached.is_some() {
            self.run_reached_triggers(market, events);
        }
    }

    #[cold]
    fn run_reached_triggers(&mut self, market: MarketId, events: &mut Emitter<'_>) {
        while let Some(slot) = self.markets[usize::from(market.0)].triggers.next() {
            if self.work < LEAST_WORK {
                self.agenda.push_front(AgendaItem::Triggers(market));
                return;
            }
            self.work -= 1;
            self.trigger(market, slot, events);
        }
        self.markets[usize::from(market.0)].triggers.reached = None;
    }

    /// One order's turn: what it held is free to pay with, and it trades like one that has just come in.
    fn trigger(&mut self, market: MarketId, slot: u32, events: &mut Emitter<'_>) {
        let entry = &mut self.markets[usize::from(market.0)];
        entry.triggers.remove(slot);
        let order = entry.book.order(slot);
        let asset = entry.spec.held_asset(order.side);
        self.balances.release(order.account, asset, order.held());
        events.push(Event::OrderTriggered {
            account: order.account,
            report_sequence: self.accounts.next_report(order.account),
            market,
            order: order.id,
            last_price: entry.last_price,
        });
        let (request, terms) = (order.request(market), order.terms());
        let mut taker = Taker::new((order.id, order.account), (&request, OrderOptions::of(&request)), terms)
            .triggered(slot, order.remaining);
        self.execute(&mut taker, events);
    }
}
