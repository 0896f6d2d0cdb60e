//! From Arrow to the contract's flat lists, by borrowing wherever the buffers lie as
//! the contract wants them. Only bitmaps that begin inside a byte and offsets of a
//! slice are made anew. Checks that the host gives what was agreed on, so that no
//! mistake of the host's is put down to a plugin.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
    UInt32Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::{BooleanBuffer, OffsetBuffer};
use arrow_schema::{DataType, FieldRef, Fields};

use crate::bindings::speed_layer::plugin::types::{
    BatchParam, ColumnDataParam, ColumnParam, DictionaryParam, VarBytesParam,
};
use crate::schema::{dictionary, timestamp};

/// Columns in a form that parameters can borrow from.
pub(crate) struct Lowered<'a> {
    rows: u32,
    columns: Vec<Column<'a>>,
}

struct Column<'a> {
    validity: Option<Cow<'a, [u8]>>,
    data: Data<'a>,
}

enum Data<'a> {
    /// Needs nothing made anew.
    Borrowed(ColumnDataParam<'a>),
    Bits(Cow<'a, [u8]>),
    Text(Bytes<'a>),
    Binary(Bytes<'a>),
    Dictionary(&'a [u32], Bytes<'a>),
}

struct Bytes<'a> {
    offsets: Cow<'a, [u32]>,
    data: &'a [u8],
}

/// Prepares `rows` rows of `columns`, which must be as `fields` say.
pub(crate) fn lower<'a>(
    fields: &Fields,
    rows: usize,
    columns: &'a [ArrayRef],
) -> Result<Lowered<'a>, String> {
    if fields.len() != columns.len() {
        return Err(format!("{} columns are given where {} were agreed on", columns.len(), fields.len()));
    }
    for (field, column) in fields.iter().zip(columns) {
        check_column(field, rows, column)?;
    }
    let rows = u32::try_from(rows).map_err(|_| format!("{rows} rows are more than a call can take"))?;
    let columns = columns.iter().map(lower_column).collect::<Result<_, String>>()?;
    Ok(Lowered { rows, columns })
}

/// Prepares a batch, which must have the columns of `fields`.
pub(crate) fn lower_batch<'a>(fields: &Fields, batch: &'a RecordBatch) -> Result<Lowered<'a>, String> {
    lower(fields, batch.num_rows(), batch.columns())
}

fn check_column(field: &FieldRef, rows: usize, column: &ArrayRef) -> Result<(), String> {
    let name = field.name();
    if column.data_type() != field.data_type() {
        return Err(format!(
            "column {name:?} is given as {} and was agreed to be {}",
            column.data_type(),
            field.data_type()
        ));
    }
    if column.len() != rows {
        return Err(format!("column {name:?} has {} rows where there are {rows}", column.len()));
    }
    if !field.is_nullable() && column.null_count() > 0 {
        return Err(format!("column {name:?} is never null and has {} nulls", column.null_count()));
    }
    Ok(())
}

impl Lowered<'_> {
    /// The columns as parameters; `batch` wraps them.
    pub fn columns(&self) -> Vec<ColumnParam<'_>> {
        self.columns.iter().map(Column::param).collect()
    }

    /// The batch of the columns that `columns` gave.
    pub fn batch<'p>(&self, columns: &'p [ColumnParam<'p>]) -> BatchParam<'p> {
        BatchParam { rows: self.rows, columns }
    }
}

impl Column<'_> {
    fn param(&self) -> ColumnParam<'_> {
        let data = match &self.data {
            Data::Borrowed(data) => data.clone(),
            Data::Bits(bits) => ColumnDataParam::Boolean(bits),
            Data::Text(bytes) => ColumnDataParam::Utf8(bytes.param()),
            Data::Binary(bytes) => ColumnDataParam::Binary(bytes.param()),
            Data::Dictionary(keys, values) => {
                ColumnDataParam::DictionaryUtf8(DictionaryParam { keys, values: values.param() })
            }
        };
        ColumnParam { validity: self.validity.as_deref(), data }
    }
}

impl Bytes<'_> {
    fn param(&self) -> VarBytesParam<'_> {
        VarBytesParam { offsets: &self.offsets, data: self.data }
    }
}

fn lower_column(column: &ArrayRef) -> Result<Column<'_>, String> {
    let validity = column.nulls().filter(|nulls| nulls.null_count() > 0).map(|nulls| bits(nulls.inner()));
    Ok(Column { validity, data: lower_data(column)? })
}

