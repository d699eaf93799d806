//! The chain of blocks on disk, as the durability worker extends it: stage, write, prove, seal, rotate.
//!
//! Blocks are staged one behind the other and written in one go, as many as there are and [`GROUP_BYTES`] hold: a disk
//! takes 64 KiB and 1 MiB in about the same time, so a backlog that one block a write could not work off is gone at once.
//!
//! A block that fails later was either torn by a crash, or was whole and has been damaged since. What tells the two
//! apart is the *proof* that it was written: something else on stable storage, begun after its write had completed. The
//! next block is such a proof (its header names the newest block that was on stable storage when it was sealed), and
//! so is a head. While records wait, the next block is the cheaper one: it has to be written anyway, so blocks cost one
//! write and not two. When nothing waits, and at least every [`WRITES_A_HEAD`] writes, a head is written. The first block
//! of each segment gets its head at once, so that a segment that is lost as a whole is missed. Blocks of one write do not
//! prove each other: they were in flight together, and their headers say so.
//!
//! At the level `async` a block may be acknowledged when its write has returned; [`crate::sync_behind`] syncs behind, which
//! holds nothing up but a rotation, unless it goes on for too long or too much is written meanwhile.
//!
//! Invariants: a block is written once; a proof is begun only after its block is on stable storage; at the level `sync`
//! nothing is announced before its proof is on stable storage, too; a segment gets its name only after its headers are
//! on stable storage and the segment before it is sealed; after the first error the value is dropped without another
//! write or sync (its owner sees to that).
//!
//! Rotation, and what a crash between its steps leaves: 1 footer of the old segment (crash: sealed last segment, the
//! next opening starts a new one) · 2 header into the spare (crash: a spare with a stale header, overwritten when it
//! is used) · 3 rename · 4 sync of the directory (crash before it: as after 2).

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::block::{BLOCK_HEADER_BYTES, BlockFlags, BlockHeader, ChainTail};
use crate::bytes::{AlignedBuffer, PAGE};
use crate::heads::HeadFile;
use crate::ring::Place;
use crate::segment::{FOOTER_BYTES, SEGMENT_HEADERS_BYTES, SegmentHeader, SegmentTally, file_name};
use crate::segment_maker::SegmentMaker;
use crate::storage::{Access, Storage, StorageFile, whole};
use crate::sync_behind::{Done, Job, SyncBehind};
use crate::watch::{Shared, StateNote};
use crate::{Durability, JournalError, JournalOptions, Labour};

/// At the level `async`: the longest time, and the most bytes, between a write and the begin of its sync.
const SYNC_BEHIND_NS: u64 = 100_000_000;
const SYNC_BEHIND_BYTES: u64 = 16 << 20;
/// So long after the first write that a sync is about, that sync holds up further ones, if it goes on so long: with a disk
/// that has stalled, power loss takes no more than what was acknowledged in this time.
const SYNC_PATIENCE_NS: u64 = 2 * SYNC_BEHIND_NS;
/// While a sync goes on, what is behind it is looked after so often.
const SYNC_LOOK_NS: u64 = 5_000_000;
/// Writes of which at least one is followed by a head although others wait: what a disk that loses a whole run of the
/// newest blocks could take unnoticed is less than that. One small write more in sixteen.
const WRITES_A_HEAD: u32 = 16;
/// Bytes of one write at most: what a call to the storage may move.
const GROUP_BYTES: usize = 1 << 20;

/// The segment that takes blocks.
pub(crate) struct ActiveSegment<F> {
    pub(crate) file: Arc<F>,
    pub(crate) path: PathBuf,
    pub(crate) header: SegmentHeader,
    /// Where the next block goes.
    pub(crate) offset: u64,
    pub(crate) tally: SegmentTally,
}

/// What a block says beside its records.
pub(crate) struct BlockContent {
    pub(crate) payload_bytes: usize,
    pub(crate) record_count: u32,
    pub(crate) last_timestamp_ns: u64,
    pub(crate) flags: u32,
    pub(crate) note: Option<StateNote>,
}

