//! `lakh receipt`: whether a receipt is what the venue promised, without venue, journal or chain.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use lakh_settlement::chain::Address;
use lakh_settlement::follower::Venue;
use lakh_settlement::receipt::Receipt;

/// Most bytes of a receipt's file: one has a few hundred, and at most 64 steps.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// What can be done with a receipt.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ReceiptCommand {
    /// Checks that the venue's header key signed a receipt.
    Verify(VerifyArguments),
}

/// Whose receipt it is to be.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArguments {
    /// The receipt, as JSON.
    file: PathBuf,
    /// The chain's id.
    #[arg(long, value_name = "NUMBER")]
    chain_id: u64,
    /// The Settlement contract: 0x and 40 hexadecimal digits.
    #[arg(long, value_name = "ADDRESS")]
    contract: String,
    /// The header key's address, as the contract's `signer` names it.
    #[arg(long, value_name = "ADDRESS")]
    signer: String,
}

/// `lakh receipt`.
pub(crate) fn run(command: &ReceiptCommand) -> Result<()> {
    let ReceiptCommand::Verify(arguments) = command;
    let path = &arguments.file;
    let text = read_bounded(path, MAX_FILE_BYTES)?;
    let receipt = Receipt::from_json(&text).with_context(|| format!("{} is no receipt", path.display()))?;
    let address = |text: &str| Address::from_hex(text).with_context(|| format!("{text} is no address"));
    let venue = Venue { chain_id: arguments.chain_id, contract: address(&arguments.contract)? };
    let expected = address(&arguments.signer)?;
    let found = receipt.signer(venue).context("the receipt's path or signature is not whole")?;
    ensure!(found == expected, "the receipt is signed by {found}, not by {expected}");
    println!(
        "record {} of shard {} is promised to be {}, by {found} in epoch {}",
        receipt.sequence.0, receipt.shard, receipt.record_hash, receipt.epoch
    );
    Ok(())
}

/// A text file that somebody else may have made.
pub(crate) fn read_bounded(path: &Path, bytes_max: u64) -> Result<String> {
    let unreadable = || format!("{} cannot be read", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).with_context(unreadable)?;
    file.take(bytes_max + 1).read_to_string(&mut text).with_context(unreadable)?;
    ensure!(text.len() as u64 <= bytes_max, "{} has more than {bytes_max} bytes", path.display());
    Ok(text)
}
