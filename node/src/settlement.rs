//! The settlement thread: what `lakh-settlement` decides becomes journaled commands, and what it says reaches operators.
//!
//! It shares nothing with the venue: it reads the journal as any follower does, and its commands take a ring of their own
//! into the sequencer. It follows in spare time ([`by_turns`]) and takes its share when it is [`LATE`] or has something to
//! say, since other threads wait for whoever says something. A chain that does not answer holds up this thread alone. A
//! chain that contradicts the journal ends settlement and closes every market but for cancels, with the reason journaled.
//!
//! Bounds: nothing new is asked for before everything decided has found room in the ring.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lakh_config::{DataPlace, PosterPlace, SettlementConfig};
use lakh_gateway::directory::Directory;
use lakh_gateway::proofs::{ProofDesk, ProofQuestion, ProofRefusal};
use lakh_settlement::chain::Chain;
use lakh_settlement::chain::rpc::{RpcChain, RpcOptions};
use lakh_settlement::chain::transaction::TransactionSigner;
use lakh_settlement::follower::Venue;
use lakh_settlement::poster::{DataRoute, PosterKeys, PosterOptions};
use lakh_settlement::service::{ServiceAction, ServiceOptions, SettlementService};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::background::{BackgroundThread, Lateness, Look, Pace, StopRequest, Turn, by_turns};
use crate::keys::{read_private, unhex};
use crate::node_commands::NodeCommands;
use crate::sequencer::now;

/// Between two looks at the journal once its end is reached.
const PAUSE: Duration = Duration::from_millis(20);
/// Without having been at the journal's end for so long, settlement takes its share of the processors.
const LATE: Duration = Duration::from_secs(1);
/// Questions for balances that are answered between two looks at the journal.
const QUESTIONS: usize = 16;
/// How long a question to the chain may take.
const CHAIN_PATIENCE: Duration = Duration::from_secs(5);
/// How long a stop waits for a chain that does not answer. What is under way then is found again at the next start.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// The state of settlement that is over.
const STOPPED: &str = "stopped";
/// After so long a process that says nothing counts as away.
const SILENCE: Duration = Duration::from_secs(5);

/// How settlement stands, for operators.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SettlementStatus {
    /// `running`, `waiting` while the chain does not do what it should, `away` while `lakh settle` is, or `stopped` for good.
    pub(crate) state: String,
    /// What is wrong, if anything.
    pub(crate) news: Option<String>,
    /// The last batch that the journal decided on.
    pub(crate) journal_batch: u64,
    /// The last batch that the chain has, as far as it was asked.
    pub(crate) chain_batch: u64,
    /// The last batch that is final.
    pub(crate) final_batch: u64,
    /// Batches that wait for the chain.
    pub(crate) waiting_batches: usize,
    /// The last entry of the chain's queue that the journal has.
    pub(crate) queue_id: u64,
    /// Where settlement runs in another process: when that was heard of last.
    #[serde(skip)]
    heard: Option<Instant>,
}

impl SettlementStatus {
    /// Of a service.
    pub(crate) fn of(service: &SettlementService) -> Self {
        let engine = service.replica().engine();
        let poster = service.poster();
        let tip = poster.tip();
        let news = service.news();
        let state = match (service.is_stopped(), &news) {
            (true, _) => STOPPED,
            (false, Some(_)) => "waiting",
            (false, None) => "running",
        };
        Self {
            state: state.to_owned(),
            news,
            journal_batch: engine.last_batch().0,
            chain_batch: tip.map_or(0, |tip| tip.batch_id),
            final_batch: tip.map_or(0, |tip| tip.final_batch),
            waiting_batches: poster.waiting(),
            queue_id: engine.last_queue_id(),
            heard: None,
        }
    }

    /// Of another process that was not heard of yet.
    pub(crate) fn apart() -> Self {
        let news = Some("`lakh settle` was not heard of yet".to_owned());
        Self { state: "away".to_owned(), news, heard: Some(Instant::now()), ..Self::default() }
    }

