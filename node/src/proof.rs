//! `lakh proof`: whether what a venue answered to `account.proof` is what the contract has, without venue or journal.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lakh_settlement::chain::rpc::{RpcChain, RpcOptions};
use lakh_settlement::chain::{BlockTag, Call, Chain as _};
use lakh_settlement::contract::{self, answer};
use lakh_settlement::final_balances::BalancesProof;

use crate::receipt::read_bounded;

/// Most bytes of a proof's file: 64 assets take some 250 KiB.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// How long a node may take for one answer.
const NODE_TIMEOUT: Duration = Duration::from_secs(30);

/// What can be done with a proof.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ProofCommand {
    /// Checks the proof of an account's balances.
    Verify(VerifyArguments),
}

/// Which proof.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArguments {
    /// The `result` of `account.proof`, as JSON.
    file: PathBuf,
    /// The JSON-RPC address of a node of the contract's chain, http://…; without it only the proof itself is checked, not
    /// that the contract has its batch.
    #[arg(long, value_name = "URL")]
    chain: Option<String>,
}

/// `lakh proof`.
pub(crate) fn run(command: &ProofCommand) -> Result<()> {
    let ProofCommand::Verify(VerifyArguments { file, chain }) = command;
    let text = read_bounded(file, MAX_FILE_BYTES)?;
    let proof = BalancesProof::from_json(&text).with_context(|| format!("{} is no proof", file.display()))?;
    let expected = proof.check()?;
    for (asset, balance) in &proof.balances {
        println!("account {} has {} atoms of asset {}", proof.account, balance.balance, asset);
    }
    let batch_id = proof.header.batch_id;
    let Some(url) = chain else {
        println!("{} balances lead to the root of batch {batch_id}; the chain was not asked", proof.balances.len());
        return Ok(());
    };
    let chain = RpcChain::new(&RpcOptions { url: url.clone(), blobs_url: None, timeout: NODE_TIMEOUT })?;
    let found = chain.chain_id()?;
    ensure!(found == proof.venue.chain_id, "the chain's id is {found}, the proof is of chain {}", proof.venue.chain_id);
    let expected =
        expected.context("the proof does not say when its batch came to the chain; ask for it again later")?;
    let call = Call::question(proof.venue.contract, contract::batch_hash(batch_id));
    let stored = answer::hash(&chain.call(&call, BlockTag::Latest)?).context("no settlement contract answers there")?;
    ensure!(stored == expected, "the contract has another batch {batch_id}: {stored}, not {expected}");
    println!("{} balances lead to batch {batch_id} as the contract has it", proof.balances.len());
    Ok(())
}
