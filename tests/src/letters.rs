//! Reads the two outputs for what did not get through: dead letters and late rows.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use arrow_array::Array;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::parquet_table::files;

/// A record that was set aside, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub kind: String,
    pub message: String,
    pub stage: String,
    pub aggregate: Option<String>,
    pub plugin_digest: Option<String>,
    /// Of a late row.
    pub missed: Option<Missed>,
}

/// The window that a late row missed, ms since 1970 UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    pub start_ms: i64,
    pub end_ms: i64,
    pub late_by_ms: i64,
}

/// All letters under a folder, by partition and offset; none where it does not exist.
///
/// # Errors
/// A file is not as it should be.
pub fn read(folder: &Path) -> Result<Vec<Letter>> {
    let mut letters = Vec::new();
    for file in files(folder)? {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&file)?)?.build()?;
        for batch in reader {
            add(&batch?, &mut letters).with_context(|| format!("in {}", file.display()))?;
        }
    }
    letters.sort_by_key(|letter| (letter.partition, letter.offset));
    Ok(letters)
}

fn add(batch: &RecordBatch, letters: &mut Vec<Letter>) -> Result<()> {
    for row in 0..batch.num_rows() {
        letters.push(Letter {
            topic: text(batch, "topic", row)?.unwrap_or_default(),
            partition: column(batch, "partition")?.as_primitive::<Int32Type>().value(row),
            offset: column(batch, "offset")?.as_primitive::<Int64Type>().value(row),
            key: bytes(batch, "key", row)?,
            value: bytes(batch, "value", row)?,
            kind: text(batch, "kind", row)?.unwrap_or_default(),
            message: text(batch, "message", row)?.unwrap_or_default(),
            stage: text(batch, "stage", row)?.unwrap_or_default(),
            aggregate: text(batch, "aggregate", row)?,
            plugin_digest: text(batch, "plugin_digest", row)?,
            missed: missed(batch, row)?,
        });
    }
    Ok(())
}

fn missed(batch: &RecordBatch, row: usize) -> Result<Option<Missed>> {
    if batch.column_by_name("late_by_ms").is_none() {
        return Ok(None);
    }
    let instant_ms = |name: &str| -> Result<i64> {
        Ok(column(batch, name)?.as_primitive::<TimestampMicrosecondType>().value(row) / 1_000)
    };
    let late_by_ms = column(batch, "late_by_ms")?.as_primitive::<Int64Type>().value(row);
    Ok(Some(Missed { start_ms: instant_ms("window_start")?, end_ms: instant_ms("window_end")?, late_by_ms }))
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a dyn Array> {
    batch.column_by_name(name).map(AsRef::as_ref).with_context(|| format!("there is no column {name}"))
}

fn text(batch: &RecordBatch, name: &str, row: usize) -> Result<Option<String>> {
    let column = column(batch, name)?.as_string::<i32>();
    Ok((!column.is_null(row)).then(|| column.value(row).to_owned()))
}

fn bytes(batch: &RecordBatch, name: &str, row: usize) -> Result<Option<Vec<u8>>> {
    let column = column(batch, name)?.as_binary::<i32>();
    Ok((!column.is_null(row)).then(|| column.value(row).to_vec()))
}
