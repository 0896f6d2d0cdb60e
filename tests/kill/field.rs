//! What all rounds share: the broker with its topic, the readers, the points with how often a run passes
//! each, and the counts so far. A round begins and ends here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use speed_layer_tests::kafka::{self, Broker};
use speed_layer_tests::places;

use crate::oracle;
use crate::program::{self, End, Job, Point, kill_at};
use crate::readers::Readers;
use crate::records::{Id, PARTITIONS, Truth, records};
use crate::report::Tally;

const ROWS: usize = 20_000;
/// The broker gives out whole batches, so they are small.
const ROWS_AT_ONCE: usize = 600;
/// A run is about twenty commits.
const RECORDS_PER_COMMIT: u64 = 1_000;
const TOPIC: &str = "kill";
/// Ends a run with all that a start may have to bring back: something sealed, something staged only.
const BEFORE_A_START: &str = "seal.before_link";
const TOPIC_SEED: u64 = 11;

pub struct Field {
    pub broker: &'static Broker,
    pub truth: Rc<Truth>,
    pub readers: Readers,
    pub points: Vec<Point>,
    /// Of a run from nothing to its end.
    pub passed_fresh: BTreeMap<String, u64>,
    /// Of the run after a killed one.
    pub passed_again: BTreeMap<String, u64>,
    pub tally: Tally,
}

impl Field {
    /// Starts all, and counts in a run of each kind how often the points are passed.
    ///
    /// # Errors
    /// Something does not start, or a point is passed by neither run.
    pub fn new(seed: u64) -> Result<Self> {
        let points = program::points()?;
        let broker = kafka::shared();
        let records = records(ROWS, TOPIC_SEED);
        broker.create_topic(TOPIC, PARTITIONS, &[])?;
        records.chunks(ROWS_AT_ONCE).for_each(|chunk| broker.append(TOPIC, chunk));
        let tally = Tally::new(seed, points.iter().map(|point| point.name.as_str()));
        let (passed_fresh, passed_again) = (BTreeMap::new(), BTreeMap::new());
        let readers = Readers::start()?;
        let truth = Rc::new(Truth::of(&records));
        let mut field = Self { broker, truth, readers, points, passed_fresh, passed_again, tally };
        field.count()?;
        Ok(field)
    }

    fn count(&mut self) -> Result<()> {
        let job = self.job("count")?;
        self.passed_fresh = job.count()?;
        let job = self.job("count")?;
        self.kill_before_start(&job, 4)?;
        self.passed_again = job.count()?;
        job.remove()?;
        let is_special = |point: &Point| point.is_of_swap() || point.is_of_outbox();
        let is_missing = |point: &&Point| !is_special(point) && self.passed_in_all(&point.name) == 0;
        let unreached: Vec<&str> =
            self.points.iter().filter(is_missing).map(|point| point.name.as_str()).collect();
        ensure!(unreached.is_empty(), "no run passes {}", unreached.join(", "));
        Ok(())
    }

    fn passed_in_all(&self, point: &str) -> u64 {
        passed(&self.passed_fresh, point) + passed(&self.passed_again, point)
    }

    /// Whether a run from nothing passes the point.
    pub fn is_passed_fresh(&self, point: &str) -> bool {
        passed(&self.passed_fresh, point) > 0
    }

    /// Whether the point of that name is passed only where letters go to topics.
    pub fn is_of_outbox(&self, name: &str) -> bool {
        self.points.iter().any(|point| point.name == name && point.is_of_outbox())
    }

    /// The point of that name, if it is a step of a swap.
    pub fn point_of_swap(&self, name: &str) -> Option<Point> {
        self.points.iter().find(|point| point.name == name && point.is_of_swap()).cloned()
    }

    /// Where a round's files are.
    pub fn folder(name: &str) -> PathBuf {
        places::target().join("kill").join(name)
    }

    /// A job over the topic that all such rounds read.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn job(&self, name: &str) -> Result<Job> {
        self.job_over(name, TOPIC)
    }

    /// A job over a topic.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn job_over(&self, name: &str, topic: &str) -> Result<Job> {
        Job::new(&Self::folder(name), &self.broker.address(), topic, RECORDS_PER_COMMIT)
    }

    /// Has the job killed in its `commit`th commit, with that epoch staged and not sealed.
    ///
    /// # Errors
    /// It does not come so far.
    pub fn kill_before_start(&mut self, job: &Job, commit: u64) -> Result<()> {
        let end = job.run(Some(&kill_at(BEFORE_A_START, commit)))?;
        ensure!(self.was_killed(&end), "a run has less than {commit} commits");
        Ok(())
    }

    /// Notes how a process ended; whether it was killed.
    pub fn was_killed(&mut self, end: &End) -> bool {
        match end {
            End::Killed(point) => self.tally.killed(point.as_deref()),
            End::Done(_) => {}
        }
        matches!(end, End::Killed(_))
    }

    /// Ends a round: what the readers saw and what lies there must be the truth.
    ///
    /// # Errors
    /// It is not.
    pub fn judge(&mut self, job: Job, truth: &Truth) -> Result<()> {
        let dead = oracle::dead_letters(&job.folder)?;
        self.judge_with(job, truth, &dead)
    }

    /// As [`Self::judge`], of a job whose dead letters are these, wherever they are.
    ///
    /// # Errors
    /// As [`Self::judge`].
    pub fn judge_with(&mut self, job: Job, truth: &Truth, dead: &[Id]) -> Result<()> {
        let wanted = oracle::compare(&job.folder, truth, dead)?;
        let seen = self.readers.end()?;
        ensure!(seen == wanted, "the readers saw {seen:?} in the end, there is {wanted:?}");
        self.tally.late += wanted.late;
        self.tally.records += truth.records;
        job.remove().context("the round is over, but")
    }
}

/// How often a point was passed.
pub fn passed(counts: &BTreeMap<String, u64>, point: &str) -> u64 {
    counts.get(point).copied().unwrap_or_default()
}
