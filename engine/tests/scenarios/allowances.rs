//! What an owner lets be asked for on weaker evidence than his account demands, and what not.

use lakh_engine::command::EvidenceGrade::{self, Delegated, HeaderKeyed, Native, Signed};
use lakh_engine::command::{
    Command, EvidenceAllowance, FrameOperation, KeyScope, Operation, ReplayGuard, SignedCommand,
};
use lakh_engine::ids::{AccountId, KeyId};
use lakh_engine::units::{Atoms, Timestamp};

use crate::support::venue::SECOND;
use crate::support::{A, B, BTC, Draft, USD, Venue, ask, bid, market_buy, told};

const DAY: u64 = 86_400 * SECOND;

/// An hour of sessions for so much notional.
fn an_hour(venue: &Venue, notional: u64) -> EvidenceAllowance {
    let until = Timestamp(venue.now.0 + 3_600 * SECOND);
    EvidenceAllowance { grade: Delegated, until, quote: USD, notional: Atoms(notional) }
}

fn allow(venue: &mut Venue, allowance: EvidenceAllowance) -> String {
    told(&venue.send(A, Operation::AllowEvidence(allowance)))
}

/// A request of an account's first key on such evidence; a session's has no nonce.
fn weakly(venue: &mut Venue, account: AccountId, grade: EvidenceGrade, operation: Operation) -> String {
    let signed = venue.signed_by(KeyId(1), account, operation);
    let Command::Signed(signed) = signed else { unreachable!("a trader's request") };
    let replay_guard = match grade {
        Delegated => ReplayGuard::Session { signed_at: venue.now, receive_window_ms: 5_000 },
        _ => signed.replay_guard,
    };
    told(&venue.apply(Command::Signed(SignedCommand { grade, replay_guard, ..signed })))
}

fn place(venue: &mut Venue, grade: EvidenceGrade, order: Draft) -> String {
    weakly(venue, A, grade, Operation::PlaceOrder(order.0))
}

#[test]
fn nothing_is_allowed_until_the_owner_signs_it() {
    let mut venue = Venue::new();
    for grade in [Delegated, HeaderKeyed] {
        assert_eq!(place(&mut venue, grade, bid(100, 1)), "rejected EvidenceTooWeak");
    }
    let allowance = an_hour(&venue, 1_000);
    let header_keyed = EvidenceAllowance { grade: HeaderKeyed, ..allowance };
    assert_eq!(allow(&mut venue, header_keyed), "allowed HeaderKeyed");
    assert_eq!(place(&mut venue, HeaderKeyed, bid(100, 1)), "accepted, rests 1");
    assert_eq!(place(&mut venue, Delegated, bid(100, 1)), "rejected EvidenceTooWeak", "weaker still");
    assert_eq!(allow(&mut venue, allowance), "allowed Delegated");
    assert_eq!(place(&mut venue, Delegated, bid(100, 1)), "accepted, rests 1");
    assert_eq!(allow(&mut venue, EvidenceAllowance::NONE), "allowed Native");
    assert_eq!(place(&mut venue, Delegated, bid(100, 1)), "rejected EvidenceTooWeak", "it was taken back");
    assert_eq!(told(&venue.place(A, bid(100, 1))), "accepted, rests 1", "a signature is as good as before");
}

#[test]
fn it_is_given_by_full_evidence_and_by_a_key_that_may() {
    let mut venue = Venue::new();
    let allowance = an_hour(&venue, 1_000);
    let operation = Operation::AllowEvidence(allowance);
    for grade in [Delegated, HeaderKeyed] {
        assert_eq!(weakly(&mut venue, A, grade, operation), "rejected EvidenceTooWeak");
    }
    assert_eq!(weakly(&mut venue, A, Signed, operation), "allowed Delegated");
    for grade in [Delegated, HeaderKeyed] {
        let more = Operation::AllowEvidence(EvidenceAllowance { notional: Atoms(1 << 40), ..allowance });
        assert_eq!(weakly(&mut venue, A, grade, more), "rejected EvidenceTooWeak", "it never widens itself");
    }
    let scope = KeyScope { operations: KeyScope::PLACE | KeyScope::CANCEL, market: None, account: None };
    venue.send(A, Operation::NarrowKey { key: KeyId(1), scope });
    assert_eq!(weakly(&mut venue, A, Signed, operation), "rejected OutOfScope");
}

#[test]
fn it_ends_with_its_time() {
    let mut venue = Venue::new();
    let allowance = an_hour(&venue, 1_000);
    allow(&mut venue, allowance);
    venue.now = Timestamp(allowance.until.0 - 1);
    assert_eq!(place(&mut venue, Delegated, bid(100, 1)), "accepted, rests 1", "a nanosecond before");
    venue.now = allowance.until;
    assert_eq!(place(&mut venue, Delegated, bid(100, 1)), "rejected EvidenceTooWeak");
}

