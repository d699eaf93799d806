//! Public market data of each market: its book by price level, its latest trades, its candles, and what of it the
//! listeners have not been told yet.
//!
//! A read model fed by events only. Nothing here keeps an account, an order id or a client id, so nothing private can
//! get into a public message. Bounds: levels by the engine's books; trades and candles by [`MarketDataOptions`];
//! changed levels by an option of the publisher, which flushes early when it is reached.

pub mod book;
pub mod candle_feed;
pub mod candles;
mod change_ring;
pub mod depth_diff;
pub mod public_orders;
pub mod tape;

use lakh_engine::event::Event;
use lakh_engine::ids::MarketId;
use lakh_engine::units::Timestamp;
use lakh_engine::wire::DecodeError;

use crate::market_data::book::{Book, BookChange, Level, LevelKey};
use crate::market_data::candle_feed::{CandleFeed, CandleMessage};
use crate::market_data::candles::{Candles, DayStatistics};
use crate::market_data::depth_diff::DepthDiff;
use crate::market_data::tape::{PublicTrade, Tape};
use crate::saved::{put_each, take_each};

/// Bounds of what is remembered of each market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarketDataOptions {
    /// Latest trades, and as many aggregates.
    pub trades_max: usize,
    /// Candles of each interval; of minutes at least a day.
    pub candles_max: usize,
}

impl Default for MarketDataOptions {
    /// 1,000 trades and 1,500 candles of each interval: about 1.2 MiB a market.
    fn default() -> Self {
        Self { trades_max: 1_000, candles_max: 1_500 }
    }
}

/// One market's public state.
#[derive(Debug)]
pub struct MarketFeed {
    book: Book,
    tape: Tape,
    candles: Candles,
    /// Kept only while somebody listens.
    depth: Option<DepthDiff>,
    /// The book that the last message of the best levels showed; kept only while somebody listens.
    partial_depth: Option<u64>,
    /// Kept only while somebody listens.
    candle_feed: Option<CandleFeed>,
}

impl MarketFeed {
    fn new(options: MarketDataOptions) -> Self {
        Self {
            book: Book::default(),
            tape: Tape::new(options.trades_max),
            candles: Candles::new(options.candles_max),
            depth: None,
            partial_depth: None,
            candle_feed: None,
        }
    }

    /// The latest trades.
    pub const fn tape(&self) -> &Tape {
        &self.tape
    }

    /// The latest trades, to close an aggregate.
    pub const fn tape_mut(&mut self) -> &mut Tape {
        &mut self.tape
    }

    /// The candles.
    pub const fn candles(&self) -> &Candles {
        &self.candles
    }

    /// What traded within a day of `now`.
    pub fn day(&self, now: Timestamp) -> Option<DayStatistics> {
        self.candles.day(now, self.tape.trades().back()?.quantity)
    }

    /// Takes in a trade; the book is changed by [`MarketData::apply`].
    pub fn record_trade(&mut self, trade: PublicTrade) {
        self.tape.record(trade);
        let feed = &mut self.candle_feed;
        self.candles.add(&trade, |interval, candle| {
            feed.iter_mut().for_each(|feed| feed.note_complete(interval, candle));
        });
        self.candle_feed.iter_mut().for_each(CandleFeed::note_trade);
    }

    /// Begins to note what the best levels' listeners have not been told; the first message shows the book of now.
    pub fn note_partial_depth(&mut self) {
        self.partial_depth.get_or_insert(u64::MAX);
    }

    /// The last listener of the best levels went.
    pub const fn ignore_partial_depth(&mut self) {
        self.partial_depth = None;
    }

    /// Whether the best levels' listeners have not been told of this book; from now on they have.
    pub fn take_partial_depth(&mut self) -> bool {
        let feed_sequence = self.book.feed_sequence();
        self.partial_depth.replace(feed_sequence).is_some_and(|told| told != feed_sequence)
    }

    /// Begins to note what the candles' listeners have not been told.
    pub fn note_candles(&mut self) {
        self.candle_feed.get_or_insert_default();
    }

    /// The last listener of the candles went.
    pub fn ignore_candles(&mut self) {
        self.candle_feed = None;
    }

    /// What the candles' listeners are to be told at `now`.
    pub fn take_candles(&mut self, now: Timestamp) -> Vec<CandleMessage> {
        self.candle_feed.as_mut().map_or_else(Vec::new, |feed| feed.take(&self.candles, now))
    }

