//! What a market charges: a table of rates by tier, each account's tier, and notice before anything becomes dearer.
//!
//! An order's rates are looked up once, when it is accepted, and stay its own. A table or a tier by which any rate would
//! rise comes into force only when the notice of the genesis is over; one by which none does at once. The last decision
//! counts: it takes the place of one that was announced and has not come into force. A table that lowers some rates and
//! raises others waits as a whole, or the lower ones alone might break the rule that trading never pays.
//!
//! A table is refused unless the lowest taker's rate and the lowest maker's rate of all tiers are not below zero
//! together: whoever trades with whom, the venue pays nobody for it. Bounds: [`FeeTable::TIERS`] tiers, one announced table
//! a market, one announced tier an account. A sub-account has its owner's tier.

use crate::emitter::Emitter;
use crate::engine::{GenesisPhase, Moment, Shard};
use crate::event::Event;
use crate::ids::{AccountId, FeeTier, MarketId};
use crate::indexed_heap::Entry;
use crate::market_spec::{FeeRates, FeeTable, MarketSpec};
use crate::reject::RejectCode;
use crate::units::Timestamp;

/// Something that is announced and when it comes into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announced<T> {
    pub(crate) what: T,
    pub(crate) from: Timestamp,
}

impl Shard {
    /// The rates at which an order of the account would be accepted now.
    #[inline(always)]
    pub(crate) fn fee_rates(&self, account: AccountId, fees: &FeeTable) -> FeeRates {
        fees.of(self.accounts.governing(account).map_or(FeeTier(0), |known| known.fee_tier))
    }

    /// Sets a market's table, or announces it.
    pub(crate) fn set_fees(
        &mut self,
        moment: Moment,
        market: MarketId,
        fees: &FeeTable,
        events: &mut Emitter<'_>,
    ) -> Result<(), RejectCode> {
        let FeeRates { maker: maker_fee, taker: taker_fee } = fees.of(FeeTier(0));
        let spec = MarketSpec { maker_fee, taker_fee, ..self.market(market)?.spec };
        self.validate_market(&spec)?;
        if !fees.is_sound() {
            return Err(RejectCode::BadSpecification);
        }
        let rises = fees.is_dearer_than(&self.market(market)?.fees);
        match self.notice_over(moment, rises) {
            None => self.put_fees_in_force(market, *fees, events),
            Some(from) => {
                self.announce_fees(market, Some(Announced { what: *fees, from }));
                events.push(Event::FeesAnnounced { market, fees: *fees, from });
            }
        }
        Ok(())
    }

    /// Sets an account's tier, or announces it.
    pub(crate) fn set_fee_tier(
        &mut self,
        moment: Moment,
        account: AccountId,
        tier: FeeTier,
        events: &mut Emitter<'_>,
    ) -> Result<(), RejectCode> {
        // The venue trades with nobody, and a sub-account has its owner's tier.
        let known = self.accounts.owner_account(account).filter(|_| account != AccountId(0));
        let before = known.ok_or(RejectCode::AccountUnknown)?.fee_tier;
        if tier.0 >= FeeTable::TIERS {
            return Err(RejectCode::BadSpecification);
        }
        // What is announced counts like what is in force, or a tier could take on a rise without its notice.
        let mut tables = self.markets.iter().flat_map(|market| {
            [Some(&market.fees), market.announced_fees.as_ref().map(|announced| &announced.what)].into_iter().flatten()
        });
        let rises = tables.any(|fees| fees.of(tier).is_dearer_than(fees.of(before)));
        drop(tables);
        match self.notice_over(moment, rises) {
            None => self.put_tier_in_force(account, tier, events),
            Some(from) => {
                self.announce_tier(account, Some(Announced { what: tier, from }));
                events.push(Event::FeeTierAnnounced { account, tier, from });
            }
        }
        Ok(())
    }

    /// When a change comes into force; `None` for at once.
    fn notice_over(&self, moment: Moment, rises: bool) -> Option<Timestamp> {
        let notice_ns = u64::from(self.genesis.fee_notice_s) * 1_000_000_000;
        let waits = rises && notice_ns > 0 && moment.genesis_phase == GenesisPhase::Over;
        waits.then(|| Timestamp(moment.now.0.saturating_add(notice_ns)))
    }

    pub(crate) fn put_fees_in_force(&mut self, market: MarketId, fees: FeeTable, events: &mut Emitter<'_>) {
        self.markets[usize::from(market.0)].set_fees(fees);
        self.announce_fees(market, None);
        events.push(Event::FeesChanged { market, fees });
    }

    pub(crate) fn put_tier_in_force(&mut self, account: AccountId, tier: FeeTier, events: &mut Emitter<'_>) {
        self.accounts.account_mut(account).fee_tier = tier;
        self.announce_tier(account, None);
        events.push(Event::FeeTierChanged { account, tier });
    }

    /// Notes a market's next table, or that there is none, and keeps its place among the deadlines.
    pub(crate) fn announce_fees(&mut self, market: MarketId, announced: Option<Announced<FeeTable>>) {
        self.markets[usize::from(market.0)].announced_fees = announced;
        let slot = u32::from(market.0);
        match announced {
            None => self.announced_fees.remove(slot),
            Some(Announced { from, .. }) => {
                self.announced_fees.set(Entry { key: from.0, tie_break: u64::from(slot), slot });
            }
        }
    }

    /// Notes an account's next tier, or that there is none, and keeps its place among the deadlines.
    pub(crate) fn announce_tier(&mut self, account: AccountId, announced: Option<Announced<FeeTier>>) {
        self.accounts.account_mut(account).announced_tier = announced;
        let slot = account.0;
        match announced {
            None => self.announced_tiers.remove(slot),
            Some(Announced { from, .. }) => {
                self.announced_tiers.set(Entry { key: from.0, tie_break: u64::from(slot), slot });
            }
        }
    }
}
