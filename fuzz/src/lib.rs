//! What is fuzzed: everything that reads bytes from outside, and what must hold of each.
//!
//! Each function takes any bytes and panics only when an invariant is broken. They are the bodies of the fuzz targets, and
//! a plain test runs them over the corpus and over mutations of it, on any toolchain.

mod mirror;

use std::sync::Arc;

use lakh_engine::command::{MarketState, Mode};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, AssetId, KeyId, MarketId, Reason, Symbol};
use lakh_engine::market_spec::{AssetSpec, MarketSpec};
use lakh_engine::units::{Atoms, FeeRate, Lots, Ticks, Timestamp};
use lakh_gateway::auth::canonical;
use lakh_gateway::auth::evidence::{Evidence, EvidenceError, MAX_EVIDENCE, command_from_evidence};
use lakh_gateway::auth::rest_text::RestText;
use lakh_gateway::binary_client::{Incoming, Message, PublicBook};
use lakh_gateway::byte_outbox::{Notice, Taken};
use lakh_gateway::decimal;
use lakh_gateway::directory::Directory;
use lakh_gateway::key_budgets::{KeyBudgets, KeyLimits};
use lakh_gateway::limits::{Rate, TokenBucket};
use lakh_gateway::request::{Fields, Method};
use lakh_gateway::session::binary::{BinaryActions, BinarySession, stamp};
use lakh_gateway::session::{
    Action, HttpRequest, NativeWork, Session, SessionContext, SessionOptions, Standing, Work, public_read,
    signed_request,
};
use lakh_gateway::stream;
use lakh_gateway::wire::json::envelope::{self, Params};
use lakh_gateway::wire::sbe::request::OrderRequest;
use lakh_gateway::wire::sbe::session::Logon;
use lakh_gateway::wire::sbe::{next_frame, padded, put};

pub use self::mirror::mirror;

/// The time at which everything is fuzzed: the corpus is stamped with it.
const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);
/// The public key of test 1 of RFC 8032, which the venue knows.
const KEY: [u8; 32] = [
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72,
    0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];

/// Messages over a WebSocket, one a line, of the API and of streams: each gets JSON, and a text that can be signed reads
/// back to the parameters that it was made of.
pub fn frame(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let context = Arc::new(context());
    let address = Arc::new(TokenBucket::new(Rate { per_second: 1_000_000, burst: 1_000_000 }));
    let mut actions = Vec::new();
    let mut api = Session::api(Arc::clone(&context), address, NOW);
    let wrapping = lakh_gateway::hand_over::StreamWrapping::Combined;
    let mut streams = Session::streams(context, wrapping, text, NOW, &mut actions);
    for line in text.lines() {
        api.handle_frame(line, NOW, &mut actions);
        streams.handle_frame(line, NOW, &mut actions);
        envelope_reads_back(line);
    }
    for action in actions {
        if let Action::Send(sent) = action {
            let value: serde_json::Value = serde_json::from_slice(&sent).expect("what is sent is JSON");
            assert!(value.is_object());
        }
    }
}

fn envelope_reads_back(line: &str) {
    let Ok(parsed) = envelope::parse(line) else { return };
    match serde_json::from_str::<serde_json::Value>(line) {
        Ok(value) => assert!(value["method"].is_string()),
        // A number that no float can hold is JSON all the same: here it is only text.
        Err(error) => assert!(error.to_string().contains("number out of range"), "{error}"),
    }
    let Params::Named(parameters) = &parsed.params else { return };
    let Ok((raw, _)) = canonical::texts(parameters) else { return };
    let back = canonical::read_back(&raw).expect("a text that was made can be read");
    let signed = parameters.iter().filter(|one| one.name != "signature");
    assert_eq!(back.len(), signed.clone().count());
    for one in signed.filter(|one| !one.value.contains('%')) {
        let same = back.iter().find(|other| other.name == one.name).expect("each name comes back");
        assert_eq!(same.value, one.value);
    }
}

