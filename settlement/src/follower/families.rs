//! Sub-accounts folded into their owners: for the chain an owner has one leaf an asset, however he divides his money.
//!
//! The contract allots account numbers to owners and knows no others, so a leaf of a sub-account could be claimed by
//! nobody. Only families are kept here, each member's last balance; everybody else passes through. Bounds: 17 members a
//! family, an entry for each balance of a member.

use std::collections::HashMap;

use lakh_engine::ids::{AccountId, AssetId};
use lakh_engine::units::Atoms;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Families {
    /// By sub-account: its owner's account.
    owners: HashMap<AccountId, AccountId>,
    /// By owner's account: itself and its sub-accounts.
    members: HashMap<AccountId, Vec<AccountId>>,
    /// What each member has itself.
    balances: HashMap<(AccountId, AssetId), Atoms>,
}

impl Families {
    /// Takes in a new sub-account. `leaves` are what the owner's account has, of which nobody else had a part so far where
    /// it is the first one.
    pub(super) fn open(
        &mut self,
        account: AccountId,
        owner: AccountId,
        leaves: impl Iterator<Item = (AssetId, Atoms)>,
    ) {
        let balances = &mut self.balances;
        let members = self.members.entry(owner).or_insert_with(|| {
            balances.extend(leaves.map(|(asset, leaf)| ((owner, asset), leaf)));
            vec![owner]
        });
        members.push(account);
        self.owners.insert(account, owner);
    }

    /// The leaf that an account's new balance belongs to, and what that leaf has now.
    pub(super) fn fold(&mut self, account: AccountId, asset: AssetId, balance: Atoms) -> (AccountId, Atoms) {
        let owner = self.owners.get(&account).copied().unwrap_or(account);
        let Some(members) = self.members.get(&owner) else { return (account, balance) };
        self.balances.insert((account, asset), balance);
        let of = |member: &AccountId| self.balances.get(&(*member, asset)).map_or(0, |balance| balance.0);
        (owner, Atoms(members.iter().map(of).sum()))
    }
}
