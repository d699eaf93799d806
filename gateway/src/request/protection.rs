//! Requests that protect an account: the dead man's switch, what a disconnect does, self-trade groups, narrower keys.
//!
//! Their texts are short and could stand for something else as well, so each has to name its method in the signed text.

use lakh_engine::command::{DisconnectMode, KeyScope, Operation};
use lakh_engine::ids::AccountId;

use super::fields::integer;
use super::{Fields, Intent, refusal};
use crate::api_error::ApiError;
use crate::auth::parse_hex;
use crate::directory::Directory;
use crate::hand_over::AnswerShape;

/// The shortest time that the dead man's switch may be set to, in milliseconds.
const MIN_COUNTDOWN_MS: u64 = 1_000;
/// The longest: a day.
const MAX_COUNTDOWN_MS: u64 = 86_400_000;

/// `openOrders.cancelAllAfter`.
pub(super) fn cancel_all_after(fields: Fields<'_>) -> Result<Intent, ApiError> {
    fields.required("method")?;
    let timeout_ms = match integer("countdownTime", fields.required("countdownTime")?)? {
        countdown @ (0 | MIN_COUNTDOWN_MS..=MAX_COUNTDOWN_MS) => u32::try_from(countdown).expect("at most a day"),
        _ => return Err(refusal::invalid_value("countdownTime")),
    };
    let operation = Operation::CancelAllAfter { timeout_ms };
    Ok(Intent::operation(operation, fields.valid_until()?, AnswerShape::TimerSet))
}

/// `session.cancelOnDisconnect`.
pub(super) fn cancel_on_disconnect(fields: Fields<'_>) -> Result<Intent, ApiError> {
    fields.required("method")?;
    let mode = match fields.boolean("enabled")? {
        None => return Err(refusal::missing("enabled")),
        Some(true) => DisconnectMode::CancelAll,
        Some(false) => DisconnectMode::Keep,
    };
    Ok(Intent::operation(Operation::SetDisconnectMode { mode }, fields.valid_until()?, AnswerShape::Done))
}

/// `account.selfTradeGroup`.
pub(super) fn self_trade_group(fields: Fields<'_>) -> Result<Intent, ApiError> {
    fields.required("method")?;
    let operation = Operation::SetSelfTradeGroup { group: account("group", fields)? };
    Ok(Intent::operation(operation, fields.valid_until()?, AnswerShape::Done))
}

/// `account.inviteToSelfTradeGroup`.
pub(super) fn invite(fields: Fields<'_>) -> Result<Intent, ApiError> {
    fields.required("method")?;
    let operation = Operation::InviteToSelfTradeGroup { invited: account("account", fields)? };
    Ok(Intent::operation(operation, fields.valid_until()?, AnswerShape::Done))
}

/// `key.narrow`: the key with these bytes, in one market or in all, keeps the operations that are named.
pub(super) fn narrow_key(fields: Fields<'_>, owner: AccountId, directory: &Directory) -> Result<Intent, ApiError> {
    fields.required("method")?;
    let public_key =
        parse_hex(fields.required("publicKey")?).ok_or_else(|| refusal::illegal_characters("publicKey"))?;
    let key = directory.key(&public_key).filter(|key| key.account == owner);
    let key = key.ok_or_else(|| refusal::invalid_value("publicKey"))?.key;
    let mut operations = 0;
    for name in fields.required("operations")?.split(',') {
        operations |= match name {
            "PLACE" => KeyScope::PLACE,
            "AMEND" => KeyScope::AMEND,
            "CANCEL" => KeyScope::CANCEL,
            "ACCOUNT" => KeyScope::ACCOUNT,
            _ => return Err(refusal::invalid_value("operations")),
        };
    }
    let market = fields.optional_market(directory)?.map(|market| market.spec.market);
    let operation = Operation::NarrowKey { key, scope: KeyScope { operations, market, account: None } };
    Ok(Intent::operation(operation, fields.valid_until()?, AnswerShape::Done))
}

fn account(name: &str, fields: Fields<'_>) -> Result<AccountId, ApiError> {
    let number = integer(name, fields.required(name)?)?;
    number.try_into().map(AccountId).map_err(|_| refusal::invalid_value(name))
}
