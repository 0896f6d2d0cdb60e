//! What a running job tells over HTTP is what its summary says in the end, and what its commands say meanwhile.

use std::fs;

use serde_json::Value;
use speed_layer_tests::components::variant;
use speed_layer_tests::host::{self, Running};
use speed_layer_tests::http::{await_reply, get};
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::prometheus::Metrics;
use speed_layer_tests::ticks::{Placed, Plan, Spread};

use super::swaps::{self, AGGREGATE};
use super::{HOUR_MS, LIMIT};

const ROWS: usize = 30_000;
/// With which something may be changed over HTTP, and where the job looks for it.
pub const TOKEN: &str = "correct-horse-battery-staple";
pub const VARIABLE: &str = "SPEED_LAYER_HTTP_TOKEN";

/// Some are broken, some come late.
fn records() -> Vec<Placed> {
    let plan = Plan { rows: ROWS, jitter_ms: 48 * HOUR_MS, bad_per_million: 20_000, ..Plan::default() };
    plan.records(2, Spread::InTurn)
}

/// A job that answers over HTTP, and where.
pub fn start(job: &Job) -> (Running, String) {
    let mut running = job.start_with(&[("--http", "127.0.0.1:0")]).expect("it starts");
    let line = running.wait_for("answering at http://", LIMIT).expect("it says where");
    let (_, address) = line.split_once("http://").expect("an address");
    let address = address.split_whitespace().next().expect("an address").to_owned();
    (running, address)
}

pub fn metrics(address: &str) -> Metrics {
    let reply = get(address, "/metrics").expect("it answers");
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    Metrics::parse(&reply.body).unwrap_or_else(|error| panic!("{error:#}"))
}

/// A job that has committed all records of its topic, in several commits, and goes on.
pub fn settled(topic: &str) -> (Job, Running, String) {
    kafka::shared().topic_of(topic, 2, &records());
    let job = Job::new(kafka::shared(), topic)
        .set("--trigger", "100ms")
        .set("--watermark", "1m")
        .variable(VARIABLE, TOKEN)
        .set("--max-records-per-trigger", 9_999);
    let (running, address) = start(&job);
    await_reply(&address, "/api/status", |reply| reply.json()["records_committed"] == ROWS as u64);
    (job, running, address)
}

fn end(running: Running) -> Value {
    running.signal("TERM").expect("it runs");
    running.finish(LIMIT).and_then(|run| run.summary()).expect("it ends well")
}

fn number(of: &Value) -> f64 {
    of.as_f64().unwrap_or_else(|| panic!("{of} is no number"))
}

#[test]
fn the_figures_are_those_of_the_summary() {
    let (job, running, address) = settled("metrics-figures");
    let (told, status) = (metrics(&address), get(&address, "/api/status").expect("it answers").json());
    let commits = get(&address, "/api/commits").expect("it answers").json();
    let summary = end(running);
    let account = &summary["account"];
    for (metric, labels, expected) in [
        ("records_read_total", &[][..], &summary["records_in"]),
        ("records_committed_total", &[], &summary["records_in"]),
        ("rows_parsed_total", &[], &account["rows_parsed"]),
        ("rows_filtered_total", &[], &account["rows_filtered"]),
        ("rows_aggregated_total", &[("aggregate", "daily")], &summary["rows_aggregated"]),
        ("rows_late_total", &[("aggregate", "daily"), ("reason", "late")], &summary["rows_late"]),
        ("rows_dead_lettered_total", &[], &summary["records_dead_lettered"]),
        ("rows_dead_lettered_total", &[("stage", "parse")], &account["dead_lettered"]["parse"]),
        ("windows_written_total", &[], &summary["windows_out"]),
        ("plugin_rows_total", &[("stage", "parse"), ("call", "parse")], &summary["records_in"]),
        ("plugin_rows_total", &[("call", "transform")], &account["rows_parsed"]),
        ("plugin_rows_total", &[("call", "update")], &summary["rows_aggregated"]),
        ("plugin_rows_total", &[("call", "finish")], &summary["windows_out"]),
    ] {
        let found = told.sum(&format!("speed_layer_{metric}"), labels);
        assert_eq!(found, number(expected), "{metric} {labels:?}");
    }
    for some in ["rows_late", "records_dead_lettered", "windows_out"] {
        assert!(number(&summary[some]) > 100.0, "{some}: {summary}");
    }
    let sum = |metric: &str| told.sum(&format!("speed_layer_{metric}"), &[]);
    assert_eq!(sum("partition_next_offset"), ROWS as f64);
    assert_eq!(sum("partition_end_offset"), ROWS as f64);
    assert_eq!(sum("partition_lag_records"), 0.0);
    assert_eq!(sum("ready"), 1.0);
    assert_eq!(sum("plugin_failures_total"), 0.0);
    let made = sum("commits_total");
    assert!(made >= 4.0 && made <= number(&summary["commits"]), "{made}: {summary}");
    for phase in ["cut", "fold", "stage", "seal", "publish"] {
        assert_eq!(told.sum("speed_layer_commit_duration_seconds", &[("phase", phase)]), made, "{phase}");
    }
    for some in ["resident_memory_bytes", "plugin_memory_bytes", "read_bytes_total", "open_groups_bytes"] {
        assert!(sum(some) > 10_000.0, "{some}: {}", sum(some));
    }
    check_files(&job, sum("files_published_total"), sum("published_bytes_total"));
    check_api(&status, commits.as_array().expect("a list"), &told, made);
}

