//! Records that are a function of their sequence, and ways to write and read them.

use std::path::Path;
use std::time::Duration;

use lakh_journal::{AppendError, JournalError, JournalOptions, JournalReader, JournalWriter, RecordHeader};

pub(crate) const EXCHANGE: [u8; 16] = *b"exchange of test";
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Small segments and the smallest ring.
pub(crate) fn options(directory: &Path) -> JournalOptions {
    JournalOptions { segment_bytes: 64 * 1024, ring_bytes: 64 * 1024, ..JournalOptions::new(directory, EXCHANGE) }
}

/// A seed for a randomised test, printed so that a failure can be repeated with `LAKH_TEST_SEED`.
pub(crate) fn seed(test: &str) -> u64 {
    let given = std::env::var("LAKH_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = given.unwrap_or(now.as_nanos() as u64);
    println!("{test}: LAKH_TEST_SEED={seed}");
    seed
}

/// A small generator (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

pub(crate) fn header(sequence: u64) -> RecordHeader {
    RecordHeader {
        sequence,
        timestamp_ns: sequence * 1_000,
        kind: (sequence % 7) as u16,
        schema_version: 1,
        flags: (sequence % 3) as u8,
        account: (sequence * 31) as u32,
    }
}

/// A payload of a length and content that its sequence decides.
pub(crate) fn payload(sequence: u64, length: usize) -> Vec<u8> {
    (0..length).map(|index| (sequence as usize * 131 + index * 7) as u8).collect()
}

pub(crate) fn usual_length(sequence: u64) -> usize {
    (sequence as usize * 37) % 300
}

/// Appends a record, waiting for durability when the ring is full; `false` when the journal has stopped.
pub(crate) fn append(writer: &mut JournalWriter, sequence: u64, length: usize) -> bool {
    loop {
        match writer.append(header(sequence), &payload(sequence, length)) {
            Ok(()) => return true,
            Err(AppendError::Full) => {
                writer.publish();
                if !writer.watch().wait_for(sequence - 1, LONG) {
                    return false;
                }
            }
            Err(AppendError::Stopped(_)) => return false,
            Err(error) => panic!("unexpected: {error}"),
        }
    }
}

/// Appends the records of a range, publishing after each `batch`.
pub(crate) fn append_range(writer: &mut JournalWriter, from: u64, to: u64, batch: u64) {
    for sequence in from..=to {
        assert!(append(writer, sequence, usual_length(sequence)), "{:?}", writer.watch().stopped());
        if sequence % batch == 0 || sequence == to {
            writer.publish();
        }
    }
}

/// A directory for an exported disk: in memory where there is such a place, since nothing in it has to last.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Reads everything and checks each record against its sequence; returns the last sequence.
pub(crate) fn read_usual(directory: &Path) -> Result<u64, JournalError> {
    let mut reader = JournalReader::open(directory)?;
    let mut last = 0;
    while let Some(record) = reader.next()? {
        assert_eq!(record.header, header(last + 1));
        assert_eq!(record.payload, payload(last + 1, usual_length(last + 1)));
        last += 1;
    }
    Ok(last)
}
