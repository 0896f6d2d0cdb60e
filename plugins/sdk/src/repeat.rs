//! One value as a column, and a column of one row as a column of many: identities and defaults.

use crate::columns::{Value, bit};
use crate::types::{Column, ColumnData, DataType, Dictionary, VarBytes};

/// A column of one row: `one(0i64)`, `one(1.5)`. Text and bytes by the builders.
pub fn one<T: Value>(value: T) -> Column {
    Column { validity: None, data: T::into_data(vec![value]) }
}

/// So many rows like the only one of `column`.
pub(crate) fn repeat(column: &Column, rows: usize) -> Column {
    let is_null = column.validity.as_ref().is_some_and(|validity| !bit(validity, 0));
    let validity = is_null.then(|| vec![0; rows.div_ceil(8)]);
    let data = match &column.data {
        ColumnData::Boolean(bits) => ColumnData::Boolean(repeat_bit(bits, rows)),
        ColumnData::S32(one) => ColumnData::S32(one.repeat(rows)),
        ColumnData::S64(one) => ColumnData::S64(one.repeat(rows)),
        ColumnData::F32(one) => ColumnData::F32(one.repeat(rows)),
        ColumnData::F64(one) => ColumnData::F64(one.repeat(rows)),
        ColumnData::Date32(one) => ColumnData::Date32(one.repeat(rows)),
        ColumnData::TimestampUs(one) => ColumnData::TimestampUs(one.repeat(rows)),
        ColumnData::Decimal128(one) => ColumnData::Decimal128(one.repeat(rows)),
        ColumnData::Utf8(one) => ColumnData::Utf8(repeat_bytes(one, rows)),
        ColumnData::Binary(one) => ColumnData::Binary(repeat_bytes(one, rows)),
        ColumnData::DictionaryUtf8(one) => {
            ColumnData::DictionaryUtf8(Dictionary { keys: one.keys.repeat(rows), values: one.values.clone() })
        }
    };
    Column { validity, data }
}

fn repeat_bit(bits: &[u8], rows: usize) -> Vec<u8> {
    let byte = if bit(bits, 0) { u8::MAX } else { 0 };
    vec![byte; rows.div_ceil(8)]
}

fn repeat_bytes(one: &VarBytes, rows: usize) -> VarBytes {
    let offsets = (0..=rows as u32).map(|row| row * one.data.len() as u32).collect();
    VarBytes { offsets, data: one.data.repeat(rows) }
}

/// How many rows a column has; of booleans no more is known than that they are at most 8 a byte.
pub(crate) fn has_rows(data: &ColumnData, rows: usize) -> bool {
    match data {
        ColumnData::Boolean(bits) => bits.len() == rows.div_ceil(8),
        ColumnData::S32(values) | ColumnData::Date32(values) => values.len() == rows,
        ColumnData::S64(values) | ColumnData::TimestampUs(values) => values.len() == rows,
        ColumnData::F32(values) => values.len() == rows,
        ColumnData::F64(values) => values.len() == rows,
        ColumnData::Decimal128(words) => words.len() == 2 * rows,
        ColumnData::Utf8(values) | ColumnData::Binary(values) => values.offsets.len() == rows + 1,
        ColumnData::DictionaryUtf8(values) => values.keys.len() == rows,
    }
}

/// Whether values are of this type; of decimals the shape is not in the values.
pub(crate) fn is_of(data: &ColumnData, data_type: DataType) -> bool {
    matches!(
        (data, data_type),
        (ColumnData::Boolean(_), DataType::Boolean)
            | (ColumnData::S32(_), DataType::S32)
            | (ColumnData::S64(_), DataType::S64)
            | (ColumnData::F32(_), DataType::F32)
            | (ColumnData::F64(_), DataType::F64)
            | (ColumnData::Date32(_), DataType::Date32)
            | (ColumnData::TimestampUs(_), DataType::TimestampUs)
            | (ColumnData::Decimal128(_), DataType::Decimal128(_))
            | (ColumnData::Utf8(_), DataType::Utf8)
            | (ColumnData::Binary(_), DataType::Binary)
            | (ColumnData::DictionaryUtf8(_), DataType::DictionaryUtf8)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_repeated_as_often_as_asked_and_also_not_at_all() {
        let bytes =
            |offsets: &[u32], data: &[u8]| VarBytes { offsets: offsets.to_vec(), data: data.to_vec() };
        let text = Column { validity: None, data: ColumnData::Utf8(bytes(&[0, 2], b"ab")) };
        assert_eq!(repeat(&text, 3).data, ColumnData::Utf8(bytes(&[0, 2, 4, 6], b"ababab")));
        assert_eq!(repeat(&text, 0).data, ColumnData::Utf8(bytes(&[0], b"")));
        let null = Column { validity: Some(vec![0]), data: ColumnData::Boolean(vec![1]) };
        let expected = Column { validity: Some(vec![0, 0]), data: ColumnData::Boolean(vec![255, 255]) };
        assert_eq!(repeat(&null, 9), expected);
        assert_eq!(repeat(&one(7i64), 2), Column { validity: None, data: ColumnData::S64(vec![7, 7]) });
    }
}
