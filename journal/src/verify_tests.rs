//! Each single bit of a whole segment flipped, each byte of it cut off: every one of these is found.
//!
//! In memory, because a flip costs a whole verification of the segment and there are half a million of them.

use std::io;
use std::sync::{Arc, Mutex};

use super::*;
use crate::{JournalOptions, RecordHeader, open};

const EXCHANGE: [u8; 16] = [7; 16];
const SEGMENT_BYTES: u64 = 64 * 1024;
const QUIET: &(dyn Fn(u64) + Sync) = &|_| {};

/// A file in memory whose bytes the test changes under its readers.
#[derive(Clone)]
struct MemoryFile(Arc<Mutex<Vec<u8>>>);

impl StorageFile for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.0.lock().unwrap();
        let rest = &bytes[usize::try_from(offset).unwrap().min(bytes.len())..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn write_durable(&self, _bytes: &[u8], _offset: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn allocate(&self, _size: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A closed journal: a sealed segment, and a last one that is nearly full.
struct Sample {
    sealed: Vec<u8>,
    last: Vec<u8>,
    heads: HeadSet,
}

fn sample() -> Sample {
    let directory = tempfile::tempdir().unwrap();
    let options = JournalOptions {
        segment_bytes: SEGMENT_BYTES,
        ring_bytes: 64 * 1024,
        ..JournalOptions::new(directory.path(), EXCHANGE)
    };
    let (mut writer, _) = open(options).unwrap();
    // 13 pages for blocks a segment, one record a block, the first block is the epoch's.
    for sequence in 1..=24 {
        let header = RecordHeader { sequence, timestamp_ns: sequence, ..RecordHeader::default() };
        writer.append(header, &vec![sequence as u8; 3_700 + sequence as usize]).unwrap();
        writer.publish();
        assert!(writer.watch().wait_for(sequence, std::time::Duration::from_secs(60)));
    }
    writer.close().unwrap();
    let sound = verify(directory.path(), Activity::AtRest, QUIET).unwrap();
    let used: Vec<(u64, bool)> = sound.segments.iter().map(|of| (of.used_bytes, of.sealed)).collect();
    assert_eq!(used, [(15 * PAGE as u64, true), (14 * PAGE as u64, false)]);
    assert_eq!((sound.records(), sound.findings), (24, vec![]));
    let heads = HeadSet::load(&RealStorage, directory.path(), (&EXCHANGE, 0)).unwrap().unwrap();
    let bytes = |index| std::fs::read(directory.path().join(file_name(0, index))).unwrap();
    Sample { sealed: bytes(0), last: bytes(1), heads }
}

/// Whether something is said about a segment.
fn found(file: &MemoryFile, index: u64, heads: Option<&HeadSet>) -> bool {
    let source = Source::window(file.clone());
    let walked = Walk::open(source, PathBuf::new(), index, (&EXCHANGE, 0)).and_then(|walk| match heads {
        Some(heads) => walk.last(heads, Activity::AtRest, QUIET),
        None => {
            let walked = walk.sealed(QUIET)?;
            check_continues(&walked.header, &ChainTail::genesis(&EXCHANGE, 0), &walked.path)?;
            Ok(walked)
        }
    });
    walked.map_or(true, |walked| !walked.findings.is_empty())
}

/// Flips each of `bits` in turn; returns those that nobody noticed.
fn unnoticed(bytes: &[u8], bits: impl Iterator<Item = usize>, index: u64, heads: Option<&HeadSet>) -> Vec<usize> {
    let file = MemoryFile(Arc::new(Mutex::new(bytes.to_vec())));
    assert!(!found(&file, index, heads), "it is sound before");
    let flip = |bit: usize| file.0.lock().unwrap()[bit / 8] ^= 1 << (bit % 8);
    let missed = bits.filter(|bit| {
        flip(*bit);
        let noticed = found(&file, index, heads);
        flip(*bit);
        !noticed
    });
    missed.collect()
}

#[test]
fn each_flipped_bit_of_a_sealed_segment_is_found() {
    let sample = sample();
    let bits = sample.sealed.len() * 8;
    assert!(bits >= 64 * 1024 * 8);
    let missed = std::thread::scope(|scope| {
        let half = |range| scope.spawn(|| unnoticed(&sample.sealed, range, 0, None));
        let halves = [half(0..bits / 2), half(bits / 2..bits)];
        halves.map(|half| half.join().unwrap()).concat()
    });
    assert_eq!(missed, [0usize; 0], "of {bits} bits");
    println!("{bits} bits flipped, each found");
}

#[test]
fn each_changed_byte_of_the_last_segment_is_found() {
    let sample = sample();
    let bits = (0..sample.last.len()).map(|byte| byte * 8 + byte % 8);
    assert_eq!(unnoticed(&sample.last, bits, 1, Some(&sample.heads)), [0usize; 0]);
}

#[test]
fn each_cut_of_a_segment_is_found() {
    let sample = sample();
    for (bytes, index, heads) in [(&sample.sealed, 0, None), (&sample.last, 1, Some(&sample.heads))] {
        let file = MemoryFile(Arc::new(Mutex::new(bytes.clone())));
        assert!(!found(&file, index, heads), "it is sound before");
        for length in (0..bytes.len()).rev() {
            file.0.lock().unwrap().truncate(length);
            assert!(found(&file, index, heads), "segment {index} cut at {length}");
        }
    }
}
