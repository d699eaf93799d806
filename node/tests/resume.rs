//! A client that lost its connection is told what it missed, each report once, whatever became of the venue meanwhile.
//!
//! One client listens to an account and comes back each time behind the last report that it saw; others trade for the
//! account all the time. The venue is killed with -9 at random instants and started again on the same journal. In the end
//! the client has every report of the account once and in the order of its count, and they are letter by letter what
//! the venue tells somebody who asks for all of it.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod flood;

use std::path::Path;
use std::time::{Duration, Instant};

use lakh_gateway::binary_client::{BinaryClient, LogonOptions};
use lakh_gateway::wire::sbe::enums::SessionRole;
use lakh_loadtest::client::{Incoming, Outgoing, Trader, Value, connect, now_us, signed_request};
use lakh_loadtest::random::SplitMix64;
use lakh_loadtest::scratch_venue::{ScratchVenue, VENUE_TAG, VenueOptions};
use serde_json::Value as Json;

use crate::flood::{flood, order};

const PROGRAM: &str = env!("CARGO_BIN_EXE_lakh");
const ROUNDS: u64 = 6;

#[test]
fn nothing_is_missed_and_nothing_comes_twice() {
    let seed = 0x7265_7375;
    println!("seed {seed}");
    let scratch = tempfile::tempdir().unwrap();
    let mut options = VenueOptions::new(Path::new(PROGRAM), scratch.path());
    options.segment_bytes = 1 << 20;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut random = SplitMix64::stream(seed, 1);
    let mut seen = Seen::default();
    for round in 0..ROUNDS {
        let venue = options.start().unwrap();
        let trader = options.traders().remove(0);
        let flood = runtime.spawn(trade(venue.websocket().to_owned(), trader.clone(), round));
        let pause = Duration::from_micros(50_000 + random.below(200_000));
        let url = venue.websocket().to_owned();
        let before = seen.reports.len();
        seen = runtime.block_on(async {
            // The venue is killed while the client listens: what it has by then is what its socket has.
            let listener = tokio::spawn(listen(url, trader, seen));
            tokio::time::sleep(pause).await;
            tokio::task::spawn_blocking(move || venue.kill()).await.unwrap();
            listener.await.unwrap()
        });
        runtime.block_on(flood).unwrap();
        println!("round {round}: killed after {pause:?}, {} reports more", seen.reports.len() - before);
    }
    let venue = options.start().unwrap();
    let trader = options.traders().remove(0);
    let (rest, all) = runtime.block_on(async {
        let last = quiet_end(&venue, &trader).await;
        let rest = listen_until(venue.websocket(), &trader, seen, last).await;
        let begun = Instant::now();
        let all = listen_until(venue.websocket(), &trader, Seen::default(), last).await;
        println!("{} events told again in {:?}", all.reports.len(), begun.elapsed());
        (rest, all)
    });
    venue.stop().unwrap();
    let counts: Vec<u64> = rest.reports.iter().filter(|one| !one.is_position()).map(|one| one.count).collect();
    assert_eq!(counts, (1..=counts.len() as u64).collect::<Vec<_>>(), "each report once, in order");
    assert!(counts.len() > 1_000, "only {} reports: the test shows nothing", counts.len());
    assert!(rest.reports.iter().filter(|one| one.is_position()).count() > 100, "balances are among them");
    assert_eq!(rest.reports, all.reports, "what came live and what is told again is the same");
    too_far_back_and_too_far_ahead(&options, &runtime);
}

