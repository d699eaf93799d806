//! The settlement contract's queue, keys that come through it, and the batches that answer it.

use lakh_engine::Engine;
use lakh_engine::command::{
    BatchSealed, ChainEntry, ChainEntryKind, Command, EvidenceGrade, Genesis, Operation, ReplayGuard,
    SettlementBinding, SignedCommand,
};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, KeyId, Sequence};
use lakh_engine::reject::RejectCode::{
    AccountBlocked, AccountUnknown, AmountOutOfRange, BadSpecification, KeyBoundBefore, KeyExpired, KeyOfOtherAccount,
    KeyPending, KeyRevoked, KeyUnknown, NotAuthorised, TableFull, WrongAccount, WrongBatch, WrongKeyEpoch,
    WrongQueueId, WrongQueuePrefix,
};
use lakh_engine::units::{Atoms, Timestamp};

use crate::support::venue::{
    SECOND, SETTLEMENT, START, deposit_entry, genesis, public_key, refusal, register_entry, rejection, revoke_entry,
    withdrawal_entry,
};
use crate::support::{A, B, Options, USD, Venue, bid, told};

/// Seconds of the chain's clock when every venue starts.
const START_SECONDS: u64 = START.0 / SECOND;

/// A request of a by `key`.
fn by(key: KeyId, nonce: u64, operation: Operation) -> Command {
    let replay_guard = ReplayGuard::Nonce { nonce };
    let (account, grade, valid_until) = (A, EvidenceGrade::Native, Timestamp::ZERO);
    Command::Signed(SignedCommand { account, key, grade, replay_guard, valid_until, operation })
}

#[test]
fn each_entry_is_taken_once_and_in_order() {
    let mut venue = Venue::new();
    assert_eq!(venue.engine.last_queue_prefix(), SETTLEMENT.origin());
    let first = venue.next_entry(deposit_entry(A, USD, 1));
    let second = withdrawal_entry(A, USD, 1);
    let second = ChainEntry { queue_id: 2, prefix: second.prefix_after(&first.prefix), ..second };
    let apply = |venue: &mut Venue, entry| venue.apply(Command::ChainEntry(entry));
    for queue_id in [0, 2, u64::MAX] {
        let entry = ChainEntry { queue_id, ..first };
        assert_eq!(rejection(&apply(&mut venue, entry)), Some(WrongQueueId), "{queue_id}");
    }
    assert_eq!(rejection(&apply(&mut venue, second)), Some(WrongQueueId), "the first is missing");
    assert_eq!(venue.engine.last_queue_id(), 0);
    assert_eq!(told(&apply(&mut venue, first)), "deposit 1, entry 1");
    assert_eq!(rejection(&apply(&mut venue, first)), Some(WrongQueueId), "used up");
    let doubled = ChainEntry { queue_id: 2, ..first };
    assert_eq!(rejection(&apply(&mut venue, doubled)), Some(WrongQueuePrefix), "the same one under another number");
    assert_eq!(told(&apply(&mut venue, second)), "withdrawal 1, entry 2", "one queue for both directions");
    assert_eq!((venue.engine.last_queue_id(), venue.engine.last_queue_prefix()), (2, second.prefix));
}

#[test]
fn an_entry_that_is_altered_anywhere_is_not_used_up() {
    let mut venue = Venue::new();
    venue.deposit(A, USD, 1);
    let entry = venue.next_entry(deposit_entry(A, USD, 5));
    let (mut extra, mut prefix) = (entry.extra, entry.prefix);
    extra[31] ^= 1;
    prefix[0] ^= 1;
    let altered = [
        ChainEntry { kind: ChainEntryKind::Withdrawal, ..entry },
        ChainEntry { account: B, ..entry },
        ChainEntry { asset: lakh_engine::ids::AssetId(0), ..entry },
        ChainEntry { amount: Atoms(6), ..entry },
        ChainEntry { extra, ..entry },
        ChainEntry { time_seconds: entry.time_seconds + 1, ..entry },
        ChainEntry { prefix, ..entry },
        ChainEntry { prefix: entry.prefix_after(&SETTLEMENT.origin()), ..entry },
    ];
    for altered in altered {
        assert_eq!(rejection(&venue.apply(Command::ChainEntry(altered))), Some(WrongQueuePrefix), "{altered:?}");
        assert_eq!(venue.engine.last_queue_id(), 1);
    }
    assert_eq!(told(&venue.apply(Command::ChainEntry(entry))), "deposit 5, entry 2");
}

