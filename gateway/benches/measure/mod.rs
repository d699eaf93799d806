//! What every bench here shares: the thread's clock, and how much of it is done.
//!
//! `cargo bench` measures. Anything else that starts a bench (`cargo test --benches`, which is what continuous integration
//! does) wants to know that it still runs to its end: a hundredth of the work, and figures that say nothing.

use rustix::time::{ClockId, clock_gettime};

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// All of it.
    Measure,
    /// Each thing once, with little.
    Smoke,
}

impl Scale {
    /// As the bench was started: cargo says `--bench` when it measures.
    pub(crate) fn asked() -> Self {
        let measures = std::env::args().any(|word| word == "--bench") && !std::env::args().any(|word| word == "--test");
        if measures { Self::Measure } else { Self::Smoke }
    }

    /// So many of `all`.
    pub(crate) const fn of(self, all: u64) -> u64 {
        match self {
            Self::Measure => all,
            Self::Smoke => all.div_ceil(100),
        }
    }

    /// So many times the same, of which the best counts.
    pub(crate) const fn passes(self) -> usize {
        match self {
            Self::Measure => 7,
            Self::Smoke => 1,
        }
    }
}

/// Processor time of this thread, in nanoseconds.
pub(crate) fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).expect("from 0") * 1_000_000_000 + u64::try_from(time.tv_nsec).expect("below 10^9")
}