    /// Whether some listener has not been told of something.
    pub fn has_news(&self) -> bool {
        let book_changed = self.partial_depth.is_some_and(|told| told != self.book.feed_sequence());
        book_changed || self.noted_changes() > 0 || self.candle_feed.as_ref().is_some_and(CandleFeed::has_changes)
    }

    /// When a candle that somebody listens to is over, whatever happens until then.
    pub fn next_candle_end(&self) -> Option<Timestamp> {
        self.candle_feed.as_ref().and_then(|feed| feed.next_end(&self.candles))
    }

    /// The book by price level.
    pub const fn book(&self) -> &Book {
        &self.book
    }

    /// Starts to note changed levels, if that was not done yet: a listener came. The first message then follows the
    /// book's state of now.
    pub fn note_changes(&mut self) {
        let feed_sequence = self.book.feed_sequence();
        self.depth.get_or_insert_with(|| DepthDiff::after(feed_sequence));
    }

    /// No longer notes changed levels: the last listener went.
    pub fn ignore_changes(&mut self) {
        self.depth = None;
    }

    /// Changed levels that no message told of yet.
    pub fn noted_changes(&self) -> usize {
        self.depth.as_ref().map_or(0, DepthDiff::len)
    }

    /// What changed since the last time, if anything did, and forgets it.
    pub fn take_changes(&mut self) -> Option<DepthDiff> {
        let diff = self.depth.as_mut().filter(|diff| !diff.is_empty())?;
        Some(std::mem::replace(diff, DepthDiff::after(self.book.feed_sequence())))
    }
}

/// All markets' public state.
#[derive(Debug)]
pub struct MarketData {
    options: MarketDataOptions,
    feeds: Vec<MarketFeed>,
}

impl MarketData {
    /// No markets.
    pub const fn new(options: MarketDataOptions) -> Self {
        Self { options, feeds: Vec::new() }
    }

    /// The market's public state; `None` for one that is not listed.
    pub fn feed(&self, market: MarketId) -> Option<&MarketFeed> {
        self.feeds.get(usize::from(market.0))
    }

    /// The market's public state, to change what is noted of it.
    pub fn feed_mut(&mut self, market: MarketId) -> Option<&mut MarketFeed> {
        self.feeds.get_mut(usize::from(market.0))
    }

    /// All markets, in the order of their numbers.
    pub fn feeds(&self) -> impl Iterator<Item = &MarketFeed> {
        self.feeds.iter()
    }

    /// A market was listed; markets are numbered without gaps.
    pub fn list(&mut self, market: MarketId) {
        assert_eq!(self.feeds.len(), usize::from(market.0), "the engine numbers markets without gaps");
        self.feeds.push(MarketFeed::new(self.options));
    }

    /// Appends all markets, for a snapshot. What listeners were told is not of the past: they come anew.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        let Self { options: _, feeds } = self;
        put_each(feeds.iter(), out, |feed, out| {
            let MarketFeed { book, tape, candles, depth: _, partial_depth: _, candle_feed: _ } = feed;
            book.save(out);
            tape.save(out);
            candles.save(out);
        });
    }

    /// Reads what [`Self::save`] wrote.
    pub(crate) fn load(options: MarketDataOptions, input: &mut &[u8]) -> Result<Self, DecodeError> {
        let feeds = take_each(input, |input| {
            let (book, tape) = (Book::load(input)?, Tape::load(options.trades_max, input)?);
            let candles = Candles::load(options.candles_max, input)?;
            Ok(MarketFeed { book, tape, candles, ..MarketFeed::new(options) })
        })?;
        Ok(Self { options, feeds })
    }

    /// Takes in what an event does to a market's book.
    #[inline]
    pub fn apply(&mut self, event: &Event, timestamp: Timestamp) {
        if let Some((market, change)) = BookChange::of(event) {
            self.change(market, &change, timestamp);
        }
    }

    /// Takes in a change of a market's book; tells which level is another now, and what rests there.
    #[inline]
    pub fn change(&mut self, market: MarketId, change: &BookChange, timestamp: Timestamp) -> Option<(LevelKey, Level)> {
        let feed = self.feed_mut(market).expect("the engine changes only listed markets");
        let changed = feed.book.apply(change);
        if let (Some((key, _)), Some(diff)) = (changed, &mut feed.depth) {
            diff.note(key, timestamp);
        }
        changed
    }
}
