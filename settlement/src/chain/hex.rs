//! Hexadecimal as JSON-RPC writes it: bytes as `0x` and two digits each, numbers as `0x` and their digits.
//!
//! Invariants: any text gives a value or `None`, never a panic; what is written here is read here to the same value.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Bytes as text.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push_str("0x");
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 0xf)]));
    }
    text
}

/// Bytes from text.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x")?.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// Exactly `N` bytes from text.
pub(crate) fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    // Looked at before decoding, so that a long text costs nothing.
    if text.len() != 2 + 2 * N {
        return None;
    }
    decode(text)?.try_into().ok()
}

/// A number as text, without leading zeros.
pub(super) fn quantity(value: u128) -> String {
    format!("{value:#x}")
}

/// A number from text; `None` also where it does not fit 128 bits.
pub(super) fn parse_quantity(text: &str) -> Option<u128> {
    let digits = text.strip_prefix("0x")?;
    // The standard parser takes a sign, which is no digit here.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(digits, 16).ok()
}

fn digit(character: u8) -> Option<u8> {
    let digit = char::from(character).to_digit(16)?;
    u8::try_from(digit).ok()
}

/// A number in an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quantity(pub(super) u128);

impl Quantity {
    /// The number, where it fits 64 bits.
    pub(super) fn as_u64(self) -> Option<u64> {
        u64::try_from(self.0).ok()
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_quantity(&text).map(Self).ok_or_else(|| D::Error::custom("no number of up to 128 bits"))
    }
}

/// Bytes in an answer.
#[derive(Clone, Debug)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        decode(&text).map(Self).ok_or_else(|| D::Error::custom("no hexadecimal bytes"))
    }
}

/// `N` bytes in an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixed<const N: usize>(pub(super) [u8; N]);

impl<'de, const N: usize> Deserialize<'de> for Fixed<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        decode_array(&text).map(Self).ok_or_else(|| D::Error::custom(format!("no {N} hexadecimal bytes")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_they_are_written() {
        for (bytes, text) in [(&[][..], "0x"), (&[0, 0xff, 0x1a], "0x00ff1a")] {
            assert_eq!(encode(bytes), text);
            assert_eq!(decode(text).as_deref(), Some(bytes));
        }
        assert_eq!(decode("0xFF"), Some(vec![255]));
        assert_eq!(decode_array::<2>("0x0102"), Some([1, 2]));
        for wrong in ["", "0", "00", "0x0", "0x0g", "0x+1", "0xé1", "0X00"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
        for wrong in ["0x01", "0x010203", "0x010"] {
            assert_eq!(decode_array::<2>(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        for (value, text) in [(0, "0x0"), (26, "0x1a"), (u128::MAX, "0xffffffffffffffffffffffffffffffff")] {
            assert_eq!(quantity(value), text);
            assert_eq!(parse_quantity(text), Some(value));
        }
        let too_large = "0x100000000000000000000000000000000";
        for wrong in ["", "0x", "1", "0x+1", "0x-1", "0x 1", "0xg", too_large] {
            assert_eq!(parse_quantity(wrong), None, "{wrong}");
        }
    }
}