/// A random number that no earlier segment or ring has.
pub(crate) fn random_nonce<S: Storage>(storage: &S) -> Result<u64, JournalError> {
    storage.random().map_err(JournalError::io("read random bytes for", "a nonce".as_ref()))
}

/// What has been written at the level `async` and is part of no sync yet.
struct Unsynced {
    since_ns: u64,
    bytes: u64,
    newest: BlockHeader,
}

/// Where recovery left the journal.
pub(crate) struct LogStart<S: Storage> {
    pub(crate) chain: ChainTail,
    pub(crate) active: Option<ActiveSegment<S::File>>,
    pub(crate) next_segment: u64,
    pub(crate) heads: HeadFile<S::File>,
    pub(crate) lock: S::Lock,
}

/// The log, open for extension.
pub(crate) struct BlockLog<S: Storage> {
    storage: S,
    options: JournalOptions,
    chain: ChainTail,
    /// The term of blocks to come; the chain's is that of the last block.
    term: u64,
    active: Option<ActiveSegment<S::File>>,
    next_segment: u64,
    /// `None` while a sync that goes on has it.
    heads: Option<HeadFile<S::File>>,
    /// Blocks that are staged and not yet written.
    buffer: AlignedBuffer,
    staged: Range<usize>,
    /// The last of them, and where in the segment the first of them goes.
    newest_staged: Option<BlockHeader>,
    staged_at: u64,
    block_bytes_max: usize,
    /// Last sequence on stable storage.
    committed_sequence: u64,
    /// Newest block on stable storage.
    durable_block: u64,
    /// At the level `sync`: the newest block, on stable storage and without a proof.
    unproven: Option<BlockHeader>,
    /// Newest block that has a proof; at the level `async` the newest one that is written.
    acknowledged_block: u64,
    /// Writes since the last head.
    writes_without_head: u32,
    /// At the level `async`.
    unsynced: Option<Unsynced>,
    /// Since when what the sync that goes on is about has been written.
    syncing_since_ns: Option<u64>,
    /// Who syncs, at the level `async`.
    behind: Option<SyncBehind<S::File>>,
    maker: SegmentMaker<S>,
    // Last: the directory is unlocked when nothing touches it any more, the threads included.
    _lock: S::Lock,
}

impl<S: Storage> BlockLog<S> {
    /// Takes over from recovery and starts making spare segments.
    pub(crate) fn start(
        storage: S,
        options: &JournalOptions,
        start: LogStart<S>,
        shared: Arc<Shared>,
        labour: Labour,
    ) -> Result<Self, JournalError> {
        let behind = match options.durability {
            Durability::Sync => None,
            Durability::Async => Some(SyncBehind::start(&options.directory, Arc::clone(&shared), labour)?),
        };
        let maker = SegmentMaker::start(storage.clone(), options, start.next_segment, shared, labour)?;
        let block_bytes_max = options.block_bytes_max();
        Ok(Self {
            storage,
            options: options.clone(),
            committed_sequence: start.chain.sequence,
            durable_block: start.chain.block,
            unproven: None,
            acknowledged_block: start.chain.block,
            writes_without_head: 0,
            term: start.chain.term,
            chain: start.chain,
            active: start.active,
            next_segment: start.next_segment,
            heads: Some(start.heads),
            buffer: AlignedBuffer::new(GROUP_BYTES),
            staged: 0..0,
            newest_staged: None,
            staged_at: 0,
            block_bytes_max,
            unsynced: None,
            syncing_since_ns: None,
            behind,
            maker,
            _lock: start.lock,
        })
    }

    /// Whether one more block of the largest size can be staged.
    pub(crate) fn has_room(&self) -> bool {
        self.staged.end + self.block_bytes_max <= GROUP_BYTES
    }

    /// Where the records of the next block are to be put. There is room for it.
    pub(crate) fn payload_buffer(&mut self) -> &mut [u8] {
        let start = self.staged.end;
        &mut self.buffer.as_mut_slice()[start + BLOCK_HEADER_BYTES..start + self.block_bytes_max]
    }

    /// The chain behind the last block.
    pub(crate) fn chain(&self) -> &ChainTail {
        &self.chain
    }

