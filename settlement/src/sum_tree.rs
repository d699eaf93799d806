//! Who has how much of one asset, as a binary Merkle tree whose every node carries the sum below it.
//!
//! The contract compares the root's sum with the vault, so an operator cannot commit to owing more than there is; and
//! because a parent's sum is computed by whoever verifies, proofs that verify can never add up to more than the root.
//!
//! Depth 32, a place for each account number; bit `k` of the number says on which side the path lies at height `k`.
//!
//! | hashed | offset | size | meaning |
//! |---|---|---|---|
//! | leaf | 0 | 4 | `leaf` in ASCII |
//! | | 4 | 4 | account, big-endian |
//! | | 8 | 16 | balance in atoms, big-endian |
//! | node | 0 | 32 | hash of the left child |
//! | | 32 | 16 | sum of the left child, big-endian |
//! | | 48 | 32 | hash of the right child |
//! | | 80 | 16 | sum of the right child, big-endian |
//!
//! A leaf without balance has the hash 0, so that an account which never was there and one that is empty look the same.
//! A leaf's 24 bytes can never be taken for a node's 96.
//!
//! Account numbers are allotted densely from 0, so each level is a vector: 48 bytes a node, about 96 bytes an account.
//! Changes are collected and hashed together when the root is asked for, each inner node once.
//!
//! Bounds: balances are below 2^64 and accounts below 2^32, so no sum of this tree reaches 2^96. Memory follows the
//! highest account number that has been set, which the engine bounds at 2^24: 1.6 GB an asset at the very most.

use lakh_engine::ids::AccountId;
use lakh_engine::units::Atoms;

use crate::keccak::{Hash, TOGETHER, keccak256, keccak256_each};

/// Steps from a leaf to the root.
pub const DEPTH: usize = 32;

/// Bytes hashed for a balance's leaf.
pub const LEAF_BYTES: usize = 24;

/// Bytes hashed for an inner node.
pub const NODE_BYTES: usize = 96;

/// Nodes of a level that are worked out together: what they are made of takes some kilobytes.
const HASHED_TOGETHER: usize = 8 * TOGETHER;
/// Why no sum of this tree is too large.
const SUMS_FIT: &str = "fewer than 2^32 balances below 2^64 stay below 2^96";

/// A node: its hash and the sum of the leaves below it, in atoms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The hash; 0 for an empty leaf.
    pub hash: Hash,
    /// The sum.
    pub sum: u128,
}

impl Node {
    /// A leaf where nothing is.
    pub const EMPTY: Self = Self { hash: Hash::ZERO, sum: 0 };

    /// A balance's leaf.
    pub fn balance(account: AccountId, balance: Atoms) -> Self {
        if balance.is_zero() {
            return Self::EMPTY;
        }
        let sum = u128::from(balance.raw());
        Self { hash: keccak256(&leaf_bytes(account, sum)), sum }
    }

    /// The node above `left` and `right`; `None` where their sum does not fit 128 bits.
    pub fn parent(left: Self, right: Self) -> Option<Self> {
        let sum = sum(left, right)?;
        Some(Self { hash: keccak256(&node_bytes(left, right)), sum })
    }

    /// The root above this leaf at place `index`, with the siblings `path` from the leaf upwards; `None` where a sum
    /// does not fit 128 bits.
    pub fn climb(self, index: u32, path: &[Self]) -> Option<Self> {
        path.iter().enumerate().try_fold(self, |node, (height, sibling)| match side(index, height) {
            Half::Left => Self::parent(node, *sibling),
            Half::Right => Self::parent(*sibling, node),
        })
    }
}

/// On which side of its parent a node lies.
enum Half {
    Left,
    Right,
}

/// The side of the node above leaf `index` at `height`. Beyond 32 every path lies on the left.
fn side(index: u32, height: usize) -> Half {
    let shift = u32::try_from(height).unwrap_or(u32::MAX);
    if index.checked_shr(shift).unwrap_or(0) & 1 == 0 { Half::Left } else { Half::Right }
}

fn leaf_bytes(account: AccountId, balance: u128) -> [u8; LEAF_BYTES] {
    let mut bytes = [0; LEAF_BYTES];
    bytes[..4].copy_from_slice(b"leaf");
    bytes[4..8].copy_from_slice(&account.0.to_be_bytes());
    bytes[8..].copy_from_slice(&balance.to_be_bytes());
    bytes
}

fn node_bytes(left: Node, right: Node) -> [u8; NODE_BYTES] {
    let mut bytes = [0; NODE_BYTES];
    bytes[..32].copy_from_slice(&left.hash.0);
    bytes[32..48].copy_from_slice(&left.sum.to_be_bytes());
    bytes[48..80].copy_from_slice(&right.hash.0);
    bytes[80..].copy_from_slice(&right.sum.to_be_bytes());
    bytes
}

/// The way from one account's leaf to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceProof {
    /// Whose.
    pub account: AccountId,
    /// How much.
    pub balance: Atoms,
    /// The siblings from the leaf upwards.
    pub path: [Node; DEPTH],
}

