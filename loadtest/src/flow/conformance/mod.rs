//! The published conformance workloads against the engine: the hash of everything it reports must be the published one.
//!
//! The workloads and their hashes are those of the public benchmark [`SOURCE`] (MIT). Two passes over a file, one for
//! its bounds and all of its format, and one for the orders; memory is bounded by the book, not by the file. What is
//! measured is the thread's processor time while requests are made, applied and their events taken in, in chunks;
//! decompression before and text and hash behind it are not.

pub mod exchange;
pub mod format;
pub mod reports;

use std::fmt;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use lakh_engine::command::Side;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::error::LoadtestError;
use crate::flow::check::open_fills;
use crate::flow::conformance::exchange::Exchange;
use crate::flow::conformance::format::{Message, MessageReader, Request};
use crate::flow::conformance::reports::{Noted, OrderIds, Report, ReportStream};
use crate::flow::format::FlowBounds;
use crate::setup::FLOW_MARKET;

/// Messages that are decoded ahead, carried out under the clock and reported behind it: near memory, few clock reads.
const CHUNK: usize = 512;

/// Where workloads and hashes come from.
pub const SOURCE: &str = "flash1-dev/matching-engine-benchmark, commit 41656c885d98aead35fb5a36a1b63304e75f46aa";

/// On whose word a hash stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Authority {
    /// [`SOURCE`] publishes it.
    Published,
    /// Not published: computed over the same generator's shorter file by a naive model that gives all five published
    /// hashes.
    NaiveModel,
}

/// A workload's file name, without `orders_` in front and `.bin.zst` behind it, and the hash of its reports.
const KNOWN: &[(&str, Authority, &str)] = &[
    ("normal_s23", Authority::Published, "e9b2e3926854410b01a035aeb25dd05f1e597c233be8263de9eb49b6713d367e"),
    ("static_s23", Authority::Published, "9803843ee404fc29c9a0aa5614f8f0d5a58b5c44fcac9ef89067886fcaaa30d1"),
    ("flash-crash_s23", Authority::Published, "cff8d3f94b709fc64a8b2058a6ca4fb6920364904796e46906895e362d2bb16b"),
    ("swing-25_s23", Authority::Published, "61a84be9469661bd039e00dbc9a7c011e70b6ace37aadfe60045ea083b05f4df"),
    ("swing-40_s23", Authority::Published, "3cb0175e7982ff09ea220d1feaee3844cf9116a5ce455757879dea1d880b9b9f"),
    ("normal_s23_n100000", Authority::NaiveModel, "d5fa1fcda1903969ae0d40910452f33b714e7e8ca0bff938739901f4d2026f1b"),
    ("static_s23_n100000", Authority::NaiveModel, "b91bcf3715063a88cf7422df43766feee36593a18ea50e7e47fe7733d906732b"),
    (
        "flash-crash_s23_n100000",
        Authority::NaiveModel,
        "a38bf7d565e6ed5e5d252a8f2c590de2376151a79f3fe4c3a78bf133cf6abcc0",
    ),
];

/// The hash that a file of this name has to give, and on whose word; `None` for a name that is not known.
pub fn known_hash(path: &Path) -> Option<(Authority, &'static str)> {
    let name = path.file_name()?.to_str()?.strip_prefix("orders_")?.strip_suffix(".bin.zst")?;
    KNOWN.iter().find(|known| known.0 == name).map(|&(_, authority, hash)| (authority, hash))
}

/// How a workload is carried out.
#[derive(Clone, Debug, Default)]
pub struct HashOptions {
    /// Where to write the report stream.
    pub reports: Option<PathBuf>,
}

