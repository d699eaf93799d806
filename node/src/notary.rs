//! The notary's thread: follows the journal, signs what is on stable storage, and answers who asks for a receipt.
//!
//! It stands behind the journal's ring, as every follower does, so that the matching thread never knows of it. It signs in
//! spare time ([`by_turns`]) and takes its share when it is [`LATE`] or somebody asks: what it answers with, other threads
//! wait for. Questions come from the publisher over a bounded queue; one about a record that is milliseconds old
//! waits here until it is signed, one about an old record has the journal read, one such reading between two rounds.
//!
//! Bounds: those of [`lakh_settlement::notary`]; [`MAX_WAITING`] questions wait for [`PATIENCE`] at most.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lakh_config::SettlementConfig;
use lakh_engine::Engine;
use lakh_engine::ids::{AccountId, Sequence};
use lakh_gateway::proofs::{Proof, ProofDesk, ProofQuestion, ProofRefusal};
use lakh_journal::{DurabilityWatch, Follower, JournalError};
use lakh_settlement::chain::transaction::TransactionSigner;
use lakh_settlement::follower::Venue;
use lakh_settlement::notary::{Found, Notary, NotaryOptions};

use crate::background::{BackgroundThread, Lateness, Look, Pace, StopRequest, Turn, by_turns};
use crate::sequencer::now;
use crate::settlement::read_key;

/// Records between two looks at anything else.
const ROUND: u32 = 1_024;
/// Between two looks at the journal once its end is reached.
const PAUSE: Duration = Duration::from_millis(4);
/// Without having been at the journal's end for so long, the notary takes its share of the processors.
const LATE: Duration = Duration::from_millis(250);
/// Questions about records that are not signed yet.
const MAX_WAITING: usize = 1_024;
/// How long such a question waits.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a stop waits.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// Who signs for whom.
pub(crate) struct NotaryPlan {
    venue: Venue,
    key: TransactionSigner,
}

impl NotaryPlan {
    /// The header key signs for the contract's venue.
    pub(crate) fn of(config: &SettlementConfig) -> Result<Self> {
        Ok(Self::over(config, read_key(&config.header_key_file)?))
    }

    /// A key that is at hand signs.
    pub(crate) fn over(config: &SettlementConfig, key: TransactionSigner) -> Self {
        let venue = Venue::of_binding(config.binding).expect("no configuration names a contract of zeroes");
        Self { venue, key }
    }
}

/// Where the notary begins: a start's journal, which is durable up to there.
pub(crate) struct NotaryStart {
    journal: PathBuf,
    watch: DurabilityWatch,
    epoch: u64,
    /// The start's last record; earlier ones are read when somebody asks for them.
    behind: Sequence,
}

impl NotaryStart {
    /// Behind the last record of a start.
    pub(crate) fn of(journal: &Path, watch: &DurabilityWatch, engine: &Engine) -> Self {
        let (journal, watch) = (journal.to_owned(), watch.clone());
        Self { journal, watch, epoch: engine.epoch().into(), behind: engine.sequence() }
    }
}

/// A running notary.
pub(crate) struct NotaryThread {
    pub(crate) thread: BackgroundThread,
    /// The last record that is signed.
    pub(crate) signed: Arc<AtomicU64>,
}

impl NotaryThread {
    /// Begins to follow, where there is somebody to sign; the desk's questions for receipts then come here.
    pub(crate) fn start(plan: Option<NotaryPlan>, start: NotaryStart, desk: &mut ProofDesk) -> Result<Option<Self>> {
        let Some(NotaryPlan { venue, key }) = plan else { return Ok(None) };
        let NotaryStart { journal, watch, epoch, behind } = start;
        let follower = Follower::open_behind(&journal, behind.0).context("the notary cannot follow the journal")?;
        let options = NotaryOptions { venue, shard: follower.shard(), epoch, key, behind };
        let signed = Arc::new(AtomicU64::new(behind.0));
        let mut worker = Worker {
            journal,
            watch,
            follower,
            notary: Notary::new(options),
            questions: desk.receipts(),
            lateness: Lateness::none(),
            arrived: None,
            waiting: VecDeque::new(),
            old: VecDeque::new(),
            signed: Arc::clone(&signed),
        };
        let thread = BackgroundThread::start_turns("notary", move |stop| {
            if let Err(error) = worker.run(&stop) {
                // Nobody's money hangs on it: the venue goes on, and who asks for a receipt is told that there is none.
                tracing::error!("no receipts are signed any more: {error}");
                worker.refuse_all(&stop);
            }
        })?;
        Ok(Some(Self { thread, signed }))
    }

