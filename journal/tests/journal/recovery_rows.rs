//! The decision table of recovery, row by row, each as bytes on a disk, seen by a start and by a reader.
//!
//! Block n + 1 of the samples holds record n; the head or footer of a block and what stands behind it are changed until
//! the disk is exactly that row. `recovery.rs` walks the pure function over all twelve combinations.

use std::path::{Path, PathBuf};

use lakh_journal::faults::SimulatedDisk;
use lakh_journal::{Durability, JournalError, JournalOptions, RecoveryOutcome, open_with};

use crate::common::{LONG, append_range, options, read_usual};

const PAGE: usize = 4096;
const RECORDS: u64 = 5;

fn segment() -> PathBuf {
    Path::new("journal").join("0-0000000000000000.lkj")
}

fn at(block: u64) -> usize {
    (1 + block as usize) * PAGE
}

fn journal(durability: Durability) -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let (mut writer, _) =
        open_with(disk.clone(), JournalOptions { durability, ..options(Path::new("journal")) }).unwrap();
    for sequence in 1..=RECORDS {
        append_range(&mut writer, sequence, sequence, 1);
        assert!(writer.watch().wait_for(sequence, LONG));
    }
    writer.close().unwrap();
    disk
}

/// A journal whose blocks were all sealed before any of them was synced.
fn journal_in_flight() -> SimulatedDisk {
    for _ in 0..50 {
        let disk = journal(Durability::Async);
        let bytes = disk.contents(&segment()).unwrap();
        let durable_block = |block: u64| u64::from_le_bytes(bytes[at(block) + 152..][..8].try_into().unwrap());
        if durable_block(RECORDS + 1) <= 1 {
            forget_heads(&disk, 2);
            return disk;
        }
    }
    panic!("the sync behind was always faster than five small blocks");
}

fn zero(disk: &SimulatedDisk, path: &Path, offset: usize) {
    for byte in offset..offset + PAGE {
        disk.rot(path, byte, |_| 0);
    }
}

fn forget_heads(disk: &SimulatedDisk, from: u64) {
    for block in from..=RECORDS + 1 {
        zero(disk, &Path::new("journal").join("heads"), (1 + block as usize % 64) * PAGE);
    }
}

fn spoil(disk: &SimulatedDisk, block: u64) {
    disk.rot(&segment(), at(block) + 300, |byte| !byte);
}

/// What a start decides, and the last sequence that it and a reader before it keep; `None` = both refuse.
fn decided(disk: &SimulatedDisk) -> Option<(RecoveryOutcome, u64)> {
    let real = tempfile::tempdir().unwrap();
    disk.export(real.path()).unwrap();
    let read = read_usual(real.path());
    match open_with(disk.clone(), options(Path::new("journal"))) {
        Ok((writer, report)) => {
            writer.close().unwrap();
            assert_eq!(read.unwrap(), report.last_sequence, "reader and start agree");
            Some((report.outcome, report.last_sequence))
        }
        Err(JournalError::Corruption { sequence, .. }) => {
            let JournalError::Corruption { sequence: read, .. } = read.unwrap_err() else {
                panic!("the reader differs")
            };
            assert_eq!(sequence, read);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn each_row_of_the_table_on_a_disk() {
    let last = RECORDS + 1;
    // No head, nothing later, all zero: clean end.
    let disk = journal(Durability::Sync);
    assert_eq!(decided(&disk), Some((RecoveryOutcome::Clean, RECORDS)));

    // No head, nothing later, not all zero: torn, never acknowledged.
    let disk = journal(Durability::Sync);
    forget_heads(&disk, last);
    spoil(&disk, last);
    assert_eq!(decided(&disk), Some((RecoveryOutcome::TornTail { bytes: PAGE as u64 }, RECORDS - 1)));

    // No head, a later block that was in flight with X: reordered. X is garbage, then X is zeros.
    for blank in [false, true] {
        let disk = journal_in_flight();
        if blank {
            zero(&disk, &segment(), at(3))
        } else {
            spoil(&disk, 3)
        }
        let bytes = (last - 2) * PAGE as u64;
        let outcome = RecoveryOutcome::ReorderedWrites { first_sequence: 2, bytes };
        assert_eq!(decided(&disk), Some((outcome, 1)), "blank {blank}");
    }

    // No head, a later block that was sealed when X was on stable storage: corruption.
    for blank in [false, true] {
        let disk = journal(Durability::Sync);
        forget_heads(&disk, 1);
        if blank {
            zero(&disk, &segment(), at(3))
        } else {
            spoil(&disk, 3)
        }
        assert_eq!(decided(&disk), None, "blank {blank}");
    }

    // A head says that X was written: corruption, whatever X looks like and whatever stands behind it.
    for (block, blank) in [(last, false), (last, true), (3, false), (3, true)] {
        let disk = journal(Durability::Sync);
        if blank {
            zero(&disk, &segment(), at(block))
        } else {
            spoil(&disk, block)
        }
        assert_eq!(decided(&disk), None, "block {block}, blank {blank}");
    }
    let disk = journal_in_flight();
    let heads = journal(Durability::Sync).contents(&Path::new("journal").join("heads")).unwrap();
    for (offset, byte) in heads.iter().enumerate().skip(4 * PAGE).take(PAGE) {
        // The head of block 3, of another run: that it is there is what counts.
        disk.rot(&Path::new("journal").join("heads"), offset, |_| *byte);
    }
    spoil(&disk, 3);
    assert_eq!(decided(&disk), None, "a head, and a later block that was in flight");
}
