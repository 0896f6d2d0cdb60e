//! Two sets of rows compared column by column: rows that only one of them has, and of
//! those that both have, the values that differ. Floats differ by their bits; how many of
//! them are nearly the same is told too. It reads no file, asks no plugin, and does not
//! know what follows from a difference.

mod matched;
mod near;
mod shown;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::ArrowError;
use serde::Serialize;
use serde::ser::Serializer;
use speed_layer_core::key::{EncodedKeys, KeyEncoder, KeyError};

use matched::Matched;
use near::near_rows;
use shown::{bits, shown};

/// Examples of one kind: of a column's differences, or of rows that only one side has.
const EXAMPLES_OF_A_KIND_MAX: usize = 3;
const EXAMPLES_MAX: usize = 20;

/// Why rows cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error("the rows have no key that could be compared by: {0}")]
    Key(#[from] KeyError),
    #[error("the rows cannot be brought together: {0}")]
    Arrow(#[from] ArrowError),
}

/// What two sets of rows have in common, and where they differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Rows of keys that both have.
    pub both: u64,
    pub only_old: u64,
    pub only_new: u64,
    /// Those that both have, in the order of the old ones, without the key's.
    pub columns: Vec<ColumnCount>,
    /// Not compared.
    pub only_old_columns: Vec<String>,
    /// Not compared.
    pub only_new_columns: Vec<String>,
    /// A few of each kind of difference.
    pub examples: Vec<Example>,
}

/// How many of a column's values are the same, over the rows that both have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnCount {
    pub column: String,
    pub equal: u64,
    pub differing: u64,
    /// Floats among the differing that are the same within 1e-9, relatively: sums of the
    /// same values that were cut in other places.
    pub last_bits: u64,
    /// Of the old and of the new one where they are not the same; then no value is equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub types: Option<[String; 2]>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// The key columns with their values, in their order.
    #[serde(serialize_with = "as_map")]
    pub key: Vec<(String, Option<String>)>,
    #[serde(flatten)]
    pub what: Difference,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Difference {
    Value {
        column: String,
        /// `None` is null.
        old: Option<String>,
        new: Option<String>,
        /// Of a float, hexadecimal: two that differ may look the same.
        #[serde(skip_serializing_if = "Option::is_none")]
        old_bits: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        new_bits: Option<String>,
    },
    OnlyOld,
    OnlyNew,
}

