//! Money in and out: what it starts with, and what the chain's queue brings and takes.

use lakh_engine::command::{ChainEntry, Command, Deposit};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, AssetId};
use lakh_engine::reject::RejectCode::{
    AmountOutOfRange, AssetUnknown, GenesisOver, InsufficientBalance, TableFull, WrongAccount,
};
use lakh_engine::units::Atoms;

use crate::support::venue::{deposit_entry, owner, padded, refusal, rejection};
use crate::support::{A, BTC, Options, USD, Venue, bid, told};

const SUPPLY_CAP: u64 = 1 << 62;
/// The first account that no trader has.
const NEXT: AccountId = AccountId(4);

#[test]
fn a_deposit_credits_or_opens_the_next_account() {
    let mut venue = Venue::new();
    assert_eq!(told(&venue.deposit(A, USD, 5)), "deposit 5, entry 1");
    assert_eq!(venue.funds(A, USD), (1_000_000_005, 0));
    assert_eq!(told(&venue.deposit(NEXT, USD, 5)), "account 4, deposit 5, entry 2");
    assert_eq!(venue.funds(NEXT, USD), (5, 0));
    assert_eq!(venue.engine.supply(USD), Some(Atoms(3_000_000_010)));
    assert_eq!(venue.engine.account_count(), 5);
}

#[test]
fn an_entrys_end_is_its_last_event_and_its_balance_stands_before() {
    let events = Venue::new().deposit(NEXT, USD, 5);
    let (account, asset) = (NEXT, USD);
    assert_eq!(
        events,
        [
            Event::AccountOpened { account, owner: owner(NEXT) },
            Event::DepositCredited { account, asset, amount: Atoms(5), report_sequence: 1 },
            Event::BalanceChanged { account, asset, available: Atoms(5), held: Atoms(0) },
            Event::ChainEntryConsumed { queue_id: 1, refused: None },
        ]
    );
}

#[test]
fn a_withdrawal_takes_only_what_is_available_and_uses_its_entry_up() {
    let mut venue = Venue::with(Options { deposit: 1_000, ..Options::default() });
    venue.placed(A, bid(50, 10));
    assert_eq!(venue.funds(A, USD), (490, 510));
    assert_eq!(told(&venue.withdraw(A, USD, 491)), "entry 1 refused InsufficientBalance");
    assert_eq!(told(&venue.withdraw(A, USD, 490)), "withdrawal 490, entry 2");
    assert_eq!(venue.funds(A, USD), (0, 510));
    assert_eq!(venue.engine.supply(USD), Some(Atoms(2_510)));
}

#[test]
fn what_cannot_be_credited_goes_back_and_the_queue_goes_on() {
    let mut venue = Venue::new();
    let fine = deposit_entry(A, USD, 1);
    let mut unpadded = padded(owner(A));
    unpadded[11] = 1;
    let cases = [
        (ChainEntry { asset: AssetId(3), ..fine }, AssetUnknown),
        (ChainEntry { account: AccountId(0), extra: [0; 32], ..fine }, WrongAccount),
        (ChainEntry { extra: padded([9; 20]), ..fine }, WrongAccount),
        (ChainEntry { extra: unpadded, ..fine }, WrongAccount),
        (deposit_entry(AccountId(5), USD, 1), WrongAccount),
        (ChainEntry { amount: Atoms(0), ..fine }, AmountOutOfRange),
        (ChainEntry { amount: Atoms(u64::MAX), ..fine }, AmountOutOfRange),
    ];
    let supply = venue.engine.supply(USD);
    for (queue_id, (entry, code)) in (1..).zip(cases) {
        let ChainEntry { account, asset, amount, .. } = entry;
        let returned = Event::DepositReturned { queue_id, account, asset, amount, code };
        let consumed = Event::ChainEntryConsumed { queue_id, refused: Some(code) };
        assert_eq!(venue.enter(entry), [returned, consumed], "{entry:?}");
    }
    assert_eq!(venue.engine.supply(USD), supply, "what goes back was never part of it");
    assert_eq!(venue.engine.account_count(), 4);
    assert_eq!(told(&venue.enter(fine)), "deposit 1, entry 8");
}

