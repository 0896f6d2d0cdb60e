//! One aggregate as the coordinator keeps it: the open windows' states, and the
//! plugin that merges partial states into them and finishes what is closed.

mod failing;
mod key_place;
mod rehearsal;
mod scratch;
mod so_far;
mod with_keys;

use std::ops::Range;
use std::sync::Arc;

use anyhow::Context as _;
use arrow_array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use speed_layer_core::commit::OpenedWith;
use speed_layer_core::group::{GroupTable, StoredGroups, WindowGroups, WindowOffset, chunk_ranges};
use speed_layer_core::key::KeyEncoder;
use speed_layer_plugin::{Aggregator, Context, PluginError, Rejects};

use failing::{Failed, Failing, in_parts};

pub use failing::GroupLetter;
pub use so_far::SoFar;
pub use with_keys::GroupsSoFar;

use key_place::KeyPlace;

use crate::plan::AggregatePlan;
use crate::stages::{Renewable, STATE_BYTES_PER_CALL_MAX, empty_table, open_aggregator};

pub use scratch::{FINISHED_KEY, GroupId};

pub struct OpenWindows {
    pub name: String,
    pub state_version: u32,
    pub opened_with: OpenedWith,
    aggregator: Renewable<Aggregator>,
    keys: KeyEncoder,
    key_place: KeyPlace,
    table: GroupTable,
    /// Of a plugin on probation that begins with the next window.
    rehearsal: Option<GroupTable>,
    output: SchemaRef,
    failing: Failing,
    /// Closed windows with their keys, where these are sent somewhere.
    records: Option<Vec<RecordBatch>>,
}

/// What a commit emits of one aggregate.
#[derive(Debug, Clone)]
pub struct Closed {
    /// One an output directory, in the order of the paths.
    pub parts: Vec<ClosedPart>,
    /// The notes of `finish`, each with its group.
    pub notes: Vec<GroupNote>,
    /// The lowest contributing offset of each partition, over all closed windows.
    pub lowest_offsets: Vec<(i32, i64)>,
    /// The same windows with their keys as columns; none where these are sent nowhere.
    pub records: Vec<RecordBatch>,
}

/// The rows of one key, by rising window.
#[derive(Debug, Clone)]
pub struct ClosedPart {
    /// Below the output's root, such as `symbol=BTCUSDT`.
    pub path: String,
    pub rows: RecordBatch,
}

/// A group whose result was cut short.
#[derive(Debug, Clone)]
pub struct GroupNote {
    pub group: String,
    pub window_start_us: i64,
    pub kind: String,
    pub message: String,
}

/// A closed group on its way out.
struct Group {
    path: String,
    start_us: i64,
    /// Its row in the finished batch.
    row: usize,
}

impl std::fmt::Debug for OpenWindows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenWindows").field("name", &self.name).finish_non_exhaustive()
    }
}

impl OpenWindows {
    /// # Errors
    /// When the plugin refuses or the key cannot be grouped by.
    pub fn open(plan: &AggregatePlan) -> anyhow::Result<Self> {
        let keys = KeyEncoder::new(&plan.input, &plan.spec.key)?;
        let key_place = KeyPlace::of(&plan.spec);
        Ok(Self {
            name: plan.spec.name.clone(),
            state_version: plan.description.state.version,
            opened_with: OpenedWith::new(&plan.config, &plan.input),
            aggregator: open_aggregator(plan)?,
            table: empty_table(plan)?,
            rehearsal: None,
            output: output_schema(key_place.fields(keys.schema()), &plan.description.output),
            keys,
            key_place,
            failing: Failing::default(),
            records: (!plan.spec.topics.is_empty() || plan.spec.console.is_some()).then(Vec::new),
        })
    }

    /// Takes up the open windows of a checkpoint.
    ///
    /// # Errors
    /// When they are not what this aggregate makes.
    pub fn restore(&mut self, stored: &StoredGroups) -> anyhow::Result<()> {
        self.table.import(&self.keys, stored).with_context(|| {
            format!("the open windows of aggregate {} in the checkpoint cannot be used", self.name)
        })
    }

