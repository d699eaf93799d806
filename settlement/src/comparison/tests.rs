//! Honest and dishonest pairs of journal and chain, with the real contract on an embedded chain.

use lakh_engine::command::{ChainEntryKind, Command};
use lakh_engine::event::Event;
use lakh_engine::ids::AssetId;
use lakh_engine::units::Atoms;

use super::*;
use crate::chain::Log;
use crate::contract;
use crate::contract::answer::{BATCH_COMMITTED, QUEUED, topic};
use crate::poster::DataRoute;
use crate::service::{ServiceAction, ServiceOptions, SettlementService};
use crate::test_venue::{Liar, SCALE, TestChain, TestVenue, WINDOW_SECONDS, keys, user};
use crate::watcher::{QueuePosition, Watcher};

/// Chain and venue, settled by the service.
struct World {
    chain: TestChain,
    venue: TestVenue,
}

impl World {
    /// Three entries on the chain, none in the journal yet.
    fn new() -> Self {
        let chain = TestChain::new();
        chain.deposit(1, 0, 5);
        chain.send(&user(1), chain.venue.contract, contract::register_key([1; 32]));
        chain.deposit(2, 1, 7);
        let venue = TestVenue::new(chain.venue, chain.now());
        Self { chain, venue }
    }

    fn settle(&mut self, seconds: u64) {
        let directory = self.venue.directory.path();
        let options = ServiceOptions::new(directory, self.chain.poster_options(directory));
        let mut service = SettlementService::open(options, Box::new(self.chain.chain.clone()), keys()).unwrap();
        for _ in 0..seconds {
            self.chain.pass(1);
            for action in service.poll(self.chain.now()) {
                let ServiceAction::Submit(command) = action else { panic!("{action:?}") };
                self.submit(&command);
            }
        }
    }

    fn submit(&mut self, command: &Command) {
        let events = self.venue.submit(command, self.chain.now());
        assert!(!events.iter().any(|event| matches!(event, Event::Rejected(_))), "{command:?} {events:?}");
    }

    /// The chain's entries, as a watcher hands them on.
    fn entries(&self) -> Vec<ChainEntry> {
        let start = QueuePosition { queue_id: 0, prefix: self.chain.venue.queue_origin(), time_seconds: 0 };
        let mut watcher = Watcher::new(self.chain.venue.contract, 0, start);
        watcher.poll(&self.chain.chain, start).unwrap();
        watcher.waiting().copied().collect()
    }

    /// Brings entries into the journal with their hashes made to fit, as a dishonest venue would.
    fn consume(&mut self, entries: &[ChainEntry]) {
        for entry in entries {
            let prefix = entry.prefix_after(&self.venue.engine.last_queue_prefix());
            self.submit(&Command::ChainEntry(ChainEntry { prefix, ..*entry }));
        }
    }

    fn seal(&mut self) {
        let mut replica = crate::follower::Replica::open(self.venue.directory.path(), self.chain.venue).unwrap();
        replica.advance(10_000, &mut Vec::new()).unwrap();
        let decision = replica.seal().unwrap().command();
        self.submit(&Command::BatchSealed(decision));
    }

    fn compare_on(&self, chain: &dyn Chain) -> Comparison {
        let options = ComparisonOptions {
            journal_directory: self.venue.directory.path().to_owned(),
            venue: self.chain.venue,
            first_block: 0,
        };
        compare(&options, chain, &mut |_| {}).unwrap()
    }

    fn compare(&self) -> Comparison {
        self.compare_on(&self.chain.chain)
    }
}

#[test]
fn an_honest_venue_has_no_finding_at_any_time() {
    honest(DataRoute::Calldata);
}

#[test]
fn an_honest_venue_in_blobs_has_no_finding_either() {
    honest(DataRoute::Cheapest);
}

