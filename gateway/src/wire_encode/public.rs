//! Public messages and answers: depth, depth changes, trades, best prices.
//!
//! None of them has an account, an order id, a client id, or the journal sequence, which is half of an order id.

use lakh_engine::command::Side;
use lakh_engine::event::Trade;
use lakh_engine::units::{Lots, Ticks, Timestamp};

use crate::directory::MarketEntry;
use crate::hand_over::StreamKind;
use crate::market_data::book::{Book, Quote};
use crate::market_data::depth_diff::DepthDiff;
use crate::stream;
use crate::wire_encode::json::JsonWriter;

/// `depth`: the best `limit` levels of each side; `lastUpdateId` is the book's feed sequence.
pub fn depth(market: &MarketEntry, book: &Book, limit: u16, out: &mut Vec<u8>) {
    let limit = usize::from(limit);
    let mut json = JsonWriter::new(out);
    json.begin_object().key("lastUpdateId").number(book.feed_sequence()).key("bids").begin_array();
    for (price, level) in book.bids().take(limit) {
        write_level(&mut json, market, price, level.quantity);
    }
    json.end_array().key("asks").begin_array();
    for (price, level) in book.asks().take(limit) {
        write_level(&mut json, market, price, level.quantity);
    }
    json.end_array().end_object();
}

/// `depthUpdate`: the changed levels with what rests there now; nothing rests at a level that is gone.
pub fn depth_update(market: &MarketEntry, book: &Book, diff: &DepthDiff, out: &mut Vec<u8>) {
    let mut json = JsonWriter::new(out);
    json.begin_object().key("e").text("depthUpdate").key("E").number(diff.changed_at().milliseconds());
    json.key("s").text(market.spec.symbol.as_str());
    json.key("U").number(diff.first_feed_sequence()).key("u").number(book.feed_sequence());
    for (name, side) in [("b", Side::Bid), ("a", Side::Ask)] {
        json.key(name).begin_array();
        for key in diff.levels().filter(|key| key.side == side) {
            write_level(&mut json, market, key.price, book.level(key).quantity);
        }
        json.end_array();
    }
    json.end_object();
}

/// `trade`: `m` says whether the buyer was the resting side.
pub fn trade(market: &MarketEntry, trade: &Trade, timestamp: Timestamp, out: &mut Vec<u8>) {
    let time = timestamp.milliseconds();
    let mut json = JsonWriter::new(out);
    json.begin_object().key("e").text("trade").key("E").number(time);
    json.key("s").text(market.spec.symbol.as_str()).key("t").number(trade.trade.0);
    json.key("p").price(market, trade.price).key("q").quantity(market, trade.quantity);
    json.key("T").number(time).key("m").truth(trade.taker_side == Side::Ask).key("M").yes().end_object();
}

/// `bookTicker`: the best of both sides; a side without orders shows zeroes.
pub fn book_ticker(market: &MarketEntry, book: &Book, out: &mut Vec<u8>) {
    const NOTHING: Quote = Quote { price: Ticks::ZERO, quantity: Lots::ZERO };
    let top = book.top();
    let (bid, ask) = (top.bid.unwrap_or(NOTHING), top.ask.unwrap_or(NOTHING));
    let mut json = JsonWriter::new(out);
    json.begin_object().key("u").number(book.feed_sequence()).key("s").text(market.spec.symbol.as_str());
    json.key("b").price(market, bid.price).key("B").quantity(market, bid.quantity);
    json.key("a").price(market, ask.price).key("A").quantity(market, ask.quantity).end_object();
}

/// Wraps a message for `/stream` connections: `{"stream":…,"data":…}`.
pub fn wrap_combined(market: &MarketEntry, kind: StreamKind, message: &[u8], out: &mut Vec<u8>) {
    let mut json = JsonWriter::new(out);
    json.begin_object().key("stream").quoted(|out| stream::write_name(market, kind, out));
    json.key("data").raw(message).end_object();
}

fn write_level(json: &mut JsonWriter<'_>, market: &MarketEntry, price: Ticks, quantity: Lots) {
    json.begin_array().price(market, price).quantity(market, quantity).end_array();
}
