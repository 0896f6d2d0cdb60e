//! Values as people read them.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, TimestampMicrosecondType, UInt32Type};
use arrow_array::{Array, ArrayRef};
use arrow_cast::display::array_value_to_string;
use arrow_schema::{DataType, TimeUnit};
use chrono::{DateTime, SecondsFormat};

/// Longer texts are cut: an example is to be looked at.
const CHARACTERS_MAX: usize = 120;

/// The value of a row; `None` is null.
pub fn shown(column: &ArrayRef, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    if let Some(dictionary) = column.as_dictionary_opt::<UInt32Type>() {
        return shown(dictionary.values(), dictionary.keys().value(row) as usize);
    }
    let text = match column.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => instant(column, row),
        _ => array_value_to_string(column, row).ok(),
    };
    let text = text.unwrap_or_else(|| format!("a value of type {}", column.data_type()));
    Some(match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    })
}

fn instant(column: &ArrayRef, row: usize) -> Option<String> {
    let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
    Some(DateTime::from_timestamp_micros(micros)?.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// The bits of a float.
pub fn bits(column: &ArrayRef, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::Float64 => {
            Some(format!("{:#018x}", column.as_primitive::<Float64Type>().value(row).to_bits()))
        }
        DataType::Float32 => {
            Some(format!("{:#010x}", column.as_primitive::<Float32Type>().value(row).to_bits()))
        }
        _ => None,
    }
}
