//! The sequencer: the only place where order is decided. One stage numbers each input, journals it, applies it.
//!
//! Input comes over bounded rings, one a verifier and one for the node's own commands; what the engine says leaves over
//! one ring to the publisher. Nothing is taken while that ring has no room for the most events that one command can
//! cause, so events that are not durable yet are never overwritten and the stage never waits: the input rings fill,
//! and the gateway refuses with -1008. No allocation, no lock, no free in this stage: what a request owns moves on.
//!
//! Where there are few cores the verifiers are turned here, too: what is verified is applied at once, without a wake
//! between two threads ([`crate::pipeline`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use lakh_engine::Engine;
use lakh_engine::codec::{self, SCHEMA_VERSION};
use lakh_engine::command::Command;
use lakh_engine::event::Event;
use lakh_engine::ids::Sequence;
use lakh_engine::units::Timestamp;
use lakh_gateway::api_error::ApiError;
use lakh_gateway::hand_over::{Input, Output, RequestHandle, Signal};
use lakh_gateway::output_ring::{self, OutputSender};
use lakh_gateway::signal::Alarm;
use lakh_gateway::verifier::VerifierStage;
use lakh_journal::{AppendError, JournalWriter, RecordHeader};

use crate::keys::unhex;

/// Inputs taken from one ring before the next one has its turn.
const ROUND: usize = 256;
/// Places in the output ring that one command may need.
const OUTPUT_ROOM: usize = Engine::MAX_EVENTS + 1;
/// Places in the output ring.
pub(crate) const OUTPUT_CAPACITY: usize = 1 << 15;
/// How long is waited for a publisher that is behind.
const BEHIND_PAUSE: Duration = Duration::from_micros(200);
/// So many requests of one socket make a poor batch, while others that have come at the same time wait to be read: those are
/// let in front once. One order alone is not: nothing else may come, and it would be late for nothing. One frame is: alone,
/// its signature and its kilobytes of digest take as long as eight's.
const FEW: std::ops::Range<usize> = 2..64;
/// The longest sleep without a deadline.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Sequencer {
    pub(crate) engine: Engine,
    pub(crate) writer: JournalWriter,
    pub(crate) inputs: Vec<rtrb::Consumer<Input>>,
    pub(crate) output: OutputSender,
    pub(crate) signal: Arc<Signal>,
    pub(crate) publisher_signal: Arc<Signal>,
    pub(crate) events: Vec<Event>,
    pub(crate) payload: Vec<u8>,
    /// Tells the time.
    pub(crate) clock: fn() -> Timestamp,
}

/// What is left when the sequencer has stopped.
pub(crate) struct Stopped {
    pub(crate) engine: Engine,
    pub(crate) writer: JournalWriter,
    /// Why, when it was not asked to.
    pub(crate) failure: Option<String>,
}

/// What a round found to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Round {
    Idle,
    Worked,
}

impl Sequencer {
    /// A sequencer behind a recovered engine and journal.
    pub(crate) fn new(
        engine: Engine,
        writer: JournalWriter,
        inputs: Vec<rtrb::Consumer<Input>>,
        output: OutputSender,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self {
            engine,
            writer,
            inputs,
            output,
            signal: Arc::new(Signal::new()),
            publisher_signal: Arc::new(Signal::new()),
            events: output_ring::empty_page(),
            payload: Vec::with_capacity(16 * 1_024),
            clock,
        }
    }

    /// What wakes this thread, and what it wakes the publisher by.
    pub(crate) fn signals(&self) -> (Arc<Signal>, Arc<Signal>) {
        (Arc::clone(&self.signal), Arc::clone(&self.publisher_signal))
    }

    /// Works until `stop` is set and every ring is empty, or the journal fails. Verifies before each round what waits for
    /// `verifiers`.
    pub(crate) async fn run(mut self, mut verifiers: Vec<VerifierStage>, stop: Arc<AtomicBool>) -> Stopped {
        let watch = self.writer.watch();
        let mut alarm = Alarm::new();
        loop {
            if let Some(reason) = watch.stopped() {
                return Stopped { engine: self.engine, writer: self.writer, failure: Some(reason) };
            }
            let stopping = stop.load(Ordering::Acquire);
            // While a slow disk holds the publisher up, requests wait in the verifiers' queues, which are deep: verified, they
            // would find the ring to here full, and be refused.
            let has_room = self.output.slots() >= OUTPUT_ROOM;
            let verified =
                verifiers.iter_mut().fold(Round::Idle, |round, verifier| match has_room && verifier.step() {
                    true => Round::Worked,
                    false => round,
                });
            let round = self.round();
            if stopping && has_room && (verified, round) == (Round::Idle, Round::Idle) && !self.engine.agenda_pending()
            {
                break;
            }
            self.pause(&mut verifiers, &mut alarm, || stop.load(Ordering::SeqCst)).await;
        }
        Stopped { engine: self.engine, writer: self.writer, failure: None }
    }

