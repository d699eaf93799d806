//! Every call that changes something is made to fail: nothing is acknowledged afterwards, nothing is tried again, and
//! what was acknowledged is there after the machine lost power.

use std::path::Path;

use lakh_journal::faults::{Fault, SimulatedDisk};
use lakh_journal::storage::Storage;
use lakh_journal::{Durability, JournalError, JournalOptions, RecoveryOutcome, open_with};

use crate::common::{LONG, Random, append, options, read_usual, seed, usual_length};

const RECORDS: u64 = 300;

fn simulated(durability: Durability) -> JournalOptions {
    JournalOptions { durability, ..options(Path::new("journal")) }
}

/// Writes until the end or the first refusal. Returns what was acknowledged.
fn write_until_stopped(disk: &SimulatedDisk, options: &JournalOptions, batch: u64) -> u64 {
    let Ok((mut writer, report)) = open_with(disk.clone(), options.clone()) else { return 0 };
    let watch = writer.watch();
    for sequence in report.last_sequence + 1..=RECORDS {
        if !append(&mut writer, sequence, usual_length(sequence)) {
            break;
        }
        if sequence % batch == 0 {
            writer.publish();
            if !watch.wait_for(sequence, LONG) {
                break;
            }
        }
    }
    let stopped_at = watch.stopped().map(|_| watch.durable_sequence());
    let closed = writer.close();
    assert_eq!(closed.is_err(), watch.stopped().is_some());
    if let Some(acknowledged) = stopped_at {
        assert_eq!(watch.durable_sequence(), acknowledged, "nothing is acknowledged after the stop");
    }
    watch.durable_sequence()
}

fn calls_of_a_whole_run(options: &JournalOptions, batch: u64) -> usize {
    let disk = SimulatedDisk::new(0);
    assert_eq!(write_until_stopped(&disk, options, batch), RECORDS);
    disk.calls().len()
}

/// After the fault at `index`, the same file or directory is not written or synced again.
fn check_not_tried_again(disk: &SimulatedDisk, index: usize, what: &str) {
    let calls = disk.calls();
    let Some(failed) = calls.get(index) else { return };
    let again = calls[index + 1..].iter().find(|call| call.path == failed.path);
    assert_eq!(again, None, "{what}: {failed:?} failed");
}

fn check_recovered(disk: &SimulatedDisk, options: &JournalOptions, acknowledged: u64, what: &str) -> RecoveryOutcome {
    let (writer, report) = open_with(disk.clone(), options.clone()).unwrap_or_else(|error| panic!("{what}: {error}"));
    writer.close().unwrap();
    assert!(report.last_sequence >= acknowledged, "{what}: {} of {acknowledged}", report.last_sequence);
    let real = tempfile::tempdir().unwrap();
    disk.export(real.path()).unwrap();
    assert_eq!(read_usual(real.path()).unwrap(), report.last_sequence, "{what}");
    report.outcome
}

#[test]
fn any_error_stops_at_every_call_and_loses_nothing() {
    let seed = seed("any_error_stops_at_every_call_and_loses_nothing");
    let faults = [Fault::InputOutput, Fault::NoSpace, Fault::Interrupted, Fault::ShortWrite];
    for durability in [Durability::Sync, Durability::Async] {
        let options = simulated(durability);
        for index in 0..calls_of_a_whole_run(&options, 7) + 3 {
            let fault = faults[(index + seed as usize) % faults.len()];
            let what = format!("{fault:?} at call {index}, {durability:?}");
            let disk = SimulatedDisk::new(seed ^ index as u64);
            disk.fail_at(index, fault);
            let acknowledged = write_until_stopped(&disk, &options, 7);
            check_not_tried_again(&disk, index, &what);
            // The process ends, the machine does not.
            let restarted = disk.duplicate(seed);
            check_recovered(&restarted, &options, acknowledged, &what);
            if durability == Durability::Sync {
                disk.cut_power();
                disk.power_cycle();
                check_recovered(&disk, &options, acknowledged, &what);
            }
        }
    }
}

