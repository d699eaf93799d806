//! One file of the report log.
//!
//! | part | bytes | meaning |
//! |---|---|---|
//! | header | 32 | magic `LKREPORT`, format u8, 7 zeroes, exchange id (first 8 bytes), number u64 |
//! | blocks | 24 + n each | magic u32, n u32, last journal sequence u64, reports u32, CRC-32C of the 20 bytes before; reports |
//! | report | 6 + n | n u16, CRC-32C u32, the report as `bytes` encodes it |
//! | accounts | 20 each | of a sealed segment: account u32, first count u64, reports u32, first place u32; by account |
//! | places | 6 each | where a report's bytes begin u32, how many u16 |
//! | trailer | 40 | accounts u32, places u32, where the accounts begin u64, last journal sequence u64, CRC of accounts and places u32, CRC of the 28 bytes before u32, magic `SEALED\0\0` |
//!
//! All numbers are little-endian. A block is the reports of whole commands, written at once: what a crash leaves of one
//! is found by its checksums and cut off. Fixed sizes, so that an account is found by binary search and a report by
//! arithmetic, without the file in memory.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use lakh_engine::ids::{AccountId, Sequence};

use super::bytes::{FORMAT, MAX_REPORT};
use super::log::{ChunkEntry, ReportChunk};

const MAGIC: [u8; 8] = *b"LKREPORT";
const SEALED: [u8; 8] = *b"SEALED\0\0";
const BLOCK_MAGIC: u32 = u32::from_le_bytes(*b"LKRB");
const HEADER: usize = 32;
const BLOCK_HEADER: usize = 24;
/// In front of each report: its length and its checksum.
pub(super) const FRAME: usize = 6;
const ACCOUNT: usize = 20;
const PLACE: usize = 6;
const TRAILER: usize = 40;

/// A segment's name in its folder.
pub(super) fn file_name(number: u64) -> String {
    format!("reports-{number:010}.lkr")
}

/// The number of the segment with this name.
pub(super) fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix("reports-")?.strip_suffix(".lkr")?.parse().ok()
}

/// Writes length and checksum into the first bytes of a frame, behind which the report stands.
pub(super) fn seal_frame(framed: &mut [u8]) {
    let (head, report) = framed.split_at_mut(FRAME);
    let length = u16::try_from(report.len()).expect("a report has at most MAX_REPORT bytes");
    head[..2].copy_from_slice(&length.to_le_bytes());
    head[2..].copy_from_slice(&checksum(report).to_le_bytes());
}

/// The report in a frame; `None` where it is not what was written.
pub(super) fn unframe(framed: &[u8]) -> Option<&[u8]> {
    let (length, rest) = framed.split_first_chunk::<2>()?;
    let (crc, report) = rest.split_first_chunk::<4>()?;
    let whole = usize::from(u16::from_le_bytes(*length)) == report.len();
    (whole && checksum(report) == u32::from_le_bytes(*crc)).then_some(report)
}

/// Where a report stands in its file, its frame included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    begin: u32,
    length: u16,
}

impl Place {
    /// Reads the framed report.
    pub(super) fn read(self, file: &File, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.resize(usize::from(self.length), 0);
        file.read_exact_at(buffer, u64::from(self.begin))
    }
}

/// Which reports of one account a segment has: counts without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// The first count.
    pub(super) first: u64,
    count: u64,
    /// For a sealed segment: where in its table the places begin.
    first_place: u32,
}

impl Extent {
    /// Without the counts from `end` on, which is above the first one.
    pub(super) fn below(self, end: u64) -> Self {
        Self { count: self.count.min(end - self.first), ..self }
    }

    /// The count behind the last one.
    pub(super) const fn end(&self) -> u64 {
        self.first + self.count
    }
}

/// One account's reports in the open segment: counts without a gap.
#[derive(Debug, Default)]
struct AccountIndex {
    first: u64,
    places: Vec<Place>,
}

