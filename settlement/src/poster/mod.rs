//! Brings decided batches onto the chain, each exactly once, and makes them final.
//!
//! A state machine that is stepped: each step asks the chain a handful of questions and sends at most one transaction.
//! The contract's tip is the truth: what it has is not sent, what follows it is. On top of that stands the order of
//! nonces: one transaction at a time, one payload a nonce, every attempt kept until it is final.
//!
//! | what is found | what is done |
//! |---|---|
//! | the tip is behind the journal | try the next batch by `eth_call`, then send it |
//! | a transaction is in no block | send the same bytes again every [`RESEND_SECONDS`]; after [`BUMP_SECONDS`] the same payload with a fee at least 10 % higher (with blobs all fees doubled, as nodes demand), up to [`FEE_CAP`] times the first |
//! | its block was reorganised away | the same from the beginning: its bytes are kept until enough blocks stand on it |
//! | a batch stands in another block than before | its stamp is looked for again |
//! | it reverted in a block | stop: the trial had promised otherwise |
//! | the window of a batch is over | make it final |
//! | the tip is ahead of the journal, or has another header | stop for ever: [`Contradiction`] |
//! | no answer | [`PosterStatus::Waiting`]; everything waits |
//!
//! Invariants: nothing is sent that is not on stable storage here; no batch is sent whose predecessor is not the tip; a
//! stop is final for this run. Bounds: the data of batches that the chain does not have yet, see [`Poster::waiting`];
//! [`SEARCH_RANGES`] ranges of blocks looked through a step.

mod attempts;
mod commit;
mod fees;
mod search;
mod status;

use core::fmt;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use lakh_engine::units::Timestamp;

use self::attempts::{Attempt, AttemptStore, Outgoing};
pub use self::attempts::{AttemptsError, Purpose};
pub use self::fees::FEE_CAP;
pub use self::status::{Contradiction, DataRoute, PosterOptions, PosterStatus, PosterStop};
use crate::batch::SealedBatch;
use crate::blobs::{Packed, header_as_committed};
use crate::chain::transaction::{Blobs, Transaction, TransactionSigner};
use crate::chain::{Address, Block, BlockTag, Call, Chain, ChainError, NonceAt, TransactionStatus};
use crate::commitment::{Header, Stamp};
use crate::contract;
use crate::contract::answer::{self, Tip};
use crate::keccak::Hash;
use crate::log_ranges::MAX_RANGE_BLOCKS;

/// Seconds after which the same bytes are sent again.
pub const RESEND_SECONDS: u64 = 12;
/// Seconds after which a transaction that is in no block gets a higher fee.
pub const BUMP_SECONDS: u64 = 48;
/// Ranges of blocks that a step looks through for batches.
pub const SEARCH_RANGES: usize = 8;
/// Gas for `finalize`, where it cannot be estimated: about three times what it uses.
const FINALIZE_GAS: u64 = 150_000;
/// Seconds after a window's end from which a trial that still sees it open is not believed: nodes try calls at the
/// time of their newest block, which on an idle chain is long ago.
const WINDOW_GRACE_SECONDS: u64 = 12;
/// Most gas of a transaction (EIP-7825).
const MAX_GAS: u64 = 1 << 24;
const NANOSECONDS: u64 = 1_000_000_000;

/// What interrupts a step.
enum Trouble {
    Chain(ChainError),
    Stop(PosterStop),
}

impl From<ChainError> for Trouble {
    fn from(error: ChainError) -> Self {
        Self::Chain(error)
    }
}

impl From<PosterStop> for Trouble {
    fn from(stop: PosterStop) -> Self {
        Self::Stop(stop)
    }
}

impl From<Contradiction> for Trouble {
    fn from(contradiction: Contradiction) -> Self {
        Self::Stop(contradiction.into())
    }
}

impl From<AttemptsError> for Trouble {
    fn from(error: AttemptsError) -> Self {
        Self::Stop(PosterStop::Storage(error.to_string()))
    }
}

/// The two keys: whoever steals one of them can do nothing with it.
#[derive(Debug)]
pub struct PosterKeys {
    /// Sends the transactions, and pays for them.
    pub poster: TransactionSigner,
    /// Signs the headers of batches.
    pub header: TransactionSigner,
}

