//! Whether an order may be taken, completely decided before anything changes.
//!
//! The checks stand in the order of the reject codes' numbers, so that an order that breaks several rules is always
//! answered with the lowest.

use crate::allowance::Footing;
use crate::command::{MarketState, OrderType, PlaceOrder, Side, TimeInForce};
use crate::engine::{Moment, Reject, Shard};
use crate::ids::{AccountId, KeyId, MarketId};
use crate::market::{Market, takes_orders};
use crate::market_spec::{FeeRates, MarketSpec};
use crate::order::Order;
use crate::order_request::OrderOptions;
use crate::reject::RejectCode;
use crate::shares::SharedTable;
use crate::triggers::Direction;
use crate::units::{Atoms, FeeRate, Lots, Ticks, Timestamp};

/// Open orders that one account may have in one market.
pub const MAX_OPEN_ORDERS: u32 = 4_096;

impl Shard {
    /// The market, if there is one.
    #[inline(always)]
    pub(crate) fn market(&self, market: MarketId) -> Result<&Market, RejectCode> {
        self.markets.get(usize::from(market.0)).ok_or(RejectCode::MarketUnknown)
    }

    /// Checks everything that can stand against an order and tells the terms that it is taken on.
    #[inline(always)]
    pub(crate) fn validate_order(&self, new: NewOrder<'_>) -> Result<Terms, Reject> {
        let NewOrder { now, account, request, .. } = new;
        let market = self.market(request.market)?;
        if market.state != MarketState::Open && !takes_orders(market.state, new.options.order_type) {
            return Err(RejectCode::MarketClosed.into());
        }
        if new.options.expires_at != Timestamp::ZERO && new.options.expires_at <= now {
            return Err(RejectCode::ExpiryPassed.into());
        }
        let new = NewOrder { price: new.slid_price(market), ..new };
        check_band(market, new)?;
        check_combination(new)?;
        check_client_id_kind(new)?;
        check_ranges(market, new)?;
        let client_hash = market.book.client_hash(account, &request.client_id);
        check_client_id(market, new, client_hash)?;
        check_room(market, new)?;
        let limit = limit_price(market, new)?;
        if new.options.order_type == OrderType::LimitMaker && crosses(market, new, limit) {
            return Err(RejectCode::WouldTrade.into());
        }
        let spec = &market.spec;
        let FeeRates { maker: maker_fee, taker: taker_fee } = self.fee_rates(account, &market.fees);
        // Both are worked out: which side an order is of is a coin toss to the processor, and losing it costs more.
        let holds = [spec.bid_hold_per_lot(limit, maker_fee.max(taker_fee)), Atoms(spec.base_atoms_per_lot)];
        let hold_per_lot = holds[request.side as usize];
        let freed = match new.instead_of {
            Some(old) if old.side == request.side => old.held(),
            _ => Atoms::ZERO,
        };
        let available = self.balances.balance(account, spec.held_asset(request.side)).available;
        let terms = Terms { limit, hold_per_lot, maker_fee, taker_fee, client_hash };
        if available + freed < need(spec, new, terms) {
            return Err(RejectCode::InsufficientBalance.into());
        }
        check_trigger(market, new)?;
        self.check_share(market, new)?;
        self.check_key_limits(new, terms)?;
        self.check_allowed_notional(new, terms)?;
        Ok(terms)
    }

    /// Whether the owner may have one more order in this market's tables.
    #[inline(always)]
    fn check_share(&self, market: &Market, new: NewOrder<'_>) -> Result<(), RejectCode> {
        let takes_room = new.request.time_in_force.rests() || new.options.order_type.waits();
        if !takes_room || self.genesis.share_parts == 1 {
            return Ok(());
        }
        // Who has sub-accounts is looked at with all of his orders, and waiting orders have a table of their own.
        let simple = self.accounts.sub_accounts().is_empty() && !new.options.order_type.waits();
        let (own, levels) =
            (market.book.account_order_count(new.account), market.book.resting().side(new.request.side).count());
        match simple && market.free_room.has(own, market.book.order_count(), levels) {
            true => Ok(()),
            false => self.check_share_of_many(market, (new.account, new.price), new.request, new.instead_of.is_some()),
        }
    }

