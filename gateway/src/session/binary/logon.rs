//! The first message of a session: who it is, what is wanted, and since when.

use lakh_engine::units::Timestamp;

use super::{BinaryActions, BinarySession, Member, Phase};
use crate::auth::evidence::{Evidence, SignedBody, command_of_logon};
use crate::auth::native::{LOGON_WINDOW_MS, LogonText, tag_text};
use crate::directory::KeyStatus;
use crate::hand_over::{AnswerShape, PageAnswer, Read};
use crate::request::refusal::OVERLOADED;
use crate::session::{NativeWork, SignedBytes, Standing, Submission, Work};
use crate::wire::sbe::enums::{Code, DisconnectChoice, SessionRole, WireEnum};
use crate::wire::sbe::session::{Logon as LogonBlock, LogonAccepted};
use crate::wire::sbe::{Frame, encode, put, unpadded};

/// How far a client's clock may be ahead, in nanoseconds.
const MAX_AHEAD_NS: u64 = 1_000_000_000;
/// The shortest and the longest heartbeat interval, in milliseconds.
const HEARTBEAT_MS: std::ops::RangeInclusive<u32> = 500..=60_000;
/// In place of a report's number: none is missed.
const FROM_NOW_ON: u64 = u64::MAX;

/// A logon that is being looked at.
#[derive(Debug)]
pub(super) struct Logon {
    member: Member,
    resume_from: Option<u64>,
    heartbeat_ms: u32,
    choice: DisconnectChoice,
}

/// A logon that holds, while the account's stream is opened.
#[derive(Debug)]
pub(super) struct Opening {
    member: Member,
    accepted: LogonAccepted,
    /// The last report that was told again, once one was.
    told: Option<u64>,
}

impl BinarySession {
    /// Looks at a logon and has its signature verified.
    pub(super) fn log_on(
        &mut self,
        frame: &Frame<'_>,
        now: Timestamp,
        actions: &mut BinaryActions,
    ) -> Result<(), Code> {
        let block = frame.request::<LogonBlock>()?;
        let text = self.checked_text(block, now)?;
        let heartbeat_ms = block.heartbeat_interval.get();
        if !HEARTBEAT_MS.contains(&heartbeat_ms) {
            return Err(Code::BadHeartbeatInterval);
        }
        let role = SessionRole::from_wire(block.role)?;
        let key = self.context.directory.key(&block.public_key).filter(|key| {
            let expired = !key.expires_at.is_zero() && key.expires_at <= now;
            key.status == KeyStatus::Live && !expired
        });
        let key = key.ok_or(Code::UnknownKey)?;
        let (encoded, choice) = (text.encode(), text.choice);
        let command = command_of_logon(&text, &encoded, &key);
        let signed = SignedBody { body: &encoded, public_key: &block.public_key, signature: &block.signature };
        let evidence = Evidence::BinaryLogon(signed).encode().ok_or(Code::BadText)?;
        let member = Member { public_key: block.public_key, key, role };
        let resume_from = Some(block.resume_from_sequence.get()).filter(|from| *from != FROM_NOW_ON);
        self.phase = Phase::LoggingOn(Box::new(Logon { member, resume_from, heartbeat_ms, choice }));
        let work = Work::Native(NativeWork {
            public_key: block.public_key,
            signature: block.signature,
            signed: SignedBytes::Text(encoded),
            command,
            evidence,
        });
        let shape = AnswerShape::BinarySession;
        self.submit(Submission { request: 1, shape, work, standing: Standing::Unproven }, actions);
        Ok(())
    }