impl BalanceProof {
    /// The root that this proof belongs to; `None` where it cannot belong to any.
    pub fn root(&self) -> Option<Node> {
        Node::balance(self.account, self.balance).climb(self.account.0, &self.path)
    }

    /// Whether the account has this balance under `root`.
    pub fn verify(&self, root: Node) -> bool {
        self.root() == Some(root)
    }
}

/// All balances of one asset.
#[derive(Clone, Debug)]
pub struct SumTree {
    /// `levels[0]` are the leaves, `levels[DEPTH]` is the root alone; what lies beyond a level's end is empty.
    levels: Vec<Vec<Node>>,
    /// The empty node of each level.
    empty: [Node; DEPTH + 1],
    /// Leaves that changed since the inner nodes were last hashed; may hold repeats.
    changed: Vec<u32>,
}

impl Default for SumTree {
    fn default() -> Self {
        Self::new()
    }
}

impl SumTree {
    /// Nobody has anything.
    pub fn new() -> Self {
        let mut empty = [Node::EMPTY; DEPTH + 1];
        for level in 0..DEPTH {
            empty[level + 1] = parent(empty[level], empty[level]);
        }
        let levels = empty.iter().map(|node| vec![*node]).collect();
        Self { levels, empty, changed: Vec::new() }
    }

    /// What `account` has.
    pub fn balance(&self, account: AccountId) -> Atoms {
        let sum = self.node(0, account.0 as usize).sum;
        Atoms(u64::try_from(sum).expect("a leaf's sum is set from a 64-bit balance"))
    }

    /// Sets what `account` has. The root follows when it is asked for.
    pub fn set(&mut self, account: AccountId, balance: Atoms) {
        let index = account.0 as usize;
        let leaf = Node::balance(account, balance);
        if self.node(0, index) == leaf {
            return;
        }
        if index >= self.levels[0].len() {
            self.grow(index + 1);
        }
        self.levels[0][index] = leaf;
        self.changed.push(account.0);
    }

    /// Everybody who has something, in ascending order of account numbers.
    pub fn balances(&self) -> impl Iterator<Item = (AccountId, Atoms)> {
        let leaves = (0_u32..).zip(&self.levels[0]).filter(|(_, leaf)| leaf.sum != 0);
        leaves.map(|(account, _)| (AccountId(account), self.balance(AccountId(account))))
    }

    /// Account numbers up to this one may have something; the others have nothing.
    pub fn accounts(&self) -> u32 {
        u32::try_from(self.levels[0].len()).expect("account numbers have 32 bits")
    }

    /// The root: its hash, and what all accounts have together. Hashes what has changed.
    pub fn root(&mut self) -> Node {
        self.hash_changes();
        self.levels[DEPTH][0]
    }

    /// The proof of what `account` has, under the current root. Also proves that an account has nothing.
    pub fn prove(&mut self, account: AccountId) -> BalanceProof {
        self.hash_changes();
        let mut path = [Node::EMPTY; DEPTH];
        for (level, sibling) in path.iter_mut().enumerate() {
            *sibling = self.node(level, (account.0 as usize >> level) ^ 1);
        }
        BalanceProof { account, balance: self.balance(account), path }
    }

    fn node(&self, level: usize, index: usize) -> Node {
        self.levels[level].get(index).copied().unwrap_or(self.empty[level])
    }

    /// Room for `leaves` leaves. New inner nodes stand above empty leaves until those are set.
    fn grow(&mut self, leaves: usize) {
        let mut length = leaves;
        for (level, nodes) in self.levels.iter_mut().enumerate() {
            if nodes.len() < length {
                nodes.resize(length, self.empty[level]);
            }
            length = length.div_ceil(2);
        }
    }

    fn hash_changes(&mut self) {
        if self.changed.is_empty() {
            return;
        }
        let mut indexes = core::mem::take(&mut self.changed);
        indexes.sort_unstable();
        for level in 1..=DEPTH {
            for index in &mut indexes {
                *index >>= 1;
            }
            indexes.dedup();
            for indexes in indexes.chunks(HASHED_TOGETHER) {
                self.hash_nodes(level, indexes);
            }
        }
        // Keeps the memory for the next batch.
        indexes.clear();
        self.changed = indexes;
    }

    /// Works out these nodes of a level from those below.
    fn hash_nodes(&mut self, level: usize, indexes: &[u32]) {
        let children = |index: &u32| {
            let left = 2 * *index as usize;
            (self.node(level - 1, left), self.node(level - 1, left + 1))
        };
        let pairs: Vec<(Node, Node)> = indexes.iter().map(children).collect();
        let bytes: Vec<[u8; NODE_BYTES]> = pairs.iter().map(|(left, right)| node_bytes(*left, *right)).collect();
        let mut hashes = Vec::with_capacity(indexes.len());
        keccak256_each(&bytes, &mut hashes);
        for ((index, (left, right)), hash) in indexes.iter().zip(pairs).zip(hashes) {
            self.levels[level][*index as usize] = Node { hash, sum: sum(left, right).expect(SUMS_FIT) };
        }
    }
}

