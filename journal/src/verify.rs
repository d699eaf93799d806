//! Verifying a journal: every byte that its format gives a meaning to, not only what a start has to know.
//!
//! A start reads the headers and footers of sealed segments and the blocks of the last one; a reader takes either copy
//! of a header. This reads all: both copies, every block of every segment as recovery reads it, the zeros behind them,
//! the footer against what the blocks come to, byte for byte, each slot of `heads` against the block that it copies.
//! So one flipped bit anywhere in these files is found (`verify_tests.rs`).
//!
//! Each header states the chain before its segment, so segments are read side by side and joined afterwards. Damage
//! that ends the chain is the error that a start gives; what costs nothing that was acknowledged is a finding.
//!
//! Bounds: one segment mapped a thread, the newest 64 block headers of each segment in memory.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::JournalError;
use crate::block::{BlockFlags, BlockHeader, ChainTail};
use crate::bytes::{PAGE, all_zero};
use crate::heads::{self, HEAD_SLOTS, HeadSet, Slot, check_identity};
use crate::mapped::MappedFile;
use crate::recovery::{Verdict, check_continues, judge, list_segments, read_header};
use crate::scan::{self, Step};
use crate::segment::{FOOTER_BYTES, SEGMENT_HEADERS_BYTES, SegmentHeader, SegmentTally, file_name};
use crate::source::Source;
use crate::storage::{Access, RealFile, RealStorage, Storage, StorageFile};

/// Blocks between two calls of the progress function.
const PROGRESS_BLOCKS: u64 = 256;

/// Whether somebody writes while the journal is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Nobody does: the journal ends at a whole block, and what is behind it is a finding.
    AtRest,
    /// A writer may: what is in flight behind the last block, or in a slot of `heads`, is nothing to report.
    Live,
}

/// Something that is not as it should be and costs nothing that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// What did not agree.
    pub detail: String,
}

/// A start of a writer, as its first block says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// Number of the block.
    pub block: u64,
    /// The sequence that came next.
    pub next_sequence: u64,
    /// What was found and done.
    pub flags: BlockFlags,
}

/// One segment as verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Index of the segment.
    pub index: u64,
    /// Bytes of the file.
    pub segment_bytes: u64,
    /// Bytes of headers and blocks.
    pub used_bytes: u64,
    /// Number of the first block.
    pub first_block: u64,
    /// Count of blocks.
    pub blocks: u64,
    /// First sequence.
    pub first_sequence: u64,
    /// Count of records.
    pub records: u64,
    /// Nonce of the segment.
    pub nonce: u64,
    /// Version of the program that made the segment.
    pub software_version: String,
    /// Whether it has its footer.
    pub sealed: bool,
    /// Starts of writers in it; none where only its footer was read.
    pub openings: Vec<Opening>,
}

/// What a journal comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// The exchange.
    pub exchange_id: [u8; 16],
    /// The shard.
    pub shard: u16,
    /// Every segment in order.
    pub segments: Vec<SegmentSummary>,
    /// The last sequence, 0 = empty.
    pub last_sequence: u64,
    /// Timestamp of the last record, nanoseconds since the Unix epoch, 0 = empty.
    pub last_timestamp_ns: u64,
    /// Number of the last block, 0 = none.
    pub last_block: u64,
    /// Hash of that block; of an empty journal the genesis hash.
    pub last_block_hash: [u8; 32],
    /// Count of openings up to the last block.
    pub term: u64,
    /// What is not as it should be and costs nothing that was acknowledged; empty = every byte is right.
    pub findings: Vec<Finding>,
}

impl Verification {
    /// Count of blocks in the segments that are kept.
    pub fn blocks(&self) -> u64 {
        self.segments.iter().map(|segment| segment.blocks).sum()
    }

    /// Count of records in the segments that are kept.
    pub fn records(&self) -> u64 {
        self.segments.iter().map(|segment| segment.records).sum()
    }
}

