//! Syncs behind the writes, at the level `async`: on a thread of its own, or when told to.
//!
//! No acknowledgement waits for a sync there, so none may stand behind one either: it takes a disk milliseconds, ten times
//! a second. The thread "journal-sync" makes one after the other, and blocks that are written meanwhile belong to the
//! next one. What it needs to say so on disk, the file of heads, goes there with the job and comes back with the answer.
//!
//! Invariants: one sync at a time; only blocks whose write had returned before it began are stable by it, though it may
//! cover more; the head is written after the sync, and neither after the journal has stopped. Bounds: one job and one
//! answer; how much is written meanwhile is [`crate::block_log`]'s to bound.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::block::BlockHeader;
use crate::heads::HeadFile;
use crate::storage::StorageFile;
use crate::watch::Shared;
use crate::{JournalError, Labour};

/// What is to be synced.
pub(crate) struct Job<F> {
    /// The segment's file.
    pub(crate) file: Arc<F>,
    pub(crate) path: PathBuf,
    /// Where it is noted.
    pub(crate) heads: HeadFile<F>,
    /// The newest block whose write has returned.
    pub(crate) newest: BlockHeader,
}

/// What came of it.
pub(crate) struct Done<F> {
    pub(crate) heads: HeadFile<F>,
    /// The newest block that is on stable storage.
    pub(crate) newest: BlockHeader,
    pub(crate) result: Result<(), JournalError>,
}

impl<F: StorageFile> Job<F> {
    fn run(mut self, shared: &Shared) -> Done<F> {
        let synced = self.file.sync().map_err(JournalError::io("sync", &self.path));
        let result = synced.and_then(|()| match shared.stopped() {
            Some(reason) => Err(JournalError::Stopped { reason: Arc::clone(reason) }),
            None => self.heads.write(&self.newest),
        });
        Done { heads: self.heads, newest: self.newest, result }
    }
}

/// Whoever syncs, as the log sees it.
pub(crate) enum SyncBehind<F> {
    /// The thread "journal-sync".
    Thread(SyncThread<F>),
    /// Whoever turns the journal by hand.
    Steps(Box<Steps<F>>),
}

/// What is between two steps.
pub(crate) struct Steps<F> {
    shared: Arc<Shared>,
    /// Begun and not yet done.
    job: Option<Job<F>>,
    /// Done and not yet taken.
    done: Option<Done<F>>,
}

/// The thread's end as the log sees it.
pub(crate) struct SyncThread<F> {
    jobs: Option<SyncSender<Job<F>>>,
    answers: Receiver<Done<F>>,
    thread: Option<JoinHandle<()>>,
}

impl<F: StorageFile> SyncBehind<F> {
    pub(crate) fn start(directory: &Path, shared: Arc<Shared>, labour: Labour) -> Result<Self, JournalError> {
        if labour == Labour::Steps {
            return Ok(Self::Steps(Box::new(Steps { shared, job: None, done: None })));
        }
        let (jobs, taken) = sync_channel::<Job<F>>(1);
        let (answer, answers) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("journal-sync".to_owned())
            .spawn(move || {
                for job in taken {
                    let done = job.run(&shared);
                    let stable = done.result.is_ok().then_some(done.newest.last_sequence());
                    if answer.send(done).is_err() {
                        return;
                    }
                    // Told here as well as by the log, which may have nothing to do for a while.
                    stable.into_iter().for_each(|sequence| shared.note_stable(sequence));
                }
            })
            .map_err(JournalError::io("start a thread for", directory))?;
        Ok(Self::Thread(SyncThread { jobs: Some(jobs), answers, thread: Some(thread) }))
    }

    /// Begins a sync. The one before it has been taken.
    pub(crate) fn begin(&mut self, begun: Job<F>) -> Result<(), JournalError> {
        match self {
            Self::Thread(thread) => {
                let jobs = thread.jobs.as_ref().expect("they go when this is dropped");
                jobs.send(begun).map_err(|unsent| ended(&unsent.0.path))
            }
            Self::Steps(steps) => {
                steps.job = Some(begun);
                Ok(())
            }
        }
    }

    /// The sync that has ended since, if one has.
    pub(crate) fn take(&mut self) -> Option<Done<F>> {
        match self {
            Self::Thread(thread) => thread.answers.try_recv().ok(),
            Self::Steps(steps) => steps.done.take(),
        }
    }

    /// Waits for the sync that goes on.
    pub(crate) fn wait(&mut self, path: &Path) -> Result<Done<F>, JournalError> {
        match self {
            Self::Thread(thread) => thread.answers.recv().map_err(|_| ended(path)),
            Self::Steps(_) => {
                self.make();
                self.take().ok_or_else(|| ended(path))
            }
        }
    }

    /// Makes the sync that was begun, where no thread does; whether there was one.
    pub(crate) fn make(&mut self) -> bool {
        match self {
            Self::Thread(_) => false,
            Self::Steps(steps) => match steps.job.take() {
                Some(job) => {
                    steps.done = Some(job.run(&steps.shared));
                    true
                }
                None => false,
            },
        }
    }
}

impl<F> Drop for SyncThread<F> {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; the log would have seen the closed channel.
            let _ = thread.join();
        }
    }
}

fn ended(path: &Path) -> JournalError {
    JournalError::io("sync", path)(std::io::Error::other("the thread that syncs has ended after an error"))
}
