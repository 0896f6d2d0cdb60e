//! Random Arrow columns of the contract's types.

use std::sync::Arc;

use arrow_array::types::UInt32Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array,
    Float64Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, TimeUnit};

use crate::prng::Prng;

pub fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

pub fn dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8))
}

/// The types that can be grouped by.
pub fn key_types() -> Vec<DataType> {
    let decimal = DataType::Decimal128(38, 2);
    let plain = [DataType::Utf8, DataType::Boolean, DataType::Int32, DataType::Int64, DataType::Date32];
    plain.into_iter().chain([timestamp(), dictionary(), decimal]).collect()
}

/// All types of the contract.
pub fn all_types() -> Vec<DataType> {
    key_types().into_iter().chain([DataType::Float32, DataType::Float64, DataType::Binary]).collect()
}

/// `rows` values of `field`, a third of them null if it may be.
pub fn column(prng: &mut Prng, field: &Field, rows: usize) -> ArrayRef {
    let nullable = field.is_nullable();
    match field.data_type() {
        DataType::Boolean => {
            Arc::new(values(prng, nullable, rows, |p| p.one_in(2)).collect::<BooleanArray>())
        }
        DataType::Int32 => {
            Arc::new(values(prng, nullable, rows, |p| p.next() as i32).collect::<Int32Array>())
        }
        DataType::Int64 => {
            Arc::new(values(prng, nullable, rows, |p| p.next() as i64).collect::<Int64Array>())
        }
        DataType::Date32 => Arc::new(
            values(prng, nullable, rows, |p| p.below(40_000) as i32 - 9_000).collect::<Date32Array>(),
        ),
        DataType::Float32 => {
            Arc::new(values(prng, nullable, rows, |p| p.next() as f32).collect::<Float32Array>())
        }
        DataType::Float64 => {
            Arc::new(values(prng, nullable, rows, |p| p.next() as f64).collect::<Float64Array>())
        }
        DataType::Decimal128(precision, scale) => {
            let wide = |p: &mut Prng| i128::from(p.next() as i64) * i128::from(p.next() >> 8);
            let array: Decimal128Array = values(prng, nullable, rows, wide).collect();
            Arc::new(array.with_precision_and_scale(*precision, *scale).unwrap())
        }
        DataType::Timestamp(_, _) => {
            let within = |p: &mut Prng| (p.next() >> 12) as i64 - (1 << 50);
            let array: TimestampMicrosecondArray = values(prng, nullable, rows, within).collect();
            Arc::new(array.with_timezone("UTC"))
        }
        DataType::Binary => {
            let bytes: Vec<Option<Vec<u8>>> =
                values(prng, nullable, rows, |p| (0..p.below(40)).map(|_| p.next() as u8).collect())
                    .collect();
            Arc::new(BinaryArray::from_iter(bytes))
        }
        DataType::Utf8 => Arc::new(values(prng, nullable, rows, Prng::text).collect::<StringArray>()),
        DataType::Dictionary(_, _) => {
            let texts: Vec<Option<String>> = values(prng, nullable, rows, Prng::text).collect();
            let texts = texts.iter().map(Option::as_deref);
            Arc::new(texts.collect::<DictionaryArray<UInt32Type>>())
        }
        other => panic!("{other} is none of the contract's types"),
    }
}

fn values<'a, T>(
    prng: &'a mut Prng,
    nullable: bool,
    rows: usize,
    value: impl Fn(&mut Prng) -> T + 'a,
) -> impl Iterator<Item = Option<T>> + 'a {
    (0..rows).map(move |_| {
        let is_null = nullable && prng.one_in(3);
        (!is_null).then(|| value(prng))
    })
}
