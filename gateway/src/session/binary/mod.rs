//! A session of the binary face, without socket, threads or clock: bytes and news go in with the time, frames and work
//! for the verifier come out.
//!
//! ```text
//! client                                   venue
//!   Logon ────────────────────────────────▶  awaiting the logon: verified, journaled as every signed request
//!   ◀──────────────── LogonAccepted, missed reports      opening: the publisher, in the ring's order
//!   requests ─────────────────────────────▶  open
//!   ◀──────────────── reports, market data
//!   Heartbeat, TestRequest ◀──────────────▶
//!   Logout ◀──────────────────────────────▶  ended
//! ```
//!
//! A message that cannot be read, or whose number is not the next one, is answered with a Reject and ends the session: a
//! client and a venue that disagree about bytes must not go on. A request that is well-formed and cannot be taken gets a
//! BusinessReject and nothing else happens. While a logon is looked at nothing behind it is.
//! Bounds: requests without an answer, and everything that the outbox and the shell's buffers bound.

mod logon;
mod requests;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use lakh_engine::ids::AccountId;
use lakh_engine::units::Timestamp;

use self::logon::{Logon, Opening};
use super::{NOBODY, SessionContext, Standing, Submission};
use crate::byte_outbox::{Notice, Taken};
use crate::directory::KeyEntry;
use crate::hand_over::AnswerShape;
use crate::key_budgets::Errand;
use crate::limits::{Charge, TokenBucket};
use crate::presence::{Departure, Place};
use crate::request::refusal::{self, OVERLOADED_RETRY_MS};
use crate::wire::sbe::encode::{business_reject, name_of};
use crate::wire::sbe::enums::{Code, SessionRole};
use crate::wire::sbe::orders::{CancelOrder, MassCancel};
use crate::wire::sbe::session::{Heartbeat, Logon as LogonBlock, Logout, Reject, TestRequest};
use crate::wire::sbe::{Block, Frame, HEADER_BYTES, next_frame, padded, put};

/// How long a connection may take to log on.
const LOGON_TIMEOUT_NS: u64 = 10_000_000_000;
/// Most messages of a client in one session: their numbers are told back in 32 bits inside of the venue.
const MESSAGES_MAX: u64 = NOBODY as u64 - 1;
/// Bytes that a core reads at once.
const CACHE_LINE: usize = 64;
/// Bytes of evidence that share one allocation.
const EVIDENCE_CHUNK: usize = 64 * 1_024;

/// What the shell has to do, in this order.
#[derive(Debug, Default)]
pub struct BinaryActions {
    /// Work for the verifier. What it has no room for goes back by [`BinarySession::handle_refusal`].
    pub submissions: Vec<Submission>,
    /// Frames to be stamped and sent.
    pub frames: Vec<u8>,
    /// The connection is over once the frames are sent.
    pub end: Option<Code>,
}

/// A session of the binary face.
#[derive(Debug)]
pub struct BinarySession {
    context: Arc<SessionContext>,
    address: Arc<TokenBucket>,
    requests: TokenBucket,
    phase: Phase,
    /// Number of the client's next message.
    next_sequence: u64,
    heartbeat_ns: u64,
    heard_at: Timestamp,
    sent_at: Timestamp,
    /// When a TestRequest was sent that nothing has followed.
    tested_at: Option<Timestamp>,
    submitted: u64,
    answered: u64,
    bad_signatures: u32,
    /// The place of a session that trades among its account's.
    place: Option<Place>,
    evidence: BytesMut,
}

/// How far a session has come.
#[derive(Debug)]
enum Phase {
    /// Nobody has said who he is.
    AwaitingLogon {
        /// Until when he may.
        until: Timestamp,
    },
    /// The logon is being verified and journaled.
    LoggingOn(Box<Logon>),
    /// The publisher opens the account's stream.
    Opening(Box<Opening>),
    /// Requests are taken.
    Open(Member),
    /// What is in flight is waited for.
    Draining(Member),
    /// Nothing more is taken; the account still counts this session until its connection is gone.
    Leaving(Member),
    /// Nothing more is taken.
    Ended,
}

/// Who has logged on.
#[derive(Clone, Copy, Debug)]
struct Member {
    public_key: [u8; 32],
    key: KeyEntry,
    role: SessionRole,
}

