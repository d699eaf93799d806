//! The journal turned by hand on one thread: every run is repeated from its seed, and every call of it can be the one at
//! which the power goes or an error comes.
//!
//! `LAKH_SEEDS` asks for more seeds than continuous integration has time for, `LAKH_FIRST_SEED` for others.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use lakh_journal::faults::{Call, Fault, SimulatedDisk};
use lakh_journal::verify::{Activity, verify};
use lakh_journal::{
    Durability, JournalOptions, JournalStepper, JournalWriter, RecoveryOutcome, RecoveryReport, Step, open_stepped,
};

use crate::common::{Random, header, options, payload, read_usual, scratch, usual_length};

/// Of a whole life: enough for several segments.
const RECORDS: u64 = 60;

fn stepped(durability: Durability) -> JournalOptions {
    JournalOptions { durability, ..options(Path::new("journal")) }
}

fn seeds(otherwise: u64) -> Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("LAKH_FIRST_SEED").unwrap_or(0);
    first..first + number("LAKH_SEEDS").unwrap_or(otherwise)
}

/// A journal, and who turns it.
struct Bench {
    disk: SimulatedDisk,
    writer: JournalWriter,
    stepper: JournalStepper<SimulatedDisk>,
}

impl Bench {
    fn open(disk: &SimulatedDisk, durability: Durability) -> Option<(Self, RecoveryReport)> {
        let (writer, stepper, report) = open_stepped(disk.clone(), stepped(durability)).ok()?;
        Some((Self { disk: disk.clone(), writer, stepper }, report))
    }

    fn acknowledged(&self) -> u64 {
        self.writer.watch().durable_sequence()
    }

    fn append(&mut self) {
        let sequence = self.writer.last_sequence() + 1;
        // A ring without room, or a journal that has stopped, takes nothing: then there is nothing to remember.
        let _ = self.writer.append(header(sequence), &payload(sequence, usual_length(sequence)));
    }

    /// One thing that may happen, by chance.
    fn happen(&mut self, random: &mut Random) {
        match random.below(17) {
            0..=6 => self.append(),
            7..=9 => self.writer.publish(),
            10..=13 => drop(self.stepper.step()),
            14 => self.disk.advance(random.below(60) * 1_000_000),
            15 => drop(self.stepper.sync()),
            _ => drop(self.stepper.make_segment()),
        }
    }

    /// Closes cleanly; whether it could.
    fn close(self) -> bool {
        let Self { mut stepper, writer, .. } = self;
        let watch = writer.watch();
        drop(writer);
        while stepper.step() == Step::Worked {}
        watch.stopped().is_none()
    }
}

/// Writes `records`, each in its block and acknowledged before the next; ends at the first error.
fn write_one_by_one(bench: &mut Bench, records: u64) {
    while bench.writer.last_sequence() < records && bench.writer.watch().stopped().is_none() {
        bench.append();
        bench.writer.publish();
        while bench.stepper.step() == Step::Worked {}
        // Half of the segments are made ahead, half when they are needed.
        if bench.writer.last_sequence().is_multiple_of(20) {
            bench.stepper.make_segment();
        }
        // At the level `async` a sync is begun every fourth time, and some blocks are written before it is made.
        if bench.writer.last_sequence().is_multiple_of(3) {
            bench.stepper.sync();
        }
        bench.disk.advance(30_000_000);
    }
}

/// A whole life, as far as it comes: opened, written to, closed, opened again and closed. Returns what was acknowledged.
fn whole_life(disk: &SimulatedDisk, durability: Durability) -> u64 {
    let Some((mut bench, _)) = Bench::open(disk, durability) else { return 0 };
    write_one_by_one(&mut bench, RECORDS);
    let (watch, acknowledged) = (bench.writer.watch(), bench.acknowledged());
    if !bench.close() {
        assert_eq!(watch.durable_sequence(), acknowledged, "nothing is acknowledged after an error");
        return acknowledged;
    }
    if let Some((again, report)) = Bench::open(disk, durability) {
        assert_eq!(report.last_sequence, RECORDS);
        again.close();
    }
    RECORDS
}