/// One segment while it is walked.
struct Walk<F> {
    path: PathBuf,
    source: Source<F>,
    header: SegmentHeader,
    chain: ChainTail,
    offset: u64,
    fault: &'static str,
    tally: SegmentTally,
    /// The newest headers, for the comparison with `heads`: what number % 64 is, is overwritten.
    newest: Vec<Option<BlockHeader>>,
    openings: Vec<Opening>,
    findings: Vec<Finding>,
}

/// One segment when it has been walked.
struct Walked {
    summary: SegmentSummary,
    header: SegmentHeader,
    path: PathBuf,
    chain: ChainTail,
    newest: Vec<Option<BlockHeader>>,
    findings: Vec<Finding>,
}

/// How much of the sealed segments is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Footers,
    Everything,
}

/// Verifies the journal in `directory` on all processors. `progress` is told counts of further records.
///
/// # Errors
/// The damage that a reader refuses, in the first segment that has any; no journal; the operating system's refusal.
pub fn verify(
    directory: &Path,
    activity: Activity,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Verification, JournalError> {
    walk_all(directory, activity, Depth::Everything, progress)
}

/// What a journal says that it holds: of sealed segments only headers and footers are read, of the last one every
/// block. What a start checks, without a lock and beside a writer.
///
/// # Errors
/// As [`verify`].
pub fn overview(directory: &Path) -> Result<Verification, JournalError> {
    walk_all(directory, Activity::Live, Depth::Footers, &|_| {})
}

fn walk_all(
    directory: &Path,
    activity: Activity,
    depth: Depth,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Verification, JournalError> {
    let segments = list_segments(&RealStorage, directory)?;
    let no_journal = || JournalError::NoJournal { directory: directory.to_path_buf() };
    let (shard, first) = segments.first().copied().ok_or_else(no_journal)?;
    let exchange_id = exchange_of(&directory.join(file_name(shard, first)), first)?;
    let identity = (&exchange_id, shard);
    let slots = heads::slots(&RealStorage, directory, identity)?;
    let heads = slots.as_deref().map(HeadSet::of).unwrap_or_default();
    let walk = |place: usize| {
        let index = segments[place].1;
        let path = directory.join(file_name(shard, index));
        let is_last = place + 1 == segments.len();
        let source = if is_last {
            open_window(&path)?
        } else {
            Source::Mapped(MappedFile::open(&path).map_err(JournalError::io("map", &path))?)
        };
        let walk = Walk::open(source, path, index, identity)?;
        match depth {
            _ if is_last => walk.last(&heads, activity, progress),
            Depth::Everything => walk.sealed(progress),
            Depth::Footers => walk.by_footer(),
        }
    };
    let mut joined: Option<Walked> = None;
    let (mut summaries, mut findings) = (Vec::new(), Vec::new());
    for walked in side_by_side(segments.len(), &walk) {
        let mut walked = walked?;
        let genesis = (walked.summary.index == 0).then(|| ChainTail::genesis(&exchange_id, shard));
        if let Some(chain) = joined.as_ref().map(|before| before.chain).or(genesis) {
            check_continues(&walked.header, &chain, &walked.path)?;
        }
        for (slot, before) in walked.newest.iter_mut().zip(joined.iter().flat_map(|before| &before.newest)) {
            *slot = slot.or(*before);
        }
        findings.append(&mut walked.findings);
        summaries.push(walked.summary.clone());
        joined = Some(walked);
    }
    let last = joined.ok_or_else(no_journal)?;
    match slots {
        Some(slots) => check_slots(directory, &slots, &last, activity, &mut findings),
        None => findings.push(Finding {
            path: heads::path_in(directory),
            detail: "it is missing, so a lost end could not be told from a clean one".to_owned(),
        }),
    }
    Ok(Verification {
        exchange_id,
        shard,
        segments: summaries,
        last_sequence: last.chain.sequence,
        last_timestamp_ns: last.chain.timestamp_ns,
        last_block: last.chain.block,
        last_block_hash: last.chain.hash,
        term: last.chain.term,
        findings,
    })
}

fn exchange_of(path: &Path, index: u64) -> Result<[u8; 16], JournalError> {
    let mut source = open_window(path)?;
    Ok(read_header(&mut source, path, index)?.exchange_id)
}

fn open_window(path: &Path) -> Result<Source<RealFile>, JournalError> {
    Ok(Source::window(RealStorage.open(path, Access::Read).map_err(JournalError::io("open", path))?))
}

/// Walks `count` segments on as many threads as there are processors; the answers are in order.
fn side_by_side(
    count: usize,
    walk: &(dyn Fn(usize) -> Result<Walked, JournalError> + Sync),
) -> Vec<Result<Walked, JournalError>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(count);
    if threads == 1 {
        return (0..count).map(walk).collect();
    }
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(count)));
    let work = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= count {
                return;
            }
            let walked = walk(place);
            done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((place, walked));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, walked)| walked).collect()
}

