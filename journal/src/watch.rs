//! What the writer, the durability thread and those who wait for durability share inside one process.
//!
//! Invariants: `durable_sequence` only grows; once stopped, it never grows again; the first reason stays. The counter
//! is a plain atomic, so the hot path neither locks nor calls the system; the mutex guards only who is to be woken.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::seqlock;

/// State hash and event digest of the engine at one sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateNote {
    pub(crate) sequence: u64,
    pub(crate) state_hash: [u8; 32],
    pub(crate) event_digest: [u8; 32],
}

const NOTE_WORDS: usize = 9;

/// A single-writer slot for the newest note. A seqlock: neither side ever waits; a reader that meets a half-written
/// note takes it with the next block.
#[derive(Default)]
pub(crate) struct NoteSlot {
    version: AtomicU64,
    words: [AtomicU64; NOTE_WORDS],
}

impl NoteSlot {
    /// Stores a note. One thread only.
    pub(crate) fn store(&self, note: &StateNote) {
        let version = self.version.load(Ordering::Relaxed);
        seqlock::overwrite(&self.version, version + 1, || {
            self.words[0].store(note.sequence, Ordering::Relaxed);
            let hashes = note.state_hash.as_chunks::<8>().0.iter().chain(note.event_digest.as_chunks::<8>().0);
            for (word, bytes) in self.words[1..].iter().zip(hashes) {
                word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
            }
        });
        seqlock::publish(&self.version, version + 2);
    }

    /// The newest note if it is newer than version `taken`, which is then moved up.
    pub(crate) fn load_newer(&self, taken: &mut u64) -> Option<StateNote> {
        let version = seqlock::load(&self.version);
        if version == *taken || version % 2 == 1 {
            return None;
        }
        let copy = || {
            let mut hashes = [0; 64];
            for (bytes, word) in hashes.as_chunks_mut::<8>().0.iter_mut().zip(&self.words[1..]) {
                *bytes = word.load(Ordering::Relaxed).to_le_bytes();
            }
            (self.words[0].load(Ordering::Relaxed), hashes)
        };
        let (sequence, hashes) = seqlock::copied(&self.version, copy, |now| now == version)?;
        *taken = version;
        let (state, digest) = hashes.split_at(32);
        let (mut state_hash, mut event_digest) = ([0; 32], [0; 32]);
        state_hash.copy_from_slice(state);
        event_digest.copy_from_slice(digest);
        Some(StateNote { sequence, state_hash, event_digest })
    }
}

/// The shared state.
#[derive(Default)]
pub(crate) struct Shared {
    durable_sequence: AtomicU64,
    /// The last record on stable storage.
    stable_sequence: AtomicU64,
    /// The durability thread sleeps or is about to; the writer wakes it only then.
    pub(crate) idle: AtomicBool,
    /// The writer is closing: drain and end.
    pub(crate) closing: AtomicBool,
    pub(crate) note: NoteSlot,
    reason: OnceLock<Arc<str>>,
    waiters: Mutex<Waiters>,
    advanced: Condvar,
}

/// Who is told when the durable sequence moves.
#[derive(Default)]
struct Waiters {
    waker: Option<Waker>,
    /// Threads that wait for [`Shared::advanced`]: without any, telling it would be a system call for nobody.
    threads: u32,
}

impl Shared {
    /// Moves the durable sequence up and wakes who waits.
    pub(crate) fn advance(&self, sequence: u64) {
        self.durable_sequence.store(sequence, Ordering::Release);
        self.wake();
    }

    /// Notes that records up to this one are on stable storage.
    pub(crate) fn note_stable(&self, sequence: u64) {
        self.stable_sequence.fetch_max(sequence, Ordering::Release);
    }

    /// Stops for good; the first reason stays.
    pub(crate) fn stop(&self, reason: &str) {
        // A second reason is a consequence of the first and adds nothing.
        let _ = self.reason.set(Arc::from(reason));
        self.wake();
    }

    /// Why the journal stopped.
    pub(crate) fn stopped(&self) -> Option<&Arc<str>> {
        self.reason.get()
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        // A waker that panics leaves nothing half-written behind.
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        let waiters = self.waiters();
        if let Some(waker) = &waiters.waker {
            waker.wake_by_ref();
        }
        let threads = waiters.threads;
        drop(waiters);
        // The lock was taken behind the change, so whoever had looked before it waits by now; and it is free again, or who
        // is woken would at once have to wait for it.
        if threads > 0 {
            self.advanced.notify_all();
        }
    }
}

/// Tells how far the journal is durable. Cheap to clone; outlives the writer.
#[derive(Clone)]
pub struct DurabilityWatch {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for DurabilityWatch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("DurabilityWatch")
            .field("durable_sequence", &self.durable_sequence())
            .field("stopped", &self.stopped())
            .finish()
    }
}

impl DurabilityWatch {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The highest sequence that is durable at the configured level; output up to it may leave the process.
    pub fn durable_sequence(&self) -> u64 {
        self.shared.durable_sequence.load(Ordering::Acquire)
    }

    /// The highest sequence that survives power loss at every level: its block was written and synced. At the level
    /// `sync` that can be a moment ahead of [`Self::durable_sequence`], at `async` it follows some time behind.
    pub fn stable_sequence(&self) -> u64 {
        self.shared.stable_sequence.load(Ordering::Acquire)
    }

    /// Why the journal stopped, if it did. Nothing becomes durable after that.
    pub fn stopped(&self) -> Option<String> {
        self.shared.stopped().map(|reason| reason.to_string())
    }

    /// Sets what is woken after each advance of the durable sequence and when the journal stops. It replaces an earlier
    /// one.
    pub fn set_waiter(&self, waiter: Waker) {
        self.shared.waiters().waker = Some(waiter);
    }

    /// Waits until `sequence` is durable: `true`; or until the journal has stopped or `timeout` has passed: `false`.
    /// For start-up code and tests; the publisher uses [`Self::set_waiter`].
    pub fn wait_for(&self, sequence: u64, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut guard = self.shared.waiters();
        loop {
            if self.durable_sequence() >= sequence {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.shared.stopped().is_some() {
                return false;
            }
            guard.threads += 1;
            let waited = self.shared.advanced.wait_timeout(guard, left);
            guard = waited.unwrap_or_else(PoisonError::into_inner).0;
            guard.threads -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_note_is_taken_once() {
        let slot = NoteSlot::default();
        let mut taken = 0;
        assert_eq!(slot.load_newer(&mut taken), None);
        let note = |sequence| StateNote { sequence, state_hash: [1; 32], event_digest: [2; 32] };
        slot.store(&note(5));
        slot.store(&note(6));
        assert_eq!(slot.load_newer(&mut taken), Some(note(6)));
        assert_eq!(slot.load_newer(&mut taken), None);
    }

    #[test]
    fn waiting_ends_at_the_sequence_at_the_stop_and_at_the_timeout() {
        let shared = Arc::new(Shared::default());
        let watch = DurabilityWatch::new(Arc::clone(&shared));
        assert!(!watch.wait_for(1, Duration::from_millis(1)));
        let waiting = std::thread::spawn({
            let watch = watch.clone();
            move || (watch.wait_for(7, Duration::from_secs(60)), watch.wait_for(8, Duration::from_secs(60)))
        });
        shared.advance(7);
        shared.stop("first");
        shared.stop("second");
        assert_eq!(waiting.join().unwrap(), (true, false));
        assert_eq!(watch.stopped().as_deref(), Some("first"));
        assert_eq!(watch.durable_sequence(), 7);
    }
}
