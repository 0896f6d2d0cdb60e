//! An aggregate that a job gets later and that is built from its first record on: the rows are those of one that
//! was there from the beginning, or nothing of it is there.

use std::path::Path;

use serde_json::Value;
use speed_layer_tests::host;
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::parquet_table::files;
use speed_layer_tests::reference::{closed, ohlcv, vwap, watermark_ms};
use speed_layer_tests::table::{Table, assert_equal};
use speed_layer_tests::ticks::{Placed, Plan, Spread};

use super::pipelines::{DAILY, HOURLY, rewritten};
use super::{DAY_MS, HOUR_MS, LIMIT};

fn both() -> String {
    format!("{DAILY}{HOURLY}")
}

fn records(rows: usize) -> Vec<Placed> {
    let plan = Plan {
        rows,
        days: 20,
        jitter_ms: HOUR_MS / 2,
        bad_per_million: 1_000,
        nulls_per_million: 20_000,
        ..Plan::default()
    };
    plan.records(2, Spread::InTurn)
}

fn hourly(records: &[Placed]) -> Table {
    closed(vwap(records, HOUR_MS, "hourly"), HOUR_MS, watermark_ms(records, 2 * HOUR_MS))
}

/// A job with the daily table alone, over these records.
fn daily_over(topic: &str, records: &[Placed]) -> Job {
    kafka::shared().topic_of(topic, 2, records);
    let job = Job::new(kafka::shared(), topic).pipeline(DAILY);
    job.summary();
    job
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

fn bad(records: &[Placed]) -> usize {
    records.iter().filter(|record| record.tick.is_none()).count()
}

/// The rows of both tables and the letters, as of a job that had both from the beginning.
fn check(job: &Job, records: &[Placed]) {
    assert_equal(&hourly(records), &job.table_of("output/hourly", "symbol"));
    let daily = closed(ohlcv(records, DAY_MS, "daily"), DAY_MS, watermark_ms(records, HOUR_MS));
    assert_equal(&daily, &job.table());
    assert_eq!(job.dead_letters_of("crypto").len(), bad(records), "none is told of twice");
}

/// `host file recompute` of the first and the last file of the hourly table.
fn check_files(job: &Job) {
    let pipeline = job.path("pipeline.toml").display().to_string();
    let files = files(&job.path("output/hourly")).expect("they can be listed");
    for file in [files.first(), files.last()] {
        let file = file.map(|file| file.display().to_string()).expect("there are some");
        let made = host::run(&["file", "recompute", &file, &pipeline, "--format", "json"], LIMIT);
        let made = made.expect("it ends");
        let report: Value = serde_json::from_str(&made.stdout).unwrap_or_else(|_| panic!("{}", made.told()));
        let verdict = report["verdict"].as_str().unwrap_or_default();
        assert!(verdict.starts_with("same"), "{file}: {report:#}");
    }
}

#[test]
fn the_rows_are_those_of_an_aggregate_that_was_there_from_the_beginning() {
    let topic = "built-hourly";
    let records = records(60_000);
    let (first, rest) = records.split_at(30_011);
    let (second, third) = rest.split_at(15_000);
    let job = daily_over(topic, first);
    kafka::shared().append(topic, second);
    let job = rewritten(job, topic, &both()).set("--backfill", "hourly");
    let summary = job.summary();
    let built = &summary["backfilled"];
    let account = &built["account"];
    assert_eq!(account["records_in"], first.len(), "{summary}");
    assert_eq!(account["aggregates"]["hourly"]["aggregated"], first.len() - bad(first), "{summary}");
    assert!(built["windows_out"].as_u64() > Some(4_000), "{summary}");
    let own = &summary["account"]["aggregates"]["hourly"];
    assert_eq!((&own["aggregated"], &own["withheld"]), (&(second.len() - bad(second)).into(), &0.into()));
    assert_eq!(summary["records_in"], second.len(), "{summary}");
    check(&job, &records[..45_011]);
    check_files(&job);
    let of_hourly = &job.checkpoint()["aggregates"][1];
    assert_eq!((&of_hourly["name"], &of_hourly["withheld_until_ms"]), (&"hourly".into(), &Value::Null));
    assert!(
        of_hourly["plugins"][0]["from"].as_array().expect("marks").iter().all(|mark| mark["offset"] == 0)
    );

    kafka::shared().append(topic, third);
    let again = job.run().expect("it ends");
    assert!(again.stderr.contains("there is nothing to backfill"), "{}", again.told());
    assert!(again.summary().expect("it ends well")["backfilled"].is_null(), "{}", again.told());
    check(&job.without("--backfill"), &records);
}

#[test]
fn a_killed_or_stopped_backfill_leaves_the_job_as_it_was_and_the_next_start_does_it_again() {
    let topic = "built-killed";
    let records = records(250_000);
    let job = daily_over(topic, &records);
    let text = both().replace("max_records_per_trigger = 5000", "max_records_per_trigger = 500");
    let job = rewritten(job, topic, &text).set("--backfill", "hourly");
    let before = job.checkpoint();
    for signal in ["KILL", "TERM"] {
        let mut running = job.start().expect("it starts");
        running.wait_for("a leg is read again", LIMIT).expect("it says so");
        running.wait_for("a leg is read again", LIMIT).expect("it says so");
        running.signal(signal).expect("it runs");
        let ended = running.finish(LIMIT).expect("it ends");
        assert!(!ended.stderr.contains("built and committed"), "{}", ended.told());
        if signal == "TERM" {
            assert_eq!(ended.summary().expect("it ends well")["commits"], 0);
        }
        assert!(job.table_of("output/hourly", "symbol").is_empty(), "nothing of it is seen");
        let after = job.checkpoint();
        assert_eq!((&after["epoch"], &after["aggregates"]), (&before["epoch"], &before["aggregates"]));
    }
    let without = rewritten(job.without("--backfill"), topic, DAILY);
    assert_eq!(without.summary()["records_in"], 0, "the job goes on without it");
    let job = rewritten(without, topic, &text).set("--backfill", "hourly");
    job.summary();
    check(&job, &records);
}

#[test]
fn what_could_not_be_exact_is_refused_with_what_would_do() {
    let topic = "built-refused";
    let records = records(60_000);
    let (first, second) = records.split_at(20_000);
    let job = daily_over(topic, first);
    let job = rewritten(job, topic, &both()).set("--backfill", "horly");
    refused(&job, 2, &["--backfill horly", "they have daily, hourly", "did you mean `hourly`?"]);
    let folder = job.path("output/hourly/symbol=X");
    std::fs::create_dir_all(&folder).expect("a folder");
    let name = some_file(&job.path("output/daily"));
    std::fs::write(folder.join(&name), "x").expect("a file");
    let job = job.set("--backfill", "hourly");
    refused(&job, 1, &["output/hourly holds rows of this job already", &name, "another output"]);
    std::fs::remove_dir_all(job.path("output/hourly")).expect("it is there");

    kafka::shared().delete_records(topic, &[(1, 100)]).expect("they can be deleted");
    refused(
        &job,
        1,
        &["--backfill hourly", "retention has taken", "partition 1", "start without --backfill"],
    );
    let job = job.without("--backfill");
    kafka::shared().append(topic, second);
    let summary = job.summary();
    let own = &summary["account"]["aggregates"]["hourly"];
    assert!(own["withheld"].as_u64() > Some(0) && own["aggregated"].as_u64() > Some(0), "{summary}");
    let job = job.set("--backfill", "hourly");
    refused(&job, 1, &["--backfill hourly", "began later than the job", "--drop-aggregate hourly"]);
}

fn some_file(output: &Path) -> String {
    let files = files(output).expect("they can be listed");
    let name = files.first().and_then(|file| file.file_name()).expect("there are some");
    name.to_string_lossy().into_owned()
}
