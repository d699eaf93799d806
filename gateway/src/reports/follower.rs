//! The thread behind the publisher that writes the report log and answers from it, and the publisher's end of it.
//!
//! The publisher hands over reports in chunks of whole commands, a few milliseconds' worth at a time, and questions
//! between them, over one bounded queue: a question finds every report that was made before it. While a start rebuilds
//! the read models the publisher waits for the queue; later it never does. A chunk that finds no room, or that the disk
//! refuses, is dropped and counted, and what is before the gap can no longer be asked for.
//!
//! Bounds: `QUEUE` chunks of about `CHUNK_BYTES` and `EMPTIES` empty ones; a page of [`FollowerOptions::page_reports`]; pages
//! of one account by a rate, over all of its connections; rates of at most `ACCOUNTS` accounts.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use lakh_engine::ids::{AccountId, Sequence};
use lakh_engine::units::Timestamp;

use super::bytes;
use super::log::{ReportChunk, ReportLog, ReportPage};
use super::{AccountReport, AssetBalance, Stamp};
use crate::api_error::ApiError;
use crate::counters::Counters;
use crate::hand_over::{PageAnswer, RequestHandle, ToSession};
use crate::limits::{Charge, Rate, TokenBucket};
use crate::request::refusal;

/// Chunks and questions that may wait.
const QUEUE: usize = 32;
/// Written chunks that wait to be filled again.
const EMPTIES: usize = 4;
/// From this size on a chunk is handed over, whenever its time. Each wakes the thread, which costs the publisher as much as
/// a hundred reports: at 300,000 orders a second in frames that was a sixteenth of what it did.
const CHUNK_BYTES: usize = 1_024 * 1_024;
/// How long a report may wait for others to go with it, in nanoseconds. Nobody waits for it: a question hands over first.
const CHUNK_LIFE_NS: u64 = 20_000_000;
/// Accounts whose rate is remembered at once; when there are more, all are forgotten.
const ACCOUNTS: usize = 65_536;

/// Bounds of the follower.
#[derive(Clone, Debug)]
pub struct FollowerOptions {
    /// Reports of one page at most.
    pub page_reports: usize,
    /// Pages of one account, over all of its connections.
    pub pages_per_account: Rate,
    /// Where whoever is told that a report is too old finds it: shown to clients as it stands; may be empty.
    pub archive: String,
    /// Tells the time.
    pub clock: fn() -> Timestamp,
}

/// Which reports a session wants to be told again.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// Whose.
    pub account: AccountId,
    /// Behind this count.
    pub from: u64,
    /// Up to this count.
    pub through: u64,
    /// Whether the position that stands behind the report `from` is wanted, too.
    pub position: FromPosition,
    /// The session's number of the subscription that they are for.
    pub subscription: u32,
    /// Who is answered.
    pub handle: RequestHandle,
}

/// Whether a client that has seen a report has seen the position behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromPosition {
    /// It has, or does not want it.
    Seen,
    /// It has not: the report itself comes first in the page, for its position.
    Wanted,
}

/// Into the follower.
#[derive(Debug)]
enum Work {
    Chunk(ReportChunk),
    Page(PageRequest),
}

/// What becomes of a chunk that finds no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// The publisher waits: nobody is served yet.
    Start,
    /// It is dropped.
    Live,
}

/// The publisher's end.
#[derive(Debug)]
pub struct ReportSink {
    queue: SyncSender<Work>,
    /// Chunks that are written and empty again: new memory would cost more than what is written into it.
    empties: Receiver<ReportChunk>,
    counters: Arc<Counters>,
    patience: Patience,
    /// Reports of this command and before it are in the log already.
    have_through: Sequence,
    chunk: ReportChunk,
    /// When the first report of the chunk was made.
    began_at: Option<Timestamp>,
    /// Reports of the command that is being taken in, without their positions.
    command: Vec<u8>,
    reports: Vec<(AccountId, u64, usize)>,
    /// For each of them which changed balances stand behind it; kept for its room.
    positions: Vec<Range<usize>>,
    /// Changed balances that stand behind a report; kept for its room.
    taken: Vec<bool>,
}

impl ReportSink {
    /// Takes a report of the command that is being taken in.
    pub fn push(&mut self, report: &AccountReport<'_>) {
        if report.stamp.sequence > self.have_through {
            bytes::encode(report, &mut self.command);
            self.reports.push((report.account, report.report_sequence, self.command.len()));
        }
    }

    /// The command is through. `changed` is what it changed of balances, by account.
    pub fn end_command(&mut self, stamp: Stamp, changed: &[(AccountId, AssetBalance)]) {
        if self.reports.is_empty() {
            return;
        }
        self.position_of(changed);
        let mut begin = 0;
        for ((account, report_sequence, end), position) in self.reports.iter().zip(&self.positions) {
            let report = &self.command[begin..*end];
            self.chunk.push_encoded((*account, *report_sequence, stamp.sequence), report, &changed[position.clone()]);
            begin = *end;
        }
        self.began_at.get_or_insert(stamp.timestamp);
        self.command.clear();
        self.reports.clear();
        if self.chunk.len() >= CHUNK_BYTES {
            self.hand_over();
        }
    }

    /// Finds for each report which of `changed` stands behind it: all of its account's behind the account's last report.
    fn position_of(&mut self, changed: &[(AccountId, AssetBalance)]) {
        self.positions.clear();
        self.positions.resize(self.reports.len(), 0..0);
        self.taken.clear();
        self.taken.resize(changed.len(), false);
        let mut behind = None;
        for (index, (account, ..)) in self.reports.iter().enumerate().rev() {
            // Most reports of a command are one account's.
            if behind.replace(*account) == Some(*account) {
                continue;
            }
            let first = changed.partition_point(|(other, _)| other < account);
            let end = changed.partition_point(|(other, _)| other <= account);
            if first < end && !self.taken[first] {
                self.taken[first] = true;
                self.positions[index] = first..end;
            }
        }
    }

