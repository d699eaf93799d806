//! The life of a key: pending, live, ended, never again. And what evidence an account asks for.

use lakh_engine::command::{AdminAction, Command, EvidenceGrade, Operation, RegisterKey, ReplayGuard, SignedCommand};
use lakh_engine::event::Event;
use lakh_engine::ids::KeyId;
use lakh_engine::reject::RejectCode::{
    EvidenceTooWeak, KeyAlreadyLive, KeyBoundBefore, KeyExpired, KeyOfOtherAccount, KeyPending, KeyRevoked, KeyUnknown,
    ValidUntilPassed, WrongKeyEpoch,
};
use lakh_engine::units::Timestamp;

use crate::support::venue::{SECOND, START, public_key, rejection};
use crate::support::{A, B, Options, Venue, bid, told};

/// A registration of key material `number` for a, as its `epoch`-th key.
fn registration(number: u32, epoch: u32, expires_at: Timestamp) -> RegisterKey {
    RegisterKey { account: A, public_key: public_key(number), epoch, expires_at, digest_capacity: 4 }
}

/// A request of account a by `key` with `nonce`.
fn by(key: KeyId, nonce: u64, operation: Operation) -> SignedCommand {
    SignedCommand {
        account: A,
        key,
        grade: EvidenceGrade::Native,
        replay_guard: ReplayGuard::Nonce { nonce },
        valid_until: Timestamp::ZERO,
        operation,
    }
}

fn order() -> Operation {
    Operation::PlaceOrder(bid(100, 1).0)
}

#[test]
fn a_key_lives_once() {
    let mut venue = Venue::new();
    let key = venue.register_key(registration(20, 2, Timestamp::ZERO)).expect("a new key");
    assert_eq!(rejection(&venue.apply(Command::Signed(by(key, 1, order())))), Some(KeyPending));
    assert_eq!(rejection(&venue.apply(Command::Signed(by(key, 1, Operation::Logon)))), Some(KeyPending));
    assert_eq!(told(&venue.apply(Command::Signed(by(key, 1, Operation::ActivateKey)))), "key 4 live");
    let again = venue.apply(Command::Signed(by(key, 2, Operation::ActivateKey)));
    assert_eq!(rejection(&again), Some(KeyAlreadyLive));
    assert_eq!(told(&venue.apply(Command::Signed(by(key, 3, order())))), "accepted, rests 1");
    assert_eq!(told(&venue.apply(Command::Signed(by(key, 4, Operation::RevokeKey)))), "key 4 Revoked");
    for operation in [order(), Operation::ActivateKey, Operation::RevokeKey, Operation::Logon] {
        assert_eq!(rejection(&venue.apply(Command::Signed(by(key, 5, operation)))), Some(KeyRevoked));
    }
    assert_eq!(venue.register_key(registration(20, 3, Timestamp::ZERO)), Err(KeyBoundBefore), "never again");
    assert_eq!(venue.register_key(registration(21, 2, Timestamp::ZERO)), Err(WrongKeyEpoch));
    assert_eq!(venue.register_key(registration(21, 3, Timestamp::ZERO)), Ok(KeyId(5)));
    assert_eq!(told(&venue.place(A, bid(100, 1))), "accepted, rests 1", "the account's other key is as before");
}

#[test]
fn a_key_of_the_genesis_phase_is_live_at_once() {
    let mut venue = Venue::in_genesis(Options::default());
    let events = venue.admin(AdminAction::RegisterKey(registration(20, 2, Timestamp::ZERO)));
    assert_eq!(told(&events), "key 4 registered, key 4 live");
    assert_eq!(venue.engine.public_key(KeyId(4)), Some(public_key(20)));
    assert_eq!(venue.engine.public_key(KeyId(0)), None);
    assert_eq!(venue.engine.public_key(KeyId(5)), None);
}

