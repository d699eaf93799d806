//! The whole exchange on one thread: gateway sessions, verifier, sequencer, engine, journal and publisher, stepped by hand
//! with virtual time on a disk in memory, with crashes and faults, all of it decided by a seed.
//!
//! It is the code that runs, not a model of it: each part is the one that its thread turns ([`venue`]). Clients remember
//! what they sent and what they were told ([`clients`]); a witness remembers the engine's states ([`witness`]). After each
//! crash the journal is held against both:
//!
//! 1. nothing that anybody was told is missing;
//! 2. the engine that comes out of the journal is, at every sequence, in the state in which the live one was;
//! 3. nothing leaves before it is durable;
//! 4. a request is answered at most once, and signed bytes that are sent twice never have two outcomes;
//! 5. money is conserved to the atom;
//! 6. an error of the disk ends acknowledgements, a stalled disk makes rejects with a code and no growing queue;
//! 7. what is not on the disk any more stands in the archive, whole, and no start needs it.
//!
//! Keeper and archiver take part: snapshots are taken and read, sealed segments go into an archive and from the disk, and
//! crashes and faults come inside of that, too.
//!
//! `cargo xtask sim --seed N` runs one seed and says what happened in it.

mod clients;
mod fate;
mod venue;
mod witness;

use std::cell::Cell;

use lakh_engine::units::Timestamp;
use lakh_journal::Durability;
use lakh_loadtest::random::SplitMix64;

use self::clients::Clients;
use self::fate::{Fate, Life};
use self::venue::{Site, Venue};
use self::witness::Witness;

thread_local! {
    /// Nanoseconds since the Unix epoch, in this simulation.
    static NOW_NS: Cell<u64> = const { Cell::new(0) };
}

/// The simulation's clock, as the parts of the exchange ask for it.
fn now() -> Timestamp {
    Timestamp(NOW_NS.get())
}

/// What a seed came to, for those who look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Outcome {
    lives: u32,
    power_cuts: u32,
    kills: u32,
    errors: u32,
    stalls: u32,
    /// Starts that did not come to an end.
    failed_starts: u32,
    /// Starts from a snapshot.
    short_starts: u32,
    snapshots: u32,
    /// Segments that went into the archive, and that went from the disk.
    archived: u64,
    removed: u64,
    /// Rounds of keeper and archiver that did not come to an end.
    failed_rounds: u32,
    told: u64,
    refused: u64,
    resent: u64,
    trades: u64,
    records: u64,
    /// Of every message that a client got, in order, and of the last state.
    digest: String,
}

/// One run.
struct Simulation {
    site: Site,
    random: SplitMix64,
    clients: Clients,
    witness: Witness,
    outcome: Outcome,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let durability = if seed % 4 == 3 { Durability::Async } else { Durability::Sync };
        let site = Site::new(seed, durability);
        NOW_NS.set(lakh_journal::storage::Storage::wall_ns(&site.disk));
        let clients = Clients::new(seed, &site.options);
        Self {
            site,
            random: SplitMix64::stream(seed, 1),
            clients,
            witness: Witness::default(),
            outcome: Outcome::default(),
        }
    }

    /// Lets time pass for everybody.
    fn pass(&self, time_ns: u64) {
        NOW_NS.set(NOW_NS.get() + time_ns);
        self.site.disk.advance(time_ns);
    }

    fn run(mut self) -> Outcome {
        let lives = 3 + self.random.below(3);
        for life in 0..lives {
            let fate = Fate::draw(&mut self.random, self.site.durability);
            // The last one ends in peace, so that everything is looked at once more.
            self.live(if life + 1 == lives { Fate::peace() } else { fate });
        }
        self.outcome.records = self.witness.last_sequence();
        self.outcome.trades = self.witness.trades();
        self.outcome.told = self.clients.told();
        self.outcome.refused = self.clients.refused();
        self.outcome.resent = self.clients.resent();
        self.outcome.digest = self.clients.digest(&self.witness);
        self.outcome
    }

    /// From one start to its end, however that comes.
    fn live(&mut self, fate: Fate) {
        self.outcome.lives += 1;
        fate.count(&mut self.outcome);
        fate.plan(&self.site.disk);
        let started = Venue::start(&self.site, &self.clients, &mut self.witness);
        match started {
            Ok(venue) => {
                self.outcome.short_starts += u32::from(venue.from_snapshot > 0);
                let mut life = Life::new(venue, fate);
                for _ in 0..fate.steps {
                    self.step(&mut life);
                }
                self.end(life);
            }
            Err(reason) => {
                assert!(fate.may_fail(), "a start without a fault fails: {reason:#}");
                self.outcome.failed_starts += 1;
            }
        }
        self.clients.disconnect_all();
        match fate.life_ends_in {
            fate::End::PowerCut => {
                self.site.disk.cut_power();
                self.site.disk.power_cycle();
            }
            fate::End::Kill | fate::End::Error | fate::End::Peace => self.site.disk.restart_process(),
        }
        if fate.life_ends_in != fate::End::Peace {
            self.site.tear_uploads(&mut self.random);
        }
        self.pass(1_000_000_000);
    }

    /// Somebody does something.
    fn step(&mut self, life: &mut Life) {
        match self.random.below(20) {
            0..=5 => self.clients.act(&mut life.venue),
            6..=8 => life.venue.step_verifier(),
            9..=11 => {
                life.venue.step_sequencer();
                self.witness.look(life.venue.engine());
            }
            12..=14 => life.step_journal(&mut self.random),
            15..=17 => life.venue.step_publisher(),
            18 if self.random.below(20) == 0 => life.keep(&self.site, &mut self.random, &mut self.outcome),
            18 => self.clients.let_time_pass(&mut life.venue),
            _ => {
                let microseconds = 1 + self.random.below(500);
                self.pass(microseconds * 1_000);
            }
        }
        self.clients.receive(&mut life.venue);
        if let Some(jump_ns) = life.jump(&mut self.random) {
            self.pass(jump_ns);
        }
    }

    fn end(&mut self, mut life: Life) {
        if life.fate.life_ends_in == fate::End::Peace {
            // Everything that is on its way arrives.
            for _ in 0..200 {
                self.pass(100_000);
                life.venue.step_verifier();
                life.venue.step_sequencer();
                self.witness.look(life.venue.engine());
                life.venue.step_journal();
                life.venue.step_publisher();
                self.clients.receive(&mut life.venue);
            }
            self.clients.assert_all_answered();
            self.witness.crash(life.venue.durable_sequence());
            return life.venue.close();
        }
        if let Some(reason) = life.venue.stopped() {
            assert!(life.fate.may_fail(), "the journal stops without a fault: {reason}");
            life.venue.assert_tells_nothing_more(&mut self.clients);
        }
        self.witness.crash(life.venue.durable_sequence());
    }
}

