//! A recorded flow as signed messages through the binary face: the same judge, and only what a market maker can see.
//!
//! One session, one key. Fills come from the account's execution reports, rejects from its refusals, `B` and `D` lines
//! from a book that is kept from the L3 feed alone. The venue tells a command's reports before its public changes, and
//! changes in the journal's order, so a step is judged when the feed has come to a later command, or has nothing more to
//! say. Bounds: the window; what rests.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use lakh_engine::command::{AmendOrder, CancelOrder, OrderReference, OrderType, PlaceOrder, Side, TimeInForce};
use lakh_engine::ids::{ClientId, MarketId};
use lakh_engine::reject::RejectCode;
use lakh_engine::units::{Lots, Ticks};
use lakh_gateway::binary_client::{BinaryClient, BinaryClientError, LogonOptions, Message, PublicBook, now};
use lakh_gateway::wire::sbe::encode::name_of;
use lakh_gateway::wire::sbe::enums::{Channel, ExecutionType, TradeRole, WireEnum};
use lakh_gateway::wire::sbe::reports::ExecutionReport;

use crate::error::LoadtestError;
use crate::flow::format::{FlowCommand, FlowReader, NewOrderKind, Step};
use crate::flow::judge::{BookDigest, Depth, Fill, FlowReport, Outcome, Verdict};
use crate::flow::resting::RestingOrders;
use crate::flow::through::Ledger;
use crate::flow::user_stream::{Liquidity, TradeReport};
use std::path::Path;

/// How long the venue may be silent while an answer is due.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// The market that the flow trades: a venue of one's own has one.
const MARKET: MarketId = MarketId(0);

/// Where and how a flow is sent.
#[derive(Clone, Debug)]
pub struct BinaryOptions {
    /// The venue's binary port.
    pub address: SocketAddr,
    /// The venue's tag.
    pub venue_tag: [u8; 16],
    /// Requests in flight at most, at least 1; the venue's own limit for a connection must not be below it.
    pub window: usize,
}

/// Drives the venue's binary port with the flow at `path`, judges every recorded line and writes the fills.
///
/// The venue's market must be empty and open, without fees, and the account funded.
///
/// # Errors
/// As [`crate::flow::through::check_through`].
pub async fn check_through_binary(
    options: &BinaryOptions,
    key: &SigningKey,
    path: &Path,
    fills: Option<&Path>,
) -> Result<FlowReport, LoadtestError> {
    let mut reader = FlowReader::open(path)?;
    let (mut client, _) =
        BinaryClient::connect(options.address, key, &LogonOptions::new(options.venue_tag)).await.map_err(failed)?;
    client.requests().subscribe(MARKET, Channel::Orders, None, now());
    client.flush().await.map_err(failed)?;
    let mut run = Run {
        client,
        resting: RestingOrders::default(),
        pending: VecDeque::new(),
        in_flight: 0,
        ledger: Ledger::open(fills)?,
        book: PublicBook::default(),
        levels: Levels::default(),
        settled: false,
    };
    run.flow(&mut reader, options.window.max(1)).await?;
    let (orders, digest) = (run.book.len() as u64, run.levels.digest());
    run.ledger.finish(BookDigest { orders, ..digest })
}

fn failed(error: BinaryClientError) -> LoadtestError {
    LoadtestError::connection("binary session", error)
}

/// A step that is not judged yet.
struct Pending {
    step: Step,
    request: u64,
    /// Verdict and place in the journal, once it is answered.
    answer: Option<(Verdict, u64)>,
    fills: Vec<Fill>,
}

struct Run {
    client: BinaryClient,
    resting: RestingOrders,
    pending: VecDeque<Pending>,
    in_flight: usize,
    ledger: Ledger,
    book: PublicBook,
    levels: Levels,
    /// The feed has said everything.
    settled: bool,
}

impl Run {
    async fn flow(&mut self, reader: &mut FlowReader, window: usize) -> Result<(), LoadtestError> {
        let mut more = true;
        while more || self.in_flight > 0 {
            while more && self.in_flight < window {
                match reader.next_step()? {
                    Some(step) => self.send(step),
                    None => more = false,
                }
            }
            self.client.flush().await.map_err(failed)?;
            let low = if more { window / 2 } else { 0 };
            while self.in_flight > low {
                self.receive().await?;
            }
        }
        // Its answer comes behind every change before it.
        self.client.requests().markets(Some(MARKET), now());
        self.client.flush().await.map_err(failed)?;
        while !self.settled {
            self.receive().await?;
        }
        self.judge(u64::MAX);
        if let Some(unanswered) = self.pending.front() {
            return Err(LoadtestError::Protocol(format!("line {} was never answered", unanswered.step.line)));
        }
        let unpaired = self.ledger.pairs.unpaired();
        if unpaired > 0 {
            self.ledger.judge.bad(0, format!("{unpaired} trades were reported for one side only"));
        }
        Ok(())
    }

