//! `lakh watch`: replays the journal, or builds every balance up from chain data alone, holds each committed batch against
//! it, and vetoes what differs.
//!
//! A process of its own, best on another machine than the venue's, over a copy of its journal that something keeps up.
//!
//! | exit code | meaning, with `--once` |
//! |---|---|
//! | 0 | every batch whose window is open is what it should be |
//! | 1 | the command failed |
//! | 2 | a batch differs (and was vetoed, where there is a key) |
//! | 3 | a batch could not be compared yet |
//!
//! Without `--once` it goes on for ever, says what changes, and keeps vetoing; only a failure of its own set-up ends it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lakh_settlement::chain::rpc::{RpcChain, RpcOptions};
use lakh_settlement::chain::transaction::TransactionSigner;
use lakh_settlement::chain::{Address, Chain as _};
use lakh_settlement::follower::Venue;
use lakh_settlement::watch::{Divergence, Verdict, VetoCall, Watch, WatchOptions};

use crate::chain_sender::{Sent, send};
use crate::settlement::read_key;

/// How long a node may take for one answer.
const NODE_TIMEOUT: Duration = Duration::from_secs(30);
/// A batch differs.
const DIFFERS: u8 = 2;
/// A batch could not be compared.
const WAITS: u8 = 3;

/// Watches a venue's batches and vetoes those that are not what they should be.
#[derive(Debug, clap::Args)]
pub(crate) struct WatchArguments {
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
    /// A copy of the venue's journal; without it only the published data are held against the roots.
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// The contract was created in this block or later: earlier ones are not looked through.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    first_block: u64,
    /// Veto what differs, signed by the watcher's secp256k1 secret in this file, which pays for gas and bond.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Seconds for which the journal may lack the decision about records that it has.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    patience: u64,
    /// Look once and end.
    #[arg(long)]
    once: bool,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    interval: u64,
    /// One JSON object a line for each change.
    #[arg(long)]
    json: bool,
}

/// `lakh watch`.
pub(crate) fn run(arguments: &WatchArguments) -> Result<ExitCode> {
    let contract =
        Address::from_hex(&arguments.contract).context("the contract is not 0x and 40 hexadecimal digits")?;
    let chain = RpcChain::new(&RpcOptions {
        url: arguments.chain.clone(),
        blobs_url: arguments.blobs.clone(),
        timeout: NODE_TIMEOUT,
    })?;
    let venue = Venue { chain_id: chain.chain_id()?, contract };
    let (journal, first_block) = (arguments.journal.clone(), arguments.first_block);
    let options = WatchOptions { journal, venue, first_block, patience_seconds: arguments.patience };
    let key = arguments.key.as_deref().map(read_key).transpose()?;
    let mut watching = Watching { watch: Watch::open(options)?, chain, key, json: arguments.json, said: String::new() };
    if arguments.once {
        return watching.look();
    }
    loop {
        if let Err(error) = watching.look() {
            watching.say_once(serde_json::json!({ "state": "failed", "reason": format!("{error:#}") }));
        }
        std::thread::sleep(Duration::from_secs(arguments.interval.max(1)));
    }
}

/// The process' own things.
struct Watching {
    watch: Watch,
    chain: RpcChain,
    key: Option<TransactionSigner>,
    json: bool,
    /// What was said last, so that the same is said once.
    said: String,
}

impl Watching {
    fn look(&mut self) -> Result<ExitCode> {
        let Verdict { tip, good_through, divergence, waiting } = self.watch.look(&self.chain)?;
        let (batches, final_batch) = (tip.batch_id, tip.final_batch);
        let mut said = serde_json::json!({
            "state": "good", "goodThrough": good_through, "batches": batches, "finalBatch": final_batch
        });
        if let Some(divergence) = divergence {
            said["state"] = "differs".into();
            said["batchId"] = divergence.batch_id.into();
            said["divergentSequence"] = divergence.sequence.0.into();
            said["reason"] = divergence.why.clone().into();
            match self.veto(&divergence) {
                Ok(Some(transaction)) => said["veto"] = transaction.into(),
                Ok(None) => {}
                Err(error) => said["vetoFailed"] = format!("{error:#}").into(),
            }
            self.say_once(said);
            return Ok(ExitCode::from(DIFFERS));
        }
        if let Some(reason) = waiting {
            said["state"] = "waiting".into();
            said["reason"] = reason.into();
            self.say_once(said);
            return Ok(ExitCode::from(WAITS));
        }
        self.say_once(said);
        Ok(ExitCode::SUCCESS)
    }

    /// Sends the veto, where there is a key; its transaction. One that this watcher has sent before is refused by the
    /// contract, and costs nothing.
    fn veto(&self, divergence: &Divergence) -> Result<Option<String>> {
        let Some(key) = &self.key else { return Ok(None) };
        let VetoCall { to, bond_wei, data } = self.watch.veto(&self.chain, divergence)?;
        send(&self.chain, key, Sent { to, value_wei: bond_wei, data }).map(Some)
    }

    fn say_once(&mut self, said: serde_json::Value) {
        let text = match (self.json, said["state"].as_str()) {
            (true, _) => said.to_string(),
            (false, Some("good")) => {
                format!("batches 1 to {} are good, final up to {}", said["goodThrough"], said["finalBatch"])
            }
            (false, Some("differs")) => format!(
                "batch {} DIFFERS at record {}: {}{}{}",
                said["batchId"],
                said["divergentSequence"],
                said["reason"].as_str().unwrap_or_default(),
                said["veto"].as_str().map(|transaction| format!("; vetoed by {transaction}")).unwrap_or_default(),
                said["vetoFailed"].as_str().map(|error| format!("; the veto failed: {error}")).unwrap_or_default()
            ),
            (false, _) => said["reason"].as_str().unwrap_or_default().to_owned(),
        };
        if text != self.said {
            println!("{text}");
            self.said = text;
        }
    }
}
