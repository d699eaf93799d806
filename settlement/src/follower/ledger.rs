//! What every account has and what the chain was told, kept up with the journal record by record.
//!
//! The ledger looks at events only; it decides nothing. What sub-accounts have is their owner's leaf (`families`). Balances are collected while a batch is open and come into the
//! sum trees when it is sealed, so that a balance that changes a thousand times in a batch is hashed once.
//!
//! Invariants: equal records and seal points give equal bytes; per asset the tree's sum is credited − withdrawn at every
//! seal, else there is no batch; an asset has a line from its first deposit on, and keeps it.
//!
//! Bounds: [`MAX_ASSETS`] assets as in the contract; about 40 bytes for each balance that the open batch touched.

use std::collections::HashMap;

use lakh_engine::command::Command;
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, AssetId, Sequence};
use lakh_engine::units::Atoms;
use lakh_journal::Record;

use super::families::Families;
use crate::batch::SealedBatch;
use crate::commitment::{AssetChange, AssetLine, Header, balances_root, trees_hash};
use crate::diff::{self, LeafUpdate};
use crate::journal_root::JournalRoot;
use crate::keccak::{Hash, keccak256};
use crate::sum_tree::{Node, SumTree};
use crate::withdrawals::{Withdrawal, WithdrawalTree, withdrawals_root};

/// Every balance is published again within so many minutes, see [`Republishing`]: 4 days, one less than data have to last.
const REPUBLISH_MINUTES: u64 = 4 * 24 * 60;
/// Most balances that a batch publishes again, so that it fits a transaction; the next one goes on there.
const MAX_REPUBLISHED: usize = 2_000;
/// Seconds for which nothing is published again until a batch is worth while for that alone.
const REPUBLISH_PATIENCE_SECONDS: u64 = 3_600;

/// Most assets: what the contract takes.
pub const MAX_ASSETS: usize = 64;

/// Why the records cannot be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// A record is not the next one.
    #[error("record {got} came after record {last}")]
    WrongSequence {
        /// The last record.
        last: u64,
        /// What came.
        got: u64,
    },
    /// Money from the configuration, which no vault holds.
    #[error("record {sequence} credits money that is not in the vault: nothing after it can be settled")]
    UnbackedDeposit {
        /// The record.
        sequence: u64,
    },
    /// The queue was not consumed in order.
    #[error("record {sequence} consumes queue entry {got} after entry {last}")]
    WrongQueue {
        /// The record.
        sequence: u64,
        /// The last entry.
        last: u64,
        /// What was consumed.
        got: u64,
    },
    /// An asset that the contract cannot have.
    #[error("record {sequence} names asset {asset}, and the contract has at most {MAX_ASSETS}")]
    AssetOutOfRange {
        /// The record.
        sequence: u64,
        /// Which.
        asset: u16,
    },
    /// No record since the last batch.
    #[error("there is no record to seal after record {last}")]
    Empty {
        /// The last record.
        last: u64,
    },
    /// The last record does not end a journal block, so there is no hash that covers it.
    #[error("record {last} does not end a journal block")]
    InsideBlock {
        /// The last record.
        last: u64,
    },
    /// What is owed is not what came in minus what went out.
    #[error("at record {last} the balances of asset {asset} do not add up to what came in minus what went out")]
    NotConserved {
        /// The last record.
        last: u64,
        /// Which asset.
        asset: u16,
    },
}

/// One journal record with what it caused.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The record itself.
    pub record: Record<'a>,
    /// What was asked.
    pub command: &'a Command,
    /// What the engine said to it.
    pub events: &'a [Event],
}

/// An asset's books.
#[derive(Debug)]
struct AssetBooks {
    tree: SumTree,
    credited: u128,
    withdrawn: u128,
    /// As of the last batch.
    sealed: AssetLine,
    /// Of the open batch, in the order of the journal.
    withdrawals: Vec<Withdrawal>,
}

impl AssetBooks {
    fn new() -> Self {
        let mut tree = SumTree::new();
        let sealed = AssetLine { tree: tree.root(), credited: 0 };
        Self { tree, credited: 0, withdrawn: 0, sealed, withdrawals: Vec::new() }
    }

    fn withdraw(&mut self, account: AccountId, amount: Atoms) {
        self.withdrawn += u128::from(amount.raw());
        self.withdrawals.push(Withdrawal { account, amount });
    }
}

/// The part of the ledger that begins anew with each batch.
#[derive(Debug, Default)]
struct OpenBatch {
    first_time_seconds: Option<u64>,
    fills: u64,
    records: JournalRoot,
    /// Balances that were told, by account and asset.
    balances: HashMap<(u32, u16), Atoms>,
}

