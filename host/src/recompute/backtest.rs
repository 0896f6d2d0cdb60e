//! What plugins would have made of a stretch of the past, compared with what was published.
//! A window counts where all of its records lie in the stretch, which the footers of its
//! files tell; others are left out and counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::ensure;
use arrow_array::RecordBatch;
use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use speed_layer_core::account::Account;
use speed_layer_kafka::TopicFacts;
use speed_layer_store::footer::OffsetRange;

use super::epoch_of;
use super::published::{Published, widen};
use super::rows::{Rows, by_window, key_columns};
use crate::compare::{Comparison, compare};
use crate::config::JobSpec;
use crate::job::replay::{
    Choice, Judge, OffsetRanges, Refold, Refused, RereadTopic, Stretch, clock_bounds, read, store,
};
use crate::plan::Plan;

/// Windows that are told one by one.
const WINDOWS_TOLD_MAX: usize = 1_000;

/// What differs between what was published (old) and what was made (new).
#[derive(Debug, Serialize)]
pub struct BacktestReport {
    pub aggregate: String,
    pub against: String,
    pub plugins: BTreeMap<String, String>,
    pub offsets: Vec<OffsetRange>,
    pub records_read: u64,
    pub rows: RowCounts,
    /// Records of which the clock refused a row when they were first read.
    pub clock_refusals: usize,
    pub windows: WindowCounts,
    /// Published files that do not say what they are made of; their rows are left out.
    pub files_left_out: usize,
    pub comparison: Comparison,
    /// Those that differ by more than the last bits of floats, oldest first; a thousand at most.
    pub differing_windows: Vec<WindowDifferences>,
}

/// What became of the records that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RowCounts {
    /// Of the windows compared.
    pub aggregated: u64,
    /// By transforms.
    pub filtered: u64,
    /// Records by the parser, rows by transforms, the clock and the aggregate.
    pub dead_lettered: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WindowCounts {
    pub compared: usize,
    pub differing: usize,
    /// Not wholly within the stretch.
    pub left_out: usize,
}

#[derive(Debug, Serialize)]
pub struct WindowDifferences {
    /// RFC 3339, UTC.
    pub window_start: String,
    pub rows_only_old: u64,
    pub rows_only_new: u64,
    /// Differing values by column.
    pub columns: BTreeMap<String, u64>,
}

impl BacktestReport {
    /// Nothing differs but the last bits of floats.
    pub fn is_same(&self) -> bool {
        self.comparison.is_nearly_equal() && self.comparison.only_new_columns.is_empty()
    }
}

/// Runs the plugins of `plan` over the records of the published windows that lie wholly
/// between `from` (by partition; without one, its first record there is) and the end of the
/// topic as it is now. `job` is the whole job, `spec` what [`Published::spec_of`] made of it.
///
/// # Errors
/// No window lies in the stretch, it cannot be read, or a plugin fails.
pub fn backtest<T: RereadTopic>(
    job: &JobSpec,
    spec: &JobSpec,
    published: &Published,
    from: &BTreeMap<i32, i64>,
    plan: &Arc<Plan>,
    topic: &T,
) -> anyhow::Result<BacktestReport> {
    let recipe = published.recipe()?;
    let mut windows = published.windows()?;
    let known = windows.len();
    let facts = topic.facts()?;
    windows.retain(|_, ranges| is_within(ranges, from, &facts));
    ensure!(
        !windows.is_empty(),
        "none of the {known} windows below {} lies wholly within the stretch of topic {}: begin further back, or \
         compare with newer files",
        published.folder.display(),
        spec.source.topic
    );
    let stretch = stretch_of(&windows, &spec.source.topic, recipe.topic_id.as_deref());
    let refused = Refused::read(store(job)?.layout(), &stretch)?;
    let clock_refusals = refused.count();
    let judge = Judge { bounds: clock_bounds(&spec.clock)?, skew_ms: spec.clock.max_future_skew_ms, refused };
    let epoch = epoch_of(published.newest()?, recipe);
    let mut refold = Refold::open(plan, epoch.clone(), judge, vec![Choice::Windows(windows.clone())])?;
    refold.leave_poison_out();
    let records_read = read(topic, &stretch, &mut |records| refold.take(records))?;
    refold.settle()?;
    let rows = RowCounts::of(refold.account());
    let mut made = Rows::default();
    for mut open in refold.finish()? {
        made.add(&recipe.path, &RecordBatch::new_empty(open.output_schema()), |_| true)?;
        for part in open.close(&epoch.for_aggregate(0), Some(i64::MAX))?.parts {
            made.add(&part.path, &part.rows, |_| true)?;
        }
    }
    let (old, new) = (published.rows_of(&windows)?, made.all()?);
    let (comparison, differing) = by_windows(&old, &new, &recipe.key)?;
    Ok(BacktestReport {
        aggregate: recipe.aggregate.clone(),
        against: published.folder.display().to_string(),
        plugins: plugins(plan),
        offsets: offsets(&stretch),
        records_read,
        rows,
        clock_refusals,
        windows: WindowCounts {
            compared: windows.len(),
            differing: differing.len(),
            left_out: known - windows.len(),
        },
        files_left_out: published.unknown,
        comparison,
        differing_windows: differing.into_iter().take(WINDOWS_TOLD_MAX).collect(),
    })
}

