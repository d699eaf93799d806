//! The settlement of one venue as one object: replay, seal, journal the decision, post, bring in the queue.
//!
//! Whoever owns it calls [`SettlementService::poll`] again and again on one thread of low priority and does what it says.
//! It holds no lock and shares nothing with the venue but the journal and the commands that it wants journaled.
//!
//! ```text
//! journal ─▶ replica ─ seals ─▶ Submit(BatchSealed) ─▶ sequencer ─▶ journal ─▶ replica ─▶ poster ─▶ chain
//! chain ─▶ watcher ─▶ Submit(ChainEntry) ─▶ sequencer ─▶ journal
//! ```
//!
//! Invariants: what was submitted is not submitted again until it is seen in the journal or has long been lost
//! ([`ServiceOptions::resubmit_after`]; the engine refuses what it has already, so that is harmless); a chain that is
//! silent stops batches and deposits, never the venue; where journal and chain contradict each other, the markets are
//! closed once and nothing is settled any more.
//!
//! Bounds: a call replays at most [`CHUNK_RECORDS`] records, about a millisecond, and talks to the chain at most once each
//! [`ServiceOptions::chain_interval`]; [`MAX_WAITING_BATCHES`] batches wait for the chain, then no more are sealed and the
//! replay pauses; [`SUBMIT_WINDOW`] queue entries are under way.

use core::fmt;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use lakh_engine::command::{BatchSealed, Command};
use lakh_engine::ids::AccountId;
use lakh_engine::units::Timestamp;

use crate::batch::SealedBatch;
use crate::chain::Chain;
use crate::claims::{ClaimData, claim_data};
use crate::commitment::Stamp;
use crate::commits::{CommitStamps, MAX_WANTED};
use crate::contract::WithdrawalClaim;
use crate::final_balances::{BalancesProof, FinalBalances};
use crate::follower::{FollowError, Progress, Replica};
use crate::keccak::Hash;
use crate::poster::{AttemptsError, Poster, PosterKeys, PosterOptions, PosterStatus, PosterStop};
use crate::watcher::{QueuePosition, WatchError, Watcher};

/// Records that one call replays.
pub const CHUNK_RECORDS: usize = 512;
/// Batches that wait for the chain before no more are made.
pub const MAX_WAITING_BATCHES: usize = 16;
/// Queue entries under way to the journal.
pub const SUBMIT_WINDOW: u64 = 64;
/// Balances touched after which a batch is sealed early, so that it fits a transaction.
pub const MAX_TOUCHED_BALANCES: usize = 4_000;
/// Batches with withdrawals whose proofs are kept in memory; those of older ones come from a replay.
pub const MAX_CLAIM_BATCHES: usize = MAX_WANTED;

/// How a venue is settled.
#[derive(Clone, Debug)]
pub struct ServiceOptions {
    /// The venue's journal.
    pub journal_directory: PathBuf,
    /// Contract, confirmations, attempts.
    pub poster: PosterOptions,
    /// The longest time between batches while anything changes; default 60 s.
    pub batch_interval: Duration,
    /// The longest time that a withdrawal waits for its batch; default 5 s.
    pub withdrawal_interval: Duration,
    /// The shortest time between two rounds of questions to the chain; default 1 s.
    pub chain_interval: Duration,
    /// When a submission that did not appear in the journal counts as lost; default 10 s.
    pub resubmit_after: Duration,
}

impl ServiceOptions {
    /// Options with the defaults named at each field.
    pub fn new(journal_directory: impl Into<PathBuf>, poster: PosterOptions) -> Self {
        Self {
            journal_directory: journal_directory.into(),
            poster,
            batch_interval: Duration::from_secs(60),
            withdrawal_interval: Duration::from_secs(5),
            chain_interval: Duration::from_secs(1),
            resubmit_after: Duration::from_secs(10),
        }
    }
}

/// What the owner has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a handful a second: boxing would only burden the caller")]
pub enum ServiceAction {
    /// Have this command sequenced: a `ChainEntry` or `BatchSealed`, in the order given.
    Submit(Command),
    /// Close all markets but for cancels, with this reason. Comes at most once.
    CancelOnly(String),
    /// Tell the operator. The same news comes once.
    Warn(String),
}

/// Why settlement cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The journal.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// What an earlier run had sent.
    #[error(transparent)]
    Attempts(#[from] AttemptsError),
}

/// A submission that is not in the journal yet.
#[derive(Clone, Copy, Debug)]
struct Submitted<T> {
    what: T,
    at: Timestamp,
}

/// Whether anything is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Running {
    Yes,
    Stopped,
}

