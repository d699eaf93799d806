//! Private reports of the events of one command: each is told to who listens, counted, and handed to the report log.
//!
//! Bounds: a count for each account that was ever reported to, by the engine's accounts.

use lakh_engine::event::{Event, Trade, TradeParty, Transferred};
use lakh_engine::ids::{AccountId, OrderId};
use lakh_engine::units::{Atoms, Timestamp};
use std::borrow::Cow;

use crate::account_trades::TradeRole;
use crate::id_map::IdMap;
use crate::publisher::answers::too_many_subscriptions;
use crate::publisher::outgoing::Outgoing;
use crate::publisher::subscriptions::Subscriptions;
use crate::publisher::{Company, Publisher};
use crate::reports::follower::{PageRequest, ReportSink};
use crate::reports::{AccountReport, AssetBalance, Execution, Fill, FundsDirection, ReportBody, Stamp};
use crate::request::refusal;
use crate::wire_encode::reports::{self, Units};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct PrivateReports {
    /// Each account's last count: a read model like the others, and saved with them; without it nobody could resume behind
    /// a report that is older than the snapshot.
    pub(super) counts: IdMap<AccountId, u64>,
    /// What `counts` has not been told yet: most reports of a command are one account's.
    latest: Option<(AccountId, u64)>,
    /// Where reports are kept, if they are.
    pub(super) sink: Option<ReportSink>,
    /// What the command changed of balances; kept for its room.
    changed: Vec<(AccountId, AssetBalance)>,
}

/// Who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// Somebody listens to the account.
    Listening,
    /// Nobody does right now.
    Nobody,
}

impl PrivateReports {
    /// The account's last count; 0 where nothing was ever reported.
    pub(super) fn last(&self, account: AccountId) -> u64 {
        debug_assert!(self.latest.is_none(), "asked for between two commands");
        self.counts.get(&account).copied().unwrap_or_default()
    }

    /// Counts a report.
    fn count(&mut self, account: AccountId, report_sequence: u64) {
        if self.latest.is_some_and(|(other, _)| other != account) {
            self.settle_counts();
        }
        self.latest = Some((account, report_sequence));
    }

    /// The command is through.
    fn settle_counts(&mut self) {
        if let Some((account, report_sequence)) = self.latest.take() {
            self.counts.insert(account, report_sequence);
        }
    }

    /// Counts a report, and writes it down for who listens.
    pub(super) fn tell(
        &mut self,
        report: &AccountReport<'_>,
        audience: Audience,
        units: Units<'_>,
        outgoing: &mut Outgoing,
    ) {
        self.count(report.account, report.report_sequence);
        if let Some(sink) = &mut self.sink {
            sink.push(report);
        }
        if audience == Audience::Listening {
            outgoing.report(report.account, |out| reports::report(report, units, out));
        }
    }
}

impl Publisher {
    /// Reports an event that is about no order.
    pub(super) fn tell_of(&mut self, event: &Event, stamp: Stamp) {
        match *event {
            // There is one for each operation of a frame. By itself, so that its report is made where it stays.
            Event::OperationDone { account, report_sequence, origin, index, refused, order } => {
                let body = ReportBody::OperationDone { origin, index, refused, order };
                self.tell_body((account, report_sequence), body, stamp);
            }
            Event::Transferred(ref moved) => {
                for (account, report_sequence, body) in both_sides(moved) {
                    self.tell_body((account, report_sequence), body, stamp);
                }
            }
            ref other => {
                if let Some((account, report_sequence, body)) = body_of(other) {
                    self.tell_body((account, report_sequence), body, stamp);
                }
            }
        }
    }

    /// In line: a body is large, and to move one that was just written waits for every write before.
    #[inline(always)]
    fn tell_body(&mut self, (account, report_sequence): (AccountId, u64), body: ReportBody<'_>, stamp: Stamp) {
        // Without a private count the account is not known: whoever stands there did not ask.
        if report_sequence == 0 {
            return;
        }
        if self.company == Company::Nobody {
            return self.private.count(account, report_sequence);
        }
        let report = AccountReport { account, report_sequence, stamp, body, position: Vec::new() };
        self.binary.tell(&report);
        let audience = audience(&self.subscriptions, account);
        let units = Units { markets: &self.markets, assets: &self.assets };
        self.private.tell(&report, audience, units, &mut self.outgoing);
    }

    /// Reports what happened to an order, which stands in the read model as this left it. In line: its arguments are fields
    /// that were just written and would be read again in larger pieces, which waits for every write before them.
    #[inline(always)]
    pub(super) fn tell_execution(&mut self, order: OrderId, execution: Execution, place: (u64, Stamp)) {
        let Some(record) = self.orders.record(order) else { return };
        let (report_sequence, stamp) = place;
        if self.company == Company::Nobody {
            return self.private.count(record.account, report_sequence);
        }
        let body = ReportBody::Order { order: Cow::Borrowed(record), execution };
        let account = record.account;
        let report = AccountReport { account, report_sequence, stamp, body, position: Vec::new() };
        self.binary.tell(&report);
        let audience = audience(&self.subscriptions, account);
        let units = Units { markets: &self.markets, assets: &self.assets };
        self.private.tell(&report, audience, units, &mut self.outgoing);
    }