    /// Number of the newest block whose records may be acknowledged at the configured level.
    pub(crate) fn acknowledged_block(&self) -> u64 {
        self.acknowledged_block
    }

    /// Nanoseconds until a sync is due, or the one that goes on is to be looked after; `None` if everything is synced.
    pub(crate) fn look_due_in_ns(&self) -> Option<u64> {
        if self.syncing_since_ns.is_some() {
            return Some(SYNC_LOOK_NS);
        }
        let due_ns = self.unsynced.as_ref()?.since_ns + SYNC_BEHIND_NS;
        Some(due_ns.saturating_sub(self.storage.elapsed_ns()))
    }

    /// Whether a sync that takes too long holds up further writes.
    pub(crate) fn is_held_up(&self) -> bool {
        let Some(since_ns) = self.syncing_since_ns else { return false };
        self.unsynced.as_ref().is_some_and(|unsynced| {
            unsynced.bytes >= SYNC_BEHIND_BYTES || self.storage.elapsed_ns() >= since_ns + SYNC_PATIENCE_NS
        })
    }

    /// Makes the sync that was begun, where no thread does; whether there was one.
    pub(crate) fn make_sync(&mut self) -> bool {
        self.behind.as_mut().is_some_and(SyncBehind::make)
    }

    /// Makes the next segment ahead, where nobody else does; whether there was anything to do.
    pub(crate) fn make_spare(&mut self) -> Result<bool, JournalError> {
        self.maker.make_ahead()
    }

    /// Begins a new term with an empty block that is on stable storage, at every level, before any input is taken.
    pub(crate) fn write_epoch(&mut self, flags: u32) -> Result<(), JournalError> {
        self.term += 1;
        let content = BlockContent {
            payload_bytes: 0,
            record_count: 0,
            last_timestamp_ns: self.chain.timestamp_ns,
            flags: BlockFlags::EPOCH | flags,
            note: None,
        };
        self.stage(&content)?;
        self.write_staged()?;
        self.settle()
    }

    /// Seals the block whose records stand in the payload buffer behind those that are staged. Where the segment has no
    /// room for it, they are written and the next segment begins.
    pub(crate) fn stage(&mut self, content: &BlockContent) -> Result<(BlockHeader, Place), JournalError> {
        let block_bytes = (BLOCK_HEADER_BYTES + content.payload_bytes).next_multiple_of(PAGE) as u64;
        let fits = |active: &ActiveSegment<S::File>| active.offset + block_bytes <= active.header.blocks_end();
        if !self.active.as_ref().is_some_and(fits) {
            self.write_blocks()?;
            self.rotate()?;
        }
        let mut header = self.next_header(content);
        let place_in_buffer = self.staged.end;
        let size = header.seal(&mut self.buffer.as_mut_slice()[place_in_buffer..], content.payload_bytes);
        let active = self.active.as_mut().expect("rotation has made a segment");
        let place = Place { segment: active.header.index, offset: active.offset };
        if self.staged.is_empty() {
            self.staged_at = place.offset;
        }
        active.tally.add(&header, active.offset);
        active.offset += size as u64;
        self.staged.end += size;
        self.newest_staged = Some(header);
        self.chain = ChainTail {
            block: header.number,
            hash: header.hash,
            sequence: header.last_sequence(),
            timestamp_ns: content.last_timestamp_ns,
            term: header.term,
        };
        Ok((header, place))
    }

    /// Writes what is staged. On return it is on stable storage at the level `sync`; what may be acknowledged,
    /// [`Self::acknowledged_block`] tells.
    pub(crate) fn write_staged(&mut self) -> Result<(), JournalError> {
        self.write_blocks()?;
        self.staged = 0..0;
        Ok(())
    }

