//! Every market's public changes as frames: told to those who listen, kept for those who have missed some.
//!
//! A change is written once a channel, into a buffer of the channel, and goes to each listener's outbox when the ring is
//! empty for now: what a listener costs is a copy. Levels can be conflated for those who ask for it: a price that changed
//! several times is told once, as it is then. A listener that does not read is dropped and holds nobody up.
//! Bounds: listeners and remembered changes by [`FeedOptions`]; what is collected by [`FLUSH_AT_BYTES`] and one command.

use std::collections::BTreeSet;
use std::sync::Arc;

use lakh_engine::event::Event;
use lakh_engine::ids::{MarketId, OrderId, Sequence};
use lakh_engine::units::Timestamp;
use lakh_engine::wire::DecodeError;

use super::snapshots::{self, ChangeWriter};
use crate::byte_outbox::Wakes;
use crate::directory::MarketEntry;
use crate::hand_over::{Delivery, FeedRead, RequestHandle, SessionHandle};
use crate::market_data::MarketData;
use crate::market_data::book::{Level, LevelKey};
use crate::market_data::public_orders::{Change, PublicNames, PublicOrders};
use crate::reports::Stamp;
use crate::saved::{put_each, take_each};
use crate::wire::sbe::enums::{Channel, Code, StartMode, WireEnum};

/// What is collected is sent before the ring is empty when it is as much.
const FLUSH_AT_BYTES: usize = 64 * 1_024;
/// Most changes of one gap fill.
const GAP_MAX: u64 = 65_536;

/// Bounds of what is told and remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedOptions {
    /// Names orders in public. The same key gives the same names after a restart.
    pub name_key: [u8; 32],
    /// Latest changes of each market.
    pub changes_max: usize,
    /// Listeners of all channels together.
    pub listeners_max: usize,
}

