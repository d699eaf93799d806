//! Answers about the past: orders and trades of an account, trades and candles of a market.
//!
//! Each is at most a thousand entries out of a read model that is bounded itself.

use bytes::Bytes;
use lakh_engine::command::Side;
use lakh_engine::ids::{AccountId, MarketId, OrderId};
use lakh_engine::units::{Ticks, Timestamp};

use crate::account_trades::{OwnTrade, TradeRole};
use crate::api_error::ApiError;
use crate::directory::MarketEntry;
use crate::hand_over::{HistoryRange, Markets};
use crate::market_data::MarketFeed;
use crate::market_data::candles::CandleInterval;
use crate::publisher::{Publisher, entry};
use crate::reports::Stamp;
use crate::wire_encode::json::JsonWriter;
use crate::wire_encode::{account, answers, market as encode};

use super::answers::bad_symbol;

impl Publisher {
    pub(super) fn all_orders(&self, account: AccountId, market: MarketId, range: HistoryRange) -> Bytes {
        let orders = self.orders.orders(account, market);
        let chosen = choose(orders.iter().copied(), range, |order| (order.order.0, order.accepted_at));
        let mut out = Vec::with_capacity(16 + chosen.len() * 512);
        out.push(b'[');
        for order in chosen {
            if out.last() != Some(&b'[') {
                out.push(b',');
            }
            answers::order_status(entry(&self.markets, order.market), order, &mut out);
        }
        out.push(b']');
        Bytes::from(out)
    }

    pub(super) fn my_trades(
        &self,
        account: AccountId,
        market: MarketId,
        order: Option<OrderId>,
        range: HistoryRange,
    ) -> Bytes {
        let trades = self.account_trades.trades(account, market);
        let trades = trades.filter(|trade| order.is_none_or(|order| trade.order == order));
        let chosen = choose(trades, range, |trade| (trade.trade.0, trade.timestamp));
        let entry = entry(&self.markets, market);
        let reached = self.sealed.reached(self.directory.chain());
        list(chosen.len() * 360, |json| {
            chosen.iter().for_each(|trade| account::own_trade(entry, trade, reached.finality_of(trade.sequence), json));
        })
    }

    pub(super) fn trade_fees(&self, account: AccountId, market: Option<MarketId>) -> Bytes {
        let tier = self.directory.fee_tier(account);
        list(self.markets.len() * 96, |json| {
            let named = self.markets.iter().filter(|entry| market.is_none_or(|market| entry.spec.market == market));
            named.for_each(|entry| account::trade_fee(entry, tier, json));
        })
    }

    pub(super) fn trades(&self, market: MarketId, limit: u16) -> Result<Bytes, ApiError> {
        let (entry, feed) = self.market(market)?;
        let trades = feed.tape().trades();
        let first = trades.len().saturating_sub(usize::from(limit));
        Ok(list(usize::from(limit) * 160, |json| {
            trades.range(first..).for_each(|trade| encode::trade(entry, trade, json));
        }))
    }

    pub(super) fn aggregate_trades(&self, market: MarketId, range: HistoryRange) -> Result<Bytes, ApiError> {
        let (entry, feed) = self.market(market)?;
        let chosen = choose(feed.tape().aggregates().iter(), range, |one| (one.number, one.timestamp));
        Ok(list(chosen.len() * 128, |json| chosen.iter().for_each(|one| encode::aggregate(entry, one, json))))
    }

    pub(super) fn candles(
        &self,
        market: MarketId,
        interval: CandleInterval,
        range: HistoryRange,
    ) -> Result<Bytes, ApiError> {
        let (entry, feed) = self.market(market)?;
        let candles = feed.candles().series(interval).candles();
        let chosen = choose(candles.iter(), range, |candle| (0, candle.opened_at));
        Ok(list(chosen.len() * 192, |json| {
            chosen.iter().for_each(|candle| encode::candle(entry, interval, candle, json));
        }))
    }

