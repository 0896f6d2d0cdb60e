//! Builds new aggregates from the records that a job has read, before its stream goes on.
//! The records go through the stages again in legs; at the end of each the windows that are
//! closed by then are finished and staged, so that no more is held than is open. At the cut
//! one commit publishes all of them and takes the aggregates into the job. Before that
//! commit nothing of them can be seen, and a start finds the job as it was.

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, ensure};
use speed_layer_core::backfill::Reach;
use speed_layer_core::records::Records;
use speed_layer_core::watermark::{PartitionProgress, Standing, close_through};
use speed_layer_kafka::{Position, TopicFacts};
use speed_layer_store::inspect::read_newest;
use speed_layer_store::layer::FileLayer;
use speed_layer_store::{Checkpoint, CommitStore, Committer, PosixStore};
use tracing::info;

use super::order::Order;
use crate::config::{ClockSpec, JobSpec};
use crate::job::JobHandle;
use crate::job::commit::{Commits, EpochCommit, Joined, Staged, clock_bounds};
use crate::job::drift::Drift;
use crate::job::feed::RecordFeed;
use crate::job::memory::{HoldsGroups, Memory};
use crate::job::now_ms;
use crate::job::open_windows::OpenWindows;
use crate::job::partitions::{Beginning, Partitions};
use crate::job::replay::{Again, Judge, Refused, RereadTopic, Stretch, read_steered};
use crate::job::worker::CutReport;
use crate::plan::{AggregatePlan, Plan};
use crate::stages::{AggregateClock, EpochContext};

/// What a leg reads at most where the settings say nothing of commits.
const LEG_RECORDS: u64 = 1 << 20;
/// What piles up in a leg at most: partial states, and rows that were set aside.
const LEG_BYTES: usize = 64 << 20;
/// How far partitions may be apart at least where the settings do not say.
const DRIFT_MS_MIN: u64 = 3_600_000;

/// The job was asked to end while it was built.
#[derive(Debug, thiserror::Error)]
#[error("the job was asked to end while aggregates were built; nothing of them was written")]
pub struct BackfillStopped;

/// The job that the aggregates join.
pub struct Over<'a> {
    pub spec: &'a JobSpec,
    pub plan: &'a Plan,
    pub checkpoint: &'a Checkpoint,
    pub facts: &'a TopicFacts,
    /// Where it stands.
    pub beginnings: &'a [Beginning],
}

/// Builds what is ordered and takes it into the job; gives the checkpoint that says so.
///
/// # Errors
/// The records cannot be read, a plugin failed, there is not memory enough, or it was asked to
/// stop: nothing has changed then. Or the store failed.
pub fn build<T: RereadTopic, L: FileLayer + Send + 'static>(
    order: &Order,
    over: &Over<'_>,
    committer: Committer<PosixStore<L>>,
    topic: &T,
    stop: &JobHandle,
) -> anyhow::Result<(Committer<PosixStore<L>>, Checkpoint, Joined)> {
    let names = order.names.join(", ");
    info!(aggregates = %names, "built from the job's first record on, before the stream goes on");
    let mut building = Building::begin(order, over, committer)?;
    let records = building.read_all(&order.stretch, topic, stop);
    let records = records.with_context(|| {
        format!(
            "--backfill: aggregate {names} was not built, and nothing of it was written, the job is as it was"
        )
    })?;
    let Building { commits, clocks, staged, .. } = building;
    let (committer, joined) = commits.join(over.checkpoint, &clocks, staged)?;
    info!(
        aggregates = %names,
        records,
        windows = joined.windows_out,
        files = joined.files,
        "built and committed: the stream goes on"
    );
    let checkpoint = read_newest(committer.store())?.into_iter().find_map(|one| one.content.ok());
    Ok((committer, checkpoint.context("the checkpoint that was just written is gone")?, joined))
}

