//! A batch of columns against the schema that was agreed on.

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;

use super::column::lift_column;
use crate::Clause;
use crate::bindings::speed_layer::plugin::types;

/// The batch that a guest gave for `schema`, of at most `rows_max` rows.
pub(crate) fn lift_batch(
    schema: &SchemaRef,
    batch: types::BatchResult,
    rows_max: usize,
) -> Result<RecordBatch, Clause> {
    let rows = batch.rows as usize;
    if rows > rows_max {
        return Err(Clause::TooManyRows { max: rows_max, found: rows });
    }
    let (expected, found) = (schema.fields().len(), batch.columns.len());
    if expected != found {
        return Err(Clause::ColumnCount { expected, found });
    }
    let columns = schema.fields().iter().zip(batch.columns).map(|(field, column)| {
        lift_column(field, rows, column)
            .map_err(|fault| Clause::Column { column: field.name().clone(), fault })
    });
    let columns = columns.collect::<Result<Vec<_>, Clause>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .map_err(|error| Clause::Arrow { detail: error.to_string() })
}

/// The batch that must have one row for each of `rows` inputs.
pub(crate) fn lift_exactly(
    schema: &SchemaRef,
    batch: types::BatchResult,
    rows: usize,
) -> Result<RecordBatch, Clause> {
    let found = batch.rows as usize;
    if found != rows {
        return Err(Clause::RowCount { expected: rows, found });
    }
    lift_batch(schema, batch, rows)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{DataType, Field, Schema};

    use super::*;
    use crate::ColumnFault;

    fn column(values: &[i32]) -> types::ColumnResult {
        types::ColumnResult { validity: None, data: types::ColumnDataResult::S32(values.to_vec()) }
    }

    fn check(rows: u32, columns: Vec<types::ColumnResult>, expected: Result<usize, Clause>) {
        let schema = Arc::new(Schema::new(vec![
            Field::new("a", DataType::Int32, false),
            Field::new("b", DataType::Int32, false),
        ]));
        let found = lift_batch(&schema, types::BatchResult { rows, columns }, 3);
        assert_eq!(found.map(|batch| batch.num_rows()), expected);
    }

    #[test]
    fn a_batch_has_the_agreed_columns_and_its_rows_in_each() {
        check(0, vec![column(&[]), column(&[])], Ok(0));
        check(2, vec![column(&[1, 2]), column(&[3, 4])], Ok(2));
        check(2, vec![column(&[1, 2])], Err(Clause::ColumnCount { expected: 2, found: 1 }));
        check(0, vec![], Err(Clause::ColumnCount { expected: 2, found: 0 }));
        check(1, vec![column(&[1]); 3], Err(Clause::ColumnCount { expected: 2, found: 3 }));
        check(4, vec![column(&[0; 4]); 2], Err(Clause::TooManyRows { max: 3, found: 4 }));
        check(u32::MAX, vec![], Err(Clause::TooManyRows { max: 3, found: u32::MAX as usize }));
        let fault = ColumnFault::Length { expected: 2, found: 1 };
        check(2, vec![column(&[1, 2]), column(&[3])], Err(Clause::Column { column: "b".to_owned(), fault }));
    }

    #[test]
    fn a_batch_without_columns_keeps_its_rows() {
        let batch = types::BatchResult { rows: 3, columns: vec![] };
        let batch = lift_batch(&Arc::new(Schema::empty()), batch, 3).unwrap();
        assert_eq!(batch.num_rows(), 3);
    }

    #[test]
    fn a_batch_of_states_has_a_row_for_each_group() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int32, false)]));
        let batch = |rows| types::BatchResult { rows, columns: vec![column(&vec![0; rows as usize])] };
        assert_eq!(lift_exactly(&schema, batch(2), 2).unwrap().num_rows(), 2);
        for (found, expected) in [(1, 2), (3, 2), (1, 0)] {
            let clause = lift_exactly(&schema, batch(found), expected).unwrap_err();
            assert_eq!(clause, Clause::RowCount { expected, found: found as usize });
        }
    }
}
