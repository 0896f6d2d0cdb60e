//! One column against its field: the case must be the declared type's, the nulls and
//! the values must keep their rules.

use std::sync::Arc;

use arrow_array::types::{
    BinaryType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType, UInt32Type,
};
use arrow_array::{ArrayRef, ArrowPrimitiveType, BooleanArray, DictionaryArray, PrimitiveArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field};

use super::values;
use crate::ColumnFault;
use crate::bindings::speed_layer::plugin::types::{ColumnDataResult as Data, ColumnResult, DictionaryResult};
use crate::schema::{dictionary, timestamp};

type Lifted = Result<ArrayRef, ColumnFault>;

/// The array of `field` that a guest gave.
pub(super) fn lift_column(field: &Field, rows: usize, column: ColumnResult) -> Lifted {
    let nulls = values::nulls(rows, field.is_nullable(), column.validity)?;
    match (field.data_type(), column.data) {
        (DataType::Boolean, Data::Boolean(bytes)) => {
            Ok(Arc::new(BooleanArray::new(values::booleans(rows, bytes)?, nulls)))
        }
        (DataType::Int32, Data::S32(list)) => fixed::<Int32Type>(rows, list, nulls),
        (DataType::Int64, Data::S64(list)) => fixed::<Int64Type>(rows, list, nulls),
        (DataType::Float32, Data::F32(list)) => fixed::<Float32Type>(rows, list, nulls),
        (DataType::Float64, Data::F64(list)) => fixed::<Float64Type>(rows, list, nulls),
        (DataType::Date32, Data::Date32(list)) => fixed::<Date32Type>(rows, list, nulls),
        (expected, Data::TimestampUs(list)) if *expected == timestamp() => {
            let array = values::primitive::<TimestampMicrosecondType>(rows, list, nulls)?;
            Ok(Arc::new(array.with_timezone("UTC")))
        }
        (DataType::Decimal128(precision, scale), Data::Decimal128(words)) => {
            decimal(rows, (*precision, *scale), &words, nulls)
        }
        (DataType::Utf8, Data::Utf8(var)) => Ok(Arc::new(values::text(rows, var, nulls)?)),
        (DataType::Binary, Data::Binary(var)) => Ok(Arc::new(values::bytes::<BinaryType>(rows, var, nulls)?)),
        (expected, Data::DictionaryUtf8(list)) if *expected == dictionary() => by_key(rows, list, nulls),
        (expected, data) => Err(ColumnFault::Type { expected: expected.clone(), found: case(&data) }),
    }
}

fn fixed<T: ArrowPrimitiveType>(rows: usize, list: Vec<T::Native>, nulls: Option<NullBuffer>) -> Lifted {
    Ok(Arc::new(values::primitive::<T>(rows, list, nulls)?))
}

fn decimal(rows: usize, (precision, scale): (u8, i8), words: &[u64], nulls: Option<NullBuffer>) -> Lifted {
    let list = values::decimals(rows, precision, words, nulls.as_ref())?;
    let array: PrimitiveArray<Decimal128Type> = values::primitive(rows, list, nulls)?;
    let array = array.with_precision_and_scale(precision, scale).map_err(|error| values::arrow(&error))?;
    Ok(Arc::new(array))
}

fn by_key(rows: usize, list: DictionaryResult, nulls: Option<NullBuffer>) -> Lifted {
    let count = list.values.offsets.len().saturating_sub(1);
    let texts = values::text(count, list.values, None)?;
    values::check_keys(rows, &list.keys, count, nulls.as_ref())?;
    let keys = values::primitive::<UInt32Type>(rows, list.keys, nulls)?;
    let array = DictionaryArray::try_new(keys, Arc::new(texts)).map_err(|error| values::arrow(&error))?;
    Ok(Arc::new(array))
}