impl BinarySession {
    /// A session that has just been opened. `address` is charged together with the connection.
    pub fn new(context: Arc<SessionContext>, address: Arc<TokenBucket>, now: Timestamp) -> Self {
        let options = context.options;
        Self {
            context,
            address,
            requests: TokenBucket::new(options.requests),
            phase: Phase::AwaitingLogon { until: Timestamp(now.0.saturating_add(LOGON_TIMEOUT_NS)) },
            next_sequence: 1,
            heartbeat_ns: 0,
            heard_at: now,
            sent_at: now,
            tested_at: None,
            submitted: 0,
            answered: 0,
            bad_signatures: 0,
            place: None,
            evidence: BytesMut::new(),
        }
    }

    /// Takes in bytes from the front of `input` and says how many: whole frames only, and none while a logon is looked
    /// at.
    pub fn handle_bytes(&mut self, input: &[u8], now: Timestamp, actions: &mut BinaryActions) -> usize {
        let mut consumed = 0;
        while self.takes_messages() {
            match next_frame(&input[consumed..]) {
                Ok(Some(frame)) => {
                    consumed += frame.bytes.len();
                    self.handle_frame(&frame, now, actions);
                }
                Ok(None) => break,
                Err(code) => {
                    self.reject((0, 0), code, actions);
                    break;
                }
            }
        }
        consumed
    }

    /// Takes in news of the session's own requests, and what was answered.
    pub fn handle_news(
        &mut self,
        taken: Taken,
        notices: &mut Vec<Notice>,
        now: Timestamp,
        actions: &mut BinaryActions,
    ) {
        self.answered += taken.answered;
        for notice in notices.drain(..) {
            match notice {
                Notice::Answered { outcome, .. } => self.settle(outcome, now, actions),
                Notice::Page(page) => self.take_page(*page, actions),
                Notice::BadSignature => {
                    self.bad_signatures += 1;
                    if self.bad_signatures >= self.context.options.bad_signatures {
                        self.log_out(Code::BadSignatures.number(), actions);
                    }
                }
            }
        }
        if let Some(code) = taken.end {
            self.log_out(code.number(), actions);
        }
        self.finish_draining(actions);
    }

    /// Takes in that the verifier had no room for one of the session's submissions.
    pub fn handle_refusal(&mut self, request: u32, shape: AnswerShape, actions: &mut BinaryActions) {
        self.answered += 1;
        match shape {
            AnswerShape::BinarySession => self.log_out(Code::Overloaded.number(), actions),
            _ => business_reject(request, (Code::Overloaded.number(), OVERLOADED_RETRY_MS), &mut actions.frames),
        }
    }

    /// Takes in that something was sent.
    pub const fn handle_sent(&mut self, now: Timestamp) {
        self.sent_at = now;
    }

    /// Lets time pass; to be called a few times within the shortest heartbeat interval.
    pub fn handle_timeout(&mut self, now: Timestamp, actions: &mut BinaryActions) {
        match &self.phase {
            Phase::AwaitingLogon { until } if *until <= now => self.log_out(Code::LogonTimeout.number(), actions),
            Phase::Open(_) | Phase::Draining(_) => self.keep_alive(now, actions),
            _ => {}
        }
    }

    /// Tells the client that the venue stops, once what is in flight is answered.
    pub fn handle_shutdown(&mut self, actions: &mut BinaryActions) {
        match self.phase {
            Phase::Open(member) => {
                self.phase = Phase::Draining(member);
                self.finish_draining(actions);
            }
            Phase::Draining(_) | Phase::Leaving(_) | Phase::Ended => {}
            _ => self.log_out(Code::ServerStops.number(), actions),
        }
    }

    /// Ends the session, whatever was in flight.
    pub fn handle_stop(&mut self, actions: &mut BinaryActions) {
        self.log_out(Code::ServerStops.number(), actions);
    }

    /// Takes in that the connection is gone. The account whose orders have to go then: this was its
    /// last session, and it wants that.
    pub fn handle_gone(&mut self) -> Option<AccountId> {
        self.phase = Phase::Ended;
        let place = self.place.take()?;
        let account = place.account();
        let was_last = self.context.presence.leave(place) == Departure::Last;
        (was_last && self.context.directory.cancels_on_disconnect(account)).then_some(account)
    }

    /// How long the client may say nothing before it is asked; nothing before its logon.
    pub const fn heartbeat(&self) -> Duration {
        Duration::from_nanos(self.heartbeat_ns)
    }

