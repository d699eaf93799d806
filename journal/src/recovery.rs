//! What is kept of a journal after a crash, and why: a decision table.
//!
//! Every sealed segment: header, footer, and that each header continues the footer before it. The last segment: every
//! block. Let X be the first block that fails.
//!
//! | head or footer says X was written | valid block behind X | rest | verdict |
//! |---|---|---|---|
//! | yes | any | any | corruption of acknowledged data |
//! | no | one sealed when X was on stable storage | any | corruption of acknowledged data |
//! | no | one sealed while X was in flight | any | reordered writes: cut at X |
//! | no | none | not all zero | torn tail, never acknowledged: cut at X |
//! | no | none | all zero | clean end |
//!
//! Corruption refuses, unless the operator names exactly the first lost sequence (`truncate_at`). A cut zeroes from
//! the last dirty page back to X, durably, so that a crash within it leaves a state of the same table. What was done
//! is flagged in the epoch block that the opening writes next, and is so in the hash chain for ever.
//!
//! At the level `async` "acknowledged" means "synced": what power loss takes from the time between is in flight.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::block::{BlockFlags, ChainTail};
use crate::block_log::{ActiveSegment, LogStart};
use crate::bytes::AlignedBuffer;
use crate::heads::{self, HeadFile, HeadSet, check_identity};
use crate::scan::{self, Later, Rest, Step};
use crate::segment::{
    PageFault, SEGMENT_HEADERS_BYTES, SegmentFooter, SegmentHeader, SegmentTally, file_name, parse_file_name,
};
use crate::source::Source;
use crate::storage::{Access, Storage, StorageFile, read_exactly, whole};
use crate::{Durability, JournalError, JournalOptions};

const ZERO_CHUNK_BYTES: usize = 1 << 20;

/// How a journal was found at opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecoveryOutcome {
    /// There was none; it has been created.
    Fresh,
    /// It ended at a whole block.
    Clean,
    /// A last block that was never acknowledged was incomplete and has been removed.
    TornTail {
        /// Bytes from its start to the last one written.
        bytes: u64,
    },
    /// Blocks that were in flight at power loss reached the disk in another order; they have been removed.
    ReorderedWrites {
        /// The first sequence that was removed.
        first_sequence: u64,
        /// Bytes removed.
        bytes: u64,
    },
    /// The operator gave up acknowledged data.
    OperatorTruncation {
        /// The first sequence that was given up.
        first_sequence: u64,
        /// Bytes removed.
        bytes: u64,
    },
}

/// What an opening found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoveryReport {
    /// How the journal was found.
    pub outcome: RecoveryOutcome,
    /// The last sequence, 0 = empty.
    pub last_sequence: u64,
    /// Timestamp of the last record, nanoseconds since the Unix epoch, 0 = empty.
    pub last_timestamp_ns: u64,
    /// Number of the last block found, 0 = none; the opening's own epoch block is not counted.
    pub last_block: u64,
    /// Hash of that block; of an empty journal the genesis hash.
    pub last_block_hash: [u8; 32],
    /// Count of segments found.
    pub segments: usize,
}

/// What the table decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    CleanEnd,
    TornTail,
    ReorderedWrites,
    Corruption,
}

/// The columns of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// A head or a footer says that X was written.
    pub(crate) known_written: bool,
    /// What a valid block behind X proves.
    pub(crate) later: Later,
    /// Whether X and everything behind it is zero.
    pub(crate) blank: bool,
}

/// The table.
pub(crate) fn decide(evidence: Evidence) -> Verdict {
    match evidence {
        Evidence { known_written: true, .. } | Evidence { later: Later::Acknowledged, .. } => Verdict::Corruption,
        Evidence { later: Later::InFlight, .. } => Verdict::ReorderedWrites,
        Evidence { later: Later::None, blank: false, .. } => Verdict::TornTail,
        Evidence { later: Later::None, blank: true, .. } => Verdict::CleanEnd,
    }
}

/// Where the scan of a last segment ended, judged.
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    pub(crate) rest: Rest,
    pub(crate) detail: String,
    /// The segment is complete and sealed; nothing is to be cut.
    pub(crate) sealed: bool,
}

