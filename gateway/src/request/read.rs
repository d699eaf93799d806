//! Questions: order, open orders, balances, depth, and the names that `exchangeInfo` is asked for.

use lakh_engine::ids::{AccountId, OrderId, Sequence};

use super::{Fields, fields, refusal};
use crate::api_error::ApiError;
use crate::directory::Directory;
use crate::hand_over::{Proof, Read};

/// Price levels a side that `depth` shows when no limit is named.
const DEFAULT_DEPTH: u16 = 100;
/// The most that it shows.
const MAX_DEPTH: u16 = 5_000;
/// Most markets that one `exchangeInfo` may name.
pub(super) const MAX_SYMBOLS: usize = 128;

/// `order.status`.
pub(super) fn order_status(fields: Fields<'_>, account: AccountId, directory: &Directory) -> Result<Read, ApiError> {
    let market = fields.market(directory)?;
    Ok(Read::OrderStatus { account, market: market.spec.market, target: fields.target()? })
}

/// `openOrders.status`.
pub(super) fn open_orders(fields: Fields<'_>, account: AccountId, directory: &Directory) -> Result<Read, ApiError> {
    let market = fields.optional_market(directory)?;
    Ok(Read::OpenOrders { account, market: market.map(|market| market.spec.market) })
}

/// `account.status`.
pub(super) fn account_status(fields: Fields<'_>, account: AccountId) -> Result<Read, ApiError> {
    let omit_zero_balances = fields.boolean("omitZeroBalances")?.unwrap_or(false);
    Ok(Read::AccountStatus { account, omit_zero_balances })
}

/// `receipt`: of the record `sequence`, or of the one in which the order `orderId` was placed.
pub(super) fn receipt(fields: Fields<'_>, account: AccountId) -> Result<Read, ApiError> {
    let sequence = match (fields.text("sequence"), fields.text("orderId")) {
        (Some(_), Some(_)) => return Err(refusal::combination("sequence", "orderId")),
        (None, None) => return Err(refusal::missing_either("sequence", "orderId")),
        (Some(text), None) => Sequence(fields::integer("sequence", text)?),
        (None, Some(text)) => OrderId(fields::integer("orderId", text)?).sequence(),
    };
    Ok(Read::Proof { account, proof: Proof::Receipt(sequence) })
}

/// `depth`; a limit above 5,000 means 5,000.
///
/// # Errors
/// -1102 without a symbol, -1121 for an unknown one, -1130 for a limit of zero.
pub(super) fn depth(fields: Fields<'_>, directory: &Directory) -> Result<Read, ApiError> {
    let market = fields.market(directory)?;
    let limit = match fields.text("limit") {
        None => DEFAULT_DEPTH,
        Some(text) => match fields::integer("limit", text)? {
            0 => return Err(refusal::invalid_value("limit")),
            limit => u16::try_from(limit).unwrap_or(MAX_DEPTH).min(MAX_DEPTH),
        },
    };
    Ok(Read::Depth { market: market.spec.market, limit })
}

/// The markets that `exchangeInfo` is asked for, from `symbol` or from `symbols` as a JSON list; `None` for all.
///
/// # Errors
/// -1121 for an unknown market, -1100 for what is no list of names, -1128 for both at once.
pub fn exchange_info_symbols<'p>(fields: Fields<'p>, directory: &Directory) -> Result<Option<Vec<&'p str>>, ApiError> {
    let symbols = match (fields.text("symbol"), fields.text("symbols")) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(refusal::combination("symbol", "symbols")),
        (Some(symbol), None) => vec![symbol],
        (None, Some(list)) => parse_list(list, MAX_SYMBOLS).ok_or_else(|| refusal::illegal_characters("symbols"))?,
    };
    for symbol in &symbols {
        fields::market("symbols", symbol, directory)?;
    }
    Ok(Some(symbols))
}

/// A JSON list of strings without escapes.
pub(super) fn parse_list(list: &str, names_max: usize) -> Option<Vec<&str>> {
    let inner = list.trim().strip_prefix('[')?.strip_suffix(']')?;
    let mut names = Vec::new();
    for item in inner.split(',') {
        names.push(item.trim().strip_prefix('"')?.strip_suffix('"')?);
        if names.len() > names_max {
            return None;
        }
    }
    Some(names)
}
