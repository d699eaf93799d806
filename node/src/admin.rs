//! What an operator signs: one line of text that says who, what and why, and the command that it stands for.
//!
//! The text is `name=value` joined by `&`, as it was signed; the same parser serves the live node and the audit, so a
//! journaled decision can always be held against its signature. Values are bounded and checked before use.

use anyhow::{Context as _, Result, bail, ensure};
use lakh_engine::command::{AdminAction, AdminAuthority, AdminCommand, EvidenceGrade, MarketState, RegisterKey};
use lakh_engine::ids::{AccountId, FeeTier, KeyId, Reason, Sequence};
use lakh_engine::market_spec::{FeeRates, FeeTable};
use lakh_engine::units::{FeeRate, Timestamp};
use lakh_gateway::directory::Directory;

use crate::keys::{hex, unhex};

/// The longest text that an operator may sign.
pub(crate) const MAX_TEXT_BYTES: usize = 1_024;

/// A role and its next nonce, as they stand in a signed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RoleNonce {
    pub(crate) role: u8,
    pub(crate) nonce: u64,
}

/// The text that operators sign: venue, role and nonce, those of a second role where there is one, then the action's own
/// parameters and the reason. Two operators sign the same text.
pub(crate) fn text(venue_tag: [u8; 16], roles: &[RoleNonce], action: &[(String, String)], reason: &str) -> String {
    let mut text = format!("venue={}", hex(&venue_tag));
    for (RoleNonce { role, nonce }, suffix) in roles.iter().zip(["", "2"]) {
        text.push_str(&format!("&role{suffix}={role}&nonce{suffix}={nonce}"));
    }
    for (name, value) in action {
        text.push_str(&format!("&{name}={value}"));
    }
    text.push_str(&format!("&reason={reason}"));
    text
}

/// The command that a signed text stands for.
///
/// # Errors
/// When the text is for another venue, names what is not known, or repeats or lacks a parameter.
pub(crate) fn parse(text: &str, directory: &Directory) -> Result<AdminCommand> {
    ensure!(text.len() <= MAX_TEXT_BYTES, "an operator's text is at most {MAX_TEXT_BYTES} bytes");
    let parameters = Parameters::split(text)?;
    ensure!(parameters.text("venue")? == hex(&directory.venue_tag()), "the text is signed for another venue");
    let (role, nonce) = (parameters.number("role")?, parameters.number("nonce")?);
    let authority = match parameters.optional("role2") {
        None => AdminAuthority::Role { role, nonce },
        Some(_) => {
            let (second_role, second_nonce) = (parameters.number("role2")?, parameters.number("nonce2")?);
            AdminAuthority::TwoRoles { role, nonce, second_role, second_nonce }
        }
    };
    let reason = Reason::new(parameters.text("reason")?).context("the reason is at most 96 printable characters")?;
    ensure!(!reason.is_empty(), "a reason is needed");
    let action = parse_action(&parameters, directory)?;
    Ok(AdminCommand { authority, action, reason })
}

fn parse_action(parameters: &Parameters<'_>, directory: &Directory) -> Result<AdminAction> {
    let market = || -> Result<_> {
        let symbol = parameters.text("market")?;
        Ok(directory.market_by_symbol(symbol).with_context(|| format!("there is no market {symbol}"))?.spec.market)
    };
    Ok(match parameters.text("action")? {
        "market-state" => AdminAction::SetMarketState { market: market()?, state: state(parameters.text("state")?)? },
        "fees" => AdminAction::SetFees { market: market()?, fees: fee_table(parameters)? },
        "register-key" => AdminAction::RegisterKey(RegisterKey {
            account: AccountId(parameters.number("account")?),
            public_key: unhex(parameters.text("publicKey")?).context("publicKey is 64 hexadecimal digits")?,
            epoch: parameters.number("epoch")?,
            expires_at: Timestamp::from_milliseconds(parameters.number("expires")?).context("expires is too large")?,
            digest_capacity: parameters.number("digests")?,
        }),
        "fee-tier" => AdminAction::SetFeeTier {
            account: AccountId(parameters.number("account")?),
            tier: FeeTier(parameters.number("tier")?),
        },
        "quarantine" => AdminAction::Quarantine { sequence: Sequence(parameters.number("sequence")?) },
        "revoke-key" => AdminAction::RevokeKey { key: KeyId(parameters.number("key")?) },
        "account-policy" => AdminAction::SetAccountPolicy {
            account: AccountId(parameters.number("account")?),
            minimum_grade: grade(parameters.text("evidence")?)?,
        },
        other => bail!("there is no action {other}"),
    })
}

