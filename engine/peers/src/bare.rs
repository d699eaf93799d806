//! Our bare book: price, time, owner, the self-trade check, and an event for whatever happens.

use lakh_engine::command::{SelfTradeMode, Side};
use lakh_engine::ids::AccountId;
use lakh_engine::units::{Lots, Ticks};
use lakh_engine::{OrderHandle, PriceTimeBook};

use crate::TRADERS;
use crate::flow::{self, Fills, Flow, Kind, Step};
use crate::measure::{Cost, measure};

/// What happened to an order of the flow.
#[derive(Clone, Copy)]
enum BookEvent {
    Fill { maker: u32, taker: u32, maker_remaining: Lots, price: Ticks, quantity: Lots },
    Rested { order: u32, remaining: Lots },
    Canceled { order: u32, remaining: Lots },
    SelfTrade { order: u32, remaining: Lots },
}

/// The book with what its user keeps: each order's id by slot, each order's handle by id.
struct Venue {
    book: PriceTimeBook,
    ids: Vec<u32>,
    handles: Vec<Option<OrderHandle>>,
    events: Vec<BookEvent>,
    /// The flow's own book lets everybody trade with everybody; the check is made all the same.
    self_trade_mode: SelfTradeMode,
}

/// Plays the flow once on a new book.
pub(crate) fn run(flow: &Flow, max_orders: u32) -> (Fills, Cost) {
    let mut venue = Venue {
        book: PriceTimeBook::new(max_orders, 4_096),
        ids: vec![0; max_orders as usize],
        handles: vec![None; flow.orders as usize + 1],
        events: Vec::with_capacity(4_096),
        self_trade_mode: std::hint::black_box(SelfTradeMode::None),
    };
    measure(|| {
        let mut fills = Fills::default();
        for step in &flow.steps {
            venue.events.clear();
            match step.kind {
                Kind::Place => venue.place(step),
                Kind::Cancel => venue.cancel(step.id),
            }
            for event in &venue.events {
                if let BookEvent::Fill { maker, taker, price, quantity, .. } = event {
                    fills.add((u64::from(*maker), u64::from(*taker)), price.0, quantity.0);
                }
            }
            std::hint::black_box(venue.events.as_slice());
        }
        fills
    })
}

impl Venue {
    #[inline]
    fn place(&mut self, step: &Step) {
        let (side, owner) = (side_of(step.side), AccountId(step.id % TRADERS));
        let (limit, mut left) = (Ticks(u64::from(step.price)), Lots(u64::from(step.quantity)));
        while let Some(slot) = self.book.first_within(side.opposite(), limit) {
            let maker = self.book.order(slot);
            if maker.owner() == owner && self.self_trade_mode == SelfTradeMode::ExpireTaker {
                self.events.push(BookEvent::SelfTrade { order: step.id, remaining: left });
                return;
            }
            let (price, maker_left) = (maker.price(), maker.remaining());
            let quantity = left.min(maker_left);
            let maker_remaining = maker_left - quantity;
            if maker_remaining.is_zero() {
                self.book.remove(slot);
            } else {
                self.book.reduce(slot, quantity);
            }
            left -= quantity;
            let maker = self.ids[slot as usize];
            self.events.push(BookEvent::Fill { maker, taker: step.id, maker_remaining, price, quantity });
            if left.is_zero() {
                return;
            }
        }
        let slot = self.book.insert(side, limit, left, owner);
        self.ids[slot as usize] = step.id;
        self.handles[step.id as usize] = Some(self.book.handle(slot));
        self.events.push(BookEvent::Rested { order: step.id, remaining: left });
    }

    #[inline]
    fn cancel(&mut self, order: u32) {
        let handle = self.handles[order as usize];
        let Some(slot) = handle.and_then(|handle| self.book.slot(handle)) else { return };
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
