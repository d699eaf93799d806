//! Journals through a horizon into a mirror: byte for byte the same, never further than the limit, and everything that is
//! not the source's own next part refused.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::horizon::{Horizon, Limit, Piece};
use crate::verify::{Activity, verify};
use crate::{Durability, JournalOptions, JournalReader, JournalWriter, RecordHeader, open};

const EXCHANGE: [u8; 16] = *b"exchange of test";
const ALL: Limit = Limit { through_sequence: u64::MAX, sealed_through_ns: u64::MAX };
/// More than a block, as a response has.
const MOST: u64 = 128 * 1024;

fn options(directory: &Path) -> JournalOptions {
    let bytes = 64 * 1024;
    JournalOptions {
        segment_bytes: bytes,
        ring_bytes: bytes as usize,
        durability: Durability::Async,
        ..JournalOptions::new(directory, EXCHANGE)
    }
}

/// Appends records up to `last`, each in a block of its own; `salt` is in every payload.
fn append(writer: &mut JournalWriter, last: u64, salt: u8) {
    let watch = writer.watch();
    for sequence in watch.durable_sequence() + 1..=last {
        let header = RecordHeader { sequence, timestamp_ns: sequence, ..RecordHeader::default() };
        writer.append(header, &[salt; 200]).unwrap();
        writer.publish();
        assert!(watch.wait_for(sequence, std::time::Duration::from_secs(60)));
    }
}

/// A journal at rest with records up to `last`.
fn journal(last: u64, salt: u8) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, _) = open(options(directory.path())).unwrap();
    append(&mut writer, last, salt);
    writer.close().unwrap();
    directory
}

fn horizon(directory: &Path, limit: Limit) -> Horizon {
    let mut horizon = Horizon::open(directory).unwrap();
    while horizon.advance(limit).unwrap() {}
    horizon
}

/// What the source answers: nothing where there is nothing yet.
fn ask(source: &Horizon, at: Position) -> Vec<u8> {
    match source.piece(at, MOST).unwrap() {
        Piece::Bytes(mut piece) => piece.next(usize::MAX).unwrap(),
        Piece::NotYet => Vec::new(),
        other => panic!("{other:?} at {at:?}"),
    }
}

/// Mirrors everything that the source shows, a few bytes at a time.
fn follow(mirror: &mut Mirror, source: &Horizon) {
    loop {
        let bytes = ask(source, mirror.wanted());
        if bytes.is_empty() {
            return mirror.sync().unwrap();
        }
        bytes.chunks(5_000).for_each(|chunk| mirror.take(chunk).unwrap());
    }
}

fn same_segments(left: &Path, right: &Path) -> usize {
    let segments = list_segments(&RealStorage, left).unwrap();
    assert_eq!(segments, list_segments(&RealStorage, right).unwrap());
    for (shard, index) in &segments {
        let name = file_name(*shard, *index);
        assert!(fs::read(left.join(&name)).unwrap() == fs::read(right.join(&name)).unwrap(), "{name}");
    }
    segments.len()
}

#[test]
fn a_mirror_is_the_journal_byte_for_byte_and_grows_with_it() {
    let (source, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut writer, _) = open(options(source.path())).unwrap();
    for round in 1..=6 {
        append(&mut writer, round * 11, 7);
        // Opened anew each time, as by a fetcher that comes and goes.
        let mut mirror = Mirror::open(copy.path(), Some(EXCHANGE)).unwrap();
        let shown = horizon(source.path(), ALL);
        if let Some(Anchor { at, .. }) = mirror.anchor() {
            mirror.confirm(&ask(&shown, at)).unwrap();
        }
        follow(&mut mirror, &shown);
        assert_eq!((mirror.last_sequence(), shown.last_sequence()), (round * 11, round * 11));
    }
    writer.close().unwrap();
    assert!(same_segments(source.path(), copy.path()) > 3);
    let verified = verify(copy.path(), Activity::AtRest, &|_| {}).unwrap();
    assert_eq!((verified.last_sequence, verified.findings.as_slice()), (66, [].as_slice()));
    let shown = horizon(source.path(), ALL).segments(0, 100).unwrap();
    assert_eq!(shown.len(), verified.segments.len());
    for (shown, segment) in shown.iter().zip(&verified.segments) {
        let expected = (segment.index, segment.first_block, segment.first_sequence, segment.used_bytes, segment.sealed);
        let (end, sealed) = (shown.end_offset, shown.is_sealed);
        assert_eq!((shown.index, shown.first_block, shown.first_sequence, end, sealed), expected);
        assert_eq!(shown.last_sequence, segment.first_sequence + segment.records - 1);
    }
    assert_eq!(shown.last().unwrap().last_block_hash, verified.last_block_hash);
    assert_eq!(horizon(source.path(), ALL).segments(1, 2).unwrap()[..], shown[1..3]);
}

