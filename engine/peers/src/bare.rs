//! Our bare book: price, time, owner, the self-trade check, and an event for whatever happens.
//!
//! Played twice. Once a cancel carries the handle that the book gave when the order was placed, as a client of the binary
//! protocol would send it back; a run before the measured one has found which. Once it carries the flow's id, and the
//! handle is looked up in an array by id, which is 10 MB: what that costs more is the user's cache, not the book's.

use lakh_engine::command::{SelfTradeMode, Side};
use lakh_engine::ids::AccountId;
use lakh_engine::units::{Lots, Ticks};
use lakh_engine::{OrderHandle, PriceTimeBook};

use crate::TRADERS;
use crate::flow::{self, Fills, Flow, Kind};
use crate::measure::{Cost, measure};

/// Levels of each side.
const MAX_LEVELS: u32 = 4_096;

/// What is asked of the book: as much to read as a [`flow::Step`], which the peers read.
#[derive(Clone, Copy)]
enum Request {
    Place { order: u32, side: Side, limit: u32, quantity: u32 },
    Cancel { order: u32, handle: OrderHandle },
    CancelById { order: u32 },
}

/// What happened to an order of the flow. Its fields are for a reader that this program does not have.
#[expect(dead_code, reason = "the checksum reads a part only; all of it is made")]
#[derive(Clone, Copy)]
enum BookEvent {
    Fill { maker: u32, taker: u32, maker_remaining: Lots, price: Ticks, quantity: Lots },
    Rested { order: u32, remaining: Lots, handle: OrderHandle },
    Canceled { order: u32, remaining: Lots },
    SelfTrade { order: u32, remaining: Lots },
}

/// How far an order goes that trades at all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To its limit.
    Limit,
    /// Through the whole other side, whatever its limit, as matchcore's orders do.
    Everything,
}

/// The flow as requests.
pub(crate) struct Requests {
    by_handle: Vec<Request>,
    by_id: Vec<Request>,
    orders: u32,
    max_orders: u32,
    reach: Reach,
}

/// The book with what its user keeps.
struct Venue {
    book: PriceTimeBook,
    /// The flow's id of the order in each slot.
    ids: Vec<u32>,
    /// Each order's handle.
    handles: Vec<OrderHandle>,
    events: Vec<BookEvent>,
    /// The flow's own book lets everybody trade with everybody; the check is made all the same.
    self_trade_mode: SelfTradeMode,
    reach: Reach,
}

impl Requests {
    /// For a book with room for `max_orders`.
    pub(crate) fn new(flow: &Flow, max_orders: u32, reach: Reach) -> Self {
        let request = |step: &flow::Step| match step.kind {
            Kind::Cancel => Request::CancelById { order: step.id },
            Kind::Place => {
                Request::Place { order: step.id, side: side_of(step.side), limit: step.price, quantity: step.quantity }
            }
        };
        let by_id: Vec<Request> = flow.steps.iter().map(request).collect();
        let mut venue = Venue::new(max_orders, flow.orders, reach);
        let with_handle = |request: &Request| {
            let given = match *request {
                Request::CancelById { order } => Request::Cancel { order, handle: venue.handles[order as usize] },
                other => other,
            };
            venue.apply::<true>(request);
            given
        };
        let by_handle = by_id.iter().map(with_handle).collect();
        Self { by_handle, by_id, orders: flow.orders, max_orders, reach }
    }

    /// Plays the flow once on a new book, cancelling by handle.
    pub(crate) fn play_by_handle(&self) -> (Fills, Cost) {
        Venue::new(self.max_orders, self.orders, self.reach).play::<false>(&self.by_handle)
    }

    /// Plays the flow once on a new book, cancelling by the flow's id.
    pub(crate) fn play_by_id(&self) -> (Fills, Cost) {
        Venue::new(self.max_orders, self.orders, self.reach).play::<true>(&self.by_id)
    }
}

