//! The same commands give the same bytes, whoever applies them and wherever they start from.
//!
//! Two engines, and an engine restored from a snapshot at any point, say the same events byte for byte and have the same
//! hashes. Asking memory ahead changes nothing. A snapshot's decoding is total: whatever the bytes, it gives an engine or
//! an error and never panics.

mod support;

use lakh_engine::Engine;
use lakh_engine::codec::{DecodeError, encode_event};
use lakh_engine::command::{
    AdminAction, AmendOrder, CancelAll, CancelOrder, CancelRestriction, Command, EvidenceGrade, Operation,
    OrderReference, PlaceOrder, RegisterKey, ReplaceMode, ReplaceOrder, ReplayGuard, Side, SignedCommand,
};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, ClientId, KeyId, MarketId, OrderId, Sequence};
use lakh_engine::units::{Lots, Ticks, Timestamp};

use support::random::{self, Random};
use support::venue::{SECOND, public_key};
use support::{A, Options, Venue, bid};

/// What one command gave: its events' bytes and the digest so far.
type Step = (Vec<u8>, [u8; 32]);

/// Applies one command of a journal.
fn apply(engine: &mut Engine, (now, command): &(Timestamp, Command), events: &mut Vec<Event>) -> Step {
    engine.apply(Sequence(engine.sequence().0 + 1), *now, command, events);
    let mut bytes = Vec::new();
    events.iter().for_each(|event| encode_event(event, &mut bytes));
    (bytes, engine.event_digest())
}

/// A journal of random commands, with every table in use.
fn journal(seed: u64, commands: u32) -> Venue {
    let mut random = Random(seed);
    let mut venue = Venue::with(Options { deposit: 60_000, ..Options::default() });
    for _ in 0..commands {
        venue.wait(random.below(200_000_000));
        let command = random::command(&mut random, &venue);
        venue.apply(command);
    }
    venue
}

#[test]
fn two_engines_say_the_same() {
    let venue = journal(random::seed("determinism, two engines"), 4_000);
    let (mut first, mut second) = (Engine::new(), Engine::new());
    let (mut first_events, mut second_events) = (Vec::new(), Vec::with_capacity(Engine::MAX_EVENTS));
    for record in &venue.journal {
        let step = apply(&mut first, record, &mut first_events);
        assert_eq!(apply(&mut second, record, &mut second_events), step, "{record:?}");
    }
    assert_eq!(first.state_hash(), second.state_hash());
    assert_eq!(first.snapshot(), venue.engine.snapshot());
    assert_eq!(first.event_digest(), venue.engine.event_digest());
}

#[test]
fn a_state_is_hashed_piece_by_piece_like_all_of_its_bytes() {
    let mut venue = Venue::with(Options { max_orders: 8_192, deposit: 1_000_000, ..Options::default() });
    let hash_at_once = |venue: &Venue| *blake3::hash(&venue.engine.snapshot()).as_bytes();
    assert_eq!(venue.engine.state_hash(), hash_at_once(&venue));
    let mut bytes = 0;
    for index in 0..3_000 {
        venue.placed(A, bid(10 + index % 7, 1));
        let before = std::mem::replace(&mut bytes, venue.engine.snapshot().len());
        // Where a piece has just become full, and now and then.
        if before / 0x1_0000 != bytes / 0x1_0000 || index % 100 == 0 {
            assert_eq!(venue.engine.state_hash(), hash_at_once(&venue), "{bytes} bytes");
        }
    }
    assert!(bytes > 0x2_0000, "{bytes} bytes are more than two pieces");
}

