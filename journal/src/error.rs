//! What can go wrong with a journal, in words an operator can act on.
//!
//! Invariant: every message says where (path, offset, sequence) and, where there is something to do, what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::segment::{FORMAT_MAJOR, FORMAT_OLDEST};

/// An error of opening, recovering, reading or closing a journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The operating system refused an operation.
    #[error("cannot {action} {}: {answer}{}", path.display(), advice(answer))]
    Io {
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's answer. It stands in the message, so it is no further cause.
        answer: io::Error,
    },
    /// Another process, or another writer of this process, holds the directory.
    #[error("another process runs on {}; stop it first, or choose another directory", directory.display())]
    Locked {
        /// The journal's directory.
        directory: PathBuf,
    },
    /// An option is outside its legal range.
    #[error("journal option out of range: {detail}")]
    InvalidOptions {
        /// Which option, and its legal range.
        detail: String,
    },
    /// The directory has no segments.
    #[error("no journal in {}; start the exchange on it once, or name another directory", directory.display())]
    NoJournal {
        /// The directory that was looked at.
        directory: PathBuf,
    },
    /// The journal does not hold this record: it is behind the end, or in a segment that was archived.
    #[error("{} does not hold record {sequence}; it has not been written, or stands in the archive", directory.display())]
    NoRecord {
        /// The journal's directory.
        directory: PathBuf,
        /// The record asked for.
        sequence: u64,
    },
    /// The file was written by a newer version.
    #[error(
        "{} has format version {found}, this program reads up to {known}; run a newer version of lakh on it",
        path.display()
    )]
    FutureFormat {
        /// The file.
        path: PathBuf,
        /// The major format version found in it.
        found: u16,
        /// The newest major format version this program knows.
        known: u16,
    },
    /// The file was written before the format was frozen, by a program that was never released.
    #[error(
        "{} has format version {found}, which was never released; this program reads {oldest} and later. Read it with \
         the version that wrote it, and begin a new journal in another directory",
        path.display()
    )]
    EarlyFormat {
        /// The file.
        path: PathBuf,
        /// The major format version found in it.
        found: u16,
        /// The oldest major format version this program knows.
        oldest: u16,
    },
    /// The file belongs to another exchange or shard.
    #[error(
        "{} belongs to exchange {found}, not {expected}; correct the configured exchange id or the directory",
        path.display()
    )]
    ForeignExchange {
        /// The file.
        path: PathBuf,
        /// Exchange id and shard asked for, as hexadecimal digits, a slash and the shard.
        expected: String,
        /// Exchange id and shard found.
        found: String,
    },
    /// A segment that must exist does not.
    #[error(
        "segment {index} is missing from {}; restore it from the archive or a replica before starting",
        directory.display()
    )]
    MissingSegment {
        /// The journal's directory.
        directory: PathBuf,
        /// Index of the missing segment.
        index: u64,
    },
    /// The file `heads` is missing although there are segments.
    #[error(
        "{} is missing, so a lost end of the journal could not be told from a clean one; restore it, or state that \
         the journal ends before sequence {sequence} with --truncate-at {sequence}",
        path.display()
    )]
    HeadsMissing {
        /// Where the file should be.
        path: PathBuf,
        /// The sequence after the last valid record.
        sequence: u64,
    },
    /// Acknowledged data at the end of the journal is damaged; the operator may decide to give it up.
    #[error(
        "{} is damaged at offset {offset}: {detail}; records from sequence {sequence} on may have been acknowledged. \
         Restore the file from a replica, or give up everything from there on with --truncate-at {sequence}",
        path.display()
    )]
    Corruption {
        /// The damaged file.
        path: PathBuf,
        /// Byte offset of the first block that fails.
        offset: u64,
        /// The first sequence that cannot be read.
        sequence: u64,
        /// What did not agree.
        detail: String,
    },
    /// A segment header, footer or an inner segment is damaged; nothing may be given up here.
    #[error("{} is damaged: {detail}; restore it from the archive or a replica", path.display())]
    DamagedSegment {
        /// The damaged file.
        path: PathBuf,
        /// What did not agree.
        detail: String,
    },
    /// A snapshot is damaged or does not belong here.
    #[error("snapshot {} cannot be used: {detail}; remove it and an older one or a full replay is used", path.display())]
    Snapshot {
        /// The snapshot's file.
        path: PathBuf,
        /// What did not agree.
        detail: String,
    },
    /// What was sent for a mirror does not continue it. Nothing of it was kept.
    #[error(
        "what came for segment {segment} at offset {offset} is refused: {detail}; the mirror stays as it is, good up to \
         record {sequence}"
    )]
    Refused {
        /// Index of the segment.
        segment: u64,
        /// Offset in it.
        offset: u64,
        /// The last record that is mirrored.
        sequence: u64,
        /// What did not agree.
        detail: String,
    },
    /// The source of a mirror has another history than it had.
    #[error(
        "the source has another history than what was mirrored: they differ in {} at offset {offset}, at or before record \
         {sequence}. Keep this mirror as evidence, ask the venue, and mirror into another directory",
        path.display()
    )]
    Rewritten {
        /// The mirror's file.
        path: PathBuf,
        /// Offset of the part that differs.
        offset: u64,
        /// The last record that is mirrored.
        sequence: u64,
    },
    /// The directory holds a journal that no mirror made.
    #[error(
        "{} holds the journal of a node, which a mirror would write into; name another directory",
        directory.display()
    )]
    NoMirror {
        /// The directory.
        directory: PathBuf,
    },
    /// The journal stopped after its first error and acknowledges nothing any more.
    #[error("the journal stopped: {reason}; correct the cause and restart, recovery decides what is kept")]
    Stopped {
        /// The first error.
        reason: Arc<str>,
    },
}

/// What the operator can do about an answer of the operating system, where that is plain.
fn advice(answer: &io::Error) -> &'static str {
    match answer.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; make room on its file system and start again, nothing acknowledged is lost"
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "; the journal's directory must be writable for the user that runs lakh"
        }
        _ => "",
    }
}

impl JournalError {
    /// Wraps an operating system error with what was tried on which path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |answer| Self::Io { action, path, answer }
    }

    /// A file of a major format version that this program does not know.
    pub(crate) fn format(path: &Path, found: u16) -> Self {
        let path = path.to_path_buf();
        if found < FORMAT_OLDEST {
            Self::EarlyFormat { path, found, oldest: FORMAT_OLDEST }
        } else {
            Self::FutureFormat { path, found, known: FORMAT_MAJOR }
        }
    }
}

/// Why a record was not taken. Nothing has been written when this is returned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The ring has no room until earlier records are durable. Refuse input; never wait on the matching thread.
    #[error("the journal ring is full: storage is slower than the input")]
    Full,
    /// The journal has stopped at an earlier error; the reason is that error.
    #[error("the journal stopped: {0}")]
    Stopped(Arc<str>),
    /// Header and payload exceed [`crate::MAX_RECORD_BYTES`].
    #[error("a record of {bytes} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Bytes of the record with its header.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}
