//! What durability costs, each bar beside the bare writes of the same minute. Run with `cargo bench -p lakh-journal`.
//!
//! Bare writes: O_DIRECT|O_DSYNC into written blocks, 4 KiB to 1 MiB. Acknowledgement: open loop, 256-byte records at a
//! fixed rate at the level `sync`, from the instant at which each was due to the instant at which the waiter knows that
//! it is durable; meanwhile another thread does a bare write of 4 KiB every 5 ms, and the median of those is the yardstick:
//! on a shared machine the disk of a second ago is another disk. Each rate is run
//! (`LAKH_BENCH_RATES`) `LAKH_BENCH_ROUNDS` times (3) for `LAKH_BENCH_SECONDS` (5), and the run with the median ratio is what counts. Bytes to
//! disk come from the kernel's count for this process; what zeroing the segments wrote is counted apart. Verify, open and
//! read: a journal of `LAKH_BENCH_RECORDS` records of 128 bytes (3 million by default), from the page cache. Directory:
//! `LAKH_BENCH_DIRECTORY` or a temporary one.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lakh_journal::storage::{Access, RealFile, RealStorage, Storage, StorageFile};
use lakh_journal::verify::{Activity, overview, verify};
use lakh_journal::{AppendError, Durability, JournalOptions, JournalReader, JournalWriter, RecordHeader, open};

const LONG: Duration = Duration::from_secs(300);
const SEGMENT_BYTES: u64 = 64 << 20;

fn header(sequence: u64) -> RecordHeader {
    RecordHeader { sequence, timestamp_ns: sequence, kind: 1, schema_version: 1, flags: 0, account: 7 }
}

fn writer(directory: &Path, durability: Durability) -> JournalWriter {
    let options =
        JournalOptions { durability, segment_bytes: SEGMENT_BYTES, ..JournalOptions::new(directory, [1; 16]) };
    open(options).expect("the bench directory is usable").0
}

/// Median and 99th percentile.
fn percentiles(times: &mut [f64]) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// Bytes that this process has had written to disk.
fn written_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// Page faults of this thread so far: field 10 of its stat line, counted behind the name in parentheses.
fn page_faults() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    fields.split_whitespace().nth(7).and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// Largest bare write.
const BARE_BYTES: usize = 1 << 20;

/// A written file, and a page-aligned buffer.
struct Bare {
    file: RealFile,
    buffer: Vec<u8>,
}

impl Bare {
    fn create(directory: &Path) -> Self {
        let path = directory.join("bare");
        let buffer = vec![0x11; BARE_BYTES + 4_096];
        let file = RealStorage.create(&path).expect("the file can be created");
        for index in 0..16 {
            file.write_at(&buffer[..BARE_BYTES], index * BARE_BYTES as u64).expect("there is room");
        }
        file.sync().expect("the disk works");
        let file = RealStorage.open(&path, Access::Direct).expect("the file exists");
        std::fs::remove_file(path).expect("the file exists");
        Self { file, buffer }
    }

    /// Microseconds of `count` durable writes of `bytes`, median and 99th percentile.
    fn writes_us(&self, bytes: usize, count: u64) -> (f64, f64) {
        let start = self.buffer.as_ptr().align_offset(4_096);
        let write = |index| {
            let offset = (index % 16) * BARE_BYTES as u64;
            let begin = Instant::now();
            self.file.write_durable(&self.buffer[start..start + bytes], offset).expect("the disk works");
            begin.elapsed().as_secs_f64() * 1e6
        };
        percentiles(&mut (0..count).map(write).collect::<Vec<_>>())
    }
}

impl Bare {
    /// The median of bare writes of 4 KiB, one every 5 ms until `stop`.
    fn beside_us(&self, stop: &AtomicBool) -> f64 {
        let mut times = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            times.push(self.writes_us(4_096, 1).0);
            std::thread::sleep(Duration::from_millis(5));
        }
        percentiles(&mut times).0
    }
}

