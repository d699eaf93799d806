//! The file `heads`: a ring of copies of block headers, each written after its block was on stable storage.
//!
//! It tells a torn tail from rot. A damaged last block without a head was in flight and never acknowledged; with a
//! head it had been written, so it was damaged afterwards and recovery refuses. Writes to it are never in parallel
//! with the block's own write. At the level `sync` an acknowledgement waits for the head, or for the next block, which
//! proves the same; which of the two is written is decided in [`crate::block_log`].
//!
//! The file is 65 pages. Page 0: magic `LKHHEAD\0`, u16 major, u16 minor, u32 CRC at 12 (as in a segment header),
//! exchange id at 16, u16 shard at 32. Page 1 + number % 64:
//!
//! | offset | size | type | meaning |
//! |---:|---:|---|---|
//! | 0 | 4 | bytes | magic `LKH1` |
//! | 4 | 4 | u32 | CRC-32C of bytes 0..4 and 8..4,096 |
//! | 8 | 8 | bytes | zeros |
//! | 16 | 256 | block header | the copy |
//! | 272 | 3,824 | bytes | zeros |
//!
//! A slot that fails its CRC was torn by a crash (of a block that was not yet acknowledged) and counts as empty.

use std::io;
use std::path::{Path, PathBuf};

use crate::JournalError;
use crate::block::{BLOCK_HEADER_BYTES, BlockHeader};
use crate::bytes::{AlignedBuffer, PAGE, all_zero, array_at, put_bytes, put_u16, put_u32, u16_at, u32_at};
use crate::segment::{FORMAT_MAJOR, is_known, page_crc};
use crate::storage::{Access, Storage, StorageFile, read_exactly, whole};

/// Count of slots: how many blocks back a head can vouch for.
pub(crate) const HEAD_SLOTS: u64 = 64;

const FILE_MAGIC: [u8; 8] = *b"LKHHEAD\0";
const SLOT_MAGIC: [u8; 4] = *b"LKH1";
const FILE_CRC_AT: usize = 12;
const SLOT_CRC_AT: usize = 4;
const COPY_AT: usize = 16;
const FILE_BYTES: u64 = (1 + HEAD_SLOTS) * PAGE as u64;

/// Path of the file in a journal's directory.
pub(crate) fn path_in(directory: &Path) -> PathBuf {
    directory.join("heads")
}

fn slot_offset(number: u64) -> u64 {
    (1 + number % HEAD_SLOTS) * PAGE as u64
}

/// The heads that are whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeadSet {
    heads: Vec<BlockHeader>,
}

impl HeadSet {
    /// Reads the file; `Ok(None)` if there is none.
    pub(crate) fn load<S: Storage>(
        storage: &S,
        directory: &Path,
        identity: (&[u8; 16], u16),
    ) -> Result<Option<Self>, JournalError> {
        Ok(slots(storage, directory, identity)?.as_deref().map(Self::of))
    }

    /// The heads among `slots`.
    pub(crate) fn of(slots: &[Slot]) -> Self {
        let copies = slots.iter().filter_map(|slot| if let Slot::Copy(head) = slot { Some(*head) } else { None });
        Self { heads: copies.collect() }
    }

    /// Whether some block of this number or a later one had been written.
    pub(crate) fn reaches(&self, number: u64) -> bool {
        self.heads.iter().any(|head| head.number >= number)
    }

    /// Whether the copy of block `number`, if there is one, has another hash.
    pub(crate) fn contradicts(&self, number: u64, hash: &[u8; 32]) -> bool {
        self.heads.iter().any(|head| head.number == number && head.hash != *hash)
    }

    /// Whether there is no head at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }
}

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there are 64 of them, and most are copies")]
pub(crate) enum Slot {
    /// Zeros.
    Empty,
    /// Neither zeros nor a head that belongs here.
    Damaged,
    /// A head.
    Copy(BlockHeader),
}

