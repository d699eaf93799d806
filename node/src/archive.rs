//! Sealed segments in an archive, and back: a directory, or a bucket that speaks S3.
//!
//! Each segment is one object, `{exchange id}/{shard}/{shard}-{index}.lka`, of blocks compressed in groups. Once written
//! it is read back, unpacked, and its hash compared with the local file's; only then the journal notes it as archived,
//! and only what is noted may go. What a start still needs never goes: everything from the older of the two snapshots
//! on that count, and everything at all where a contract is bound, since settlement replays from the first record.
//!
//! Bounds: 16 MiB of an upload, and one group of a download, in memory; one segment at a time.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use lakh_journal::JournalReader;
use lakh_journal::archive::{
    self, END_BYTES, Packer, START_BYTES, SegmentHasher, Table, object_name, parse_object_name, segment_name,
};
use lakh_journal::retention::{self, Archived};
use lakh_journal::snapshot;
use lakh_journal::storage::{RealStorage, Storage};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt as _, WriteMultipart};
use tokio::runtime::Runtime;

use crate::keys::hex;

/// Parts of an upload that may wait for the store.
const UPLOAD_PIECES: usize = 3;
/// Bytes of one part of an upload; S3 takes none smaller than 5 MiB but the last.
const UPLOAD_PIECE_BYTES: usize = 5 << 20;

/// A journal as the archive sees it: a storage on which it notes and removes, and the same files where they can be mapped.
#[derive(Clone, Copy)]
pub(crate) struct Shelf<'a, S> {
    pub(crate) storage: &'a S,
    pub(crate) directory: &'a Path,
    pub(crate) files: &'a Path,
}

impl<'a> Shelf<'a, RealStorage> {
    /// A journal on a real disk.
    pub(crate) const fn at(directory: &'a Path) -> Self {
        Self { storage: &RealStorage, directory, files: directory }
    }
}

/// Sealed segments, by shard and index, and snapshots, by record.
type Seen = (Vec<(u16, u64)>, Vec<u64>);

/// An archive of journals.
pub(crate) struct Archive {
    store: Arc<dyn ObjectStore>,
    prefix: ObjectPath,
    runtime: Runtime,
    /// Sealed segments and snapshots at the end of the last round: while they are the same there is nothing to do, and
    /// to find that out from the snapshots themselves would read whole segments.
    done_at: RefCell<Option<Seen>>,
}

/// An archived segment as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    shard: u16,
    index: u64,
    path: ObjectPath,
    bytes: u64,
}

/// What one round came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Round {
    /// Segments that were written, read back and noted.
    pub(crate) archived: Vec<u64>,
    /// Bytes of their objects.
    pub(crate) object_bytes: u64,
    /// Bytes of their blocks.
    pub(crate) segment_bytes: u64,
    /// Segments that were let go.
    pub(crate) removed: Vec<u64>,
}

/// What may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retention {
    /// Nothing.
    KeepAll,
    /// What stands in the archive and is not needed, but for this many of the newest sealed segments.
    KeepNewest(u64),
}

