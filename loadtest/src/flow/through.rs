//! A recorded flow as signed orders over a socket: the same judge, but only what a client can see.
//!
//! One connection, one key. Each command is a request signed on its own; up to a window of them are in flight. Fills
//! come from the account's own execution reports; `B` and `D` lines from a `depth` request directly behind the
//! command, which the venue answers in its place; rejects from the error. A step is judged when an answer of a later
//! request has come, because by then all that belongs to it has: the venue answers in order. Bounds: the window, and
//! two numbers for each order that rests.

use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lakh_engine::units::Lots;
use serde_json::Value as Json;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::client::{Incoming, Outgoing, Trader, Value, connect, now_us, plain_request, signed_request};
use crate::error::LoadtestError;
use crate::flow::check::open_fills;
use crate::flow::fills::FillLine;
use crate::flow::format::{FlowCommand, FlowReader, NewOrderKind, Step};
use crate::flow::judge::{BookDigest, Fill, FlowReport, Judge, Outcome, Verdict};
use crate::flow::resting::RestingOrders;
use crate::flow::user_stream::{ApiRefusal, Message, PairedTrade, TradePairs, parse_depth, parse_message};
use crate::market_text::{MarketText, side_text};

/// How long the venue may be silent while an answer is due.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Levels a side that the final digest asks for: the most that the API gives.
const DIGEST_LEVELS: u64 = 5_000;
/// Refusals that say nothing about the order flow: overload, limits, time, signature, key.
const VENUE_CODES: [i64; 9] = [-1000, -1003, -1007, -1008, -1015, -1021, -1022, -2014, -2015];
/// "Order rejected"; a post-only order that would trade is one of these.
const ORDER_REJECTED: i64 = -2010;

/// How a flow is sent through a venue.
#[derive(Clone, Debug)]
pub struct ThroughOptions {
    /// The market and how its numbers are written.
    pub market: MarketText,
    /// Requests in flight at most, at least 2; the venue's own limit for a connection must be above it.
    pub window: usize,
    /// How long a signature is good, in milliseconds: 1 ..= 60,000. The venue remembers each request for about as
    /// long, so that rate × window must fit the key's capacity.
    pub receive_window_ms: u32,
    /// Where to write the fills, in the form of [`crate::flow::fills`].
    pub fills: Option<PathBuf>,
}

impl ThroughOptions {
    /// 64 requests in flight, signatures good for two seconds, fills nowhere.
    pub fn new(market: MarketText) -> Self {
        Self { market, window: 64, receive_window_ms: 2_000, fills: None }
    }
}

/// Drives the venue at `url` with the flow at `path` and judges every recorded line.
///
/// The venue's market must be empty and open, without fees, and the account funded; self-trade prevention is asked
/// off with every order, since the flow's orders all belong to the one account.
///
/// # Errors
/// A file that cannot be read, written or parsed; a connection that fails; a venue that refuses for load, time,
/// signature or limits, which says nothing about the flow.
pub async fn check_through(
    url: &str,
    trader: &Trader,
    path: &Path,
    options: &ThroughOptions,
) -> Result<FlowReport, LoadtestError> {
    if options.window < 2 || !(1..=60_000).contains(&options.receive_window_ms) {
        return Err(LoadtestError::Options("window from 2, receive window 1 to 60000 ms".to_owned()));
    }
    let mut reader = FlowReader::open(path)?;
    let (outgoing, incoming) = connect(url).await?;
    let ledger = Ledger::open(options.fills.as_deref())?;
    let mut run = Run {
        requests: Requests { options, trader, next_id: 0, last_timestamp: 0, resting: RestingOrders::default() },
        outgoing,
        incoming,
        pending: VecDeque::new(),
        in_flight: 0,
        ledger,
    };
    run.call("userDataStream.subscribe.signature", Vec::new()).await?;
    run.flow(&mut reader).await?;
    let digest = run.digest().await?;
    run.outgoing.close().await;
    run.ledger.finish(digest)
}

/// A step whose outcome is not complete.
struct Pending {
    step: Step,
    /// The command's request; a depth request has the number after it.
    id: u64,
    answer: Option<Verdict>,
    depth: DepthWanted,
    outcome: Outcome,
}

/// Whether a step still needs the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DepthWanted {
    No,
    Due,
    Come,
}

