//! The loop of a load: one thread that sends what is due, reads what came, and sleeps until the next look.
//!
//! Why no runtime: a look every few hundred microseconds writes what is due on each connection with one call and reads
//! whatever has come, so that the number of wake-ups does not grow with the rate. The price is that each latency contains
//! up to one look's distance on the way out and one on the way in, which is said in the report. Everything ends at a
//! deadline, so that a dead venue is a failed check and not a hang.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rustix::event::epoll;

use crate::error::LoadtestError;
use crate::load::connection::{Connection, READ_BYTES};
use crate::load::own_book::OwnBook;
use crate::load::plan::Part;
use crate::load::schedule::Schedule;
use crate::load::seen::Seen;
use crate::recorder::Recorder;

/// Sockets that are looked at between two questions to the system.
const EVENTS: usize = 1_024;
/// Parts of a connection that are here at most when a further one is taken.
const PARTS_AHEAD: usize = 2;
/// How often intervals end.
const INTERVAL: Duration = Duration::from_secs(1);

/// How far a load is, for those who watch it.
#[derive(Debug, Default)]
pub struct LiveCounters {
    /// Operations that are due by now.
    pub due: AtomicU64,
    /// Operations that were taken.
    pub acknowledged: AtomicU64,
    /// Operations that were refused.
    pub rejected: AtomicU64,
}

/// What is driven.
pub(crate) struct Drive {
    pub(crate) connections: Vec<Connection>,
    pub(crate) schedule: Arc<Schedule>,
    /// Requests in all.
    pub(crate) requests: u64,
    /// Operations of each.
    pub(crate) operations: u64,
    pub(crate) start: Instant,
    pub(crate) pacing: Duration,
    /// How long answers may take after the last request.
    pub(crate) drain: Duration,
    pub(crate) book: OwnBook,
    /// Parts that are signed while the load is on, one of each connection at a time; nothing where all were before.
    pub(crate) parts: Option<Receiver<Vec<Part>>>,
    pub(crate) live: Arc<LiveCounters>,
}

/// What came of it.
pub(crate) struct Driven {
    pub(crate) recorder: Recorder,
    pub(crate) book: OwnBook,
    /// Processor time of this thread.
    pub(crate) cpu: Duration,
}

