//! Soaks of a venue: what thousands of idle connections cost it, and what subscribers that never read cost those who do.
//!
//! The venue is a process of its own, whose memory the system tells; so each of the two has its own table of open files.
//! A soak in which a connection that keeps to the rules is ended gives an error and no number.
//! Bounds: connections by the options; latencies are kept in histograms of fixed size.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::client::{self, Trader, host_and_path, now_us};
use crate::cpu;
use crate::error::LoadtestError;
use crate::load::{LoadOptions, run_load};
use crate::market_text::MarketText;
use crate::report::LatencyMicroseconds;
use crate::scratch_venue::ScratchVenue;
use crate::venue_metrics::VenueMetrics;

/// Longest delay that is told apart, in microseconds.
const LONGEST_US: u64 = 60_000_000;
/// The receive buffer of a subscriber that never reads, in bytes: the less the system takes for it, the sooner it shows.
const SILENT_BUFFER: u32 = 4_096;

/// The load that is on the venue meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    /// Orders and cancels a second.
    pub rate: u64,
    /// For so many seconds.
    pub seconds: u64,
    /// Over so many connections, one key each.
    pub connections: u32,
}

/// What became of the load.
#[derive(Clone, Debug, Serialize)]
pub struct Trading {
    /// Requests a second that were acknowledged.
    pub acknowledged_per_second: u64,
    /// From due to acknowledged.
    pub latency_us: LatencyMicroseconds,
}

/// What idle connections cost.
#[derive(Clone, Debug, Serialize)]
pub struct IdleReport {
    /// How many there were.
    pub idle: usize,
    /// The venue's memory before them and with them, in bytes, with nothing else going on.
    pub resident_bytes: (u64, u64),
    /// The difference for each.
    pub bytes_per_connection: u64,
    /// Trading before them.
    pub alone: Trading,
    /// Trading beside them.
    pub beside: Trading,
}

/// Measures trading alone, opens `idle` connections that only answer pings, and measures it again.
///
/// # Errors
/// When the venue cannot be reached, loses a request, or ends an idle connection.
pub async fn idle(
    idle: usize,
    traffic: Traffic,
    venue: &ScratchVenue,
    traders: &[Trader],
) -> Result<IdleReport, LoadtestError> {
    let alone = trade("a", traffic, venue, traders).await?;
    let before = resident_bytes(venue)?;
    let mut connections = JoinSet::new();
    for _ in 0..idle {
        let (outgoing, mut incoming) = client::connect_small(venue.websocket()).await?;
        connections.spawn(async move {
            let ended = incoming.next().await;
            drop(outgoing);
            ended.err()
        });
    }
    let after = resident_bytes(venue)?;
    let beside = trade("b", traffic, venue, traders).await?;
    if let Some(ended) = connections.try_join_next() {
        return Err(LoadtestError::Venue(format!("an idle connection was ended: {ended:?}")));
    }
    let bytes_per_connection = after.saturating_sub(before) / u64::try_from(idle.max(1)).unwrap_or(u64::MAX);
    Ok(IdleReport { idle, resident_bytes: (before, after), bytes_per_connection, alone, beside })
}

/// What subscribers of a busy market were told, and when.
#[derive(Clone, Debug, Serialize)]
pub struct FanOutReport {
    /// Subscribers that read.
    pub readers: usize,
    /// Subscribers that do not.
    pub silent: usize,
    /// Of these the venue ended so many for it.
    pub silent_ended: u64,
    /// Messages that the readers got.
    pub delivered: u64,
    /// From the event's time, which has whole milliseconds, to the reader, in microseconds.
    pub delay_us: LatencyMicroseconds,
    /// Trading meanwhile.
    pub trading: Trading,
}

/// Has `readers` subscribers read trades and depth of a market that is traded on, beside `silent` ones that never read.
///
/// # Errors
/// When the venue cannot be reached, loses a request, or ends a subscriber that reads.
pub async fn fan_out(
    (readers, silent): (usize, usize),
    traffic: Traffic,
    venue: &ScratchVenue,
    traders: &[Trader],
) -> Result<FanOutReport, LoadtestError> {
    let names = "unitcash@trade/unitcash@depth@100ms/unitcash@depth20@100ms";
    let url = format!("{}?streams={names}", venue.ready()["streams"].as_str().unwrap_or_default());
    let stop = Arc::new(AtomicBool::new(false));
    let mut reading = JoinSet::new();
    for _ in 0..readers {
        let (outgoing, incoming) = client::connect_small(&url).await?;
        let stop = Arc::clone(&stop);
        reading.spawn(async move {
            let delays = read(incoming, &stop).await;
            drop(outgoing);
            delays
        });
    }
    let mut silent_ones = Vec::with_capacity(silent);
    for _ in 0..silent {
        silent_ones.push(subscribe_in_silence(&url).await?);
    }
    let trading = trade("a", traffic, venue, traders).await?;
    stop.store(true, Ordering::Relaxed);
    let mut delays = delays();
    while let Some(read) = reading.join_next().await {
        let read = read.map_err(|error| LoadtestError::Venue(format!("a subscriber panicked: {error}")))?;
        delays.add(read?).expect("both have the same bounds");
    }
    let silent_ended = metric(venue, "lakh_gateway_slow_consumers_dropped_total").await?;
    drop(silent_ones);
    let at = |quantile| delays.value_at_quantile(quantile);
    let delay_us =
        LatencyMicroseconds { p50: at(0.5), p99: at(0.99), p99_9: at(0.999), p99_99: at(0.9999), max: delays.max() };
    Ok(FanOutReport { readers, silent, silent_ended, delivered: delays.len(), delay_us, trading })
}

