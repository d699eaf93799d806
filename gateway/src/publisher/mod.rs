//! The publisher: one thread that turns the sequencer's output into everything that leaves the exchange.
//!
//! It owns the read models, answers requests and reads in the ring's order (so that a client reads its own writes),
//! and tells accounts and the public what happened. [`Publisher`] does no input or output and knows no clock: it is
//! stepped by [`Publisher::handle_output`] and [`Publisher::handle_timeout`]. [`run()`] is the thread around it, which
//! lets nothing through that is not durable.
//!
//! Invariants: of one command the answer leaves first, then private reports, then public messages; all of it before
//! anything of the next command. A slow session loses its own connection and nobody else's messages.
//! Bounds: the events of one command (the engine's), subscriptions and what is remembered (options), mass cancels that
//! wait (the engine's agenda).

mod absorb;
mod answers;
mod binary;
mod history;
mod mass_cancels;
mod outgoing;
mod periodic;
mod private;
mod replaces;
mod run;
mod saved;
mod subscriptions;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use lakh_engine::event::Event;
use lakh_engine::ids::{MarketId, Sequence};
use lakh_engine::market_spec::AssetSpec;
use lakh_engine::units::Timestamp;

use crate::account_state::AccountState;
use crate::account_trades::{AccountTrades, AccountTradesOptions};
use crate::directory::{Directory, MarketEntry};
use crate::finality::SealedBatches;
use crate::hand_over::{AnswerShape, Output, RequestHandle};
use crate::market_data::tape::Aggregation;
use crate::market_data::{MarketData, MarketDataOptions};
use crate::order_state::{OrderState, OrderStateOptions};
use crate::output_ring::OutputReceiver;
use crate::proofs::ProofDesk;
use crate::publisher::binary::Binary;
use crate::publisher::mass_cancels::MassCancels;
use crate::publisher::outgoing::Outgoing;
use crate::publisher::private::PrivateReports;
use crate::publisher::subscriptions::Subscriptions;
use crate::reports::Stamp;
use crate::wire_encode::public;

pub use crate::publisher::binary::{BinaryOptions, FeedOptions, ReportOptions};
pub use crate::publisher::run::{Control, Durable, Gate, run};

/// Bounds and intervals of the publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublisherOptions {
    /// What is remembered of ended orders.
    pub orders: OrderStateOptions,
    /// What is remembered of accounts' trades.
    pub account_trades: AccountTradesOptions,
    /// What is remembered of each market.
    pub market_data: MarketDataOptions,
    /// Account and stream subscriptions of all sessions together.
    pub subscriptions_max: usize,
    /// Least time between two messages of a stream of depth, best levels or candles, in nanoseconds.
    pub flush_interval_ns: u64,
    /// Changed levels of one market after which a depth message leaves before its time.
    pub depth_levels_max: usize,
    /// What the binary face remembers.
    pub binary: BinaryOptions,
}

impl Default for PublisherOptions {
    fn default() -> Self {
        Self {
            orders: OrderStateOptions::default(),
            account_trades: AccountTradesOptions::default(),
            market_data: MarketDataOptions::default(),
            subscriptions_max: 65_536,
            flush_interval_ns: 100_000_000,
            depth_levels_max: 10_000,
            binary: BinaryOptions::default(),
        }
    }
}

/// A record of the journal, and what it caused.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    /// Its place.
    pub sequence: Sequence,
    /// Its time.
    pub timestamp: Timestamp,
    /// In their order.
    pub events: &'a [Event],
}

