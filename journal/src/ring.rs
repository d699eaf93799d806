//! The live tail: a ring of records in shared memory between the writer, the durability thread and tailers.
//!
//! One writer stores records, one durability thread takes them as blocks, any number of tailers in any process copy
//! durable blocks out. The ring is never evidence for recovery. It is an array of 64-bit words, all of them atomics:
//!
//! | words | meaning |
//! |---|---|
//! | 0 | magic `LKRING0\0` |
//! | 1 | nonce of this opening; tailers compare it with the announcement |
//! | 2 | bytes of the data, a power of two |
//! | 3 | term (epoch) of the writer |
//! | 4 | process id of the writer, informative |
//! | 5 | state: 0 live, 1 closed, 2 stopped at an error |
//! | 16 | claimed: position up to which the writer may be overwriting |
//! | 32 | published: position up to which records are complete |
//! | 48 | released: position up to which space is free again |
//! | 64, 65 | durable sequence, durable block |
//! | 512.. | 1,024 slots of 40 words, one a durable block: number, start, bytes, segment index, offset in it, 0, 0, 0, 32 words of block header |
//! | 41,472.. | data |
//!
//! Positions count bytes since the opening and never wrap; a place in the data is the position modulo its size.
//! A record never wraps around the end: the rest is skipped, with a length of `u32::MAX` as the mark. A block never
//! spans that mark, so its records are contiguous in the ring as on disk.
//!
//! The protocol is a seqlock over the whole ring ([`crate::seqlock`]). The writer claims by `claimed`, stores the words,
//! publishes by `published`. A reader loads a slot, copies the words and looks at the claim: if `claimed − start > size`,
//! what was copied may have been overwritten, and the reader goes to the segments. A slot is claimed by the number 0.
//! Counters that different threads write stand on different cache lines.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::block::{BLOCK_HEADER_BYTES, BlockHeader};
use crate::mapped::SharedWords;
use crate::record::padded;
use crate::seqlock;

const MAGIC: u64 = u64::from_le_bytes(*b"LKRING0\0");
const MAGIC_AT: usize = 0;
const NONCE_AT: usize = 1;
const CAPACITY_AT: usize = 2;
const TERM_AT: usize = 3;
const PROCESS_AT: usize = 4;
/// Word of the state; its byte offset in the file is eight times this.
pub(crate) const STATE_AT: usize = 5;
const CLAIMED_AT: usize = 16;
const PUBLISHED_AT: usize = 32;
const RELEASED_AT: usize = 48;
const DURABLE_SEQUENCE_AT: usize = 64;
const DURABLE_BLOCK_AT: usize = 65;
const SLOTS_AT: usize = 512;
const SLOT_WORDS: usize = 40;
const SLOT_HEADER_AT: usize = 8;
const SLOT_COUNT: u64 = 1024;
const DATA_AT: usize = SLOTS_AT + SLOT_WORDS * SLOT_COUNT as usize;

/// The writer is at work.
pub(crate) const STATE_LIVE: u64 = 0;
/// The writer has closed, or a later opening has taken its place.
pub(crate) const STATE_CLOSED: u64 = 1;
/// The writer has stopped at an error.
pub(crate) const STATE_STOPPED: u64 = 2;

/// Length that marks the unused rest before the end of the data.
const SKIP: u32 = u32::MAX;

/// Words of a ring with `capacity` bytes of data.
pub(crate) fn words_for(capacity: usize) -> usize {
    DATA_AT + capacity / 8
}

/// Records taken for one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Position of the first record.
    pub(crate) start: u64,
    /// Position behind the last record.
    pub(crate) end: u64,
    /// Count of records; 0 if only a skip mark was passed.
    pub(crate) count: u32,
    /// First sequence.
    pub(crate) first_sequence: u64,
    /// Timestamp of the last record.
    pub(crate) last_timestamp_ns: u64,
}