/// Judges the last segment at `offset`, where the chain stands at `chain` and `fault` says why no block follows.
pub(crate) fn judge<F: StorageFile>(
    source: &mut Source<F>,
    segment: &SegmentHeader,
    at: (u64, &ChainTail, &'static str),
    heads: &HeadSet,
) -> std::io::Result<Judgement> {
    let (offset, chain, fault) = at;
    let footer = scan::footer(source, segment)?;
    let in_heads = heads.reaches(chain.block + 1) || heads.contradicts(chain.block, &chain.hash);
    if footer.is_ok_and(|footer| footer.end_offset == offset && footer.chain == *chain) {
        // A crash between sealing and the next segment's name leaves no head of a later block. With one, the next
        // segment was there, had acknowledged blocks, and is gone.
        let evidence = Evidence { known_written: in_heads, later: Later::None, blank: true };
        let rest = Rest { dirty_end: offset, later: Later::None };
        let detail = "the segment behind it is missing, and heads of its blocks say they had been written".to_owned();
        return Ok(Judgement { verdict: decide(evidence), rest, detail, sealed: true });
    }
    let rest = scan::look_behind(source, segment, offset, chain.block + 1)?;
    let evidence =
        Evidence { known_written: footer.is_ok() || in_heads, later: rest.later, blank: rest.dirty_end == offset };
    let proof = if in_heads {
        "its head says it had been written"
    } else if footer.is_ok() {
        "the segment's footer says it had been written"
    } else {
        "a later block says it had been written"
    };
    Ok(Judgement { verdict: decide(evidence), rest, detail: format!("{fault}, and {proof}"), sealed: false })
}

/// What recovery hands to the log, and tells.
pub(crate) struct Recovered<S: Storage> {
    pub(crate) start: LogStart<S>,
    pub(crate) report: RecoveryReport,
    /// Flags for the epoch block.
    pub(crate) epoch_flags: u32,
}

/// Indexes of a shard's segments in a directory, in order and without a gap.
pub(crate) fn list_segments<S: Storage>(storage: &S, directory: &Path) -> Result<Vec<(u16, u64)>, JournalError> {
    let names = storage.list(directory).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => JournalError::NoJournal { directory: directory.to_path_buf() },
        _ => JournalError::io("list", directory)(error),
    })?;
    let mut segments: Vec<(u16, u64)> = names.iter().filter_map(|name| parse_file_name(name)).collect();
    segments.sort_unstable();
    for pair in segments.windows(2) {
        if pair[0].0 != pair[1].0 {
            return Err(JournalError::DamagedSegment {
                path: directory.join(file_name(pair[1].0, pair[1].1)),
                detail: "a directory holds one shard, this file is of a second".to_owned(),
            });
        }
        if pair[0].1 + 1 != pair[1].1 {
            return Err(JournalError::MissingSegment { directory: directory.to_path_buf(), index: pair[0].1 + 1 });
        }
    }
    Ok(segments)
}

/// Reads and checks a segment's header.
pub(crate) fn read_header<F: StorageFile>(
    source: &mut Source<F>,
    path: &Path,
    index: u64,
) -> Result<SegmentHeader, JournalError> {
    let size = source.size().map_err(JournalError::io("measure", path))?;
    if size < SEGMENT_HEADERS_BYTES {
        return Err(too_short(path));
    }
    let pages = source.bytes(0, crate::bytes::PAGE * 2).map_err(JournalError::io("read", path))?;
    check_header(pages, path, (index, size))
}

/// The same of a file that is not scanned.
pub(crate) fn read_header_of<F: StorageFile>(file: &F, path: &Path, index: u64) -> Result<SegmentHeader, JournalError> {
    let size = file.size().map_err(JournalError::io("measure", path))?;
    if size < SEGMENT_HEADERS_BYTES {
        return Err(too_short(path));
    }
    let mut pages = [0; crate::bytes::PAGE * 2];
    read_exactly(file, &mut pages, 0).map_err(JournalError::io("read", path))?;
    check_header(&pages, path, (index, size))
}

