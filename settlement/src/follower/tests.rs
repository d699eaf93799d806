//! A replay that begins anew anywhere comes to the same batches, and every batch adds up.

use lakh_engine::command::{ChainEntryKind, Operation, Side};
use lakh_engine::units::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::keccak::Hash;
use crate::test_venue::{CHAIN_ID, START_SECONDS, TestVenue, order};
use crate::testing::random_cases;
use crate::typed_data::CompactSignature;

const VENUE: Venue = Venue { chain_id: CHAIN_ID, contract: Address([0xc0; 20]) };

fn now() -> Timestamp {
    Timestamp(START_SECONDS * 1_000_000_000)
}

/// What may happen next.
#[derive(Clone, Copy, Debug)]
enum Act {
    Deposit(u32, u16, u64),
    Withdraw(u32, u16, u64),
    Key(u32),
    Trade(u64, u64),
    Seal,
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        // Assets that the engine does not have, and owners that differ, are returned.
        4 => (1_u32..6, 0_u16..4, 1_u64..100_000).prop_map(|(account, asset, amount)| Act::Deposit(account, asset, amount)),
        3 => (1_u32..5, 0_u16..3, 1_u64..50_000).prop_map(|(account, asset, amount)| Act::Withdraw(account, asset, amount)),
        1 => (1_u32..4).prop_map(Act::Key),
        4 => (1_u64..20, 1_u64..30).prop_map(|(price, quantity)| Act::Trade(price, quantity)),
        3 => Just(Act::Seal),
        1 => Just(Act::Restart),
    ]
}

fn advance(replica: &mut Replica, batches: &mut Vec<SealedBatch>) {
    while replica.advance(7, batches).unwrap() == Progress::Behind {}
}

fn replay(venue: &TestVenue) -> (Replica, Vec<SealedBatch>) {
    let mut batches = Vec::new();
    let mut replica = Replica::open(venue.directory.path(), VENUE).unwrap();
    advance(&mut replica, &mut batches);
    (replica, batches)
}

fn run(acts: &[Act]) -> (TestVenue, Vec<SealedBatch>) {
    let mut venue = TestVenue::new(VENUE, now());
    let mut batches = Vec::new();
    let mut replica = Replica::open(venue.directory.path(), VENUE).unwrap();
    for act in acts {
        match *act {
            Act::Deposit(account, asset, amount) => {
                let entry = venue.entry(ChainEntryKind::Deposit, account, asset, amount);
                venue.submit(&Command::ChainEntry(entry), now());
            }
            Act::Withdraw(account, asset, amount) => {
                let entry = venue.entry(ChainEntryKind::Withdrawal, account, asset, amount);
                venue.submit(&Command::ChainEntry(entry), now());
            }
            Act::Key(account) => {
                let entry = venue.entry(ChainEntryKind::RegisterKey, account, 0, 0);
                let events = venue.submit(&Command::ChainEntry(entry), now());
                for event in events {
                    if let Event::KeyRegistered { key, account, .. } = event {
                        venue.sign(account.0, key.0, Operation::ActivateKey, now());
                    }
                }
            }
            Act::Trade(price, quantity) => {
                venue.sign(1, 1, order(Side::Ask, price, quantity), now());
                venue.sign(2, 2, order(Side::Bid, price, quantity), now());
            }
            Act::Seal => {
                advance(&mut replica, &mut batches);
                if replica.may_seal() {
                    let command = replica.seal().unwrap().command();
                    // Records in between belong to the next batch.
                    let entry = venue.entry(ChainEntryKind::Withdrawal, 1, 0, 1);
                    venue.submit(&Command::ChainEntry(entry), now());
                    venue.submit(&Command::BatchSealed(command), now());
                    advance(&mut replica, &mut batches);
                }
            }
            Act::Restart => {
                venue.restart();
                batches.clear();
                replica = Replica::open(venue.directory.path(), VENUE).unwrap();
            }
        }
    }
    advance(&mut replica, &mut batches);
    (venue, batches)
}

