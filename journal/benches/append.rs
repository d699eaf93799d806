//! Cost of an append, and durable records a second at both levels. Run with `cargo bench -p lakh-journal`.
//!
//! Append: thread processor time of `append` + one `publish` for each 64 records, ring of 64 MiB, durability thread at
//! work on the other core, level `async`; median of 5 rounds of 200,000 records that fit into the ring, so that no
//! append waits. Durable: wall time from the first append to the last durable record, closed loop on a full ring,
//! 256-byte records, in the directory `LAKH_BENCH_DIRECTORY` or a temporary one. Acknowledgement: one record at a time.

use std::path::Path;
use std::time::{Duration, Instant};

use lakh_journal::storage::{Access, RealStorage, Storage, StorageFile};
use lakh_journal::{AppendError, Durability, JournalOptions, JournalReader, JournalWriter, RecordHeader, open};
use rustix::time::{ClockId, clock_gettime};

const ROUNDS: usize = 5;
const LONG: Duration = Duration::from_secs(120);

fn thread_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn header(sequence: u64) -> RecordHeader {
    RecordHeader { sequence, timestamp_ns: sequence, kind: 1, schema_version: 1, flags: 0, account: 7 }
}

fn writer(directory: &Path, durability: Durability) -> JournalWriter {
    let options = JournalOptions { durability, ..JournalOptions::new(directory, [1; 16]) };
    open(options).expect("the bench directory is usable").0
}

/// Nanoseconds of thread time an append takes, publishing included.
fn append_ns(directory: &Path, record_bytes: usize) -> f64 {
    let payload = vec![0xA5; record_bytes - 32];
    let mut writer = writer(directory, Durability::Async);
    let watch = writer.watch();
    let mut sequence = writer.last_sequence();
    let rounds = (0..ROUNDS).map(|_| {
        let start = thread_ns();
        for _ in 0..200_000 {
            sequence += 1;
            writer.append(header(sequence), &payload).expect("the ring holds a round");
            if sequence.is_multiple_of(64) {
                writer.publish();
            }
        }
        writer.publish();
        let spent = thread_ns() - start;
        assert!(watch.wait_for(sequence, LONG));
        spent as f64 / 200_000.0
    });
    let result = median(rounds.collect());
    writer.close().expect("the journal did not stop");
    result
}

/// Durable records a second at full load.
fn durable_per_second(directory: &Path, durability: Durability) -> f64 {
    let payload = [0x5A; 224];
    let mut writer = writer(directory, durability);
    let watch = writer.watch();
    let mut sequence = writer.last_sequence();
    let count = 1_000_000;
    let rounds = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        let last = sequence + count;
        while sequence < last {
            match writer.append(header(sequence + 1), &payload) {
                Ok(()) => {
                    sequence += 1;
                    if sequence.is_multiple_of(64) {
                        writer.publish();
                    }
                }
                Err(AppendError::Full) => {
                    writer.publish();
                    assert!(watch.wait_for(sequence - 100_000, LONG));
                }
                Err(error) => panic!("{error}"),
            }
        }
        writer.publish();
        assert!(watch.wait_for(last, LONG));
        count as f64 / start.elapsed().as_secs_f64()
    });
    let result = median(rounds.collect());
    writer.close().expect("the journal did not stop");
    result
}

/// Microseconds from append to durable for single records, p50 and p99.
fn acknowledgement_us(directory: &Path, durability: Durability) -> (f64, f64) {
    let mut writer = writer(directory, durability);
    let watch = writer.watch();
    let mut sequence = writer.last_sequence();
    let mut times: Vec<f64> = (0..2_000)
        .map(|_| {
            sequence += 1;
            let start = Instant::now();
            writer.append(header(sequence), &[0; 224]).expect("the ring is empty");
            writer.publish();
            assert!(watch.wait_for(sequence, LONG));
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    writer.close().expect("the journal did not stop");
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// Microseconds of a bare 4 KiB O_DIRECT|O_DSYNC write into written blocks, p50 and p99: the yardstick of the same run.
fn raw_write_us(directory: &Path) -> (f64, f64) {
    std::fs::create_dir_all(directory).expect("the bench directory is usable");
    let path = directory.join("raw");
    let buffer = vec![0x11; 2 * 4096];
    let aligned = buffer.as_ptr().align_offset(4096);
    let page = &buffer[aligned..aligned + 4096];
    let file = RealStorage.create(&path).expect("the file can be created");
    for index in 0..2_048 {
        file.write_at(page, index * 4096).expect("there is room");
    }
    file.sync().expect("the disk works");
    let file = RealStorage.open(&path, Access::Direct).expect("the file exists");
    let mut times: Vec<f64> = (0..2_000)
        .map(|index| {
            let start = Instant::now();
            file.write_durable(page, index * 4096).expect("the disk works");
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

fn verified_per_second(directory: &Path) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let mut reader = JournalReader::open(directory).expect("the journal is sound");
        let start = Instant::now();
        let mut count = 0u64;
        while reader.next().expect("the journal is sound").is_some() {
            count += 1;
        }
        count as f64 / start.elapsed().as_secs_f64()
    });
    median(rounds.collect())
}

fn main() {
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let given = std::env::var_os("LAKH_BENCH_DIRECTORY").map(std::path::PathBuf::from);
    let base = given.as_deref().unwrap_or(temporary.path());
    for bytes in [128, 256] {
        let directory = base.join(format!("append-{bytes}"));
        println!("append {bytes} B: {:.1} ns thread time", append_ns(&directory, bytes));
        println!("verify {bytes} B: {:.2} M records/s", verified_per_second(&directory) / 1e6);
    }
    let (p50, p99) = raw_write_us(&base.join("raw"));
    println!("bare 4 KiB durable write: {p50:.0} us p50, {p99:.0} us p99");
    for durability in [Durability::Sync, Durability::Async] {
        let directory = base.join(format!("{durability:?}"));
        let start = Instant::now();
        drop(writer(&directory, durability));
        println!("{durability:?}: fresh journal opened and closed in {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
        let (p50, p99) = acknowledgement_us(&directory, durability);
        println!("{durability:?}: acknowledgement of single records {p50:.0} us p50, {p99:.0} us p99");
        println!(
            "{durability:?}: {:.2} M durable records/s of 256 B",
            durable_per_second(&directory, durability) / 1e6
        );
    }
}