#[test]
fn an_entry_of_another_contract_or_chain_never_fits() {
    let entry = deposit_entry(A, USD, 1);
    for other in
        [SettlementBinding { chain_id: 1, ..SETTLEMENT }, SettlementBinding { contract: [0xc1; 20], ..SETTLEMENT }]
    {
        let mut venue = Venue::new();
        let foreign = ChainEntry { queue_id: 1, prefix: entry.prefix_after(&other.origin()), ..entry };
        assert_eq!(rejection(&venue.apply(Command::ChainEntry(foreign))), Some(WrongQueuePrefix));
    }
}

#[test]
fn a_key_through_the_chain_trades_once_it_has_signed() {
    let mut venue = Venue::new();
    assert_eq!(told(&venue.enter(register_entry(A, 20, 0))), "key 4 registered, entry 1");
    let order = Operation::PlaceOrder(bid(100, 1).0);
    let key = KeyId(4);
    assert_eq!(rejection(&venue.apply(by(key, 1, order))), Some(KeyPending));
    assert_eq!(told(&venue.apply(by(key, 2, Operation::ActivateKey))), "key 4 live");
    assert_eq!(told(&venue.apply(by(key, 3, order))), "accepted, rests 1");
    assert_eq!(venue.engine.next_deadline(), None, "0 is never");
    // `digests_per_key` is 2.
    let by_digest = |number| {
        let guard = ReplayGuard::Digest { digest: [number; 16], signed_at: START, receive_window_ms: 5_000 };
        let Command::Signed(signed) = by(key, 0, Operation::Logon) else { unreachable!("`by` signs") };
        Command::Signed(SignedCommand { replay_guard: guard, ..signed })
    };
    assert_eq!(told(&venue.apply(by_digest(1))), "logged on");
    assert_eq!(told(&venue.apply(by_digest(2))), "logged on");
    assert_eq!(told(&venue.apply(by_digest(3))), "rejected DigestTableFull");
}

#[test]
fn a_key_through_the_chain_is_pending_in_the_genesis_phase_too() {
    let mut venue = Venue::in_genesis(Options::default());
    assert_eq!(told(&venue.enter(register_entry(A, 20, 0))), "key 4 registered, entry 1");
}

#[test]
fn a_key_through_the_chain_counts_as_an_epoch_and_ends_at_its_second() {
    let mut venue = Venue::new();
    venue.enter(register_entry(A, 20, START_SECONDS + 10));
    assert_eq!(venue.engine.next_deadline(), Some(Timestamp((START_SECONDS + 10) * SECOND)));
    let operators = lakh_engine::command::RegisterKey {
        account: A,
        public_key: public_key(21),
        epoch: 2,
        expires_at: Timestamp::ZERO,
        digest_capacity: 1,
    };
    assert_eq!(venue.register_key(operators), Err(WrongKeyEpoch), "2 is the chain's");
    let epoch = 3;
    assert_eq!(venue.register_key(lakh_engine::command::RegisterKey { epoch, ..operators }), Ok(KeyId(5)));
    venue.wait(10 * SECOND);
    assert_eq!(rejection(&venue.apply(by(KeyId(4), 1, Operation::ActivateKey))), Some(KeyExpired));
    assert_eq!(told(&venue.must(Command::AdvanceTime)), "key 4 Expired");
    assert_eq!(refusal(&venue.enter(revoke_entry(A, 20))), Some(KeyExpired));
}

