//! Load and truth: replays of recorded order flow against the engine or a running venue, and the load generator.
//!
//! [`flow`] asks whether the exchange is *right*: each recorded fill, reject, best price and depth must come out.
//! [`load`] asks how *fast* it is, and refuses to name a number unless every request was answered exactly once.
//!
//! Invariants: no figure without its conditions; no figure from a run in which a check failed. Prices and quantities
//! are integers throughout. The venue is only known by its public faces: signed JSON over a WebSocket, and SBE over TCP.
#![forbid(unsafe_code)]

pub mod client;
pub mod cpu;
pub mod error;
pub mod flow;
pub mod html;
pub mod load;
pub mod market_text;
pub mod null_venue;
pub mod random;
pub mod recorder;
pub mod report;
pub mod scan;
pub mod scratch_venue;
pub mod setup;
pub mod soak;
mod venue_metrics;
pub mod workload;
