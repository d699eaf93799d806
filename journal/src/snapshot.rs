//! Snapshot files: an opaque state at one sequence, so that a replay need not begin at the first record.
//!
//! A snapshot is a cache, never evidence: whoever loads one replays the journal behind it and compares state hashes.
//! It is written to a temporary file, synced, renamed, and the directory synced; the two newest are kept, so that one
//! that turns out damaged costs a longer replay and nothing else. Name `{shard}-{sequence:016}.lks`, content:
//!
//! | offset | size | type | meaning |
//! |---:|---:|---|---|
//! | 0 | 8 | bytes | magic `LKHSNAP\0` |
//! | 8 | 2 | u16 | major format version, 1 |
//! | 10 | 2 | u16 | shard |
//! | 12 | 4 | u32 | zeros |
//! | 16 | 16 | bytes | exchange id |
//! | 32 | 8 | u64 | sequence after which the state was taken |
//! | 40 | 8 | u64 | bytes of the payload |
//! | 48 | 32 | bytes | hash of the block that contains the sequence |
//! | 80 | 32 | bytes | BLAKE3 of bytes 0..80 and the payload |
//! | 112 | | bytes | payload |
//!
//! Bounds: the whole payload is held in memory, at most [`MAX_PAYLOAD_BYTES`].

use std::path::{Path, PathBuf};

use crate::JournalError;
use crate::bytes::{array_at, put_bytes, put_u16, put_u64, u16_at, u64_at};
use crate::heads::check_identity;
use crate::segment::{FORMAT_MAJOR, is_known};
use crate::storage::{Access, Storage, StorageFile, read_exactly, whole};

/// Largest payload.
pub const MAX_PAYLOAD_BYTES: u64 = 16 << 30;
/// Bytes before the payload.
pub const SNAPSHOT_HEADER_BYTES: usize = 112;
/// How many snapshots of a shard are kept.
pub const KEPT: usize = 2;

const MAGIC: [u8; 8] = *b"LKHSNAP\0";
const HASHED_UNTIL: usize = 80;
const CHUNK_BYTES: usize = 1 << 20;

/// What a snapshot is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The exchange.
    pub exchange_id: [u8; 16],
    /// The shard.
    pub shard: u16,
    /// The sequence after which the state was taken.
    pub sequence: u64,
    /// Hash of the block that contains the sequence.
    pub block_hash: [u8; 32],
}

/// A snapshot as loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// What it is of.
    pub header: SnapshotHeader,
    /// The state, opaque here.
    pub payload: Vec<u8>,
}

fn file_name(shard: u16, sequence: u64) -> String {
    format!("{shard}-{sequence:016}.lks")
}

fn parse_file_name(name: &str) -> Option<(u16, u64)> {
    let (shard, sequence) = name.strip_suffix(".lks")?.split_once('-')?;
    let parsed = (shard.parse().ok()?, sequence.parse().ok()?);
    (file_name(parsed.0, parsed.1) == name).then_some(parsed)
}

fn encode_header(header: &SnapshotHeader, payload: &[u8]) -> [u8; SNAPSHOT_HEADER_BYTES] {
    let mut bytes = [0; SNAPSHOT_HEADER_BYTES];
    put_bytes(&mut bytes, 0, &MAGIC);
    put_u16(&mut bytes, 8, FORMAT_MAJOR);
    put_u16(&mut bytes, 10, header.shard);
    put_bytes(&mut bytes, 16, &header.exchange_id);
    put_u64(&mut bytes, 32, header.sequence);
    put_u64(&mut bytes, 40, payload.len() as u64);
    put_bytes(&mut bytes, 48, &header.block_hash);
    let hash = hash(&bytes, payload);
    put_bytes(&mut bytes, HASHED_UNTIL, &hash);
    bytes
}

fn hash(header: &[u8], payload: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&header[..HASHED_UNTIL]);
    hasher.update(payload);
    *hasher.finalize().as_bytes()
}

/// Sequences of a shard's snapshots, newest first. What is listed may still turn out damaged.
///
/// # Errors
/// The directory cannot be listed.
pub fn list<S: Storage>(storage: &S, directory: &Path, shard: u16) -> Result<Vec<u64>, JournalError> {
    let names = storage.list(directory).map_err(JournalError::io("list", directory))?;
    let parsed = names.iter().filter_map(|name| parse_file_name(name));
    let mut sequences: Vec<u64> = parsed.filter(|(of, _)| *of == shard).map(|(_, sequence)| sequence).collect();
    sequences.sort_unstable_by(|left, right| right.cmp(left));
    Ok(sequences)
}

/// Writes a snapshot atomically and durably, then removes all but the newest [`KEPT`]. Returns its path.
///
/// # Errors
/// The operating system's refusal; the snapshots that existed before are untouched then.
pub fn save<S: Storage>(
    storage: &S,
    directory: &Path,
    header: &SnapshotHeader,
    payload: &[u8],
) -> Result<PathBuf, JournalError> {
    let path = directory.join(file_name(header.shard, header.sequence));
    let temporary = path.with_extension("lks.tmp");
    let file = storage.create(&temporary).map_err(JournalError::io("create", &temporary))?;
    let write = |bytes: &[u8], offset: u64| {
        let written = file.write_at(bytes, offset).and_then(|count| whole(count, bytes.len()));
        written.map_err(JournalError::io("write", &temporary))
    };
    write(&encode_header(header, payload), 0)?;
    let mut offset = SNAPSHOT_HEADER_BYTES as u64;
    for chunk in payload.chunks(CHUNK_BYTES) {
        write(chunk, offset)?;
        offset += chunk.len() as u64;
    }
    file.sync().map_err(JournalError::io("sync", &temporary))?;
    storage.rename(&temporary, &path).map_err(JournalError::io("rename", &temporary))?;
    storage.sync_directory(directory).map_err(JournalError::io("sync", directory))?;
    for old in list(storage, directory, header.shard)?.into_iter().skip(KEPT) {
        let old = directory.join(file_name(header.shard, old));
        storage.remove(&old).map_err(JournalError::io("remove", &old))?;
    }
    Ok(path)
}

