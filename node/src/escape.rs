//! `lakh escape`: leaving a venue whose operator is gone, from chain data alone.
//!
//! Needs a node of the chain and the contract's address: no journal, no venue, no operator. Prints each call that is left
//! until everybody is out, or sends them: anybody may, and only owners are paid.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use lakh_engine::ids::AccountId;
use lakh_settlement::chain::rpc::{RpcChain, RpcOptions};
use lakh_settlement::chain::transaction::TransactionSigner;
use lakh_settlement::chain::{Address, Chain};
use lakh_settlement::escape::{ExitStep, exit_steps};
use lakh_settlement::follower::Venue;
use lakh_settlement::rebuild::{RebuildOptions, rebuild};

use crate::chain_sender::{Sent, send};
use crate::keys::hex;
use crate::settlement::read_key;

/// How long a node may take for one answer.
const NODE_TIMEOUT: Duration = Duration::from_secs(30);
const DAY_SECONDS: u64 = 24 * 3_600;

/// Rebuilds every balance from the chain alone, and prints or sends what pays it out.
#[derive(Debug, clap::Args)]
pub(crate) struct EscapeArguments {
    /// The JSON-RPC address of a node of the contract's chain, http://…
    #[arg(long, value_name = "URL")]
    chain: String,
    /// The HTTP API of a consensus node, which has the blobs of batches that were posted in them, http://… Without it the node
    /// above is asked, which development chains answer.
    #[arg(long, value_name = "URL")]
    blobs: Option<String>,
    /// The Settlement contract: 0x and 40 hexadecimal digits.
    #[arg(long, value_name = "ADDRESS")]
    contract: String,
    /// The contract was created in this block or later: earlier ones are not looked through.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    first_block: u64,
    /// Whose money; without it everybody's.
    #[arg(long, value_name = "NUMBER")]
    account: Option<u32>,
    /// Batches older than this are not asked for their data, which may be gone.
    #[arg(long, value_name = "DAYS")]
    data_days: Option<u64>,
    /// Send the calls, signed by the secp256k1 secret in this file, which pays for their gas.
    #[arg(long, value_name = "FILE")]
    send: Option<PathBuf>,
    /// Print a JSON array of the calls.
    #[arg(long)]
    json: bool,
}

/// `lakh escape`.
pub(crate) fn run(arguments: &EscapeArguments) -> Result<()> {
    let contract =
        Address::from_hex(&arguments.contract).context("the contract is not 0x and 40 hexadecimal digits")?;
    let chain = RpcChain::new(&RpcOptions {
        url: arguments.chain.clone(),
        blobs_url: arguments.blobs.clone(),
        timeout: NODE_TIMEOUT,
    })?;
    let venue = Venue { chain_id: chain.chain_id()?, contract };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?.as_secs();
    let not_before_seconds = arguments.data_days.map_or(0, |days| now.saturating_sub(days.saturating_mul(DAY_SECONDS)));
    let options = RebuildOptions { venue, first_block: arguments.first_block, not_before_seconds };
    let mut rebuilt = rebuild(&chain, &options)?;
    let steps = exit_steps(&chain, venue, &mut rebuilt, arguments.account.map(AccountId))?;
    if let Some(path) = &arguments.send {
        return send_all(&chain, &read_key(path)?, steps);
    }
    if arguments.json {
        let steps = steps.iter().map(|step| {
            serde_json::json!({ "what": step.what, "to": step.to.to_string(), "data": format!("0x{}", hex(&step.data)) })
        });
        println!("{}", serde_json::Value::Array(steps.collect()));
        return Ok(());
    }
    if let Some(last) = &rebuilt.last_final {
        println!(
            "batch {} is the last final one; its root follows from the data since batch {}",
            last.header.batch_id, last.first_data
        );
    }
    for step in &steps {
        println!("{}\n  send to {}: 0x{}", step.what, step.to, hex(&step.data));
    }
    println!("{} calls are left", steps.len());
    if steps.is_empty() && !rebuilt.waiting.is_empty() {
        println!("everything has left");
    }
    Ok(())
}

/// Sends the calls one after the other; the first one that fails ends it, and the next run goes on from there.
fn send_all(chain: &dyn Chain, signer: &TransactionSigner, steps: Vec<ExitStep>) -> Result<()> {
    let count = steps.len();
    for ExitStep { what, to, data } in steps {
        let hash = send(chain, signer, Sent { to, value_wei: 0, data }).with_context(|| format!("to {what}"))?;
        println!("{what}: {hash}");
    }
    println!("{count} calls sent");
    Ok(())
}
