//! `host query`: SQL over what a job has committed is what its files and its open windows hold, whether the job runs
//! or not, and each answer is of one commit, whole.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::{Value, json};
use speed_layer_tests::asked::{Answered, ask, rows, table};
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::python;
use speed_layer_tests::reference::{closed, ohlcv, vwap, watermark_ms};
use speed_layer_tests::table::assert_equal;
use speed_layer_tests::ticks::{Placed, Plan, Spread};

use super::pipelines::{DAILY, HOURLY};
use super::{DAY_MS, HOUR_MS, LIMIT};

fn records(rows: usize) -> Vec<Placed> {
    let plan = Plan {
        rows,
        days: 5,
        jitter_ms: HOUR_MS / 2,
        bad_per_million: 1_000,
        nulls_per_million: 20_000,
        ..Plan::default()
    };
    plan.records(2, Spread::InTurn)
}

/// A daily job that has read these records.
fn job_over(topic: &str, records: &[Placed]) -> Job {
    kafka::shared().topic_of(topic, 2, records);
    let job = Job::new(kafka::shared(), topic);
    job.summary();
    job
}

fn counted(job: &Job, sql: &str) -> i64 {
    let rows = rows(job, sql).expect("an answer");
    rows[0].values().next().and_then(Value::as_i64).expect("a number")
}

#[test]
fn an_aggregate_is_a_table_of_its_closed_windows_and_of_what_the_open_ones_hold_so_far() {
    let records = records(30_000);
    let job = job_over("asked-daily", &records);
    let all = ohlcv(&records, DAY_MS, "daily");
    let done = closed(all.clone(), DAY_MS, watermark_ms(&records, HOUR_MS));
    let asked = |sql: &str| table(&job, sql).expect("an answer");
    assert_equal(&all, &asked("SELECT * FROM daily"));
    assert_equal(&done, &asked("SELECT * FROM daily_closed"));
    let mut open = all;
    open.retain(|group, _| !done.contains_key(group));
    assert!(!open.is_empty() && !done.is_empty());
    assert_equal(&open, &asked("SELECT * FROM daily_open"));
    assert_equal(&job.table(), &done);
}

#[test]
fn a_job_with_two_aggregates_has_the_tables_of_both() {
    let records = records(20_000);
    let topic = "asked-two";
    kafka::shared().topic_of(topic, 2, &records);
    let job = Job::new(kafka::shared(), topic).pipeline(&format!("{DAILY}{HOURLY}"));
    job.summary();
    assert_equal(
        &vwap(&records, HOUR_MS, "hourly"),
        &table(&job, "SELECT * FROM hourly").expect("an answer"),
    );
    let joined = "SELECT d.symbol, d.window_start, count(*) AS hours FROM daily d JOIN hourly h ON d.symbol = h.symbol \
                  AND h.window_start >= d.window_start AND h.window_start < d.window_end GROUP BY 1, 2";
    let hours: BTreeSet<i64> =
        rows(&job, joined).expect("an answer").iter().filter_map(|row| row["hours"].as_i64()).collect();
    assert_eq!(hours.last(), Some(&24), "{hours:?}");
}

#[test]
fn keys_and_columns_come_in_the_order_of_the_table_and_filters_reach_the_files() {
    let records = records(10_000);
    let job = job_over("asked-order", &records);
    let first = &rows(&job, "SELECT * FROM daily LIMIT 1").expect("an answer")[0];
    let names: Vec<&String> = first.keys().collect();
    assert_eq!(names[..4], ["symbol", "window_start", "window_end", "daily_open"], "{names:?}");
    let of_one = counted(&job, "SELECT count(*) FROM daily_closed WHERE symbol = 'BTCUSDT'");
    let all = ohlcv(&records, DAY_MS, "daily");
    let done = closed(all, DAY_MS, watermark_ms(&records, HOUR_MS));
    let expected = done.keys().filter(|(symbol, _)| symbol.as_deref() == Some("BTCUSDT")).count();
    assert!(expected > 0);
    assert_eq!(of_one, expected as i64);
    let plan = ask(&job, "EXPLAIN SELECT daily_high FROM daily_closed WHERE symbol = 'BTCUSDT'", &[]);
    let plan = plan.expect("it ends").stdout;
    assert!(plan.contains("projection=[daily_high") && plan.contains("predicate=symbol"), "{plan}");
}

