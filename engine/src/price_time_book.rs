//! The bare order book: both sides in price-time priority, and nothing that matching does not need.
//!
//! It knows prices, quantities, sides and owners; it knows no ids, no money and no rules, and emits nothing. Who uses it
//! decides what trades with what and keeps whatever else belongs to an order by the order's slot, which is from 1 to the
//! book's capacity and its own for as long as the order rests. So matching needs no hash, and neither does a cancel by
//! [`OrderHandle`].
//!
//! | memory | bytes |
//! |---|---|
//! | an order | 32, or the size of its entry |
//! | a tick of the window, on either side | 24 and a fifth of a bit |
//! | a level, on either side | 64 more, for when it is outside of the window |
//!
//! ```
//! use lakh_engine::{PriceTimeBook, command::Side, ids::AccountId, units::{Lots, Ticks}};
//!
//! let mut book = PriceTimeBook::new(1_000, 100);
//! let handle = book.insert(Side::Ask, Ticks(101), Lots(5), AccountId(7));
//! let slot = handle.slot();
//! // A buy order that goes up to 102 meets it, takes two lots and leaves it in its place.
//! assert_eq!(book.first_within(Side::Ask, Ticks(102)), Some(slot));
//! assert_eq!(book.trade(slot, Lots(2)), Lots(3));
//! // Its owner cancels what is left.
//! let slot = book.slot(handle).expect("it still rests");
//! book.remove(slot);
//! assert_eq!((book.slot(handle), book.best_price(Side::Ask)), (None, None));
//! // An order of which nothing is left is gone by itself.
//! let other = book.insert(Side::Bid, Ticks(99), Lots(4), AccountId(8));
//! assert_eq!(book.trade(other.slot(), Lots(4)), Lots::ZERO);
//! assert_eq!((book.slot(other), book.order_count()), (None, 0));
//! ```
//!
//! The window's ticks are `max_levels`, rounded up to a power of two, 4,096 at least and 262,144 at most. All memory is
//! taken by [`PriceTimeBook::new`], and touched but for the stacks of levels outside of the window.

use crate::book_side::BookSide;
use crate::command::Side;
use crate::ids::AccountId;
use crate::order_arena::{NOBODY, OrderArena, OrderEntry, OrderHandle, RestingOrder};
use crate::price_level::PriceLevel;
use crate::units::{Lots, Ticks};

/// See the module. An order's entry is the [`RestingOrder`] alone, or one that has more on the same cache line.
#[derive(Debug)]
pub struct PriceTimeBook<Entry = RestingOrder> {
    sides: [BookSide; 2],
    arena: OrderArena<Entry>,
}

impl PriceTimeBook {
    /// An empty book for at most `max_orders` orders at `max_levels` prices of each side.
    pub fn new(max_orders: u32, max_levels: u32) -> Self {
        Self::with_entries(max_orders, max_levels)
    }
}

impl<Entry: OrderEntry> PriceTimeBook<Entry> {
    /// [`PriceTimeBook::new`] with entries of another kind.
    pub(crate) fn with_entries(max_orders: u32, max_levels: u32) -> Self {
        let sides = [Side::Bid, Side::Ask].map(|side| BookSide::new(side, max_levels, max_orders));
        Self { sides, arena: OrderArena::new(max_orders) }
    }

    pub(crate) fn side(&self, side: Side) -> &BookSide {
        &self.sides[side as usize]
    }

    /// Orders that there are.
    pub fn order_count(&self) -> u32 {
        self.arena.count()
    }

    /// True when no further order has room.
    pub fn is_full(&self) -> bool {
        self.arena.is_full()
    }

    /// True when an order at `price` would need a price level for which there is no room.
    #[inline(always)]
    pub fn lacks_level_for(&self, side: Side, price: Ticks) -> bool {
        self.side(side).lacks_room_for(price)
    }

    /// The best price of a side.
    #[inline]
    pub fn best_price(&self, side: Side) -> Option<Ticks> {
        self.side(side).best_price()
    }

    /// The slot of the order that trades next on a side, if its price is `limit` or better.
    #[inline]
    pub fn first_within(&self, side: Side, limit: Ticks) -> Option<u32> {
        self.side(side).first_within(limit)
    }

    /// The order in a slot.
    ///
    /// # Panics
    /// When the slot is beyond the book's capacity. What a slot without an order holds, 0 among them, means nothing.
    #[inline]
    pub fn order(&self, slot: u32) -> &RestingOrder {
        self.arena.order(slot)
    }

    /// The whole entry of a slot.
    #[inline]
    pub(crate) fn entry(&self, slot: u32) -> &Entry {
        self.arena.entry(slot)
    }

