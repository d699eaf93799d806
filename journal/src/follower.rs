//! Following a journal while it is written, in the writer's process or another: the segments first, then the ring.
//!
//! Invariants: nothing is returned that the running writer has not announced as durable; every block is verified like
//! a block from disk; the writer never notices. A follower that is lapped in the ring reads the segments and comes
//! back. When the writer closes or is replaced, the follower finishes from the segments and attaches to the next one.
//! `poll` reads at most one block a call from the ring or the segments, plus, at the end of a journal nobody writes,
//! one look at the rest of a segment.

use std::path::Path;

use crate::JournalError;
use crate::announcement::Announcement;
use crate::block::BlockHeader;
use crate::reader::{BlockStream, JournalReader, Next};
use crate::record::Record;
use crate::ring::{Look, Ring, STATE_CLOSED, STATE_LIVE};

/// Reads a journal and then keeps up with its writer.
pub struct Follower {
    stream: BlockStream,
    ring: Option<Ring>,
    /// The last announcement acted upon, so that a dead writer's is not attached to again.
    seen: Option<Announcement>,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Follower")
            .field("chain", self.stream.chain())
            .field("attached", &self.ring.is_some())
            .finish_non_exhaustive()
    }
}

impl Follower {
    /// Opens the journal in `directory` and attaches to its writer if there is one.
    ///
    /// # Errors
    /// As [`crate::JournalReader::open`].
    pub fn open(directory: &Path) -> Result<Self, JournalError> {
        Ok(Self::over(BlockStream::open(directory)?))
    }

    /// As [`Self::open`], and stands behind record `sequence`, as [`crate::JournalReader::open_behind`] does.
    ///
    /// # Errors
    /// As [`crate::JournalReader::open_behind`].
    pub fn open_behind(directory: &Path, sequence: u64) -> Result<Self, JournalError> {
        Ok(Self::over(JournalReader::open_behind(directory, sequence)?.into_stream()))
    }

    fn over(stream: BlockStream) -> Self {
        let mut follower = Self { stream, ring: None, seen: None };
        follower.attach();
        follower
    }

    /// The next durable record; `None` if there is none now. Never waits.
    ///
    /// # Errors
    /// As [`crate::JournalReader::next`].
    pub fn poll(&mut self) -> Result<Option<Record<'_>>, JournalError> {
        while !self.stream.has_record() {
            if !self.load()? {
                return Ok(None);
            }
        }
        Ok(self.stream.next_record())
    }

    /// The exchange whose journal this is.
    pub fn exchange_id(&self) -> [u8; 16] {
        self.stream.exchange_id()
    }

    /// The shard whose journal this is.
    pub fn shard(&self) -> u16 {
        self.stream.shard()
    }

    /// The block of the last record returned, or an empty block read since. `None` before the first.
    pub fn block(&self) -> Option<&BlockHeader> {
        self.stream.block()
    }

    /// Whether a live writer's ring is attached.
    pub fn is_attached(&self) -> bool {
        self.ring.is_some()
    }

    fn attach(&mut self) {
        let announced = Announcement::read(self.stream.directory());
        if announced.is_none() || announced == self.seen {
            return;
        }
        let open = |ring: &Ring| ring.state() != STATE_CLOSED;
        if let Some(ring) = announced.as_ref().and_then(Announcement::attach).filter(open) {
            self.ring = Some(ring);
            self.seen = announced;
        }
    }

    /// Loads the next block; `false` if there is none now.
    fn load(&mut self) -> Result<bool, JournalError> {
        match self.ring.as_ref().map(Ring::state) {
            Some(STATE_LIVE) => {}
            Some(STATE_CLOSED) | None => {
                self.ring = None;
                self.attach();
            }
            // Stopped at an error: what stands behind the durable end is for the next opening to judge.
            Some(_) => self.attach(),
        }
        let Some(ring) = &self.ring else { return Ok(self.stream.advance()? == Next::Loaded) };
        let number = self.stream.chain().block + 1;
        match ring.look(number, self.stream.buffer()) {
            Look::NotYet => return Ok(false),
            Look::Found(header, place) if self.stream.accept_buffer(header, place)? => return Ok(true),
            Look::Found(..) | Look::Lapped => {}
        }
        // Durable, so the segments have it.
        match self.stream.advance()? {
            Next::Loaded => Ok(true),
            Next::End => Err(self.stream.missing_block()),
        }
    }
}
