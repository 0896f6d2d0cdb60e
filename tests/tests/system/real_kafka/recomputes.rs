//! `host file` and `host backtest` against real topics: what a file says of itself is what its checkpoint
//! says, its rows can be made again, and other plugins' rows are told from them. All of it beside the job.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use speed_layer_tests::host::{self, Finished};
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::parquet_table::files;
use speed_layer_tests::places::plugin;
use speed_layer_tests::published::with_other_value;
use speed_layer_tests::ticks::{Placed, Plan, Spread};
use speed_layer_tests::topics::Record;

use super::{HOUR_MS, LIMIT};

const PIPELINE: &str = r#"
name = "crypto"
checkpoint = "{folder}/checkpoint"
trigger = "available-now"
max_records_per_trigger = 3000
[source.kafka]
brokers = "{brokers}"
topic = "{topic}"
[parse]
plugin = "{plugins}/ticker_json.wasm"
[[transform]]
plugin = "{plugins}/ticker_time.wasm"
[[aggregate]]
name = "daily"
plugin = "{plugins}/ohlcv.wasm"
sink = [{ type = "parquet", path = "{folder}/output/daily" }]
"#;

fn records(rows: usize) -> Vec<Placed> {
    Plan { rows, days: 6, symbols: 4, jitter_ms: HOUR_MS / 2, ..Plan::default() }.records(2, Spread::InTurn)
}

fn job(topic: &str) -> Job {
    Job::new(kafka::shared(), topic).pipeline(PIPELINE)
}

/// A job that has run over a topic of these records, as they came: some windows were closed in each run.
fn ran(topic: &str, records: &[Placed]) -> Job {
    let mut parts = records.chunks(records.len().div_ceil(4));
    kafka::shared().topic_of(topic, 2, parts.next().unwrap_or_default());
    let job = job(topic);
    job.summary();
    for part in parts {
        kafka::shared().append(topic, part);
        assert_ne!(job.summary()["windows_out"], 0);
    }
    job
}

fn published(job: &Job) -> Vec<PathBuf> {
    files(&job.path("output/daily")).expect("they can be listed")
}

/// `host WORDS FILE [PIPELINE] MORE`.
fn ask(words: &[&str], file: &Path, job: Option<&Job>, more: &[&str]) -> Finished {
    let file = file.display().to_string();
    let pipeline = job.map(|job| job.path("pipeline.toml").display().to_string());
    let words = [words, &[file.as_str()]].concat();
    let words: Vec<&str> = words.into_iter().chain(pipeline.as_deref()).chain(more.iter().copied()).collect();
    host::run(&words, LIMIT).expect("it ends")
}

fn recompute(job: &Job, file: &Path) -> Finished {
    ask(&["file", "recompute"], file, Some(job), &["--format", "json"])
}

fn backtest(job: &Job, more: &[&str]) -> Finished {
    let against = job.path("output/daily").display().to_string();
    let more = [&["--against", against.as_str()], more].concat();
    ask(&["backtest"], &job.path("pipeline.toml"), None, &more)
}

fn json_of(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("no JSON: {}", finished.told()))
}

fn done(finished: &Finished) -> Value {
    assert!(finished.status.success(), "{}", finished.told());
    json_of(finished)
}

fn check_same(job: &Job, file: &Path) -> Value {
    let report = done(&recompute(job, file));
    let verdict = report["verdict"].as_str().expect("a verdict").to_owned();
    assert!(["same", "same_but_for_last_bits"].contains(&verdict.as_str()), "{report:#}");
    report
}

fn refused(finished: &Finished, told: &[&str]) {
    assert_eq!(finished.status.code(), Some(1), "{}", finished.told());
    for text in told {
        assert!(finished.stderr.contains(text), "`{text}`: {}", finished.told());
    }
}

