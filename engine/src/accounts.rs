//! Accounts and trading keys: who may ask for what.
//!
//! Accounts are numbered without gaps and never closed. A public key is bound once and for ever; a revoked or expired
//! key is never valid again. Bounds: the capacities of the genesis; a full table is a reject.

use std::collections::VecDeque;

use crate::command::{AccountBlock, DisconnectMode, EvidenceGrade, KeyScope, RegisterKey};
use crate::event::KeyEnd;
use crate::ids::{AccountId, KeyId};
use crate::index_table::{IndexTable, hash_bytes};
use crate::nonces::NonceWindow;
use crate::reject::RejectCode;
use crate::units::Timestamp;

/// An account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) owner: [u8; 20],
    /// Private events so far.
    pub(crate) report_sequence: u64,
    /// Keys registered so far.
    pub(crate) key_epoch: u32,
    pub(crate) minimum_grade: EvidenceGrade,
    /// The self-trade group; 0 where the account is alone and nobody's group is named after it.
    pub(crate) self_trade_group: AccountId,
    /// Whose group it may join, by the last invitation; 0 for none.
    pub(crate) invited_by: AccountId,
    /// When its dead-man timer fires; 0 for never.
    pub(crate) cancel_all_at: Timestamp,
    pub(crate) block: AccountBlock,
    pub(crate) on_disconnect: DisconnectMode,
}

/// A trading key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) public_key: [u8; 32],
    pub(crate) account: AccountId,
    pub(crate) status: KeyStatus,
    pub(crate) expires_at: Timestamp,
    pub(crate) digest_capacity: u32,
    /// Digests remembered now.
    pub(crate) digests: u32,
    pub(crate) scope: KeyScope,
    pub(crate) nonces: NonceWindow,
}

/// How far a key has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum KeyStatus {
    Pending = 0,
    Live = 1,
    Revoked = 2,
    Expired = 3,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Accounts {
    accounts: Vec<Account>,
    account_capacity: usize,
    keys: Vec<Key>,
    key_capacity: usize,
    by_public_key: IndexTable,
    /// Keys that end by themselves, next first. A revoked key is taken out at once: what stands here has to follow from
    /// the keys alone, or an engine restored from a snapshot would have other deadlines than the one it was taken of.
    expiries: VecDeque<(Timestamp, KeyId)>,
    hash_seed: u64,
}

impl Accounts {
    pub(crate) fn new(accounts: u32, keys: u32, hash_seed: u64) -> Self {
        let mut table = Vec::with_capacity(accounts as usize);
        table.push(Account::default());
        Self {
            accounts: table,
            account_capacity: accounts as usize,
            keys: Vec::with_capacity(keys as usize),
            key_capacity: keys as usize,
            by_public_key: IndexTable::new(keys),
            expiries: VecDeque::with_capacity(keys as usize),
            hash_seed,
        }
    }

    pub(crate) fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    pub(crate) fn keys(&self) -> &[Key] {
        &self.keys
    }

    #[inline(always)]
    pub(crate) fn account(&self, account: AccountId) -> Option<&Account> {
        self.accounts.get(account.0 as usize)
    }

    #[inline(always)]
    pub(crate) fn account_mut(&mut self, account: AccountId) -> &mut Account {
        &mut self.accounts[account.0 as usize]
    }

    /// The self-trade group of an account; 0 where it is alone.
    #[inline(always)]
    pub(crate) fn self_trade_group(&self, account: AccountId) -> AccountId {
        self.account(account).map_or(AccountId(0), |known| known.self_trade_group)
    }

    /// Counts one more private event of the account.
    #[inline(always)]
    pub(crate) fn next_report(&mut self, account: AccountId) -> u64 {
        let account = self.account_mut(account);
        account.report_sequence += 1;
        account.report_sequence
    }