fn run_seeds(seeds: core::ops::Range<u64>) -> Outcome {
    let mut sum = Outcome::default();
    for seed in seeds {
        println!("seed {seed}");
        let outcome = Simulation::new(seed).run();
        sum.lives += outcome.lives;
        sum.power_cuts += outcome.power_cuts;
        sum.kills += outcome.kills;
        sum.errors += outcome.errors;
        sum.stalls += outcome.stalls;
        sum.failed_starts += outcome.failed_starts;
        sum.short_starts += outcome.short_starts;
        sum.snapshots += outcome.snapshots;
        sum.archived += outcome.archived;
        sum.removed += outcome.removed;
        sum.failed_rounds += outcome.failed_rounds;
        sum.told += outcome.told;
        sum.refused += outcome.refused;
        sum.resent += outcome.resent;
        sum.trades += outcome.trades;
        sum.records += outcome.records;
    }
    sum
}

/// 52 seeds in continuous integration for each of four tests; more where `LAKH_SEEDS` says so, others by `LAKH_FIRST_SEED`.
fn run_part(part: u64) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, count) = (number("LAKH_FIRST_SEED").unwrap_or(0), number("LAKH_SEEDS").unwrap_or(208) / 4);
    let sum = run_seeds(first + part * count..first + (part + 1) * count);
    println!("{count} seeds: {sum:?}");
    // A simulation in which nothing happens proves nothing; a few seeds, asked for by hand, may lack something.
    if count < 50 {
        return;
    }
    assert!(sum.power_cuts > 0 && sum.kills > 0 && sum.errors > 0 && sum.stalls > 0 && sum.failed_starts > 0);
    assert!(sum.short_starts > 0 && sum.snapshots > 0 && sum.archived > 0 && sum.removed > 0 && sum.failed_rounds > 0);
    assert!(sum.told > 0 && sum.refused > 0 && sum.resent > 0 && sum.trades > 0);
}

#[test]
fn seeds_of_the_first_quarter() {
    run_part(0);
}

#[test]
fn seeds_of_the_second_quarter() {
    run_part(1);
}

#[test]
fn seeds_of_the_third_quarter() {
    run_part(2);
}

#[test]
fn seeds_of_the_last_quarter() {
    run_part(3);
}

/// The disk does nothing for a while, and everybody else goes on.
#[test]
fn a_stalled_disk_makes_rejects_with_a_code_and_no_queue_that_grows() {
    for stall_ns in [10_000_000, 1_000_000_000, 60_000_000_000] {
        println!("a stall of {stall_ns} ns");
        let mut simulation = Simulation::new(8);
        let mut venue = Venue::start(&simulation.site, &simulation.clients, &mut simulation.witness).unwrap();
        let (durable, refused) = (venue.durable_sequence(), simulation.clients.refused());
        for _ in 0..3_000 {
            simulation.pass(stall_ns / 3_000);
            simulation.clients.act(&mut venue);
            venue.step_verifier();
            venue.step_sequencer();
            venue.step_publisher();
            simulation.clients.receive(&mut venue);
            simulation.clients.let_time_pass(&mut venue);
            // A third more has room for cancels alone.
            let most = venue::IN_FLIGHT + venue::IN_FLIGHT.div_ceil(3);
            assert!(simulation.clients.most_open() <= most, "what waits is bounded");
        }
        assert_eq!((venue.durable_sequence(), simulation.clients.told()), (durable, 0), "nobody is told of anything");
        assert!(simulation.clients.refused() > refused + 100, "{} were refused", simulation.clients.refused());
        // The disk goes on, and so does everything that was taken.
        for _ in 0..200 {
            simulation.pass(100_000);
            venue.step_journal();
            venue.step_verifier();
            venue.step_sequencer();
            venue.step_publisher();
            simulation.clients.receive(&mut venue);
        }
        simulation.clients.assert_all_answered();
        assert!(venue.durable_sequence() > durable);
        venue.close();
    }
}

#[test]
fn a_seed_is_reproducible() {
    for seed in [1, 2, 3] {
        assert_eq!(Simulation::new(seed).run(), Simulation::new(seed).run(), "seed {seed}");
    }
}

/// Not a test of its own: what `cargo xtask sim --seed N` runs. Without the variable it does nothing.
#[test]
fn the_seed_that_was_asked_for() {
    let Some(seed) = std::env::var("LAKH_SIM_SEED").ok().and_then(|text| text.parse().ok()) else { return };
    println!("seed {seed}: {:#?}", Simulation::new(seed).run());
}
