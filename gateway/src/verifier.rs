//! Between sessions and sequencer: a stage that verifies what is queued, as one batch, and hands it on in order.
//!
//! Each connection is pinned to one verifier, and unsigned work takes the same queue, so a connection's order is kept.
//! A batch is what is queued when the thread looks, never waited for. What cannot be handed on is answered at once;
//! nobody ever waits for the matching thread. The last quarter of the ring takes only cancels.
//!
//! A signature says that the key's owner wanted these bytes, not that he wanted them for this method. What changes
//! state uses its digest up in the engine; what only asks uses it up here ([`ReadDigests`]): a text that was used for
//! a question can never change anything afterwards.
//! Bounds: queue, batch, cached keys and remembered digests, each by [`VerifierOptions`].

mod finding;
mod known_keys;
mod queue;
mod read_digests;
mod signed;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use lakh_engine::command::{Command, FrameOperation};
use lakh_engine::ids::{AccountId, KeyId};
use lakh_engine::units::Timestamp;
use rtrb::Producer;

use crate::api_error::ApiError;
use crate::auth::PayloadDigests;
use crate::auth::evidence::{Evidence, SignedText, digest_guard};
use crate::auth::native::MessageDigests;
use crate::auth::signature::BatchVerifier;
use crate::counters::Counters;
use crate::directory::Directory;
use crate::hand_over::{Input, Read, RequestHandle, Signal};
use crate::key_budgets::{Errand, Errands, Exhausted, KeyBudgets};
use crate::limits::{Rate, TokenBucket};
use crate::request::{self, refusal};
use crate::session::{Asked, Channel, SignedWork, Work, errand};
use crate::wire::json::response;

use self::finding::{Finding, Found, held_text};
use self::known_keys::KnownKeys;

pub use self::queue::{Entrance, Job, Jobs, VerifierQueue};
pub use self::read_digests::ReadDigests;

/// Bounds of a verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifierOptions {
    /// Requests that may wait, a frame of 64 operations counted as five. More get -1008.
    pub queue: usize,
    /// Signatures of one batch at most.
    pub batch: usize,
    /// Keys that are kept decompressed; when there are more, all are forgotten.
    pub cached_keys: usize,
    /// Signatures of connections that had a bad one before: each costs two verifications of its own, some 40 us.
    pub suspects: Rate,
    /// Signatures of connections that had none accepted yet: each is looked at by itself, 3 to 9 us, 20 more where it is bad.
    pub unproven: Rate,
}

impl Default for VerifierOptions {
    fn default() -> Self {
        // At most about a tenth of a core.
        let suspects = Rate { per_second: 2_500, burst: 500 };
        // At most about a fifth; a burst lets everybody come back at once after a restart.
        let unproven = Rate { per_second: 10_000, burst: 20_000 };
        // Twice as many would be 3 % faster each and hold up whoever shares the thread for twice as long.
        Self { queue: 65_536, batch: 256, cached_keys: 65_536, suspects, unproven }
    }
}

/// What a verifier hands its work to.
#[derive(Debug)]
pub struct VerifierWiring {
    /// The ring to the sequencer.
    pub to_sequencer: Producer<Input>,
    /// What wakes the sequencer.
    pub sequencer_signal: Arc<Signal>,
    /// What keys have used up.
    pub key_budgets: Arc<KeyBudgets>,
    /// Who has how many live orders.
    pub directory: Arc<Directory>,
    /// What questions have used.
    pub read_digests: Arc<ReadDigests>,
    /// Tells the time.
    pub clock: fn() -> Timestamp,
    /// What is counted.
    pub counters: Arc<Counters>,
}

/// A verifier without its thread: takes jobs, gives inputs.
#[derive(Debug)]
pub struct Verifier {
    options: VerifierOptions,
    wiring: VerifierWiring,
    batch: BatchVerifier,
    digests: MessageDigests,
    text_digests: PayloadDigests,
    keys: KnownKeys,
    /// The first key that has not been worked out ahead: the engine numbers them from 1 on.
    next_key: KeyId,
    /// What all suspects together may have verified.
    suspects: TokenBucket,
    /// What all who have proven nothing yet may.
    unproven: TokenBucket,
}

