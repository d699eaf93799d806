//! The engine brought up to a journal's end, from the first record or from a snapshot, comparing on the way what the
//! live engine left in the blocks: its event digest every 65,536 records, its state hash at each start.
//!
//! A difference stops with the first record at which it shows. A snapshot counts only if the journal still has the
//! block with its sequence and that block has the hash that the snapshot names.

use std::fmt;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use indicatif::ProgressBar;
use lakh_engine::Engine;
use lakh_engine::codec;
use lakh_engine::event::Event;
use lakh_engine::ids::Sequence;
use lakh_engine::units::Timestamp;
use lakh_journal::JournalReader;
use lakh_journal::snapshot::{self, Snapshot};
use lakh_journal::storage::RealStorage;
use lakh_settlement::follower::Quarantines;
use serde::Serialize;

use super::checkpoints::Held;
use super::snapshots;
use crate::keys::hex;
use crate::progress;

/// What a check of the states came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct States {
    /// The snapshot's sequence; 0 = from the first record.
    pub(crate) from_snapshot: u64,
    pub(crate) records: u64,
    pub(crate) state_hashes_compared: u64,
    pub(crate) event_digests_compared: u64,
    pub(crate) checkpoints_compared: u64,
    pub(crate) last_sequence: u64,
    pub(crate) state_hash: String,
    pub(crate) event_digest: String,
    pub(crate) seconds: f64,
}

impl fmt::Display for States {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "replayed      {} records behind snapshot {}", self.records, self.from_snapshot)?;
        writeln!(formatter, "state hashes  {} compared, all equal", self.state_hashes_compared)?;
        writeln!(formatter, "event digests {} compared, all equal", self.event_digests_compared)?;
        writeln!(formatter, "checkpoints   {} compared, all equal", self.checkpoints_compared)?;
        writeln!(formatter, "state hash    {}", self.state_hash)?;
        write!(formatter, "replayed in   {:.2} s", self.seconds)
    }
}

/// An engine on its way through a journal.
pub(crate) struct Replay {
    pub(crate) engine: Engine,
    pub(crate) reader: JournalReader,
    /// Hash of the block with the last record. The reader's own block may be an empty one behind it.
    pub(crate) block_hash: [u8; 32],
    /// Number of that block.
    pub(crate) block: u64,
    /// The newest block that it says was on stable storage before it.
    pub(crate) durable_block: u64,
    events: Vec<Event>,
    quarantines: Quarantines,
    pub(crate) from_snapshot: u64,
    pub(crate) state_hashes_compared: u64,
    pub(crate) event_digests_compared: u64,
}

/// Replays to the end and compares. Checkpoints are compared from the first record on.
pub(crate) fn check(directory: &Path, full: bool, quiet: bool, mut held: Option<Held>) -> Result<States> {
    let started = Instant::now();
    let whole = full || held.is_some();
    let mut replay = if whole { Replay::from_first(directory)? } else { Replay::from_newest(directory, u64::MAX)? };
    let bar = progress::counter("replaying", quiet);
    let mut records = 0;
    while replay.step()? {
        records += 1;
        bar.inc(1);
        if let Some(held) = &mut held {
            held.compare(&replay)?;
        }
    }
    bar.finish_and_clear();
    if let Some(held) = &mut held {
        held.finish()?;
    }
    Ok(States {
        from_snapshot: replay.from_snapshot,
        records,
        state_hashes_compared: replay.state_hashes_compared,
        event_digests_compared: replay.event_digests_compared,
        checkpoints_compared: held.map_or(0, |held| held.compared),
        last_sequence: replay.engine.sequence().0,
        state_hash: hex(&replay.engine.state_hash()),
        event_digest: hex(&replay.engine.event_digest()),
        seconds: started.elapsed().as_secs_f64(),
    })
}

