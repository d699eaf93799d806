//! What a client of the binary face signs: 32 bytes for each message, and the text of a logon.
//!
//! A message's digest is `keccak256("lakh.v1" ‖ chain id ‖ settlement contract ‖ template id ‖ body)`, with the chain id
//! as 8 bytes, the contract as 20 and the template id as 2, big-endian as a contract's `abi.encodePacked` has them. The
//! body is the message as it was sent, from behind its sending time up to its signature, and its group as it lies. So a
//! signature is good for one message, on one contract of one chain, and a dispute there costs one keccak and one
//! SHA-512 block. A new order's digest fits one block of keccak. Where the exchange has no chain, the id is zero and the
//! venue's tag and four zeroes take the contract's place.
//!
//! The logon's text is FIX's: `A`, sender, target, number and time, joined by SOH; when the client wants something for
//! its disconnect, that word stands behind it, since a signature has to cover what changes the account.

use lakh_engine::command::{DisconnectMode, Operation, SettlementBinding};
use lakh_engine::units::Timestamp;
use sha3::{Digest as _, Keccak256};

use super::lanes::LaneHashes;
use crate::wire::sbe::enums::DisconnectChoice;

/// In front of everything that is hashed.
const DOMAIN: &[u8; 7] = b"lakh.v1";
/// Between the fields of a logon's text.
const SOH: u8 = 1;
/// Longest text of a logon: type, 16, 32 and 10 characters, a time, a word, and five separators.
pub const MAX_LOGON_TEXT: usize = 1 + 16 + 32 + 20 + 21 + 9 + 5;
/// For how long a logon is good.
pub const LOGON_WINDOW_MS: u32 = 5_000;

/// What binds signatures to one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigningDomain([u8; 35]);

impl SigningDomain {
    /// The domain of an exchange with this contract, or of the venue with this tag where there is none.
    pub fn new(binding: SettlementBinding, venue_tag: [u8; 16]) -> Self {
        let mut bytes = [0; 35];
        let (domain, rest) = bytes.split_at_mut(DOMAIN.len());
        domain.copy_from_slice(DOMAIN);
        let (chain_id, contract) = rest.split_at_mut(8);
        if binding == SettlementBinding::NONE {
            contract[..16].copy_from_slice(&venue_tag);
        } else {
            chain_id.copy_from_slice(&binding.chain_id.to_be_bytes());
            contract.copy_from_slice(&binding.contract);
        }
        Self(bytes)
    }

    /// As a client knows it from [`crate::wire::sbe::session::LogonAccepted`].
    pub fn of_logon(chain_id: u64, contract: [u8; 20]) -> Self {
        let mut bytes = [0; 35];
        bytes[..7].copy_from_slice(DOMAIN);
        bytes[7..15].copy_from_slice(&chain_id.to_be_bytes());
        bytes[15..].copy_from_slice(&contract);
        Self(bytes)
    }

    /// The chain's id and what stands in the contract's place.
    pub fn parts(&self) -> (u64, [u8; 20]) {
        let chain_id = self.0[7..15].try_into().expect("eight bytes");
        (u64::from_be_bytes(chain_id), self.0[15..].try_into().expect("twenty bytes"))
    }

    /// What the signature of a message covers: `block` is the part of the block that is signed, `group` what stands
    /// behind the block.
    pub fn digest(&self, template: u16, block: &[u8], group: &[u8]) -> [u8; 32] {
        let mut hasher = Keccak256::new();
        hasher.update(self.0);
        hasher.update(template.to_be_bytes());
        hasher.update(block);
        hasher.update(group);
        hasher.finalize().into()
    }
}

/// Digests of many messages: up to eight at a time where the processor can, one at a time elsewhere.
#[derive(Debug)]
pub struct MessageDigests {
    lanes: Option<LaneHashes>,
}

impl MessageDigests {
    /// By what this processor has.
    pub fn detect() -> Self {
        Self { lanes: LaneHashes::detect() }
    }

    /// Works out what the signature of each message covers, given its template id and its body; see
    /// [`SigningDomain::digest`]. Messages that are `None` are passed over.
    pub fn of(&mut self, domain: &SigningDomain, messages: &[Option<(u16, &[u8])>]) -> Vec<Option<[u8; 32]>> {
        let alone = |(template, body): (u16, &[u8])| domain.digest(template, body, &[]);
        let Some(lanes) = &mut self.lanes else { return messages.iter().map(|message| message.map(alone)).collect() };
        let mut digests = vec![None; messages.len()];
        let numbered = messages.iter().enumerate();
        let present = numbered.filter_map(|(at, message)| message.map(|(template, body)| (at, template, body)));
        let mut present: Vec<_> = present.map(|(at, template, body)| (at, template.to_be_bytes(), body)).collect();
        // Eight take as long as their longest.
        present.sort_by_key(|(_, _, body)| body.len());
        for eight in present.chunks(8) {
            let mut parts = [[&[][..]; 3]; 8];
            for (parts, (_, template, body)) in parts.iter_mut().zip(eight) {
                *parts = [&domain.0, template, *body];
            }
            for ((index, ..), digest) in eight.iter().zip(lanes.keccak256(&parts[..eight.len()])) {
                digests[*index] = Some(digest);
            }
        }
        digests
    }
}

