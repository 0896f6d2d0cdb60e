//! An aggregate that the settings no longer have: refused, or dropped with its open windows and nothing else.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use speed_layer_tests::host::Finished;
use speed_layer_tests::job::Job;
use speed_layer_tests::reference::{closed, ohlcv, vwap, watermark_ms};
use speed_layer_tests::table::{Table, assert_equal};
use speed_layer_tests::ticks::{Placed, Plan, Spread};
use speed_layer_tests::{kafka, letters};

use super::pipelines::{DAILY, HOURLY, rewritten};
use super::{DAY_MS, HOUR_MS, LIMIT};

fn records() -> Vec<Placed> {
    let plan =
        Plan { rows: 30_000, days: 10, jitter_ms: HOUR_MS / 2, bad_per_million: 2_000, ..Plan::default() };
    plan.records(2, Spread::InTurn)
}

/// The pipeline with the hourly table alone.
fn hourly_alone() -> String {
    let head = DAILY.split_once("[[aggregate]]").map_or("", |(head, _)| head);
    format!("{head}{HOURLY}")
}

fn refused(job: &Job, code: i32, told: &[&str]) {
    let before = job.files().expect("the job's folder");
    let refused = job.run().expect("it ends");
    assert_eq!(refused.status.code(), Some(code), "{}", refused.told());
    for text in told {
        assert!(refused.stderr.contains(text), "`{text}` is not said: {}", refused.told());
    }
    assert_eq!(job.files().expect("the job's folder"), before, "{}", refused.told());
}

fn ended_well(job: &Job) -> Finished {
    let run = job.run().expect("it ends");
    assert!(run.status.success(), "{}", run.told());
    run
}

fn aggregates(checkpoint: &Value) -> Vec<&str> {
    let all = checkpoint["aggregates"].as_array().expect("a list");
    all.iter().map(|of| of["name"].as_str().expect("a name")).collect()
}

#[test]
fn what_was_open_is_named_and_given_up_on_request_and_all_else_stays() {
    let topic = "dropped-hourly";
    let records = records();
    let (first, second) = records.split_at(20_000);
    kafka::shared().topic_of(topic, 2, first);
    let job = Job::new(kafka::shared(), topic).pipeline(&format!("{DAILY}{HOURLY}"));
    refused(&job.set("--drop-aggregate", "hourly"), 2, &["--drop-aggregate hourly", "still have"]);
    let job = Job::new(kafka::shared(), topic);
    let job = job.pipeline(DAILY).set("--drop-aggregate", "hourly");
    refused(&job, 1, &["--drop-aggregate hourly", "job crypto has no checkpoint", "--name"]);
    let job = rewritten(job.without("--drop-aggregate"), topic, &format!("{DAILY}{HOURLY}"));
    job.summary();
    let before = job.table_of("output/hourly", "symbol");
    let shown = job.checkpoint();
    let open = &shown["aggregates"][1];
    let (windows, groups) = (&open["open_windows"], &open["open_groups"]);
    assert!(windows.as_u64() > Some(0) && groups.as_u64() > windows.as_u64(), "{open}");
    let open = format!("{windows} open windows with {groups} groups");

    let job = rewritten(job, topic, DAILY);
    let output = job.path("output/hourly").display().to_string();
    refused(&job, 1, &["\"hourly\"", &open, &output, "put it back", "`--drop-aggregate hourly`"]);
    let job = job.set("--drop-aggregate", "hourli");
    refused(&job, 1, &["no aggregate of that name, it has daily, hourly; did you mean `hourly`?"]);
    kafka::shared().append(topic, second);
    let job = job.set("--drop-aggregate", "hourly");
    let told = ended_well(&job).stderr;
    assert!(told.contains("aggregate hourly is dropped") && told.contains(&open), "{told}");
    assert!(told.contains("WARN"), "{told}");
    assert_eq!(aggregates(&job.checkpoint()), ["daily"]);
    refused(&job, 1, &["no aggregate of that name, it has daily"]);
    let job = job.without("--drop-aggregate");
    assert_eq!(job.summary()["records_in"], 0);
    assert_equal(&before, &job.table_of("output/hourly", "symbol"));
    let daily = closed(ohlcv(&records, DAY_MS, "daily"), DAY_MS, watermark_ms(&records, HOUR_MS));
    assert_equal(&daily, &job.table());
}

/// The checkpoint of a killed run whose newest commit publishes daily windows and dead letters. Which partitions a
/// commit has records of is the machine's to say, so it may take several runs.
fn killed_with_windows(job: &Job) -> Value {
    loop {
        let mut running = job.start().expect("it starts");
        running.wait_for("committed", LIMIT).expect("it commits");
        running.signal("KILL").expect("it runs");
        running.finish(LIMIT).expect("it ends");
        let checkpoint = job.checkpoint();
        assert_eq!(checkpoint["clean"], false, "it was through before it was killed");
        let publishes = |output: &Value| {
            checkpoint["publish"].as_array().expect("a list").iter().any(|file| file["output"] == *output)
        };
        if [json!("dead_letters"), json!({ "aggregate": "daily" })].iter().all(publishes) {
            return checkpoint;
        }
    }
}

/// Takes away what the newest commit published, as if the process had been killed before: the sealed files are
/// staged still.
fn unpublish(job: &Job, checkpoint: &Value) {
    let root = |output: &Value| {
        let outputs = checkpoint["outputs"].as_array().expect("a list");
        let root = outputs.iter().find(|of| of["output"] == *output).expect("it is named");
        PathBuf::from(root["path"].as_str().expect("a path"))
    };
    let files = checkpoint["publish"].as_array().expect("a list");
    for file in files {
        // One that is not there yet is what this is about.
        let _ = fs::remove_file(root(&file["output"]).join(file["path"].as_str().expect("a path")));
    }
    assert!(closed_so_far(checkpoint).len() > job.table().len());
}

/// The daily windows that a checkpoint has closed.
fn closed_so_far(checkpoint: &Value) -> Table {
    let closed_ms = checkpoint["aggregates"][0]["closed_through_ms"].as_i64();
    closed(ohlcv(&records(), DAY_MS, "daily"), DAY_MS, closed_ms)
}

#[test]
fn what_a_killed_run_had_sealed_is_published_before_its_aggregate_is_dropped() {
    let topic = "dropped-killed";
    let records = records();
    kafka::shared().topic_of(topic, 2, &records);
    let job = Job::new(kafka::shared(), topic).pipeline(&format!("{DAILY}{HOURLY}"));
    let before = killed_with_windows(&job);
    unpublish(&job, &before);

    let job = rewritten(job, topic, &hourly_alone());
    refused(&job, 1, &["to publish for", "which this start does not have", "--drop-aggregate NAME"]);
    let job = job.set("--drop-aggregate", "daily");
    ended_well(&job);
    let shown = job.checkpoint();
    assert_eq!(aggregates(&shown), ["hourly"]);
    let watermark = watermark_ms(&records, 2 * HOUR_MS);
    let hourly = closed(vwap(&records, HOUR_MS, "hourly"), HOUR_MS, watermark);
    assert_equal(&hourly, &job.table_of("output/hourly", "symbol"));
    assert_equal(&closed_so_far(&before), &job.table());
    let letters = |output: &str| letters::read(&job.path(output)).expect("they can be read").len();
    let bad = records.iter().filter(|record| record.tick.is_none()).count();
    let (old, new) = ("output/daily.dead-letters/crypto", "output/hourly.dead-letters/crypto");
    assert!(letters(old) > 0 && letters(old) + letters(new) == bad, "{} {}", letters(old), letters(new));
}
