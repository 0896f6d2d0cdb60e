//! Keys as Hive-style paths (`symbol=BTC%2FUSDT`), escaped as Hive and Spark do, and
//! read back. It makes names; it never touches a file system.
//!
//! Spark writes both null and the empty text as the default name, so that one of
//! them cannot be read back. Here null has that name, and a key with an empty text,
//! a text that is that name, or one too long for a file system has no path at all:
//! its rows are dead letters of the kind [`KeyUnpathable::KIND`].

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, DecimalType, Int32Type, Int64Type, TimestampMicrosecondType, UInt32Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, temporal_conversions};
use arrow_schema::{DataType, TimeUnit};

/// The name of null.
pub const HIVE_DEFAULT_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// Bytes that a path component may have: what file systems allow.
pub const COMPONENT_BYTES_MAX: usize = 255;

/// How the value of a component begins that is a hash: see [`kept_path_of`].
pub const HASHED_PREFIX: &str = "__HASH__";

/// Bytes that a value of any type but text stays below, escaped.
const PLAIN_VALUE_BYTES_MAX: usize = 64;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Days since 1970 of the years 0001 to 9999, which every calendar here has.
const DAYS: std::ops::RangeInclusive<i64> = -719_162..=2_932_896;

/// A key that has no path, or none that could be read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyUnpathable {
    #[error("key column {column:?} is an empty text, whose path would read back as null")]
    Empty { column: String },
    #[error("key column {column:?} is the text {HIVE_DEFAULT_PARTITION:?}, which is the path of null")]
    DefaultName { column: String },
    #[error("key column {column:?} makes a path component of {bytes} bytes, more than {COMPONENT_BYTES_MAX}")]
    TooLong { column: String, bytes: usize },
    #[error("key column {column:?} has a value that is not a date or time of the calendar")]
    NoCalendarDate { column: String },
    #[error("key column {column:?} has type {data_type}, which no path can name")]
    Type { column: String, data_type: String },
}

impl KeyUnpathable {
    /// What the dead letters count by.
    pub const KIND: &'static str = "key-unpathable";
}

/// `text` with the bytes that Hive escapes written as `%XX`. NUL is escaped as well.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match u8::try_from(character) {
            Ok(byte) if is_escaped(byte) => escaped.push_str(&format!("%{byte:02X}")),
            _ => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}

fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7F || b"\"#%'*/:=?\\{[]^".contains(&byte)
}

/// The text behind an escaped one. A `%` without two hexadecimal digits of an ASCII
/// character stands for itself, as in Hive.
pub fn unescape(escaped: &str) -> String {
    let mut text = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 3).and_then(ascii_of_hex);
        text.push(code.unwrap_or('%'));
        rest = &rest[at + if code.is_some() { 3 } else { 1 }..];
    }
    text.push_str(rest);
    text
}

fn ascii_of_hex(digits: &str) -> Option<char> {
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let code = u8::from_str_radix(digits, 16).ok().filter(|code| is_hex && code.is_ascii());
    code.map(char::from)
}

/// One path component, `column=value`; `None` is null.
///
/// # Errors
/// The value has no component that reads back as itself.
pub fn component(column: &str, value: Option<&str>) -> Result<String, KeyUnpathable> {
    let name = match value {
        None => Cow::Borrowed(HIVE_DEFAULT_PARTITION),
        Some("") => return Err(KeyUnpathable::Empty { column: column.to_owned() }),
        Some(HIVE_DEFAULT_PARTITION) => {
            return Err(KeyUnpathable::DefaultName { column: column.to_owned() });
        }
        Some(text) => escape(text),
    };
    let component = format!("{}={name}", escape(column));
    if component.len() > COMPONENT_BYTES_MAX {
        return Err(KeyUnpathable::TooLong { column: column.to_owned(), bytes: component.len() });
    }
    Ok(component)
}

