//! The watch over a venue: whether each batch on the chain is what the journal comes to, and the veto where it is not.
//!
//! What a watcher does who trusts nobody. With a copy of the journal (`lakh watch --journal`) every batch is made again from
//! its records and held against the header that the contract has. Without one, every balance is built up from the published
//! data alone, and each new root has to follow from them: whoever could not leave with the data vetoes. Only batches whose
//! window is open are looked at; what is final cannot be helped.
//!
//! | found | verdict |
//! |---|---|
//! | the same header | nothing |
//! | another header, or a decision that the journal's own records do not lead to | [`Divergence`] at the last record that changed the first balance that differs, or at the batch's first one |
//! | a batch whose records the journal has and never decided on, for longer than [`WatchOptions::patience_seconds`] | [`Divergence`] at its first record |
//! | a batch whose records the journal does not have yet | it waits, and says so |
//! | published data that do not come to the root | [`Divergence`] at its first record |
//! | a blob that the node does not have | it waits, and says so: the chain takes no block without its blobs, so the node is to blame |
//!
//! Invariants: it never vetoes what it could not compare; the same chain and journal give the same verdict. Bounds: a replica of the
//! venue's engine or the trees of [`crate::sum_tree`]; a header, a stamp and the differences of each batch that is not final.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lakh_engine::event::Event;
use lakh_engine::ids::Sequence;

use crate::batch::SealedBatch;
use crate::blobs::{BLOB_LIFE_SECONDS, header_as_committed};
use crate::chain::{Address, BlockTag, Call, Chain, ChainError};
use crate::commitment::{AssetLine, Header, Stamp};
use crate::commits::stamp_of;
use crate::contract::answer::{self, BATCH_COMMITTED, BatchCommitted, Tip};
use crate::contract::{self, exits};
use crate::diff::{self, LeafUpdate};
use crate::escape::NO_HEADER;
use crate::follower::{FollowError, Progress, Replica, Venue};
use crate::keccak::Hash;
use crate::log_ranges::LogRanges;
use crate::published::{Commit, Data, Published};
use crate::rebuild::{RebuildError, RebuildOptions, rebuild};
use crate::sum_tree::SumTree;

/// Records replayed at once.
const CHUNK_RECORDS: usize = 4_096;
/// Blocks that are read once more, since they may have been reorganised.
const READ_AGAIN_BLOCKS: u64 = 64;

/// What is watched.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    /// A copy of the venue's journal; without it only the chain's own data are looked at.
    pub journal: Option<PathBuf>,
    /// The venue.
    pub venue: Venue,
    /// The contract was created in this block or later.
    pub first_block: u64,
    /// How long the journal may lack a decision about records that it has, in seconds of the chain's time.
    pub patience_seconds: u64,
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The chain gives no usable answer.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The journal cannot be followed.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The balances of the last final batch cannot be had from the chain: it is too late to veto that one.
    #[error("the last final batch: {0}")]
    Rebuild(#[from] RebuildError),
}

/// A batch that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Which.
    pub batch_id: u64,
    /// What the contract has of it.
    pub header: Header,
    /// When it came to the chain.
    pub stamp: Stamp,
    /// The record that the veto names.
    pub sequence: Sequence,
    /// What is wrong, in words.
    pub why: String,
    /// The batch before it: header, stamp and all assets; nothing of it before the first.
    previous: (Header, Stamp, Vec<AssetLine>),
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Where the batches stand.
    pub tip: Tip,
    /// The last batch that was found to be what it should be, or is final.
    pub good_through: u64,
    /// The first one that is not.
    pub divergence: Option<Divergence>,
    /// Why a later batch could not be compared, if so.
    pub waiting: Option<String>,
}

/// A call that a watcher sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VetoCall {
    /// The watchers' contract.
    pub to: Address,
    /// What it puts at stake.
    pub bond_wei: u128,
    /// Selector and arguments.
    pub data: Vec<u8>,
}

/// A batch by the journal.
#[derive(Debug)]
struct Decided {
    header: Header,
    data: Vec<u8>,
    /// The header on the chain that was found to be this batch's.
    agreed: Option<Hash>,
}

