//! The balances that a batch changed, as they are published with it.
//!
//! Whoever has all streams since the beginning, or one full snapshot and those after it, can rebuild every sum tree and
//! leave without the operator. A balance is given as it is, not as a change, so a leaf that is published again later
//! heals whatever was missed before. About 12 bytes a balance, less where one account has several.
//!
//! | part | size | meaning |
//! |---|---|---|
//! | version | 1 | 1 |
//! | accounts | varint | how many accounts follow |
//! | then for each account, in ascending order: | | |
//! | account | varint | the number, for the first one; else the distance from the account before, minus 1 |
//! | assets | varint | how many of its balances follow, minus 1 |
//! | then for each asset, in ascending order: | | |
//! | asset | varint | the number, for the account's first one; else the distance from the asset before, minus 1 |
//! | balance | varint | in atoms, available and held together; 0 for an account that has nothing left |
//!
//! A varint has 7 bits a byte, the lowest first; the highest bit says that more follow. Only the shortest form is taken.
//! Distances cannot express a wrong order or a repeat, so a set of balances has exactly one encoding.
//!
//! Bounds: decoding takes memory for what is really there (at most 8 bytes a byte of input), never for a promise.

use lakh_engine::ids::{AccountId, AssetId};
use lakh_engine::units::Atoms;

/// Format of the stream.
pub const VERSION: u8 = 1;

/// One balance after a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafUpdate {
    /// Whose.
    pub account: AccountId,
    /// Of what.
    pub asset: AssetId,
    /// How much now, available and held together.
    pub balance: Atoms,
}

impl LeafUpdate {
    /// What the stream is ordered by.
    const fn place(&self) -> (u32, u16) {
        (self.account.0, self.asset.0)
    }
}

/// Why balances cannot be encoded, or bytes are no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiffError {
    /// Balances to encode are not in ascending order of account and asset, or one is there twice.
    #[error("balance {index} does not come after the one before it")]
    Order {
        /// Which.
        index: usize,
    },
    /// Another format.
    #[error("stream version {0} is not {VERSION}")]
    Version(u8),
    /// The bytes end in the middle.
    #[error("the stream ends at byte {offset} in the middle")]
    Truncated {
        /// Where.
        offset: usize,
    },
    /// A number is not in its shortest form, or larger than it may be.
    #[error("the number at byte {offset} is too large or not in its shortest form")]
    Number {
        /// Where it begins.
        offset: usize,
    },
    /// Bytes follow the last account.
    #[error("bytes follow the end of the stream at byte {offset}")]
    Trailing {
        /// Where.
        offset: usize,
    },
}

/// The stream of these balances.
///
/// # Errors
/// [`DiffError::Order`]: they have to come in strictly ascending order of account and asset.
pub fn encode(updates: &[LeafUpdate]) -> Result<Vec<u8>, DiffError> {
    if let Some(index) = updates.windows(2).position(|pair| pair[0].place() >= pair[1].place()) {
        return Err(DiffError::Order { index: index + 1 });
    }
    let mut bytes = vec![VERSION];
    let accounts = updates.chunk_by(|left, right| left.account == right.account);
    write_varint(&mut bytes, accounts.clone().count() as u64);
    let mut next_account = 0;
    for balances in accounts {
        let account = u64::from(balances[0].account.0);
        write_varint(&mut bytes, account - next_account);
        next_account = account + 1;
        write_varint(&mut bytes, balances.len() as u64 - 1);
        let mut next_asset = 0;
        for update in balances {
            let asset = u64::from(update.asset.0);
            write_varint(&mut bytes, asset - next_asset);
            next_asset = asset + 1;
            write_varint(&mut bytes, update.balance.raw());
        }
    }
    Ok(bytes)
}

/// The balances of a stream, in ascending order of account and asset.
///
/// # Errors
/// Bytes that [`encode`] would never have written.
pub fn decode(bytes: &[u8]) -> Result<Vec<LeafUpdate>, DiffError> {
    let mut reader = Reader { bytes, offset: 0 };
    let version = reader.byte()?;
    if version != VERSION {
        return Err(DiffError::Version(version));
    }
    let mut updates = Vec::new();
    let accounts = reader.varint(1 << 32)?;
    let mut next_account = 0;
    for _ in 0..accounts {
        let account = reader.number_from(next_account, u64::from(u32::MAX))?;
        next_account = account + 1;
        let account = AccountId(u32::try_from(account).expect("the reader refuses more than 32 bits"));
        let assets = reader.varint(u64::from(u16::MAX))? + 1;
        let mut next_asset = 0;
        for _ in 0..assets {
            let asset = reader.number_from(next_asset, u64::from(u16::MAX))?;
            next_asset = asset + 1;
            let asset = AssetId(u16::try_from(asset).expect("the reader refuses more than 16 bits"));
            updates.push(LeafUpdate { account, asset, balance: Atoms(reader.varint(u64::MAX)?) });
        }
    }
    if reader.offset != bytes.len() {
        return Err(DiffError::Trailing { offset: reader.offset });
    }
    Ok(updates)
}