    /// The number of the key with these bytes, whatever has become of it.
    pub(crate) fn key_id(&self, public_key: &[u8; 32]) -> Option<KeyId> {
        let bound = |index: u32| self.keys[index as usize].public_key == *public_key;
        self.by_public_key.find(self.hash(public_key), bound).map(|index| KeyId(index + 1))
    }

    /// Whether a deposit for `account` is for one that exists (`Ok(false)`) or opens the next one (`Ok(true)`).
    pub(crate) fn opens(&self, account: AccountId, owner: [u8; 20]) -> Result<bool, RejectCode> {
        match self.account(account) {
            Some(_) if account == AccountId(0) => Err(RejectCode::WrongAccount),
            Some(known) if known.owner == owner => Ok(false),
            Some(_) => Err(RejectCode::WrongAccount),
            None if self.accounts.len() == self.account_capacity => Err(RejectCode::TableFull),
            None if account.0 as usize != self.accounts.len() => Err(RejectCode::WrongAccount),
            None => Ok(true),
        }
    }

    /// Opens the next account.
    pub(crate) fn open(&mut self, account: Account) {
        assert!(self.accounts.len() < self.account_capacity, "`opens` checks for room first");
        self.accounts.push(account);
    }

    /// Puts back the venue's own account from a snapshot.
    pub(crate) fn restore_venue(&mut self, account: Account) {
        self.accounts[0] = account;
    }

    /// Keys are numbered from 1.
    #[inline(always)]
    pub(crate) fn key(&self, key: KeyId) -> Option<&Key> {
        self.keys.get((key.0 as usize).checked_sub(1)?)
    }

    #[inline(always)]
    pub(crate) fn key_mut(&mut self, key: KeyId) -> &mut Key {
        &mut self.keys[key.0 as usize - 1]
    }

    /// Whether the registration may be taken.
    pub(crate) fn check_registration(&self, registration: &RegisterKey) -> Result<(), RejectCode> {
        let account = self.account(registration.account).filter(|_| registration.account != AccountId(0));
        let Some(account) = account else { return Err(RejectCode::AccountUnknown) };
        if self.keys.len() == self.key_capacity {
            return Err(RejectCode::TableFull);
        }
        if self.key_id(&registration.public_key).is_some() {
            return Err(RejectCode::KeyBoundBefore);
        }
        if registration.epoch != account.key_epoch + 1 {
            return Err(RejectCode::WrongKeyEpoch);
        }
        Ok(())
    }

    /// Binds a key and tells its number.
    pub(crate) fn add_key(&mut self, key: Key) -> KeyId {
        let index = u32::try_from(self.keys.len()).expect("at most the key capacity, a u32");
        self.by_public_key.insert(self.hash(&key.public_key), index);
        let id = KeyId(index + 1);
        if key.expires_at != Timestamp::ZERO && matches!(key.status, KeyStatus::Pending | KeyStatus::Live) {
            let at = self.expiries.partition_point(|expiry| *expiry < (key.expires_at, id));
            self.expiries.insert(at, (key.expires_at, id));
        }
        self.keys.push(key);
        id
    }

    /// When the next key ends by itself.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.front().map(|(at, _)| *at)
    }

    /// Ends the next key whose time is over.
    pub(crate) fn expire_one(&mut self, now: Timestamp) -> Option<KeyId> {
        let (_, id) = self.expiries.pop_front_if(|(at, _)| *at <= now)?;
        self.key_mut(id).status = KeyStatus::Expired;
        Some(id)
    }

    /// Ends a key now; tells how.
    pub(crate) fn revoke(&mut self, key: KeyId) -> KeyEnd {
        let expiry = (self.key_mut(key).expires_at, key);
        if let Ok(at) = self.expiries.binary_search(&expiry) {
            self.expiries.remove(at);
        }
        self.key_mut(key).status = KeyStatus::Revoked;
        KeyEnd::Revoked
    }

    fn hash(&self, public_key: &[u8; 32]) -> u32 {
        hash_bytes(self.hash_seed, 0, public_key)
    }
}