/// An account that only ever traded over WebSocket is told everything from its first report on over the binary face, while
/// it goes on trading: from the log at first, and then live.
#[test]
fn the_binary_face_knows_what_was_traded_before_anybody_used_it() {
    let scratch = tempfile::tempdir().unwrap();
    let options = VenueOptions::new(Path::new(PROGRAM), scratch.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let venue = options.start().unwrap();
    let trader = options.traders().remove(0);
    runtime.block_on(async {
        let flood = tokio::spawn(trade(venue.websocket().to_owned(), trader.clone(), 0));
        tokio::time::sleep(Duration::from_millis(300)).await;
        for sender in ["first", "second"] {
            let mut logon = LogonOptions::new(VENUE_TAG);
            (logon.role, logon.resume_from) = (SessionRole::DropCopy, Some(0));
            sender.clone_into(&mut logon.sender);
            let address = venue.binary().parse().unwrap();
            let (mut client, _) = BinaryClient::connect(address, trader.signing_key(), &logon).await.unwrap();
            let before = Instant::now();
            let mut last = 0;
            // Longer than the log takes: what comes at the end is live.
            while before.elapsed() < Duration::from_secs(1) || last < 1_000 {
                let message = tokio::time::timeout(Duration::from_secs(20), client.next()).await.expect("more comes");
                let (count, _) = message.unwrap().report().expect("a drop copy is told of its account only");
                assert_eq!(count.get(), last + 1, "each report once, in order");
                last = count.get();
            }
            println!("{sender}: {last} reports");
        }
        flood.abort();
    });
    venue.stop().unwrap();
}

/// What a client knows of its account.
#[derive(Clone, Debug, Default)]
struct Seen {
    reports: Vec<Report>,
}

/// One event as it came.
#[derive(Clone, Debug, PartialEq)]
struct Report {
    count: u64,
    event: Json,
}

impl Report {
    fn is_position(&self) -> bool {
        self.event["e"] == "outboundAccountPosition"
    }
}

impl Seen {
    /// The counts of the last report and of the last position.
    fn last(&self) -> (u64, u64) {
        let last = |position| self.reports.iter().rev().find(|one| one.is_position() == position);
        (last(false).map_or(0, |one| one.count), last(true).map_or(0, |one| one.count))
    }

    fn take(&mut self, message: &str) {
        let message: Json = serde_json::from_str(message).unwrap();
        let event = message["event"].clone();
        assert!(event.is_object() && event["e"] != "resumeEnded", "{message}");
        let count = event["reportSeq"].as_u64().unwrap_or_else(|| panic!("{message}"));
        self.reports.push(Report { count, event });
    }
}

async fn resume(url: &str, trader: &Trader, (from, position): (u64, u64)) -> Option<(Outgoing, Incoming, Json)> {
    let (mut outgoing, mut incoming) = connect(url).await.ok()?;
    let mut params = vec![("fromSeq", Value::Number(from)), ("timestamp", Value::Number(now_us()))];
    params.push(("positionSeq", Value::Number(position)));
    let request = signed_request(1, "userDataStream.resume", trader, &params);
    outgoing.feed(request.into()).await.ok()?;
    outgoing.flush().await.ok()?;
    let answer = serde_json::from_str(&incoming.next().await.ok()?).unwrap();
    Some((outgoing, incoming, answer))
}

/// Goes on behind what was seen, until the venue is gone.
async fn listen(url: String, trader: Trader, mut seen: Seen) -> Seen {
    let Some((_outgoing, mut incoming, answer)) = resume(&url, &trader, seen.last()).await else { return seen };
    assert_eq!(answer["status"], 200, "{answer}");
    while let Ok(message) = incoming.next().await {
        seen.take(&message);
    }
    seen
}

/// Goes on behind what was seen, up to the report with this count and the position behind it.
async fn listen_until(url: &str, trader: &Trader, mut seen: Seen, last: u64) -> Seen {
    let (_outgoing, mut incoming, answer) = resume(url, trader, seen.last()).await.unwrap();
    assert_eq!(answer["status"], 200, "{answer}");
    // The venue's last command for the account changes a balance, so its position is the last of all.
    while seen.last() != (last, last) {
        let message =
            tokio::time::timeout(Duration::from_secs(20), incoming.next()).await.expect("what was missed comes");
        seen.take(&message.unwrap());
    }
    seen
}

/// Places a last order and gives the count of its report.
async fn quiet_end(venue: &ScratchVenue, trader: &Trader) -> u64 {
    let (mut outgoing, mut incoming, answer) = resume(venue.websocket(), trader, (0, 0)).await.unwrap();
    let through = answer["result"]["throughSeq"].as_u64().unwrap();
    outgoing.feed(order(trader, 0, "last").into()).await.unwrap();
    outgoing.flush().await.unwrap();
    loop {
        let message: Json = serde_json::from_str(&incoming.next().await.unwrap()).unwrap();
        if message["event"]["c"] == "last" {
            let count = message["event"]["reportSeq"].as_u64().unwrap();
            assert!(count > through);
            return count;
        }
    }
}

/// Trades as fast as it goes, until the venue is gone.
async fn trade(url: String, trader: Trader, round: u64) {
    flood(&url, &trader, &format!("r{round}"), |_| {}).await;
}

/// With little room for reports the first ones are gone, and whoever asks is told from where on there are any.
fn too_far_back_and_too_far_ahead(options: &VenueOptions, runtime: &tokio::runtime::Runtime) {
    let configuration = options.configuration()
        + "\n[history]\nreport_bytes = 1048576\nreport_segment_bytes = 65536\narchive = \"https://archive.example/\"\n";
    let file = options.directory.join("small.toml");
    std::fs::write(&file, configuration).unwrap();
    let venue = ScratchVenue::launch(&options.program, &file).unwrap();
    let trader = options.traders().remove(0);
    runtime.block_on(async {
        let flood = tokio::spawn(trade(venue.websocket().to_owned(), trader.clone(), 99));
        let gone = loop {
            let (_, _, answer) = resume(venue.websocket(), &trader, (0, 0)).await.unwrap();
            match answer["error"]["code"].as_i64() {
                None => tokio::time::sleep(Duration::from_millis(50)).await,
                Some(-2101) => break answer,
                Some(_) => panic!("{answer}"),
            }
        };
        flood.abort();
        assert_eq!(
            (&gone["status"], &gone["error"]["data"]["archive"]),
            (&410.into(), &"https://archive.example/".into())
        );
        let floor = gone["error"]["data"]["floor"].as_u64().unwrap();
        assert!(floor > 0);
        let (_, _, ahead) = resume(venue.websocket(), &trader, (1 << 40, 0)).await.unwrap();
        assert_eq!(ahead["error"]["code"], -1130, "{ahead}");
    });
    venue.stop().unwrap();
}
