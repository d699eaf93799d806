//! A session of the binary face, stepped by hand with virtual time: each code that a message can be refused with, each
//! way that a session can end, and what keeps it alive.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic, its helpers included")]

mod common;

use std::sync::Arc;

use common::{VENUE_TAG, directory, now, signing_key};
use lakh_engine::command::{
    AmendOrder, CancelOrder, Command, FrameOperation, Mode, OrderReference, OrderType, PlaceOrder, Side,
};
use lakh_engine::event::{Event, KeyEnd};
use lakh_engine::ids::{ClientId, KeyId, MarketId, OrderId};
use lakh_engine::units::{Lots, Ticks, Timestamp};
use lakh_gateway::api_error::ApiError;
use lakh_gateway::binary_client::{Incoming, LogonOptions, Message, Requests};
use lakh_gateway::byte_outbox::{ByteOutbox, Notice, Taken};
use lakh_gateway::directory::Directory;
use lakh_gateway::hand_over::{AnswerShape, RequestHandle, SessionHandle};
use lakh_gateway::key_budgets::{KeyBudgets, KeyLimits};
use lakh_gateway::limits::{Rate, TokenBucket};
use lakh_gateway::session::binary::{BinaryActions, BinarySession, stamp};
use lakh_gateway::session::{SessionContext, SessionOptions, Submission, Work};
use lakh_gateway::wire::sbe::enums::{Code, SessionRole};
use lakh_gateway::wire::sbe::orders::{NewOrder, OrderFrame, QuoteEntry};
use lakh_gateway::wire::sbe::session::{Logon, LogonAccepted};
use lakh_gateway::wire::sbe::{Block, HEADER_BYTES};

const MARKET: MarketId = MarketId(0);
const SECOND: u64 = 1_000_000_000;
/// Where a new order's fields stand in its frame, behind the header.
const SIDE_AT: usize = HEADER_BYTES + 38;
const CLIENT_ID_AT: usize = HEADER_BYTES + 90;

/// One session, the client's requests, and the time.
struct Stepped {
    directory: Arc<Directory>,
    session: BinarySession,
    requests: Requests,
    incoming: Incoming,
    next_sequence: u64,
    now: Timestamp,
    submissions: Vec<Submission>,
    end: Option<Code>,
}

impl Stepped {
    /// A connection on which nothing was said yet.
    fn connected(options: SessionOptions) -> Self {
        let directory = directory(Mode::Run);
        let now = now();
        let context = SessionContext {
            directory: Arc::clone(&directory),
            options,
            key_budgets: Arc::new(KeyBudgets::new(KeyLimits::default())),
            counters: Arc::default(),
            presence: Arc::default(),
            started_at: Timestamp(now.0 - 60 * SECOND),
        };
        let address = Arc::new(TokenBucket::new(Rate { per_second: 1_000_000, burst: 1_000_000 }));
        Self {
            directory,
            session: BinarySession::new(Arc::new(context), address, now),
            requests: Requests::new(signing_key()),
            incoming: Incoming::new(),
            next_sequence: 1,
            now,
            submissions: Vec::new(),
            end: None,
        }
    }

    fn open(options: SessionOptions) -> Self {
        let mut stepped = Self::connected(options);
        stepped.log_on(&logon());
        stepped
    }

    /// Logs on: the verifier and then the publisher say yes.
    fn log_on(&mut self, options: &LogonOptions) {
        self.requests.log_on(options, self.now);
        assert!(self.send().is_empty());
        for _ in 0..2 {
            let submission = self.submissions.pop().expect("the logon, then its reports");
            self.answer(submission.request, Ok(()));
        }
        assert!(self.session.takes_messages());
        let (chain_id, contract) = self.directory.signing_domain().parts();
        let accepted = LogonAccepted {
            sequence_number: 1.into(),
            sending_time: 0.into(),
            account_id: 5.into(),
            key_id: 3.into(),
            last_account_sequence: 0.into(),
            resumed_from: 0.into(),
            heartbeat_interval: 1_000.into(),
            chain_id: chain_id.into(),
            contract,
            max_in_flight: 256.into(),
            role: 0,
        };
        self.requests.logged_on(&accepted);
    }

