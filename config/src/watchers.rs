//! `[watchers]` and `[[watcher_key]]`: who may mirror the journal, how fast, and how long after the fact everybody may.
//!
//! Without the section nobody is given the journal. A key of a watcher is nobody's trading key and no operator's.

use std::net::SocketAddr;

use serde::Deserialize;

use crate::accounts::{KeyRing, check_name};
use crate::error::Fault;
use crate::sections::{check_loopback, check_range};
use crate::text::WatcherKeyText;

/// Watchers at most.
const MAX_KEYS: usize = 1_024;

/// When somebody without a key is given a record of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PublicJournal {
    /// When its batch is final on the chain. Never, where there is no contract.
    Final,
    /// `public_delay_s` after it was sealed.
    Delayed,
    /// Never.
    Never,
}

/// `[watchers]`: where the journal is given out.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchersConfig {
    /// Address of the port for watchers and the public: loopback, since it is plain text; port 0 takes a free one.
    /// Default `127.0.0.1:9084`.
    pub listen: SocketAddr,
    /// Address of the same with TLS, which needs `[tls]`; port 0 takes a free one. Default: there is none.
    pub tls_listen: Option<SocketAddr>,
    /// When the public is given a record. Default `final`.
    pub public: PublicJournal,
    /// Seconds that a record is kept from the public where `public` is `delayed`: 1 ..= 31,622,400. Default 86,400.
    pub public_delay_s: u32,
    /// Connections that one watcher's key may have: 1 ..= 16. Default 4.
    pub connections_per_key: u32,
    /// Bytes a second that one watcher's key is sent, over all of its connections: 65,536 ..= 1,073,741,824. Default
    /// 67,108,864.
    pub bytes_per_second_per_key: u32,
    /// Connections of the public, all together: 1 ..= 4,096. Default 16.
    pub public_connections: u32,
    /// Connections of the public that one IP address may have: 1 ..= 16. Default 2.
    pub public_connections_per_address: u32,
    /// Bytes a second that the public is sent, all of it together: 65,536 ..= 1,073,741,824. Default 8,388,608.
    pub public_bytes_per_second: u32,
    /// Milliseconds without progress, also of a request that waits for more, after which a reader is let go: 1,000 ..=
    /// 600,000. Default 30,000.
    pub patience_ms: u32,
}

impl Default for WatchersConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9_084)),
            tls_listen: None,
            public: PublicJournal::Final,
            public_delay_s: 86_400,
            connections_per_key: 4,
            bytes_per_second_per_key: 64 << 20,
            public_connections: 16,
            public_connections_per_address: 2,
            public_bytes_per_second: 8 << 20,
            patience_ms: 30_000,
        }
    }
}

impl WatchersConfig {
    pub(crate) fn check(&self) -> Result<(), Fault> {
        const RATES: std::ops::RangeInclusive<u32> = 65_536..=1 << 30;
        check_loopback("listen", self.listen)?;
        check_range("public_delay_s", self.public_delay_s, 1..=31_622_400)?;
        check_range("connections_per_key", self.connections_per_key, 1..=16)?;
        check_range("bytes_per_second_per_key", self.bytes_per_second_per_key, RATES)?;
        check_range("public_connections", self.public_connections, 1..=4_096)?;
        check_range("public_connections_per_address", self.public_connections_per_address, 1..=16)?;
        check_range("public_bytes_per_second", self.public_bytes_per_second, RATES)?;
        check_range("patience_ms", self.patience_ms, 1_000..=600_000)
    }
}

/// A key that may mirror the journal at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatcherKey {
    /// For logs.
    pub name: String,
    /// The Ed25519 public key.
    pub public_key: [u8; 32],
}

/// Resolves `[[watcher_key]]`.
pub(crate) fn resolve_watcher_keys(
    texts: &[WatcherKeyText],
    watchers: Option<&WatchersConfig>,
    ring: &mut KeyRing,
) -> Result<Vec<WatcherKey>, Fault> {
    if !texts.is_empty() && watchers.is_none() {
        return Err(Fault::new("watcher_key", "stands without [watchers], which says where the journal is given out"));
    }
    check_range("watcher_key (count)", texts.len(), 0..=MAX_KEYS)?;
    let resolve = |text: &WatcherKeyText, ring: &mut KeyRing| {
        check_name(&text.name)?;
        let public_key = ring.add("public_key", &text.public_key)?;
        Ok(WatcherKey { name: text.name.clone(), public_key })
    };
    let keys = texts.iter().enumerate().map(|(index, text)| {
        resolve(text, ring).map_err(|fault: Fault| fault.inside(&format!("watcher_key[{index}]")))
    });
    keys.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_legal() {
        assert_eq!(WatchersConfig::default().check(), Ok(()));
    }
}
