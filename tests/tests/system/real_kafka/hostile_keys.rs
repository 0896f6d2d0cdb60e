//! Keys that are hostile as paths: whoever reads the output finds the very texts again, and as many keys as there
//! are, the files that are open at once stay few.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use speed_layer_tests::host::{self, Running};
use speed_layer_tests::job::{DAILY, Job, LIMIT};
use speed_layer_tests::kafka;
use speed_layer_tests::parquet_table::files;
use speed_layer_tests::python;
use speed_layer_tests::topics::Record;

use super::DAY_MS;

/// 2025-11-20, noon.
const NOON_MS: i64 = 1_763_640_000_000;

/// Argument: the output. Prints the keys that each reader finds, told to take them for text, as lines of JSON.
const KEYS: &str = r#"
import json, sys, duckdb, polars, pyarrow, pyarrow.dataset
output = sys.argv[1]
files = f"{output}/**/*.parquet"
query = f"select symbol from read_parquet('{files}', hive_partitioning = true, hive_types = {{'symbol': varchar}})"
text = pyarrow.schema([("symbol", pyarrow.string())])
hive = pyarrow.dataset.partitioning(text, flavor="hive")
frame = polars.read_parquet(files, hive_partitioning=True, hive_schema={"symbol": polars.String})
found = {
    "DuckDB": [row[0] for row in duckdb.connect().execute(query).fetchall()],
    "pyarrow": pyarrow.dataset.dataset(output, partitioning=hive).to_table()["symbol"].to_pylist(),
    "Polars": frame["symbol"].to_list(),
}
for reader, keys in found.items():
    print(json.dumps([reader, keys]))
"#;

/// Argument: the output. Prints the same of files that hold their keys themselves.
const KEPT: &str = r#"
import json, sys, duckdb, polars, pyarrow.dataset
output = sys.argv[1]
files = f"{output}/**/*.parquet"
query = f"select symbol from read_parquet('{files}', hive_partitioning = false)"
found = {
    "DuckDB": [row[0] for row in duckdb.connect().execute(query).fetchall()],
    "pyarrow": pyarrow.dataset.dataset(output).to_table()["symbol"].to_pylist(),
    "Polars": polars.read_parquet(files, hive_partitioning=False)["symbol"].to_list(),
}
for reader, keys in found.items():
    print(json.dumps([reader, keys]))
"#;

fn record(symbol: Option<&str>, event_time_ms: i64) -> Record {
    let symbol = symbol.map_or(Value::Null, Value::from);
    let value =
        format!(r#"{{"symbol":{symbol},"event_time":{event_time_ms},"price":2.0,"number_trades":3}}"#);
    Record { partition: 0, key: None, value: Some(value.into_bytes()), timestamp_ms: None }
}

/// Texts that a path, an URL, a glob, a shell or a guess of types may take for something else.
const HOSTILE: &[&str] = &[
    "..",
    ".",
    "../",
    "../../etc/passwd",
    "/",
    "//",
    "/etc",
    "a/b",
    "\\",
    "C:\\x",
    "%",
    "%2F",
    "%25",
    "%zz",
    "100%",
    "=",
    "a=b",
    "symbol=x",
    "&",
    "?",
    "a?b",
    "#",
    "a#b",
    "*",
    "**",
    "[a]",
    "{a,b}",
    "~",
    "~root",
    "$HOME",
    "`id`",
    "a;b",
    "|",
    "<>",
    "\"",
    "'",
    "''",
    "a b",
    " a",
    "a ",
    " ",
    "\t",
    "a\nb",
    "\r",
    "\u{7f}",
    "\u{1}",
    "+",
    "a+b",
    ",",
    "!",
    "^",
    "(a)",
    "@",
    "-",
    "--",
    "_a",
    ".hidden",
    "BTC",
    "btc",
    "Btc",
    "é",
    "e\u{301}",
    "漢字",
    "🦀",
    "\u{200b}",
    "\u{202e}abc",
    "\u{feff}",
    "1",
    "01",
    "1.0",
    "1e5",
    "-0",
    "nan",
    "true",
    "2024-01-01",
    "null",
    "NULL",
    "None",
    "__HIVE",
    "part-0.parquet",
    "x.parquet",
    "_spark_metadata",
    "_temporary",
];

/// These and some that are as long as a folder's name can be.
fn hostile() -> Vec<String> {
    let long = ["x".repeat(248), "漢".repeat(82), "/".repeat(82)];
    HOSTILE.iter().copied().map(String::from).chain(long).collect()
}

/// A day of these keys, and a row of another that closes it.
fn topic_of(topic: &str, keys: &[String], with_null: bool) {
    let broker = kafka::shared();
    broker.create_topic(topic, 1, &[]).expect("a new name");
    let null = with_null.then(|| record(None, NOON_MS));
    let records = keys.iter().map(|key| record(Some(key), NOON_MS)).chain(null);
    let last = record(Some("last"), NOON_MS + 2 * DAY_MS);
    broker.produce(topic, "gzip", records.chain([last])).expect("all acknowledged");
}

/// Every reader finds these keys, each once.
fn check_readers(script: &str, job: &Job, keys: &[String], with_null: bool) {
    let expected: BTreeSet<Option<String>> =
        keys.iter().cloned().map(Some).chain(with_null.then_some(None)).collect();
    let output = job.path("output/daily").display().to_string();
    let told = python::run(script, &[&output]).expect("the script runs");
    assert_eq!(told.lines().count(), 3, "{told}");
    for line in told.lines() {
        let (reader, found): (String, Vec<Option<String>>) = serde_json::from_str(line).expect("a pair");
        let distinct: BTreeSet<_> = found.iter().cloned().collect();
        let (missing, surplus): (Vec<_>, Vec<_>) =
            (expected.difference(&distinct).collect(), distinct.difference(&expected).collect());
        assert!(missing.is_empty() && surplus.is_empty(), "{reader}: {missing:?} became {surplus:?}");
        assert_eq!(found.len(), expected.len(), "{reader}: each key once");
    }
}

#[test]
fn three_readers_find_the_same_texts_that_were_written() {
    let keys = hostile();
    topic_of("hostile-keys", &keys, true);
    let job = Job::new(kafka::shared(), "hostile-keys");
    let summary = job.summary();
    assert_eq!(summary["rows_aggregated"], keys.len() + 2, "{summary}");
    assert_eq!(summary["windows_out"], keys.len() + 1, "{summary}");
    check_readers(KEYS, &job, &keys, true);
}

/// With a limit of so many, a program that keeps a file a key open fails.
const OPEN_FILES_MAX: usize = 256;
/// 100,000 take as long as their disk needs to write and remove 200,000 names, which is minutes on a busy one.
const MANY: u64 = 30_000;

/// Argument: the output. Prints how many rows DuckDB finds, how many keys, and the ticks behind them.
const COUNTED: &str = r#"
import sys, duckdb
files = f"{sys.argv[1]}/**/*.parquet"
query = f"select count(*), count(distinct symbol), sum(tick_count), min(symbol), max(symbol) from read_parquet('{files}', hive_partitioning = true, hive_types_autocast = false)"
db = duckdb.connect()
db.execute("set enable_progress_bar = false")
print(*db.execute(query).fetchone())
"#;

#[test]
fn many_keys_in_one_commit_need_few_open_files() {
    let keys: Vec<String> = (0..MANY).map(|number| format!("K{number:06}")).collect();
    topic_of("many-keys", &keys, false);
    let job = Job::new(kafka::shared(), "many-keys");
    let whole = job.command().expect("it is built");
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {OPEN_FILES_MAX} && exec \"$@\""), "sh"]);
    limited.arg(whole.get_program()).args(whole.get_args());
    let finished = Running::start(&mut limited).and_then(|running| running.finish(LIMIT)).expect("it ends");
    let summary = finished.summary().expect("it ends well");
    let found =
        ["records_in", "rows_aggregated", "windows_out", "commits"].map(|term| summary[term].as_u64());
    assert_eq!(found, [MANY + 1, MANY + 1, MANY, 1].map(Some), "{summary}");
    let peak_mb = summary["peak_rss_mb"].as_u64().expect("a number");
    assert!(peak_mb < 200, "{peak_mb} MiB for {MANY} keys of a commit");
    let output = job.path("output/daily").display().to_string();
    let told = python::run(COUNTED, &[&output]).expect("the script runs");
    let [first, last] = [&keys[0], &keys[keys.len() - 1]];
    assert_eq!(told.trim(), format!("{MANY} {MANY} {MANY} {first} {last}"));
}

