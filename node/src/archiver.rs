//! The archiver: a thread of the lowest priority that brings sealed segments into the archive and lets go what may.
//!
//! An archive that does not answer holds up this thread alone; nothing goes then, and operators are told.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use lakh_config::Config;
use parking_lot::Mutex;
use serde::Serialize;

use crate::archive::{Archive, Retention, Shelf};
use crate::background::{BackgroundThread, StopRequest};

/// Between two looks for sealed segments.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a stop waits for a segment that is under way; the next start begins it anew.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// How the archive stands, for operators.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ArchiverStatus {
    /// What is wrong, if anything; empty again once it is not.
    pub(crate) news: Option<String>,
    /// Segments archived since the start.
    pub(crate) archived: u64,
    /// Segments let go since the start.
    pub(crate) removed: u64,
}

/// A running archiver.
pub(crate) struct Archiver {
    pub(crate) thread: BackgroundThread,
    pub(crate) status: Arc<Mutex<ArchiverStatus>>,
}

impl Archiver {
    /// Begins, where the configuration names an archive.
    pub(crate) fn start(config: &Config) -> Result<Option<Self>> {
        let journal = &config.journal;
        if journal.archive.is_empty() {
            return Ok(None);
        }
        let archive = Archive::open(&journal.archive)?;
        let retention = match config.settlement {
            // Settlement replays from the first record.
            Some(_) => Retention::KeepAll,
            None => Retention::KeepNewest(u64::from(journal.segments_kept)),
        };
        let directory = journal.directory.clone();
        let status = Arc::new(Mutex::new(ArchiverStatus::default()));
        let worker = Worker { archive, directory, retention, status: Arc::clone(&status) };
        let thread = BackgroundThread::start("archiver", move |stop| worker.run(&stop))?;
        Ok(Some(Self { thread, status }))
    }

    /// Asks the thread to end and waits a little: it may hang on an archive that does not answer.
    pub(crate) fn stop(self) {
        self.thread.stop(STOP_PATIENCE);
    }
}

/// The thread's own things.
struct Worker {
    archive: Archive,
    directory: PathBuf,
    retention: Retention,
    status: Arc<Mutex<ArchiverStatus>>,
}

impl Worker {
    fn run(self, stop: &StopRequest) {
        while !stop.is_made() {
            self.round(&self.directory);
            std::thread::park_timeout(INTERVAL);
        }
    }

    fn round(&self, directory: &Path) {
        let done = self.archive.round(Shelf::at(directory), self.retention, &mut |_| {});
        let mut status = self.status.lock();
        match done {
            Ok(round) => {
                status.news = None;
                status.archived += round.archived.len() as u64;
                status.removed += round.removed.len() as u64;
            }
            Err(error) => {
                let news = format!("the archive: {error:#}");
                if status.news.as_ref() != Some(&news) {
                    tracing::error!("{news}");
                }
                status.news = Some(news);
            }
        }
    }
}
