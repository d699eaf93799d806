//! Where a stage of the pipeline runs: on a thread of its own, or as a task of the runtime that serves the sockets.
//!
//! A machine with many cores gives each stage its own, so that nothing holds it up. With one or two cores there are
//! more stages than cores, and what an order costs most is being handed from thread to thread: there the stages are
//! tasks, and a wake is a function call. A task that waits for a disk holds one worker up, so there are always two.

use anyhow::Result;
use lakh_config::{GatewayConfig, Stages};
use lakh_gateway::signal::alone;

use crate::scheduling;

/// Where the stages run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Each on a thread of its own, verifiers too.
    OwnThreads,
    /// As tasks beside the sockets: sequencer and verifiers as one, the publisher as another.
    Shared,
}

impl Placement {
    /// As configured; automatically by the number of cores.
    pub(crate) fn of(stages: Stages) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        match stages {
            Stages::Shared => Self::Shared,
            Stages::Automatic if cores <= 2 => Self::Shared,
            Stages::OwnThreads | Stages::Automatic => Self::OwnThreads,
        }
    }
}

/// Where stages run, and what a thread of theirs does first.
pub(crate) type Place = (Placement, fn());

/// As configured.
pub(crate) fn place(gateway: &GatewayConfig) -> Place {
    (Placement::of(gateway.stages), scheduling::at_start(gateway.scheduling))
}

/// A running stage, which gives back a `T` when it ends.
#[derive(Debug)]
pub(crate) enum Stage<T> {
    Thread(std::thread::JoinHandle<T>),
    Task(tokio::task::JoinHandle<T>),
}

impl<T: Send + 'static> Stage<T> {
    /// Starts a stage; the current runtime takes it where it is a task, else a thread of this name.
    pub(crate) fn start<F>((placement, thread_start): Place, name: &str, stage: F) -> Result<Self>
    where
        F: Future<Output = T> + Send + 'static,
    {
        Ok(match placement {
            Placement::Shared => Self::Task(tokio::spawn(stage)),
            Placement::OwnThreads => {
                let run = move || {
                    thread_start();
                    alone(stage)
                };
                Self::Thread(std::thread::Builder::new().name(name.to_owned()).spawn(run)?)
            }
        })
    }

    /// Whether it has ended, which it does not by itself.
    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Self::Thread(thread) => thread.is_finished(),
            Self::Task(task) => task.is_finished(),
        }
    }

    /// Waits for its end; `None` if it has panicked.
    pub(crate) async fn join(self) -> Option<T> {
        match self {
            Self::Thread(thread) => tokio::task::spawn_blocking(move || thread.join().ok()).await.ok()?,
            Self::Task(task) => task.await.ok(),
        }
    }
}
