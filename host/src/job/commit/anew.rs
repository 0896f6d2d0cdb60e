//! Commits over aggregates that no checkpoint knows yet: such as join a job, or a job that is taken over.

use speed_layer_core::commit::OffsetMark;
use speed_layer_store::{CommitStore, Committer};

use super::{AggregateCommit, Beginning, Commits, Holding};
use crate::config::JobSpec;
use crate::job::open_windows::OpenWindows;
use crate::job::stored;
use crate::plan::{AggregatePlan, Plan};

impl<S: CommitStore> Commits<S> {
    /// With these windows of the plan's aggregates, whose rows begin at `from`.
    pub fn anew(
        spec: &JobSpec,
        plan: &Plan,
        open: Vec<OpenWindows>,
        from: &[OffsetMark],
        committer: Committer<S>,
    ) -> Self {
        let aggregate = |(plan, open): (&AggregatePlan, OpenWindows)| AggregateCommit {
            spec: plan.spec.clone(),
            plugins: stored::aggregate_history(plan, None, from),
            open,
            moved: None,
            holding: Holding::default(),
        };
        Self::new(Beginning {
            topic: spec.source.topic.clone(),
            aggregates: plan.aggregates.iter().zip(open).map(aggregate).collect(),
            stages: stored::stage_histories(plan, None, from),
            gaps: Vec::new(),
            gaps_committed: 0,
            clock: spec.clock.clone(),
            sides: spec.sides.clone(),
            committer,
        })
    }
}
