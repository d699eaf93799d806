//! Operators who lie, with the real contracts on an embedded chain.

use lakh_engine::command::{BatchSealed, Command, Operation, Side};
use lakh_engine::ids::{AccountId, AssetId};
use lakh_engine::units::Atoms;

use super::*;
use crate::batch::SealedBatch;
use crate::commitment::balances_root;
use crate::poster::{DataRoute, Poster};
use crate::test_venue::{Liar, TestChain, TestVenue, keys, order, user};
use crate::watcher::{QueuePosition, Watcher};

/// A venue whose operator the test is: it journals honestly and posts what it likes.
struct World {
    chain: TestChain,
    venue: TestVenue,
    /// What the journal decided on, batch 1 first.
    honest: Vec<SealedBatch>,
}

impl World {
    /// Two traders with money and keys, and a first batch that is honest.
    fn new() -> Self {
        Self::on(DataRoute::Calldata)
    }

    fn on(data: DataRoute) -> Self {
        let chain = TestChain::new().on(data);
        let venue = TestVenue::new(chain.venue, chain.now());
        let mut world = Self { chain, venue, honest: Vec::new() };
        world.chain.deposit(1, 0, 1_000);
        world.chain.deposit(2, 1, 50_000);
        for number in [1_u8, 2] {
            let call = contract::register_key([number; 32]);
            world.chain.send(&user(number.into()), world.chain.venue.contract, call);
        }
        world.bring_in();
        for number in [1, 2] {
            let now = world.chain.now();
            world.venue.sign(number, number, Operation::ActivateKey, now);
        }
        world.seal();
        world.post(&world.honest[0].clone());
        world
    }

    /// The chain's queue into the journal.
    fn bring_in(&mut self) {
        let engine = &self.venue.engine;
        let (queue_id, prefix) = (engine.last_queue_id(), Hash(engine.last_queue_prefix()));
        let position = QueuePosition { queue_id, prefix, time_seconds: 0 };
        let mut watcher = Watcher::new(self.chain.venue.contract, 0, position);
        watcher.poll(&self.chain.chain, position).unwrap();
        for entry in watcher.waiting().copied().collect::<Vec<_>>() {
            self.venue.submit(&Command::ChainEntry(entry), self.chain.now());
        }
    }

    /// A trade; the record of its taker's order.
    fn trade(&mut self) -> Sequence {
        let now = self.chain.now();
        self.venue.sign(1, 1, order(Side::Ask, 100, 40), now);
        let events = self.venue.sign(2, 2, order(Side::Bid, 100, 40), now);
        assert!(events.iter().any(|event| matches!(event, Event::Trade(_))), "{events:?}");
        self.venue.engine.sequence()
    }

    /// What the journal comes to now.
    fn next_batch(&self) -> SealedBatch {
        let mut replica = Replica::open(self.venue.directory.path(), self.chain.venue).unwrap();
        let mut batches = Vec::new();
        while replica.advance(1_000, &mut batches).unwrap() == Progress::Behind {}
        replica.seal().unwrap().clone()
    }

    /// Seals and journals the next batch.
    fn seal(&mut self) {
        let batch = self.next_batch();
        self.venue.submit(&Command::BatchSealed(batch.command()), self.chain.now());
        self.honest.push(batch);
    }

    /// Posts a batch behind those that are honest.
    fn post(&self, batch: &SealedBatch) {
        let directory = tempfile::tempdir().unwrap();
        let mut poster = Poster::open(self.chain.poster_options(directory.path()), keys()).unwrap();
        let before = self.honest.iter().filter(|honest| honest.header.batch_id < batch.header.batch_id);
        before.chain([batch]).for_each(|batch| poster.add(batch));
        for _ in 0..20 {
            if self.chain.tip().batch_id == batch.header.batch_id {
                return;
            }
            poster.step(&self.chain.chain, self.chain.now());
        }
        panic!("batch {} does not come to the chain", batch.header.batch_id);
    }

    fn options(&self, journal: Option<PathBuf>) -> WatchOptions {
        WatchOptions { journal, venue: self.chain.venue, first_block: 0, patience_seconds: 20 }
    }

    fn with_journal(&self) -> Watch {
        Watch::open(self.options(Some(self.venue.directory.path().to_owned()))).unwrap()
    }

