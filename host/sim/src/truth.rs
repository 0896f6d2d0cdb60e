//! The simulated logs, and what must come of them: computed in the plainest way, from
//! all records at once. Nothing here knows of commits.

use std::collections::BTreeMap;

use fastrand::Rng;

/// Event times rise by this much a record; slower where there are many keys, so that
/// one commit publishes many files.
const STEP_MS: i64 = 400_000;
const WIDE_STEP_MS: i64 = 5_000;
/// Of the last record of each partition, which closes what the others have begun.
const LAST_AFTER_MS: i64 = 48 * 3_600_000;
pub const DELAY_MS: i64 = 900_000;
const HOUR_MS: i64 = 3_600_000;

/// A record of a log; its offset is its place.
#[derive(Debug, Clone)]
pub struct Record {
    pub event_ms: i64,
    pub key: String,
    /// No parser can read it: it goes to the dead letters.
    pub malformed: bool,
    /// Stands for this record alone, so that sums of them tell sets apart.
    pub id: i64,
}

/// An aggregate of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aggregate {
    pub name: &'static str,
    pub window_ms: i64,
}

const AGGREGATES: [Aggregate; 2] = [
    Aggregate { name: "hourly", window_ms: HOUR_MS },
    Aggregate { name: "quarterly", window_ms: 6 * HOUR_MS },
];

/// What a job reads and what it is to make of it.
#[derive(Debug)]
pub struct Truth {
    /// By partition.
    pub logs: Vec<Vec<Record>>,
    pub aggregates: &'static [Aggregate],
    /// All groups, with all their records.
    pub groups: BTreeMap<Group, Sum>,
}

/// A window of an aggregate, for one key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    pub aggregate: String,
    pub start_ms: i64,
    pub key: String,
}

/// How many records there are in a group, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    pub count: i64,
    /// The sum of the records' ids, wrapping.
    pub ids: i64,
}

impl Sum {
    pub fn add(&mut self, other: Self) {
        self.count += other.count;
        self.ids = self.ids.wrapping_add(other.ids);
    }
}

impl Record {
    pub fn sum(&self) -> Sum {
        Sum { count: 1, ids: self.id }
    }
}

impl Truth {
    pub fn draw(rng: &mut Rng) -> Self {
        let wide = rng.u8(..16) == 0;
        let keys = if wide { 90 } else { rng.usize(1..5) };
        let partitions = if wide { 1 } else { rng.i32(1..4) };
        let records = if wide { 200 } else { rng.usize(8..80) };
        let aggregates = &AGGREGATES[..if wide { 1 } else { rng.usize(1..3) }];
        let logs = (0..partitions).map(|partition| {
            // A partition without records must not hold the others.
            let empty = partition > 0 && rng.u8(..5) == 0;
            let step_ms = if wide { WIDE_STEP_MS } else { STEP_MS };
            draw_log(rng, partition, if empty { 0 } else { records }, (keys, step_ms))
        });
        let logs: Vec<Vec<Record>> = logs.collect();
        let groups = groups(&logs, aggregates);
        Self { logs, aggregates, groups }
    }

    pub fn record(&self, partition: i32, offset: i64) -> Option<&Record> {
        self.logs.get(usize::try_from(partition).ok()?)?.get(usize::try_from(offset).ok()?)
    }

    /// The group of a record that can be read.
    pub fn group(aggregate: &Aggregate, record: &Record) -> Group {
        let start_ms = record.event_ms.div_euclid(aggregate.window_ms) * aggregate.window_ms;
        Group { aggregate: aggregate.name.to_owned(), start_ms, key: record.key.clone() }
    }

    pub fn malformed(&self) -> usize {
        self.logs.iter().flatten().filter(|record| record.malformed).count()
    }
}

fn groups(logs: &[Vec<Record>], aggregates: &[Aggregate]) -> BTreeMap<Group, Sum> {
    let mut groups = BTreeMap::<Group, Sum>::new();
    for aggregate in aggregates {
        for record in logs.iter().flatten().filter(|record| !record.malformed) {
            groups.entry(Truth::group(aggregate, record)).or_default().add(record.sum());
        }
    }
    groups
}

/// Times are out of order by less than the delay; a few are older by hours, and late
/// or not as the commits fall.
fn draw_log(rng: &mut Rng, partition: i32, records: usize, (keys, step_ms): (usize, i64)) -> Vec<Record> {
    (0..records)
        .map(|offset| {
            let last = offset + 1 == records;
            let late = if rng.u8(..15) == 0 { rng.i64(0..6 * HOUR_MS) } else { 0 };
            let disorder_ms = rng.i64(0..DELAY_MS) + late;
            let event_ms = offset as i64 * step_ms - if last { -LAST_AFTER_MS } else { disorder_ms };
            Record {
                event_ms,
                key: format!("S{}", rng.usize(..keys)),
                malformed: !last && rng.u8(..20) == 0,
                id: Rng::with_seed((u64::from(partition.unsigned_abs()) << 32) | offset as u64).i64(..),
            }
        })
        .collect()
}
