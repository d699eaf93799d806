//! Work that one command began and may not finish: it is state, and journaled `Continue`s work it off in bounded steps.
//!
//! While the agenda holds anything, only `Continue` is taken, so nothing can come between the parts of one operation.
//! Bound: the capacity of the genesis, and four for the parts of one operation.

use alloc::collections::VecDeque;

use crate::command::Side;
use crate::forced_withdrawal::ForcedProgress;
use crate::ids::{AccountId, MarketId, OrderId, Sequence};
use crate::units::Timestamp;

/// Orders that one command may touch: fills, and orders taken off.
pub const MAX_TOUCHED_ORDERS: u32 = 1_024;

/// Items that one operation may put here beside its own: a cascade in front of its frame, a mass cancel in front of the
/// deadlines that are still due.
const PARTS: usize = 4;

/// An operation with more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AgendaItem {
    CancelAll(CancelAllProgress),
    /// What is due at that time.
    AdvanceTime(Timestamp),
    /// Orders of the accounts that were cut off, from the one in that place on.
    Disconnected(u32),
    /// The frame that the shard keeps; there is never more than one, since nothing is taken while it is not done.
    Frame,
    /// Orders of that market whose trigger price was reached.
    Triggers(MarketId),
    /// Orders of an owner's accounts.
    Family(FamilyProgress),
    /// Orders that are in the way of a forced withdrawal.
    Forced(ForcedProgress),
}

/// How far an owner's accounts have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FamilyProgress {
    pub(crate) owner: AccountId,
    /// Accounts that are through, his own first.
    pub(crate) done: u8,
}

/// How far a mass cancel has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CancelAllProgress {
    pub(crate) account: AccountId,
    /// The command that began it.
    pub(crate) origin: Sequence,
    /// The market that is worked on.
    pub(crate) market: MarketId,
    /// Whether the markets behind it follow.
    pub(crate) all_markets: u8,
    pub(crate) side: Option<Side>,
    /// The last order that was looked at and left alone, since it is on the other side.
    pub(crate) after: Option<OrderId>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Agenda {
    items: VecDeque<AgendaItem>,
    capacity: usize,
}

impl Agenda {
    pub(crate) fn new(capacity: u32) -> Self {
        let capacity = capacity as usize + PARTS;
        Self { items: VecDeque::with_capacity(capacity), capacity }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.items.len() == self.capacity
    }

    pub(crate) fn push(&mut self, item: AgendaItem) {
        assert!(!self.is_full(), "an operation that may need the agenda checks for room first");
        self.items.push_back(item);
    }

    /// What is next, taken out.
    pub(crate) fn pop(&mut self) -> Option<AgendaItem> {
        self.items.pop_front()
    }

    /// Gives everything up.
    pub(crate) fn clear(&mut self) {
        self.items.clear();
    }

    /// Puts back in front what is not finished.
    pub(crate) fn push_front(&mut self, item: AgendaItem) {
        self.items.push_front(item);
    }

    pub(crate) fn items(&self) -> impl ExactSizeIterator<Item = &AgendaItem> {
        self.items.iter()
    }
}
