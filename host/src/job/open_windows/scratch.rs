//! The open windows as they are looked at beside the stream: copied, and finished for
//! nothing. Nothing here changes a group of the job's own.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use speed_layer_core::group::{GroupTable, KeyBytes, WindowGroups, chunk_ranges};
use speed_layer_plugin::Context;

use super::{ClosedPart, Group, GroupNote, OpenWindows, STATE_BYTES_PER_CALL_MAX};

/// What tells a finished row from the others of its aggregate: these columns.
pub const FINISHED_KEY: [&str; 2] = ["group", "window_start"];

/// A group by its window's start, microseconds since 1970 UTC, and its key.
pub type GroupId = (i64, KeyBytes);

/// Rows of groups, as they would be published, and what their plugin noted.
pub struct Finished {
    /// The key as a path, then the columns of the output.
    pub rows: RecordBatch,
    pub notes: Vec<GroupNote>,
}

impl OpenWindows {
    /// All open groups as they are now.
    pub fn groups(&self) -> &GroupTable {
        &self.table
    }

    /// Goes on with these groups, which an aggregate of the same states held.
    pub fn put(&mut self, groups: GroupTable) {
        self.table = groups;
    }

    /// Forgets all groups.
    pub fn clear(&mut self) {
        self.table = self.table.new_empty();
    }

    /// Rows of closed windows, each with its group.
    ///
    /// # Errors
    /// They are not of this aggregate.
    pub fn keyed(&self, parts: &[ClosedPart]) -> anyhow::Result<RecordBatch> {
        let keyed = parts.iter().map(|part| {
            let paths = std::iter::repeat_n(Some(part.path.as_str()), part.rows.num_rows());
            self.with_paths(paths.collect(), &part.rows)
        });
        let keyed = keyed.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(arrow_select::concat::concat_batches(&self.keyed_schema(), &keyed)?)
    }

    /// Has the plugin finish these of the open groups, which rise, not for good. Those that
    /// are not open are left out.
    ///
    /// # Errors
    /// The plugin failed.
    pub fn finish_on_scratch(&mut self, context: &Context, groups: &[&GroupId]) -> anyhow::Result<Finished> {
        let (mut ids, mut notes, mut batches) = (Vec::new(), Vec::new(), Vec::new());
        for window in self.windows_of(groups) {
            for range in chunk_ranges(self.table.states(), &window.slots, STATE_BYTES_PER_CALL_MAX) {
                let first = ids.len();
                let rows = self.finish(context, &window, range, false, &mut ids, &mut notes)?;
                batches.push(self.with_paths(paths(&ids[first..]), &rows)?);
            }
        }
        let rows = arrow_select::concat::concat_batches(&self.keyed_schema(), &batches)?;
        Ok(Finished { rows, notes })
    }

    /// The open ones of `groups`, by window.
    fn windows_of(&self, groups: &[&GroupId]) -> Vec<WindowGroups> {
        let mut windows: Vec<WindowGroups> = Vec::new();
        for (start_us, key) in groups {
            let Some(slot) = self.table.slot_of(*start_us, key) else { continue };
            if windows.last().is_none_or(|last| last.start_us != *start_us) {
                let end_us = self.table.spec().end_of(*start_us);
                let (keys, slots, lowest_offsets) = Default::default();
                windows.push(WindowGroups { start_us: *start_us, end_us, keys, slots, lowest_offsets });
            }
            if let Some(window) = windows.last_mut() {
                window.keys.push(key.clone());
                window.slots.push(slot);
            }
        }
        windows
    }

    fn with_paths(&self, paths: StringArray, rows: &RecordBatch) -> anyhow::Result<RecordBatch> {
        let paths: ArrayRef = Arc::new(paths);
        let columns = std::iter::once(paths).chain(rows.columns().iter().cloned()).collect();
        Ok(RecordBatch::try_new(self.keyed_schema(), columns)?)
    }

    fn keyed_schema(&self) -> Arc<Schema> {
        let group = Arc::new(Field::new(FINISHED_KEY[0], DataType::Utf8, false));
        let fields = std::iter::once(group).chain(self.output.fields().iter().cloned());
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

fn paths(groups: &[Group]) -> StringArray {
    groups.iter().map(|group| Some(group.path.as_str())).collect()
}
