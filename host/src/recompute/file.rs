//! The rows of one published file made again, by the plugins that made them, and compared
//! with those that it holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use arrow_array::RecordBatch;
use serde::Serialize;
use speed_layer_core::commit::{Gap, OffsetMark, PluginUse};
use speed_layer_store::PublishedFile;
use speed_layer_store::footer::Recipe;

use super::components::Components;
use super::history::{Segment, segments};
use super::rows::{Rows, key_columns, starts_us};
use super::{bounds, epoch_of, ranges, ranges_of_window, recipe_of};
use crate::compare::{Comparison, compare};
use crate::config::JobSpec;
use crate::job::replay::{Choice, Judge, OpenWindows, Refold, Refused, RereadTopic, Stretch, read, store};
use crate::plan::{Plan, StageName};

/// What became of it.
#[derive(Debug, Serialize)]
pub struct FileReport {
    pub file: String,
    pub verdict: Verdict,
    pub records_read: u64,
    /// Records of which the clock refused a row when they were first read.
    pub clock_refusals: usize,
    pub rows_in_file: u64,
    pub rows_made: usize,
    /// Which plugins made the rows, in turn.
    pub turns: Vec<TurnReport>,
    /// Of the file's rows (old) and of those made again (new).
    pub comparison: Comparison,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Bit by bit.
    Same,
    /// The same but for the last bits of floats: sums were cut in other places.
    SameButForLastBits,
    Differs,
}

/// A part of the records, and the plugins that took them.
#[derive(Debug, Serialize)]
pub struct TurnReport {
    pub from_offsets: Vec<OffsetMark>,
    pub plugins: BTreeMap<String, PluginUse>,
}

/// The job of a file, with the settings that made it: those of its recipe, and of `spec`
/// what the recipe does not say. It has the one aggregate.
///
/// # Errors
/// The job is another one, or has no such aggregate or stages.
pub fn spec_of(file: &PublishedFile, spec: &JobSpec) -> anyhow::Result<JobSpec> {
    let recipe = recipe_of(file)?;
    let found = spec.aggregates.iter().find(|aggregate| aggregate.name == recipe.aggregate);
    let mut aggregate = found.cloned().with_context(|| {
        let names = spec.aggregates.iter().map(|of| of.name.as_str()).collect::<Vec<_>>().join(", ");
        format!(
            "the file is of aggregate {} of job {}; the job given has {names}",
            recipe.aggregate, file.footer.job
        )
    })?;
    aggregate.key.clone_from(&recipe.key);
    aggregate.keep_key_column = recipe.keep_key_column;
    aggregate.window_ms = recipe.window_ms.unsigned_abs();
    aggregate.watermark_ms = recipe.delay_ms.unsigned_abs();
    let transforms = recipe.stages.iter().filter(|stage| stage.stage.starts_with("transform:")).count();
    ensure!(
        transforms == spec.transforms.len(),
        "{transforms} transforms made the file, and the job given has {}; give the job as it was then",
        spec.transforms.len()
    );
    let mut spec = JobSpec { name: file.footer.job.to_string(), aggregates: vec![aggregate], ..spec.clone() };
    if let Some(range) = file.footer.offsets.first() {
        spec.source.topic.clone_from(&range.topic);
    }
    spec.clock.event_time.clone_from(&recipe.event_time);
    spec.clock.min_event_time_ms = recipe.min_event_time_ms;
    spec.clock.max_future_skew_ms = recipe.max_future_skew_ms;
    Ok(spec)
}