/// Loads the snapshot at `sequence`.
///
/// # Errors
/// It does not exist, is damaged, of another exchange or shard, or of a newer format.
pub fn load<S: Storage>(
    storage: &S,
    directory: &Path,
    identity: (&[u8; 16], u16),
    sequence: u64,
) -> Result<Snapshot, JournalError> {
    let path = directory.join(file_name(identity.1, sequence));
    let damaged = |detail: &str| JournalError::Snapshot { path: path.clone(), detail: detail.to_owned() };
    let file = storage.open(&path, Access::Read).map_err(JournalError::io("open", &path))?;
    let size = file.size().map_err(JournalError::io("measure", &path))?;
    if size < SNAPSHOT_HEADER_BYTES as u64 {
        return Err(damaged("it is shorter than its header"));
    }
    let mut bytes = [0; SNAPSHOT_HEADER_BYTES];
    read_exactly(&file, &mut bytes, 0).map_err(JournalError::io("read", &path))?;
    if bytes[..8] != MAGIC {
        return Err(damaged("its magic is wrong"));
    }
    let found = u16_at(&bytes, 8);
    if !is_known(found) {
        return Err(JournalError::format(&path, found));
    }
    let length = u64_at(&bytes, 40);
    if length > MAX_PAYLOAD_BYTES || size != SNAPSHOT_HEADER_BYTES as u64 + length {
        return Err(damaged("its size is not that of its header"));
    }
    let mut payload = vec![0; usize::try_from(length).map_err(|_| damaged("it does not fit into memory"))?];
    read_exactly(&file, &mut payload, SNAPSHOT_HEADER_BYTES as u64).map_err(JournalError::io("read", &path))?;
    if hash(&bytes, &payload) != bytes[HASHED_UNTIL..SNAPSHOT_HEADER_BYTES] {
        return Err(damaged("it fails its hash"));
    }
    let header = SnapshotHeader {
        exchange_id: array_at(&bytes, 16),
        shard: u16_at(&bytes, 10),
        sequence: u64_at(&bytes, 32),
        block_hash: array_at(&bytes, 48),
    };
    check_identity(&path, identity, (&header.exchange_id, header.shard))?;
    if header.sequence != sequence {
        return Err(damaged("its sequence is not that of its name"));
    }
    Ok(Snapshot { header, payload })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::RealStorage;

    fn header(sequence: u64) -> SnapshotHeader {
        SnapshotHeader { exchange_id: [9; 16], shard: 2, sequence, block_hash: [8; 32] }
    }

    #[test]
    fn bytes_are_where_the_table_says() {
        let bytes = encode_header(&header(77), b"state");
        assert_eq!(&bytes[..8], b"LKHSNAP\0");
        assert_eq!(bytes[8..16], [1, 0, 2, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[16..32], [9; 16]);
        assert_eq!(bytes[32..40], 77u64.to_le_bytes());
        assert_eq!(bytes[40..48], 5u64.to_le_bytes());
        assert_eq!(bytes[48..80], [8; 32]);
        assert_eq!(bytes[80..112], hash(&bytes, b"state"));
    }

    #[test]
    fn two_are_kept_and_each_is_loaded_by_its_sequence() {
        let directory = tempfile::tempdir().unwrap();
        let identity = (&[9; 16], 2);
        assert_eq!(list(&RealStorage, directory.path(), 2).unwrap(), [0; 0]);
        for sequence in [10, 20, 30] {
            save(&RealStorage, directory.path(), &header(sequence), &sequence.to_le_bytes()).unwrap();
        }
        assert_eq!(list(&RealStorage, directory.path(), 2).unwrap(), [30, 20]);
        for sequence in [30, 20] {
            let loaded = load(&RealStorage, directory.path(), identity, sequence).unwrap();
            assert_eq!((loaded.header, loaded.payload), (header(sequence), sequence.to_le_bytes().to_vec()));
        }
        assert!(load(&RealStorage, directory.path(), identity, 10).is_err(), "the oldest is gone");
        let foreign = load(&RealStorage, directory.path(), (&[1; 16], 2), 30).unwrap_err();
        assert!(matches!(foreign, JournalError::ForeignExchange { .. }), "{foreign}");
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let identity = (&[9; 16], 2);
        let path = save(&RealStorage, directory.path(), &header(20), b"state").unwrap();
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bytes).unwrap();
            assert!(load(&RealStorage, directory.path(), identity, 20).is_err(), "bit {bit}");
        }
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = load(&RealStorage, directory.path(), identity, 20).unwrap_err();
            assert!(matches!(error, JournalError::Snapshot { .. }), "cut at {length}: {error}");
        }
    }
}
