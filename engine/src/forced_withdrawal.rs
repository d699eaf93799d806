//! Forced withdrawals: an owner takes all of an asset out through the contract's queue, whatever orders it is in.
//!
//! The contract lets anybody stop the venue where the batch that consumes such an entry leaves the account anything of the
//! asset. So the account's orders in that asset's markets are taken off, halted markets included, as many at once as one
//! command may and the rest by the agenda, in which nothing comes in between; then all of it is paid; and until the batch
//! that covers the entry is sealed the account may take orders off only, so that nothing can be credited again.
//!
//! Bound: one place for each account that has left since the last batch; a batch empties the list.

use crate::agenda::AgendaItem;
use crate::command::{ChainEntry, Transfer};
use crate::emitter::Emitter;
use crate::engine::Shard;
use crate::event::{CancelReason, Completion, Event};
use crate::ids::{AccountId, AssetId, MarketId, Sequence};
use crate::reject::RejectCode;
use crate::trading::VENUE;
use crate::units::Atoms;

/// How far a forced withdrawal has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ForcedProgress {
    pub(crate) account: AccountId,
    pub(crate) asset: AssetId,
    /// The command that began it.
    pub(crate) origin: Sequence,
    /// Accounts of the owner that are through, his own first.
    pub(crate) done: u8,
    /// The market that is worked on.
    pub(crate) market: MarketId,
}

/// An account that was paid out, and by which record: it may take orders off only until a batch covers that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaving {
    pub(crate) account: AccountId,
    pub(crate) since: Sequence,
}

impl Shard {
    /// Takes the queue's entry. Refused where there is no such account or asset, which the contract lets nobody ask.
    pub(crate) fn force_out(
        &mut self,
        origin: Sequence,
        entry: &ChainEntry,
        events: &mut Emitter<'_>,
    ) -> Result<(), RejectCode> {
        let ChainEntry { account, asset, .. } = *entry;
        self.assets.get(usize::from(asset.0)).ok_or(RejectCode::AssetUnknown)?;
        if account == VENUE || self.accounts.account(account).is_none() {
            return Err(RejectCode::WrongAccount);
        }
        let leaving = Leaving { account, since: origin };
        match self.leaving.binary_search_by_key(&account, |leaving| leaving.account) {
            Ok(place) => self.leaving[place] = leaving,
            Err(place) => self.leaving.insert(place, leaving),
        }
        self.work_on_forced(ForcedProgress { account, asset, origin, done: 0, market: MarketId(0) }, events);
        Ok(())
    }

    /// Takes off as many orders as the command may touch; when none is left, pays.
    pub(crate) fn work_on_forced(&mut self, mut progress: ForcedProgress, events: &mut Emitter<'_>) {
        let ForcedProgress { account, asset, origin, .. } = progress;
        let mut canceled = 0;
        loop {
            let member = self.accounts.family(account).nth(usize::from(progress.done));
            let Some(member) = member else { break };
            let Some(market) = self.markets.get(usize::from(progress.market.0)) else {
                (progress.done, progress.market) = (progress.done + 1, MarketId(0));
                continue;
            };
            let trades_it = market.spec.base == asset || market.spec.quote == asset;
            let next = if trades_it { market.book.account_order_after(member, None) } else { None };
            let Some(slot) = next else {
                progress.market.0 += 1;
                continue;
            };
            if self.work == 0 {
                events.push(Event::AgendaProgress { account, origin, canceled, finished: Completion::Pending });
                self.agenda.push_front(AgendaItem::Forced(progress));
                return;
            }
            self.work -= 1;
            self.take_off(progress.market, slot, CancelReason::MassCancel, events);
            canceled += 1;
        }
        if canceled > 0 {
            events.push(Event::AgendaProgress { account, origin, canceled, finished: Completion::Finished });
        }
        self.pay_out(account, asset, events);
    }

    /// Gathers what the owner's accounts have, none of it held any more, and pays it.
    fn pay_out(&mut self, account: AccountId, asset: AssetId, events: &mut Emitter<'_>) {
        for place in 1.. {
            let from = self.accounts.family(account).nth(place);
            let Some(from) = from else { break };
            let amount = self.balances.balance(from, asset).available;
            if amount != Atoms::ZERO {
                let gathered = self.transfer(from, &Transfer { to: account, asset, amount }, events);
                gathered.expect("it is available, and both are the owner's");
            }
        }
        let balance = self.balances.balance(account, asset);
        assert!(balance.held.is_zero(), "only orders in the asset's markets hold it, and those are off");
        if balance.available != Atoms::ZERO {
            let amount = balance.available;
            self.balances.withdraw(account, asset, amount);
            let report_sequence = self.accounts.next_report(account);
            events.push(Event::Withdrawn { account, asset, amount, report_sequence });
        }
    }

    /// Whether the account may do more than take orders off: not between a forced withdrawal and its batch.
    #[inline(always)]
    pub(crate) fn check_not_leaving(&self, account: AccountId) -> Result<(), RejectCode> {
        match self.leaving.is_empty() {
            true => Ok(()),
            false => self.check_not_among_leaving(account),
        }
    }

    fn check_not_among_leaving(&self, account: AccountId) -> Result<(), RejectCode> {
        let owner = self.accounts.owner_of(account);
        let found = self.leaving.binary_search_by_key(&owner, |leaving| leaving.account);
        if found.is_ok() { Err(RejectCode::AccountBlocked) } else { Ok(()) }
    }

    /// A batch was sealed: who left in it is done.
    pub(crate) fn forget_left(&mut self, last_sealed: Sequence) {
        self.leaving.retain(|leaving| leaving.since > last_sealed);
    }
}
