//! The order book of one market: who may trade next, who stands where, whose orders there are.
//!
//! A [`PriceTimeBook`] and what the engine adds to it by slot: ids, holds, fees, and each account's orders. The book
//! knows no money and emits nothing; it keeps orders, levels and ids consistent. Orders are found by slot inside, by
//! order id or by (account, client id) from outside.
//!
//! Bounds: 81 bytes an order here (32 of details, 12 of links, 37 of client id), 16 to 32 for the two id tables, 32 in
//! the [`PriceTimeBook`], which also says what levels take; 12 bytes an account.

use crate::command::{OrderReference, Side};
use crate::ids::{AccountId, ClientId, OrderId};
use crate::index_table::{IndexTable, NONE, hash_client_id, hash_sequence};
use crate::order::{ClientIdGiven, Order, OrderDetails};
use crate::order_arena::RestingOrder;
use crate::price_time_book::PriceTimeBook;
use crate::units::{Lots, Ticks};

/// See the module.
#[derive(Debug)]
pub(crate) struct Book {
    resting: PriceTimeBook,
    /// By slot.
    details: Box<[OrderDetails]>,
    /// By slot.
    account_links: Box<[AccountLinks]>,
    /// By slot.
    client_ids: Box<[ClientId]>,
    by_order_id: IndexTable,
    by_client_id: IndexTable,
    /// By account number.
    accounts: Vec<AccountOrders>,
    hash_seed: u64,
}

/// One account's orders in this market, by ascending id.
#[derive(Clone, Copy, Debug)]
struct AccountOrders {
    head: u32,
    tail: u32,
    count: u32,
}

/// An order's place among its account's orders. Kept by itself: taking an order out touches its neighbours' links, which
/// lie anywhere, and all links of a book of 10,000 orders are no more than an eighth of a second-level cache.
#[derive(Clone, Copy, Debug)]
struct AccountLinks {
    previous: u32,
    next: u32,
    /// Where the client's id stands in its table.
    client_hash: u32,
}

impl Book {
    pub(crate) fn new(max_orders: u32, max_levels: u32, accounts: u32, hash_seed: u64) -> Self {
        let nobody = AccountOrders { head: NONE, tail: NONE, count: 0 };
        Self {
            resting: PriceTimeBook::new(max_orders, max_levels),
            details: vec![OrderDetails::VACANT; max_orders as usize].into_boxed_slice(),
            account_links: vec![AccountLinks { previous: NONE, next: NONE, client_hash: 0 }; max_orders as usize]
                .into_boxed_slice(),
            client_ids: vec![ClientId::EMPTY; max_orders as usize].into_boxed_slice(),
            by_order_id: IndexTable::new(max_orders),
            by_client_id: IndexTable::new(max_orders),
            accounts: vec![nobody; accounts as usize],
            hash_seed,
        }
    }

    /// The orders without what the engine adds.
    #[inline]
    pub(crate) const fn resting(&self) -> &PriceTimeBook {
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
        &self.details[slot as usize]
    }

    /// The order in a slot, put together from its parts.
    #[inline]
    pub(crate) fn order(&self, slot: u32) -> Order {
        self.details(slot).join(self.resting.order(slot), &self.client_ids[slot as usize])
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.resting.is_full()
    }

    /// True when an order at `price` would need a price level for which there is no room.
    #[inline]
    pub(crate) fn lacks_level_for(&self, side: Side, price: Ticks) -> bool {
        self.resting.lacks_level_for(side, price)
    }

    /// Resting orders.
    pub(crate) const fn order_count(&self) -> u32 {
        self.resting.order_count()
    }

