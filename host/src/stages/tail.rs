//! The last rows that went through the stages, for whoever prints them: slices of the batches that they came in, so
//! that a batch costs a few pointers and no row anything. Shows nothing itself.

use std::collections::VecDeque;

use arrow_array::{ArrayRef, RecordBatch};

use super::frame::Frame;
use crate::plan::ConsoleColumns;

/// The newest rows, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Tail {
    rows_max: usize,
    /// Rows in `parts`.
    rows: usize,
    parts: VecDeque<RecordBatch>,
    seen: u64,
}

impl Tail {
    /// Of so many rows at most.
    pub fn of(rows_max: usize) -> Self {
        Self { rows_max, rows: 0, parts: VecDeque::new(), seen: 0 }
    }

    /// Rows that came by, kept or not.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The rows kept, oldest first; batches may differ in their types where a swap lies between them.
    pub fn parts(&self) -> impl Iterator<Item = &RecordBatch> {
        self.parts.iter()
    }

    /// Keeps the last rows of a batch.
    ///
    /// # Errors
    /// A column was not kept, which is a fault of the host.
    pub fn note(&mut self, frame: &Frame<'_>, columns: &ConsoleColumns) -> anyhow::Result<()> {
        let kept = frame.rows.min(self.rows_max);
        if kept == 0 {
            return Ok(());
        }
        let column = |&column: &usize| -> anyhow::Result<ArrayRef> {
            let of = frame.columns[column].as_ref();
            let of = of.ok_or_else(|| anyhow::anyhow!("column {column} was not kept for the console"))?;
            Ok(of.slice(frame.rows - kept, kept))
        };
        let columns_kept = columns.columns.iter().map(column).collect::<anyhow::Result<_>>()?;
        let part = RecordBatch::try_new(columns.schema.clone(), columns_kept)?;
        self.push(part);
        self.seen += frame.rows as u64;
        Ok(())
    }

    /// Gives what there is away, and begins anew.
    pub fn take(&mut self) -> Self {
        std::mem::replace(self, Self::of(self.rows_max))
    }

    /// Adds rows that came later.
    pub fn append(&mut self, later: Self) {
        self.rows_max = later.rows_max;
        self.seen += later.seen;
        later.parts.into_iter().for_each(|part| self.push(part));
    }

    fn push(&mut self, part: RecordBatch) {
        self.rows += part.num_rows();
        self.parts.push_back(part);
        while let Some(first) = self.parts.front_mut()
            && self.rows > self.rows_max
        {
            let over = self.rows - self.rows_max;
            if first.num_rows() > over {
                *first = first.slice(over, first.num_rows() - over);
                self.rows = self.rows_max;
            } else {
                self.rows -= first.num_rows();
                self.parts.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{Int64Array, RecordBatch};
    use std::sync::Arc;

    fn part(values: std::ops::Range<i64>) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(values));
        RecordBatch::try_from_iter([("n", column)]).unwrap()
    }

    fn values(tail: &Tail) -> Vec<i64> {
        tail.parts().flat_map(|part| part.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
    }

    #[test]
    fn the_last_rows_of_all_batches_are_kept_and_no_more() {
        let mut tail = Tail::of(4);
        for (batch, expected) in [
            (0..1, &[0][..]),
            (1..3, &[0, 1, 2]),
            (3..5, &[1, 2, 3, 4]),
            (5..5, &[1, 2, 3, 4]),
            (5..100, &[96, 97, 98, 99]),
        ] {
            tail.push(part(batch));
            assert_eq!(values(&tail), expected);
        }
        let taken = tail.take();
        assert!(values(&tail).is_empty());
        tail.push(part(0..1));
        tail.append(taken);
        assert_eq!(values(&tail), [96, 97, 98, 99]);
    }
}