fn check(disk: &SimulatedDisk, durability: Durability, acknowledged: u64, what: &str) -> RecoveryOutcome {
    let opened = open_stepped(disk.clone(), stepped(durability));
    let (writer, stepper, report) = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(report.last_sequence >= acknowledged, "{what}: {} of {acknowledged}", report.last_sequence);
    let real = scratch();
    disk.export(real.path()).unwrap();
    let read = read_usual(real.path()).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(read, report.last_sequence, "{what}");
    let bench = Bench { disk: disk.clone(), writer, stepper };
    assert!(bench.close(), "{what}");
    report.outcome
}

#[test]
fn one_seed_is_one_run() {
    let run = |seed| {
        let disk = SimulatedDisk::new(seed);
        let (mut bench, _) = Bench::open(&disk, Durability::Sync).unwrap();
        let mut random = Random(seed);
        (0..2_000).for_each(|_| bench.happen(&mut random));
        assert!(bench.close());
        let segment = Path::new("journal").join("0-0000000000000001.lkj");
        (disk.calls(), disk.contents(&segment).expect("two segments are used"))
    };
    assert!(run(5) == run(5), "the same calls and the same bytes");
    assert!(run(5) != run(6));
}

#[test]
fn a_block_is_acknowledged_with_its_proof_and_not_before() {
    let (mut bench, _) = Bench::open(&SimulatedDisk::new(1), Durability::Sync).unwrap();
    let last_call = |bench: &Bench| bench.disk.calls().last().map(|call| call.path.clone()).unwrap();
    let step = |bench: &mut Bench| {
        assert_eq!(bench.stepper.step(), Step::Worked);
        (bench.acknowledged(), last_call(bench).ends_with("heads"))
    };
    // One record and nothing behind it: its block, then its head.
    bench.append();
    bench.writer.publish();
    assert_eq!(step(&mut bench), (0, false));
    assert_eq!(step(&mut bench), (1, true));
    assert_eq!(bench.stepper.step(), Step::Idle);
    // Records keep coming: each block is the proof of the one before it, and no head is written.
    for sequence in 2..=12 {
        bench.append();
        bench.writer.publish();
        assert_eq!(step(&mut bench), (sequence - 1, false));
    }
    assert_eq!(step(&mut bench), (12, true));
    // However long they keep coming, a head is written now and then.
    let heads = |disk: &SimulatedDisk| disk.calls().iter().filter(|call| call.path.ends_with("heads")).count();
    let before = heads(&bench.disk);
    for _ in 0..160 {
        bench.append();
        bench.writer.publish();
        assert_eq!(bench.stepper.step(), Step::Worked);
    }
    let written = heads(&bench.disk) - before;
    // After each 16 writes, and for the first block of each of the segments that 160 small blocks fill.
    assert!((10..=10 + 160 / 13 + 1).contains(&written), "{written}");
}

#[test]
fn at_async_a_sync_holds_acknowledgements_up_only_when_it_takes_too_long() {
    let (mut bench, _) = Bench::open(&SimulatedDisk::new(1), Durability::Async).unwrap();
    let watch = bench.writer.watch();
    let write = |bench: &mut Bench| {
        bench.append();
        bench.writer.publish();
        bench.stepper.step()
    };
    assert_eq!(write(&mut bench), Step::Worked);
    bench.disk.advance(99_000_000);
    assert_eq!((bench.stepper.step(), bench.stepper.sync()), (Step::Idle, Step::Idle), "no sync is due");
    assert_eq!(bench.stepper.due_in(), Some(Duration::from_millis(1)));
    bench.disk.advance(1_000_000);
    bench.stepper.step();
    // The sync has begun and takes its time: what is written meanwhile is acknowledged, and no part of it.
    for sequence in 2..=5 {
        assert_eq!(write(&mut bench), Step::Worked);
        assert_eq!((watch.durable_sequence(), watch.stable_sequence()), (sequence, 0));
    }
    // A tenth of a second later it holds everything up.
    bench.disk.advance(100_000_000);
    assert_eq!(write(&mut bench), Step::Idle);
    assert_eq!((watch.durable_sequence(), watch.stable_sequence()), (5, 0));
    assert!(bench.stepper.due_in().is_some(), "it is looked after");
    assert_eq!(bench.stepper.sync(), Step::Worked);
    assert_eq!(bench.stepper.step(), Step::Worked);
    assert_eq!((watch.durable_sequence(), watch.stable_sequence()), (6, 1));
    // What was written meanwhile is overdue, and part of the next one.
    assert_eq!(bench.stepper.sync(), Step::Worked);
    bench.stepper.step();
    assert!(watch.stable_sequence() >= 5, "{}", watch.stable_sequence());
    assert!(bench.close());
    assert_eq!(watch.stable_sequence(), 6);
}