/// One connection that carries a flow.
struct Run<'a> {
    requests: Requests<'a>,
    outgoing: Outgoing,
    incoming: Incoming,
    pending: VecDeque<Pending>,
    in_flight: usize,
    ledger: Ledger,
}

impl Run<'_> {
    async fn flow(&mut self, reader: &mut FlowReader) -> Result<(), LoadtestError> {
        let window = self.requests.options.window;
        let mut more = true;
        while more || self.in_flight > 0 {
            // Refilled by halves, so that requests leave in batches and not one a write.
            while more && self.in_flight + 2 <= window {
                match reader.next_step()? {
                    Some(step) => self.send_step(step).await?,
                    None => more = false,
                }
            }
            self.outgoing.flush().await?;
            // At most `window - 2`, or a small window would leave no room for the next step and nothing to wait for.
            let low = if more { (window / 2).min(window - 2) } else { 0 };
            while self.in_flight > low {
                self.receive().await?;
            }
        }
        // Reports of the last step may stand behind its answer; whatever is answered after them proves that they came.
        self.call("account.status", Vec::new()).await?;
        self.settle(u64::MAX);
        let unpaired = self.ledger.pairs.unpaired();
        if unpaired > 0 {
            self.ledger.judge.bad(0, format!("{unpaired} trades were reported for one side only"));
        }
        Ok(())
    }

    async fn send_step(&mut self, step: Step) -> Result<(), LoadtestError> {
        let (id, text) = self.requests.command(&step.command);
        self.requests.resting.expect(&step);
        self.outgoing.feed(text).await?;
        self.in_flight += 1;
        let mut depth = DepthWanted::No;
        let levels = step.depth_levels();
        if levels > 0 {
            let text = self.requests.depth(levels as u64);
            self.outgoing.feed(text).await?;
            self.in_flight += 1;
            depth = DepthWanted::Due;
        }
        let outcome =
            Outcome { fills: Vec::new(), verdict: Verdict::Accepted, depth: Default::default(), faults: Vec::new() };
        self.pending.push_back(Pending { step, id, answer: None, depth, outcome });
        Ok(())
    }

    /// Takes in one message of the venue.
    async fn receive(&mut self) -> Result<(), LoadtestError> {
        let text = self.incoming.next_within(ANSWER_TIMEOUT).await?;
        match parse_message(&self.requests.options.market, &text)? {
            Message::Answer { id, outcome } => {
                self.in_flight = self.in_flight.checked_sub(1).ok_or_else(|| unasked(id))?;
                self.settle(id);
                self.take_answer(id, outcome)
            }
            Message::Trade(report) => match self.ledger.pairs.add(report)? {
                Some(trade) => self.take_trade(&trade),
                None => Ok(()),
            },
            Message::Other => Ok(()),
        }
    }

    fn take_answer(&mut self, id: u64, outcome: Result<Json, ApiRefusal>) -> Result<(), LoadtestError> {
        let at = self.pending.partition_point(|pending| pending.id <= id).checked_sub(1).ok_or_else(|| unasked(id))?;
        let pending = &mut self.pending[at];
        let line = pending.step.line;
        if let Err(refusal) = &outcome
            && (VENUE_CODES.contains(&refusal.code) || id != pending.id)
        {
            return Err(LoadtestError::Refused { line, code: refusal.code, message: refusal.message.clone() });
        }
        if id == pending.id && pending.answer.is_none() {
            pending.answer = Some(verdict(&outcome));
        } else if let Ok(result) = &outcome
            && id == pending.id + 1
            && pending.depth == DepthWanted::Due
        {
            pending.outcome.depth = parse_depth(&self.requests.options.market, result)?;
            pending.depth = DepthWanted::Come;
        } else {
            return Err(unasked(id));
        }
        Ok(())
    }

    /// A trade belongs to the step that placed its taker.
    fn take_trade(&mut self, trade: &PairedTrade) -> Result<(), LoadtestError> {
        let FillLine { taker, maker, quantity, price, .. } = trade.fill;
        let placed_taker =
            |pending: &&mut Pending| matches!(pending.step.command, FlowCommand::New { order, .. } if order == taker);
        match self.pending.iter_mut().find(placed_taker) {
            Some(pending) => {
                pending.outcome.fills.push(Fill { maker, quantity, price });
            }
            None => {
                let message = format!("trade {} of order {taker}, which is not in flight", trade.trade);
                self.ledger.judge.bad(0, message);
            }
        }
        self.ledger.trade(trade)
    }

    /// Judges every step at the front that is complete, now that request `answered` is answered.
    fn settle(&mut self, answered: u64) {
        while let Some(front) = self.pending.front() {
            let last_id = front.id + u64::from(front.depth != DepthWanted::No);
            if last_id >= answered || front.answer.is_none() || front.depth == DepthWanted::Due {
                return;
            }
            let Some(mut done) = self.pending.pop_front() else { return };
            done.outcome.verdict = done.answer.take().unwrap_or(Verdict::Accepted);
            self.ledger.judge.step(&done.step, &done.outcome);
        }
    }

    /// Sends one signed request while nothing else is in flight, and waits for its answer.
    async fn call(&mut self, method: &str, params: Vec<(&str, Value<'_>)>) -> Result<Json, LoadtestError> {
        let (id, text) = self.requests.signed(method, params);
        self.outgoing.feed(text).await?;
        self.outgoing.flush().await?;
        loop {
            let text = self.incoming.next_within(ANSWER_TIMEOUT).await?;
            match parse_message(&self.requests.options.market, &text)? {
                Message::Answer { id: answered, outcome } if answered == id => {
                    let refused = |ApiRefusal { code, message }| LoadtestError::Refused { line: 0, code, message };
                    return outcome.map_err(refused);
                }
                Message::Answer { id: answered, .. } => return Err(unasked(answered)),
                Message::Trade(report) => {
                    if let Some(trade) = self.ledger.pairs.add(report)? {
                        self.take_trade(&trade)?;
                    }
                }
                Message::Other => {}
            }
        }
    }

    /// The final book as the API shows it: levels from `depth`, orders from the account that owns them all.
    async fn digest(&mut self) -> Result<BookDigest, LoadtestError> {
        let market = self.requests.options.market.clone();
        let open = self.call("openOrders.status", vec![("symbol", Value::Text(&market.symbol))]).await?;
        let orders = open.as_array().ok_or_else(|| LoadtestError::Protocol("openOrders.status".to_owned()))?.len();
        let text = self.requests.depth(DIGEST_LEVELS);
        self.outgoing.feed(text).await?;
        self.outgoing.flush().await?;
        loop {
            let text = self.incoming.next_within(ANSWER_TIMEOUT).await?;
            let Message::Answer { outcome, .. } = parse_message(&market, &text)? else { continue };
            let refused = |ApiRefusal { code, message }| LoadtestError::Refused { line: 0, code, message };
            let depth = parse_depth(&market, &outcome.map_err(refused)?)?;
            let lots = |levels: &[(_, Lots)]| levels.iter().map(|(_, quantity)| quantity.raw()).sum();
            return Ok(BookDigest {
                orders: orders as u64,
                bid_levels: depth.bids.len() as u64,
                ask_levels: depth.asks.len() as u64,
                bid_lots: lots(&depth.bids),
                ask_lots: lots(&depth.asks),
            });
        }
    }
}