/// A verifier with its queue: what runs, on a thread of its own or in turn with others.
#[derive(Debug)]
pub struct VerifierStage {
    verifier: Verifier,
    queue: Jobs,
    signal: Arc<Signal>,
    jobs: Vec<Job>,
    entrance: Entrance,
}

impl VerifierStage {
    /// A verifier that `signal` wakes, and the sessions' end of its queue.
    pub fn new(verifier: Verifier, signal: Arc<Signal>) -> (VerifierQueue, Self) {
        let counters = Arc::clone(&verifier.wiring.counters);
        let (queue, jobs) = VerifierQueue::with_capacity(verifier.options.queue, Arc::clone(&signal), counters);
        let batch = Vec::with_capacity(verifier.options.batch);
        (queue, Self { verifier, queue: jobs, signal, jobs: batch, entrance: Entrance::Open })
    }

    /// Jobs that were taken out of the queue and are not verified yet.
    pub fn waiting(&self) -> usize {
        self.jobs.len()
    }

    /// Whether a frame is among them.
    pub fn has_frame(&self) -> bool {
        let is_frame =
            |work: &Work| matches!(work, Work::Native(native) if matches!(native.command, Command::Frame(_)));
        self.jobs.iter().any(|job| is_frame(&job.submission.work))
    }

    /// Whether there is something to verify; takes it out of the queue.
    pub fn has_work(&mut self) -> bool {
        self.entrance = self.queue.take(self.verifier.options.batch, &mut self.jobs);
        !self.jobs.is_empty()
    }

    /// Verifies one batch of what waits. Whether there was anything.
    pub fn step(&mut self) -> bool {
        if !self.has_work() {
            return false;
        }
        let began = Instant::now();
        self.verifier.process(&mut self.jobs);
        let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.verifier.wiring.counters.verifying_ns.add(took);
        true
    }

    /// Works out ahead what batches need of one more key that signs, else of a registered one, for when there is nothing else
    /// to do: a thousand keys that come at once would hold everybody up for 50 ms. Whether there was one.
    pub fn prepare_one(&mut self) -> bool {
        self.verifier.batch.prepare_one() || self.verifier.prepare_one()
    }

    /// Verifies until nobody can put anything into the queue any more.
    pub async fn run(mut self) {
        loop {
            while self.step() {}
            if self.entrance == Entrance::Closed {
                return;
            }
            if self.prepare_one() {
                tokio::task::yield_now().await;
                continue;
            }
            let signal = Arc::clone(&self.signal);
            signal.wait(|| self.has_work() || self.entrance == Entrance::Closed).await;
        }
    }
}

impl Verifier {
    /// A verifier with its ring.
    ///
    /// # Errors
    /// When the operating system has no randomness for the batches' coefficients.
    pub fn new(options: VerifierOptions, wiring: VerifierWiring) -> Result<Self, getrandom::Error> {
        let batch = BatchVerifier::from_system()?;
        let (suspects, unproven) = (TokenBucket::new(options.suspects), TokenBucket::new(options.unproven));
        let (digests, text_digests) = (MessageDigests::detect(), PayloadDigests::detect());
        let (keys, next_key) = (KnownKeys::new(options.cached_keys), KeyId(1));
        Ok(Self { options, wiring, batch, digests, text_digests, keys, next_key, suspects, unproven })
    }