fn parent(left: Node, right: Node) -> Node {
    Node::parent(left, right).expect(SUMS_FIT)
}

fn sum(left: Node, right: Node) -> Option<u128> {
    left.sum.checked_add(right.sum)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// The root by definition, over whatever is there.
    fn from_scratch(balances: &BTreeMap<u32, u64>) -> Node {
        fn below(balances: &BTreeMap<u32, u64>, level: u32, index: u64, empty: &[Node; DEPTH + 1]) -> Node {
            let (first, end) = (index << level, (index + 1) << level);
            let inside = |account: &u32| (first..end).contains(&u64::from(*account));
            if !balances.keys().any(inside) {
                return empty[level as usize];
            }
            if level == 0 {
                let account = u32::try_from(index).expect("32 bits");
                return Node::balance(AccountId(account), Atoms(balances[&account]));
            }
            let left = below(balances, level - 1, 2 * index, empty);
            parent(left, below(balances, level - 1, 2 * index + 1, empty))
        }
        below(balances, 32, 0, &SumTree::new().empty)
    }

    #[test]
    fn leaf_and_node_bytes_are_where_the_table_says() {
        let leaf = leaf_bytes(AccountId(0x0102_0304), 0x0506);
        assert_eq!((&leaf[..4], &leaf[4..8], &leaf[22..]), (&b"leaf"[..], &[1, 2, 3, 4][..], &[5, 6][..]));
        let left = Node { hash: Hash([7; 32]), sum: 8 };
        let node = node_bytes(left, Node { hash: Hash([9; 32]), sum: 10 });
        assert_eq!((&node[..32], node[47]), (&[7; 32][..], 8));
        assert_eq!((&node[48..80], node[95]), (&[9; 32][..], 10));
        assert!(node[32..47].iter().chain(&node[80..95]).all(|byte| *byte == 0));
    }

    #[test]
    fn sums_that_do_not_fit_have_no_parent() {
        let full = Node { hash: Hash::ZERO, sum: u128::MAX };
        assert_eq!(Node::parent(full, Node { hash: Hash::ZERO, sum: 1 }), None);
        assert!(Node::parent(full, Node::EMPTY).is_some());
        assert_eq!(full.climb(0, &[full]), None);
    }

    #[test]
    fn an_emptied_tree_is_the_empty_tree() {
        let mut tree = SumTree::new();
        let nothing = tree.root();
        assert_eq!(nothing.sum, 0);
        tree.set(AccountId(5), Atoms(7));
        tree.set(AccountId(2), Atoms(1));
        assert_eq!(tree.root().sum, 8);
        tree.set(AccountId(5), Atoms(0));
        tree.set(AccountId(2), Atoms(0));
        assert_eq!(tree.root(), nothing);
    }

    #[test]
    fn an_absent_account_is_proved_to_have_nothing() {
        let mut tree = SumTree::new();
        tree.set(AccountId(1), Atoms(10));
        for account in [0, 2, 7, u32::MAX] {
            let proof = tree.prove(AccountId(account));
            assert_eq!(proof.balance, Atoms(0));
            assert!(proof.verify(tree.root()), "account {account}");
        }
    }

    #[test]
    fn a_lying_proof_fails() {
        let mut tree = SumTree::new();
        (0..9).for_each(|account| tree.set(AccountId(account), Atoms(100 + u64::from(account))));
        let root = tree.root();
        let honest = tree.prove(AccountId(4));
        assert!(honest.verify(root));
        let mut lies = vec![
            BalanceProof { balance: Atoms(105), ..honest.clone() },
            BalanceProof { account: AccountId(5), ..honest.clone() },
        ];
        for level in 0..DEPTH {
            let mut sum = honest.clone();
            sum.path[level].sum += 1;
            let mut hash = honest.clone();
            hash.path[level].hash.0[31] ^= 1;
            lies.extend([sum, hash]);
        }
        for lie in lies {
            assert!(!lie.verify(root), "{lie:?}");
        }
        assert!(!honest.verify(Node { sum: root.sum + 1, ..root }), "the root's sum counts");
    }

    proptest! {
        #![proptest_config(crate::testing::random_cases(48))]

        #[test]
        fn incremental_is_from_scratch(
            rounds in prop::collection::vec(prop::collection::vec((0_u32..200, 0_u64..5), 1..40), 1..6),
        ) {
            let (mut tree, mut balances) = (SumTree::new(), BTreeMap::new());
            for round in rounds {
                for (account, balance) in round {
                    // A few values in many rounds: balances come, go and come back.
                    let balance = balance * (u64::MAX / 5);
                    tree.set(AccountId(account), Atoms(balance));
                    balances.insert(account, balance);
                }
                let root = tree.root();
                prop_assert_eq!(root, from_scratch(&balances));
                prop_assert_eq!(root.sum, balances.values().map(|balance| u128::from(*balance)).sum::<u128>());
                for account in balances.keys() {
                    prop_assert!(tree.prove(AccountId(*account)).verify(root));
                }
            }
        }
    }
}
