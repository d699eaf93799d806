//! The order of loads and stores by which a reader that shares memory with a writer notices that it was overtaken, and by
//! which a worker that goes to sleep is not forgotten.
//!
//! Nobody waits for anybody. A writer first claims: it stores what tells that words may be overwritten from here on, and
//! only then overwrites them. A reader copies first and then looks at the claim: what it copied is good if the claim does
//! not reach it. A writer that dies between claim and publication leaves a claim that refuses, never words that mix.
//!
//! It knows nothing of rings and blocks, so that `tests/loom.rs` can compile this very file against loom's atomics and try
//! every order in which threads and stores may come.

use crate::atomics::{AtomicBool, AtomicU64, Ordering, fence};

/// Writer: says by `claim` what is overwritten from here on, and lets `write` overwrite it.
pub(crate) fn overwrite(claim: &AtomicU64, claimed: u64, write: impl FnOnce()) {
    claim.store(claimed, Ordering::Relaxed);
    // No store of `write` is seen before the claim is: a reader that copied one of them finds the claim.
    fence(Ordering::Release);
    write();
}

/// Writer: makes everything stored before visible to who loads this value by [`load`].
pub(crate) fn publish(word: &AtomicU64, value: u64) {
    word.store(value, Ordering::Release);
}

/// Reader: a value, with everything stored before it was published. A relaxed load and a fence, because stronger loads of
/// read-only memory are not guaranteed by the language.
pub(crate) fn load(word: &AtomicU64) -> u64 {
    let value = word.load(Ordering::Relaxed);
    fence(Ordering::Acquire);
    value
}

/// Reader: what `copy` copies, if `intact` says so of the claim as it stands afterwards.
pub(crate) fn copied<T>(claim: &AtomicU64, copy: impl FnOnce() -> T, intact: impl FnOnce(u64) -> bool) -> Option<T> {
    let copied = copy();
    // No load of `copy` comes after the load of the claim.
    fence(Ordering::Acquire);
    intact(claim.load(Ordering::Relaxed)).then_some(copied)
}

/// Writer: publishes work for somebody who may be asleep; whether he has to be woken. One of the two sees the other: the
/// writer that he sleeps, or he, in [`may_sleep`], that there is work.
pub(crate) fn publish_work(word: &AtomicU64, value: u64, idle: &AtomicBool) -> bool {
    word.store(value, Ordering::Release);
    fence(Ordering::SeqCst);
    idle.load(Ordering::Relaxed)
}

/// Worker: says that it is about to sleep, and then looks for work for the last time; whether it may sleep.
pub(crate) fn may_sleep(idle: &AtomicBool, nothing_to_do: impl FnOnce() -> bool) -> bool {
    idle.store(true, Ordering::Relaxed);
    fence(Ordering::SeqCst);
    nothing_to_do()
}
