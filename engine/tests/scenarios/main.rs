//! What the exchange does, in a trader's words: books drawn as `bid | price | ask`, answers told in a line.

#[path = "../support/mod.rs"]
mod support;

mod bands;
mod cancels;
mod chain;
mod deadlines;
mod fees;
mod frames;
mod funds;
mod icebergs;
mod keys;
mod known_bugs;
mod markets;
mod orders;
mod replace;
mod replay;
mod safety;
mod scopes;
mod self_trade;
mod triggers;
