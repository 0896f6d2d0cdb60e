//! The aggregate stage: pure functions over states that the caller owns. Knows of
//! groups only by their place in a call; keys and windows pass through `finish`.

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Fields, Schema, SchemaRef};

use crate::bindings::exports::speed_layer::plugin::aggregate::{Guest, Windows};
use crate::bindings::speed_layer::plugin::types::{BatchResult, SchemaParam};
use crate::instance::Instance;
use crate::lift::lift_exactly;
use crate::lower::{lower, lower_batch};
use crate::plugin::Entry;
use crate::{AggregateDescription, Callback, Context, Plugin, PluginError, Rejects, Stage, Timed, schema};

/// The output rows of groups.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// One row a group, in the order of the states.
    pub rows: RecordBatch,
    /// Groups whose row was cut short.
    pub notes: Rejects,
}

/// An open aggregate. May move between threads; serves one at a time.
pub struct Aggregator {
    instance: Instance<Guest>,
    needs: Fields,
    state: SchemaRef,
    output: SchemaRef,
}

impl Aggregator {
    pub(crate) fn describe(
        plugin: &Plugin,
        config: &str,
        input: &Schema,
    ) -> Result<AggregateDescription, PluginError> {
        describe(&mut start(plugin, Callback::Describe)?, config, input)
    }

    pub(crate) fn open(plugin: &Plugin, config: &str, input: &Schema) -> Result<Self, PluginError> {
        let mut instance = start(plugin, Callback::Open)?;
        let description = describe(&mut instance, config, input)?;
        let fields = instance.offer(Callback::Open, schema::lower(input))?;
        instance.call_refusable(Callback::Open, |guest, store| {
            guest.call_open(store, config, SchemaParam { fields: &fields })
        })?;
        let needs = description.needs.iter().filter_map(|need| need.field(input)).collect();
        Ok(Self { instance, needs, state: description.state.schema, output: description.output })
    }

    /// Folds rows into states: pair i says that row `rows[i]` of the columns belongs to
    /// the group of row `groups[i]` of `states`. Gives as many states, in their order.
    pub fn update(
        &mut self,
        context: &Context,
        batch_rows: usize,
        columns: &[ArrayRef],
        rows: &[u32],
        groups: &[u32],
        states: &RecordBatch,
    ) -> Result<RecordBatch, PluginError> {
        let pairs = check_pairs(rows, batch_rows, groups, states.num_rows());
        self.instance.offer(Callback::Update, pairs)?;
        let batch = self.instance.offer(Callback::Update, lower(&self.needs, batch_rows, columns))?;
        let before = self.instance.offer(Callback::Update, lower_batch(self.state.fields(), states))?;
        let (columns, state_columns) = (batch.columns(), before.columns());
        let after = self.instance.call_batch(Callback::Update, rows.len(), |guest, store| {
            let states = before.batch(&state_columns);
            guest.call_update(store, context.into(), batch.batch(&columns), rows, groups, states)
        })?;
        self.accept_states(Callback::Update, after, states.num_rows())
    }

    /// Row i of the result is what the rows behind row i of both give together.
    pub fn merge(
        &mut self,
        context: &Context,
        left: &RecordBatch,
        right: &RecordBatch,
    ) -> Result<RecordBatch, PluginError> {
        let rows = left.num_rows();
        self.instance.offer(Callback::Merge, check_count("the right states", rows, right.num_rows()))?;
        let left = self.instance.offer(Callback::Merge, lower_batch(self.state.fields(), left))?;
        let right = self.instance.offer(Callback::Merge, lower_batch(self.state.fields(), right))?;
        let (left_columns, right_columns) = (left.columns(), right.columns());
        let merged = self.instance.call_batch(Callback::Merge, rows, |guest, store| {
            guest.call_merge(store, context.into(), left.batch(&left_columns), right.batch(&right_columns))
        })?;
        self.accept_states(Callback::Merge, merged, rows)
    }

