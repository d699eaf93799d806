//! Accounts' reports as frames: told to the sessions that listen, and kept for those that will.
//!
//! Reports are kept as they were written, in chunks, so that a resume is a copy. What is kept of an account is bounded,
//! and of all accounts together: then the chunk that was begun first goes, whosever it is. Where the report log has
//! everybody's reports, only accounts that have had a session here are kept: others cost nothing but their count.

use std::collections::VecDeque;
use std::ops::Range;

use lakh_engine::ids::AccountId;

use crate::byte_outbox::{Wakes, stamp_request};
use crate::hand_over::{Delivery, RequestHandle, SessionHandle};
use crate::id_map::IdMap;
use crate::reports::AccountReport;
use crate::wire::sbe::enums::Code;
use crate::wire::sbe::session::LogonAccepted;
use crate::wire::sbe::{HEADER_BYTES, encode, put};

/// Bytes of a chunk before the next one is begun.
const CHUNK_BYTES: usize = 64 * 1_024;
/// Room that an account's first chunk begins with: most have few reports. Later ones have all of theirs at once, since to
/// grow is to copy.
const FIRST_BYTES: usize = 4 * 1_024;
/// Buffers of forgotten chunks that are kept for the next ones: new memory costs more than what is written into it.
const SPARES_MAX: usize = 64;
/// Bytes of an account's reports from which on another run of them is begun: a run is kept and sent in one piece, and what
/// does not fit into a chunk begins the next.
const RUN_BYTES: usize = 4 * 1_024;
/// Where a report's account sequence stands in its frame.
const ACCOUNT_SEQUENCE_AT: usize = HEADER_BYTES + 24;

/// Bounds of what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportOptions {
    /// Bytes of all accounts' reports.
    pub bytes_max: usize,
    /// Bytes of one account's; below what a session's outbox takes.
    pub bytes_per_account_max: usize,
    /// Sessions that listen, of all accounts together.
    pub sessions_max: usize,
}

impl Default for ReportOptions {
    /// 256 MiB, 4 MiB for an account (some 20,000 reports), and 65,536 sessions.
    fn default() -> Self {
        Self { bytes_max: 256 << 20, bytes_per_account_max: 4 << 20, sessions_max: 65_536 }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Reports {
    options: ReportOptions,
    kept_of: KeptOf,
    accounts: IdMap<AccountId, Account>,
    /// Whose chunks there are, the first begun first.
    owners: VecDeque<AccountId>,
    bytes: usize,
    sessions: usize,
    frames: Vec<u8>,
    pending: Vec<Run>,
    /// Empty, each with room for a chunk.
    spares: Vec<Vec<u8>>,
}

/// Whose reports are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeptOf {
    /// Everybody's: nobody else has them.
    Everybody,
    /// Those of accounts that have had a session; the report log has the others.
    Members,
}

/// One account's reports and who listens.
#[derive(Debug, Default)]
struct Account {
    /// Whether it has had a session.
    is_member: bool,
    sessions: Vec<SessionHandle>,
    chunks: VecDeque<Chunk>,
    last: u64,
}

/// Reports one behind the other.
#[derive(Debug)]
struct Chunk {
    first: u64,
    frames: Vec<u8>,
}

/// Reports of an account that are not sent yet, without a gap.
#[derive(Clone, Debug)]
struct Run {
    account: AccountId,
    first: u64,
    last: u64,
    frames: Range<usize>,
}

impl Reports {
    pub(super) fn new(options: ReportOptions) -> Self {
        Self {
            options,
            kept_of: KeptOf::Everybody,
            accounts: IdMap::default(),
            owners: VecDeque::new(),
            bytes: 0,
            sessions: 0,
            frames: Vec::new(),
            pending: Vec::new(),
            spares: Vec::new(),
        }
    }

    /// The report log has everybody's reports from here on.
    pub(super) fn keep_members_only(&mut self) {
        self.kept_of = KeptOf::Members;
    }

    /// What an account was told up to here is not kept here.
    pub(super) fn begin_behind(&mut self, account: AccountId, last: u64) {
        self.accounts.entry(account).or_default().last = last;
    }

