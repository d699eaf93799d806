//! What stands in a snapshot, how one is taken, and which one a replay may begin at.
//!
//! The payload of a snapshot's file is a sequence of sections, `u32 id ‖ u64 bytes ‖ bytes`; an unknown id is passed over.
//!
//! | id | section |
//! |---:|---|
//! | 1 | the engine's canonical snapshot |
//! | 2 | the gateway's read models |
//!
//! A snapshot is a cache, never evidence. It counts only where the journal still has the block with its sequence, and
//! that block has the hash that the snapshot names: at the level `async` a power cut may take a record back, and an
//! operator may give records up. One that does not count is passed over for an older one, with the reason; where none
//! counts, the replay begins at the first record. Two are kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use lakh_engine::command::{Command, Genesis};
use lakh_engine::{Engine, codec};
use lakh_gateway::directory::Directory;
use lakh_gateway::publisher::{Publisher, PublisherOptions};
use lakh_journal::JournalReader;
use lakh_journal::snapshot::{self, SnapshotHeader};
use lakh_journal::storage::{RealStorage, Storage};

use crate::history::{self, Replay};

const ENGINE_SECTION: u32 = 1;
const READ_MODELS_SECTION: u32 = 2;

/// The sections of a payload.
pub(crate) struct Sections<'a> {
    engine: &'a [u8],
    read_models: Option<&'a [u8]>,
}

impl<'a> Sections<'a> {
    /// Takes a payload apart.
    pub(crate) fn of(payload: &'a [u8]) -> Result<Self> {
        let (mut engine, mut read_models) = (None, None);
        let mut rest = payload;
        while let Some((head, behind)) = rest.split_first_chunk::<12>() {
            let (id, bytes) = head.split_at(4);
            let id = u32::from_le_bytes(id.try_into().expect("4 bytes"));
            let bytes = u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
            let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= behind.len());
            let (section, next) = behind.split_at(bytes.context("a section crosses its end")?);
            match id {
                ENGINE_SECTION => engine = Some(section),
                READ_MODELS_SECTION => read_models = Some(section),
                _ => {}
            }
            rest = next;
        }
        ensure!(rest.is_empty(), "it ends inside of a section's head");
        Ok(Self { engine: engine.context("it has no engine")?, read_models })
    }

    /// The engine.
    pub(crate) fn engine(&self) -> Result<Engine> {
        Engine::from_snapshot(self.engine).map_err(|error| anyhow!("its engine is not of this version: {error:?}"))
    }

    /// The bytes of the read models.
    pub(crate) fn read_models(&self) -> Result<&'a [u8]> {
        self.read_models.context("it has no read models")
    }
}

/// A snapshot's payload.
pub(crate) fn payload_of(engine: &Engine, read_models: &Publisher) -> Vec<u8> {
    let sections = [(ENGINE_SECTION, engine.snapshot()), (READ_MODELS_SECTION, read_models.save())];
    let mut payload = Vec::with_capacity(sections.iter().map(|(_, section)| 12 + section.len()).sum());
    for (id, section) in sections {
        payload.extend_from_slice(&id.to_le_bytes());
        payload.extend_from_slice(&(section.len() as u64).to_le_bytes());
        payload.extend_from_slice(&section);
    }
    payload
}

/// What was written.
pub(crate) struct Taken {
    pub(crate) path: PathBuf,
    pub(crate) sequence: u64,
    pub(crate) bytes: usize,
    pub(crate) seconds: f64,
}

/// Keeps the state behind the last record of `replay`, which has found everything equal so far: a snapshot of a replay
/// that has diverged would spread the divergence to every later start.
pub(crate) fn take<S: Storage>(
    storage: &S,
    replay: &Replay,
    read_models: &Publisher,
    directory: &Path,
) -> Result<Taken> {
    let started = Instant::now();
    let sequence = replay.engine.sequence().0;
    let header = SnapshotHeader {
        exchange_id: replay.source.exchange_id(),
        shard: replay.source.shard(),
        sequence,
        block_hash: replay.place.block_hash,
    };
    let payload = payload_of(&replay.engine, read_models);
    let path = snapshot::save(storage, directory, &header, &payload)?;
    Ok(Taken { path, sequence, bytes: payload.len(), seconds: started.elapsed().as_secs_f64() })
}