#[test]
fn at_async_a_sync_holds_acknowledgements_up_when_too_much_is_written_meanwhile() {
    let roomy = JournalOptions { segment_bytes: 64 << 20, ring_bytes: 4 << 20, ..stepped(Durability::Async) };
    let disk = SimulatedDisk::new(1);
    let (mut writer, mut stepper, _) = open_stepped(disk.clone(), roomy).unwrap();
    let watch = writer.watch();
    let mut write = |stepper: &mut JournalStepper<SimulatedDisk>| {
        let sequence = writer.last_sequence() + 1;
        writer.append(header(sequence), &payload(sequence, 16_000)).unwrap();
        writer.publish();
        stepper.step()
    };
    write(&mut stepper);
    disk.advance(100_000_000);
    stepper.step();
    let mut written = 0_u64;
    while write(&mut stepper) == Step::Worked {
        written += 1;
    }
    // 16 MiB in blocks of 4 pages.
    assert_eq!(written, (16_u64 << 20).div_ceil(16 << 10));
    assert_eq!(watch.durable_sequence(), written + 1);
    stepper.sync();
    assert_eq!(stepper.step(), Step::Worked);
    assert_eq!(watch.durable_sequence(), written + 2);
    drop(writer);
    while stepper.step() == Step::Worked {}
    assert_eq!((watch.stopped(), watch.stable_sequence()), (None, written + 2));
}

#[test]
fn an_error_of_a_sync_behind_stops_the_journal() {
    let (mut bench, _) = Bench::open(&SimulatedDisk::new(1), Durability::Async).unwrap();
    bench.append();
    bench.writer.publish();
    bench.stepper.step();
    bench.disk.advance(100_000_000);
    bench.stepper.step();
    bench.disk.fail_at(bench.disk.calls().len(), Fault::InputOutput);
    assert_eq!(bench.stepper.sync(), Step::Worked);
    bench.append();
    bench.writer.publish();
    assert_eq!(bench.stepper.step(), Step::Ended);
    let watch = bench.writer.watch();
    assert!(watch.stopped().is_some_and(|reason| reason.contains("sync")), "{:?}", watch.stopped());
    assert_eq!((watch.durable_sequence(), watch.stable_sequence()), (1, 0));
}

#[test]
fn a_backlog_is_one_write_of_many_blocks_and_may_be_torn_anywhere() {
    let roomy = JournalOptions { segment_bytes: 2 << 20, ring_bytes: 1 << 20, ..stepped(Durability::Sync) };
    let (mut torn, mut reordered) = (0, 0);
    for seed in 0..40 {
        let disk = SimulatedDisk::new(seed);
        let (mut writer, mut stepper, _) = open_stepped(disk.clone(), roomy.clone()).unwrap();
        let append = |writer: &mut JournalWriter| {
            let sequence = writer.last_sequence() + 1;
            writer.append(header(sequence), &payload(sequence, usual_length(sequence))).unwrap();
        };
        append(&mut writer);
        writer.publish();
        while stepper.step() == Step::Worked {}
        (0..2_000).for_each(|_| append(&mut writer));
        writer.publish();
        let before = disk.calls().len();
        if seed > 0 {
            disk.fail_at(before, Fault::PowerCut);
        }
        stepper.step();
        assert_eq!(disk.calls().len() - before, 1, "2,000 records, some 360 KiB, are one write");
        assert_eq!(writer.watch().durable_sequence(), 1, "blocks of one write do not prove each other");
        if seed == 0 {
            stepper.step();
            assert_eq!(writer.watch().durable_sequence(), 2_001);
            continue;
        }
        drop(stepper);
        disk.power_cycle();
        let (_, _, report) = open_stepped(disk, roomy.clone()).unwrap();
        assert!((1..2_001).contains(&report.last_sequence), "some of the blocks, or none");
        torn += u32::from(matches!(report.outcome, RecoveryOutcome::TornTail { .. }));
        reordered += u32::from(matches!(report.outcome, RecoveryOutcome::ReorderedWrites { .. }));
    }
    println!("{torn} torn, {reordered} reordered");
    assert!(reordered > 20, "mostly a later block is whole enough to be recognised");
}

