//! Identifiers. Each is a number that the journal can carry; none is an address in memory.

use core::fmt;

use crate::order_request::Side;

/// Declares an integer identifier.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident($raw:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $raw);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// Position of a record in the journal, from 1, without gaps.
    Sequence(u64)
}
id! {
    /// An account. 0 is the venue's own, which receives the fees; traders are numbered from 1.
    AccountId(u32)
}
id! {
    /// A market of this shard.
    MarketId(u16)
}
id! {
    /// An asset of this shard.
    AssetId(u16)
}
id! {
    /// A trading key, numbered from 1 in the order of registration; never used again.
    KeyId(u32)
}
id! {
    /// An order: journal sequence × 64 + index of the operation in its command. Below 2^53, never used again.
    OrderId(u64)
}
id! {
    /// A row of each market's table of fees, from 0, where every account begins.
    FeeTier(u8)
}
id! {
    /// A trade of one market, from 1, without gaps.
    TradeId(u64)
}

impl OrderId {
    /// Operations that one command may hold, and so order ids that one sequence may give.
    pub const PER_SEQUENCE: u64 = 64;

    /// The id of the order that operation `operation_index` (< 64) of the command at `sequence` creates.
    #[inline]
    pub fn new(sequence: Sequence, operation_index: u64) -> Self {
        assert!(operation_index < Self::PER_SEQUENCE, "a command holds at most 64 operations");
        Self(sequence.0 * Self::PER_SEQUENCE + operation_index)
    }

    /// The sequence of the command that created the order.
    pub const fn sequence(self) -> Sequence {
        Sequence(self.0 / Self::PER_SEQUENCE)
    }
}

/// Text of at most `MAX` bytes, stored in place, so that plain data stays `Copy`. The bytes come first: what copies the
/// whole and what reads eight bytes at a time then cut it at the same places, and a read need not wait for the copy.
/// Aligned, so that it is copied by whole words.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C, align(8))]
pub struct ShortText<const MAX: usize> {
    /// Zero behind the text's end.
    bytes: [u8; MAX],
    /// Of four bytes, so that there is no gap behind it to be copied.
    length: u32,
}

impl<const MAX: usize> ShortText<MAX> {
    /// No text.
    pub const EMPTY: Self = Self { length: 0, bytes: [0; MAX] };

    /// From printable ASCII. `None` when it is longer than `MAX` bytes or holds another byte.
    pub fn new(text: &str) -> Option<Self> {
        Self::from_bytes(text.as_bytes())
    }

    /// From printable ASCII bytes. `None` when they are more than `MAX` or hold another byte.
    pub fn from_bytes(text: &[u8]) -> Option<Self> {
        if text.len() > MAX || !text.iter().all(|byte| (0x20..0x7f).contains(byte)) {
            return None;
        }
        let mut bytes = [0; MAX];
        bytes[..text.len()].copy_from_slice(text);
        Some(Self { length: u32::try_from(text.len()).ok()?, bytes })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).expect("only printable ASCII is ever stored")
    }

    /// The text's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length()]
    }

    /// The text's bytes with zeroes behind them: always as many, so that copying them needs no call.
    #[inline]
    pub const fn padded_bytes(&self) -> &[u8; MAX] {
        &self.bytes
    }

    /// How many bytes the text has.
    pub(crate) const fn length(&self) -> usize {
        self.length as usize
    }

    /// True for no text.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl<const MAX: usize> Default for ShortText<MAX> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const MAX: usize> fmt::Debug for ShortText<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const MAX: usize> fmt::Display for ShortText<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A client's own id for an order; unique among the account's live orders of a market. Empty: none given.
pub type ClientId = ShortText<36>;

impl ClientId {
    /// What only the ids of quotes begin with.
    const QUOTE: u8 = b'~';

    /// The id of one side of a quote: `~`, its number, `b` or `a`.
    pub fn of_quote(slot: u8, side: Side) -> Self {
        let letter = if side == Side::Bid { b'b' } else { b'a' };
        let digits = [slot / 100, slot / 10 % 10, slot % 10].map(|digit| b'0' + digit);
        let unneeded = if slot >= 100 {
            0
        } else if slot >= 10 {
            1
        } else {
            2
        };
        let mut text = Self::EMPTY;
        let parts = [Self::QUOTE].into_iter().chain(digits.into_iter().skip(unneeded)).chain([letter]);
        for (byte, part) in text.bytes.iter_mut().zip(parts) {
            *byte = part;
            text.length += 1;
        }
        text
    }

    /// Whether it is of the kind that only quotes have.
    pub const fn is_of_quote(&self) -> bool {
        self.bytes[0] == Self::QUOTE
    }

    /// The text's bytes with zeroes behind them as little-endian words: 32 bytes, and the last four.
    #[inline]
    pub fn words(&self) -> ([u64; 4], u32) {
        let (words, end) = self.bytes.as_chunks::<8>();
        let word = |index: usize| u64::from_le_bytes(words[index]);
        ([word(0), word(1), word(2), word(3)], u32::from_le_bytes([end[0], end[1], end[2], end[3]]))
    }
}

/// A market's or an asset's name, such as `BTCUSDT`.
pub type Symbol = ShortText<16>;
/// Why an operator did something, for the journal.
pub type Reason = ShortText<96>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_ids_carry_their_sequence() {
        let id = OrderId::new(Sequence(7), 63);
        assert_eq!(id, OrderId(511));
        assert_eq!(id.sequence(), Sequence(7));
    }

    #[test]
    fn quotes_have_ids_of_their_own() {
        for (slot, side, text) in
            [(0, Side::Bid, "~0b"), (7, Side::Ask, "~7a"), (10, Side::Bid, "~10b"), (255, Side::Ask, "~255a")]
        {
            let id = ClientId::of_quote(slot, side);
            assert_eq!((id.as_str(), Some(id)), (text, ClientId::new(text)));
            assert!(id.is_of_quote());
        }
        assert!(!ClientId::EMPTY.is_of_quote() && !ClientId::new("7b").expect("short").is_of_quote());
    }

    #[test]
    fn short_text_refuses_what_does_not_fit() {
        assert_eq!(ClientId::new("js:ws/1").expect("fits").as_str(), "js:ws/1");
        assert!(ClientId::new(&"x".repeat(37)).is_none());
        assert!(ClientId::new("tab\t").is_none());
        assert!(ClientId::new("é").is_none());
        assert!(ClientId::EMPTY.is_empty());
    }
}
