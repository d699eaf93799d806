//! Recorded order flow (`.l3c`) against the exchange, and what was recorded against what comes out.
//!
//! One parser ([`mod@format`]), one judge ([`judge`]) and two ways to the exchange: straight into an engine
//! ([`check::check_direct`]) and as signed orders over a socket ([`through::check_through`]). Both judge the same
//! [`judge::Outcome`], so that neither way can be kinder than the other.

pub mod adapter;
pub mod check;
pub mod conformance;
pub mod engine_session;
pub mod fills;
pub mod format;
pub mod judge;
pub mod level_book;
pub mod through;
mod user_stream;
