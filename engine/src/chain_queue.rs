//! What comes from the settlement contract: the entries of its queue, each once and in order, and the batches that tell
//! it what became of them.
//!
//! The contract keeps one keccak256 an entry over that entry and all before it. The engine recomputes it over its own
//! last one, so that no entry can be left out, taken twice, moved or altered on its way; what is hashed, big-endian:
//!
//! | offset | size | meaning |
//! |---|---|---|
//! | 0 | 32 | hash before this entry; before the first the origin, keccak256(chain id in 32 bytes ‖ contract) |
//! | 32 | 1 | kind |
//! | 33 | 4 | account |
//! | 37 | 2 | asset; 0 for keys |
//! | 39 | 8 | amount; for a registration the key's end in seconds, 0 for never |
//! | 47 | 32 | deposit: 12 zeroes ‖ owner's address; keys: the key; else 0 |
//! | 79 | 8 | the block's time in seconds |
//!
//! An entry that is in its place is used up whatever comes of it, since one that stayed would block all behind it, exits
//! included. The contract allots account numbers by its own count, so a deposit opens its account even where its money
//! cannot be credited: otherwise every later account would be another one here than there. Batches tile the journal
//! without gap or overlap. Bounds: one entry is one account, one key or one balance.

use sha3::{Digest, Keccak256};

use crate::accounts::KeyStatus;
use crate::command::{BatchSealed, ChainEntry, ChainEntryKind, RegisterKey, SettlementBinding};
use crate::emitter::Emitter;
use crate::engine::{Moment, Shard};
use crate::event::Event;
use crate::ids::Sequence;
use crate::reject::{RejectCode, both};
use crate::trading::VENUE;
use crate::units::{Atoms, Timestamp};

/// Bytes hashed for an entry.
const ENTRY_BYTES: usize = 87;
/// Nanoseconds in the second of the chain's clock.
const SECOND_NS: u64 = 1_000_000_000;

/// How far the queue is used up and the journal is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChainPosition {
    /// 0 before the first entry.
    pub(crate) last_queue_id: u64,
    /// The origin before the first entry; zeroes where there is no chain.
    pub(crate) last_queue_prefix: [u8; 32],
    /// 0 before the first batch.
    pub(crate) last_batch_id: u64,
    /// The last record of the last batch, 0 before the first.
    pub(crate) last_sealed: Sequence,
}

impl ChainPosition {
    /// Before the first entry and the first batch.
    pub(crate) fn start(settlement: SettlementBinding) -> Self {
        let last_queue_prefix = if settlement.is_none() { [0; 32] } else { settlement.origin() };
        Self { last_queue_id: 0, last_queue_prefix, last_batch_id: 0, last_sealed: Sequence(0) }
    }

    /// Whether an exchange that is bound so can have come here; what was hashed since the start cannot be told.
    pub(crate) fn is_possible(&self, settlement: SettlementBinding) -> bool {
        let start = Self::start(settlement);
        let queue = self.last_queue_id > 0 || self.last_queue_prefix == start.last_queue_prefix;
        let batches = (self.last_batch_id == 0) == (self.last_sealed == Sequence(0));
        queue && batches && (!settlement.is_none() || *self == start)
    }
}

impl SettlementBinding {
    /// True where there is no contract.
    pub fn is_none(&self) -> bool {
        self.contract == [0; 20]
    }

    /// The queue's hash before its first entry, by which every later one is bound to this contract on this chain.
    pub fn origin(&self) -> [u8; 32] {
        let mut bytes = [0; 52];
        bytes[24..32].copy_from_slice(&self.chain_id.to_be_bytes());
        bytes[32..].copy_from_slice(&self.contract);
        Keccak256::digest(bytes).into()
    }

    /// What stands in front of each api key: the origin's first 16 bytes.
    pub fn venue_tag(&self) -> [u8; 16] {
        let mut tag = [0; 16];
        tag.copy_from_slice(&self.origin()[..16]);
        tag
    }
}

impl ChainEntryKind {
    /// By its number; `None` for a number that no kind has.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Deposit),
            2 => Some(Self::RegisterKey),
            3 => Some(Self::RevokeKey),
            4 => Some(Self::Withdrawal),
            5 => Some(Self::ForcedWithdrawal),
            _ => None,
        }
    }
}

