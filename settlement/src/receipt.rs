//! Receipts: the venue's promise that a record stands at its place in the journal, which the chain can judge.
//!
//! The header key signs the Merkle root over an interval of records (a few milliseconds of traffic), not each record: a
//! signature costs some 50 µs. Whoever has a receipt holds it against the batch that covers the record: where the committed
//! journal root has another one there, or where two receipts promise one place to two records, anybody stops the venue
//! (`Proofs.proveReceiptViolated`, `Proofs.proveEquivocation`).
//!
//! Leaves and tree are those of a batch's journal root, see [`crate::batch`]; what is signed is
//! [`crate::typed_data::interval_digest`].
//!
//! Invariants: only records that are on stable storage may come into an interval, or a crash could make an honest venue
//! break its word, which is its caller's to see to; verifying takes any receipt and never panics. Bounds: an interval has
//! at most [`MAX_INTERVAL_RECORDS`].

use lakh_engine::ids::Sequence;
use serde::{Deserialize, Serialize};

use crate::batch::{journal_leaf, journal_leaves, journal_parent, journal_parents};
use crate::chain::Address;
use crate::chain::hex;
use crate::chain::transaction::TransactionSigner;
use crate::follower::Venue;
use crate::keccak::Hash;
use crate::typed_data::{CompactSignature, interval_digest, recover};

/// Most records of an interval.
pub const MAX_INTERVAL_RECORDS: usize = 1 << 16;

/// A promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The engine that took the record.
    pub shard: u16,
    /// The start of the node that signed it.
    pub epoch: u64,
    /// The record's place in the journal.
    pub sequence: Sequence,
    /// The record's hash, see [`crate::batch::record_hash`].
    pub record_hash: Hash,
    /// Its place in the interval.
    pub index: u64,
    /// Records in the interval.
    pub count: u64,
    /// Siblings from the leaf upwards.
    pub path: Vec<Hash>,
    /// The header key's.
    pub signature: CompactSignature,
}

impl Receipt {
    /// The root of the interval that this receipt belongs to; `None` where it cannot belong to any.
    pub fn root(&self) -> Option<Hash> {
        climb(journal_leaf(self.sequence, self.record_hash), self.index, self.count, &self.path)
    }

    /// Whose key signed it for this venue; `None` where nobody's did.
    pub fn signer(&self, venue: Venue) -> Option<Address> {
        recover(interval_digest(venue, self.shard, self.epoch, self.root()?), self.signature)
    }

    /// As JSON, for [`Self::from_json`] and for users to keep.
    pub fn to_json(&self) -> String {
        let text = ReceiptText {
            shard: self.shard,
            epoch: self.epoch,
            sequence: self.sequence.0,
            record_hash: self.record_hash.to_string(),
            index: self.index,
            count: self.count,
            path: self.path.iter().map(Hash::to_string).collect(),
            signature: hex::encode(&self.signature.to_bytes()),
        };
        serde_json::to_string(&text).expect("numbers and texts are JSON")
    }