/// A logon, as its signed text says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogonText<'a> {
    /// The client's name of the session.
    pub sender: &'a [u8],
    /// The venue's tag in hexadecimal.
    pub target: &'a [u8],
    /// Number of the message.
    pub sequence_number: u64,
    /// When it was sent; whole milliseconds.
    pub sending_time: Timestamp,
    /// What the account wants for its disconnect.
    pub choice: DisconnectChoice,
}

impl<'a> LogonText<'a> {
    /// The text that is signed.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MAX_LOGON_TEXT);
        out.extend_from_slice(b"A");
        out.push(SOH);
        out.extend_from_slice(self.sender);
        out.push(SOH);
        out.extend_from_slice(self.target);
        out.push(SOH);
        out.extend_from_slice(self.sequence_number.to_string().as_bytes());
        out.push(SOH);
        write_time(self.sending_time, &mut out);
        if let Some(word) = word_of(self.choice) {
            out.push(SOH);
            out.extend_from_slice(word);
        }
        out
    }

    /// Reads a text back; one that [`LogonText::encode`] would not have written is none.
    pub fn decode(text: &'a [u8]) -> Option<Self> {
        let mut fields = text.split(|byte| *byte == SOH);
        let mut next = || fields.next();
        let (kind, sender, target, number, time) = (next()?, next()?, next()?, next()?, next()?);
        let choice = match next() {
            None => DisconnectChoice::Unchanged,
            Some(word) => {
                let choices = [DisconnectChoice::CancelAll, DisconnectChoice::Keep];
                choices.into_iter().find(|choice| word_of(*choice) == Some(word))?
            }
        };
        let sequence_number = std::str::from_utf8(number).ok()?.parse().ok()?;
        let read = Self { sender, target, sequence_number, sending_time: read_time(time)?, choice };
        (kind == b"A" && read.encode() == text).then_some(read)
    }

    /// What the engine is asked for.
    pub const fn operation(&self) -> Operation {
        match self.choice {
            DisconnectChoice::Unchanged => Operation::Logon,
            DisconnectChoice::CancelAll => Operation::SetDisconnectMode { mode: DisconnectMode::CancelAll },
            DisconnectChoice::Keep => Operation::SetDisconnectMode { mode: DisconnectMode::Keep },
        }
    }
}

const fn word_of(choice: DisconnectChoice) -> Option<&'static [u8]> {
    match choice {
        DisconnectChoice::Unchanged => None,
        DisconnectChoice::CancelAll => Some(b"CancelAll"),
        DisconnectChoice::Keep => Some(b"Keep"),
    }
}

/// The venue's tag as a logon names it.
pub fn tag_text(venue_tag: [u8; 16]) -> [u8; 32] {
    let mut text = [0; 32];
    for (digits, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(venue_tag) {
        for (digit, nibble) in digits.iter_mut().zip([byte >> 4, byte & 15]) {
            *digit = b"0123456789abcdef"[usize::from(nibble)];
        }
    }
    text
}

/// `20240627-11:17:25.223`: UTC to the millisecond, what is below is cut.
fn write_time(time: Timestamp, out: &mut Vec<u8>) {
    let milliseconds = time.milliseconds();
    let (seconds, milliseconds) = (milliseconds / 1_000, milliseconds % 1_000);
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, date) = civil(day);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let text = format!("{year:04}{month:02}{date:02}-{hour:02}:{minute:02}:{second:02}.{milliseconds:03}");
    out.extend_from_slice(text.as_bytes());
}

/// The reverse of [`write_time`].
fn read_time(text: &[u8]) -> Option<Timestamp> {
    if text.len() != 21 || !text.is_ascii() {
        return None;
    }
    let number = |from: usize, to: usize| std::str::from_utf8(&text[from..to]).ok()?.parse::<u64>().ok();
    let (year, month, date) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(12, 14)?, number(15, 17)?);
    let day = day_of(year, month, date)?;
    let seconds = day * 86_400 + hour * 3_600 + minute * 60 + second;
    Timestamp::from_milliseconds(seconds * 1_000 + number(18, 21)?)
}