/// Where a durable block stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Index of the segment.
    pub(crate) segment: u64,
    /// Offset of the block in it.
    pub(crate) offset: u64,
}

/// What a tailer's look for a block found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a short-lived answer; boxing it would allocate for each block")]
pub(crate) enum Look {
    /// The block is here; its records have been copied.
    Found(BlockHeader, Place),
    /// The block is not durable yet.
    NotYet,
    /// The block has been durable and is overwritten: read the segments.
    Lapped,
}

/// A ring, as its writer or as a tailer sees it.
pub(crate) struct Ring {
    memory: SharedWords,
    capacity: u64,
}

impl Ring {
    /// Prepares zeroed memory of [`words_for`]`(capacity)` words.
    pub(crate) fn create(memory: SharedWords, capacity: usize, nonce: u64, term: u64) -> Self {
        assert!(capacity.is_power_of_two() && memory.words().len() >= words_for(capacity), "sized by the caller");
        let ring = Self { memory, capacity: capacity as u64 };
        ring.word(NONCE_AT).store(nonce, Ordering::Relaxed);
        ring.word(CAPACITY_AT).store(capacity as u64, Ordering::Relaxed);
        ring.word(TERM_AT).store(term, Ordering::Relaxed);
        ring.word(PROCESS_AT).store(u64::from(std::process::id()), Ordering::Relaxed);
        ring.word(MAGIC_AT).store(MAGIC, Ordering::Release);
        ring
    }

    /// Takes memory that another process prepared; `None` if it is not the ring with this nonce.
    pub(crate) fn attach(memory: SharedWords, nonce: u64) -> Option<Self> {
        let words = memory.words();
        if words.len() < DATA_AT || seqlock::load(&words[MAGIC_AT]) != MAGIC {
            return None;
        }
        let capacity = words[CAPACITY_AT].load(Ordering::Relaxed);
        let fits = usize::try_from(capacity).is_ok_and(|bytes| words.len() - DATA_AT >= bytes / 8);
        let ours = words[NONCE_AT].load(Ordering::Relaxed) == nonce;
        (capacity.is_power_of_two() && fits && ours).then_some(Self { memory, capacity })
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        &self.memory.words()[at]
    }

    /// The words of `bytes` bytes at `position`; they do not cross the end of the data.
    fn data(&self, position: u64, bytes: usize) -> &[AtomicU64] {
        let place = usize::try_from(position & (self.capacity - 1)).expect("less than the capacity") / 8;
        &self.memory.words()[DATA_AT + place..DATA_AT + place + bytes / 8]
    }

    /// Bytes of the data.
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Bytes from `position` to the end of the data.
    pub(crate) fn until_end(&self, position: u64) -> u64 {
        self.capacity - (position & (self.capacity - 1))
    }

    // ---- writer ----

    /// Stores an encoded, padded record at `position`, behind a skip mark of `skip` bytes where that is not 0. The
    /// caller has made sure that the space is free. The record's first word is stored last.
    pub(crate) fn store(&self, position: u64, skip: u64, record: &[u8]) {
        let start = position + skip;
        seqlock::overwrite(self.word(CLAIMED_AT), start + record.len() as u64, || {
            if skip > 0 {
                self.data(position, 8)[0].store(u64::from(SKIP), Ordering::Relaxed);
            }
            let words = self.data(start, record.len());
            let (bytes, _) = record.as_chunks::<8>();
            for (word, bytes) in words[1..].iter().zip(&bytes[1..]) {
                word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
            }
            words[0].store(u64::from_le_bytes(bytes[0]), Ordering::Release);
        });
    }

    /// Makes everything before `position` visible; whether the durability worker, which says by `idle` that it sleeps,
    /// has to be woken.
    pub(crate) fn publish(&self, position: u64, idle: &AtomicBool) -> bool {
        seqlock::publish_work(self.word(PUBLISHED_AT), position, idle)
    }