#[test]
fn what_a_file_says_of_itself_is_what_its_checkpoint_says() {
    let job = ran("recomputes-inspect", &records(12_000));
    let checkpoint = job.checkpoint();
    let reports: Vec<Value> = published(&job)
        .iter()
        .map(|file| done(&ask(&["file", "inspect"], file, None, &["--format", "json"])))
        .collect();
    let newest = reports.iter().map(|report| report["epoch"].as_u64()).max().expect("files");
    for report in &reports {
        assert_eq!(report["job"], "crypto");
        assert!(
            report["epoch"].as_u64() < checkpoint["epoch"].as_u64(),
            "the last commit is that of the end"
        );
        let recipe = &report["recipe"];
        assert_eq!(recipe["stages"][2]["plugins"], checkpoint["aggregates"][0]["plugins"]);
        assert_eq!(recipe["stages"][0], checkpoint["stages"][0]);
        assert_eq!(recipe["topic_id"], checkpoint["partitions"][0]["topic_id"]);
        assert_eq!((&recipe["key"], &recipe["window_ms"]), (&json!(["symbol"]), &json!(86_400_000)));
        let path = report["file"].as_str().expect("a path");
        assert!(path.contains(&format!("/{}/", recipe["path"].as_str().expect("a path"))), "{path}");
        if report["epoch"].as_u64() == newest {
            assert_eq!(report["generation"], checkpoint["generation"]);
            assert_eq!(report["closed_through_ms"], checkpoint["aggregates"][0]["closed_through_ms"]);
            let cut = |list: &Value, name: &str| [0, 1].map(|at| list[at][name].clone());
            assert_eq!(cut(&report["offsets"], "cut"), cut(&checkpoint["partitions"], "next_offset"));
        }
    }
    let table = ask(&["file", "inspect"], &published(&job)[0], None, &[]);
    for text in ["job", "aggregate:daily", "sha256:", "recomputes-inspect partition 1", "window_start"] {
        assert!(table.stdout.contains(text), "`{text}`: {}", table.told());
    }
}

#[test]
fn a_file_that_is_none_of_ours_or_damaged_is_refused_with_the_reason() {
    let job = ran("recomputes-damaged", &records(6_000));
    let whole = fs::read(&published(&job)[0]).expect("it is there");
    let write = |name: &str, bytes: &[u8]| {
        let path = job.path(name);
        fs::write(&path, bytes).expect("there is room");
        path
    };
    let foreign = job.path("foreign.parquet");
    with_other_value(&published(&job)[0], &foreign, "tick_count", 0, false);
    let mut torn = whole.clone();
    torn[4..64].fill(0xA5);
    for (file, text) in [
        (job.path("nowhere.parquet"), "is not there"),
        (write("text.parquet", b"no Parquet at all"), "is no Parquet file"),
        (write("empty.parquet", b""), "is no Parquet file"),
        (write("cut.parquet", &whole[..whole.len() - 9]), "is no Parquet file, or is cut short"),
        (write("torn.parquet", &torn), "are damaged"),
        (foreign, "not one that a job of this program wrote"),
    ] {
        refused(&ask(&["file", "inspect"], &file, None, &[]), &[text, &file.display().to_string()]);
    }
}

#[test]
fn every_file_is_made_again_beside_the_job_which_does_not_notice() {
    let records = records(12_000);
    let (first, rest) = records.split_at(9_000);
    let job = ran("recomputes-same", first);
    kafka::shared().append("recomputes-same", rest);
    job.summary();
    let before = job.files().expect("they can be listed");
    for file in published(&job) {
        let report = check_same(&job, &file);
        assert_eq!(report["rows_in_file"], report["rows_made"]);
        assert!(report["records_read"].as_u64() > Some(1_000), "{report:#}");
    }
    assert_eq!(before, job.files().expect("they can be listed"));
    let job = job.set("--trigger", "100ms");
    let mut running = job.start().expect("it starts");
    running.wait_for("started", LIMIT).expect("it starts");
    check_same(&job, &published(&job)[0]);
    running.signal("TERM").expect("it runs");
    running.finish(LIMIT).and_then(|run| run.summary()).expect("it ends well");
}

