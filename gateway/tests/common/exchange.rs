//! A whole exchange in this process without a journal: gateway on loopback sockets, an engine behind its rings, the
//! publisher. Whatever was asked is kept with its evidence, for audits, and the engine comes back at the end.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use lakh_engine::Engine;
use lakh_engine::command::{
    AdminAction, AdminAuthority, AdminCommand, Capacities, Command, Deposit, Epoch, EvidenceGrade, Genesis,
    MarketState, Mode, RegisterKey, SettlementBinding,
};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, AssetId, MarketId, Reason, Sequence};
use lakh_engine::market_spec::MarketSpec;
use lakh_engine::units::{Atoms, Timestamp};
use lakh_gateway::binary_client::{BinaryClient, BinaryClientError, LogonOptions, Message};
use lakh_gateway::directory::Directory;
use lakh_gateway::hand_over::{Input, Output, Signal};
use lakh_gateway::output_ring::{OutputSender, empty_page, output_ring};
use lakh_gateway::publisher::{self, Control, Publisher, PublisherOptions};
use lakh_gateway::server::{Gateway, GatewayOptions, SecureListener, Wiring};
use lakh_gateway::tls::Tls;
use lakh_gateway::verifier::VerifierStage;
use lakh_gateway::wire::sbe::session::LogonAccepted;
use rtrb::{Consumer, RingBuffer};
use tokio::task::JoinHandle;

use super::{asset, market, now};

pub(crate) const BINDING: SettlementBinding = SettlementBinding { chain_id: 31_337, contract: [0x42; 20] };
pub(crate) const MARKET: MarketId = MarketId(0);
/// Accounts, each with a key of its own.
pub(crate) const ACCOUNTS: u32 = 3;

/// Another key of account 1.
pub(crate) const SECOND_KEY: u32 = 9;

/// The key of an account, or one beside it.
pub(crate) fn key(account: u32) -> SigningKey {
    SigningKey::from_bytes(&[u8::try_from(account).unwrap(); 32])
}

/// A logon at this exchange.
pub(crate) fn logon() -> LogonOptions {
    LogonOptions::new(BINDING.venue_tag())
}

/// Nothing that is waited for here takes long; a test that hangs says so.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The next message of a session that goes on.
pub(crate) async fn next(client: &mut BinaryClient) -> Message {
    tokio::time::timeout(PATIENCE, client.next()).await.expect("the venue answers").unwrap()
}

