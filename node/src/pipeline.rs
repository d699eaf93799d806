//! The exchange as one process: which thread hands what to which, in one place.
//!
//! ```text
//! gateway (tokio, verifiers) ──rings──▶ sequencer ──ring──▶ publisher ──outboxes──▶ gateway
//!                                          └──▶ journal ── durable sequence ──▶ publisher
//! ```
//!
//! A start recovers the journal, takes engine and read models from the newest snapshot that counts, replays what came
//! behind it, and journals an epoch before any input is taken. A stop closes the entrance, drains every ring in the
//! order of the arrows, closes the journal, and lets the keeper follow it to its end.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lakh_config::{Config, GenesisSeed};
use lakh_engine::Engine;
use lakh_engine::codec;
use lakh_engine::command::{AdminAction, AdminCommand, Command, Epoch, Genesis, SettlementBinding};
use lakh_engine::event::Event;
use lakh_engine::ids::{Reason, Sequence};
use lakh_engine::units::Timestamp;
use lakh_gateway::auth::signature::VerifyingKey;
use lakh_gateway::counters::Counters;
use lakh_gateway::directory::Directory;
use lakh_gateway::hand_over::{Input, Signal};
use lakh_gateway::output_ring::{OutputReceiver, output_ring};
use lakh_gateway::proofs::ProofDesk;
use lakh_gateway::publisher::{self, Publisher, PublisherOptions};
use lakh_gateway::reports::follower::ReportFollower;
use lakh_gateway::server::{Gateway, GatewayOptions, SecureListener, Wiring};
use lakh_gateway::verifier::VerifierStage;
use lakh_journal::mirror;
use lakh_journal::{AppendError, DurabilityWatch, JournalOptions, JournalReader, JournalWriter, RecoveryReport};

use crate::acknowledger::Acknowledger;
use crate::beside::{Beside, Plans, Reach};
use crate::bring_up::{Brought, Empty, Recovery, epoch_text};
use crate::control::ControlServer;
use crate::journal_feed::FeedPlan;
use crate::keeper::{KeeperPlan, KeeperStart};
use crate::keys::hex;
use crate::library_options::{follower_options, gateway_options, open_reports, publisher_options};
use crate::node_commands::{self, NodeCommands};
use crate::node_tls::NodeTls;
use crate::notary::{NotaryPlan, NotaryStart};
use crate::open_files;
use crate::operators_port::{self, OperatorsListeners};
use crate::sequencer::{self, OUTPUT_CAPACITY, Sequencer, Stopped};
use crate::settlement::SettlementMode;
use crate::snapshots;
use crate::stage::{self, Place, Placement, Stage};

/// Places in each ring into the sequencer.
const INPUT_CAPACITY: usize = 1 << 13;
/// How long a start waits for its own records to become durable.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// A running exchange.
pub(crate) struct Node {
    gateway: Gateway,
    /// Where operators ask how the node is.
    pub(crate) health: SocketAddr,
    /// What is shown to whoever connects with TLS.
    pub(crate) tls: Option<NodeTls>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) watch: DurabilityWatch,
    pub(crate) recovery: Recovery,
    beside: Beside,
    sequencer: Stage<Stopped>,
    sequencer_signal: Arc<Signal>,
    stop_sequencer: Arc<AtomicBool>,
    publisher: Stage<(Publisher, Acknowledger)>,
    publisher_signal: Arc<Signal>,
    stop_publisher: Arc<AtomicBool>,
    /// Ends with the publisher.
    reports: JoinHandle<()>,
}

/// What an exchange is started with beside its configuration.
pub(crate) struct StartOptions {
    /// Without it nothing is settled.
    pub(crate) settlement: Option<SettlementMode>,
    /// Without it no receipts are signed.
    pub(crate) notary: Option<NotaryPlan>,
    /// The operator's decision to give up damaged records from this one on.
    pub(crate) truncate_at: Option<u64>,
}

/// The rings into the sequencer: one of each verifier, one of the operators', two of the node's own.
struct Rings {
    to_sequencer: Vec<rtrb::Producer<Input>>,
    control: rtrb::Producer<Input>,
    from_settlement: rtrb::Producer<Input>,
    from_keeper: rtrb::Producer<Input>,
    inputs: Vec<rtrb::Consumer<Input>>,
}

