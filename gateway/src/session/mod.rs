//! Sessions without sockets, threads or clocks: frames and answers go in with the time, actions come out.
//!
//! The shell that owns the socket does what the actions say, in their order. Everything that a session keeps is gone
//! with its connection, and a reconnect can rebuild it.
//! Bounds: requests without an answer, subscriptions and streams, each by [`SessionOptions`].

mod api;
pub mod binary;
mod departure;
mod in_flight;
mod one_shot;
mod private_events;
mod streams;

use std::sync::Arc;

use bytes::Bytes;
use lakh_engine::command::{Command, EvidenceGrade, Operation};
use lakh_engine::ids::{AccountId, KeyId};
use lakh_engine::units::Timestamp;

pub use self::api::ApiSession;
pub(crate) use self::one_shot::text_error;
pub use self::one_shot::{HttpRequest, public_read, signed_request};
pub use self::streams::StreamSession;

use crate::api_error::ApiError;
use crate::counters::Counters;
use crate::directory::{Directory, KeyEntry, KeyStatus};
use crate::exchange_info::exchange_info_with_limits;
use crate::hand_over::{AnswerShape, Read, StreamWrapping, ToSession};
use crate::key_budgets::{Errand, KeyBudgets};
use crate::limits::{Rate, TokenBucket};
use crate::presence::Presence;
use crate::request::{self, Fields, Method, Timing, refusal};
use crate::wire::json::response;

/// The request number of what nobody waits for.
pub const NOBODY: u32 = u32::MAX;

/// Bounds and times of each session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// Requests without an answer: 1 ..= 12,288. More get -1015, cancels only beyond a third more.
    pub in_flight: usize,
    /// How long an answer may take before the client is told -1007, in nanoseconds.
    pub answer_timeout_ns: u64,
    /// Time between two pings, in nanoseconds.
    pub ping_interval_ns: u64,
    /// Time without any frame after which the connection ends, in nanoseconds.
    pub idle_timeout_ns: u64,
    /// Requests of the connection.
    pub requests: Rate,
    /// Control messages of a stream connection.
    pub control_messages: Rate,
    /// Public streams of one connection.
    pub streams: usize,
    /// Subscriptions to private events of one connection.
    pub subscriptions: usize,
    /// Private events that are held back while a client is told what it missed.
    pub held_reports: usize,
    /// Signatures that are not accepted before the connection ends.
    pub bad_signatures: u32,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            in_flight: 256,
            answer_timeout_ns: 10_000_000_000,
            ping_interval_ns: 20_000_000_000,
            idle_timeout_ns: 60_000_000_000,
            requests: Rate { per_second: 50_000, burst: 50_000 },
            control_messages: Rate { per_second: 20, burst: 100 },
            streams: 1_024,
            subscriptions: 16,
            held_reports: 8_192,
            bad_signatures: 3,
        }
    }
}

/// What all sessions of a gateway share.
#[derive(Clone, Debug)]
pub struct SessionContext {
    /// Markets and keys.
    pub directory: Arc<Directory>,
    /// Bounds and times.
    pub options: SessionOptions,
    /// What each key has used up: told to clients; the verifier holds everybody to it.
    pub key_budgets: Arc<KeyBudgets>,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// Who has asked that orders go with the last session.
    pub presence: Arc<Presence>,
    /// When the gateway started. What was signed before is not taken: nobody remembers which reads used it.
    pub started_at: Timestamp,
}

impl SessionContext {
    /// The key as it speaks in this request, if it may: a key that is bound to one of its owner's accounts reads and asks for
    /// nothing of the others.
    fn speaking_key(
        &self,
        method: Method,
        fields: Fields<'_>,
        public_key: &[u8; 32],
        now: Timestamp,
    ) -> Result<KeyEntry, ApiError> {
        let key = match method {
            Method::KeyActivate => self.usable_key(public_key, now)?,
            _ => self.live_key(public_key, now)?,
        };
        let key = request::speaking(method, fields, key, &self.directory)?;
        if key.bound_to.is_none_or(|bound| bound == key.account) { Ok(key) } else { Err(refusal::not_permitted()) }
    }

    /// The key, if it may trade.
    fn live_key(&self, public_key: &[u8; 32], now: Timestamp) -> Result<KeyEntry, ApiError> {
        let key = self.usable_key(public_key, now)?;
        if key.status == KeyStatus::Live { Ok(key) } else { Err(refusal::not_permitted()) }
    }

    /// The key, if it has not ended. Unknown ones are refused here, before any curve work.
    fn usable_key(&self, public_key: &[u8; 32], now: Timestamp) -> Result<KeyEntry, ApiError> {
        let key = self.directory.key(public_key).ok_or_else(refusal::not_permitted)?;
        let expired = !key.expires_at.is_zero() && key.expires_at <= now;
        if key.status == KeyStatus::Ended || expired { Err(refusal::not_permitted()) } else { Ok(key) }
    }

