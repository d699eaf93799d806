//! Questions about the past and about markets: which part of a history, which markets.

use lakh_engine::ids::{AccountId, OrderId};

use super::fields::{instant, integer, market};
use super::read::{MAX_SYMBOLS, parse_list};
use super::{Fields, Method, refusal};
use crate::api_error::ApiError;
use crate::directory::Directory;
use crate::hand_over::{HistoryRange, Markets, Read};
use crate::market_data::candles::CandleInterval;

/// Entries of an answer when no limit is named.
const DEFAULT_LIMIT: u16 = 500;
/// The most that an answer has.
const MAX_LIMIT: u16 = 1_000;

/// `allOrders`.
pub(super) fn all_orders(fields: Fields<'_>, account: AccountId, directory: &Directory) -> Result<Read, ApiError> {
    let market = fields.market(directory)?.spec.market;
    Ok(Read::AllOrders { account, market, range: range(fields, "orderId")? })
}

/// `myTrades`.
pub(super) fn my_trades(fields: Fields<'_>, account: AccountId, directory: &Directory) -> Result<Read, ApiError> {
    let market = fields.market(directory)?.spec.market;
    let order = fields.text("orderId").map(|text| integer("orderId", text)).transpose()?.map(OrderId);
    Ok(Read::MyTrades { account, market, order, range: range(fields, "fromId")? })
}

/// `account.tradeFees`.
pub(super) fn trade_fees(fields: Fields<'_>, account: AccountId, directory: &Directory) -> Result<Read, ApiError> {
    let market = fields.optional_market(directory)?;
    Ok(Read::TradeFees { account, market: market.map(|market| market.spec.market) })
}

/// What a public method asks of the read models.
///
/// # Errors
/// The first parameter that is missing or not legal; -1020 for a method that is no such question.
pub fn parse_public(method: Method, fields: Fields<'_>, directory: &Directory) -> Result<Read, ApiError> {
    let one = || fields.market(directory).map(|market| market.spec.market);
    match method {
        Method::Depth => super::read::depth(fields, directory),
        Method::TradesRecent => Ok(Read::Trades { market: one()?, limit: limit(fields)? }),
        Method::TradesAggregate => Ok(Read::AggregateTrades { market: one()?, range: range(fields, "fromId")? }),
        Method::Klines => {
            let market = one()?;
            fields.refuse(&["timeZone"])?;
            let interval = CandleInterval::from_name(fields.required("interval")?);
            let interval = interval.ok_or_else(refusal::interval)?;
            Ok(Read::Candles { market, interval, range: HistoryRange { first_id: None, ..range(fields, "fromId")? } })
        }
        Method::TickerBook => markets(fields, directory).map(Read::BookTicker),
        Method::TickerPrice => markets(fields, directory).map(Read::LastPrice),
        Method::TickerDay => markets(fields, directory).map(Read::DayStatistics),
        _ => Err(refusal::unsupported_operation()),
    }
}

/// `limit`; one above 1,000 means 1,000.
fn limit(fields: Fields<'_>) -> Result<u16, ApiError> {
    match fields.text("limit").map(|text| integer("limit", text)).transpose()? {
        None => Ok(DEFAULT_LIMIT),
        Some(0) => Err(refusal::invalid_value("limit")),
        Some(limit) => Ok(u16::try_from(limit).unwrap_or(MAX_LIMIT).min(MAX_LIMIT)),
    }
}

fn range(fields: Fields<'_>, first_id: &str) -> Result<HistoryRange, ApiError> {
    let time = |name| fields.text(name).map(|text| instant(name, text)).transpose();
    Ok(HistoryRange {
        first_id: fields.text(first_id).map(|text| integer(first_id, text)).transpose()?,
        begin: time("startTime")?,
        end: time("endTime")?,
        limit: limit(fields)?,
    })
}

/// `symbol`, `symbols` as a JSON list, or neither.
fn markets(fields: Fields<'_>, directory: &Directory) -> Result<Markets, ApiError> {
    match (fields.text("symbol"), fields.text("symbols")) {
        (Some(_), Some(_)) => Err(refusal::combination("symbol", "symbols")),
        (None, None) => Ok(Markets::All),
        (Some(symbol), None) => Ok(Markets::One(market("symbol", symbol, directory)?.spec.market)),
        (None, Some(list)) => {
            let names = parse_list(list, MAX_SYMBOLS).ok_or_else(|| refusal::illegal_characters("symbols"))?;
            let named = names.into_iter().map(|name| Ok(market("symbols", name, directory)?.spec.market));
            named.collect::<Result<_, ApiError>>().map(Markets::Some)
        }
    }
}
