//! Requests for and about an owner's sub-accounts: which account a request speaks for, and what opens, lists and fills them.
//!
//! A key belongs to its owner's account and speaks for the sub-accounts too; `subAccount` in the signed text says for which.
//! Which accounts are an owner's never changes once it is so: the audit finds the same account in the same text.

use lakh_engine::command::{Operation, Transfer};
use lakh_engine::ids::AccountId;
use lakh_engine::units::Atoms;

use super::fields::{amount, asset, integer};
use super::{Fields, Intent, Method, refusal};
use crate::api_error::ApiError;
use crate::directory::{Directory, KeyEntry};
use crate::hand_over::{AnswerShape, Read};

/// The parameter that names the account that a request is for.
const SUB_ACCOUNT: &str = "subAccount";
/// The parameter that names the account that gets money.
const TO_SUB_ACCOUNT: &str = "toSubAccount";

/// The key as it speaks in this request: for its owner's account, or for the sub-account that is named.
///
/// # Errors
/// -1106 for what only the owner's account can be asked for, -1130 for an account that is none of this owner's.
pub(crate) fn speaking(
    method: Method,
    fields: Fields<'_>,
    key: KeyEntry,
    directory: &Directory,
) -> Result<KeyEntry, ApiError> {
    if method.is_the_owners() {
        fields.refuse(&[SUB_ACCOUNT])?;
    }
    let account = named(SUB_ACCOUNT, fields, key.account, directory)?;
    Ok(KeyEntry { account, ..key })
}

/// The owner's account, or the sub-account of his that `name` holds.
fn named(name: &str, fields: Fields<'_>, owner: AccountId, directory: &Directory) -> Result<AccountId, ApiError> {
    let Some(text) = fields.text(name) else { return Ok(owner) };
    let number = integer(name, text)?;
    let account = u32::try_from(number).map(AccountId).ok();
    let own = account.filter(|account| directory.owner_of(*account) == Some(owner));
    own.ok_or_else(|| refusal::invalid_value(name))
}

/// The account that `name` must hold: the owner's own or a sub-account of his.
pub(super) fn own_account(
    name: &str,
    fields: Fields<'_>,
    owner: AccountId,
    directory: &Directory,
) -> Result<Option<AccountId>, ApiError> {
    match fields.text(name) {
        None => Ok(None),
        Some(text) if integer(name, text)? == u64::from(owner.0) => Ok(Some(owner)),
        Some(_) => named(name, fields, owner, directory).map(Some),
    }
}

/// `subAccount.create`.
pub(super) fn create(fields: Fields<'_>) -> Result<Intent, ApiError> {
    fields.required("method")?;
    Ok(Intent::operation(Operation::OpenSubAccount, fields.valid_until()?, AnswerShape::SubAccountOpened))
}

/// `subAccount.transfer`: from `subAccount` to `toSubAccount`; who is not named is the owner's own account.
pub(super) fn transfer(fields: Fields<'_>, from: AccountId, directory: &Directory) -> Result<Intent, ApiError> {
    fields.required("method")?;
    let owner = directory.owner_of(from).unwrap_or(from);
    let to = named(TO_SUB_ACCOUNT, fields, owner, directory)?;
    if to == from {
        return Err(refusal::missing_either(SUB_ACCOUNT, TO_SUB_ACCOUNT));
    }
    let asset = asset("asset", fields.required("asset")?, directory)?;
    let amount = Atoms(amount("amount", fields.required("amount")?, asset.decimals)?);
    if amount.is_zero() {
        return Err(refusal::invalid_value("amount"));
    }
    let operation = Operation::Transfer(Transfer { to, asset: asset.asset, amount });
    Ok(Intent::operation(operation, fields.valid_until()?, AnswerShape::Done))
}

/// `subAccount.list`.
pub(super) fn list(owner: AccountId) -> Read {
    Read::SubAccounts { owner }
}
