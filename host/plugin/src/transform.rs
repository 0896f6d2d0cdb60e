//! The transform stage: columns in; computed columns, the kept rows and the refused
//! rows out. Columns that are passed on are the caller's to keep.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, FieldRef, Fields, Schema, SchemaRef};

use crate::bindings::exports::speed_layer::plugin::transform::{self, Guest};
use crate::bindings::speed_layer::plugin::types::SchemaParam;
use crate::instance::Instance;
use crate::lift::{check_kept, lift_batch};
use crate::lower::lower;
use crate::plugin::{Entry, check_rising};
use crate::{
    Callback, Clause, Context, Need, Origin, Plugin, PluginError, Rejects, Stage, Timed,
    TransformDescription, schema,
};

/// What one call made of its rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Transformed {
    /// The wanted computed columns.
    pub rows: RecordBatch,
    /// The input row of each output row, rising strictly; `None` when all are kept.
    pub kept: Option<Vec<u32>>,
    /// Rows that were refused; none of them is kept.
    pub rejects: Rejects,
}

/// An open transform. May move between threads; serves one at a time.
pub struct Transformer {
    instance: Instance<Guest>,
    given: Fields,
    output: SchemaRef,
}

impl Transformer {
    pub(crate) fn describe(
        plugin: &Plugin,
        config: &str,
        input: &Schema,
    ) -> Result<TransformDescription, PluginError> {
        describe(&mut start(plugin, Callback::Describe)?, config, input)
    }

    pub(crate) fn open(
        plugin: &Plugin,
        config: &str,
        input: &Schema,
        given: &[u32],
        wanted: &[u32],
    ) -> Result<Self, PluginError> {
        let mut instance = start(plugin, Callback::Open)?;
        let description = describe(&mut instance, config, input)?;
        let given_fields = instance.offer(Callback::Open, given_fields(&description, given, input))?;
        let output = instance.offer(Callback::Open, wanted_fields(&description, wanted))?;
        let fields = instance.offer(Callback::Open, schema::lower(input))?;
        instance.call_refusable(Callback::Open, |guest, store| {
            guest.call_open(store, config, SchemaParam { fields: &fields }, given, wanted)
        })?;
        Ok(Self { instance, given: given_fields, output: Arc::new(Schema::new(output)) })
    }

    /// The columns that it gives, as they were wanted.
    pub fn output(&self) -> &SchemaRef {
        &self.output
    }

    /// Transforms `rows` rows of the given columns. On an error none of it counts.
    pub fn transform(
        &mut self,
        context: &Context,
        rows: usize,
        columns: &[ArrayRef],
    ) -> Result<Transformed, PluginError> {
        let lowered = self.instance.offer(Callback::Transform, lower(&self.given, rows, columns))?;
        let params = lowered.columns();
        let transformed = self.instance.call_batch(Callback::Transform, rows, |guest, store| {
            guest.call_transform(store, context.into(), lowered.batch(&params))
        })?;
        let checked = lift_transformed(&self.output, rows, transformed);
        self.instance.accept(Callback::Transform, checked)
    }
}

impl Timed for Transformer {
    fn set_times(&mut self, times: f64) {
        self.instance.set_times(times);
    }
}

fn start(plugin: &Plugin, callback: Callback) -> Result<Instance<Guest>, PluginError> {
    let Entry::Transform(indices, pre) = &plugin.loaded().entry else {
        return Err(plugin.wrong_stage(Stage::Transform, callback));
    };
    Instance::start(plugin, pre, |store, instance| indices.load(store, instance))
}

fn describe(
    instance: &mut Instance<Guest>,
    config: &str,
    input: &Schema,
) -> Result<TransformDescription, PluginError> {
    let fields = instance.offer(Callback::Describe, schema::lower(input))?;
    let description = instance.call_refusable(Callback::Describe, |guest, store| {
        guest.call_describe(store, config, SchemaParam { fields: &fields })
    })?;
    instance.accept(Callback::Describe, TransformDescription::lift(description, input))
}

fn given_fields(description: &TransformDescription, given: &[u32], input: &Schema) -> Result<Fields, String> {
    check_rising("given", given, description.needs.len())?;
    let field = |number: &u32| {
        let need: &Need = &description.needs[*number as usize];
        need.field(input).ok_or_else(|| format!("{need} is not among the input"))
    };
    given.iter().map(field).collect()
}

fn wanted_fields(description: &TransformDescription, wanted: &[u32]) -> Result<Vec<FieldRef>, String> {
    check_rising("wanted", wanted, description.output.len())?;
    let columns = wanted.iter().map(|number| &description.output[*number as usize]);
    let field = |column: &crate::OutputColumn| match column.origin {
        Origin::Computed(_) => Ok(Arc::<Field>::clone(&column.field)),
        Origin::PassedOn(_) => Err(format!("column {:?} is passed on and not computed", column.field.name())),
    };
    columns.map(field).collect()
}

fn lift_transformed(
    output: &SchemaRef,
    given: usize,
    transformed: transform::Transformed,
) -> Result<Transformed, Clause> {
    let rejects = Rejects::lift(given, transformed.rejects)?;
    let rows = lift_batch(output, transformed.rows, given)?;
    check_kept(rows.num_rows(), given, transformed.kept.as_deref(), &rejects.rows)?;
    Ok(Transformed { rows, kept: transformed.kept, rejects })
}
