//! A whole load: books are filled, requests signed, connections opened, driven, and everything is held against the venue.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lakh_gateway::wire::sbe::session::LogonAccepted;

use crate::client::{Trader, now_us};
use crate::cpu::UseWatch;
use crate::error::LoadtestError;
use crate::load::binary_requests::BinaryRequests;
use crate::load::books::{self, RESTING_TICKS};
use crate::load::connection::{Connection, Ledger};
use crate::load::drive::{Drive, Driven};
use crate::load::hostile::{HostileReport, Target, harass};
use crate::load::own_book::OwnBook;
use crate::load::plan::{ConnectionPlanner, Grouping, Part, Source, StampClock, Writer, sign_parts};
use crate::load::schedule::Schedule;
use crate::load::transport::{OpeningSession, Transport, open_sessions, websocket_connection};
use crate::load::websocket_requests::WebSocketRequests;
use crate::load::{Books, LoadOptions, MAX_REQUESTS};
use crate::random::SplitMix64;
use crate::report::{BookSize, CheckpointUse, GENERATOR, Measured};
use crate::venue_metrics::VenueMetrics;
use crate::workload::Workload;

/// Requests that the signing speed is guessed from.
const SAMPLE: u64 = 2_048;
/// How often a start may be missed because signing took longer than guessed.
const ATTEMPTS: u32 = 4;
/// What the difference between two measurements may take on top.
const MARGIN: Duration = Duration::from_millis(300);
/// What opening a connection may take.
const OPENING: Duration = Duration::from_millis(2);
/// How much of a load that is signed in parts is in one.
const PART: Duration = Duration::from_secs(10);
/// How much later than stamped a request may be over binary, where it is good for half a minute.
const BINARY_SHIFT: Duration = Duration::from_secs(20);
/// What of the receive window stays for the way to the engine, over WebSocket.
const WEBSOCKET_RESERVE: Duration = Duration::from_millis(2_000);

/// Makes the load and tells what came of it. Blocks until it is over.
///
/// # Errors
/// [`LoadtestError::Options`]; [`LoadtestError::Connection`] when the venue is not there;
/// [`LoadtestError::ChecksFailed`] when a request was lost, answered twice, or refused with a code that does not belong, a
/// sequence has a gap, a bad signature was taken, or the venue's books are not what its answers come to.
pub fn run_load(options: &LoadOptions, traders: &[Trader]) -> Result<Measured, LoadtestError> {
    options.validate(traders)?;
    let load = Load { options, traders, schedule: Arc::new(schedule(options, traders)) };
    let mut book = empty_book(options);
    load.fill_books(&mut book)?;
    let ready = load.prepare()?;
    let watched = std::iter::once((GENERATOR, std::process::id()));
    let watched = watched.chain(options.venue_process.map(|id| ("venue", id)));
    let checkpoints_before = checkpoints(options)?;
    let watch = UseWatch::start(watched.collect());
    let hostile = Hostile::start(options, traders);
    let driven = load.drive(ready, book)?;
    let hostile = hostile.map(Hostile::stop).transpose()?;
    let uses = watch.stop();
    let checkpoints = checkpoints(options)?.zip(checkpoints_before).map(|(after, before)| after.since(before));
    let shown = load.shown_books()?;
    let Driven { recorder, book, cpu } = driven;
    let mut failed = recorder.failed_checks(&options.all_tolerated_codes());
    let book_size = shown.map(|(levels, orders)| {
        failed.faults.extend(book.differences(&levels));
        BookSize { levels: levels.len() as u64, orders }
    });
    if let Some(report) = hostile.as_ref().filter(|report| report.accepted > 0) {
        failed.faults.push(format!("{} requests with bad signatures were taken", report.accepted));
    }
    if !failed.faults.is_empty() || !failed.refusals.is_empty() {
        return Err(LoadtestError::ChecksFailed(failed));
    }
    Ok(Measured {
        sent: options.requests() * options.grouping.operations() as u64,
        checks: checks(options, &book_size),
        book: book_size,
        hostile,
        checkpoints,
        uses,
        generator_cpu: cpu,
        recorder,
    })
}

