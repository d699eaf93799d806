//! Requests that concern the key itself: it says that it belongs to an account, or that it is over.
//!
//! Both need the signed text to name its method, so that no text signed for something else can be used for them; and an
//! activation names the account, so that nobody can have a stranger's key trade for an account that the key's owner never
//! agreed to. The venue stands in the api key, which is in the text.

use lakh_engine::command::Operation;
use lakh_engine::ids::AccountId;
use lakh_engine::units::Timestamp;

use super::{Fields, Intent, refusal};
use crate::api_error::ApiError;
use crate::hand_over::AnswerShape;

/// `key.activate`: the pending key signs that it trades for `account`.
pub(super) fn activate(fields: Fields<'_>, registered_for: AccountId) -> Result<Intent, ApiError> {
    fields.required("method")?;
    let named = fields.required("account")?;
    if named.parse() != Ok(registered_for.0) || named.starts_with(['+', '0']) {
        return Err(refusal::invalid_value("account"));
    }
    Ok(Intent::operation(Operation::ActivateKey, Timestamp::ZERO, AnswerShape::Empty))
}

/// `key.revoke`: the key ends itself.
pub(super) fn revoke(fields: Fields<'_>) -> Result<Intent, ApiError> {
    fields.required("method")?;
    Ok(Intent::operation(Operation::RevokeKey, fields.valid_until()?, AnswerShape::Empty))
}
