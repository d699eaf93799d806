//! Public market data of each market: its book by price level, and what changed of it since the last depth message.
//!
//! A read model fed by events only. Nothing here knows an account, an order id or a client id, so nothing private can
//! get into a public message. Bounds: levels by the engine's books; changed levels by an option of the publisher,
//! which flushes early when it is reached.

pub mod book;
pub mod depth_diff;

use lakh_engine::event::Event;
use lakh_engine::ids::MarketId;
use lakh_engine::units::Timestamp;

use crate::market_data::book::{Book, BookChange};
use crate::market_data::depth_diff::DepthDiff;

/// One market's public state.
#[derive(Debug, Default)]
pub struct MarketFeed {
    book: Book,
    /// Kept only while somebody listens.
    depth: Option<DepthDiff>,
}

impl MarketFeed {
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
#[derive(Debug, Default)]
pub struct MarketData {
    feeds: Vec<MarketFeed>,
}

impl MarketData {
    /// No markets.
    pub fn new() -> Self {
        Self::default()
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
        self.feeds.push(MarketFeed::default());
    }

    /// Takes in what an event does to a market's book.
    pub fn apply(&mut self, event: &Event, timestamp: Timestamp) {
        let Some((market, change)) = BookChange::of(event) else { return };
        let feed = self.feed_mut(market).expect("the engine changes only listed markets");
        let level = feed.book.apply(&change);
        if let (Some(level), Some(diff)) = (level, &mut feed.depth) {
            diff.note(level, timestamp);
        }
    }
}
