//! Letting go of segments that stand in an archive, in two steps, so that a crash between them loses nothing.
//!
//! First the file `archived` says, durably, that a segment stands in the archive and was read back from there. Only
//! what it names may go. Then the files go, the oldest first, the directory synced after each: whatever a power cut
//! leaves is a journal without a gap that begins earlier or later. The newest segment never goes.
//!
//! `archived` is text: the line `lakh-archive 1`, then for each segment `index first-sequence last-sequence hash`, the
//! hash that of the whole file in hexadecimal. It is replaced as a whole. It is never evidence: who restores a segment
//! checks it against its neighbours' hash chain.
//!
//! Bounds: a line of at most 160 bytes a segment, 64 MiB of them.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use crate::JournalError;
use crate::recovery::list_segments;
use crate::segment::file_name;
use crate::storage::{Access, Storage, StorageFile, read_exactly, whole};

const FIRST_LINE: &str = "lakh-archive 1";
const BYTES_MAX: u64 = 64 << 20;

/// A segment that stands in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archived {
    /// Its index.
    pub index: u64,
    /// Its first sequence.
    pub first_sequence: u64,
    /// Its last sequence; first − 1 if it has no records.
    pub last_sequence: u64,
    /// BLAKE3 of its whole file.
    pub segment_hash: [u8; 32],
}

fn path_in(directory: &Path) -> PathBuf {
    directory.join("archived")
}

/// Which segments are noted, by rising index.
///
/// # Errors
/// The file cannot be read or is none of this format.
pub fn archived<S: Storage>(storage: &S, directory: &Path) -> Result<Vec<Archived>, JournalError> {
    let path = path_in(directory);
    let file = match storage.open(&path, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(JournalError::io("open", &path)(error)),
    };
    let size = file.size().map_err(JournalError::io("measure", &path))?;
    let damaged = || JournalError::DamagedSegment {
        path: path.clone(),
        detail: "it is no list of archived segments; remove it, and the archive is compared anew".to_owned(),
    };
    if size > BYTES_MAX {
        return Err(damaged());
    }
    let mut bytes = vec![0; usize::try_from(size).expect("at most 64 MiB")];
    read_exactly(&file, &mut bytes, 0).map_err(JournalError::io("read", &path))?;
    let text = String::from_utf8(bytes).map_err(|_| damaged())?;
    let mut lines = text.lines();
    if lines.next() != Some(FIRST_LINE) {
        return Err(damaged());
    }
    lines.map(|line| parse(line).ok_or_else(damaged)).collect()
}

fn parse(line: &str) -> Option<Archived> {
    let mut fields = line.split(' ');
    let mut number = || fields.next()?.parse().ok();
    let (index, first_sequence, last_sequence) = (number()?, number()?, number()?);
    let digits = fields.next()?.as_bytes();
    if digits.len() != 64 || fields.next().is_some() {
        return None;
    }
    let mut segment_hash = [0; 32];
    for (byte, pair) in segment_hash.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(Archived { index, first_sequence, last_sequence, segment_hash })
}

/// Notes, durably, that a segment stands in the archive and was read back from there.
///
/// # Errors
/// The operating system's refusal; what was noted before still is.
pub fn note<S: Storage>(storage: &S, directory: &Path, segment: Archived) -> Result<(), JournalError> {
    let mut noted = archived(storage, directory)?;
    noted.retain(|other| other.index != segment.index);
    noted.push(segment);
    noted.sort_unstable_by_key(|segment| segment.index);
    let mut text = format!("{FIRST_LINE}\n");
    for Archived { index, first_sequence, last_sequence, segment_hash } in &noted {
        write!(text, "{index} {first_sequence} {last_sequence} ").expect("writing to a string cannot fail");
        segment_hash.iter().for_each(|byte| write!(text, "{byte:02x}").expect("writing to a string cannot fail"));
        text.push('\n');
    }
    let path = path_in(directory);
    let temporary = path.with_extension("tmp");
    let file = storage.create(&temporary).map_err(JournalError::io("create", &temporary))?;
    let mut offset = 0;
    for chunk in text.as_bytes().chunks(1 << 20) {
        let written = file.write_at(chunk, offset).and_then(|count| whole(count, chunk.len()));
        written.map_err(JournalError::io("write", &temporary))?;
        offset += chunk.len() as u64;
    }
    file.sync().map_err(JournalError::io("sync", &temporary))?;
    storage.rename(&temporary, &path).map_err(JournalError::io("rename", &temporary))?;
    storage.sync_directory(directory).map_err(JournalError::io("sync", directory))
}

/// Removes the segments before `first_kept` that are noted as archived, the oldest first, up to the first that is not.
/// Returns the indexes that went. The newest segment stays whatever is asked.
///
/// # Errors
/// The operating system's refusal; what went before it is gone, what comes behind it is there.
pub fn remove_before<S: Storage>(storage: &S, directory: &Path, first_kept: u64) -> Result<Vec<u64>, JournalError> {
    let noted = archived(storage, directory)?;
    let mut segments = list_segments(storage, directory)?;
    segments.pop();
    let mut gone = Vec::new();
    for (shard, index) in segments {
        if index >= first_kept || noted.binary_search_by_key(&index, |segment| segment.index).is_err() {
            break;
        }
        let path = directory.join(file_name(shard, index));
        storage.remove(&path).map_err(JournalError::io("remove", &path))?;
        // Two removals in flight could reach the disk in the other order, and leave a gap.
        storage.sync_directory(directory).map_err(JournalError::io("sync", directory))?;
        gone.push(index);
    }
    Ok(gone)
}
