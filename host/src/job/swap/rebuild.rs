//! The open windows made anew by a new plugin, from the topic. All up to where the job
//! stands is read beside the stream, leg by leg; what has come since is read after the cut,
//! while the workers go on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use speed_layer_core::commit::{OffsetMark, PartitionProgress, Progress};
use speed_layer_core::group::WindowOffset;
use speed_layer_core::records::Records;
use speed_layer_kafka::TopicFacts;
use speed_layer_store::inspect::read_newest;
use speed_layer_store::{Checkpoint, DiskLayer, Layout, PosixStore};
use tracing::info;

use super::asked::Windows;
use super::under_way::TakenBack;
use crate::config::{JobSpec, SourceSpec};
use crate::job::commit::clock_bounds;
use crate::job::now_ms;
use crate::job::open_windows::OpenWindows;
use crate::job::replay::{Choice, Judge, KafkaTopic, Refold, Refused, RereadTopic, Stretch, read};
use crate::job::stored;
use crate::plan::{AggregatePlan, Plan, StageName};
use crate::stages::EpochContext;

/// Legs that are read beside the stream at most: a topic that is written to faster than it
/// is read is never caught up with.
const LEGS_MAX: usize = 16;
/// After a leg that took no longer, the rest is short enough for a probation.
const LAST_LEG: Duration = Duration::from_millis(500);

/// So often a checkpoint is read until one is whole.
const READS_MAX: usize = 8;

/// The topic of the running job, to be read beside it.
pub trait Topic: Send + Sync {
    /// # Errors
    /// No broker answers.
    fn facts(&self) -> anyhow::Result<TopicFacts>;

    /// Gives all records of a stretch to `take`.
    ///
    /// # Errors
    /// They are not all there, or that of `take`.
    fn read(
        &self,
        stretch: &Stretch,
        wants_headers: bool,
        take: &mut dyn FnMut(&Records) -> anyhow::Result<()>,
    ) -> anyhow::Result<u64>;
}

/// A topic of Kafka's.
pub struct OfKafka {
    pub source: SourceSpec,
    pub job: String,
}

impl Topic for OfKafka {
    fn facts(&self) -> anyhow::Result<TopicFacts> {
        KafkaTopic::of(&self.source, &self.job, false)?.facts()
    }

    fn read(
        &self,
        stretch: &Stretch,
        wants_headers: bool,
        take: &mut dyn FnMut(&Records) -> anyhow::Result<()>,
    ) -> anyhow::Result<u64> {
        read(&KafkaTopic::of(&self.source, &self.job, wants_headers)?, stretch, take)
    }
}

/// Windows that are being made anew.
pub struct Rebuild {
    topic: Arc<dyn Topic>,
    topic_name: String,
    topic_id: Option<String>,
    /// Where the dead letters are that say what the clock refused.
    layout: Layout,
    wants_headers: bool,
    refold: Refold,
    /// How far each partition is read.
    at: BTreeMap<i32, i64>,
    /// From where each was.
    pub from: Vec<OffsetMark>,
    /// The rows are those that the plugin before had, so the groups must be, too.
    has_same_rows: bool,
}

impl std::fmt::Debug for Rebuild {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rebuild").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Rebuild {
    /// Begins with the windows that are open in the newest checkpoint; reads nothing yet,
    /// but sees that all records are there.
    ///
    /// # Errors
    /// They are not, or the job has no checkpoint yet.
    pub fn begin(
        spec: &JobSpec,
        plan: &Arc<Plan>,
        stage: &StageName,
        windows: &[Windows],
        topic: Arc<dyn Topic>,
        layout: &Layout,
    ) -> anyhow::Result<Self> {
        let checkpoint = newest(layout)?;
        let progress = &checkpoint.manifest.progress;
        let (cut, topic_name) = (marks(progress), spec.source.topic.clone());
        let stretch = Stretch::of_windows(&topic_name, offsets(plan, windows, &checkpoint), &cut);
        let topic_id = progress.partitions.iter().find_map(|of: &PartitionProgress| of.topic_id.clone());
        let stretch = Stretch { topic_id: topic_id.clone(), ..stretch };
        stretch.check(&topic.facts()?)?;
        let start = |mark: &OffsetMark| {
            let offset = stretch.ranges.get(&mark.partition).map_or(mark.offset, |range| range.start);
            OffsetMark { offset, ..mark.clone() }
        };
        let from: Vec<OffsetMark> = cut.iter().map(start).collect();
        Ok(Self {
            topic,
            topic_name,
            topic_id,
            layout: layout.clone(),
            wants_headers: plan.parse.reads.headers,
            refold: refold(spec, plan, windows, &checkpoint)?,
            at: from.iter().map(|mark| (mark.partition, mark.offset)).collect(),
            from,
            has_same_rows: matches!(stage, StageName::Aggregate(_)),
        })
    }

    /// Reads until little is left of what the job has committed.
    ///
    /// # Errors
    /// Records are gone, or the plugin failed on some.
    pub fn catch_up(&mut self, taken_back: &TakenBack) -> anyhow::Result<()> {
        for leg in 1..=LEGS_MAX {
            let began = Instant::now();
            let cut = marks(&newest(&self.layout)?.manifest.progress);
            let count = self.read_to(&cut, &|| taken_back.by().is_some())?;
            info!(
                leg,
                records = count,
                ms = began.elapsed().as_millis() as u64,
                "open windows are made anew"
            );
            if began.elapsed() <= LAST_LEG {
                break;
            }
        }
        Ok(())
    }

