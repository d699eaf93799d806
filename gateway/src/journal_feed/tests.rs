//! The feed over its socket: what each audience is shown of a journal that is being written, and every refusal.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use lakh_journal::mirror::Mirror;
use lakh_journal::{JournalOptions, JournalWriter, RecordHeader, open};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::*;
use crate::auth::api_key;

const TAG: [u8; 16] = *b"a tag of a venue";
const LONG: Duration = Duration::from_secs(60);

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(since.as_nanos()).unwrap())
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

/// A journal and its writer.
struct Venue {
    directory: tempfile::TempDir,
    writer: JournalWriter,
    last_final: Arc<AtomicU64>,
}

impl Venue {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = JournalOptions::new(directory.path(), [7; 16]);
        let options = JournalOptions { segment_bytes: 4 << 20, ring_bytes: 1 << 20, ..options };
        let (writer, _) = open(options).unwrap();
        Self { directory, writer, last_final: Arc::default() }
    }

    /// Appends records of `bytes` each up to `last`, and waits until they are durable.
    fn append(&mut self, last: u64, bytes: usize) {
        let watch = self.writer.watch();
        for sequence in watch.durable_sequence() + 1..=last {
            let header = RecordHeader { sequence, timestamp_ns: now().0, ..RecordHeader::default() };
            self.writer.append(header, &vec![1; bytes]).unwrap();
            self.writer.publish();
            if sequence % 32 == 0 || sequence == last {
                assert!(watch.wait_for(sequence, LONG));
            }
        }
    }

    fn options(&self, public: PublicAccess) -> FeedOptions {
        let watcher = |number: u8| {
            let key = VerifyingKey::from_bytes(&key(number).verifying_key().to_bytes()).unwrap();
            (format!("watcher {number}"), key)
        };
        FeedOptions {
            directory: self.directory.path().to_owned(),
            venue_tag: TAG,
            mode: Mode::Run,
            watchers: vec![watcher(1), watcher(2)],
            connections_per_watcher: 2,
            bytes_per_second_per_watcher: 1 << 30,
            public,
            public_connections: 3,
            public_connections_per_address: 2,
            public_bytes_per_second: 1 << 30,
            patience: Duration::from_secs(30),
            clock: now,
        }
    }

    /// Serves until the test ends.
    fn serve(&self, options: FeedOptions) -> (SocketAddr, FeedWatch) {
        let (watch, last_final) = (self.writer.watch(), Arc::clone(&self.last_final));
        let progress = Progress {
            durable: Box::new(move || watch.durable_sequence().min(watch.stable_sequence())),
            last_final: Box::new(move || last_final.load(Ordering::Relaxed)),
        };
        let feed = JournalFeed::bind(options, progress, "127.0.0.1:0".parse().unwrap(), None).unwrap();
        let (address, watch) = (feed.address(), feed.watch());
        tokio::spawn(feed.serve(std::future::pending()));
        (address, watch)
    }
}

/// Signs a query as the documents say.
fn signed(query: &str, signer: &SigningKey) -> String {
    let signature = STANDARD.encode(signer.sign(query.as_bytes()).to_bytes()).replace('+', "%2B");
    format!("{query}&signature={signature}")
}

fn words(method: &str, number: u8) -> String {
    let key = api_key(TAG, &key(number).verifying_key().to_bytes());
    format!("method={method}&apiKey={key}&timestamp={}", now().0 / 1_000_000)
}

/// The path of a watcher's request.
fn by_watcher(question: &str, asked: &str, number: u8) -> String {
    let words = words(&format!("journal.{question}"), number);
    // What is signed is the query without empty parts.
    let words = format!("{words}&{asked}");
    format!("/journal/{question}?{}", signed(words.trim_end_matches('&'), &key(number)))
}

/// Asks on a connection, and reads the whole answer.
async fn ask(stream: &mut TcpStream, path: &str) -> (u16, Vec<u8>) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let status = head[9..12].parse().unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    (status, body)
}

async fn get(address: SocketAddr, path: &str) -> (u16, Vec<u8>) {
    ask(&mut TcpStream::connect(address).await.unwrap(), path).await
}