    /// From JSON; `None` for anything else than a receipt.
    pub fn from_json(text: &str) -> Option<Self> {
        let text: ReceiptText = serde_json::from_str(text).ok()?;
        let hash = |text: &str| hex::decode_array(text).map(Hash);
        if text.path.len() > u64::BITS as usize {
            return None;
        }
        Some(Self {
            shard: text.shard,
            epoch: text.epoch,
            sequence: Sequence(text.sequence),
            record_hash: hash(&text.record_hash)?,
            index: text.index,
            count: text.count,
            path: text.path.iter().map(|step| hash(step)).collect::<Option<_>>()?,
            signature: CompactSignature::from_bytes(&hex::decode_array(&text.signature)?),
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReceiptText {
    shard: u16,
    epoch: u64,
    sequence: u64,
    record_hash: String,
    index: u64,
    count: u64,
    path: Vec<String>,
    signature: String,
}

/// The records of an interval while they come in.
#[derive(Clone, Debug)]
pub struct Interval {
    shard: u16,
    epoch: u64,
    records: Vec<(Sequence, Hash)>,
}

impl Interval {
    /// Before its first record.
    pub const fn new(shard: u16, epoch: u64) -> Self {
        Self { shard, epoch, records: Vec::new() }
    }

    /// Adds a record that is on stable storage; false where the interval is full and has to be signed first.
    pub fn push(&mut self, sequence: Sequence, record_hash: Hash) -> bool {
        if self.records.len() == MAX_INTERVAL_RECORDS {
            return false;
        }
        self.records.push((sequence, record_hash));
        true
    }

    /// Signs it, and begins the next one; `None` where no record came in.
    pub fn sign(&mut self, venue: Venue, header_key: &TransactionSigner) -> Option<SignedInterval> {
        let records = core::mem::take(&mut self.records);
        let mut leaves = Vec::with_capacity(records.len());
        journal_leaves(records.iter().copied(), &mut leaves);
        let levels = levels(leaves)?;
        let root = levels.last().and_then(|level| level.first()).copied()?;
        let signature = header_key.sign_digest(interval_digest(venue, self.shard, self.epoch, root));
        Some(SignedInterval { shard: self.shard, epoch: self.epoch, records, levels, signature })
    }
}

/// An interval with its signature: receipts are made of it when they are asked for.
#[derive(Clone, Debug)]
pub struct SignedInterval {
    shard: u16,
    epoch: u64,
    records: Vec<(Sequence, Hash)>,
    levels: Vec<Vec<Hash>>,
    signature: CompactSignature,
}

impl SignedInterval {
    /// The receipt of a record; `None` where it is not of this interval.
    pub fn receipt(&self, sequence: Sequence) -> Option<Receipt> {
        let index = self.records.binary_search_by_key(&sequence, |(known, _)| *known).ok()?;
        let path = siblings(&self.levels, index);
        Some(Receipt {
            shard: self.shard,
            epoch: self.epoch,
            sequence,
            record_hash: self.records[index].1,
            index: index as u64,
            count: self.records.len() as u64,
            path,
            signature: self.signature,
        })
    }
}

/// The siblings on the way from leaf `place` to the root.
pub(crate) fn siblings(levels: &[Vec<Hash>], mut place: usize) -> Vec<Hash> {
    let mut path = Vec::new();
    for level in &levels[..levels.len() - 1] {
        // The last node of a level that has no sibling rises as it is.
        path.extend(level.get(place ^ 1));
        place >>= 1;
    }
    path
}

/// The nodes of a tree, leaves first; `None` for no leaf. A last node without sibling rises, which gives the tree of RFC 6962.
pub(crate) fn levels(leaves: Vec<Hash>) -> Option<Vec<Vec<Hash>>> {
    let mut levels = vec![leaves];
    while let Some(level) = levels.last()
        && level.len() > 1
    {
        let mut above = Vec::with_capacity(level.len().div_ceil(2));
        journal_parents(level, &mut above);
        levels.push(above);
    }
    if levels[0].is_empty() { None } else { Some(levels) }
}

/// The root above a leaf (RFC 9162, 2.1.3.2), as the contract climbs.
pub(crate) fn climb(leaf: Hash, mut index: u64, count: u64, path: &[Hash]) -> Option<Hash> {
    if index >= count {
        return None;
    }
    let (mut hash, mut last) = (leaf, count - 1);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if index & 1 == 1 || index == last {
            hash = journal_parent(*sibling, hash);
            while index & 1 == 0 && index != 0 {
                index >>= 1;
                last >>= 1;
            }
        } else {
            hash = journal_parent(hash, *sibling);
        }
        index >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keccak::keccak256;
    use crate::testing::root_from_scratch;

    const VENUE: Venue = Venue { chain_id: 31_337, contract: Address([0xc0; 20]) };

    fn header_key() -> TransactionSigner {
        TransactionSigner::from_secret(&[3; 32]).unwrap()
    }

    fn signed(first: u64, count: u64) -> SignedInterval {
        let mut interval = Interval::new(0, 2);
        for sequence in first..first + count {
            assert!(interval.push(Sequence(sequence), keccak256(&sequence.to_le_bytes())));
        }
        interval.sign(VENUE, &header_key()).unwrap()
    }

    #[test]
    fn each_record_of_each_interval_has_a_receipt() {
        for count in 1..70 {
            let interval = signed(100, count);
            let leaf = |n: u64| journal_leaf(Sequence(n), keccak256(&n.to_le_bytes()));
            let root = root_from_scratch(&(100..100 + count).map(leaf).collect::<Vec<_>>());
            for sequence in 100..100 + count {
                let receipt = interval.receipt(Sequence(sequence)).unwrap();
                assert_eq!(receipt.root(), Some(root), "{sequence} of {count}");
                assert_eq!(receipt.signer(VENUE), Some(header_key().address()));
                assert_eq!(Receipt::from_json(&receipt.to_json()), Some(receipt));
            }
            assert_eq!(interval.receipt(Sequence(99)), None);
            assert_eq!(interval.receipt(Sequence(100 + count)), None);
        }
    }

    #[test]
    fn no_changed_receipt_is_signed() {
        let honest = signed(100, 11).receipt(Sequence(106)).unwrap();
        let other_venue = Venue { chain_id: 1, ..VENUE };
        assert_ne!(honest.signer(other_venue), Some(header_key().address()));
        let mut path = honest.path.clone();
        path[1].0[5] ^= 1;
        let short = honest.path[1..].to_vec();
        let lies = [
            Receipt { sequence: Sequence(107), ..honest.clone() },
            Receipt { record_hash: Hash([1; 32]), ..honest.clone() },
            Receipt { epoch: 3, ..honest.clone() },
            Receipt { shard: 1, ..honest.clone() },
            Receipt { index: 7, ..honest.clone() },
            Receipt { count: 5, ..honest.clone() },
            Receipt { index: u64::MAX, ..honest.clone() },
            Receipt { path, ..honest.clone() },
            Receipt { path: short, ..honest.clone() },
            Receipt { signature: CompactSignature::default(), ..honest.clone() },
        ];
        for lie in lies {
            assert_ne!(lie.signer(VENUE), Some(header_key().address()), "{lie:?}");
        }
        assert_eq!(Receipt::from_json("{}"), None);
    }

    #[test]
    fn nothing_is_not_signed() {
        assert!(Interval::new(0, 1).sign(VENUE, &header_key()).is_none());
    }
}
