//! The publisher's part for the binary face: every account's reports as frames, and the public changes of each market.
//!
//! Changes are written whether or not anybody listens, since whoever lost his link has them again: reports by the account's
//! sequence ([`reports`], and the report log behind it), changes by the market's ([`feeds`]). Sessions are woken once for
//! everything that was taken from the ring at once.

mod feeds;
mod reports;
mod snapshots;

use std::sync::Arc;

use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, MarketId, OrderId, Sequence};
use lakh_engine::units::Timestamp;
use lakh_engine::wire::DecodeError;

use crate::byte_outbox::{ByteOutbox, Wakes};
use crate::hand_over::{Read, RequestHandle};
use crate::market_data::MarketData;
use crate::market_data::book::{Level, LevelKey};
use crate::publisher::Publisher;
use crate::reports::follower::{FromPosition, PageRequest};
use crate::reports::{AccountReport, Stamp};
use crate::wire::sbe::enums::Code;

pub use self::feeds::FeedOptions;
pub use self::reports::ReportOptions;

use self::feeds::Feeds;
use self::reports::Reports;

/// Bounds of what the binary face remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BinaryOptions {
    /// Of accounts' reports.
    pub reports: ReportOptions,
    /// Of markets' changes.
    pub feeds: FeedOptions,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Binary {
    reports: Reports,
    feeds: Feeds,
    wakes: Wakes,
}

impl Binary {
    pub(super) fn new(options: BinaryOptions) -> Self {
        Self { reports: Reports::new(options.reports), feeds: Feeds::new(options.feeds), wakes: Wakes::default() }
    }

    /// Appends the books by order, for a snapshot. Reports are kept elsewhere, and counted by the publisher.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        self.feeds.save(out);
    }

    /// Reads what [`Self::save`] wrote; `counts` has each account's last report.
    pub(super) fn load(
        options: BinaryOptions,
        counts: &[(AccountId, u64)],
        input: &mut &[u8],
    ) -> Result<Self, DecodeError> {
        let mut reports = Reports::new(options.reports);
        counts.iter().for_each(|(account, last)| reports.begin_behind(*account, *last));
        Ok(Self { reports, feeds: Feeds::load(options.feeds, input)?, wakes: Wakes::default() })
    }

    /// The report log has everybody's reports from here on.
    pub(super) fn keep_members_only(&mut self) {
        self.reports.keep_members_only();
    }

    /// A market that was listed before anything is told: its changes begin here.
    pub(super) fn list(&mut self, market: MarketId) {
        self.feeds.list(market, Stamp { sequence: Sequence(0), timestamp: Timestamp::ZERO });
    }

    /// Markets that there are.
    pub(super) fn market_count(&self) -> usize {
        self.feeds.count()
    }

    /// Takes in a private report.
    pub(super) fn tell(&mut self, report: &AccountReport<'_>) {
        self.reports.tell(report);
    }

    /// Takes in an event that the books by level have taken in already; `level` is what it changed of them.
    pub(super) fn absorb(&mut self, event: &Event, level: Option<(LevelKey, Level)>, stamp: Stamp) {
        self.feeds.absorb(event, level, stamp);
    }

    /// Reads a public order that is about to be changed.
    pub(super) fn read_ahead(&self, market: MarketId, order: OrderId) {
        self.feeds.read_ahead(market, order);
    }

    /// Sends what a command made for accounts; those who asked for it are told which request it was.
    pub(super) fn send_reports(&mut self, asked: Option<&RequestHandle>) {
        self.reports.send(asked, &mut self.wakes);
        // Behind the reports: no public word of a command leaves before them.
        self.feeds.flush_full(&mut self.wakes);
    }

    /// When [`Binary::handle_timeout`] has something to do.
    pub(super) fn next_timeout(&self) -> Option<Timestamp> {
        self.feeds.next_timeout()
    }

    /// Tells those who asked to be told less often what is due at `now`.
    pub(super) fn handle_timeout(&mut self, now: Timestamp, market_data: &MarketData) {
        self.feeds.handle_timeout(now, market_data, &mut self.wakes);
    }

    /// Sends what everybody is told, and wakes every session that has got something.
    pub(super) fn flush(&mut self) {
        self.feeds.flush(&mut self.wakes);
        self.wakes.give();
    }
}

impl Publisher {
    /// Sends what is collected for the binary face; to be called whenever the ring is empty for now.
    pub fn flush_binary(&mut self) {
        self.binary.flush();
    }

    /// Answers a command of a session of the binary face, behind its reports.
    pub(super) fn answer_binary(&mut self, handle: &RequestHandle, outbox: &Arc<ByteOutbox>, events: &[Event]) {
        let wake = handle.binary_outcome(outbox, outcome_of(events));
        self.binary.wakes.note(outbox, wake);
    }

    /// Answers what a session of the binary face asks; false for another question.
    pub(super) fn answer_binary_read(&mut self, read: &Read, handle: &RequestHandle) -> bool {
        let Some(outbox) = handle.session.bytes() else { return false };
        let outcome = match read {
            Read::OpenReports { account, resume_from, accepted } => {
                let opened = self.binary.reports.open(*account, *resume_from, accepted.as_deref(), &handle.session);
                if opened == Err(Code::ResumeTooOld)
                    && let (Some(sink), Some(from)) = (&mut self.private.sink, *resume_from)
                {
                    // The log on disk goes further back; the session asks again behind what it gets from there.
                    let through = self.binary.reports.last(*account);
                    let (account, position, subscription, handle) = (*account, FromPosition::Seen, 0, handle.clone());
                    sink.ask(PageRequest { account, from, through, position, subscription, handle });
                    return true;
                }
                opened
            }
            Read::Feed(read) => {
                // What was collected before the request belongs in front of its answer.
                self.binary.feeds.flush(&mut self.binary.wakes);
                let markets = (self.markets.as_slice(), &self.market_data);
                self.binary.feeds.answer(read, handle, markets);
                Ok(())
            }
            _ => Err(Code::Internal),
        };
        let wake = handle.binary_outcome(outbox, outcome.map_err(Code::number));
        // Whoever appended may have announced the wake already.
        self.binary.wakes.note(outbox, wake);
        outbox.wake();
        true
    }
}

/// What a session is told that its reports do not say.
fn outcome_of(events: &[Event]) -> Result<(), u16> {
    for event in events {
        match event {
            Event::Duplicate(_) => return Err(Code::NonceUsed.number()),
            // Whom the engine does not know has no reports either.
            Event::Rejected(rejected) if rejected.report_sequence == 0 => return Err(rejected.code as u16),
            _ => {}
        }
    }
    Ok(())
}