/// Why the venue ends the session; reports that come before are passed over.
pub(crate) async fn ended(client: &mut BinaryClient) -> u16 {
    loop {
        match tokio::time::timeout(PATIENCE, client.next()).await.expect("the venue answers") {
            Ok(_) => {}
            Err(BinaryClientError::Ended { code }) => return code,
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// See the module.
pub(crate) struct Exchange {
    pub(crate) gateway: Gateway,
    pub(crate) directory: Arc<Directory>,
    stop: Arc<AtomicBool>,
    signal: Arc<Signal>,
    publisher_signal: Arc<Signal>,
    decided: Arc<Mutex<Vec<Command>>>,
    decisions: AtomicU64,
    sequencer: JoinHandle<(Engine, Vec<(Command, Bytes)>)>,
    publisher: JoinHandle<Publisher>,
}

impl Exchange {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}, |_| {}).await
    }

    pub(crate) async fn with(
        change_gateway: impl FnOnce(&mut GatewayOptions),
        change_publisher: impl FnOnce(&mut PublisherOptions),
    ) -> Self {
        Self::start_with(change_gateway, change_publisher, None).await
    }

    /// With a binary port that speaks TLS besides.
    pub(crate) async fn with_tls(tls: Tls) -> Self {
        Self::start_with(|_| {}, |_| {}, Some(tls)).await
    }

    async fn start_with(
        change_gateway: impl FnOnce(&mut GatewayOptions),
        change_publisher: impl FnOnce(&mut PublisherOptions),
        tls: Option<Tls>,
    ) -> Self {
        let directory = Arc::new(Directory::bound(BINDING.venue_tag(), Mode::Dev, BINDING));
        let mut publisher_options = PublisherOptions::default();
        change_publisher(&mut publisher_options);
        let mut publisher = Publisher::new(publisher_options, Arc::clone(&directory));
        let engine = opened(&mut publisher);
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut options = GatewayOptions::new(loopback);
        options.binary_listen = Some(loopback);
        options.session.in_flight = 1_024;
        change_gateway(&mut options);
        let (to_sequencer, inputs) = RingBuffer::new(8_192);
        let (output, outputs) = output_ring(1 << 15);
        let stop = Arc::new(AtomicBool::new(false));
        let (signal, publisher_signal) = (Arc::new(Signal::new()), Arc::new(Signal::new()));
        let control = Control { signal: Arc::clone(&publisher_signal), stop: Arc::new(AtomicBool::new(false)) };
        let publisher = publisher::run(publisher, outputs, || u64::MAX, now, control);
        let publisher = tokio::spawn(async { publisher.await.0 });
        let decided = Arc::default();
        let sequencer = Sequencer {
            engine,
            decided: Arc::clone(&decided),
            inputs,
            output,
            stop: Arc::clone(&stop),
            signal: Arc::clone(&signal),
            publisher_signal: Arc::clone(&publisher_signal),
            log: Vec::new(),
        };
        let wiring = Wiring {
            to_sequencer: vec![to_sequencer],
            sequencer_signal: Arc::clone(&signal),
            directory: Arc::clone(&directory),
            counters: Arc::default(),
            secure: None,
            secure_binary: tls.map(|tls| SecureListener { listen: loopback, tls }),
        };
        let (gateway, verifiers) = Gateway::start_with_verifiers(options, wiring).await.unwrap();
        let sequencer = tokio::spawn(sequencer.run(verifiers));
        Self {
            gateway,
            directory,
            stop,
            signal,
            publisher_signal,
            decided,
            decisions: AtomicU64::new(0),
            sequencer,
            publisher,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.binary_address().unwrap()
    }

    pub(crate) async fn client(&self, account: u32) -> BinaryClient {
        self.client_with(account, &logon()).await.0
    }

    pub(crate) async fn client_with(&self, account: u32, options: &LogonOptions) -> (BinaryClient, LogonAccepted) {
        BinaryClient::connect(self.address(), &key(account), options).await.unwrap()
    }

    /// Has the sequencer take in what two operators decide.
    pub(crate) fn decide(&self, action: AdminAction) {
        let mut decided = self.decided.lock().unwrap();
        let nonce = self.decisions.fetch_add(1, Ordering::Relaxed) + 1;
        let authority = AdminAuthority::TwoRoles { role: 0, nonce, second_role: 1, second_nonce: nonce };
        decided.push(admin(authority, action));
        drop(decided);
        self.signal.notify();
    }

    /// Ends everything: the engine as it was left, and all that was asked of it.
    pub(crate) async fn end(self) -> (Engine, Vec<(Command, Bytes)>) {
        self.gateway.shutdown().await;
        self.stop.store(true, Ordering::Release);
        self.signal.notify();
        let (engine, log) = self.sequencer.await.unwrap();
        self.publisher_signal.notify();
        self.publisher.await.unwrap();
        (engine, log)
    }
}

struct Sequencer {
    engine: Engine,
    decided: Arc<Mutex<Vec<Command>>>,
    inputs: Consumer<Input>,
    output: OutputSender,
    stop: Arc<AtomicBool>,
    signal: Arc<Signal>,
    publisher_signal: Arc<Signal>,
    log: Vec<(Command, Bytes)>,
}

impl Sequencer {
    /// Verifies and sequences in turn, as the node does where there are few cores.
    async fn run(mut self, mut verifiers: Vec<VerifierStage>) -> (Engine, Vec<(Command, Bytes)>) {
        let mut events = empty_page();
        let signal = Arc::clone(&self.signal);
        loop {
            let decided = std::mem::take(&mut *self.decided.lock().unwrap());
            for command in decided {
                self.apply(&command, None, &mut events).await;
            }
            let verified = verifiers.iter_mut().filter_map(|verifier| verifier.step().then_some(())).count();
            while let Ok(input) = self.inputs.pop() {
                match input {
                    Input::Read { read, handle } => {
                        self.wait_for_room().await;
                        self.output.send(Output::Read { read, handle });
                    }
                    Input::Command { command, evidence, handle } => {
                        self.log.push((command.clone(), evidence.clone()));
                        self.apply(&command, handle, &mut events).await;
                        while self.engine.agenda_pending() {
                            self.apply(&Command::Continue, None, &mut events).await;
                        }
                    }
                }
            }
            self.publisher_signal.notify();
            if self.stop.load(Ordering::Acquire) && verified == 0 && self.inputs.is_empty() {
                return (self.engine, self.log);
            }
            let (inputs, to_verify, stop, decided) = (&mut self.inputs, &mut verifiers, &self.stop, &self.decided);
            let something_came = move || {
                let came = to_verify.iter_mut().any(VerifierStage::has_work) || !inputs.is_empty();
                came || stop.load(Ordering::Acquire) || !decided.lock().unwrap().is_empty()
            };
            signal.wait(something_came).await;
            tokio::task::consume_budget().await;
        }
    }

    async fn apply(
        &mut self,
        command: &Command,
        handle: Option<lakh_gateway::hand_over::RequestHandle>,
        events: &mut Vec<Event>,
    ) {
        let sequence = Sequence(self.engine.sequence().0 + 1);
        let timestamp = now().max(self.engine.now());
        self.engine.apply(sequence, timestamp, command, events);
        let event_count = u32::try_from(events.len()).unwrap();
        self.wait_for_room().await;
        let applied = Output::Applied { sequence, timestamp, event_count, handle, spent: Bytes::new() };
        self.output.send_applied(applied, events);
    }

    async fn wait_for_room(&mut self) {
        while self.output.slots() <= Engine::MAX_EVENTS {
            self.publisher_signal.notify();
            tokio::task::yield_now().await;
        }
    }
}

/// An engine with one open market and funded accounts; the publisher has seen how it came to that.
fn opened(publisher: &mut Publisher) -> Engine {
    let mut engine = Engine::new();
    let mut events = Vec::with_capacity(Engine::MAX_EVENTS);
    for command in commands() {
        let (sequence, timestamp) = (Sequence(engine.sequence().0 + 1), now().max(engine.now()));
        engine.apply(sequence, timestamp, &command, &mut events);
        assert!(!matches!(events.first(), Some(Event::Rejected(_))), "{command:?} {events:?}");
        publisher.restore(sequence, timestamp, &events);
    }
    engine
}

/// What an operator decides.
fn admin(authority: AdminAuthority, action: AdminAction) -> Command {
    Command::Admin(AdminCommand { authority, action, reason: Reason::new("test").unwrap() })
}

fn commands() -> Vec<Command> {
    let admin = |action| admin(AdminAuthority::Genesis, action);
    let market = MarketSpec { max_orders: 262_144, max_levels: 65_536, ..market() };
    let mut commands = vec![
        Command::Genesis(Genesis {
            exchange_id: [7; 16],
            venue_tag: BINDING.venue_tag(),
            mode: Mode::Dev,
            hash_seed: 0x5eed,
            capacities: Capacities {
                accounts: 8,
                assets: 4,
                markets: 3,
                keys: 12,
                digests: 65_536,
                agenda: 64,
                digests_per_key: 2,
            },
            role_keys: std::array::from_fn(|role| [0xf0 | u8::try_from(role).unwrap(); 32]),
            fee_notice_s: 0,
            share_parts: 1,
            settlement: BINDING,
        }),
        admin(AdminAction::ListAsset(asset(0, "BTC"))),
        admin(AdminAction::ListAsset(asset(1, "USDT"))),
        admin(AdminAction::ListMarket(market)),
    ];
    for account in (1..=ACCOUNTS).map(AccountId) {
        for asset in [AssetId(0), AssetId(1)] {
            let (owner, amount) = ([u8::try_from(account.0).unwrap(); 20], Atoms(1 << 50));
            commands.push(Command::Deposit(Deposit { account, owner, asset, amount }));
        }
        commands.push(admin(AdminAction::RegisterKey(RegisterKey {
            account,
            public_key: key(account.0).verifying_key().to_bytes(),
            epoch: 1,
            expires_at: Timestamp::ZERO,
            digest_capacity: 4_096,
        })));
        let minimum_grade = EvidenceGrade::Signed;
        commands.push(admin(AdminAction::SetAccountPolicy { account, minimum_grade }));
    }
    commands.push(admin(AdminAction::RegisterKey(RegisterKey {
        account: AccountId(1),
        public_key: key(SECOND_KEY).verifying_key().to_bytes(),
        epoch: 2,
        expires_at: Timestamp::ZERO,
        digest_capacity: 4_096,
    })));
    commands.push(admin(AdminAction::SetMarketState { market: MARKET, state: MarketState::Open }));
    commands.push(Command::Epoch(Epoch { epoch: 1, software: Reason::EMPTY }));
    commands
}
