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
    let mut sorted: Vec<&Parameter<'_>> = Vec::with_capacity(parameters.len());
    sorted.extend(parameters.iter().filter(|one| one.name != SIGNATURE));
    sorted.sort_unstable_by(|left, right| left.name.cmp(&right.name));
    if sorted.iter().any(|one| one.kind == ValueKind::List) {
        return Err(CanonicalError::NotScalar);
    }
    let raw = text(&sorted, Spelling::Raw);
    let is_ambiguous = match &raw {
        Ok(raw) => is_ambiguous_of(raw, sorted.len()),
        Err(_) => sorted.iter().flat_map(|one| [&one.name, &one.value]).any(|text| text.bytes().any(is_ambiguous)),
    };
    if is_ambiguous {
        return Err(CanonicalError::IllegalCharacter);
    }
    let raw = raw?;
    let mut others = Vec::new();
    if is_spelt_otherwise_when_encoded(&raw) {
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
    let mark = matches!(byte, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')');
    byte.is_ascii_alphanumeric() | mark
}

const fn is_ambiguous(byte: u8) -> bool {
    matches!(byte, b'&' | b'=') || byte < 0x20 || byte == 0x7f
}

/// Bytes that are counted at once: so few that a count of them fits a byte.
const COUNTED: usize = 128;

/// Whether a text of so many parameters has a character in a name or value that makes it ambiguous: one that no text may
/// have, or more separators than there are parameters. Looked for in the text as a whole, by steps without a branch that the
/// compiler does for sixteen bytes at once: name by name takes three times as long, and every order is looked through.
fn is_ambiguous_of(text: &[u8], parameters: usize) -> bool {
    let (mut control, mut between, mut within) = (0, 0, 0);
    for bytes in text.chunks(COUNTED) {
        let (mut between_here, mut within_here) = (0_u8, 0_u8);
        for byte in bytes {
            control |= u8::from(*byte < 0x20) | u8::from(*byte == 0x7f);
            between_here = between_here.wrapping_add(u8::from(*byte == b'&'));
            within_here = within_here.wrapping_add(u8::from(*byte == b'='));
        }
        between += usize::from(between_here);
        within += usize::from(within_here);
    }
    control != 0 || between != parameters.saturating_sub(1) || within != parameters
}

/// Whether percent-encoding changes a name or value of a text that is not ambiguous.
fn is_spelt_otherwise_when_encoded(text: &[u8]) -> bool {
    let is_other = |byte: u8| u8::from(!is_unreserved(byte) & (byte != b'&') & (byte != b'='));
    text.iter().fold(0, |found, byte| found | is_other(*byte)) != 0
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

    fn parameter(name: &'static str, value: String) -> Parameter<'static> {
        Parameter { name: Cow::Borrowed(name), value: Cow::Owned(value), kind: ValueKind::Text }
    }

    /// Each byte that a text may hold, at the edges of what is looked at at once.
    #[test]
    fn every_character_has_its_class_wherever_it_stands() {
        for place in [0, 15, 16, COUNTED - 3, COUNTED - 2, COUNTED, 300] {
            for byte in 0..=0x7f {
                let value = |byte: u8| format!("{}{}{}", "a".repeat(place), char::from(byte), "b".repeat(40));
                let asked = [parameter("z", value(byte)), parameter("b", "1".to_owned())];
                let other = asked.map(|one| Parameter { name: one.value, value: one.name, ..one });
                for parameters in [[parameter("z", value(byte)), parameter("b", "1".to_owned())], other] {
                    let found = texts(&parameters);
                    if is_ambiguous(byte) {
                        assert_eq!(found, Err(CanonicalError::IllegalCharacter), "{byte:#x} at {place}");
                        continue;
                    }
                    let (raw, others) = found.unwrap();
                    assert_eq!(others.is_empty(), is_unreserved(byte), "{byte:#x} at {place}");
                    let back = read_back(&raw).unwrap();
                    assert_eq!(back.len(), 2, "{byte:#x} at {place}");
                }
            }
        }
    }

    #[test]
    fn separators_beyond_the_parameters_own_make_no_text() {
        for (name, value) in [("a&b", "1"), ("a=b", "1"), ("a", "1&"), ("a", "=1"), ("a", "&b="), ("&", "="), ("", "&")]
        {
            let parameters = [parameter(name, value.to_owned()), parameter("n", "2".to_owned())];
            assert_eq!(texts(&parameters), Err(CanonicalError::IllegalCharacter), "{name} {value}");
            assert_eq!(texts(&parameters[..1]), Err(CanonicalError::IllegalCharacter), "{name} {value}");
        }
        // So many that a count of them in a byte would begin again.
        let many = parameter("a", "&".repeat(256));
        assert_eq!(texts(&[many]), Err(CanonicalError::IllegalCharacter));
        assert_eq!(texts(&[]), Ok((Vec::new(), Vec::new())));
        assert_eq!(texts(&[parameter("", String::new())]), Ok((b"=".to_vec(), Vec::new())));
        let long = |last: char| parameter("a", "b".repeat(MAX_TEXT) + &last.to_string());
        assert_eq!(texts(&[long('b')]), Err(CanonicalError::TooLong));
        assert_eq!(texts(&[long('&')]), Err(CanonicalError::IllegalCharacter), "which comes first");
    }

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
