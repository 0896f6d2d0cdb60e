//! `host swap` against a running job: the rows of a job that never was swapped, the state
//! taken along, a bad plugin taken out again, and a restart that runs what was committed.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::Value;
use speed_layer_tests::components::{naughty, variant};
use speed_layer_tests::host::{self, Finished, Running};
use speed_layer_tests::job::Job;
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::table::assert_equal;
use speed_layer_tests::ticks::{Placed, Plan, Spread};
use speed_layer_tests::{kafka, places};

use super::{DAY_MS, HOUR_MS, LIMIT};

const ROWS: usize = 60_000;
pub const AGGREGATE: &str = "aggregate:daily";

fn records() -> Vec<Placed> {
    Plan { rows: ROWS, jitter_ms: HOUR_MS / 2, ..Plan::default() }.records(2, Spread::InTurn)
}

/// A job that has half of the records and commits whatever comes.
pub struct Half {
    pub job: Job,
    pub running: Running,
    pub topic: String,
    pub records: Vec<Placed>,
    /// So many records are in the topic.
    pub given: usize,
}

impl Half {
    pub fn start(topic: &str) -> Self {
        Self::until(topic, "committed")
    }

    /// A job that has read all that it was given: a swap is on probation for two seconds then.
    pub fn idle(topic: &str) -> Self {
        Self::until(topic, &format!("total={}", ROWS / 2))
    }

    fn until(topic: &str, said: &str) -> Self {
        let records = records();
        let given = ROWS / 2;
        kafka::shared().topic_of(topic, 2, &records[..given]);
        let job = Job::new(kafka::shared(), topic).set("--trigger", "100ms");
        let mut running = job.start().expect("it starts");
        running.wait_for(said, LIMIT).expect("it commits");
        Self { job, running, topic: topic.to_owned(), records, given }
    }

    pub fn file(&self, name: &str, component: &[u8]) -> PathBuf {
        let path = self.job.path(name);
        fs::write(&path, component).expect("a component can be written");
        path
    }

    pub fn swap(&self, stage: &str, plugin: &Path, more: &[&str]) -> Finished {
        swap(&self.job, stage, plugin, more)
    }

    /// As [`Self::swap`], with records coming in for as long as it lasts.
    pub fn swap_under_load(&mut self, stage: &str, plugin: &Path, more: &[&str]) -> Finished {
        let job = &self.job;
        let (finished, given) = thread::scope(|scope| {
            let swap = scope.spawn(|| swap(job, stage, plugin, more));
            let mut given = self.given;
            while !swap.is_finished() && given < self.records.len() {
                let next = (given + 5).min(self.records.len());
                kafka::shared().append(&self.topic, &self.records[given..next]);
                given = next;
            }
            (swap.join().expect("it answers"), given)
        });
        self.given = given;
        finished
    }

    /// Gives the rest of the records, ends the job in order, and reads what is left.
    pub fn end(self) -> (Job, Vec<Placed>) {
        let Self { job, running, topic, records, given } = self;
        kafka::shared().append(&topic, &records[given..]);
        running.signal("TERM").expect("it runs");
        running.finish(LIMIT).and_then(|run| run.summary()).expect("it ends well");
        let rest = job.set("--trigger", "available-now");
        rest.summary();
        (rest, records)
    }

    /// Kills the job and starts it again.
    pub fn killed(self) -> Self {
        let Self { job, running, topic, records, given } = self;
        // Its end is SIGKILL.
        drop(running);
        let mut running = job.start().expect("it starts");
        running.wait_for("started", LIMIT).expect("it starts");
        Self { job, running, topic, records, given }
    }

    /// Gives the rest of the records, ends the job in order, reads what is left, and
    /// compares with a job that never was swapped.
    pub fn check_rows(self) {
        self.check_rows_but(&[]);
    }

    /// As [`Self::check_rows`], but for columns that only later files have.
    pub fn check_rows_but(self, new: &[&str]) {
        let (rest, records) = self.end();
        let expected = closed(ohlcv(&records, DAY_MS, "daily"), DAY_MS, watermark_ms(&records, HOUR_MS));
        let mut found = rest.table();
        found.values_mut().for_each(|row| {
            new.iter().for_each(|column| {
                row.remove(*column);
            })
        });
        assert_equal(&expected, &found);
    }
}

pub fn swap(job: &Job, stage: &str, plugin: &Path, more: &[&str]) -> Finished {
    let mut words = vec!["swap", "--stage", stage, "--checkpoint"];
    let (checkpoint, plugin) = (job.path("checkpoint").display().to_string(), plugin.display().to_string());
    words.extend([checkpoint.as_str(), plugin.as_str()].iter().filter(|word| !word.is_empty()));
    words.extend(more);
    host::run(&words, LIMIT).expect("it answers")
}

