//! What each key may ask for, over all of its connections and all verifiers. Only a signature that holds, or a session
//! that was opened by one, is ever charged here: keys are public, and nobody may use up another's budget.
//!
//! A new order is charged three times: as a request, as an order, and to its day. A cancel is charged to nothing of
//! that: it lowers the load that follows. A key may cancel as much as its account has live orders, and what it has just
//! placed, and an allowance besides, in each second; only beyond that it asks for work without an end.
//! Bounds: [`KeyLimits::keys`] keys are remembered; of those that have nothing to pay back nothing has to be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use lakh_engine::ids::{AccountId, KeyId};
use lakh_engine::units::Timestamp;
use parking_lot::{Mutex, RwLock};

use crate::id_map::IdMap;
use crate::limits::{Charge, Rate, TokenBucket};
use crate::wire::json::response::{Budget, OrderBudgets};

const SECOND_NS: u64 = 1_000_000_000;
const DAY_NS: u64 = 86_400 * SECOND_NS;

/// Limits of each key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLimits {
    /// Signed requests that are no cancels.
    pub requests: Rate,
    /// New orders.
    pub orders: Rate,
    /// New orders of a day in UTC.
    pub orders_per_day: u32,
    /// Cancels of a second beyond the account's live orders.
    pub cancel_allowance: u32,
    /// Keys that are remembered at once.
    pub keys: usize,
}

impl Default for KeyLimits {
    fn default() -> Self {
        let rate = Rate { per_second: 100_000, burst: 100_000 };
        Self { requests: rate, orders: rate, orders_per_day: u32::MAX, cancel_allowance: 100_000, keys: 65_536 }
    }
}

/// What of a key's budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// All requests.
    Requests,
    /// New orders, for a moment.
    Orders,
    /// New orders, until tomorrow.
    OrdersOfTheDay,
    /// Even cancels.
    Cancels,
}

/// What a request does, as far as its price goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Places an order.
    Order,
    /// Only takes orders off.
    Cancel,
    /// Anything else.
    Other,
}

impl Errand {
    /// Charges a connection's or an address's bucket for one such request; cancels are the last to be refused.
    pub(crate) fn charge(self, bucket: &TokenBucket, now: Timestamp) -> Charge {
        match self {
            Self::Cancel => bucket.charge_cancel(now),
            Self::Order | Self::Other => bucket.charge(1, now),
        }
    }
}

/// What one signature asks for, counted: a frame has many errands, and is taken with all of them or not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errands {
    orders: u32,
    cancels: u32,
    others: u32,
}

impl From<Errand> for Errands {
    fn from(errand: Errand) -> Self {
        [errand].into_iter().collect()
    }
}

impl FromIterator<Errand> for Errands {
    fn from_iter<I: IntoIterator<Item = Errand>>(errands: I) -> Self {
        let mut counted = Self::default();
        for errand in errands {
            match errand {
                Errand::Order => counted.orders += 1,
                Errand::Cancel => counted.cancels += 1,
                Errand::Other => counted.others += 1,
            }
        }
        counted
    }
}

/// The live orders of each owner, all of his accounts together, as the publisher knows them: written by it, read by whoever
/// limits cancels. A key speaks for all of its owner's accounts.
#[derive(Debug, Default)]
pub struct LiveOrders(RwLock<IdMap<AccountId, AccountOrders>>);

/// An account's live orders, and those of its owner.
#[derive(Debug, Default)]
struct AccountOrders {
    own: AtomicU32,
    of_owner: Arc<AtomicU32>,
}

impl AccountOrders {
    fn set(&self, count: u32) {
        let before = self.own.swap(count, Ordering::Relaxed);
        self.of_owner.fetch_add(count.wrapping_sub(before), Ordering::Relaxed);
    }
}

impl LiveOrders {
    /// Takes in how many live orders an account has. The publisher alone does.
    pub fn set(&self, account: AccountId, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        if let Some(known) = self.0.read().get(&account) {
            return known.set(count);
        }
        self.0.write().entry(account).or_default().set(count);
    }