    fn check_share_of_many(
        &self,
        market: &Market,
        (account, price): (AccountId, Ticks),
        request: &PlaceOrder,
        replaces: bool,
    ) -> Result<(), RejectCode> {
        let (book, parts) = (&market.book, self.genesis.share_parts);
        let own = book.account_order_count(account);
        let all = match self.accounts.sub_accounts().is_empty() {
            true => own,
            false => {
                let family = self.accounts.family(self.accounts.owner_of(account));
                family.map(|account| book.account_order_count(account)).sum()
            }
        };
        let mine = all + 1 - u32::from(replaces);
        let holders = book.holder_count() + u32::from(own == 0);
        let orders = SharedTable { capacity: market.spec.max_orders, used: book.order_count(), parts };
        // What an owner has of levels and of waiting orders is not counted: all of his orders stand for it.
        let fits = if request.order_type.waits() {
            let (capacity, used) = (market.triggers.capacity(), market.triggers.count());
            SharedTable { capacity, used, parts }.has_room_for_at_most(mine, holders)
        } else {
            let levels = book.resting().side(request.side);
            let table = SharedTable { capacity: market.spec.max_levels, used: levels.count(), parts };
            table.has_room_for_at_most(mine, holders) || levels.count_at(price) > 0
        };
        if fits && orders.has_room_for(mine, holders) { Ok(()) } else { Err(RejectCode::TableShareTaken) }
    }
}

/// What was found out about an order on the way to its acceptance, which decides what becomes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// The price that bounds it.
    pub(crate) limit: Ticks,
    /// What each lot that rests holds back.
    pub(crate) hold_per_lot: Atoms,
    pub(crate) maker_fee: FeeRate,
    pub(crate) taker_fee: FeeRate,
    /// Where its client id stands in the book's table, and will.
    pub(crate) client_hash: u32,
}

/// Who has put an order's fields together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OrderSource {
    Trader,
    Engine,
}

/// An order that is asked for. Handed on by value: what a rare rule takes by reference would have to be in memory for all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewOrder<'a> {
    pub(crate) now: Timestamp,
    /// With which key it is asked for; 0 for none, and for one that nothing bounds.
    pub(crate) bounded_key: KeyId,
    /// On what right.
    pub(crate) footing: Footing,
    source: OrderSource,
    pub(crate) account: AccountId,
    pub(crate) request: &'a PlaceOrder,
    /// The request's.
    pub(crate) options: OrderOptions,
    /// Its price, which is the request's but for an order that slides.
    price: Ticks,
    /// The account's order of the same market that goes if this one comes: looked at as if it were gone.
    instead_of: Option<&'a Order>,
}

impl<'a> NewOrder<'a> {
    /// As a trader words it.
    #[inline(always)]
    pub(crate) const fn new(moment: Moment, account: AccountId, request: &'a PlaceOrder) -> Self {
        let Moment { now, bounded_key, footing, .. } = moment;
        let (source, options, price) = (OrderSource::Trader, OrderOptions::of(request), request.price);
        Self { now, bounded_key, footing, source, account, request, options, price, instead_of: None }
    }

    /// The same for a request that [is plain](PlaceOrder::is_plain), by a key that nothing bounds and on its own footing. No
    /// rule that it can meet asks for the time.
    #[inline(always)]
    pub(crate) const fn plain(account: AccountId, request: &'a PlaceOrder) -> Self {
        let (now, bounded_key, footing, options) = (Timestamp::ZERO, KeyId(0), Footing::Own, OrderOptions::PLAIN);
        let (source, price) = (OrderSource::Trader, request.price);
        Self { now, bounded_key, footing, source, account, request, options, price, instead_of: None }
    }

