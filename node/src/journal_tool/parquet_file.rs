//! Records as a Parquet file, for whoever analyses them with a column store.
//!
//! A row a record, the same fields as a JSON line has, and the number of its block. Row groups of [`ROWS`] are held in
//! memory until they are whole. Numbers that are never negative keep that in their type.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use lakh_journal::Record;
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

/// Rows of a group.
const ROWS: usize = 65_536;

const SCHEMA: &str = "message record {
    required int64 sequence (INTEGER(64,false));
    required int64 timestamp (TIMESTAMP(NANOS,true));
    required int32 kind (INTEGER(16,false));
    required int32 schema_version (INTEGER(8,false));
    required int32 flags (INTEGER(8,false));
    required int32 account (INTEGER(32,false));
    required int64 block (INTEGER(64,false));
    optional binary command (STRING);
    required binary payload;
}";

/// A file that grows by records.
pub(super) struct ParquetFile<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    rows: Rows,
}

/// Columns of the group that is not whole yet.
#[derive(Default)]
struct Rows {
    sequence: Vec<i64>,
    timestamp: Vec<i64>,
    kind: Vec<i32>,
    schema_version: Vec<i32>,
    flags: Vec<i32>,
    account: Vec<i32>,
    block: Vec<i64>,
    command: Vec<ByteArray>,
    /// 1 where a row has a command.
    has_command: Vec<i16>,
    payload: Vec<ByteArray>,
}

impl<W: Write + Send> ParquetFile<W> {
    /// A file without rows.
    pub(super) fn new(out: W) -> Result<Self> {
        let schema = Arc::new(parse_message_type(SCHEMA).context("the schema is fixed and right")?);
        let compression = Compression::ZSTD(ZstdLevel::try_new(3)?);
        let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
        Ok(Self { writer: SerializedFileWriter::new(out, schema, properties)?, rows: Rows::default() })
    }

    /// Adds a record of a block; `command` is its text where this version knows it.
    pub(super) fn add(&mut self, record: &Record<'_>, block: u64, command: Option<String>) -> Result<()> {
        let (header, rows) = (&record.header, &mut self.rows);
        rows.sequence.push(header.sequence.cast_signed());
        rows.timestamp.push(header.timestamp_ns.cast_signed());
        rows.kind.push(i32::from(header.kind));
        rows.schema_version.push(i32::from(header.schema_version));
        rows.flags.push(i32::from(header.flags));
        rows.account.push(header.account.cast_signed());
        rows.block.push(block.cast_signed());
        rows.has_command.push(i16::from(command.is_some()));
        rows.command.extend(command.map(|text| ByteArray::from(text.into_bytes())));
        rows.payload.push(ByteArray::from(record.payload.to_vec()));
        if self.rows.sequence.len() == ROWS { self.write_group() } else { Ok(()) }
    }

    /// Writes what is left and the file's end.
    pub(super) fn finish(mut self) -> Result<()> {
        if !self.rows.sequence.is_empty() {
            self.write_group()?;
        }
        self.writer.finish()?;
        Ok(())
    }

    fn write_group(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let mut group = self.writer.next_row_group()?;
        column::<Int64Type, W>(&mut group, &rows.sequence, None)?;
        column::<Int64Type, W>(&mut group, &rows.timestamp, None)?;
        column::<Int32Type, W>(&mut group, &rows.kind, None)?;
        column::<Int32Type, W>(&mut group, &rows.schema_version, None)?;
        column::<Int32Type, W>(&mut group, &rows.flags, None)?;
        column::<Int32Type, W>(&mut group, &rows.account, None)?;
        column::<Int64Type, W>(&mut group, &rows.block, None)?;
        column::<ByteArrayType, W>(&mut group, &rows.command, Some(&rows.has_command))?;
        column::<ByteArrayType, W>(&mut group, &rows.payload, None)?;
        group.close()?;
        Ok(())
    }
}

fn column<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<()> {
    let mut column = group.next_column()?.context("the schema has a column for each field")?;
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()?;
    Ok(())
}
