//! Partitions that wait for each other over records in memory: every run ends, and the
//! windows are those of a job in which nobody waits.

use super::memory::{self, MemoryTopic, Tick};
use super::recomputed::{published, recompute};
use super::{DAY_MS, START_MS, run, spec};

/// The first partition is a day ahead of the second, and the third ends on the first day.
fn uneven(ticks: Vec<Tick>) -> Vec<Tick> {
    let moved = |tick: Tick| {
        let (partition, event_time_ms) = (tick.partition % 3, tick.event_time_ms);
        let ahead_ms = if partition == 0 { DAY_MS } else { 0 };
        Tick { partition, event_time_ms: event_time_ms + ahead_ms, ..tick }
    };
    let stays = |tick: &Tick| tick.partition != 2 || tick.event_time_ms < START_MS + DAY_MS / 2;
    ticks.into_iter().map(moved).filter(stays).collect()
}

fn check(max_drift_ms: u64, cap: u64, workers: usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec(folder.path(), Some(cap));
    spec.clock.max_drift_ms = Some(max_drift_ms);
    let ticks = uneven(memory::jittered_ticks(9, 4_000, 4, 4 * DAY_MS, START_MS));
    let mut topic = MemoryTopic::new(3);
    let mut records_in = 0;
    for part in memory::split(&ticks, &[600, 2_000]) {
        topic.append(part);
        records_in += run(&spec, &topic, workers).account.records_in;
    }
    assert_eq!(records_in, ticks.len() as u64);
    let expected = recompute(&ticks, &topic, DAY_MS, 3_600_000);
    assert_eq!(
        published(&spec.aggregates[0].output),
        expected,
        "{max_drift_ms} ms, {cap}, {workers} workers"
    );
}

#[test]
fn partitions_that_wait_for_each_other_come_to_their_ends_and_change_nothing() {
    for (max_drift_ms, cap, workers) in
        [(0, 50, 1), (0, 50, 3), (3_600_000, 50, 2), (3_600_000, 1_000, 1), (10 * DAY_MS as u64, 100, 2)]
    {
        check(max_drift_ms, cap, workers);
    }
}
