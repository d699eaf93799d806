//! `lakh journal dump` and `export`: records as text or JSON lines.
//!
//! A JSON line has everything that the record has: header fields, the command as Rust writes it
//! for debugging (null where this version does not know it) and the payload as hexadecimal, which is the truth.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use indicatif::ProgressBar;
use lakh_engine::codec;
use lakh_journal::{JournalReader, Record};
use serde_json::json;

use super::JournalArguments;
use crate::keys::hex;
use crate::progress;

/// Which records.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Range {
    /// The first record.
    #[arg(long, value_name = "SEQUENCE", default_value_t = 1)]
    from: u64,
    /// The last record; without it, all up to the end.
    #[arg(long, value_name = "SEQUENCE")]
    to: Option<u64>,
}

/// Prints records.
#[derive(Debug, clap::Args)]
pub(crate) struct DumpArguments {
    #[command(flatten)]
    journal: JournalArguments,
    #[command(flatten)]
    range: Range,
}

/// Writes records to a file.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArguments {
    #[command(flatten)]
    journal: JournalArguments,
    #[command(flatten)]
    range: Range,
    /// The file, which must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// The form of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    JsonLine,
}

/// `lakh journal dump`.
pub(crate) fn dump(arguments: &DumpArguments) -> Result<()> {
    let form = if arguments.journal.json { Form::JsonLine } else { Form::Text };
    let mut out = BufWriter::new(std::io::stdout().lock());
    let hidden = ProgressBar::hidden();
    let written = write_all(&arguments.journal.directory, arguments.range, (form, &hidden), &mut out);
    let flushed = written.and_then(|_| out.flush().map_err(Into::into));
    match flushed {
        // Whoever reads along has seen enough: `lakh journal dump | head`.
        Err(error) if error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe) => {
            Ok(())
        }
        other => other,
    }
}

/// `lakh journal export`. The file has its name only when it is whole and on stable storage.
pub(crate) fn export(arguments: &ExportArguments) -> Result<()> {
    let path = &arguments.out;
    anyhow::ensure!(!path.exists(), "{} exists already", path.display());
    let mut name = path.clone().into_os_string();
    name.push(".tmp");
    let unfinished = PathBuf::from(name);
    let count = write_file(arguments, &unfinished)
        .and_then(|count| std::fs::rename(&unfinished, path).map(|()| count).map_err(Into::into))
        .inspect_err(|_| {
            // What could not be finished is of no use; that it may not be there at all is fine.
            let _ = std::fs::remove_file(&unfinished);
        })
        .with_context(|| format!("{} cannot be written", path.display()))?;
    if arguments.journal.json {
        println!("{}", json!({ "records": count, "file": path.display().to_string() }));
    } else {
        println!("{count} records in {}", path.display());
    }
    Ok(())
}

fn write_file(arguments: &ExportArguments, path: &Path) -> Result<u64> {
    let bar = progress::counter("exporting", arguments.journal.json);
    let mut out = BufWriter::with_capacity(1 << 20, File::create_new(path)?);
    let count = write_all(&arguments.journal.directory, arguments.range, (Form::JsonLine, &bar), &mut out)?;
    out.flush()?;
    File::open(path)?.sync_all()?;
    bar.finish_and_clear();
    Ok(count)
}

fn write_all(directory: &Path, range: Range, (form, bar): (Form, &ProgressBar), out: &mut impl Write) -> Result<u64> {
    let mut reader = JournalReader::open_behind(directory, range.from.saturating_sub(1))?;
    let mut count = 0;
    while let Some(record) = reader.next()? {
        if range.to.is_some_and(|to| record.header.sequence > to) {
            break;
        }
        let line = match form {
            Form::Text => text(&record),
            Form::JsonLine => json_line(&record),
        };
        writeln!(out, "{line}")?;
        bar.inc(1);
        count += 1;
    }
    Ok(count)
}

fn text(record: &Record<'_>) -> String {
    let header = &record.header;
    let command = match codec::split_payload(record.payload) {
        Ok((command, evidence)) => format!("{command:?}, {} bytes of evidence", evidence.len()),
        Err(error) => format!("kind {} that this version does not know: {error:?}", header.kind),
    };
    format!("{} {} account {} {command}", header.sequence, header.timestamp_ns, header.account)
}

fn json_line(record: &Record<'_>) -> String {
    let header = &record.header;
    let command = codec::split_payload(record.payload).ok().map(|(command, _)| format!("{command:?}"));
    json!({
        "sequence": header.sequence,
        "timestamp_ns": header.timestamp_ns,
        "kind": header.kind,
        "schema_version": header.schema_version,
        "flags": header.flags,
        "account": header.account,
        "command": command,
        "payload": hex(record.payload),
    })
    .to_string()
}
