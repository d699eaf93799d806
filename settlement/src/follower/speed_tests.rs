//! What following costs whom it follows: wall time and processor time of the thread that journals and applies, alone and
//! with replica and notary behind it on a thread of the lowest priority, as in a node.
//!
//! Runs come in pairs, alone and followed by turns, and what is told is the median of the pairs' quotients, so that
//! whatever else the machine does falls on both alike. Orders come twenty times as fast as they can be followed, so the
//! follower works all the time and is let go of at the end; in the last run it has to follow all of it. The figures are
//! printed; they are held to nothing here but to that. Optimised, a run is long enough to be measured:
//! `cargo test --release -p lakh-settlement --lib -- --ignored what_following --nocapture`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lakh_engine::command::{EvidenceGrade, Operation, ReplayGuard, Side, SignedCommand};
use lakh_engine::ids::{AccountId, KeyId};
use thread_priority::ThreadPriority;
use thread_priority::unix::{
    NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};

use super::*;
use crate::chain::transaction::TransactionSigner;
use crate::notary::{Notary, NotaryOptions};
use crate::test_venue::{START_SECONDS, TestVenue, order};

/// Orders of one run; every second one trades.
const ORDERS: u64 = if cfg!(debug_assertions) { 20_000 } else { 500_000 };
const PAIRS: usize = if cfg!(debug_assertions) { 5 } else { 41 };
/// Room for all of them, so that nobody waits for the disk.
const RING_BYTES: usize = 1 << 27;
const NOW: Timestamp = Timestamp(START_SECONDS * 1_000_000_000);
const VENUE: Venue = Venue { chain_id: 31_337, contract: Address([0xc0; 20]) };

/// Processor time of this thread, as Linux tells it.
fn processor_time() -> Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(statistics.split(' ').next().unwrap().parse().unwrap())
}

/// Whether anybody follows, and how far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behind {
    Nobody,
    /// Until the last order is taken, as nice as a thread can be.
    Nice,
    /// The same with nothing but what others leave of the cores (`SCHED_IDLE`).
    SpareTime,
    /// As nice as a thread can be, until the last order is followed.
    NiceToTheEnd,
}

/// Two traders with money and keys.
fn venue() -> TestVenue {
    use lakh_engine::command::ChainEntryKind::{Deposit, RegisterKey};
    let mut venue = TestVenue::with_ring(VENUE, NOW, RING_BYTES);
    for (kind, account, asset, amount) in
        [(Deposit, 1, 0, 1 << 40), (Deposit, 2, 1, 1 << 40), (RegisterKey, 1, 0, 0), (RegisterKey, 2, 0, 0)]
    {
        let entry = venue.entry(kind, account, asset, amount);
        venue.submit(&Command::ChainEntry(entry), NOW);
    }
    for number in [1, 2] {
        venue.sign(number, number, Operation::ActivateKey, NOW);
    }
    venue
}

/// What one run took the thread that journals and applies.
#[derive(Clone, Copy)]
struct Times {
    wall: Duration,
    processor: Duration,
    /// What the thread behind it used until it had followed everything.
    follower: Duration,
}

fn trade(venue: &mut TestVenue) -> Times {
    let mut room = (Vec::new(), Vec::with_capacity(Engine::MAX_EVENTS));
    let (wall, processor) = (Instant::now(), processor_time());
    for nonce in 0..ORDERS {
        let (number, side) = if nonce % 2 == 0 { (1, Side::Ask) } else { (2, Side::Bid) };
        let command = Command::Signed(SignedCommand {
            account: AccountId(number),
            key: KeyId(number),
            grade: EvidenceGrade::Native,
            replay_guard: ReplayGuard::Nonce { nonce: 1_000 + nonce },
            valid_until: Timestamp::ZERO,
            operation: order(side, 100, 1),
        });
        venue.submit_at_once(&command, NOW, &mut room);
    }
    assert!(room.1.iter().any(|event| matches!(event, Event::Trade(_))), "{:?}", room.1);
    Times { wall: wall.elapsed(), processor: processor_time() - processor, follower: Duration::ZERO }
}

