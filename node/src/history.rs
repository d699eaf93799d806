//! Going through a journal from its first record: what replay, audit and a start of the node have in common.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use lakh_engine::Engine;
use lakh_engine::codec;
use lakh_engine::command::{Command, Genesis};
use lakh_engine::event::Event;
use lakh_engine::ids::Sequence;
use lakh_engine::units::Timestamp;
use lakh_journal::JournalReader;
use lakh_settlement::follower::{Fate, Quarantines, Venue};

/// One record of the journal and what the engine made of it.
pub(crate) struct Step<'a> {
    /// Its place.
    pub(crate) sequence: Sequence,
    /// Its time.
    pub(crate) timestamp: Timestamp,
    /// What was asked.
    pub(crate) command: &'a Command,
    /// The evidence behind it.
    pub(crate) evidence: &'a [u8],
    /// What it caused.
    pub(crate) events: &'a [Event],
    /// Whether it counts.
    pub(crate) fate: Fate,
}

/// Applies every record of the journal in `directory` to a new engine and shows each one to `look` afterwards.
///
/// # Errors
/// When the journal cannot be read or is not what it should be, with the sequence; and what `look` returns.
pub(crate) fn replay(directory: &Path, mut look: impl FnMut(&Engine, &Step<'_>) -> Result<()>) -> Result<Engine> {
    let quarantines = Quarantines::scan(directory).context("the journal's quarantines cannot be read")?;
    let mut reader = open(directory)?;
    let mut engine = Engine::new();
    let mut events = Vec::with_capacity(Engine::MAX_EVENTS);
    while let Some(record) = reader.next()? {
        let sequence = Sequence(record.header.sequence);
        let timestamp = Timestamp(record.header.timestamp_ns);
        let (command, evidence) = match codec::split_payload(record.payload) {
            Ok(parts) => parts,
            Err(error) => bail!("record {sequence} is no command that this version knows: {error:?}"),
        };
        if record.header.kind != command.kind() || record.header.account != command.account().0 {
            bail!("record {sequence}: its header names another type or account than its command");
        }
        if timestamp < engine.now() {
            bail!("record {sequence}: its time is before the last record's");
        }
        let fate = quarantines.apply(&mut engine, (sequence, timestamp), &command, &mut events);
        look(&engine, &Step { sequence, timestamp, command: &command, evidence, events: &events, fate })?;
    }
    Ok(engine)
}

/// The contract that a journal's genesis names; `None` where it names none.
///
/// # Errors
/// When the journal cannot be read or does not begin with a genesis.
pub(crate) fn venue(directory: &Path) -> Result<Option<Venue>> {
    let mut reader = open(directory)?;
    let first = reader.next()?.map(|record| codec::split_payload(record.payload).map(|(command, _)| command));
    match first {
        Some(Ok(Command::Genesis(Genesis { settlement, .. }))) => Ok(Venue::of_binding(settlement)),
        _ => bail!("the journal in {} does not begin with a genesis", directory.display()),
    }
}

fn open(directory: &Path) -> Result<JournalReader> {
    JournalReader::open(directory).with_context(|| format!("the journal in {} cannot be opened", directory.display()))
}
