//! Reads an output of the program: every Parquet file under a folder, with the key in the path as Hive does.
//!
//! Only the types that the aggregates give are known: integers, floats and timestamps.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::table::{Group, Row, Table, Value};

const WINDOW_START: &str = "window_start";

/// The table under `output`, partitioned by `key`; an output that does not exist yet is empty.
///
/// # Errors
/// A file is not as it should be, or a group occurs twice.
pub fn read(output: &Path, key: &str) -> Result<Table> {
    read_files(files(output)?, key)
}

/// The same of an output that others have written: what is hidden by its name is passed over, as readers of Hive's
/// tables do.
///
/// # Errors
/// As [`read`].
pub fn read_of_others(output: &Path, key: &str) -> Result<Table> {
    let is_seen = |path: &Path| {
        let inside = path.strip_prefix(output).unwrap_or(path);
        !inside.iter().any(|part| part.to_string_lossy().starts_with(['.', '_']))
    };
    let mut seen = all_files(output)?;
    seen.retain(|path| is_seen(path));
    read_files(seen, key)
}

fn read_files(files: Vec<PathBuf>, key: &str) -> Result<Table> {
    let mut table = Table::new();
    for file in files {
        let key =
            key_of(&file, key).with_context(|| format!("{} is not in a key's folder", file.display()))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&file)?)
            .and_then(|builder| builder.build())
            .with_context(|| format!("cannot read {}", file.display()))?;
        for batch in reader {
            let key = |_| key.clone();
            add(&mut table, key, &batch?).with_context(|| format!("in {}", file.display()))?;
        }
    }
    Ok(table)
}

/// The table of partial windows in `folder`, which have their key, the plugin's digest and the epoch as
/// columns: of these only the key is given.
///
/// # Errors
/// As [`read`].
pub fn read_partial(folder: &Path, key: &str) -> Result<Table> {
    let mut table = Table::new();
    for file in files(folder)? {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&file)?)?.build()?;
        for batch in reader {
            let mut batch = batch?;
            ensure!(batch.column_by_name("epoch").is_some(), "{} names no epoch", file.display());
            let [keys, digests] = [key, "plugin_digest"].map(|name| batch.column_by_name(name).cloned());
            let (keys, _) = keys.zip(digests).context("the key or the plugin's digest is missing")?;
            for name in [key, "plugin_digest", "epoch"] {
                batch.remove_column(batch.schema().index_of(name)?);
            }
            let keys = keys.as_string::<i32>();
            add(&mut table, |row| keys.is_valid(row).then(|| keys.value(row).to_owned()), &batch)?;
        }
    }
    Ok(table)
}

/// Every Parquet file under a folder, sorted; whatever else lies there is an error.
///
/// # Errors
/// A folder cannot be read, or holds something that readers would stumble over.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let found = all_files(folder)?;
    match found.iter().find(|path| path.extension().is_none_or(|extension| extension != "parquet")) {
        Some(other) => bail!("{} has no business in an output", other.display()),
        None => Ok(found),
    }
}

fn all_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if !folder.exists() {
        return Ok(found);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(all_files(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}

/// The key's value in a path; None inside for Hive's name of null.
fn key_of(file: &Path, key: &str) -> Option<Option<String>> {
    let prefix = format!("{key}=");
    let parts = file.parent()?.iter().map(|part| part.to_string_lossy().into_owned());
    let value = parts.filter_map(|part| part.strip_prefix(&prefix).map(unescaped)).next_back()?;
    Some((value != "__HIVE_DEFAULT_PARTITION__").then_some(value))
}

/// `%2F` is `/`.
fn unescaped(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn add(table: &mut Table, key: impl Fn(usize) -> Option<String>, batch: &RecordBatch) -> Result<()> {
    let schema = batch.schema();
    for index in 0..batch.num_rows() {
        let mut row = Row::new();
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            row.insert(field.name().clone(), value(column, index)?);
        }
        let Some(Value::Int(start_ms)) = row.remove(WINDOW_START) else { bail!("no {WINDOW_START}") };
        let group: Group = (key(index), start_ms);
        ensure!(table.insert(group.clone(), row).is_none(), "{group:?} occurs twice");
    }
    Ok(())
}

/// Timestamps become milliseconds: windows are multiples of them.
fn value(column: &dyn Array, index: usize) -> Result<Value> {
    if column.is_null(index) {
        return Ok(Value::Null);
    }
    Ok(match column.data_type() {
        DataType::Float64 => Value::Exact(column.as_primitive::<Float64Type>().value(index)),
        DataType::Int64 => Value::Int(column.as_primitive::<Int64Type>().value(index)),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if zone.as_ref() == "UTC" => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(index);
            ensure!(micros % 1_000 == 0, "{micros} µs is no whole millisecond");
            Value::Int(micros / 1_000)
        }
        other => bail!("a column of type {other} is not expected"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Option<Option<&str>>) {
        let expected = expected.map(|key| key.map(String::from));
        assert_eq!(key_of(Path::new(path), "symbol"), expected, "{path}");
    }

    #[test]
    fn a_key_is_read_from_its_folder() {
        check("out/symbol=BTC/part.parquet", Some(Some("BTC")));
        check("out/symbol=A%2FB%3D/part.parquet", Some(Some("A/B=")));
        check("out/symbol=100%/part.parquet", Some(Some("100%")));
        check("out/symbol=__HIVE_DEFAULT_PARTITION__/part.parquet", Some(None));
        check("out/day=1/part.parquet", None);
    }

    #[test]
    fn other_files_in_an_output_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("symbol=A")).expect("a folder in it");
        fs::write(folder.path().join("symbol=A/part.parquet.tmp"), "x").expect("a file in that");
        assert!(files(folder.path()).is_err());
    }
}
