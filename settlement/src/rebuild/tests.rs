//! The vanish drill: the operator is gone, and everybody leaves by what the chain alone tells.

use std::collections::BTreeMap;

use lakh_engine::command::{Command, Operation, Side};
use lakh_engine::event::Event;

use super::*;
use crate::blobs::BLOB_LIFE_SECONDS;
use crate::chain::TransactionStatus;
use crate::comparison::CommittedBatch;
use crate::contract::{self, exits};
use crate::escape::exit_steps;
use crate::poster::DataRoute;
use crate::service::{ServiceAction, ServiceOptions, SettlementService};
use crate::test_venue::{Liar, SCALE, TestChain, TestVenue, WINDOW_SECONDS, keys, order, user};

const DAY_SECONDS: u64 = 24 * 3_600;
const MINUTE_SECONDS: u64 = 60;

/// A chain, a venue and its settlement, which can be let go of.
struct World {
    chain: TestChain,
    venue: TestVenue,
    service: Option<SettlementService>,
    key_of: BTreeMap<u32, u32>,
}

impl World {
    fn new(owners: u16) -> Self {
        Self::on(owners, DataRoute::Calldata)
    }

    fn on(owners: u16, data: DataRoute) -> Self {
        let chain = TestChain::with_owners(owners).on(data);
        let venue = TestVenue::new(chain.venue, chain.now());
        let directory = venue.directory.path();
        let options = ServiceOptions::new(directory, chain.poster_options(directory));
        let service = SettlementService::open(options, Box::new(chain.chain.clone()), keys()).unwrap();
        Self { chain, venue, service: Some(service), key_of: BTreeMap::new() }
    }

    /// Lets the settlement do all that it can now.
    fn poll(&mut self) {
        for _ in 0..40 {
            let now = self.chain.now();
            let actions = self.service.as_mut().unwrap().poll(now);
            for action in actions {
                match action {
                    ServiceAction::Submit(command) => {
                        for event in self.venue.submit(&command, now) {
                            if let Event::KeyRegistered { key, account, .. } = event {
                                self.key_of.insert(account.0, key.0);
                            }
                        }
                        while self.venue.engine.agenda_pending() {
                            self.venue.submit(&Command::Continue, now);
                        }
                    }
                    ServiceAction::CancelOnly(why) | ServiceAction::Warn(why) => panic!("{why}"),
                }
            }
            self.chain.pass(2);
        }
    }

    fn batch_until_final(&mut self) {
        for _ in 0..8 {
            self.chain.pass(MINUTE_SECONDS + WINDOW_SECONDS);
            self.poll();
        }
        let tip = self.chain.tip();
        assert_eq!((tip.batch_id, tip.last_sequence > 0), (tip.final_batch, true), "{tip:?}");
    }

    fn sign(&mut self, account: u32, operation: Operation) {
        let now = self.chain.now();
        self.venue.sign(account, self.key_of[&account], operation, now);
    }

    fn rebuild(&self, not_before_seconds: u64) -> Result<Rebuilt, RebuildError> {
        let options = RebuildOptions { venue: self.chain.venue, first_block: 0, not_before_seconds };
        rebuild(&self.chain.chain, &options)
    }

    /// Every batch on the chain.
    fn commits(&self) -> Vec<Commit> {
        let side = ChainSide::read(&self.chain.chain, self.chain.venue, 0).unwrap();
        let commit = |batch: &CommittedBatch| Commit {
            header_hash: batch.header_hash,
            transaction_hash: batch.transaction_hash,
            stamp: batch.stamp.unwrap(),
        };
        side.batches.iter().map(commit).collect()
    }

    /// Anybody freezes a venue whose oldest entry has waited for a week, and brings it back to its last final batch.
    fn freeze(&self, rebuilt: &Rebuilt) {
        let contract = self.chain.venue.contract;
        let stranger = user(0);
        assert_eq!(
            self.chain.try_send(&stranger, contract, exits::freeze(&rebuilt.waiting[0])),
            TransactionStatus::Reverted,
            "it is too early"
        );
        self.chain.pass(7 * DAY_SECONDS);
        self.chain.send(&stranger, contract, exits::freeze(&rebuilt.waiting[0]));
        let last = rebuilt.last_final.as_ref().unwrap();
        self.chain.send(&stranger, contract, exits::roll_back(&last.header, last.stamp));
    }

