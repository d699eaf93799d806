//! Poster and watcher on a chain that reorganises, drops and replaces: anvil, whose every block the test commands.

use std::cell::Cell;

use lakh_engine::ids::AssetId;
use serde_json::{Value, json};

use super::*;
use crate::chain::LogFilter;
use crate::chain::rpc::RpcChain;
use crate::comparison::ChainSide;
use crate::contract::answer::{BATCH_COMMITTED, BatchCommitted};
use crate::contract::deploy;
use crate::follower::Venue;
use crate::keccak::Hash;
use crate::rebuild::{RebuildOptions, rebuild};
use crate::test_anvil::Anvil;
use crate::test_venue::{
    CHAIN_ID, SCALE, START_SECONDS, TestChain, WINDOW_SECONDS, keys, operator, sealed_batches, user,
};
use crate::watcher::{QueuePosition, Watcher};

const CONFIRMATIONS: u64 = 3;
/// In calls, and, since anvil's blobs cost the least that there is, in blobs.
const ROUTES: [DataRoute; 2] = [DataRoute::Calldata, DataRoute::Cheapest];

/// Anvil with the contracts, batches to be posted, and the poster's clock.
struct World {
    anvil: Anvil,
    chain: RpcChain,
    venue: Venue,
    directory: tempfile::TempDir,
    batches: Vec<SealedBatch>,
    data: DataRoute,
    seconds: Cell<u64>,
}

impl World {
    /// `None` where there is no anvil.
    fn new(batch_count: usize) -> Option<Self> {
        Self::with(batch_count, DataRoute::Calldata)
    }

    fn with(batch_count: usize, data: DataRoute) -> Option<Self> {
        let anvil = Anvil::start(&["--no-mining", "--timestamp", &START_SECONDS.to_string()])?;
        let chain = anvil.chain();
        let administrator = user(0).address();
        for address in [operator().address(), administrator, user(1).address()] {
            anvil.command("anvil_setBalance", &json!([address.to_string(), "0x3635c9adc5dea00000"]));
        }
        let venue = Venue { chain_id: CHAIN_ID, contract: deploy::created_address(administrator, 0) };
        let (batches, directory) = (sealed_batches(venue, batch_count), tempfile::tempdir().unwrap());
        let world = Self { anvil, chain, venue, directory, batches, data, seconds: Cell::new(START_SECONDS) };
        let setup = deploy::Setup {
            operator: operator().address(),
            signer: keys().header.address(),
            window_seconds: WINDOW_SECONDS,
            ..deploy::Setup::in_one_hand(administrator)
        };
        world.send(&user(0), None, deploy::settlement(&setup));
        world.mine(1);
        Some(world)
    }

    fn send(&self, signer: &TransactionSigner, to: Option<Address>, data: Vec<u8>) -> Hash {
        let nonce = self.chain.nonce(signer.address(), NonceAt::Pending).unwrap();
        let transaction = Transaction {
            chain_id: CHAIN_ID,
            nonce,
            max_priority_fee_per_gas_wei: 2_000_000_000,
            max_fee_per_gas_wei: 100_000_000_000,
            gas_limit: 16_000_000,
            to,
            value_wei: 0,
            data,
            blobs: None,
        };
        self.chain.send_raw_transaction(&signer.sign(&transaction).raw).unwrap()
    }

    fn mine(&self, blocks: u64) {
        for _ in 0..blocks {
            self.anvil.command("evm_mine", &json!([]));
        }
    }

    /// The newest blocks are replaced by empty ones.
    fn reorganise(&self, depth: u64) {
        self.anvil.command("anvil_reorg", &json!([depth, []]));
    }

    /// Raw hashes of what waits in the pool.
    fn pool(&self) -> Vec<Value> {
        let content = self.anvil.command("txpool_content", &json!([]));
        let senders = content["pending"].as_object().unwrap().values();
        senders.flat_map(|sender| sender.as_object().unwrap().values().cloned().collect::<Vec<_>>()).collect()
    }

