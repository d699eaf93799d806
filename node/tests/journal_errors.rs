//! A venue that cannot have its journal: each cause is told in words that say what to do, and no start is left half done.
//!
//! Disk-full and read-only are real file systems, mounted for the test in a name space of its own; where the system
//! does not allow that, the test says that it was skipped.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod flood;

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use lakh_loadtest::client::connect;
use lakh_loadtest::scratch_venue::{ScratchVenue, VenueOptions};
use serde_json::Value as Json;

use crate::flood::order;

const PROGRAM: &str = env!("CARGO_BIN_EXE_lakh");

fn configured(directory: &Path) -> VenueOptions {
    let mut options = VenueOptions::new(Path::new(PROGRAM), directory);
    options.segment_bytes = 16 << 20;
    std::fs::write(directory.join("lakh.toml"), options.configuration()).unwrap();
    options
}

fn run(directory: &Path, further: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["run", "--json", "--config"]).arg(directory.join("lakh.toml")).args(further);
    command
}

fn refused(directory: &Path) -> String {
    refused_with(directory, &[])
}

fn refused_with(directory: &Path, further: &[&str]) -> String {
    let output = run(directory, further).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "an error, not a signal: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Runs a script that may mount; `None` where the system does not allow it.
fn with_mounts(directory: &Path, script: &str) -> Option<Output> {
    let inside = |script: &str| {
        Command::new("unshare")
            .args(["-rm", "sh", "-c", script])
            .env("LAKH", PROGRAM)
            .env("DIRECTORY", directory)
            .stdin(Stdio::null())
            .output()
    };
    let journal = directory.join("journal");
    std::fs::create_dir_all(journal).unwrap();
    if !inside("mount -t tmpfs -o size=1m none \"$DIRECTORY/journal\"").is_ok_and(|output| output.status.success()) {
        println!("skipped: mounting in a name space of one's own is not allowed here");
        return None;
    }
    Some(inside(script).unwrap())
}

#[test]
fn two_nodes_on_one_directory() {
    let scratch = tempfile::tempdir().unwrap();
    let options = configured(scratch.path());
    let venue = options.start().unwrap();
    let error = refused(scratch.path());
    assert!(error.contains("another process runs on"), "{error}");
    assert!(error.contains("stop it first, or choose another directory"), "{error}");
    venue.stop().unwrap();
    options.start().unwrap().stop().unwrap();
}

#[test]
fn a_foreign_journal() {
    let scratch = tempfile::tempdir().unwrap();
    let options = configured(scratch.path());
    options.start().unwrap().stop().unwrap();
    let other =
        options.configuration().replace("[exchange]\n", "[exchange]\nid = \"0123456789abcdef0123456789abcdef\"\n");
    std::fs::write(scratch.path().join("lakh.toml"), other).unwrap();
    let error = refused(scratch.path());
    assert!(error.contains("holds the journal of exchange"), "{error}");
    options.start().unwrap().stop().unwrap();
}

#[test]
fn a_future_format() {
    let scratch = tempfile::tempdir().unwrap();
    let options = configured(scratch.path());
    options.start().unwrap().stop().unwrap();
    let path = options.journal().join("0-0000000000000000.lkj");
    let segment = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    let set_major = |major: u8| [8, 4096 + 8].map(|at| segment.write_all_at(&[major], at).unwrap());
    set_major(7);
    let error = refused(scratch.path());
    assert!(error.contains("format version 7") && error.contains("run a newer version of lakh"), "{error}");
    set_major(u8::try_from(lakh_journal::FORMAT_MAJOR).unwrap());
    options.start().unwrap().stop().unwrap();
}

/// Places orders one by one, each acknowledged before the next.
fn trade(venue: &ScratchVenue, options: &VenueOptions, name: &str, count: u64) {
    let trader = options.traders().remove(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut outgoing, mut incoming) = connect(venue.websocket()).await.unwrap();
        for number in 0..count {
            outgoing.feed(order(&trader, number, &format!("{name}-{number}")).into()).await.unwrap();
            outgoing.flush().await.unwrap();
            let answer: Json = serde_json::from_str(&incoming.next().await.unwrap()).unwrap();
            assert_eq!(answer["status"], 200, "{answer}");
        }
    });
}