    /// Position up to which space is free again.
    pub(crate) fn released(&self) -> u64 {
        self.word(RELEASED_AT).load(Ordering::Acquire)
    }

    /// Tells tailers how the writer ended.
    pub(crate) fn set_state(&self, state: u64) {
        self.word(STATE_AT).store(state, Ordering::Release);
    }

    // ---- durability thread ----

    /// Position up to which records are complete.
    pub(crate) fn published(&self) -> u64 {
        self.word(PUBLISHED_AT).load(Ordering::Acquire)
    }

    /// Copies the records from `position` on that fit into `out`, up to `published`.
    pub(crate) fn take(&self, position: u64, published: u64, out: &mut [u8]) -> Batch {
        let mut batch = Batch { start: position, end: position, count: 0, first_sequence: 0, last_timestamp_ns: 0 };
        while batch.end < published {
            let words = self.data(batch.end, 8);
            let length = words[0].load(Ordering::Acquire) as u32;
            if length == SKIP {
                if batch.count > 0 {
                    break;
                }
                batch.start += self.until_end(batch.start);
                batch.end = batch.start;
                continue;
            }
            let size = padded(length as usize);
            let end = batch.end + size as u64;
            assert!(length != 0 && end <= published, "published records are complete");
            // A record may end exactly at the end of the data; the next one then has no mark before it.
            let room = self.until_end(batch.start).min(out.len() as u64);
            if end - batch.start > room {
                break;
            }
            let words = self.data(batch.end, size);
            if batch.count == 0 {
                batch.first_sequence = words[1].load(Ordering::Relaxed);
            }
            batch.last_timestamp_ns = words[2].load(Ordering::Relaxed);
            batch.count += 1;
            batch.end = end;
        }
        let bytes = usize::try_from(batch.end - batch.start).expect("at most the length of out");
        copy_words(self.data(batch.start, bytes), &mut out[..bytes]);
        batch
    }

    /// Announces a durable block and frees its space.
    pub(crate) fn complete(&self, header: &BlockHeader, batch: &Batch, place: Place) {
        let slot = self.slot(header.number);
        seqlock::overwrite(&slot[0], 0, || {
            slot[1].store(batch.start, Ordering::Relaxed);
            slot[2].store(batch.end - batch.start, Ordering::Relaxed);
            slot[3].store(place.segment, Ordering::Relaxed);
            slot[4].store(place.offset, Ordering::Relaxed);
            let mut bytes = [0; BLOCK_HEADER_BYTES];
            header.encode(&mut bytes);
            for (word, bytes) in slot[SLOT_HEADER_AT..].iter().zip(bytes.as_chunks::<8>().0) {
                word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
            }
        });
        seqlock::publish(&slot[0], header.number);
        self.word(DURABLE_SEQUENCE_AT).store(header.last_sequence(), Ordering::Release);
        self.word(DURABLE_BLOCK_AT).store(header.number, Ordering::Release);
        self.word(RELEASED_AT).store(batch.end, Ordering::Release);
    }

    /// Sets what was durable before the ring existed.
    pub(crate) fn set_durable(&self, sequence: u64, block: u64) {
        self.word(DURABLE_SEQUENCE_AT).store(sequence, Ordering::Release);
        self.word(DURABLE_BLOCK_AT).store(block, Ordering::Release);
    }

    // ---- tailers: relaxed loads and fences only, the memory may be read-only ----

    fn slot(&self, number: u64) -> &[AtomicU64] {
        let index = usize::try_from(number % SLOT_COUNT).expect("less than the count of slots");
        &self.memory.words()[SLOTS_AT + index * SLOT_WORDS..SLOTS_AT + (index + 1) * SLOT_WORDS]
    }

    /// How the writer stands: one of [`STATE_LIVE`], [`STATE_CLOSED`], [`STATE_STOPPED`].
    pub(crate) fn state(&self) -> u64 {
        seqlock::load(self.word(STATE_AT))
    }

