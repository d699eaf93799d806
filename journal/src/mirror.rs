//! A copy of a journal in another directory, kept up with bytes that somebody sends who is not trusted.
//!
//! What comes is what stands in the source's segments, in order: a segment's two header pages, its blocks, and once it
//! is sealed its footer. Each part is checked before any byte of it is kept, as recovery and `verify` check their own
//! disk: sizes, CRCs, nonce, number, hash chain, every record, and the footer byte for byte against what the blocks come
//! to. So a mirror is at every moment a journal from its first record on, of one exchange, and everything that reads
//! journals reads it. What it cannot tell is whether the source is who it says: that a whole other history was sent from
//! the beginning shows in the evidence and on the chain, which an audit looks at.
//!
//! A resume asks for the last part once more ([`Mirror::anchor`]): a source that has another history since is found
//! before anything is added.
//!
//! Invariants: nothing is kept behind a part that was refused; a segment has its name only once its headers are on
//! stable storage and the segment before it is sealed; `heads` names only blocks on stable storage; a directory with a
//! journal that is no mirror is left alone; no more of the disk is taken than bytes have come. Bounds: a block and what was
//! sent last in memory; one segment open.

use std::path::{Path, PathBuf};

use crate::JournalError;
use crate::block::{BlockHeader, ChainTail};
use crate::bytes::{PAGE, all_zero};
use crate::heads::{self, HeadFile, HeadSet};
use crate::horizon::Position;
use crate::options::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use crate::recovery::{check_continues, list_segments, read_header_of};
use crate::scan::{self, Step};
use crate::segment::{
    FOOTER_BYTES, PageFault, SEGMENT_HEADERS_BYTES, SegmentFooter, SegmentHeader, SegmentTally, file_name,
    is_footer_page,
};
use crate::source::Source;
use crate::storage::{Access, RealFile, RealLock, RealStorage, Storage, StorageFile, read_exactly, whole};

/// The file that says that a directory is a mirror, and what stands in it.
const MARK: (&str, &[u8]) = ("mirror", b"lakh-mirror 1\n");
/// Zeros that a cut writes at a time.
const ZERO_CHUNK_BYTES: usize = 1 << 20;

/// The last part that is mirrored: what a source that goes on has to have, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Where it stands.
    pub at: Position,
    /// Its bytes.
    pub length: usize,
}

/// The segment that takes blocks.
struct Open {
    file: RealFile,
    path: PathBuf,
    header: SegmentHeader,
    offset: u64,
    tally: SegmentTally,
}

/// See the module.
pub struct Mirror {
    directory: PathBuf,
    _lock: RealLock,
    /// Exchange and shard, once either is known.
    exchange_id: Option<[u8; 16]>,
    shard: Option<u16>,
    chain: Option<ChainTail>,
    open: Option<Open>,
    /// The segment that comes next where none is open.
    next_segment: u64,
    anchor: Option<Anchor>,
    heads: Option<HeadFile<RealFile>>,
    /// The newest block that is not known to be on stable storage.
    unsynced: Option<BlockHeader>,
    pending: Vec<u8>,
}