#[test]
fn an_engine_restored_anywhere_goes_on_alike() {
    let seed = random::seed("determinism, restored engines");
    let venue = journal(seed, 1_500);
    let mut random = Random(seed ^ 1);
    let mut original = Engine::new();
    let mut events = Vec::new();
    // The engine that is restored again and again, each time from its own last state.
    let mut relay = Engine::new();
    for (index, record) in venue.journal.iter().enumerate() {
        let step = apply(&mut original, record, &mut events);
        assert_eq!(apply(&mut relay, record, &mut events), step, "record {index}: {record:?}");
        assert_eq!(relay.next_deadline(), original.next_deadline(), "record {index}");
        if random.once_in(3) {
            let snapshot = original.snapshot();
            relay = Engine::from_snapshot(&snapshot).expect("a snapshot is a snapshot");
            assert_eq!(relay.snapshot(), snapshot, "record {index}: what was restored is what was there");
            assert_eq!(relay.state_hash(), original.state_hash());
            assert_eq!(relay.event_digest(), original.event_digest());
        }
    }
    assert!(original.event_digest() != Engine::new().event_digest());
}

#[test]
fn a_restored_agenda_goes_on_alike() {
    let mut venue = Venue::with(Options { max_orders: 3_000, ..Options::default() });
    for index in 0..2_500 {
        venue.placed(A, if index % 3 == 0 { support::ask(200, 1) } else { bid(10 + index % 7, 1) });
    }
    venue.cancel_all(A, None, Some(lakh_engine::command::Side::Bid));
    drain_alike(venue);
}

#[test]
fn a_restored_cascade_goes_on_alike() {
    let mut venue = Venue::with(Options { max_orders: 8_192, ..Options::default() });
    venue.placed(support::B, bid(90, 10_000));
    for index in 0..2_000 {
        let trigger = 95 + index % 3;
        venue.placed(A, support::ask(90 + index % 2, 1).stop(trigger).until(60 + index));
    }
    venue.placed(support::C, support::ask(90, 1));
    drain_alike(venue);
}

#[test]
fn restored_ends_go_on_alike() {
    let mut venue = Venue::with(Options { max_orders: 4_096, ..Options::default() });
    for index in 0..2_500 {
        venue.placed(A, bid(10 + index % 7, 1).until(1 + index % 5));
    }
    venue.wait(9 * SECOND);
    venue.must(Command::AdvanceTime);
    drain_alike(venue);
}

/// Continues an agenda to its end, each time by an engine restored just before it too.
fn drain_alike(mut venue: Venue) {
    assert!(venue.engine.agenda_pending());
    let mut events = Vec::new();
    for part in 0.. {
        if !venue.engine.agenda_pending() {
            break;
        }
        assert!(part < 100, "an agenda comes to its end");
        let mut restored = Engine::from_snapshot(&venue.engine.snapshot()).expect("a snapshot");
        let record = (venue.now, Command::Continue);
        let step = apply(&mut restored, &record, &mut events);
        venue.must(Command::Continue);
        assert_eq!(restored.state_hash(), venue.engine.state_hash());
        assert_eq!(step.1, venue.engine.event_digest());
    }
}

#[test]
fn revoked_keys_do_not_come_back_as_deadlines() {
    let mut venue = Venue::new();
    let expires_at = Timestamp(venue.now.0 + SECOND);
    let key = RegisterKey { account: A, public_key: public_key(20), epoch: 2, expires_at, digest_capacity: 1 };
    let key = venue.register_key(key).expect("a new key");
    venue.admin(AdminAction::RevokeKey { key });
    venue.wait(2 * SECOND);
    venue.must(Command::AdvanceTime);
    let restored = Engine::from_snapshot(&venue.engine.snapshot()).expect("a snapshot");
    assert_eq!(restored.next_deadline(), None);
    assert_eq!(venue.engine.next_deadline(), None);
}

#[test]
fn the_hash_tells_states_apart() {
    let hash = |venue: &Venue| venue.engine.state_hash();
    let mut venue = Venue::new();
    let mut seen = vec![hash(&venue)];
    for command in [Command::AdvanceTime, Command::AdvanceTime, Command::Continue] {
        venue.apply(command);
        seen.push(hash(&venue));
    }
    let order = venue.placed(A, bid(100, 1));
    seen.push(hash(&venue));
    venue.cancel(A, order);
    seen.push(hash(&venue));
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 6, "each sequence is a state of its own");
}

