//! Between sessions and sequencer: one thread that verifies what is queued, as one batch, and hands it on in order.
//!
//! Each connection is pinned to one verifier, and unsigned work takes the same queue, so a connection's order is kept.
//! A batch is what is queued when the thread looks, never waited for. What cannot be handed on is answered at once;
//! nobody ever waits for the matching thread. The last quarter of the ring takes only cancels.
//!
//! A signature says that the key's owner wanted these bytes, not that he wanted them for this method. What changes
//! state uses its digest up in the engine; what only asks uses it up here ([`ReadDigests`]): a text that was used for
//! a question can never change anything afterwards.
//! Bounds: queue, batch, cached keys and remembered digests, each by [`VerifierOptions`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use lakh_engine::command::{Command, FrameOperation, Operation};
use lakh_engine::ids::KeyId;
use lakh_engine::units::Timestamp;
use parking_lot::Mutex;
use rtrb::Producer;

use crate::api_error::ApiError;
use crate::auth::evidence::{Evidence, SignedText, replay_guard};
use crate::auth::payload_digest;
use crate::auth::signature::{BatchVerifier, SignedMessage, Verdict, VerifyingKey};
use crate::counters::Counters;
use crate::hand_over::{Input, Read, RequestHandle, SessionHandle, Signal};
use crate::limits::{Charge, Rate, TokenBucket};
use crate::request::{self, refusal};
use crate::session::{Asked, Channel, SignedWork, Standing, Submission, Work};
use crate::wire::json::response;

/// For how long a digest that a question used is remembered at least: the longest window and a second ahead, and one
/// more to be safe.
const READ_DIGEST_LIFE_NS: u64 = 62_000_000_000;

/// Bounds of a verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifierOptions {
    /// Requests that may wait. More get -1008.
    pub queue: usize,
    /// Signatures of one batch at most.
    pub batch: usize,
    /// Keys that are kept decompressed; when there are more, all are forgotten.
    pub cached_keys: usize,
    /// New orders of one key, over all connections of one verifier.
    pub orders_per_key: Rate,
    /// Signatures of connections that had a bad one before: each costs two verifications of its own, some 40 us.
    pub suspects: Rate,
    /// Signatures of connections that had none accepted yet: each costs a verification of its own, some 20 us.
    pub unproven: Rate,
}

impl Default for VerifierOptions {
    fn default() -> Self {
        let orders_per_key = Rate { per_second: 100_000, burst: 100_000 };
        // At most about a tenth of a core.
        let suspects = Rate { per_second: 2_500, burst: 500 };
        // At most about a fifth; a burst lets everybody come back at once after a restart.
        let unproven = Rate { per_second: 10_000, burst: 20_000 };
        Self { queue: 16_384, batch: 512, cached_keys: 65_536, orders_per_key, suspects, unproven }
    }
}

/// Something for a verifier to do.
#[derive(Debug)]
pub struct Job {
    /// What.
    pub submission: Submission,
    /// For which session.
    pub session: SessionHandle,
}

/// The sessions' end of a verifier's queue.
#[derive(Clone, Debug)]
pub struct VerifierQueue(SyncSender<Job>);

impl VerifierQueue {
    /// A queue with room for `capacity` jobs, and where they come out: the thread's end, or that of a simulation.
    pub fn with_capacity(capacity: usize) -> (Self, Receiver<Job>) {
        let (sender, receiver) = sync_channel(capacity);
        (Self(sender), receiver)
    }

    /// Puts a job into the queue without waiting.
    ///
    /// # Errors
    /// -1008 when there is no room, or the verifier is gone. The caller answers the session.
    pub fn submit(&self, job: Job) -> Result<(), ApiError> {
        self.0.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => refusal::overloaded(),
            TrySendError::Disconnected(_) => refusal::shutting_down(),
        })
    }
}

/// Digests of signed texts that questions have used, in two generations, so that each is remembered for 62 to 124
/// seconds. Shared by all verifiers of a gateway: the second use may come over another connection.
#[derive(Debug)]
pub struct ReadDigests {
    capacity: usize,
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    began_at: Timestamp,
    young: HashSet<[u8; 16]>,
    old: HashSet<[u8; 16]>,
}

