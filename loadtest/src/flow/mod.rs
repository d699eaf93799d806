//! Recorded order flow (`.l3c`) against the exchange, and what was recorded against what comes out.
//!
//! One parser ([`mod@format`]), one judge ([`judge`]) and three ways to the exchange: straight into an engine
//! ([`check::check_direct`]) and as signed orders over a socket of either face ([`through::check_through`],
//! [`through_binary::check_through_binary`]). All judge the same [`judge::Outcome`], so that no way can be kinder than the
//! others.

pub mod adapter;
pub mod check;
pub mod conformance;
pub mod engine_session;
pub mod fills;
pub mod format;
pub mod judge;
pub mod level_book;
pub(crate) mod resting;
pub mod through;
pub mod through_binary;
mod user_stream;
