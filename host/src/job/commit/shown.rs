//! Windows that go to the console: gathered before their commit is staged, shown when it is made.

use arrow_array::RecordBatch;
use speed_layer_core::group::GroupTable;
use speed_layer_store::CommitStore;

use super::{Closed, Commits};
use crate::sinks::WindowTable;
use crate::stages::EpochContext;

impl<S: CommitStore> Commits<S> {
    /// A table for each aggregate with a console, by its number, with the windows that are closed.
    pub(super) fn tables(
        &self,
        epoch: &EpochContext,
        closed: &[Closed],
    ) -> anyhow::Result<Vec<(usize, WindowTable)>> {
        let mut tables = Vec::new();
        for (index, (aggregate, closed)) in self.aggregates.iter().zip(closed).enumerate() {
            let Some(console) = &aggregate.spec.console else { continue };
            let mut table = WindowTable::new(&aggregate.spec.name, epoch.epoch, console);
            closed.records.iter().try_for_each(|rows| table.add(rows, true))?;
            tables.push((index, table));
        }
        Ok(tables)
    }

    /// Adds the open windows that they show besides.
    pub(super) fn add_open(
        &mut self,
        epoch: &EpochContext,
        changed: &[Vec<GroupTable>],
        tables: &mut [(usize, WindowTable)],
    ) -> anyhow::Result<()> {
        for (index, table) in tables {
            let so_far = self.so_far(*index, table.mode(), epoch, changed, table.rows_left())?;
            so_far.rows.iter().try_for_each(|rows| table.add(rows, false))?;
            table.leave_out(so_far.groups - so_far.rows.iter().map(RecordBatch::num_rows).sum::<usize>());
        }
        Ok(())
    }
}
