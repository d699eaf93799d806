//! A block: one group commit, one write, never rewritten; later one entry of the replicated log.
//!
//! A block is a multiple of 4,096 bytes, at most 64 KiB: header, records, zeros. Header, 256 bytes:
//!
//! | offset | size | type | meaning |
//! |---:|---:|---|---|
//! | 0 | 4 | bytes | magic `LKB1` |
//! | 4 | 4 | u32 | CRC-32C of bytes 8..256 |
//! | 8 | 4 | u32 | bytes of the block, padding included |
//! | 12 | 4 | u32 | bytes of the records, each padded to 8 |
//! | 16 | 8 | u64 | block number, gapless, first is 1 |
//! | 24 | 8 | u64 | first sequence; of an empty block the sequence that comes next |
//! | 32 | 4 | u32 | count of records, 0 for an epoch block |
//! | 36 | 4 | u32 | flags, see below |
//! | 40 | 8 | u64 | nonce of the segment: a stale, misdirected or foreign block does not have it |
//! | 48 | 8 | u64 | term; on a single node the count of openings |
//! | 56 | 8 | u64 | index in the replicated log; on a single node the block number |
//! | 64 | 8 | u64 | sealing time, nanoseconds since the Unix epoch, informative |
//! | 72 | 8 | u64 | committed sequence: the highest that was on stable storage when this block was sealed |
//! | 80 | 8 | u64 | state sequence: the sequence after which the state hash was taken, 0 = none |
//! | 88 | 32 | bytes | state hash of the engine |
//! | 120 | 32 | bytes | running digest of the live engine's events |
//! | 152 | 8 | u64 | durable block: the newest block on stable storage when this one was sealed |
//! | 160 | 32 | bytes | zeros; room for fields to come |
//! | 192 | 32 | bytes | hash of the previous block; of the first block the genesis hash |
//! | 224 | 32 | bytes | hash of this block: BLAKE3 of bytes 8..224 and the records |
//!
//! What decides comes first and the hashes last, so that the hash covers one contiguous range beside the records.
//! The durable block tells recovery exactly which blocks were in flight: no guess at a depth. An epoch block has no
//! records, so the committed sequence alone could not tell whether it was on stable storage.

use crate::bytes::{PAGE, all_zero, array_at, crc32c, put_bytes, put_u32, put_u64, u32_at, u64_at};
use crate::record;

/// Bytes of a block's header.
pub const BLOCK_HEADER_BYTES: usize = 256;
/// Largest block, header and padding included.
pub const MAX_BLOCK_BYTES: usize = 64 * 1024;

const MAGIC: [u8; 4] = *b"LKB1";
/// The part of the header that its hash covers; the records follow.
pub(crate) const HASHED_FROM: usize = 8;
pub(crate) const HASHED_UNTIL: usize = 224;

/// Why a block is there, and what happened before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct BlockFlags(pub u32);

impl BlockFlags {
    /// First block after an opening.
    pub const EPOCH: u32 = 1;
    /// The opening removed a torn block that was never acknowledged.
    pub const AFTER_TORN_TAIL: u32 = 2;
    /// The opening removed blocks whose writes were in flight at power loss.
    pub const AFTER_REORDERED_WRITES: u32 = 4;
    /// The operator gave up acknowledged data.
    pub const AFTER_OPERATOR_TRUNCATION: u32 = 8;
    /// Sealed at the level [`crate::Durability::Async`].
    pub const ASYNC: u32 = 16;

    /// Whether all bits of `flag` are set.
    pub fn contains(self, flag: u32) -> bool {
        self.0 & flag == flag
    }
}

/// A block's header, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHeader {
    /// Bytes of the block, padding included: a multiple of 4,096, at most [`MAX_BLOCK_BYTES`].
    pub block_bytes: u32,
    /// Bytes of the records.
    pub payload_bytes: u32,
    /// Block number, gapless, first is 1.
    pub number: u64,
    /// First sequence; of an empty block the sequence that comes next.
    pub first_sequence: u64,
    /// Count of records.
    pub record_count: u32,
    /// Why the block is there.
    pub flags: BlockFlags,
    /// Nonce of the segment.
    pub nonce: u64,
    /// Term; on a single node the count of openings.
    pub term: u64,
    /// Index in the replicated log.
    pub index: u64,
    /// Sealing time, nanoseconds since the Unix epoch; informative.
    pub sealed_at_ns: u64,
    /// Highest sequence on stable storage when this block was sealed.
    pub committed_sequence: u64,
    /// Sequence after which the state hash was taken; 0 = none noted.
    pub state_sequence: u64,
    /// State hash of the engine; zeros = none noted.
    pub state_hash: [u8; 32],
    /// Running digest of the live engine's events; zeros = none noted.
    pub event_digest: [u8; 32],
    /// Newest block on stable storage when this one was sealed.
    pub durable_block: u64,
    /// Hash of the previous block.
    pub previous_hash: [u8; 32],
    /// Hash of this block.
    pub hash: [u8; 32],
}

