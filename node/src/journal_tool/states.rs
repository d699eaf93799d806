//! What an engine comes to that is brought up to a journal's end, from the first record or from a snapshot.

use std::fmt;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

use crate::checkpoints::Held;
use crate::history::Replay;
use crate::keys::hex;
use crate::progress;
use crate::snapshots;

/// What a check of the states came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct States {
    /// The snapshot's sequence; 0 = from the first record.
    pub(crate) from_snapshot: u64,
    pub(crate) records: u64,
    pub(crate) state_hashes_compared: u64,
    pub(crate) event_digests_compared: u64,
    pub(crate) checkpoints_compared: u64,
    pub(crate) last_sequence: u64,
    pub(crate) state_hash: String,
    pub(crate) event_digest: String,
    pub(crate) seconds: f64,
}

impl fmt::Display for States {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "replayed      {} records behind snapshot {}", self.records, self.from_snapshot)?;
        writeln!(formatter, "state hashes  {} compared, all equal", self.state_hashes_compared)?;
        writeln!(formatter, "event digests {} compared, all equal", self.event_digests_compared)?;
        writeln!(formatter, "checkpoints   {} compared, all equal", self.checkpoints_compared)?;
        writeln!(formatter, "state hash    {}", self.state_hash)?;
        write!(formatter, "replayed in   {:.2} s", self.seconds)
    }
}

/// Replays to the end and compares. Checkpoints are compared from the first record on.
pub(crate) fn check(directory: &Path, full: bool, quiet: bool, mut held: Option<Held>) -> Result<States> {
    let started = Instant::now();
    let until = if full || held.is_some() { 0 } else { u64::MAX };
    let (mut replay, from_snapshot) = from_newest(directory, until)?;
    let bar = progress::counter("replaying", quiet);
    let mut records = 0;
    while replay.step()?.is_some() {
        records += 1;
        bar.inc(1);
        if let Some(held) = &mut held {
            held.compare(&replay)?;
        }
    }
    bar.finish_and_clear();
    if let Some(held) = &mut held {
        held.finish()?;
    }
    Ok(States {
        from_snapshot,
        records,
        state_hashes_compared: replay.compared.state_hashes,
        event_digests_compared: replay.compared.event_digests,
        checkpoints_compared: held.map_or(0, |held| held.compared),
        last_sequence: replay.engine.sequence().0,
        state_hash: hex(&replay.engine.state_hash()),
        event_digest: hex(&replay.engine.event_digest()),
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// A replay that begins behind the newest snapshot that counts and is not behind record `until`, and that snapshot's
/// record; at the first record, and 0, if there is none.
pub(crate) fn from_newest(directory: &Path, until: u64) -> Result<(Replay, u64)> {
    let search = snapshots::find(directory, until, |_| Ok(()))?;
    for reason in &search.passed_over {
        tracing::warn!("{reason}");
    }
    match search.found {
        Some(found) => Ok((Replay::behind(directory, found.engine, found.reader)?, found.sequence)),
        None => Ok((Replay::from_first(directory)?, 0)),
    }
}