impl std::fmt::Debug for Mirror {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Mirror").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// What the next bytes are.
enum Part {
    Headers(SegmentHeader),
    Block(BlockHeader),
    Footer,
}

impl Mirror {
    /// Opens the mirror in `directory`, or begins one there. `exchange_id` is the exchange that it has to be of; without it
    /// the first segment decides. Reads the newest segment, and cuts off what a crash left behind its last whole block.
    ///
    /// # Errors
    /// [`JournalError::NoMirror`] where a journal stands that is none, [`JournalError::ForeignExchange`],
    /// [`JournalError::Locked`], damage in the newest segment's headers, the operating system's refusal.
    pub fn open(directory: &Path, exchange_id: Option<[u8; 16]>) -> Result<Self, JournalError> {
        RealStorage.create_directory(directory).map_err(JournalError::io("create", directory))?;
        let lock = RealStorage.lock(directory).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => JournalError::Locked { directory: directory.to_path_buf() },
            _ => JournalError::io("lock", directory)(error),
        })?;
        mark(directory)?;
        let mut mirror = Self {
            directory: directory.to_path_buf(),
            _lock: lock,
            exchange_id,
            shard: None,
            chain: None,
            open: None,
            next_segment: 0,
            anchor: None,
            heads: None,
            unsynced: None,
            pending: Vec::new(),
        };
        let segments = list_segments(&RealStorage, directory)?;
        if let Some((shard, last)) = segments.last().copied() {
            mirror.shard = Some(shard);
            let before = segments.len().checked_sub(2).map(|place| segments[place].1);
            mirror.take_up(shard, last, before)?;
        }
        Ok(mirror)
    }

    /// The exchange, once it is known.
    pub fn exchange_id(&self) -> Option<[u8; 16]> {
        self.exchange_id
    }

    /// The last record that is mirrored; 0 if there is none.
    pub fn last_sequence(&self) -> u64 {
        self.chain.map_or(0, |chain| chain.sequence)
    }

    /// The last part that is mirrored; `None` in an empty mirror.
    pub fn anchor(&self) -> Option<Anchor> {
        self.anchor
    }

    /// Where what comes next stands. Forgets a part of which not everything has come.
    pub fn wanted(&mut self) -> Position {
        self.pending.clear();
        self.position()
    }

    fn position(&self) -> Position {
        match &self.open {
            Some(open) => Position { segment: open.header.index, offset: open.offset },
            None => Position { segment: self.next_segment, offset: 0 },
        }
    }

    /// Holds what a source has where the anchor stands against it.
    ///
    /// # Errors
    /// [`JournalError::Rewritten`] if it is something else, [`JournalError::Refused`] if it is too short to tell.
    pub fn confirm(&self, bytes: &[u8]) -> Result<(), JournalError> {
        let Some(Anchor { at, length }) = self.anchor else { return Ok(()) };
        let Some(bytes) = bytes.get(..length) else {
            return Err(self.refused(at, "less came than the last part that is mirrored"));
        };
        let path = self.path_of(at.segment);
        let file = RealStorage.open(&path, Access::Read).map_err(JournalError::io("open", &path))?;
        let mut known = vec![0; length];
        read_exactly(&file, &mut known, at.offset).map_err(JournalError::io("read", &path))?;
        if known == bytes {
            return Ok(());
        }
        Err(JournalError::Rewritten { path, offset: at.offset, sequence: self.last_sequence() })
    }

    /// Takes bytes that stand behind those that came before, the first ones at [`Self::wanted`]. Keeps every whole part.
    ///
    /// # Errors
    /// [`JournalError::Refused`] for what does not continue the mirror, which stays as it is up to there;
    /// [`JournalError::ForeignExchange`]; a newer format; the operating system's refusal.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend_from_slice(bytes);
        let mut used = 0;
        while let Some((part, size)) = self.next_part(&pending[used..])? {
            let bytes = &pending[used..used + size];
            match part {
                Part::Headers(header) => self.begin_segment(header, bytes)?,
                Part::Block(header) => self.add_block(&header, bytes)?,
                Part::Footer => self.seal(bytes)?,
            }
            used += size;
        }
        pending.drain(..used);
        self.pending = pending;
        Ok(())
    }

    /// Makes everything that is mirrored durable.
    ///
    /// # Errors
    /// The operating system's refusal. It is not tried again: open the mirror anew.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        let Some(newest) = self.unsynced.take() else { return Ok(()) };
        let open = self.open.as_ref().expect("unsynced blocks are in the open segment");
        open.file.sync().map_err(JournalError::io("sync", &open.path))?;
        self.heads.as_mut().expect("a segment is begun with them").write(&newest)
    }

    /// What part begins here and how long it is; `None` where not all of it is there.
    fn next_part(&self, bytes: &[u8]) -> Result<Option<(Part, usize)>, JournalError> {
        let Some(open) = &self.open else {
            let Some(pages) = bytes.get(..2 * PAGE) else { return Ok(None) };
            return Ok(Some((Part::Headers(self.check_headers(pages)?), 2 * PAGE)));
        };
        let Some(first) = bytes.get(..PAGE) else { return Ok(None) };
        if is_footer_page(first) {
            return Ok(Some((Part::Footer, PAGE)));
        }
        let block = BlockHeader::decode(first).map_err(|detail| self.refuse_next(detail))?;
        let chain = self.chain.as_ref().expect("an open segment has a chain");
        chain.check_header(&block, open.header.nonce).map_err(|detail| self.refuse_next(detail))?;
        if open.offset + u64::from(block.block_bytes) > open.header.blocks_end() {
            return Err(self.refuse_next("the block crosses the segment's end"));
        }
        let size = block.block_bytes as usize;
        Ok((bytes.len() >= size).then_some((Part::Block(block), size)))
    }

    fn check_headers(&self, pages: &[u8]) -> Result<SegmentHeader, JournalError> {
        let (first, second) = pages.split_at(PAGE);
        let header = SegmentHeader::decode(first).map_err(|fault| match fault {
            PageFault::Damaged(detail) => self.refuse_next(detail),
            PageFault::Format(found) => JournalError::format(&self.path_of(self.next_segment), found),
        })?;
        if first != second {
            return Err(self.refuse_next("the two copies of the segment's header differ"));
        }
        if header.index != self.next_segment {
            return Err(self.refuse_next("the segment is not the next one"));
        }
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&header.segment_bytes) {
            return Err(self.refuse_next("the segment's size is out of range"));
        }
        let identity = (self.exchange_id.unwrap_or(header.exchange_id), self.shard.unwrap_or(header.shard));
        let found = (&header.exchange_id, header.shard);
        heads::check_identity(&self.path_of(header.index), (&identity.0, identity.1), found)?;
        let expected = self.chain.unwrap_or_else(|| ChainTail::genesis(&header.exchange_id, header.shard));
        if header.chain() != expected {
            return Err(self.refuse_next("the segment does not continue the hash chain"));
        }
        Ok(header)
    }

    /// The headers' bytes, under a name only once they are on stable storage.
    fn begin_segment(&mut self, header: SegmentHeader, pages: &[u8]) -> Result<(), JournalError> {
        let identity = (&header.exchange_id, header.shard);
        if self.heads.is_none() {
            HeadFile::create(&RealStorage, &self.directory, identity)?;
            self.heads = Some(HeadFile::open(&RealStorage, &self.directory)?);
        }
        (self.exchange_id, self.shard) = (Some(header.exchange_id), Some(header.shard));
        let path = self.path_of(header.index);
        let temporary = path.with_extension("lkj.tmp");
        let file = RealStorage.create(&temporary).map_err(JournalError::io("create", &temporary))?;
        // Reserved it would cost a source two pages to fill the disk: what comes is what takes room.
        file.stretch(header.segment_bytes).map_err(JournalError::io("stretch", &temporary))?;
        let written = file.write_at(pages, 0);
        written.and_then(|count| whole(count, pages.len())).map_err(JournalError::io("write", &temporary))?;
        file.sync().map_err(JournalError::io("sync", &temporary))?;
        RealStorage.rename(&temporary, &path).map_err(JournalError::io("rename", &temporary))?;
        RealStorage.sync_directory(&self.directory).map_err(JournalError::io("sync", &self.directory))?;
        self.chain = Some(header.chain());
        self.anchor = Some(Anchor { at: Position { segment: header.index, offset: 0 }, length: 2 * PAGE });
        let (offset, tally) = (SEGMENT_HEADERS_BYTES, SegmentTally::new(&header));
        self.open = Some(Open { file, path, header, offset, tally });
        Ok(())
    }

    fn add_block(&mut self, block: &BlockHeader, bytes: &[u8]) -> Result<(), JournalError> {
        let mut chain = self.chain.expect("an open segment has a chain");
        chain.accept(block, bytes).map_err(|detail| self.refuse_next(detail))?;
        let at = self.position();
        let open = self.open.as_mut().expect("a block was looked for in it");
        let written = open.file.write_at(bytes, open.offset);
        written.and_then(|count| whole(count, bytes.len())).map_err(JournalError::io("write", &open.path))?;
        open.tally.add(block, open.offset);
        open.offset += bytes.len() as u64;
        self.chain = Some(chain);
        self.unsynced = Some(*block);
        self.anchor = Some(Anchor { at, length: bytes.len() });
        Ok(())
    }

    fn seal(&mut self, footer: &[u8]) -> Result<(), JournalError> {
        let open = self.open.as_ref().expect("a footer was looked for in it");
        let chain = self.chain.expect("an open segment has a chain");
        let mut expected = vec![0; PAGE];
        open.tally.encode_footer(&open.header, &chain, open.offset, &mut expected);
        if footer != expected {
            return Err(self.refuse_next("the segment's footer is not what its blocks come to"));
        }
        let written = open.file.write_at(footer, open.header.blocks_end());
        written.and_then(|count| whole(count, PAGE)).map_err(JournalError::io("write", &open.path))?;
        // The blocks are in the same file.
        open.file.sync().map_err(JournalError::io("sync", &open.path))?;
        self.sync()?;
        self.next_segment = self.open.take().expect("it was just sealed").header.index + 1;
        Ok(())
    }

    fn path_of(&self, index: u64) -> PathBuf {
        self.directory.join(file_name(self.shard.unwrap_or_default(), index))
    }

    fn refuse_next(&self, detail: &str) -> JournalError {
        self.refused(self.position(), detail)
    }

    fn refused(&self, at: Position, detail: &str) -> JournalError {
        let (segment, offset) = (at.segment, at.offset);
        JournalError::Refused { segment, offset, sequence: self.last_sequence(), detail: detail.to_owned() }
    }

    /// Goes on in the newest segment that is there.
    fn take_up(&mut self, shard: u16, last: u64, before: Option<u64>) -> Result<(), JournalError> {
        let path = self.path_of(last);
        let open = || RealStorage.open(&path, Access::Buffered).map_err(JournalError::io("open", &path));
        let file = open()?;
        let header = read_header_of(&file, &path, last)?;
        let wanted = self.exchange_id.unwrap_or(header.exchange_id);
        heads::check_identity(&path, (&wanted, shard), (&header.exchange_id, header.shard))?;
        self.exchange_id = Some(wanted);
        if let Some(expected) = self.chain_before(&header, before)? {
            check_continues(&header, &expected, &path)?;
        }
        let mut segment = Rest {
            source: Source::window(open()?),
            chain: header.chain(),
            open: Open { file, path, offset: SEGMENT_HEADERS_BYTES, tally: SegmentTally::new(&header), header },
            newest: None,
        };
        segment.scan()?;
        self.anchor = Some(segment.anchor());
        self.chain = Some(segment.chain);
        let is_sealed = segment.is_sealed()?;
        self.heads = Some(self.heads_behind(&segment)?);
        if is_sealed {
            self.next_segment = last + 1;
            return Ok(());
        }
        segment.cut()?;
        self.unsynced = segment.newest.map(|(_, block)| block);
        self.open = Some(segment.open);
        self.sync()
    }

    /// What a segment has to continue: nothing is known of what stands before the oldest one, but for the first.
    fn chain_before(&self, header: &SegmentHeader, before: Option<u64>) -> Result<Option<ChainTail>, JournalError> {
        let Some(before) = before else {
            let genesis = ChainTail::genesis(&header.exchange_id, header.shard);
            return Ok((header.index == 0).then_some(genesis));
        };
        let path = self.path_of(before);
        let file = RealStorage.open(&path, Access::Read).map_err(JournalError::io("open", &path))?;
        let sealed = read_header_of(&file, &path, before)?;
        let mut page = [0; PAGE];
        read_exactly(&file, &mut page, sealed.blocks_end()).map_err(JournalError::io("read", &path))?;
        match SegmentFooter::decode(&page, &sealed) {
            Ok(footer) => Ok(Some(footer.chain)),
            Err(detail) => Err(JournalError::DamagedSegment { path, detail: detail.to_owned() }),
        }
    }

    /// `heads`, without those of blocks that are not there: a crash may have taken what was not synced.
    fn heads_behind(&self, segment: &Rest) -> Result<HeadFile<RealFile>, JournalError> {
        let identity = (&segment.open.header.exchange_id, segment.open.header.shard);
        let known = HeadSet::load(&RealStorage, &self.directory, identity)?;
        if known.is_none() {
            HeadFile::create(&RealStorage, &self.directory, identity)?;
        }
        let mut file = HeadFile::open(&RealStorage, &self.directory)?;
        file.forget_from(&known.unwrap_or_default(), segment.chain.block + 1)?;
        Ok(file)
    }
}

