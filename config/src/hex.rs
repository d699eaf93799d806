//! Hexadecimal text of a fixed length to bytes.

/// Reads exactly `2 × N` hexadecimal digits of either case, without a prefix. The reason otherwise.
pub(crate) fn parse<const N: usize>(text: &str) -> Result<[u8; N], String> {
    let digits: Option<Vec<u32>> = text.chars().map(|character| character.to_digit(16)).collect();
    let Some(digits) = digits.filter(|digits| digits.len() == 2 * N) else {
        return Err(format!("is not {} hexadecimal digits", 2 * N));
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::try_from(pair[0] * 16 + pair[1]).expect("two hexadecimal digits are one byte");
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_either_case_and_nothing_else() {
        assert_eq!(parse::<3>("00fFa7"), Ok([0, 255, 0xa7]));
        for text in ["", "00fF", "00fFa7a", "00fFa7aa", "0x00fF", "00fFag", "00fFéé"] {
            assert!(parse::<3>(text).is_err(), "{text}");
        }
    }
}