/// Reads every slot of the file; `Ok(None)` if there is no file.
pub(crate) fn slots<S: Storage>(
    storage: &S,
    directory: &Path,
    identity: (&[u8; 16], u16),
) -> Result<Option<Vec<Slot>>, JournalError> {
    let Some(bytes) = read_whole(storage, directory)? else { return Ok(None) };
    let (first, rest) = bytes.split_at(PAGE);
    check_file_page(first, &path_in(directory), identity)?;
    Ok(Some((0..HEAD_SLOTS).zip(rest.chunks(PAGE)).map(|(slot, page)| decode_slot(page, slot)).collect()))
}

/// Whether no block was ever written under this file, whoever's it is.
pub(crate) fn are_blank<S: Storage>(storage: &S, directory: &Path) -> Result<bool, JournalError> {
    Ok(read_whole(storage, directory)?.is_none_or(|bytes| all_zero(&bytes[PAGE..])))
}

fn read_whole<S: Storage>(storage: &S, directory: &Path) -> Result<Option<Vec<u8>>, JournalError> {
    let path = path_in(directory);
    let file = match storage.open(&path, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(JournalError::io("open", &path)(error)),
    };
    let mut bytes = vec![0; usize::try_from(FILE_BYTES).expect("260 KiB")];
    read_exactly(&file, &mut bytes, 0).map_err(JournalError::io("read", &path))?;
    Ok(Some(bytes))
}

fn decode_slot(page: &[u8], slot: u64) -> Slot {
    if all_zero(page) {
        return Slot::Empty;
    }
    if page[..4] != SLOT_MAGIC || page_crc(page, SLOT_CRC_AT) != u32_at(page, SLOT_CRC_AT) {
        return Slot::Damaged;
    }
    match BlockHeader::decode(&page[COPY_AT..COPY_AT + BLOCK_HEADER_BYTES]) {
        Ok(header) if header.number % HEAD_SLOTS == slot => Slot::Copy(header),
        _ => Slot::Damaged,
    }
}

fn check_file_page(page: &[u8], path: &Path, identity: (&[u8; 16], u16)) -> Result<(), JournalError> {
    let damaged = |detail: &str| JournalError::DamagedSegment { path: path.to_path_buf(), detail: detail.to_owned() };
    if page[..8] != FILE_MAGIC {
        return Err(damaged("the magic of the heads file is wrong"));
    }
    let found = u16_at(page, 8);
    if !is_known(found) {
        return Err(JournalError::format(path, found));
    }
    if page_crc(page, FILE_CRC_AT) != u32_at(page, FILE_CRC_AT) {
        return Err(damaged("the first page of the heads file fails its CRC"));
    }
    check_identity(path, identity, (&array_at(page, 16), u16_at(page, 32)))
}

/// Refuses files of another exchange or shard.
pub(crate) fn check_identity(
    path: &Path,
    expected: (&[u8; 16], u16),
    found: (&[u8; 16], u16),
) -> Result<(), JournalError> {
    if expected == found {
        return Ok(());
    }
    let text = |(exchange_id, shard): (&[u8; 16], u16)| {
        let digits: String = exchange_id.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{digits}/{shard}")
    };
    Err(JournalError::ForeignExchange { path: path.to_path_buf(), expected: text(expected), found: text(found) })
}

/// The file, open for writing.
pub(crate) struct HeadFile<F> {
    file: F,
    path: PathBuf,
    page: AlignedBuffer,
}

impl<F: StorageFile> HeadFile<F> {
    /// Makes a new, empty file durably.
    pub(crate) fn create<S: Storage<File = F>>(
        storage: &S,
        directory: &Path,
        identity: (&[u8; 16], u16),
    ) -> Result<(), JournalError> {
        let path = path_in(directory);
        let temporary = directory.join("heads.tmp");
        let file = storage.create(&temporary).map_err(JournalError::io("create", &temporary))?;
        let mut page = AlignedBuffer::new(PAGE);
        let bytes = page.as_mut_slice();
        put_bytes(bytes, 0, &FILE_MAGIC);
        put_u16(bytes, 8, FORMAT_MAJOR);
        put_bytes(bytes, 16, identity.0);
        put_u16(bytes, 32, identity.1);
        let crc = page_crc(bytes, FILE_CRC_AT);
        put_u32(bytes, FILE_CRC_AT, crc);
        let zeros = AlignedBuffer::new(PAGE);
        file.allocate(FILE_BYTES).map_err(JournalError::io("allocate", &temporary))?;
        for slot in 0..HEAD_SLOTS {
            let written = file.write_at(zeros.as_slice(), slot_offset(slot));
            written.and_then(|count| whole(count, PAGE)).map_err(JournalError::io("write", &temporary))?;
        }
        let written = file.write_at(page.as_slice(), 0);
        written.and_then(|count| whole(count, PAGE)).map_err(JournalError::io("write", &temporary))?;
        file.sync().map_err(JournalError::io("sync", &temporary))?;
        storage.rename(&temporary, &path).map_err(JournalError::io("rename", &temporary))?;
        storage.sync_directory(directory).map_err(JournalError::io("sync", directory))
    }