    /// Takes up the open windows of the plugin that served before, whose states may be of
    /// another form.
    ///
    /// # Errors
    /// The plugin does not migrate them; nothing has changed but `self`.
    pub fn take_over(&mut self, before: &Self) -> anyhow::Result<()> {
        self.failing.dead = before.failing.dead.clone();
        if self.state_version == before.state_version && self.state_schema() == before.state_schema() {
            self.table = before.table.clone();
            return Ok(());
        }
        let mut stored = before.table.export()?;
        if let Some(groups) = stored.groups.take() {
            stored.groups = Some(self.migrate(before, &groups)?);
        }
        self.restore(&stored)
    }

    /// The same groups with their states in this plugin's form.
    fn migrate(&mut self, before: &Self, groups: &RecordBatch) -> anyhow::Result<RecordBatch> {
        let own = groups.project(&[0, 1])?;
        let columns: Vec<usize> = (2..groups.num_columns()).collect();
        let states = groups.project(&columns)?;
        let rows_max = (STATE_BYTES_PER_CALL_MAX
            / (states.get_array_memory_size() / states.num_rows().max(1)).max(1))
        .max(1);
        let mut migrated = Vec::new();
        for start in (0..states.num_rows()).step_by(rows_max) {
            let part = states.slice(start, rows_max.min(states.num_rows() - start));
            migrated.push(self.migrate_states(before, &part)?);
        }
        let migrated = arrow_select::concat::concat_batches(self.state_schema(), &migrated)?;
        let columns = own.columns().iter().chain(migrated.columns()).cloned().collect();
        let schema = GroupTable::export_schema(self.table.states().layout());
        Ok(RecordBatch::try_new(schema, columns)?)
    }

    fn migrate_states(&mut self, before: &Self, states: &RecordBatch) -> anyhow::Result<RecordBatch> {
        let from = before.state_schema();
        Ok(self.aggregator.call(|aggregator| aggregator.migrate(before.state_version, from, states))?)
    }

    /// Asks the plugin, without any state, whether it migrates the states of another.
    ///
    /// # Errors
    /// It does not.
    pub fn ask_to_migrate(&mut self, version: u32, schema: &SchemaRef) -> Result<(), PluginError> {
        let none = RecordBatch::new_empty(Arc::clone(schema));
        self.aggregator.call(|aggregator| aggregator.migrate(version, schema, &none)).map(drop)
    }