fn write_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Goes through a stream from its beginning.
struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, DiffError> {
        let byte = *self.bytes.get(self.offset).ok_or(DiffError::Truncated { offset: self.offset })?;
        self.offset += 1;
        Ok(byte)
    }

    /// A number of at most `max`, in its shortest form.
    fn varint(&mut self, max: u64) -> Result<u64, DiffError> {
        let wrong = DiffError::Number { offset: self.offset };
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(wrong);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                let is_shortest = byte != 0 || shift == 0;
                return if is_shortest && value <= max { Ok(value) } else { Err(wrong) };
            }
        }
        Err(wrong)
    }

    /// A number given by its distance from `next`, of at most `max`.
    fn number_from(&mut self, next: u64, max: u64) -> Result<u64, DiffError> {
        let wrong = DiffError::Number { offset: self.offset };
        let room = max.checked_sub(next).ok_or(wrong)?;
        Ok(next + self.varint(room)?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn update(account: u32, asset: u16, balance: u64) -> LeafUpdate {
        LeafUpdate { account: AccountId(account), asset: AssetId(asset), balance: Atoms(balance) }
    }

    #[test]
    fn the_bytes_are_those_of_the_table() {
        let updates = [update(0, 0, 1), update(5, 1, 300), update(5, 3, 0), update(u32::MAX, u16::MAX, u64::MAX)];
        let bytes = encode(&updates).expect("in order");
        let last_account = [0xf9, 0xff, 0xff, 0xff, 0x0f]; // 2^32 - 1 - 6
        let largest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        let expected: Vec<u8> = [
            &[1, 3][..],
            &[0, 0, 0, 1],                // account 0, one asset: 0 has 1
            &[4, 1, 1, 0xac, 0x02, 1, 0], // account 5, two assets: 1 has 300, 3 has 0
            &last_account,
            &[0, 0xff, 0xff, 0x03],
            &largest,
        ]
        .concat();
        assert_eq!(bytes, expected);
        assert_eq!(decode(&bytes), Ok(updates.to_vec()));
    }

    #[test]
    fn nothing_changed_is_two_bytes() {
        assert_eq!(encode(&[]), Ok(vec![1, 0]));
        assert_eq!(decode(&[1, 0]), Ok(Vec::new()));
    }

    #[test]
    fn balances_out_of_order_are_not_encoded() {
        let cases = [
            [update(1, 0, 1), update(0, 0, 1)],
            [update(1, 1, 1), update(1, 0, 1)],
            [update(1, 1, 1), update(1, 1, 2)],
        ];
        assert!(cases.iter().all(|updates| encode(updates) == Err(DiffError::Order { index: 1 })));
    }

    #[test]
    fn every_fault_has_its_error() {
        let cases: &[(&[u8], DiffError)] = &[
            (&[], DiffError::Truncated { offset: 0 }),
            (&[2, 0], DiffError::Version(2)),
            (&[1], DiffError::Truncated { offset: 1 }),
            (&[1, 1], DiffError::Truncated { offset: 2 }),
            (&[1, 0, 0], DiffError::Trailing { offset: 2 }),
            (&[1, 0x80, 0], DiffError::Number { offset: 1 }), // zero in two bytes
            (&[1, 0x81, 0x80, 0x80, 0x80, 0x10], DiffError::Number { offset: 1 }), // 2^32 + 1 accounts
            (&[1, 1, 0x80, 0x80, 0x80, 0x80, 0x10], DiffError::Number { offset: 2 }), // account 2^32
            (&[1, 1, 0, 0x80, 0x80, 0x04], DiffError::Number { offset: 3 }), // 65,537 assets
            (&[1, 1, 0, 0, 0x80, 0x80, 0x04], DiffError::Number { offset: 4 }), // asset 65,536
            // a second account after the last possible one
            (&[1, 2, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 1, 0, 0, 0, 1], DiffError::Number { offset: 10 }),
            // a balance of 2^64, and one of eleven bytes
            (
                &[1, 1, 0, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02],
                DiffError::Number { offset: 5 },
            ),
            (
                &[1, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0],
                DiffError::Number { offset: 5 },
            ),
        ];
        for (bytes, error) in cases {
            assert_eq!(decode(bytes), Err(*error), "{bytes:02x?}");
        }
    }

    #[test]
    fn a_promise_takes_no_memory() {
        // 2^32 accounts are promised, none is there.
        let promise = [1, 0x80, 0x80, 0x80, 0x80, 0x10];
        assert_eq!(decode(&promise), Err(DiffError::Truncated { offset: 6 }));
    }

    proptest! {
        #![proptest_config(crate::testing::random_cases(256))]

        #[test]
        fn what_is_encoded_comes_back_and_no_prefix_does(
            balances in prop::collection::btree_map((any::<u32>(), 0_u16..64), any::<u64>(), 0..60),
        ) {
            let balances: BTreeMap<(u32, u16), u64> = balances;
            let updates: Vec<_> =
                balances.into_iter().map(|((account, asset), balance)| update(account, asset, balance)).collect();
            let bytes = encode(&updates).expect("a map is in order");
            prop_assert_eq!(decode(&bytes), Ok(updates));
            for end in 0..bytes.len() {
                prop_assert!(decode(&bytes[..end]).is_err());
            }
        }

        #[test]
        fn any_bytes_are_refused_or_are_the_only_encoding(tail in prop::collection::vec(0_u8..6, 0..40)) {
            let bytes = [&[VERSION][..], &tail].concat();
            if let Ok(updates) = decode(&bytes) {
                prop_assert_eq!(encode(&updates), Ok(bytes));
            }
        }

        #[test]
        fn wild_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(updates) = decode(&bytes) {
                prop_assert_eq!(encode(&updates), Ok(bytes));
            }
        }
    }
}
