//! JSON of everything that leaves: answers, private reports, public messages. Pure functions into a byte buffer.
//!
//! Field names and values are those that the public API's stock clients know; our own fields stand behind them.
//! Prices, quantities and amounts are texts with their market's or asset's places; times are milliseconds.

pub mod account;
pub mod answers;
pub mod json;
pub mod market;
pub mod names;
pub mod public;
pub mod reports;
