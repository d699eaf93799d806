//! Clients that sign badly: what the venue has to bear beside its honest ones.
//!
//! Over WebSocket an impostor uses the api keys of honest traders, which are public, with signatures of another key. Over
//! binary it has a key of its own for the logon and signs orders with another one. The venue ends a connection after three
//! such requests; the impostor comes again at once. One bad request that is taken spoils the run.
//! Bounds: one connection at a time; it sends as many requests as it can, up to its rate, and says how many.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lakh_engine::command::{PlaceOrder, Side};
use lakh_engine::ids::MarketId;
use lakh_engine::units::{Lots, Ticks};
use lakh_gateway::binary_client::{LogonOptions, Message, Requests, now};
use lakh_gateway::wire::sbe::enums::Code;
use serde::Serialize;

use crate::client::{Trader, now_us};
use crate::error::LoadtestError;
use crate::load::transport::{OpenSession, OpeningSession, open_websocket};
use crate::load::websocket_requests::WebSocketRequests;
use crate::market_text::MarketText;
use crate::random::SplitMix64;
use crate::scan::scan_response;
use crate::workload::{LoadOrder, LoadedOrder};

/// Bad requests of one connection: the venue ends it at the last of them.
const REQUESTS: u64 = 3;
/// How long the end of a connection is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// The API's number for a signature that is not accepted.
const BAD_SIGNATURE: i64 = -1022;

/// What became of the hostile clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostileReport {
    /// Bad requests a second that were meant to be sent.
    pub offered_per_second: u64,
    /// Bad requests that were sent.
    pub sent: u64,
    /// Of these the venue answered so many as badly signed; the rest went down with the connection.
    pub refused: u64,
    /// Of these it took so many: there must be none.
    pub accepted: u64,
    /// Connections that the venue ended, as it should.
    pub disconnected: u64,
    /// Connections that could not be opened.
    pub turned_away: u64,
}

/// Where an impostor goes and as whom.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// With other people's api keys.
    WebSocket { url: String, market: MarketText, victims: Vec<Trader> },
    /// With a key of its own, whose account this is, and orders that are signed with another one.
    Binary { address: SocketAddr, venue_tag: [u8; 16], trader: Trader, account: u32 },
}

/// Sends bad requests at this rate until it is stopped.
pub(crate) fn harass(target: &Target, per_second: u64, stop: &Arc<AtomicBool>) -> HostileReport {
    let mut report = HostileReport { offered_per_second: per_second, ..HostileReport::default() };
    let mut random = SplitMix64::new(0xbad);
    let begun = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let due = Duration::from_nanos(report.sent * 1_000_000_000 / per_second.max(1));
        if let Some(early) = due.checked_sub(begun.elapsed()) {
            std::thread::sleep(early.min(Duration::from_millis(50)));
            continue;
        }
        match attack(target, &mut random, &mut report) {
            Ok(()) => report.disconnected += 1,
            // A venue that lets nobody in for a moment has not been asked anything.
            Err(_) => report.turned_away += 1,
        }
        report.sent += REQUESTS;
    }
    report
}

/// One connection from its first request to its end.
fn attack(target: &Target, random: &mut SplitMix64, report: &mut HostileReport) -> Result<(), LoadtestError> {
    match target {
        Target::WebSocket { url, market, victims } => {
            let mut stream = open_websocket(url)?;
            let victim = usize::try_from(random.below(victims.len() as u64)).expect("an index of the victims");
            let impostor = Trader::impostor(&victims[victim], &random.bytes_32());
            let mut requests = WebSocketRequests {
                traders: vec![(victim, impostor)],
                markets: vec![market.clone()],
                run: "bad".to_owned(),
                receive_window_ms: 5_000,
                masks: random.clone(),
            };
            let mut bytes = Vec::new();
            for id in 0..REQUESTS {
                let order = LoadOrder::Add(order(random));
                requests.write(0, &order, (id, now_us() * 1_000), &mut bytes);
            }
            send(&mut stream, &bytes)?;
            let text = read_to_end(&mut stream);
            count_websocket(&text, report);
        }
        Target::Binary { address, venue_tag, trader, account } => {
            let OpenSession { mut stream, mut incoming, accepted } =
                OpeningSession::begin(*address, *venue_tag, (trader, *account))?.finish()?;
            let wrong = Trader::impostor(trader, &random.bytes_32());
            let mut requests = Requests::new(wrong.signing_key().clone());
            requests.log_on(&LogonOptions::new(*venue_tag), now());
            requests.clear();
            requests.logged_on(&accepted);
            for _ in 0..REQUESTS {
                let order = order(random);
                requests.place(&PlaceOrder::limit(MarketId(0), order.side, order.price, order.quantity), now());
            }
            send(&mut stream, requests.bytes())?;
            incoming.feed(&read_to_end(&mut stream));
            while let Ok(Some(message)) = incoming.next_message() {
                match message {
                    Message::BusinessReject(refused) if refused.code.get() == Code::BadSignature.number() => {
                        report.refused += 1;
                    }
                    Message::ExecutionReport(_) => report.accepted += 1,
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

fn order(random: &mut SplitMix64) -> LoadedOrder {
    LoadedOrder {
        number: random.below(1 << 30),
        market: 0,
        side: Side::Bid,
        price: Ticks(1 + random.below(1_000)),
        quantity: Lots(1),
    }
}

fn send(stream: &mut TcpStream, bytes: &[u8]) -> Result<(), LoadtestError> {
    stream.write_all(bytes).map_err(|error| LoadtestError::connection("writing", error))
}

/// Everything until the venue closes the connection or says nothing for long.
fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4_096];
    // Fails only for a duration of zero.
    let _ = stream.set_read_timeout(Some(PATIENCE));
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return bytes,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return bytes,
        }
    }
}

/// Counts answers in the bytes of a connection: each begins where its JSON does.
fn count_websocket(bytes: &[u8], report: &mut HostileReport) {
    let begins = bytes.windows(5).enumerate().filter(|(_, window)| window == b"{\"id\"").map(|(at, _)| at);
    for head in begins.filter_map(|at| scan_response(&bytes[at..])) {
        match (head.status, head.code) {
            (200, _) => report.accepted += 1,
            (_, BAD_SIGNATURE) => report.refused += 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_wherever_they_stand() {
        let mut report = HostileReport::default();
        let refusal =
            br#"{"id":0,"status":400,"error":{"code":-1022,"msg":"Signature for this request is not valid."}}"#;
        let mut bytes = vec![0x81, 90];
        bytes.extend_from_slice(refusal);
        bytes.extend_from_slice(&[0x81, 90]);
        bytes.extend_from_slice(refusal);
        bytes.extend_from_slice(br#"{"id":1,"status":200,"result":{}}"#);
        count_websocket(&bytes, &mut report);
        assert_eq!((report.refused, report.accepted), (2, 1));
    }
}
