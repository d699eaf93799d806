//! What a journal is held to beyond damage and single faults: a disk that stalls, every way in which a block's sectors
//! can be torn, crashes inside a snapshot.

use std::path::Path;

use lakh_journal::faults::{Fault, SimulatedDisk};
use lakh_journal::snapshot::{self, SnapshotHeader};
use lakh_journal::{AppendError, JournalOptions, RecoveryOutcome, open_with};

use crate::common::{EXCHANGE, LONG, append_range, header, options};

const PAGE: usize = 4096;
const SECTOR: usize = 512;

fn directory() -> &'static Path {
    Path::new("journal")
}

#[test]
fn a_stalled_disk_refuses_input_and_acknowledges_nothing_until_it_goes_on() {
    let disk = SimulatedDisk::new(1);
    let roomy = JournalOptions { segment_bytes: 1 << 20, ..options(directory()) };
    let (mut writer, _) = open_with(disk.clone(), roomy.clone()).unwrap();
    let watch = writer.watch();
    append_range(&mut writer, 1, 10, 10);
    assert!(watch.wait_for(10, LONG));
    disk.stall();
    let mut sequence = 10;
    let refused = loop {
        match writer.append(header(sequence + 1), &[7; 100]) {
            Ok(()) => sequence += 1,
            Err(error) => break error,
        }
        writer.publish();
        assert!(sequence < 10_000, "the ring has 64 KiB");
    };
    assert_eq!(refused, AppendError::Full);
    for _ in 0..1_000 {
        assert_eq!(writer.append(header(sequence + 1), &[7; 100]), Err(AppendError::Full), "it stays full, at once");
    }
    assert_eq!((watch.durable_sequence(), watch.stopped()), (10, None));
    disk.resume();
    assert!(watch.wait_for(sequence, LONG), "all that was taken before is acknowledged");
    writer.append(header(sequence + 1), &[7; 100]).unwrap();
    writer.close().unwrap();
    assert_eq!(open_with(disk, roomy).unwrap().1.last_sequence, sequence + 1);
}

#[test]
fn every_subset_of_the_sectors_of_a_block_in_flight_is_recovered() {
    // Block 4 holds record 3 and fills its page, so each of its eight sectors matters; its head was never written.
    let disk = SimulatedDisk::new(1);
    let (mut writer, _) = open_with(disk.clone(), options(directory())).unwrap();
    append_range(&mut writer, 1, 2, 1);
    assert!(writer.watch().wait_for(2, LONG));
    writer.append(header(3), &[0xEE; PAGE - 256 - 32]).unwrap();
    writer.close().unwrap();
    let segment = directory().join("0-0000000000000000.lkj");
    let bytes = disk.contents(&segment).unwrap();
    let last = bytes[..bytes.len() - PAGE].iter().rposition(|byte| *byte != 0).unwrap() / PAGE * PAGE;
    let number = u64::from_le_bytes(bytes[last + 16..last + 24].try_into().unwrap()) as usize;
    let zero = |disk: &SimulatedDisk, path: &Path, from: usize, count: usize| {
        (from..from + count).for_each(|at| disk.rot(path, at, |_| 0));
    };
    zero(&disk, &directory().join("heads"), (1 + number) * PAGE, PAGE);
    for kept in 0..=255_u32 {
        let torn = disk.duplicate(u64::from(kept));
        for sector in (0..8).filter(|sector| kept & (1 << sector) == 0) {
            zero(&torn, &segment, last + sector * SECTOR, SECTOR);
        }
        let (writer, report) = open_with(torn.clone(), options(directory())).unwrap();
        writer.close().unwrap();
        let expected = match kept {
            0 => (RecoveryOutcome::Clean, 2),
            255 => (RecoveryOutcome::Clean, 3),
            _ => (RecoveryOutcome::TornTail { bytes: PAGE as u64 }, 2),
        };
        assert_eq!((report.outcome, report.last_sequence), expected, "kept {kept:08b}");
        assert_eq!(open_with(torn, options(directory())).unwrap().1.outcome, RecoveryOutcome::Clean);
    }
}

fn snapshot_of(sequence: u64) -> SnapshotHeader {
    SnapshotHeader { exchange_id: EXCHANGE, shard: 0, sequence, block_hash: [1; 32] }
}

fn newest(disk: &SimulatedDisk) -> u64 {
    let found = snapshot::load_newest(disk, directory(), (&EXCHANGE, 0), |_| true).unwrap().unwrap();
    assert_eq!(found.payload, vec![found.header.sequence as u8; 5_000]);
    found.header.sequence
}

#[test]
fn a_crash_or_a_full_disk_inside_a_snapshot_leaves_the_one_before() {
    let save = |disk: &SimulatedDisk, sequence: u64| {
        snapshot::save(disk, directory(), &snapshot_of(sequence), &vec![sequence as u8; 5_000])
    };
    let ready = |seed| {
        let disk = SimulatedDisk::new(seed);
        save(&disk, 10).unwrap();
        save(&disk, 20).unwrap();
        disk
    };
    let before = ready(0).calls().len();
    let whole = ready(0);
    save(&whole, 30).unwrap();
    assert_eq!(newest(&whole), 30);
    for index in before..whole.calls().len() {
        for (round, fault) in [Fault::PowerCut, Fault::PowerCut, Fault::PowerCut, Fault::NoSpace, Fault::InputOutput]
            .into_iter()
            .enumerate()
        {
            let disk = ready((index * 8 + round) as u64);
            disk.fail_at(index, fault);
            let saved = save(&disk, 30);
            assert!(saved.is_err(), "{fault:?} at call {index}");
            if fault == Fault::PowerCut {
                disk.power_cycle();
            }
            assert!([20, 30].contains(&newest(&disk)), "{fault:?} at call {index}");
            // The next one succeeds, and two are left.
            let disk = disk.duplicate(1);
            save(&disk, 40).unwrap();
            assert_eq!(newest(&disk), 40);
            assert_eq!(snapshot::list(&disk, directory(), 0).unwrap().len(), 2, "{fault:?} at call {index}");
        }
    }
}
