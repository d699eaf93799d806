//! Flows against a real engine: our own sample, every kind of wrong line in it, and the recorded files where they are.
#![expect(clippy::unwrap_used, reason = "a helper that fails ends its test")]

use std::path::{Path, PathBuf};

use lakh_loadtest::error::LoadtestError;
use lakh_loadtest::flow::check::{CheckOptions, check_direct};
use lakh_loadtest::flow::judge::FlowReport;

fn sample() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sample.l3c")).unwrap()
}

/// Checks a text as a file of its own.
fn check(text: &str) -> Result<FlowReport, LoadtestError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flow.l3c");
    std::fs::write(&path, text).unwrap();
    check_direct(&path, &CheckOptions::default())
}

/// The sample with line `number` (from 1) replaced; asserts what stood there.
fn with_line(number: usize, was: &str, now: &str) -> String {
    let sample = sample();
    let mut lines: Vec<&str> = sample.lines().collect();
    assert_eq!(lines[number - 1], was);
    lines[number - 1] = now;
    lines.join("\n")
}

#[test]
fn the_sample_holds_to_the_last_line() {
    let report = check(&sample()).unwrap();
    assert!(report.passed(), "{report}");
    assert_eq!((report.commands, report.fills, report.rejects, report.expectations), (475, 64, 9, 423));
    // What the independent reference checker says of the same file.
    assert_eq!(report.digest.to_string(), "(98, 9, 10, 1164, 1526)");
}

#[test]
fn every_kind_of_wrong_line_is_found() {
    let cases = [
        (22, "F 7 5 1009", "F 7 4 1009", 22, "fill recorded 4 of 7 at 1009, came 5 of 7 at 1009"),
        (23, "F 1 50 1000", "F 2 50 1000", 23, "fill recorded 50 of 2 at 1000, came 50 of 1 at 1000"),
        (23, "F 1 50 1000", "F 1 50 1001", 23, "fill recorded 50 of 1 at 1001, came 50 of 1 at 1000"),
        (24, "F 2 5 1000", "# nothing", 21, "1 fills that are not recorded, the first 5 of 2 at 1000"),
        (6, "B 1000 80 1010 40", "B 1000 80 1010 41", 6, "came [80 at 1000, 40 at 1010]"),
        (6, "B 1000 80 1010 40", "B 999 80 1010 40", 6, "best bid and offer"),
        (13, "D S 1010 47 1011 10", "D S 1010 47 1011 11", 13, "came [47 at 1010, 10 at 1011]"),
        (13, "D S 1010 47 1011 10", "D S 1010 47 1011 10 1012 1", 13, "depth recorded"),
        (15, "X", "# nothing", 14, "refused: WouldTrade"),
        (19, "B 1009 5 1010 47", "X", 19, "a reject is recorded, but the command was taken"),
        (36, "N 11 B 1001 15", "F 1 1 1000\nN 11 B 1001 15", 36, "fill recorded 1 of 1 at 1000, came none"),
    ];
    for (number, was, now, line, message) in cases {
        let report = check(&with_line(number, was, now)).unwrap();
        assert_eq!(report.bad_lines, 1, "{now}: {report}");
        let bad = &report.first_bad_lines[0];
        assert!(bad.line == line && bad.message.contains(message), "{now}: {report}");
    }
}

#[test]
fn commands_that_make_no_sense_are_bad_lines_and_not_errors() {
    let cases = [
        ("C 5\n", "OrderUnknown"),
        ("R 5 1\n", "OrderUnknown"),
        ("N 5 B 10 10\nR 5 11\n", "refused"),
        ("N 5 B 10 10\nN 5 B 10 11\n", "ClientIdInUse"),
        ("N 5 B 10 10\nC 5\nC 5\n", "OrderUnknown"),
    ];
    for (text, message) in cases {
        let report = check(text).unwrap();
        assert_eq!(report.bad_lines, 1, "{text}: {report}");
        assert!(report.first_bad_lines[0].message.contains(message), "{text}: {report}");
    }
}

#[test]
fn a_reduction_by_all_that_is_left_is_a_cancel() {
    let report = check("N 5 B 10 10\nI 6 S 10 4\nF 5 4 10\nR 5 6\nB 0 0 0 0\n").unwrap();
    assert!(report.passed(), "{report}");
    assert_eq!(report.digest.to_string(), "(0, 0, 0, 0, 0)");
}

#[test]
fn more_orders_than_one_account_may_hold_fit() {
    let mut text = String::new();
    for order in 1..=12_000 {
        text += &format!("N {order} B {} 3\n", order % 500 + 1);
    }
    let report = check(&text).unwrap();
    assert!(report.passed(), "{report}");
    assert_eq!(report.digest.to_string(), "(12000, 500, 0, 36000, 0)");
}

#[test]
fn broken_files_and_impossible_markets_are_errors() {
    assert!(matches!(check("N 1 B 10\n"), Err(LoadtestError::Format { line: 1, .. })));
    let too_dear = format!("N 1 B {} {}\n", 1_u64 << 40, 1_u64 << 40);
    assert!(matches!(check(&too_dear), Err(LoadtestError::SetUp(message)) if message.contains("BadSpecification")));
    let missing = check_direct(Path::new("tests/data/none.l3c"), &CheckOptions::default());
    assert!(matches!(missing, Err(LoadtestError::Io { .. })));
}

#[test]
fn fills_are_written_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let fills = directory.path().join("fills");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sample.l3c");
    let report = check_direct(&path, &CheckOptions { fills: Some(fills.clone()) }).unwrap();
    let text = std::fs::read_to_string(&fills).unwrap();
    assert_eq!(text.lines().count() as u64, report.fills);
    let first: Vec<&str> = text.lines().take(5).collect();
    assert_eq!(first, ["8 7 S 5 1009", "8 1 S 50 1000", "8 2 S 5 1000", "10 2 S 22 1000", "10 9 S 20 1000"]);
    let nowhere = CheckOptions { fills: Some(directory.path().join("no/such/folder")) };
    assert!(matches!(check_direct(&path, &nowhere), Err(LoadtestError::Io { .. })));
}

#[test]
fn recorded_files_hold_to_the_last_line() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/flow"));
    for (name, digest) in [
        ("nasdaq_aapl_20120621_h1.l3c.gz", "(443, 148, 130, 55152, 49206)"),
        ("nasdaq_amzn_20120621.l3c.gz", "(809, 5, 387, 2824, 61711)"),
    ] {
        let path = folder.join(name);
        if !path.exists() {
            println!("skipped: {name} is not here");
            continue;
        }
        let report = check_direct(&path, &CheckOptions::default()).unwrap();
        assert!(report.passed(), "{name}: {report}");
        assert_eq!(report.digest.to_string(), digest, "{name}");
    }
}
