//! A sealed segment as one compressed object, for a place where bytes are cheap, and back to the identical file.
//!
//! Blocks are compressed in groups, each a zstd frame of its own, so that a part can be read without the whole and no
//! side holds more than a group in memory. The zeros behind the last block are not kept. The table stands at the end,
//! where a writer that streams knows it, and a reader finds it by the last 48 bytes:
//!
//! | part | size | type | meaning |
//! |---|---:|---|---|
//! | start | 8 | bytes | magic `LKHARCH\0` |
//! | | 2 | u16 | major format version of the segment |
//! | | 6 | bytes | zeros |
//! | groups | | bytes | zstd frames, one behind the other |
//! | table | 16 | bytes | exchange id |
//! | | 2 | u16 | shard |
//! | | 6 | bytes | zeros |
//! | | 8 | u64 | segment index |
//! | | 8 | u64 | bytes of the segment |
//! | | 8 | u64 | first sequence |
//! | | 8 | u64 | last sequence; first − 1 if there are no records |
//! | | 32 | bytes | BLAKE3 of the segment's whole file |
//! | | 32 a group | u64 × 4 | offset in the segment, bytes there, bytes of the frame, first sequence |
//! | end | 8 | u64 | bytes of the table |
//! | | 32 | bytes | BLAKE3 of start and table |
//! | | 8 | bytes | magic `LKHAEND\0` |
//!
//! Invariants: only a segment whose every block, footer and zero is right is packed; what is unpacked has the whole
//! file's hash or is an error. Bounds: a group of [`GROUP_BYTES`] and a block more; a table of [`TABLE_BYTES_MAX`].

use std::path::Path;

use crate::JournalError;
use crate::block::ChainTail;
use crate::bytes::{PAGE, all_zero, array_at, put_bytes, put_u16, put_u64, u16_at, u64_at};
use crate::mapped::MappedFile;
use crate::recovery::read_header;
use crate::scan::{self, Step};
use crate::segment::{
    FOOTER_BYTES, FORMAT_MAJOR, SEGMENT_HEADERS_BYTES, SegmentFooter, SegmentHeader, file_name, is_known,
    parse_file_name,
};
use crate::source::Source;
use crate::storage::RealFile;

/// Bytes of a segment after which a group ends.
pub const GROUP_BYTES: usize = 1 << 20;
/// Largest table: the groups of the largest segment.
pub const TABLE_BYTES_MAX: u64 = 1 << 20;
/// Bytes before the first group.
pub const START_BYTES: usize = 16;
/// Bytes at the end that tell where the table is.
pub const END_BYTES: usize = 48;

const START_MAGIC: [u8; 8] = *b"LKHARCH\0";
const END_MAGIC: [u8; 8] = *b"LKHAEND\0";
const TABLE_HEAD_BYTES: usize = 88;
const GROUP_ENTRY_BYTES: usize = 32;
/// Fast, and orders with their signatures do not get much smaller with more.
const LEVEL: i32 = 3;

/// One group of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Where it stands in the segment.
    pub segment_offset: u64,
    /// Bytes there.
    pub bytes: u64,
    /// Where its frame stands in the object.
    pub object_offset: u64,
    /// Bytes of the frame.
    pub frame_bytes: u64,
    /// The first sequence in it, or the one that comes next.
    pub first_sequence: u64,
}

/// What an object says that it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The exchange.
    pub exchange_id: [u8; 16],
    /// The shard.
    pub shard: u16,
    /// Index of the segment.
    pub index: u64,
    /// Bytes of the segment's file.
    pub segment_bytes: u64,
    /// First sequence.
    pub first_sequence: u64,
    /// Last sequence; first − 1 if there are no records.
    pub last_sequence: u64,
    /// BLAKE3 of the segment's whole file.
    pub segment_hash: [u8; 32],
    /// The groups, by rising offsets.
    pub groups: Vec<Group>,
}

/// Indexes of the segments in a directory that have a successor and so are sealed, in order.
///
/// # Errors
/// The directory cannot be listed, or a segment is missing between two others.
pub fn sealed_segments<S: crate::storage::Storage>(
    storage: &S,
    directory: &Path,
) -> Result<Vec<(u16, u64)>, JournalError> {
    let mut segments = crate::recovery::list_segments(storage, directory)?;
    segments.pop();
    Ok(segments)
}