    fn send(&mut self, step: Step) {
        let requests = self.client.requests();
        let named = |order: u64| OrderReference::ClientId(client_id(order));
        let request = match step.command {
            FlowCommand::New { order, kind, side, price, quantity } => {
                let (order_type, time_in_force) = match kind {
                    NewOrderKind::Limit => (OrderType::Limit, TimeInForce::GoodTillCancel),
                    NewOrderKind::ImmediateOrCancel => (OrderType::Limit, TimeInForce::ImmediateOrCancel),
                    NewOrderKind::PostOnly => (OrderType::LimitMaker, TimeInForce::GoodTillCancel),
                };
                let limit = PlaceOrder::limit(MARKET, side, price, quantity);
                requests.place(&PlaceOrder { order_type, time_in_force, client_id: client_id(order), ..limit }, now())
            }
            FlowCommand::Reduce { order, quantity } if quantity != self.resting.recorded(order).remaining => {
                let whole = self.resting.recorded(order).quantity.raw().saturating_sub(quantity.raw());
                let amend = AmendOrder::less(MARKET, named(order), Lots(whole));
                requests.amend(&amend, now())
            }
            FlowCommand::Reduce { order, .. } | FlowCommand::Cancel { order } => {
                requests.cancel(&CancelOrder { market: MARKET, target: named(order) }, now())
            }
        };
        self.resting.expect(&step);
        self.in_flight += 1;
        self.pending.push_back(Pending { step, request, answer: None, fills: Vec::new() });
    }

    async fn receive(&mut self) -> Result<(), LoadtestError> {
        let next = tokio::time::timeout(ANSWER_TIMEOUT, self.client.next()).await;
        let message =
            next.map_err(|_| LoadtestError::TimedOut { seconds: ANSWER_TIMEOUT.as_secs() })?.map_err(failed)?;
        match &message {
            Message::ExecutionReport(report) => self.take_report(report),
            Message::RequestRejected(rejected) => {
                let code = rejected.code.get();
                let verdict = if code == RejectCode::WouldTrade as u16 {
                    Verdict::WouldTrade
                } else {
                    Verdict::Refused(format!("{code} {}", name_of(code)))
                };
                self.answer(rejected.request_sequence.get(), verdict, rejected.journal_sequence.get());
                Ok(())
            }
            Message::BusinessReject(reject) => {
                let code = reject.code.get();
                let line = self.at(reject.request_sequence.get()).map_or(0, |pending| pending.step.line);
                Err(LoadtestError::Refused { line, code: i64::from(code), message: name_of(code).to_owned() })
            }
            Message::MarketDefinition(_) => {
                self.settled = true;
                Ok(())
            }
            Message::MarketDataAnswer(answer) if answer.code.get() != 0 => {
                Err(LoadtestError::Protocol(format!("the feed was refused: {}", name_of(answer.code.get()))))
            }
            _ => self.take_change(&message),
        }
    }

    fn take_report(&mut self, report: &ExecutionReport) -> Result<(), LoadtestError> {
        if report.execution_type != ExecutionType::Trade.wire() {
            self.answer(report.request_sequence.get(), Verdict::Accepted, report.journal_sequence.get());
            return Ok(());
        }
        let unreadable = || LoadtestError::Protocol(format!("{report:?}"));
        let text = std::str::from_utf8(&report.client_order_id).map_err(|_| unreadable())?.trim_end_matches('\0');
        let trade = TradeReport {
            trade: report.trade_id.get(),
            liquidity: if report.role == TradeRole::Maker.wire() { Liquidity::Maker } else { Liquidity::Taker },
            client_id: text.parse().map_err(|_| unreadable())?,
            side: Side::from_wire(report.side).map_err(|_| unreadable())?,
            price: Ticks(report.last_price.get()),
            quantity: Lots(report.last_quantity.get()),
        };
        let Some(trade) = self.ledger.pairs.add(trade)? else { return Ok(()) };
        let fill = Fill { maker: trade.fill.maker, quantity: trade.fill.quantity, price: trade.fill.price };
        let taker = trade.fill.taker;
        let placed =
            |pending: &&mut Pending| matches!(pending.step.command, FlowCommand::New { order, .. } if order == taker);
        match self.pending.iter_mut().rev().find(placed) {
            Some(pending) => pending.fills.push(fill),
            None => self.ledger.judge.bad(0, format!("trade {} of order {taker}, not in flight", trade.trade)),
        }
        self.ledger.trade(&trade)
    }

