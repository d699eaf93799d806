//! Accounts under an owner's account: orders, money and reports of their own, and nothing of it for anybody else to see.
//!
//! A desk or a strategy gets one so that its orders and its money do not mix with the others'. For the chain there is only
//! the owner: deposits come to his account and withdrawals leave from it, and settlement adds the sub-accounts' money to
//! his leaf. In between money is moved by the owner's signed word, never out of his hands.

use crate::accounts::Account;
use crate::command::{EvidenceGrade, Transfer};
use crate::emitter::Emitter;
use crate::engine::{Reject, Shard};
use crate::event::{Event, Transferred};
use crate::ids::AccountId;
use crate::reject::RejectCode;
use crate::units::Atoms;

impl Shard {
    /// Opens another account under the asking one, which must be an owner's.
    #[inline(never)]
    pub(crate) fn open_sub_account(&mut self, parent: AccountId, events: &mut Emitter<'_>) -> Result<(), Reject> {
        let known = self.accounts.owner_account(parent).filter(|_| parent != AccountId(0));
        let owner = known.ok_or(RejectCode::OtherOwner)?.owner;
        self.accounts.check_sub_account(parent)?;
        // What evidence it needs is its owner's to say, so its own asks for none.
        let minimum_grade = EvidenceGrade::Delegated;
        let account = self.accounts.open_sub_account(Account { owner, parent, minimum_grade, ..Account::default() });
        events.push(Event::SubAccountOpened { account, parent });
        Ok(())
    }

    /// Moves what is available to another account of the same owner.
    #[inline(never)]
    pub(crate) fn transfer(
        &mut self,
        from: AccountId,
        transfer: &Transfer,
        events: &mut Emitter<'_>,
    ) -> Result<(), Reject> {
        let Transfer { to, asset, amount } = *transfer;
        let together =
            self.accounts.account(to).is_some() && self.accounts.owner_of(from) == self.accounts.owner_of(to);
        if !together || from == to {
            return Err(RejectCode::OtherOwner.into());
        }
        self.assets.get(usize::from(asset.0)).ok_or(RejectCode::AssetUnknown)?;
        if amount == Atoms::ZERO {
            return Err(RejectCode::AmountOutOfRange.into());
        }
        if self.balances.balance(from, asset).available < amount {
            return Err(RejectCode::InsufficientBalance.into());
        }
        self.balances.transfer(from, to, asset, amount);
        events.push(Event::Transferred(Transferred {
            from,
            to,
            asset,
            amount,
            from_report_sequence: self.accounts.next_report(from),
            to_report_sequence: self.accounts.next_report(to),
        }));
        Ok(())
    }
}
