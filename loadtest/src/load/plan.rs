//! Makes and signs requests ahead of time, on all processors, and frames them as they will be written.
//!
//! A connection's requests lie one behind the other in one buffer, so that sending any number of them is one system call
//! and no copy. A request is stamped with its intended send time, so the start has to be known before the first
//! signature; how far it may then be shifted is the transport's ([`super::transport`]).
//! Bounds: what the caller asks for at once; beside the bytes 32 bytes a request are kept.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use lakh_engine::units::Lots;

use crate::error::LoadtestError;
use crate::load::binary_requests::BinaryRequests;
use crate::load::own_book::side_index;
use crate::load::schedule::Schedule;
use crate::load::websocket_requests::WebSocketRequests;
use crate::workload::{LoadOrder, LoadQuote, LoadedOrder, Workload};

/// What kind of answer a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// An order that rests.
    Add,
    /// An order that may trade and rest.
    Cross,
    /// An order that trades or goes.
    Take,
    /// An order that has to be refused.
    PostOnly,
    /// A post-only order of which nothing is known.
    Maker,
    /// A cancel.
    Cancel,
    /// A cancel-replace.
    Replace,
    /// An order is made smaller.
    Reduce,
    /// Many operations, each with a result.
    Frame,
    /// Many quotes, each with a result.
    Quotes,
}

/// A request as far as its answer has to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) kind: RequestKind,
    pub(crate) side: u8,
    pub(crate) market: u16,
    /// What comes to rest, in ticks and lots.
    pub(crate) price: u32,
    pub(crate) quantity: u32,
    /// What goes.
    pub(crate) old_price: u32,
    pub(crate) old_quantity: u32,
    /// 0: no answer yet. [`Expected::ACCEPTED`] and how many operations are done, for more than one; else 1.
    pub(crate) progress: u8,
}

impl Expected {
    /// A frame was taken on.
    pub(crate) const ACCEPTED: u8 = 0x80;

    fn new(kind: RequestKind, comes: Option<&LoadedOrder>, goes: Option<(&LoadedOrder, Lots)>) -> Self {
        let small = |number: u64| u32::try_from(number).expect("prices and quantities of the load are small");
        let named = comes.or(goes.map(|(order, _)| order));
        let (price, quantity) = comes.map_or((0, 0), |order| (order.price.raw(), order.quantity.raw()));
        let (old_price, old_quantity) = goes.map_or((0, 0), |(order, lots)| (order.price.raw(), lots.raw()));
        Self {
            kind,
            side: named.map_or(0, |order| side_index(order.side)),
            market: named.map_or(0, |order| order.market),
            price: small(price),
            quantity: small(quantity),
            old_price: small(old_price),
            old_quantity: small(old_quantity),
            progress: 0,
        }
    }

    /// Of one order.
    pub(crate) fn of(order: &LoadOrder) -> Self {
        match order {
            LoadOrder::Add(order) => Self::new(RequestKind::Add, Some(order), None),
            LoadOrder::Cross(order) => Self::new(RequestKind::Cross, Some(order), None),
            LoadOrder::Take(order) => Self::new(RequestKind::Take, Some(order), None),
            LoadOrder::PostOnly(order) => Self::new(RequestKind::PostOnly, Some(order), None),
            LoadOrder::Maker(order) => Self::new(RequestKind::Maker, Some(order), None),
            LoadOrder::Cancel(order) => Self::new(RequestKind::Cancel, None, Some((order, order.quantity))),
            LoadOrder::Replace { old, new } => Self::new(RequestKind::Replace, Some(new), Some((old, old.quantity))),
            LoadOrder::Reduce { order, by } => Self::new(RequestKind::Reduce, None, Some((order, *by))),
        }
    }
}

/// A part of what one connection will send.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// Frames as they are written, one behind the other.
    pub(crate) bytes: Vec<u8>,
    /// Where in `bytes` each request ends.
    pub(crate) ends: Vec<usize>,
    /// How each is to be answered.
    pub(crate) expected: Vec<Expected>,
}

/// What a key sends: random or recorded.
#[derive(Debug)]
pub(crate) enum Source {
    /// By the workload.
    Random(Workload),
    /// As it was recorded.
    Recorded(VecDeque<LoadOrder>),
}

impl Source {
    fn next(&mut self) -> LoadOrder {
        match self {
            Self::Random(workload) => workload.next_order(),
            Self::Recorded(orders) => orders.pop_front().expect("as many are asked for as there are"),
        }
    }

    fn next_quotes(&mut self, count: usize) -> (u16, Vec<LoadQuote>) {
        match self {
            Self::Random(workload) => workload.next_quotes(count),
            Self::Recorded(_) => unreachable!("recorded flow has no quotes; the options are checked"),
        }
    }
}

