//! The deterministic state machine of the exchange: `apply(sequence, timestamp, &command, &mut events)`.
//!
//! No clock, no randomness, no file, no socket, no float, no hash-map order: the same commands give the same events,
//! byte for byte, and the same state hash on any machine. One [`Engine`] is one shard, owned by exactly one thread.
#![forbid(unsafe_code)]
#![deny(clippy::float_arithmetic)]

mod accounts;
mod administration;
mod agenda;
mod balances;
mod book;
mod book_side;
mod book_view;
mod cancel;
mod chain_queue;
pub mod codec;
pub mod command;
mod deadlines;
mod digests;
mod emitter;
mod engine;
pub mod event;
mod event_digest;
mod forced_withdrawal;
mod frame;
pub mod ids;
mod index_table;
mod indexed_heap;
mod ladder;
mod market;
pub mod market_spec;
mod matching;
mod nonces;
mod occupancy;
mod order;
mod order_arena;
mod order_request;
mod price_level;
mod price_time_book;
pub mod reject;
mod replace;
mod safety;
mod self_trade;
mod snapshot;
mod taker;
mod trading;
mod triggers;
pub mod units;
mod validate;
mod wire;

pub use agenda::MAX_TOUCHED_ORDERS;
pub use balances::{Balance, SUPPLY_CAP};
pub use book_view::{BookView, LevelView, OrderView};
pub use engine::Engine;
pub use order_arena::{OrderHandle, RestingOrder};
pub use price_time_book::PriceTimeBook;
pub use trading::MAX_RECEIVE_WINDOW_MS;
pub use validate::MAX_OPEN_ORDERS;