fn unasked(id: u64) -> LoadtestError {
    LoadtestError::Protocol(format!("an answer to request {id}, which is not due"))
}

fn verdict(outcome: &Result<Json, ApiRefusal>) -> Verdict {
    match outcome {
        Ok(_) => Verdict::Accepted,
        Err(refusal) if refusal.code == ORDER_REJECTED && refusal.message.contains("immediately match") => {
            Verdict::WouldTrade
        }
        Err(refusal) => Verdict::Refused(format!("{} {}", refusal.code, refusal.message)),
    }
}

/// What has been found so far.
pub(crate) struct Ledger {
    pub(crate) judge: Judge,
    pub(crate) pairs: TradePairs,
    last_trade: u64,
    fills: Box<dyn Write + Send>,
    path: PathBuf,
}

impl Ledger {
    /// Nothing found yet; fills are written to `path`, or nowhere.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, LoadtestError> {
        let (fills, path) = (open_fills(path)?, path.map(Path::to_owned).unwrap_or_default());
        Ok(Self { judge: Judge::new(), pairs: TradePairs::default(), last_trade: 0, fills, path })
    }

    /// The report, once everything was judged; the fills are written.
    pub(crate) fn finish(mut self, digest: BookDigest) -> Result<FlowReport, LoadtestError> {
        self.fills.flush().map_err(|source| LoadtestError::Io { path: self.path.clone(), source })?;
        Ok(self.judge.finish(digest))
    }

    /// Writes the trade's line, and checks that trades are numbered without gaps.
    pub(crate) fn trade(&mut self, trade: &PairedTrade) -> Result<(), LoadtestError> {
        if self.last_trade != 0 && trade.trade != self.last_trade + 1 {
            self.judge.bad(0, format!("trade {} directly after trade {}", trade.trade, self.last_trade));
        }
        self.last_trade = trade.trade;
        writeln!(self.fills, "{}", trade.fill).map_err(|source| LoadtestError::Io { path: self.path.clone(), source })
    }
}

