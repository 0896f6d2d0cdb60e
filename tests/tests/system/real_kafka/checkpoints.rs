//! `host checkpoint`: what it says of a job that runs, of one that was killed, of a damaged one; and that a
//! rollback is gone on from with the same rows.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use speed_layer_tests::host::{self, Finished};
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::table::{Table, assert_equal};
use speed_layer_tests::ticks::{Placed, Plan, Spread};

use super::{DAY_MS, HOUR_MS, LIMIT};

fn records() -> Vec<Placed> {
    Plan { rows: 40_000, jitter_ms: HOUR_MS / 2, ..Plan::default() }.records(2, Spread::InTurn)
}

fn expected(records: &[Placed]) -> Table {
    closed(ohlcv(records, DAY_MS, "daily"), DAY_MS, watermark_ms(records, HOUR_MS))
}

fn checkpoint(job: &Job, command: &str, extra: &[&str]) -> Finished {
    let folder = job.path("checkpoint").display().to_string();
    let words = [&["checkpoint", command, "--checkpoint", &folder], extra].concat();
    host::run(&words, LIMIT).expect("it ends")
}

fn as_json(job: &Job, command: &str) -> Value {
    let finished = checkpoint(job, command, &["--format", "json"]);
    assert!(finished.status.success(), "{}", finished.told());
    serde_json::from_str(&finished.stdout).expect("one JSON value")
}

/// A job of which a killed run is left, and which has published.
fn killed(topic: &str, records: &[Placed]) -> Job {
    kafka::shared().topic_of(topic, 2, records);
    let job = Job::new(kafka::shared(), topic).set("--max-records-per-trigger", 1_000);
    let mut running = job.start().expect("it starts");
    for _ in 0..12 {
        running.wait_for("committed", LIMIT).expect("it commits");
    }
    let shown = as_json(&job, "show");
    assert_eq!((&shown["is_running"], &shown["clean"]), (&true.into(), &false.into()), "{shown}");
    assert_eq!(as_json(&job, "verify")["wrong"], 0);
    running.signal("KILL").expect("it runs");
    running.finish(LIMIT).expect("it ends");
    job
}

fn newest_checkpoint(job: &Job) -> PathBuf {
    as_json(job, "show")["file"].as_str().expect("a path").into()
}

fn flip_a_byte(path: &PathBuf) {
    let mut bytes = fs::read(path).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("it can be written");
}

fn sum(list: &Value, field: &str) -> u64 {
    list.as_array().expect("a list").iter().map(|one| one[field].as_u64().expect("a number")).sum()
}

#[test]
fn a_checkpoint_shows_how_far_its_job_is() {
    let records = records();
    let job = killed("checkpoints-show", &records);
    let shown = as_json(&job, "show");
    assert_eq!((&shown["job"], &shown["is_running"]), (&"daily".into(), &false.into()), "{shown}");
    assert_eq!(shown["partitions"].as_array().map(Vec::len), Some(2), "{shown}");
    let read = sum(&shown["partitions"], "next_offset");
    // Of twelve commits one may have been made without a record.
    assert!((11_000..40_000).contains(&read) && read.is_multiple_of(1_000), "{shown}");
    let daily = &shown["aggregates"][0];
    assert_eq!((&daily["window_ms"], &daily["delay_ms"]), (&DAY_MS.into(), &HOUR_MS.into()), "{shown}");
    assert!(daily["open_windows"].as_u64() >= Some(1) && daily["open_groups"].as_u64() >= Some(1), "{shown}");
    assert_eq!(daily["plugins"][0]["name"], "ohlcv", "{shown}");
    let table = checkpoint(&job, "show", &[]);
    for part in ["next offset", "closed through", "open windows", "ohlcv sha256:", "publishes", "stage parse"]
    {
        assert!(table.stdout.contains(part), "no {part:?} in {}", table.told());
    }
    let no_such = checkpoint(&job, "show", &["--epoch", "999"]);
    assert!(
        no_such.status.code() == Some(1) && no_such.stderr.contains("there are epochs"),
        "{}",
        no_such.told()
    );
}

#[test]
fn a_damaged_checkpoint_is_named_rolled_back_and_gone_on_from() {
    let records = records();
    let job = killed("checkpoints-damaged", &records);
    let damaged = newest_checkpoint(&job);
    flip_a_byte(&damaged);
    let verified = checkpoint(&job, "verify", &[]);
    assert_eq!(verified.status.code(), Some(1), "{}", verified.told());
    assert!(verified.stdout.contains(&format!("wrong   {}", damaged.display())), "{}", verified.told());
    let before = job.files().expect("readable");
    let planned = checkpoint(&job, "rollback", &[]);
    assert!(planned.status.success() && planned.stdout.contains("nothing was changed"), "{}", planned.told());
    assert_eq!(job.files().expect("readable"), before);
    let done = checkpoint(&job, "rollback", &["--yes"]);
    assert!(done.status.success() && done.stdout.contains("goes on from epoch"), "{}", done.told());
    assert!(!damaged.exists());
    job.summary();
    assert_equal(&expected(&records), &job.table());
    assert_eq!(as_json(&job, "verify")["wrong"], 0);
}

#[test]
fn a_job_goes_back_behind_sound_checkpoints_and_its_files_are_kept() {
    let records = records();
    let job = killed("checkpoints-back", &records);
    let newest = as_json(&job, "show")["epoch"].as_u64().expect("a number");
    let back = (newest - 2).to_string();
    let done = checkpoint(&job, "rollback", &["--to", &back, "--yes"]);
    assert!(done.status.success(), "{}", done.told());
    assert_eq!(as_json(&job, "show")["epoch"], newest - 2);
    for moved in done.stdout.lines().filter_map(|line| line.trim_start().strip_prefix("to ")) {
        assert!(PathBuf::from(moved).is_file(), "{moved}");
    }
    // How many old ones are left hangs on how far the snapshot beside the stream was: these are there never.
    for gone in [0, newest] {
        let refused = checkpoint(&job, "rollback", &["--to", &gone.to_string(), "--yes"]);
        assert!(refused.stderr.contains(&format!("no checkpoint of epoch {gone} ")), "{}", refused.told());
    }
    job.summary();
    assert_equal(&expected(&records), &job.table());
}

#[test]
fn a_running_job_is_not_rolled_back() {
    kafka::shared().topic_of("checkpoints-running", 2, &records()[..2_000]);
    let job = Job::new(kafka::shared(), "checkpoints-running").set("--trigger", "200ms");
    let mut running = job.start().expect("it starts");
    running.wait_for("committed", LIMIT).expect("it commits");
    let refused = checkpoint(&job, "rollback", &["--yes"]);
    assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
    assert!(refused.stderr.contains(&format!("(pid {})", running.id())), "{}", refused.told());
    running.signal("TERM").expect("it runs");
    running.finish(LIMIT).and_then(|run| run.summary()).expect("it was not disturbed");
}
