//! Opening a journal, and the writer: the sequencer's end of the ring.
//!
//! Invariants: one writer a directory (lock); sequences are gapless; `append` allocates nothing, locks nothing and
//! calls the system for nothing; a record is either wholly in the ring or not at all; what was not acknowledged
//! before a stop never is. Bounds: the ring; when it is full `append` says so and never waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use crate::announcement::RingFile;
use crate::block_log::{BlockLog, random_nonce};
use crate::durability::DurabilityThread;
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
    start(RealStorage, options, RingHome::Shared)
}

/// As [`open`] on another storage, with a private ring that no tailer can attach to. For simulation.
///
/// # Errors
/// As [`open`].
pub fn open_with<S: Storage>(
    storage: S,
    options: JournalOptions,
) -> Result<(JournalWriter, RecoveryReport), JournalError> {
    start(storage, options, RingHome::Private)
}

/// Where the ring lives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RingHome {
    Shared,
    Private,
}

fn start<S: Storage>(
    storage: S,
    options: JournalOptions,
    home: RingHome,
) -> Result<(JournalWriter, RecoveryReport), JournalError> {
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
    let mut log = BlockLog::start(storage, &options, recovered.start, Arc::clone(&shared))?;
    log.write_epoch(recovered.epoch_flags)?;
    let (nonce, chain) = (random_nonce()?, *log.chain());
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
    let worker = DurabilityThread::new(log, Arc::clone(&ring), Arc::clone(&shared));
    let thread = std::thread::Builder::new()
        .name("journal".to_owned())
        .spawn(move || worker.run())
        .map_err(JournalError::io("start a thread for", directory))?;
    let writer = JournalWriter {
        position: 0,
        published: 0,
        released: 0,
        last_sequence: chain.sequence,
        scratch: vec![0; MAX_RECORD_BYTES].into_boxed_slice(),
        pending_note: None,
        ring,
        shared,
        thread: Some(thread),
        _file: file,
    };
    Ok((writer, report))
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
        self.ring.publish(self.position);
        if self.shared.idle.load(Ordering::SeqCst) {
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

    /// Publishes what is appended, waits until it is on stable storage at every level, and ends the threads.
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
        let Some(thread) = self.thread.take() else { return };
        self.publish();
        self.shared.closing.store(true, Ordering::SeqCst);
        thread.thread().unpark();
        if thread.join().is_err() {
            self.shared.stop("the durability thread panicked; its message is on standard error");
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