fn too_short(path: &Path) -> JournalError {
    let detail = "it is shorter than a segment's headers".to_owned();
    JournalError::DamagedSegment { path: path.to_path_buf(), detail }
}

fn check_header(pages: &[u8], path: &Path, (index, size): (u64, u64)) -> Result<SegmentHeader, JournalError> {
    let damaged = |detail: &str| JournalError::DamagedSegment { path: path.to_path_buf(), detail: detail.to_owned() };
    let header = SegmentHeader::decode_either(pages).map_err(|fault| match fault {
        PageFault::Damaged(detail) => damaged(detail),
        PageFault::Format(found) => JournalError::format(path, found),
    })?;
    if header.index != index {
        return Err(damaged("its index is not that of its name"));
    }
    if header.segment_bytes != size {
        return Err(damaged("its size is not that of its header"));
    }
    Ok(header)
}

/// Checks that `header` continues the sealed segment before it.
pub(crate) fn check_continues(header: &SegmentHeader, chain: &ChainTail, path: &Path) -> Result<(), JournalError> {
    if header.chain() == *chain {
        return Ok(());
    }
    let detail = "its header does not continue the hash chain of the segment before it".to_owned();
    Err(JournalError::DamagedSegment { path: path.to_path_buf(), detail })
}

/// Recovers the journal in a locked directory.
pub(crate) fn recover<S: Storage>(
    storage: &S,
    options: &JournalOptions,
    lock: S::Lock,
) -> Result<Recovered<S>, JournalError> {
    let directory = &options.directory;
    let identity = (&options.exchange_id, options.shard);
    storage.sync_directory(directory).map_err(JournalError::io("sync", directory))?;
    let segments = list_segments(storage, directory)?;
    let Some((_, last_index)) = segments.last().copied() else {
        return fresh(storage, options, lock);
    };
    let heads = HeadSet::load(storage, directory, identity)?;
    let mut chain = None;
    for (shard, index) in &segments[..segments.len() - 1] {
        let path = directory.join(file_name(*shard, *index));
        chain = Some(check_sealed(storage, &path, *index, (identity, chain))?.chain);
    }
    let path = directory.join(file_name(segments[0].0, last_index));
    sync_file(storage, &path)?;
    let mut last = LastSegment::open(storage, path, last_index)?;
    check_identity(&last.path, identity, (&last.header.exchange_id, last.header.shard))?;
    if let Some(chain) = chain {
        check_continues(&last.header, &chain, &last.path)?;
    } else if last_index == 0 {
        check_continues(&last.header, &ChainTail::genesis(identity.0, identity.1), &last.path)?;
    }
    last.scan()?;
    let heads = require_heads(storage, options, heads, &last.chain)?;
    let mut head_file = HeadFile::open(storage, directory)?;
    let (outcome, epoch_flags, sealed) = last.settle(options, &heads, &mut head_file)?;
    let report = report(outcome, &last.chain, segments.len());
    let chain = last.chain;
    let active = if sealed { None } else { Some(last.into_active(storage, options.durability)?) };
    let start = LogStart { chain, active, next_segment: last_index + 1, heads: head_file, lock };
    Ok(Recovered { start, report, epoch_flags })
}

fn report(outcome: RecoveryOutcome, chain: &ChainTail, segments: usize) -> RecoveryReport {
    RecoveryReport {
        outcome,
        last_sequence: chain.sequence,
        last_timestamp_ns: chain.timestamp_ns,
        last_block: chain.block,
        last_block_hash: chain.hash,
        segments,
    }
}

