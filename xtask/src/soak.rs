//! `cargo xtask sim` and `cargo xtask soak`: what continuous integration has in a small size, by hand and in a large one.
//!
//! Both only start what the other crates have: tests, which read their sizes from the environment, and `lakh soak`. The
//! journal's soak goes on where it was when it is started again, by what the tests leave in `target/soak`.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;

use crate::command::{run, run_with};

/// Where soaks leave how far they came.
const FOLDER: &str = "target/soak";

/// Sequences of one process of the engine's soak.
const PART: u64 = 10_000;

/// Seeds of one process of the journal's soak, on the simulated disk and of the whole system.
const DISK_SEEDS_A_PART: u64 = 5_000;
const SYSTEM_SEEDS_A_PART: u64 = 200;

/// How large a soak of the journal is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JournalSoak {
    /// `kill -9` of real processes under load, at each level of durability.
    pub(crate) kills: u64,
    /// Seeds of power cuts and kills on the simulated disk.
    pub(crate) disk_seeds: u64,
    /// Seeds of the whole-system simulation.
    pub(crate) system_seeds: u64,
}

/// Runs the gateway's two soaks in full size, each against a venue of its own: idle connections, and subscribers that never
/// read. What they print belongs into docs/benchmarks.md.
///
/// # Errors
/// The first that fails.
pub(crate) fn gateway(root: &Path) -> anyhow::Result<()> {
    for soak in ["idle", "subscribers"] {
        run(root, &["cargo", "run", "--locked", "--release", "--", "soak", soak])?;
    }
    Ok(())
}

/// Runs the soak of the load generator over both transports and its tables. What they print belongs into docs/benchmarks.md.
///
/// # Errors
/// The first that fails: a check that does not hold is one.
pub(crate) fn load(root: &Path, seconds: u64) -> anyhow::Result<()> {
    fs::create_dir_all(root.join(FOLDER)).with_context(|| format!("cannot create {FOLDER}"))?;
    let lakh_load = ["cargo", "run", "--locked", "--release", "--", "load"];
    for transport in ["websocket", "binary"] {
        let (seconds, page) = (seconds.to_string(), format!("{FOLDER}/load-{transport}.html"));
        let words = ["--scenario", "soak", "--transport", transport, "--seconds", &seconds, "--report", &page];
        run(root, &[&lakh_load[..], &words].concat())?;
    }
    for table in ["connections", "keys", "markets", "resting"] {
        let words = ["--rate", "10000", "--seconds", "5", "--table", table];
        run(root, &[&lakh_load[..], &words].concat())?;
    }
    Ok(())
}

/// Runs one seed of the whole-system simulation and prints what happened in it.
///
/// # Errors
/// When the seed breaks an invariant.
pub(crate) fn simulate(root: &Path, seed: u64) -> anyhow::Result<()> {
    let test = "simulation::the_seed_that_was_asked_for";
    let words = ["cargo", "test", "--locked", "--package", "lakh-node", "--bin", "lakh", test];
    let words = [&words[..], &["--", "--exact", "--nocapture"]].concat();
    run_with(root, &words, &[("LAKH_SIM_SEED", &seed.to_string())])
}

/// Runs the large sizes of what the journal is held to, in release and in parts, each a process of its own: whoever stops
/// it loses the part that was under way.
///
/// # Errors
/// The first that fails.
pub(crate) fn journal(root: &Path, size: JournalSoak) -> anyhow::Result<()> {
    fs::create_dir_all(root.join(FOLDER)).with_context(|| format!("cannot create {FOLDER}"))?;
    let disk = ["lakh-journal", "--test", "journal", "thousand_seeds"];
    soak_seeds(root, "disk seeds", (size.disk_seeds, DISK_SEEDS_A_PART), &disk)?;
    let system = ["lakh-node", "--bin", "lakh", "simulation::seeds"];
    soak_seeds(root, "system seeds", (size.system_seeds, SYSTEM_SEEDS_A_PART), &system)?;
    // The kills themselves go on where they were, venue by venue.
    let kills = size.kills.to_string();
    let progress = root.join(FOLDER).join("kills.done");
    let progress = progress.to_str().context("the repository's path is no UTF-8")?;
    let killed = ["lakh-node", "--test", "kill_under_load", "lose_nothing_acknowledged"];
    let variables = [("LAKH_KILL_ROUNDS", kills.as_str()), ("LAKH_KILL_PROGRESS", progress)];
    run_part(root, &format!("{kills} kills"), &killed, &variables)
}

/// Runs the seeds up to a number, part by part.
fn soak_seeds(root: &Path, name: &str, (all, a_part): (u64, u64), words: &[&str]) -> anyhow::Result<()> {
    for first in (0..all).step_by(usize::try_from(a_part)?) {
        let count = a_part.min(all - first);
        let (from, seeds) = (first.to_string(), count.to_string());
        let variables = [("LAKH_FIRST_SEED", from.as_str()), ("LAKH_SEEDS", seeds.as_str())];
        run_part(root, &format!("{name} {first} to {}", first + count - 1), words, &variables)?;
    }
    Ok(())
}

/// Runs tests in release, unless they passed in an earlier run.
fn run_part(root: &Path, name: &str, words: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<()> {
    let done = root.join(FOLDER).join("journal.done");
    let before = fs::read_to_string(&done).unwrap_or_default();
    if before.lines().any(|line| line == name) {
        println!("{name}: done before; remove {FOLDER} to begin anew");
        return Ok(());
    }
    println!("{name}");
    let test = ["cargo", "test", "--locked", "--release", "--package"];
    run_with(root, &[&test[..], words, &["--", "--nocapture"]].concat(), variables)?;
    fs::write(&done, format!("{before}{name}\n")).with_context(|| format!("cannot write {}", done.display()))
}

/// Runs random sequences of the engine against the naive book. A sequence follows from its number alone, so that a failure
/// is found again by it, and several machines take different ranges.
///
/// # Errors
/// The first part that fails: the test has named the sequence.
pub(crate) fn engine(root: &Path, sequences: u64, first: Option<u64>) -> anyhow::Result<()> {
    fs::create_dir_all(root.join(FOLDER)).with_context(|| format!("cannot create {FOLDER}"))?;
    let place = root.join(FOLDER).join("engine.next");
    let first = match first {
        Some(first) => first,
        None => next_sequence(&place)?,
    };
    let (start, parts) = (Instant::now(), sequences.div_ceil(PART));
    for part in 0..parts {
        let from = first + part * PART;
        let (number, count) = (from.to_string(), PART.to_string());
        let variables = [("LAKH_SOAK_FIRST", number.as_str()), ("LAKH_SOAK_SEQUENCES", count.as_str())];
        let test = ["cargo", "test", "--locked", "-q", "--package", "lakh-engine", "--test", "naive", "--"];
        let words = [&test[..], &["--ignored", "--exact", "soak", "--nocapture"]].concat();
        run_with(root, &words, &variables).with_context(|| format!("sequences from {from} on"))?;
        fs::write(&place, (from + PART).to_string()).with_context(|| format!("cannot write {}", place.display()))?;
        let (done, all, seconds) = ((part + 1) * PART, parts * PART, start.elapsed().as_secs());
        println!("{done} of {all} sequences agree, the next is {}; {seconds} s", from + PART);
    }
    Ok(())
}

/// Where the last soak of the engine ended; 0 where there was none.
fn next_sequence(place: &Path) -> anyhow::Result<u64> {
    match fs::read_to_string(place) {
        Ok(text) => text.trim().parse().with_context(|| format!("{} holds no number", place.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", place.display())),
    }
}
