//! How far a journal may be shown to somebody outside, and its bytes up to there, for whoever mirrors it.
//!
//! A horizon stands in one segment: all of the segments before it may be shown, and of its own what stands before its
//! offset. It moves over whole blocks by their headers alone (a header has a CRC of its own), so it costs a read of 256
//! bytes a block, and a page for each sealed segment; the records behind are verified by whoever receives them.
//!
//! Invariants: it moves only over blocks that [`Limit`] lets through, so what the writer has not announced as durable is
//! never shown; it never goes back, unless its segment was let go to the archive; it takes no lock and asks nothing of
//! the writer. Bounds: [`BLOCKS_A_TURN`] headers a call.

use std::io;
use std::path::{Path, PathBuf};

use crate::JournalError;
use crate::block::{BLOCK_HEADER_BYTES, BlockHeader, ChainTail};
use crate::bytes::PAGE;
use crate::recovery::{check_continues, list_segments, read_header_of};
use crate::segment::{FOOTER_BYTES, SEGMENT_HEADERS_BYTES, SegmentFooter, SegmentHeader, file_name};
use crate::storage::{Access, RealFile, RealStorage, Storage, read_exactly};

/// Blocks that one call moves over at most.
pub const BLOCKS_A_TURN: usize = 4_096;

/// What may be shown: a block is if all of it keeps to both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The last record.
    pub through_sequence: u64,
    /// The latest time of sealing, nanoseconds since the Unix epoch.
    pub sealed_through_ns: u64,
}

impl Limit {
    fn shows(&self, last_sequence: u64, time_ns: u64) -> bool {
        last_sequence <= self.through_sequence && time_ns <= self.sealed_through_ns
    }
}

/// A byte of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Index of the segment.
    pub segment: u64,
    /// Offset in its file.
    pub offset: u64,
}

/// What stands at a position, for whoever asks.
#[derive(Debug)]
pub enum Piece {
    /// Bytes: headers and blocks, or a sealed segment's footer, which is told at the offset where its blocks end.
    Bytes(PieceBytes),
    /// Nothing that may be shown yet; a later call may find more.
    NotYet,
    /// The segment was let go.
    Gone {
        /// The oldest one that is there.
        oldest: u64,
    },
    /// Behind the horizon, or behind the end of a sealed segment's blocks.
    Beyond,
}

/// Bytes of a segment's file that stand for good.
#[derive(Debug)]
pub struct PieceBytes {
    file: RealFile,
    offset: u64,
    length: u64,
}

impl PieceBytes {
    /// Bytes that are left.
    pub fn remaining(&self) -> u64 {
        self.length
    }

    /// Reads the next bytes, at most `most` of them; empty at the end.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn next(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let count = usize::try_from(self.length).unwrap_or(most).min(most);
        let mut bytes = vec![0; count];
        read_exactly(&self.file, &mut bytes, self.offset)?;
        self.offset += count as u64;
        self.length -= count as u64;
        Ok(bytes)
    }
}

/// One segment as far as it may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShownSegment {
    /// Its index.
    pub index: u64,
    /// Bytes of its file.
    pub segment_bytes: u64,
    /// Number of its first block.
    pub first_block: u64,
    /// Its first sequence.
    pub first_sequence: u64,
    /// Its last sequence that may be shown; first − 1 if there is none.
    pub last_sequence: u64,
    /// Offset behind its last block that may be shown.
    pub end_offset: u64,
    /// Whether it is sealed, and all of it may be shown.
    pub is_sealed: bool,
    /// Hash of its last block that may be shown; of the one before the segment if there is none.
    pub last_block_hash: [u8; 32],
}

/// See the module.
#[derive(Debug)]
pub struct Horizon {
    directory: PathBuf,
    file: RealFile,
    header: SegmentHeader,
    /// Behind the last block that may be shown; its timestamp is that of the segment's start.
    chain: ChainTail,
    offset: u64,
}

