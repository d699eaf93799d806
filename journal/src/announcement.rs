//! The file `live`: where tailers find the ring of the running writer.
//!
//! Three lines of text: `lakh-ring 0`, the ring's path, its nonce in hexadecimal digits. It is replaced atomically, is
//! never synced and never evidence: after a crash it names a ring that the next opening marks closed and removes.
//!
//! The ring is a file in shared memory, or, where that is missing or too small, in the journal's directory: slower,
//! since the kernel then writes its pages back, but correct.

use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::JournalError;
use crate::mapped::SharedWords;
use crate::ring::{Ring, STATE_AT, STATE_CLOSED, words_for};

const SHARED_MEMORY: &str = "/dev/shm";
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
        let name = format!("lakh-ring-{nonce:016x}");
        let mut path = Path::new(SHARED_MEMORY).join(&name);
        let words = words_for(capacity);
        let memory = SharedWords::create(&path, words).or_else(|_| {
            // Half a ring may be left if shared memory was too small. Nothing to remove is fine.
            let _ = std::fs::remove_file(&path);
            path = directory.join(&name);
            SharedWords::create(&path, words)
        });
        let memory = memory.map_err(JournalError::io("create the ring", &path))?;
        let file = Self { directory: directory.to_path_buf(), ring: path };
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

/// The directory is locked, so whoever wrote the announcement is gone: mark its ring closed for tailers that are
/// still attached, and remove both. By write(2), which a mapping sees, because the file may be of any size.
fn remove_stale(directory: &Path) {
    if let Some(stale) = Announcement::read(directory) {
        let named_as_ours = stale.ring.file_name() == Some(format!("lakh-ring-{:016x}", stale.nonce).as_ref());
        if named_as_ours && stale.attach().is_some() {
            if let Ok(file) = std::fs::OpenOptions::new().write(true).open(&stale.ring) {
                let _ = file.write_at(&STATE_CLOSED.to_le_bytes(), STATE_AT as u64 * 8);
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