/// Holds each slot of `heads` against the block that it copies.
fn check_slots(directory: &Path, slots: &[Slot], last: &Walked, activity: Activity, findings: &mut Vec<Finding>) {
    let mut find = |slot: usize, detail: &str| {
        findings.push(Finding { path: heads::path_in(directory), detail: format!("slot {slot}: {detail}") });
    };
    for (place, slot) in slots.iter().enumerate() {
        match slot {
            Slot::Empty => {}
            Slot::Damaged if activity == Activity::Live => {}
            Slot::Damaged => find(place, "it fails its CRC"),
            Slot::Copy(head) => match last.newest[place] {
                Some(block) if block.number == head.number && block != *head => {
                    find(place, "it is not the copy of its block's header");
                }
                // A writer that is at work puts newer ones there; a start writes each opening's, so no older ones.
                _ => {}
            },
        }
    }
}

impl<F: StorageFile> Walk<F> {
    fn open(
        mut source: Source<F>,
        path: PathBuf,
        index: u64,
        identity: (&[u8; 16], u16),
    ) -> Result<Self, JournalError> {
        let header = read_header(&mut source, &path, index)?;
        check_identity(&path, identity, (&header.exchange_id, header.shard))?;
        let mut findings = Vec::new();
        let pages = source.bytes(0, 2 * PAGE).map_err(JournalError::io("read", &path))?;
        let (first, second) = pages.split_at(PAGE);
        if first != second {
            let detail = "the two copies of its header differ; the other one is whole".to_owned();
            findings.push(Finding { path: path.clone(), detail });
        }
        let chain = header.chain();
        let tally = SegmentTally::new(&header);
        let newest = vec![None; usize::try_from(HEAD_SLOTS).expect("64")];
        let (offset, fault) = (SEGMENT_HEADERS_BYTES, "the segment is full");
        let openings = Vec::new();
        Ok(Self { path, source, header, chain, offset, fault, tally, newest, openings, findings })
    }

    /// Walks to the first block that fails.
    fn blocks(&mut self, progress: &(dyn Fn(u64) + Sync)) -> Result<(), JournalError> {
        let mut told = self.chain.sequence;
        loop {
            let step = scan::step(&mut self.source, &self.header, self.offset, &mut self.chain);
            match step.map_err(JournalError::io("read", &self.path))? {
                Step::Block(block) => {
                    self.tally.add(&block, self.offset);
                    self.offset += u64::from(block.block_bytes);
                    if block.flags.contains(BlockFlags::EPOCH) {
                        let (block, next_sequence, flags) = (block.number, block.first_sequence, block.flags);
                        self.openings.push(Opening { block, next_sequence, flags });
                    }
                    self.newest[usize::try_from(block.number % HEAD_SLOTS).expect("below 64")] = Some(block);
                    if block.number.is_multiple_of(PROGRESS_BLOCKS) {
                        progress(self.chain.sequence - told);
                        told = self.chain.sequence;
                    }
                    continue;
                }
                Step::Fault(fault) => self.fault = fault,
                Step::Full => {}
            }
            progress(self.chain.sequence - told);
            return Ok(());
        }
    }

    /// A segment that has a successor: whole, and sealed.
    fn sealed(mut self, progress: &(dyn Fn(u64) + Sync)) -> Result<Walked, JournalError> {
        self.blocks(progress)?;
        self.check_footer()?;
        Ok(self.finish(true))
    }