    pub(super) fn book_ticker(&self, markets: &Markets) -> Result<Bytes, ApiError> {
        self.of_markets(markets, |entry, feed, json| encode::book_ticker(entry, feed.book(), json))
    }

    pub(super) fn last_price(&self, markets: &Markets) -> Result<Bytes, ApiError> {
        self.of_markets(markets, |entry, feed, json| {
            let last = feed.tape().trades().back().map_or(Ticks::ZERO, |trade| trade.price);
            json.begin_object().key("symbol").text(entry.spec.symbol.as_str()).key("price").price(entry, last);
            json.end_object();
        })
    }

    pub(super) fn day_statistics(&self, markets: &Markets) -> Result<Bytes, ApiError> {
        let now = self.latest;
        self.of_markets(markets, |entry, feed, json| {
            encode::day_statistics(entry, feed.book(), feed.day(now).as_ref(), now, json);
        })
    }

    /// An object for one market, a list for any number of them.
    fn of_markets(
        &self,
        markets: &Markets,
        write: impl Fn(&MarketEntry, &MarketFeed, &mut JsonWriter<'_>),
    ) -> Result<Bytes, ApiError> {
        let named: Vec<MarketId> = match markets {
            Markets::One(market) => vec![*market],
            Markets::Some(markets) => markets.clone(),
            Markets::All => self.markets.iter().map(|entry| entry.spec.market).collect(),
        };
        let mut found = Vec::with_capacity(named.len());
        for market in named {
            found.push(self.market(market)?);
        }
        let mut out = Vec::with_capacity(found.len() * 512);
        let mut json = JsonWriter::new(&mut out);
        if !matches!(markets, Markets::One(_)) {
            json.begin_array();
        }
        for (entry, feed) in found {
            write(entry, feed, &mut json);
        }
        if !matches!(markets, Markets::One(_)) {
            json.end_array();
        }
        Ok(Bytes::from(out))
    }

    fn market(&self, market: MarketId) -> Result<(&MarketEntry, &MarketFeed), ApiError> {
        let feed = self.market_data.feed(market).ok_or_else(bad_symbol)?;
        Ok((entry(&self.markets, market), feed))
    }
}

/// The entries of a range, in their order: with a first id or a begin the first ones, else the last ones.
fn choose<T: Copy>(
    entries: impl Iterator<Item = T>,
    range: HistoryRange,
    place: impl Fn(T) -> (u64, Timestamp),
) -> Vec<T> {
    let inside = |entry: &T| {
        let (id, time) = place(*entry);
        range.first_id.is_none_or(|first| id >= first)
            && range.begin.is_none_or(|begin| time >= begin)
            && range.end.is_none_or(|end| time <= end)
    };
    let limit = usize::from(range.limit);
    let mut chosen: Vec<T> = entries.filter(inside).collect();
    if range.first_id.is_some() || range.begin.is_some() {
        chosen.truncate(limit);
    } else {
        chosen.drain(..chosen.len().saturating_sub(limit));
    }
    chosen
}

fn list(capacity: usize, write: impl FnOnce(&mut JsonWriter<'_>)) -> Bytes {
    let mut out = Vec::with_capacity(capacity + 2);
    let mut json = JsonWriter::new(&mut out);
    json.begin_array();
    write(&mut json);
    json.end_array();
    Bytes::from(out)
}

/// A trade as one of its two sides sees it.
pub(super) fn own_trade(
    trade: &lakh_engine::event::Trade,
    role: TradeRole,
    quote: lakh_engine::units::Atoms,
    stamp: Stamp,
) -> OwnTrade {
    let (party, side): (_, Side) = match role {
        TradeRole::Maker => (&trade.maker, trade.taker_side.opposite()),
        TradeRole::Taker => (&trade.taker, trade.taker_side),
    };
    OwnTrade {
        market: trade.market,
        trade: trade.trade,
        order: party.order,
        price: trade.price,
        quantity: trade.quantity,
        quote,
        fee: party.fee,
        sequence: stamp.sequence,
        timestamp: stamp.timestamp,
        side,
        role,
    }
}
