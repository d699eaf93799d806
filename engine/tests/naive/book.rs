//! A book so simple that it is obviously right: one list of orders in the order of their arrival, searched from the
//! front for everything. No levels, no tables, no money. It knows nothing of the engine but its words.

use lakh_engine::command::{
    AmendMode, AmendOrder, OrderType, PlaceOrder, Quote, ReplaceMode, ReplaceOrder, SelfTradeMode, Side, TimeInForce,
};
use lakh_engine::event::CancelReason;
use lakh_engine::ids::{AccountId, ClientId, OrderId};
use lakh_engine::reject::RejectCode;
use lakh_engine::units::{Lots, Ticks, Timestamp};

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
    /// An order that waited.
    Trigger(OrderId),
    /// Why the cancel, or the order, of a cancel-replace came to nothing.
    Replace(Option<RejectCode>, Option<RejectCode>),
    /// Why either side of a quote came to nothing.
    Quote([Option<RejectCode>; 2]),
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
    /// What is left and not shown.
    reserve: u64,
    /// What it was placed as.
    order: PlaceOrder,
}

/// See the module. A lot at a tick is worth one; a market order's band is 5 %.
#[derive(Clone, Debug, Default)]
pub(crate) struct NaiveBook {
    orders: Vec<Resting>,
    /// Orders that wait for their trigger price.
    waiting: Vec<Resting>,
    last_price: u64,
    /// Lowest and highest price of the trades since nothing was left to trigger.
    reached: Option<(u64, u64)>,
}

impl Resting {
    /// Takes off what is hidden first, then what is shown; each is told for itself.
    fn make_smaller(&mut self, by: u64) -> Vec<Outcome> {
        let hidden = by.min(self.reserve);
        let mut outcomes = Vec::new();
        for (hidden, shown) in [(hidden, 0), (0, by - hidden)] {
            if hidden + shown > 0 {
                self.reserve -= hidden;
                self.remaining -= shown;
                self.quantity -= hidden + shown;
                outcomes.push(Outcome::Reduce(self.id, self.remaining + self.reserve));
            }
        }
        outcomes
    }
}

/// An incoming order: what it still wants, in lots or in money, and how often it got something or was kept from it.
struct Incoming {
    id: OrderId,
    mode: SelfTradeMode,
    quantity: u64,
    budget: u64,
    whole: u64,
    did: u32,
}

impl Incoming {
    fn wanted(&self, maker: &Resting) -> u64 {
        let wanted = if self.whole == 0 && self.quantity == 0 { self.budget / maker.price } else { self.quantity };
        wanted.min(maker.remaining)
    }

    fn take(&mut self, quantity: u64, maker: &Resting) {
        self.did += 1;
        match self.quantity {
            0 => self.budget -= quantity * maker.price,
            _ => self.quantity -= quantity,
        }
    }
}

impl NaiveBook {
    /// Places an order whose fields go together.
    pub(crate) fn place(&mut self, id: OrderId, account: AccountId, order: &PlaceOrder) -> Vec<Outcome> {
        let order = &self.slid(order);
        if let Some(live) = self.by_client_id(account, &order.client_id) {
            let same = live.side == order.side
                && live.order.order_type == order.order_type
                && live.order.time_in_force == order.time_in_force
                && live.order.expires_at == order.expires_at
                && live.order.trigger_price == order.trigger_price
                && live.order.display_quantity == order.display_quantity
                && (live.price == order.price.0 || order.price.0 == 0)
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
            (OrderType::StopLoss | OrderType::TakeProfit, _) if order.price.0 == 0 => match order.side {
                Side::Bid => order.trigger_price.0 + order.trigger_price.0 / 20,
                Side::Ask => order.trigger_price.0 - order.trigger_price.0 / 20,
            },
            _ => order.price.0,
        };
        if order.order_type == OrderType::LimitMaker && opposite.is_some_and(|best| reaches(order.side, limit, &best)) {
            return vec![Outcome::Reject(RejectCode::WouldTrade)];
        }
        let quantity = order.quantity.0;
        let entry = Resting {
            id,
            account,
            client_id: order.client_id,
            side: order.side,
            price: limit,
            quantity,
            remaining: quantity,
            reserve: 0,
            order: *order,
        };
        if order.trigger_price.0 != 0 {
            if self.last_price != 0 && is_reached(&entry, (self.last_price, self.last_price)) {
                return vec![Outcome::Reject(RejectCode::WouldTrigger)];
            }
            self.waiting.push(entry);
            return Vec::new();
        }
        let mut outcomes = self.execute(entry);
        self.cascade(&mut outcomes);
        outcomes
    }

