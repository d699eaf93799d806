//! The stage, on a thread of its own: nothing leaves before it is durable, reads wait behind what is not, and a stop drains what is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::mpsc::error::TryRecvError;

use super::*;
use crate::api_error::ApiError;
use crate::hand_over::Signal;
use crate::output_ring::{OutputSender, output_ring};
use crate::publisher::{Control, Durable, run};
use crate::signal::alone;
use crate::stream::Speed;

/// How long a test waits for what must come; only a failure takes that long.
const PATIENCE: Duration = Duration::from_secs(20);
const RING_CAPACITY: usize = 1_024;

/// A running publisher.
struct Running {
    producer: OutputSender,
    durable: Arc<AtomicU64>,
    control: Control,
    thread: JoinHandle<Publisher>,
}

impl Running {
    fn start(publisher: Publisher) -> Self {
        Self::start_with(publisher, Vec::new(), AtomicBool::new(false))
    }

    /// With outputs that are in the ring before the thread looks, durable or not by number 0.
    fn start_with(publisher: Publisher, outputs: Vec<Output>, stop: AtomicBool) -> Self {
        let (mut producer, consumer) = output_ring(RING_CAPACITY);
        outputs.into_iter().for_each(|output| producer.send(output));
        let durable = Arc::new(AtomicU64::new(0));
        let control = Control { signal: Arc::new(Signal::new()), stop: Arc::new(stop) };
        let (gate, thread_control) = (Arc::clone(&durable), control.clone());
        let thread = thread::spawn(move || {
            let now = || Timestamp(1_000_000_000);
            alone(run(publisher, consumer, move || gate.load(Ordering::Acquire), now, thread_control)).0
        });
        Self { producer, durable, control, thread }
    }

    fn push(&mut self, outputs: impl IntoIterator<Item = Output>) {
        for output in outputs {
            self.producer.send(output);
        }
        self.control.signal.notify();
    }

    /// As the journal does: the number, then a wake.
    fn make_durable(&self, sequence: u64) {
        self.durable.store(sequence, Ordering::Release);
        self.control.signal.notify();
    }

    fn stop(self) -> Publisher {
        self.control.stop.store(true, Ordering::Release);
        self.control.signal.notify();
        self.thread.join().expect("the publisher ends in order")
    }
}

/// The next message; blocks until it is there.
fn next(client: &mut Client) -> ToSession {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        match client.receiver.try_recv() {
            Ok(message) => return message,
            Err(TryRecvError::Empty) if std::time::Instant::now() < deadline => thread::yield_now(),
            Err(error) => panic!("nothing came: {error}"),
        }
    }
}

fn next_request(client: &mut Client) -> u32 {
    match next(client) {
        ToSession::Answer { request, .. } => request,
        other => panic!("no answer: {other:?}"),
    }
}

fn applied(sequence: u64, handle: RequestHandle) -> Vec<Output> {
    outputs(Sequence(sequence), Timestamp(sequence), Some(handle), &[Event::EpochStarted { epoch: 1 }])
}

#[test]
fn nothing_leaves_before_it_is_durable_and_reads_wait_behind_it() {
    let mut client = Client::new(64);
    let mut running = Running::start(Scene::new().publisher);
    let read = || Read::AccountStatus { account: BOB, omit_zero_balances: true };
    running.push([Output::Read { read: read(), handle: client.request(1, AnswerShape::Empty) }]);
    assert_eq!(next_request(&mut client), 1, "a read behind nothing does not wait");

    running.push(applied(5, client.request(2, AnswerShape::Empty)));
    running.push([Output::Read { read: read(), handle: client.request(3, AnswerShape::Empty) }]);
    let error = ApiError::bad_request(-1008, "full");
    let handle = Some(client.request(4, AnswerShape::Empty));
    running.push([Output::Refused { error, handle, spent: Bytes::new() }]);
    running.push(applied(6, client.request(5, AnswerShape::Empty)));
    for sequence in [1, 4] {
        running.make_durable(sequence);
    }
    // The stop is the barrier: the thread has looked at everything and gives back what it may not show.
    let publisher = running.stop();
    assert!(client.received().is_empty(), "5 is not durable");
    drop(publisher);

    let mut running = Running::start(Scene::new().publisher);
    running.push(applied(5, client.request(2, AnswerShape::Empty)));
    running.push([Output::Read { read: read(), handle: client.request(3, AnswerShape::Empty) }]);
    running.push(applied(6, client.request(5, AnswerShape::Empty)));
    running.make_durable(5);
    assert_eq!([next_request(&mut client), next_request(&mut client)], [2, 3]);
    running.make_durable(6);
    assert_eq!(next_request(&mut client), 5);
    running.stop();
}

