//! A read-only look at a book, for those who hold the engine: replays, checks, snapshots of market data.

use alloc::vec::Vec;

use crate::command::{MarketState, Side};
use crate::ids::{AccountId, ClientId, OrderId};
use crate::market::Market;
use crate::order::Order;
use crate::units::{Lots, Ticks};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct BookView<'a> {
    market: &'a Market,
}

/// A price of one side and what rests there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelView {
    /// The price.
    pub price: Ticks,
    /// All that rests at it.
    pub total: Lots,
    /// How many orders that is.
    pub orders: u32,
}

/// A resting order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderView {
    /// Its id.
    pub order: OrderId,
    /// Whose.
    pub account: AccountId,
    /// The client's id, or empty.
    pub client_id: ClientId,
    /// Limit price.
    pub price: Ticks,
    /// What is left and shown.
    pub remaining: Lots,
    /// What is left and not shown yet.
    pub reserve: Lots,
    /// What it was placed with, less what amendments took.
    pub quantity: Lots,
}

impl<'a> BookView<'a> {
    pub(crate) const fn new(market: &'a Market) -> Self {
        Self { market }
    }

    /// The market's state.
    pub const fn state(&self) -> MarketState {
        self.market.state
    }

    /// Changes of the public book so far.
    pub const fn feed_sequence(&self) -> u64 {
        self.market.feed_sequence
    }

    /// Resting orders.
    pub fn order_count(&self) -> u32 {
        self.market.book.order_count() - self.market.triggers.count()
    }

    /// The price of the last trade; `None` before the first.
    pub fn last_price(&self) -> Option<Ticks> {
        (!self.market.last_price.is_zero()).then_some(self.market.last_price)
    }

    /// Orders that wait for their trigger price, by id; their limit is the price that they hold money for.
    pub fn waiting(&self) -> Vec<(Side, OrderView)> {
        self.market.waiting().into_iter().map(|order| (order.side, OrderView::of(&order))).collect()
    }

    /// Price levels of a side.
    pub fn level_count(&self, side: Side) -> usize {
        self.market.book.resting().side(side).count() as usize
    }

    /// A side's price levels from the best on.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = LevelView> + use<'a> {
        let levels = self.market.book.resting().side(side).levels();
        levels.map(|(price, level)| LevelView { price, total: level.total, orders: level.count })
    }

    /// A side's orders in price-time priority.
    pub fn orders(&self, side: Side) -> impl Iterator<Item = OrderView> + use<'a> {
        self.market.book.orders(side).map(|order| OrderView::of(&order))
    }
}

impl OrderView {
    fn of(order: &Order) -> Self {
        Self {
            order: order.id,
            account: order.account,
            client_id: order.client_id,
            price: order.price,
            remaining: order.remaining,
            reserve: order.reserve,
            quantity: order.quantity,
        }
    }
}
