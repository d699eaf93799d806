//! A journal's files flipped, cut and removed, and `verify` and a start say so. Each single bit of a segment is flipped
//! in `src/verify_tests.rs`, in memory; here real files, in steps.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use lakh_journal::verify::{Activity, Verification, verify};
use lakh_journal::{JournalError, JournalOptions, RecoveryOutcome, open};

use crate::common::{append_range, options, read_usual};

const SEALED: &str = "0-0000000000000000.lkj";
const ACTIVE: &str = "0-0000000000000001.lkj";

/// A closed journal of one sealed segment and one active one.
fn closed_journal(directory: &Path) {
    let (mut writer, _) = open(options(directory)).unwrap();
    let mut last = 0;
    while !directory.join(ACTIVE).exists() {
        append_range(&mut writer, last + 1, last + 40, 40);
        last += 40;
        assert!(writer.watch().wait_for(last, crate::common::LONG));
    }
    append_range(&mut writer, last + 1, last + 20, 10);
    writer.close().unwrap();
    assert!(!directory.join("0-0000000000000002.lkj").exists());
}

fn look(directory: &Path) -> Result<Verification, JournalError> {
    verify(directory, Activity::AtRest, &|_| {})
}

/// Whether something is said about the journal.
fn found(directory: &Path) -> bool {
    look(directory).map_or(true, |verification| !verification.findings.is_empty())
}

fn writable(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// Flips `bits` of `name` one after the other; returns those that nobody noticed.
fn unnoticed(directory: &Path, name: &str, bits: impl Iterator<Item = usize>) -> Vec<usize> {
    let file = writable(&directory.join(name));
    let whole = std::fs::read(directory.join(name)).unwrap();
    let missed = bits.filter(|bit| {
        let (offset, byte) = (bit / 8, whole[bit / 8]);
        file.write_all_at(&[byte ^ (1 << (bit % 8))], offset as u64).unwrap();
        let noticed = found(directory);
        file.write_all_at(&[byte], offset as u64).unwrap();
        !noticed
    });
    missed.collect()
}

#[test]
fn flips_and_cuts_of_every_file_are_found() {
    let directory = tempfile::tempdir().unwrap();
    closed_journal(directory.path());
    let sound = look(directory.path()).unwrap();
    assert_eq!((sound.findings.as_slice(), sound.segments.len()), (&[][..], 2));
    for name in [SEALED, ACTIVE, "heads"] {
        let path = directory.path().join(name);
        let whole = std::fs::read(&path).unwrap();
        let bits = (0..whole.len() * 8).step_by(if name == "heads" { 2_003 } else { 1_009 });
        assert_eq!(unnoticed(directory.path(), name, bits), [0usize; 0], "{name}");
        for length in (0..whole.len()).rev().step_by(311) {
            writable(&path).set_len(length as u64).unwrap();
            assert!(found(directory.path()), "{name} cut at {length}");
        }
        std::fs::write(&path, &whole).unwrap();
    }
    assert!(!found(directory.path()));
}

#[test]
fn a_missing_file_is_found() {
    for name in [SEALED, ACTIVE, "heads"] {
        let directory = tempfile::tempdir().unwrap();
        closed_journal(directory.path());
        std::fs::remove_file(directory.path().join(name)).unwrap();
        if name == SEALED {
            // As an archive leaves it: what is kept is whole, and says where it begins.
            let kept = look(directory.path()).unwrap();
            assert!(kept.segments[0].first_sequence > 1 && kept.findings.is_empty());
        } else {
            assert!(found(directory.path()), "{name}");
        }
    }
}

#[test]
fn a_missing_newest_segment_is_corruption_of_acknowledged_data() {
    let directory = tempfile::tempdir().unwrap();
    closed_journal(directory.path());
    let whole = look(directory.path()).unwrap();
    std::fs::remove_file(directory.path().join(ACTIVE)).unwrap();
    let first_lost = whole.segments[1].first_sequence;
    let started = || open(options(directory.path())).map(|_| ()).unwrap_err();
    let read = || read_usual(directory.path()).map(|_| ()).unwrap_err();
    let verified = || look(directory.path()).map(|_| ()).unwrap_err();
    for error in [started(), read(), verified()] {
        let JournalError::Corruption { sequence, detail, .. } = &error else { panic!("{error}") };
        assert_eq!(*sequence, first_lost);
        assert!(detail.contains("the segment behind it is missing"), "{detail}");
    }
    let stated = JournalOptions { truncate_at: Some(first_lost), ..options(directory.path()) };
    let (writer, report) = open(stated).unwrap();
    let given_up = RecoveryOutcome::OperatorTruncation { first_sequence: first_lost, bytes: 0 };
    assert_eq!((report.outcome, report.last_sequence), (given_up, first_lost - 1));
    writer.close().unwrap();
    assert_eq!(open(options(directory.path())).unwrap().1.outcome, RecoveryOutcome::Clean);
}

#[test]
fn a_live_journal_verifies_while_it_grows() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, _) = open(options(directory.path())).unwrap();
    let writing = std::thread::spawn(move || {
        append_range(&mut writer, 1, 3_000, 3);
        writer.close().unwrap();
    });
    let mut last = 0;
    while last < 3_000 {
        let verification = verify(directory.path(), Activity::Live, &|_| {}).unwrap();
        assert_eq!(verification.findings, []);
        assert!(verification.last_sequence >= last);
        last = verification.last_sequence;
    }
    writing.join().unwrap();
    assert_eq!(look(directory.path()).unwrap().last_sequence, 3_000);
}
