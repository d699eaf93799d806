//! A book so simple that it is obviously right: one list of orders in the order of their arrival, searched from the
//! front for everything. No levels, no tables, no money. It knows nothing of the engine but its words.

use lakh_engine::command::{OrderType, PlaceOrder, SelfTradeMode, Side, TimeInForce};
use lakh_engine::event::CancelReason;
use lakh_engine::ids::{AccountId, ClientId, OrderId};
use lakh_engine::reject::RejectCode;
use lakh_engine::units::Timestamp;

/// What happened to the book, or why nothing did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Maker, price, quantity.
    Fill(OrderId, u64, u64),
    /// Order, price, quantity.
    Rest(OrderId, u64, u64),
    /// Order, what was left, why.
    Cancel(OrderId, u64, CancelReason),
    /// Order, what is left.
    Reduce(OrderId, u64),
    /// Why nothing happened.
    Reject(RejectCode),
}

/// A resting order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resting {
    pub(crate) id: OrderId,
    pub(crate) account: AccountId,
    pub(crate) client_id: ClientId,
    pub(crate) side: Side,
    pub(crate) price: u64,
    pub(crate) quantity: u64,
    pub(crate) remaining: u64,
    expires_at: Timestamp,
    order_type: OrderType,
}

/// See the module. A lot at a tick is worth one; a market order's band is 5 %.
#[derive(Clone, Debug, Default)]
pub(crate) struct NaiveBook {
    orders: Vec<Resting>,
}

impl NaiveBook {
    /// Places an order whose fields go together.
    pub(crate) fn place(&mut self, id: OrderId, account: AccountId, order: &PlaceOrder) -> Vec<Outcome> {
        if let Some(live) = self.by_client_id(account, &order.client_id) {
            let same = live.side == order.side
                && live.order_type == order.order_type
                && order.time_in_force.rests()
                && live.expires_at == order.expires_at
                && live.price == order.price.0
                && live.quantity == order.quantity.0;
            let code = if same { RejectCode::ClientOrderLive } else { RejectCode::ClientIdInUse };
            return vec![Outcome::Reject(code)];
        }
        let opposite = self.best(order.side.opposite());
        let limit = match (order.order_type, opposite) {
            (OrderType::Market, None) => return vec![Outcome::Reject(RejectCode::NoLiquidity)],
            (OrderType::Market, Some(best)) if order.price.0 == 0 => match order.side {
                Side::Bid => best.price + best.price / 20,
                Side::Ask => best.price - best.price / 20,
            },
            _ => order.price.0,
        };
        if order.order_type == OrderType::LimitMaker && opposite.is_some_and(|best| reaches(order.side, limit, &best)) {
            return vec![Outcome::Reject(RejectCode::WouldTrade)];
        }
        if order.time_in_force == TimeInForce::FillOrKill {
            // Try it on a copy: filled to the last lot, or not at all.
            let mut copy = self.clone();
            let outcomes = copy.trade(id, account, order, limit);
            let filled: u64 = outcomes.iter().map(filled_by).sum();
            if filled < order.quantity.0 {
                return vec![Outcome::Cancel(id, order.quantity.0, CancelReason::FillOrKill)];
            }
        }
        self.trade(id, account, order, limit)
    }

    /// Trades with the best opposite order again and again; what is left rests or is dropped.
    fn trade(&mut self, id: OrderId, account: AccountId, order: &PlaceOrder, limit: u64) -> Vec<Outcome> {
        let by_budget = order.quantity.0 == 0;
        let (mut quantity, mut budget) = (order.quantity.0, order.quote_budget.0);
        let mut outcomes = Vec::new();
        let mut traded = false;
        let reason = loop {
            if quantity == 0 && budget == 0 {
                return outcomes;
            }
            let Some(maker) = self.best(order.side.opposite()).filter(|maker| reaches(order.side, limit, maker)) else {
                break CancelReason::NotFilled;
            };
            if maker.account == account {
                match order.self_trade_mode {
                    SelfTradeMode::None => {}
                    SelfTradeMode::ExpireTaker => break CancelReason::SelfTrade,
                    SelfTradeMode::ExpireMaker => {
                        outcomes.push(self.remove(maker.id, CancelReason::SelfTrade));
                        continue;
                    }
                }
            }
            let wanted = if by_budget { budget / maker.price } else { quantity };
            if wanted == 0 && traded {
                return outcomes;
            }
            if wanted == 0 {
                break CancelReason::NotFilled;
            }
            let fill = wanted.min(maker.remaining);
            traded = true;
            match by_budget {
                true => budget -= fill * maker.price,
                false => quantity -= fill,
            }
            outcomes.push(Outcome::Fill(maker.id, maker.price, fill));
            let place = self.orders.iter().position(|other| other.id == maker.id).expect("it was just found");
            self.orders[place].remaining -= fill;
            if self.orders[place].remaining == 0 {
                self.orders.remove(place);
            }
        };
        if !order.time_in_force.rests() || reason == CancelReason::SelfTrade {
            outcomes.push(Outcome::Cancel(id, quantity, reason));
            return outcomes;
        }
        self.orders.push(Resting {
            id,
            account,
            client_id: order.client_id,
            side: order.side,
            price: limit,
            quantity: order.quantity.0,
            remaining: quantity,
            expires_at: order.expires_at,
            order_type: order.order_type,
        });
        outcomes.push(Outcome::Rest(id, limit, quantity));
        outcomes
    }

