//! Who has how much of what: for each account and asset what is available and what is held for open orders.
//!
//! Money only moves: every method names where it comes from and where it goes. Deposits and withdrawals alone change
//! the sums, which are kept, so that conservation can be checked at any time. Memory: 24 bytes an account and asset.

use alloc::vec;
use alloc::vec::Vec;

use crate::ids::{AccountId, AssetId, Sequence};
use crate::prefetch::ask_for;
use crate::units::Atoms;

/// One account's amount of one asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Free to use.
    pub available: Atoms,
    /// Held for open orders.
    pub held: Atoms,
}

/// The most of one asset that may be in the exchange, so that no sum of balances can overflow.
pub const SUPPLY_CAP: Atoms = Atoms(1 << 62);

/// See the module.
#[derive(Debug)]
pub(crate) struct Balances {
    slots: Vec<Slot>,
    assets: usize,
    totals: Vec<Totals>,
    /// The changed balances of the current command, with where each stands.
    touched: Vec<(AccountId, AssetId, u32)>,
    current: Sequence,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    balance: Balance,
    /// The command that touched it last; not state, only keeps `touched` free of repeats.
    touched_at: Sequence,
}

/// What came into and went out of the exchange, of one asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) deposited: Atoms,
    pub(crate) withdrawn: Atoms,
}

impl Balances {
    /// Room for every account and asset, and for as many changes as one command makes.
    pub(crate) fn new(accounts: u32, assets: u16, changes: usize) -> Self {
        Self {
            slots: vec![Slot::default(); accounts as usize * usize::from(assets)],
            assets: usize::from(assets),
            totals: vec![Totals::default(); usize::from(assets)],
            touched: Vec::with_capacity(changes),
            current: Sequence(0),
        }
    }

    /// Begins a command: the last one's changes have been told.
    #[inline(always)]
    pub(crate) fn begin(&mut self, sequence: Sequence) {
        self.current = sequence;
    }

    /// The balances that the current command has changed, as they are now, in the order of their first change.
    #[inline(always)]
    pub(crate) fn touched(&self) -> impl Iterator<Item = (AccountId, AssetId, Balance)> {
        self.touched.iter().map(|&(account, asset, index)| (account, asset, self.slots[index as usize].balance))
    }

    #[inline(always)]
    pub(crate) fn balance(&self, account: AccountId, asset: AssetId) -> Balance {
        self.slots[self.index(account, asset)].balance
    }

    /// Asks memory for a balance, which need not be there.
    #[inline(always)]
    pub(crate) fn prefetch(&self, account: AccountId, asset: AssetId) {
        ask_for(self.slots.get(self.index(account, asset)));
    }

    pub(crate) fn totals(&self, asset: AssetId) -> Totals {
        self.totals[usize::from(asset.0)]
    }

    #[inline(always)]
    fn index(&self, account: AccountId, asset: AssetId) -> usize {
        // Both are far below what could overflow, and an index that is wrong has no slot.
        (account.0 as usize).wrapping_mul(self.assets).wrapping_add(usize::from(asset.0))
    }

    #[inline(always)]
    fn change(&mut self, account: AccountId, asset: AssetId) -> &mut Balance {
        let index = self.index(account, asset);
        let slot = &mut self.slots[index];
        if slot.touched_at != self.current {
            slot.touched_at = self.current;
            self.touched.push((account, asset, index as u32));
        }
        &mut slot.balance
    }

    /// Adds money that came from outside. The caller has checked the supply cap.
    pub(crate) fn deposit(&mut self, account: AccountId, asset: AssetId, amount: Atoms) {
        self.totals[usize::from(asset.0)].deposited += amount;
        self.change(account, asset).available += amount;
    }

    /// Takes out money that leaves. The caller has checked that it is available.
    pub(crate) fn withdraw(&mut self, account: AccountId, asset: AssetId, amount: Atoms) {
        self.totals[usize::from(asset.0)].withdrawn += amount;
        self.change(account, asset).available -= amount;
    }

    /// Holds what is available.
    #[inline(always)]
    pub(crate) fn hold(&mut self, account: AccountId, asset: AssetId, amount: Atoms) {
        let balance = self.change(account, asset);
        balance.available -= amount;
        balance.held += amount;
    }

    /// Frees what is held.
    #[inline(always)]
    pub(crate) fn release(&mut self, account: AccountId, asset: AssetId, amount: Atoms) {
        let balance = self.change(account, asset);
        balance.held -= amount;
        balance.available += amount;
    }

    /// Moves what is available to another account.
    #[inline(always)]
    pub(crate) fn transfer(&mut self, from: AccountId, to: AccountId, asset: AssetId, amount: Atoms) {
        self.change(from, asset).available -= amount;
        self.change(to, asset).available += amount;
    }

    /// Empties the list of changed balances: they have been told.
    #[inline(always)]
    pub(crate) fn forget_touched(&mut self) {
        self.touched.clear();
    }

    /// Puts back what a snapshot holds.
    pub(crate) fn restore(&mut self, account: AccountId, asset: AssetId, balance: Balance) {
        let index = self.index(account, asset);
        self.slots[index].balance = balance;
    }

    /// Puts back what a snapshot holds.
    pub(crate) fn restore_totals(&mut self, asset: AssetId, totals: Totals) {
        self.totals[usize::from(asset.0)] = totals;
    }
}
