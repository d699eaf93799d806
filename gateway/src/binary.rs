//! The tokio shell of a session of the binary face: moves bytes between a socket, the session and its outbox.
//!
//! Whatever has come is handled before anything is written, and whatever stands in the outbox is written at once. While
//! a client does not read, nothing more is taken out of its outbox, which then fills and ends the session with its
//! reason; reading goes on meanwhile, until what the session itself has answered is as much as an outbox.
//! Bounds: one buffer for what comes in ([`INPUT_BYTES`]), one for what is being written: as large as the outbox, and what
//! the session says to one such buffer of input.

use std::sync::Arc;
use std::time::Duration;

use lakh_engine::units::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, interval_at, timeout};

use crate::byte_outbox::{ByteOutbox, Notice};
use crate::counters::Counters;
use crate::hand_over::SessionHandle;
use crate::server::Peer;
use crate::session::binary::{BinaryActions, BinarySession, stamp};
use crate::verifier::{Job, VerifierQueue};
use crate::websocket::has_ended;
use crate::wire::sbe::MAX_FRAME_BYTES;
use crate::wire::sbe::enums::Code;

/// Bytes that are read at once: some hundreds of orders.
const INPUT_BYTES: usize = 4 * MAX_FRAME_BYTES;
/// How often a session lets time pass at first.
const TICK: Duration = Duration::from_millis(125);
/// And at most how seldom: a thousand quiet sessions that look eight times a second take a twentieth of a core.
const TICK_MAX: Duration = Duration::from_secs(1);
/// Looks within one heartbeat interval.
const TICKS_PER_HEARTBEAT: u32 = 8;
/// How long a client may take to read anything of what is written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a goodbye may take to be read.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long requests in flight are waited for before a stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// An empty buffer that has grown beyond this is given back.
const KEPT_BYTES: usize = 1 << 20;

/// A connection with its session.
struct Connection<S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    session: BinarySession,
    outbox: Arc<ByteOutbox>,
    verifier: VerifierQueue,
    clock: fn() -> Timestamp,
    counters: Arc<Counters>,
    input: Vec<u8>,
    /// Bytes of `input` that are not taken yet.
    filled: usize,
    /// What is being written, and how much of it is.
    output: Vec<u8>,
    written: usize,
    /// When the client last read something of it.
    progress_at: Instant,
    next_sequence: u64,
    notices: Vec<Notice>,
    actions: BinaryActions,
    end: Option<Code>,
}

/// What a connection waits for.
enum Event {
    Read(std::io::Result<usize>),
    Wrote(std::io::Result<usize>),
    Woken,
    Tick,
    Stop,
}

/// Serves a connection until it ends, then tells the engine that it has.
pub(crate) async fn serve<S>(stream: S, peer: Arc<Peer>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let outbox = Arc::new(ByteOutbox::new(peer.binary_outbox_bytes()));
    let session = BinarySession::new(peer.sessions(), peer.address_budget(), peer.now());
    let (reader, writer) = tokio::io::split(stream);
    let mut connection = Connection {
        reader,
        writer,
        session,
        outbox,
        verifier: peer.verifier(),
        clock: peer.clock(),
        counters: peer.counters(),
        input: vec![0; INPUT_BYTES],
        filled: 0,
        output: Vec::new(),
        written: 0,
        progress_at: Instant::now(),
        next_sequence: 1,
        notices: Vec::new(),
        actions: BinaryActions::default(),
        end: None,
    };
    connection.exchange(peer.shutdown()).await;
    connection.outbox.close();
    // First of all: a network that is dead may take its time over the rest.
    if let Some(account) = connection.session.handle_gone() {
        has_ended(account, &connection.verifier, &connection.counters).await;
    }
    if connection.end.is_some() {
        let _ = timeout(GOODBYE_TIMEOUT, connection.say_goodbye()).await;
    }
}