/// See the module.
#[derive(Debug)]
pub struct Publisher {
    options: PublisherOptions,
    directory: Arc<Directory>,
    /// The directory's markets, so that encoding takes no lock.
    markets: Vec<Arc<MarketEntry>>,
    /// And its assets.
    assets: Vec<AssetSpec>,
    private: PrivateReports,
    orders: OrderState,
    account_trades: AccountTrades,
    sealed: SealedBatches,
    accounts: AccountState,
    market_data: MarketData,
    subscriptions: Subscriptions,
    mass_cancels: MassCancels,
    outgoing: Outgoing,
    binary: Binary,
    proofs: ProofDesk,
    /// Trades of this command that may have more to come with them, and their market.
    aggregation: Option<(MarketId, Aggregation)>,
    /// The command whose events still come.
    open: Option<OpenCommand>,
    /// Events of the open command; kept for its room.
    events: Vec<Event>,
    flushed_at: Timestamp,
    /// The time of the last record.
    latest: Timestamp,
    company: Company,
}

/// Whether anybody can listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Company {
    /// Sessions may.
    Sessions,
    /// Nobody ever will: only the read models count.
    Nobody,
}

/// A command whose events still come.
#[derive(Debug)]
struct OpenCommand {
    stamp: Stamp,
    event_count: usize,
    handle: Option<RequestHandle>,
}

impl Publisher {
    /// A publisher that knows what the directory knows and no orders, balances or subscriptions. The directory
    /// must not be given events by anybody else: the publisher does that.
    pub fn new(options: PublisherOptions, directory: Arc<Directory>) -> Self {
        let markets = directory.markets();
        let mut market_data = MarketData::new(options.market_data);
        let mut binary = Binary::new(options.binary);
        for market in &markets {
            market_data.list(market.spec.market);
            binary.list(market.spec.market);
        }
        Self {
            options,
            assets: directory.assets(),
            directory,
            markets,
            private: PrivateReports::default(),
            orders: OrderState::new(options.orders),
            account_trades: AccountTrades::new(options.account_trades),
            sealed: SealedBatches::default(),
            accounts: AccountState::new(),
            market_data,
            subscriptions: Subscriptions::new(options.subscriptions_max),
            mass_cancels: MassCancels::default(),
            outgoing: Outgoing::default(),
            binary,
            proofs: ProofDesk::new(|| Timestamp::ZERO),
            aggregation: None,
            open: None,
            events: Vec::new(),
            flushed_at: Timestamp::ZERO,
            latest: Timestamp::ZERO,
            company: Company::Sessions,
        }
    }