impl Rings {
    fn new(config: &Config) -> Self {
        let verifiers = config.gateway.verifiers as usize;
        let (to_sequencer, mut inputs): (Vec<_>, Vec<_>) =
            (0..verifiers).map(|_| rtrb::RingBuffer::new(INPUT_CAPACITY)).unzip();
        let (control, control_input) = rtrb::RingBuffer::new(64);
        let (from_settlement, settlement_input) = node_commands::ring();
        let (from_keeper, keeper_input) = node_commands::ring();
        inputs.extend([control_input, settlement_input, keeper_input]);
        Self { to_sequencer, control, from_settlement, from_keeper, inputs }
    }
}

/// What is left when the exchange has stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) sequence: u64,
    pub(crate) state_hash: String,
    pub(crate) event_digest: String,
}

impl Node {
    /// Recovers the journal that the configuration names, or begins a new one, and opens the doors.
    pub(crate) async fn start(config: &Config, options: StartOptions) -> Result<Self> {
        open_files::allow(u64::from(config.gateway.max_connections))?;
        let keeper_plan = KeeperPlan::of(config)?;
        let (started, Reports { follower: reports, counters }) = Boot::start(config, options.truncate_at)?;
        let keeper_start = started.keeper_start();
        let Boot { engine, writer, acknowledger, publisher, directory, recovery, .. } = started;
        let watch = writer.watch();
        let genesis = *engine.genesis().context("a journal begins with a genesis")?;
        let role_nonces = role_nonces(&engine);
        let notary_start = NotaryStart::of(&config.journal.directory, &watch, &engine);
        let Rings { to_sequencer, control, from_settlement, from_keeper, inputs } = Rings::new(config);
        let (output, outputs) = output_ring(OUTPUT_CAPACITY);

        let sequencer = Sequencer::new(engine, writer, inputs, output, sequencer::now);
        let (sequencer_signal, publisher_signal) = sequencer.signals();
        let (stop_sequencer, stop_publisher) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let command = |ring| NodeCommands::new(ring, Arc::clone(&sequencer_signal));
        let (from_settlement, from_keeper) = (command(from_settlement), command(from_keeper));
        let tls = config.tls.as_ref().map(NodeTls::read).transpose()?;
        let plans = Plans {
            settlement: options.settlement,
            keeper: (keeper_plan, keeper_start),
            notary: (options.notary, notary_start),
            feed: FeedPlan::of(&watch, &directory, tls.as_ref()),
        };
        let reach = Reach { directory: Arc::clone(&directory), from_settlement, from_keeper };
        let mut desk = ProofDesk::new(sequencer::now);
        let (beside, link) = Beside::start(config, plans, reach, &mut desk)?;
        let place = stage::place(&config.gateway);
        let handles = publisher::Control { signal: Arc::clone(&publisher_signal), stop: Arc::clone(&stop_publisher) };
        let publisher = start_publisher(place, publisher.with_proof_desk(desk), outputs, acknowledger, handles)?;
        ControlServer {
            genesis,
            role_nonces,
            directory: Arc::clone(&directory),
            watch: watch.clone(),
            input: control,
            signal: Arc::clone(&sequencer_signal),
            settlement: beside.settlement_status(),
            link,
        }
        .start(&config.operators.control_socket)?;
        let wiring = Wiring {
            to_sequencer,
            sequencer_signal: Arc::clone(&sequencer_signal),
            directory: Arc::clone(&directory),
            secure: secure_listener(config.gateway.tls_listen, tls.as_ref()),
            secure_binary: secure_listener(config.gateway.binary_tls_listen, tls.as_ref()),
            counters,
        };
        let (gateway, verifiers) = start_gateway(place.0, gateway_options(config), wiring).await?;
        let sequencer = Stage::start(place, "sequencer", sequencer.run(verifiers, Arc::clone(&stop_sequencer)))?;
        let watched = beside.watched(watch.clone(), gateway.watch());
        let health = operators_port::start(operators_listeners(config, tls.as_ref()), watched).await?;
        Ok(Self {
            gateway,
            health,
            tls,
            directory,
            watch,
            recovery,
            beside,
            sequencer,
            sequencer_signal,
            stop_sequencer,
            publisher,
            publisher_signal,
            stop_publisher,
            reports,
        })
    }

