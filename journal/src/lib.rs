//! The input log of an exchange: append, durability, recovery, readers.
//!
//! Whoever has the journal has every fill. It never loses an acknowledged record, never accepts a changed one, and
//! never slows the thread that appends. Its payloads are opaque bytes; it depends on no other part of Lakh.
//!
//! ```text
//! sequencer ── append, publish ──▶ ring (shared memory) ──▶ thread "journal": block = one group commit, one write
//!                                    │                        ├─ block, then next block or head ─▶ DurabilityWatch
//!                                    └─ Follower (any process) └─ rotation ◀── thread "journal-segments": the next one
//! segments ──▶ JournalReader, verify, recovery at the next open
//! ```
//!
//! Invariants, as absences: nothing is announced before it is durable at the configured level; no block is rewritten;
//! no failed write or sync is tried again; nothing in the ring is evidence for recovery; no reader holds the writer
//! up; no journal is silently shorter than what was acknowledged.
//!
//! Bounds: record 16 KiB, block 64 KiB, write 1 MiB, ring and segment as configured, one spare segment. The byte
//! layouts stand in the modules and, as the authority, in `docs/journal_format.md`.

#![deny(unsafe_code)]

mod announcement;
pub mod archive;
mod atomics {
    //! The atomics of `seqlock.rs`, which loom replaces by its own.
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
}
mod block;
mod block_log;
mod bytes;
mod durability;
mod error;
pub mod faults;
mod follower;
mod heads;
pub mod horizon;
mod mapped;
pub mod mirror;
mod options;
pub mod proof;
mod reader;
mod record;
mod recovery;
pub mod retention;
mod ring;
mod scan;
mod segment;
mod segment_maker;
mod seqlock;
mod shared_file;
pub mod snapshot;
mod source;
pub mod storage;
mod sync_behind;
pub mod verify;
mod watch;
mod writer;

pub use block::{BLOCK_HEADER_BYTES, BlockFlags, BlockHeader, MAX_BLOCK_BYTES};
pub use error::{AppendError, JournalError};
pub use follower::Follower;
pub use options::{Durability, JournalOptions, RING_BYTES_MAX, RING_BYTES_MIN, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use reader::JournalReader;
pub use record::{MAX_PAYLOAD_BYTES, MAX_RECORD_BYTES, RECORD_HEADER_BYTES, Record, RecordHeader};
pub use recovery::{RecoveryOutcome, RecoveryReport};
pub use segment::FORMAT_MAJOR;
pub use watch::DurabilityWatch;
pub(crate) use writer::Labour;
pub use writer::{JournalStepper, JournalWriter, Step, open, open_stepped, open_turned, open_with};
