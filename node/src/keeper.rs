//! The keeper: follows the journal beside the live engine, and keeps what a later start and everybody else will need.
//!
//! One thread with an engine and read models of its own, fed by the journal's ring like any other follower, so that the
//! matching thread never pauses for it. It runs only while a core has nothing else to do, until it is [`BEHIND_MAX`]
//! records behind; then it takes its share like everybody until half of that is made good. It compares what the live engine left in the blocks; it
//! takes snapshots, signs checkpoints, and watches the disk. An engine that is found to have done otherwise than its
//! journal says, or a disk that is nearly full, closes every market but for cancels, with the reason journaled.
//!
//! Bounds: memory of a second engine where snapshots or checkpoints are asked for; a snapshot's bytes while it is
//! written; a checkpoint's state hash takes at most a twentieth of the thread's time; [`BEHIND_MAX`] records more to be
//! replayed by a start after a crash.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use ed25519_dalek::SigningKey;
use lakh_config::{Config, HistoryConfig};
use lakh_engine::Engine;
use lakh_gateway::directory::Directory;
use lakh_gateway::publisher::{Publisher, PublisherOptions};
use lakh_journal::storage::RealStorage;
use lakh_journal::{Durability, DurabilityWatch, Follower};
use parking_lot::Mutex;
use serde::Serialize;

use crate::background::{BackgroundThread, StopRequest, give_way, spare_time_only};
use crate::checkpoints::{self, Checkpoint, CheckpointFile};
use crate::history::{Replay, restore};
use crate::keys::{read_key, read_private};
use crate::library_options::publisher_options;
use crate::node_commands::NodeCommands;
use crate::snapshots;

/// The most traffic between two checkpoints.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);
/// A checkpoint's cost, times this, passes before the next one.
const CHECKPOINT_SHARE: u32 = 20;
/// Between two looks at the disk.
const DISK_INTERVAL: Duration = Duration::from_secs(1);
/// Records between two looks at anything else.
const ROUND: usize = 4_096;
/// Records and events between two offers of the core to whoever waits for it: some 60 microseconds' work. Records alone do
/// not say it: one frame causes hundreds of events.
const WORK_PER_TURN: usize = 128;
/// Records that the keeper may be behind before it takes its share of the processors: a start replays 200,000 and more a
/// second, so they cost ten seconds of a recovery at most, and at 100,000 a second it takes twenty without any spare
/// time to come to that.
const BEHIND_MAX: u64 = 2_000_000;
/// Between two looks at the journal once its end is reached.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a stop waits for what has not been followed yet.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// What is to be kept.
pub(crate) struct KeeperPlan {
    journal: PathBuf,
    durability: Durability,
    /// Records between two snapshots; 0 for none.
    snapshot_every: u64,
    /// Signs checkpoints, if there is one.
    key: Option<SigningKey>,
    /// Below this much of the disk, in percent, every market closes but for cancels; 0 for never.
    free_percent_min: u8,
    /// Bounds of the read models: those of the live ones.
    history: HistoryConfig,
}

impl KeeperPlan {
    /// As the configuration says.
    pub(crate) fn of(config: &Config) -> Result<Self> {
        let journal = &config.journal;
        let path = Some(&journal.checkpoint_key_file).filter(|path| !path.as_os_str().is_empty());
        let read = |path: &PathBuf| -> Result<SigningKey> {
            read_private(path)?;
            read_key(path)
        };
        let key = path.map(read).transpose();
        Ok(Self {
            journal: journal.directory.clone(),
            durability: match journal.durability {
                lakh_config::Durability::Sync => Durability::Sync,
                lakh_config::Durability::Async => Durability::Async,
            },
            snapshot_every: journal.snapshot_every_records,
            key: key.context("the key for checkpoints cannot be read")?,
            free_percent_min: journal.free_disk_percent_min,
            history: config.history.clone(),
        })
    }
}

/// How the keeper stands, for operators.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeeperStatus {
    /// What is wrong, if anything.
    pub(crate) news: Option<String>,
    /// Whether the live engine was found to differ from its journal.
    pub(crate) has_diverged: bool,
    /// The last record that was followed.
    pub(crate) sequence: u64,
    /// Blocks whose event digest or state hash was found equal.
    pub(crate) compared: u64,
    /// The last snapshot's record.
    pub(crate) snapshot: u64,
    /// The last checkpoint's record.
    pub(crate) checkpoint: u64,
    /// Checkpoints taken since the start.
    pub(crate) checkpoints: u64,
    /// Processor time that their state hashes took, in microseconds.
    pub(crate) checkpoints_cpu_us: u64,
}