/// A batch that still matters.
#[derive(Debug)]
struct Held {
    /// What it claims by the journal.
    header: Header,
    /// What commits it, without its withdrawals; `None` once that is final and was compared.
    batch: Option<SealedBatch>,
    /// Its data as blobs, once they were needed.
    packed: Option<Arc<Packed>>,
    /// Its header on the chain and when it came there, where that is known and was compared.
    on_chain: Option<(Header, Stamp)>,
}

impl Held {
    /// The header with that hash, if it is one of this batch's.
    fn header_as_committed(&self, committed: Hash) -> Option<Header> {
        let known = self.on_chain.map(|(header, _)| header).into_iter().chain([self.header]);
        let packed = self.packed.iter().map(|packed| packed.header(&self.header));
        known.chain(packed).find(|header| header.hash() == committed).or_else(|| {
            let batch = self.batch.as_ref().filter(|_| self.packed.is_none())?;
            header_as_committed(&self.header, &batch.data, committed)
        })
    }
}

/// What is sent under a new nonce.
struct Payload {
    purpose: Purpose,
    data: Vec<u8>,
    gas_limit: u64,
    blobs: Option<Blobs>,
}

/// The chain as a step sees it.
struct View {
    head: Block,
    tip: Tip,
    /// The tip as of the last block that has its confirmations.
    confirmed: Tip,
    nonce: u64,
}

/// See the module.
pub struct Poster {
    options: PosterOptions,
    keys: PosterKeys,
    store: AttemptStore,
    outgoing: VecDeque<Outgoing>,
    batches: BTreeMap<u64, Held>,
    /// The last batch that the journal decided on, as far as it was read.
    journaled: u64,
    journal_read: JournalRead,
    confirmed: Tip,
    tip: Option<Tip>,
    chain_checked: bool,
    windows: Option<(u64, u64)>,
    /// Below this block batches are still to be looked for; `None` to begin at the head.
    search_below: Option<u64>,
    /// Blocks that the node looks through at once.
    search_blocks: u64,
    silent_since: Option<Timestamp>,
    stopped: Option<PosterStop>,
}

/// How much of the journal the poster was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JournalRead {
    Partly,
    Wholly,
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poster").field("keys", &self.keys).field("journaled", &self.journaled).finish_non_exhaustive()
    }
}

impl Poster {
    /// A poster that has sent what an earlier run left in the attempts' file.
    ///
    /// # Errors
    /// See [`AttemptsError`].
    pub fn open(options: PosterOptions, keys: PosterKeys) -> Result<Self, AttemptsError> {
        let (store, outgoing) = AttemptStore::open(options.attempts_file.clone(), keys.poster.address())?;
        Ok(Self {
            options,
            keys,
            store,
            outgoing: outgoing.into(),
            batches: BTreeMap::new(),
            journaled: 0,
            journal_read: JournalRead::Partly,
            confirmed: Tip::default(),
            tip: None,
            chain_checked: false,
            windows: None,
            search_below: None,
            search_blocks: MAX_RANGE_BLOCKS,
            silent_since: None,
            stopped: None,
        })
    }

    /// Takes a batch that the journal decided on; in order, again after a replay began anew.
    pub fn add(&mut self, batch: &SealedBatch) {
        let batch_id = batch.header.batch_id;
        self.journaled = self.journaled.max(batch_id);
        if batch_id < self.confirmed.final_batch || self.batches.contains_key(&batch_id) {
            return;
        }
        let kept = SealedBatch {
            header: batch.header,
            lines: batch.lines.clone(),
            changes: batch.changes.clone(),
            previous_lines: batch.previous_lines,
            previous_trees: batch.previous_trees,
            data: batch.data.clone(),
            withdrawals: Vec::new(),
        };
        let held = Held { header: batch.header, batch: Some(kept), packed: None, on_chain: None };
        self.batches.insert(batch_id, held);
    }

    /// Says that every batch in the journal was added, so that a tip ahead of them is a contradiction.
    pub const fn journal_is_read(&mut self) {
        self.journal_read = JournalRead::Wholly;
    }

    /// Batches whose commit is not final yet: their data are kept in memory.
    pub fn waiting(&self) -> usize {
        self.batches.range(self.confirmed.batch_id + 1..).count()
    }

    /// The chain's tip as last seen.
    pub const fn tip(&self) -> Option<Tip> {
        self.tip
    }