    /// Resting orders of the account.
    pub(crate) fn account_order_count(&self, account: AccountId) -> u32 {
        self.accounts[account.0 as usize].count
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
    #[inline]
    pub(crate) fn find(&self, account: AccountId, target: OrderReference) -> Option<u32> {
        match target {
            OrderReference::OrderId(id) => {
                let slot = self.by_order_id.find(self.order_hash(id), |slot| self.details(slot).id == id)?;
                (self.resting.order(slot).owner() == account).then_some(slot)
            }
            OrderReference::ClientId(client_id) => self.find_client_id(account, &client_id),
        }
    }

    /// The account's live order with this client id.
    #[inline]
    pub(crate) fn find_client_id(&self, account: AccountId, client_id: &ClientId) -> Option<u32> {
        if client_id.is_empty() {
            return None;
        }
        self.by_client_id.find(self.client_hash(account, client_id), |slot| {
            self.resting.order(slot).owner() == account && self.client_ids[slot as usize] == *client_id
        })
    }

    /// Puts an order behind all others of its price. Room was checked by the caller.
    pub(crate) fn insert(&mut self, order: &Order) {
        let slot = self.resting.insert(order.side, order.price, order.remaining, order.account);
        let mine = &mut self.accounts[order.account.0 as usize];
        let previous = core::mem::replace(&mut mine.tail, slot);
        mine.count += 1;
        match previous {
            NONE => mine.head = slot,
            previous => self.account_links[previous as usize].next = slot,
        }
        let mut client_hash = 0;
        if !order.client_id.is_empty() {
            client_hash = self.client_hash(order.account, &order.client_id);
            self.by_client_id.insert(client_hash, slot);
        }
        self.account_links[slot as usize] = AccountLinks { previous, next: NONE, client_hash };
        self.details[slot as usize] = OrderDetails::of(order);
        self.client_ids[slot as usize] = order.client_id;
        self.by_order_id.insert(self.order_hash(order.id), slot);
    }

    /// Puts the orders of a snapshot back, given in price-time priority.
    pub(crate) fn restore(&mut self, orders: &[Order]) -> Result<(), ()> {
        // Accounts' lists go by id and levels' by priority, so the orders go in by id and each level is then sorted out
        // by taking its orders to the back in their priority.
        let mut by_id: Vec<&Order> = orders.iter().collect();
        by_id.sort_by_key(|order| order.id);
        if by_id.windows(2).any(|pair| pair[0].id == pair[1].id) {
            return Err(());
        }
        for order in by_id {
            if self.is_full() || self.lacks_level_for(order.side, order.price) {
                return Err(());
            }
            self.insert(order);
        }
        for order in orders {
            let slot = self.find(order.account, OrderReference::OrderId(order.id)).ok_or(())?;
            self.resting.move_to_back(slot);
        }
        Ok(())
    }

    /// Takes an order off the book.
    pub(crate) fn remove(&mut self, slot: u32) {
        let account = self.resting.order(slot).owner();
        let OrderDetails { id, client_id_given, .. } = *self.details(slot);
        let AccountLinks { previous, next, client_hash } = self.account_links[slot as usize];
        self.resting.remove(slot);
        let mine = &mut self.accounts[account.0 as usize];
        mine.count -= 1;
        match previous {
            NONE => mine.head = next,
            previous => self.account_links[previous as usize].next = next,
        }
        match next {
            NONE => mine.tail = previous,
            next => self.account_links[next as usize].previous = previous,
        }
        self.by_order_id.remove(self.order_hash(id), slot);
        if client_id_given == ClientIdGiven::Yes {
            self.by_client_id.remove(client_hash, slot);
        }
    }

    /// Takes `quantity`, less than what remains, off an order that keeps its place.
    #[inline]
    pub(crate) fn fill(&mut self, slot: u32, quantity: Lots) {
        self.resting.reduce(slot, quantity);
    }

    /// Makes an order smaller by `quantity`, less than what remains; it keeps its place.
    pub(crate) fn reduce(&mut self, slot: u32, quantity: Lots) {
        self.fill(slot, quantity);
        self.details[slot as usize].quantity -= quantity;
    }

    /// The account's next order behind the one in slot `after`, or its first; by ascending id.
    pub(crate) fn account_order_after(&self, account: AccountId, after: Option<u32>) -> Option<u32> {
        let slot = match after {
            None => self.accounts[account.0 as usize].head,
            Some(slot) => self.account_links[slot as usize].next,
        };
        (slot != NONE).then_some(slot)
    }

    #[inline]
    fn order_hash(&self, id: OrderId) -> u32 {
        hash_sequence(self.hash_seed, id.0)
    }

    #[inline]
    fn client_hash(&self, account: AccountId, client_id: &ClientId) -> u32 {
        hash_client_id(self.hash_seed, account.0, client_id)
    }
}
