//! `lakh journal checkpoint`: signs checkpoints of a journal whose node does not, or of one at rest.
//!
//! Only what is on stable storage is signed: a later block says so of an earlier one (*durable block*), and of the last
//! block of a journal that nobody writes this program makes it true before it signs.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use lakh_journal::Follower;
use serde_json::json;

use super::JournalArguments;
use super::states;
use crate::checkpoints::{Checkpoint, CheckpointFile};
use crate::keys;
use crate::progress;

/// Signs checkpoints.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckpointArguments {
    #[command(flatten)]
    journal: JournalArguments,
    /// The node's key, as `lakh keygen` writes it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The file of checkpoints; new ones are appended.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Records between two checkpoints; the journal's last record has one, too.
    #[arg(long, value_name = "RECORDS", default_value_t = 65_536, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
}

/// `lakh journal checkpoint`.
pub(crate) fn run(arguments: &CheckpointArguments) -> Result<()> {
    let JournalArguments { directory, json } = &arguments.journal;
    keys::read_private(&arguments.key)?;
    let key = keys::read_key(&arguments.key)?;
    let mut out = CheckpointFile::open(&arguments.out, key)?;
    let mut last = out.last;
    let (mut replay, _) = states::from_newest(directory, last)?;
    let bar = progress::counter("replaying", *json);
    let mut waiting: Option<Checkpoint> = None;
    let mut count = 0;
    let mut write = |checkpoint: Checkpoint| -> Result<()> {
        count += 1;
        out.append(checkpoint)
    };
    while replay.step()?.is_some() {
        bar.inc(1);
        let durable = |checkpoint: &mut Checkpoint| replay.place.durable_block >= checkpoint.block;
        if let Some(checkpoint) = waiting.take_if(durable) {
            write(checkpoint)?;
        }
        let sequence = replay.engine.sequence().0;
        if sequence >= last + arguments.every && waiting.is_none() {
            waiting = Some(Checkpoint::of(&replay));
            last = sequence;
        }
    }
    bar.finish_and_clear();
    if !Follower::open(directory)?.is_attached() {
        sync_segments(directory)?;
        waiting.take().map(&mut write).transpose()?;
        if replay.engine.sequence().0 > last {
            write(Checkpoint::of(&replay))?;
        }
    }
    let public = out.signer();
    if *json {
        println!("{}", json!({ "checkpoints": count, "last_sequence": replay.engine.sequence().0, "signer": public }));
    } else {
        println!("{count} checkpoint(s) signed by {public}");
    }
    Ok(())
}

/// Makes what a dead writer may have left in the page cache durable. Nobody writes these files now.
fn sync_segments(directory: &Path) -> Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "lkj") {
            File::open(&path)?.sync_all().with_context(|| format!("{} cannot be synced", path.display()))?;
        }
    }
    Ok(())
}