impl AccountIndex {
    /// Notes where a report stands. One that does not follow on the account's last begins anew: what is before a gap can
    /// never be part of an answer.
    fn note(&mut self, report_sequence: u64, begin: u64, length: usize) {
        let begin = u32::try_from(begin).expect("a segment is smaller than 4 GiB");
        let place = Place { begin, length: u16::try_from(length).expect("a frame is smaller than 64 KiB") };
        if self.first + self.places.len() as u64 != report_sequence {
            *self = Self { first: report_sequence, places: Vec::new() };
        }
        self.places.push(place);
    }
}

/// The segment that is written.
#[derive(Debug)]
pub(super) struct OpenSegment {
    file: File,
    number: u64,
    length: u64,
    last_sequence: Option<Sequence>,
    accounts: BTreeMap<AccountId, AccountIndex>,
}

impl OpenSegment {
    /// A new segment, empty. What stood at its place is gone.
    pub(super) fn create(path: &Path, number: u64, exchange_id: &[u8; 16]) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all_at(&header(number, exchange_id), 0)?;
        let (length, accounts) = (HEADER as u64, BTreeMap::new());
        Ok(Self { file, number, length, last_sequence: None, accounts })
    }

    /// The segment that was open when its writer ended, cut off behind the last whole block that the journal has too.
    /// `None` for a file that is no such segment.
    pub(super) fn recover(
        path: &Path,
        number: u64,
        exchange_id: &[u8; 16],
        journal_end: Sequence,
    ) -> io::Result<Option<Self>> {
        let bytes = std::fs::read(path)?;
        if bytes.get(..HEADER) != Some(header(number, exchange_id).as_slice()) {
            return Ok(None);
        }
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let (length, accounts) = (HEADER as u64, BTreeMap::new());
        let mut segment = Self { file, number, length, last_sequence: None, accounts };
        let mut rest = &bytes[HEADER..];
        while let Some((block, sequence)) = read_block(rest).filter(|(_, sequence)| *sequence <= journal_end) {
            for (entry, end) in reports_of(block) {
                let begin = segment.length + (BLOCK_HEADER + end) as u64 - entry.length as u64;
                let index = segment.accounts.entry(entry.account).or_default();
                index.note(entry.report_sequence, begin, entry.length);
            }
            segment.length += (BLOCK_HEADER + block.len()) as u64;
            segment.last_sequence = Some(sequence);
            rest = &rest[BLOCK_HEADER + block.len()..];
        }
        segment.file.set_len(segment.length)?;
        Ok(Some(segment))
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// The last command whose reports are here.
    pub(super) const fn last_sequence(&self) -> Option<Sequence> {
        self.last_sequence
    }

    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    /// Appends the reports as one block.
    pub(super) fn append(&mut self, chunk: &ReportChunk) -> io::Result<()> {
        let Some(last) = chunk.entries.last() else { return Ok(()) };
        let length = u32::try_from(chunk.bytes.len()).expect("a chunk is far smaller than 4 GiB");
        let count = u32::try_from(chunk.entries.len()).expect("a chunk is far smaller than 4 GiB");
        let mut head = Vec::with_capacity(BLOCK_HEADER);
        head.extend_from_slice(&BLOCK_MAGIC.to_le_bytes());
        head.extend_from_slice(&length.to_le_bytes());
        head.extend_from_slice(&last.sequence.0.to_le_bytes());
        head.extend_from_slice(&count.to_le_bytes());
        head.extend_from_slice(&checksum(&head).to_le_bytes());
        self.file.write_all_at(&head, self.length)?;
        self.file.write_all_at(&chunk.bytes, self.length + BLOCK_HEADER as u64)?;
        let mut begin = self.length + BLOCK_HEADER as u64;
        for of_account in chunk.entries.chunk_by(|left, right| left.account == right.account) {
            let index = self.accounts.entry(of_account[0].account).or_default();
            for ChunkEntry { report_sequence, end, .. } in of_account {
                let end = self.length + (BLOCK_HEADER as u64) + u64::from(*end);
                let length = usize::try_from(end - begin).expect("a frame is short");
                index.note(*report_sequence, begin, length);
                begin = end;
            }
        }
        self.length += (BLOCK_HEADER + chunk.bytes.len()) as u64;
        self.last_sequence = Some(last.sequence);
        Ok(())
    }

    /// Which of the account's reports are here.
    pub(super) fn extent(&self, account: AccountId) -> Option<Extent> {
        let AccountIndex { first, places } = self.accounts.get(&account)?;
        Some(Extent { first: *first, count: places.len() as u64, first_place: 0 })
    }

    /// Where the account's reports from one count to before another one stand; both within its extent.
    pub(super) fn places(&self, account: AccountId, (first, end): (u64, u64)) -> Vec<Place> {
        let Some(index) = self.accounts.get(&account) else { return Vec::new() };
        let at = |count: u64| usize::try_from(count - index.first).expect("an index fits memory");
        index.places[at(first)..at(end)].to_vec()
    }

    /// Writes the index behind the reports: the segment is complete.
    pub(super) fn seal(self) -> io::Result<SealedSegment> {
        let mut index = Vec::with_capacity(self.accounts.len() * ACCOUNT);
        let mut places = Vec::new();
        for (account, of_account) in &self.accounts {
            let first_place = u32::try_from(places.len() / PLACE).expect("a segment is smaller than 4 GiB");
            let count = u32::try_from(of_account.places.len()).expect("a segment is smaller than 4 GiB");
            index.extend_from_slice(&account.0.to_le_bytes());
            index.extend_from_slice(&of_account.first.to_le_bytes());
            index.extend_from_slice(&count.to_le_bytes());
            index.extend_from_slice(&first_place.to_le_bytes());
            for place in &of_account.places {
                places.extend_from_slice(&place.begin.to_le_bytes());
                places.extend_from_slice(&place.length.to_le_bytes());
            }
        }
        let place_count = u32::try_from(places.len() / PLACE).expect("a segment is smaller than 4 GiB");
        index.extend_from_slice(&places);
        let last_sequence = self.last_sequence.unwrap_or(Sequence(0));
        let accounts = u32::try_from(self.accounts.len()).expect("accounts are u32");
        let mut trailer = Vec::with_capacity(TRAILER);
        trailer.extend_from_slice(&accounts.to_le_bytes());
        trailer.extend_from_slice(&place_count.to_le_bytes());
        trailer.extend_from_slice(&self.length.to_le_bytes());
        trailer.extend_from_slice(&last_sequence.0.to_le_bytes());
        trailer.extend_from_slice(&checksum(&index).to_le_bytes());
        trailer.extend_from_slice(&checksum(&trailer).to_le_bytes());
        trailer.extend_from_slice(&SEALED);
        index.extend_from_slice(&trailer);
        self.file.write_all_at(&index, self.length)?;
        let (number, accounts_at) = (self.number, self.length);
        let length = self.length + index.len() as u64;
        Ok(SealedSegment { file: self.file, number, length, last_sequence, accounts, accounts_at })
    }
}

