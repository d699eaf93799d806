//! The text that a WebSocket client signs: all parameters but `signature`, sorted by name, `name=value` joined by `&`.
//!
//! `k=v&k=v` is not injective by itself, so a name or value with `&`, `=` or a control character is refused before
//! anything is verified, unknown parameters included. What remains can be read back in exactly one way, and is:
//! the audit rebuilds each command from this text alone ([`read_back`]).
//! Bounds: [`MAX_TEXT`] bytes.

use std::borrow::Cow;

use crate::request::{Parameter, ValueKind};

/// Longest text that may be signed, in bytes.
pub const MAX_TEXT: usize = 2_048;

/// The name that stands outside of the signed text.
const SIGNATURE: &str = "signature";

/// Why there is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanonicalError {
    /// A name or value holds a character that would make the text ambiguous.
    IllegalCharacter,
    /// A value is a list, which has no spelling in the text.
    NotScalar,
    /// The text would be longer than [`MAX_TEXT`].
    TooLong,
}

/// How a client spelt the values before it signed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// As they stand in the JSON.
    Raw,
    /// Percent-encoded, as one widely used connector does.
    PercentEncoded,
    /// As Python's `str` does: JSON's `true` as `True`, and as `1e-05` what a JSON library may write as `0.00001` or `1e-5`.
    Python,
}

/// The text in its raw spelling and, where they differ from it, the two others that clients are known to sign.
///
/// # Errors
/// See [`CanonicalError`].
pub fn texts(parameters: &[Parameter<'_>]) -> Result<(Vec<u8>, Vec<Vec<u8>>), CanonicalError> {
    let mut sorted: Vec<&Parameter<'_>> = parameters.iter().filter(|one| one.name != SIGNATURE).collect();
    sorted.sort_unstable_by(|left, right| left.name.cmp(&right.name));
    let mut classes = 0;
    for parameter in &sorted {
        if parameter.kind == ValueKind::List {
            return Err(CanonicalError::NotScalar);
        }
        classes |= classes_of(&parameter.name) | classes_of(&parameter.value);
    }
    if classes & AMBIGUOUS != 0 {
        return Err(CanonicalError::IllegalCharacter);
    }
    let raw = text(&sorted, Spelling::Raw)?;
    let mut others = Vec::new();
    if classes & ENCODED != 0 {
        // An encoding that has grown past the bound is no candidate; the raw text still is one.
        others.extend(text(&sorted, Spelling::PercentEncoded).ok());
    }
    if sorted.iter().any(|one| is_spelt_otherwise_by_python(one)) {
        others.extend(text(&sorted, Spelling::Python).ok().filter(|other| *other != raw));
    }
    Ok((raw, others))
}

fn text(sorted: &[&Parameter<'_>], spelling: Spelling) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::with_capacity(384);
    for (index, parameter) in sorted.iter().enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        write(&parameter.name, ValueKind::Text, spelling, &mut out);
        out.push(b'=');
        write(&parameter.value, parameter.kind, spelling, &mut out);
        if out.len() > MAX_TEXT {
            return Err(CanonicalError::TooLong);
        }
    }
    Ok(out)
}

fn write(value: &str, kind: ValueKind, spelling: Spelling, out: &mut Vec<u8>) {
    match (spelling, kind, value) {
        (Spelling::Python, ValueKind::Boolean, "true") => out.extend_from_slice(b"True"),
        (Spelling::Python, ValueKind::Boolean, "false") => out.extend_from_slice(b"False"),
        (Spelling::Python, ValueKind::Number, number) => python_number(number, out),
        (Spelling::PercentEncoded, _, _) => percent_encode(value, out),
        _ => out.extend_from_slice(value.as_bytes()),
    }
}

/// Whether Python may have spelt a value otherwise than the JSON does: asked of every value, so it only looks.
fn is_spelt_otherwise_by_python(parameter: &Parameter<'_>) -> bool {
    let number = &parameter.value;
    match parameter.kind {
        ValueKind::Boolean => true,
        ValueKind::Number => number.contains('e') || number.starts_with("0.0000"),
        ValueKind::Text | ValueKind::List => false,
    }
}

/// A number as Python prints its floats: plain from 0.0001 to 10^16, else with an exponent of a sign and at least two
/// digits. Only for what [`is_spelt_otherwise_by_python`] picks out; digits are moved, nothing is calculated.
fn python_number(number: &str, out: &mut Vec<u8>) {
    let (mantissa, exponent) = number.split_once('e').unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (Ok(exponent), false) = (exponent.parse::<i16>(), whole.starts_with('-')) else {
        return out.extend_from_slice(number.as_bytes());
    };
    let all = [whole, fraction].concat();
    let digits = all.trim_start_matches('0');
    let places = i32::try_from(whole.len()).unwrap_or(i32::MAX) - i32::try_from(all.len() - digits.len()).unwrap_or(0);
    // The power of ten of the first digit.
    let power = i32::from(exponent).saturating_add(places) - 1;
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() || (-4..16).contains(&power) {
        return out.extend_from_slice(number.as_bytes());
    }
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if power < 0 { '-' } else { '+' };
    out.extend_from_slice(format!("{first}{point}{rest}e{sign}{:02}", power.unsigned_abs()).as_bytes());
}

fn percent_encode(value: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if is_unreserved(byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// What `encodeURIComponent` leaves alone.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')')
}

const fn is_ambiguous(byte: u8) -> bool {
    matches!(byte, b'&' | b'=') || byte < 0x20 || byte == 0x7f
}

/// A byte that makes the text ambiguous.
const AMBIGUOUS: u8 = 1;
/// A byte that percent-encoding changes.
const ENCODED: u8 = 2;

/// The classes of every byte: one look-up a byte is a third of what comparing costs, and every order is looked through.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    loop {
        let ambiguous = if is_ambiguous(byte) { AMBIGUOUS } else { 0 };
        let encoded = if is_unreserved(byte) { 0 } else { ENCODED };
        classes[byte as usize] = ambiguous | encoded;
        if byte == u8::MAX {
            break classes;
        }
        byte += 1;
    }
};

