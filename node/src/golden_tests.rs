//! Golden journals: what this program wrote once must replay to the same state for ever.
//!
//! `node/tests/golden/format-N` holds, for each recipe of that time, the journal's one segment in zstd and what it comes to.
//! With `LAKH_GOLDEN=write` the recipes below are written into the folder of the present format, which must not be there
//! unless the format is 0: a frozen journal is never written again (`docs/journal_format.md`, "Freezing").
//!
//! Two recipes: `venue`, whose every request is signed and stands an audit, and `engine`, which has each command and
//! operation that the engine knows, whether the gateway offers it yet or not, and none of the evidence.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use lakh_config::{Config, GenesisSeed};
use lakh_engine::codec;
use lakh_engine::command::{
    AmendMode, AmendOrder, BatchSealed, CancelAll, CancelOrder, CancelRestriction, ChainEntry, ChainEntryKind, Command,
    Deposit, DisconnectMode, Epoch, EvidenceAllowance, EvidenceGrade, FrameCommand, FrameOperation, Genesis, KeyLimits,
    KeyScope, Operation, OrderReference, OrderType, PlaceOrder, Quote, QuoteSide, ReplaceMode, ReplaceOrder,
    ReplayGuard, SelfTradeMode, SettlementBinding, Side, TimeInForce, Transfer,
};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, AssetId, ClientId, KeyId, MarketId, OrderId, Reason, Sequence};
use lakh_engine::units::{Atoms, Lots, Ticks, Timestamp};
use lakh_engine::{Engine, MAX_TOUCHED_ORDERS};
use lakh_gateway::auth::evidence::{Evidence, SignedText, command_from_evidence};
use lakh_gateway::directory::Directory;
use lakh_journal::{FORMAT_MAJOR, JournalOptions};
use lakh_loadtest::client::Trader;
use serde::{Deserialize, Serialize};

use crate::admin::RoleNonce;
use crate::keys::{hex, unhex};
use crate::soak_start::NextNonces;
use crate::{admin, audit, control, replay, sequencer};

const SEGMENT: &str = "0-0000000000000000.lkj";
/// A whole journal: the recipes fit into one segment.
const SEGMENT_BYTES: u64 = 2 << 20;
const START_NS: u64 = 1_800_000_000_000_000_000;

/// What a golden journal comes to.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Expected {
    records: u64,
    trades: u64,
    state_hash: String,
    event_digest: String,
    /// Requests whose signatures an audit finds; nothing where there is no evidence to audit.
    signed: Option<u64>,
}

fn folder(format: u16) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("format-{format}"))
}

/// A venue that is written down: engine, names and records.
struct Scribe {
    engine: Engine,
    directory: Directory,
    events: Vec<Event>,
    records: Vec<(Timestamp, Command, Vec<u8>)>,
}

impl Scribe {
    fn new(config: &Config, settlement: SettlementBinding) -> Self {
        let seed = GenesisSeed { exchange_id: *b"golden exchange!", hash_seed: 7 };
        let mut commands = config.genesis_commands(seed).unwrap();
        if let Command::Genesis(genesis) = &mut commands[0] {
            let venue_tag = if settlement.is_none() { genesis.venue_tag } else { settlement.venue_tag() };
            *genesis = Genesis { settlement, venue_tag, ..*genesis };
        }
        let directory = Directory::new(config.exchange.venue_tag, config.exchange.mode);
        let mut scribe = Self { engine: Engine::new(), directory, events: Vec::new(), records: Vec::new() };
        commands.into_iter().for_each(|command| scribe.accepted(command));
        scribe.accepted(epoch(1));
        scribe
    }

    fn now(&self) -> u64 {
        START_NS + self.records.len() as u64 * 1_000_000_000
    }

    fn record(&mut self, command: Command, evidence: Vec<u8>) {
        let (sequence, timestamp) = (Sequence(self.records.len() as u64 + 1), Timestamp(self.now()));
        self.engine.apply(sequence, timestamp, &command, &mut self.events);
        self.events.iter().for_each(|event| self.directory.apply(event));
        self.records.push((timestamp, command, evidence));
        while self.engine.agenda_pending() {
            self.record(Command::Continue, Vec::new());
        }
    }

