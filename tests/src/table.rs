//! A table of windows, as a reference computes it or as it was read, and how two of them differ.

use std::collections::BTreeMap;

/// The greatest relative difference of sums.
const SUM_TOLERANCE: f64 = 1e-9;

/// A key (None is the null key) and its window's start, ms since 1970 UTC.
pub type Group = (Option<String>, i64);

/// Values by column.
pub type Row = BTreeMap<String, Value>;

/// One row a group.
pub type Table = BTreeMap<Group, Row>;

/// A value, and how it is compared.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    Null,
    Int(i64),
    /// Bit for bit, but for the sign of zero.
    Exact(f64),
    /// Within 1e-9 of the other, relatively: sums depend on their order.
    Sum(f64),
}

impl Value {
    /// Null for None.
    pub fn exact(value: Option<f64>) -> Self {
        value.map_or(Self::Null, Self::Exact)
    }

    /// Null for None.
    pub fn sum(value: Option<f64>) -> Self {
        value.map_or(Self::Null, Self::Sum)
    }

    /// Null for None.
    pub fn int(value: Option<i64>) -> Self {
        value.map_or(Self::Null, Self::Int)
    }

    fn same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Int(one), Self::Int(other)) => one == other,
            (Self::Exact(one), Self::Exact(other)) => one == other,
            (Self::Sum(one), Self::Sum(other) | Self::Exact(other))
            | (Self::Exact(one), Self::Sum(other)) => near(one, other),
            _ => false,
        }
    }
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() <= SUM_TOLERANCE * one.abs().max(other.abs())
}

/// Every difference in a sentence; none for equal tables.
pub fn differences(expected: &Table, found: &Table) -> Vec<String> {
    let mut told = Vec::new();
    for (group, row) in expected {
        match found.get(group) {
            None => told.push(format!("{group:?} is missing")),
            Some(other) => told.extend(row_differences(group, row, other)),
        }
    }
    let surplus = found.keys().filter(|group| !expected.contains_key(*group));
    told.extend(surplus.map(|group| format!("{group:?} should not be there")));
    told
}

fn row_differences(group: &Group, expected: &Row, found: &Row) -> Vec<String> {
    let columns = expected.keys().chain(found.keys().filter(|column| !expected.contains_key(*column)));
    columns
        .filter_map(|column| match (expected.get(column), found.get(column)) {
            (Some(one), Some(other)) if one.same(*other) => None,
            (one, other) => Some(format!("{group:?} {column}: expected {one:?}, found {other:?}")),
        })
        .collect()
}

/// # Panics
/// The tables differ; the first differences are told.
pub fn assert_equal(expected: &Table, found: &Table) {
    let told = differences(expected, found);
    let first = told.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(told.is_empty(), "{} differences between {} rows:\n{first}", told.len(), expected.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(value: Value) -> Table {
        Table::from([((Some("A".into()), 0), Row::from([("x".into(), value)]))])
    }

    fn check(expected: Value, found: Value, count: usize) {
        let told = differences(&table(expected), &table(found));
        assert_eq!(told.len(), count, "{expected:?} against {found:?}: {told:?}");
    }

    #[test]
    fn sums_may_differ_in_their_last_bits_and_nothing_else_may() {
        check(Value::Sum(1.0), Value::Exact(1.0 + 1e-12), 0);
        check(Value::Sum(1.0), Value::Exact(1.0 + 1e-6), 1);
        check(Value::Exact(1.0), Value::Exact(1.0 + 1e-12), 1);
        check(Value::Int(3), Value::Int(3), 0);
        check(Value::Int(3), Value::Int(4), 1);
        check(Value::Null, Value::Null, 0);
        check(Value::Null, Value::Exact(0.0), 1);
        check(Value::Int(3), Value::Exact(3.0), 1);
    }

    #[test]
    fn missing_and_surplus_rows_and_columns_are_differences() {
        let whole = table(Value::Int(1));
        assert_eq!(differences(&whole, &Table::new()).len(), 1);
        assert_eq!(differences(&Table::new(), &whole).len(), 1);
        let without_column = Table::from([((Some("A".into()), 0), Row::new())]);
        assert_eq!(differences(&whole, &without_column).len(), 1);
        assert_eq!(differences(&without_column, &whole).len(), 1);
    }
}
