//! The order flow of the load: what one key sends, the same again for the same seed.
//!
//! Passive orders on both sides of a fixed middle, cancels and replaces of the key's own orders, immediate-or-cancel orders
//! that reach across, and post-only orders that would trade. Bids stay below the middle and offers above it, so that a
//! passive order never trades on arrival and a refusal means something; at [`WorkloadOptions::wall_ticks`] stands an order
//! of each side that nobody takes off, which a post-only order of [`LoadOrder::PostOnly`] always meets. The key does not
//! look at its fills: a cancel of an order that traded meanwhile is answered "unknown", as it would be for a real trader
//! who is late. Integers only. Bounds: the open orders that the options allow.

use lakh_engine::command::Side;
use lakh_engine::units::{Lots, Ticks};
use serde::Serialize;

use crate::error::LoadtestError;
use crate::random::SplitMix64;

/// What a workload is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkloadOptions {
    /// Markets, at least 1, each as likely as the others.
    pub markets: u16,
    /// The middle that passive orders stand around, in ticks; above twice `depth_ticks`.
    pub mid_ticks: u64,
    /// How far from the middle they stand at most, in ticks, at least 1.
    pub depth_ticks: u64,
    /// Largest quantity in lots, at least 1.
    pub max_quantity_lots: u64,
    /// Weight of passive orders, at least 1.
    pub add_weight: u32,
    /// Weight of cancels.
    pub cancel_weight: u32,
    /// Weight of cancel-replaces.
    pub replace_weight: u32,
    /// Weight of orders that take.
    pub take_weight: u32,
    /// Weight of post-only orders that are refused.
    pub post_only_weight: u32,
    /// Orders that one key leaves open at most, as far as it knows; beyond it cancels.
    pub max_open_orders: u32,
}

impl Default for WorkloadOptions {
    /// 54 % passive, 41 % cancels, 5 % marketable, which is the mix of the engine's benchmarks, in one market.
    fn default() -> Self {
        Self {
            markets: 1,
            mid_ticks: 100_000,
            depth_ticks: 64,
            max_quantity_lots: 100,
            add_weight: 54,
            cancel_weight: 41,
            replace_weight: 0,
            take_weight: 5,
            post_only_weight: 0,
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
        let fault = if self.depth_ticks == 0 || self.mid_ticks <= 2 * self.depth_ticks {
            "the middle must be above twice the depth, and the depth above zero"
        } else if self.max_quantity_lots == 0 || self.add_weight == 0 || self.max_open_orders == 0 || self.markets == 0
        {
            "markets, quantity, weight of passive orders and open orders must be at least 1"
        } else {
            return Ok(());
        };
        Err(LoadtestError::Options(fault.to_owned()))
    }

    /// How far from the middle the walls stand: one tick beyond what orders that take reach.
    pub const fn wall_ticks(&self) -> u64 {
        self.depth_ticks + 1
    }
}

/// An order as its key knows it. Numbered by its key from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadedOrder {
    /// The key's number for it.
    pub number: u64,
    /// Which market.
    pub market: u16,
    /// Side.
    pub side: Side,
    /// Limit price.
    pub price: Ticks,
    /// Quantity.
    pub quantity: Lots,
}

/// One request of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadOrder {
    /// A limit order that rests and does not trade on arrival.
    Add(LoadedOrder),
    /// A limit order that may trade on arrival, and rests with what is left. Of recorded flow only.
    Cross(LoadedOrder),
    /// An immediate-or-cancel order.
    Take(LoadedOrder),
    /// A post-only order that would trade, and so is refused.
    PostOnly(LoadedOrder),
    /// A post-only order that nobody knows the fate of. Of recorded flow only.
    Maker(LoadedOrder),
    /// Takes one of the key's own orders off.
    Cancel(LoadedOrder),
    /// Takes one off and places another one on the same side of the same market, both or neither.
    Replace {
        /// The one that goes.
        old: LoadedOrder,
        /// The one that comes.
        new: LoadedOrder,
    },
    /// Makes one smaller by so much. Of recorded flow only.
    Reduce {
        /// The order with the whole quantity that it has then.
        order: LoadedOrder,
        /// By how much.
        by: Lots,
    },
}

