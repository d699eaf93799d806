//! A market: its specification, its state, its book, its counters. And the one table of what each state allows.

use alloc::vec::Vec;

use crate::book::Book;
use crate::command::{Genesis, MarketState, OrderReference, OrderType, RestartMode};
use crate::fees::Announced;
use crate::ids::TradeId;
use crate::indexed_heap::{Entry, IndexedHeap};
use crate::market_spec::{FeeTable, MarketSpec};
use crate::order::{Order, OrderFlags, Standing};
use crate::shares::FreeRoom;
use crate::triggers::Triggers;
use crate::units::{Ticks, Timestamp};

/// See the module.
#[derive(Debug)]
pub(crate) struct Market {
    pub(crate) spec: MarketSpec,
    /// Of tier 0 the same as in `spec`.
    pub(crate) fees: FeeTable,
    /// What is charged when the notice is over.
    pub(crate) announced_fees: Option<Announced<FeeTable>>,
    pub(crate) state: MarketState,
    pub(crate) book: Book,
    pub(crate) free_room: FreeRoom,
    pub(crate) last_trade: TradeId,
    pub(crate) feed_sequence: u64,
    /// Orders that end by themselves, next first; by their slot in the book.
    pub(crate) deadlines: IndexedHeap,
    /// The price of the last trade; 0 before the first.
    pub(crate) last_price: Ticks,
    pub(crate) triggers: Triggers,
    /// How far an order's price may be from the market's, in millionths; 0 for any price.
    pub(crate) price_band: u32,
    pub(crate) restart_mode: RestartMode,
    /// The state to which the node may let the market go back, after its start has closed it.
    pub(crate) reopens_to: Option<MarketState>,
}

impl Market {
    pub(crate) fn new(spec: MarketSpec, genesis: &Genesis) -> Self {
        let book = Book::new(spec.max_orders, spec.max_levels, genesis.capacities.accounts, genesis.hash_seed);
        let free_room = FreeRoom::new(spec.max_orders, spec.max_levels, genesis.share_parts);
        let deadlines = IndexedHeap::new(spec.max_orders + 1);
        let triggers = Triggers::new(spec.max_orders);
        let (state, last_trade, last_price) = (MarketState::PreOpen, TradeId(0), Ticks::ZERO);
        Self {
            spec,
            fees: FeeTable::flat(spec.maker_fee, spec.taker_fee),
            announced_fees: None,
            state,
            book,
            free_room,
            last_trade,
            feed_sequence: 0,
            deadlines,
            last_price,
            triggers,
            price_band: 0,
            restart_mode: RestartMode::Stay,
            reopens_to: None,
        }
    }

    /// Sets what is charged.
    pub(crate) fn set_fees(&mut self, fees: FeeTable) {
        self.spec.maker_fee = fees.rates[0].maker;
        self.spec.taker_fee = fees.rates[0].taker;
        self.fees = fees;
    }

    /// Puts an order on the book, and its end among the deadlines.
    #[inline(always)]
    pub(crate) fn insert(&mut self, order: &Order, client_hash: u32) {
        let slot = self.book.insert(order, client_hash);
        self.note_end(slot, order);
    }

    /// Stores an order that waits for its trigger price, and its end among the deadlines.
    pub(crate) fn insert_waiting(&mut self, order: &Order, client_hash: u32) {
        let slot = self.book.insert_waiting(order, client_hash);
        self.triggers.insert(slot, order);
        self.note_end(slot, order);
    }

    #[inline(always)]
    fn note_end(&mut self, slot: u32, order: &Order) {
        if order.expires_at != Timestamp::ZERO {
            self.deadlines.set(Entry { key: order.expires_at.0, tie_break: order.id.0, slot });
        }
    }

    /// Takes an order off the book, and its end out of the deadlines.
    #[inline(always)]
    pub(crate) fn remove(&mut self, slot: u32) {
        if self.book.details(slot).flags.has(OrderFlags::EXTRAS) {
            self.deadlines.remove(slot);
        }
        if self.book.standing(slot) == Standing::Waiting {
            self.triggers.remove(slot);
        }
        self.book.remove(slot);
    }

