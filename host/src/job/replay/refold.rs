//! Takes batches through a plan's stages and folds the chosen rows into windows of its own.

use std::sync::Arc;

use anyhow::Context;
use speed_layer_core::account::Account;
use speed_layer_core::choice::Choice;
use speed_layer_core::records::Records;

use super::again::{Again, Judge};
use super::refused::Refused;
use crate::config::PoisonSpec;
use crate::job::open_windows::OpenWindows;
use crate::plan::Plan;
use crate::stages::EpochContext;

/// Side rows are of no use here: so many bytes of them are held at most before they go.
const SIDE_BYTES_MAX: usize = 8 << 20;

/// The stages of a plan and the windows that they fold into.
pub struct Refold {
    stages: Again,
    open: Vec<OpenWindows>,
    account: Account,
}

impl Refold {
    /// Opens the plan's plugins, with one choice an aggregate. `epoch` is what plugins are
    /// told and what records are held to that the clock did not refuse before: of the epoch
    /// that the windows are made for, which is no earlier than those that read the records.
    ///
    /// # Errors
    /// A plugin refuses.
    pub fn open(
        plan: &Arc<Plan>,
        epoch: EpochContext,
        judge: Judge,
        choices: Vec<Choice>,
    ) -> anyhow::Result<Self> {
        let mut stages = Again::open(plan, epoch, judge)?;
        stages.chain.choose(choices);
        let open = plan.aggregates.iter().map(OpenWindows::open).collect::<anyhow::Result<_>>()?;
        Ok(Self { stages, open, account: Account::default() })
    }

    /// From now on rows that a plugin fails on are left out, as a running job leaves them
    /// out; otherwise they fail the batch.
    pub fn leave_poison_out(&mut self) {
        self.stages.chain.isolate(PoisonSpec::default());
    }

    /// Goes on from windows that other plugins made, migrated where their states are of
    /// another form; before any record is taken.
    ///
    /// # Errors
    /// A plugin does not migrate them.
    pub fn take_over(&mut self, before: &[OpenWindows]) -> anyhow::Result<()> {
        self.open.iter_mut().zip(before).try_for_each(|(open, before)| open.take_over(before))
    }

    /// Holds the records that follow to these refusals.
    pub fn judge(&mut self, refused: Refused) {
        self.stages.judge.refused = refused;
    }

    /// Folds a batch.
    ///
    /// # Errors
    /// A plugin failed; what was folded is of no use then.
    pub fn take(&mut self, records: &Records) -> anyhow::Result<()> {
        self.stages.take(records)?;
        if self.stages.chain.side_bytes() > SIDE_BYTES_MAX { self.settle() } else { Ok(()) }
    }

    /// The windows, with all that was folded.
    ///
    /// # Errors
    /// A plugin failed.
    pub fn finish(mut self) -> anyhow::Result<Vec<OpenWindows>> {
        self.settle()?;
        Ok(self.open)
    }

    /// What became of the rows up to the last [`Self::settle`]. Those that were not chosen
    /// count as offered and as nothing else.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Merges what has piled up into the windows.
    ///
    /// # Errors
    /// A plugin failed.
    pub fn settle(&mut self) -> anyhow::Result<()> {
        let partial = self.stages.chain.cut();
        self.account.add(&partial.account);
        for (index, (open, groups)) in self.open.iter_mut().zip(&partial.groups).enumerate() {
            let merged = open.absorb(&self.stages.epoch.for_aggregate(index), groups);
            merged.with_context(|| format!("windows of aggregate {} cannot be made again", open.name))?;
        }
        Ok(())
    }
}
