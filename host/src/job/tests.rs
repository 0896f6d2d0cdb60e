//! The whole engine over records in memory: real plugins, real store, any cut. What
//! comes out is compared with a plain recomputation, however the records are dealt to
//! workers, cut into commits and interrupted by restarts.

mod backfills;
mod drifting;
mod groups;
mod hostile;
mod memory;
mod poison;
mod rebuilds;
mod recomputed;
mod recomputes;
mod replays;
mod resets;
mod shadow;
mod swaps;
mod trust;

use std::path::Path;

use memory::{MemoryFeed, MemoryTopic, Tick};
use recomputed::{published, recompute};

use super::open::{Opened, Planned, Started, store};
use super::positions::{self, Beginnings};
use super::{JobHandle, Summary};
use crate::config::{self, JobSpec, RunFlags};

const DAY_MS: i64 = 86_400_000;
const START_MS: i64 = 1_761_955_200_000;

/// The crypto job over memory, its plugins those that `cargo xtask build` leaves.
fn spec(folder: &Path, cap: Option<u64>) -> JobSpec {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/plugins");
    assert!(
        plugins.join("ohlcv.wasm").is_file(),
        "no plugins in {}; run `cargo xtask build` first",
        plugins.display()
    );
    config::load(RunFlags {
        brokers: Some("memory".into()),
        topic: Some("ticks".into()),
        parse: Some(plugins.join("ticker_json.wasm")),
        transform: vec![plugins.join("ticker_time.wasm")],
        aggregate: Some(plugins.join("ohlcv.wasm")),
        output: Some(folder.join("daily")),
        checkpoint: Some(folder.join("checkpoint")),
        plugin_cache: Some(std::env::temp_dir().join("speed-layer-tests-plugin-cache")),
        trigger: Some("available-now".into()),
        max_records_per_trigger: cap,
        ..RunFlags::default()
    })
    .unwrap()
}

/// One bounded run over what the topic holds now.
fn run(spec: &JobSpec, topic: &MemoryTopic, workers: usize) -> Summary {
    open(spec, topic, workers).run(&JobHandle::default(), &mut |_| {}).unwrap()
}

/// A job that is ready to run over what the topic holds now.
fn open<'a>(spec: &'a JobSpec, topic: &MemoryTopic, workers: usize) -> Opened<'a, MemoryFeed> {
    try_open(spec, topic, workers).unwrap()
}

/// The same for one that may be refused.
fn try_open<'a>(
    spec: &'a JobSpec,
    topic: &MemoryTopic,
    workers: usize,
) -> anyhow::Result<Opened<'a, MemoryFeed>> {
    let planned = Planned::of(spec, store(spec)?)?.without_dropped(|_| Ok(None))?;
    let taken = planned.take(None)?;
    let facts = topic.facts();
    let beginnings = match taken.stored_partitions() {
        Some(stored) => positions::resumed(&spec.source, stored, &facts).unwrap(),
        None => Beginnings::at_log_start(&facts),
    };
    let stop = JobHandle::default();
    let taken = taken.backfill(&facts, &beginnings, || Ok(topic.clone()), &stop)?;
    taken.assemble(&facts, &beginnings, &stop, |assignments, _events| {
        Ok(Started { source: None, lookout: None, feeds: topic.feeds(assignments, workers) })
    })
}

fn check(ticks: &[Tick], partitions: i32, cap: Option<u64>, workers: usize, stops: &[usize]) {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(folder.path(), cap);
    let mut topic = MemoryTopic::new(partitions);
    let mut records_in = 0;
    for part in memory::split(ticks, stops) {
        topic.append(part);
        let summary = run(&spec, &topic, workers);
        summary.account.check().unwrap();
        records_in += summary.account.records_in;
    }
    assert_eq!(records_in, ticks.len() as u64);
    let expected = recompute(ticks, &topic, DAY_MS, 3_600_000);
    assert!(!expected.is_empty());
    assert_eq!(
        published(&spec.aggregates[0].output),
        expected,
        "{partitions} partitions, cap {cap:?}, stops {stops:?}"
    );
}

#[test]
fn the_same_windows_come_out_however_the_records_are_cut_and_dealt() {
    let ticks = memory::jittered_ticks(7, 6_000, 5, 4 * DAY_MS, START_MS);
    for (partitions, cap, workers) in
        [(1, None, 1), (1, Some(7), 1), (2, Some(1_000), 2), (2, None, 2), (8, Some(333), 2), (8, None, 3)]
    {
        let few = if cap == Some(1) { &ticks[..200] } else { &ticks[..] };
        let spread = if cap == Some(1) {
            memory::jittered_ticks(7, 200, 5, 4 * DAY_MS, START_MS)
        } else {
            few.to_vec()
        };
        check(&spread, partitions, cap, workers, &[]);
    }
}

#[test]
fn restarts_at_any_record_change_nothing() {
    let ticks = memory::jittered_ticks(11, 3_000, 4, 3 * DAY_MS, START_MS);
    for stops in [&[1][..], &[1_500], &[10, 20, 30, 2_999], &[700, 701, 702]] {
        check(&ticks, 2, Some(400), 2, stops);
    }
}

#[test]
fn a_partition_without_a_record_holds_nothing_back() {
    let ticks: Vec<Tick> = memory::jittered_ticks(3, 2_000, 2, 3 * DAY_MS, START_MS)
        .into_iter()
        .map(|tick| Tick { partition: 0, ..tick })
        .collect();
    check(&ticks, 2, None, 2, &[]);
    check(&ticks, 4, Some(100), 2, &[900]);
}

#[test]
fn partitions_read_one_after_the_other_lose_nothing() {
    let ticks = memory::jittered_ticks(5, 2_000, 4, 3 * DAY_MS, START_MS);
    // One worker reads its partitions in the order of their numbers, each whole.
    check(&ticks, 2, Some(250), 1, &[]);
    check(&ticks, 5, Some(999), 1, &[]);
}
