//! How a thread that has nothing to do is woken: at most one system call, and only when it really sleeps.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::thread::Thread;

/// Wakes a thread that may be parked: one flag, one `unpark` only when the thread really sleeps.
///
/// The sleeper calls [`Signal::prepare`], looks at its queues once more, and parks only if they are empty; whoever puts
/// something into a queue calls [`Signal::notify`] afterwards. The flag's swap orders the two, so no wake is lost.
#[derive(Debug)]
pub struct Signal {
    sleeping: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Signal {
    /// A signal that no thread listens to yet.
    pub const fn new() -> Self {
        Self { sleeping: AtomicBool::new(false), thread: OnceLock::new() }
    }

    /// Makes the calling thread the one that is woken. The first call decides.
    pub fn listen(&self) {
        let _ = self.thread.set(std::thread::current());
    }

    /// Says that the calling thread is about to look at its queues for the last time before it parks.
    pub fn prepare(&self) {
        self.sleeping.swap(true, Ordering::SeqCst);
    }

    /// Says that the calling thread is awake.
    pub fn awake(&self) {
        self.sleeping.store(false, Ordering::SeqCst);
    }

    /// Wakes the thread if it sleeps or is about to.
    pub fn notify(&self) {
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::SeqCst)
            && self.sleeping.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }
}

impl Default for Signal {
    fn default() -> Self {
        Self::new()
    }
}
