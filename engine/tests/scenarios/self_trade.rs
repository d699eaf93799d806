//! Orders that meet their own account's orders: the incoming order's mode decides.

use lakh_engine::command::Operation;
use lakh_engine::command::SelfTradeMode::{Decrement, ExpireBoth, ExpireMaker, ExpireTaker, None as Nothing};
use lakh_engine::ids::AccountId;

use crate::support::venue::{by_owner_of, deposit_entry};
use crate::support::{A, B, BTC, C, Options, USD, Venue, ask, bid, buy_for, check, told};

/// 2a and 3b at 100, 4a at 101.
fn venue() -> Venue {
    let mut venue = Venue::new();
    venue.placed(A, ask(100, 2));
    venue.placed(B, ask(100, 3));
    venue.placed(A, ask(101, 4));
    venue
}

#[test]
fn without_a_mode_they_trade() {
    let mut venue = venue();
    let events = venue.place(A, bid(100, 4).on_self_trade(Nothing));
    assert_eq!(told(&events), "accepted, trade 2 @ 100 with a, trade 2 @ 100 with b");
    // Both fees of the trade with oneself, 4 and 2, and 200 + 4 for b's lots.
    assert_eq!(venue.funds(A, USD), (1_000_000_000 - 6 - 204, 0));
    assert_eq!(venue.funds(A, BTC), (1_000_000_002 - 4, 4));
}

#[test]
fn expire_taker_drops_what_is_left() {
    let mut venue = venue();
    let events = venue.place(A, bid(100, 4).on_self_trade(ExpireTaker));
    assert_eq!(told(&events), "accepted, canceled 4a SelfTrade");
    let events = venue.place(B, bid(101, 4).on_self_trade(ExpireTaker));
    assert_eq!(told(&events), "accepted, trade 2 @ 100 with a, canceled 2b SelfTrade");
    check(
        &venue,
        "| 101 | 4a
                   | 100 | 3b",
    );
    assert_eq!(venue.funds(B, USD).1, 0);
}

#[test]
fn expire_maker_drops_the_resting_order_and_goes_on() {
    let mut venue = venue();
    let events = venue.place(A, bid(101, 5).on_self_trade(ExpireMaker));
    let expected = "accepted, canceled 2a SelfTrade, trade 3 @ 100 with b, canceled 4a SelfTrade, rests 2";
    assert_eq!(told(&events), expected);
    check(&venue, "2a | 101 |");
    assert_eq!(venue.funds(A, BTC), (1_000_000_003, 0), "what the dropped orders held is free");
}

#[test]
fn the_takers_mode_decides_not_the_makers() {
    let mut venue = Venue::new();
    venue.placed(A, ask(100, 2).on_self_trade(ExpireMaker));
    let events = venue.place(A, bid(100, 2).on_self_trade(Nothing));
    assert_eq!(told(&events), "accepted, trade 2 @ 100 with a");
}

#[test]
fn fill_or_kill_does_not_count_on_its_own_orders() {
    let mut first = venue();
    let events = first.place(A, bid(101, 4).fok().on_self_trade(ExpireMaker));
    assert_eq!(told(&events), "accepted, canceled 4a FillOrKill", "b has only 3");
    check(
        &first,
        "| 101 | 4a
                   | 100 | 2a 3b",
    );
    let events = first.place(A, bid(101, 3).fok().on_self_trade(ExpireMaker));
    assert_eq!(told(&events), "accepted, canceled 2a SelfTrade, trade 3 @ 100 with b");
    let mut second = venue();
    let events = second.place(A, bid(101, 1).fok().on_self_trade(ExpireTaker));
    assert_eq!(told(&events), "accepted, canceled 1a FillOrKill", "its own order is first in the way");
    let events = second.place(A, bid(101, 9).fok().on_self_trade(Nothing));
    assert_eq!(told(&events), "accepted, trade 2 @ 100 with a, trade 3 @ 100 with b, trade 4 @ 101 with a");
}

