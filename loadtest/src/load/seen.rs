//! What the answers come to, while they are read: the recorder, the own book and the time.

use std::time::{Duration, Instant};

use crate::load::own_book::OwnBook;
use crate::load::schedule::Schedule;
use crate::recorder::Recorder;

/// See the module.
pub(crate) struct Seen<'a> {
    pub(crate) recorder: &'a mut Recorder,
    pub(crate) book: &'a mut OwnBook,
    pub(crate) schedule: &'a Schedule,
    /// The start of the load.
    pub(crate) start: Instant,
    /// After the start, when the bytes that are looked at were read.
    pub(crate) now: Duration,
}

impl Seen<'_> {
    /// Takes the time.
    pub(crate) fn look_at_clock(&mut self) {
        self.now = Instant::now().saturating_duration_since(self.start);
    }
}