    /// Sends every call that is left, by somebody who has nothing to do with it.
    fn leave(&self, rebuilt: &mut Rebuilt) -> usize {
        let venue = self.chain.venue;
        let steps = exit_steps(&self.chain.chain, venue, rebuilt, None).unwrap();
        for step in &steps {
            self.chain.send(&user(0), step.to, step.data.clone());
        }
        let again = self.chain.try_send(&user(0), steps[0].to, steps[0].data.clone());
        assert_eq!(again, TransactionStatus::Reverted, "nobody leaves twice");
        assert_eq!(exit_steps(&self.chain.chain, venue, rebuilt, None).unwrap(), []);
        steps.len()
    }
}

fn trading_key(owner: u16) -> [u8; 32] {
    let mut key = [0xed; 32];
    key[..2].copy_from_slice(&owner.to_be_bytes());
    key
}

/// A thousand accounts trade for weeks, so that the data of the first batches have gone; then the operator is killed.
#[test]
fn the_operator_vanishes_and_everybody_leaves() {
    vanish(DataRoute::Calldata);
}

/// The same with the data in blobs, which are really deleted when they are 18 days old.
#[test]
fn the_operator_vanishes_with_old_blobs_and_everybody_leaves() {
    let mut world = vanish(DataRoute::Cheapest);
    let commits = world.commits();
    let now = world.chain.now().0 / 1_000_000_000;
    // Equal data are in equal blobs, which the newest batch keeps.
    let mut newest = BTreeMap::new();
    for commit in &commits {
        let sent = world.chain.chain.sent(commit.transaction_hash).unwrap().unwrap();
        assert_eq!(sent.blob_hashes.len(), 1, "each batch's data are in a blob");
        newest.insert(sent.blob_hashes[0], commit.stamp);
    }
    let is_young = |stamp: &Stamp| stamp.time_seconds + BLOB_LIFE_SECONDS >= now;
    for (hash, stamp) in &newest {
        assert_eq!(world.chain.chain.blob(*hash, stamp).unwrap().is_some(), is_young(stamp), "{stamp:?}");
    }
    let gone = newest.values().filter(|stamp| !is_young(stamp)).count();
    assert!(gone > 2 && gone < newest.len(), "{gone} of {}", newest.len());
    let error = world.rebuild(0).unwrap_err().to_string();
    assert!(error.contains("the data of batch 1 cannot be read: blob 0x01"), "{error}");
    assert!(error.ends_with("blobs are kept for 18 days"), "{error}");
    world.service = None;
}

fn vanish(data: DataRoute) -> World {
    const OWNERS: u16 = 1_000;
    let mut world = World::on(OWNERS, data);
    for owner in 1..=OWNERS {
        world.chain.deposit(owner, 0, 1_000 + u64::from(owner));
        world.chain.deposit(owner, 1, 500_000);
        world.chain.send(&user(owner), world.chain.venue.contract, contract::register_key(trading_key(owner)));
    }
    world.batch_until_final();
    for account in 1..=u32::from(OWNERS) {
        world.sign(account, Operation::ActivateKey);
    }
    for pair in 0..u32::from(OWNERS) / 2 {
        world.sign(2 * pair + 1, order(Side::Ask, 20 + u64::from(pair), 7));
        world.sign(2 * pair + 2, order(Side::Bid, 20 + u64::from(pair), 7));
    }
    world.batch_until_final();
    let first_batches = world.chain.tip().final_batch;
    // Weeks in which next to nothing happens: every balance is published again all the same.
    // Making and checking blobs takes a quarter of a second each: fewer batches then.
    let a_day = if data == DataRoute::Calldata { 8 } else { 2 };
    for _ in 0..21 * a_day {
        world.chain.pass(DAY_SECONDS / a_day);
        world.poll();
    }
    world.batch_until_final();
    // The operator takes an order, and a deposit that it never batches; then it is gone.
    world.sign(1, order(Side::Bid, 5, 3));
    world.service = None;
    world.chain.deposit(3, 1, 777);
    let before: Vec<Vec<u128>> =
        (1..=OWNERS).map(|owner| (0..2).map(|asset| world.chain.token_balance(owner, asset)).collect()).collect();

    let now = world.chain.now().0 / 1_000_000_000;
    let mut rebuilt = world.rebuild(now - BLOB_LIFE_SECONDS).unwrap();
    let first_data = rebuilt.last_final.as_ref().unwrap().first_data;
    assert!(first_data > first_batches, "the data of the first batches were not needed: {first_data}");
    if data == DataRoute::Calldata {
        let everything = world.rebuild(0).unwrap();
        assert!(everything.last_final.unwrap().balances().eq(rebuilt.last_final.as_ref().unwrap().balances()));
    }
    world.freeze(&rebuilt);
    let left = world.leave(&mut rebuilt);
    assert!(left >= 2 * usize::from(OWNERS), "{left}");
    for owner in 1..=OWNERS {
        for asset in 0..2_u16 {
            let id = AssetId(asset);
            let balance = world.venue.engine.balance(AccountId(owner.into()), id).unwrap();
            let deposit = if (owner, asset) == (3, 1) { 777 } else { 0 };
            let atoms = u128::from((balance.available + balance.held).raw()) + deposit;
            let got = world.chain.token_balance(owner, asset) - before[usize::from(owner - 1)][usize::from(asset)];
            assert_eq!(got, atoms * u128::from(SCALE), "owner {owner}, asset {asset}");
        }
    }
    for asset in 0..2 {
        assert_eq!(world.chain.vault_balance(asset), 0, "the vault is empty");
    }
    world
}

