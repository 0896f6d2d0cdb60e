//! Windows that go to topics beside their Parquet: the same rows, each closed one once, however the job ends; in update
//! mode the last record of each window is that of its row.

use std::collections::BTreeMap;

use chrono::DateTime;
use speed_layer_tests::job::Job;
use speed_layer_tests::kafka;
use speed_layer_tests::table::{Row, Table, Value, assert_equal};
use speed_layer_tests::ticks::{Placed, Plan, Spread};
use speed_layer_tests::topics::{Headed, read_headed};

use super::{HOUR_MS, LIMIT};

const PARTITIONS: i32 = 3;
const PIPELINE: &str = r#"
name = "{topic}"
checkpoint = "{folder}/checkpoint"
max_records_per_trigger = 500
{stages}
[[aggregate]]
name = "daily"
plugin = "{plugins}/ohlcv.wasm"
sink = [
  { type = "parquet", path = "{folder}/output/daily" },
  { type = "kafka", topic = "{topic}-append" },
  { type = "kafka", topic = "{topic}-update", mode = "update" },
  { type = "kafka", topic = "{topic}-typed", mode = "update", format = "typed-json" },
  { type = "kafka", topic = "{topic}-complete", mode = "complete" },
]
"#;

fn records(rows: usize) -> Vec<Placed> {
    let plan = Plan { rows, jitter_ms: HOUR_MS / 2, nulls_per_million: 20_000, ..Plan::default() };
    plan.records(2, Spread::InTurn)
}

/// The topics and the job of this name.
fn job_of(topic: &str, records: &[Placed]) -> Job {
    kafka::shared().topic_of(topic, 2, records);
    for sink in ["append", "update", "typed", "complete"] {
        kafka::shared().create_topic(&format!("{topic}-{sink}"), PARTITIONS, &[]).expect("a new name");
    }
    Job::new(kafka::shared(), topic).pipeline(PIPELINE)
}

/// A window as a topic has it.
struct Sent {
    key: String,
    group: (Option<String>, i64),
    row: Row,
    is_final: bool,
    headers: BTreeMap<String, String>,
}

fn sent(topic: &str) -> Vec<Sent> {
    let all = read_headed(kafka::shared(), topic, PARTITIONS).expect("it can be read");
    all.iter().map(of_record).collect()
}

fn of_record(record: &Headed) -> Sent {
    let text = |bytes: &Option<Vec<u8>>| String::from_utf8(bytes.clone().expect("there")).expect("UTF-8");
    let (key, value) = (text(&record.key), text(&record.value));
    let is_final = value.ends_with("\"final\":true}");
    let object = value.split_once("\"row\":").map_or(value.as_str(), |(_, row)| row);
    let (object, _) = object.split_once('}').expect("an object");
    let mut row = fields(object);
    assert_eq!(row.remove("final").is_none(), value.starts_with("{\"schema\""), "{value}");
    let symbol = row.remove("symbol").expect("a key");
    let columns = row.into_iter().map(|(name, token)| (name, value_of(&token)));
    let mut row: Row = columns.collect();
    let Some(Value::Int(start_ms)) = row.remove("window_start") else { panic!("no start in {value}") };
    let group = (Some(symbol.trim_matches('"').to_owned()), start_ms);
    Sent { key, group, row, is_final, headers: record.headers.clone() }
}

/// The names and tokens of a flat object whose texts have no commas.
fn fields(object: &str) -> BTreeMap<String, String> {
    let parts = object.trim_start_matches('{').split(',');
    let field = |part: &str| {
        let (name, token) = part.split_once(':').expect("a field");
        (name.trim_matches('"').to_owned(), token.to_owned())
    };
    parts.map(field).collect()
}

/// Read to the last bit.
fn value_of(token: &str) -> Value {
    let text = token.trim_matches('"');
    match DateTime::parse_from_rfc3339(text) {
        _ if token == "null" => Value::Null,
        Ok(time) => Value::Int(time.timestamp_millis()),
        Err(_) if text.contains(['.', 'e', 'N', 'I']) => Value::Exact(text.parse().expect(token)),
        Err(_) => Value::Int(text.parse().expect(token)),
    }
}