    /// Forgets the windows that end at or before `released_through_ms`.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn forget_closed(&mut self, released_through_ms: Option<i64>) -> anyhow::Result<()> {
        let Some(released_through_ms) = released_through_ms else { return Ok(()) };
        let closed = self.table.drain_closed(released_through_ms.saturating_mul(1000));
        Ok(self.table.release(&closed)?)
    }

    /// The end of the last open window, milliseconds since 1970 UTC.
    pub fn last_end_ms(&self) -> Option<i64> {
        let last_us = self.table.window_starts().next_back()?;
        Some(self.table.spec().end_of(last_us).div_euclid(1000))
    }

    pub fn state_schema(&self) -> &SchemaRef {
        self.table.states().layout().schema()
    }

    /// Has the plugin finish some of the open groups and throws the result away: whether
    /// it can at all is known before anything depends on it.
    ///
    /// # Errors
    /// The plugin failed.
    pub fn try_finish(&mut self, context: &Context) -> anyhow::Result<()> {
        let table = self.on_trial();
        let windows = table.groups();
        let Some(window) = windows.first() else { return Ok(()) };
        let ranges = chunk_ranges(table.states(), &window.slots, STATE_BYTES_PER_CALL_MAX);
        let Some(range) = ranges.into_iter().next() else { return Ok(()) };
        let keys = self.keys.decode(window.keys[range.clone()].iter().map(|key| key.as_bytes()))?;
        let states = table.states().gather(&window.slots[range.clone()])?;
        let (starts, ends) = (vec![window.start_us; range.len()], vec![window.end_us; range.len()]);
        self.aggregator
            .call(|aggregator| aggregator.finish(context, &states, &keys, &starts, &ends, false))?;
        Ok(())
    }

    /// The columns of the rows that it gives.
    pub fn output_schema(&self) -> SchemaRef {
        Arc::clone(&self.output)
    }

    /// Whether no window is open.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Open groups.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// The lowest offsets that contributed to each open window, ordered.
    pub fn window_offsets(&self) -> Vec<WindowOffset> {
        self.table.window_offsets()
    }

    /// All open groups, for a checkpoint.
    pub fn export(&self) -> anyhow::Result<StoredGroups> {
        Ok(self.table.export()?)
    }

    /// The open groups that these partial states have rows of, for a checkpoint.
    pub fn export_changed(&self, partials: &[&GroupTable]) -> anyhow::Result<StoredGroups> {
        Ok(self.table.export_changed(partials)?)
    }

    /// Merges a worker's partial states in.
    ///
    /// # Errors
    /// The plugin failed, or the states do not fit.
    pub fn absorb(&mut self, context: &Context, partial: &GroupTable) -> anyhow::Result<()> {
        let plan = self.table.absorb(partial)?;
        let mut failed = Vec::new();
        for range in chunk_ranges(self.table.states(), &plan.ours, STATE_BYTES_PER_CALL_MAX) {
            let ours = &plan.ours[range.clone()];
            let left = self.table.states().gather(ours)?;
            let right = partial.states().gather(&plan.theirs[range])?;
            let limits = self.failing.limits;
            let merged = in_parts(&mut self.aggregator, limits, ours.len(), &mut |aggregator, part| {
                aggregator.merge(context, &slice(&left, &part), &slice(&right, &part))
            })?;
            for (part, states) in merged.done {
                self.table.states_mut().scatter(&ours[part], &states)?;
            }
            for (at, error) in merged.failed {
                let both = [left.slice(at, 1), right.slice(at, 1)];
                let both = arrow_select::concat::concat_batches(left.schema_ref(), &both)?;
                failed.push((ours[at], both, error));
            }
        }
        self.bury(failed)?;
        self.bury_late_parts()
    }

    /// Takes out the windows that end at or before `released_through_ms` and finishes them.
    ///
    /// # Errors
    /// The plugin failed.
    pub fn close(&mut self, context: &Context, released_through_ms: Option<i64>) -> anyhow::Result<Closed> {
        let Some(released_through_ms) = released_through_ms else { return Ok(Closed::none()) };
        let windows = self.table.drain_closed(released_through_ms.saturating_mul(1000));
        self.forget_dead(released_through_ms.saturating_mul(1000));
        let mut groups = Vec::new();
        let mut finished = Vec::new();
        let mut notes = Vec::new();
        for window in &windows {
            for range in chunk_ranges(self.table.states(), &window.slots, STATE_BYTES_PER_CALL_MAX) {
                let rows = self.finish(context, window, range, true, &mut groups, &mut notes)?;
                finished.push(rows);
            }
        }
        self.table.release(&windows)?;
        let parts = self.parts(groups, &finished)?;
        let records = self.records.as_mut().map(std::mem::take).unwrap_or_default();
        Ok(Closed { parts, notes, lowest_offsets: lowest_of(&windows), records })
    }

    fn finish(
        &mut self,
        context: &Context,
        window: &WindowGroups,
        range: Range<usize>,
        is_final: bool,
        groups: &mut Vec<Group>,
        notes: &mut Vec<GroupNote>,
    ) -> anyhow::Result<RecordBatch> {
        let count = range.len();
        let keys = self.keys.decode(window.keys[range.clone()].iter().map(|key| key.as_bytes()))?;
        let states = self.table.states().gather(&window.slots[range.clone()])?;
        let (starts, ends) = (vec![window.start_us; count], vec![window.end_us; count]);
        let limits = self.failing.limits.filter(|_| is_final);
        let parts = in_parts(&mut self.aggregator, limits, count, &mut |aggregator, part| {
            let (states, keys) = (slice(&states, &part), slice(&keys, &part));
            aggregator.finish(context, &states, &keys, &starts[part.clone()], &ends[part], is_final)
        })?;
        for (at, error) in parts.failed {
            let id = (window.start_us, window.keys[range.start + at].clone());
            let from = window.lowest_offsets.first().copied().unwrap_or_default();
            self.give_up(Failed { id, from, states: states.slice(at, 1), error })?;
        }
        let mut rows = Vec::new();
        for (part, finished) in parts.done {
            let first = groups.len();
            for (at, row) in part.clone().enumerate() {
                let path = self.key_place.path(&keys, row)?;
                groups.push(Group { path, start_us: window.start_us, row: first + at });
            }
            notes.extend(notes_of(finished.notes, &groups[first..]));
            if is_final && self.records.is_some() {
                let window_us = [starts[part.clone()].to_vec(), ends[part.clone()].to_vec()];
                let record = self.with_keys(&slice(&keys, &part), window_us, &finished.rows)?;
                self.records.iter_mut().for_each(|records| records.push(record.clone()));
            }
            let window = [instants(starts[part.clone()].to_vec()), instants(ends[part.clone()].to_vec())];
            let key = self.key_place.columns(&slice(&keys, &part))?;
            let columns = key.into_iter().chain(window).chain(finished.rows.columns().iter().cloned());
            rows.push(RecordBatch::try_new(Arc::clone(&self.output), columns.collect())?);
        }
        Ok(arrow_select::concat::concat_batches(&self.output, &rows)?)
    }

    /// Sorts the groups into the files they go to.
    fn parts(&self, mut groups: Vec<Group>, finished: &[RecordBatch]) -> anyhow::Result<Vec<ClosedPart>> {
        let all = arrow_select::concat::concat_batches(&self.output, finished)?;
        groups.sort_by(|a, b| (&a.path, a.start_us).cmp(&(&b.path, b.start_us)));
        let order: arrow_array::UInt32Array = groups.iter().map(|group| group.row as u32).collect();
        let sorted = arrow_select::take::take_record_batch(&all, &order)?;
        let mut first = 0;
        groups
            .chunk_by(|a, b| a.path == b.path)
            .map(|of_key| {
                // A view: rows of their own for each of very many keys would take many times as much memory.
                let rows = sorted.slice(first, of_key.len());
                first += of_key.len();
                Ok(ClosedPart { path: of_key[0].path.clone(), rows })
            })
            .collect()
    }
}

