//! What the owner of a key lets it do at most: so much notional a day, and no price too far on the wrong side.
//!
//! A stolen key can neither move money out nor widen its own limits; what it can do is trade badly with an accomplice.
//! The two limits together bound what that costs. Notional counts when an order is accepted, whether it trades or not: an
//! order does not know the key that placed it, and to count fills alone would let a thief place any number of orders at
//! once. A day is one of UTC by the engine's time.

use crate::allowance::Footing;
use crate::command::{KeyLimits, PlaceOrder, Side};
use crate::emitter::Emitter;
use crate::engine::{Reject, Shard};
use crate::event::Event;
use crate::ids::{AccountId, KeyId, OrderId};
use crate::market_spec::MarketSpec;
use crate::reject::RejectCode;
use crate::units::{Atoms, Lots, Timestamp};
use crate::validate::{NewOrder, Terms};

/// A day of the engine's time.
const DAY_NS: u64 = 86_400_000_000_000;

impl Shard {
    /// Whether the key's owner lets it place this order.
    #[inline(always)]
    pub(crate) fn check_key_limits(&self, new: NewOrder<'_>, terms: Terms) -> Result<(), RejectCode> {
        match self.accounts.key(new.bounded_key) {
            Some(key) if key.limits != KeyLimits::NONE => self.check_limited_key(new, terms),
            _ => Ok(()),
        }
    }

    #[cold]
    fn check_limited_key(&self, new: NewOrder<'_>, terms: Terms) -> Result<(), RejectCode> {
        let market = self.market(new.request.market)?;
        let key = self.accounts.key(new.bounded_key).ok_or(RejectCode::KeyUnknown)?;
        let KeyLimits { notional_per_day, quote, price_band } = key.limits;
        if !notional_per_day.is_zero() {
            let spent = if key.day == day_of(new.now) { key.spent } else { Atoms::ZERO };
            let all = spent.checked_add(notional(&market.spec, new.request, terms));
            if market.spec.quote != quote || all.is_none_or(|all| all > notional_per_day) {
                return Err(RejectCode::KeyLimitReached);
            }
        }
        if price_band == 0 {
            return Ok(());
        }
        // Where nothing says what the market's price is, every price may be a gift.
        let middle = match market.last_price {
            price if price.is_zero() => new.best_opposite(market).ok_or(RejectCode::KeyLimitReached)?,
            price => price,
        };
        let reach = MarketSpec::band_around(middle, price_band);
        let within = match new.request.side {
            Side::Bid => terms.limit.0 <= middle.0.saturating_add(reach.0),
            Side::Ask => terms.limit >= middle - reach,
        };
        if within { Ok(()) } else { Err(RejectCode::KeyLimitReached) }
    }

    /// Takes in an order that has passed every check, and counts it against its key's limit.
    #[inline(always)]
    pub(crate) fn take_in(&mut self, id: OrderId, new: NewOrder<'_>, terms: Terms, events: &mut Emitter<'_>) {
        if self.accounts.key(new.bounded_key).is_some_and(|key| !key.limits.notional_per_day.is_zero()) {
            self.count_notional(new, terms);
        }
        if new.footing == Footing::Allowed {
            self.use_allowance(new.account, new.request, terms);
        }
        self.accept(id, new, terms, events);
    }

    #[cold]
    fn count_notional(&mut self, new: NewOrder<'_>, terms: Terms) {
        let notional = notional(&self.markets[usize::from(new.request.market.0)].spec, new.request, terms);
        let (key, today) = (self.accounts.key_mut(new.bounded_key), day_of(new.now));
        if key.day != today {
            (key.day, key.spent) = (today, Atoms::ZERO);
        }
        key.spent += notional;
    }

    /// Sets what a key of the account may do at most. A key that is limited itself changes no limits.
    #[inline(never)]
    pub(crate) fn limit_key(
        &mut self,
        (account, by): (AccountId, KeyId),
        key: KeyId,
        limits: KeyLimits,
        events: &mut Emitter<'_>,
    ) -> Result<(), Reject> {
        let is_free = self.accounts.key(by).is_some_and(|key| key.limits == KeyLimits::NONE);
        let is_own = self.accounts.key(key).is_some_and(|known| known.account == account);
        if !is_free || !is_own {
            return Err(RejectCode::OutOfScope.into());
        }
        let counts = !limits.notional_per_day.is_zero();
        let known = usize::from(limits.quote.0) < self.assets.len();
        if counts && !known {
            return Err(RejectCode::AssetUnknown.into());
        }
        if limits.price_band > MarketSpec::MAX_BAND || (!counts && limits.quote.0 != 0) {
            return Err(RejectCode::BadSpecification.into());
        }
        self.accounts.bound_key(key, |key| key.limits = limits);
        events.push(Event::KeyLimited { key, limits });
        Ok(())
    }
}

/// The most that the order can come to, before fees.
pub(crate) fn notional(spec: &MarketSpec, request: &PlaceOrder, terms: Terms) -> Atoms {
    match request.quantity {
        Lots::ZERO => request.quote_budget,
        quantity => spec.notional(terms.limit, quantity),
    }
}

fn day_of(now: Timestamp) -> u32 {
    u32::try_from(now.0 / DAY_NS).expect("2^64 ns are 213,504 days")
}
