//! What a key may do: kinds of operations, one market or all; never more than it had.

use lakh_engine::command::{
    CancelAll, CancelOrder, Command, FrameOperation, KeyScope, Operation, OrderReference, SignedCommand,
};
use lakh_engine::ids::KeyId;

use crate::support::venue::register_second_key;
use crate::support::{A, BTCUSD, ETHUSD, Venue, bid, told};

/// A venue where a has a second key with this scope.
fn venue(scope: KeyScope) -> (Venue, KeyId) {
    let mut venue = Venue::new();
    let key = register_second_key(&mut venue, A, 20);
    assert_eq!(told(&venue.send(A, Operation::NarrowKey { key, scope })), format!("key {key} narrowed"));
    (venue, key)
}

fn by(venue: &mut Venue, key: KeyId, operation: Operation) -> String {
    let request = venue.signed_by(key, A, operation);
    told(&venue.apply(request))
}

#[test]
fn a_key_for_cancels_only_cancels() {
    let (mut venue, key) = venue(KeyScope { operations: KeyScope::CANCEL, market: None, account: None });
    let order = venue.placed(A, bid(100, 5));
    let place = Operation::PlaceOrder(bid(100, 1).0);
    assert_eq!(by(&mut venue, key, place), "rejected OutOfScope");
    assert_eq!(told(&venue.place(A, bid(99, 1))), "accepted, rests 1", "the first key still may");
    let cancel = CancelOrder { market: BTCUSD, target: OrderReference::OrderId(order) };
    let mut frame = venue.framed(A, &[FrameOperation::PlaceOrder(bid(98, 1).0), FrameOperation::CancelOrder(cancel)]);
    frame.key = key;
    let expected = "frame of 2, 0 refused OutOfScope, canceled 5a Requested, 1 done";
    assert_eq!(told(&venue.apply(Command::Frame(frame))), expected, "each operation for itself");
    assert_eq!(by(&mut venue, key, Operation::Logon), "logged on");
    let everything = Operation::CancelAll(CancelAll { market: None, side: None });
    assert_eq!(by(&mut venue, key, everything), "mass cancel, canceled 1a MassCancel, progress 1 Finished");
    assert_eq!(by(&mut venue, key, Operation::RevokeKey), format!("key {key} Revoked"));
}

#[test]
fn a_key_of_one_market_stays_in_it() {
    let (mut venue, key) = venue(KeyScope { market: Some(ETHUSD), ..KeyScope::EVERYTHING });
    assert_eq!(by(&mut venue, key, Operation::PlaceOrder(bid(100, 1).0)), "rejected OutOfScope");
    let there = Operation::PlaceOrder(bid(100, 2).in_market(ETHUSD).0);
    assert_eq!(by(&mut venue, key, there), "accepted, rests 2");
    let all = |market| Operation::CancelAll(CancelAll { market, side: None });
    assert_eq!(by(&mut venue, key, all(None)), "rejected OutOfScope");
    assert_eq!(by(&mut venue, key, Operation::CancelAllAfter { timeout_ms: 1 }), "rejected OutOfScope");
    let expected = "mass cancel, canceled 2a MassCancel, progress 1 Finished";
    assert_eq!(by(&mut venue, key, all(Some(ETHUSD))), expected);
}

#[test]
fn no_key_is_given_more_and_no_weak_key_touches_another() {
    let (mut venue, key) = venue(KeyScope { operations: KeyScope::PLACE, market: Some(BTCUSD), account: None });
    let narrow = |key, scope| Operation::NarrowKey { key, scope };
    assert_eq!(told(&venue.send(A, narrow(key, KeyScope::EVERYTHING))), "rejected OutOfScope");
    let elsewhere = KeyScope { operations: KeyScope::PLACE, market: Some(ETHUSD), account: None };
    assert_eq!(told(&venue.send(A, narrow(key, elsewhere))), "rejected OutOfScope");
    let nothing = KeyScope { operations: 0, market: Some(BTCUSD), account: None };
    assert_eq!(by(&mut venue, key, narrow(KeyId(1), nothing)), "rejected OutOfScope", "a bot's key ends no other");
    for foreign in [KeyId(2), KeyId(99), KeyId(0)] {
        assert_eq!(told(&venue.send(A, narrow(foreign, nothing))), "rejected OutOfScope", "another's, or nobody's");
    }
    assert_eq!(told(&venue.send(A, narrow(key, nothing))), format!("key {key} narrowed"));
    let restored = lakh_engine::Engine::from_snapshot(&venue.engine.snapshot()).expect("a snapshot");
    venue.engine = restored;
    assert_eq!(by(&mut venue, key, Operation::PlaceOrder(bid(100, 1).0)), "rejected OutOfScope");
}

#[test]
fn a_session_cannot_narrow_keys() {
    use lakh_engine::command::{EvidenceGrade, ReplayGuard};
    let mut venue = Venue::new();
    let narrow = Operation::NarrowKey { key: KeyId(1), scope: KeyScope { operations: 0, market: None, account: None } };
    let replay_guard = ReplayGuard::Session { signed_at: venue.now, receive_window_ms: 5_000 };
    let grade = EvidenceGrade::Delegated;
    let unsigned = SignedCommand { replay_guard, grade, ..venue.signed(A, narrow) };
    assert_eq!(told(&venue.apply(Command::Signed(unsigned))), "rejected EvidenceTooWeak");
}
