//! Promises that were kept and broken, with the real contracts on an embedded chain.

use lakh_engine::command::Command;
use lakh_engine::ids::AccountId;
use lakh_engine::units::Timestamp;
use lakh_journal::Follower;

use super::*;
use crate::chain::TransactionStatus;
use crate::chain::transaction::TransactionSigner;
use crate::follower::Replica;
use crate::notary::{Found, Notary, NotaryOptions};
use crate::poster::Poster;
use crate::test_venue::{Liar, TestChain, TestVenue, keys, user};

/// What a notary with this key promises of a journal, record by record.
fn promises(chain: &TestChain, venue: &TestVenue, key: TransactionSigner) -> Vec<Receipt> {
    let mut notary = Notary::new(NotaryOptions { venue: chain.venue, shard: 0, epoch: 1, key, behind: Sequence(0) });
    let (mut follower, mut accounts) = (Follower::open(venue.directory.path()).unwrap(), Vec::new());
    while let Some(record) = follower.poll().unwrap() {
        accounts.push(AccountId(record.header.account));
        notary.note(&record, Timestamp::ZERO);
    }
    assert!(notary.sign_if_due(notary.last(), chain.now()));
    let receipts = (1..).zip(&accounts).map(|(sequence, account)| notary.receipt(*account, Sequence(sequence)));
    receipts.map(|found| if let Found::Receipt(receipt) = found { *receipt } else { panic!("{found:?}") }).collect()
}

/// A venue that promises one history by its notary's receipts and commits another in two batches, which differs in the last
/// record of the first one.
struct Liars {
    chain: TestChain,
    promised: TestVenue,
    committed: TestVenue,
    receipts: Vec<Receipt>,
}

impl Liars {
    fn new() -> Self {
        let chain = TestChain::new();
        let [mut promised, mut committed] = [(); 2].map(|()| TestVenue::new(chain.venue, chain.now()));
        let directory = tempfile::tempdir().unwrap();
        let mut poster = Poster::open(chain.poster_options(directory.path()), keys()).unwrap();
        let mut replica = Replica::open(committed.directory.path(), chain.venue).unwrap();
        promised.submit(&Command::AdvanceTime, chain.now());
        committed.submit(&Command::AdvanceTime, Timestamp(chain.now().0 + 1));
        let receipts = promises(&chain, &promised, keys().header);
        for _ in 0..2 {
            let mut batches = Vec::new();
            replica.advance(1_000, &mut batches).unwrap();
            let decision = replica.seal().unwrap().command();
            committed.submit(&Command::BatchSealed(decision), Timestamp(chain.now().0 + 1));
            replica.advance(1_000, &mut batches).unwrap();
            poster.add(&batches[0]);
            for _ in 0..4 {
                chain.pass(1);
                poster.step(&chain.chain, chain.now());
            }
        }
        assert_eq!(chain.tip().batch_id, 2);
        Self { chain, promised, committed, receipts }
    }

    fn on_chain(&self) -> OnChain<'_> {
        OnChain { chain: &self.chain.chain, venue: self.chain.venue, first_block: 0 }
    }

    fn judge(&self, receipt: &Receipt) -> Result<Judgement, PromiseError> {
        judge(self.on_chain(), receipt, self.committed.directory.path())
    }

    fn is_frozen(&self) -> bool {
        answer::number(&self.chain.ask(self.chain.venue.contract, exits::frozen())) == Some(1)
    }

    fn send(&self, breach: &Breach) -> TransactionStatus {
        self.chain.try_send(&user(3), breach.to, breach.call.clone())
    }
}

