//! `[settlement]`: the contract that holds the traders' money, and how the node reaches its chain.
//!
//! With this section money comes from the chain only, so `[[genesis.account]]` is refused beside it, and the venue's tag
//! follows from the contract, so that a signature is good for this contract on this chain and nowhere else.

use std::net::IpAddr;
use std::path::PathBuf;

use lakh_engine::command::SettlementBinding;
use serde::Deserialize;

use crate::error::Fault;
use crate::hex;
use crate::sections::check_range;

/// `[settlement]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettlementText {
    /// `http://` of a node on this machine.
    chain_url: String,
    /// At least 1.
    chain_id: u64,
    /// `0x` and 40 hexadecimal digits.
    contract: String,
    /// Default 0.
    #[serde(default)]
    first_block: u64,
    /// File with the poster's secret.
    poster_key_file: PathBuf,
    /// File with the header key's secret; another file.
    header_key_file: PathBuf,
    /// Default "node".
    #[serde(default)]
    poster: PosterPlace,
    /// Default "calldata".
    #[serde(default)]
    data: DataPlace,
    /// Default 10.
    #[serde(default = "default_confirmations")]
    confirmations: u64,
    /// Default 60,000.
    #[serde(default = "default_batch_interval_ms")]
    batch_interval_ms: u64,
    /// Default 5,000.
    #[serde(default = "default_withdrawal_interval_ms")]
    withdrawal_interval_ms: u64,
    /// Default 1,000.
    #[serde(default = "default_chain_interval_ms")]
    chain_interval_ms: u64,
}

/// Which process settles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PosterPlace {
    /// The node, on a thread of its own.
    #[default]
    Node,
    /// `lakh settle`, beside the node.
    Apart,
}

/// Where the data of batches are published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataPlace {
    /// In calls, which every node keeps for good.
    #[default]
    Calldata,
    /// In calls or in blobs (EIP-4844), whichever costs less when a batch is sent.
    Cheapest,
}

/// `[settlement]`: where the money is and how batches get there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettlementConfig {
    /// JSON-RPC of a node of the chain: plain HTTP on loopback, or behind a proxy there that speaks TLS.
    pub chain_url: String,
    /// Contract and chain, journaled with the genesis.
    pub binding: SettlementBinding,
    /// The contract was created in this block or later.
    pub first_block: u64,
    /// File with the secp256k1 secret that signs the batches' transactions: 64 hexadecimal digits.
    pub poster_key_file: PathBuf,
    /// File with the secp256k1 secret that signs the batches' headers and receipts: 64 hexadecimal digits. Another key
    /// than the poster's, best kept on another machine's disk: whoever steals one of the two can do nothing with it.
    pub header_key_file: PathBuf,
    /// Which process brings batches to the chain and deposits into the journal.
    pub poster: PosterPlace,
    /// Where the data of batches are published.
    pub data: DataPlace,
    /// Blocks that have to stand on a transaction until it counts as final: 0 ..= 256; 0 only for a chain without
    /// reorganisations.
    pub confirmations: u64,
    /// The longest time between batches while anything changes, in milliseconds: 1,000 ..= 86,400,000.
    pub batch_interval_ms: u64,
    /// The longest time that a withdrawal waits for its batch, in milliseconds: 100 ..= 86,400,000.
    pub withdrawal_interval_ms: u64,
    /// The shortest time between two rounds of questions to the chain, in milliseconds: 10 ..= 60,000.
    pub chain_interval_ms: u64,
}

const fn default_confirmations() -> u64 {
    10
}

const fn default_batch_interval_ms() -> u64 {
    60_000
}

const fn default_withdrawal_interval_ms() -> u64 {
    5_000
}

const fn default_chain_interval_ms() -> u64 {
    1_000
}

impl SettlementText {
    pub(crate) fn resolve(&self) -> Result<SettlementConfig, Fault> {
        const DAY_MS: u64 = 86_400_000;
        check_url(&self.chain_url)?;
        check_range("chain_id", self.chain_id, 1..=u64::MAX)?;
        let digits = self.contract.strip_prefix("0x");
        let digits = digits.ok_or_else(|| Fault::new("contract", "does not begin with 0x"))?;
        let contract = hex::parse(digits).map_err(|reason| Fault::new("contract", format!("behind 0x {reason}")))?;
        if contract == [0; 20] {
            return Err(Fault::new("contract", "is all zeroes"));
        }
        if self.poster_key_file.as_os_str().is_empty() {
            return Err(Fault::new("poster_key_file", "is empty"));
        }
        if self.header_key_file.as_os_str().is_empty() {
            return Err(Fault::new("header_key_file", "is empty"));
        }
        if self.header_key_file == self.poster_key_file {
            return Err(Fault::new("header_key_file", "is the poster's key too; they have to be two"));
        }
        check_range("confirmations", self.confirmations, 0..=256)?;
        check_range("batch_interval_ms", self.batch_interval_ms, 1_000..=DAY_MS)?;
        check_range("withdrawal_interval_ms", self.withdrawal_interval_ms, 100..=DAY_MS)?;
        check_range("chain_interval_ms", self.chain_interval_ms, 10..=60_000)?;
        Ok(SettlementConfig {
            chain_url: self.chain_url.clone(),
            binding: SettlementBinding { chain_id: self.chain_id, contract },
            first_block: self.first_block,
            poster_key_file: self.poster_key_file.clone(),
            header_key_file: self.header_key_file.clone(),
            poster: self.poster,
            data: self.data,
            confirmations: self.confirmations,
            batch_interval_ms: self.batch_interval_ms,
            withdrawal_interval_ms: self.withdrawal_interval_ms,
            chain_interval_ms: self.chain_interval_ms,
        })
    }
}

/// Refuses what is not plain HTTP to this machine: whoever could change the answers on the way could invent deposits.
fn check_url(url: &str) -> Result<(), Fault> {
    let refused = |reason: &str| Err(Fault::new("chain_url", reason));
    let Some(rest) = url.strip_prefix("http://") else {
        return refused("does not begin with http://; for TLS put a proxy in front");
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        _ => authority,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match address {
        Ok(address) if address.is_loopback() => Ok(()),
        _ if host == "localhost" => Ok(()),
        _ => refused("names no loopback address, and plain text leaves this machine in no mode"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_asked_in_plain_text() {
        for url in ["http://127.0.0.1:8545", "http://localhost:8545/key", "http://[::1]:8545", "http://127.0.0.1"] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
        for url in [
            "https://127.0.0.1:8545",
            "http://10.0.0.1:8545",
            "http://localhost.example:8545",
            "http://user@example:80",
            "http://127.0.0.1@example:80",
            "http://",
            "127.0.0.1:8545",
        ] {
            assert!(check_url(url).is_err(), "{url}");
        }
    }
}