#[test]
fn a_stop_drains_what_is_durable_and_gives_the_state_back() {
    let mut scene = Scene::new();
    let mut client = Client::new(64);
    let first = Order { id: OrderId(128), ..limit(BOB, Side::Bid, 1, 1) };
    let second = Order { id: OrderId(192), ..limit(BOB, Side::Bid, 2, 1) };
    let (kept, dropped) = (scene.resting(&first), scene.resting(&second));
    let mut running = Running::start(scene.publisher);
    running.durable.store(2, Ordering::Release);
    for (sequence, events) in [(2, kept), (3, dropped)] {
        let handle = client.request(sequence, AnswerShape::OrderAck);
        running.push(outputs(Sequence(u64::from(sequence)), Timestamp(1), Some(handle), &events));
    }
    let publisher = running.stop();
    assert_eq!(client.received().len(), 1);
    assert!(publisher.orders().record(first.id).is_some());
    assert!(publisher.orders().record(second.id).is_none());
}

#[test]
fn events_that_come_late_are_waited_for_even_by_a_stop() {
    let mut client = Client::new(64);
    // Sequence 0 is durable from the start, so that the stopping thread takes the record before its event is there.
    let mut parts = applied(0, client.request(1, AnswerShape::Empty)).into_iter();
    let first = parts.next().expect("a record");
    let mut running = Running::start_with(Scene::new().publisher, vec![first], AtomicBool::new(true));
    while running.producer.slots() < RING_CAPACITY {
        thread::yield_now();
    }
    running.push(parts);
    let publisher = running.stop();
    assert!(!publisher.awaits_events());
    assert!(client.only().starts_with("#1 ok"));
}

/// Writes what is published when it is asked, and wants to be looked after every millisecond.
struct Writing {
    published: Arc<AtomicU64>,
    looks: Arc<AtomicU64>,
}

impl Durable for Writing {
    fn sequence(&mut self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    fn look_after(&mut self) -> Option<Duration> {
        self.looks.fetch_add(1, Ordering::AcqRel);
        Some(Duration::from_millis(1))
    }
}

#[test]
fn whoever_writes_when_asked_is_asked_and_looked_after_while_nothing_comes() {
    let mut client = Client::new(64);
    let (mut producer, consumer) = output_ring(RING_CAPACITY);
    let control = Control { signal: Arc::default(), stop: Arc::default() };
    let (published, looks) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let writing = Writing { published: Arc::clone(&published), looks: Arc::clone(&looks) };
    let thread = thread::spawn({
        let control = control.clone();
        move || alone(run(Scene::new().publisher, consumer, writing, || Timestamp(1), control)).1
    });
    while looks.load(Ordering::Acquire) < 5 {
        thread::yield_now();
    }
    for output in applied(5, client.request(1, AnswerShape::Empty)) {
        producer.send(output);
    }
    // Nobody says that it is durable; it is enough that it is there.
    published.store(5, Ordering::Release);
    control.signal.notify();
    assert_eq!(next_request(&mut client), 1);
    control.stop.store(true, Ordering::Release);
    control.signal.notify();
    let writing = thread.join().expect("the publisher ends in order and gives back who writes");
    assert_eq!(writing.published.load(Ordering::Acquire), 5);
}

#[test]
fn the_thread_ends_when_the_other_end_of_the_ring_is_gone() {
    let mut client = Client::new(64);
    let mut running = Running::start(Scene::new().publisher);
    running.push(applied(3, client.request(1, AnswerShape::Empty)));
    running.make_durable(3);
    let Running { producer, thread, .. } = running;
    drop(producer);
    thread.join().expect("the publisher ends in order");
    assert!(client.only().starts_with("#1 ok"), "what was there is taken first");
}

#[test]
fn the_clock_sends_depth_messages() {
    let mut scene = Scene::new();
    let mut client = Client::new(64);
    scene.subscribe_stream(&mut client, StreamKind::Depth(Speed::Milliseconds100), StreamWrapping::Raw);
    let order = Order { id: OrderId(128), ..limit(BOB, Side::Bid, 1, 1) };
    let events = scene.resting(&order);
    let mut running = Running::start(scene.publisher);
    running.make_durable(2);
    running.push(outputs(Sequence(2), Timestamp(1), None, &events));
    assert!(matches!(next(&mut client), ToSession::Message(message) if message.starts_with(b"{\"e\":\"depthUpdate\"")));
    running.stop();
}
