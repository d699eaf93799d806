//! Bytes on the wire: what comes in is scanned without trust, what goes out is written without intermediate values.

pub mod json;
pub mod sbe;