    /// Sends what the client has collected.
    fn send(&mut self) -> Vec<Message> {
        let bytes = self.requests.bytes().to_vec();
        self.requests.clear();
        self.bytes(&bytes)
    }

    /// Sends bytes; what the client is told at once.
    fn bytes(&mut self, bytes: &[u8]) -> Vec<Message> {
        let mut actions = BinaryActions::default();
        let taken = self.session.handle_bytes(bytes, self.now, &mut actions);
        assert!(taken <= bytes.len());
        self.perform(actions)
    }

    fn answer(&mut self, request: u32, outcome: Result<(), u16>) -> Vec<Message> {
        let mut actions = BinaryActions::default();
        let taken = Taken { answered: 1, end: None };
        self.session.handle_news(taken, &mut vec![Notice::Answered { request, outcome }], self.now, &mut actions);
        self.perform(actions)
    }

    fn pass(&mut self, nanoseconds: u64) -> Vec<Message> {
        self.now.0 += nanoseconds;
        let mut actions = BinaryActions::default();
        self.session.handle_timeout(self.now, &mut actions);
        self.perform(actions)
    }

    fn perform(&mut self, mut actions: BinaryActions) -> Vec<Message> {
        self.submissions.append(&mut actions.submissions);
        self.end = self.end.or(actions.end);
        if !actions.frames.is_empty() {
            self.session.handle_sent(self.now);
        }
        self.next_sequence = stamp(&mut actions.frames, self.next_sequence, self.now);
        self.incoming.feed(&actions.frames);
        std::iter::from_fn(|| self.incoming.next_message().unwrap()).collect()
    }

    /// Places an order; the number of the refusal, 0 when it went on to the verifier.
    fn place(&mut self) -> u16 {
        let request = self.requests.place(&order("o"), self.now);
        business_code(&self.send(), request)
    }

    fn cancel(&mut self) -> u16 {
        let cancel = CancelOrder { market: MARKET, target: OrderReference::OrderId(OrderId(64)) };
        let request = self.requests.cancel(&cancel, self.now);
        business_code(&self.send(), request)
    }
}

fn logon() -> LogonOptions {
    LogonOptions { heartbeat_ms: 1_000, ..LogonOptions::new(VENUE_TAG) }
}

fn order(client_id: &str) -> PlaceOrder {
    let client_id = ClientId::new(client_id).unwrap();
    PlaceOrder { client_id, ..PlaceOrder::limit(MARKET, Side::Bid, Ticks(7_000_000), Lots(5)) }
}

fn business_code(messages: &[Message], request: u64) -> u16 {
    match messages {
        [] => 0,
        [Message::BusinessReject(reject)] => {
            assert_eq!(reject.request_sequence.get(), request);
            reject.code.get()
        }
        other => panic!("{other:?}"),
    }
}