    /// Requests that have no answer yet.
    pub const fn in_flight(&self) -> u64 {
        self.submitted - self.answered
    }

    /// Whether a message would be looked at now.
    pub const fn takes_messages(&self) -> bool {
        matches!(self.phase, Phase::AwaitingLogon { .. } | Phase::Open(_) | Phase::Draining(_))
    }

    /// Whether the session is over.
    pub const fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended | Phase::Leaving(_))
    }

    fn handle_frame(&mut self, frame: &Frame<'_>, now: Timestamp, actions: &mut BinaryActions) {
        self.heard_at = now;
        self.tested_at = None;
        let Some(number) = frame.body().first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes)) else {
            return self.reject((0, frame.template), Code::BadBlockLength, actions);
        };
        let reference = (number, frame.template);
        let request = match self.checked_number(number) {
            Ok(request) => request,
            Err(code) => return self.reject(reference, code, actions),
        };
        let taken = match (&self.phase, frame.template) {
            (Phase::AwaitingLogon { .. }, LogonBlock::TEMPLATE) => self.log_on(frame, now, actions),
            (Phase::AwaitingLogon { .. }, _) => Err(Code::NotLoggedOn),
            (_, LogonBlock::TEMPLATE) => Err(Code::LoggedOnAlready),
            (_, Heartbeat::TEMPLATE) => frame.block::<Heartbeat>().map(|_| ()),
            (_, TestRequest::TEMPLATE) => frame.block::<TestRequest>().map(|test| {
                let (sequence_number, sending_time) = (0.into(), 0.into());
                put(&mut actions.frames, &Heartbeat { sequence_number, sending_time, test_id: test.test_id });
            }),
            (_, Logout::TEMPLATE) => frame.block::<Logout>().map(|_| self.log_out(0, actions)),
            (Phase::Open(member) | Phase::Draining(member), _) => {
                let member = *member;
                match self.charge(errand(frame.template), now) {
                    Charge::Paid => self.request(frame, (request, member), now, actions),
                    Charge::Refused => {
                        self.context.counters.requests_over_budget.count();
                        let wait_ns = self.requests.wait_ns(now).max(self.address.wait_ns(now));
                        let refused = (Code::RateLimited.number(), refusal::milliseconds(wait_ns));
                        business_reject(request, refused, &mut actions.frames);
                        Ok(())
                    }
                }
            }
            _ => Err(Code::BadTemplate),
        };
        if let Err(code) = taken {
            self.reject(reference, code, actions);
        }
    }

    /// The message's number, which has to be the next one, as the venue keeps it.
    fn checked_number(&mut self, number: u64) -> Result<u32, Code> {
        match number.cmp(&self.next_sequence) {
            std::cmp::Ordering::Less => return Err(Code::SequenceRepeated),
            std::cmp::Ordering::Greater => return Err(Code::SequenceGap),
            std::cmp::Ordering::Equal => {}
        }
        if number > MESSAGES_MAX {
            return Err(Code::SequenceExhausted);
        }
        self.next_sequence += 1;
        u32::try_from(number).map_err(|_| Code::SequenceExhausted)
    }

    /// Charges connection and address; cancels are the last to be refused.
    fn charge(&self, errand: Errand, now: Timestamp) -> Charge {
        match errand.charge(&self.requests, now) {
            Charge::Paid => errand.charge(&self.address, now),
            Charge::Refused => Charge::Refused,
        }
    }

    fn submit(&mut self, submission: Submission, actions: &mut BinaryActions) {
        self.submitted += 1;
        actions.submissions.push(submission);
    }

    fn standing(&self) -> Standing {
        if self.bad_signatures == 0 { Standing::Good } else { Standing::Suspect }
    }

    fn keep_alive(&mut self, now: Timestamp, actions: &mut BinaryActions) {
        let silent_ns = now.0.saturating_sub(self.heard_at.0);
        if silent_ns > 2 * self.heartbeat_ns {
            return self.log_out(Code::HeartbeatTimeout.number(), actions);
        }
        let (sequence_number, sending_time) = (0.into(), 0.into());
        if silent_ns > self.heartbeat_ns && self.tested_at.is_none() {
            self.tested_at = Some(now);
            put(&mut actions.frames, &TestRequest { sequence_number, sending_time, test_id: now.0.into() });
        } else if now.0.saturating_sub(self.sent_at.0) >= self.heartbeat_ns {
            put(&mut actions.frames, &Heartbeat { sequence_number, sending_time, test_id: 0.into() });
        }
    }

    fn finish_draining(&mut self, actions: &mut BinaryActions) {
        if matches!(self.phase, Phase::Draining(_)) && self.in_flight() == 0 {
            self.log_out(Code::ServerStops.number(), actions);
        }
    }

    /// Says that a message cannot be taken, and ends the session.
    fn reject(&mut self, (number, template): (u64, u16), code: Code, actions: &mut BinaryActions) {
        put(
            &mut actions.frames,
            &Reject {
                sequence_number: 0.into(),
                sending_time: 0.into(),
                ref_sequence_number: number.into(),
                ref_template_id: template.into(),
                code: code.number().into(),
                text: padded(code.name().as_bytes()),
            },
        );
        self.end(code, actions);
    }

    /// Says goodbye with a reason: a number of [`Code`], one of the engine, or 0 where there is no trouble.
    fn log_out(&mut self, code: u16, actions: &mut BinaryActions) {
        if actions.end.is_some() || self.has_ended() {
            return;
        }
        put(
            &mut actions.frames,
            &Logout {
                sequence_number: 0.into(),
                sending_time: 0.into(),
                code: code.into(),
                text: padded(name_of(code).as_bytes()),
            },
        );
        self.end(Code::from_number(code).unwrap_or(Code::EngineRefused), actions);
    }

    /// The connection is over once what is to be sent is sent. Who was in stays in until the connection is gone.
    fn end(&mut self, code: Code, actions: &mut BinaryActions) {
        actions.end.get_or_insert(code);
        self.phase = match self.phase {
            Phase::Open(member) | Phase::Draining(member) | Phase::Leaving(member) => Phase::Leaving(member),
            _ => Phase::Ended,
        };
    }
}

