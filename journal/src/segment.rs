//! Segment files: name, header, footer.
//!
//! A segment is a file of fixed size, `{shard}-{index:016}.lkj`: header twice, blocks, zeros, footer in the last 4,096
//! bytes. It gets its final name only when both headers are on stable storage. Header, 4,096 bytes at 0 and at 4,096:
//!
//! | offset | size | type | meaning |
//! |---:|---:|---|---|
//! | 0 | 8 | bytes | magic `LKHJRNL\0` |
//! | 8 | 2 | u16 | major format version, 1; an unknown one is refused |
//! | 10 | 2 | u16 | minor format version, 0 |
//! | 12 | 4 | u32 | CRC-32C of bytes 0..12 and 16..4,096 |
//! | 16 | 16 | bytes | exchange id |
//! | 32 | 2 | u16 | shard |
//! | 34 | 2 | u16 | node that wrote it |
//! | 36 | 4 | u32 | flags, 0 |
//! | 40 | 8 | u64 | nonce, random, in every block too |
//! | 48 | 8 | u64 | segment index, gapless, first is 0 |
//! | 56 | 8 | u64 | bytes of the segment |
//! | 64 | 8 | u64 | number of the first block |
//! | 72 | 8 | u64 | first sequence |
//! | 80 | 8 | u64 | creation time, nanoseconds since the Unix epoch, informative |
//! | 88 | 8 | u64 | timestamp of the last record before this segment |
//! | 96 | 32 | bytes | hash of the last block before this segment |
//! | 128 | 32 | bytes | hash of the record schemas |
//! | 160 | 64 | bytes | software version, UTF-8, zero-padded |
//! | 224 | 8 | u64 | term of the last block before this segment |
//! | 232 | 3,864 | bytes | zeros |
//!
//! Footer, the last 4,096 bytes, written once when the segment is sealed:
//!
//! | offset | size | type | meaning |
//! |---:|---:|---|---|
//! | 0 | 8 | bytes | magic `LKHJFTR\0` |
//! | 8 | 4 | u32 | CRC-32C of bytes 0..8 and 12..4,096 |
//! | 12 | 4 | u32 | count of index entries, at most 240 |
//! | 16 | 8 | u64 | nonce of the segment |
//! | 24 | 8 | u64 | segment index |
//! | 32 | 8 | u64 | count of blocks |
//! | 40 | 8 | u64 | count of records |
//! | 48 | 8 | u64 | first sequence |
//! | 56 | 8 | u64 | last sequence; first − 1 if there are no records |
//! | 64 | 8 | u64 | timestamp of the last record up to here |
//! | 72 | 8 | u64 | offset behind the last block |
//! | 80 | 8 | u64 | term of the last block |
//! | 88 | 8 | u64 | zeros |
//! | 96 | 32 | bytes | hash of the last block |
//! | 128 | 32 | bytes | content hash: BLAKE3 of the first header and each block's hash in order |
//! | 160 | 64 | bytes | room for a signature, zeros |
//! | 224 | 32 | bytes | zeros |
//! | 256 | 3,840 | 240 × (u64, u64) | sparse index: first sequence and offset of a block |
//!
//! The content hash runs over the block hashes, not over the bytes: those already cover every record, and hashing
//! 256 MiB a second time would stall the durability thread at each rotation.

use crate::block::{BlockHeader, ChainTail};
use crate::bytes::{PAGE, array_at, put_bytes, put_u16, put_u32, put_u64, u16_at, u32_at, u64_at};

/// Offset of the first block: both copies of the header stand before it.
pub(crate) const SEGMENT_HEADERS_BYTES: u64 = 2 * PAGE as u64;
/// Bytes of the footer at the segment's end.
pub(crate) const FOOTER_BYTES: u64 = PAGE as u64;
/// Bytes of the software version's field.
pub(crate) const SOFTWARE_VERSION_BYTES: usize = 64;
/// Major format version that this program writes, and the newest one that it reads.
pub const FORMAT_MAJOR: u16 = 1;
/// Oldest major format version that this program reads. What stood before the first frozen one is read by nobody.
pub(crate) const FORMAT_OLDEST: u16 = 1;