proptest! {
    #![proptest_config(random_cases(24))]

    #[test]
    fn whenever_a_replay_begins_the_batches_are_the_same(acts in prop::collection::vec(act(), 1..40)) {
        let (venue, live) = run(&acts);
        let (replica, again) = replay(&venue);
        prop_assert_eq!(replica.engine().state_hash(), venue.engine.state_hash());
        prop_assert_eq!(live.len(), again.len());
        prop_assert_eq!(u64::try_from(again.len()).unwrap(), venue.engine.last_batch().0);
        let (mut previous, mut sequence) = (crate::commitment::balances_root(&[]), 0);
        for (live, again) in live.iter().zip(&again) {
            prop_assert_eq!(live.header, again.header);
            let unsigned = CompactSignature::default();
            prop_assert_eq!(live.calldata(unsigned), again.calldata(unsigned));
            prop_assert_eq!(live.header.previous_root, previous);
            prop_assert_eq!(live.header.first_sequence.0, sequence + 1);
            (previous, sequence) = (live.header.new_root, live.header.last_sequence.0);
            for change in &live.changes {
                prop_assert!(change.is_conserved(&live.lines[usize::from(change.asset.0)]));
            }
        }
        // What the engine owns after all of it is what the last lines say, once everything is sealed.
        let mut replica = replica;
        if replica.may_seal() {
            let batch = replica.seal().unwrap().clone();
            for (asset, line) in (0_u16..2).zip(&batch.lines) {
                let supply = venue.engine.supply(lakh_engine::ids::AssetId(asset)).unwrap();
                prop_assert_eq!(line.tree.sum, u128::from(supply.raw()));
                let withdrawn = replica.ledger().withdrawn(lakh_engine::ids::AssetId(asset));
                prop_assert_eq!(line.tree.sum, line.credited - withdrawn);
            }
        }
    }
}

#[test]
fn another_venues_journal_is_refused() {
    let venue = TestVenue::new(VENUE, now());
    let other = Venue { contract: Address([0xc1; 20]), ..VENUE };
    let mut replica = Replica::open(venue.directory.path(), other).unwrap();
    let error = replica.advance(100, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, FollowError::OtherVenue { .. }), "{error}");
}

#[test]
fn a_decision_that_the_records_do_not_lead_to_names_its_batch() {
    let mut venue = TestVenue::new(VENUE, now());
    let entry = venue.entry(ChainEntryKind::Deposit, 1, 0, 5);
    venue.submit(&Command::ChainEntry(entry), now());
    let (mut replica, _) = replay(&venue);
    let decision = BatchSealed { new_root: [9; 32], ..replica.seal().unwrap().command() };
    venue.submit(&Command::BatchSealed(decision), now());
    // The one that was there learns that somebody else decided, and finds on replay that it does not fit.
    let error = replica.advance(100, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, FollowError::SealedElsewhere { batch_id: 1 }), "{error}");
    let mut replica = Replica::open(venue.directory.path(), VENUE).unwrap();
    let error = replica.advance(100, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, FollowError::BatchDiffers { batch_id: 1, .. }), "{error}");
    assert!(error.to_string().contains("batch 1"));
}

#[test]
fn a_decision_said_twice_is_one_batch() {
    let mut venue = TestVenue::new(VENUE, now());
    let (mut replica, _) = replay(&venue);
    let command = Command::BatchSealed(replica.seal().unwrap().command());
    venue.submit(&command, now());
    venue.submit(&command, now());
    let mut batches = Vec::new();
    advance(&mut replica, &mut batches);
    assert_eq!(batches.len(), 1);
    assert_eq!(replay(&venue).1.len(), 1);
    assert_eq!(venue.engine.last_batch().0, 1);
    assert_ne!(batches[0].header.journal_root, Hash::ZERO);
}
