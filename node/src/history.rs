//! An engine on its way through a journal: what replay, audit, a start of the node and its keeper have in common.
//!
//! On the way everything is compared that the live engine left in the blocks: the running digest of its events in
//! nearly every block, its state hash at each start. A difference ends the way with the first record at which it shows.
//! The way begins at the first record or behind a snapshot, and goes through the segments or along with a live writer.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use lakh_engine::Engine;
use lakh_engine::codec;
use lakh_engine::command::{Command, Genesis};
use lakh_engine::event::Event;
use lakh_engine::ids::Sequence;
use lakh_engine::units::Timestamp;
use lakh_gateway::publisher::{Past, Publisher};
use lakh_journal::{BlockHeader, Follower, JournalError, JournalReader, Record, RecordHeader};
use lakh_settlement::follower::{Fate, Quarantines, Venue};

use crate::keys::hex;

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

/// Where the records come from.
pub(crate) enum Source {
    /// The segments, as far as they go.
    Segments(JournalReader),
    /// The segments and then the running writer, as far as it is durable.
    Live(Follower),
}

impl Source {
    fn next(&mut self) -> Result<Option<Record<'_>>, JournalError> {
        match self {
            Self::Segments(reader) => reader.next(),
            Self::Live(follower) => follower.poll(),
        }
    }

    fn block(&self) -> Option<&BlockHeader> {
        match self {
            Self::Segments(reader) => reader.block(),
            Self::Live(follower) => follower.block(),
        }
    }

    /// The exchange whose journal it is.
    pub(crate) fn exchange_id(&self) -> [u8; 16] {
        match self {
            Self::Segments(reader) => reader.exchange_id(),
            Self::Live(follower) => follower.exchange_id(),
        }
    }

    /// The shard whose journal it is.
    pub(crate) fn shard(&self) -> u16 {
        match self {
            Self::Segments(reader) => reader.shard(),
            Self::Live(follower) => follower.shard(),
        }
    }
}

/// The block of the last record. The source's own block may be an empty one behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its number.
    pub(crate) block: u64,
    /// Its hash.
    pub(crate) block_hash: [u8; 32],
    /// The newest block that it says was on stable storage before it.
    pub(crate) durable_block: u64,
}

/// How often the live engine and this one were found equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Compared {
    pub(crate) state_hashes: u64,
    pub(crate) event_digests: u64,
}

/// See the module.
pub(crate) struct Replay {
    pub(crate) engine: Engine,
    pub(crate) source: Source,
    pub(crate) place: Place,
    pub(crate) compared: Compared,
    quarantines: Quarantines,
    /// Room for the records of one look at the source: those before `next` have been applied.
    read: Vec<ReadRecord>,
    next: usize,
    /// How many that look has found.
    count: usize,
    /// What stands in the way behind them.
    trouble: Option<anyhow::Error>,
}

/// A record that is read ahead, and what the engine made of it once it is applied.
struct ReadRecord {
    header: RecordHeader,
    command: Command,
    evidence: Vec<u8>,
    /// The record's block.
    place: Place,
    /// What the live engine left in it, if it is about this record.
    noted: Option<Noted>,
    events: Vec<Event>,
    fate: Fate,
}

/// What the live engine had come to; zeroes for what it did not note.
#[derive(Clone, Copy)]
struct Noted {
    event_digest: [u8; 32],
    state_hash: [u8; 32],
}

impl ReadRecord {
    /// Room for one.
    fn empty() -> Self {
        Self {
            header: RecordHeader::default(),
            command: Command::Continue,
            evidence: Vec::new(),
            place: Place::default(),
            noted: None,
            events: Vec::new(),
            fate: Fate::Applied,
        }
    }

    fn step(&self) -> Step<'_> {
        let Self { header, command, evidence, events, fate, .. } = self;
        let (sequence, timestamp) = (Sequence(header.sequence), Timestamp(header.timestamp_ns));
        Step { sequence, timestamp, command, evidence, events, fate: *fate }
    }
}

impl Replay {
    /// Begins at the first record of the journal in `directory`.
    pub(crate) fn from_first(directory: &Path) -> Result<Self> {
        Self::behind(directory, Engine::new(), open(directory)?)
    }

    /// Goes on through the journal in `directory` with an engine whose last record is the one before the reader's next.
    pub(crate) fn behind(directory: &Path, engine: Engine, reader: JournalReader) -> Result<Self> {
        let rest = match engine.sequence() {
            Sequence(0) => JournalReader::open(directory)?,
            Sequence(last) => JournalReader::open_behind(directory, last)?,
        };
        let quarantines = Quarantines::scan(rest).context("the journal's quarantines cannot be read")?;
        Ok(Self::new(engine, Source::Segments(reader), quarantines))
    }

    /// Goes along with a running writer. What that has applied is not quarantined afterwards.
    pub(crate) fn along(engine: Engine, follower: Follower) -> Self {
        Self::new(engine, Source::Live(follower), Quarantines::default())
    }