/// See the module.
pub struct SettlementService {
    options: ServiceOptions,
    chain: Box<dyn Chain>,
    replica: Replica,
    poster: Poster,
    /// Made once the journal is read, since only then it is known where to go on.
    watcher: Option<Watcher>,
    progress: Progress,
    running: Running,
    batch_submitted: Option<Submitted<u64>>,
    queue_submitted: Option<Submitted<u64>>,
    sealed_at: Option<Timestamp>,
    chain_asked_at: Option<Timestamp>,
    /// Batches with withdrawals, for their proofs.
    claims: BTreeMap<u64, SealedBatch>,
    /// When those came to the chain, once they are final.
    stamps: CommitStamps,
    /// What everybody has in the last final batch.
    final_balances: FinalBalances,
    /// The last news of each teller.
    told: [Option<String>; TELLERS],
    batches: Vec<SealedBatch>,
}

impl fmt::Debug for SettlementService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettlementService")
            .field("replica", &self.replica)
            .field("poster", &self.poster)
            .field("running", &self.running)
            .finish_non_exhaustive()
    }
}

/// Whose news it is.
#[derive(Clone, Copy)]
enum Teller {
    Poster = 0,
    Watcher = 1,
    Claims = 2,
}

/// How many tellers there are.
const TELLERS: usize = 3;

impl SettlementService {
    /// Opens the journal and what an earlier run left. The replay happens in [`Self::poll`].
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub fn open(options: ServiceOptions, chain: Box<dyn Chain>, keys: PosterKeys) -> Result<Self, ServiceError> {
        let replica = Replica::open(&options.journal_directory, options.poster.venue)?;
        let poster = Poster::open(options.poster.clone(), keys)?;
        let PosterOptions { venue, first_block, .. } = options.poster;
        Ok(Self {
            options,
            chain,
            replica,
            poster,
            watcher: None,
            progress: Progress::Behind,
            running: Running::Yes,
            batch_submitted: None,
            queue_submitted: None,
            sealed_at: None,
            chain_asked_at: None,
            claims: BTreeMap::new(),
            stamps: CommitStamps::new(venue.contract, first_block),
            final_balances: FinalBalances::new(venue),
            told: [const { None }; TELLERS],
            batches: Vec::new(),
        })
    }

    /// Whether every durable record is replayed.
    pub fn is_caught_up(&self) -> bool {
        self.progress == Progress::CaughtUp
    }

    /// Whether the next call should come soon: it finds records to replay. Not while so many batches wait for the chain that
    /// the replay pauses.
    pub fn is_replaying(&self) -> bool {
        self.running == Running::Yes && !self.is_caught_up() && !self.is_paused()
    }

    fn is_paused(&self) -> bool {
        self.poster.waiting() >= 2 * MAX_WAITING_BATCHES
    }

    /// Whether settlement has stopped for good.
    pub fn is_stopped(&self) -> bool {
        self.running == Running::Stopped
    }

    /// What keeps settlement from going on, if anything does.
    pub fn news(&self) -> Option<String> {
        let news: Vec<&str> = self.told.iter().flatten().map(String::as_str).collect();
        if news.is_empty() { None } else { Some(news.join("; ")) }
    }

    /// The poster.
    pub const fn poster(&self) -> &Poster {
        &self.poster
    }

    /// The replay.
    pub const fn replica(&self) -> &Replica {
        &self.replica
    }

    /// What proves an account's withdrawals in the batches that are in memory, the oldest first. The stamp is there as
    /// soon as the batch is on the chain; after a restart, as soon as its event was found again. Only with a final
    /// batch ([`crate::contract::answer::Tip::final_batch`]) can it be claimed.
    pub fn claims_of(&self, account: AccountId) -> Vec<(WithdrawalClaim, Option<Stamp>)> {
        let mut found = Vec::new();
        for (batch_id, batch) in &self.claims {
            let places = batch.withdrawals_of(account).into_iter();
            let claims = places.filter_map(|(asset, index)| batch.claim(asset, index));
            let on_chain = self.stamps.on_chain(*batch_id).or_else(|| self.poster.on_chain(*batch_id));
            found.extend(claims.map(|claim| match on_chain {
                Some((header, stamp)) => (WithdrawalClaim { header, ..claim }, Some(stamp)),
                None => (claim, None),
            }));
        }
        found
    }

    /// The same as data for wallets, see [`crate::claims`]. Which of them were claimed already, only the chain knows:
    /// [`crate::claims::mark_claimed`].
    pub fn claims_data(&self, account: AccountId) -> Vec<ClaimData> {
        let (venue, tip) = (self.options.poster.venue, self.poster.tip().unwrap_or_default());
        self.claims_of(account).iter().map(|(claim, stamp)| claim_data(venue, claim, *stamp, tip)).collect()
    }