#[test]
fn damaged_acknowledged_records_are_refused_until_an_operator_gives_them_up() {
    let scratch = tempfile::tempdir().unwrap();
    let mut options = configured(scratch.path());
    options.durability = "sync".to_owned();
    let venue = options.start().unwrap();
    trade(&venue, &options, "before", 40);
    venue.kill();
    // A byte of the text that the fifth last order's signature covers.
    let path = options.journal().join("0-0000000000000000.lkj");
    let bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(9).rposition(|window| window == b"before-35").unwrap();
    let segment = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    segment.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();

    let error = refused(scratch.path());
    assert!(error.contains("is damaged at offset") && error.contains("may have been acknowledged"), "{error}");
    assert!(error.contains("Restore the file from a replica"), "{error}");
    let first_lost: u64 = error.rsplit("--truncate-at ").next().unwrap().trim().parse().unwrap();
    // Only who names exactly what is lost has seen what is lost.
    for other in [first_lost - 1, first_lost + 1] {
        let error = refused_with(scratch.path(), &["--truncate-at", &other.to_string()]);
        assert!(error.contains(&format!("--truncate-at {first_lost}")), "{error}");
    }
    let unchanged = std::fs::read(&path).unwrap();
    assert!(unchanged[..at] == bytes[..at] && unchanged[at + 1..] == bytes[at + 1..], "a refusal changes nothing");

    let venue = ScratchVenue::launch_with(run(scratch.path(), &["--truncate-at", &first_lost.to_string()])).unwrap();
    let outcome = venue.ready()["recovery"]["outcome"].as_str().unwrap().to_owned();
    assert!(outcome.contains("OperatorTruncation") && outcome.contains(&first_lost.to_string()), "{outcome}");
    trade(&venue, &options, "after", 10);
    venue.stop().unwrap();
    // The option acts once: the next start goes on where this one was.
    let venue = ScratchVenue::launch_with(run(scratch.path(), &["--truncate-at", &first_lost.to_string()])).unwrap();
    assert_eq!(venue.ready()["recovery"]["outcome"], "Clean");
    let closed = venue.stop().unwrap();

    let journal = options.journal();
    let said = |arguments: &[&str]| {
        let output = Command::new(PROGRAM).args(arguments).arg(&journal).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let dump = said(&["journal", "dump"]);
    let trace = format!("the operator gave up what had stood from record {first_lost} on");
    assert_eq!(dump.matches(&trace).count(), 1, "journaled, once");
    let evidence = |name: &str| Vec::from_iter(name.bytes().map(|byte| format!("{byte:02x}"))).concat();
    let exported = said(&["journal", "dump", "--json"]);
    assert!(exported.contains(&evidence("before-34")) && exported.contains(&evidence("after-9")));
    assert!(!exported.contains(&evidence("before-35")) && !exported.contains(&evidence("before-39")));
    let audit: Json = serde_json::from_str(&said(&["audit", "--json"])).unwrap();
    assert_eq!((&audit["finding_count"], &audit["signed"]), (&Json::from(0), &Json::from(45)), "{audit}");
    let notes = audit["notes"].to_string();
    let note = format!("an operator had given up what had stood from record {first_lost} on");
    assert!(notes.contains(&note), "{notes}");
    let replayed: Json = serde_json::from_str(&said(&["replay", "--json"])).unwrap();
    assert_eq!(replayed["state_hash"], closed["stateHash"]);
}

#[test]
fn a_full_disk_at_the_first_start() {
    let scratch = tempfile::tempdir().unwrap();
    configured(scratch.path());
    let script = r#"
        mount -t tmpfs -o size=8m none "$DIRECTORY/journal" || exit 90
        "$LAKH" run --config "$DIRECTORY/lakh.toml"
        echo "first: $?"
        ls "$DIRECTORY/journal"
        mount -o remount,size=100m "$DIRECTORY/journal" || exit 91
        "$LAKH" run --json --config "$DIRECTORY/lakh.toml" > "$DIRECTORY/out" &
        venue=$!
        until grep -q websocket "$DIRECTORY/out"; do kill -0 $venue || exit 92; done
        kill -TERM $venue
        wait $venue
        echo "second: $?"
    "#;
    let Some(output) = with_mounts(scratch.path(), script) else { return };
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("first: 1\n"), "an error, not a signal: {said}{error}");
    assert!(error.contains("No space left on device") && error.contains("make room"), "{error}");
    assert!(!said.contains(".lkj"), "no segment has a name that counts: {said}");
    assert!(said.contains("second: 0\n"), "it starts where there is room: {said}{error}");
}