impl BlockHeader {
    /// The last sequence in the block; of an empty block the last one before it.
    pub fn last_sequence(&self) -> u64 {
        // Decoding has checked that the sum fits.
        self.first_sequence + u64::from(self.record_count) - 1
    }

    /// Sets sizes and hash, writes the header in front of the records that already stand in `block` and zeros behind
    /// them. Returns the bytes to write.
    pub(crate) fn seal(&mut self, block: &mut [u8], payload_bytes: usize) -> usize {
        let end = BLOCK_HEADER_BYTES + payload_bytes;
        let block_bytes = end.next_multiple_of(PAGE);
        assert!(block_bytes <= MAX_BLOCK_BYTES, "the caller keeps to the block limit");
        self.block_bytes = u32::try_from(block_bytes).expect("at most 64 KiB");
        self.payload_bytes = u32::try_from(payload_bytes).expect("at most 64 KiB");
        block[end..block_bytes].fill(0);
        self.encode(block);
        self.hash = hash_in_place(&mut block[..end]);
        self.encode(block);
        block_bytes
    }

    /// Writes the header.
    pub(crate) fn encode(&self, bytes: &mut [u8]) {
        bytes[..BLOCK_HEADER_BYTES].fill(0);
        put_bytes(bytes, 0, &MAGIC);
        put_u32(bytes, 8, self.block_bytes);
        put_u32(bytes, 12, self.payload_bytes);
        put_u64(bytes, 16, self.number);
        put_u64(bytes, 24, self.first_sequence);
        put_u32(bytes, 32, self.record_count);
        put_u32(bytes, 36, self.flags.0);
        put_u64(bytes, 40, self.nonce);
        put_u64(bytes, 48, self.term);
        put_u64(bytes, 56, self.index);
        put_u64(bytes, 64, self.sealed_at_ns);
        put_u64(bytes, 72, self.committed_sequence);
        put_u64(bytes, 80, self.state_sequence);
        put_bytes(bytes, 88, &self.state_hash);
        put_bytes(bytes, 120, &self.event_digest);
        put_u64(bytes, 152, self.durable_block);
        put_bytes(bytes, 192, &self.previous_hash);
        put_bytes(bytes, 224, &self.hash);
        let crc = crc32c(&bytes[8..BLOCK_HEADER_BYTES]);
        put_u32(bytes, 4, crc);
    }

    /// Reads a header; checks magic, CRC and ranges, not the hash. `bytes` holds at least [`BLOCK_HEADER_BYTES`].
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes[..4] != MAGIC {
            return Err("no block begins here");
        }
        if crc32c(&bytes[8..BLOCK_HEADER_BYTES]) != u32_at(bytes, 4) {
            return Err("the block header fails its CRC");
        }
        let header = Self {
            block_bytes: u32_at(bytes, 8),
            payload_bytes: u32_at(bytes, 12),
            number: u64_at(bytes, 16),
            first_sequence: u64_at(bytes, 24),
            record_count: u32_at(bytes, 32),
            flags: BlockFlags(u32_at(bytes, 36)),
            nonce: u64_at(bytes, 40),
            term: u64_at(bytes, 48),
            index: u64_at(bytes, 56),
            sealed_at_ns: u64_at(bytes, 64),
            committed_sequence: u64_at(bytes, 72),
            state_sequence: u64_at(bytes, 80),
            state_hash: array_at(bytes, 88),
            event_digest: array_at(bytes, 120),
            durable_block: u64_at(bytes, 152),
            previous_hash: array_at(bytes, 192),
            hash: array_at(bytes, 224),
        };
        header.check_ranges(&bytes[160..192])?;
        Ok(header)
    }

    fn check_ranges(&self, reserved: &[u8]) -> Result<(), &'static str> {
        let block_bytes = self.block_bytes as usize;
        let end = BLOCK_HEADER_BYTES + self.payload_bytes as usize;
        if block_bytes > MAX_BLOCK_BYTES || end.next_multiple_of(PAGE) != block_bytes {
            return Err("the block header's sizes disagree");
        }
        if self.number == 0
            || self.first_sequence == 0
            || self.first_sequence.checked_add(u64::from(self.record_count)).is_none()
        {
            return Err("the block header's numbers are out of range");
        }
        if !all_zero(reserved) {
            return Err("the block header's reserved bytes are not zero");
        }
        Ok(())
    }
}

