//! What takes all of an account's orders off without its owner's asking there and then: the dead-man timer, the end of its sessions, a start of the node, and the operators' kill switch.
//!
//! All of them are journaled and bounded like any mass cancel, so a replay takes the same orders off at the same
//! sequence. Halted markets are left alone, as by every mass cancel.

use crate::accounts::Account;
use crate::agenda::{AgendaItem, FamilyProgress};
use crate::command::{AccountBlock, CancelAll, DisconnectMode};
use crate::emitter::Emitter;
use crate::engine::Shard;
use crate::event::Event;
use crate::ids::{AccountId, Reason, Sequence};
use crate::indexed_heap::Entry;
use crate::reject::RejectCode;
use crate::units::Timestamp;

/// Accounts that are looked at for what one touched order costs.
const ACCOUNTS_PER_WORK: u32 = 64;

/// Every order of an account.
const EVERYTHING: CancelAll = CancelAll { market: None, side: None };

impl Shard {
    /// Sets an account's dead-man timer, or takes it off.
    #[inline(never)]
    pub(crate) fn cancel_all_after(
        &mut self,
        now: Timestamp,
        account: AccountId,
        timeout_ms: u32,
        events: &mut Emitter<'_>,
    ) {
        let at = match timeout_ms {
            0 => Timestamp::ZERO,
            _ => Timestamp(now.0.saturating_add(u64::from(timeout_ms) * 1_000_000)),
        };
        self.accounts.account_mut(account).cancel_all_at = at;
        self.set_timer(account, at);
        let report_sequence = self.accounts.next_report(account);
        events.push(Event::CancelAllTimerSet { account, report_sequence, at });
    }

    /// Keeps the account's place among the timers.
    pub(crate) fn set_timer(&mut self, account: AccountId, at: Timestamp) {
        match at {
            Timestamp::ZERO => self.timers.remove(account.0),
            at => self.timers.set(Entry { key: at.0, tie_break: u64::from(account.0), slot: account.0 }),
        }
    }

    /// An account has not set its timer anew in time.
    pub(crate) fn fire_timer(&mut self, origin: Sequence, account: AccountId, events: &mut Emitter<'_>) {
        self.accounts.account_mut(account).cancel_all_at = Timestamp::ZERO;
        self.set_timer(account, Timestamp::ZERO);
        self.start_cancel_all(origin, account, &EVERYTHING, events);
    }

    /// Sets what becomes of an account's orders when it is not connected any more.
    #[inline(never)]
    pub(crate) fn set_disconnect_mode(&mut self, account: AccountId, mode: DisconnectMode, events: &mut Emitter<'_>) {
        self.accounts.account_mut(account).on_disconnect = mode;
        events.push(Event::DisconnectModeChanged { account, mode });
    }

    /// The last session of an account has ended. Refused where the account has not asked for anything then.
    #[inline(never)]
    pub(crate) fn session_ended(
        &mut self,
        origin: Sequence,
        account: AccountId,
        events: &mut Emitter<'_>,
    ) -> Result<(), RejectCode> {
        match self.accounts.account(account).ok_or(RejectCode::AccountUnknown)?.on_disconnect {
            DisconnectMode::Keep => Err(RejectCode::NotAuthorised),
            DisconnectMode::CancelAll => {
                self.start_cancel_all(origin, account, &EVERYTHING, events);
                Ok(())
            }
        }
    }

    /// The node has started anew, so nobody is connected: takes off the orders of those who have asked for it, from the
    /// account in the place `next` on.
    pub(crate) fn cancel_disconnected(&mut self, origin: Sequence, mut next: u32, events: &mut Emitter<'_>) {
        while self.accounts.at(next).is_some() {
            if self.work == 0 || !self.agenda.is_empty() {
                self.agenda.push(AgendaItem::Disconnected(next));
                return;
            }
            self.work -= 1;
            let mut looked_at = (next..next + ACCOUNTS_PER_WORK).map_while(|place| self.accounts.at(place));
            let found = looked_at.position(|(_, account)| account.on_disconnect == DisconnectMode::CancelAll);
            match found.map(|passed| next + u32::try_from(passed).expect("at most 64")) {
                None => next += ACCOUNTS_PER_WORK,
                Some(place) => {
                    let (account, _) = self.accounts.at(place).expect("it was just looked at");
                    self.start_cancel_all(origin, account, &EVERYTHING, events);
                    next = place + 1;
                }
            }
        }
    }

    /// Takes off the orders of a blocked owner's accounts, of which the first `done` are through.
    pub(crate) fn cancel_family(&mut self, origin: Sequence, progress: FamilyProgress, events: &mut Emitter<'_>) {
        let FamilyProgress { owner, mut done } = progress;
        loop {
            let next = self.accounts.family(owner).nth(usize::from(done));
            let Some(account) = next else { return };
            if self.work == 0 || !self.agenda.is_empty() {
                self.agenda.push(AgendaItem::Family(FamilyProgress { owner, done }));
                return;
            }
            done += 1;
            self.start_cancel_all(origin, account, &EVERYTHING, events);
        }
    }

    /// The node has started anew: markets that are guarded take cancels only, until the node lets them go back. The first
    /// epoch ends the genesis phase and is no restart.
    pub(crate) fn close_for_restart(&mut self, epoch: u32, events: &mut Emitter<'_>) {
        if epoch == 1 {
            return;
        }
        let reason = Reason::new("restart").expect("a short text");
        for market in &mut self.markets {
            if market.close_for_restart() {
                // Each stands for an order in the bound of the command's events.
                self.work = self.work.saturating_sub(1);
                let (id, state, feed_sequence) = (market.spec.market, market.state, market.next_feed());
                events.push(Event::MarketStateChanged { market: id, state, reason, feed_sequence });
            }
        }
    }

    /// Blocks an account and takes its orders off, or lets it trade again.
    pub(crate) fn block_account(
        &mut self,
        origin: Sequence,
        account: AccountId,
        block: AccountBlock,
        events: &mut Emitter<'_>,
    ) -> Result<(), RejectCode> {
        self.accounts.account(account).filter(|_| account != AccountId(0)).ok_or(RejectCode::AccountUnknown)?;
        self.accounts.account_mut(account).block = block;
        events.push(Event::AccountBlockChanged { account, block });
        match block {
            AccountBlock::None => {}
            // Of an owner all accounts, of a sub-account only itself.
            AccountBlock::Blocked if self.accounts.owner_of(account) == account => {
                self.cancel_family(origin, FamilyProgress { owner: account, done: 0 }, events);
            }
            AccountBlock::Blocked => self.start_cancel_all(origin, account, &EVERYTHING, events),
        }
        Ok(())
    }

    /// Whether the account may do more than take orders off.
    #[inline(always)]
    pub(crate) fn check_not_blocked(&self, account: AccountId) -> Result<(), RejectCode> {
        let is_blocked = |known: &Account| known.block == AccountBlock::Blocked;
        let blocked = self.accounts.account(account).is_some_and(|known| {
            let is_sub_account = known.parent != AccountId(0);
            is_blocked(known) || (is_sub_account && self.accounts.account(known.parent).is_some_and(is_blocked))
        });
        match blocked {
            true => Err(RejectCode::AccountBlocked),
            false => self.check_not_leaving(account),
        }
    }
}
