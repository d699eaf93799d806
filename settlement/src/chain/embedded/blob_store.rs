//! The embedded chain's blobs, which are no part of its blocks: kept for as long as public nodes keep them, then deleted.
//!
//! In memory, or a file each in the folder `blobs` beside the chain's file, named by the versioned hash:
//!
//! | offset | size | meaning |
//! |---|---|---|
//! | 0 | 8 | the block's time in seconds since the Unix epoch, little-endian |
//! | 8 | 4 | CRC-32C of all that follows |
//! | 12 | … | the blob without the zeroes at its end |
//!
//! Invariants: a blob is on stable storage before its block is; a file that is not whole counts as none; what is older than
//! [`BLOB_LIFE_SECONDS`] is never handed out. Bound: [`MAX_KEPT_BYTES`], then transactions with blobs are refused.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::super::hex;
use crate::blobs::{BLOB_BYTES, BLOB_LIFE_SECONDS, Blob};
use crate::keccak::Hash;

/// Bytes of all blobs together, at most.
pub(super) const MAX_KEPT_BYTES: u64 = 2 << 30;

const HEADER_BYTES: usize = 12;

/// A blob that is kept.
#[derive(Debug)]
struct Kept {
    time_s: u64,
    bytes: u64,
    /// The blob without the zeroes at its end, where there is no folder.
    here: Option<Vec<u8>>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct BlobStore {
    folder: Option<PathBuf>,
    kept: HashMap<Hash, Kept>,
    /// By the time of their blocks.
    order: BTreeMap<u64, Vec<Hash>>,
    bytes: u64,
}

impl BlobStore {
    /// With what an earlier run left in the chain's directory.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let folder = directory.join("blobs");
        fs::create_dir_all(&folder)?;
        let mut store = Self { folder: Some(folder.clone()), ..Self::default() };
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let hash = entry.file_name().to_str().and_then(hex::decode_array).map(Hash);
            let Some(hash) = hash else { continue };
            // What cannot be read whole is no blob.
            if let Some((time_s, content)) = decode(&fs::read(entry.path())?) {
                store.note(hash, Kept { time_s, bytes: content.len() as u64, here: None });
            }
        }
        Ok(store)
    }

    /// Whether so many blobs more may come.
    pub(super) fn has_room(&self, blobs: usize) -> bool {
        self.bytes + (blobs * BLOB_BYTES) as u64 <= MAX_KEPT_BYTES
    }

    /// Keeps a blob of a block of that time.
    pub(super) fn keep(&mut self, hash: Hash, blob: &Blob, time_s: u64) -> io::Result<()> {
        let content = &blob[..blob.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)];
        if let Some(folder) = &self.folder {
            write(folder, hash, &encode(time_s, content))?;
        }
        let here = self.folder.is_none().then(|| content.to_vec());
        self.note(hash, Kept { time_s, bytes: content.len() as u64, here });
        Ok(())
    }

    /// A blob, unless it is too old at `now_s`.
    pub(super) fn blob(&self, hash: Hash, now_s: u64) -> Option<Blob> {
        let kept = self.kept.get(&hash).filter(|kept| kept.time_s.saturating_add(BLOB_LIFE_SECONDS) >= now_s)?;
        let content = match (&self.folder, &kept.here) {
            (Some(folder), _) => decode(&fs::read(folder.join(hash.to_string())).ok()?)?.1,
            (None, here) => here.clone()?,
        };
        let mut blob = Blob::ZERO;
        blob.get_mut(..content.len())?.copy_from_slice(&content);
        Some(blob)
    }

    /// Deletes what is too old at `now_s`.
    pub(super) fn prune(&mut self, now_s: u64) {
        let oldest_kept = now_s.saturating_sub(BLOB_LIFE_SECONDS);
        while let Some(entry) = self.order.first_entry().filter(|entry| *entry.key() < oldest_kept) {
            let time_s = *entry.key();
            for hash in entry.remove() {
                let Some(kept) = self.kept.remove(&hash) else { continue };
                if kept.time_s != time_s {
                    // It came once more, later.
                    self.kept.insert(hash, kept);
                    continue;
                }
                self.bytes -= kept.bytes;
                if let Some(folder) = &self.folder {
                    // One that cannot be deleted is deleted after the next start.
                    let _ = fs::remove_file(folder.join(hash.to_string()));
                }
            }
        }
    }

    fn note(&mut self, hash: Hash, kept: Kept) {
        self.bytes += kept.bytes;
        self.order.entry(kept.time_s).or_default().push(hash);
        if let Some(before) = self.kept.insert(hash, kept) {
            self.bytes -= before.bytes;
        }
    }
}

