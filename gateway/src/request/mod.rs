//! What a request asks, from its method and the raw text of its parameters alone.
//!
//! The audit builds each command a second time from the signed text in the journal, so nothing else may flow into it:
//! not the JSON type of a value, not the session, not the clock. The character set of every known parameter is checked
//! here, before any signature is. Unknown parameters are ignored.
//! Bounds: work is linear in the parameters, of which the parser lets [`MAX_PARAMETERS`] through.

mod fields;
mod history;
mod key;
mod method;
mod order;
mod protection;
mod read;
pub(crate) mod refusal;
mod sub_accounts;
mod terms;

use std::borrow::Cow;

use lakh_engine::command::{Command, EvidenceGrade, Operation, ReplayGuard, SignedCommand};
use lakh_engine::ids::AccountId;
use lakh_engine::units::Timestamp;

pub use self::fields::{Fields, Timing};
pub use self::history::parse_public;
pub use self::method::{Access, Method};
pub use self::read::exchange_info_symbols;
pub(crate) use self::sub_accounts::speaking;

use crate::api_error::ApiError;
use crate::directory::{Directory, KeyEntry};
use crate::hand_over::{AnswerShape, Proof, Read};

/// Most parameters that one request may have.
pub const MAX_PARAMETERS: usize = 32;

/// One parameter as it was sent, its value as raw text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// Its name, case-sensitive.
    pub name: Cow<'a, str>,
    /// Its value: a string without its quotes and escapes, a number or boolean as it is spelt, a list as JSON.
    pub value: Cow<'a, str>,
    /// What it was in the JSON. Decides only how it may have been spelt for signing.
    pub kind: ValueKind,
}

/// What a value was in the JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// A string, or text that never was JSON.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A list of scalars; cannot be signed.
    List,
}

/// What a request asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Something for the journal.
    Operation {
        /// What.
        operation: Operation,
        /// Refused once this time has come; 0 for no limit.
        valid_until: Timestamp,
        /// What its answer holds.
        shape: AnswerShape,
    },
    /// A question.
    Read(Read),
}

impl Intent {
    /// Builds what `method` with these parameters asks on behalf of `account`.
    ///
    /// # Errors
    /// The first parameter that is missing or not legal; -1020 for a method that asks nothing of the engine.
    pub fn build(
        method: Method,
        fields: Fields<'_>,
        account: AccountId,
        directory: &Directory,
    ) -> Result<Self, ApiError> {
        fields.check_method(method)?;
        match method {
            Method::OrderPlace => order::place(fields, directory),
            Method::OrderCancel => order::cancel(fields, directory),
            Method::OrderCancelReplace => order::replace(fields, directory),
            Method::OrderAmendKeepPriority => order::amend(fields, directory),
            Method::OpenOrdersCancelAll => order::cancel_all(fields, directory),
            Method::SessionLogon => Ok(Self::operation(Operation::Logon, Timestamp::ZERO, AnswerShape::Empty)),
            Method::KeyActivate => key::activate(fields, account),
            Method::KeyRevoke => key::revoke(fields),
            Method::KeyNarrow => protection::narrow_key(fields, account, directory),
            Method::KeyLimit => protection::limit_key(fields, account, directory),
            Method::OpenOrdersCancelAllAfter => protection::cancel_all_after(fields),
            Method::SessionCancelOnDisconnect => protection::cancel_on_disconnect(fields),
            Method::AccountAllowEvidence => protection::allow_evidence(fields, directory),
            Method::AccountSelfTradeGroup => protection::self_trade_group(fields),
            Method::AccountInviteToSelfTradeGroup => protection::invite(fields),
            Method::OrderStatus => read::order_status(fields, account, directory).map(Self::Read),
            Method::OpenOrdersStatus => read::open_orders(fields, account, directory).map(Self::Read),
            Method::AccountStatus => read::account_status(fields, account).map(Self::Read),
            Method::AllOrders => history::all_orders(fields, account, directory).map(Self::Read),
            Method::MyTrades => history::my_trades(fields, account, directory).map(Self::Read),
            Method::SubAccountCreate => sub_accounts::create(fields),
            Method::SubAccountTransfer => sub_accounts::transfer(fields, account, directory),
            Method::SubAccountList => Ok(Self::Read(sub_accounts::list(account))),
            Method::Receipt => read::receipt(fields, account).map(Self::Read),
            Method::AccountProof => Ok(Self::Read(Read::Proof { account, proof: Proof::Balances })),
            Method::AccountTradeFees => history::trade_fees(fields, account, directory).map(Self::Read),
            _ => Err(refusal::unsupported_operation()),
        }
    }

    const fn operation(operation: Operation, valid_until: Timestamp, shape: AnswerShape) -> Self {
        Self::Operation { operation, valid_until, shape }
    }
}

/// The command that `operation` becomes under a key.
pub fn command(
    key: &KeyEntry,
    grade: EvidenceGrade,
    replay_guard: ReplayGuard,
    (operation, valid_until): (Operation, Timestamp),
) -> Command {
    Command::Signed(SignedCommand { account: key.account, key: key.key, grade, replay_guard, valid_until, operation })
}