/// The status and the error's code, 0 without one.
async fn refusal_of(address: SocketAddr, path: &str) -> (u16, i64) {
    let (status, body) = get(address, path).await;
    let error: Value = serde_json::from_slice(&body).unwrap_or_default();
    (status, error["code"].as_i64().unwrap_or_default())
}

/// Mirrors what is shown until there is nothing more, by paths that `path` makes; the last record.
async fn mirror(address: SocketAddr, directory: &Path, path: impl Fn(&str) -> String) -> u64 {
    let mut mirror = Mirror::open(directory, None).unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    loop {
        let at = mirror.wanted();
        let asked = path(&format!("segment={}&offset={}", at.segment, at.offset));
        match ask(&mut stream, &asked).await {
            (200, body) => mirror.take(&body).unwrap(),
            (204, _) => return mirror.last_sequence(),
            other => panic!("{other:?}"),
        }
    }
}

fn openly(asked: &str) -> String {
    format!("/journal/bytes?{asked}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_are_shown_what_is_durable_and_others_what_is_old_enough() {
    let mut venue = Venue::new();
    venue.append(3_000, 2_000);
    let (final_only, _) = venue.serve(venue.options(PublicAccess::WhenFinal));
    let (delayed, _) = venue.serve(venue.options(PublicAccess::Delayed(Duration::from_secs(3_600))));
    let (at_once, _) = venue.serve(venue.options(PublicAccess::Delayed(Duration::ZERO)));
    let scratch = tempfile::tempdir().unwrap();
    let place = |name: &str| scratch.path().join(name);
    let watching = |asked: &str| by_watcher("bytes", asked, 1);
    assert_eq!(mirror(final_only, &place("watcher"), watching).await, 3_000);
    assert_eq!(mirror(final_only, &place("final"), openly).await, 0, "nothing is final");
    assert_eq!(mirror(delayed, &place("delayed"), openly).await, 0, "nothing is old");
    assert_eq!(mirror(at_once, &place("public"), openly).await, 3_000);
    venue.last_final.store(1_700, Ordering::Relaxed);
    let shown = mirror(final_only, &place("final"), openly).await;
    assert!((1_600..=1_700).contains(&shown), "{shown}: whole blocks, and never beyond");
    venue.last_final.store(u64::MAX, Ordering::Relaxed);
    venue.append(3_001, 10);
    assert_eq!(mirror(final_only, &place("final"), openly).await, 3_001);
    assert_eq!(mirror(final_only, &place("watcher"), watching).await, 3_001);
    assert_eq!(mirror(delayed, &place("delayed"), watching).await, 3_001, "a watcher at once");

    let (status, listed) = get(final_only, &by_watcher("segments", "segment=0", 2)).await;
    let listed: Value = serde_json::from_slice(&listed).unwrap();
    assert_eq!((status, &listed["lastSequence"], &listed["exchange"]), (200, &3_001.into(), &"07".repeat(16).into()));
    let segments = listed["segments"].as_array().unwrap();
    assert_eq!((&segments[0]["segment"], &segments[0]["state"]), (&0.into(), &"SEALED".into()));
    let last = segments.last().unwrap();
    assert_eq!((&last["state"], &last["lastSequence"]), (&"LIVE".into(), &3_001.into()));
    let (_, listed) = get(delayed, "/journal/segments").await;
    let listed: Value = serde_json::from_slice(&listed).unwrap();
    assert_eq!((&listed["lastSequence"], listed["segments"].as_array().unwrap().len()), (&0.into(), 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_is_answered_as_soon_as_there_is_more() {
    let mut venue = Venue::new();
    venue.append(5, 10);
    let (address, watch) = venue.serve(venue.options(PublicAccess::Never));
    let end = get(address, &by_watcher("segments", "", 1)).await;
    let end: Value = serde_json::from_slice(&end.1).unwrap();
    let asked = format!("segment={}&offset={}&wait=60000", end["end"]["segment"], end["end"]["offset"]);
    let waiting = tokio::spawn(async move { get(address, &by_watcher("bytes", &asked, 1)).await });
    while watch.counters().requests.value() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    venue.append(6, 10);
    let (status, body) = tokio::time::timeout(LONG, waiting).await.unwrap().unwrap();
    assert_eq!((status, &body[..4]), (200, b"LKB1".as_slice()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_has_its_code() {
    let mut venue = Venue::new();
    venue.append(5, 10);
    let (open, watch) = venue.serve(venue.options(PublicAccess::Delayed(Duration::ZERO)));
    let (closed, _) = venue.serve(venue.options(PublicAccess::Never));
    let good = words("journal.bytes", 1) + "&segment=0&offset=0";
    let path = |query: &str| format!("/journal/bytes?{query}");
    assert_eq!(refusal_of(open, &path(&signed(&good, &key(1)))).await, (200, 0));
    let other_venue = good.replace(&hex(&TAG), &hex(b"the other one's."));
    let bare = good.replace(&hex(&TAG), "");
    let old = good.replace(&format!("timestamp={}", now().0 / 1_000_000_000), "timestamp=1000000000");
    let stranger = words("journal.bytes", 9) + "&segment=0&offset=0";
    let cases = [
        ("the public, where it is shut out", closed, path("segment=0&offset=0"), (401, -2015)),
        ("a key without a signature", open, path(&good), (400, -1102)),
        ("another's signature", open, path(&signed(&good, &key(2))), (400, -1022)),
        ("no signature at all", open, path(&format!("{good}&signature=abc")), (400, -1022)),
        ("changed behind it", open, path(&signed(&good, &key(1)).replacen("offset=0", "offset=4096", 1)), (400, -1022)),
        ("nobody's key", open, path(&signed(&stranger, &key(9))), (401, -2015)),
        ("another venue's", open, path(&signed(&other_venue, &key(1))), (401, -2014)),
        ("no venue's", open, path(&signed(&bare, &key(1))), (401, -2014)),
        ("an old one", open, path(&signed(&old, &key(1))), (400, -1021)),
        ("too long a window", open, path(&signed(&format!("{good}&recvWindow=60001"), &key(1))), (400, -1131)),
        ("no time", open, path(&signed(good.rsplit_once("&timestamp").unwrap().0, &key(1))), (400, -1102)),
        ("no method", open, path(&signed(&good.replacen("method", "m", 1), &key(1))), (400, -1102)),
        ("another method", open, path(&signed(&good.replacen(".bytes", ".segments", 1), &key(1))), (400, -1130)),
        ("a name twice", open, path("segment=0&segment=1&offset=0"), (400, -1104)),
        ("no segment", open, path("offset=0"), (400, -1102)),
        ("no number", open, path("segment=-1&offset=0"), (400, -1100)),
        ("beyond any number", open, path("segment=18446744073709551616&offset=0"), (400, -1130)),
        ("half a page", open, path("segment=0&offset=100"), (400, -1130)),
        ("beyond the end", open, path("segment=0&offset=1048576"), (416, -2106)),
        ("beyond every segment", open, path("segment=9&offset=0"), (416, -2106)),
        ("another path", open, "/api/v3/ping".to_owned(), (404, -1020)),
    ];
    for (name, address, path, expected) in cases {
        assert_eq!(refusal_of(address, &path).await, expected, "{name}");
    }
    venue.append(4_000, 2_000);
    std::fs::remove_file(venue.directory.path().join("0-0000000000000000.lkj")).unwrap();
    assert_eq!(refusal_of(open, &path("segment=0&offset=0")).await, (410, -2105));
    let mut stream = TcpStream::connect(open).await.unwrap();
    stream.write_all(b"POST /journal/bytes HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 404");
    assert!(watch.counters().requests_refused.value() > 15);
}

fn hex(bytes: &[u8]) -> String {
    crate::auth::hex(bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_are_bounded_by_watcher_address_and_newcomers() {
    let mut venue = Venue::new();
    venue.append(5, 10);
    let (address, watch) = venue.serve(venue.options(PublicAccess::Delayed(Duration::ZERO)));
    let connect = async || TcpStream::connect(address).await.unwrap();
    let mut held = Vec::new();
    for number in [1, 1, 2] {
        let mut stream = connect().await;
        assert_eq!(ask(&mut stream, &by_watcher("segments", "", number)).await.0, 200);
        held.push(stream);
    }
    let code = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap()["code"].clone();
    let (status, body) = get(address, &by_watcher("segments", "", 1)).await;
    assert_eq!((status, code(&body)), (429, (-2107).into()), "the first watcher has two");
    for _ in 0..2 {
        let mut stream = connect().await;
        assert_eq!(ask(&mut stream, "/journal/segments").await.0, 200);
        held.push(stream);
    }
    let mut refused = connect().await;
    let (status, body) = ask(&mut refused, "/journal/segments").await;
    assert_eq!((status, code(&body)), (429, (-2107).into()), "the public of one address has two");
    assert_eq!(refused.read(&mut [0; 1]).await.unwrap(), 0, "and who has no place is disconnected");
    assert_eq!(watch.readers(), (3, 2));
    // A place is free again when its holder has gone; the second watcher was never in anybody's way.
    held.remove(0);
    let asked = std::time::Instant::now();
    while get(address, &by_watcher("segments", "", 1)).await.0 != 200 {
        assert!(asked.elapsed() < LONG);
    }
    // Who says nothing takes a newcomer's place, of which one address has some, and no watcher's.
    let mut silent = Vec::new();
    while watch.counters().connections_refused.value() == 0 {
        silent.push(connect().await);
        assert!(silent.len() <= CONNECTIONS_PER_ADDRESS as usize + 1, "{}", silent.len());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(ask(&mut held[0], &by_watcher("segments", "", 1)).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_an_address_are_bounded() {
    let venue = Venue::new();
    let (address, _) = venue.serve(venue.options(PublicAccess::Never));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let path = by_watcher("segments", "", 1);
    for _ in 0..2 * REQUESTS_PER_ADDRESS.burst {
        let (status, body) = ask(&mut stream, &path).await;
        if status != 200 {
            let error: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!((status, &error["code"]), (429, &(-1003).into()));
            return;
        }
    }
    panic!("as many as one likes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_never_reads_is_let_go_and_holds_little() {
    let mut venue = Venue::new();
    venue.append(1_500, 8_000);
    let options = venue.options(PublicAccess::Never);
    let (address, watch) = venue.serve(FeedOptions { patience: Duration::from_millis(400), ..options });
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    // Past the first segment's headers; the answer would be megabytes.
    let path = by_watcher("bytes", "segment=0&offset=8192", 1);
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    let asked = std::time::Instant::now();
    while watch.counters().readers_let_go.value() == 0 {
        assert!(asked.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let read = watch.counters().watcher_bytes.value();
    assert!(read < 2 << 20, "{read} bytes were read of the journal for nobody");
    while watch.readers() != (0, 0) {
        assert!(asked.elapsed() < LONG);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(get(address, &by_watcher("segments", "", 1)).await.0, 200, "the place is free");
}

#[test]
fn a_pace_holds_over_all_connections() {
    let venue = Venue::new();
    let options = FeedOptions { bytes_per_second_per_watcher: 1 << 20, ..venue.options(PublicAccess::Never) };
    let readers = Readers::new(&options);
    let (one, again) = (readers.pace(admission::Reader::Watcher(0)), readers.pace(admission::Reader::Watcher(0)));
    let begun = Timestamp(1_000_000_000_000);
    let (mut sent, mut refused) = (0, 0);
    // Ten seconds, in steps of a millisecond, by two connections that always want a piece.
    for step in 0..10_000 {
        for pace in [&one, &again] {
            match pace.allows(PIECE_BYTES, Timestamp(begun.0 + step * 1_000_000)) {
                true => sent += PIECE_BYTES,
                false => refused += 1,
            }
        }
    }
    assert!((10 << 20..11 << 20).contains(&sent), "{sent}");
    assert!(refused > 0);
    assert!(readers.pace(admission::Reader::Watcher(1)).allows(PIECE_BYTES, begun), "another watcher has his own");
}