/// Whether this program reads files of a major format version.
pub(crate) fn is_known(major: u16) -> bool {
    (FORMAT_OLDEST..=FORMAT_MAJOR).contains(&major)
}

const HEADER_MAGIC: [u8; 8] = *b"LKHJRNL\0";
const FOOTER_MAGIC: [u8; 8] = *b"LKHJFTR\0";
const HEADER_CRC_AT: usize = 12;
const FOOTER_CRC_AT: usize = 8;
const INDEX_AT: usize = 256;
const INDEX_ENTRIES_MAX: usize = (PAGE - INDEX_AT) / 16;

/// Name of a segment.
pub(crate) fn file_name(shard: u16, index: u64) -> String {
    format!("{shard}-{index:016}.lkj")
}

/// Reads shard and index from a file name; `None` for any other file.
pub(crate) fn parse_file_name(name: &str) -> Option<(u16, u64)> {
    let (shard, index) = name.strip_suffix(".lkj")?.split_once('-')?;
    let parsed = (shard.parse().ok()?, index.parse().ok()?);
    (file_name(parsed.0, parsed.1) == name).then_some(parsed)
}

/// CRC-32C of a page without the CRC's own four bytes at `at`.
pub(crate) fn page_crc(page: &[u8], at: usize) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(&page[..at]);
    digest.update(&page[at + 4..]);
    u32::try_from(digest.finalize()).expect("a CRC-32 has 32 bits")
}

/// Why a page is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageFault {
    /// Magic, CRC or ranges disagree.
    Damaged(&'static str),
    /// The magic is ours, the major version is not.
    Format(u16),
}

/// A segment's header, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The exchange.
    pub(crate) exchange_id: [u8; 16],
    /// The shard.
    pub(crate) shard: u16,
    /// The machine that wrote the segment.
    pub(crate) node: u16,
    /// Random number that is in every block of the segment.
    pub(crate) nonce: u64,
    /// Index of the segment, gapless, first is 0.
    pub(crate) index: u64,
    /// Bytes of the file.
    pub(crate) segment_bytes: u64,
    /// Number of the first block.
    pub(crate) first_block: u64,
    /// First sequence.
    pub(crate) first_sequence: u64,
    /// Nanoseconds since the Unix epoch; informative.
    pub(crate) created_at_ns: u64,
    /// Timestamp of the last record before this segment.
    pub(crate) previous_timestamp_ns: u64,
    /// Hash of the last block before this segment.
    pub(crate) previous_hash: [u8; 32],
    /// Hash of the record schemas.
    pub(crate) schema_hash: [u8; 32],
    /// Version of the program that made the segment.
    pub(crate) software_version: String,
    /// Term of the last block before this segment.
    pub(crate) previous_term: u64,
}

impl SegmentHeader {
    /// The chain before the segment's first block.
    pub(crate) fn chain(&self) -> ChainTail {
        ChainTail {
            block: self.first_block - 1,
            hash: self.previous_hash,
            sequence: self.first_sequence - 1,
            timestamp_ns: self.previous_timestamp_ns,
            term: self.previous_term,
        }
    }

    /// Offset behind the last block that can be written: where the footer stands.
    pub(crate) fn blocks_end(&self) -> u64 {
        self.segment_bytes - FOOTER_BYTES
    }

    /// Writes the header into a page.
    pub(crate) fn encode(&self, page: &mut [u8]) {
        page.fill(0);
        put_bytes(page, 0, &HEADER_MAGIC);
        put_u16(page, 8, FORMAT_MAJOR);
        put_bytes(page, 16, &self.exchange_id);
        put_u16(page, 32, self.shard);
        put_u16(page, 34, self.node);
        put_u64(page, 40, self.nonce);
        put_u64(page, 48, self.index);
        put_u64(page, 56, self.segment_bytes);
        put_u64(page, 64, self.first_block);
        put_u64(page, 72, self.first_sequence);
        put_u64(page, 80, self.created_at_ns);
        put_u64(page, 88, self.previous_timestamp_ns);
        put_bytes(page, 96, &self.previous_hash);
        put_bytes(page, 128, &self.schema_hash);
        put_bytes(page, 160, self.software_version.as_bytes());
        put_u64(page, 224, self.previous_term);
        let crc = page_crc(page, HEADER_CRC_AT);
        put_u32(page, HEADER_CRC_AT, crc);
    }

