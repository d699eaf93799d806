//! Who gets a receipt of what, and when; with a real journal where one is read.

use lakh_journal::RecordHeader;

use super::*;
use crate::chain::Address;
use crate::inclusion::JournalProof;
use crate::testing::small_journal;

const VENUE: Venue = Venue { chain_id: 31_337, contract: Address([0xc0; 20]) };
const MILLISECOND: u64 = 1_000_000;

fn key() -> TransactionSigner {
    TransactionSigner::from_secret(&[3; 32]).unwrap()
}

fn notary(behind: u64) -> Notary {
    Notary::new(NotaryOptions { venue: VENUE, shard: 0, epoch: 7, key: key(), behind: Sequence(behind) })
}

fn header(sequence: u64) -> RecordHeader {
    let account = u32::try_from(sequence % 3).unwrap();
    RecordHeader { sequence, timestamp_ns: sequence, kind: 1, schema_version: 1, flags: 0, account }
}

fn note(notary: &mut Notary, sequence: u64, now: u64) {
    let payload = sequence.to_le_bytes();
    notary.note(&Record { header: header(sequence), payload: &payload }, Timestamp(now));
}

fn signed_for(found: Found) -> Receipt {
    let Found::Receipt(receipt) = found else { panic!("{found:?}") };
    assert_eq!(receipt.signer(VENUE), Some(key().address()));
    *receipt
}

#[test]
fn nothing_is_signed_before_it_is_stable_or_due() {
    let mut notary = notary(0);
    for sequence in 1..=5 {
        note(&mut notary, sequence, 100);
    }
    let due = Timestamp(100 + INTERVAL_NS);
    assert!(!notary.sign_if_due(Sequence(5), Timestamp(100 + INTERVAL_NS - 1)), "more may come along");
    assert!(!notary.sign_if_due(Sequence(0), due), "none is on stable storage");
    assert_eq!(notary.receipt(AccountId(1), Sequence(1)), Found::NotYet);
    assert!(notary.sign_if_due(Sequence(3), due));
    assert_eq!(notary.waiting(), 2);
    let receipt = signed_for(notary.receipt(AccountId(0), Sequence(3)));
    assert_eq!((receipt.index, receipt.count, receipt.epoch), (2, 3, 7));
    assert_eq!(notary.receipt(AccountId(1), Sequence(4)), Found::NotYet);
    assert_eq!(notary.receipt(AccountId(1), Sequence(9)), Found::NotYet);
    assert!(notary.sign_if_due(Sequence(5), due));
    signed_for(notary.receipt(AccountId(1), Sequence(4)));
    assert!(!notary.sign_if_due(Sequence(5), due), "there is nothing left");
}

#[test]
fn nobody_gets_a_receipt_of_somebody_elses_record() {
    let mut notary = notary(10);
    (11..=13).for_each(|sequence| note(&mut notary, sequence, 0));
    assert!(notary.sign_if_due(Sequence(13), Timestamp(INTERVAL_NS)));
    for sequence in 11..=13 {
        for account in 0..3 {
            let found = notary.receipt(AccountId(account), Sequence(sequence));
            match u64::from(account) == sequence % 3 {
                true => assert_eq!(signed_for(found).sequence.0, sequence),
                false => assert_eq!(found, Found::NotYours),
            }
        }
    }
    assert_eq!(notary.receipt(AccountId(0), Sequence(0)), Found::NotYours);
    assert_eq!(notary.receipt(AccountId(1), Sequence(10)), Found::Forgotten, "of before the start");
}

#[test]
fn the_oldest_intervals_go_first() {
    let mut notary = notary(0);
    let each = MAX_INTERVAL_RECORDS as u64;
    let intervals = KEPT_RECORDS as u64 / each + 1;
    for interval in 0..intervals {
        for sequence in interval * each + 1..=(interval + 1) * each {
            note(&mut notary, sequence, 0);
        }
        assert!(notary.sign_if_due(Sequence(u64::MAX), Timestamp(0)), "a full interval waits for nothing");
    }
    assert_eq!(notary.receipt(AccountId(1), Sequence(1)), Found::Forgotten);
    let kept = each + 1;
    signed_for(notary.receipt(AccountId(u32::try_from(kept % 3).unwrap()), Sequence(kept)));
}

#[test]
fn what_an_earlier_start_signed_is_signed_again_from_the_journal() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, _) = lakh_journal::open(small_journal(directory.path())).unwrap();
    let last = 2 * REBUILT_RECORDS + 9;
    for sequence in 1..=last {
        while writer.append(header(sequence), &sequence.to_le_bytes()).is_err() {
            writer.publish();
            assert!(writer.watch().wait_for(sequence - 1, std::time::Duration::from_secs(60)));
        }
    }
    let watch = writer.watch();
    writer.close().unwrap();
    assert_eq!(watch.stable_sequence(), last, "a closed journal is on stable storage");

    let (mut live, mut later) = (notary(0), notary(last));
    (1..=last).for_each(|sequence| note(&mut live, sequence, 0));
    assert!(live.sign_if_due(Sequence(last), Timestamp(INTERVAL_NS)));
    for sequence in [1, REBUILT_RECORDS + 1, last] {
        let (account, sequence) = (AccountId(header(sequence).account), Sequence(sequence));
        assert_eq!(later.receipt(account, sequence), Found::Forgotten);
        later.rebuild(directory.path(), sequence, Sequence(last)).unwrap();
        let (one, other) = (signed_for(live.receipt(account, sequence)), signed_for(later.receipt(account, sequence)));
        assert_eq!(one.record_hash, other.record_hash, "the same record, whichever interval it stands in");
        let proof = JournalProof::read(directory.path(), (Sequence(1), Sequence(last)), sequence).unwrap();
        assert_eq!((proof.record_hash, proof.root()), (one.record_hash, one.root()), "and in the batch's root");
    }
    let beyond = Sequence(last + 1);
    assert!(later.rebuild(directory.path(), beyond, Sequence(u64::MAX)).is_err(), "there is no such record");
    assert!(later.rebuild(directory.path(), Sequence(last), Sequence(last - 1)).is_err(), "it is not stable");
    for sequence in 0..2 * REBUILT_INTERVALS as u64 {
        later.rebuild(directory.path(), Sequence(sequence % 3 * REBUILT_RECORDS + 1), Sequence(last)).unwrap();
    }
    assert_eq!(later.rebuilt.len(), REBUILT_INTERVALS);
    const { assert!(INTERVAL_NS >= 5 * MILLISECOND && INTERVAL_NS <= 10 * MILLISECOND, "what docs/settlement.md promises") };
}