fn put_u16(frame: &mut [u8], at: usize, value: u16) {
    frame[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

fn set_length(frame: &mut Vec<u8>, length: usize) {
    frame.resize(length, 0);
    frame[..4].copy_from_slice(&u32::try_from(length).unwrap().to_le_bytes());
}

/// A new order, changed, as the first message behind a logon: one Reject with this code and nothing else.
fn rejected(name: &str, frame: &[u8], code: Code, reference: (u64, u16)) {
    let mut stepped = Stepped::open(SessionOptions::default());
    let messages = stepped.bytes(frame);
    let [Message::Reject(reject)] = &messages[..] else { panic!("{name}: {messages:?}") };
    assert_eq!(reject.code.get(), code.number(), "{name}: {}", code.name());
    assert_eq!((reject.ref_sequence_number.get(), reject.ref_template_id.get()), reference, "{name}");
    assert!(reject.text.starts_with(code.name().as_bytes()), "{name}");
    assert_eq!(stepped.end, Some(code), "{name}");
    assert!(stepped.submissions.is_empty() && stepped.session.has_ended(), "{name}: nothing of it goes on");
    let mut actions = BinaryActions::default();
    assert_eq!(stepped.session.handle_bytes(frame, stepped.now, &mut actions), 0, "{name}: nothing more is taken");
}

/// The bytes of the second message of a session, written by the reference client.
fn second(write: impl FnOnce(&mut Requests, Timestamp) -> u64) -> Vec<u8> {
    let mut stepped = Stepped::open(SessionOptions::default());
    write(&mut stepped.requests, stepped.now);
    stepped.requests.bytes().to_vec()
}

#[test]
fn what_cannot_be_read_is_rejected_with_its_reason_and_ends_the_session() {
    type Change = fn(&mut Vec<u8>);
    let cases: [(&str, Change, Code, (u64, u16)); 22] = [
        ("shorter than a header", |frame| set_length(frame, 13), Code::BadLength, (0, 0)),
        ("longer than a frame", |frame| frame[..4].copy_from_slice(&16_385_u32.to_le_bytes()), Code::BadLength, (0, 0)),
        ("a block behind the frame", |frame| put_u16(frame, 6, 60_000), Code::BadLength, (0, 0)),
        ("bytes behind the block", |frame| set_length(frame, frame.len() + 1), Code::BadLength, (2, 10)),
        ("big-endian", |frame| put_u16(frame, 4, 0x5be0), Code::BadEncoding, (0, 0)),
        ("another schema", |frame| put_u16(frame, 10, 101), Code::BadSchema, (0, 0)),
        ("no version", |frame| put_u16(frame, 12, 0), Code::BadVersion, (0, 0)),
        ("a later version", |frame| put_u16(frame, 12, 2), Code::BadVersion, (2, 10)),
        ("no such template", |frame| put_u16(frame, 8, 999), Code::BadTemplate, (2, 999)),
        ("a message of the venue", |frame| put_u16(frame, 8, 20), Code::BadTemplate, (2, 20)),
        ("a shorter block", |frame| put_u16(frame, 6, 177), Code::BadBlockLength, (2, 10)),
        (
            "a shorter frame and block",
            |frame| (set_length(frame, 191), put_u16(frame, 6, 177)).1,
            Code::BadBlockLength,
            (2, 10),
        ),
        (
            "no block at all",
            |frame| (set_length(frame, HEADER_BYTES), put_u16(frame, 6, 0)).1,
            Code::BadBlockLength,
            (0, 10),
        ),
        ("no side", |frame| frame[SIDE_AT] = 2, Code::BadEnum, (2, 10)),
        ("no order type", |frame| frame[SIDE_AT + 1] = 8, Code::BadEnum, (2, 10)),
        ("no time in force", |frame| frame[SIDE_AT + 2] = 4, Code::BadEnum, (2, 10)),
        ("no self-trade mode", |frame| frame[SIDE_AT + 3] = 255, Code::BadEnum, (2, 10)),
        ("a space in an id", |frame| frame[CLIENT_ID_AT] = b' ', Code::BadText, (2, 10)),
        ("something behind an id's zeroes", |frame| frame[CLIENT_ID_AT + 23] = b'x', Code::BadText, (2, 10)),
        ("a number too high", |frame| frame[HEADER_BYTES] = 3, Code::SequenceGap, (3, 10)),
        ("a number that was used", |frame| frame[HEADER_BYTES] = 1, Code::SequenceRepeated, (1, 10)),
        ("no number", |frame| frame[HEADER_BYTES] = 0, Code::SequenceRepeated, (0, 10)),
    ];
    let good = second(|requests, now| requests.place(&order("o"), now));
    assert_eq!((good.len(), good[SIDE_AT], good[CLIENT_ID_AT]), (HEADER_BYTES + size_of::<NewOrder>(), 0, b'o'));
    for (name, change, code, reference) in cases {
        let mut frame = good.clone();
        change(&mut frame);
        rejected(name, &frame, code, reference);
    }
    // Whatever stands in front of a bad frame was taken.
    let mut stepped = Stepped::open(SessionOptions::default());
    stepped.requests.place(&order("first"), stepped.now);
    stepped.requests.heartbeat(0, stepped.now);
    let mut bytes = stepped.requests.bytes().to_vec();
    bytes[good.len()..good.len() + 4].copy_from_slice(&13_u32.to_le_bytes());
    assert!(matches!(stepped.bytes(&bytes)[..], [Message::Reject(_)]));
    assert_eq!(stepped.submissions.len(), 1);
}

#[test]
fn groups_and_fields_that_do_not_count_are_looked_at() {
    let operations = |count: usize| vec![FrameOperation::PlaceOrder(order("")); count];
    let quote = |slot| QuoteEntry {
        bid_price: 1.into(),
        bid_quantity: 1.into(),
        ask_price: 2.into(),
        ask_quantity: 1.into(),
        slot,
    };
    let quotes = |count: u8| (0..count).map(quote).collect::<Vec<_>>();
    let terms = PlaceOrder { order_type: OrderType::LimitMaker, ..order("") };
    for (name, frame) in [
        ("no operation", second(|requests, now| requests.frame(&[], now))),
        ("65 operations", second(|requests, now| requests.frame(&operations(65), now))),
        ("no quote", second(|requests, now| requests.mass_quote(&terms, &[], now))),
        ("33 quotes", second(|requests, now| requests.mass_quote(&terms, &quotes(33), now))),
    ] {
        let template = u16::from_le_bytes([frame[8], frame[9]]);
        rejected(name, &frame, Code::BadGroup, (2, template));
    }
    let one = second(|requests, now| requests.frame(&operations(1), now));
    let group_at = HEADER_BYTES + size_of::<OrderFrame>();
    type Change = fn(&mut Vec<u8>, usize);
    let cases: [(&str, Change); 4] = [
        ("entries of another length", |frame, at| frame[at] += 1),
        ("more entries than there are", |frame, at| frame[at + 2] = 2),
        ("bytes behind the entries", |frame, _| set_length(frame, frame.len() + 1)),
        ("half a group's header", |frame, at| set_length(frame, at + 3)),
    ];
    for (name, change) in cases {
        let mut frame = one.clone();
        change(&mut frame, group_at);
        rejected(name, &frame, Code::BadGroup, (2, OrderFrame::TEMPLATE));
    }
    // Each operation has fields of its own; the others are zero, or the client means something that does not happen.
    let entry_at = group_at + 4;
    let mut kind = one.clone();
    kind[entry_at] = 4;
    rejected("no such operation", &kind, Code::BadEnum, (2, OrderFrame::TEMPLATE));
    kind[entry_at] = 1;
    rejected("a cancel with a price", &kind, Code::UnusedField, (2, OrderFrame::TEMPLATE));
    let cancel = CancelOrder { market: MARKET, target: OrderReference::OrderId(OrderId(64)) };
    let amend = AmendOrder::less(MARKET, OrderReference::OrderId(OrderId(64)), Lots(1));
    for (name, mut frame) in [
        ("a cancel by two ids", second(|requests, now| requests.cancel(&cancel, now))),
        ("an amendment by two ids", second(|requests, now| requests.amend(&amend, now))),
    ] {
        let (template, id_at) = (u16::from_le_bytes([frame[8], frame[9]]), HEADER_BYTES + 46);
        frame[id_at] = b'x';
        rejected(name, &frame, Code::UnusedField, (2, template));
    }
}

/// 64 operations and 32 quotes are taken, and lead to one command with as many operations.
#[test]
fn a_frame_takes_64_operations_and_a_mass_quote_32() {
    let mut stepped = Stepped::open(SessionOptions::default());
    stepped.requests.frame(&vec![FrameOperation::PlaceOrder(order("")); 64], stepped.now);
    let quote = |slot| QuoteEntry {
        bid_price: 1.into(),
        bid_quantity: 1.into(),
        ask_price: 2.into(),
        ask_quantity: 1.into(),
        slot,
    };
    let quotes: Vec<_> = (0..32).map(quote).collect();
    let terms = PlaceOrder { order_type: OrderType::LimitMaker, ..order("") };
    stepped.requests.mass_quote(&terms, &quotes, stepped.now);
    assert!(stepped.send().is_empty());
    let operations = |submission: &Submission| match &submission.work {
        Work::Native(native) => match &native.command {
            Command::Frame(frame) => frame.operations.len(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(stepped.submissions.iter().map(operations).collect::<Vec<_>>(), [64, 32]);
}

#[test]
fn the_first_message_is_a_logon_and_no_other_is() {
    let refused = |stepped: &mut Stepped, code: Code| {
        let messages = stepped.send();
        assert!(
            matches!(&messages[..], [Message::Reject(reject)] if reject.code.get() == code.number()),
            "{messages:?}"
        );
        assert_eq!(stepped.end, Some(code));
    };
    let mut stepped = Stepped::connected(SessionOptions::default());
    stepped.requests.heartbeat(0, stepped.now);
    refused(&mut stepped, Code::NotLoggedOn);
    let mut stepped = Stepped::open(SessionOptions::default());
    stepped.requests.log_on(&logon(), stepped.now);
    let mut again = stepped.requests.bytes().to_vec();
    again[HEADER_BYTES] = 2;
    stepped.requests.clear();
    assert!(matches!(&stepped.bytes(&again)[..], [Message::Reject(reject)]
        if reject.code.get() == Code::LoggedOnAlready.number()));
    for (shift, code) in [
        (-6_i64, Code::SendingTimeOutsideWindow),
        (2, Code::SendingTimeOutsideWindow),
        (-61, Code::SendingTimeOutsideWindow),
    ] {
        let mut stepped = Stepped::connected(SessionOptions::default());
        let at = stepped.now.0.saturating_add_signed(shift * 1_000_000_000);
        stepped.requests.log_on(&logon(), Timestamp(at));
        refused(&mut stepped, code);
    }
    type Change = fn(&mut Logon);
    let changes: [(Change, Code); 4] = [
        (|logon| logon.role = 3, Code::BadEnum),
        (|logon| logon.disconnect_mode = 3, Code::BadEnum),
        (|logon| logon.sender_comp_id = [0; 16], Code::BadText),
        (|logon| logon.heartbeat_interval = 60_001.into(), Code::BadHeartbeatInterval),
    ];
    for (change, code) in changes {
        let mut stepped = Stepped::connected(SessionOptions::default());
        stepped.requests.log_on(&logon(), stepped.now);
        let mut bytes = stepped.requests.bytes().to_vec();
        stepped.requests.clear();
        let block: &mut Logon = zerocopy::FromBytes::mut_from_bytes(&mut bytes[HEADER_BYTES..]).unwrap();
        change(block);
        let messages = stepped.bytes(&bytes);
        assert!(
            matches!(&messages[..], [Message::Reject(reject)] if reject.code.get() == code.number()),
            "{messages:?}"
        );
    }
}

/// What comes behind a logon waits until it is answered, and an answer that is no ends the session with its reason.
#[test]
fn a_logon_is_answered_before_anything_else_is_looked_at() {
    let mut stepped = Stepped::connected(SessionOptions::default());
    stepped.requests.log_on(&logon(), stepped.now);
    let logon_bytes = stepped.requests.bytes().len();
    stepped.requests.place(&order("early"), stepped.now);
    let bytes = stepped.requests.bytes().to_vec();
    let mut actions = BinaryActions::default();
    assert_eq!(stepped.session.handle_bytes(&bytes, stepped.now, &mut actions), logon_bytes);
    assert!(!stepped.session.takes_messages());
    for (outcome, code) in [
        (Code::BadSignature.number(), Code::LogonRefused.number()),
        (Code::NonceUsed.number(), Code::LogonRefused.number()),
        (Code::ResumeTooOld.number(), Code::ResumeTooOld.number()),
        (Code::Overloaded.number(), Code::Overloaded.number()),
        (Code::TooManySubscriptions.number(), Code::TooManySubscriptions.number()),
        // A reason of the engine keeps its own number.
        (lakh_engine::reject::RejectCode::KeyRevoked as u16, lakh_engine::reject::RejectCode::KeyRevoked as u16),
    ] {
        let mut stepped = Stepped::connected(SessionOptions::default());
        stepped.requests.log_on(&logon(), stepped.now);
        stepped.send();
        let messages = stepped.answer(1, Err(outcome));
        assert!(matches!(&messages[..], [Message::Logout(logout)] if logout.code.get() == code), "{messages:?}");
        assert_eq!(stepped.end, Some(Code::from_number(code).unwrap_or(Code::EngineRefused)));
    }
    // The verifier had no room for it.
    let mut stepped = Stepped::connected(SessionOptions::default());
    stepped.requests.log_on(&logon(), stepped.now);
    stepped.send();
    let mut actions = BinaryActions::default();
    stepped.session.handle_refusal(1, AnswerShape::BinarySession, &mut actions);
    assert!(matches!(&stepped.perform(actions)[..], [Message::Logout(logout)]
        if logout.code.get() == Code::Overloaded.number()));
}

#[test]
fn both_sides_say_that_they_are_there_and_who_does_not_is_let_go() {
    let mut stepped = Stepped::connected(SessionOptions::default());
    assert!(stepped.pass(9 * SECOND).is_empty());
    let messages = stepped.pass(SECOND);
    assert!(matches!(&messages[..], [Message::Logout(logout)] if logout.code.get() == Code::LogonTimeout.number()));

    let mut stepped = Stepped::open(SessionOptions::default());
    assert_eq!(stepped.session.heartbeat().as_millis(), 1_000);
    stepped.requests.test_request(77, stepped.now);
    let messages = stepped.send();
    assert!(matches!(&messages[..], [Message::Heartbeat(heartbeat)] if heartbeat.test_id.get() == 77), "{messages:?}");
    // The client speaks and is told nothing else: the venue says that it is there.
    for _ in 0..3 {
        assert!(stepped.pass(SECOND / 2).is_empty());
        stepped.requests.heartbeat(0, stepped.now);
        assert!(stepped.send().is_empty());
        let messages = stepped.pass(SECOND / 2);
        assert!(
            matches!(&messages[..], [Message::Heartbeat(heartbeat)] if heartbeat.test_id.get() == 0),
            "{messages:?}"
        );
        stepped.requests.heartbeat(0, stepped.now);
        assert!(stepped.send().is_empty());
    }
    // Nothing is heard: it is asked once, and let go after two intervals.
    let messages = stepped.pass(SECOND + 1);
    let [Message::TestRequest(test)] = &messages[..] else { panic!("{messages:?}") };
    stepped.requests.heartbeat(test.test_id.get(), stepped.now);
    assert!(stepped.send().is_empty());
    assert!(matches!(&stepped.pass(SECOND + 1)[..], [Message::TestRequest(_)]));
    assert!(stepped.pass(SECOND / 2).is_empty(), "asked once");
    let messages = stepped.pass(SECOND / 2);
    assert!(matches!(&messages[..], [Message::Logout(logout)] if logout.code.get() == Code::HeartbeatTimeout.number()));
    assert_eq!(stepped.end, Some(Code::HeartbeatTimeout));
}

#[test]
fn a_logout_is_answered_and_a_stop_waits_for_what_is_in_flight() {
    let mut stepped = Stepped::open(SessionOptions::default());
    stepped.requests.log_out(stepped.now);
    assert!(matches!(&stepped.send()[..], [Message::Logout(logout)] if logout.code.get() == 0));
    assert!(stepped.session.has_ended());

    let mut stepped = Stepped::open(SessionOptions::default());
    assert_eq!(stepped.place(), 0);
    let mut actions = BinaryActions::default();
    stepped.session.handle_shutdown(&mut actions);
    assert!(stepped.perform(actions).is_empty(), "an order has no answer yet");
    assert_eq!(stepped.place(), Code::ShuttingDown.number());
    let taken = Taken { answered: 1, end: None };
    let mut actions = BinaryActions::default();
    stepped.session.handle_news(taken, &mut Vec::new(), stepped.now, &mut actions);
    let messages = stepped.perform(actions);
    assert!(matches!(&messages[..], [Message::Logout(logout)] if logout.code.get() == Code::ServerStops.number()));
    // One that waits for its logon is told at once.
    let mut stepped = Stepped::connected(SessionOptions::default());
    let mut actions = BinaryActions::default();
    stepped.session.handle_shutdown(&mut actions);
    assert!(matches!(&stepped.perform(actions)[..], [Message::Logout(logout)]
        if logout.code.get() == Code::ServerStops.number()));
}

#[test]
fn requests_that_are_well_formed_and_not_taken_leave_the_session_open() {
    let changed = |change: &dyn Fn(&mut NewOrder)| {
        let mut stepped = Stepped::open(SessionOptions::default());
        let request = stepped.requests.place(&order("o"), stepped.now);
        let mut bytes = stepped.requests.bytes().to_vec();
        stepped.requests.clear();
        let block: &mut NewOrder = zerocopy::FromBytes::mut_from_bytes(&mut bytes[HEADER_BYTES..]).unwrap();
        change(block);
        let code = business_code(&stepped.bytes(&bytes), request);
        assert!(stepped.submissions.is_empty() && stepped.end.is_none());
        assert_eq!(stepped.place(), 0, "the session goes on");
        code
    };
    let at = |offset: i64| now().0.saturating_add_signed(offset);
    assert_eq!(changed(&|order| order.account_id = 6.into()), Code::WrongAccount.number());
    assert_eq!(changed(&|order| order.valid_until = 0.into()), Code::ValidUntilMissing.number());
    assert_eq!(changed(&|order| order.valid_until = at(-1_000_000_000).into()), Code::ValidUntilPassed.number());
    assert_eq!(changed(&|order| order.valid_until = at(62_000_000_000).into()), Code::ValidUntilTooFar.number());
    let mut stepped = Stepped::open(SessionOptions::default());
    stepped.directory.apply(&Event::KeyEnded { key: KeyId(3), cause: KeyEnd::Revoked });
    assert_eq!(stepped.place(), Code::KeyEnded.number());
    for role in [SessionRole::DropCopy, SessionRole::MarketData] {
        let mut stepped = Stepped::connected(SessionOptions::default());
        stepped.requests.log_on(&LogonOptions { role, ..logon() }, stepped.now);
        stepped.send();
        while let Some(submission) = stepped.submissions.pop() {
            stepped.answer(submission.request, Ok(()));
        }
        let request = stepped.requests.place(&order("o"), stepped.now);
        assert_eq!(business_code(&stepped.send(), request), Code::ReadOnlySession.number());
    }
}

#[test]
fn cancels_are_the_last_to_be_limited() {
    let mut stepped = Stepped::open(SessionOptions { in_flight: 3, ..SessionOptions::default() });
    assert_eq!([stepped.place(), stepped.place(), stepped.place()], [0; 3]);
    assert_eq!(stepped.place(), Code::TooManyInFlight.number());
    assert_eq!(stepped.cancel(), 0);
    assert_eq!(stepped.cancel(), Code::TooManyInFlight.number());

    let requests = Rate { per_second: 1, burst: 3 };
    let mut stepped = Stepped::open(SessionOptions { requests, ..SessionOptions::default() });
    assert_eq!([stepped.place(), stepped.place(), stepped.place()], [0; 3]);
    let request = stepped.requests.place(&order("o"), stepped.now);
    let messages = stepped.send();
    let [Message::BusinessReject(reject)] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!((reject.request_sequence.get(), reject.code.get()), (request, Code::RateLimited.number()));
    let after = reject.retry_after.get();
    assert!((1..=1_001).contains(&after), "{after} ms until there is a token again");
    assert_eq!(stepped.cancel(), 0, "a cancel may overdraw by a third");
    assert_eq!(stepped.cancel(), Code::RateLimited.number());
    stepped.now.0 += 2_000_000_000;
    assert_eq!(stepped.place(), 0);
}

/// What verifier, sequencer and publisher refuse has one number each on this face, and says when to try again.
#[test]
fn refusals_of_the_shared_parts_have_their_numbers() {
    for (error, code) in [
        (-1000, Code::Internal),
        (-1001, Code::JournalStopped),
        (-1003, Code::RateLimited),
        (-1008, Code::Overloaded),
        (-1015, Code::OrderBudget),
        (-1022, Code::BadSignature),
        (-1100, Code::BadLength),
        (-1121, Code::UnknownMarket),
        (-2010, Code::NonceUsed),
        (-9999, Code::Internal),
    ] {
        let outbox = Arc::new(ByteOutbox::new(1 << 16));
        let session = SessionHandle::of_bytes(Arc::clone(&outbox));
        let handle = RequestHandle { session, request: 9, shape: AnswerShape::Binary };
        handle.answer(Err(ApiError { retry_after_ms: 25, ..ApiError::bad_request(error, "no") }));
        let (mut frames, mut notices) = (Vec::new(), Vec::new());
        assert_eq!(outbox.take(&mut frames, &mut notices).answered, 1);
        stamp(&mut frames, 1, now());
        let mut incoming = Incoming::new();
        incoming.feed(&frames);
        let Some(Message::BusinessReject(reject)) = incoming.next_message().unwrap() else { panic!("{error}") };
        assert_eq!((reject.request_sequence.get(), reject.code.get()), (9, code.number()), "{error}");
        assert_eq!(reject.retry_after.get(), 25);
        assert_eq!(matches!(notices[..], [Notice::BadSignature]), code == Code::BadSignature);
    }
}
