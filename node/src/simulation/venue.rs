//! One life of the simulated exchange: its parts, wired as `pipeline.rs` wires its threads, each turned by hand.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use lakh_config::{Config, GenesisSeed};
use lakh_engine::Engine;
use lakh_engine::ids::Sequence;
use lakh_gateway::counters::Counters;
use lakh_gateway::directory::Directory;
use lakh_gateway::hand_over::{SessionHandle, ToSession};
use lakh_gateway::key_budgets::{KeyBudgets, KeyLimits};
use lakh_gateway::limits::{Rate, TokenBucket};
use lakh_gateway::output_ring::{OutputReceiver, output_ring};
use lakh_gateway::publisher::{Gate, Publisher, PublisherOptions};
use lakh_gateway::session::{Session, SessionContext, SessionOptions};
use lakh_gateway::verifier::{Jobs, ReadDigests, Verifier, VerifierOptions, VerifierQueue, VerifierWiring};
use lakh_journal::faults::SimulatedDisk;
use lakh_journal::{Durability, DurabilityWatch, JournalOptions, JournalStepper, Step, open_stepped, retention};
use lakh_loadtest::random::SplitMix64;
use lakh_loadtest::scratch_venue::VenueOptions;

use super::clients::Clients;
use super::now;
use super::witness::Witness;
use crate::acknowledger::Acknowledger;
use crate::archive::tests::tear_what_is_not_noted;
use crate::archive::{Archive, Retention, Round, Shelf};
use crate::bring_up::Empty;
use crate::pipeline::{Boot, journal_options};
use crate::sequencer::Sequencer;
use crate::snapshots;

const EXCHANGE: [u8; 16] = *b"simulated venue!";
/// Places in the ring into the sequencer, and jobs that wait for the verifier: few, so that both are full at times.
const INPUT_CAPACITY: usize = 32;
const QUEUE_CAPACITY: usize = 48;
/// Jobs that the verifier takes at once.
const BATCH: usize = 8;
/// Requests of one client that wait for their answers.
pub(super) const IN_FLIGHT: usize = 24;
/// Messages that wait for one client.
const OUTBOX: usize = 64;

/// What outlives each life: the disk, and what the venue is.
pub(super) struct Site {
    pub(super) disk: SimulatedDisk,
    pub(super) durability: Durability,
    pub(super) options: VenueOptions,
    config: Config,
    seed: u64,
    /// Where the disk's content is put for readers; its files do not matter afterwards.
    scratch: tempfile::TempDir,
}

impl Site {
    pub(super) fn new(seed: u64, durability: Durability) -> Self {
        let scratch = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let mut options = VenueOptions::new("unused".as_ref(), scratch.path());
        options.keys = 3;
        options.units = 2_000;
        options.digest_capacity = 2_048;
        options.segment_bytes = 64 * 1024;
        let text = options.configuration().replace("taker_fee = \"0\"", "taker_fee = \"0.0007\"");
        let config = Config::from_toml(&text, "simulation").unwrap();
        Self { disk: SimulatedDisk::new(seed), durability, options, config, seed, scratch }
    }

    fn journal_options(&self) -> JournalOptions {
        let options = journal_options(&self.config, EXCHANGE).unwrap();
        JournalOptions { durability: self.durability, ring_bytes: 256 * 1024, ..options }
    }

    /// The disk's content as real files, for whoever reads journals.
    fn export(&self) -> Result<PathBuf> {
        self.export_into(self.config.journal.directory.clone())
    }

    /// The same elsewhere, with what is in the archive and not on the disk any more.
    fn export_whole(&self, archive: &Archive) -> Result<PathBuf> {
        let files = self.export_into(self.scratch.path().join("whole"))?;
        // Before the first round of an archiver there is no archive to ask.
        if !retention::archived(&self.disk, &self.config.journal.directory)?.is_empty() {
            archive.complete(&files, (&EXCHANGE, self.config.exchange.shard), &mut |_| {})?;
        }
        Ok(files)
    }