/// Follows until told that nothing more comes, or until there is nothing more; the last record, and the processor time that it
/// took.
fn follow(venue: (&Path, &lakh_journal::DurabilityWatch), over: &AtomicBool, behind: Behind) -> (u64, Duration) {
    let (directory, watch) = venue;
    if behind == Behind::SpareTime {
        let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy).unwrap();
    } else {
        rustix::process::setpriority_process(Some(rustix::thread::gettid()), 19).unwrap();
    }
    let mut replica = Replica::open(directory, VENUE).unwrap();
    let mut follower = Follower::open(directory).unwrap();
    let key = TransactionSigner::from_secret(&[3; 32]).unwrap();
    let options = NotaryOptions { venue: VENUE, shard: 0, epoch: 1, key, behind: Sequence(0) };
    let (mut notary, mut batches, begun) = (Notary::new(options), Vec::new(), Instant::now());
    loop {
        let was_over = over.load(Ordering::SeqCst);
        let progress = replica.advance(512, &mut batches).unwrap();
        let now = Timestamp(u64::try_from(begun.elapsed().as_nanos()).unwrap());
        let mut noted = 0;
        while noted < 512
            && let Some(record) = follower.poll().unwrap()
        {
            notary.note(&record, now);
            noted += 1;
        }
        notary.sign_if_due(Sequence(watch.stable_sequence()), now);
        match (progress, noted) {
            _ if was_over && behind != Behind::NiceToTheEnd => break,
            (Progress::CaughtUp, 0) if was_over => break,
            (Progress::CaughtUp, 0) => std::thread::sleep(Duration::from_millis(1)),
            _ => {}
        }
    }
    (replica.engine().sequence().0, processor_time())
}

fn run(behind: Behind) -> Times {
    let mut venue = venue();
    let (directory, watch, over) = (venue.directory.path().to_owned(), venue.watch(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let follower = (behind != Behind::Nobody).then(|| scope.spawn(|| follow((&directory, &watch), &over, behind)));
        let mut times = trade(&mut venue);
        let last = venue.engine.sequence().0;
        assert!(watch.wait_for(last, Duration::from_secs(60)));
        over.store(true, Ordering::SeqCst);
        if let Some(follower) = follower {
            let (followed, processor) = follower.join().unwrap();
            assert!(followed == last || behind != Behind::NiceToTheEnd, "followed to {followed} of {last}");
            times.follower = processor;
        }
        times
    })
}

#[test]
#[ignore = "a measurement, for a quiet machine: cargo nextest run -p lakh-settlement --run-ignored only what_following"]
fn what_following_costs_is_printed_and_all_is_followed() {
    println!("{ORDERS} orders");
    measure("as nice as can be", Behind::Nice);
    measure("in spare time only", Behind::SpareTime);
    println!("to follow all of it took {:?} of processor time", run(Behind::NiceToTheEnd).follower);
}

/// Runs in pairs, alone and followed, and what the median pair says of both times.
fn measure(how: &str, behind: Behind) {
    let pair = |pair: usize| {
        // Who comes first takes turns too.
        let first = run(if pair.is_multiple_of(2) { Behind::Nobody } else { behind });
        let second = run(if pair.is_multiple_of(2) { behind } else { Behind::Nobody });
        if pair.is_multiple_of(2) { [first, second] } else { [second, first] }
    };
    let pairs: Vec<[Times; 2]> = (0..PAIRS).map(pair).collect();
    let told = |what: &str, of: fn(&Times) -> Duration| {
        let mut quotients: Vec<f64> =
            pairs.iter().map(|[alone, followed]| of(followed).as_secs_f64() / of(alone).as_secs_f64()).collect();
        quotients.sort_unstable_by(f64::total_cmp);
        let mut alone: Vec<Duration> = pairs.iter().map(|[alone, _]| of(alone)).collect();
        alone.sort_unstable();
        let percent = |place: usize| (quotients[place] - 1.0) * 100.0;
        println!(
            "{how}, {what}: alone {:?} (median), followed {:+.1} % (median of {PAIRS} pairs, the middle half {:+.1} to {:+.1} %)",
            alone[PAIRS / 2],
            percent(PAIRS / 2),
            percent(PAIRS / 4),
            percent(PAIRS - 1 - PAIRS / 4),
        );
    };
    told("wall time", |times| times.wall);
    told("processor time of the engine's thread", |times| times.processor);
}