    /// Puts the orders of a snapshot back: those that rest in price-time priority, and those that wait.
    pub(crate) fn restore(&mut self, orders: &[Order], waiting: &[Order]) -> Result<(), ()> {
        self.book.restore(orders, waiting)?;
        let slot_of =
            |book: &Book, order: &Order| book.find(order.account, OrderReference::OrderId(order.id)).ok_or(());
        for order in orders.iter().chain(waiting) {
            let slot = slot_of(&self.book, order)?;
            self.note_end(slot, order);
        }
        for order in waiting {
            let slot = slot_of(&self.book, order)?;
            self.triggers.insert(slot, order);
        }
        Ok(())
    }

    /// The orders that wait for their trigger price, by id.
    pub(crate) fn waiting(&self) -> Vec<Order> {
        let mut waiting: Vec<Order> = self.triggers.slots().map(|slot| self.book.order(slot)).collect();
        waiting.sort_unstable_by_key(|order| order.id);
        waiting
    }

    /// Notes the price of a trade: the last one, and among those that orders wait for.
    pub(crate) fn note_price(&mut self, price: Ticks) {
        self.last_price = price;
        self.triggers.note_price(price);
    }

    /// The next state that the node may let the market go back to by itself.
    pub(crate) fn next_reopening(&self) -> Option<MarketState> {
        match (self.state, self.reopens_to?) {
            (MarketState::CancelOnly, _) => Some(MarketState::PostOnly),
            (MarketState::PostOnly, MarketState::Open) => Some(MarketState::Open),
            _ => None,
        }
    }

    /// Sets the state. On the way back to where it was it stays on it; any other decision ends that way.
    pub(crate) fn set_state(&mut self, state: MarketState) {
        if self.next_reopening() != Some(state) || self.reopens_to == Some(state) {
            self.reopens_to = None;
        }
        self.state = state;
    }

    /// The node has started anew. Tells whether that closes the market; one that was on its way back begins it again.
    pub(crate) fn close_for_restart(&mut self) -> bool {
        let rests = matches!(self.state, MarketState::Open | MarketState::PostOnly);
        if self.restart_mode == RestartMode::Stay || !rests {
            return false;
        }
        self.reopens_to = self.reopens_to.or(Some(self.state));
        self.state = MarketState::CancelOnly;
        true
    }

    /// Counts one more change of the public book.
    #[inline(always)]
    pub(crate) fn next_feed(&mut self) -> u64 {
        self.feed_sequence += 1;
        self.feed_sequence
    }

    /// Counts one more trade.
    #[inline(always)]
    pub(crate) fn next_trade(&mut self) -> TradeId {
        self.last_trade.0 += 1;
        self.last_trade
    }
}

/// What a market's state allows. An amendment that only takes quantity off goes wherever orders may rest.
///
/// A cancel-replace, an amendment of more than that and a quote are looked at as a cancel and an order.
///
/// | state | order | post-only | amend | cancel |
/// |---|---|---|---|---|
/// | `PreOpen` | – | – | – | yes |
/// | `PostOnly` | – | yes | yes | yes |
/// | `Open` | yes | yes | yes | yes |
/// | `CancelOnly` | – | – | – | yes |
/// | `Halt` | – | – | – | – |
#[inline]
pub(crate) const fn takes_orders(state: MarketState, order_type: OrderType) -> bool {
    match state {
        MarketState::Open => true,
        MarketState::PostOnly => matches!(order_type, OrderType::LimitMaker | OrderType::LimitMakerSlide),
        MarketState::PreOpen | MarketState::CancelOnly | MarketState::Halt => false,
    }
}

/// Whether a market in this state lets orders become smaller.
pub(crate) const fn takes_amendments(state: MarketState) -> bool {
    matches!(state, MarketState::Open | MarketState::PostOnly)
}

/// Whether a market in this state lets orders go.
#[inline]
pub(crate) const fn takes_cancels(state: MarketState) -> bool {
    !matches!(state, MarketState::Halt)
}