impl ReadDigests {
    /// Remembers at most `capacity` digests a generation; beyond that signed questions are refused.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, generations: Mutex::default() }
    }

    /// Remembers the digest of a question, which may come again as a question.
    ///
    /// # Errors
    /// -1003 when there is no room: a question that cannot be remembered must not be answered.
    fn remember(&self, digest: [u8; 16], now: Timestamp) -> Result<(), ApiError> {
        let mut generations = self.generations.lock();
        if now.0.saturating_sub(generations.began_at.0) >= READ_DIGEST_LIFE_NS {
            generations.old = std::mem::take(&mut generations.young);
            generations.began_at = now;
        }
        if generations.young.len() >= self.capacity && !generations.young.contains(&digest) {
            return Err(refusal::too_many_requests());
        }
        generations.young.insert(digest);
        Ok(())
    }

    /// Whether a question has used this digest.
    fn contains(&self, digest: &[u8; 16]) -> bool {
        let generations = self.generations.lock();
        generations.young.contains(digest) || generations.old.contains(digest)
    }
}

/// What a verifier hands its work to.
#[derive(Debug)]
pub struct VerifierWiring {
    /// The ring to the sequencer.
    pub to_sequencer: Producer<Input>,
    /// What wakes the sequencer.
    pub sequencer_signal: Arc<Signal>,
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
    /// `None` for bytes that are registered but are no key: they never sign anything.
    keys: HashMap<[u8; 32], Option<Arc<VerifyingKey>>>,
    budgets: HashMap<KeyId, TokenBucket>,
    /// What all suspects together may have verified.
    suspects: TokenBucket,
    /// What all who have proven nothing yet may.
    unproven: TokenBucket,
}

/// How a job's signature was found.
enum Finding {
    /// It needed none.
    Unsigned,
    /// It holds, over the raw text or over the other one with this index.
    Holds(Option<usize>),
    /// It does not.
    Refused,
    /// Nobody looked: those who are not trusted yet, or no longer, have had their share.
    Shed,
}

impl Verifier {
    /// A verifier with its ring.
    ///
    /// # Errors
    /// When the operating system has no randomness for the batches' coefficients.
    pub fn new(options: VerifierOptions, wiring: VerifierWiring) -> Result<Self, getrandom::Error> {
        let batch = BatchVerifier::from_system()?;
        let (suspects, unproven) = (TokenBucket::new(options.suspects), TokenBucket::new(options.unproven));
        Ok(Self { options, wiring, batch, keys: HashMap::new(), budgets: HashMap::new(), suspects, unproven })
    }

