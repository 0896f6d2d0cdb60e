//! Windows as the records of a topic: a key and a value of JSON each. docs/sinks.md says what they look like; this
//! says nothing of where they go.

use std::io::Write;

use anyhow::bail;
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use super::value::{Plain, date, instant, not_finite};
use crate::config::RecordForm;

/// The field that says whether a window is closed.
pub const FINAL: &str = "final";
/// Behind the key's columns in every batch.
const WINDOW_START: &str = "window_start";

/// Writes the rows of a batch: first the key's columns, then `window_start`, `window_end` and the others.
pub struct RecordWriter<'a> {
    rows: &'a RecordBatch,
    /// Fields' names as JSON has them.
    names: Vec<String>,
    keys: usize,
    form: RecordForm,
    is_final: bool,
    /// As JSON, where the form has it.
    schema: String,
}

impl<'a> RecordWriter<'a> {
    /// `keys`: so many of the columns are the key.
    ///
    /// # Errors
    /// A fault of the host: no window behind the key, or a type that plugins do not have.
    pub fn of(rows: &'a RecordBatch, keys: usize, form: RecordForm, is_final: bool) -> anyhow::Result<Self> {
        let schema = rows.schema();
        if schema.fields().get(keys).is_none_or(|field| field.name() != WINDOW_START) {
            bail!("a window has no start behind its key's {keys} columns");
        }
        let names = schema.fields().iter().map(|field| serde_json::to_string(field.name()));
        let names = names.collect::<Result<_, _>>()?;
        let schema = match form {
            RecordForm::Json => String::new(),
            RecordForm::TypedJson => typed(&schema)?.to_string(),
        };
        Ok(Self { rows, names, keys, form, is_final, schema })
    }

    /// The key and the value of a row.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn record(&self, row: usize) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        self.write_object(&mut key, self.keys + 1, row, false)?;
        key.push(b'}');
        match self.form {
            RecordForm::Json => {
                self.write_object(&mut value, self.names.len(), row, false)?;
                write!(value, ",\"{FINAL}\":{}}}", self.is_final)?;
            }
            RecordForm::TypedJson => {
                write!(value, "{{\"schema\":{},\"row\":", self.schema)?;
                self.write_object(&mut value, self.names.len(), row, true)?;
                write!(value, "}},\"{FINAL}\":{}}}", self.is_final)?;
            }
        }
        Ok((key, value))
    }

    /// The first columns of a row, without the end of the object.
    fn write_object(
        &self,
        out: &mut Vec<u8>,
        columns: usize,
        row: usize,
        is_typed: bool,
    ) -> anyhow::Result<()> {
        for (at, (name, column)) in self.names.iter().zip(self.rows.columns()).take(columns).enumerate() {
            write!(out, "{}{name}:", if at == 0 { '{' } else { ',' })?;
            write_value(out, &Plain::of(column, row), is_typed)?;
        }
        Ok(())
    }
}

/// Under a schema, what JSON's readers round is a text.
fn write_value(out: &mut Vec<u8>, value: &Plain<'_>, is_typed: bool) -> anyhow::Result<()> {
    let as_text = |out: &mut Vec<u8>, text: &str| serde_json::to_writer(out, text);
    match value {
        Plain::Null => write!(out, "null")?,
        Plain::Boolean(value) => write!(out, "{value}")?,
        Plain::Long(value) if is_typed => write!(out, "\"{value}\"")?,
        Plain::Long(value) => write!(out, "{value}")?,
        Plain::Integer(value) => write!(out, "{value}")?,
        Plain::Float(value) => write_float(out, *value, value)?,
        Plain::Single(value) => write_float(out, (*value).into(), value)?,
        Plain::Text(text) => as_text(out, text)?,
        Plain::Bytes(bytes) => as_text(out, &STANDARD.encode(bytes))?,
        Plain::Instant(micros) => match instant(*micros) {
            Some(text) => as_text(out, &text)?,
            None => write!(out, "{micros}")?,
        },
        Plain::Date(days) => match date(*days) {
            Some(text) => as_text(out, &text)?,
            None => write!(out, "{days}")?,
        },
        Plain::Decimal(text) if !is_typed => write!(out, "{text}")?,
        Plain::Decimal(text) | Plain::Other(text) => as_text(out, text)?,
    }
    Ok(())
}

/// As few digits as tell it from every other number of its type.
fn write_float(out: &mut Vec<u8>, value: f64, shortest: &impl Serialize) -> anyhow::Result<()> {
    match not_finite(value) {
        Some(text) => write!(out, "\"{text}\"")?,
        None => serde_json::to_writer(out, shortest)?,
    }
    Ok(())
}

/// A schema as Arrow writes it in JSON for its own tests of integration.
fn typed(schema: &Schema) -> anyhow::Result<Value> {
    let fields =
        schema.fields().iter().map(|field| typed_field(field)).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(json!({ "fields": fields }))
}