impl Archive {
    /// Opens `s3://bucket/prefix`, where this program was built for it, or a directory, which is made.
    pub(crate) fn open(place: &str) -> Result<Self> {
        let (store, prefix): (Arc<dyn ObjectStore>, _) = match place.split_once("://") {
            None => {
                std::fs::create_dir_all(place).with_context(|| format!("{place} cannot be created"))?;
                (Arc::new(LocalFileSystem::new_with_prefix(place)?.with_fsync(true)), ObjectPath::default())
            }
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                (bucket_store(bucket)?, ObjectPath::parse(prefix)?)
            }
            Some((scheme, _)) => bail!("{scheme} is no place for an archive: a directory, or s3://bucket/prefix"),
        };
        // Last, for a runtime must not be dropped where another one runs.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { store, prefix, runtime, done_at: RefCell::new(None) })
    }

    fn path(&self, exchange_id: &[u8; 16], shard: u16, name: &str) -> ObjectPath {
        self.prefix.clone().join(hex(exchange_id)).join(shard.to_string()).join(name)
    }

    /// Archives the sealed segments of a journal that are not noted yet, and lets go what may.
    pub(crate) fn round<S: Storage>(
        &self,
        shelf: Shelf<'_, S>,
        retention: Retention,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Round> {
        let Shelf { storage, directory, files } = shelf;
        let reader = JournalReader::open(files)?;
        let (exchange_id, shard) = (reader.exchange_id(), reader.shard());
        let noted = retention::archived(storage, directory)?;
        let sealed = archive::sealed_segments(storage, directory)?;
        let mut round = Round::default();
        let seen = (sealed.clone(), snapshot::list(storage, directory, shard)?);
        if self.done_at.borrow().as_ref() == Some(&seen) {
            return Ok(round);
        }
        for (shard, index) in &sealed {
            if noted.iter().any(|segment| segment.index == *index) {
                continue;
            }
            let (entry, table) = self.write(files, &exchange_id, (*shard, *index))?;
            retention::note(storage, directory, self.confirm(&entry, &table)?)?;
            round.archived.push(*index);
            round.object_bytes += table.object_bytes();
            round.segment_bytes += table.groups.iter().map(|group| group.bytes).sum::<u64>();
            progress(table.last_sequence + 1 - table.first_sequence);
        }
        if let Retention::KeepNewest(count) = retention {
            // The newest segment has no successor and is not among them.
            let behind = sealed.last().map_or(0, |(_, index)| index + 1);
            if let Some(needed) = needed_from(shelf, (&exchange_id, shard))? {
                let first_kept = behind.saturating_sub(count).min(needed);
                round.removed = retention::remove_before(storage, directory, first_kept)?;
            }
        }
        *self.done_at.borrow_mut() = Some(seen);
        Ok(round)
    }

    /// Writes a segment's object.
    fn write(&self, files: &Path, exchange_id: &[u8; 16], (shard, index): (u16, u64)) -> Result<(Entry, Table)> {
        let mut packer = Packer::open(files, shard, index)?;
        let path = self.path(exchange_id, shard, &object_name(shard, index));
        self.runtime.block_on(async {
            let upload = self.store.put_multipart(&path).await?;
            let mut upload = WriteMultipart::new_with_chunk_size(upload, UPLOAD_PIECE_BYTES);
            loop {
                match packer.next_piece() {
                    Ok(Some(piece)) => {
                        upload.wait_for_capacity(UPLOAD_PIECES).await?;
                        upload.write(&piece);
                    }
                    Ok(None) => break,
                    Err(error) => {
                        upload.abort().await?;
                        return Err(anyhow::Error::from(error));
                    }
                }
            }
            upload.finish().await?;
            Ok(())
        })?;
        let table = packer.table().clone();
        Ok((Entry { shard, index, path, bytes: table.object_bytes() }, table))
    }

    /// Reads a segment's object back; what may be noted of it.
    fn confirm(&self, entry: &Entry, written: &Table) -> Result<Archived> {
        let index = entry.index;
        let read_back = self.read(entry, |_, _| Ok(()));
        let read_back = read_back.with_context(|| format!("segment {index} cannot be read back from the archive"))?;
        ensure!(read_back == *written, "segment {index} reads back from the archive as another one");
        let Table { first_sequence, last_sequence, segment_hash, .. } = read_back;
        Ok(Archived { index, first_sequence, last_sequence, segment_hash })
    }

    /// Reads an object and gives each of its groups to `take`; checks the whole segment's hash at the end.
    fn read(&self, entry: &Entry, mut take: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<Table> {
        let range =
            |from: u64, bytes: u64| self.runtime.block_on(self.store.get_range(&entry.path, from..from + bytes));
        let refused = |detail: &str| anyhow!("{}: {detail}", entry.path);
        let least = (START_BYTES + END_BYTES) as u64;
        ensure!(entry.bytes >= least, "{} is too short for an archived segment", entry.path);
        let start = range(0, START_BYTES as u64)?;
        let end = range(entry.bytes - END_BYTES as u64, END_BYTES as u64)?;
        let start: &[u8; START_BYTES] = start.as_ref().try_into()?;
        let end: &[u8; END_BYTES] = end.as_ref().try_into()?;
        let table_bytes = Table::bytes_by_end(end).map_err(refused)?;
        ensure!(entry.bytes >= least + table_bytes, "{} is shorter than its table", entry.path);
        let table = range(entry.bytes - END_BYTES as u64 - table_bytes, table_bytes)?;
        let table = Table::decode(start, &table, end, entry.bytes).map_err(refused)?;
        ensure!((table.shard, table.index) == (entry.shard, entry.index), "{} holds another segment", entry.path);
        let mut hasher = SegmentHasher::default();
        for group in &table.groups {
            let frame = range(group.object_offset, group.frame_bytes)?;
            let bytes = group.unpack(&frame).map_err(refused)?;
            hasher.add(group, &bytes);
            take(group.segment_offset, &bytes)?;
        }
        ensure!(hasher.finish() == table.segment_hash, "{} fails its hash", entry.path);
        Ok(table)
    }

    /// The exchanges and shards that the archive has.
    pub(crate) fn journals(&self) -> Result<Vec<([u8; 16], u16)>> {
        let mut journals = Vec::new();
        let exchanges = self.runtime.block_on(self.store.list_with_delimiter(Some(&self.prefix)))?;
        for exchange in exchanges.common_prefixes {
            let Some(id) = exchange.filename().and_then(crate::keys::unhex::<16>) else { continue };
            let shards = self.runtime.block_on(self.store.list_with_delimiter(Some(&exchange)))?;
            let shards = shards.common_prefixes.iter().filter_map(|shard| shard.filename()?.parse().ok());
            journals.extend(shards.map(|shard| (id, shard)));
        }
        Ok(journals)
    }

    /// The archived segments of a journal, by index.
    fn entries(&self, exchange_id: &[u8; 16], shard: u16) -> Result<Vec<Entry>> {
        let folder = self.prefix.clone().join(hex(exchange_id)).join(shard.to_string());
        let listed = self.runtime.block_on(self.store.list_with_delimiter(Some(&folder)))?;
        let mut entries: Vec<Entry> = Vec::new();
        for object in listed.objects {
            let Some((of, index)) = object.location.filename().and_then(parse_object_name) else { continue };
            if of == shard {
                entries.push(Entry { shard, index, path: object.location, bytes: object.size });
            }
        }
        entries.sort_unstable_by_key(|entry| entry.index);
        Ok(entries)
    }

    /// Puts back every archived segment that `directory` lacks, the newest first, so that what stands there is without a
    /// gap at each moment. Returns how many, with how many records; `progress` is told the latter so far.
    pub(crate) fn complete(
        &self,
        directory: &Path,
        (exchange_id, shard): (&[u8; 16], u16),
        progress: &mut dyn FnMut(u64),
    ) -> Result<(usize, u64)> {
        let mut entries = self.entries(exchange_id, shard)?;
        ensure!(!entries.is_empty(), "the archive has no segment of exchange {}, shard {shard}", hex(exchange_id));
        let is_here = |index| directory.join(segment_name(shard, index)).exists();
        // What is here beyond what is archived is the journal's own business.
        let (first, last) = (entries[0].index, entries[entries.len() - 1].index);
        for index in first..=last {
            let is_archived = entries.binary_search_by_key(&index, |entry| entry.index).is_ok();
            ensure!(
                is_archived || is_here(index),
                "neither the archive nor {} has segment {index}",
                directory.display()
            );
        }
        entries.retain(|entry| !is_here(entry.index));
        let mut records = 0;
        for entry in entries.iter().rev() {
            let table = self.restore(entry, directory)?;
            records += table.last_sequence + 1 - table.first_sequence;
            progress(records);
        }
        Ok((entries.len(), records))
    }

    /// Puts a segment back into `directory` under its name, whole and on stable storage or not at all.
    fn restore(&self, entry: &Entry, directory: &Path) -> Result<Table> {
        use std::os::unix::fs::FileExt as _;
        let path = directory.join(segment_name(entry.shard, entry.index));
        let temporary = path.with_extension("lkj.tmp");
        let file = RestoredFile::create(&temporary)?;
        let table = self.read(entry, |offset, bytes| Ok(file.file.write_all_at(bytes, offset)?))?;
        // Zeros at the end are not written, and the file has its size all the same.
        file.file.set_len(table.segment_bytes)?;
        file.file.sync_all()?;
        RealStorage.rename(&temporary, &path)?;
        RealStorage.sync_directory(directory)?;
        file.keep();
        Ok(table)
    }
}

/// An unfinished file: removed unless it is kept.
struct RestoredFile {
    file: std::fs::File,
    path: Option<PathBuf>,
}

impl RestoredFile {
    fn create(path: &Path) -> Result<Self> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let file = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
        let file = file.with_context(|| format!("{} cannot be created", path.display()))?;
        Ok(Self { file, path: Some(path.to_owned()) })
    }

    fn keep(mut self) {
        self.path = None;
    }
}

