//! `lakh claims`: every withdrawal of an account, with the proof and the call by which the contract pays it.
//!
//! Needs the journal and a node of the chain, and not the venue: whoever has a copy of the journal can have anybody paid,
//! since the contract pays the account's owner, whoever calls it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lakh_engine::ids::AccountId;
use lakh_settlement::chain::rpc::{RpcChain, RpcOptions};
use lakh_settlement::claims::{ClaimState, claims_in_journal};

use crate::history;

/// How long a node may take for one answer.
const NODE_TIMEOUT: Duration = Duration::from_secs(30);

/// Prints an account's withdrawals with what proves them.
#[derive(Debug, clap::Args)]
pub(crate) struct ClaimsArguments {
    /// The journal's directory.
    directory: PathBuf,
    /// Whose.
    #[arg(long, value_name = "NUMBER")]
    account: u32,
    /// The JSON-RPC address of a node of the contract's chain, http://…
    #[arg(long, value_name = "URL")]
    chain: String,
    /// The contract was created in this block or later: earlier ones are not looked through.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    first_block: u64,
    /// Print a JSON array with each claim's arguments and encoded call.
    #[arg(long)]
    json: bool,
}

/// `lakh claims`.
pub(crate) fn run(arguments: &ClaimsArguments) -> Result<()> {
    let venue = history::venue(&arguments.directory)?;
    let venue = venue.context("the journal's genesis names no contract: nobody is paid on a chain")?;
    let chain = RpcChain::new(&RpcOptions { url: arguments.chain.clone(), blobs_url: None, timeout: NODE_TIMEOUT })?;
    let account = AccountId(arguments.account);
    let claims = claims_in_journal(&arguments.directory, venue, &chain, arguments.first_block, account)?;
    if arguments.json {
        println!("{}", serde_json::to_string(&claims)?);
        return Ok(());
    }
    for claim in &claims {
        let state = match claim.state {
            ClaimState::Sealed => "not on the chain yet",
            ClaimState::Committed => "not final yet",
            ClaimState::Final => "can be claimed",
            ClaimState::Claimed => "claimed",
        };
        let withdrawal = &claim.arguments.withdrawal;
        println!("batch {}: {} atoms of asset {}, {state}", claim.batch_id, withdrawal.amount, withdrawal.asset);
        if let Some(call) = &claim.call {
            println!("  send to {}: {call}", claim.contract);
        }
    }
    println!("{} withdrawals of account {}", claims.len(), arguments.account);
    Ok(())
}
