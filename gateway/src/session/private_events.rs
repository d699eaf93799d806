//! Private events of a session: who subscribes, and what a client that lost its connection is told again.
//!
//! `userDataStream.resume` asks for everything behind the last event that the client saw. The publisher begins to tell it
//! at once and says up to which count the rest comes from the report log; that is asked for page by page, each when the
//! one before has been written to the socket, and what is told meanwhile is held back until it is its turn. So a client
//! sees each event once, in the order of its count, whatever it missed.
//! Bounds: one resume at a time, [`SessionOptions::held_reports`] events held back; more end the connection.

use std::collections::VecDeque;

use bytes::Bytes;
use lakh_engine::ids::AccountId;
use lakh_engine::units::Timestamp;

use super::api::{ApiSession, Next, Purpose};
use super::{Action, CloseReason, NOBODY, Standing, Submission, Work};
use crate::api_error::ApiError;
use crate::hand_over::{AnswerShape, PageAnswer, Read};
use crate::reports::AccountReport;
use crate::request::refusal::{self, OVERLOADED, TOO_MANY_REQUESTS};
use crate::request::{Fields, Method};
use crate::wire::json::response;
use crate::wire_encode::json::JsonWriter;
use crate::wire_encode::reports::{self, Units};

/// A subscription to private events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subscription {
    pub(super) number: u32,
    pub(super) authority: Authority,
}

/// On whose word private events are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Authority {
    /// Whoever is logged on; ends with it.
    Session,
    /// A signature of its own.
    Signature,
}

/// A subscription whose client is told what it missed.
#[derive(Debug)]
pub(super) struct Resuming {
    subscription: u32,
    authority: Authority,
    account: AccountId,
    /// The last count that the client has been told.
    from: u64,
    /// Up to which count the rest comes from the report log.
    through: u64,
    /// Events that came meanwhile.
    held: VecDeque<Bytes>,
    next_page: NextPage,
}

/// Whether the next page has been asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextPage {
    Asked,
    /// It was refused for now.
    ToAskAgain,
}

impl ApiSession {
    pub(super) fn subscribe_session(&mut self, fields: Fields<'_>, now: Timestamp) -> Result<Next, ApiError> {
        let public_key = self.authorized.as_ref().ok_or_else(refusal::not_permitted)?.public_key;
        let key = self.context.speaking_key(Method::UserDataStreamSubscribe, fields, &public_key, now)?;
        let subscription = self.new_subscription(Authority::Session)?;
        let read = Read::SubscribeAccount { account: key.account, subscription: subscription.number };
        let purpose = Purpose::Subscribe(subscription);
        Ok(Next::Submit { work: Work::Read(read), shape: AnswerShape::Empty, purpose })
    }

    pub(super) fn unsubscribe(&mut self, fields: Fields<'_>) -> Result<Next, ApiError> {
        let number = match fields.text("subscriptionId") {
            None => None,
            Some(text) => {
                let number = text.parse::<u32>().ok();
                let known = number.filter(|number| self.subscriptions.iter().any(|one| one.number == *number));
                Some(known.ok_or_else(|| refusal::invalid_value("subscriptionId"))?)
            }
        };
        self.subscriptions.retain(|one| number.is_some_and(|number| one.number != number));
        self.resuming.take_if(|resuming| number.is_none_or(|number| resuming.subscription == number));
        let read = Read::UnsubscribeAccount { subscription: number };
        Ok(Next::Submit { work: Work::Read(read), shape: AnswerShape::Empty, purpose: Purpose::Unsubscribe })
    }

    /// A number for one more subscription, which counts once the publisher has taken it on.
    pub(super) fn new_subscription(&mut self, authority: Authority) -> Result<Subscription, ApiError> {
        if self.subscriptions.len() >= self.context.options.subscriptions {
            return Err(refusal::too_many_subscriptions());
        }
        let number = self.next_subscription;
        self.next_subscription = self.next_subscription.wrapping_add(1);
        Ok(Subscription { number, authority })
    }

    pub(super) fn log_out(&mut self, actions: &mut Vec<Action>) {
        self.authorized = None;
        let ended: Vec<_> = self.subscriptions.extract_if(.., |one| one.authority == Authority::Session).collect();
        for subscription in ended {
            self.end_subscription(subscription.number, actions);
        }
        // One that has no answer yet is in no list.
        let resuming = self.resuming.as_ref().filter(|resuming| resuming.authority == Authority::Session);
        if let Some(number) = resuming.map(|resuming| resuming.subscription) {
            self.end_subscription(number, actions);
        }
    }

    /// `userDataStream.resume`: subscribes behind an event that the client has seen.
    pub(super) fn resume(
        &mut self,
        fields: Fields<'_>,
        account: AccountId,
        authority: Authority,
    ) -> Result<(Read, Purpose), ApiError> {
        fields.check_method(Method::UserDataStreamResume)?;
        let (from, position) = fields.resume_from()?;
        if self.resuming.is_some() {
            return Err(refusal::too_many_in_flight());
        }
        let subscription = self.new_subscription(authority)?;
        let (number, held, next_page) = (subscription.number, VecDeque::new(), NextPage::Asked);
        self.resuming =
            Some(Resuming { subscription: number, authority, account, from, through: from, held, next_page });
        let read = Read::ResumeAccount { account, subscription: number, from, position };
        Ok((read, Purpose::Resume(subscription)))
    }

