//! Reading a journal from its segments: the whole of it, verified, while a writer may be at work.
//!
//! Every block is checked as recovery checks it: magic, CRCs, nonce, number, hash chain, block hash, every record.
//! Segments that have a successor are sealed and are mapped; the last one is read through a window.
//!
//! Invariants: a record is returned only if everything before it agrees; the end is reported only where recovery
//! would find it, otherwise there is an error. A block that is written while it is looked at fails the first look:
//! before any verdict other than "end" it is read again, and since a head or a later block exists only after the
//! block was written, the second look must succeed on a sound journal.

use std::path::{Path, PathBuf};

use crate::JournalError;
use crate::block::{BLOCK_HEADER_BYTES, BlockHeader, ChainTail};
use crate::heads::{HeadSet, check_identity};
use crate::mapped::MappedFile;
use crate::record::{self, Record};
use crate::recovery::{Verdict, check_continues, judge, list_segments, read_header};
use crate::ring::Place;
use crate::scan::{self, Step};
use crate::segment::{SEGMENT_HEADERS_BYTES, SegmentHeader, file_name};
use crate::source::Source;
use crate::storage::{Access, RealFile, RealStorage, Storage};

/// What a look for the next block found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next block is loaded.
    Loaded,
    /// The journal ends here for now.
    End,
}

/// Walks a journal block by block. The base of reader and follower.
pub(crate) struct BlockStream {
    directory: PathBuf,
    shard: u16,
    exchange_id: [u8; 16],
    chain: ChainTail,
    header: SegmentHeader,
    path: PathBuf,
    source: Source<RealFile>,
    offset: u64,
    /// Where the rest of the segment was last looked at and found to be an end, so that polling does not repeat it.
    ended_at: Option<(u64, u64)>,
    block: Option<BlockHeader>,
    bytes: Vec<u8>,
    cursor: usize,
    end: usize,
}

impl BlockStream {
    pub(crate) fn open(directory: &Path) -> Result<Self, JournalError> {
        Self::open_at(directory, 0)
    }

    /// Begins at the last segment whose first sequence is not behind `sequence`; at the first one if there is none.
    pub(crate) fn open_at(directory: &Path, sequence: u64) -> Result<Self, JournalError> {
        let segments = list_segments(&RealStorage, directory)?;
        let no_journal = || JournalError::NoJournal { directory: directory.to_path_buf() };
        let (shard, first) = segments.first().copied().ok_or_else(no_journal)?;
        let (mut low, mut high) = (0, segments.len());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let index = segments[middle].1;
            let (_, header) = open_segment(&directory.join(file_name(shard, index)), index, false)?;
            if header.first_sequence <= sequence { low = middle } else { high = middle }
        }
        let index = segments[low].1;
        let path = directory.join(file_name(shard, index));
        let (source, header) = open_segment(&path, index, low + 1 < segments.len())?;
        if low > 0 {
            let (_, oldest) = open_segment(&directory.join(file_name(shard, first)), first, true)?;
            check_identity(&path, (&oldest.exchange_id, shard), (&header.exchange_id, header.shard))?;
        }
        if index == 0 {
            check_continues(&header, &ChainTail::genesis(&header.exchange_id, header.shard), &path)?;
        }
        check_identity(&path, (&header.exchange_id, shard), (&header.exchange_id, header.shard))?;
        Ok(Self {
            directory: directory.to_path_buf(),
            shard,
            exchange_id: header.exchange_id,
            chain: header.chain(),
            header,
            path,
            source,
            offset: SEGMENT_HEADERS_BYTES,
            ended_at: None,
            block: None,
            bytes: Vec::new(),
            cursor: 0,
            end: 0,
        })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn exchange_id(&self) -> [u8; 16] {
        self.exchange_id
    }

    pub(crate) fn shard(&self) -> u16 {
        self.shard
    }

    pub(crate) fn block(&self) -> Option<&BlockHeader> {
        self.block.as_ref()
    }

    pub(crate) fn block_bytes(&self) -> &[u8] {
        &self.bytes[..self.end]
    }

    pub(crate) fn chain(&self) -> &ChainTail {
        &self.chain
    }