#[test]
fn a_budget_that_only_took_its_own_orders_off_still_ends() {
    let mut venue = Venue::with(Options::default());
    venue.placed(A, ask(100, 2));
    venue.placed(B, ask(104, 2));
    let events = venue.place(A, buy_for(103).on_self_trade(ExpireMaker));
    assert_eq!(told(&events), "accepted, canceled 2a SelfTrade, canceled 0a NotFilled", "104 is dearer than 103");
}

#[test]
fn self_trades_count_as_touched_orders() {
    let mut venue = Venue::with(Options { max_orders: 2_048, ..Options::default() });
    for _ in 0..1_025 {
        venue.placed(A, ask(100, 1));
    }
    venue.placed(B, ask(100, 1));
    let events = venue.place(A, bid(100, 1).on_self_trade(ExpireMaker));
    assert!(told(&events).ends_with("canceled 1a SelfTrade, canceled 1a MaxFills"));
    let events = venue.place(A, bid(100, 1).on_self_trade(ExpireMaker));
    assert_eq!(told(&events), "accepted, canceled 1a SelfTrade, trade 1 @ 100 with b");
}

#[test]
fn expire_both_drops_the_two_that_met() {
    let mut venue = venue();
    let events = venue.place(B, bid(101, 9).on_self_trade(ExpireBoth));
    assert_eq!(told(&events), "accepted, trade 2 @ 100 with a, canceled 3b SelfTrade, canceled 7b SelfTrade");
    check(&venue, "| 101 | 4a");
    assert_eq!(venue.funds(B, BTC).1 + venue.funds(B, USD).1, 0, "nothing stays held");
}

#[test]
fn decrement_takes_the_overlap_off_both() {
    let mut first = venue();
    let events = first.place(A, bid(100, 9).on_self_trade(Decrement));
    let expected = "accepted, canceled 2a SelfTrade, reduced to 7, trade 3 @ 100 with b, rests 4";
    assert_eq!(told(&events), expected, "the larger one goes on");
    check(
        &first,
        "    | 101 | 4a
                  4a | 100 |",
    );
    let mut second = Venue::new();
    second.placed(A, ask(100, 5));
    let events = second.place(A, bid(100, 2).on_self_trade(Decrement));
    assert_eq!(told(&events), "accepted, reduced to 3, canceled 2a SelfTrade");
    check(&second, "| 100 | 3a");
    assert_eq!(second.funds(A, BTC), (1_000_000_000 - 3, 3), "what was taken off is free");
    let events = second.place(A, bid(100, 3).on_self_trade(Decrement));
    assert_eq!(told(&events), "accepted, canceled 3a SelfTrade, canceled 3a SelfTrade", "two alike both go");
    check(&second, "");
}

#[test]
fn a_decremented_order_can_be_amended_by_what_is_left_of_it() {
    let mut venue = Venue::new();
    let order = venue.placed(A, ask(100, 8));
    venue.place(A, bid(100, 3).on_self_trade(Decrement));
    assert_eq!(told(&venue.amend(A, order, 5)), "rejected AmendNotSmaller", "it is 5 by now");
    assert_eq!(told(&venue.amend(A, order, 4)), "reduced to 4");
}

#[test]
fn decrement_of_a_budget_takes_money_off_it() {
    let mut venue = Venue::new();
    venue.placed(A, ask(100, 2));
    venue.placed(B, ask(101, 9));
    let events = venue.place(A, buy_for(505).on_self_trade(Decrement));
    let expected = "accepted, canceled 2a SelfTrade, reduced to 0, trade 3 @ 101 with b";
    assert_eq!(told(&events), expected, "305 are left behind 2 at 100");
    venue.placed(B, ask(100, 2));
    let events = venue.place(B, buy_for(200).on_self_trade(Decrement));
    let expected = "accepted, canceled 2b SelfTrade, reduced to 0, canceled 0b SelfTrade";
    assert_eq!(told(&events), expected, "nothing is left of it");
}