/// All classes that occur in a text.
fn classes_of(text: &str) -> u8 {
    text.bytes().fold(0, |classes, byte| classes | CLASSES[usize::from(byte)])
}

/// Takes a signed text apart again. No known parameter's legal value holds a `%`, so undoing the percent-encoding
/// leads from either spelling to the same values. `None` for a text that [`texts`] could not have made.
pub fn read_back(signed: &[u8]) -> Option<Vec<Parameter<'_>>> {
    let signed = std::str::from_utf8(signed).ok()?;
    if signed.len() > MAX_TEXT {
        return None;
    }
    if signed.is_empty() {
        return Some(Vec::new());
    }
    let mut parameters: Vec<Parameter<'_>> = Vec::new();
    for pair in signed.split('&') {
        let (name, value) = pair.split_once('=')?;
        if value.contains('=') {
            return None;
        }
        if parameters.iter().any(|one| one.name == name) {
            return None;
        }
        // A name stays as it is: no known one changes when it is encoded, and an unknown one must not become known.
        let name = Cow::Borrowed(name);
        parameters.push(Parameter { name, value: percent_decode(value), kind: ValueKind::Text });
    }
    Some(parameters)
}

/// Undoes percent-encoding; a text that is not encoded, or not to UTF-8, stays as it is.
fn percent_decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    decoded(text.as_bytes()).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Undoes form encoding: `+` is a space, `%` and two digits a byte. `None` for what is not encoded to UTF-8.
pub(crate) fn form_decode(text: &str) -> Option<String> {
    decoded(text.replace('+', " ").as_bytes())
}

fn decoded(mut rest: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(rest.len());
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let (digits, tail) = rest.split_first_chunk::<2>()?;
        out.push(super::hex_digit(digits[0])? << 4 | super::hex_digit(digits[1])?);
        rest = tail;
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spelt_as_python_does() {
        let cases = [
            ("0.00001", "1e-05"),
            ("1e-5", "1e-05"),
            ("1e-05", "1e-05"),
            ("0.0000123", "1.23e-05"),
            ("12.3e-6", "1.23e-05"),
            ("1e-100", "1e-100"),
            ("1e16", "1e+16"),
            ("1.50e+17", "1.5e+17"),
            ("0.0001", "0.0001"),
            ("0.00000", "0.00000"),
            ("1e1", "1e1"),
            ("-1e-5", "-1e-5"),
            ("1e99999", "1e99999"),
            ("1e", "1e"),
        ];
        for (number, expected) in cases {
            let mut out = Vec::new();
            python_number(number, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{number}");
        }
    }
}