    /// Where traders connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    /// Where traders connect with TLS, if they can.
    pub(crate) fn secure_address(&self) -> Option<SocketAddr> {
        self.gateway.secure_address()
    }

    /// Where market makers connect.
    pub(crate) fn binary_address(&self) -> SocketAddr {
        self.gateway.binary_address().expect("the gateway was asked to listen there")
    }

    /// Where they connect with TLS, if they can.
    pub(crate) fn secure_binary_address(&self) -> Option<SocketAddr> {
        self.gateway.secure_binary_address()
    }

    /// Where the journal is given out, in plain text and with TLS, if it is.
    pub(crate) fn feed_addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        self.beside.feed_addresses()
    }

    /// Why the exchange cannot go on, if so.
    pub(crate) fn failure(&self) -> Option<String> {
        if let Some(reason) = self.watch.stopped() {
            return Some(format!("the journal has stopped: {reason}"));
        }
        let died = |thread: &str| Some(format!("the {thread} has died; its panic stands above"));
        if self.sequencer.is_finished() {
            return died("sequencer");
        }
        if self.publisher.is_finished() {
            return died("publisher");
        }
        self.beside.dead().and_then(died)
    }

    /// Closes the entrance, drains everything, closes the journal.
    pub(crate) async fn stop(self) -> Result<Closed> {
        self.gateway.shutdown().await;
        let mut beside = self.beside;
        let stop = move || {
            beside.stop_settlement();
            beside
        };
        let beside = tokio::task::spawn_blocking(stop).await?;
        self.stop_sequencer.store(true, Ordering::SeqCst);
        self.sequencer_signal.notify();
        let Some(stopped) = self.sequencer.join().await else {
            bail!("the sequencer panicked; the journal is as durable as it was")
        };
        let last = stopped.engine.sequence().0;
        if stopped.failure.is_none() {
            let watch = self.watch.clone();
            let durable = tokio::task::spawn_blocking(move || watch.wait_for(last, START_PATIENCE)).await?;
            ensure!(durable, "the journal did not become durable up to {last}");
        }
        self.stop_publisher.store(true, Ordering::SeqCst);
        self.publisher_signal.notify();
        let Some((_, acknowledger)) = self.publisher.join().await else { bail!("the publisher panicked") };
        // The publisher is gone, so its end of the queue is: what it had handed over is written, and that was all.
        if self.reports.join().is_err() {
            bail!("the thread that keeps reports panicked");
        }
        if let Some(failure) = stopped.failure {
            bail!("the journal has stopped: {failure}");
        }
        stopped.writer.close()?;
        let stop = move || {
            acknowledger.finish();
            beside.stop();
        };
        tokio::task::spawn_blocking(stop).await?;
        if let Some(reason) = self.watch.stopped() {
            bail!("the journal has stopped: {reason}");
        }
        Ok(Closed {
            sequence: last,
            state_hash: hex(&stopped.engine.state_hash()),
            event_digest: hex(&stopped.engine.event_digest()),
        })
    }
}

/// Each role's last used nonce.
fn role_nonces(engine: &Engine) -> [u64; Genesis::ROLES] {
    core::array::from_fn(|role| u8::try_from(role).ok().and_then(|role| engine.role_nonce(role)).unwrap_or_default())
}

fn start_publisher(
    place: Place,
    publisher: Publisher,
    outputs: OutputReceiver,
    acknowledger: Acknowledger,
    control: publisher::Control,
) -> Result<Stage<(Publisher, Acknowledger)>> {
    acknowledger.watch.set_waiter(Waker::from(Arc::clone(&control.signal)));
    Stage::start(place, "publisher", publisher::run(publisher, outputs, acknowledger, sequencer::now, control))
}