#[test]
fn a_full_archive() {
    let scratch = tempfile::tempdir().unwrap();
    let mut options = configured(scratch.path());
    options.segment_bytes = 64 << 10;
    let venue = options.start().unwrap();
    trade(&venue, &options, "sealed", 60);
    venue.stop().unwrap();
    std::fs::create_dir(scratch.path().join("archive")).unwrap();
    let script = r#"
        mount -t tmpfs -o size=8k none "$DIRECTORY/archive" || exit 90
        "$LAKH" journal archive --keep 0 --to "$DIRECTORY/archive" "$DIRECTORY/journal"
        echo "first: $?"
        test -e "$DIRECTORY/journal/archived" && echo "noted"
        mount -o remount,size=10m "$DIRECTORY/archive" || exit 91
        "$LAKH" journal archive --to "$DIRECTORY/archive" "$DIRECTORY/journal"
        echo "second: $?"
        "$LAKH" journal verify "$DIRECTORY/journal"
    "#;
    let Some(output) = with_mounts(scratch.path(), script) else { return };
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("first: 1\n") && error.contains("No space left on device"), "{said}{error}");
    assert!(!said.contains("noted"), "what is not in the archive is not noted: {said}");
    assert!(said.contains("second: 0\n") && said.contains("findings      0"), "{said}{error}");
    options.start().unwrap().stop().unwrap();
}

#[test]
fn a_read_only_directory() {
    let scratch = tempfile::tempdir().unwrap();
    configured(scratch.path());
    let script = r#"
        mount -t tmpfs -o size=8m,ro none "$DIRECTORY/journal" || exit 90
        "$LAKH" run --config "$DIRECTORY/lakh.toml"
        echo "ended: $?"
    "#;
    let Some(output) = with_mounts(scratch.path(), script) else { return };
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("ended: 1\n"), "{said}{error}");
    assert!(error.contains("Read-only file system") && error.contains("must be writable"), "{error}");
}

#[test]
fn a_disk_that_is_nearly_full_closes_the_markets_but_for_cancels() {
    let scratch = tempfile::tempdir().unwrap();
    let mut options = configured(scratch.path());
    options.journal_keys = "free_disk_percent_min = 50\n".to_owned();
    std::fs::write(scratch.path().join("lakh.toml"), options.configuration()).unwrap();
    // A segment and the spare one take 32 of 60 MiB.
    let script = r#"
        mount -t tmpfs -o size=60m none "$DIRECTORY/journal" || exit 90
        "$LAKH" run --json --config "$DIRECTORY/lakh.toml" > "$DIRECTORY/out" &
        venue=$!
        until grep -q websocket "$DIRECTORY/out"; do kill -0 $venue || exit 92; done
        until "$LAKH" ctl --socket "$DIRECTORY/ctl.sock" status | grep -q CancelOnly; do kill -0 $venue || exit 93; done
        kill -TERM $venue
        wait $venue
        echo "ended: $?"
        "$LAKH" journal dump "$DIRECTORY/journal" | grep "of the journal's disk is free"
    "#;
    let Some(output) = with_mounts(scratch.path(), script) else { return };
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("ended: 0\n"), "{said}{error}");
    assert!(said.contains("less than 50 %") && said.contains("authority: Node"), "journaled with its reason: {said}");
    assert_eq!(said.matches("less than 50 %").count(), 1, "once: {said}");
}