#[test]
fn a_blob_that_is_missing_too_early_is_said_clearly() {
    let mut world = World::on(2, DataRoute::Cheapest);
    world.chain.deposit(1, 0, 1_000);
    world.batch_until_final();
    assert_eq!(world.rebuild(0).unwrap().last_final.unwrap().balances().count(), 1);
    let commit = world.commits()[0];
    let hash = world.chain.chain.sent(commit.transaction_hash).unwrap().unwrap().blob_hashes[0];
    let careless = Liar::without_blob(&world.chain.chain, hash);
    let options = RebuildOptions { venue: world.chain.venue, first_block: 0, not_before_seconds: 0 };
    let error = rebuild(&careless, &options).unwrap_err();
    assert!(matches!(error, RebuildError::Data { batch_id: 1, .. }), "{error}");
    let (words, block) = (error.to_string(), commit.stamp.block_number);
    assert!(words.contains(&format!("blob {hash} of block {block}, 0 days old, is not on the node")), "{words}");
    assert!(words.contains("it was published and is kept for 18 days: ask another consensus node"), "{words}");
}

#[test]
fn data_that_are_too_new_are_told() {
    let mut world = World::new(2);
    world.chain.deposit(1, 0, 1_000);
    world.batch_until_final();
    world.chain.deposit(2, 0, 1_000);
    world.batch_until_final();
    let newest = world.rebuild(0).unwrap().last_final.unwrap().stamp.time_seconds;
    let error = world.rebuild(newest).unwrap_err();
    assert!(matches!(error, RebuildError::OtherRoot { asset: 0, .. }), "{error}");
}

#[test]
fn nothing_final_leaves_the_deposits() {
    let world = World::new(2);
    world.chain.deposit(1, 0, 1_000);
    let rebuilt = world.rebuild(0).unwrap();
    assert!(rebuilt.last_final.is_none());
    assert_eq!(rebuilt.waiting.len(), 1);
}

/// A forced withdrawal is served by a batch: the account's leaf is empty, and its owner is paid.
#[test]
fn a_forced_withdrawal_is_served() {
    let mut world = World::new(2);
    world.chain.deposit(1, 0, 1_000);
    world.chain.deposit(2, 0, 1_000);
    world.chain.send(&user(1), world.chain.venue.contract, contract::register_key([1; 32]));
    world.batch_until_final();
    world.sign(1, Operation::ActivateKey);
    world.sign(1, order(Side::Ask, 20, 7));
    world.chain.send(&user(1), world.chain.venue.contract, exits::force_withdraw(AssetId(0)));
    world.batch_until_final();
    let rebuilt = world.rebuild(0).unwrap();
    assert!(rebuilt.waiting.is_empty(), "consumed");
    let balances: Vec<_> = rebuilt.last_final.unwrap().balances().collect();
    assert_eq!(balances, [(AssetId(0), AccountId(2), Atoms(1_000))]);
    let claims = world.service.as_ref().unwrap().claims_of(AccountId(1));
    let (claim, stamp) = claims.last().unwrap();
    assert_eq!(claim.amount, 1_000, "what the order held is paid too");
    world.chain.send(&user(0), world.chain.venue.contract, contract::claim_from_batch(claim, stamp.unwrap()));
    assert_eq!(world.chain.token_balance(1, 0), 1_000 * u128::from(SCALE));
}
