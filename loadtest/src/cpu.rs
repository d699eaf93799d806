//! Processor time and memory of processes while a load is on, by the names of their threads, as the system counts them.
//!
//! A thread's time is the nanoseconds that it ran (`schedstat`); threads of one name are summed, and one that ends keeps
//! what it had when it was last seen. Where the system does not tell, there is nothing to tell: figures are left out.
//! Bounds: a sample a second for as long as the load is on.

use std::collections::BTreeMap;
use std::fs;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(1);

/// What a process had used at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProcessUse {
    /// Nanoseconds of processor time since the first look, by the threads' names.
    pub cpu_ns: BTreeMap<String, u64>,
    /// Memory that it has in use, mapped files left out.
    pub resident_bytes: u64,
}

/// A look at all watched processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UseSample {
    /// Milliseconds after the first look.
    pub at_ms: u64,
    /// By the process' label.
    pub processes: BTreeMap<&'static str, ProcessUse>,
}

/// A thread that looks, until it is stopped.
#[derive(Debug)]
pub struct UseWatch {
    stop: Sender<()>,
    thread: JoinHandle<Vec<UseSample>>,
}

impl UseWatch {
    /// Watches processes by label and process id from now on.
    ///
    /// # Panics
    /// When the system has no thread left.
    pub fn start(processes: Vec<(&'static str, u32)>) -> Self {
        let (stop, stopped) = channel();
        let mut processes: Vec<Process> = processes.into_iter().map(|(label, id)| Process::new(label, id)).collect();
        let watch = move || {
            let start = Instant::now();
            let mut samples = vec![look(&mut processes, start)];
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                samples.push(look(&mut processes, start));
            }
            samples.push(look(&mut processes, start));
            samples
        };
        let thread = std::thread::Builder::new().name("watch".to_owned()).spawn(watch).expect("a thread for the watch");
        Self { stop, thread }
    }

    /// What was seen, the first look and a last one among it.
    pub fn stop(self) -> Vec<UseSample> {
        // Fails only when the thread has ended, which it does not by itself.
        let _ = self.stop.send(());
        self.thread.join().expect("the watch does not panic")
    }
}

fn look(processes: &mut [Process], start: Instant) -> UseSample {
    let at_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    let processes = processes.iter_mut().map(|process| (process.label, process.look()));
    UseSample { at_ms, processes: processes.collect() }
}

/// A watched process and what is known of its threads.
struct Process {
    label: &'static str,
    id: u32,
    /// Name, time at the first look, and time at the last one, by the thread's id.
    threads: BTreeMap<u32, (String, u64, u64)>,
    is_first: bool,
}

impl Process {
    const fn new(label: &'static str, id: u32) -> Self {
        Self { label, id, threads: BTreeMap::new(), is_first: true }
    }

    fn look(&mut self) -> ProcessUse {
        let tasks = format!("/proc/{}/task", self.id);
        let ids = fs::read_dir(&tasks).into_iter().flatten().flatten();
        for id in ids.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok())) {
            let (Some(name), Some(ran_ns)) = (thread_name(&tasks, id), ran_ns(&tasks, id)) else { continue };
            // A thread that comes later began at nothing.
            let before_ns = if self.is_first { ran_ns } else { 0 };
            let known = self.threads.entry(id).or_insert((String::new(), before_ns, ran_ns));
            // A thread that was just made still has its parent's name.
            known.0 = name;
            known.2 = ran_ns;
        }
        self.is_first = false;
        let mut cpu_ns = BTreeMap::new();
        for (name, first, last) in self.threads.values() {
            *cpu_ns.entry(name.clone()).or_insert(0) += last.saturating_sub(*first);
        }
        ProcessUse { cpu_ns, resident_bytes: resident_bytes(self.id).unwrap_or(0) }
    }
}

fn thread_name(tasks: &str, id: u32) -> Option<String> {
    Some(fs::read_to_string(format!("{tasks}/{id}/comm")).ok()?.trim().to_owned())
}

fn ran_ns(tasks: &str, id: u32) -> Option<u64> {
    fs::read_to_string(format!("{tasks}/{id}/schedstat")).ok()?.split_whitespace().next()?.parse().ok()
}

/// Memory that a process has in use: its own, and what it shares in memory. Not the pages of mapped files, which the system
/// takes back when it wants them.
pub(crate) fn resident_bytes(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let kibibytes = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    Some((kibibytes("RssAnon:")? + kibibytes("RssShmem:")?) * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_thread_is_found_by_its_name_also_when_it_has_ended() {
        let kept = std::hint::black_box(vec![1_u8; 4 << 20]);
        let watch = UseWatch::start(vec![("own", std::process::id())]);
        let work = || {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(1_200) {
                std::hint::black_box(begun.elapsed());
            }
        };
        let busy = std::thread::Builder::new().name("busy".to_owned()).spawn(work).expect("a thread");
        busy.join().expect("it only counts");
        let samples = watch.stop();
        let last = &samples.last().expect("at least two looks").processes["own"];
        // Others may have had the processor half of the time.
        assert!(last.cpu_ns["busy"] > 200_000_000, "{last:?}");
        assert!(last.resident_bytes > kept.len() as u64 && samples[0].at_ms <= samples[1].at_ms, "{samples:?}");
    }

    #[test]
    fn a_process_that_is_not_there_has_used_nothing() {
        let samples = UseWatch::start(vec![("nobody", u32::MAX)]).stop();
        assert!(samples.iter().all(|sample| sample.processes["nobody"] == ProcessUse::default()), "{samples:?}");
    }
}
