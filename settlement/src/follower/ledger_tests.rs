//! What the ledger refuses.

use lakh_engine::command::Deposit;
use lakh_journal::RecordHeader;

use super::*;

fn record(sequence: u64) -> Record<'static> {
    let header = RecordHeader { sequence, timestamp_ns: 5_000_000_000, ..RecordHeader::default() };
    Record { header, payload: b"a command" }
}

fn apply(ledger: &mut Ledger, command: &Command, events: &[Event]) -> Result<(), LedgerError> {
    let record = record(ledger.sequence().0 + 1);
    let applied = ledger.apply(&Step { record, command, events });
    ledger.end_block([2; 32]);
    applied
}

fn balance(account: u32, asset: u16, available: u64) -> Event {
    Event::BalanceChanged {
        account: AccountId(account),
        asset: AssetId(asset),
        available: Atoms(available),
        held: Atoms(1),
    }
}

fn credited(asset: u16, amount: u64) -> Event {
    Event::DepositCredited { account: AccountId(1), asset: AssetId(asset), amount: Atoms(amount), report_sequence: 1 }
}

#[test]
fn money_from_the_configuration_is_never_settled() {
    let mut ledger = Ledger::new(Hash::ZERO);
    let deposit = Deposit { account: AccountId(1), owner: [1; 20], asset: AssetId(0), amount: Atoms(5) };
    apply(&mut ledger, &Command::Deposit(deposit), &[credited(0, 5), balance(1, 0, 4)]).unwrap();
    assert_eq!(ledger.seal(1).unwrap_err(), LedgerError::UnbackedDeposit { sequence: 1 });
}

#[test]
fn balances_that_do_not_add_up_are_never_settled() {
    let mut ledger = Ledger::new(Hash::ZERO);
    apply(&mut ledger, &Command::AdvanceTime, &[balance(1, 1, 4)]).unwrap();
    assert_eq!(ledger.seal(1).unwrap_err(), LedgerError::NotConserved { last: 1, asset: 1 });
}

#[test]
fn gaps_strange_assets_and_empty_batches_are_refused() {
    let mut ledger = Ledger::new(Hash::ZERO);
    assert_eq!(ledger.seal(1).unwrap_err(), LedgerError::Empty { last: 0 });
    let error = apply(&mut ledger, &Command::AdvanceTime, &[balance(1, 64, 4)]).unwrap_err();
    assert_eq!(error, LedgerError::AssetOutOfRange { sequence: 1, asset: 64 });
    let consumed = Event::ChainEntryConsumed { queue_id: 1, refused: None };
    let error = apply(&mut ledger, &Command::AdvanceTime, &[consumed]).unwrap_err();
    assert_eq!(error, LedgerError::WrongQueue { sequence: 2, last: 0, got: 1 });
    let step = Step { record: record(9), command: &Command::AdvanceTime, events: &[] };
    assert_eq!(ledger.apply(&step), Err(LedgerError::WrongSequence { last: 2, got: 9 }));
    let step = Step { record: record(3), ..step };
    ledger.apply(&step).unwrap();
    assert_eq!(ledger.seal(1).unwrap_err(), LedgerError::InsideBlock { last: 3 });
}

#[test]
fn what_sub_accounts_have_is_their_owners_leaf() {
    let (mut ledger, mut plain) = (Ledger::new(Hash::ZERO), Ledger::new(Hash::ZERO));
    let opened = |account| Event::SubAccountOpened { account: AccountId(account), parent: AccountId(1) };
    let money = |account, amount| match balance(account, 0, amount) {
        Event::BalanceChanged { account, asset, available, .. } => {
            Event::BalanceChanged { account, asset, available, held: Atoms(0) }
        }
        other => other,
    };
    // 100 come in, two sub-accounts get 30 and 20, and one trades 5 away to account 2.
    let moves: [&[Event]; 6] = [
        &[credited(0, 100), money(1, 100)],
        &[opened(900)],
        &[money(1, 70), money(900, 30)],
        &[opened(899)],
        &[money(1, 50), money(899, 20)],
        &[money(2, 5), money(900, 25)],
    ];
    for events in moves {
        apply(&mut ledger, &Command::AdvanceTime, events).unwrap();
    }
    // The deposit in these tests has no queue entry behind it.
    ledger.unbacked = None;
    let told: [&[Event]; 6] = [&[credited(0, 100), money(1, 100)], &[], &[], &[], &[], &[money(1, 95), money(2, 5)]];
    for events in told {
        apply(&mut plain, &Command::AdvanceTime, events).unwrap();
    }
    plain.unbacked = None;
    let (batch, expected) = (ledger.seal(1).unwrap(), plain.seal(1).unwrap());
    assert_eq!((batch.header.new_root, batch.data), (expected.header.new_root, expected.data), "the same leaves");
    // The next batch folds into the same leaf, in which only the total counts.
    apply(&mut ledger, &Command::AdvanceTime, &[money(900, 0), money(1, 75)]).unwrap();
    let batch = ledger.seal(2).unwrap();
    assert_eq!(batch.header.new_root, expected.header.new_root, "a transfer between an owner's accounts is no change");
}
