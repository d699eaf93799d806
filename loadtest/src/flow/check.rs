//! A recorded flow straight into an engine in this process: the quickest proof that matching is right.
//!
//! Two passes over the file, one for its bounds and one for the orders, so that memory is bounded by the book and not
//! by the file. The orders are spread over several accounts, since one may hold only so many; with self-trade
//! prevention off that changes nothing in the matching. Time is virtual: the same file gives the same journal.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use lakh_engine::Engine;
use lakh_engine::command::{
    AmendOrder, CancelOrder, Command, EvidenceGrade, Operation, OrderReference, OrderType, PlaceOrder, ReplayGuard,
    Side, SignedCommand, TimeInForce,
};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, ClientId, KeyId, OrderId, Sequence};
use lakh_engine::reject::RejectCode;
use lakh_engine::units::{Lots, Ticks, Timestamp};

use crate::error::LoadtestError;
use crate::flow::fills::FillWriter;
use crate::flow::format::{FlowCommand, FlowReader, NewOrderKind, Step, scan_bounds};
use crate::flow::judge::{Fill, FlowReport, Judge, Outcome, Verdict};
use crate::flow::level_book::LevelBook;
use crate::setup::{FLOW_ACCOUNTS, FLOW_MARKET, flow_genesis};

/// Virtual time of the first command: 2023-11-14 22:13:20 UTC, and a microsecond more for each further one.
const START_NS: u64 = 1_700_000_000_000_000_000;
const STEP_NS: u64 = 1_000;

/// How a flow is checked.
#[derive(Clone, Debug, Default)]
pub struct CheckOptions {
    /// Where to write the fills, in the form of [`crate::flow::fills`].
    pub fills: Option<PathBuf>,
}

/// Drives a new engine with the flow at `path` and judges every recorded line.
///
/// # Errors
/// A file that cannot be read, written or parsed; a flow whose prices × quantities no market can hold.
pub fn check_direct(path: &Path, options: &CheckOptions) -> Result<FlowReport, LoadtestError> {
    let genesis = flow_genesis(&scan_bounds(path)?);
    let mut venue = DirectVenue::new(open_fills(options.fills.as_deref())?);
    for command in &genesis {
        venue.set_up(command)?;
    }
    let mut reader = FlowReader::open(path)?;
    let mut judge = Judge::new();
    while let Some(step) = reader.next_step()? {
        let outcome = venue.step(&step);
        judge.step(&step, &outcome);
        venue.write_error.take().map_or(Ok(()), |source| Err(at_fills(options, source)))?;
    }
    let report = judge.finish(venue.book.digest());
    venue.fills.finish().map_err(|source| at_fills(options, source))?;
    Ok(report)
}

fn at_fills(options: &CheckOptions, source: io::Error) -> LoadtestError {
    LoadtestError::Io { path: options.fills.clone().unwrap_or_default(), source }
}

/// A buffered file for the fills, or nowhere.
pub(crate) fn open_fills(path: Option<&Path>) -> Result<Box<dyn Write + Send>, LoadtestError> {
    let Some(path) = path else { return Ok(Box::new(io::sink())) };
    let file = File::create(path).map_err(|source| LoadtestError::Io { path: path.to_owned(), source })?;
    Ok(Box::new(BufWriter::new(file)))
}

/// A resting order of the flow.
#[derive(Clone, Copy, Debug)]
struct Placed {
    account: AccountId,
    /// What it was placed with, less what it was reduced by; what has traded included.
    quantity: Lots,
    /// What is left of it.
    remaining: Lots,
}

/// Stands for an order that does not rest, so that the engine is asked all the same and can refuse.
const NOT_RESTING: Placed = Placed { account: AccountId(1), quantity: Lots::ZERO, remaining: Lots::ZERO };

/// An engine with what is needed to speak to it in the flow's terms.
struct DirectVenue {
    engine: Engine,
    sequence: Sequence,
    events: Vec<Event>,
    book: LevelBook,
    fills: FillWriter<Box<dyn Write + Send>>,
    /// Why the fills file could not be written to; ends the check after the step.
    write_error: Option<io::Error>,
    /// Resting orders by the flow's id, and the flow's id by order.
    placed: HashMap<u64, Placed>,
    flow_ids: HashMap<OrderId, u64>,
    new_orders: u64,
}

impl DirectVenue {
    fn new(fills: Box<dyn Write + Send>) -> Self {
        Self {
            engine: Engine::new(),
            sequence: Sequence(0),
            events: Vec::new(),
            book: LevelBook::new(FLOW_MARKET),
            fills: FillWriter::new(fills),
            write_error: None,
            placed: HashMap::new(),
            flow_ids: HashMap::new(),
            new_orders: 0,
        }
    }

    /// Applies a command of the set-up, which must be taken.
    fn set_up(&mut self, command: &Command) -> Result<(), LoadtestError> {
        self.events.clear();
        self.apply(command);
        for event in &self.events {
            if let Event::Rejected(rejected) = event {
                return Err(LoadtestError::SetUp(format!("{} of {command:?}", rejected.code.name())));
            }
            self.book.apply(event).map_err(LoadtestError::SetUp)?;
        }
        Ok(())
    }

    /// Carries out one step and says what came of it.
    fn step(&mut self, step: &Step) -> Outcome {
        let command = Command::Signed(self.command(&step.command));
        self.events.clear();
        self.apply(&command);
        while self.engine.agenda_pending() {
            self.apply(&Command::Continue);
        }
        let mut outcome =
            Outcome { fills: Vec::new(), verdict: Verdict::Accepted, depth: Default::default(), faults: Vec::new() };
        let events = std::mem::take(&mut self.events);
        for event in &events {
            self.take_in(event, &step.command, &mut outcome);
        }
        self.events = events;
        let levels = step.depth_levels();
        if levels > 0 {
            outcome.depth = self.book.depth(levels);
        }
        outcome
    }

