//! What a life of the simulated exchange is fated to: how it ends, when the disk stalls, how long it lasts.

use lakh_journal::Durability;
use lakh_journal::faults::{Fault, SimulatedDisk};
use lakh_loadtest::random::SplitMix64;

use super::venue::{Site, Venue};
use super::{Outcome, now};

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Stopped in order.
    Peace,
    /// The process dies between two steps.
    Kill,
    /// The machine dies, within a call to the disk or between two steps.
    PowerCut,
    /// A call to the disk fails, and the process ends after it has said so.
    Error,
}

/// From where on calls to the disk are counted up to one that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    /// The start.
    Start,
    /// The beginning of the keeper's round with this number: a snapshot, an archived segment, one that goes.
    Round(u32),
}

/// How a life goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    pub(super) life_ends_in: End,
    pub(super) steps: u64,
    /// After how many calls to the disk, and how, it fails.
    fault: Option<(Since, u64, Fault)>,
    /// After how many steps of the journal, and for how long, the disk stalls.
    stall: Option<(u64, u64)>,
}

impl Fate {
    pub(super) const fn peace() -> Self {
        Self { life_ends_in: End::Peace, steps: 1_500, fault: None, stall: None }
    }

    pub(super) fn draw(random: &mut SplitMix64, durability: Durability) -> Self {
        let fault = Fault::ERRORS[usize::try_from(random.below(4)).expect("below 4")];
        // A first opening makes some hundred calls, a later one some ten; so some of these fall into it, and into what
        // recovery repairs.
        let calls = match random.below(4) {
            0 => random.below(12),
            1 => random.below(120),
            _ => 70 + random.below(400),
        };
        // A round makes up to some fifty: three segments noted, a snapshot, removals.
        let round = (Since::Round(u32::try_from(random.below(3)).expect("below 3")), random.below(40));
        let start = (Since::Start, calls);
        let (life_ends_in, fault) = match random.below(8) {
            0..=3 if durability == Durability::Sync => {
                let fault = [None, Some(start), Some(start), Some(round), Some(round)]
                    [usize::try_from(random.below(5)).expect("below 5")];
                (End::PowerCut, fault.map(|(since, calls)| (since, calls, Fault::PowerCut)))
            }
            4 => {
                let (since, calls) = if random.below(2) == 0 { start } else { round };
                (End::Error, Some((since, calls, fault)))
            }
            // A process that is killed within a call is what a disk leaves that takes no further one.
            5 => (End::Kill, Some((round.0, round.1, Fault::PowerCut))),
            _ => (End::Kill, None),
        };
        let stall = (random.below(3) == 0).then(|| {
            let stalls_ns = [10_000_000, 1_000_000_000, 60_000_000_000];
            (random.below(40), stalls_ns[usize::try_from(random.below(3)).expect("below 3")])
        });
        Self { life_ends_in, steps: 300 + random.below(2_500), fault, stall }
    }

    /// Whether anything may end in an error.
    pub(super) const fn may_fail(&self) -> bool {
        self.fault.is_some()
    }

    /// The life begins on this disk.
    pub(super) fn plan(&self, disk: &SimulatedDisk) {
        self.plan_since(Since::Start, disk);
    }

    fn plan_since(&self, now: Since, disk: &SimulatedDisk) {
        if let Some((since, calls, fault)) = self.fault
            && since == now
        {
            disk.fail_at(disk.calls().len() + usize::try_from(calls).expect("some hundreds"), fault);
        }
    }

    pub(super) fn count(&self, outcome: &mut Outcome) {
        match self.life_ends_in {
            End::Peace => {}
            End::Kill => outcome.kills += 1,
            End::PowerCut => outcome.power_cuts += 1,
            End::Error => outcome.errors += 1,
        }
        outcome.stalls += u32::from(self.stall.is_some());
    }
}

/// A running exchange and how far its fate has come.
pub(super) struct Life {
    pub(super) venue: Venue,
    pub(super) fate: Fate,
    journal_steps: u64,
    /// Rounds of keeper and archiver so far.
    rounds: u32,
    /// The disk is at work until then.
    busy_until: u64,
}

impl Life {
    pub(super) const fn new(venue: Venue, fate: Fate) -> Self {
        Self { venue, fate, journal_steps: 0, rounds: 0, busy_until: 0 }
    }

    /// The disk completes a write, unless it is still at it.
    pub(super) fn step_journal(&mut self, random: &mut SplitMix64) {
        if now().0 < self.busy_until {
            return;
        }
        // Most segments are made ahead; some only when they are needed.
        if random.below(10) == 0 {
            self.venue.make_segment();
        }
        // At the level `async` blocks are written between a sync's begin and its end.
        if random.below(4) == 0 {
            self.venue.make_sync();
        }
        self.venue.step_journal();
        self.journal_steps += 1;
        let write_ns = 50_000 + random.below(300_000);
        self.busy_until = now().0 + write_ns;
        if let Some((after, stall_ns)) = self.fate.stall
            && after == self.journal_steps
        {
            self.busy_until = now().0 + stall_ns;
        }
    }

    /// Keeper and archiver do what is due; none once the journal has stopped.
    pub(super) fn keep(&mut self, site: &Site, random: &mut SplitMix64, outcome: &mut Outcome) {
        if self.venue.stopped().is_some() {
            return;
        }
        self.fate.plan_since(Since::Round(self.rounds), &site.disk);
        self.rounds += 1;
        match self.venue.keep(site, random.below(3)) {
            Ok(kept) => {
                outcome.snapshots += u32::from(kept.snapshot);
                outcome.archived += kept.round.archived.len() as u64;
                outcome.removed += kept.round.removed.len() as u64;
            }
            Err(error) => {
                assert!(self.fate.may_fail(), "a round without a fault fails: {error:#}");
                outcome.failed_rounds += 1;
            }
        }
    }

    /// How long nothing else happens: while the disk stalls, time passes in larger pieces now and then.
    pub(super) fn jump(&self, random: &mut SplitMix64) -> Option<u64> {
        let left = self.busy_until.saturating_sub(now().0);
        (left > 5_000_000 && random.below(40) == 0).then(|| left / (1 + random.below(4)))
    }
}
