//! What settlement and notary cost the engine whose journal they follow.
//!
//! `cargo bench -p lakh-settlement --bench following`. As in a node: one thread journals (at `async`) and applies, another makes it
//! durable, a third replays for the chain and a fourth signs for receipts. Orders are those of the binary face, evidence
//! included; every second one trades; 500 accounts take turns.
//!
//! - **By itself**: processor time a record of either follower, on a journal that is finished.
//! - **As fast as it goes**: wall and processor time of the engine's thread for as many orders as the followers could not
//!   follow, alone and followed by turns; what is told is the median of the pairs' quotients, so that whatever else the
//!   machine does falls on both alike.
//! - **Offered**: an open loop at a venue's rates. How many were applied a second, how late (from when each was due), and how
//!   far the followers were behind.
//!
//! `-- itself`, `-- fast` and `-- offered` measure one of the three. `LAKH_BENCH_SECONDS` (2) is the length of an offered run, `LAKH_BENCH_PAIRS` (21) the number of pairs, `LAKH_BENCH_DIRECTORY` where
//! journals are written (a temporary directory; a disk in memory spares the figures the disk).
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench fails like a test, and prints")]

mod venue;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lakh_engine::ids::Sequence;
use lakh_engine::units::Timestamp;
use lakh_journal::{DurabilityWatch, Follower};
use lakh_settlement::chain::transaction::TransactionSigner;
use lakh_settlement::follower::{Progress, Replica};
use lakh_settlement::notary::{Notary, NotaryOptions};
use lakh_settlement::service::CHUNK_RECORDS;
use rustix::time::{ClockId, clock_gettime};
use thread_priority::ThreadPriority;
use thread_priority::unix::{
    NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};
use venue::{BINARY_EVIDENCE, BenchVenue, VENUE};

/// Between two looks at the journal's end, as in a node.
const REPLICA_PAUSE: Duration = Duration::from_millis(20);
const NOTARY_PAUSE: Duration = Duration::from_millis(4);
/// How long the generator of an open loop sleeps when nothing is due.
const GENERATOR_PAUSE: Duration = Duration::from_micros(200);
/// The longest that a journal may take to become durable, or a follower to get to its end.
const PATIENCE: Duration = Duration::from_secs(300);

/// How much is done, and where.
#[derive(Clone, Copy)]
struct Plan {
    /// Orders of a run that goes as fast as it can.
    orders: u64,
    pairs: usize,
    /// Orders that are followed on a finished journal.
    finished_orders: u64,
    offered: Duration,
}

impl Plan {
    /// As the bench was started: cargo says `--bench` when it measures. Anything else wants to know that it runs to its end.
    fn asked() -> Self {
        let number = |name: &str, default: u64| {
            std::env::var(name).map_or(default, |text| text.parse().expect("a number in the environment"))
        };
        if !std::env::args().any(|word| word == "--bench") {
            return Self { orders: 2_000, pairs: 1, finished_orders: 2_000, offered: Duration::from_millis(50) };
        }
        Self {
            orders: 800_000,
            pairs: usize::try_from(number("LAKH_BENCH_PAIRS", 21)).unwrap(),
            finished_orders: 300_000,
            offered: Duration::from_secs(number("LAKH_BENCH_SECONDS", 2)),
        }
    }
}

/// Processor time of this thread.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

/// How the followers share the processors.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behind {
    Nobody,
    /// With what others leave (`SCHED_IDLE`), as in a node while that is enough.
    Spare,
    /// With a small share of its own, as in a node that is late.
    Share,
}

impl Behind {
    const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "alone",
            Self::Spare => "followed in spare time",
            Self::Share => "followed with a share",
        }
    }

    fn take(self) {
        match self {
            Self::Nobody => {}
            Self::Share => rustix::process::setpriority_process(Some(rustix::thread::gettid()), 10).unwrap(),
            Self::Spare => {
                let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
                set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy).unwrap();
            }
        }
    }
}

/// Until when the followers follow, and how far they are.
struct Following {
    /// The last record, once there is one; then the followers end there.
    last: AtomicU64,
    /// They end wherever they are.
    over: AtomicBool,
    replica: AtomicU64,
    notary: AtomicU64,
}

impl Following {
    const fn new() -> Self {
        let [last, replica, notary] = [const { AtomicU64::new(0) }; 3];
        Self { last, over: AtomicBool::new(false), replica, notary }
    }

    fn ends_at(&self, sequence: u64) -> bool {
        self.over.load(Ordering::SeqCst) || self.last.load(Ordering::SeqCst) == sequence
    }

    /// How far the one that is further behind has come.
    fn reached(&self) -> u64 {
        self.replica.load(Ordering::Relaxed).min(self.notary.load(Ordering::Relaxed))
    }
}

