//! The order book of one market: who may trade next, who stands where, whose orders there are.
//!
//! A [`PriceTimeBook`] and what the engine adds to it by slot: ids, holds, fees, and each account's orders. The book
//! knows no money and emits nothing; it keeps orders, levels and ids consistent. Orders are found by slot inside, by
//! order id or by (account, client id) from outside.
//!
//! Bounds: 160 bytes an order (a line of 64, 16 of links, 40 of client id, 40 of what few orders have) and 16 to 32 for
//! the two id tables; what levels take the [`PriceTimeBook`] says; 12 bytes an account.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::command::{OrderReference, PlaceOrder, Side};
use crate::ids::{AccountId, ClientId, OrderId};
use crate::index_table::{IndexTable, Place, Seeds, hash_client_id, hash_sequence};
use crate::order::{Order, OrderDetails, OrderExtras, OrderFlags, OrderLine, Standing};
use crate::order_arena::{NOBODY, RestingOrder};
use crate::prefetch::ask_for;
use crate::price_time_book::PriceTimeBook;
use crate::units::{Lots, Ticks};

/// See the module.
#[derive(Debug)]
pub(crate) struct Book {
    resting: PriceTimeBook<OrderLine>,
    /// By slot; means something only for orders that are flagged to have extras.
    extras: Box<[OrderExtras]>,
    /// By slot; nobody's are where the neighbour of an order stands that has none.
    links: Box<[Links]>,
    /// By slot.
    client_ids: Box<[ClientId]>,
    by_order_id: IndexTable,
    by_client_id: IndexTable,
    /// By account number.
    accounts: Vec<AccountOrders>,
    /// Accounts that have any.
    holders: u32,
    seeds: Seeds,
}

/// One account's orders in this market, by ascending id.
#[derive(Clone, Copy, Debug)]
struct AccountOrders {
    head: u32,
    tail: u32,
    count: u32,
}

/// Where an order stands besides its level: among its account's orders, and in the tables of ids. Kept by itself: taking
/// an order out touches its neighbours' links, which lie anywhere, and all links of a book of 10,000 orders are no more
/// than a sixth of a second-level cache.
#[derive(Clone, Copy, Debug)]
#[repr(align(16))]
struct Links {
    previous: u32,
    next: u32,
    by_order_id: Place,
    by_client_id: Place,
}

impl Links {
    const NONE: Self =
        Self { previous: NOBODY, next: NOBODY, by_order_id: Place::NOWHERE, by_client_id: Place::NOWHERE };
}

impl Book {
    pub(crate) fn new(max_orders: u32, max_levels: u32, accounts: u32, hash_seed: u64) -> Self {
        // Nobody's is among them.
        let slots = max_orders as usize + 1;
        // All zeros; see the levels of [`Ladder`](crate::ladder::Ladder) for what the compiler must not know.
        let nobody = core::hint::black_box(AccountOrders { head: NOBODY, tail: NOBODY, count: 0 });
        Self {
            resting: PriceTimeBook::with_entries(max_orders, max_levels),
            extras: vec![OrderExtras::NONE; slots].into_boxed_slice(),
            links: vec![Links::NONE; slots].into_boxed_slice(),
            client_ids: vec![ClientId::EMPTY; slots].into_boxed_slice(),
            by_order_id: IndexTable::new(max_orders),
            by_client_id: IndexTable::new(max_orders),
            accounts: vec![nobody; accounts as usize],
            holders: 0,
            seeds: Seeds::new(hash_seed),
        }
    }

    /// The orders without what the engine adds.
    #[inline]
    pub(crate) const fn resting(&self) -> &PriceTimeBook<OrderLine> {
        &self.resting
    }

    /// The order in a slot, as matching sees it.
    #[inline]
    pub(crate) fn resting_order(&self, slot: u32) -> &RestingOrder {
        self.resting.order(slot)
    }

    /// What else belongs to the order in a slot.
    #[inline]
    pub(crate) fn details(&self, slot: u32) -> &OrderDetails {
        &self.resting.entry(slot).details
    }

    /// The order in a slot, put together from its parts. Always in line, so that a part which the caller does not use is
    /// not read: each lies on a cache line of its own.
    #[inline(always)]
    pub(crate) fn order(&self, slot: u32) -> Order {
        let line = self.resting.entry(slot);
        let extras = match line.details.flags.has(OrderFlags::EXTRAS) {
            true => &self.extras[slot as usize],
            false => &OrderExtras::NONE,
        };
        line.join(extras, &self.client_ids[slot as usize])
    }

    pub(crate) fn is_full(&self) -> bool {
        self.resting.is_full()
    }

    /// True when an order at `price` would need a price level for which there is no room.
    #[inline(always)]
    pub(crate) fn lacks_level_for(&self, side: Side, price: Ticks) -> bool {
        self.resting.lacks_level_for(side, price)
    }