impl Drop for RestoredFile {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What could not be finished is of no use, and is overwritten the next time if it stays.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(feature = "s3")]
fn bucket_store(bucket: &str) -> Result<Arc<dyn ObjectStore>> {
    let store = object_store::aws::AmazonS3Builder::from_env().with_bucket_name(bucket).build();
    Ok(Arc::new(store.with_context(|| format!("the bucket {bucket} cannot be used; AWS_… variables name its keys"))?))
}

#[cfg(not(feature = "s3"))]
fn bucket_store(bucket: &str) -> Result<Arc<dyn ObjectStore>> {
    bail!("s3://{bucket}: this program was built without the feature `s3`")
}

/// Index of the first segment that a start needs: the one that holds the record of the older of two snapshots that
/// count. `None` where there are not two, so that everything is needed.
fn needed_from<S: Storage>(shelf: Shelf<'_, S>, identity: (&[u8; 16], u16)) -> Result<Option<u64>> {
    let Shelf { storage, directory, files } = shelf;
    let mut counting = Vec::new();
    for sequence in snapshot::list(storage, directory, identity.1)? {
        let Ok(loaded) = snapshot::load(storage, directory, identity, sequence) else { continue };
        let Ok(reader) = JournalReader::open_behind(files, sequence) else { continue };
        if reader.block().is_some_and(|block| block.hash == loaded.header.block_hash) {
            counting.push(sequence);
        }
    }
    if counting.len() < snapshot::KEPT {
        return Ok(None);
    }
    let oldest = counting.into_iter().min().expect("two count");
    let overview = lakh_journal::verify::overview(files)?;
    let holds = overview.segments.iter().rev().find(|segment| segment.first_sequence <= oldest);
    Ok(holds.map(|segment| segment.index))
}

#[cfg(test)]
#[path = "archive_tests.rs"]
pub(crate) mod tests;