    /// The same for somebody who follows a journal beside the venue and saves the read models: no session will ever listen,
    /// so no report and no change of a book is written or kept, which is a third of what taking in a command costs.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.company = Company::Nobody;
        self.options.binary.feeds.changes_max = 0;
        self.binary = Binary::new(self.options.binary);
        self.markets.iter().for_each(|market| self.binary.list(market.spec.market));
        self
    }

    /// The same, with somebody who answers what it cannot.
    #[must_use]
    pub fn with_proof_desk(mut self, desk: ProofDesk) -> Self {
        self.proofs = desk;
        self
    }

    /// Takes in what a record of the journal caused, without telling anybody: rebuilds the read models at the start.
    pub fn restore(&mut self, sequence: Sequence, timestamp: Timestamp, events: &[Event]) {
        self.restore_all(&[Past { sequence, timestamp, events }]);
    }

    /// The same for records that follow each other. Some at a time are better than one: what all of them touch is asked for
    /// before the first, and what is too old goes behind the last.
    pub fn restore_all(&mut self, past: &[Past<'_>]) {
        assert!(self.open.is_none(), "the past is taken in before the first output");
        if past.len() > 1 {
            self.read_ahead(past.iter().flat_map(|record| record.events));
        }
        for &Past { sequence, timestamp, events } in past {
            self.absorb_all(Stamp { sequence, timestamp }, events);
            self.outgoing.clear();
            self.binary.send_reports(None);
        }
        self.orders.forget_oldest();
    }

    /// Takes the next value of the sequencer's ring.
    pub fn handle_output(&mut self, output: Output) {
        match output {
            Output::Applied { sequence, timestamp, event_count, handle, spent: _ } => {
                assert!(self.open.is_none(), "all events of a record come before the next record");
                let event_count = usize::try_from(event_count).expect("a count of events fits the address space");
                self.open = Some(OpenCommand { stamp: Stamp { sequence, timestamp }, event_count, handle });
                self.finish_if_complete();
            }
            Output::Event(event) => {
                assert!(self.open.is_some(), "an event belongs to the record in front of it");
                self.events.push(event);
                self.finish_if_complete();
            }
            Output::Events(mut events) => {
                assert!(self.open.is_some(), "events belong to the record in front of them");
                self.events.append(&mut events);
                self.finish_if_complete();
            }
            Output::Read { read, handle } => {
                assert!(self.open.is_none(), "a read comes behind all events of the record in front of it");
                self.answer_read(&read, &handle);
            }
            Output::Refused { error, handle, spent: _ } => {
                if let Some(handle) = handle {
                    handle.answer(Err(error));
                }
            }
        }
    }

    /// Looks at the next `count` outputs, as far as they are there, and reads what they are about to change. Says how many.
    fn look_ahead(&self, outputs: &mut OutputReceiver, count: usize) -> usize {
        let next = outputs.peek_many(count);
        let (first, second) = next.as_slices();
        self.read_ahead(first.iter().chain(second).filter_map(|output| match output {
            Output::Event(event) => Some(event),
            _ => None,
        }));
        first.len() + second.len()
    }

    /// Takes the events of the open record, if all of them are there. Says how many.
    fn take_events(&mut self, outputs: &mut OutputReceiver) -> usize {
        let Some(open) = &self.open else { return 0 };
        let count = open.event_count - self.events.len();
        if !outputs.take_events(count, &mut self.events) {
            return 0;
        }
        self.finish_if_complete();
        count
    }

    /// True while events of a record are still to come.
    pub const fn awaits_events(&self) -> bool {
        self.open.is_some()
    }

    /// Live and remembered orders.
    pub const fn orders(&self) -> &OrderState {
        &self.orders
    }

    /// Balances.
    pub const fn accounts(&self) -> &AccountState {
        &self.accounts
    }

    /// Books.
    pub const fn market_data(&self) -> &MarketData {
        &self.market_data
    }

    fn finish_if_complete(&mut self) {
        if self.open.as_ref().is_some_and(|open| open.event_count == self.events.len())
            && let Some(open) = self.open.take()
        {
            let mut events = std::mem::take(&mut self.events);
            self.publish(&open, &events);
            events.clear();
            self.events = events;
        }
    }

    /// One command: state first, then its answer, then private, then public, then what is too old goes.
    fn publish(&mut self, open: &OpenCommand, events: &[Event]) {
        let is_mass_cancel = events.iter().any(|event| matches!(event, Event::CancelAllAccepted { .. }));
        let answered_later =
            open.handle.as_ref().filter(|handle| is_mass_cancel && handle.shape == AnswerShape::OrdersCanceled);
        if let Some(handle) = answered_later {
            self.mass_cancels.begin(open.stamp.sequence, handle.clone());
        }
        let finished = self.absorb_all(open.stamp, events);
        match &open.handle {
            Some(handle) if answered_later.is_none() && handle.session.bytes().is_none() => {
                handle.answer(self.command_outcome(handle.shape, open.stamp, events));
            }
            _ => {}
        }
        for (handle, outcome) in finished {
            handle.answer(outcome);
        }
        self.binary.send_reports(open.handle.as_ref());
        if let Some(handle) = &open.handle
            && let Some(outbox) = handle.session.bytes()
        {
            self.answer_binary(handle, outbox, events);
        }
        let markets = &self.markets;
        self.outgoing.send(&mut self.subscriptions, |stream, message, out| {
            public::wrap_combined(entry(markets, stream.market), stream.kind, message, out);
        });
        self.orders.forget_oldest();
        self.flush_full_depth(events);
    }
}

/// The market with this number, which an event named.
fn entry(markets: &[Arc<MarketEntry>], market: MarketId) -> &MarketEntry {
    markets.get(usize::from(market.0)).expect("the engine lists a market before anything happens in it")
}