/// Name of a segment's file, as it stands in a journal's directory.
pub fn segment_name(shard: u16, index: u64) -> String {
    file_name(shard, index)
}

/// Name of a segment's object, below its exchange and shard: the segment's own name with another ending.
pub fn object_name(shard: u16, index: u64) -> String {
    format!("{}.lka", file_name(shard, index).trim_end_matches(".lkj"))
}

/// Reads shard and index from an object's name; `None` for any other name.
pub fn parse_object_name(name: &str) -> Option<(u16, u64)> {
    parse_file_name(&format!("{}.lkj", name.strip_suffix(".lka")?))
}

/// Turns a sealed segment into the bytes of an object, a piece at a time.
pub struct Packer {
    path: std::path::PathBuf,
    file: MappedFile,
    source: Source<RealFile>,
    header: SegmentHeader,
    footer: SegmentFooter,
    chain: ChainTail,
    /// Where the walk stands, in the segment and in the object.
    offset: u64,
    object_offset: u64,
    /// The first sequence of the group that is walked.
    first_sequence: u64,
    stage: Stage,
    table: Table,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Start,
    Headers,
    Blocks,
    Footer,
    Table,
    Done,
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Packer").field("path", &self.path).field("offset", &self.offset).finish_non_exhaustive()
    }
}

impl Packer {
    /// Opens a sealed segment.
    ///
    /// # Errors
    /// No footer, a damaged header, or the operating system's refusal.
    pub fn open(directory: &Path, shard: u16, index: u64) -> Result<Self, JournalError> {
        let path = directory.join(file_name(shard, index));
        let map = || MappedFile::open(&path).map_err(JournalError::io("map", &path));
        let (file, mut source) = (map()?, Source::Mapped(map()?));
        let header = read_header(&mut source, &path, index)?;
        let footer = scan::footer(&mut source, &header).map_err(JournalError::io("read", &path))?;
        let footer = footer.map_err(|detail| damaged(&path, detail))?;
        let table = Table {
            exchange_id: header.exchange_id,
            shard: header.shard,
            index,
            segment_bytes: header.segment_bytes,
            first_sequence: header.first_sequence,
            last_sequence: footer.chain.sequence,
            segment_hash: *blake3::hash(file.bytes()).as_bytes(),
            groups: Vec::new(),
        };
        let (chain, first_sequence, stage) = (header.chain(), header.first_sequence, Stage::Start);
        let (offset, object_offset) = (0, 0);
        Ok(Self { path, file, source, header, footer, chain, offset, object_offset, first_sequence, stage, table })
    }

    /// What the object says that it holds; complete once [`Self::next_piece`] has returned `None`.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The next bytes of the object; `None` when that was all.
    ///
    /// # Errors
    /// A block, the footer or a zero of the segment is not right.
    pub fn next_piece(&mut self) -> Result<Option<Vec<u8>>, JournalError> {
        let piece = match self.stage {
            Stage::Start => {
                self.stage = Stage::Headers;
                start().to_vec()
            }
            Stage::Headers => {
                self.stage = Stage::Blocks;
                self.pack(SEGMENT_HEADERS_BYTES)?
            }
            Stage::Blocks => match self.walk_group()? {
                0 => {
                    self.check_the_rest()?;
                    self.stage = Stage::Footer;
                    return self.next_piece();
                }
                bytes => self.pack(bytes)?,
            },
            Stage::Footer => {
                self.stage = Stage::Table;
                self.offset = self.header.blocks_end();
                self.pack(FOOTER_BYTES)?
            }
            Stage::Table => {
                self.stage = Stage::Done;
                self.table.encode()
            }
            Stage::Done => return Ok(None),
        };
        self.object_offset += piece.len() as u64;
        Ok(Some(piece))
    }

    /// Walks blocks until a group is full; their bytes, 0 at the end.
    fn walk_group(&mut self) -> Result<u64, JournalError> {
        let mut end = self.offset;
        self.first_sequence = self.chain.sequence + 1;
        while end - self.offset < GROUP_BYTES as u64 && end < self.footer.end_offset {
            let step = scan::step(&mut self.source, &self.header, end, &mut self.chain);
            match step.map_err(JournalError::io("read", &self.path))? {
                Step::Block(block) => end += u64::from(block.block_bytes),
                Step::Fault(fault) => return Err(damaged(&self.path, &format!("at offset {end} {fault}"))),
                Step::Full => return Err(damaged(&self.path, "its footer states an end behind its room")),
            }
        }
        Ok(end - self.offset)
    }

