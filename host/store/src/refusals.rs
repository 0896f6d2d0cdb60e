//! The records that the clock refused, from the dead-letter output: so that a record that
//! is read again is judged by the clock of the epoch that read it first, and not by a
//! later one that would have believed it.

use std::path::Path;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};

use crate::footer::OffsetRange;
use crate::published::{FileError, PublishedFile, parquet_files};

/// A record of which the clock refused a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockRefusal {
    pub partition: i32,
    pub offset: i64,
    /// The event time beyond which its epoch believed none.
    pub bound_ms: i64,
}

/// The refusals in a dead-letter output, from the files of which `concerns` says so of any
/// partition's offsets; none where there is no such folder.
///
/// # Errors
/// [`FileError`] for a file that cannot be read.
pub fn clock_refusals(
    folder: &Path,
    concerns: impl Fn(&OffsetRange) -> bool,
) -> Result<Vec<ClockRefusal>, FileError> {
    let mut refusals = Vec::new();
    for path in parquet_files(folder)? {
        let file = PublishedFile::open(&path)?;
        if file.footer.offsets.iter().any(&concerns) {
            for batch in file.read_columns(&["partition", "offset", "stage"])? {
                add(&batch, &file, &mut refusals)?;
            }
        }
    }
    Ok(refusals)
}

fn add(batch: &RecordBatch, file: &PublishedFile, to: &mut Vec<ClockRefusal>) -> Result<(), FileError> {
    let other = |name: &str| FileError::Rows {
        path: file.path.clone(),
        why: format!("its column `{name}` is none of a dead letter"),
    };
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| other(name));
    let partitions =
        column("partition")?.as_primitive_opt::<Int32Type>().ok_or_else(|| other("partition"))?;
    let offsets = column("offset")?.as_primitive_opt::<Int64Type>().ok_or_else(|| other("offset"))?;
    let stages = column("stage")?.as_string_opt::<i32>().ok_or_else(|| other("stage"))?;
    let refused = (0..batch.num_rows()).filter(|row| stages.value(*row) == "clock");
    to.extend(refused.map(|row| ClockRefusal {
        partition: partitions.value(row),
        offset: offsets.value(row),
        bound_ms: file.footer.clock_bound_ms,
    }));
    Ok(())
}
