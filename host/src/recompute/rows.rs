//! Rows of one output from several batches brought together, with their keys as columns, so
//! that they can be compared.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, bail};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt32Array, new_null_array};
use arrow_schema::{Field, FieldRef, Schema, SchemaRef};
use speed_layer_core::path::parse_component;

pub const WINDOW_START: &str = "window_start";

/// Batches whose columns come to be the same.
#[derive(Debug, Default)]
pub struct Rows {
    batches: Vec<RecordBatch>,
}

impl Rows {
    /// Adds the rows of one key, which `path` names, whose windows `is_wanted` by their
    /// starts, microseconds since 1970 UTC. How many there are.
    ///
    /// # Errors
    /// They are no rows of an aggregate.
    pub fn add(
        &mut self,
        path: &str,
        batch: &RecordBatch,
        is_wanted: impl Fn(i64) -> bool,
    ) -> anyhow::Result<usize> {
        let starts = starts_us(batch)?;
        let wanted = (0..).zip(&starts).filter(|(_, start)| is_wanted(**start)).map(|(row, _)| row);
        let wanted: UInt32Array = wanted.collect::<Vec<u32>>().into();
        self.batches.push(with_key(path, &arrow_select::take::take_record_batch(batch, &wanted)?)?);
        Ok(wanted.len())
    }

    /// All rows, in the columns of all batches; a batch without a column has nulls there.
    ///
    /// # Errors
    /// A column has several types.
    pub fn all(&self) -> anyhow::Result<RecordBatch> {
        let schema = self.schema()?;
        let widened =
            self.batches.iter().map(|batch| widened(batch, &schema)).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(arrow_select::concat::concat_batches(&schema, &widened)?)
    }

    fn schema(&self) -> anyhow::Result<SchemaRef> {
        let mut fields: Vec<FieldRef> = Vec::new();
        for field in self.batches.iter().flat_map(|batch| batch.schema_ref().fields()) {
            match fields.iter().find(|known| known.name() == field.name()) {
                None => fields.push(Arc::new(Field::clone(field).with_nullable(true))),
                Some(known) if known.data_type() != field.data_type() => bail!(
                    "the column `{}` is {} in some of the rows and {} in others",
                    field.name(),
                    known.data_type(),
                    field.data_type()
                ),
                Some(_) => {}
            }
        }
        Ok(Arc::new(Schema::new(fields)))
    }
}

/// The rows of each window by its start, microseconds since 1970 UTC.
///
/// # Errors
/// They are no rows of an aggregate.
pub fn by_window(rows: &RecordBatch) -> anyhow::Result<BTreeMap<i64, RecordBatch>> {
    let mut numbers: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
    if rows.num_columns() > 0 {
        for (row, start_us) in (0..).zip(starts_us(rows)?) {
            numbers.entry(start_us).or_default().push(row);
        }
    }
    let take = |(start_us, numbers): (i64, Vec<u32>)| {
        Ok((start_us, arrow_select::take::take_record_batch(rows, &UInt32Array::from(numbers))?))
    };
    numbers.into_iter().map(take).collect()
}

/// The start of each row's window, microseconds since 1970 UTC.
///
/// # Errors
/// They are no rows of an aggregate.
pub fn starts_us(batch: &RecordBatch) -> anyhow::Result<Vec<i64>> {
    let column = batch.column_by_name(WINDOW_START);
    let starts = column.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    let starts = starts.filter(|starts| starts.null_count() == 0);
    let starts = starts
        .with_context(|| format!("there is no column `{WINDOW_START}` with the windows of the rows"))?;
    Ok(starts.values().to_vec())
}

/// The columns by which rows are matched: those of the key, and the window's start.
pub fn key_columns(key: &[String]) -> Vec<&str> {
    key.iter().map(String::as_str).chain([WINDOW_START]).collect()
}

/// The rows with their key before them: as the path has it, where they have it not themselves.
fn with_key(path: &str, batch: &RecordBatch) -> anyhow::Result<RecordBatch> {
    let (mut fields, mut columns): (Vec<FieldRef>, Vec<ArrayRef>) = Default::default();
    for component in path.split('/').filter(|component| !component.is_empty()) {
        let (name, value) = parse_component(component)
            .with_context(|| format!("`{component}` in the path {path} is not of the form COLUMN=VALUE"))?;
        if batch.column_by_name(&name).is_some() {
            continue;
        }
        fields.push(Arc::new(Field::new(name, arrow_schema::DataType::Utf8, true)));
        columns.push(Arc::new(StringArray::from(vec![value.as_deref(); batch.num_rows()])));
    }
    fields.extend(batch.schema_ref().fields().iter().cloned());
    columns.extend(batch.columns().iter().cloned());
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

fn widened(batch: &RecordBatch, schema: &SchemaRef) -> anyhow::Result<RecordBatch> {
    let column = |field: &FieldRef| {
        let own = batch.column_by_name(field.name()).cloned();
        own.unwrap_or_else(|| new_null_array(field.data_type(), batch.num_rows()))
    };
    Ok(RecordBatch::try_new(Arc::clone(schema), schema.fields().iter().map(column).collect())?)
}
