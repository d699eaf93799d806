//! Deposits, withdrawals and the chain's queue.

use lakh_engine::command::{Command, Deposit, FundsSource, Withdraw};
use lakh_engine::ids::{AccountId, AssetId};
use lakh_engine::reject::RejectCode::{
    AmountOutOfRange, AssetUnknown, GenesisOver, InsufficientBalance, NotAuthorised, TableFull, WrongAccount,
    WrongQueueId,
};
use lakh_engine::units::Atoms;

use crate::support::venue::{owner, rejection};
use crate::support::{A, BTC, Options, USD, Venue, bid, told};

const SUPPLY_CAP: u64 = 1 << 62;

#[test]
fn a_deposit_credits_or_opens_the_next_account() {
    let mut venue = Venue::new();
    assert_eq!(told(&venue.deposit(A, USD, 5)), "deposit 5");
    assert_eq!(venue.funds(A, USD), (1_000_000_005, 0));
    let next = AccountId(4);
    assert_eq!(told(&venue.deposit(next, USD, 5)), "account 4, deposit 5");
    assert_eq!(venue.funds(next, USD), (5, 0));
    assert_eq!(venue.engine.supply(USD), Some(Atoms(3_000_000_010)));
    assert_eq!(venue.engine.account_count(), 5);
}

#[test]
fn each_queue_entry_is_used_once_and_in_order() {
    let mut venue = Venue::new();
    let entry = |queue_id| {
        let source = FundsSource::ChainQueue { queue_id };
        Command::Deposit(Deposit { account: A, owner: owner(A), asset: USD, amount: Atoms(1), source })
    };
    assert_eq!(rejection(&venue.apply(entry(2))), Some(WrongQueueId), "1 is missing");
    assert_eq!(rejection(&venue.apply(entry(0))), Some(WrongQueueId));
    assert_eq!(rejection(&venue.apply(entry(1))), None);
    assert_eq!(rejection(&venue.apply(entry(1))), Some(WrongQueueId), "used");
    let source = FundsSource::ChainQueue { queue_id: 2 };
    let withdraw = Command::Withdraw(Withdraw { account: A, asset: USD, amount: Atoms(1), source });
    assert_eq!(told(&venue.apply(withdraw)), "withdrawal 1", "one queue for both directions");
    assert_eq!(rejection(&venue.apply(withdraw)), Some(WrongQueueId));
    assert_eq!(venue.engine.last_queue_id(), 2);
}

#[test]
fn a_withdrawal_takes_only_what_is_available_and_uses_its_entry_up() {
    let mut venue = Venue::with(Options { deposit: 1_000, ..Options::default() });
    venue.placed(A, bid(50, 10));
    assert_eq!(venue.funds(A, USD), (490, 510));
    assert_eq!(rejection(&venue.withdraw(A, USD, 491)), Some(InsufficientBalance));
    assert_eq!(venue.engine.last_queue_id(), venue.queue_id(), "the entry is used up");
    assert_eq!(told(&venue.withdraw(A, USD, 490)), "withdrawal 490");
    assert_eq!(venue.funds(A, USD), (0, 510));
    assert_eq!(venue.engine.supply(USD), Some(Atoms(2_510)));
}

#[test]
fn refused_movements_leave_their_entry_for_later() {
    let mut venue = Venue::new();
    let cases = [
        (A, owner(A), AssetId(3), 1, AssetUnknown),
        (AccountId(0), [0; 20], USD, 1, WrongAccount),
        (A, [9; 20], USD, 1, WrongAccount),
        (AccountId(5), owner(AccountId(5)), USD, 1, WrongAccount),
        (A, owner(A), USD, 0, AmountOutOfRange),
        (A, owner(A), USD, u64::MAX, AmountOutOfRange),
    ];
    for (account, owner, asset, amount, code) in cases {
        let source = FundsSource::ChainQueue { queue_id: 1 };
        let deposit = Deposit { account, owner, asset, amount: Atoms(amount), source };
        assert_eq!(rejection(&venue.apply(Command::Deposit(deposit))), Some(code), "{deposit:?}");
        assert_eq!(venue.engine.last_queue_id(), 0);
    }
    let withdrawals = [
        (A, AssetId(3), 1, AssetUnknown),
        (AccountId(0), USD, 1, WrongAccount),
        (AccountId(7), USD, 1, WrongAccount),
        (A, USD, 0, AmountOutOfRange),
    ];
    for (account, asset, amount, code) in withdrawals {
        let source = FundsSource::ChainQueue { queue_id: 1 };
        let withdraw = Withdraw { account, asset, amount: Atoms(amount), source };
        assert_eq!(rejection(&venue.apply(Command::Withdraw(withdraw))), Some(code), "{withdraw:?}");
        assert_eq!(venue.engine.last_queue_id(), 0);
    }
}

#[test]
fn nothing_rests_on_the_genesis_after_it() {
    let mut venue = Venue::new();
    let source = FundsSource::Genesis;
    let deposit = Deposit { account: A, owner: owner(A), asset: USD, amount: Atoms(1), source };
    assert_eq!(rejection(&venue.apply(Command::Deposit(deposit))), Some(GenesisOver));
    for mut venue in [venue, Venue::in_genesis(Options::default())] {
        let withdraw = Withdraw { account: A, asset: USD, amount: Atoms(1), source };
        assert_eq!(rejection(&venue.apply(Command::Withdraw(withdraw))), Some(NotAuthorised), "never by the genesis");
    }
}

#[test]
fn accounts_are_bounded() {
    let mut venue = Venue::new();
    for account in 4..8 {
        assert_eq!(rejection(&venue.deposit(AccountId(account), BTC, 1)), None);
    }
    assert_eq!(rejection(&venue.deposit(AccountId(8), BTC, 1)), Some(TableFull));
}

#[test]
fn the_supply_is_bounded_by_what_is_there_not_by_what_ever_came() {
    let mut venue = Venue::with(Options { deposit: 0, ..Options::default() });
    for _ in 0..2 {
        assert_eq!(rejection(&venue.deposit(A, USD, SUPPLY_CAP)), None);
        let source = FundsSource::ChainQueue { queue_id: venue.queue_id() + 1 };
        let more = Deposit { account: A, owner: owner(A), asset: USD, amount: Atoms(1), source };
        assert_eq!(rejection(&venue.apply(Command::Deposit(more))), Some(AmountOutOfRange));
        assert_eq!(rejection(&venue.withdraw(A, USD, SUPPLY_CAP)), None);
    }
    assert_eq!(venue.engine.supply(USD), Some(Atoms(0)));
}