    /// Reads the header from one page.
    pub(crate) fn decode(page: &[u8]) -> Result<Self, PageFault> {
        if page[..8] != HEADER_MAGIC {
            return Err(PageFault::Damaged("the segment header's magic is wrong"));
        }
        let major = u16_at(page, 8);
        if !is_known(major) {
            return Err(PageFault::Format(major));
        }
        if page_crc(page, HEADER_CRC_AT) != u32_at(page, HEADER_CRC_AT) {
            return Err(PageFault::Damaged("the segment header fails its CRC"));
        }
        let version = &page[160..160 + SOFTWARE_VERSION_BYTES];
        let version_end = version.iter().position(|byte| *byte == 0).unwrap_or(version.len());
        let header = Self {
            exchange_id: array_at(page, 16),
            shard: u16_at(page, 32),
            node: u16_at(page, 34),
            nonce: u64_at(page, 40),
            index: u64_at(page, 48),
            segment_bytes: u64_at(page, 56),
            first_block: u64_at(page, 64),
            first_sequence: u64_at(page, 72),
            created_at_ns: u64_at(page, 80),
            previous_timestamp_ns: u64_at(page, 88),
            previous_hash: array_at(page, 96),
            schema_hash: array_at(page, 128),
            software_version: String::from_utf8_lossy(&version[..version_end]).into_owned(),
            previous_term: u64_at(page, 224),
        };
        if header.first_block == 0
            || header.first_sequence == 0
            || header.segment_bytes < SEGMENT_HEADERS_BYTES + FOOTER_BYTES
            || !header.segment_bytes.is_multiple_of(PAGE as u64)
        {
            return Err(PageFault::Damaged("the segment header's numbers are out of range"));
        }
        Ok(header)
    }

    /// Reads whichever copy is whole; `pages` holds both.
    pub(crate) fn decode_either(pages: &[u8]) -> Result<Self, PageFault> {
        let (first, second) = pages.split_at(PAGE);
        match (Self::decode(first), Self::decode(&second[..PAGE])) {
            (Ok(header), _) | (Err(_), Ok(header)) => Ok(header),
            (Err(PageFault::Format(major)), Err(_)) | (Err(_), Err(PageFault::Format(major))) => {
                Err(PageFault::Format(major))
            }
            (Err(fault), Err(_)) => Err(fault),
        }
    }
}

/// Whether a page begins as a footer does, whatever else it is.
pub(crate) fn is_footer_page(page: &[u8]) -> bool {
    page[..8] == FOOTER_MAGIC
}

/// What the footer says about a sealed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentFooter {
    pub(crate) nonce: u64,
    pub(crate) index: u64,
    pub(crate) block_count: u64,
    pub(crate) end_offset: u64,
    /// The chain behind the segment's last block.
    pub(crate) chain: ChainTail,
}

impl SegmentFooter {
    /// Reads a footer page and checks that it belongs to `header`.
    pub(crate) fn decode(page: &[u8], header: &SegmentHeader) -> Result<Self, &'static str> {
        if page[..8] != FOOTER_MAGIC {
            return Err("the segment has no footer");
        }
        if page_crc(page, FOOTER_CRC_AT) != u32_at(page, FOOTER_CRC_AT) {
            return Err("the segment's footer fails its CRC");
        }
        let block_count = u64_at(page, 32);
        let footer = Self {
            nonce: u64_at(page, 16),
            index: u64_at(page, 24),
            block_count,
            end_offset: u64_at(page, 72),
            chain: ChainTail {
                block: (header.first_block - 1).saturating_add(block_count),
                hash: array_at(page, 96),
                sequence: u64_at(page, 56),
                timestamp_ns: u64_at(page, 64),
                term: u64_at(page, 80),
            },
        };
        let belongs = footer.nonce == header.nonce
            && footer.index == header.index
            && u64_at(page, 48) == header.first_sequence
            && footer.chain.sequence >= header.first_sequence - 1
            && footer.end_offset <= header.blocks_end();
        if belongs { Ok(footer) } else { Err("the segment's footer does not belong to its header") }
    }
}