    /// The next record of the loaded block.
    pub(crate) fn next_record(&mut self) -> Option<Record<'_>> {
        if !self.has_record() {
            return None;
        }
        let bytes = &self.bytes[self.cursor..self.end];
        let (record, size) = record::decode(bytes).expect("records were verified when the block was loaded");
        self.cursor += size;
        Some(record)
    }

    /// The sequence of the record that [`Self::next_record`] would return.
    fn next_sequence(&self) -> Option<u64> {
        let bytes = self.has_record().then(|| &self.bytes[self.cursor..self.end])?;
        let (record, _) = record::decode(bytes).expect("records were verified when the block was loaded");
        Some(record.header.sequence)
    }

    /// Whether the loaded block has records that were not returned yet.
    pub(crate) fn has_record(&self) -> bool {
        self.cursor < self.end
    }

    /// Loads the next block from the segments.
    pub(crate) fn advance(&mut self) -> Result<Next, JournalError> {
        if self.try_step()?.is_ok() {
            return Ok(Next::Loaded);
        }
        // Newer than what the window holds?
        self.source.refresh();
        let Err(fault) = self.try_step()? else { return Ok(Next::Loaded) };
        let next_index = self.header.index + 1;
        let next_path = self.directory.join(file_name(self.shard, next_index));
        if next_path.exists() {
            return self.cross_over(&next_path, next_index);
        }
        if self.ended_at == Some((self.header.index, self.offset)) && self.is_blank_here()? {
            return Ok(Next::End);
        }
        self.judge_end(fault)
    }

    /// Tries the block at the offset; the inner error says why it is not the next one.
    fn try_step(&mut self) -> Result<Result<(), &'static str>, JournalError> {
        let step = scan::step(&mut self.source, &self.header, self.offset, &mut self.chain);
        match step.map_err(JournalError::io("read", &self.path))? {
            Step::Fault(fault) => Ok(Err(fault)),
            Step::Full => Ok(Err("the segment is full")),
            Step::Block(block) => {
                let read = self.source.bytes(self.offset, block.block_bytes as usize);
                let bytes = read.map_err(JournalError::io("read", &self.path))?;
                self.end = BLOCK_HEADER_BYTES + block.payload_bytes as usize;
                self.cursor = BLOCK_HEADER_BYTES;
                self.bytes.clear();
                self.bytes.extend_from_slice(&bytes[..self.end]);
                self.offset += u64::from(block.block_bytes);
                self.block = Some(block);
                Ok(Ok(()))
            }
        }
    }

    fn is_blank_here(&mut self) -> Result<bool, JournalError> {
        if self.offset >= self.header.blocks_end() {
            return Ok(true);
        }
        let page = self.source.bytes(self.offset, crate::bytes::PAGE).map_err(JournalError::io("read", &self.path))?;
        Ok(crate::bytes::all_zero(page))
    }

    /// The segment has a successor, so it is sealed: its blocks must reach to where its footer says.
    fn cross_over(&mut self, next_path: &Path, next_index: u64) -> Result<Next, JournalError> {
        // The successor may have appeared after the last look: look once more.
        self.source.refresh();
        let Err(fault) = self.try_step()? else { return Ok(Next::Loaded) };
        let footer = scan::footer(&mut self.source, &self.header).map_err(JournalError::io("read", &self.path))?;
        let complete = footer.is_ok_and(|footer| footer.end_offset == self.offset && footer.chain == self.chain);
        if !complete {
            let detail = match footer {
                Ok(_) => format!("at offset {} {fault}, before the end that its footer states", self.offset),
                Err(footer) => format!("at offset {} {fault}, and {footer}", self.offset),
            };
            return Err(JournalError::DamagedSegment { path: self.path.clone(), detail });
        }
        let has_successor = self.directory.join(file_name(self.shard, next_index + 1)).exists();
        let (source, header) = open_segment(next_path, next_index, has_successor)?;
        check_identity(next_path, (&self.exchange_id, self.shard), (&header.exchange_id, header.shard))?;
        check_continues(&header, &self.chain, next_path)?;
        self.source = source;
        self.header = header;
        self.path = next_path.to_path_buf();
        self.offset = SEGMENT_HEADERS_BYTES;
        self.advance()
    }

    fn judge_end(&mut self, fault: &'static str) -> Result<Next, JournalError> {
        let heads = self.heads()?;
        let at = (self.offset, &self.chain, fault);
        let judged = judge(&mut self.source, &self.header, at, &heads);
        let judgement = judged.map_err(JournalError::io("read", &self.path))?;
        if matches!(judgement.verdict, Verdict::CleanEnd | Verdict::TornTail) {
            self.ended_at = Some((self.header.index, self.offset));
            return Ok(Next::End);
        }
        // The proof may have been written since the block was looked at, and then so was the block.
        self.source.refresh();
        if self.try_step()?.is_ok() {
            return Ok(Next::Loaded);
        }
        if judgement.verdict == Verdict::ReorderedWrites {
            return Ok(Next::End);
        }
        if self.directory.join(file_name(self.shard, self.header.index + 1)).exists() {
            // Sealed and rotated meanwhile.
            return self.advance();
        }
        Err(JournalError::Corruption {
            path: self.path.clone(),
            offset: self.offset,
            sequence: self.chain.sequence + 1,
            detail: judgement.detail,
        })
    }

    fn heads(&self) -> Result<HeadSet, JournalError> {
        let heads = HeadSet::load(&RealStorage, &self.directory, (&self.exchange_id, self.shard))?;
        // Segments alone, as an archive holds them, can be read: their own chain is all the evidence there is.
        Ok(heads.unwrap_or_default())
    }

    /// The buffer that a follower fills from the ring.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Accepts the block that a follower has put into the buffer, if it continues the chain.
    pub(crate) fn accept_buffer(&mut self, block: BlockHeader, place: Place) -> Result<bool, JournalError> {
        self.cursor = 0;
        self.end = 0;
        let in_chain = self.chain.check_header(&block, block.nonce);
        if in_chain.is_err() || self.chain.accept(&block, &self.bytes).is_err() {
            return Ok(false);
        }
        if place.segment != self.header.index {
            self.jump_to(place.segment)?;
        }
        self.offset = place.offset + u64::from(block.block_bytes);
        self.end = BLOCK_HEADER_BYTES + block.payload_bytes as usize;
        self.cursor = BLOCK_HEADER_BYTES;
        self.block = Some(block);
        Ok(true)
    }

    /// Opens the segment that the ring says the newest block stands in.
    fn jump_to(&mut self, index: u64) -> Result<(), JournalError> {
        let path = self.directory.join(file_name(self.shard, index));
        let (source, header) = open_segment(&path, index, false)?;
        self.source = source;
        self.header = header;
        self.path = path;
        Ok(())
    }

    /// The error for a block that is durable by the ring's word and that the segments do not have.
    pub(crate) fn missing_block(&self) -> JournalError {
        JournalError::Corruption {
            path: self.path.clone(),
            offset: self.offset,
            sequence: self.chain.sequence + 1,
            detail: "the running writer says this block is durable, and it cannot be read".to_owned(),
        }
    }
}

