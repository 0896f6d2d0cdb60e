//! The decisions together, as a job makes them: logs are read in random pieces and
//! committed at random cuts, with restarts from what a checkpoint holds. Whatever the
//! cuts, each closed window comes out once, with the same rows, and none is late.

use std::collections::BTreeMap;

use speed_layer_core::account::Account;
use speed_layer_core::gate::{Admission, Gate};
use speed_layer_core::group::GroupTable;
use speed_layer_core::watermark::{PartitionFacts, PartitionProgress, close_through, job_clock};

use crate::groups::{Model, Row, SIZE_US, encoder, fold, merge, table};
use crate::prng::Prng;

const DELAY_MS: i64 = 900_000;
const IDLE_MS: u64 = 30_000;

/// Event times rise by some minutes a row, give or take less than the delay.
fn logs(prng: &mut Prng, partitions: i32) -> Vec<Vec<Row>> {
    let log = |(partition, rows): (i32, usize)| -> Vec<Row> {
        let row = |offset: usize| {
            let disorder_ms = prng.below(DELAY_MS as usize) as i64;
            let event_us = (offset as i64 * 400_000 - disorder_ms) * 1_000;
            Row {
                symbol: Some(format!("S{}", prng.below(4))),
                start_us: event_us.div_euclid(SIZE_US) * SIZE_US,
                event_ms: event_us / 1_000,
                partition,
                offset: offset as i64,
            }
        };
        (0..rows).map(row).collect()
    };
    // The last partition is empty: it must not hold the job.
    (0..partitions)
        .map(|partition| (partition, if partition + 1 == partitions { 0 } else { 150 }))
        .map(log)
        .collect()
}

struct Job {
    table: GroupTable,
    worker: GroupTable,
    progress: Vec<PartitionProgress>,
    position: Vec<usize>,
    closed_ms: Option<i64>,
    account: Account,
    published: BTreeMap<(i64, Vec<u8>), i64>,
}

impl Job {
    fn new(partitions: usize) -> Self {
        Self {
            table: table(),
            worker: table(),
            progress: vec![PartitionProgress::default(); partitions],
            position: vec![0; partitions],
            closed_ms: None,
            account: Account::new(["hourly"]),
            published: BTreeMap::new(),
        }
    }

    fn read(&mut self, partition: usize, rows: &[Row]) {
        let gate = Gate::new(self.table.spec(), self.closed_ms, None);
        let starts_us: Vec<i64> = rows.iter().map(|row| row.start_us).collect();
        let mut admission = Admission::default();
        gate.admit(&starts_us, &mut admission);
        fold(&mut self.worker, rows, &admission.selected, 64);
        rows.iter().for_each(|row| self.progress[partition].accepted(row.event_ms));
        self.position[partition] += rows.len();
        let count = rows.len() as u64;
        self.account.records_in += count;
        self.account.records_parsed += count;
        self.account.rows_parsed += count;
        self.account.rows_offered += count;
        let hourly = self.account.aggregate("hourly");
        hourly.aggregated += admission.selected.len() as u64;
        hourly.late += admission.late.len() as u64;
    }

    fn commit(&mut self, logs: &[Vec<Row>]) {
        merge(&mut self.table, &self.worker);
        self.worker.clear();
        let standings = (0..logs.len()).map(|partition| {
            let end = logs[partition].len() as i64;
            let position = self.position[partition] as i64;
            let (log_start, at_end_for_ms) = (0, 0);
            let facts = PartitionFacts {
                position,
                log_start,
                last_stable_offset: end,
                high_watermark: end,
                at_end_for_ms,
            };
            self.progress[partition].update_idle(&facts, IDLE_MS);
            self.progress[partition].standing(&facts)
        });
        let clock_ms = job_clock(standings);
        self.closed_ms = close_through(self.closed_ms, clock_ms, DELAY_MS as u64);
        let closed = self.closed_ms.map(|ms| self.table.drain_closed(ms * 1_000)).unwrap_or_default();
        for (group, count) in Model::of(&self.table, &closed).counts {
            assert_eq!(self.published.insert(group, count), None, "a window comes out once");
        }
        self.table.release(&closed).unwrap();
        self.account.check().unwrap();
    }

    fn restart(&mut self) {
        let mut loaded = self.table.new_empty();
        loaded.import(&encoder(), &self.table.export().unwrap()).unwrap();
        self.table = loaded;
    }
}

/// What must be published: all rows of windows that the least partition has passed.
fn reference(logs: &[Vec<Row>]) -> BTreeMap<(i64, Vec<u8>), i64> {
    let greatest = |log: &Vec<Row>| log.iter().map(|row| row.event_ms).max();
    let clock_ms = logs.iter().filter_map(greatest).min().unwrap();
    let mut model = Model::default();
    logs.iter().flatten().for_each(|row| model.add(row));
    model.counts.retain(|(start_us, _), _| start_us + SIZE_US <= (clock_ms - DELAY_MS) * 1_000);
    model.counts
}

#[test]
fn the_published_windows_do_not_depend_on_cuts_and_restarts() {
    for seed in 0..100 {
        let mut prng = Prng::new(seed);
        let partitions = 2 + prng.below(3);
        let logs = logs(&mut prng, partitions as i32);
        let mut job = Job::new(partitions);
        while (0..partitions).any(|partition| job.position[partition] < logs[partition].len()) {
            let partition = prng.below(partitions);
            let rest = &logs[partition][job.position[partition]..];
            let rows = (1 + prng.below(40)).min(rest.len());
            job.read(partition, &rest[..rows]);
            if prng.one_in(3) {
                job.commit(&logs);
            }
            if prng.one_in(9) {
                job.commit(&logs);
                job.restart();
            }
        }
        job.commit(&logs);
        assert_eq!(job.account.aggregates["hourly"].late, 0, "seed {seed}");
        assert_eq!(job.published, reference(&logs), "seed {seed}");
        assert!(job.published.len() > 20);
    }
}
