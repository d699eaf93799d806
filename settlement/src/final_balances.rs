//! What everybody has in the last final batch, with the proof of it: what a user keeps in order to leave without the venue.
//!
//! The ledger's own trees are where the journal is; the chain is a window behind them. So the newest final batch has trees
//! of its own, which follow by the published differences of each batch as it becomes final. A [`BalancesProof`] says all of
//! one account: the header that the contract has, every asset's line, and of each asset that the account has something of
//! the way from its leaf to the line. It needs nobody's word: [`BalancesProof::check`] reckons everything up to the hash
//! that the contract stores of the batch.
//!
//! Invariants: only final batches are proved, each by the journal's own bytes; a proof that is handed out checks. Bounds:
//! the trees of [`crate::sum_tree`] once more; differences of at most [`MAX_WAITING_BYTES`] that are not final, then none are
//! kept until a start begins anew, and there are no proofs; 64 assets a proof.

use std::collections::VecDeque;

use lakh_engine::ids::{AccountId, AssetId};
use lakh_engine::units::Atoms;
use serde::{Deserialize, Serialize};

use crate::batch::SealedBatch;
use crate::chain::{Address, hex};
use crate::claims::{StampData, StepData};
use crate::commitment::{AssetLine, HEADER_BYTES, Header, Stamp, balances_root, batch_hash};
use crate::diff;
use crate::follower::{MAX_ASSETS, Venue};
use crate::keccak::Hash;
use crate::sum_tree::{BalanceProof, DEPTH, Node, SumTree};

/// Most bytes of differences that wait for their batches to become final: a day of batches that are as long as they may be.
pub const MAX_WAITING_BYTES: usize = 128 << 20;

/// A batch that is not final yet.
#[derive(Debug)]
struct Waiting {
    header: Header,
    lines: Vec<AssetLine>,
    data: Vec<u8>,
}

/// See the module.
#[derive(Debug)]
pub struct FinalBalances {
    venue: Venue,
    trees: Vec<SumTree>,
    last: Option<(Header, Vec<AssetLine>)>,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// The last batch that came in.
    added: u64,
    complete: Complete,
}

/// Whether every batch came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Complete {
    Yes,
    /// More waited than there is room for.
    No,
}

impl FinalBalances {
    /// Before the first batch.
    pub fn new(venue: Venue) -> Self {
        let (trees, waiting) = (Vec::new(), VecDeque::new());
        Self { venue, trees, last: None, waiting, waiting_bytes: 0, added: 0, complete: Complete::Yes }
    }

    /// Takes the next batch; again after a replay began anew.
    pub fn add(&mut self, batch: &SealedBatch) {
        if self.complete == Complete::No || batch.header.batch_id != self.added + 1 {
            return;
        }
        self.added += 1;
        self.waiting_bytes += batch.data.len();
        let (lines, data) = (batch.lines.clone(), batch.data.clone());
        self.waiting.push_back(Waiting { header: batch.header, lines, data });
        if self.waiting_bytes > MAX_WAITING_BYTES {
            self.complete = Complete::No;
            (self.trees, self.last, self.waiting) = (Vec::new(), None, VecDeque::new());
        }
    }

    /// Everything up to `final_batch` can never change any more.
    pub fn settle(&mut self, final_batch: u64) {
        while let Some(batch) = self.waiting.pop_front_if(|batch| batch.header.batch_id <= final_batch) {
            self.waiting_bytes -= batch.data.len();
            let updates = diff::decode(&batch.data).expect("the ledger encoded it");
            for update in updates {
                let index = usize::from(update.asset.0);
                while self.trees.len() <= index {
                    self.trees.push(SumTree::new());
                }
                self.trees[index].set(update.account, update.balance);
            }
            self.last = Some((batch.header, batch.lines));
        }
    }

    /// The last final batch that is known here.
    pub fn batch_id(&self) -> Option<u64> {
        self.last.as_ref().map(|(header, _)| header.batch_id)
    }

    /// What an account has in the last final batch, whose header on the chain is `on_chain` since then; `None` while there is
    /// no final batch.
    pub fn prove(&mut self, account: AccountId, on_chain: Option<(Header, Stamp)>) -> Option<BalancesProof> {
        let (journal, lines) = self.last.as_ref()?;
        let on_chain = on_chain.filter(|(header, _)| header.is_same_batch(journal));
        let (header, stamp) = on_chain.map_or((*journal, None), |(header, stamp)| (header, Some(stamp)));
        let assets = (0_u16..).zip(self.trees.iter_mut()).take(lines.len());
        let of = assets.filter(|(_, tree)| !tree.balance(account).is_zero());
        Some(BalancesProof {
            venue: self.venue,
            header,
            stamp,
            lines: lines.clone(),
            account,
            balances: of.map(|(asset, tree)| (AssetId(asset), tree.prove(account))).collect(),
        })
    }
}

