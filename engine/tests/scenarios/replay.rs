//! Replay protection: nonces, digests, receive windows, and that rejected requests are used up too.

use lakh_engine::command::{
    CancelAll, CancelOrder, Command, EvidenceGrade, FrameCommand, FrameOperation, Operation, OrderReference,
    ReplayGuard, SignedCommand,
};
use lakh_engine::event::Event;
use lakh_engine::ids::{KeyId, Sequence};
use lakh_engine::reject::RejectCode::{
    DigestTableFull, Duplicate, InsufficientBalance, NonceTooHigh, NonceTooLow, TimestampOutsideWindow,
};
use lakh_engine::units::Timestamp;

use crate::support::venue::{SECOND, rejection};
use crate::support::{A, BTCUSD, Draft, Options, USD, Venue, bid, check, told};

const MILLISECOND: u64 = 1_000_000;

/// A signed JSON request of a.
fn by_digest(number: u64, signed_at: Timestamp, receive_window_ms: u32, order: Draft) -> Command {
    let mut digest = [0; 16];
    digest[..8].copy_from_slice(&number.to_le_bytes());
    Command::Signed(SignedCommand {
        account: A,
        key: KeyId(1),
        grade: EvidenceGrade::Signed,
        replay_guard: ReplayGuard::Digest { digest, signed_at, receive_window_ms },
        valid_until: Timestamp::ZERO,
        operation: Operation::PlaceOrder(order.0),
    })
}

/// A signed binary request of a.
fn by_nonce(nonce: u64, order: Draft) -> Command {
    Command::Signed(SignedCommand {
        account: A,
        key: KeyId(1),
        grade: EvidenceGrade::Native,
        replay_guard: ReplayGuard::Nonce { nonce },
        valid_until: Timestamp::ZERO,
        operation: Operation::PlaceOrder(order.0),
    })
}

#[test]
fn the_same_signed_bytes_make_one_order_and_name_it() {
    let mut venue = Venue::new();
    let request = by_digest(1, venue.now, 5_000, bid(100, 5));
    assert_eq!(told(&venue.apply(&request)), "accepted, rests 5");
    let original = venue.engine.sequence();
    for _ in 0..2 {
        venue.wait(SECOND);
        match venue.apply(&request)[..] {
            [Event::Duplicate(duplicate)] => {
                assert_eq!((duplicate.account, duplicate.original, duplicate.rejected), (A, original, None));
            }
            ref other => panic!("{other:?}"),
        }
    }
    check(&venue, "5a | 100 |");
    venue.wait(4 * SECOND);
    assert_eq!(rejection(&venue.apply(&request)), Some(TimestampOutsideWindow), "then its time protects it");
}

#[test]
fn a_rejected_request_is_used_up() {
    let mut venue = Venue::with(Options { deposit: 0, ..Options::default() });
    let json = by_digest(1, venue.now, 5_000, bid(100, 5));
    assert_eq!(rejection(&venue.apply(&json)), Some(InsufficientBalance));
    let original = venue.engine.sequence();
    let binary = by_nonce(1, bid(100, 5));
    assert_eq!(rejection(&venue.apply(&binary)), Some(InsufficientBalance));
    venue.deposit(A, USD, 1_000_000);
    let expected = format!("duplicate of {original} InsufficientBalance");
    assert_eq!(told(&venue.apply(&json)), expected, "nobody can send it again now that there is money");
    assert_eq!(rejection(&venue.apply(&binary)), Some(Duplicate));
    check(&venue, "");
}

#[test]
fn nonces_go_in_any_order_within_the_window() {
    let mut venue = Venue::new();
    for nonce in [0, 5, 3, 1_028, 6] {
        assert_eq!(told(&venue.apply(by_nonce(nonce, bid(90, 1)))), "accepted, rests 1", "{nonce}");
        assert_eq!(
            told(&venue.apply(by_nonce(nonce, bid(90, 1)))),
            "duplicate of 0",
            "{nonce}: no record of the first"
        );
    }
    assert_eq!(rejection(&venue.apply(by_nonce(4, bid(90, 1)))), Some(NonceTooLow));
    assert_eq!(rejection(&venue.apply(by_nonce(1_028 + (1 << 20) + 1, bid(90, 1)))), Some(NonceTooHigh));
    assert_eq!(rejection(&venue.apply(by_nonce(u64::MAX, bid(90, 1)))), Some(NonceTooHigh));
    assert_eq!(rejection(&venue.apply(by_nonce(1_029, bid(90, 1)))), None, "too high a one is not used up");
}

