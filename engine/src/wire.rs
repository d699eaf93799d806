//! How values become bytes and come back: one trait, `Wire`, gives each type both directions, so that they cannot drift
//! apart, and one line a type names its fields once.
//!
//! Little-endian, no padding. A sum type starts with a tag byte; an `Option` with 0 or 1; text with its length. Decoding
//! is total: any bytes give a value or a [`DecodeError`], and what decodes encodes back to the same bytes.

use alloc::vec::Vec;

use crate::ids::{AccountId, AssetId, FeeTier, KeyId, MarketId, OrderId, Sequence, ShortText, TradeId};
use crate::units::{Atoms, FeeRate, Lots, Ticks, Timestamp};

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// They end too early.
    Truncated,
    /// A tag, number or text is none that is known.
    BadValue,
    /// They go on after the value's end.
    TrailingBytes,
}

/// A value that has bytes.
pub(crate) trait Wire: Sized {
    /// Appends its bytes.
    fn encode(&self, out: &mut Vec<u8>);
    /// Takes its bytes off the front of `input`.
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError>;
}

/// Takes `N` bytes off the front.
fn take<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], DecodeError> {
    let (head, rest) = input.split_first_chunk::<N>().ok_or(DecodeError::Truncated)?;
    *input = rest;
    Ok(*head)
}

/// A value of few bytes that is put together in place before it is appended: an event has a dozen fields, and to ask for
/// each whether the output has room costs more than all else that is done with it.
pub(crate) trait Flat {
    /// Writes its bytes at `at`; tells where they end.
    fn put(&self, space: &mut [u8; FLAT_BYTES], at: usize) -> usize;
}

/// The most bytes of an event's fields that are put together in place.
pub(crate) const FLAT_BYTES: usize = 128;

/// Appends what `put` puts together.
#[inline]
pub(crate) fn append_flat(out: &mut Vec<u8>, put: impl FnOnce(&mut [u8; FLAT_BYTES]) -> usize) {
    let mut space = [0; FLAT_BYTES];
    let end = put(&mut space);
    out.extend_from_slice(&space[..end]);
}

macro_rules! wire_integer {
    ($($integer:ty),*) => {$(
        impl Flat for $integer {
            #[inline]
            fn put(&self, space: &mut [u8; FLAT_BYTES], at: usize) -> usize {
                let end = at + size_of::<$integer>();
                space[at..end].copy_from_slice(&self.to_le_bytes());
                end
            }
        }
        impl Wire for $integer {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
                take(input).map(Self::from_le_bytes)
            }
        }
    )*};
}

macro_rules! wire_newtype {
    ($($name:ident),*) => {$(
        impl Flat for $name {
            #[inline]
            fn put(&self, space: &mut [u8; FLAT_BYTES], at: usize) -> usize {
                self.0.put(space, at)
            }
        }
        impl Wire for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                self.0.encode(out);
            }
            fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
                Wire::decode(input).map(Self)
            }
        }
    )*};
}

/// A struct: its fields in order.
macro_rules! wire_struct {
    ($name:ty { $($field:ident),* $(,)? }) => {
        impl Wire for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                $(self.$field.encode(out);)*
            }
            fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
                Ok(Self { $($field: Wire::decode(input)?,)* })
            }
        }
    };
}

/// A struct that is put together in place; else as [`wire_struct`].
macro_rules! wire_flat_struct {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl Flat for $name {
            #[inline]
            fn put(&self, space: &mut [u8; FLAT_BYTES], at: usize) -> usize {
                $(let at = self.$field.put(space, at);)*
                at
            }
        }
        impl Wire for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                append_flat(out, |space| self.put(space, 0));
            }
            fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
                Ok(Self { $($field: Wire::decode(input)?,)* })
            }
        }
    };
}

