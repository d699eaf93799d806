//! An engine in this process, asked one request at a time: what the conformance workloads and the adapter share.
//!
//! It is the whole engine with accounts, holds, nonces and events, set up by ordinary commands; there is no way past
//! them. Orders are spread over several accounts, since one may hold only so many; with self-trade prevention off that
//! changes nothing in the matching. Time is virtual, so a run is the same on every machine.
//!
//! Two requests of these workloads are more than one command. A modification is [`EngineSession::replace_order`], the
//! one place that knows how. And an order that has traded with as many others as one command may is sent again with
//! what was left of it ([`EngineSession::place_order`]), as a client would: no other request comes between.

use lakh_engine::command::{
    CancelOrder, Command, EvidenceGrade, Operation, OrderReference, OrderType, PlaceOrder, ReplayGuard, SelfTradeMode,
    Side, SignedCommand, TimeInForce,
};
use lakh_engine::event::{CancelReason, Event};
use lakh_engine::ids::{AccountId, ClientId, KeyId, MarketId, Sequence};
use lakh_engine::reject::RejectCode;
use lakh_engine::units::{Lots, Ticks, Timestamp};
use lakh_engine::{BookView, Engine};

use crate::error::LoadtestError;
use crate::setup::FLOW_ACCOUNTS;

/// Virtual time of the first command: 2023-11-14 22:13:20 UTC, and a microsecond more for each further one.
const START_NS: u64 = 1_700_000_000_000_000_000;
const STEP_NS: u64 = 1_000;

/// A new order in the terms of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// The workload's id of it: decides the account, and is the client id.
    pub id: u64,
    /// Where.
    pub market: MarketId,
    /// Which side.
    pub side: Side,
    /// How it meets the book.
    pub order_type: OrderType,
    /// What becomes of its rest.
    pub time_in_force: TimeInForce,
    /// Limit or worst price.
    pub price: Ticks,
    /// Quantity.
    pub quantity: Lots,
}

/// See the module.
#[derive(Debug)]
pub struct EngineSession {
    engine: Engine,
    sequence: Sequence,
    /// Of the last command.
    events: Vec<Event>,
    continuations: u64,
}

impl EngineSession {
    /// An engine after `genesis`, each command of which must be taken.
    ///
    /// # Errors
    /// [`LoadtestError::SetUp`] with the first command that was refused.
    pub fn new(genesis: &[Command]) -> Result<Self, LoadtestError> {
        let mut session = Self {
            engine: Engine::new(),
            sequence: Sequence(0),
            events: Vec::with_capacity(Engine::MAX_EVENTS),
            continuations: 0,
        };
        for command in genesis {
            session.apply(command);
            if let Some(code) = rejected(&session.events) {
                return Err(LoadtestError::SetUp(format!("{} of {command:?}", code.name())));
            }
        }
        Ok(session)
    }

    /// Commands applied so far.
    pub const fn commands(&self) -> u64 {
        self.sequence.0
    }

    /// Commands that were needed only because an order met more makers than one command may trade with.
    pub const fn continuations(&self) -> u64 {
        self.continuations
    }

    /// A look at a market's book.
    ///
    /// # Panics
    /// Where the genesis has listed no such market.
    pub fn book(&self, market: MarketId) -> BookView<'_> {
        self.engine.book(market).expect("the caller asks for markets that it has listed")
    }

    /// Places the order and, as long as one command's work was not enough for it, what is left of it; what it caused
    /// goes to the end of `events`. An order in several parts is accepted several times, and only what the last part
    /// leaves is cancelled or rests.
    pub fn place_order(&mut self, order: &NewOrder, events: &mut Vec<Event>) {
        let mut part = *order;
        loop {
            self.request(account_of(order.id), Operation::PlaceOrder(request_of(&part)));
            match self.events.iter().find_map(cut_short) {
                Some(left) if part.time_in_force != TimeInForce::FillOrKill => {
                    events.extend(self.events.iter().filter(|event| cut_short(event).is_none()));
                    part.quantity = left;
                    self.continuations += 1;
                }
                _ => {
                    events.extend_from_slice(&self.events);
                    return;
                }
            }
        }
    }

    /// Cancels the order with the workload's `id`.
    pub fn cancel_order(&mut self, market: MarketId, id: u64, events: &mut Vec<Event>) {
        let target = OrderReference::ClientId(client_id(id));
        self.request(account_of(id), Operation::CancelOrder(CancelOrder { market, target }));
        events.extend_from_slice(&self.events);
    }

    /// Takes the live order of that id off and places `order` in its stead, as a new one behind all others of its
    /// price. Where there is none to take off, nothing is placed and the reject is the last event.
    ///
    /// Atomic here since nobody else sends anything: one order, one cancel, and the new one only if that was taken.
    pub fn replace_order(&mut self, order: &NewOrder, events: &mut Vec<Event>) {
        self.cancel_order(order.market, order.id, events);
        if rejected(&self.events).is_none() {
            self.place_order(order, events);
        }
    }

    /// Applies any other request of the account, all of its parts, and gives its events to the end of `events`.
    pub fn operate(&mut self, account: AccountId, operation: Operation, events: &mut Vec<Event>) {
        self.request(account, operation);
        events.extend_from_slice(&self.events);
        while self.engine.agenda_pending() {
            self.apply(&Command::Continue);
            events.extend_from_slice(&self.events);
        }
    }

    fn request(&mut self, account: AccountId, operation: Operation) {
        // Each key's nonces rise with the journal; gaps are allowed.
        let nonce = self.sequence.0 + 1;
        self.apply(&Command::Signed(SignedCommand {
            account,
            key: KeyId(account.0),
            grade: EvidenceGrade::Native,
            replay_guard: ReplayGuard::Nonce { nonce },
            valid_until: Timestamp(0),
            operation,
        }));
    }

    fn apply(&mut self, command: &Command) {
        self.sequence.0 += 1;
        let timestamp = Timestamp(START_NS + self.sequence.0 * STEP_NS);
        self.engine.apply(self.sequence, timestamp, command, &mut self.events);
    }
}

/// The account that a workload's order belongs to.
pub fn account_of(id: u64) -> AccountId {
    let turn = u32::try_from(id % u64::from(FLOW_ACCOUNTS)).expect("below the number of accounts");
    AccountId(1 + turn)
}

/// A workload's id as a client id: its decimal text.
pub fn client_id(id: u64) -> ClientId {
    ClientId::new(&id.to_string()).expect("at most 20 digits")
}

/// The reject among a command's events, if there is one.
pub fn rejected(events: &[Event]) -> Option<RejectCode> {
    events.iter().find_map(|event| match event {
        Event::Rejected(rejected) => Some(rejected.code),
        _ => None,
    })
}

/// What is left of an order that one command could not work off.
fn cut_short(event: &Event) -> Option<Lots> {
    match event {
        Event::OrderCanceled(canceled) if canceled.reason == CancelReason::MaxFills => Some(canceled.remaining),
        _ => None,
    }
}

/// Self-trade prevention is off: a workload does not say whose its orders are.
fn request_of(order: &NewOrder) -> PlaceOrder {
    PlaceOrder {
        order_type: order.order_type,
        time_in_force: order.time_in_force,
        self_trade_mode: SelfTradeMode::None,
        client_id: client_id(order.id),
        ..PlaceOrder::limit(order.market, order.side, order.price, order.quantity)
    }
}
