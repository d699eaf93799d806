//! The order flow of the load: what one key sends, the same again for the same seed.
//!
//! Passive orders on both sides of a fixed middle, cancels of the key's own orders, and immediate-or-cancel orders
//! that reach across. Bids stay below the middle and offers above it, so that a passive order never trades on arrival
//! and a refusal means something. The key does not look at its fills: a cancel of an order that traded meanwhile is
//! answered "unknown", as it would be for a real trader who is late. Integers only.

use lakh_engine::command::Side;
use lakh_engine::units::{Lots, Ticks};
use serde::Serialize;

use crate::error::LoadtestError;
use crate::random::SplitMix64;

/// What a workload is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkloadOptions {
    /// The middle that passive orders stand around, in ticks; above `depth_ticks`.
    pub mid_ticks: u64,
    /// How far from the middle they stand at most, in ticks, at least 1.
    pub depth_ticks: u64,
    /// Largest quantity in lots, at least 1.
    pub max_quantity_lots: u64,
    /// Weight of passive orders, at least 1.
    pub add_weight: u32,
    /// Weight of cancels.
    pub cancel_weight: u32,
    /// Weight of orders that take.
    pub take_weight: u32,
    /// Orders that one key leaves open at most, as far as it knows; beyond it cancels.
    pub max_open_orders: u32,
}

impl Default for WorkloadOptions {
    /// 54 % passive, 41 % cancels, 5 % marketable, which is the mix of the engine's benchmarks.
    fn default() -> Self {
        Self {
            mid_ticks: 100_000,
            depth_ticks: 64,
            max_quantity_lots: 100,
            add_weight: 54,
            cancel_weight: 41,
            take_weight: 5,
            max_open_orders: 2_000,
        }
    }
}

impl WorkloadOptions {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`LoadtestError::Options`].
    pub fn validate(&self) -> Result<(), LoadtestError> {
        let fault = if self.depth_ticks == 0 || self.mid_ticks <= self.depth_ticks {
            "the middle must be above the depth, and the depth above zero"
        } else if self.max_quantity_lots == 0 || self.add_weight == 0 || self.max_open_orders == 0 {
            "quantity, weight of passive orders and open orders must be at least 1"
        } else {
            return Ok(());
        };
        Err(LoadtestError::Options(fault.to_owned()))
    }
}

/// One request of the load. Orders are numbered by their key from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadOrder {
    /// A limit order that rests.
    Add {
        /// The key's number for it.
        number: u64,
        /// Side.
        side: Side,
        /// Limit price.
        price: Ticks,
        /// Quantity.
        quantity: Lots,
    },
    /// Takes one of the key's own orders off.
    Cancel {
        /// The order's number.
        number: u64,
    },
    /// An immediate-or-cancel order that reaches as far as any passive order stands.
    Take {
        /// The key's number for it.
        number: u64,
        /// Side.
        side: Side,
        /// Limit price.
        price: Ticks,
        /// Quantity.
        quantity: Lots,
    },
}

/// The endless requests of one key.
#[derive(Clone, Debug)]
pub struct Workload {
    options: WorkloadOptions,
    random: SplitMix64,
    /// Orders added and not cancelled; bounded by the options.
    open: Vec<u64>,
    next_number: u64,
}

impl Workload {
    /// The requests of the key `key_index` of the workload that `seed` describes. The options are valid.
    pub fn new(options: &WorkloadOptions, seed: u64, key_index: u64) -> Self {
        let random = SplitMix64::stream(seed, key_index);
        Self { options: options.clone(), random, open: Vec::new(), next_number: 0 }
    }

    /// The next request.
    pub fn next_order(&mut self) -> LoadOrder {
        let WorkloadOptions { add_weight, cancel_weight, take_weight, max_open_orders, .. } = self.options;
        let [add, cancel, take] = [add_weight, cancel_weight, take_weight].map(u64::from);
        let draw = self.random.below(add + cancel + take);
        if draw >= add + cancel {
            return self.take();
        }
        let is_full = self.open.len() as u64 >= u64::from(max_open_orders);
        if (draw < add || self.open.is_empty()) && !is_full { self.add() } else { self.cancel() }
    }

