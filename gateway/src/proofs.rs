//! Questions whose answers are proofs: receipts of records, and balances in the last final batch.
//!
//! The publisher knows neither. It hands such a question over, in its turn, to whoever signs or hashes, over a bounded queue,
//! and never waits for them; they answer the session themselves. What a question is about is durable by then, because the
//! publisher takes reads in the ring's order.
//!
//! Bounds: [`QUEUE`] questions of each kind; questions of one account by a rate, over all of its connections; rates of at
//! most `ACCOUNTS` accounts. More is refused with -1008 or -1003.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::Bytes;
use lakh_engine::ids::{AccountId, Sequence};
use lakh_engine::units::Timestamp;

use crate::api_error::ApiError;
use crate::hand_over::RequestHandle;
use crate::limits::{Charge, Rate, TokenBucket};
use crate::request::refusal;

/// Questions of one kind that may wait.
pub const QUEUE: usize = 256;
/// Accounts whose rate is remembered at once; when there are more, all are forgotten.
const ACCOUNTS: usize = 65_536;
/// What an account may ask: a receipt can cost a look into the journal, and a proof has kilobytes for each asset.
const PER_ACCOUNT: Rate = Rate { per_second: 20, burst: 200 };

/// What is to be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// That the venue promised a record its place.
    Receipt(Sequence),
    /// What the account has in the last final batch.
    Balances,
}

/// A question that somebody else answers.
#[derive(Debug)]
pub struct ProofQuestion {
    /// Who asks.
    pub account: AccountId,
    /// What for.
    pub proof: Proof,
    handle: RequestHandle,
}

/// Why there is no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofRefusal {
    /// The record is not signed or not on stable storage yet.
    NotYet,
    /// There is no such record of this account's.
    NoRecord,
    /// There is no final batch yet, or its balances are not at hand.
    NoBatch,
    /// The venue failed at it.
    Failed,
}

impl ProofRefusal {
    fn error(self) -> ApiError {
        match self {
            Self::NotYet => refusal::receipt_not_yet(),
            Self::NoRecord => refusal::no_such_record(),
            Self::NoBatch => refusal::no_final_batch(),
            Self::Failed => refusal::internal(),
        }
    }
}

impl ProofQuestion {
    /// Answers with JSON, or says why not.
    pub fn answer(self, outcome: Result<String, ProofRefusal>) {
        self.handle.answer(outcome.map(Bytes::from).map_err(ProofRefusal::error));
    }

    /// Whether nobody waits for the answer any more.
    pub fn is_abandoned(&self) -> bool {
        self.handle.session.has_ended()
    }
}

/// The publisher's end.
#[derive(Debug)]
pub struct ProofDesk {
    receipts: Option<SyncSender<ProofQuestion>>,
    balances: Option<SyncSender<ProofQuestion>>,
    clock: fn() -> Timestamp,
    budgets: HashMap<AccountId, TokenBucket>,
}

impl ProofDesk {
    /// A desk that nobody sits behind.
    pub fn new(clock: fn() -> Timestamp) -> Self {
        Self { receipts: None, balances: None, clock, budgets: HashMap::new() }
    }

    /// Where questions for receipts come out.
    pub fn receipts(&mut self) -> Receiver<ProofQuestion> {
        let (sender, receiver) = sync_channel(QUEUE);
        self.receipts = Some(sender);
        receiver
    }

    /// Where questions for balances come out.
    pub fn balances(&mut self) -> Receiver<ProofQuestion> {
        let (sender, receiver) = sync_channel(QUEUE);
        self.balances = Some(sender);
        receiver
    }

    /// Hands a question over, or says at once why not.
    pub(crate) fn ask(&mut self, account: AccountId, proof: Proof, handle: &RequestHandle) {
        if let Err(error) = self.hand_over(account, proof, handle) {
            handle.answer(Err(error));
        }
    }

    fn hand_over(&mut self, account: AccountId, proof: Proof, handle: &RequestHandle) -> Result<(), ApiError> {
        let queue = match proof {
            Proof::Receipt(_) => &self.receipts,
            Proof::Balances => &self.balances,
        };
        let queue = queue.as_ref().ok_or_else(refusal::unsupported_operation)?;
        if self.budgets.len() >= ACCOUNTS && !self.budgets.contains_key(&account) {
            self.budgets.clear();
        }
        let budget = self.budgets.entry(account).or_insert_with(|| TokenBucket::new(PER_ACCOUNT));
        if budget.charge(1, (self.clock)()) == Charge::Refused {
            return Err(refusal::too_many_requests());
        }
        let question = ProofQuestion { account, proof, handle: handle.clone() };
        queue.try_send(question).map_err(|_| refusal::overloaded())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hand_over::{AnswerShape, SessionHandle, ToSession};

    fn clock() -> Timestamp {
        Timestamp(1_000_000_000)
    }

    fn code(message: Option<ToSession>) -> Result<Bytes, i32> {
        let Some(ToSession::Answer { outcome, .. }) = message else { panic!("an answer") };
        outcome.map_err(|error| error.code)
    }

    #[test]
    fn questions_are_handed_over_within_the_rate_and_answered_by_somebody_else() {
        let (session, mut outbox) = SessionHandle::new(8);
        let handle = RequestHandle { session, request: 5, shape: AnswerShape::Empty };
        let mut desk = ProofDesk::new(clock);
        let receipt = Proof::Receipt(Sequence(9));
        desk.ask(AccountId(1), receipt, &handle);
        assert_eq!(code(outbox.blocking_recv()), Err(-1020), "nobody signs here");
        let questions = desk.receipts();
        desk.ask(AccountId(1), receipt, &handle);
        let question = questions.try_recv().unwrap();
        assert_eq!((question.account, question.proof), (AccountId(1), receipt));
        question.answer(Ok("{}".to_owned()));
        assert_eq!(code(outbox.blocking_recv()), Ok(Bytes::from_static(b"{}")));
        for (refusal, expected) in [
            (ProofRefusal::NotYet, -2102),
            (ProofRefusal::NoRecord, -2103),
            (ProofRefusal::NoBatch, -2104),
            (ProofRefusal::Failed, -1000),
        ] {
            desk.ask(AccountId(1), receipt, &handle);
            questions.try_recv().unwrap().answer(Err(refusal));
            assert_eq!(code(outbox.blocking_recv()), Err(expected));
        }
        for _ in 5..PER_ACCOUNT.burst {
            desk.ask(AccountId(1), receipt, &handle);
            questions.try_recv().unwrap();
        }
        desk.ask(AccountId(1), receipt, &handle);
        assert_eq!(code(outbox.blocking_recv()), Err(-1003), "the account's rate");
        for account in 0..QUEUE {
            desk.ask(AccountId(2 + u32::try_from(account).unwrap()), receipt, &handle);
        }
        desk.ask(AccountId(u32::MAX), receipt, &handle);
        assert_eq!(code(outbox.blocking_recv()), Err(-1008), "the queue is full, and nobody waits for it");
    }
}
