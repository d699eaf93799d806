//! What an owner says of his accounts and keys: the plain data of the operations that bound keys and move money between
//! an owner's accounts.
//!
//! Part of [`crate::command`], where every name of this file stands too.

use crate::command::EvidenceGrade;
use crate::ids::{AccountId, AssetId, MarketId};
use crate::units::{Atoms, Timestamp};

/// What a key may do beside logging on, activating itself and ending itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyScope {
    /// Kinds of operations: a sum of this type's constants.
    pub operations: u8,
    /// In one market, or in all. A key of one market asks for nothing that concerns others.
    pub market: Option<MarketId>,
    /// For one of its owner's accounts, or for all. A key of one account asks for nothing that concerns others.
    pub account: Option<AccountId>,
}

impl KeyScope {
    /// New orders.
    pub const PLACE: u8 = 1;
    /// Less of an order; more of it, or another price, is a new order and a cancel.
    pub const AMEND: u8 = 2;
    /// Cancels of one or all orders, and the dead-man timer.
    pub const CANCEL: u8 = 4;
    /// The account itself: self-trade groups, what a disconnect does, sub-accounts and what is moved between them, other
    /// keys' scopes and limits.
    pub const ACCOUNT: u8 = 8;
    /// Everything.
    pub const EVERYTHING: Self = Self { operations: 15, market: None, account: None };

    /// Whether all that `other` may do may be done with this scope too.
    #[inline(always)]
    pub fn covers(&self, other: &Self) -> bool {
        other.operations & !self.operations == 0
            && (self.market.is_none() || self.market == other.market)
            && (self.account.is_none() || self.account == other.account)
    }
}

/// How much a key may do. What it bounds is the harm of a key that was stolen: how much it trades, and how badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLimits {
    /// Price × quantity of all orders that are accepted in a day of UTC, whether they trade or not; 0 for any.
    pub notional_per_day: Atoms,
    /// What that is counted in. With a limit the key trades in markets of this quote asset only; else 0.
    pub quote: AssetId,
    /// How much worse than the market's an order's price may be, in millionths of it, at most 1,000,000: above the last
    /// price for a buy, below it for a sell, before the first trade against the best opposite price. 0 for any.
    pub price_band: u32,
}

impl KeyLimits {
    /// None at all.
    pub const NONE: Self = Self { notional_per_day: Atoms::ZERO, quote: AssetId(0), price_band: 0 };
}

/// What an owner lets be asked for him on weaker evidence than his account demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvidenceAllowance {
    /// The weakest that is taken: [`EvidenceGrade::Delegated`] or [`EvidenceGrade::HeaderKeyed`].
    pub grade: EvidenceGrade,
    /// Until when: ahead, by at most 366 days.
    pub until: Timestamp,
    /// Orders may go to markets of this quote asset.
    pub quote: AssetId,
    /// Price × quantity of all such orders together, accepted ones; at least 1. What is left of it, in the state.
    pub notional: Atoms,
}

impl EvidenceAllowance {
    /// Nothing is allowed.
    pub const NONE: Self =
        Self { grade: EvidenceGrade::Native, until: Timestamp::ZERO, quote: AssetId(0), notional: Atoms::ZERO };
}

/// Money on its way to another account of the same owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// To which.
    pub to: AccountId,
    /// Of what.
    pub asset: AssetId,
    /// How much: at least 1, at most what is available.
    pub amount: Atoms,
}

/// What becomes of an account's orders when it is not connected any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum DisconnectMode {
    /// They stay.
    #[default]
    Keep = 0,
    /// They go: when its last session ends, and first of all when the node starts anew.
    CancelAll = 1,
}
