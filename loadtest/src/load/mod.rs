//! The load generator: open loop, pre-signed, every answer accounted for.
//!
//! Everything that costs time is done before the clock starts: orders are made from a seed, signed on all processors and
//! framed as they will be written (`plan`). Then one thread sends what is due and reads what came (`drive`). A request is
//! due at a fixed time whatever the venue does (`schedule`), and its latency counts from then. A load that is too long for
//! that is signed in parts, the next while the one before is sent.
//!
//! A run in which a request was lost, answered twice or refused for an unexpected reason, in which a sequence has a gap, or
//! after which the venue's books are not what its answers come to, gives an error and no number. Where nobody can look, as
//! at a venue without a binary port, the report does not say that a check was made.
//! Bounds: at most [`MAX_REQUESTS`] signed requests are held in memory, of about 500 bytes each at most.

mod binary_answers;
mod binary_requests;
mod books;
mod connection;
mod drive;
mod hostile;
mod own_book;
mod plan;
mod recorded;
mod run;
mod schedule;
mod seen;
mod transport;
mod websocket_answers;
mod websocket_requests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use self::drive::LiveCounters;
pub use self::hostile::{HostileReport, MEMBERS as HOSTILE_MEMBERS};
pub use self::plan::Grouping;
pub use self::recorded::recorded_orders;
pub use self::run::run_load;
pub use self::schedule::Bunches;
pub use self::transport::Transport;
use crate::client::Trader;
use crate::error::LoadtestError;
use crate::market_text::MarketText;
use crate::workload::{LoadOrder, WorkloadOptions};

/// Most requests that are signed before the start.
pub const MAX_REQUESTS: u64 = 10_000_000;
/// Longest [`LoadOptions::run`] in bytes; key and order numbers follow it in a client id of 24.
pub const MAX_RUN_BYTES: usize = 4;
/// Refusals that belong to the mix, over WebSocket: a late cancel, a late replace, an order that would trade.
const BELONGS_WEBSOCKET: [i64; 3] = [-2011, -2022, -2010];
/// The same over binary: order unknown, would trade.
const BELONGS_BINARY: [i64; 2] = [46, 52];

/// What load to make.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// How requests travel.
    pub transport: Transport,
    /// The venue's WebSocket API, such as `ws://127.0.0.1:9000/ws-api/v3`.
    pub url: String,
    /// The venue's binary port. Without it there is only WebSocket, nothing is placed before and no book is compared.
    pub binary: Option<SocketAddr>,
    /// The venue's tag.
    pub venue_tag: [u8; 16],
    /// The markets, by their numbers, and how their prices and quantities are written.
    pub markets: Vec<MarketText>,
    /// Operations in all, at least 1; whole requests of them are sent.
    pub operations: u64,
    /// Operations a second in all, at least 1.
    pub operations_per_second: u64,
    /// Operations of one request; more than one over binary only.
    pub grouping: Grouping,
    /// Bunches beside the even flow.
    pub bunches: Option<Bunches>,
    /// WebSocket connections, at least 1 and at most as many as there are keys, which are dealt out to them in turn. Over
    /// binary each key has a session.
    pub connections: u32,
    /// Requests of one connection in a row before the next one's turn, at least 1.
    pub consecutive: u32,
    /// Seed of the workload.
    pub seed: u64,
    /// In front of every client id, so that two runs against one venue do not clash: letters and digits.
    pub run: String,
    /// Mix, prices and quantities.
    pub workload: WorkloadOptions,
    /// Recorded orders instead, of one key.
    pub recorded: Option<Arc<Vec<LoadOrder>>>,
    /// Orders that rest before the clock starts.
    pub resting_orders: u64,
    /// Requests with a bad signature, a second, beside the others.
    pub bad_signatures_per_second: u64,
    /// The keys that sign badly over binary, with their accounts.
    pub hostile: Vec<(Trader, u32)>,
    /// Whether the venue keeps books: one that does nothing does not.
    pub books: Books,
    /// How long a signature is good over WebSocket, in milliseconds: 3,000 ..= 60,000.
    pub receive_window_ms: u32,
    /// How often is looked what is due and what came.
    pub pacing: Duration,
    /// How long answers may take after the last request.
    pub drain: Duration,
    /// Refusals that do not spoil the run beside those that belong to the mix; they are counted.
    pub tolerated_codes: Vec<i64>,
    /// The venue's process, where it is one of this machine: its processor time is told.
    pub venue_process: Option<u32>,
    /// Its operators' port, as the address of `/health`: what its checkpoints cost is asked there.
    pub health: Option<String>,
    /// Who watches.
    pub live: Arc<LiveCounters>,
    /// What the thread does first that drives the load.
    pub thread_start: fn(),
}

/// Whether a venue keeps books that can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Books {
    /// It does.
    Kept,
    /// It answers and forgets.
    None,
}