#[test]
fn power_cuts_of_a_thousand_seeds_lose_nothing_acknowledged() {
    let (mut torn, mut reordered) = (0, 0);
    let mut count = |outcome: RecoveryOutcome| match outcome {
        RecoveryOutcome::TornTail { .. } => torn += 1,
        RecoveryOutcome::ReorderedWrites { .. } => reordered += 1,
        _ => {}
    };
    for seed in seeds(1_000) {
        let mut random = Random(seed);
        let disk = SimulatedDisk::new(seed);
        let durability = if seed % 4 == 3 { Durability::Async } else { Durability::Sync };
        let mut acknowledged = 0;
        for cut in 0..3 {
            // Anywhere, a recovery and an opening included.
            disk.fail_at(disk.calls().len() + random.below(200) as usize, Fault::PowerCut);
            if let Some((mut bench, report)) = Bench::open(&disk, durability) {
                assert!(report.last_sequence >= acknowledged, "seed {seed}, cut {cut}");
                count(report.outcome);
                (0..random.below(1_200)).for_each(|_| bench.happen(&mut random));
                acknowledged = bench.acknowledged();
            }
            disk.cut_power();
            disk.power_cycle();
            // At `async` power loss may take what was not synced.
            acknowledged = if durability == Durability::Sync { acknowledged } else { 0 };
        }
        count(check(&disk, durability, acknowledged, &format!("seed {seed}")));
    }
    println!("{torn} torn, {reordered} reordered");
    assert!(torn > 0 && reordered > 0, "the test has to meet both");
}

#[test]
fn kills_of_a_thousand_seeds_lose_nothing_at_either_level() {
    for seed in seeds(1_000) {
        let mut random = Random(!seed);
        let disk = SimulatedDisk::new(seed);
        let durability = if seed % 2 == 0 { Durability::Async } else { Durability::Sync };
        let mut acknowledged = 0;
        for _ in 0..2 {
            // The process dies between two calls, or its last call is cut short.
            disk.fail_at(disk.calls().len() + random.below(200) as usize, Fault::PowerCut);
            if let Some((mut bench, _)) = Bench::open(&disk, durability) {
                (0..random.below(600)).for_each(|_| bench.happen(&mut random));
                acknowledged = bench.acknowledged();
            }
            disk.restart_process();
        }
        check(&disk, durability, acknowledged, &format!("seed {seed}"));
    }
}

#[test]
fn each_error_at_each_call_stops_the_journal_and_is_never_tried_again() {
    for durability in [Durability::Sync, Durability::Async] {
        let whole = SimulatedDisk::new(7);
        assert_eq!(whole_life(&whole, durability), RECORDS);
        for index in 0..whole.calls().len() {
            for fault in Fault::ERRORS {
                let what = format!("{fault:?} at call {index}, {durability:?}");
                let disk = SimulatedDisk::new(7);
                disk.fail_at(index, fault);
                let acknowledged = whole_life(&disk, durability);
                let calls = disk.calls();
                let again = calls[index + 1..].iter().find(|call| call.path == calls[index].path);
                assert_eq!(again, None, "{what}: {:?} failed", calls[index]);
                // The process ends, the machine does not; then the machine does, too.
                check(&disk.duplicate(index as u64), durability, acknowledged, &what);
                if durability == Durability::Sync {
                    disk.cut_power();
                    disk.power_cycle();
                    check(&disk, durability, acknowledged, &what);
                }
            }
        }
    }
}

