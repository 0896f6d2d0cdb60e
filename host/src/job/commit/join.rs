//! Aggregates that join a job whose others stay as they were. What they make of the past is staged leg by leg, so
//! that no more is held than is open, and one commit publishes all of it. That commit takes no record in: it
//! stands where the one before it does.

use anyhow::Context;
use speed_layer_core::account::Account;
use speed_layer_core::commit::Kind;
use speed_layer_store::{Checkpoint, CommitStore, Committer, PendingCommit};

use super::{Commits, Folded, Staged};
use crate::job::partitions::Partitions;
use crate::stages::{AggregateClock, EpochContext};

/// What has become of the records that were read again for aggregates that have joined.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Joined {
    pub account: Account,
    pub windows_out: u64,
    pub files: usize,
}

impl<S: CommitStore> Commits<S> {
    /// Writes down what a leg closed and set aside.
    ///
    /// # Errors
    /// The store failed, or the account does not add up.
    pub fn stage_leg(
        &mut self,
        epoch: &EpochContext,
        folded: Folded,
        clocks: &[AggregateClock],
        partitions: &Partitions,
        staged: &mut Staged,
    ) -> anyhow::Result<()> {
        let (account, windows) = self.stage(epoch, folded, clocks, partitions, staged)?;
        self.account.add(&account);
        self.windows_out += windows;
        Ok(())
    }

    /// Commits what was staged, with these aggregates beside those of `before`.
    ///
    /// # Errors
    /// The store failed. The process ends; whether they have joined is for the next start to find out.
    pub fn join(
        mut self,
        before: &Checkpoint,
        clocks: &[AggregateClock],
        staged: Staged,
    ) -> anyhow::Result<(Committer<S>, Joined)> {
        let mut progress = before.manifest.progress.clone();
        let joining = self.aggregates.iter().zip(clocks);
        progress.aggregates.extend(joining.map(|(of, clock)| self.aggregate_progress(of, clock)));
        let mut states = before.states.clone();
        for of in &self.aggregates {
            let open = of.open.export().context("the open windows cannot be written down")?;
            states.push((of.spec.name.clone(), open));
        }
        let Staged { files, outbox } = staged;
        let committed =
            self.committer.commit(PendingCommit { progress, kind: Kind::Full, states, files, outbox })?;
        let (account, windows_out) = (self.account, self.windows_out);
        Ok((self.committer, Joined { account, windows_out, files: committed.files }))
    }
}
