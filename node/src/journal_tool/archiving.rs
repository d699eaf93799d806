//! `lakh journal archive` and `restore`: segments into an archive and back.
//!
//! `archive` may let segments go, so it takes the writer's lock: beside a running node it is refused, and the node does
//! it by itself where its configuration names an archive. `restore` only adds files, the newest first, so that what
//! stands there is without a gap at each moment; a whole journal comes back into an empty directory.

use anyhow::{Context as _, Result, bail};
use lakh_journal::JournalReader;
use lakh_journal::storage::{RealStorage, Storage as _};
use serde_json::json;

use super::JournalArguments;
use crate::archive::{Archive, Retention, Shelf};
use crate::keys::{hex, unhex};
use crate::{history, progress, snapshots};

/// Archives a journal's sealed segments.
#[derive(Debug, clap::Args)]
pub(crate) struct ArchiveArguments {
    #[command(flatten)]
    journal: JournalArguments,
    /// A directory, or s3://bucket/prefix.
    #[arg(long, value_name = "PLACE")]
    to: String,
    /// Let archived segments go that no start needs, but for this many of the newest sealed ones. Without it all stay.
    #[arg(long, value_name = "SEGMENTS")]
    keep: Option<u64>,
}

/// Brings archived segments back.
#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArguments {
    #[command(flatten)]
    journal: JournalArguments,
    /// A directory, or s3://bucket/prefix.
    #[arg(long, value_name = "PLACE")]
    from: String,
    /// The exchange, 32 hexadecimal digits, where the archive has several and the directory has no journal.
    #[arg(long, value_name = "ID")]
    exchange: Option<String>,
}

/// `lakh journal archive`.
pub(crate) fn archive(arguments: &ArchiveArguments) -> Result<()> {
    let JournalArguments { directory, json } = &arguments.journal;
    let _lock = RealStorage.lock(directory).with_context(|| {
        format!("{} cannot be locked: a node that runs on it archives by its own configuration", directory.display())
    })?;
    let retention = arguments.keep.map_or(Retention::KeepAll, Retention::KeepNewest);
    // Where the first record is gone already, no contract needed it.
    if arguments.keep.is_some() && snapshots::begins_at_first(directory)? && history::venue(directory)?.is_some() {
        bail!("a contract is bound to this journal, and settlement replays it from the first record: leave out --keep");
    }
    let bar = progress::counter("archiving", *json);
    let archive = Archive::open(&arguments.to)?;
    let round = archive.round(Shelf::at(directory), retention, &mut |records| bar.inc(records))?;
    bar.finish_and_clear();
    if *json {
        println!("{}", serde_json::to_string(&round)?);
        return Ok(());
    }
    let count = round.archived.len();
    println!("{count} segment(s) archived and read back, {} bytes of {}", round.object_bytes, round.segment_bytes);
    println!("{} segment(s) let go", round.removed.len());
    Ok(())
}

/// `lakh journal restore`.
pub(crate) fn restore(arguments: &RestoreArguments) -> Result<()> {
    let JournalArguments { directory, json } = &arguments.journal;
    let archive = Archive::open(&arguments.from)?;
    std::fs::create_dir_all(directory).with_context(|| format!("{} cannot be created", directory.display()))?;
    let (exchange_id, shard) = identity(arguments, &archive)?;
    let bar = progress::counter("restoring", *json);
    let place = (&exchange_id, shard);
    let (restored, records) = archive.complete(directory, place, &mut |records| bar.set_position(records))?;
    bar.finish_and_clear();
    // Each segment is whole; that they follow on each other, and on what was there, is for the chain to say.
    let overview = lakh_journal::verify::overview(directory)?;
    let first = overview.segments.first().map_or(0, |segment| segment.first_sequence);
    if *json {
        let last = overview.last_sequence;
        println!(
            "{}",
            json!({ "segments": restored, "records": records, "first_sequence": first, "last_sequence": last })
        );
    } else {
        println!("{restored} segment(s) with {records} records restored");
        println!("the journal holds records {first} to {}", overview.last_sequence);
    }
    Ok(())
}

/// Whose segments: those of the journal that is there, or of the only one in the archive.
fn identity(arguments: &RestoreArguments, archive: &Archive) -> Result<([u8; 16], u16)> {
    if let Ok(reader) = JournalReader::open(&arguments.journal.directory) {
        return Ok((reader.exchange_id(), reader.shard()));
    }
    let mut journals = archive.journals()?;
    if let Some(text) = &arguments.exchange {
        let id = unhex::<16>(text).context("an exchange's id has 32 hexadecimal digits")?;
        journals.retain(|(exchange, _)| *exchange == id);
    }
    match journals.as_slice() {
        [one] => Ok(*one),
        [] => bail!("{} has no such journal", arguments.from),
        several => {
            let ids: Vec<String> = several.iter().map(|(id, shard)| format!("{} shard {shard}", hex(id))).collect();
            bail!("the archive has several journals; say --exchange: {}", ids.join(", "))
        }
    }
}