    /// The walk has come to the footer's end, with the footer's chain, and only zeros are between.
    fn check_the_rest(&self) -> Result<(), JournalError> {
        if self.offset != self.footer.end_offset || self.chain != self.footer.chain {
            return Err(damaged(&self.path, "its footer states another end than its blocks have"));
        }
        let span = |from: u64, to: u64| Some(usize::try_from(from).ok()?..usize::try_from(to).ok()?);
        let rest = span(self.offset, self.header.blocks_end()).and_then(|span| self.file.bytes().get(span));
        match rest {
            Some(rest) if all_zero(rest) => Ok(()),
            _ => Err(damaged(&self.path, "the room behind its last block is not zero")),
        }
    }

    /// The next `bytes` of the segment as a frame.
    fn pack(&mut self, bytes: u64) -> Result<Vec<u8>, JournalError> {
        let start = usize::try_from(self.offset).expect("a mapped file fits the address space");
        let length = usize::try_from(bytes).expect("at most a group");
        let frame = zstd::bulk::compress(&self.file.bytes()[start..start + length], LEVEL);
        let frame = frame.map_err(JournalError::io("compress", &self.path))?;
        self.table.groups.push(Group {
            segment_offset: self.offset,
            bytes,
            object_offset: self.object_offset,
            frame_bytes: frame.len() as u64,
            first_sequence: self.first_sequence,
        });
        self.offset += bytes;
        Ok(frame)
    }
}

fn start() -> [u8; START_BYTES] {
    let mut start = [0; START_BYTES];
    put_bytes(&mut start, 0, &START_MAGIC);
    put_u16(&mut start, 8, FORMAT_MAJOR);
    start
}

fn damaged(path: &Path, detail: &str) -> JournalError {
    JournalError::DamagedSegment { path: path.to_path_buf(), detail: detail.to_owned() }
}

fn hash_of(start: &[u8], table: &[u8]) -> [u8; 32] {
    *blake3::Hasher::new().update(start).update(table).finalize().as_bytes()
}

impl Table {
    fn encode(&self) -> Vec<u8> {
        let table_bytes = TABLE_HEAD_BYTES + self.groups.len() * GROUP_ENTRY_BYTES;
        let mut bytes = vec![0; table_bytes + END_BYTES];
        put_bytes(&mut bytes, 0, &self.exchange_id);
        put_u16(&mut bytes, 16, self.shard);
        put_u64(&mut bytes, 24, self.index);
        put_u64(&mut bytes, 32, self.segment_bytes);
        put_u64(&mut bytes, 40, self.first_sequence);
        put_u64(&mut bytes, 48, self.last_sequence);
        put_bytes(&mut bytes, 56, &self.segment_hash);
        for (entry, group) in self.groups.iter().enumerate() {
            let at = TABLE_HEAD_BYTES + entry * GROUP_ENTRY_BYTES;
            put_u64(&mut bytes, at, group.segment_offset);
            put_u64(&mut bytes, at + 8, group.bytes);
            put_u64(&mut bytes, at + 16, group.frame_bytes);
            put_u64(&mut bytes, at + 24, group.first_sequence);
        }
        let hash = hash_of(&start(), &bytes[..table_bytes]);
        put_u64(&mut bytes, table_bytes, table_bytes as u64);
        put_bytes(&mut bytes, table_bytes + 8, &hash);
        put_bytes(&mut bytes, table_bytes + 40, &END_MAGIC);
        bytes
    }

