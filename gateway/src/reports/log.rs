//! The report log: every account's private reports on disk, found by account and count, the oldest forgotten first.
//!
//! Reports are appended to one file, the open segment, as they come; for each account the segment knows its first count
//! and where each report stands, so a report is found by arithmetic. A full segment is sealed: that index is written
//! behind the reports, and the next segment begins (`segment` has the layout). When all segments together are larger than the retention, the oldest
//! one is deleted.
//!
//! Nothing here is evidence, and nothing is synced: all of it can be made again from the journal. A start throws away
//! what is damaged, the last command (of which a part may be missing) and what is ahead of the journal, and says from
//! which command on it wants to be told again ([`ReportLog::wants_behind`]). A start that replays less than that leaves a
//! gap.
//!
//! Invariants: an account's reports are returned without a gap or not at all: where one is missing, because it was
//! forgotten or could not be written, everything before it is gone, too ([`Missing`]). A report is returned exactly as it
//! was appended. Bounds: retention and segment size by [`ReportLogOptions`]; the open segment's index is about 4 bytes a
//! report and 24 an account that it has a report of; a page as long as its caller says.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use lakh_engine::ids::{AccountId, Sequence};

use super::bytes;
use super::segment::{Extent, FRAME, OpenSegment, Place, SealedSegment, file_name, number_of, seal_frame, unframe};
use super::{AccountReport, AssetBalance};

/// Where the log is and how much it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportLogOptions {
    /// Its folder; made when missing.
    pub directory: PathBuf,
    /// Whose reports: a log of another exchange is thrown away.
    pub exchange_id: [u8; 16],
    /// Bytes of one segment: 64 KiB ..= 1 GiB.
    pub segment_bytes: u64,
    /// Bytes of all segments together; at least two segments are kept.
    pub retention_bytes: u64,
}

/// One encoded report in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkEntry {
    pub(super) account: AccountId,
    pub(super) report_sequence: u64,
    /// The command that caused it.
    pub(super) sequence: Sequence,
    /// Where in the chunk its bytes end.
    pub(super) end: u32,
}

/// The reports of whole commands, one behind the other, framed and encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportChunk {
    pub(super) bytes: Vec<u8>,
    pub(super) entries: Vec<ChunkEntry>,
}

impl ReportChunk {
    /// Appends a report; those of one command stand in one chunk, and an account's last has its position.
    pub fn push(&mut self, report: &AccountReport<'_>) {
        let mut encoded = Vec::with_capacity(192);
        bytes::encode(report, &mut encoded);
        let changed: Vec<_> = report.position.iter().map(|one| (report.account, *one)).collect();
        self.push_encoded((report.account, report.report_sequence, report.stamp.sequence), &encoded, &changed);
    }

    /// Appends a report that is encoded but for its position.
    pub(super) fn push_encoded(
        &mut self,
        (account, report_sequence, sequence): (AccountId, u64, Sequence),
        report: &[u8],
        position: &[(AccountId, AssetBalance)],
    ) {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(&[0; FRAME]);
        self.bytes.extend_from_slice(report);
        bytes::encode_position(position.iter().map(|(_, balance)| balance), &mut self.bytes);
        seal_frame(&mut self.bytes[begin..]);
        let end = u32::try_from(self.bytes.len()).expect("a chunk is far smaller than 4 GiB");
        self.entries.push(ChunkEntry { account, report_sequence, sequence, end });
    }

    /// Forgets its reports and keeps its room.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// Reports that it has.
    pub const fn report_count(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Bytes that it has.
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// True where it has no report.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Some reports of one account, oldest first, without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportPage {
    /// The reports.
    pub reports: Vec<AccountReport<'static>>,
    /// True where the page ends with the last report that was asked for.
    pub is_last: bool,
}

/// Reports that were asked for are not kept any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The lowest count behind which everything is here.
    pub floor: u64,
}

/// See the module.
#[derive(Debug)]
pub struct ReportLog {
    options: ReportLogOptions,
    sealed: Vec<SealedSegment>,
    open: OpenSegment,
    /// Reports of this command and before it are here already.
    have_through: Sequence,
}

impl ReportLog {
    /// Opens the log, or begins one. `journal_end` is the last command that the journal has.
    ///
    /// # Errors
    /// What the operating system says of folder and files.
    pub fn open(options: ReportLogOptions, journal_end: Sequence) -> io::Result<Self> {
        std::fs::create_dir_all(&options.directory)?;
        let mut numbers = segment_numbers(&options.directory)?;
        let mut sealed = Vec::new();
        let mut open = None;
        while !numbers.is_empty() {
            let number = numbers.remove(0);
            let path = options.directory.join(file_name(number));
            if let Some(segment) = SealedSegment::open(&path, number, &options.exchange_id)?
                && segment.last_sequence() < journal_end
                && !numbers.is_empty()
                && follows(&sealed, number)
            {
                sealed.push(segment);
                continue;
            }
            // The segment that was open, or the first one that cannot be used: nothing behind it can be, either.
            if follows(&sealed, number) {
                open = OpenSegment::recover(&path, number, &options.exchange_id, journal_end)?;
            }
            if open.is_none() {
                numbers.insert(0, number);
            }
            break;
        }
        for number in numbers {
            std::fs::remove_file(options.directory.join(file_name(number)))?;
        }
        let next = sealed.last().map_or(1, |segment: &SealedSegment| segment.number() + 1);
        let open = match open {
            Some(open) => open,
            None => OpenSegment::create(&options.directory.join(file_name(next)), next, &options.exchange_id)?,
        };
        let before = sealed.last().map_or(Sequence(0), SealedSegment::last_sequence);
        let have_through = open.last_sequence().unwrap_or(before);
        Ok(Self { options, sealed, open, have_through })
    }

