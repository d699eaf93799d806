//! The embedded chain's file: which transactions came in which block, one record a block, appended and synced.
//!
//! State is not kept; it comes from executing the records again. Each record names the block that it led to, so that a
//! changed EVM, or a record from elsewhere, is noticed at its first block and not as a wrong balance later.
//!
//! | offset | size | header |
//! |---|---|---|
//! | 0 | 8 | `LAKHEVM1` |
//! | 8 | 32 | the genesis block's hash |
//! | 40 | 4 | CRC-32C of the 40 bytes before |
//!
//! | offset | size | record (numbers little-endian) |
//! |---|---|---|
//! | 0 | 4 | bytes of the content |
//! | 4 | 4 | CRC-32C of the content |
//! | 8 | 4 | CRC-32C of the 8 bytes before, so that a length can be believed before it is used |
//! | 12 | 8 | content: the block's time in seconds since the Unix epoch |
//! | 20 | 32 | content: the block's hash |
//! | 52 | … | content: the raw transaction; nothing for an empty block |
//!
//! Invariants: a record that [`BlockLog::append`] said yes to is read again after any crash; what a crash left half written
//! is cut, which loses nothing that anybody was told of; damage with a whole record after it is no crash's doing and is
//! refused; one process at a time has the file.
//!
//! Bounds: a record has at most 52 bytes more than [`MAX_TRANSACTION_BYTES`]; a longer tail is never cut.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufReader, Error, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::{ChainError, MAX_TRANSACTION_BYTES};
use crate::keccak::Hash;

const MAGIC: &[u8; 8] = b"LAKHEVM1";
const HEADER_BYTES: usize = 44;
const FRAME_BYTES: usize = 12;
const FIXED_BYTES: usize = 40;
const MAX_CONTENT_BYTES: usize = FIXED_BYTES + MAX_TRANSACTION_BYTES;

const LOCK_ATTEMPTS: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// One block as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) timestamp_s: u64,
    pub(super) block_hash: Hash,
    /// Empty for a block without a transaction.
    pub(super) raw_transaction: Vec<u8>,
}

/// The file, open for appending.
#[derive(Debug)]
pub(super) struct BlockLog {
    file: File,
    path: PathBuf,
}

/// The records of a file, one after the other, each with the offset at which it begins.
pub(super) struct Records {
    reader: BufReader<File>,
    path: PathBuf,
    offset: u64,
    length: u64,
}

impl BlockLog {
    /// Opens the file in a directory, or begins it; both are made where they are missing.
    pub(super) fn open(directory: &Path, genesis_hash: Hash) -> Result<(Self, Records), ChainError> {
        let path = directory.join("chain.log");
        let storage = |source| ChainError::Storage { path: path.clone(), source };
        std::fs::create_dir_all(directory).map_err(storage)?;
        if !path.try_exists().map_err(storage)? {
            begin(directory, &path, genesis_hash).map_err(storage)?;
        }
        let mut file = OpenOptions::new().read(true).append(true).open(&path).map_err(storage)?;
        lock(&file).map_err(storage)?;
        let length = file.metadata().map_err(storage)?.len();
        check_header(&mut file, &path, genesis_hash)?;
        let reader = BufReader::new(file.try_clone().map_err(storage)?);
        let records = Records { reader, path: path.clone(), offset: HEADER_BYTES as u64, length };
        Ok((Self { file, path }, records))
    }

    /// Appends a record; when this returns, it survives a power cut. After an error nothing more may be appended, for
    /// nobody knows what stands in the file.
    pub(super) fn append(&mut self, record: &Record) -> Result<(), ChainError> {
        let frame = encode(record);
        let written = self.file.write_all(&frame).and_then(|()| self.file.sync_data());
        written.map_err(|source| ChainError::Storage { path: self.path.clone(), source })
    }

    /// A file that takes no record.
    #[cfg(test)]
    pub(super) fn unwritable(path: &Path) -> Self {
        Self { file: File::open(path).unwrap(), path: path.to_owned() }
    }

    /// Cuts what [`Records`] found to be half written, from `offset` on.
    pub(super) fn cut(&mut self, offset: u64) -> Result<(), ChainError> {
        let cut = self.file.set_len(offset).and_then(|()| self.file.sync_all());
        cut.map_err(|source| ChainError::Storage { path: self.path.clone(), source })
    }
}

/// What stands at a place of the file.
pub(super) enum Next {
    /// A record, which begins at this offset.
    Record(u64, Record),
    /// Nothing: the file ends here.
    End,
    /// The beginning of a record that a crash cut off: this many bytes from this offset on.
    Torn { offset: u64, bytes: u64 },
}

