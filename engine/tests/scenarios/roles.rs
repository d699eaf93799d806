//! Operators: one is enough to stop something, two are needed where money is touched; and records that stopped the engine.

use lakh_engine::Engine;
use lakh_engine::command::{AdminAction, AdminAuthority, AdminCommand, Command, MarketState, Operation};
use lakh_engine::ids::{FeeTier, KeyId, Reason, Sequence};
use lakh_engine::market_spec::FeeTable;
use lakh_engine::reject::RejectCode::{NotAuthorised, NotQuarantined, SecondRoleNeeded, WrongAdminNonce};
use lakh_engine::units::FeeRate;

use crate::support::venue::rejection;
use crate::support::{A, BTCUSD, Options, Venue, bid, check, told};

/// A venue with two operators.
fn venue() -> Venue {
    Venue::with(Options { roles: 2, ..Options::default() })
}

fn fees() -> AdminAction {
    AdminAction::SetFees { market: BTCUSD, fees: FeeTable::flat(FeeRate(0), FeeRate(0)) }
}

fn quarantine(sequence: Sequence) -> AdminAction {
    AdminAction::Quarantine { sequence }
}

#[test]
fn what_touches_money_needs_two() {
    let mut venue = venue();
    let registration = lakh_engine::command::RegisterKey {
        account: A,
        public_key: crate::support::venue::public_key(40),
        epoch: 2,
        expires_at: lakh_engine::units::Timestamp::ZERO,
        digest_capacity: 1,
    };
    for action in [
        fees(),
        AdminAction::SetFeeTier { account: A, tier: FeeTier(1) },
        AdminAction::RegisterKey(registration),
        AdminAction::ListAsset(crate::support::venue::assets()[0]),
        quarantine(Sequence(1)),
    ] {
        assert_eq!(rejection(&venue.admin(action)), Some(SecondRoleNeeded), "{action:?}");
    }
}

#[test]
fn a_second_word_is_enough() {
    let mut venue = venue();
    assert_eq!(told(&venue.admin_by_two(fees())), "fees");
    assert_eq!((venue.engine.role_nonce(0), venue.engine.role_nonce(1)), (Some(1), Some(1)), "both are used up");
}

#[test]
fn to_stop_something_one_is_enough() {
    let mut venue = venue();
    let halt = AdminAction::SetMarketState { market: BTCUSD, state: MarketState::Halt };
    assert_eq!(told(&venue.admin(halt)), "state Halt");
    assert_eq!(told(&venue.admin(AdminAction::RevokeKey { key: KeyId(1) })), "key 1 Revoked");
}

#[test]
fn one_operator_is_not_two() {
    let mut venue = venue();
    let two =
        |role, nonce, second_role, second_nonce| AdminAuthority::TwoRoles { role, nonce, second_role, second_nonce };
    for (authority, code) in [
        (two(0, 1, 0, 1), NotAuthorised),
        (two(0, 1, 2, 1), NotAuthorised),
        (two(0, 1, 9, 1), NotAuthorised),
        (two(0, 2, 1, 1), WrongAdminNonce),
        (two(0, 1, 1, 2), WrongAdminNonce),
    ] {
        assert_eq!(rejection(&venue.decide(authority, fees())), Some(code), "{authority:?}");
    }
    assert_eq!((venue.engine.role_nonce(0), venue.engine.role_nonce(1)), (Some(0), Some(0)), "nothing is used up");
    assert_eq!(told(&venue.decide(two(1, 1, 0, 1), fees())), "fees", "in either order");
}

#[test]
fn a_demonstration_with_one_operator_has_to_do_with_one() {
    assert_eq!(told(&Venue::new().admin(fees())), "fees");
}

#[test]
fn two_roles_with_one_key_are_refused_at_the_genesis() {
    let mut genesis = crate::support::venue::genesis(Options::default().capacities);
    genesis.role_keys[3] = genesis.role_keys[0];
    let events = Venue::bare().apply(Command::Genesis(genesis));
    assert_eq!(told(&events), "rejected BadSpecification");
}

/// An order at the venue's next sequence, and the decision that takes it out of the journal's meaning.
fn poisoned(venue: &Venue) -> (Command, Command) {
    let order = Command::Signed(venue.signed(A, Operation::PlaceOrder(bid(100, 5).0)));
    let (sequence, nonce) = (Sequence(venue.engine.sequence().0 + 1), 1);
    let authority = AdminAuthority::TwoRoles { role: 0, nonce, second_role: 1, second_nonce: nonce };
    let reason = Reason::new("it stopped the engine").expect("short");
    (order, Command::Admin(AdminCommand { authority, action: quarantine(sequence), reason }))
}

#[test]
fn a_quarantined_record_is_passed_over_by_everybody() {
    let mut venue = venue();
    let (_, decision) = poisoned(&venue);
    assert!(venue.engine.is_quarantined_by(&decision));
    let mut other = Engine::from_snapshot(&venue.engine.snapshot()).expect("a snapshot");
    let mut events = Vec::new();
    for engine in [&mut venue.engine, &mut other] {
        let sequence = engine.sequence().0;
        engine.pass_over(Sequence(sequence + 1), venue.now);
        engine.apply(Sequence(sequence + 2), venue.now, &decision, &mut events);
        assert_eq!(told(&events), format!("quarantined {}", sequence + 1));
    }
    assert_eq!(venue.engine.state_hash(), other.state_hash());
    check(&venue, "");
    assert_eq!(venue.engine.role_nonce(0), Some(1));
    let again = Engine::from_snapshot(&venue.engine.snapshot()).expect("a snapshot");
    assert_eq!(again.state_hash(), venue.engine.state_hash(), "what was passed over is state");
}

#[test]
fn a_record_that_was_applied_can_not_be_undone() {
    let mut venue = venue();
    let (order, decision) = poisoned(&venue);
    venue.must(order);
    assert_eq!(rejection(&venue.apply(&decision)), Some(NotQuarantined));
    check(&venue, "5a | 100 |");
}

#[test]
fn only_the_very_next_record_and_good_authority_quarantine() {
    let venue = venue();
    let (_, decision) = poisoned(&venue);
    let Command::Admin(admin) = decision else { panic!("a decision") };
    let sequence = venue.engine.sequence().0;
    let by = |authority| Command::Admin(AdminCommand { authority, ..admin });
    let of = |number| Command::Admin(AdminCommand { action: quarantine(Sequence(number)), ..admin });
    assert!(venue.engine.is_quarantined_by(&of(sequence + 1)));
    for (command, why) in [
        (of(sequence), "it was applied"),
        (of(sequence + 2), "it stands behind"),
        (by(AdminAuthority::Node), "the node decides on no money"),
        (by(AdminAuthority::Genesis), "the genesis is over"),
        (by(AdminAuthority::Role { role: 0, nonce: 1 }), "two are needed"),
        (by(AdminAuthority::TwoRoles { role: 0, nonce: 2, second_role: 1, second_nonce: 1 }), "a wrong nonce"),
        (Command::AdvanceTime, "no decision"),
    ] {
        assert!(!venue.engine.is_quarantined_by(&command), "{why}");
    }
    assert!(!Engine::new().is_quarantined_by(&decision), "no genesis, no operators");
}
