//! The dead-letter and late outputs read again, letter by letter, in the order in which
//! they were written. What is done with a letter is the caller's business.

use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, BinaryArray, PrimitiveArray, RecordBatch, StringArray};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::published::{FileError, PublishedFile, caught, parquet_files};

/// A record or row that did not get through, and why: see [`crate::letters::Letter`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeptLetter {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub kind: String,
    pub message: String,
    pub stage: String,
    pub aggregate: Option<String>,
    pub plugin_digest: Option<String>,
    pub epoch: u64,
    /// Of a late row.
    pub missed: Option<Missed>,
}

/// The window that a late row missed, milliseconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    pub start_ms: i64,
    pub end_ms: i64,
    pub late_by_ms: i64,
}

/// The files of a dead-letter or late output, the oldest first; none where there is no
/// such folder.
///
/// # Errors
/// [`FileError`] for a file that is none of a job's.
pub fn letter_files(folder: &Path) -> Result<Vec<PublishedFile>, FileError> {
    let opened = parquet_files(folder)?.into_iter().map(|path| PublishedFile::open(&path));
    let mut files = opened.collect::<Result<Vec<_>, _>>()?;
    files.sort_by(|a, b| (a.footer.epoch, &a.path).cmp(&(b.footer.epoch, &b.path)));
    Ok(files)
}

/// The letters of a file, in its order.
///
/// # Errors
/// [`FileError::Rows`] for a file that is damaged, or holds something else.
pub fn letters_of(file: &PublishedFile) -> Result<Vec<KeptLetter>, FileError> {
    let damaged = |why| FileError::Rows { path: file.path.clone(), why };
    letters(&file.read_rows()?).map_err(damaged)
}

/// The letters of a file in memory, or why it holds none.
pub(crate) fn letters_in(file: Vec<u8>) -> Result<Vec<KeptLetter>, String> {
    let read = || {
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file))?;
        Ok(reader.build()?.collect::<Result<Vec<_>, _>>()?)
    };
    letters(&caught(read).map_err(|cause| cause.to_string())?)
}

fn letters(batches: &[RecordBatch]) -> Result<Vec<KeptLetter>, String> {
    let mut letters = Vec::new();
    let mut added = batches.iter().map(|batch| add(batch, &mut letters));
    added.try_for_each(|outcome| {
        outcome.map_err(|name| format!("its column `{name}` is none of a dead letter"))
    })?;
    Ok(letters)
}

/// The name of a column that is not there, or of another type.
type Other = &'static str;

fn add(batch: &RecordBatch, letters: &mut Vec<KeptLetter>) -> Result<(), Other> {
    let columns = Columns::of(batch)?;
    letters.extend((0..batch.num_rows()).map(|row| columns.letter(row)));
    Ok(())
}

struct Columns<'a> {
    topic: &'a StringArray,
    partition: &'a PrimitiveArray<Int32Type>,
    offset: &'a PrimitiveArray<Int64Type>,
    timestamp: &'a PrimitiveArray<TimestampMicrosecondType>,
    key: &'a BinaryArray,
    value: &'a BinaryArray,
    kind: &'a StringArray,
    message: &'a StringArray,
    stage: &'a StringArray,
    aggregate: &'a StringArray,
    plugin_digest: &'a StringArray,
    epoch: &'a PrimitiveArray<Int64Type>,
    missed: Option<MissedColumns<'a>>,
}

struct MissedColumns<'a> {
    start: &'a PrimitiveArray<TimestampMicrosecondType>,
    end: &'a PrimitiveArray<TimestampMicrosecondType>,
    late_by_ms: &'a PrimitiveArray<Int64Type>,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, Other> {
        let texts = |name: Other| column(batch, name)?.as_string_opt::<i32>().ok_or(name);
        let bytes = |name: Other| column(batch, name)?.as_binary_opt::<i32>().ok_or(name);
        let is_late = batch.column_by_name("late_by_ms").is_some();
        Ok(Self {
            topic: texts("topic")?,
            partition: numbers(batch, "partition")?,
            offset: numbers(batch, "offset")?,
            timestamp: numbers(batch, "timestamp")?,
            key: bytes("key")?,
            value: bytes("value")?,
            kind: texts("kind")?,
            message: texts("message")?,
            stage: texts("stage")?,
            aggregate: texts("aggregate")?,
            plugin_digest: texts("plugin_digest")?,
            epoch: numbers(batch, "epoch")?,
            missed: is_late.then(|| MissedColumns::of(batch)).transpose()?,
        })
    }

    fn letter(&self, row: usize) -> KeptLetter {
        KeptLetter {
            topic: self.topic.value(row).to_owned(),
            partition: self.partition.value(row),
            offset: self.offset.value(row),
            timestamp_ms: millis(self.timestamp, row),
            key: self.key.is_valid(row).then(|| self.key.value(row).to_vec()),
            value: self.value.is_valid(row).then(|| self.value.value(row).to_vec()),
            kind: self.kind.value(row).to_owned(),
            message: self.message.value(row).to_owned(),
            stage: self.stage.value(row).to_owned(),
            aggregate: text(self.aggregate, row),
            plugin_digest: text(self.plugin_digest, row),
            epoch: self.epoch.value(row).unsigned_abs(),
            missed: self.missed.as_ref().and_then(|missed| missed.of_row(row)),
        }
    }
}