    /// Gives the command its place and time, and shows its events to the fill writer.
    fn apply(&mut self, command: &Command) {
        self.sequence.0 += 1;
        let timestamp = Timestamp(START_NS + self.sequence.0 * STEP_NS);
        let first = self.events.len();
        self.engine.apply(self.sequence, timestamp, command, &mut self.events);
        for event in &self.events[first..] {
            if let Err(error) = self.fills.observe(self.sequence, event) {
                self.write_error = Some(error);
            }
        }
    }

    fn take_in(&mut self, event: &Event, command: &FlowCommand, outcome: &mut Outcome) {
        if let Err(fault) = self.book.apply(event) {
            outcome.faults.push(fault);
        }
        match event {
            Event::Rejected(rejected) => {
                outcome.verdict = match rejected.code {
                    RejectCode::WouldTrade => Verdict::WouldTrade,
                    code => Verdict::Refused(code.name().to_owned()),
                };
            }
            Event::Duplicate(_) => outcome.verdict = Verdict::Refused("Duplicate".to_owned()),
            Event::Trade(trade) => {
                let maker = self.flow_ids.get(&trade.maker.order).copied();
                match maker {
                    Some(maker) => outcome.fills.push(Fill { maker, quantity: trade.quantity, price: trade.price }),
                    None => outcome.faults.push(format!("trade {} with an order that does not rest", trade.trade)),
                }
                if trade.maker.remaining.is_zero() {
                    self.forget(trade.maker.order);
                } else if let Some(placed) = maker.and_then(|id| self.placed.get_mut(&id)) {
                    placed.remaining = trade.maker.remaining;
                }
            }
            Event::OrderRested(rested) => {
                if let FlowCommand::New { order, quantity, .. } = *command {
                    self.flow_ids.insert(rested.order, order);
                    let placed = Placed { account: rested.account, quantity, remaining: rested.remaining };
                    self.placed.insert(order, placed);
                }
            }
            Event::OrderReduced(reduced) => {
                if let Some(placed) = self.flow_ids.get(&reduced.order).and_then(|id| self.placed.get_mut(id)) {
                    placed.quantity = reduced.quantity;
                    placed.remaining = reduced.remaining;
                }
            }
            Event::OrderCanceled(canceled) => self.forget(canceled.order),
            _ => {}
        }
    }

    fn forget(&mut self, order: OrderId) {
        if let Some(flow_id) = self.flow_ids.remove(&order) {
            self.placed.remove(&flow_id);
        }
    }

    /// The flow's command as the request of the account that owns, or gets, the order.
    fn command(&mut self, command: &FlowCommand) -> SignedCommand {
        let (account, operation) = match *command {
            FlowCommand::New { order, kind, side, price, quantity } => {
                let account = self.account_for(order);
                (account, Operation::PlaceOrder(place_order(client_id(order), kind, side, (price, quantity))))
            }
            FlowCommand::Reduce { order, quantity } if quantity != self.owner(order).remaining => {
                // A reduction by too much, or of an order that does not rest, is the engine's to refuse.
                let placed = self.owner(order);
                let new_quantity = Lots(placed.quantity.raw().saturating_sub(quantity.raw()));
                let target = OrderReference::ClientId(client_id(order));
                (placed.account, Operation::AmendOrder(AmendOrder::less(FLOW_MARKET, target, new_quantity)))
            }
            FlowCommand::Reduce { order, .. } | FlowCommand::Cancel { order } => {
                let target = OrderReference::ClientId(client_id(order));
                (self.owner(order).account, Operation::CancelOrder(CancelOrder { market: FLOW_MARKET, target }))
            }
        };
        SignedCommand {
            account,
            key: KeyId(account.0),
            grade: EvidenceGrade::Native,
            // Each key's nonces rise with the journal; gaps are allowed.
            replay_guard: ReplayGuard::Nonce { nonce: self.sequence.0 },
            valid_until: Timestamp(0),
            operation,
        }
    }

    /// Each account in turn; but an id that still rests goes to its owner, whose engine account refuses it.
    fn account_for(&mut self, order: u64) -> AccountId {
        if let Some(placed) = self.placed.get(&order) {
            return placed.account;
        }
        let turn = u32::try_from(self.new_orders % u64::from(FLOW_ACCOUNTS)).expect("below the number of accounts");
        self.new_orders += 1;
        AccountId(1 + turn)
    }

    fn owner(&self, order: u64) -> Placed {
        self.placed.get(&order).copied().unwrap_or(NOT_RESTING)
    }
}

/// A new order with self-trade prevention off: a flow does not say whose its orders are.
fn place_order(client_id: ClientId, kind: NewOrderKind, side: Side, size: (Ticks, Lots)) -> PlaceOrder {
    let (order_type, time_in_force) = match kind {
        NewOrderKind::Limit => (OrderType::Limit, TimeInForce::GoodTillCancel),
        NewOrderKind::PostOnly => (OrderType::LimitMaker, TimeInForce::GoodTillCancel),
        NewOrderKind::ImmediateOrCancel => (OrderType::Limit, TimeInForce::ImmediateOrCancel),
    };
    PlaceOrder { order_type, time_in_force, client_id, ..PlaceOrder::limit(FLOW_MARKET, side, size.0, size.1) }
}

/// The flow's id as a client id: its decimal text.
fn client_id(order: u64) -> ClientId {
    ClientId::new(&order.to_string()).expect("at most 20 digits")
}