fn fresh<S: Storage>(storage: &S, options: &JournalOptions, lock: S::Lock) -> Result<Recovered<S>, JournalError> {
    let directory = &options.directory;
    let heads = match HeadSet::load(storage, directory, (&options.exchange_id, options.shard)) {
        // A first start that ended before its segment had a name; the next one may well draw another exchange id.
        Err(JournalError::ForeignExchange { .. }) if heads::are_blank(storage, directory)? => None,
        loaded => loaded?,
    };
    if heads.as_ref().is_some_and(|heads| !heads.is_empty()) {
        // Blocks were acknowledged here and their segments are gone: starting anew would hide that.
        return Err(JournalError::MissingSegment { directory: directory.clone(), index: 0 });
    }
    let identity = (&options.exchange_id, options.shard);
    if heads.is_none() {
        HeadFile::create(storage, directory, identity)?;
    }
    let chain = ChainTail::genesis(identity.0, identity.1);
    let heads = HeadFile::open(storage, directory)?;
    let start = LogStart { chain, active: None, next_segment: 0, heads, lock };
    Ok(Recovered { start, report: report(RecoveryOutcome::Fresh, &chain, 0), epoch_flags: 0 })
}

/// What was read from the page cache before a crash of the machine may never have reached the disk: sync first.
fn sync_file<S: Storage>(storage: &S, path: &Path) -> Result<(), JournalError> {
    let file = storage.open(path, Access::Buffered).map_err(JournalError::io("open", path))?;
    file.sync().map_err(JournalError::io("sync", path))
}

fn check_sealed<S: Storage>(
    storage: &S,
    path: &Path,
    index: u64,
    expected: ((&[u8; 16], u16), Option<ChainTail>),
) -> Result<SegmentFooter, JournalError> {
    let file = storage.open(path, Access::Read).map_err(JournalError::io("open", path))?;
    let mut source = Source::window(file);
    let header = read_header(&mut source, path, index)?;
    let (identity, chain) = expected;
    check_identity(path, identity, (&header.exchange_id, header.shard))?;
    // The oldest segment that is kept has nothing to continue, unless it is the very first.
    let genesis = (index == 0).then(|| ChainTail::genesis(identity.0, identity.1));
    if let Some(chain) = chain.or(genesis) {
        check_continues(&header, &chain, path)?;
    }
    let footer = scan::footer(&mut source, &header).map_err(JournalError::io("read", path))?;
    footer.map_err(|detail| JournalError::DamagedSegment { path: path.to_path_buf(), detail: detail.to_owned() })
}

fn require_heads<S: Storage>(
    storage: &S,
    options: &JournalOptions,
    heads: Option<HeadSet>,
    chain: &ChainTail,
) -> Result<HeadSet, JournalError> {
    if let Some(heads) = heads {
        return Ok(heads);
    }
    let sequence = chain.sequence + 1;
    if options.truncate_at != Some(sequence) {
        return Err(JournalError::HeadsMissing { path: heads::path_in(&options.directory), sequence });
    }
    HeadFile::create(storage, &options.directory, (&options.exchange_id, options.shard))?;
    Ok(HeadSet::default())
}

/// The segment that may still take blocks, while it is examined.
struct LastSegment<F> {
    path: PathBuf,
    source: Source<F>,
    /// For the cut; the source owns its own.
    file: F,
    header: SegmentHeader,
    chain: ChainTail,
    offset: u64,
    tally: SegmentTally,
    fault: &'static str,
}

impl<F: StorageFile> LastSegment<F> {
    fn open<S: Storage<File = F>>(storage: &S, path: PathBuf, index: u64) -> Result<Self, JournalError> {
        let open = || storage.open(&path, Access::Direct).map_err(JournalError::io("open", &path));
        // Past the cache, so that what is judged is what the disk has.
        let mut source = Source::window(open()?);
        let file = open()?;
        let header = read_header(&mut source, &path, index)?;
        let chain = header.chain();
        let tally = SegmentTally::new(&header);
        let offset = SEGMENT_HEADERS_BYTES;
        Ok(Self { path, source, file, header, chain, offset, tally, fault: "the segment is full" })
    }

    /// Walks to the first block that fails.
    fn scan(&mut self) -> Result<(), JournalError> {
        loop {
            let step = scan::step(&mut self.source, &self.header, self.offset, &mut self.chain);
            match step.map_err(JournalError::io("read", &self.path))? {
                Step::Block(block) => {
                    self.tally.add(&block, self.offset);
                    self.offset += u64::from(block.block_bytes);
                }
                Step::Fault(fault) => {
                    self.fault = fault;
                    return Ok(());
                }
                Step::Full => return Ok(()),
            }
        }
    }

