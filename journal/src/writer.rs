//! Opening a journal, and the writer: the sequencer's end of the ring.
//!
//! What is not the writer's work is done by threads of the journal's own, or by a [`JournalStepper`] that somebody turns by
//! hand: the same worker, so that what a simulation proves holds for the threads.
//!
//! Invariants: one writer a directory (lock); sequences are gapless; `append` allocates nothing, locks nothing and
//! calls the system for nothing; a record is either wholly in the ring or not at all; what was not acknowledged
//! before a stop never is. Bounds: the ring; when it is full `append` says so and never waits.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::announcement::RingFile;
use crate::block_log::{BlockLog, random_nonce};
use crate::durability::{DurabilityWorker, Turn};
use crate::mapped::SharedWords;
use crate::record::{self, MAX_RECORD_BYTES, RECORD_HEADER_BYTES, padded};
use crate::recovery::{RecoveryReport, recover};
use crate::ring::{Ring, STATE_CLOSED, words_for};
use crate::storage::{RealStorage, Storage};
use crate::watch::{Shared, StateNote};
use crate::{AppendError, DurabilityWatch, JournalError, JournalOptions, RecordHeader};

/// Locks and recovers the journal, begins a new epoch, and starts the threads "journal" and "journal-segments".
///
/// Blocks until the epoch block is on stable storage; a fresh journal at the level `sync` first zeroes one segment.
///
/// # Errors
/// A locked directory, options out of range, another exchange's files, an unknown format, damage to acknowledged
/// data, or the operating system's refusal.
pub fn open(options: JournalOptions) -> Result<(JournalWriter, RecoveryReport), JournalError> {
    let (writer, worker, report) = prepare(RealStorage, options, RingHome::Shared, Labour::Threads)?;
    Ok((writer.with_thread(worker)?, report))
}

/// As [`open`], without the thread "journal": whoever holds the stepper writes, with [`JournalStepper::step`]. At the level
/// `async` that is a copy into the page cache, which costs less than to wake somebody for it. Syncs and new segments keep
/// their threads.
///
/// # Errors
/// As [`open`].
pub fn open_turned(
    options: JournalOptions,
) -> Result<(JournalWriter, JournalStepper<RealStorage>, RecoveryReport), JournalError> {
    let (writer, worker, report) = prepare(RealStorage, options, RingHome::Shared, Labour::Threads)?;
    Ok((writer, JournalStepper { worker: Some(worker) }, report))
}

/// As [`open`] on another storage, with a private ring that no tailer can attach to. For simulation.
///
/// # Errors
/// As [`open`].
pub fn open_with<S: Storage>(
    storage: S,
    options: JournalOptions,
) -> Result<(JournalWriter, RecoveryReport), JournalError> {
    let (writer, worker, report) = prepare(storage, options, RingHome::Private, Labour::Threads)?;
    Ok((writer.with_thread(worker)?, report))
}

/// As [`open_with`] and without any thread: nothing is written unless the stepper is turned.
///
/// # Errors
/// As [`open`].
pub fn open_stepped<S: Storage>(
    storage: S,
    options: JournalOptions,
) -> Result<(JournalWriter, JournalStepper<S>, RecoveryReport), JournalError> {
    let (writer, worker, report) = prepare(storage, options, RingHome::Private, Labour::Steps)?;
    Ok((writer, JournalStepper { worker: Some(worker) }, report))
}

/// What a step of a [`JournalStepper`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Wrote blocks or a head, or synced.
    Worked,
    /// There was nothing to do, or a sync has to end first.
    Idle,
    /// The writer has closed and everything is on stable storage, or an error has stopped the journal: there is nothing
    /// to do any more.
    Ended,
}

/// The journal's own work, step by step. Dropping it in the middle is what a killed process leaves.
pub struct JournalStepper<S: Storage> {
    worker: Option<DurabilityWorker<S>>,
}

impl<S: Storage> std::fmt::Debug for JournalStepper<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("JournalStepper").field("ended", &self.worker.is_none()).finish()
    }
}

impl<S: Storage> JournalStepper<S> {
    /// Does what the thread "journal" would do next, at most one write and what a new segment needs.
    pub fn step(&mut self) -> Step {
        self.turn(DurabilityWorker::turn)
    }

    /// In how long [`Self::step`] will have something to do, if nothing is published before; `None` for never.
    pub fn due_in(&self) -> Option<Duration> {
        self.worker.as_ref().and_then(DurabilityWorker::due_in_ns).map(Duration::from_nanos)
    }