impl Replay {
    /// Begins at the first record.
    pub(crate) fn from_first(directory: &Path) -> Result<Self> {
        let reader = JournalReader::open(directory)
            .with_context(|| format!("the journal in {} cannot be opened", directory.display()))?;
        let quarantines = Quarantines::scan(directory).context("the journal's quarantines cannot be read")?;
        Ok(Self::new(Engine::new(), reader, quarantines, 0))
    }

    /// Begins behind the newest snapshot that is whole, on the chain and not behind record `until`; at the first record
    /// if there is none.
    pub(crate) fn from_newest(directory: &Path, until: u64) -> Result<Self> {
        let first = Self::from_first(directory)?;
        let identity = (&first.reader.exchange_id(), first.reader.shard());
        let mut behind = None;
        let found = snapshot::load_newest(&RealStorage, directory, identity, |header| {
            let at = || on_chain(directory, header.sequence, &header.block_hash);
            behind = (header.sequence <= until).then(at).flatten();
            behind.is_some()
        })?;
        match (found, behind) {
            (Some(Snapshot { header, payload }), Some(reader)) => {
                let engine = snapshots::engine_of(&payload)?;
                ensure!(engine.sequence().0 == header.sequence, "the snapshot's engine stands at another sequence");
                Ok(Self::new(engine, reader, first.quarantines, header.sequence))
            }
            _ => Ok(first),
        }
    }

    fn new(engine: Engine, reader: JournalReader, quarantines: Quarantines, from_snapshot: u64) -> Self {
        Self {
            engine,
            reader,
            block_hash: [0; 32],
            block: 0,
            durable_block: 0,
            events: Vec::with_capacity(Engine::MAX_EVENTS),
            quarantines,
            from_snapshot,
            state_hashes_compared: 0,
            event_digests_compared: 0,
        }
    }

    /// Applies everything up to the journal's end; returns the count of records.
    pub(crate) fn run_to_end(&mut self, bar: &ProgressBar) -> Result<u64> {
        let mut count = 0;
        while self.step()? {
            count += 1;
            bar.inc(1);
        }
        Ok(count)
    }

    /// Applies the next record; false at the end.
    pub(crate) fn step(&mut self) -> Result<bool> {
        let Some(record) = self.reader.next()? else { return Ok(false) };
        let sequence = record.header.sequence;
        let command = codec::split_payload(record.payload).map(|(command, _)| command);
        let command = command.map_err(|error| anyhow!("record {sequence} is no known command: {error:?}"))?;
        let timestamp = Timestamp(record.header.timestamp_ns);
        ensure!(timestamp >= self.engine.now(), "record {sequence}: its time is before the last record's");
        let place = (Sequence(sequence), timestamp);
        self.quarantines.apply(&mut self.engine, place, &command, &mut self.events);
        self.compare(sequence)?;
        Ok(true)
    }

    /// Compares what the block says about this record.
    fn compare(&mut self, sequence: u64) -> Result<()> {
        let block = *self.reader.block().context("a record stands in a block")?;
        (self.block, self.block_hash, self.durable_block) = (block.number, block.hash, block.durable_block);
        if block.state_sequence != sequence {
            return Ok(());
        }
        if block.event_digest != [0; 32] {
            self.event_digests_compared += 1;
            if block.event_digest != self.engine.event_digest() {
                bail!("at record {sequence} the live engine had caused other events than this replay");
            }
        }
        if block.state_hash != [0; 32] {
            self.state_hashes_compared += 1;
            if block.state_hash != self.engine.state_hash() {
                bail!("at record {sequence} the live engine was in another state than this replay");
            }
        }
        Ok(())
    }
}

/// A reader behind `sequence`, if the journal has it in a block with this hash.
fn on_chain(directory: &Path, sequence: u64, block_hash: &[u8; 32]) -> Option<JournalReader> {
    let reader = JournalReader::open_behind(directory, sequence).ok()?;
    reader.block().is_some_and(|block| block.hash == *block_hash).then_some(reader)
}