    /// What an account has in the last final batch, with proofs; `None` while there is none.
    pub fn balances_of(&mut self, account: AccountId) -> Option<BalancesProof> {
        let on_chain = self.final_balances.batch_id().and_then(|batch_id| self.poster.on_chain(batch_id));
        self.final_balances.prove(account, on_chain)
    }

    /// Works for about a millisecond, or for as long as the chain takes to answer. `now` is the wall clock.
    pub fn poll(&mut self, now: Timestamp) -> Vec<ServiceAction> {
        let mut actions = Vec::new();
        if self.running == Running::Stopped {
            return actions;
        }
        self.replay(now, &mut actions);
        if self.running == Running::Yes && self.chain_is_due(now) {
            self.chain_asked_at = Some(now);
            self.watch(now, &mut actions);
            self.post(now, &mut actions);
            self.find_stamps(&mut actions);
        }
        if self.running == Running::Yes {
            self.seal(now, &mut actions);
        }
        actions
    }

    fn chain_is_due(&self, now: Timestamp) -> bool {
        self.chain_asked_at.is_none_or(|asked| has_passed(asked, self.options.chain_interval, now))
    }

    fn replay(&mut self, now: Timestamp, actions: &mut Vec<ServiceAction>) {
        if self.is_paused() {
            return;
        }
        let before = self.replica.ledger().sealed_sequence();
        let result = self.replica.advance(CHUNK_RECORDS, &mut self.batches);
        for mut batch in self.batches.drain(..) {
            self.poster.add(&batch);
            self.final_balances.add(&batch);
            if self.batch_submitted.is_some_and(|submitted| submitted.what <= batch.header.batch_id) {
                self.batch_submitted = None;
            }
            if !batch.withdrawals.is_empty() {
                // No proof needs the differences.
                batch.data = Vec::new();
                self.stamps.want(batch.header);
                self.claims.insert(batch.header.batch_id, batch);
            }
        }
        while self.claims.len() > MAX_CLAIM_BATCHES {
            self.claims.pop_first();
        }
        if self.replica.ledger().sealed_sequence() != before {
            self.sealed_at = Some(now);
        }
        match result {
            Ok(progress) => self.note_progress(progress),
            Err(FollowError::SealedElsewhere { batch_id }) => self.begin_anew(batch_id, actions),
            Err(error @ FollowError::Journal(_)) => self.stop(format!("settlement has stopped: {error}"), actions),
            Err(error) => self.close_markets(&error, actions),
        }
    }

    fn note_progress(&mut self, progress: Progress) {
        self.progress = progress;
        if progress == Progress::CaughtUp && self.replica.engine().genesis().is_some() {
            self.poster.journal_is_read();
            let position = self.position();
            let PosterOptions { venue, first_block, .. } = self.options.poster;
            self.watcher.get_or_insert_with(|| Watcher::new(venue.contract, first_block, position));
        }
    }

    /// The journal has a batch that this replay did not foresee, so that it sealed elsewhere: it has to begin again.
    fn begin_anew(&mut self, batch_id: u64, actions: &mut Vec<ServiceAction>) {
        actions.push(ServiceAction::Warn(format!("batch {batch_id} was decided on elsewhere; replaying the journal")));
        match Replica::open(&self.options.journal_directory, self.options.poster.venue) {
            Ok(replica) => {
                self.replica = replica;
                self.progress = Progress::Behind;
                self.batch_submitted = None;
            }
            Err(error) => self.stop(format!("settlement has stopped: {error}"), actions),
        }
    }

    fn position(&self) -> QueuePosition {
        let engine = self.replica.engine();
        QueuePosition {
            queue_id: engine.last_queue_id(),
            prefix: Hash(engine.last_queue_prefix()),
            time_seconds: self.replica.ledger().queue_time_seconds(),
        }
    }

    fn watch(&mut self, now: Timestamp, actions: &mut Vec<ServiceAction>) {
        let position = self.position();
        let Some(watcher) = &mut self.watcher else { return };
        if self.progress != Progress::CaughtUp {
            return;
        }
        match watcher.poll(&*self.chain, position) {
            Ok(()) => self.told[Teller::Watcher as usize] = None,
            Err(error @ WatchError::Contradiction { .. }) => return self.close_markets(&error, actions),
            Err(error) => self.tell(Teller::Watcher, format!("deposits wait: {error}"), actions),
        }
        let resubmit_after = self.options.resubmit_after;
        self.queue_submitted = self
            .queue_submitted
            .filter(|last| last.what > position.queue_id && !has_passed(last.at, resubmit_after, now));
        let submitted = self.queue_submitted.map_or(position.queue_id, |last| last.what);
        let Some(watcher) = &self.watcher else { return };
        let next = watcher.waiting().filter(|entry| entry.queue_id > submitted);
        for entry in next.take_while(|entry| entry.queue_id <= position.queue_id + SUBMIT_WINDOW) {
            actions.push(ServiceAction::Submit(Command::ChainEntry(*entry)));
            self.queue_submitted = Some(Submitted { what: entry.queue_id, at: now });
        }
    }