#[test]
fn an_operator_can_end_a_key_too() {
    let mut venue = Venue::new();
    assert_eq!(told(&venue.admin(AdminAction::RevokeKey { key: KeyId(1) })), "key 1 Revoked");
    assert_eq!(rejection(&venue.place(A, bid(100, 1))), Some(KeyRevoked));
    assert_eq!(rejection(&venue.admin(AdminAction::RevokeKey { key: KeyId(1) })), Some(KeyRevoked));
    assert_eq!(rejection(&venue.admin(AdminAction::RevokeKey { key: KeyId(9) })), Some(KeyUnknown));
    let pending = venue.register_key(registration(20, 2, Timestamp::ZERO)).expect("a new key");
    assert_eq!(told(&venue.admin(AdminAction::RevokeKey { key: pending })), "key 4 Revoked", "pending ones as well");
    let activate = by(pending, 1, Operation::ActivateKey);
    assert_eq!(rejection(&venue.apply(Command::Signed(activate))), Some(KeyRevoked));
}

#[test]
fn a_key_ends_at_its_time_whether_or_not_anybody_looks() {
    let mut venue = Venue::new();
    let ends = Timestamp(START.0 + 10 * SECOND);
    let key = venue.register_key(registration(20, 2, ends)).expect("a new key");
    venue.must(Command::Signed(by(key, 1, Operation::ActivateKey)));
    assert_eq!(venue.engine.next_deadline(), Some(ends));
    venue.now = Timestamp(ends.0 - 1);
    assert_eq!(told(&venue.apply(Command::AdvanceTime)), "", "not yet");
    assert_eq!(told(&venue.apply(Command::Signed(by(key, 2, order())))), "accepted, rests 1");
    venue.now = ends;
    assert_eq!(rejection(&venue.apply(Command::Signed(by(key, 3, order())))), Some(KeyExpired), "before AdvanceTime");
    assert_eq!(told(&venue.apply(Command::AdvanceTime)), "key 4 Expired");
    assert_eq!(rejection(&venue.apply(Command::Signed(by(key, 3, order())))), Some(KeyExpired));
    assert_eq!(venue.engine.next_deadline(), None);
    assert_eq!(rejection(&venue.admin(AdminAction::RevokeKey { key })), Some(KeyExpired));
}

#[test]
fn a_pending_key_ends_at_its_time_too() {
    let mut venue = Venue::new();
    let ends = Timestamp(START.0 + SECOND);
    let key = venue.register_key(registration(20, 2, ends)).expect("a new key");
    venue.now = ends;
    let activate = by(key, 1, Operation::ActivateKey);
    assert_eq!(rejection(&venue.apply(Command::Signed(activate))), Some(KeyExpired));
    assert_eq!(told(&venue.apply(Command::AdvanceTime)), "key 4 Expired");
    assert_eq!(rejection(&venue.apply(Command::Signed(activate))), Some(KeyExpired));
}

#[test]
fn a_revoked_key_has_no_deadline() {
    let mut venue = Venue::new();
    let ends = Timestamp(START.0 + SECOND);
    let key = venue.register_key(registration(20, 2, ends)).expect("a new key");
    let later = venue.register_key(registration(21, 3, Timestamp(ends.0 + 1))).expect("a new key");
    venue.admin(AdminAction::RevokeKey { key });
    assert_eq!(venue.engine.next_deadline(), Some(Timestamp(ends.0 + 1)), "only the other one's");
    venue.admin(AdminAction::RevokeKey { key: later });
    assert_eq!(venue.engine.next_deadline(), None);
    venue.wait(5 * SECOND);
    assert_eq!(told(&venue.apply(Command::AdvanceTime)), "", "they ended before");
}

#[test]
fn keys_end_1024_at_a_time() {
    let mut options = Options::default();
    options.capacities.keys = 2_000;
    let mut venue = Venue::with(options);
    let ends = Timestamp(START.0 + SECOND);
    for number in 0..1_100 {
        let registration = RegisterKey { digest_capacity: 0, ..registration(100 + number, 2 + number, ends) };
        venue.register_key(registration).expect("a new key");
    }
    venue.now = ends;
    assert_eq!(venue.must(Command::AdvanceTime).len(), 1_024);
    assert_eq!(venue.engine.next_deadline(), Some(ends), "more to do at once");
    let events = venue.must(Command::Continue);
    assert_eq!(events.len(), 76);
    assert!(matches!(events[75], Event::KeyEnded { key: KeyId(1_103), .. }), "in the order of their numbers");
}