impl RowCounts {
    fn of(account: &Account) -> Self {
        let of_aggregates = || account.aggregates.values();
        let before = account.dead_lettered;
        let by_aggregate: u64 = of_aggregates().map(|of| of.dead_lettered).sum();
        Self {
            aggregated: of_aggregates().map(|of| of.aggregated).sum(),
            filtered: account.rows_filtered,
            dead_lettered: before.parse + before.transform + before.clock + by_aggregate,
        }
    }
}

/// Whether all records of a window are still there, and none lies before `from`.
fn is_within(ranges: &OffsetRanges, from: &BTreeMap<i32, i64>, facts: &TopicFacts) -> bool {
    ranges.iter().all(|(partition, range)| {
        let now = facts.partitions.iter().find(|now| now.partition == *partition);
        let begin = from.get(partition).copied().unwrap_or(0);
        now.is_some_and(|now| begin.max(now.log_start) <= range.start && range.end <= now.last_stable)
    })
}

/// From the lowest offset of any window to the greatest.
fn stretch_of(windows: &BTreeMap<i64, OffsetRanges>, topic: &str, topic_id: Option<&str>) -> Stretch {
    let mut whole = OffsetRanges::new();
    windows.values().for_each(|ranges| widen(&mut whole, ranges));
    Stretch { topic_id: topic_id.map(str::to_owned), ..Stretch::new(topic, whole) }
}

fn offsets(stretch: &Stretch) -> Vec<OffsetRange> {
    let range = |(&partition, range): (&i32, &std::ops::Range<i64>)| OffsetRange {
        topic: stretch.topic.clone(),
        partition,
        lowest: range.start,
        cut: range.end,
    };
    stretch.ranges.iter().map(range).collect()
}

fn plugins(plan: &Plan) -> BTreeMap<String, String> {
    let named = |stage: &crate::plan::StageName| {
        let (plugin, _) = plan.plugin(stage)?;
        Some((stage.to_string(), plugin.id().to_string()))
    };
    plan.stages().iter().filter_map(named).collect()
}

/// Window by window, and all of them together.
fn by_windows(
    old: &RecordBatch,
    new: &RecordBatch,
    key: &[String],
) -> anyhow::Result<(Comparison, Vec<WindowDifferences>)> {
    let keys = key_columns(key);
    let (old_windows, new_windows) = (by_window(old)?, by_window(new)?);
    let (no_old, no_new) = (old.slice(0, 0), new.slice(0, 0));
    let starts: BTreeSet<i64> = old_windows.keys().chain(new_windows.keys()).copied().collect();
    let mut all = compare(&no_old, &no_new, &keys)?;
    let mut differing = Vec::new();
    for start_us in starts {
        let (old, new) = (old_windows.get(&start_us), new_windows.get(&start_us));
        let found = compare(old.unwrap_or(&no_old), new.unwrap_or(&no_new), &keys)?;
        if !found.is_nearly_equal() {
            differing.push(WindowDifferences::of(start_us, &found));
        }
        all.add(found);
    }
    Ok((all, differing))
}

impl WindowDifferences {
    fn of(start_us: i64, found: &Comparison) -> Self {
        let start = DateTime::from_timestamp_micros(start_us);
        let text = start.map(|start| start.to_rfc3339_opts(SecondsFormat::AutoSi, true));
        let differing = found.columns.iter().map(|of| (of.column.clone(), of.differing - of.last_bits));
        Self {
            window_start: text.unwrap_or_else(|| format!("{start_us} us")),
            rows_only_old: found.only_old,
            rows_only_new: found.only_new,
            columns: differing.filter(|(_, count)| *count > 0).collect(),
        }
    }
}