    /// An event for a subscription: passed on, or held back behind what was missed.
    pub(super) fn pass_on(&mut self, subscription: u32, message: Bytes, actions: &mut Vec<Action>) {
        let Some(resuming) = self.resuming.as_mut().filter(|resuming| resuming.subscription == subscription) else {
            return actions.push(Action::Send(message));
        };
        if resuming.held.len() >= self.context.options.held_reports {
            actions.push(Action::Close(CloseReason::ResumeTooSlow));
        } else {
            resuming.held.push_back(message);
        }
    }

    /// A part of what was missed has come, or why it does not.
    pub(super) fn handle_page(&mut self, answer: PageAnswer, now: Timestamp, actions: &mut Vec<Action>) {
        let PageAnswer { request, subscription, through, page } = answer;
        let current = self.resuming.as_mut().filter(|resuming| resuming.subscription == subscription);
        let Some(resuming) = current else {
            return self.conclude(request, Err(refusal::subscription_inactive()), now, actions);
        };
        let page = match page {
            Ok(page) => page,
            Err(error) if request != NOBODY => return self.conclude(request, Err(error), now, actions),
            Err(error) if matches!(error.code, OVERLOADED | TOO_MANY_REQUESTS) => {
                resuming.next_page = NextPage::ToAskAgain;
                return;
            }
            Err(error) => return self.break_off(subscription, &error, now, actions),
        };
        let from = resuming.from;
        resuming.through = through;
        resuming.from = page.reports.last().map_or(from, |last| last.report_sequence.max(from));
        if request != NOBODY {
            self.conclude(request, Ok(resume_answer(subscription, through)), now, actions);
        }
        self.write_page(subscription, from, &page.reports, actions);
        if page.is_last {
            let held = self.resuming.take().map(|resuming| resuming.held).unwrap_or_default();
            actions.extend(held.into_iter().map(Action::Send));
        } else {
            self.ask_for_page(actions);
        }
    }

    /// Asks for the page that was refused before.
    pub(super) fn resume_again(&mut self, actions: &mut Vec<Action>) {
        if self.resuming.as_ref().is_some_and(|resuming| resuming.next_page == NextPage::ToAskAgain) {
            self.ask_for_page(actions);
        }
    }

    /// A request came to nothing: a resume among them has subscribed already.
    pub(super) fn give_up(&mut self, purpose: &Purpose, actions: &mut Vec<Action>) {
        if let Purpose::Resume(subscription) = purpose {
            self.end_subscription(subscription.number, actions);
        }
    }

    fn ask_for_page(&mut self, actions: &mut Vec<Action>) {
        let Some(resuming) = &mut self.resuming else { return };
        resuming.next_page = NextPage::Asked;
        let Resuming { subscription, account, from, through, .. } = *resuming;
        actions.push(nobodys(Read::ReportPage { account, subscription, from, through }));
    }

    /// Writes what a page holds. The report `from` itself is there for the position behind it.
    fn write_page(&self, subscription: u32, from: u64, page: &[AccountReport<'_>], actions: &mut Vec<Action>) {
        let directory = &self.context.directory;
        let (markets, assets) = (directory.markets(), directory.assets());
        let units = Units { markets: &markets, assets: &assets };
        let mut event = Vec::with_capacity(1_024);
        let mut send = |event: &mut Vec<u8>| {
            let mut message = Vec::with_capacity(event.len() + 40);
            reports::wrap_for_subscription(subscription, event, &mut message);
            actions.push(Action::Send(Bytes::from(message)));
            event.clear();
        };
        for report in page {
            if report.report_sequence > from {
                reports::report(report, units, &mut event);
                send(&mut event);
            }
            if !report.position.is_empty() {
                let place = (report.report_sequence, report.stamp);
                reports::account_position(report.position.iter(), &assets, place, &mut event);
                send(&mut event);
            }
        }
    }

    /// What was missed cannot be told any more: the client is told so, and the subscription ends.
    fn break_off(&mut self, subscription: u32, error: &ApiError, now: Timestamp, actions: &mut Vec<Action>) {
        let mut event = Vec::with_capacity(256);
        let mut json = JsonWriter::new(&mut event);
        json.begin_object().key("e").text("resumeEnded").key("E").number(now.milliseconds());
        json.key("error").raw(&response::error_body(error)).end_object();
        let mut message = Vec::with_capacity(event.len() + 40);
        reports::wrap_for_subscription(subscription, &event, &mut message);
        actions.push(Action::Send(Bytes::from(message)));
        self.subscriptions.retain(|one| one.number != subscription);
        self.end_subscription(subscription, actions);
    }

    fn end_subscription(&mut self, subscription: u32, actions: &mut Vec<Action>) {
        self.resuming.take_if(|resuming| resuming.subscription == subscription);
        actions.push(nobodys(Read::UnsubscribeAccount { subscription: Some(subscription) }));
    }
}

/// Work whose outcome no request waits for.
fn nobodys(read: Read) -> Action {
    let (shape, standing) = (AnswerShape::Empty, Standing::Good);
    Action::Submit(Submission { request: NOBODY, shape, work: Work::Read(read), standing })
}

fn resume_answer(subscription: u32, through: u64) -> Bytes {
    let mut out = Vec::with_capacity(64);
    let mut json = JsonWriter::new(&mut out);
    json.begin_object().key("subscriptionId").number(u64::from(subscription));
    json.key("throughSeq").number(through).end_object();
    Bytes::from(out)
}