impl Closed {
    fn none() -> Self {
        Self { parts: Vec::new(), notes: Vec::new(), lowest_offsets: Vec::new(), records: Vec::new() }
    }

    pub fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows.num_rows() as u64).sum()
    }
}

fn slice(rows: &RecordBatch, part: &Range<usize>) -> RecordBatch {
    rows.slice(part.start, part.len())
}

fn notes_of(notes: Rejects, groups: &[Group]) -> Vec<GroupNote> {
    let reasons = notes.rows.into_iter().zip(notes.kinds).zip(notes.messages);
    let note = |((row, kind), message): ((u32, String), String)| {
        let group = &groups[row as usize];
        GroupNote { group: group.path.clone(), window_start_us: group.start_us, kind, message }
    };
    reasons.map(note).collect()
}

fn lowest_of(windows: &[WindowGroups]) -> Vec<(i32, i64)> {
    let mut lowest = std::collections::BTreeMap::new();
    for &(partition, offset) in windows.iter().flat_map(|window| &window.lowest_offsets) {
        let held = lowest.entry(partition).or_insert(offset);
        *held = offset.min(*held);
    }
    lowest.into_iter().collect()
}

fn output_schema(keys: Vec<FieldRef>, output: &Schema) -> SchemaRef {
    let instant = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let window = ["window_start", "window_end"].map(|name| Arc::new(Field::new(name, instant(), false)));
    let fields = keys.into_iter().chain(window).chain(output.fields().iter().cloned());
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn instants(values: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
}