/// Both sides of one quote, in ticks and lots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadQuote {
    /// What it buys at, and how much.
    pub bid: (Ticks, Lots),
    /// What it sells at, and how much.
    pub ask: (Ticks, Lots),
}

/// The endless requests of one key.
#[derive(Clone, Debug)]
pub struct Workload {
    options: WorkloadOptions,
    random: SplitMix64,
    /// Orders added and not cancelled; bounded by the options.
    open: Vec<LoadedOrder>,
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
        let options = &self.options;
        let weights = [options.add_weight, options.cancel_weight, options.replace_weight, options.take_weight];
        let [add, cancel, replace, take] = weights.map(u64::from);
        let draw = self.random.below(add + cancel + replace + take + u64::from(options.post_only_weight));
        if draw >= add + cancel + replace + take {
            return self.post_only();
        }
        if draw >= add + cancel + replace {
            return self.take();
        }
        let is_full = self.open.len() as u64 >= u64::from(self.options.max_open_orders);
        if (draw < add || self.open.is_empty()) && !is_full {
            self.add()
        } else if draw < add + cancel {
            self.cancel()
        } else {
            self.replace()
        }
    }

    /// A market and `count` quotes of it, by their slot. They never meet each other's.
    pub fn next_quotes(&mut self, count: usize) -> (u16, Vec<LoadQuote>) {
        let market = self.market();
        let quotes = (0..count).map(|_| {
            let (below, above) = (self.distance(), self.distance());
            LoadQuote {
                bid: (self.price(Side::Ask, below), self.quantity()),
                ask: (self.price(Side::Bid, above), self.quantity()),
            }
        });
        (market, quotes.collect())
    }

    fn add(&mut self) -> LoadOrder {
        let (market, side) = (self.market(), self.side());
        let order = self.passive(market, side);
        self.open.push(order);
        LoadOrder::Add(order)
    }

    fn passive(&mut self, market: u16, side: Side) -> LoadedOrder {
        let distance = self.distance();
        let (number, quantity) = (self.number(), self.quantity());
        LoadedOrder { number, market, side, price: self.price(side.opposite(), distance), quantity }
    }

    fn cancel(&mut self) -> LoadOrder {
        let index = self.open_index();
        LoadOrder::Cancel(self.open.swap_remove(index))
    }

    fn replace(&mut self) -> LoadOrder {
        let index = self.open_index();
        let old = self.open[index];
        let new = self.passive(old.market, old.side);
        self.open[index] = new;
        LoadOrder::Replace { old, new }
    }

    fn take(&mut self) -> LoadOrder {
        LoadOrder::Take(self.reaching(self.options.depth_ticks))
    }

    fn post_only(&mut self) -> LoadOrder {
        LoadOrder::PostOnly(self.reaching(self.options.wall_ticks()))
    }

    /// An order that reaches so far across the middle.
    fn reaching(&mut self, distance: u64) -> LoadedOrder {
        let (market, side) = (self.market(), self.side());
        let (number, quantity) = (self.number(), self.quantity());
        LoadedOrder { number, market, side, price: self.price(side, distance), quantity }
    }

    /// The price `distance` from the middle: above it for `Bid`, which is where a buyer reaches, below it for `Ask`.
    fn price(&self, reaching: Side, distance: u64) -> Ticks {
        let mid = self.options.mid_ticks;
        match reaching {
            Side::Bid => Ticks(mid + distance),
            Side::Ask => Ticks(mid - distance),
        }
    }

    /// The nearer of two draws: most orders stand close to the middle, as on a real book.
    fn distance(&mut self) -> u64 {
        let depth = self.options.depth_ticks;
        1 + self.random.below(depth).min(self.random.below(depth))
    }

    fn open_index(&mut self) -> usize {
        usize::try_from(self.random.below(self.open.len() as u64)).expect("an index of the vector")
    }

    fn market(&mut self) -> u16 {
        // Drawn only where there is a choice, so that the flow of one market is what it always was.
        let markets = u64::from(self.options.markets);
        if markets == 1 { 0 } else { u16::try_from(self.random.below(markets)).expect("below a u16") }
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
    use std::collections::HashMap;

    use super::*;

    fn orders(options: &WorkloadOptions, seed: u64, key: u64, count: usize) -> Vec<LoadOrder> {
        let mut workload = Workload::new(options, seed, key);
        (0..count).map(|_| workload.next_order()).collect()
    }

    fn mixed() -> WorkloadOptions {
        let mixed = WorkloadOptions::default();
        WorkloadOptions { markets: 3, replace_weight: 20, post_only_weight: 10, max_open_orders: 50, ..mixed }
    }

    #[test]
    fn same_seed_same_orders() {
        let options = mixed();
        assert_eq!(orders(&options, 5, 1, 1_000), orders(&options, 5, 1, 1_000));
        assert_ne!(orders(&options, 5, 1, 1_000), orders(&options, 6, 1, 1_000));
        assert_ne!(orders(&options, 5, 1, 1_000), orders(&options, 5, 2, 1_000));
    }

    #[test]
    fn passive_orders_never_cross_and_cancels_name_open_ones_once() {
        let seed = 3;
        println!("seed {seed}");
        let options = mixed();
        let (mut open, mut counts) = (HashMap::new(), [0_u32; 5]);
        let mut rest = |open: &mut HashMap<u64, LoadedOrder>, order: LoadedOrder| {
            assert!(open.insert(order.number, order).is_none() && open.len() <= 50);
            assert_eq!(order.side == Side::Bid, order.price.raw() < options.mid_ticks);
            assert!(order.price.raw().abs_diff(options.mid_ticks) <= 64 && order.price.raw() != options.mid_ticks);
            assert!((1..=100).contains(&order.quantity.raw()) && order.market < 3);
        };
        for order in orders(&options, seed, 0, 20_000) {
            match order {
                LoadOrder::Add(order) => {
                    counts[0] += 1;
                    rest(&mut open, order);
                }
                LoadOrder::Cancel(order) => {
                    counts[1] += 1;
                    assert_eq!(open.remove(&order.number), Some(order), "a cancel of what is not open");
                }
                LoadOrder::Replace { old, new } => {
                    counts[2] += 1;
                    assert_eq!(open.remove(&old.number), Some(old), "a replace of what is not open");
                    assert_eq!((old.market, old.side), (new.market, new.side));
                    rest(&mut open, new);
                }
                LoadOrder::Take(order) => {
                    counts[3] += 1;
                    assert_eq!(order.side == Side::Bid, order.price.raw() > options.mid_ticks);
                    assert_eq!(order.price.raw().abs_diff(options.mid_ticks), 64, "a taker stops before the wall");
                }
                LoadOrder::PostOnly(order) => {
                    counts[4] += 1;
                    assert_eq!(order.price.raw().abs_diff(options.mid_ticks), 65, "a post-only order reaches the wall");
                }
                other => panic!("{other:?} is of recorded flow"),
            }
        }
        // By their weights; adds and cancels balance, since only 50 may be open.
        let [add, cancel, replace, take, post_only] = counts;
        assert!((600..900).contains(&take) && (1_400..1_700).contains(&post_only), "{counts:?}");
        assert!((2_800..3_500).contains(&replace) && add - cancel <= 50, "{counts:?}");
    }

    #[test]
    fn quotes_stand_on_both_sides_and_never_meet() {
        let options = WorkloadOptions { markets: 4, ..WorkloadOptions::default() };
        let mut workload = Workload::new(&options, 8, 0);
        let mut markets = [false; 4];
        for _ in 0..200 {
            let (market, quotes) = workload.next_quotes(16);
            markets[usize::from(market)] = true;
            assert_eq!(quotes.len(), 16);
            for quote in quotes {
                assert!(quote.bid.0.raw() < options.mid_ticks && quote.ask.0.raw() > options.mid_ticks, "{quote:?}");
            }
        }
        assert_eq!(markets, [true; 4]);
    }

    #[test]
    fn impossible_options_are_refused() {
        let good = WorkloadOptions::default();
        assert!(good.validate().is_ok());
        for bad in [
            WorkloadOptions { depth_ticks: 0, ..good.clone() },
            WorkloadOptions { mid_ticks: 128, ..good.clone() },
            WorkloadOptions { max_quantity_lots: 0, ..good.clone() },
            WorkloadOptions { add_weight: 0, ..good.clone() },
            WorkloadOptions { markets: 0, ..good.clone() },
            WorkloadOptions { max_open_orders: 0, ..good },
        ] {
            assert!(matches!(bad.validate(), Err(LoadtestError::Options(_))), "{bad:?}");
        }
    }
}