/// What lies in the outputs, dead letters and late rows among them.
fn check_files(job: &Job, files: f64, bytes: f64) {
    let found = job.files().expect("files");
    let published = found.iter().filter(|(path, _)| {
        let path = path.display().to_string();
        path.ends_with(".parquet") && path.contains("/output/") && !path.contains(".staging/")
    });
    let sizes: Vec<u64> = published.map(|(_, bytes)| *bytes).collect();
    assert_eq!((files, bytes), (sizes.len() as f64, sizes.iter().sum::<u64>() as f64));
}

fn check_api(status: &Value, commits: &[Value], told: &Metrics, made: f64) {
    assert_eq!(status["state"], "running");
    assert_eq!(number(&status["commits"]), made);
    assert_eq!(number(&status["lag"]), 0.0);
    assert_eq!(commits.len() as f64, made);
    assert_eq!(commits.last(), Some(&status["last_commit"]));
    let sum = |field: &str| commits.iter().map(|of| number(&of[field])).sum::<f64>();
    for (field, metric) in [
        ("records", "records_committed_total"),
        ("rows_late", "rows_late_total"),
        ("rows_dead_lettered", "rows_dead_lettered_total"),
        ("files", "files_published_total"),
    ] {
        assert_eq!(sum(field), told.sum(&format!("speed_layer_{metric}"), &[]), "{field}");
    }
    let watermark = status["watermark"].as_str().expect("a time");
    let watermark = chrono::DateTime::parse_from_rfc3339(watermark).expect("RFC 3339").timestamp_millis();
    let metric_s = told.sum("speed_layer_watermark_timestamp_seconds", &[]);
    assert_eq!(watermark as f64 / 1000.0, metric_s);
}

#[test]
fn a_job_is_ready_once_its_stream_goes_on_and_gone_with_its_process() {
    let topic = "metrics-ready";
    let job = Job::new(kafka::shared(), topic).set("--trigger", "100ms").set("--wait-for-topic", "1h");
    let (running, address) = start(&job);
    let waiting = get(&address, "/ready").expect("it answers");
    assert_eq!(waiting.status, 503);
    assert!(waiting.json()["error"].as_str().expect("a reason").contains("starting"), "{waiting:?}");
    assert_eq!(get(&address, "/health").expect("it answers").status, 200);
    assert_eq!(metrics(&address).sum("speed_layer_ready", &[]), 0.0);
    kafka::shared().create_topic(topic, 1, &[]).expect("a new name");
    let ready = await_reply(&address, "/ready", |reply| reply.status == 200);
    assert_eq!(ready.json(), serde_json::json!({ "status": "ready", "job": "daily" }));
    end(running);
    assert!(get(&address, "/health").is_err(), "nobody is there any more");
}

#[test]
fn a_swap_shows_up_with_the_plugin_that_serves_from_then_on() {
    let (job, running, address) = settled("metrics-swap");
    let swapped = |metrics: &Metrics| metrics.sum("speed_layer_swaps_total", &[("outcome", "swapped")]);
    assert_eq!(swapped(&metrics(&address)), 0.0);
    let before = get(&address, "/api/plugins").expect("it answers").json();
    let path = job.path("another.wasm");
    fs::write(&path, variant(&swaps::plugin("ohlcv"), "another")).expect("a component can be written");
    let report = swaps::done(&swaps::swap(&job, AGGREGATE, &path, &["--format", "json"]));
    let to = report["to"]["digest"].as_str().expect("a digest");
    let after = await_reply(&address, "/api/plugins", |reply| reply.json()[2]["digest"] == to).json();
    assert_ne!(before[2]["digest"], after[2]["digest"]);
    assert_eq!(before[1]["calls"], after[1]["calls"], "a stage that was not swapped keeps its figures");
    let told = metrics(&address);
    assert_eq!(swapped(&told), 1.0);
    let short = &to[..told_digest(&told).len()];
    assert_eq!(told_digest(&told), short);
    let checkpoint = job.path("checkpoint").display().to_string();
    let listed =
        host::run(&["swaps", "--format", "json", "--checkpoint", &checkpoint], LIMIT).expect("it ends");
    let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON");
    assert_eq!(get(&address, "/api/swaps").expect("it answers").json(), listed);
    end(running);
}

/// The digest of the aggregate's plugin.
fn told_digest(told: &Metrics) -> String {
    let memory = &told.0["speed_layer_plugin_memory_bytes"].samples;
    let of = memory.iter().find(|(_, labels, _)| labels["stage"] == AGGREGATE).expect("the aggregate");
    of.1["digest"].clone()
}
