//! Bytes of a segment for scanning: a sealed one mapped, the active one through a window of plain reads.
//!
//! The active segment is not mapped: it is written past the page cache, and a window can be dropped and read again.
//! Bounds: one window of 256 KiB an open segment.

use std::io;

use crate::block::MAX_BLOCK_BYTES;
use crate::bytes::{AlignedBuffer, PAGE};
use crate::mapped::MappedFile;
use crate::storage::{StorageFile, read_exactly};

const WINDOW_BYTES: usize = 256 * 1024;

/// Where a segment's bytes come from.
pub(crate) enum Source<F> {
    /// The whole file as memory.
    Mapped(MappedFile),
    /// A window over a file.
    Window(Window<F>),
}

/// A page-aligned piece of a file.
pub(crate) struct Window<F> {
    file: F,
    buffer: AlignedBuffer,
    offset: u64,
    filled: usize,
}

impl<F: StorageFile> Source<F> {
    /// Reads through a window.
    pub(crate) fn window(file: F) -> Self {
        Self::Window(Window { file, buffer: AlignedBuffer::new(WINDOW_BYTES), offset: 0, filled: 0 })
    }

    /// The `length` bytes at `offset`: whole pages, at most a block. Beyond the end of the file is an error.
    pub(crate) fn bytes(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        match self {
            Self::Mapped(map) => {
                let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
                let end = start.checked_add(length).ok_or(io::ErrorKind::UnexpectedEof)?;
                map.bytes().get(start..end).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            }
            Self::Window(window) => window.bytes(offset, length),
        }
    }

    /// Forgets what was read, so that the next look sees what has been written since.
    pub(crate) fn refresh(&mut self) {
        if let Self::Window(window) = self {
            window.filled = 0;
        }
    }

    /// Bytes of the file.
    pub(crate) fn size(&self) -> io::Result<u64> {
        match self {
            Self::Mapped(map) => Ok(map.bytes().len() as u64),
            Self::Window(window) => window.file.size(),
        }
    }
}

impl<F: StorageFile> Window<F> {
    fn bytes(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        assert!(offset.is_multiple_of(PAGE as u64) && length <= MAX_BLOCK_BYTES, "scans go by pages and blocks");
        let end = offset + length as u64;
        if offset < self.offset || end > self.offset + self.filled as u64 {
            self.filled = 0;
            let rest = self.file.size()?.saturating_sub(offset);
            let wanted = usize::try_from(rest).unwrap_or(WINDOW_BYTES).min(WINDOW_BYTES);
            if wanted < length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            read_exactly(&self.file, &mut self.buffer.as_mut_slice()[..wanted], offset)?;
            self.offset = offset;
            self.filled = wanted;
        }
        let start = usize::try_from(offset - self.offset).expect("inside the window");
        Ok(&self.buffer.as_slice()[start..start + length])
    }
}
