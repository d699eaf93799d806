//! Rounds of the archive that are cut off anywhere, and objects that are not what was written.

use lakh_journal::faults::{Fault, SimulatedDisk};
use lakh_journal::snapshot::SnapshotHeader;
use lakh_journal::{JournalOptions, RecordHeader, Step, open_stepped};

use super::*;

const EXCHANGE: [u8; 16] = *b"exchange of test";
const RECORDS: u64 = 45;

fn directory() -> &'static Path {
    Path::new("journal")
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Real files with a disk's content.
fn exported(disk: &SimulatedDisk) -> tempfile::TempDir {
    let files = scratch();
    disk.export(files.path()).unwrap();
    files
}

/// A journal of three sealed segments and one that is not, with a record a block, and two snapshots.
fn ready(seed: u64) -> SimulatedDisk {
    let disk = SimulatedDisk::new(seed);
    let options = JournalOptions {
        segment_bytes: 64 * 1024,
        ring_bytes: 64 * 1024,
        ..JournalOptions::new(directory(), EXCHANGE)
    };
    let (mut writer, mut stepper, _) = open_stepped(disk.clone(), options).unwrap();
    for sequence in 1..=RECORDS {
        let header =
            RecordHeader { sequence, timestamp_ns: sequence, kind: 1, schema_version: 1, flags: 0, account: 7 };
        writer.append(header, &[sequence as u8; 1_000]).unwrap();
        writer.publish();
        while stepper.step() == Step::Worked {}
    }
    drop(writer);
    while stepper.step() == Step::Worked {}
    let files = exported(&disk);
    for sequence in [30, 40] {
        let reader = JournalReader::open_behind(files.path(), sequence).unwrap();
        let block_hash = reader.block().unwrap().hash;
        let header = SnapshotHeader { exchange_id: EXCHANGE, shard: 0, sequence, block_hash };
        snapshot::save(&disk, directory(), &header, b"state").unwrap();
    }
    disk
}

fn round_of(disk: &SimulatedDisk, place: &Path) -> Result<Round> {
    let files = exported(disk);
    let shelf = Shelf { storage: disk, directory: directory(), files: files.path() };
    Archive::open(place.to_str().unwrap()).unwrap().round(shelf, Retention::KeepNewest(0), &mut |_| {})
}

/// Of what is not noted an upload that was cut off leaves a part, something else, or nothing, and files of no name that
/// counts. `draw` decides: a number below the one that it is given.
pub(crate) fn tear_what_is_not_noted(place: &Path, noted: &[Archived], mut draw: impl FnMut(u64) -> u64) {
    let archive = Archive::open(place.to_str().unwrap()).unwrap();
    for (exchange_id, shard) in archive.journals().unwrap() {
        for entry in archive.entries(&exchange_id, shard).unwrap() {
            if noted.iter().any(|segment| segment.index == entry.index) {
                continue;
            }
            let path = place.join(entry.path.as_ref());
            match draw(4) {
                0 => std::fs::remove_file(&path).unwrap(),
                1 => std::fs::File::options().write(true).open(&path).unwrap().set_len(draw(entry.bytes)).unwrap(),
                2 => std::fs::write(&path, b"something else").unwrap(),
                _ => {}
            }
            std::fs::write(path.with_extension("lka#1"), b"a part").unwrap();
        }
    }
}

/// Restores what the journal lacks into a copy, and reads all of it.
fn assert_nothing_is_lost(disk: &SimulatedDisk, place: &Path, what: &str) {
    let files = exported(disk);
    let archive = Archive::open(place.to_str().unwrap()).unwrap();
    if !retention::archived(disk, directory()).unwrap().is_empty() {
        let completed = archive.complete(files.path(), (&EXCHANGE, 0), &mut |_| {});
        completed.unwrap_or_else(|error| panic!("{what}: {error:#}"));
    }
    let mut reader = JournalReader::open(files.path()).unwrap();
    let mut last = 0;
    while let Some(record) = reader.next().unwrap_or_else(|error| panic!("{what}: {error}")) {
        assert_eq!((record.header.sequence, record.payload), (last + 1, &[(last + 1) as u8; 1_000][..]), "{what}");
        last += 1;
    }
    assert_eq!(last, RECORDS, "{what}");
}

#[test]
fn a_crash_or_an_error_at_each_call_of_a_round_loses_no_segment() {
    let (whole, place) = (ready(0), scratch());
    let before = whole.calls().len();
    let round = round_of(&whole, place.path()).unwrap();
    assert_eq!((round.archived, round.removed), (vec![0, 1, 2], vec![0, 1]), "record 30 stands in segment 2");
    assert_nothing_is_lost(&whole, place.path(), "no fault");
    let calls = whole.calls().len() - before;
    assert!(calls >= 3 * 5 + 2 * 2, "three notes and two removals make calls: {calls}");
    let cut = [Fault::PowerCut; 4];
    let faults: Vec<Fault> = [&cut[..], &Fault::ERRORS[..]].concat();
    for index in 0..calls {
        for (nth, fault) in faults.iter().enumerate() {
            let seed = (index * faults.len() + nth) as u64;
            let what = format!("seed {seed}: {fault:?} at call {index} of the round");
            let (disk, place) = (ready(seed), scratch());
            disk.fail_at(disk.calls().len() + index, *fault);
            assert!(round_of(&disk, place.path()).is_err(), "{what}");
            if *fault == Fault::PowerCut {
                disk.power_cycle();
            }
            let noted = retention::archived(&disk, directory()).unwrap();
            let mut state = seed;
            tear_what_is_not_noted(place.path(), &noted, |bound| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % bound
            });
            assert_nothing_is_lost(&disk, place.path(), &what);
            round_of(&disk, place.path()).unwrap_or_else(|error| panic!("{what}, and again: {error:#}"));
            let noted = retention::archived(&disk, directory()).unwrap();
            assert_eq!(noted.iter().map(|segment| segment.index).collect::<Vec<_>>(), [0, 1, 2], "{what}");
            let left = archive::sealed_segments(&disk, directory()).unwrap();
            assert_eq!(left, [(0, 2)], "{what}");
            assert_nothing_is_lost(&disk, place.path(), &what);
        }
    }
}

#[test]
fn what_reads_back_otherwise_is_not_confirmed() {
    let (disk, place) = (ready(1), scratch());
    let files = exported(&disk);
    let archive = Archive::open(place.path().to_str().unwrap()).unwrap();
    let (entry, table) = archive.write(files.path(), &EXCHANGE, (0, 1)).unwrap();
    assert_eq!(archive.confirm(&entry, &table).unwrap().index, 1);
    let path = place.path().join(entry.path.as_ref());
    let written = std::fs::read(&path).unwrap();
    for at in (0..written.len()).step_by(13) {
        let mut changed = written.clone();
        changed[at] ^= 1;
        std::fs::write(&path, changed).unwrap();
        assert!(archive.confirm(&entry, &table).is_err(), "byte {at}");
        std::fs::write(&path, &written[..at]).unwrap();
        assert!(archive.confirm(&entry, &table).is_err(), "cut at {at}");
    }
    // Another segment, whole, in its place.
    let (other, _) = archive.write(files.path(), &EXCHANGE, (0, 0)).unwrap();
    std::fs::copy(place.path().join(other.path.as_ref()), &path).unwrap();
    assert!(archive.confirm(&entry, &table).is_err(), "another segment");
    std::fs::remove_file(&path).unwrap();
    let error = format!("{:#}", archive.confirm(&entry, &table).unwrap_err());
    assert!(error.starts_with("segment 1 cannot be read back from the archive"), "{error}");
}
