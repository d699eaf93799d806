//! A venue that cannot have its journal: each cause is told in words that say what to do, and no start is left half done.
//!
//! Disk-full and read-only are real file systems, mounted for the test in a name space of its own; where the system
//! does not allow that, the test says that it was skipped.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use lakh_loadtest::scratch_venue::VenueOptions;

const PROGRAM: &str = env!("CARGO_BIN_EXE_lakh");

fn configured(directory: &Path) -> VenueOptions {
    let mut options = VenueOptions::new(Path::new(PROGRAM), directory);
    options.segment_bytes = 16 << 20;
    std::fs::write(directory.join("lakh.toml"), options.configuration()).unwrap();
    options
}

fn refused(directory: &Path) -> String {
    let config = directory.join("lakh.toml");
    let output = Command::new(PROGRAM).args(["run", "--config"]).arg(config).stdin(Stdio::null()).output().unwrap();
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
    set_major(0);
    options.start().unwrap().stop().unwrap();
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