    /// A sub-account is `owner`'s: its orders are counted with his from here on.
    pub fn join(&self, account: AccountId, owner: AccountId) {
        let of_owner = self.of(owner);
        self.0.write().entry(account).or_insert(AccountOrders { own: AtomicU32::new(0), of_owner });
    }

    /// The count of the account's owner, which goes on changing.
    fn of(&self, account: AccountId) -> Arc<AtomicU32> {
        if let Some(known) = self.0.read().get(&account) {
            return Arc::clone(&known.of_owner);
        }
        Arc::clone(&self.0.write().entry(account).or_default().of_owner)
    }
}

/// The budgets of all keys.
#[derive(Debug)]
pub struct KeyBudgets {
    limits: KeyLimits,
    keys: Mutex<IdMap<KeyId, Arc<KeyBudget>>>,
}

impl KeyBudgets {
    /// Nobody has used anything.
    pub fn new(limits: KeyLimits) -> Self {
        Self { limits, keys: Mutex::default() }
    }

    /// The limits that all keys have.
    pub const fn limits(&self) -> KeyLimits {
        self.limits
    }

    /// A key's budget; `None` when as many keys as are remembered have something to pay back.
    pub fn of(&self, key: KeyId, account: AccountId, live: &LiveOrders, now: Timestamp) -> Option<Arc<KeyBudget>> {
        let mut keys = self.keys.lock();
        if let Some(known) = keys.get(&key) {
            return Some(Arc::clone(known));
        }
        if keys.len() >= self.limits.keys {
            keys.retain(|_, budget| budget.owes(now));
            if keys.len() >= self.limits.keys {
                return None;
            }
        }
        let budget = Arc::new(KeyBudget::new(&self.limits, live.of(account)));
        keys.insert(key, Arc::clone(&budget));
        Some(budget)
    }

    /// What a reply tells of a key's orders.
    pub fn order_budgets(&self, key: KeyId, now: Timestamp) -> OrderBudgets {
        let known = self.keys.lock().get(&key).map(Arc::clone);
        known.map_or_else(|| OrderBudgets::unused(&self.limits), |budget| budget.order_budgets(now))
    }
}

/// What one key may ask for and has asked for.
#[derive(Debug)]
pub struct KeyBudget {
    requests: TokenBucket,
    orders: TokenBucket,
    day: DayCount,
    cancel_allowance: u32,
    cancels: Mutex<CancelWindow>,
    live_orders: Arc<AtomicU32>,
}

impl KeyBudget {
    fn new(limits: &KeyLimits, live_orders: Arc<AtomicU32>) -> Self {
        Self {
            requests: TokenBucket::new(limits.requests),
            orders: TokenBucket::new(limits.orders),
            day: DayCount { limit: limits.orders_per_day, day_and_count: AtomicU64::new(0) },
            cancel_allowance: limits.cancel_allowance,
            cancels: Mutex::default(),
            live_orders,
        }
    }

    /// Takes the price of a request out of the budget.
    ///
    /// # Errors
    /// What of it is used up. What was taken out before that stays out.
    pub fn charge(&self, errands: impl Into<Errands>, now: Timestamp) -> Result<(), Exhausted> {
        let Errands { orders, cancels, others } = errands.into();
        let live = self.live_orders.load(Ordering::Relaxed);
        if orders + others > 0 {
            paid(self.requests.charge(u64::from(orders + others), now), Exhausted::Requests)?;
        }
        if orders > 0 {
            paid(self.orders.charge(u64::from(orders), now), Exhausted::Orders)?;
            paid(self.day.charge(orders, now), Exhausted::OrdersOfTheDay)?;
        }
        if orders + cancels == 0 {
            return Ok(());
        }
        let mut window = self.cancels.lock();
        window.look(live, now);
        window.placed = window.placed.saturating_add(orders);
        window.cancel(cancels, self.cancel_allowance)
    }

    /// When there is something of it again, in nanoseconds.
    pub fn wait_ns(&self, exhausted: Exhausted, now: Timestamp) -> u64 {
        match exhausted {
            Exhausted::Requests => self.requests.wait_ns(now),
            Exhausted::Orders => self.orders.wait_ns(now),
            Exhausted::OrdersOfTheDay => DAY_NS - now.0 % DAY_NS,
            Exhausted::Cancels => SECOND_NS,
        }
    }

