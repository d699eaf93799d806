//! Tables by numbers that the engine has given: orders, accounts, keys.
//!
//! The standard hash holds out against clients who choose keys that collide; nobody chooses these, so a hash that takes a
//! tenth of the time does. Tables by names that clients choose keep the standard one.

use std::collections::HashMap;

/// A table by such a number.
pub(crate) type IdMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
