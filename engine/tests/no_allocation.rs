//! After the start nothing on the matching thread allocates: not an order, a trade, a cancel, a digest, a mass cancel or
//! an entry of the chain.
//!
//! A counting allocator stands in front of the system's; it counts per thread, since the test harness has its own.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use lakh_engine::command::{
    CancelAll, CancelOrder, Command, EvidenceGrade, FrameCommand, FrameOperation, MarketState, Operation,
    OrderReference, ReplayGuard, Side, SignedCommand,
};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, KeyId, OrderId, Sequence};
use lakh_engine::units::Timestamp;

use support::random::{self, Random};
use support::venue::{START, deposit_entry, register_entry, revoke_entry, withdrawal_entry};
use support::{BTCUSD, Options, Venue};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    // A thread that ends may free and take memory after its cells are gone; that is none of ours.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call is handed on unchanged to the system's allocator, which keeps the contract; counting touches only a
// thread-local cell that is initialised at compile time, so it neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `alloc`'s contract, which is the system's as well.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: `memory` came from the system's allocator with this layout, as all of ours does.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: as for `dealloc`; the new size is the caller's to keep legal.
        unsafe { System.realloc(memory, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

/// Random orders, cancels and mass cancels of three accounts, by nonce and by digest.
fn commands(seed: u64, first: u64, count: u64) -> Vec<(Timestamp, Command)> {
    let mut random = Random(seed);
    let mut commands = Vec::new();
    for sequence in first..first + count {
        let now = Timestamp(START.0 + sequence * 20_000_000);
        let account = AccountId(1 + u32::try_from(random.below(3)).expect("small"));
        let operation = match random.below(100) {
            0..70 => Operation::PlaceOrder(random::place(&mut random, BTCUSD, now)),
            70..99 => Operation::CancelOrder(CancelOrder {
                market: BTCUSD,
                target: OrderReference::OrderId(OrderId::new(
                    Sequence(sequence.saturating_sub(1 + random.below(30))),
                    0,
                )),
            }),
            _ => Operation::CancelAll(CancelAll { market: None, side: random.pick(&[None, Some(Side::Ask)]) }),
        };
        let mut digest = [0; 16];
        digest[..8].copy_from_slice(&sequence.to_le_bytes());
        let replay_guard = match random.below(2) {
            0 => ReplayGuard::Nonce { nonce: sequence },
            _ => ReplayGuard::Digest { digest, signed_at: now, receive_window_ms: 5_000 },
        };
        let (key, grade, valid_until) = (KeyId(account.0), EvidenceGrade::Native, Timestamp::ZERO);
        if let (0, Operation::PlaceOrder(order)) = (sequence % 16, operation) {
            let cancel = CancelOrder {
                market: BTCUSD,
                target: OrderReference::OrderId(OrderId::new(Sequence(sequence - 1), 0)),
            };
            let operations = [FrameOperation::PlaceOrder(order), FrameOperation::CancelOrder(cancel)].into();
            commands.push((
                now,
                Command::Frame(FrameCommand { account, key, grade, replay_guard, valid_until, operations }),
            ));
            continue;
        }
        commands
            .push((now, Command::Signed(SignedCommand { account, key, grade, replay_guard, valid_until, operation })));
    }
    commands
}

#[test]
fn nothing_allocates_after_the_start() {
    let mut options = Options { max_orders: 4_096, max_levels: 64, digest_capacity: 2_000, ..Options::default() };
    options.capacities.digests = 8_000;
    let venue = Venue::with(options);
    assert_eq!(venue.engine.book(BTCUSD).expect("listed").state(), MarketState::Open);
    let mut engine = venue.engine;
    let first = engine.sequence().0 + 1;
    let commands = commands(random::seed("no allocation"), first, 100_000);
    let mut events: Vec<Event> = Vec::with_capacity(lakh_engine::Engine::MAX_EVENTS);
    let (mut trades, mut rejects) = (0_u32, 0_u32);
    let before = allocations();
    let mut extra = 0;
    for ((now, command), sequence) in commands.iter().zip(first..) {
        engine.apply(Sequence(sequence + extra), *now, command, &mut events);
        // What stands in the agenda, and what is due, is worked off as the sequencer does it.
        while engine.agenda_pending() || engine.next_deadline().is_some_and(|deadline| deadline <= *now) {
            let next = if engine.agenda_pending() { Command::Continue } else { Command::AdvanceTime };
            extra += 1;
            engine.apply(Sequence(sequence + extra), *now, &next, &mut events);
        }
        for event in &events {
            trades += u32::from(matches!(event, Event::Trade(_)));
            rejects += u32::from(matches!(event, Event::Rejected(_)));
        }
        assert_eq!(allocations(), before, "{command:?} allocated");
    }
    assert!(trades > 10_000 && rejects < 70_000, "{trades} trades and {rejects} rejects prove little");
    // The allocator does count, or all of this would prove nothing.
    drop(engine.snapshot());
    assert!(allocations() > before);
}

#[test]
fn a_mass_cancel_and_a_sweep_do_not_allocate() {
    let mut venue = Venue::with(Options { max_orders: 8_192, ..Options::default() });
    for index in 0..2_500 {
        venue.placed(support::A, support::bid(50 + index % 20, 1));
        venue.placed(support::B, support::ask(100 + index % 5, 1));
    }
    let cancel = venue.signed(support::A, Operation::CancelAll(CancelAll { market: None, side: None }));
    let sweep = venue.signed(support::C, Operation::PlaceOrder(support::bid(104, 2_500).0));
    let mut events: Vec<Event> = Vec::with_capacity(lakh_engine::Engine::MAX_EVENTS);
    let mut engine = venue.engine;
    let before = allocations();
    for command in [Command::Signed(sweep), Command::Signed(cancel), Command::Continue, Command::Continue] {
        let sequence = Sequence(engine.sequence().0 + 1);
        engine.apply(sequence, venue.now, &command, &mut events);
        assert!(events.len() > 400, "{command:?} did little");
        assert_eq!(allocations(), before, "{command:?} allocated");
    }
    assert!(!engine.agenda_pending());
}

#[test]
fn what_comes_from_the_chain_does_not_allocate() {
    let mut venue = Venue::new();
    let mut events: Vec<Event> = Vec::with_capacity(lakh_engine::Engine::MAX_EVENTS);
    let fourth = AccountId(4);
    let entries = [
        deposit_entry(fourth, support::USD, 500),
        deposit_entry(fourth, lakh_engine::ids::AssetId(9), 500),
        register_entry(fourth, 20, 1_800_000_000),
        revoke_entry(fourth, 20),
        withdrawal_entry(fourth, support::USD, 500),
        withdrawal_entry(fourth, support::USD, 1),
    ];
    for entry in entries {
        let commands = [
            Command::ChainEntry(venue.next_entry(entry)),
            Command::BatchSealed(venue.next_batch(venue.engine.sequence())),
        ];
        for command in commands {
            let sequence = Sequence(venue.engine.sequence().0 + 1);
            let before = allocations();
            venue.engine.apply(sequence, venue.now, &command, &mut events);
            assert_eq!(allocations(), before, "{command:?} allocated");
            assert_eq!(support::venue::rejection(&events), None, "{command:?}");
        }
    }
    assert_eq!((venue.engine.last_queue_id(), venue.engine.last_batch().0), (6, 6));
}