/// Aggregates on their way.
struct Building<S: CommitStore> {
    stages: Again,
    commits: Commits<S>,
    clocks: Vec<AggregateClock>,
    reach: Reach,
    /// How far it is read, as files say it of themselves.
    partitions: Partitions,
    positions: Vec<Position>,
    drift: Option<Drift>,
    memory: Memory,
    staged: Staged,
    leg_records_max: u64,
    leg_records: u64,
}

impl<L: FileLayer> Building<PosixStore<L>> {
    fn begin(order: &Order, over: &Over<'_>, committer: Committer<PosixStore<L>>) -> anyhow::Result<Self> {
        let (spec, stretch) = (over.spec, &order.stretch);
        let plan = Arc::new(plan_of(&order.names, over)?);
        let clocks = vec![AggregateClock::default(); plan.aggregates.len()];
        let epoch =
            EpochContext { epoch: committer.epoch().0, epoch_began_ms: now_ms(), aggregates: clocks.clone() };
        let refused = Refused::read(committer.store().layout(), stretch)?;
        let judge =
            Judge { bounds: clock_bounds(&spec.clock)?, skew_ms: spec.clock.max_future_skew_ms, refused };
        let mut stages = Again::open(&plan, epoch, judge)?;
        stages.chain.isolate(spec.poison);
        let from = beginnings(stretch, over);
        let marks: Vec<_> = from.iter().map(|of| of.mark(&stretch.topic)).collect();
        let open = plan.aggregates.iter().map(|plan| windows(spec, plan)).collect::<anyhow::Result<_>>()?;
        let idle_timeout_ms = spec.clock.idle_timeout_ms.unsigned_abs();
        Ok(Self {
            stages,
            commits: Commits::anew(spec, &plan, open, &marks, committer),
            clocks,
            reach: Reach::new(parts(stretch, over)),
            partitions: Partitions::new(over.facts, &from, idle_timeout_ms, None).0,
            positions: Vec::new(),
            drift: Drift::of(&drift_clock(spec, &plan), &from),
            memory: Memory::new(spec.memory_max, 1),
            staged: Staged::default(),
            leg_records_max: spec.max_records_per_trigger.unwrap_or(LEG_RECORDS),
            leg_records: 0,
        })
    }
}

impl<S: CommitStore<Chain: Send + 'static>> Building<S> {
    fn read_all(
        &mut self,
        stretch: &Stretch,
        topic: &impl RereadTopic,
        stop: &JobHandle,
    ) -> anyhow::Result<u64> {
        let records = read_steered(topic, stretch, &mut |records, feed| {
            ensure!(!stop.is_asked(), BackfillStopped);
            self.take(records, feed)
        })?;
        self.reach_cut(stretch);
        self.end_leg()?;
        Ok(records)
    }

    fn take(&mut self, records: &Records, feed: &mut impl RecordFeed) -> anyhow::Result<()> {
        if !records.is_empty() {
            self.stages.take(records)?;
        }
        if let Some(drift) = &self.drift {
            drift.align(feed, self.stages.chain.greatest_ms())?;
        }
        self.positions = feed.positions();
        self.leg_records += records.len() as u64;
        let is_over = self.leg_records >= self.leg_records_max || self.stages.chain.held_bytes() > LEG_BYTES;
        if is_over { self.end_leg() } else { Ok(()) }
    }

    /// Everything is read: control records behind the last one, too.
    fn reach_cut(&mut self, stretch: &Stretch) {
        let at_cut = |(&partition, range): (&i32, &Range<i64>)| Position {
            partition,
            next_offset: range.end,
            leader_epoch: None,
            at_end: true,
            high_watermark: None,
        };
        self.positions = stretch.ranges.iter().map(at_cut).collect();
    }

    /// Closes what can be closed by now and writes it down.
    fn end_leg(&mut self) -> anyhow::Result<()> {
        let mut partial = self.stages.chain.cut();
        // Of the others the job has told when it first read these records.
        partial.sides.keep_aggregates();
        for position in &self.positions {
            self.reach.read_to(position.partition, position.next_offset);
        }
        for (&partition, &event_ms) in &partial.greatest_ms {
            self.reach.accepted(partition, event_ms);
        }
        let report = CutReport { worker: 0, partial, positions: self.positions.clone() };
        self.partitions.note(&report, now_ms(), 0, true);
        let epoch = self.stages.epoch.clone();
        self.advance_clocks();
        let folded = self.commits.fold(&epoch, vec![report.partial], &self.clocks)?;
        self.commits.stage_leg(&epoch, folded, &self.clocks, &self.partitions, &mut self.staged)?;
        let held = self.commits.held();
        self.memory.check(held, "what was read again is given up")?;
        info!(
            records = self.commits.account.records_in,
            windows = self.commits.windows_out,
            open_groups = held.groups,
            "a leg is read again"
        );
        self.leg_records = 0;
        Ok(())
    }

    fn advance_clocks(&mut self) {
        let clock_ms = self.reach.clock_ms();
        for (clock, of) in self.clocks.iter_mut().zip(&self.commits.aggregates) {
            clock.closed_through_ms = close_through(clock.closed_through_ms, clock_ms, of.spec.watermark_ms);
            // One commit publishes all of it.
            clock.released_through_ms = clock.closed_through_ms;
        }
        self.stages.epoch.aggregates.clone_from(&self.clocks);
    }
}