/// A small state in which every section of the snapshot has entries.
fn rich() -> Vec<u8> {
    let mut options = Options { max_orders: 1_100, ..Options::default() };
    options.capacities.keys = 5;
    let mut venue = Venue::with(options);
    let mut random = Random(7);
    for _ in 0..60 {
        venue.wait(random.below(100_000_000));
        let command = random::command(&mut random, &venue);
        venue.apply(command);
    }
    venue.cancel_all(support::B, None, None);
    while venue.engine.book(support::BTCUSD).expect("listed").order_count() < 1_030 {
        venue.placed(A, bid(10, 1));
    }
    venue.cancel_all(A, None, None);
    assert!(venue.engine.agenda_pending());
    venue.engine.snapshot()
}

#[test]
fn a_cut_snapshot_is_an_error_wherever_it_is_cut() {
    let snapshot = rich();
    assert!(Engine::from_snapshot(&snapshot).is_ok());
    // Sections that are empty are left out, so a cut between two sections may be a snapshot of a smaller state.
    let whole = |length: &usize| Engine::from_snapshot(&snapshot[..*length]).is_ok();
    let accepted: Vec<usize> = (0..snapshot.len()).filter(whole).collect();
    assert!(accepted.len() <= 7, "{accepted:?} of {}", snapshot.len());
    let mut longer = snapshot.clone();
    longer.push(0);
    assert!(matches!(Engine::from_snapshot(&longer), Err(DecodeError::TrailingBytes)));
}

#[test]
fn a_damaged_snapshot_never_panics() {
    let snapshot = rich();
    let capacities = capacity_bytes(&snapshot);
    let mut random = Random(random::seed("determinism, damaged snapshots"));
    let mut accepted = 0;
    for _ in 0..20_000 {
        let mut damaged = snapshot.clone();
        for _ in 0..=random.below(3) {
            // Mostly behind the genesis' capacities: what stands before them is mostly only bytes.
            let first = if random.once_in(10) { 0 } else { capacities[0].end };
            let at = first + usize::try_from(random.below((damaged.len() - first) as u64)).expect("an index");
            let width = random.pick(&[1, 1, 1, 4, 8]).min(damaged.len() - at);
            // Capacities are legal up to sizes that would take all of the machine's memory.
            if capacities.iter().any(|range| at < range.end && range.start < at + width) {
                continue;
            }
            let flipped = damaged[at] ^ (1 << random.below(8));
            let byte = random.pick(&[flipped, flipped, 0, 0xff, damaged[at].wrapping_add(1)]);
            damaged[at..at + width].fill(byte);
        }
        accepted += u32::from(Engine::from_snapshot(&damaged).is_ok());
    }
    println!("{accepted} of 20000 damaged snapshots are snapshots still");
    assert!(accepted > 0 && accepted < 20_000);
}

/// Where the snapshot says how large its tables are: the genesis' capacities and each market's bounds.
fn capacity_bytes(snapshot: &[u8]) -> Vec<std::ops::Range<usize>> {
    // Magic, format, sequence, time, epoch, what was passed over and event digest; then the first section's tag.
    let genesis = 4 + 1 + 8 + 8 + 4 + 8 + 16 + 1;
    let capacities = genesis + 16 + 16 + 1 + 8;
    assert_eq!(snapshot[capacities..capacities + 4], 8_u32.to_le_bytes(), "accounts of `Options::default`");
    let markets = [b"\x06BTCUSD", b"\x06ETHUSD"].map(|name| {
        let market = snapshot.windows(7).position(|window| window == name).expect("the market is there");
        // Behind the name: assets, sizes, bounds, fees; then max_orders and max_levels.
        let bounds = market + 7 + 4 + 3 * 8 + 4 * 8 + 3 * 4;
        assert_eq!(snapshot[bounds..bounds + 4], 1_100_u32.to_le_bytes());
        bounds..bounds + 8
    });
    std::iter::once(capacities..capacities + 24).chain(markets).collect()
}