/// As [`hash`], of a block whose header is written once more behind it: the hashed range is moved up against the records,
/// so that the function sees one piece and hashes sixteen of its chunks of 1 KiB at a time. In two pieces it takes the first
/// two chunks one by one and the others by twos, fours and eights: 9.8 us for 4.1 in a block of 32 KiB.
fn hash_in_place(header_and_records: &mut [u8]) -> [u8; 32] {
    let start = BLOCK_HEADER_BYTES - (HASHED_UNTIL - HASHED_FROM);
    header_and_records.copy_within(HASHED_FROM..HASHED_UNTIL, start);
    *blake3::hash(&header_and_records[start..]).as_bytes()
}

/// BLAKE3 of a sealed header's hashed range and the records behind it.
fn hash(header_and_records: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&header_and_records[HASHED_FROM..HASHED_UNTIL]);
    hasher.update(&header_and_records[BLOCK_HEADER_BYTES..]);
    *hasher.finalize().as_bytes()
}

/// Where the hash chain stands: what the next block must agree with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChainTail {
    /// Number of the last block, 0 = none.
    pub(crate) block: u64,
    /// Its hash; the genesis hash before the first block.
    pub(crate) hash: [u8; 32],
    /// The last sequence, 0 = none.
    pub(crate) sequence: u64,
    /// The last record's timestamp, 0 = none.
    pub(crate) timestamp_ns: u64,
    /// Term of the last block, 0 = none.
    pub(crate) term: u64,
}