#[test]
fn every_answer_beside_a_running_job_is_of_one_commit_that_never_goes_back() {
    let records = records(40_000);
    let (first, rest) = records.split_at(4_000);
    let topic = "asked-running";
    kafka::shared().topic_of(topic, 2, first);
    let job = Job::new(kafka::shared(), topic).set("--trigger", "50ms");
    let mut running = job.start().expect("it starts");
    running.wait_for("committed", LIMIT).expect("a commit");
    let counts = "SELECT coalesce(sum(tick_count), 0) AS ticks, count(*) AS windows, \
                  count(DISTINCT concat(symbol, cast(window_start AS varchar))) AS groups FROM daily";
    let good = records.iter().filter(|record| record.tick.is_some()).count() as i64;
    let mut seen = 0;
    for part in rest.chunks(2_000) {
        kafka::shared().append(topic, part);
        let row = &rows(&job, counts).expect("an answer")[0];
        assert_eq!(row["windows"], row["groups"], "a window is there twice");
        let ticks = row["ticks"].as_i64().expect("a number");
        assert!(ticks >= seen && ticks <= good, "{ticks} after {seen}");
        seen = ticks;
    }
    let began = Instant::now();
    while counted(&job, "SELECT sum(tick_count) FROM daily") < good {
        assert!(began.elapsed() < LIMIT, "not all records are committed");
    }
    running.signal("TERM").expect("it can be sent");
    let finished = running.finish(LIMIT).expect("it ends");
    assert!(finished.status.success(), "{}", finished.told());
    assert_equal(&ohlcv(&records, DAY_MS, "daily"), &table(&job, "SELECT * FROM daily").expect("an answer"));
}

#[test]
fn the_live_table_has_what_no_commit_has_yet() {
    let records = records(6_000);
    let (first, rest) = records.split_at(3_000);
    let topic = "asked-live";
    kafka::shared().topic_of(topic, 2, first);
    let job = Job::new(kafka::shared(), topic);
    job.summary();
    let job = job.set("--trigger", "1h");
    let mut running = job.start().expect("it starts");
    running.wait_for("started", LIMIT).expect("it starts");
    kafka::shared().append(topic, rest);
    let all = ohlcv(&records, DAY_MS, "daily");
    let live = "SELECT * EXCEPT (uncommitted) FROM daily_live";
    let began = Instant::now();
    while table(&job, live).expect("an answer").len() < all.len() || uncounted(&job, &records) > 0 {
        assert!(began.elapsed() < LIMIT, "it does not come: {} are missing", uncounted(&job, &records));
    }
    assert_equal(&all, &table(&job, live).expect("an answer"));
    assert_equal(&ohlcv(first, DAY_MS, "daily"), &table(&job, "SELECT * FROM daily").expect("an answer"));
    let changed = counted(&job, "SELECT count(*) FROM daily_live WHERE uncommitted");
    let before = ohlcv(first, DAY_MS, "daily");
    let differ =
        all.iter().filter(|(group, row)| format!("{:?}", before.get(*group)) != format!("{:?}", Some(row)));
    assert_eq!(changed, differ.count() as i64);
    running.signal("TERM").expect("it can be sent");
    assert!(running.finish(LIMIT).expect("it ends").status.success());
    assert_equal(&all, &table(&job, live).expect("an answer of a job that does not run"));
    assert_eq!(counted(&job, "SELECT count(*) FROM daily_live WHERE uncommitted"), 0);
}

/// Good records that the live table does not count yet.
fn uncounted(job: &Job, records: &[Placed]) -> i64 {
    let good = records.iter().filter(|record| record.tick.is_some()).count() as i64;
    good - counted(job, "SELECT coalesce(sum(tick_count), 0) FROM daily_live")
}

