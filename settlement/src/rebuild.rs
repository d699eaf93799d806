//! Every balance from chain data alone: what `lakh escape` leaves with, and what a watcher wants to see of every batch.
//!
//! Nothing of the operator's is needed, and nothing that it says is believed: the published data of batches are taken from
//! the transactions that committed them, held against their headers' hashes, which the contract has confirmed, and the sum
//! trees that come of them have to give the root of the last final batch. Data may be as old as
//! [`RebuildOptions::not_before_seconds`] only, since blobs and pruned transactions go: every balance is published again
//! within days (see [`crate::follower`]), so the newest data alone are enough, and whether they were is proved by the root.
//!
//! Invariant: what comes out has the root that the contract has, or nothing comes out. Bounds: memory as of
//! [`crate::sum_tree`], and about 120 bytes for each queue entry and batch of the chain.

use lakh_engine::command::ChainEntry;
use lakh_engine::ids::{AccountId, AssetId};
use lakh_engine::units::Atoms;

use crate::chain::{Chain, ChainError};
use crate::commitment::{AssetLine, Header, Stamp, balances_root};
use crate::comparison::ChainSide;
use crate::contract::answer::Tip;
use crate::diff::{self, DiffError};
use crate::follower::{MAX_ASSETS, Venue};
use crate::published::{Commit, Data, Published};
use crate::sum_tree::{BalanceProof, SumTree};

/// What is rebuilt.
#[derive(Clone, Copy, Debug)]
pub struct RebuildOptions {
    /// Whose balances.
    pub venue: Venue,
    /// The contract was created in this block or later.
    pub first_block: u64,
    /// Data of batches that came to the chain earlier are not asked for; 0 for all that there are.
    pub not_before_seconds: u64,
}

/// Why the balances cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// The chain gives no usable answer.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The chain's events do not fit together.
    #[error("the chain contradicts itself: {0}")]
    Contradiction(String),
    /// The data of a batch are not there.
    #[error("the data of batch {batch_id} cannot be read: {reason}")]
    Data {
        /// Which.
        batch_id: u64,
        /// What is wrong.
        reason: String,
    },
    /// The data of a batch are no stream of balances.
    #[error("the data of batch {batch_id} are no stream: {source}")]
    Stream {
        /// Which.
        batch_id: u64,
        /// Why not.
        source: DiffError,
    },
    /// The data do not come to the root.
    #[error(
        "the data up to batch {batch_id} do not come to its root: asset {asset} differs, or older data are missing"
    )]
    OtherRoot {
        /// The last final batch.
        batch_id: u64,
        /// The first asset that differs.
        asset: u16,
    },
}

/// The last final batch, with everybody's balances.
#[derive(Debug)]
pub struct FinalBatch {
    /// Its header.
    pub header: Header,
    /// When it was committed.
    pub stamp: Stamp,
    /// Every asset after it.
    pub lines: Vec<AssetLine>,
    /// The batch whose data were the first that were taken.
    pub first_data: u64,
    trees: Vec<SumTree>,
}

impl FinalBatch {
    /// Every balance, by asset and account.
    pub fn balances(&self) -> impl Iterator<Item = (AssetId, AccountId, Atoms)> {
        let assets = (0_u16..).zip(&self.trees);
        assets
            .flat_map(|(asset, tree)| tree.balances().map(move |(account, balance)| (AssetId(asset), account, balance)))
    }

    /// The trees, asset 0 first.
    pub(crate) fn into_trees(self) -> Vec<SumTree> {
        self.trees
    }

    /// The proof of what an account has of an asset; `None` where the asset has no line.
    pub fn prove(&mut self, asset: AssetId, account: AccountId) -> Option<BalanceProof> {
        Some(self.trees.get_mut(usize::from(asset.0))?.prove(account))
    }
}

/// What the chain alone tells.
#[derive(Debug)]
pub struct Rebuilt {
    /// Where the batches stand.
    pub tip: Tip,
    /// The last final batch; `None` while there is none.
    pub last_final: Option<FinalBatch>,
    /// The queue's entries that no final batch has consumed, the oldest first.
    pub waiting: Vec<ChainEntry>,
}

