//! A commit's call read back: what whoever has nothing but the chain knows of a batch.
//!
//! The layout is that of [`super::commit_batch`] or [`super::commit_batch_blobs`]. Invariant: the decoder takes any bytes and answers with a value or `None`;
//! whether the parts belong to a batch that counts is its caller's to check, by their hashes.
//!
//! Bounds: at most [`MAX_ASSETS`] lines; data of no more bytes than the call has.

use lakh_engine::ids::{AssetId, Sequence};

use crate::commitment::{AssetChange, AssetLine, HEADER_VERSION, Header, balances_root, root_before};
use crate::follower::MAX_ASSETS;
use crate::keccak::{Hash, keccak256};
use crate::sum_tree::Node;
use crate::withdrawals::withdrawals_root;
use crate::words::{WORD, read_u64};

use super::answer::large_number;
use super::{COMMIT_BATCH, COMMIT_BATCH_BLOBS, SELECTOR, selector};

/// Words of a line.
const LINE_WORDS: usize = 2;
/// Words of a change.
const CHANGE_WORDS: usize = 4;
/// Where the offsets of changes, data and lines stand, in words.
const CHANGES_AT: usize = 0;
const DATA_AT: usize = 1;
const LINES_AT: usize = 10;
/// The same for a commit with blobs, whose hash stands for the data.
const DATA_HASH_AT_WITH_BLOBS: usize = 0;
const LINES_AT_WITH_BLOBS: usize = 1;
const CHANGES_AT_WITH_BLOBS: usize = 10;
/// Where the claim stands in both: two words of numbers, hashes, a signature.
const RANGE_AT: usize = 2;
const MOMENT_AT: usize = 3;
const JOURNAL_HASH_AT: usize = 4;
const JOURNAL_ROOT_AT: usize = 5;
const QUEUE_PREFIX_AT: usize = 6;
const PREVIOUS_TREES_AT: usize = 7;

/// What a commit said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitCall {
    /// What the batch claims: what the call says, and what follows from it as the contract works it out.
    pub header: Header,
    /// All assets after it, in the order of their numbers.
    pub lines: Vec<AssetLine>,
    /// The published balances, see [`crate::diff`]; `None` where they are in the transaction's blobs.
    pub data: Option<Vec<u8>>,
}

impl CommitCall {
    /// From the bytes of a call; `None` for any other call.
    pub fn decode(call: &[u8]) -> Option<Self> {
        let (found, arguments) = call.split_first_chunk::<SELECTOR>()?;
        match *found {
            found if found == selector(COMMIT_BATCH) => {
                let (length, data) = split_length(tail(arguments, DATA_AT)?)?;
                let data = data.get(..length)?.to_vec();
                let (header, lines) = header_and_lines(arguments, (CHANGES_AT, LINES_AT), keccak256(&data))?;
                Some(Self { header, lines, data: Some(data) })
            }
            found if found == selector(COMMIT_BATCH_BLOBS) => {
                let data_hash = Hash(*word(arguments, DATA_HASH_AT_WITH_BLOBS)?);
                let places = (CHANGES_AT_WITH_BLOBS, LINES_AT_WITH_BLOBS);
                let (header, lines) = header_and_lines(arguments, places, data_hash)?;
                Some(Self { header, lines, data: None })
            }
            _ => None,
        }
    }
}

/// The batch that a commit is of, with its data or with blobs; from the call's bytes behind the selector.
pub(crate) fn batch_id(arguments: &[u8]) -> Option<u64> {
    let [_, batch_id, ..] = numbers(word(arguments, RANGE_AT)?);
    Some(batch_id)
}

/// The header of a call whose data have this hash, and the lines; the offsets of changes and lines stand in these words.
fn header_and_lines(
    arguments: &[u8],
    (changes_at, lines_at): (usize, usize),
    data_hash: Hash,
) -> Option<(Header, Vec<AssetLine>)> {
    let lines: Vec<_> = list(arguments, lines_at, LINE_WORDS)?.map(line).collect::<Option<_>>()?;
    let changes: Vec<_> = list(arguments, changes_at, CHANGE_WORDS)?.map(change).collect::<Option<_>>()?;
    let [versions, batch_id, first_sequence, last_sequence] = numbers(word(arguments, RANGE_AT)?);
    let [first_time_seconds, last_time_seconds, queue_up_to, fills] = numbers(word(arguments, MOMENT_AT)?);
    let previous_lines = usize::try_from(versions & u64::from(u32::MAX)).ok()?;
    if versions >> 32 != HEADER_VERSION || previous_lines > lines.len() {
        return None;
    }
    let hash = |index: usize| word(arguments, index).map(|word| Hash(*word));
    let paid = changes.iter().filter(|change| change.withdrawals.sum != 0);
    let withdrawals: Vec<_> = paid.map(|change| (change.asset, change.withdrawals)).collect();
    let header = Header {
        batch_id,
        first_sequence: Sequence(first_sequence),
        last_sequence: Sequence(last_sequence),
        first_time_seconds,
        last_time_seconds,
        queue_up_to,
        fills,
        previous_root: root_before(&lines, &changes, (previous_lines, hash(PREVIOUS_TREES_AT)?)),
        new_root: balances_root(&lines),
        journal_hash: hash(JOURNAL_HASH_AT)?,
        journal_root: hash(JOURNAL_ROOT_AT)?,
        queue_prefix: hash(QUEUE_PREFIX_AT)?,
        data_hash,
        steps_root: Hash::ZERO,
        withdrawals_root: withdrawals_root(&withdrawals),
    };
    Some((header, lines))
}