    /// Verifies these jobs as one batch and hands them on in order; leaves `jobs` empty.
    pub fn process(&mut self, jobs: &mut Vec<Job>) {
        let now = (self.wiring.clock)();
        let findings = self.verify(jobs, now);
        // Together, and only of what holds: one by one they are most of what a request costs from here on.
        let held = jobs.iter().zip(&findings).filter_map(|(job, finding)| held_text(&job.submission.work, finding));
        let mut digests = self.text_digests.of(&held.collect::<Vec<_>>()).into_iter();
        let mut handed_on = false;
        for (job, finding) in jobs.drain(..).zip(findings) {
            let Job { submission, session } = job;
            let handle = RequestHandle { session, request: submission.request, shape: submission.shape };
            let digest = held_text(&submission.work, &finding).and_then(|_| digests.next());
            match self.input(submission.work, (finding, digest), now) {
                Err(error) => handle.answer(Err(error)),
                Ok(asked) => handed_on |= self.hand_on(asked, handle),
            }
        }
        if handed_on {
            self.wiring.sequencer_signal.notify();
        }
    }

    /// Works out what batches need of one more registered key. Whether there was one, and room for it.
    fn prepare_one(&mut self) -> bool {
        if self.keys.is_full() {
            return false;
        }
        let Some(public_key) = self.wiring.directory.public_key(self.next_key) else { return false };
        let signer = (self.next_key, &public_key);
        self.keys.learn([signer].into_iter(), &self.batch);
        if let Some(key) = self.keys.of(signer) {
            self.batch.prepare_ahead(key);
        }
        self.next_key = KeyId(self.next_key.0 + 1);
        true
    }

    /// What goes to the sequencer.
    fn input(&mut self, work: Work, (finding, digest): Found, now: Timestamp) -> Result<Checked, ApiError> {
        match (work, finding) {
            (Work::Read(read), _) => Ok(self.checked_read(read, now)),
            (Work::SessionEnded(account), _) => Ok(Checked::Command(Command::SessionEnded { account }, Bytes::new())),
            (Work::Delegated { command, evidence }, _) => {
                self.charge_command(&command, now)?;
                Ok(Checked::Command(command, evidence))
            }
            (Work::Signed(signed), Finding::Holds(other)) => {
                self.wiring.counters.signatures_accepted.count();
                let digest = digest.expect("each text whose signature holds has its digest");
                self.signed_input(signed, (other, digest), now)
            }
            (Work::Native(native), Finding::Holds(_)) => {
                self.wiring.counters.signatures_accepted.count();
                self.charge_command(&native.command, now)?;
                Ok(Checked::Command(native.command, native.evidence))
            }
            (Work::Signed(_) | Work::Native(_), Finding::Shed) => {
                self.wiring.counters.untrusted_shed.count();
                Err(refusal::overloaded())
            }
            (Work::Signed(_) | Work::Native(_), Finding::NoRoom) => {
                self.wiring.counters.requests_shed.count();
                Err(refusal::overloaded())
            }
            (Work::Signed(_) | Work::Native(_), _) => {
                self.wiring.counters.signatures_refused.count();
                tracing::debug!("a signature does not hold");
                Err(refusal::signature())
            }
        }
    }

    fn signed_input(
        &mut self,
        signed: SignedWork,
        (other, digest): (Option<usize>, [u8; 16]),
        now: Timestamp,
    ) -> Result<Checked, ApiError> {
        let text = signed.text_signed(other);
        let (operation, valid_until) = match signed.asked {
            Asked::Operation { operation, valid_until } => (operation, valid_until),
            Asked::Read(read) => {
                self.charge(signed.key.key, signed.key.account, Errand::Other, now)?;
                self.wiring.read_digests.remember(digest, now)?;
                return Ok(self.checked_read(read, now));
            }
        };
        if self.wiring.read_digests.contains(&digest) {
            return Err(refusal::used_by_a_read());
        }
        let grade = signed.channel.grade();
        let guard = digest_guard(signed.timing, digest);
        self.charge(signed.key.key, signed.key.account, errand(&operation), now)?;
        let command = request::command(&signed.key, grade, guard, (operation, valid_until));
        let method = signed.method.name();
        let (public_key, signature) = (&signed.public_key, &signed.signature);
        let signed_text = SignedText { method, text, public_key, signature };
        let evidence = match signed.channel {
            Channel::WebSocket => Evidence::WebSocketSigned(signed_text),
            Channel::Http { query_length } => Evidence::HttpSigned { signed: signed_text, query_length },
        };
        let evidence = evidence.encode().expect("a canonical text and a method's name fit evidence");
        Ok(Checked::Command(command, evidence))
    }