    /// Records a command that the engine must take.
    fn accepted(&mut self, command: Command) {
        let shown = format!("{command:?}");
        let before = self.records.len();
        self.record(command, Vec::new());
        let rejected = self.events.iter().any(|event| matches!(event, Event::Rejected(_)));
        assert!(!rejected || self.records.len() > before + 1, "{shown}: {:?}", self.events);
    }

    /// Records what the operator of role 0 signs, with his nonce `nonce`.
    fn decided(&mut self, nonce: u64, action: &[(&str, &str)]) {
        // TEST SHA(abc) of RFC 8032.
        let secret = "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42";
        let operator = Trader::new(&unhex::<32>(secret).unwrap(), None);
        let action: Vec<(String, String)> =
            action.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let text = admin::text(self.directory.venue_tag(), &[RoleNonce { role: 0, nonce }], &action, "golden");
        let signature = base64::engine::general_purpose::STANDARD.decode(operator.sign(&text)).unwrap();
        let evidence = Evidence::Admin(SignedText {
            method: control::METHOD,
            text: text.as_bytes(),
            public_key: &operator.public_key(),
            signature: signature.as_slice().try_into().unwrap(),
        });
        let encoded = evidence.encode().unwrap().to_vec();
        self.record(Command::Admin(admin::parse(&text, &self.directory).unwrap()), encoded);
        assert!(!self.events.iter().any(|event| matches!(event, Event::Rejected(_))), "{text}: {:?}", self.events);
    }

    /// Records a request that `trader` signs.
    fn signed(&mut self, trader: &Trader, method: &str, parameters: &[(&str, &str)]) {
        let time = (self.now() / 1_000_000).to_string();
        let mut sorted = parameters.to_vec();
        sorted.extend([("apiKey", trader.api_key()), ("timestamp", &time)]);
        sorted.sort_unstable();
        let text = sorted.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        let signature = base64::engine::general_purpose::STANDARD.decode(trader.sign(&text)).unwrap();
        let public_key = trader.public_key();
        let evidence = Evidence::WebSocketSigned(SignedText {
            method,
            text: text.as_bytes(),
            public_key: &public_key,
            signature: signature.as_slice().try_into().unwrap(),
        });
        let command = command_from_evidence(&evidence, &self.directory).unwrap();
        let encoded = evidence.encode().unwrap().to_vec();
        self.record(command, encoded);
        assert!(!self.events.iter().any(|event| matches!(event, Event::Rejected(_))), "{text}: {:?}", self.events);
    }

    fn write(&self, journal: &Path) {
        let options = JournalOptions {
            segment_bytes: SEGMENT_BYTES,
            ring_bytes: 1 << 20,
            software_version: "golden".to_owned(),
            schema_hash: schema_hash(),
            ..JournalOptions::new(journal, *b"golden exchange!")
        };
        let (mut writer, _) = lakh_journal::open(options).unwrap();
        let mut engine = Engine::new();
        let mut events = Vec::new();
        for (sequence, (timestamp, command, evidence)) in (1..).zip(&self.records) {
            let mut payload = Vec::new();
            codec::encode_payload(command, evidence, &mut payload);
            writer.append(sequencer::record_header(Sequence(sequence), *timestamp, command), &payload).unwrap();
            engine.apply(Sequence(sequence), *timestamp, command, &mut events);
            writer.note_state(sequence, engine.state_hash(), engine.event_digest());
            writer.publish();
            // Many small blocks, each with a state to compare, and then larger ones, so that one segment is enough.
            if sequence <= 100 || sequence % 100 == 0 {
                assert!(writer.watch().wait_for(sequence, Duration::from_secs(60)));
            }
        }
        writer.close().unwrap();
    }
}

fn epoch(epoch: u32) -> Command {
    Command::Epoch(Epoch { epoch, software: Reason::new("golden").unwrap() })
}

/// TEST 1 and TEST 3 of RFC 8032: accounts 1 and 3 of the demonstration.
fn traders(config: &Config) -> [Trader; 2] {
    let secret = |hexadecimal: &str| unhex::<32>(hexadecimal).unwrap();
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    ]
    .map(|text| Trader::new(&secret(text), Some(config.exchange.venue_tag)))
}

/// The demonstration's, where one owner may have the tables to himself.
fn config() -> Config {
    let mut config = Config::dev();
    config.share_parts = 1;
    config
}

