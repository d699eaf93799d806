//! Candles of one market: what traded in each minute, hour, day, counted from the Unix epoch.
//!
//! Only an interval in which something traded has a candle. The day statistics are read off the minutes' candles, so
//! that their window moves by the minute and nothing is kept for it alone.
//! Bounds: a number of candles of each interval, an option; never fewer minutes than a day has.

use std::collections::VecDeque;

use lakh_engine::command::Side;
use lakh_engine::ids::TradeId;
use lakh_engine::units::{Atoms, Lots, Ticks, Timestamp};
use lakh_engine::wire::{DecodeError, Wire, wire_struct};

use super::tape::{PublicTrade, newest};
use crate::saved::{put_each, take_each};

wire_struct!(Turnover { base_lots, quote_atoms });
wire_struct!(Candle { opened_at, open, high, low, close, total, taker_bought, first, last });

const MINUTE_NS: u64 = 60_000_000_000;
/// Minutes of a day, and one for the minute that is not over.
const DAY_MINUTES: usize = 24 * 60 + 1;

/// For how long a candle counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CandleInterval {
    /// `1m`.
    OneMinute,
    /// `5m`.
    FiveMinutes,
    /// `15m`.
    FifteenMinutes,
    /// `1h`.
    OneHour,
    /// `1d`.
    OneDay,
}

impl CandleInterval {
    /// All of them, shortest first.
    pub const ALL: [Self; 5] = [Self::OneMinute, Self::FiveMinutes, Self::FifteenMinutes, Self::OneHour, Self::OneDay];

    /// As clients spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OneMinute => "1m",
            Self::FiveMinutes => "5m",
            Self::FifteenMinutes => "15m",
            Self::OneHour => "1h",
            Self::OneDay => "1d",
        }
    }

    /// By its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|interval| interval.name() == name)
    }

    const fn length_ns(self) -> u64 {
        MINUTE_NS
            * match self {
                Self::OneMinute => 1,
                Self::FiveMinutes => 5,
                Self::FifteenMinutes => 15,
                Self::OneHour => 60,
                Self::OneDay => 24 * 60,
            }
    }

    /// When the interval that holds `time` began.
    pub const fn opening(self, time: Timestamp) -> Timestamp {
        Timestamp(time.0 - time.0 % self.length_ns())
    }

    /// When the interval that began at `opening` is over: the first time that is not in it.
    pub const fn end(self, opening: Timestamp) -> Timestamp {
        Timestamp(opening.0.saturating_add(self.length_ns()))
    }
}

/// What traded in one interval: at least one trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candle {
    /// When the interval began.
    pub opened_at: Timestamp,
    /// The first price.
    pub open: Ticks,
    /// The highest.
    pub high: Ticks,
    /// The lowest.
    pub low: Ticks,
    /// The last.
    pub close: Ticks,
    /// All trades together.
    pub total: Turnover,
    /// Those of them whose taker bought.
    pub taker_bought: Turnover,
    /// The first trade.
    pub first: TradeId,
    /// The last one; a market numbers its trades without gaps, so the two give the count.
    pub last: TradeId,
}

/// What changed hands. The sums of a day outgrow 64 bits in theory only, but a wrap would be a lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turnover {
    /// Lots of the base asset.
    pub base_lots: u128,
    /// Atoms of the quote asset.
    pub quote_atoms: u128,
}

impl Turnover {
    const fn of(quantity: Lots, quote: Atoms) -> Self {
        Self { base_lots: quantity.0 as u128, quote_atoms: quote.0 as u128 }
    }

    /// Adds what else changed hands.
    pub const fn add(&mut self, other: Self) {
        self.base_lots += other.base_lots;
        self.quote_atoms += other.quote_atoms;
    }
}

impl Candle {
    fn first(opened_at: Timestamp, trade: &PublicTrade) -> Self {
        let mut candle = Self {
            opened_at,
            open: trade.price,
            high: trade.price,
            low: trade.price,
            close: trade.price,
            total: Turnover::default(),
            taker_bought: Turnover::default(),
            first: trade.trade,
            last: trade.trade,
        };
        candle.add(trade);
        candle
    }

    fn add(&mut self, trade: &PublicTrade) {
        let turnover = Turnover::of(trade.quantity, trade.quote);
        self.high = self.high.max(trade.price);
        self.low = self.low.min(trade.price);
        self.close = trade.price;
        self.last = trade.trade;
        self.total.add(turnover);
        if trade.taker_side == Side::Bid {
            self.taker_bought.add(turnover);
        }
    }

    /// How many trades.
    pub const fn trade_count(&self) -> u64 {
        self.last.0 - self.first.0 + 1
    }
}

/// One market's candles of one interval, oldest first.
#[derive(Debug)]
pub struct CandleSeries {
    interval: CandleInterval,
    candles: VecDeque<Candle>,
    candles_max: usize,
}

impl CandleSeries {
    fn new(interval: CandleInterval, candles_max: usize) -> Self {
        let candles_max = match interval {
            CandleInterval::OneMinute => candles_max.max(DAY_MINUTES),
            _ => candles_max.max(1),
        };
        Self { interval, candles: VecDeque::new(), candles_max }
    }

    /// Takes in a trade; the candle that is complete because of it, if one is.
    fn add(&mut self, trade: &PublicTrade) -> Option<Candle> {
        let opened_at = self.interval.opening(trade.timestamp);
        if let Some(last) = self.candles.back_mut()
            && last.opened_at == opened_at
        {
            last.add(trade);
            return None;
        }
        let complete = self.candles.back().copied();
        if self.candles.len() == self.candles_max {
            self.candles.pop_front();
        }
        self.candles.push_back(Candle::first(opened_at, trade));
        complete
    }