    /// Takes what the other process says of itself.
    pub(crate) fn hear(&mut self, status: Self) {
        *self = Self { heard: Some(Instant::now()), ..status };
    }

    /// As it is now: a process that was not heard of for a while is away, unless it had stopped for good.
    pub(crate) fn current(&self) -> Self {
        let silence = self.heard.map_or(Duration::ZERO, |heard| heard.elapsed());
        if silence < SILENCE || self.state == STOPPED {
            return self.clone();
        }
        let news = format!("`lakh settle` was not heard of for {} s: batches and deposits wait", silence.as_secs());
        Self { state: "away".to_owned(), news: Some(news), ..self.clone() }
    }
}

/// Where settlement runs.
pub(crate) enum SettlementMode {
    /// On a thread of this process.
    Here(Box<SettlementPlan>),
    /// As `lakh settle`, in another one.
    Apart,
}

impl SettlementMode {
    /// As the configuration says, over a node of the chain.
    pub(crate) fn of(config: &SettlementConfig, journal: &Path) -> Result<Self> {
        match config.poster {
            PosterPlace::Node => Ok(Self::Here(Box::new(SettlementPlan::over_rpc(config, journal)?))),
            PosterPlace::Apart => Ok(Self::Apart),
        }
    }
}

/// What the settlement of a venue needs.
pub(crate) struct SettlementPlan {
    options: ServiceOptions,
    chain: Box<dyn Chain>,
    keys: PosterKeys,
}

impl SettlementPlan {
    /// Over a node of the chain, as the configuration says.
    pub(crate) fn over_rpc(config: &SettlementConfig, journal: &Path) -> Result<Self> {
        let chain =
            RpcChain::new(&RpcOptions { url: config.chain_url.clone(), blobs_url: None, timeout: CHAIN_PATIENCE })?;
        let keys =
            PosterKeys { poster: read_key(&config.poster_key_file)?, header: read_key(&config.header_key_file)? };
        Ok(Self::over(config, journal, Box::new(chain), keys))
    }

    /// Over a chain that is at hand.
    pub(crate) fn over(config: &SettlementConfig, journal: &Path, chain: Box<dyn Chain>, keys: PosterKeys) -> Self {
        let poster = PosterOptions {
            venue: Venue::of_binding(config.binding).expect("no configuration names a contract of zeroes"),
            first_block: config.first_block,
            confirmations: config.confirmations,
            attempts_file: Some(journal.join("attempts")),
            data: match config.data {
                DataPlace::Calldata => DataRoute::Calldata,
                DataPlace::Cheapest => DataRoute::Cheapest,
            },
        };
        let options = ServiceOptions {
            batch_interval: Duration::from_millis(config.batch_interval_ms),
            withdrawal_interval: Duration::from_millis(config.withdrawal_interval_ms),
            chain_interval: Duration::from_millis(config.chain_interval_ms),
            ..ServiceOptions::new(journal, poster)
        };
        Self { options, chain, keys }
    }

    /// Opens the journal and what an earlier run left.
    pub(crate) fn open(self) -> Result<SettlementService> {
        SettlementService::open(self.options, self.chain, self.keys).context("settlement cannot begin")
    }
}

/// A secp256k1 key in a file that only its owner can read.
pub(crate) fn read_key(path: &Path) -> Result<TransactionSigner> {
    let text = read_private(path)?;
    let secret = unhex(text.trim().trim_start_matches("0x"));
    let secret = secret.with_context(|| format!("{} does not hold 64 hexadecimal digits", path.display()))?;
    TransactionSigner::from_secret(&secret).with_context(|| format!("{}", path.display()))
}

/// A running settlement.
pub(crate) struct SettlementThread {
    pub(crate) thread: BackgroundThread,
    pub(crate) status: Arc<Mutex<SettlementStatus>>,
}

/// The thread's own things.
struct Worker {
    service: SettlementService,
    directory: Arc<Directory>,
    commands: NodeCommands,
    /// For accounts' balances in the last final batch.
    questions: Receiver<ProofQuestion>,
    status: Arc<Mutex<SettlementStatus>>,
    /// What was reported last.
    reported: SettlementStatus,
    lateness: Lateness,
    /// Decided in spare time.
    actions: Vec<ServiceAction>,
    /// Came in spare time.
    arrived: Option<ProofQuestion>,
}