fn as_map<S: Serializer>(key: &[(String, Option<String>)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(key.iter().map(|(name, value)| (name, value)))
}

/// Compares rows by their key columns `keys`, which both have. Rows of the same key are
/// matched in their order.
///
/// # Errors
/// A key column is not there, or of a type that no job groups by.
pub fn compare(old: &RecordBatch, new: &RecordBatch, keys: &[&str]) -> Result<Comparison, CompareError> {
    let (old, new) = (Keyed::of(old, keys)?, Keyed::of(new, keys)?);
    let matched = Matched::of(&old.encoded, &new.encoded);
    let mut comparison = Comparison {
        both: matched.len() as u64,
        only_old: matched.only_old.len() as u64,
        only_new: matched.only_new.len() as u64,
        only_old_columns: old.columns_without(&new),
        only_new_columns: new.columns_without(&old),
        ..Comparison::default()
    };
    for (name, before) in &old.values {
        let Some((_, after)) = new.values.iter().find(|(other, _)| other == name) else { continue };
        let (before, after) = (matched.old_rows(before)?, matched.new_rows(after)?);
        let differing = differing_rows(&before, &after);
        for &row in differing.iter().take(EXAMPLES_OF_A_KIND_MAX) {
            let key = old.key_of(matched.old_row(row));
            comparison.examples.push(Example { key, what: value(name, &before, &after, row) });
        }
        comparison.columns.push(count(name, &before, &after, &differing));
    }
    let only = |of: &Keyed, rows: &[u32], what: Difference| {
        let few = rows.iter().take(EXAMPLES_OF_A_KIND_MAX);
        few.map(|&row| Example { key: of.key_of(row as usize), what: what.clone() }).collect::<Vec<_>>()
    };
    comparison.examples.extend(only(&old, &matched.only_old, Difference::OnlyOld));
    comparison.examples.extend(only(&new, &matched.only_new, Difference::OnlyNew));
    comparison.examples.truncate(EXAMPLES_MAX);
    Ok(comparison)
}

impl Comparison {
    /// Whether whoever read the old rows finds the same in the new ones: no row more or
    /// less, no column less, no other value. A column more is no difference.
    pub fn is_equal(&self) -> bool {
        let has_no_other_rows = self.only_old == 0 && self.only_new == 0;
        let has_no_other_values = self.columns.iter().all(|of| of.differing == 0 && of.types.is_none());
        has_no_other_rows && has_no_other_values && self.only_old_columns.is_empty()
    }

    /// The same but for columns that only the new rows have and the last bits of floats.
    pub fn is_nearly_equal(&self) -> bool {
        let is_near = |of: &ColumnCount| of.differing == of.last_bits && of.types.is_none();
        let has_no_other_rows = self.only_old == 0 && self.only_new == 0;
        has_no_other_rows && self.only_old_columns.is_empty() && self.columns.iter().all(is_near)
    }

    /// Counts the rows of another part of the same two sets in.
    pub fn add(&mut self, other: Self) {
        self.both += other.both;
        self.only_old += other.only_old;
        self.only_new += other.only_new;
        other.columns.into_iter().for_each(|column| self.add_column(column));
        add_names(&mut self.only_old_columns, other.only_old_columns);
        add_names(&mut self.only_new_columns, other.only_new_columns);
        for example in other.examples {
            let of_its_kind = self.examples.iter().filter(|held| held.is_of_the_kind_of(&example)).count();
            if of_its_kind < EXAMPLES_OF_A_KIND_MAX && self.examples.len() < EXAMPLES_MAX {
                self.examples.push(example);
            }
        }
    }

    fn add_column(&mut self, other: ColumnCount) {
        match self.columns.iter_mut().find(|of| of.column == other.column) {
            Some(of) => {
                of.equal += other.equal;
                of.differing += other.differing;
                of.last_bits += other.last_bits;
                of.types = of.types.take().or(other.types);
            }
            None => self.columns.push(other),
        }
    }
}

fn add_names(names: &mut Vec<String>, others: Vec<String>) {
    for name in others {
        if !names.contains(&name) {
            names.push(name);
        }
    }
}

impl Example {
    fn is_of_the_kind_of(&self, other: &Self) -> bool {
        match (&self.what, &other.what) {
            (Difference::Value { column, .. }, Difference::Value { column: other, .. }) => column == other,
            (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
        }
    }
}

/// One side, its key columns apart from the others.
struct Keyed {
    key: Vec<(String, ArrayRef)>,
    values: Vec<(String, ArrayRef)>,
    encoded: EncodedKeys,
}

impl Keyed {
    fn of(rows: &RecordBatch, keys: &[&str]) -> Result<Self, CompareError> {
        let names: Vec<String> = keys.iter().map(|&name| name.to_owned()).collect();
        let encoder = KeyEncoder::new(rows.schema_ref(), &names)?;
        let own: Vec<ArrayRef> = encoder.indices().iter().map(|&at| Arc::clone(rows.column(at))).collect();
        let encoded = encoder.encode(&own)?;
        let fields = rows.schema_ref().fields().iter().zip(rows.columns()).enumerate();
        let others = fields.filter(|(at, _)| !encoder.indices().contains(at));
        Ok(Self {
            key: names.into_iter().zip(own).collect(),
            values: others.map(|(_, (field, column))| (field.name().clone(), Arc::clone(column))).collect(),
            encoded,
        })
    }

    fn key_of(&self, row: usize) -> Vec<(String, Option<String>)> {
        self.key.iter().map(|(name, column)| (name.clone(), shown(column, row))).collect()
    }

    fn columns_without(&self, other: &Self) -> Vec<String> {
        let is_own = |name: &&String| !other.values.iter().any(|(others, _)| others == *name);
        self.values.iter().map(|(name, _)| name).filter(is_own).cloned().collect()
    }
}

fn count(column: &str, old: &ArrayRef, new: &ArrayRef, differing: &[usize]) -> ColumnCount {
    let types = [old.data_type(), new.data_type()];
    ColumnCount {
        column: column.to_owned(),
        equal: (old.len() - differing.len()) as u64,
        differing: differing.len() as u64,
        last_bits: near_rows(old, new, differing),
        types: (types[0] != types[1]).then(|| types.map(ToString::to_string)),
    }
}

fn value(column: &str, old: &ArrayRef, new: &ArrayRef, row: usize) -> Difference {
    Difference::Value {
        column: column.to_owned(),
        old: shown(old, row),
        new: shown(new, row),
        old_bits: bits(old, row),
        new_bits: bits(new, row),
    }
}

/// The rows whose values are not the same, rising; all of them where the types differ.
fn differing_rows(old: &ArrayRef, new: &ArrayRef) -> Vec<usize> {
    let mut rows = Vec::new();
    halve(old, new, 0, &mut rows);
    rows
}

/// Whole stretches are compared at once; only those that differ are looked into.
fn halve(old: &ArrayRef, new: &ArrayRef, first: usize, rows: &mut Vec<usize>) {
    if old.is_empty() || old == new {
        return;
    }
    if old.len() == 1 {
        rows.push(first);
        return;
    }
    let (half, rest) = (old.len() / 2, old.len() - old.len() / 2);
    halve(&old.slice(0, half), &new.slice(0, half), first, rows);
    halve(&old.slice(half, rest), &new.slice(half, rest), first + half, rows);
}
