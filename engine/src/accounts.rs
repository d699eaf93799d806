//! Accounts and trading keys: who may ask for what.
//!
//! Accounts are numbered without gaps and never closed. Owners' accounts are numbered upwards from 1, as the settlement
//! contract allots them, sub-accounts downwards from the capacity, where no contract gets before the table is full. A
//! sub-account has orders and money of its own; its owner's account governs it: fee tier, block and evidence are the
//! owner's, keys are bound to the owner, and for the chain its money is the owner's.
//!
//! A public key is bound once and for ever; a revoked or expired key is never valid again. Bounds: the capacities of the
//! genesis, [`MAX_SUB_ACCOUNTS`] sub-accounts an owner; a full table is a reject.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use crate::command::{
    AccountBlock, Capacities, DisconnectMode, EvidenceAllowance, EvidenceGrade, Genesis, KeyLimits, KeyScope,
    RegisterKey,
};
use crate::event::KeyEnd;
use crate::fees::Announced;
use crate::ids::{AccountId, FeeTier, KeyId};
use crate::index_table::{IndexTable, hash_bytes};
use crate::nonces::NonceWindow;
use crate::prefetch::ask_for;
use crate::reject::RejectCode;
use crate::shares::SharedTable;
use crate::units::{Atoms, Timestamp};

/// Sub-accounts that one owner may have: what counts all of an owner's looks at so many at most.
pub const MAX_SUB_ACCOUNTS: u32 = 16;

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
    /// Of a sub-account its owner's account; else 0.
    pub(crate) parent: AccountId,
    pub(crate) fee_tier: FeeTier,
    /// The tier that it gets when the notice is over.
    pub(crate) announced_tier: Option<Announced<FeeTier>>,
}

/// What an owner has: sub-accounts, the last one that was opened and how many there are, and digests that his keys have
/// reserved.
#[derive(Clone, Copy, Debug, Default)]
struct Family {
    newest: AccountId,
    count: u32,
    digests: u32,
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
    pub(crate) limits: KeyLimits,
    /// The day that `spent` is of, counted from the Unix epoch.
    pub(crate) day: u32,
    /// Notional of the orders that were accepted that day, for a key whose notional is limited.
    pub(crate) spent: Atoms,
    pub(crate) nonces: NonceWindow,
}

impl Key {
    /// Its account, if nothing bounds what it may do.
    fn unbounded_account(&self) -> Option<AccountId> {
        let Self { account, status, expires_at, scope, limits, .. } = *self;
        let is_unbounded = status == KeyStatus::Live
            && expires_at == Timestamp::ZERO
            && scope == KeyScope::EVERYTHING
            && limits == KeyLimits::NONE;
        is_unbounded.then_some(account)
    }
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
    /// The first one has the highest number.
    sub_accounts: Vec<Account>,
    /// By owner's account; follows from `sub_accounts` and `keys`.
    families: Box<[Family]>,
    /// What may be asked for on weaker evidence, by owner's account.
    allowances: Box<[EvidenceAllowance]>,
    /// By sub-account: its owner's that was opened before it, 0 for none. Follows from `sub_accounts`.
    older: Vec<AccountId>,
    account_capacity: usize,
    /// Accounts that have had a key.
    key_holders: u32,
    share_parts: u16,
    keys: Vec<Key>,
    /// By key: the account of one that is live, has no end, no limits and may do everything; nearly all are like that, and
    /// what asks with such a key is looked at no further. Follows from `keys`.
    unbounded: Vec<Option<AccountId>>,
    key_capacity: usize,
    by_public_key: IndexTable,
    /// Keys that end by themselves, next first. A revoked key is taken out at once: what stands here has to follow from
    /// the keys alone, or an engine restored from a snapshot would have other deadlines than the one it was taken of.
    expiries: VecDeque<(Timestamp, KeyId)>,
    hash_seed: u64,
}

impl Accounts {
    pub(crate) fn new(genesis: &Genesis) -> Self {
        let &Genesis { capacities: Capacities { accounts, keys, .. }, hash_seed, share_parts, .. } = genesis;
        let mut table = Vec::with_capacity(accounts as usize);
        table.push(Account::default());
        Self {
            accounts: table,
            sub_accounts: Vec::with_capacity(accounts as usize),
            families: vec![Family::default(); accounts as usize].into_boxed_slice(),
            allowances: vec![EvidenceAllowance::NONE; accounts as usize].into_boxed_slice(),
            older: Vec::with_capacity(accounts as usize),
            account_capacity: accounts as usize,
            key_holders: 0,
            share_parts,
            keys: Vec::with_capacity(keys as usize),
            unbounded: Vec::with_capacity(keys as usize),
            key_capacity: keys as usize,
            by_public_key: IndexTable::new(keys),
            expiries: VecDeque::with_capacity(keys as usize),
            hash_seed,
        }
    }

    /// The owners' accounts by number, the venue's own first.
    pub(crate) fn owners(&self) -> &[Account] {
        &self.accounts
    }

    /// The sub-accounts, first opened first.
    pub(crate) fn sub_accounts(&self) -> &[Account] {
        &self.sub_accounts
    }