/// Which balances are published again though they did not change, so that the newest batches alone tell all of them, even
/// where older data have gone. Each account has its minute among [`REPUBLISH_MINUTES`]; a batch publishes the accounts whose
/// minute has come since the last one. What is published follows from the records' times, so that a replay comes to the
/// same bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Republishing {
    /// The minute since the Unix epoch up to which it was done; `None` before the first batch.
    done: Option<u64>,
}

impl Republishing {
    /// The accounts below `accounts` whose minutes have come, and the position afterwards. Stops after the minute in
    /// which there were enough.
    fn take(&mut self, accounts: u32, now_seconds: u64, mut publish: impl FnMut(AccountId) -> usize) {
        let now = now_seconds / 60;
        let mut done = self.done.unwrap_or(now);
        // Once around is everybody.
        done = done.max(now.saturating_sub(REPUBLISH_MINUTES));
        let mut published = 0;
        while done < now && published < MAX_REPUBLISHED {
            done += 1;
            let minute = u32::try_from(done % REPUBLISH_MINUTES).expect("a few thousand");
            let step = usize::try_from(REPUBLISH_MINUTES).expect("a few thousand");
            published += (minute..accounts).step_by(step).map(|account| publish(AccountId(account))).sum::<usize>();
        }
        self.done = Some(done);
    }
}

/// See the module.
#[derive(Debug)]
pub struct Ledger {
    sequence: Sequence,
    time_seconds: u64,
    block_hash: Option<[u8; 32]>,
    queue_id: u64,
    queue_prefix: Hash,
    queue_time_seconds: u64,
    unbacked: Option<Sequence>,
    assets: Vec<AssetBooks>,
    /// Assets that have a line: those up to the highest one that ever had a deposit.
    line_count: usize,
    sealed_sequence: Sequence,
    sealed_queue_id: u64,
    /// The lines of the last batch.
    sealed_lines: Vec<AssetLine>,
    republishing: Republishing,
    open: OpenBatch,
    families: Families,
}

impl Ledger {
    /// Before the first record of an exchange whose queue begins at `queue_origin`, see [`crate::follower::Venue::queue_origin`].
    pub fn new(queue_origin: Hash) -> Self {
        Self {
            sequence: Sequence(0),
            time_seconds: 0,
            block_hash: None,
            queue_id: 0,
            queue_prefix: queue_origin,
            queue_time_seconds: 0,
            unbacked: None,
            assets: Vec::new(),
            line_count: 0,
            sealed_sequence: Sequence(0),
            sealed_queue_id: 0,
            sealed_lines: Vec::new(),
            republishing: Republishing::default(),
            open: OpenBatch::default(),
            families: Families::default(),
        }
    }

    /// The last record.
    pub const fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// The last record of the last batch; 0 before the first.
    pub const fn sealed_sequence(&self) -> Sequence {
        self.sealed_sequence
    }

    /// Whether the last record ends a journal block, so that a batch may end there.
    pub const fn is_at_block_end(&self) -> bool {
        self.block_hash.is_some()
    }

    /// Balances that the open batch touched.
    pub fn touched(&self) -> usize {
        self.open.balances.len()
    }

    /// Whether the open batch would say anything beyond that time went by.
    pub fn has_changes(&self) -> bool {
        !self.open.balances.is_empty() || self.queue_id != self.sealed_queue_id || self.has_withdrawals()
    }

    /// Whether balances wait to be published again for so long that a batch is worth while.
    pub fn must_republish(&self, now_seconds: u64) -> bool {
        let since = self.republishing.done.map(|minute| minute * 60);
        self.line_count > 0
            && since.is_some_and(|since| now_seconds.saturating_sub(since) >= REPUBLISH_PATIENCE_SECONDS)
    }

    /// Whether somebody waits for the open batch to be paid.
    pub fn has_withdrawals(&self) -> bool {
        self.assets.iter().any(|books| !books.withdrawals.is_empty())
    }

    /// The time of the last queue entry consumed, in seconds since the Unix epoch; 0 before the first.
    pub const fn queue_time_seconds(&self) -> u64 {
        self.queue_time_seconds
    }

