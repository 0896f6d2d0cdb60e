//! A job's swaps and commits as tables. Of commits it knows those whose checkpoints are still kept.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
    UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde_json::Value;
use speed_layer_core::commit::{Kind, Manifest};
use speed_layer_sql::Database;
use speed_layer_store::{Checkpoint, DiskStore, inspect};

use crate::job::swap::{history_path, read_history};

pub fn add_swaps(database: &Database, name: &str, store: &DiskStore, _: &Checkpoint) -> anyhow::Result<()> {
    let path = history_path(store.layout().checkpoint_dir());
    let make = move || Ok(vec![swaps(&read_history(&path)?)?]);
    Ok(database.add_made(name, swaps_schema(), Box::new(make))?)
}

pub fn add_commits(
    database: &Database,
    name: &str,
    store: &DiskStore,
    checkpoint: &Checkpoint,
) -> anyhow::Result<()> {
    let (dir, newest) = (store.layout().checkpoint_dir().to_owned(), checkpoint.manifest.epoch);
    let make = move || {
        let read = inspect::read_all(&inspect::find(&dir, None)?)?;
        let whole =
            read.checkpoints.iter().filter_map(|one| Some((&one.content.as_ref().ok()?.manifest, one.bytes)));
        let mut known: Vec<(&Manifest, u64)> =
            whole.filter(|(manifest, _)| manifest.epoch <= newest).collect();
        known.sort_unstable_by_key(|(manifest, _)| manifest.epoch);
        Ok(vec![commits(&known)?])
    };
    Ok(database.add_made(name, commits_schema(), Box::new(make))?)
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    let field = |(name, data_type): &(&str, DataType)| Field::new(*name, data_type.clone(), true);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

fn swaps_schema() -> SchemaRef {
    schema(&[
        ("at", instant()),
        ("stage", DataType::Utf8),
        ("from_plugin", DataType::Utf8),
        ("from_digest", DataType::Utf8),
        ("to_plugin", DataType::Utf8),
        ("to_digest", DataType::Utf8),
        ("change", DataType::Utf8),
        ("outcome", DataType::Utf8),
        ("why", DataType::Utf8),
        ("epoch", DataType::Int64),
        ("pause_ms", DataType::Float64),
        ("asked_by", DataType::Utf8),
    ])
}

fn swaps(lines: &[Value]) -> anyhow::Result<RecordBatch> {
    let text = |pointer: &str| -> ArrayRef {
        Arc::new(lines.iter().map(|line| line.pointer(pointer)?.as_str()).collect::<StringArray>())
    };
    let at = lines.iter().map(|line| {
        let at = chrono::DateTime::parse_from_rfc3339(line["at"].as_str()?).ok()?;
        Some(at.timestamp_millis())
    });
    let epoch = lines.iter().map(|line| line["epoch"].as_i64());
    let pause = lines.iter().map(|line| line["pause_ms"].as_f64());
    let columns = vec![
        Arc::new(at.collect::<TimestampMillisecondArray>().with_timezone("UTC")) as ArrayRef,
        text("/stage"),
        text("/from/name"),
        text("/from/digest"),
        text("/to/name"),
        text("/to/digest"),
        text("/change"),
        text("/outcome"),
        text("/why"),
        Arc::new(epoch.collect::<Int64Array>()),
        Arc::new(pause.collect::<Float64Array>()),
        text("/asked_by"),
    ];
    Ok(RecordBatch::try_new(swaps_schema(), columns)?)
}

fn commits_schema() -> SchemaRef {
    schema(&[
        ("epoch", DataType::UInt64),
        ("generation", DataType::UInt64),
        ("began", instant()),
        ("kind", DataType::Utf8),
        ("clean", DataType::Boolean),
        ("files", DataType::UInt64),
        ("rows", DataType::UInt64),
        ("file_bytes", DataType::UInt64),
        ("checkpoint_bytes", DataType::UInt64),
    ])
}

fn commits(known: &[(&Manifest, u64)]) -> anyhow::Result<RecordBatch> {
    let number = |of: fn(&Manifest) -> u64| -> ArrayRef {
        Arc::new(known.iter().map(|(manifest, _)| of(manifest)).collect::<UInt64Array>())
    };
    let began = known.iter().map(|(manifest, _)| manifest.progress.epoch_began_ms);
    let kinds = known.iter().map(|(manifest, _)| match manifest.kind {
        Kind::Full => "full",
        Kind::Delta => "delta",
    });
    let columns = vec![
        number(|of| of.epoch.0),
        number(|of| of.generation.0),
        Arc::new(TimestampMillisecondArray::from_iter_values(began).with_timezone("UTC")),
        Arc::new(StringArray::from_iter_values(kinds)),
        Arc::new(known.iter().map(|(of, _)| Some(of.clean)).collect::<BooleanArray>()),
        number(|of| of.publish.len() as u64),
        number(|of| of.publish.iter().map(|entry| entry.rows).sum()),
        number(|of| of.publish.iter().map(|entry| entry.bytes).sum()),
        Arc::new(known.iter().map(|(_, bytes)| *bytes).collect::<UInt64Array>()),
    ];
    Ok(RecordBatch::try_new(commits_schema(), columns)?)
}