#[test]
fn a_request_refused_before_admission_is_not_used_up() {
    let mut venue = Venue::new();
    let early = by_digest(1, Timestamp(venue.now.0 + SECOND), 5_000, bid(100, 5));
    assert_eq!(rejection(&venue.apply(&early)), Some(TimestampOutsideWindow));
    venue.wait(1);
    assert_eq!(told(&venue.apply(&early)), "accepted, rests 5");
}

#[test]
fn the_receive_window_is_exact() {
    let mut venue = Venue::new();
    let now = venue.now.0;
    let cases = [
        (now + SECOND - 1, 5_000, None),
        (now + SECOND, 5_000, Some(TimestampOutsideWindow)),
        (now - 5_000 * MILLISECOND, 5_000, None),
        (now - 5_000 * MILLISECOND - 1, 5_000, Some(TimestampOutsideWindow)),
        (now - 60_000 * MILLISECOND, 60_000, None),
        (now, 60_001, Some(TimestampOutsideWindow)),
        (now, 0, Some(TimestampOutsideWindow)),
        (now - MILLISECOND, 1, None),
        (0, 60_000, Some(TimestampOutsideWindow)),
        (u64::MAX, 60_000, Some(TimestampOutsideWindow)),
    ];
    for (number, (signed_at, window, expected)) in (0..).zip(cases) {
        let request = by_digest(number, Timestamp(signed_at), window, bid(100, 1));
        assert_eq!(rejection(&venue.apply(&request)), expected, "signed {signed_at}, window {window}, now {now}");
    }
}

#[test]
fn a_full_digest_table_empties_with_time() {
    let mut venue = Venue::new();
    // Six of the eight that the key has; the last two are kept for cancels.
    for number in 0..6 {
        let request = by_digest(number, venue.now, 1_000, bid(100, 1));
        assert_eq!(rejection(&venue.apply(&request)), None);
    }
    let ninth = |venue: &Venue| by_digest(8, venue.now, 1_000, bid(100, 1));
    let request = ninth(&venue);
    assert_eq!(rejection(&venue.apply(&request)), Some(DigestTableFull));
    let binary = by_nonce(1, bid(100, 1));
    assert_eq!(rejection(&venue.apply(&binary)), None, "nonces need no room");
    let first = by_digest(0, venue.now, 1_000, bid(100, 1));
    assert_eq!(rejection(&venue.apply(first)), Some(Duplicate), "a used one is still told apart");
    // Window + 1 s are over after 2 s; the second in which they end is waited for as a whole.
    venue.wait(2 * SECOND);
    let request = ninth(&venue);
    assert_eq!(rejection(&venue.apply(&request)), Some(DigestTableFull));
    venue.wait(SECOND);
    let request = ninth(&venue);
    assert_eq!(rejection(&venue.apply(&request)), None);
}

#[test]
fn a_burst_does_not_lock_its_key_out_when_the_seconds_come_round_again() {
    let mut options = Options { digest_capacity: 84, max_orders: 512, ..Options::default() };
    options.capacities.digests = 256;
    let mut venue = Venue::with(options);
    // Three quarters of what the key has.
    for number in 0..63 {
        let request = by_digest(number, venue.now, 60_000, bid(100, 1));
        assert_eq!(rejection(&venue.apply(&request)), None);
    }
    // The burst ends 61 s from its start. 128 s after the start a new request falls into the same time bucket, and
    // whatever of the burst is still there must go first, not wait behind it for another minute.
    venue.wait(128 * SECOND);
    for number in 63..126 {
        let request = by_digest(number, venue.now, 60_000, bid(100, 1));
        assert_eq!(rejection(&venue.apply(&request)), None, "request {number}");
    }
}

