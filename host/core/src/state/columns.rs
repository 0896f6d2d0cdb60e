//! Rows of words to Arrow columns and back. Works in blocks of 64 slots, column by
//! column within a block: a block's rows stay in the nearest cache while each column
//! is written straight to its buffer, and a block's validity is one word.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType, UInt32Type,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, DictionaryArray, PrimitiveArray, RecordBatch,
    RecordBatchOptions, StringArray,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};

use super::layout::{Bit, Place, ValuePlace};
use super::{StateError, StateTable};

const BLOCK: usize = 64;

/// The states in `slots`, which must exist.
pub(super) fn gather(table: &StateTable, slots: &[u32]) -> Result<RecordBatch, StateError> {
    let layout = table.layout();
    let mut columns: Vec<Column> = layout
        .places()
        .iter()
        .zip(layout.schema().fields())
        .map(|(p, f)| Column::new(*p, f, slots.len()))
        .collect();
    for block in slots.chunks(BLOCK) {
        for column in &mut columns {
            column.take(table, block);
        }
    }
    let fields = layout.schema().fields();
    let arrays: Result<Vec<ArrayRef>, StateError> =
        columns.into_iter().zip(fields).map(|(column, field)| column.finish(table, slots, field)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(slots.len()));
    Ok(RecordBatch::try_new_with_options(layout.schema().clone(), arrays?, &options)?)
}

/// A column in the making.
struct Column {
    place: Place,
    validity: Vec<u64>,
    values: Values,
}

enum Values {
    Bits(Vec<u64>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Decimal(Vec<i128>),
    Apart,
}

impl Column {
    fn new(place: Place, field: &Field, rows: usize) -> Self {
        let values = match field.data_type() {
            DataType::Boolean => Values::Bits(Vec::with_capacity(rows.div_ceil(BLOCK))),
            DataType::Int32 | DataType::Date32 => Values::Int32(Vec::with_capacity(rows)),
            DataType::Float32 => Values::Float32(Vec::with_capacity(rows)),
            DataType::Float64 => Values::Float64(Vec::with_capacity(rows)),
            DataType::Decimal128(_, _) => Values::Decimal(Vec::with_capacity(rows)),
            DataType::Int64 | DataType::Timestamp(_, _) => Values::Int64(Vec::with_capacity(rows)),
            _ => Values::Apart,
        };
        Self { place, validity: Vec::new(), values }
    }

    /// Adds the values of up to 64 slots.
    fn take(&mut self, table: &StateTable, block: &[u32]) {
        if let Some(bit) = self.place.validity {
            self.validity.push(bits(table, block, bit));
        }
        match (&mut self.values, self.place.value) {
            (Values::Bits(values), ValuePlace::Bit(bit)) => values.push(bits(table, block, bit)),
            (Values::Int32(values), ValuePlace::Word(at)) => {
                take_words(values, table, block, at, |w| w as i32)
            }
            (Values::Int64(values), ValuePlace::Word(at)) => {
                take_words(values, table, block, at, |w| w as i64)
            }
            (Values::Float32(values), ValuePlace::Word(at)) => {
                take_words(values, table, block, at, |word| f32::from_bits(word as u32));
            }
            (Values::Float64(values), ValuePlace::Word(at)) => {
                take_words(values, table, block, at, f64::from_bits);
            }
            (Values::Decimal(values), ValuePlace::TwoWords(at)) => {
                values.extend(block.iter().map(|slot| decimal(table.row(*slot), at)));
            }
            _ => {}
        }
    }

