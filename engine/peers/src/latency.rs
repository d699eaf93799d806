//! How long one command takes when commands come at a fixed rate, whether or not the engine keeps up: an open loop.
//!
//! Each command has a time at which it is due, and its latency counts from there to the end of `apply`: when one takes
//! long, those behind it wait, and their waiting counts. The thread spins until a command is due, so nothing of this is a
//! wake-up; what is measured is the wall clock of a thread that the system may take off its processor at any time, so the
//! highest figures are the machine's as much as the engine's. How much of that there was is told: how often, in how long,
//! the same loop needed more than [`PAUSE`] between two looks at the clock where there was nothing to do.

use std::time::{Duration, Instant};

use lakh_engine::Engine;
use lakh_engine::event::Event;
use lakh_engine::ids::Sequence;
use lakh_engine::units::Timestamp;

use crate::full::Commands;

/// Commands a second.
pub(crate) const RATE: u64 = 1_000_000;
/// Commands that come before the first one that counts: the book has to fill up.
const WARM_UP: usize = 200_000;

/// What is no look at the clock any more, but an interrupt or another program: the bar for a command's 99.9th percentile.
pub(crate) const PAUSE: Duration = Duration::from_micros(2);

/// Latencies in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latencies {
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) max: u64,
    /// The 99.9th percentile of `apply` alone, from its call to its end, without any waiting.
    pub(crate) service_p999: u64,
    /// How long the loop had nothing to do, the pauses left out.
    pub(crate) idle: u64,
    /// Looks at the clock in that time that were more than [`PAUSE`] apart.
    pub(crate) pauses: u64,
    /// The longest of them.
    pub(crate) longest_pause: u64,
}

/// Plays the flow once on a new engine at [`RATE`].
pub(crate) fn play(commands: &Commands) -> Latencies {
    let mut engine = Engine::new();
    let mut events: Vec<Event> = Vec::with_capacity(Engine::MAX_EVENTS);
    let mut latencies = Vec::with_capacity(commands.trading.len());
    let mut services = Vec::with_capacity(commands.trading.len());
    let (mut idle, mut pauses, mut longest_pause) = (Duration::ZERO, 0, Duration::ZERO);
    let interval = Duration::from_nanos(1_000_000_000 / RATE);
    for (command, sequence) in commands.set_up.iter().zip(1..) {
        engine.apply(Sequence(sequence), Timestamp(1), command, &mut events);
    }
    let mut due = Instant::now();
    for (command, sequence) in commands.trading.iter().zip(commands.set_up.len() as u64 + 1..) {
        due += interval;
        // Fetching the command is left out, as in the full run: a venue has just decoded it.
        let near = std::hint::black_box(command.clone());
        let mut start = Instant::now();
        while start < due {
            let next = Instant::now();
            match next - start {
                look if look < PAUSE => idle += look,
                pause => {
                    pauses += 1;
                    longest_pause = longest_pause.max(pause);
                }
            }
            start = next;
        }
        engine.apply(Sequence(sequence), Timestamp(1), &near, &mut events);
        std::hint::black_box(&events);
        let end = Instant::now();
        latencies.push((end - due).as_nanos() as u64);
        services.push((end - start).as_nanos() as u64);
    }
    let sorted = |mut all: Vec<u64>| {
        all.drain(..WARM_UP.min(all.len() / 2));
        all.sort_unstable();
        all
    };
    let (latencies, services) = (sorted(latencies), sorted(services));
    let at = |all: &[u64], thousandths: usize| all[(all.len() - 1) * thousandths / 1_000];
    Latencies {
        p50: at(&latencies, 500),
        p99: at(&latencies, 990),
        p999: at(&latencies, 999),
        max: at(&latencies, 1_000),
        service_p999: at(&services, 999),
        idle: idle.as_nanos() as u64,
        pauses,
        longest_pause: longest_pause.as_nanos() as u64,
    }
}
