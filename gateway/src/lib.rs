//! The way in and the way out: sessions, wire formats, signatures, limits; read models, reports and public streams.
#![forbid(unsafe_code)]

pub mod account_state;
pub mod account_trades;
pub mod api_error;
pub mod auth;
mod binary;
pub mod binary_client;
pub mod byte_outbox;
pub mod client;
pub mod counters;
pub mod decimal;
pub mod directory;
pub mod exchange_info;
pub mod finality;
pub mod hand_over;
mod id_map;
pub mod journal_feed;
pub mod key_budgets;
pub mod limits;
pub mod market_data;
pub mod order_state;
pub mod presence;
pub mod proofs;
pub mod publisher;
pub mod reports;
pub mod request;
mod rest;
mod saved;
pub mod server;
pub mod session;
pub mod signal;
pub mod stream;
pub mod tls;
pub mod verifier;
mod websocket;
pub mod wire;
pub mod wire_encode;
