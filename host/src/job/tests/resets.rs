//! Swaps over records in memory that do not go on with the open windows: what they held is
//! in the partial output, what came later of them is withheld, and every other window is
//! that of a job that never was swapped.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::bounded;

use super::memory::{self, MemoryFeed, MemoryTopic, Tick};
use super::recomputed::{batches, partial, published, recompute, table_of};
use super::swaps::{plugin, swap_with, variant};
use super::{DAY_MS, START_MS, open, run, spec};
use crate::config::JobSpec;
use crate::job::open::Opened;
use crate::job::swap::{Outcome, Windows};
use crate::job::{JobHandle, Progress, Summary};
use crate::plan::StageName;

/// The commits between which the swap is prepared: the job waits for it before the second.
const WAITS_AT: [u64; 2] = [3, 8];

/// The first offset of each partition that a swap's plugin counts.
type Cut = BTreeMap<i32, i64>;

/// Runs a job to its end while its aggregate is swapped for another digest of the same.
pub fn run_with_swap(
    spec: &JobSpec,
    opened: Opened<'_, MemoryFeed>,
    windows: Windows,
) -> (Summary, anyhow::Result<Outcome>) {
    let daily = StageName::Aggregate("daily".into());
    run_with_swap_of(&daily, &variant(&plugin(spec, "ohlcv"), "another"), opened, windows)
}

/// The same for any stage.
pub fn run_with_swap_of(
    stage: &StageName,
    component: &[u8],
    opened: Opened<'_, MemoryFeed>,
    windows: Windows,
) -> (Summary, anyhow::Result<Outcome>) {
    let swapper = Arc::clone(&opened.swapper);
    let (begun, has_begun) = bounded(1);
    let (prepared, is_prepared) = bounded(2);
    thread::scope(|scope| {
        let swap = scope.spawn(|| {
            has_begun.recv().unwrap();
            let swapped = swap_with(&swapper, stage, component, windows, &mut || prepared.send(()).unwrap());
            // One that was refused is not waited for either.
            prepared.send(()).unwrap();
            swapped
        });
        let mut wait = |progress: &Progress| match WAITS_AT {
            [at, _] if progress.epoch == at => begun.send(()).unwrap(),
            [_, at] if progress.epoch == at => is_prepared.recv().unwrap(),
            _ => {}
        };
        let summary = opened.run(&JobHandle::default(), &mut wait).unwrap();
        summary.account.check().unwrap();
        (summary, swap.join().unwrap())
    })
}

/// Runs a job in which a reset happens while the first part of `ticks` is read.
fn check(ticks: &[Tick], stops: &[usize], workers: usize) {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), Some(2_000));
    let mut topic = MemoryTopic::new(4);
    let parts = memory::split(ticks, stops);
    topic.append(parts[0]);
    let opened = open(&spec, &topic, workers);
    let (summary, swapped) = run_with_swap(&spec, opened, Windows::Reset);
    let cut: Cut = match swapped.unwrap() {
        Outcome::Swapped { from_offsets, .. } => {
            from_offsets.into_iter().map(|mark| (mark.partition, mark.offset)).collect()
        }
        other => panic!("{other:?}"),
    };
    let mut withheld = summary.account.aggregates["daily"].withheld;
    for part in &parts[1..] {
        topic.append(part);
        let summary = run(&spec, &topic, workers);
        summary.account.check().unwrap();
        withheld += summary.account.aggregates["daily"].withheld;
    }
    check_windows(&spec.aggregates[0].output, ticks, &topic, &cut, withheld);
}

fn check_windows(output: &Path, ticks: &[Tick], topic: &MemoryTopic, cut: &Cut, withheld: u64) {
    let is_before = |entry: &(i32, i64, &Tick)| entry.1 < cut[&entry.0];
    let greatest_ms = topic.entries().filter(is_before).map(|(_, _, tick)| tick.event_time_ms).max().unwrap();
    let until_ms = (greatest_ms.div_euclid(DAY_MS) + 1) * DAY_MS;
    let partial = partial(&output.with_file_name("daily.partial").join("daily/aggregate=daily"));
    let so_far = table_of(topic.entries().filter(is_before), DAY_MS);
    assert!(!partial.is_empty());
    partial.iter().for_each(|(group, row)| assert_eq!(Some(row), so_far.get(group), "{group:?}"));
    let mut expected = recompute(ticks, topic, DAY_MS, 3_600_000);
    expected
        .retain(|group, _| group.1 >= until_ms || so_far.contains_key(group) && !partial.contains_key(group));
    assert!(expected.keys().any(|group| group.1 >= until_ms));
    assert_eq!(published(output), expected);
    let closed = |group: &&(String, i64)| expected.contains_key(*group) && group.1 < until_ms;
    assert_eq!(so_far.keys().filter(closed).count() + partial.len(), so_far.len());
    let came_after = |entry: &(i32, i64, &Tick)| !is_before(entry) && entry.2.event_time_ms < until_ms;
    assert_eq!(withheld, topic.entries().filter(came_after).count() as u64);
    let late = batches(&output.with_file_name("daily.late").join("daily"));
    assert_eq!(late.iter().map(|batch| batch.num_rows() as u64).sum::<u64>(), withheld);
}

#[test]
fn a_reset_writes_down_what_was_open_and_begins_with_the_next_window() {
    let ticks = memory::jittered_ticks(17, 200_000, 20, 6 * DAY_MS, START_MS);
    check(&ticks, &[], 2);
    check(&ticks, &[], 1);
}

#[test]
fn a_reset_holds_after_restarts() {
    let ticks = memory::jittered_ticks(19, 200_000, 20, 6 * DAY_MS, START_MS);
    check(&ticks, &[100_000, 100_001, 130_000], 2);
}