/// A segment that is complete.
#[derive(Debug)]
pub(super) struct SealedSegment {
    file: File,
    number: u64,
    length: u64,
    last_sequence: Sequence,
    accounts: u32,
    accounts_at: u64,
}

impl SealedSegment {
    /// Opens a segment; `None` for a file that is none, or whose index is damaged.
    pub(super) fn open(path: &Path, number: u64, exchange_id: &[u8; 16]) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        if length < (HEADER + TRAILER) as u64 {
            return Ok(None);
        }
        let mut head = [0; HEADER];
        file.read_exact_at(&mut head, 0)?;
        let mut trailer = [0; TRAILER];
        file.read_exact_at(&mut trailer, length - TRAILER as u64)?;
        let whole = head == header(number, exchange_id)
            && trailer[32..] == SEALED
            && checksum(&trailer[..28]) == u32_at(&trailer, 28);
        if !whole {
            return Ok(None);
        }
        let (accounts, places) = (u32_at(&trailer, 0), u32_at(&trailer, 4));
        let accounts_at = u64_at(&trailer, 8);
        let last_sequence = Sequence(u64_at(&trailer, 16));
        let index_bytes = u64::from(accounts) * ACCOUNT as u64 + u64::from(places) * PLACE as u64;
        if accounts_at.checked_add(index_bytes + TRAILER as u64) != Some(length) {
            return Ok(None);
        }
        let mut index = vec![0; usize::try_from(index_bytes).map_err(io::Error::other)?];
        file.read_exact_at(&mut index, accounts_at)?;
        let intact = checksum(&index) == u32_at(&trailer, 24);
        Ok(intact.then_some(Self { file, number, length, last_sequence, accounts, accounts_at }))
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    pub(super) const fn last_sequence(&self) -> Sequence {
        self.last_sequence
    }

    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    /// Which of the account's reports are here; `None` where none are.
    pub(super) fn extent(&self, account: AccountId) -> io::Result<Option<Extent>> {
        let (mut low, mut high) = (0, self.accounts);
        while low < high {
            let middle = low + (high - low) / 2;
            let mut entry = [0; ACCOUNT];
            self.file.read_exact_at(&mut entry, self.accounts_at + u64::from(middle) * ACCOUNT as u64)?;
            match AccountId(u32_at(&entry, 0)).cmp(&account) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    let (first, count) = (u64_at(&entry, 4), u64::from(u32_at(&entry, 12)));
                    return Ok(Some(Extent { first, count, first_place: u32_at(&entry, 16) }));
                }
            }
        }
        Ok(None)
    }

    /// Where the reports from one count to before another one stand; both within `extent`.
    pub(super) fn places(&self, extent: &Extent, (first, end): (u64, u64)) -> io::Result<Vec<Place>> {
        let count = usize::try_from(end - first).map_err(io::Error::other)?;
        let mut bytes = vec![0; count * PLACE];
        let places_at = self.accounts_at + u64::from(self.accounts) * ACCOUNT as u64;
        let skipped = u64::from(extent.first_place) + (first - extent.first);
        self.file.read_exact_at(&mut bytes, places_at + skipped * PLACE as u64)?;
        let place = |bytes: &[u8; PLACE]| {
            let [a, b, c, d, e, f] = *bytes;
            Place { begin: u32::from_le_bytes([a, b, c, d]), length: u16::from_le_bytes([e, f]) }
        };
        Ok(bytes.as_chunks::<PLACE>().0.iter().map(place).collect())
    }
}

