//! The publisher's stage: lets outputs through as they become durable, and sleeps otherwise.
//!
//! An `Applied` that is not durable stops everything behind it, reads and refusals too: what they show could rest on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lakh_engine::units::Timestamp;

use crate::hand_over::{Output, Signal};
use crate::output_ring::OutputReceiver;
use crate::publisher::Publisher;
use crate::signal::Alarm;

/// Outputs between two looks at the clock: at 100,000 a second about a millisecond.
const OUTPUTS_PER_CLOCK: usize = 256;
/// From so many events on a command is a frame or the like, and an eighth of them counts: else frames would be told one by
/// one, each with all the wakes that eight could share.
const MANY_EVENTS: usize = 64;
/// Outputs that are looked at together before the first of them is handled: a dozen orders' events.
const LOOKED_AHEAD: usize = 64;
/// Looks at the clock between two turns of those who share the thread: more outputs than one batch of a verifier makes,
/// or the publisher would fall behind by taking turns with it.
const CLOCKS_PER_TURN: u32 = 8;
/// The longest pause, so that an end of the ring that nobody tells of is noticed.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// How the stage is woken and ended.
#[derive(Clone, Debug)]
pub struct Control {
    /// Woken through this by whoever fills the ring or makes something durable.
    pub signal: Arc<Signal>,
    /// Set to end the stage, before a wake.
    pub stop: Arc<AtomicBool>,
}

/// What tells how far outputs may leave. Any function that knows the last journal sequence that may be shown is one.
pub trait Durable {
    /// The last journal sequence that may be shown. Where writing the journal is left to whoever asks for it, what is
    /// published is written first.
    fn sequence(&mut self) -> u64;

    /// Does what is due beside that, and says in how long something will be again.
    fn look_after(&mut self) -> Option<Duration>;
}

impl<F: Fn() -> u64> Durable for F {
    fn sequence(&mut self) -> u64 {
        self()
    }

    fn look_after(&mut self) -> Option<Duration> {
        None
    }
}

/// Runs the publisher until it is told to stop, then drains what is durable and gives it back, and `durable` with it. Also
/// ends when the ring's other end is gone and the ring is empty.
///
/// `now` is the clock that depth messages go by.
pub async fn run<D: Durable>(
    mut publisher: Publisher,
    mut outputs: OutputReceiver,
    durable: D,
    now: impl Fn() -> Timestamp,
    control: Control,
) -> (Publisher, D) {
    publisher.begin_live();
    let mut gate = Gate::new(durable);
    let mut alarm = Alarm::new();
    let mut clocks = 0_u32;
    loop {
        let stopping = control.stop.load(Ordering::Acquire);
        // Looked at before the ring: what the other end put there before it went is still taken.
        let abandoned = outputs.is_abandoned();
        let taken = gate.take(&mut outputs, &mut publisher);
        publisher.flush_binary();
        publisher.handle_timeout(now());
        publisher.hand_over_reports(now());
        publisher.flush_binary();
        if taken >= OUTPUTS_PER_CLOCK {
            clocks = clocks.wrapping_add(1);
            if clocks.is_multiple_of(CLOCKS_PER_TURN) {
                // Whoever has got an answer meanwhile shall write it.
                tokio::task::yield_now().await;
            }
            continue;
        }
        if (stopping && !publisher.awaits_events()) || (abandoned && outputs.is_empty()) {
            publisher.hand_over_reports(Timestamp(u64::MAX));
            return (publisher, gate.durable);
        }
        let pause = pause(publisher.next_wake(), &now).min(gate.durable.look_after().unwrap_or(PAUSE_MAX));
        // Borrowed for writing though only looked at: such a ring's end belongs to one thread at a time.
        let (gate, outputs, stop) = (&mut gate, &mut outputs, &control.stop);
        let something_came = move || gate.is_open(outputs) || stop.load(Ordering::Acquire) != stopping;
        tokio::select! {
            biased;
            () = control.signal.wait(something_came) => {}
            () = alarm.within(pause) => {}
        }
    }
}

/// Lets through what is durable. [`run`] is the stage around it; a simulation turns it by hand.
#[derive(Debug)]
pub struct Gate<D> {
    durable: D,
    /// The last answer of `durable`, which only rises.
    known: u64,
}

impl<D: Durable> Gate<D> {
    /// A gate that asks `durable` how far it may open.
    pub const fn new(durable: D) -> Self {
        Self { durable, known: 0 }
    }

    /// Hands over some hundreds of outputs, and all events of the last record among them; says how many.
    pub fn take(&mut self, outputs: &mut OutputReceiver, publisher: &mut Publisher) -> usize {
        let (mut taken, mut looked_at) = (0, 0_usize);
        while taken < OUTPUTS_PER_CLOCK && self.is_open(outputs) {
            if looked_at == 0 {
                looked_at = publisher.look_ahead(outputs, LOOKED_AHEAD);
            }
            let Some(output) = outputs.pop() else { break };
            publisher.handle_output(output);
            let events = publisher.take_events(outputs);
            looked_at = looked_at.saturating_sub(1 + events);
            taken += match events {
                events if events < MANY_EVENTS => 1 + events,
                events => 1 + events / 8,
            };
        }
        taken
    }

    /// Whether the next output is there and may leave.
    fn is_open(&mut self, outputs: &OutputReceiver) -> bool {
        match outputs.peek() {
            None => false,
            Some(Output::Applied { sequence, .. }) => {
                if sequence.0 > self.known {
                    self.known = self.durable.sequence();
                }
                sequence.0 <= self.known
            }
            Some(Output::Event(_) | Output::Events(_) | Output::Read { .. } | Output::Refused { .. }) => true,
        }
    }
}

/// How long nothing has to be done when something is due at `due`.
fn pause(due: Option<Timestamp>, now: impl Fn() -> Timestamp) -> Duration {
    let until_due = |due: Timestamp| Duration::from_nanos(due.0.saturating_sub(now().0));
    due.map_or(PAUSE_MAX, |due| until_due(due).min(PAUSE_MAX))
}