/// What is counted while a segment is written or scanned, and becomes its footer.
#[derive(Clone)]
pub(crate) struct SegmentTally {
    block_count: u64,
    record_count: u64,
    index: Vec<(u64, u64)>,
    index_stride: u64,
    next_indexed_offset: u64,
    content: blake3::Hasher,
}

impl SegmentTally {
    /// The tally of a segment without blocks.
    pub(crate) fn new(header: &SegmentHeader) -> Self {
        let mut page = vec![0; PAGE];
        header.encode(&mut page);
        let mut content = blake3::Hasher::new();
        content.update(&page);
        Self {
            block_count: 0,
            record_count: 0,
            index: Vec::with_capacity(INDEX_ENTRIES_MAX),
            index_stride: header.segment_bytes.div_ceil(INDEX_ENTRIES_MAX as u64),
            next_indexed_offset: 0,
            content,
        }
    }

    /// Counts a block that stands at `offset`.
    pub(crate) fn add(&mut self, header: &BlockHeader, offset: u64) {
        self.block_count += 1;
        self.record_count += u64::from(header.record_count);
        self.content.update(&header.hash);
        if offset >= self.next_indexed_offset && self.index.len() < INDEX_ENTRIES_MAX {
            self.index.push((header.first_sequence, offset));
            self.next_indexed_offset = offset + self.index_stride;
        }
    }

