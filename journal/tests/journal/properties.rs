//! Random histories of append, publish, wait, reopen and power cut: what is read back is a prefix that contains
//! everything acknowledged.

use std::path::Path;

use lakh_journal::faults::SimulatedDisk;
use lakh_journal::{Durability, JournalOptions, JournalReader, open_with};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::common::{LONG, append, header, options, payload, seed};

#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Publish,
    Wait,
    Reopen,
    PowerCut,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0usize..2_000).prop_map(Step::Append),
        1 => (2_000usize..16_352).prop_map(Step::Append),
        6 => Just(Step::Publish),
        3 => Just(Step::Wait),
        1 => Just(Step::Reopen),
        1 => Just(Step::PowerCut),
    ]
}

fn run(disk: &SimulatedDisk, options: &JournalOptions, steps: &[Step]) {
    let mut lengths: Vec<usize> = Vec::new();
    let (mut writer, _) = open_with(disk.clone(), options.clone()).unwrap();
    for step in steps {
        let sequence = lengths.len() as u64;
        match step {
            Step::Append(length) => {
                assert!(append(&mut writer, sequence + 1, *length), "{:?}", writer.watch().stopped());
                lengths.push(*length);
            }
            Step::Publish => writer.publish(),
            Step::Wait => {
                writer.publish();
                assert!(writer.watch().wait_for(sequence, LONG));
            }
            Step::Reopen => {
                writer.close().unwrap();
                let (reopened, report) = open_with(disk.clone(), options.clone()).unwrap();
                assert_eq!(report.last_sequence, sequence);
                writer = reopened;
            }
            Step::PowerCut => {
                let watch = writer.watch();
                disk.cut_power();
                drop(writer);
                disk.power_cycle();
                let (reopened, report) = open_with(disk.clone(), options.clone()).unwrap();
                assert!(report.last_sequence <= sequence);
                if options.durability == Durability::Sync {
                    assert!(report.last_sequence >= watch.durable_sequence());
                }
                lengths.truncate(report.last_sequence as usize);
                writer = reopened;
            }
        }
    }
    writer.close().unwrap();
    let real = tempfile::tempdir().unwrap();
    disk.export(real.path()).unwrap();
    let mut reader = JournalReader::open(real.path()).unwrap();
    for (index, length) in lengths.iter().enumerate() {
        let sequence = index as u64 + 1;
        let record = reader.next().unwrap().expect("the record is there");
        assert_eq!((record.header, record.payload), (header(sequence), &payload(sequence, *length)[..]));
    }
    assert!(reader.next().unwrap().is_none());
}

#[test]
fn random_histories_keep_what_was_acknowledged() {
    let seed = seed("random_histories_keep_what_was_acknowledged");
    let config = Config { cases: 96, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
    let histories = (any::<u64>(), any::<bool>(), proptest::collection::vec(step(), 1..120));
    let tested = TestRunner::new(config).run(&histories, |(disk_seed, synchronous, steps)| {
        let durability = if synchronous { Durability::Sync } else { Durability::Async };
        let options = JournalOptions { durability, ..options(Path::new("journal")) };
        run(&SimulatedDisk::new(disk_seed), &options, &steps);
        Ok(())
    });
    tested.unwrap_or_else(|error| panic!("{error}"));
}
