//! A thread beside the venue: of a low priority, ended when it is asked to or left behind.
//!
//! Keeper, settlement and archiver are such threads. What they do may take long or hang on somebody who does not answer, so
//! a stop asks, waits a little and goes on: whatever is under way then is found again by the next start.
//!
//! Who follows the journal for owners who wait, settlement and notary, does it by turns ([`by_turns`]): in spare time while
//! that is enough, with a share of its own when it is late or somebody asks.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use thread_priority::ThreadPriority;
use thread_priority::unix::{
    NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};

/// The nicest that a thread can be.
const LOWEST_PRIORITY: i32 = 19;
/// How nice a follower is that must not be late: where nothing is to spare it gets a tenth of what a thread of the venue
/// does, in which it follows a venue's 100,000 records a second twice over.
const SHARE_PRIORITY: i32 = 10;
/// Between two looks whether a thread that was asked to end has done so.
const STOP_INTERVAL: Duration = Duration::from_millis(5);

/// A running thread.
pub(crate) struct BackgroundThread {
    thread: JoinHandle<()>,
    stop: Arc<AtomicBool>,
}

/// Tells the thread whether it is to end; whoever asks wakes it from its pause.
pub(crate) struct StopRequest(Arc<AtomicBool>);

impl StopRequest {
    /// Whether the thread is to end.
    pub(crate) fn is_made(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl BackgroundThread {
    /// Begins.
    ///
    /// # Errors
    /// The system starts no thread.
    pub(crate) fn start(name: &'static str, run: impl FnOnce(StopRequest) + Send + 'static) -> io::Result<Self> {
        Self::start_as_others(name, move |request| {
            be_nice(LOWEST_PRIORITY);
            run(request);
        })
    }

    /// The same for who does its work [`by_turns`].
    ///
    /// # Errors
    /// The system starts no thread.
    pub(crate) fn start_turns(name: &'static str, run: impl FnOnce(StopRequest) + Send + 'static) -> io::Result<Self> {
        Self::start_as_others(name, move |request| {
            be_nice(SHARE_PRIORITY);
            run(request);
        })
    }

    /// The same at the priority of the rest: for who has others do the work in [`spare_time_only`].
    ///
    /// # Errors
    /// The system starts no thread.
    pub(crate) fn start_as_others(
        name: &'static str,
        run: impl FnOnce(StopRequest) + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let request = StopRequest(Arc::clone(&stop));
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || run(request))?;
        Ok(Self { thread, stop })
    }

    /// Whether the thread has ended, which it does not without being asked to unless it panics.
    pub(crate) fn has_died(&self) -> bool {
        self.thread.is_finished()
    }

    /// Asks the thread to end and waits as long as `patience`.
    pub(crate) fn stop(self, patience: Duration) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.thread().unpark();
        let asked = Instant::now();
        while !self.thread.is_finished() && asked.elapsed() < patience {
            std::thread::park_timeout(STOP_INTERVAL);
        }
    }
}

/// Makes the calling thread, and those that it starts, so nice.
fn be_nice(priority: i32) {
    // Without it the thread costs the venue a little more of a core, which is no reason not to run.
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), priority) {
        tracing::warn!("a thread beside the venue runs at the priority of the rest: {error}");
    }
}

/// How a follower uses the processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Only while nobody else wants them. Such a thread may stand still for long at any instruction, so it holds nothing
    /// that a thread of the venue waits for: it does not answer, report or decide.
    Spare,
    /// With a share of its own.
    Share,
}

/// Why a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The other pace is due.
    Over,
    /// There will be nothing more to do.
    End,
}

/// Has `work` done at either pace by turns until it says that it is the end, beginning in spare time. Spare time is another
/// thread's, since there is no way back from it.
pub(crate) fn by_turns(name: &str, mut work: impl FnMut(Pace) -> Turn + Send) {
    loop {
        let turn = std::thread::scope(|scope| {
            let spare = || {
                spare_time_only();
                work(Pace::Spare)
            };
            match std::thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, spare) {
                Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                // Without another thread it is this one's share, and then tried again, but not in a hurry.
                Err(_) => {
                    std::thread::park_timeout(STOP_INTERVAL);
                    Turn::Over
                }
            }
        });
        if turn == Turn::End || work(Pace::Share) == Turn::End {
            return;
        }
    }
}

