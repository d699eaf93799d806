//! Checks and chores of the repository: `cargo xtask ci` is what continuous integration runs, `cargo xtask tidy` the part
//! of it that no compiler checks.
//!
//! Why a program and not scripts: it needs nothing but Rust, it is checked like the rest, and its rules have tests. It
//! depends on no crate of the workspace, so that it still runs when one of them does not compile.
#![forbid(unsafe_code)]

mod ci;
mod command;
mod contracts;
mod soak;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::soak::JournalSoak;

/// Checks and chores of the repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run everything that a change has to pass; stop at the first failure.
    ///
    /// Tools, tidy, format, clippy, documentation, tests, order flow, each with its time. Installs the Rust components
    /// that it needs where they are missing. Needs no terminal and asks nothing.
    Ci,
    /// Install public clients from the registries of Node.js and Python and have them trade with a demonstration.
    Clients,
    /// Check the house rules that no compiler knows; takes about a second.
    ///
    /// Who depends on whom, file heads and lengths, unsafe code, addresses of registries and paths of a machine,
    /// leftovers, and the documents that name files and dependencies.
    Tidy,
    /// Run one seed of the whole-system simulation and print what happened in it.
    ///
    /// Gateway session, verifier, sequencer, engine, journal and publisher on one thread, with virtual time, crashes and
    /// faults. The same seed is the same run.
    Sim {
        /// Which run.
        #[arg(long)]
        seed: u64,
    },
    /// Run what has a small size in continuous integration in a large one; goes on where it was.
    #[command(subcommand)]
    Soak(Soak),
}

#[derive(Subcommand)]
enum Soak {
    /// Ten thousand idle connections, and a thousand subscribers of whom a hundred never read.
    Gateway,
    /// An hour of load with every check, and the tables of how cost grows; pages and figures go to target/soak.
    Load {
        /// How long the soak itself lasts, in seconds.
        #[arg(long, default_value_t = 3_600)]
        seconds: u64,
    },
    /// Kills of real processes, power cuts and whole-system seeds of the journal.
    Journal {
        /// `kill -9` of real processes under load, at each level of durability.
        #[arg(long, default_value_t = 1_000)]
        kills: u64,
        /// Seeds of power cuts and kills on the simulated disk.
        #[arg(long, default_value_t = 100_000)]
        disk_seeds: u64,
        /// Seeds of the whole-system simulation.
        #[arg(long, default_value_t = 2_000)]
        system_seeds: u64,
    },
    /// Random sequences of the engine against the naive book, each by its own number.
    Engine {
        /// How many, rounded up to whole parts of 10,000.
        #[arg(long, default_value_t = 1_000_000)]
        sequences: u64,
        /// The first one; by default where the last soak ended.
        #[arg(long)]
        first: Option<u64>,
    },
}

fn main() -> ExitCode {
    let task = Arguments::parse().task;
    let done = repository_root().and_then(|root| match task {
        Task::Ci => ci::run_all(&root),
        Task::Clients => ci::public_clients(&root).map(|outcome| println!("{outcome}")),
        Task::Tidy => tidy::run(&root),
        Task::Sim { seed } => soak::simulate(&root, seed),
        Task::Soak(Soak::Gateway) => soak::gateway(&root),
        Task::Soak(Soak::Load { seconds }) => soak::load(&root, seconds),
        Task::Soak(Soak::Journal { kills, disk_seeds, system_seeds }) => {
            soak::journal(&root, JournalSoak { kills, disk_seeds, system_seeds })
        }
        Task::Soak(Soak::Engine { sequences, first }) => soak::engine(&root, sequences, first),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's root, wherever the command is given: the folder above this crate's.
fn repository_root() -> anyhow::Result<PathBuf> {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("run it as `cargo xtask`")?;
    let parent = PathBuf::from(manifest).parent().map(PathBuf::from);
    parent.context("the crate xtask lies in the repository's root")
}