    /// The `exchangeInfo` answer, with the limits that a connection and a key have.
    pub(crate) fn exchange_info(&self, symbols: Option<&[&str]>, now_ms: u64) -> Bytes {
        let limits = response::rate_limits(self.options.requests, &self.key_budgets.limits());
        Bytes::from(exchange_info_with_limits(&self.directory, symbols, now_ms, &limits))
    }

    /// When a signed request was made, if it is good now. What was stamped before the start is refused.
    fn signed_timing(&self, fields: Fields<'_>, now: Timestamp) -> Result<Timing, ApiError> {
        let timing = fields.timing()?;
        timing.check(now)?;
        // Clients stamp whole milliseconds; who connects in the first one must not be told that it is too early.
        if timing.signed_at.milliseconds() < self.started_at.milliseconds() {
            return Err(refusal::before_start());
        }
        Ok(timing)
    }
}

/// What the shell has to do.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "moved once, within one thread: a box would allocate per order")]
pub enum Action {
    /// Send a text message.
    Send(Bytes),
    /// Send a ping.
    Ping,
    /// Hand work to the verifier. If it has no room, the session is answered -1008 through
    /// [`Session::handle_answer`].
    Submit(Submission),
    /// End the connection.
    Close(CloseReason),
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Nothing was heard for too long.
    Idle,
    /// Too many signatures were not accepted.
    BadSignatures,
    /// More happened than could be held back while the client was told what it missed.
    ResumeTooSlow,
}

/// Work for the verifier.
#[derive(Debug)]
pub struct Submission {
    /// The session's number of the request, or [`NOBODY`].
    pub request: u32,
    /// What the answer has to hold.
    pub shape: AnswerShape,
    /// What to do.
    pub work: Work,
    /// Whether the session's signatures may share a batch with others.
    pub standing: Standing,
}

impl Submission {
    /// The key that places an order with this, if it does.
    pub(crate) fn ordering_key(&self) -> Option<KeyId> {
        let operation_of = |command: &Command| match command {
            Command::Signed(signed) => Some((signed.key, errand(&signed.operation))),
            _ => None,
        };
        let (key, errand) = match &self.work {
            Work::Signed(SignedWork { key, asked: Asked::Operation { operation, .. }, .. }) => {
                (key.key, errand(operation))
            }
            Work::Delegated { command, .. } => operation_of(command)?,
            _ => return None,
        };
        (errand == Errand::Order).then_some(key)
    }

    /// Whether it only takes orders off, and so is shed last.
    pub(crate) fn is_cancel(&self) -> bool {
        match &self.work {
            Work::Signed(SignedWork { asked: Asked::Operation { operation, .. }, .. }) => {
                errand(operation) == Errand::Cancel
            }
            Work::Delegated { command, .. } => command.is_cancel(),
            Work::Native(native) => native.command.is_cancel(),
            Work::SessionEnded(_) => true,
            _ => false,
        }
    }
}

/// What an operation does, as far as its price goes.
pub(crate) const fn errand(operation: &Operation) -> Errand {
    match operation {
        Operation::PlaceOrder(_) | Operation::ReplaceOrder(_) => Errand::Order,
        Operation::CancelOrder(_) | Operation::CancelAll(_) => Errand::Cancel,
        _ => Errand::Other,
    }
}

/// What the verifier has to do. Unsigned work takes the same queue, so that a connection's order is kept.
#[derive(Debug)]
pub enum Work {
    /// Verify, then ask.
    Signed(SignedWork),
    /// Verify what the binary face has made into a command, then ask.
    Native(NativeWork),
    /// Ask on the word of the session.
    Delegated {
        /// What.
        command: Command,
        /// The evidence, as [`crate::auth::evidence`] encodes it.
        evidence: Bytes,
    },
    /// Ask a question that needs no signature, or whose session has given one.
    Read(Read),
    /// The last session is over of an account that has asked for its orders to go then.
    SessionEnded(AccountId),
}

/// A signed message of the binary face.
#[derive(Debug)]
pub struct NativeWork {
    /// The key's bytes; it is registered and live.
    pub public_key: [u8; 32],
    /// R ‖ s.
    pub signature: [u8; 64],
    /// What is signed.
    pub signed: SignedBytes,
    /// What is asked, built from what is signed alone.
    pub command: Command,
    /// The evidence, as [`crate::auth::evidence`] encodes it.
    pub evidence: Bytes,
}

/// What a signature of the binary face covers.
#[derive(Debug)]
pub enum SignedBytes {
    /// The digest of a message with this template id, whose body stands in the evidence. It is worked out together with
    /// others'.
    Message(u16),
    /// A logon's text.
    Text(Vec<u8>),
}

/// A signed request.
#[derive(Debug)]
pub struct SignedWork {
    /// By whom, registered and live.
    pub key: KeyEntry,
    /// The key's bytes.
    pub public_key: [u8; 32],
    /// R ‖ s.
    pub signature: [u8; 64],
    /// The signed text in its raw spelling.
    pub text: Vec<u8>,
    /// The other spellings that may have been signed; usually none.
    pub other_texts: Vec<Vec<u8>>,
    /// When it was signed and for how long it is good.
    pub timing: Timing,
    /// The method, for the evidence.
    pub method: Method,
    /// What is asked.
    pub asked: Asked,
    /// Which way the text came.
    pub channel: Channel,
}