    /// Charges the key of a command whose signature holds; a frame for each of its operations.
    fn charge_command(&self, command: &Command, now: Timestamp) -> Result<(), ApiError> {
        match command {
            Command::Signed(signed) => self.charge(signed.key, signed.account, errand(&signed.operation), now),
            Command::Frame(frame) => {
                let errand = |one: &FrameOperation| match one {
                    FrameOperation::CancelOrder(_) => Errand::Cancel,
                    FrameOperation::AmendOrder(_) => Errand::Other,
                    _ => Errand::Order,
                };
                let errands: Errands = frame.operations.iter().map(errand).collect();
                self.charge(frame.key, frame.account, errands, now)
            }
            _ => Ok(()),
        }
    }

    /// Charges the key, whose signature holds.
    fn charge(
        &self,
        key: KeyId,
        account: AccountId,
        errands: impl Into<Errands>,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let VerifierWiring { key_budgets, directory, counters, .. } = &self.wiring;
        let Some(budget) = key_budgets.of(key, account, directory.live_orders(), now) else {
            counters.keys_over_budget.count();
            return Err(refusal::too_many_requests());
        };
        budget.charge(errands, now).map_err(|exhausted| {
            let (counter, error) = match exhausted {
                Exhausted::Requests => (&counters.keys_over_budget, refusal::too_many_requests()),
                Exhausted::Orders => (&counters.orders_over_budget, refusal::too_many_orders()),
                Exhausted::OrdersOfTheDay => (&counters.orders_over_budget, refusal::too_many_orders_today()),
                Exhausted::Cancels => (&counters.cancels_over_budget, refusal::too_many_cancels()),
            };
            counter.count();
            refusal::retry_after(error, now, budget.wait_ns(exhausted, now))
        })
    }

    /// Whether the ring takes nothing of this kind any more: its last quarter is for cancels.
    fn is_full_for(&mut self, errand: Errand) -> bool {
        let ring = &mut self.wiring.to_sequencer;
        let kept_free = if errand == Errand::Cancel { 0 } else { ring.buffer().capacity() / 4 };
        // The cached number is a lower bound that costs no look at the other thread's cache line.
        ring.cached_slots() <= kept_free && ring.slots() <= kept_free
    }

    /// A question for the publisher, or the answer to the one that only the verifier knows.
    fn checked_read(&mut self, read: Read, now: Timestamp) -> Checked {
        match read {
            Read::OrderBudget { key } => {
                Checked::Answer(response::order_budget(self.wiring.key_budgets.order_budgets(key, now)))
            }
            read => Checked::Read(read),
        }
    }

    /// Puts it into the ring; true when it is in.
    fn hand_on(&mut self, asked: Checked, handle: RequestHandle) -> bool {
        let is_cancel = matches!(&asked, Checked::Command(command, _) if command.is_cancel());
        if self.is_full_for(if is_cancel { Errand::Cancel } else { Errand::Other }) {
            self.wiring.counters.requests_shed.count();
            handle.answer(Err(refusal::overloaded()));
            return false;
        }
        let input = match asked {
            Checked::Answer(answer) => {
                handle.answer(Ok(answer));
                return false;
            }
            Checked::Read(read) => Input::Read { read, handle },
            Checked::Command(command, evidence) => Input::Command { command, evidence, handle: Some(handle) },
        };
        self.wiring.to_sequencer.push(input).is_ok()
    }
}

/// A request whose signature, if it needed one, holds.
#[allow(clippy::large_enum_variant, reason = "moved once, within one thread: a box would allocate per order")]
enum Checked {
    Command(Command, Bytes),
    Read(Read),
    Answer(Bytes),
}
