//! The document as it is written: one struct a table, decimals and hexadecimals still text.
//!
//! Only the shape is decided here (keys, types, words of a choice); what the values mean is decided where they are
//! resolved: `venue`, `listings`, `accounts`.

use std::collections::BTreeMap;

use lakh_engine::command::{EvidenceGrade, MarketState, Mode};
use serde::Deserialize;

use crate::gateway::GatewayConfig;
use crate::history::HistoryConfig;
use crate::sections::{CapacitiesText, JournalConfig, OperatorsConfig, TlsConfig};
use crate::settlement::SettlementText;
use crate::watchers::WatchersConfig;

/// A whole file. Each section but `[exchange]` may be left out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DocumentText {
    pub(crate) exchange: ExchangeText,
    #[serde(default)]
    pub(crate) journal: JournalConfig,
    #[serde(default)]
    pub(crate) gateway: GatewayConfig,
    #[serde(default)]
    pub(crate) operators: OperatorsConfig,
    pub(crate) watchers: Option<WatchersConfig>,
    pub(crate) tls: Option<TlsConfig>,
    #[serde(default)]
    pub(crate) history: HistoryConfig,
    pub(crate) settlement: Option<SettlementText>,
    #[serde(default)]
    pub(crate) capacities: CapacitiesText,
    #[serde(default)]
    pub(crate) asset: Vec<AssetText>,
    #[serde(default)]
    pub(crate) market: Vec<MarketText>,
    #[serde(default)]
    pub(crate) genesis: GenesisText,
    #[serde(default)]
    pub(crate) operator_key: Vec<OperatorKeyText>,
    #[serde(default)]
    pub(crate) watcher_key: Vec<WatcherKeyText>,
}

/// `[exchange]`: which venue this is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExchangeText {
    /// `dev` or `run`.
    #[serde(with = "ModeText")]
    pub(crate) mode: Mode,
    /// 32 hexadecimal digits. Default: made at random when the journal is made.
    pub(crate) id: Option<String>,
    /// 32 hexadecimal digits, in front of each api key. Without a contract there must be one.
    pub(crate) venue_tag: Option<String>,
    /// Default 0.
    #[serde(default)]
    pub(crate) shard: u16,
    /// Notice in seconds before any fee rises: at most 31,622,400, and 86,400 at least where the mode is `run`. Default
    /// 604,800, a week.
    #[serde(default = "one_week")]
    pub(crate) fee_notice_s: u32,
}

fn one_week() -> u32 {
    7 * 86_400
}

/// `[[asset]]`: what has balances.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssetText {
    /// 1 to 16 capital letters and digits.
    pub(crate) symbol: String,
    /// Decimals that the engine keeps: 0 ..= 8.
    pub(crate) decimals: u8,
    /// Units of the chain's token in one atom: a power of ten from 1. Default 1.
    #[serde(default = "one")]
    pub(crate) chain_units_per_atom: u64,
}

/// `[[market]]`: what is traded for what, and how finely.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MarketText {
    /// 1 to 16 capital letters and digits.
    pub(crate) symbol: String,
    /// Symbol of a listed asset.
    pub(crate) base: String,
    /// Symbol of another listed asset.
    pub(crate) quote: String,
    /// Decimal, quote units for one base unit.
    pub(crate) tick_size: String,
    /// Decimal, base units.
    pub(crate) lot_size: String,
    /// Decimal, quote units for one base unit: a whole number of ticks.
    pub(crate) max_price: String,
    /// Decimal, base units: a whole number of lots. Default one lot.
    pub(crate) min_quantity: Option<String>,
    /// Decimal, base units: a whole number of lots.
    pub(crate) max_quantity: String,
    /// Decimal, quote units. Default 0.
    #[serde(default = "zero")]
    pub(crate) min_notional: String,
    /// Decimal fraction of the best opposite price: 0.000001 ..= 1. Default 0.05.
    #[serde(default = "default_band")]
    pub(crate) market_order_band: String,
    /// Decimal fraction of the notional, negative for a rebate. No default: what a venue charges is said.
    pub(crate) maker_fee: String,
    /// Decimal fraction of the notional, never negative. No default.
    pub(crate) taker_fee: String,
    /// What accounts of the tiers from 1 on pay; tier 0 is `maker_fee` and `taker_fee`, and so are tiers that are not named.
    #[serde(default)]
    pub(crate) fee_tiers: Vec<FeeTierText>,
    /// 1 ..= 2^26. Default 262,144.
    #[serde(default = "default_max_orders")]
    pub(crate) max_orders: u32,
    /// 1 ..= 2^24, for each side. Default 65,536.
    #[serde(default = "default_max_levels")]
    pub(crate) max_levels: u32,
    /// What may be traded when the venue starts for the first time. Default `pre_open`: nothing.
    #[serde(default, with = "MarketStateText")]
    pub(crate) state: MarketState,
}

/// One of a market's `fee_tiers`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeeTierText {
    /// As the market's.
    pub(crate) maker: String,
    /// As the market's.
    pub(crate) taker: String,
}

/// `[genesis]`: what the venue starts with until deposits come from the chain.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GenesisText {
    #[serde(default)]
    pub(crate) account: Vec<AccountText>,
}

/// `[[genesis.account]]`: an account, its keys and its money. Accounts are numbered from 1 as they stand in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountText {
    /// 64 hexadecimal digits each.
    pub(crate) public_keys: Vec<String>,
    /// Decimal amounts by asset symbol; at least one.
    pub(crate) balances: BTreeMap<String, String>,
    /// The weakest evidence that a request of the account needs. Default `signed`.
    #[serde(default, with = "EvidenceGradeText")]
    pub(crate) minimum_evidence: EvidenceGrade,
    /// Requests that each of its keys may have remembered at once. Default 8,192.
    #[serde(default = "default_digest_capacity")]
    pub(crate) digest_capacity: u32,
}

/// `[[operator_key]]`: who may halt, list and set fees.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperatorKeyText {
    /// For logs: 1 to 32 printable ASCII characters.
    pub(crate) name: String,
    /// 64 hexadecimal digits.
    pub(crate) public_key: String,
    /// 0 ..= 3, each at most once.
    pub(crate) role: u8,
}

/// `[[watcher_key]]`: who may mirror the journal at once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WatcherKeyText {
    /// For logs: 1 to 32 printable ASCII characters.
    pub(crate) name: String,
    /// 64 hexadecimal digits.
    pub(crate) public_key: String,
}

/// The words for [`Mode`].
#[derive(Deserialize)]
#[serde(remote = "Mode", rename_all = "snake_case")]
enum ModeText {
    Dev,
    Run,
}

/// The words for [`MarketState`].
#[derive(Deserialize)]
#[serde(remote = "MarketState", rename_all = "snake_case")]
enum MarketStateText {
    PreOpen,
    PostOnly,
    Open,
    CancelOnly,
    Halt,
}

/// The words for [`EvidenceGrade`].
#[derive(Deserialize)]
#[serde(remote = "EvidenceGrade", rename_all = "snake_case")]
enum EvidenceGradeText {
    Delegated,
    HeaderKeyed,
    Signed,
    Native,
}

const fn one() -> u64 {
    1
}

fn zero() -> String {
    "0".to_owned()
}

fn default_band() -> String {
    "0.05".to_owned()
}

const fn default_max_orders() -> u32 {
    262_144
}

const fn default_max_levels() -> u32 {
    65_536
}

const fn default_digest_capacity() -> u32 {
    8_192
}
