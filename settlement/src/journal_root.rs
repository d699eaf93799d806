//! A batch's journal root while its records come in, and records' hashes: a few dozen at a time, since eight messages are
//! hashed at once for little more than one ([`crate::keccak`]).
//!
//! What is hashed stands in [`crate::batch`]. Bounds: the bytes of [`GATHERED`] records at most, and of each level of the
//! tree fewer nodes than two groups.

use lakh_engine::ids::Sequence;
use lakh_journal::Record;

use crate::batch::{journal_leaves, journal_parents, put_record};
use crate::keccak::{Hash, TOGETHER, keccak256_each};

/// Records that are hashed together: so many that leaves and nodes above them fill their lanes, too.
pub(crate) const GATHERED: usize = 8 * TOGETHER;

/// Records on their way to be hashed, which follow one another.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecordHashes {
    /// The first one's place.
    first: Sequence,
    /// One behind the other.
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl RecordHashes {
    /// Takes one more; whether there are as many as should be.
    pub(crate) fn push(&mut self, record: &Record<'_>) -> bool {
        if self.ends.is_empty() {
            self.first = Sequence(record.header.sequence);
        }
        put_record(record, &mut self.bytes);
        self.ends.push(self.bytes.len());
        self.ends.len() >= GATHERED
    }

    /// Appends the hashes of all of them in their order, and begins anew; says where the first one stands.
    pub(crate) fn take(&mut self, hashes: &mut Vec<Hash>) -> Sequence {
        let starts = core::iter::once(&0).chain(&self.ends);
        let records: Vec<&[u8]> = starts.zip(&self.ends).map(|(start, end)| &self.bytes[*start..*end]).collect();
        keccak256_each(&records, hashes);
        self.bytes.clear();
        self.ends.clear();
        self.first
    }
}

/// The journal root over the records so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct JournalRoot {
    records: RecordHashes,
    /// Nodes that no node above covers yet, by level, leaves first. Those of a level stand behind all that are covered, whose
    /// number is even.
    levels: Vec<Vec<Hash>>,
    /// Kept for its room.
    hashes: Vec<Hash>,
}

impl JournalRoot {
    /// Adds the next record.
    pub(crate) fn push(&mut self, record: &Record<'_>) {
        if self.records.push(record) {
            self.take_leaves();
            self.climb();
        }
    }

    /// The root over the records so far; 0 for none.
    pub(crate) fn root(mut self) -> Hash {
        self.take_leaves();
        let mut nodes: Vec<Hash> = Vec::new();
        for mut level in self.levels {
            level.append(&mut nodes);
            journal_parents(&level, &mut nodes);
        }
        while nodes.len() > 1 {
            let level = core::mem::take(&mut nodes);
            journal_parents(&level, &mut nodes);
        }
        nodes.first().copied().unwrap_or(Hash::ZERO)
    }

    fn take_leaves(&mut self) {
        self.hashes.clear();
        let first = self.records.take(&mut self.hashes);
        if self.levels.is_empty() {
            self.levels.push(Vec::new());
        }
        journal_leaves((first.0..).map(Sequence).zip(self.hashes.iter().copied()), &mut self.levels[0]);
    }

    /// Works out the nodes above whole groups of pairs, level by level.
    fn climb(&mut self) {
        const GROUP: usize = 2 * TOGETHER;
        let mut level = 0;
        while self.levels[level].len() >= GROUP {
            if level + 1 == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let [nodes, parents] = &mut self.levels[level..level + 2] else { unreachable!("two levels") };
            let whole = nodes.len() / GROUP * GROUP;
            journal_parents(&nodes[..whole], parents);
            nodes.drain(..whole);
            level += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use lakh_journal::RecordHeader;

    use super::*;
    use crate::batch::{journal_leaf, record_hash};
    use crate::testing::root_from_scratch;

    fn with_record<T>(sequence: u64, payload: &[u8], then: impl FnOnce(&Record<'_>) -> T) -> T {
        let header = RecordHeader { sequence, timestamp_ns: 7 * sequence, ..RecordHeader::default() };
        then(&Record { header, payload })
    }

    #[test]
    fn the_journal_root_is_the_tree_over_all_leaves() {
        let text: Vec<u8> = (0..400_u16).flat_map(u16::to_le_bytes).collect();
        let (mut root, mut leaves) = (JournalRoot::default(), Vec::new());
        assert_eq!(root.clone().root(), Hash::ZERO);
        for sequence in 5..1_500_u64 {
            let payload = &text[..(sequence * 31 % 700) as usize];
            with_record(sequence, payload, |record| {
                root.push(record);
                leaves.push(journal_leaf(Sequence(sequence), record_hash(record)));
            });
            if sequence < 400 || sequence % 97 == 0 {
                assert_eq!(root.clone().root(), root_from_scratch(&leaves), "{} leaves", leaves.len());
            }
        }
        assert_eq!(root.clone().root(), root_from_scratch(&leaves));
        let with_next = |payload: &[u8]| {
            let mut root = root.clone();
            with_record(1_500, payload, |record| root.push(record));
            root.root()
        };
        assert_ne!(with_next(b"one"), with_next(b"two"));
    }
}