    /// What a reply tells of it.
    pub fn order_budgets(&self, now: Timestamp) -> OrderBudgets {
        let (limit, used) = (u64::from(self.day.limit), u64::from(self.day.used(now)));
        OrderBudgets { moment: self.orders.budget(now), day: Budget { limit, used, interval_s: DAY_NS / SECOND_NS } }
    }

    /// Whether forgetting it would give the key something.
    fn owes(&self, now: Timestamp) -> bool {
        self.requests.budget(now).used > 0 || self.orders.budget(now).used > 0 || self.day.used(now) > 0
    }
}

fn paid(charge: Charge, exhausted: Exhausted) -> Result<(), Exhausted> {
    match charge {
        Charge::Paid => Ok(()),
        Charge::Refused => Err(exhausted),
    }
}

/// Orders of a day: the day's number in the upper half, how many in the lower.
#[derive(Debug)]
struct DayCount {
    limit: u32,
    day_and_count: AtomicU64,
}

impl DayCount {
    fn charge(&self, orders: u32, now: Timestamp) -> Charge {
        let today = (now.0 / DAY_NS) << 32;
        let counted = self.day_and_count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| {
            // A clock that went back past midnight counts on in the later day.
            let count = if before >= today { before & 0xffff_ffff } else { 0 };
            let count = count + u64::from(orders);
            (count <= u64::from(self.limit)).then(|| (before & !0xffff_ffff).max(today) | count)
        });
        if counted.is_ok() { Charge::Paid } else { Charge::Refused }
    }

    fn used(&self, now: Timestamp) -> u32 {
        let counted = self.day_and_count.load(Ordering::Relaxed);
        if counted >> 32 < now.0 / DAY_NS { 0 } else { u32::try_from(counted & 0xffff_ffff).expect("32 bits") }
    }
}

/// The cancels of a second, and what they are held against.
#[derive(Debug, Default)]
struct CancelWindow {
    began_at: Timestamp,
    /// The most live orders that were seen in it.
    live: u32,
    placed: u32,
    cancels: u32,
}

impl CancelWindow {
    fn cancel(&mut self, cancels: u32, allowance: u32) -> Result<(), Exhausted> {
        let budget = self.live.saturating_add(self.placed).saturating_add(allowance);
        if self.cancels.saturating_add(cancels) > budget {
            return Err(Exhausted::Cancels);
        }
        self.cancels += cancels;
        Ok(())
    }

