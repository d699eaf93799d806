//! The engine as a candidate of `tracebook-conformance`, a public differential tester: newline-delimited JSON, a request
//! and an answer a line, over any pair of streams.
//!
//! The tester drives its own reference beside the candidate and compares after every event: outcome, trades, and a hash
//! of all resting orders in their priority. What is spoken here is its protocol version 1 with first-in-first-out
//! matching and no self-trade prevention; everything else is refused in the greeting. A line is bounded by
//! [`MAX_LINE`]; whatever breaks the protocol is answered with an error and ends the session.

pub mod decimal;
pub mod venue;

use std::io::{BufRead, Read as _, Write};

use lakh_engine::command::Side;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::error::LoadtestError;
use crate::flow::adapter::decimal::Decimal;
use crate::flow::adapter::venue::{AdapterVenue, Ask, Fill, Instruction, Refusal, Request};
use crate::flow::conformance::reports::lower_hex;

/// Longest line that is read.
pub const MAX_LINE: u64 = 64 * 1_024;
/// Longest symbol.
const MAX_SYMBOL: usize = 64;
const PROTOCOL: &str = "tracebook.conformance";
const PROTOCOL_VERSION: u64 = 1;

/// Answers one session's requests until its `finish`.
///
/// # Errors
/// [`LoadtestError::Protocol`] for whatever breaks the protocol, after it was told to the other side.
pub fn serve(input: impl BufRead, mut output: impl Write) -> Result<(), LoadtestError> {
    let result = converse(input, &mut output);
    if let Err(message) = &result {
        // The session is over in any case; that the other side cannot be told is no other failure.
        let frame = Frame::Error { code: "ADAPTER_ERROR", message };
        drop(send(&mut output, &frame));
    }
    result.map_err(LoadtestError::Protocol)
}

fn converse(mut input: impl BufRead, output: &mut impl Write) -> Result<(), String> {
    let mut line = String::new();
    read_line(&mut input, &mut line)?;
    let mut session = Session { venue: greet(&line)?, index: 0 };
    let engine = Engine { name: "lakh", version: env!("CARGO_PKG_VERSION"), language: "Rust" };
    send(output, &Frame::Ready { protocol: PROTOCOL, protocol_version: PROTOCOL_VERSION, engine })?;
    loop {
        read_line(&mut input, &mut line)?;
        let kind: Kind = parse(&line)?;
        match kind.r#type.as_str() {
            "event" => send(output, &session.event(&line)?)?,
            "snapshot" => {
                session.expect_index(parse::<Index>(&line)?.index)?;
                send(output, &Frame::Snapshot { index: session.index, state: session.state() })?;
            }
            "finish" => {
                session.expect_index(parse::<Finish>(&line)?.event_count)?;
                return send(output, &Frame::Complete { event_count: session.index });
            }
            other => return Err(format!("unknown message type {other:?}")),
        }
    }
}