    fn finish(self, table: &StateTable, slots: &[u32], field: &Field) -> Result<ArrayRef, StateError> {
        let rows = slots.len();
        let nulls = self.place.validity.map(|_| NullBuffer::new(bit_buffer(self.validity, rows)));
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
        Ok(match self.values {
            Values::Bits(values) => Arc::new(BooleanArray::new(bit_buffer(values, rows), nulls)),
            Values::Int32(values) if *field.data_type() == DataType::Date32 => {
                primitive::<Date32Type>(values, nulls, field)?
            }
            Values::Int32(values) => primitive::<Int32Type>(values, nulls, field)?,
            Values::Int64(values) if *field.data_type() == DataType::Int64 => {
                primitive::<Int64Type>(values, nulls, field)?
            }
            Values::Int64(values) => primitive::<TimestampMicrosecondType>(values, nulls, field)?,
            Values::Float32(values) => primitive::<Float32Type>(values, nulls, field)?,
            Values::Float64(values) => primitive::<Float64Type>(values, nulls, field)?,
            Values::Decimal(values) => primitive::<Decimal128Type>(values, nulls, field)?,
            Values::Apart => apart(table, slots, self.place.value, nulls, field)?,
        })
    }
}

fn take_words<T>(out: &mut Vec<T>, table: &StateTable, block: &[u32], at: usize, of: impl Fn(u64) -> T) {
    let stride = table.layout.stride();
    out.extend(block.iter().map(|slot| of(table.words[*slot as usize * stride + at])));
}

fn bits(table: &StateTable, block: &[u32], bit: Bit) -> u64 {
    let stride = table.layout.stride();
    let is_set = |slot: &u32| table.words[*slot as usize * stride + bit.word] & bit.mask != 0;
    block.iter().enumerate().fold(0, |bits, (at, slot)| bits | u64::from(is_set(slot)) << at)
}

fn decimal(row: &[u64], at: usize) -> i128 {
    (u128::from(row[at + 1]) << 64 | u128::from(row[at])) as i128
}

fn bit_buffer(words: Vec<u64>, rows: usize) -> BooleanBuffer {
    BooleanBuffer::new(Buffer::from_vec(words), 0, rows)
}

fn primitive<T: ArrowPrimitiveType>(
    values: Vec<T::Native>,
    nulls: Option<NullBuffer>,
    field: &Field,
) -> Result<ArrayRef, StateError> {
    let array = PrimitiveArray::<T>::try_new(ScalarBuffer::from(values), nulls)?;
    Ok(Arc::new(array.with_data_type(field.data_type().clone())))
}

/// A variable-width column: lengths first, then one copy of each value.
fn apart(
    table: &StateTable,
    slots: &[u32],
    place: ValuePlace,
    nulls: Option<NullBuffer>,
    field: &Field,
) -> Result<ArrayRef, StateError> {
    let ValuePlace::Apart(column) = place else {
        return Err(StateError::Type { column: field.name().clone(), data_type: field.data_type().clone() });
    };
    let held = &table.values[column];
    let lengths = || slots.iter().map(|slot| held[*slot as usize].len());
    let bytes: usize = lengths().sum();
    if i32::try_from(bytes).is_err() {
        return Err(StateError::TooLarge { column: field.name().clone() });
    }
    let offsets = OffsetBuffer::<i32>::from_lengths(lengths());
    let mut data = Vec::with_capacity(bytes);
    slots.iter().for_each(|slot| data.extend_from_slice(&held[*slot as usize]));
    let data = Buffer::from_vec(data);
    Ok(match field.data_type() {
        DataType::Binary => Arc::new(BinaryArray::try_new(offsets, data, nulls)?),
        DataType::Utf8 => Arc::new(StringArray::try_new(offsets, data, nulls)?),
        _ => {
            let keys = PrimitiveArray::<UInt32Type>::try_new((0..slots.len() as u32).collect(), nulls)?;
            Arc::new(DictionaryArray::try_new(keys, Arc::new(StringArray::try_new(offsets, data, None)?))?)
        }
    })
}

/// Writes `states`, whose columns and rows have been verified.
pub(super) fn scatter(table: &mut StateTable, slots: &[u32], states: &RecordBatch) {
    let layout = table.layout().clone();
    let columns: Vec<Given<'_>> = layout.places().iter().zip(states.columns()).map(Given::new).collect();
    for (at, block) in slots.chunks(BLOCK).enumerate() {
        for column in &columns {
            column.put_fixed(table, at * BLOCK, block);
        }
    }
    for column in &columns {
        if let ValuePlace::Apart(number) = column.place.value {
            column.put_apart(table, number, slots);
        }
    }
}

/// A column that is being written.
struct Given<'a> {
    place: Place,
    column: &'a ArrayRef,
    nulls: Option<NullBuffer>,
}

