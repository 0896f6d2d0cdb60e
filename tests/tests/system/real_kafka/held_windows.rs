//! Closed windows that are held back: the same rows in fewer files, by age and by size, whatever ends the job, and
//! whoever asks meanwhile.

use std::fs;

use serde_json::Value;
use speed_layer_tests::asked;
use speed_layer_tests::host;
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::parquet_table::files;
use speed_layer_tests::places::plugin;
use speed_layer_tests::reference::{closed, ohlcv, watermark_ms};
use speed_layer_tests::table::{Table, assert_equal};
use speed_layer_tests::ticks::{Placed, Plan, Spread};

use super::{HOUR_MS, LIMIT};

const PIPELINE: &str = r#"
name = "daily"
checkpoint = "{folder}/checkpoint"
max_records_per_trigger = 300
{stages}
[[aggregate]]
name = "daily"
plugin = "{plugins}/ohlcv.wasm"
window = "1h"
sink = [{ type = "parquet", path = "{folder}/output/daily" HOLD }]
"#;
const LONG: &str = r#"hold = "20d""#;

/// Four days of four symbols, of which some rows come too late.
fn records(jitter_ms: i64) -> Vec<Placed> {
    Plan { rows: 9_000, days: 4, symbols: 4, jitter_ms, ..Plan::default() }.records(2, Spread::InTurn)
}

fn job(topic: &str, hold: &str) -> Job {
    Job::new(kafka::shared(), topic).pipeline(&PIPELINE.replace("HOLD", &of_sink(hold)))
}

fn of_sink(hold: &str) -> String {
    if hold.is_empty() { String::new() } else { format!(", {hold}") }
}

/// From now on the job holds nothing.
fn hold_nothing(job: &Job, before: &str) {
    let path = job.path("pipeline.toml");
    let text = fs::read_to_string(&path).expect("the pipeline file");
    fs::write(path, text.replace(&of_sink(before), "")).expect("room");
}

fn expected(records: &[Placed]) -> Table {
    closed(ohlcv(records, HOUR_MS, "daily"), HOUR_MS, watermark_ms(records, HOUR_MS))
}

fn published(job: &Job) -> usize {
    files(&job.path("output/daily")).expect("they can be listed").len()
}

fn held(job: &Job) -> u64 {
    job.checkpoint()["aggregates"][0]["held_windows"].as_u64().expect("a number")
}

#[test]
fn windows_that_are_held_come_out_as_fewer_files_with_the_same_rows() {
    let records = records(HOUR_MS / 2);
    kafka::shared().topic_of("held-size", 2, &records);
    let plain = job("held-size", "");
    plain.summary();
    let sized = job("held-size", r#"hold = "20d", hold_rows = 100"#);
    sized.summary();
    assert!(held(&sized) > 0 && published(&sized) > 0, "{} are held", held(&sized));
    let open = asked::rows(&sized, "SELECT * FROM daily").expect("an answer").len();
    assert_eq!(open, asked::rows(&plain, "SELECT * FROM daily").expect("an answer").len());
    hold_nothing(&sized, r#"hold = "20d", hold_rows = 100"#);
    sized.summary();
    assert_eq!(held(&sized), 0);
    for job in [&plain, &sized] {
        assert_equal(&expected(&records), &job.table());
    }
    assert!(published(&sized) * 3 < published(&plain), "{} and {}", published(&sized), published(&plain));
}

#[test]
fn what_is_old_enough_is_published_also_while_nothing_comes() {
    let records = records(HOUR_MS / 2);
    kafka::shared().topic_of("held-age", 2, &records);
    let job = job("held-age", r#"hold = "5s""#).set("--trigger", "100ms");
    let mut running = job.start().expect("it starts");
    running.wait_for("total=9000", LIMIT).expect("it takes in what is there");
    while held(&job) > 0 {
        running.wait_for("committed", LIMIT).expect("it publishes what is old enough");
    }
    running.signal("INT").expect("it runs");
    running.finish(LIMIT).and_then(|run| run.summary()).expect("it ends well");
    assert_equal(&expected(&records), &job.table());
    assert!(published(&job) <= 40, "{} files of 380 rows", published(&job));
}

#[test]
fn a_job_that_is_killed_while_it_holds_windows_loses_and_doubles_none() {
    let records = records(HOUR_MS / 2);
    kafka::shared().topic_of("held-killed", 2, &records);
    let job = job("held-killed", LONG).set("--trigger", "50ms");
    for commits in [10, 5] {
        let mut running = job.start().expect("it starts");
        for _ in 0..commits {
            running.wait_for("committed", LIMIT).expect("it commits");
        }
        running.signal("KILL").expect("it runs");
        running.finish(LIMIT).expect("it is gone");
        assert!(held(&job) > 0 && published(&job) == 0);
    }
    let job = job.set("--trigger", "available-now");
    job.summary();
    assert_eq!(published(&job), 0);
    hold_nothing(&job, LONG);
    assert_eq!(job.summary()["records_in"], 0);
    assert_eq!((published(&job), held(&job)), (4, 0));
    assert_equal(&expected(&records), &job.table());
}

#[test]
fn rows_of_held_windows_are_made_again_without_the_late_ones_that_lie_among_them() {
    let records = records(3 * HOUR_MS);
    kafka::shared().topic_of("held-again", 2, &records);
    let job = job("held-again", LONG);
    let late = job.summary()["rows_late"].as_u64();
    assert!(late > Some(100), "{late:?} late rows prove little");
    hold_nothing(&job, LONG);
    job.summary();
    assert_eq!(published(&job), 4);
    for file in files(&job.path("output/daily")).expect("they can be listed") {
        let words = [file.clone(), job.path("pipeline.toml")].map(|path| path.display().to_string());
        let done = host::run(&["file", "recompute", &words[0], &words[1], "--format", "json"], LIMIT);
        let done = done.expect("it ends");
        let report: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{}", done.told()));
        let verdict = report["verdict"].as_str().unwrap_or_default();
        assert!(["same", "same_but_for_last_bits"].contains(&verdict), "{report:#}");
    }
}

#[test]
fn a_swap_publishes_what_is_held_before_it_begins() {
    let records = records(HOUR_MS / 2);
    kafka::shared().topic_of("held-swap", 2, &records[..6_000]);
    let job = job("held-swap", LONG).set("--trigger", "100ms");
    let mut running = job.start().expect("it starts");
    running.wait_for("total=6000", LIMIT).expect("it takes in what is there");
    assert!(held(&job) > 0 && published(&job) == 0);
    let (checkpoint, other) = (job.path("checkpoint").display().to_string(), plugin("ohlcv_upticks"));
    let words = ["swap", "--checkpoint", &checkpoint, "--stage", "aggregate:daily"].map(str::to_owned);
    let words: Vec<String> = words.into_iter().chain([other.display().to_string()]).collect();
    let done = host::run(&words, LIMIT).expect("it ends");
    assert!(done.status.success(), "{}", done.told());
    assert_eq!(published(&job), 4, "one a symbol, by the plugin that filled the windows");
    kafka::shared().append("held-swap", &records[6_000..]);
    running.wait_for("total=9000", LIMIT).expect("it takes in the rest");
    running.signal("INT").expect("it runs");
    running.finish(LIMIT).and_then(|run| run.summary()).expect("it ends well");
    assert!(held(&job) > 0);
    assert_eq!(published(&job), 4);
}
