//! Cut and corrupted at every byte: the table of recovery, seen through `open` and `JournalReader`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use lakh_journal::faults::SimulatedDisk;
use lakh_journal::{
    BlockFlags, JournalError, JournalOptions, JournalReader, RecoveryOutcome, RecoveryReport, open_with,
};

use crate::common::{LONG, append_range, options, read_usual};

const PAGE: usize = 4096;
const FIRST_BLOCK: usize = 2 * PAGE;

fn directory() -> &'static Path {
    Path::new("journal")
}

fn segment() -> PathBuf {
    directory().join("0-0000000000000000.lkj")
}

/// A closed journal: an epoch block, then one block for each record.
fn closed_journal(records: u64) -> SimulatedDisk {
    closed_journal_on(SimulatedDisk::new(1), records, |_| {})
}

/// The same on a given disk, closed only once `wait` has returned.
fn closed_journal_on(disk: SimulatedDisk, records: u64, wait: impl FnOnce(&SimulatedDisk)) -> SimulatedDisk {
    let (mut writer, _) = open_with(disk.clone(), options(directory())).unwrap();
    for sequence in 1..=records {
        append_range(&mut writer, sequence, sequence, 1);
        assert!(writer.watch().wait_for(sequence, LONG));
    }
    wait(&disk);
    writer.close().unwrap();
    disk
}

/// Waits for the next segment, which is made in the background and which a close does not wait for.
fn wait_for_file(disk: &SimulatedDisk, path: &Path) {
    let begun = Instant::now();
    while disk.contents(path).is_none() {
        assert!(begun.elapsed() < LONG, "{} is not made", path.display());
        std::thread::yield_now();
    }
}

/// Takes back the head of block `number`: as if the machine died before it was written.
fn forget_head(disk: &SimulatedDisk, number: usize) {
    for offset in 0..PAGE {
        disk.rot(&directory().join("heads"), (1 + number % 64) * PAGE + offset, |_| 0);
    }
}

fn reopen(disk: &SimulatedDisk) -> Result<RecoveryReport, JournalError> {
    let (writer, report) = open_with(disk.clone(), options(directory()))?;
    writer.close().unwrap();
    Ok(report)
}

fn read_exported(disk: &SimulatedDisk) -> Result<u64, JournalError> {
    let real = tempfile::tempdir().unwrap();
    disk.export(real.path()).unwrap();
    read_usual(real.path())
}

#[test]
fn a_tail_torn_at_every_byte_is_removed() {
    // Block 6 holds record 5; its write was cut short and its head never written.
    let disk = closed_journal(5);
    let start = FIRST_BLOCK + 5 * PAGE;
    forget_head(&disk, 6);
    let whole = disk.contents(&segment()).unwrap();
    let written = PAGE - whole[start..start + PAGE].iter().rev().take_while(|byte| **byte == 0).count();
    for cut in 0..=PAGE {
        let torn = disk.duplicate(cut as u64);
        for offset in cut..PAGE {
            torn.rot(&segment(), start + offset, |_| 0);
        }
        let read = if cut % 64 == 0 { Some(read_exported(&torn).unwrap()) } else { None };
        let report = reopen(&torn).unwrap();
        let (outcome, last) = if cut == 0 {
            (RecoveryOutcome::Clean, 4)
        } else if cut < written {
            (RecoveryOutcome::TornTail { bytes: PAGE as u64 }, 4)
        } else {
            (RecoveryOutcome::Clean, 5)
        };
        assert_eq!((report.outcome, report.last_sequence), (outcome, last), "cut at {cut}");
        assert!(read.is_none_or(|read| read == last), "the reader agrees, cut at {cut}");
        // What the opening made of it opens cleanly.
        let again = reopen(&torn).unwrap();
        assert_eq!((again.outcome, again.last_sequence), (RecoveryOutcome::Clean, last), "cut at {cut}");
    }
}

