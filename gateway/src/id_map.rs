//! Tables by numbers that the engine has given: orders, accounts, keys.
//!
//! The standard hash holds out against clients who choose keys that collide; nobody chooses these, so a hash that takes a
//! tenth of the time does. Tables by names that clients choose keep the standard one.

use std::collections::HashMap;

use lakh_engine::ids::OrderId;

/// A table by such a number.
pub(crate) type IdMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Tables of a [`SplitMap`]; a power of two.
const PARTS: usize = 32;

/// A table by order id in parts that grow one by one: as one it would hold the publisher up for a millisecond whenever it
/// grew, while orders come by the hundred thousand.
#[derive(Debug)]
pub(crate) struct SplitMap<V>([IdMap<OrderId, V>; PARTS]);

impl<V> Default for SplitMap<V> {
    fn default() -> Self {
        Self(core::array::from_fn(|_| IdMap::default()))
    }
}

impl<V> SplitMap<V> {
    /// Which part: another mixture of the id than the parts' own hash, whose seeds are their own.
    const fn part(order: OrderId) -> usize {
        (order.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 59) as usize
    }

    pub(crate) fn get(&self, order: OrderId) -> Option<&V> {
        self.0[Self::part(order)].get(&order)
    }

    pub(crate) fn get_mut(&mut self, order: OrderId) -> Option<&mut V> {
        self.0[Self::part(order)].get_mut(&order)
    }

    pub(crate) fn insert(&mut self, order: OrderId, value: V) {
        self.0[Self::part(order)].insert(order, value);
    }

    pub(crate) fn remove(&mut self, order: OrderId) -> Option<V> {
        self.0[Self::part(order)].remove(&order)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().flat_map(HashMap::values)
    }

    /// Everything, by rising ids.
    pub(crate) fn sorted(&self) -> Vec<(OrderId, &V)> {
        let mut entries: Vec<_> = self.0.iter().flatten().map(|(order, value)| (*order, value)).collect();
        entries.sort_unstable_by_key(|(order, _)| *order);
        entries
    }
}
