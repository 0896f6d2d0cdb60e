//! Groups as Arrow batches for a checkpoint, and back. What comes back is not
//! trusted: every key, window and offset is verified before it is used.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};

use super::{GroupError, GroupTable, KeyBytes, chunk_ranges};
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

impl GroupTable {
    /// The groups as batches of at most about `state_bytes_max` bytes of states each,
    /// ordered by window and then key; none when there is no group, and a single one
    /// for `usize::MAX`. The columns: the window's start, the encoded key, and the
    /// state's.
    ///
    /// # Errors
    /// The values of one column exceed 2 GiB in a batch.
    pub fn export(&self, state_bytes_max: usize) -> Result<Vec<RecordBatch>, GroupError> {
        let windows = self.groups();
        let starts: Vec<i64> =
            windows.iter().flat_map(|window| window.slots.iter().map(|_| window.start_us)).collect();
        let slots: Vec<u32> = windows.iter().flat_map(|window| window.slots.iter().copied()).collect();
        let keys: Vec<KeyBytes> = windows.into_iter().flat_map(|window| window.keys).collect();
        chunk_ranges(&self.states, &slots, state_bytes_max)
            .into_iter()
            .map(|range| self.batch(&starts[range.clone()], &keys[range.clone()], &slots[range]))
            .collect()
    }

    /// The columns of an exported batch.
    pub fn export_schema(layout: &StateLayout) -> SchemaRef {
        let own = [(WINDOW_COLUMN, DataType::Int64), (KEY_COLUMN, DataType::Binary)];
        let own = own.map(|(name, data_type)| Arc::new(Field::new(name, data_type, false)));
        let fields: Vec<FieldRef> = own.into_iter().chain(layout.schema().fields().iter().cloned()).collect();
        Arc::new(Schema::new(fields))
    }

    fn batch(&self, starts: &[i64], keys: &[KeyBytes], slots: &[u32]) -> Result<RecordBatch, GroupError> {
        let starts: ArrayRef = Arc::new(Int64Array::from_iter_values(starts.iter().copied()));
        let keys: ArrayRef = Arc::new(BinaryArray::from_iter_values(keys.iter().map(KeyBytes::as_bytes)));
        let states = self.states.gather(slots)?;
        let columns = [starts, keys].into_iter().chain(states.columns().iter().cloned()).collect();
        Ok(RecordBatch::try_new(Self::export_schema(self.states.layout()), columns)?)
    }

    /// The lowest contributing offsets of all windows, ordered.
    pub fn lowest_offsets(&self) -> Vec<WindowOffset> {
        let of_window = |(start_us, place): (&i64, &u32)| {
            let start_us = *start_us;
            let offsets = self.windows[*place as usize].lowest_offsets();
            offsets.map(move |(partition, offset)| WindowOffset { start_us, partition, offset })
        };
        self.places.iter().flat_map(of_window).collect()
    }

    /// Adds stored groups and offsets to an empty table of the same kind. `keys` is
    /// the encoder of the aggregate's key.
    ///
    /// # Errors
    /// Anything in them is not as [`Self::export`] and [`Self::lowest_offsets`] make it.
    pub fn import(
        &mut self,
        keys: &KeyEncoder,
        batches: &[RecordBatch],
        offsets: &[WindowOffset],
    ) -> Result<(), ImportError> {
        batches.iter().try_for_each(|batch| self.import_batch(keys, batch))?;
        offsets.iter().try_for_each(|offset| self.import_offset(offset))?;
        let without = self.places.iter().find(|(_, at)| self.has_no_offset(**at));
        without.map_or(Ok(()), |(start_us, _)| Err(ImportError::NoOffsets { start_us: *start_us }))
    }

    fn has_no_offset(&self, place: u32) -> bool {
        self.windows[place as usize].lowest_offsets().next().is_none()
    }

    fn import_batch(&mut self, keys: &KeyEncoder, batch: &RecordBatch) -> Result<(), ImportError> {
        let (starts, encoded) = self.own_columns(batch)?;
        keys.decode(encoded.iter().flatten())?;
        let columns: Vec<usize> = (2..batch.num_columns()).collect();
        let states = batch.project(&columns).map_err(StateError::from)?;
        let slots = self.states.append(&states)?;
        for (row, slot) in slots.into_iter().enumerate() {
            self.import_group(row, starts.value(row), encoded.value(row), slot)?;
        }
        Ok(())
    }

    /// The window and key columns, without nulls.
    fn own_columns<'a>(
        &self,
        batch: &'a RecordBatch,
    ) -> Result<(&'a Int64Array, &'a BinaryArray), ImportError> {
        let starts = batch.columns().first().and_then(|column| column.as_primitive_opt::<Int64Type>());
        let keys = batch.columns().get(1).and_then(|column| column.as_binary_opt::<i32>());
        match (starts, keys) {
            (Some(starts), Some(keys)) if starts.null_count() + keys.null_count() == 0 => Ok((starts, keys)),
            _ => Err(ImportError::Columns {
                expected: Self::export_schema(self.states.layout()).to_string(),
                found: batch.schema_ref().to_string(),
            }),
        }
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
