//! The report stream: what a workload's messages caused, a line each, and the hash of all of them.
//!
//! Lines are joined by `\n`, without one at the end. Bounded by the orders that rest: only those have an entry that
//! tells the workload's id from the engine's.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};

use lakh_engine::command::Side;
use lakh_engine::ids::OrderId;
use lakh_engine::units::{Lots, Ticks};
use sha2::{Digest as _, Sha256};

/// One report, in the workload's ids. `Display` is its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// An order was acknowledged, before what it trades.
    Accepted(Order),
    /// Two orders traded at the maker's price.
    Trade(Trade<u64>),
    /// An order went by request, or an immediate-or-cancel one's rest.
    Canceled(Order),
    /// A modification was acknowledged, behind what it traded.
    Modified(Order),
    /// A cancel of an order that is not there.
    CancelRejected(Subject),
    /// A modification of an order that is not there.
    ModifyRejected(Subject),
}

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The message's number.
    pub message: u64,
    /// The order's id.
    pub order: u64,
}

/// An order in a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Message and id.
    pub subject: Subject,
    /// Side.
    pub side: Side,
    /// Limit price.
    pub price: Ticks,
    /// Quantity; not in the line of a cancel.
    pub quantity: Lots,
}

/// A trade in a report; `Maker` is the kind of id that the maker is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade<Maker> {
    /// Message and taker.
    pub subject: Subject,
    /// The maker's price.
    pub price: Ticks,
    /// How much.
    pub quantity: Lots,
    /// The resting order.
    pub maker: Maker,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted(order) => write!(f, "0,{order},{}", order.quantity.raw()),
            Self::Trade(Trade { subject, price, quantity, maker }) => {
                let Subject { message, order } = subject;
                write!(f, "1,{message},{},{},{maker},{order}", price.raw(), quantity.raw())
            }
            Self::Canceled(order) => write!(f, "2,{order}"),
            Self::Modified(order) => write!(f, "3,{order},{}", order.quantity.raw()),
            Self::CancelRejected(Subject { message, order }) => write!(f, "4,{message},{order}"),
            Self::ModifyRejected(Subject { message, order }) => write!(f, "5,{message},{order}"),
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Subject { message, order } = self.subject;
        write!(f, "{message},{},{order},{}", self.side as u8, self.price.raw())
    }
}

/// What the engine said, with its own ids of makers: cheap to note while the clock runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// Nothing of an order of the engine is left to be turned into an id of the workload.
    Plain(Report),
    /// A trade, and whether it was the maker's last.
    Trade {
        /// The trade.
        trade: Trade<OrderId>,
        /// What is left of the maker.
        maker_remaining: Lots,
    },
    /// An order rests under this id from now on; makes no report.
    Rested {
        /// The engine's id.
        order: OrderId,
        /// The workload's.
        id: u64,
    },
    /// A resting order went; `report` where that makes one (it does not where it is modified).
    TakenOff {
        /// The engine's id.
        order: OrderId,
        /// What is reported.
        report: Option<Report>,
    },
}

/// Turns what was noted into reports.
#[derive(Debug, Default)]
pub struct OrderIds {
    resting: HashMap<OrderId, u64>,
}

impl OrderIds {
    /// The report of what was noted, if it makes one.
    ///
    /// # Errors
    /// Says so where a maker does not rest: the engine would have traded with an order that it never put on the book.
    pub fn report(&mut self, noted: &Noted) -> Result<Option<Report>, String> {
        match *noted {
            Noted::Plain(report) => Ok(Some(report)),
            Noted::Rested { order, id } => {
                self.resting.insert(order, id);
                Ok(None)
            }
            Noted::TakenOff { order, report } => {
                self.resting.remove(&order);
                Ok(report)
            }
            Noted::Trade { trade: Trade { subject, price, quantity, maker }, maker_remaining } => {
                let Some(&id) = self.resting.get(&maker) else {
                    return Err(format!("a trade with order {maker:?}, which does not rest"));
                };
                if maker_remaining.is_zero() {
                    self.resting.remove(&maker);
                }
                Ok(Some(Report::Trade(Trade { subject, price, quantity, maker: id })))
            }
        }
    }

    /// Orders that rest.
    pub fn len(&self) -> usize {
        self.resting.len()
    }

    /// Whether none rests.
    pub fn is_empty(&self) -> bool {
        self.resting.is_empty()
    }
}

/// Hashes and writes lines.
#[derive(Debug)]
pub struct ReportStream<W> {
    hash: Sha256,
    sink: W,
    line: Vec<u8>,
    lines: u64,
}

impl<W: Write> ReportStream<W> {
    /// An empty stream that also goes to `sink`.
    pub fn new(sink: W) -> Self {
        Self { hash: Sha256::new(), sink, line: Vec::with_capacity(128), lines: 0 }
    }

    /// Adds a line.
    ///
    /// # Errors
    /// What the sink says.
    pub fn push(&mut self, report: &Report) -> io::Result<()> {
        self.line.clear();
        if self.lines > 0 {
            self.line.push(b'\n');
        }
        self.lines += 1;
        write!(self.line, "{report}")?;
        self.hash.update(&self.line);
        self.sink.write_all(&self.line)
    }

    /// Lines so far.
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// The SHA-256 of the stream, in lower-case hexadecimal, once the sink has everything.
    ///
    /// # Errors
    /// What the sink says.
    pub fn finish(mut self) -> io::Result<String> {
        self.sink.flush()?;
        Ok(lower_hex(&self.hash.finalize()))
    }
}

/// Bytes as lower-case hexadecimal.
pub fn lower_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
