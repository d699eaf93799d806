//! `lakh journal snapshot`: keeps the state beside the journal, so that a start need not begin at the first record.
//!
//! A node takes snapshots by itself; this is for one that does not, or for a journal at rest. It follows the journal
//! like any other reader, in its own process at the lowest priority, so the live engine never pauses for it.

use anyhow::Result;
use indicatif::ProgressBar;
use lakh_journal::storage::RealStorage;
use serde_json::json;

use super::JournalArguments;
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
    let (mut replay, mut read_models, mut taken_at) = snapshots::begin(directory)?;
    loop {
        while let Some(step) = replay.step()? {
            read_models.restore(step.sequence, step.timestamp, step.events);
            bar.inc(1);
        }
        let sequence = replay.engine.sequence().0;
        let due = taken_at.saturating_add(arguments.every.unwrap_or(1));
        if sequence >= due {
            tell(&snapshots::take(&RealStorage, &replay, &read_models, directory)?, *json, &bar);
            taken_at = sequence;
        }
        if arguments.every.is_none() {
            bar.finish_and_clear();
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
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
