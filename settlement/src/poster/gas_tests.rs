//! What a batch costs through this poster, data in blobs and in a call: real transactions by the rules of osaka, ten assets,
//! everything cold. The sizes are those of the model of fills in `contracts/test/GasPerFill.t.sol`. The figures are printed
//! (`cargo nextest run -p lakh-settlement gas_a_fill --no-capture`) and kept in docs/benchmarks.md; bars that a mistake would
//! break are held here.

use lakh_engine::ids::{AssetId, Sequence};

use super::*;
use crate::batch::MAX_CALLDATA_BYTES;
use crate::blobs::blob_count;
use crate::chain::LogFilter;
use crate::commitment::{AssetChange, AssetLine, balances_root, trees_hash};
use crate::contract::answer::BATCH_COMMITTED;
use crate::escape::NO_HEADER;
use crate::keccak::keccak256;
use crate::sum_tree::Node;
use crate::test_venue::{SCALE, START_SECONDS, TestChain, keys, user};

const ASSETS: u16 = 10;
/// What each asset's depositors have, in atoms: 40 bits.
const SUM: u64 = 1 << 39;
/// Fills of a batch, and the bytes of their balances.
const BATCHES: [(u64, usize); 3] = [(1_000, 16_888), (10_000, 96_842), (100_000, 369_195)];

/// A chain on which ten assets have deposits that a first batch will consume.
fn chain(data: DataRoute) -> TestChain {
    let chain = TestChain::new().on(data);
    let vault = answer::address(&chain.ask(chain.venue.contract, contract::vault())).unwrap();
    let units = u128::from(SUM) * u128::from(SCALE);
    for asset in 0..ASSETS {
        let token = if asset < 2 { chain.tokens[usize::from(asset)] } else { chain.list_another() };
        chain.send(&user(1), token, contract::mint(user(1).address(), units));
        chain.send(&user(1), token, contract::approve(vault, units));
        chain.send(&user(1), chain.venue.contract, contract::deposit(AssetId(asset), units));
    }
    chain
}

/// The first batch, which credits the deposits, and a second one in which `bytes` of data are published.
fn batches(chain: &TestChain, fills: u64, bytes: usize) -> [SealedBatch; 2] {
    let tree = |batch: u8, asset: u16| {
        Hash([batch, 7].repeat(16).try_into().unwrap()).0.map(|byte| byte ^ asset.to_le_bytes()[0])
    };
    let line = |batch: u8, asset: u16| AssetLine {
        tree: Node { hash: Hash(tree(batch, asset)), sum: SUM.into() },
        credited: SUM.into(),
    };
    let lines = |batch: u8| (0..ASSETS).map(|asset| line(batch, asset)).collect::<Vec<_>>();
    let withdrawals = Node { hash: Hash::ZERO, sum: 0 };
    let change = |asset| AssetChange { asset: AssetId(asset), sum: 0, credited: 0, withdrawals };
    let prefix = answer::hash(&chain.ask(chain.venue.contract, contract::queue_prefix(ASSETS.into()))).unwrap();
    let first = Header {
        batch_id: 1,
        first_sequence: Sequence(1),
        last_sequence: Sequence(100),
        first_time_seconds: START_SECONDS,
        last_time_seconds: START_SECONDS,
        queue_up_to: ASSETS.into(),
        queue_prefix: prefix,
        previous_root: balances_root(&[]),
        new_root: balances_root(&lines(1)),
        data_hash: keccak256(&[]),
        ..NO_HEADER
    };
    // No byte is 0 where a varint could not be: one in a hundred is.
    let data: Vec<u8> = (0..bytes).map(|index| u8::try_from(index % 100).unwrap()).collect();
    let second = Header {
        batch_id: 2,
        first_sequence: Sequence(101),
        last_sequence: Sequence(100 + 3 * fills),
        fills,
        queue_prefix: Hash::ZERO,
        previous_root: first.new_root,
        new_root: balances_root(&lines(2)),
        journal_hash: Hash([0xa1; 32]),
        journal_root: Hash([0xa2; 32]),
        data_hash: keccak256(&data),
        ..first
    };
    let batch = |header, number: u8, data, changes| SealedBatch {
        header,
        lines: lines(number),
        changes,
        previous_lines: if number == 1 { 0 } else { u32::from(ASSETS) },
        previous_trees: if number == 1 { Hash::ZERO } else { trees_hash(&lines(1)) },
        data,
        withdrawals: Vec::new(),
    };
    [batch(first, 1, Vec::new(), (0..ASSETS).map(change).collect()), batch(second, 2, data, Vec::new())]
}

/// Gas and blobs of the second batch's commit.
fn posted(chain: &TestChain, batches: &[SealedBatch]) -> (u64, usize) {
    let directory = tempfile::tempdir().unwrap();
    let mut poster = Poster::open(chain.poster_options(directory.path()), keys()).unwrap();
    batches.iter().for_each(|batch| poster.add(batch));
    while chain.tip().batch_id < 2 {
        chain.pass(1);
        let status = poster.step(&chain.chain, chain.now());
        assert!(matches!(status, PosterStatus::Idle | PosterStatus::Pending(_)), "{status:?}");
    }
    let to_block = chain.chain.block_number(BlockTag::Latest).unwrap();
    let topics = vec![vec![answer::topic(BATCH_COMMITTED)]];
    let filter = LogFilter { address: chain.venue.contract, from_block: 0, to_block, topics };
    let hash = chain.chain.logs(&filter).unwrap()[1].transaction_hash;
    let blobs = chain.chain.sent(hash).unwrap().unwrap().blob_hashes.len();
    (chain.chain.receipt(hash).unwrap().unwrap().gas_used, blobs)
}

#[test]
fn gas_a_fill_is_printed_and_blobs_cost_no_more_with_more_data() {
    let mut in_blobs = Vec::new();
    for (fills, bytes) in BATCHES {
        let chain_of_blobs = chain(DataRoute::Cheapest);
        let (gas, blobs) = posted(&chain_of_blobs, &batches(&chain_of_blobs, fills, bytes));
        assert_eq!(blobs, blob_count(bytes));
        let blob_gas = blobs as u64 * crate::blobs::BLOB_GAS;
        // Both are counted in thousandths, so that no fraction is needed.
        println!(
            "{fills} fills, {bytes} bytes: {blobs} blobs, {gas} gas, {} thousandths a fill, and {blob_gas} of blob gas, {} thousandths a fill",
            gas * 1_000 / fills,
            blob_gas * 1_000 / fills
        );
        in_blobs.push(gas);
        if bytes + 4_096 < MAX_CALLDATA_BYTES {
            let chain_of_calls = chain(DataRoute::Calldata);
            let (gas, blobs) = posted(&chain_of_calls, &batches(&chain_of_calls, fills, bytes));
            assert_eq!(blobs, 0);
            println!("  in a call: {gas} gas, {} thousandths a fill", gas * 1_000 / fills);
            assert!(gas > 5 * in_blobs[0], "{gas}");
        }
    }
    let (least, most) = (in_blobs.iter().min().unwrap(), in_blobs.iter().max().unwrap());
    assert!(most - least < 1_000, "only the hashes of more blobs cost more: {in_blobs:?}");
    assert!(*most < 95_000, "{in_blobs:?}");
}
