//! `lakh journal`: looking at a journal without running an exchange on it.
//!
//! Nothing here takes the writer's lock or changes a journal; snapshots and checkpoints are files beside it. So each command may run
//! beside a live writer. Results go to standard output, as text or with `--json` as JSON, one value a line; progress
//! goes to a terminal only. What is wrong with a journal ends the program with an error, whatever was printed.

mod checkpoints;
mod compare;
mod prove;
mod records;
mod snapshots;
pub(crate) mod states;
mod summary;

use std::path::PathBuf;

use anyhow::Result;

/// Looks at a journal.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum JournalCommand {
    /// Prints what a journal holds, from its headers and footers.
    Info(JournalArguments),
    /// Prints records.
    Dump(records::DumpArguments),
    /// Checks every byte of a journal: checksums, hash chain, footers, heads.
    Verify(summary::VerifyArguments),
    /// Writes records to a file as JSON lines.
    Export(records::ExportArguments),
    /// Writes or checks a proof that a record stands in a journal.
    Prove(prove::ProveArguments),
    /// Finds where two journals first differ.
    Diff(compare::DiffArguments),
    /// Keeps a snapshot of the engine's state beside a journal.
    Snapshot(snapshots::SnapshotArguments),
    /// Signs block hash and state hash of records with the node's key.
    Checkpoint(checkpoints::CheckpointArguments),
}

/// One journal and the form of the answer.
#[derive(Debug, clap::Args)]
pub(crate) struct JournalArguments {
    /// The journal's directory.
    directory: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// `lakh journal`.
pub(crate) fn run(command: &JournalCommand) -> Result<()> {
    match command {
        JournalCommand::Info(arguments) => summary::info(arguments),
        JournalCommand::Dump(arguments) => records::dump(arguments),
        JournalCommand::Verify(arguments) => summary::verify(arguments),
        JournalCommand::Export(arguments) => records::export(arguments),
        JournalCommand::Prove(arguments) => prove::run(arguments),
        JournalCommand::Diff(arguments) => compare::run(arguments),
        JournalCommand::Snapshot(arguments) => snapshots::run(arguments),
        JournalCommand::Checkpoint(arguments) => checkpoints::run(arguments),
    }
}