fn lower_data(column: &ArrayRef) -> Result<Data<'_>, String> {
    Ok(match column.data_type() {
        DataType::Boolean => Data::Bits(bits(column.as_boolean().values())),
        DataType::Int32 => Data::Borrowed(ColumnDataParam::S32(column.as_primitive::<Int32Type>().values())),
        DataType::Int64 => Data::Borrowed(ColumnDataParam::S64(column.as_primitive::<Int64Type>().values())),
        DataType::Float32 => {
            Data::Borrowed(ColumnDataParam::F32(column.as_primitive::<Float32Type>().values()))
        }
        DataType::Float64 => {
            Data::Borrowed(ColumnDataParam::F64(column.as_primitive::<Float64Type>().values()))
        }
        DataType::Date32 => {
            Data::Borrowed(ColumnDataParam::Date32(column.as_primitive::<Date32Type>().values()))
        }
        DataType::Decimal128(..) => {
            let words = column.as_primitive::<Decimal128Type>().values().inner().typed_data::<u64>();
            Data::Borrowed(ColumnDataParam::Decimal128(words))
        }
        DataType::Utf8 => {
            let array = column.as_string::<i32>();
            Data::Text(bytes(array.offsets(), array.values()))
        }
        DataType::Binary => {
            let array = column.as_binary::<i32>();
            Data::Binary(bytes(array.offsets(), array.values()))
        }
        kind if *kind == timestamp() => {
            let values = column.as_primitive::<TimestampMicrosecondType>().values();
            Data::Borrowed(ColumnDataParam::TimestampUs(values))
        }
        kind if *kind == dictionary() => lower_dictionary(column)?,
        kind => return Err(format!("there is a column of type {kind}, which the contract does not have")),
    })
}

fn lower_dictionary(column: &ArrayRef) -> Result<Data<'_>, String> {
    let array = column.as_dictionary::<UInt32Type>();
    let values = array.values().as_string::<i32>();
    if values.null_count() > 0 {
        return Err("a dictionary has null among its values, which the contract does not allow".to_owned());
    }
    Ok(Data::Dictionary(array.keys().values(), bytes(values.offsets(), values.values())))
}

/// Packed bits from the first on, in exactly as many bytes as they need.
fn bits(buffer: &BooleanBuffer) -> Cow<'_, [u8]> {
    let bytes = buffer.len().div_ceil(8);
    if buffer.offset().is_multiple_of(8) {
        let start = buffer.offset() / 8;
        return Cow::Borrowed(&buffer.values()[start..start + bytes]);
    }
    Cow::Owned(buffer.sliced().as_slice()[..bytes].to_vec())
}

