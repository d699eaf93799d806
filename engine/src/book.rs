//! The order book of one market: who may trade next, who stands where, whose orders there are.
//!
//! Price-time priority. The book knows no money and emits nothing; it keeps orders, levels and ids consistent.
//! Orders are found by slot inside, by order id or by (account, client id) from outside.

use crate::book_side::BookSide;
use crate::command::{OrderReference, Side};
use crate::ids::{AccountId, ClientId, OrderId};
use crate::index_table::{IndexTable, NONE, hash_bytes, hash_words};
use crate::order_arena::{Links, Order, OrderArena};
use crate::units::{Lots, Ticks};

/// See the module.
#[derive(Debug)]
pub(crate) struct Book {
    bids: BookSide,
    asks: BookSide,
    arena: OrderArena,
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

impl Book {
    pub(crate) fn new(max_orders: u32, max_levels: u32, accounts: u32, hash_seed: u64) -> Self {
        let nobody = AccountOrders { head: NONE, tail: NONE, count: 0 };
        Self {
            bids: BookSide::new(Side::Bid, max_levels),
            asks: BookSide::new(Side::Ask, max_levels),
            arena: OrderArena::new(max_orders),
            by_order_id: IndexTable::new(max_orders),
            by_client_id: IndexTable::new(max_orders),
            accounts: vec![nobody; accounts as usize],
            hash_seed,
        }
    }

    pub(crate) const fn side(&self, side: Side) -> &BookSide {
        match side {
            Side::Bid => &self.bids,
            Side::Ask => &self.asks,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut BookSide {
        match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        }
    }

    pub(crate) fn order(&self, slot: u32) -> &Order {
        self.arena.order(slot)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.arena.is_full()
    }

    /// Orders, resting and waiting.
    pub(crate) fn order_count(&self) -> u32 {
        self.arena.count()
    }

    /// Orders of the account, resting and waiting.
    pub(crate) fn account_order_count(&self, account: AccountId) -> u32 {
        self.accounts[account.0 as usize].count
    }

    /// The best price of a side.
    pub(crate) fn best_price(&self, side: Side) -> Option<Ticks> {
        let side = self.side(side);
        side.best().map(|level| side.level(level).price)
    }

    /// The order that trades next on a side.
    pub(crate) fn best_order(&self, side: Side) -> Option<u32> {
        let side = self.side(side);
        side.best().map(|level| side.level(level).head)
    }

    /// A side's orders in price-time priority.
    pub(crate) fn orders(&self, side: Side) -> impl Iterator<Item = &Order> {
        self.side(side).levels().flat_map(|level| {
            let first = (level.head != NONE).then_some(level.head);
            core::iter::successors(first, |slot| self.next_in_level(*slot)).map(|slot| self.order(slot))
        })
    }

    fn next_in_level(&self, slot: u32) -> Option<u32> {
        let next = self.order(slot).level_links.next;
        (next != NONE).then_some(next)
    }

    /// The account's live order that the reference names.
    pub(crate) fn find(&self, account: AccountId, target: OrderReference) -> Option<u32> {
        match target {
            OrderReference::OrderId(id) => {
                let slot = self.by_order_id.find(self.order_hash(id), |slot| self.order(slot).id == id)?;
                (self.order(slot).account == account).then_some(slot)
            }
            OrderReference::ClientId(client_id) => self.find_client_id(account, &client_id),
        }
    }

    /// The account's live order with this client id.
    pub(crate) fn find_client_id(&self, account: AccountId, client_id: &ClientId) -> Option<u32> {
        if client_id.is_empty() {
            return None;
        }
        self.by_client_id.find(self.client_hash(account, client_id), |slot| {
            let order = self.order(slot);
            order.account == account && order.client_id == *client_id
        })
    }

    /// Whether the order, which rests, is the only one of its price.
    pub(crate) fn is_alone(&self, order: &Order) -> bool {
        !order.is_waiting() && self.side(order.side).level(order.level).count == 1
    }

    /// Puts an order behind all others of its price. Room was checked by the caller; links and level are set here.
    /// Tells its slot.
    pub(crate) fn insert(&mut self, order: Order) -> u32 {
        let slot = self.insert_waiting(order);
        self.rest_waiting(slot);
        slot
    }

    /// Gives an order that waits its place in the book, behind all others of its price.
    pub(crate) fn rest_waiting(&mut self, slot: u32) {
        let Order { side, price, .. } = *self.arena.order(slot);
        let level = self.side_mut(side).level_at(price);
        self.arena.order_mut(slot).level = level;
        let (sides, arena) = match side {
            Side::Bid => (&mut self.bids, &mut self.arena),
            Side::Ask => (&mut self.asks, &mut self.arena),
        };
        sides.level_mut(level).push_back(arena, slot);
    }

    /// Sets what is left of an order that waits.
    pub(crate) fn set_waiting(&mut self, slot: u32, quantity: Lots, remaining: Lots) {
        let order = self.arena.order_mut(slot);
        assert!(order.is_waiting(), "a level's total would be wrong");
        order.quantity = quantity;
        order.remaining = remaining;
    }

    /// Stores an order that has no place in the book yet, but ids and an account. Room was checked by the caller.
    pub(crate) fn insert_waiting(&mut self, order: Order) -> u32 {
        let tail = self.accounts[order.account.0 as usize].tail;
        let account_links = Links { previous: tail, next: NONE };
        let slot = self.arena.insert(Order { level: NONE, account_links, ..order });
        match tail {
            NONE => self.accounts[order.account.0 as usize].head = slot,
            tail => self.arena.order_mut(tail).account_links.next = slot,
        }
        let mine = &mut self.accounts[order.account.0 as usize];
        mine.tail = slot;
        mine.count += 1;
        self.by_order_id.insert(self.order_hash(order.id), slot);
        if !order.client_id.is_empty() {
            self.by_client_id.insert(self.client_hash(order.account, &order.client_id), slot);
        }
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
            if self.arena.is_full() {
                return Err(());
            }
            self.insert_waiting(*order);
        }
        for order in orders {
            if self.side(order.side).lacks_room_for(order.price) {
                return Err(());
            }
            let slot = self.find(order.account, OrderReference::OrderId(order.id)).ok_or(())?;
            self.rest_waiting(slot);
        }
        Ok(())
    }