    fn by_chain_alone(&self) -> Watch {
        Watch::open(self.options(None)).unwrap()
    }

    fn look(&self, watch: &mut Watch) -> Verdict {
        watch.look(&self.chain.chain).unwrap()
    }

    /// A watcher sends the veto, which is enough.
    fn veto(&self, watch: &Watch, divergence: &Divergence) {
        let VetoCall { to, bond_wei, data } = watch.veto(&self.chain.chain, divergence).unwrap();
        assert_eq!(bond_wei, 0);
        self.chain.send(&user(0), to, data);
        assert_eq!(self.chain.tip().batch_id, divergence.batch_id - 1, "dropped");
    }

    /// The batch as it would be had account 1 given `amount` of asset 0 to account 4: as large, as solvent, and a theft.
    fn theft(&self, honest: &SealedBatch, amount: u64) -> SealedBatch {
        let mut trees: Vec<SumTree> = honest.lines.iter().map(|_| SumTree::new()).collect();
        let mut take = |updates: &[LeafUpdate]| {
            updates.iter().for_each(|one| trees[usize::from(one.asset.0)].set(one.account, one.balance));
        };
        for batch in self.honest.iter().filter(|other| other.header.batch_id < honest.header.batch_id) {
            take(&diff::decode(&batch.data).unwrap());
        }
        let mut updates = diff::decode(&honest.data).unwrap();
        let victim = updates.iter_mut().find(|one| (one.account, one.asset) == (AccountId(1), AssetId(0))).unwrap();
        victim.balance = Atoms(victim.balance.raw() - amount);
        updates.push(LeafUpdate { account: AccountId(4), asset: AssetId(0), balance: Atoms(amount) });
        updates.sort_unstable_by_key(|one| (one.account, one.asset));
        take(&updates);
        let mut lie = honest.clone();
        lie.data = diff::encode(&updates).unwrap();
        lie.lines.iter_mut().zip(&mut trees).for_each(|(line, tree)| line.tree = tree.root());
        lie.header.new_root = balances_root(&lie.lines);
        lie.header.data_hash = crate::keccak::keccak256(&lie.data);
        lie
    }
}

#[test]
fn honest_batches_are_good_with_the_journal_and_without() {
    for data in [DataRoute::Calldata, DataRoute::Cheapest] {
        let mut world = World::on(data);
        let (mut watch, mut outside) = (world.with_journal(), world.by_chain_alone());
        for expected in 1..=3 {
            for watch in [&mut watch, &mut outside] {
                let verdict = world.look(watch);
                let found = (verdict.good_through, verdict.divergence, verdict.waiting);
                assert_eq!(found, (expected, None, None), "{data:?}");
            }
            world.trade();
            world.seal();
            world.post(&world.honest.last().unwrap().clone());
        }
    }
}

#[test]
fn a_theft_in_blobs_is_vetoed_as_any_other() {
    let mut world = World::on(DataRoute::Cheapest);
    let (mut watch, mut outside) = (world.with_journal(), world.by_chain_alone());
    let traded = world.trade();
    world.seal();
    let theft = world.theft(&world.honest[1].clone(), 10);
    world.post(&theft);
    let divergence = world.look(&mut watch).divergence.expect("another header than the journal's");
    assert_eq!((divergence.batch_id, divergence.sequence), (2, traded));
    assert_eq!(world.look(&mut outside).good_through, 2, "its data come to its root, and more nobody sees there");
    world.veto(&watch, &divergence);
}

/// That a blob is not on one's own node is no reason to veto: the chain takes no block without its blobs.
#[test]
fn a_blob_that_is_missing_is_waited_for_and_said() {
    let world = World::on(DataRoute::Cheapest);
    let logs = LogRanges::new(world.chain.venue.contract, vec![vec![answer::topic(BATCH_COMMITTED)]], (0, 1_000))
        .next(&world.chain.chain)
        .unwrap()
        .unwrap();
    let hash = world.chain.chain.sent(logs[0].transaction_hash).unwrap().unwrap().blob_hashes[0];
    let mut outside = world.by_chain_alone();
    let verdict = outside.look(&Liar::without_blob(&world.chain.chain, hash)).unwrap();
    assert_eq!((verdict.good_through, verdict.divergence), (0, None));
    let why = verdict.waiting.expect("it cannot be compared");
    assert!(why.starts_with(&format!("batch 1: blob {hash} of block ")), "{why}");
    assert!(why.ends_with("ask another consensus node"), "{why}");
    let verdict = world.look(&mut outside);
    assert_eq!((verdict.good_through, verdict.waiting), (1, None), "once it is there");
    let with_journal = world.with_journal().look(&Liar::without_blob(&world.chain.chain, hash)).unwrap();
    assert_eq!(with_journal.good_through, 1, "who has the journal needs no blob");
}