    /// The order with the price that it slides to.
    fn slid(&self, order: &PlaceOrder) -> PlaceOrder {
        let best = self.best(order.side.opposite()).filter(|best| reaches(order.side, order.price.0, best));
        match (order.order_type, best) {
            (OrderType::LimitMakerSlide, Some(best)) => {
                let price = if order.side == Side::Bid { best.price - 1 } else { best.price + 1 };
                PlaceOrder { price: Ticks(price), ..*order }
            }
            _ => *order,
        }
    }

    /// Lets the triggered orders trade, one after the other: rising ones by price and age, then falling ones.
    fn cascade(&mut self, outcomes: &mut Vec<Outcome>) {
        while let Some(range) = self.reached {
            let due = self.waiting.iter().filter(|entry| is_reached(entry, range));
            let next = due.min_by_key(|entry| match rises(entry) {
                true => (0, entry.order.trigger_price.0, entry.id),
                false => (1, u64::MAX - entry.order.trigger_price.0, entry.id),
            });
            let Some(next) = next.copied() else {
                self.reached = None;
                return;
            };
            self.waiting.retain(|entry| entry.id != next.id);
            outcomes.push(Outcome::Trigger(next.id));
            outcomes.extend(self.execute(next));
        }
    }

    /// Trades an order whose turn it is.
    fn execute(&mut self, entry: Resting) -> Vec<Outcome> {
        if entry.order.time_in_force == TimeInForce::FillOrKill {
            // Try it on a copy: filled to the last lot, or not at all.
            let mut copy = self.clone();
            let outcomes = copy.trade(entry);
            let filled: u64 = outcomes.iter().map(filled_by).sum();
            if filled < entry.remaining {
                return vec![Outcome::Cancel(entry.id, entry.remaining, CancelReason::FillOrKill)];
            }
        }
        self.trade(entry)
    }

    /// Trades with the best opposite order again and again; what is left rests or is dropped.
    fn trade(&mut self, entry: Resting) -> Vec<Outcome> {
        let Resting { id, account, order, price: limit, .. } = entry;
        let (mode, budget) = (order.self_trade_mode, order.quote_budget.0);
        let mut taker = Incoming { id, mode, quantity: entry.remaining, budget, whole: entry.quantity, did: 0 };
        let mut outcomes = Vec::new();
        let reason = loop {
            if taker.quantity == 0 && taker.budget == 0 {
                return outcomes;
            }
            let Some(maker) = self.best(order.side.opposite()).filter(|maker| reaches(order.side, limit, maker)) else {
                break CancelReason::NotFilled;
            };
            let is_own = group(maker.account) == group(account);
            let wanted = taker.wanted(&maker);
            let needs_a_lot = !is_own || matches!(taker.mode, SelfTradeMode::None | SelfTradeMode::Decrement);
            if needs_a_lot && wanted == 0 {
                // A budget that reaches for no lot and has done something ends without a word.
                match taker.did {
                    0 => break CancelReason::NotFilled,
                    _ => return outcomes,
                }
            }
            if is_own && taker.mode != SelfTradeMode::None {
                match self.prevent(&mut taker, &maker, &mut outcomes) {
                    Some(reason) => break reason,
                    None => continue,
                }
            }
            taker.take(wanted, &maker);
            outcomes.push(Outcome::Fill(maker.id, maker.price, wanted));
            self.last_price = maker.price;
            let (low, high) = self.reached.unwrap_or((maker.price, maker.price));
            self.reached = Some((low.min(maker.price), high.max(maker.price)));
            let place = self.orders.iter().position(|other| other.id == maker.id).expect("it was just found");
            self.orders[place].remaining -= wanted;
            if self.orders[place].remaining == 0 {
                let gone = self.orders.remove(place);
                outcomes.extend(self.show_next(gone));
            }
        };
        if !order.time_in_force.rests() || reason == CancelReason::SelfTrade {
            outcomes.push(Outcome::Cancel(id, taker.quantity, reason));
            return outcomes;
        }
        let left = Resting { quantity: taker.whole, remaining: 0, reserve: taker.quantity, ..entry };
        outcomes.extend(self.show_next(left));
        outcomes
    }

