//! Sends one call to a contract and waits for its block: for the tools by which users and watchers act by themselves.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lakh_settlement::chain::transaction::{Transaction, TransactionSigner};
use lakh_settlement::chain::{Address, Call, Chain, NonceAt, TransactionStatus};
use lakh_settlement::keccak256;

/// How long a transaction may take into a block.
const BLOCK_PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks whether it is in one.
const PAUSE: Duration = Duration::from_millis(200);

/// A call with what is sent along.
pub(crate) struct Sent {
    pub(crate) to: Address,
    pub(crate) value_wei: u128,
    pub(crate) data: Vec<u8>,
}

/// Sends a call, signed by `signer`, who pays for its gas; gives the transaction's hash as text once it has succeeded.
pub(crate) fn send(chain: &dyn Chain, signer: &TransactionSigner, sent: Sent) -> Result<String> {
    let Sent { to, value_wei, data } = sent;
    let call = Call { from: signer.address(), to: Some(to), data, value_wei, blob_hashes: Vec::new() };
    let gas = chain.estimate_gas(&call).context("the contract refuses")?;
    let fees = chain.fees()?;
    let transaction = Transaction {
        chain_id: chain.chain_id()?,
        nonce: chain.nonce(signer.address(), NonceAt::Pending)?,
        max_priority_fee_per_gas_wei: fees.priority_fee_wei,
        max_fee_per_gas_wei: 2 * fees.base_fee_wei + fees.priority_fee_wei,
        gas_limit: gas + gas / 4,
        to: Some(to),
        value_wei,
        data: call.data,
        blobs: None,
    };
    let raw = signer.sign(&transaction).raw;
    let hash = chain.send_raw_transaction(&raw)?;
    ensure!(hash == keccak256(&raw), "the node took another transaction than it was sent");
    let since = Instant::now();
    let receipt = loop {
        if let Some(receipt) = chain.receipt(hash)? {
            break receipt;
        }
        ensure!(since.elapsed() < BLOCK_PATIENCE, "transaction {hash} is in no block yet; run this again later");
        std::thread::sleep(PAUSE);
    };
    ensure!(receipt.status == TransactionStatus::Succeeded, "transaction {hash} reverted");
    Ok(hash.to_string())
}