    fn new(engine: Engine, source: Source, quarantines: Quarantines) -> Self {
        Self {
            engine,
            source,
            place: Place::default(),
            compared: Compared::default(),
            quarantines,
            read: std::iter::repeat_with(ReadRecord::empty).take(Engine::PREFETCH_MAX).collect(),
            next: 0,
            count: 0,
            trouble: None,
        }
    }

    /// Applies the next record; `None` where there is none now.
    ///
    /// # Errors
    /// When the journal cannot be read or is not what it should be, or the live engine had done otherwise.
    pub(crate) fn step(&mut self) -> Result<Option<Step<'_>>> {
        self.read_ahead()?;
        if self.next == self.count {
            return Ok(None);
        }
        self.apply_next()?;
        Ok(Some(self.read[self.next - 1].step()))
    }

    /// Applies the records that are at hand, [`Engine::PREFETCH_MAX`] at most, until they have caused `enough` events; none
    /// where there is none now.
    ///
    /// # Errors
    /// As [`Self::step`]. What was applied in front of it is not told then.
    pub(crate) fn steps(&mut self, enough: usize) -> Result<impl ExactSizeIterator<Item = Step<'_>> + Clone> {
        self.read_ahead()?;
        let (first, mut caused) = (self.next, 0);
        while self.next < self.count {
            self.apply_next()?;
            caused += self.read[self.next - 1].events.len();
            if caused >= enough {
                break;
            }
        }
        Ok(self.read[first..self.next].iter().map(ReadRecord::step))
    }

    /// Where every record that is read has been applied: reads the next ones, and asks memory for what they will touch.
    fn read_ahead(&mut self) -> Result<()> {
        if self.next < self.count {
            return Ok(());
        }
        (self.next, self.count) = (0, 0);
        if let Some(trouble) = self.trouble.take() {
            return Err(trouble);
        }
        while self.count < Engine::PREFETCH_MAX {
            match self.read_one() {
                Ok(true) => self.count += 1,
                Ok(false) => break,
                // What stands in front of it counts.
                Err(trouble) if self.count > 0 => {
                    self.trouble = Some(trouble);
                    break;
                }
                Err(trouble) => return Err(trouble),
            }
        }
        self.engine.prefetch(self.read[..self.count].iter().map(|read| &read.command));
        Ok(())
    }

    /// Reads one record behind those that are read; says whether there is one.
    fn read_one(&mut self) -> Result<bool> {
        let Some(record) = self.source.next()? else { return Ok(false) };
        let header = record.header;
        ensure!(
            header.schema_version == codec::SCHEMA_VERSION,
            "record {} is of schema {}, and this version knows schema {}",
            header.sequence,
            header.schema_version,
            codec::SCHEMA_VERSION
        );
        let (command, evidence) = match codec::split_payload(record.payload) {
            Ok(parts) => parts,
            Err(error) => bail!("record {} is no command that this version knows: {error:?}", header.sequence),
        };
        // In the room of a record that has been applied.
        let read = &mut self.read[self.count];
        (read.header, read.command) = (header, command);
        read.evidence.clear();
        read.evidence.extend_from_slice(evidence);
        let block = self.source.block().context("a record stands in a block")?;
        read.place = Place { block: block.number, block_hash: block.hash, durable_block: block.durable_block };
        let &BlockHeader { event_digest, state_hash, .. } = block;
        read.noted = (block.state_sequence == header.sequence).then_some(Noted { event_digest, state_hash });
        Ok(true)
    }

    /// Applies the next record that is read.
    fn apply_next(&mut self) -> Result<()> {
        let read = &mut self.read[self.next];
        self.next += 1;
        let header = read.header;
        let (sequence, timestamp) = (Sequence(header.sequence), Timestamp(header.timestamp_ns));
        ensure!(
            sequence.0 == self.engine.sequence().0 + 1,
            "record {sequence} comes next, and the replay stands at {}: earlier records stand in the archive, `lakh \
             journal restore` brings them back",
            self.engine.sequence()
        );
        if header.kind != read.command.kind() || header.account != read.command.account().0 {
            bail!("record {sequence}: its header names another type or account than its command");
        }
        ensure!(timestamp >= self.engine.now(), "record {sequence}: its time is before the last record's");
        let place = (sequence, timestamp);
        read.fate = self.quarantines.apply(&mut self.engine, place, &read.command, &mut read.events);
        self.compare(sequence.0)
    }

    /// Compares what the block says about the record that was just applied.
    fn compare(&mut self, sequence: u64) -> Result<()> {
        let ReadRecord { place, noted, .. } = &self.read[self.next - 1];
        self.place = *place;
        let Some(Noted { event_digest, state_hash }) = *noted else { return Ok(()) };
        if event_digest != [0; 32] {
            self.compared.event_digests += 1;
            if event_digest != self.engine.event_digest() {
                bail!("at record {sequence} the live engine had caused other events than this replay");
            }
        }
        if state_hash != [0; 32] {
            self.compared.state_hashes += 1;
            let found = self.engine.state_hash();
            if state_hash != found {
                let (live, replayed) = (hex(&state_hash), hex(&found));
                bail!("at record {sequence} the live engine was in state {live}, and this replay is in {replayed}");
            }
        }
        Ok(())
    }
}

