//! How the threads that decide and answer get processors beside everything else on the machine.
//!
//! The system's fair scheduler lets a thread that has just been woken wait for whoever has the processor, some milliseconds
//! at times, and does not always see that another one is idle. A real-time thread waits for nobody who is not, and goes where
//! there is room. Followers of the journal, syncs and reports stay as they are: they have what is left.

use anyhow::{Result, anyhow};
use lakh_config::Scheduling;
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};

/// What a thread that decides or answers does first. For [`Scheduling::RealTime`] look whether it is allowed ([`check`])
/// before there is one.
pub(crate) fn at_start(scheduling: Scheduling) -> fn() {
    match scheduling {
        Scheduling::Normal => || (),
        Scheduling::RealTime => || {
            if let Err(error) = go_real_time() {
                tracing::error!("a thread is not real-time: {error}");
            }
        },
    }
}

/// Whether the system allows it: tried on a thread that ends at once.
///
/// # Errors
/// It does not.
pub(crate) fn check(scheduling: Scheduling) -> Result<()> {
    if scheduling == Scheduling::Normal {
        return Ok(());
    }
    let tried = std::thread::Builder::new().name("scheduling".to_owned()).spawn(go_real_time)?.join();
    tried.unwrap_or_else(|_| Err(anyhow!("the thread that tried it panicked")))
}

/// Among equals by turns, at the lowest of the priorities: there is nobody to be in front of but those who have none.
fn go_real_time() -> Result<()> {
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy).map_err(|error| {
        anyhow!("the system allows no real-time threads ({error:?}): give CAP_SYS_NICE or a limit for rtprio")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_thread_that_asks_is_real_time() {
        let policy_behind = |scheduling| {
            let thread = std::thread::spawn(move || {
                at_start(scheduling)();
                thread_priority::unix::thread_schedule_policy().unwrap()
            });
            thread.join().unwrap()
        };
        let normal = policy_behind(Scheduling::Normal);
        check(Scheduling::Normal).unwrap();
        if let Err(error) = check(Scheduling::RealTime) {
            return println!("skipped: {error}");
        }
        let real_time = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
        assert_eq!(policy_behind(Scheduling::RealTime), real_time);
        assert_eq!(policy_behind(Scheduling::Normal), normal, "nobody else is");
        assert_ne!(normal, real_time);
    }
}
