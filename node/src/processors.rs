//! Which processors threads run on while something is measured, and that these do not doze off.
//!
//! Where a client and who answers it share a processor, a request is two switches of threads; where each has its own it is two
//! interrupts, which in a virtual machine cost more than all the rest of an echo. The scheduler decides which of the two it
//! is, once for a venue and once for an echo beside it, so a comparison says nothing until that is decided for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::background::spare_time_only;

/// Where a client and who answers it run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// The client has a processor that nobody who answers runs on.
    Apart,
    /// All of them have one processor.
    Together,
    /// The scheduler decides.
    Anywhere,
}

impl Placement {
    pub(crate) const ALL: [Self; 3] = [Self::Apart, Self::Together, Self::Anywhere];

    /// What it is called in reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Apart => "apart",
            Self::Together => "together",
            Self::Anywhere => "anywhere",
        }
    }
}

/// The processors that the calling thread had at first; it gets them back in the end.
pub(crate) struct Processors {
    all: CpuSet,
}

impl Processors {
    /// Those of the calling thread.
    ///
    /// # Errors
    /// The system does not tell.
    pub(crate) fn of_this_thread() -> Result<Self> {
        Ok(Self { all: sched_getaffinity(None).context("the system does not tell which processors there are")? })
    }

    fn numbers(&self) -> impl Iterator<Item = usize> {
        (0..CpuSet::MAX_CPU).filter(|processor| self.all.is_set(*processor))
    }

    /// Whether there are enough of them.
    pub(crate) fn allow(&self, placement: Placement) -> bool {
        placement != Placement::Apart || self.all.count() > 1
    }

    /// Puts the calling thread, and the threads and processes that it starts from here on, where those are who answer.
    ///
    /// # Errors
    /// The system does not allow it.
    pub(crate) fn go_where_answers_are(&self, placement: Placement) -> Result<()> {
        self.go(|place| match placement {
            Placement::Apart => place > 0,
            Placement::Together => place == 0,
            Placement::Anywhere => true,
        })
    }

    /// Puts the calling thread where the client is.
    ///
    /// # Errors
    /// The system does not allow it.
    pub(crate) fn go_where_the_client_is(&self, placement: Placement) -> Result<()> {
        self.go(|place| placement == Placement::Anywhere || place == 0)
    }

    /// By the places in the row of all.
    fn go(&self, is_wanted: impl Fn(usize) -> bool) -> Result<()> {
        let mut wanted = CpuSet::new();
        for (place, processor) in self.numbers().enumerate() {
            if is_wanted(place) {
                wanted.set(processor);
            }
        }
        sched_setaffinity(None, &wanted).context("the system does not let a thread choose its processors")
    }
}

impl Drop for Processors {
    fn drop(&mut self) {
        let _ = sched_setaffinity(None, &self.all);
    }
}

/// Keeps every processor at something that gives way at once to everything else, for as long as it lives: a virtual machine's
/// host takes a processor away that waits for some 20 µs, and giving it back takes as long again.
pub(crate) struct KeptAwake {
    end: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl KeptAwake {
    /// A thread for each processor of the calling one.
    ///
    /// # Errors
    /// The system starts no thread.
    pub(crate) fn begin(processors: &Processors) -> Result<Self> {
        let mut awake = Self { end: Arc::default(), threads: Vec::new() };
        for processor in processors.numbers() {
            let end = Arc::clone(&awake.end);
            let spin = move || {
                let mut own = CpuSet::new();
                own.set(processor);
                // One that stays anywhere keeps somebody awake, too.
                let _ = sched_setaffinity(None, &own);
                spare_time_only();
                while !end.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            };
            awake.threads.push(std::thread::Builder::new().name("awake".to_owned()).spawn(spin)?);
        }
        Ok(awake)
    }
}

impl Drop for KeptAwake {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("a thread that counts nothing does not panic");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> CpuSet {
        sched_getaffinity(None).unwrap()
    }

    #[test]
    fn placements_are_where_they_say_and_end_with_their_owner() {
        let before = own();
        let processors = Processors::of_this_thread().unwrap();
        let both = |placement| {
            processors.go_where_answers_are(placement).unwrap();
            let answers = own();
            let child = std::thread::spawn(own).join().unwrap();
            assert_eq!(child, answers, "threads come after who starts them");
            processors.go_where_the_client_is(placement).unwrap();
            (answers, own())
        };
        assert_eq!(both(Placement::Anywhere), (before, before));
        let (answers, client) = both(Placement::Together);
        assert_eq!((answers, answers.count()), (client, 1));
        if processors.allow(Placement::Apart) {
            let (answers, client) = both(Placement::Apart);
            assert_eq!((answers.count(), client.count()), (before.count() - 1, 1));
            assert!((0..CpuSet::MAX_CPU).all(|one| !(answers.is_set(one) && client.is_set(one))));
        }
        drop(processors);
        assert_eq!(own(), before);
    }

    #[test]
    fn processors_are_kept_awake_until_the_end() {
        let processors = Processors::of_this_thread().unwrap();
        let awake = KeptAwake::begin(&processors).unwrap();
        assert_eq!(awake.threads.len(), processors.all.count() as usize);
        assert!(awake.threads.iter().all(|thread| !thread.is_finished()));
    }
}
