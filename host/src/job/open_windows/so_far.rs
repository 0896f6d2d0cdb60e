//! What the open windows hold, asked for before they are closed: the values that a swap
//! writes down of windows with which it does not go on. Takes nothing out of them.

use std::ops::Range;

use arrow_array::RecordBatch;
use speed_layer_core::group::{WindowGroups, chunk_ranges};
use speed_layer_plugin::Context;

use super::{OpenWindows, lowest_of};
use crate::stages::STATE_BYTES_PER_CALL_MAX;

/// The values so far of all open windows.
pub struct SoFar {
    /// By window and key: the key's columns, `window_start`, `window_end`, the plugin's output.
    pub rows: RecordBatch,
    /// The lowest contributing offset of each partition.
    pub lowest_offsets: Vec<(i32, i64)>,
}

impl OpenWindows {
    /// Has the plugin finish all open windows, not for good; `None` where there are none.
    ///
    /// # Errors
    /// The plugin failed.
    pub fn so_far(&mut self, context: &Context) -> anyhow::Result<Option<SoFar>> {
        let windows = self.table.groups();
        let mut finished = Vec::new();
        for window in &windows {
            for range in chunk_ranges(self.table.states(), &window.slots, STATE_BYTES_PER_CALL_MAX) {
                finished.push(self.values(context, window, range)?);
            }
        }
        let Some(first) = finished.first() else { return Ok(None) };
        let rows = arrow_select::concat::concat_batches(first.schema_ref(), &finished)?;
        Ok(Some(SoFar { rows, lowest_offsets: lowest_of(&windows) }))
    }

    fn values(
        &mut self,
        context: &Context,
        window: &WindowGroups,
        range: Range<usize>,
    ) -> anyhow::Result<RecordBatch> {
        let keys = self.keys.decode(window.keys[range.clone()].iter().map(|key| key.as_bytes()))?;
        let (starts, ends) = (vec![window.start_us; range.len()], vec![window.end_us; range.len()]);
        let states = self.table.states().gather(&window.slots[range])?;
        let finished = self
            .aggregator
            .call(|aggregator| aggregator.finish(context, &states, &keys, &starts, &ends, false))?;
        self.with_keys(&keys, [starts, ends], &finished.rows)
    }
}