    /// Starts the thread. It ends when the last clone of the queue is dropped.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn spawn(self) -> std::io::Result<(VerifierQueue, JoinHandle<()>)> {
        let (queue, jobs) = VerifierQueue::with_capacity(self.options.queue);
        let thread = std::thread::Builder::new().name("verifier".to_owned()).spawn(move || self.run(&jobs))?;
        Ok((queue, thread))
    }

    fn run(mut self, queue: &Receiver<Job>) {
        let mut jobs = Vec::with_capacity(self.options.batch);
        while let Ok(first) = queue.recv() {
            jobs.push(first);
            jobs.extend(queue.try_iter().take(self.options.batch.saturating_sub(1)));
            self.process(&mut jobs);
        }
    }

    /// Verifies these jobs as one batch and hands them on in order; leaves `jobs` empty.
    pub fn process(&mut self, jobs: &mut Vec<Job>) {
        let now = (self.wiring.clock)();
        let findings = self.verify(jobs, now);
        let mut handed_on = false;
        for (job, finding) in jobs.drain(..).zip(findings) {
            let Job { submission, session } = job;
            let handle = RequestHandle { session, request: submission.request, shape: submission.shape };
            match self.input(submission.work, finding, now) {
                Err(error) => handle.answer(Err(error)),
                Ok(asked) => handed_on |= self.hand_on(asked, handle),
            }
        }
        if handed_on {
            self.wiring.sequencer_signal.notify();
        }
    }

    /// One finding a job, in order.
    fn verify(&mut self, jobs: &[Job], now: Timestamp) -> Vec<Finding> {
        let keys: Vec<Option<Arc<VerifyingKey>>> = jobs.iter().map(|job| self.key_of(&job.submission.work)).collect();
        let mut batched = Vec::with_capacity(jobs.len());
        for (job, key) in jobs.iter().zip(&keys) {
            if let (Some(signed), Some(key)) = (Signed::of(&job.submission.work), key.as_deref())
                && signed.may_be_batched(job.submission.standing)
            {
                batched.push(SignedMessage { key, message: signed.message, signature: signed.signature });
            }
        }
        let mut verdicts = Vec::with_capacity(batched.len());
        self.batch.verify(&batched, &mut verdicts);
        if verdicts.contains(&Verdict::Refused) {
            self.wiring.counters.batches_failed.count();
        }
        let may_verify = |standing| match standing {
            Standing::Good => Charge::Paid,
            Standing::Suspect => self.suspects.charge(1, now),
            Standing::Unproven => self.unproven.charge(1, now),
        };
        let mut verdicts = verdicts.into_iter();
        let finding = |(job, key): (&Job, &Option<Arc<VerifyingKey>>)| {
            let Some(signed) = Signed::of(&job.submission.work) else { return Finding::Unsigned };
            let Some(key) = key.as_deref() else { return Finding::Refused };
            let raw = if signed.may_be_batched(job.submission.standing) {
                verdicts.next().expect("one verdict for each message of the batch")
            } else if may_verify(job.submission.standing) == Charge::Refused {
                return Finding::Shed;
            } else {
                key.verify(signed.message, signed.signature)
            };
            if raw == Verdict::Accepted {
                return Finding::Holds(None);
            }
            let accepted = |text: &Vec<u8>| key.verify(text, signed.signature) == Verdict::Accepted;
            let other = signed.other_texts.iter().position(accepted);
            other.map_or(Finding::Refused, |index| Finding::Holds(Some(index)))
        };
        jobs.iter().zip(&keys).map(finding).collect()
    }

    /// The key that signed work names, decompressed; `None` for other work and for bytes that are no key.
    fn key_of(&mut self, work: &Work) -> Option<Arc<VerifyingKey>> {
        let signed = Signed::of(work)?;
        if let Some(key) = self.keys.get(signed.public_key) {
            return key.clone();
        }
        if self.keys.len() >= self.options.cached_keys {
            self.keys.clear();
        }
        let key = VerifyingKey::from_bytes(signed.public_key).ok().map(Arc::new);
        self.keys.insert(*signed.public_key, key.clone());
        key
    }

    /// What goes to the sequencer.
    fn input(&mut self, work: Work, finding: Finding, now: Timestamp) -> Result<Checked, ApiError> {
        match (work, finding) {
            (Work::Read(read), _) => Ok(self.checked_read(read, now)),
            (Work::SessionEnded(account), _) => Ok(Checked::Command(Command::SessionEnded { account }, Bytes::new())),
            (Work::Delegated { command, evidence }, _) => {
                self.charge(&command, now)?;
                Ok(Checked::Command(command, evidence))
            }
            (Work::Signed(signed), Finding::Holds(other)) => {
                self.wiring.counters.signatures_accepted.count();
                self.signed_input(signed, other, now)
            }
            (Work::Native(native), Finding::Holds(_)) => {
                self.wiring.counters.signatures_accepted.count();
                self.charge(&native.command, now)?;
                Ok(Checked::Command(native.command, native.evidence))
            }
            (Work::Signed(_) | Work::Native(_), Finding::Shed) => {
                self.wiring.counters.untrusted_shed.count();
                Err(refusal::overloaded())
            }
            (Work::Signed(_) | Work::Native(_), _) => {
                self.wiring.counters.signatures_refused.count();
                Err(refusal::signature())
            }
        }
    }

    fn signed_input(&mut self, signed: SignedWork, other: Option<usize>, now: Timestamp) -> Result<Checked, ApiError> {
        let text = other.map_or(&signed.text, |index| &signed.other_texts[index]);
        let (operation, valid_until) = match signed.asked {
            Asked::Operation { operation, valid_until } => (operation, valid_until),
            Asked::Read(read) => {
                self.wiring.read_digests.remember(payload_digest(text), now)?;
                return Ok(self.checked_read(read, now));
            }
        };
        if self.wiring.read_digests.contains(&payload_digest(text)) {
            return Err(refusal::used_by_a_read());
        }
        let grade = signed.channel.grade();
        let guard = replay_guard(grade, signed.timing, text);
        let command = request::command(&signed.key, grade, guard, (operation, valid_until));
        self.charge(&command, now)?;
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

    /// Charges the key for a new order. A cancel is never refused here: it only ever lowers the load that follows.
    fn charge(&mut self, command: &Command, now: Timestamp) -> Result<(), ApiError> {
        let (key, orders) = match command {
            Command::Signed(signed) if matches!(signed.operation, Operation::PlaceOrder(_)) => (signed.key, 1),
            Command::Frame(frame) => {
                let places = |one: &&FrameOperation| matches!(one, FrameOperation::PlaceOrder(_));
                (frame.key, frame.operations.iter().filter(places).count() as u64)
            }
            _ => return Ok(()),
        };
        match self.order_budget(key).charge(orders, now) {
            Charge::Paid => Ok(()),
            Charge::Refused => {
                self.wiring.counters.orders_over_budget.count();
                Err(refusal::too_many_orders())
            }
        }
    }

    /// A key's budget for new orders.
    fn order_budget(&mut self, key: KeyId) -> &TokenBucket {
        if self.budgets.len() >= self.options.cached_keys && !self.budgets.contains_key(&key) {
            self.budgets.clear();
        }
        let rate = self.options.orders_per_key;
        self.budgets.entry(key).or_insert_with(|| TokenBucket::new(rate))
    }

    /// A question for the publisher, or the answer to the one that only the verifier knows.
    fn checked_read(&mut self, read: Read, now: Timestamp) -> Checked {
        match read {
            Read::OrderBudget { key } => Checked::Answer(response::order_budget(self.order_budget(key).budget(now))),
            read => Checked::Read(read),
        }
    }

    /// Puts it into the ring; true when it is in.
    fn hand_on(&mut self, asked: Checked, handle: RequestHandle) -> bool {
        let ring = &mut self.wiring.to_sequencer;
        // The end of a session only takes orders off, too, and nobody asks for it a second time.
        let is_cancel = matches!(&asked, Checked::Command(command, _)
            if command.is_cancel() || matches!(command, Command::SessionEnded { .. }));
        let kept_free = if is_cancel { 0 } else { ring.buffer().capacity() / 4 };
        // The cached number is a lower bound that costs no look at the other thread's cache line.
        if ring.cached_slots() <= kept_free && ring.slots() <= kept_free {
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
        ring.push(input).is_ok()
    }
}

/// What the signature of some work is about, whichever face it came through.
struct Signed<'a> {
    public_key: &'a [u8; 32],
    signature: &'a [u8; 64],
    message: &'a [u8],
    other_texts: &'a [Vec<u8>],
}

impl<'a> Signed<'a> {
    /// `None` for work that needs no signature.
    fn of(work: &'a Work) -> Option<Self> {
        match work {
            Work::Signed(signed) => Some(Self {
                public_key: &signed.public_key,
                signature: &signed.signature,
                message: &signed.text,
                other_texts: &signed.other_texts,
            }),
            Work::Native(native) => Some(Self {
                public_key: &native.public_key,
                signature: &native.signature,
                message: native.signed.as_slice(),
                other_texts: &[],
            }),
            Work::Delegated { .. } | Work::Read(_) | Work::SessionEnded(_) => None,
        }
    }

    /// True for a signature that will most likely hold over the raw text: one that does not makes the whole batch fail.
    /// Who signs another spelling does so always, and would slow down everybody each time.
    fn may_be_batched(&self, standing: Standing) -> bool {
        standing == Standing::Good && self.other_texts.is_empty()
    }
}

/// A request whose signature, if it needed one, holds.
#[allow(clippy::large_enum_variant, reason = "moved once, within one thread: a box would allocate per order")]
enum Checked {
    Command(Command, Bytes),
    Read(Read),
    Answer(Bytes),
}