    /// Writes a report.
    pub(super) fn tell(&mut self, report: &AccountReport<'_>) {
        let (account, sequence) = (report.account, report.report_sequence);
        let run = self.pending.last_mut();
        if let Some(run) = run.filter(|run| (run.account, run.last + 1) == (account, sequence))
            && run.frames.len() < RUN_BYTES
        {
            encode::report(report, &mut self.frames);
            (run.last, run.frames.end) = (sequence, self.frames.len());
            return;
        }
        if self.kept_of == KeptOf::Members {
            let of_account = self.accounts.entry(account).or_default();
            if !of_account.is_member {
                of_account.last = sequence;
                return;
            }
        }
        let start = self.frames.len();
        encode::report(report, &mut self.frames);
        self.pending.push(Run { account, first: sequence, last: sequence, frames: start..self.frames.len() });
    }

    /// Keeps and sends what was written since the last time. The session that asked for it is told which request of its
    /// own it was.
    pub(super) fn send(&mut self, asked: Option<&RequestHandle>, wakes: &mut Wakes) {
        for index in 0..self.pending.len() {
            let run = self.pending[index].clone();
            self.keep(&run);
        }
        // All that follow on one another at once: an outbox's lock waits for whatever was written before.
        for runs in self.pending.chunk_by(|left, right| left.account == right.account) {
            let account = runs[0].account;
            let frames = runs[0].frames.start..runs[runs.len() - 1].frames.end;
            let frames = &mut self.frames[frames];
            let of_account = self.accounts.entry(account).or_default();
            let before = of_account.sessions.len();
            let asks = |session: &SessionHandle| asked.is_some_and(|handle| handle.session.is(session));
            of_account.sessions.retain(|session| asks(session) || deliver(session, frames, wakes));
            // Behind all others, who are not told the number.
            if let Some(handle) = asked.filter(|_| of_account.sessions.iter().any(asks)) {
                stamp_request(frames, handle.request);
                of_account.sessions.retain(|session| !asks(session) || deliver(session, frames, wakes));
            }
            self.sessions -= before - of_account.sessions.len();
        }
        self.pending.clear();
        self.frames.clear();
    }

    /// Adds reports to what is kept.
    fn keep(&mut self, run: &Run) {
        let &Run { account, first, last, ref frames } = run;
        let added = &self.frames[frames.clone()];
        let kept = self.accounts.entry(account).or_default();
        if first != kept.last + 1 {
            // What was in front is not here, so a resume from there would have a hole.
            self.bytes -= kept.chunks.drain(..).map(|chunk| chunk.frames.len()).sum::<usize>();
            self.owners.retain(|owner| *owner != account);
        }
        kept.last = last;
        if kept.chunks.back().is_none_or(|chunk| chunk.frames.len() + added.len() > CHUNK_BYTES) {
            let frames = match kept.chunks.is_empty() {
                true => Vec::with_capacity(FIRST_BYTES),
                false => self.spares.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK_BYTES)),
            };
            kept.chunks.push_back(Chunk { first, frames });
            self.owners.push_back(account);
        }
        self.bytes += added.len();
        let chunk = kept.chunks.back_mut().expect("there is one now");
        chunk.frames.extend_from_slice(added);
        if kept.chunks.len() > self.options.bytes_per_account_max.div_ceil(CHUNK_BYTES).max(1) {
            let oldest = kept.chunks.pop_front();
            self.forget(oldest);
            let at = self.owners.iter().position(|owner| *owner == account).expect("each chunk has its owner there");
            self.owners.remove(at);
        }
        while self.bytes > self.options.bytes_max {
            let Some(oldest) = self.owners.pop_front() else { break };
            let chunk = self.accounts.get_mut(&oldest).and_then(|kept| kept.chunks.pop_front());
            self.forget(chunk);
        }
    }

    /// A chunk is no longer kept.
    fn forget(&mut self, chunk: Option<Chunk>) {
        let Some(Chunk { mut frames, .. }) = chunk else { return };
        self.bytes -= frames.len();
        if frames.capacity() >= CHUNK_BYTES && self.spares.len() < SPARES_MAX {
            frames.clear();
            self.spares.push(frames);
        }
    }

    /// The account's last report.
    pub(super) fn last(&self, account: AccountId) -> u64 {
        self.accounts.get(&account).map_or(0, |kept| kept.last)
    }

    /// The session is told of the account's reports: first that its logon is accepted, unless it knows that, then what
    /// it has missed.
    ///
    /// # Errors
    /// [`Code::ResumeTooOld`], [`Code::ResumeAhead`], [`Code::TooManySubscriptions`]; nothing is sent then.
    pub(super) fn open(
        &mut self,
        account: AccountId,
        resume_from: Option<u64>,
        accepted: Option<&LogonAccepted>,
        session: &SessionHandle,
    ) -> Result<(), Code> {
        if self.sessions >= self.options.sessions_max {
            self.sweep();
        }
        if self.sessions >= self.options.sessions_max {
            return Err(Code::TooManySubscriptions);
        }
        let Some(outbox) = session.bytes() else { return Err(Code::Internal) };
        let kept = self.accounts.entry(account).or_default();
        // Also where it fails: whoever catches up from the log goes on here.
        kept.is_member = true;
        let from = resume_from.unwrap_or(kept.last);
        let floor = kept.chunks.front().map_or(kept.last + 1, |chunk| chunk.first);
        if from > kept.last {
            return Err(Code::ResumeAhead);
        }
        if from + 1 < floor {
            return Err(Code::ResumeTooOld);
        }
        let mut frames = Vec::new();
        if let Some(accepted) = accepted {
            let (last_account_sequence, resumed_from) = (kept.last.into(), from.into());
            put(&mut frames, &LogonAccepted { last_account_sequence, resumed_from, ..*accepted });
        }
        for chunk in &kept.chunks {
            missed_of(chunk, from, &mut frames);
        }
        // Whoever asked is woken with the answer.
        let _ = outbox.append(&frames);
        kept.sessions.push(session.clone());
        self.sessions += 1;
        Ok(())
    }

    /// Forgets sessions that have ended without a report to find that out.
    fn sweep(&mut self) {
        for account in self.accounts.values_mut() {
            account.sessions.retain(|session| !session.has_ended());
        }
        self.sessions = self.accounts.values().map(|account| account.sessions.len()).sum();
    }
}

