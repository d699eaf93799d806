//! The watcher against the real contract, and against nodes that forget, repeat and alter.

use lakh_engine::command::ChainEntryKind;
use lakh_engine::units::Atoms;

use super::*;
use crate::chain::Log;
use crate::contract;
use crate::test_venue::{Liar, TestChain, user};

fn busy() -> TestChain {
    let test = TestChain::new();
    let contract = test.venue.contract;
    test.deposit(1, 0, 5);
    test.pass(10);
    test.send(&user(1), contract, contract::register_key([3; 32]));
    test.deposit(2, 1, 7);
    test.pass(10);
    test.send(&user(1), contract, contract::request_withdrawal(lakh_engine::ids::AssetId(0), 20));
    test.send(&user(1), contract, contract::revoke_key([3; 32]));
    test
}

fn start(test: &TestChain) -> QueuePosition {
    QueuePosition { queue_id: 0, prefix: test.venue.queue_origin(), time_seconds: 0 }
}

fn read(test: &TestChain, position: QueuePosition) -> Vec<ChainEntry> {
    let mut watcher = Watcher::new(test.venue.contract, 0, position);
    watcher.poll(&test.chain, position).unwrap();
    watcher.poll(&test.chain, position).unwrap();
    watcher.waiting().copied().collect()
}

fn behind(entry: &ChainEntry) -> QueuePosition {
    QueuePosition { queue_id: entry.queue_id, prefix: Hash(entry.prefix), time_seconds: entry.time_seconds }
}

#[test]
fn entries_come_once_in_order_from_wherever_the_journal_is() {
    let test = busy();
    let all = read(&test, start(&test));
    let kinds: Vec<_> = all.iter().map(|entry| entry.kind).collect();
    use ChainEntryKind::{Deposit, RegisterKey, RevokeKey, Withdrawal};
    assert_eq!(kinds, [Deposit, RegisterKey, Deposit, Withdrawal, RevokeKey]);
    assert_eq!((all[3].amount, all[3].account.0), (Atoms(2), 1));
    for (index, entry) in all.iter().enumerate() {
        assert_eq!(entry.queue_id, index as u64 + 1);
        assert_eq!(read(&test, behind(entry)), all[index + 1..], "from {index}");
    }
    let mut watcher = Watcher::new(test.venue.contract, 0, start(&test));
    watcher.poll(&test.chain, start(&test)).unwrap();
    watcher.consume(behind(&all[1])).unwrap();
    assert_eq!(watcher.waiting().copied().collect::<Vec<_>>(), all[2..]);
    test.deposit(1, 0, 9);
    watcher.poll(&test.chain, behind(&all[4])).unwrap();
    assert_eq!(watcher.waiting().map(|entry| entry.queue_id).collect::<Vec<_>>(), [6]);
}

#[test]
fn nodes_that_forget_repeat_or_alter_are_found_out() {
    let test = busy();
    let lies: [fn(&mut Vec<Log>); 6] = [
        |logs| drop(logs.remove(0)),
        |logs| drop(logs.remove(2)),
        |logs| logs.swap(1, 2),
        |logs| logs[1].data[2 * 32 + 31] ^= 1,
        |logs| logs[4].data[5 * 32] ^= 1,
        |logs| logs[3].topics[2].0[31] ^= 1,
    ];
    for (index, change) in lies.into_iter().enumerate() {
        let mut watcher = Watcher::new(test.venue.contract, 0, start(&test));
        let error = watcher
            .poll(&Liar { chain: &test.chain, change: Box::new(change), without_blob: None }, start(&test))
            .unwrap_err();
        assert!(matches!(error, WatchError::Malformed { .. }), "lie {index}: {error}");
        assert_eq!(watcher.waiting().count(), 0, "lie {index}");
        // An honest answer heals it.
        watcher.poll(&test.chain, start(&test)).unwrap();
        assert_eq!(watcher.waiting().count(), 5, "lie {index}");
    }
}

#[test]
fn a_journal_of_another_queue_is_a_contradiction() {
    let test = busy();
    let all = read(&test, start(&test));
    let wrong = QueuePosition { prefix: Hash([1; 32]), ..behind(&all[2]) };
    let mut watcher = Watcher::new(test.venue.contract, 0, wrong);
    let error = watcher.poll(&test.chain, wrong).unwrap_err();
    assert!(matches!(error, WatchError::Contradiction { queue_id: 3 }), "{error}");
    let mut watcher = Watcher::new(test.venue.contract, 0, start(&test));
    watcher.poll(&test.chain, start(&test)).unwrap();
    let error = watcher.consume(wrong).unwrap_err();
    assert!(matches!(error, WatchError::Contradiction { queue_id: 3 }), "{error}");
    // An entry that the chain does not have yet is a node that is behind.
    let ahead = QueuePosition { queue_id: 9, ..behind(&all[2]) };
    let error = Watcher::new(test.venue.contract, 0, ahead).poll(&test.chain, ahead).unwrap_err();
    assert!(matches!(error, WatchError::Malformed { .. }), "{error}");
}