    /// Takes off what has come to its own end, the first end first.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<Outcome> {
        let over = |order: &&Resting| order.expires_at != Timestamp::ZERO && order.expires_at <= now;
        let mut ends: Vec<_> = self.orders.iter().filter(over).map(|order| (order.expires_at, order.id)).collect();
        ends.sort_unstable();
        ends.into_iter().map(|(_, id)| self.remove(id, CancelReason::Expired)).collect()
    }

    /// Takes an order of the account off.
    pub(crate) fn cancel(&mut self, account: AccountId, id: OrderId) -> Vec<Outcome> {
        match self.orders.iter().any(|order| order.id == id && order.account == account) {
            true => vec![self.remove(id, CancelReason::Requested)],
            false => vec![Outcome::Reject(RejectCode::OrderUnknown)],
        }
    }

    /// Takes all orders of the account off, the oldest first.
    pub(crate) fn cancel_all(&mut self, account: AccountId, side: Option<Side>) -> Vec<Outcome> {
        let concerned = |order: &&Resting| order.account == account && side.is_none_or(|side| side == order.side);
        let ids: Vec<OrderId> = self.orders.iter().filter(concerned).map(|order| order.id).collect();
        ids.into_iter().map(|id| self.remove(id, CancelReason::MassCancel)).collect()
    }

    /// Makes an order of the account smaller.
    pub(crate) fn amend(&mut self, account: AccountId, id: OrderId, new_quantity: u64) -> Vec<Outcome> {
        let Some(order) = self.orders.iter_mut().find(|order| order.id == id && order.account == account) else {
            return vec![Outcome::Reject(RejectCode::OrderUnknown)];
        };
        let filled = order.quantity - order.remaining;
        if new_quantity >= order.quantity || new_quantity <= filled {
            return vec![Outcome::Reject(RejectCode::AmendNotSmaller)];
        }
        order.quantity = new_quantity;
        order.remaining = new_quantity - filled;
        vec![Outcome::Reduce(id, order.remaining)]
    }

    /// A side's orders by price, then by arrival.
    pub(crate) fn side(&self, side: Side) -> Vec<Resting> {
        let mut orders: Vec<Resting> = self.orders.iter().filter(|order| order.side == side).copied().collect();
        orders.sort_by_key(|order| match side {
            Side::Bid => (u64::MAX - order.price, order.id),
            Side::Ask => (order.price, order.id),
        });
        orders
    }

    /// The account's live order with this client id.
    pub(crate) fn by_client_id(&self, account: AccountId, client_id: &ClientId) -> Option<Resting> {
        let is_it = |order: &&Resting| order.account == account && order.client_id == *client_id;
        self.orders.iter().find(is_it).filter(|_| !client_id.is_empty()).copied()
    }

    fn best(&self, side: Side) -> Option<Resting> {
        self.side(side).first().copied()
    }

    fn remove(&mut self, id: OrderId, reason: CancelReason) -> Outcome {
        let place = self.orders.iter().position(|order| order.id == id).expect("only orders that rest are removed");
        Outcome::Cancel(id, self.orders.remove(place).remaining, reason)
    }
}

/// Whether an order of `side` with this limit trades with `maker`.
fn reaches(side: Side, limit: u64, maker: &Resting) -> bool {
    match side {
        Side::Bid => maker.price <= limit,
        Side::Ask => maker.price >= limit,
    }
}

fn filled_by(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Fill(_, _, quantity) => *quantity,
        _ => 0,
    }
}