    /// Number of the newest durable block.
    pub(crate) fn durable_block(&self) -> u64 {
        seqlock::load(self.word(DURABLE_BLOCK_AT))
    }

    /// Looks for durable block `number` and copies its records into `out` behind room for a header.
    pub(crate) fn look(&self, number: u64, out: &mut Vec<u8>) -> Look {
        if self.durable_block() < number {
            return Look::NotYet;
        }
        let slot = self.slot(number);
        if seqlock::load(&slot[0]) != number {
            return Look::Lapped;
        }
        let mut encoded = [0; BLOCK_HEADER_BYTES];
        let copy = || {
            copy_words(&slot[SLOT_HEADER_AT..], &mut encoded);
            let [start, bytes, segment, offset] = [1, 2, 3, 4].map(|at| slot[at].load(Ordering::Relaxed));
            (start, bytes, Place { segment, offset })
        };
        let copied = seqlock::copied(&slot[0], copy, |now| now == number);
        let Some((start, bytes, place)) = copied else { return Look::Lapped };
        // From here on the slot's words belong together; a header that does not decode means foreign memory.
        let Ok(header) = BlockHeader::decode(&encoded) else { return Look::Lapped };
        if bytes != u64::from(header.payload_bytes) || bytes > self.until_end(start) {
            return Look::Lapped;
        }
        out.clear();
        out.resize(header.block_bytes as usize, 0);
        out[..BLOCK_HEADER_BYTES].copy_from_slice(&encoded);
        let records = &mut out[BLOCK_HEADER_BYTES..BLOCK_HEADER_BYTES + header.payload_bytes as usize];
        let copy = || copy_words(self.data(start, records.len()), records);
        let intact = |claimed: u64| claimed.saturating_sub(start) <= self.capacity;
        match seqlock::copied(self.word(CLAIMED_AT), copy, intact) {
            Some(()) => Look::Found(header, place),
            None => Look::Lapped,
        }
    }
}

