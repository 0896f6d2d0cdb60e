//! A topic with something for every output: rows, broken records, rows that come too late; and what must be
//! in the outputs at the end, nothing twice and nothing missing.

use anyhow::Result;
use speed_layer_tests::job::Job;
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::table::{Table, differences};
use speed_layer_tests::ticks::{Placed, Plan, Spread};
use speed_layer_tests::{kafka, letters, parquet_table};

use super::{DAY_MS, HOUR_MS};

const ROWS: usize = 800;
const LATE: usize = 40;
const COMMITS: usize = 4;
const DEAD_LETTERS: &str = "output/daily.dead-letters/daily";
const LATE_ROWS: &str = "output/daily.late/daily";

/// Components that a first start keeps, each with a link.
pub const COMPONENTS: usize = 3;

/// A topic of one partition, so that the same job makes the same files every time.
pub struct Sided {
    topic: String,
    /// All but the late ones.
    timely: Vec<Placed>,
    late: usize,
}

impl Sided {
    /// Makes the topic.
    ///
    /// # Panics
    /// The broker refuses it.
    pub fn topic(name: &str, symbols: usize) -> Self {
        let plan = Plan { rows: ROWS, symbols, days: 4, bad_per_million: 20_000, ..Plan::default() };
        let timely = plan.records(1, Spread::InTurn);
        // The first rows once more, when their windows have long been written.
        let again = timely.iter().filter(|record| record.tick.is_some()).take(LATE).cloned();
        let late: Vec<Placed> =
            again.zip(ROWS as i64..).map(|(record, offset)| Placed { offset, ..record }).collect();
        let records: Vec<Placed> = timely.iter().chain(&late).cloned().collect();
        kafka::shared().topic_of(name, 1, &records);
        Self { topic: name.into(), timely, late: late.len() }
    }

    /// A job over it that takes it in with so many commits as `commits` says.
    pub fn job(&self) -> Job {
        let records = (ROWS + LATE).div_ceil(COMMITS);
        Job::new(kafka::shared(), &self.topic).set("--max-records-per-trigger", records)
    }

    pub fn commits(&self) -> u64 {
        COMMITS as u64
    }

    fn expected(&self) -> Table {
        let table = ohlcv(&self.timely, DAY_MS, "daily");
        closed(table, DAY_MS, watermark_ms(&self.timely, HOUR_MS))
    }

    /// # Panics
    /// Anything in the outputs is missing, there twice, or other than it should be.
    pub fn assert_complete(&self, job: &Job) {
        assert_eq!(self.wrong(job), Vec::<String>::new());
    }

    /// What is wrong in the outputs of a job that has read all.
    pub fn wrong(&self, job: &Job) -> Vec<String> {
        let mut wrong = self.compared(job, true);
        let bad = self.timely.iter().filter(|record| record.tick.is_none()).map(|record| record.offset);
        let late = ROWS as i64..(ROWS + self.late) as i64;
        for (place, expected) in [(DEAD_LETTERS, bad.collect::<Vec<_>>()), (LATE_ROWS, late.collect())] {
            match offsets(job, place) {
                Ok(found) if found == expected => {}
                found => wrong.push(format!("{place}: expected {expected:?}, found {found:?}")),
            }
        }
        wrong
    }

    /// What is wrong in the outputs of a job that was stopped: anything that is cut short, there twice, or
    /// other than it will be at the end.
    pub fn harm(&self, job: &Job) -> Vec<String> {
        let mut wrong = self.compared(job, false);
        for place in [DEAD_LETTERS, LATE_ROWS] {
            match offsets(job, place) {
                Ok(found) if found.windows(2).all(|pair| pair[0] < pair[1]) => {}
                found => wrong.push(format!("{place}: {found:?}")),
            }
        }
        wrong
    }

    fn compared(&self, job: &Job, whole: bool) -> Vec<String> {
        match parquet_table::read(&job.path("output/daily"), "symbol") {
            Err(error) => vec![format!("{error:#}")],
            Ok(table) => {
                let told = differences(&self.expected(), &table);
                told.into_iter().filter(|told| whole || !told.ends_with("is missing")).collect()
            }
        }
    }
}

/// The offsets of the records in a place of letters, rising.
fn offsets(job: &Job, place: &str) -> Result<Vec<i64>> {
    Ok(letters::read(&job.path(place))?.iter().map(|letter| letter.offset).collect())
}
