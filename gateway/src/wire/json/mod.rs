//! JSON as the WebSocket API speaks it.

pub mod envelope;
pub mod response;