/// The column and the value of one path component; `None` when it is not one.
pub fn parse_component(component: &str) -> Option<(String, Option<String>)> {
    let (column, value) = component.split_once('=')?;
    let value = (value != HIVE_DEFAULT_PARTITION).then(|| unescape(value));
    Some((unescape(column), value))
}

/// The relative path of the key in row `row`: one component a column, joined by `/`.
/// Never absolute, and no component is `.`, `..` or empty.
///
/// # Errors
/// The key has no path.
pub fn path_of(keys: &RecordBatch, row: usize) -> Result<String, KeyUnpathable> {
    let components: Result<Vec<String>, KeyUnpathable> = keys
        .schema_ref()
        .fields()
        .iter()
        .zip(keys.columns())
        .map(|(field, column)| component(field.name(), text_of(field.name(), column, row)?.as_deref()))
        .collect();
    Ok(components?.join("/"))
}

/// As [`path_of`], for files that hold the key as columns too: a value that has no component
/// of its own, or whose text begins as a hash's does, has that of its hash, which `digest`
/// gives of its text in hexadecimal digits.
///
/// # Errors
/// A column's name is too long for any component, or its type has no text.
pub fn kept_path_of(
    keys: &RecordBatch,
    row: usize,
    digest: impl Fn(&str) -> String,
) -> Result<String, KeyUnpathable> {
    let components: Result<Vec<String>, KeyUnpathable> = keys
        .schema_ref()
        .fields()
        .iter()
        .zip(keys.columns())
        .map(|(field, column)| kept_component(field.name(), column, row, &digest))
        .collect();
    Ok(components?.join("/"))
}

fn kept_component(
    name: &str,
    column: &ArrayRef,
    row: usize,
    digest: impl Fn(&str) -> String,
) -> Result<String, KeyUnpathable> {
    let (text, is_plain) = match text_of(name, column, row) {
        Err(KeyUnpathable::NoCalendarDate { .. }) => (number_text(column, row), false),
        text => (text?, true),
    };
    let looks_hashed = text.as_ref().is_some_and(|text| text.starts_with(HASHED_PREFIX));
    match component(name, text.as_deref()) {
        Ok(own) if is_plain && !looks_hashed => Ok(own),
        _ => hashed_component(name, &digest(text.as_deref().unwrap_or_default())),
    }
}

/// The component of a value that has none of its own, by its digest.
///
/// # Errors
/// The column's name is too long.
pub fn hashed_component(column: &str, digest: &str) -> Result<String, KeyUnpathable> {
    component(column, Some(&format!("{HASHED_PREFIX}{digest}")))
}

/// A date or time that no calendar has, as its number.
fn number_text(column: &ArrayRef, row: usize) -> Option<String> {
    let days = column.as_primitive_opt::<Date32Type>().map(|days| days.value(row).to_string());
    days.or_else(|| Some(column.as_primitive_opt::<TimestampMicrosecondType>()?.value(row).to_string()))
}

/// The rows of a batch whose key has no path, in rising order. `names` and `columns`
/// are the key columns. Costs next to nothing for rows that are plainly well.
pub fn unpathable_rows(names: &[String], columns: &[ArrayRef]) -> Vec<(u32, KeyUnpathable)> {
    let mut refused = Vec::new();
    for (name, column) in names.iter().zip(columns) {
        let doubtful = doubtful_rows(name, column);
        refused.extend(doubtful.into_iter().filter_map(|row| {
            let text = text_of(name, column, row);
            let reason = text.and_then(|text| component(name, text.as_deref())).err()?;
            Some((row as u32, reason))
        }));
    }
    refused.sort_by_key(|(row, _)| *row);
    refused.dedup_by_key(|(row, _)| *row);
    refused
}

