//! Memory that other processes see, and sealed files as memory. The only module with `unsafe`.
//!
//! Writable shared memory is only ever an array of `AtomicU64`. A reader in another process, or one that the writer
//! has lapped, therefore sees stale or mixed words and never a data race; what it read is judged afterwards (the
//! claim counter, CRCs, hashes). The same array can live on the heap, so that everything above this module runs under
//! valgrind and miri without a mapping.
//!
//! Bounds: the length is fixed at creation. Whoever truncates a mapped file from outside kills its users by SIGBUS;
//! both kinds of file are mode 0600 for that reason, and sealed segments are never shortened by the journal.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{Advice, Mmap, MmapOptions, MmapRaw};
use rustix::fs::FallocateFlags;

const WORDS_A_PAGE: usize = 4096 / 8;

/// A fixed array of words, private or shared.
pub(crate) enum SharedWords {
    /// On the heap of this process.
    Heap(Box<[AtomicU64]>),
    /// A mapped file.
    Mapped(MmapRaw),
}

impl SharedWords {
    /// `count` zero words on the heap, every page touched.
    pub(crate) fn heap(count: usize) -> Self {
        Self::Heap((0..count).map(|_| AtomicU64::new(0)).collect())
    }

    /// Makes `count` zero words of an empty file, which nobody but this user may open, and maps it with every page present,
    /// so that no append ever faults.
    pub(crate) fn create(file: &File, count: usize) -> io::Result<Self> {
        // Reserving first makes too little memory an error here instead of SIGBUS at a store.
        let bytes = count as u64 * 8;
        rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes)?;
        let map = MmapOptions::new().len(count * 8).map_raw(file)?;
        // Huge pages are a gift of the system's configuration; without them the ring works on small ones.
        let _ = map.advise(Advice::HugePage);
        let populated = map.advise(Advice::PopulateWrite);
        let words = Self::Mapped(map);
        if populated.is_err() {
            // Kernels before 5.14: touch each page by hand.
            words.words().iter().step_by(WORDS_A_PAGE).for_each(|word| word.store(0, Ordering::Relaxed));
        }
        Ok(words)
    }

    /// Maps an existing file read-only. The caller only loads, and only with [`Ordering::Relaxed`]: stronger loads of
    /// read-only memory are not guaranteed by the language.
    pub(crate) fn attach(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Self::Mapped(MmapOptions::new().map_raw_read_only(&file)?))
    }

    /// The words.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        match self {
            Self::Heap(words) => words,
            Self::Mapped(map) => {
                let pointer = map.as_ptr().cast::<AtomicU64>();
                // SAFETY: the mapping starts on a page, so it is aligned for u64; its length does not change while
                // `map` lives, which the returned borrow of `self` ensures; every bit pattern is a valid AtomicU64;
                // other processes and threads touch this memory only through atomics (or, for the closed mark,
                // through write(2), which the kernel does by its own mapping).
                unsafe { std::slice::from_raw_parts(pointer, map.len() / 8) }
            }
        }
    }
}

/// A sealed segment as memory, read-only.
pub(crate) struct MappedFile {
    map: Mmap,
}

impl MappedFile {
    /// Maps a whole file that is no longer written.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the journal never writes to or shortens a sealed segment (rotation has synced its footer before
        // the next segment exists, and readers map only segments that have a successor), so the bytes do not change
        // under the borrow. Interference from outside is excluded by mode 0600; see the module's bounds.
        let map = unsafe { Mmap::map(&file)? };
        let _ = map.advise(Advice::Sequential);
        Ok(Self { map })
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_created_file_is_seen_by_who_attaches() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("words");
        let writer = SharedWords::create(&File::create_new(&path).unwrap(), 1024).unwrap();
        let reader = SharedWords::attach(&path).unwrap();
        assert_eq!((writer.words().len(), reader.words().len()), (1024, 1024));
        writer.words()[1023].store(42, Ordering::Release);
        assert_eq!(reader.words()[1023].load(Ordering::Relaxed), 42);
        assert_eq!(SharedWords::heap(16).words().len(), 16);
        // The system itself says that whoever attaches cannot write: the second mapping of the file is read-only.
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let ours = maps.lines().filter(|line| line.ends_with(path.to_str().unwrap()));
        let mut rights: Vec<&str> = ours.filter_map(|line| line.split(' ').nth(1)).collect();
        rights.sort_unstable();
        assert_eq!(rights, ["r--s", "rw-s"]);
    }
}
