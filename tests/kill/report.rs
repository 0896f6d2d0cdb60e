//! What the rounds came to, for people and as JSON.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;

/// Counts over all rounds.
#[derive(Debug)]
pub struct Tally {
    began: Instant,
    pub seed: u64,
    pub rounds: u64,
    /// Kills at failpoints and at random times.
    pub kills: u64,
    /// How often a process was killed or stopped at each point, whichever round it was for.
    pub fired: BTreeMap<String, u64>,
    pub random_kills: u64,
    pub fenced: u64,
    /// That had to be found again, over all rounds.
    pub records: u64,
    pub late: u64,
}

impl Tally {
    /// Nothing yet; every point is listed from the beginning.
    pub fn new<'a>(seed: u64, points: impl Iterator<Item = &'a str>) -> Self {
        Self {
            began: Instant::now(),
            seed,
            rounds: 0,
            kills: 0,
            fired: points.map(|point| (point.to_owned(), 0)).collect(),
            random_kills: 0,
            fenced: 0,
            records: 0,
            late: 0,
        }
    }

    /// A process was killed; at a point, or by us at some moment.
    pub fn killed(&mut self, point: Option<&str>) {
        self.kills += 1;
        match point {
            Some(point) => *self.fired.entry(point.to_owned()).or_default() += 1,
            None => self.random_kills += 1,
        }
    }

    /// One line for the time in between.
    pub fn progress(&self, planned: usize) -> String {
        let seconds = self.began.elapsed().as_secs_f64();
        format!("{} of {planned} rounds, {} kills, {seconds:.0} s", self.rounds, self.kills)
    }

    /// What all came to, on several lines.
    pub fn summary(&self, reads: &BTreeMap<&'static str, u64>) -> String {
        let list = |counts: &mut dyn Iterator<Item = (&str, &u64)>| {
            counts.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
        };
        let fired = list(&mut self.fired.iter().map(|(name, count)| (name.as_str(), count)));
        let reads = list(&mut reads.iter().map(|(name, count)| (*name, count)));
        format!(
            "fired: {fired}\nreads: {reads}\n{} rounds from seed {} in {:.1} s: {} kills, {} of them at random times; \
             {} owners fenced; {} records, {} of them late: none lost, none twice",
            self.rounds,
            self.seed,
            self.began.elapsed().as_secs_f64(),
            self.kills,
            self.random_kills,
            self.fenced,
            self.records,
            self.late,
        )
    }

    /// The same as JSON, into a file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path, reads: &BTreeMap<&'static str, u64>) -> Result<()> {
        let report = json!({
            "seed": self.seed,
            "rounds": self.rounds,
            "seconds": self.began.elapsed().as_secs_f64(),
            "kills": self.kills,
            "random_kills": self.random_kills,
            "fenced": self.fenced,
            "records": self.records,
            "late": self.late,
            "fired": self.fired,
            "reads": reads,
        });
        fs::write(path, format!("{report:#}\n")).with_context(|| format!("cannot write {}", path.display()))
    }
}
