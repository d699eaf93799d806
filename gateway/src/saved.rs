//! Read models as bytes and back, so that a start needs no event older than the newest snapshot.
//!
//! Each model writes what it knows and nothing that follows from that. Equal models give equal bytes: what a hash map
//! holds is written in the order of its keys. Reading is total: any bytes give a model or an error. It is bounded by
//! the bytes and, in each model, by its options: one with less room than the writer had keeps the newest.

use std::collections::HashMap;

use lakh_engine::wire::{DecodeError, Wire};

/// Writes the count of `items` and each of them.
pub(crate) fn put_each<T>(
    items: impl ExactSizeIterator<Item = T>,
    out: &mut Vec<u8>,
    mut put: impl FnMut(T, &mut Vec<u8>),
) {
    (items.len() as u64).encode(out);
    items.for_each(|item| put(item, out));
}

/// Reads what [`put_each`] wrote. No item takes less than a byte, so a count beyond what is left costs no memory.
pub(crate) fn take_each<T>(
    input: &mut &[u8],
    mut take: impl FnMut(&mut &[u8]) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = u64::decode(input)?;
    if count > input.len() as u64 {
        return Err(DecodeError::Truncated);
    }
    (0..count).map(|_| take(input)).collect()
}

/// What a map holds, by rising keys.
pub(crate) fn sorted<K: Ord + Copy, V, S>(map: &HashMap<K, V, S>) -> Vec<(K, &V)> {
    let mut entries: Vec<_> = map.iter().map(|(key, value)| (*key, value)).collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    entries
}

/// An enumeration without fields: one byte.
macro_rules! saved_enum {
    ($name:ident { $($variant:ident),* $(,)? }) => {
        impl lakh_engine::wire::Wire for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                out.push(*self as u8);
            }
            fn decode(input: &mut &[u8]) -> Result<Self, lakh_engine::wire::DecodeError> {
                let byte = u8::decode(input)?;
                $(if byte == Self::$variant as u8 {
                    return Ok(Self::$variant);
                })*
                Err(lakh_engine::wire::DecodeError::BadValue)
            }
        }
    };
}
pub(crate) use saved_enum;
