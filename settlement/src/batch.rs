//! A sealed batch: everything that the contract is told about a range of journal records, and what users prove later.
//!
//! The journal root is a Merkle tree over the batch's records, so that each record is bound to the chain:
//!
//! | hashed | bytes | made of |
//! |---|---|---|
//! | record | 32 + payload | the record's header as it stands in the journal ‖ its payload, without padding |
//! | leaf | 40 | sequence, big-endian ‖ keccak256 of the record |
//! | node | 64 | left ‖ right |
//!
//! A tree over n leaves has the largest power of two below n on its left (as in RFC 6962). Leaves and nodes have
//! different lengths, so neither can be taken for the other.
//!
//! How the tree is worked out while records come in stands in `journal_root`.
//!
//! Bounds: a batch that has to fit a transaction has at most [`MAX_CALLDATA_BYTES`].

use lakh_engine::command::BatchSealed;
use lakh_engine::ids::{AccountId, AssetId, Sequence};
use lakh_journal::{RECORD_HEADER_BYTES, Record};

use crate::chain::MAX_TRANSACTION_BYTES;
use crate::commitment::{AssetChange, AssetLine, Header};
use crate::contract::{self, WithdrawalClaim};
use crate::keccak::{Hash, keccak256, keccak256_each};
use crate::typed_data::CompactSignature;
use crate::withdrawals::WithdrawalTree;

/// Bytes of the longest call that a transaction has room for; the rest is for the transaction's own fields.
pub const MAX_CALLDATA_BYTES: usize = MAX_TRANSACTION_BYTES - 1_024;
/// Bytes of which a leaf of the journal root is the hash.
const LEAF_BYTES: usize = 40;
/// The same of a node.
const NODE_BYTES: usize = 64;

/// Everything about a batch.
#[derive(Clone, Debug)]
pub struct SealedBatch {
    /// What it claims.
    pub header: Header,
    /// All assets after it, in the order of their numbers.
    pub lines: Vec<AssetLine>,
    /// The assets whose totals changed, in the order of their numbers.
    pub changes: Vec<AssetChange>,
    /// Lines of the batch before it.
    pub previous_lines: u32,
    /// Hash over the trees of the batch before it.
    pub previous_trees: Hash,
    /// The published differences, see [`crate::diff`].
    pub data: Vec<u8>,
    /// What it pays out, in the order of asset numbers.
    pub withdrawals: Vec<(AssetId, WithdrawalTree)>,
}

impl SealedBatch {
    /// The command that makes it a decision.
    pub fn command(&self) -> BatchSealed {
        BatchSealed {
            batch_id: self.header.batch_id,
            first_sequence: self.header.first_sequence,
            last_sequence: self.header.last_sequence,
            new_root: self.header.new_root.0,
            data_hash: self.header.data_hash.0,
        }
    }

    /// The call that commits it, with the header key's signature under [`crate::typed_data::batch_digest`].
    pub fn calldata(&self, signature: CompactSignature) -> Vec<u8> {
        contract::commit_batch(self, signature)
    }

    /// What proves withdrawal `index` of an asset; `None` where the batch has no such withdrawal.
    pub fn claim(&self, asset: AssetId, index: u32) -> Option<WithdrawalClaim> {
        let (_, tree) = self.withdrawals.iter().find(|(other, _)| *other == asset)?;
        let withdrawal = tree.withdrawals().get(index as usize)?;
        Some(WithdrawalClaim {
            header: self.header,
            trees: self.withdrawals.iter().map(|(asset, tree)| (*asset, tree.root())).collect(),
            asset,
            index,
            account: withdrawal.account,
            amount: withdrawal.amount.raw(),
            path: tree.prove(index)?,
        })
    }

    /// Where an account's withdrawals stand in it: asset and place, in that order.
    pub fn withdrawals_of(&self, account: AccountId) -> Vec<(AssetId, u32)> {
        let mut found = Vec::new();
        for (asset, tree) in &self.withdrawals {
            let places = (0_u32..).zip(tree.withdrawals());
            found.extend(places.filter(|(_, item)| item.account == account).map(|(index, _)| (*asset, index)));
        }
        found
    }
}

