//! `lakh journal snapshot`: keeps the engine's state beside the journal, so that a replay need not begin at the first
//! record.
//!
//! It follows the journal like any other reader, in its own process at the lowest priority, so the live engine never
//! pauses for it. Two snapshots are kept. One is taken only after every state that the live engine left in the blocks
//! so far was found equal: a snapshot of a replay that has diverged would spread the divergence to every later start.
//! Whoever loads one compares the block hash that it names: at the level `async` a power cut may take a record back.
//!
//! A snapshot's payload is a sequence of sections, `u32 id ‖ u64 bytes ‖ bytes`; an unknown id is passed over.
//!
//! | id | section |
//! |---:|---|
//! | 1 | the engine's canonical snapshot |

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};
use indicatif::ProgressBar;
use lakh_engine::Engine;
use lakh_journal::snapshot::{self, SnapshotHeader};
use lakh_journal::storage::RealStorage;
use serde_json::json;

use super::JournalArguments;
use super::states::Replay;
use crate::progress;

const ENGINE_SECTION: u32 = 1;

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
    let mut replay = Replay::from_newest(directory, u64::MAX)?;
    let mut taken_at = replay.from_snapshot;
    loop {
        replay.run_to_end(&bar)?;
        let sequence = replay.engine.sequence().0;
        let due = taken_at.saturating_add(arguments.every.unwrap_or(1));
        if sequence >= due {
            tell(&take(&replay, directory)?, *json, &bar);
            taken_at = sequence;
        }
        if arguments.every.is_none() {
            bar.finish_and_clear();
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

/// What was written.
struct Taken {
    path: PathBuf,
    sequence: u64,
    bytes: usize,
    seconds: f64,
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

fn take(replay: &Replay, directory: &Path) -> Result<Taken> {
    let started = Instant::now();
    let sequence = replay.engine.sequence().0;
    let header = SnapshotHeader {
        exchange_id: replay.reader.exchange_id(),
        shard: replay.reader.shard(),
        sequence,
        block_hash: replay.block_hash,
    };
    let payload = payload_of(&replay.engine);
    let path = snapshot::save(&RealStorage, directory, &header, &payload)?;
    Ok(Taken { path, sequence, bytes: payload.len(), seconds: started.elapsed().as_secs_f64() })
}

/// A snapshot's payload for this engine.
pub(crate) fn payload_of(engine: &Engine) -> Vec<u8> {
    let state = engine.snapshot();
    let mut payload = Vec::with_capacity(state.len() + 12);
    payload.extend_from_slice(&ENGINE_SECTION.to_le_bytes());
    payload.extend_from_slice(&(state.len() as u64).to_le_bytes());
    payload.extend_from_slice(&state);
    payload
}

/// The engine in a snapshot's payload.
pub(crate) fn engine_of(payload: &[u8]) -> Result<Engine> {
    let mut rest = payload;
    while let Some((head, behind)) = rest.split_first_chunk::<12>() {
        let (id, bytes) = head.split_at(4);
        let id = u32::from_le_bytes(id.try_into().expect("4 bytes"));
        let bytes = u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
        let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= behind.len());
        let (section, next) = behind.split_at(bytes.context("a section of the snapshot crosses its end")?);
        if id == ENGINE_SECTION {
            return Engine::from_snapshot(section).map_err(|error| anyhow!("the snapshot's engine: {error:?}"));
        }
        rest = next;
    }
    Err(anyhow!("the snapshot has no engine"))
}
