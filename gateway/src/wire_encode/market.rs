//! What traded in a market: trades, aggregates, candles, the day's statistics.
//!
//! Public all of it: no account, order or client id is in any of it.

use lakh_engine::command::Side;
use lakh_engine::units::{Lots, Ticks, Timestamp};

use crate::directory::MarketEntry;
use crate::market_data::book::{Book, Quote};
use crate::market_data::candle_feed::{CandleMessage, CandleProgress};
use crate::market_data::candles::{Candle, CandleInterval, DayStatistics, Turnover};
use crate::market_data::tape::{AggregateTrade, PublicTrade};
use crate::wire_encode::json::JsonWriter;

/// One element of `trades.recent`.
pub fn trade(market: &MarketEntry, trade: &PublicTrade, json: &mut JsonWriter<'_>) {
    json.begin_object().key("id").number(trade.trade.0);
    json.key("price").price(market, trade.price).key("qty").quantity(market, trade.quantity);
    json.key("quoteQty").amount(&market.quote, trade.quote).key("time").number(trade.timestamp.milliseconds());
    json.key("isBuyerMaker").truth(trade.taker_side == Side::Ask).key("isBestMatch").yes().end_object();
}

/// One element of `trades.aggregate`.
pub fn aggregate(market: &MarketEntry, aggregate: &AggregateTrade, json: &mut JsonWriter<'_>) {
    json.begin_object();
    write_aggregate(market, aggregate, json);
    json.end_object();
}

/// `aggTrade`: what one order traded at one price.
pub fn aggregate_message(market: &MarketEntry, aggregate: &AggregateTrade, out: &mut Vec<u8>) {
    let mut json = JsonWriter::new(out);
    json.begin_object().key("e").text("aggTrade").key("E").number(aggregate.timestamp.milliseconds());
    json.key("s").text(market.spec.symbol.as_str());
    write_aggregate(market, aggregate, &mut json);
    json.end_object();
}

fn write_aggregate(market: &MarketEntry, aggregate: &AggregateTrade, json: &mut JsonWriter<'_>) {
    json.key("a").number(aggregate.number);
    json.key("p").price(market, aggregate.price).key("q").quantity(market, aggregate.quantity);
    json.key("f").number(aggregate.first.0).key("l").number(aggregate.last.0);
    json.key("T").number(aggregate.timestamp.milliseconds());
    json.key("m").truth(aggregate.taker_side == Side::Ask).key("M").yes();
}

/// One element of `klines`: an array, as the public API has it; its last element is not used.
pub fn candle(market: &MarketEntry, interval: CandleInterval, candle: &Candle, json: &mut JsonWriter<'_>) {
    json.begin_array().number(candle.opened_at.milliseconds());
    for price in [candle.open, candle.high, candle.low, candle.close] {
        json.price(market, price);
    }
    base_volume(market, candle.total, json);
    json.number(last_millisecond(interval, candle));
    quote_volume(market, candle.total, json);
    json.number(candle.trade_count());
    base_volume(market, candle.taker_bought, json);
    quote_volume(market, candle.taker_bought, json);
    json.text("0").end_array();
}

/// `kline`: a candle that changed or is complete.
pub fn candle_message(market: &MarketEntry, message: &CandleMessage, now: Timestamp, out: &mut Vec<u8>) {
    let CandleMessage { interval, candle, progress } = message;
    let symbol = market.spec.symbol.as_str();
    let mut json = JsonWriter::new(out);
    json.begin_object().key("e").text("kline").key("E").number(now.milliseconds()).key("s").text(symbol);
    json.key("k").begin_object().key("t").number(candle.opened_at.milliseconds());
    json.key("T").number(last_millisecond(*interval, candle)).key("s").text(symbol).key("i").text(interval.name());
    json.key("f").number(candle.first.0).key("L").number(candle.last.0);
    json.key("o").price(market, candle.open).key("c").price(market, candle.close);
    json.key("h").price(market, candle.high).key("l").price(market, candle.low);
    base_volume(market, candle.total, json.key("v"));
    json.key("n").number(candle.trade_count()).key("x").truth(*progress == CandleProgress::Complete);
    quote_volume(market, candle.total, json.key("q"));
    base_volume(market, candle.taker_bought, json.key("V"));
    quote_volume(market, candle.taker_bought, json.key("Q"));
    json.key("B").text("0").end_object().end_object();
}

/// `ticker.book`: the best of both sides; a side without orders shows zeroes.
pub fn book_ticker(market: &MarketEntry, book: &Book, json: &mut JsonWriter<'_>) {
    json.begin_object().key("symbol").text(market.spec.symbol.as_str());
    write_best(market, book, json);
    json.end_object();
}