#[test]
fn a_returned_deposit_opens_its_account_so_that_no_number_shifts() {
    let mut venue = Venue::new();
    let unknown = deposit_entry(NEXT, AssetId(3), 7);
    assert_eq!(told(&venue.enter(unknown)), "account 4, returned 7 AssetUnknown, entry 1 refused AssetUnknown");
    let too_much = deposit_entry(AccountId(5), USD, SUPPLY_CAP);
    let answer = "account 5, returned 4611686018427387904 AmountOutOfRange, entry 2 refused AmountOutOfRange";
    assert_eq!(told(&venue.enter(too_much)), answer);
    assert_eq!(told(&venue.deposit(AccountId(6), USD, 7)), "account 6, deposit 7, entry 3", "as the contract counts");
    assert_eq!(told(&venue.deposit(NEXT, USD, 7)), "deposit 7, entry 4");
    let stranger = ChainEntry { extra: padded([9; 20]), ..deposit_entry(NEXT, USD, 1) };
    assert_eq!(refusal(&venue.enter(stranger)), Some(WrongAccount), "its owner is who came first");
    assert_eq!(venue.engine.supply(USD), Some(Atoms(3_000_000_014)));
}

#[test]
fn withdrawals_that_cannot_be_paid_move_nothing_and_the_queue_goes_on() {
    let mut venue = Venue::new();
    let withdrawals = [
        (A, AssetId(3), 1, AssetUnknown),
        (AccountId(0), USD, 1, WrongAccount),
        (AccountId(7), USD, 1, WrongAccount),
        (A, USD, 0, AmountOutOfRange),
        (A, USD, u64::MAX, InsufficientBalance),
    ];
    for (queue_id, (account, asset, amount, code)) in (1..).zip(withdrawals) {
        let consumed = Event::ChainEntryConsumed { queue_id, refused: Some(code) };
        assert_eq!(venue.withdraw(account, asset, amount), [consumed], "{code:?}");
    }
    assert_eq!(told(&venue.withdraw(A, USD, 1)), "withdrawal 1, entry 6");
}

#[test]
fn nothing_rests_on_the_genesis_after_it() {
    let deposit = Command::Deposit(Deposit { account: A, owner: owner(A), asset: USD, amount: Atoms(1) });
    assert_eq!(rejection(&Venue::new().apply(&deposit)), Some(GenesisOver));
    assert_eq!(told(&Venue::in_genesis(Options::default()).apply(&deposit)), "deposit 1");
}

#[test]
fn a_deposit_of_the_genesis_phase_is_refused_as_a_whole() {
    let mut venue = Venue::in_genesis(Options::default());
    for (account, asset, amount, code) in [
        (NEXT, AssetId(3), 1, AssetUnknown),
        (NEXT, USD, 0, AmountOutOfRange),
        (AccountId(5), USD, 1, WrongAccount),
        (AccountId(0), USD, 1, WrongAccount),
    ] {
        let deposit = Deposit { account, owner: owner(account), asset, amount: Atoms(amount) };
        assert_eq!(rejection(&venue.apply(Command::Deposit(deposit))), Some(code), "{deposit:?}");
        assert_eq!(venue.engine.account_count(), 4, "no queue that could not go on without the account");
    }
}

#[test]
fn accounts_are_bounded() {
    let mut venue = Venue::new();
    for account in 4..8 {
        assert_eq!(refusal(&venue.deposit(AccountId(account), BTC, 1)), None);
    }
    assert_eq!(told(&venue.deposit(AccountId(8), BTC, 1)), "returned 1 TableFull, entry 5 refused TableFull");
    assert_eq!(refusal(&venue.deposit(AccountId(9), BTC, 1)), Some(TableFull), "and all that come after it");
    assert_eq!(refusal(&venue.deposit(AccountId(7), BTC, 1)), None, "who is in stays in");
}

#[test]
fn the_supply_is_bounded_by_what_is_there_not_by_what_ever_came() {
    let mut venue = Venue::with(Options { deposit: 0, ..Options::default() });
    for _ in 0..2 {
        assert_eq!(refusal(&venue.deposit(A, USD, SUPPLY_CAP)), None);
        assert_eq!(refusal(&venue.deposit(A, USD, 1)), Some(AmountOutOfRange));
        assert_eq!(refusal(&venue.withdraw(A, USD, SUPPLY_CAP)), None);
    }
    assert_eq!(venue.engine.supply(USD), Some(Atoms(0)));
}