/// Reads the next line that is not empty.
fn read_line(input: &mut impl BufRead, line: &mut String) -> Result<(), String> {
    loop {
        line.clear();
        let read = input.take(MAX_LINE).read_line(line).map_err(|error| error.to_string())?;
        if read == 0 {
            return Err("the session ended before its finish".to_owned());
        }
        if read as u64 == MAX_LINE && !line.ends_with('\n') {
            return Err(format!("a line of more than {MAX_LINE} bytes"));
        }
        if !line.trim().is_empty() {
            return Ok(());
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T, String> {
    serde_json::from_str(line).map_err(|error| error.to_string())
}

fn send(output: &mut impl Write, frame: &Frame<'_>) -> Result<(), String> {
    let mut line = serde_json::to_vec(frame).map_err(|error| error.to_string())?;
    line.push(b'\n');
    output.write_all(&line).and_then(|()| output.flush()).map_err(|error| error.to_string())
}

/// Reads the greeting and makes the venue that it asks for.
fn greet(line: &str) -> Result<AdapterVenue, String> {
    let hello: Hello = parse(line)?;
    if (hello.r#type.as_str(), hello.protocol.as_str()) != ("hello", PROTOCOL) {
        return Err(format!("the first message is no hello of {PROTOCOL}"));
    }
    if hello.protocol_version != PROTOCOL_VERSION {
        return Err(format!("protocol version {}, not {PROTOCOL_VERSION}", hello.protocol_version));
    }
    let Config { matching_algorithm, tick_size, self_trade_policy, quantity_decimal_places } = hello.config;
    if (matching_algorithm.as_str(), self_trade_policy.as_str()) != ("fifo", "NONE") {
        return Err(format!("matching {matching_algorithm}, self-trade policy {self_trade_policy}: only fifo, NONE"));
    }
    if quantity_decimal_places < 10 {
        return Err(format!("quantities are exact to 10 places and not rounded to {quantity_decimal_places}"));
    }
    let tick = Decimal::parse(&tick_size).filter(Decimal::is_positive).ok_or(format!("tick size {tick_size}"))?;
    AdapterVenue::new(tick)
}

/// A session behind its greeting.
struct Session {
    venue: AdapterVenue,
    /// The last event's index.
    index: u64,
}

impl Session {
    fn expect_index(&self, index: u64) -> Result<(), String> {
        if index == self.index { Ok(()) } else { Err(format!("index {index} behind event {}", self.index)) }
    }

    fn event(&mut self, line: &str) -> Result<Frame<'static>, String> {
        let EventMessage { index, event } = parse(line)?;
        if index != self.index + 1 {
            return Err(format!("event {index} behind event {}", self.index));
        }
        self.index = index;
        let ask = event.ask()?;
        let (outcome, fills) = match self.venue.apply(&ask)? {
            Ok(fills) => (Outcome { status: "applied", reason: None, message: None }, fills),
            Err(Refusal { code, message }) => {
                (Outcome { status: "rejected", reason: Some(code), message: Some(message) }, Vec::new())
            }
        };
        let trades = fills.iter().map(|fill| self.trade(&ask.symbol, fill)).collect();
        let state = self.state();
        let resting_order_count = state.books.iter().map(|book| book.asks.len() + book.bids.len()).sum();
        let text = serde_json::to_vec(&state).map_err(|error| error.to_string())?;
        let state_hash = lower_hex(&Sha256::digest(text));
        Ok(Frame::Observation { index, outcome, trades, state_hash, resting_order_count })
    }

    fn trade(&self, symbol: &str, fill: &Fill) -> Trade {
        Trade {
            symbol: symbol.to_owned(),
            buy_order_id: fill.buy,
            sell_order_id: fill.sell,
            price: self.venue.price_text(fill.price),
            quantity: AdapterVenue::quantity_text(fill.quantity),
        }
    }

    fn state(&self) -> State {
        let books = self.venue.symbols().map(|symbol| Book {
            asks: self.queue(symbol, Side::Ask),
            bids: self.queue(symbol, Side::Bid),
            symbol: symbol.to_owned(),
        });
        State { books: books.collect() }
    }

    fn queue(&self, symbol: &str, side: Side) -> Vec<Order> {
        let order = |order: venue::Resting| Order {
            order_id: order.id,
            order_type: "LIMIT",
            owner: order.owner,
            price: self.venue.price_text(order.price),
            remaining_quantity: AdapterVenue::quantity_text(order.remaining),
        };
        self.venue.resting(symbol, side).into_iter().map(order).collect()
    }
}

#[derive(Deserialize)]
struct Kind {
    r#type: String,
}

#[derive(Deserialize)]
struct Index {
    index: u64,
}

#[derive(Deserialize)]
struct Finish {
    event_count: u64,
}

#[derive(Deserialize)]
struct Hello {
    r#type: String,
    protocol: String,
    protocol_version: u64,
    config: Config,
}

#[derive(Deserialize)]
struct Config {
    matching_algorithm: String,
    tick_size: String,
    self_trade_policy: String,
    quantity_decimal_places: u32,
}

#[derive(Deserialize)]
struct EventMessage<'a> {
    index: u64,
    #[serde(borrow)]
    event: EventText<'a>,
}

/// An event; its prices and quantities are the text that stands there.
#[derive(Deserialize)]
struct EventText<'a> {
    op: String,
    symbol: String,
    order_id: Option<u64>,
    side: Option<String>,
    order_type: Option<String>,
    #[serde(borrow)]
    price: Option<&'a RawValue>,
    #[serde(borrow)]
    quantity: Option<&'a RawValue>,
    owner: Option<i64>,
}

