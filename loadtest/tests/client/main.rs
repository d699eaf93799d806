//! What speaks to a venue over a socket, against a venue in a box that behaves well or badly on purpose.

mod load;
mod through;
mod venue;