/// Signed requests of every kind that the gateway offers, and what comes of them.
fn venue() -> Scribe {
    let config = config();
    let mut scribe = Scribe::new(&config, SettlementBinding::NONE);
    let [one, other] = traders(&config);
    let second = Trader::new(&[42; 32], Some(config.exchange.venue_tag));
    let registration = [
        ("action", "register-key"),
        ("account", "1"),
        ("publicKey", &hex(&second.public_key())),
        ("epoch", "2"),
        ("expires", "0"),
        ("digests", "1024"),
    ];
    scribe.decided(1, &registration);
    scribe.signed(&second, "key.activate", &[("method", "key.activate"), ("account", "1")]);
    let order = |side, price, quantity| {
        [
            ("symbol", "BTCUSDT"),
            ("side", side),
            ("type", "LIMIT"),
            ("timeInForce", "GTC"),
            ("price", price),
            ("quantity", quantity),
        ]
    };
    let named = |id, order: [(&'static str, &'static str); 6]| [&order[..], &[("newClientOrderId", id)]].concat();
    scribe.signed(&one, "order.place", &named("a", order("BUY", "50000.00", "0.5")));
    scribe.signed(&one, "order.place", &named("b", order("BUY", "49999.50", "0.25")));
    scribe.signed(&other, "order.place", &named("c", order("SELL", "50000.00", "0.2")));
    let market = [("symbol", "BTCUSDT"), ("side", "SELL"), ("type", "MARKET"), ("quantity", "0.4")];
    scribe.signed(&other, "order.place", &market);
    let amend = [("symbol", "BTCUSDT"), ("origClientOrderId", "b"), ("newQty", "0.2")];
    scribe.signed(&one, "order.amend.keepPriority", &amend);
    let again = [
        &named("d", order("BUY", "49998.00", "0.3"))[..],
        &[("cancelOrigClientOrderId", "b"), ("cancelReplaceMode", "STOP_ON_FAILURE")],
    ]
    .concat();
    scribe.signed(&one, "order.cancelReplace", &again);
    scribe.signed(&one, "order.cancel", &[("symbol", "BTCUSDT"), ("origClientOrderId", "d")]);
    scribe.signed(&other, "order.place", &order("SELL", "51000.00", "0.7"));
    scribe.signed(&other, "openOrders.cancelAll", &[("symbol", "BTCUSDT")]);
    scribe.accepted(Command::AdvanceTime);
    scribe.accepted(epoch(2));
    scribe.signed(&second, "key.revoke", &[("method", "key.revoke")]);
    scribe.decided(2, &[("action", "market-state"), ("market", "ETHUSDT"), ("state", "halt")]);
    scribe
}

fn limit(side: Side, price: u64, quantity: u64) -> PlaceOrder {
    PlaceOrder::limit(MarketId(0), side, Ticks(price), Lots(quantity))
}

fn named(name: &str, order: PlaceOrder) -> PlaceOrder {
    PlaceOrder { client_id: ClientId::new(name).unwrap(), ..order }
}

/// Each command and operation of the engine, of a venue that is bound to a contract.
fn engine() -> Scribe {
    let mut config = config();
    config.accounts.iter_mut().for_each(|account| account.digest_capacity = 64);
    let settlement = SettlementBinding { chain_id: 31_337, contract: [3; 20] };
    let mut scribe = Scribe::new(&config, settlement);
    let mut requests = NextNonces::default();
    orders(&mut scribe, &mut requests);
    frame(&mut scribe);
    accounts(&mut scribe, &mut requests);
    chain(&mut scribe, &mut requests, settlement);
    quotes_and_families(&mut scribe, &mut requests);
    scribe.accepted(Command::AdvanceTime);
    scribe.accepted(requests.next(3, Operation::RevokeKey));
    // Refused, and part of the history all the same: the genesis is over.
    let late = Deposit { account: AccountId(1), owner: [0; 20], asset: AssetId(0), amount: Atoms(1) };
    scribe.record(Command::Deposit(late), Vec::new());
    scribe.accepted(epoch(2));
    scribe
}

