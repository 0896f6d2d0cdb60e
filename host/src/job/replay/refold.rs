//! Takes batches through a plan's stages and folds the chosen rows into windows of its own.

use std::sync::Arc;

use anyhow::Context;
use speed_layer_core::account::Account;
use speed_layer_core::choice::Choice;
use speed_layer_core::clock::ClockBounds;
use speed_layer_core::records::Records;

use super::refused::Refused;
use crate::config::PoisonSpec;
use crate::job::open_windows::OpenWindows;
use crate::plan::Plan;
use crate::stages::{Chain, EpochContext};

/// Side rows are of no use here: so many bytes of them are held at most before they go.
const SIDE_BYTES_MAX: usize = 8 << 20;

/// How the clock judges a record that is read again.
#[derive(Debug, Clone)]
pub struct Judge {
    pub bounds: ClockBounds,
    /// How far ahead of an epoch's begin its bound was.
    pub skew_ms: i64,
    pub refused: Refused,
}

/// The stages of a plan and the windows that they fold into.
pub struct Refold {
    chain: Chain,
    epoch: EpochContext,
    judge: Judge,
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
        let mut chain = Chain::open(plan, judge.bounds)?;
        chain.choose(choices);
        let open = plan.aggregates.iter().map(OpenWindows::open).collect::<anyhow::Result<_>>()?;
        Ok(Self { chain, epoch, judge, open, account: Account::default() })
    }

    /// From now on rows that a plugin fails on are left out, as a running job leaves them
    /// out; otherwise they fail the batch.
    pub fn leave_poison_out(&mut self) {
        self.chain.isolate(PoisonSpec::default());
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
        self.judge.refused = refused;
    }

    /// Folds a batch.
    ///
    /// # Errors
    /// A plugin failed; what was folded is of no use then.
    pub fn take(&mut self, records: &Records) -> anyhow::Result<()> {
        match self.judge.refused.parts(records) {
            None => self.chain.process(&self.epoch, records)?,
            Some(parts) => {
                for (bound_ms, rows) in parts {
                    let epoch = self.epoch_of(bound_ms);
                    self.chain.process(&epoch, &records.select(&rows))?;
                }
            }
        }
        if self.chain.side_bytes() > SIDE_BYTES_MAX { self.settle() } else { Ok(()) }
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
        let partial = self.chain.cut();
        self.account.add(&partial.account);
        for (index, (open, groups)) in self.open.iter_mut().zip(&partial.groups).enumerate() {
            let merged = open.absorb(&self.epoch.for_aggregate(index), groups);
            merged.with_context(|| format!("windows of aggregate {} cannot be made again", open.name))?;
        }
        Ok(())
    }

    fn epoch_of(&self, bound_ms: Option<i64>) -> EpochContext {
        let began_ms = bound_ms.map(|bound_ms| bound_ms.saturating_sub(self.judge.skew_ms));
        EpochContext { epoch_began_ms: began_ms.unwrap_or(self.epoch.epoch_began_ms), ..self.epoch.clone() }
    }
}