    /// The chain's tip as of the last block that had its confirmations when it was looked at; zeroes before.
    pub const fn confirmed(&self) -> Tip {
        self.confirmed
    }

    /// A batch's header on the chain and when it came there, while it is not long final.
    pub fn on_chain(&self, batch_id: u64) -> Option<(Header, Stamp)> {
        self.batches.get(&batch_id)?.on_chain
    }

    /// Does what can be done now. `now` is the wall clock.
    pub fn step(&mut self, chain: &dyn Chain, now: Timestamp) -> PosterStatus {
        if let Some(stop) = &self.stopped {
            return PosterStatus::Stopped(stop.clone());
        }
        match self.try_step(chain, now) {
            Ok(status) => {
                self.silent_since = None;
                status
            }
            Err(Trouble::Chain(error)) => {
                let since = *self.silent_since.get_or_insert(now);
                PosterStatus::Waiting { since, reason: error.to_string() }
            }
            Err(Trouble::Stop(stop)) => {
                self.stopped = Some(stop.clone());
                PosterStatus::Stopped(stop)
            }
        }
    }

    fn try_step(&mut self, chain: &dyn Chain, now: Timestamp) -> Result<PosterStatus, Trouble> {
        let view = self.look(chain)?;
        self.forget(&view);
        self.compare(chain, &view)?;
        if self.batches.get(&view.tip.batch_id).is_some_and(|held| held.on_chain.is_none()) {
            // Nothing follows a tip that was not compared.
            return Ok(PosterStatus::Idle);
        }
        if let Some(status) = self.follow_up(chain, &view, now)? {
            return Ok(status);
        }
        let next = view.tip.batch_id + 1;
        if next <= self.journaled {
            return self.commit(chain, &view, now);
        }
        self.finalize(chain, &view, now)
    }

    fn look(&mut self, chain: &dyn Chain) -> Result<View, Trouble> {
        if !self.chain_checked {
            let (found, expected) = (chain.chain_id()?, self.options.venue.chain_id);
            if found != expected {
                return Err(PosterStop::OtherChain { found, expected }.into());
            }
            self.chain_checked = true;
        }
        let head = chain.block(BlockTag::Latest)?.ok_or_else(|| malformed("no newest block"))?;
        let tip = self.ask(chain, contract::tip(), BlockTag::Latest)?;
        let tip = Tip::decode(&tip).ok_or_else(|| malformed("no settlement contract answers there"))?;
        let confirmed = match head.number.checked_sub(self.options.confirmations) {
            _ if self.options.confirmations == 0 => tip,
            // Before the contract was there, nothing answers.
            Some(number) => {
                let at = BlockTag::Number(number);
                Tip::decode(&self.ask(chain, contract::tip(), at)?).unwrap_or_default()
            }
            None => Tip::default(),
        };
        let nonce = chain.nonce(self.keys.poster.address(), NonceAt::Latest)?;
        self.tip = Some(tip);
        Ok(View { head, tip, confirmed, nonce })
    }

    /// Lets go of what can never be needed again.
    fn forget(&mut self, view: &View) {
        self.confirmed.batch_id = self.confirmed.batch_id.max(view.confirmed.batch_id);
        self.confirmed.final_batch = self.confirmed.final_batch.max(view.confirmed.final_batch);
        let confirmed = self.confirmed;
        self.batches.retain(|batch_id, _| *batch_id >= confirmed.final_batch);
        for (batch_id, held) in &mut self.batches {
            if *batch_id > view.tip.batch_id {
                held.on_chain = None;
            }
            if *batch_id <= confirmed.batch_id && held.on_chain.is_some() {
                (held.batch, held.packed) = (None, None);
            }
        }
    }