/// A running keeper.
pub(crate) struct Keeper {
    pub(crate) thread: BackgroundThread,
    pub(crate) status: Arc<Mutex<KeeperStatus>>,
}

/// Where the keeper begins: the state of a start, whose journal is durable up to it.
pub(crate) struct KeeperStart {
    pub(crate) sequence: u64,
    /// The last snapshot on disk that counts; 0 for none.
    pub(crate) last_snapshot: u64,
    /// Engine and read models as a snapshot has them.
    pub(crate) payload: Vec<u8>,
    /// How far the live journal is.
    pub(crate) watch: DurabilityWatch,
}

impl Keeper {
    /// Begins. `directory` is the gateway's: it knows which markets are open.
    pub(crate) fn start(
        plan: KeeperPlan,
        start: KeeperStart,
        directory: Arc<Directory>,
        commands: NodeCommands,
    ) -> Result<Self> {
        let status = Arc::new(Mutex::new(KeeperStatus::default()));
        let mut worker = Worker {
            disk: DiskGuard {
                journal: plan.journal.clone(),
                percent_min: plan.free_percent_min,
                looked_at: None,
                is_low: false,
            },
            directory,
            commands,
            status: Arc::clone(&status),
        };
        let thread = BackgroundThread::start_as_others("keeper", move |stop| worker.run(plan, &start, &stop))?;
        Ok(Self { thread, status })
    }

    /// Asks the thread to follow the closed journal to its end and waits a little. Whatever is left open then is made
    /// good by the next start.
    pub(crate) fn stop(self) {
        self.thread.stop(STOP_PATIENCE);
    }
}

/// The thread's own things.
struct Worker {
    directory: Arc<Directory>,
    commands: NodeCommands,
    status: Arc<Mutex<KeeperStatus>>,
    disk: DiskGuard,
}

impl Worker {
    fn run(&mut self, plan: KeeperPlan, start: &KeeperStart, stop: &StopRequest) {
        let wanted = plan.snapshot_every > 0 || plan.key.is_some();
        let mut replica = wanted.then(|| Replica::begin(plan, start)).transpose().unwrap_or_else(|error| {
            self.tell(&format!("nothing is kept: {error:#}"));
            None
        });
        while self.follow_in_spare_time(&mut replica, stop) == Followed::LongEnough
            && self.follow(&mut replica, stop, Pace::Share) == Followed::LongEnough
        {}
        if let Some(replica) = &mut replica
            && let Err(error) = replica.sign_the_end()
        {
            self.tell(&format!("the last checkpoint: {error:#}"));
        }
    }

    /// Follows on a thread that has only what others leave.
    fn follow_in_spare_time(&mut self, replica: &mut Option<Replica>, stop: &StopRequest) -> Followed {
        let follow = || {
            spare_time_only();
            self.follow(replica, stop, Pace::Spare)
        };
        std::thread::scope(|scope| {
            match std::thread::Builder::new().name("keeper".to_owned()).spawn_scoped(scope, follow) {
                Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                // Without another thread it is this one's share, and then tried again.
                Err(_) => Followed::LongEnough,
            }
        })
    }

    /// Follows until the end is reached, where a stop is asked for, or as long as the pace says.
    fn follow(&mut self, replica: &mut Option<Replica>, stop: &StopRequest, pace: Pace) -> Followed {
        loop {
            let stopping = stop.is_made();
            let followed = replica.as_mut().map_or(Ok(Round::Idle), Replica::round);
            let round = followed.unwrap_or_else(|error| {
                self.give_up(&error, replica.take().as_ref());
                Round::Idle
            });
            if let Some(replica) = replica {
                self.report(replica);
            }
            if let Some(why) = self.disk.look() {
                self.tell(&why);
                self.commands.close_markets(&self.directory, &why);
            }
            self.commands.hand_over();
            match round {
                Round::Worked => {}
                Round::Idle if stopping => return Followed::ToTheEnd,
                Round::Idle => std::thread::park_timeout(PAUSE),
            }
            if pace.is_over(replica.as_ref().map_or(0, Replica::behind)) {
                return Followed::LongEnough;
            }
        }
    }