#[test]
fn fill_or_kill_counts_on_nothing_behind_an_order_that_would_stop_it() {
    for mode in [ExpireBoth, Decrement] {
        let mut venue = venue();
        let events = venue.place(A, bid(101, 3).fok().on_self_trade(mode));
        assert_eq!(told(&events), "accepted, canceled 3a FillOrKill");
        check(
            &venue,
            "| 101 | 4a
                       | 100 | 2a 3b",
        );
    }
}

#[test]
fn accounts_that_both_signed_are_one_group() {
    let mut venue = Venue::new();
    let join = Operation::SetSelfTradeGroup { group: A };
    assert_eq!(told(&venue.send(B, join)), "rejected GroupNotConsented");
    assert_eq!(told(&venue.send(A, Operation::InviteToSelfTradeGroup { invited: B })), "b invited by a");
    venue.placed(A, ask(100, 2));
    let events = venue.place(B, bid(100, 1).on_self_trade(ExpireTaker));
    assert_eq!(told(&events), "accepted, trade 1 @ 100 with a", "an invitation alone is nothing");
    assert_eq!(told(&venue.send(B, join)), "b in group 1");
    let events = venue.place(B, bid(100, 1).on_self_trade(ExpireTaker));
    assert_eq!(told(&events), "accepted, canceled 1b SelfTrade");
    venue.placed(B, bid(99, 1));
    let events = venue.place(A, ask(99, 1).on_self_trade(ExpireMaker));
    assert_eq!(told(&events), "accepted, canceled 1b SelfTrade, rests 1", "the founding account too");
    let events = venue.place(C, bid(99, 1).on_self_trade(ExpireTaker));
    assert_eq!(told(&events), "accepted, trade 1 @ 99 with a", "others are not in it");
    assert_eq!(told(&venue.send(B, Operation::SetSelfTradeGroup { group: B })), "b in group 2");
    let events = venue.place(B, bid(100, 1).on_self_trade(ExpireTaker));
    assert_eq!(told(&events), "accepted, trade 1 @ 100 with a", "it left");
}

#[test]
fn nobody_pulls_a_rival_into_his_group() {
    let mut venue = Venue::new();
    venue.send(A, Operation::InviteToSelfTradeGroup { invited: B });
    venue.placed(B, ask(100, 1));
    let events = venue.place(A, bid(100, 1).on_self_trade(ExpireMaker));
    assert_eq!(told(&events), "accepted, trade 1 @ 100 with b", "b never agreed");
    assert_eq!(told(&venue.send(B, Operation::SetSelfTradeGroup { group: C })), "rejected GroupNotConsented");
    for nobody in [0, 9] {
        let nobody = AccountId(nobody);
        assert_eq!(told(&venue.send(A, Operation::SetSelfTradeGroup { group: nobody })), "rejected AccountUnknown");
        let invitation = Operation::InviteToSelfTradeGroup { invited: nobody };
        assert_eq!(told(&venue.send(A, invitation)), "rejected AccountUnknown");
    }
}

#[test]
fn accounts_of_one_owner_need_no_invitation_and_members_found_no_group() {
    let mut venue = Venue::new();
    let fourth = AccountId(4);
    venue.enter(by_owner_of(A, deposit_entry(fourth, USD, 10_000)));
    let key = venue.register_live_key(fourth, 20);
    let join = venue.signed_by(key, fourth, Operation::SetSelfTradeGroup { group: A });
    assert_eq!(told(&venue.apply(join)), "d in group 1");
    venue.send(A, Operation::InviteToSelfTradeGroup { invited: B });
    let invite = venue.signed_by(key, fourth, Operation::InviteToSelfTradeGroup { invited: B });
    venue.must(invite);
    let events = venue.send(B, Operation::SetSelfTradeGroup { group: fourth });
    assert_eq!(told(&events), "rejected GroupNotConsented", "d is in a's group, which is not named after d");
}
