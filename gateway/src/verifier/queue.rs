//! The way from sessions to a verifier: many put jobs in, one takes them out in batches.
//!
//! Two lists change places: sessions append to one while the verifier takes from the other, so what is written is memory
//! that was just read, and a bound that is deep costs nothing until it is needed: a disk that stands still for a moment shall
//! cost nobody an order. The lock is held for one job, or for an exchange of lists.
//! Bounds: so many requests, a frame counted as what it takes to work off; the last quarter takes only cancels. Memory for as
//! many as ever waited at once.

use std::collections::VecDeque;
use std::sync::Arc;

use lakh_engine::command::Command;
use parking_lot::Mutex;

use crate::api_error::ApiError;
use crate::counters::Counters;
use crate::hand_over::{SessionHandle, Signal};
use crate::request::refusal;
use crate::session::{NativeWork, Submission, Work};

/// Something for a verifier to do.
#[derive(Debug)]
pub struct Job {
    /// What.
    pub submission: Submission,
    /// For which session.
    pub session: SessionHandle,
}

/// Operations of a frame that count as one request by itself, which takes half as long: frames come in bunches.
const OPERATIONS_A_REQUEST: usize = 16;

impl Job {
    /// As how many requests it counts.
    fn weight(&self) -> usize {
        match &self.submission.work {
            Work::Native(NativeWork { command: Command::Frame(frame), .. }) => {
                1 + frame.operations.len() / OPERATIONS_A_REQUEST
            }
            _ => 1,
        }
    }
}

/// The sessions' end of a verifier's queue. Its last quarter takes only cancels.
#[derive(Clone, Debug)]
pub struct VerifierQueue {
    waiting: Arc<Mutex<Waiting>>,
    // Behind the list: the verifier is told when the last of them is gone.
    signal: Arc<QueueSignal>,
    capacity: usize,
    counters: Arc<Counters>,
}

/// What was put in.
#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// The weight of all that wait, here or at the other end.
    weight: usize,
    /// Whether nobody takes them out any more.
    is_abandoned: bool,
}

/// Wakes a verifier, also when nobody is left who could.
#[derive(Debug)]
struct QueueSignal(Arc<Signal>);

impl Drop for QueueSignal {
    fn drop(&mut self) {
        self.0.notify();
    }
}

impl VerifierQueue {
    /// A queue with room for `capacity` requests, and where they come out: the stage's end, or that of a simulation. `signal`
    /// wakes whoever takes them out.
    pub fn with_capacity(capacity: usize, signal: Arc<Signal>, counters: Arc<Counters>) -> (Self, Jobs) {
        let waiting = Arc::<Mutex<Waiting>>::default();
        let jobs = Jobs { waiting: Arc::clone(&waiting), taken: VecDeque::new() };
        (Self { waiting, signal: Arc::new(QueueSignal(signal)), capacity, counters }, jobs)
    }

    /// Puts a job into the queue without waiting, and wakes the verifier if it sleeps.
    ///
    /// # Errors
    /// -1008 when there is no room, or the verifier is gone. The caller answers the session.
    pub fn submit(&self, job: Job) -> Result<(), ApiError> {
        let kept_free = if job.submission.is_cancel() { 0 } else { self.capacity / 4 };
        self.put(job, self.capacity - kept_free).inspect_err(|_| self.counters.requests_shed.count())?;
        self.signal.0.notify();
        Ok(())
    }

    fn put(&self, job: Job, most: usize) -> Result<(), ApiError> {
        let mut waiting = self.waiting.lock();
        if waiting.is_abandoned {
            return Err(refusal::shutting_down());
        }
        if waiting.weight >= most {
            return Err(refusal::overloaded());
        }
        waiting.weight += job.weight();
        waiting.jobs.push_back(job);
        Ok(())
    }
}

/// The other end of a verifier's queue.
#[derive(Debug)]
pub struct Jobs {
    waiting: Arc<Mutex<Waiting>>,
    /// In front of those that wait there.
    taken: VecDeque<Job>,
}

/// Whether more jobs can come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// Somebody can put one in.
    Open,
    /// Nobody can any more, and all are taken out.
    Closed,
}

