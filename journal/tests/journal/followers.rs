//! Readers and followers beside a live writer.

use std::path::Path;
use std::time::Instant;

use lakh_journal::{Durability, Follower, JournalOptions, JournalReader, open};

use crate::common::{LONG, append_range, header, options, payload, usual_length};

fn live(directory: &Path) -> JournalOptions {
    JournalOptions { durability: Durability::Async, ..options(directory) }
}

/// Polls until `last` has been returned, checking each record.
fn follow(follower: &mut Follower, from: u64, last: u64) {
    let started = Instant::now();
    let mut next = from;
    while next <= last {
        match follower.poll().unwrap() {
            Some(record) => {
                assert_eq!(record.header, header(next));
                assert_eq!(record.payload, payload(next, usual_length(next)));
                next += 1;
            }
            None => std::thread::yield_now(),
        }
        assert!(started.elapsed() < LONG, "stuck at {next} of {last}");
    }
}

#[test]
fn a_reader_beside_a_live_writer_sees_a_growing_prefix() {
    for durability in [Durability::Sync, Durability::Async] {
        let directory = tempfile::tempdir().unwrap();
        let (mut writer, _) = open(JournalOptions { durability, ..options(directory.path()) }).unwrap();
        let writing = std::thread::spawn(move || {
            append_range(&mut writer, 1, 3_000, 3);
            writer.close().unwrap();
        });
        let mut reader = JournalReader::open(directory.path()).unwrap();
        let started = Instant::now();
        let mut next = 1;
        while next <= 3_000 {
            match reader.next().unwrap() {
                Some(record) => {
                    assert_eq!(record.header, header(next));
                    next += 1;
                }
                None => std::thread::yield_now(),
            }
            assert!(started.elapsed() < LONG, "stuck at {next}");
        }
        writing.join().unwrap();
        assert!(reader.next().unwrap().is_none());
    }
}

#[test]
fn a_follower_returns_only_what_is_durable_and_keeps_up() {
    for durability in [Durability::Sync, Durability::Async] {
        let directory = tempfile::tempdir().unwrap();
        let (mut writer, _) = open(JournalOptions { durability, ..options(directory.path()) }).unwrap();
        let watch = writer.watch();
        let mut follower = Follower::open(directory.path()).unwrap();
        assert!(follower.is_attached());
        assert!(follower.poll().unwrap().is_none());
        let writing = std::thread::spawn(move || {
            append_range(&mut writer, 1, 2_000, 4);
            writer
        });
        let mut next = 1;
        while next <= 2_000 {
            if let Some(record) = follower.poll().unwrap() {
                assert_eq!(record.header, header(next));
                // The ring says durable an instant before the watch does.
                assert!(watch.wait_for(next, LONG));
                next += 1;
            }
        }
        writing.join().unwrap().close().unwrap();
        assert!(follower.poll().unwrap().is_none());
    }
}

#[test]
fn a_lapped_follower_goes_on_from_the_segments() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, _) = open(live(directory.path())).unwrap();
    append_range(&mut writer, 1, 10, 1);
    assert!(writer.watch().wait_for(10, LONG));
    let mut follower = Follower::open(directory.path()).unwrap();
    follow(&mut follower, 1, 5);
    // 64 KiB of ring, several times over, across several segments.
    append_range(&mut writer, 11, 2_000, 5);
    assert!(writer.watch().wait_for(2_000, LONG));
    follow(&mut follower, 6, 2_000);
    assert!(follower.is_attached());
    append_range(&mut writer, 2_001, 2_010, 1);
    follow(&mut follower, 2_001, 2_010);
    writer.close().unwrap();
}

#[test]
fn a_follower_outlives_its_writer_and_joins_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let mut follower = None;
    for round in 0..3 {
        let (mut writer, _) = open(live(directory.path())).unwrap();
        let first = round * 100 + 1;
        append_range(&mut writer, first, first + 99, 3);
        let follower = follower.get_or_insert_with(|| Follower::open(directory.path()).unwrap());
        follow(follower, first, first + 49);
        writer.close().unwrap();
        follow(follower, first + 50, first + 99);
        assert!(follower.poll().unwrap().is_none());
        assert!(!follower.is_attached());
    }
}

#[test]
fn a_follower_without_a_writer_is_a_reader() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, _) = open(live(directory.path())).unwrap();
    append_range(&mut writer, 1, 500, 5);
    writer.close().unwrap();
    let mut follower = Follower::open(directory.path()).unwrap();
    follow(&mut follower, 1, 500);
    assert!(follower.poll().unwrap().is_none());
}

/// What the child of the next test is told, and where.
const FOLLOWED: &str = "LAKH_TEST_FOLLOWED";
/// Records of the test across processes: several rings and segments of them.
const ACROSS: u64 = 4_000;

/// Not a test of its own: the other process of `a_follower_in_another_process`.
#[test]
fn child_that_follows() {
    let Some(directory) = std::env::var_os(FOLLOWED) else { return };
    let mut follower = Follower::open(Path::new(&directory)).unwrap();
    assert!(follower.is_attached());
    follow(&mut follower, 1, 5);
    // The kernel refuses a store into these pages, and, since the file was opened for reading, any way to allow one.
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let rings: Vec<&str> = maps.lines().filter(|line| line.contains("lakh-tail-")).collect();
    assert!(!rings.is_empty() && rings.iter().all(|line| line.contains(" r--s ")), "{rings:#?}");
    eprintln!("following");
    let mut go = String::new();
    std::io::stdin().read_line(&mut go).unwrap();
    // Lapped by now: the segments first, and then the ring again, up to the end.
    follow(&mut follower, 6, ACROSS - 10);
    eprintln!("caught up, attached: {}", follower.is_attached());
    follow(&mut follower, ACROSS - 9, ACROSS);
    eprintln!("all of it");
}

#[test]
fn a_follower_in_another_process() {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::process::{Command, Stdio};

    let directory = tempfile::tempdir().unwrap();
    let (mut writer, _) = open(live(directory.path())).unwrap();
    append_range(&mut writer, 1, 10, 1);
    assert!(writer.watch().wait_for(10, LONG));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "followers::child_that_follows", "--nocapture"])
        .env(FOLLOWED, directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut said = |wanted: &str| {
        let line = lines.next().unwrap_or_default();
        if line != wanted {
            panic!("{line}\n{}", lines.by_ref().collect::<Vec<_>>().join("\n"));
        }
    };
    said("following");
    // Far more than the ring of 64 KiB, while nobody reads: the writer does not notice.
    append_range(&mut writer, 11, ACROSS - 10, 5);
    assert!(writer.watch().wait_for(ACROSS - 10, LONG));
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    said("caught up, attached: true");
    append_range(&mut writer, ACROSS - 9, ACROSS, 1);
    said("all of it");
    assert!(child.wait().unwrap().success());
    writer.close().unwrap();
}
