//! The neutral order flow: 54 % limit orders that rest, 41 % cancels, 5 % orders that trade, around a price that walks.
//!
//! Made from a seed by integers alone, with a book of its own that is as plain as can be and says what has to trade. The
//! checksum depends on every fill's maker, taker, price and quantity, and on their order.

use std::collections::{BTreeMap, VecDeque};

/// Where prices begin.
const FIRST_PRICE: u32 = 100_000;

/// One command of the flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// The order that is placed or cancelled, from 1.
    pub(crate) id: u32,
    pub(crate) kind: Kind,
    pub(crate) side: Side,
    /// Limit price in ticks.
    pub(crate) price: u32,
    /// Quantity in lots.
    pub(crate) quantity: u32,
}

/// What a command asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A limit order, good till cancelled.
    Place,
    Cancel,
}

/// Side of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Bid,
    Ask,
}

/// What traded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fills {
    pub(crate) count: u64,
    pub(crate) quantity: u64,
    pub(crate) checksum: u64,
}

impl Fills {
    /// One more fill.
    #[inline]
    pub(crate) fn add(&mut self, (maker, taker): (u64, u64), price: u64, quantity: u64) {
        self.count += 1;
        self.quantity += quantity;
        self.checksum = self
            .checksum
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add((maker << 32) | taker)
            .wrapping_add(price.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .wrapping_add(quantity);
    }
}

/// A flow and what it has to trade.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) steps: Vec<Step>,
    pub(crate) fills: Fills,
    /// Orders, each numbered once.
    pub(crate) orders: u32,
    /// Orders that rest at the end, about as many as rest all the time.
    pub(crate) resting: u32,
}

impl Flow {
    /// A flow of `commands` commands, with about `resting` orders on the book most of the time.
    pub(crate) fn new(commands: usize, resting: usize, seed: u64) -> Self {
        let mut maker = Maker::new(commands, seed);
        while maker.steps.len() < commands {
            maker.step(resting);
        }
        Self {
            fills: maker.fills,
            orders: u32::try_from(maker.orders.len() - 1).expect("fewer orders than commands"),
            resting: u32::try_from(maker.live.len()).expect("fewer than orders"),
            steps: maker.steps,
        }
    }
}

impl Flow {
    /// The same with each order numbered by the command that places it, from 0. What has to trade is not known any more.
    pub(crate) fn numbered_by_command(&self) -> Self {
        let mut numbers = vec![0; self.orders as usize + 1];
        let renumbered = |(number, step): (u32, &Step)| {
            if step.kind == Kind::Place {
                numbers[step.id as usize] = number;
            }
            Step { id: numbers[step.id as usize], ..*step }
        };
        let steps: Vec<Step> = (0..).zip(&self.steps).map(renumbered).collect();
        let orders = u32::try_from(steps.len()).expect("a flow's commands are counted in 32 bits");
        Self { steps, orders, fills: Fills::default(), resting: self.resting }
    }
}

/// xoroshiro128+.
struct Random(u64, u64);

impl Random {
    fn new(seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xd1b5_4a32_d192_ed03;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        };
        Self(next(), next() | 1)
    }

    fn next(&mut self) -> u64 {
        let (first, second) = (self.0, self.1 ^ self.0);
        let result = first.wrapping_add(self.1);
        self.0 = first.rotate_left(24) ^ second ^ (second << 16);
        self.1 = second.rotate_left(37);
        result
    }

    fn below(&mut self, bound: u32) -> u32 {
        u32::try_from((u128::from(self.next()) * u128::from(bound)) >> 64).expect("below the bound")
    }

    /// Geometric with a mean of about `mean`.
    fn geometric(&mut self, mean: u32) -> u32 {
        let mut count = 0;
        while self.below(mean + 1) != 0 && count < 20 * mean + 20 {
            count += 1;
        }
        count
    }
}

/// An order as the flow's own book knows it.
#[derive(Clone, Copy)]
struct Order {
    price: u32,
    quantity: u32,
    side: Side,
    is_live: bool,
}

/// Makes a flow and plays it on a plain book.
struct Maker {
    random: Random,
    steps: Vec<Step>,
    fills: Fills,
    /// By id.
    orders: Vec<Order>,
    bids: BTreeMap<u32, VecDeque<u32>>,
    asks: BTreeMap<u32, VecDeque<u32>>,
    /// Ids of live orders, in no order.
    live: Vec<u32>,
    /// By id: where in `live` it stands.
    live_at: Vec<usize>,
    last_price: u32,
}

