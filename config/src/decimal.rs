//! Decimal text to whole numbers of a smallest unit, exactly. No float, no rounding, no exponent.
//!
//! Stricter than what the gateway reads from clients: a file is written by hand, so `.5`, `5.` and `1e-5` are more
//! likely slips than wishes. At most 40 characters are looked at.

/// Why a text is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecimalError {
    /// Something else than digits around at most one point.
    #[error("is not a plain decimal number such as \"0.01\"")]
    NotANumber,
    /// Finer than the smallest unit.
    #[error("has more than {0} decimals")]
    TooPrecise(u8),
    /// Does not fit 64 bits.
    #[error("is too large")]
    TooLarge,
}

/// Reads `text` as a number of units of 10^-`decimals` (at most 18).
pub(crate) fn parse(text: &str, decimals: u8) -> Result<u64, DecimalError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if text.len() > 40 || !all_digits(whole) || !all_digits(fraction) {
        return Err(DecimalError::NotANumber);
    }
    let fraction = fraction.trim_end_matches('0');
    let missing = usize::from(decimals).checked_sub(fraction.len()).ok_or(DecimalError::TooPrecise(decimals))?;
    whole
        .bytes()
        .chain(fraction.bytes())
        .chain(std::iter::repeat_n(b'0', missing))
        .try_fold(0_u64, |units, digit| units.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
        .ok_or(DecimalError::TooLarge)
}

/// Reads `text`, which may begin with a minus, as a number of units of 10^-`decimals` (at most 18).
pub(crate) fn parse_signed(text: &str, decimals: u8) -> Result<i32, DecimalError> {
    let (magnitude, sign) = text.strip_prefix('-').map_or((text, 1), |magnitude| (magnitude, -1));
    let units = i32::try_from(parse(magnitude, decimals)?).map_err(|_| DecimalError::TooLarge)?;
    Ok(sign * units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_exactly_or_not_at_all() {
        let cases = [
            ("0.01", 8, Ok(1_000_000)),
            ("0.010", 2, Ok(1)),
            ("10.5", 8, Ok(1_050_000_000)),
            ("7", 0, Ok(7)),
            ("7.000", 0, Ok(7)),
            ("0", 8, Ok(0)),
            ("184467440737.09551615", 8, Ok(u64::MAX)),
            ("184467440737.09551616", 8, Err(DecimalError::TooLarge)),
            ("0.001", 2, Err(DecimalError::TooPrecise(2))),
            ("", 8, Err(DecimalError::NotANumber)),
            (".5", 8, Err(DecimalError::NotANumber)),
            ("5.", 8, Err(DecimalError::NotANumber)),
            ("1e-5", 8, Err(DecimalError::NotANumber)),
            ("-1", 8, Err(DecimalError::NotANumber)),
            ("+1", 8, Err(DecimalError::NotANumber)),
            ("1_000", 8, Err(DecimalError::NotANumber)),
            ("1.2.3", 8, Err(DecimalError::NotANumber)),
            ("٣", 8, Err(DecimalError::NotANumber)),
            ("00000000000000000000000000000000000000001", 8, Err(DecimalError::NotANumber)),
        ];
        for (text, decimals, expected) in cases {
            assert_eq!(parse(text, decimals), expected, "{text}");
        }
    }

    #[test]
    fn a_minus_is_read_where_it_is_allowed() {
        let cases = [
            ("-0.0001", Ok(-100)),
            ("0.001", Ok(1_000)),
            ("-0", Ok(0)),
            ("--1", Err(DecimalError::NotANumber)),
            ("-", Err(DecimalError::NotANumber)),
            ("0.0000001", Err(DecimalError::TooPrecise(6))),
            ("3000", Err(DecimalError::TooLarge)),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_signed(text, 6), expected, "{text}");
        }
    }
}