#[test]
fn dead_letters_late_rows_swaps_and_commits_are_tables() {
    let records = records(10_000);
    let topic = "asked-sides";
    let job = job_over(topic, &records);
    let mut late = records[..40].to_vec();
    late.retain(|record| record.tick.is_some());
    kafka::shared().append(topic, &late);
    let summary = job.summary();
    let letters = "SELECT kind, stage, count(*) AS letters FROM dead_letters GROUP BY kind, stage";
    let of_parser = rows(&job, letters).expect("an answer");
    assert_eq!(
        of_parser.iter().filter_map(|row| row["letters"].as_i64()).sum::<i64>(),
        job.dead_letters().len() as i64
    );
    assert!(of_parser.iter().all(|row| row["stage"] == "parse"), "{of_parser:?}");
    assert_eq!(counted(&job, "SELECT count(*) FROM late_rows"), late.len() as i64, "{summary}");
    assert_eq!(rows(&job, "SELECT * FROM swaps").expect("an answer"), Vec::<Answered>::new());
    let commits = rows(&job, "SELECT * FROM commits ORDER BY epoch DESC").expect("an answer");
    assert_eq!((&commits[0]["clean"], &commits[0]["epoch"]), (&json!(true), &job.checkpoint()["epoch"]));
    assert_eq!(commits[0]["generation"], 2);
    let tables: Vec<Value> = rows(&job, "SHOW TABLES")
        .expect("an answer")
        .iter()
        .filter(|row| row["table_schema"] == "public")
        .map(|row| row["table_name"].clone())
        .collect();
    for expected in ["daily", "daily_open", "daily_closed", "dead_letters", "late_rows", "swaps", "commits"] {
        assert!(tables.iter().any(|name| name == expected), "{tables:?}");
    }
}

/// Argument: a file with an Arrow stream. Prints its columns' types and its count of rows.
const ARROW: &str = r#"
import sys, pyarrow.ipc
table = pyarrow.ipc.open_stream(sys.argv[1]).read_all()
print(table.num_rows, table.schema.field("symbol").type, table.schema.field("window_start").type)
"#;

#[test]
fn answers_come_as_a_table_csv_json_and_arrow() {
    let job = job_over("asked-formats", &records(5_000));
    let sql = "SELECT symbol, window_start, tick_count FROM daily_closed ORDER BY 1, 2";
    let of = |format: &str| {
        let finished = ask(&job, sql, &["--format", format]).expect("it ends");
        assert!(finished.status.success(), "{}", finished.told());
        finished.stdout
    };
    let count = rows(&job, sql).expect("an answer").len();
    let csv = of("csv");
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("symbol,window_start,tick_count"));
    assert_eq!(lines.count(), count);
    assert!(of("table").contains(" | window_start         | tick_count |"), "{}", of("table"));
    let mut command = speed_layer_tests::host::command().expect("it is built");
    let file = std::fs::File::create(job.path("rows.arrows")).expect("a file");
    let checkpoint = job.path("checkpoint");
    let status = command
        .args(["query", sql, "--format", "arrow", "--checkpoint"])
        .arg(checkpoint)
        .stdout(file)
        .status();
    assert!(status.expect("it starts").success());
    let read =
        python::run(ARROW, &[&job.path("rows.arrows").display().to_string()]).expect("pyarrow reads it");
    assert_eq!(read.trim(), format!("{count} string timestamp[us, tz=UTC]"));
}

#[test]
fn several_statements_may_be_piped_in() {
    use std::io::Write;
    use std::process::Stdio;
    let job = job_over("asked-piped", &records(2_000));
    let mut command = speed_layer_tests::host::command().expect("it is built");
    command.args(["query", "--format", "csv", "--checkpoint"]).arg(job.path("checkpoint"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let text = "SELECT ';' AS one;\n-- a comment; with a semicolon\nSELECT count(*) AS epochs FROM commits;";
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.starts_with("one\n;\nepochs\n"), "{text}");
}