/// What one open-loop run came to.
struct Acknowledged {
    durable_per_second: f64,
    p50_us: f64,
    p99_us: f64,
    /// How late the generator was: part of the acknowledgement.
    late_us: f64,
    bare_us: f64,
    written_ratio: f64,
    zeroed_ratio: f64,
    page_faults: u64,
    refused: u64,
}

/// Several runs, each between bare writes; prints all of them, the one with the median ratio last.
fn acknowledgements(base: &Path, bare: &Bare, rate: u64, (seconds, rounds): (u64, u64)) {
    let mut runs: Vec<Acknowledged> = (0..rounds)
        .map(|_| {
            let directory = base.join(format!("rate-{rate}"));
            let stop = AtomicBool::new(false);
            let (run, bare_us) = std::thread::scope(|scope| {
                let beside = scope.spawn(|| bare.beside_us(&stop));
                let run = acknowledged(&directory, rate, seconds);
                stop.store(true, Ordering::Relaxed);
                (run, beside.join().expect("it only writes"))
            });
            std::fs::remove_dir_all(directory).expect("it is ours");
            Acknowledged { bare_us, ..run }
        })
        .collect();
    runs.sort_by(|left, right| (left.p50_us / left.bare_us).total_cmp(&(right.p50_us / right.bare_us)));
    let ratios: Vec<String> = runs.iter().map(|run| format!("{:.1}", run.p50_us / run.bare_us)).collect();
    let run = &runs[runs.len() / 2];
    println!(
        "sync, {rate} records/s offered, {:.0} durable: acknowledgement {:.0} us p50 (generator late by {:.0}), {:.0} us p99; bare 4 KiB write \
         {:.0} us p50, ratio {:.1} (runs: {}); {:.2} x payload to disk, zeroing {:.2} x beside; {} page faults, ring full \
         {} times",
        run.durable_per_second,
        run.p50_us,
        run.late_us,
        run.p99_us,
        run.bare_us,
        run.p50_us / run.bare_us,
        ratios.join(", "),
        run.written_ratio,
        run.zeroed_ratio,
        run.page_faults,
        run.refused,
    );
}