impl Default for FeedOptions {
    /// 65,536 changes (some 8 MiB a market) and as many listeners.
    fn default() -> Self {
        Self { name_key: [0; 32], changes_max: 65_536, listeners_max: 65_536 }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Feeds {
    options: FeedOptions,
    names: PublicNames,
    markets: Vec<Feed>,
    listeners: usize,
    /// Bytes that are not sent yet.
    buffered: usize,
    scratch: Vec<u8>,
}

/// One market.
#[derive(Debug)]
struct Feed {
    orders: PublicOrders,
    channels: [ChannelFeed; 4],
    conflated: Vec<Conflated>,
}

/// One channel of a market.
#[derive(Debug, Default)]
struct ChannelFeed {
    listeners: Vec<SessionHandle>,
    /// What is not sent yet.
    frames: Vec<u8>,
}

/// A listener that asked to be told less often.
#[derive(Debug)]
struct Conflated {
    session: SessionHandle,
    interval_ns: u64,
    told_at: Timestamp,
    told_sequence: u64,
    changed: BTreeSet<LevelKey>,
    state_changed: Option<Change>,
}

impl Feeds {
    pub(super) fn new(options: FeedOptions) -> Self {
        let names = PublicNames::new(&options.name_key);
        Self { options, names, markets: Vec::new(), listeners: 0, buffered: 0, scratch: Vec::new() }
    }

    /// Appends the books by order, for a snapshot.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        put_each(self.markets.iter(), out, |feed, out| feed.orders.save(out));
    }

    /// Reads what [`Self::save`] wrote; nobody listens yet, and gaps are filled from here on.
    pub(super) fn load(options: FeedOptions, input: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut feeds = Self::new(options);
        let mut market = 0;
        feeds.markets = take_each(input, |input| {
            let stamp = Stamp { sequence: Sequence(0), timestamp: Timestamp::ZERO };
            let empty = PublicOrders::new(MarketId(market), feeds.names, feeds.options.changes_max, stamp);
            market = market.checked_add(1).ok_or(DecodeError::BadValue)?;
            Ok(Feed { orders: empty.load(input)?, channels: Default::default(), conflated: Vec::new() })
        })?;
        Ok(feeds)
    }

    /// Markets that there are.
    pub(super) fn count(&self) -> usize {
        self.markets.len()
    }

    /// Takes in an event that the book by level has taken in already; `level` is what it changed of it, as it is now.
    pub(super) fn absorb(&mut self, event: &Event, level: Option<(LevelKey, Level)>, stamp: Stamp) {
        let market = match event {
            Event::MarketListed(spec) => return self.list(spec.market, stamp),
            Event::OrderRested(rested) => rested.market,
            Event::Trade(trade) => trade.market,
            Event::OrderReduced(reduced) => reduced.market,
            Event::OrderCanceled(canceled) => canceled.market,
            Event::MarketStateChanged { market, .. } => *market,
            _ => return,
        };
        let feed = &mut self.markets[usize::from(market.0)];
        if feed.orders.apply(event, level, stamp) && self.listeners > 0 {
            self.buffered += feed.note(market);
        }
    }

    /// Reads an order that is about to be changed; see [`PublicOrders::read_ahead`].
    pub(super) fn read_ahead(&self, market: MarketId, order: OrderId) {
        if let Some(feed) = self.markets.get(usize::from(market.0)) {
            feed.orders.read_ahead(order);
        }
    }

    /// A market was listed before the first event of it.
    pub(super) fn list(&mut self, market: MarketId, stamp: Stamp) {
        assert_eq!(self.markets.len(), usize::from(market.0), "the engine numbers markets without gaps");
        let orders = PublicOrders::new(market, self.names, self.options.changes_max, stamp);
        self.markets.push(Feed { orders, channels: Default::default(), conflated: Vec::new() });
    }

    /// Sends what is collected, where that is much.
    pub(super) fn flush_full(&mut self, wakes: &mut Wakes) {
        if self.buffered >= FLUSH_AT_BYTES {
            self.flush(wakes);
        }
    }

    /// Sends what is collected.
    pub(super) fn flush(&mut self, wakes: &mut Wakes) {
        self.buffered = 0;
        for feed in &mut self.markets {
            for channel in &mut feed.channels {
                self.listeners -= channel.flush(wakes);
            }
        }
    }

    /// When [`Feeds::handle_timeout`] has something to do.
    pub(super) fn next_timeout(&self) -> Option<Timestamp> {
        let waiting = self.markets.iter().flat_map(|feed| &feed.conflated).filter(|one| one.has_news());
        waiting.map(|one| Timestamp(one.told_at.0.saturating_add(one.interval_ns))).min()
    }

    /// Tells conflated listeners what is due.
    pub(super) fn handle_timeout(&mut self, now: Timestamp, market_data: &MarketData, wakes: &mut Wakes) {
        for (index, feed) in self.markets.iter_mut().enumerate() {
            let market = MarketId(u16::try_from(index).expect("at most 1,024 markets"));
            let Some(book) = market_data.feed(market).map(|feed| feed.book()) else { continue };
            let before = feed.conflated.len();
            let (orders, scratch) = (&feed.orders, &mut self.scratch);
            feed.conflated.retain_mut(|one| {
                if !one.has_news() || one.told_at.0.saturating_add(one.interval_ns) > now.0 {
                    return !one.session.has_ended();
                }
                one.told_at = now;
                scratch.clear();
                one.write(market, orders, |key| book.level(key), scratch);
                deliver(&one.session, scratch, wakes) == Delivery::Delivered
            });
            self.listeners -= before - feed.conflated.len();
        }
    }

    /// Answers what a session asks.
    pub(super) fn answer(
        &mut self,
        read: &FeedRead,
        handle: &RequestHandle,
        (entries, market_data): (&[Arc<MarketEntry>], &MarketData),
    ) {
        let mut frames = Vec::new();
        match *read {
            FeedRead::Markets(market) => {
                let wanted = entries.iter().filter(|entry| market.is_none_or(|market| market == entry.spec.market));
                let wanted: Vec<_> = wanted.collect();
                if wanted.is_empty() {
                    let answer = (handle.request, 0, Code::UnknownMarket.number());
                    snapshots::answer(market.unwrap_or_default(), Channel::Status, answer, &mut frames);
                }
                snapshots::definitions(&wanted, handle.request, &mut frames);
            }
            FeedRead::Subscribe { market, channel, .. } => {
                let outcome = self.subscribe(read, handle, market_data, &mut frames);
                self.refuse(market, channel, (handle.request, outcome), &mut frames);
            }
            FeedRead::Unsubscribe { market, channel } => {
                let outcome = self.unsubscribe(market, channel, &handle.session);
                let number = outcome.err().map_or(0, Code::number);
                snapshots::answer(market, channel, (handle.request, self.sequence(market), number), &mut frames);
            }
            FeedRead::GapFill { market, channel, first, last } => {
                let outcome = self.gap_fill(market, channel, (first, last), &mut frames);
                let number = outcome.err().map_or(0, Code::number);
                snapshots::answer(market, channel, (handle.request, self.sequence(market), number), &mut frames);
            }
        }
        if let Some(outbox) = handle.session.bytes() {
            // Whoever asked is woken with the answer.
            let _ = outbox.append(&frames);
        }
    }

    fn refuse(
        &self,
        market: MarketId,
        channel: Channel,
        (request, outcome): (u32, Result<(), Code>),
        frames: &mut Vec<u8>,
    ) {
        if let Err(code) = outcome {
            snapshots::answer(market, channel, (request, self.sequence(market), code.number()), frames);
        }
    }

    fn sequence(&self, market: MarketId) -> u64 {
        self.markets.get(usize::from(market.0)).map_or(0, |feed| feed.orders.feed_sequence())
    }

    /// Joins a channel and writes what the listener starts with.
    fn subscribe(
        &mut self,
        read: &FeedRead,
        handle: &RequestHandle,
        market_data: &MarketData,
        frames: &mut Vec<u8>,
    ) -> Result<(), Code> {
        let FeedRead::Subscribe { market, channel, start, feed_sequence, conflation_ms } = *read else {
            return Err(Code::Internal);
        };
        if conflation_ms != 0 && (channel != Channel::Levels || start != StartMode::Snapshot) {
            return Err(Code::UnusedField);
        }
        self.unsubscribe(market, channel, &handle.session)?;
        if self.listeners >= self.options.listeners_max {
            self.sweep();
        }
        if self.listeners >= self.options.listeners_max {
            return Err(Code::TooManySubscriptions);
        }
        let feed = self.markets.get_mut(usize::from(market.0)).ok_or(Code::UnknownMarket)?;
        let current = feed.orders.feed_sequence();
        snapshots::answer(market, channel, (handle.request, current, 0), frames);
        let answered = frames.len();
        match (start, channel) {
            (StartMode::Snapshot, Channel::Orders) => snapshots::orders(market, &feed.orders, frames),
            (StartMode::Snapshot, Channel::Levels) => {
                let book = market_data.feed(market).ok_or(Code::UnknownMarket)?.book();
                snapshots::levels(market, (&feed.orders, book), frames);
            }
            (StartMode::AfterSequence, _) => {
                if feed_sequence > current {
                    frames.clear();
                    return Err(Code::BadRange);
                }
                let Some(changes) = feed.orders.changes(feed_sequence + 1, current) else {
                    frames.clear();
                    return Err(Code::GapTooOld);
                };
                changes.for_each(|change| ChangeWriter { market, change }.write(channel, frames));
                debug_assert!(frames.len() >= answered);
            }
            _ => {}
        }
        if conflation_ms == 0 {
            feed.channels[usize::from(channel.wire())].listeners.push(handle.session.clone());
        } else {
            feed.conflated.push(Conflated {
                session: handle.session.clone(),
                interval_ns: u64::from(conflation_ms) * 1_000_000,
                told_at: Timestamp::ZERO,
                told_sequence: current,
                changed: BTreeSet::new(),
                state_changed: None,
            });
        }
        self.listeners += 1;
        Ok(())
    }

    fn unsubscribe(&mut self, market: MarketId, channel: Channel, session: &SessionHandle) -> Result<(), Code> {
        let feed = self.markets.get_mut(usize::from(market.0)).ok_or(Code::UnknownMarket)?;
        let listeners = &mut feed.channels[usize::from(channel.wire())].listeners;
        let before = listeners.len() + feed.conflated.len();
        listeners.retain(|listener| !listener.is(session));
        if channel == Channel::Levels {
            feed.conflated.retain(|listener| !listener.session.is(session));
        }
        self.listeners -= before - listeners.len() - feed.conflated.len();
        Ok(())
    }

    fn gap_fill(
        &self,
        market: MarketId,
        channel: Channel,
        (first, last): (u64, u64),
        frames: &mut Vec<u8>,
    ) -> Result<(), Code> {
        let feed = self.markets.get(usize::from(market.0)).ok_or(Code::UnknownMarket)?;
        if first == 0 || first > last || last - first >= GAP_MAX || last > feed.orders.feed_sequence() {
            return Err(Code::BadRange);
        }
        let changes = feed.orders.changes(first, last).ok_or(Code::GapTooOld)?;
        changes.for_each(|change| ChangeWriter { market, change }.write(channel, frames));
        Ok(())
    }

    /// Forgets listeners that have ended without a change to find that out.
    fn sweep(&mut self) {
        for feed in &mut self.markets {
            for channel in &mut feed.channels {
                channel.listeners.retain(|listener| !listener.has_ended());
            }
            feed.conflated.retain(|listener| !listener.session.has_ended());
        }
        let count = |feed: &Feed| {
            feed.channels.iter().map(|channel| channel.listeners.len()).sum::<usize>() + feed.conflated.len()
        };
        self.listeners = self.markets.iter().map(count).sum();
    }
}

impl Feed {
    /// Writes the last change for the channels that somebody listens to; how many bytes.
    fn note(&mut self, market: MarketId) -> usize {
        let Self { orders, channels, conflated } = self;
        let Some(change) = orders.last_change() else { return 0 };
        let mut written = 0;
        for (channel, number) in Channel::ALL {
            let feed = &mut channels[usize::from(*number)];
            if !feed.listeners.is_empty() {
                let before = feed.frames.len();
                ChangeWriter { market, change }.write(*channel, &mut feed.frames);
                written += feed.frames.len() - before;
            }
        }
        for one in conflated {
            match change.level {
                Some((key, _)) => {
                    one.changed.insert(key);
                }
                None => one.state_changed = Some(*change),
            }
        }
        written
    }
}

impl ChannelFeed {
    /// Sends what is collected; how many listeners were dropped.
    fn flush(&mut self, wakes: &mut Wakes) -> usize {
        if self.frames.is_empty() {
            return 0;
        }
        let before = self.listeners.len();
        let frames = &self.frames;
        self.listeners.retain(|listener| deliver(listener, frames, wakes) == Delivery::Delivered);
        self.frames.clear();
        before - self.listeners.len()
    }
}

impl Conflated {
    fn has_news(&self) -> bool {
        !self.changed.is_empty() || self.state_changed.is_some()
    }

    /// Writes what changed since the last time, as it is now.
    fn write(
        &mut self,
        market: MarketId,
        orders: &PublicOrders,
        level: impl Fn(LevelKey) -> crate::market_data::book::Level,
        out: &mut Vec<u8>,
    ) {
        if let Some(change) = self.state_changed.take() {
            ChangeWriter { market, change: &change }.write(Channel::Status, out);
        }
        let (feed_sequence, stamp) = (orders.feed_sequence(), orders.latest());
        for key in std::mem::take(&mut self.changed) {
            snapshots::level(market, (feed_sequence, stamp), (key, level(key)), self.told_sequence, out);
        }
        self.told_sequence = feed_sequence;
    }
}

fn deliver(session: &SessionHandle, frames: &[u8], wakes: &mut Wakes) -> Delivery {
    let Some(outbox) = session.bytes() else { return Delivery::Ended };
    let (delivery, wake) = outbox.append(frames);
    wakes.note(outbox, wake);
    delivery
}
