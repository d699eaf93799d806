//! What does not leave with the command that caused it, but a few times a second: depth changes, best levels, candles.
//!
//! Nothing is noted for streams that nobody listens to: the first flush behind the last listener ends it.

use lakh_engine::event::Event;
use lakh_engine::units::Timestamp;

use crate::hand_over::{Stream, StreamKind};
use crate::market_data::book::BookChange;
use crate::market_data::candle_feed::CandleMessage;
use crate::market_data::candles::CandleInterval;
use crate::publisher::Publisher;
use crate::stream::{Levels, Speed};
use crate::wire_encode::{market, public};

impl Publisher {
    /// When [`Publisher::handle_timeout`] has something to do; `None` while there is nothing.
    pub fn next_timeout(&self) -> Option<Timestamp> {
        let mut due = self.binary.next_timeout();
        for feed in self.market_data.feeds() {
            if feed.has_news() {
                let flush = Timestamp(self.flushed_at.0.saturating_add(self.options.flush_interval_ns));
                return due.into_iter().chain([flush]).min();
            }
            due = due.into_iter().chain(feed.next_candle_end()).min();
        }
        due
    }

    /// Sends what is due at `now`.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.binary.handle_timeout(now, &self.market_data);
        self.sealed.tell(self.directory.chain());
        if self.next_timeout().is_some_and(|due| due <= now) {
            self.flushed_at = now;
            for index in 0..self.markets.len() {
                self.flush_depth(index);
                self.flush_partial_depth(index);
                self.flush_candles(index, now);
            }
        }
    }

    /// Sends the depth messages that have grown to their bound.
    pub(super) fn flush_full_depth(&mut self, events: &[Event]) {
        // One command changes few markets: looking at all of them each time would cost more.
        let changed = events.iter().filter_map(BookChange::of).map(|(market, _)| market);
        let mut last = None;
        for market in changed {
            let noted = || self.market_data.feed(market).map_or(0, |feed| feed.noted_changes());
            if last != Some(market) && noted() >= self.options.depth_levels_max {
                self.flush_depth(usize::from(market.0));
            }
            last = Some(market);
        }
    }

    /// From here on it is noted what these streams' listeners have to be told.
    pub(super) fn note_for(&mut self, streams: &[Stream]) {
        for stream in streams {
            let Some(feed) = self.market_data.feed_mut(stream.market) else { continue };
            match stream.kind {
                StreamKind::Depth(_) => feed.note_changes(),
                StreamKind::PartialDepth(..) => feed.note_partial_depth(),
                StreamKind::Candle(_) => feed.note_candles(),
                StreamKind::Trade | StreamKind::AggregateTrade | StreamKind::BookTicker => {}
            }
        }
    }

    /// One market's depth message, if anything changed.
    fn flush_depth(&mut self, index: usize) {
        let entry = &self.markets[index];
        let Some(feed) = self.market_data.feed_mut(entry.spec.market) else { return };
        let streams = Speed::ALL.map(|speed| Stream { market: entry.spec.market, kind: StreamKind::Depth(speed) });
        if !streams.iter().any(|stream| self.subscriptions.has_stream(*stream)) {
            return feed.ignore_changes();
        }
        let Some(diff) = feed.take_changes() else { return };
        let mut message = Vec::with_capacity(128 + diff.len() * 40);
        public::depth_update(entry, feed.book(), &diff, &mut message);
        for stream in streams {
            self.subscriptions.publish(stream, &message, |out| {
                public::wrap_combined(entry, stream.kind, &message, out);
            });
        }
    }

    /// One market's best levels, if the book changed.
    fn flush_partial_depth(&mut self, index: usize) {
        let entry = &self.markets[index];
        let Some(feed) = self.market_data.feed_mut(entry.spec.market) else { return };
        let kinds = Levels::ALL.into_iter().flat_map(|levels| Speed::ALL.map(|speed| (levels, speed)));
        let streams = kinds.map(|(levels, speed)| {
            (levels, Stream { market: entry.spec.market, kind: StreamKind::PartialDepth(levels, speed) })
        });
        let heard: Vec<_> = streams.filter(|(_, stream)| self.subscriptions.has_stream(*stream)).collect();
        if heard.is_empty() {
            return feed.ignore_partial_depth();
        }
        if !feed.take_partial_depth() {
            return;
        }
        for (levels, stream) in heard {
            let mut message = Vec::with_capacity(64 + usize::from(levels.count()) * 80);
            public::depth(entry, feed.book(), levels.count(), &mut message);
            self.subscriptions.publish(stream, &message, |out| {
                public::wrap_combined(entry, stream.kind, &message, out);
            });
        }
    }

    /// One market's candles, those that changed or are complete.
    fn flush_candles(&mut self, index: usize, now: Timestamp) {
        let entry = &self.markets[index];
        let Some(feed) = self.market_data.feed_mut(entry.spec.market) else { return };
        let stream = |interval| Stream { market: entry.spec.market, kind: StreamKind::Candle(interval) };
        if !CandleInterval::ALL.into_iter().any(|interval| self.subscriptions.has_stream(stream(interval))) {
            return feed.ignore_candles();
        }
        for told in feed.take_candles(now) {
            let CandleMessage { interval, .. } = told;
            let stream = stream(interval);
            if !self.subscriptions.has_stream(stream) {
                continue;
            }
            let mut message = Vec::with_capacity(512);
            market::candle_message(entry, &told, now, &mut message);
            self.subscriptions.publish(stream, &message, |out| {
                public::wrap_combined(entry, stream.kind, &message, out);
            });
        }
    }
}
