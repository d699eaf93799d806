//! Makes the next segment ahead, on its own thread or when told to, so that rotation finds it ready.
//!
//! A spare is allocated, zeroed (at the level `sync`, half of the time), synced, and renamed to `{shard}-{index:016}.lkn`; rotation
//! writes the header and gives it its final name. The index in the name keeps the maker, which is one ahead, off the file
//! that rotation is just taking. Zeroing matters at `sync` only: a synchronous write into an unwritten extent
//! costs milliseconds, against a tenth of one into a written block. At `async` an unwritten extent reads as zeros and
//! is as good.
//!
//! Invariants: a spare left by an earlier opening is used if its size is right; nothing is done after a stop. Bounds:
//! two spares on disk (one handed over, one being made), 1 MiB of zeros in memory while zeroing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::bytes::AlignedBuffer;
use crate::segment::file_name;
use crate::storage::{Access, Storage, StorageFile, whole};
use crate::watch::Shared;
use crate::{Durability, JournalError, JournalOptions, Labour};

const CHUNK_BYTES: usize = 1 << 20;

/// What the maker is told while it works.
#[derive(Default)]
struct Hurry {
    /// Rotation waits for the spare.
    wanted: AtomicBool,
    /// The log is closing.
    ending: AtomicBool,
}

/// Whoever makes spares, as rotation sees it.
pub(crate) enum SegmentMaker<S> {
    /// The thread "journal-segments".
    Thread(MakerThread),
    /// Rotation itself, unless somebody has told it to work ahead.
    Steps {
        /// Makes them.
        maker: Maker<S>,
        /// Index of the next one to make.
        next: u64,
        /// One that is ready.
        ready: Option<PathBuf>,
    },
}

/// The thread's end as rotation sees it.
pub(crate) struct MakerThread {
    // Declared before the thread: dropping it first frees a maker that waits to hand over.
    spares: Option<Receiver<Result<PathBuf, JournalError>>>,
    hurry: Arc<Hurry>,
    thread: Option<JoinHandle<()>>,
}

pub(crate) struct Maker<S> {
    storage: S,
    directory: PathBuf,
    shard: u16,
    segment_bytes: u64,
    zeroed: bool,
    hurry: Arc<Hurry>,
    shared: Arc<Shared>,
}

impl<S: Storage> SegmentMaker<S> {
    /// Begins with the spare for segment `next_segment`.
    pub(crate) fn start(
        storage: S,
        options: &JournalOptions,
        next_segment: u64,
        shared: Arc<Shared>,
        labour: Labour,
    ) -> Result<Self, JournalError> {
        let hurry = Arc::new(Hurry::default());
        let maker = Maker {
            storage,
            directory: options.directory.clone(),
            shard: options.shard,
            segment_bytes: options.segment_bytes,
            zeroed: options.durability == Durability::Sync,
            hurry: Arc::clone(&hurry),
            shared,
        };
        match labour {
            Labour::Threads => MakerThread::start(maker, next_segment, hurry).map(Self::Thread),
            Labour::Steps => {
                // Nobody else writes meanwhile, so there is nobody to be polite to.
                hurry.wanted.store(true, Ordering::Release);
                Ok(Self::Steps { maker, next: next_segment, ready: None })
            }
        }
    }

    /// Takes the spare; waits for it if rotation is faster than zeroing.
    pub(crate) fn take(&mut self, directory: &Path) -> Result<PathBuf, JournalError> {
        match self {
            Self::Thread(thread) => thread.take(directory),
            Self::Steps { maker, next, ready } => {
                let spare = ready.take().map_or_else(|| maker.make(*next), Ok)?;
                *next += 1;
                Ok(spare)
            }
        }
    }

    /// Makes the next spare now, where no thread does; whether there was anything to do.
    pub(crate) fn make_ahead(&mut self) -> Result<bool, JournalError> {
        match self {
            Self::Steps { maker, next, ready: ready @ None } => {
                *ready = Some(maker.make(*next)?);
                Ok(true)
            }
            Self::Steps { .. } | Self::Thread(_) => Ok(false),
        }
    }
}

