//! A session of the WebSocket API: requests in, responses and private events out.
//!
//! What a session answers by itself (`ping`, `session.status`) may overtake what it has handed on; everything that
//! asks the engine or the read models keeps its order.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use lakh_engine::command::{DisconnectMode, EvidenceGrade, Operation};
use lakh_engine::ids::{AccountId, KeyId};
use lakh_engine::units::Timestamp;

use super::in_flight::InFlight;
use super::private_events::{Authority, Resuming, Subscription};
use super::{
    Action, Asked, Channel, CloseReason, Liveness, NOBODY, SessionContext, SignedWork, Standing, Submission, Work,
};
use crate::api_error::ApiError;
use crate::auth::canonical::{self, CanonicalError};
use crate::auth::evidence::{Evidence, replay_guard};
use crate::auth::{parse_api_key, parse_signature};
use crate::hand_over::{AnswerShape, Read, ToSession};
use crate::key_budgets::Errand;
use crate::limits::{Charge, TokenBucket};
use crate::presence::Place;
use crate::request::refusal::{self, BAD_SIGNATURE, OVERLOADED};
use crate::request::{self, Access, Fields, Intent, Method, Parameter, Timing};
use crate::wire::json::envelope::{self, EnvelopeErrorKind, Params};
use crate::wire::json::response::{self, Budgets, SessionState};

/// A session of the WebSocket API.
#[derive(Debug)]
pub struct ApiSession {
    pub(super) context: Arc<SessionContext>,
    address: Arc<TokenBucket>,
    requests: TokenBucket,
    connected_at: Timestamp,
    liveness: Liveness,
    in_flight: InFlight<Waiting>,
    pub(super) authorized: Option<Authorized>,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) next_subscription: u32,
    /// The subscription that is told what its client missed.
    pub(super) resuming: Option<Resuming>,
    /// Places with accounts whose orders go with their last session.
    pub(super) places: Vec<Place>,
    bad_signatures: u32,
    good_signatures: u32,
    phase: Phase,
}

/// Who has logged on.
#[derive(Clone, Debug)]
pub(super) struct Authorized {
    api_key: String,
    pub(super) public_key: [u8; 32],
    since: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    ShuttingDown,
}

/// A request that waits for its answer.
#[derive(Debug)]
struct Waiting {
    id: Box<str>,
    rate_limits: RateLimits,
    purpose: Purpose,
    proof: Proof,
    /// Who is told what of its orders' budget is used.
    ordering_key: Option<KeyId>,
    since: Timestamp,
}

/// What a success says of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// That it can sign.
    Signature,
    /// Nothing.
    None,
}

/// What becomes of an answer.
#[derive(Debug)]
pub(super) enum Purpose {
    /// It is passed on.
    PassOn,
    /// The session is logged on.
    Logon(Authorized),
    /// Private events follow.
    Subscribe(Subscription),
    /// What was missed of private events follows, and then the events themselves.
    Resume(Subscription),
    /// Private events have ended.
    Unsubscribe,
    /// What the end of the session means to its account has changed.
    Disconnect(DisconnectMode, AccountId),
}

/// Whether a response tells what is left of the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RateLimits {
    Told,
    LeftOut,
}

/// What a request leads to.
#[expect(clippy::large_enum_variant, reason = "lives for one request: a box would allocate per order")]
pub(super) enum Next {
    /// An answer at once.
    Answer(Bytes),
    /// Work for the verifier.
    Submit { work: Work, shape: AnswerShape, purpose: Purpose },
}

/// A request of a known method with its parameters.
#[derive(Clone, Copy)]
struct Asking<'p> {
    method: Method,
    parameters: &'p [Parameter<'p>],
    fields: Fields<'p>,
    now: Timestamp,
}

impl ApiSession {
    /// A session that has just been opened.
    pub fn new(context: Arc<SessionContext>, address: Arc<TokenBucket>, now: Timestamp) -> Self {
        let options = context.options;
        Self {
            context,
            address,
            requests: TokenBucket::new(options.requests),
            connected_at: now,
            liveness: Liveness::new(&options, now),
            in_flight: InFlight::new(options.in_flight + options.in_flight.div_ceil(3)),
            authorized: None,
            subscriptions: Vec::new(),
            next_subscription: 0,
            resuming: None,
            places: Vec::new(),
            bad_signatures: 0,
            good_signatures: 0,
            phase: Phase::Open,
        }
    }

