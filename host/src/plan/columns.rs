//! Looks columns up by name, and says what there is when one is not there.

use arrow_schema::Schema;

/// The number of the column `name`.
///
/// # Errors
/// Names the columns that there are.
pub fn find(schema: &Schema, name: &str) -> anyhow::Result<usize> {
    schema.index_of(name).map_err(|_| missing(schema, name))
}

/// That there is no column `name`, and which there are.
pub fn missing(schema: &Schema, name: &str) -> anyhow::Error {
    let names = schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>();
    anyhow::anyhow!("there is no column `{name}`; there are: {}", names.join(", "))
}