fn open_segment(
    path: &Path,
    index: u64,
    has_successor: bool,
) -> Result<(Source<RealFile>, SegmentHeader), JournalError> {
    let mut source = if has_successor {
        Source::Mapped(MappedFile::open(path).map_err(JournalError::io("map", path))?)
    } else {
        Source::window(RealStorage.open(path, Access::Read).map_err(JournalError::io("open", path))?)
    };
    let header = read_header(&mut source, path, index)?;
    Ok((source, header))
}

/// Reads a journal from its first segment to its end.
pub struct JournalReader {
    stream: BlockStream,
}

impl std::fmt::Debug for JournalReader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("JournalReader").field("chain", self.stream.chain()).finish_non_exhaustive()
    }
}

impl JournalReader {
    /// Opens the journal in `directory`. Takes no lock: a writer may be at work.
    ///
    /// # Errors
    /// No journal, a damaged or foreign first segment, or the operating system's refusal.
    pub fn open(directory: &Path) -> Result<Self, JournalError> {
        Ok(Self { stream: BlockStream::open(directory)? })
    }

    /// As [`Self::open`], and stands behind record `sequence`: the next record is the one after it. Reads from the
    /// start of its segment; what lies in earlier segments is not looked at, so what is returned is a chain of its
    /// own until somebody compares a block's hash.
    ///
    /// # Errors
    /// As [`Self::open`] and [`Self::next`]; [`JournalError::NoRecord`] if the journal does not hold it.
    pub fn open_behind(directory: &Path, sequence: u64) -> Result<Self, JournalError> {
        let mut reader = Self { stream: BlockStream::open_at(directory, sequence)? };
        let no_record = || JournalError::NoRecord { directory: directory.to_path_buf(), sequence };
        if sequence > 0 && reader.stream.chain().sequence >= sequence {
            return Err(no_record());
        }
        while reader.stream.chain().sequence < sequence {
            if reader.stream.advance()? == Next::End {
                return Err(no_record());
            }
        }
        while reader.stream.next_sequence().is_some_and(|next| next <= sequence) {
            reader.stream.next_record();
        }
        Ok(reader)
    }

    /// The next record; `None` at the end, where a later call may find more if a writer is at work.
    ///
    /// # Errors
    /// The same damage that recovery refuses, and any damage to a sealed segment.
    #[expect(clippy::should_implement_trait, reason = "the record borrows from the reader, which Iterator cannot say")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, JournalError> {
        while !self.stream.has_record() {
            if self.stream.advance()? == Next::End {
                return Ok(None);
            }
        }
        Ok(self.stream.next_record())
    }

    /// The blocks behind what was read.
    pub(crate) fn into_stream(self) -> BlockStream {
        self.stream
    }

    /// The exchange whose journal this is.
    pub fn exchange_id(&self) -> [u8; 16] {
        self.stream.exchange_id()
    }

    /// The shard whose journal this is.
    pub fn shard(&self) -> u16 {
        self.stream.shard()
    }

    /// The bytes of [`Self::block`], header and records, without the padding.
    pub fn block_bytes(&self) -> &[u8] {
        self.stream.block_bytes()
    }

    /// The block of the last record returned, or an empty block read since: number, hash, state hash with its
    /// sequence, event digest. `None` before the first.
    pub fn block(&self) -> Option<&BlockHeader> {
        self.stream.block()
    }
}
