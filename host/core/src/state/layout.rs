//! Where each column of a state lies in a row of words: bits first (validity, and
//! the values of booleans), then one word a column, two for a decimal. Text and
//! bytes have no place in the row, but for their validity.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, SchemaRef, TimeUnit};

use super::StateError;

/// The layout of one aggregate's states.
#[derive(Debug, Clone)]
pub struct StateLayout {
    schema: SchemaRef,
    places: Vec<Place>,
    stride: usize,
    variable_columns: usize,
}

/// Where one column lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The bit that says whether there is a value; `None` where there always is one.
    pub validity: Option<Bit>,
    pub value: ValuePlace,
}

/// One bit of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bit {
    pub word: usize,
    pub mask: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValuePlace {
    Bit(Bit),
    /// The word's number in the row.
    Word(usize),
    /// The first of two words.
    TwoWords(usize),
    /// The number among the variable-width columns.
    Apart(usize),
}

impl Bit {
    fn nth(bit: usize) -> Self {
        Self { word: bit / 64, mask: 1 << (bit % 64) }
    }
}

/// What a type needs of a row.
enum Kind {
    Bit,
    Words(usize),
    Apart,
}

impl StateLayout {
    /// The layout of states with these columns.
    ///
    /// # Errors
    /// [`StateError::Type`] for a type that is not in the contract.
    pub fn new(schema: SchemaRef) -> Result<Self, StateError> {
        let kinds: Result<Vec<Kind>, StateError> = schema.fields().iter().map(|field| kind(field)).collect();
        let kinds = kinds?;
        let fields_and_kinds = || schema.fields().iter().zip(&kinds);
        let bit_count: usize = fields_and_kinds().map(|(field, kind)| bits_of(field, kind)).sum();
        let (mut bit, mut word, mut apart) = (0, bit_count.div_ceil(64), 0);
        let places = fields_and_kinds()
            .map(|(field, kind)| Place {
                validity: field.is_nullable().then(|| Bit::nth(take(&mut bit, 1))),
                value: match kind {
                    Kind::Bit => ValuePlace::Bit(Bit::nth(take(&mut bit, 1))),
                    Kind::Words(1) => ValuePlace::Word(take(&mut word, 1)),
                    Kind::Words(words) => ValuePlace::TwoWords(take(&mut word, *words)),
                    Kind::Apart => ValuePlace::Apart(take(&mut apart, 1)),
                },
            })
            .collect();
        Ok(Self { schema, places, stride: word, variable_columns: apart })
    }

    /// The columns of a state.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether rows of the two can be copied as they are.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.schema, &other.schema) || self.schema == other.schema
    }

    /// Words a row.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Bytes of a state but for its variable-width values.
    pub fn fixed_bytes(&self) -> usize {
        self.stride * 8 + self.variable_columns * 4
    }

    pub(super) fn variable_columns(&self) -> usize {
        self.variable_columns
    }

    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    /// Whether `states` has this layout's columns: count, types, and no null where
    /// there may be none. Names do not matter.
    pub(super) fn verify(&self, states: &RecordBatch) -> Result<(), StateError> {
        let (expected, found) = (self.schema.fields().len(), states.num_columns());
        if expected != found {
            return Err(StateError::ColumnCount { expected, found });
        }
        for (field, column) in self.schema.fields().iter().zip(states.columns()) {
            if field.data_type() != column.data_type() {
                return Err(StateError::Column {
                    column: field.name().clone(),
                    expected: field.data_type().clone(),
                    found: column.data_type().clone(),
                });
            }
            if !field.is_nullable() && column.logical_null_count() > 0 {
                return Err(StateError::Null { column: field.name().clone() });
            }
        }
        Ok(())
    }
}

fn take(next: &mut usize, count: usize) -> usize {
    let taken = *next;
    *next += count;
    taken
}

fn bits_of(field: &Field, kind: &Kind) -> usize {
    usize::from(field.is_nullable()) + usize::from(matches!(kind, Kind::Bit))
}

fn kind(field: &Field) -> Result<Kind, StateError> {
    match field.data_type() {
        DataType::Boolean => Ok(Kind::Bit),
        DataType::Int32 | DataType::Float32 | DataType::Date32 => Ok(Kind::Words(1)),
        DataType::Int64 | DataType::Float64 | DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Ok(Kind::Words(1))
        }
        DataType::Decimal128(_, _) => Ok(Kind::Words(2)),
        DataType::Utf8 | DataType::Binary => Ok(Kind::Apart),
        DataType::Dictionary(keys, values) if **keys == DataType::UInt32 && **values == DataType::Utf8 => {
            Ok(Kind::Apart)
        }
        other => Err(StateError::Type { column: field.name().clone(), data_type: other.clone() }),
    }
}
