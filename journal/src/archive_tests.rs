//! Segments through an object and back to the identical file, and objects that are damaged in every way.

use std::time::Duration;

use super::*;
use crate::storage::RealStorage;
use crate::{JournalOptions, RecordHeader, open};

/// A journal of several sealed segments.
fn journal(directory: &Path) {
    let options =
        JournalOptions { segment_bytes: 128 << 10, ring_bytes: 64 << 10, ..JournalOptions::new(directory, [7; 16]) };
    let (mut writer, _) = open(options).unwrap();
    for sequence in 1..=900 {
        let header = RecordHeader { sequence, timestamp_ns: sequence, ..RecordHeader::default() };
        writer.append(header, &vec![sequence as u8; 200 + sequence as usize % 400]).unwrap();
        if sequence % 20 == 0 {
            writer.publish();
            assert!(writer.watch().wait_for(sequence, Duration::from_secs(60)));
        }
    }
    writer.close().unwrap();
}

fn pack(directory: &Path, index: u64) -> Result<(Vec<u8>, Table), JournalError> {
    let mut packer = Packer::open(directory, 0, index)?;
    let mut object = Vec::new();
    while let Some(piece) = packer.next_piece()? {
        object.extend_from_slice(&piece);
    }
    Ok((object, packer.table().clone()))
}

/// The segment in an object, read as a stranger would: by its end.
fn unpack(object: &[u8]) -> Result<Vec<u8>, &'static str> {
    let end = object.last_chunk::<END_BYTES>().ok_or("too short")?;
    let table_bytes = usize::try_from(Table::bytes_by_end(end)?).unwrap();
    let table_at = (object.len() - END_BYTES).checked_sub(table_bytes).ok_or("too short")?;
    let start = object.first_chunk::<START_BYTES>().ok_or("too short")?;
    let table = Table::decode(start, &object[table_at..table_at + table_bytes], end, object.len() as u64)?;
    assert_eq!(table.object_bytes(), object.len() as u64);
    let mut segment = vec![0; usize::try_from(table.segment_bytes).unwrap()];
    let mut hasher = SegmentHasher::default();
    for group in &table.groups {
        let at = usize::try_from(group.object_offset).unwrap();
        let bytes = group.unpack(&object[at..at + usize::try_from(group.frame_bytes).unwrap()])?;
        hasher.add(group, &bytes);
        segment[usize::try_from(group.segment_offset).unwrap()..][..bytes.len()].copy_from_slice(&bytes);
    }
    if hasher.finish() == table.segment_hash { Ok(segment) } else { Err("the segment fails its hash") }
}

#[test]
fn what_is_unpacked_is_the_identical_file() {
    let directory = tempfile::tempdir().unwrap();
    journal(directory.path());
    let sealed = sealed_segments(&RealStorage, directory.path()).unwrap();
    assert!(sealed.len() >= 3, "{sealed:?}");
    let mut next_sequence = 1;
    for (shard, index) in sealed {
        let (object, table) = pack(directory.path(), index).unwrap();
        let segment = std::fs::read(directory.path().join(segment_name(shard, index))).unwrap();
        assert_eq!(unpack(&object).unwrap(), segment, "segment {index}");
        assert!(object.len() < segment.len() / 2, "{} of {}", object.len(), segment.len());
        assert_eq!((table.first_sequence, table.groups[1].first_sequence), (next_sequence, next_sequence));
        next_sequence = table.last_sequence + 1;
        assert_eq!(parse_object_name(&object_name(shard, index)), Some((shard, index)));
    }
    let last = format!("{:016}", 99);
    assert_eq!(parse_object_name(&format!("0-{last}.lkj")), None);
}

#[test]
fn every_changed_bit_and_every_cut_of_an_object_is_found() {
    let directory = tempfile::tempdir().unwrap();
    journal(directory.path());
    let (object, _) = pack(directory.path(), 1).unwrap();
    let segment = unpack(&object).unwrap();
    let mut changed = object.clone();
    for bit in 0..object.len() * 8 {
        changed[bit / 8] ^= 1 << (bit % 8);
        // A bit of a frame that says nothing, such as a reserved one, may give the identical segment.
        if let Ok(unpacked) = unpack(&changed) {
            assert_eq!(unpacked, segment, "bit {bit}");
        }
        changed[bit / 8] ^= 1 << (bit % 8);
    }
    for length in 0..object.len() {
        assert!(unpack(&object[..length]).is_err(), "cut at {length}");
    }
}

#[test]
fn a_segment_that_is_not_whole_is_not_packed() {
    let directory = tempfile::tempdir().unwrap();
    journal(directory.path());
    let newest = sealed_segments(&RealStorage, directory.path()).unwrap().len() as u64;
    assert!(matches!(Packer::open(directory.path(), 0, newest), Err(JournalError::DamagedSegment { .. })));
    let path = directory.path().join(segment_name(0, 1));
    let whole = std::fs::read(&path).unwrap();
    let end = whole.len() - 2 * PAGE;
    for at in [3 * PAGE, 3 * PAGE + 700, end, whole.len() - 100] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(pack(directory.path(), 1), Err(JournalError::DamagedSegment { .. })), "byte {at}");
    }
    std::fs::write(&path, &whole).unwrap();
    assert!(pack(directory.path(), 1).is_ok());
}