impl<S> Connection<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    async fn exchange(&mut self, mut shutdown: watch::Receiver<bool>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop_at = None;
        while self.end.is_none() {
            let event = self.next(&mut ticks, &mut shutdown, stop_at.is_some()).await;
            let now = (self.clock)();
            match event {
                Event::Read(Ok(0)) | Event::Read(Err(_)) | Event::Wrote(Err(_)) => return,
                Event::Read(Ok(count)) => {
                    self.filled += count;
                    self.handle_input(now);
                }
                Event::Wrote(Ok(count)) => self.handle_written(count, now),
                Event::Woken => self.handle_outbox(now),
                Event::Tick => self.handle_tick(now),
                Event::Stop => {
                    stop_at = Some(Instant::now() + DRAIN_TIMEOUT);
                    self.session.handle_shutdown(&mut self.actions);
                }
            }
            if stop_at.is_some_and(|at| at <= Instant::now()) {
                self.session.handle_stop(&mut self.actions);
            }
            self.perform(now);
            let tick = (self.session.heartbeat() / TICKS_PER_HEARTBEAT).clamp(TICK, TICK_MAX);
            if tick != ticks.period() {
                ticks = interval_at(Instant::now() + tick, tick);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            }
            if !self.output.is_empty() && self.progress_at.elapsed() > WRITE_TIMEOUT {
                self.counters.slow_consumers_dropped.count();
                return;
            }
        }
    }

    /// Waits for the next thing to do. Each of the waits can be given up without losing anything.
    async fn next(&mut self, ticks: &mut Interval, shutdown: &mut watch::Receiver<bool>, stopping: bool) -> Event {
        // Who asks and does not read the answers has to wait with his questions: each could be answered at once.
        let room = self.filled < self.input.len() && self.output.len() <= self.outbox.capacity();
        let idle = self.output.is_empty();
        tokio::select! {
            count = self.reader.read(&mut self.input[self.filled..]), if room => Event::Read(count),
            () = self.outbox.woken(), if idle => Event::Woken,
            count = self.writer.write(&self.output[self.written..]), if !idle => Event::Wrote(count),
            _ = ticks.tick() => Event::Tick,
            _ = shutdown.wait_for(|stop| *stop), if !stopping => Event::Stop,
        }
    }

    fn handle_input(&mut self, now: Timestamp) {
        let consumed = self.session.handle_bytes(&self.input[..self.filled], now, &mut self.actions);
        self.input.copy_within(consumed..self.filled, 0);
        self.filled -= consumed;
    }

    fn handle_written(&mut self, count: usize, now: Timestamp) {
        self.written += count;
        self.progress_at = Instant::now();
        if self.written == self.output.len() {
            self.session.handle_sent(now);
            self.output.clear();
            self.written = 0;
            if self.output.capacity() > KEPT_BYTES {
                self.output = Vec::new();
            }
            self.handle_outbox(now);
        }
    }

    /// Takes what stands in the outbox, when nothing is being written.
    fn handle_outbox(&mut self, now: Timestamp) {
        let taken = self.outbox.take(&mut self.output, &mut self.notices);
        self.next_sequence = stamp(&mut self.output, self.next_sequence, now);
        self.progress_at = Instant::now();
        let waited = !self.session.takes_messages();
        self.session.handle_news(taken, &mut self.notices, now, &mut self.actions);
        if waited && self.session.takes_messages() {
            // What came behind the logon has waited for it.
            self.handle_input(now);
        }
    }

    fn handle_tick(&mut self, now: Timestamp) {
        self.session.handle_timeout(now, &mut self.actions);
        if self.output.is_empty() {
            // What was answered without a word wakes nobody.
            self.handle_outbox(now);
        } else if self.outbox.has_ended() {
            // It does not read: what is in front of the goodbye may never be written, so nothing is taken out any more.
            let mut discarded = Vec::new();
            let taken = self.outbox.take(&mut discarded, &mut self.notices);
            self.session.handle_news(taken, &mut self.notices, now, &mut self.actions);
        }
    }

    /// Does what the session wants.
    fn perform(&mut self, now: Timestamp) {
        for submission in std::mem::take(&mut self.actions.submissions) {
            let (request, shape) = (submission.request, submission.shape);
            let job = Job { submission, session: SessionHandle::of_bytes(Arc::clone(&self.outbox)) };
            if self.verifier.submit(job).is_err() {
                self.session.handle_refusal(request, shape, &mut self.actions);
            }
        }
        if !self.actions.frames.is_empty() {
            if self.output.is_empty() {
                self.progress_at = Instant::now();
            }
            self.next_sequence = stamp(&mut self.actions.frames, self.next_sequence, now);
            self.output.append(&mut self.actions.frames);
        }
        self.end = self.actions.end;
        match self.end {
            Some(Code::SlowReader) => self.counters.slow_consumers_dropped.count(),
            Some(Code::BadSignatures) => self.counters.bad_signature_disconnects.count(),
            _ => {}
        }
    }

    /// Writes what is left, and takes what the client still sends: closing on it would destroy what it has not read.
    async fn say_goodbye(&mut self) {
        if self.writer.write_all(&self.output[self.written..]).await.is_err() || self.writer.shutdown().await.is_err() {
            return;
        }
        while matches!(self.reader.read(&mut self.input).await, Ok(count) if count > 0) {}
    }
}
