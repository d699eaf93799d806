//! The deterministic state machine of the exchange: `apply(sequence, timestamp, &command, &mut events)`.
//!
//! No clock, no randomness, no file, no socket, no float, no hash-map order: the same commands give the same events,
//! byte for byte, and the same state hash on any machine. One [`Engine`] is one shard, owned by exactly one thread.
//! Of the standard library it knows only what needs no operating system, so it runs wherever a replay may be wanted: in a
//! browser, or inside of a proof.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), no_std)]
#![deny(clippy::float_arithmetic)]

extern crate alloc;

mod account_request;
mod accounts;
mod admin_request;
mod administration;
mod agenda;
mod allowance;
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
mod fees;
mod forced_withdrawal;
mod frame;
pub mod ids;
mod index_table;
mod indexed_heap;
mod key_limits;
mod ladder;
mod market;
pub mod market_spec;
mod matching;
mod nonces;
mod occupancy;
mod order;
mod order_arena;
mod order_event;
mod order_request;
mod prefetch;
mod price_level;
mod price_time_book;
mod quarantine;
mod quotes;
pub mod reject;
mod replace;
mod safety;
mod self_trade;
mod shares;
mod snapshot;
mod sub_accounts;
mod taker;
mod trading;
mod triggers;
pub mod units;
mod validate;
pub mod wire;

pub use accounts::MAX_SUB_ACCOUNTS;
pub use agenda::MAX_TOUCHED_ORDERS;
pub use balances::{Balance, SUPPLY_CAP};
pub use book_view::{BookView, LevelView, OrderView};
pub use engine::Engine;
pub use order_arena::{OrderHandle, RestingOrder};
pub use price_time_book::PriceTimeBook;
pub use trading::MAX_RECEIVE_WINDOW_MS;
pub use validate::MAX_OPEN_ORDERS;
