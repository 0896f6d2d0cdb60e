//! Groups as a checkpoint holds them, all of them or those that an epoch changed, and
//! back. What comes back is not trusted: every key, window and offset is verified
//! before it is used.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};

use super::{GroupError, GroupTable, KeyBytes, WindowGroups};
use crate::key::{KeyEncoder, KeyError};
use crate::state::{StateError, StateLayout};

/// The first two columns of an exported batch; the state's columns follow. They are
/// told by their place, so that a state column may have the same name.
const WINDOW_COLUMN: &str = "window_start_us";
const KEY_COLUMN: &str = "key";

/// The lowest offset of a partition that contributed to a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WindowOffset {
    /// Microseconds since 1970 UTC.
    pub start_us: i64,
    pub partition: i32,
    pub offset: i64,
}

/// Why stored groups were refused. The table they were meant for is to be dropped.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("stored groups have columns {found}, but {expected} were expected")]
    Columns { expected: String, found: String },
    #[error("stored group {row} starts a window at {start_us} us, which is no multiple of {size_us} us")]
    WindowStart { row: usize, start_us: i64, size_us: i64 },
    #[error("stored group {row} is there twice: its key {key:?} in the window of {start_us} us")]
    Twice { row: usize, start_us: i64, key: KeyBytes },
    #[error("a stored offset {offset} of partition {partition} belongs to no stored window: {start_us} us")]
    NoWindow { start_us: i64, partition: i32, offset: i64 },
    #[error("a stored offset {offset} of partition {partition} is not one")]
    Offset { partition: i32, offset: i64 },
    #[error("the stored window of {start_us} us has groups, but no offset that contributed to it")]
    NoOffsets { start_us: i64 },
    #[error("stored groups have a key that cannot be read: {0}")]
    Key(#[from] KeyError),
    #[error("stored groups have states that cannot be read: {0}")]
    State(#[from] StateError),
    #[error("stored groups cannot be taken over: {0}")]
    Group(#[from] GroupError),
}

/// Groups and the offsets of their windows, outside a table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StoredGroups {
    /// One row a group, by window and then key: the window's start, the encoded key,
    /// and the state's columns. `None` where there is no group.
    pub groups: Option<RecordBatch>,
    /// Ordered.
    pub offsets: Vec<WindowOffset>,
}

/// The groups of all of them, each once, ordered.
fn keys_of<'a>(partials: &[&'a GroupTable]) -> Vec<(i64, &'a KeyBytes)> {
    let mut keys = Vec::new();
    for partial in partials {
        for (start_us, place) in &partial.places {
            let entries = partial.windows[*place as usize].entries();
            keys.extend(entries.map(|entry| (*start_us, &entry.key)));
        }
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

impl StoredGroups {
    /// Groups held.
    pub fn len(&self) -> usize {
        self.groups.as_ref().map_or(0, RecordBatch::num_rows)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the groups take in a file, roughly.
    pub fn bytes(&self) -> usize {
        let columns = self.groups.iter().flat_map(RecordBatch::columns);
        columns.filter_map(|column| column.to_data().get_slice_memory_size().ok()).sum()
    }
}

impl GroupTable {
    /// All groups.
    ///
    /// # Errors
    /// The values of one column exceed 2 GiB.
    pub fn export(&self) -> Result<StoredGroups, GroupError> {
        let windows = self.groups();
        let mut rows = Rows::default();
        for window in &windows {
            let keys = window.keys.iter().zip(&window.slots);
            keys.for_each(|(key, slot)| rows.push(window.start_us, key, *slot));
        }
        let offsets = self.window_offsets();
        Ok(StoredGroups { groups: self.batch(&rows)?, offsets })
    }

    /// The groups that `partials` have rows of, as they are here, and the offsets of
    /// their windows. Windows that are not here any more are left out.
    ///
    /// # Errors
    /// As [`Self::export`].
    pub fn export_changed(&self, partials: &[&Self]) -> Result<StoredGroups, GroupError> {
        let mut rows = Rows::default();
        for (start_us, key) in keys_of(partials) {
            if let Some(slot) = self.slot_of(start_us, key) {
                rows.push(start_us, key, slot);
            }
        }
        let mut starts = rows.starts.clone();
        starts.dedup();
        Ok(StoredGroups { groups: self.batch(&rows)?, offsets: self.offsets_of(starts.into_iter()) })
    }

    /// The groups that `partials` have rows of, where they are open, ordered by window and then key; nothing changes.
    pub fn changed_groups(&self, partials: &[&Self]) -> Vec<WindowGroups> {
        let keys = keys_of(partials);
        let window = |keys: &[(i64, &KeyBytes)]| {
            let start_us = keys[0].0;
            let open =
                keys.iter().filter_map(|(_, key)| Some((KeyBytes::clone(key), self.slot_of(start_us, key)?)));
            let (keys, slots): (Vec<KeyBytes>, Vec<u32>) = open.unzip();
            WindowGroups {
                start_us,
                end_us: self.spec.end_of(start_us),
                keys,
                slots,
                lowest_offsets: Vec::new(),
            }
        };
        let windows = keys.chunk_by(|one, other| one.0 == other.0).map(window);
        windows.filter(|window| !window.keys.is_empty()).collect()
    }

    /// Where the state of a group is, if the group is open.
    pub fn slot_of(&self, start_us: i64, key: &KeyBytes) -> Option<u32> {
        let place = self.places.get(&start_us)?;
        self.windows[*place as usize].find(key.as_bytes()).map(|entry| entry.slot)
    }

    /// The columns of an exported batch.
    pub fn export_schema(layout: &StateLayout) -> SchemaRef {
        let own = [(WINDOW_COLUMN, DataType::Int64), (KEY_COLUMN, DataType::Binary)];
        let own = own.map(|(name, data_type)| Arc::new(Field::new(name, data_type, false)));
        let fields: Vec<FieldRef> = own.into_iter().chain(layout.schema().fields().iter().cloned()).collect();
        Arc::new(Schema::new(fields))
    }

    fn batch(&self, rows: &Rows<'_>) -> Result<Option<RecordBatch>, GroupError> {
        if rows.slots.is_empty() {
            return Ok(None);
        }
        let starts: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.starts.iter().copied()));
        let keys = rows.keys.iter().map(|key| key.as_bytes());
        let keys: ArrayRef = Arc::new(BinaryArray::from_iter_values(keys));
        let states = self.states.gather(&rows.slots)?;
        let columns = [starts, keys].into_iter().chain(states.columns().iter().cloned()).collect();
        Ok(Some(RecordBatch::try_new(Self::export_schema(self.states.layout()), columns)?))
    }

    /// The lowest offsets that contributed to each window, ordered.
    pub fn window_offsets(&self) -> Vec<WindowOffset> {
        self.offsets_of(self.places.keys().copied())
    }

    /// The lowest contributing offsets of the windows that start so.
    fn offsets_of(&self, starts_us: impl Iterator<Item = i64>) -> Vec<WindowOffset> {
        let of_window = |start_us| {
            let place = self.places.get(&start_us);
            let offsets = place.into_iter().flat_map(|place| self.windows[*place as usize].lowest_offsets());
            offsets.map(move |(partition, offset)| WindowOffset { start_us, partition, offset })
        };
        starts_us.flat_map(of_window).collect()
    }

    /// Adds stored groups to an empty table of the same kind. `keys` is the encoder of
    /// the aggregate's key.
    ///
    /// # Errors
    /// Anything in them is not as [`Self::export`] makes it.
    pub fn import(&mut self, keys: &KeyEncoder, stored: &StoredGroups) -> Result<(), ImportError> {
        stored.groups.iter().try_for_each(|batch| self.import_batch(keys, batch))?;
        stored.offsets.iter().try_for_each(|offset| self.import_offset(offset))?;
        let without = self.places.iter().find(|(_, at)| self.has_no_offset(**at));
        without.map_or(Ok(()), |(start_us, _)| Err(ImportError::NoOffsets { start_us: *start_us }))
    }

    fn has_no_offset(&self, place: u32) -> bool {
        self.windows[place as usize].lowest_offsets().next().is_none()
    }

    fn import_batch(&mut self, keys: &KeyEncoder, batch: &RecordBatch) -> Result<(), ImportError> {
        let (starts, encoded) = identities(batch).ok_or_else(|| ImportError::Columns {
            expected: Self::export_schema(self.states.layout()).to_string(),
            found: batch.schema_ref().to_string(),
        })?;
        keys.decode(encoded.iter().flatten())?;
        let columns: Vec<usize> = (2..batch.num_columns()).collect();
        let states = batch.project(&columns).map_err(StateError::from)?;
        let slots = self.states.append(&states)?;
        for (row, slot) in slots.into_iter().enumerate() {
            self.import_group(row, starts.value(row), encoded.value(row), slot)?;
        }
        Ok(())
    }

    fn import_group(&mut self, row: usize, start_us: i64, key: &[u8], slot: u32) -> Result<(), ImportError> {
        if !self.spec.is_start(start_us) {
            return Err(ImportError::WindowStart { row, start_us, size_us: self.spec.size_us() });
        }
        let place = self.place(start_us);
        let entry = self.windows[place as usize].entry(key, || Ok(slot))?;
        if entry.slot != slot {
            return Err(ImportError::Twice { row, start_us, key: key.into() });
        }
        Ok(())
    }

    fn import_offset(&mut self, stored: &WindowOffset) -> Result<(), ImportError> {
        let WindowOffset { start_us, partition, offset } = *stored;
        if offset < 0 || offset == i64::MAX {
            return Err(ImportError::Offset { partition, offset });
        }
        let Some(place) = self.places.get(&start_us) else {
            return Err(ImportError::NoWindow { start_us, partition, offset });
        };
        Ok(self.windows[*place as usize].contributed(partition, offset)?)
    }
}

/// Groups on their way out.
#[derive(Default)]
struct Rows<'a> {
    starts: Vec<i64>,
    keys: Vec<&'a KeyBytes>,
    slots: Vec<u32>,
}

impl<'a> Rows<'a> {
    fn push(&mut self, start_us: i64, key: &'a KeyBytes, slot: u32) {
        self.starts.push(start_us);
        self.keys.push(key);
        self.slots.push(slot);
    }
}

/// The starts and the keys of stored groups; `None` unless both are there, without nulls.
pub(super) fn identities(groups: &RecordBatch) -> Option<(&Int64Array, &BinaryArray)> {
    let starts = groups.columns().first()?.as_primitive_opt::<Int64Type>()?;
    let keys = groups.columns().get(1)?.as_binary_opt::<i32>()?;
    (starts.null_count() + keys.null_count() == 0).then_some((starts, keys))
}
