//! The deterministic state machine of the exchange: `apply(sequence, timestamp, &command, &mut events)`.
//!
//! No clock, no randomness, no file, no socket, no float, no hash-map order: the same commands give the same events,
//! byte for byte, and the same state hash on any machine. One [`Engine`] is one shard, owned by exactly one thread.
#![forbid(unsafe_code)]
#![deny(clippy::float_arithmetic)]

pub mod command;
pub mod event;
pub mod ids;
pub mod market_spec;
pub mod reject;
pub mod units;
