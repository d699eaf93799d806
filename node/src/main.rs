//! The binary `lakh`: one program for those who run the exchange, trade on it, and check it.
//!
//! Each subcommand is a module of its name; [`pipeline`] is the exchange itself.
#![forbid(unsafe_code)]

mod acknowledger;
mod admin;
mod archive;
mod archiver;
mod audit;
mod audit_signatures;
mod background;
mod beside;
mod bring_up;
mod chain_sender;
mod checkpoints;
mod claims;
mod control;
mod ctl;
mod demo_traders;
mod dev;
mod dev_accounts;
mod dev_chain;
mod escape;
mod flow;
#[cfg(test)]
mod golden_tests;
mod history;
mod journal_feed;
mod journal_tool;
mod keeper;
mod keys;
mod library_options;
mod load;
mod logs;
mod metrics;
mod node_commands;
mod node_tls;
mod notary;
mod open_files;
mod operators_port;
mod pipeline;
mod processors;
mod progress;
mod proof;
mod receipt;
mod replay;
mod run;
mod scheduling;
mod sequencer;
mod settle;
mod settlement;
mod settlement_link;
#[cfg(test)]
mod simulation;
mod snapshots;
mod soak;
mod soak_latency;
mod soak_start;
mod soak_watchers;
mod stage;
mod watch;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;

/// What a session allocates another thread frees, thousands of times a millisecond; the system's allocator takes a lock for it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// An exchange that takes signed orders, and whose every fill anyone can check.
#[derive(Debug, Parser)]
#[command(name = "lakh", version, arg_required_else_help = true)]
struct Arguments {
    /// How log lines look on standard error. What is logged says the variable LAKH_LOG: a level, or levels by module.
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: logs::LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a demonstration: markets, makers and takers, funded keys; needs nothing else.
    Dev(dev::DevArguments),
    /// Runs an exchange from a configuration file.
    Run(run::RunArguments),
    /// Applies a journal from its first record and prints what it comes to.
    Replay(replay::ReplayArguments),
    /// Checks every signature of a journal and that it says what was journaled.
    Audit(audit::AuditArguments),
    /// Looks at a journal.
    #[command(subcommand)]
    Journal(journal_tool::JournalCommand),
    /// Prints the withdrawals of an account and how each is claimed on the chain.
    Claims(claims::ClaimsArguments),
    /// Leaves a venue whose operator is gone, by chain data alone.
    Escape(escape::EscapeArguments),
    /// Watches a venue's batches and vetoes those that are not what they should be.
    Watch(watch::WatchArguments),
    /// Settles a venue beside its node.
    Settle(settle::SettleArguments),
    /// Checks a receipt of the venue's, offline, or freezes a venue that broke its promise.
    #[command(subcommand)]
    Receipt(receipt::ReceiptCommand),
    /// Checks the proof of an account's balances.
    #[command(subcommand)]
    Proof(proof::ProofCommand),
    /// Checks the engine against recorded order flow.
    #[command(subcommand)]
    Flow(flow::FlowCommand),
    /// Loads a venue with signed orders and measures it.
    Load(load::LoadArguments),
    /// Soaks a venue: thousands of idle connections, subscribers that never read, starts on a long journal.
    #[command(subcommand)]
    Soak(soak::SoakCommand),
    /// Makes a key.
    Keygen(keys::KeygenArguments),
    /// Decides something as an operator.
    Ctl(ctl::CtlArguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    logs::start(arguments.log_format);
    match run_command(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_command(command: Command) -> Result<ExitCode> {
    let done = match command {
        Command::Watch(arguments) => return watch::run(&arguments),
        Command::Receipt(command) => return receipt::run(&command),
        Command::Dev(arguments) => dev::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Audit(arguments) => audit::run(&arguments),
        Command::Journal(command) => journal_tool::run(&command),
        Command::Claims(arguments) => claims::run(&arguments),
        Command::Escape(arguments) => escape::run(&arguments),
        Command::Settle(arguments) => settle::run(&arguments),
        Command::Proof(command) => proof::run(&command),
        Command::Flow(command) => flow::run(&command),
        Command::Load(arguments) => load::run(&arguments),
        Command::Soak(command) => soak::run(&command),
        Command::Keygen(arguments) => keys::keygen(&arguments),
        Command::Ctl(arguments) => ctl::run(&arguments),
    };
    done.map(|()| ExitCode::SUCCESS)
}
