//! The whole configuration: read, resolved in the order in which its parts need each other, and then only handed on.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use lakh_engine::command::{Capacities, Genesis, Mode};
use lakh_engine::market_spec::AssetSpec;
use serde::de::DeserializeOwned;

use crate::accounts::{GenesisAccount, KeyRing, OperatorKey, check_evidence, resolve_accounts, resolve_operator_keys};
use crate::error::{ConfigError, Fault};
use crate::gateway::GatewayConfig;
use crate::hex;
use crate::history::HistoryConfig;
use crate::listings::{ListedMarket, resolve_assets, resolve_markets};
use crate::position::Position;
use crate::sections::{JournalConfig, Listeners, OperatorsConfig, TlsConfig, check_listeners, check_range};
use crate::settlement::{SettlementConfig, SettlementText};
use crate::text::{DocumentText, ExchangeText};
use crate::watchers::{WatcherKey, WatchersConfig, resolve_watcher_keys};

/// The longest file that is read: room for a hundred thousand genesis accounts.
pub const MAX_FILE_BYTES: u64 = 64 << 20;

/// The configuration of `lakh dev`, in the binary so that it needs no file.
const DEV_FILE: &str = include_str!("../dev.toml");

/// The venue tag of `config/dev.toml`. What is signed for a demonstration must not be valid on a real venue.
const DEV_VENUE_TAG: [u8; 16] = *b"lakh-dev-venue-1";

/// A configuration whose every value was checked, by itself and with the others.
///
/// The sections that only the binary looks at may be changed afterwards (another port, another folder); what goes into
/// the journal's first records is read from here by [`Config::genesis_commands`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which venue this is.
    pub exchange: ExchangeConfig,
    /// Where the input log lives and when it counts.
    pub journal: JournalConfig,
    /// Where traders connect and how much each may ask for.
    pub gateway: GatewayConfig,
    /// What only the people who run the venue reach.
    pub operators: OperatorsConfig,
    /// Where the journal is given out; `None` for a venue that gives it to nobody.
    pub watchers: Option<WatchersConfig>,
    /// What is shown to whoever connects with TLS; `None` for a venue that only this machine reaches.
    pub tls: Option<TlsConfig>,
    /// What accounts can look up of their past.
    pub history: HistoryConfig,
    /// The contract that holds the money; `None` for a venue that starts with money of its own making.
    pub settlement: Option<SettlementConfig>,
    /// Bounds of the shard's tables.
    pub capacities: Capacities,
    /// Nobody holds more than one part in so many of a table that all share.
    pub share_parts: u16,
    /// What has balances, by number from 0.
    pub assets: Vec<AssetSpec>,
    /// What is traded, by number from 0.
    pub markets: Vec<ListedMarket>,
    /// Who starts with money, by number from 1.
    pub accounts: Vec<GenesisAccount>,
    /// Who may take operators' decisions.
    pub operator_keys: Vec<OperatorKey>,
    /// Who may mirror the journal at once; none without [`Self::watchers`].
    pub watcher_keys: Vec<WatcherKey>,
    /// Where it was read from, for messages.
    pub(crate) file: String,
}