impl SettlementThread {
    /// Begins. The journal must be open; the chain need not answer.
    pub(crate) fn start(
        plan: SettlementPlan,
        directory: Arc<Directory>,
        commands: NodeCommands,
        desk: &mut ProofDesk,
    ) -> Result<Self> {
        let service = plan.open()?;
        let running = SettlementStatus { state: "running".to_owned(), ..SettlementStatus::default() };
        let status = Arc::new(Mutex::new(running));
        let mut worker = Worker {
            service,
            directory,
            commands,
            questions: desk.balances(),
            status: Arc::clone(&status),
            reported: SettlementStatus::default(),
            lateness: Lateness::none(),
            actions: Vec::new(),
            arrived: None,
        };
        let thread = BackgroundThread::start_turns("settlement", move |stop| worker.run(&stop))?;
        Ok(Self { thread, status })
    }

    /// Asks the thread to end and waits a little: it may hang on a chain that does not answer, and leaves nothing open
    /// that the next start does not find.
    pub(crate) fn stop(self) {
        self.thread.stop(STOP_PATIENCE);
    }
}

impl Worker {
    fn run(&mut self, stop: &StopRequest) {
        by_turns("settlement", |pace| match pace {
            Pace::Spare => self.follow_in_spare_time(stop),
            Pace::Share => self.follow(stop),
        });
    }

    /// Follows until that is late, or there is something to say.
    fn follow_in_spare_time(&mut self, stop: &StopRequest) -> Turn {
        while !stop.is_made() {
            self.poll();
            // Never waits for a question: whoever sends one would have to wake this thread, behind a lock of the queue.
            self.arrived = self.questions.try_recv().ok();
            let has_news = !self.actions.is_empty() || SettlementStatus::of(&self.service) != self.reported;
            if has_news || self.arrived.is_some() || self.lateness.exceeds(LATE) {
                return Turn::Over;
            }
            if !self.service.is_replaying() {
                std::thread::park_timeout(PAUSE);
            }
        }
        Turn::End
    }

    /// Follows, hands over and answers until there is nothing left to say and the journal's end is reached.
    fn follow(&mut self, stop: &StopRequest) -> Turn {
        while !stop.is_made() {
            let actions = core::mem::take(&mut self.actions);
            actions.into_iter().for_each(|action| self.take(action));
            self.report();
            self.commands.hand_over();
            self.answer_questions();
            if self.commands.is_empty() {
                if !self.service.is_replaying() {
                    return Turn::Over;
                }
                self.poll();
            } else {
                std::thread::park_timeout(PAUSE);
            }
        }
        Turn::End
    }

    fn poll(&mut self) {
        self.actions.extend(self.service.poll(now()));
        self.lateness.note(if self.service.is_replaying() { Look::More } else { Look::ToTheEnd });
    }

    fn take(&mut self, action: ServiceAction) {
        match action {
            ServiceAction::Submit(command) => self.commands.push(command),
            ServiceAction::Warn(news) => tracing::warn!("settlement: {news}"),
            ServiceAction::CancelOnly(why) => {
                tracing::error!("settlement: {why}; every market is closed but for cancels");
                self.commands.close_markets(&self.directory, &why);
            }
        }
    }

    /// Behind a poll: what it said of the chain is then as new as it gets.
    fn answer_questions(&mut self) {
        for question in self.arrived.take().into_iter().chain(self.questions.try_iter().take(QUESTIONS)) {
            let proof = self.service.balances_of(question.account).map(|proof| proof.to_json());
            question.answer(proof.ok_or(ProofRefusal::NoBatch));
        }
    }

    fn report(&mut self) {
        let status = SettlementStatus::of(&self.service);
        if status != self.reported {
            self.directory.chain().set(status.chain_batch, status.final_batch);
            *self.status.lock() = status.clone();
            self.reported = status;
        }
    }
}
