//! Segments that go into an archive: a crash or an error inside leaves a journal that starts, without a gap.

use std::path::Path;

use lakh_journal::archive::sealed_segments;
use lakh_journal::faults::{Fault, SimulatedDisk};
use lakh_journal::retention::{Archived, archived, note, remove_before};
use lakh_journal::{JournalError, JournalOptions, open_with};

use crate::common::{LONG, append_range, options};

/// At 64 KiB a segment at least six sealed ones, however full the writer's blocks are.
const RECORDS: u64 = 2_000;

fn directory() -> &'static Path {
    Path::new("journal")
}

fn reopening() -> JournalOptions {
    options(directory())
}

fn segment(index: u64) -> Archived {
    Archived { index, first_sequence: 1 + index, last_sequence: 7 + index, segment_hash: [index as u8; 32] }
}

/// A journal of several sealed segments, the first `noted` of them in the archive.
fn ready(seed: u64, noted: u64) -> SimulatedDisk {
    let disk = SimulatedDisk::new(seed);
    let (mut writer, _) = open_with(disk.clone(), reopening()).unwrap();
    append_range(&mut writer, 1, RECORDS, 10);
    assert!(writer.watch().wait_for(RECORDS, LONG));
    writer.close().unwrap();
    assert!(sealed_segments(&disk, directory()).unwrap().len() > 5);
    for index in 0..noted {
        note(&disk, directory(), segment(index)).unwrap();
    }
    disk
}

fn first_index(disk: &SimulatedDisk) -> u64 {
    sealed_segments(disk, directory()).unwrap().first().expect("segments behind those that may go").1
}

#[test]
fn only_what_is_noted_and_asked_for_goes_and_the_journal_starts_without_it() {
    let disk = ready(1, 3);
    let sealed = sealed_segments(&disk, directory()).unwrap().len() as u64;
    assert_eq!(archived(&disk, directory()).unwrap(), (0..3).map(segment).collect::<Vec<_>>());
    assert_eq!(remove_before(&disk, directory(), 2).unwrap(), [0, 1]);
    assert_eq!(remove_before(&disk, directory(), 100).unwrap(), [2], "what is not noted stays");
    assert_eq!(remove_before(&disk, directory(), 100).unwrap(), [0; 0]);
    let (writer, report) = open_with(disk.clone(), reopening()).unwrap();
    assert_eq!(report.last_sequence, RECORDS);
    writer.close().unwrap();
    for index in 3..sealed + 9 {
        note(&disk, directory(), segment(index)).unwrap();
    }
    remove_before(&disk, directory(), 100).unwrap();
    assert_eq!(sealed_segments(&disk, directory()).unwrap(), [], "the newest stays");
    assert_eq!(open_with(disk, reopening()).unwrap().1.last_sequence, RECORDS);
}

#[test]
fn a_crash_or_an_error_inside_leaves_no_gap() {
    let whole = ready(0, 3);
    let before = whole.calls().len();
    let work = |disk: &SimulatedDisk| -> Result<(), JournalError> {
        note(disk, directory(), segment(3))?;
        remove_before(disk, directory(), 4).map(|_| ())
    };
    work(&whole).unwrap();
    let calls = whole.calls().len() - before;
    assert!(calls > 8, "notes and removals make calls: {calls}");
    for index in 0..calls {
        for round in 0..6 {
            let fault = [
                Fault::PowerCut,
                Fault::PowerCut,
                Fault::PowerCut,
                Fault::NoSpace,
                Fault::InputOutput,
                Fault::Interrupted,
            ][round];
            let what = format!("{fault:?} at call {index}, round {round}");
            let disk = ready((index * 8 + round) as u64, 3);
            // How many calls the writer and its threads made before is not the same each time.
            disk.fail_at(disk.calls().len() + index, fault);
            assert!(work(&disk).is_err(), "{what}");
            if fault == Fault::PowerCut {
                disk.power_cycle();
            }
            let noted = archived(&disk, directory()).unwrap();
            assert!(noted.len() == 3 || noted.len() == 4, "{what}: {noted:?}");
            assert!(first_index(&disk) <= noted.len() as u64, "{what}: what went was noted");
            let (writer, report) =
                open_with(disk.clone(), reopening()).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(report.last_sequence, RECORDS, "{what}");
            writer.close().unwrap();
            // And once more, to the end.
            work(&disk).unwrap();
            assert_eq!(first_index(&disk), 4, "{what}");
            assert_eq!(open_with(disk, reopening()).unwrap().1.last_sequence, RECORDS, "{what}");
        }
    }
}