#[test]
fn every_flipped_bit_is_found_or_harmless() {
    let disk = closed_journal(3);
    let used = FIRST_BLOCK + 4 * PAGE;
    let segment_bytes = 64 * 1024;
    // Every bit of the last acknowledged block, every byte of the other blocks, a stride elsewhere.
    let last_block = (used - PAGE) * 8..used * 8;
    let other_blocks = (FIRST_BLOCK * 8..(used - PAGE) * 8).step_by(8).enumerate().map(|(nth, bit)| bit + nth % 8);
    let headers = (0..FIRST_BLOCK * 8).step_by(61);
    let behind = (used * 8..segment_bytes * 8).step_by(997);
    for bit in last_block.chain(other_blocks).chain(headers).chain(behind) {
        let rotten = disk.duplicate(bit as u64);
        rotten.rot(&segment(), bit / 8, |byte| byte ^ (1 << (bit % 8)));
        let in_blocks = (FIRST_BLOCK * 8..used * 8).contains(&bit);
        match reopen(&rotten) {
            Err(JournalError::Corruption { .. }) => assert!(in_blocks, "bit {bit}"),
            Err(error) => panic!("bit {bit}: {error}"),
            Ok(report) => {
                assert!(!in_blocks, "bit {bit} of a block was accepted");
                assert_eq!(report.last_sequence, 3, "bit {bit}");
            }
        }
    }
}

#[test]
fn rot_in_heads_or_spare_loses_nothing() {
    let spare = "0-0000000000000001.lkn";
    let disk = closed_journal_on(SimulatedDisk::new(1), 3, |disk| wait_for_file(disk, &directory().join(spare)));
    for (file, stride) in [("heads", 997), (spare, 9_973)] {
        let path = directory().join(file);
        let bits = disk.contents(&path).unwrap().len() * 8;
        for bit in (0..bits).step_by(stride) {
            let rotten = disk.duplicate(bit as u64);
            rotten.rot(&path, bit / 8, |byte| byte ^ (1 << (bit % 8)));
            match reopen(&rotten) {
                Ok(report) => assert_eq!(report.last_sequence, 3, "bit {bit} of {file}"),
                Err(JournalError::DamagedSegment { .. } | JournalError::FutureFormat { .. }) => {
                    assert!(file == "heads" && bit < PAGE * 8, "bit {bit} of {file}");
                }
                Err(error) => panic!("bit {bit} of {file}: {error}"),
            }
        }
    }
}

#[test]
fn a_lost_last_block_is_corruption_while_its_head_is_there() {
    let disk = closed_journal(3);
    let start = FIRST_BLOCK + 3 * PAGE;
    for offset in 0..PAGE {
        disk.rot(&segment(), start + offset, |_| 0);
    }
    let refused = |error: JournalError| match error {
        JournalError::Corruption { offset, sequence, detail, .. } => (offset, sequence, detail),
        error => panic!("{error}"),
    };
    let (offset, sequence, detail) = refused(reopen(&disk).unwrap_err());
    assert_eq!((offset, sequence), (start as u64, 3));
    assert!(detail.contains("its head says"), "{detail}");
    assert_eq!(refused(read_exported(&disk).unwrap_err()).1, 3, "the reader gives the same verdict");
    assert!(reopen(&disk).unwrap_err().to_string().contains("--truncate-at 3"));
}

#[test]
fn a_damaged_inner_block_is_corruption_even_without_heads() {
    let disk = closed_journal(5);
    for number in 1..=6 {
        forget_head(&disk, number);
    }
    disk.rot(&segment(), FIRST_BLOCK + 3 * PAGE + 300, |byte| !byte);
    let error = reopen(&disk).unwrap_err();
    let JournalError::Corruption { sequence: 3, detail, .. } = error else { panic!("{error}") };
    assert!(detail.contains("a later block says"), "{detail}");
    assert!(read_exported(&disk).is_err());
}

