//! New aggregates built from the job's first record on, over records in memory: their windows
//! are those of a job that had them from the beginning, however the job was cut before.

use super::memory::{self, MemoryTopic, Tick};
use super::recomputed::{published, recompute};
use super::{DAY_MS, START_MS, run, spec, try_open};
use crate::config::{AggregateChanges, JobSpec};
use crate::job::commit::Joined;
use crate::job::open::store;
use crate::job::{JobHandle, Summary};
use speed_layer_store::peek;

const HOUR_MS: i64 = 3_600_000;

/// The same job with an hourly table that is to be built.
fn with_hourly(daily: &JobSpec, delay_ms: u64) -> JobSpec {
    let mut spec = daily.clone();
    let mut hourly = spec.aggregates[0].clone();
    hourly.name = "hourly".to_owned();
    (hourly.window_ms, hourly.watermark_ms) = (HOUR_MS.unsigned_abs(), delay_ms);
    hourly.output = hourly.output.with_file_name("hourly");
    spec.aggregates.push(hourly);
    spec.changes = AggregateChanges { backfill: vec!["hourly".to_owned()], ..AggregateChanges::default() };
    spec
}

fn joined(summary: &Summary) -> &Joined {
    let joined = summary.backfilled.as_ref().expect("it was built");
    joined.account.check().unwrap();
    joined
}

/// Runs a job over the parts of `ticks`; the hourly table comes with the part `at`.
fn check(ticks: &[Tick], partitions: i32, cap: Option<u64>, stops: &[usize], at: usize) {
    let folder = tempfile::tempdir().unwrap();
    let daily = spec(folder.path(), cap);
    let both = with_hourly(&daily, HOUR_MS.unsigned_abs());
    let mut topic = MemoryTopic::new(partitions);
    for (number, part) in memory::split(ticks, stops).into_iter().enumerate() {
        let read_before = topic.entries().count() as u64;
        topic.append(part);
        let summary = run(if number < at { &daily } else { &both }, &topic, 2);
        summary.account.check().unwrap();
        assert_eq!(summary.account.records_in, part.len() as u64);
        assert_eq!(summary.backfilled.is_some(), number == at && at > 0);
        if summary.backfilled.is_some() {
            let account = &joined(&summary).account;
            assert_eq!((account.records_in, account.aggregates["hourly"].late), (read_before, 0));
        }
    }
    for (aggregate, window_ms) in both.aggregates.iter().zip([DAY_MS, HOUR_MS]) {
        let expected = recompute(ticks, &topic, window_ms, HOUR_MS);
        assert!(!expected.is_empty());
        assert_eq!(published(&aggregate.output), expected, "{partitions} partitions, {cap:?}, {stops:?}");
    }
}

#[test]
fn the_windows_are_those_of_an_aggregate_that_was_there_from_the_beginning() {
    let ticks = memory::jittered_ticks(31, 24_000, 5, 6 * DAY_MS, START_MS);
    check(&ticks, 1, None, &[20_000], 1);
    check(&ticks, 2, Some(700), &[3_000, 12_345], 1);
    check(&ticks, 2, Some(700), &[3_000, 12_345], 2);
    check(&ticks, 8, Some(1_500), &[1, 10, 23_000], 3);
    check(&ticks, 4, Some(9_000), &[23_999], 1);
    check(&ticks, 2, None, &[12_000], 0);
}

#[test]
fn rows_that_would_have_been_late_are_told_of_and_no_window_is_there_twice() {
    let folder = tempfile::tempdir().unwrap();
    let daily = spec(folder.path(), Some(8_000));
    let both = with_hourly(&daily, 0);
    let mut topic = MemoryTopic::new(2);
    let ticks = memory::jittered_ticks(37, 40_000, 5, 6 * DAY_MS, START_MS);
    topic.append(&ticks);
    run(&daily, &topic, 2);
    let summary = run(&both, &topic, 2);
    let joined = joined(&summary);
    let hourly = joined.account.aggregates["hourly"];
    assert!(hourly.late > 0 && hourly.aggregated + hourly.late == 40_000, "{hourly:?}");
    let late = both.aggregates[0].output.with_file_name("daily.late").join("daily");
    let rows: usize = super::recomputed::batches(&late).iter().map(|batch| batch.num_rows()).sum();
    assert_eq!(rows as u64, hourly.late);
    let table = published(&both.aggregates[1].output);
    assert_eq!(table.len() as u64, joined.windows_out);
    let counted: i64 = table.values().map(|row| row.ticks).sum();
    assert!(counted.unsigned_abs() <= hourly.aggregated);
}

#[test]
fn what_does_not_fit_into_memory_is_refused_and_the_job_is_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let daily = spec(folder.path(), Some(2_000));
    let mut both = with_hourly(&daily, 100 * DAY_MS.unsigned_abs());
    let mut topic = MemoryTopic::new(2);
    topic.append(&memory::jittered_ticks(41, 20_000, 40, 6 * DAY_MS, START_MS));
    run(&daily, &topic, 2);
    let before = peek(&store(&daily).unwrap()).unwrap();
    both.memory_max = Some(1_000_000);
    let refused = try_open(&both, &topic, 2).err().map(|error| format!("{error:#}")).unwrap_or_default();
    for part in ["--backfill", "hourly", "open groups", "`memory_max`", "the job is as it was"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    assert_eq!(peek(&store(&daily).unwrap()).unwrap(), before);
    assert!(!both.aggregates[1].output.exists());
    both.memory_max = None;
    let opened = try_open(&both, &topic, 2).unwrap();
    let summary = opened.run(&JobHandle::default(), &mut |_| {}).unwrap();
    assert_eq!(joined(&summary).windows_out, 0, "nothing is closed yet");
}