/// What a message is for, as far as its price goes.
const fn errand(template: u16) -> Errand {
    match template {
        CancelOrder::TEMPLATE | MassCancel::TEMPLATE => Errand::Cancel,
        _ => Errand::Other,
    }
}

/// Stamps number and time into frames that stand one behind the other; the number of the next one.
pub fn stamp(frames: &mut [u8], mut next_sequence: u64, now: Timestamp) -> u64 {
    // Another core wrote them: read at once, they come over together, and not one by one as each frame's length is known.
    for byte in frames.iter().step_by(CACHE_LINE) {
        black_box(*byte);
    }
    let mut rest = frames;
    while let Some(length) = rest.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes) as usize) {
        let (frame, behind) = rest.split_at_mut(length);
        frame[HEADER_BYTES..HEADER_BYTES + 8].copy_from_slice(&next_sequence.to_le_bytes());
        frame[HEADER_BYTES + 8..HEADER_BYTES + 16].copy_from_slice(&now.0.to_le_bytes());
        next_sequence += 1;
        rest = behind;
    }
    next_sequence
}

#[cfg(test)]
mod tests {
    use lakh_engine::command::Mode;

    use super::*;
    use crate::directory::Directory;
    use crate::key_budgets::{KeyBudgets, KeyLimits};
    use crate::limits::Rate;
    use crate::session::SessionOptions;

    /// Nobody sends four billion messages in a test, so the session is told that it has had them.
    #[test]
    fn a_session_has_an_end_of_its_numbers() {
        let context = SessionContext {
            directory: Arc::new(Directory::new([7; 16], Mode::Run)),
            options: SessionOptions::default(),
            key_budgets: Arc::new(KeyBudgets::new(KeyLimits::default())),
            counters: Arc::default(),
            presence: Arc::default(),
            started_at: Timestamp(0),
        };
        let address = Arc::new(TokenBucket::new(Rate { per_second: 1, burst: 1 }));
        let mut session = BinarySession::new(Arc::new(context), address, Timestamp(1));
        session.next_sequence = MESSAGES_MAX;
        assert_eq!(session.checked_number(MESSAGES_MAX - 1), Err(Code::SequenceRepeated));
        assert_eq!(session.checked_number(MESSAGES_MAX + 1), Err(Code::SequenceGap));
        assert_eq!(session.checked_number(MESSAGES_MAX), Ok(NOBODY - 1));
        assert_eq!(session.checked_number(MESSAGES_MAX + 1), Err(Code::SequenceExhausted));
    }
}
