//! Dead letters and late rows as tables, where they go to files; those that go to a topic are read there.

use arrow_schema::SchemaRef;
use speed_layer_core::commit::OutputId;
use speed_layer_sql::{Database, File, Files};
use speed_layer_store::letters::{dead_letter_schema, late_schema};
use speed_layer_store::{Checkpoint, DiskStore, committed_files};

pub fn add_dead_letters(
    database: &Database,
    name: &str,
    store: &DiskStore,
    checkpoint: &Checkpoint,
) -> anyhow::Result<()> {
    add(database, name, store, checkpoint, (&OutputId::DeadLetters, dead_letter_schema()))
}

pub fn add_late_rows(
    database: &Database,
    name: &str,
    store: &DiskStore,
    checkpoint: &Checkpoint,
) -> anyhow::Result<()> {
    add(database, name, store, checkpoint, (&OutputId::Late, late_schema()))
}

fn add(
    database: &Database,
    name: &str,
    store: &DiskStore,
    checkpoint: &Checkpoint,
    (output, columns): (&OutputId, SchemaRef),
) -> anyhow::Result<()> {
    let files = committed_files(store, &checkpoint.manifest, output)?.into_iter();
    let files = files.map(|file| File { path: file.path, bytes: file.bytes, key: Vec::new() }).collect();
    Ok(database.add_files(name, Files { keys: Vec::new(), columns, files })?)
}