#[test]
fn registrations_that_cannot_be_answer_the_lowest_number_and_the_queue_goes_on() {
    let mut venue = Venue::new();
    for (entry, code) in [
        (register_entry(AccountId(9), 1, u64::MAX), AccountUnknown),
        (register_entry(AccountId(0), 20, 0), AccountUnknown),
        (register_entry(A, 1, u64::MAX), KeyBoundBefore),
        (register_entry(A, 20, u64::MAX), AmountOutOfRange),
        (register_entry(A, 20, u64::MAX / SECOND + 1), AmountOutOfRange),
    ] {
        let events = venue.enter(entry);
        assert_eq!((refusal(&events), events.len()), (Some(code), 1), "{entry:?}");
    }
    assert_eq!(told(&venue.enter(register_entry(A, 20, u64::MAX / SECOND))), "key 4 registered, entry 6");
    assert_eq!(refusal(&venue.enter(register_entry(B, 20, 0))), Some(KeyBoundBefore), "pending is bound");
    for number in 21..29 {
        assert_eq!(refusal(&venue.enter(register_entry(A, number, 0))), None);
    }
    assert_eq!(refusal(&venue.enter(register_entry(A, 1, 0))), Some(TableFull), "12 keys in all");
}

#[test]
fn a_key_through_the_chain_needs_room_for_its_digests() {
    let mut options = Options::default();
    // Three traders with 8 each.
    options.capacities.digests = 27;
    let mut venue = Venue::with(options);
    assert_eq!(refusal(&venue.enter(register_entry(A, 20, 0))), None);
    assert_eq!(refusal(&venue.enter(register_entry(A, 21, 0))), Some(TableFull));
    options.capacities.digests_per_key = 1;
    let mut venue = Venue::with(options);
    for number in 20..23 {
        assert_eq!(refusal(&venue.enter(register_entry(A, number, 0))), None);
    }
    assert_eq!(refusal(&venue.enter(register_entry(A, 23, 0))), Some(TableFull));
}

#[test]
fn an_owner_ends_a_key_through_the_chain() {
    let mut venue = Venue::new();
    venue.enter(register_entry(A, 20, 0));
    for (entry, answer) in [
        (revoke_entry(A, 99), format!("entry 2 refused {KeyUnknown:?}")),
        (revoke_entry(B, 1), format!("entry 3 refused {KeyOfOtherAccount:?}")),
        (revoke_entry(A, 1), "key 1 Revoked, entry 4".to_owned()),
        (revoke_entry(A, 1), format!("entry 5 refused {KeyRevoked:?}")),
        (revoke_entry(B, 1), format!("entry 6 refused {KeyRevoked:?}")),
        (revoke_entry(A, 20), "key 4 Revoked, entry 7".to_owned()),
        (register_entry(A, 20, 0), format!("entry 8 refused {KeyBoundBefore:?}")),
    ] {
        assert_eq!(told(&venue.enter(entry)), answer);
    }
    assert_eq!(rejection(&venue.place(A, bid(100, 1))), Some(KeyRevoked));
    assert_eq!(rejection(&venue.apply(by(KeyId(4), 1, Operation::ActivateKey))), Some(KeyRevoked), "pending as well");
    assert_eq!(told(&venue.place(B, bid(100, 1))), "accepted, rests 1");
}