/// What the venue's checkpoints have cost since its start, where it can be asked.
fn checkpoints(options: &LoadOptions) -> Result<Option<CheckpointUse>, LoadtestError> {
    let Some(health) = &options.health else { return Ok(None) };
    let metrics = VenueMetrics::fetch(health)?;
    let taken = metrics.value("lakh_keeper_checkpoints_total")?;
    let cpu_seconds = metrics.value("lakh_keeper_checkpoint_cpu_seconds_total")?;
    Ok(Some(CheckpointUse { taken: taken as u64, cpu_seconds }))
}

/// What was looked at, for the report.
fn checks(options: &LoadOptions, book: &Option<BookSize>) -> Vec<&'static str> {
    let mut checks = vec!["each request answered exactly once"];
    if options.transport == Transport::Binary {
        checks.push("no gap in any session's messages and any account's reports");
    }
    if book.is_some() {
        checks.push("depth of every market equal to the sum of all answers");
    }
    if options.bad_signatures_per_second > 0 {
        checks.push("no bad signature taken");
    }
    checks
}

fn schedule(options: &LoadOptions, traders: &[Trader]) -> Schedule {
    let operations = options.grouping.operations() as u64;
    let connections = options.connection_count(traders) as u64;
    Schedule::new(
        (options.operations_per_second, operations),
        options.bunches,
        (connections, u64::from(options.consecutive)),
    )
}

fn empty_book(options: &LoadOptions) -> OwnBook {
    let workload = &options.workload;
    OwnBook::new(workload.markets, workload.mid_ticks, workload.wall_ticks() + RESTING_TICKS)
}

/// Signed requests and open connections, shortly before the start.
struct Ready {
    start: Instant,
    connections: Vec<Connection>,
    /// The rest of a load that is signed in parts.
    rest: Option<(Vec<ConnectionPlanner>, StampClock, u64)>,
}

struct Load<'a> {
    options: &'a LoadOptions,
    traders: &'a [Trader],
    schedule: Arc<Schedule>,
}

