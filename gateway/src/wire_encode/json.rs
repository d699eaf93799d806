//! Writes JSON text straight into a byte buffer: no tree, no allocation of its own.
//!
//! Commas are placed by looking at the last byte: a value or key needs one unless it opens a container or follows its
//! key. That works because a finished value never ends in `{`, `[` or `:` (a string ends in its quote).
//! Every text is escaped: client ids and symbols are printable ASCII, so only `"` and `\` can need it.

use lakh_engine::market_spec::AssetSpec;
use lakh_engine::units::{Atoms, Lots, Ticks};

use crate::decimal;
use crate::directory::MarketEntry;

/// A writer at the end of a buffer.
#[derive(Debug)]
pub struct JsonWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> JsonWriter<'a> {
    /// Writes one value behind what `out` holds, of which nothing is looked at.
    pub const fn new(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        Self { out, start }
    }

    /// Opens an object as the next value.
    pub fn begin_object(&mut self) -> &mut Self {
        self.separate();
        self.out.push(b'{');
        self
    }

    /// Closes the object.
    pub fn end_object(&mut self) -> &mut Self {
        self.out.push(b'}');
        self
    }

    /// Opens an array as the next value.
    pub fn begin_array(&mut self) -> &mut Self {
        self.separate();
        self.out.push(b'[');
        self
    }

    /// Closes the array.
    pub fn end_array(&mut self) -> &mut Self {
        self.out.push(b']');
        self
    }

    /// Writes the name of the next member: plain ASCII without anything to escape.
    ///
    /// Inlined, so that the name's length is known where it is copied: a report has 38 of them.
    #[inline]
    pub fn key(&mut self, name: &'static str) -> &mut Self {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self
    }

    /// Writes a text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.separate();
        self.out.push(b'"');
        if text.bytes().any(|byte| matches!(byte, b'"' | b'\\' | 0x00..=0x1f)) {
            self.write_escaped(text);
        } else {
            self.out.extend_from_slice(text.as_bytes());
        }
        self.out.push(b'"');
        self
    }

    /// Writes a whole number.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.separate();
        write_number(number, self.out);
        self
    }

    /// Writes a whole number that may be below zero.
    pub fn signed(&mut self, number: i64) -> &mut Self {
        self.separate();
        if number < 0 {
            self.out.push(b'-');
        }
        write_number(number.unsigned_abs(), self.out);
        self
    }

    /// Writes `true`.
    pub fn yes(&mut self) -> &mut Self {
        self.raw(b"true")
    }

    /// Writes `false`.
    pub fn no(&mut self) -> &mut Self {
        self.raw(b"false")
    }

    /// Writes `true` or `false`.
    pub fn truth(&mut self, truth: bool) -> &mut Self {
        if truth { self.yes() } else { self.no() }
    }

    /// Writes `null`.
    pub fn null(&mut self) -> &mut Self {
        self.raw(b"null")
    }

    /// Writes a whole JSON value that is encoded already.
    pub fn raw(&mut self, value: &[u8]) -> &mut Self {
        self.separate();
        self.out.extend_from_slice(value);
        self
    }

    /// Writes a price as a decimal text with the market's places.
    pub fn price(&mut self, market: &MarketEntry, price: Ticks) -> &mut Self {
        self.quoted(|out| market.write_price(price, out))
    }

    /// Writes a quantity as a decimal text with the market's places.
    pub fn quantity(&mut self, market: &MarketEntry, quantity: Lots) -> &mut Self {
        self.quoted(|out| market.write_quantity(quantity, out))
    }

    /// Writes an amount as a decimal text with the asset's places.
    pub fn amount(&mut self, asset: &AssetSpec, amount: Atoms) -> &mut Self {
        self.quoted(|out| decimal::write(u128::from(amount.0), asset.decimals, out))
    }

    /// Writes an amount that may be below zero as a decimal text with the asset's places.
    pub fn signed_amount(&mut self, asset: &AssetSpec, sign: Sign, amount: Atoms) -> &mut Self {
        self.quoted(|out| {
            if sign == Sign::Negative && !amount.is_zero() {
                out.push(b'-');
            }
            decimal::write(u128::from(amount.0), asset.decimals, out);
        })
    }

    /// Writes a fee: positive where it was paid, negative where it was received.
    pub fn fee(&mut self, asset: &AssetSpec, fee: i64) -> &mut Self {
        let sign = if fee < 0 { Sign::Negative } else { Sign::Positive };
        self.signed_amount(asset, sign, Atoms(fee.unsigned_abs()))
    }

    /// Writes `units` of 10^-`decimals` as a decimal text.
    pub fn decimal(&mut self, units: u128, decimals: u8) -> &mut Self {
        self.quoted(|out| decimal::write(units, decimals, out))
    }

    /// Writes the text that `write` appends, which holds nothing to escape, between quotes.
    pub fn quoted(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        self.separate();
        self.out.push(b'"');
        write(self.out);
        self.out.push(b'"');
        self
    }

    fn write_escaped(&mut self, text: &str) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => self.out.extend_from_slice(&[b'\\', byte]),
                0x00..=0x1f => {
                    self.out.extend_from_slice(b"\\u00");
                    self.out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                }
                _ => self.out.push(byte),
            }
        }
    }

    #[inline]
    fn separate(&mut self) {
        if self.out.len() > self.start && !matches!(self.out.last(), Some(b'{' | b'[' | b':')) {
            self.out.push(b',');
        }
    }
}

/// Whether an amount counts as itself or as its negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// As itself.
    Positive,
    /// As its negative.
    Negative,
}

/// Appends a whole number in decimal digits.
pub fn write_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).expect("a digit");
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut JsonWriter<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut JsonWriter::new(&mut out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn commas_stand_between_values_only() {
        let text = written(|json| {
            json.begin_object().key("a").begin_array().end_array().key("b").begin_array();
            json.begin_object().end_object().number(0).text("").text("x").null().end_array();
            json.key("c").signed(-7).key("d").yes().key("e").raw(b"{}").end_object();
        });
        assert_eq!(text, r#"{"a":[],"b":[{},0,"","x",null],"c":-7,"d":true,"e":{}}"#);
    }

    #[test]
    fn what_stands_in_front_is_left_alone() {
        let mut out = b"}".to_vec();
        JsonWriter::new(&mut out).begin_object().end_object();
        assert_eq!(out, b"}{}");
    }

    #[test]
    fn texts_are_escaped() {
        let nasty = "a\"b\\c{[:,\n\u{1}é";
        let text = written(|json| {
            json.begin_array().text(nasty).text(":").number(1).end_array();
        });
        let back: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(back[0], nasty);
        assert_eq!(back.len(), 3);
    }

    #[test]
    fn numbers_reach_the_bounds() {
        let text = written(|json| {
            json.begin_array().number(u64::MAX).signed(i64::MIN).number(0).signed(0).end_array();
        });
        assert_eq!(text, "[18446744073709551615,-9223372036854775808,0,0]");
    }
}
