//! What is written is read back: rotation, reopening, limits, refusals.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use lakh_journal::{
    AppendError, BlockFlags, Durability, FORMAT_MAJOR, JournalError, JournalOptions, JournalReader, MAX_PAYLOAD_BYTES,
    RecoveryOutcome, open,
};

use crate::common::{EXCHANGE, LONG, append, append_range, header, options, payload, read_usual};

#[test]
fn records_survive_rotation_and_reopening_at_both_levels() {
    for durability in [Durability::Sync, Durability::Async] {
        let directory = tempfile::tempdir().unwrap();
        let options = JournalOptions { durability, ..options(directory.path()) };
        let (mut writer, report) = open(options.clone()).unwrap();
        assert_eq!((report.outcome, report.last_sequence, report.segments), (RecoveryOutcome::Fresh, 0, 0));
        append_range(&mut writer, 1, 1_000, 10);
        let watch = writer.watch();
        assert!(watch.wait_for(1_000, LONG));
        writer.close().unwrap();
        assert_eq!(watch.durable_sequence(), 1_000);
        assert_eq!(read_usual(directory.path()).unwrap(), 1_000);

        let (mut writer, report) = open(options.clone()).unwrap();
        assert_eq!((report.outcome, report.last_sequence), (RecoveryOutcome::Clean, 1_000));
        assert_eq!(report.last_timestamp_ns, 1_000_000);
        assert!(report.segments > 2, "{} segments", report.segments);
        assert_eq!(writer.watch().durable_sequence(), 1_000);
        append_range(&mut writer, 1_001, 1_100, 1);
        drop(writer);
        assert_eq!(read_usual(directory.path()).unwrap(), 1_100, "drop drains as close does");
    }
}

#[test]
fn blocks_chain_and_carry_the_noted_state() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, _) = open(options(directory.path())).unwrap();
    append_range(&mut writer, 1, 1, 1);
    assert!(writer.watch().wait_for(1, LONG));
    writer.note_state(2, [7; 32], [8; 32]);
    append_range(&mut writer, 2, 2, 1);
    assert!(writer.watch().wait_for(2, LONG));
    append_range(&mut writer, 3, 3, 1);
    writer.close().unwrap();

    let mut reader = JournalReader::open(directory.path()).unwrap();
    assert_eq!((reader.exchange_id(), reader.shard()), (EXCHANGE, 0));
    assert!(reader.block().is_none());
    let mut blocks = Vec::new();
    while reader.next().unwrap().is_some() {
        blocks.push(*reader.block().unwrap());
    }
    let states: Vec<(u64, u64, u8, u8)> = blocks
        .iter()
        .map(|block| (block.number, block.state_sequence, block.state_hash[0], block.event_digest[0]))
        .collect();
    assert_eq!(states, [(2, 0, 0, 0), (3, 2, 7, 8), (4, 0, 0, 0)], "block 1 is the epoch");
    assert_eq!(blocks[1].previous_hash, blocks[0].hash);
    assert_eq!((blocks[2].durable_block, blocks[2].committed_sequence), (3, 2));
    assert!(!blocks[0].flags.contains(BlockFlags::EPOCH));
}

#[test]
fn each_opening_begins_a_term() {
    let directory = tempfile::tempdir().unwrap();
    for term in 1..=3 {
        let (mut writer, report) = open(options(directory.path())).unwrap();
        assert_eq!(report.last_block, (term - 1) * 2);
        append_range(&mut writer, term, term, 1);
        writer.close().unwrap();
        let mut reader = JournalReader::open(directory.path()).unwrap();
        while reader.next().unwrap().is_some() {}
        assert_eq!(reader.block().unwrap().term, term);
    }
}

#[test]
fn limits_are_stated_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, _) = open(options(directory.path())).unwrap();
    let too_large = writer.append(header(1), &vec![0; MAX_PAYLOAD_BYTES + 1]).unwrap_err();
    assert!(matches!(too_large, AppendError::TooLarge { .. }));
    // Nothing is published, so nothing is freed: the ring fills up exactly as free_bytes says.
    let mut sequence = 0;
    loop {
        let free = writer.free_bytes();
        match writer.append(header(sequence + 1), &payload(sequence + 1, MAX_PAYLOAD_BYTES)) {
            Ok(()) => sequence += 1,
            Err(error) => {
                assert_eq!(error, AppendError::Full);
                assert!(free < 16 * 1024, "{free} bytes were said to be free");
                break;
            }
        }
    }
    assert_eq!(sequence, 4);
    writer.publish();
    assert!(writer.watch().wait_for(4, LONG));
    assert!(append(&mut writer, 5, 0), "an empty payload is a record");
    writer.close().unwrap();
    let mut reader = JournalReader::open(directory.path()).unwrap();
    for sequence in 1..=4 {
        let record = reader.next().unwrap().unwrap();
        assert_eq!((record.header, record.payload), (header(sequence), &payload(sequence, MAX_PAYLOAD_BYTES)[..]));
    }
    assert_eq!(reader.next().unwrap().unwrap().payload, b"");
    assert!(reader.next().unwrap().is_none());
}

#[test]
#[should_panic(expected = "sequences are gapless")]
fn a_gap_is_a_bug_of_the_caller() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, _) = open(options(directory.path())).unwrap();
    let _ = writer.append(header(2), b"");
}

#[test]
fn a_locked_directory_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let (writer, _) = open(options(directory.path())).unwrap();
    let error = open(options(directory.path())).unwrap_err();
    assert!(matches!(error, JournalError::Locked { .. }));
    assert!(error.to_string().starts_with("another process runs on "), "{error}");
    writer.close().unwrap();
    open(options(directory.path())).unwrap();
}

