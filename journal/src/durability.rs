//! The thread "journal": takes published records from the ring, writes them as blocks, announces them as durable.
//!
//! Adaptive group commit without a timer: when a write ends, whatever has been published since is sealed, at most one
//! block. The thread sleeps when there is nothing to do and never spins. Any error, a panic included, stops the
//! journal for good: the reason is kept, waiters are woken, and nothing is written or synced afterwards.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::JournalError;
use crate::block_log::{BlockContent, BlockLog};
use crate::ring::{Ring, STATE_STOPPED};
use crate::storage::Storage;
use crate::watch::{Shared, StateNote};

/// The thread's state; [`DurabilityThread::run`] is the thread.
pub(crate) struct DurabilityThread<S: Storage> {
    log: BlockLog<S>,
    ring: Arc<Ring>,
    shared: Arc<Shared>,
    position: u64,
    notes_taken: u64,
    note: Option<StateNote>,
}

/// Stops the journal when the thread unwinds.
struct StopOnPanic {
    shared: Arc<Shared>,
    ring: Arc<Ring>,
}

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.ring.set_state(STATE_STOPPED);
            self.shared.stop("the durability thread panicked; its message is on standard error");
        }
    }
}

impl<S: Storage> DurabilityThread<S> {
    pub(crate) fn new(log: BlockLog<S>, ring: Arc<Ring>, shared: Arc<Shared>) -> Self {
        Self { log, ring, shared, position: 0, notes_taken: 0, note: None }
    }

    /// Runs until the writer closes or an error stops the journal.
    pub(crate) fn run(mut self) {
        let guard = StopOnPanic { shared: Arc::clone(&self.shared), ring: Arc::clone(&self.ring) };
        if let Err(error) = self.work() {
            self.ring.set_state(STATE_STOPPED);
            self.shared.stop(&error.to_string());
        }
        drop(guard);
    }

    fn work(&mut self) -> Result<(), JournalError> {
        loop {
            // Read before looking for work: what was published before the closing is then seen.
            let closing = self.shared.closing.load(Ordering::SeqCst);
            if self.pump()? {
                self.log.sync_if_due()?;
                continue;
            }
            if closing {
                return self.log.sync_behind();
            }
            match self.log.sync_due() {
                Some(due) if due <= Instant::now() => self.log.sync_behind()?,
                due => self.sleep(due),
            }
        }
    }

    /// Writes one block of what is published; `false` if there was nothing.
    fn pump(&mut self) -> Result<bool, JournalError> {
        let published = self.ring.published();
        if published == self.position {
            return Ok(false);
        }
        let batch = self.ring.take(self.position, published, self.log.payload_buffer());
        assert!(batch.count > 0, "a record of the largest size fits into a block");
        assert_eq!(batch.first_sequence, self.log.chain().sequence + 1, "the writer is gapless");
        let last_sequence = batch.first_sequence + u64::from(batch.count) - 1;
        let content = BlockContent {
            payload_bytes: usize::try_from(batch.end - batch.start).expect("at most a block"),
            record_count: batch.count,
            last_timestamp_ns: batch.last_timestamp_ns,
            flags: 0,
            note: self.take_note(last_sequence),
        };
        let (header, place) = self.log.write(&content)?;
        self.position = batch.end;
        self.ring.complete(&header, &batch, place);
        self.shared.advance(last_sequence);
        Ok(true)
    }

    /// The note about a sequence that the block contains. One that is about a later block waits for it, and newer ones
    /// wait behind: while the writer is ahead, the newest would always be about a block to come.
    fn take_note(&mut self, last_sequence: u64) -> Option<StateNote> {
        if self.note.is_none() {
            self.note = self.shared.note.load_newer(&mut self.notes_taken);
        }
        self.note.take_if(|note| note.sequence <= last_sequence)
    }

    fn sleep(&self, until: Option<Instant>) {
        self.shared.idle.store(true, Ordering::SeqCst);
        // Published or closing since the last look? Then the writer may not have seen `idle`, and would not wake us.
        if self.ring.published() == self.position && !self.shared.closing.load(Ordering::SeqCst) {
            match until {
                Some(until) => std::thread::park_timeout(until.saturating_duration_since(Instant::now())),
                None => std::thread::park(),
            }
        }
        self.shared.idle.store(false, Ordering::SeqCst);
    }
}