    fn add(&mut self) -> LoadOrder {
        let side = self.side();
        // The nearer of two draws: most orders stand close to the middle, as on a real book.
        let depth = self.options.depth_ticks;
        let distance = 1 + self.random.below(depth).min(self.random.below(depth));
        let number = self.number();
        self.open.push(number);
        LoadOrder::Add { number, side, price: self.price(side.opposite(), distance), quantity: self.quantity() }
    }

    fn cancel(&mut self) -> LoadOrder {
        let index = usize::try_from(self.random.below(self.open.len() as u64)).expect("an index of the vector");
        LoadOrder::Cancel { number: self.open.swap_remove(index) }
    }

    fn take(&mut self) -> LoadOrder {
        let side = self.side();
        let price = self.price(side, self.options.depth_ticks);
        LoadOrder::Take { number: self.number(), side, price, quantity: self.quantity() }
    }

    /// The price `distance` from the middle: above it for `Bid`, which is where a buyer reaches, below it for `Ask`.
    fn price(&self, reaching: Side, distance: u64) -> Ticks {
        let mid = self.options.mid_ticks;
        match reaching {
            Side::Bid => Ticks(mid + distance),
            Side::Ask => Ticks(mid - distance),
        }
    }

    fn side(&mut self) -> Side {
        if self.random.below(2) == 0 { Side::Bid } else { Side::Ask }
    }

    fn quantity(&mut self) -> Lots {
        Lots(1 + self.random.below(self.options.max_quantity_lots))
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn orders(options: &WorkloadOptions, seed: u64, key: u64, count: usize) -> Vec<LoadOrder> {
        let mut workload = Workload::new(options, seed, key);
        (0..count).map(|_| workload.next_order()).collect()
    }

    #[test]
    fn same_seed_same_orders() {
        let options = WorkloadOptions::default();
        assert_eq!(orders(&options, 5, 1, 1_000), orders(&options, 5, 1, 1_000));
        assert_ne!(orders(&options, 5, 1, 1_000), orders(&options, 6, 1, 1_000));
        assert_ne!(orders(&options, 5, 1, 1_000), orders(&options, 5, 2, 1_000));
    }

    #[test]
    fn passive_orders_never_cross_and_cancels_name_open_ones_once() {
        let seed = 3;
        println!("seed {seed}");
        let options = WorkloadOptions { max_open_orders: 50, ..WorkloadOptions::default() };
        let mut open = HashSet::new();
        let mut counts = [0_u32; 3];
        for order in orders(&options, seed, 0, 20_000) {
            match order {
                LoadOrder::Add { number, side, price, quantity } => {
                    counts[0] += 1;
                    assert!(open.insert(number) && open.len() <= 50);
                    assert_eq!(side == Side::Bid, price.raw() < options.mid_ticks);
                    assert!(price.raw().abs_diff(options.mid_ticks) <= 64 && price.raw() != options.mid_ticks);
                    assert!((1..=100).contains(&quantity.raw()));
                }
                LoadOrder::Cancel { number } => {
                    counts[1] += 1;
                    assert!(open.remove(&number), "cancel of {number}, which is not open");
                }
                LoadOrder::Take { side, price, .. } => {
                    counts[2] += 1;
                    assert_eq!(side == Side::Bid, price.raw() > options.mid_ticks);
                }
            }
        }
        // 5 % take; adds and cancels balance, since only 50 may be open.
        assert!((800..1_200).contains(&counts[2]), "{counts:?}");
        assert!(counts[0] - counts[1] <= 50, "{counts:?}");
    }

    #[test]
    fn impossible_options_are_refused() {
        let good = WorkloadOptions::default();
        assert!(good.validate().is_ok());
        for bad in [
            WorkloadOptions { depth_ticks: 0, ..good.clone() },
            WorkloadOptions { mid_ticks: 64, ..good.clone() },
            WorkloadOptions { max_quantity_lots: 0, ..good.clone() },
            WorkloadOptions { add_weight: 0, ..good.clone() },
            WorkloadOptions { max_open_orders: 0, ..good },
        ] {
            assert!(matches!(bad.validate(), Err(LoadtestError::Options(_))), "{bad:?}");
        }
    }
}
