//! The sections whose keys go to the libraries as they stand: one struct a section, one field a key.
//!
//! Each key has a default, so that a file says only what differs. Ranges are checked by [`check_range`] once the whole
//! file has been read, so that every refusal names its key in the same way.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use lakh_engine::command::{Capacities, Genesis};
use serde::Deserialize;

use crate::error::Fault;

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
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("lakh-data"),
            durability: Durability::Sync,
            segment_bytes: 256 << 20,
            ring_bytes: 64 << 20,
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
        Ok(())
    }
}

/// `[gateway]`: where traders connect and how much each may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// Address of the one port for HTTP and WebSocket: loopback, since it is plain text; port 0 takes a free one.
    /// Default `127.0.0.1:9080`.
    pub listen: SocketAddr,
    /// Address of the binary port of market makers: loopback, since it is plain text; port 0 takes a free one.
    /// Default `127.0.0.1:9083`.
    pub binary_listen: SocketAddr,
    /// Connections open at once, of both ports: 1 ..= 65,536. Default 1,024.
    pub max_connections: u32,
    /// Requests that one connection may have unanswered: 1 ..= 1,024. Default 256.
    pub in_flight_per_connection: u32,
    /// Requests a second that one IP address may send, whatever its keys: 1 ..= 10,000,000. Default 10,000.
    pub requests_per_second_per_address: u32,
    /// Requests that one IP address may send at once after a pause: 1 ..= 10,000,000. Default 20,000.
    pub request_burst_per_address: u32,
    /// Requests a second that one key may sign: 1 ..= 10,000,000. Default 5,000.
    pub requests_per_second_per_key: u32,
    /// Requests that one key may sign at once after a pause: 1 ..= 10,000,000. Default 10,000.
    pub request_burst_per_key: u32,
    /// Messages that wait for one slow reader before it is dropped: 16 ..= 1,048,576. Default 4,096.
    pub outbox_messages: u32,
    /// Bytes that wait for one slow reader of the binary port before it is dropped: 8,388,608 ..= 1,073,741,824, since
    /// what a client has missed has to fit. Default 33,554,432.
    pub binary_outbox_bytes: u32,
    /// Threads that verify signatures: 1 ..= 64. Default 1, right for two cores.
    pub verifiers: u32,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9_080)),
            binary_listen: SocketAddr::from(([127, 0, 0, 1], 9_083)),
            max_connections: 1_024,
            in_flight_per_connection: 256,
            requests_per_second_per_address: 10_000,
            request_burst_per_address: 20_000,
            requests_per_second_per_key: 5_000,
            request_burst_per_key: 10_000,
            outbox_messages: 4_096,
            binary_outbox_bytes: 32 << 20,
            verifiers: 1,
        }
    }
}

impl GatewayConfig {
    pub(crate) fn check(&self) -> Result<(), Fault> {
        const RATES: RangeInclusive<u32> = 1..=10_000_000;
        check_loopback("listen", self.listen)?;
        check_loopback("binary_listen", self.binary_listen)?;
        check_range("max_connections", self.max_connections, 1..=65_536)?;
        check_range("in_flight_per_connection", self.in_flight_per_connection, 1..=1_024)?;
        check_range("requests_per_second_per_address", self.requests_per_second_per_address, RATES)?;
        check_range("request_burst_per_address", self.request_burst_per_address, RATES)?;
        check_range("requests_per_second_per_key", self.requests_per_second_per_key, RATES)?;
        check_range("request_burst_per_key", self.request_burst_per_key, RATES)?;
        check_range("outbox_messages", self.outbox_messages, 16..=1 << 20)?;
        check_range("binary_outbox_bytes", self.binary_outbox_bytes, 8 << 20..=1 << 30)?;
        check_range("verifiers", self.verifiers, 1..=64)
    }
}

/// `[operators]`: what only the people who run the venue reach.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OperatorsConfig {
    /// Address for health: loopback, since it is plain text; port 0 takes a free one.
    /// Default `127.0.0.1:9081`.
    pub listen: SocketAddr,
    /// Path of the Unix socket that `lakh ctl` speaks to, at most 107 bytes. Default `lakh.sock`.
    pub control_socket: PathBuf,
}

impl Default for OperatorsConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9_081)), control_socket: PathBuf::from("lakh.sock") }
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
fn check_loopback(key: &str, address: SocketAddr) -> Result<(), Fault> {
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
        assert_eq!(GatewayConfig::default().check(), Ok(()));
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