    /// Requests that have no answer yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn liveness(&mut self) -> &mut Liveness {
        &mut self.liveness
    }

    /// Takes in a request.
    pub fn handle_frame(&mut self, frame: &str, now: Timestamp, actions: &mut Vec<Action>) {
        self.liveness.heard_at = now;
        let (id, method, params) = match envelope::parse(frame) {
            Ok(parsed) => (parsed.id, parsed.method, parsed.params),
            Err(error) => {
                self.charge(Errand::Other, now);
                let refused = envelope_error(&error.kind);
                return self.respond(error.id, &Err(refused), self.told(RateLimits::Told, now), actions);
            }
        };
        let parameters = match &params {
            Params::Named(parameters) => parameters.as_slice(),
            Params::Listed(_) => {
                let refused = Err(refusal::malformed("'params' must be an object."));
                return self.respond(id, &refused, self.told(RateLimits::Told, now), actions);
            }
        };
        let fields = Fields::new(parameters);
        let rate_limits = match fields.boolean("returnRateLimits") {
            Ok(Some(false)) => RateLimits::LeftOut,
            _ => RateLimits::Told,
        };
        match self.next(&method, parameters, now, actions) {
            Ok(Next::Answer(result)) => self.respond(id, &Ok(result), self.told(rate_limits, now), actions),
            Err(error) => self.respond(id, &Err(error), self.told(rate_limits, now), actions),
            Ok(Next::Submit { work, shape, purpose }) => {
                let deadline = Timestamp(now.0.saturating_add(self.context.options.answer_timeout_ns));
                let proof = if matches!(work, Work::Signed(_)) { Proof::Signature } else { Proof::None };
                let mut submission = Submission { request: NOBODY, shape, work, standing: self.standing() };
                let ordering_key = submission.ordering_key();
                let waiting = Waiting { id: id.into(), rate_limits, purpose, proof, ordering_key, since: now };
                submission.request = self.in_flight.insert(waiting, deadline).expect("room was looked for before");
                actions.push(Action::Submit(submission));
            }
        }
    }

    /// Takes in an answer or a message.
    pub fn handle_answer(&mut self, message: ToSession, now: Timestamp, actions: &mut Vec<Action>) {
        let (request, outcome) = match message {
            ToSession::Message(message) => return actions.push(Action::Send(message)),
            ToSession::Report { subscription, message } => return self.pass_on(subscription, message, actions),
            ToSession::Page(answer) => return self.handle_page(*answer, now, actions),
            ToSession::Answer { request, outcome } => (request, outcome),
        };
        self.conclude(request, outcome, now, actions);
    }

    /// A request has its outcome.
    pub(super) fn conclude(
        &mut self,
        request: u32,
        outcome: Result<Bytes, ApiError>,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some(waiting) = self.in_flight.remove(request) else { return };
        let bad_signature = matches!(&outcome, Err(error) if error.code == BAD_SIGNATURE);
        if waiting.proof == Proof::Signature && was_accepted(&outcome) {
            self.good_signatures = self.good_signatures.saturating_add(1);
        }
        self.context.counters.answer_time.record(now.0.saturating_sub(waiting.since.0));
        let mut budgets = self.told(waiting.rate_limits, now);
        if let (Some(budgets), Some(key), true) = (&mut budgets, waiting.ordering_key, was_accepted(&outcome)) {
            budgets.orders = Some(self.context.key_budgets.order_budgets(key, now));
        }
        let outcome = match outcome {
            Ok(result) => Ok(self.settle(waiting.purpose, result, now)),
            Err(error) => {
                self.give_up(&waiting.purpose, actions);
                Err(error)
            }
        };
        self.respond(&waiting.id, &outcome, budgets, actions);
        if bad_signature {
            self.bad_signatures += 1;
            if self.bad_signatures >= self.context.options.bad_signatures {
                actions.push(Action::Close(CloseReason::BadSignatures));
            }
        }
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        self.resume_again(actions);
        while let Some(waiting) = self.in_flight.pop_expired(now) {
            self.context.counters.requests_timed_out.count();
            self.give_up(&waiting.purpose, actions);
            self.respond(&waiting.id, &Err(refusal::timeout()), self.told(waiting.rate_limits, now), actions);
        }
        self.liveness.handle_timeout(&self.context.options, now, actions);
    }

    /// Tells the client that the server stops.
    pub fn handle_shutdown(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        self.phase = Phase::ShuttingDown;
        actions.push(Action::Send(response::server_shutdown_event(now.milliseconds())));
    }

    fn next(
        &mut self,
        method: &str,
        parameters: &[Parameter<'_>],
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) -> Result<Next, ApiError> {
        let method = Method::from_name(method);
        let errand = if method.is_some_and(Method::is_cancel) { Errand::Cancel } else { Errand::Other };
        if self.charge(errand, now) == Charge::Refused {
            self.context.counters.requests_over_budget.count();
            let wait_ns = self.requests.wait_ns(now).max(self.address.wait_ns(now));
            return Err(refusal::retry_after(refusal::too_many_requests(), now, wait_ns));
        }
        if self.phase == Phase::ShuttingDown {
            return Err(refusal::shutting_down());
        }
        let method = method.ok_or_else(refusal::unsupported_operation)?;
        let most = self.context.options.in_flight;
        let most = if errand == Errand::Cancel { most + most.div_ceil(3) } else { most };
        if self.in_flight.len() >= most {
            self.context.counters.requests_over_in_flight.count();
            return Err(refusal::too_many_in_flight());
        }
        let asking = Asking { method, parameters, fields: Fields::new(parameters), now };
        match method.access() {
            Access::Public => self.public(asking),
            Access::Connection => self.connection(asking, actions),
            Access::Session => self.subscribe_session(asking.fields, now),
            Access::Signed | Access::SignedOrSession => self.authenticated(asking),
        }
    }

    fn public(&self, asking: Asking<'_>) -> Result<Next, ApiError> {
        let now_ms = asking.now.milliseconds();
        match asking.method {
            Method::Ping => Ok(Next::Answer(Bytes::from_static(b"{}"))),
            Method::Time => Ok(Next::Answer(response::number_object("serverTime", now_ms))),
            Method::ExchangeInfo => {
                let symbols = request::exchange_info_symbols(asking.fields, &self.context.directory)?;
                Ok(Next::Answer(self.context.exchange_info(symbols.as_deref(), now_ms)))
            }
            method => {
                let read = request::parse_public(method, asking.fields, &self.context.directory)?;
                Ok(Next::Submit { work: Work::Read(read), shape: AnswerShape::Empty, purpose: Purpose::PassOn })
            }
        }
    }

    fn connection(&mut self, asking: Asking<'_>, actions: &mut Vec<Action>) -> Result<Next, ApiError> {
        match asking.method {
            Method::UserDataStreamUnsubscribe => self.unsubscribe(asking.fields),
            Method::SessionSubscriptions => {
                let numbers = self.subscriptions.iter().map(|one| one.number);
                Ok(Next::Answer(response::subscription_list(numbers)))
            }
            Method::SessionLogout => {
                self.log_out(actions);
                Ok(Next::Answer(self.state(asking.now)))
            }
            _ => Ok(Next::Answer(self.state(asking.now))),
        }
    }

    fn authenticated(&mut self, asking: Asking<'_>) -> Result<Next, ApiError> {
        let fields = asking.fields;
        if let (Some(signature), Some(api_key)) = (fields.text("signature"), fields.text("apiKey")) {
            return self.signed(asking, api_key, signature);
        }
        let authorized = self.authorized.clone().filter(|_| asking.method.access() == Access::SignedOrSession);
        match (&authorized, fields.text("signature"), fields.text("apiKey")) {
            (Some(authorized), None, None) => self.delegated(asking, authorized),
            (Some(authorized), None, Some(api_key)) if api_key == authorized.api_key => {
                self.delegated(asking, authorized)
            }
            (_, _, None) => Err(refusal::missing("apiKey")),
            (_, _, Some(_)) => Err(refusal::missing("signature")),
        }
    }

    fn signed(&mut self, asking: Asking<'_>, api_key: &str, signature: &str) -> Result<Next, ApiError> {
        let Asking { method, parameters, fields, now } = asking;
        let directory = &self.context.directory;
        let timing = self.context.signed_timing(fields, now)?;
        let public_key =
            parse_api_key(api_key, directory.venue_tag(), directory.mode()).map_err(|_| refusal::api_key_format())?;
        let key = self.context.speaking_key(method, fields, &public_key, now)?;
        let (asked, shape, purpose) = match method {
            Method::UserDataStreamSubscribeSignature => {
                fields.check_method(method)?;
                let subscription = self.new_subscription(Authority::Signature)?;
                let read = Read::SubscribeAccount { account: key.account, subscription: subscription.number };
                (Asked::Read(read), AnswerShape::Empty, Purpose::Subscribe(subscription))
            }
            Method::UserDataStreamResume => {
                let (read, purpose) = self.resume(fields, key.account, Authority::Signature)?;
                (Asked::Read(read), AnswerShape::Empty, purpose)
            }
            Method::AccountRateLimitsOrders => {
                fields.check_method(method)?;
                (Asked::Read(Read::OrderBudget { key: key.key }), AnswerShape::Empty, Purpose::PassOn)
            }
            _ => match Intent::build(method, fields, key.account, directory)? {
                Intent::Read(read) => (Asked::Read(read), AnswerShape::Empty, Purpose::PassOn),
                Intent::Operation { operation, valid_until, shape } => {
                    let purpose = match operation {
                        Operation::Logon => {
                            Purpose::Logon(Authorized { api_key: api_key.to_owned(), public_key, since: now })
                        }
                        _ => self.purpose_of(&operation, key.account),
                    };
                    (Asked::Operation { operation, valid_until }, shape, purpose)
                }
            },
        };
        let (text, other_texts) = canonical::texts(parameters).map_err(canonical_error)?;
        let signature = parse_signature(signature).ok_or_else(|| refusal::illegal_characters("signature"))?;
        let channel = Channel::WebSocket;
        let signed = SignedWork { key, public_key, signature, text, other_texts, timing, method, asked, channel };
        Ok(Next::Submit { work: Work::Signed(signed), shape, purpose })
    }

    fn delegated(&mut self, asking: Asking<'_>, authorized: &Authorized) -> Result<Next, ApiError> {
        let Asking { method, parameters, fields, now } = asking;
        let timing = checked_timing(fields, now)?;
        let key = self.context.speaking_key(method, fields, &authorized.public_key, now)?;
        if method == Method::UserDataStreamResume {
            let (read, purpose) = self.resume(fields, key.account, Authority::Session)?;
            return Ok(Next::Submit { work: Work::Read(read), shape: AnswerShape::Empty, purpose });
        }
        if method == Method::AccountRateLimitsOrders {
            let work = Work::Read(Read::OrderBudget { key: key.key });
            return Ok(Next::Submit { work, shape: AnswerShape::Empty, purpose: Purpose::PassOn });
        }
        match Intent::build(method, fields, key.account, &self.context.directory)? {
            Intent::Read(read) => {
                Ok(Next::Submit { work: Work::Read(read), shape: AnswerShape::Empty, purpose: Purpose::PassOn })
            }
            Intent::Operation { operation, valid_until, shape } => {
                let (text, _) = canonical::texts(parameters).map_err(canonical_error)?;
                let guard = replay_guard(EvidenceGrade::Delegated, timing, &text);
                let command = request::command(&key, EvidenceGrade::Delegated, guard, (operation, valid_until));
                let evidence = Evidence::SessionDelegated {
                    method: method.name(),
                    text: &text,
                    public_key: &authorized.public_key,
                };
                let evidence = evidence.encode().expect("a canonical text and a method's name fit evidence");
                let purpose = self.purpose_of(&operation, key.account);
                Ok(Next::Submit { work: Work::Delegated { command, evidence }, shape, purpose })
            }
        }
    }

    /// What the client sees of a success.
    fn settle(&mut self, purpose: Purpose, result: Bytes, now: Timestamp) -> Bytes {
        match purpose {
            Purpose::PassOn => result,
            Purpose::Logon(authorized) => {
                self.authorized = Some(authorized);
                self.state(now)
            }
            Purpose::Subscribe(subscription) => {
                self.subscriptions.push(subscription);
                response::number_object("subscriptionId", u64::from(subscription.number))
            }
            Purpose::Resume(subscription) => {
                self.subscriptions.push(subscription);
                result
            }
            Purpose::Unsubscribe => Bytes::from_static(b"{}"),
            Purpose::Disconnect(mode, account) => {
                self.settle_disconnect(mode, account);
                result
            }
        }
    }

    fn state(&self, now: Timestamp) -> Bytes {
        let authorized = self.authorized.as_ref();
        SessionState {
            authorized: authorized.map(|one| (one.api_key.as_str(), one.since.milliseconds())),
            connected_since_ms: self.connected_at.milliseconds(),
            return_rate_limits: true,
            server_time_ms: now.milliseconds(),
            user_data_stream: !self.subscriptions.is_empty(),
        }
        .encode()
    }

    fn standing(&self) -> Standing {
        match (self.good_signatures, self.bad_signatures) {
            (0, 0) => Standing::Unproven,
            (_, 0) => Standing::Good,
            _ => Standing::Suspect,
        }
    }

    /// Charges connection and address. Before a signature is looked at nobody else pays.
    fn charge(&self, errand: Errand, now: Timestamp) -> Charge {
        match errand.charge(&self.requests, now) {
            Charge::Paid => errand.charge(&self.address, now),
            Charge::Refused => Charge::Refused,
        }
    }

    /// What a response tells of the connection's budget.
    fn told(&self, rate_limits: RateLimits, now: Timestamp) -> Option<Budgets> {
        match rate_limits {
            RateLimits::Told => Some(Budgets { requests: self.requests.budget(now), orders: None }),
            RateLimits::LeftOut => None,
        }
    }

    fn respond(
        &self,
        id: &str,
        outcome: &Result<Bytes, ApiError>,
        budgets: Option<Budgets>,
        actions: &mut Vec<Action>,
    ) {
        actions.push(Action::Send(response::response(id, outcome, budgets)));
    }
}