    /// Bytes of the table, from an object's last [`END_BYTES`]: it stands directly before them.
    ///
    /// # Errors
    /// Why this is no end of an object.
    pub fn bytes_by_end(end: &[u8; END_BYTES]) -> Result<u64, &'static str> {
        let bytes = u64_at(end, 0);
        let is_table = (TABLE_HEAD_BYTES as u64..=TABLE_BYTES_MAX).contains(&bytes);
        match end[40..] == END_MAGIC && is_table {
            true => Ok(bytes),
            false => Err("it does not end like an archived segment"),
        }
    }

    /// Reads the table of an object of `object_bytes`, from its first [`START_BYTES`], the table and its end.
    ///
    /// # Errors
    /// Why these are not the parts of one object.
    pub fn decode(
        start: &[u8; START_BYTES],
        table: &[u8],
        end: &[u8; END_BYTES],
        object_bytes: u64,
    ) -> Result<Self, &'static str> {
        if start[..8] != START_MAGIC {
            return Err("it does not begin like an archived segment");
        }
        if !is_known(u16_at(start, 8)) {
            return Err("it is of a format that this version does not know");
        }
        if hash_of(start, table) != end[8..40] || Self::bytes_by_end(end) != Ok(table.len() as u64) {
            return Err("its table fails its hash");
        }
        let (head, entries) = table.split_at(TABLE_HEAD_BYTES);
        let mut decoded = Self {
            exchange_id: array_at(head, 0),
            shard: u16_at(head, 16),
            index: u64_at(head, 24),
            segment_bytes: u64_at(head, 32),
            first_sequence: u64_at(head, 40),
            last_sequence: u64_at(head, 48),
            segment_hash: array_at(head, 56),
            groups: Vec::new(),
        };
        let (entries, rest) = entries.as_chunks::<GROUP_ENTRY_BYTES>();
        let (mut object_offset, mut segment_offset) = (START_BYTES as u64, 0);
        for entry in entries {
            let (at, bytes, frame_bytes) = (u64_at(entry, 0), u64_at(entry, 8), u64_at(entry, 16));
            let most = (GROUP_BYTES + crate::MAX_BLOCK_BYTES) as u64;
            if at < segment_offset || !(1..=most).contains(&bytes) || frame_bytes > 2 * most {
                return Err("its table is out of range");
            }
            let first_sequence = u64_at(entry, 24);
            decoded.groups.push(Group { segment_offset: at, bytes, object_offset, frame_bytes, first_sequence });
            segment_offset = at.checked_add(bytes).ok_or("its table is out of range")?;
            object_offset += frame_bytes;
        }
        let table_at = object_bytes.checked_sub((table.len() + END_BYTES) as u64);
        if !rest.is_empty() || segment_offset != decoded.segment_bytes || table_at != Some(object_offset) {
            return Err("its groups do not make up the segment");
        }
        Ok(decoded)
    }

    /// Bytes of the whole object.
    pub fn object_bytes(&self) -> u64 {
        let table_bytes = TABLE_HEAD_BYTES + self.groups.len() * GROUP_ENTRY_BYTES;
        let frames: u64 = self.groups.iter().map(|group| group.frame_bytes).sum();
        START_BYTES as u64 + frames + (table_bytes + END_BYTES) as u64
    }
}

impl Group {
    /// The group's bytes of the segment from its frame.
    ///
    /// # Errors
    /// The frame is not zstd, or not of this many bytes.
    pub fn unpack(&self, frame: &[u8]) -> Result<Vec<u8>, &'static str> {
        let bytes = usize::try_from(self.bytes).map_err(|_| "a group does not fit into memory")?;
        let unpacked = zstd::bulk::decompress(frame, bytes).map_err(|_| "a group cannot be decompressed")?;
        if unpacked.len() == bytes { Ok(unpacked) } else { Err("a group has another length than the table says") }
    }
}

/// The hash of a segment's file, made of its groups as they come and the zeros between them.
#[derive(Debug, Clone, Default)]
pub struct SegmentHasher {
    hasher: blake3::Hasher,
    at: u64,
}

impl SegmentHasher {
    /// Takes in the next group. Groups come in the table's order.
    pub fn add(&mut self, group: &Group, bytes: &[u8]) {
        let zeros = [0; PAGE];
        while self.at < group.segment_offset {
            let count = (group.segment_offset - self.at).min(PAGE as u64);
            self.hasher.update(&zeros[..usize::try_from(count).expect("at most a page")]);
            self.at += count;
        }
        self.hasher.update(bytes);
        self.at += bytes.len() as u64;
    }

    /// The hash of what was taken in.
    pub fn finish(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