    /// The journal cannot be followed, or the live engine did otherwise than the journal says.
    fn give_up(&mut self, error: &anyhow::Error, replica: Option<&Replica>) {
        let at = replica.map_or(0, |replica| replica.replay.engine.sequence().0);
        let why = format!("the keeper stands at {at}: {error:#}");
        self.tell(&why);
        self.status.lock().has_diverged = true;
        self.commands.close_markets(&self.directory, &why);
    }

    fn tell(&self, news: &str) {
        tracing::error!("{news}");
        self.status.lock().news = Some(news.to_owned());
    }

    fn report(&self, replica: &mut Replica) {
        let news = replica.news.take();
        if let Some(news) = &news {
            self.tell(news);
        }
        let compared = replica.replay.compared;
        let mut status = self.status.lock();
        status.sequence = replica.replay.engine.sequence().0;
        status.compared = compared.event_digests + compared.state_hashes;
        status.snapshot = replica.snapshot_at;
        if let Some(checkpoints) = &replica.checkpoints {
            status.checkpoint = checkpoints.file.last;
            status.checkpoints = checkpoints.taken;
            status.checkpoints_cpu_us = u64::try_from(checkpoints.cpu.as_micros()).unwrap_or(u64::MAX);
        }
    }
}

/// How the processors are used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// Only while nobody else wants them.
    Spare,
    /// As everybody.
    Share,
}

impl Pace {
    /// Whether the other pace is due, so many records behind.
    const fn is_over(self, behind: u64) -> bool {
        match self {
            Self::Spare => behind > BEHIND_MAX,
            Self::Share => behind < BEHIND_MAX / 2,
        }
    }
}

/// Why following ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Followed {
    /// Another pace is due.
    LongEnough,
    /// A stop was asked for, and there is nothing left to follow.
    ToTheEnd,
}

/// What a round found to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    Idle,
    Worked,
}

/// The engine and read models beside the live ones.
struct Replica {
    plan: KeeperPlan,
    replay: Replay,
    watch: DurabilityWatch,
    read_models: Publisher,
    checkpoints: Option<Checkpoints>,
    /// The last snapshot's record, or where one failed.
    snapshot_at: u64,
    news: Option<String>,
}

/// Checkpoints on their way into the file.
struct Checkpoints {
    file: CheckpointFile,
    /// Made, but its block is not yet known to be on stable storage.
    waiting: Option<Checkpoint>,
    not_before: Instant,
    taken: u64,
    cpu: Duration,
}

impl Replica {
    fn begin(mut plan: KeeperPlan, start: &KeeperStart) -> Result<Self> {
        let KeeperStart { sequence, last_snapshot, payload, watch } = start;
        let follower = Follower::open_behind(&plan.journal, *sequence)?;
        let options = publisher_options(&plan.history, follower.exchange_id());
        let (engine, read_models) = state_of(payload, options)?;
        let open = |key| CheckpointFile::open(&checkpoints::path_in(&plan.journal), key);
        let file = plan.key.take().map(open).transpose()?;
        let checkpoints = file.map(|file| Checkpoints {
            file,
            waiting: None,
            not_before: Instant::now(),
            taken: 0,
            cpu: Duration::ZERO,
        });
        let replay = Replay::along(engine, follower);
        let (watch, snapshot_at) = (watch.clone(), *last_snapshot);
        Ok(Self { plan, replay, watch, read_models, checkpoints, snapshot_at, news: None })
    }

    /// Records that the live venue is ahead.
    fn behind(&self) -> u64 {
        self.watch.durable_sequence().saturating_sub(self.replay.engine.sequence().0)
    }

    /// Follows a few thousand records, and keeps what is due.
    fn round(&mut self) -> Result<Round> {
        let (mut count, mut work) = (0, 0);
        while count < ROUND {
            let steps = self.replay.steps(WORK_PER_TURN)?;
            if steps.len() == 0 {
                break;
            }
            count += steps.len();
            work += steps.clone().map(|step| 1 + step.events.len()).sum::<usize>();
            restore(&mut self.read_models, steps);
            if work >= WORK_PER_TURN {
                work = 0;
                give_way();
            }
        }
        if count == 0 {
            return Ok(Round::Idle);
        }
        // Neither stops the other, and neither is worth stopping the venue for: what failed is tried again later.
        if let Err(error) = self.sign_if_due() {
            self.news = Some(format!("checkpoints: {error:#}"));
        }
        if let Err(error) = self.snapshot_if_due() {
            self.news = Some(format!("snapshots: {error:#}"));
        }
        Ok(Round::Worked)
    }

