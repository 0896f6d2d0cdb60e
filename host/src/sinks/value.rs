//! A value of a column, whatever the column is made of, so that each sink says it in its own way.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType, UInt32Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_cast::display::array_value_to_string;
use arrow_schema::{DataType, TimeUnit};
use chrono::{DateTime, NaiveDate, SecondsFormat};

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Plain<'a> {
    Null,
    Boolean(bool),
    Integer(i32),
    Long(i64),
    Float(f64),
    Single(f32),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Microseconds since 1970 UTC.
    Instant(i64),
    /// Days since 1970.
    Date(i32),
    /// As it is written.
    Decimal(String),
    Other(String),
}

impl<'a> Plain<'a> {
    /// The value of a row.
    pub fn of(column: &'a ArrayRef, row: usize) -> Self {
        if column.is_null(row) {
            return Self::Null;
        }
        if let Some(dictionary) = column.as_dictionary_opt::<UInt32Type>() {
            return Self::of(dictionary.values(), dictionary.keys().value(row) as usize);
        }
        match column.data_type() {
            DataType::Boolean => Self::Boolean(column.as_boolean().value(row)),
            DataType::Int32 => Self::Integer(column.as_primitive::<Int32Type>().value(row)),
            DataType::Int64 => Self::Long(column.as_primitive::<Int64Type>().value(row)),
            DataType::Float32 => Self::Single(column.as_primitive::<Float32Type>().value(row)),
            DataType::Float64 => Self::Float(column.as_primitive::<Float64Type>().value(row)),
            DataType::Utf8 => Self::Text(column.as_string::<i32>().value(row)),
            DataType::Binary => Self::Bytes(column.as_binary::<i32>().value(row)),
            DataType::Date32 => Self::Date(column.as_primitive::<Date32Type>().value(row)),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Self::Instant(column.as_primitive::<TimestampMicrosecondType>().value(row))
            }
            other => match array_value_to_string(column, row) {
                Ok(text) if matches!(other, DataType::Decimal128(..)) => Self::Decimal(text),
                Ok(text) => Self::Other(text),
                Err(_) => Self::Other(format!("a value of type {other}")),
            },
        }
    }
}

/// An instant as ISO 8601 in UTC, with as many digits as it needs; `None` beyond the years that ISO 8601 is written for.
pub fn instant(micros: i64) -> Option<String> {
    Some(DateTime::from_timestamp_micros(micros)?.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// A day as ISO 8601; `None` as with [`instant`].
pub fn date(days: i32) -> Option<String> {
    Some(NaiveDate::from_epoch_days(days)?.to_string())
}

/// A float that is no number, as JSON libraries mostly write it.
pub fn not_finite(value: f64) -> Option<&'static str> {
    match value {
        _ if value.is_nan() => Some("NaN"),
        f64::INFINITY => Some("Infinity"),
        f64::NEG_INFINITY => Some("-Infinity"),
        _ => None,
    }
}
