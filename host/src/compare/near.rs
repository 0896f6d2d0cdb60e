//! Floats that differ by no more than sums of the same values do that were cut in other
//! places.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

/// Relatively.
const NEAR: f64 = 1e-9;

/// How many of these rows have floats on both sides that are nearly the same.
pub fn near_rows(old: &ArrayRef, new: &ArrayRef, rows: &[usize]) -> u64 {
    if old.data_type() != new.data_type() {
        return 0;
    }
    let is_near = |row: &&usize| {
        let (one, other) = (float(old, **row), float(new, **row));
        one.zip(other).is_some_and(|(one, other)| are_near(one, other))
    };
    rows.iter().filter(is_near).count() as u64
}

fn float(column: &ArrayRef, row: usize) -> Option<f64> {
    match column.data_type() {
        _ if column.is_null(row) => None,
        DataType::Float64 => Some(column.as_primitive::<Float64Type>().value(row)),
        DataType::Float32 => Some(f64::from(column.as_primitive::<Float32Type>().value(row))),
        _ => None,
    }
}

fn are_near(one: f64, other: f64) -> bool {
    let within = (one - other).abs() <= NEAR * one.abs().max(other.abs());
    one.is_finite() && other.is_finite() && within || one.is_nan() && other.is_nan()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Float32Array, Float64Array, Int64Array};
    use std::sync::Arc;

    fn check(old: ArrayRef, new: ArrayRef, expected: u64) {
        let rows: Vec<usize> = (0..old.len()).collect();
        assert_eq!(near_rows(&old, &new, &rows), expected, "{old:?} {new:?}");
    }

    #[test]
    fn only_floats_are_nearly_the_same_and_only_within_a_billionth() {
        let floats = |values: &[Option<f64>]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
        check(floats(&[Some(0.1 + 0.2), Some(0.0)]), floats(&[Some(0.3), Some(-0.0)]), 2);
        check(floats(&[Some(1.0), Some(1e-300)]), floats(&[Some(1.000_000_01), Some(0.0)]), 0);
        check(floats(&[None, Some(1.0)]), floats(&[Some(0.0), None]), 0);
        check(floats(&[Some(f64::INFINITY)]), floats(&[Some(f64::NEG_INFINITY)]), 0);
        check(Arc::new(Float32Array::from(vec![1.5_f32])), Arc::new(Float32Array::from(vec![1.5_f32])), 1);
        check(Arc::new(Int64Array::from(vec![1])), Arc::new(Int64Array::from(vec![1])), 0);
        check(Arc::new(Int64Array::from(vec![1])), floats(&[Some(1.0)]), 0);
    }
}
