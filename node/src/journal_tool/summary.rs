//! `lakh journal info` and `verify`: what a journal holds, and whether every byte of it is right.
//!
//! `verify --states` replays besides and compares each state hash and event digest that the live engine left in the
//! blocks, from the newest snapshot that fits or, with `--full`, from the first record.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use lakh_journal::storage::RealStorage;
use lakh_journal::verify::{self, Activity, Verification};
use lakh_journal::{Follower, retention, snapshot};
use serde_json::{Value, json};

use super::{JournalArguments, states};
use crate::checkpoints::Held;
use crate::keys::hex;
use crate::progress;

/// Verifies a journal.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    journal: JournalArguments,
    /// Replay, too, and compare the state hashes and event digests that stand in the blocks.
    #[arg(long)]
    states: bool,
    /// Replay from the first record even where a snapshot fits.
    #[arg(long, requires = "states")]
    full: bool,
    /// Hold the journal against these checkpoints; replays from the first record.
    #[arg(long, value_name = "FILE", requires = "states", requires = "signer")]
    checkpoints: Option<PathBuf>,
    /// The public key that signed them, in hexadecimal.
    #[arg(long, value_name = "KEY", requires = "checkpoints")]
    signer: Option<String>,
}

/// `lakh journal info`.
pub(crate) fn info(arguments: &JournalArguments) -> Result<()> {
    let overview = verify::overview(&arguments.directory)?;
    let live = Follower::open(&arguments.directory)?.is_attached();
    let snapshots = snapshot::list(&RealStorage, &arguments.directory, overview.shard)?;
    let archived = retention::archived(&RealStorage, &arguments.directory)?;
    if arguments.json {
        let mut value = as_json(&overview, live);
        value["snapshots"] = json!(snapshots);
        value["archived"] = json!(archived.iter().map(|segment| segment.index).collect::<Vec<_>>());
        println!("{value}");
        return Ok(());
    }
    print_journal(&overview);
    println!("snapshots     {snapshots:?} (records)");
    println!("archived      {} segment(s)", archived.len());
    println!("writer        {}", if live { "running" } else { "none" });
    println!("segment             blocks      records    first sequence         bytes used  state");
    for segment in &overview.segments {
        println!(
            "{:<16} {:>9} {:>12} {:>17} {:>18}  {}",
            segment.index,
            segment.blocks,
            segment.records,
            segment.first_sequence,
            segment.used_bytes,
            if segment.sealed { "sealed" } else { "active" }
        );
    }
    Ok(())
}

/// `lakh journal verify`. Fails on damage and on findings.
pub(crate) fn verify(arguments: &VerifyArguments) -> Result<()> {
    let JournalArguments { directory, json } = &arguments.journal;
    let live = Follower::open(directory)?.is_attached();
    let activity = if live { Activity::Live } else { Activity::AtRest };
    let started = Instant::now();
    let bar = progress::counter("verifying", *json);
    let verification = verify::verify(directory, activity, &|records| bar.inc(records))?;
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    let held = arguments.checkpoints.as_deref().zip(arguments.signer.as_deref());
    let held = held.map(|(file, signer)| Held::new(file, Some(signer))).transpose()?;
    let states = arguments.states.then(|| states::check(directory, arguments.full, *json, held)).transpose()?;
    if *json {
        let mut value = as_json(&verification, live);
        value["seconds"] = json!(seconds);
        value["states"] = json!(states);
        println!("{value}");
    } else {
        print_journal(&verification);
        println!("verified in   {seconds:.2} s{}", if live { ", beside a running writer" } else { "" });
        if let Some(states) = &states {
            println!("{states}");
        }
        println!("findings      {}", verification.findings.len());
        for finding in &verification.findings {
            println!("  {}: {}", finding.path.display(), finding.detail);
        }
    }
    if !verification.findings.is_empty() {
        bail!("{} thing(s) are not as they should be; nothing acknowledged is lost", verification.findings.len());
    }
    Ok(())
}

fn print_journal(journal: &Verification) {
    println!("exchange      {}", hex(&journal.exchange_id));
    println!("shard         {}", journal.shard);
    println!("segments      {}", journal.segments.len());
    println!("blocks        {}", journal.blocks());
    println!("records       {}", journal.records());
    println!("last sequence {}", journal.last_sequence);
    println!("last block    {} {}", journal.last_block, hex(&journal.last_block_hash));
    println!("openings      {}", journal.term);
}

fn as_json(journal: &Verification, live: bool) -> Value {
    let segments: Vec<Value> = journal
        .segments
        .iter()
        .map(|segment| {
            json!({
                "index": segment.index,
                "segment_bytes": segment.segment_bytes,
                "used_bytes": segment.used_bytes,
                "first_block": segment.first_block,
                "blocks": segment.blocks,
                "first_sequence": segment.first_sequence,
                "records": segment.records,
                "nonce": format!("{:016x}", segment.nonce),
                "software_version": segment.software_version,
                "sealed": segment.sealed,
            })
        })
        .collect();
    let findings: Vec<Value> = journal
        .findings
        .iter()
        .map(|finding| json!({ "path": finding.path.display().to_string(), "detail": finding.detail }))
        .collect();
    json!({
        "exchange": hex(&journal.exchange_id),
        "shard": journal.shard,
        "live": live,
        "blocks": journal.blocks(),
        "records": journal.records(),
        "last_sequence": journal.last_sequence,
        "last_timestamp_ns": journal.last_timestamp_ns,
        "last_block": journal.last_block,
        "last_block_hash": hex(&journal.last_block_hash),
        "openings": journal.term,
        "segments": segments,
        "findings": findings,
    })
}