    /// Takes what stands in the rings, each in turn, and hands it over to the journal in one go.
    pub(crate) fn round(&mut self) -> Round {
        let first = self.engine.sequence();
        let mut round = Round::Idle;
        self.pass_time();
        for index in 0..self.inputs.len() {
            let mut looked_at = 0_usize;
            for _ in 0..ROUND {
                if !self.has_room() {
                    break;
                }
                if looked_at == 0 {
                    looked_at = self.look_ahead(index);
                }
                let Ok(input) = self.inputs[index].pop() else { break };
                looked_at = looked_at.saturating_sub(1);
                self.take(input);
                round = Round::Worked;
            }
        }
        if self.engine.sequence() != first {
            // The block that holds this round's last record says what the engine had caused by then.
            self.writer.note_state(self.engine.sequence().0, [0; 32], self.engine.event_digest());
            self.writer.publish();
            round = Round::Worked;
        }
        if round == Round::Worked {
            // The journal wakes the publisher too, but from another thread: with both workers busy such a wake waits in the
            // runtime's shared queue for dozens of tasks, while one from here is next on this thread.
            self.publisher_signal.notify();
        }
        round
    }

    /// Asks memory for what the inputs will touch that come next on a ring. Says how many these are.
    fn look_ahead(&mut self, index: usize) -> usize {
        let ring = &mut self.inputs[index];
        let count = ring.slots().min(Engine::PREFETCH_MAX);
        let Ok(chunk) = ring.read_chunk(count) else { return 0 };
        let (front, back) = chunk.as_slices();
        self.engine.prefetch(front.iter().chain(back).filter_map(|input| match input {
            Input::Command { command, .. } => Some(command),
            _ => None,
        }));
        // Only looked at: they are taken one by one, as there is room for what they cause.
        count
    }

    /// True when the next input may be taken: there is room for its events, and nothing of the last one is left.
    fn has_room(&mut self) -> bool {
        while self.engine.agenda_pending() {
            if self.output.slots() < OUTPUT_ROOM || self.submit(&Command::Continue, Bytes::new(), None).is_err() {
                return false;
            }
        }
        self.output.slots() >= OUTPUT_ROOM
    }

    /// Lets time pass where the engine waits for it, and works off what is on the agenda.
    fn pass_time(&mut self) {
        let due = self.engine.next_deadline().is_some_and(|deadline| deadline <= (self.clock)());
        if self.has_room() && due {
            // A journal without room refuses it; it is still due then, and comes in a later round.
            let _ = self.submit(&Command::AdvanceTime, Bytes::new(), None);
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Read { read, handle } => self.output.send(Output::Read { read, handle }),
            Input::Command { command, evidence, handle } => {
                if let Err((error, handle, spent)) = self.submit(&command, evidence, handle) {
                    self.output.send(Output::Refused { error, handle, spent });
                }
            }
        }
    }

    /// Numbers, journals and applies one command. An error leaves everything as it was.
    #[expect(clippy::result_large_err, reason = "a box would allocate on the sequencer's thread")]
    fn submit(
        &mut self,
        command: &Command,
        evidence: Bytes,
        handle: Option<RequestHandle>,
    ) -> Result<(), (ApiError, Option<RequestHandle>, Bytes)> {
        let sequence = Sequence(self.engine.sequence().0 + 1);
        let timestamp = (self.clock)().max(self.engine.now());
        self.payload.clear();
        codec::encode_payload(command, &evidence, &mut self.payload);
        if let Err(error) = self.writer.append(record_header(sequence, timestamp, command), &self.payload) {
            return Err((refusal(&error), handle, evidence));
        }
        self.engine.apply(sequence, timestamp, command, &mut self.events);
        let event_count = u32::try_from(self.events.len()).expect("at most MAX_EVENTS");
        let applied = Output::Applied { sequence, timestamp, event_count, handle, spent: evidence };
        self.output.send_applied(applied, &mut self.events);
        Ok(())
    }