    /// A segment that has a successor, by what its footer says.
    fn by_footer(mut self) -> Result<Walked, JournalError> {
        let footer = scan::footer(&mut self.source, &self.header).map_err(JournalError::io("read", &self.path))?;
        let damaged =
            |detail: &str| JournalError::DamagedSegment { path: self.path.clone(), detail: detail.to_owned() };
        let footer = footer.map_err(damaged)?;
        self.chain = footer.chain;
        self.offset = footer.end_offset;
        Ok(self.finish(true))
    }

    /// The footer must be, byte for byte, what the blocks come to, and zeros stand between.
    fn check_footer(&mut self) -> Result<(), JournalError> {
        let mut expected = vec![0; PAGE];
        self.tally.encode_footer(&self.header, &self.chain, self.offset, &mut expected);
        let footer_at = self.header.segment_bytes - FOOTER_BYTES;
        let footer = self.source.bytes(footer_at, PAGE).map_err(JournalError::io("read", &self.path))?;
        if footer != expected {
            let detail = format!("at offset {} {}, and its footer states otherwise", self.offset, self.fault);
            return Err(JournalError::DamagedSegment { path: self.path.clone(), detail });
        }
        let mut at = self.offset;
        while at < footer_at {
            let page = self.source.bytes(at, PAGE).map_err(JournalError::io("read", &self.path))?;
            if !all_zero(page) {
                let detail = format!("the room behind its last block is not zero at offset {at}");
                return Err(JournalError::DamagedSegment { path: self.path.clone(), detail });
            }
            at += PAGE as u64;
        }
        Ok(())
    }

    /// The newest segment: judged as a start would.
    fn last(
        mut self,
        heads: &HeadSet,
        activity: Activity,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Walked, JournalError> {
        self.blocks(progress)?;
        let at = (self.offset, &self.chain, self.fault);
        let judged = judge(&mut self.source, &self.header, at, heads);
        let judgement = judged.map_err(JournalError::io("read", &self.path))?;
        let successor = || self.path.with_file_name(file_name(self.header.shard, self.header.index + 1)).exists();
        let rotated = || activity == Activity::Live && successor();
        if judgement.sealed && (judgement.verdict == Verdict::CleanEnd || rotated()) {
            self.check_footer()?;
            return Ok(self.finish(true));
        }
        let bytes = judgement.rest.dirty_end - self.offset;
        if judgement.verdict == Verdict::Corruption && activity == Activity::Live {
            // The proof may have been written since the block was looked at, and then so was the block.
            let before = self.offset;
            self.source.refresh();
            self.blocks(progress)?;
            if self.offset > before {
                return Ok(self.finish(false));
            }
        }
        let what = match judgement.verdict {
            Verdict::CleanEnd => None,
            Verdict::TornTail | Verdict::ReorderedWrites if activity == Activity::Live => None,
            Verdict::TornTail => Some("that were never acknowledged: a block cut short, or rot in the free room"),
            Verdict::ReorderedWrites => Some("of writes that were in flight together"),
            Verdict::Corruption => {
                return Err(JournalError::Corruption {
                    path: self.path,
                    offset: self.offset,
                    sequence: self.chain.sequence + 1,
                    detail: judgement.detail,
                });
            }
        };
        if let Some(what) = what {
            let detail = format!("at offset {} stand {bytes} bytes {what}; the next start removes them", self.offset);
            self.findings.push(Finding { path: self.path.clone(), detail });
        }
        Ok(self.finish(false))
    }

    fn finish(self, sealed: bool) -> Walked {
        let summary = SegmentSummary {
            index: self.header.index,
            segment_bytes: self.header.segment_bytes,
            used_bytes: self.offset,
            first_block: self.header.first_block,
            blocks: self.chain.block + 1 - self.header.first_block,
            first_sequence: self.header.first_sequence,
            records: self.chain.sequence + 1 - self.header.first_sequence,
            nonce: self.header.nonce,
            software_version: self.header.software_version.clone(),
            sealed,
            openings: self.openings,
        };
        let Self { header, path, chain, newest, findings, .. } = self;
        Walked { summary, header, path, chain, newest, findings }
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