    /// As the engine words it, from a quote or from the order that is amended.
    pub(crate) const fn by_engine(moment: Moment, account: AccountId, request: &'a PlaceOrder) -> Self {
        Self { source: OrderSource::Engine, ..Self::new(moment, account, request) }
    }

    /// The same, with an order that goes for it.
    pub(crate) const fn instead_of(self, old: &'a Order) -> Self {
        Self { instead_of: Some(old), ..self }
    }

    /// The order's price; where a post-only order that may slide would trade, one tick behind the best opposite price.
    #[inline(always)]
    fn slid_price(self, market: &Market) -> Ticks {
        match self.options.order_type == OrderType::LimitMakerSlide {
            true => self.price_that_slid(market),
            false => self.price,
        }
    }

    #[cold]
    fn price_that_slid(self, market: &Market) -> Ticks {
        let price = self.price;
        match (self.best_opposite(market), self.request.side) {
            (Some(best), Side::Bid) if price >= best => Ticks(best.0 - 1),
            (Some(best), Side::Ask) if price <= best && !price.is_zero() => Ticks(best.0 + 1),
            _ => price,
        }
    }

    /// The best price of the other side.
    pub(crate) fn best_opposite(self, market: &Market) -> Option<Ticks> {
        let side = self.request.side.opposite();
        match self.instead_of {
            Some(old) if old.side == side => market.book.orders(side).find(|order| order.id != old.id).map(|o| o.price),
            _ => market.book.best_price(side),
        }
    }
}

/// Whether the order's price, if it names one, is within the band around what the market says: for an order that waits
/// around its trigger price, else around the last price, before the first trade around the best opposite price.
#[inline(always)]
fn check_band(market: &Market, new: NewOrder<'_>) -> Result<(), RejectCode> {
    match market.price_band {
        0 => Ok(()),
        band => check_within_band(market, new, band),
    }
}

fn check_within_band(market: &Market, new: NewOrder<'_>, band: u32) -> Result<(), RejectCode> {
    let NewOrder { price, .. } = new;
    if price.is_zero() {
        return Ok(());
    }
    let middle = match (new.options.trigger_price, market.last_price) {
        (Ticks::ZERO, Ticks::ZERO) => new.best_opposite(market),
        (Ticks::ZERO, last_price) => Some(last_price),
        (trigger_price, _) => Some(trigger_price),
    };
    let Some(middle) = middle else { return Ok(()) };
    let reach = MarketSpec::band_around(middle, band);
    let highest = Ticks(middle.0.saturating_add(reach.0));
    let within = (middle - reach..=highest).contains(&price);
    if within { Ok(()) } else { Err(RejectCode::PriceOutsideBand) }
}

/// Which fields go together with which type.
#[inline(always)]
fn check_combination(new: NewOrder<'_>) -> Result<(), RejectCode> {
    let NewOrder { request, price, .. } = new;
    let has_quantity = !request.quantity.is_zero();
    let has_budget = !new.options.quote_budget.is_zero();
    let has_price = !price.is_zero();
    let fits = match new.options.order_type {
        OrderType::Limit => has_quantity && !has_budget,
        OrderType::LimitMaker | OrderType::LimitMakerSlide => {
            has_quantity && !has_budget && request.time_in_force.rests()
        }
        OrderType::StopLossLimit | OrderType::TakeProfitLimit => has_quantity && !has_budget,
        OrderType::StopLoss | OrderType::TakeProfit => has_quantity && !has_budget && !request.time_in_force.rests(),
        OrderType::Market => {
            let by_quantity = has_quantity && !has_budget;
            let by_budget = has_budget && !has_quantity && request.time_in_force == TimeInForce::ImmediateOrCancel;
            (by_quantity || by_budget) && !request.time_in_force.rests()
        }
    };
    let waits = new.options.order_type.waits();
    let may_hide = !waits && new.options.order_type != OrderType::Market && request.time_in_force.rests();
    let fits = fits && (may_hide || new.options.display_quantity.is_zero());
    let fits = fits && waits != new.options.trigger_price.is_zero();
    let by_date = request.time_in_force == TimeInForce::GoodTillDate;
    let fits = fits && by_date == (new.options.expires_at != Timestamp::ZERO);
    let bounded_by_band =
        matches!(new.options.order_type, OrderType::Market | OrderType::StopLoss | OrderType::TakeProfit);
    let priced = has_price || bounded_by_band;
    match (fits, priced) {
        (false, _) => Err(RejectCode::BadCombination),
        (true, false) => Err(RejectCode::PriceOutOfRange),
        (true, true) => Ok(()),
    }
}

