//! The tables of one aggregate: its closed windows, its open ones, both, and both with what is not committed yet.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use speed_layer_core::commit::{AggregateProgress, OutputId};
use speed_layer_core::path::parse_component;
use speed_layer_sql::{Database, File, Files};
use speed_layer_store::{Checkpoint, CommittedFile, States, committed_files};

use super::{LIVE, Sources};
use crate::job::{Held, held, held_plan, held_schema};
use crate::plan::AggregatePlan;

/// The column that says whether a row holds what is not committed yet.
const UNCOMMITTED: &str = "uncommitted";

/// # Errors
/// The plugin is not at hand, or files that were committed are gone.
pub fn add(database: &Database, of: &AggregateProgress, from: &Sources<'_>) -> anyhow::Result<()> {
    let manifest = &from.checkpoint.manifest;
    let plan = Arc::new(held_plan(of, &manifest.outputs, from.runtime, &from.kept)?);
    let (windows, in_files) = held_schema(&plan)?;
    let keys = windows.fields().len() - in_files.fields().len();
    let keys: Vec<FieldRef> = windows.fields().iter().take(keys).cloned().collect();
    let files = committed_files(from.store, manifest, &OutputId::Aggregate(of.name.clone()))?;
    let files = files.into_iter().filter_map(|file| of_key(&keys, file)).collect();
    let name = &of.name;
    database.add_files(&format!("{name}_closed"), Files { keys, columns: nullable(&in_files), files })?;
    let (open, checkpoint) = (Arc::clone(&plan), Arc::clone(&from.checkpoint));
    let make = move || Ok(vec![held(&open, &checkpoint)?.rows()?]);
    database.add_made(&format!("{name}_open"), nullable(&windows), Box::new(make))?;
    let (checkpoint, copied) = (Arc::clone(&from.checkpoint), Arc::clone(&from.copied));
    let make = move || Ok(vec![marked(&mut live(&plan, &checkpoint, &copied)?)?]);
    database.add_made(&format!("{name}_open{LIVE}"), with_mark(&nullable(&windows)), Box::new(make))?;
    let both = format!("SELECT * FROM \"{name}_closed\" UNION ALL SELECT * FROM \"{name}_open\"");
    database.add_view(name, &both)?;
    let both = format!(
        "SELECT *, false AS {UNCOMMITTED} FROM \"{name}_closed\" UNION ALL SELECT * FROM \"{name}_open{LIVE}\""
    );
    Ok(database.add_view(&format!("{name}{LIVE}"), &both)?)
}

/// The open windows with what the workers have folded since.
fn live(plan: &AggregatePlan, checkpoint: &Checkpoint, copied: &[States]) -> anyhow::Result<Held> {
    let mut held = held(plan, checkpoint)?;
    let own = copied.iter().flatten().filter(|(name, _)| *name == plan.spec.name);
    own.into_iter().try_for_each(|(_, states)| held.add(plan, states))?;
    Ok(held)
}

fn marked(held: &mut Held) -> anyhow::Result<RecordBatch> {
    let rows = held.rows()?;
    let mark = Arc::new(held.marks()) as ArrayRef;
    let columns = rows.columns().iter().cloned().chain([mark]).collect();
    Ok(RecordBatch::try_new(with_mark(rows.schema_ref()), columns)?)
}

fn with_mark(schema: &SchemaRef) -> SchemaRef {
    let mark = Arc::new(Field::new(UNCOMMITTED, DataType::Boolean, true));
    Arc::new(Schema::new(schema.fields().iter().cloned().chain([mark]).collect::<Vec<_>>()))
}

/// The file with the key that its path tells; `None` for one at a place that tells none.
fn of_key(keys: &[FieldRef], file: CommittedFile) -> Option<File> {
    let told: Vec<(String, Option<String>)> = file.place.split('/').filter_map(parse_component).collect();
    let value = |field: &FieldRef| told.iter().find(|(name, _)| name == field.name()).map(|of| of.1.clone());
    let key = keys.iter().map(value).collect::<Option<Vec<_>>>()?;
    Some(File { path: file.path, bytes: file.bytes, key })
}

/// Files of an earlier plugin may lack a column.
fn nullable(schema: &SchemaRef) -> SchemaRef {
    let field = |field: &FieldRef| Field::clone(field).with_nullable(true);
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}