/// For how long a follower has not been at its journal's end.
#[derive(Debug)]
pub(crate) struct Lateness {
    at_the_end: Instant,
}

impl Lateness {
    /// Now at the end.
    pub(crate) fn none() -> Self {
        Self { at_the_end: Instant::now() }
    }

    /// A look at the journal went so far.
    pub(crate) fn note(&mut self, look: Look) {
        if look == Look::ToTheEnd {
            self.at_the_end = Instant::now();
        }
    }

    /// Whether it was longer ago than `bound`.
    pub(crate) fn exceeds(&self, bound: Duration) -> bool {
        self.at_the_end.elapsed() > bound
    }
}

/// How far a follower has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// To the journal's end.
    ToTheEnd,
    /// There is more.
    More,
}

/// From here on the calling thread runs only while a core has nothing else to do, and gives it up at once when somebody
/// comes: one that is merely nice keeps a core for some milliseconds. There is no way back without privileges, so this is for
/// threads that end when they have to catch up.
pub(crate) fn spare_time_only() {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    // The policy knows one priority only.
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy) {
        tracing::warn!("a thread that should only have what others leave runs as they do: {error:?}");
    }
}

/// Lets somebody have the core who waits for it. A thread with spare time only gives it up when somebody wakes; but one that
/// was put off for a moment wakes nobody when it goes on, and then the scheduler may come back to this one, which keeps the core
/// until the clock's next tick: 4 ms on many machines. So long work says this every hundred microseconds or so.
pub(crate) fn give_way() {
    std::thread::yield_now();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_takes_spare_time_only_and_those_that_it_came_from_do_not() {
        let policy = || thread_priority::unix::thread_schedule_policy().unwrap();
        let idle = std::thread::spawn(move || {
            spare_time_only();
            policy()
        });
        assert_eq!(idle.join().unwrap(), ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle));
        assert_eq!(policy(), ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other));
    }

    #[test]
    fn turns_begin_in_spare_time_and_end_when_the_work_does() {
        let mut turns = Vec::new();
        let caller = std::thread::spawn(move || {
            by_turns("turns", |pace| {
                let policy = thread_priority::unix::thread_schedule_policy().unwrap();
                turns.push((pace, policy == ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle)));
                if turns.len() < 3 { Turn::Over } else { Turn::End }
            });
            turns
        });
        let turns = caller.join().unwrap();
        assert_eq!(turns, [(Pace::Spare, true), (Pace::Share, false), (Pace::Spare, true)]);
    }

    #[test]
    fn a_follower_is_late_once_it_was_not_at_the_end_for_too_long() {
        let minute_ago = Instant::now().checked_sub(Duration::from_secs(60)).expect("the machine is up for a minute");
        let mut lateness = Lateness { at_the_end: minute_ago };
        lateness.note(Look::More);
        assert!(lateness.exceeds(Duration::from_secs(59)));
        lateness.note(Look::ToTheEnd);
        assert!(!lateness.exceeds(Duration::from_secs(59)));
    }

    #[test]
    fn a_thread_ends_when_asked_and_is_left_behind_when_it_does_not() {
        let (ended, end) = std::sync::mpsc::channel();
        let obedient = move |stop: StopRequest| {
            while !stop.is_made() {
                std::thread::park();
            }
            ended.send(()).unwrap();
        };
        let thread = BackgroundThread::start("obedient", obedient).unwrap();
        assert!(!thread.has_died());
        thread.stop(Duration::from_secs(60));
        assert_eq!(end.try_recv(), Ok(()), "the stop has waited for its end");

        let (release, hung) = std::sync::mpsc::channel::<()>();
        let thread = BackgroundThread::start("hung", move |_| assert!(hung.recv().is_err())).unwrap();
        let asked = Instant::now();
        thread.stop(Duration::from_millis(20));
        assert!(asked.elapsed() >= Duration::from_millis(20));
        drop(release);

        let thread = BackgroundThread::start("dead", |_| {}).unwrap();
        while !thread.has_died() {
            std::thread::yield_now();
        }
    }
}
