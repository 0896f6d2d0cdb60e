//! Widening a column: to a type that holds every value of the old one exactly.
//!
//! Whatever could lose something, as s64 to f64 could, is no widening: a plugin that wants it
//! says so by a function.

use crate::types::{ColumnData, DataType, DecimalShape, Dictionary, VarBytes};

/// Whether every value of `from` is one of `to`.
pub(crate) fn widens(from: DataType, to: DataType) -> bool {
    match (from, to) {
        (DataType::S32, DataType::S64 | DataType::F64)
        | (DataType::F32, DataType::F64)
        | (DataType::DictionaryUtf8, DataType::Utf8)
        | (DataType::Utf8, DataType::Binary) => true,
        (DataType::S32, DataType::Decimal128(to)) => holds(to, 10),
        (DataType::S64, DataType::Decimal128(to)) => holds(to, 19),
        (DataType::Decimal128(from), DataType::Decimal128(to)) => {
            from.scale == to.scale && from.precision < to.precision
        }
        _ => false,
    }
}

fn holds(decimal: DecimalShape, digits: u8) -> bool {
    decimal.precision.saturating_sub(decimal.scale) >= digits
}

/// The values in the wider type; as they are when [`widens`] does not hold.
pub(crate) fn widened(data: ColumnData, to: DataType) -> ColumnData {
    match (data, to) {
        (ColumnData::S32(values), DataType::S64) => ColumnData::S64(convert(&values)),
        (ColumnData::S32(values), DataType::F64) => ColumnData::F64(convert(&values)),
        (ColumnData::F32(values), DataType::F64) => ColumnData::F64(convert(&values)),
        (ColumnData::S32(values), DataType::Decimal128(to)) => decimals(convert(&values), to.scale),
        (ColumnData::S64(values), DataType::Decimal128(to)) => decimals(convert(&values), to.scale),
        (ColumnData::DictionaryUtf8(values), DataType::Utf8) => ColumnData::Utf8(spelt_out(&values)),
        (ColumnData::Utf8(values), DataType::Binary) => ColumnData::Binary(values),
        (data, _) => data,
    }
}

fn convert<T: Copy, U: From<T>>(values: &[T]) -> Vec<U> {
    values.iter().map(|&value| U::from(value)).collect()
}

fn decimals(values: Vec<i128>, scale: u8) -> ColumnData {
    let factor = 10i128.pow(u32::from(scale));
    let words = |value: i128| [value as u64, (value >> 64) as u64];
    // A null row may hold anything, also what the factor takes out of range.
    ColumnData::Decimal128(values.into_iter().flat_map(|value| words(value.wrapping_mul(factor))).collect())
}

/// What a null row's key says means nothing: it gets no text.
fn spelt_out(dictionary: &Dictionary) -> VarBytes {
    let mut text = VarBytes { offsets: vec![0], data: vec![] };
    let (offsets, data) = (&dictionary.values.offsets, &dictionary.values.data);
    for &key in &dictionary.keys {
        let key = key as usize;
        if let (Some(&begin), Some(&end)) = (offsets.get(key), offsets.get(key + 1)) {
            text.data.extend_from_slice(&data[begin as usize..end as usize]);
        }
        text.offsets.push(text.data.len() as u32);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(precision: u8, scale: u8) -> DataType {
        DataType::Decimal128(DecimalShape { precision, scale })
    }

    fn check(from: DataType, to: DataType, data: ColumnData, expected: Option<ColumnData>) {
        assert_eq!(widens(from, to), expected.is_some(), "{data:?} to {to:?}");
        if let Some(expected) = expected {
            assert_eq!(widened(data, to), expected);
        }
    }

    #[test]
    fn whole_numbers_become_wider_ones() {
        use DataType::{F64, S32, S64};
        let ends = || ColumnData::S32(vec![i32::MIN, i32::MAX]);
        check(S32, S64, ends(), Some(ColumnData::S64(vec![-2_147_483_648, 2_147_483_647])));
        check(S32, F64, ends(), Some(ColumnData::F64(vec![-2_147_483_648.0, 2_147_483_647.0])));
        let hundredths = ColumnData::Decimal128(vec![(-200i64) as u64, u64::MAX, 300, 0]);
        check(S32, decimal(12, 2), ColumnData::S32(vec![-2, 3]), Some(hundredths));
        check(
            S64,
            decimal(19, 0),
            ColumnData::S64(vec![-1]),
            Some(ColumnData::Decimal128(vec![u64::MAX; 2])),
        );
        check(S32, decimal(11, 2), ends(), None);
        check(S64, decimal(18, 0), ColumnData::S64(vec![]), None);
        check(S64, F64, ColumnData::S64(vec![]), None);
        check(S64, S32, ColumnData::S64(vec![]), None);
        check(S64, S64, ColumnData::S64(vec![]), None);
    }

    #[test]
    fn floats_decimals_and_text_become_wider_ones() {
        use DataType::{Binary, DictionaryUtf8, F32, F64, Utf8};
        check(F32, F64, ColumnData::F32(vec![0.5]), Some(ColumnData::F64(vec![0.5])));
        let words = || ColumnData::Decimal128(vec![7, 0]);
        check(decimal(5, 2), decimal(9, 2), words(), Some(words()));
        check(decimal(5, 2), decimal(9, 3), words(), None);
        let text = |offsets: &[u32], data: &[u8]| VarBytes { offsets: offsets.to_vec(), data: data.to_vec() };
        let words = ColumnData::Utf8(text(&[0, 1, 3], b"abc"));
        check(Utf8, Binary, words, Some(ColumnData::Binary(text(&[0, 1, 3], b"abc"))));
        let keyed = Dictionary { keys: vec![1, 0, 9], values: text(&[0, 1, 3], b"abc") };
        let spelt = ColumnData::Utf8(text(&[0, 2, 3, 3], b"bca"));
        check(DictionaryUtf8, Utf8, ColumnData::DictionaryUtf8(keyed), Some(spelt));
        check(Binary, Utf8, ColumnData::Binary(text(&[0], b"")), None);
    }
}