#[test]
fn another_exchange_or_shard_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    open(options(directory.path())).unwrap().0.close().unwrap();
    let foreign = JournalOptions { exchange_id: [9; 16], ..options(directory.path()) };
    let error = open(foreign).unwrap_err();
    assert!(matches!(error, JournalError::ForeignExchange { .. }), "{error}");
    let shard = JournalOptions { shard: 4, ..options(directory.path()) };
    let error = open(shard).unwrap_err();
    assert!(matches!(error, JournalError::ForeignExchange { .. }), "{error}");
    open(options(directory.path())).unwrap();
}

#[test]
fn a_future_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    open(options(directory.path())).unwrap().0.close().unwrap();
    let path = directory.path().join("0-0000000000000000.lkj");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 3;
    bytes[4096 + 8] = 3;
    std::fs::write(&path, bytes).unwrap();
    for error in [open(options(directory.path())).unwrap_err(), read_usual(directory.path()).unwrap_err()] {
        assert!(matches!(error, JournalError::FutureFormat { found: 3, known: FORMAT_MAJOR, .. }), "{error}");
    }
}

#[test]
fn a_format_of_before_the_first_frozen_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    open(options(directory.path())).unwrap().0.close().unwrap();
    let path = directory.path().join("0-0000000000000000.lkj");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 0;
    bytes[4096 + 8] = 0;
    std::fs::write(&path, bytes).unwrap();
    for error in [open(options(directory.path())).unwrap_err(), read_usual(directory.path()).unwrap_err()] {
        assert!(matches!(error, JournalError::EarlyFormat { found: 0, oldest: 1, .. }), "{error}");
        assert!(error.to_string().contains("begin a new journal in another directory"), "{error}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let directory = tempfile::tempdir().unwrap();
    for place in [directory.path().to_owned(), directory.path().join("nowhere")] {
        let error = JournalReader::open(&place).unwrap_err();
        assert!(matches!(error, JournalError::NoJournal { .. }), "{error}");
    }
    let (mut writer, _) = open(options(directory.path())).unwrap();
    append_range(&mut writer, 1, 1_000, 10);
    writer.close().unwrap();

    let inner = directory.path().join("0-0000000000000001.lkj");
    let kept = std::fs::read(&inner).unwrap();
    std::fs::remove_file(&inner).unwrap();
    let error = open(options(directory.path())).unwrap_err();
    assert!(matches!(error, JournalError::MissingSegment { index: 1, .. }), "{error}");
    std::fs::write(&inner, kept).unwrap();

    std::fs::remove_file(directory.path().join("heads")).unwrap();
    let error = open(options(directory.path())).unwrap_err();
    assert!(matches!(error, JournalError::HeadsMissing { sequence: 1_001, .. }), "{error}");
    let stated = JournalOptions { truncate_at: Some(1_001), ..options(directory.path()) };
    let (writer, report) = open(stated).unwrap();
    assert_eq!((report.outcome, report.last_sequence), (RecoveryOutcome::Clean, 1_000));
    writer.close().unwrap();

    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "lkj") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let error = open(options(directory.path())).unwrap_err();
    assert!(matches!(error, JournalError::MissingSegment { .. }), "all segments gone is not a fresh start: {error}");
}

#[test]
fn the_oldest_segments_may_go() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, _) = open(options(directory.path())).unwrap();
    append_range(&mut writer, 1, 1, 1);
    assert!(writer.watch().wait_for(1, LONG));
    append_range(&mut writer, 2, 1_000, 10);
    writer.close().unwrap();
    std::fs::remove_file(directory.path().join("0-0000000000000000.lkj")).unwrap();
    let (writer, report) = open(options(directory.path())).unwrap();
    assert_eq!(report.last_sequence, 1_000);
    writer.close().unwrap();
    let mut reader = JournalReader::open(directory.path()).unwrap();
    assert!(reader.next().unwrap().unwrap().header.sequence > 1);
}

#[test]
fn a_reader_begins_behind_any_record() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, _) = open(options(directory.path())).unwrap();
    // Into the first segment for certain: a large block could begin the second one.
    append_range(&mut writer, 1, 2, 1);
    assert!(writer.watch().wait_for(2, LONG));
    append_range(&mut writer, 3, 1_000, 7);
    writer.close().unwrap();
    for behind in (0..=1_000).step_by(13).chain([1_000]) {
        let mut reader = JournalReader::open_behind(directory.path(), behind).unwrap();
        for sequence in behind + 1..=(behind + 20).min(1_000) {
            assert_eq!(reader.next().unwrap().unwrap().header, header(sequence));
        }
        assert_eq!(behind + 20 > 1_000, reader.next().unwrap().is_none());
    }
    let beyond = JournalReader::open_behind(directory.path(), 1_001).unwrap_err();
    assert!(matches!(beyond, JournalError::NoRecord { sequence: 1_001, .. }), "{beyond}");
    std::fs::remove_file(directory.path().join("0-0000000000000000.lkj")).unwrap();
    let archived = JournalReader::open_behind(directory.path(), 1).unwrap_err();
    assert!(matches!(archived, JournalError::NoRecord { sequence: 1, .. }), "{archived}");
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn the_waiter_is_woken() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, _) = open(options(directory.path())).unwrap();
    let watch = writer.watch();
    watch.set_waiter(Waker::from(Arc::new(Unpark(std::thread::current()))));
    append_range(&mut writer, 1, 1, 1);
    while watch.durable_sequence() < 1 {
        std::thread::park_timeout(LONG);
    }
    assert!(!watch.wait_for(2, Duration::from_millis(1)));
}