    /// All withdrawals of an asset since the beginning, in atoms.
    pub fn withdrawn(&self, asset: AssetId) -> u128 {
        self.assets.get(usize::from(asset.0)).map_or(0, |books| books.withdrawn)
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// A record that is not the next one, or one that the contract could never settle.
    pub fn apply(&mut self, step: &Step<'_>) -> Result<(), LedgerError> {
        let header = step.record.header;
        if header.sequence != self.sequence.0 + 1 {
            return Err(LedgerError::WrongSequence { last: self.sequence.0, got: header.sequence });
        }
        self.sequence = Sequence(header.sequence);
        self.time_seconds = header.timestamp_ns / 1_000_000_000;
        self.block_hash = None;
        self.open.first_time_seconds.get_or_insert(self.time_seconds);
        self.open.records.push(&step.record);
        step.events.iter().try_for_each(|event| self.observe(step, event))
    }

    /// The last record was the last of its journal block, which has this hash.
    pub const fn end_block(&mut self, hash: [u8; 32]) {
        self.block_hash = Some(hash);
    }

    fn observe(&mut self, step: &Step<'_>, event: &Event) -> Result<(), LedgerError> {
        match *event {
            Event::Trade(_) => self.open.fills += 1,
            Event::BalanceChanged { account, asset, available, held } => {
                self.books(asset)?;
                let (leaf, balance) = self.families.fold(account, asset, available + held);
                self.open.balances.insert((leaf.0, asset.0), balance);
            }
            Event::SubAccountOpened { account, parent } => self.open_sub_account(account, parent),
            Event::DepositCredited { asset, amount, .. } => {
                if !matches!(step.command, Command::ChainEntry(_)) {
                    self.unbacked.get_or_insert(self.sequence);
                }
                self.credit(asset, amount)?;
            }
            Event::DepositReturned { account, asset, amount, .. } => {
                self.credit(asset, amount)?;
                if !amount.is_zero() {
                    self.books(asset)?.withdraw(account, amount);
                }
            }
            Event::Withdrawn { account, asset, amount, .. } => self.books(asset)?.withdraw(account, amount),
            Event::ChainEntryConsumed { queue_id, .. } => self.consume(step, queue_id)?,
            _ => {}
        }
        Ok(())
    }

    fn open_sub_account(&mut self, account: AccountId, owner: AccountId) {
        let Self { families, assets, open, .. } = self;
        let leaves = (0_u16..).zip(assets.iter()).map(|(asset, books)| {
            let told = open.balances.get(&(owner.0, asset)).copied();
            (AssetId(asset), told.unwrap_or_else(|| books.tree.balance(owner)))
        });
        families.open(account, owner, leaves);
    }

    fn consume(&mut self, step: &Step<'_>, queue_id: u64) -> Result<(), LedgerError> {
        let wrong = LedgerError::WrongQueue { sequence: self.sequence.0, last: self.queue_id, got: queue_id };
        let Command::ChainEntry(entry) = step.command else { return Err(wrong) };
        if queue_id != self.queue_id + 1 || entry.queue_id != queue_id {
            return Err(wrong);
        }
        self.queue_id = queue_id;
        self.queue_prefix = Hash(entry.prefix);
        self.queue_time_seconds = entry.time_seconds;
        Ok(())
    }

    fn credit(&mut self, asset: AssetId, amount: Atoms) -> Result<(), LedgerError> {
        self.books(asset)?.credited += u128::from(amount.raw());
        self.line_count = self.line_count.max(usize::from(asset.0) + 1);
        Ok(())
    }

    fn books(&mut self, asset: AssetId) -> Result<&mut AssetBooks, LedgerError> {
        let index = usize::from(asset.0);
        if index >= MAX_ASSETS {
            return Err(LedgerError::AssetOutOfRange { sequence: self.sequence.0, asset: asset.0 });
        }
        while self.assets.len() <= index {
            self.assets.push(AssetBooks::new());
        }
        Ok(&mut self.assets[index])
    }

    /// Ends the open batch at the last record and begins the next one.
    ///
    /// # Errors
    /// No record in it, a last record inside of a journal block, money that no vault holds, or money that does not add up.
    /// Nothing can be sealed any more after the last two.
    pub fn seal(&mut self, batch_id: u64) -> Result<SealedBatch, LedgerError> {
        let last = self.sequence.0;
        if let Some(sequence) = self.unbacked {
            return Err(LedgerError::UnbackedDeposit { sequence: sequence.0 });
        }
        let Some(first_time_seconds) = self.open.first_time_seconds else { return Err(LedgerError::Empty { last }) };
        let Some(block_hash) = self.block_hash else { return Err(LedgerError::InsideBlock { last }) };
        let open = core::mem::take(&mut self.open);
        let data = self.publish(open.balances);
        let mut lines: Vec<AssetLine> = self.assets.iter_mut().map(line).collect();
        let withdrawals = self.take_withdrawals();
        let changes = self.changes(&lines, &withdrawals)?;
        lines.truncate(self.line_count);
        let roots: Vec<(AssetId, Node)> = withdrawals.iter().map(|(asset, tree)| (*asset, tree.root())).collect();
        let header = Header {
            batch_id,
            first_sequence: Sequence(self.sealed_sequence.0 + 1),
            last_sequence: self.sequence,
            first_time_seconds,
            last_time_seconds: self.time_seconds,
            queue_up_to: self.queue_id,
            fills: open.fills,
            previous_root: balances_root(&self.sealed_lines),
            new_root: balances_root(&lines),
            journal_hash: Hash(block_hash),
            journal_root: open.records.root(),
            // A batch that consumes nothing names no prefix, which spares the contract a look.
            queue_prefix: if self.queue_id == self.sealed_queue_id { Hash::ZERO } else { self.queue_prefix },
            data_hash: keccak256(&data),
            steps_root: Hash::ZERO,
            withdrawals_root: withdrawals_root(&roots),
        };
        let previous_lines = u32::try_from(self.sealed_lines.len()).expect("at most MAX_ASSETS");
        let previous_trees = trees_hash(&self.sealed_lines);
        for (books, line) in self.assets.iter_mut().zip(&lines) {
            books.sealed = *line;
        }
        self.sealed_lines.clone_from(&lines);
        self.sealed_sequence = self.sequence;
        self.sealed_queue_id = self.queue_id;
        Ok(SealedBatch { header, lines, changes, previous_lines, previous_trees, data, withdrawals })
    }

    /// Brings the touched balances into the trees and returns the stream of those that changed or are due again.
    fn publish(&mut self, balances: HashMap<(u32, u16), Atoms>) -> Vec<u8> {
        let mut balances: Vec<_> = balances.into_iter().collect();
        balances.sort_unstable_by_key(|(place, _)| *place);
        let mut updates = Vec::with_capacity(balances.len());
        for ((account, asset), balance) in balances {
            let tree = &mut self.assets[usize::from(asset)].tree;
            let account = AccountId(account);
            if tree.balance(account) != balance {
                tree.set(account, balance);
                updates.push(LeafUpdate { account, asset: AssetId(asset), balance });
            }
        }
        self.republish(&mut updates);
        diff::encode(&updates).expect("sorted by account and asset, each of them once")
    }

    fn republish(&mut self, updates: &mut Vec<LeafUpdate>) {
        let changed = updates.len();
        let accounts = self.assets.iter().map(|books| books.tree.accounts()).max().unwrap_or(0);
        let assets = &self.assets;
        self.republishing.take(accounts, self.time_seconds, |account| {
            let before = updates.len();
            for (asset, books) in (0_u16..).zip(assets) {
                let (asset, balance) = (AssetId(asset), books.tree.balance(account));
                let is_told =
                    updates[..changed].binary_search_by_key(&(account, asset), |told| (told.account, told.asset));
                if !balance.is_zero() && is_told.is_err() {
                    updates.push(LeafUpdate { account, asset, balance });
                }
            }
            updates.len() - before
        });
        updates.sort_unstable_by_key(|update| (update.account, update.asset));
    }

    fn take_withdrawals(&mut self) -> Vec<(AssetId, WithdrawalTree)> {
        let lists =
            (0_u16..).zip(&mut self.assets).map(|(asset, books)| (asset, core::mem::take(&mut books.withdrawals)));
        lists.filter_map(|(asset, list)| Some((AssetId(asset), WithdrawalTree::new(list)?))).collect()
    }

    /// The assets whose totals changed; each must conserve money. Those that get no line have nothing and never had.
    fn changes(
        &self,
        lines: &[AssetLine],
        withdrawals: &[(AssetId, WithdrawalTree)],
    ) -> Result<Vec<AssetChange>, LedgerError> {
        let mut changes = Vec::new();
        for ((asset, books), line) in (0_u16..).zip(&self.assets).zip(lines) {
            let tree = withdrawals.iter().find(|(other, _)| other.0 == asset).map(|(_, tree)| tree.root());
            let change = AssetChange {
                asset: AssetId(asset),
                sum: books.sealed.tree.sum,
                credited: books.sealed.credited,
                withdrawals: tree.unwrap_or(Node::EMPTY),
            };
            let adds_up = books.credited.checked_sub(books.withdrawn) == Some(line.tree.sum);
            if !adds_up || !change.is_conserved(line) {
                return Err(LedgerError::NotConserved { last: self.sequence.0, asset });
            }
            let same = (change.sum, change.credited) == (line.tree.sum, line.credited);
            if !same || tree.is_some() {
                changes.push(change);
            }
        }
        Ok(changes)
    }
}

/// An asset as it is now.
fn line(books: &mut AssetBooks) -> AssetLine {
    AssetLine { tree: books.tree.root(), credited: books.credited }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