/// A word of the head.
fn word(arguments: &[u8], index: usize) -> Option<&[u8; WORD]> {
    arguments.get(index * WORD..)?.first_chunk()
}

/// The four numbers of a word.
fn numbers(word: &[u8; WORD]) -> [u64; 4] {
    let (numbers, _) = word.as_chunks::<8>();
    core::array::from_fn(|index| u64::from_be_bytes(numbers[index]))
}

/// The elements of the list whose offset stands in word `index`; each has `words` words.
fn list(arguments: &[u8], index: usize, words: usize) -> Option<impl Iterator<Item = &[[u8; WORD]]>> {
    let (length, rest) = split_length(tail(arguments, index)?)?;
    if length > MAX_ASSETS {
        return None;
    }
    let (found, _) = rest.get(..length * words * WORD)?.as_chunks::<WORD>();
    Some(found.chunks_exact(words))
}

/// What stands where the offset in word `index` says.
fn tail(arguments: &[u8], index: usize) -> Option<&[u8]> {
    arguments.get(usize::try_from(read_u64(word(arguments, index)?)?).ok()?..)
}

/// A length and what follows it.
fn split_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (word, rest) = bytes.split_first_chunk::<WORD>()?;
    Some((usize::try_from(read_u64(word)?).ok()?, rest))
}

/// What an asset owes and the deposits consumed.
fn totals(word: &[u8; WORD]) -> (u128, u128) {
    let (halves, _) = word.as_chunks::<16>();
    (u128::from_be_bytes(halves[0]), u128::from_be_bytes(halves[1]))
}

fn line(words: &[[u8; WORD]]) -> Option<AssetLine> {
    let [hash, word] = words else { return None };
    let (sum, credited) = totals(word);
    Some(AssetLine { tree: Node { hash: Hash(*hash), sum }, credited })
}

fn change(words: &[[u8; WORD]]) -> Option<AssetChange> {
    let [asset, before, withdrawn, tree] = words else { return None };
    let (sum, credited) = totals(before);
    let withdrawals = Node { hash: Hash(*tree), sum: large_number(withdrawn)? };
    let asset = AssetId(u16::try_from(read_u64(asset)?).ok()?);
    Some(AssetChange { asset, sum, credited, withdrawals })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::commit_batch_blobs;
    use super::super::tests::batch;
    use super::*;
    use crate::batch::SealedBatch;
    use crate::typed_data::CompactSignature;

    /// One whose header is what the contract would work out.
    fn sound_batch() -> SealedBatch {
        let mut batch = batch();
        let (lines, changes) = (&batch.lines, &batch.changes);
        let withdrawals: Vec<_> = changes.iter().map(|change| (change.asset, change.withdrawals)).collect();
        batch.header = Header {
            previous_root: root_before(lines, changes, (2, batch.previous_trees)),
            new_root: balances_root(lines),
            data_hash: keccak256(&batch.data),
            withdrawals_root: withdrawals_root(&withdrawals),
            ..batch.header
        };
        batch
    }

    #[test]
    fn a_commit_is_read_back_and_no_part_of_it() {
        let batch = sound_batch();
        let call = batch.calldata(CompactSignature::default());
        let read = CommitCall::decode(&call).unwrap();
        assert_eq!(batch_id(&call[SELECTOR..]), Some(batch.header.batch_id));
        let (header, lines) = (batch.header, batch.lines.clone());
        assert_eq!(read, CommitCall { header, lines, data: Some(batch.data.clone()) });
        for end in 0..call.len() {
            assert_eq!(CommitCall::decode(&call[..end]), None, "{end} bytes");
        }
        let mut other = call;
        other[0] ^= 1;
        assert_eq!(CommitCall::decode(&other), None);
    }

    #[test]
    fn a_commit_with_blobs_is_read_back_and_no_part_of_it() {
        let batch = sound_batch();
        let header = Header { data_hash: Hash([0xb1; 32]), ..batch.header };
        let call = commit_batch_blobs(&batch, &header, CompactSignature::default());
        let read = CommitCall::decode(&call).unwrap();
        assert_eq!(batch_id(&call[SELECTOR..]), Some(header.batch_id));
        assert_eq!(read, CommitCall { header, lines: batch.lines, data: None });
        for end in 0..call.len() {
            assert_eq!(CommitCall::decode(&call[..end]), None, "{end} bytes");
        }
    }

    proptest! {
        #![proptest_config(crate::testing::random_cases(128))]

        #[test]
        fn changed_bytes_never_panic(place in 4_usize..1_100, byte: u8) {
            let mut call = batch().calldata(CompactSignature::default());
            let place = place % call.len();
            call[place] = byte;
            let _ = CommitCall::decode(&call);
        }
    }
}
