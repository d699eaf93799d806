//! `kill -9` under load, two hundred times: nothing that was acknowledged is missing afterwards, and the state is the same.
//!
//! A client that remembers every acknowledgement floods a venue of its own with signed orders; the venue is killed at a
//! random instant, on the way up, too, ten times over on the same journal, then comes the next venue. After each kill
//! the journal is replayed here: it must hold every acknowledged order at the sequence that its id names, and wherever the
//! live engine had noted its state, which each start does, this replay must be in the same one.
//!
//! A hundred kills at each level in continuous integration. `cargo xtask soak journal` asks for more by
//! `LAKH_KILL_ROUNDS`, and goes on where it was by `LAKH_KILL_PROGRESS`, a file with a line for each venue that is through.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod flood;

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::time::Duration;

use lakh_engine::Engine;
use lakh_engine::codec::split_payload;
use lakh_engine::command::{Command, Operation, SignedCommand};
use lakh_engine::ids::Sequence;
use lakh_engine::units::Timestamp;
use lakh_journal::JournalReader;
use lakh_loadtest::random::SplitMix64;
use lakh_loadtest::scratch_venue::VenueOptions;
use serde_json::Value as Json;

use crate::flood::flood;

const PROGRAM: &str = env!("CARGO_BIN_EXE_lakh");
const SEED: u64 = 0x6b69_6c6c;
/// Kills on one journal: each one replays all of it.
const KILLS_A_VENUE: u64 = 10;

#[test]
fn a_hundred_kills_at_sync_lose_nothing_acknowledged() {
    kill_venues("sync");
}

#[test]
fn a_hundred_kills_at_async_lose_nothing_acknowledged() {
    kill_venues("async");
}

/// What one venue went through.
#[derive(Default)]
struct Told {
    acknowledged: HashMap<u64, String>,
    states_compared: u64,
}

impl Told {
    /// Remembers an order that was acknowledged, by its id.
    fn hear(&mut self, answer: &Json) {
        if answer["status"] == 200 {
            let (id, client_id) = (&answer["result"]["orderId"], &answer["result"]["clientOrderId"]);
            self.acknowledged.insert(id.as_u64().unwrap(), client_id.as_str().unwrap().to_owned());
        }
    }
}

fn kill_venues(durability: &str) {
    let rounds = std::env::var("LAKH_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    let progress = std::env::var_os("LAKH_KILL_PROGRESS");
    let done = progress.as_ref().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut kills, mut acknowledged) = (0, 0);
    for venue in 0_u64..rounds / KILLS_A_VENUE {
        let line = format!("{durability} {venue}");
        if done.lines().any(|through| through == line) {
            continue;
        }
        println!("seed {SEED}, {durability}, venue {venue}");
        let told = kill_venue(durability, venue, &runtime);
        kills += KILLS_A_VENUE;
        acknowledged += told.acknowledged.len();
        assert!(told.states_compared > KILLS_A_VENUE, "{} states were compared", told.states_compared);
        if let Some(path) = &progress {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
            writeln!(file, "{line}").unwrap();
        }
    }
    println!("{kills} kills at {durability}: {acknowledged} orders acknowledged, none missing");
    assert!(kills == 0 || acknowledged as u64 > 10 * kills, "{acknowledged} acknowledged orders show nothing");
}

/// A venue is killed ten times and then stopped in order.
fn kill_venue(durability: &str, venue: u64, runtime: &tokio::runtime::Runtime) -> Told {
    let mut random = SplitMix64::stream(SEED, venue * 2 + u64::from(durability == "sync"));
    let scratch = tempfile::tempdir().unwrap();
    let mut options = VenueOptions::new(Path::new(PROGRAM), scratch.path());
    options.durability = durability.to_owned();
    options.stages = if venue.is_multiple_of(2) { "shared" } else { "own_threads" };
    options.segment_bytes = 256 << 10;
    options.digest_capacity = 1 << 15;
    let trader = options.traders().remove(0);
    let mut told = Told::default();
    for round in 0..KILLS_A_VENUE {
        if round > 0 && random.below(4) == 0 {
            kill_on_the_way_up(&options, Duration::from_micros(random.below(60_000)));
            examine(&options.journal(), &mut told);
        }
        let running = options.start().unwrap();
        let url = running.websocket().to_owned();
        let pause = Duration::from_micros(2_000 + random.below(80_000));
        let name = format!("k{round}");
        runtime.block_on(async {
            let killed = async {
                tokio::time::sleep(pause).await;
                running.kill();
            };
            tokio::join!(flood(&url, &trader, &name, |answer| told.hear(answer)), killed);
        });
        examine(&options.journal(), &mut told);
    }
    let closed = options.start().unwrap().stop().unwrap();
    let engine = examine(&options.journal(), &mut told);
    assert_eq!(closed["stateHash"], hex(&engine.state_hash()));
    assert_eq!(closed["eventDigest"], hex(&engine.event_digest()));
    told
}

fn kill_on_the_way_up(options: &VenueOptions, after: Duration) {
    let mut command = Process::new(PROGRAM);
    command.args(["run", "--json", "--config"]).arg(options.directory.join("lakh.toml"));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Replays the journal: every acknowledged order is in it, at the sequence that its id names, with its client id, and the
/// live engine was in the states in which this one is.
fn examine(journal: &Path, told: &mut Told) -> Engine {
    let mut found = HashMap::new();
    let mut engine = Engine::new();
    let mut events = Vec::new();
    let mut reader = JournalReader::open(journal).unwrap();
    told.states_compared = 0;
    while let Some(record) = reader.next().unwrap() {
        let (sequence, timestamp) = (Sequence(record.header.sequence), Timestamp(record.header.timestamp_ns));
        let (command, _) = split_payload(record.payload).unwrap();
        engine.apply(sequence, timestamp, &command, &mut events);
        if let Command::Signed(SignedCommand { operation: Operation::PlaceOrder(order), .. }) = command {
            found.insert(sequence.0 * 64, order.client_id.as_str().to_owned());
        }
        let block = reader.block().unwrap();
        if block.state_sequence == sequence.0 && block.state_hash != [0; 32] {
            assert_eq!(block.state_hash, engine.state_hash(), "state at {sequence}");
            assert_eq!(block.event_digest, engine.event_digest(), "events up to {sequence}");
            told.states_compared += 1;
        }
    }
    for (order, client_id) in &told.acknowledged {
        assert_eq!(found.get(order), Some(client_id), "order {order} was acknowledged and is not in the journal");
    }
    engine
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
