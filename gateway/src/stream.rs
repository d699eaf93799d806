//! Public streams by name: `btcusdt@trade`, `btcusdt@depth@100ms`, `btcusdt@kline_1m`, and so on.
//!
//! A name leads to one stream and a stream to one name, letter by letter: clients hand messages out by the name that
//! stands around them, so `@depth` and `@depth@100ms`, which tell the same, are two streams.

use lakh_engine::ids::MarketId;

use crate::directory::{Directory, MarketEntry};
use crate::market_data::candles::CandleInterval;

/// A public stream of one market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream {
    /// Which market.
    pub market: MarketId,
    /// What of it.
    pub kind: StreamKind,
}

/// What a public stream tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamKind {
    /// `@trade`: every trade.
    Trade,
    /// `@aggTrade`: what one order traded at one price.
    AggregateTrade,
    /// `@bookTicker`: best bid and ask on every change.
    BookTicker,
    /// `@depth`: changed price levels, every 100 ms.
    Depth(Speed),
    /// `@depth5`, `@depth10`, `@depth20`: the best levels, every 100 ms.
    PartialDepth(Levels, Speed),
    /// `@kline_1m` and so on: the candle of now, every 100 ms while it changes, and once when it is complete.
    Candle(CandleInterval),
}

/// How a client spells the speed of a depth stream. All are sent every 100 ms: who asks for less has it sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Speed {
    /// Not at all.
    Unnamed,
    /// `@100ms`.
    Milliseconds100,
    /// `@1000ms`, as some clients spell what others leave out.
    Milliseconds1000,
}

impl Speed {
    /// Every spelling.
    pub const ALL: [Self; 3] = [Self::Unnamed, Self::Milliseconds100, Self::Milliseconds1000];

    const fn suffix(self) -> &'static str {
        match self {
            Self::Unnamed => "",
            Self::Milliseconds100 => "@100ms",
            Self::Milliseconds1000 => "@1000ms",
        }
    }
}

/// How many levels a side a partial depth stream shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Levels {
    /// 5.
    Five,
    /// 10.
    Ten,
    /// 20.
    Twenty,
}

impl Levels {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Five, Self::Ten, Self::Twenty];

    /// The number.
    pub const fn count(self) -> u16 {
        match self {
            Self::Five => 5,
            Self::Ten => 10,
            Self::Twenty => 20,
        }
    }
}

/// A stream by its name; `None` for what is none. The market's part may be in capitals.
pub fn parse(name: &str, directory: &Directory) -> Option<Stream> {
    let (symbol, kind) = name.split_once('@')?;
    let kind = parse_kind(kind)?;
    let market = directory.market_by_symbol(&symbol.to_ascii_uppercase())?;
    Some(Stream { market: market.spec.market, kind })
}

fn parse_kind(name: &str) -> Option<StreamKind> {
    if let Some(interval) = name.strip_prefix("kline_") {
        return CandleInterval::from_name(interval).map(StreamKind::Candle);
    }
    let named = |speed: Speed| name.strip_suffix(speed.suffix()).map(|name| (name, speed));
    let speeds = [Speed::Milliseconds100, Speed::Milliseconds1000];
    let (name, speed) = speeds.into_iter().find_map(named).unwrap_or((name, Speed::Unnamed));
    match (name, speed) {
        ("depth", _) => Some(StreamKind::Depth(speed)),
        ("depth5", _) => Some(StreamKind::PartialDepth(Levels::Five, speed)),
        ("depth10", _) => Some(StreamKind::PartialDepth(Levels::Ten, speed)),
        ("depth20", _) => Some(StreamKind::PartialDepth(Levels::Twenty, speed)),
        ("trade", Speed::Unnamed) => Some(StreamKind::Trade),
        ("aggTrade", Speed::Unnamed) => Some(StreamKind::AggregateTrade),
        ("bookTicker", Speed::Unnamed) => Some(StreamKind::BookTicker),
        _ => None,
    }
}

/// Appends a stream's name, such as `btcusdt@trade`.
pub fn write_name(market: &MarketEntry, kind: StreamKind, out: &mut Vec<u8>) {
    out.extend(market.spec.symbol.as_bytes().iter().map(u8::to_ascii_lowercase));
    let (name, rest) = match kind {
        StreamKind::Trade => ("@trade", ""),
        StreamKind::AggregateTrade => ("@aggTrade", ""),
        StreamKind::BookTicker => ("@bookTicker", ""),
        StreamKind::Depth(speed) => ("@depth", speed.suffix()),
        StreamKind::PartialDepth(Levels::Five, speed) => ("@depth5", speed.suffix()),
        StreamKind::PartialDepth(Levels::Ten, speed) => ("@depth10", speed.suffix()),
        StreamKind::PartialDepth(Levels::Twenty, speed) => ("@depth20", speed.suffix()),
        StreamKind::Candle(interval) => ("@kline_", interval.name()),
    };
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(rest.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        let names = "trade aggTrade bookTicker depth depth@100ms depth@1000ms depth5 depth10@100ms depth20@1000ms kline_1m kline_5m \
                     kline_15m kline_1h kline_1d";
        let kinds: Vec<_> = names.split(' ').map(|name| (name, parse_kind(name).expect(name))).collect();
        for (index, (name, kind)) in kinds.iter().enumerate() {
            assert!(kinds[..index].iter().all(|(_, other)| other != kind), "{name} is a stream of its own");
        }
        for unknown in [
            "",
            "0",
            "trade@100ms",
            "depth6",
            "depth@250ms",
            "trade@1000ms",
            "kline_",
            "kline_2m",
            "kline_1M",
            "depth5@",
        ] {
            assert_eq!(parse_kind(unknown), None, "{unknown}");
        }
    }
}