impl Records {
    /// The next record, the end, or why there is neither.
    pub(super) fn next(&mut self) -> Result<Next, ChainError> {
        let offset = self.offset;
        let left = self.length - offset;
        if left == 0 {
            return Ok(Next::End);
        }
        // No more than one record is ever read, however long the file.
        let window = usize::try_from(left).unwrap_or(usize::MAX).min(FRAME_BYTES + MAX_CONTENT_BYTES + 1);
        let mut bytes = vec![0; window.min(FRAME_BYTES)];
        self.fill(&mut bytes)?;
        let content_bytes = content_length(&bytes).filter(|length| FRAME_BYTES + length <= window);
        if let Some(content_bytes) = content_bytes {
            bytes.resize(FRAME_BYTES + content_bytes, 0);
            self.fill(&mut bytes[FRAME_BYTES..])?;
            if let Some((record, used)) = decode(&bytes) {
                self.offset += used as u64;
                return Ok(Next::Record(offset, record));
            }
        }
        self.torn_or_damaged(offset, left)
    }

    /// Damaged, not torn, is what has a whole record somewhere after its beginning, or is longer than a record can be.
    fn torn_or_damaged(&mut self, offset: u64, left: u64) -> Result<Next, ChainError> {
        let corrupt = |reason: &str| ChainError::Corrupt { path: self.path.clone(), offset, reason: reason.to_owned() };
        if left > (FRAME_BYTES + MAX_CONTENT_BYTES) as u64 {
            return Err(corrupt("no record, and more behind it than a crash leaves"));
        }
        let storage = |source| ChainError::Storage { path: self.path.clone(), source };
        self.reader.seek(SeekFrom::Start(offset)).map_err(storage)?;
        let mut tail = Vec::new();
        (&mut self.reader).take(left).read_to_end(&mut tail).map_err(storage)?;
        if (1..tail.len()).any(|begin| decode(&tail[begin..]).is_some()) {
            return Err(corrupt("no record, but a whole one behind it"));
        }
        Ok(Next::Torn { offset, bytes: left })
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), ChainError> {
        let read = self.reader.read_exact(bytes);
        read.map_err(|source| ChainError::Storage { path: self.path.clone(), source })
    }
}

/// Takes the file for this process. It waits a moment for an owner that is just ending, and because a process started by
/// any thread of the owner shares the lock until it runs its own program.
fn lock(file: &File) -> std::io::Result<()> {
    for _ in 0..LOCK_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
        }
    }
    Err(Error::new(ErrorKind::ResourceBusy, "another process has it"))
}

/// Writes the header beside the file's place and moves it there, so that no crash leaves half a header.
fn begin(directory: &Path, path: &Path, genesis_hash: Hash) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend(MAGIC);
    header.extend(genesis_hash.0);
    header.extend(crc(&header).to_le_bytes());
    let mut file = File::create(&fresh)?;
    file.write_all(&header)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    File::open(directory)?.sync_all()
}

/// Leaves the file's position behind the header.
fn check_header(file: &mut File, path: &Path, genesis_hash: Hash) -> Result<(), ChainError> {
    let mut header = [0; HEADER_BYTES];
    let corrupt = |reason: &str| ChainError::Corrupt { path: path.to_owned(), offset: 0, reason: reason.to_owned() };
    match file.read_exact(&mut header) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(corrupt("no header")),
        Err(source) => return Err(ChainError::Storage { path: path.to_owned(), source }),
        Ok(()) => {}
    }
    let (content, check) = header.split_at(HEADER_BYTES - 4);
    if content[..8] != *MAGIC || crc(content).to_le_bytes() != check {
        return Err(corrupt("no header"));
    }
    if content[8..] != genesis_hash.0 {
        return Err(ChainError::OtherGenesis { path: path.to_owned() });
    }
    Ok(())
}