/// A forced withdrawal takes off the orders that hold the asset, halted markets included, pays all of it, and lets nothing
/// come back before its batch.
#[test]
fn a_forced_withdrawal_takes_everything_out() {
    let mut venue = Venue::new();
    venue.deposit(A, USD, 1_000_000);
    venue.deposit(B, USD, 1_000_000);
    venue.place(A, bid(100, 1));
    venue.place(A, bid(99, 2));
    venue.place(B, bid(98, 1));
    let before = venue.engine.balance(A, USD).unwrap();
    let all = before.available + before.held;
    assert!(!before.held.is_zero(), "orders hold some of it");
    let forced = ChainEntry { kind: ChainEntryKind::ForcedWithdrawal, ..withdrawal_entry(A, USD, 0) };
    let events = venue.enter(forced);
    let canceled = events.iter().filter(|event| matches!(event, Event::OrderCanceled(_))).count();
    assert_eq!(canceled, 2, "{events:?}");
    let paid = events
        .iter()
        .any(|event| matches!(event, Event::Withdrawn { account: A, asset: USD, amount, .. } if *amount == all));
    assert!(paid, "{events:?}");
    assert_eq!(venue.engine.balance(A, USD).unwrap().available, Atoms::ZERO);
    assert_eq!(venue.engine.balance(A, USD).unwrap().held, Atoms::ZERO);
    // Restored from a snapshot it still knows who is leaving.
    let restored = Engine::from_snapshot(&venue.engine.snapshot()).expect("its own snapshot");
    assert_eq!(restored.state_hash(), venue.engine.state_hash());
    assert_eq!(rejection(&venue.place(A, bid(97, 1))), Some(AccountBlocked), "nothing is credited before the batch");
    assert_eq!(told(&venue.place(B, bid(97, 1))), "accepted, rests 1", "others go on");
    let last_sequence = venue.engine.sequence();
    let batch =
        BatchSealed { batch_id: 1, first_sequence: Sequence(1), last_sequence, new_root: [0; 32], data_hash: [0; 32] };
    venue.apply(Command::BatchSealed(batch));
    assert_ne!(rejection(&venue.place(A, bid(97, 1))), Some(AccountBlocked), "it may trade again");
    // An account that has nothing is served too, and one that is not there is used up.
    assert_eq!(refusal(&venue.enter(forced)), None);
    let nobody = ChainEntry { account: AccountId(99), ..forced };
    assert_eq!(refusal(&venue.enter(nobody)), Some(WrongAccount));
}

#[test]
fn batches_tile_the_journal() {
    let mut venue = Venue::new();
    let own = |venue: &Venue| Sequence(venue.engine.sequence().0 + 1);
    let seal = |venue: &mut Venue, batch| venue.apply(Command::BatchSealed(batch));
    assert_eq!(venue.engine.last_batch(), (0, Sequence(0)));
    let first = venue.next_batch(Sequence(5));
    for wrong in [
        BatchSealed { batch_id: 0, ..first },
        BatchSealed { batch_id: 2, ..first },
        BatchSealed { first_sequence: Sequence(0), ..first },
        BatchSealed { first_sequence: Sequence(2), ..first },
        BatchSealed { last_sequence: Sequence(0), ..first },
        BatchSealed { last_sequence: Sequence(own(&venue).0 + 9), ..first },
    ] {
        assert_eq!(rejection(&seal(&mut venue, wrong)), Some(WrongBatch), "{wrong:?}");
        assert_eq!(venue.engine.last_batch(), (0, Sequence(0)));
    }
    let of_itself = BatchSealed { last_sequence: own(&venue), ..first };
    assert_eq!(rejection(&seal(&mut venue, of_itself)), Some(WrongBatch), "a batch is not in itself");
    let sealed = Event::BatchSealed {
        batch_id: 1,
        first_sequence: Sequence(1),
        last_sequence: Sequence(5),
        new_root: first.new_root,
    };
    assert_eq!(seal(&mut venue, first), [sealed]);
    assert_eq!(rejection(&seal(&mut venue, first)), Some(WrongBatch), "sealed once");
    let one = venue.next_batch(Sequence(6));
    assert_eq!((one.batch_id, one.first_sequence), (2, Sequence(6)));
    assert_eq!(told(&seal(&mut venue, one)), "batch 2 of 6 to 6", "one record is a batch");
    let nothing = venue.next_batch(Sequence(6));
    assert_eq!(rejection(&seal(&mut venue, nothing)), Some(WrongBatch), "none is not");
    let rest = venue.next_batch(venue.engine.sequence());
    assert_eq!(rejection(&seal(&mut venue, rest)), None, "up to the record before its own");
    assert_eq!(venue.engine.last_batch(), (3, rest.last_sequence));
}