/// Rebuilds what the last final batch comes to.
///
/// # Errors
/// See [`RebuildError`].
pub fn rebuild(chain: &dyn Chain, options: &RebuildOptions) -> Result<Rebuilt, RebuildError> {
    let side = ChainSide::read(chain, options.venue, options.first_block)?;
    if let Some(finding) = side.findings.first() {
        return Err(RebuildError::Contradiction(finding.to_string()));
    }
    let tip = side.tip;
    let mut rebuilding = Rebuilding { trees: Vec::new(), last: None };
    for batch in side.batches.iter().take_while(|batch| batch.batch_id <= tip.final_batch) {
        let Some(stamp) = batch.stamp else { continue };
        if stamp.time_seconds >= options.not_before_seconds || batch.batch_id == tip.final_batch {
            let commit = Commit { header_hash: batch.header_hash, transaction_hash: batch.transaction_hash, stamp };
            rebuilding.take(chain, batch.batch_id, &commit)?;
        }
    }
    let last_final = rebuilding.last.map(|last| last.finish(rebuilding.trees)).transpose()?;
    let consumed = last_final.as_ref().map_or(0, |last| last.header.queue_up_to);
    let waiting = side.entries.into_iter().filter(|entry| entry.queue_id > consumed).collect();
    Ok(Rebuilt { tip, last_final, waiting })
}

/// The balances while batches come in.
struct Rebuilding {
    trees: Vec<SumTree>,
    last: Option<Last>,
}

/// The last batch that was taken, and the first.
struct Last {
    published: Published,
    stamp: Stamp,
    first_data: u64,
}

impl Rebuilding {
    fn take(&mut self, chain: &dyn Chain, batch_id: u64, commit: &Commit) -> Result<(), RebuildError> {
        let unreadable = |reason: &str| RebuildError::Data { batch_id, reason: reason.to_owned() };
        let published = Published::read(chain, commit)?;
        let published = published.ok_or_else(|| unreadable("its transaction is not there, or is not its commit"))?;
        let data = match published.data(chain)? {
            Data::There(data) => data,
            Data::Wrong(why) | Data::Missing(why) => return Err(unreadable(&why)),
        };
        let updates = diff::decode(&data).map_err(|source| RebuildError::Stream { batch_id, source })?;
        for update in updates {
            let index = usize::from(update.asset.0);
            if index >= MAX_ASSETS {
                return Err(unreadable("they name an asset that there cannot be"));
            }
            while self.trees.len() <= index {
                self.trees.push(SumTree::new());
            }
            self.trees[index].set(update.account, update.balance);
        }
        let first_data = self.last.as_ref().map_or(batch_id, |last| last.first_data);
        self.last = Some(Last { published, stamp: commit.stamp, first_data });
        Ok(())
    }
}

impl Last {
    /// Holds the trees against the lines, and the lines against the header.
    fn finish(self, mut trees: Vec<SumTree>) -> Result<FinalBatch, RebuildError> {
        let Self { published: Published { header, lines, .. }, stamp, first_data } = self;
        let batch_id = header.batch_id;
        if balances_root(&lines) != header.new_root {
            let reason = "its lines are not those of its root".to_owned();
            return Err(RebuildError::Data { batch_id, reason });
        }
        trees.resize_with(lines.len().max(trees.len()), SumTree::new);
        for (asset, tree) in (0_u16..).zip(&mut trees) {
            // An asset without a line has no balances.
            let expected = lines.get(usize::from(asset)).map(|line| line.tree);
            if tree.root() != expected.unwrap_or_else(|| SumTree::new().root()) {
                return Err(RebuildError::OtherRoot { batch_id, asset });
            }
        }
        trees.truncate(lines.len());
        Ok(FinalBatch { header, stamp, lines, first_data, trees })
    }
}

#[cfg(test)]
mod tests;