impl Maker {
    fn new(commands: usize, seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            steps: Vec::with_capacity(commands),
            fills: Fills::default(),
            orders: vec![Order { price: 0, quantity: 0, side: Side::Bid, is_live: false }],
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
            live: Vec::new(),
            live_at: vec![0],
            last_price: FIRST_PRICE,
        }
    }

    /// One command. A soft controller keeps about `resting` orders on the book.
    fn step(&mut self, resting: usize) {
        let live = self.live.len();
        let (adds, trades) = match live {
            _ if live < resting / 2 => (90, 2),
            _ if live < resting * 95 / 100 => (58, 5),
            _ if live > resting * 105 / 100 => (52, 5),
            _ => (55, 5),
        };
        let roll = self.random.below(100);
        if live < 20 || roll < adds {
            self.place(Kind::Place, false);
        } else if roll < adds + trades {
            self.place(Kind::Place, true);
        } else {
            self.cancel();
        }
    }

    /// Cancels a live order: seven times in ten one of the last few hundred, else any.
    fn cancel(&mut self) {
        let mut id = 0;
        if self.random.below(10) < 7 {
            for _ in 0..64 {
                let back = self.random.geometric(300);
                let candidate = (self.orders.len() as u32 - 1).saturating_sub(back);
                if candidate > 0 && self.orders[candidate as usize].is_live {
                    id = candidate;
                    break;
                }
            }
        }
        if id == 0 {
            id = self.live[self.random.below(self.live.len() as u32) as usize];
        }
        let Order { price, quantity, side, .. } = self.orders[id as usize];
        let book = self.side(side);
        let level = book.get_mut(&price).expect("a live order has a level");
        let at = level.iter().position(|other| *other == id).expect("a live order is in its level");
        level.remove(at);
        if level.is_empty() {
            book.remove(&price);
        }
        self.forget(id);
        self.steps.push(Step { id, kind: Kind::Cancel, side, price, quantity });
    }

    fn place(&mut self, kind: Kind, trades: bool) {
        let side = if self.random.next() & 1 == 0 { Side::Bid } else { Side::Ask };
        let best_bid = self.bids.keys().next_back().copied();
        let best_ask = self.asks.keys().next().copied();
        let opposite = match side {
            Side::Bid => best_ask.or(best_bid.map(|bid| bid + 2)),
            Side::Ask => best_bid.or(best_ask.map(|ask| ask - 2)),
        };
        let opposite = opposite.unwrap_or(self.last_price);
        let (price, quantity);
        if trades {
            let through = self.random.below(6);
            price = if side == Side::Bid { opposite + through } else { opposite.saturating_sub(through).max(1) };
            quantity = 1 + self.random.below(100) + 40 * self.random.geometric(3);
        } else {
            let is_far = self.random.below(10) == 0;
            let away = 1 + self.random.geometric(if is_far { 100 } else { 10 });
            price = if side == Side::Bid { opposite.saturating_sub(away).max(1) } else { opposite + away };
            quantity = 1 + self.random.below(100);
        }
        let id = self.orders.len() as u32;
        self.orders.push(Order { price, quantity, side, is_live: false });
        self.live_at.push(0);
        self.steps.push(Step { id, kind, side, price, quantity });
        let left = self.trade(id);
        if left > 0 {
            self.orders[id as usize].quantity = left;
            self.orders[id as usize].is_live = true;
            self.live_at[id as usize] = self.live.len();
            self.live.push(id);
            self.side(side).entry(price).or_default().push_back(id);
        }
    }

    /// Trades an order with what it reaches and tells what is left of it.
    fn trade(&mut self, id: u32) -> u32 {
        let Order { price, quantity: mut left, side, .. } = self.orders[id as usize];
        while left > 0 {
            let best = match side {
                Side::Bid => self.asks.keys().next().copied().filter(|ask| *ask <= price),
                Side::Ask => self.bids.keys().next_back().copied().filter(|bid| *bid >= price),
            };
            let Some(best) = best else { break };
            let book = self.side(if side == Side::Bid { Side::Ask } else { Side::Bid });
            let level = book.get_mut(&best).expect("the best price has a level");
            let maker = *level.front().expect("a level has orders");
            let quantity = left.min(self.orders[maker as usize].quantity);
            left -= quantity;
            self.orders[maker as usize].quantity -= quantity;
            self.last_price = best;
            self.fills.add((u64::from(maker), u64::from(id)), u64::from(best), u64::from(quantity));
            if self.orders[maker as usize].quantity == 0 {
                let book = self.side(if side == Side::Bid { Side::Ask } else { Side::Bid });
                let level = book.get_mut(&best).expect("still there");
                level.pop_front();
                if level.is_empty() {
                    book.remove(&best);
                }
                self.forget(maker);
            }
        }
        left
    }

    fn side(&mut self, side: Side) -> &mut BTreeMap<u32, VecDeque<u32>> {
        match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        }
    }

    /// Takes an order out of the live ones.
    fn forget(&mut self, id: u32) {
        self.orders[id as usize].is_live = false;
        let at = self.live_at[id as usize];
        self.live.swap_remove(at);
        if let Some(moved) = self.live.get(at) {
            self.live_at[*moved as usize] = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published figures of the generator.
    #[test]
    fn the_flow_is_the_published_one() {
        let fills = Flow::new(2_000_000, 1_000, 1).fills;
        assert_eq!(fills, Fills { count: 352_976, quantity: 14_898_116, checksum: 0xda55_46dc_f711_504d });
    }
}