/// The job's stages with these aggregates alone, and the plugins that it has loaded.
fn plan_of(names: &[String], over: &Over<'_>) -> anyhow::Result<Plan> {
    let wanted = over.spec.aggregates.iter().filter(|of| names.contains(&of.name));
    let spec = JobSpec { aggregates: wanted.cloned().collect(), console: None, ..over.spec.clone() };
    Plan::make(&spec, &|name, _| {
        let loaded = over.plan.plugin(name).map(|(plugin, _)| plugin.clone());
        loaded.with_context(|| format!("the job has no stage {name}"))
    })
}

fn windows(spec: &JobSpec, plan: &AggregatePlan) -> anyhow::Result<OpenWindows> {
    let mut open = OpenWindows::open(plan)?;
    open.isolate(spec.poison);
    Ok(open)
}

/// What is read of each partition of the job, and what that is to its clock at the cut.
fn parts(stretch: &Stretch, over: &Over<'_>) -> Vec<(i32, Range<i64>, Standing)> {
    let idle_timeout_ms = over.spec.clock.idle_timeout_ms.unsigned_abs();
    let run_began_ms = over.spec.trigger.is_bounded().then(now_ms);
    let (at_cut, _) = Partitions::new(over.facts, over.beginnings, idle_timeout_ms, run_began_ms);
    let part = |(partition, standing)| {
        (partition, stretch.ranges.get(&partition).cloned().unwrap_or(0..0), standing)
    };
    at_cut.standings().into_iter().map(part).collect()
}

/// The job's partitions at the begin of the stretch, without anything known of them.
fn beginnings(stretch: &Stretch, over: &Over<'_>) -> Vec<Beginning> {
    let from =
        |of: &Beginning| stretch.ranges.get(&of.partition).map_or(of.start_offset, |range| range.start);
    let begin = |of: &Beginning| Beginning {
        start_offset: from(of),
        leader_epoch: None,
        clock: PartitionProgress::default(),
        ..*of
    };
    over.beginnings.iter().map(begin).collect()
}

/// Partitions are read side by side in event time, so that few windows are open at once.
fn drift_clock(spec: &JobSpec, plan: &Plan) -> ClockSpec {
    let longest_ms = plan.aggregates.iter().map(|of| of.spec.window_ms + of.spec.watermark_ms).max();
    let max_drift_ms = longest_ms.unwrap_or_default().max(DRIFT_MS_MIN);
    ClockSpec { max_drift_ms: spec.clock.max_drift_ms.or(Some(max_drift_ms)), ..spec.clock.clone() }
}