    /// Applies the table. Returns the outcome, the epoch block's flags, and whether the segment is sealed.
    fn settle(
        &mut self,
        options: &JournalOptions,
        heads: &HeadSet,
        head_file: &mut HeadFile<F>,
    ) -> Result<(RecoveryOutcome, u32, bool), JournalError> {
        let at = (self.offset, &self.chain, self.fault);
        let judged = judge(&mut self.source, &self.header, at, heads);
        let judgement = judged.map_err(JournalError::io("read", &self.path))?;
        let first_sequence = self.chain.sequence + 1;
        let bytes = judgement.rest.dirty_end - self.offset;
        let (outcome, flags) = match judgement.verdict {
            Verdict::CleanEnd => (RecoveryOutcome::Clean, 0),
            Verdict::TornTail => (RecoveryOutcome::TornTail { bytes }, BlockFlags::AFTER_TORN_TAIL),
            Verdict::ReorderedWrites => {
                (RecoveryOutcome::ReorderedWrites { first_sequence, bytes }, BlockFlags::AFTER_REORDERED_WRITES)
            }
            Verdict::Corruption if options.truncate_at == Some(first_sequence) => {
                // First the heads (also one that contradicts the last good block): a crash between the two leaves
                // what the operator has to decide once more.
                head_file.forget_from(heads, self.chain.block)?;
                (RecoveryOutcome::OperatorTruncation { first_sequence, bytes }, BlockFlags::AFTER_OPERATOR_TRUNCATION)
            }
            Verdict::Corruption => {
                return Err(JournalError::Corruption {
                    path: self.path.clone(),
                    offset: self.offset,
                    sequence: first_sequence,
                    detail: judgement.detail,
                });
            }
        };
        self.cut(judgement.rest.dirty_end)?;
        Ok((outcome, flags, judgement.sealed))
    }

    /// Zeroes from `dirty_end` back to the failing block.
    fn cut(&self, dirty_end: u64) -> Result<(), JournalError> {
        if dirty_end == self.offset {
            return Ok(());
        }
        let zeros = AlignedBuffer::new(ZERO_CHUNK_BYTES);
        let mut end = dirty_end;
        while end > self.offset {
            let count = usize::try_from(end - self.offset).unwrap_or(ZERO_CHUNK_BYTES).min(ZERO_CHUNK_BYTES);
            end -= count as u64;
            let written = self.file.write_durable(&zeros.as_slice()[..count], end);
            written.and_then(|written| whole(written, count)).map_err(JournalError::io("zero", &self.path))?;
        }
        Ok(())
    }

    fn into_active<S: Storage<File = F>>(
        self,
        storage: &S,
        durability: Durability,
    ) -> Result<ActiveSegment<F>, JournalError> {
        let file = match durability {
            Durability::Sync => self.file,
            Durability::Async => {
                storage.open(&self.path, Access::Buffered).map_err(JournalError::io("open", &self.path))?
            }
        };
        Ok(ActiveSegment {
            file: Arc::new(file),
            path: self.path,
            header: self.header,
            offset: self.offset,
            tally: self.tally,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table() {
        use Later::{Acknowledged, InFlight, None};
        use Verdict::{CleanEnd, Corruption, ReorderedWrites, TornTail};
        let rows = [
            ((false, None, true), CleanEnd),
            ((false, None, false), TornTail),
            ((false, InFlight, true), ReorderedWrites),
            ((false, InFlight, false), ReorderedWrites),
            ((false, Acknowledged, true), Corruption),
            ((false, Acknowledged, false), Corruption),
            ((true, None, true), Corruption),
            ((true, None, false), Corruption),
            ((true, InFlight, true), Corruption),
            ((true, InFlight, false), Corruption),
            ((true, Acknowledged, true), Corruption),
            ((true, Acknowledged, false), Corruption),
        ];
        for ((known_written, later, blank), verdict) in rows {
            let evidence = Evidence { known_written, later, blank };
            assert_eq!(decide(evidence), verdict, "{evidence:?}");
        }
    }
}
