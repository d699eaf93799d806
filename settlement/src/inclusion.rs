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