impl Load<'_> {
    fn binary(&self) -> Option<(SocketAddr, [u8; 16])> {
        Some((self.options.binary?, self.options.venue_tag))
    }

    /// Places what rests before the load.
    fn fill_books(&self, book: &mut OwnBook) -> Result<(), LoadtestError> {
        let (Some(binary), Books::Kept, None) = (self.binary(), self.options.books, &self.options.recorded) else {
            return Ok(());
        };
        let options = (&self.options.workload, self.options.resting_orders);
        runtime()?.block_on(books::prepare(binary, self.traders, options, book))
    }

    /// The venue's books after the load.
    fn shown_books(&self) -> Result<Option<(crate::load::own_book::ShownLevels, u64)>, LoadtestError> {
        let (Some(binary), Books::Kept) = (self.binary(), self.options.books) else { return Ok(None) };
        let markets = self.options.workload.markets;
        Ok(Some(runtime()?.block_on(books::shown(binary, &self.traders[0], markets))?))
    }

    /// Signs everything for a start that lies just far enough ahead, and connects.
    fn prepare(&self) -> Result<Ready, LoadtestError> {
        let accepted = match (self.options.transport, self.binary()) {
            (Transport::Binary, Some((address, tag))) => {
                Some(OpeningSession::begin(address, tag, (&self.traders[0], 1))?.finish()?.accepted)
            }
            _ => None,
        };
        let (count, requests) = (self.options.connection_count(self.traders) as u64, self.options.requests());
        let limit = if requests <= MAX_REQUESTS {
            u64::MAX
        } else {
            let each = self.options.operations_per_second * PART.as_secs();
            (each / self.options.grouping.operations() as u64).div_ceil(count).max(1)
        };
        let mut lead = self.guess_lead(accepted.as_ref(), requests.min(limit.saturating_mul(count)))?;
        let late_allowed = match self.options.transport {
            Transport::Binary => BINARY_SHIFT,
            Transport::WebSocket => {
                Duration::from_millis(u64::from(self.options.receive_window_ms)).saturating_sub(WEBSOCKET_RESERVE)
            }
        };
        for _ in 0..ATTEMPTS {
            let begun = Instant::now();
            let start_ns = (now_us() + u64::try_from(lead.as_micros()).unwrap_or(u64::MAX >> 12)) * 1_000;
            let clock = StampClock { start_ns, schedule: Arc::clone(&self.schedule) };
            let mut planners = self.planners(accepted.as_ref());
            let parts = sign_parts(&mut planners, (limit, self.options.grouping), &clock, processors())?;
            // Not before: a venue ends sessions that say nothing for half a minute.
            let opening = opening_of(planners.len()) + MARGIN;
            std::thread::sleep((begun + lead).saturating_duration_since(Instant::now()).saturating_sub(opening));
            let connections = self.connect(parts)?;
            let (start, now) = (begun + lead, Instant::now());
            if now < start + late_allowed {
                let rest = (limit != u64::MAX).then_some((planners, clock, limit));
                return Ok(Ready { start: start.max(now), connections, rest });
            }
            lead = begun.elapsed() * 3 / 2 + MARGIN;
        }
        Err(LoadtestError::Options("this machine is too busy to sign the requests ahead of time".to_owned()))
    }

    /// How long signing `requests` and opening the connections will take.
    fn guess_lead(&self, accepted: Option<&LogonAccepted>, requests: u64) -> Result<Duration, LoadtestError> {
        let mut planners = self.planners(accepted);
        let limit = SAMPLE.div_ceil(planners.len() as u64);
        let clock = StampClock { start_ns: now_us() * 1_000, schedule: Arc::clone(&self.schedule) };
        let begun = Instant::now();
        let parts = sign_parts(&mut planners, (limit, self.options.grouping), &clock, processors())?;
        let sampled: usize = parts.iter().map(|part| part.expected.len()).sum();
        let each_ns = begun.elapsed().as_nanos() / sampled.max(1) as u128;
        let signing_ns = u64::try_from(each_ns * u128::from(requests)).unwrap_or(u64::MAX);
        Ok(Duration::from_nanos(signing_ns) * 6 / 5 + opening_of(planners.len()) + MARGIN)
    }

    fn planners(&self, accepted: Option<&LogonAccepted>) -> Vec<ConnectionPlanner> {
        let count = self.options.connection_count(self.traders);
        let requests = self.options.requests();
        let planner = |connection: usize| {
            let position = connection as u64;
            let keys: Vec<usize> = (connection..self.traders.len()).step_by(count).collect();
            let sources = keys.iter().map(|key| self.source(*key)).collect();
            let writer = match accepted {
                None => Writer::WebSocket(self.websocket_requests(&keys, position)),
                Some(accepted) => {
                    let mut accepted = *accepted;
                    accepted.account_id = (u32::try_from(connection).expect("a key's number") + 1).into();
                    let requests = BinaryRequests::new(&self.traders[connection], &accepted, &self.options.run);
                    Writer::Binary(Box::new(requests))
                }
            };
            ConnectionPlanner::new(position, sources, writer, self.schedule.share(position, requests))
        };
        (0..count).map(planner).collect()
    }

    fn source(&self, key: usize) -> Source {
        match &self.options.recorded {
            Some(orders) => Source::Recorded(orders.iter().copied().collect()),
            None => Source::Random(Workload::new(&self.options.workload, self.options.seed, key as u64)),
        }
    }

    fn websocket_requests(&self, keys: &[usize], position: u64) -> WebSocketRequests {
        WebSocketRequests {
            traders: keys.iter().map(|key| (*key, self.traders[*key].clone())).collect(),
            markets: self.options.markets.clone(),
            run: self.options.run.clone(),
            receive_window_ms: self.options.receive_window_ms,
            masks: SplitMix64::stream(self.options.seed, position),
        }
    }

    fn connect(&self, parts: Vec<Part>) -> Result<Vec<Connection>, LoadtestError> {
        let requests = self.options.requests();
        let operations = u8::try_from(self.options.grouping.operations()).expect("at most 64");
        let ledger = |position: u64| Ledger::new(position, self.schedule.share(position, requests), operations);
        let opened: Result<Vec<Connection>, LoadtestError> = match (self.options.transport, self.binary()) {
            (Transport::Binary, Some((address, tag))) => {
                let sessions = open_sessions(address, tag, self.traders)?;
                (0..).zip(sessions).map(|(position, session)| session.into_connection(ledger(position))).collect()
            }
            _ => (0..u64::from(self.options.connections))
                .map(|position| websocket_connection(&self.options.url, &self.options.markets, ledger(position)))
                .collect(),
        };
        let mut opened = opened?;
        for (connection, part) in opened.iter_mut().zip(parts) {
            connection.hand_over(part);
        }
        Ok(opened)
    }

    /// Drives it on a thread of its own, and signs the rest meanwhile where there is one.
    fn drive(&self, ready: Ready, book: OwnBook) -> Result<Driven, LoadtestError> {
        let grouping = self.options.grouping;
        let (parts, signer) = match ready.rest {
            None => (None, None),
            Some((planners, clock, limit)) => {
                let (sender, parts) = sync_channel(1);
                let sign = move || sign_rest(planners, (limit, grouping), &clock, &sender);
                (Some(parts), Some(spawn("signer", sign)))
            }
        };
        let driven = spawn(GENERATOR, self.job(ready.connections, (ready.start, book), parts)).join();
        // It ends with its last part, or with the driver, who takes none any more.
        let signed = signer.map_or(Ok(Ok(())), JoinHandle::join);
        let panicked = |_| LoadtestError::Venue("a thread of the load panicked".to_owned());
        signed.map_err(panicked)??;
        driven.map_err(panicked)?
    }

    fn job(
        &self,
        connections: Vec<Connection>,
        (start, book): (Instant, OwnBook),
        parts: Option<Receiver<Vec<Part>>>,
    ) -> impl FnOnce() -> Result<Driven, LoadtestError> + Send + 'static {
        let drive = Drive {
            connections,
            schedule: Arc::clone(&self.schedule),
            requests: self.options.requests(),
            operations: self.options.grouping.operations() as u64,
            start,
            pacing: self.options.pacing,
            drain: self.options.drain,
            book,
            parts,
            live: Arc::clone(&self.options.live),
        };
        let thread_start = self.options.thread_start;
        move || {
            thread_start();
            drive.run()
        }
    }
}