impl<'a> Given<'a> {
    fn new((place, column): (&Place, &'a ArrayRef)) -> Self {
        Self { place: *place, column, nulls: column.logical_nulls().filter(|nulls| nulls.null_count() > 0) }
    }

    fn is_valid(&self, row: usize) -> bool {
        self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))
    }

    /// Writes rows `first..` to the slots of `block`.
    fn put_fixed(&self, table: &mut StateTable, first: usize, block: &[u32]) {
        if let Some(bit) = self.place.validity {
            put_bits(table, bit, block, |at| self.is_valid(first + at));
        }
        match self.place.value {
            ValuePlace::Bit(bit) => {
                let values = self.column.as_boolean().values();
                put_bits(table, bit, block, |at| values.value(first + at));
            }
            ValuePlace::Word(at) => self.put_word(table, at, first, block),
            ValuePlace::TwoWords(at) => {
                let values = self.rows::<Decimal128Type>(first, block);
                put_words(table, at, block, values, |value| value as u64);
                put_words(table, at + 1, block, values, |value| (value >> 64) as u64);
            }
            ValuePlace::Apart(_) => {}
        }
    }

    fn put_word(&self, table: &mut StateTable, at: usize, first: usize, block: &[u32]) {
        match self.column.data_type() {
            DataType::Int32 => {
                put_words(table, at, block, self.rows::<Int32Type>(first, block), |v| u64::from(v as u32));
            }
            DataType::Date32 => {
                put_words(table, at, block, self.rows::<Date32Type>(first, block), |v| u64::from(v as u32));
            }
            DataType::Float32 => {
                let values = self.rows::<Float32Type>(first, block);
                put_words(table, at, block, values, |value| u64::from(value.to_bits()));
            }
            DataType::Float64 => {
                put_words(table, at, block, self.rows::<Float64Type>(first, block), f64::to_bits);
            }
            DataType::Int64 => {
                put_words(table, at, block, self.rows::<Int64Type>(first, block), |v| v as u64);
            }
            _ => {
                let values = self.rows::<TimestampMicrosecondType>(first, block);
                put_words(table, at, block, values, |value| value as u64);
            }
        }
    }

    fn rows<T: ArrowPrimitiveType>(&self, first: usize, block: &[u32]) -> &'a [T::Native] {
        &self.column.as_primitive::<T>().values()[first..first + block.len()]
    }

    fn put_apart(&self, table: &mut StateTable, number: usize, slots: &[u32]) {
        match self.column.data_type() {
            DataType::Binary => {
                let values = self.column.as_binary::<i32>();
                self.put_values(table, number, slots, |row| values.value(row));
            }
            DataType::Utf8 => {
                let values = self.column.as_string::<i32>();
                self.put_values(table, number, slots, |row| values.value(row).as_bytes());
            }
            _ => {
                let keys = self.column.as_dictionary::<UInt32Type>().keys();
                let values = self.column.as_dictionary::<UInt32Type>().values().as_string::<i32>();
                let value = |row| values.value(keys.value(row) as usize).as_bytes();
                self.put_values(table, number, slots, value);
            }
        }
    }

    /// A null's bytes mean nothing: it is kept as an empty value.
    fn put_values<'v>(
        &self,
        table: &mut StateTable,
        number: usize,
        slots: &[u32],
        value: impl Fn(usize) -> &'v [u8],
    ) {
        for (row, slot) in slots.iter().enumerate() {
            table.set_value(number, *slot, if self.is_valid(row) { value(row) } else { &[] });
        }
    }
}

fn put_words<T: Copy>(table: &mut StateTable, at: usize, block: &[u32], values: &[T], of: impl Fn(T) -> u64) {
    let stride = table.layout.stride();
    for (slot, value) in block.iter().zip(values) {
        table.words[*slot as usize * stride + at] = of(*value);
    }
}

fn put_bits(table: &mut StateTable, bit: Bit, block: &[u32], is_set: impl Fn(usize) -> bool) {
    let stride = table.layout.stride();
    for (at, slot) in block.iter().enumerate() {
        let word = &mut table.words[*slot as usize * stride + bit.word];
        *word = if is_set(at) { *word | bit.mask } else { *word & !bit.mask };
    }
}
