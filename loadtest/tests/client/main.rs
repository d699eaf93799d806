//! What speaks to a venue over a socket, against a venue in a box that behaves well or badly on purpose.
#![expect(clippy::unwrap_used, reason = "a helper that fails ends its test")]

mod load;
mod through;
mod venue;