    /// The whole entry of a slot, of which the order stays as it is.
    #[inline]
    pub(crate) fn entry_mut(&mut self, slot: u32) -> &mut Entry {
        self.arena.entry_mut(slot)
    }

    /// Asks memory for a slot's entry.
    #[inline]
    pub(crate) fn prefetch(&self, slot: u32) {
        self.arena.prefetch(slot);
    }

    /// The slot of the next order that comes.
    #[inline]
    pub(crate) const fn next_free(&self) -> u32 {
        self.arena.next_free()
    }

    /// A handle for the order in a slot.
    #[inline]
    pub fn handle(&self, slot: u32) -> OrderHandle {
        self.arena.handle(slot)
    }

    /// The slot of the order that the handle names; `None` when that order rests no more.
    #[inline]
    pub fn slot(&self, handle: OrderHandle) -> Option<u32> {
        self.arena.slot(handle)
    }

    /// Puts an order behind all others of its price and tells its handle.
    ///
    /// # Panics
    /// When there is no room (see [`Self::is_full`] and [`Self::lacks_level_for`]), for a quantity of 0, for the prices
    /// 0 and `u64::MAX`, and for an owner of 2^31 or more.
    #[inline]
    pub fn insert(&mut self, side: Side, price: Ticks, quantity: Lots, owner: AccountId) -> OrderHandle {
        assert!(!quantity.is_zero(), "an order has something to trade");
        let (slot, entries) = self.arena.insert(side, price, quantity, owner);
        self.sides[side as usize].push_back(entries, slot);
        OrderHandle::new(slot, entries[slot as usize].order())
    }

    /// Stores an order outside of every level and tells its slot. There is room for it.
    #[inline(always)]
    pub(crate) fn store(&mut self, side: Side, price: Ticks, quantity: Lots, owner: AccountId) -> u32 {
        assert!(!quantity.is_zero(), "an order has something to trade");
        self.arena.insert(side, price, quantity, owner).0
    }

    /// Puts an order that is in no level behind all others of its price.
    #[inline(always)]
    pub(crate) fn rest(&mut self, slot: u32) {
        let entries = self.arena.entries_mut();
        let side = entries[slot as usize].order().side();
        self.sides[side as usize].push_back(entries, slot);
    }

    /// Sets what is left of an order that is in no level.
    pub(crate) fn set_remaining(&mut self, slot: u32, remaining: Lots) {
        self.arena.order_mut(slot).remaining = remaining;
    }

    /// Takes away an order that is in no level.
    pub(crate) fn discard(&mut self, slot: u32) {
        self.arena.remove(slot);
    }

    /// Takes an order off the book.
    ///
    /// # Panics
    /// When there is no order in the slot.
    #[inline(always)]
    pub fn remove(&mut self, slot: u32) {
        let (order, entries) = self.arena.remove(slot);
        self.sides[order.side() as usize].unlink(entries, &order);
    }

    /// Takes `quantity` off an order that keeps its place.
    ///
    /// # Panics
    /// When it is not less than what remains of the order.
    #[inline]
    pub fn reduce(&mut self, slot: u32, quantity: Lots) {
        let order = self.arena.order_mut(slot);
        assert!(quantity < order.remaining, "an order without a rest is removed");
        self.sides[order.side() as usize].reduce(order, quantity);
    }

    /// Takes `quantity` off an order that trades, and the order off the book where nothing is left. Tells what is left.
    ///
    /// # Panics
    /// When there is no order in the slot, and when it has less than that.
    #[inline(always)]
    pub fn trade(&mut self, slot: u32, quantity: Lots) -> Lots {
        let order = self.arena.order_mut(slot);
        if order.remaining == quantity {
            self.remove(slot);
            return Lots::ZERO;
        }
        let side = order.side();
        self.sides[side as usize].reduce(order, quantity);
        order.remaining
    }

    /// Puts an order behind all others of its price, with so much left.
    pub(crate) fn show_anew(&mut self, slot: u32, remaining: Lots) {
        let entries = self.arena.entries_mut();
        let order = *entries[slot as usize].order();
        let side = &mut self.sides[order.side() as usize];
        side.unlink(entries, &order);
        entries[slot as usize].order_mut().remaining = remaining;
        side.push_back(entries, slot);
    }

    /// The slots of a side's orders in price-time priority.
    pub fn slots(&self, side: Side) -> impl Iterator<Item = u32> + use<'_, Entry> {
        self.side(side).levels().flat_map(|(_, level)| self.slots_of(level))
    }

    fn slots_of(&self, level: &PriceLevel) -> impl Iterator<Item = u32> + use<'_, Entry> {
        core::iter::successors(Some(level.head), |slot| {
            let next = self.order(*slot).next;
            (next != NOBODY).then_some(next)
        })
    }
}