impl SignedWork {
    /// The text that was signed: the raw one, or the other one with this index.
    pub(crate) fn text_signed(&self, other: Option<usize>) -> &[u8] {
        other.map_or(&self.text, |index| &self.other_texts[index])
    }
}

/// Which way a signed text came; it decides how well the request is evidenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// The key is in the text.
    WebSocket,
    /// The key is in a header.
    Http {
        /// How much of the text was the query.
        query_length: u16,
    },
}

impl Channel {
    /// How well a request that came this way is evidenced.
    pub const fn grade(self) -> EvidenceGrade {
        match self {
            Self::WebSocket => EvidenceGrade::Signed,
            Self::Http { .. } => EvidenceGrade::HeaderKeyed,
        }
    }
}

/// What a signed request asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Something for the journal.
    Operation {
        /// What.
        operation: Operation,
        /// Refused once this time has come; 0 for no limit.
        valid_until: Timestamp,
    },
    /// A question.
    Read(Read),
}

/// How a session's signatures have been so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// None was accepted yet: whoever opens a connection must not be able to make others' batches fail with what he
    /// sends before his first answer.
    Unproven,
    /// Some were accepted, none was refused.
    Good,
    /// At least one was not: no batch may fail because of this session again.
    Suspect,
}

/// A session of either kind.
#[derive(Debug)]
pub enum Session {
    /// Requests and responses.
    Api(Box<ApiSession>),
    /// Public streams.
    Streams(Box<StreamSession>),
}

impl Session {
    /// A session of the WebSocket API. `address` is charged together with the connection.
    pub fn api(context: Arc<SessionContext>, address: Arc<TokenBucket>, now: Timestamp) -> Self {
        Self::Api(Box::new(ApiSession::new(context, address, now)))
    }

    /// A session of public streams, joining `names` at once as far as they are streams.
    pub fn streams(
        context: Arc<SessionContext>,
        wrapping: StreamWrapping,
        names: &str,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) -> Self {
        let mut session = StreamSession::new(context, wrapping, now);
        session.join(names, actions);
        Self::Streams(Box::new(session))
    }

    /// Takes in a text message.
    pub fn handle_frame(&mut self, frame: &str, now: Timestamp, actions: &mut Vec<Action>) {
        match self {
            Self::Api(session) => session.handle_frame(frame, now, actions),
            Self::Streams(session) => session.handle_frame(frame, now, actions),
        }
    }

    /// Takes in that the client is alive: any frame, a pong included.
    pub fn handle_heard(&mut self, now: Timestamp) {
        self.liveness().heard_at = now;
    }

    /// Takes in an answer or a message of the publisher, or a verifier's refusal.
    pub fn handle_answer(&mut self, message: ToSession, now: Timestamp, actions: &mut Vec<Action>) {
        match self {
            Self::Api(session) => session.handle_answer(message, now, actions),
            Self::Streams(session) => session.handle_answer(message, actions),
        }
    }

    /// Lets time pass; to be called about once a second.
    pub fn handle_timeout(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        match self {
            Self::Api(session) => session.handle_timeout(now, actions),
            Self::Streams(session) => session.handle_timeout(now, actions),
        }
    }

    /// Tells the client that the server stops. New requests are refused from here on.
    pub fn handle_shutdown(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        match self {
            Self::Api(session) => session.handle_shutdown(now, actions),
            Self::Streams(session) => session.handle_shutdown(now, actions),
        }
    }

    /// The connection is over: the accounts whose orders have to go with it. To be called once, whatever ended it.
    pub fn end(&mut self) -> Vec<AccountId> {
        match self {
            Self::Api(session) => session.end(),
            Self::Streams(_) => Vec::new(),
        }
    }

    /// Requests that have no answer yet.
    pub fn in_flight(&self) -> usize {
        match self {
            Self::Api(session) => session.in_flight(),
            Self::Streams(session) => session.in_flight(),
        }
    }

    fn liveness(&mut self) -> &mut Liveness {
        match self {
            Self::Api(session) => session.liveness(),
            Self::Streams(session) => session.liveness(),
        }
    }
}

/// When a client was heard and is pinged.
#[derive(Clone, Copy, Debug)]
struct Liveness {
    heard_at: Timestamp,
    ping_at: Timestamp,
}

impl Liveness {
    fn new(options: &SessionOptions, now: Timestamp) -> Self {
        Self { heard_at: now, ping_at: Timestamp(now.0.saturating_add(options.ping_interval_ns)) }
    }

    fn handle_timeout(&mut self, options: &SessionOptions, now: Timestamp, actions: &mut Vec<Action>) {
        if now.0.saturating_sub(self.heard_at.0) > options.idle_timeout_ns {
            actions.push(Action::Close(CloseReason::Idle));
        } else if now >= self.ping_at {
            self.ping_at = Timestamp(now.0.saturating_add(options.ping_interval_ns));
            actions.push(Action::Ping);
        }
    }
}
