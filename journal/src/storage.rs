//! What a journal asks of an operating system, files, clocks and chance, and the real implementation.
//!
//! Everything that recovery relies on goes through [`Storage`], so that tests can fail, tear or lose each single call
//! (the second implementation is [`crate::faults::SimulatedDisk`]). Clocks and chance are part of it because a run of
//! a simulation is repeated from its seed only if nothing else decides. Errors are never retried here or above: after a
//! failed sync the kernel may have dropped the dirty pages, and a later sync would answer success.
//!
//! Bounds: a call moves at most 1 MiB. The journal writes whole pages only, from page-aligned buffers.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{Advice, FallocateFlags, FlockOperation, OFlags, SeekFrom};
use rustix::io::Errno;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading, through the page cache.
    Read,
    /// Reading and writing through the page cache.
    Buffered,
    /// Reading and writing past the page cache, each write durable when it returns. Where the file system has no
    /// direct access: through the cache, with a sync after each durable write.
    Direct,
}

/// An open file.
pub trait StorageFile: Send + Sync + 'static {
    /// Bytes of the file.
    fn size(&self) -> io::Result<u64>;
    /// Reads at `offset`; fewer bytes than asked for only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes at `offset` and returns how many bytes were taken. Durable only after [`Self::sync`].
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Writes at `offset`; the bytes taken are durable on return.
    fn write_durable(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Reserves `size` bytes that read as zeros, so that a full disk shows now and not at a later write.
    fn allocate(&self, size: u64) -> io::Result<()>;
    /// Makes data and size durable.
    fn sync(&self) -> io::Result<()>;
}

/// A place for files. Paths are absolute or relative to the process, as given in the options.
pub trait Storage: Clone + Send + 'static {
    /// An open file.
    type File: StorageFile;
    /// Keeps the directory locked while it lives.
    type Lock: Send + 'static;

    /// Creates a directory and its parents; an existing one is fine.
    fn create_directory(&self, directory: &Path) -> io::Result<()>;
    /// Locks a directory against every other writer; [`io::ErrorKind::WouldBlock`] if one has it.
    fn lock(&self, directory: &Path) -> io::Result<Self::Lock>;
    /// Names of the files in a directory, in no order.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;
    /// Creates a file, readable by its owner only, or empties it.
    fn create(&self, path: &Path) -> io::Result<Self::File>;
    /// Opens an existing file.
    fn open(&self, path: &Path, access: Access) -> io::Result<Self::File>;
    /// Renames a file, replacing `to`. Durable only after [`Self::sync_directory`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. Durable only after [`Self::sync_directory`].
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in a directory durable.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
    /// Nanoseconds of a clock that only runs forwards, from any begin: how long something took, when something is due.
    fn elapsed_ns(&self) -> u64;
    /// Nanoseconds since the Unix epoch, by a clock that may be set back; informative.
    fn wall_ns(&self) -> u64;
    /// A number that no earlier call has given, but for chance.
    fn random(&self) -> io::Result<u64>;
}

/// Turns a short write into an error: the journal never continues one.
pub(crate) fn whole(written: usize, wanted: usize) -> io::Result<()> {
    if written == wanted {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::WriteZero, format!("short write: {written} of {wanted} bytes")))
}

/// Reads exactly `buffer.len()` bytes.
pub(crate) fn read_exactly<F: StorageFile>(file: &F, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    Ok(())
}

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealStorage;

/// A file of the operating system.
#[derive(Debug)]
pub struct RealFile {
    file: File,
    /// Whether a durable write needs a sync of its own: not with O_DSYNC.
    sync_after_write: bool,
}

/// A locked directory; unlocked on drop, also by the process's death.
#[derive(Debug)]
pub struct RealLock {
    _file: File,
}

impl RealFile {
    /// Gives the file `size` bytes that read as zeros, and reserves nothing.
    pub(crate) fn stretch(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }

    /// Whether anything was ever written in a range of bytes; `true` where the file system cannot tell.
    pub(crate) fn was_written(&self, range: Range<u64>) -> bool {
        match rustix::fs::seek(&self.file, SeekFrom::Data(range.start)) {
            Ok(at) => at < range.end,
            Err(error) => error != Errno::NXIO,
        }
    }
}

impl StorageFile for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }

    fn write_durable(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let written = self.file.write_at(bytes, offset)?;
        if self.sync_after_write {
            self.file.sync_data()?;
        }
        Ok(written)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, size) {
            Ok(()) => Ok(()),
            // A file system without fallocate still has a size; its disk-full shows at the zeroing.
            Err(rustix::io::Errno::OPNOTSUPP) => self.file.set_len(size),
            Err(error) => Err(error.into()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl Storage for RealStorage {
    type File = RealFile;
    type Lock = RealLock;

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        std::fs::create_dir_all(directory)
    }

    fn lock(&self, directory: &Path) -> io::Result<RealLock> {
        let path = directory.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(RealLock { _file: file })
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, path: &Path) -> io::Result<RealFile> {
        let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).mode(0o600).open(path)?;
        Ok(RealFile { file, sync_after_write: true })
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<RealFile> {
        let mut options = OpenOptions::new();
        options.read(true).write(access != Access::Read);
        if access == Access::Direct {
            let flags = (OFlags::DIRECT | OFlags::DSYNC).bits().cast_signed();
            match options.clone().custom_flags(flags).open(path) {
                Ok(file) => return Ok(RealFile { file, sync_after_write: false }),
                Err(error) if error.kind() != io::ErrorKind::InvalidInput => return Err(error),
                Err(_) => {}
            }
        }
        let file = options.open(path)?;
        if access == Access::Direct {
            // Second best to reading past the cache: drop what is in it. Best effort, so the answer does not matter.
            let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
        }
        Ok(RealFile { file, sync_after_write: true })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        // An empty path is the working directory, as `Path::parent` of a bare name gives it.
        let directory = if directory.as_os_str().is_empty() { PathBuf::from(".") } else { directory.to_path_buf() };
        File::open(directory)?.sync_all()
    }

    fn elapsed_ns(&self) -> u64 {
        static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        u64::try_from(BEGIN.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn wall_ns(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    fn random(&self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        Ok(u64::from_le_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::{AlignedBuffer, PAGE};

    #[test]
    fn direct_writes_are_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        RealStorage.create(&path).unwrap().allocate(4 * PAGE as u64).unwrap();
        let file = RealStorage.open(&path, Access::Direct).unwrap();
        let mut buffer = AlignedBuffer::new(PAGE);
        buffer.as_mut_slice().fill(7);
        assert_eq!(file.write_durable(buffer.as_slice(), PAGE as u64).unwrap(), PAGE);
        let mut read = AlignedBuffer::new(2 * PAGE);
        read_exactly(&file, read.as_mut_slice(), 0).unwrap();
        assert_eq!(&read.as_slice()[PAGE..], buffer.as_slice());
        assert!(read_exactly(&file, read.as_mut_slice(), 3 * PAGE as u64).is_err(), "beyond the end");
        assert!(whole(PAGE - 1, PAGE).is_err());
        assert!(whole(PAGE, PAGE).is_ok());
    }

    #[test]
    fn a_directory_has_one_lock() {
        let directory = tempfile::tempdir().unwrap();
        let lock = RealStorage.lock(directory.path()).unwrap();
        let second = RealStorage.lock(directory.path()).map(|_| ()).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        drop(lock);
        assert!(RealStorage.lock(directory.path()).is_ok());
    }
}