    fn export_into(&self, directory: PathBuf) -> Result<PathBuf> {
        assert!(directory.starts_with(self.scratch.path()));
        if directory.exists() {
            std::fs::remove_dir_all(&directory)?;
        }
        std::fs::create_dir_all(&directory)?;
        self.disk.export(&directory)?;
        Ok(directory)
    }

    fn archive_place(&self) -> PathBuf {
        self.scratch.path().join("archive")
    }

    fn archive(&self) -> Result<Archive> {
        let place = self.archive_place();
        Archive::open(place.to_str().expect("scratch directories have names in UTF-8"))
    }

    /// What crashes leave of uploads that were under way.
    pub(super) fn tear_uploads(&self, random: &mut SplitMix64) {
        let noted = retention::archived(&self.disk, &self.config.journal.directory).unwrap();
        tear_what_is_not_noted(&self.archive_place(), &noted, |bound| random.below(bound));
    }
}

/// What keeper and archiver did.
pub(super) struct Kept {
    /// Whether there was anything to take a snapshot of.
    pub(super) snapshot: bool,
    pub(super) round: Round,
}

/// See the module.
pub(super) struct Venue {
    sequencer: Sequencer,
    publisher: Publisher,
    gate: Gate<Box<dyn Fn() -> u64>>,
    outputs: OutputReceiver,
    verifier: Verifier,
    queue: VerifierQueue,
    jobs: Jobs,
    stepper: JournalStepper<SimulatedDisk>,
    watch: DurabilityWatch,
    context: Arc<SessionContext>,
    address: Arc<TokenBucket>,
    archive: Archive,
    /// The record of the snapshot that the start took up; 0 for none.
    pub(super) from_snapshot: u64,
}

impl Venue {
    /// Recovers, holds what is found against what everybody remembers, and opens the doors.
    pub(super) fn start(site: &Site, clients: &Clients, witness: &mut Witness) -> Result<Self> {
        let (writer, mut stepper, report) = open_stepped(site.disk.clone(), site.journal_options())?;
        site.export()?;
        let archive = site.archive()?;
        let mut found = Vec::new();
        witness.examine(&site.export_whole(&archive)?, |sequence, command| found.push((sequence, command.clone())));
        clients.assert_nothing_is_missing(&found);
        let seed = GenesisSeed { exchange_id: EXCHANGE, hash_seed: site.seed };
        let watch = writer.watch();
        let directory = Arc::new(Directory::new(site.config.exchange.venue_tag, site.config.exchange.mode));
        let publisher = Publisher::new(PublisherOptions::default(), Arc::clone(&directory));
        let empty = Empty { publisher, directory, has_reports_through: Sequence(u64::MAX) };
        let boot =
            Boot::take_up(&site.config, seed, (writer, Acknowledger::watching(watch.clone()), report), empty, now)?;
        let Boot { engine, writer, publisher, directory, recovery, .. } = boot;
        while watch.durable_sequence() < engine.sequence().0 {
            anyhow::ensure!(stepper.step() == Step::Worked, "the journal has stopped: {:?}", watch.stopped());
        }
        witness.look(&engine);

        let (to_sequencer, input) = rtrb::RingBuffer::new(INPUT_CAPACITY);
        let (output, outputs) = output_ring(2 * (Engine::MAX_EVENTS + 1));
        let sequencer = Sequencer::new(engine, writer, vec![input], output, now);
        let context = SessionContext {
            directory,
            options: SessionOptions { in_flight: IN_FLIGHT, ..SessionOptions::default() },
            key_budgets: Arc::new(KeyBudgets::new(KeyLimits::default())),
            counters: Arc::new(Counters::default()),
            presence: Arc::default(),
            started_at: now(),
        };
        let wiring = VerifierWiring {
            to_sequencer,
            sequencer_signal: Arc::clone(&sequencer.signal),
            key_budgets: Arc::clone(&context.key_budgets),
            directory: Arc::clone(&context.directory),
            read_digests: Arc::new(ReadDigests::new(10_000)),
            clock: now,
            counters: Arc::clone(&context.counters),
        };
        let (queue, jobs) = VerifierQueue::with_capacity(QUEUE_CAPACITY, Arc::default(), Arc::clone(&context.counters));
        let durable = watch.clone();
        Ok(Self {
            sequencer,
            publisher,
            gate: Gate::new(Box::new(move || durable.durable_sequence())),
            outputs,
            verifier: Verifier::new(VerifierOptions::default(), wiring)?,
            queue,
            jobs,
            stepper,
            watch,
            context: Arc::new(context),
            address: Arc::new(TokenBucket::new(Rate { per_second: 1_000_000, burst: 1_000_000 })),
            archive,
            from_snapshot: recovery.from_snapshot,
        })
    }