    /// Asks the thread to end and waits a little. What it leaves unsigned is signed when somebody asks for it.
    pub(crate) fn stop(self) {
        self.thread.stop(STOP_PATIENCE);
    }
}

/// A question that cannot be answered at once.
struct Waiting {
    question: ProofQuestion,
    sequence: Sequence,
    since: Instant,
}

/// The thread's own things.
struct Worker {
    journal: PathBuf,
    watch: DurabilityWatch,
    follower: Follower,
    notary: Notary,
    lateness: Lateness,
    questions: Receiver<ProofQuestion>,
    /// Came in spare time.
    arrived: Option<ProofQuestion>,
    /// About records that are not signed yet.
    waiting: VecDeque<Waiting>,
    /// About records that the journal has to be read for.
    old: VecDeque<Waiting>,
    signed: Arc<AtomicU64>,
}

impl Worker {
    fn run(&mut self, stop: &StopRequest) -> Result<(), JournalError> {
        let mut outcome = Ok(());
        by_turns("notary", |pace| {
            let turn = match pace {
                Pace::Spare => self.sign_in_spare_time(stop),
                Pace::Share => self.answer(stop),
            };
            turn.unwrap_or_else(|error| {
                outcome = Err(error);
                Turn::End
            })
        });
        outcome
    }

    /// Follows and signs until that is late, or somebody asks.
    fn sign_in_spare_time(&mut self, stop: &StopRequest) -> Result<Turn, JournalError> {
        while !stop.is_made() {
            let followed = self.sign()?;
            // Never waits for a question: whoever sends one would have to wake this thread, behind a lock of the queue.
            self.arrived = self.questions.try_recv().ok();
            if self.arrived.is_some() || self.lateness.exceeds(LATE) {
                return Ok(Turn::Over);
            }
            if followed == 0 {
                std::thread::park_timeout(PAUSE);
            }
        }
        Ok(Turn::End)
    }

    /// Follows, signs and answers until everybody has an answer and the journal's end is reached.
    fn answer(&mut self, stop: &StopRequest) -> Result<Turn, JournalError> {
        if let Some(question) = self.arrived.take() {
            self.take(question);
        }
        while !stop.is_made() {
            let followed = self.sign()?;
            self.answer_waiting();
            let read = self.read_for_one(Sequence(self.watch.stable_sequence()));
            self.take_questions(if followed == 0 && !read { PAUSE } else { Duration::ZERO });
            if followed < ROUND && self.waiting.is_empty() && self.old.is_empty() {
                return Ok(Turn::Over);
            }
        }
        Ok(Turn::End)
    }

    /// Takes a round of records and signs what is due; says how many came.
    fn sign(&mut self) -> Result<u32, JournalError> {
        let followed = self.follow()?;
        self.lateness.note(if followed < ROUND { Look::ToTheEnd } else { Look::More });
        if self.notary.sign_if_due(Sequence(self.watch.stable_sequence()), now()) {
            self.signed.store(self.notary.last().0 - self.notary.waiting() as u64, Ordering::Relaxed);
        }
        Ok(followed)
    }