    /// Waits until somebody puts something into a queue, a deadline comes or a second has passed. Where something is there
    /// already, lets those take their turn who share the thread.
    async fn pause(&mut self, verifiers: &mut [VerifierStage], alarm: &mut Alarm, is_stopping: impl Fn() -> bool) {
        if self.engine.agenda_pending() || self.output.slots() < OUTPUT_ROOM {
            // The publisher is behind: it frees room when the journal's next block is durable.
            alarm.within(BEHIND_PAUSE).await;
            return;
        }
        let is_idle =
            self.inputs.iter_mut().all(|input| input.is_empty()) && !verifiers.iter_mut().any(VerifierStage::has_work);
        if is_idle && verifiers.iter_mut().any(VerifierStage::prepare_one) {
            tokio::task::yield_now().await;
            return;
        }
        let until_deadline = self
            .engine
            .next_deadline()
            .map_or(LONGEST_SLEEP, |deadline| Duration::from_nanos(deadline.0.saturating_sub((self.clock)().0)));
        let mut has_waited = false;
        // Borrowed for writing though only looked at: a ring's end belongs to one thread at a time.
        let (signal, inputs, waited, queues) = (&self.signal, &mut self.inputs, &mut has_waited, &mut *verifiers);
        let something_came = move || {
            let came = inputs.iter_mut().any(|input| !input.is_empty())
                || queues.iter_mut().any(VerifierStage::has_work)
                || is_stopping();
            *waited |= !came;
            came
        };
        tokio::select! {
            biased;
            () = signal.wait(something_came) => {}
            () = alarm.within(until_deadline.min(LONGEST_SLEEP)) => {}
        }
        let to_verify: usize = verifiers.iter().map(VerifierStage::waiting).sum();
        let is_frame_alone = to_verify == 1 && verifiers.iter().any(VerifierStage::has_frame);
        if !has_waited || is_frame_alone || FEW.contains(&to_verify) {
            tokio::task::yield_now().await;
        }
    }
}

/// The hash of the record schemas in a segment's header: BLAKE3 of the payloads of the golden recipe `engine`, which has
/// each command, one behind the other. `golden_tests.rs` finds out when it is not right any more.
pub(crate) fn schema_hash() -> [u8; 32] {
    unhex(include_str!("../tests/golden/schema").trim_end()).expect("the file has 64 hexadecimal digits")
}

/// What stands in front of a command in the journal.
pub(crate) fn record_header(sequence: Sequence, timestamp: Timestamp, command: &Command) -> RecordHeader {
    RecordHeader {
        sequence: sequence.0,
        timestamp_ns: timestamp.0,
        kind: command.kind(),
        schema_version: SCHEMA_VERSION,
        flags: 0,
        account: command.account().0,
    }
}

/// When a command may be tried again for which the journal's ring had no room.
const RETRY_AFTER_MS: u32 = 100;

/// What a client is told when the journal does not take its command.
fn refusal(error: &AppendError) -> ApiError {
    match error {
        AppendError::Full => {
            let error = ApiError::bad_request(-1008, "Server is currently overloaded; try again.");
            ApiError { status: 503, retry_after_ms: RETRY_AFTER_MS, ..error }
        }
        AppendError::TooLarge { .. } => ApiError::bad_request(-1100, "The request is too large for the journal."),
        _ => ApiError { status: 503, ..ApiError::bad_request(-1001, "The venue has stopped taking orders.") },
    }
}

/// The wall clock. The engine's time never runs backwards, whatever this does.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_journal_does_not_take_has_its_number() {
        let told = |error| {
            let refused = refusal(&error);
            (refused.code, refused.status, refused.retry_after_ms)
        };
        assert_eq!(told(AppendError::Full), (-1008, 503, RETRY_AFTER_MS));
        assert_eq!(told(AppendError::TooLarge { bytes: 2, limit: 1 }), (-1100, 400, 0));
        assert_eq!(told(AppendError::Stopped("the disk is gone".into())), (-1001, 503, 0));
    }
}
