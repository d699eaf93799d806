//! keccak-256, the hash that the EVM has. Everything that the contract recomputes is hashed with it.
//!
//! Whoever follows the journal hashes each record, its leaf and the nodes above, which is most of what following costs. So
//! many messages are hashed together ([`keccak256_each`]), eight at a time on processors that can.

use core::fmt;

use sha3::{Digest, Keccak256};

#[cfg(target_arch = "x86_64")]
mod lanes;

/// A keccak-256 hash, or 0 for "nothing there".
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Nothing there. No known input hashes to it.
    pub const ZERO: Self = Self([0; 32]);
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The hash of `bytes`.
pub fn keccak256(bytes: &[u8]) -> Hash {
    Hash(Keccak256::digest(bytes).into())
}

/// Messages that are hashed together where the processor can: who has many gathers a multiple of it.
pub(crate) const TOGETHER: usize = 8;

/// Appends the hash of each message, in their order.
pub(crate) fn keccak256_each<M: AsRef<[u8]>>(messages: &[M], hashes: &mut Vec<Hash>) {
    for group in messages.chunks(TOGETHER) {
        match together(group) {
            Some(found) => hashes.extend_from_slice(&found[..group.len()]),
            None => hashes.extend(group.iter().map(|message| keccak256(message.as_ref()))),
        }
    }
}

/// The hashes of at most [`TOGETHER`] messages at once; `None` where that is not possible or not worth while.
#[cfg(target_arch = "x86_64")]
fn together<M: AsRef<[u8]>>(messages: &[M]) -> Option<[Hash; TOGETHER]> {
    // One alone is faster alone.
    (messages.len() > 1).then(lanes::Lanes::try_new)?.map(|lanes| lanes.keccak256(messages))
}

/// As above: nothing is known of this processor.
#[cfg(not(target_arch = "x86_64"))]
const fn together<M: AsRef<[u8]>>(_: &[M]) -> Option<[Hash; TOGETHER]> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_evms_hash_and_not_sha3() {
        let empty = "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";
        assert_eq!(keccak256(b"").to_string(), empty);
    }

    #[test]
    fn many_messages_have_the_hashes_that_each_has_alone() {
        let text: Vec<u8> = (0..1_200_u32).map(|index| (index * index / 7) as u8).collect();
        for first in 0..300 {
            let lengths = (0..first % 20).map(|index| (first + index * 37) % 500);
            let messages: Vec<&[u8]> = lengths.zip(0..).map(|(length, at)| &text[at..at + length]).collect();
            let mut hashes = vec![Hash::ZERO];
            keccak256_each(&messages, &mut hashes);
            let alone = messages.iter().map(|message| keccak256(message));
            assert_eq!(hashes, [Hash::ZERO].into_iter().chain(alone).collect::<Vec<_>>(), "{first}");
        }
    }
}