    /// Makes the sync that the thread "journal-sync" would make; nothing where there is such a thread.
    pub fn sync(&mut self) -> Step {
        self.turn(|worker| Ok(if worker.make_sync() { Turn::Worked } else { Turn::Idle }))
    }

    /// Does what the thread "journal-segments" would do next: makes a segment ahead. Without it a rotation makes its own.
    pub fn make_segment(&mut self) -> Step {
        self.turn(|worker| worker.make_spare().map(|made| if made { Turn::Worked } else { Turn::Idle }))
    }

    fn turn(&mut self, turn: impl FnOnce(&mut DurabilityWorker<S>) -> Result<Turn, JournalError>) -> Step {
        let Some(worker) = &mut self.worker else { return Step::Ended };
        match worker.guarded(turn) {
            Ok(Turn::Worked) => return Step::Worked,
            Ok(Turn::Idle) => return Step::Idle,
            Ok(Turn::Finished) => {}
            Err(error) => worker.stop(&error),
        }
        self.worker = None;
        Step::Ended
    }
}

/// Who does what is not the writer's work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Labour {
    /// Threads of the journal's own.
    Threads,
    /// Whoever holds the [`JournalStepper`].
    Steps,
}

/// Where the ring lives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RingHome {
    Shared,
    Private,
}

fn prepare<S: Storage>(
    storage: S,
    options: JournalOptions,
    home: RingHome,
    labour: Labour,
) -> Result<(JournalWriter, DurabilityWorker<S>, RecoveryReport), JournalError> {
    options.validate()?;
    let directory = &options.directory;
    storage.create_directory(directory).map_err(JournalError::io("create", directory))?;
    let lock = storage.lock(directory).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => JournalError::Locked { directory: directory.clone() },
        _ => JournalError::io("lock", directory)(error),
    })?;
    let recovered = recover(&storage, &options, lock)?;
    let report = recovered.report;
    let shared = Arc::new(Shared::default());
    let nonce = random_nonce(&storage)?;
    let mut log = BlockLog::start(storage, &options, recovered.start, Arc::clone(&shared), labour)?;
    log.write_epoch(recovered.epoch_flags)?;
    let chain = *log.chain();
    let (ring, file, announcement) = match home {
        RingHome::Private => {
            let memory = SharedWords::heap(words_for(options.ring_bytes));
            (Ring::create(memory, options.ring_bytes, nonce, chain.term), None, None)
        }
        RingHome::Shared => {
            let (file, ring, announcement) = RingFile::create(directory, options.ring_bytes, nonce, chain.term)?;
            (ring, Some(file), Some(announcement))
        }
    };
    ring.set_durable(chain.sequence, chain.block);
    shared.advance(chain.sequence);
    if let (Some(file), Some(announcement)) = (&file, &announcement) {
        file.announce(announcement)?;
    }
    let ring = Arc::new(ring);
    let worker = DurabilityWorker::new(log, Arc::clone(&ring), Arc::clone(&shared));
    let writer = JournalWriter {
        position: 0,
        published: 0,
        released: 0,
        last_sequence: chain.sequence,
        scratch: vec![0; MAX_RECORD_BYTES].into_boxed_slice(),
        pending_note: None,
        ring,
        shared,
        directory: options.directory,
        thread: None,
        _file: file,
    };
    Ok((writer, worker, report))
}

/// The sequencer's end of the journal. Dropping it does what [`JournalWriter::close`] does, without the answer.
pub struct JournalWriter {
    position: u64,
    published: u64,
    /// The free space as last looked up; looked up again only when it seems used up.
    released: u64,
    last_sequence: u64,
    scratch: Box<[u8]>,
    pending_note: Option<StateNote>,
    ring: Arc<Ring>,
    shared: Arc<Shared>,
    directory: PathBuf,
    /// `None` where a stepper does its work, and once it is joined.
    thread: Option<JoinHandle<()>>,
    _file: Option<RingFile>,
}

impl std::fmt::Debug for JournalWriter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("JournalWriter")
            .field("last_sequence", &self.last_sequence)
            .field("free_bytes", &self.free_bytes())
            .finish_non_exhaustive()
    }
}

impl JournalWriter {
    fn with_thread<S: Storage>(mut self, worker: DurabilityWorker<S>) -> Result<Self, JournalError> {
        let spawned = std::thread::Builder::new().name("journal".to_owned()).spawn(move || worker.run());
        self.thread = Some(spawned.map_err(JournalError::io("start a thread for", &self.directory))?);
        Ok(self)
    }