    /// The account in a place: first the owners' accounts, then the sub-accounts as they were opened.
    pub(crate) fn at(&self, place: u32) -> Option<(AccountId, &Account)> {
        if let Some(account) = self.accounts.get(place as usize) {
            return Some((AccountId(place), account));
        }
        let index = place as usize - self.accounts.len();
        self.sub_accounts.get(index).map(|account| (self.sub_account_id(index), account))
    }

    /// The number of the sub-account that was opened as number `index`, from 0.
    pub(crate) fn sub_account_id(&self, index: usize) -> AccountId {
        AccountId(u32::try_from(self.account_capacity - 1 - index).expect("the capacity is a u32"))
    }

    /// Where a number would stand among the sub-accounts.
    fn sub_account_index(&self, account: AccountId) -> Option<usize> {
        (self.account_capacity - 1).checked_sub(account.0 as usize)
    }

    pub(crate) fn keys(&self) -> &[Key] {
        &self.keys
    }

    #[inline(always)]
    pub(crate) fn account(&self, account: AccountId) -> Option<&Account> {
        match self.accounts.get(account.0 as usize) {
            Some(owner) => Some(owner),
            None => self.sub_accounts.get(self.sub_account_index(account)?),
        }
    }

    /// An owner's account or the venue's own; none for a sub-account.
    pub(crate) fn owner_account(&self, account: AccountId) -> Option<&Account> {
        self.accounts.get(account.0 as usize)
    }

    #[inline(always)]
    pub(crate) fn account_mut(&mut self, account: AccountId) -> &mut Account {
        if (account.0 as usize) < self.accounts.len() {
            return &mut self.accounts[account.0 as usize];
        }
        let index = self.sub_account_index(account).expect("only accounts that there are are changed");
        &mut self.sub_accounts[index]
    }

    /// What may be asked for on weaker evidence than the owner's accounts demand.
    pub(crate) fn allowance(&self, owner: AccountId) -> &EvidenceAllowance {
        &self.allowances[owner.0 as usize]
    }

    /// The same, to be changed.
    pub(crate) fn allowance_mut(&mut self, owner: AccountId) -> &mut EvidenceAllowance {
        &mut self.allowances[owner.0 as usize]
    }

    /// Every owner's that allows anything, by rising number.
    pub(crate) fn allowances(&self) -> impl Iterator<Item = (AccountId, &EvidenceAllowance)> {
        let all = (0..).map(AccountId).zip(&self.allowances);
        all.filter(|(_, allowance)| **allowance != EvidenceAllowance::NONE)
    }

    /// The number of the account that governs an account: its owner's, which is mostly itself.
    pub(crate) fn owner_of(&self, account: AccountId) -> AccountId {
        match self.account(account) {
            Some(&Account { parent, .. }) if parent != AccountId(0) => parent,
            _ => account,
        }
    }

    /// The account that governs an account.
    #[inline(always)]
    pub(crate) fn governing(&self, account: AccountId) -> Option<&Account> {
        match self.account(account)? {
            known if known.parent == AccountId(0) => Some(known),
            known => self.account(known.parent),
        }
    }

    /// The owner's account and its sub-accounts, at most 17.
    pub(crate) fn family(&self, owner: AccountId) -> impl Iterator<Item = AccountId> {
        let newest = Some(self.families[owner.0 as usize].newest);
        let some = |account: &AccountId| *account != AccountId(0);
        let sub_accounts = core::iter::successors(newest.filter(some), move |account| {
            self.sub_account_index(*account).map(|index| self.older[index]).filter(some)
        });
        core::iter::once(owner).chain(sub_accounts)
    }

    /// Whether the owner may have one more sub-account: bounded an owner and by the table, of which nobody who has a fair
    /// share already gets more once it is three quarters full.
    pub(crate) fn check_sub_account(&self, owner: AccountId) -> Result<(), RejectCode> {
        let mine = self.families[owner.0 as usize].count;
        if mine >= MAX_SUB_ACCOUNTS {
            return Err(RejectCode::TooManySubAccounts);
        }
        if self.is_full() {
            return Err(RejectCode::TableFull);
        }
        let owners = self.accounts.len() as u32;
        let table = SharedTable {
            capacity: self.account_capacity as u32,
            used: owners + self.sub_account_count(),
            parts: self.share_parts,
        };
        if table.has_room_for(mine + 1, owners) { Ok(()) } else { Err(RejectCode::TableShareTaken) }
    }

    fn sub_account_count(&self) -> u32 {
        self.sub_accounts.len() as u32
    }

    fn is_full(&self) -> bool {
        self.accounts.len() + self.sub_accounts.len() == self.account_capacity
    }

