//! Engine and read models brought up to the journal's end: from the newest snapshot that counts, or the first record.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use lakh_engine::Engine;
use lakh_engine::ids::Sequence;
use lakh_gateway::directory::Directory;
use lakh_gateway::publisher::Publisher;
use lakh_journal::RecoveryOutcome;
use serde::{Deserialize, Serialize};

use crate::history::{Replay, restore};
use crate::snapshots;

/// How a start found its journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Recovery {
    /// What stood at the journal's end.
    pub(crate) outcome: String,
    /// The record of the snapshot that was taken up; 0 for the beginning.
    pub(crate) from_snapshot: u64,
    /// Records that were replayed behind it.
    pub(crate) replayed: u64,
    /// How long opening and replaying took.
    pub(crate) milliseconds: u64,
    /// Why newer snapshots did not count.
    pub(crate) passed_over: Vec<String>,
}

/// Read models that know nothing yet.
pub(crate) struct Empty {
    pub(crate) publisher: Publisher,
    pub(crate) directory: Arc<Directory>,
    /// The report log has all reports of this command and of those before it; behind it the replay must begin.
    pub(crate) has_reports_through: Sequence,
}

/// Engine and read models up to the journal's end.
pub(crate) struct Brought {
    pub(crate) engine: Engine,
    pub(crate) publisher: Publisher,
    pub(crate) directory: Arc<Directory>,
    pub(crate) recovery: Recovery,
}

impl Brought {
    /// From the newest snapshot that counts, or from the first record, comparing what the live engine left on the way.
    pub(crate) fn up(path: &Path, empty: Empty) -> Result<Self> {
        let Empty { mut publisher, directory, has_reports_through } = empty;
        let mut load = |sections: &snapshots::Sections<'_>| {
            let loaded = publisher.load(sections.read_models()?);
            loaded.map_err(|error| anyhow!("its read models are not of this version: {error:?}"))
        };
        let mut search = snapshots::find(path, has_reports_through.0, &mut load)?;
        if search.found.is_none() && !snapshots::begins_at_first(path)? {
            // Earlier records stand in the archive: a report log that has lost some of them stays without.
            search = snapshots::find(path, u64::MAX, &mut load)?;
        }
        search.passed_over.iter().for_each(|reason| tracing::warn!("{reason}"));
        let (mut replay, from_snapshot) = match search.found {
            Some(found) => (Replay::behind(path, found.engine, found.reader)?, found.sequence),
            None => (Replay::from_first(path)?, 0),
        };
        loop {
            let steps = replay.steps(usize::MAX)?;
            if steps.len() == 0 {
                break;
            }
            restore(&mut publisher, steps);
        }
        let recovery = Recovery {
            outcome: String::new(),
            from_snapshot,
            replayed: replay.engine.sequence().0 - from_snapshot,
            milliseconds: 0,
            passed_over: search.passed_over,
        };
        Ok(Self { engine: replay.engine, publisher, directory, recovery })
    }
}

/// What the epoch's record says: which software, and from where on an operator gave records up.
pub(crate) fn epoch_text(outcome: RecoveryOutcome) -> String {
    let software = concat!("lakh ", env!("CARGO_PKG_VERSION"));
    match outcome {
        RecoveryOutcome::OperatorTruncation { first_sequence, .. } => {
            format!("{software}; the operator gave up what had stood from record {first_sequence} on")
        }
        _ => software.to_owned(),
    }
}