impl MakerThread {
    fn start<S: Storage>(maker: Maker<S>, next_segment: u64, hurry: Arc<Hurry>) -> Result<Self, JournalError> {
        let directory = maker.directory.clone();
        // Capacity 0: the maker hands over one spare and begins the next only when that one is taken.
        let (sender, spares) = sync_channel(0);
        let thread = std::thread::Builder::new()
            .name("journal-segments".to_owned())
            .spawn(move || {
                for index in next_segment.. {
                    let made = maker.make(index);
                    let failed = made.is_err();
                    if maker.must_end() || sender.send(made).is_err() || failed {
                        return;
                    }
                }
            })
            .map_err(JournalError::io("start a thread for", &directory))?;
        Ok(Self { spares: Some(spares), hurry, thread: Some(thread) })
    }

    fn take(&self, directory: &Path) -> Result<PathBuf, JournalError> {
        self.hurry.wanted.store(true, Ordering::Release);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
        let received = self.spares.as_ref().and_then(|spares| spares.recv().ok());
        self.hurry.wanted.store(false, Ordering::Release);
        received.unwrap_or_else(|| {
            let ended = std::io::Error::other("the segment maker has ended after an error");
            Err(JournalError::io("make the next segment in", directory)(ended))
        })
    }
}

impl Drop for MakerThread {
    fn drop(&mut self) {
        self.hurry.ending.store(true, Ordering::Release);
        drop(self.spares.take());
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic there has been printed; rotation would have seen the closed channel.
            let _ = thread.join();
        }
    }
}

impl<S: Storage> Maker<S> {
    fn must_end(&self) -> bool {
        self.hurry.ending.load(Ordering::Acquire) || self.shared.stopped().is_some()
    }

    /// Makes the spare for segment `index`, or finds the one an earlier opening left.
    fn make(&self, index: u64) -> Result<PathBuf, JournalError> {
        let spare = self.directory.join(file_name(self.shard, index)).with_extension("lkn");
        if let Ok(file) = self.storage.open(&spare, Access::Read)
            && file.size().is_ok_and(|size| size == self.segment_bytes)
        {
            return Ok(spare);
        }
        let temporary = spare.with_extension("tmp");
        let created = self.storage.create(&temporary);
        let file = created.map_err(JournalError::io("create", &temporary))?;
        file.allocate(self.segment_bytes).map_err(JournalError::io("allocate", &temporary))?;
        if self.zeroed {
            self.zero(&temporary)?;
        }
        if self.must_end() {
            return Ok(spare);
        }
        file.sync().map_err(JournalError::io("sync", &temporary))?;
        self.storage.rename(&temporary, &spare).map_err(JournalError::io("rename", &temporary))?;
        // The directory is synced by rotation, after its own rename: two threads syncing it could let one's success
        // hide the other's failure.
        Ok(spare)
    }

    /// Zeroes a spare past the page cache, leaving the disk to the active segment for as long as each write took. A
    /// rotation that waits for the spare ends the courtesy.
    fn zero(&self, path: &Path) -> Result<(), JournalError> {
        let opened = self.storage.open(path, Access::Direct);
        let file = opened.map_err(JournalError::io("open", path))?;
        let zeros = AlignedBuffer::new(CHUNK_BYTES);
        let mut offset = 0;
        while offset < self.segment_bytes && !self.must_end() {
            let rest = usize::try_from(self.segment_bytes - offset).unwrap_or(CHUNK_BYTES);
            let count = rest.min(CHUNK_BYTES);
            let started_ns = self.storage.elapsed_ns();
            let written = file.write_durable(&zeros.as_slice()[..count], offset);
            let written = written.and_then(|written| whole(written, count));
            written.map_err(JournalError::io("zero", path))?;
            offset += count as u64;
            if !self.hurry.wanted.load(Ordering::Acquire) && !self.must_end() {
                std::thread::park_timeout(Duration::from_nanos(self.storage.elapsed_ns().saturating_sub(started_ns)));
            }
        }
        Ok(())
    }
}
