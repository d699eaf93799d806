//! What a command causes on its way out: each event goes into the running digest where it is made.
//!
//! There its kind is known, so neither does the digest have to find it out again, nor does it read back from memory what
//! was just written. An event that was said is not changed any more.

use alloc::vec::Vec;

use crate::event::Event;
use crate::event_digest::EventDigest;
use crate::units::Timestamp;

/// See the module.
pub(crate) struct Emitter<'a> {
    events: &'a mut Vec<Event>,
    digest: &'a mut EventDigest,
}

impl<'a> Emitter<'a> {
    /// For one command's events, which go into `events`, emptied first.
    #[inline]
    pub(crate) fn new(events: &'a mut Vec<Event>, digest: &'a mut EventDigest) -> Self {
        events.clear();
        Self { events, digest }
    }

    /// Says what happened. Always in line: that is what makes the event's kind known.
    #[inline(always)]
    pub(crate) fn push(&mut self, event: Event) {
        self.digest.absorb(&event);
        self.events.push(event);
    }

    /// Ends the command: when it was, and how many events it caused, which is told.
    #[inline]
    pub(crate) fn finish(self, timestamp: Timestamp) -> usize {
        self.digest.end_command(timestamp, self.events.len());
        self.events.len()
    }
}
