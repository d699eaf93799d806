//! What operators say: the plain data of their decisions, with on whose word each rests and why.
//!
//! Part of [`crate::command`], where every name of this file stands too. Who may decide what is looked at in
//! `administration`; any values have bytes.

#[cfg(doc)]
use crate::command::Genesis;
use crate::command::{EvidenceGrade, MarketState};
use crate::ids::{AccountId, FeeTier, KeyId, MarketId, Reason, Sequence};
use crate::market_spec::{AssetSpec, FeeTable, MarketSpec};
use crate::units::Timestamp;

/// An operator's decision, with who took it and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminCommand {
    /// Who.
    pub authority: AdminAuthority,
    /// What.
    pub action: AdminAction,
    /// Why.
    pub reason: Reason,
}

/// On whose word an operator's decision rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminAuthority {
    /// The configuration that the exchange starts with; only before the first epoch.
    Genesis,
    /// A signature by an operator's key.
    Role {
        /// Index into [`Genesis::role_keys`].
        role: u8,
        /// One more than the role's last.
        nonce: u64,
    },
    /// Two operators' signatures over the same decision: what it takes where money is touched.
    TwoRoles {
        /// Index into [`Genesis::role_keys`].
        role: u8,
        /// One more than the role's last.
        nonce: u64,
        /// Another index.
        second_role: u8,
        /// One more than that role's last.
        second_nonce: u64,
    },
    /// The node itself, for its own safety: may only close markets, and let those go back that its own start has
    /// closed; never open another one or move money.
    Node,
}

/// What an operator may decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminAction {
    /// Adds an asset.
    ListAsset(AssetSpec),
    /// Adds a market in the state [`MarketState::PreOpen`].
    ListMarket(MarketSpec),
    /// Opens, halts or restricts a market.
    SetMarketState {
        /// Which.
        market: MarketId,
        /// To what.
        state: MarketState,
    },
    /// Changes the fees of orders accepted from here on; where any of them rises, from the end of the notice on.
    SetFees {
        /// Which market.
        market: MarketId,
        /// All of its tiers.
        fees: FeeTable,
    },
    /// Changes the tier of an account and its sub-accounts, for orders accepted from here on; where any fee rises by it, from
    /// the end of the notice on.
    SetFeeTier {
        /// Whose; no sub-account.
        account: AccountId,
        /// Which.
        tier: FeeTier,
    },
    /// The record in front of this one is no command: it stopped the engine, and every replay passes over it.
    Quarantine {
        /// That record.
        sequence: Sequence,
    },
    /// Binds a key to an account: live at once in the genesis phase, pending until the key signs afterwards.
    RegisterKey(RegisterKey),
    /// Ends a key for ever.
    RevokeKey {
        /// Which.
        key: KeyId,
    },
    /// Sets what evidence the account's requests need.
    SetAccountPolicy {
        /// Whose.
        account: AccountId,
        /// The weakest evidence that is enough.
        minimum_grade: EvidenceGrade,
    },
    /// Sets how far an order's price may be from the market's: from the last price, before the first trade from the best.
    SetPriceBand {
        /// Which market.
        market: MarketId,
        /// In millionths, at most 1,000,000; 0 for any price.
        band: u32,
    },
    /// Sets what a start of the node does to a market.
    SetRestartMode {
        /// Which market.
        market: MarketId,
        /// What.
        mode: RestartMode,
    },
    /// The kill switch: blocks an account and takes all of its orders off, or lets it trade again.
    BlockAccount {
        /// Whose.
        account: AccountId,
        /// Whether it may trade.
        block: AccountBlock,
    },
}

/// What a start of the node does to a market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum RestartMode {
    /// Nothing.
    #[default]
    Stay = 0,
    /// A market where orders rest takes cancels only; the node lets it go back by way of [`MarketState::PostOnly`].
    Guarded = 1,
}

/// Whether an account may trade. Its money, its keys and its cancels are not touched by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum AccountBlock {
    /// It may.
    #[default]
    None = 0,
    /// It may only take orders off.
    Blocked = 1,
}

/// A trading key's registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterKey {
    /// The account that it may trade for.
    pub account: AccountId,
    /// The Ed25519 public key. Once bound it is never bound again.
    pub public_key: [u8; 32],
    /// The account's last key epoch + 1.
    pub epoch: u32,
    /// When it ends; 0 for never.
    pub expires_at: Timestamp,
    /// Requests by digest that the key may have outstanding at once (its rate × the window it uses).
    pub digest_capacity: u32,
}