impl Horizon {
    /// Stands before the first block of the oldest segment in `directory`.
    ///
    /// # Errors
    /// No journal, a damaged segment header, the operating system's refusal.
    pub fn open(directory: &Path) -> Result<Self, JournalError> {
        let segments = list_segments(&RealStorage, directory)?;
        let no_journal = || JournalError::NoJournal { directory: directory.to_path_buf() };
        let (shard, oldest) = segments.first().copied().ok_or_else(no_journal)?;
        let (file, header) = open_segment(&directory.join(file_name(shard, oldest)), oldest)?;
        let chain = header.chain();
        Ok(Self { directory: directory.to_path_buf(), file, header, chain, offset: SEGMENT_HEADERS_BYTES })
    }

    /// The exchange whose journal this is.
    pub fn exchange_id(&self) -> [u8; 16] {
        self.header.exchange_id
    }

    /// The shard whose journal this is.
    pub fn shard(&self) -> u16 {
        self.header.shard
    }

    /// Where it stands: everything before may be shown.
    pub fn position(&self) -> Position {
        Position { segment: self.header.index, offset: self.offset }
    }

    /// The last record that may be shown; 0 if there is none.
    pub fn last_sequence(&self) -> u64 {
        self.chain.sequence
    }

    /// Moves as far as `limit` lets it, over [`BLOCKS_A_TURN`] blocks or sealed segments at most; whether it has moved.
    ///
    /// # Errors
    /// A sealed segment whose successor does not continue it, the operating system's refusal.
    pub fn advance(&mut self, limit: Limit) -> Result<bool, JournalError> {
        for step in 0..BLOCKS_A_TURN {
            if !self.step(limit)? {
                return Ok(step > 0);
            }
        }
        Ok(true)
    }

    fn step(&mut self, limit: Limit) -> Result<bool, JournalError> {
        let is_at_start = self.offset == SEGMENT_HEADERS_BYTES;
        if is_at_start && self.pass_sealed(limit)? {
            return Ok(true);
        }
        if let Some(block) = self.next_block()? {
            if !limit.shows(block.last_sequence(), block.sealed_at_ns) {
                return Ok(false);
            }
            self.offset += u64::from(block.block_bytes);
            let timestamp_ns = self.chain.timestamp_ns;
            let (sequence, term) = (block.last_sequence(), block.term);
            self.chain = ChainTail { block: block.number, hash: block.hash, sequence, timestamp_ns, term };
            return Ok(true);
        }
        match self.footer()? {
            Some(footer) if footer.end_offset == self.offset => self.cross_over(&footer),
            _ => Ok(false),
        }
    }