/// `host WORDS FILE MORE --format json`.
fn ask(words: &[&str], file: &Path, more: &[&str]) -> Value {
    let file = file.display().to_string();
    let finished = host::run(&[words, &[file.as_str()], more, &["--format", "json"]].concat(), LIMIT);
    let finished = finished.expect("it ends");
    assert!(finished.status.success(), "{}", finished.told());
    serde_json::from_str(&finished.stdout).expect("one JSON value")
}

#[test]
fn files_that_hold_their_keys_take_every_key_and_are_made_again_with_them() {
    let mut keys = hostile();
    let unpathable = ["".into(), "__HIVE_DEFAULT_PARTITION__".into(), "x".repeat(300), "__HASH__x".into()];
    keys.extend(unpathable.iter().cloned());
    topic_of("kept-keys", &keys, true);
    let job = Job::new(kafka::shared(), "kept-keys").pipeline(&format!("{DAILY}keep_key_column = true\n"));
    let summary = job.summary();
    assert_eq!(summary["rows_aggregated"], keys.len() + 2, "{summary}");
    check_readers(KEPT, &job, &keys, true);
    let pipeline = job.path("pipeline.toml").display().to_string();
    let files = files(&job.path("output/daily")).expect("they can be listed");
    let hashed: Vec<_> =
        files.iter().filter(|file| file.display().to_string().contains("/symbol=__HASH__")).collect();
    assert_eq!(hashed.len(), unpathable.len(), "{hashed:?}");
    for file in hashed.into_iter().chain(files.first()) {
        assert_eq!(ask(&["file", "inspect"], file, &[])["recipe"]["keep_key_column"], true);
        let report = ask(&["file", "recompute"], file, &[&pipeline]);
        assert_eq!((&report["verdict"], &report["rows_made"]), (&"same".into(), &1.into()), "{report:#}");
    }
    let output = job.path("output/daily").display().to_string();
    let report = ask(&["backtest"], Path::new(&pipeline), &["--against", &output]);
    assert_eq!(report["comparison"]["both"], keys.len() + 1, "{report:#}");
    let text = fs::read_to_string(&pipeline).expect("it is there");
    fs::write(&pipeline, text.replace("keep_key_column = true", "")).expect("it can be written");
    let refused = job.run().expect("it ends");
    assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
    assert!(
        refused.stderr.contains("the keep_key_column of aggregate \"daily\" is false"),
        "{}",
        refused.told()
    );
}