    fn snapshot_if_due(&mut self) -> Result<()> {
        let sequence = self.replay.engine.sequence().0;
        let every = self.plan.snapshot_every;
        if every == 0 || sequence < self.snapshot_at.saturating_add(every) {
            return Ok(());
        }
        self.snapshot_at = sequence;
        let taken = snapshots::take(&RealStorage, &self.replay, &self.read_models, &self.plan.journal)?;
        tracing::info!("state behind record {sequence}: {} bytes in {:.2} s", taken.bytes, taken.seconds);
        Ok(())
    }

    fn sign_if_due(&mut self) -> Result<()> {
        let Some(checkpoints) = &mut self.checkpoints else { return Ok(()) };
        // At the level `sync` whatever is followed is on stable storage; at `async` a later block has to say so.
        let is_synced = self.plan.durability == Durability::Sync;
        let covers = |block: u64| is_synced || self.replay.place.durable_block >= block;
        if let Some(waiting) = checkpoints.waiting.take_if(|checkpoint| covers(checkpoint.block)) {
            checkpoints.file.append(waiting)?;
        }
        // Behind an operator's truncation the journal has yet to grow past what was signed of the one before.
        let is_new = self.replay.engine.sequence().0 > checkpoints.file.last;
        if is_new && checkpoints.waiting.is_none() && Instant::now() >= checkpoints.not_before {
            let (started, cpu_before) = (Instant::now(), thread_cpu_time());
            let checkpoint = Checkpoint::of(&self.replay);
            checkpoints.taken += 1;
            checkpoints.cpu += thread_cpu_time().saturating_sub(cpu_before);
            let interval = CHECKPOINT_INTERVAL.max(started.elapsed() * CHECKPOINT_SHARE);
            checkpoints.not_before = Instant::now() + interval;
            if covers(checkpoint.block) {
                checkpoints.file.append(checkpoint)?;
            } else {
                checkpoints.waiting = Some(checkpoint);
            }
        }
        Ok(())
    }

    /// The journal has been closed, so all of it is on stable storage.
    fn sign_the_end(&mut self) -> Result<()> {
        let Some(checkpoints) = &mut self.checkpoints else { return Ok(()) };
        if self.replay.engine.sequence().0 > checkpoints.file.last && self.replay.place.block > 0 {
            checkpoints.file.append(Checkpoint::of(&self.replay))?;
        }
        Ok(())
    }
}

/// Processor time that the calling thread has used.
fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("a thread's clock starts at zero")
}

/// Engine and read models out of a snapshot's payload.
fn state_of(payload: &[u8], options: PublisherOptions) -> Result<(Engine, Publisher)> {
    let sections = snapshots::Sections::of(payload)?;
    let engine = sections.engine()?;
    let genesis = engine.genesis().context("a started engine has a genesis")?;
    let directory = Arc::new(Directory::new(genesis.venue_tag, genesis.mode));
    let mut read_models = Publisher::new(options, directory).alone();
    read_models.load(sections.read_models()?).map_err(|error| anyhow!("the read models: {error:?}"))?;
    Ok((engine, read_models))
}

/// Looks whether the journal's disk has room.
struct DiskGuard {
    journal: PathBuf,
    percent_min: u8,
    looked_at: Option<Instant>,
    is_low: bool,
}

impl DiskGuard {
    /// Why markets have to close, once each time that the room falls below the bound. Operators may open them again: they
    /// know what they do. A room that recovers by a percent arms the guard again.
    fn look(&mut self) -> Option<String> {
        if self.percent_min == 0 || self.looked_at.is_some_and(|at| at.elapsed() < DISK_INTERVAL) {
            return None;
        }
        self.looked_at = Some(Instant::now());
        let room = rustix::fs::statvfs(&self.journal).ok()?;
        // Rounded down: at 4.9 % there are less than 5.
        let percent = room.f_bavail.saturating_mul(100).checked_div(room.f_blocks)?;
        let bound = u64::from(self.percent_min);
        if self.is_low {
            self.is_low = percent <= bound;
            return None;
        }
        self.is_low = percent < bound;
        self.is_low.then(|| format!("{percent} % of the journal's disk is free, less than {bound} %"))
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
