//! What happens by itself when its time comes: keys and orders that end, fees that come into force, dead-man timers that
//! fire.
//!
//! Time passes for the engine only in `AdvanceTime`, which the sequencer inserts when
//! [`Engine::next_deadline`](crate::Engine::next_deadline) has come; until then an order whose end has passed trades
//! on, in every replay alike. However much is due at once, one command does its share and the rest stands in the
//! agenda, so nothing comes in between. Orders end in any market state: a halt stops trading, not the clock.

use crate::agenda::AgendaItem;
use crate::emitter::Emitter;
use crate::engine::Shard;
use crate::event::{CancelReason, Event, KeyEnd};
use crate::ids::{AccountId, MarketId, Sequence};
use crate::indexed_heap::{Entry, IndexedHeap};
use crate::units::Timestamp;

/// The next thing that is due.
enum Due {
    Fees(MarketId),
    Tier(AccountId),
    Order(MarketId, u32),
    Timer(AccountId),
}

impl Shard {
    /// When something happens by itself next.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        let markets = self.market_deadlines.first().map(|entry| Timestamp(entry.key));
        let [timers, fees, tiers] = [&self.timers, &self.announced_fees, &self.announced_tiers]
            .map(|heap| heap.first().map(|entry| Timestamp(entry.key)));
        [self.accounts.next_expiry(), markets, timers, fees, tiers].into_iter().flatten().min()
    }

    /// Lets everything happen that is due at `until`: keys first, then fees, then orders by time, market and id, then
    /// timers.
    #[inline(never)]
    pub(crate) fn advance_time(&mut self, origin: Sequence, until: Timestamp, events: &mut Emitter<'_>) {
        while self.next_deadline().is_some_and(|deadline| deadline <= until) {
            // The mass cancel of a timer that has fired comes before what is due behind it.
            if self.work == 0 || !self.agenda.is_empty() {
                self.agenda.push(AgendaItem::AdvanceTime(until));
                return;
            }
            self.work -= 1;
            if let Some(key) = self.accounts.expire_one(until) {
                events.push(Event::KeyEnded { key, cause: KeyEnd::Expired });
                continue;
            }
            match self.next_due(until) {
                Due::Fees(market) => {
                    let announced = self.markets[usize::from(market.0)].announced_fees;
                    let fees = announced.expect("a market among these deadlines has a table announced").what;
                    self.put_fees_in_force(market, fees, events);
                }
                Due::Tier(account) => {
                    let announced = self.accounts.account_mut(account).announced_tier;
                    let tier = announced.expect("an account among these deadlines has a tier announced").what;
                    self.put_tier_in_force(account, tier, events);
                }
                Due::Timer(account) => self.fire_timer(origin, account, events),
                Due::Order(market, slot) => self.take_off(market, slot, CancelReason::Expired, events),
            }
        }
    }

    /// What the first deadline of all, which is no key's, belongs to.
    fn next_due(&self, until: Timestamp) -> Due {
        let due = |heap: &IndexedHeap| heap.first().filter(|entry| entry.key <= until.0);
        if let Some(fees) = due(&self.announced_fees) {
            return Due::Fees(market_id(fees.slot));
        }
        if let Some(tier) = due(&self.announced_tiers) {
            return Due::Tier(AccountId(tier.slot));
        }
        let Some(market) = due(&self.market_deadlines) else {
            let timer = self.timers.first().expect("the deadline that has come is a timer's");
            return Due::Timer(AccountId(timer.slot));
        };
        let order = self.markets[market.slot as usize].deadlines.first().expect("its market has it too");
        Due::Order(market_id(market.slot), order.slot)
    }

    /// Keeps the market's place among the deadlines, after an order that ends by itself came or went.
    pub(crate) fn note_deadline(&mut self, market: MarketId) {
        let slot = u32::from(market.0);
        match self.markets[usize::from(market.0)].deadlines.first() {
            Some(first) => self.market_deadlines.set(Entry { key: first.key, tie_break: u64::from(slot), slot }),
            None => self.market_deadlines.remove(slot),
        }
    }
}

fn market_id(slot: u32) -> MarketId {
    MarketId(u16::try_from(slot).expect("market numbers are u16"))
}