impl<'a> MissedColumns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, Other> {
        Ok(Self {
            start: numbers(batch, "window_start")?,
            end: numbers(batch, "window_end")?,
            late_by_ms: numbers(batch, "late_by_ms")?,
        })
    }

    fn of_row(&self, row: usize) -> Option<Missed> {
        let (start_ms, end_ms) = (millis(self.start, row)?, millis(self.end, row)?);
        Some(Missed { start_ms, end_ms, late_by_ms: self.late_by_ms.value(row) })
    }
}

fn column(batch: &RecordBatch, name: Other) -> Result<&ArrayRef, Other> {
    batch.column_by_name(name).ok_or(name)
}

fn numbers<T: ArrowPrimitiveType>(batch: &RecordBatch, name: Other) -> Result<&PrimitiveArray<T>, Other> {
    column(batch, name)?.as_primitive_opt::<T>().ok_or(name)
}

fn text(column: &StringArray, row: usize) -> Option<String> {
    column.is_valid(row).then(|| column.value(row).to_owned())
}

fn millis(column: &PrimitiveArray<TimestampMicrosecondType>, row: usize) -> Option<i64> {
    column.is_valid(row).then(|| column.value(row).div_euclid(1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::letters::{DeadLetters, LateRow, LateRows, Letter};
    use speed_layer_core::commit::Epoch;

    const LETTER: Letter<'_> = Letter {
        topic: "ticks",
        partition: 3,
        offset: 42,
        timestamp_ms: Some(-1),
        key: Some(b"k\0"),
        value: None,
        kind: "tombstone",
        message: "it has no value",
        stage: "parse",
        aggregate: None,
        plugin_digest: Some("ab"),
        epoch: Epoch(7),
    };

    fn kept() -> KeptLetter {
        KeptLetter {
            topic: "ticks".into(),
            partition: 3,
            offset: 42,
            timestamp_ms: Some(-1),
            key: Some(b"k\0".to_vec()),
            kind: "tombstone".into(),
            message: "it has no value".into(),
            stage: "parse".into(),
            plugin_digest: Some("ab".into()),
            epoch: 7,
            ..KeptLetter::default()
        }
    }

    #[test]
    fn a_letter_reads_back_as_it_was_written() {
        let mut dead = DeadLetters::default();
        dead.push(&LETTER);
        let value: &[u8] = b"";
        dead.push(&Letter { value: Some(value), timestamp_ms: None, aggregate: Some("daily"), ..LETTER });
        let mut letters = Vec::new();
        add(&dead.take().unwrap(), &mut letters).unwrap();
        let second = KeptLetter {
            value: Some(Vec::new()),
            timestamp_ms: None,
            aggregate: Some("daily".into()),
            ..kept()
        };
        assert_eq!(letters, [kept(), second]);
    }

    #[test]
    fn a_late_row_reads_back_with_the_window_that_it_missed() {
        let mut late = LateRows::default();
        late.push(&LateRow { letter: LETTER, window_start_ms: -5, window_end_ms: 5, late_by_ms: 9 });
        let mut letters = Vec::new();
        add(&late.take().unwrap(), &mut letters).unwrap();
        let missed = Some(Missed { start_ms: -5, end_ms: 5, late_by_ms: 9 });
        assert_eq!(letters, [KeptLetter { missed, ..kept() }]);
    }

    #[test]
    fn a_batch_of_something_else_is_told_by_the_column_that_it_lacks() {
        let batch = DeadLetters::default().take().unwrap();
        let lacks = |index: usize| {
            let mut some: Vec<usize> = (0..batch.num_columns()).collect();
            some.remove(index);
            add(&batch.project(&some).unwrap(), &mut Vec::new())
        };
        assert_eq!((lacks(0), lacks(5)), (Err("topic"), Err("value")));
    }
}