/// What opening so many connections may take.
fn opening_of(connections: usize) -> Duration {
    OPENING * u32::try_from(connections).expect("a bounded number of connections")
}

/// Signs part after part until there is nothing left.
fn sign_rest(
    mut planners: Vec<ConnectionPlanner>,
    (limit, grouping): (u64, Grouping),
    clock: &StampClock,
    sender: &SyncSender<Vec<Part>>,
) -> Result<(), LoadtestError> {
    loop {
        // One worker only: the processors belong to the load now.
        let parts = sign_parts(&mut planners, (limit, grouping), clock, 1)?;
        if parts.iter().all(|part| part.expected.is_empty()) || sender.send(parts).is_err() {
            return Ok(());
        }
    }
}

/// The thread of those who sign badly.
struct Hostile {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<HostileReport>,
}

impl Hostile {
    /// Starts it where the options ask for it.
    fn start(options: &LoadOptions, traders: &[Trader]) -> Option<Self> {
        let per_second = options.bad_signatures_per_second;
        if per_second == 0 {
            return None;
        }
        let target = match (options.transport, options.binary) {
            (Transport::Binary, Some(address)) => {
                Target::Binary { address, venue_tag: options.venue_tag, members: options.hostile.clone() }
            }
            _ => Target::WebSocket {
                url: options.url.clone(),
                market: options.markets[0].clone(),
                victims: traders.to_vec(),
            },
        };
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        Some(Self { stop, thread: spawn("hostile", move || harass(&target, per_second, &stopped)) })
    }

    fn stop(self) -> Result<HostileReport, LoadtestError> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| LoadtestError::Venue("the hostile client panicked".to_owned()))
    }
}

fn spawn<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).expect("a thread for the load")
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn runtime() -> Result<tokio::runtime::Runtime, LoadtestError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| LoadtestError::connection("starting", error))
}
