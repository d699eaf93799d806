//! Makes the next segment ahead, on its own thread, so that rotation finds it ready.
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
use std::time::Instant;

use crate::bytes::AlignedBuffer;
use crate::segment::file_name;
use crate::storage::{Access, Storage, StorageFile, whole};
use crate::watch::Shared;
use crate::{Durability, JournalError, JournalOptions};

const CHUNK_BYTES: usize = 1 << 20;

/// What the maker is told while it works.
#[derive(Default)]
struct Hurry {
    /// Rotation waits for the spare.
    wanted: AtomicBool,
    /// The log is closing.
    ending: AtomicBool,
}

/// The maker's end as rotation sees it.
pub(crate) struct SegmentMaker {
    // Declared before the thread: dropping it first frees a maker that waits to hand over.
    spares: Option<Receiver<Result<PathBuf, JournalError>>>,
    hurry: Arc<Hurry>,
    thread: Option<JoinHandle<()>>,
}

struct Maker<S> {
    storage: S,
    directory: PathBuf,
    shard: u16,
    segment_bytes: u64,
    zeroed: bool,
    hurry: Arc<Hurry>,
    shared: Arc<Shared>,
}

impl SegmentMaker {
    /// Starts the thread "journal-segments".
    pub(crate) fn start<S: Storage>(
        storage: S,
        options: &JournalOptions,
        next_segment: u64,
        shared: Arc<Shared>,
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
            .map_err(JournalError::io("start a thread for", &options.directory))?;
        Ok(Self { spares: Some(spares), hurry, thread: Some(thread) })
    }

    /// Takes the spare; waits for it if rotation is faster than zeroing.
    pub(crate) fn take(&self, directory: &Path) -> Result<PathBuf, JournalError> {
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

impl Drop for SegmentMaker {
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
            let started = Instant::now();
            let written = file.write_durable(&zeros.as_slice()[..count], offset);
            let written = written.and_then(|written| whole(written, count));
            written.map_err(JournalError::io("zero", path))?;
            offset += count as u64;
            if !self.hurry.wanted.load(Ordering::Acquire) && !self.must_end() {
                std::thread::park_timeout(started.elapsed());
            }
        }
        Ok(())
    }
}
