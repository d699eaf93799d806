//! `cargo xtask sim` and `cargo xtask soak`: what continuous integration has in a small size, by hand and in a large one.
//!
//! Both only start tests of the other crates, which read their sizes from the environment. A soak goes on where it was
//! when it is started again, by what the tests leave in `target/soak`.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;

use crate::command::run_with;

/// Where soaks leave how far they came.
const FOLDER: &str = "target/soak";

/// Sequences of one process of the engine's soak.
const PART: u64 = 10_000;

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

/// Runs the large sizes of what the journal is held to.
///
/// # Errors
/// The first that fails.
pub(crate) fn journal(root: &Path, size: JournalSoak) -> anyhow::Result<()> {
    fs::create_dir_all(root.join(FOLDER)).with_context(|| format!("cannot create {FOLDER}"))?;
    let done = root.join(FOLDER).join("journal.done");
    let part = |name: &str, words: &[&str], variables: &[(&str, &str)]| -> anyhow::Result<()> {
        let before = fs::read_to_string(&done).unwrap_or_default();
        if before.lines().any(|line| line == name) {
            println!("{name}: done before; remove {FOLDER} to begin anew");
            return Ok(());
        }
        run_with(root, &[&["cargo", "test", "--locked", "--package"], words].concat(), variables)?;
        fs::write(&done, format!("{before}{name}\n")).with_context(|| format!("cannot write {}", done.display()))
    };
    let shown = ["--", "--nocapture"];
    let seeds = size.disk_seeds.to_string();
    let disk = [&["lakh-journal", "--test", "journal", "thousand_seeds"], &shown[..]].concat();
    part(&format!("{seeds} disk seeds"), &disk, &[("LAKH_SEEDS", &seeds)])?;
    let seeds = size.system_seeds.to_string();
    let system = [&["lakh-node", "--bin", "lakh", "simulation::seeds"], &shown[..]].concat();
    part(&format!("{seeds} system seeds"), &system, &[("LAKH_SIM_SEEDS", &seeds)])?;
    // The kills themselves go on where they were, venue by venue.
    let kills = size.kills.to_string();
    let progress = root.join(FOLDER).join("kills.done");
    let progress = progress.to_str().context("the repository's path is no UTF-8")?;
    let killed = [&["lakh-node", "--test", "kill_under_load"], &shown[..]].concat();
    let variables = [("LAKH_KILL_ROUNDS", kills.as_str()), ("LAKH_KILL_PROGRESS", progress)];
    part(&format!("{kills} kills"), &killed, &variables)
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
