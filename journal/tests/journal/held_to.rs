//! What a journal is held to beyond damage and single faults: a disk that stalls, every way in which a block's sectors
//! can be torn, tampering with checksums made to fit, crashes inside a snapshot.

use std::path::Path;

use lakh_journal::faults::{Fault, SimulatedDisk};
use lakh_journal::proof::Proof;
use lakh_journal::snapshot::{self, SnapshotHeader};
use lakh_journal::verify::{Activity, verify};
use lakh_journal::{AppendError, JournalError, JournalOptions, RecoveryOutcome, open_with};

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

/// Changes the first record of a block and makes every checksum and hash in the block fit again.
fn forge(block: &mut [u8], previous_hash: Option<[u8; 32]>, change: bool) -> [u8; 32] {
    let records = u32::from_le_bytes(block[12..16].try_into().unwrap()) as usize;
    if change {
        let length = u32::from_le_bytes(block[256..260].try_into().unwrap()) as usize;
        block[256 + 16] ^= 1;
        let crc = crc_fast::crc32_iscsi(&block[256 + 8..256 + length]);
        block[260..264].copy_from_slice(&crc.to_le_bytes());
    }
    if let Some(previous_hash) = previous_hash {
        block[192..224].copy_from_slice(&previous_hash);
    }
    let hash = *blake3::hash(&[&block[8..224], &block[256..256 + records]].concat()).as_bytes();
    block[224..256].copy_from_slice(&hash);
    let crc = crc_fast::crc32_iscsi(&block[8..256]);
    block[4..8].copy_from_slice(&crc.to_le_bytes());
    hash
}

fn overwrite(disk: &SimulatedDisk, path: &Path, offset: usize, bytes: &[u8]) {
    bytes.iter().enumerate().for_each(|(index, byte)| disk.rot(path, offset + index, |_| *byte));
}

#[test]
fn tampering_with_checksums_made_to_fit_is_found_by_chain_heads_or_an_anchor() {
    // Block n + 1 holds record n, in page n + 2.
    let disk = SimulatedDisk::new(1);
    let (mut writer, _) = open_with(disk.clone(), options(directory())).unwrap();
    for sequence in 1..=5 {
        append_range(&mut writer, sequence, sequence, 1);
        assert!(writer.watch().wait_for(sequence, LONG));
    }
    writer.close().unwrap();
    let segment = directory().join("0-0000000000000000.lkj");
    let bytes = disk.contents(&segment).unwrap();
    let block = |number: usize| bytes[(number + 1) * PAGE..][..PAGE].to_vec();
    let anchor: [u8; 32] = block(6)[224..256].try_into().unwrap();

    // One block, consistent in itself: the next one does not continue it.
    let one = disk.duplicate(2);
    let mut forged = block(3);
    forge(&mut forged, None, true);
    overwrite(&one, &segment, 4 * PAGE, &forged);
    let error = open_with(one, options(directory())).unwrap_err();
    assert!(matches!(error, JournalError::Corruption { sequence: 3, .. }), "{error}");

    // The last block: nothing continues it, its head contradicts it.
    let last = disk.duplicate(3);
    let mut forged = block(6);
    forge(&mut forged, None, true);
    overwrite(&last, &segment, 7 * PAGE, &forged);
    let error = open_with(last, options(directory())).unwrap_err();
    assert!(matches!(error, JournalError::Corruption { .. }), "{error}");

    // The whole chain and every head: consistent, and only who kept a hash can tell.
    let whole = disk.duplicate(4);
    let mut previous = None;
    for number in 3..=6 {
        let mut forged = block(number);
        previous = Some(forge(&mut forged, previous, number == 3));
        overwrite(&whole, &segment, (number + 1) * PAGE, &forged);
        let mut head = whole.contents(&directory().join("heads")).unwrap()[(1 + number) * PAGE..][..PAGE].to_vec();
        head[16..272].copy_from_slice(&forged[..256]);
        let crc = crc_fast::crc32_iscsi(&[&head[..4], &head[8..]].concat());
        head[4..8].copy_from_slice(&crc.to_le_bytes());
        overwrite(&whole, &directory().join("heads"), (1 + number) * PAGE, &head);
    }
    let real = tempfile::tempdir().unwrap();
    whole.export(real.path()).unwrap();
    assert_eq!(verify(real.path(), Activity::AtRest, &|_| {}).unwrap().findings, []);
    let forged = Proof::collect(real.path(), 2, None).unwrap();
    assert_ne!(forged.check().unwrap().anchor, anchor);
    let honest = tempfile::tempdir().unwrap();
    disk.export(honest.path()).unwrap();
    assert_eq!(Proof::collect(honest.path(), 2, None).unwrap().check().unwrap().anchor, anchor);
}

fn snapshot_of(sequence: u64) -> SnapshotHeader {
    SnapshotHeader { exchange_id: EXCHANGE, shard: 0, sequence, block_hash: [1; 32] }
}

fn newest(disk: &SimulatedDisk) -> u64 {
    // What has a name that counts is whole, whatever happened.
    let sequence = snapshot::list(disk, directory(), 0).unwrap()[0];
    let found = snapshot::load(disk, directory(), (&EXCHANGE, 0), sequence).unwrap();
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
