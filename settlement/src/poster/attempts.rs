//! The poster's transactions until they are final: every attempt's raw bytes, in memory and in one small file.
//!
//! What might have reached the chain must be known after a crash, else one nonce could get two payloads. So an attempt is
//! on stable storage before it is sent, and is forgotten only when the transaction with its nonce is final.
//!
//! | offset | size | meaning |
//! |---|---|---|
//! | 0 | 8 | `lakhtx 1` in ASCII |
//! | then for each attempt, in the order of their nonces and fees: | | |
//! | | 4 | its length, little-endian |
//! | | its length | the signed transaction |
//! | at the end | 32 | keccak256 of all before |
//!
//! The file is replaced as a whole: written beside, synced, renamed. Bounds: a few attempts, each at most 128 KiB, with blobs 1 MiB.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use lakh_engine::units::Timestamp;

use crate::chain::Address;
use crate::chain::transaction::Transaction;
use crate::contract::{COMMIT_BATCH, COMMIT_BATCH_BLOBS, FINALIZE, committed, selector};
use crate::keccak::{Hash, keccak256};
use crate::words::{WORD, read_u64};

const MAGIC: &[u8; 8] = b"lakhtx 1";

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Commits this batch.
    Commit(u64),
    /// Makes this batch and those before it final.
    Finalize(u64),
}

impl Purpose {
    /// From a call's bytes; `None` for another call.
    fn of(data: &[u8]) -> Option<Self> {
        let (found, arguments) = data.split_first_chunk::<4>()?;
        match *found {
            found if found == selector(COMMIT_BATCH) || found == selector(COMMIT_BATCH_BLOBS) => {
                committed::batch_id(arguments).map(Self::Commit)
            }
            // Its first argument is a header.
            found if found == selector(FINALIZE) => {
                let (words, _) = arguments.as_chunks::<WORD>();
                read_u64(words.get(1)?).map(Self::Finalize)
            }
            _ => None,
        }
    }
}

/// One signed transaction.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) raw: Vec<u8>,
    pub(super) hash: Hash,
    pub(super) transaction: Transaction,
}

/// All attempts at one nonce: one payload, rising fees.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) nonce: u64,
    pub(super) purpose: Purpose,
    /// Not empty; the newest last.
    pub(super) attempts: Vec<Attempt>,
    /// When it was sent last and when it got its newest fee, while it is in no block. Not kept in the file.
    pub(super) sent_at: Option<Timestamp>,
    pub(super) bumped_at: Option<Timestamp>,
}

impl Outgoing {
    pub(super) const fn new(nonce: u64, purpose: Purpose, attempts: Vec<Attempt>) -> Self {
        Self { nonce, purpose, attempts, sent_at: None, bumped_at: None }
    }

    pub(super) fn newest(&self) -> &Attempt {
        self.attempts.last().expect("made with its first attempt, and attempts are only added")
    }
}

/// Why the attempts of an earlier run cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptsError {
    /// The operating system's refusal.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Not the bytes that were written.
    #[error("{} is damaged; remove it once no transaction of the poster's key is waiting any more", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Another key's transactions.
    #[error("{} holds transactions of {found}, not of {expected}", path.display())]
    OtherSender {
        /// The file.
        path: PathBuf,
        /// Whose they are.
        found: Address,
        /// The poster.
        expected: Address,
    },
}

/// Where attempts are kept.
#[derive(Debug)]
pub(super) struct AttemptStore {
    path: Option<PathBuf>,
}

impl AttemptStore {
    /// The store, and what an earlier run left in it.
    pub(super) fn open(path: Option<PathBuf>, sender: Address) -> Result<(Self, Vec<Outgoing>), AttemptsError> {
        let Some(file) = &path else { return Ok((Self { path }, Vec::new())) };
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Self { path }, Vec::new())),
            Err(source) => return Err(AttemptsError::Io { action: "read", path: file.clone(), source }),
        };
        let attempts = decode(&bytes).ok_or_else(|| AttemptsError::Damaged { path: file.clone() })?;
        let mut outgoing: Vec<Outgoing> = Vec::new();
        for (attempt, purpose, found) in attempts {
            if found != sender {
                return Err(AttemptsError::OtherSender { path: file.clone(), found, expected: sender });
            }
            let nonce = attempt.transaction.nonce;
            match outgoing.last_mut().filter(|last| last.nonce == nonce) {
                Some(last) => last.attempts.push(attempt),
                None => outgoing.push(Outgoing::new(nonce, purpose, vec![attempt])),
            }
        }
        Ok((Self { path }, outgoing))
    }

    /// Replaces what is kept. On stable storage when it returns.
    pub(super) fn save<'a>(&self, outgoing: impl Iterator<Item = &'a Outgoing>) -> Result<(), AttemptsError> {
        let Some(path) = &self.path else { return Ok(()) };
        let bytes = encode(outgoing);
        write(path, &bytes).map_err(|source| AttemptsError::Io { action: "write", path: path.clone(), source })
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => File::open(directory)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn encode<'a>(outgoing: impl Iterator<Item = &'a Outgoing>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for attempt in outgoing.flat_map(|outgoing| &outgoing.attempts) {
        let length = u32::try_from(attempt.raw.len()).expect("a transaction has at most 1 MiB");
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&attempt.raw);
    }
    let sum = keccak256(&bytes);
    bytes.extend_from_slice(&sum.0);
    bytes
}

fn decode(bytes: &[u8]) -> Option<Vec<(Attempt, Purpose, Address)>> {
    let (body, sum) = bytes.split_last_chunk::<WORD>()?;
    if keccak256(body).0 != *sum {
        return None;
    }
    let mut rest = body.strip_prefix(MAGIC.as_slice())?;
    let mut attempts = Vec::new();
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let (raw, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let (transaction, hash, sender) = Transaction::decode(raw).ok()?;
        let purpose = Purpose::of(&transaction.data)?;
        attempts.push((Attempt { raw: raw.to_vec(), hash, transaction }, purpose, sender));
        rest = behind;
    }
    Some(attempts)
}