    /// Copies a record into the ring; [`Self::publish`] makes it visible.
    ///
    /// # Errors
    /// The ring is full, the journal has stopped, or the record is too large. Nothing has been written then, and the
    /// same sequence may be tried again.
    ///
    /// # Panics
    /// If `header.sequence` is not the last one plus 1: the caller has lost count, and a journal with a gap or a
    /// repetition could not be replayed.
    #[inline]
    pub fn append(&mut self, header: RecordHeader, payload: &[u8]) -> Result<(), AppendError> {
        assert_eq!(header.sequence, self.last_sequence + 1, "sequences are gapless");
        if let Some(reason) = self.shared.stopped() {
            return Err(AppendError::Stopped(Arc::clone(reason)));
        }
        let bytes = RECORD_HEADER_BYTES + payload.len();
        if bytes > MAX_RECORD_BYTES {
            return Err(AppendError::TooLarge { bytes, limit: MAX_RECORD_BYTES });
        }
        let size = padded(bytes) as u64;
        let until_end = self.ring.until_end(self.position);
        let skip = if until_end < size { until_end } else { 0 };
        if self.position + skip + size - self.released > self.ring.capacity() {
            self.released = self.ring.released();
            if self.position + skip + size - self.released > self.ring.capacity() {
                return Err(AppendError::Full);
            }
        }
        let encoded = record::encode(&mut self.scratch, &header, payload);
        self.ring.store(self.position, skip, &self.scratch[..encoded]);
        self.position += skip + size;
        self.last_sequence = header.sequence;
        Ok(())
    }

    /// Makes all appended records visible to the durability thread and to tailers of the ring. Wakes the thread only
    /// if it was idle.
    #[inline]
    pub fn publish(&mut self) {
        if let Some(note) = self.pending_note.take() {
            self.shared.note.store(&note);
        }
        if self.published == self.position {
            return;
        }
        self.published = self.position;
        if self.ring.publish(self.position, &self.shared.idle) {
            self.wake();
        }
    }

    /// Notes the engine's state hash and event digest after `sequence`. The next block that is sealed after the next
    /// [`Self::publish`] and whose last sequence reaches `sequence` carries them. Of the notes that come before that
    /// block is sealed only the newest is kept, and only for the block behind it.
    pub fn note_state(&mut self, sequence: u64, state_hash: [u8; 32], event_digest: [u8; 32]) {
        self.pending_note = Some(StateNote { sequence, state_hash, event_digest });
    }

    /// Bytes that are certainly free: a record of [`RECORD_HEADER_BYTES`] plus its payload, rounded up to a multiple
    /// of 8, is taken if it is not larger than this.
    pub fn free_bytes(&self) -> usize {
        let free = self.ring.capacity() - (self.position - self.ring.released());
        let until_end = self.ring.until_end(self.position);
        // Near the end of the ring a record may have to skip the rest.
        let skipped = if until_end < MAX_RECORD_BYTES as u64 { until_end } else { 0 };
        usize::try_from(free.saturating_sub(skipped)).expect("at most the ring's size")
    }

    /// The last sequence that was appended, or recovered.
    pub fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// Tells how far the journal is durable.
    pub fn watch(&self) -> DurabilityWatch {
        DurabilityWatch::new(Arc::clone(&self.shared))
    }

    /// Publishes what is appended, waits until it is on stable storage at every level, and ends the threads. Where a
    /// stepper does the work it does not wait: [`Step::Ended`] tells when all is done.
    ///
    /// # Errors
    /// [`JournalError::Stopped`] if the journal had stopped before or stops while draining.
    pub fn close(mut self) -> Result<(), JournalError> {
        self.shut_down();
        match self.shared.stopped() {
            Some(reason) => Err(JournalError::Stopped { reason: Arc::clone(reason) }),
            None => Ok(()),
        }
    }

    #[cold]
    fn wake(&self) {
        if self.shared.idle.swap(false, Ordering::SeqCst)
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
    }

    fn shut_down(&mut self) {
        if self.shared.closing.load(Ordering::SeqCst) {
            return;
        }
        self.publish();
        self.shared.closing.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                self.shared.stop("the durability thread panicked; its message is on standard error");
            }
        }
        if self.shared.stopped().is_none() {
            self.ring.set_state(STATE_CLOSED);
        }
    }
}

impl Drop for JournalWriter {
    fn drop(&mut self) {
        self.shut_down();
    }
}
