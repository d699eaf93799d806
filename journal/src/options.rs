//! What a journal is opened with. Plain values: only the binary reads configuration files.

use std::path::PathBuf;

use crate::JournalError;
use crate::block::MAX_BLOCK_BYTES;
use crate::bytes::PAGE;
use crate::segment::{FOOTER_BYTES, SEGMENT_HEADERS_BYTES, SOFTWARE_VERSION_BYTES};

/// Smallest segment: one block with the largest record must fit beside headers and footer, with room to spare.
pub const SEGMENT_BYTES_MIN: u64 = 64 * 1024;
/// Largest segment.
pub const SEGMENT_BYTES_MAX: u64 = 16 << 30;
/// Smallest ring: several records of the largest size.
pub const RING_BYTES_MIN: usize = 64 * 1024;
/// Largest ring.
pub const RING_BYTES_MAX: usize = 8 << 30;

/// When a record counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// After its block and the block's head are on stable storage: survives power loss.
    Sync,
    /// After the buffered write has returned: survives the process being killed, not power loss. The journal syncs
    /// behind, at the latest 100 ms or 16 MiB after the first write that is not yet synced.
    Async,
}

/// What to open, and how.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// The journal's directory; created if missing, locked while the writer lives.
    pub directory: PathBuf,
    /// Identity of the exchange. A directory of another exchange is refused.
    pub exchange_id: [u8; 16],
    /// The shard whose input this is.
    pub shard: u16,
    /// The machine that writes; informative.
    pub node: u16,
    /// Bytes of each new segment: a multiple of 4,096 from [`SEGMENT_BYTES_MIN`] to [`SEGMENT_BYTES_MAX`]; default
    /// 256 MiB. Existing segments keep their size.
    pub segment_bytes: u64,
    /// Bytes of the ring between the writer and the durability thread: a power of two from [`RING_BYTES_MIN`] to
    /// [`RING_BYTES_MAX`]; default 64 MiB.
    pub ring_bytes: usize,
    /// When a record counts as durable; default [`Durability::Sync`].
    pub durability: Durability,
    /// Version of the program, for the record; at most 64 bytes of UTF-8, longer ones are cut.
    pub software_version: String,
    /// Hash of the record schemas in use, for the record; zeros if unknown.
    pub schema_hash: [u8; 32],
    /// The operator's decision to give up acknowledged data from this sequence on. Acts only if recovery finds the
    /// journal damaged at exactly this sequence; otherwise a clean journal opens as usual and damage elsewhere refuses.
    pub truncate_at: Option<u64>,
}

impl JournalOptions {
    /// Options with the defaults named at each field.
    pub fn new(directory: impl Into<PathBuf>, exchange_id: [u8; 16]) -> Self {
        Self {
            directory: directory.into(),
            exchange_id,
            shard: 0,
            node: 0,
            segment_bytes: 256 << 20,
            ring_bytes: 64 << 20,
            durability: Durability::Sync,
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
            schema_hash: [0; 32],
            truncate_at: None,
        }
    }

    /// Checks every range.
    pub(crate) fn validate(&self) -> Result<(), JournalError> {
        let invalid = |detail: String| Err(JournalError::InvalidOptions { detail });
        if !self.segment_bytes.is_multiple_of(PAGE as u64)
            || !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes)
        {
            return invalid(format!(
                "segment_bytes {} is not a multiple of {PAGE} from {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX}",
                self.segment_bytes
            ));
        }
        if !self.ring_bytes.is_power_of_two() || !(RING_BYTES_MIN..=RING_BYTES_MAX).contains(&self.ring_bytes) {
            return invalid(format!(
                "ring_bytes {} is not a power of two from {RING_BYTES_MIN} to {RING_BYTES_MAX}",
                self.ring_bytes
            ));
        }
        Ok(())
    }

    /// The largest block that fits into one segment of this size, and the format's limit.
    pub(crate) fn block_bytes_max(&self) -> usize {
        let room = self.segment_bytes - SEGMENT_HEADERS_BYTES - FOOTER_BYTES;
        usize::try_from(room).map_or(MAX_BLOCK_BYTES, |room| room.min(MAX_BLOCK_BYTES))
    }

    /// The version text, cut to what the segment header holds, on a character boundary.
    pub(crate) fn software_version_field(&self) -> &str {
        let mut end = self.software_version.len().min(SOFTWARE_VERSION_BYTES);
        while !self.software_version.is_char_boundary(end) {
            end -= 1;
        }
        &self.software_version[..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked() {
        let good = JournalOptions::new("unused", [1; 16]);
        assert!(good.validate().is_ok());
        for segment_bytes in [0, 4096, SEGMENT_BYTES_MIN + 1, SEGMENT_BYTES_MAX + 4096] {
            assert!(JournalOptions { segment_bytes, ..good.clone() }.validate().is_err(), "{segment_bytes}");
        }
        for ring_bytes in [0, 4096, RING_BYTES_MIN + 8, 3 << 20] {
            assert!(JournalOptions { ring_bytes, ..good.clone() }.validate().is_err(), "{ring_bytes}");
        }
    }

    #[test]
    fn version_is_cut_on_a_character() {
        let mut options = JournalOptions::new("unused", [1; 16]);
        options.software_version = "é".repeat(40);
        assert_eq!(options.software_version_field().len(), 64);
        options.software_version = format!("x{}", "é".repeat(40));
        assert_eq!(options.software_version_field().len(), 63);
    }
}
