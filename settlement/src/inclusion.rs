//! That a record stands in a batch: the way from its leaf to the `journalRoot` in the batch's header.
//!
//! Whoever has a copy of the journal makes it; whoever has the header checks it. Held against a [`crate::receipt::Receipt`]
//! it says whether the venue kept its word, and where it did not, `Proofs.proveReceiptViolated` takes exactly this.
//!
//! Bounds: one hash for each record of the batch while it is made.

use std::path::Path;

use lakh_engine::ids::Sequence;
use lakh_journal::{JournalError, JournalReader};

use crate::batch::{journal_leaf, journal_leaves};
use crate::journal_root::RecordHashes;
use crate::keccak::Hash;
use crate::receipt::{climb, levels, siblings};

/// A record's way to the root over a range of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalProof {
    /// Its place in the journal.
    pub sequence: Sequence,
    /// Its hash, see [`crate::batch::record_hash`].
    pub record_hash: Hash,
    /// Its place in the range.
    pub index: u64,
    /// Records in the range.
    pub count: u64,
    /// Siblings from the leaf upwards.
    pub path: Vec<Hash>,
}

impl JournalProof {
    /// Reads the records `first` to `last`, both included, and proves one of them.
    ///
    /// # Errors
    /// A journal that cannot be read or does not hold all of them; [`JournalError::NoRecord`] for a record outside of them.
    pub fn read(
        directory: &Path,
        (first, last): (Sequence, Sequence),
        sequence: Sequence,
    ) -> Result<Self, JournalError> {
        let missing = |sequence| JournalError::NoRecord { directory: directory.to_path_buf(), sequence };
        if !(first..=last).contains(&sequence) {
            return Err(missing(sequence.0));
        }
        let mut reader = JournalReader::open_behind(directory, first.0.saturating_sub(1))?;
        let (mut gathered, mut hashes) = (RecordHashes::default(), Vec::new());
        let mut here = first.0.saturating_sub(1);
        while here < last.0 {
            let record = reader.next()?.ok_or_else(|| missing(here + 1))?;
            here = record.header.sequence;
            if gathered.push(&record) {
                gathered.take(&mut hashes);
            }
        }
        gathered.take(&mut hashes);
        let (index, count) = (sequence.0 - first.0, hashes.len() as u64);
        let place = usize::try_from(index).expect("fewer than there are in memory");
        let record_hash = *hashes.get(place).ok_or_else(|| missing(sequence.0))?;
        let mut leaves = Vec::with_capacity(hashes.len());
        journal_leaves((first.0..).map(Sequence).zip(hashes), &mut leaves);
        let levels = levels(leaves).ok_or_else(|| missing(sequence.0))?;
        Ok(Self { sequence, record_hash, index, count, path: siblings(&levels, place) })
    }

    /// The root that this proof belongs to; `None` where it cannot belong to any.
    pub fn root(&self) -> Option<Hash> {
        climb(journal_leaf(self.sequence, self.record_hash), self.index, self.count, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use lakh_engine::command::Command;
    use lakh_engine::ids::AccountId;
    use lakh_engine::units::Timestamp;
    use lakh_journal::Follower;

    use super::*;
    use crate::chain::TransactionStatus;
    use crate::contract::{answer, exits};
    use crate::follower::Replica;
    use crate::notary::{Found, Notary, NotaryOptions};
    use crate::poster::Poster;
    use crate::receipt::Receipt;
    use crate::test_venue::{TestChain, TestVenue, keys, user};

    /// What a notary promises of a journal, record by record.
    fn promises(chain: &TestChain, venue: &TestVenue) -> Vec<Receipt> {
        let (key, behind) = (keys().header, Sequence(0));
        let mut notary = Notary::new(NotaryOptions { venue: chain.venue, shard: 0, epoch: 1, key, behind });
        let (mut follower, mut accounts) = (Follower::open(venue.directory.path()).unwrap(), Vec::new());
        while let Some(record) = follower.poll().unwrap() {
            accounts.push(AccountId(record.header.account));
            notary.note(&record, Timestamp::ZERO);
        }
        assert!(notary.sign_if_due(notary.last(), chain.now()));
        let receipts = (1..).zip(&accounts).map(|(sequence, account)| notary.receipt(*account, Sequence(sequence)));
        receipts.map(|found| if let Found::Receipt(receipt) = found { *receipt } else { panic!("{found:?}") }).collect()
    }

    /// The venue promises one history by its notary's receipts and commits another, which differs in its last record.
    #[test]
    fn a_broken_promise_freezes_the_venue_and_a_kept_one_does_not() {
        let chain = TestChain::new();
        let [mut promised, mut committed] = [(); 2].map(|()| TestVenue::new(chain.venue, chain.now()));
        promised.submit(&Command::AdvanceTime, chain.now());
        committed.submit(&Command::AdvanceTime, Timestamp(chain.now().0 + 1));
        let receipts = promises(&chain, &promised);

        let mut replica = Replica::open(committed.directory.path(), chain.venue).unwrap();
        replica.advance(1_000, &mut Vec::new()).unwrap();
        let batch = replica.seal().unwrap().clone();
        let directory = tempfile::tempdir().unwrap();
        let mut poster = Poster::open(chain.poster_options(directory.path()), keys()).unwrap();
        poster.add(&batch);
        for _ in 0..4 {
            poster.step(&chain.chain, chain.now());
        }
        let (header, stamp) = poster.on_chain(1).expect("the batch is on the chain");

        let settlement = chain.venue.contract;
        let proofs = answer::address(&chain.ask(settlement, exits::proofs_contract())).unwrap();
        let is_frozen = || answer::number(&chain.ask(settlement, exits::frozen())) == Some(1);
        let range = (header.first_sequence, header.last_sequence);
        let prove = |receipt: &Receipt| {
            let proof = JournalProof::read(committed.directory.path(), range, receipt.sequence).unwrap();
            assert_eq!(proof.root(), Some(header.journal_root));
            chain.try_send(&user(3), proofs, exits::prove_receipt_violated(receipt, &header, stamp, &proof))
        };
        let (broken, kept) = receipts.split_last().unwrap();
        assert!(kept.len() > 3);
        for receipt in kept {
            assert_eq!(
                prove(receipt),
                TransactionStatus::Reverted,
                "record {} is where it was promised",
                receipt.sequence
            );
        }
        let forged = Receipt { epoch: 2, ..broken.clone() };
        assert_eq!(prove(&forged), TransactionStatus::Reverted, "nobody signed that");
        assert!(!is_frozen());
        assert_eq!(prove(broken), TransactionStatus::Succeeded);
        assert!(is_frozen());
    }
}
