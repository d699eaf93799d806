//! What a batch claims: a line for each asset, the root over the lines, and the header that the contract checks.
//!
//! The contract keeps of all lines only the root. So that an idle asset costs no storage there, tree hashes (which change
//! all the time) and totals (which rarely do) are hashed apart; whoever commits a batch tells the old totals of the
//! assets whose totals change ([`AssetChange`]), and the contract checks them against the old root.
//!
//! Words are the EVM's: 32 bytes, numbers big-endian at the end, as `abi.encode` lays them out. A running hash starts at
//! 0 and takes a word at a time: keccak256(hash ‖ word). Lines come in the order of asset numbers from 0 without gaps.
//!
//! | hashed | made of |
//! |---|---|
//! | trees | running hash of each line's sum tree hash |
//! | totals | running hash of each line's sum (16 bytes) ‖ credited (16 bytes) |
//! | balances root | keccak256(trees ‖ totals) |
//!
//! The header; what the contract compares with its own state comes first, what only binds other data last:
//!
//! | offset | size | field | meaning |
//! |---|---|---|---|
//! | 0 | 32 | version | 1 |
//! | 32 | 32 | batch id | from 1, without gaps |
//! | 64 | 32 | first sequence | the last batch's last sequence + 1 |
//! | 96 | 32 | last sequence | at least the first |
//! | 128 | 32 | first time | seconds since the Unix epoch, rounded down |
//! | 160 | 32 | last time | seconds since the Unix epoch, rounded down |
//! | 192 | 32 | queue up to | last queue entry consumed; 0 for none yet |
//! | 224 | 32 | fills | trades in the batch; informative |
//! | 256 | 32 | previous root | over the lines before the batch |
//! | 288 | 32 | new root | over the lines after the batch |
//! | 320 | 32 | journal hash | of the last journal block that the batch covers |
//! | 352 | 32 | journal root | Merkle root over the batch's records |
//! | 384 | 32 | queue prefix | the queue's prefix hash at `queue up to` |
//! | 416 | 32 | data hash | keccak256 of the state differences, or of the versioned hashes of their blobs, see [`crate::blobs`] |
//! | 448 | 32 | steps root | 0 |
//! | 480 | 32 | withdrawals root | see [`crate::withdrawals`] |

use lakh_engine::ids::{AssetId, Sequence};

use crate::keccak::{Hash, keccak256};
use crate::sum_tree::Node;
use crate::words::{self, WORD};

/// Format of the headers.
pub const HEADER_VERSION: u64 = 1;

/// Bytes of a header.
pub const HEADER_BYTES: usize = 16 * WORD;

/// Numbers at the head of a header, before its hashes.
const NUMBERS: usize = 8;

/// One asset after a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssetLine {
    /// Root of the asset's sum tree; its sum is what the venue owes.
    pub tree: Node,
    /// All deposits consumed from the queue since the beginning, in atoms.
    pub credited: u128,
}

impl AssetLine {
    /// Its totals as one word.
    pub(crate) fn totals(&self) -> Hash {
        totals_word(self.tree.sum, self.credited)
    }
}

/// An asset's totals as one word: what the venue owes ‖ the deposits consumed, 16 bytes each.
fn totals_word(sum: u128, credited: u128) -> Hash {
    let mut word = [0; WORD];
    word[..16].copy_from_slice(&sum.to_be_bytes());
    word[16..].copy_from_slice(&credited.to_be_bytes());
    Hash(word)
}

/// How an asset's totals came to be what its line says; wanted for each asset whose totals change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssetChange {
    /// Which asset.
    pub asset: AssetId,
    /// What the venue owed before the batch, in atoms.
    pub sum: u128,
    /// The deposits consumed before the batch, in atoms.
    pub credited: u128,
    /// The withdrawals of the batch: the root of their tree, whose sum is what they come to. Empty for none.
    pub withdrawals: Node,
}

impl AssetChange {
    /// The totals before the batch as one word.
    pub(crate) fn totals_before(&self) -> Hash {
        totals_word(self.sum, self.credited)
    }

    /// Whether money is conserved: what is owed is what was owed, plus the deposits consumed, minus the withdrawals.
    pub fn is_conserved(&self, after: &AssetLine) -> bool {
        let came = after.credited.checked_sub(self.credited);
        let before = came.and_then(|came| self.sum.checked_add(came));
        before.and_then(|before| before.checked_sub(self.withdrawals.sum)) == Some(after.tree.sum)
    }
}

/// Running hash of the tree hashes in all lines; what the next batch is committed with beside its own lines.
pub fn trees_hash(lines: &[AssetLine]) -> Hash {
    lines.iter().fold(Hash::ZERO, |hash, line| append(hash, line.tree.hash))
}

/// The balances root over all assets.
pub fn balances_root(lines: &[AssetLine]) -> Hash {
    let totals = lines.iter().fold(Hash::ZERO, |hash, line| append(hash, line.totals()));
    append(trees_hash(lines), totals)
}