/// An enumeration without fields: one byte.
macro_rules! wire_byte_enum {
    ($name:ident { $($variant:ident),* $(,)? }) => {
        impl $crate::wire::Flat for $name {
            #[inline]
            fn put(&self, space: &mut [u8; $crate::wire::FLAT_BYTES], at: usize) -> usize {
                space[at] = *self as u8;
                at + 1
            }
        }
        impl Wire for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                out.push(*self as u8);
            }
            fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
                let byte = u8::decode(input)?;
                $(if byte == Self::$variant as u8 {
                    return Ok(Self::$variant);
                })*
                Err(DecodeError::BadValue)
            }
        }
    };
}

/// A sum type: a tag byte, then the variant's fields.
macro_rules! wire_enum {
    ($name:ident { $($tag:literal => $variant:ident $(($value:ident))? $({ $($field:ident),* $(,)? })?),* $(,)? }) => {
        impl Wire for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $(($value))? $({ $($field),* })? => {
                        out.push($tag);
                        $($value.encode(out);)?
                        $(append_flat(out, |space| {
                            let at = 0;
                            $(let at = $field.put(space, at);)*
                            at
                        });)?
                    })*
                }
            }
            fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
                let tag = u8::decode(input)?;
                match tag {
                    $($tag => Ok(Self::$variant $(({
                        let $value = Wire::decode(input)?;
                        $value
                    }))? $({ $($field: Wire::decode(input)?),* })?),)*
                    _ => Err(DecodeError::BadValue),
                }
            }
        }
    };
}

pub(crate) use {wire_byte_enum, wire_enum, wire_flat_struct, wire_struct};

wire_integer!(u8, u16, u32, u64, u128, i32, i64);
wire_newtype!(Ticks, Lots, Atoms, Timestamp, FeeRate, FeeTier, Sequence, AccountId, MarketId);
wire_newtype!(AssetId, KeyId, OrderId, TradeId);

impl<const N: usize> Flat for [u8; N] {
    #[inline]
    fn put(&self, space: &mut [u8; FLAT_BYTES], at: usize) -> usize {
        space[at..at + N].copy_from_slice(self);
        at + N
    }
}

impl<const N: usize> Wire for [u8; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        take(input)
    }
}

impl<const N: usize> Wire for [[u8; 32]; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        self.iter().for_each(|key| key.encode(out));
    }
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut keys = [[0; 32]; N];
        for key in &mut keys {
            *key = take(input)?;
        }
        Ok(keys)
    }
}

impl<const MAX: usize> Flat for ShortText<MAX> {
    /// All of its bytes are written, for a copy of a fixed size needs no call; what follows overwrites the rest.
    #[inline]
    fn put(&self, space: &mut [u8; FLAT_BYTES], at: usize) -> usize {
        space[at] = u8::try_from(self.length()).expect("short text is shorter than 256 bytes");
        space[at + 1..at + 1 + MAX].copy_from_slice(self.padded_bytes());
        at + 1 + self.length()
    }
}

impl<const MAX: usize> Wire for ShortText<MAX> {
    fn encode(&self, out: &mut Vec<u8>) {
        append_flat(out, |space| self.put(space, 0));
    }
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let [length] = take(input)?;
        let (text, rest) = input.split_at_checked(usize::from(length)).ok_or(DecodeError::Truncated)?;
        *input = rest;
        Self::from_bytes(text).ok_or(DecodeError::BadValue)
    }
}

impl<T: Flat> Flat for Option<T> {
    #[inline]
    fn put(&self, space: &mut [u8; FLAT_BYTES], at: usize) -> usize {
        match self {
            None => 0_u8.put(space, at),
            Some(value) => {
                let at = 1_u8.put(space, at);
                value.put(space, at)
            }
        }
    }
}

impl<T: Wire> Wire for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.encode(out);
            }
        }
    }
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        match take(input)? {
            [0] => Ok(None),
            [1] => T::decode(input).map(Some),
            _ => Err(DecodeError::BadValue),
        }
    }
}