fn checked_timing(fields: Fields<'_>, now: Timestamp) -> Result<Timing, ApiError> {
    let timing = fields.timing()?;
    timing.check(now)?;
    Ok(timing)
}

/// Whether an answer to a signed request means that its signature holds: all do but those that may come before it was
/// looked at, even an engine's reject.
fn was_accepted(outcome: &Result<Bytes, ApiError>) -> bool {
    !matches!(outcome, Err(error) if matches!(error.code, BAD_SIGNATURE | OVERLOADED))
}

fn canonical_error(error: CanonicalError) -> ApiError {
    match error {
        CanonicalError::IllegalCharacter | CanonicalError::NotScalar => refusal::ambiguous_text(),
        CanonicalError::TooLong => refusal::text_too_long(),
    }
}

/// What a client is told of a frame that is no request.
pub(super) fn envelope_error(kind: &EnvelopeErrorKind) -> ApiError {
    match kind {
        EnvelopeErrorKind::Syntax => refusal::malformed("not JSON."),
        EnvelopeErrorKind::TooLong => refusal::malformed("longer than 65536 bytes."),
        EnvelopeErrorKind::TooDeep => refusal::malformed("nested too deeply."),
        EnvelopeErrorKind::TooMany => refusal::malformed("too many parameters."),
        EnvelopeErrorKind::BadId => refusal::malformed("'id' must be an integer, a string or null."),
        EnvelopeErrorKind::NoMethod => refusal::malformed("'method' must be a string."),
        EnvelopeErrorKind::BadParams => refusal::malformed("'params' must be an object or a list of strings."),
        EnvelopeErrorKind::DuplicateKey(name) => refusal::sent_twice(&shortened(name)),
        EnvelopeErrorKind::NullParameter(name) => refusal::missing(&shortened(name)),
    }
}

/// At most 64 characters of a name that came from outside.
pub(super) fn shortened(name: &str) -> Cow<'_, str> {
    if name.chars().nth(64).is_none() { Cow::Borrowed(name) } else { Cow::Owned(name.chars().take(64).collect()) }
}