/// Orders of each kind, that rest, wait, trade and change.
fn orders(scribe: &mut Scribe, requests: &mut NextNonces) {
    let iceberg = PlaceOrder { display_quantity: Lots(1_000), ..limit(Side::Ask, 5_000_100, 4_000) };
    let stop = PlaceOrder {
        order_type: OrderType::StopLossLimit,
        trigger_price: Ticks(5_000_100),
        ..limit(Side::Bid, 5_001_000, 500)
    };
    let dated = PlaceOrder {
        time_in_force: TimeInForce::GoodTillDate,
        expires_at: Timestamp(START_NS + 3_600_000_000_000),
        ..limit(Side::Bid, 4_999_000, 700)
    };
    let taker = PlaceOrder { time_in_force: TimeInForce::ImmediateOrCancel, ..limit(Side::Bid, 5_000_100, 1_500) };
    let resting = limit(Side::Bid, 4_999_900, 900);
    for (account, order) in [(1, named("iceberg", iceberg)), (2, stop), (2, dated), (3, resting), (3, taker)] {
        scribe.accepted(requests.next(account, Operation::PlaceOrder(order)));
    }
    // More than one command takes off: the rest is the agenda's.
    for step in 0..u64::from(MAX_TOUCHED_ORDERS) + 2 {
        scribe.accepted(requests.next(3, Operation::PlaceOrder(limit(Side::Bid, 4_800_000 + step, 100))));
    }
    let target = OrderReference::ClientId(ClientId::new("iceberg").unwrap());
    let amend = AmendOrder::less(MarketId(0), target, Lots(3_500));
    scribe.accepted(requests.next(1, Operation::AmendOrder(amend)));
    let order = named("next", limit(Side::Ask, 5_000_300, 800));
    let (restriction, mode) = (CancelRestriction::None, ReplaceMode::StopOnFailure);
    scribe.accepted(requests.next(1, Operation::ReplaceOrder(ReplaceOrder { target, restriction, mode, order })));
    let target = OrderReference::ClientId(ClientId::new("next").unwrap());
    scribe.accepted(requests.next(1, Operation::CancelOrder(CancelOrder { market: MarketId(0), target })));
}

/// A frame, one of whose operations is refused.
fn frame(scribe: &mut Scribe) {
    let mut operations: Vec<FrameOperation> =
        (0..60).map(|step| FrameOperation::PlaceOrder(limit(Side::Bid, 4_900_000 + step, 100))).collect();
    let unknown = OrderReference::OrderId(OrderId(999_999));
    operations.push(FrameOperation::CancelOrder(CancelOrder { market: MarketId(0), target: unknown }));
    let command = FrameCommand {
        account: AccountId(2),
        key: KeyId(2),
        grade: EvidenceGrade::Native,
        replay_guard: ReplayGuard::Nonce { nonce: 500 },
        valid_until: Timestamp(0),
        operations: operations.into_boxed_slice(),
    };
    scribe.record(Command::Frame(command), Vec::new());
}

/// What concerns whole accounts and keys.
fn accounts(scribe: &mut Scribe, requests: &mut NextNonces) {
    let scope = KeyScope { operations: KeyScope::PLACE | KeyScope::CANCEL, market: None, account: None };
    for operation in [
        Operation::InviteToSelfTradeGroup { invited: AccountId(2) },
        Operation::SetDisconnectMode { mode: DisconnectMode::CancelAll },
        Operation::CancelAllAfter { timeout_ms: 60_000 },
        Operation::NarrowKey { key: KeyId(1), scope },
        Operation::Logon,
    ] {
        scribe.accepted(requests.next(1, operation));
    }
    requests.last[2] = 500;
    scribe.accepted(requests.next(2, Operation::SetSelfTradeGroup { group: AccountId(1) }));
    scribe.accepted(requests.next(3, Operation::CancelAll(CancelAll { market: None, side: Some(Side::Bid) })));
    scribe.accepted(Command::SessionEnded { account: AccountId(1) });
}