/// The balances root before a batch, as the contract works it out: `lines` after it, with the changes taken back; of its
/// lines the first `previous_lines` were there, with the trees that [`trees_hash`] hashed to `previous_trees`.
pub fn root_before(
    lines: &[AssetLine],
    changes: &[AssetChange],
    (previous_lines, previous_trees): (usize, Hash),
) -> Hash {
    let before = |(asset, line): (u16, &AssetLine)| {
        let change = changes.iter().find(|change| change.asset.0 == asset);
        change.map_or_else(|| line.totals(), AssetChange::totals_before)
    };
    let totals = (0..).zip(lines).take(previous_lines).map(before).fold(Hash::ZERO, append);
    append(previous_trees, totals)
}

/// keccak256 of both, 64 bytes.
fn append(hash: Hash, word: Hash) -> Hash {
    keccak256(&words::concat([hash.0, word.0]))
}

/// What a batch claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Number of the batch, from 1, without gaps.
    pub batch_id: u64,
    /// First journal record that the batch covers.
    pub first_sequence: Sequence,
    /// Last journal record that the batch covers.
    pub last_sequence: Sequence,
    /// Time of the first record, in seconds, rounded down.
    pub first_time_seconds: u64,
    /// Time of the last record, in seconds, rounded down.
    pub last_time_seconds: u64,
    /// The last queue entry that the batch consumes; 0 while there was none.
    pub queue_up_to: u64,
    /// Trades in the batch.
    pub fills: u64,
    /// Balances root before the batch.
    pub previous_root: Hash,
    /// Balances root after the batch.
    pub new_root: Hash,
    /// Hash of the last journal block that the batch covers.
    pub journal_hash: Hash,
    /// Merkle root over the batch's journal records.
    pub journal_root: Hash,
    /// The queue's prefix hash at `queue_up_to`; 0 where the batch consumes no entry.
    pub queue_prefix: Hash,
    /// keccak256 of the published state differences, or of the versioned hashes of the blobs that hold them.
    pub data_hash: Hash,
    /// Root over intermediate states; 0 at this stage.
    pub steps_root: Hash,
    /// What the batch pays out.
    pub withdrawals_root: Hash,
}

/// Why bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Another format.
    #[error("header version {0} is not {HEADER_VERSION}")]
    Version(u64),
    /// A number that does not fit 64 bits.
    #[error("the number at offset {offset} does not fit 64 bits")]
    Number {
        /// Where its word begins.
        offset: usize,
    },
}

impl Header {
    /// Its bytes: see the module's table.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let numbers = [
            HEADER_VERSION,
            self.batch_id,
            self.first_sequence.0,
            self.last_sequence.0,
            self.first_time_seconds,
            self.last_time_seconds,
            self.queue_up_to,
            self.fills,
        ];
        let hashes = [
            self.previous_root,
            self.new_root,
            self.journal_hash,
            self.journal_root,
            self.queue_prefix,
            self.data_hash,
            self.steps_root,
            self.withdrawals_root,
        ];
        let numbers = numbers.iter().map(|number| words::number(u128::from(*number)));
        let words = numbers.chain(hashes.iter().map(|hash| hash.0));
        let mut bytes = [0; HEADER_BYTES];
        for (place, word) in bytes.chunks_exact_mut(WORD).zip(words) {
            place.copy_from_slice(&word);
        }
        bytes
    }

    /// From its bytes.
    ///
    /// # Errors
    /// Another version, or a number above 64 bits. Whether the claims hold is not checked.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderError> {
        let (words, _) = bytes.as_chunks::<WORD>();
        let number = |index: usize| words::read_u64(&words[index]).ok_or(HeaderError::Number { offset: index * WORD });
        let hash = |index: usize| Hash(words[NUMBERS + index]);
        let version = number(0)?;
        if version != HEADER_VERSION {
            return Err(HeaderError::Version(version));
        }
        Ok(Self {
            batch_id: number(1)?,
            first_sequence: Sequence(number(2)?),
            last_sequence: Sequence(number(3)?),
            first_time_seconds: number(4)?,
            last_time_seconds: number(5)?,
            queue_up_to: number(6)?,
            fills: number(7)?,
            previous_root: hash(0),
            new_root: hash(1),
            journal_hash: hash(2),
            journal_root: hash(3),
            queue_prefix: hash(4),
            data_hash: hash(5),
            steps_root: hash(6),
            withdrawals_root: hash(7),
        })
    }

    /// Whether both are of one batch, however its data travel.
    pub fn is_same_batch(&self, other: &Self) -> bool {
        Self { data_hash: other.data_hash, ..*self } == *other
    }

    /// Its hash.
    pub fn hash(&self) -> Hash {
        keccak256(&self.encode())
    }
}

/// When a batch came to the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The block's time, in seconds since the Unix epoch.
    pub time_seconds: u64,
    /// The block's number.
    pub block_number: u64,
}