    /// Opens the existing file for writing.
    pub(crate) fn open<S: Storage<File = F>>(storage: &S, directory: &Path) -> Result<Self, JournalError> {
        let path = path_in(directory);
        let file = storage.open(&path, Access::Direct).map_err(JournalError::io("open", &path))?;
        Ok(Self { file, path, page: AlignedBuffer::new(PAGE) })
    }

    /// Says durably that the block of `header` is on stable storage.
    pub(crate) fn write(&mut self, header: &BlockHeader) -> Result<(), JournalError> {
        let page = self.page.as_mut_slice();
        put_bytes(page, 0, &SLOT_MAGIC);
        header.encode(&mut page[COPY_AT..COPY_AT + BLOCK_HEADER_BYTES]);
        let crc = page_crc(page, SLOT_CRC_AT);
        put_u32(page, SLOT_CRC_AT, crc);
        let written = self.file.write_durable(self.page.as_slice(), slot_offset(header.number));
        written.and_then(|count| whole(count, PAGE)).map_err(JournalError::io("write", &self.path))
    }

    /// Empties the slots of `set` that reach `number`, durably, before the operator's cut.
    pub(crate) fn forget_from(&mut self, set: &HeadSet, number: u64) -> Result<(), JournalError> {
        let zeros = AlignedBuffer::new(PAGE);
        for head in set.heads.iter().filter(|head| head.number >= number) {
            let written = self.file.write_durable(zeros.as_slice(), slot_offset(head.number));
            written.and_then(|count| whole(count, PAGE)).map_err(JournalError::io("write", &self.path))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::ChainTail;
    use crate::block::tests::sample;
    use crate::storage::RealStorage;

    #[test]
    fn heads_are_kept_checked_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let identity = (&[3; 16], 0);
        assert!(HeadSet::load(&RealStorage, directory.path(), identity).unwrap().is_none());
        HeadFile::create(&RealStorage, directory.path(), identity).unwrap();
        assert!(HeadSet::load(&RealStorage, directory.path(), identity).unwrap().unwrap().is_empty());
        let mut file = HeadFile::open(&RealStorage, directory.path()).unwrap();
        let chain = ChainTail { block: 69, ..ChainTail::genesis(identity.0, 0) };
        let (header, _) = sample(&chain, 1, 1);
        file.write(&header).unwrap();
        let set = HeadSet::load(&RealStorage, directory.path(), identity).unwrap().unwrap();
        assert_eq!(set.heads, [header]);
        assert!(set.reaches(70) && set.reaches(1) && !set.reaches(71));
        assert!(!set.contradicts(70, &header.hash) && set.contradicts(70, &[0; 32]) && !set.contradicts(6, &[0; 32]));
        file.forget_from(&set, 71).unwrap();
        assert!(HeadSet::load(&RealStorage, directory.path(), identity).unwrap().unwrap().reaches(70));
        file.forget_from(&set, 70).unwrap();
        assert!(HeadSet::load(&RealStorage, directory.path(), identity).unwrap().unwrap().is_empty());
        let foreign = HeadSet::load(&RealStorage, directory.path(), (&[4; 16], 0)).unwrap_err();
        assert!(matches!(foreign, JournalError::ForeignExchange { .. }), "{foreign}");
    }
}