    /// Answers everybody that there is no receipt.
    fn refuse_all(&mut self, stop: &StopRequest) {
        let waiting = self.waiting.drain(..).chain(self.old.drain(..)).map(|waiting| waiting.question);
        waiting.chain(self.arrived.take()).for_each(|question| question.answer(Err(ProofRefusal::Failed)));
        while !stop.is_made() {
            match self.questions.recv_timeout(PAUSE) {
                Ok(question) => question.answer(Err(ProofRefusal::Failed)),
                Err(_) => std::thread::park_timeout(PAUSE),
            }
        }
    }

    /// Takes what is durable, a round at most; says how many.
    fn follow(&mut self) -> Result<u32, JournalError> {
        let at = now();
        for count in 0..ROUND {
            match self.follower.poll()? {
                Some(record) => self.notary.note(&record, at),
                None => return Ok(count),
            }
        }
        Ok(ROUND)
    }

    /// Takes the questions that are there; where there is none, waits for one for as long as it may.
    fn take_questions(&mut self, pause: Duration) {
        match self.questions.recv_timeout(pause) {
            Ok(question) => self.take(question),
            Err(RecvTimeoutError::Timeout) => return,
            // The publisher has gone: the stop is under way.
            Err(RecvTimeoutError::Disconnected) => return std::thread::park_timeout(pause),
        }
        while let Ok(question) = self.questions.try_recv() {
            self.take(question);
        }
    }

    fn take(&mut self, question: ProofQuestion) {
        let Proof::Receipt(sequence) = question.proof else { return question.answer(Err(ProofRefusal::Failed)) };
        // Whatever its client can know of was durable when the publisher handed the question over.
        if sequence.0 > self.watch.durable_sequence() {
            return question.answer(Err(ProofRefusal::NoRecord));
        }
        let account = question.account;
        let waiting = Waiting { question, sequence, since: Instant::now() };
        self.decide(self.notary.receipt(account, sequence), waiting);
    }

    /// Answers, or lets the question wait for what it needs.
    fn decide(&mut self, found: Found, waiting: Waiting) {
        match found {
            Found::Receipt(receipt) => waiting.question.answer(Ok(receipt.to_json())),
            Found::NotYours => waiting.question.answer(Err(ProofRefusal::NoRecord)),
            Found::NotYet if waiting.since.elapsed() < PATIENCE && self.waiting.len() < MAX_WAITING => {
                self.waiting.push_back(waiting);
            }
            Found::NotYet => waiting.question.answer(Err(ProofRefusal::NotYet)),
            Found::Forgotten if self.old.len() < MAX_WAITING => self.old.push_back(waiting),
            Found::Forgotten => waiting.question.answer(Err(ProofRefusal::NotYet)),
        }
    }

    fn answer_waiting(&mut self) {
        for _ in 0..self.waiting.len() {
            let Some(waiting) = self.waiting.pop_front() else { return };
            self.decide(self.notary.receipt(waiting.question.account, waiting.sequence), waiting);
        }
    }

    /// Reads the journal for the question that has waited longest; whether there was one.
    fn read_for_one(&mut self, stable: Sequence) -> bool {
        let Some(Waiting { question, sequence, .. }) = self.old.pop_front() else { return false };
        if question.is_abandoned() {
            return true;
        }
        let outcome = match self.find_again(question.account, sequence, stable) {
            Ok(Found::Receipt(receipt)) => Ok(receipt.to_json()),
            Ok(_) | Err(JournalError::NoRecord { .. }) => Err(ProofRefusal::NoRecord),
            Err(error) => {
                tracing::warn!("record {sequence} cannot be read for a receipt: {error}");
                Err(ProofRefusal::Failed)
            }
        };
        question.answer(outcome);
        true
    }

    fn find_again(&mut self, account: AccountId, sequence: Sequence, stable: Sequence) -> Result<Found, JournalError> {
        // Somebody may have asked for its neighbour meanwhile.
        let mut found = self.notary.receipt(account, sequence);
        if found == Found::Forgotten {
            self.notary.rebuild(&self.journal, sequence, stable)?;
            found = self.notary.receipt(account, sequence);
        }
        Ok(found)
    }
}
