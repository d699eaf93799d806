//! `lakh receipt`: whether a receipt is what the venue promised, without venue, journal or chain; and whether the venue kept
//! it, which freezes the venue where it did not.
//!
//! | exit code | meaning of `prove` |
//! |---|---|
//! | 0 | the promise was kept |
//! | 1 | the command failed |
//! | 2 | it was broken, and the venue is frozen where there is a key to send with |
//! | 3 | that cannot be said yet, or not with this journal |

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lakh_settlement::chain::rpc::{RpcChain, RpcOptions};
use lakh_settlement::chain::{Address, Chain as _};
use lakh_settlement::follower::Venue;
use lakh_settlement::promise::{Breach, Judgement, OnChain, compare, judge};
use lakh_settlement::receipt::Receipt;

use crate::chain_sender::{Sent, send};
use crate::keys::hex;
use crate::settlement::read_key;

/// Most bytes of a receipt's file: one has a few hundred, and at most 64 steps.
const MAX_FILE_BYTES: u64 = 64 * 1024;
/// How long a node may take for one answer.
const NODE_TIMEOUT: Duration = Duration::from_secs(30);
/// The promise was broken.
const BROKEN: u8 = 2;
/// Nothing can be said yet.
const OPEN: u8 = 3;

/// What can be done with a receipt.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ReceiptCommand {
    /// Checks that the venue's header key signed a receipt.
    Verify(VerifyArguments),
    /// Holds a receipt against the chain, and freezes the venue where it broke its promise.
    Prove(ProveArguments),
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

/// What a receipt is held against.
#[derive(Debug, clap::Args)]
pub(crate) struct ProveArguments {
    /// The receipt, as JSON.
    file: PathBuf,
    /// A copy of the journal that the batch was made of, as `lakh journal fetch` mirrors it: the batch on the chain that covers
    /// the record is held against the receipt.
    #[arg(long, value_name = "DIR", required_unless_present = "against")]
    journal: Option<PathBuf>,
    /// Another receipt, as JSON: two that promise one place to two records are proof by themselves.
    #[arg(long, value_name = "FILE", conflicts_with = "journal")]
    against: Option<PathBuf>,
    /// The JSON-RPC address of a node of the contract's chain, http://…
    #[arg(long, value_name = "URL")]
    chain: String,
    /// The Settlement contract: 0x and 40 hexadecimal digits.
    #[arg(long, value_name = "ADDRESS")]
    contract: String,
    /// The contract was created in this block or later: earlier ones are not looked through.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    first_block: u64,
    /// Send the proof of a broken promise, signed by the secp256k1 secret in this file, which pays for its gas. The venue is
    /// frozen then, for ever.
    #[arg(long, value_name = "FILE")]
    send: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// `lakh receipt`.
pub(crate) fn run(command: &ReceiptCommand) -> Result<ExitCode> {
    match command {
        ReceiptCommand::Verify(arguments) => verify(arguments).map(|()| ExitCode::SUCCESS),
        ReceiptCommand::Prove(arguments) => prove(arguments),
    }
}

fn verify(arguments: &VerifyArguments) -> Result<()> {
    let receipt = read_receipt(&arguments.file)?;
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

fn prove(arguments: &ProveArguments) -> Result<ExitCode> {
    let receipt = read_receipt(&arguments.file)?;
    let contract = address(&arguments.contract)?;
    let url = arguments.chain.clone();
    let chain = RpcChain::new(&RpcOptions { url, blobs_url: None, timeout: NODE_TIMEOUT })?;
    let venue = Venue { chain_id: chain.chain_id()?, contract };
    let on_chain = OnChain { chain: &chain, venue, first_block: arguments.first_block };
    let judgement = match (&arguments.against, &arguments.journal) {
        (Some(file), _) => compare(on_chain, &receipt, &read_receipt(file)?)?,
        (None, Some(journal)) => judge(on_chain, &receipt, journal)?,
        (None, None) => anyhow::bail!("either a journal or another receipt is needed"),
    };
    let mut said = serde_json::json!({ "sequence": receipt.sequence.0, "promised": receipt.record_hash.to_string() });
    let (state, text, code) = match judgement {
        Judgement::Kept => ("kept", format!("record {} is what was promised", receipt.sequence), ExitCode::SUCCESS),
        Judgement::NotSettled { last } => (
            "notSettled",
            format!("no batch covers record {} yet, the last one ends at {last}", receipt.sequence),
            ExitCode::from(OPEN),
        ),
        Judgement::OtherJournal { batch_id } => (
            "otherJournal",
            format!("batch {batch_id} was made of another journal than this one, or of more records than it has"),
            ExitCode::from(OPEN),
        ),
        Judgement::Broken(breach) => {
            let sent = match &arguments.send {
                Some(key) => Some(freeze(&chain, key, &breach)?),
                None => None,
            };
            said["instead"] = breach.instead.to_string().into();
            said["to"] = breach.to.to_string().into();
            said["data"] = format!("0x{}", hex(&breach.call)).into();
            said["transaction"] = sent.clone().into();
            ("broken", broken(&breach, sent.as_deref()), ExitCode::from(BROKEN))
        }
    };
    said["state"] = state.into();
    println!("{}", if arguments.json { said.to_string() } else { text });
    Ok(code)
}

fn broken(breach: &Breach, transaction: Option<&str>) -> String {
    let what = format!(
        "the promise is BROKEN: record {} was to be {} and is {}",
        breach.sequence, breach.promised, breach.instead
    );
    match transaction {
        Some(transaction) => format!("{what}; the venue is frozen by {transaction}"),
        None => format!("{what}\n  to freeze the venue, send to {}: 0x{}", breach.to, hex(&breach.call)),
    }
}

/// Sends the proof; gives its transaction.
fn freeze(chain: &RpcChain, key: &Path, breach: &Breach) -> Result<String> {
    let call = Sent { to: breach.to, value_wei: 0, data: breach.call.clone() };
    send(chain, &read_key(key)?, call).context("the proof was not taken")
}

fn read_receipt(path: &Path) -> Result<Receipt> {
    let text = read_bounded(path, MAX_FILE_BYTES)?;
    Receipt::from_json(&text).with_context(|| format!("{} is no receipt", path.display()))
}

fn address(text: &str) -> Result<Address> {
    Address::from_hex(text).with_context(|| format!("{text} is no address"))
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