    fn write_blocks(&mut self) -> Result<(), JournalError> {
        let Some(newest) = self.newest_staged.take() else { return Ok(()) };
        let bytes = &self.buffer.as_slice()[self.staged.clone()];
        let active = self.active.as_ref().expect("staged blocks have a segment");
        let written = match self.options.durability {
            Durability::Sync => active.file.write_durable(bytes, self.staged_at),
            Durability::Async => active.file.write_at(bytes, self.staged_at),
        };
        written.and_then(|count| whole(count, bytes.len())).map_err(JournalError::io("write", &active.path))?;
        let begins_segment = self.staged_at == SEGMENT_HEADERS_BYTES;
        let byte_count = bytes.len() as u64;
        self.staged.start = self.staged.end;
        if self.options.durability == Durability::Async {
            self.acknowledged_block = newest.number;
            self.note_unsynced(newest, byte_count);
            return Ok(());
        }
        // The headers just written name this block as the newest one on stable storage: that is the proof.
        self.acknowledged_block = self.durable_block;
        self.note_stable(&newest);
        self.unproven = Some(newest);
        self.writes_without_head += 1;
        if begins_segment || self.writes_without_head >= WRITES_A_HEAD {
            self.prove()?;
        }
        Ok(())
    }

    fn next_header(&self, content: &BlockContent) -> BlockHeader {
        let active = self.active.as_ref().expect("rotation has made a segment");
        let level = if self.options.durability == Durability::Async { BlockFlags::ASYNC } else { 0 };
        BlockHeader {
            block_bytes: 0,
            payload_bytes: 0,
            number: self.chain.block + 1,
            first_sequence: self.chain.sequence + 1,
            record_count: content.record_count,
            flags: BlockFlags(content.flags | level),
            nonce: active.header.nonce,
            term: self.term,
            index: self.chain.block + 1,
            sealed_at_ns: self.storage.wall_ns(),
            committed_sequence: self.committed_sequence,
            state_sequence: content.note.map_or(0, |note| note.sequence),
            state_hash: content.note.map_or([0; 32], |note| note.state_hash),
            event_digest: content.note.map_or([0; 32], |note| note.event_digest),
            durable_block: self.durable_block,
            previous_hash: self.chain.hash,
            hash: [0; 32],
        }
    }

    /// The last record on stable storage.
    pub(crate) const fn committed_sequence(&self) -> u64 {
        self.committed_sequence
    }

    fn note_stable(&mut self, header: &BlockHeader) {
        self.committed_sequence = header.last_sequence();
        self.durable_block = header.number;
    }

    /// Writes the head of the newest block if it has no proof; whether it had none. Nothing to do at the level `async`.
    pub(crate) fn prove(&mut self) -> Result<bool, JournalError> {
        let Some(header) = self.unproven.take() else { return Ok(false) };
        self.write_head(&header)?;
        self.acknowledged_block = header.number;
        Ok(true)
    }

    /// The block of `header` is on stable storage, and its head says so.
    fn write_head(&mut self, header: &BlockHeader) -> Result<(), JournalError> {
        self.heads.as_mut().expect("no sync goes on").write(header)?;
        self.writes_without_head = 0;
        Ok(())
    }

    fn note_unsynced(&mut self, newest: BlockHeader, bytes: u64) {
        let first = || Unsynced { since_ns: self.storage.elapsed_ns(), bytes: 0, newest };
        let unsynced = self.unsynced.get_or_insert_with(first);
        unsynced.bytes += bytes;
        unsynced.newest = newest;
    }

    /// Takes note of a sync that has ended, without waiting for it.
    pub(crate) fn take_note_of_sync(&mut self) -> Result<(), JournalError> {
        if self.syncing_since_ns.is_none() {
            return Ok(());
        }
        self.behind.as_mut().and_then(SyncBehind::take).map_or(Ok(()), |done| self.end_sync(done))
    }

    /// Begins a sync if the bounds of the level `async` ask for it and none goes on.
    pub(crate) fn sync_if_due(&mut self) -> Result<(), JournalError> {
        if self.syncing_since_ns.is_some() {
            return Ok(());
        }
        let many = self.unsynced.as_ref().is_some_and(|unsynced| unsynced.bytes >= SYNC_BEHIND_BYTES);
        if many || self.look_due_in_ns() == Some(0) { self.begin_sync() } else { Ok(()) }
    }