fn typed_field(field: &Field) -> anyhow::Result<Value> {
    let data_type = match field.data_type() {
        DataType::Dictionary(_, values) => values,
        other => other,
    };
    let data_type = match data_type {
        DataType::Boolean => json!({ "name": "bool" }),
        DataType::Int32 => json!({ "name": "int", "bitWidth": 32, "isSigned": true }),
        DataType::Int64 => json!({ "name": "int", "bitWidth": 64, "isSigned": true }),
        DataType::Float32 => json!({ "name": "floatingpoint", "precision": "SINGLE" }),
        DataType::Float64 => json!({ "name": "floatingpoint", "precision": "DOUBLE" }),
        DataType::Utf8 => json!({ "name": "utf8" }),
        DataType::Binary => json!({ "name": "binary" }),
        DataType::Date32 => json!({ "name": "date", "unit": "DAY" }),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            json!({ "name": "timestamp", "unit": "MICROSECOND", "timezone": zone.as_deref() })
        }
        DataType::Decimal128(precision, scale) => {
            json!({ "name": "decimal", "precision": precision, "scale": scale })
        }
        other => bail!("the column {} has the type {other}, which no plugin gives", field.name()),
    };
    Ok(json!({ "name": field.name(), "nullable": field.is_nullable(), "type": data_type, "children": [] }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
        Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
    };
    use std::sync::Arc;

    /// A group of that key with one more column.
    fn batch(key: &str, column: ArrayRef) -> RecordBatch {
        let instant = |us| Arc::new(TimestampMicrosecondArray::from(vec![us]).with_timezone("UTC"));
        let columns: [(&str, ArrayRef); 4] = [
            ("symbol", Arc::new(StringArray::from(vec![key]))),
            ("window_start", instant(1_763_596_800_000_000)),
            ("window_end", instant(1_763_683_200_000_000)),
            ("value", column),
        ];
        let columns = columns.into_iter().map(|(name, column)| (name, column, true));
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    fn record(rows: &RecordBatch, form: RecordForm, is_final: bool) -> (String, String) {
        let (key, value) = RecordWriter::of(rows, 1, form, is_final).unwrap().record(0).unwrap();
        (String::from_utf8(key).unwrap(), String::from_utf8(value).unwrap())
    }

    #[test]
    fn a_record_has_its_group_as_key_and_all_columns_as_value() {
        let rows = batch("BTC\"\u{1}\n", Arc::new(Float64Array::from(vec![91_234.5])));
        let (key, value) = record(&rows, RecordForm::Json, true);
        assert_eq!(key, r#"{"symbol":"BTC\"\u0001\n","window_start":"2025-11-20T00:00:00Z"}"#);
        let begin = key.trim_end_matches('}');
        assert_eq!(
            value,
            format!(r#"{begin},"window_end":"2025-11-21T00:00:00Z","value":91234.5,"final":true}}"#)
        );
    }

    #[test]
    fn a_typed_record_names_the_type_of_each_of_its_columns() {
        let rows = batch("BTC", Arc::new(Int64Array::from(vec![1_i64 << 60])));
        let (key, value) = record(&rows, RecordForm::TypedJson, false);
        assert_eq!(key, r#"{"symbol":"BTC","window_start":"2025-11-20T00:00:00Z"}"#);
        let value: Value = serde_json::from_str(&value).unwrap();
        assert_eq!((&value["final"], &value["row"]["value"]), (&json!(false), &json!("1152921504606846976")));
        let types = ["symbol", "window_start", "window_end", "value"].into_iter().enumerate();
        for (at, name) in types {
            assert_eq!(value["schema"]["fields"][at]["name"], name);
        }
        let field = &value["schema"]["fields"][3];
        let expected = json!({ "name": "int", "bitWidth": 64, "isSigned": true });
        assert_eq!((&field["type"], &field["nullable"]), (&expected, &json!(true)));
    }

    #[test]
    fn every_type_is_written_exactly() {
        let text = |column: ArrayRef, form| {
            let (_, value) = record(&batch("A", column), form, true);
            let (_, rest) = value.split_once(r#""value":"#).unwrap();
            rest.trim_end_matches(r#","final":true}"#).trim_end_matches('}').to_owned()
        };
        let decimal = Decimal128Array::from(vec![-5]).with_precision_and_scale(38, 2).unwrap();
        for (column, plain, typed) in [
            (Arc::new(Float64Array::from(vec![0.1 + 0.2])) as ArrayRef, "0.30000000000000004", ""),
            (Arc::new(Float64Array::from(vec![1e300])), "1e+300", ""),
            (Arc::new(Float64Array::from(vec![f64::NAN])), "\"NaN\"", ""),
            (Arc::new(Float64Array::from(vec![f64::NEG_INFINITY])), "\"-Infinity\"", ""),
            (Arc::new(Float32Array::from(vec![0.1])), "0.1", ""),
            (Arc::new(Float64Array::from(vec![None])), "null", ""),
            (Arc::new(Int64Array::from(vec![i64::MIN])), "-9223372036854775808", "\"-9223372036854775808\""),
            (Arc::new(Int32Array::from(vec![7])), "7", ""),
            (Arc::new(BooleanArray::from(vec![true])), "true", ""),
            (Arc::new(Date32Array::from(vec![-1])), "\"1969-12-31\"", ""),
            (Arc::new(BinaryArray::from(vec![&b"\xff\0"[..]])), "\"/wA=\"", ""),
            (Arc::new(StringArray::from(vec!["\u{2028}\x1b"])), "\"\u{2028}\\u001b\"", ""),
            (Arc::new(TimestampMicrosecondArray::from(vec![1])), "\"1970-01-01T00:00:00.000001Z\"", ""),
            (Arc::new(TimestampMicrosecondArray::from(vec![i64::MAX])), "9223372036854775807", ""),
            (Arc::new(decimal), "-0.05", "\"-0.05\""),
        ] {
            assert_eq!(text(Arc::clone(&column), RecordForm::Json), plain);
            let typed = if typed.is_empty() { plain } else { typed };
            assert_eq!(text(column, RecordForm::TypedJson), typed);
        }
    }
}