#[test]
fn a_horizon_stops_at_its_limit_by_record_and_by_time() {
    let source = journal(40, 1);
    for through_sequence in 0..=40 {
        let limit = Limit { through_sequence, ..ALL };
        assert_eq!(horizon(source.path(), limit).last_sequence(), through_sequence, "each record has its block");
    }
    let mut reader = JournalReader::open(source.path()).unwrap();
    let mut sealed = Vec::new();
    while reader.next().unwrap().is_some() {
        sealed.push(reader.block().unwrap().sealed_at_ns);
    }
    for at in [0, 1, 17, 39] {
        let shown = horizon(source.path(), Limit { sealed_through_ns: sealed[at], ..ALL }).last_sequence();
        let due = sealed.iter().take_while(|time| **time <= sealed[at]).count() as u64;
        assert_eq!(shown, due);
    }
    let before = Limit { sealed_through_ns: sealed[0] - 1, ..ALL };
    assert_eq!(horizon(source.path(), before).last_sequence(), 0);
}

#[test]
fn what_is_behind_the_horizon_is_not_told() {
    let source = journal(40, 1);
    let shown = horizon(source.path(), Limit { through_sequence: 20, ..ALL });
    let end = shown.position();
    assert!(matches!(shown.piece(end, MOST).unwrap(), Piece::NotYet));
    for at in [
        Position { offset: end.offset + 4_096, ..end },
        Position { segment: end.segment + 1, offset: 0 },
        Position { segment: u64::MAX, offset: 0 },
        Position { segment: 0, offset: u64::MAX },
    ] {
        assert!(matches!(shown.piece(at, MOST).unwrap(), Piece::Beyond), "{at:?}");
    }
    let Piece::Bytes(all) = shown.piece(Position { offset: 0, ..end }, u64::MAX).unwrap() else { panic!("bytes") };
    assert_eq!(all.remaining(), end.offset, "however much is asked for");
    fs::remove_file(source.path().join(file_name(0, 0))).unwrap();
    let gone = shown.piece(Position { segment: 0, offset: 0 }, MOST).unwrap();
    assert!(matches!(gone, Piece::Gone { oldest: 1 }), "{gone:?}");
}

#[test]
fn a_horizon_goes_on_at_the_oldest_segment_when_its_own_was_let_go() {
    let source = journal(60, 1);
    let mut public = Horizon::open(source.path()).unwrap();
    assert_eq!(public.position().segment, 0);
    for index in [0, 1] {
        fs::remove_file(source.path().join(file_name(0, index))).unwrap();
    }
    while public.advance(ALL).unwrap() {}
    assert_eq!(public.last_sequence(), 60);
}

/// Everything that a source of two segments and more sends, with where each part begins.
fn parts(source: &Path) -> Vec<(Position, Vec<u8>)> {
    let scratch = tempfile::tempdir().unwrap();
    let mut mirror = Mirror::open(scratch.path(), None).unwrap();
    let shown = horizon(source, ALL);
    let mut parts = Vec::new();
    loop {
        let at = mirror.wanted();
        let bytes = ask(&shown, at);
        if bytes.is_empty() {
            return parts;
        }
        let size = mirror.next_part(&bytes).unwrap().unwrap().1;
        mirror.take(&bytes[..size]).unwrap();
        parts.push((at, bytes[..size].to_vec()));
    }
}

/// Sends `parts` into a new mirror; how many were kept, and why the next one was not.
fn send(parts: &[(Position, Vec<u8>)]) -> (usize, JournalError) {
    let scratch = tempfile::tempdir().unwrap();
    let mut mirror = Mirror::open(scratch.path(), Some(EXCHANGE)).unwrap();
    for (kept, (_, bytes)) in parts.iter().enumerate() {
        if let Err(error) = mirror.take(bytes) {
            let chain = mirror.chain;
            drop(mirror);
            let again = Mirror::open(scratch.path(), Some(EXCHANGE)).unwrap();
            assert_eq!(again.chain, chain, "what was refused has left nothing");
            return (kept, error);
        }
    }
    panic!("everything was taken")
}

