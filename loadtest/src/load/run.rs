//! Sends what is due and accounts for every answer.
//!
//! Two tasks a connection, one that writes and one that reads, so that a venue that is slow to take requests does not
//! keep this client from reading its answers. A pacing thread wakes the writers: the runtime's own timer only has
//! whole milliseconds. Everything ends at a deadline, so that a dead venue is a failed check and not a hang.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::client::{Incoming, Outgoing, Trader, connect, now_us};
use crate::error::LoadtestError;
use crate::load::plan::{ConnectionPlan, RequestKind, sign_all};
use crate::load::{LoadOptions, Schedule};
use crate::recorder::Recorder;
use crate::scan::{has_executed, scan_response};

/// Requests a connection that the signing speed is guessed from.
const SAMPLE: u64 = 64;
/// How often a start may be missed because signing took longer than guessed.
const ATTEMPTS: u32 = 4;
/// What connecting, and the difference between two measurements, may take on top.
const MARGIN: Duration = Duration::from_millis(500);
/// Frames between two flushes, so that a sender that is far behind still hands over in pieces.
const FRAMES_PER_FLUSH: usize = 512;

/// Signed requests and open connections, shortly before the start.
pub(crate) struct Ready {
    start: Instant,
    connections: Vec<(ConnectionPlan, Outgoing, Incoming)>,
}

/// Signs everything for a start that lies just far enough ahead, and connects.
pub(crate) async fn prepare(options: &LoadOptions, traders: &[Trader]) -> Result<Ready, LoadtestError> {
    let sample_start = Instant::now();
    let sampled: usize = sign(options, traders, now_us(), SAMPLE).await.iter().map(|plan| plan.frames.len()).sum();
    let requests = u32::try_from(options.requests).expect("at most MAX_REQUESTS");
    let each = sample_start.elapsed() / u32::try_from(sampled.max(1)).expect("at most MAX_REQUESTS");
    let mut lead = each * requests * 5 / 4 + MARGIN;
    for _ in 0..ATTEMPTS {
        let (begun, start_us) = (Instant::now(), now_us() + u64::try_from(lead.as_micros()).unwrap_or(u64::MAX >> 1));
        let start = begun + lead;
        let plans = sign(options, traders, start_us, u64::MAX).await;
        let mut connections = Vec::with_capacity(plans.len());
        for plan in plans {
            let (outgoing, incoming) = connect(&options.url).await?;
            connections.push((plan, outgoing, incoming));
        }
        if Instant::now() < start {
            return Ok(Ready { start, connections });
        }
        lead = begun.elapsed() * 3 / 2 + MARGIN;
    }
    Err(LoadtestError::Options("this machine is too busy to sign the requests ahead of time".to_owned()))
}

/// Signs away from the runtime's own threads.
async fn sign(options: &LoadOptions, traders: &[Trader], start_us: u64, limit: u64) -> Vec<ConnectionPlan> {
    let (options, traders) = (options.clone(), traders.to_vec());
    let signing = tokio::task::spawn_blocking(move || sign_all(&options, &traders, start_us, limit));
    signing.await.expect("signing neither panics nor is cancelled")
}

/// Sends everything when it is due, reads every answer, and gives what all connections saw together.
pub(crate) async fn drive(options: &LoadOptions, ready: Ready) -> Recorder {
    let schedule = Schedule::new(options);
    let clock = Clock { start: ready.start, schedule };
    let pacer = Pacer::start(ready.connections.len(), options.pacing);
    let last_due = schedule.due(0, options.requests / u64::from(options.connections) + 1);
    let deadline = ready.start + last_due + options.drain;
    let mut tasks = JoinSet::new();
    for (connection, (plan, outgoing, incoming)) in ready.connections.into_iter().enumerate() {
        let wake = Arc::clone(&pacer.wakes[connection]);
        tasks.spawn(drive_connection(clock.at(connection), (plan, outgoing, incoming), wake, deadline));
    }
    let mut all = Recorder::new(0);
    while let Some(finished) = tasks.join_next().await {
        match finished {
            Ok(recorder) => all.merge(&recorder),
            Err(error) => all.fault(format!("a connection's task ended early: {error}")),
        }
    }
    pacer.stop();
    all
}

