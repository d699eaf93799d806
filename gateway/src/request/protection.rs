//! Requests that protect an account: the dead man's switch, what a disconnect does, self-trade groups, narrower keys and their limits.
//!
//! Their texts are short and could stand for something else as well, so each has to name its method in the signed text.

use lakh_engine::command::{DisconnectMode, EvidenceAllowance, EvidenceGrade, KeyLimits, KeyScope, Operation};
use lakh_engine::ids::{AccountId, KeyId};
use lakh_engine::units::Atoms;

use super::fields::{amount, asset, instant, integer};
use super::sub_accounts::own_account;
use super::{Fields, Intent, refusal};
use crate::api_error::ApiError;
use crate::auth::parse_hex;
use crate::directory::Directory;
use crate::hand_over::AnswerShape;

/// The shortest time that the dead man's switch may be set to, in milliseconds.
const MIN_COUNTDOWN_MS: u64 = 1_000;
/// Decimals of a share of one: millionths.
const RATE_DECIMALS: u8 = 6;
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

/// `key.narrow`: the key with these bytes, in one market or in all and for one of the owner's accounts or for all, keeps the
/// operations that are named; with `NONE` it only reads.
pub(super) fn narrow_key(fields: Fields<'_>, owner: AccountId, directory: &Directory) -> Result<Intent, ApiError> {
    fields.required("method")?;
    let key = own_key(fields, owner, directory)?;
    let mut operations = 0;
    let named = fields.required("operations")?;
    for name in named.split(',') {
        operations |= match name {
            "PLACE" => KeyScope::PLACE,
            "AMEND" => KeyScope::AMEND,
            "CANCEL" => KeyScope::CANCEL,
            "ACCOUNT" => KeyScope::ACCOUNT,
            "NONE" if named == name => 0,
            _ => return Err(refusal::invalid_value("operations")),
        };
    }
    let market = fields.optional_market(directory)?.map(|market| market.spec.market);
    let account = own_account("onlyAccount", fields, owner, directory)?;
    let operation = Operation::NarrowKey { key, scope: KeyScope { operations, market, account } };
    Ok(Intent::operation(operation, fields.valid_until()?, AnswerShape::Done))
}

/// `key.limit`: how much the key with these bytes may trade in a day, counted in one quote asset, and how badly.
pub(super) fn limit_key(fields: Fields<'_>, owner: AccountId, directory: &Directory) -> Result<Intent, ApiError> {
    fields.required("method")?;
    let key = own_key(fields, owner, directory)?;
    let price_band = fields.text("priceBand").map(|text| amount("priceBand", text, RATE_DECIMALS)).transpose()?;
    let price_band = u32::try_from(price_band.unwrap_or(0)).map_err(|_| refusal::invalid_value("priceBand"))?;
    let limits = match fields.text("notionalPerDay") {
        None => {
            fields.refuse(&["asset"])?;
            KeyLimits { price_band, ..KeyLimits::NONE }
        }
        Some(text) => {
            let asset = asset("asset", fields.required("asset")?, directory)?;
            let notional_per_day = Atoms(amount("notionalPerDay", text, asset.decimals)?);
            KeyLimits { notional_per_day, quote: asset.asset, price_band }
        }
    };
    let operation = Operation::LimitKey { key, limits };
    Ok(Intent::operation(operation, fields.valid_until()?, AnswerShape::Done))
}

/// `account.allowEvidence`: until when and up to which sum unsigned requests of a session (`DELEGATED`), or those whose key
/// stands in a header, too (`HEADER_KEYED`), are taken for the owner's accounts; `SIGNED` takes it back.
pub(super) fn allow_evidence(fields: Fields<'_>, directory: &Directory) -> Result<Intent, ApiError> {
    fields.required("method")?;
    let allowance = match fields.required("evidence")? {
        "SIGNED" => {
            fields.refuse(&["until", "notional", "asset"])?;
            EvidenceAllowance::NONE
        }
        "HEADER_KEYED" => allowance(EvidenceGrade::HeaderKeyed, fields, directory)?,
        "DELEGATED" => allowance(EvidenceGrade::Delegated, fields, directory)?,
        _ => return Err(refusal::invalid_value("evidence")),
    };
    Ok(Intent::operation(Operation::AllowEvidence(allowance), fields.valid_until()?, AnswerShape::Done))
}

fn allowance(grade: EvidenceGrade, fields: Fields<'_>, directory: &Directory) -> Result<EvidenceAllowance, ApiError> {
    let until = instant("until", fields.required("until")?)?;
    let asset = asset("asset", fields.required("asset")?, directory)?;
    let notional = Atoms(amount("notional", fields.required("notional")?, asset.decimals)?);
    if notional.is_zero() {
        return Err(refusal::invalid_value("notional"));
    }
    Ok(EvidenceAllowance { grade, until, quote: asset.asset, notional })
}

/// The key of the account that `publicKey` names.
fn own_key(fields: Fields<'_>, owner: AccountId, directory: &Directory) -> Result<KeyId, ApiError> {
    let public_key =
        parse_hex(fields.required("publicKey")?).ok_or_else(|| refusal::illegal_characters("publicKey"))?;
    let key = directory.key(&public_key).filter(|key| key.account == owner);
    Ok(key.ok_or_else(|| refusal::invalid_value("publicKey"))?.key)
}

fn account(name: &str, fields: Fields<'_>) -> Result<AccountId, ApiError> {
    let number = integer(name, fields.required(name)?)?;
    number.try_into().map(AccountId).map_err(|_| refusal::invalid_value(name))
}