    fn look(&mut self, live: u32, now: Timestamp) {
        if now.0.saturating_sub(self.began_at.0) >= SECOND_NS {
            *self = Self { began_at: now, ..Self::default() };
        }
        self.live = self.live.max(live);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(20_000 * DAY_NS + 5 * SECOND_NS);

    fn limits() -> KeyLimits {
        KeyLimits {
            requests: Rate { per_second: 1, burst: 6 },
            orders: Rate { per_second: 1, burst: 2 },
            orders_per_day: 3,
            cancel_allowance: 2,
            keys: 2,
        }
    }

    fn later(seconds: u64) -> Timestamp {
        Timestamp(NOW.0 + seconds * SECOND_NS)
    }

    fn budget(budgets: &KeyBudgets, live: &LiveOrders, key: u32) -> Option<Arc<KeyBudget>> {
        budgets.of(KeyId(key), AccountId(key), live, NOW)
    }

    #[test]
    fn an_order_is_charged_as_request_as_order_and_to_its_day() {
        let (budgets, live) = (KeyBudgets::new(limits()), LiveOrders::default());
        let one = budget(&budgets, &live, 1).unwrap();
        assert_eq!((one.charge(Errand::Order, NOW), one.charge(Errand::Order, NOW)), (Ok(()), Ok(())));
        assert_eq!(one.charge(Errand::Order, NOW), Err(Exhausted::Orders));
        let told = budgets.order_budgets(KeyId(1), NOW);
        assert_eq!((told.moment.used, told.moment.limit, told.day.used, told.day.limit), (2, 2, 2, 3));
        assert_eq!(one.charge(Errand::Order, later(2)), Ok(()));
        assert_eq!(one.charge(Errand::Order, later(4)), Err(Exhausted::OrdersOfTheDay));
        let other = budget(&budgets, &live, 2).unwrap();
        assert_eq!(other.charge(Errand::Order, NOW), Ok(()), "another key has its own");
        let tomorrow = Timestamp(NOW.0 + DAY_NS);
        assert_eq!(one.charge(Errand::Order, tomorrow), Ok(()));
        assert_eq!(one.day.charge(1, NOW), Charge::Paid, "a clock that goes back begins no new day");
        assert_eq!(budgets.order_budgets(KeyId(1), tomorrow).day.used, 2);
        (0..6).for_each(|_| assert_eq!(other.charge(Errand::Other, later(60)), Ok(())));
        assert_eq!(other.charge(Errand::Other, later(60)), Err(Exhausted::Requests));
        assert_eq!(other.charge(Errand::Cancel, later(60)), Ok(()), "cancels are the last to be limited");
    }

    #[test]
    fn a_key_cancels_what_is_live_what_it_placed_and_some_more() {
        let (budgets, live) = (KeyBudgets::new(limits()), LiveOrders::default());
        live.set(AccountId(1), 3);
        let one = budget(&budgets, &live, 1).unwrap();
        let cancels = |now| (0..100).take_while(|_| one.charge(Errand::Cancel, now).is_ok()).count();
        assert_eq!(cancels(NOW), 5, "three live and two more");
        live.set(AccountId(1), 0);
        assert_eq!(one.charge(Errand::Order, NOW), Ok(()));
        assert_eq!(cancels(NOW), 1, "what was placed may go again");
        assert_eq!(cancels(later(1)), 2, "nothing is live any more");
        live.set(AccountId(1), 40);
        assert_eq!(cancels(later(1)), 40);
    }

    #[test]
    fn a_frame_is_charged_for_each_of_its_operations() {
        let (budgets, live) = (KeyBudgets::new(limits()), LiveOrders::default());
        let one = budget(&budgets, &live, 1).unwrap();
        let frame = |orders, cancels, others| Errands { orders, cancels, others };
        assert_eq!(one.charge(frame(2, 4, 1), NOW), Ok(()), "its own orders may be cancelled");
        assert_eq!(one.charge(frame(1, 0, 0), NOW), Err(Exhausted::Orders));
        assert_eq!(one.charge(frame(0, 1, 0), NOW), Err(Exhausted::Cancels));
        assert_eq!(one.charge(frame(0, 0, 2), NOW), Ok(()));
        assert_eq!(one.charge(frame(0, 0, 1), NOW), Err(Exhausted::Requests), "six, one of them for nothing");
        assert_eq!(one.charge(frame(2, 0, 0), later(60)), Err(Exhausted::OrdersOfTheDay), "there is one more, not two");
        let mixed = [Errand::Order, Errand::Cancel, Errand::Other, Errand::Cancel];
        assert_eq!(mixed.into_iter().collect::<Errands>(), frame(1, 2, 1));
    }

    #[test]
    fn what_is_owed_is_not_forgotten() {
        let (budgets, live) = (KeyBudgets::new(limits()), LiveOrders::default());
        let one = budget(&budgets, &live, 1).unwrap();
        one.charge(Errand::Order, NOW).unwrap();
        budget(&budgets, &live, 2).unwrap();
        budget(&budgets, &live, 3).expect("key 2 owes nothing");
        assert!(Arc::ptr_eq(&one, &budget(&budgets, &live, 1).unwrap()));
        budget(&budgets, &live, 3).unwrap().charge(Errand::Other, NOW).unwrap();
        assert!(budget(&budgets, &live, 4).is_none(), "both have something to pay back");
        assert_eq!(budgets.order_budgets(KeyId(9), NOW).moment.used, 0, "who is not known has used nothing");
    }
}