fn encode(time_s: u64, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + content.len());
    bytes.extend(time_s.to_le_bytes());
    bytes.extend(crc_fast::crc32_iscsi(content).to_le_bytes());
    bytes.extend(content);
    bytes
}

fn decode(bytes: &[u8]) -> Option<(u64, Vec<u8>)> {
    let (time_s, rest) = bytes.split_first_chunk::<8>()?;
    let (check, content) = rest.split_first_chunk::<4>()?;
    let is_whole = content.len() <= BLOB_BYTES && crc_fast::crc32_iscsi(content).to_le_bytes() == *check;
    is_whole.then(|| (u64::from_le_bytes(*time_s), content.to_vec()))
}

/// Written beside and moved there, so that no crash leaves half of it.
fn write(folder: &Path, hash: Hash, bytes: &[u8]) -> io::Result<()> {
    let fresh = folder.join("new");
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, folder.join(hash.to_string()))?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(byte: u8) -> Blob {
        let mut blob = Blob::ZERO;
        blob[1..100].fill(byte);
        blob
    }

    #[test]
    fn blobs_are_kept_for_their_life_and_no_longer() {
        let directory = tempfile::tempdir().unwrap();
        for mut store in [BlobStore::default(), BlobStore::open(directory.path()).unwrap()] {
            store.keep(Hash([1; 32]), &blob(1), 1_000).unwrap();
            store.keep(Hash([2; 32]), &blob(2), 1_000).unwrap();
            store.keep(Hash([2; 32]), &blob(2), 1_500).unwrap();
            let last = 1_000 + BLOB_LIFE_SECONDS;
            store.prune(last);
            assert!(store.blob(Hash([1; 32]), last) == Some(blob(1)));
            assert!(store.blob(Hash([1; 32]), last + 1).is_none(), "too old, deleted or not");
            store.prune(last + 1);
            assert!(store.blob(Hash([1; 32]), 0).is_none(), "deleted");
            assert!(store.blob(Hash([2; 32]), last + 1) == Some(blob(2)), "it came once more");
            assert_eq!(store.bytes, 100);
            store.prune(u64::MAX);
            assert_eq!((store.bytes, store.kept.len(), store.order.len()), (0, 0, 0));
        }
        assert_eq!(fs::read_dir(directory.path().join("blobs")).unwrap().count(), 0);
    }

    #[test]
    fn what_an_earlier_run_kept_is_there_unless_it_is_damaged() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = BlobStore::open(directory.path()).unwrap();
        store.keep(Hash([1; 32]), &blob(1), 7).unwrap();
        store.keep(Hash([2; 32]), &blob(2), 7).unwrap();
        let path = directory.path().join("blobs").join(Hash([2; 32]).to_string());
        let mut bytes = fs::read(&path).unwrap();
        bytes[20] ^= 1;
        fs::write(&path, bytes).unwrap();
        let store = BlobStore::open(directory.path()).unwrap();
        assert!(store.blob(Hash([1; 32]), 7) == Some(blob(1)));
        assert!(store.blob(Hash([2; 32]), 7).is_none());
        assert_eq!(store.bytes, 100);
    }
}