    fn answer(&mut self, request: u64, verdict: Verdict, journal_sequence: u64) {
        let Some(pending) = self.at(request) else { return };
        if pending.answer.is_none() {
            pending.answer = Some((verdict, journal_sequence));
            self.in_flight -= 1;
        }
    }

    fn at(&mut self, request: u64) -> Option<&mut Pending> {
        let at = self.pending.partition_point(|pending| pending.request < request);
        self.pending.get_mut(at).filter(|pending| pending.request == request)
    }

    /// A change of the public book: what stands before its command in the journal can be judged now.
    fn take_change(&mut self, message: &Message) -> Result<(), LoadtestError> {
        if let Some(sequence) = Levels::sequence(message) {
            self.judge(sequence);
        }
        self.levels.apply(message);
        self.book.apply(message).map_err(|error| LoadtestError::Protocol(format!("L3 feed: {error}")))
    }

    /// Judges what is answered and stands before this place in the journal.
    fn judge(&mut self, before: u64) {
        while let Some(front) = self.pending.front() {
            let Some((verdict, sequence)) = &front.answer else { return };
            if *sequence >= before {
                return;
            }
            let depth = self.levels.depth(front.step.depth_levels());
            let outcome = Outcome { fills: front.fills.clone(), verdict: verdict.clone(), depth, faults: Vec::new() };
            self.ledger.judge.step(&front.step, &outcome);
            self.pending.pop_front();
        }
    }
}

fn client_id(order: u64) -> ClientId {
    ClientId::new(&order.to_string()).expect("at most 20 digits")
}

/// Price levels by the L3 feed.
#[derive(Debug, Default)]
struct Levels {
    bids: BTreeMap<u64, u64>,
    asks: BTreeMap<u64, u64>,
}

impl Levels {
    /// Place in the journal of what a change's command was; `None` for what is no change.
    fn sequence(message: &Message) -> Option<u64> {
        Some(match message {
            Message::OrderAdded(change) => change.journal_sequence.get(),
            Message::OrderExecuted(change) => change.journal_sequence.get(),
            Message::OrderReduced(change) => change.journal_sequence.get(),
            Message::OrderDeleted(change) => change.journal_sequence.get(),
            _ => return None,
        })
    }

    fn apply(&mut self, message: &Message) {
        match message {
            Message::OrderAdded(added) => {
                *self.side(added.side).entry(added.price.get()).or_insert(0) += added.quantity.get();
            }
            Message::OrderExecuted(one) => self.take(one.side, one.price.get(), one.quantity.get()),
            Message::OrderReduced(one) => self.take(one.side, one.price.get(), one.quantity.get()),
            Message::OrderDeleted(one) => self.take(one.side, one.price.get(), one.quantity.get()),
            _ => {}
        }
    }

    fn side(&mut self, side: u8) -> &mut BTreeMap<u64, u64> {
        if side == Side::Bid.wire() { &mut self.bids } else { &mut self.asks }
    }

    fn take(&mut self, side: u8, price: u64, quantity: u64) {
        let levels = self.side(side);
        let Some(level) = levels.get_mut(&price) else { return };
        // A change that takes more than there is fails in the book by order.
        *level = level.saturating_sub(quantity);
        if *level == 0 {
            levels.remove(&price);
        }
    }

    fn depth(&self, count: usize) -> Depth {
        let level = |(price, quantity): (&u64, &u64)| (Ticks(*price), Lots(*quantity));
        Depth {
            bids: self.bids.iter().rev().take(count).map(level).collect(),
            asks: self.asks.iter().take(count).map(level).collect(),
        }
    }

    fn digest(&self) -> BookDigest {
        BookDigest {
            orders: 0,
            bid_levels: self.bids.len() as u64,
            ask_levels: self.asks.len() as u64,
            bid_lots: self.bids.values().sum(),
            ask_lots: self.asks.values().sum(),
        }
    }
}
