//! A venue in a box: an engine with assets, markets, funded accounts and keys, driven in a trader's words.
//!
//! Every test binary includes this module. A [`Venue`] gives each command its sequence and time, keeps the nonces, and
//! records everything that it applied, so that any scenario can be replayed. Bounds: small tables, so that a thousand
//! venues are made in a second; time moves only when a test moves it.
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part of this module")]

pub(crate) mod audit;
pub(crate) mod drafts;
pub(crate) mod drawing;
pub(crate) mod random;
pub(crate) mod venue;

pub(crate) use drafts::{Draft, ask, bid, buy_for, market_buy, market_sell, sell_for};
pub(crate) use drawing::{check, told};
pub(crate) use venue::{Options, Venue};

use lakh_engine::ids::{AccountId, AssetId, MarketId};

/// The first trader.
pub(crate) const A: AccountId = AccountId(1);
/// The second trader.
pub(crate) const B: AccountId = AccountId(2);
/// The third trader.
pub(crate) const C: AccountId = AccountId(3);

/// Base of the first market.
pub(crate) const BTC: AssetId = AssetId(0);
/// Quote of both markets.
pub(crate) const USD: AssetId = AssetId(1);
/// Base of the second market.
pub(crate) const ETH: AssetId = AssetId(2);

/// One lot at one tick is one atom: prices × quantities are amounts.
pub(crate) const BTCUSD: MarketId = MarketId(0);
/// One lot is 5 base atoms, one lot at one tick 10 quote atoms, and makers get a rebate.
pub(crate) const ETHUSD: MarketId = MarketId(1);
