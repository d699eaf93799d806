//! A session's outbox of whole frames, one behind the other in one buffer: no allocation and no wake for each of them.
//!
//! Publisher and verifier append, the socket's task takes everything at once and gives its empty buffer back. What the
//! session itself has to know stands beside the frames: how many requests are answered, and news of its own requests.
//! A wake is due only when nobody has announced one since the last take; who appends many gives it once, behind them
//! ([`Wakes`]).
//! Bounds: a capacity in bytes. What does not fit ends the session as a slow reader; what stands there stays to be read.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::hand_over::{Delivery, PageAnswer};
use crate::wire::sbe::HEADER_BYTES;
use crate::wire::sbe::enums::Code;

/// Where the number of the request that caused a report stands in its frame: behind number and sending time.
const REQUEST_SEQUENCE_AT: usize = HEADER_BYTES + 16;

/// See the module.
#[derive(Debug)]
pub struct ByteOutbox {
    state: Mutex<State>,
    ready: Notify,
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    frames: Vec<u8>,
    notices: Vec<Notice>,
    answered: u64,
    end: Option<Code>,
    announced: bool,
}

/// News for the session itself.
#[derive(Debug)]
pub enum Notice {
    /// The request of the session's own is done, or why not: a number of [`Code`] or of the engine.
    Answered {
        /// Which.
        request: u32,
        /// The outcome.
        outcome: Result<(), u16>,
    },
    /// A signature was not accepted.
    BadSignature,
    /// Reports that the session has asked for again.
    Page(Box<PageAnswer>),
}

/// What was taken out beside the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Requests answered since the last time.
    pub answered: u64,
    /// Why nothing more comes, if so.
    pub end: Option<Code>,
}

/// Whether somebody has to wake the session's task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Wake {
    /// Nobody has announced it yet.
    Due,
    /// Somebody has.
    Announced,
}

impl ByteOutbox {
    /// An empty outbox for `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        Self { state: Mutex::default(), ready: Notify::new(), capacity }
    }

    /// Bytes that it has room for.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Appends whole frames.
    pub fn append(&self, frames: &[u8]) -> (Delivery, Wake) {
        let mut state = self.state.lock();
        if state.end.is_some() {
            return (Delivery::Ended, Wake::Announced);
        }
        if state.frames.len() + frames.len() > self.capacity {
            state.end = Some(Code::SlowReader);
            return (Delivery::Ended, state.announce());
        }
        state.frames.extend_from_slice(frames);
        (Delivery::Delivered, state.announce())
    }

    /// Counts a request as answered; `frames` tell of it, where its reports do not.
    pub fn answer(&self, frames: &[u8]) -> Wake {
        self.state.lock().answered += 1;
        if frames.is_empty() { Wake::Announced } else { self.append(frames).1 }
    }

    /// Puts news for the session there.
    pub fn notify(&self, notice: Notice) -> Wake {
        let mut state = self.state.lock();
        if let Notice::Answered { .. } | Notice::Page(_) = notice {
            state.answered += 1;
        }
        state.notices.push(notice);
        state.announce()
    }

    /// Wakes the session's task, which somebody has announced.
    pub fn wake(&self) {
        self.ready.notify_one();
    }

    /// Waits for a wake.
    pub async fn woken(&self) {
        self.ready.notified().await;
    }

    /// Takes everything out: the frames into the empty `frames`, the news into `notices`.
    pub fn take(&self, frames: &mut Vec<u8>, notices: &mut Vec<Notice>) -> Taken {
        debug_assert!(frames.is_empty(), "what is not written yet would be lost");
        let mut state = self.state.lock();
        std::mem::swap(&mut state.frames, frames);
        notices.append(&mut state.notices);
        state.announced = false;
        Taken { answered: std::mem::take(&mut state.answered), end: state.end }
    }

    /// Takes nothing more.
    pub fn close(&self) {
        self.state.lock().end.get_or_insert(Code::ServerStops);
    }

    /// True once nothing can reach the session any more.
    pub fn has_ended(&self) -> bool {
        self.state.lock().end.is_some()
    }
}

/// Stamps into each of these reports the number of the session's request that caused it. Before they are appended: what was
/// copied into an outbox has left the nearest caches.
pub fn stamp_request(mut frames: &mut [u8], request: u32) {
    while let Some(length) = frames.first_chunk().map(|length| u32::from_le_bytes(*length) as usize) {
        frames[REQUEST_SEQUENCE_AT..REQUEST_SEQUENCE_AT + 8].copy_from_slice(&u64::from(request).to_le_bytes());
        frames = &mut frames[length..];
    }
}

impl State {
    fn announce(&mut self) -> Wake {
        match std::mem::replace(&mut self.announced, true) {
            true => Wake::Announced,
            false => Wake::Due,
        }
    }
}

/// Sessions that are to be woken once, when everything that is there has been appended. At most one entry a session
/// between two takes of it.
#[derive(Debug, Default)]
pub struct Wakes(Vec<Arc<ByteOutbox>>);

impl Wakes {
    /// Remembers a wake that is due.
    pub fn note(&mut self, outbox: &Arc<ByteOutbox>, wake: Wake) {
        if wake == Wake::Due {
            self.0.push(Arc::clone(outbox));
        }
    }

    /// Gives all of them.
    pub fn give(&mut self) {
        self.0.drain(..).for_each(|outbox| outbox.wake());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wake_until_everything_is_taken() {
        let outbox = ByteOutbox::new(100);
        let report = |length: u8| [&[length, 0, 0, 0][..], &vec![2; usize::from(length) - 4]].concat();
        let mut reports = [report(40), report(40)].concat();
        assert_eq!(outbox.append(&[1; 20]), (Delivery::Delivered, Wake::Due));
        stamp_request(&mut reports, 7);
        assert_eq!(outbox.append(&reports), (Delivery::Delivered, Wake::Announced));
        assert_eq!(outbox.notify(Notice::Answered { request: 7, outcome: Ok(()) }), Wake::Announced);
        assert_eq!(outbox.answer(&[]), Wake::Announced);
        let (mut frames, mut notices) = (Vec::new(), Vec::new());
        assert_eq!(outbox.take(&mut frames, &mut notices), Taken { answered: 2, end: None });
        assert_eq!(frames.len(), 100);
        for begin in [20, 60] {
            assert_eq!(frames[begin + REQUEST_SEQUENCE_AT..][..8], 7_u64.to_le_bytes());
        }
        assert!(matches!(notices[..], [Notice::Answered { request: 7, outcome: Ok(()) }]));
        frames.clear();
        assert_eq!(outbox.append(&[3; 40]), (Delivery::Delivered, Wake::Due));
    }

    #[test]
    fn what_does_not_fit_ends_the_session_and_leaves_what_stands_there() {
        let outbox = ByteOutbox::new(100);
        assert_eq!(outbox.append(&[1; 60]).0, Delivery::Delivered);
        assert_eq!(outbox.append(&[1; 60]).0, Delivery::Ended);
        assert_eq!(outbox.append(&[1; 10]).0, Delivery::Ended, "nothing may follow on a gap");
        let (mut frames, mut notices) = (Vec::new(), Vec::new());
        assert_eq!(outbox.take(&mut frames, &mut notices).end, Some(Code::SlowReader));
        assert_eq!(frames.len(), 60);
        assert!(outbox.has_ended());
    }
}