impl EventText<'_> {
    fn ask(&self) -> Result<Ask, String> {
        let symbol = self.symbol.trim();
        if symbol.is_empty() || symbol.len() > MAX_SYMBOL {
            return Err(format!("a symbol of {} bytes", symbol.len()));
        }
        let id = || self.order_id.filter(|&id| id > 0).ok_or_else(|| "an event without an order id".to_owned());
        let price = self.price.map(number).transpose()?;
        let quantity = self.quantity.map(number).transpose()?;
        let needed = || quantity.ok_or_else(|| format!("{} without a quantity", self.op));
        let request = match self.op.as_str() {
            "new" => Request::New {
                id: id()?,
                side: self.side()?,
                instruction: self.instruction()?,
                price,
                quantity: needed()?,
                owner: self.owner.unwrap_or(-1),
            },
            "cancel" => Request::Cancel { id: id()? },
            "reduce" => Request::Reduce { id: id()?, quantity: needed()? },
            "replace" => Request::Replace { id: id()?, price, quantity },
            "clear" => Request::Clear,
            other => return Err(format!("unknown operation {other:?}")),
        };
        Ok(Ask { symbol: symbol.to_owned(), request })
    }

    fn side(&self) -> Result<Side, String> {
        match self.side.as_deref() {
            Some("BUY") => Ok(Side::Bid),
            Some("SELL") => Ok(Side::Ask),
            other => Err(format!("side {other:?}")),
        }
    }

    fn instruction(&self) -> Result<Instruction, String> {
        match self.order_type.as_deref() {
            None | Some("LIMIT") => Ok(Instruction::Limit),
            Some("MARKET") => Ok(Instruction::Market),
            Some("IOC") => Ok(Instruction::ImmediateOrCancel),
            Some("FOK") => Ok(Instruction::FillOrKill),
            Some(other) => Err(format!("order type {other:?}")),
        }
    }
}

fn number(text: &RawValue) -> Result<Decimal, String> {
    Decimal::parse(text.get()).ok_or_else(|| format!("{} is no number that is read here", text.get()))
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Frame<'a> {
    Ready { protocol: &'static str, protocol_version: u64, engine: Engine },
    Observation { index: u64, outcome: Outcome, trades: Vec<Trade>, state_hash: String, resting_order_count: usize },
    Snapshot { index: u64, state: State },
    Complete { event_count: u64 },
    Error { code: &'static str, message: &'a str },
}

#[derive(Serialize)]
struct Engine {
    name: &'static str,
    version: &'static str,
    language: &'static str,
}

#[derive(Serialize)]
struct Outcome {
    status: &'static str,
    reason: Option<&'static str>,
    message: Option<&'static str>,
}

#[derive(Serialize)]
struct Trade {
    symbol: String,
    buy_order_id: u64,
    sell_order_id: u64,
    price: String,
    quantity: String,
}

/// The resting orders. The fields stand in the order of their names, which is the order that is hashed.
#[derive(Serialize)]
struct State {
    books: Vec<Book>,
}

#[derive(Serialize)]
struct Book {
    asks: Vec<Order>,
    bids: Vec<Order>,
    symbol: String,
}

#[derive(Serialize)]
struct Order {
    order_id: u64,
    order_type: &'static str,
    owner: i64,
    price: String,
    remaining_quantity: String,
}
