//! `lakh settle`: settlement as a process of its own, for a venue whose configuration says `poster = "apart"`.
//!
//! It follows the journal as any reader does, talks to the chain, and reaches the node over its control socket alone. Either
//! of the two may be killed and started again at any time, in any order: what was decided stands in the journal, what was
//! sent in the file `attempts`, and what has happened on the chain. While no node answers, batches that are decided still go
//! to the chain; new decisions wait.
//!
//! Invariant: one poster a journal, by a lock on a file beside it. Bounds: those of [`lakh_settlement::service`] and of
//! [`crate::settlement_link`].

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use lakh_config::{Config, PosterPlace};
use lakh_engine::command::Command;
use lakh_settlement::service::{ServiceAction, SettlementService};

use crate::control;
use crate::sequencer::now;
use crate::settlement::{SettlementPlan, SettlementStatus};
use crate::settlement_link::{Exchange, Exchanged, MAX_COMMANDS, encode};

/// Between two looks at the journal once its end is reached, and two exchanges with the node.
const PAUSE: Duration = Duration::from_millis(25);
/// Between two trials to reach a node, or to find its journal.
const RETRY: Duration = Duration::from_millis(500);
/// How long a node that does not answer is waited for until its commands are given up; the service makes them again.
const NODE_PATIENCE: Duration = Duration::from_secs(3);

/// Settles a venue beside its node.
#[derive(Debug, clap::Args)]
pub(crate) struct SettleArguments {
    /// The node's configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// `lakh settle`.
pub(crate) fn run(arguments: &SettleArguments) -> Result<()> {
    let config = Config::load(&arguments.config)?;
    let settlement = config.settlement.as_ref().context("the configuration has no [settlement]")?;
    if settlement.poster != PosterPlace::Apart {
        bail!("the node settles by itself: [settlement] does not say poster = \"apart\"");
    }
    let journal = &config.journal.directory;
    wait_for_genesis(journal);
    let _lock = lock(journal)?;
    let plan = SettlementPlan::over_rpc(settlement, journal)?;
    let service = plan.open()?;
    let mut settler = Settler {
        service,
        socket: config.operators.control_socket.clone(),
        commands: Vec::new(),
        close: None,
        answers: Vec::new(),
        heard: Instant::now(),
        silent: None,
    };
    println!("settling    {} to {}", journal.display(), settlement.chain_url);
    settler.run()
}

/// A node that has just been started for the first time may not have come to its journal yet.
fn wait_for_genesis(journal: &Path) {
    let mut told = false;
    while crate::history::venue(journal).ok().flatten().is_none() {
        if !told {
            tracing::info!("there is no journal of a venue with a contract in {} yet", journal.display());
            told = true;
        }
        std::thread::sleep(RETRY);
    }
}

/// Keeps a second poster of this journal away, for as long as the file is open.
fn lock(journal: &Path) -> Result<File> {
    let path = journal.join("settle.lock");
    let file = File::create(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    let exclusive = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    rustix::fs::flock(&file, exclusive).with_context(|| format!("another process settles {}", journal.display()))?;
    Ok(file)
}

/// The process' own things.
struct Settler {
    service: SettlementService,
    socket: PathBuf,
    /// What the node has not taken yet.
    commands: Vec<Command>,
    close: Option<String>,
    answers: Vec<(u64, Option<String>)>,
    /// When the node answered last.
    heard: Instant,
    /// What was said of its silence, so that it is said once.
    silent: Option<String>,
}

impl Settler {
    fn run(&mut self) -> Result<()> {
        loop {
            if self.commands.is_empty() {
                let actions = self.service.poll(now());
                actions.into_iter().for_each(|action| self.take(action));
            }
            let is_over = self.service.is_stopped();
            let heard = self.exchange();
            if is_over && heard {
                // A supervisor that starts it again has it look again; the node has been told.
                bail!(self.service.news().unwrap_or_else(|| "settlement has stopped".to_owned()));
            }
            if !self.service.is_replaying() || !heard {
                std::thread::sleep(PAUSE);
            }
        }
    }

    fn take(&mut self, action: ServiceAction) {
        match action {
            ServiceAction::Submit(command) => self.commands.push(command),
            ServiceAction::Warn(news) => tracing::warn!("settlement: {news}"),
            ServiceAction::CancelOnly(why) => {
                tracing::error!("settlement: {why}; every market has to close but for cancels");
                self.close = Some(why);
            }
        }
    }

    /// Tells the node everything and hears its questions; whether there was one that took what it was told.
    fn exchange(&mut self) -> bool {
        let batch = self.commands.len().min(MAX_COMMANDS);
        let exchange = Exchange {
            status: SettlementStatus::of(&self.service),
            commands: self.commands[..batch].iter().map(encode).collect(),
            close: self.close.clone(),
            answers: self.answers.clone(),
        };
        let told = control::exchange(&self.socket, exchange);
        match told {
            Ok(exchanged) => self.heard_of(exchanged, batch),
            Err(error) => {
                let error = format!("{error:#}");
                if self.silent.as_ref() != Some(&error) {
                    tracing::warn!("the node does not answer, decisions wait: {error}");
                    self.silent = Some(error);
                }
                if self.heard.elapsed() > NODE_PATIENCE {
                    // They may be in the journal or not; the service looks and makes them again.
                    self.commands.clear();
                    self.answers.clear();
                }
                false
            }
        }
    }

    fn heard_of(&mut self, exchanged: Exchanged, batch: usize) -> bool {
        self.heard = Instant::now();
        if self.silent.take().is_some() {
            tracing::info!("the node answers");
        }
        self.answers.clear();
        let Exchanged { taken, questions } = exchanged;
        if taken {
            self.commands.drain(..batch);
            self.close = None;
        }
        for (number, account) in questions {
            let proof = self.service.balances_of(lakh_engine::ids::AccountId(account));
            self.answers.push((number, proof.map(|proof| proof.to_json())));
        }
        taken
    }
}