    /// Opens the owner's next sub-account.
    #[inline(never)]
    pub(crate) fn open_sub_account(&mut self, account: Account) -> AccountId {
        assert!(!self.is_full() && account.parent != AccountId(0), "`check_sub_account` looks for room first");
        let id = self.sub_account_id(self.sub_accounts.len());
        let family = &mut self.families[account.parent.0 as usize];
        self.older.push(core::mem::replace(&mut family.newest, id));
        family.count += 1;
        self.sub_accounts.push(account);
        id
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
        match self.owner_account(account) {
            Some(_) if account == AccountId(0) => Err(RejectCode::WrongAccount),
            Some(known) if known.owner == owner => Ok(false),
            Some(_) => Err(RejectCode::WrongAccount),
            None if self.is_full() => Err(RejectCode::TableFull),
            None if account.0 as usize != self.accounts.len() => Err(RejectCode::WrongAccount),
            None => Ok(true),
        }
    }

    /// Opens the next account.
    pub(crate) fn open(&mut self, account: Account) {
        assert!(!self.is_full(), "`opens` checks for room first");
        self.key_holders += u32::from(account.key_epoch > 0);
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

    /// Asks memory for an account, which need not be there.
    #[inline]
    pub(crate) fn prefetch_account(&self, account: AccountId) {
        // It begins anywhere on a line: the next one's first byte is where it ends.
        ask_for(self.accounts.get(account.0 as usize));
        ask_for(self.accounts.get((account.0 as usize).wrapping_add(1)));
    }

    /// Asks memory for an account and for what a key has used, neither of which need be there.
    #[inline]
    pub(crate) fn prefetch(&self, account: AccountId, key: KeyId) {
        self.prefetch_account(account);
        ask_for(self.key(key).map(|key| &key.digests));
        ask_for(self.key(key).map(|key| &key.nonces.highest));
    }

    /// A key to change in what it has used. What it may do is changed by [`Self::bound_key`].
    #[inline(always)]
    pub(crate) fn key_mut(&mut self, key: KeyId) -> &mut Key {
        &mut self.keys[key.0 as usize - 1]
    }

    /// Changes what a key may do.
    pub(crate) fn bound_key(&mut self, key: KeyId, change: impl FnOnce(&mut Key)) {
        change(self.key_mut(key));
        let index = key.0 as usize - 1;
        self.unbounded[index] = self.keys[index].unbounded_account();
    }

    /// Whether it is this account's key, and nothing bounds it.
    #[inline(always)]
    pub(crate) fn is_unbounded(&self, key: KeyId, account: AccountId) -> bool {
        let index = (key.0 as usize).wrapping_sub(1);
        self.unbounded.get(index).is_some_and(|known| *known == Some(account))
    }

    /// Whether the registration may be taken.
    pub(crate) fn check_registration(&self, registration: &RegisterKey) -> Result<(), RejectCode> {
        let account = self.owner_account(registration.account).filter(|_| registration.account != AccountId(0));
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

    /// Whether the owner may have one more key, and reserve so much more of the digest store.
    pub(crate) fn check_key_share(&self, registration: &RegisterKey, digests: SharedTable) -> Result<(), RejectCode> {
        // An owner that does not exist is refused for that.
        let Some(account) = self.owner_account(registration.account) else { return Ok(()) };
        let holders = self.key_holders + u32::from(account.key_epoch == 0);
        let (capacity, used) = (self.key_capacity as u32, self.keys.len() as u32);
        let keys = SharedTable { capacity, used, parts: self.share_parts };
        let reserved = self.families[registration.account.0 as usize].digests;
        let reserved = reserved.saturating_add(registration.digest_capacity);
        let fits =
            keys.has_room_for(account.key_epoch.saturating_add(1), holders) && digests.has_room_for(reserved, holders);
        if fits { Ok(()) } else { Err(RejectCode::TableShareTaken) }
    }

    /// Notes that the account has had so many keys.
    pub(crate) fn note_key_epoch(&mut self, account: AccountId, epoch: u32) {
        self.key_holders += u32::from(epoch == 1);
        self.account_mut(account).key_epoch = epoch;
    }

    /// Binds a key and tells its number.
    pub(crate) fn add_key(&mut self, key: Key) -> KeyId {
        let index = u32::try_from(self.keys.len()).expect("at most the key capacity, a u32");
        self.by_public_key.insert(self.hash(&key.public_key), index);
        self.families[key.account.0 as usize].digests += key.digest_capacity;
        let id = KeyId(index + 1);
        if key.expires_at != Timestamp::ZERO && matches!(key.status, KeyStatus::Pending | KeyStatus::Live) {
            let at = self.expiries.partition_point(|expiry| *expiry < (key.expires_at, id));
            self.expiries.insert(at, (key.expires_at, id));
        }
        self.unbounded.push(key.unbounded_account());
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
        self.bound_key(id, |key| key.status = KeyStatus::Expired);
        Some(id)
    }

    /// Ends a key now; tells how.
    #[inline(never)]
    pub(crate) fn revoke(&mut self, key: KeyId) -> KeyEnd {
        let expiry = (self.key_mut(key).expires_at, key);
        if let Ok(at) = self.expiries.binary_search(&expiry) {
            self.expiries.remove(at);
        }
        self.bound_key(key, |key| key.status = KeyStatus::Revoked);
        KeyEnd::Revoked
    }

    fn hash(&self, public_key: &[u8; 32]) -> u32 {
        hash_bytes(self.hash_seed, 0, public_key)
    }
}