fn copy_words(words: &[AtomicU64], out: &mut [u8]) {
    for (bytes, word) in out.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *bytes = word.load(Ordering::Relaxed).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::{ChainTail, MAX_BLOCK_BYTES};
    use crate::record::{self, MAX_RECORD_BYTES, RecordHeader};

    const CAPACITY: usize = 64 * 1024;

    fn ring() -> Ring {
        Ring::create(SharedWords::heap(words_for(CAPACITY)), CAPACITY, 77, 1)
    }

    fn encoded(sequence: u64, payload: usize) -> Vec<u8> {
        let mut scratch = vec![0; MAX_RECORD_BYTES];
        let header = RecordHeader { sequence, timestamp_ns: sequence * 10, ..RecordHeader::default() };
        let size = record::encode(&mut scratch, &header, &vec![sequence as u8; payload]);
        scratch.truncate(size);
        scratch
    }

    #[test]
    fn words_are_where_the_table_says() {
        assert_eq!(DATA_AT, 41_472);
        assert_eq!(DATA_AT * 8 % 4096, 0, "data starts on a page");
        assert_eq!(SLOT_HEADER_AT + BLOCK_HEADER_BYTES / 8, SLOT_WORDS);
        let ring = ring();
        ring.set_state(STATE_STOPPED);
        ring.set_durable(8, 9);
        assert!(!ring.publish(24, &AtomicBool::new(false)));
        let words = ring.memory.words();
        let found: Vec<u64> = [0, 1, 2, 3, 5, 32, 64, 65].iter().map(|at| words[*at].load(Ordering::Relaxed)).collect();
        assert_eq!(found, [MAGIC, 77, CAPACITY as u64, 1, STATE_STOPPED, 24, 8, 9]);
    }

    #[test]
    fn blocks_end_at_the_skip_mark_and_at_the_limit() {
        let ring = ring();
        let mut position = 0;
        for sequence in 1..=5 {
            let record = encoded(sequence, 13_000);
            ring.store(position, 0, &record);
            position += record.len() as u64;
        }
        let mut out = vec![0; 3 * 13_032 + 100];
        let batch = ring.take(0, position, &mut out);
        assert_eq!((batch.count, batch.first_sequence, batch.last_timestamp_ns), (3, 1, 30), "limit of the block");
        let batch = ring.take(batch.end, position, &mut out);
        assert_eq!((batch.count, batch.first_sequence, batch.end), (2, 4, position));
        // The sixth record does not fit before the end of the data: it goes behind a skip mark.
        let record = encoded(6, 1_000);
        let skip = ring.until_end(position);
        assert_eq!(skip, 65_536 - 5 * 13_032);
        ring.store(position, skip, &record);
        let batch = ring.take(batch.end, position + skip + record.len() as u64, &mut out);
        assert_eq!((batch.count, batch.first_sequence, batch.start), (1, 6, CAPACITY as u64));
        assert_eq!(out[..record.len()], record);
    }

    #[test]
    fn blocks_end_where_a_record_ends_with_the_data() {
        let ring = ring();
        let mut out = vec![0; MAX_BLOCK_BYTES];
        let mut position = 0;
        for sequence in 1..=17 {
            let record = encoded(sequence, 4_064);
            ring.store(position, 0, &record);
            position += record.len() as u64;
            if sequence == 15 {
                assert_eq!(ring.take(0, position, &mut out).count, 15);
            }
        }
        let batch = ring.take(15 * 4_096, position, &mut out);
        assert_eq!((batch.count, batch.end), (1, CAPACITY as u64));
        let batch = ring.take(batch.end, position, &mut out);
        assert_eq!((batch.count, batch.first_sequence), (1, 17));
    }

    #[test]
    fn a_lapped_reader_is_told() {
        let ring = ring();
        let mut chain = ChainTail::genesis(&[1; 16], 0);
        let mut position = 0;
        let mut block = vec![0; MAX_BLOCK_BYTES];
        let mut copy = Vec::new();
        assert_eq!(ring.look(1, &mut copy), Look::NotYet);
        for number in 1..=20u64 {
            let record = encoded(number, 4_064);
            ring.store(position, 0, &record);
            let published = position + record.len() as u64;
            let batch = ring.take(position, published, &mut block[BLOCK_HEADER_BYTES..]);
            let (mut header, _) = crate::block::tests::sample(&chain, 5, 1);
            header.seal(&mut block, record.len());
            ring.complete(&header, &batch, Place { segment: 0, offset: number });
            let Look::Found(found, place) = ring.look(number, &mut copy) else { panic!("block {number} is here") };
            assert_eq!((found, place.offset), (header, number));
            assert_eq!(copy[..], block[..copy.len()]);
            chain = ChainTail { block: number, sequence: number, hash: header.hash, ..chain };
            position = published;
        }
        // 64 KiB hold the newest 16 blocks of 4,096 bytes.
        assert_eq!(ring.look(4, &mut copy), Look::Lapped);
        assert!(matches!(ring.look(5, &mut copy), Look::Found(..)));
        assert_eq!(ring.look(21, &mut copy), Look::NotYet);
        assert_eq!(ring.released(), position);
    }

    #[test]
    fn only_the_announced_ring_is_attached() {
        let memory = |words: usize| SharedWords::heap(words);
        assert!(Ring::attach(memory(DATA_AT - 1), 0).is_none());
        assert!(Ring::attach(memory(words_for(CAPACITY)), 0).is_none(), "no magic");
        let made = || Ring::create(memory(words_for(CAPACITY)), CAPACITY, 5, 1).memory;
        assert!(Ring::attach(made(), 6).is_none(), "another opening's nonce");
        assert!(Ring::attach(made(), 5).is_some());
    }
}