#[test]
fn a_file_whose_windows_were_migrated_is_made_again_by_both_plugins_in_turn() {
    let records = records(12_000);
    let (first, rest) = records.split_at(6_000);
    kafka::shared().topic_of("recomputes-migrated", 2, first);
    let job = job("recomputes-migrated").set("--trigger", "100ms");
    let mut running = job.start().expect("it starts");
    running.wait_for("total=6000", LIMIT).expect("it reads them");
    let new = plugin("ohlcv_upticks").display().to_string();
    let checkpoint = job.path("checkpoint").display().to_string();
    let swap = ["swap", "--stage", "aggregate", "--checkpoint", &checkpoint, &new];
    let swapped = host::run(&swap, LIMIT).expect("it answers");
    assert!(swapped.status.success(), "{}", swapped.told());
    kafka::shared().append("recomputes-migrated", rest);
    running.wait_for("total=12000", LIMIT).expect("it reads the rest");
    running.signal("TERM").expect("it runs");
    running.finish(LIMIT).and_then(|run| run.summary()).expect("it ends well");
    let turns = |file: &PathBuf| check_same(&job, file)["turns"].as_array().map_or(0, Vec::len);
    let turns: Vec<usize> = published(&job).iter().map(turns).collect();
    assert!(turns.contains(&1) && turns.contains(&2), "{turns:?}");
}

#[test]
fn a_file_with_a_changed_value_is_found_out() {
    let job = ran("recomputes-changed", &records(6_000));
    let (file, changed) = (published(&job).remove(0), job.path("changed.parquet"));
    with_other_value(&file, &changed, "tick_count", 1, true);
    let found = recompute(&job, &changed);
    refused(&found, &["changed.parquet does not hold the rows"]);
    let report = json_of(&found);
    assert_eq!(report["verdict"], "differs");
    let columns = report["comparison"]["columns"].as_array().expect("columns");
    let differing = columns.iter().filter(|column| column["differing"] != column["last_bits"]);
    assert_eq!(differing.map(|column| &column["column"]).collect::<Vec<_>>(), ["tick_count"]);
    let table = ask(&["file", "recompute"], &changed, Some(&job), &[]);
    assert!(table.stdout.contains("1 differ") && table.stdout.contains("made again"), "{}", table.told());
}

#[test]
fn records_that_retention_took_are_named_in_the_refusal() {
    let job = ran("recomputes-retention", &records(6_000));
    let file = published(&job).remove(0);
    let report = done(&ask(&["file", "inspect"], &file, None, &["--format", "json"]));
    let lowest = report["offsets"][0]["lowest"].as_i64().expect("an offset");
    kafka::shared().delete_records("recomputes-retention", &[(0, lowest + 1)]).expect("they are there");
    let told =
        ["partition 0", &format!("begins at offset {}", lowest + 1), &format!("from offset {lowest} on")];
    refused(&recompute(&job, &file), &told);
    let windows = &done(&backtest(&job, &["--format", "json"]))["windows"];
    assert!(windows["left_out"] != 0 && windows["compared"] != 0 && windows["differing"] == 0, "{windows}");
}