impl ChainEntry {
    /// The queue's hash with this entry, given the one before it. Takes no account of `queue_id` and `prefix`.
    pub fn prefix_after(&self, previous: &[u8; 32]) -> [u8; 32] {
        Keccak256::digest(self.hashed_bytes(previous)).into()
    }

    fn hashed_bytes(&self, previous: &[u8; 32]) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..32].copy_from_slice(previous);
        bytes[32] = self.kind as u8;
        bytes[33..37].copy_from_slice(&self.account.0.to_be_bytes());
        bytes[37..39].copy_from_slice(&self.asset.0.to_be_bytes());
        bytes[39..47].copy_from_slice(&self.amount.0.to_be_bytes());
        bytes[47..79].copy_from_slice(&self.extra);
        bytes[79..].copy_from_slice(&self.time_seconds.to_be_bytes());
        bytes
    }

    /// The address in `extra`; `None` where the bytes before it are not zero, which no contract of ours writes.
    fn owner(&self) -> Option<[u8; 20]> {
        let (padding, address) = self.extra.split_first_chunk::<12>()?;
        if *padding != [0; 12] {
            return None;
        }
        address.try_into().ok()
    }

    /// When a registered key ends.
    fn expires_at(&self) -> Result<Timestamp, RejectCode> {
        self.amount.0.checked_mul(SECOND_NS).map(Timestamp).ok_or(RejectCode::AmountOutOfRange)
    }
}

impl Shard {
    /// Takes the queue's next entry. It is refused only where it is not the next one as the contract has it.
    #[inline(never)]
    pub(crate) fn chain_entry(
        &mut self,
        sequence: Sequence,
        entry: &ChainEntry,
        events: &mut Emitter<'_>,
    ) -> Result<(), RejectCode> {
        if self.genesis.settlement.is_none() {
            return Err(RejectCode::NotAuthorised);
        }
        if Some(entry.queue_id) != self.chain.last_queue_id.checked_add(1) {
            return Err(RejectCode::WrongQueueId);
        }
        if entry.prefix != entry.prefix_after(&self.chain.last_queue_prefix) {
            return Err(RejectCode::WrongQueuePrefix);
        }
        self.chain.last_queue_id = entry.queue_id;
        self.chain.last_queue_prefix = entry.prefix;
        let outcome = match entry.kind {
            ChainEntryKind::Deposit => self.deposit_from_chain(entry, events),
            ChainEntryKind::RegisterKey => self.register_from_chain(entry, events),
            ChainEntryKind::RevokeKey => self.revoke_from_chain(entry, events),
            ChainEntryKind::Withdrawal => self.withdraw_to_chain(entry, events),
            ChainEntryKind::ForcedWithdrawal => self.force_out(sequence, entry, events),
        };
        // Told before the entry's end, which is the last that its reader waits for.
        self.report_balances(events);
        events.push(Event::ChainEntryConsumed { queue_id: entry.queue_id, refused: outcome.err() });
        Ok(())
    }

    /// Seals a batch of records.
    #[inline(never)]
    pub(crate) fn seal_batch(
        &mut self,
        moment: Moment,
        batch: &BatchSealed,
        events: &mut Emitter<'_>,
    ) -> Result<(), RejectCode> {
        if self.genesis.settlement.is_none() {
            return Err(RejectCode::NotAuthorised);
        }
        let BatchSealed { batch_id, first_sequence, last_sequence, new_root, .. } = *batch;
        let follows = Some(batch_id) == self.chain.last_batch_id.checked_add(1)
            && Some(first_sequence.0) == self.chain.last_sealed.0.checked_add(1)
            && first_sequence <= last_sequence
            && last_sequence < moment.sequence;
        if !follows {
            return Err(RejectCode::WrongBatch);
        }
        self.chain.last_batch_id = batch_id;
        self.chain.last_sealed = last_sequence;
        self.forget_left(last_sequence);
        events.push(Event::BatchSealed { batch_id, first_sequence, last_sequence, new_root });
        Ok(())
    }

    /// Opens the account if it is the next one, then credits the money or says that it goes back.
    fn deposit_from_chain(&mut self, entry: &ChainEntry, events: &mut Emitter<'_>) -> Result<(), RejectCode> {
        let ChainEntry { queue_id, account, asset, amount, .. } = *entry;
        let opened = match entry.owner() {
            None => Err(RejectCode::WrongAccount),
            Some(owner) => self.open_if_next(account, owner, events),
        };
        match both(opened, self.check_credit(asset, amount)) {
            Ok(()) => {
                self.credit(account, asset, amount, events);
                Ok(())
            }
            Err(code) => {
                events.push(Event::DepositReturned { queue_id, account, asset, amount, code });
                Err(code)
            }
        }
    }