/// Quotes, an amendment that loses its place, a sub-account with money, a key with limits.
fn quotes_and_families(scribe: &mut Scribe, requests: &mut NextNonces) {
    let side = |price, quantity| QuoteSide { price: Ticks(price), quantity: Lots(quantity) };
    let quote = Quote {
        market: MarketId(0),
        slot: 3,
        order_type: OrderType::LimitMaker,
        self_trade_mode: SelfTradeMode::ExpireTaker,
        bid: side(4_700_000, 200),
        ask: side(5_200_000, 300),
    };
    scribe.accepted(requests.next(4, Operation::Quote(quote)));
    scribe.accepted(requests.next(4, Operation::Quote(Quote { bid: side(4_700_100, 250), ..quote })));
    let order = named("mover", limit(Side::Bid, 4_600_000, 400));
    scribe.accepted(requests.next(4, Operation::PlaceOrder(order)));
    let target = OrderReference::ClientId(order.client_id);
    let (new_price, mode) = (Ticks(4_600_100), AmendMode::MayLosePriority);
    let amend = AmendOrder { new_price, mode, ..AmendOrder::less(MarketId(0), target, Lots(500)) };
    scribe.accepted(requests.next(4, Operation::AmendOrder(amend)));
    scribe.accepted(requests.next(4, Operation::OpenSubAccount));
    let opened = scribe.events.iter().find_map(|event| match event {
        Event::SubAccountOpened { account, .. } => Some(*account),
        _ => None,
    });
    let to = opened.expect("the owner may have one");
    scribe.accepted(requests.next(4, Operation::Transfer(Transfer { to, asset: AssetId(0), amount: Atoms(77) })));
    let limits = KeyLimits { notional_per_day: Atoms(1 << 50), quote: AssetId(1), price_band: 500_000 };
    scribe.accepted(requests.next(4, Operation::LimitKey { key: KeyId(4), limits }));
    let until = Timestamp(START_NS + 86_400_000_000_000);
    let allowance =
        EvidenceAllowance { grade: EvidenceGrade::Delegated, until, quote: AssetId(1), notional: Atoms(1 << 40) };
    scribe.accepted(requests.next(4, Operation::AllowEvidence(allowance)));
}

/// What comes from the contract, a key that then signs for itself, and a batch.
fn chain(scribe: &mut Scribe, requests: &mut NextNonces, settlement: SettlementBinding) {
    let entry = ChainEntry {
        queue_id: 1,
        kind: ChainEntryKind::Deposit,
        account: AccountId(5),
        asset: AssetId(0),
        amount: Atoms(12_345),
        extra: [0; 32],
        time_seconds: START_NS / 1_000_000_000,
        prefix: [0; 32],
    };
    let prefix = entry.prefix_after(&settlement.origin());
    scribe.accepted(Command::ChainEntry(ChainEntry { prefix, ..entry }));
    let kind = ChainEntryKind::RegisterKey;
    let extra = Trader::new(&[42; 32], None).public_key();
    let entry = ChainEntry { queue_id: 2, kind, account: AccountId(4), amount: Atoms(0), extra, ..entry };
    scribe.accepted(Command::ChainEntry(ChainEntry { prefix: entry.prefix_after(&prefix), ..entry }));
    let registered = scribe.events.iter().find_map(|event| match event {
        Event::KeyRegistered { key, .. } => Some(*key),
        _ => None,
    });
    let mut activation = requests.next(4, Operation::ActivateKey);
    if let Command::Signed(signed) = &mut activation {
        signed.key = registered.expect("the entry registers a key");
    }
    scribe.accepted(activation);
    let last_sequence = Sequence(scribe.records.len() as u64);
    let (first_sequence, new_root, data_hash) = (Sequence(1), [8; 32], [9; 32]);
    let batch = BatchSealed { batch_id: 1, first_sequence, last_sequence, new_root, data_hash };
    scribe.accepted(Command::BatchSealed(batch));
}

fn found(journal: &Path, is_audited: bool) -> Expected {
    let replayed = replay::replay(journal, None, true).unwrap();
    let signed = is_audited.then(|| {
        let report = audit::audit(journal, true).unwrap();
        assert_eq!(report.findings, Vec::<String>::new());
        assert!(report.state_hashes_compared > 10 && report.event_digests_compared > 10, "{report:?}");
        report.signed
    });
    let replay::Replayed { records, trades, state_hash, event_digest, .. } = replayed;
    Expected { records, trades, state_hash, event_digest, signed }
}

