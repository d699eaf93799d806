//! `lakh journal prove`: that a record stands in a journal, as a file that somebody without the journal can check.
//!
//! The file is JSON with hexadecimal. It comes to the hash of one block, the anchor, which the checker must know from
//! elsewhere: a state that was published, a checkpoint, another copy of the journal.

use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use lakh_engine::codec;
use lakh_journal::proof::{Link, Proof};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::keys::{hex, unhex};

/// Proves a record, or checks a proof.
#[derive(Debug, clap::Args)]
pub(crate) struct ProveArguments {
    /// The journal's directory.
    #[arg(required_unless_present = "check", requires = "sequence")]
    directory: Option<PathBuf>,
    /// The record.
    sequence: Option<u64>,
    /// The block that the proof comes to; the journal's last one without it.
    #[arg(long, value_name = "BLOCK")]
    until: Option<u64>,
    /// Check this proof instead of making one.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["directory", "until"])]
    check: Option<PathBuf>,
    /// The hash that the proof has to come to.
    #[arg(long, value_name = "HASH", requires = "check")]
    anchor: Option<String>,
}

/// A proof as JSON.
#[derive(Serialize, Deserialize)]
struct ProofText {
    sequence: u64,
    block: String,
    links: Vec<LinkText>,
    anchor_block: u64,
    anchor: String,
}

#[derive(Serialize, Deserialize)]
struct LinkText {
    first_chunk: String,
    siblings: Vec<String>,
}

/// `lakh journal prove`.
pub(crate) fn run(arguments: &ProveArguments) -> Result<()> {
    match (arguments, &arguments.check) {
        (_, Some(file)) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
            check(&text, arguments.anchor.as_deref())
        }
        (ProveArguments { directory: Some(directory), sequence: Some(sequence), until, .. }, None) => {
            let proof = Proof::collect(directory, *sequence, *until)?;
            let proven = proof.check().map_err(|fault| anyhow!("the proof does not hold: {fault}"))?;
            let links = proof.links.iter().map(|link| LinkText {
                first_chunk: hex(&link.first_chunk),
                siblings: link.siblings.iter().map(|sibling| hex(sibling)).collect(),
            });
            let text = ProofText {
                sequence: proof.sequence,
                block: hex(&proof.block),
                links: links.collect(),
                anchor_block: proven.anchor_block,
                anchor: hex(&proven.anchor),
            };
            println!("{}", serde_json::to_string(&text)?);
            Ok(())
        }
        _ => bail!("name a journal and a record, or a proof to check"),
    }
}

fn check(text: &str, anchor: Option<&str>) -> Result<()> {
    let text: ProofText = serde_json::from_str(text).context("this is no proof")?;
    let link = |link: &LinkText| {
        let siblings: Option<Vec<[u8; 32]>> = link.siblings.iter().map(|sibling| unhex(sibling)).collect();
        Some(Link { first_chunk: bytes(&link.first_chunk)?, siblings: siblings? })
    };
    let links: Option<Vec<Link>> = text.links.iter().map(link).collect();
    let malformed = || anyhow!("this is no proof: a field is not hexadecimal or has a wrong length");
    let proof = Proof {
        sequence: text.sequence,
        block: bytes(&text.block).ok_or_else(malformed)?,
        links: links.ok_or_else(malformed)?,
    };
    let proven = proof.check().map_err(|fault| anyhow!("the proof does not hold: {fault}"))?;
    let found = hex(&proven.anchor);
    if let Some(anchor) = anchor
        && !anchor.eq_ignore_ascii_case(&found)
    {
        bail!("the proof comes to another hash: {found} of block {}", proven.anchor_block);
    }
    let command = codec::split_payload(proven.record.payload).ok().map(|(command, _)| format!("{command:?}"));
    println!(
        "{}",
        json!({
            "sequence": proven.record.header.sequence,
            "timestamp_ns": proven.record.header.timestamp_ns,
            "account": proven.record.header.account,
            "command": command,
            "payload": hex(proven.record.payload),
            "block": proven.block,
            "anchor_block": proven.anchor_block,
            "anchor": found,
            "anchor_compared": anchor.is_some(),
        })
    );
    Ok(())
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| unhex::<1>(core::str::from_utf8(pair).ok()?).map(|[byte]| byte);
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}
