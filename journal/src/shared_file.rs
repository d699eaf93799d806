//! Files in shared memory that do not outlive those who made them.
//!
//! A ring has a name, since tailers of other processes look for it; so nothing takes it away when its writer is killed, and
//! a machine would keep 64 MB of memory for each such death. A writer therefore holds a lock on its file for as long as it
//! lives, and each opening of a journal removes the files that nobody holds any more, whichever journal they were of.
//!
//! Invariants: a file has its name only once it is locked and complete, so nobody sees one that is about to be locked; what
//! has no lock has no living maker, in whichever container or with whichever process number, since the lock is the file's
//! and the kernel's. Only regular files of this user are touched, and no link is followed: the folder is everybody's.
//! Bounds: one look through the folder an opening.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

/// This process's open files, by number.
const OPEN_FILES: &str = "/proc/self/fd";

/// A file that is locked by this process and has no name yet; where the file system cannot make such a one, it has it.
pub(crate) struct NewFile {
    file: File,
    naming: Naming,
}

enum Naming {
    /// The name is to be given.
    Pending,
    /// It was made with its name.
    Done,
}

impl NewFile {
    /// Makes a file that will be `path`, readable and writable by this user.
    ///
    /// # Errors
    /// Those of the file system; a file that stands there already.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let (flags, mode) = (OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR);
        // Without this folder an open file cannot be given a name afterwards.
        let unnamed = Path::new(OPEN_FILES).exists().then(|| rustix::fs::open(folder, flags | OFlags::TMPFILE, mode));
        let (file, naming) = match unnamed.unwrap_or(Err(Errno::NOSYS)) {
            Ok(file) => (File::from(file), Naming::Pending),
            Err(_) => (File::from(rustix::fs::open(path, flags | OFlags::CREATE | OFlags::EXCL, mode)?), Naming::Done),
        };
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        // Between its name and its lock it was anybody's to remove.
        if matches!(naming, Naming::Done) && path.symlink_metadata()?.ino() != file.metadata()?.ino() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Self { file, naming })
    }

    /// The file, to be filled.
    pub(crate) const fn file(&self) -> &File {
        &self.file
    }

    /// Gives it its name. It is locked until what comes back is closed.
    ///
    /// # Errors
    /// Those of the file system; a file that stands there already.
    pub(crate) fn publish(self, path: &Path) -> io::Result<File> {
        if matches!(self.naming, Naming::Pending) {
            let unnamed = Path::new(OPEN_FILES).join(self.file.as_raw_fd().to_string());
            rustix::fs::linkat(CWD, unnamed, CWD, path, AtFlags::SYMLINK_FOLLOW)?;
        }
        Ok(self.file)
    }
}

/// Removes the files in `folder` whose names begin with `prefix` and whose makers are gone; `before` is done to each first.
/// What cannot be removed stays for the next one who tries.
pub(crate) fn remove_abandoned(folder: &Path, prefix: &str, before: impl Fn(&File)) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix));
        if is_ours && let Some(file) = abandoned(&entry.path()) {
            before(&file);
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// The file at `path`, locked, if nobody else has it locked and it is this user's.
fn abandoned(path: &Path) -> Option<File> {
    // Somebody else's pipe by that name must not hold anybody up.
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let metadata = file.metadata().ok()?;
    let is_own = metadata.is_file() && metadata.uid() == rustix::process::geteuid().as_raw();
    let is_free = is_own && rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
    is_free.then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_name_last_and_stays_while_its_lock_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ring-1");
        let remove = || remove_abandoned(folder.path(), "ring-", |_| {});
        let new = NewFile::create(&path).unwrap();
        remove();
        let lock = new.publish(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        remove();
        assert!(path.exists(), "its maker lives");
        drop(lock);
        remove();
        assert!(!path.exists());
    }

    #[test]
    fn a_name_that_is_taken_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ring-1");
        let first = NewFile::create(&path).unwrap().publish(&path).unwrap();
        let second = NewFile::create(&path).and_then(|second| second.publish(&path));
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        drop(first);
    }

    #[test]
    fn nothing_but_plain_files_by_that_name_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        let link = folder.path().join("ring-link");
        std::os::unix::fs::symlink(outside.path(), &link).unwrap();
        let pipe = folder.path().join("ring-pipe");
        rustix::fs::mknodat(CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        std::fs::create_dir(folder.path().join("ring-folder")).unwrap();
        std::fs::write(folder.path().join("another"), b"").unwrap();
        remove_abandoned(folder.path(), "ring-", |_| panic!("none of them is a ring"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
        assert!(outside.path().exists());
    }
}