/// Makes the rows of `file` again. `job` is the whole job, `spec` what [`spec_of`] made of it.
///
/// # Errors
/// It is not possible: records or plugins are gone, or the footer does not say enough.
pub fn recompute<T: RereadTopic>(
    file: &PublishedFile,
    job: &JobSpec,
    spec: &JobSpec,
    components: &Components,
    topic: &T,
) -> anyhow::Result<FileReport> {
    let recipe = recipe_of(file)?;
    let mut published = Rows::default();
    published.add(&recipe.path, &RecordBatch::new_empty(Arc::clone(&file.schema)), |_| true)?;
    let mut chosen = BTreeMap::new();
    for batch in file.read_rows()? {
        let starts = starts_us(&batch)?;
        chosen
            .extend(starts.into_iter().map(|start_us| (start_us, ranges_of_window(file, recipe, start_us))));
        published.add(&recipe.path, &batch, |_| true)?;
    }
    let stretch = Stretch {
        topic_id: recipe.topic_id.clone(),
        ..Stretch::new(&spec.source.topic, ranges(&file.footer.offsets))
    };
    refuse_gaps(&file.footer.gaps, &stretch)?;
    let named = JobSpec { name: spec.name.clone(), ..job.clone() };
    let refused = Refused::read(store(&named)?.layout(), &stretch)?;
    let clock_refusals = refused.count();
    let judge = Judge { bounds: bounds(recipe)?, skew_ms: recipe.max_future_skew_ms, refused };
    let turns = segments(&recipe.stages, &stretch)?;
    let again = Again { file, recipe, spec, components, judge, choice: Choice::Windows(chosen) };
    let (mut open, records_read) = again.fold(&turns, topic)?;
    let closed = open.close(&epoch_of(file, recipe).for_aggregate(0), Some(i64::MAX))?;
    let mut made = Rows::default();
    made.add(&recipe.path, &RecordBatch::new_empty(open.output_schema()), |_| true)?;
    for part in closed.parts.iter().filter(|part| part.path == recipe.path) {
        made.add(&part.path, &part.rows, |_| true)?;
    }
    let (published, made) = (published.all()?, made.all()?);
    let comparison = compare(&published, &made, &key_columns(&recipe.key))?;
    Ok(FileReport {
        file: file.path.display().to_string(),
        verdict: Verdict::of(&comparison),
        records_read,
        clock_refusals,
        rows_in_file: file.rows,
        rows_made: made.num_rows(),
        turns: turns.into_iter().map(TurnReport::of).collect(),
        comparison,
    })
}

/// What rows are made again with.
struct Again<'a> {
    file: &'a PublishedFile,
    recipe: &'a Recipe,
    spec: &'a JobSpec,
    components: &'a Components,
    judge: Judge,
    choice: Choice,
}

impl Again<'_> {
    /// Takes each turn's records through its plugins, which take over the windows of those
    /// before them, as they did in the job.
    fn fold<T: RereadTopic>(&self, turns: &[Segment], topic: &T) -> anyhow::Result<(OpenWindows, u64)> {
        let epoch = epoch_of(self.file, self.recipe);
        let (mut before, mut records) = (Vec::new(), 0);
        for turn in turns {
            let plan = Arc::new(self.plan(turn)?);
            let mut refold =
                Refold::open(&plan, epoch.clone(), self.judge.clone(), vec![self.choice.clone()])?;
            refold.leave_poison_out();
            refold.take_over(&before)?;
            records += read(topic, &turn.stretch, &mut |batch| refold.take(batch))?;
            before = refold.finish()?;
        }
        let open = before.pop().context("the footer names no records that the rows were made of")?;
        Ok((open, records))
    }

    fn plan(&self, turn: &Segment) -> anyhow::Result<Plan> {
        Plan::make(&self.spec.of_the_past(), &|name: &StageName, stage| {
            let used = turn.stages.get(&name.to_string());
            let used = used.with_context(|| format!("the footer names no plugin of stage {name}"))?;
            self.components.get(&name.to_string(), used, stage)
        })
    }
}

impl Verdict {
    fn of(comparison: &Comparison) -> Self {
        let has_more_columns = !comparison.only_new_columns.is_empty();
        match comparison {
            same if same.is_equal() && !has_more_columns => Self::Same,
            near if near.is_nearly_equal() && !has_more_columns => Self::SameButForLastBits,
            _ => Self::Differs,
        }
    }
}

impl TurnReport {
    fn of(turn: Segment) -> Self {
        let topic = turn.stretch.topic;
        let mark = |(partition, range): (i32, std::ops::Range<i64>)| OffsetMark {
            topic: topic.clone(),
            partition,
            offset: range.start,
        };
        Self { from_offsets: turn.stretch.ranges.into_iter().map(mark).collect(), plugins: turn.stages }
    }
}

/// Records that were never read, or that are not those that were.
fn refuse_gaps(gaps: &[Gap], stretch: &Stretch) -> anyhow::Result<()> {
    let inside = gaps
        .iter()
        .find(|gap| gap.topic == stretch.topic && stretch.overlaps(gap.partition, &(gap.from..gap.to)));
    match inside {
        None => Ok(()),
        Some(gap) => bail!(
            "the rows were made over a gap (partition {}, offsets {} to {}: {}), so that what was read then cannot be \
             told from what is there now",
            gap.partition,
            gap.from,
            gap.to,
            gap.reason
        ),
    }
}
