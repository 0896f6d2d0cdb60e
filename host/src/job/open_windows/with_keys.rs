//! Windows with their key as columns, for whoever sends them on: those that were closed, and those that a commit has
//! changed or that are open, as they are so far. Takes nothing out of the open ones.

use std::ops::Range;
use std::sync::Arc;

use anyhow::bail;
use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use speed_layer_core::group::{GroupTable, WindowGroups, chunk_ranges};
use speed_layer_plugin::Context;

use super::failing::in_parts;
use super::key_place::{plain_columns, plain_fields};
use super::{OpenWindows, instants, slice};
use crate::config::OnGroupFailure;
use crate::stages::STATE_BYTES_PER_CALL_MAX;

/// Open groups as they are so far.
#[derive(Debug, Default)]
pub struct GroupsSoFar {
    /// By window.
    pub rows: Vec<RecordBatch>,
    /// Of how many groups there would be rows, if nobody wanted fewer.
    pub groups: usize,
}

impl OpenWindows {
    /// The key's columns, `window_start`, `window_end` and the plugin's, whatever of the key is kept in files.
    pub(super) fn with_keys(
        &self,
        keys: &RecordBatch,
        window_us: [Vec<i64>; 2],
        finished: &RecordBatch,
    ) -> anyhow::Result<RecordBatch> {
        let columns = plain_columns(keys)?.into_iter().chain(window_us.map(instants));
        let columns = columns.chain(finished.columns().iter().cloned()).collect();
        Ok(RecordBatch::try_new(self.windows_schema(), columns)?)
    }

    /// The columns of windows with their key.
    pub fn windows_schema(&self) -> SchemaRef {
        let in_files = self.key_place.fields(self.keys.schema()).len();
        let others = self.output.fields().iter().skip(in_files).cloned();
        Arc::new(Schema::new(plain_fields(self.keys.schema()).into_iter().chain(others).collect::<Vec<_>>()))
    }

    /// Of how many columns the key is.
    pub fn key_columns(&self) -> usize {
        self.keys.schema().fields().len()
    }

    /// The open groups that these partial states have rows of, at most `rows_max`.
    ///
    /// # Errors
    /// The plugin failed, and groups that it fails on may not be left out.
    pub fn changed_so_far(
        &mut self,
        context: &Context,
        partials: &[&GroupTable],
        rows_max: usize,
    ) -> anyhow::Result<GroupsSoFar> {
        self.groups_so_far(context, &self.table.changed_groups(partials), rows_max)
    }

    /// All open groups, at most `rows_max`.
    ///
    /// # Errors
    /// As [`Self::changed_so_far`].
    pub fn open_so_far(&mut self, context: &Context, rows_max: usize) -> anyhow::Result<GroupsSoFar> {
        self.groups_so_far(context, &self.table.groups(), rows_max)
    }

    fn groups_so_far(
        &mut self,
        context: &Context,
        windows: &[WindowGroups],
        rows_max: usize,
    ) -> anyhow::Result<GroupsSoFar> {
        let (mut rows, mut left) = (Vec::new(), rows_max);
        for window in windows {
            for range in chunk_ranges(self.table.states(), &window.slots, STATE_BYTES_PER_CALL_MAX) {
                let wanted = range.start..range.end.min(range.start.saturating_add(left));
                left -= wanted.len();
                if !wanted.is_empty() {
                    rows.extend(self.sound_so_far(context, window, wanted)?);
                }
            }
        }
        Ok(GroupsSoFar { rows, groups: windows.iter().map(|window| window.slots.len()).sum() })
    }

    /// Groups that the plugin fails on are left out where the settings allow it; they are given up when they close.
    fn sound_so_far(
        &mut self,
        context: &Context,
        window: &WindowGroups,
        range: Range<usize>,
    ) -> anyhow::Result<Vec<RecordBatch>> {
        let count = range.len();
        let keys = self.keys.decode(window.keys[range.clone()].iter().map(|key| key.as_bytes()))?;
        let states = self.table.states().gather(&window.slots[range])?;
        let (starts, ends) = (vec![window.start_us; count], vec![window.end_us; count]);
        let limits = self.failing.limits;
        let parts = in_parts(&mut self.aggregator, limits, count, &mut |aggregator, part| {
            let (states, keys) = (slice(&states, &part), slice(&keys, &part));
            aggregator.finish(context, &states, &keys, &starts[part.clone()], &ends[part], false)
        })?;
        let may_leave_out = limits.is_some_and(|limits| limits.groups == OnGroupFailure::DeadLetter);
        if let Some((at, error)) = parts.failed.into_iter().next().filter(|_| !may_leave_out) {
            let (group, start_us) = (self.key_place.path(&keys, at)?, window.start_us);
            bail!(
                "the plugin of aggregate {} fails on the group {group} of the open window at {start_us} us: {error}; replace \
                 it, or set on_group_failure = \"dead-letter\" to go on without such groups",
                self.name
            );
        }
        let rows = |(part, finished): (Range<usize>, speed_layer_plugin::Finished)| {
            let window_us = [starts[part.clone()].to_vec(), ends[part.clone()].to_vec()];
            self.with_keys(&slice(&keys, &part), window_us, &finished.rows)
        };
        parts.done.into_iter().map(rows).collect()
    }
}