/// Whether the session takes them.
fn deliver(session: &SessionHandle, frames: &[u8], wakes: &mut Wakes) -> bool {
    let Some(outbox) = session.bytes() else { return false };
    let (delivery, wake) = outbox.append(frames);
    wakes.note(outbox, wake);
    delivery == Delivery::Delivered
}

/// Appends a chunk's reports behind number `from`.
fn missed_of(chunk: &Chunk, from: u64, out: &mut Vec<u8>) {
    if chunk.first > from {
        return out.extend_from_slice(&chunk.frames);
    }
    let mut rest = chunk.frames.as_slice();
    while let Some((length, sequence)) = frame_at(rest) {
        if sequence > from {
            return out.extend_from_slice(rest);
        }
        rest = &rest[length..];
    }
}

/// Length and account sequence of the report at the front.
fn frame_at(frames: &[u8]) -> Option<(usize, u64)> {
    let length = u32::from_le_bytes(*frames.first_chunk()?);
    let sequence = frames.get(ACCOUNT_SEQUENCE_AT..)?.first_chunk()?;
    Some((usize::try_from(length).ok()?, u64::from_le_bytes(*sequence)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is kept is counted by what stands in it, so a quiet account must not hold a busy one's buffer.
    #[test]
    fn a_quiet_account_holds_little_room_beside_busy_ones() {
        let options = ReportOptions { bytes_max: 4 * CHUNK_BYTES, ..ReportOptions::default() };
        let mut reports = Reports::new(options);
        reports.frames = vec![0; 1_000];
        let run =
            |account, sequence| Run { account: AccountId(account), first: sequence, last: sequence, frames: 0..1_000 };
        for sequence in 1..=1_000 {
            reports.keep(&run(1, sequence));
        }
        assert!(!reports.spares.is_empty(), "the busy account has forgotten chunks");
        for account in 2..=50 {
            reports.keep(&run(account, 1));
            let chunk = reports.accounts[&AccountId(account)].chunks.back().unwrap();
            assert_eq!(chunk.frames.capacity(), FIRST_BYTES);
        }
    }
}