/// A record's hash: over the bytes that the journal holds of it, without padding.
pub fn record_hash(record: &Record<'_>) -> Hash {
    let mut bytes = Vec::with_capacity(RECORD_HEADER_BYTES + record.payload.len());
    put_record(record, &mut bytes);
    keccak256(&bytes)
}

/// Appends the bytes that the journal holds of a record, without padding.
pub(crate) fn put_record(record: &Record<'_>, bytes: &mut Vec<u8>) {
    let header = &record.header;
    let length = RECORD_HEADER_BYTES + record.payload.len();
    let from = bytes.len();
    bytes.extend_from_slice(&u32::try_from(length).expect("a record has at most 16 KiB").to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&header.sequence.to_le_bytes());
    bytes.extend_from_slice(&header.timestamp_ns.to_le_bytes());
    bytes.extend_from_slice(&header.kind.to_le_bytes());
    bytes.extend_from_slice(&[header.schema_version, header.flags]);
    bytes.extend_from_slice(&header.account.to_le_bytes());
    bytes.extend_from_slice(record.payload);
    let crc = crc_fast::crc32_iscsi(&bytes[from + 8..]);
    bytes[from + 4..from + 8].copy_from_slice(&crc.to_le_bytes());
}

/// A record's leaf.
pub(crate) fn journal_leaf(sequence: Sequence, record: Hash) -> Hash {
    keccak256(&leaf_bytes(sequence, record))
}

/// Appends the leaves of records, each with its place.
pub(crate) fn journal_leaves(records: impl Iterator<Item = (Sequence, Hash)>, leaves: &mut Vec<Hash>) {
    let bytes: Vec<[u8; LEAF_BYTES]> = records.map(|(sequence, record)| leaf_bytes(sequence, record)).collect();
    keccak256_each(&bytes, leaves);
}

fn leaf_bytes(sequence: Sequence, record: Hash) -> [u8; LEAF_BYTES] {
    let mut leaf = [0; LEAF_BYTES];
    leaf[..8].copy_from_slice(&sequence.0.to_be_bytes());
    leaf[8..].copy_from_slice(&record.0);
    leaf
}

/// The node above two.
pub(crate) fn journal_parent(left: Hash, right: Hash) -> Hash {
    keccak256(&node_bytes(&[left, right]))
}

/// The nodes above nodes of one level that follow one another; a last one without sibling rises, which gives the tree of
/// RFC 6962.
pub(crate) fn journal_parents(nodes: &[Hash], parents: &mut Vec<Hash>) {
    let (pairs, alone) = nodes.as_chunks();
    let bytes: Vec<[u8; NODE_BYTES]> = pairs.iter().map(node_bytes).collect();
    keccak256_each(&bytes, parents);
    parents.extend_from_slice(alone);
}

fn node_bytes(pair: &[Hash; 2]) -> [u8; NODE_BYTES] {
    let mut bytes = [0; NODE_BYTES];
    bytes[..32].copy_from_slice(&pair[0].0);
    bytes[32..].copy_from_slice(&pair[1].0);
    bytes
}

#[cfg(test)]
mod tests {
    use lakh_journal::{JournalReader, RecordHeader};

    use super::*;
    use crate::testing::small_journal;

    #[test]
    fn a_records_hash_is_over_the_journals_own_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let (mut writer, _) = lakh_journal::open(small_journal(directory.path())).unwrap();
        let header = RecordHeader {
            sequence: 1,
            timestamp_ns: 0x0102_0304_0506_0708,
            kind: 0x0910,
            schema_version: 3,
            flags: 4,
            account: 0x1112_1314,
        };
        writer.append(header, b"seven b").unwrap();
        writer.close().unwrap();
        let mut reader = JournalReader::open(directory.path()).unwrap();
        let hash = record_hash(&reader.next().unwrap().unwrap());
        // The record's 39 bytes as they stand in the segment.
        let segments = std::fs::read_dir(directory.path()).unwrap();
        let found = segments.filter_map(|entry| std::fs::read(entry.unwrap().path()).ok()).any(|bytes| {
            let starts = 39_u32.to_le_bytes();
            bytes.windows(39).any(|window| window.starts_with(&starts) && keccak256(window) == hash)
        });
        assert!(found, "no file of the journal holds the bytes that were hashed");
    }
}