    /// The command is through: one position report for each account whose balances changed and that listens, behind its
    /// other reports; the report log is told of all of them.
    pub(super) fn tell_positions(&mut self, stamp: Stamp) {
        self.private.settle_counts();
        self.outgoing.changed_balances.sort_unstable();
        self.outgoing.changed_balances.dedup();
        let mut changed = std::mem::take(&mut self.private.changed);
        changed.extend(self.outgoing.changed_balances.drain(..).map(|(account, asset)| {
            let balance = self.accounts.balance(account, asset);
            (account, AssetBalance { asset, balance })
        }));
        if let Some(sink) = &mut self.private.sink {
            sink.end_command(stamp, &changed);
        }
        for of_account in changed.chunk_by(|left, right| left.0 == right.0) {
            let account = of_account[0].0;
            if audience(&self.subscriptions, account) == Audience::Listening {
                let place = (self.private.last(account), stamp);
                let position = of_account.iter().map(|(_, balance)| balance);
                self.outgoing.report(account, |out| reports::account_position(position, &self.assets, place, out));
            }
        }
        changed.clear();
        self.private.changed = changed;
    }

    /// Keeps all private reports in a log from here on; those of commands that it has already are passed over.
    #[must_use]
    pub fn with_report_log(mut self, sink: ReportSink) -> Self {
        self.private.sink = Some(sink);
        self.binary.keep_members_only();
        self
    }

    /// Hands reports over that have waited long enough; at the end of all, whatever there is.
    pub fn hand_over_reports(&mut self, now: Timestamp) {
        if let Some(sink) = &mut self.private.sink
            && sink.due().is_some_and(|due| due <= now)
        {
            sink.hand_over();
        }
    }

    /// The start is over: nothing waits for the report log any more.
    pub(super) fn begin_live(&mut self) {
        self.private.sink.iter_mut().for_each(ReportSink::go_live);
    }

    /// When the publisher's thread has something to do again, if nothing comes before.
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        let reports = self.private.sink.as_ref().and_then(ReportSink::due);
        self.next_timeout().into_iter().chain(reports).min()
    }

    /// A client wants to be told again what it missed, and then everything.
    pub(super) fn resume(&mut self, wanted: PageRequest) {
        let PageRequest { account, from, subscription, .. } = wanted;
        let through = self.private.last(account);
        let Some(sink) = &mut self.private.sink else {
            return wanted.handle.answer(Err(refusal::unsupported_operation()));
        };
        if from > through {
            return wanted.handle.answer(Err(refusal::invalid_value("fromSeq")));
        }
        match self.subscriptions.subscribe_account(account, subscription, &wanted.handle.session) {
            Ok(()) => sink.ask(PageRequest { through, ..wanted }),
            Err(_) => wanted.handle.answer(Err(too_many_subscriptions())),
        }
    }

    /// The next part of what a client missed.
    pub(super) fn next_reports(&mut self, wanted: PageRequest) {
        match &mut self.private.sink {
            Some(sink) => sink.ask(wanted),
            None => wanted.handle.answer(Err(refusal::unsupported_operation())),
        }
    }
}

fn audience(subscriptions: &Subscriptions, account: AccountId) -> Audience {
    if subscriptions.has_account(account) { Audience::Listening } else { Audience::Nobody }
}

/// A report with whose it is and its count.
type Told = (AccountId, u64, ReportBody<'static>);

/// A transfer as the account that gives and the one that receives see it.
fn both_sides(moved: &Transferred) -> [Told; 2] {
    let &Transferred { from, to, asset, amount, from_report_sequence, to_report_sequence } = moved;
    let funds = |direction| ReportBody::Funds { asset, amount, direction };
    [(from, from_report_sequence, funds(FundsDirection::Out)), (to, to_report_sequence, funds(FundsDirection::In))]
}

/// Whose report an event is that is about no order and no operation of a frame, with its count; `None` for one that is
/// nobody's.
fn body_of(event: &Event) -> Option<Told> {
    let (account, report_sequence, body) = match *event {
        Event::Rejected(rejected) => (rejected.account, rejected.report_sequence, ReportBody::Rejected(rejected)),
        Event::CancelAllAccepted { account, market, report_sequence } => {
            (account, report_sequence, ReportBody::CancelAllAccepted { market })
        }
        Event::DepositCredited { account, asset, amount, report_sequence } => {
            (account, report_sequence, ReportBody::Funds { asset, amount, direction: FundsDirection::In })
        }
        Event::Withdrawn { account, asset, amount, report_sequence } => {
            (account, report_sequence, ReportBody::Funds { asset, amount, direction: FundsDirection::Out })
        }
        Event::ReplaceAnswered { account, report_sequence, market, cancel_refused, order_refused } => {
            (account, report_sequence, ReportBody::ReplaceAnswered { market, cancel_refused, order_refused })
        }
        Event::FrameAccepted { account, report_sequence, operations } => {
            (account, report_sequence, ReportBody::FrameAccepted { operations })
        }
        Event::QuoteSet(quote) => (quote.account, quote.report_sequence, ReportBody::QuoteSet(quote)),
        Event::CancelAllTimerSet { account, report_sequence, at } => {
            (account, report_sequence, ReportBody::CancelAllTimerSet { at })
        }
        _ => return None,
    };
    Some((account, report_sequence, body))
}

/// A trade as one of its two sides sees it.
pub(super) fn fill(trade: &Trade, role: TradeRole, quote: Atoms) -> Execution {
    let party: &TradeParty = match role {
        TradeRole::Maker => &trade.maker,
        TradeRole::Taker => &trade.taker,
    };
    let Trade { trade, price, quantity, .. } = *trade;
    Execution::Trade(Fill { trade, price, quantity, quote, fee: party.fee, role })
}