/// The newest segment of a mirror, while it is taken up.
struct Rest {
    source: Source<RealFile>,
    chain: ChainTail,
    open: Open,
    newest: Option<(u64, BlockHeader)>,
}

impl Rest {
    /// Walks to the first block that fails.
    fn scan(&mut self) -> Result<(), JournalError> {
        loop {
            let step = scan::step(&mut self.source, &self.open.header, self.open.offset, &mut self.chain);
            let Step::Block(block) = step.map_err(JournalError::io("read", &self.open.path))? else { return Ok(()) };
            self.open.tally.add(&block, self.open.offset);
            self.newest = Some((self.open.offset, block));
            self.open.offset += u64::from(block.block_bytes);
        }
    }

    fn anchor(&self) -> Anchor {
        let segment = self.open.header.index;
        match &self.newest {
            Some((offset, block)) => {
                Anchor { at: Position { segment, offset: *offset }, length: block.block_bytes as usize }
            }
            None => Anchor { at: Position { segment, offset: 0 }, length: 2 * PAGE },
        }
    }

    /// Whether it has the footer that its blocks come to.
    fn is_sealed(&mut self) -> Result<bool, JournalError> {
        let mut expected = vec![0; PAGE];
        self.open.tally.encode_footer(&self.open.header, &self.chain, self.open.offset, &mut expected);
        let page = self.source.bytes(self.open.header.segment_bytes - FOOTER_BYTES, PAGE);
        Ok(page.map_err(JournalError::io("read", &self.open.path))? == expected)
    }

