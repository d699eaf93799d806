//! One record: a header of 32 bytes and an opaque payload, padded with zeros to a multiple of 8.
//!
//! | offset | size | type | meaning |
//! |---:|---:|---|---|
//! | 0 | 4 | u32 | length: header + payload, without padding, 32..=16,384; stored last in the ring, 0 = not there |
//! | 4 | 4 | u32 | CRC-32C of bytes 8..length |
//! | 8 | 8 | u64 | sequence, gapless within a shard, first is 1 |
//! | 16 | 8 | u64 | timestamp, nanoseconds since the Unix epoch; the engine's only clock |
//! | 24 | 2 | u16 | kind; the node's list of commands, opaque here |
//! | 26 | 1 | u8 | schema version of the payload |
//! | 27 | 1 | u8 | flags of the kind |
//! | 28 | 4 | u32 | account |
//! | 32 | length − 32 | bytes | payload |
//! | length | 0..=7 | bytes | zeros up to the next multiple of 8 |
//!
//! Length and CRC come first, so that one aligned 8-byte store makes a record appear in the ring and the CRC covers
//! one contiguous range. A changed length changes that range. The padding keeps every record on an 8-byte word, which
//! lets the ring be an array of atomics: a reader that is lapped sees wrong bytes, never a data race.

use crate::bytes::{crc32c, put_u16, put_u32, put_u64, u16_at, u32_at, u64_at};

/// Bytes of a record's header.
pub const RECORD_HEADER_BYTES: usize = 32;
/// Largest record, header included, padding not.
pub const MAX_RECORD_BYTES: usize = 16 * 1024;
/// Largest payload.
pub const MAX_PAYLOAD_BYTES: usize = MAX_RECORD_BYTES - RECORD_HEADER_BYTES;

/// Bytes that a record takes in ring and block: its length rounded up to whole words.
pub(crate) const fn padded(length: usize) -> usize {
    length.next_multiple_of(8)
}

/// What the journal knows about a record beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RecordHeader {
    /// Place in the shard's order; gapless, first is 1.
    pub sequence: u64,
    /// Nanoseconds since the Unix epoch, as the sequencer stamped it.
    pub timestamp_ns: u64,
    /// Kind of command; opaque to the journal.
    pub kind: u16,
    /// Version of the payload's layout.
    pub schema_version: u8,
    /// Flags of the kind; opaque to the journal.
    pub flags: u8,
    /// Account that the command acts for; opaque to the journal.
    pub account: u32,
}

/// A record as read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The header.
    pub header: RecordHeader,
    /// The payload, at most [`MAX_PAYLOAD_BYTES`].
    pub payload: &'a [u8],
}

/// Writes the record into `scratch` and returns its padded size. `scratch` holds at least [`MAX_RECORD_BYTES`], the
/// payload at most [`MAX_PAYLOAD_BYTES`].
pub(crate) fn encode(scratch: &mut [u8], header: &RecordHeader, payload: &[u8]) -> usize {
    let length = RECORD_HEADER_BYTES + payload.len();
    let size = padded(length);
    put_u64(scratch, 8, header.sequence);
    put_u64(scratch, 16, header.timestamp_ns);
    put_u16(scratch, 24, header.kind);
    scratch[26] = header.schema_version;
    scratch[27] = header.flags;
    put_u32(scratch, 28, header.account);
    scratch[RECORD_HEADER_BYTES..length].copy_from_slice(payload);
    scratch[length..size].fill(0);
    let crc = crc32c(&scratch[8..length]);
    put_u32(scratch, 0, u32::try_from(length).expect("the caller checked the size"));
    put_u32(scratch, 4, crc);
    size
}

/// Reads the record at the start of `bytes` and returns it with its padded size. Checks lengths, not the CRC.
pub(crate) fn decode(bytes: &[u8]) -> Result<(Record<'_>, usize), &'static str> {
    if bytes.len() < RECORD_HEADER_BYTES {
        return Err("a record header crosses the end of its block");
    }
    let length = u32_at(bytes, 0) as usize;
    if !(RECORD_HEADER_BYTES..=MAX_RECORD_BYTES).contains(&length) {
        return Err("a record length is out of range");
    }
    let size = padded(length);
    if size > bytes.len() {
        return Err("a record crosses the end of its block");
    }
    let header = RecordHeader {
        sequence: u64_at(bytes, 8),
        timestamp_ns: u64_at(bytes, 16),
        kind: u16_at(bytes, 24),
        schema_version: bytes[26],
        flags: bytes[27],
        account: u32_at(bytes, 28),
    };
    Ok((Record { header, payload: &bytes[RECORD_HEADER_BYTES..length] }, size))
}

/// As [`decode`], and checks CRC and padding.
pub(crate) fn verify(bytes: &[u8]) -> Result<(Record<'_>, usize), &'static str> {
    let (record, size) = decode(bytes)?;
    let length = RECORD_HEADER_BYTES + record.payload.len();
    if crc32c(&bytes[8..length]) != u32_at(bytes, 4) {
        return Err("a record fails its CRC");
    }
    if bytes[length..size].iter().any(|byte| *byte != 0) {
        return Err("a record's padding is not zero");
    }
    Ok((record, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: RecordHeader = RecordHeader {
        sequence: 0x0102_0304_0506_0708,
        timestamp_ns: 0x1112_1314_1516_1718,
        kind: 0x2122,
        schema_version: 0x31,
        flags: 0x41,
        account: 0x5152_5354,
    };

    #[test]
    fn bytes_are_where_the_table_says() {
        let mut scratch = vec![0xFF; MAX_RECORD_BYTES];
        let size = encode(&mut scratch, &HEADER, b"payload");
        assert_eq!(size, 40);
        assert_eq!(scratch[0..4], 39u32.to_le_bytes());
        assert_eq!(scratch[4..8], crc32c(&scratch[8..39]).to_le_bytes());
        assert_eq!(scratch[8..16], HEADER.sequence.to_le_bytes());
        assert_eq!(scratch[16..24], HEADER.timestamp_ns.to_le_bytes());
        assert_eq!(scratch[24..26], HEADER.kind.to_le_bytes());
        assert_eq!(scratch[26], 0x31);
        assert_eq!(scratch[27], 0x41);
        assert_eq!(scratch[28..32], HEADER.account.to_le_bytes());
        assert_eq!(&scratch[32..39], b"payload");
        assert_eq!(scratch[39], 0);
        assert_eq!(verify(&scratch), Ok((Record { header: HEADER, payload: b"payload" }, 40)));
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let mut scratch = vec![0; MAX_RECORD_BYTES];
        let size = encode(&mut scratch, &HEADER, b"twenty-one bytes here");
        for bit in 0..size * 8 {
            scratch[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&scratch[..size]).is_err(), "bit {bit}");
            scratch[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(verify(&scratch[..size]).is_ok());
    }

    #[test]
    fn lengths_are_bounded() {
        let mut scratch = vec![0; MAX_RECORD_BYTES];
        assert_eq!(encode(&mut scratch, &HEADER, &vec![7; MAX_PAYLOAD_BYTES]), MAX_RECORD_BYTES);
        assert!(verify(&scratch).is_ok());
        assert!(decode(&scratch[..31]).is_err());
        assert!(decode(&scratch[..MAX_RECORD_BYTES - 8]).is_err());
        for length in [0, 31, MAX_RECORD_BYTES as u32 + 1, u32::MAX] {
            put_u32(&mut scratch, 0, length);
            assert!(decode(&scratch).is_err(), "{length}");
        }
    }
}