    fn options(&self) -> PosterOptions {
        PosterOptions {
            venue: self.venue,
            first_block: 0,
            confirmations: CONFIRMATIONS,
            attempts_file: Some(self.directory.path().join("attempts")),
            data: self.data,
        }
    }

    fn open(&self) -> Poster {
        let mut poster = Poster::open(self.options(), keys()).unwrap();
        self.batches.iter().for_each(|batch| poster.add(batch));
        poster.journal_is_read();
        poster
    }

    fn step(&self, poster: &mut Poster) -> PosterStatus {
        poster.step(&self.chain, self.later(1))
    }

    /// The poster's clock, which is not the chain's.
    fn later(&self, seconds: u64) -> Timestamp {
        self.seconds.set(self.seconds.get() + seconds);
        Timestamp(self.seconds.get() * NANOSECONDS)
    }

    /// Commits by the events of the blocks that count now: batch and block.
    fn commits(&self) -> Vec<(u64, u64)> {
        let topics = vec![vec![answer::topic(BATCH_COMMITTED)]];
        let to_block = self.chain.block_number(BlockTag::Latest).unwrap();
        let filter = LogFilter { address: self.venue.contract, from_block: 0, to_block, topics };
        let logs = self.chain.logs(&filter).unwrap();
        logs.iter().map(|log| (BatchCommitted::decode(log).unwrap().batch_id, log.block_number)).collect()
    }

    fn batch_ids(&self) -> Vec<u64> {
        self.commits().iter().map(|(batch_id, _)| *batch_id).collect()
    }

    fn used_nonces(&self) -> u64 {
        self.chain.nonce(operator().address(), NonceAt::Latest).unwrap()
    }

    /// Steps and mines until everything is final.
    fn finish(&self, poster: &mut Poster) {
        let last = self.batches.len() as u64;
        for _ in 0..40 {
            let status = self.step(poster);
            assert!(!matches!(status, PosterStatus::Stopped(_)), "{status:?}");
            if poster.confirmed().final_batch == last && poster.outgoing.is_empty() {
                return;
            }
            self.anvil.command("evm_increaseTime", &json!([10]));
            self.later(9);
            self.mine(1);
        }
        panic!("not final: {:?}", poster.tip());
    }
}

#[test]
fn confirmations_are_waited_for() {
    for data in ROUTES {
        let Some(world) = World::with(2, data) else { return };
        let mut poster = world.open();
        assert_eq!(world.step(&mut poster), PosterStatus::Pending(Purpose::Commit(1)));
        for mined in 0..=CONFIRMATIONS + 1 {
            assert_eq!(poster.waiting(), 2, "after {mined} blocks");
            assert_eq!(poster.confirmed().batch_id, 0, "after {mined} blocks");
            world.mine(1);
            world.step(&mut poster);
            if poster.confirmed().batch_id > 0 {
                assert_eq!(mined, CONFIRMATIONS, "the block itself and so many on it");
                break;
            }
        }
        assert_eq!((poster.confirmed().batch_id, poster.waiting()), (1, 1));
        world.finish(&mut poster);
        assert_eq!(world.batch_ids(), [1, 2]);
        assert_eq!(poster.waiting(), 0);
        assert!(world.used_nonces() <= 4, "{}", world.used_nonces());
    }
}

#[test]
fn a_batch_that_is_reorganised_away_is_posted_again_exactly_once() {
    for data in ROUTES {
        let Some(world) = World::with(2, data) else { return };
        let mut poster = world.open();
        world.step(&mut poster);
        let first = world.pool()[0]["hash"].clone();
        world.mine(1);
        assert_eq!(world.step(&mut poster), PosterStatus::Pending(Purpose::Commit(2)));
        world.mine(1);
        world.step(&mut poster);
        assert_eq!(world.batch_ids(), [1, 2]);
        // Long after the last transaction was sent.
        world.later(10 * BUMP_SECONDS);
        world.reorganise(2);
        world.anvil.command("evm_increaseTime", &json!([10 * BUMP_SECONDS]));
        assert_eq!(world.batch_ids(), [0_u64; 0]);
        assert_eq!(world.step(&mut poster), PosterStatus::Pending(Purpose::Commit(1)));
        let pool = world.pool();
        assert_eq!(pool[0]["hash"], first, "the same bytes, since no node has had the time to refuse them");
        world.finish(&mut poster);
        assert_eq!(world.batch_ids(), [1, 2]);
        assert!(world.used_nonces() <= 4, "two commits and one or two finalizations, not {}", world.used_nonces());
    }
}