/// The ids of quotes are for quotes: an order that had one would be taken off by the quote of that number.
#[inline(always)]
fn check_client_id_kind(new: NewOrder<'_>) -> Result<(), RejectCode> {
    let is_usurped = new.source == OrderSource::Trader && new.request.client_id.is_of_quote();
    if is_usurped { Err(RejectCode::BadCombination) } else { Ok(()) }
}

/// Price, quantity and notional within the market's bounds.
#[inline(always)]
fn check_ranges(market: &Market, new: NewOrder<'_>) -> Result<(), RejectCode> {
    let (NewOrder { request, price, .. }, spec) = (new, &market.spec);
    if price > spec.max_price || (new.options.trigger_price > spec.max_price) {
        return Err(RejectCode::PriceOutOfRange);
    }
    let by_budget = request.quantity.is_zero();
    if !by_budget && !(spec.min_quantity..=spec.max_quantity).contains(&request.quantity) {
        return Err(RejectCode::QuantityOutOfRange);
    }
    let shown = new.options.display_quantity;
    let too_many_parts = || request.quantity.0.div_ceil(shown.0) > PlaceOrder::MAX_PARTS;
    if !shown.is_zero() && (shown < spec.min_quantity || shown > request.quantity || too_many_parts()) {
        return Err(RejectCode::QuantityOutOfRange);
    }
    let notional = match (by_budget, price) {
        // What the market's bounds allow bounds a budget too; of an order they are the bounds.
        (true, _) if new.options.quote_budget > spec.notional(spec.max_price, spec.max_quantity) => {
            return Err(RejectCode::NotionalTooSmall);
        }
        (true, _) => new.options.quote_budget,
        (false, Ticks::ZERO) => return Ok(()),
        (false, price) => spec.notional(price, request.quantity),
    };
    if notional < spec.min_notional { Err(RejectCode::NotionalTooSmall) } else { Ok(()) }
}

/// A live order with the same client id is in the way; whether it is the same order decides the code.
#[inline(always)]
fn check_client_id(market: &Market, new: NewOrder<'_>, hash: u32) -> Result<(), Reject> {
    match market.book.may_have_client_id(hash) {
        false => Ok(()),
        true => check_known_client_id(market, new, hash),
    }
}

fn check_known_client_id(market: &Market, new: NewOrder<'_>, hash: u32) -> Result<(), Reject> {
    let NewOrder { request, price, .. } = new;
    let Some(slot) = market.book.find_hashed_client_id(new.account, &request.client_id, hash) else { return Ok(()) };
    let live = market.book.order(slot);
    if new.instead_of.is_some_and(|old| old.id == live.id) {
        return Ok(());
    }
    let same = |order: &Order| {
        order.side == request.side
            && order.order_type == new.options.order_type
            && order.time_in_force == request.time_in_force
            && (order.price == price || price.is_zero())
            && order.trigger_price == new.options.trigger_price
            && order.quantity == request.quantity
            && order.display == new.options.display_quantity
            && order.expires_at == new.options.expires_at
    };
    let code = if same(&live) { RejectCode::ClientOrderLive } else { RejectCode::ClientIdInUse };
    Err(Reject { code, order: live.id })
}