/// `[exchange]`: which venue this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeConfig {
    /// Demonstration or real.
    pub mode: Mode,
    /// Identity of the exchange, never zero. `None`: the one in the journal, made at random when the journal is made.
    pub id: Option<[u8; 16]>,
    /// In front of each api key, so that a signature is good for one venue only.
    pub venue_tag: [u8; 16],
    /// Which shard of the exchange this process runs.
    pub shard: u16,
    /// Notice in seconds before any fee rises.
    pub fee_notice_s: u32,
}

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// [`ConfigError::Read`] when it cannot be read, is longer than [`MAX_FILE_BYTES`] or no UTF-8; else as
    /// [`Config::from_toml`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::from_toml(&read_file(path)?, &path.display().to_string())
    }

    /// Checks the TOML document `text`; `name` stands for its file in messages.
    ///
    /// # Errors
    /// The first thing that is wrong: [`ConfigError::Syntax`] for its shape, [`ConfigError::Value`] for its values.
    pub fn from_toml(text: &str, name: &str) -> Result<Self, ConfigError> {
        Self::resolve(parse_toml(text, name)?, name).map_err(|fault| fault.in_file(name))
    }

    /// The embedded configuration of `lakh dev`: BTCUSDT and ETHUSDT, open, and four funded accounts whose secret
    /// keys are the first four of [`crate::well_known::KEYS`].
    pub fn dev() -> Self {
        Self::from_toml(DEV_FILE, "config/dev.toml").expect("a test loads the embedded file")
    }

    fn resolve(document: DocumentText, name: &str) -> Result<Self, Fault> {
        let settlement = document.settlement.as_ref().map(SettlementText::resolve).transpose();
        let settlement = settlement.map_err(|fault| fault.inside("settlement"))?;
        let exchange = resolve_exchange(&document.exchange, settlement.as_ref());
        let exchange = exchange.map_err(|fault| fault.inside("exchange"))?;
        document.journal.check().map_err(|fault| fault.inside("journal"))?;
        document.gateway.check().map_err(|fault| fault.inside("gateway"))?;
        document.operators.check().map_err(|fault| fault.inside("operators"))?;
        let watchers = document.watchers.as_ref();
        watchers.map_or(Ok(()), WatchersConfig::check).map_err(|fault| fault.inside("watchers"))?;
        let listeners = Listeners { gateway: &document.gateway, operators: &document.operators, watchers };
        check_listeners(exchange.mode, &listeners, document.tls.as_ref())?;
        document.history.check().map_err(|fault| fault.inside("history"))?;
        let resolved = document.capacities.resolve();
        let (capacities, share_parts) = resolved.map_err(|fault| fault.inside("capacities"))?;
        let assets = resolve_assets(&document.asset, &capacities)?;
        let markets = resolve_markets(&document.market, &assets, &capacities)?;
        let mut ring = KeyRing::new(exchange.mode);
        let accounts = resolve_accounts(&document.genesis.account, &assets, &capacities, &mut ring)?;
        check_evidence(exchange.mode, &accounts)?;
        if settlement.is_some() && !accounts.is_empty() {
            return Err(Fault::new(
                "genesis.account",
                "stands beside [settlement], where money comes from the chain only",
            ));
        }
        let operator_keys = resolve_operator_keys(&document.operator_key, &mut ring)?;
        let watcher_keys = resolve_watcher_keys(&document.watcher_key, watchers, &mut ring)?;
        Ok(Self {
            exchange,
            journal: document.journal,
            gateway: document.gateway,
            operators: document.operators,
            watchers: document.watchers,
            tls: document.tls,
            history: document.history,
            settlement,
            capacities,
            share_parts,
            assets,
            markets,
            accounts,
            operator_keys,
            watcher_keys,
            file: name.to_owned(),
        })
    }
}

/// The text of the file at `path`.
pub(crate) fn read_file(path: &Path) -> Result<String, ConfigError> {
    read(path).map_err(|source| ConfigError::Read { file: path.display().to_string(), source })
}

/// A document of the shape `T`; `name` stands for its file in messages.
pub(crate) fn parse_toml<T: DeserializeOwned>(text: &str, name: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let Position { line, column, key } = Position::of(text, error.span().map_or(0, |span| span.start));
        ConfigError::Syntax { file: name.to_owned(), line, column, key, reason: error.message().to_owned() }
    })
}

/// The file's text, of bounded length: a wrong path may well be a disk.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let length = File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if length as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}

fn resolve_exchange(text: &ExchangeText, settlement: Option<&SettlementConfig>) -> Result<ExchangeConfig, Fault> {
    let bytes = |key: &str, text: &str| match hex::parse::<16>(text) {
        Ok([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) => Err(Fault::new(key, "is all zeroes")),
        parsed => parsed.map_err(|reason| Fault::new(key, reason)),
    };
    let id = text.id.as_deref().map(|id| bytes("id", id)).transpose()?;
    let venue_tag = text.venue_tag.as_deref().map(|tag| bytes("venue_tag", tag)).transpose()?;
    let venue_tag = match (venue_tag, settlement.map(|settlement| settlement.binding.venue_tag())) {
        (Some(tag), None) => tag,
        (None, Some(derived)) => derived,
        (Some(tag), Some(derived)) if tag == derived => derived,
        (Some(_), Some(derived)) => {
            let derived: String = derived.iter().map(|byte| format!("{byte:02x}")).collect();
            let reason = format!("is not that of [settlement]'s contract and chain, {derived}: leave it out");
            return Err(Fault::new("venue_tag", reason));
        }
        (None, None) => {
            return Err(Fault::new("venue_tag", "is missing, and there is no [settlement] to derive it from"));
        }
    };
    if text.mode == Mode::Run && venue_tag == DEV_VENUE_TAG {
        let reason = "is the demonstration's: orders signed for a demonstration would be valid here";
        return Err(Fault::new("venue_tag", reason));
    }
    let least_notice = if text.mode == Mode::Run { Genesis::MIN_FEE_NOTICE_S } else { 0 };
    check_range("fee_notice_s", text.fee_notice_s, least_notice..=Genesis::MAX_FEE_NOTICE_S)?;
    Ok(ExchangeConfig { mode: text.mode, id, venue_tag, shard: text.shard, fee_notice_s: text.fee_notice_s })
}