#[test]
fn each_changed_byte_of_each_kind_of_part_is_refused() {
    let source = journal(20, 1);
    let parts = parts(source.path());
    let footer = parts.iter().position(|(_, bytes)| is_footer_page(bytes)).unwrap();
    // Headers, the epoch's block, a block with a record, a footer, the next segment's headers: their first bytes, each
    // field's surroundings, and their last ones.
    for part in [0, 1, 2, footer, footer + 1] {
        let size = parts[part].1.len();
        for byte in (0..64).chain((64..size).step_by(97)).chain(size - 3..size) {
            let mut changed = parts[..=part].to_vec();
            changed[part].1[byte] ^= 0x10;
            // A size that is larger than what comes waits for more, which then does not fit.
            changed.extend_from_slice(&parts[part + 1..]);
            let (kept, error) = send(&changed);
            assert_eq!(kept.min(part), part, "byte {byte} of part {part}: {error}");
            let refused = matches!(error, JournalError::Refused { .. } | JournalError::FutureFormat { .. })
                || matches!(error, JournalError::ForeignExchange { .. } | JournalError::EarlyFormat { .. });
            assert!(refused, "byte {byte} of part {part}: {error}");
        }
    }
}

#[test]
fn gaps_repetitions_and_the_wrong_order_are_refused() {
    let source = journal(20, 1);
    let parts = parts(source.path());
    let footer = parts.iter().position(|(_, bytes)| is_footer_page(bytes)).unwrap();
    let without = |left_out: usize| {
        let mut some = parts.clone();
        some.remove(left_out);
        some
    };
    for (name, sent, at, detail) in [
        // Headers are two pages, and a block may be one.
        ("no headers", without(0), 1, "the segment header's magic is wrong"),
        ("a gap", without(3), 3, "the block's number is not the next"),
        ("an early footer", without(footer - 1), footer - 1, "the segment's footer is not what its blocks come to"),
        ("no footer", without(footer), footer, "no block begins here"),
        (
            "a segment left out",
            [&parts[..=footer], &parts[..1]].concat(),
            footer + 1,
            "the segment is not the next one",
        ),
        ("a block twice", [&parts[..3], &parts[2..3]].concat(), 3, "the block's number is not the next"),
    ] {
        let (kept, error) = send(&sent);
        let JournalError::Refused { detail: found, .. } = &error else { panic!("{name}: {error}") };
        assert_eq!((kept, found.as_str()), (at, detail), "{name}");
    }
}

/// What a source says of a segment's size costs nothing: it says it in two pages, whatever comes behind them.
#[test]
fn nothing_is_reserved_on_the_word_of_the_source() {
    use std::os::unix::fs::MetadataExt as _;

    let source = journal(3, 1);
    let mut pages = parts(source.path())[0].1.clone();
    let header = SegmentHeader { segment_bytes: SEGMENT_BYTES_MAX, ..SegmentHeader::decode(&pages[..PAGE]).unwrap() };
    let (first, second) = pages.split_at_mut(PAGE);
    header.encode(first);
    header.encode(second);
    let scratch = tempfile::tempdir().unwrap();
    let mut mirror = Mirror::open(scratch.path(), None).unwrap();
    mirror.take(&pages).unwrap();
    drop(mirror);
    let file = fs::metadata(scratch.path().join(file_name(0, 0))).unwrap();
    assert_eq!(file.len(), SEGMENT_BYTES_MAX);
    assert!(file.blocks() * 512 < 1 << 20, "{} bytes of the disk", file.blocks() * 512);
    // Nor is all of it read to go on in it.
    let begun = std::time::Instant::now();
    let mirror = Mirror::open(scratch.path(), None).unwrap();
    println!("taken up again in {:?}", begun.elapsed());
    assert_eq!(mirror.last_sequence(), 0);
}

#[test]
fn another_history_is_found_before_anything_is_added() {
    let copy = tempfile::tempdir().unwrap();
    let mut mirror = Mirror::open(copy.path(), None).unwrap();
    let source = journal(20, 1);
    follow(&mut mirror, &horizon(source.path(), ALL));
    drop(mirror);
    let mut mirror = Mirror::open(copy.path(), None).unwrap();
    let Anchor { at, length } = mirror.anchor().unwrap();
    let own = ask(&horizon(source.path(), ALL), at);
    assert_eq!(own.len(), length, "the last part");
    mirror.confirm(&own).unwrap();
    assert!(matches!(mirror.confirm(&own[..length - 1]), Err(JournalError::Refused { .. })));
    // The same exchange, the same sizes, other records.
    let other = journal(30, 2);
    let shown = horizon(other.path(), ALL);
    let error = mirror.confirm(&ask(&shown, at)).unwrap_err();
    assert!(matches!(error, JournalError::Rewritten { sequence: 20, .. }), "{error}");
    let error = mirror.take(&ask(&shown, mirror.position())).unwrap_err();
    assert!(matches!(error, JournalError::Refused { sequence: 20, .. }), "nor is it added: {error}");
}

