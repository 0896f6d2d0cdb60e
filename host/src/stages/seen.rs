//! What a batch became, for whoever compares it with what other stages make of it: the
//! rows that the aggregates were offered, and the rows that left the line. It costs
//! nothing to a batch that nobody compares.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{ArrowError, Schema};

use super::frame::Frame;
use super::sides::{Side, SideRow};

/// The key columns of offered rows, which come first: where a row is from.
pub const OFFERED_KEY: [&str; 3] = ["partition", "offset", "ordinal"];
/// The key columns of rows that were set aside.
pub const ASIDE_KEY: [&str; 5] = ["side", "stage", "aggregate", "partition", "offset"];
/// Beside the plugins' columns, whose names have no spaces.
const EVENT_TIME: &str = "event time";

/// One batch behind its stages.
#[derive(Debug)]
pub struct Seen {
    /// Where it was asked for.
    pub offered: Option<RecordBatch>,
    /// Dead letters and late rows, without the raw records.
    pub aside: RecordBatch,
}

/// The rows of the last level, whose columns `schema` names.
///
/// # Errors
/// A fault of the host: columns that do not fit together.
pub fn offered(frame: &Frame<'_>, schema: &Schema) -> Result<RecordBatch, ArrowError> {
    let ordinals = frame.ordinals();
    let [partition, offset, ordinal] = OFFERED_KEY;
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        (partition, Arc::new(Int32Array::from(frame.partitions()))),
        (offset, Arc::new(Int64Array::from(frame.offsets()))),
        (ordinal, Arc::new(Int32Array::from(ordinals))),
    ];
    if let Some(event_us) = &frame.event_us {
        columns.push((EVENT_TIME, Arc::new(event_us.clone())));
    }
    for (field, column) in schema.fields().iter().zip(&frame.columns) {
        columns.extend(column.clone().map(|column| (field.name().as_str(), column)));
    }
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
}

/// Rows that were set aside, as a batch.
///
/// # Errors
/// Texts of more than 2 GiB together.
pub fn aside(rows: &[SideRow]) -> Result<RecordBatch, ArrowError> {
    let side = |row: &SideRow| match row.side {
        Side::DeadLetter => "dead letter",
        Side::Late { .. } => "late",
    };
    let text = |of: &dyn Fn(&SideRow) -> String| -> ArrayRef {
        Arc::new(rows.iter().map(|row| Some(of(row))).collect::<StringArray>())
    };
    let aggregates = rows.iter().map(|row| row.culprit.aggregate.clone());
    let partitions: Int32Array = rows.iter().map(|row| Some(row.partition)).collect();
    let offsets: Int64Array = rows.iter().map(|row| Some(row.offset)).collect();
    let [sides, stage, aggregate, partition, offset] = ASIDE_KEY;
    let columns: [(&str, ArrayRef); 7] = [
        (sides, text(&|row| side(row).to_owned())),
        (stage, text(&|row| row.culprit.stage.clone())),
        (aggregate, Arc::new(aggregates.collect::<StringArray>())),
        (partition, Arc::new(partitions)),
        (offset, Arc::new(offsets)),
        ("kind", text(&|row| row.kind.clone())),
        ("message", text(&|row| row.message.clone())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::{DataType, Field};
    use speed_layer_core::records::Records;

    #[test]
    fn offered_rows_say_where_they_are_from_and_have_the_columns_that_are_there() {
        let records = Records { partitions: vec![0, 1], offsets: vec![10, 90], ..Default::default() };
        let column: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
        let frame = Frame::new(&records, 3, vec![None, Some(column)], Some(vec![0, 1, 1]));
        let fields = ["a", "b"].map(|name| Field::new(name, DataType::Int32, false));
        let rows = offered(&frame, &Schema::new(fields.to_vec())).unwrap();
        let names: Vec<_> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["partition", "offset", "ordinal", "b"]);
        assert_eq!(rows.column(1).as_ref(), &Int64Array::from(vec![10, 90, 90]));
        assert_eq!(rows.column(2).as_ref(), &Int32Array::from(vec![0, 0, 1]));
    }

    #[test]
    fn rows_set_aside_are_known_by_side_stage_and_place() {
        let row = SideRow {
            side: Side::DeadLetter,
            partition: 1,
            offset: 7,
            timestamp_ms: None,
            key: None,
            value: Some(b"{".to_vec()),
            kind: "json".into(),
            message: "cut short".into(),
            culprit: Arc::default(),
        };
        let rows = aside(&[row]).unwrap();
        assert_eq!((rows.num_rows(), rows.num_columns()), (1, 7));
        assert_eq!(aside(&[]).unwrap().num_rows(), 0);
    }
}
