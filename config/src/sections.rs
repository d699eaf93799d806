//! The sections whose keys go to the libraries as they stand: one struct a section, one field a key.
//!
//! Each key has a default, so that a file says only what differs. Ranges are checked by [`check_range`] once the whole
//! file has been read, so that every refusal names its key in the same way.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use lakh_engine::command::{Capacities, Genesis, Mode};
use serde::Deserialize;

use crate::error::Fault;
use crate::gateway::GatewayConfig;
use crate::watchers::WatchersConfig;

/// When a record of the journal counts as durable, and so may be acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// When the disk has it: survives power loss.
    Sync,
    /// When the kernel has it: survives the death of the process, not power loss.
    Async,
}

/// `[journal]`: where the input log lives and when it counts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalConfig {
    /// Folder of the segments, heads and snapshots; made when missing. A relative path starts at the working
    /// directory. Default `lakh-data`.
    pub directory: PathBuf,
    /// When a record counts as durable. Default `sync`.
    pub durability: Durability,
    /// Bytes of a segment file: a multiple of 4,096 from 64 KiB to 16 GiB. Default 256 MiB.
    pub segment_bytes: u64,
    /// Bytes of the shared-memory ring of the live tail: a power of two from 64 KiB to 4 GiB. Default 64 MiB.
    pub ring_bytes: u64,
    /// Records between two snapshots of the state, from which a start goes on: 1,000 ..= 10^12, or 0 for none. Default
    /// 1,000,000. With 0 and no key for checkpoints the node keeps no second engine.
    pub snapshot_every_records: u64,
    /// The node's Ed25519 key, as `lakh keygen` writes it, under checkpoints of the journal: one for each second of
    /// traffic, in the file `checkpoints` beside the segments. Default empty: none is signed.
    pub checkpoint_key_file: PathBuf,
    /// Percent of the journal's disk: when less than this is free, every market closes but for cancels. 0 ..= 50, 0 for
    /// never. Default 5.
    pub free_disk_percent_min: u8,
    /// Where sealed segments are archived: a directory, or `s3://bucket/prefix` where the program was built for it.
    /// Default empty: nowhere.
    pub archive: String,
    /// Sealed segments that stay beside the journal although they are archived and no start needs them: 0 ..= 1,000,000.
    /// Default 16. Where a contract is bound all stay.
    pub segments_kept: u32,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("lakh-data"),
            durability: Durability::Sync,
            segment_bytes: 256 << 20,
            ring_bytes: 64 << 20,
            snapshot_every_records: 1_000_000,
            checkpoint_key_file: PathBuf::new(),
            free_disk_percent_min: 5,
            archive: String::new(),
            segments_kept: 16,
        }
    }
}

impl JournalConfig {
    pub(crate) fn check(&self) -> Result<(), Fault> {
        if self.directory.as_os_str().is_empty() {
            return Err(Fault::new("directory", "is empty"));
        }
        check_range("segment_bytes", self.segment_bytes, 64 << 10..=16 << 30)?;
        if !self.segment_bytes.is_multiple_of(4_096) {
            return Err(Fault::new("segment_bytes", format!("is {}, not a multiple of 4096", self.segment_bytes)));
        }
        check_range("ring_bytes", self.ring_bytes, 64 << 10..=4 << 30)?;
        if !self.ring_bytes.is_power_of_two() {
            return Err(Fault::new("ring_bytes", format!("is {}, not a power of two", self.ring_bytes)));
        }
        if self.snapshot_every_records != 0 {
            check_range("snapshot_every_records", self.snapshot_every_records, 1_000..=1_000_000_000_000)?;
        }
        check_range("free_disk_percent_min", self.free_disk_percent_min, 0..=50)?;
        check_range("segments_kept", self.segments_kept, 0..=1_000_000)
    }
}

/// `[operators]`: what only the people who run the venue reach.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OperatorsConfig {
    /// Address for health and metrics: loopback, since it is plain text; port 0 takes a free one.
    /// Default `127.0.0.1:9081`.
    pub listen: SocketAddr,
    /// Address of the same with TLS, which needs `[tls]`; port 0 takes a free one. Default: there is none.
    pub tls_listen: Option<SocketAddr>,
    /// Path of the Unix socket that `lakh ctl` speaks to, at most 107 bytes. Default `lakh.sock`.
    pub control_socket: PathBuf,
}

impl Default for OperatorsConfig {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 9_081));
        Self { listen, tls_listen: None, control_socket: PathBuf::from("lakh.sock") }
    }
}

impl OperatorsConfig {
    pub(crate) fn check(&self) -> Result<(), Fault> {
        check_loopback("listen", self.listen)?;
        // A Unix socket's address holds 108 bytes with the closing zero; a longer path fails only when it is bound.
        let length = self.control_socket.as_os_str().len();
        check_range("control_socket (bytes of the path)", length, 1..=107)
    }
}

/// `[tls]`: what the venue shows to whoever connects with TLS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file of the certificates, the venue's own first. No default.
    pub certificate_file: PathBuf,
    /// PEM file of the certificate's private key, readable by nobody but its owner. No default.
    pub private_key_file: PathBuf,
}

/// The sections that name listeners.
pub(crate) struct Listeners<'a> {
    pub(crate) gateway: &'a GatewayConfig,
    pub(crate) operators: &'a OperatorsConfig,
    pub(crate) watchers: Option<&'a WatchersConfig>,
}