#[test]
fn a_reorganisation_of_three_blocks_loses_no_batch_and_doubles_none() {
    for data in ROUTES {
        let Some(world) = World::with(4, data) else { return };
        let mut poster = world.open();
        for _ in 0..3 {
            world.step(&mut poster);
            world.mine(1);
        }
        world.step(&mut poster);
        assert_eq!((world.batch_ids(), poster.confirmed().batch_id), (vec![1, 2, 3], 0));
        world.reorganise(3);
        assert_eq!(world.batch_ids(), [0_u64; 0]);
        world.finish(&mut poster);
        assert_eq!(world.batch_ids(), [1, 2, 3, 4]);
        assert!(
            world.used_nonces() <= 8,
            "four commits and at most as many finalizations, not {}",
            world.used_nonces()
        );
    }
}

#[test]
fn a_reorganisation_is_survived_by_a_restart() {
    for data in ROUTES {
        let Some(world) = World::with(2, data) else { return };
        let mut poster = world.open();
        world.step(&mut poster);
        let first = world.pool()[0]["hash"].clone();
        world.mine(1);
        world.step(&mut poster);
        world.mine(1);
        drop(poster);
        world.reorganise(2);
        let mut poster = world.open();
        assert_eq!(world.step(&mut poster), PosterStatus::Pending(Purpose::Commit(1)));
        assert_eq!(world.pool()[0]["hash"], first, "kept in the attempts' file");
        world.finish(&mut poster);
        assert_eq!(world.batch_ids(), [1, 2]);
    }
}

#[test]
fn a_finalization_that_is_reorganised_away_is_sent_again() {
    let Some(world) = World::new(1) else { return };
    let mut poster = world.open();
    world.step(&mut poster);
    world.mine(CONFIRMATIONS + 1);
    world.anvil.command("evm_increaseTime", &json!([WINDOW_SECONDS]));
    world.mine(1);
    let sent = world.chain.block(BlockTag::Latest).unwrap().unwrap().timestamp_s;
    world.seconds.set(sent);
    assert_eq!(world.step(&mut poster), PosterStatus::Pending(Purpose::Finalize(1)));
    let hash = world.pool()[0]["hash"].clone();
    world.mine(1);
    world.step(&mut poster);
    assert_eq!((poster.tip().unwrap().final_batch, poster.confirmed().final_batch), (1, 0));
    world.reorganise(1);
    assert_eq!(world.step(&mut poster), PosterStatus::Pending(Purpose::Finalize(1)));
    assert_eq!((poster.tip().unwrap().final_batch, &world.pool()[0]["hash"]), (0, &hash));
    world.finish(&mut poster);
    assert_eq!((world.batch_ids(), world.used_nonces()), (vec![1], 2));
}

#[test]
fn a_batch_that_moves_to_another_block_is_finalized_with_its_new_stamp() {
    for data in ROUTES {
        let Some(world) = World::with(1, data) else { return };
        let mut poster = world.open();
        world.step(&mut poster);
        world.mine(1);
        world.step(&mut poster);
        let (before, raw) = (poster.on_chain(1).unwrap().1, poster.outgoing[0].newest().raw.clone());
        // The poster sees nothing of it: between two of its looks the batch has moved.
        world.reorganise(1);
        world.anvil.command("evm_increaseTime", &json!([5]));
        world.chain.send_raw_transaction(&raw).unwrap();
        world.mine(1);
        assert_ne!(world.commits()[0].1, before.block_number);
        world.step(&mut poster);
        let stamp = poster.on_chain(1).unwrap().1;
        assert_eq!(stamp.block_number, world.commits()[0].1, "whoever claims needs the stamp that counts");
        world.finish(&mut poster);
        assert_eq!(world.batch_ids(), [1]);
    }
}

