//! Decimal text to scaled integers and back, exactly. No float is involved.
//!
//! Scientific notation is read because stock clients send it (`1e-05`); a number that is not a whole multiple of the
//! smallest unit is refused, never rounded. At most 40 characters are looked at.

/// Why a text is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecimalError {
    /// Not a decimal number.
    NotANumber,
    /// Finer than the smallest unit.
    TooPrecise,
    /// Does not fit 64 bits, or is below zero.
    OutOfRange,
}

/// Reads `text` as a number of units of 10^-`decimals` (at most 18).
///
/// # Errors
/// See [`DecimalError`].
pub fn parse(text: &str, decimals: u8) -> Result<u64, DecimalError> {
    if text.is_empty() || text.len() > 40 {
        return Err(DecimalError::NotANumber);
    }
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i8>().map_err(|_| DecimalError::NotANumber)?),
        None => (text, 0),
    };
    if mantissa.starts_with('-') {
        return Err(DecimalError::OutOfRange);
    }
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return Err(DecimalError::NotANumber);
    }
    let mut digits: u128 = 0;
    for byte in whole.bytes().chain(fraction.bytes()) {
        if !byte.is_ascii_digit() {
            return Err(DecimalError::NotANumber);
        }
        digits = digits
            .checked_mul(10)
            .and_then(|digits| digits.checked_add(u128::from(byte - b'0')))
            .ok_or(DecimalError::OutOfRange)?;
    }
    let fraction_digits = i32::try_from(fraction.len()).map_err(|_| DecimalError::NotANumber)?;
    scale(digits, i32::from(decimals) + i32::from(exponent) - fraction_digits)
}

/// `digits` × 10^`shift` as a whole number.
fn scale(digits: u128, shift: i32) -> Result<u64, DecimalError> {
    if digits == 0 {
        return Ok(0);
    }
    let power = 10_u128.checked_pow(shift.unsigned_abs());
    if shift >= 0 {
        let scaled = power.and_then(|power| digits.checked_mul(power)).ok_or(DecimalError::OutOfRange)?;
        return u64::try_from(scaled).map_err(|_| DecimalError::OutOfRange);
    }
    let power = power.ok_or(DecimalError::TooPrecise)?;
    if !digits.is_multiple_of(power) {
        return Err(DecimalError::TooPrecise);
    }
    u64::try_from(digits / power).map_err(|_| DecimalError::OutOfRange)
}

/// Appends `units` of 10^-`decimals` as decimal text with exactly `decimals` places.
pub fn write(units: u128, decimals: u8, out: &mut Vec<u8>) {
    let mut buffer = [b'0'; 64];
    let mut at = buffer.len();
    let mut rest = units;
    let mut places = 0;
    // Nearly all amounts fit 64 bits, where a division is several times cheaper.
    while rest > u128::from(u64::MAX) {
        put_digit(&mut buffer, &mut at, &mut places, decimals, u8::try_from(rest % 10).expect("a digit"));
        rest /= 10;
    }
    let mut rest = u64::try_from(rest).expect("checked above");
    while rest > 0 || places <= decimals {
        put_digit(&mut buffer, &mut at, &mut places, decimals, u8::try_from(rest % 10).expect("a digit"));
        rest /= 10;
    }
    out.extend_from_slice(&buffer[at..]);
}

/// Puts the next digit from the right, and the point in front of the places.
fn put_digit(buffer: &mut [u8; 64], at: &mut usize, places: &mut u8, decimals: u8, digit: u8) {
    if decimals > 0 && *places == decimals {
        *at -= 1;
        buffer[*at] = b'.';
    }
    *at -= 1;
    buffer[*at] = b'0' + digit;
    *places += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_clients_send() {
        let cases: [(&str, u8, Result<u64, DecimalError>); 16] = [
            ("70000.1", 2, Ok(7_000_010)),
            ("70000.10", 2, Ok(7_000_010)),
            ("70000.100000", 2, Ok(7_000_010)),
            ("1e-05", 5, Ok(1)),
            ("1E-5", 8, Ok(1_000)),
            ("1.5e3", 0, Ok(1_500)),
            (".5", 1, Ok(5)),
            ("5.", 1, Ok(50)),
            ("0", 8, Ok(0)),
            ("0.001", 2, Err(DecimalError::TooPrecise)),
            ("1e-30", 8, Err(DecimalError::TooPrecise)),
            ("-1", 2, Err(DecimalError::OutOfRange)),
            ("99999999999999999999", 8, Err(DecimalError::OutOfRange)),
            ("1e99", 8, Err(DecimalError::OutOfRange)),
            ("NaN", 8, Err(DecimalError::NotANumber)),
            (".", 8, Err(DecimalError::NotANumber)),
        ];
        for (text, decimals, expected) in cases {
            assert_eq!(parse(text, decimals), expected, "{text}");
        }
    }

    #[test]
    fn writes_all_places() {
        for (units, decimals, expected) in [
            (7_000_010, 2, "70000.10"),
            (1, 8, "0.00000001"),
            (0, 2, "0.00"),
            (0, 0, "0"),
            (120, 0, "120"),
            (100, 2, "1.00"),
        ] {
            let mut out = Vec::new();
            write(units, decimals, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