/// Refuses listeners that cannot be had: TLS without a certificate, a demonstration that others can reach, one address for
/// two.
pub(crate) fn check_listeners(mode: Mode, listeners: &Listeners<'_>, tls: Option<&TlsConfig>) -> Result<(), Fault> {
    let Listeners { gateway, operators, watchers } = listeners;
    let secure = [
        ("gateway.tls_listen", gateway.tls_listen),
        ("gateway.binary_tls_listen", gateway.binary_tls_listen),
        ("operators.tls_listen", operators.tls_listen),
        ("watchers.tls_listen", watchers.and_then(|watchers| watchers.tls_listen)),
    ];
    let secure = secure.into_iter().filter_map(|(key, address)| Some((key, address?)));
    for (key, address) in secure.clone() {
        if tls.is_none() {
            return Err(Fault::new(key, "needs the section [tls] with a certificate"));
        }
        if mode == Mode::Dev && !address.ip().is_loopback() {
            return Err(Fault::new(
                key,
                format!("{address} is not loopback, and everybody has a demonstration's keys"),
            ));
        }
    }
    let plain = [
        ("gateway.listen", gateway.listen),
        ("gateway.binary_listen", gateway.binary_listen),
        ("operators.listen", operators.listen),
    ];
    let watchers = watchers.map(|watchers| ("watchers.listen", watchers.listen));
    let all: Vec<_> = plain.into_iter().chain(watchers).chain(secure).collect();
    for (index, (key, address)) in all.iter().enumerate() {
        let earlier = all[..index].iter().find(|(_, other)| other == address && address.port() != 0);
        if let Some((other, _)) = earlier {
            return Err(Fault::new(*key, format!("is the address of {other}")));
        }
    }
    Ok(())
}

/// `[capacities]`: bounds of the shard's tables, part of the first record of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CapacitiesText {
    /// Accounts, the venue's own included: 2 ..= 2^24. Default 16,384.
    accounts: u32,
    /// Assets: 2 ..= 64. Default 16.
    assets: u16,
    /// Markets: 1 ..= 1,024. Default 16.
    markets: u16,
    /// Trading keys over all time: 1 ..= 2^24. Default 65,536.
    keys: u32,
    /// Payload digests remembered at once, over all keys: 1 ..= 2^26. Default 1,048,576.
    digests: u32,
    /// Operations that stand in the agenda at once: 1 ..= 2^20. Default 65,536.
    agenda: u32,
    /// Payload digests that a key reserves which is registered through the chain: 1 ..= 2^26, cut to an owner's share
    /// of `digests`. Default 1,024:
    /// enough for about 170 signed requests a second with a window of 5 s.
    digests_per_key: u32,
    /// Nobody holds more than one part in so many of a table that all share: 1 ..= 1,024; 1 where there is nobody to share
    /// with. Default 64.
    share_parts: u16,
}

impl Default for CapacitiesText {
    fn default() -> Self {
        Self {
            accounts: 16_384,
            assets: 16,
            markets: 16,
            keys: 65_536,
            digests: 1 << 20,
            agenda: 65_536,
            digests_per_key: 1_024,
            share_parts: 64,
        }
    }
}

impl CapacitiesText {
    pub(crate) fn resolve(&self) -> Result<(Capacities, u16), Fault> {
        let Self { accounts, assets, markets, keys, digests, agenda, digests_per_key, share_parts } = *self;
        check_range("accounts", accounts, 2..=1 << 24)?;
        check_range("assets", assets, 2..=64)?;
        check_range("markets", markets, 1..=1_024)?;
        check_range("keys", keys, 1..=1 << 24)?;
        check_range("digests", digests, 1..=1 << 26)?;
        check_range("agenda", agenda, 1..=1 << 20)?;
        check_range("digests_per_key", digests_per_key, 1..=1 << 26)?;
        check_range("share_parts", share_parts, 1..=Genesis::MAX_SHARE_PARTS)?;
        // A small store with the default for each key still lets every owner have one key.
        let digests_per_key = digests_per_key.min((digests / u32::from(share_parts)).max(1));
        Ok((Capacities { accounts, assets, markets, keys, digests, agenda, digests_per_key }, share_parts))
    }
}

/// Refuses a value outside of `range`.
pub(crate) fn check_range<T: PartialOrd + Display>(key: &str, value: T, range: RangeInclusive<T>) -> Result<(), Fault> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Fault::new(key, format!("is {value}, outside of {} ..= {}", range.start(), range.end())))
}

/// Refuses an address that others than this machine reach: what is said there can be read and changed on the way.
pub(crate) fn check_loopback(key: &str, address: SocketAddr) -> Result<(), Fault> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    Err(Fault::new(key, format!("{address} is not loopback, and plain text leaves this machine in no mode")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_legal() {
        assert_eq!(JournalConfig::default().check(), Ok(()));
        assert_eq!(OperatorsConfig::default().check(), Ok(()));
        assert!(CapacitiesText::default().resolve().is_ok());
    }

    #[test]
    fn ranges_end_where_they_say() {
        assert_eq!(check_range("k", 1, 1..=3), Ok(()));
        assert_eq!(check_range("k", 3, 1..=3), Ok(()));
        assert_eq!(check_range("k", 0, 1..=3), Err(Fault::new("k", "is 0, outside of 1 ..= 3")));
        assert!(check_range("k", 4, 1..=3).is_err());
    }
}
