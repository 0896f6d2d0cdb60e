//! The same job over the same topic, in turn in two ways, for the measuring programs beside this folder. What the two
//! ways are is theirs.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
use speed_layer::inside::{JobHandle, JobSpec, RunFlags, Summary, load};
use speed_layer_kafka::{ANSWER_TIMEOUT, Broker, Connection};

/// How long, how often, and which job.
#[derive(Args)]
pub struct Pairs {
    /// How many runs of each kind
    #[arg(long, default_value_t = 10)]
    pairs: usize,
    /// How long each run takes in records; the topic must last as long
    #[arg(long, default_value_t = 35)]
    seconds: u64,
    /// Where the figures are written as JSON as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The job, as `host run` is given it; output and checkpoint are emptied before every run
    #[command(flatten)]
    job: RunFlags,
}

/// One run's figures.
pub struct Run {
    pub records: u64,
    pub commits: u64,
    pub records_per_s: f64,
    /// From the first record to the last commit.
    pub ms: u64,
}

impl Run {
    fn told(&self) -> String {
        let Self { records, commits, records_per_s, ms } = self;
        format!("{records_per_s:.0} records/s ({records} in {commits} commits, {ms} ms)")
    }
}

impl Pairs {
    /// Runs the job in turn with and without `what`, as `job` runs it, and tells the median ratio. `more` is said of each
    /// run with it.
    ///
    /// # Errors
    /// A run failed, or the topic is too short.
    pub fn compare(
        self,
        what: &str,
        mut job: impl FnMut(&JobSpec, bool, &JobHandle) -> anyhow::Result<Summary>,
        mut more: impl FnMut(&Run) -> (String, Value),
    ) -> anyhow::Result<()> {
        let Self { pairs, seconds, json, job: flags } = self;
        let spec = load(flags)?;
        let is_fit = pairs > 0 && !spec.trigger.is_bounded();
        ensure!(is_fit, "give at least one pair, and an interval as the trigger");
        let records_there = records_there(&spec)?;
        let limit = Duration::from_secs(seconds);
        let mut run = |with: bool| timed(&spec, limit, records_there, |stop| job(&spec, with, stop));
        let (mut lines, mut ratios) = (Vec::new(), Vec::new());
        for pair in 0..pairs {
            // Which comes first changes, so that neither profits from the other.
            let first_with = pair % 2 == 0;
            let (first, second) = (run(first_with)?, run(!first_with)?);
            let (on, off) = if first_with { (first, second) } else { (second, first) };
            let ratio = on.records_per_s / off.records_per_s;
            let (said, figures) = more(&on);
            println!(
                "pair {}: with {what} {}, without {}; ratio {ratio:.3}{said}",
                pair + 1,
                on.told(),
                off.told()
            );
            lines.push(json!({
                "with": on.records_per_s, "without": off.records_per_s, "ratio": ratio, "more": figures,
            }));
            ratios.push(ratio);
        }
        let median = median(&mut ratios);
        let cost = (1.0 - median) * 100.0;
        println!("median ratio of {pairs} pairs: {median:.4}; {what} cost {cost:.2} %");
        if let Some(path) = json {
            let figures = json!({ "what": what, "seconds": seconds, "pairs": lines, "median_ratio": median });
            std::fs::write(&path, format!("{figures:#}\n"))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

fn records_there(spec: &JobSpec) -> anyhow::Result<u64> {
    let connection = Connection::new(&spec.source.brokers, spec.source.properties.clone())?;
    let facts = Broker::new(&connection, ANSWER_TIMEOUT)?.topic_facts(&spec.source.topic)?;
    Ok(facts.partitions.iter().map(|of| (of.last_stable - of.log_start).unsigned_abs()).sum())
}

fn timed(
    spec: &JobSpec,
    limit: Duration,
    records_there: u64,
    job: impl FnOnce(&JobHandle) -> anyhow::Result<Summary>,
) -> anyhow::Result<Run> {
    empty(spec)?;
    // What earlier runs have left in memory is no burden of this one.
    rustix::fs::sync();
    let stop = JobHandle::default();
    let timer = stop.clone();
    thread::spawn(move || {
        thread::sleep(limit);
        timer.stop();
    });
    let summary = job(&stop)?;
    let records = summary.account.records_in;
    if records >= records_there {
        bail!(
            "the topic has only {records_there} records, which were read before the time was over; give --seconds less or a longer topic"
        );
    }
    let ms = summary.running_ms.context("nothing was committed")?;
    let records_per_s = records as f64 * 1000.0 / ms as f64;
    Ok(Run { records, commits: summary.commits, records_per_s, ms })
}

/// Removes what the last run left.
fn empty(spec: &JobSpec) -> anyhow::Result<()> {
    let mut places = vec![spec.checkpoint.join(&spec.name)];
    for aggregate in &spec.aggregates {
        let beside = |end: &str| PathBuf::from(format!("{}{end}", aggregate.output.display()));
        places.extend(["", ".staging", ".dead-letters", ".late"].map(beside));
    }
    places.iter().filter(|place| place.exists()).try_for_each(|place| remove(place))
}

fn remove(place: &Path) -> anyhow::Result<()> {
    std::fs::remove_dir_all(place).with_context(|| format!("cannot empty {}", place.display()))
}