/// Rows that have to be looked at one by one.
fn doubtful_rows(name: &str, column: &ArrayRef) -> Vec<usize> {
    let value_bytes_max = COMPONENT_BYTES_MAX.saturating_sub(escape(name).len() + 1);
    if value_bytes_max < PLAIN_VALUE_BYTES_MAX {
        return (0..column.len()).collect();
    }
    match column.data_type() {
        DataType::Utf8 => doubtful_texts(column.as_string(), value_bytes_max),
        DataType::Dictionary(_, _) => doubtful_numbered(column, value_bytes_max),
        DataType::Date32 => {
            let days = column.as_primitive::<Date32Type>().values();
            rows_where(days.len(), |row| !DAYS.contains(&i64::from(days[row])))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().values();
            rows_where(micros.len(), |row| !DAYS.contains(&micros[row].div_euclid(MICROS_PER_DAY)))
        }
        DataType::Boolean | DataType::Int32 | DataType::Int64 | DataType::Decimal128(_, _) => Vec::new(),
        _ => (0..column.len()).collect(),
    }
}

/// A text that stays in bounds even if every byte is escaped, and is neither empty nor
/// as long as the default name, is plainly well.
fn doubtful_texts(texts: &StringArray, value_bytes_max: usize) -> Vec<usize> {
    rows_where(texts.len(), |row| {
        let bytes = texts.value_length(row) as usize;
        bytes == 0 || bytes * 3 > value_bytes_max || bytes == HIVE_DEFAULT_PARTITION.len()
    })
}

/// Looks at each text once, however often it occurs.
fn doubtful_numbered(column: &ArrayRef, value_bytes_max: usize) -> Vec<usize> {
    let Some(dictionary) = column.as_dictionary_opt::<UInt32Type>() else {
        return (0..column.len()).collect();
    };
    let Some(texts) = dictionary.values().as_string_opt::<i32>() else {
        return (0..column.len()).collect();
    };
    let doubtful = doubtful_texts(texts, value_bytes_max);
    if doubtful.is_empty() {
        return doubtful;
    }
    let numbers = dictionary.keys().values();
    rows_where(numbers.len(), |row| doubtful.binary_search(&(numbers[row] as usize)).is_ok())
}

fn rows_where(rows: usize, is_doubtful: impl Fn(usize) -> bool) -> Vec<usize> {
    (0..rows).filter(|row| is_doubtful(*row)).collect()
}

/// A key value as the path has it; `None` is null.
fn text_of(name: &str, column: &ArrayRef, row: usize) -> Result<Option<String>, KeyUnpathable> {
    if column.is_null(row) {
        return Ok(None);
    }
    let no_date = || KeyUnpathable::NoCalendarDate { column: name.to_owned() };
    let text = match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Date32 => date_text(column.as_primitive::<Date32Type>().value(row)).ok_or_else(no_date)?,
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
            timestamp_text(micros).ok_or_else(no_date)?
        }
        DataType::Decimal128(precision, scale) => {
            let value = column.as_primitive::<Decimal128Type>().value(row);
            Decimal128Type::format_decimal(value, *precision, *scale)
        }
        DataType::Dictionary(_, _) => return dictionary_text(name, column, row),
        other => {
            return Err(KeyUnpathable::Type { column: name.to_owned(), data_type: other.to_string() });
        }
    };
    Ok(Some(text))
}

fn dictionary_text(name: &str, column: &ArrayRef, row: usize) -> Result<Option<String>, KeyUnpathable> {
    let Some(dictionary) = column.as_dictionary_opt::<UInt32Type>() else {
        let data_type = column.data_type().to_string();
        return Err(KeyUnpathable::Type { column: name.to_owned(), data_type });
    };
    text_of(name, dictionary.values(), dictionary.keys().value(row) as usize)
}

/// `2024-02-29`.
fn date_text(days: i32) -> Option<String> {
    let midnight = temporal_conversions::date32_to_datetime(days)?;
    Some(midnight.format("%Y-%m-%d").to_string())
}

/// `2024-02-29 23:59:59`, with a fraction only where there is one.
fn timestamp_text(micros: i64) -> Option<String> {
    let instant = temporal_conversions::timestamp_us_to_datetime(micros)?;
    Some(instant.format("%Y-%m-%d %H:%M:%S%.f").to_string())
}
