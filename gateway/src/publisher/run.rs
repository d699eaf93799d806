//! The publisher's thread: lets outputs through as they become durable, and sleeps otherwise.
//!
//! An `Applied` that is not durable stops everything behind it, reads and refusals too: what they show could rest on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lakh_engine::units::Timestamp;
use rtrb::Consumer;

use crate::hand_over::{Output, Signal};
use crate::publisher::Publisher;

/// Outputs between two looks at the clock: at 100,000 a second about a millisecond.
const OUTPUTS_PER_CLOCK: usize = 256;
/// The longest sleep, so that a stop without a wake is noticed.
const SLEEP_MAX: Duration = Duration::from_millis(250);

/// How the thread is woken and ended.
#[derive(Clone, Debug)]
pub struct Control {
    /// Woken through this by whoever fills the ring. A plain `unpark`, as the journal does, wakes as well.
    pub signal: Arc<Signal>,
    /// Set to end the thread; a wake makes it notice at once.
    pub stop: Arc<AtomicBool>,
}

/// Runs the publisher on the calling thread until it is told to stop, then drains what is durable and gives it back.
/// Also ends when the ring's other end is gone and the ring is empty.
///
/// `durable` is the last journal sequence that may be shown; `now` is the clock that depth messages go by.
pub fn run(
    mut publisher: Publisher,
    mut consumer: Consumer<Output>,
    durable: impl Fn() -> u64,
    now: impl Fn() -> Timestamp,
    control: &Control,
) -> Publisher {
    control.signal.listen();
    publisher.begin_live();
    let mut gate = Gate::new(durable);
    loop {
        let stopping = control.stop.load(Ordering::Acquire);
        // Looked at before the ring: what the other end put there before it went is still taken.
        let abandoned = consumer.is_abandoned();
        while gate.take(&mut consumer, &mut publisher) == OUTPUTS_PER_CLOCK {
            publisher.flush_binary();
            publisher.handle_timeout(now());
            publisher.hand_over_reports(now());
        }
        publisher.handle_timeout(now());
        publisher.hand_over_reports(now());
        publisher.flush_binary();
        if (stopping && !publisher.awaits_events()) || (abandoned && consumer.is_empty()) {
            publisher.hand_over_reports(Timestamp(u64::MAX));
            return publisher;
        }
        control.signal.prepare();
        if !gate.is_open(&consumer) && control.stop.load(Ordering::Acquire) == stopping {
            thread::park_timeout(sleep(publisher.next_wake(), now()));
        }
        control.signal.awake();
    }
}

/// Lets through what is durable. [`run`] is the thread around it; a simulation turns it by hand.
#[derive(Debug)]
pub struct Gate<D> {
    durable: D,
    /// The last answer of `durable`, which only rises.
    known: u64,
}

impl<D: Fn() -> u64> Gate<D> {
    /// A gate that asks `durable` for the last journal sequence that may be shown.
    pub const fn new(durable: D) -> Self {
        Self { durable, known: 0 }
    }

    /// Hands over some hundreds of outputs at most and says how many.
    pub fn take(&mut self, consumer: &mut Consumer<Output>, publisher: &mut Publisher) -> usize {
        for taken in 0..OUTPUTS_PER_CLOCK {
            if !self.is_open(consumer) {
                return taken;
            }
            let Ok(output) = consumer.pop() else { return taken };
            publisher.handle_output(output);
        }
        OUTPUTS_PER_CLOCK
    }

    /// Whether the next output is there and may leave.
    fn is_open(&mut self, consumer: &Consumer<Output>) -> bool {
        match consumer.peek() {
            Err(_) => false,
            Ok(Output::Applied { sequence, .. }) => {
                if sequence.0 > self.known {
                    self.known = (self.durable)();
                }
                sequence.0 <= self.known
            }
            Ok(Output::Event(_) | Output::Read { .. } | Output::Refused { .. }) => true,
        }
    }
}

/// How long to sleep at `now` when something is due at `due`.
fn sleep(due: Option<Timestamp>, now: Timestamp) -> Duration {
    let until_due = due.map(|due| Duration::from_nanos(due.0.saturating_sub(now.0)));
    until_due.map_or(SLEEP_MAX, |until_due| until_due.min(SLEEP_MAX))
}
