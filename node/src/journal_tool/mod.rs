//! `lakh journal`: looking at a journal without running an exchange on it.
//!
//! Nothing here changes a journal or takes the writer's lock but for `archive`, which may let segments go, `restore`,
//! which adds earlier ones, `fetch`, which keeps a mirror up, and `quarantine`, which appends a record; snapshots and checkpoints are files beside it. So each other command may run beside a live
//! writer. Results go to standard output, as text or with `--json` as JSON, one value a line; progress
//! goes to a terminal only. What is wrong with a journal ends the program with an error, whatever was printed.

mod archiving;
mod checkpoints;
mod compare;
pub(crate) mod fetching;
mod parquet_file;
mod prove;
mod quarantine;
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
    /// Writes records to a file as JSON lines or Parquet.
    Export(records::ExportArguments),
    /// Writes or checks a proof that a record stands in a journal.
    Prove(prove::ProveArguments),
    /// Finds where two journals first differ.
    Diff(compare::DiffArguments),
    /// Keeps a snapshot of the engine's state beside a journal.
    Snapshot(snapshots::SnapshotArguments),
    /// Signs block hash and state hash of records with the node's key.
    Checkpoint(checkpoints::CheckpointArguments),
    /// Brings sealed segments into an archive, reads them back, and lets go what no start needs.
    Archive(archiving::ArchiveArguments),
    /// Brings archived segments back.
    Restore(archiving::RestoreArguments),
    /// Mirrors a venue's journal into a directory, checked as it comes.
    Fetch(fetching::FetchArguments),
    /// Lets every replay pass over the last record, which stops the engine; with the node down.
    Quarantine(quarantine::QuarantineArguments),
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
        JournalCommand::Archive(arguments) => archiving::archive(arguments),
        JournalCommand::Restore(arguments) => archiving::restore(arguments),
        JournalCommand::Fetch(arguments) => fetching::run(arguments),
        JournalCommand::Quarantine(arguments) => quarantine::run(arguments),
    }
}
