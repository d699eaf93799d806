//! A batch's worth of work at the size that the design names: 100,000 touched balances. Its time is printed, and a bar
//! that only a change of complexity can break is held; the goal is a second on one core, optimised.

use std::time::Instant;

use lakh_engine::ids::{AccountId, AssetId, Sequence};
use lakh_engine::units::Atoms;
use lakh_settlement::commitment::{AssetLine, Header, balances_root};
use lakh_settlement::diff::{self, LeafUpdate};
use lakh_settlement::sum_tree::SumTree;
use lakh_settlement::{Hash, keccak256};

#[test]
fn a_hundred_thousand_touched_balances() {
    const ACCOUNTS: u32 = 1 << 20;
    const TOUCHED: u32 = 100_000;
    let mut tree = SumTree::new();
    (0..ACCOUNTS).for_each(|account| tree.set(AccountId(account), Atoms(1)));
    assert_eq!(tree.root().sum, u128::from(ACCOUNTS));

    // Spread out, so that they share as few inner nodes as they can.
    let touched = |index: u32| AccountId(index * (ACCOUNTS / TOUCHED));
    let start = Instant::now();
    (0..TOUCHED).for_each(|index| tree.set(touched(index), Atoms(u64::from(index) + 2)));
    let root = tree.root();
    let updates: Vec<_> = (0..TOUCHED)
        .map(|index| {
            let account = touched(index);
            LeafUpdate { account, asset: AssetId(0), balance: tree.balance(account) }
        })
        .collect();
    let bytes = diff::encode(&updates).expect("in order");
    let hash = keccak256(&bytes);
    let lines = [AssetLine { tree: root, credited: root.sum }];
    let header = Header {
        batch_id: 1,
        first_sequence: Sequence(1),
        last_sequence: Sequence(1),
        first_time_seconds: 1,
        last_time_seconds: 1,
        queue_up_to: 0,
        fills: 0,
        previous_root: balances_root(&[]),
        new_root: balances_root(&lines),
        journal_hash: Hash::ZERO,
        journal_root: Hash::ZERO,
        queue_prefix: Hash::ZERO,
        data_hash: hash,
        steps_root: Hash::ZERO,
        withdrawals_root: Hash::ZERO,
    };
    let header_hash = header.hash();
    let elapsed = start.elapsed();
    println!("{TOUCHED} of {ACCOUNTS} balances: {elapsed:?}, {} bytes, header {header_hash}", bytes.len());
    assert!(elapsed.as_secs() < 30, "100,000 touched balances took {elapsed:?}");
}