#[test]
fn power_cut_at_every_call_loses_nothing_acknowledged() {
    let seed = seed("power_cut_at_every_call_loses_nothing_acknowledged");
    let options = simulated(Durability::Sync);
    let mut torn = 0;
    for index in 0..calls_of_a_whole_run(&options, 9) {
        for round in 0..3 {
            let what = format!("power cut at call {index}, round {round}");
            let disk = SimulatedDisk::new(seed.wrapping_add(index as u64 * 3 + round));
            disk.fail_at(index, Fault::PowerCut);
            let acknowledged = write_until_stopped(&disk, &options, 9);
            disk.power_cycle();
            let outcome = check_recovered(&disk, &options, acknowledged, &what);
            torn += u32::from(matches!(outcome, RecoveryOutcome::TornTail { .. }));
        }
    }
    assert!(torn > 0, "the test has to meet torn tails");
}

#[test]
fn a_second_power_cut_within_recovery_is_survived() {
    let seed = seed("a_second_power_cut_within_recovery_is_survived");
    let options = simulated(Durability::Sync);
    let whole = calls_of_a_whole_run(&options, 9);
    for round in 0..40 {
        let index = Random(seed ^ round).below(whole as u64) as usize;
        let disk = SimulatedDisk::new(seed ^ round);
        disk.fail_at(index, Fault::PowerCut);
        let acknowledged = write_until_stopped(&disk, &options, 9);
        disk.power_cycle();
        for second in 0..12 {
            let what = format!("cut at call {index}, then at call {second} of the recovery");
            let again = disk.duplicate(seed ^ second);
            again.fail_at(second as usize, Fault::PowerCut);
            drop(open_with(again.clone(), options.clone()));
            again.cut_power();
            again.power_cycle();
            check_recovered(&again, &options, acknowledged, &what);
        }
    }
}

#[test]
fn at_async_a_power_cut_leaves_a_prefix_and_never_a_refusal() {
    let seed = seed("at_async_a_power_cut_leaves_a_prefix_and_never_a_refusal");
    let options = simulated(Durability::Async);
    let whole = calls_of_a_whole_run(&options, 5);
    let (mut torn, mut reordered) = (0, 0);
    for round in 0..300 {
        let index = Random(seed ^ round).below(whole as u64) as usize;
        let disk = SimulatedDisk::new(seed.wrapping_add(round));
        disk.fail_at(index, Fault::PowerCut);
        write_until_stopped(&disk, &options, 5);
        disk.power_cycle();
        match check_recovered(&disk, &options, 0, &format!("power cut at call {index}, round {round}")) {
            RecoveryOutcome::TornTail { .. } => torn += 1,
            RecoveryOutcome::ReorderedWrites { .. } => reordered += 1,
            _ => {}
        }
    }
    println!("{torn} torn, {reordered} reordered of 300");
    assert!(torn > 0 && reordered > 0, "the test has to meet both");
}

#[test]
fn a_full_disk_at_the_first_segment_is_an_error_of_open() {
    let disk = SimulatedDisk::new(3);
    let whole = SimulatedDisk::new(3);
    drop(open_with(whole.clone(), simulated(Durability::Sync)));
    let segment = |path: &Path| path.extension().is_some_and(|extension| extension == "tmp");
    let calls = whole.calls();
    let allocation =
        calls.iter().rposition(|call| call.name == "allocate" && segment(&call.path)).expect("a spare is allocated");
    let first =
        calls.iter().position(|call| call.name == "allocate" && call.path.ends_with("0-0000000000000000.tmp")).unwrap();
    assert!(first <= allocation);
    disk.fail_at(first, Fault::NoSpace);
    let error = open_with(disk.clone(), simulated(Durability::Sync)).unwrap_err();
    let JournalError::Io { action, .. } = &error else { panic!("{error}") };
    assert_eq!(*action, "allocate");
    // Room is made, and the same directory starts, also under an exchange id that was drawn anew.
    disk.fail_at(usize::MAX, Fault::NoSpace);
    let anew = JournalOptions { exchange_id: [0xA5; 16], ..simulated(Durability::Sync) };
    open_with(disk.duplicate(4), anew.clone()).unwrap().0.close().unwrap();
    open_with(disk.clone(), simulated(Durability::Sync)).unwrap().0.close().unwrap();
    assert!(disk.list(Path::new("journal")).unwrap().contains(&"0-0000000000000000.lkj".to_owned()));
    disk.remove(&Path::new("journal").join("0-0000000000000000.lkj")).unwrap();
    let error = open_with(disk, anew).unwrap_err();
    assert!(matches!(error, JournalError::ForeignExchange { .. }), "heads of blocks that were written: {error}");
}