    /// A sealed segment that may be shown as a whole is passed by its footer. It was sealed before its successor was made.
    fn pass_sealed(&mut self, limit: Limit) -> Result<bool, JournalError> {
        let Some(footer) = self.footer()? else { return Ok(false) };
        match self.successor(&footer)? {
            Some(next) if limit.shows(footer.chain.sequence, next.header.created_at_ns) => {
                *self = next;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// The block at the offset, if one that continues the chain was written there.
    fn next_block(&self) -> Result<Option<BlockHeader>, JournalError> {
        if self.offset >= self.header.blocks_end() {
            return Ok(None);
        }
        let mut bytes = [0; BLOCK_HEADER_BYTES];
        read_exactly(&self.file, &mut bytes, self.offset).map_err(JournalError::io("read", &self.path()))?;
        let block = BlockHeader::decode(&bytes).ok().filter(|block| {
            self.chain.check_header(block, self.header.nonce).is_ok()
                && self.offset + u64::from(block.block_bytes) <= self.header.blocks_end()
        });
        Ok(block)
    }

    fn footer(&self) -> Result<Option<SegmentFooter>, JournalError> {
        read_footer(&self.file, &self.header).map_err(JournalError::io("read", &self.path()))
    }

    fn path(&self) -> PathBuf {
        self.path_of(self.header.index)
    }

    fn path_of(&self, index: u64) -> PathBuf {
        self.directory.join(file_name(self.header.shard, index))
    }

    /// Goes on to the next segment, where there is one: only then this one is sealed for good.
    fn cross_over(&mut self, footer: &SegmentFooter) -> Result<bool, JournalError> {
        let next = match self.successor(footer)? {
            Some(next) => next,
            // Everything up to there may have gone to the archive while nobody looked.
            None if self.oldest()? > self.header.index + 1 => Self::open(&self.directory)?,
            None => return Ok(false),
        };
        *self = next;
        Ok(true)
    }

    /// At the beginning of the next segment, where there is one.
    fn successor(&self, footer: &SegmentFooter) -> Result<Option<Self>, JournalError> {
        let next = self.header.index + 1;
        let path = self.path_of(next);
        if !path.exists() {
            return Ok(None);
        }
        let (file, header) = open_segment(&path, next)?;
        check_continues(&header, &footer.chain, &path)?;
        let (directory, offset) = (self.directory.clone(), SEGMENT_HEADERS_BYTES);
        Ok(Some(Self { directory, file, header, chain: footer.chain, offset }))
    }

    fn oldest(&self) -> Result<u64, JournalError> {
        let segments = list_segments(&RealStorage, &self.directory)?;
        Ok(segments.first().map_or(self.header.index, |(_, index)| *index))
    }

    /// What stands at `at`, at most `most` bytes of it.
    ///
    /// # Errors
    /// A damaged segment, the operating system's refusal.
    pub fn piece(&self, at: Position, most: u64) -> Result<Piece, JournalError> {
        let end = self.position();
        if at >= end {
            return Ok(if at == end { Piece::NotYet } else { Piece::Beyond });
        }
        let path = self.path_of(at.segment);
        let (file, header) = match open_segment(&path, at.segment) {
            Ok(opened) => opened,
            Err(JournalError::Io { answer, .. }) if answer.kind() == io::ErrorKind::NotFound => {
                return Ok(Piece::Gone { oldest: self.oldest()? });
            }
            Err(error) => return Err(error),
        };
        let is_sealed = at.segment < self.header.index;
        let end = if is_sealed { self.sealed(&file, &header)?.end_offset } else { self.offset };
        Ok(match at.offset {
            offset if offset < end => {
                Piece::Bytes(PieceBytes { file, offset, length: (end - offset).min(most.max(PAGE as u64)) })
            }
            offset if offset == end => {
                Piece::Bytes(PieceBytes { file, offset: header.blocks_end(), length: FOOTER_BYTES })
            }
            _ => Piece::Beyond,
        })
    }

    /// The segments from index `from` on that may be shown, at most `most` of them.
    ///
    /// # Errors
    /// As [`Self::piece`].
    pub fn segments(&self, from: u64, most: usize) -> Result<Vec<ShownSegment>, JournalError> {
        let first = self.oldest()?.max(from);
        (first..=self.header.index).take(most).map(|index| self.shown(index)).collect()
    }

    fn shown(&self, index: u64) -> Result<ShownSegment, JournalError> {
        let is_sealed = index < self.header.index;
        let (header, chain, end_offset) = if is_sealed {
            let (file, header) = open_segment(&self.path_of(index), index)?;
            let footer = self.sealed(&file, &header)?;
            (header, footer.chain, footer.end_offset)
        } else {
            (self.header.clone(), self.chain, self.offset)
        };
        Ok(ShownSegment {
            index,
            segment_bytes: header.segment_bytes,
            first_block: header.first_block,
            first_sequence: header.first_sequence,
            last_sequence: chain.sequence,
            end_offset,
            is_sealed,
            last_block_hash: chain.hash,
        })
    }

    fn sealed(&self, file: &RealFile, header: &SegmentHeader) -> Result<SegmentFooter, JournalError> {
        let path = self.path_of(header.index);
        let footer = read_footer(file, header).map_err(JournalError::io("read", &path))?;
        footer.ok_or_else(|| JournalError::DamagedSegment { path, detail: "it has no footer that is right".to_owned() })
    }
}

fn open_segment(path: &Path, index: u64) -> Result<(RealFile, SegmentHeader), JournalError> {
    let file = RealStorage.open(path, Access::Read).map_err(JournalError::io("open", path))?;
    let header = read_header_of(&file, path, index)?;
    Ok((file, header))
}

fn read_footer(file: &RealFile, header: &SegmentHeader) -> io::Result<Option<SegmentFooter>> {
    let mut page = [0; PAGE];
    read_exactly(file, &mut page, header.segment_bytes - FOOTER_BYTES)?;
    Ok(SegmentFooter::decode(&page, header).ok())
}
