//! One aggregate as the coordinator keeps it: the open windows' states, and the
//! plugin that merges partial states into them and finishes what is closed.

use std::ops::Range;
use std::sync::Arc;

use anyhow::Context as _;
use arrow_array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use speed_layer_core::group::{GroupTable, StoredGroups, WindowGroups, chunk_ranges};
use speed_layer_core::key::KeyEncoder;
use speed_layer_core::path::path_of;
use speed_layer_plugin::{Aggregator, Context, Rejects};

use crate::plan::AggregatePlan;
use crate::stages::{Renewable, STATE_BYTES_PER_CALL_MAX, empty_table, open_aggregator};

pub struct OpenWindows {
    pub name: String,
    aggregator: Renewable<Aggregator>,
    keys: KeyEncoder,
    table: GroupTable,
    output: SchemaRef,
}

/// What a commit emits of one aggregate.
pub struct Closed {
    /// One an output directory, in the order of the paths.
    pub parts: Vec<ClosedPart>,
    /// The notes of `finish`, each with its group.
    pub notes: Vec<GroupNote>,
    /// The lowest contributing offset of each partition, over all closed windows.
    pub lowest_offsets: Vec<(i32, i64)>,
}

/// The rows of one key, by rising window.
pub struct ClosedPart {
    /// Below the output's root, such as `symbol=BTCUSDT`.
    pub path: String,
    pub rows: RecordBatch,
}

/// A group whose result was cut short.
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

impl OpenWindows {
    /// # Errors
    /// When the plugin refuses or the key cannot be grouped by.
    pub fn open(plan: &AggregatePlan) -> anyhow::Result<Self> {
        Ok(Self {
            name: plan.spec.name.clone(),
            aggregator: open_aggregator(plan)?,
            keys: KeyEncoder::new(&plan.input, &plan.spec.key)?,
            table: empty_table(plan)?,
            output: output_schema(&plan.description.output),
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

    /// Open groups.
    pub fn len(&self) -> usize {
        self.table.len()
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
        for range in chunk_ranges(self.table.states(), &plan.ours, STATE_BYTES_PER_CALL_MAX) {
            let left = self.table.states().gather(&plan.ours[range.clone()])?;
            let right = partial.states().gather(&plan.theirs[range.clone()])?;
            let merged = self.aggregator.call(|aggregator| aggregator.merge(context, &left, &right))?;
            self.table.states_mut().scatter(&plan.ours[range], &merged)?;
        }
        Ok(())
    }

    /// Takes out the windows that end at or before `closed_through_ms` and finishes them.
    ///
    /// # Errors
    /// The plugin failed.
    pub fn close(&mut self, context: &Context, closed_through_ms: Option<i64>) -> anyhow::Result<Closed> {
        let Some(closed_through_ms) = closed_through_ms else { return Ok(Closed::none()) };
        let windows = self.table.drain_closed(closed_through_ms.saturating_mul(1000));
        let mut groups = Vec::new();
        let mut finished = Vec::new();
        let mut notes = Vec::new();
        for window in &windows {
            for range in chunk_ranges(self.table.states(), &window.slots, STATE_BYTES_PER_CALL_MAX) {
                let rows = self.finish(context, window, range, &mut groups, &mut notes)?;
                finished.push(rows);
            }
        }
        self.table.release(&windows)?;
        let parts = self.parts(groups, &finished)?;
        Ok(Closed { parts, notes, lowest_offsets: lowest_of(&windows) })
    }

    fn finish(
        &mut self,
        context: &Context,
        window: &WindowGroups,
        range: Range<usize>,
        groups: &mut Vec<Group>,
        notes: &mut Vec<GroupNote>,
    ) -> anyhow::Result<RecordBatch> {
        let count = range.len();
        let keys = self.keys.decode(window.keys[range.clone()].iter().map(|key| key.as_bytes()))?;
        let states = self.table.states().gather(&window.slots[range])?;
        let starts = vec![window.start_us; count];
        let ends = vec![window.end_us; count];
        let finished = self
            .aggregator
            .call(|aggregator| aggregator.finish(context, &states, &keys, &starts, &ends, true))?;
        let first = groups.len();
        for row in 0..count {
            groups.push(Group { path: path_of(&keys, row)?, start_us: window.start_us, row: first + row });
        }
        notes.extend(notes_of(finished.notes, &groups[first..]));
        let columns =
            [instants(starts), instants(ends)].into_iter().chain(finished.rows.columns().iter().cloned());
        Ok(RecordBatch::try_new(Arc::clone(&self.output), columns.collect())?)
    }

    /// Sorts the groups into the files they go to.
    fn parts(&self, mut groups: Vec<Group>, finished: &[RecordBatch]) -> anyhow::Result<Vec<ClosedPart>> {
        let all = arrow_select::concat::concat_batches(&self.output, finished)?;
        groups.sort_by(|a, b| (&a.path, a.start_us).cmp(&(&b.path, b.start_us)));
        groups
            .chunk_by(|a, b| a.path == b.path)
            .map(|of_key| {
                let rows: arrow_array::UInt32Array = of_key.iter().map(|group| group.row as u32).collect();
                let rows = arrow_select::take::take_record_batch(&all, &rows)?;
                Ok(ClosedPart { path: of_key[0].path.clone(), rows })
            })
            .collect()
    }
}

impl Closed {
    fn none() -> Self {
        Self { parts: Vec::new(), notes: Vec::new(), lowest_offsets: Vec::new() }
    }

    pub fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows.num_rows() as u64).sum()
    }
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

fn output_schema(output: &Schema) -> SchemaRef {
    let instant = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let window = ["window_start", "window_end"].map(|name| Arc::new(Field::new(name, instant(), false)));
    Arc::new(Schema::new(window.into_iter().chain(output.fields().iter().cloned()).collect::<Vec<_>>()))
}

fn instants(values: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
}
