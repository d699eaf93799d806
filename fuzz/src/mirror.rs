//! What somebody may send who is asked for a journal: bytes, parts of real journals in any order, and refusals.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use lakh_gateway::journal_feed::Refused;
use lakh_journal::horizon::{Horizon, Limit, Piece, Position};
use lakh_journal::mirror::Mirror;
use lakh_journal::{Durability, JournalOptions, JournalReader, JournalWriter, RecordHeader, open};
use tempfile::TempDir;

const EXCHANGE: [u8; 16] = *b"fuzzed exchange.";
/// A part of a journal that is sent at most so often.
const PARTS_MAX: usize = 64;

/// The first byte says which of the three it is.
pub fn mirror(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 3 {
        0 => any_bytes(rest),
        1 => parts_of_real_journals(rest),
        _ => a_refusal(rest),
    }
}

/// Whatever is kept of any bytes is a journal that reads back, and that the next start goes on in.
fn any_bytes(data: &[u8]) {
    let Some((step, bytes)) = data.split_first() else { return };
    let scratch = scratch();
    let mut mirror = Mirror::open(scratch.path(), None).expect("an empty folder can be a mirror");
    for piece in bytes.chunks(1 + usize::from(*step) * 61) {
        if mirror.take(piece).is_err() {
            break;
        }
    }
    reads_back(mirror, scratch.path());
}

/// Of two journals that are the same at first and then not, exactly the longest beginning of either is kept.
fn parts_of_real_journals(choices: &[u8]) {
    let journals = journals();
    let mut next = [0; 2];
    let mut sent: Vec<&[u8]> = Vec::new();
    for choice in choices.iter().take(PARTS_MAX) {
        let which = usize::from(choice >> 7);
        let parts = &journals[which].parts;
        // Mostly the next one of that journal, so that there is something behind which to go wrong.
        let index = match choice & 0x7f {
            place @ 100.. => usize::from(place - 100) % parts.len(),
            _ => next[which],
        };
        next[which] = index + 1;
        sent.extend(parts.get(index).map(Vec::as_slice));
    }
    let scratch = scratch();
    let mut mirror = Mirror::open(scratch.path(), Some(EXCHANGE)).expect("an empty folder can be a mirror");
    let refused = sent.iter().position(|part| mirror.take(part).is_err());
    let (kept, whose) = kept_of(&sent, journals);
    assert!(refused.is_none_or(|at| at >= kept), "part {kept} of a journal was refused");
    let expected = journals[whose].reached[kept];
    assert_eq!((mirror.last_sequence(), mirror.wanted()), expected, "{kept} parts");
    reads_back(mirror, scratch.path());
}

/// How many of these parts are the beginning of one journal, and of which.
fn kept_of(sent: &[&[u8]], journals: &[Parts; 2]) -> (usize, usize) {
    let kept = [0, 1].map(|which: usize| {
        let own = journals[which].parts.iter();
        sent.iter().zip(own).take_while(|(sent, own)| **sent == own.as_slice()).count()
    });
    if kept[0] >= kept[1] { (kept[0], 0) } else { (kept[1], 1) }
}

fn a_refusal(data: &[u8]) {
    let Some((status, body)) = data.split_first_chunk::<2>() else { return };
    match Refused::read(u16::from_le_bytes(*status), body) {
        Refused::Gone(_) | Refused::Beyond => {}
        Refused::Busy(why) | Refused::Passing(why) | Refused::Final(why) => {
            assert!(why.chars().count() <= 200 && !why.chars().any(char::is_control), "{why:?}");
        }
    }
}

/// What is mirrored is a journal with as many records as the mirror says, and a mirror that goes on there.
fn reads_back(mut mirror: Mirror, directory: &Path) {
    mirror.sync().expect("a folder in memory takes it");
    let (last, at) = (mirror.last_sequence(), mirror.wanted());
    drop(mirror);
    let mut again = Mirror::open(directory, None).expect("what was kept is whole");
    assert_eq!((again.last_sequence(), again.wanted()), (last, at));
    drop(again);
    if last > 0 {
        let mut reader = JournalReader::open(directory).expect("a mirror is a journal");
        let mut read = 0;
        while let Some(record) = reader.next().expect("each block was verified") {
            read = record.header.sequence;
        }
        assert_eq!(read, last);
    }
}

/// A journal as a venue sends it: its parts, and how far a mirror is behind none, one, two of them.
struct Parts {
    parts: Vec<Vec<u8>>,
    reached: Vec<(u64, Position)>,
}

/// Two journals of some segments that part ways in the second one.
fn journals() -> &'static [Parts; 2] {
    static JOURNALS: OnceLock<[Parts; 2]> = OnceLock::new();
    JOURNALS.get_or_init(|| {
        let (one, two) = (scratch(), scratch());
        write(one.path(), 14, 1);
        for entry in std::fs::read_dir(one.path()).expect("it was just written").flatten() {
            std::fs::copy(entry.path(), two.path().join(entry.file_name())).expect("there is room");
        }
        write(one.path(), 40, 1);
        write(two.path(), 40, 2);
        let both = [parts(one.path()), parts(two.path())];
        let alike = both[0].parts.iter().zip(&both[1].parts).take_while(|(one, two)| one == two).count();
        assert!(both.iter().all(|journal| journal.parts.len() > alike + 20) && alike > 10, "they part ways on the way");
        both
    })
}

/// Goes on in a journal up to record `last`, each in a block of its own.
fn write(directory: &Path, last: u64, salt: u8) {
    let bytes = 64 * 1_024;
    let options = JournalOptions {
        segment_bytes: bytes,
        ring_bytes: 64 * 1_024,
        durability: Durability::Async,
        ..JournalOptions::new(directory, EXCHANGE)
    };
    let (mut writer, report) = open(options).expect("a journal of our own");
    for sequence in report.last_sequence + 1..=last {
        append(&mut writer, sequence, salt);
    }
    writer.close().expect("a folder in memory takes it");
}

fn append(writer: &mut JournalWriter, sequence: u64, salt: u8) {
    let header = RecordHeader { sequence, timestamp_ns: sequence, ..RecordHeader::default() };
    writer.append(header, &[salt; 200]).expect("there is room for one");
    writer.publish();
    assert!(writer.watch().wait_for(sequence, Duration::from_secs(60)));
}

fn parts(directory: &Path) -> Parts {
    let mut horizon = Horizon::open(directory).expect("a journal of our own");
    let all = Limit { through_sequence: u64::MAX, sealed_through_ns: u64::MAX };
    while horizon.advance(all).expect("it can be read") {}
    let scratch = scratch();
    let mut mirror = Mirror::open(scratch.path(), None).expect("an empty folder can be a mirror");
    let mut found = Parts { parts: Vec::new(), reached: vec![(0, mirror.wanted())] };
    loop {
        let at = mirror.wanted();
        let Piece::Bytes(mut piece) = horizon.piece(at, 1 << 20).expect("it can be read") else { return found };
        let bytes = piece.next(usize::MAX).expect("it can be read");
        // A part is all there when the mirror has got further; all of them are whole pages.
        let grown = (4_096..).step_by(4_096).find(|size| {
            mirror.take(&bytes[..*size]).expect("it is the next part");
            mirror.wanted() != at
        });
        let part = &bytes[..grown.expect("some number of pages is enough")];
        found.parts.push(part.to_vec());
        found.reached.push((mirror.last_sequence(), mirror.wanted()));
    }
}

/// A folder in memory where there is one: a mirror syncs each segment that it begins.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary folder")
}