impl Venue {
    fn new(max_orders: u32, orders: u32, reach: Reach) -> Self {
        let mut book = PriceTimeBook::new(max_orders, MAX_LEVELS);
        let ended = book.insert(Side::Bid, Ticks(1), Lots(1), AccountId(1));
        book.remove(ended.slot());
        Self {
            book,
            ids: vec![0; max_orders as usize + 1],
            handles: vec![ended; orders as usize + 1],
            events: Vec::with_capacity(MAX_LEVELS as usize),
            self_trade_mode: std::hint::black_box(SelfTradeMode::None),
            reach: std::hint::black_box(reach),
        }
    }

    fn play<const KEEPS_HANDLES: bool>(mut self, requests: &[Request]) -> (Fills, Cost) {
        measure(|| {
            let mut fills = Fills::default();
            for request in requests {
                self.apply::<KEEPS_HANDLES>(request);
                for event in &self.events {
                    if let BookEvent::Fill { maker, taker, price, quantity, .. } = event {
                        fills.add((u64::from(*maker), u64::from(*taker)), price.0, quantity.0);
                    }
                }
                // All of every event is made, not only what the checksum reads.
                std::hint::black_box(self.events.as_slice());
            }
            fills
        })
    }

    #[inline(always)]
    fn apply<const KEEPS_HANDLES: bool>(&mut self, request: &Request) {
        self.events.clear();
        match *request {
            Request::Cancel { order, handle } => self.cancel(order, handle),
            Request::CancelById { order } => self.cancel(order, self.handles[order as usize]),
            Request::Place { order, side, limit, quantity } => {
                let (limit, quantity) = (Ticks(u64::from(limit)), Lots(u64::from(quantity)));
                let owner = AccountId(order % TRADERS);
                // Nearly every order reaches nothing: what the others do is kept out of its way.
                let left = match self.book.first_within(side.opposite(), limit) {
                    Some(first) => self.take((order, owner), (side, limit), quantity, first),
                    None => quantity,
                };
                if !left.is_zero() {
                    let handle = self.book.insert(side, limit, left, owner);
                    self.ids[handle.slot() as usize] = order;
                    if KEEPS_HANDLES {
                        self.handles[order as usize] = handle;
                    }
                    self.events.push(BookEvent::Rested { order, remaining: left, handle });
                }
            }
        }
    }

    /// Trades an incoming order with what it reaches, first with the order in `slot`; tells what rests of it.
    #[inline(never)]
    fn take(
        &mut self,
        (order, owner): (u32, AccountId),
        (side, limit): (Side, Ticks),
        quantity: Lots,
        mut slot: u32,
    ) -> Lots {
        let limit = match (self.reach, side) {
            (Reach::Limit, _) => limit,
            (Reach::Everything, Side::Bid) => Ticks(u64::MAX),
            (Reach::Everything, Side::Ask) => Ticks(0),
        };
        let mut left = quantity;
        loop {
            let maker = self.book.order(slot);
            if maker.owner() == owner && self.self_trade_mode == SelfTradeMode::ExpireTaker {
                self.events.push(BookEvent::SelfTrade { order, remaining: left });
                return Lots::ZERO;
            }
            let (price, quantity) = (maker.price(), left.min(maker.remaining()));
            let maker_remaining = self.book.trade(slot, quantity);
            let maker = self.ids[slot as usize];
            self.events.push(BookEvent::Fill { maker, taker: order, maker_remaining, price, quantity });
            left -= quantity;
            if left.is_zero() {
                return left;
            }
            match self.book.first_within(side.opposite(), limit) {
                Some(next) => slot = next,
                None => return left,
            }
        }
    }

    #[inline(always)]
    fn cancel(&mut self, order: u32, handle: OrderHandle) {
        let Some(slot) = self.book.slot(handle) else { return };
        let remaining = self.book.order(slot).remaining();
        self.book.remove(slot);
        self.events.push(BookEvent::Canceled { order, remaining });
    }
}

/// The engine's word for a side.
pub(crate) const fn side_of(side: flow::Side) -> Side {
    match side {
        flow::Side::Bid => Side::Bid,
        flow::Side::Ask => Side::Ask,
    }
}