fn honest(data: DataRoute) {
    let mut world = World::new();
    world.chain.data = data;
    let before = world.compare();
    assert_eq!((before.finding_count, before.entries_waiting, before.chain_batches), (0, 3, 0), "{before}");
    world.settle(5);
    let consumed = world.compare();
    assert_eq!((consumed.finding_count, consumed.entries_waiting, consumed.journal_entries), (0, 0, 3), "{consumed}");
    world.settle(70);
    let amount = 2 * u128::from(SCALE);
    world.chain.send(&user(1), world.chain.venue.contract, contract::request_withdrawal(AssetId(0), amount));
    world.settle(2 * WINDOW_SECONDS + 70);
    let settled = world.compare();
    assert_eq!(settled.findings, []);
    assert_eq!((settled.journal_batches, settled.chain_batches, settled.final_batch), (2, 2, 2), "{settled}");
    assert_eq!((settled.journal_entries, settled.chain_entries, settled.batches_waiting), (4, 4, 0));
    assert!(settled.records_settled > 0 && settled.records_settled < settled.records);
    world.venue.restart();
    assert_eq!(world.compare(), settled, "whoever has the journal open");
    let text = settled.to_string();
    assert!(text.contains("2 in the journal, 2 on the chain (0 wait for the chain), final up to 2"), "{text}");
    assert_eq!(serde_json::to_value(&settled).unwrap()["findings"], serde_json::json!([]));
}

#[test]
fn an_altered_entry_is_found_once_and_named() {
    let mut world = World::new();
    let mut entries = world.entries();
    entries[2].amount = Atoms(70);
    world.consume(&entries);
    let comparison = world.compare();
    let detail = "amount 70 in the journal, 7 on the chain".to_owned();
    assert_eq!(comparison.findings, [Finding::EntryDiffers { queue_id: 3, detail }]);
    let json = serde_json::to_value(&comparison).unwrap();
    assert_eq!(json["findings"][0], "queue entry 3: amount 70 in the journal, 7 on the chain");
    // Every field counts, and what follows an altered entry is not found guilty for its hash.
    type Change = fn(&mut ChainEntry);
    let changes: [(Change, &str); 5] = [
        (|entry| entry.kind = ChainEntryKind::Withdrawal, "kind"),
        (|entry| entry.account.0 += 1, "account"),
        (|entry| entry.asset.0 += 1, "asset"),
        (|entry| entry.extra[31] ^= 1, "key or owner"),
        (|entry| entry.time_seconds += 1, "time"),
    ];
    for (change, field) in changes {
        world.venue = TestVenue::new(world.chain.venue, world.chain.now());
        let mut entries = world.entries();
        change(&mut entries[0]);
        world.consume(&entries);
        let comparison = world.compare();
        let [Finding::EntryDiffers { queue_id: 1, detail }] = comparison.findings.as_slice() else {
            panic!("{comparison}")
        };
        assert!(detail.starts_with(field), "{detail}");
    }
}

#[test]
fn money_that_never_came_to_the_chain_is_found() {
    let mut world = World::new();
    let entries = world.entries();
    world.consume(&entries);
    let invented = world.venue.entry(ChainEntryKind::Deposit, 3, 0, 1_000);
    world.submit(&Command::ChainEntry(invented));
    assert_eq!(world.compare().findings, [Finding::EntriesUnknown { first: 4, last: 4 }]);
}

#[test]
fn a_chain_that_is_behind_is_no_finding() {
    let mut world = World::new();
    let entries = world.entries();
    world.consume(&entries);
    world.seal();
    let comparison = world.compare();
    assert_eq!((comparison.finding_count, comparison.batches_waiting, comparison.chain_batches), (0, 1, 0));
    assert!(comparison.to_string().contains("(1 wait for the chain)"), "{comparison}");
}

