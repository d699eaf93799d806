//! What a batch pays out: for each asset a sum tree over the withdrawals, and one root over the assets that have any.
//!
//! The contract knows from the asset lines what a batch withdraws of each asset and demands that this is the tree's root
//! sum; so claims of a batch can never come to more than what the batch took off balances.
//!
//! | hashed | offset | size | meaning |
//! |---|---|---|---|
//! | leaf | 0 | 10 | `withdrawal` in ASCII |
//! | | 10 | 4 | account, big-endian |
//! | | 14 | 16 | amount in atoms, big-endian |
//! | root | 0 | 32 | root over the assets before, 0 for none |
//! | | 32 | 32 | asset, big-endian |
//! | | 64 | 32 | root hash of the asset's tree |
//! | | 96 | 32 | root sum of the asset's tree, big-endian |
//!
//! Inner nodes are those of [`crate::sum_tree`]. The tree is as deep as its leaves need; missing leaves are empty.
//!
//! Bounds: at most 2^32 withdrawals of an asset in a batch; proofs have at most 32 steps.

use lakh_engine::ids::{AccountId, AssetId};
use lakh_engine::units::Atoms;

use crate::keccak::{Hash, keccak256};
use crate::sum_tree::Node;
use crate::words;

/// Bytes hashed for a withdrawal's leaf.
pub const LEAF_BYTES: usize = 30;

/// One withdrawal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    /// Whose.
    pub account: AccountId,
    /// How much: at least 1.
    pub amount: Atoms,
}

impl Withdrawal {
    /// Its leaf.
    pub fn leaf(&self) -> Node {
        Node { hash: keccak256(&self.leaf_bytes()), sum: u128::from(self.amount.raw()) }
    }

    fn leaf_bytes(&self) -> [u8; LEAF_BYTES] {
        let mut bytes = [0; LEAF_BYTES];
        bytes[..10].copy_from_slice(b"withdrawal");
        bytes[10..14].copy_from_slice(&self.account.0.to_be_bytes());
        bytes[14..].copy_from_slice(&u128::from(self.amount.raw()).to_be_bytes());
        bytes
    }
}

/// The withdrawals of one asset in one batch, in the order of the journal.
#[derive(Clone, Debug)]
pub struct WithdrawalTree {
    withdrawals: Vec<Withdrawal>,
    /// From the leaves, filled up to a power of two, to the root alone.
    levels: Vec<Vec<Node>>,
}

impl WithdrawalTree {
    /// Over `withdrawals`; `None` for none, or for more than 2^32.
    pub fn new(withdrawals: Vec<Withdrawal>) -> Option<Self> {
        if withdrawals.is_empty() || withdrawals.len() > 1 << 32 {
            return None;
        }
        let mut nodes: Vec<Node> = withdrawals.iter().map(Withdrawal::leaf).collect();
        nodes.resize(nodes.len().next_power_of_two(), Node::EMPTY);
        let mut levels = vec![nodes];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let above = below
                .chunks_exact(2)
                .map(|pair| Node::parent(pair[0], pair[1]).expect("at most 2^32 amounts below 2^64 stay below 2^97"));
            let above = above.collect();
            levels.push(above);
        }
        Some(Self { withdrawals, levels })
    }

    /// The root: its sum is what the batch withdraws of the asset.
    pub fn root(&self) -> Node {
        self.levels[self.levels.len() - 1][0]
    }

    /// The withdrawals, by index.
    pub fn withdrawals(&self) -> &[Withdrawal] {
        &self.withdrawals
    }

    /// The siblings of withdrawal `index` from the leaf upwards; `None` where there is no such withdrawal.
    pub fn prove(&self, index: u32) -> Option<Vec<Node>> {
        let place = index as usize;
        if place >= self.withdrawals.len() {
            return None;
        }
        let below_root = &self.levels[..self.levels.len() - 1];
        Some(below_root.iter().enumerate().map(|(height, level)| level[(place >> height) ^ 1]).collect())
    }
}

/// The root over all assets that have withdrawals, in the order of their numbers; 0 for none.
pub fn withdrawals_root(trees: &[(AssetId, Node)]) -> Hash {
    trees.iter().fold(Hash::ZERO, |root, (asset, tree)| {
        let parts = [root.0, words::number(u128::from(asset.0)), tree.hash.0, words::number(tree.sum)];
        keccak256(&words::concat(parts))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn withdrawal(account: u32, amount: u64) -> Withdrawal {
        Withdrawal { account: AccountId(account), amount: Atoms(amount) }
    }

    #[test]
    fn leaf_bytes_are_where_the_table_says() {
        let bytes = withdrawal(0x0102_0304, 0x0506).leaf_bytes();
        assert_eq!((&bytes[..10], &bytes[10..14]), (&b"withdrawal"[..], &[1, 2, 3, 4][..]));
        assert_eq!((&bytes[14..28], &bytes[28..]), (&[0; 14][..], &[5, 6][..]));
    }

    #[test]
    fn no_withdrawals_have_no_tree_and_the_root_zero() {
        assert!(WithdrawalTree::new(Vec::new()).is_none());
        assert_eq!(withdrawals_root(&[]), Hash::ZERO);
    }

    #[test]
    fn one_withdrawal_is_its_own_root() {
        let tree = WithdrawalTree::new(vec![withdrawal(3, 9)]).expect("one is enough");
        assert_eq!(tree.root(), withdrawal(3, 9).leaf());
        assert_eq!(tree.prove(0), Some(Vec::new()));
        assert_eq!(tree.prove(1), None);
    }

    #[test]
    fn the_root_depends_on_each_part_of_each_line() {
        let node = |byte, sum| Node { hash: Hash([byte; 32]), sum };
        let root = withdrawals_root(&[(AssetId(1), node(1, 2)), (AssetId(4), node(3, 4))]);
        let others = [
            vec![(AssetId(1), node(1, 2))],
            vec![(AssetId(4), node(3, 4)), (AssetId(1), node(1, 2))],
            vec![(AssetId(1), node(1, 2)), (AssetId(5), node(3, 4))],
            vec![(AssetId(1), node(1, 2)), (AssetId(4), node(2, 4))],
            vec![(AssetId(1), node(1, 3)), (AssetId(4), node(3, 4))],
        ];
        assert!(others.iter().all(|other| withdrawals_root(other) != root));
    }

    proptest! {
        #![proptest_config(crate::testing::random_cases(64))]

        #[test]
        fn proofs_verify_and_lies_do_not(
            list in prop::collection::vec((0_u32..50, 1_u64..u64::MAX), 1..70),
            lie in 1_u64..u64::MAX,
        ) {
            let list: Vec<_> = list.into_iter().map(|(account, amount)| withdrawal(account, amount)).collect();
            let tree = WithdrawalTree::new(list.clone()).expect("not empty");
            let root = tree.root();
            prop_assert_eq!(root.sum, list.iter().map(|item| u128::from(item.amount.raw())).sum::<u128>());
            for (index, item) in (0_u32..).zip(&list) {
                let path = tree.prove(index).expect("it is there");
                prop_assert_eq!(item.leaf().climb(index, &path), Some(root));
                let more = withdrawal(item.account.0, item.amount.raw().wrapping_add(lie));
                prop_assert_ne!(more.leaf().climb(index, &path), Some(root));
                let other = withdrawal(item.account.0 + 1, item.amount.raw());
                prop_assert_ne!(other.leaf().climb(index, &path), Some(root));
            }
            prop_assert_eq!(tree.prove(u32::try_from(list.len()).expect("short")), None);
        }
    }
}