fn crc(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

fn encode(record: &Record) -> Vec<u8> {
    let mut content = Vec::with_capacity(FIXED_BYTES + record.raw_transaction.len());
    content.extend(record.timestamp_s.to_le_bytes());
    content.extend(record.block_hash.0);
    content.extend(&record.raw_transaction);
    let length = u32::try_from(content.len()).expect("a transaction is bounded before it gets here");
    let mut frame = Vec::with_capacity(FRAME_BYTES + content.len());
    frame.extend(length.to_le_bytes());
    frame.extend(crc(&content).to_le_bytes());
    frame.extend(crc(&frame).to_le_bytes());
    frame.extend(content);
    frame
}

/// The length in a frame, where it can be believed.
fn content_length(bytes: &[u8]) -> Option<usize> {
    let frame = bytes.get(..FRAME_BYTES)?;
    if u32_at(frame, 8) != crc(&frame[..8]) {
        return None;
    }
    let length = usize::try_from(u32_at(frame, 0)).ok()?;
    (FIXED_BYTES..=MAX_CONTENT_BYTES).contains(&length).then_some(length)
}

/// The record at the beginning of `bytes`, and how many of them it takes.
fn decode(bytes: &[u8]) -> Option<(Record, usize)> {
    let length = content_length(bytes)?;
    let content = bytes.get(FRAME_BYTES..FRAME_BYTES + length)?;
    if u32_at(bytes, 4) != crc(content) {
        return None;
    }
    let (time, rest) = content.split_at(8);
    let (hash, raw_transaction) = rest.split_at(32);
    let record = Record {
        timestamp_s: u64::from_le_bytes(time.try_into().expect("8 bytes")),
        block_hash: Hash(hash.try_into().expect("32 bytes")),
        raw_transaction: raw_transaction.to_vec(),
    };
    Some((record, FRAME_BYTES + length))
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().expect("4 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENESIS: Hash = Hash([7; 32]);

    fn record(number: u8, transaction_bytes: usize) -> Record {
        Record {
            timestamp_s: u64::from(number),
            block_hash: Hash([number; 32]),
            raw_transaction: vec![number; transaction_bytes],
        }
    }

    fn records() -> Vec<Record> {
        vec![record(1, 0), record(2, 100), record(3, MAX_TRANSACTION_BYTES), record(4, 5)]
    }

    fn write(directory: &Path, records: &[Record]) -> PathBuf {
        let (mut log, _) = BlockLog::open(directory, GENESIS).unwrap();
        for record in records {
            log.append(record).unwrap();
        }
        directory.join("chain.log")
    }

    /// All records, and how many bytes of a torn one follow.
    fn read(directory: &Path) -> Result<(Vec<Record>, u64), ChainError> {
        let (mut log, mut records) = BlockLog::open(directory, GENESIS)?;
        let mut found = Vec::new();
        loop {
            match records.next()? {
                Next::Record(_, record) => found.push(record),
                Next::End => return Ok((found, 0)),
                Next::Torn { offset, bytes } => {
                    log.cut(offset)?;
                    return Ok((found, bytes));
                }
            }
        }
    }

    #[test]
    fn what_was_appended_is_read_again_and_more_can_follow() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &records());
        assert_eq!(read(directory.path()).unwrap(), (records(), 0));
        write(directory.path(), &[record(9, 9)]);
        let expected = [records(), vec![record(9, 9)]].concat();
        assert_eq!(read(directory.path()).unwrap(), (expected, 0));
    }

    #[test]
    fn a_file_cut_anywhere_gives_its_whole_records() {
        let directory = tempfile::tempdir().unwrap();
        let kept = [record(1, 0), record(2, 30), record(3, 0)];
        let path = write(directory.path(), &kept);
        let whole = std::fs::read(&path).unwrap();
        let ends: Vec<usize> = vec![HEADER_BYTES, HEADER_BYTES + 52, HEADER_BYTES + 134, HEADER_BYTES + 186];
        assert_eq!(whole.len(), ends[3]);
        for length in HEADER_BYTES..=whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let count = ends.iter().filter(|end| **end <= length).count() - 1;
            let torn = length - ends[count];
            assert_eq!(read(directory.path()).unwrap(), (kept[..count].to_vec(), torn as u64), "{length} bytes");
            assert_eq!(std::fs::metadata(&path).unwrap().len(), ends[count] as u64, "cut to whole records");
        }
        for length in 0..HEADER_BYTES {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(matches!(read(directory.path()), Err(ChainError::Corrupt { offset: 0, .. })), "{length} bytes");
        }
    }

    #[test]
    fn damage_before_the_last_record_is_refused_and_in_it_is_cut() {
        let directory = tempfile::tempdir().unwrap();
        let kept = [record(1, 20), record(2, 30)];
        let path = write(directory.path(), &kept);
        let whole = std::fs::read(&path).unwrap();
        let second = HEADER_BYTES + 72;
        for place in HEADER_BYTES..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x10;
            std::fs::write(&path, damaged).unwrap();
            let result = read(directory.path());
            if place < second {
                let begin = HEADER_BYTES as u64;
                assert!(matches!(result, Err(ChainError::Corrupt { offset, .. }) if offset == begin), "byte {place}");
            } else {
                assert_eq!(result.unwrap(), (kept[..1].to_vec(), 82), "byte {place}");
            }
        }
    }

    #[test]
    fn a_tail_of_zeros_is_cut_unless_it_is_longer_than_a_record() {
        let directory = tempfile::tempdir().unwrap();
        let path = write(directory.path(), &records());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend(vec![0; 4096]);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read(directory.path()).unwrap(), (records(), 4096));
        bytes.extend(vec![0; FRAME_BYTES + MAX_CONTENT_BYTES]);
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(read(directory.path()), Err(ChainError::Corrupt { .. })));
    }

    #[test]
    fn another_genesis_another_owner_and_an_unusable_path_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let path = write(directory.path(), &records());
        assert!(matches!(BlockLog::open(directory.path(), Hash([8; 32])), Err(ChainError::OtherGenesis { .. })));
        let (_held, _) = BlockLog::open(directory.path(), GENESIS).unwrap();
        let Err(ChainError::Storage { source, .. }) = BlockLog::open(directory.path(), GENESIS) else {
            panic!("two owners of one file");
        };
        assert_eq!(source.kind(), ErrorKind::ResourceBusy);
        assert!(matches!(BlockLog::open(&path, GENESIS), Err(ChainError::Storage { .. })), "a file is no directory");
    }
}