    /// A session as a new connection gets it, and its outbox.
    pub(super) fn connect(&self) -> (Session, SessionHandle, tokio::sync::mpsc::Receiver<ToSession>) {
        let session = Session::api(Arc::clone(&self.context), Arc::clone(&self.address), now());
        let (handle, outbox) = SessionHandle::new(OUTBOX);
        (session, handle, outbox)
    }

    pub(super) const fn queue(&self) -> &VerifierQueue {
        &self.queue
    }

    pub(super) const fn engine(&self) -> &Engine {
        &self.sequencer.engine
    }

    pub(super) fn durable_sequence(&self) -> u64 {
        self.watch.durable_sequence()
    }

    pub(super) fn stopped(&self) -> Option<String> {
        self.watch.stopped()
    }

    pub(super) fn step_verifier(&mut self) {
        let mut jobs = Vec::new();
        self.jobs.take(BATCH, &mut jobs);
        self.verifier.process(&mut jobs);
    }

    /// One round of the sequencer; none once the journal has stopped, as its thread ends then.
    pub(super) fn step_sequencer(&mut self) {
        if self.watch.stopped().is_none() {
            self.sequencer.round();
        }
    }

    pub(super) fn step_journal(&mut self) {
        self.stepper.step();
    }

    pub(super) fn make_segment(&mut self) {
        self.stepper.make_segment();
    }

    pub(super) fn make_sync(&mut self) {
        self.stepper.sync();
    }

    /// What keeper and archiver do beside the venue: a snapshot of what the journal has, then a round of the archive, which
    /// keeps so many of the newest sealed segments.
    pub(super) fn keep(&self, site: &Site, segments_kept: u64) -> Result<Kept> {
        let files = site.export()?;
        let directory = &site.config.journal.directory;
        let (mut replay, mut read_models, last) = snapshots::begin(&files)?;
        while let Some(step) = replay.step()? {
            read_models.restore(step.sequence, step.timestamp, step.events);
        }
        let snapshot = replay.engine.sequence().0 > last;
        if snapshot {
            snapshots::take(&site.disk, &replay, &read_models, directory)?;
        }
        let shelf = Shelf { storage: &site.disk, directory, files: &files };
        let round = self.archive.round(shelf, Retention::KeepNewest(segments_kept), &mut |_| {})?;
        Ok(Kept { snapshot, round })
    }

    pub(super) fn step_publisher(&mut self) {
        self.gate.take(&mut self.outputs, &mut self.publisher);
        self.publisher.handle_timeout(now());
    }

    /// The journal has stopped: whatever the parts go on to do, nobody is told of anything that was not durable by then.
    pub(super) fn assert_tells_nothing_more(&mut self, clients: &mut Clients) {
        let durable = self.durable_sequence();
        for _ in 0..100 {
            clients.act(self);
            self.step_verifier();
            self.sequencer.round();
            self.step_journal();
            self.step_publisher();
            clients.receive(self);
        }
        assert_eq!(self.durable_sequence(), durable, "nothing becomes durable after an error");
    }

    /// Stops in order: everything is durable, and an engine out of the journal would be in the same state.
    pub(super) fn close(self) {
        let Self { sequencer, mut stepper, watch, .. } = self;
        let last = sequencer.engine.sequence().0;
        drop(sequencer);
        while stepper.step() == Step::Worked {}
        assert_eq!((watch.durable_sequence(), watch.stopped()), (last, None));
    }
}
