//! That a record stands in a journal, shown to somebody who has one block hash and not the journal.
//!
//! A proof holds the record's whole block, and of each later block up to the anchor what ties its hash to the one
//! before: the first KiB of what the hash covers, where number and previous hash stand, and the chaining values of the
//! BLAKE3 tree to its right, at most 6 of 32 bytes. So a link costs about 1.2 KiB where its block has up to 64.
//!
//! Invariant: [`Proof::check`] believes nothing of the proof but what it hashes to. Whether the anchor is one that
//! somebody signed or a chain holds is the caller's business. Bounds: a link for each block, all in memory.

use std::path::Path;

use blake3::hazmat::{HasherExt as _, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};

use crate::JournalError;
use crate::block::{BLOCK_HEADER_BYTES, BlockHeader, HASHED_FROM, HASHED_UNTIL};
use crate::bytes::{array_at, u64_at};
use crate::reader::{BlockStream, JournalReader, Next};
use crate::record::{self, Record};

/// Bytes of a leaf of the BLAKE3 tree.
const CHUNK_BYTES: usize = blake3::CHUNK_LEN;
/// Where number and previous hash stand in what a block's hash covers.
const NUMBER_AT: usize = 16 - HASHED_FROM;
const PREVIOUS_HASH_AT: usize = 192 - HASHED_FROM;
/// Bytes of the header that its hash covers.
const HEADER_PART: usize = HASHED_UNTIL - HASHED_FROM;

/// A block as far as the chain needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The first bytes of what the block's hash covers, at most 1,024.
    pub first_chunk: Vec<u8>,
    /// Chaining values to the right of the first chunk, the root's first.
    pub siblings: Vec<[u8; 32]>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The record's sequence.
    pub sequence: u64,
    /// Header and records of its block, without padding.
    pub block: Vec<u8>,
    /// The blocks behind it, in order.
    pub links: Vec<Link>,
}

/// What a proof shows if its anchor is true.
#[derive(Debug, PartialEq, Eq)]
pub struct Proven<'a> {
    /// The record.
    pub record: Record<'a>,
    /// Number of its block.
    pub block: u64,
    /// Number of the block whose hash the proof comes to.
    pub anchor_block: u64,
    /// That hash.
    pub anchor: [u8; 32],
}

impl Link {
    fn of(block: &[u8]) -> Self {
        let covered = [&block[HASHED_FROM..HASHED_UNTIL], &block[BLOCK_HEADER_BYTES..]].concat();
        let (mut rest, mut siblings) = (&covered[..], Vec::new());
        while rest.len() > CHUNK_BYTES {
            let split = left_subtree_len(rest.len() as u64);
            let (left, right) = rest.split_at(usize::try_from(split).expect("below a block"));
            siblings.push(blake3::Hasher::new().set_input_offset(split).update(right).finalize_non_root());
            rest = left;
        }
        Self { first_chunk: rest.to_vec(), siblings }
    }

    /// The block's hash as this link has it.
    fn hash(&self) -> [u8; 32] {
        let Some((root, inner)) = self.siblings.split_first() else {
            return *blake3::hash(&self.first_chunk).as_bytes();
        };
        let first = blake3::Hasher::new().update(&self.first_chunk).finalize_non_root();
        let left = inner.iter().rev().fold(first, |left, right| merge_subtrees_non_root(&left, right, Mode::Hash));
        *merge_subtrees_root(&left, root, Mode::Hash).as_bytes()
    }
}

impl Proof {
    /// Collects the proof of record `sequence` up to the block `anchor_block`, or to the journal's end.
    ///
    /// # Errors
    /// As [`JournalReader::open_behind`] and [`JournalReader::next`]; [`JournalError::NoRecord`] if the journal does
    /// not hold the record.
    pub fn collect(directory: &Path, sequence: u64, anchor_block: Option<u64>) -> Result<Self, JournalError> {
        let no_record = || JournalError::NoRecord { directory: directory.to_path_buf(), sequence };
        let before = sequence.checked_sub(1).ok_or_else(no_record)?;
        let mut reader = JournalReader::open_behind(directory, before).map_err(|error| match error {
            JournalError::NoRecord { .. } => no_record(),
            error => error,
        })?;
        if reader.next()?.is_none() {
            return Err(no_record());
        }
        let mut stream: BlockStream = reader.into_stream();
        let block = stream.block_bytes().to_vec();
        let mut links = Vec::new();
        while anchor_block.is_none_or(|anchor| stream.chain().block < anchor) && stream.advance()? == Next::Loaded {
            links.push(Link::of(stream.block_bytes()));
        }
        Ok(Self { sequence, block, links })
    }