    /// Shows the next part of an order, if there is one, behind all others.
    fn show_next(&mut self, entry: Resting) -> Option<Outcome> {
        let all = entry.order.display_quantity.0 == 0;
        let part = if all { entry.reserve } else { entry.reserve.min(entry.order.display_quantity.0) };
        if part == 0 {
            return None;
        }
        self.orders.push(Resting { remaining: part, reserve: entry.reserve - part, ..entry });
        Some(Outcome::Rest(entry.id, entry.price, part))
    }

    /// An order meets its own group's; tells why it ends, if it does.
    fn prevent(&mut self, taker: &mut Incoming, maker: &Resting, outcomes: &mut Vec<Outcome>) -> Option<CancelReason> {
        if taker.mode != SelfTradeMode::ExpireTaker && taker.mode != SelfTradeMode::Decrement {
            outcomes.push(self.remove(maker.id, CancelReason::SelfTrade));
        }
        if taker.mode == SelfTradeMode::ExpireMaker {
            return None;
        }
        if taker.mode != SelfTradeMode::Decrement {
            return Some(CancelReason::SelfTrade);
        }
        let all = Resting { remaining: maker.remaining + maker.reserve, ..*maker };
        let prevented = taker.wanted(&all);
        outcomes.extend(self.shrink(maker.id, prevented));
        if prevented == taker.quantity {
            return Some(CancelReason::SelfTrade);
        }
        taker.take(prevented, maker);
        taker.whole = taker.whole.saturating_sub(prevented);
        outcomes.push(Outcome::Reduce(taker.id, taker.quantity));
        (taker.quantity == 0 && taker.budget == 0).then_some(CancelReason::SelfTrade)
    }

