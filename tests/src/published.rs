//! Published files as a test meddles with them.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;

/// Writes the rows of `file` to `to`, `by` added to the first value of a whole-number column, with or without
/// the metadata.
///
/// # Panics
/// There is no such column, or no room.
pub fn with_other_value(file: &Path, to: &Path, column: &str, by: i64, with_metadata: bool) {
    let reader = reader(file);
    let metadata = entries(&reader);
    let batches = reader.build().expect("rows").collect::<Result<Vec<_>, _>>().expect("rows");
    let schema = batches[0].schema();
    let place = schema.index_of(column).expect("a column of this name");
    let mut writer =
        ArrowWriter::try_new(File::create(to).expect("room"), schema.clone(), None).expect("a writer");
    for (number, batch) in batches.iter().enumerate() {
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        let mut values = batch.column(place).as_primitive::<Int64Type>().values().to_vec();
        values.iter_mut().take(usize::from(number == 0)).for_each(|value| *value += by);
        columns[place] = Arc::new(Int64Array::from(values));
        writer
            .write(&RecordBatch::try_new(schema.clone(), columns).expect("the same columns"))
            .expect("room");
    }
    if with_metadata {
        metadata.into_iter().for_each(|entry| writer.append_key_value_metadata(entry));
    }
    writer.close().expect("room");
}

fn reader(file: &Path) -> ParquetRecordBatchReaderBuilder<File> {
    ParquetRecordBatchReaderBuilder::try_new(File::open(file).expect("it is there")).expect("a Parquet file")
}

fn entries(reader: &ParquetRecordBatchReaderBuilder<File>) -> Vec<KeyValue> {
    let entries = reader.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    entries.into_iter().filter(|entry| entry.key.starts_with("speed-layer.")).collect()
}