    fn post(&mut self, now: Timestamp, actions: &mut Vec<ServiceAction>) {
        match self.poster.step(&*self.chain, now) {
            PosterStatus::Idle | PosterStatus::Pending(_) => self.told[Teller::Poster as usize] = None,
            PosterStatus::Refused { purpose, reason } => {
                self.tell(Teller::Poster, format!("{purpose:?} is refused and will be tried again: {reason}"), actions);
            }
            PosterStatus::Waiting { reason, .. } => {
                self.tell(Teller::Poster, format!("batches wait, trading goes on: {reason}"), actions);
            }
            PosterStatus::Stopped(PosterStop::Contradiction(contradiction)) => {
                self.close_markets(&contradiction, actions);
            }
            PosterStatus::Stopped(stop) => self.stop(format!("settlement has stopped: {stop}"), actions),
        }
    }

    fn find_stamps(&mut self, actions: &mut Vec<ServiceAction>) {
        self.final_balances.settle(self.poster.confirmed().final_batch);
        match self.stamps.step(&*self.chain, self.poster.confirmed().final_batch) {
            Ok(()) => self.told[Teller::Claims as usize] = None,
            Err(error) => self.tell(Teller::Claims, format!("claims wait: {error}"), actions),
        }
    }

    fn seal(&mut self, now: Timestamp, actions: &mut Vec<ServiceAction>) {
        if let Some(pending) = self.replica.pending() {
            let command = pending.command();
            let is_lost =
                self.batch_submitted.is_none_or(|submitted| has_passed(submitted.at, self.options.resubmit_after, now));
            // While the replay goes on, the decision may be further on in the journal.
            if is_lost && self.progress == Progress::CaughtUp {
                self.submit(command, now, actions);
            }
            return;
        }
        if !self.replica.may_seal() || !self.wants_to_seal(now) {
            return;
        }
        match self.replica.seal() {
            Ok(batch) => {
                let command = batch.command();
                self.sealed_at = Some(now);
                self.submit(command, now, actions);
            }
            Err(error) => self.close_markets(&error, actions),
        }
    }

    fn submit(&mut self, command: BatchSealed, now: Timestamp, actions: &mut Vec<ServiceAction>) {
        self.batch_submitted = Some(Submitted { what: command.batch_id, at: now });
        actions.push(ServiceAction::Submit(Command::BatchSealed(command)));
    }

    fn wants_to_seal(&mut self, now: Timestamp) -> bool {
        let ledger = self.replica.ledger();
        let is_worth_while = ledger.has_changes() || ledger.must_republish(now.0 / 1_000_000_000);
        if self.poster.waiting() >= MAX_WAITING_BATCHES || !is_worth_while {
            return false;
        }
        if ledger.touched() >= MAX_TOUCHED_BALANCES {
            return true;
        }
        // The clock of the first batch begins with the first thing to be sealed.
        let sealed_at = *self.sealed_at.get_or_insert(now);
        let interval = if ledger.has_withdrawals() {
            self.options.withdrawal_interval.min(self.options.batch_interval)
        } else {
            self.options.batch_interval
        };
        self.progress == Progress::CaughtUp && has_passed(sealed_at, interval, now)
    }

    fn tell(&mut self, teller: Teller, news: String, actions: &mut Vec<ServiceAction>) {
        let told = &mut self.told[teller as usize];
        if told.as_ref() != Some(&news) {
            *told = Some(news.clone());
            actions.push(ServiceAction::Warn(news));
        }
    }

    fn stop(&mut self, reason: String, actions: &mut Vec<ServiceAction>) {
        self.end(&reason);
        actions.push(ServiceAction::Warn(reason));
    }

    fn close_markets(&mut self, error: &dyn core::error::Error, actions: &mut Vec<ServiceAction>) {
        let reason = format!("settlement has stopped: {error}");
        self.end(&reason);
        actions.push(ServiceAction::CancelOnly(reason));
    }

    fn end(&mut self, reason: &str) {
        self.running = Running::Stopped;
        self.told = [Some(reason.to_owned()), None, None];
    }
}

fn has_passed(since: Timestamp, interval: Duration, now: Timestamp) -> bool {
    u128::from(now.0.saturating_sub(since.0)) >= interval.as_nanos()
}

#[cfg(test)]
mod tests;