    /// Reads the rest up to the cut, and gives the windows, one an aggregate. `before` are
    /// those that were open at the cut.
    ///
    /// # Errors
    /// As [`Self::catch_up`].
    pub fn finish(mut self, before: &[&OpenWindows], cut: &[OffsetMark]) -> anyhow::Result<Vec<OpenWindows>> {
        for WindowOffset { partition, offset, .. } in before.iter().flat_map(|open| open.window_offsets()) {
            // A partition that the job has taken on since.
            self.at.entry(partition).or_insert(offset);
        }
        self.read_to(cut, &|| false)?;
        self.refold.finish()
    }

    pub fn has_same_rows(&self) -> bool {
        self.has_same_rows
    }

    fn read_to(&mut self, cut: &[OffsetMark], is_over: &dyn Fn() -> bool) -> anyhow::Result<u64> {
        let range = |mark: &OffsetMark| {
            let at = self.at.get(&mark.partition).copied().unwrap_or(mark.offset);
            (mark.partition, at..mark.offset)
        };
        let stretch = Stretch::new(&self.topic_name, cut.iter().map(range));
        let stretch = Stretch { topic_id: self.topic_id.clone(), ..stretch };
        let refold = &mut self.refold;
        refold.judge(Refused::read(&self.layout, &stretch)?);
        let count = self.topic.read(&stretch, self.wants_headers, &mut |records| {
            ensure!(!is_over(), "the swap was taken back");
            refold.take(records)
        })?;
        refold.settle()?;
        self.at.extend(cut.iter().map(|mark| (mark.partition, mark.offset)));
        Ok(count)
    }
}

/// Refuses windows that lack a group or a first record of those that were open. There may
/// be more: a record that the plugin before failed on counts now.
///
/// # Errors
/// They do.
pub fn check_groups(before: &OpenWindows, after: &OpenWindows) -> anyhow::Result<()> {
    let place = |of: WindowOffset| ((of.start_us, of.partition), of.offset);
    let lowest: BTreeMap<(i64, i32), i64> = after.window_offsets().into_iter().map(place).collect();
    let is_there =
        |(place, offset): ((i64, i32), i64)| lowest.get(&place).is_some_and(|lowest| *lowest <= offset);
    ensure!(
        after.len() >= before.len() && before.window_offsets().into_iter().map(place).all(is_there),
        "the records give {} groups in the open windows of aggregate {} and gave {} before: some are gone from the \
         topic, which may be compacted, or the plugin fails on them",
        after.len(),
        before.name,
        before.len()
    );
    Ok(())
}

/// The newest checkpoint of the running job, which goes on committing.
fn newest(layout: &Layout) -> anyhow::Result<Checkpoint> {
    let store = PosixStore::new(DiskLayer, layout.clone());
    let mut read = None;
    for _ in 0..READS_MAX {
        // What it builds upon may be dropped between two looks.
        read = read_newest(&store)?.into_iter().next().and_then(|one| one.content.ok());
        if read.is_some() {
            break;
        }
    }
    read.context("the job has no checkpoint yet that would say which windows are open; try again after its first commit")
}

fn marks(progress: &Progress) -> Vec<OffsetMark> {
    let mark = |of: &PartitionProgress| OffsetMark {
        topic: of.topic.clone(),
        partition: of.partition,
        offset: of.next_offset,
    };
    progress.partitions.iter().map(mark).collect()
}

/// The lowest contributing offsets of all windows that are made anew.
fn offsets<'a>(
    plan: &'a Plan,
    windows: &'a [Windows],
    checkpoint: &'a Checkpoint,
) -> impl Iterator<Item = WindowOffset> + 'a {
    let anew = plan.aggregates.iter().zip(windows).filter(|(_, windows)| **windows == Windows::Rebuild);
    let states =
        anew.filter_map(move |(plan, _)| checkpoint.states.iter().find(|(name, _)| *name == plan.spec.name));
    states.flat_map(move |(name, stored)| {
        let of = checkpoint.manifest.progress.aggregates.iter().find(|of| of.name == *name);
        let (window_us, closed_us) = of.map_or((0, i64::MIN), |of| {
            (
                of.window_ms.saturating_mul(1000),
                of.closed_through_ms.map_or(i64::MIN, |ms| ms.saturating_mul(1000)),
            )
        });
        // Those that are held are finished by the plugin before.
        let is_open = move |of: &WindowOffset| of.start_us.saturating_add(window_us) > closed_us;
        stored.offsets.iter().copied().filter(is_open)
    })
}

fn refold(
    spec: &JobSpec,
    plan: &Arc<Plan>,
    windows: &[Windows],
    checkpoint: &Checkpoint,
) -> anyhow::Result<Refold> {
    let clock = |of: &AggregatePlan| stored::clock_of(&of.spec.name, Some(checkpoint), &[]);
    let epoch = EpochContext {
        epoch: checkpoint.manifest.epoch.0,
        epoch_began_ms: now_ms(),
        aggregates: plan.aggregates.iter().map(clock).collect(),
    };
    let choices = windows.iter().map(|windows| match windows {
        Windows::Rebuild => Choice::Open,
        Windows::TakeOver | Windows::Reset => Choice::Windows(BTreeMap::new()),
    });
    let judge = Judge {
        bounds: clock_bounds(&spec.clock)?,
        skew_ms: spec.clock.max_future_skew_ms,
        refused: Refused::default(),
    };
    Refold::open(plan, epoch, judge, choices.collect())
}