/// A snapshot that counts.
pub(crate) struct Found<T> {
    pub(crate) sequence: u64,
    pub(crate) engine: Engine,
    /// What the caller made of it.
    pub(crate) opened: T,
    /// Stands behind the snapshot's record.
    pub(crate) reader: JournalReader,
}

/// What a search found.
pub(crate) struct Search<T> {
    pub(crate) found: Option<Found<T>>,
    /// Why newer snapshots did not count.
    pub(crate) passed_over: Vec<String>,
}

/// Looks for the newest snapshot that counts, is not behind record `until`, and that `open` takes.
///
/// # Errors
/// When there is no journal, or its directory cannot be read. No snapshot is an error.
pub(crate) fn find<T>(
    directory: &Path,
    until: u64,
    mut open: impl FnMut(&Sections<'_>) -> Result<T>,
) -> Result<Search<T>> {
    let first = history::open(directory)?;
    let identity = (&first.exchange_id(), first.shard());
    let mut search = Search { found: None, passed_over: Vec::new() };
    for sequence in snapshot::list(&RealStorage, directory, identity.1)?.into_iter().filter(|at| *at <= until) {
        match attempt(directory, identity, sequence, &mut open) {
            Ok(found) => {
                search.found = Some(found);
                break;
            }
            Err(error) => search.passed_over.push(format!("the snapshot of record {sequence}: {error:#}")),
        }
    }
    Ok(search)
}

/// Whether the journal has its first record; else earlier segments stand in the archive.
pub(crate) fn begins_at_first(directory: &Path) -> Result<bool> {
    let mut reader = history::open(directory)?;
    let first = reader.next()?.map(|record| record.header.sequence);
    Ok(first.is_none_or(|sequence| sequence == 1))
}

/// Engine and read models behind the newest snapshot that has both, or before the first record.
pub(crate) fn begin(directory: &Path) -> Result<(Replay, Publisher, u64)> {
    let search = find(directory, u64::MAX, |sections| {
        let engine = sections.engine()?;
        let genesis = engine.genesis().context("its engine has no genesis")?;
        let names = Arc::new(Directory::new(genesis.venue_tag, genesis.mode));
        let mut read_models = Publisher::new(PublisherOptions::default(), names);
        let loaded = read_models.load(sections.read_models()?);
        loaded.map_err(|error| anyhow!("its read models are not of this version: {error:?}"))?;
        Ok(read_models)
    })?;
    for reason in &search.passed_over {
        tracing::warn!("{reason}");
    }
    if let Some(found) = search.found {
        return Ok((Replay::behind(directory, found.engine, found.reader)?, found.opened, found.sequence));
    }
    let names = Arc::new(names_of_first(directory)?);
    Ok((Replay::from_first(directory)?, Publisher::new(PublisherOptions::default(), names), 0))
}

/// An empty directory of the venue that the journal's first record makes.
fn names_of_first(directory: &Path) -> Result<Directory> {
    let mut reader = history::open(directory)?;
    let first = reader.next()?.and_then(|record| codec::split_payload(record.payload).ok());
    match first {
        Some((Command::Genesis(Genesis { venue_tag, mode, .. }), _)) => Ok(Directory::new(venue_tag, mode)),
        _ => bail!("the journal in {} does not begin with a genesis", directory.display()),
    }
}

fn attempt<T>(
    directory: &Path,
    identity: (&[u8; 16], u16),
    sequence: u64,
    open: &mut impl FnMut(&Sections<'_>) -> Result<T>,
) -> Result<Found<T>> {
    let loaded = snapshot::load(&RealStorage, directory, identity, sequence)?;
    let reader = JournalReader::open_behind(directory, sequence)?;
    let is_on_chain = reader.block().is_some_and(|block| block.hash == loaded.header.block_hash);
    ensure!(is_on_chain, "it is of another history than this journal's");
    let sections = Sections::of(&loaded.payload)?;
    let engine = sections.engine()?;
    ensure!(engine.sequence().0 == sequence, "its engine stands at record {}", engine.sequence());
    Ok(Found { sequence, engine, opened: open(&sections)?, reader })
}