#[test]
fn capacities_beyond_their_bounds_are_refused() {
    let snapshot = rich();
    for range in capacity_bytes(&snapshot) {
        for at in [range.start + 3, range.end - 1] {
            let mut damaged = snapshot.clone();
            damaged[at] = 0x7f;
            assert!(Engine::from_snapshot(&damaged).is_err(), "byte {at}");
        }
    }
}

/// What names nothing: accounts, keys, markets, assets and orders beyond every table, and prices at their ends.
fn hostile_commands() -> Vec<Command> {
    let ids = [OrderReference::OrderId(OrderId(u64::MAX)), OrderReference::ClientId(ClientId::EMPTY)];
    let prices = [Ticks(0), Ticks(1), Ticks(u64::MAX)];
    let markets = [MarketId(0), MarketId(u16::MAX)];
    let mut operations = vec![Operation::Logon, Operation::ActivateKey];
    for market in markets {
        operations.push(Operation::CancelAll(CancelAll { market: Some(market), side: None }));
        let sides = [Side::Bid, Side::Ask];
        for (price, (target, side)) in
            prices.iter().flat_map(|price| ids.into_iter().zip(sides).map(move |one| (*price, one)))
        {
            let order = PlaceOrder { market, side, price, ..bid(1, u64::MAX).0 };
            operations.push(Operation::PlaceOrder(order));
            operations.push(Operation::CancelOrder(CancelOrder { market, target }));
            operations.push(Operation::AmendOrder(AmendOrder::less(market, target, Lots(u64::MAX))));
            let (restriction, mode) = (CancelRestriction::None, ReplaceMode::StopOnFailure);
            operations.push(Operation::ReplaceOrder(ReplaceOrder { target, restriction, mode, order }));
        }
    }
    let numbers = [(AccountId(0), KeyId(0)), (AccountId(u32::MAX), KeyId(u32::MAX)), (AccountId(1), KeyId(1))];
    let digest =
        ReplayGuard::Digest { digest: [0xff; 16], signed_at: Timestamp(u64::MAX), receive_window_ms: u32::MAX };
    let guards = [digest, ReplayGuard::Nonce { nonce: u64::MAX }];
    let mut commands = vec![Command::Continue, Command::AdvanceTime];
    for ((account, key), replay_guard) in numbers.into_iter().flat_map(|number| guards.map(|guard| (number, guard))) {
        for operation in &operations {
            let (grade, valid_until) = (EvidenceGrade::default(), Timestamp::ZERO);
            let signed = SignedCommand { account, key, grade, replay_guard, valid_until, operation: *operation };
            commands.push(Command::Signed(signed));
        }
    }
    commands
}

#[test]
fn who_asks_memory_ahead_has_the_same_engine() {
    let seed = random::seed("determinism, asked ahead");
    let venue = journal(seed, 2_000);
    let mut random = Random(seed ^ 1);
    let hostile = hostile_commands();
    let (mut plain, mut asked) = (Engine::new(), Engine::new());
    let (mut plain_events, mut asked_events) = (Vec::new(), Vec::new());
    for (index, record) in venue.journal.iter().enumerate() {
        // What comes next, more than is looked at, and what will never come.
        let next = venue.journal[index..].iter().take(20).map(|(_, command)| command);
        let strange = std::iter::repeat_with(|| &hostile[random.below(hostile.len() as u64) as usize]).take(8);
        let commands: Vec<&Command> = if index % 2 == 0 { next.collect() } else { strange.chain(next).collect() };
        let before = asked.snapshot();
        asked.prefetch(commands.iter().copied());
        assert!(asked.snapshot() == before, "record {index}: asking changes nothing");
        let step = apply(&mut plain, record, &mut plain_events);
        assert_eq!(apply(&mut asked, record, &mut asked_events), step, "record {index}: {record:?}");
    }
    let all: Vec<&Command> = hostile.iter().collect();
    all.chunks(Engine::PREFETCH_MAX).for_each(|commands| asked.prefetch(commands.iter().copied()));
    Engine::new().prefetch(all.iter().copied());
    assert_eq!(asked.state_hash(), plain.state_hash());
}