/// Writes the requests of one connection in the protocol's own way.
#[derive(Debug)]
pub(crate) enum Writer {
    WebSocket(WebSocketRequests),
    Binary(Box<BinaryRequests>),
}

/// How many operations a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// One.
    Single,
    /// So many under one signature.
    Frames(usize),
    /// So many quotes.
    Quotes(usize),
}

impl Grouping {
    /// How many.
    pub const fn operations(self) -> usize {
        match self {
            Self::Single => 1,
            Self::Frames(count) | Self::Quotes(count) => count,
        }
    }
}

/// One connection's requests to come.
#[derive(Debug)]
pub(crate) struct ConnectionPlanner {
    pub(crate) position: u64,
    /// What its keys send, each in its turn.
    pub(crate) sources: Vec<Source>,
    pub(crate) writer: Writer,
    next_index: u64,
    requests: u64,
}

impl ConnectionPlanner {
    /// `requests` in all, of the connection at `position`.
    pub(crate) const fn new(position: u64, sources: Vec<Source>, writer: Writer, requests: u64) -> Self {
        Self { position, sources, writer, next_index: 0, requests }
    }

    /// The next `limit` requests, or what is left of them.
    fn part(&mut self, limit: u64, grouping: Grouping, clock: &StampClock) -> Part {
        let end = self.requests.min(self.next_index + limit);
        let mut part = Part::default();
        for index in self.next_index..end {
            let turn = usize::try_from(index).expect("requests of one connection fit memory") % self.sources.len();
            let due_ns = clock.stamp_ns(self.position, index);
            self.request(turn, grouping, (index, due_ns), &mut part);
            part.ends.push(part.bytes.len());
        }
        self.next_index = end;
        part
    }

    fn request(&mut self, turn: usize, grouping: Grouping, (index, due_ns): (u64, u64), part: &mut Part) {
        let source = &mut self.sources[turn];
        match (&mut self.writer, grouping) {
            (Writer::WebSocket(writer), _) => {
                let order = source.next();
                writer.write(turn, &order, (index, due_ns), &mut part.bytes);
                part.expected.push(Expected::of(&order));
            }
            (Writer::Binary(writer), Grouping::Single) => {
                let order = source.next();
                writer.write(&order, due_ns, &mut part.bytes);
                part.expected.push(Expected::of(&order));
            }
            (Writer::Binary(writer), Grouping::Frames(count)) => {
                let orders: Vec<LoadOrder> = (0..count).map(|_| source.next()).collect();
                writer.write_frame(&orders, due_ns, &mut part.bytes);
                part.expected.push(Expected::new(RequestKind::Frame, None, None));
            }
            (Writer::Binary(writer), Grouping::Quotes(count)) => {
                let (market, quotes) = source.next_quotes(count);
                writer.write_quotes(market, &quotes, due_ns, &mut part.bytes);
                part.expected.push(Expected::new(RequestKind::Quotes, None, None));
            }
        }
    }
}

/// When the start is, by the clock on the wall, and so what each request is stamped with.
#[derive(Clone, Debug)]
pub(crate) struct StampClock {
    pub(crate) start_ns: u64,
    pub(crate) schedule: Arc<Schedule>,
}

impl StampClock {
    fn stamp_ns(&self, position: u64, index: u64) -> u64 {
        let due = self.schedule.due(position, index).as_nanos();
        self.start_ns + u64::try_from(due).expect("a run of at most a day")
    }
}

/// The next `limit` requests of each connection, signed on `workers` processors.
///
/// # Errors
/// [`LoadtestError::Venue`] never; signing cannot fail, and a panic of a worker is one here.
pub(crate) fn sign_parts(
    planners: &mut [ConnectionPlanner],
    (limit, grouping): (u64, Grouping),
    clock: &StampClock,
    workers: usize,
) -> Result<Vec<Part>, LoadtestError> {
    let count = planners.len();
    let work: Vec<Mutex<(&mut ConnectionPlanner, Part)>> =
        planners.iter_mut().map(|planner| Mutex::new((planner, Part::default()))).collect();
    let next = AtomicUsize::new(0);
    let sign = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(own) = work.get(index) else { return };
            // Each place is taken by one worker only; the lock is how that is said to the compiler.
            let mut own = own.lock().expect("no other worker has it");
            let (planner, part) = &mut *own;
            *part = planner.part(limit, grouping, clock);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..workers.min(count) {
            scope.spawn(sign);
        }
    });
    let parts = work.into_iter().map(|own| own.into_inner().map(|(_, part)| part));
    parts.collect::<Result<_, _>>().map_err(|_| LoadtestError::Venue("a signing thread panicked".to_owned()))
}