impl ChainTail {
    /// The chain before its first block. The genesis hash binds every block to exchange and shard.
    pub(crate) fn genesis(exchange_id: &[u8; 16], shard: u16) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"lakh journal genesis");
        hasher.update(exchange_id);
        hasher.update(&shard.to_le_bytes());
        Self { block: 0, hash: *hasher.finalize().as_bytes(), sequence: 0, timestamp_ns: 0, term: 0 }
    }

    /// Checks that `header` continues the chain in a segment with `nonce`.
    pub(crate) fn check_header(&self, header: &BlockHeader, nonce: u64) -> Result<(), &'static str> {
        if header.nonce != nonce {
            return Err("the block's nonce is not its segment's");
        }
        if header.number != self.block + 1 {
            return Err("the block's number is not the next");
        }
        if header.first_sequence != self.sequence + 1 {
            return Err("the block's first sequence is not the next");
        }
        if header.previous_hash != self.hash {
            return Err("the block does not continue the hash chain");
        }
        Ok(())
    }

    /// Checks records, padding and hash of a whole block whose header has passed [`Self::check_header`], and moves
    /// the chain behind it.
    pub(crate) fn accept(&mut self, header: &BlockHeader, block: &[u8]) -> Result<(), &'static str> {
        let end = BLOCK_HEADER_BYTES + header.payload_bytes as usize;
        if hash(&block[..end]) != header.hash {
            return Err("the block fails its hash");
        }
        if !all_zero(&block[end..header.block_bytes as usize]) {
            return Err("the block's padding is not zero");
        }
        let mut at = BLOCK_HEADER_BYTES;
        let (mut sequence, mut timestamp_ns) = (self.sequence, self.timestamp_ns);
        while at < end {
            let (record, size) = record::verify(&block[at..end])?;
            sequence += 1;
            if record.header.sequence != sequence {
                return Err("a record's sequence is not the next");
            }
            timestamp_ns = record.header.timestamp_ns;
            at += size;
        }
        if sequence != header.last_sequence() {
            return Err("the block's count of records is wrong");
        }
        *self = Self { block: header.number, hash: header.hash, sequence, timestamp_ns, term: header.term };
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::record::{MAX_RECORD_BYTES, RecordHeader};

    /// A sealed block with records of the given sequences behind `chain`.
    pub(crate) fn sample(chain: &ChainTail, nonce: u64, count: u32) -> (BlockHeader, Vec<u8>) {
        let mut block = vec![0; MAX_BLOCK_BYTES];
        let mut scratch = vec![0; MAX_RECORD_BYTES];
        let mut at = BLOCK_HEADER_BYTES;
        for step in 1..=u64::from(count) {
            let header = RecordHeader { sequence: chain.sequence + step, timestamp_ns: 5, ..RecordHeader::default() };
            let size = record::encode(&mut scratch, &header, b"hello, block");
            block[at..at + size].copy_from_slice(&scratch[..size]);
            at += size;
        }
        let mut header = BlockHeader {
            block_bytes: 0,
            payload_bytes: 0,
            number: chain.block + 1,
            first_sequence: chain.sequence + 1,
            record_count: count,
            flags: BlockFlags(BlockFlags::EPOCH),
            nonce,
            term: 0xA1,
            index: 0xA2,
            sealed_at_ns: 0xA3,
            committed_sequence: 0xA4,
            state_sequence: 0xA5,
            state_hash: [0xA6; 32],
            event_digest: [0xA7; 32],
            durable_block: 0xA8,
            previous_hash: chain.hash,
            hash: [0; 32],
        };
        let bytes = header.seal(&mut block, at - BLOCK_HEADER_BYTES);
        block.truncate(bytes);
        (header, block)
    }

    fn read(chain: &ChainTail, nonce: u64, block: &[u8]) -> Result<ChainTail, &'static str> {
        let header = BlockHeader::decode(block)?;
        chain.check_header(&header, nonce)?;
        let mut next = *chain;
        next.accept(&header, block)?;
        Ok(next)
    }

    #[test]
    fn bytes_are_where_the_table_says() {
        let chain = ChainTail::genesis(&[7; 16], 3);
        let (header, block) = sample(&chain, 0xB0B0, 2);
        assert_eq!(block.len(), PAGE);
        assert_eq!(&block[..4], b"LKB1");
        assert_eq!(block[4..8], crc32c(&block[8..256]).to_le_bytes());
        assert_eq!(block[8..12], 4096u32.to_le_bytes());
        assert_eq!(block[12..16], 96u32.to_le_bytes());
        assert_eq!(block[16..24], 1u64.to_le_bytes());
        assert_eq!(block[24..32], 1u64.to_le_bytes());
        assert_eq!(block[32..36], 2u32.to_le_bytes());
        assert_eq!(block[36..40], 1u32.to_le_bytes());
        assert_eq!(block[40..48], 0xB0B0u64.to_le_bytes());
        for (offset, value) in [(48, 0xA1u64), (56, 0xA2), (64, 0xA3), (72, 0xA4), (80, 0xA5), (152, 0xA8)] {
            assert_eq!(block[offset..offset + 8], value.to_le_bytes(), "offset {offset}");
        }
        assert_eq!(block[88..120], [0xA6; 32]);
        assert_eq!(block[120..152], [0xA7; 32]);
        assert_eq!(block[160..192], [0; 32]);
        assert_eq!(block[192..224], chain.hash);
        assert_eq!(block[224..256], header.hash);
        assert_eq!(header.hash, hash(&block[..BLOCK_HEADER_BYTES + 96]));
        assert_eq!(BlockHeader::decode(&block), Ok(header));
        let next = read(&chain, 0xB0B0, &block).unwrap();
        assert_eq!((next.block, next.sequence, next.timestamp_ns, next.hash), (1, 2, 5, header.hash));
    }

    /// Who writes and who reads hash a block each in a way of his own.
    #[test]
    fn a_block_of_any_length_is_sealed_with_the_hash_that_readers_find() {
        let chain = ChainTail::genesis(&[7; 16], 0);
        for count in (0..40).chain([100, 200, 400, 800, 1_000, 1_359]) {
            let (header, block) = sample(&chain, 9, count);
            let end = BLOCK_HEADER_BYTES + header.payload_bytes as usize;
            assert_eq!(header.hash, hash(&block[..end]), "{count} records");
            let whole = [&block[HASHED_FROM..HASHED_UNTIL], &block[BLOCK_HEADER_BYTES..end]].concat();
            assert_eq!(header.hash, *blake3::hash(&whole).as_bytes(), "{count} records");
            assert_eq!(BlockHeader::decode(&block), Ok(header), "{count} records");
        }
    }

    #[test]
    fn every_flipped_bit_of_a_block_is_found() {
        let chain = ChainTail::genesis(&[7; 16], 0);
        let (_, mut block) = sample(&chain, 9, 3);
        for bit in 0..block.len() * 8 {
            block[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&chain, 9, &block).is_err(), "bit {bit}");
            block[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(read(&chain, 9, &block).is_ok());
    }

    #[test]
    fn foreign_blocks_are_refused() {
        let chain = ChainTail::genesis(&[7; 16], 0);
        let (_, block) = sample(&chain, 9, 1);
        assert_eq!(read(&chain, 8, &block), Err("the block's nonce is not its segment's"));
        let foreign = ChainTail::genesis(&[8; 16], 0);
        assert_eq!(read(&foreign, 9, &block), Err("the block does not continue the hash chain"));
        let next = read(&chain, 9, &block).unwrap();
        assert_eq!(read(&next, 9, &block), Err("the block's number is not the next"), "a duplicate");
    }
}
