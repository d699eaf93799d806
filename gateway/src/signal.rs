//! How a stage that has nothing to do is woken, and how it sleeps: a stage is a future, run by a thread of its own
//! ([`alone`]) or as a task beside the sockets.
//!
//! Between stages of one runtime a wake is a function call: the task runs next on the same thread, without a system
//! call. Between threads it is one system call at most, and only when the other really sleeps.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::task::{Poll, Wake};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::{Instant, Sleep};

/// Wakes one stage that may be asleep.
///
/// The stage waits with [`Signal::wait`], which looks at its queues once more before it sleeps; whoever puts something
/// into a queue calls [`Signal::notify`] afterwards. The flag's swap orders the two, so no wake is lost.
#[derive(Debug, Default)]
pub struct Signal {
    sleeping: AtomicBool,
    stage: AtomicWaker,
}

impl Signal {
    /// A signal that no stage waits for yet.
    pub const fn new() -> Self {
        Self { sleeping: AtomicBool::new(false), stage: AtomicWaker::new() }
    }

    /// Waits until there is something to do, as `is_ready` says. One stage only: a second one would take its wakes.
    pub async fn wait(&self, mut is_ready: impl FnMut() -> bool) {
        poll_fn(|context| {
            if is_ready() {
                return Poll::Ready(());
            }
            self.stage.register(context.waker());
            self.sleeping.swap(true, Ordering::SeqCst);
            if is_ready() {
                self.sleeping.store(false, Ordering::SeqCst);
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    }

    /// Wakes the stage if it sleeps or is about to.
    pub fn notify(&self) {
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::SeqCst) && self.sleeping.swap(false, Ordering::SeqCst) {
            self.stage.wake();
        }
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notify();
    }
}

/// A stage's timer. It rings no later than asked for and may ring early: what is due moves all the time, and setting a
/// timer anew costs more than looking once too often.
#[derive(Debug)]
pub struct Alarm {
    sleep: Pin<Box<Sleep>>,
}

impl Alarm {
    /// A timer of the runtime that the caller is in.
    pub fn new() -> Self {
        Self { sleep: Box::pin(tokio::time::sleep(Duration::ZERO)) }
    }

    /// Waits for `span` at most.
    pub async fn within(&mut self, span: Duration) {
        let now = Instant::now();
        if self.sleep.deadline() <= now || self.sleep.deadline() > now + span {
            self.sleep.as_mut().reset(now + span);
        }
        self.sleep.as_mut().await;
    }
}

impl Default for Alarm {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs a stage on the calling thread, which sleeps while the stage waits.
///
/// # Panics
/// If the operating system gives no timer, which it does not refuse a thread that it has started.
pub fn alone<F: Future>(stage: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime without sockets asks the system for nothing").block_on(stage)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn no_wake_is_lost_between_two_threads() {
        const ROUNDS: u64 = 20_000;
        let (there, back) = (Arc::new(Signal::new()), Arc::new(Signal::new()));
        let (asked, answered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let other = std::thread::spawn({
            let (there, back, asked, answered) = (there.clone(), back.clone(), asked.clone(), answered.clone());
            move || {
                alone(async {
                    for round in 1..=ROUNDS {
                        there.wait(|| asked.load(Ordering::Acquire) >= round).await;
                        answered.store(round, Ordering::Release);
                        back.notify();
                    }
                });
            }
        });
        alone(async {
            for round in 1..=ROUNDS {
                asked.store(round, Ordering::Release);
                there.notify();
                let answer = back.wait(|| answered.load(Ordering::Acquire) >= round);
                tokio::time::timeout(Duration::from_secs(20), answer).await.expect("a wake was lost");
            }
        });
        other.join().unwrap();
    }

    #[test]
    fn an_alarm_rings_in_time_and_again() {
        alone(async {
            let mut alarm = Alarm::new();
            for span in [Duration::from_secs(3_600), Duration::from_millis(1), Duration::ZERO] {
                let rings = alarm.within(span);
                let rang = tokio::time::timeout(Duration::from_millis(20), rings).await;
                assert_eq!(rang.is_ok(), span < Duration::from_secs(1), "{span:?}");
            }
        });
    }
}
