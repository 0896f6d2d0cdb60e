//! Looks columns up by name, and says what there is when one is not there.

use anyhow::bail;
use arrow_schema::Schema;

/// The number of the column `name`.
///
/// # Errors
/// Names the columns that there are.
pub fn find(schema: &Schema, name: &str) -> anyhow::Result<usize> {
    match schema.index_of(name) {
        Ok(column) => Ok(column),
        Err(_) => {
            let names = schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>();
            bail!("there is no column `{name}`; there are: {}", names.join(", "))
        }
    }
}
