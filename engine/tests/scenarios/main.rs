//! What the exchange does, in a trader's words: books drawn as `bid | price | ask`, answers told in a line.

#[path = "../support/mod.rs"]
mod support;

mod allowances;
mod amendments;
mod attacks;
mod bands;
mod cancels;
mod chain;
mod deadlines;
mod fee_tiers;
mod fees;
mod frames;
mod funds;
mod icebergs;
mod key_limits;
mod keys;
mod known_bugs;
mod markets;
mod orders;
mod quotes;
mod replace;
mod replay;
mod roles;
mod safety;
mod scopes;
mod self_trade;
mod shares;
mod sub_accounts;
mod triggers;