    /// The candles that are kept, oldest first.
    pub const fn candles(&self) -> &VecDeque<Candle> {
        &self.candles
    }
}

/// One market's candles of all intervals.
#[derive(Debug)]
pub struct Candles {
    series: [CandleSeries; CandleInterval::ALL.len()],
}

/// What traded within the last day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayStatistics {
    /// The minutes of that day as one candle; `opened_at` is when the first of them began.
    pub candle: Candle,
    /// The last price before that day, or its first price where there is none.
    pub previous_close: Ticks,
    /// How much the last trade was about.
    pub last_quantity: Lots,
}

impl Candles {
    /// None yet; at most `candles_max` of each interval.
    pub fn new(candles_max: usize) -> Self {
        Self { series: CandleInterval::ALL.map(|interval| CandleSeries::new(interval, candles_max)) }
    }

    /// Takes in a trade, and gives each candle that is complete because of it to `complete`.
    pub fn add(&mut self, trade: &PublicTrade, mut complete: impl FnMut(CandleInterval, Candle)) {
        for series in &mut self.series {
            if let Some(candle) = series.add(trade) {
                complete(series.interval, candle);
            }
        }
    }

    /// Appends all of it, for a snapshot.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        for CandleSeries { interval: _, candles, candles_max: _ } in &self.series {
            put_each(candles.iter(), out, Wire::encode);
        }
    }

    /// Reads what [`Self::save`] wrote.
    pub(crate) fn load(candles_max: usize, input: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut candles = Self::new(candles_max);
        for series in &mut candles.series {
            series.candles = newest(take_each(input, Wire::decode)?, series.candles_max);
        }
        Ok(candles)
    }

    /// The candles of one interval.
    pub const fn series(&self, interval: CandleInterval) -> &CandleSeries {
        &self.series[interval as usize]
    }

    /// The day up to `now`, by whole minutes; `None` when nothing traded in it. `last_quantity` is the last trade's.
    pub fn day(&self, now: Timestamp, last_quantity: Lots) -> Option<DayStatistics> {
        let minutes = &self.series(CandleInterval::OneMinute).candles;
        let begin = CandleInterval::OneMinute.opening(Timestamp(now.0.saturating_sub(24 * 60 * MINUTE_NS)));
        let first = minutes.partition_point(|candle| candle.opened_at <= begin);
        let mut day = *minutes.get(first)?;
        for candle in minutes.range(first + 1..) {
            day.high = day.high.max(candle.high);
            day.low = day.low.min(candle.low);
            day.close = candle.close;
            day.last = candle.last;
            day.total.add(candle.total);
            day.taker_bought.add(candle.taker_bought);
        }
        let previous = first.checked_sub(1).and_then(|index| minutes.get(index));
        let previous_close = previous.map_or(day.open, |candle| candle.close);
        Some(DayStatistics { candle: day, previous_close, last_quantity })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trade(number: u64, minute: u64, price: u64) -> PublicTrade {
        PublicTrade {
            trade: TradeId(number),
            price: Ticks(price),
            quantity: Lots(2),
            quote: Atoms(price * 2),
            timestamp: Timestamp(minute * MINUTE_NS + 7),
            taker_side: if number.is_multiple_of(2) { Side::Bid } else { Side::Ask },
        }
    }

    #[test]
    fn a_candle_is_complete_with_the_first_trade_behind_it() {
        let mut candles = Candles::new(2);
        let mut complete = Vec::new();
        for (number, minute, price) in [(1, 0, 10), (2, 0, 14), (3, 0, 9), (4, 4, 11), (5, 5, 12)] {
            candles.add(&trade(number, minute, price), |interval, candle| complete.push((interval, candle)));
        }
        let (interval, first) = complete[0];
        assert_eq!((interval, first.trade_count()), (CandleInterval::OneMinute, 3));
        assert_eq!([first.open, first.high, first.low, first.close].map(|price| price.0), [10, 14, 9, 9]);
        assert_eq!(first.total, Turnover { base_lots: 6, quote_atoms: 66 });
        assert_eq!(first.taker_bought, Turnover { base_lots: 2, quote_atoms: 28 });
        let intervals: Vec<_> = complete.iter().map(|(interval, candle)| (interval.name(), candle.first.0)).collect();
        assert_eq!(intervals, [("1m", 1), ("1m", 4), ("5m", 1)]);
        assert_eq!(candles.series(CandleInterval::OneHour).candles().len(), 1);
    }

    #[test]
    fn what_is_too_old_is_forgotten() {
        let mut candles = Candles::new(2);
        for number in 1..=4 {
            candles.add(&trade(number, number * 60, 10), |_, _| {});
        }
        let hours = candles.series(CandleInterval::OneHour).candles();
        assert_eq!(hours.iter().map(|candle| candle.first.0).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(candles.series(CandleInterval::OneMinute).candles().len(), 4, "a day of minutes is kept");
    }

    #[test]
    fn the_day_moves_by_the_minute() {
        let mut candles = Candles::new(1);
        for (number, minute, price) in [(1, 0, 50), (2, 100, 10), (3, 1_440, 30)] {
            candles.add(&trade(number, minute, price), |_, _| {});
        }
        let at = |minute| candles.day(Timestamp(minute * MINUTE_NS + 8), Lots(2));
        let day = at(1_440).unwrap();
        assert_eq!((day.previous_close, day.candle.open, day.candle.close), (Ticks(50), Ticks(10), Ticks(30)));
        assert_eq!((day.candle.high, day.candle.low, day.candle.trade_count()), (Ticks(30), Ticks(10), 2));
        assert_eq!(at(1_540).unwrap().previous_close, Ticks(10));
        assert_eq!(at(3_000), None, "nothing traded for a day");
    }
}
