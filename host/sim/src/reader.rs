//! Reads a published file as anybody would, and names its rows.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::ArrowError;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use speed_layer_core::commit::OutputId;

use crate::truth::{Group, Sum};

/// What a row is about: there may be one row of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowId {
    Group(Group),
    /// Partition and offset.
    Dead(i32, i64),
    /// Aggregate, partition and offset.
    Late(String, i32, i64),
}

pub type Row = (RowId, Sum);

/// The rows of a file of `output`; of a late row the sum is its record's, whose id is
/// its key.
///
/// # Errors
/// The file is no whole Parquet file of such rows.
pub fn read_rows(output: &OutputId, bytes: &[u8]) -> Result<Vec<Row>, ArrowError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(bytes))?.build()?;
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch?;
        let read = match output {
            OutputId::Aggregate(name) => groups(name, &batch),
            OutputId::DeadLetters | OutputId::Late | OutputId::Partial => letters(&batch),
        };
        rows.extend(read.ok_or_else(|| ArrowError::SchemaError("it has other columns".to_owned()))?);
    }
    Ok(rows)
}

fn groups(aggregate: &str, batch: &RecordBatch) -> Option<Vec<Row>> {
    let number = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<Int64Type>();
    let (starts, counts, ids) = (number("start_ms")?, number("count")?, number("ids")?);
    let keys = batch.column_by_name("key")?.as_string_opt::<i32>()?;
    let row = |row: usize| {
        let (start_ms, key) = (starts.value(row), keys.value(row).to_owned());
        let group = Group { aggregate: aggregate.to_owned(), start_ms, key };
        (RowId::Group(group), Sum { count: counts.value(row), ids: ids.value(row) })
    };
    Some((0..batch.num_rows()).map(row).collect())
}

fn letters(batch: &RecordBatch) -> Option<Vec<Row>> {
    let partitions = batch.column_by_name("partition")?.as_primitive_opt::<Int32Type>()?;
    let offsets = batch.column_by_name("offset")?.as_primitive_opt::<Int64Type>()?;
    let aggregates = batch.column_by_name("aggregate")?.as_string_opt::<i32>()?;
    let ids = batch.column_by_name("key")?.as_binary_opt::<i32>()?;
    let row = |row: usize| {
        let (partition, offset) = (partitions.value(row), offsets.value(row));
        if aggregates.is_null(row) {
            return (RowId::Dead(partition, offset), Sum::default());
        }
        let id = RowId::Late(aggregates.value(row).to_owned(), partition, offset);
        let number = ids.value(row).try_into().map_or(0, i64::from_le_bytes);
        (id, Sum { count: 1, ids: number })
    };
    Some((0..batch.num_rows()).map(row).collect())
}
