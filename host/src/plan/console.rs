//! The columns that consoles show, found among those of the last level, or of an aggregate's windows.

use std::sync::Arc;

use anyhow::bail;
use arrow_schema::{Schema, SchemaRef};

use speed_layer_plugin::AggregateDescription;

use crate::config::{AggregateSpec, ConsoleSpec, nearest};
use crate::sinks::FINAL;

/// What is kept of the last rows.
pub struct ConsoleColumns {
    /// By their numbers in the last level.
    pub columns: Vec<usize>,
    /// Those columns alone.
    pub schema: SchemaRef,
    pub rows: usize,
}

impl ConsoleColumns {
    /// # Errors
    /// Names a column that no stage gives, the nearest one, and all that there are.
    pub(super) fn of(spec: &ConsoleSpec, last: &Schema) -> anyhow::Result<Self> {
        let columns = spec.columns.iter().map(|name| find(last, name)).collect::<anyhow::Result<Vec<_>>>()?;
        let schema = Arc::new(last.project(&columns)?);
        Ok(Self { columns, schema, rows: spec.rows })
    }
}

/// Refuses columns of an aggregate's console that its windows do not have.
///
/// # Errors
/// As [`ConsoleColumns::of`].
pub(super) fn check_windows(spec: &AggregateSpec, description: &AggregateDescription) -> anyhow::Result<()> {
    let Some(console) = &spec.console else { return Ok(()) };
    let fields = description.output.fields().iter().map(|field| field.name().as_str());
    let key = spec.key.iter().map(String::as_str);
    let there: Vec<&str> = key.chain(["window_start", "window_end"]).chain(fields).chain([FINAL]).collect();
    match console.columns.iter().find(|name| !there.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let whose = format!("the windows of aggregate {} do not have", spec.name);
            bail!(unknown(name, &there, &whose, "that sink of type \"console\""))
        }
    }
}

fn find(last: &Schema, name: &str) -> anyhow::Result<usize> {
    if let Ok(column) = last.index_of(name) {
        return Ok(column);
    }
    let names: Vec<&str> = last.fields().iter().map(|field| field.name().as_str()).collect();
    bail!(unknown(name, &names, "no stage gives", "the `[[sink]]` of type \"console\""))
}

fn unknown(name: &str, there: &[&str], whose: &str, sink: &str) -> String {
    let near = nearest(name, there.iter().copied());
    let meant = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    format!(
        "the console is to show a column `{name}`, which {whose}{meant} There are: {}. Name others as `columns` of {sink}",
        there.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::{DataType, Field};

    fn check(columns: &[&str], expected: Result<&[usize], &[&str]>) {
        let last = Schema::new(
            ["symbol", "price", "volume"].map(|name| Field::new(name, DataType::Float64, true)).to_vec(),
        );
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        match (ConsoleColumns::of(&ConsoleSpec { columns, rows: 1, every_ms: 1 }, &last), expected) {
            (Ok(found), Ok(wanted)) => assert_eq!(found.columns, wanted),
            (Err(error), Err(parts)) => {
                let error = error.to_string();
                assert!(parts.iter().all(|part| error.contains(part)), "{error}");
            }
            (found, _) => panic!("{:?}", found.map(|found| found.columns)),
        }
    }

    #[test]
    fn columns_are_found_by_name_and_others_refused_with_the_nearest() {
        check(&["volume", "symbol"], Ok(&[2, 0]));
        check(&["prise"], Err(&["`prise`", "did you mean `price`?", "symbol, price, volume"]));
        check(&["something_else"], Err(&["`something_else`", "There are: symbol"]));
    }
}
