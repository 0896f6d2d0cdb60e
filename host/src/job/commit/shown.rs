//! Windows that go to the console: gathered while their commit is staged, shown when it is made.

use arrow_array::RecordBatch;
use speed_layer_core::group::GroupTable;
use speed_layer_store::CommitStore;

use super::Commits;
use super::sides::Staged;
use crate::sinks::WindowTable;
use crate::stages::EpochContext;

impl<S: CommitStore> Commits<S> {
    /// The closed windows of an aggregate.
    pub(super) fn gather_closed(
        &self,
        index: usize,
        rows: &[RecordBatch],
        epoch: &EpochContext,
        staged: &mut Staged,
    ) -> anyhow::Result<()> {
        let aggregate = &self.aggregates[index].spec;
        let Some(console) = &aggregate.console else { return Ok(()) };
        let mut table = WindowTable::new(&aggregate.name, epoch.epoch, console);
        rows.iter().try_for_each(|rows| table.add(rows, true))?;
        staged.tables.push(table);
        Ok(())
    }

    /// The open windows that consoles show beside the closed ones.
    pub(super) fn gather_open(
        &mut self,
        epoch: &EpochContext,
        changed: &[Vec<GroupTable>],
        staged: &mut Staged,
    ) -> anyhow::Result<()> {
        let shown = (0..self.aggregates.len()).filter(|index| self.aggregates[*index].spec.console.is_some());
        for (index, table) in shown.collect::<Vec<_>>().into_iter().zip(&mut staged.tables) {
            let so_far = self.so_far(index, table.mode(), epoch, changed, table.rows_left())?;
            so_far.rows.iter().try_for_each(|rows| table.add(rows, false))?;
            table.leave_out(so_far.groups - so_far.rows.iter().map(RecordBatch::num_rows).sum::<usize>());
        }
        Ok(())
    }
}
