//! Answers of a binary session, read by the reference client and held against the protocol's promises.
//!
//! The venue's messages have to be numbered without gaps (the reference client looks), the account's reports too. Every
//! report that changes what rests changes the own book, whoever caused it.

use lakh_engine::units::{Lots, Ticks};
use lakh_gateway::binary_client::{BinaryClientError, Incoming, Message};
use lakh_gateway::wire::sbe::encode::name_of;
use lakh_gateway::wire::sbe::enums::{ALL_MARKETS, ExecutionType, TradeRole, WireEnum};
use lakh_gateway::wire::sbe::market::MarketListRequest;
use lakh_gateway::wire::sbe::reports::{ExecutionReport, OperationResult, ReplaceResult};
use lakh_gateway::wire::sbe::{Block, Frame, put};

use crate::error::LoadtestError;
use crate::load::binary_requests::LOGON_NUMBER;
use crate::load::connection::Ledger;
use crate::load::plan::RequestKind;
use crate::load::seen::Seen;

/// Number of the first request behind the logon.
const FIRST_NUMBER: u64 = LOGON_NUMBER + 1;

/// See the module.
#[derive(Debug)]
pub(crate) struct BinaryAnswers {
    incoming: Incoming,
    /// The account's last report.
    account_sequence: u64,
    /// The order that was last seen to trade on arrival.
    last_taker: u64,
    /// Why a side of the quote that is being told of was refused.
    quote_refused: u16,
    pub(crate) barrier_refused: bool,
}

impl BinaryAnswers {
    /// Of a session that was opened behind the account's report `account_sequence`; `incoming` has read the logon's answer.
    pub(crate) const fn new(incoming: Incoming, account_sequence: u64) -> Self {
        Self { incoming, account_sequence, last_taker: 0, quote_refused: 0, barrier_refused: false }
    }

    /// A read behind everything, as message `number` behind the logon.
    pub(crate) fn barrier(number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let (sequence_number, market_id) = ((FIRST_NUMBER + number).into(), ALL_MARKETS.into());
        put(&mut bytes, &MarketListRequest { sequence_number, sending_time: 0.into(), market_id });
        bytes
    }