/// Applies every record of the journal in `directory` to a new engine and shows each one to `look` afterwards.
///
/// # Errors
/// As [`Replay::step`]; and what `look` returns.
pub(crate) fn replay(directory: &Path, mut look: impl FnMut(&Step<'_>) -> Result<()>) -> Result<Replay> {
    let mut replay = Replay::from_first(directory)?;
    while let Some(step) = replay.step()? {
        look(&step)?;
    }
    Ok(replay)
}

/// Takes what records have caused into read models.
pub(crate) fn restore<'s>(read_models: &mut Publisher, steps: impl Iterator<Item = Step<'s>>) {
    let mut past =
        [const { Past { sequence: Sequence(0), timestamp: Timestamp::ZERO, events: &[] } }; Engine::PREFETCH_MAX];
    let mut count = 0;
    for (place, Step { sequence, timestamp, events, .. }) in past.iter_mut().zip(steps) {
        *place = Past { sequence, timestamp, events };
        count += 1;
    }
    read_models.restore_all(&past[..count]);
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

/// A reader at the journal's first record.
pub(crate) fn open(directory: &Path) -> Result<JournalReader> {
    JournalReader::open(directory).with_context(|| format!("the journal in {} cannot be opened", directory.display()))
}

#[cfg(test)]
mod tests {
    use lakh_engine::command::SettlementBinding;

    use super::*;
    use crate::audit::tests::{genesis, write_records};

    /// A genesis at 1 ns and `count` records behind it, each a nanosecond later.
    fn records(count: u64) -> Vec<(u64, Vec<u8>, Command)> {
        let commands =
            std::iter::once(genesis(SettlementBinding::NONE)).chain((0..count).map(|_| Command::AdvanceTime));
        let payload = |command: &Command| {
            let mut payload = Vec::new();
            codec::encode_payload(command, &[], &mut payload);
            payload
        };
        (1..).zip(commands).map(|(time, command)| (time, payload(&command), command)).collect()
    }

    fn journal(records: &[(u64, Vec<u8>, Command)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        write_records(
            directory.path(),
            records.iter().map(|(time, payload, command)| (*time, payload.as_slice(), command)),
        );
        directory
    }

    /// What stands in the way is told where it stands, though it is read ahead with what counts.
    #[test]
    fn everything_in_front_of_a_damaged_record_is_applied_first() {
        let bad_payload: fn(&mut (u64, Vec<u8>, Command)) = |record| record.1 = vec![0xff; 3];
        let earlier: fn(&mut (u64, Vec<u8>, Command)) = |record| record.0 = 1;
        for (damage, words) in [(bad_payload, "is no command"), (earlier, "its time is before")] {
            for bad in [2, 9, Engine::PREFETCH_MAX, Engine::PREFETCH_MAX + 1, 40] {
                let mut records = records(50);
                damage(&mut records[bad]);
                let journal = journal(&records);
                let mut replay = Replay::from_first(journal.path()).unwrap();
                for sequence in 1..=bad as u64 {
                    assert_eq!(replay.step().unwrap().map(|step| step.sequence), Some(Sequence(sequence)));
                }
                let error = format!("{:#}", replay.step().map(|_| ()).unwrap_err());
                assert!(error.contains(&format!("record {}", bad + 1)) && error.contains(words), "{error}");
                assert_eq!(replay.engine.sequence(), Sequence(bad as u64));
            }
        }
    }

    #[test]
    fn many_at_a_time_are_the_same_as_one_by_one() {
        let journal = journal(&records(50));
        let mut single = Replay::from_first(journal.path()).unwrap();
        let mut told = Vec::new();
        while let Some(step) = single.step().unwrap() {
            told.push((step.sequence, step.timestamp, step.command.clone(), step.events.to_vec()));
        }
        assert_eq!(told.len(), 51);
        for (enough, most) in [(0, 1), (usize::MAX, Engine::PREFETCH_MAX)] {
            let mut many = Replay::from_first(journal.path()).unwrap();
            // One in between, as a tool does that looks at some record.
            let first = many.step().unwrap().map(|step| step.sequence);
            assert_eq!(first, Some(Sequence(1)));
            let mut rest = &told[1..];
            loop {
                let steps = many.steps(enough).unwrap();
                assert!(steps.len() <= most, "{} records at a time, of {most}", steps.len());
                if steps.len() == 0 {
                    break;
                }
                let (these, behind) = rest.split_at(steps.len());
                for (step, (sequence, timestamp, command, events)) in steps.zip(these) {
                    assert_eq!((step.sequence, step.timestamp, step.command), (*sequence, *timestamp, command));
                    assert_eq!(step.events, events.as_slice());
                }
                rest = behind;
            }
            assert!(rest.is_empty());
            assert_eq!(many.engine.state_hash(), single.engine.state_hash());
            assert_eq!((many.place, many.compared), (single.place, single.compared));
        }
    }
}
