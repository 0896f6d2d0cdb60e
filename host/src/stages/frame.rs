//! The rows of one batch on their way through the stages: the columns that anybody
//! still reads, and for each row the record it came from.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::TimestampMicrosecondBuilder;
use arrow_array::{ArrayRef, Int32Array, Int64Array, TimestampMicrosecondArray, UInt32Array};
use speed_layer_core::records::{Records, TimestampKind};
use speed_layer_plugin::Need;

/// Rows and where they came from. `columns` is as wide as the level's schema; only
/// wanted columns are there.
pub struct Frame<'a> {
    pub records: &'a Records,
    pub rows: usize,
    pub columns: Vec<Option<ArrayRef>>,
    /// The record of each row; `None`: row i came from record i.
    origin: Option<Vec<u32>>,
    /// The place of each row in its record; `None`: every record gave one row at most.
    ordinal: Option<Vec<i32>>,
    /// Known from the clock check on.
    pub event_us: Option<TimestampMicrosecondArray>,
}

impl<'a> Frame<'a> {
    /// Rows just parsed. `origin` is the contract's map from row to record.
    pub fn new(
        records: &'a Records,
        rows: usize,
        columns: Vec<Option<ArrayRef>>,
        origin: Option<Vec<u32>>,
    ) -> Self {
        let ordinal = origin.as_deref().and_then(ordinals);
        Self { records, rows, columns, origin, ordinal, event_us: None }
    }

    /// The record that `row` came from.
    pub fn record_of(&self, row: usize) -> usize {
        self.origin.as_ref().map_or(row, |origin| origin[row] as usize)
    }

    /// Keeps the rows `kept`, in that order.
    ///
    /// # Errors
    /// Never for rising numbers below `rows`; Arrow's own error otherwise.
    pub fn keep(&mut self, kept: &[u32]) -> anyhow::Result<()> {
        let indices = UInt32Array::from(kept.to_vec());
        for column in self.columns.iter_mut().flatten() {
            *column = arrow_select::take::take(column, &indices, None)?;
        }
        if let Some(event_us) = &self.event_us {
            let values = kept.iter().map(|&row| event_us.value(row as usize)).collect::<Vec<_>>();
            self.event_us = Some(TimestampMicrosecondArray::from(values).with_timezone("UTC"));
        }
        self.origin = Some(kept.iter().map(|&row| self.record_of(row as usize) as u32).collect());
        if let Some(ordinal) = &self.ordinal {
            self.ordinal = Some(kept.iter().map(|&row| ordinal[row as usize]).collect());
        }
        self.rows = kept.len();
        Ok(())
    }

    /// Two parts with half of the rows each; `None` for a row.
    pub fn halves(&self) -> Option<[Self; 2]> {
        let half = self.rows / 2;
        (half > 0).then(|| [self.part(0..half), self.part(half..self.rows)])
    }

    fn part(&self, rows: Range<usize>) -> Self {
        let slice = |column: &ArrayRef| column.slice(rows.start, rows.len());
        Self {
            records: self.records,
            rows: rows.len(),
            columns: self.columns.iter().map(|column| column.as_ref().map(slice)).collect(),
            origin: Some(rows.clone().map(|row| self.record_of(row) as u32).collect()),
            ordinal: self.ordinal.as_ref().map(|ordinal| ordinal[rows.clone()].to_vec()),
            event_us: self.event_us.as_ref().map(|event_us| event_us.slice(rows.start, rows.len())),
        }
    }

    /// The array that a plugin asked for; `column_of` finds a column's number by its name.
    ///
    /// # Errors
    /// When the plan did not provide for it, which is a fault of the host.
    pub fn need(&self, need: &Need, column_of: impl Fn(&str) -> Option<usize>) -> anyhow::Result<ArrayRef> {
        Ok(match need {
            Need::Column(name) => {
                let column = column_of(name).and_then(|column| self.columns[column].clone());
                column.ok_or_else(|| {
                    anyhow::anyhow!("column `{name}` was not kept for the stage that needs it")
                })?
            }
            Need::EventTime => {
                let known = self.event_us.clone();
                Arc::new(
                    known.ok_or_else(|| anyhow::anyhow!("the event time is not known at this stage yet"))?,
                )
            }
            Need::Partition => Arc::new(Int32Array::from(self.per_row(&self.records.partitions))),
            Need::Offset => Arc::new(Int64Array::from(self.offsets())),
            Need::Ordinal => Arc::new(Int32Array::from(self.ordinals())),
            Need::KafkaTimestamp => Arc::new(self.kafka_timestamps()),
        })
    }