/// What one account has in a batch, and everything that proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalancesProof {
    /// On which contract.
    pub venue: Venue,
    /// The batch.
    pub header: Header,
    /// When it came to the chain, where that is known.
    pub stamp: Option<Stamp>,
    /// Every asset after it.
    pub lines: Vec<AssetLine>,
    /// Whose.
    pub account: AccountId,
    /// Of each asset that the account has something of.
    pub balances: Vec<(AssetId, BalanceProof)>,
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The lines are another batch's.
    #[error("its lines do not come to the root in its header")]
    Lines,
    /// A balance is not in its line.
    #[error("the balance of asset {0} does not lead to its line")]
    Balance(u16),
}

impl BalancesProof {
    /// Reckons everything, and gives what the contract must store of the batch (`batchHash`); `None` without a stamp.
    ///
    /// # Errors
    /// See [`ProofError`].
    pub fn check(&self) -> Result<Option<Hash>, ProofError> {
        if balances_root(&self.lines) != self.header.new_root {
            return Err(ProofError::Lines);
        }
        for (asset, proof) in &self.balances {
            let line = self.lines.get(usize::from(asset.0));
            if proof.account != self.account || !line.is_some_and(|line| proof.verify(line.tree)) {
                return Err(ProofError::Balance(asset.0));
            }
        }
        Ok(self.stamp.map(|stamp| batch_hash(self.header.hash(), stamp)))
    }

    /// As JSON, for [`Self::from_json`] and for users to keep.
    pub fn to_json(&self) -> String {
        let step = |node: &Node| StepData { hash: node.hash.to_string(), sum: node.sum.to_string() };
        let line = |line: &AssetLine| LineText {
            tree_hash: line.tree.hash.to_string(),
            sum: line.tree.sum.to_string(),
            credited: line.credited.to_string(),
        };
        let balance = |(asset, proof): &(AssetId, BalanceProof)| BalanceText {
            asset: asset.0,
            balance: proof.balance.raw().to_string(),
            path: proof.path.iter().map(step).collect(),
        };
        let text = ProofText {
            chain_id: self.venue.chain_id,
            contract: self.venue.contract.to_string(),
            batch_id: self.header.batch_id,
            header: hex::encode(&self.header.encode()),
            stamp: self.stamp.map(|stamp| StampData {
                time: stamp.time_seconds.to_string(),
                block_number: stamp.block_number.to_string(),
            }),
            lines: self.lines.iter().map(line).collect(),
            account: self.account.0,
            balances: self.balances.iter().map(balance).collect(),
        };
        serde_json::to_string(&text).expect("numbers and texts are JSON")
    }

    /// From JSON; `None` for anything else than a proof. Whether it proves anything [`Self::check`] says.
    pub fn from_json(text: &str) -> Option<Self> {
        let text: ProofText = serde_json::from_str(text).ok()?;
        let hash = |text: &str| hex::decode_array(text).map(Hash);
        let node = |step: &StepData| Some(Node { hash: hash(&step.hash)?, sum: step.sum.parse().ok()? });
        let account = AccountId(text.account);
        let line = |line: &LineText| {
            let tree = Node { hash: hash(&line.tree_hash)?, sum: line.sum.parse().ok()? };
            Some(AssetLine { tree, credited: line.credited.parse().ok()? })
        };
        let balance = |one: &BalanceText| {
            let path: Vec<Node> = one.path.iter().map(node).collect::<Option<_>>()?;
            let path: [Node; DEPTH] = path.try_into().ok()?;
            Some((AssetId(one.asset), BalanceProof { account, balance: Atoms(one.balance.parse().ok()?), path }))
        };
        let header = Header::decode(&hex::decode_array::<HEADER_BYTES>(&text.header)?).ok()?;
        let stamp = match &text.stamp {
            Some(stamp) => {
                Some(Stamp { time_seconds: stamp.time.parse().ok()?, block_number: stamp.block_number.parse().ok()? })
            }
            None => None,
        };
        if text.lines.len() > MAX_ASSETS || text.balances.len() > MAX_ASSETS || text.batch_id != header.batch_id {
            return None;
        }
        Some(Self {
            venue: Venue { chain_id: text.chain_id, contract: Address::from_hex(&text.contract)? },
            header,
            stamp,
            lines: text.lines.iter().map(line).collect::<Option<_>>()?,
            account,
            balances: text.balances.iter().map(balance).collect::<Option<_>>()?,
        })
    }
}

