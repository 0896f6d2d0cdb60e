//! A topic with something for every output: rows, broken records, rows that come too late; and what must be
//! in the outputs at the end, nothing twice and nothing missing.

use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::table::{Table, assert_equal, differences};
use speed_layer_tests::ticks::{Placed, Plan, Spread};

use super::{DAY_MS, HOUR_MS};

const ROWS: usize = 800;
const LATE: usize = 40;
const COMMITS: usize = 4;

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
        assert_equal(&self.expected(), &job.table());
        let bad: Vec<i64> =
            self.timely.iter().filter(|record| record.tick.is_none()).map(|record| record.offset).collect();
        assert!(!bad.is_empty());
        let offsets = |letters: Vec<speed_layer_tests::letters::Letter>| -> Vec<i64> {
            letters.iter().map(|letter| letter.offset).collect()
        };
        assert_eq!(offsets(job.dead_letters()), bad);
        assert_eq!(offsets(job.late()), (ROWS as i64..(ROWS + self.late) as i64).collect::<Vec<_>>());
    }

    /// # Panics
    /// Anything in the outputs is cut short, there twice, or other than it will be at the end.
    pub fn assert_no_harm(&self, job: &Job) {
        let wrong = differences(&self.expected(), &job.table());
        let wrong: Vec<_> = wrong.iter().filter(|told| !told.ends_with("is missing")).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        for mut letters in [job.dead_letters(), job.late()] {
            let count = letters.len();
            letters.dedup_by_key(|letter| letter.offset);
            assert_eq!(letters.len(), count, "a letter is there twice");
        }
    }
}