/// Replays for the chain, as the settlement thread does; gives the processor time that it took.
fn replay(directory: &Path, following: &Following, behind: Behind) -> Duration {
    behind.take();
    let mut replica = Replica::open(directory, VENUE).unwrap();
    let begun = processor_time();
    let mut batches = Vec::new();
    loop {
        let progress = replica.advance(CHUNK_RECORDS, &mut batches).unwrap();
        let sequence = replica.engine().sequence().0;
        following.replica.store(sequence, Ordering::Relaxed);
        if following.ends_at(sequence) {
            return processor_time() - begun;
        }
        if progress == Progress::CaughtUp {
            std::thread::sleep(REPLICA_PAUSE);
        }
    }
}

/// Signs for receipts, as the notary's thread does; gives the processor time that it took.
fn notarise(directory: &Path, watch: &DurabilityWatch, following: &Following, behind: Behind) -> Duration {
    behind.take();
    let mut follower = Follower::open(directory).unwrap();
    let key = TransactionSigner::from_secret(&[3; 32]).unwrap();
    let mut notary = Notary::new(NotaryOptions { venue: VENUE, shard: 0, epoch: 1, key, behind: Sequence(0) });
    let (begun, since) = (processor_time(), Instant::now());
    loop {
        let now = Timestamp(u64::try_from(since.elapsed().as_nanos()).unwrap());
        let mut noted = 0;
        while noted < 1_024
            && let Some(record) = follower.poll().unwrap()
        {
            notary.note(&record, now);
            noted += 1;
        }
        notary.sign_if_due(Sequence(watch.stable_sequence()), now);
        following.notary.store(notary.last().0, Ordering::Relaxed);
        if following.ends_at(notary.last().0) {
            return processor_time() - begun;
        }
        if noted == 0 {
            std::thread::sleep(NOTARY_PAUSE);
        }
    }
}

/// What a run took the engine's thread.
#[derive(Clone, Copy, Default)]
struct Times {
    wall: Duration,
    processor: Duration,
}

/// Trades on a venue of its own while others follow.
fn run<T>(behind: Behind, mut venue: BenchVenue, trade: impl FnOnce(&mut BenchVenue, &Following) -> T) -> T {
    let (directory, watch, following) = (venue.directory.path().to_owned(), venue.watch(), Following::new());
    std::thread::scope(|scope| {
        if behind != Behind::Nobody {
            let (directory, watch, following) = (&directory, &watch, &following);
            let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
            named("settlement").spawn_scoped(scope, move || replay(directory, following, behind)).unwrap();
            named("notary").spawn_scoped(scope, move || notarise(directory, watch, following, behind)).unwrap();
            while following.reached() == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let outcome = trade(&mut venue, &following);
        following.over.store(true, Ordering::SeqCst);
        outcome
    })
}

/// As fast as it goes.
fn saturated(orders: u64, venue: &mut BenchVenue) -> Times {
    let (wall, processor) = (Instant::now(), processor_time());
    (0..orders).for_each(|number| venue.order(number));
    Times { wall: wall.elapsed(), processor: processor_time() - processor }
}

/// Runs in pairs, alone and followed, and what the median pair says of both times.
fn compare(plan: &Plan, venue: &dyn Fn() -> BenchVenue, behind: Behind) {
    let times = |behind| run(behind, venue(), |venue, _| saturated(plan.orders, venue));
    let pair = |pair: usize| {
        // Who comes first takes turns too.
        if pair.is_multiple_of(2) {
            let alone = times(Behind::Nobody);
            [alone, times(behind)]
        } else {
            let followed = times(behind);
            [times(Behind::Nobody), followed]
        }
    };
    let pairs: Vec<[Times; 2]> = (0..plan.pairs).map(pair).collect();
    let told = |what: &str, of: fn(&Times) -> Duration| {
        let quotient = |[alone, followed]: &[Times; 2]| of(followed).as_secs_f64() / of(alone).as_secs_f64();
        let mut quotients: Vec<f64> = pairs.iter().map(quotient).collect();
        quotients.sort_unstable_by(f64::total_cmp);
        let mut alone: Vec<Duration> = pairs.iter().map(|[alone, _]| of(alone)).collect();
        alone.sort_unstable();
        let percent = |place: usize| (quotients[place] - 1.0) * 100.0;
        let (median, count) = (alone[plan.pairs / 2], plan.pairs);
        println!(
            "  {}, {what}: alone {:.1} ms ({:.2} M orders/s), {:+.1} % (median of {count} pairs, middle half {:+.1} to {:+.1})",
            behind.name(),
            median.as_secs_f64() * 1e3,
            plan.orders as f64 / median.as_secs_f64() / 1e6,
            percent(count / 2),
            percent(count / 4),
            percent(count - 1 - count / 4),
        );
    };
    told("wall time", |times| times.wall);
    told("processor time", |times| times.processor);
}

/// An open loop: orders at their times, whatever the venue does.
fn offered(plan: &Plan, base: &Path, rate: u64, behind: Behind) {
    let orders = rate * u64::try_from(plan.offered.as_millis()).unwrap() / 1_000;
    let (times, mut late, lags) = run(behind, BenchVenue::new(base, BINARY_EVIDENCE), |venue, following| {
        let mut late = Vec::with_capacity(usize::try_from(orders).unwrap());
        let mut lags = Vec::with_capacity(usize::try_from(orders).unwrap());
        let (begun, processor) = (Instant::now(), processor_time());
        let mut done = 0;
        while done < orders {
            let elapsed = begun.elapsed();
            let due = (u64::try_from(elapsed.as_nanos()).unwrap() / 1_000 * rate / 1_000_000).min(orders);
            if due == done {
                std::thread::sleep(GENERATOR_PAUSE);
                continue;
            }
            // Looks at the clock a few dozen orders apart: that is what a look costs.
            for number in done..due.min(done + 32) {
                venue.order(number);
            }
            let now = begun.elapsed().as_nanos();
            for number in done..due.min(done + 32) {
                let due_at = u128::from(number) * 1_000_000_000 / u128::from(rate);
                late.push(u64::try_from(now.saturating_sub(due_at) / 1_000).unwrap());
            }
            done = due.min(done + 32);
            lags.push(venue.sequence().saturating_sub(following.reached()));
        }
        (Times { wall: begun.elapsed(), processor: processor_time() - processor }, late, lags)
    });
    late.sort_unstable();
    let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize];
    println!(
        "  {rate} orders/s, {}: {:.0}/s applied, late p50 {} / p99 {} / p99.9 {} / max {} us, processor {:.0} ns an order{}",
        behind.name(),
        orders as f64 / times.wall.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        times.processor.as_nanos() as f64 / orders as f64,
        match behind {
            Behind::Nobody => String::new(),
            _ => format!(", at most {} records behind", lags.iter().max().unwrap()),
        },
    );
}