/// Trades for the whole of `traffic`; `run` is in front of the orders' ids.
///
/// # Errors
/// When the venue cannot be reached or loses a request.
pub async fn trade(
    run: &str,
    traffic: Traffic,
    venue: &ScratchVenue,
    traders: &[Trader],
) -> Result<Trading, LoadtestError> {
    let mut options = LoadOptions::new(venue.websocket(), MarketText::cents_and_units("UNITCASH"));
    options.operations = traffic.rate.saturating_mul(traffic.seconds);
    options.operations_per_second = traffic.rate;
    options.connections = traffic.connections;
    run.clone_into(&mut options.run);
    let traders = traders.to_vec();
    let loading = tokio::task::spawn_blocking(move || run_load(&options, &traders));
    let measured = loading.await.map_err(|_| LoadtestError::Venue("the load panicked".to_owned()))??;
    let latency_us = measured.recorder.latency_us();
    Ok(Trading { acknowledged_per_second: measured.orders_per_second(), latency_us })
}

fn delays() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("constant bounds that the type allows")
}

/// Reads until the stop, and for as long as something comes; how late each message was.
async fn read(mut incoming: client::Incoming, stop: &AtomicBool) -> Result<Histogram<u64>, LoadtestError> {
    let mut delays = delays();
    loop {
        match incoming.next_within(Duration::from_millis(500)).await {
            Ok(message) => {
                if let Some(event_ms) = event_time(&message) {
                    delays.saturating_record(now_us().saturating_sub(event_ms * 1_000).max(1));
                }
            }
            Err(LoadtestError::TimedOut { .. }) if stop.load(Ordering::Relaxed) => return Ok(delays),
            Err(LoadtestError::TimedOut { .. }) => {}
            Err(ended) => return Err(ended),
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(delays);
        }
    }
}

/// `E` of a public message, in milliseconds.
fn event_time(message: &str) -> Option<u64> {
    let (_, rest) = message.split_once("\"E\":")?;
    let digits = rest.len() - rest.trim_start_matches(|character: char| character.is_ascii_digit()).len();
    rest[..digits].parse().ok()
}

/// A subscriber that reads the answer to its handshake and nothing after that.
async fn subscribe_in_silence(url: &str) -> Result<TcpStream, LoadtestError> {
    let failed = |error: std::io::Error| LoadtestError::connection("subscribing", error);
    let (address, path) = host_and_path(url)?;
    let socket = TcpSocket::new_v4().map_err(failed)?;
    socket.set_recv_buffer_size(SILENT_BUFFER).map_err(failed)?;
    let mut stream = socket.connect(address).await.map_err(failed)?;
    let offer = format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(offer.as_bytes()).await.map_err(failed)?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.map_err(failed)?;
    match head.ends_with(b"101") {
        true => Ok(stream),
        false => Err(LoadtestError::Venue("the venue takes no subscriber".to_owned())),
    }
}

/// A count that the venue's operators' port tells.
///
/// # Errors
/// When the venue cannot be reached, or tells no such number.
pub async fn metric(venue: &ScratchVenue, name: &str) -> Result<u64, LoadtestError> {
    let health = venue.health().to_owned();
    let metrics = tokio::task::spawn_blocking(move || VenueMetrics::fetch(&health)).await;
    let metrics = metrics.map_err(|error| LoadtestError::Venue(format!("asking for metrics: {error}")))??;
    // A count of what happened in seconds: far below where a float skips one.
    Ok(metrics.value(name)? as u64)
}

/// The memory of the venue's process that is in use.
///
/// # Errors
/// When the system does not tell it.
pub fn resident_bytes(venue: &ScratchVenue) -> Result<u64, LoadtestError> {
    cpu::resident_bytes(venue.process_id()).ok_or_else(|| LoadtestError::Venue("its memory is not told".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_addresses_are_read() {
        assert_eq!(
            event_time(r#"{"stream":"x","data":{"e":"trade","E":1700000000123,"s":"A"}}"#),
            Some(1_700_000_000_123)
        );
        assert_eq!(event_time(r#"{"lastUpdateId":1}"#), None);
        let (address, path) = host_and_path("ws://127.0.0.1:9080/stream?streams=a/b").unwrap();
        assert_eq!((address.port(), path), (9_080, "/stream?streams=a/b"));
    }
}