    /// When the chunk is to be handed over; `None` while there is nothing in it.
    pub fn due(&self) -> Option<Timestamp> {
        self.began_at.map(|began_at| Timestamp(began_at.0.saturating_add(CHUNK_LIFE_NS)))
    }

    /// Hands the chunk over.
    pub fn hand_over(&mut self) {
        self.began_at = None;
        if self.chunk.is_empty() {
            return;
        }
        let empty = self.empties.try_recv().unwrap_or_default();
        let chunk = std::mem::replace(&mut self.chunk, empty);
        let count = chunk.report_count();
        let lost = match self.patience {
            Patience::Start => self.queue.send(Work::Chunk(chunk)).is_err(),
            Patience::Live => self.queue.try_send(Work::Chunk(chunk)).is_err(),
        };
        if lost {
            self.counters.reports_dropped.add(count);
        }
    }

    /// Asks for a page; the session that waits is answered by the follower, or here where that has no room.
    pub fn ask(&mut self, request: PageRequest) {
        self.hand_over();
        match self.queue.try_send(Work::Page(request)) {
            Ok(()) | Err(TrySendError::Full(Work::Chunk(_)) | TrySendError::Disconnected(Work::Chunk(_))) => {}
            Err(TrySendError::Full(Work::Page(request)) | TrySendError::Disconnected(Work::Page(request))) => {
                answer(&request, Err(refusal::overloaded()));
            }
        }
    }

    /// The start is over: from here on nothing waits.
    pub fn go_live(&mut self) {
        self.hand_over();
        self.patience = Patience::Live;
    }
}

/// The thread; it ends when the sink is dropped.
#[derive(Debug)]
pub struct ReportFollower {
    log: ReportLog,
    options: FollowerOptions,
    counters: Arc<Counters>,
    budgets: HashMap<AccountId, TokenBucket>,
    disk: Disk,
}

/// How the last write went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    Takes,
    Refuses,
}

impl ReportFollower {
    /// Starts the thread behind a log that has just been opened.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn spawn(
        log: ReportLog,
        options: FollowerOptions,
        counters: Arc<Counters>,
    ) -> io::Result<(ReportSink, JoinHandle<()>)> {
        let (queue, work) = sync_channel(QUEUE);
        let (emptied, empties) = sync_channel(EMPTIES);
        let sink = ReportSink {
            queue,
            empties,
            counters: Arc::clone(&counters),
            patience: Patience::Start,
            have_through: log.wants_behind(),
            chunk: ReportChunk::default(),
            began_at: None,
            command: Vec::new(),
            reports: Vec::new(),
            positions: Vec::new(),
            taken: Vec::new(),
        };
        let follower = Self { log, options, counters, budgets: HashMap::new(), disk: Disk::Takes };
        let thread =
            std::thread::Builder::new().name("reports".to_owned()).spawn(move || follower.run(&work, &emptied))?;
        Ok((sink, thread))
    }

    fn run(mut self, work: &Receiver<Work>, emptied: &SyncSender<ReportChunk>) {
        while let Ok(next) = work.recv() {
            match next {
                Work::Chunk(mut chunk) => {
                    self.append(&chunk);
                    chunk.clear();
                    // What is not wanted back is given back to the machine.
                    let _ = emptied.try_send(chunk);
                }
                Work::Page(request) => {
                    let page = self.page(&request);
                    answer(&request, page);
                }
            }
        }
    }

    /// What the disk does not take is lost for whoever asks later; that is said once, until it takes something again.
    fn append(&mut self, chunk: &ReportChunk) {
        let disk = match self.log.append(chunk) {
            Ok(()) => Disk::Takes,
            Err(error) => {
                self.counters.reports_dropped.add(chunk.report_count());
                if self.disk == Disk::Takes {
                    tracing::warn!("reports cannot be written, and are lost for who asks later: {error}");
                }
                Disk::Refuses
            }
        };
        if (self.disk, disk) == (Disk::Refuses, Disk::Takes) {
            tracing::info!("reports are written again");
        }
        self.disk = disk;
    }

    fn page(&mut self, request: &PageRequest) -> Result<ReportPage, ApiError> {
        if self.budgets.len() >= ACCOUNTS && !self.budgets.contains_key(&request.account) {
            self.budgets.clear();
        }
        let rate = self.options.pages_per_account;
        let budget = self.budgets.entry(request.account).or_insert_with(|| TokenBucket::new(rate));
        if budget.charge(1, (self.options.clock)()) == Charge::Refused {
            return Err(refusal::too_many_requests());
        }
        self.counters.report_pages.count();
        let PageRequest { account, from, through, position, .. } = *request;
        let read = |from| {
            self.log.page(account, (from, through), self.options.page_reports).map_err(|error| {
                tracing::warn!("reports of account {account} cannot be read: {error}");
                refusal::internal()
            })
        };
        let page = match position {
            // Where the report itself is gone, its position is of no use to anybody.
            FromPosition::Wanted if from > 0 => match read(from - 1)? {
                Err(missing) if missing.floor == from => read(from)?,
                page => page,
            },
            _ => read(from)?,
        };
        page.map_err(|missing| refusal::resume_too_old(missing.floor, &self.options.archive))
    }
}

fn answer(request: &PageRequest, page: Result<ReportPage, ApiError>) {
    let PageRequest { subscription, handle, through, .. } = request;
    let answer = PageAnswer { request: handle.request, subscription: *subscription, through: *through, page };
    handle.session.deliver(ToSession::Page(Box::new(answer)));
}
