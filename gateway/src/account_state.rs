//! Balances by account: a read model fed by events only.
//!
//! Bounded by the engine's tables: its accounts times its assets (at most 64).

use lakh_engine::ids::{AccountId, AssetId};
use lakh_engine::units::{Atoms, Timestamp};
use lakh_engine::wire::{DecodeError, Wire, wire_struct};

use crate::id_map::IdMap;
use crate::saved::{put_each, sorted, take_each};

wire_struct!(Balance { available, held });

/// What an account has of one asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Free to use.
    pub available: Atoms,
    /// Held for open orders.
    pub held: Atoms,
}

impl Balance {
    /// True where there is nothing at all.
    pub const fn is_zero(&self) -> bool {
        self.available.is_zero() && self.held.is_zero()
    }
}

/// What one account has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountBalances {
    balances: Vec<Balance>,
    updated_at: Timestamp,
}

impl AccountBalances {
    /// What there is of an asset.
    pub fn balance(&self, asset: AssetId) -> Balance {
        self.balances.get(usize::from(asset.0)).copied().unwrap_or_default()
    }

    /// When a balance last changed; 0 for never.
    pub const fn updated_at(&self) -> Timestamp {
        self.updated_at
    }
}

/// All accounts' balances.
#[derive(Debug, Default)]
pub struct AccountState {
    accounts: IdMap<AccountId, AccountBalances>,
}

impl AccountState {
    /// No accounts.
    pub fn new() -> Self {
        Self::default()
    }

    /// A balance has this value.
    pub fn change(&mut self, account: AccountId, asset: AssetId, balance: Balance, timestamp: Timestamp) {
        let account = self.accounts.entry(account).or_default();
        let index = usize::from(asset.0);
        if account.balances.len() <= index {
            account.balances.resize(index + 1, Balance::default());
        }
        account.balances[index] = balance;
        account.updated_at = timestamp;
    }

    /// What the account has; nothing for one that never had anything.
    pub fn balances(&self, account: AccountId) -> AccountBalances {
        self.accounts.get(&account).cloned().unwrap_or_default()
    }

    /// What the account has of one asset.
    pub fn balance(&self, account: AccountId, asset: AssetId) -> Balance {
        self.accounts.get(&account).map(|account| account.balance(asset)).unwrap_or_default()
    }

    /// Appends all of it, for a snapshot.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        let Self { accounts } = self;
        put_each(sorted(accounts).into_iter(), out, |(account, AccountBalances { balances, updated_at }), out| {
            (account, *updated_at).encode(out);
            put_each(balances.iter(), out, Wire::encode);
        });
    }

    /// Reads what [`Self::save`] wrote.
    pub(crate) fn load(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let accounts = take_each(input, |input| {
            let (account, updated_at) = Wire::decode(input)?;
            Ok((account, AccountBalances { balances: take_each(input, Wire::decode)?, updated_at }))
        })?;
        Ok(Self { accounts: accounts.into_iter().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_value_of_each_balance() {
        let mut state = AccountState::new();
        let (account, other) = (AccountId(1), AccountId(2));
        let first = Balance { available: Atoms(5), held: Atoms(0) };
        let second = Balance { available: Atoms(2), held: Atoms(3) };
        state.change(account, AssetId(3), first, Timestamp(1));
        state.change(account, AssetId(3), second, Timestamp(2));
        assert_eq!(state.balance(account, AssetId(3)), second);
        assert!(state.balance(account, AssetId(2)).is_zero());
        assert!(state.balance(account, AssetId(9)).is_zero());
        assert!(state.balance(other, AssetId(3)).is_zero());
        assert_eq!(state.balances(account).updated_at(), Timestamp(2));
        assert_eq!(state.balances(other), AccountBalances::default());
    }
}