#[test]
fn without_a_contract_there_is_no_queue_and_no_batch() {
    let mut venue = Venue::bare();
    assert_eq!((venue.engine.settlement(), venue.engine.last_batch()), (None, (0, Sequence(0))));
    let unbound = Genesis {
        settlement: SettlementBinding { chain_id: 1, contract: [0; 20] },
        venue_tag: [8; 16],
        ..genesis(Options::default().capacities)
    };
    venue.must(Command::Genesis(unbound));
    assert_eq!((venue.engine.settlement(), venue.engine.last_queue_prefix()), (None, [0; 32]));
    let entry = Command::ChainEntry(venue.next_entry(deposit_entry(A, USD, 1)));
    assert_eq!(rejection(&venue.apply(entry)), Some(NotAuthorised));
    let batch = Command::BatchSealed(venue.next_batch(Sequence(1)));
    assert_eq!(rejection(&venue.apply(batch)), Some(NotAuthorised));
    assert!(Engine::from_snapshot(&venue.engine.snapshot()).is_ok());
}

#[test]
fn a_contract_and_the_venues_tag_go_together() {
    let good = genesis(Options::default().capacities);
    for wrong in [
        Genesis { venue_tag: [8; 16], ..good },
        Genesis { settlement: SettlementBinding { chain_id: 1, ..SETTLEMENT }, ..good },
        Genesis { settlement: SettlementBinding { contract: [0xc1; 20], ..SETTLEMENT }, ..good },
    ] {
        assert_eq!(rejection(&Venue::bare().apply(Command::Genesis(wrong))), Some(BadSpecification), "{wrong:?}");
    }
    let mut venue = Venue::bare();
    venue.must(Command::Genesis(good));
    assert_eq!(venue.engine.settlement(), Some(SETTLEMENT));
}

#[test]
fn what_a_key_reserves_is_within_what_there_is() {
    for (digests_per_key, refused) in [(0, true), (1, false), (256, false), (257, true)] {
        let mut capacities = Options::default().capacities;
        capacities.digests_per_key = digests_per_key;
        let answer = rejection(&Venue::bare().apply(Command::Genesis(genesis(capacities))));
        assert_eq!(answer.is_some(), refused, "{digests_per_key}");
    }
}

#[test]
fn the_queues_place_and_the_batch_survive_a_snapshot() {
    let mut venue = Venue::new();
    venue.deposit(A, USD, 1);
    venue.must(Command::BatchSealed(venue.next_batch(Sequence(3))));
    let mut restored = Engine::from_snapshot(&venue.engine.snapshot()).expect("a snapshot");
    assert_eq!(restored.last_queue_id(), 1);
    assert_eq!(restored.last_queue_prefix(), venue.engine.last_queue_prefix());
    assert_eq!(restored.last_batch(), (1, Sequence(3)));
    let next = Command::ChainEntry(venue.next_entry(deposit_entry(A, USD, 2)));
    let mut events = Vec::new();
    restored.apply(Sequence(venue.engine.sequence().0 + 1), venue.now, &next, &mut events);
    assert_eq!(venue.apply(next), events);
    assert_eq!(restored.state_hash(), venue.engine.state_hash());
}

#[test]
fn a_snapshot_whose_queue_begins_elsewhere_is_refused() {
    let snapshot = Venue::new().engine.snapshot();
    let origin = snapshot.windows(32).position(|window| window == SETTLEMENT.origin()).expect("no entry was taken yet");
    assert!(Engine::from_snapshot(&snapshot).is_ok());
    for at in [origin, origin + 31] {
        let mut damaged = snapshot.clone();
        damaged[at] ^= 1;
        assert!(Engine::from_snapshot(&damaged).is_err(), "byte {at}");
    }
}
