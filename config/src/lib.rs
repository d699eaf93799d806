//! The configuration of a venue: read from TOML, checked completely, handed on as the engine's own types.
//!
//! Why a crate: only the binary reads configuration files; every library takes plain options. What leaves this crate
//! is possible: a market whose lot at one tick is not a whole atom, a table without room, a well-known key on a real
//! venue or plain text towards the outside never gets past [`Config::from_toml`].
//!
//! Invariants: no float anywhere (amounts are decimal strings, read exactly), no key without an effect (unknown ones
//! are refused), no environment variable. A refusal names file, key and reason. Bounds: a file is at most
//! [`MAX_FILE_BYTES`]; the tables are bounded by the capacities that the file itself states, within the engine's.
//!
//! The two files beside this crate, `config/dev.toml` and `config/production.toml`, name and explain every key.
#![forbid(unsafe_code)]

mod accounts;
mod decimal;
mod error;
mod gateway;
mod genesis;
mod hex;
mod history;
#[cfg(test)]
mod key_coverage;
mod listings;
mod position;
mod scenario;
mod sections;
mod settlement;
mod text;
mod venue;
mod watchers;
pub mod well_known;

pub use accounts::{GenesisAccount, OperatorKey};
pub use error::ConfigError;
pub use gateway::{GatewayConfig, Scheduling, Stages};
pub use genesis::GenesisSeed;
pub use history::HistoryConfig;
pub use listings::{ListedMarket, market_from_toml};
pub use scenario::{Burst, Mix, Prices, RecordedFlow, Scenario};
pub use sections::{Durability, JournalConfig, OperatorsConfig, TlsConfig};
pub use settlement::{DataPlace, PosterPlace, SettlementConfig};
pub use venue::{Config, ExchangeConfig, MAX_FILE_BYTES};
pub use watchers::{PublicJournal, WatcherKey, WatchersConfig};