#[test]
fn a_crash_anywhere_in_a_write_is_taken_up_again() {
    let source = journal(30, 3);
    let shown = horizon(source.path(), ALL);
    let part_way = horizon(source.path(), Limit { through_sequence: 18, ..ALL });
    for torn in [1, 200, 255, 4_095, 4_096, 5_000] {
        let copy = tempfile::tempdir().unwrap();
        let mut mirror = Mirror::open(copy.path(), None).unwrap();
        follow(&mut mirror, &part_way);
        let at = mirror.wanted();
        drop(mirror);
        let next = ask(&shown, at);
        let path = copy.path().join(file_name(0, at.segment));
        let mut bytes = fs::read(&path).unwrap();
        let start = usize::try_from(at.offset).unwrap();
        let torn = torn.min(next.len());
        bytes[start..start + torn].copy_from_slice(&next[..torn]);
        // And a later page without those before it, as the disk may have ordered them.
        bytes[start + 12_288] = 9;
        fs::write(&path, bytes).unwrap();
        let mut mirror = Mirror::open(copy.path(), None).unwrap();
        follow(&mut mirror, &shown);
        drop(mirror);
        same_segments(source.path(), copy.path());
        assert_eq!(verify(copy.path(), Activity::AtRest, &|_| {}).unwrap().findings, []);
    }
}

#[test]
fn blocks_that_a_power_cut_took_are_fetched_again() {
    let source = journal(30, 3);
    let copy = tempfile::tempdir().unwrap();
    let mut mirror = Mirror::open(copy.path(), None).unwrap();
    follow(&mut mirror, &horizon(source.path(), ALL));
    let Anchor { at, length } = mirror.anchor().unwrap();
    drop(mirror);
    let path = copy.path().join(file_name(0, at.segment));
    let mut bytes = fs::read(&path).unwrap();
    let start = usize::try_from(at.offset).unwrap();
    bytes[start..start + length].fill(0);
    fs::write(&path, bytes).unwrap();
    let mut mirror = Mirror::open(copy.path(), None).unwrap();
    assert_eq!(mirror.last_sequence(), 29);
    assert!(JournalReader::open(copy.path()).is_ok(), "no head names what is gone");
    follow(&mut mirror, &horizon(source.path(), ALL));
    drop(mirror);
    assert_eq!(verify(copy.path(), Activity::AtRest, &|_| {}).unwrap().findings, []);
}

#[test]
fn a_mirror_is_one_exchange_s_one_writer_s_and_no_node_s() {
    let source = journal(3, 1);
    let error = Mirror::open(source.path(), None).unwrap_err();
    assert!(matches!(error, JournalError::NoMirror { .. }), "{error}");
    assert!(!source.path().join(MARK.0).exists());
    let copy = tempfile::tempdir().unwrap();
    let mut mirror = Mirror::open(copy.path(), Some([9; 16])).unwrap();
    let shown = horizon(source.path(), ALL);
    let error = mirror.take(&ask(&shown, Position { segment: 0, offset: 0 })).unwrap_err();
    assert!(matches!(error, JournalError::ForeignExchange { .. }), "{error}");
    let error = Mirror::open(copy.path(), None).unwrap_err();
    assert!(matches!(error, JournalError::Locked { .. }), "{error}");
    drop(mirror);
    let mut mirror = Mirror::open(copy.path(), None).unwrap();
    follow(&mut mirror, &shown);
    assert_eq!(mirror.exchange_id(), Some(EXCHANGE));
    drop(mirror);
    let error = Mirror::open(copy.path(), Some([9; 16])).unwrap_err();
    assert!(matches!(error, JournalError::ForeignExchange { .. }), "{error}");
}

#[test]
fn segments_out_of_an_archive_are_gone_on_from() {
    let source = journal(60, 5);
    let copy = tempfile::tempdir().unwrap();
    // The first two are gone at the source; somebody has restored the second.
    fs::copy(source.path().join(file_name(0, 1)), copy.path().join(file_name(0, 1))).unwrap();
    let mut mirror = Mirror::open(copy.path(), None).unwrap();
    assert_eq!(mirror.wanted(), Position { segment: 2, offset: 0 });
    follow(&mut mirror, &horizon(source.path(), ALL));
    assert_eq!(mirror.last_sequence(), 60);
}