    /// Writes the footer page of a segment that ends at `end_offset` with the chain at `chain`.
    pub(crate) fn encode_footer(&self, header: &SegmentHeader, chain: &ChainTail, end_offset: u64, page: &mut [u8]) {
        page.fill(0);
        put_bytes(page, 0, &FOOTER_MAGIC);
        put_u32(page, 12, u32::try_from(self.index.len()).expect("at most 240 entries"));
        put_u64(page, 16, header.nonce);
        put_u64(page, 24, header.index);
        put_u64(page, 32, self.block_count);
        put_u64(page, 40, self.record_count);
        put_u64(page, 48, header.first_sequence);
        put_u64(page, 56, chain.sequence);
        put_u64(page, 64, chain.timestamp_ns);
        put_u64(page, 72, end_offset);
        put_u64(page, 80, chain.term);
        put_bytes(page, 96, &chain.hash);
        put_bytes(page, 128, self.content.finalize().as_bytes());
        for (entry, (sequence, offset)) in self.index.iter().enumerate() {
            put_u64(page, INDEX_AT + entry * 16, *sequence);
            put_u64(page, INDEX_AT + entry * 16 + 8, *offset);
        }
        let crc = page_crc(page, FOOTER_CRC_AT);
        put_u32(page, FOOTER_CRC_AT, crc);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::all_zero;

    fn header() -> SegmentHeader {
        SegmentHeader {
            exchange_id: [0xE1; 16],
            shard: 0x0102,
            node: 0x0304,
            nonce: 0x1111_2222_3333_4444,
            index: 5,
            segment_bytes: 1 << 20,
            first_block: 77,
            first_sequence: 1_000,
            created_at_ns: 0xC0,
            previous_timestamp_ns: 0xC1,
            previous_hash: [0xD1; 32],
            schema_hash: [0xD2; 32],
            software_version: "1.2.3".to_owned(),
            previous_term: 0xC2,
        }
    }

    #[test]
    fn names_parse_back_and_nothing_else_does() {
        assert_eq!(file_name(3, 41), "3-0000000000000041.lkj");
        assert_eq!(parse_file_name("3-0000000000000041.lkj"), Some((3, 41)));
        for name in ["heads", "3-41.lkj", "3-0000000000000041.lks", "03-0000000000000041.lkj", "-.lkj"] {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }

    #[test]
    fn header_bytes_are_where_the_table_says() {
        let header = header();
        let mut page = vec![0xFF; PAGE];
        header.encode(&mut page);
        assert_eq!(&page[..8], b"LKHJRNL\0");
        assert_eq!(page[8..12], [1, 0, 0, 0]);
        assert_eq!(page[12..16], page_crc(&page, 12).to_le_bytes());
        assert_eq!(page[16..32], [0xE1; 16]);
        assert_eq!(page[32..36], [2, 1, 4, 3]);
        assert_eq!(page[36..40], [0; 4]);
        let numbers =
            [(40, header.nonce), (48, 5), (56, 1 << 20), (64, 77), (72, 1_000), (80, 0xC0), (88, 0xC1), (224, 0xC2)];
        for (offset, value) in numbers {
            assert_eq!(page[offset..offset + 8], value.to_le_bytes(), "offset {offset}");
        }
        assert_eq!(page[96..128], [0xD1; 32]);
        assert_eq!(page[128..160], [0xD2; 32]);
        assert_eq!(&page[160..166], b"1.2.3\0");
        assert!(all_zero(&page[232..]));
        assert_eq!(SegmentHeader::decode(&page), Ok(header));
    }

    #[test]
    fn one_whole_copy_of_the_header_is_enough() {
        let mut pages = vec![0; 2 * PAGE];
        header().encode(&mut pages[..PAGE]);
        header().encode(&mut pages[PAGE..]);
        for bit in (0..PAGE * 8).step_by(3) {
            pages[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&pages[..PAGE]).is_err(), "bit {bit}");
            assert_eq!(SegmentHeader::decode_either(&pages), Ok(header()));
            pages[bit / 8] ^= 1 << (bit % 8);
        }
        pages[8] = 9;
        pages[PAGE + 8] = 9;
        assert_eq!(SegmentHeader::decode_either(&pages), Err(PageFault::Format(9)));
    }

    #[test]
    fn footer_bytes_are_where_the_table_says() {
        let header = header();
        let mut chain = header.chain();
        let mut tally = SegmentTally::new(&header);
        let (block_header, block) = crate::block::tests::sample(&chain, header.nonce, 4);
        tally.add(&block_header, SEGMENT_HEADERS_BYTES);
        chain.accept(&block_header, &block).unwrap();
        let mut page = vec![0xFF; PAGE];
        tally.encode_footer(&header, &chain, 12_288, &mut page);
        assert_eq!(&page[..8], b"LKHJFTR\0");
        assert_eq!(page[8..12], page_crc(&page, 8).to_le_bytes());
        assert_eq!(page[12..16], 1u32.to_le_bytes());
        let numbers = [
            (16, header.nonce),
            (24, 5),
            (32, 1),
            (40, 4),
            (48, 1_000),
            (56, 1_003),
            (64, 5),
            (72, 12_288),
            (80, 0xA1),
        ];
        for (offset, value) in numbers {
            assert_eq!(page[offset..offset + 8], value.to_le_bytes(), "offset {offset}");
        }
        assert_eq!(page[96..128], chain.hash);
        assert_eq!(page[256..264], 1_000u64.to_le_bytes());
        assert_eq!(page[264..272], SEGMENT_HEADERS_BYTES.to_le_bytes());
        let footer = SegmentFooter::decode(&page, &header).unwrap();
        assert_eq!((footer.chain, footer.end_offset, footer.block_count), (chain, 12_288, 1));
        for bit in (0..PAGE * 8).step_by(7) {
            page[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentFooter::decode(&page, &header).is_err(), "bit {bit}");
            page[bit / 8] ^= 1 << (bit % 8);
        }
        let other = SegmentHeader { nonce: 1, ..header };
        assert!(SegmentFooter::decode(&page, &other).is_err());
    }

    #[test]
    fn the_index_never_outgrows_its_page() {
        let header = SegmentHeader { segment_bytes: 64 << 20, ..header() };
        let mut tally = SegmentTally::new(&header);
        let (block_header, _) = crate::block::tests::sample(&header.chain(), header.nonce, 1);
        for offset in (SEGMENT_HEADERS_BYTES..header.blocks_end()).step_by(PAGE) {
            tally.add(&block_header, offset);
        }
        assert!(tally.index.len() > INDEX_ENTRIES_MAX / 2 && tally.index.len() <= INDEX_ENTRIES_MAX);
    }
}
