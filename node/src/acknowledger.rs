//! Who makes journaled records durable, and how far that is: the journal's own thread, or the publisher's stage.
//!
//! At the level `async` a record may be acknowledged once it is in the page cache. Where the stages share few cores, waking a
//! thread for that copy, and being woken by it, takes several times as long as the copy: there whoever asks how far
//! outputs may leave copies first. Only acknowledgements can then be held up by it, as they would be anyway; syncs have a thread.

use std::time::{Duration, Instant};

use lakh_config::{Config, Durability};
use lakh_gateway::publisher::Durable;
use lakh_journal::storage::RealStorage;
use lakh_journal::{
    DurabilityWatch, JournalError, JournalOptions, JournalStepper, JournalWriter, RecoveryReport, Step,
};

use crate::stage::Placement;

/// See the module.
pub(crate) struct Acknowledger {
    /// `None` where the thread "journal" writes.
    stepper: Option<JournalStepper<RealStorage>>,
    pub(crate) watch: DurabilityWatch,
}

impl Acknowledger {
    /// Opens the journal, with a thread that writes or without one.
    ///
    /// # Errors
    /// Those of [`lakh_journal::open`].
    pub(crate) fn open(
        config: &Config,
        options: JournalOptions,
    ) -> Result<(JournalWriter, Self, RecoveryReport), JournalError> {
        let is_turned = config.journal.durability == Durability::Async;
        if !is_turned || Placement::of(config.gateway.stages) == Placement::OwnThreads {
            let (writer, report) = lakh_journal::open(options)?;
            let watch = writer.watch();
            return Ok((writer, Self::watching(watch), report));
        }
        let (writer, stepper, report) = lakh_journal::open_turned(options)?;
        let watch = writer.watch();
        Ok((writer, Self { stepper: Some(stepper), watch }, report))
    }

    /// Where somebody else writes.
    pub(crate) const fn watching(watch: DurabilityWatch) -> Self {
        Self { stepper: None, watch }
    }

    /// Waits until a record that is published is durable; not beyond `patience`.
    pub(crate) fn wait_for(&mut self, sequence: u64, patience: Duration) -> bool {
        let Some(stepper) = &mut self.stepper else { return self.watch.wait_for(sequence, patience) };
        let deadline = Instant::now() + patience;
        while self.watch.durable_sequence() < sequence {
            match stepper.step() {
                Step::Worked => {}
                Step::Ended => return false,
                Step::Idle if Instant::now() > deadline => return false,
                // A sync has to end first.
                Step::Idle => std::thread::sleep(stepper.due_in().unwrap_or(Duration::from_millis(1))),
            }
        }
        true
    }

    /// Brings everything to stable storage behind a writer that has closed, where no thread did.
    pub(crate) fn finish(self) {
        if let Some(mut stepper) = self.stepper {
            while stepper.step() != Step::Ended {}
        }
    }
}

impl Durable for Acknowledger {
    fn sequence(&mut self) -> u64 {
        if let Some(stepper) = &mut self.stepper {
            stepper.step();
        }
        self.watch.durable_sequence()
    }

    fn look_after(&mut self) -> Option<Duration> {
        let stepper = self.stepper.as_mut()?;
        let due_in = stepper.due_in();
        if due_in != Some(Duration::ZERO) {
            return due_in;
        }
        stepper.step();
        stepper.due_in()
    }
}