/// Numbers over 32 bits are decimal text, since JSON's are not exact; the header is its 512 bytes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProofText {
    chain_id: u64,
    contract: String,
    batch_id: u64,
    header: String,
    stamp: Option<StampData>,
    lines: Vec<LineText>,
    account: u32,
    balances: Vec<BalanceText>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LineText {
    tree_hash: String,
    sum: String,
    credited: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BalanceText {
    asset: u16,
    balance: String,
    path: Vec<StepData>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::LeafUpdate;
    use crate::keccak::keccak256;

    const VENUE: Venue = Venue { chain_id: 31_337, contract: Address([0xc0; 20]) };
    const STAMP: Stamp = Stamp { time_seconds: 9, block_number: 8 };

    /// A batch in which these accounts get these balances of asset 1, on top of what `trees` has.
    fn batch(batch_id: u64, trees: &mut [SumTree; 2], told: &[(u32, u64)]) -> SealedBatch {
        let mut updates = Vec::new();
        for (account, balance) in told {
            let (account, balance) = (AccountId(*account), Atoms(*balance));
            trees[1].set(account, balance);
            updates.push(LeafUpdate { account, asset: AssetId(1), balance });
        }
        let lines = trees.each_mut().map(|tree| AssetLine { tree: tree.root(), credited: 0 }).to_vec();
        let data = diff::encode(&updates).unwrap();
        let header = Header {
            batch_id,
            new_root: balances_root(&lines),
            data_hash: keccak256(&data),
            ..crate::escape::NO_HEADER
        };
        let (changes, withdrawals) = (Vec::new(), Vec::new());
        SealedBatch { header, lines, changes, previous_lines: 0, previous_trees: Hash::ZERO, data, withdrawals }
    }

    #[test]
    fn what_is_final_is_proved_and_nothing_else() {
        let mut trees = [SumTree::new(), SumTree::new()];
        let batches = [batch(1, &mut trees, &[(1, 50), (9, 7)]), batch(2, &mut trees, &[(1, 20), (4, 30)])];
        let mut balances = FinalBalances::new(VENUE);
        batches.iter().for_each(|batch| balances.add(batch));
        assert_eq!(balances.prove(AccountId(1), None), None, "nothing is final");
        for (final_batch, expected) in [(1, [50, 0, 7]), (2, [20, 30, 7])] {
            balances.settle(final_batch);
            // As the chain has it: the data in blobs.
            let journal = batches[usize::try_from(final_batch).unwrap() - 1].header;
            let header = Header { data_hash: Hash([0xb1; 32]), ..journal };
            for (account, expected) in [1, 4, 9].into_iter().zip(expected) {
                let proof = balances.prove(AccountId(account), Some((header, STAMP))).unwrap();
                let found: Vec<u64> = proof.balances.iter().map(|(_, proof)| proof.balance.raw()).collect();
                assert_eq!(found, if expected == 0 { vec![] } else { vec![expected] }, "account {account}");
                assert_eq!(proof.check(), Ok(Some(batch_hash(header.hash(), STAMP))));
                assert_eq!(BalancesProof::from_json(&proof.to_json()), Some(proof));
            }
        }
        let other = Header { fills: 77, ..batches[1].header };
        assert_eq!(balances.prove(AccountId(1), Some((other, STAMP))).unwrap().stamp, None, "another batch's");
        // A replay that began anew brings the same batches again.
        batches.iter().for_each(|batch| balances.add(batch));
        balances.settle(9);
        assert_eq!((balances.batch_id(), balances.waiting_bytes), (Some(2), 0));
    }

    #[test]
    fn no_changed_proof_checks() {
        let mut trees = [SumTree::new(), SumTree::new()];
        let mut balances = FinalBalances::new(VENUE);
        let batch = batch(1, &mut trees, &[(1, 50), (9, 7)]);
        balances.add(&batch);
        balances.settle(1);
        let honest = balances.prove(AccountId(1), Some((batch.header, STAMP))).unwrap();
        let mut lie = honest.clone();
        lie.balances[0].1.balance = Atoms(51);
        assert_eq!(lie.check(), Err(ProofError::Balance(1)));
        let mut lie = honest.clone();
        lie.balances[0].0 = AssetId(0);
        assert_eq!(lie.check(), Err(ProofError::Balance(0)));
        let mut lie = honest.clone();
        lie.balances[0].0 = AssetId(7);
        assert_eq!(lie.check(), Err(ProofError::Balance(7)));
        assert_eq!(BalancesProof { account: AccountId(2), ..honest.clone() }.check(), Err(ProofError::Balance(1)));
        let mut lie = honest.clone();
        lie.lines[0].credited = 1;
        assert_eq!(lie.check(), Err(ProofError::Lines));
        assert_eq!(BalancesProof { stamp: None, ..honest.clone() }.check(), Ok(None));
        let text = honest.to_json();
        for other in ["{}", &text.replace("batchId\":1", "batchId\":2"), &text.replacen("0x", "1x", 1), &text[1..]] {
            assert_eq!(BalancesProof::from_json(other), None);
        }
    }

    #[test]
    fn more_than_there_is_room_for_ends_the_proofs() {
        let mut trees = [SumTree::new(), SumTree::new()];
        let mut balances = FinalBalances::new(VENUE);
        balances.add(&batch(1, &mut trees, &[(1, 50)]));
        balances.settle(1);
        let mut huge = batch(2, &mut trees, &[(1, 51)]);
        huge.data = vec![0; MAX_WAITING_BYTES + 1];
        balances.add(&huge);
        assert_eq!(balances.prove(AccountId(1), None), None);
        balances.add(&batch(3, &mut trees, &[(1, 52)]));
        balances.settle(3);
        assert_eq!(balances.batch_id(), None);
    }
}