/// Year, month and day of the month of a day since the Unix epoch, in the Gregorian calendar: years begin in March for
/// it, so that the day that some of them have stands at their end.
const fn civil(day: u64) -> (u64, u64, u64) {
    let shifted = day + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let date = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, date)
}

/// The day since the Unix epoch; `None` before it and for a month or day that no year has.
fn day_of(year: u64, month: u64, date: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&date) {
        return None;
    }
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + date - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logon(choice: DisconnectChoice) -> LogonText<'static> {
        // 2024-06-27 11:17:25.223 UTC.
        let sending_time = Timestamp(1_719_487_045_223_000_000);
        LogonText { sender: b"EXAMPLE", target: b"SPOT", sequence_number: 1, sending_time, choice }
    }

    #[test]
    fn the_text_of_a_logon_is_fixs_and_reads_back() {
        let text = logon(DisconnectChoice::Unchanged).encode();
        assert_eq!(text, b"A\x01EXAMPLE\x01SPOT\x011\x0120240627-11:17:25.223");
        for choice in [DisconnectChoice::Unchanged, DisconnectChoice::CancelAll, DisconnectChoice::Keep] {
            let text = logon(choice).encode();
            assert_eq!(LogonText::decode(&text), Some(logon(choice)));
            assert!(text.len() <= MAX_LOGON_TEXT);
        }
        for bad in ["A\x01E\x01S\x0101\x0120240627-11:17:25.223", "A\x01E\x01S\x011\x0120240631-11:17:25.223", "A", ""]
        {
            assert_eq!(LogonText::decode(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn times_read_back_over_centuries() {
        for seconds in (0..4_102_444_800_u64).step_by(86_399 * 3) {
            let time = Timestamp(seconds * 1_000_000_000 + 7_000_000);
            let mut text = Vec::new();
            write_time(time, &mut text);
            assert_eq!(read_time(&text), Some(time), "{}", String::from_utf8_lossy(&text));
        }
    }

    #[test]
    fn the_vectors_signature_is_reproduced() {
        use ed25519_dalek::{Signer as _, SigningKey};
        // The secret of RFC 8032's first test, and what other programs signed with it.
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let byte = |index: usize| u8::from_str_radix(&seed[2 * index..2 * index + 2], 16).unwrap();
        let key = SigningKey::from_bytes(&core::array::from_fn(byte));
        let signature = key.sign(&logon(DisconnectChoice::Unchanged).encode()).to_bytes();
        let expected = "gJeRtKIwMH+3kkK7SXY2XMBhVC+VllaVQPpVvNFd0LdDp7Qfu2lbK3zN4gh65fajw11Ks1/lnC8+DhWQoeTiBg==";
        assert_eq!(Some(signature), super::super::parse_signature(expected));
    }

    #[test]
    fn digests_of_many_are_those_of_each() {
        let domain = SigningDomain::new(SettlementBinding::NONE, [7; 16]);
        let bytes: Vec<u8> = (0..=255).collect();
        // Of every length around one block, with gaps between them.
        let message = |index: usize| (index % 5 != 3).then(|| (index as u16, &bytes[..80 + index % 40]));
        let messages: Vec<_> = (0..203).map(message).collect();
        let each = |mut digests: MessageDigests| digests.of(&domain, &messages);
        let expected: Vec<_> =
            messages.iter().map(|one| one.map(|(template, body)| domain.digest(template, body, &[]))).collect();
        assert_eq!(each(MessageDigests::detect()), expected);
        assert_eq!(each(MessageDigests { lanes: None }), expected);
    }

    #[test]
    fn a_digest_is_bound_to_chain_contract_and_message() {
        let binding = SettlementBinding { chain_id: 31_337, contract: [0x11; 20] };
        let domain = SigningDomain::new(binding, [7; 16]);
        assert_eq!(domain, SigningDomain::of_logon(31_337, [0x11; 20]));
        assert_eq!(domain.parts(), (31_337, [0x11; 20]));
        let digest = domain.digest(10, b"body", b"group");
        let mut whole = b"lakh.v1".to_vec();
        whole.extend_from_slice(&31_337_u64.to_be_bytes());
        whole.extend_from_slice(&[0x11; 20]);
        whole.extend_from_slice(&[0, 10]);
        whole.extend_from_slice(b"bodygroup");
        assert_eq!(digest, <[u8; 32]>::from(Keccak256::digest(&whole)));
        let other = SettlementBinding { chain_id: 1, ..binding };
        assert_ne!(digest, SigningDomain::new(other, [7; 16]).digest(10, b"body", b"group"));
        assert_ne!(digest, domain.digest(11, b"body", b"group"));
        let untied = SigningDomain::new(SettlementBinding::NONE, [7; 16]);
        assert_ne!(untied, SigningDomain::new(SettlementBinding::NONE, [8; 16]));
    }
}
