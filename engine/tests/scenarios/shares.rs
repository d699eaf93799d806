//! Tables that all owners share: how much of one each may have, and who gets in when it is nearly full.

use lakh_engine::command::{Operation, RegisterKey};
use lakh_engine::ids::{AccountId, KeyId};
use lakh_engine::reject::RejectCode::TableShareTaken;
use lakh_engine::units::Timestamp;

use crate::support::venue::{public_key, refusal, register_entry, rejection};
use crate::support::{A, B, Options, Venue, ask, bid, told};

/// A venue of many: nobody holds more than an eighth of a table.
fn venue(traders: u32) -> Venue {
    let mut options = Options { traders, max_orders: 64, share_parts: 8, ..Options::default() };
    options.capacities.accounts = 32;
    options.capacities.keys = 32;
    Venue::with(options)
}

#[test]
fn nobody_holds_more_than_his_part_of_a_book() {
    let mut venue = venue(3);
    for _ in 0..8 {
        venue.placed(A, bid(90, 1));
    }
    assert_eq!(told(&venue.place(A, bid(90, 1))), "rejected TableShareTaken", "an eighth of 64");
    assert_eq!(
        told(&venue.place(A, ask(90, 1).ioc())),
        "accepted, trade 1 @ 90 with a",
        "what does not rest needs no room"
    );
    assert_eq!(told(&venue.place(A, bid(90, 1))), "accepted, rests 1", "one was filled");
    assert_eq!(told(&venue.place(B, bid(90, 1))), "accepted, rests 1", "others are not concerned");
}

#[test]
fn an_owners_sub_accounts_count_as_one() {
    let mut venue = venue(3);
    assert_eq!(rejection(&venue.send(A, Operation::OpenSubAccount)), None);
    let sub_account = AccountId(31);
    let money = lakh_engine::command::Transfer {
        to: sub_account,
        asset: crate::support::USD,
        amount: lakh_engine::units::Atoms(10_000),
    };
    venue.send(A, Operation::Transfer(money));
    for _ in 0..5 {
        venue.placed(A, bid(90, 1));
    }
    let place = Operation::PlaceOrder(bid(90, 1).0);
    let by_sub_account = |venue: &mut Venue| {
        let request = venue.signed_by(KeyId(1), sub_account, place);
        told(&venue.apply(request))
    };
    for _ in 0..3 {
        assert_eq!(by_sub_account(&mut venue), "accepted, rests 1");
    }
    assert_eq!(by_sub_account(&mut venue), "rejected TableShareTaken");
    assert_eq!(told(&venue.place(A, bid(90, 1))), "rejected TableShareTaken");
}

#[test]
fn a_replaced_order_frees_its_own_room() {
    let mut venue = venue(3);
    let first = venue.placed(A, bid(90, 1));
    for _ in 0..7 {
        venue.placed(A, bid(90, 1));
    }
    assert_eq!(told(&venue.replace(A, first, bid(91, 1))), "canceled 1a Requested, replaced, accepted, rests 1");
}

#[test]
fn nobody_has_more_than_his_part_of_the_keys_and_digests() {
    let mut venue = venue(3);
    let registration = |number: u32, epoch, digest_capacity| RegisterKey {
        account: A,
        public_key: public_key(number),
        epoch,
        expires_at: Timestamp::ZERO,
        digest_capacity,
    };
    // An eighth of 256 digests is 32, of which the first key has 8; an eighth of 32 keys is 4.
    assert_eq!(venue.register_key(registration(40, 2, 25)).err(), Some(TableShareTaken));
    assert!(venue.register_key(registration(40, 2, 22)).is_ok());
    assert!(venue.register_key(registration(41, 3, 0)).is_ok());
    assert_eq!(refusal(&venue.enter(register_entry(A, 42, 0))), None, "two digests are left");
    assert_eq!(venue.register_key(registration(43, 5, 0)).err(), Some(TableShareTaken), "it would be the fifth");
    assert_eq!(refusal(&venue.enter(register_entry(A, 43, 0))), Some(TableShareTaken), "through the chain too");
}

#[test]
fn a_crowded_book_lets_in_only_who_has_less_than_a_fair_share() {
    let mut venue = venue(12);
    // Six owners take three quarters of 64.
    for trader in 1..=6 {
        for _ in 0..8 {
            venue.placed(AccountId(trader), bid(90, 1));
        }
    }
    // Seven would have 9 each, so a newcomer gets the eight that are anybody's.
    for _ in 0..8 {
        assert_eq!(told(&venue.place(AccountId(7), bid(90, 1))), "accepted, rests 1");
    }
    assert_eq!(told(&venue.place(AccountId(7), bid(90, 1))), "rejected TableShareTaken");
}

#[test]
fn a_new_price_in_a_crowded_book_is_for_who_has_less_than_a_fair_share_too() {
    let mut venue = venue(12);
    for trader in 1..=4 {
        for level in 0..6 {
            venue.placed(AccountId(trader), bid(50 + u64::from(trader) * 10 + level, 1));
        }
    }
    // 24 of 32 levels are taken by four owners with six orders each; a fair share is eight.
    for level in 0..2 {
        assert_eq!(told(&venue.place(A, bid(40 + level, 1))), "accepted, rests 1");
    }
    let mut crowded = Venue::with(Options { traders: 3, share_parts: 2, ..Options::default() });
    for level in 0..24 {
        crowded.placed(A, bid(50 + level, 1));
    }
    crowded.placed(B, bid(50, 1));
    assert_eq!(told(&crowded.place(A, bid(40, 1))), "rejected TableShareTaken", "two owners share 32 levels");
    assert_eq!(told(&crowded.place(A, bid(60, 1))), "accepted, rests 1", "at a price that is there it needs none");
    assert_eq!(told(&crowded.place(B, bid(40, 1))), "accepted, rests 1");
}