/// Tier 0's fees as `maker` and `taker`; those of the tiers behind it as `tiers=maker:taker,maker:taker`. A tier that is not
/// named has tier 0's.
fn fee_table(parameters: &Parameters<'_>) -> Result<FeeTable> {
    let mut table = FeeTable::flat(FeeRate(parameters.number("maker")?), FeeRate(parameters.number("taker")?));
    let Some(tiers) = parameters.optional("tiers") else { return Ok(table) };
    for (index, tier) in tiers.split(',').enumerate() {
        let (maker, taker) = tier.split_once(':').with_context(|| format!("{tier:?} is not maker:taker"))?;
        let rate = |text: &str| text.parse().map(FeeRate).with_context(|| format!("{text:?} is no rate in millionths"));
        let rates = table.rates.get_mut(index + 1);
        let rates = rates.with_context(|| format!("there are {} tiers beside tier 0", FeeTable::TIERS - 1))?;
        *rates = FeeRates { maker: rate(maker)?, taker: rate(taker)? };
    }
    Ok(table)
}

fn state(name: &str) -> Result<MarketState> {
    Ok(match name {
        "pre-open" => MarketState::PreOpen,
        "post-only" => MarketState::PostOnly,
        "open" => MarketState::Open,
        "cancel-only" => MarketState::CancelOnly,
        "halt" => MarketState::Halt,
        other => bail!("there is no market state {other}"),
    })
}

fn grade(name: &str) -> Result<EvidenceGrade> {
    Ok(match name {
        "delegated" => EvidenceGrade::Delegated,
        "header-keyed" => EvidenceGrade::HeaderKeyed,
        "signed" => EvidenceGrade::Signed,
        "native" => EvidenceGrade::Native,
        other => bail!("there is no evidence grade {other}"),
    })
}

/// The text's parameters, each named once.
struct Parameters<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Parameters<'a> {
    fn split(text: &'a str) -> Result<Self> {
        let mut parameters: Vec<(&str, &str)> = Vec::new();
        for part in text.split('&') {
            let (name, value) = part.split_once('=').with_context(|| format!("{part:?} is not name=value"))?;
            ensure!(!value.contains('='), "{name} holds another '='");
            ensure!(parameters.iter().all(|(known, _)| *known != name), "{name} is there twice");
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    fn text(&self, name: &str) -> Result<&'a str> {
        self.optional(name).with_context(|| format!("{name} is missing"))
    }

    fn optional(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn number<T: core::str::FromStr>(&self, name: &str) -> Result<T> {
        let text = self.text(name)?;
        text.parse().ok().with_context(|| format!("{name}={text} is not a number in range"))
    }
}

#[cfg(test)]
mod tests {
    use lakh_engine::command::Mode;

    use super::*;

    #[test]
    fn reads_what_it_writes_and_refuses_the_rest() {
        let directory = Directory::new([7; 16], Mode::Dev);
        let action = [("action".to_owned(), "revoke-key".to_owned()), ("key".to_owned(), "3".to_owned())];
        let roles = [RoleNonce { role: 1, nonce: 9 }];
        let good = text([7; 16], &roles, &action, "lost laptop");
        let command = parse(&good, &directory).unwrap();
        assert_eq!(command.authority, AdminAuthority::Role { role: 1, nonce: 9 });
        assert_eq!(command.action, AdminAction::RevokeKey { key: KeyId(3) });
        assert_eq!(command.reason.as_str(), "lost laptop");
        let two = text([7; 16], &[roles[0], RoleNonce { role: 2, nonce: 4 }], &action, "both");
        let authority = AdminAuthority::TwoRoles { role: 1, nonce: 9, second_role: 2, second_nonce: 4 };
        assert_eq!(parse(&two, &directory).unwrap().authority, authority);
        for (bad, why) in [
            (text([8; 16], &roles, &action, "x"), "another venue"),
            (text([7; 16], &[roles[0], roles[0]], &action, "x").replace("&nonce2=9", ""), "nonce2 is missing"),
            (good.replace("reason=lost laptop", "reason="), "a reason is needed"),
            (good.replace("&key=3", ""), "key is missing"),
            (good.replace("&key=3", "&key=3&key=4"), "there twice"),
            (good.replace("key=3", "key=-1"), "not a number in range"),
            (good.replace("revoke-key", "print-money"), "no action"),
        ] {
            let error = parse(&bad, &directory).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