fn header(number: u64, exchange_id: &[u8; 16]) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&MAGIC);
    header[8] = FORMAT;
    header[16..24].copy_from_slice(&exchange_id[..8]);
    header[24..].copy_from_slice(&number.to_le_bytes());
    header
}

/// The first block's reports and last command; `None` where it is not whole.
fn read_block(bytes: &[u8]) -> Option<(&[u8], Sequence)> {
    let (head, rest) = bytes.split_first_chunk::<BLOCK_HEADER>()?;
    let magic = u32_at(head, 0) == BLOCK_MAGIC;
    if !magic || checksum(&head[..20]) != u32_at(head, 20) {
        return None;
    }
    let (block, _) = rest.split_at_checked(usize::try_from(u32_at(head, 4)).ok()?)?;
    let sequence = Sequence(u64_at(head, 8));
    let count = reports_of(block).count();
    (count == usize::try_from(u32_at(head, 16)).ok()?).then_some((block, sequence))
}

/// A report of a block, found by its frame.
struct Framed {
    account: AccountId,
    report_sequence: u64,
    length: usize,
}

/// The block's whole reports, each with where it ends in the block; stops at the first that is damaged.
fn reports_of(block: &[u8]) -> impl Iterator<Item = (Framed, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = block.get(at..)?;
        let length = FRAME + usize::from(u16::from_le_bytes(*rest.first_chunk::<2>()?));
        let report = unframe(rest.get(..length)?).filter(|report| report.len() <= MAX_REPORT)?;
        at += length;
        let account = AccountId(u32::from_le_bytes(*report.first_chunk()?));
        let report_sequence = u64::from_le_bytes(*report.get(4..)?.first_chunk()?);
        Some((Framed { account, report_sequence, length }, at))
    })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("the caller's array reaches further"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("the caller's array reaches further"))
}

fn checksum(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}
