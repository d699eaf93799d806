//! The way in and the way out: sessions, wire formats, signatures, limits; read models, reports and public streams.
#![forbid(unsafe_code)]

pub mod api_error;
pub mod decimal;
pub mod directory;
pub mod hand_over;