#[test]
fn the_operator_may_cut_at_exactly_the_first_lost_sequence() {
    let disk = closed_journal(5);
    disk.rot(&segment(), FIRST_BLOCK + 3 * PAGE + 300, |byte| !byte);
    let at = |sequence| JournalOptions { truncate_at: Some(sequence), ..options(directory()) };
    for wrong in [2, 4, 6] {
        let error = open_with(disk.clone(), at(wrong)).unwrap_err();
        assert!(matches!(error, JournalError::Corruption { sequence: 3, .. }), "{error}");
    }
    let (mut writer, report) = open_with(disk.clone(), at(3)).unwrap();
    let bytes = 3 * PAGE as u64;
    assert_eq!(report.outcome, RecoveryOutcome::OperatorTruncation { first_sequence: 3, bytes });
    assert_eq!(report.last_sequence, 2);
    append_range(&mut writer, 3, 4, 1);
    writer.close().unwrap();
    let report = open_with(disk.clone(), at(3)).map(|(_, report)| report).unwrap();
    assert_eq!((report.outcome, report.last_sequence), (RecoveryOutcome::Clean, 4), "the option acts once");

    let real = tempfile::tempdir().unwrap();
    disk.export(real.path()).unwrap();
    let mut reader = JournalReader::open(real.path()).unwrap();
    let epoch_flags = |flags: BlockFlags| flags.contains(BlockFlags::EPOCH | BlockFlags::AFTER_OPERATOR_TRUNCATION);
    // The cut stands in the chain: in the epoch block (4) before the records that came after it.
    let numbers: Vec<(u64, u64)> = std::iter::from_fn(|| {
        let sequence = reader.next().unwrap()?.header.sequence;
        let block = reader.block().unwrap();
        assert!(!epoch_flags(block.flags));
        Some((sequence, block.number))
    })
    .collect();
    assert_eq!((numbers[1], numbers[2].0), ((2, 3), 3));
    let bytes = disk.contents(&segment()).unwrap();
    let flags = &bytes[FIRST_BLOCK + 3 * PAGE + 36..][..4];
    assert!(epoch_flags(BlockFlags(u32::from_le_bytes(flags.try_into().unwrap()))));
}

#[test]
fn stale_foreign_and_misplaced_blocks_are_refused() {
    let disk = closed_journal(4);
    let bytes = disk.contents(&segment()).unwrap();
    // Another disk draws other nonces.
    let other = closed_journal_on(SimulatedDisk::new(2), 4, |_| {});
    let foreign = other.contents(&segment()).unwrap();
    let block = |bytes: &[u8], number: usize| bytes[FIRST_BLOCK + (number - 1) * PAGE..][..PAGE].to_vec();
    // Into the place of block 4: block 3 again, block 5 too early, the same block of another journal.
    for (replacement, what) in [
        (block(&bytes, 3), "a duplicate"),
        (block(&bytes, 5), "a misdirected write"),
        (block(&foreign, 4), "another journal's block"),
    ] {
        let changed = disk.duplicate(0);
        for (offset, byte) in replacement.iter().enumerate() {
            changed.rot(&segment(), FIRST_BLOCK + 3 * PAGE + offset, |_| *byte);
        }
        let error = reopen(&changed).unwrap_err();
        assert!(matches!(error, JournalError::Corruption { sequence: 3, .. }), "{what}: {error}");
    }
}

#[test]
fn damage_in_a_sealed_segment_is_found() {
    let disk = SimulatedDisk::new(1);
    let (mut writer, _) = open_with(disk.clone(), options(directory())).unwrap();
    append_range(&mut writer, 1, 1_000, 10);
    writer.close().unwrap();
    assert_eq!(read_exported(&disk).unwrap(), 1_000);
    // In a block: the reader's business. In the footer: the opening's, too.
    for (offset, opening_finds_it) in [(FIRST_BLOCK + 99, false), (64 * 1024 - 1_000, true)] {
        let rotten = disk.duplicate(0);
        rotten.rot(&segment(), offset, |byte| byte ^ 4);
        assert!(matches!(read_exported(&rotten), Err(JournalError::DamagedSegment { .. })), "offset {offset}");
        match reopen(&rotten) {
            Ok(_) => assert!(!opening_finds_it, "offset {offset}"),
            Err(JournalError::DamagedSegment { .. }) => assert!(opening_finds_it, "offset {offset}"),
            Err(error) => panic!("{error}"),
        }
    }
}