    /// Sees what became of what was sent; `None` once all of it is in blocks.
    fn follow_up(&mut self, chain: &dyn Chain, view: &View, now: Timestamp) -> Result<Option<PosterStatus>, Trouble> {
        let mut index = 0;
        while let Some(outgoing) = self.outgoing.get_mut(index) {
            let purpose = outgoing.purpose;
            let receipts = outgoing.attempts.iter().rev().map(|attempt| chain.receipt(attempt.hash));
            let receipt = receipts.into_iter().find_map(Result::transpose).transpose()?;
            let is_over = match (&receipt, purpose) {
                (Some(receipt), Purpose::Commit(batch_id)) if receipt.status == TransactionStatus::Reverted => {
                    // Its nonce is used up: whoever starts again begins with a trial.
                    self.outgoing.remove(index);
                    self.store.save(self.outgoing.iter())?;
                    return Err(PosterStop::Reverted { batch_id, transaction: receipt.transaction_hash }.into());
                }
                (Some(receipt), _) => {
                    // Should its block go, it is new to whoever has not seen it yet.
                    (outgoing.sent_at, outgoing.bumped_at) = (None, None);
                    view.head.number >= receipt.block_number + self.options.confirmations
                }
                (None, _) if outgoing.nonce >= view.nonce => return self.push_on(chain, index, now).map(Some),
                // The nonce is used and the node knows none of the attempts: it is behind, or others use the key.
                (None, Purpose::Commit(batch_id)) if view.tip.batch_id >= batch_id => true,
                (None, Purpose::Finalize(batch_id)) if view.tip.final_batch >= batch_id => true,
                (None, _) => {
                    let since = *outgoing.sent_at.get_or_insert(now);
                    if now.0.saturating_sub(since.0) < BUMP_SECONDS * NANOSECONDS {
                        return Ok(Some(PosterStatus::Pending(purpose)));
                    }
                    true
                }
            };
            if is_over {
                self.outgoing.remove(index);
                self.store.save(self.outgoing.iter())?;
            } else {
                index += 1;
            }
        }
        Ok(None)
    }

    /// Sends a transaction that is in no block again, with a higher fee when it has waited for long.
    fn push_on(&mut self, chain: &dyn Chain, index: usize, now: Timestamp) -> Result<PosterStatus, Trouble> {
        let passed =
            |since: Option<Timestamp>| since.map_or(u64::MAX, |since| now.0.saturating_sub(since.0) / NANOSECONDS);
        let outgoing = &mut self.outgoing[index];
        let bumped_at = *outgoing.bumped_at.get_or_insert(now);
        let (purpose, sent_at) = (outgoing.purpose, outgoing.sent_at);
        if passed(Some(bumped_at)) >= BUMP_SECONDS {
            outgoing.bumped_at = Some(now);
            let first = &outgoing.attempts[0].transaction;
            let newest = &outgoing.newest().transaction;
            let blob_fee = if newest.blobs.is_some() { chain.blob_base_fee()? } else { None };
            if let Some(transaction) = fees::bumped(first, newest, chain.fees()?, blob_fee.unwrap_or_default()) {
                let attempt = self.sign(transaction);
                self.outgoing[index].attempts.push(attempt);
                self.store.save(self.outgoing.iter())?;
                return self.send(chain, index, now);
            }
        }
        if passed(sent_at) >= RESEND_SECONDS {
            return self.send(chain, index, now);
        }
        Ok(PosterStatus::Pending(purpose))
    }

    fn finalize(&mut self, chain: &dyn Chain, view: &View, now: Timestamp) -> Result<PosterStatus, Trouble> {
        let (seconds, blocks) = self.windows(chain)?;
        let now_s = (now.0 / NANOSECONDS).max(view.head.timestamp_s);
        let over = |stamp: &Stamp| {
            stamp.time_seconds.saturating_add(seconds) <= now_s
                && stamp.block_number.saturating_add(blocks) <= view.head.number + 1
        };
        let open = self.batches.range(view.tip.final_batch + 1..=view.tip.batch_id.max(view.tip.final_batch + 1)).rev();
        let ready = open.filter_map(|(batch_id, held)| Some((*batch_id, held.on_chain?)));
        let Some((batch_id, (header, stamp))) = ready.into_iter().find(|(_, (_, stamp))| over(stamp)) else {
            return Ok(PosterStatus::Idle);
        };
        let purpose = Purpose::Finalize(batch_id);
        let call = self.call(contract::finalize(&header, stamp));
        match chain.call(&call, BlockTag::Latest) {
            Ok(_) => {}
            Err(error) => {
                let data = error.revert_data().unwrap_or_default();
                if answer::is_error(data, "UnknownBatch(uint64)") {
                    // Its block was reorganised away and it stands in another one now.
                    self.batches.entry(batch_id).and_modify(|held| held.on_chain = None);
                    return Ok(PosterStatus::Idle);
                }
                if !answer::is_error(data, "WindowOpen(uint64)") {
                    return refused(purpose, error);
                }
                if now_s < stamp.time_seconds.saturating_add(seconds).saturating_add(WINDOW_GRACE_SECONDS) {
                    return Ok(PosterStatus::Idle);
                }
            }
        }
        self.begin(chain, view, Payload { purpose, data: call.data, gas_limit: FINALIZE_GAS, blobs: None }, now)
    }