    /// Takes off what has come to its own end, the first end first.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<Outcome> {
        let end = |entry: &Resting| entry.order.expires_at;
        let over = |entry: &&Resting| end(entry) != Timestamp::ZERO && end(entry) <= now;
        let mut ends: Vec<_> = self.all().filter(over).map(|entry| (end(entry), entry.id)).collect();
        ends.sort_unstable();
        ends.into_iter().map(|(_, id)| self.remove(id, CancelReason::Expired)).collect()
    }

    /// Takes an order of the account off.
    pub(crate) fn cancel(&mut self, account: AccountId, id: OrderId) -> Vec<Outcome> {
        let is_there = self.all().any(|order| order.id == id && order.account == account);
        match is_there {
            true => vec![self.remove(id, CancelReason::Requested)],
            false => vec![Outcome::Reject(RejectCode::OrderUnknown)],
        }
    }

    /// Takes an order off and places another, tried on a copy first.
    pub(crate) fn replace(
        &mut self,
        id: OrderId,
        account: AccountId,
        target: OrderId,
        replace: &ReplaceOrder,
    ) -> Vec<Outcome> {
        let refused = |outcomes: &[Outcome]| match outcomes {
            [Outcome::Reject(code)] => Some(*code),
            _ => None,
        };
        let mut copy = self.clone();
        let canceled = copy.cancel(account, target);
        let placed = copy.place(id, account, &replace.order);
        let codes = (refused(&canceled), refused(&placed));
        let stops = replace.mode == ReplaceMode::StopOnFailure || (codes.0.is_some() && codes.1.is_some());
        if let (true, Some(code)) = (stops, codes.0.into_iter().chain(codes.1).min()) {
            return vec![Outcome::Reject(code)];
        }
        *self = copy;
        let is_no_reject = |outcome: &Outcome| !matches!(outcome, Outcome::Reject(_));
        let middle = [Outcome::Replace(codes.0, codes.1)];
        canceled.into_iter().chain(middle).chain(placed).filter(is_no_reject).collect()
    }

    /// Takes all orders of the account off, the oldest first.
    pub(crate) fn cancel_all(&mut self, account: AccountId, side: Option<Side>) -> Vec<Outcome> {
        let concerned = |order: &&Resting| order.account == account && side.is_none_or(|side| side == order.side);
        let mut ids: Vec<OrderId> = self.all().filter(concerned).map(|order| order.id).collect();
        ids.sort_unstable();
        ids.into_iter().map(|id| self.remove(id, CancelReason::MassCancel)).collect()
    }

    /// Changes an order of the account: less of it at the same price in its place, else by another order, `new_id`.
    pub(crate) fn amend(
        &mut self,
        new_id: OrderId,
        account: AccountId,
        id: OrderId,
        amend: &AmendOrder,
    ) -> Vec<Outcome> {
        let all = self.orders.iter_mut().chain(&mut self.waiting);
        let Some(order) = all.into_iter().find(|order| order.id == id && order.account == account) else {
            return vec![Outcome::Reject(RejectCode::OrderUnknown)];
        };
        let filled = order.quantity - order.remaining - order.reserve;
        let new_quantity = amend.new_quantity.0;
        let price = if amend.new_price.0 == 0 { order.price } else { amend.new_price.0 };
        let in_place = price == order.price && new_quantity < order.quantity;
        let same = (new_quantity, price) == (order.quantity, order.price);
        if new_quantity <= filled || same || (amend.mode == AmendMode::KeepPriority && !in_place) {
            return vec![Outcome::Reject(RejectCode::AmendNotSmaller)];
        }
        if in_place {
            return order.make_smaller(order.quantity - new_quantity);
        }
        let old = *order;
        let left = new_quantity - filled;
        let display = old.order.display_quantity.min(Lots(left));
        let instead = PlaceOrder { price: Ticks(price), quantity: Lots(left), display_quantity: display, ..old.order };
        let mut copy = self.clone();
        let mut outcomes = vec![copy.remove(id, CancelReason::Amended)];
        match copy.place(new_id, account, &instead).as_slice() {
            [reject @ Outcome::Reject(_)] => vec![*reject],
            placed => {
                outcomes.extend_from_slice(placed);
                *self = copy;
                outcomes
            }
        }
    }

    /// Sets both sides of a quote, whose orders get the ids `ids`.
    pub(crate) fn quote(&mut self, ids: [OrderId; 2], account: AccountId, quote: &Quote) -> Vec<Outcome> {
        let crossed = quote.bid.price >= quote.ask.price && quote.bid.quantity.0 * quote.ask.quantity.0 > 0;
        if crossed {
            return vec![Outcome::Reject(RejectCode::BadCombination)];
        }
        let mut outcomes = Vec::new();
        let mut asked_for = Vec::new();
        for ((side, wanted), id) in [(Side::Bid, quote.bid), (Side::Ask, quote.ask)].into_iter().zip(ids) {
            let client_id = ClientId::of_quote(quote.slot, side);
            let order = PlaceOrder {
                order_type: quote.order_type,
                self_trade_mode: quote.self_trade_mode,
                client_id,
                ..PlaceOrder::limit(quote.market, side, wanted.price, wanted.quantity)
            };
            let live = self.by_client_id(account, &client_id);
            let is_there = live.is_some_and(|live| {
                (live.price, live.remaining) == (wanted.price.0, wanted.quantity.0)
                    && live.order.order_type == quote.order_type
                    && live.order.self_trade_mode == quote.self_trade_mode
            });
            if let (Some(live), false) = (live, is_there) {
                outcomes.push(self.remove(live.id, CancelReason::Requoted));
            }
            if !is_there && wanted.quantity.0 > 0 {
                asked_for.push((id, order));
            }
        }
        let mut refused = [None; 2];
        for (id, order) in asked_for {
            match self.place(id, account, &order).as_slice() {
                [Outcome::Reject(code)] => refused[order.side as usize] = Some(*code),
                placed => outcomes.extend_from_slice(placed),
            }
        }
        outcomes.push(Outcome::Quote(refused));
        outcomes
    }

    /// A side's orders by price, then by arrival.
    pub(crate) fn side(&self, side: Side) -> Vec<Resting> {
        let mut orders: Vec<Resting> = self.orders.iter().filter(|order| order.side == side).copied().collect();
        orders.sort_by_key(|order| match side {
            Side::Bid => u64::MAX - order.price,
            Side::Ask => order.price,
        });
        orders
    }

    /// The account's live order with this client id.
    pub(crate) fn by_client_id(&self, account: AccountId, client_id: &ClientId) -> Option<Resting> {
        let is_it = |order: &&Resting| order.account == account && order.client_id == *client_id;
        self.all().find(is_it).filter(|_| !client_id.is_empty()).copied()
    }

    /// Everything that is open, in the order of arrival on the book; then what waits.
    fn all(&self) -> impl Iterator<Item = &Resting> {
        self.orders.iter().chain(&self.waiting)
    }

    /// The orders that wait, by age.
    pub(crate) fn waiting(&self) -> &[Resting] {
        &self.waiting
    }

    fn best(&self, side: Side) -> Option<Resting> {
        self.side(side).first().copied()
    }

    /// Takes `quantity` off an order without a trade; one that has no more is gone.
    fn shrink(&mut self, id: OrderId, quantity: u64) -> Vec<Outcome> {
        let place =
            self.orders.iter().position(|order| order.id == id).expect("only orders that rest are made smaller");
        if self.orders[place].remaining + self.orders[place].reserve == quantity {
            return vec![self.remove(id, CancelReason::SelfTrade)];
        }
        self.orders[place].make_smaller(quantity)
    }

    fn remove(&mut self, id: OrderId, reason: CancelReason) -> Outcome {
        let remaining = self.all().find(|order| order.id == id).expect("only orders that are there are removed");
        let remaining = remaining.remaining + remaining.reserve;
        self.orders.retain(|order| order.id != id);
        self.waiting.retain(|order| order.id != id);
        Outcome::Cancel(id, remaining, reason)
    }
}

/// Whether an order that waits does so for the price to rise.
fn rises(entry: &Resting) -> bool {
    let is_stop = matches!(entry.order.order_type, OrderType::StopLoss | OrderType::StopLossLimit);
    is_stop == (entry.side == Side::Bid)
}

/// Whether trades between these two prices trigger an order that waits.
fn is_reached(entry: &Resting, (low, high): (u64, u64)) -> bool {
    match rises(entry) {
        true => entry.order.trigger_price.0 <= high,
        false => entry.order.trigger_price.0 >= low,
    }
}

/// Whether an order of `side` with this limit trades with `maker`.
fn reaches(side: Side, limit: u64, maker: &Resting) -> bool {
    match side {
        Side::Bid => maker.price <= limit,
        Side::Ask => maker.price >= limit,
    }
}

/// The third trader is in the first one's self-trade group.
fn group(account: AccountId) -> AccountId {
    if account == AccountId(3) { AccountId(1) } else { account }
}

fn filled_by(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Fill(_, _, quantity) => *quantity,
        _ => 0,
    }
}