/// A query and, behind a line feed, a form: what can be signed reads back, whatever is asked is refused or understood.
pub fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (query, body) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(taken) = RestText::new(query, body) {
        let back = RestText::read_back(&taken.text, taken.query_length);
        assert_eq!(back.expect("a text that was made can be read"), taken.parameters);
    }
    let context = context();
    let api_key: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
    for &method in Method::ALL {
        let request = HttpRequest { method, api_key: Some(&api_key), query, body };
        let _ = signed_request(&context, request, Standing::Good, NOW);
        let _ = public_read(&context, method, query);
    }
}

/// Evidence in a journal: what is read writes back to the same bytes, and leads to a command or to a reason why not.
pub fn evidence(data: &[u8]) {
    let Ok(evidence) = Evidence::decode(data) else { return };
    assert!(data.len() <= MAX_EVIDENCE);
    let encoded = evidence.encode().expect("what was read keeps the bounds");
    assert!(encoded == data || data.is_empty());
    let _ = command_from_evidence(&evidence, &context().directory);
}

/// Bytes of a client of the binary face: a session behind its logon takes them as they come. Nothing is read outside of a
/// frame, what is sent back is whole frames, and what is handed on for its signature leads to the same command again from
/// its evidence alone, but for the signature itself.
pub fn binary(data: &[u8]) {
    let context = Arc::new(context());
    let address = Arc::new(TokenBucket::new(Rate { per_second: 1_000_000, burst: 1_000_000 }));
    let mut fresh = BinarySession::new(Arc::clone(&context), Arc::clone(&address), NOW);
    let mut actions = BinaryActions::default();
    let taken = fresh.handle_bytes(data, NOW, &mut actions);
    assert!(taken <= data.len());
    whole_frames(&mut actions.frames);
    let mut open = open_session(&context, address);
    let mut actions = BinaryActions::default();
    let taken = open.handle_bytes(data, NOW, &mut actions);
    assert!(taken <= data.len());
    open.handle_timeout(Timestamp(NOW.0 + 3_000_000_000), &mut actions);
    for submission in &actions.submissions {
        if let Work::Native(native) = &submission.work {
            evidence_leads_back(native, &context.directory);
        }
    }
    whole_frames(&mut actions.frames);
    messages_read(data);
}

/// A session whose logon the verifier and the engine have taken.
fn open_session(context: &Arc<SessionContext>, address: Arc<TokenBucket>) -> BinarySession {
    let mut session = BinarySession::new(Arc::clone(context), address, NOW);
    let mut bytes = Vec::new();
    put(&mut bytes, &logon());
    let mut actions = BinaryActions::default();
    session.handle_bytes(&bytes, NOW, &mut actions);
    assert_eq!(actions.submissions.len(), 1, "a good logon is looked at");
    for _ in 0..2 {
        let mut notices = vec![Notice::Answered { request: 1, outcome: Ok(()) }];
        let taken = Taken { answered: 1, end: None };
        session.handle_news(taken, &mut notices, NOW, &mut BinaryActions::default());
    }
    assert!(session.takes_messages());
    session
}

fn logon() -> Logon {
    let mut target = [0; 32];
    target.copy_from_slice(&b"07".repeat(16));
    Logon {
        sequence_number: 1.into(),
        sending_time: NOW.0.into(),
        sender_comp_id: padded(b"fuzz"),
        target_comp_id: target,
        public_key: KEY,
        heartbeat_interval: 1_000.into(),
        resume_from_sequence: u64::MAX.into(),
        role: 0,
        disconnect_mode: 0,
        signature: [0; 64],
    }
}