/// What a workload came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HashReport {
    /// SHA-256 of the report stream.
    pub sha256: String,
    /// What it has to be, where the file's name is known.
    pub expected: Option<&'static str>,
    /// On whose word.
    pub authority: Option<Authority>,
    /// Messages by kind.
    pub messages: MessageCounts,
    /// Lines of the report stream.
    pub reports: u64,
    /// Trades among them.
    pub trades: u64,
    /// Cancels and modifications of orders that are not there.
    pub rejects: u64,
    /// Orders that rest at the end.
    pub resting_orders: u64,
    /// The most that rested at once, seen at the end of each chunk of messages.
    pub resting_orders_max: u64,
    /// Price levels at the end, bids and asks.
    pub levels: (u64, u64),
    /// Commands that the engine applied for the messages: two for each modification that is taken.
    pub engine_commands: u64,
    /// Those of them that only went on with an order that one command could not work off.
    pub continuations: u64,
    /// Processor time of the thread for all messages, in nanoseconds.
    pub thread_ns: u64,
    /// Messages carried out in a second of it.
    pub messages_per_second: u64,
    /// Engine commands applied in a second of it.
    pub engine_commands_per_second: u64,
}

/// Messages by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageCounts {
    /// New orders.
    pub new: u64,
    /// Cancels.
    pub cancel: u64,
    /// Modifications.
    pub modify: u64,
}

impl MessageCounts {
    /// All of them.
    pub const fn total(&self) -> u64 {
        self.new + self.cancel + self.modify
    }
}

impl HashReport {
    /// False where the hash is known and another came out.
    pub fn passed(&self) -> bool {
        self.expected.is_none_or(|expected| expected == self.sha256)
    }
}

fn per_second(count: u64, nanoseconds: u64) -> u64 {
    let rate = u128::from(count) * 1_000_000_000 / u128::from(nanoseconds.max(1));
    u64::try_from(rate).unwrap_or(u64::MAX)
}

impl fmt::Display for HashReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MessageCounts { new, cancel, modify } = self.messages;
        writeln!(f, "sha256 of the reports {}", self.sha256)?;
        match (self.expected, self.authority) {
            (Some(expected), _) if expected != self.sha256 => writeln!(f, "DIFFERS from    {expected}")?,
            (Some(_), Some(Authority::Published)) => writeln!(f, "equals the published one ({SOURCE})")?,
            (Some(_), _) => writeln!(f, "equals the naive model's (not published)")?,
            (None, _) => writeln!(f, "no hash is known for a file of this name")?,
        }
        writeln!(f, "{} messages: {new} new, {cancel} cancels, {modify} modifications", self.messages.total())?;
        writeln!(f, "{} reports: {} trades, {} rejects", self.reports, self.trades, self.rejects)?;
        writeln!(
            f,
            "book at the end: {} orders, {} bid and {} ask levels; at most {} orders",
            self.resting_orders, self.levels.0, self.levels.1, self.resting_orders_max
        )?;
        write!(
            f,
            "{} messages/s, {} engine commands/s of thread time ({} commands, {} continuations, {} ms)",
            self.messages_per_second,
            self.engine_commands_per_second,
            self.engine_commands,
            self.continuations,
            self.thread_ns / 1_000_000
        )
    }
}

/// Carries out the compressed workload at `path` and hashes what the engine reports.
///
/// # Errors
/// A file that cannot be read or written, breaks the format, or holds an order that no market or the engine takes.
pub fn hash_workload(path: &Path, options: &HashOptions) -> Result<HashReport, LoadtestError> {
    let bounds = scan_bounds(&mut MessageReader::open(path)?)?;
    let mut report = hash_messages(MessageReader::open(path)?, &bounds, options)?;
    if let Some((authority, hash)) = known_hash(path) {
        (report.authority, report.expected) = (Some(authority), Some(hash));
    }
    Ok(report)
}

/// As [`hash_workload`], from decompressed bytes that nobody knows the hash of.
///
/// # Errors
/// As [`hash_workload`].
pub fn hash_bytes(bytes: &[u8]) -> Result<HashReport, LoadtestError> {
    let open = || MessageReader::from_decompressed(BufReader::new(bytes), Path::new("workload"));
    let bounds = scan_bounds(&mut open()?)?;
    hash_messages(open()?, &bounds, &HashOptions::default())
}

/// Reads all messages for what a market has to take.
fn scan_bounds<R: Read>(reader: &mut MessageReader<R>) -> Result<FlowBounds, LoadtestError> {
    let mut bounds = FlowBounds::default();
    while let Some(message) = reader.next_message()? {
        bounds.commands += 1;
        if let Request::New { price, quantity, .. } | Request::Modify { price, quantity, .. } = message.request {
            bounds.max_price = bounds.max_price.max(price);
            bounds.max_quantity = bounds.max_quantity.max(quantity);
        }
    }
    Ok(bounds)
}

