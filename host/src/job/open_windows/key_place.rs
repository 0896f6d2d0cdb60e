//! Where the key of a file's rows is told: in its path, and where the settings want it so in
//! columns before the others. Knows how, and keeps no key itself.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, FieldRef, Schema};
use speed_layer_core::path::{KeyUnpathable, kept_path_of, path_of};
use speed_layer_store::part::digest_of_bytes;

use crate::config::AggregateSpec;

#[derive(Debug, Clone, Copy)]
pub(super) struct KeyPlace {
    is_kept: bool,
}

impl KeyPlace {
    pub fn of(spec: &AggregateSpec) -> Self {
        Self { is_kept: spec.keep_key_column }
    }

    /// The columns of a file that the key has.
    pub fn fields(self, keys: &Schema) -> Vec<FieldRef> {
        if self.is_kept { plain_fields(keys) } else { Vec::new() }
    }

    /// Their values.
    pub fn columns(self, keys: &RecordBatch) -> anyhow::Result<Vec<ArrayRef>> {
        if self.is_kept { plain_columns(keys) } else { Ok(Vec::new()) }
    }

    /// The path of the key in row `row`, below the output.
    pub fn path(self, keys: &RecordBatch, row: usize) -> Result<String, KeyUnpathable> {
        if self.is_kept {
            return kept_path_of(keys, row, |text| digest_of_bytes(text.as_bytes()).to_string());
        }
        path_of(keys, row)
    }
}

/// The key's columns as anybody outside has them.
pub(super) fn plain_fields(keys: &Schema) -> Vec<FieldRef> {
    let plain = |field: &FieldRef| Arc::new(Field::new(field.name(), plain_type(field.data_type()), true));
    keys.fields().iter().map(plain).collect()
}

/// Their values.
pub(super) fn plain_columns(keys: &RecordBatch) -> anyhow::Result<Vec<ArrayRef>> {
    keys.columns().iter().map(plain).collect()
}

fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => DataType::clone(values),
        other => other.clone(),
    }
}

/// Numbered texts written out.
fn plain(column: &ArrayRef) -> anyhow::Result<ArrayRef> {
    match column.as_dictionary_opt::<UInt32Type>() {
        Some(numbered) => Ok(arrow_select::take::take(numbered.values(), numbered.keys(), None)?),
        None => Ok(Arc::clone(column)),
    }
}
