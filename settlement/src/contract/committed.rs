//! A commit's call read back: what whoever has nothing but the chain knows of a batch.
//!
//! The layout is that of [`super::commit_batch`] or [`super::commit_batch_blobs`]. Invariant: the decoder takes any bytes and answers with a value or `None`;
//! whether the parts belong to a batch that counts is its caller's to check, by their hashes.
//!
//! Bounds: at most [`MAX_ASSETS`] lines; data of no more bytes than the call has.

use crate::commitment::{AssetLine, HEADER_BYTES, Header};
use crate::follower::MAX_ASSETS;
use crate::keccak::Hash;
use crate::sum_tree::Node;
use crate::words::{WORD, read_u64};

use super::answer::large_number;
use super::{COMMIT_BATCH, COMMIT_BATCH_BLOBS, HEADER_WORDS, SELECTOR, selector};

/// Words of a line.
const LINE_WORDS: usize = 3;
/// Words of a change.
const CHANGE_WORDS: usize = 5;
/// Where the offsets of lines, data and changes stand, in words.
const LINES_AT: usize = HEADER_WORDS + 1;
const DATA_AT: usize = HEADER_WORDS + 4;
const CHANGES_AT: usize = HEADER_WORDS + 5;
/// Where the changes' offset stands without data.
const CHANGES_AT_WITH_BLOBS: usize = HEADER_WORDS + 4;

/// What a commit said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitCall {
    /// What the batch claims.
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
        let (data_at, changes_at) = match *found {
            found if found == selector(COMMIT_BATCH) => (Some(DATA_AT), CHANGES_AT),
            found if found == selector(COMMIT_BATCH_BLOBS) => (None, CHANGES_AT_WITH_BLOBS),
            _ => return None,
        };
        let header = Header::decode(arguments.first_chunk::<HEADER_BYTES>()?).ok()?;
        let lines = words(tail(arguments, LINES_AT)?, LINE_WORDS)?;
        let lines = lines.chunks_exact(LINE_WORDS * WORD).map(line).collect::<Option<_>>()?;
        let data = match data_at {
            Some(data_at) => {
                let (length, data) = split_length(tail(arguments, data_at)?)?;
                Some(data.get(..length)?.to_vec())
            }
            None => None,
        };
        // Nobody asks for the changes; a call without them is none.
        words(tail(arguments, changes_at)?, CHANGE_WORDS)?;
        Some(Self { header, lines, data })
    }
}

/// What stands where the offset in word `index` says.
fn tail(arguments: &[u8], index: usize) -> Option<&[u8]> {
    let word = arguments.get(index * WORD..)?.first_chunk::<WORD>()?;
    arguments.get(usize::try_from(read_u64(word)?).ok()?..)
}

/// A length and what follows it.
fn split_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (word, rest) = bytes.split_first_chunk::<WORD>()?;
    Some((usize::try_from(read_u64(word)?).ok()?, rest))
}

/// The words of a list whose elements have `each` words.
fn words(bytes: &[u8], each: usize) -> Option<&[u8]> {
    let (length, rest) = split_length(bytes)?;
    if length > MAX_ASSETS {
        return None;
    }
    rest.get(..length * each * WORD)
}

fn line(words: &[u8]) -> Option<AssetLine> {
    let hash = Hash(*words.first_chunk::<WORD>()?);
    let sum = large_number(&words[WORD..2 * WORD])?;
    let credited = large_number(&words[2 * WORD..])?;
    Some(AssetLine { tree: Node { hash, sum }, credited })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::commit_batch_blobs;
    use super::super::tests::batch;
    use super::*;
    use crate::typed_data::CompactSignature;

    #[test]
    fn a_commit_is_read_back_and_no_part_of_it() {
        let batch = batch();
        let call = batch.calldata(CompactSignature::default());
        let read = CommitCall::decode(&call).unwrap();
        let (header, lines) = (batch.header, batch.lines.clone());
        assert_eq!(read, CommitCall { header, lines, data: Some(batch.data.clone()) });
        for end in 0..call.len() - 31 {
            assert_eq!(CommitCall::decode(&call[..end]), None, "{end} bytes");
        }
        let mut other = call;
        other[0] ^= 1;
        assert_eq!(CommitCall::decode(&other), None);
    }

    #[test]
    fn a_commit_with_blobs_is_read_back_and_no_part_of_it() {
        let batch = batch();
        let header = Header { data_hash: Hash([0xb1; 32]), ..batch.header };
        let call = commit_batch_blobs(&batch, &header, CompactSignature::default());
        let read = CommitCall::decode(&call).unwrap();
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
