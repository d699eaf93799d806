//! `lakh ctl`: what operators decide, from the command line: each decision a signed text with a reason, each one journaled.
//!
//! The command line is turned into the text's parameters here; what they mean is read in `admin`, by the node and again by
//! the audit. Decisions about several markets are one signed text each.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use lakh_engine::ids::{AssetId, MarketId, Symbol};
use lakh_engine::market_spec::{AssetSpec, FeeTable};

use crate::admin;
use crate::control::{RoleKey, Status, decide, status};
use crate::keys::read_key;

/// Decides something as an operator, over the node's control socket.
#[derive(Debug, clap::Args)]
pub(crate) struct CtlArguments {
    /// The node's control socket.
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Says how the node is.
    Status,
    /// Opens, halts or restricts a market.
    MarketState {
        #[command(flatten)]
        signer: SignerArguments,
        /// The market's symbol.
        market: String,
        /// To what.
        state: State,
    },
    /// Opens, halts or restricts every market, one decision after the other.
    AllMarkets {
        #[command(flatten)]
        signer: SignerArguments,
        /// To what.
        state: State,
    },
    /// Changes a market's fees, in millionths, for orders accepted from then on.
    Fees {
        #[command(flatten)]
        signer: SignerArguments,
        /// The market's symbol.
        market: String,
        /// Fee of the resting side; negative is a rebate.
        #[arg(allow_hyphen_values = true)]
        maker: i32,
        /// Fee of the incoming side.
        taker: i32,
        /// Fees of the tiers behind the first, as maker:taker,maker:taker; a tier that is not named has the first one's.
        #[arg(long, allow_hyphen_values = true)]
        tiers: Option<String>,
    },
    /// Changes an account's tier of fees.
    FeeTier {
        #[command(flatten)]
        signer: SignerArguments,
        /// The account's number.
        account: u32,
        /// The tier: 0 to 7.
        tier: u8,
    },
    /// Sets how far an order's price may be from the market's.
    PriceBand {
        #[command(flatten)]
        signer: SignerArguments,
        /// The market's symbol.
        market: String,
        /// In millionths of the last price, at most 1000000; 0 for any price.
        band: u32,
    },
    /// Sets what a start of the node does to a market where orders rest.
    RestartMode {
        #[command(flatten)]
        signer: SignerArguments,
        /// The market's symbol.
        market: String,
        /// `guarded`: it takes cancels only until an operator opens it again; `stay`: nothing.
        mode: Restart,
    },
    /// The kill switch: takes all orders of an account off and lets it place no more.
    BlockAccount {
        #[command(flatten)]
        signer: SignerArguments,
        /// The account's number.
        account: u32,
    },
    /// Lets a blocked account trade again.
    UnblockAccount {
        #[command(flatten)]
        signer: SignerArguments,
        /// The account's number.
        account: u32,
    },
    /// Adds an asset.
    ListAsset {
        #[command(flatten)]
        signer: SignerArguments,
        /// 1 to 16 capital letters and digits.
        symbol: String,
        /// Decimals that the engine keeps: 0 to 8.
        decimals: u8,
        /// Units of the chain's token in one atom: a power of ten.
        #[arg(long, default_value_t = 1)]
        chain_units_per_atom: u64,
    },
    /// Adds a market; it is in the state pre-open, in which nothing is taken.
    ListMarket {
        #[command(flatten)]
        signer: SignerArguments,
        /// A file with the keys of one `[[market]]` of the configuration, at its top level.
        file: PathBuf,
    },
    /// Registers a trading key; it is pending until the key signs for itself.
    RegisterKey {
        #[command(flatten)]
        signer: SignerArguments,
        /// The account's number.
        account: u32,
        /// The Ed25519 public key, 64 hexadecimal digits.
        public_key: String,
        /// The account's last key epoch + 1.
        epoch: u32,
        /// When the key ends, in milliseconds since 1970; 0 for never.
        #[arg(long, default_value_t = 0)]
        expires: u64,
        /// Requests that the key may have outstanding at once.
        #[arg(long, default_value_t = 4_096)]
        digests: u32,
    },
    /// Ends a trading key for ever.
    RevokeKey {
        #[command(flatten)]
        signer: SignerArguments,
        /// The key's number.
        key: u32,
    },
    /// Sets what evidence an account's requests need.
    AccountPolicy {
        #[command(flatten)]
        signer: SignerArguments,
        /// The account's number.
        account: u32,
        /// `delegated`, `header-keyed`, `signed` or `native`.
        evidence: String,
    },
}

/// Who decides, and why.
#[derive(Debug, clap::Args)]
#[cfg_attr(test, derive(Default))]
pub(crate) struct SignerArguments {
    /// The role's secret key, as `lakh keygen` writes it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The role's number.
    #[arg(long, default_value_t = 0)]
    role: u8,
    /// The secret key of a second role, which decisions that touch money need.
    #[arg(long, value_name = "FILE", requires = "second_role")]
    second_key: Option<PathBuf>,
    /// The second role's number.
    #[arg(long, requires = "second_key")]
    second_role: Option<u8>,
    /// Why, for the journal.
    #[arg(long)]
    reason: String,
}

impl SignerArguments {
    /// The role that decides, or both.
    pub(crate) fn roles(&self) -> Result<Vec<RoleKey>> {
        let mut roles = vec![RoleKey { role: self.role, key: read_key(&self.key)? }];
        if let (Some(role), Some(key)) = (self.second_role, &self.second_key) {
            roles.push(RoleKey { role, key: read_key(key)? });
        }
        Ok(roles)
    }

    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }
}