/// What each follower costs a record, on a journal that is finished.
fn by_itself(plan: &Plan, base: &Path) {
    let mut venue = BenchVenue::new(base, BINARY_EVIDENCE);
    let setup = venue.sequence();
    (0..plan.finished_orders).for_each(|number| venue.order(number));
    let (last, bytes, watch) = (venue.sequence(), venue.record_bytes(), venue.watch());
    assert!(watch.wait_for(last, PATIENCE));
    venue.close();
    let following = Following::new();
    following.last.store(last, Ordering::SeqCst);
    let directory = venue.directory.path();
    println!(
        "By itself, processor time a record of {bytes} bytes ({} records, {setup} of them before the orders)",
        last
    );
    let told = |what: &str, follow: &dyn Fn() -> Duration| {
        let mut times: Vec<Duration> = (0..plan.pairs.min(5)).map(|_| follow()).collect();
        times.sort_unstable();
        println!(
            "  {what}: {:.0} ns (median of {})",
            times[times.len() / 2].as_nanos() as f64 / last as f64,
            times.len()
        );
    };
    told("reading alone", &|| {
        let begun = processor_time();
        let mut follower = Follower::open(directory).unwrap();
        while follower.poll().unwrap().is_some() {}
        processor_time() - begun
    });
    told("settlement's replica", &|| replay(directory, &following, Behind::Nobody));
    told("notary", &|| notarise(directory, &watch, &following, Behind::Nobody));
}

fn main() {
    let plan = Plan::asked();
    let base = std::env::var("LAKH_BENCH_DIRECTORY").map_or_else(|_| std::env::temp_dir(), Into::into);
    let sections = ["itself", "fast", "offered"];
    let named: Vec<String> = std::env::args().filter(|word| sections.contains(&word.as_str())).collect();
    let is_wanted = |section: &str| named.is_empty() || named.iter().any(|name| name == section);
    if is_wanted("itself") {
        by_itself(&plan, &base);
    }
    if is_wanted("fast") {
        for (what, evidence) in [("with their evidence", BINARY_EVIDENCE), ("without evidence", &[])] {
            println!("As fast as it goes, {} orders a run, {what}", plan.orders);
            let venue = || BenchVenue::new(&base, evidence);
            compare(&plan, &venue, Behind::Spare);
            compare(&plan, &venue, Behind::Share);
        }
    }
    if is_wanted("offered") {
        println!("Offered, {:?} a run", plan.offered);
        for rate in [100_000, 500_000] {
            for behind in [Behind::Nobody, Behind::Spare, Behind::Share] {
                offered(&plan, &base, rate, behind);
            }
        }
    }
}