impl Decided {
    fn new(batch: SealedBatch) -> Self {
        Self { header: batch.header, data: batch.data, agreed: None }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Watch {
    options: WatchOptions,
    replica: Option<Replica>,
    /// Why the journal cannot be replayed any further, and from which batch on.
    broken: Option<(u64, String)>,
    decided: BTreeMap<u64, Decided>,
    commits: BTreeMap<u64, Commit>,
    next_block: u64,
    trees: Option<ChainTrees>,
}

impl Watch {
    /// Before the first look.
    ///
    /// # Errors
    /// A journal that cannot be read, or is another venue's.
    pub fn open(options: WatchOptions) -> Result<Self, WatchError> {
        let open = |journal: &PathBuf| Replica::open(journal, options.venue);
        let replica = options.journal.as_ref().map(open).transpose()?;
        let (decided, commits, next_block) = (BTreeMap::new(), BTreeMap::new(), options.first_block);
        Ok(Self { options, replica, broken: None, decided, commits, next_block, trees: None })
    }

    /// Looks at every batch whose window is open.
    ///
    /// # Errors
    /// See [`WatchError`]; the next look may go better.
    pub fn look(&mut self, chain: &dyn Chain) -> Result<Verdict, WatchError> {
        // The chain first, so that a venue that goes on meanwhile never looks like a chain that is ahead.
        let (tip, now_seconds) = self.read_commits(chain)?;
        self.replay(tip.final_batch)?;
        let mut verdict = Verdict { tip, good_through: tip.final_batch, divergence: None, waiting: None };
        for batch_id in tip.final_batch + 1..=tip.batch_id {
            let Some(commit) = self.commits.get(&batch_id).copied() else {
                verdict.waiting = Some(format!("the node does not know the event of batch {batch_id}"));
                break;
            };
            match self.judge(chain, batch_id, commit, now_seconds)? {
                Judgement::Good => verdict.good_through = batch_id,
                Judgement::Waiting(why) => {
                    verdict.waiting = Some(why);
                    break;
                }
                Judgement::Diverged { sequence, why } => {
                    match self.divergence(chain, (batch_id, commit), (sequence, why))? {
                        Ok(divergence) => verdict.divergence = Some(divergence),
                        Err(why) => verdict.waiting = Some(why),
                    }
                    break;
                }
            }
        }
        Ok(verdict)
    }

    /// The call that vetoes; to be sent by a watcher.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub fn veto(&self, chain: &dyn Chain, divergence: &Divergence) -> Result<VetoCall, ChainError> {
        let contract = self.options.venue.contract;
        let to = answer::address(&ask(chain, contract, exits::watchers_contract())?);
        let to = to.ok_or_else(|| malformed("it names no contract of watchers"))?;
        let bond_wei = answer::large_number(&ask(chain, to, exits::bond())?);
        let bond_wei = bond_wei.ok_or_else(|| malformed("a bond that is no number"))?;
        let Divergence { header, stamp, sequence, previous: (previous, previous_stamp, lines), .. } = divergence;
        let data = exits::veto((header, *stamp), (previous, *previous_stamp), lines, sequence.0);
        Ok(VetoCall { to, bond_wei, data })
    }

    /// Takes in which batches the contract has that are not final, and the last that is.
    fn read_commits(&mut self, chain: &dyn Chain) -> Result<(Tip, u64), WatchError> {
        let WatchOptions { venue: Venue { contract, .. }, first_block, .. } = self.options;
        let head = chain.block(BlockTag::Latest)?.ok_or_else(|| malformed("no newest block"))?;
        let tip = Tip::decode(&ask(chain, contract, contract::tip())?);
        let tip = tip.ok_or_else(|| malformed("no settlement contract answers there"))?;
        let from = self.next_block.saturating_sub(READ_AGAIN_BLOCKS).max(first_block);
        let topics = vec![vec![answer::topic(BATCH_COMMITTED)]];
        let mut ranges = LogRanges::new(contract, topics, (from, head.number));
        while let Some(logs) = ranges.next(chain)? {
            for log in &logs {
                let Some(committed) = BatchCommitted::decode(log) else { continue };
                let BatchCommitted { batch_id, header_hash } = committed;
                if batch_id < tip.final_batch {
                    continue;
                }
                // What was dropped or reorganised away is not what the contract stores.
                if let Some(stamp) = stamp_of(chain, contract, log, &committed)? {
                    let transaction_hash = log.transaction_hash;
                    self.commits.insert(batch_id, Commit { header_hash, transaction_hash, stamp });
                }
            }
        }
        self.next_block = head.number + 1;
        self.commits.retain(|batch_id, _| (tip.final_batch..=tip.batch_id).contains(batch_id));
        Ok((tip, head.timestamp_s))
    }

    /// Brings the replica to the journal's end.
    fn replay(&mut self, final_batch: u64) -> Result<(), WatchError> {
        let Some(replica) = &mut self.replica else { return Ok(()) };
        let mut sealed = Vec::new();
        while self.broken.is_none() {
            let progress = replica.advance(CHUNK_RECORDS, &mut sealed);
            for batch in sealed.drain(..).filter(|batch| batch.header.batch_id > final_batch) {
                self.decided.insert(batch.header.batch_id, Decided::new(batch));
            }
            match progress {
                Ok(Progress::Behind) => {}
                Ok(Progress::CaughtUp) => break,
                // The operator's own journal decides what its records do not lead to.
                Err(error @ (FollowError::BatchDiffers { .. } | FollowError::Ledger(_))) => {
                    let batch_id = match &error {
                        FollowError::BatchDiffers { batch_id, .. } => *batch_id,
                        _ => replica.engine().last_batch().0 + 1,
                    };
                    self.broken = Some((batch_id, error.to_string()));
                    if let Some(batch) = replica.take_differing() {
                        self.decided.insert(batch_id, Decided::new(batch));
                    }
                }
                // A decision that came while this replica was behind it: it finds it when it begins anew.
                Err(FollowError::SealedElsewhere { .. }) => {
                    let journal = self.options.journal.as_ref().expect("a replica follows a journal");
                    *replica = Replica::open(journal, self.options.venue)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.decided.retain(|batch_id, _| *batch_id > final_batch);
        Ok(())
    }

    fn judge(
        &mut self,
        chain: &dyn Chain,
        batch_id: u64,
        commit: Commit,
        now_seconds: u64,
    ) -> Result<Judgement, WatchError> {
        let Some(replica) = &self.replica else { return self.judge_by_data(chain, batch_id, commit) };
        if let Some(decided) = self.decided.get_mut(&batch_id) {
            if decided.agreed == Some(commit.header_hash)
                || header_as_committed(&decided.header, &decided.data, commit.header_hash).is_some()
            {
                decided.agreed = Some(commit.header_hash);
                return Ok(Judgement::Good);
            }
            let decided = &*decided;
            let journal = self.options.journal.as_ref().expect("a replica follows a journal");
            let sequence = first_difference(chain, (journal, self.options.venue), decided, commit)?;
            let why = match &self.broken {
                Some((broken, why)) if *broken == batch_id => why.clone(),
                _ => format!("its header is {}, and {} by the journal", commit.header_hash, decided.header.hash()),
            };
            return Ok(Judgement::Diverged { sequence: sequence.unwrap_or(decided.header.first_sequence), why });
        }
        if let Some((broken, why)) = &self.broken {
            return Ok(Judgement::Waiting(format!("the journal contradicts itself from batch {broken} on: {why}")));
        }
        let Some(call) = Published::read(chain, &commit)? else {
            return Ok(Judgement::Waiting(format!("the call that committed batch {batch_id} cannot be read")));
        };
        let has_records = replica.engine().sequence() >= call.header.last_sequence;
        let age = now_seconds.saturating_sub(commit.stamp.time_seconds);
        if has_records && age >= self.options.patience_seconds {
            let why = "the journal has its records and never decided on it".to_owned();
            return Ok(Judgement::Diverged { sequence: call.header.first_sequence, why });
        }
        Ok(Judgement::Waiting(format!(
            "batch {batch_id} ends with record {}, and the journal with {}",
            call.header.last_sequence,
            replica.engine().sequence()
        )))
    }

    /// Whether the published data come to the root.
    fn judge_by_data(&mut self, chain: &dyn Chain, batch_id: u64, commit: Commit) -> Result<Judgement, WatchError> {
        let Some(call) = Published::read(chain, &commit)? else {
            return Ok(Judgement::Waiting(format!("the call that committed batch {batch_id} cannot be read")));
        };
        let known = self.trees.as_ref().and_then(|trees| trees.good.get(&batch_id).copied());
        if known == Some(commit.header_hash) {
            return Ok(Judgement::Good);
        }
        let follows = self.trees.as_ref().is_some_and(|trees| trees.last == batch_id - 1 && known.is_none());
        if !follows {
            self.trees = Some(ChainTrees::begin(chain, &self.options, batch_id - 1, &self.commits)?);
        }
        let trees = self.trees.as_mut().expect("just made where there was none");
        Ok(match trees.take(&call, call.data(chain)?) {
            Taken::Good => {
                trees.good.insert(batch_id, commit.header_hash);
                Judgement::Good
            }
            Taken::Missing(why) => Judgement::Waiting(format!("batch {batch_id}: {why}")),
            Taken::Wrong(why) => {
                // What was taken of it is in the trees: they begin anew next time.
                self.trees = None;
                Judgement::Diverged { sequence: call.header.first_sequence, why }
            }
        })
    }

    /// Everything that a veto needs; or why it cannot be had.
    fn divergence(
        &self,
        chain: &dyn Chain,
        (batch_id, commit): (u64, Commit),
        (sequence, why): (Sequence, String),
    ) -> Result<Result<Divergence, String>, WatchError> {
        let Some(call) = Published::read(chain, &commit)? else {
            return Ok(Err(format!("batch {batch_id} differs ({why}), and the call that committed it cannot be read")));
        };
        let previous = match (batch_id, self.commits.get(&(batch_id - 1))) {
            (1, _) => Some((NO_HEADER, Stamp { time_seconds: 0, block_number: 0 }, Vec::new())),
            (_, Some(before)) => {
                Published::read(chain, before)?.map(|previous| (previous.header, before.stamp, previous.lines))
            }
            (_, None) => None,
        };
        let Some(previous) = previous else {
            return Ok(Err(format!("batch {batch_id} differs ({why}), and the one before it cannot be read")));
        };
        let range = call.header.first_sequence..=call.header.last_sequence;
        let sequence = if range.contains(&sequence) { sequence } else { call.header.first_sequence };
        Ok(Ok(Divergence { batch_id, header: call.header, stamp: commit.stamp, sequence, why, previous }))
    }
}

/// What is thought of one batch.
enum Judgement {
    Good,
    Diverged { sequence: Sequence, why: String },
    Waiting(String),
}

/// What became of a batch's data.
enum Taken {
    Good,
    Wrong(String),
    Missing(String),
}

/// Everybody's balances by the published data.
#[derive(Debug)]
struct ChainTrees {
    trees: Vec<SumTree>,
    /// The last batch in them.
    last: u64,
    /// The headers of those that were good.
    good: BTreeMap<u64, Hash>,
}

impl ChainTrees {
    /// As of the last final batch, and from there on to batch `last`, which were found good before.
    fn begin(
        chain: &dyn Chain,
        options: &WatchOptions,
        last: u64,
        commits: &BTreeMap<u64, Commit>,
    ) -> Result<Self, WatchError> {
        let WatchOptions { venue, first_block, .. } = *options;
        let from = |not_before_seconds| rebuild(chain, &RebuildOptions { venue, first_block, not_before_seconds });
        let rebuilt = match from(0) {
            // A node that has let old data go: every balance was published again since.
            Err(RebuildError::Data { .. }) => {
                let head = chain.block(BlockTag::Latest)?.ok_or_else(|| malformed("no newest block"))?;
                from(head.timestamp_s.saturating_sub(BLOB_LIFE_SECONDS))?
            }
            rebuilt => rebuilt?,
        };
        let (final_batch, trees) = match rebuilt.last_final {
            Some(last_final) => (last_final.header.batch_id, last_final.into_trees()),
            None => (0, Vec::new()),
        };
        let mut begun = Self { trees, last: final_batch, good: BTreeMap::new() };
        for batch_id in final_batch + 1..=last {
            let commit = commits.get(&batch_id).ok_or_else(|| malformed("a batch without an event"))?;
            let call = Published::read(chain, commit)?.ok_or_else(|| malformed("a commit that cannot be read"))?;
            match begun.take(&call, call.data(chain)?) {
                Taken::Good => {}
                Taken::Missing(why) => return Err(malformed(&why).into()),
                Taken::Wrong(_) => return Err(malformed("a batch that was good is not any more").into()),
            }
            begun.good.insert(batch_id, commit.header_hash);
        }
        Ok(begun)
    }

    fn take(&mut self, call: &Published, data: Data) -> Taken {
        let data = match data {
            Data::There(data) => data,
            Data::Wrong(why) => return Taken::Wrong(why),
            Data::Missing(why) => return Taken::Missing(why),
        };
        self.follow(call, &data).map_or_else(Taken::Wrong, |()| Taken::Good)
    }

    fn follow(&mut self, call: &Published, data: &[u8]) -> Result<(), String> {
        let updates = diff::decode(data).map_err(|error| format!("its published data are no stream: {error}"))?;
        for update in updates {
            let index = usize::from(update.asset.0);
            if index >= call.lines.len() {
                return Err(format!("its data name asset {index}, which has no line"));
            }
            while self.trees.len() < call.lines.len() {
                self.trees.push(SumTree::new());
            }
            self.trees[index].set(update.account, update.balance);
        }
        self.trees.resize_with(call.lines.len().max(self.trees.len()), SumTree::new);
        for ((asset, tree), line) in (0_u16..).zip(&mut self.trees).zip(&call.lines) {
            if tree.root() != line.tree {
                return Err(format!("its published data do not come to its root: asset {asset} differs"));
            }
        }
        self.last = call.header.batch_id;
        Ok(())
    }
}

/// The last record of the batch that changed the first balance in which journal and chain differ.
fn first_difference(
    chain: &dyn Chain,
    (journal, venue): (&Path, Venue),
    decided: &Decided,
    commit: Commit,
) -> Result<Option<Sequence>, WatchError> {
    let Some(call) = Published::read(chain, &commit)? else { return Ok(None) };
    let Data::There(data) = call.data(chain)? else { return Ok(None) };
    let (Ok(ours), Ok(theirs)) = (diff::decode(&decided.data), diff::decode(&data)) else { return Ok(None) };
    let told = |updates: &[LeafUpdate], one: &LeafUpdate| updates.contains(one);
    let differing = ours.iter().find(|one| !told(&theirs, one)).or_else(|| theirs.iter().find(|one| !told(&ours, one)));
    let Some(leaf) = differing else { return Ok(None) };
    let range = decided.header.first_sequence..=decided.header.last_sequence;
    let (mut replica, mut batches, mut found) = (Replica::open(journal, venue)?, Vec::new(), None);
    while replica.engine().sequence() < decided.header.last_sequence {
        // Where the batch itself is broken the error comes with its last record, which was applied by then.
        let over = replica.advance(1, &mut batches).is_err();
        batches.clear();
        let changes = |event: &Event| matches!(event, Event::BalanceChanged { account, asset, .. } if *account == leaf.account && *asset == leaf.asset);
        if range.contains(&replica.engine().sequence()) && replica.last_events().iter().any(changes) {
            found = Some(replica.engine().sequence());
        }
        if over {
            break;
        }
    }
    Ok(found)
}

fn ask(chain: &dyn Chain, to: Address, data: Vec<u8>) -> Result<Vec<u8>, ChainError> {
    chain.call(&Call::question(to, data), BlockTag::Latest)
}

fn malformed(reason: &str) -> ChainError {
    ChainError::Malformed { method: "the settlement contract", reason: reason.to_owned() }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