#[test]
fn a_chain_that_is_ahead_or_has_another_batch_is_a_finding() {
    let mut world = World::new();
    world.settle(70);
    let honest = world.compare();
    assert_eq!((honest.finding_count, honest.chain_batches), (0, 1), "{honest}");
    // The same exchange with the same entries, that never decided on a batch.
    let entries = world.entries();
    world.venue = TestVenue::new(world.chain.venue, world.chain.now());
    world.consume(&entries);
    assert_eq!(world.compare().findings, [Finding::BatchesUnknown { first: 1, last: 1 }]);
    // And now one that decided otherwise: it has one record more before its first batch.
    let now = world.chain.now();
    world.venue.submit(&Command::AdvanceTime, now);
    world.seal();
    let comparison = world.compare();
    let Finding::BatchDiffers { batch_id: 1, journal, chain, .. } = &comparison.findings[0] else {
        panic!("{comparison}")
    };
    assert_ne!(journal, chain);
    let differs = |what: &str| {
        comparison
            .findings
            .iter()
            .any(|found| matches!(found, Finding::TipDiffers { what: found, .. } if *found == what))
    };
    assert!(differs("last record"), "{comparison}");
    assert!(!differs("balances root"), "nobody's balance differs: {comparison}");
}

#[test]
fn a_decision_that_the_records_do_not_lead_to_is_a_finding() {
    let mut world = World::new();
    let entries = world.entries();
    world.consume(&entries);
    let mut replica = crate::follower::Replica::open(world.venue.directory.path(), world.chain.venue).unwrap();
    replica.advance(10_000, &mut Vec::new()).unwrap();
    let mut decision = replica.seal().unwrap().command();
    decision.new_root = [9; 32];
    world.submit(&Command::BatchSealed(decision));
    let comparison = world.compare();
    let [Finding::JournalBroken { detail }] = comparison.findings.as_slice() else { panic!("{comparison}") };
    assert!(detail.starts_with("batch 1 comes out as another one"), "{detail}");
}

#[test]
fn nodes_that_forget_repeat_or_alter_events_are_found_out() {
    let mut world = World::new();
    world.settle(70);
    world.chain.deposit(1, 0, 9);
    world.settle(70);
    assert_eq!((world.compare().finding_count, world.compare().chain_batches), (0, 2));
    type Change = fn(&mut Vec<Log>);
    let lies: [(&str, Change, &str); 8] = [
        (QUEUED, |logs| drop(logs.remove(0)), "entry 2 where entry 1 should be"),
        (QUEUED, |logs| drop(logs.pop()), "3 entries by its events, 4 by its count"),
        (QUEUED, |logs| logs.swap(0, 1), "entry 2 where entry 1"),
        (QUEUED, |logs| logs[1].data[31] = 3, "entry 2 does not hash"),
        (BATCH_COMMITTED, |logs| drop(logs.remove(0)), "batch 2 where batch 1 should be"),
        (BATCH_COMMITTED, |logs| drop(logs.pop()), "1 batches by its events, 2 by its tip"),
        (BATCH_COMMITTED, |logs| logs[0].block_number -= 1, "stores another hash of batch 1"),
        (BATCH_COMMITTED, |logs| logs[0].data[0] ^= 1, "batch 1 (records 1 to"),
    ];
    for (event, change, expected) in lies {
        let about = move |logs: &mut Vec<Log>| {
            if logs.first().is_some_and(|log| log.topics[0] == topic(event)) {
                change(logs);
            }
        };
        let comparison =
            world.compare_on(&Liar { chain: &world.chain.chain, change: Box::new(about), without_blob: None });
        assert!(comparison.to_string().contains(expected), "{expected}: {comparison}");
        assert!(comparison.finding_count > 0);
    }
}

#[test]
fn another_chain_or_no_contract_is_an_error() {
    let world = World::new();
    let options =
        |venue| ComparisonOptions { journal_directory: world.venue.directory.path().to_owned(), venue, first_block: 0 };
    let other = options(Venue { chain_id: 1, ..world.chain.venue });
    let error = compare(&other, &world.chain.chain, &mut |_| {}).unwrap_err();
    assert!(matches!(error, ComparisonError::OtherChain { expected: 1, .. }), "{error}");
    let nowhere = options(Venue { contract: crate::chain::Address([9; 20]), ..world.chain.venue });
    let error = compare(&nowhere, &world.chain.chain, &mut |_| {}).unwrap_err();
    assert!(matches!(error, ComparisonError::Chain(_)), "{error}");
}