/// `ticker.24hr`: what traded within a day of `now`, by whole minutes; zeroes where nothing did.
pub fn day_statistics(
    market: &MarketEntry,
    book: &Book,
    day: Option<&DayStatistics>,
    now: Timestamp,
    json: &mut JsonWriter<'_>,
) {
    const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
    let candle = day.map(|day| day.candle);
    let price = |of: fn(&Candle) -> Ticks| candle.as_ref().map_or(Ticks::ZERO, of);
    let total = candle.map(|candle| candle.total).unwrap_or_default();
    json.begin_object().key("symbol").text(market.spec.symbol.as_str());
    let (open, close) = (price(|candle| candle.open), price(|candle| candle.close));
    json.key("priceChange").quoted(|out| write_change(market, open, close, out));
    json.key("priceChangePercent").quoted(|out| write_percent(open, close, out));
    json.key("weightedAvgPrice").quoted(|out| write_average(market, total, out));
    json.key("prevClosePrice").price(market, day.map_or(Ticks::ZERO, |day| day.previous_close));
    json.key("lastPrice").price(market, close);
    json.key("lastQty").quantity(market, day.map_or(Lots::ZERO, |day| day.last_quantity));
    write_best(market, book, json);
    json.key("openPrice").price(market, open).key("highPrice").price(market, price(|candle| candle.high));
    json.key("lowPrice").price(market, price(|candle| candle.low));
    base_volume(market, total, json.key("volume"));
    quote_volume(market, total, json.key("quoteVolume"));
    json.key("openTime").number(now.milliseconds().saturating_sub(DAY_MS)).key("closeTime").number(now.milliseconds());
    match candle {
        Some(candle) => {
            json.key("firstId").number(candle.first.0).key("lastId").number(candle.last.0);
        }
        None => {
            json.key("firstId").signed(-1).key("lastId").signed(-1);
        }
    }
    json.key("count").number(candle.map_or(0, |candle| candle.trade_count())).end_object();
}

fn write_best(market: &MarketEntry, book: &Book, json: &mut JsonWriter<'_>) {
    const NOTHING: Quote = Quote { price: Ticks::ZERO, quantity: Lots::ZERO };
    let top = book.top();
    let (bid, ask) = (top.bid.unwrap_or(NOTHING), top.ask.unwrap_or(NOTHING));
    json.key("bidPrice").price(market, bid.price).key("bidQty").quantity(market, bid.quantity);
    json.key("askPrice").price(market, ask.price).key("askQty").quantity(market, ask.quantity);
}

fn base_volume(market: &MarketEntry, turnover: Turnover, json: &mut JsonWriter<'_>) {
    json.decimal(turnover.base_lots * u128::from(market.spec.base_atoms_per_lot), market.base.decimals);
}

fn quote_volume(market: &MarketEntry, turnover: Turnover, json: &mut JsonWriter<'_>) {
    json.decimal(turnover.quote_atoms, market.quote.decimals);
}

/// The last millisecond of a candle's interval.
fn last_millisecond(interval: CandleInterval, candle: &Candle) -> u64 {
    interval.end(candle.opened_at).milliseconds().saturating_sub(1)
}

fn write_change(market: &MarketEntry, open: Ticks, close: Ticks, out: &mut Vec<u8>) {
    if close < open {
        out.push(b'-');
    }
    market.write_price(Ticks(open.0.abs_diff(close.0)), out);
}

/// Hundredths with three places, cut off.
fn write_percent(open: Ticks, close: Ticks, out: &mut Vec<u8>) {
    let thousandths = (u128::from(open.0.abs_diff(close.0)) * 100_000).checked_div(u128::from(open.0));
    let thousandths = thousandths.unwrap_or_default();
    if close < open && thousandths > 0 {
        out.push(b'-');
    }
    crate::decimal::write(thousandths, 3, out);
}

/// Quote for one base unit, with the price's places, cut off.
fn write_average(market: &MarketEntry, total: Turnover, out: &mut Vec<u8>) {
    let base_atoms = total.base_lots * u128::from(market.spec.base_atoms_per_lot);
    // Quote atoms × base atoms a unit × places of the price, over base atoms × quote atoms a unit. A product that
    // does not fit is shown as zero: it would take more money than there is.
    let scaled = total.quote_atoms.checked_mul(u128::from(market.base.atoms_per_unit()));
    let scaled = scaled.and_then(|scaled| scaled.checked_mul(10_u128.pow(u32::from(market.price_decimals))));
    let divisor = base_atoms.checked_mul(u128::from(market.quote.atoms_per_unit()));
    let average = scaled.zip(divisor).and_then(|(scaled, divisor)| scaled.checked_div(divisor)).unwrap_or_default();
    crate::decimal::write(average, market.price_decimals, out);
}