    /// The partition of `row`.
    pub fn partition_of(&self, row: usize) -> i32 {
        self.records.partitions[self.record_of(row)]
    }

    /// The timestamp of each row's record, milliseconds, -1 where there is none.
    pub fn timestamps_ms(&self) -> Vec<i64> {
        self.per_row(&self.records.timestamps_ms)
    }

    /// The partition of each row.
    pub fn partitions(&self) -> Vec<i32> {
        self.per_row(&self.records.partitions)
    }

    /// The offset of each row.
    pub fn offsets(&self) -> Vec<i64> {
        self.per_row(&self.records.offsets)
    }

    /// The place of each row in its record.
    pub fn ordinals(&self) -> Vec<i32> {
        self.ordinal.clone().unwrap_or_else(|| vec![0; self.rows])
    }

    fn per_row<T: Copy>(&self, per_record: &[T]) -> Vec<T> {
        match &self.origin {
            Some(origin) => origin.iter().map(|&record| per_record[record as usize]).collect(),
            None => per_record.to_vec(),
        }
    }

    fn kafka_timestamps(&self) -> TimestampMicrosecondArray {
        let mut builder = TimestampMicrosecondBuilder::with_capacity(self.rows);
        for timestamp_ms in self.timestamps_ms() {
            let known = self.records.timestamp_kind != TimestampKind::NotAvailable && timestamp_ms >= 0;
            builder.append_option(known.then(|| timestamp_ms.saturating_mul(1000)));
        }
        builder.finish().with_timezone("UTC")
    }
}

/// The place of each row in its record, or `None` where no record has two rows.
fn ordinals(origin: &[u32]) -> Option<Vec<i32>> {
    if origin.windows(2).all(|pair| pair[0] != pair[1]) {
        return None;
    }
    let mut ordinals = Vec::with_capacity(origin.len());
    let mut previous = None;
    for &record in origin {
        let place = if previous == Some(record) { ordinals.last().map_or(0, |last| last + 1) } else { 0 };
        ordinals.push(place);
        previous = Some(record);
    }
    Some(ordinals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_record_are_numbered_from_zero() {
        assert_eq!(ordinals(&[0, 2, 2, 2, 5]), Some(vec![0, 0, 1, 2, 0]));
        assert_eq!(ordinals(&[0, 1, 4]), None);
    }

    #[test]
    fn kept_rows_remember_their_records_and_their_places() {
        let records = Records { partitions: vec![0, 0, 1], offsets: vec![10, 11, 90], ..Default::default() };
        let column: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3, 4]));
        let mut frame = Frame::new(&records, 4, vec![Some(column), None], Some(vec![0, 1, 1, 2]));
        frame.keep(&[0, 2, 3]).unwrap();
        assert_eq!(frame.offsets(), [10, 11, 90]);
        assert_eq!(frame.partitions(), [0, 0, 1]);
        let ordinal = frame.need(&Need::Ordinal, |_| None).unwrap();
        assert_eq!(ordinal.as_ref(), &Int32Array::from(vec![0, 1, 0]));
        assert_eq!(frame.columns[0].as_ref().unwrap().as_ref(), &Int32Array::from(vec![1, 3, 4]));
    }

    #[test]
    fn halves_have_each_row_once_with_its_record_and_its_place() {
        let records = Records { partitions: vec![0, 0, 1], offsets: vec![10, 11, 90], ..Default::default() };
        let column: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3, 4, 5]));
        let frame = Frame::new(&records, 5, vec![None, Some(column)], Some(vec![0, 1, 1, 1, 2]));
        let [first, second] = frame.halves().unwrap();
        let check = |frame: &Frame<'_>, offsets: &[i64], places: &[i32], values: &[i32]| {
            assert_eq!(frame.offsets(), offsets);
            let ordinal = frame.need(&Need::Ordinal, |_| None).unwrap();
            assert_eq!(ordinal.as_ref(), &Int32Array::from(places.to_vec()));
            let column = frame.columns[1].as_ref().unwrap();
            assert_eq!(column.as_ref(), &Int32Array::from(values.to_vec()));
        };
        check(&first, &[10, 11], &[0, 0], &[1, 2]);
        check(&second, &[11, 11, 90], &[1, 2, 0], &[3, 4, 5]);
        let [one, two] = first.halves().unwrap();
        check(&one, &[10], &[0], &[1]);
        check(&two, &[11], &[0], &[2]);
        assert!(one.halves().is_none());
    }
}
