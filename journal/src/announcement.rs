//! The file `live`: where tailers find the ring of the running writer.
//!
//! Three lines of text: `lakh-ring 0`, the ring's path, its nonce in hexadecimal digits. It is replaced atomically, is
//! never synced and never evidence: after a crash it names a ring that the next opening marks closed and removes.
//!
//! The ring is a file in shared memory, or, where that is missing or too small, in the journal's directory: slower,
//! since the kernel then writes its pages back, but correct. Those in shared memory whose writers were killed are removed
//! by the next opening of any journal ([`crate::shared_file`]).

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::JournalError;
use crate::mapped::SharedWords;
use crate::ring::{Ring, STATE_AT, STATE_CLOSED, words_for};
use crate::shared_file::{NewFile, remove_abandoned};

const SHARED_MEMORY: &str = "/dev/shm";
/// In front of a ring's nonce. What begins otherwise, as rings of builds before this one do, is nobody's to remove: their
/// writers held no lock.
const RING_PREFIX: &str = "lakh-tail-";
const FILE: &str = "live";
const FIRST_LINE: &str = "lakh-ring 0";

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Announcement {
    pub(crate) ring: PathBuf,
    pub(crate) nonce: u64,
}

impl Announcement {
    /// Reads the file; `None` if there is no writer or the file is not of this format.
    pub(crate) fn read(directory: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(directory.join(FILE)).ok()?;
        let mut lines = text.lines();
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let ring = PathBuf::from(lines.next()?);
        let nonce = u64::from_str_radix(lines.next()?, 16).ok()?;
        Some(Self { ring, nonce })
    }

    fn write(&self, directory: &Path) -> io::Result<()> {
        let temporary = directory.join("live.tmp");
        let mut file = std::fs::File::create(&temporary)?;
        writeln!(file, "{FIRST_LINE}\n{}\n{:016x}", self.ring.display(), self.nonce)?;
        std::fs::rename(temporary, directory.join(FILE))
    }

    /// Maps the ring for reading; `None` if it is gone or another's.
    pub(crate) fn attach(&self) -> Option<Ring> {
        Ring::attach(SharedWords::attach(&self.ring).ok()?, self.nonce)
    }
}

/// The ring's file while its writer lives; removed on drop.
#[derive(Debug)]
pub(crate) struct RingFile {
    directory: PathBuf,
    ring: PathBuf,
    /// Says that the writer lives.
    _lock: File,
}

impl RingFile {
    /// Removes what an earlier writer left, creates a ring and announces it.
    pub(crate) fn create(
        directory: &Path,
        capacity: usize,
        nonce: u64,
        term: u64,
    ) -> Result<(Self, Ring, Announcement), JournalError> {
        remove_stale(directory);
        remove_abandoned(Path::new(SHARED_MEMORY), RING_PREFIX, mark_closed);
        let name = name_of(nonce);
        let mut path = Path::new(SHARED_MEMORY).join(&name);
        let words = words_for(capacity);
        let made = make(&path, words).or_else(|_| {
            path = directory.join(&name);
            make(&path, words)
        });
        let (memory, lock) = made.map_err(JournalError::io("create the ring", &path))?;
        let file = Self { directory: directory.to_path_buf(), ring: path, _lock: lock };
        let announcement = Announcement { ring: file.ring.clone(), nonce };
        Ok((file, Ring::create(memory, capacity, nonce, term), announcement))
    }

    /// Tells tailers where the ring is; called when it shows what is durable.
    pub(crate) fn announce(&self, announcement: &Announcement) -> Result<(), JournalError> {
        announcement.write(&self.directory).map_err(JournalError::io("write", &self.directory.join(FILE)))
    }
}

impl Drop for RingFile {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next opening.
        let _ = std::fs::remove_file(self.directory.join(FILE));
        let _ = std::fs::remove_file(&self.ring);
    }
}

fn name_of(nonce: u64) -> String {
    format!("{RING_PREFIX}{nonce:016x}")
}

/// The words of a new ring, and the lock on its file. Nothing is left of one that cannot be made whole.
fn make(path: &Path, words: usize) -> io::Result<(SharedWords, File)> {
    let new = NewFile::create(path)?;
    match SharedWords::create(new.file(), words) {
        Ok(memory) => Ok((memory, new.publish(path)?)),
        Err(error) => {
            // Where it could only be made with its name. Nothing to remove is fine.
            let _ = std::fs::remove_file(path);
            Err(error)
        }
    }
}

/// Tells tailers that are still attached that nobody writes it any more. By write(2), which a mapping sees, because the
/// file may be of any size.
fn mark_closed(ring: &File) {
    let _ = ring.write_at(&STATE_CLOSED.to_le_bytes(), STATE_AT as u64 * 8);
}

/// The directory is locked, so whoever wrote the announcement is gone: mark its ring closed for tailers that are
/// still attached, and remove both.
fn remove_stale(directory: &Path) {
    if let Some(stale) = Announcement::read(directory) {
        let named_as_ours = stale.ring.file_name() == Some(name_of(stale.nonce).as_ref());
        if named_as_ours && stale.attach().is_some() {
            if let Ok(file) = std::fs::OpenOptions::new().write(true).open(&stale.ring) {
                mark_closed(&file);
            }
            let _ = std::fs::remove_file(&stale.ring);
        }
        let _ = std::fs::remove_file(directory.join(FILE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_announced_superseded_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Announcement::read(directory.path()), None);
        let (first, _ring, announcement) = RingFile::create(directory.path(), 65_536, 11, 1).unwrap();
        first.announce(&announcement).unwrap();
        assert_eq!(Announcement::read(directory.path()), Some(announcement.clone()));
        let tailer = announcement.attach().unwrap();
        assert_eq!(tailer.state(), crate::ring::STATE_LIVE);
        // The first writer dies without dropping.
        std::mem::forget(first);
        let (second, _ring, newer) = RingFile::create(directory.path(), 65_536, 12, 2).unwrap();
        assert_eq!(tailer.state(), STATE_CLOSED, "the attached tailer is told");
        assert!(!announcement.ring.exists());
        second.announce(&newer).unwrap();
        drop(second);
        assert!(!newer.ring.exists());
        assert_eq!(Announcement::read(directory.path()), None);
    }
}