/// Room for what may rest.
#[inline(always)]
fn check_room(market: &Market, new: NewOrder<'_>) -> Result<(), RejectCode> {
    let NewOrder { request, price, .. } = new;
    let waits = new.options.order_type.waits();
    if !request.time_in_force.rests() && !waits {
        return Ok(());
    }
    let gone = u32::from(new.instead_of.is_some());
    if market.book.account_order_count(new.account) - gone >= MAX_OPEN_ORDERS {
        return Err(RejectCode::TooManyOpenOrders);
    }
    if market.book.is_full() && gone == 0 {
        return Err(RejectCode::BookFull);
    }
    let frees_level = new.instead_of.is_some_and(|old| old.side == request.side && market.book.is_alone(old));
    if !waits && !frees_level && market.book.lacks_level_for(request.side, price) {
        return Err(RejectCode::LevelsFull);
    }
    Ok(())
}

/// The price that bounds the order: its own, or for an order that trades at once without one the best opposite price,
/// or the trigger price, ± the band.
#[inline(always)]
fn limit_price(market: &Market, new: NewOrder<'_>) -> Result<Ticks, RejectCode> {
    match new.options.order_type {
        OrderType::Market | OrderType::StopLoss | OrderType::TakeProfit => bounded_price(market, new),
        _ => Ok(new.price),
    }
}

fn bounded_price(market: &Market, new: NewOrder<'_>) -> Result<Ticks, RejectCode> {
    let NewOrder { request, price, .. } = new;
    let middle = match new.options.order_type {
        OrderType::Market => new.best_opposite(market).ok_or(RejectCode::NoLiquidity)?,
        _ => new.options.trigger_price,
    };
    if !price.is_zero() {
        return Ok(price);
    }
    let band = MarketSpec::band_around(middle, market.spec.market_order_band).0;
    Ok(match request.side {
        Side::Bid => Ticks(middle.0 + band).min(market.spec.max_price),
        Side::Ask => Ticks((middle.0 - band).max(1)),
    })
}

/// Whether an order that waits has something to wait for, and room.
#[inline(always)]
fn check_trigger(market: &Market, new: NewOrder<'_>) -> Result<(), RejectCode> {
    match new.options.order_type.waits() {
        true => check_waiting(market, new),
        false => Ok(()),
    }
}

fn check_waiting(market: &Market, new: NewOrder<'_>) -> Result<(), RejectCode> {
    let request = new.request;
    let direction = Direction::of(new.options.order_type, request.side);
    if !market.last_price.is_zero() && direction.is_reached(new.options.trigger_price, market.last_price) {
        return Err(RejectCode::WouldTrigger);
    }
    let gone = new.instead_of.is_some_and(|old| market.book.is_waiting(old));
    if market.triggers.is_full() && !gone { Err(RejectCode::TriggersFull) } else { Ok(()) }
}

/// Whether an order at `price` would trade at once.
fn crosses(market: &Market, new: NewOrder<'_>, price: Ticks) -> bool {
    new.best_opposite(market).is_some_and(|best| match new.request.side {
        Side::Bid => best <= price,
        Side::Ask => best >= price,
    })
}

/// What has to be available: the most that the order can cost.
#[inline(always)]
fn need(spec: &MarketSpec, new: NewOrder<'_>, terms: Terms) -> Atoms {
    match (new.request.quantity, new.request.side) {
        (Lots::ZERO, Side::Bid) => {
            let budget = new.options.quote_budget;
            let fee = u64::try_from(terms.taker_fee.fee_on(budget)).expect("a taker's fee is never negative");
            budget + Atoms(fee)
        }
        // Whatever base there is is sold until the budget is reached; none at all is not enough.
        (Lots::ZERO, Side::Ask) => Atoms(spec.base_atoms_per_lot),
        (quantity, _) => hold(terms.hold_per_lot, quantity),
    }
}

/// What `quantity` holds back. Below 2^60 by the market's bounds.
#[inline(always)]
pub(crate) fn hold(hold_per_lot: Atoms, quantity: Lots) -> Atoms {
    Atoms(hold_per_lot.0 * quantity.0)
}