/// Makes the requests.
struct Requests<'a> {
    options: &'a ThroughOptions,
    trader: &'a Trader,
    next_id: u64,
    last_timestamp: u64,
    resting: RestingOrders,
}

impl Requests<'_> {
    /// The request of a flow's command.
    fn command(&mut self, command: &FlowCommand) -> (u64, Utf8Bytes) {
        let market = &self.options.market;
        let symbol = ("symbol", Value::Text(&market.symbol));
        match *command {
            FlowCommand::New { order, kind, side, price, quantity } => {
                let (client_id, price, quantity) = (order.to_string(), market.price(price), market.quantity(quantity));
                let mut params = vec![
                    symbol,
                    ("newClientOrderId", Value::Text(&client_id)),
                    ("newOrderRespType", Value::Text("ACK")),
                    ("price", Value::Text(&price)),
                    ("quantity", Value::Text(&quantity)),
                    ("selfTradePreventionMode", Value::Text("NONE")),
                    ("side", Value::Text(side_text(side))),
                ];
                let (order_type, time_in_force) = match kind {
                    NewOrderKind::Limit => ("LIMIT", Some("GTC")),
                    NewOrderKind::ImmediateOrCancel => ("LIMIT", Some("IOC")),
                    NewOrderKind::PostOnly => ("LIMIT_MAKER", None),
                };
                params.push(("type", Value::Text(order_type)));
                params.extend(time_in_force.map(|name| ("timeInForce", Value::Text(name))));
                self.signed("order.place", params)
            }
            FlowCommand::Reduce { order, quantity } if quantity != self.resting.recorded(order).remaining => {
                let whole = Lots(self.resting.recorded(order).quantity.raw().saturating_sub(quantity.raw()));
                let (client_id, new_quantity) = (order.to_string(), market.quantity(whole));
                let params = vec![
                    symbol,
                    ("origClientOrderId", Value::Text(&client_id)),
                    ("newQty", Value::Text(&new_quantity)),
                ];
                self.signed("order.amend.keepPriority", params)
            }
            FlowCommand::Reduce { order, .. } | FlowCommand::Cancel { order } => {
                let client_id = order.to_string();
                self.signed("order.cancel", vec![symbol, ("origClientOrderId", Value::Text(&client_id))])
            }
        }
    }

    /// A request for the top of the book.
    fn depth(&mut self, levels: u64) -> Utf8Bytes {
        let params = [("symbol", Value::Text(&self.options.market.symbol)), ("limit", Value::Number(levels))];
        let id = self.next_id;
        self.next_id += 1;
        Utf8Bytes::from(plain_request(id, "depth", &params))
    }

    /// A signed request, stamped with a time that no other request of this run has: the venue takes no text twice.
    fn signed(&mut self, method: &str, mut params: Vec<(&str, Value<'_>)>) -> (u64, Utf8Bytes) {
        self.last_timestamp = now_us().max(self.last_timestamp + 1);
        params.push(("timestamp", Value::Number(self.last_timestamp)));
        params.push(("recvWindow", Value::Number(u64::from(self.options.receive_window_ms))));
        params.push(("returnRateLimits", Value::Text("false")));
        let id = self.next_id;
        self.next_id += 1;
        (id, Utf8Bytes::from(signed_request(id, method, self.trader, &params)))
    }
}
