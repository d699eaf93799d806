//! The journal outside of its venue: watchers mirror it live, the public gets it later, and what is not the venue's own
//! history is refused.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod authority;
mod flood;
mod hostile_venue;
mod program;

use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use lakh_journal::JournalReader;
use lakh_loadtest::random::SplitMix64;
use lakh_loadtest::scratch_venue::{ScratchVenue, VENUE_TAG, VenueOptions};
use serde_json::Value as Json;

use crate::authority::Certificates;
use crate::flood::flood;
use crate::hostile_venue::HostileVenue;
use crate::program::{PROGRAM, json, lakh};

/// Nothing that is waited for here takes long; a test that hangs says so.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the public waits for in these tests.
const PUBLIC_DELAY: Duration = Duration::from_secs(3);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn wait_for(what: &str, mut is_done: impl FnMut() -> bool) {
    let asked = Instant::now();
    while !is_done() {
        assert!(asked.elapsed() < PATIENCE, "{what} does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A venue that gives its journal out, and a key of a watcher.
struct Watched {
    scratch: tempfile::TempDir,
    options: VenueOptions,
    key: PathBuf,
    port: u16,
    secure_port: u16,
}

impl Watched {
    fn new(durability: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let mut options = VenueOptions::new(Path::new(PROGRAM), scratch.path());
        options.durability = durability.to_owned();
        options.segment_bytes = 256 << 10;
        let key = scratch.path().join("watcher.pem");
        // Ports that stay the same over a restart.
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { scratch, options, key, port: free(), secure_port: free() }
    }

    fn start(&self) -> ScratchVenue {
        if !self.key.exists() {
            Certificates::write(self.scratch.path());
            lakh(&["keygen", "--out", self.key.to_str().unwrap()]);
        }
        let public_key = hex(&signing_key(&self.key).verifying_key().to_bytes());
        let configuration = self.options.configuration()
            + &format!(
                "\n[tls]\ncertificate_file = {:?}\nprivate_key_file = {:?}\n\n[watchers]\nlisten = \"127.0.0.1:{}\"\n\
                 tls_listen = \"127.0.0.1:{}\"\npublic = \"delayed\"\npublic_delay_s = {}\nconnections_per_key = 16\n\
                 patience_ms = 2000\n\n[[watcher_key]]\nname = \"test\"\npublic_key = \"{public_key}\"\n",
                self.scratch.path().join("certificate.pem"),
                self.scratch.path().join("key.pem"),
                self.port,
                self.secure_port,
                PUBLIC_DELAY.as_secs(),
            );
        let file = self.scratch.path().join("lakh.toml");
        std::fs::write(&file, configuration).unwrap();
        ScratchVenue::launch(&self.options.program, &file).unwrap()
    }

    fn place(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// What a watcher says to fetch into `to`, over TLS.
    fn fetch(&self, to: &Path) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(["journal", "fetch", "--json", "--from", &format!("https://127.0.0.1:{}", self.secure_port)]);
        command.arg("--ca").arg(self.scratch.path().join("root.pem")).arg("--to").arg(to);
        command.arg("--key").arg(&self.key).args(["--venue-tag", &hex(&VENUE_TAG)]);
        command
    }

    fn follow(&self, to: &Path) -> Fetcher {
        Fetcher(self.fetch(to).arg("--follow").stdout(Stdio::null()).spawn().unwrap())
    }

    /// What anybody gets.
    fn fetch_openly(&self, to: &Path) -> Json {
        let url = format!("http://127.0.0.1:{}", self.port);
        json(&["journal", "fetch", "--json", "--from", &url, "--to", to.to_str().unwrap()])
    }
}

fn signing_key(pem: &Path) -> SigningKey {
    let text = std::fs::read_to_string(pem).unwrap();
    let base64: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let der = BASE64.decode(base64).unwrap();
    SigningKey::from_bytes(&der[der.len() - 32..].try_into().unwrap())
}

/// A running `lakh journal fetch --follow`; killed when dropped.
struct Fetcher(Child);

impl Drop for Fetcher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn durable_sequence(venue: &ScratchVenue) -> u64 {
    let health = venue.ready()["health"].as_str().unwrap();
    let mut body = ureq::get(health).call().unwrap();
    let health: Json = serde_json::from_str(&body.body_mut().read_to_string().unwrap()).unwrap();
    health["durableSequence"].as_u64().unwrap()
}

/// The last record of a mirror and when it was made; nothing before there is any.
fn last_record(directory: &Path) -> Option<(u64, u64)> {
    let mut reader = JournalReader::open(directory).ok()?;
    let mut last = None;
    while let Some(record) = reader.next().unwrap() {
        last = Some((record.header.sequence, record.header.timestamp_ns));
    }
    last
}

/// Trades for a while, as fast as the venue answers; how many orders were answered.
fn trade(venue: &ScratchVenue, options: &VenueOptions, name: &str, time: Duration) -> u64 {
    let (url, trader) = (venue.websocket().to_owned(), options.traders().remove(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut answered = 0;
    let flood = flood(&url, &trader, name, |answer| answered += u64::from(answer["status"] == 200));
    // The time is up: that is what ends it.
    let _ = runtime.block_on(async { tokio::time::timeout(time, flood).await });
    answered
}

fn wall_ns() -> u64 {
    u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

#[test]
fn a_watcher_mirrors_live_the_public_later_and_both_replay_to_the_same_state() {
    let watched = Watched::new("sync");
    let venue = watched.start();
    let (live, public) = (watched.place("live"), watched.place("public"));
    let fetcher = watched.follow(&live);
    let delay_ns = u64::try_from(PUBLIC_DELAY.as_nanos()).unwrap();
    let (mut shown, mut had_less) = (0, 0);
    for round in 0.. {
        assert!(round < 200, "the public was shown {shown} records");
        let answered = trade(&venue, &watched.options, &format!("r{round}"), Duration::from_millis(300));
        assert!(answered > 10, "{answered} orders show nothing");
        let durable = durable_sequence(&venue);
        let before = wall_ns();
        let said = watched.fetch_openly(&public);
        wait_for("what is durable", || last_record(&live).is_some_and(|(sequence, _)| sequence >= durable));
        let Some((last, made)) = last_record(&public) else {
            assert_eq!(said["lastSequence"], 0);
            had_less += 1;
            continue;
        };
        assert_eq!(said["lastSequence"], last);
        assert!(made + delay_ns <= wall_ns(), "record {last} is shown too early");
        assert!(last >= shown, "{shown} {last}");
        had_less += u32::from(last < durable);
        // And not much too late: everything that was older at the beginning is there.
        let older = made_before(&live, before - delay_ns);
        assert!(last >= older, "{older} was old enough, {last} is shown");
        shown = last;
        if shown > 100 && round >= 4 {
            break;
        }
    }
    assert!(had_less > 0, "the public has to wait");
    let last = durable_sequence(&venue);
    wait_for("the end", || last_record(&live).is_some_and(|(sequence, _)| sequence == last));
    wait_for("the end for the public", || watched.fetch_openly(&public)["lastSequence"] == last);
    let metrics = venue.ready()["health"].as_str().unwrap().replace("/health", "/metrics");
    let metrics = ureq::get(&metrics).call().unwrap().body_mut().read_to_string().unwrap();
    assert!(metrics.contains("lakh_journal_feed_watchers 1"), "{metrics}");
    let closed = venue.stop().unwrap();
    assert_eq!(closed["sequence"], last);
    let own = watched.options.journal();
    for mirror in [&live, &public] {
        let mirror = mirror.to_str().unwrap();
        let replayed = json(&["replay", "--json", mirror]);
        assert_eq!(
            (&replayed["state_hash"], &replayed["event_digest"]),
            (&closed["stateHash"], &closed["eventDigest"])
        );
        let audited = json(&["audit", "--json", mirror]);
        assert_eq!((&audited["finding_count"], &audited["state_hash"]), (&0.into(), &closed["stateHash"]), "{audited}");
        assert!(lakh(&["journal", "diff", own.to_str().unwrap(), mirror]).status.success());
    }
    drop(fetcher);
    assert!(lakh(&["journal", "verify", live.to_str().unwrap()]).status.success());
    // A mirror is no node's journal.
    let moved = watched.place("moved");
    std::fs::rename(&own, &moved).unwrap();
    std::fs::rename(&live, &own).unwrap();
    let refused = Command::new(PROGRAM).args(["run", "--config"]).arg(watched.place("lakh.toml")).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("is a mirror"), "{said}");
}

/// The last record of a journal that was made before a time.
fn made_before(directory: &Path, time_ns: u64) -> u64 {
    let mut reader = JournalReader::open(directory).unwrap();
    let mut last = 0;
    while let Some(record) = reader.next().unwrap() {
        // Its block was sealed a little later.
        if record.header.timestamp_ns + 50_000_000 < time_ns {
            last = record.header.sequence;
        }
    }
    last
}

#[test]
fn venue_and_fetcher_are_killed_at_any_time_and_go_on() {
    let seed = 0x6d69_7272;
    println!("seed {seed}");
    let mut random = SplitMix64::stream(seed, 1);
    for durability in ["sync", "async"] {
        let watched = Watched::new(durability);
        let live = watched.place("live");
        let mut fetcher = None;
        for round in 0..6 {
            let venue = watched.start();
            // One in two goes on over the venue's crash by itself; the other is killed, too.
            let running = fetcher.take().unwrap_or_else(|| watched.follow(&live));
            let time = Duration::from_micros(100_000 + random.below(400_000));
            trade(&venue, &watched.options, &format!("k{round}"), time);
            if random.below(2) == 0 {
                drop(running)
            } else {
                fetcher = Some(running)
            }
            venue.kill();
        }
        let venue = watched.start();
        let running = fetcher.take().unwrap_or_else(|| watched.follow(&live));
        let last = durable_sequence(&venue);
        wait_for("the end", || last_record(&live).is_some_and(|(sequence, _)| sequence == last));
        drop(running);
        let closed = venue.stop().unwrap();
        let replayed = json(&["replay", "--json", live.to_str().unwrap()]);
        assert_eq!((&replayed["records"], &replayed["state_hash"]), (&closed["sequence"], &closed["stateHash"]));
        let own = watched.options.journal();
        assert!(lakh(&["journal", "diff", own.to_str().unwrap(), live.to_str().unwrap()]).status.success());
        println!("{durability}: {last} records, {} in {own:?}", replayed["records"]);
    }
}

#[test]
fn watchers_that_never_read_cost_no_memory_and_no_trading() {
    let watched = Watched::new("async");
    let venue = watched.start();
    trade(&venue, &watched.options, "before", Duration::from_secs(2));
    let metric = |name: &str| -> f64 {
        let metrics = venue.ready()["health"].as_str().unwrap().replace("/health", "/metrics");
        let metrics = ureq::get(&metrics).call().unwrap().body_mut().read_to_string().unwrap();
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap().to_owned();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let before = metric("lakh_process_resident_memory_bytes");
    let mut silent = Vec::new();
    for _ in 0..16 {
        silent.push(ask_and_never_read(&watched));
    }
    wait_for("sixteen watchers", || metric("lakh_journal_feed_watcher_bytes_total") > 0.0);
    let answered = trade(&venue, &watched.options, "beside", Duration::from_secs(2));
    assert!(answered > 200, "{answered} orders were answered");
    wait_for("their end", || metric("lakh_journal_feed_readers_let_go_total") >= 16.0);
    let grown = metric("lakh_process_resident_memory_bytes") - before;
    println!("{answered} orders beside 16 watchers that never read, {} KiB more memory", grown / 1024.0);
    assert!(
        metric("lakh_journal_feed_watcher_bytes_total") < 16.0 * f64::from(4 << 20),
        "what they were sent is bounded"
    );
    assert_eq!(metric("lakh_journal_feed_watchers"), 0.0);
    // An honest one is served meanwhile and afterwards.
    let last = durable_sequence(&venue);
    let output = watched.fetch(&watched.place("honest")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(last_record(&watched.place("honest")).unwrap().0, last);
    venue.stop().unwrap();
}

/// A watcher's request for all of the first segment over a connection that is never read from.
fn ask_and_never_read(watched: &Watched) -> TcpStream {
    let key = signing_key(&watched.key);
    let api_key = hex(&VENUE_TAG) + &hex(&key.verifying_key().to_bytes());
    let mut stream = TcpStream::connect(("127.0.0.1", watched.port)).unwrap();
    // Many answers asked for in one go, none of them read.
    for segment in 0..64 {
        let words = format!(
            "method=journal.bytes&apiKey={api_key}&segment={segment}&offset=0&timestamp={}",
            wall_ns() / 1_000_000
        );
        let signature = BASE64.encode(key.sign(words.as_bytes()).to_bytes());
        let signature = signature.replace('+', "%2B");
        let request = format!("GET /journal/bytes?{words}&signature={signature} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
    }
    stream
}

#[test]
fn what_a_hostile_venue_sends_is_refused_with_the_reason() {
    let scratch = tempfile::tempdir().unwrap();
    // Until it has so many segments of this size.
    let journal = |name: &str, traded: &str, (segments, segment_bytes): (usize, u64)| {
        let directory = scratch.path().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let mut options = VenueOptions::new(Path::new(PROGRAM), &directory);
        options.segment_bytes = segment_bytes;
        let venue = options.start().unwrap();
        for round in 0.. {
            trade(&venue, &options, &format!("{traded}-{round}"), Duration::from_millis(200));
            let last = options.journal().join(format!("0-{:016}.lkj", segments - 1));
            if last.exists() {
                break;
            }
            assert!(round < 100, "nothing is traded");
        }
        venue.stop().unwrap();
        options.journal()
    };
    let own = journal("own", "one", (3, 256 << 10));
    let segments = std::fs::read_dir(&own).unwrap().flatten();
    let segments = segments.filter(|entry| entry.path().extension().is_some_and(|end| end == "lkj")).count();
    // Its segments are twice as long: a mirror of the first one ends within the same segment of it, and never at its end.
    let other = journal("other", "two", (segments + 1, 512 << 10));
    let venue = HostileVenue::start(&own);
    let fetch = |to: &Path, more: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(["journal", "fetch", "--from", &venue.url(), "--to"]).arg(to).args(more).output().unwrap()
    };
    let expect = |output: Output, reason: &str| {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(reason), "{reason}: {said}");
    };
    let fresh = |name: &str| scratch.path().join(format!("mirror-{name}"));
    // The tampering stands in the second segment, so there is something before it that stays.
    for (name, tampering, reason) in [
        ("flip", hostile_venue::Tampering::FlippedByte { segment: 1, offset: 8_192 + 300 }, "the block fails its hash"),
        ("gap", hostile_venue::Tampering::LeftOut { segment: 1, offset: 8_192 }, "the block's number is not the next"),
        (
            "header",
            hostile_venue::Tampering::FlippedByte { segment: 1, offset: 100 },
            "the segment header fails its CRC",
        ),
        ("empty", hostile_venue::Tampering::Empty, "no whole part"),
        ("short", hostile_venue::Tampering::BrokenOff, "broke off"),
        ("error", hostile_venue::Tampering::EndlessRefusal, "the venue refuses"),
        ("elsewhere", hostile_venue::Tampering::Redirect, "HTTP status 302"),
    ] {
        let to = fresh(name);
        venue.tamper(tampering);
        expect(fetch(&to, &[]), reason);
        venue.tamper(hostile_venue::Tampering::None);
        let output = fetch(&to, &[]);
        assert!(output.status.success(), "{name}: goes on: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(last_record(&to), last_record(&own), "{name}");
    }
    // Another history behind an honest beginning.
    let to = fresh("rewritten");
    assert!(fetch(&to, &[]).status.success());
    let before = last_record(&to);
    venue.serve(&other);
    expect(fetch(&to, &[]), "another history than what was mirrored");
    assert_eq!(last_record(&to), before, "the mirror stays as it is");
    // Another exchange than the one that was asked for, and none that could be said.
    let other_exchange = "00112233445566778899aabbccddeeff";
    expect(fetch(&fresh("other"), &["--exchange", other_exchange]), "belongs to exchange");
    expect(fetch(&fresh("none"), &["--exchange", "01"]), "32 hexadecimal digits");
    // A node's own journal is never written into; plain text goes to nobody else.
    expect(fetch(&own, &[]), "holds the journal of a node");
    let plain = |url: &str| lakh(&["journal", "fetch", "--from", url, "--to", fresh("plain").to_str().unwrap()]);
    expect(plain("http://192.0.2.1:9084"), "plain text to another machine");
    expect(plain("http://127.0.0.1:1"), "cannot be reached");
}

#[test]
fn a_venue_that_has_lost_records_is_told_from_one_that_shows_less() {
    let watched = Watched::new("async");
    let venue = watched.start();
    trade(&venue, &watched.options, "one", Duration::from_millis(500));
    venue.stop().unwrap();
    let kept = watched.place("kept");
    copy(&watched.options.journal(), &kept);
    let mirror = watched.place("mirror");
    let venue = watched.start();
    trade(&venue, &watched.options, "two", Duration::from_millis(500));
    wait_for("all of it", || {
        let output = watched.fetch(&mirror).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        last_record(&mirror).is_some_and(|(sequence, _)| sequence == durable_sequence(&venue))
    });
    // The public has to wait for what the watcher has, and is told so.
    assert_eq!(watched.fetch_openly(&mirror)["lastSequence"], last_record(&mirror).unwrap().0);
    venue.kill();
    // The venue comes back with an earlier state of its disk, and goes on from there.
    std::fs::remove_dir_all(watched.options.journal()).unwrap();
    copy(&kept, &watched.options.journal());
    let venue = watched.start();
    let before = last_record(&mirror);
    let output = watched.fetch(&mirror).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let is_told = said.contains("ends before record") || said.contains("another history");
    assert!(!output.status.success() && is_told, "{said}");
    assert_eq!(last_record(&mirror), before);
    let stranger = watched.place("stranger.pem");
    lakh(&["keygen", "--out", stranger.to_str().unwrap()]);
    let url = format!("http://127.0.0.1:{}", watched.port);
    let tag = hex(&VENUE_TAG);
    let to = watched.place("strange");
    let strange = ["journal", "fetch", "--from", &url, "--to", to.to_str().unwrap(), "--venue-tag", &tag, "--key"];
    let output = Command::new(PROGRAM).args(strange).arg(&stranger).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("Invalid API-key"), "{said}");
    // Nobody vouches for the certificate but the test's own authority.
    let secure = format!("https://127.0.0.1:{}", watched.secure_port);
    let output = lakh(&["journal", "fetch", "--from", &secure, "--to", to.to_str().unwrap()]);
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("cannot be reached"));
    venue.stop().unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
