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
    let columns = columns.iter().map(|column| lower_column(column)).collect::<Result<_, String>>()?;
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
