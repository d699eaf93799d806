//! Checkpoints: the node's signature under a record's block hash and state hash, a line each in a file of its own.
//!
//! The hash chain shows a change to whoever has a later hash; a checkpoint gives that hash to everybody, with a name
//! under it. A journal whose whole chain was computed anew has no checkpoint that fits. What is signed is text:
//!
//! ```text
//! lakh journal checkpoint
//! exchange id, shard, sequence, block number, block hash, state hash: a line each, hashes in lower-case hexadecimal
//! ```
//!
//! A checkpoint covers only what is on stable storage: who signs one makes sure of that.
//! Bounds: one line of JSON a checkpoint; a check holds all of a file in memory.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use ed25519_dalek::{Signer as _, SigningKey};
use lakh_gateway::auth::signature::{Verdict, verify_bytes};
use serde::{Deserialize, Serialize};

use crate::history::Replay;
use crate::keys::{hex, unhex};

/// The file of a journal's own node, in the journal's directory.
pub(crate) fn path_in(journal: &Path) -> PathBuf {
    journal.join("checkpoints")
}

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    exchange: String,
    shard: u16,
    pub(crate) sequence: u64,
    pub(crate) block: u64,
    block_hash: String,
    state_hash: String,
    signature: String,
}

impl Checkpoint {
    fn text(&self) -> String {
        let Self { exchange, shard, sequence, block, block_hash, state_hash, .. } = self;
        format!("lakh journal checkpoint\n{exchange}\n{shard}\n{sequence}\n{block}\n{block_hash}\n{state_hash}\n")
    }

    /// What is to be signed behind the last record of `replay`.
    pub(crate) fn of(replay: &Replay) -> Self {
        Self {
            exchange: hex(&replay.source.exchange_id()),
            shard: replay.source.shard(),
            sequence: replay.engine.sequence().0,
            block: replay.place.block,
            block_hash: hex(&replay.place.block_hash),
            state_hash: hex(&replay.engine.state_hash()),
            signature: String::new(),
        }
    }

    fn sign(mut self, key: &SigningKey) -> Self {
        self.signature = hex(&key.sign(self.text().as_bytes()).to_bytes());
        self
    }
}

/// The end of a file of checkpoints, with the key that signs them.
pub(crate) struct CheckpointFile {
    file: File,
    key: SigningKey,
    /// The last record that is signed.
    pub(crate) last: u64,
}

impl CheckpointFile {
    /// Opens the file at its end, or makes it. A last line that a crash cut short was never told to anybody: it goes.
    pub(crate) fn open(path: &Path, key: SigningKey) -> Result<Self> {
        let mut file = File::options().read(true).append(true).create(true).open(path)?;
        let mut text = String::new();
        std::io::Read::read_to_string(&mut file, &mut text)
            .with_context(|| format!("{} is no file of checkpoints", path.display()))?;
        let whole = whole_lines(&text);
        if whole.len() < text.len() {
            file.set_len(whole.len() as u64)?;
        }
        let signed = parse(whole, path)?;
        Ok(Self { file, key, last: signed.last().map_or(0, |checkpoint| checkpoint.sequence) })
    }

    /// Signs and keeps a checkpoint; it is on stable storage on return.
    pub(crate) fn append(&mut self, checkpoint: Checkpoint) -> Result<()> {
        let signed = checkpoint.sign(&self.key);
        let line = format!("{}\n", serde_json::to_string(&signed)?);
        self.file.write_all(line.as_bytes())?;
        self.file.sync_data().context("the checkpoint is not on stable storage")?;
        self.last = signed.sequence;
        Ok(())
    }

    /// The public key in hexadecimal.
    pub(crate) fn signer(&self) -> String {
        hex(&self.key.verifying_key().to_bytes())
    }
}

/// Reads a file of checkpoints: in rising order.
pub(crate) fn read(path: &Path) -> Result<Vec<Checkpoint>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    parse(whole_lines(&text), path)
}

/// All but a last line that is not whole: its node is about to write it, or crashed on the way.
fn whole_lines(text: &str) -> &str {
    &text[..text.rfind('\n').map_or(0, |end| end + 1)]
}

fn parse(text: &str, path: &Path) -> Result<Vec<Checkpoint>> {
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
    /// Reads a file, and checks every signature if it is known who signed.
    pub(crate) fn new(path: &Path, signer: Option<&str>) -> Result<Self> {
        let checkpoints = read(path)?;
        ensure!(!checkpoints.is_empty(), "{} has no checkpoint", path.display());
        if let Some(signer) = signer {
            Self::check_signatures(&checkpoints, signer)?;
        }
        Ok(Self { rest: checkpoints.into_iter().peekable(), compared: 0 })
    }

    fn check_signatures(checkpoints: &[Checkpoint], signer: &str) -> Result<()> {
        let signer = unhex::<32>(signer).context("the signer is no public key of 64 hexadecimal digits")?;
        for checkpoint in checkpoints {
            let signature = unhex::<64>(&checkpoint.signature);
            let holds = |signature: [u8; 64]| {
                verify_bytes(&signer, checkpoint.text().as_bytes(), &signature) != Verdict::Refused
            };
            if !signature.is_some_and(holds) {
                bail!("the checkpoint at record {} is not signed by this key", checkpoint.sequence);
            }
        }
        Ok(())
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
