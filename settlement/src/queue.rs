//! What users told the venue through the contract: deposits, keys, withdrawal requests, in one order for all.
//!
//! The contract keeps one hash an entry, which commits to that entry and all before it. The engine takes entries in this
//! order only and recomputes the hash, and a batch names the last entry it consumed together with its prefix hash: so no
//! entry can be left out, taken twice, moved or altered, and the contract checks that with one comparison.
//!
//! | offset | size | meaning |
//! |---|---|---|
//! | 0 | 32 | prefix hash before this entry |
//! | 32 | 1 | kind |
//! | 33 | 4 | account, big-endian |
//! | 37 | 2 | asset, big-endian; 0 for keys |
//! | 39 | 8 | amount in atoms; for a key its expiry in seconds, 0 for never; big-endian |
//! | 47 | 32 | deposit: the owner's address, at the end of 32 bytes; keys: the key; else 0 |
//! | 79 | 8 | the block's time in seconds since the Unix epoch, big-endian |
//!
//! Entries are numbered from 1. Before the first stands the origin, keccak256(chain id as 32 bytes ‖ contract's 20 bytes),
//! which binds every later hash to one contract on one chain; its first 16 bytes are the venue tag.

use lakh_engine::command::SettlementBinding;
use lakh_engine::ids::{AccountId, AssetId};

use crate::keccak::{Hash, keccak256};

/// Bytes hashed for an entry.
pub const ENTRY_BYTES: usize = 87;

/// What an entry asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum QueueKind {
    /// Money that arrived.
    Deposit = 1,
    /// A trading key to be bound once it has itself signed.
    RegisterKey = 2,
    /// A trading key to be ended.
    RevokeKey = 3,
    /// Money that its owner wants back.
    Withdrawal = 4,
}

impl QueueKind {
    /// By its number; `None` for a number that no kind has.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Deposit),
            2 => Some(Self::RegisterKey),
            3 => Some(Self::RevokeKey),
            4 => Some(Self::Withdrawal),
            _ => None,
        }
    }
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueEntry {
    /// What it asks for.
    pub kind: QueueKind,
    /// Whose; at least 1.
    pub account: AccountId,
    /// Of what; 0 for keys.
    pub asset: AssetId,
    /// How much, or what the kind says.
    pub amount: u64,
    /// What the kind says.
    pub extra: [u8; 32],
    /// When, in seconds since the Unix epoch.
    pub time_seconds: u64,
}

impl QueueEntry {
    /// The prefix hash with this entry, given the one before it.
    pub fn prefix(&self, previous: Hash) -> Hash {
        keccak256(&self.bytes(previous))
    }

    /// The owner's address of a deposit; `None` for another kind, or where the 12 bytes before it are not 0.
    pub fn owner(&self) -> Option<[u8; 20]> {
        let (padding, address) = self.extra.split_at(12);
        if self.kind != QueueKind::Deposit || padding != [0; 12] {
            return None;
        }
        address.try_into().ok()
    }

    fn bytes(&self, previous: Hash) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..32].copy_from_slice(&previous.0);
        bytes[32] = self.kind as u8;
        bytes[33..37].copy_from_slice(&self.account.0.to_be_bytes());
        bytes[37..39].copy_from_slice(&self.asset.0.to_be_bytes());
        bytes[39..47].copy_from_slice(&self.amount.to_be_bytes());
        bytes[47..79].copy_from_slice(&self.extra);
        bytes[79..].copy_from_slice(&self.time_seconds.to_be_bytes());
        bytes
    }
}

/// The prefix hash before the first entry.
pub fn queue_origin(chain_id: u64, settlement: [u8; 20]) -> Hash {
    Hash(SettlementBinding { chain_id, contract: settlement }.origin())
}

/// What stands in front of each api key of the venue and in its genesis: the origin's first 16 bytes.
pub fn venue_tag(chain_id: u64, settlement: [u8; 20]) -> [u8; 16] {
    SettlementBinding { chain_id, contract: settlement }.venue_tag()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> QueueEntry {
        QueueEntry {
            kind: QueueKind::RevokeKey,
            account: AccountId(0x0102_0304),
            asset: AssetId(0x0506),
            amount: 0x0708_090a_0b0c_0d0e,
            extra: [0xee; 32],
            time_seconds: 0x1112_1314_1516_1718,
        }
    }

    #[test]
    fn entry_bytes_are_where_the_table_says() {
        let bytes = entry().bytes(Hash([0xaa; 32]));
        assert_eq!(bytes[..32], [0xaa; 32]);
        assert_eq!(bytes[32], 3);
        assert_eq!(bytes[33..37], [1, 2, 3, 4]);
        assert_eq!(bytes[37..39], [5, 6]);
        assert_eq!(bytes[39..47], [7, 8, 9, 10, 11, 12, 13, 14]);
        assert_eq!(bytes[47..79], [0xee; 32]);
        assert_eq!(bytes[79..], [0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]);
    }

    #[test]
    fn each_field_and_the_order_change_the_prefix() {
        let (start, plain) = (queue_origin(1, [1; 20]), entry());
        let variants = [
            QueueEntry { kind: QueueKind::Deposit, ..plain },
            QueueEntry { account: AccountId(1), ..plain },
            QueueEntry { asset: AssetId(1), ..plain },
            QueueEntry { amount: 1, ..plain },
            QueueEntry { extra: [1; 32], ..plain },
            QueueEntry { time_seconds: 1, ..plain },
        ];
        for other in variants {
            assert_ne!(other.prefix(start), plain.prefix(start), "{other:?}");
            assert_ne!(other.prefix(plain.prefix(start)), plain.prefix(other.prefix(start)), "{other:?}");
        }
        assert_ne!(plain.prefix(start), plain.prefix(queue_origin(2, [1; 20])));
        assert_ne!(plain.prefix(start), plain.prefix(queue_origin(1, [2; 20])));
    }

    #[test]
    fn kinds_go_there_and_back_and_unknown_ones_are_refused() {
        for number in 0..=u8::MAX {
            let kind = QueueKind::from_number(number);
            assert_eq!(kind.is_some(), (1..=4).contains(&number), "kind {number}");
            assert!(kind.is_none_or(|kind| kind as u8 == number));
        }
    }

    #[test]
    fn only_a_deposit_has_an_owner() {
        let mut extra = [0; 32];
        extra[12..].copy_from_slice(&[7; 20]);
        let deposit = QueueEntry { kind: QueueKind::Deposit, extra, ..entry() };
        assert_eq!(deposit.owner(), Some([7; 20]));
        assert_eq!(QueueEntry { kind: QueueKind::Withdrawal, ..deposit }.owner(), None);
        extra[0] = 1;
        assert_eq!(QueueEntry { extra, ..deposit }.owner(), None);
    }

    #[test]
    fn the_venue_tag_begins_the_origin() {
        assert_eq!(venue_tag(31_337, [3; 20]), queue_origin(31_337, [3; 20]).0[..16]);
    }
}
