//! `lakh journal checkpoint`: the node's signature under a record's block hash and state hash, in a file of its own.
//!
//! The hash chain shows a change to whoever has a later hash; a checkpoint gives that hash to everybody, with a name
//! under it. A journal whose whole chain was computed anew has no checkpoint that fits. What is signed is text:
//!
//! ```text
//! lakh journal checkpoint
//! exchange id, shard, sequence, block number, block hash, state hash: a line each, hashes in lower-case hexadecimal
//! ```
//!
//! A checkpoint covers only what is on stable storage: a later block says so of an earlier one (*durable block*), and
//! of the last block of a journal that nobody writes this program makes it true before it signs.
//! Bounds: one line of JSON a checkpoint; a check holds all of a file in memory.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use ed25519_dalek::{Signer as _, SigningKey};
use lakh_gateway::auth::signature::{Verdict, verify_bytes};
use lakh_journal::Follower;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::JournalArguments;
use super::states::Replay;
use crate::keys::{self, hex, unhex};
use crate::progress;

/// Signs checkpoints.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckpointArguments {
    #[command(flatten)]
    journal: JournalArguments,
    /// The node's key, as `lakh keygen` writes it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The file of checkpoints; new ones are appended.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Records between two checkpoints; the journal's last record has one, too.
    #[arg(long, value_name = "RECORDS", default_value_t = 65_536, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
}

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    exchange: String,
    shard: u16,
    sequence: u64,
    block: u64,
    block_hash: String,
    state_hash: String,
    signature: String,
}

impl Checkpoint {
    fn text(&self) -> String {
        let Self { exchange, shard, sequence, block, block_hash, state_hash, .. } = self;
        format!("lakh journal checkpoint\n{exchange}\n{shard}\n{sequence}\n{block}\n{block_hash}\n{state_hash}\n")
    }

    fn of(replay: &Replay) -> Self {
        Self {
            exchange: hex(&replay.reader.exchange_id()),
            shard: replay.reader.shard(),
            sequence: replay.engine.sequence().0,
            block: replay.block,
            block_hash: hex(&replay.block_hash),
            state_hash: hex(&replay.engine.state_hash()),
            signature: String::new(),
        }
    }

    fn sign(mut self, key: &SigningKey) -> Self {
        self.signature = hex(&key.sign(self.text().as_bytes()).to_bytes());
        self
    }
}

/// `lakh journal checkpoint`.
pub(crate) fn run(arguments: &CheckpointArguments) -> Result<()> {
    let JournalArguments { directory, json } = &arguments.journal;
    keys::read_private(&arguments.key)?;
    let key = keys::read_key(&arguments.key)?;
    let signed = if arguments.out.exists() { read(&arguments.out)? } else { Vec::new() };
    let mut last = signed.last().map_or(0, |checkpoint| checkpoint.sequence);
    let mut replay = Replay::from_newest(directory, last)?;
    let mut out = File::options().append(true).create(true).open(&arguments.out)?;
    let bar = progress::counter("replaying", *json);
    let mut waiting: Option<Checkpoint> = None;
    let mut count = 0;
    let mut write = |checkpoint: Checkpoint| -> Result<()> {
        writeln!(out, "{}", serde_json::to_string(&checkpoint.sign(&key))?)?;
        count += 1;
        out.sync_data().context("the checkpoint is not on stable storage")
    };
    while replay.step()? {
        bar.inc(1);
        let durable = |checkpoint: &mut Checkpoint| replay.durable_block >= checkpoint.block;
        if let Some(checkpoint) = waiting.take_if(durable) {
            write(checkpoint)?;
        }
        let sequence = replay.engine.sequence().0;
        if sequence >= last + arguments.every && waiting.is_none() {
            waiting = Some(Checkpoint::of(&replay));
            last = sequence;
        }
    }
    bar.finish_and_clear();
    if !Follower::open(directory)?.is_attached() {
        sync_segments(directory)?;
        waiting.take().map(&mut write).transpose()?;
        if replay.engine.sequence().0 > last {
            write(Checkpoint::of(&replay))?;
        }
    }
    let public = hex(&key.verifying_key().to_bytes());
    if *json {
        println!("{}", json!({ "checkpoints": count, "last_sequence": replay.engine.sequence().0, "signer": public }));
    } else {
        println!("{count} checkpoint(s) signed by {public}");
    }
    Ok(())
}

/// Makes what a dead writer may have left in the page cache durable. Nobody writes these files now.
fn sync_segments(directory: &Path) -> Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "lkj") {
            File::open(&path)?.sync_all().with_context(|| format!("{} cannot be synced", path.display()))?;
        }
    }
    Ok(())
}

/// Reads a file of checkpoints: in rising order.
pub(crate) fn read(path: &Path) -> Result<Vec<Checkpoint>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let parsed: Result<Vec<Checkpoint>, _> = text.lines().map(serde_json::from_str).collect();
    let checkpoints = parsed.with_context(|| format!("{} is no file of checkpoints", path.display()))?;
    ensure!(
        checkpoints.is_sorted_by(|one, next| one.sequence < next.sequence),
        "the checkpoints in {} are not in order",
        path.display()
    );
    Ok(checkpoints)
}

/// Checkpoints that are held against a replay.
pub(crate) struct Held {
    rest: std::iter::Peekable<std::vec::IntoIter<Checkpoint>>,
    pub(crate) compared: u64,
}

impl Held {
    /// Checks every signature.
    pub(crate) fn new(path: &Path, signer: &str) -> Result<Self> {
        let signer = unhex::<32>(signer).context("the signer is no public key of 64 hexadecimal digits")?;
        let checkpoints = read(path)?;
        ensure!(!checkpoints.is_empty(), "{} has no checkpoint", path.display());
        for checkpoint in &checkpoints {
            let signature = unhex::<64>(&checkpoint.signature);
            let holds = |signature: [u8; 64]| {
                verify_bytes(&signer, checkpoint.text().as_bytes(), &signature) != Verdict::Refused
            };
            if !signature.is_some_and(holds) {
                bail!("the checkpoint at record {} is not signed by this key", checkpoint.sequence);
            }
        }
        Ok(Self { rest: checkpoints.into_iter().peekable(), compared: 0 })
    }

    /// Compares the checkpoint at the record that was just applied, if there is one.
    pub(crate) fn compare(&mut self, replay: &Replay) -> Result<()> {
        let sequence = replay.engine.sequence().0;
        let Some(checkpoint) = self.rest.next_if(|checkpoint| checkpoint.sequence == sequence) else { return Ok(()) };
        let found = Checkpoint { signature: checkpoint.signature.clone(), ..Checkpoint::of(replay) };
        if found != checkpoint {
            bail!("at record {sequence} the journal is not the one that was signed: {found:?} against {checkpoint:?}");
        }
        self.compared += 1;
        Ok(())
    }

    /// Whether the journal has a record for each checkpoint.
    pub(crate) fn finish(&mut self) -> Result<()> {
        match self.rest.peek() {
            Some(checkpoint) => bail!("the journal ends before record {}, which was signed", checkpoint.sequence),
            None => Ok(()),
        }
    }
}