#[test]
fn a_broken_promise_freezes_the_venue_and_a_kept_one_does_not() {
    let liars = Liars::new();
    let (broken, kept) = liars.receipts.split_last().unwrap();
    assert!(kept.len() > 3);
    for receipt in kept {
        assert_eq!(liars.judge(receipt).unwrap(), Judgement::Kept, "record {}", receipt.sequence);
    }
    let Judgement::Broken(breach) = liars.judge(broken).unwrap() else { panic!("record {} differs", broken.sequence) };
    assert_eq!((breach.sequence, breach.promised), (broken.sequence, broken.record_hash));
    // The contract judges by itself: the same call with an honest receipt, or one that nobody signed.
    let (header, stamp) = liars.on_chain().batch_of(broken.sequence, &liars.chain.tip()).unwrap();
    assert_eq!((header.batch_id, header.last_sequence), (1, broken.sequence));
    for receipt in kept.iter().chain([&Receipt { epoch: 2, ..broken.clone() }]) {
        let range = (header.first_sequence, header.last_sequence);
        let proof = JournalProof::read(liars.committed.directory.path(), range, receipt.sequence).unwrap();
        let call = exits::prove_receipt_violated(receipt, &header, stamp, &proof);
        assert_eq!(liars.chain.try_send(&user(3), breach.to, call), TransactionStatus::Reverted, "{receipt:?}");
    }
    assert!(!liars.is_frozen());
    assert_eq!(liars.send(&breach), TransactionStatus::Succeeded);
    assert!(liars.is_frozen());
    assert!(matches!(liars.judge(broken).unwrap(), Judgement::Broken(_)), "it stays broken");
}

#[test]
fn two_receipts_for_one_place_are_proof_without_batch_and_journal() {
    let liars = Liars::new();
    let others = promises(&liars.chain, &liars.committed, keys().header);
    let contradicting = liars.receipts.last().unwrap();
    let other = others.iter().find(|receipt| receipt.sequence == contradicting.sequence).unwrap();
    assert_eq!(compare(liars.on_chain(), &liars.receipts[0], &others[0]).unwrap(), Judgement::Kept, "the same record");
    let two_places = compare(liars.on_chain(), &liars.receipts[0], &others[1]);
    assert!(matches!(two_places, Err(PromiseError::TwoPlaces { one: 1, other: 2 })), "{two_places:?}");
    let same = exits::prove_equivocation(&liars.receipts[0], &others[0]);
    let Judgement::Broken(breach) = compare(liars.on_chain(), contradicting, other).unwrap() else {
        panic!("{other:?}")
    };
    assert_eq!(liars.chain.try_send(&user(3), breach.to, same), TransactionStatus::Reverted);
    assert!(!liars.is_frozen());
    assert_eq!(liars.send(&breach), TransactionStatus::Succeeded);
    assert!(liars.is_frozen());
}

#[test]
fn what_cannot_be_judged_is_said_and_not_guessed() {
    let liars = Liars::new();
    let broken = liars.receipts.last().unwrap();
    // The journal that was promised comes to another root than the one that was committed.
    let other = judge(liars.on_chain(), broken, liars.promised.directory.path()).unwrap();
    assert_eq!(other, Judgement::OtherJournal { batch_id: 1 });
    let empty = TestVenue::new(liars.chain.venue, liars.chain.now());
    let shorter = judge(liars.on_chain(), broken, empty.directory.path()).unwrap();
    assert_eq!(shorter, Judgement::OtherJournal { batch_id: 1 }, "it does not have all of the batch's records");

    let mut later = liars.committed;
    let tip = liars.chain.tip();
    later.submit(&Command::AdvanceTime, Timestamp(liars.chain.now().0 + 1));
    let receipts = promises(&liars.chain, &later, keys().header);
    let venue = OnChain { chain: &liars.chain.chain, venue: liars.chain.venue, first_block: 0 };
    let not_settled = judge(venue, receipts.last().unwrap(), later.directory.path()).unwrap();
    assert_eq!(not_settled, Judgement::NotSettled { last: Sequence(tip.last_sequence) });

    let strangers = promises(&liars.chain, &liars.promised, user(2));
    let strange = judge(venue, strangers.last().unwrap(), later.directory.path());
    assert!(
        matches!(strange, Err(PromiseError::NotSigned { signer, .. }) if signer == user(2).address()),
        "{strange:?}"
    );
    let torn = Receipt { count: 1, ..broken.clone() };
    assert!(matches!(judge(venue, &torn, later.directory.path()), Err(PromiseError::NotWhole { .. })));

    // A node that hides a commit, or tells another block of it.
    let lies: [fn(&mut Vec<Log>); 2] = [Vec::clear, |logs| logs.iter_mut().for_each(|log| log.block_number -= 1)];
    for change in lies {
        let chain = &Liar { chain: &liars.chain.chain, change: Box::new(change), without_blob: None };
        let hidden = judge(OnChain { chain, ..venue }, broken, later.directory.path());
        assert!(matches!(hidden, Err(PromiseError::Hidden { .. })), "{hidden:?}");
    }
}
