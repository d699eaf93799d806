//! What an operator signs: one line of text that says who, what and why, and the command that it stands for.
//!
//! The text is `name=value` joined by `&`, as it was signed; the same parser serves the live node and the audit, so a
//! journaled decision can always be held against its signature. Values are bounded and checked before use.

use anyhow::{Context as _, Result, bail, ensure};
use lakh_engine::command::{
    AccountBlock, AdminAction, AdminAuthority, AdminCommand, EvidenceGrade, MarketState, RegisterKey, RestartMode,
};
use lakh_engine::ids::{AccountId, AssetId, FeeTier, KeyId, MarketId, Reason, Sequence, Symbol};
use lakh_engine::market_spec::{AssetSpec, FeeRates, FeeTable, MarketSpec, tick_lot_value};
use lakh_engine::units::{Atoms, FeeRate, Lots, Ticks, Timestamp};
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
        "price-band" => AdminAction::SetPriceBand { market: market()?, band: parameters.number("band")? },
        "restart-mode" => {
            AdminAction::SetRestartMode { market: market()?, mode: restart_mode(parameters.text("mode")?)? }
        }
        "block-account" => AdminAction::BlockAccount {
            account: AccountId(parameters.number("account")?),
            block: block(parameters.text("block")?)?,
        },
        "list-asset" => AdminAction::ListAsset(asset(parameters, directory)?),
        "list-market" => AdminAction::ListMarket(market_spec(parameters, directory)?),
        other => bail!("there is no action {other}"),
    })
}

/// A new asset; its number is the next one.
fn asset(parameters: &Parameters<'_>, directory: &Directory) -> Result<AssetSpec> {
    let asset = u16::try_from(directory.assets().len()).context("there are as many assets as there may be")?;
    Ok(AssetSpec {
        asset: AssetId(asset),
        symbol: symbol(parameters)?,
        decimals: parameters.number("decimals")?,
        chain_units_per_atom: parameters.number("chainUnitsPerAtom")?,
    })
}

/// A new market in whole ticks, lots and atoms; its number is the next one. Whether it can be is the engine's to say.
fn market_spec(parameters: &Parameters<'_>, directory: &Directory) -> Result<MarketSpec> {
    let market = u16::try_from(directory.markets().len()).context("there are as many markets as there may be")?;
    let assets = directory.assets();
    let named = |name: &str| -> Result<AssetSpec> {
        let symbol = parameters.text(name)?;
        let asset = assets.iter().find(|asset| asset.symbol.as_str() == symbol);
        asset.copied().with_context(|| format!("there is no asset {symbol}"))
    };
    let (base, quote) = (named("base")?, named("quote")?);
    let (tick_size_e8, base_atoms_per_lot) = (parameters.number("tickSizeE8")?, parameters.number("lotAtoms")?);
    let quote_atoms_per_tick_lot = tick_lot_value(tick_size_e8, base_atoms_per_lot, &base, &quote);
    Ok(MarketSpec {
        market: MarketId(market),
        symbol: symbol(parameters)?,
        base: base.asset,
        quote: quote.asset,
        tick_size_e8,
        base_atoms_per_lot,
        quote_atoms_per_tick_lot: quote_atoms_per_tick_lot.context("a lot at one tick is no whole number of atoms")?,
        max_price: Ticks(parameters.number("maxPriceTicks")?),
        min_quantity: Lots(parameters.number("minQuantityLots")?),
        max_quantity: Lots(parameters.number("maxQuantityLots")?),
        min_notional: Atoms(parameters.number("minNotionalAtoms")?),
        market_order_band: parameters.number("marketOrderBand")?,
        maker_fee: FeeRate(parameters.number("makerFee")?),
        taker_fee: FeeRate(parameters.number("takerFee")?),
        max_orders: parameters.number("maxOrders")?,
        max_levels: parameters.number("maxLevels")?,
    })
}

