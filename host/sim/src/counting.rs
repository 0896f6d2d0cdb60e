//! The simulated job's aggregate: it counts records and adds up their ids. Grouping,
//! lateness, closing and storing of states are the core's; only the arithmetic, which
//! a plugin does in production, is done here.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use speed_layer_core::commit::{AggregateProgress, Kind};
use speed_layer_core::gate::{Admission, Gate};
use speed_layer_core::group::{
    Assignment, GroupError, GroupTable, ImportError, Rows, StoredGroups, WindowGroups,
};
use speed_layer_core::key::{KeyEncoder, KeyError};
use speed_layer_core::state::{StateError, StateLayout};
use speed_layer_core::time::{Duration, TimeError, WindowSpec};
use speed_layer_core::watermark::close_through;

use crate::truth::{Aggregate, DELAY_MS, Group, Record, Sum};

pub const TOPIC: &str = "ticks";
/// Small, so that chunking is part of what is tried.
const STATE_BYTES_MAX: usize = 48;

/// What the core says to values that it made itself: never expected.
#[derive(Debug, thiserror::Error)]
pub enum CountingError {
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Time(#[from] TimeError),
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

/// An aggregate as a process holds it.
pub struct Counting {
    pub what: Aggregate,
    /// Of all epochs before this one.
    open: GroupTable,
    /// Of this epoch.
    partial: GroupTable,
    /// What this epoch changed, as it is now.
    changed: StoredGroups,
    keys: KeyEncoder,
    pub closed_through_ms: Option<i64>,
}

/// The rows of one key that are to be published.
pub struct ClosedKey {
    pub key: String,
    pub rows: RecordBatch,
}

impl Counting {
    pub fn new(what: Aggregate) -> Result<Self, CountingError> {
        let identity = states(&[Sum::default()])?;
        let layout = Arc::new(StateLayout::new(identity.schema())?);
        let spec = WindowSpec::new(Duration::from_ms(what.window_ms.unsigned_abs())?)?;
        let open = GroupTable::new(spec, layout, &identity)?;
        let partial = open.new_empty();
        let keys = KeyEncoder::new(&Schema::new(vec![key_field()]), &["key".to_owned()])?;
        Ok(Self { what, open, partial, changed: StoredGroups::default(), keys, closed_through_ms: None })
    }

    /// Goes on from a checkpoint.
    pub fn load(
        &mut self,
        stored: &AggregateProgress,
        states: &[(String, StoredGroups)],
    ) -> Result<(), CountingError> {
        self.closed_through_ms = stored.closed_through_ms;
        match states.iter().find(|(name, _)| name == self.what.name) {
            Some((_, states)) => Ok(self.open.import(&self.keys, states)?),
            None => Ok(()),
        }
    }

    /// Takes in records of one partition; gives the places of those that are late.
    pub fn take(
        &mut self,
        partition: i32,
        first_offset: i64,
        records: &[&Record],
    ) -> Result<Vec<u32>, CountingError> {
        let starts_us: Vec<i64> =
            records.iter().map(|record| self.open.spec().start_of(record.event_ms * 1_000)).collect();
        let mut admission = Admission::default();
        Gate::new(self.open.spec(), self.closed_through_ms, None).admit(&starts_us, &mut admission);
        let keys: ArrayRef =
            Arc::new(StringArray::from_iter_values(records.iter().map(|record| &record.key)));
        let rows = Rows {
            keys: &self.keys.encode(&[keys])?,
            windows_us: &starts_us,
            partitions: &vec![partition; records.len()],
            offsets: &(first_offset..).take(records.len()).collect::<Vec<i64>>(),
            selected: &admission.selected,
        };
        let mut assignment = Assignment::default();
        self.partial.assign(rows, &mut assignment)?;
        self.update(&assignment, records)?;
        Ok(admission.late)
    }

    fn update(&mut self, assignment: &Assignment, records: &[&Record]) -> Result<(), CountingError> {
        for chunk in assignment.chunks(self.partial.states(), STATE_BYTES_MAX) {
            let mut sums = sums(&self.partial.states().gather(&chunk.slots)?);
            for (row, group) in chunk.rows.iter().zip(chunk.groups.iter()) {
                sums[*group as usize].add(records[*row as usize].sum());
            }
            self.partial.states_mut().scatter(&chunk.slots, &states(&sums)?)?;
        }
        Ok(())
    }

    /// Ends the epoch: its groups join the others, and those of windows that are
    /// closed now come out.
    pub fn close(&mut self, clock_ms: Option<i64>) -> Result<Vec<ClosedKey>, CountingError> {
        let plan = self.open.absorb(&self.partial)?;
        let mut ours = sums(&self.open.states().gather(&plan.ours)?);
        let theirs = sums(&self.partial.states().gather(&plan.theirs)?);
        ours.iter_mut().zip(theirs).for_each(|(ours, theirs)| ours.add(theirs));
        self.open.states_mut().scatter(&plan.ours, &states(&ours)?)?;
        self.closed_through_ms = close_through(self.closed_through_ms, clock_ms, DELAY_MS.unsigned_abs());
        let closed_us = self.closed_through_ms.map_or(i64::MIN, |ms| ms.saturating_mul(1_000));
        let closed = self.open.drain_closed(closed_us);
        let groups = self.groups(&closed)?;
        self.open.release(&closed)?;
        self.changed = self.open.export_changed(&[&self.partial])?;
        self.partial.clear();
        by_key(groups)
    }

    fn groups(&self, windows: &[WindowGroups]) -> Result<Vec<(Group, Sum)>, CountingError> {
        let mut groups = Vec::new();
        for window in windows {
            let sums = sums(&self.open.states().gather(&window.slots)?);
            let decoded = self.keys.decode(window.keys.iter().map(|key| key.as_bytes()))?;
            let keys = decoded.column(0).as_string::<i32>();
            for (key, sum) in keys.iter().flatten().zip(sums) {
                let aggregate = self.what.name.to_owned();
                let start_ms = window.start_us / 1_000;
                groups.push((Group { aggregate, start_ms, key: key.to_owned() }, sum));
            }
        }
        Ok(groups)
    }

    /// What is not closed yet.
    pub fn open(&self) -> Result<BTreeMap<Group, Sum>, CountingError> {
        Ok(self.groups(&self.open.groups())?.into_iter().collect())
    }

    /// For the checkpoint.
    pub fn states(&self, kind: Kind) -> Result<StoredGroups, CountingError> {
        match kind {
            Kind::Full => Ok(self.open.export()?),
            Kind::Delta => Ok(self.changed.clone()),
        }
    }

    /// For the checkpoint.
    pub fn progress(&self) -> AggregateProgress {
        AggregateProgress {
            name: self.what.name.to_owned(),
            key: vec!["key".to_owned()],
            window_ms: self.what.window_ms,
            delay_ms: DELAY_MS,
            keep_key_column: false,
            idle_trigger_ms: None,
            closed_through_ms: self.closed_through_ms,
            withheld_until_ms: None,
            state_version: 1,
            plugins: Vec::new(),
            moved: None,
            opened_with: None,
            held: None,
            given_up: Vec::new(),
            windows: Vec::new(),
        }
    }
}

fn key_field() -> Field {
    Field::new("key", DataType::Utf8, false)
}

fn number_field(name: &str) -> Field {
    Field::new(name, DataType::Int64, false)
}

fn numbers(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn states(sums: &[Sum]) -> Result<RecordBatch, ArrowError> {
    let schema = Schema::new(vec![number_field("count"), number_field("ids")]);
    let columns = vec![numbers(sums.iter().map(|sum| sum.count)), numbers(sums.iter().map(|sum| sum.ids))];
    RecordBatch::try_new(Arc::new(schema), columns)
}

fn sums(states: &RecordBatch) -> Vec<Sum> {
    let column = |index: usize| states.column(index).as_primitive::<Int64Type>().values();
    column(0).iter().zip(column(1)).map(|(count, ids)| Sum { count: *count, ids: *ids }).collect()
}

/// The columns of a published file.
fn published_schema() -> SchemaRef {
    let fields = vec![number_field("start_ms"), key_field(), number_field("count"), number_field("ids")];
    Arc::new(Schema::new(fields))
}

fn by_key(groups: Vec<(Group, Sum)>) -> Result<Vec<ClosedKey>, CountingError> {
    let mut keys = BTreeMap::<String, Vec<(i64, Sum)>>::new();
    for (group, sum) in groups {
        keys.entry(group.key).or_default().push((group.start_ms, sum));
    }
    let closed = |(key, rows): (String, Vec<(i64, Sum)>)| -> Result<ClosedKey, CountingError> {
        let columns = vec![
            numbers(rows.iter().map(|(start_ms, _)| *start_ms)),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|_| &key))) as ArrayRef,
            numbers(rows.iter().map(|(_, sum)| sum.count)),
            numbers(rows.iter().map(|(_, sum)| sum.ids)),
        ];
        Ok(ClosedKey { rows: RecordBatch::try_new(published_schema(), columns)?, key })
    };
    keys.into_iter().map(closed).collect()
}
