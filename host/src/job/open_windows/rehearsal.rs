//! A plugin that begins with the next window has none to prove itself on: what it makes
//! of rows that are withheld from it is merged and finished on the side, and thrown away.

use speed_layer_core::group::GroupTable;
use speed_layer_plugin::Context;

use super::OpenWindows;

impl OpenWindows {
    /// Merges a worker's rehearsal in, twice, so that a single worker's is merged too.
    ///
    /// # Errors
    /// The plugin failed, or the states do not fit.
    pub fn rehearse(&mut self, context: &Context, partial: &GroupTable) -> anyhow::Result<()> {
        let rehearsal = self.rehearsal.take().unwrap_or_else(|| self.table.new_empty());
        let own = std::mem::replace(&mut self.table, rehearsal);
        let merged = self.absorb(context, partial).and_then(|()| self.absorb(context, partial));
        self.rehearsal = Some(std::mem::replace(&mut self.table, own));
        merged
    }

    pub fn end_rehearsal(&mut self) {
        self.rehearsal = None;
    }

    /// What there is to try `finish` on.
    pub(super) fn on_trial(&self) -> &GroupTable {
        match &self.rehearsal {
            Some(rehearsal) if self.table.is_empty() => rehearsal,
            _ => &self.table,
        }
    }
}