/// The last record of each window that is closed.
fn last_of_each(sent: &[Sent]) -> Table {
    let mut last: BTreeMap<_, &Sent> = BTreeMap::new();
    for one in sent {
        last.insert(one.group.clone(), one);
    }
    let closed = last.into_iter().filter(|(_, one)| one.is_final);
    closed.map(|(group, one)| (group, one.row.clone())).collect()
}

/// All topics against the files.
fn check(job: &Job, topic: &str) -> Table {
    let table = job.table_of("output/daily", "symbol");
    let appended = sent(&format!("{topic}-append"));
    assert_eq!(appended.len(), table.len(), "each closed window once");
    assert!(appended.iter().all(|one| one.is_final));
    assert_equal(&table, &last_of_each(&appended));
    for form in ["update", "typed", "complete"] {
        let all = sent(&format!("{topic}-{form}"));
        assert_equal(&table, &last_of_each(&all));
        assert_eq!(all.iter().filter(|one| one.is_final).count(), table.len(), "each is closed once: {form}");
        assert!(all.len() > 2 * table.len(), "{} records of {} windows prove little", all.len(), table.len());
        assert!(all.iter().any(|one| !one.is_final && !table.contains_key(&one.group)), "none is open");
    }
    check_complete(&sent(&format!("{topic}-complete")));
    table
}

/// A window that is open is in every commit until it is closed.
fn check_complete(all: &[Sent]) {
    let mut epochs: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for one in all {
        let epoch = one.headers["speed-layer.epoch"].parse().expect("a number");
        epochs.entry(&one.group).or_default().push(epoch);
    }
    for (group, epochs) in epochs {
        let unbroken = epochs.windows(2).all(|pair| pair[1] == pair[0] + 1);
        assert!(unbroken, "the window {group:?} is in the epochs {epochs:?}");
    }
}

#[test]
fn the_topics_hold_the_windows_of_the_files() {
    let topic = "windows-sent";
    let job = job_of(topic, &records(20_000));
    job.summary();
    let table = check(&job, topic);
    assert!(table.len() > 500, "{} rows prove little", table.len());
    let one = &sent("windows-sent-append")[0];
    let start = DateTime::from_timestamp_millis(one.group.1).expect("a time").format("%Y-%m-%dT%H:%M:%SZ");
    let symbol = one.group.0.as_deref().unwrap_or_default();
    assert_eq!(one.key, format!(r#"{{"symbol":"{symbol}","window_start":"{start}"}}"#));
    let header = |name: &str| one.headers[&format!("speed-layer.{name}")].clone();
    assert_eq!((header("job").as_str(), header("aggregate").as_str()), (topic, "daily"));
    assert!(header("epoch").parse::<u64>().is_ok_and(|epoch| epoch > 0) && one.headers.len() == 3);
    assert_eq!(job.summary()["records_in"], 0);
    check(&job, topic);
}

#[test]
fn kills_neither_lose_nor_double_a_window() {
    let topic = "windows-killed";
    let records = records(20_000);
    let job = job_of(topic, &records[..10_000]).set("--trigger", "continuous");
    for round in 0..6_usize {
        let mut running = job.start().expect("it starts");
        running.wait_for("committed", LIMIT).expect("it commits");
        let next = 10_000 + round * 1_500;
        kafka::shared().append(topic, &records[next..next + 1_500]);
        for _ in 0..round {
            running.wait_for("committed", LIMIT).expect("it commits");
        }
        running.signal("KILL").expect("it runs");
        assert!(!running.finish(LIMIT).expect("it is killed").status.success());
    }
    kafka::shared().append(topic, &records[19_000..]);
    let job = job.set("--trigger", "available-now");
    job.summary();
    check(&job, topic);
}

#[test]
fn a_topic_for_windows_that_is_not_there_refuses_the_start() {
    let (broker, topic) = (kafka::shared(), "windows-missing");
    broker.create_topic(topic, 1, &[]).expect("a new name");
    let job = Job::new(broker, topic).pipeline(PIPELINE);
    let refused = job.run().expect("it ends");
    assert_eq!(refused.status.code(), Some(1), "{}", refused.told());
    for part in ["windows of aggregate daily", "windows-missing-append does not exist"] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.told());
    }
    assert!(!job.path("checkpoint").exists() && !job.path("output").exists());
}
