//! What the listeners of one market's candles have to be told: those that changed, and each once when it is complete.
//!
//! A candle is complete when a trade behind it says so, or when its time is over and nothing says anything.
//! Bounds: one change and one complete candle for each interval and command since the last flush, which is at most a
//! few hundred commands ago.

use lakh_engine::units::Timestamp;

use super::candles::{Candle, CandleInterval, Candles};

const INTERVALS: usize = CandleInterval::ALL.len();

/// See the module.
#[derive(Debug, Default)]
pub struct CandleFeed {
    /// Trades since the last flush.
    changes: u32,
    complete: Vec<(CandleInterval, Candle)>,
    /// The beginning of the last candle of each interval that was told as complete.
    told_complete: [Option<Timestamp>; INTERVALS],
}

/// A candle to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CandleMessage {
    /// Of which interval.
    pub interval: CandleInterval,
    /// What traded in it so far, or in all.
    pub candle: Candle,
    /// How far it is.
    pub progress: CandleProgress,
}

/// Whether more may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CandleProgress {
    /// It may.
    Open,
    /// Its time is over.
    Complete,
}

impl CandleFeed {
    /// There was a trade.
    pub const fn note_trade(&mut self) {
        self.changes = self.changes.saturating_add(1);
    }

    /// A candle is complete because a trade came behind it.
    pub fn note_complete(&mut self, interval: CandleInterval, candle: Candle) {
        if self.told_complete[interval as usize] != Some(candle.opened_at) {
            self.complete.push((interval, candle));
        }
    }

    /// Whether there was a trade that nobody was told of.
    pub const fn has_changes(&self) -> bool {
        self.changes > 0
    }

    /// When the next of the last candles is over that was not told as complete.
    pub fn next_end(&self, candles: &Candles) -> Option<Timestamp> {
        let open = CandleInterval::ALL.into_iter().filter_map(|interval| {
            let last = candles.series(interval).candles().back()?;
            let told = self.told_complete[interval as usize] == Some(last.opened_at);
            (!told).then(|| interval.end(last.opened_at))
        });
        open.min()
    }

    /// What is to be told at `now`, in the order of time; afterwards there is nothing more.
    pub fn take(&mut self, candles: &Candles, now: Timestamp) -> Vec<CandleMessage> {
        let mut messages = Vec::new();
        for (interval, candle) in self.complete.drain(..) {
            self.told_complete[interval as usize] = Some(candle.opened_at);
            messages.push(CandleMessage { interval, candle, progress: CandleProgress::Complete });
        }
        for interval in CandleInterval::ALL {
            let Some(&candle) = candles.series(interval).candles().back() else { continue };
            if self.told_complete[interval as usize] == Some(candle.opened_at) {
                continue;
            }
            if interval.end(candle.opened_at) <= now {
                self.told_complete[interval as usize] = Some(candle.opened_at);
                messages.push(CandleMessage { interval, candle, progress: CandleProgress::Complete });
            } else if self.changes > 0 {
                messages.push(CandleMessage { interval, candle, progress: CandleProgress::Open });
            }
        }
        self.changes = 0;
        messages
    }
}
