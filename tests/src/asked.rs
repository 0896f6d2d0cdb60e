//! Asks a job with `host query`, and reads what it answers.

use anyhow::{Context, Result, ensure};
use chrono::DateTime;
use serde_json::{Map, Value};

use crate::host::{Finished, Running};
use crate::job::{Job, LIMIT};
use crate::table::{self, Row, Table};

/// One row, by column.
pub type Answered = Map<String, Value>;

/// `host query SQL` with more flags, of the job's checkpoint.
///
/// # Errors
/// It is not built, or does not end.
pub fn ask(job: &Job, sql: &str, flags: &[&str]) -> Result<Finished> {
    let mut command = crate::host::command()?;
    let checkpoint = job.path("checkpoint").display().to_string();
    command.args(["query", sql, "--checkpoint", &checkpoint]).args(flags);
    Running::start(&mut command)?.finish(LIMIT)
}

/// The rows of an answer.
///
/// # Errors
/// It is refused, or gives no JSON.
pub fn rows(job: &Job, sql: &str) -> Result<Vec<Answered>> {
    let finished = ask(job, sql, &["--format", "json"])?;
    ensure!(finished.status.success(), "{sql}: {}", finished.told());
    let row = |line: &str| serde_json::from_str(line).with_context(|| format!("{line} is no object"));
    finished.stdout.lines().map(row).collect()
}

/// A table of windows with their key `symbol`.
///
/// # Errors
/// As [`rows`]; and where a window is there twice.
pub fn table(job: &Job, sql: &str) -> Result<Table> {
    let mut table = Table::new();
    for mut row in rows(job, sql)? {
        let symbol = row.remove("symbol").context("no symbol")?.as_str().map(str::to_owned);
        let start = row.remove("window_start").context("no window_start")?;
        let start_ms = instant_ms(&start).with_context(|| format!("{start} is no time"))?;
        let values = row.into_iter().map(|(name, value)| Ok((name, value_of(&value)?)));
        let before = table.insert((symbol.clone(), start_ms), values.collect::<Result<Row>>()?);
        ensure!(before.is_none(), "the window of {start} of {symbol:?} is there twice");
    }
    Ok(table)
}

fn value_of(value: &Value) -> Result<table::Value> {
    Ok(match value {
        Value::Null => table::Value::Null,
        Value::Number(number) => match number.as_i64() {
            Some(whole) => table::Value::Int(whole),
            None => table::Value::Exact(number.as_f64().context("no float")?),
        },
        other => table::Value::Int(instant_ms(other).with_context(|| format!("{other} is no value"))?),
    })
}

fn instant_ms(value: &Value) -> Option<i64> {
    Some(DateTime::parse_from_rfc3339(value.as_str()?).ok()?.timestamp_millis())
}
