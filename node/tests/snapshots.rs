//! What the keeper keeps: starts from snapshots that answer as if nothing had happened, snapshots that do not count,
//! checkpoints, segments that go into an archive and come back, and a disk that is nearly full.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod program;

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lakh_loadtest::client::{Trader, Value, connect, now_us, plain_request, signed_request};
use lakh_loadtest::scratch_venue::{ScratchVenue, VenueOptions};
use serde_json::Value as Json;

use crate::program::{PROGRAM, json, lakh};

const PATIENCE: Duration = Duration::from_secs(60);

/// Two traders, small segments, a snapshot each thousand records, and checkpoints.
fn options(directory: &Path) -> VenueOptions {
    let key = directory.join("node.pem");
    let mut options = VenueOptions::new(Path::new(PROGRAM), directory);
    options.keys = 2;
    options.segment_bytes = 256 << 10;
    options.journal_keys = format!("snapshot_every_records = 1000\ncheckpoint_key_file = {key:?}\n");
    if !key.exists() {
        let made = json(&["keygen", "--json", "--out", key.to_str().unwrap()]);
        std::fs::write(directory.join("node.public"), made["public_key"].as_str().unwrap()).unwrap();
    }
    options
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// `count` orders, of which some trade, some go and some stay. All are answered.
fn trade(venue: &ScratchVenue, traders: &[Trader], count: u64) {
    runtime().block_on(async {
        let (mut outgoing, mut incoming) = connect(venue.websocket()).await.unwrap();
        for first in (0..count).step_by(200) {
            for number in first..(first + 200).min(count) {
                let trader = &traders[(number % 2) as usize];
                let side = if number % 4 < 2 { "BUY" } else { "SELL" };
                let price = format!("{}.00", 95 + number % 3 + if side == "SELL" { 1 } else { 0 });
                let client_id = format!("c{number}-{}", now_us());
                let params = [
                    ("symbol", Value::Text("UNITCASH")),
                    ("side", Value::Text(side)),
                    ("type", Value::Text(if number % 7 == 0 { "LIMIT_MAKER" } else { "LIMIT" })),
                    ("price", Value::Text(&price)),
                    ("quantity", Value::Text("3")),
                    ("newClientOrderId", Value::Text(&client_id)),
                    ("timestamp", Value::Number(now_us())),
                ];
                let gtc = [("timeInForce", Value::Text("GTC"))];
                let params = if number % 7 == 0 { params.to_vec() } else { [&params[..], &gtc].concat() };
                outgoing.feed(signed_request(number, "order.place", trader, &params).into()).await.unwrap();
            }
            outgoing.flush().await.unwrap();
            for _ in first..(first + 200).min(count) {
                incoming.next().await.unwrap();
            }
        }
    });
}

/// What both traders and everybody else are answered, without what depends on the time of asking.
fn answers(venue: &ScratchVenue, traders: &[Trader]) -> Vec<Json> {
    let symbol = ("symbol", Value::Text("UNITCASH"));
    let own = [("openOrders.status", true), ("allOrders", true), ("myTrades", true), ("account.status", false)];
    let hour = ("interval", Value::Text("1h"));
    let public = ["depth", "trades.recent", "trades.aggregate", "klines", "ticker.book", "ticker.24hr"];
    runtime().block_on(async {
        let (mut outgoing, mut incoming) = connect(venue.websocket()).await.unwrap();
        let mut answers = Vec::new();
        let mut asked = Vec::new();
        for trader in traders {
            for (method, with_symbol) in own {
                let mut params = vec![("timestamp", Value::Number(now_us()))];
                params.extend(with_symbol.then_some(symbol));
                asked.push(signed_request(1, method, trader, &params));
            }
        }
        for method in public {
            let params = if method == "klines" { vec![symbol, hour] } else { vec![symbol] };
            asked.push(plain_request(1, method, &params));
        }
        for request in asked {
            outgoing.feed(request.into()).await.unwrap();
            outgoing.flush().await.unwrap();
            let mut answer: Json = serde_json::from_str(&incoming.next().await.unwrap()).unwrap();
            assert_eq!(answer["status"], 200, "{answer}");
            let result = answer["result"].take();
            answers.push(match result {
                Json::Object(mut fields) => {
                    fields.retain(|name, _| !["openTime", "closeTime"].contains(&name.as_str()));
                    Json::Object(fields)
                }
                other => other,
            });
        }
        answers
    })
}

fn health(venue: &ScratchVenue) -> Json {
    let url = venue.ready()["health"].as_str().unwrap();
    serde_json::from_str(&ureq::get(url).call().unwrap().body_mut().read_to_string().unwrap()).unwrap()
}

/// Waits until the keeper has a snapshot that is not behind record `least`.
fn wait_for_snapshot(venue: &ScratchVenue, least: u64) -> u64 {
    let started = Instant::now();
    loop {
        let status = health(venue);
        assert_eq!(status["keeper"]["news"], Json::Null, "{status}");
        let snapshot = status["keeper"]["snapshot"].as_u64().unwrap();
        if snapshot >= least {
            assert!(status["keeper"]["compared"].as_u64().unwrap() > 0, "{status}");
            return snapshot;
        }
        assert!(started.elapsed() < PATIENCE, "{status}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn snapshots(journal: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(journal)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "lks"))
        .collect();
    found.sort();
    found
}

/// The record in a snapshot's name.
fn sequence_of(path: &Path) -> u64 {
    let name = path.file_stem().unwrap().to_str().unwrap();
    name.split_once('-').unwrap().1.parse().unwrap()
}

#[test]
fn a_start_from_a_snapshot_answers_as_if_nothing_had_happened() {
    let scratch = tempfile::tempdir().unwrap();
    let options = options(scratch.path());
    let traders = options.traders();
    let journal = options.journal();
    let venue = options.start().unwrap();
    trade(&venue, &traders, 1_500);
    let older = wait_for_snapshot(&venue, 1_000);
    trade(&venue, &traders, 1_500);
    wait_for_snapshot(&venue, older + 1_000);
    trade(&venue, &traders, 300);
    let expected = answers(&venue, &traders);
    assert!(expected.iter().all(|answer| answer.as_array().is_none_or(|list| !list.is_empty())), "{expected:#?}");
    // As a crash: no clean stop writes anything.
    venue.kill();
    let mut kept: Vec<u64> = snapshots(&journal).iter().map(|path| sequence_of(path)).collect();
    if kept.len() == 3 {
        // The kill came between a new one and the end of the oldest.
        std::fs::remove_file(&snapshots(&journal)[0]).unwrap();
        kept.remove(0);
    }
    assert_eq!(kept.len(), 2);
    let older = kept[0];

    let venue = options.start().unwrap();
    let recovery = venue.ready()["recovery"].clone();
    // The older one where the log of private reports had not come as far as the newer one.
    assert!(kept.contains(&recovery["fromSnapshot"].as_u64().unwrap()), "{kept:?}: {recovery}");
    assert!(recovery["replayed"].as_u64().unwrap() < 2_600, "{recovery}");
    assert_eq!(answers(&venue, &traders), expected);
    venue.stop().unwrap();

    // Damaged, of a newer format, and of another exchange: each is passed over, with its reason.
    let change = |at: u64, bytes: &[u8]| {
        let file = std::fs::File::options().write(true).open(snapshots(&journal).last().unwrap()).unwrap();
        file.write_all_at(bytes, at).unwrap();
    };
    let other = tempfile::tempdir().unwrap();
    let foreign = self::options(other.path());
    let other_venue = foreign.start().unwrap();
    trade(&other_venue, &foreign.traders(), 1_200);
    wait_for_snapshot(&other_venue, 1_000);
    other_venue.kill();
    change(2_000, &[0xAA; 16]);
    let from = |reason: &str| {
        let venue = options.start().unwrap();
        let recovery = venue.ready()["recovery"].clone();
        let told: Vec<&str> = recovery["passedOver"].as_array().unwrap().iter().filter_map(Json::as_str).collect();
        assert!(told.iter().any(|told| told.contains(reason)), "{reason}: {recovery}");
        assert_eq!(answers(&venue, &traders), expected, "{reason}");
        venue.stop().unwrap();
        recovery["fromSnapshot"].as_u64().unwrap()
    };
    assert_eq!(from("it fails its hash"), older);
    std::fs::remove_file(snapshots(&journal).last().unwrap()).unwrap();
    change(8, &[7, 0]);
    assert_eq!(from("has format version 7"), 0);
    std::fs::remove_file(snapshots(&journal).last().unwrap()).unwrap();
    std::fs::copy(snapshots(&foreign.journal()).last().unwrap(), journal.join(format!("0-{older:016}.lks"))).unwrap();
    assert_eq!(from("belongs to exchange"), 0);

    let data = journal.to_str().unwrap();
    let signer = std::fs::read_to_string(scratch.path().join("node.public")).unwrap();
    let audited = json(&["audit", "--json", "--signer", &signer, data]);
    assert_eq!(audited["finding_count"], 0, "{audited}");
    assert!(audited["checkpoints"].as_u64().unwrap() >= 1, "{audited}");
    assert!(audited["event_digests_compared"].as_u64().unwrap() >= 10, "{audited}");
    assert!(audited["openings"].as_u64().unwrap() >= 5, "{audited}");
    let nobody = lakh(&["audit", "--signer", &"1".repeat(64), data]);
    assert!(!nobody.status.success() && String::from_utf8_lossy(&nobody.stdout).contains("is not signed by this key"));
}

/// Waits until the archiver has let go at least one segment.
fn wait_for_removal(venue: &ScratchVenue) {
    let started = Instant::now();
    loop {
        let status = health(venue);
        assert_eq!(status["archiver"]["news"], Json::Null, "{status}");
        if status["archiver"]["removed"].as_u64().unwrap() > 0 {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{status}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// In a directory, or where `LAKH_TEST_ARCHIVE` says: a bucket, for a build with the feature `s3` (docs/operations.md).
#[test]
fn segments_go_into_an_archive_and_come_back() {
    let scratch = tempfile::tempdir().unwrap();
    let archive = scratch.path().join("archive");
    let bucket = std::env::var("LAKH_TEST_ARCHIVE").ok();
    let place = bucket.as_deref().unwrap_or(archive.to_str().unwrap());
    let mut options = options(scratch.path());
    options.journal_keys.push_str(&format!("archive = {place:?}\nsegments_kept = 0\n"));
    let traders = options.traders();
    let journal = options.journal();
    let data = journal.to_str().unwrap();
    let venue = options.start().unwrap();
    trade(&venue, &traders, 2_500);
    wait_for_snapshot(&venue, 1_000);
    trade(&venue, &traders, 2_000);
    wait_for_removal(&venue);
    let expected = answers(&venue, &traders);
    let closed = venue.stop().unwrap();
    assert!(!journal.join("0-0000000000000000.lkj").exists());

    let refused = String::from_utf8(lakh(&["replay", data]).stderr).unwrap();
    assert!(refused.contains("`lakh journal restore` brings them back"), "{refused}");
    let venue = options.start().unwrap();
    assert!(venue.ready()["recovery"]["fromSnapshot"].as_u64().unwrap() >= 2_000);
    assert_eq!(answers(&venue, &traders), expected, "a start needs none of what went");
    let again = venue.stop().unwrap();

    // The archive alone: everything up to the last sealed segment, replayed and audited.
    let alone = scratch.path().join("alone");
    let alone = alone.to_str().unwrap();
    let restored = json(&["journal", "restore", "--json", "--from", place, alone]);
    assert_eq!(restored["first_sequence"], 1, "{restored}");
    assert!(restored["segments"].as_u64().unwrap() >= 3, "{restored}");
    let audited = json(&["audit", "--json", alone]);
    assert_eq!((&audited["records"], &audited["finding_count"]), (&restored["last_sequence"], &Json::from(0)));

    // And behind what stayed: the whole journal again, the same to the bit.
    json(&["journal", "restore", "--json", "--from", place, data]);
    let replayed = json(&["replay", "--json", data]);
    assert_eq!((&replayed["records"], &replayed["state_hash"]), (&again["sequence"], &again["stateHash"]));
    assert!(again["sequence"].as_u64() > closed["sequence"].as_u64());
    assert_eq!(json(&["audit", "--json", data])["finding_count"], 0);

    // By hand, at rest, into another place; all is there, so nothing is done twice.
    let other = scratch.path().join("other");
    let by_hand = ["journal", "archive", "--json", "--to", other.to_str().unwrap(), data];
    assert_eq!(json(&by_hand)["archived"], Json::Array(Vec::new()), "noted is noted");
    std::fs::remove_file(journal.join("archived")).unwrap();
    let round = json(&by_hand);
    assert!(round["archived"].as_array().unwrap().len() >= 3 && round["removed"] == Json::Array(Vec::new()), "{round}");
    assert!(round["object_bytes"].as_u64() < round["segment_bytes"].as_u64(), "{round}");

    // A changed object is refused and leaves nothing behind.
    if bucket.is_some() {
        return;
    }
    let exchange = std::fs::read_dir(&archive).unwrap().next().unwrap().unwrap().path();
    let object = exchange.join("0").join("0-0000000000000001.lka");
    let file = std::fs::File::options().write(true).open(&object).unwrap();
    file.write_all_at(&[0x55; 8], 20_000).unwrap();
    let broken = scratch.path().join("broken");
    let output = lakh(&["journal", "restore", "--from", place, broken.to_str().unwrap()]);
    assert!(!output.status.success());
    let unfinished = |path: &Path| path.to_str().unwrap().contains("0000000000000001");
    assert!(!std::fs::read_dir(&broken).unwrap().flatten().any(|entry| unfinished(&entry.path())));
}

#[test]
fn a_forged_signature_and_a_changed_checkpoint_fail_the_audit() {
    let scratch = tempfile::tempdir().unwrap();
    let options = options(scratch.path());
    let venue = options.start().unwrap();
    trade(&venue, &options.traders(), 200);
    venue.stop().unwrap();
    let journal = options.journal();
    let data = journal.to_str().unwrap();
    let whole = json(&["audit", "--json", data]);
    assert_eq!((&whole["finding_count"], &whole["signed"]), (&Json::from(0), &Json::from(200)), "{whole}");
    assert_eq!(whole["checkpoint_signer"], Json::Null);
    let path = journal.join("checkpoints");
    let signed = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, signed.replacen("\"state_hash\":\"", "\"state_hash\":\"0", 1)).unwrap();
    let output = lakh(&["audit", "--json", data]);
    let report: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!output.status.success() && report["finding_count"] == 1, "{report}");
    assert!(report["findings"][0].as_str().unwrap().contains("is not the one that was signed"), "{report}");
    std::fs::write(&path, signed).unwrap();

    // One byte of a record's signature: the files are damaged, and the machine's report says so, too.
    let segment = journal.join("0-0000000000000000.lkj");
    let file = std::fs::File::options().read(true).write(true).open(&segment).unwrap();
    let mut bytes = vec![0; 200 << 10];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let at = bytes.windows(11).rposition(|window| window == b"order.place").unwrap();
    file.write_all_at(&[bytes[at + 30] ^ 1], at as u64 + 30).unwrap();
    let output = lakh(&["audit", "--json", data]);
    let report: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!output.status.success() && report["finding_count"].as_u64().unwrap() >= 1, "{report}");
    assert!(report["findings"][0].as_str().unwrap().contains("damaged"), "{report}");
}