    /// Waits for the sync that goes on; whether one did.
    pub(crate) fn await_sync(&mut self) -> Result<bool, JournalError> {
        let (Some(_), Some(behind)) = (self.syncing_since_ns, &mut self.behind) else { return Ok(false) };
        let done = behind.wait(&self.options.directory)?;
        self.end_sync(done)?;
        Ok(true)
    }

    fn begin_sync(&mut self) -> Result<(), JournalError> {
        let (Some(unsynced), Some(behind)) = (self.unsynced.take(), &mut self.behind) else { return Ok(()) };
        let active = self.active.as_ref().expect("unsynced blocks are in the active segment");
        let heads = self.heads.take().expect("no sync goes on");
        self.syncing_since_ns = Some(unsynced.since_ns);
        behind.begin(Job { file: Arc::clone(&active.file), path: active.path.clone(), heads, newest: unsynced.newest })
    }

    fn end_sync(&mut self, done: Done<S::File>) -> Result<(), JournalError> {
        self.syncing_since_ns = None;
        self.heads = Some(done.heads);
        done.result?;
        self.note_stable(&done.newest);
        Ok(())
    }

    /// Everything written is on stable storage and proven when this returns, at every level.
    pub(crate) fn settle(&mut self) -> Result<(), JournalError> {
        self.prove()?;
        self.sync_all()
    }

    /// Everything written is on stable storage when this returns.
    fn sync_all(&mut self) -> Result<(), JournalError> {
        self.await_sync()?;
        self.begin_sync()?;
        self.await_sync().map(drop)
    }

    /// Seals the active segment, if there is one, and starts the next.
    fn rotate(&mut self) -> Result<(), JournalError> {
        self.seal_active()?;
        let spare = self.maker.take(&self.options.directory)?;
        let header = SegmentHeader {
            exchange_id: self.options.exchange_id,
            shard: self.options.shard,
            node: self.options.node,
            nonce: random_nonce(&self.storage)?,
            index: self.next_segment,
            segment_bytes: self.options.segment_bytes,
            first_block: self.chain.block + 1,
            first_sequence: self.chain.sequence + 1,
            created_at_ns: self.storage.wall_ns(),
            previous_timestamp_ns: self.chain.timestamp_ns,
            previous_hash: self.chain.hash,
            schema_hash: self.options.schema_hash,
            software_version: self.options.software_version_field().to_owned(),
            previous_term: self.chain.term,
        };
        let path = self.options.directory.join(file_name(self.options.shard, header.index));
        let access = match self.options.durability {
            Durability::Sync => Access::Direct,
            Durability::Async => Access::Buffered,
        };
        let file = self.storage.open(&spare, access).map_err(JournalError::io("open", &spare))?;
        let mut pages = AlignedBuffer::new(2 * PAGE);
        let (first, second) = pages.as_mut_slice().split_at_mut(PAGE);
        header.encode(first);
        second.copy_from_slice(first);
        let written = file.write_durable(pages.as_slice(), 0);
        written.and_then(|count| whole(count, 2 * PAGE)).map_err(JournalError::io("write", &spare))?;
        self.storage.rename(&spare, &path).map_err(JournalError::io("rename", &spare))?;
        let directory = &self.options.directory;
        self.storage.sync_directory(directory).map_err(JournalError::io("sync", directory))?;
        self.next_segment += 1;
        let tally = SegmentTally::new(&header);
        self.active = Some(ActiveSegment { file: Arc::new(file), path, header, offset: SEGMENT_HEADERS_BYTES, tally });
        Ok(())
    }

    fn seal_active(&mut self) -> Result<(), JournalError> {
        self.sync_all()?;
        let Some(active) = self.active.take() else { return Ok(()) };
        let mut page = AlignedBuffer::new(PAGE);
        active.tally.encode_footer(&active.header, &self.chain, active.offset, page.as_mut_slice());
        let written = active.file.write_durable(page.as_slice(), active.header.segment_bytes - FOOTER_BYTES);
        written.and_then(|count| whole(count, PAGE)).map_err(JournalError::io("write", &active.path))
    }
}
