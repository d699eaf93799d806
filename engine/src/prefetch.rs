//! What the next commands will touch, asked of memory before they come.
//!
//! A venue's tables are larger than the caches, and between two orders the gateway has used those for its own: a command then
//! waits for one line after the other, since it learns from each where the next one is. Whoever has several commands at hand
//! (the sequencer, a replay) shows them here first. What their numbers name is asked for first, for all of them; then what
//! stands there; then what that names: so many lines are on their way together, and a command finds them.
//!
//! Invariants: nothing changes, and nothing depends on it: a line is asked for or it is not. A command may name what does not
//! exist; every index is looked up with its bound. A frame asks for what its own operations name by itself
//! ([`crate::frame`]). Bounds: [`Engine::PREFETCH_MAX`] commands at once, a few dozen lines each. Where a target has no such
//! instruction, or no operating system, it does nothing.

use crate::command::{Command, Operation, OrderReference, PlaceOrder, ReplayGuard, SignedCommand};
use crate::engine::{Engine, Shard};
use crate::ids::AccountId;
use crate::market::Market;

/// Asks memory for the line where a value begins, if there is one, and does not wait for it.
#[inline(always)]
pub(crate) fn ask_for<T>(value: Option<&T>) {
    if let Some(value) = value {
        ask(value);
    }
}

#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(target_os = "none")))]
#[inline(always)]
fn ask<T>(value: &T) {
    prefetch_index::prefetch_index(core::slice::from_ref(value), 0);
}

#[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(target_os = "none"))))]
#[inline(always)]
const fn ask<T>(_value: &T) {}

impl Engine {
    /// The most commands that are looked at together: what they touch fits the nearest cache.
    pub const PREFETCH_MAX: usize = 16;

    /// Asks memory for what the commands will touch that come next, in their order; of more than [`Self::PREFETCH_MAX`] for
    /// what the first ones do. Changes nothing, whatever they are: who calls it or does not has the same engine.
    #[inline(never)]
    pub fn prefetch<'a>(&self, commands: impl Iterator<Item = &'a Command>) {
        let Some(shard) = &self.shard else { return };
        let mut named = [None; Self::PREFETCH_MAX];
        let mut digests = 0;
        for (place, command) in named.iter_mut().zip(commands) {
            *place = asked_by(command).and_then(|signed| shard.prefetch_named(signed));
            digests += usize::from(uses_digest(command));
        }
        named.iter_mut().flatten().for_each(Named::prefetch_found);
        shard.digests.prefetch_oldest(digests);
        named.iter().flatten().for_each(|named| shard.prefetch_beside(named));
    }
}

/// What one trader asks for.
const fn asked_by(command: &Command) -> Option<&SignedCommand> {
    match command {
        Command::Signed(signed) => Some(signed),
        _ => None,
    }
}

const fn uses_digest(command: &Command) -> bool {
    let guard = match command {
        Command::Signed(signed) => &signed.replay_guard,
        Command::Frame(frame) => &frame.replay_guard,
        _ => return false,
    };
    matches!(guard, ReplayGuard::Digest { .. })
}

/// What an operation names in its market, and what of it is known by now.
#[derive(Clone, Copy)]
struct Named<'a> {
    market: &'a Market,
    account: AccountId,
    /// The order that it is about, with its name's hash.
    target: Option<(&'a OrderReference, u32)>,
    placed: Option<&'a PlaceOrder>,
    /// Where the orders lie that it will most probably take off or trade with.
    slots: [Option<u32>; 2],
}

impl Named<'_> {
    /// Asks for what the tables name that [`Shard::prefetch_named`] has asked for.
    fn prefetch_found(&mut self) {
        let book = &self.market.book;
        let target = self.target.and_then(|(target, hash)| book.candidate(target, hash));
        let met = self.placed.and_then(|placed| book.first_met(placed));
        self.slots = [target, met];
        self.slots.iter().flatten().for_each(|slot| book.prefetch_slot(*slot));
        if let Some(placed) = self.placed {
            book.prefetch_last(self.account, placed);
        }
    }
}

impl Shard {
    /// Asks for what the command itself says.
    fn prefetch_named<'a>(&'a self, signed: &'a SignedCommand) -> Option<Named<'a>> {
        let account = signed.account;
        self.accounts.prefetch(account, signed.key);
        if let ReplayGuard::Digest { digest, .. } = &signed.replay_guard {
            self.digests.prefetch(signed.key, digest);
        }
        let (market, target, placed) = match &signed.operation {
            Operation::PlaceOrder(order) => (order.market, None, Some(order)),
            Operation::CancelOrder(cancel) => (cancel.market, Some(&cancel.target), None),
            Operation::AmendOrder(amend) => (amend.market, Some(&amend.target), None),
            Operation::ReplaceOrder(replace) => (replace.order.market, Some(&replace.target), Some(&replace.order)),
            _ => return None,
        };
        let market = self.markets.get(usize::from(market.0))?;
        self.balances.prefetch(account, market.spec.base);
        self.balances.prefetch(account, market.spec.quote);
        let target = target.map(|target| (target, market.book.prefetch_name(account, target)));
        if let Some(placed) = placed {
            market.book.prefetch_places(account, placed);
        }
        Some(Named { market, account, target, placed, slots: [None; 2] })
    }

    /// Asks for what stands beside the orders that [`Named::prefetch_found`] has asked for, and belongs to whose they are.
    fn prefetch_beside(&self, named: &Named<'_>) {
        for slot in named.slots.iter().flatten() {
            let owner = named.market.book.prefetch_neighbours(*slot);
            if owner != named.account {
                let spec = &named.market.spec;
                self.accounts.prefetch_account(owner);
                self.balances.prefetch(owner, spec.base);
                self.balances.prefetch(owner, spec.quote);
            }
        }
    }
}