#[test]
fn a_key_speaks_for_its_own_account_only() {
    let mut venue = Venue::new();
    let foreign = SignedCommand { account: B, ..by(KeyId(1), 1, order()) };
    assert_eq!(rejection(&venue.apply(Command::Signed(foreign))), Some(KeyOfOtherAccount));
    assert_eq!(rejection(&venue.apply(Command::Signed(by(KeyId(0), 1, order())))), Some(KeyUnknown));
    assert_eq!(rejection(&venue.apply(Command::Signed(by(KeyId(4), 1, order())))), Some(KeyUnknown));
}

#[test]
fn an_account_gets_the_evidence_that_it_asks_for() {
    use EvidenceGrade::{Delegated, HeaderKeyed, Native, Signed};
    let mut venue = Venue::new();
    let mut nonce = 0;
    for minimum_grade in [Delegated, HeaderKeyed, Signed, Native] {
        let policy = venue.admin(AdminAction::SetAccountPolicy { account: A, minimum_grade });
        assert_eq!(told(&policy), "policy");
        for grade in [Delegated, HeaderKeyed, Signed, Native] {
            nonce += 1;
            let command = SignedCommand { grade, ..by(KeyId(1), nonce, order()) };
            let expected = if grade < minimum_grade { Some(EvidenceTooWeak) } else { None };
            let outcome = rejection(&venue.apply(Command::Signed(command)));
            assert_eq!(outcome, expected, "{grade:?} where {minimum_grade:?} is asked for");
        }
    }
}

#[test]
fn a_request_without_a_signature_comes_from_a_session_only_where_the_owner_allows_it() {
    let mut venue = Venue::new();
    let session = ReplayGuard::Session { signed_at: START, receive_window_ms: 5_000 };
    let command = |grade| SignedCommand { grade, replay_guard: session, ..by(KeyId(1), 0, order()) };
    let outcome = |venue: &mut Venue, grade| rejection(&venue.apply(Command::Signed(command(grade))));
    assert_eq!(outcome(&mut venue, EvidenceGrade::Delegated), Some(EvidenceTooWeak), "signed is the default");
    let minimum_grade = EvidenceGrade::Delegated;
    venue.admin(AdminAction::SetAccountPolicy { account: A, minimum_grade });
    assert_eq!(outcome(&mut venue, EvidenceGrade::Delegated), None);
    assert_eq!(outcome(&mut venue, EvidenceGrade::Delegated), None, "nothing to use twice");
    assert_eq!(outcome(&mut venue, EvidenceGrade::Native), Some(EvidenceTooWeak), "a signature has a digest or nonce");
}

#[test]
fn a_session_never_makes_a_key_live_or_opens_another_session() {
    let mut venue = Venue::new();
    let minimum_grade = EvidenceGrade::Delegated;
    venue.admin(AdminAction::SetAccountPolicy { account: A, minimum_grade });
    let key = venue.register_key(registration(20, 2, Timestamp::ZERO)).expect("a new key");
    let replay_guard = ReplayGuard::Session { signed_at: START, receive_window_ms: 5_000 };
    for (key, operation) in [(key, Operation::ActivateKey), (KeyId(1), Operation::Logon)] {
        let unsigned = SignedCommand { grade: minimum_grade, replay_guard, ..by(key, 0, operation) };
        assert_eq!(rejection(&venue.apply(Command::Signed(unsigned))), Some(EvidenceTooWeak), "{operation:?}");
    }
}

#[test]
fn a_delayed_request_is_refused_never_late() {
    let mut venue = Venue::new();
    let at = |valid_until| SignedCommand { valid_until, ..by(KeyId(1), 1, order()) };
    let last_moment = Timestamp(venue.now.0 + 1);
    assert_eq!(rejection(&venue.apply(Command::Signed(at(last_moment)))), None);
    let now = SignedCommand { replay_guard: ReplayGuard::Nonce { nonce: 2 }, ..at(venue.now) };
    assert_eq!(rejection(&venue.apply(Command::Signed(now))), Some(ValidUntilPassed));
}