impl Jobs {
    /// Takes out what waits, at most so many that `jobs` has `most`, without waiting for more.
    pub fn take(&mut self, most: usize, jobs: &mut Vec<Job>) -> Entrance {
        // Looked at before the list: what was put in by the last of them is still taken.
        let is_closed = Arc::strong_count(&self.waiting) == 1;
        let mut waiting = self.waiting.lock();
        if self.taken.is_empty() {
            std::mem::swap(&mut waiting.jobs, &mut self.taken);
        }
        let count = most.saturating_sub(jobs.len()).min(self.taken.len());
        waiting.weight -= self.taken.range(..count).map(Job::weight).sum::<usize>();
        let is_empty = waiting.weight == 0;
        drop(waiting);
        jobs.extend(self.taken.drain(..count));
        if is_closed && is_empty { Entrance::Closed } else { Entrance::Open }
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        let mut waiting = self.waiting.lock();
        waiting.is_abandoned = true;
        // Nobody answers them any more, and their sessions shall notice.
        let left = std::mem::take(&mut waiting.jobs);
        drop(waiting);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use lakh_engine::command::{CancelOrder, EvidenceGrade, FrameCommand, FrameOperation, OrderReference, ReplayGuard};
    use lakh_engine::ids::{AccountId, KeyId, MarketId, OrderId};
    use lakh_engine::units::Timestamp;
    use tokio::sync::mpsc::error::TryRecvError;

    use super::*;
    use crate::hand_over::{AnswerShape, Markets, Read};
    use crate::session::{NOBODY, SignedBytes, Standing};

    fn job(work: Work) -> Job {
        let submission = Submission { request: NOBODY, shape: AnswerShape::Empty, work, standing: Standing::Good };
        Job { submission, session: SessionHandle::new(1).0 }
    }

    /// What is shed last, like a cancel.
    fn end(account: u32) -> Job {
        job(Work::SessionEnded(AccountId(account)))
    }

    fn question() -> Job {
        job(Work::Read(Read::BookTicker(Markets::All)))
    }

    fn accounts(jobs: &mut Vec<Job>) -> Vec<u32> {
        let account = |job: Job| match job.submission.work {
            Work::SessionEnded(account) => account.0,
            other => panic!("not what was put in: {other:?}"),
        };
        jobs.drain(..).map(account).collect()
    }

    fn queue(capacity: usize) -> (VerifierQueue, Jobs) {
        VerifierQueue::with_capacity(capacity, Arc::default(), Arc::default())
    }

    #[test]
    fn jobs_come_out_in_their_order_whatever_is_put_in_between() {
        let (queue, mut jobs) = queue(100);
        let (mut next, mut batch, mut seen) = (0, Vec::new(), Vec::new());
        for round in 0..200_u32 {
            for _ in 0..round % 7 {
                queue.submit(end(next)).unwrap();
                next += 1;
            }
            assert_eq!(jobs.take(4, &mut batch), Entrance::Open);
            assert!(batch.len() <= 4);
            // One in three batches is filled up by the next look.
            if round % 3 != 0 {
                seen.append(&mut accounts(&mut batch));
            }
        }
        drop(queue);
        while jobs.take(4, &mut batch) == Entrance::Open {
            seen.append(&mut accounts(&mut batch));
        }
        seen.append(&mut accounts(&mut batch));
        assert_eq!(seen, (0..next).collect::<Vec<_>>());
    }

    #[test]
    fn the_last_quarter_is_for_cancels_and_what_was_taken_over_counts() {
        let (queue, mut jobs) = queue(8);
        let mut batch = Vec::new();
        (0..6).for_each(|_| queue.submit(question()).unwrap());
        assert_eq!(queue.submit(question()).unwrap_err(), refusal::overloaded());
        queue.submit(end(1)).unwrap();
        jobs.take(2, &mut batch);
        assert_eq!(batch.len(), 2);
        // Five wait at the other end: there is room for one, and three cancels.
        queue.submit(question()).unwrap();
        assert_eq!(queue.submit(question()).unwrap_err(), refusal::overloaded());
        (2..4).for_each(|account| queue.submit(end(account)).unwrap());
        assert_eq!(queue.submit(end(4)).unwrap_err(), refusal::overloaded());
        assert_eq!(queue.counters.requests_shed.value(), 3);
        jobs.take(100, &mut batch);
        jobs.take(100, &mut batch);
        assert_eq!(batch.len(), 10, "what waits on both lists");
    }

    #[test]
    fn a_frame_counts_as_what_it_takes() {
        let frame = |operations: usize| {
            let (market, target) = (MarketId(0), OrderReference::OrderId(OrderId(1)));
            let cancel = FrameOperation::CancelOrder(CancelOrder { market, target });
            let command = Command::Frame(FrameCommand {
                account: AccountId(1),
                key: KeyId(1),
                grade: EvidenceGrade::Signed,
                replay_guard: ReplayGuard::Nonce { nonce: 1 },
                valid_until: Timestamp::ZERO,
                operations: vec![cancel; operations].into(),
            });
            let (signed, evidence) = (SignedBytes::Message(0), Bytes::new());
            job(Work::Native(NativeWork { public_key: [0; 32], signature: [0; 64], signed, command, evidence }))
        };
        let (queue, mut jobs) = queue(16);
        queue.submit(frame(64)).unwrap();
        queue.submit(frame(1)).unwrap();
        // Six of twelve: what is not a cancel finds room for six.
        (0..6).for_each(|_| queue.submit(question()).unwrap());
        assert_eq!(queue.submit(question()).unwrap_err(), refusal::overloaded());
        let mut batch = Vec::new();
        jobs.take(1, &mut batch);
        (0..5).for_each(|_| queue.submit(question()).unwrap());
        assert_eq!(queue.submit(question()).unwrap_err(), refusal::overloaded());
        jobs.take(100, &mut batch);
        jobs.take(100, &mut batch);
        drop(queue);
        assert_eq!(
            (batch.len(), jobs.take(100, &mut Vec::new())),
            (13, Entrance::Closed),
            "nothing is left of the count"
        );
    }

    #[test]
    fn both_ends_notice_that_the_other_is_gone() {
        let (queue, mut jobs) = queue(8);
        let other = queue.clone();
        other.submit(end(1)).unwrap();
        drop((queue, other));
        let mut batch = Vec::new();
        assert_eq!(jobs.take(0, &mut batch), Entrance::Open, "one is still there");
        assert_eq!(jobs.take(1, &mut batch), Entrance::Closed);
        assert_eq!(accounts(&mut batch), [1]);
        let (queue, jobs) = self::queue(8);
        let (session, mut outbox) = SessionHandle::new(1);
        queue.submit(Job { session, ..end(1) }).unwrap();
        assert_eq!(outbox.try_recv().unwrap_err(), TryRecvError::Empty);
        drop(jobs);
        assert_eq!(outbox.try_recv().unwrap_err(), TryRecvError::Disconnected, "its session notices");
        assert_eq!(queue.submit(end(1)).unwrap_err(), refusal::shutting_down());
    }
}
