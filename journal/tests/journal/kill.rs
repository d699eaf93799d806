//! kill −9: a child process writes and says what was acknowledged, the parent kills it at any time and opens.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use lakh_journal::{Durability, Follower, JournalOptions, open};

use crate::common::{LONG, Random, append, append_range, options, read_usual, seed, usual_length};

const DIRECTORY: &str = "LAKH_JOURNAL_KILL_DIRECTORY";
const LEVEL: &str = "LAKH_JOURNAL_KILL_LEVEL";

/// A child that does not outlive its test, also when the test fails.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        // Already dead is fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn child_options(directory: PathBuf, level: &str) -> JournalOptions {
    let durability = if level == "sync" { Durability::Sync } else { Durability::Async };
    JournalOptions { durability, ..options(&directory) }
}

/// Not a test of its own: what the child of the other one runs. Without the variables it does nothing.
#[test]
fn child_that_writes_until_it_is_killed() {
    let (Ok(directory), Ok(level)) = (std::env::var(DIRECTORY), std::env::var(LEVEL)) else { return };
    let (mut writer, report) = open(child_options(directory.into(), &level)).unwrap();
    let watch = writer.watch();
    let mut said = 0;
    let mut output = std::io::stderr().lock();
    for sequence in report.last_sequence + 1.. {
        assert!(append(&mut writer, sequence, usual_length(sequence)));
        writer.publish();
        let durable = watch.durable_sequence();
        if durable > said {
            said = durable;
            writeln!(output, "durable {durable}").unwrap();
        }
    }
}

#[test]
fn a_killed_writer_has_lost_nothing_acknowledged() {
    let mut random = Random(seed("a_killed_writer_has_lost_nothing_acknowledged"));
    let given = std::env::var("LAKH_KILL_ROUNDS").ok().and_then(|text| text.parse().ok());
    let rounds = given.unwrap_or(5);
    for level in ["sync", "async"] {
        let directory = tempfile::tempdir().unwrap();
        for round in 0..rounds {
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "kill::child_that_writes_until_it_is_killed", "--nocapture"])
                .env(DIRECTORY, directory.path())
                .env(LEVEL, level)
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut victim = Victim(child);
            let mut lines = BufReader::new(victim.0.stderr.take().unwrap()).lines();
            let mut acknowledged = 0;
            for _ in 0..=random.below(200) {
                let line = lines.next().expect("the child writes until it is killed").unwrap();
                let Some(number) = line.strip_prefix("durable ") else {
                    let rest: Vec<String> = lines.map_while(Result::ok).collect();
                    panic!("{level}, round {round}: {line}{rest:?}");
                };
                acknowledged = number.parse().unwrap();
            }
            drop(victim);
            for line in lines.map_while(Result::ok) {
                acknowledged = line.strip_prefix("durable ").and_then(|text| text.parse().ok()).unwrap_or(acknowledged);
            }
            let read = read_usual(directory.path()).unwrap();
            let mut follower = Follower::open(directory.path()).unwrap();
            assert!(follower.poll().unwrap().is_some(), "the dead writer's ring does not keep a follower from reading");
            let (writer, report) = open(child_options(directory.path().into(), level)).unwrap();
            assert_eq!(report.last_sequence, read, "reader and recovery agree");
            assert!(read >= acknowledged, "{level}, round {round}: {read} of {acknowledged}");
            writer.close().unwrap();
        }
    }
}

/// Where the ring of a journal's writer is.
fn ring_of(directory: &Path) -> PathBuf {
    let live = std::fs::read_to_string(directory.join("live")).unwrap();
    live.lines().nth(1).unwrap().into()
}

/// Shared memory has no owner that ends with a process: whoever opens a journal, whichever, gives back what those left that
/// were killed, and takes nothing from those that live.
#[test]
fn the_ring_of_a_killed_writer_is_removed_by_the_next_opening_of_any_journal() {
    let [alive, killed, next] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let (mut living, _) = open(child_options(alive.path().into(), "async")).unwrap();
    let mut follower = Follower::open(alive.path()).unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child_that_writes_until_it_is_killed", "--nocapture"])
        .env(DIRECTORY, killed.path())
        .env(LEVEL, "async")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut victim = Victim(child);
    let mut lines = BufReader::new(victim.0.stderr.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("durable "));
    let (ring, of_the_living) = (ring_of(killed.path()), ring_of(alive.path()));
    assert!(ring.exists() && of_the_living.exists(), "no other opening takes a living writer's");
    let mut of_the_killed = Follower::open(killed.path()).unwrap();
    assert!(of_the_killed.is_attached());
    drop(victim);
    let (other, _) = open(child_options(next.path().into(), "async")).unwrap();
    assert!(!ring.exists(), "{ring:?} is left");
    assert!(of_the_living.exists() && follower.is_attached());
    append_range(&mut living, 1, 10, 1);
    assert!(living.watch().wait_for(10, LONG));
    for _ in 1..=10 {
        assert!(follower.poll().unwrap().is_some());
    }
    // Who was attached to it is told, and reads what is in the segments.
    while of_the_killed.poll().unwrap().is_some() {}
    assert!(!of_the_killed.is_attached());
    other.close().unwrap();
    living.close().unwrap();
    assert!(!of_the_living.exists());
}