    /// Binds a key that is pending until it has itself signed: the chain knows who asks, not whose key it is.
    fn register_from_chain(&mut self, entry: &ChainEntry, events: &mut Emitter<'_>) -> Result<(), RejectCode> {
        let account = self.accounts.owner_account(entry.account).ok_or(RejectCode::AccountUnknown)?;
        let expires_at = entry.expires_at();
        let registration = RegisterKey {
            account: entry.account,
            public_key: entry.extra,
            epoch: account.key_epoch + 1,
            expires_at: expires_at.unwrap_or_default(),
            digest_capacity: self.genesis.capacities.digests_per_key,
        };
        let room = both(self.check_key_room(&registration), self.check_key_share(&registration));
        let digests_reserved = both(room, expires_at.map(drop))?;
        self.bind_key(&registration, digests_reserved, KeyStatus::Pending, events);
        Ok(())
    }

    fn revoke_from_chain(&mut self, entry: &ChainEntry, events: &mut Emitter<'_>) -> Result<(), RejectCode> {
        let key = self.accounts.key_id(&entry.extra).ok_or(RejectCode::KeyUnknown)?;
        let of_account = self.accounts.key(key).is_some_and(|known| known.account == entry.account);
        let own = if of_account { Ok(()) } else { Err(RejectCode::KeyOfOtherAccount) };
        both(self.check_not_ended(key), own)?;
        self.end_key(key, events);
        Ok(())
    }

