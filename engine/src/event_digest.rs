//! The running hash of everything the engine has ever said: part of its state, so that a replay proves each event.
//!
//! Events are encoded into a block of 16 KiB, and each full block is hashed under the digest before it as the key: the
//! block is sixteen whole chunks of BLAKE3 then, which it works on at once, at a quarter of the cost of hashing each
//! event by itself. What is not yet hashed stands in the snapshot as it is.

use crate::codec::encode_event;
use crate::event::Event;
use crate::ids::Sequence;
use crate::units::Timestamp;
use crate::wire::Wire;

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

/// BLAKE3 of the block, keyed by the digest. With the digest in front of the block instead, no chunk but the first would
/// begin where a chunk of the hash does, and the last one would be hashed alone.
fn chain(digest: &[u8; 32], block: &[u8]) -> [u8; 32] {
    *blake3::keyed_hash(digest, block).as_bytes()
}