/// One connection from its first request to its last answer.
async fn drive_connection(
    clock: ConnectionClock,
    (plan, mut outgoing, mut incoming): (ConnectionPlan, Outgoing, Incoming),
    wake: Arc<Notify>,
    deadline: Instant,
) -> Recorder {
    let ConnectionPlan { frames, kinds, barrier } = plan;
    let mut recorder = Recorder::new(frames.len());
    let sender = tokio::spawn(async move {
        let mut lag = Duration::ZERO;
        let sent = send_all(clock, (frames, barrier), &mut outgoing, (&wake, &mut lag)).await;
        (sent, lag, outgoing)
    });
    let reading = read_all(clock, &kinds, &mut incoming, &mut recorder);
    match tokio::time::timeout_at(deadline.into(), reading).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => recorder.fault(error.to_string()),
        Err(_) => recorder.fault("the answers did not all come in time".to_owned()),
    }
    // Once reading has ended there is nothing left that sending could still be good for.
    let abort = sender.abort_handle();
    match tokio::time::timeout(Duration::from_millis(100), sender).await {
        Ok(Ok((sent, lag, mut outgoing))) => {
            recorder.sent(lag);
            if let Err(error) = sent {
                recorder.fault(error.to_string());
            }
            outgoing.close().await;
        }
        Ok(Err(error)) => recorder.fault(format!("sending ended early: {error}")),
        Err(_) => {
            abort.abort();
            recorder.fault("the venue did not take all requests".to_owned());
        }
    }
    recorder
}

/// Writes each request once it is due, then the barrier.
async fn send_all(
    clock: ConnectionClock,
    (frames, barrier): (Vec<tokio_tungstenite::tungstenite::Utf8Bytes>, tokio_tungstenite::tungstenite::Utf8Bytes),
    outgoing: &mut Outgoing,
    (wake, lag): (&Notify, &mut Duration),
) -> Result<(), LoadtestError> {
    let mut unflushed = 0;
    for (index, frame) in (0_u64..).zip(frames) {
        let due = clock.due(index);
        loop {
            let now = clock.now();
            if now >= Some(due) {
                *lag = (*lag).max(now.unwrap_or_default().saturating_sub(due));
                break;
            }
            if unflushed > 0 {
                outgoing.flush().await?;
                unflushed = 0;
            }
            wake.notified().await;
        }
        outgoing.feed(frame).await?;
        unflushed += 1;
        if unflushed == FRAMES_PER_FLUSH {
            outgoing.flush().await?;
            unflushed = 0;
        }
    }
    outgoing.feed(barrier).await?;
    outgoing.flush().await
}

/// Reads until the barrier's answer.
async fn read_all(
    clock: ConnectionClock,
    kinds: &[RequestKind],
    incoming: &mut Incoming,
    recorder: &mut Recorder,
) -> Result<(), LoadtestError> {
    let barrier = kinds.len() as u64;
    loop {
        let text = incoming.next().await?;
        let now = clock.now().unwrap_or_default();
        let Some(head) = scan_response(text.as_bytes()) else {
            recorder.fault(format!("a message that answers nothing: {text:.120}"));
            continue;
        };
        if head.id == barrier {
            return Ok(());
        }
        let kind = usize::try_from(head.id).ok().and_then(|index| kinds.get(index));
        recorder.answer(head, clock.due(head.id.min(barrier)), now);
        if kind == Some(&RequestKind::Take) && head.status == 200 && has_executed(text.as_bytes()) {
            recorder.fill();
        }
    }
}

/// Time since the start.
#[derive(Clone, Copy)]
struct Clock {
    start: Instant,
    schedule: Schedule,
}

impl Clock {
    fn at(self, connection: usize) -> ConnectionClock {
        ConnectionClock { clock: self, connection: connection as u64 }
    }
}

/// Time since the start, and when this connection's requests are due.
#[derive(Clone, Copy)]
struct ConnectionClock {
    clock: Clock,
    connection: u64,
}

impl ConnectionClock {
    fn due(self, index: u64) -> Duration {
        self.clock.schedule.due(self.connection, index)
    }

    /// `None` before the start.
    fn now(self) -> Option<Duration> {
        Instant::now().checked_duration_since(self.clock.start)
    }
}

/// A thread that wakes every sender at short, even intervals.
struct Pacer {
    wakes: Vec<Arc<Notify>>,
    stopped: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Pacer {
    fn start(connections: usize, interval: Duration) -> Self {
        let wakes: Vec<Arc<Notify>> = (0..connections).map(|_| Arc::new(Notify::new())).collect();
        let stopped = Arc::new(AtomicBool::new(false));
        let (own_wakes, own_stopped) = (wakes.clone(), Arc::clone(&stopped));
        let thread = std::thread::spawn(move || {
            while !own_stopped.load(Ordering::Relaxed) {
                std::thread::sleep(interval);
                own_wakes.iter().for_each(|wake| wake.notify_one());
            }
        });
        Self { wakes, stopped, thread }
    }

    fn stop(self) {
        self.stopped.store(true, Ordering::Relaxed);
        // It holds nothing and cannot fail; it ends within one interval.
        let _ = self.thread.join();
    }
}