    /// Debits all that is asked for, or nothing: the owner may ask again with another entry.
    fn withdraw_to_chain(&mut self, entry: &ChainEntry, events: &mut Emitter<'_>) -> Result<(), RejectCode> {
        let ChainEntry { account, asset, amount, .. } = *entry;
        self.assets.get(usize::from(asset.0)).ok_or(RejectCode::AssetUnknown)?;
        // The contract knows no sub-accounts: what one has goes to its owner's account first.
        if account == VENUE || self.accounts.owner_account(account).is_none() {
            return Err(RejectCode::WrongAccount);
        }
        if amount == Atoms::ZERO {
            return Err(RejectCode::AmountOutOfRange);
        }
        if self.balances.balance(account, asset).available < amount {
            return Err(RejectCode::InsufficientBalance);
        }
        self.balances.withdraw(account, asset, amount);
        let report_sequence = self.accounts.next_report(account);
        events.push(Event::Withdrawn { account, asset, amount, report_sequence });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{AccountId, AssetId};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn entry() -> ChainEntry {
        ChainEntry {
            queue_id: 1,
            kind: ChainEntryKind::RevokeKey,
            account: AccountId(0x0102_0304),
            asset: AssetId(0x0506),
            amount: Atoms(0x0708_090a_0b0c_0d0e),
            extra: [0xee; 32],
            time_seconds: 0x1112_1314_1516_1718,
            prefix: [0; 32],
        }
    }

    #[test]
    fn hashed_bytes_are_where_the_table_says() {
        let bytes = entry().hashed_bytes(&[0xaa; 32]);
        let expected =
            "03".to_owned() + "01020304" + "0506" + "0708090a0b0c0d0e" + &"ee".repeat(32) + "1112131415161718";
        assert_eq!(hex(&bytes), "aa".repeat(32) + &expected);
    }

    #[test]
    fn each_field_and_the_order_change_the_hash() {
        let start = |chain_id, contract| SettlementBinding { chain_id, contract }.origin();
        let (origin, plain) = (start(1, [1; 20]), entry());
        let variants = [
            ChainEntry { kind: ChainEntryKind::Deposit, ..plain },
            ChainEntry { account: AccountId(1), ..plain },
            ChainEntry { asset: AssetId(1), ..plain },
            ChainEntry { amount: Atoms(1), ..plain },
            ChainEntry { extra: [1; 32], ..plain },
            ChainEntry { time_seconds: 1, ..plain },
        ];
        for other in variants {
            assert_ne!(other.prefix_after(&origin), plain.prefix_after(&origin), "{other:?}");
            let (first, second) = (plain.prefix_after(&origin), other.prefix_after(&origin));
            assert_ne!(other.prefix_after(&first), plain.prefix_after(&second), "{other:?}");
        }
        for other in [start(2, [1; 20]), start(1, [2; 20])] {
            assert_ne!(plain.prefix_after(&origin), plain.prefix_after(&other));
        }
    }

    #[test]
    fn kinds_go_there_and_back_and_unknown_ones_are_refused() {
        for number in 0..=u8::MAX {
            let kind = ChainEntryKind::from_number(number);
            assert_eq!(kind.is_some(), (1..=5).contains(&number), "kind {number}");
            assert!(kind.is_none_or(|kind| kind as u8 == number));
        }
    }

    #[test]
    fn an_owner_stands_behind_twelve_zeroes() {
        let mut extra = [0; 32];
        extra[12..].fill(7);
        assert_eq!(ChainEntry { extra, ..entry() }.owner(), Some([7; 20]));
        extra[0] = 1;
        assert_eq!(ChainEntry { extra, ..entry() }.owner(), None);
    }

    /// The same five entries stand in the settlement's vectors, which its contract is tested with too.
    #[test]
    fn hashes_are_the_contracts() {
        let settlement = SettlementBinding { chain_id: 31_337, contract: [0x5e; 20] };
        let mut prefix = settlement.origin();
        assert_eq!(hex(&prefix), "bf6d3b4738cbe913566e6ed56b29455b8ac5600d92437cf5bf9ba7f6c8ac7ad8");
        assert_eq!(hex(&settlement.venue_tag()), "bf6d3b4738cbe913566e6ed56b29455b");
        let mut owner = [0; 32];
        owner[12..].fill(0xa1);
        use ChainEntryKind::{Deposit, RegisterKey, RevokeKey, Withdrawal};
        type Row = (ChainEntryKind, u32, u16, u64, [u8; 32], u64, &'static str);
        let rows: [Row; 5] = [
            (Deposit, 1, 0, 1_000_000, owner, 0, "b6287dcffe7d2fe455044d46831f77c910af706e4044e2515a5b4ccbe040d4cf"),
            (RegisterKey, 1, 0, 0, [0xed; 32], 0, "34295af452e5b844f3a89adf0892086614802e3aa200c7074103b2e2beae212e"),
            (
                Deposit,
                u32::MAX,
                63,
                u64::MAX,
                owner,
                0xffff_ffff - 1,
                "d57cacb20d8f9c4dba99d965e97088912e5f837b6fb314db22cfde2e699bf791",
            ),
            (RevokeKey, 1, 0, 0, [0xed; 32], 0, "1a301827b873be50d6352827c7332095613083191b7308fb9e76e3345b536f34"),
            (Withdrawal, 1, 0, 999_999, [0; 32], 0, "e57a1fce2ceac8b4ae2ebaabb51603b9186ba56b83b3048ed4b4144434df8c54"),
        ];
        for (kind, account, asset, amount, extra, later, expected) in rows {
            let (account, asset, amount) = (AccountId(account), AssetId(asset), Atoms(amount));
            let time_seconds = 1_800_000_001 + later;
            prefix = ChainEntry { kind, account, asset, amount, extra, time_seconds, ..entry() }.prefix_after(&prefix);
            assert_eq!(hex(&prefix), expected, "{kind:?} of {account}");
        }
    }

    #[test]
    fn a_position_that_cannot_be_is_told() {
        let bound = SettlementBinding { chain_id: 1, contract: [1; 20] };
        let start = ChainPosition::start(bound);
        let entered = ChainPosition { last_queue_id: 1, last_queue_prefix: [9; 32], ..start };
        let sealed = ChainPosition { last_batch_id: 1, last_sealed: Sequence(1), ..start };
        for (position, settlement, possible) in [
            (start, bound, true),
            (entered, bound, true),
            (sealed, bound, true),
            (ChainPosition { last_queue_id: 0, ..entered }, bound, false),
            (ChainPosition { last_batch_id: 0, ..sealed }, bound, false),
            (ChainPosition { last_sealed: Sequence(0), ..sealed }, bound, false),
            (ChainPosition::start(SettlementBinding::NONE), SettlementBinding::NONE, true),
            (start, SettlementBinding::NONE, false),
            (entered, SettlementBinding::NONE, false),
            (sealed, SettlementBinding::NONE, false),
        ] {
            assert_eq!(position.is_possible(settlement), possible, "{position:?} of {settlement:?}");
        }
    }
}