/// Offsets from 0 on, and the data that they span.
fn bytes<'a>(offsets: &'a OffsetBuffer<i32>, data: &'a [u8]) -> Bytes<'a> {
    let (start, end) = (offsets[0], offsets[offsets.len() - 1]);
    let data = &data[start as usize..end as usize];
    let offsets = if start == 0 {
        Cow::Borrowed(offsets.inner().inner().typed_data::<u32>())
    } else {
        Cow::Owned(offsets.iter().map(|offset| (offset - start).cast_unsigned()).collect())
    };
    Bytes { offsets, data }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::StringDictionaryBuilder;
    use arrow_array::{
        BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array,
        Int64Array, StringArray, TimestampMicrosecondArray,
    };
    use arrow_schema::{Field, Schema};

    use super::*;
    use crate::bindings::speed_layer::plugin::types::{
        BatchResult, ColumnDataResult, ColumnResult, DictionaryResult, VarBytesResult,
    };
    use crate::lift::lift_exactly;

    fn var(var: &VarBytesParam<'_>) -> VarBytesResult {
        VarBytesResult { offsets: var.offsets.to_vec(), data: var.data.to_vec() }
    }

    /// What a guest would give that returns what it was given.
    fn echo(column: &ColumnParam<'_>) -> ColumnResult {
        let data = match &column.data {
            ColumnDataParam::Boolean(list) => ColumnDataResult::Boolean(list.to_vec()),
            ColumnDataParam::S32(list) => ColumnDataResult::S32(list.to_vec()),
            ColumnDataParam::S64(list) => ColumnDataResult::S64(list.to_vec()),
            ColumnDataParam::F32(list) => ColumnDataResult::F32(list.to_vec()),
            ColumnDataParam::F64(list) => ColumnDataResult::F64(list.to_vec()),
            ColumnDataParam::Date32(list) => ColumnDataResult::Date32(list.to_vec()),
            ColumnDataParam::TimestampUs(list) => ColumnDataResult::TimestampUs(list.to_vec()),
            ColumnDataParam::Decimal128(list) => ColumnDataResult::Decimal128(list.to_vec()),
            ColumnDataParam::Utf8(list) => ColumnDataResult::Utf8(var(list)),
            ColumnDataParam::Binary(list) => ColumnDataResult::Binary(var(list)),
            ColumnDataParam::DictionaryUtf8(list) => {
                let (keys, values) = (list.keys.to_vec(), var(&list.values));
                ColumnDataResult::DictionaryUtf8(DictionaryResult { keys, values })
            }
        };
        ColumnResult { validity: column.validity.map(<[u8]>::to_vec), data }
    }

    /// A column of each type, each third row null.
    fn columns(rows: i32) -> Vec<ArrayRef> {
        fn nullable<T>(rows: i32, make: impl Fn(i32) -> T) -> Vec<Option<T>> {
            (0..rows).map(|row| (row % 3 != 1).then(|| make(row))).collect()
        }
        let texts = nullable(rows, |row| "ß".repeat(row as usize % 5));
        let mut dictionary = StringDictionaryBuilder::<UInt32Type>::new();
        dictionary.extend(texts.clone());
        let decimals = Decimal128Array::from(nullable(rows, |row| -i128::from(row) << 70));
        vec![
            Arc::new(BooleanArray::from(nullable(rows, |row| row % 2 == 0))),
            Arc::new(Int32Array::from(nullable(rows, |row| row))),
            Arc::new(Int64Array::from(nullable(rows, i64::from))),
            Arc::new(Float32Array::from(nullable(rows, |row| row as f32))),
            Arc::new(Float64Array::from(nullable(rows, f64::from))),
            Arc::new(Date32Array::from(nullable(rows, |row| row))),
            Arc::new(TimestampMicrosecondArray::from(nullable(rows, i64::from)).with_timezone("UTC")),
            Arc::new(decimals.with_precision_and_scale(30, 2).unwrap()),
            Arc::new(StringArray::from(texts.clone())),
            Arc::new(BinaryArray::from_iter(texts)),
            Arc::new(dictionary.finish()),
        ]
    }

    fn fields(columns: &[ArrayRef]) -> Fields {
        let field = |(number, column): (usize, &ArrayRef)| {
            Field::new(number.to_string(), column.data_type().clone(), true)
        };
        columns.iter().enumerate().map(field).collect()
    }

    fn check(columns: &[ArrayRef], rows: usize) {
        let fields = fields(columns);
        let lowered = lower(&fields, rows, columns).unwrap();
        let echoed = lowered.columns().iter().map(echo).collect();
        let batch = BatchResult { rows: rows as u32, columns: echoed };
        let lifted = lift_exactly(&Arc::new(Schema::new(fields)), batch, rows).unwrap();
        assert_eq!(lifted.columns(), columns);
    }

    #[test]
    fn every_type_crosses_and_comes_back_also_from_within_a_larger_array() {
        check(&columns(0), 0);
        let whole = columns(40);
        check(&whole, 40);
        for (start, rows) in [(0, 39), (1, 8), (7, 9), (8, 8), (8, 32), (13, 1), (40, 0), (5, 0)] {
            let part: Vec<ArrayRef> = whole.iter().map(|column| column.slice(start, rows)).collect();
            check(&part, rows);
        }
    }

    #[test]
    fn what_lies_as_the_contract_wants_it_is_lent_and_not_copied() {
        let whole = columns(16);
        let part: Vec<ArrayRef> = whole.iter().map(|column| column.slice(8, 8)).collect();
        let lowered = lower(&fields(&part), 8, &part).unwrap();
        for column in &lowered.columns {
            assert!(matches!(column.validity, Some(Cow::Borrowed(_))));
            assert!(!matches!(column.data, Data::Bits(Cow::Owned(_))));
        }
        let text = columns(16).remove(8);
        let lowered = lower_data(&text).unwrap();
        assert!(matches!(lowered, Data::Text(Bytes { offsets: Cow::Borrowed(_), .. })));
    }

    fn check_refused(field: Field, rows: usize, column: ArrayRef, expected: &str) {
        let error = lower(&Fields::from(vec![field]), rows, &[column]).err().unwrap_or_default();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn columns_that_are_not_as_agreed_are_refused_by_name() {
        let column: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None]));
        let field = |kind, nullable| Field::new("price", kind, nullable);
        check_refused(field(DataType::Int64, true), 2, column.clone(), "\"price\" is given as Int32");
        check_refused(
            field(DataType::Int32, true),
            3,
            column.clone(),
            "\"price\" has 2 rows where there are 3",
        );
        check_refused(field(DataType::Int32, false), 2, column, "\"price\" is never null and has 1 nulls");
        let nothing = lower(&Fields::from(vec![field(DataType::Int32, true)]), 0, &[]).err().unwrap();
        assert!(nothing.contains("0 columns are given where 1 were agreed on"), "{nothing}");
        let with_null: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>]));
        let keys = arrow_array::UInt32Array::from(vec![0]);
        let array: ArrayRef = Arc::new(arrow_array::DictionaryArray::new(keys, with_null));
        check_refused(field(dictionary(), true), 1, array, "null among its values");
    }
}