impl LoadOptions {
    /// 100,000 requests at 10,000 a second over 4 WebSocket connections to `market` at `url`.
    pub fn new(url: &str, market: MarketText) -> Self {
        Self {
            transport: Transport::WebSocket,
            url: url.to_owned(),
            binary: None,
            venue_tag: [0; 16],
            markets: vec![market],
            operations: 100_000,
            operations_per_second: 10_000,
            grouping: Grouping::Single,
            bunches: None,
            connections: 4,
            consecutive: 1,
            seed: 1,
            run: "a".to_owned(),
            workload: WorkloadOptions::default(),
            recorded: None,
            resting_orders: 0,
            bad_signatures_per_second: 0,
            hostile: Vec::new(),
            books: Books::Kept,
            receive_window_ms: 5_000,
            pacing: Duration::from_micros(250),
            drain: Duration::from_secs(10),
            tolerated_codes: Vec::new(),
            venue_process: None,
            health: None,
            live: Arc::default(),
            thread_start: || (),
        }
    }

    /// Requests in all.
    fn requests(&self) -> u64 {
        self.operations.div_ceil(self.grouping.operations() as u64)
    }

    /// Connections in all.
    fn connection_count(&self, traders: &[Trader]) -> usize {
        match self.transport {
            Transport::WebSocket => self.connections as usize,
            Transport::Binary => traders.len(),
        }
    }

    /// Refusals that do not spoil the run.
    fn all_tolerated_codes(&self) -> Vec<i64> {
        let belongs: &[i64] = match self.transport {
            Transport::WebSocket => &BELONGS_WEBSOCKET,
            Transport::Binary => &BELONGS_BINARY,
        };
        belongs.iter().chain(&self.tolerated_codes).copied().collect()
    }

    fn validate(&self, traders: &[Trader]) -> Result<(), LoadtestError> {
        self.workload.validate()?;
        let run_is_plain = !self.run.is_empty()
            && self.run.len() <= MAX_RUN_BYTES
            && self.run.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_websocket = self.transport == Transport::WebSocket;
        let fault = if self.operations == 0 {
            "there must be an operation".to_owned()
        } else if !(1..=1_000_000_000).contains(&self.operations_per_second) {
            "operations a second must be 1 to a thousand million".to_owned()
        } else if self.connections == 0 || self.connections as usize > traders.len() {
            format!("connections must be 1 to the number of keys, {}", traders.len())
        } else if self.connection_count(traders) as u64 > self.requests() {
            "each connection needs a request".to_owned()
        } else if self.markets.len() != usize::from(self.workload.markets) {
            format!("the workload has {} markets, and {} are described", self.workload.markets, self.markets.len())
        } else if self.consecutive == 0 || self.pacing.is_zero() {
            "consecutive requests and pacing must be above zero".to_owned()
        } else if !(1..=64).contains(&self.grouping.operations()) || (is_websocket && self.grouping != Grouping::Single)
        {
            "a request has 1 to 64 operations, and one over WebSocket".to_owned()
        } else if !is_websocket && self.binary.is_none() {
            "there is no binary port".to_owned()
        } else if !is_websocket && self.bad_signatures_per_second > 0 && self.hostile.is_empty() {
            "nobody signs badly over binary".to_owned()
        } else if !run_is_plain {
            format!("the run's name must be 1 to {MAX_RUN_BYTES} letters and digits")
        } else if !(3_000..=60_000).contains(&self.receive_window_ms) {
            "the receive window must be 3000 to 60000 ms".to_owned()
        } else if let Some(recorded) = &self.recorded
            && (traders.len() != 1 || self.operations > recorded.len() as u64)
        {
            format!("recorded flow is of one key and has {} orders", recorded.len())
        } else {
            return Ok(());
        };
        Err(LoadtestError::Options(fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_options_are_refused() {
        let traders = Trader::from_seed(1, 4, None);
        let good = LoadOptions::new("ws://127.0.0.1:1", MarketText::cents_and_units("A"));
        good.validate(&traders).expect("the defaults are possible");
        let edit = |change: fn(&mut LoadOptions)| {
            let mut options = good.clone();
            change(&mut options);
            options
        };
        let cases = [
            edit(|options| options.operations = 0),
            edit(|options| options.operations = 3),
            edit(|options| options.operations_per_second = 0),
            edit(|options| options.connections = 0),
            edit(|options| options.connections = 5),
            edit(|options| options.consecutive = 0),
            edit(|options| options.markets.clear()),
            edit(|options| options.grouping = Grouping::Frames(2)),
            edit(|options| options.transport = Transport::Binary),
            edit(|options| options.run = "a b".to_owned()),
            edit(|options| options.run = String::new()),
            edit(|options| options.run = "fives".to_owned()),
            edit(|options| options.receive_window_ms = 60_001),
            edit(|options| options.pacing = Duration::ZERO),
            edit(|options| options.workload.depth_ticks = 0),
            edit(|options| options.recorded = Some(Arc::default())),
        ];
        for options in cases {
            assert!(matches!(options.validate(&traders), Err(LoadtestError::Options(_))), "{options:?}");
        }
    }
}
