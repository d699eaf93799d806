//! `lakh journal snapshot`: keeps the state beside the journal, so that a start need not begin at the first record.
//!
//! A node takes snapshots by itself; this is for one that does not, or for a journal at rest. It follows the journal
//! like any other reader, in its own process at the lowest priority, so the live engine never pauses for it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use indicatif::ProgressBar;
use lakh_engine::codec;
use lakh_engine::command::{Command, Genesis};
use lakh_gateway::directory::Directory;
use lakh_gateway::publisher::{Publisher, PublisherOptions};
use serde_json::json;

use super::JournalArguments;
use crate::history::{self, Replay};
use crate::progress;
use crate::snapshots::{self, Taken};

/// Takes a snapshot.
#[derive(Debug, clap::Args)]
pub(crate) struct SnapshotArguments {
    #[command(flatten)]
    journal: JournalArguments,
    /// Go on, and take another one each time that many records have come, until ended by a signal.
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u64).range(1..))]
    every: Option<u64>,
}

/// `lakh journal snapshot`.
pub(crate) fn run(arguments: &SnapshotArguments) -> Result<()> {
    // Refused only where the system has no priorities; the snapshot is as good at any.
    let _ = rustix::process::nice(19);
    let JournalArguments { directory, json } = &arguments.journal;
    let bar = progress::counter("replaying", *json);
    let (mut replay, mut read_models, mut taken_at) = begin(directory)?;
    loop {
        while let Some(step) = replay.step()? {
            read_models.restore(step.sequence, step.timestamp, step.events);
            bar.inc(1);
        }
        let sequence = replay.engine.sequence().0;
        let due = taken_at.saturating_add(arguments.every.unwrap_or(1));
        if sequence >= due {
            tell(&snapshots::take(&replay, &read_models, directory)?, *json, &bar);
            taken_at = sequence;
        }
        if arguments.every.is_none() {
            bar.finish_and_clear();
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

/// Engine and read models behind the newest snapshot that has both, or before the first record.
fn begin(directory: &Path) -> Result<(Replay, Publisher, u64)> {
    let search = snapshots::find(directory, u64::MAX, |sections| {
        let engine = sections.engine()?;
        let genesis = engine.genesis().context("its engine has no genesis")?;
        let names = Arc::new(Directory::new(genesis.venue_tag, genesis.mode));
        let mut read_models = Publisher::new(PublisherOptions::default(), names);
        let loaded = read_models.load(sections.read_models()?);
        loaded.map_err(|error| anyhow::anyhow!("its read models are not of this version: {error:?}"))?;
        Ok(read_models)
    })?;
    for reason in &search.passed_over {
        tracing::warn!("{reason}");
    }
    if let Some(found) = search.found {
        return Ok((Replay::behind(directory, found.engine, found.reader)?, found.opened, found.sequence));
    }
    let names = Arc::new(names_of_first(directory)?);
    Ok((Replay::from_first(directory)?, Publisher::new(PublisherOptions::default(), names), 0))
}

/// An empty directory of the venue that the journal's first record makes.
fn names_of_first(directory: &Path) -> Result<Directory> {
    let mut reader = history::open(directory)?;
    let first = reader.next()?.and_then(|record| codec::split_payload(record.payload).ok());
    match first {
        Some((Command::Genesis(Genesis { venue_tag, mode, .. }), _)) => Ok(Directory::new(venue_tag, mode)),
        _ => anyhow::bail!("the journal in {} does not begin with a genesis", directory.display()),
    }
}

fn tell(taken: &Taken, json: bool, bar: &ProgressBar) {
    let Taken { path, sequence, bytes, seconds } = taken;
    bar.suspend(|| {
        if json {
            let file = path.display().to_string();
            println!("{}", json!({ "sequence": sequence, "bytes": bytes, "seconds": seconds, "file": file }));
        } else {
            println!("state after record {sequence} in {}, {bytes} bytes, {seconds:.2} s", path.display());
        }
    });
}