/// Open loop at `rate` records a second for `seconds`.
fn acknowledged(directory: &Path, rate: u64, seconds: u64) -> Acknowledged {
    let mut writer = writer(directory, Durability::Sync);
    let watch = writer.watch();
    let total = rate * seconds;
    let before = written_bytes();
    let start = Instant::now();
    let due_ns = move |sequence: u64| sequence * 1_000_000_000 / rate;
    let waiter = std::thread::spawn(move || {
        let (mut next, mut times) = (1, Vec::with_capacity(usize::try_from(total).expect("a few millions")));
        while next <= total {
            assert!(watch.wait_for(next, LONG), "the journal did not stop");
            let now = u64::try_from(start.elapsed().as_nanos()).expect("minutes");
            let durable = watch.durable_sequence().min(total);
            times.extend((next..=durable).map(|sequence| now.saturating_sub(due_ns(sequence)) as f64 / 1e3));
            next = durable + 1;
        }
        times
    });
    let (mut sequence, mut refused) = (0, 0_u64);
    // Else the system sleeps as much as 50 us longer than asked, and each record is late by that before it is appended.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).expect("any process may");
    // Written to once, so that none of its pages is new while it counts.
    let mut late = vec![1.0; usize::try_from(total).expect("a few millions")];
    let faults = page_faults();
    while sequence < total {
        let now = u64::try_from(start.elapsed().as_nanos()).expect("minutes");
        while sequence < total && due_ns(sequence + 1) <= now {
            match writer.append(header(sequence + 1), &[0x5A; 224]) {
                Ok(()) => {
                    late[usize::try_from(sequence).expect("a few millions")] =
                        (now - due_ns(sequence + 1)) as f64 / 1e3;
                    sequence += 1;
                }
                Err(AppendError::Full) => {
                    refused += 1;
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        writer.publish();
        // One core is the durability thread's: this one gives the other back between two batches.
        std::thread::sleep(Duration::from_micros(20));
    }
    let faults = page_faults() - faults;
    let mut times = waiter.join().expect("the waiter did not panic");
    let spent = start.elapsed().as_secs_f64();
    let written = written_bytes() - before;
    writer.close().expect("the journal did not stop");
    let segments = overview(directory).expect("the journal is sound").segments.len() as u64;
    // Each rotation began the zeroing of one further segment; the first two were made before.
    let zeroed = segments.saturating_sub(1) * SEGMENT_BYTES;
    let payload = (total * 256) as f64;
    let (p50_us, p99_us) = percentiles(&mut times);
    Acknowledged {
        durable_per_second: total as f64 / spent,
        p50_us,
        p99_us,
        late_us: percentiles(&mut late).0,
        bare_us: 0.0,
        written_ratio: written.saturating_sub(zeroed) as f64 / payload,
        zeroed_ratio: zeroed as f64 / payload,
        page_faults: faults,
        refused,
    }
}

fn verified_and_opened(directory: &Path, records: u64) {
    let mut writer_now = writer(directory, Durability::Async);
    let watch = writer_now.watch();
    let mut sequence = 0;
    while sequence < records {
        match writer_now.append(header(sequence + 1), &[0xA5; 96]) {
            Ok(()) => sequence += 1,
            Err(AppendError::Full) => {
                writer_now.publish();
                assert!(watch.wait_for(sequence - 100_000, LONG), "the journal did not stop");
            }
            Err(error) => panic!("{error}"),
        }
        if sequence.is_multiple_of(64) {
            writer_now.publish();
        }
    }
    writer_now.close().expect("the journal did not stop");
    for _ in 0..3 {
        let start = Instant::now();
        let verification = verify(directory, Activity::AtRest, &|_| {}).expect("the journal is sound");
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!((verification.records(), verification.findings.len()), (records, 0));
        println!(
            "verify of {records} records of 128 B: {:.2} M records/s, all processors",
            records as f64 / seconds / 1e6
        );
    }
    let start = Instant::now();
    let reopened = writer(directory, Durability::Async);
    println!("open of {records} records of 128 B: {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    reopened.close().expect("the journal did not stop");
    for (what, behind) in [("from the first", 0), ("behind a snapshot of 99 % of them", records / 100 * 99)] {
        let start = Instant::now();
        let mut reader = JournalReader::open_behind(directory, behind).expect("the journal is sound");
        while reader.next().expect("the journal is sound").is_some() {}
        println!(
            "reading {records} records of 128 B {what}: {:.0} ms, one processor",
            start.elapsed().as_secs_f64() * 1e3
        );
    }
}

fn main() {
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let given = std::env::var_os("LAKH_BENCH_DIRECTORY").map(std::path::PathBuf::from);
    let base = given.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(base).expect("the bench directory is usable");
    let number =
        |name: &str, otherwise| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let bare = Bare::create(base);
    for kib in [4, 16, 64, 256, 1_024] {
        let (p50, p99) = bare.writes_us(kib * 1_024, 500);
        println!("bare durable write of {kib:>4} KiB: {p50:.0} us p50, {p99:.0} us p99");
    }
    let size = (number("LAKH_BENCH_SECONDS", 5), number("LAKH_BENCH_ROUNDS", 3));
    let rates = std::env::var("LAKH_BENCH_RATES").unwrap_or_else(|_| "1000,10000,100000,1000000".to_owned());
    for rate in rates.split(',').map(|rate| rate.parse().expect("LAKH_BENCH_RATES is a list of numbers")) {
        acknowledgements(base, &bare, rate, size);
    }
    let large = base.join("large");
    verified_and_opened(&large, number("LAKH_BENCH_RECORDS", 3_000_000));
    std::fs::remove_dir_all(large).expect("it is ours");
}
