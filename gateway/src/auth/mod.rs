//! Who asks, and what proves it: api keys, the signed text, the acceptance rule, and the evidence in the journal.
//!
//! Nothing here keeps state between requests except [`signature::BatchVerifier`]'s stream of coefficients.
//! Bounds: a signed text is at most [`canonical::MAX_TEXT`] bytes, evidence at most [`evidence::MAX_EVIDENCE`].

pub mod canonical;
mod combs;
pub mod evidence;
#[cfg_attr(not(target_arch = "x86_64"), path = "lanes/elsewhere.rs")]
mod lanes;
pub mod native;
pub mod rest_text;
pub mod signature;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lakh_engine::command::Mode;

use self::lanes::{CHUNK_MAX, LaneHashes, TEXTS};

/// First 16 bytes of the BLAKE3 of the bytes that were signed: what keeps them from being used twice.
pub fn payload_digest(signed: &[u8]) -> [u8; 16] {
    *blake3::hash(signed).as_bytes().first_chunk().expect("a BLAKE3 hash has 32 bytes")
}

/// Fewer texts than this are hashed one by one: in lanes a few take less than twice as long together as one alone.
const FEWEST_IN_LANES: usize = 2;

/// [`payload_digest`] of many texts: up to sixteen at a time where the processor can, one at a time elsewhere.
#[derive(Debug)]
pub struct PayloadDigests {
    lanes: Option<LaneHashes>,
}

impl PayloadDigests {
    /// By what this processor has.
    pub fn detect() -> Self {
        Self { lanes: LaneHashes::detect() }
    }

    /// The digest of each text, in order.
    pub fn of(&self, texts: &[&[u8]]) -> Vec<[u8; 16]> {
        let Some(lanes) = &self.lanes else { return texts.iter().map(|text| payload_digest(text)).collect() };
        let mut digests = vec![[0; 16]; texts.len()];
        let (mut short, long): (Vec<_>, Vec<_>) = (0..texts.len()).partition(|at| texts[*at].len() <= CHUNK_MAX);
        // Sixteen take as long as their longest.
        short.sort_unstable_by_key(|at| texts[*at].len());
        let (sixteens, rest) = short.split_at(match short.len() % TEXTS {
            rest if rest < FEWEST_IN_LANES => short.len() - rest,
            _ => short.len(),
        });
        for sixteen in sixteens.chunks(TEXTS) {
            let mut together = [&[][..]; TEXTS];
            sixteen.iter().zip(&mut together).for_each(|(at, text)| *text = texts[*at]);
            for (at, digest) in sixteen.iter().zip(lanes.blake3(&together[..sixteen.len()])) {
                digests[*at] = digest;
            }
        }
        for at in rest.iter().chain(&long) {
            digests[*at] = payload_digest(texts[*at]);
        }
        digests
    }
}

/// Why a text is no api key of this venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKeyError {
    /// Not 96 hexadecimal digits (or 64 in dev mode).
    Malformed,
    /// The tag in front is another venue's.
    OtherVenue,
}

/// The public key in an api key: 32 hexadecimal digits of venue tag and 64 of the key. Dev mode also takes the bare
/// key, which stock test set-ups use; it does not bind a request to the venue.
///
/// # Errors
/// See [`ApiKeyError`].
pub fn parse_api_key(text: &str, venue_tag: [u8; 16], mode: Mode) -> Result<[u8; 32], ApiKeyError> {
    let key_digits = match text.len() {
        96 => {
            let (tag, key) = text.split_at_checked(32).ok_or(ApiKeyError::Malformed)?;
            let tag: [u8; 16] = parse_hex(tag).ok_or(ApiKeyError::Malformed)?;
            if tag != venue_tag {
                return Err(ApiKeyError::OtherVenue);
            }
            key
        }
        64 if mode == Mode::Dev => text,
        _ => return Err(ApiKeyError::Malformed),
    };
    parse_hex(key_digits).ok_or(ApiKeyError::Malformed)
}

/// The api key of a public key at the venue with this tag.
pub fn api_key(venue_tag: [u8; 16], public_key: &[u8; 32]) -> String {
    hex(&venue_tag) + &hex(public_key)
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.map(|nibble| char::from_digit(u32::from(nibble), 16).expect("a nibble is a hexadecimal digit")).collect()
}

/// The 64 bytes of a base64 signature, padded, and nothing else. A space stands for the `+` that form encoding lost.
pub fn parse_signature(text: &str) -> Option<[u8; 64]> {
    let mut encoded: [u8; 88] = text.as_bytes().try_into().ok()?;
    for byte in &mut encoded {
        if *byte == b' ' {
            *byte = b'+';
        }
    }
    let mut signature = [0; 66];
    let length = STANDARD.decode_slice(encoded, &mut signature).ok()?;
    if length == 64 { signature.first_chunk().copied() } else { None }
}

/// The bytes that hexadecimal digits stand for.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != N * 2 {
        return None;
    }
    let mut all = 0;
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().as_chunks::<2>().0) {
        let [high, low] = digits.map(|digit| NIBBLES[usize::from(digit)]);
        *byte = high << 4 | low & 15;
        all |= high | low;
    }
    (all & NOT_A_DIGIT == 0).then_some(bytes)
}

fn hex_digit(digit: u8) -> Option<u8> {
    Some(NIBBLES[usize::from(digit)]).filter(|nibble| nibble & NOT_A_DIGIT == 0)
}

/// Set in [`NIBBLES`] where a byte is no hexadecimal digit.
const NOT_A_DIGIT: u8 = 0x80;

/// What each byte stands for: every request has an api key of 96 digits, and one look-up a digit is a fifth of what
/// comparing costs.
const NIBBLES: [u8; 256] = {
    let mut nibbles = [NOT_A_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        nibbles[b"0123456789abcdef"[value as usize] as usize] = value;
        nibbles[b"0123456789ABCDEF"[value as usize] as usize] = value;
        value += 1;
    }
    nibbles
};

#[cfg(test)]
mod tests {
    use super::*;

    /// As many as fill no, some and many lanes, short, long and too long for them.
    #[test]
    fn digests_of_many_are_those_of_each() {
        let bytes: Vec<u8> = (0..4_000_u32).map(|index| (index * index / 7) as u8).collect();
        let length = |index: usize| [index * 11 % 300, index * 101 % 2_049, 1_020 + index % 9][index % 3];
        let texts: Vec<_> = (0..300).map(|index| &bytes[index..][..length(index)]).collect();
        for digests in [PayloadDigests::detect(), PayloadDigests { lanes: None }] {
            for count in (0..40).chain([256, 299, 300]) {
                let texts = &texts[300 - count..];
                let expected: Vec<_> = texts.iter().map(|text| payload_digest(text)).collect();
                assert_eq!(digests.of(texts), expected, "{count}, {digests:?}");
            }
        }
    }
}