impl Drive {
    /// Runs to the last answer or the deadline.
    ///
    /// # Errors
    /// [`LoadtestError::Connection`] when the system cannot watch the sockets.
    pub(crate) fn run(mut self) -> Result<Driven, LoadtestError> {
        let cpu = thread_time();
        let failed = |error| LoadtestError::connection("watching", error);
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(failed)?;
        for (index, connection) in self.connections.iter().enumerate() {
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&poll, &connection.stream, data, epoll::EventFlags::IN).map_err(failed)?;
        }
        let mut recorder = Recorder::new();
        let deadline = self.schedule.end(self.requests) + self.drain;
        let mut state = State { next: 0, touched: Vec::new(), interval_end: INTERVAL, buffer: vec![0; READ_BYTES] };
        let mut events = Vec::with_capacity(EVENTS);
        std::thread::sleep(self.start.saturating_duration_since(Instant::now()));
        loop {
            let look = Instant::now();
            let now = look.saturating_duration_since(self.start);
            self.send(&mut state, &mut recorder, now);
            self.receive(&poll, &mut events, (&mut state, &mut recorder))?;
            if now >= state.interval_end {
                recorder.end_interval(now);
                state.interval_end += INTERVAL;
            }
            self.tell(&state, &recorder);
            if self.connections.iter().all(Connection::is_done) {
                break;
            }
            if now >= deadline {
                self.give_up(&mut recorder);
                break;
            }
            std::thread::sleep(self.pacing.saturating_sub(look.elapsed()));
        }
        recorder.end_interval(self.start.elapsed());
        Ok(Driven { recorder, book: self.book, cpu: thread_time().saturating_sub(cpu) })
    }

    /// Releases what is due and writes it.
    fn send(&mut self, state: &mut State, recorder: &mut Recorder, now: Duration) {
        // Taken only when it is soon needed, so that the signer is not far ahead and memory stays bounded.
        let is_wanted = self.connections.first().is_some_and(|first| first.ledger.parts_ahead() < PARTS_AHEAD);
        if let Some(parts) = self.parts.as_ref().filter(|_| is_wanted).and_then(|parts| parts.try_recv().ok()) {
            for (connection, part) in self.connections.iter_mut().zip(parts) {
                connection.hand_over(part);
            }
        }
        while state.next < self.requests && self.schedule.is_due(state.next, now) {
            let index = self.schedule.connection(state.next);
            self.connections[index].ledger.released += 1;
            state.next += 1;
            if state.touched.last() != Some(&index) {
                state.touched.push(index);
            }
        }
        let mut seen = Seen { recorder, book: &mut self.book, schedule: &self.schedule, start: self.start, now };
        let touched = std::mem::take(&mut state.touched);
        for &index in &touched {
            let connection = &mut self.connections[index];
            connection.write(&self.schedule, &mut seen);
            // What the socket did not take is tried again at the next look.
            if connection.has_unsent() && !connection.is_done() {
                state.touched.push(index);
            }
        }
    }

    /// Reads what has come, and asks connections that have everything for what is answered last.
    fn receive(
        &mut self,
        poll: &impl std::os::fd::AsFd,
        events: &mut Vec<epoll::Event>,
        (state, recorder): (&mut State, &mut Recorder),
    ) -> Result<(), LoadtestError> {
        let now = self.start.elapsed();
        let mut seen = Seen { recorder, book: &mut self.book, schedule: &self.schedule, start: self.start, now };
        let at_once = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        loop {
            events.clear();
            let found = epoll::wait(poll, rustix::buffer::spare_capacity(events), Some(&at_once));
            match found {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(LoadtestError::connection("watching", error)),
            }
            for event in events.iter() {
                let index = usize::try_from(event.data.u64()).expect("an index of the connections");
                let connection = &mut self.connections[index];
                connection.read(&mut state.buffer, &mut seen);
                if connection.is_done() {
                    // A socket that was closed would be ready for ever.
                    epoll::delete(poll, &connection.stream)
                        .map_err(|error| LoadtestError::connection("watching", error))?;
                }
            }
            if events.len() < EVENTS {
                break;
            }
        }
        // Whoever asked before everybody is answered would miss what another's last orders do to his own.
        let is_answered = |one: &Connection| one.is_done() || one.unanswered() == 0;
        if state.next == self.requests && self.connections.iter().all(is_answered) {
            for (index, connection) in self.connections.iter_mut().enumerate() {
                connection.look_after(now);
                if connection.has_unsent() && !connection.is_done() && !state.touched.contains(&index) {
                    state.touched.push(index);
                }
            }
        }
        Ok(())
    }

    fn tell(&self, state: &State, recorder: &Recorder) {
        self.live.due.store(state.next * self.operations, Ordering::Relaxed);
        self.live.acknowledged.store(recorder.acknowledged(), Ordering::Relaxed);
        self.live.rejected.store(recorder.rejected(), Ordering::Relaxed);
    }

    /// What is not answered by now never is.
    fn give_up(&self, recorder: &mut Recorder) {
        let lost: u64 = self.connections.iter().filter(|one| !one.is_done()).map(Connection::unanswered).sum();
        let message = if lost > 0 {
            format!("{lost} requests were never answered")
        } else {
            "the venue did not answer the last question in time".to_owned()
        };
        recorder.fault(message);
    }
}

/// Where the loop is.
struct State {
    /// The next request that becomes due, of all.
    next: u64,
    /// Connections that have something to write.
    touched: Vec<usize>,
    interval_end: Duration,
    buffer: Vec<u8>,
}

/// Processor time of the calling thread.
pub(crate) fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