/// The gateway, with the verifiers that the sequencer's stage turns.
async fn start_gateway(
    placement: Placement,
    options: GatewayOptions,
    wiring: Wiring,
) -> Result<(Gateway, Vec<VerifierStage>)> {
    let started = match placement {
        Placement::OwnThreads => Gateway::start(options, wiring).await.map(|gateway| (gateway, Vec::new())),
        Placement::Shared => Gateway::start_with_verifiers(options, wiring).await,
    };
    started.context("the gateway cannot start")
}

fn secure_listener(listen: Option<SocketAddr>, tls: Option<&NodeTls>) -> Option<SecureListener> {
    Some(SecureListener { listen: listen?, tls: tls?.tls.clone() })
}

fn operators_listeners(config: &Config, tls: Option<&NodeTls>) -> OperatorsListeners {
    let secure = secure_listener(config.operators.tls_listen, tls);
    OperatorsListeners { plain: config.operators.listen, secure }
}

/// Who keeps the private reports, and what is counted of it.
struct Reports {
    follower: JoinHandle<()>,
    counters: Arc<Counters>,
}

/// A start: the journal is open, the engine and the read models are up to its end.
pub(crate) struct Boot {
    pub(crate) engine: Engine,
    pub(crate) writer: JournalWriter,
    acknowledger: Acknowledger,
    pub(crate) publisher: Publisher,
    pub(crate) directory: Arc<Directory>,
    pub(crate) recovery: Recovery,
    /// What the epoch's record says of the software, and of what an operator gave up.
    epoch_text: String,
    clock: fn() -> Timestamp,
    events: Vec<Event>,
    payload: Vec<u8>,
}

impl Boot {
    fn start(config: &Config, truncate_at: Option<u64>) -> Result<(Self, Reports)> {
        let started = Instant::now();
        let path = &config.journal.directory;
        std::fs::create_dir_all(path).with_context(|| format!("{} cannot be created", path.display()))?;
        ensure!(!mirror::is_mirror(path), "{} is a mirror of another node's journal", path.display());
        let known_id = existing_exchange_id(path)?;
        if let (Some(known), Some(wanted)) = (known_id, config.exchange.id) {
            ensure!(known == wanted, "{} holds the journal of exchange {}", path.display(), hex(&known));
        }
        let exchange_id = match known_id.or(config.exchange.id) {
            Some(id) => id,
            None => random()?,
        };
        let options = JournalOptions { truncate_at, ..journal_options(config, exchange_id)? };
        let opened = Acknowledger::open(config, options)?;
        let seed = GenesisSeed { exchange_id, hash_seed: u64::from_le_bytes(random()?) };
        let binding = config.settlement.as_ref().map_or(SettlementBinding::NONE, |settlement| settlement.binding);
        let directory = Arc::new(Directory::bound(config.exchange.venue_tag, config.exchange.mode, binding));
        let counters = Arc::new(Counters::default());
        let log = open_reports(config, exchange_id, Sequence(opened.2.last_sequence))?;
        let has_reports_through = log.wants_behind();
        let (sink, follower) = ReportFollower::spawn(log, follower_options(&config.history), Arc::clone(&counters))?;
        let options = PublisherOptions {
            subscriptions_max: config.gateway.max_subscriptions as usize,
            ..publisher_options(&config.history, exchange_id)
        };
        let publisher = Publisher::new(options, Arc::clone(&directory));
        let empty = Empty { publisher: publisher.with_report_log(sink), directory, has_reports_through };
        let mut boot = Self::take_up(config, seed, opened, empty, sequencer::now)?;
        boot.settle()?;
        boot.recovery.milliseconds = u64::try_from(started.elapsed().as_millis())?;
        Ok((boot, Reports { follower, counters }))
    }

    /// Where a second engine begins to follow.
    fn keeper_start(&self) -> KeeperStart {
        KeeperStart {
            sequence: self.engine.sequence().0,
            last_snapshot: self.recovery.from_snapshot,
            payload: snapshots::payload_of(&self.engine, &self.publisher),
            watch: self.writer.watch(),
        }
    }