    /// What the proof shows.
    ///
    /// # Errors
    /// What does not agree.
    pub fn check(&self) -> Result<Proven<'_>, &'static str> {
        if self.block.len() < BLOCK_HEADER_BYTES {
            return Err("the block is shorter than its header");
        }
        let header = BlockHeader::decode(&self.block)?;
        if self.block.len() != BLOCK_HEADER_BYTES + header.payload_bytes as usize {
            return Err("the block's size is not that of its header");
        }
        let mut anchor = Link::of(&self.block).hash();
        if anchor != header.hash {
            return Err("the block fails its hash");
        }
        let mut anchor_block = header.number;
        for link in &self.links {
            let first = &link.first_chunk;
            let whole = first.len() == CHUNK_BYTES || (link.siblings.is_empty() && first.len() < CHUNK_BYTES);
            // A tree of at most 64 KiB has 64 leaves.
            if !whole || first.len() < HEADER_PART || link.siblings.len() > 6 {
                return Err("a link has not the form of a block");
            }
            if u64_at(first, NUMBER_AT) != anchor_block + 1 {
                return Err("a link's number is not the next");
            }
            if array_at::<32>(first, PREVIOUS_HASH_AT) != anchor {
                return Err("a link does not continue the hash chain");
            }
            anchor = link.hash();
            anchor_block += 1;
        }
        Ok(Proven { record: self.record(&header)?, block: header.number, anchor_block, anchor })
    }

    fn record(&self, header: &BlockHeader) -> Result<Record<'_>, &'static str> {
        let mut rest = &self.block[BLOCK_HEADER_BYTES..];
        for sequence in header.first_sequence..=header.last_sequence() {
            let (record, size) = record::verify(rest)?;
            if record.header.sequence != sequence {
                return Err("a record's sequence is not the next");
            }
            if sequence == self.sequence {
                return Ok(record);
            }
            rest = &rest[size..];
        }
        Err("the block does not hold the record")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{JournalOptions, RecordHeader, open};

    fn journal(directory: &Path) -> Vec<(u64, [u8; 32])> {
        let options =
            JournalOptions { segment_bytes: 1 << 20, ring_bytes: 1 << 20, ..JournalOptions::new(directory, [4; 16]) };
        let (mut writer, _) = open(options).unwrap();
        let mut sequence = 0;
        // Blocks of every number of leaves up to 64, each as one batch.
        for batch in (0..16).chain([30, 50, 60]) {
            for _ in 0..=batch {
                sequence += 1;
                let header = RecordHeader { sequence, timestamp_ns: sequence, ..RecordHeader::default() };
                writer.append(header, &[sequence as u8; 900]).unwrap();
            }
            writer.publish();
            assert!(writer.watch().wait_for(sequence, Duration::from_secs(60)));
        }
        writer.close().unwrap();
        let mut reader = JournalReader::open(directory).unwrap();
        let mut hashes = Vec::new();
        while reader.next().unwrap().is_some() {
            let block = reader.block().unwrap();
            hashes.push((block.number, block.hash));
        }
        hashes
    }

    #[test]
    fn each_record_is_proven_by_the_last_hash_alone() {
        let directory = tempfile::tempdir().unwrap();
        let hashes = journal(directory.path());
        let (last_block, last_hash) = *hashes.last().unwrap();
        for (index, (block, _)) in hashes.iter().enumerate().step_by(11) {
            let sequence = index as u64 + 1;
            let proof = Proof::collect(directory.path(), sequence, None).unwrap();
            let proven = proof.check().unwrap();
            assert_eq!((proven.record.header.sequence, proven.record.payload[0]), (sequence, sequence as u8));
            assert_eq!((proven.block, proven.anchor_block, proven.anchor), (*block, last_block, last_hash));
            let short = Proof::collect(directory.path(), sequence, Some(*block)).unwrap();
            assert_eq!((short.links.len(), short.check().unwrap().anchor), (0, hashes[index].1));
        }
        for beyond in [hashes.len() as u64 + 1, u64::MAX] {
            let error = Proof::collect(directory.path(), beyond, None).unwrap_err();
            assert!(matches!(error, JournalError::NoRecord { sequence, .. } if sequence == beyond), "{error}");
        }
    }

    #[test]
    fn no_changed_byte_of_a_proof_comes_to_the_same_anchor() {
        let directory = tempfile::tempdir().unwrap();
        let hashes = journal(directory.path());
        let proof = Proof::collect(directory.path(), 3, None).unwrap();
        let anchor = hashes.last().unwrap().1;
        let holds = |proof: &Proof| proof.check().is_ok_and(|proven| proven.anchor == anchor);
        assert!(holds(&proof));
        for byte in 0..proof.block.len() {
            let mut changed = proof.clone();
            changed.block[byte] ^= 1;
            assert!(!holds(&changed), "byte {byte} of the block");
        }
        for (index, link) in proof.links.iter().enumerate() {
            for byte in (0..link.first_chunk.len()).step_by(7) {
                let mut changed = proof.clone();
                changed.links[index].first_chunk[byte] ^= 1;
                assert!(!holds(&changed), "byte {byte} of link {index}");
            }
            for sibling in 0..link.siblings.len() {
                let mut changed = proof.clone();
                changed.links[index].siblings[sibling][5] ^= 1;
                assert!(!holds(&changed), "sibling {sibling} of link {index}");
            }
            let mut without = proof.clone();
            without.links.remove(index);
            assert!(!holds(&without), "without link {index}");
        }
        let other = Proof { sequence: 4_000, ..proof };
        assert!(other.check().is_err());
    }
}