#[test]
fn a_theft_is_vetoed_with_the_record_that_it_contradicts() {
    let mut world = World::new();
    let mut watch = world.with_journal();
    assert_eq!(world.look(&mut watch).good_through, 1);
    let traded = world.trade();
    world.venue.submit(&Command::AdvanceTime, world.chain.now());
    world.seal();
    let honest = world.honest[1].clone();
    world.post(&world.theft(&honest, 10));
    let verdict = world.look(&mut watch);
    let divergence = verdict.divergence.expect("another header than the journal's");
    assert_eq!((verdict.good_through, divergence.batch_id, divergence.sequence), (1, 2, traded));
    assert!(divergence.why.contains("by the journal"), "{}", divergence.why);
    world.veto(&watch, &divergence);
    let verdict = world.look(&mut watch);
    assert_eq!((verdict.good_through, verdict.divergence), (1, None), "nothing is left to veto");
    world.post(&honest);
    let verdict = world.look(&mut watch);
    assert_eq!((verdict.good_through, verdict.divergence, verdict.waiting), (2, None, None));
    assert_eq!(world.look(&mut world.with_journal()).good_through, 2, "and to a watcher that has just begun");
}

#[test]
fn a_journal_that_decides_on_a_theft_is_no_excuse() {
    let mut world = World::new();
    let traded = world.trade();
    let theft = world.theft(&world.next_batch(), 10);
    let decision: BatchSealed = theft.command();
    world.venue.submit(&Command::BatchSealed(decision), world.chain.now());
    world.post(&theft);
    let watch = &mut world.with_journal();
    let divergence = world.look(watch).divergence.expect("its records come to something else");
    assert_eq!((divergence.batch_id, divergence.sequence), (2, traded));
    assert!(divergence.why.contains("comes out as another one"), "{}", divergence.why);
    world.veto(watch, &divergence);
}

#[test]
fn a_batch_that_was_never_decided_on_is_vetoed_once_there_was_time() {
    let mut world = World::new();
    world.trade();
    let secret = world.next_batch();
    world.post(&secret);
    let mut watch = world.with_journal();
    let verdict = world.look(&mut watch);
    assert_eq!(verdict.divergence, None, "the decision may be on its way");
    assert!(verdict.waiting.is_some());
    world.chain.pass(21);
    // Something has to happen for the chain's time to pass.
    world.chain.deposit(3, 0, 5);
    let divergence = world.look(&mut watch).divergence.expect("its records are there and no decision");
    assert_eq!((divergence.batch_id, divergence.sequence), (2, secret.header.first_sequence));
    world.veto(&watch, &divergence);
}

#[test]
fn data_that_nobody_could_leave_with_are_vetoed_from_the_chain_alone() {
    let mut world = World::new();
    let mut outside = world.by_chain_alone();
    assert_eq!(world.look(&mut outside).good_through, 1);
    world.trade();
    world.seal();
    let honest = world.honest[1].clone();
    // The root of a theft over the data of what is honest: nobody can prove his balance under it.
    let theft = world.theft(&honest, 10);
    let mut lie = honest.clone();
    (lie.lines, lie.header.new_root) = (theft.lines, theft.header.new_root);
    world.post(&lie);
    let divergence = world.look(&mut outside).divergence.expect("the data do not come to the root");
    assert_eq!((divergence.batch_id, divergence.sequence), (2, honest.header.first_sequence));
    assert!(divergence.why.contains("asset 0 differs"), "{}", divergence.why);
    world.veto(&outside, &divergence);
    world.post(&honest);
    let verdict = world.look(&mut outside);
    assert_eq!((verdict.good_through, verdict.divergence), (2, None));
}