    /// The text that the logon's signature covers.
    fn checked_text<'b>(&self, block: &'b LogonBlock, now: Timestamp) -> Result<LogonText<'b>, Code> {
        let sender = unpadded(&block.sender_comp_id)?;
        if sender.is_empty() || !sender.iter().all(|byte| (0x20..0x7f).contains(byte)) {
            return Err(Code::BadText);
        }
        if block.target_comp_id != tag_text(self.context.directory.venue_tag()) {
            return Err(Code::WrongVenue);
        }
        // The engine sees whole milliseconds, as they are signed.
        let sending_time = Timestamp(block.sending_time.get() / 1_000_000 * 1_000_000);
        let late = now.0.saturating_sub(sending_time.0) > u64::from(LOGON_WINDOW_MS) * 1_000_000;
        let ahead = sending_time.0 >= now.0.saturating_add(MAX_AHEAD_NS);
        if late || ahead || sending_time.milliseconds() < self.context.started_at.milliseconds() {
            return Err(Code::SendingTimeOutsideWindow);
        }
        let choice = DisconnectChoice::from_wire(block.disconnect_mode)?;
        let sequence_number = block.sequence_number.get();
        Ok(LogonText { sender, target: &block.target_comp_id, sequence_number, sending_time, choice })
    }

    /// Goes on with the logon once its last step is done, or ends it.
    pub(super) fn settle(&mut self, outcome: Result<(), u16>, now: Timestamp, actions: &mut BinaryActions) {
        if let Err(code) = outcome {
            let used_or_wrong = [Code::BadSignature.number(), Code::NonceUsed.number()].contains(&code);
            return self.log_out(if used_or_wrong { Code::LogonRefused.number() } else { code }, actions);
        }
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::LoggingOn(logon) => self.open(*logon, now, actions),
            Phase::Opening(opening) => {
                let member = opening.member;
                if member.role == SessionRole::Trading {
                    // Every session that trades counts: the orders go with the last of them.
                    self.place = Some(self.context.presence.enter(member.key.account));
                }
                (self.heard_at, self.phase) = (now, Phase::Open(member));
            }
            other => self.phase = other,
        }
    }

    /// The logon holds: has the publisher open the account's stream, or begins at once without one.
    fn open(&mut self, logon: Logon, now: Timestamp, actions: &mut BinaryActions) {
        let Logon { member, resume_from, heartbeat_ms, choice } = logon;
        if choice == DisconnectChoice::Keep {
            self.context.presence.forget(member.key.account);
        }
        self.heartbeat_ns = u64::from(heartbeat_ms) * 1_000_000;
        let (chain_id, contract) = self.context.directory.signing_domain().parts();
        let accepted = LogonAccepted {
            sequence_number: 0.into(),
            sending_time: 0.into(),
            account_id: member.key.account.0.into(),
            key_id: member.key.key.0.into(),
            last_account_sequence: 0.into(),
            resumed_from: 0.into(),
            heartbeat_interval: heartbeat_ms.into(),
            chain_id: chain_id.into(),
            contract,
            max_in_flight: u32::try_from(self.context.options.in_flight).unwrap_or(u32::MAX).into(),
            role: member.role.wire(),
        };
        if member.role == SessionRole::MarketData {
            put(&mut actions.frames, &accepted);
            (self.heard_at, self.phase) = (now, Phase::Open(member));
            return;
        }
        self.phase = Phase::Opening(Box::new(Opening { member, accepted, told: None }));
        self.ask_for_reports(member, (resume_from, Some(Box::new(accepted))), actions);
    }

    fn ask_for_reports(
        &mut self,
        member: Member,
        (resume_from, accepted): (Option<u64>, Option<Box<LogonAccepted>>),
        actions: &mut BinaryActions,
    ) {
        let work = Work::Read(Read::OpenReports { account: member.key.account, resume_from, accepted });
        let shape = AnswerShape::BinarySession;
        self.submit(Submission { request: 1, shape, work, standing: Standing::Good }, actions);
    }

    /// Passes on reports from the log on disk, and asks for what is behind them.
    pub(super) fn take_page(&mut self, answer: PageAnswer, actions: &mut BinaryActions) {
        let Phase::Opening(opening) = &mut self.phase else { return };
        let page = match answer.page {
            Ok(page) => page,
            Err(error) => {
                let overloaded = error.status == 429 || error.code == OVERLOADED;
                let code = if overloaded { Code::Overloaded } else { Code::ResumeTooOld };
                return self.log_out(code.number(), actions);
            }
        };
        let (Some(first), Some(last)) = (page.reports.first(), page.reports.last()) else {
            return self.log_out(Code::ResumeTooOld.number(), actions);
        };
        let (from, last) = (first.report_sequence - 1, last.report_sequence);
        if opening.told.is_none() {
            let (last_account_sequence, resumed_from) = (answer.through.into(), from.into());
            put(&mut actions.frames, &LogonAccepted { last_account_sequence, resumed_from, ..opening.accepted });
        } else if opening.told != Some(from) {
            return self.log_out(Code::ResumeTooOld.number(), actions);
        }
        opening.told = Some(last);
        let member = opening.member;
        page.reports.iter().for_each(|report| encode::report(report, &mut actions.frames));
        self.ask_for_reports(member, (Some(last), None), actions);
    }
}