#[test]
fn orders_come_to_no_more_than_the_sum() {
    let mut venue = Venue::new();
    let allowance = an_hour(&venue, 1_000);
    allow(&mut venue, allowance);
    venue.placed(B, ask(110, 50));
    assert_eq!(place(&mut venue, Delegated, bid(100, 6)), "accepted, rests 6");
    assert_eq!(place(&mut venue, Delegated, bid(101, 4)), "rejected KeyLimitReached", "600 and 404");
    assert_eq!(place(&mut venue, Delegated, market_buy(4)), "rejected KeyLimitReached", "up to 115 each");
    assert_eq!(place(&mut venue, Delegated, ask(200, 2)), "accepted, rests 2", "either side counts");
    assert_eq!(place(&mut venue, Delegated, bid(10, 1)), "rejected KeyLimitReached", "all is used up");
    let cancel_all = lakh_engine::command::CancelAll { market: None, side: None };
    let gone = weakly(&mut venue, A, Delegated, Operation::CancelAll(cancel_all));
    assert!(gone.starts_with("mass cancel"), "who may place may cancel: {gone}");
    assert_eq!(place(&mut venue, Delegated, bid(10, 1)), "rejected KeyLimitReached", "what is cancelled counts too");
    assert_eq!(told(&venue.place(A, bid(10, 1))), "accepted, rests 1", "what is signed does not count");
    allow(&mut venue, allowance);
    assert_eq!(place(&mut venue, Delegated, bid(100, 10)), "accepted, rests 10", "a new word is a new sum");
}

#[test]
fn it_is_the_owners_for_all_of_his_accounts_together() {
    let mut venue = Venue::new();
    let allowance = an_hour(&venue, 1_000);
    allow(&mut venue, allowance);
    venue.send(A, Operation::OpenSubAccount);
    // The first of a venue with room for 8 accounts.
    let sub_account = AccountId(7);
    let transfer = lakh_engine::command::Transfer { to: sub_account, asset: USD, amount: Atoms(5_000) };
    venue.send(A, Operation::Transfer(transfer));
    let operation = |order: Draft| Operation::PlaceOrder(order.0);
    assert_eq!(weakly(&mut venue, sub_account, Delegated, operation(bid(100, 6))), "accepted, rests 6");
    assert_eq!(place(&mut venue, Delegated, bid(100, 5)), "rejected KeyLimitReached", "600 and 500");
    let own = Operation::AllowEvidence(an_hour(&venue, 1));
    assert_eq!(weakly(&mut venue, sub_account, Signed, own), "rejected OtherOwner", "an owner's alone");
    assert_eq!(told(&venue.place(B, bid(10, 1))), "accepted, rests 1", "nobody else's");
}

#[test]
fn a_frame_is_on_full_evidence_or_not_at_all() {
    let mut venue = Venue::new();
    let allowance = an_hour(&venue, 1_000);
    allow(&mut venue, allowance);
    let mut frame = venue.framed(A, &[FrameOperation::PlaceOrder(bid(100, 1).0)]);
    frame.grade = HeaderKeyed;
    assert_eq!(told(&venue.apply(Command::Frame(frame))), "rejected EvidenceTooWeak");
}

#[test]
fn what_no_owner_can_mean_is_refused() {
    let mut venue = Venue::new();
    let good = an_hour(&venue, 1_000);
    let cases = [
        (EvidenceAllowance { grade: Signed, ..good }, "BadSpecification"),
        (EvidenceAllowance { grade: Native, ..good }, "BadSpecification"),
        (EvidenceAllowance { until: venue.now, ..good }, "ExpiryPassed"),
        (EvidenceAllowance { until: Timestamp(venue.now.0 + 367 * DAY), ..good }, "BadSpecification"),
        (EvidenceAllowance { quote: lakh_engine::ids::AssetId(60), ..good }, "AssetUnknown"),
        (EvidenceAllowance { notional: Atoms(0), ..good }, "AmountOutOfRange"),
    ];
    for (allowance, code) in cases {
        assert_eq!(allow(&mut venue, allowance), format!("rejected {code}"), "{allowance:?}");
    }
    let other = EvidenceAllowance { quote: BTC, ..good };
    assert_eq!(allow(&mut venue, other), "allowed Delegated");
    assert_eq!(place(&mut venue, Delegated, bid(10, 1)), "rejected KeyLimitReached", "a market of another quote asset");
}

#[test]
fn a_snapshot_keeps_what_is_left() {
    let mut venue = Venue::new();
    let allowance = an_hour(&venue, 1_000);
    allow(&mut venue, allowance);
    place(&mut venue, Delegated, bid(100, 6));
    let bytes = venue.engine.snapshot();
    let restored = lakh_engine::Engine::from_snapshot(&bytes).expect("its own snapshot");
    assert_eq!(restored.state_hash(), venue.engine.state_hash());
    venue.engine = restored;
    assert_eq!(place(&mut venue, Delegated, bid(100, 5)), "rejected KeyLimitReached");
    assert_eq!(place(&mut venue, Delegated, bid(100, 4)), "accepted, rests 4");
}