    /// Takes an order off the book and tells what it was.
    pub(crate) fn remove(&mut self, slot: u32) -> Order {
        let order = *self.arena.order(slot);
        let (side, arena) = match order.side {
            Side::Bid => (&mut self.bids, &mut self.arena),
            Side::Ask => (&mut self.asks, &mut self.arena),
        };
        if !order.is_waiting() {
            let level = side.level_mut(order.level);
            level.unlink(arena, slot);
            if level.count == 0 {
                side.remove_level(order.level);
            }
        }
        let Links { previous, next } = order.account_links;
        match previous {
            NONE => self.accounts[order.account.0 as usize].head = next,
            previous => self.arena.order_mut(previous).account_links.next = next,
        }
        match next {
            NONE => self.accounts[order.account.0 as usize].tail = previous,
            next => self.arena.order_mut(next).account_links.previous = previous,
        }
        self.accounts[order.account.0 as usize].count -= 1;
        self.by_order_id.remove(self.order_hash(order.id), slot);
        if !order.client_id.is_empty() {
            self.by_client_id.remove(self.client_hash(order.account, &order.client_id), slot);
        }
        self.arena.remove(slot);
        order
    }

    /// Takes `quantity`, less than what remains, off an order that keeps its place.
    pub(crate) fn fill(&mut self, slot: u32, quantity: Lots) {
        let order = self.arena.order_mut(slot);
        order.remaining -= quantity;
        let (side, level) = (order.side, order.level);
        self.side_mut(side).level_mut(level).total -= quantity;
    }

    /// Shows the next part of an order of which the last one has traded, behind all others of its price.
    pub(crate) fn refill(&mut self, slot: u32) {
        let order = self.arena.order_mut(slot);
        assert!(order.remaining.is_zero(), "only a part that is gone makes room for the next");
        let (side, level) = (order.side, order.level);
        let part = order.display.min(order.reserve);
        let (sides, arena) = match side {
            Side::Bid => (&mut self.bids, &mut self.arena),
            Side::Ask => (&mut self.asks, &mut self.arena),
        };
        sides.level_mut(level).unlink(arena, slot);
        let order = arena.order_mut(slot);
        order.remaining = part;
        order.reserve -= part;
        sides.level_mut(level).push_back(arena, slot);
    }

    /// Makes what is not shown of an order smaller.
    pub(crate) fn reduce_reserve(&mut self, slot: u32, quantity: Lots) {
        let order = self.arena.order_mut(slot);
        order.reserve -= quantity;
        order.quantity -= quantity;
    }

    /// Makes an order smaller by `quantity`, less than what remains; it keeps its place.
    pub(crate) fn reduce(&mut self, slot: u32, quantity: Lots) {
        match self.order(slot).is_waiting() {
            true => self.arena.order_mut(slot).remaining -= quantity,
            false => self.fill(slot, quantity),
        }
        self.arena.order_mut(slot).quantity -= quantity;
    }

    /// The account's next order behind the one in slot `after`, or its first; by ascending id.
    pub(crate) fn account_order_after(&self, account: AccountId, after: Option<u32>) -> Option<u32> {
        let slot = match after {
            None => self.accounts[account.0 as usize].head,
            Some(slot) => self.order(slot).account_links.next,
        };
        (slot != NONE).then_some(slot)
    }

    fn order_hash(&self, id: OrderId) -> u64 {
        hash_words(self.hash_seed, id.0, 0)
    }

    fn client_hash(&self, account: AccountId, client_id: &ClientId) -> u64 {
        hash_bytes(self.hash_seed, u64::from(account.0), client_id.as_bytes())
    }
}