pub fn plugin(name: &str) -> Vec<u8> {
    fs::read(places::plugin(name)).expect("the plugin is built")
}

pub fn done(finished: &Finished) -> Value {
    assert!(finished.status.success(), "{}", finished.told());
    serde_json::from_str(&finished.stdout).expect("JSON")
}

#[test]
fn each_stage_is_swapped_in_a_running_job_and_no_row_is_lost_or_doubled() {
    let half = Half::start("swaps-each-stage");
    for (stage, name) in [("parse", "ticker_json"), ("transform:0", "ticker_time"), (AGGREGATE, "ohlcv")] {
        let file = half.file("new.wasm", &variant(&plugin(name), stage));
        let report = done(&half.swap(stage, &file, &["--format", "json"]));
        assert_eq!((&report["outcome"], &report["change"]), (&"swapped".into(), &"live".into()), "{report}");
        assert_eq!(report["stage"], stage);
        assert!(
            report["pause_ms"].is_f64() && report["from_offsets"].as_array().is_some_and(|at| at.len() == 2)
        );
    }
    half.check_rows();
}

#[test]
fn open_windows_are_migrated_to_a_version_with_one_more_column() {
    let half = Half::start("swaps-migrated");
    let dry = half.swap(AGGREGATE, &places::plugin("ohlcv_upticks"), &["--dry-run"]);
    assert!(dry.stdout.contains("migrate") && dry.stdout.contains("nothing was changed"), "{}", dry.told());
    let report = done(&half.swap("aggregate", &places::plugin("ohlcv_upticks"), &["--format", "json"]));
    assert_eq!((&report["outcome"], &report["change"]), (&"swapped".into(), &"migrate".into()), "{report}");
    half.check_rows_but(&["up_ticks"]);
}

#[test]
fn a_plugin_that_fails_at_any_call_is_refused_or_taken_out_again() {
    let mut half = Half::start("swaps-naughty");
    for (mischief, said) in [
        ("trap describe", "refused"),
        ("trap open", "refused"),
        ("refuse migrate", "refused"),
        ("trap migrate", "refused"),
        ("trap update", "taken out again"),
        ("miscount update", "taken out again"),
        ("trap merge", "taken out again"),
        ("trap finish", "taken out again"),
    ] {
        let file = half.file("naughty.wasm", &naughty(mischief).expect("the guest is built"));
        let refused = half.swap_under_load(AGGREGATE, &file, &[]);
        assert_eq!(refused.status.code(), Some(1), "{mischief}: {}", refused.told());
        assert!(refused.stderr.contains(said), "{mischief}: {}", refused.told());
    }
    half.check_rows();
}

#[test]
fn a_restart_runs_the_plugin_that_was_committed_and_the_one_before_can_be_put_back() {
    let half = Half::start("swaps-restarted");
    let file = half.file("new.wasm", &variant(&plugin("ohlcv"), "another"));
    let swapped = done(&half.swap(AGGREGATE, &file, &["--format", "json"]));
    fs::remove_file(file).expect("it is there");
    let Half { job, running, topic, records, given } = half;
    drop(running);
    let mut running = job.start().expect("it starts");
    let said = running.wait_for("goes on with", LIMIT).expect("it says so");
    assert!(said.contains("host swap --stage aggregate:daily"), "{said}");
    running.wait_for("started", LIMIT).expect("it starts");
    let half = Half { job, running, topic, records, given };
    let back = done(&half.swap(AGGREGATE, Path::new(""), &["--back", "--format", "json"]));
    assert_eq!((&back["to"], &back["from"]), (&swapped["from"], &swapped["to"]));
    let list = ["swaps", "--format", "json", "--checkpoint"].map(String::from);
    let checkpoint = half.job.path("checkpoint").display().to_string();
    let listed = host::run(&[list.as_slice(), &[checkpoint]].concat(), LIMIT).expect("it lists");
    assert_eq!(done(&listed).as_array().map(Vec::len), Some(2), "{}", listed.told());
    half.check_rows();
}

#[test]
fn a_job_that_does_not_run_has_nothing_swapped() {
    let half = Half::start("swaps-ended");
    let Half { job, running, topic, records, given } = half;
    running.signal("TERM").expect("it runs");
    running.finish(LIMIT).expect("it ends");
    let nobody = Running::start(&mut std::process::Command::new("true")).expect("it starts");
    let half = Half { job, running: nobody, topic, records, given };
    let refused = half.swap(AGGREGATE, &places::plugin("ohlcv"), &[]);
    assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
    assert!(refused.stderr.contains("no job runs"), "{}", refused.told());
}
