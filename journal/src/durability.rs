//! The durability worker: takes published records from the ring, writes them as blocks, announces them as durable.
//!
//! Adaptive group commit without a timer: when a write ends, whatever has been published since is sealed and written in
//! one go, as blocks of at most 64 KiB, at most 1 MiB together. A block is announced when it may be acknowledged, which at the level `sync` is one write later than its own
//! (see [`crate::block_log`]). [`DurabilityWorker::turn`] is one write at most; [`DurabilityWorker::run`] is the thread
//! "journal" around it, which sleeps when there is nothing to do and never spins, and [`crate::JournalStepper`] is
//! another's hand that turns it. Any error, a panic included, stops the journal for good: the reason is kept, waiters are
//! woken, and nothing is written or synced afterwards.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::JournalError;
use crate::block::BlockHeader;
use crate::block_log::{BlockContent, BlockLog};
use crate::ring::{Batch, Place, Ring, STATE_STOPPED};
use crate::seqlock;
use crate::storage::Storage;
use crate::watch::{Shared, StateNote};

/// See the module.
pub(crate) struct DurabilityWorker<S: Storage> {
    log: BlockLog<S>,
    ring: Arc<Ring>,
    shared: Arc<Shared>,
    position: u64,
    notes_taken: u64,
    note: Option<StateNote>,
    /// Blocks that may not be announced yet: those of the last write and of this one.
    waiting: VecDeque<Written>,
}

/// A block that is written.
struct Written {
    header: BlockHeader,
    batch: Batch,
    place: Place,
}

/// What a turn did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Wrote or synced something.
    Worked,
    /// There was nothing to do.
    Idle,
    /// The writer has closed, and everything it published is on stable storage.
    Finished,
}

impl<S: Storage> DurabilityWorker<S> {
    pub(crate) fn new(log: BlockLog<S>, ring: Arc<Ring>, shared: Arc<Shared>) -> Self {
        Self { log, ring, shared, position: 0, notes_taken: 0, note: None, waiting: VecDeque::new() }
    }

    /// Runs until the writer closes or an error stops the journal.
    pub(crate) fn run(mut self) {
        loop {
            match self.guarded(Self::turn) {
                Ok(Turn::Worked) => {}
                Ok(Turn::Idle) => match self.await_sync_if_held_up() {
                    Ok(true) => {}
                    Ok(false) => self.sleep(),
                    Err(error) => return self.stop(&error),
                },
                Ok(Turn::Finished) => return,
                Err(error) => return self.stop(&error),
            }
        }
    }

    /// Stops the journal for good; the worker is not turned again.
    pub(crate) fn stop(&self, error: &JournalError) {
        self.ring.set_state(STATE_STOPPED);
        self.shared.stop(&error.to_string());
    }

    /// Makes a turn; a panic in it stops the journal and goes on to whoever called.
    pub(crate) fn guarded(
        &mut self,
        turn: impl FnOnce(&mut Self) -> Result<Turn, JournalError>,
    ) -> Result<Turn, JournalError> {
        catch_unwind(AssertUnwindSafe(|| turn(self))).unwrap_or_else(|panic| {
            let reason = "whoever writes the journal panicked; the message is on standard error";
            self.stop(&JournalError::Stopped { reason: Arc::from(reason) });
            resume_unwind(panic)
        })
    }

    /// One write of blocks or one head, whatever comes next; waits for a sync only where the journal closes or a segment
    /// ends.
    pub(crate) fn turn(&mut self) -> Result<Turn, JournalError> {
        self.log.take_note_of_sync()?;
        self.shared.note_stable(self.log.committed_sequence());
        // Read before looking for work: what was published before the closing is then seen.
        let closing = self.shared.closing.load(Ordering::SeqCst);
        if closing && self.log.await_sync()? {
            return Ok(Turn::Worked);
        }
        if !self.log.is_held_up() && self.pump()? {
            // Behind the announcement: what was just written may be what makes a sync due.
            self.log.sync_if_due()?;
            return Ok(Turn::Worked);
        }
        self.log.sync_if_due()?;
        if self.log.prove()? {
            self.announce();
            return Ok(Turn::Worked);
        }
        if closing {
            self.log.settle()?;
            self.shared.note_stable(self.log.committed_sequence());
            return Ok(Turn::Finished);
        }
        Ok(Turn::Idle)
    }

    /// Nanoseconds until a turn has something to do that nobody tells of: a sync to begin, or to take note of.
    pub(crate) fn due_in_ns(&self) -> Option<u64> {
        self.log.look_due_in_ns()
    }

    /// Where a sync holds up what is published, waits for it; whether it did.
    fn await_sync_if_held_up(&mut self) -> Result<bool, JournalError> {
        Ok(self.log.is_held_up() && self.log.await_sync()?)
    }

    /// Makes the sync that was begun, where no thread does; whether there was one.
    pub(crate) fn make_sync(&mut self) -> bool {
        self.log.make_sync()
    }

    /// Makes the next segment ahead, where no thread does; whether there was anything to do.
    pub(crate) fn make_spare(&mut self) -> Result<bool, JournalError> {
        self.log.make_spare()
    }

    /// Writes what is published, as much as one write takes; `false` if there was nothing.
    fn pump(&mut self) -> Result<bool, JournalError> {
        let published = self.ring.published();
        if published == self.position {
            return Ok(false);
        }
        while self.position < published && self.log.has_room() {
            self.stage_block(published)?;
        }
        self.log.write_staged()?;
        self.announce();
        Ok(true)
    }

    fn stage_block(&mut self, published: u64) -> Result<(), JournalError> {
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
        let (header, place) = self.log.stage(&content)?;
        self.position = batch.end;
        self.waiting.push_back(Written { header, batch, place });
        Ok(())
    }

    /// Announces the blocks that may be acknowledged.
    fn announce(&mut self) {
        let acknowledged = self.log.acknowledged_block();
        let mut last_sequence = None;
        while let Some(Written { header, batch, place }) =
            self.waiting.pop_front_if(|waiting| waiting.header.number <= acknowledged)
        {
            self.ring.complete(&header, &batch, place);
            last_sequence = Some(header.last_sequence());
        }
        if let Some(sequence) = last_sequence {
            self.shared.advance(sequence);
        }
    }

    /// The note about a sequence that the block contains. One that is about a later block waits for it, and newer ones
    /// wait behind: while the writer is ahead, the newest would always be about a block to come.
    fn take_note(&mut self, last_sequence: u64) -> Option<StateNote> {
        if self.note.is_none() {
            self.note = self.shared.note.load_newer(&mut self.notes_taken);
        }
        self.note.take_if(|note| note.sequence <= last_sequence)
    }

    fn sleep(&self) {
        // Published or closing since the last look? Then the writer may not have seen `idle`, and would not wake us.
        let nothing_to_do = || self.ring.published() == self.position && !self.shared.closing.load(Ordering::SeqCst);
        if seqlock::may_sleep(&self.shared.idle, nothing_to_do) {
            match self.due_in_ns() {
                Some(due_in_ns) => std::thread::park_timeout(Duration::from_nanos(due_in_ns)),
                None => std::thread::park(),
            }
        }
        self.shared.idle.store(false, Ordering::Relaxed);
    }
}