    /// A start on a journal that is open, up to the records that have to be durable before the doors open. The records
    /// are read from where the configuration says that the journal is.
    pub(crate) fn take_up(
        config: &Config,
        seed: GenesisSeed,
        (writer, acknowledger, report): (JournalWriter, Acknowledger, RecoveryReport),
        empty: Empty,
        clock: fn() -> Timestamp,
    ) -> Result<Self> {
        let Brought { engine, publisher, directory, mut recovery } = Brought::up(&config.journal.directory, empty)?;
        ensure!(
            engine.sequence().0 == report.last_sequence,
            "the journal ends at {} for recovery and at {} for a reader",
            report.last_sequence,
            engine.sequence()
        );
        recovery.outcome = format!("{:?}", report.outcome);
        let mut boot = Self {
            engine,
            writer,
            acknowledger,
            publisher,
            directory,
            recovery,
            epoch_text: epoch_text(report.outcome),
            clock,
            events: Vec::with_capacity(Engine::MAX_EVENTS),
            payload: Vec::new(),
        };
        boot.finish_genesis(config, seed)?;
        boot.begin_epoch()?;
        Ok(boot)
    }

    /// Journals the genesis, or what is missing of it when a first start was interrupted.
    fn finish_genesis(&mut self, config: &Config, seed: GenesisSeed) -> Result<()> {
        if let Some(genesis) = self.engine.genesis() {
            ensure!(
                genesis.mode == config.exchange.mode,
                "the journal is of mode {:?}, the configuration of mode {:?}",
                genesis.mode,
                config.exchange.mode
            );
            let settlement =
                config.settlement.as_ref().map_or(SettlementBinding::NONE, |settlement| settlement.binding);
            ensure!(genesis.settlement == settlement, "the journal is of another contract, or of none");
            ensure!(genesis.venue_tag == config.exchange.venue_tag, "the journal is of another venue tag");
        }
        if self.engine.epoch() > 0 {
            return Ok(());
        }
        // What an interrupted first start has journaled stays as it is.
        let known = self.engine.genesis().map(|genesis| genesis.hash_seed);
        let commands = config.genesis_commands(GenesisSeed { hash_seed: known.unwrap_or(seed.hash_seed), ..seed })?;
        check_public_keys(&commands)?;
        for command in commands.iter().skip(usize::try_from(self.engine.sequence().0)?) {
            self.record(command)?;
            if let Some(Event::Rejected(rejected)) = self.events.first() {
                bail!("the engine refuses the configuration: {} at {command:?}", rejected.code.name());
            }
        }
        Ok(())
    }

    /// Journals that the node has started.
    fn begin_epoch(&mut self) -> Result<()> {
        // A crash may have come between a command and the last of what it began, which goes before everything else.
        self.finish_agenda()?;
        let software = Reason::new(&self.epoch_text).unwrap_or_default();
        let epoch = Epoch { epoch: self.engine.epoch() + 1, software };
        self.record(&Command::Epoch(epoch))?;
        if let Some(Event::Rejected(rejected)) = self.events.first() {
            bail!("the engine refuses to begin epoch {}: {}", epoch.epoch, rejected.code.name());
        }
        self.finish_agenda()?;
        self.writer.note_state(self.engine.sequence().0, self.engine.state_hash(), self.engine.event_digest());
        self.writer.publish();
        Ok(())
    }

    /// Works off whatever stands on the agenda.
    fn finish_agenda(&mut self) -> Result<()> {
        while self.engine.agenda_pending() {
            self.record(&Command::Continue)?;
        }
        Ok(())
    }

    /// Journals and applies one command, before any thread runs.
    fn record(&mut self, command: &Command) -> Result<()> {
        let sequence = Sequence(self.engine.sequence().0 + 1);
        let timestamp = (self.clock)().max(self.engine.now());
        self.payload.clear();
        codec::encode_payload(command, &[], &mut self.payload);
        let header = sequencer::record_header(sequence, timestamp, command);
        match self.writer.append(header, &self.payload) {
            Err(AppendError::Full) => {
                self.settle()?;
                self.writer.append(header, &self.payload)?;
            }
            other => other?,
        }
        self.engine.apply(sequence, timestamp, command, &mut self.events);
        self.publisher.restore(sequence, timestamp, &self.events);
        Ok(())
    }