    /// Orders, resting and waiting.
    pub(crate) fn order_count(&self) -> u32 {
        self.resting.order_count()
    }

    /// Orders of the account, resting and waiting.
    pub(crate) fn account_order_count(&self, account: AccountId) -> u32 {
        self.accounts[account.0 as usize].count
    }

    /// Accounts that have orders here.
    pub(crate) const fn holder_count(&self) -> u32 {
        self.holders
    }

    /// The best price of a side.
    pub(crate) fn best_price(&self, side: Side) -> Option<Ticks> {
        self.resting.best_price(side)
    }

    /// The slot of the order that trades next on a side, if its price is `limit` or better.
    #[inline]
    pub(crate) fn first_within(&self, side: Side, limit: Ticks) -> Option<u32> {
        self.resting.first_within(side, limit)
    }

    /// A side's orders in price-time priority.
    pub(crate) fn orders(&self, side: Side) -> impl Iterator<Item = Order> + use<'_> {
        self.resting.slots(side).map(|slot| self.order(slot))
    }

    /// The account's live order that the reference names.
    #[inline(always)]
    pub(crate) fn find(&self, account: AccountId, target: OrderReference) -> Option<u32> {
        match target {
            OrderReference::OrderId(id) => self.by_order_id.find(self.order_hash(id), |slot| {
                let line = self.resting.entry(slot);
                line.details.id == id && line.resting.owner() == account
            }),
            OrderReference::ClientId(client_id) => self.find_client_id(account, &client_id),
        }
    }

    /// The account's live order with this client id.
    fn find_client_id(&self, account: AccountId, client_id: &ClientId) -> Option<u32> {
        self.find_hashed_client_id(account, client_id, self.client_hash(account, client_id))
    }

    /// Reads where the account's order that is named stands in the tables of ids, and where another one's client id will.
    #[inline]
    pub(crate) fn read_tables_ahead(
        &self,
        account: AccountId,
        target: Option<&OrderReference>,
        placed: Option<&ClientId>,
    ) {
        let named = match target {
            Some(OrderReference::OrderId(id)) => {
                core::hint::black_box(self.by_order_id.may_have(self.order_hash(*id)));
                None
            }
            Some(OrderReference::ClientId(client_id)) => Some(client_id),
            None => None,
        };
        for client_id in [named, placed].into_iter().flatten().filter(|client_id| !client_id.is_empty()) {
            core::hint::black_box(self.may_have_client_id(self.client_hash(account, client_id)));
        }
    }

    /// Reads what will be read and changed of the account's order that is named.
    pub(crate) fn read_ahead(&self, account: AccountId, target: OrderReference) {
        if let Some(slot) = self.find(account, target) {
            let (order, links) = (self.resting.order(slot), self.links[slot as usize]);
            let neighbours = [order.previous, order.next].map(|slot| self.resting.order(slot).remaining());
            let listed = [links.previous, links.next].map(|slot| self.links[slot as usize].next);
            core::hint::black_box((neighbours, listed));
        }
    }

    /// Asks memory for where the account's order that is named stands in the tables of ids. Tells the hash of its name.
    #[inline]
    pub(crate) fn prefetch_name(&self, account: AccountId, target: &OrderReference) -> u32 {
        ask_for(self.accounts.get(account.0 as usize));
        match target {
            OrderReference::OrderId(id) => {
                let hash = self.order_hash(*id);
                self.by_order_id.prefetch(hash);
                hash
            }
            OrderReference::ClientId(client_id) => {
                let hash = self.client_hash(account, client_id);
                self.by_client_id.prefetch(hash);
                hash
            }
        }
    }

    /// The same for what a new order meets and joins.
    #[inline]
    pub(crate) fn prefetch_places(&self, account: AccountId, order: &PlaceOrder) {
        if !order.client_id.is_empty() {
            self.by_client_id.prefetch(self.client_hash(account, &order.client_id));
        }
        ask_for(self.accounts.get(account.0 as usize));
        self.prefetch_slot(self.resting.next_free());
        self.resting.side(order.side).prefetch_level(order.price);
        self.resting.side(order.side.opposite()).prefetch_within(order.price);
    }

    /// Most probably the slot of the order that is named, from the hash of its name.
    #[inline]
    pub(crate) fn candidate(&self, target: &OrderReference, hash: u32) -> Option<u32> {
        match target {
            OrderReference::OrderId(_) => self.by_order_id.candidate(hash),
            OrderReference::ClientId(_) => self.by_client_id.candidate(hash),
        }
    }

    /// The slot of the order that a new one meets first.
    #[inline]
    pub(crate) fn first_met(&self, order: &PlaceOrder) -> Option<u32> {
        self.resting.first_within(order.side.opposite(), order.price)
    }

    /// Asks memory for what lies in a slot.
    #[inline]
    pub(crate) fn prefetch_slot(&self, slot: u32) {
        self.resting.prefetch(slot);
        ask_for(self.links.get(slot as usize));
        ask_for(self.client_ids.get(slot as usize));
    }

    /// Asks memory for the orders behind which a new one comes: of its price, and of its account.
    #[inline]
    pub(crate) fn prefetch_last(&self, account: AccountId, order: &PlaceOrder) {
        if let Some(last) = self.resting.side(order.side).last_at(order.price) {
            self.resting.prefetch(last);
        }
        if let Some(mine) = self.accounts.get(account.0 as usize) {
            ask_for(self.links.get(mine.tail as usize));
        }
    }

    /// Asks memory for the neighbours of the order in a slot, and its level. Tells whose it is.
    #[inline]
    pub(crate) fn prefetch_neighbours(&self, slot: u32) -> AccountId {
        let (order, links) = (self.resting.order(slot), &self.links[slot as usize]);
        [order.previous, order.next].into_iter().for_each(|slot| self.resting.prefetch(slot));
        [links.previous, links.next].into_iter().for_each(|slot| ask_for(self.links.get(slot as usize)));
        self.resting.side(order.side()).prefetch_level(order.price());
        order.owner()
    }

    /// Whether any live order may have a client id with this hash: mostly not.
    #[inline(always)]
    pub(crate) fn may_have_client_id(&self, hash: u32) -> bool {
        self.by_client_id.may_have(hash)
    }

    /// The same with the id's [`Self::client_hash`].
    #[inline]
    pub(crate) fn find_hashed_client_id(&self, account: AccountId, client_id: &ClientId, hash: u32) -> Option<u32> {
        if client_id.is_empty() {
            return None;
        }
        self.by_client_id.find(hash, |slot| {
            self.resting.order(slot).owner() == account && self.client_ids[slot as usize] == *client_id
        })
    }

    /// Whether an order is in the book or waits outside of it.
    #[inline]
    pub(crate) fn standing(&self, slot: u32) -> Standing {
        if self.details(slot).flags.has(OrderFlags::WAITING) { Standing::Waiting } else { Standing::Resting }
    }

    /// Whether the order, which is live, waits.
    pub(crate) fn is_waiting(&self, order: &Order) -> bool {
        let slot = self.find(order.account, OrderReference::OrderId(order.id)).expect("a live order has its id here");
        self.standing(slot) == Standing::Waiting
    }

    /// Whether the order, which is live, rests and is the only one of its price.
    pub(crate) fn is_alone(&self, order: &Order) -> bool {
        !self.is_waiting(order) && self.resting.side(order.side).count_at(order.price) == 1
    }

    /// Puts an order behind all others of its price. Room was checked by the caller. Tells its slot.
    #[inline(always)]
    pub(crate) fn insert(&mut self, order: &Order, client_hash: u32) -> u32 {
        let slot = self.store(order, Standing::Resting, client_hash);
        self.resting.rest(slot);
        slot
    }

    /// Stores an order that has no place in the book yet, but ids and an account. Room was checked by the caller.
    pub(crate) fn insert_waiting(&mut self, order: &Order, client_hash: u32) -> u32 {
        self.store(order, Standing::Waiting, client_hash)
    }

    /// Gives an order that waits its place in the book, behind all others of its price.
    pub(crate) fn rest_waiting(&mut self, slot: u32) {
        let flags = &mut self.resting.entry_mut(slot).details.flags;
        assert!(flags.has(OrderFlags::WAITING), "an order has one place");
        *flags = flags.without(OrderFlags::WAITING);
        self.resting.rest(slot);
    }

    /// Sets what is left of an order that waits.
    pub(crate) fn set_waiting(&mut self, slot: u32, quantity: Lots, remaining: Lots) {
        assert!(self.standing(slot) == Standing::Waiting, "a level's total would be wrong");
        self.resting.entry_mut(slot).details.quantity = quantity;
        self.resting.set_remaining(slot, remaining);
    }

    #[inline(always)]
    fn store(&mut self, order: &Order, standing: Standing, client_hash: u32) -> u32 {
        let slot = self.resting.store(order.side, order.price, order.remaining, order.account);
        let mine = &mut self.accounts[order.account.0 as usize];
        let previous = core::mem::replace(&mut mine.tail, slot);
        self.holders += u32::from(mine.count == 0);
        mine.count += 1;
        match previous {
            NOBODY => mine.head = slot,
            previous => self.links[previous as usize].next = slot,
        }
        let by_client_id = match order.client_id.is_empty() {
            true => Place::NOWHERE,
            false => self.by_client_id.insert(client_hash, slot),
        };
        let by_order_id = self.by_order_id.insert(self.order_hash(order.id), slot);
        self.links[slot as usize] = Links { previous, next: NOBODY, by_order_id, by_client_id };
        let details = OrderDetails::of(order, standing);
        if details.flags.has(OrderFlags::EXTRAS) {
            self.extras[slot as usize] = OrderExtras::of(order);
        }
        self.resting.entry_mut(slot).details = details;
        self.client_ids[slot as usize] = order.client_id;
        slot
    }

    /// Puts the orders of a snapshot back: those that rest in price-time priority, and those that wait.
    pub(crate) fn restore(&mut self, orders: &[Order], waiting: &[Order]) -> Result<(), ()> {
        // Accounts' lists go by id and levels' by priority, so all orders go in by id, outside of every level at first.
        let mut by_id: Vec<&Order> = orders.iter().chain(waiting).collect();
        by_id.sort_by_key(|order| order.id);
        if by_id.windows(2).any(|pair| pair[0].id == pair[1].id) {
            return Err(());
        }
        for order in by_id {
            if self.is_full() {
                return Err(());
            }
            self.insert_waiting(order, self.client_hash(order.account, &order.client_id));
        }
        for order in orders {
            if self.lacks_level_for(order.side, order.price) {
                return Err(());
            }
            let slot = self.find(order.account, OrderReference::OrderId(order.id)).ok_or(())?;
            self.rest_waiting(slot);
        }
        Ok(())
    }

    /// Takes an order off the book.
    #[inline(always)]
    pub(crate) fn remove(&mut self, slot: u32) {
        let OrderLine { resting, details: OrderDetails { id, flags, .. } } = *self.resting.entry(slot);
        let (account, seeds) = (resting.owner(), &self.seeds);
        let Links { previous, next, by_order_id, by_client_id } = self.links[slot as usize];
        match flags.has(OrderFlags::WAITING) {
            true => self.resting.discard(slot),
            false => self.resting.remove(slot),
        }
        let mine = &mut self.accounts[account.0 as usize];
        mine.count -= 1;
        self.holders -= u32::from(mine.count == 0);
        mine.head = if previous == NOBODY { next } else { mine.head };
        mine.tail = if next == NOBODY { previous } else { mine.tail };
        self.links[previous as usize].next = next;
        self.links[next as usize].previous = previous;
        self.by_order_id.remove_at(by_order_id, slot, || hash_sequence(seeds, id.0));
        if flags.has(OrderFlags::CLIENT_ID) {
            let client_id = &self.client_ids[slot as usize];
            self.by_client_id.remove_at(by_client_id, slot, || hash_client_id(seeds, account.0, client_id));
        }
    }

    /// Takes `quantity`, less than what remains, off an order that keeps its place.
    #[inline]
    pub(crate) fn fill(&mut self, slot: u32, quantity: Lots) {
        self.resting.reduce(slot, quantity);
    }

    /// Shows the next part of an order of which all that was shown has traded, behind all others of its price.
    pub(crate) fn refill(&mut self, slot: u32) {
        let extras = &mut self.extras[slot as usize];
        let part = extras.display.min(extras.reserve);
        extras.reserve -= part;
        self.resting.show_anew(slot, part);
    }

    /// Makes what is not shown of an order smaller.
    pub(crate) fn reduce_reserve(&mut self, slot: u32, quantity: Lots) {
        self.extras[slot as usize].reserve -= quantity;
        self.resting.entry_mut(slot).details.quantity -= quantity;
    }

    /// Makes an order smaller by `quantity`, less than what remains; it keeps its place.
    pub(crate) fn reduce(&mut self, slot: u32, quantity: Lots) {
        match self.standing(slot) {
            Standing::Waiting => {
                let remaining = self.resting.order(slot).remaining() - quantity;
                self.resting.set_remaining(slot, remaining);
            }
            Standing::Resting => self.fill(slot, quantity),
        }
        self.resting.entry_mut(slot).details.quantity -= quantity;
    }

    /// The account's next order behind the one in slot `after`, or its first; by ascending id.
    pub(crate) fn account_order_after(&self, account: AccountId, after: Option<u32>) -> Option<u32> {
        let slot = match after {
            None => self.accounts[account.0 as usize].head,
            Some(slot) => self.links[slot as usize].next,
        };
        (slot != NOBODY).then_some(slot)
    }

    #[inline(always)]
    fn order_hash(&self, id: OrderId) -> u32 {
        hash_sequence(&self.seeds, id.0)
    }

    /// Where a client id stands in its table.
    #[inline(always)]
    pub(crate) fn client_hash(&self, account: AccountId, client_id: &ClientId) -> u32 {
        hash_client_id(&self.seeds, account.0, client_id)
    }
}