#[test]
fn a_dropped_transaction_is_sent_again_under_its_nonce() {
    for data in ROUTES {
        let Some(world) = World::with(1, data) else { return };
        let mut poster = world.open();
        world.step(&mut poster);
        let hash = world.pool()[0]["hash"].clone();
        world.anvil.command("anvil_dropTransaction", &json!([hash]));
        assert_eq!(world.pool().len(), 0);
        world.step(&mut poster);
        assert_eq!(world.pool().len(), 0, "not at once");
        poster.step(&world.chain, world.later(RESEND_SECONDS));
        let pool = world.pool();
        assert_eq!((pool.len(), &pool[0]["hash"], &pool[0]["nonce"]), (1, &hash, &json!("0x0")));
        world.finish(&mut poster);
        assert_eq!(world.batch_ids(), [1]);
    }
}

#[test]
fn what_is_not_mined_costs_more_after_48_seconds() {
    for data in ROUTES {
        let Some(world) = World::with(1, data) else { return };
        let mut poster = world.open();
        world.step(&mut poster);
        let fee = |transaction: &Value| {
            u128::from_str_radix(transaction["maxFeePerGas"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
        };
        let first = world.pool();
        poster.step(&world.chain, world.later(BUMP_SECONDS - 1));
        assert_eq!(world.pool(), first, "47 seconds are not enough");
        poster.step(&world.chain, world.later(1));
        let second = world.pool();
        assert_eq!(second.len(), 1, "a replacement");
        assert_eq!((&second[0]["nonce"], &second[0]["input"]), (&first[0]["nonce"], &first[0]["input"]));
        let (least, of) = if data == DataRoute::Calldata { (11, 10) } else { (2, 1) };
        assert!(fee(&second[0]) * of >= fee(&first[0]) * least, "{} {}", fee(&first[0]), fee(&second[0]));
        let kind = if data == DataRoute::Calldata { "0x2" } else { "0x3" };
        assert_eq!(second[0]["type"], kind, "it took the route that was meant");
        world.finish(&mut poster);
        assert_eq!(world.batch_ids(), [1]);
    }
}

#[test]
fn a_nonce_that_somebody_else_used_costs_time_and_no_batch() {
    let Some(world) = World::new(1) else { return };
    let mut poster = world.open();
    world.step(&mut poster);
    let own = world.pool()[0]["hash"].clone();
    world.anvil.command("anvil_dropTransaction", &json!([own]));
    world.send(&operator(), Some(user(1).address()), Vec::new());
    world.mine(1);
    assert_eq!((world.used_nonces(), world.batch_ids().len()), (1, 0));
    assert_eq!(world.step(&mut poster), PosterStatus::Pending(Purpose::Commit(1)), "the node may be behind");
    world.finish(&mut poster);
    assert_eq!(world.batch_ids(), [1]);
}

#[test]
fn a_chain_that_loses_a_confirmed_batch_stops_the_poster() {
    let Some(world) = World::new(1) else { return };
    let mut poster = world.open();
    world.step(&mut poster);
    world.mine(CONFIRMATIONS + 1);
    world.step(&mut poster);
    assert_eq!(poster.confirmed().batch_id, 1);
    world.reorganise(CONFIRMATIONS + 1);
    let stop = PosterStatus::Stopped(Contradiction::Rewound { batch_id: 1 }.into());
    assert_eq!(world.step(&mut poster), stop);
}

#[test]
fn deposits_are_read_up_to_the_final_block_and_no_further() {
    let Some(world) = World::new(0) else { return };
    let contract = world.venue.contract;
    let vault = Call::question(contract, contract::vault());
    let vault = answer::address(&world.chain.call(&vault, BlockTag::Latest).unwrap()).unwrap();
    let token = deploy::created_address(user(0).address(), 1);
    world.send(&user(0), None, deploy::demo_token("BTC", "BTC", 8));
    world.send(&user(0), Some(contract), contract::list_asset(token, SCALE, 1, 1 << 60));
    let units = 1_000 * u128::from(SCALE);
    world.send(&user(1), Some(token), contract::mint(user(1).address(), units));
    world.send(&user(1), Some(token), contract::approve(vault, units));
    // The contract itself has to be final before its queue can be read.
    world.anvil.command("anvil_mine", &json!(["0x50"]));
    let deposit = |atoms: u64| {
        world.send(&user(1), Some(contract), contract::deposit(AssetId(0), u128::from(atoms) * u128::from(SCALE)));
        world.mine(1);
    };
    let start = QueuePosition { queue_id: 0, prefix: world.venue.queue_origin(), time_seconds: 0 };
    let mut watcher = Watcher::new(contract, 0, start);
    let mut read = |world: &World| {
        watcher.poll(&world.chain, start).unwrap();
        watcher.waiting().map(|entry| entry.amount.raw()).collect::<Vec<_>>()
    };
    deposit(5);
    let block = world.chain.block_number(BlockTag::Latest).unwrap();
    assert_eq!(read(&world), [0_u64; 0], "it is in a block, and that is not enough");
    world.reorganise(1);
    deposit(7);
    while world.chain.block_number(BlockTag::Finalized).unwrap() < block {
        assert_eq!(read(&world), [0_u64; 0]);
        world.mine(8);
    }
    world.mine(2);
    assert_eq!(read(&world), [7], "what was reorganised away was never seen");
}

/// What a chain says of its commits and what everybody can rebuild from it, whatever the chain's own times and hashes are.
fn told(chain: &dyn Chain, venue: Venue) -> Vec<String> {
    let side = ChainSide::read(chain, venue, 0).unwrap();
    let mut told = Vec::new();
    for batch in &side.batches {
        let sent = chain.sent(batch.transaction_hash).unwrap().unwrap();
        let gas_used = chain.receipt(batch.transaction_hash).unwrap().unwrap().gas_used;
        let blobs = sent.blob_hashes.iter().map(|hash| chain.blob(*hash, &batch.stamp.unwrap()).unwrap().unwrap());
        let blobs: Vec<_> = blobs.map(|blob| crate::keccak::keccak256(blob.as_slice())).collect();
        told.push(format!("{} {} {gas_used} {:?} {blobs:?}", batch.batch_id, batch.header_hash, sent.blob_hashes));
    }
    let rebuilt = rebuild(chain, &RebuildOptions { venue, first_block: 0, not_before_seconds: 0 }).unwrap();
    let last = rebuilt.last_final.unwrap();
    told.push(format!("{:?} {:?} {:?}", last.header, last.lines, last.balances().collect::<Vec<_>>()));
    told
}

#[test]
fn in_blobs_anvil_and_the_embedded_chain_come_to_the_same() {
    let Some(world) = World::with(2, DataRoute::Cheapest) else { return };
    // The two tokens that the other chain has: listing them writes into slots that the commits find.
    let token = |nonce| deploy::created_address(user(0).address(), nonce);
    for name in ["BTC", "USD"] {
        world.send(&user(0), None, deploy::demo_token(name, name, 8));
    }
    for nonce in [1, 2] {
        let list = contract::list_asset(token(nonce), SCALE, 1, 1 << 60);
        world.send(&user(0), Some(world.venue.contract), list);
    }
    world.mine(1);
    world.finish(&mut world.open());
    let test = TestChain::new().on(DataRoute::Cheapest);
    assert_eq!(test.venue, world.venue, "the same contract on the same chain, for anybody who signs");
    let directory = tempfile::tempdir().unwrap();
    let mut poster = Poster::open(test.poster_options(directory.path()), keys()).unwrap();
    world.batches.iter().for_each(|batch| poster.add(batch));
    for _ in 0..40 {
        test.pass(10);
        poster.step(&test.chain, test.now());
    }
    assert_eq!(test.tip().final_batch, 2);
    let there = told(&world.chain, world.venue);
    assert_eq!(there, told(&test.chain, test.venue));
    assert!(there.len() == 3 && there[0].contains("0x01"), "{there:?}");
}