#[test]
fn a_quarter_of_a_keys_digests_is_kept_for_cancels() {
    let mut venue = Venue::new();
    let order = venue.placed(A, bid(100, 1).id("x"));
    let guard = |number: u64, now| match by_digest(number, now, 5_000, bid(100, 1)) {
        Command::Signed(signed) => signed,
        other => panic!("{other:?} is signed"),
    };
    for number in 0..6 {
        let signed = guard(number, venue.now);
        venue.must(Command::Signed(signed));
    }
    let signed = guard(6, venue.now);
    assert_eq!(rejection(&venue.apply(Command::Signed(signed))), Some(DigestTableFull), "an order waits");
    let frame_of = |operation, signed: SignedCommand| {
        Command::Frame(FrameCommand {
            replay_guard: signed.replay_guard,
            grade: signed.grade,
            ..venue_frame(operation)
        })
    };
    let cancel = CancelOrder { market: BTCUSD, target: OrderReference::OrderId(order) };
    let mixed = frame_of(FrameOperation::PlaceOrder(bid(100, 1).0), guard(7, venue.now));
    assert_eq!(rejection(&venue.apply(mixed)), Some(DigestTableFull), "and so does a frame with an order in it");
    let one = frame_of(FrameOperation::CancelOrder(cancel), guard(8, venue.now));
    assert_eq!(told(&venue.apply(one)), "frame of 1, canceled 1a Requested, 0 done");
    let all = Operation::CancelAll(CancelAll { market: None, side: None });
    let signed = SignedCommand { operation: all, ..guard(9, venue.now) };
    assert_eq!(rejection(&venue.apply(Command::Signed(signed))), None, "cancels go on to the last entry");
    let signed = SignedCommand { operation: all, ..guard(10, venue.now) };
    assert_eq!(rejection(&venue.apply(Command::Signed(signed))), Some(DigestTableFull));
}

/// A frame of a's first key.
fn venue_frame(operation: FrameOperation) -> FrameCommand {
    FrameCommand {
        account: A,
        key: KeyId(1),
        grade: EvidenceGrade::Signed,
        replay_guard: ReplayGuard::Nonce { nonce: 0 },
        valid_until: Timestamp::ZERO,
        operations: [operation].into(),
    }
}

#[test]
fn digests_of_one_key_say_nothing_of_anothers() {
    let mut venue = Venue::new();
    let request = by_digest(1, venue.now, 5_000, bid(100, 1));
    venue.must(&request);
    let Command::Signed(signed) = request else { panic!("it is signed") };
    let other = SignedCommand { account: crate::support::B, key: KeyId(2), ..signed };
    assert_eq!(told(&venue.apply(Command::Signed(other))), "accepted, rests 1");
    assert_eq!(venue.engine.sequence(), Sequence(venue.journal.len() as u64));
}

#[test]
fn a_digest_is_kept_as_long_as_its_time_does_not_protect_it() {
    // The longest window, signed as far ahead as may be: good for 61 s less 1 ns.
    let mut options = Options { digest_capacity: 200, max_orders: 512, ..Options::default() };
    options.capacities.digests = 600;
    let mut venue = Venue::with(options);
    let signed_at = Timestamp(venue.now.0 + SECOND - 1);
    let request = by_digest(0, signed_at, 60_000, bid(100, 1));
    assert_eq!(rejection(&venue.apply(&request)), None);
    for number in 1..=60 {
        venue.wait(SECOND);
        // Each other request frees what is over, and that must never be the first one.
        let other = by_digest(number, venue.now, 1, bid(100, 1));
        assert_eq!(rejection(&venue.apply(other)), None);
        assert_eq!(rejection(&venue.apply(&request)), Some(Duplicate), "after {number} s");
    }
    venue.now = Timestamp(signed_at.0 + 60 * SECOND);
    assert_eq!(rejection(&venue.apply(&request)), Some(Duplicate), "the last moment");
    venue.wait(1);
    assert_eq!(rejection(&venue.apply(&request)), Some(TimestampOutsideWindow));
}