/// The parameters that [`market_spec`] reads, for the one who signs.
pub(crate) fn market_parameters(spec: &MarketSpec, assets: &[AssetSpec]) -> Vec<(String, String)> {
    let symbol = |asset: AssetId| assets[usize::from(asset.0)].symbol.to_string();
    [
        ("action", "list-market".to_owned()),
        ("symbol", spec.symbol.to_string()),
        ("base", symbol(spec.base)),
        ("quote", symbol(spec.quote)),
        ("tickSizeE8", spec.tick_size_e8.to_string()),
        ("lotAtoms", spec.base_atoms_per_lot.to_string()),
        ("maxPriceTicks", spec.max_price.0.to_string()),
        ("minQuantityLots", spec.min_quantity.0.to_string()),
        ("maxQuantityLots", spec.max_quantity.0.to_string()),
        ("minNotionalAtoms", spec.min_notional.0.to_string()),
        ("marketOrderBand", spec.market_order_band.to_string()),
        ("makerFee", spec.maker_fee.0.to_string()),
        ("takerFee", spec.taker_fee.0.to_string()),
        ("maxOrders", spec.max_orders.to_string()),
        ("maxLevels", spec.max_levels.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// Names become parts of signed texts, stream names and addresses: capital letters and digits only.
fn symbol(parameters: &Parameters<'_>) -> Result<Symbol> {
    let text = parameters.text("symbol")?;
    let plain = text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let symbol = Symbol::new(text).filter(|_| plain && !text.is_empty());
    symbol.with_context(|| format!("{text:?} is not 1 to 16 capital letters and digits"))
}

fn restart_mode(name: &str) -> Result<RestartMode> {
    Ok(match name {
        "stay" => RestartMode::Stay,
        "guarded" => RestartMode::Guarded,
        other => bail!("there is no restart mode {other}"),
    })
}

fn block(name: &str) -> Result<AccountBlock> {
    Ok(match name {
        "none" => AccountBlock::None,
        "blocked" => AccountBlock::Blocked,
        other => bail!("an account is blocked or none, not {other}"),
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
    use lakh_engine::event::Event;

    use super::*;

    /// BTC, USDT and what may be traded of them.
    fn directory() -> (Directory, MarketSpec) {
        let directory = Directory::new([7; 16], Mode::Dev);
        for (number, symbol) in [(0, "BTC"), (1, "USDT")] {
            let (asset, symbol) = (AssetId(number), Symbol::new(symbol).unwrap());
            directory.apply(&Event::AssetListed(AssetSpec { asset, symbol, decimals: 8, chain_units_per_atom: 1 }));
        }
        let spec = MarketSpec {
            market: MarketId(0),
            symbol: Symbol::new("BTCUSDT").unwrap(),
            base: AssetId(0),
            quote: AssetId(1),
            tick_size_e8: 1_000_000,
            base_atoms_per_lot: 1_000,
            quote_atoms_per_tick_lot: 10,
            max_price: Ticks(100_000_000),
            min_quantity: Lots(1),
            max_quantity: Lots(10_000_000),
            min_notional: Atoms(50),
            market_order_band: 50_000,
            maker_fee: FeeRate(-10),
            taker_fee: FeeRate(100),
            max_orders: 1_000,
            max_levels: 2_000,
        };
        (directory, spec)
    }

    fn parse_action(action: &str, directory: &Directory) -> Result<AdminAction> {
        let pair = |part: &str| part.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let parameters: Vec<(String, String)> = format!("action={action}").split('&').filter_map(pair).collect();
        parse(&text([7; 16], &[RoleNonce { role: 0, nonce: 1 }], &parameters, "why"), directory)
            .map(|command| command.action)
    }

    #[test]
    fn every_action_is_read() {
        let (directory, spec) = directory();
        directory.apply(&Event::MarketListed(spec));
        let (market, account) = (MarketId(0), AccountId(9));
        let symbol = Symbol::new("ETH").unwrap();
        let eth = AssetSpec { asset: AssetId(2), symbol, decimals: 6, chain_units_per_atom: 10 };
        let fees = FeeTable::flat(FeeRate(-5), FeeRate(7));
        let mut tiered = fees;
        tiered.rates[1] = FeeRates { maker: FeeRate(-6), taker: FeeRate(6) };
        let halt = AdminAction::SetMarketState { market, state: MarketState::Halt };
        let guarded = AdminAction::SetRestartMode { market, mode: RestartMode::Guarded };
        let block = |block| AdminAction::BlockAccount { account, block };
        let native = AdminAction::SetAccountPolicy { account, minimum_grade: EvidenceGrade::Native };
        let cases = [
            ("market-state&market=BTCUSDT&state=halt", halt),
            ("fees&market=BTCUSDT&maker=-5&taker=7", AdminAction::SetFees { market, fees }),
            ("fees&market=BTCUSDT&maker=-5&taker=7&tiers=-6:6", AdminAction::SetFees { market, fees: tiered }),
            ("fee-tier&account=9&tier=3", AdminAction::SetFeeTier { account, tier: FeeTier(3) }),
            ("price-band&market=BTCUSDT&band=100000", AdminAction::SetPriceBand { market, band: 100_000 }),
            ("restart-mode&market=BTCUSDT&mode=guarded", guarded),
            ("block-account&account=9&block=blocked", block(AccountBlock::Blocked)),
            ("block-account&account=9&block=none", block(AccountBlock::None)),
            ("list-asset&symbol=ETH&decimals=6&chainUnitsPerAtom=10", AdminAction::ListAsset(eth)),
            ("account-policy&account=9&evidence=native", native),
        ];
        for (text, action) in cases {
            assert_eq!(parse_action(text, &directory).unwrap(), action, "{text}");
        }
        for (text, why) in [
            ("price-band&market=NONE&band=1", "no market NONE"),
            ("restart-mode&market=BTCUSDT&mode=fast", "no restart mode"),
            ("block-account&account=9&block=maybe", "blocked or none"),
            ("list-asset&symbol=eth&decimals=6&chainUnitsPerAtom=1", "capital letters"),
            ("list-market&symbol=X&base=BTC&quote=EUR", "no asset EUR"),
        ] {
            let error = parse_action(text, &directory).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_listing_is_read_as_it_was_written() {
        let (directory, spec) = directory();
        let listing = market_parameters(&spec, &directory.assets());
        let command = parse(&text([7; 16], &[RoleNonce { role: 0, nonce: 1 }], &listing, "why"), &directory).unwrap();
        assert_eq!(command.action, AdminAction::ListMarket(spec), "the number is the next one");
    }

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
