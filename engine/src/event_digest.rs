//! The running hash of everything the engine has ever said: part of its state, so that a replay proves each event.
//!
//! Events are encoded into a block of 16 KiB, and each full block is hashed together with the digest before it: BLAKE3
//! works on sixteen chunks at once then, at a quarter of the cost of hashing each event by itself. What is not yet
//! hashed stands in the snapshot as it is.

use crate::codec::{Wire, encode_event};
use crate::event::Event;
use crate::ids::Sequence;
use crate::units::Timestamp;

/// Bytes that are hashed at once; fewer are pending between two commands.
pub(crate) const BLOCK_BYTES: usize = 16 * 1_024;

/// See the module.
#[derive(Debug)]
pub(crate) struct EventDigest {
    pub(crate) digest: [u8; 32],
    pub(crate) pending: Vec<u8>,
}

impl EventDigest {
    /// The digest of nothing, with room for the events of one command beyond a block.
    pub(crate) fn new(max_events: usize) -> Self {
        Self { digest: [0; 32], pending: Vec::with_capacity(BLOCK_BYTES + max_events * 256) }
    }

    /// Takes in the events of one command.
    pub(crate) fn absorb(&mut self, sequence: Sequence, timestamp: Timestamp, events: &[Event]) {
        sequence.encode(&mut self.pending);
        timestamp.encode(&mut self.pending);
        for event in events {
            encode_event(event, &mut self.pending);
        }
        while self.pending.len() >= BLOCK_BYTES {
            self.digest = chain(&self.digest, &self.pending[..BLOCK_BYTES]);
            self.pending.drain(..BLOCK_BYTES);
        }
    }

    /// The digest with what is pending.
    pub(crate) fn current(&self) -> [u8; 32] {
        chain(&self.digest, &self.pending)
    }
}

/// BLAKE3(digest ‖ block).
fn chain(digest: &[u8; 32], block: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(digest);
    hasher.update(block);
    *hasher.finalize().as_bytes()
}