/// Whether somebody finds out that a journal is not what was written: the opening, or who reads every byte. Else all of it
/// has to be there.
fn is_found_out(disk: &SimulatedDisk, durability: Durability, acknowledged: u64, what: &str) -> bool {
    let Ok((writer, stepper, report)) = open_stepped(disk.clone(), stepped(durability)) else { return true };
    assert!(report.last_sequence >= acknowledged, "{what}: {} is there of {acknowledged}", report.last_sequence);
    assert!(Bench { disk: disk.clone(), writer, stepper }.close(), "{what}");
    let real = scratch();
    disk.export(real.path()).unwrap();
    let verification = verify(real.path(), Activity::AtRest, &|_| {});
    if !verification.is_ok_and(|verification| verification.findings.is_empty()) {
        return true;
    }
    let read = read_usual(real.path()).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(read, report.last_sequence, "{what}");
    false
}

#[test]
fn a_write_that_a_disk_loses_misdirects_or_changes_is_found_or_was_needed_by_nobody() {
    for durability in [Durability::Sync, Durability::Async] {
        let whole = SimulatedDisk::new(9);
        assert_eq!(whole_life(&whole, durability), RECORDS);
        let calls = whole.calls();
        let (mut blocks_found, mut with_headers) = (0, BTreeSet::new());
        for (index, call) in calls.iter().enumerate().filter(|(_, call)| call.name.starts_with("write")) {
            // The first write into a spare is its headers; blocks and the footer come by the same handle.
            let is_block = match call.path.extension().and_then(|extension| extension.to_str()) {
                Some("lkn") => !with_headers.insert(call.path.clone()),
                extension => extension == Some("lkj"),
            };
            for lie in Fault::LIES {
                let what = format!("{lie:?} at call {index}, {}, {durability:?}", step_of(call));
                let disk = SimulatedDisk::new(9);
                disk.fail_at(index, lie);
                let acknowledged = whole_life(&disk, durability);
                let found = is_found_out(&disk, durability, acknowledged, &what);
                // Nothing but a head, a spare's zeros, or one of a header's two copies may go wrong without anybody's noticing.
                assert!(found || !is_block, "{what}: a block or a footer is another, and nobody finds it");
                blocks_found += u32::from(found && is_block);
            }
        }
        println!("{durability:?}: {blocks_found} lies about blocks and footers found");
        assert!(blocks_found > 100, "{blocks_found}");
    }
}

/// What a call is about, in words of the journal.
fn step_of(call: &Call) -> String {
    let name = call.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let kind = name.rsplit_once('.').map_or(name, |(_, extension)| extension);
    format!("{} {kind}", call.name)
}

#[test]
fn a_power_cut_inside_each_step_of_a_segments_life_and_of_its_recovery_is_survived() {
    let whole = SimulatedDisk::new(3);
    whole_life(&whole, Durability::Sync);
    let calls = whole.calls();
    let steps: BTreeSet<String> = calls.iter().map(step_of).collect();
    for step in [
        "create tmp",        // a spare, or `heads`
        "allocate tmp",      // its room
        "write_durable tmp", // its zeros
        "sync tmp",
        "rename tmp",        // to a spare
        "write_durable lkn", // the header into the spare
        "rename lkn",        // to its final name
        "sync_directory journal",
        "write_durable lkj", // blocks, and the footer that seals
        "write_durable heads",
        "sync lkj", // an opening
    ] {
        assert!(steps.contains(step), "{step} is not among {steps:?}");
    }
    for (index, call) in calls.iter().enumerate() {
        for round in 0..4 {
            let disk = SimulatedDisk::new((index * 8 + round) as u64);
            disk.fail_at(index, Fault::PowerCut);
            let acknowledged = whole_life(&disk, Durability::Sync);
            disk.power_cycle();
            // Twice more inside of the recovery, wherever that is by then.
            for second in 0..2 {
                disk.fail_at(disk.calls().len() + (index + second * 3 + round) % 7, Fault::PowerCut);
                drop(open_stepped(disk.clone(), stepped(Durability::Sync)));
                disk.cut_power();
                disk.power_cycle();
            }
            check(&disk, Durability::Sync, acknowledged, &format!("{} at call {index}", step_of(call)));
        }
    }
}