    fn windows(&mut self, chain: &dyn Chain) -> Result<(u64, u64), Trouble> {
        if let Some(windows) = self.windows {
            return Ok(windows);
        }
        let read = |call| -> Result<u64, Trouble> {
            let bytes = self.ask(chain, call, BlockTag::Latest)?;
            Ok(answer::number(&bytes).ok_or_else(|| malformed("a window that is no number"))?)
        };
        let windows = (read(contract::window_seconds())?, read(contract::window_blocks())?);
        self.windows = Some(windows);
        Ok(windows)
    }

    /// Signs, keeps and sends a new payload at the next nonce.
    fn begin(
        &mut self,
        chain: &dyn Chain,
        view: &View,
        payload: Payload,
        now: Timestamp,
    ) -> Result<PosterStatus, Trouble> {
        let Payload { purpose, data, gas_limit, blobs } = payload;
        let (max_fee_per_gas_wei, max_priority_fee_per_gas_wei) = fees::first(chain.fees()?);
        let transaction = Transaction {
            chain_id: self.options.venue.chain_id,
            nonce: view.nonce,
            max_priority_fee_per_gas_wei,
            max_fee_per_gas_wei,
            gas_limit,
            to: Some(self.options.venue.contract),
            value_wei: 0,
            data,
            blobs,
        };
        let attempt = self.sign(transaction);
        let bumped_at = Some(now);
        self.outgoing.push_back(Outgoing { bumped_at, ..Outgoing::new(view.nonce, purpose, vec![attempt]) });
        self.store.save(self.outgoing.iter())?;
        self.send(chain, self.outgoing.len() - 1, now)
    }

    fn send(&mut self, chain: &dyn Chain, index: usize, now: Timestamp) -> Result<PosterStatus, Trouble> {
        let outgoing = &mut self.outgoing[index];
        outgoing.sent_at = Some(now);
        let purpose = outgoing.purpose;
        match chain.send_raw_transaction(&outgoing.newest().raw) {
            Ok(_) => Ok(PosterStatus::Pending(purpose)),
            Err(ChainError::Refused { message, .. }) if is_known(&message) => Ok(PosterStatus::Pending(purpose)),
            Err(error @ ChainError::Refused { .. }) => Ok(PosterStatus::Refused { purpose, reason: error.to_string() }),
            Err(error) => Err(error.into()),
        }
    }

    fn sign(&self, transaction: Transaction) -> Attempt {
        let signed = self.keys.poster.sign(&transaction);
        Attempt { raw: signed.raw, hash: signed.hash, transaction }
    }

    fn call(&self, data: Vec<u8>) -> Call {
        Call { from: self.keys.poster.address(), ..Call::question(self.options.venue.contract, data) }
    }

    fn ask(&self, chain: &dyn Chain, data: Vec<u8>, at: BlockTag) -> Result<Vec<u8>, ChainError> {
        chain.call(&Call { from: Address::default(), ..self.call(data) }, at)
    }
}

/// A trial that went wrong: a refusal is told, anything else is no answer.
fn refused(purpose: Purpose, error: ChainError) -> Result<PosterStatus, Trouble> {
    match error.revert_data() {
        Some(data) => Ok(PosterStatus::Refused { purpose, reason: answer::reason(data) }),
        None => Err(error.into()),
    }
}

/// Whether a refusal only says that the transaction is there already.
fn is_known(message: &str) -> bool {
    ["already known", "already imported", "nonce too low"].iter().any(|words| message.contains(words))
}

fn malformed(reason: &str) -> ChainError {
    ChainError::Malformed { method: "the settlement contract", reason: reason.to_owned() }
}

#[cfg(test)]
mod anvil_tests;
#[cfg(test)]
mod gas_tests;
#[cfg(test)]
mod tests;