#[cfg(test)]
impl SignerArguments {
    /// With one more role and the file of its key.
    pub(crate) fn add(&mut self, role: u8, key: PathBuf) {
        match self.key.as_os_str().is_empty() {
            true => (self.role, self.key) = (role, key),
            false => (self.second_role, self.second_key) = (Some(role), Some(key)),
        }
    }

    pub(crate) fn because(self, reason: &str) -> Self {
        Self { reason: reason.to_owned(), ..self }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    PreOpen,
    PostOnly,
    Open,
    CancelOnly,
    Halt,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Restart {
    Stay,
    Guarded,
}

/// The parameters of one decision's text.
type Parameters = Vec<(String, String)>;

/// `lakh ctl`.
pub(crate) fn run(arguments: &CtlArguments) -> Result<()> {
    let socket = &arguments.socket;
    let node = status(socket)?;
    let Some((signer, decisions)) = decisions(&arguments.action, &node)? else {
        println!("{}", serde_json::to_string_pretty(&node)?);
        return Ok(());
    };
    ensure!(!decisions.is_empty(), "there is nothing to decide");
    let roles = signer.roles()?;
    for parameters in decisions {
        println!("done: {}", decide(socket, &roles, &parameters, &signer.reason)?);
    }
    Ok(())
}

/// Who decides what; `None` where nothing is decided.
fn decisions<'a>(action: &'a Action, node: &Status) -> Result<Option<(&'a SignerArguments, Vec<Parameters>)>> {
    Ok(Some(match action {
        Action::Status => return Ok(None),
        Action::MarketState { signer, market, state } => {
            (signer, vec![named("market-state", &[("market", market), ("state", &word(*state))])])
        }
        Action::AllMarkets { signer, state } => {
            let decide = |market: &String| named("market-state", &[("market", market), ("state", &word(*state))]);
            (signer, node.markets.iter().map(|(market, _)| decide(market)).collect())
        }
        Action::RestartMode { signer, market, mode } => {
            (signer, vec![named("restart-mode", &[("market", market), ("mode", &word(*mode))])])
        }
        Action::Fees { signer, market, maker, taker, tiers } => {
            let mut parameters = named("fees", &[("market", market), ("maker", maker), ("taker", taker)]);
            parameters.extend(tiers.iter().map(|tiers| ("tiers".to_owned(), tiers.clone())));
            (signer, vec![parameters])
        }
        Action::FeeTier { signer, account, tier } => {
            (signer, vec![named("fee-tier", &[("account", account), ("tier", tier)])])
        }
        Action::PriceBand { signer, market, band } => {
            (signer, vec![named("price-band", &[("market", market), ("band", band)])])
        }
        Action::BlockAccount { signer, account } => {
            (signer, vec![named("block-account", &[("account", account), ("block", &"blocked")])])
        }
        Action::UnblockAccount { signer, account } => {
            (signer, vec![named("block-account", &[("account", account), ("block", &"none")])])
        }
        Action::ListAsset { signer, symbol, decimals, chain_units_per_atom } => {
            let parameters = [
                ("symbol", symbol as &dyn ToString),
                ("decimals", decimals),
                ("chainUnitsPerAtom", chain_units_per_atom),
            ];
            (signer, vec![named("list-asset", &parameters)])
        }
        Action::ListMarket { signer, file } => (signer, vec![listing(file, node)?]),
        Action::RegisterKey { signer, account, public_key, epoch, expires, digests } => {
            let parameters: [(&str, &dyn ToString); 5] = [
                ("account", account),
                ("publicKey", public_key),
                ("epoch", epoch),
                ("expires", expires),
                ("digests", digests),
            ];
            (signer, vec![named("register-key", &parameters)])
        }
        Action::RevokeKey { signer, key } => (signer, vec![named("revoke-key", &[("key", key)])]),
        Action::AccountPolicy { signer, account, evidence } => {
            (signer, vec![named("account-policy", &[("account", account), ("evidence", evidence)])])
        }
    }))
}

fn named(action: &str, parameters: &[(&str, &dyn ToString)]) -> Parameters {
    let pair = |name: &str, value: &dyn ToString| (name.to_owned(), value.to_string());
    let first = pair("action", &action);
    std::iter::once(first).chain(parameters.iter().map(|(name, value)| pair(name, *value))).collect()
}

/// How the signed text spells a choice.
fn word(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// A market's file in whole ticks, lots and atoms of the node's assets.
fn listing(file: &Path, node: &Status) -> Result<Parameters> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let mut assets = Vec::with_capacity(node.assets.len());
    for (number, (symbol, decimals, chain_units_per_atom)) in (0_u16..).zip(&node.assets) {
        let symbol = Symbol::new(symbol).context("the node names an asset that is none")?;
        let (decimals, chain_units_per_atom) = (*decimals, *chain_units_per_atom);
        assets.push(AssetSpec { asset: AssetId(number), symbol, decimals, chain_units_per_atom });
    }
    let number = MarketId(u16::try_from(node.markets.len())?);
    let listed = lakh_config::market_from_toml(&text, &file.display().to_string(), number, &assets)?;
    let flat = FeeTable::flat(listed.spec.maker_fee, listed.spec.taker_fee);
    ensure!(listed.fees == flat, "a market is listed with one tier of fees; the others are a decision of their own");
    Ok(admin::market_parameters(&listed.spec, &assets))
}