fn hash_messages<R: Read>(
    mut reader: MessageReader<R>,
    bounds: &FlowBounds,
    options: &HashOptions,
) -> Result<HashReport, LoadtestError> {
    let mut run = Run::new(bounds, ReportStream::new(open_fills(options.reports.as_deref())?))?;
    let at_reports = |source| LoadtestError::Io { path: options.reports.clone().unwrap_or_default(), source };
    let mut chunk = Vec::with_capacity(CHUNK);
    loop {
        chunk.clear();
        while chunk.len() < CHUNK
            && let Some(message) = reader.next_message()?
        {
            chunk.push(message);
        }
        if chunk.is_empty() {
            return run.finish().map_err(at_reports);
        }
        run.carry_out(&chunk).map_err(LoadtestError::Venue)?;
        run.report().map_err(LoadtestError::Venue)?.map_err(at_reports)?;
    }
}

/// A workload on its way through the engine.
struct Run<W> {
    exchange: Exchange,
    /// Commands of the set-up.
    set_up: u64,
    noted: Vec<Noted>,
    ids: OrderIds,
    stream: ReportStream<W>,
    counts: MessageCounts,
    trades: u64,
    rejects: u64,
    resting_orders_max: u64,
    thread_ns: u64,
}

impl<W: Write> Run<W> {
    fn new(bounds: &FlowBounds, stream: ReportStream<W>) -> Result<Self, LoadtestError> {
        let exchange = Exchange::new(bounds)?;
        Ok(Self {
            set_up: exchange.session().commands(),
            exchange,
            noted: Vec::new(),
            ids: OrderIds::default(),
            stream,
            counts: MessageCounts::default(),
            trades: 0,
            rejects: 0,
            resting_orders_max: 0,
            thread_ns: 0,
        })
    }

    /// What the clock sees.
    fn carry_out(&mut self, messages: &[Message]) -> Result<(), String> {
        self.noted.clear();
        let start = thread_ns();
        for message in messages {
            self.exchange.carry_out(message, &mut self.noted)?;
        }
        self.thread_ns += thread_ns() - start;
        for message in messages {
            match message.request {
                Request::New { .. } => self.counts.new += 1,
                Request::Cancel => self.counts.cancel += 1,
                Request::Modify { .. } => self.counts.modify += 1,
            }
        }
        Ok(())
    }

    /// Turns what was noted into lines. The outer error is the engine's fault, the inner one the file's.
    fn report(&mut self) -> Result<std::io::Result<()>, String> {
        for noted in &self.noted {
            let Some(report) = self.ids.report(noted)? else { continue };
            match report {
                Report::Trade(_) => self.trades += 1,
                Report::CancelRejected(_) | Report::ModifyRejected(_) => self.rejects += 1,
                _ => {}
            }
            if let Err(error) = self.stream.push(&report) {
                return Ok(Err(error));
            }
        }
        self.resting_orders_max = self.resting_orders_max.max(self.ids.len() as u64);
        Ok(Ok(()))
    }

    fn finish(self) -> std::io::Result<HashReport> {
        let session = self.exchange.session();
        let book = session.book(FLOW_MARKET);
        let reports = self.stream.lines();
        let engine_commands = session.commands() - self.set_up;
        Ok(HashReport {
            sha256: self.stream.finish()?,
            expected: None,
            authority: None,
            messages: self.counts,
            reports,
            trades: self.trades,
            rejects: self.rejects,
            resting_orders: u64::from(book.order_count()),
            resting_orders_max: self.resting_orders_max,
            levels: (book.level_count(Side::Bid) as u64, book.level_count(Side::Ask) as u64),
            engine_commands,
            continuations: session.continuations(),
            thread_ns: self.thread_ns,
            messages_per_second: per_second(self.counts.total(), self.thread_ns),
            engine_commands_per_second: per_second(engine_commands, self.thread_ns),
        })
    }
}

/// Processor time of this thread.
fn thread_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanoseconds = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
    u64::try_from(nanoseconds).expect("a thread's time starts at zero")
}