/// The case's name in the contract.
fn case(data: &Data) -> &'static str {
    match data {
        Data::Boolean(_) => "boolean",
        Data::S32(_) => "s32",
        Data::S64(_) => "s64",
        Data::F32(_) => "f32",
        Data::F64(_) => "f64",
        Data::Date32(_) => "date32",
        Data::TimestampUs(_) => "timestamp-us",
        Data::Decimal128(_) => "decimal128",
        Data::Utf8(_) => "utf8",
        Data::Binary(_) => "binary",
        Data::DictionaryUtf8(_) => "dictionary-utf8",
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::{Array, types};

    use super::*;
    use crate::bindings::speed_layer::plugin::types::VarBytesResult;

    fn try_lift(kind: DataType, nullable: bool, rows: usize, validity: Option<&[u8]>, data: Data) -> Lifted {
        let column = ColumnResult { validity: validity.map(<[u8]>::to_vec), data };
        lift_column(&Field::new("c", kind, nullable), rows, column)
    }

    fn check(kind: DataType, rows: usize, validity: Option<&[u8]>, data: Data, expected: ColumnFault) {
        assert_eq!(try_lift(kind, true, rows, validity, data).unwrap_err(), expected);
    }

    fn var(offsets: &[u32], data: &[u8]) -> VarBytesResult {
        VarBytesResult { offsets: offsets.to_vec(), data: data.to_vec() }
    }

    fn by_key_of(keys: &[u32], values: VarBytesResult) -> Data {
        Data::DictionaryUtf8(DictionaryResult { keys: keys.to_vec(), values })
    }

    fn every_case(rows: usize) -> Vec<(DataType, Data)> {
        let offsets: Vec<u32> = (0..=rows as u32).collect();
        let texts = || var(&offsets, &vec![b'x'; rows]);
        vec![
            (DataType::Boolean, Data::Boolean(vec![0xff; rows.div_ceil(8)])),
            (DataType::Int32, Data::S32(vec![1; rows])),
            (DataType::Int64, Data::S64(vec![1; rows])),
            (DataType::Float32, Data::F32(vec![1.0; rows])),
            (DataType::Float64, Data::F64(vec![1.0; rows])),
            (DataType::Date32, Data::Date32(vec![1; rows])),
            (timestamp(), Data::TimestampUs(vec![1; rows])),
            (DataType::Decimal128(3, 1), Data::Decimal128(vec![0; 2 * rows])),
            (DataType::Utf8, Data::Utf8(texts())),
            (DataType::Binary, Data::Binary(texts())),
            (dictionary(), by_key_of(&vec![0; rows], var(&[0, 1], b"x"))),
        ]
    }

    #[test]
    fn every_type_is_lifted_with_and_without_nulls() {
        for rows in [0_usize, 1, 8, 9] {
            for (kind, data) in every_case(rows) {
                let all = try_lift(kind.clone(), false, rows, None, data.clone()).unwrap();
                assert_eq!((all.data_type(), all.len(), all.null_count()), (&kind, rows, 0));
                let none = vec![0; rows.div_ceil(8)];
                let nulls = try_lift(kind.clone(), true, rows, Some(&none), data).unwrap();
                assert_eq!((nulls.data_type(), nulls.null_count()), (&kind, rows));
            }
        }
    }

    #[test]
    fn the_case_must_be_the_declared_types() {
        for (kind, data) in every_case(2) {
            for (other, _) in every_case(2).into_iter().filter(|(other, _)| *other != kind) {
                let found = case(&data);
                check(other.clone(), 2, None, data.clone(), ColumnFault::Type { expected: other, found });
            }
        }
    }

    #[test]
    fn a_column_has_as_many_values_as_there_are_rows() {
        for (kind, _) in every_case(0) {
            for found in [8, 10, 17] {
                let given = every_case(found).into_iter().find(|(other, _)| *other == kind);
                let data = given.map(|(_, data)| data).unwrap();
                // Nine booleans fit where ten do.
                let fits = kind == DataType::Boolean && found == 10;
                assert_eq!(try_lift(kind.clone(), true, 9, None, data).is_ok(), fits, "{kind} {found}");
            }
        }
        check(DataType::Int32, 2, None, Data::S32(vec![0]), ColumnFault::Length { expected: 2, found: 1 });
        let boolean = Data::Boolean(vec![0, 0]);
        check(DataType::Boolean, 8, None, boolean, ColumnFault::BooleanBytes { expected: 1, found: 2 });
        let words = Data::Decimal128(vec![0; 3]);
        check(DataType::Decimal128(3, 0), 2, None, words, ColumnFault::Length { expected: 4, found: 3 });
    }

    #[test]
    fn validity_has_exactly_the_bytes_that_its_rows_need() {
        for (rows, found) in [(1_usize, 0), (1, 2), (8, 2), (9, 1), (0, 1)] {
            let fault = ColumnFault::ValidityBytes { expected: rows.div_ceil(8), found };
            check(DataType::Int32, rows, Some(&vec![0xff; found]), Data::S32(vec![0; rows]), fault);
        }
    }

    #[test]
    fn a_column_that_is_never_null_has_no_null() {
        let data = || Data::S32(vec![0; 9]);
        let fault = |row| Err(ColumnFault::Null { row });
        let lifted =
            |bits: [u8; 2]| try_lift(DataType::Int32, false, 9, Some(&bits), data()).map(|a| a.len());
        assert_eq!(lifted([0xff, 0x01]), Ok(9));
        assert_eq!(lifted([0xff, 0x00]), fault(8));
        assert_eq!(lifted([0xfb, 0xff]), fault(2));
    }

    #[test]
    fn offsets_begin_with_0_never_fall_and_end_with_the_data() {
        let cases: [(&[u32], &[u8], ColumnFault); 8] = [
            (&[], b"", ColumnFault::OffsetCount { expected: 3, found: 0 }),
            (&[0, 1], b"x", ColumnFault::OffsetCount { expected: 3, found: 2 }),
            (&[0, 1, 2, 3], b"xyz", ColumnFault::OffsetCount { expected: 3, found: 4 }),
            (&[1, 1, 2], b"xy", ColumnFault::OffsetsBegin { found: 1 }),
            (&[0, 2, 1], b"xy", ColumnFault::OffsetsFall { row: 1 }),
            (&[0, 1, 1], b"xy", ColumnFault::OffsetsEnd { found: 1, bytes: 2 }),
            (&[0, 1, 3], b"xy", ColumnFault::OffsetsEnd { found: 3, bytes: 2 }),
            (&[0, 1, u32::MAX], b"xy", ColumnFault::OffsetsEnd { found: u32::MAX, bytes: 2 }),
        ];
        for (offsets, data, fault) in cases {
            check(DataType::Utf8, 2, None, Data::Utf8(var(offsets, data)), fault.clone());
            check(DataType::Binary, 2, None, Data::Binary(var(offsets, data)), fault);
        }
    }

    #[test]
    fn text_is_utf8_from_each_offset_to_the_next() {
        let not_utf8 = |row| ColumnFault::NotUtf8 { row };
        let split = || var(&[0, 1, 2], "ß".as_bytes());
        check(DataType::Utf8, 2, None, Data::Utf8(split()), not_utf8(0));
        check(DataType::Utf8, 2, None, Data::Utf8(var(&[0, 1, 2], b"x\xff")), not_utf8(1));
        // A null row's text is text all the same.
        check(DataType::Utf8, 2, Some(&[0]), Data::Utf8(split()), not_utf8(0));
        check(dictionary(), 1, None, by_key_of(&[0], split()), not_utf8(0));
        assert!(try_lift(DataType::Binary, false, 2, None, Data::Binary(split())).is_ok());
        assert!(try_lift(DataType::Utf8, false, 1, None, Data::Utf8(var(&[0, 2], "ß".as_bytes()))).is_ok());
    }

    #[test]
    fn keys_of_valid_rows_point_at_values() {
        let values = || var(&[0, 1, 2], b"ab");
        let key = |row, key, values| ColumnFault::Key { row, key, values };
        check(dictionary(), 2, None, by_key_of(&[0, 2], values()), key(1, 2, 2));
        check(dictionary(), 1, None, by_key_of(&[0], var(&[0], b"")), key(0, 0, 0));
        check(dictionary(), 3, Some(&[0b101]), by_key_of(&[0, 9, 5], values()), key(2, 5, 2));
        check(
            dictionary(),
            1,
            None,
            by_key_of(&[0], var(&[], b"")),
            ColumnFault::OffsetCount { expected: 1, found: 0 },
        );
        let masked = try_lift(dictionary(), true, 2, Some(&[0b01]), by_key_of(&[1, 9], values())).unwrap();
        assert_eq!(masked.as_dictionary::<types::UInt32Type>().key(0), Some(1));
        assert_eq!(masked.null_count(), 1);
    }

    #[test]
    fn decimals_have_no_more_digits_than_declared() {
        let words = |value: i128| Data::Decimal128(vec![value as u64, (value >> 64) as u64]);
        let kind = |precision| DataType::Decimal128(precision, 0);
        for (precision, value, good) in [
            (3_u8, 999_i128, true),
            (3, -999, true),
            (3, 1_000, false),
            (3, -1_000, false),
            (38, 10_i128.pow(38) - 1, true),
            (38, 10_i128.pow(38), false),
            (38, i128::MIN, false),
        ] {
            let lifted = try_lift(kind(precision), false, 1, None, words(value));
            let read = lifted.map(|array| array.as_primitive::<types::Decimal128Type>().value(0));
            let expected = if good { Ok(value) } else { Err(ColumnFault::Digits { row: 0, precision }) };
            assert_eq!(read, expected);
        }
        assert!(try_lift(kind(3), true, 1, Some(&[0]), words(i128::MAX)).is_ok());
    }

    #[test]
    fn lists_become_buffers_without_a_copy() {
        let list = vec![1_i64, 2, 3];
        let address = list.as_ptr();
        let array = try_lift(DataType::Int64, false, 3, None, Data::S64(list)).unwrap();
        assert_eq!(array.as_primitive::<types::Int64Type>().values().as_ptr(), address);
    }
}
