//! `cargo xtask soak engine`: random sequences against the naive book for as long as one likes, each by its own number.
//!
//! Continuous integration runs ten thousand; a soak goes on where the last one ended, in parts of [`PART`], and keeps the
//! number of the next one in `target/soak/engine`. A sequence follows from its number alone, so a failure is found again
//! by that number, and soaks on several machines take different ranges.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::command::run_with;

/// Sequences of one process of the test.
const PART: u64 = 10_000;

/// What is soaked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Subject {
    /// The engine against the naive book.
    Engine,
}

/// Which sequences.
#[derive(Debug, clap::Args)]
pub(crate) struct SoakArguments {
    /// What is soaked.
    subject: Subject,
    /// How many sequences, rounded up to whole parts of 10,000.
    #[arg(long, default_value_t = 1_000_000)]
    sequences: u64,
    /// The first one; by default where the last soak ended.
    #[arg(long)]
    first: Option<u64>,
}

/// Runs the sequences and says how far it has come.
///
/// # Errors
/// The first part that fails: the test has named the sequence.
pub(crate) fn run(root: &Path, arguments: &SoakArguments) -> anyhow::Result<()> {
    let Subject::Engine = arguments.subject;
    let place = root.join("target/soak/engine");
    let first = match arguments.first {
        Some(first) => first,
        None => resume(&place)?,
    };
    let (start, parts) = (Instant::now(), arguments.sequences.div_ceil(PART));
    for part in 0..parts {
        let next = first + part * PART;
        let (from, count) = (next.to_string(), PART.to_string());
        let variables = [("LAKH_SOAK_FIRST", from.as_str()), ("LAKH_SOAK_SEQUENCES", count.as_str())];
        let test = ["cargo", "test", "--locked", "-q", "-p", "lakh-engine", "--test", "naive", "--"];
        let words = [&test[..], &["--ignored", "--exact", "soak", "--nocapture"]].concat();
        run_with(root, &words, &variables).with_context(|| format!("sequences from {next} on"))?;
        keep(&place, next + PART)?;
        let seconds = start.elapsed().as_secs();
        println!(
            "soak: {} of {} sequences agree, the next is {}; {seconds} s",
            (part + 1) * PART,
            parts * PART,
            next + PART
        );
    }
    Ok(())
}

/// The number of the next sequence; 0 where there was no soak yet.
fn resume(place: &PathBuf) -> anyhow::Result<u64> {
    match fs::read_to_string(place) {
        Ok(text) => text.trim().parse().with_context(|| format!("{} holds no number", place.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", place.display())),
    }
}

fn keep(place: &Path, next: u64) -> anyhow::Result<()> {
    let folder = place.parent().context("the file lies in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    fs::write(place, next.to_string()).with_context(|| format!("{} cannot be written", place.display()))?;
    ensure!(resume(&place.to_path_buf())? == next, "{} does not keep what it was given", place.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soak_goes_on_where_it_ended() {
        let folder = std::env::temp_dir().join(format!("lakh-soak-{}", std::process::id()));
        let place = folder.join("soak/engine");
        assert_eq!(resume(&place).expect("nothing is no failure"), 0);
        keep(&place, 30_000).expect("a folder of its own");
        assert_eq!(resume(&place).expect("it was just written"), 30_000);
        fs::write(&place, "x").expect("a folder of its own");
        assert!(resume(&place).is_err());
        fs::remove_dir_all(&folder).expect("a folder of its own");
    }
}