    /// The output rows of groups. `start_us` and `end_us` bound each group's window,
    /// microseconds since 1970 UTC, or are empty for an aggregate without windows.
    pub fn finish(
        &mut self,
        context: &Context,
        states: &RecordBatch,
        keys: &RecordBatch,
        start_us: &[i64],
        end_us: &[i64],
        is_final: bool,
    ) -> Result<Finished, PluginError> {
        let groups = states.num_rows();
        self.instance.offer(Callback::Finish, check_windows(groups, keys, start_us, end_us))?;
        let states = self.instance.offer(Callback::Finish, lower_batch(self.state.fields(), states))?;
        let keys = self.instance.offer(Callback::Finish, lower_batch(keys.schema_ref().fields(), keys))?;
        let (state_columns, key_columns) = (states.columns(), keys.columns());
        let finished = self.instance.call_batch(Callback::Finish, groups, |guest, store| {
            let (states, keys) = (states.batch(&state_columns), keys.batch(&key_columns));
            guest.call_finish(store, context.into(), states, keys, Windows { start_us, end_us }, is_final)
        })?;
        let checked = lift_exactly(&self.output, finished.rows, groups)
            .and_then(|rows| Ok(Finished { rows, notes: Rejects::lift(groups, finished.notes)? }));
        self.instance.accept(Callback::Finish, checked)
    }

    /// States that another version wrote, in the present version's columns. Without a row it
    /// is the question whether there is a way from that version and those columns: a refusal
    /// then is the one that rows would get.
    pub fn migrate(
        &mut self,
        from_version: u32,
        from: &SchemaRef,
        states: &RecordBatch,
    ) -> Result<RecordBatch, PluginError> {
        let fields = self.instance.offer(Callback::Migrate, schema::lower(from))?;
        let before = self.instance.offer(Callback::Migrate, lower_batch(from.fields(), states))?;
        let columns = before.columns();
        let after = self.instance.call_refusable(Callback::Migrate, |guest, store| {
            guest.call_migrate(store, from_version, SchemaParam { fields: &fields }, before.batch(&columns))
        })?;
        self.accept_states(Callback::Migrate, after, states.num_rows())
    }

    fn accept_states(
        &mut self,
        callback: Callback,
        states: BatchResult,
        groups: usize,
    ) -> Result<RecordBatch, PluginError> {
        let checked = lift_exactly(&self.state, states, groups);
        self.instance.accept(callback, checked)
    }
}

impl Timed for Aggregator {
    fn set_times(&mut self, times: f64) {
        self.instance.set_times(times);
    }
}

fn start(plugin: &Plugin, callback: Callback) -> Result<Instance<Guest>, PluginError> {
    let Entry::Aggregate(indices, pre) = &plugin.loaded().entry else {
        return Err(plugin.wrong_stage(Stage::Aggregate, callback));
    };
    Instance::start(plugin, pre, |store, instance| indices.load(store, instance))
}

fn describe(
    instance: &mut Instance<Guest>,
    config: &str,
    input: &Schema,
) -> Result<AggregateDescription, PluginError> {
    let fields = instance.offer(Callback::Describe, schema::lower(input))?;
    let description = instance.call_refusable(Callback::Describe, |guest, store| {
        guest.call_describe(store, config, SchemaParam { fields: &fields })
    })?;
    instance.accept(Callback::Describe, AggregateDescription::lift(description, input))
}

fn check_pairs(rows: &[u32], batch_rows: usize, groups: &[u32], states: usize) -> Result<(), String> {
    check_count("the groups of the pairs", rows.len(), groups.len())?;
    let outside =
        |numbers: &[u32], count: usize| numbers.iter().max().filter(|most| **most as usize >= count).copied();
    if let Some(row) = outside(rows, batch_rows) {
        return Err(format!("a pair names row {row} of {batch_rows}"));
    }
    match outside(groups, states) {
        Some(group) => Err(format!("a pair names group {group} of {states}")),
        None => Ok(()),
    }
}

fn check_windows(groups: usize, keys: &RecordBatch, start_us: &[i64], end_us: &[i64]) -> Result<(), String> {
    check_count("the keys", groups, keys.num_rows())?;
    if start_us.is_empty() && end_us.is_empty() {
        return Ok(());
    }
    check_count("the windows' starts", groups, start_us.len())?;
    check_count("the windows' ends", groups, end_us.len())
}

fn check_count(what: &str, expected: usize, found: usize) -> Result<(), String> {
    if expected == found { Ok(()) } else { Err(format!("{what} are {found} where there must be {expected}")) }
}