    /// Reports of commands behind this one are wanted; those of it and before it are here already.
    pub const fn wants_behind(&self) -> Sequence {
        self.have_through
    }

    /// Appends reports, and forgets the oldest segment where that is due.
    ///
    /// # Errors
    /// What the operating system says; then nothing of the chunk counts as written, and a later one leaves a gap.
    pub fn append(&mut self, chunk: &ReportChunk) -> io::Result<()> {
        self.open.append(chunk)?;
        if self.open.length() >= self.options.segment_bytes {
            self.rotate()?;
        }
        Ok(())
    }

    /// The account's reports behind `from` up to `through`, at most `limit` of them.
    ///
    /// # Errors
    /// [`Missing`] where one of them is not here any more; what the operating system says of a file.
    pub fn page(
        &self,
        account: AccountId,
        (from, through): (u64, u64),
        limit: usize,
    ) -> io::Result<Result<ReportPage, Missing>> {
        let mut reports = Vec::new();
        if from >= through {
            return Ok(Ok(ReportPage { reports, is_last: true }));
        }
        let last = through.min(from.saturating_add(limit as u64));
        let extents = match self.extents(account, (from, through))? {
            Ok(extents) => extents,
            Err(missing) => return Ok(Err(missing)),
        };
        let mut buffer = Vec::new();
        for (segment, extent) in extents.iter().rev() {
            let (first, end) = (extent.first.max(from + 1), extent.end().min(last + 1));
            for (report_sequence, place) in (first..).zip(segment.places(account, extent, (first, end))?) {
                place.read(segment.file(), &mut buffer)?;
                match unframe(&buffer).and_then(bytes::decode) {
                    Some(report) if report.account == account && report.report_sequence == report_sequence => {
                        reports.push(report);
                    }
                    // Changed on the disk: what is before it is as good as gone.
                    _ => return Ok(Err(Missing { floor: report_sequence })),
                }
            }
        }
        Ok(Ok(ReportPage { reports, is_last: last == through }))
    }

    /// Which segments have the reports, newest first, as far back as they are needed. However far that is, a segment
    /// costs one binary search here and nothing else.
    fn extents(&self, account: AccountId, (from, through): (u64, u64)) -> io::Result<Result<Extents<'_>, Missing>> {
        let mut extents = Vec::new();
        // The lowest count that is reached without a gap; what is not written yet is missing as well.
        let mut reached = through + 1;
        let segments = std::iter::once(Segment::Open(&self.open)).chain(self.sealed.iter().rev().map(Segment::Sealed));
        for segment in segments {
            if reached <= from + 1 {
                break;
            }
            let Some(extent) = segment.extent(account)?.filter(|extent| extent.first < reached) else { continue };
            if extent.end() < reached {
                break;
            }
            extents.push((segment, extent.below(reached)));
            reached = extent.first;
        }
        if reached > from + 1 { Ok(Err(Missing { floor: reached - 1 })) } else { Ok(Ok(extents)) }
    }

    fn rotate(&mut self) -> io::Result<()> {
        let number = self.open.number() + 1;
        let next =
            OpenSegment::create(&self.options.directory.join(file_name(number)), number, &self.options.exchange_id)?;
        let full = std::mem::replace(&mut self.open, next);
        self.sealed.push(full.seal()?);
        let total = |sealed: &[SealedSegment]| sealed.iter().map(SealedSegment::length).sum::<u64>();
        while self.sealed.len() > 1 && total(&self.sealed) + self.options.segment_bytes > self.options.retention_bytes {
            let oldest = self.sealed.remove(0);
            std::fs::remove_file(self.options.directory.join(file_name(oldest.number())))?;
        }
        Ok(())
    }
}

/// Segments with the part of one account's reports that each has.
type Extents<'a> = Vec<(Segment<'a>, Extent)>;

/// Either kind of segment.
#[derive(Clone, Copy)]
enum Segment<'a> {
    Open(&'a OpenSegment),
    Sealed(&'a SealedSegment),
}

impl<'a> Segment<'a> {
    /// Which of the account's reports it has; `None` where it has none.
    fn extent(self, account: AccountId) -> io::Result<Option<Extent>> {
        match self {
            Self::Open(segment) => Ok(segment.extent(account)),
            Self::Sealed(segment) => segment.extent(account),
        }
    }

    /// Where the reports from one count to before another one stand; none where the range is empty.
    fn places(self, account: AccountId, extent: &Extent, (first, end): (u64, u64)) -> io::Result<Vec<Place>> {
        if first >= end {
            return Ok(Vec::new());
        }
        match self {
            Self::Open(segment) => Ok(segment.places(account, (first, end))),
            Self::Sealed(segment) => segment.places(extent, (first, end)),
        }
    }

    const fn file(self) -> &'a File {
        match self {
            Self::Open(segment) => segment.file(),
            Self::Sealed(segment) => segment.file(),
        }
    }
}

fn follows(sealed: &[SealedSegment], number: u64) -> bool {
    sealed.last().is_none_or(|last| last.number() + 1 == number)
}

fn segment_numbers(directory: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        numbers.extend(entry?.file_name().to_str().and_then(number_of));
    }
    numbers.sort_unstable();
    Ok(numbers)
}