#[test]
fn golden_journals_replay_for_ever() {
    let mut formats = 0;
    for format in 1..=FORMAT_MAJOR {
        let Ok(entries) = std::fs::read_dir(folder(format)) else { continue };
        formats += 1;
        let mut journals = 0;
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            journals += 1;
            let expected: Expected = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let packed = std::fs::read(path.with_extension("lkj.zst")).unwrap();
            let directory = tempfile::tempdir().unwrap();
            let segment = zstd::bulk::decompress(&packed, SEGMENT_BYTES as usize).unwrap();
            std::fs::write(directory.path().join(SEGMENT), segment).unwrap();
            assert_eq!(found(directory.path(), expected.signed.is_some()), expected, "{}", path.display());
        }
        assert!(journals >= 2, "{format}");
    }
    assert!(formats > 0 && folder(FORMAT_MAJOR).exists(), "the present format has golden journals");
}

/// Of every record schema: the payloads of the recipe that has all of them.
fn schema_hash() -> [u8; 32] {
    let mut payloads = Vec::new();
    engine().records.iter().for_each(|(_, command, evidence)| codec::encode_payload(command, evidence, &mut payloads));
    *blake3::hash(&payloads).as_bytes()
}

/// Also the test that the recipes are good, whether they are kept or not.
#[test]
fn golden_journals_are_written_where_asked() {
    let keep = std::env::var("LAKH_GOLDEN").is_ok_and(|mode| mode == "write");
    let kept = folder(FORMAT_MAJOR);
    if keep {
        assert!(!kept.exists(), "{} is frozen", kept.display());
        std::fs::create_dir_all(&kept).unwrap();
        std::fs::write(kept.with_file_name("schema"), hex(&schema_hash()) + "\n").unwrap();
    } else {
        assert_eq!(hex(&sequencer::schema_hash()), hex(&schema_hash()), "an encoding has changed: a new schema");
    }
    for (name, scribe, is_audited) in [("venue", venue(), true), ("engine", engine(), false)] {
        let directory = tempfile::tempdir().unwrap();
        scribe.write(directory.path());
        let expected = found(directory.path(), is_audited);
        assert!(expected.trades > 0 && expected.records == scribe.records.len() as u64, "{expected:?}");
        if keep {
            let segment = std::fs::read(directory.path().join(SEGMENT)).unwrap();
            std::fs::write(kept.join(format!("{name}.lkj.zst")), zstd::bulk::compress(&segment, 19).unwrap()).unwrap();
            let json = serde_json::to_string_pretty(&expected).unwrap() + "\n";
            std::fs::write(kept.join(format!("{name}.json")), json).unwrap();
        }
    }
}

/// A command that is added to the engine needs its place in the recipe; this fails to compile until it has one.
#[test]
fn every_command_and_operation_is_in_a_recipe() {
    let recipes = [venue(), engine()];
    let commands: Vec<&Command> =
        recipes.iter().flat_map(|scribe| &scribe.records).map(|(_, command, _)| command).collect();
    let place = |command: &Command| match command {
        Command::Genesis(_) => 0,
        Command::Epoch(_) => 1,
        Command::AdvanceTime => 2,
        Command::Continue => 3,
        Command::Admin(_) => 4,
        Command::Deposit(_) => 5,
        Command::ChainEntry(_) => 6,
        Command::BatchSealed(_) => 7,
        Command::Frame(_) => 8,
        Command::SessionEnded { .. } => 9,
        Command::Signed(signed) => match signed.operation {
            Operation::PlaceOrder(_) => 10,
            Operation::CancelOrder(_) => 11,
            Operation::AmendOrder(_) => 12,
            Operation::CancelAll(_) => 13,
            Operation::ReplaceOrder(_) => 14,
            Operation::Logon => 15,
            Operation::ActivateKey => 16,
            Operation::RevokeKey => 17,
            Operation::SetSelfTradeGroup { .. } => 18,
            Operation::CancelAllAfter { .. } => 19,
            Operation::SetDisconnectMode { .. } => 20,
            Operation::NarrowKey { .. } => 21,
            Operation::InviteToSelfTradeGroup { .. } => 22,
            Operation::Quote(_) => 23,
            Operation::OpenSubAccount => 24,
            Operation::Transfer(_) => 25,
            Operation::LimitKey { .. } => 26,
            Operation::AllowEvidence(_) => 27,
        },
    };
    let mut seen = [false; 28];
    commands.iter().for_each(|command| seen[place(command)] = true);
    let missing: Vec<usize> = (0..seen.len()).filter(|index| !seen[*index]).collect();
    assert_eq!(missing, Vec::<usize>::new());
}
