//! Stretches of a topic in memory read again: the open windows of a job, made anew from
//! their lowest contributing offsets on, are those of its checkpoint.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use speed_layer_core::commit::{OffsetMark, PartitionProgress};
use speed_layer_kafka::{Assignment, TopicFacts};
use speed_layer_plugin::{Runtime, RuntimeOptions};
use speed_layer_store::peek;
use speed_layer_store::refusals::ClockRefusal;

use super::memory::{self, MemoryFeed, MemoryTopic, Tick};
use super::{DAY_MS, START_MS, run, spec};
use crate::config::JobSpec;
use crate::job::commit::clock_bounds;
use crate::job::open::store;
use crate::job::replay::stretch::ReplayError;
use crate::job::replay::{Choice, Judge, OpenWindows, Refold, Refused, RereadTopic, Stretch, read};
use crate::job::stored;
use crate::plan::Plan;
use crate::stages::{AggregateClock, EpochContext};

impl RereadTopic for MemoryTopic {
    type Feed = MemoryFeed;

    fn facts(&self) -> anyhow::Result<TopicFacts> {
        Ok(Self::facts(self))
    }

    fn feed(&self, assignments: &[Assignment]) -> anyhow::Result<MemoryFeed> {
        Ok(self.feeds(assignments, 1).remove(0))
    }
}

/// The first aggregate of a job as its last commit left it.
struct Left {
    plan: Arc<Plan>,
    open: OpenWindows,
    clock: AggregateClock,
    cut: Vec<OffsetMark>,
}

impl Left {
    fn by(spec: &JobSpec) -> Self {
        let store = store(spec).unwrap();
        let checkpoint = peek(&store).unwrap().unwrap();
        let runtime = Runtime::new(RuntimeOptions::default()).unwrap();
        let plan = stored::plan(spec, &runtime, &store.checkpoints(), Some(&checkpoint)).unwrap();
        let mut open = OpenWindows::open(&plan.aggregates[0]).unwrap();
        stored::restore(&mut open, &checkpoint).unwrap();
        let mark = |of: &PartitionProgress| OffsetMark {
            topic: of.topic.clone(),
            partition: of.partition,
            offset: of.next_offset,
        };
        let cut = checkpoint.manifest.progress.partitions.iter().map(mark).collect();
        let clock = stored::clock_of(&open.name, Some(&checkpoint), &[]);
        Self { plan: Arc::new(plan), open, clock, cut }
    }

    fn epoch(&self) -> EpochContext {
        EpochContext { epoch: 9, epoch_began_ms: START_MS + 400 * DAY_MS, aggregates: vec![self.clock] }
    }

    fn stretch(&self) -> Stretch {
        Stretch::of_windows("ticks", self.open.window_offsets(), &self.cut)
    }

    fn made_again(&self, spec: &JobSpec, topic: &MemoryTopic) -> anyhow::Result<OpenWindows> {
        self.made_again_but(spec, topic, Refused::default())
    }

    fn made_again_but(
        &self,
        spec: &JobSpec,
        topic: &MemoryTopic,
        refused: Refused,
    ) -> anyhow::Result<OpenWindows> {
        let bounds = clock_bounds(&spec.clock)?;
        let judge = Judge { bounds, skew_ms: spec.clock.max_future_skew_ms, refused };
        let mut refold = Refold::open(&self.plan, self.epoch(), judge, vec![Choice::Open])?;
        read(topic, &self.stretch(), &mut |records| refold.take(records))?;
        Ok(refold.finish()?.remove(0))
    }

    /// Every window's rows but for the mean, whose sum depends on its order.
    fn rows(open: &mut OpenWindows, epoch: &EpochContext) -> Vec<(String, RecordBatch)> {
        let closed = open.close(&epoch.for_aggregate(0), Some(i64::MAX)).unwrap();
        let exact = |rows: &RecordBatch| {
            let columns: Vec<usize> =
                (0..rows.num_columns()).filter(|&at| rows.schema().field(at).name() != "avg_price").collect();
            rows.project(&columns).unwrap()
        };
        closed.parts.iter().map(|part| (part.path.clone(), exact(&part.rows))).collect()
    }
}

/// Runs a job over the ticks, cut as `cap` says, and makes its open windows again.
fn check(ticks: &[Tick], partitions: i32, cap: Option<u64>) {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), cap);
    let mut topic = MemoryTopic::new(partitions);
    topic.append(ticks);
    run(&spec, &topic, 2);
    let mut left = Left::by(&spec);
    assert!(left.open.len() > 1, "{partitions} partitions");
    let mut again = left.made_again(&spec, &topic).unwrap();
    assert_eq!(again.window_offsets(), left.open.window_offsets());
    let epoch = left.epoch();
    assert_eq!(Left::rows(&mut again, &epoch), Left::rows(&mut left.open, &epoch));
}

#[test]
fn the_open_windows_made_again_are_those_of_the_checkpoint() {
    let ticks = memory::jittered_ticks(17, 8_000, 5, 4 * DAY_MS, START_MS);
    for (partitions, cap) in [(1, None), (2, Some(700)), (8, Some(1_500))] {
        check(&ticks, partitions, cap);
    }
}

#[test]
fn a_stretch_that_is_not_all_there_is_refused_with_its_offset() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), None);
    let mut topic = MemoryTopic::new(2);
    topic.append(&memory::jittered_ticks(19, 2_000, 5, 4 * DAY_MS, START_MS));
    run(&spec, &topic, 1);
    let left = Left::by(&spec);
    let error = left.made_again(&spec, &MemoryTopic::new(2)).err().unwrap();
    assert!(
        matches!(error.downcast_ref(), Some(ReplayError::Short { partition: 0, end: 0, .. })),
        "{error:#}"
    );
}

/// The present clock would believe every record; the epoch that read them did not.
#[test]
fn what_the_clock_refused_it_refuses_again() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), None);
    let mut topic = MemoryTopic::new(2);
    let ticks = memory::jittered_ticks(23, 2_000, 5, 4 * DAY_MS, START_MS);
    topic.append(&ticks);
    run(&spec, &topic, 1);
    let left = Left::by(&spec);
    let bound_of = |partition: i32, offset: i64, tick: &Tick| match (partition, offset % 3) {
        (0, 0) => Some(tick.event_time_ms - 1),
        (0, 1) => Some(tick.event_time_ms),
        _ => None,
    };
    let refusals = topic.entries().filter_map(|(partition, offset, tick)| {
        bound_of(partition, offset, tick).map(|bound_ms| ClockRefusal { partition, offset, bound_ms })
    });
    let mut again = left.made_again_but(&spec, &topic, refusals.collect()).unwrap();
    let counted: i64 = Left::rows(&mut again, &left.epoch()).iter().map(|(_, rows)| ticks_in(rows)).sum();
    let closed_ms = left.clock.closed_through_ms.unwrap();
    let is_open = |tick: &Tick| tick.event_time_ms.div_euclid(DAY_MS) * DAY_MS + DAY_MS > closed_ms;
    let believed = topic
        .entries()
        .filter(|(partition, offset, tick)| is_open(tick) && (*partition != 0 || offset % 3 != 0));
    assert_eq!(counted, believed.count() as i64);
}

fn ticks_in(rows: &RecordBatch) -> i64 {
    let counts = rows.column_by_name("tick_count").unwrap().as_primitive::<Int64Type>();
    counts.values().iter().sum()
}
