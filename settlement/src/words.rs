//! The EVM's words: 32 bytes, numbers big-endian at the end, as `abi.encode` lays out values of fixed size.

/// Bytes of a word.
pub(crate) const WORD: usize = 32;

/// A number's word.
pub(crate) fn number(value: u128) -> [u8; WORD] {
    let mut word = [0; WORD];
    word[WORD - 16..].copy_from_slice(&value.to_be_bytes());
    word
}

/// Words one after the other.
pub(crate) fn concat<const WORDS: usize>(words: [[u8; WORD]; WORDS]) -> Vec<u8> {
    words.concat()
}

/// The u64 in a word; `None` where it is larger.
pub(crate) fn read_u64(word: &[u8; WORD]) -> Option<u64> {
    let (high, low) = word.split_at(WORD - 8);
    if high.iter().any(|byte| *byte != 0) {
        return None;
    }
    Some(u64::from_be_bytes(low.try_into().expect("the last 8 bytes of a word")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_at_the_end_and_too_large_ones_are_refused() {
        let mut word = number(0x0102);
        assert_eq!(word[30..], [1, 2]);
        assert_eq!(read_u64(&word), Some(0x0102));
        assert_eq!(read_u64(&number(u128::from(u64::MAX))), Some(u64::MAX));
        assert_eq!(read_u64(&number(1 << 64)), None);
        word[0] = 1;
        assert_eq!(read_u64(&word), None);
    }
}