fn evidence_leads_back(native: &NativeWork, directory: &Directory) {
    let evidence = Evidence::decode(&native.evidence).expect("what was written can be read");
    let encoded = evidence.encode().expect("what was written keeps the bounds");
    assert_eq!(encoded, native.evidence);
    // Nobody here can sign; everything in front of that has to hold.
    assert!(matches!(command_from_evidence(&evidence, directory), Err(EvidenceError::SignatureRefused) | Ok(_)));
    if let Evidence::Native { template, signed } = evidence {
        let request = OrderRequest::from_signed_body(template, signed.body).expect("what was taken can be read again");
        assert_eq!(request.command(KeyId(1)), native.command);
    }
}

fn whole_frames(frames: &mut [u8]) {
    stamp(frames, 1, NOW);
    let mut rest = &*frames;
    while !rest.is_empty() {
        let frame = next_frame(rest).expect("what is sent is frames").expect("whole ones");
        rest = &rest[frame.bytes.len()..];
    }
}

/// The client reads anything without a panic.
fn messages_read(data: &[u8]) {
    let mut incoming = Incoming::new();
    incoming.feed(data);
    let mut book = PublicBook::default();
    while let Ok(Some(message)) = incoming.next_message() {
        let _ = book.apply(&message);
    }
    if let Ok(Some(frame)) = next_frame(data) {
        assert!(frame.bytes.len() <= data.len());
        let _ = Message::read(&frame);
    }
}

/// Names of streams, numbers and times.
pub fn names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let directory = context().directory;
    if let Some(found) = stream::parse(text, &directory) {
        let market = directory.market(found.market).expect("a stream is of a market");
        let mut name = Vec::new();
        stream::write_name(&market, found.kind, &mut name);
        assert!(name.eq_ignore_ascii_case(text.as_bytes()));
    }
    for decimals in [0, 2, 8, 18] {
        if let Ok(units) = decimal::parse(text, decimals) {
            let mut written = Vec::new();
            decimal::write(u128::from(units), decimals, &mut written);
            let written = std::str::from_utf8(&written).expect("digits");
            assert_eq!(decimal::parse(written, decimals), Ok(units), "{text} {decimals}");
        }
    }
    let _ = Fields::new(&[]).text(text);
}

fn context() -> SessionContext {
    SessionContext {
        directory: directory(),
        options: SessionOptions::default(),
        key_budgets: Arc::new(KeyBudgets::new(KeyLimits::default())),
        counters: Arc::default(),
        presence: Arc::default(),
        started_at: Timestamp(0),
    }
}

/// One market and one key.
fn directory() -> Arc<Directory> {
    let directory = Directory::new([7; 16], Mode::Dev);
    for (number, symbol) in [(0, "BTC"), (1, "USDT")] {
        let symbol = Symbol::new(symbol).expect("a short name");
        let asset = AssetSpec { asset: AssetId(number), symbol, decimals: 8, chain_units_per_atom: 1 };
        directory.apply(&Event::AssetListed(asset));
    }
    directory.apply(&Event::MarketListed(MarketSpec {
        market: MarketId(0),
        symbol: Symbol::new("BTCUSDT").expect("a short name"),
        base: AssetId(0),
        quote: AssetId(1),
        tick_size_e8: 1_000_000,
        base_atoms_per_lot: 1_000,
        quote_atoms_per_tick_lot: 10,
        max_price: Ticks(100_000_000),
        min_quantity: Lots(1),
        max_quantity: Lots(10_000_000),
        min_notional: Atoms(1),
        market_order_band: 50_000,
        maker_fee: FeeRate(0),
        taker_fee: FeeRate(100),
        max_orders: 1_000,
        max_levels: 1_000,
    }));
    let reason = Reason::new("fuzz").expect("a short reason");
    directory.apply(&Event::MarketStateChanged {
        market: MarketId(0),
        state: MarketState::Open,
        reason,
        feed_sequence: 1,
    });
    let (key, account) = (KeyId(1), AccountId(1));
    directory.apply(&Event::KeyRegistered { key, account, public_key: KEY, expires_at: Timestamp::ZERO });
    directory.apply(&Event::KeyActivated { key });
    Arc::new(directory)
}