    /// Waits until everything journaled so far is durable.
    fn settle(&mut self) -> Result<()> {
        self.writer.publish();
        if self.acknowledger.wait_for(self.engine.sequence().0, START_PATIENCE) {
            return Ok(());
        }
        match self.writer.watch().stopped() {
            Some(reason) => bail!("the journal has stopped: {reason}"),
            None => bail!("the disk did not take the first records within {START_PATIENCE:?}"),
        }
    }
}

/// Refuses a key that no signature could be held to: not on the curve, or not of prime order.
fn check_public_keys(commands: &[Command]) -> Result<()> {
    for command in commands {
        let Command::Admin(AdminCommand { action: AdminAction::RegisterKey(registration), .. }) = command else {
            continue;
        };
        let key = hex(&registration.public_key);
        ensure!(VerifyingKey::from_bytes(&registration.public_key).is_ok(), "{key} is no Ed25519 key of prime order");
    }
    Ok(())
}

pub(crate) fn journal_options(config: &Config, exchange_id: [u8; 16]) -> Result<JournalOptions> {
    let journal = &config.journal;
    let mut options = JournalOptions::new(journal.directory.clone(), exchange_id);
    options.shard = config.exchange.shard;
    options.segment_bytes = journal.segment_bytes;
    options.ring_bytes = usize::try_from(journal.ring_bytes)?;
    options.durability = match journal.durability {
        lakh_config::Durability::Sync => lakh_journal::Durability::Sync,
        lakh_config::Durability::Async => lakh_journal::Durability::Async,
    };
    options.software_version = env!("CARGO_PKG_VERSION").to_owned();
    options.schema_hash = sequencer::schema_hash();
    Ok(options)
}

/// Whose journal the directory holds, if one.
fn existing_exchange_id(directory: &Path) -> Result<Option<[u8; 16]>> {
    let entries = std::fs::read_dir(directory).with_context(|| format!("{} cannot be read", directory.display()))?;
    let is_segment = |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|extension| extension == "lkj");
    if !entries.flatten().any(|entry| is_segment(&entry)) {
        return Ok(None);
    }
    Ok(Some(JournalReader::open(directory)?.exchange_id()))
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("the system gave no random bytes")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use lakh_engine::MAX_TOUCHED_ORDERS;
    use lakh_engine::command::{CancelAll, EvidenceGrade, Operation, PlaceOrder, ReplayGuard, Side, SignedCommand};
    use lakh_engine::ids::{AccountId, KeyId, MarketId};
    use lakh_engine::units::{Lots, Ticks, Timestamp};

    use super::*;

    fn signed(nonce: u64, operation: Operation) -> Command {
        Command::Signed(SignedCommand {
            account: AccountId(1),
            key: KeyId(1),
            grade: EvidenceGrade::Native,
            replay_guard: ReplayGuard::Nonce { nonce },
            valid_until: Timestamp(0),
            operation,
        })
    }

    #[test]
    fn a_start_finishes_what_a_crash_left_on_the_agenda() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::dev();
        config.journal.directory = directory.path().to_owned();
        let (mut first, _) = Boot::start(&config, None).unwrap();
        let orders = u64::from(MAX_TOUCHED_ORDERS) + 10;
        for nonce in 1..=orders {
            let order = PlaceOrder::limit(MarketId(0), Side::Bid, Ticks(100_000), Lots(100));
            first.record(&signed(nonce, Operation::PlaceOrder(order))).unwrap();
            assert!(!matches!(first.events.first(), Some(Event::Rejected(_))), "{:?}", first.events);
        }
        let cancel = CancelAll { market: None, side: None };
        first.record(&signed(orders + 1, Operation::CancelAll(cancel))).unwrap();
        assert!(first.engine.agenda_pending(), "the cancel is too long for one command");
        first.settle().unwrap();
        drop(first);

        let (second, _) = Boot::start(&config, None).unwrap();
        assert_eq!((second.engine.epoch(), second.engine.agenda_pending()), (2, false));
        assert_eq!(second.engine.book(MarketId(0)).unwrap().order_count(), 0);
    }
}
