//! `lakh journal dump` and `export`: records as text, JSON lines or Parquet.
//!
//! A JSON line has everything that the record has: header fields, the command as Rust writes it
//! for debugging (null where this version does not know it) and the payload as hexadecimal, which is the truth.
//! A row of Parquet has the same, with the payload as bytes, and the number of the record's block.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use indicatif::ProgressBar;
use lakh_engine::codec;
use lakh_journal::{JournalReader, Record};
use serde_json::json;

use super::JournalArguments;
use super::parquet_file::ParquetFile;
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
    /// The form of the file.
    #[arg(long, value_enum, default_value_t = Format::JsonLines)]
    format: Format,
}

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A JSON object a line.
    JsonLines,
    /// Apache Parquet.
    Parquet,
}

/// Where records go, and in which form.
enum Sink<W: Write + Send> {
    Text(W),
    JsonLines(W),
    Parquet(Box<ParquetFile<W>>),
}

impl<W: Write + Send> Sink<W> {
    fn add(&mut self, record: &Record<'_>, block: u64) -> Result<()> {
        match self {
            Self::Text(out) => writeln!(out, "{}", text(record))?,
            Self::JsonLines(out) => writeln!(out, "{}", json_line(record))?,
            Self::Parquet(file) => file.add(record, block, command_text(record))?,
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::Text(mut out) | Self::JsonLines(mut out) => Ok(out.flush()?),
            Self::Parquet(file) => file.finish(),
        }
    }
}

/// `lakh journal dump`.
pub(crate) fn dump(arguments: &DumpArguments) -> Result<()> {
    let out = BufWriter::new(std::io::stdout());
    let sink = if arguments.journal.json { Sink::JsonLines(out) } else { Sink::Text(out) };
    let hidden = ProgressBar::hidden();
    match write_all(&arguments.journal.directory, arguments.range, sink, &hidden).map(|_| ()) {
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
    let out = BufWriter::with_capacity(1 << 20, File::create_new(path)?);
    let sink = match arguments.format {
        Format::JsonLines => Sink::JsonLines(out),
        Format::Parquet => Sink::Parquet(Box::new(ParquetFile::new(out)?)),
    };
    let count = write_all(&arguments.journal.directory, arguments.range, sink, &bar)?;
    File::open(path)?.sync_all()?;
    bar.finish_and_clear();
    Ok(count)
}

/// Writes the records of a range, and that was all.
fn write_all<W: Write + Send>(directory: &Path, range: Range, mut sink: Sink<W>, bar: &ProgressBar) -> Result<u64> {
    let mut reader = JournalReader::open_behind(directory, range.from.saturating_sub(1))?;
    let (mut count, mut payload) = (0, Vec::new());
    while let Some(record) = reader.next()? {
        let header = record.header;
        if range.to.is_some_and(|to| header.sequence > to) {
            break;
        }
        // The reader lends its record, and only then tells in which block it stands.
        payload.clear();
        payload.extend_from_slice(record.payload);
        let block = reader.block().map_or(0, |block| block.number);
        sink.add(&Record { header, payload: &payload }, block)?;
        bar.inc(1);
        count += 1;
    }
    sink.finish()?;
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
    json!({
        "sequence": header.sequence,
        "timestamp_ns": header.timestamp_ns,
        "kind": header.kind,
        "schema_version": header.schema_version,
        "flags": header.flags,
        "account": header.account,
        "command": command_text(record),
        "payload": hex(record.payload),
    })
    .to_string()
}

/// The command as Rust writes it for debugging, where this version knows it.
fn command_text(record: &Record<'_>) -> Option<String> {
    codec::split_payload(record.payload).ok().map(|(command, _)| format!("{command:?}"))
}