    /// Zeroes what stands behind the last whole block, from the end on, so that a crash leaves no hole.
    fn cut(&mut self) -> Result<(), JournalError> {
        let Open { file, path, offset, header, .. } = &self.open;
        let mut end = header.segment_bytes;
        let mut bytes = vec![0; ZERO_CHUNK_BYTES];
        let zeros = vec![0; ZERO_CHUNK_BYTES];
        while end > *offset {
            let count = usize::try_from(end - offset).unwrap_or(ZERO_CHUNK_BYTES).min(ZERO_CHUNK_BYTES);
            end -= count as u64;
            if !file.was_written(end..end + count as u64) {
                continue;
            }
            read_exactly(file, &mut bytes[..count], end).map_err(JournalError::io("read", path))?;
            if !all_zero(&bytes[..count]) {
                let written = file.write_durable(&zeros[..count], end);
                written.and_then(|written| whole(written, count)).map_err(JournalError::io("zero", path))?;
            }
        }
        Ok(())
    }
}

/// Whether a directory is a mirror: no node may write into it. Who means to make a node's journal of it removes the mark.
pub fn is_mirror(directory: &Path) -> bool {
    directory.join(MARK.0).exists()
}

/// Says that a directory is a mirror, unless it is something else.
fn mark(directory: &Path) -> Result<(), JournalError> {
    let (name, content) = MARK;
    let path = directory.join(name);
    if is_mirror(directory) {
        return Ok(());
    }
    // A node's journal has heads from its start on; segments out of an archive have none.
    if heads::path_in(directory).exists() {
        return Err(JournalError::NoMirror { directory: directory.to_path_buf() });
    }
    let file = RealStorage.create(&path).map_err(JournalError::io("create", &path))?;
    let written = file.write_at(content, 0).and_then(|count| whole(count, content.len()));
    written.map_err(JournalError::io("write", &path))?;
    file.sync().map_err(JournalError::io("sync", &path))?;
    RealStorage.sync_directory(directory).map_err(JournalError::io("sync", directory))
}

#[cfg(test)]
#[path = "mirror_tests.rs"]
mod tests;