/// What the contract stores of a batch: keccak256 of the header's hash and the two numbers, three words.
pub fn batch_hash(header_hash: Hash, stamp: Stamp) -> Hash {
    let time = words::number(u128::from(stamp.time_seconds));
    keccak256(&words::concat([header_hash.0, time, words::number(u128::from(stamp.block_number))]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbered() -> Header {
        Header {
            batch_id: 2,
            first_sequence: Sequence(3),
            last_sequence: Sequence(4),
            first_time_seconds: 5,
            last_time_seconds: 6,
            queue_up_to: 7,
            fills: 8,
            previous_root: Hash([9; 32]),
            new_root: Hash([10; 32]),
            journal_hash: Hash([11; 32]),
            journal_root: Hash([12; 32]),
            queue_prefix: Hash([13; 32]),
            data_hash: Hash([14; 32]),
            steps_root: Hash([15; 32]),
            withdrawals_root: Hash([16; 32]),
        }
    }

    #[test]
    fn header_bytes_are_where_the_table_says() {
        let bytes = numbered().encode();
        for (index, word) in (1_u8..).zip(bytes.chunks_exact(32)) {
            assert_eq!(word[31], index, "word {index}");
            let first = if index <= 8 { 0 } else { index };
            assert!(word[..31].iter().all(|byte| *byte == first), "word {index}");
        }
        assert_eq!(Header::decode(&bytes), Ok(numbered()));
    }

    #[test]
    fn a_header_with_another_version_or_a_large_number_is_refused() {
        let mut bytes = numbered().encode();
        bytes[31] = 2;
        assert_eq!(Header::decode(&bytes), Err(HeaderError::Version(2)));
        for index in 0..8 {
            let mut bytes = numbered().encode();
            bytes[index * 32 + 23] = 1;
            assert_eq!(Header::decode(&bytes), Err(HeaderError::Number { offset: index * 32 }));
        }
    }

    fn line(hash: u8, sum: u128, credited: u128) -> AssetLine {
        AssetLine { tree: Node { hash: Hash([hash; 32]), sum }, credited }
    }

    #[test]
    fn nothing_appears_or_is_lost() {
        let change = |sum, credited, withdrawn| AssetChange {
            asset: AssetId(0),
            sum,
            credited,
            withdrawals: Node { hash: Hash::ZERO, sum: withdrawn },
        };
        assert!(change(100, 500, 0).is_conserved(&line(1, 100, 500)));
        assert!(change(100, 500, 30).is_conserved(&line(1, 120, 550)));
        assert!(change(0, 0, u128::MAX).is_conserved(&line(1, 0, u128::MAX)));
        let refused = [
            (change(100, 500, 30), line(1, 121, 550)),
            (change(100, 500, 30), line(1, 119, 550)),
            (change(100, 500, 0), line(1, 99, 499)),
            (change(0, 0, 1), line(1, u128::MAX, 0)),
            (change(u128::MAX, 0, 0), line(1, 0, 1)),
        ];
        assert!(refused.iter().all(|(change, after)| !change.is_conserved(after)));
    }

    #[test]
    fn the_totals_word_is_where_the_table_says() {
        let word = line(9, 0x0102, 0x0304).totals().0;
        assert_eq!((&word[14..16], &word[30..]), (&[1, 2][..], &[3, 4][..]));
        assert!(word[..14].iter().chain(&word[16..30]).all(|byte| *byte == 0));
    }

    #[test]
    fn each_part_and_the_order_of_the_lines_change_the_root() {
        let (first, second) = (line(1, 7, 10), line(2, 7, 10));
        let root = balances_root(&[first, second]);
        let others = [
            vec![first],
            vec![second, first],
            vec![first, second, second],
            vec![first, line(2, 7, 11)],
            vec![first, line(2, 8, 10)],
            vec![line(3, 7, 10), second],
        ];
        assert!(others.iter().all(|other| balances_root(other) != root));
        assert_eq!(balances_root(&[]), keccak256(&[0; 64]));
    }

    #[test]
    fn a_batch_is_bound_to_its_header_and_its_block() {
        let hash =
            |byte, time_seconds, block_number| batch_hash(Hash([byte; 32]), Stamp { time_seconds, block_number });
        let plain = hash(1, 2, 3);
        assert!([hash(2, 2, 3), hash(1, 3, 3), hash(1, 2, 4), hash(1, 3, 2)].iter().all(|other| *other != plain));
    }

    proptest! {
        #![proptest_config(crate::testing::random_cases(64))]

        #[test]
        fn headers_have_one_encoding(numbers in prop::collection::vec(any::<u64>(), 7), fill in any::<u8>()) {
            let header = Header {
                batch_id: numbers[0],
                first_sequence: Sequence(numbers[1]),
                last_sequence: Sequence(numbers[2]),
                first_time_seconds: numbers[3],
                last_time_seconds: numbers[4],
                queue_up_to: numbers[5],
                fills: numbers[6],
                steps_root: Hash([fill; 32]),
                ..numbered()
            };
            let mut bytes = header.encode();
            prop_assert_eq!(Header::decode(&bytes), Ok(header));
            let place = usize::from(fill) * 2 + 1;
            bytes[place] ^= 0x80;
            // Either it is no header any more, or it is another one.
            prop_assert!(Header::decode(&bytes).is_ok_and(|other| other.hash() != header.hash()) || place < 256);
        }
    }
}