#[test]
fn a_backtest_tells_the_same_plugin_from_others() {
    let ticks = records(12_000);
    let job = ran("recomputes-backtest", &ticks);
    let before = job.files().expect("they can be listed");
    let report = |more: &[&str]| done(&backtest(&job, &[more, &["--format", "json"]].concat()));
    let same = report(&["--fail-on-difference"]);
    assert_eq!((&same["windows"]["differing"], &same["windows"]["left_out"]), (&json!(0), &json!(0)));
    assert_eq!(same["comparison"]["both"], same["windows"]["compared"].as_u64().expect("a number") * 4);

    let upticks = plugin("ohlcv_upticks").display().to_string();
    let more = report(&["--aggregate", &format!("daily={upticks}")]);
    assert_eq!(more["comparison"]["only_new_columns"], json!(["up_ticks"]));
    assert_eq!(more["windows"]["differing"], 0);

    let filter = plugin("min_price").display().to_string();
    let mut prices: Vec<f64> = ticks.iter().filter_map(|record| record.tick.as_ref()?.price).collect();
    prices.sort_by(f64::total_cmp);
    let median = format!("transform.min={}", prices[prices.len() / 2]);
    let filtered = report(&["--transform", &filter, "--set", &median]);
    assert_ne!(filtered["rows"]["filtered"], 0, "{filtered:#}");
    assert_ne!(filtered["windows"]["differing"], 0, "{filtered:#}");
    let columns = filtered["comparison"]["columns"].as_array().expect("columns");
    assert!(columns.iter().any(|column| column["column"] == "tick_count" && column["differing"] != 0));

    let some = report(&["--from-offsets", "recomputes-backtest/0@3000,recomputes-backtest/1@3000"]);
    assert_ne!(some["windows"]["left_out"], 0, "{some:#}");
    assert_eq!(some["windows"]["differing"], 0);
    let told = backtest(&job, &["--aggregate", &upticks]);
    assert!(
        told.status.success() && told.stdout.contains("column up_ticks: only made now"),
        "{}",
        told.told()
    );
    refused(&backtest(&job, &["--aggregate", &upticks, "--fail-on-difference"]), &["differs"]);
    refused(&backtest(&job, &["--from-time", "2999-01-01T00:00:00Z"]), &["none of the"]);
    assert_eq!(before, job.files().expect("they can be listed"));
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

fn tick(event_time_ms: i64, price: f64) -> Record {
    let value = format!(r#"{{"symbol":"A","event_time":{event_time_ms},"price":{price},"volume":1.0}}"#);
    Record { partition: 0, key: None, value: Some(value.into_bytes()), timestamp_ms: None }
}

/// Sleeps until the wall clock shows this time.
fn wait_until(ms: i64) {
    thread::sleep(Duration::from_millis((ms - now_ms()).max(0).unsigned_abs()));
}

/// A record that came from the future when it was read, and lies in the past when its window is closed.
#[test]
fn a_record_that_the_clock_refused_is_refused_again_although_the_time_has_come() {
    const WINDOW_MS: i64 = 16_000;
    let broker = kafka::shared();
    broker.create_topic("recomputes-clock", 1, &[]).expect("a new name");
    let text = PIPELINE
        .replace("[parse]", "[time]\nmax_future_skew = \"1s\"\n[parse]")
        .replace("name = \"daily\"", "name = \"daily\"\nwindow = \"16s\"\nwatermark = \"0s\"")
        .replace("name = \"crypto\"", "name = \"daily\"");
    let job = Job::new(broker, "recomputes-clock").pipeline(&text);
    let start_ms = (now_ms() + WINDOW_MS - 6_000) / WINDOW_MS * WINDOW_MS;
    wait_until(start_ms);
    let early = [tick(start_ms, 1.0), tick(start_ms + 15_500, 1_000.0)];
    broker.produce("recomputes-clock", "none", early).expect("written");
    job.summary();
    assert_eq!(job.dead_letters().len(), 1, "the second is too far ahead");
    wait_until(start_ms + WINDOW_MS);
    let later = [tick(start_ms + 15_600, 2.0), tick(start_ms + WINDOW_MS, 3.0)];
    broker.produce("recomputes-clock", "none", later).expect("written");
    job.summary();
    let file = published(&job).pop().expect("its window is closed");
    let report = check_same(&job, &file);
    assert_eq!((&report["clock_refusals"], &report["records_read"]), (&json!(1), &json!(4)), "{report:#}");
}
