//! Schemas: making fields, finding columns, and the refusals when one is not as expected.
//!
//! It compares names and types alone; whether the values keep what a field promises is
//! checked by the host.

use crate::transform::{Origin, OutputColumn};
use crate::types::{DataType, Field, Refusal, Schema};

/// A field that may hold nulls.
pub fn field(name: impl Into<String>, data_type: DataType) -> Field {
    Field { name: name.into(), data_type, nullable: true }
}

/// A field without nulls.
pub fn required(name: impl Into<String>, data_type: DataType) -> Field {
    Field { name: name.into(), data_type, nullable: false }
}

/// A schema of these fields, in this order.
pub fn schema(fields: impl IntoIterator<Item = Field>) -> Schema {
    Schema { fields: fields.into_iter().collect() }
}

/// The number of the column of this name.
pub fn position(schema: &Schema, name: &str) -> Option<usize> {
    schema.fields.iter().position(|field| field.name == name)
}

/// The names of all columns, for messages.
pub fn names(schema: &Schema) -> String {
    let names: Vec<&str> = schema.fields.iter().map(|field| field.name.as_str()).collect();
    names.join(", ")
}

/// The column `name`, which has to be there with this type; `reader` says in the message who
/// asks for it. None of a schema without a field: nobody knows the input yet, so nothing is
/// missed.
///
/// # Errors
/// `bad-input` when it is missing or of another type.
pub fn require<'a>(
    schema: &'a Schema,
    name: &str,
    data_type: DataType,
    reader: &str,
) -> Result<Option<&'a Field>, Refusal> {
    if schema.fields.is_empty() {
        return Ok(None);
    }
    let Some(number) = position(schema, name) else {
        return Err(Refusal::BadInput(format!(
            "{reader} reads the column {name:?} ({}), and the input has none of that name; it has: {}",
            type_name(data_type),
            names(schema)
        )));
    };
    let found = &schema.fields[number];
    if found.data_type != data_type {
        return Err(Refusal::BadInput(format!(
            "{reader} reads the column {name:?} as {}, and the input has it as {}",
            type_name(data_type),
            type_name(found.data_type)
        )));
    }
    Ok(Some(found))
}

/// Every column of the input as an output column, unchanged: where many a transform starts.
pub fn pass_on_all(input: &Schema) -> Vec<OutputColumn> {
    let numbered = input.fields.iter().zip(0u32..);
    numbered.map(|(field, i)| OutputColumn { field: field.clone(), origin: Origin::PassedOn(i) }).collect()
}

/// A type's name as the contract spells it.
pub fn type_name(data_type: DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".into(),
        DataType::S32 => "s32".into(),
        DataType::S64 => "s64".into(),
        DataType::F32 => "f32".into(),
        DataType::F64 => "f64".into(),
        DataType::Date32 => "date32".into(),
        DataType::TimestampUs => "timestamp-us".into(),
        DataType::Decimal128(shape) => format!("decimal128({}, {})", shape.precision, shape.scale),
        DataType::Utf8 => "utf8".into(),
        DataType::Binary => "binary".into(),
        DataType::DictionaryUtf8 => "dictionary-utf8".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_column_is_refused_with_those_that_are_there() {
        let input = schema([field("a", DataType::S64), field("b", DataType::Utf8)]);
        let refusal = require(&input, "price", DataType::F64, "the test").map(|_| ());
        let expected =
            "the test reads the column \"price\" (f64), and the input has none of that name; it has: a, b";
        assert_eq!(refusal, Err(Refusal::BadInput(expected.into())));
    }

    #[test]
    fn an_input_that_nobody_knows_yet_misses_nothing() {
        let unknown = schema([]);
        assert!(matches!(require(&unknown, "price", DataType::F64, "the test"), Ok(None)));
    }

    #[test]
    fn a_column_of_another_type_is_refused_with_both_types() {
        let input = schema([field("a", DataType::S64)]);
        let refusal = require(&input, "a", DataType::F64, "the test").map(|_| ());
        let expected = "the test reads the column \"a\" as f64, and the input has it as s64";
        assert_eq!(refusal, Err(Refusal::BadInput(expected.into())));
    }
}
