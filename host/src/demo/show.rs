//! What the demonstration shows: a line of progress, and the table of closed windows
//! read back from the Parquet files.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use speed_layer_core::path::parse_component;

use crate::job::Progress;

/// Progress on stderr: one line that is written over on a terminal, one a tenth elsewhere.
pub struct Line {
    count: u64,
    is_terminal: bool,
    tenths: u64,
}

impl Line {
    pub fn new(count: u64) -> Self {
        Self { count, is_terminal: std::io::stderr().is_terminal(), tenths: 0 }
    }

    pub fn show(&mut self, progress: &Progress) {
        let tenths = progress.records_in * 10 / self.count.max(1);
        if !self.is_terminal && tenths == self.tenths {
            return;
        }
        self.tenths = tenths;
        let (begin, end) = if self.is_terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        let text = format!(
            "{begin}{:3} %  {} of {} ticks, commit {}, {} windows closed{end}",
            progress.records_in * 100 / self.count.max(1),
            progress.records_in,
            self.count,
            progress.epoch,
            progress.windows_out
        );
        // Progress that cannot be shown is no reason to stop.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    /// Leaves the line.
    pub fn end(&self) {
        if self.is_terminal {
            eprintln!();
        }
    }
}

/// The rows of all Parquet files below `output` as a table, with the key from the path.
///
/// # Errors
/// When a file cannot be read.
pub fn closed_windows(output: &Path) -> anyhow::Result<String> {
    let mut files = Vec::new();
    find_parquet(output, &mut files)?;
    files.sort();
    let batches = files.iter().map(|file| read(file)).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(arrow_cast::pretty::pretty_format_batches(&batches.concat())?.to_string())
}

fn find_parquet(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in
        std::fs::read_dir(folder).with_context(|| format!("{} cannot be listed", folder.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            find_parquet(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            files.push(path);
        }
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Vec<RecordBatch>> {
    let opened = std::fs::File::open(file).with_context(|| format!("{} cannot be opened", file.display()))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(opened)?.build()?;
    let folder = file.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let key = folder.as_deref().and_then(parse_component);
    reader.map(|batch| with_key(without_zone(&batch?)?, key.as_ref())).collect()
}

fn with_key(batch: RecordBatch, key: Option<&(String, Option<String>)>) -> anyhow::Result<RecordBatch> {
    let Some((name, value)) = key else { return Ok(batch) };
    let column: ArrayRef = Arc::new(StringArray::from(vec![value.as_deref(); batch.num_rows()]));
    let field = Arc::new(Field::new(name, DataType::Utf8, true));
    let schema = batch.schema();
    let fields = std::iter::once(field).chain(schema.fields().iter().cloned()).collect::<Vec<_>>();
    let columns = std::iter::once(column).chain(batch.columns().iter().cloned()).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// Times without their zone, which is UTC for all of them: the table is easier to read.
fn without_zone(batch: &RecordBatch) -> anyhow::Result<RecordBatch> {
    let plain = |column: &ArrayRef| -> ArrayRef {
        match column.as_primitive_opt::<TimestampMicrosecondType>() {
            Some(times) => Arc::new(times.clone().with_timezone_opt(None::<Arc<str>>)),
            None => Arc::clone(column),
        }
    };
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    let columns = columns.map(|(field, column)| (field.name().clone(), plain(column), field.is_nullable()));
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}