    /// Takes in what came; whether the barrier's answer was among it.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        ledger: &mut Ledger,
        seen: &mut Seen<'_>,
    ) -> Result<bool, LoadtestError> {
        self.incoming.feed(bytes);
        let mut barrier_answered = false;
        let unreadable = |error| LoadtestError::connection("binary session", error);
        // Apart, since what it reads stays in it; an error ends the connection.
        let mut incoming = std::mem::take(&mut self.incoming);
        while let Some(frame) = incoming.next_frame().map_err(unreadable)? {
            barrier_answered |= self.frame(&frame, ledger, seen)?;
        }
        self.incoming = incoming;
        Ok(barrier_answered)
    }

    /// What comes for each order is looked at where it lies.
    fn frame(&mut self, frame: &Frame<'_>, ledger: &mut Ledger, seen: &mut Seen<'_>) -> Result<bool, LoadtestError> {
        let unreadable = |code| LoadtestError::connection("binary session", BinaryClientError::Unreadable(code));
        match frame.template {
            ExecutionReport::TEMPLATE => {
                let report = frame.block::<ExecutionReport>().map_err(unreadable)?;
                self.follow(report.account_sequence.get(), seen);
                self.execution(report, ledger, seen);
                Ok(false)
            }
            OperationResult::TEMPLATE => {
                let result = frame.block::<OperationResult>().map_err(unreadable)?;
                self.follow(result.account_sequence.get(), seen);
                self.operation(result, ledger, seen);
                Ok(false)
            }
            _ => self.message(&Message::read(frame).map_err(unreadable)?, ledger, seen),
        }
    }

    fn message(&mut self, message: &Message, ledger: &mut Ledger, seen: &mut Seen<'_>) -> Result<bool, LoadtestError> {
        if let Some((account_sequence, _)) = message.report() {
            self.follow(account_sequence.get(), seen);
        }
        match message {
            Message::RequestRejected(refused) => {
                let code = i64::from(refused.code.get());
                conclude(refused.request_sequence.get(), Err(code), ledger, seen);
            }
            Message::BusinessReject(refused) => {
                let number = refused.request_sequence.get();
                if number >= FIRST_NUMBER + ledger.total() {
                    self.barrier_refused = true;
                } else {
                    conclude(number, Err(i64::from(refused.code.get())), ledger, seen);
                }
            }
            Message::ReplaceResult(result) => replaced(result, ledger, seen),
            Message::FrameAccepted(accepted) => match accepted.request_sequence.get().checked_sub(FIRST_NUMBER) {
                Some(index) => ledger.accept_frame(index, seen),
                None => seen.recorder.fault("a frame of nobody's was accepted".to_owned()),
            },
            Message::QuoteResult(result) => {
                self.quote_refused = result.bid_code.get().max(result.ask_code.get());
            }
            Message::MarketDefinition(definition) => return Ok(definition.following.get() == 0),
            Message::Logout(logout) => return Err(ended(logout.code.get())),
            Message::Reject(reject) => return Err(ended(reject.code.get())),
            _ => {}
        }
        Ok(false)
    }

    /// The account's reports are numbered without gaps.
    fn follow(&mut self, found: u64, seen: &mut Seen<'_>) {
        if found != self.account_sequence + 1 {
            let last = self.account_sequence;
            seen.recorder.fault(format!("report {found} of an account follows on {last}"));
        }
        self.account_sequence = found;
    }

    fn execution(&mut self, report: &ExecutionReport, ledger: &mut Ledger, seen: &mut Seen<'_>) {
        let (market, price) = (report.market_id.get(), Ticks(report.price.get()));
        let last = Lots(report.last_quantity.get());
        let number = report.request_sequence.get();
        let kind =
            number.checked_sub(FIRST_NUMBER).and_then(|index| ledger.expected(index)).map(|expected| expected.kind);
        // Parts of what was answered long ago may be gone; what was never sent cannot be.
        if number >= FIRST_NUMBER + ledger.released {
            seen.recorder.fault(format!("a report of request {}, which was not sent", number - FIRST_NUMBER));
        }
        let is_answer = match ExecutionType::from_wire(report.execution_type) {
            Ok(ExecutionType::New) => {
                seen.book.add(market, report.side, price, Lots(report.quantity.get()));
                use RequestKind::{Add, Cross, Maker, PostOnly, Take};
                matches!(kind, Some(Add | Cross | Take | PostOnly | Maker))
            }
            Ok(ExecutionType::Trade) => {
                seen.book.take(market, report.side, price, last);
                let is_taker = report.role == TradeRole::Taker.wire();
                if is_taker && self.last_taker != report.order_id.get() {
                    self.last_taker = report.order_id.get();
                    seen.recorder.fill();
                }
                false
            }
            Ok(ExecutionType::Canceled) => {
                seen.book.take(market, report.side, price, last);
                kind == Some(RequestKind::Cancel)
            }
            Ok(ExecutionType::Reduced) => {
                seen.book.take(market, report.side, price, last);
                kind == Some(RequestKind::Reduce)
            }
            _ => {
                seen.recorder
                    .fault(format!("a report of a kind that the load does not cause: {}", report.execution_type));
                false
            }
        };
        if is_answer {
            conclude(number, Ok(()), ledger, seen);
        }
    }

    fn operation(&mut self, result: &OperationResult, ledger: &mut Ledger, seen: &mut Seen<'_>) {
        let code = result.code.get().max(std::mem::take(&mut self.quote_refused));
        let outcome = if code == 0 { Ok(()) } else { Err(i64::from(code)) };
        match result.request_sequence.get().checked_sub(FIRST_NUMBER) {
            Some(index) => ledger.conclude_operation((index, result.index), outcome, seen),
            None => seen.recorder.fault("a result of nobody's operation".to_owned()),
        }
    }
}

/// How both halves went; in a frame the operation's result says so too.
fn replaced(result: &ReplaceResult, ledger: &mut Ledger, seen: &mut Seen<'_>) {
    let number = result.request_sequence.get();
    let kind = number.checked_sub(FIRST_NUMBER).and_then(|index| ledger.expected(index)).map(|expected| expected.kind);
    if kind == Some(RequestKind::Replace) {
        let code = result.cancel_code.get().max(result.order_code.get());
        conclude(number, if code == 0 { Ok(()) } else { Err(i64::from(code)) }, ledger, seen);
    }
}

fn conclude(number: u64, outcome: Result<(), i64>, ledger: &mut Ledger, seen: &mut Seen<'_>) {
    match number.checked_sub(FIRST_NUMBER) {
        Some(index) => drop(ledger.conclude(index, outcome, seen)),
        None => seen.recorder.fault(format!("an answer to message {number}, which is no request")),
    }
}

fn ended(code: u16) -> LoadtestError {
    LoadtestError::connection("binary session", format!("the venue ended it: {code} {}", name_of(code)))
}
